"""What the drawings look like: in Chromium, nothing covers or crosses anything else, whatever the network."""

import math

import numpy as np
import pytest
from trace_cases import NETWORKS, traced

import fastprop as fp
from fastprop.explain import html as trace_page

pytestmark = pytest.mark.peer

# Everything that stands where something else does. Boxes of text are those of the font, without the space between two
# lines. A line may go under the plate of its own number, which is the one at whose height it ends.
FAULTS = """
const svg = document.querySelector("svg.graph"), found = new Set();
const visible = (element) => element.getClientRects().length > 0;
const edges = ({ x, y, width, height }) => ({ left: x, right: x + width, top: y, bottom: y + height });
const overlap = (one, other, by = 0) => one.left < other.right - by && other.left < one.right - by &&
  one.top < other.bottom - by && other.top < one.bottom - by;
const inside = (one, other) => one.left > other.left && one.right < other.right && one.top > other.top - 1 &&
  one.bottom < other.bottom + 1;
const texts = [...svg.querySelectorAll("text")].filter(visible).map((element) => ({
  words: element.textContent,
  plate: element.matches(".plate + text") ? edges(element.previousElementSibling.getBBox()) : null,
  ...edges(element.getBBox()),
}));
const boxes = [...svg.querySelectorAll("g.box > rect")].map((element) => edges(element.getBBox()));
const paper = edges(svg.viewBox.baseVal);
for (const [k, one] of texts.entries()) {
  if (!inside(one, paper)) found.add(`${one.words} is cut off`);
  for (const other of texts.slice(k + 1)) if (overlap(one, other)) found.add(`${one.words} is on ${other.words}`);
  for (const box of boxes) if (overlap(one, box) && !inside(one, box)) found.add(`${one.words} is on an edge`);
  const { plate } = one;
  if (plate && (plate.left > one.left || plate.right < one.right)) found.add(`a line runs through ${one.words}`);
}
for (const [k, one] of boxes.entries()) {
  for (const other of boxes.slice(k + 1)) if (overlap(one, other)) found.add("boxes overlap");
}
for (const path of [...svg.querySelectorAll("path")].filter(visible)) {
  const length = path.getTotalLength(), end = path.getPointAtLength(length);
  const half = path.getAttribute("stroke-width") / 2;
  for (let at = 0; at <= length; at += 4) {
    const { x, y } = path.getPointAtLength(at), point = { left: x, right: x, top: y - half, bottom: y + half };
    for (const text of texts) {
      const own = text.plate && Math.abs((text.top + text.bottom) / 2 - end.y) < 3 && Math.abs(y - end.y) < 0.5;
      if (!own && overlap(point, text)) found.add(`a line runs through ${text.words}`);
    }
    const middle = { ...point, top: y, bottom: y };
    for (const box of boxes) if (overlap(middle, box, 1)) found.add("a line runs through a box");
  }
}
return [...found];
"""


def faults(browser, path):
    browser.get(path.as_uri())
    found = browser.execute_script(FAULTS)
    assert browser.get_log("browser") == []
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_collides(browser, tmp_path, name):
    traced(name).to_html(tmp_path / "page.html")
    assert faults(browser, tmp_path / "page.html") == []
    if browser.execute_script("return data.rows.length"):
        browser.execute_script("state.row = 2; go(Math.floor(LAST / 2))")
        assert browser.execute_script(FAULTS) == []


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e200, math.nan, 0.0, -0.0])
def test_numbers_of_any_length(browser, tmp_path, scale):
    t = traced("2-3-1", scale)
    t.to_html(tmp_path / "page.html")
    assert faults(browser, tmp_path / "page.html") == []
    for quantity in ("x[0]", "W1[0,1]", "b2[0]"):
        browser.execute_script("choose(arguments[0])", quantity)
        assert "engine's gradient" in browser.find_element("id", "detail").text
    assert "-0 " not in browser.find_element("css selector", "svg.graph").text + " "


def test_names_of_any_length(browser, tmp_path):
    names = ["the length of the longest sepal, in centimetres " * 9, "\u5bbd\u5ea6" * 40]
    traced("2-3-1").to_html(tmp_path / "page.html", names=names)
    assert faults(browser, tmp_path / "page.html") == []
    traced("2-3-1").to_html(tmp_path / "page.html", names=["\U0001f600\U0001f600 e\u0301", ""])
    assert faults(browser, tmp_path / "page.html") == []


@pytest.mark.parametrize(
    ("name", "quantity"),
    [("2-3-1", "W1[0,1]"), ("2-3-1", "x[0]"), ("residual", "b2[0]"), ("residual", "x[0]"), ("members", "W2[1]")],
)
def test_nothing_collides_in_paths(browser, tmp_path, name, quantity):
    t = traced(name)
    (tmp_path / "paths.html").write_text(t.explain(quantity, row=0 if quantity[0] == "x" else None).svg())
    assert faults(browser, tmp_path / "paths.html") == []


def test_classes(browser, tmp_path):
    net = fp.Network([3, fp.Dense(4, "tanh"), 3], dtype="float64", seed=0)
    t = fp.trace(net, np.random.default_rng(0).normal(size=(2, 3)), [0, 2], loss="cross_entropy")
    t.to_html(tmp_path / "page.html")
    assert faults(browser, tmp_path / "page.html") == []


# ---- in its frame ----

FITS = """
const frame = document.getElementById("drawing"), seen = document.querySelector("svg.graph").getBoundingClientRect();
const letters = [...document.querySelectorAll("svg.graph text")].map((text) => text.getBoundingClientRect().height);
return [frame.scrollWidth <= frame.clientWidth, Math.min(...letters), seen.width / frame.clientWidth,
  document.documentElement.scrollWidth <= innerWidth];
"""
LOW = 9.5  # the height of a line of letters of 8.5 px, the smallest


@pytest.fixture
def screen(browser):
    """Sets the width of the window."""

    def of_width(width):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    yield of_width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def fitted(browser):
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return browser.execute_script(FITS)


@pytest.mark.parametrize("name", ["1-1-1-1", "2-3-1"])
def test_a_small_network_is_seen_whole(browser, tmp_path, screen, name):
    screen(1280)
    traced(name).to_html(tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    whole, low, share, _ = fitted(browser)
    assert whole and low > LOW and share > 0.7
    screen(1920)
    assert fitted(browser)[0] and fitted(browser)[1] > low


@pytest.mark.parametrize("name", ["1-1-1-1", "eight layers", "12-11-2", "large"])
def test_letters_stay_legible_and_only_the_frame_scrolls(browser, tmp_path, screen, name):
    traced(name).to_html(tmp_path / "page.html")
    for width in (390, 1280):
        screen(width)
        browser.get((tmp_path / "page.html").as_uri())
        _, low, _, still = fitted(browser)
        assert low > LOW and still
        browser.find_element("id", "whole").click()
        assert fitted(browser)[0]
        browser.find_element("id", "whole").click()
        browser.find_element("id", "larger").click()
        assert fitted(browser)[1] > low * 1.1  # heights are whole pixels


def test_the_page_is_bounded_and_quick_to_make():
    """However large the network: no forward pass for a single number, which is what finite differences are."""
    net = fp.Network([784, 512, 512, 10], seed=0)
    rng = np.random.default_rng(0)
    t = fp.trace(net, rng.normal(size=(8, 784)), rng.integers(10, size=8), loss="cross_entropy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastprop.explain.numpy_ops.cost", None)
        page = trace_page.page(t)
    assert len(page) < 150_000 and "checked by finite differences" in page
