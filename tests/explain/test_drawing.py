"""What the drawings look like: in Chromium, nothing covers or crosses anything else, whatever the network."""

import math

import numpy as np
import pytest
from layer_cases import EDGES, inputs

import fastprop as fp
from fastprop.explain import html as trace_page

pytestmark = pytest.mark.peer

# Everything that stands where something else does. Boxes of text are those of the font, without the space between two
# lines. A line may go under the plate of its own number, which is the one at whose height it ends.
FAULTS = """
const svg = document.querySelector("svg.graph"), found = [];
const visible = (element) => element.getClientRects().length > 0;
const rounded = (box) => `${box.x.toFixed()},${box.y.toFixed()}`;
const texts = [...svg.querySelectorAll("text")].filter(visible).map((element) => {
  const { x, y, width, height } = element.getBBox();
  const plate = element.parentNode.matches(".on") ? element.parentNode.firstElementChild.getBBox() : null;
  return { words: element.textContent, left: x, right: x + width, top: y, bottom: y + height, plate };
});
const boxes = [...svg.querySelectorAll("g.box > rect")].map((element) => element.getBBox());
const paths = [...svg.querySelectorAll("path")].filter(visible);
const { width, height } = svg.viewBox.baseVal;
for (const [k, one] of texts.entries()) {
  if (one.left < 0 || one.top < 0 || one.right > width || one.bottom > height) found.push(`${one.words} is cut off`);
  for (const other of texts.slice(k + 1)) {
    if (one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom) {
      found.push(`${one.words} is on ${other.words}`);
    }
  }
  for (const box of boxes) {
    const inside = one.left > box.x && one.right < box.x + box.width && one.top > box.y - 1 && one.bottom < box.y + box.height + 1;
    const apart = one.right <= box.x || one.left >= box.x + box.width || one.bottom <= box.y || one.top >= box.y + box.height;
    if (!inside && !apart) found.push(`${one.words} is on the edge of the box at ${rounded(box)}`);
  }
  if (one.plate && (one.plate.x > one.left || one.plate.x + one.plate.width < one.right)) found.push(`a line runs through ${one.words}`);
}
for (const [k, one] of boxes.entries()) {
  for (const other of boxes.slice(k + 1)) {
    if (one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height) {
      found.push(`the boxes at ${rounded(one)} and ${rounded(other)} overlap`);
    }
  }
}
for (const path of paths) {
  const length = path.getTotalLength(), end = path.getPointAtLength(length), half = path.getAttribute("stroke-width") / 2;
  for (let at = 0; at <= length; at += 2) {
    const { x, y } = path.getPointAtLength(at);
    for (const text of texts) {
      const own = text.plate && Math.abs((text.top + text.bottom) / 2 - end.y) < 3 && Math.abs(y - end.y) < 0.5;
      if (!own && x > text.left && x < text.right && y + half > text.top && y - half < text.bottom) {
        found.push(`a line runs through ${text.words}`);
      }
    }
    for (const box of boxes) {
      if (x > box.x + 1 && x < box.x + box.width - 1 && y > box.y + 1 && y < box.y + box.height - 1) found.push(`a line runs through the box at ${rounded(box)}`);
    }
  }
}
return [...new Set(found)];
"""

# name -> the layers after the inputs, the number of inputs, members
NETWORKS = {
    "1-1-1-1": ([1, 1, 1], 1, 1),
    "2-3-1": ([3, 1], 2, 1),
    "4-8-3": ([fp.Dense(8, "tanh"), 3], 4, 1),
    "12-11-2": ([fp.Dense(11, "tanh", bias=False), 2], 12, 1),
    "1-12-12": ([fp.Dense(12, "tanh", bias=False), fp.Dense(12, "tanh", bias=False)], 1, 1),
    "eight layers": ([fp.Dense(3, "tanh") for _ in range(7)] + [1], 3, 1),
    "residual": ([fp.Residual([fp.Dense(4, "tanh"), 3]), 2], 3, 1),
    "two residual blocks": ([fp.Residual([fp.Dense(2, "tanh")]), fp.Residual([fp.Dropout(0.2)]), 1], 2, 1),
    "by column": (
        [fp.ByColumn([(fp.PiecewiseLinear(EDGES[:1]), [2]), (fp.Embedding({0: (3, 4)}), [0])]), fp.Dense(5, "tanh"), 2],
        3,
        1,
    ),
    "embedding": ([fp.Embedding({1: (3, 4)}), fp.Dense(3, "tanh"), 2], 3, 1),
    "piecewise": ([fp.PiecewiseLinear(EDGES, 3, "tanh"), 2], 3, 1),
    "periodic": ([fp.Periodic(2, sigma=0.3), 2], 2, 1),
    "layer norm": ([fp.Dense(3, "tanh"), fp.LayerNorm(), fp.Scale(bias=True), 2], 2, 1),
    "members": ([fp.Dense(2, "prelu"), 2], 2, 3),
    "softmax": ([fp.Dense(3, "tanh"), fp.Dense(3, "softmax")], 2, 1),
    "large": ([500, fp.Residual([fp.Dense(500, "tanh")]), 10], 784, 1),
}


def traced(name, scale=1.0, rows=3):
    layers, n_inputs, members = NETWORKS[name]
    net = fp.Network([n_inputs, *layers], dtype="float64", seed=0, members=members)
    rng = np.random.default_rng(1)
    net.parameters[:] = scale * rng.normal(0, 0.5, net.n_parameters)
    y = rng.normal(size=(rows, net.n_outputs))
    return fp.trace(net, inputs(net, rng, rows), y, loss="half_mse")


def faults(browser, path):
    browser.get(path.as_uri())
    found = browser.execute_script(FAULTS)
    assert browser.get_log("browser") == []
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_collides(browser, tmp_path, name):
    t = traced(name)
    t.to_html(tmp_path / "page.html")
    assert faults(browser, tmp_path / "page.html") == []
    if browser.execute_script("return data.rows.length"):
        for step in range(len(t.graph().steps)):  # with fewer numbers, and with the last ones in bold
            browser.execute_script("go(arguments[0])", step)
            assert browser.execute_script(FAULTS) == []
        browser.execute_script("state.row = 2; go(1000)")
        assert browser.execute_script(FAULTS) == []


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e200, math.nan, 0.0, -0.0])
def test_numbers_of_any_length(browser, tmp_path, scale):
    t = traced("2-3-1", scale)
    t.to_html(tmp_path / "page.html")
    assert faults(browser, tmp_path / "page.html") == []
    assert "-0 " not in browser.find_element("css selector", "svg.graph").text + " "


def test_names_of_any_length(browser, tmp_path):
    names = ["the length of the longest sepal, in centimetres " * 9, "\u5bbd\u5ea6" * 40]
    traced("2-3-1").to_html(tmp_path / "page.html", names=names)
    assert faults(browser, tmp_path / "page.html") == []
    traced("2-3-1").to_html(tmp_path / "page.html", names=["\U0001f600\U0001f600 e\u0301", ""])
    assert faults(browser, tmp_path / "page.html") == []


@pytest.mark.parametrize("quantity", ["W1[0,1]", "b1[0]", "x[0]"])
@pytest.mark.parametrize("name", ["2-3-1", "residual", "members"])
def test_nothing_collides_in_paths(browser, tmp_path, name, quantity):
    t = traced(name)
    if name == "residual":
        quantity = quantity.replace("1[", "2[")
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
LOW = 11.5  # the height of a line of letters of 10 px


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
        assert fitted(browser)[1] > low * 1.2


def test_the_page_is_bounded_and_quick_to_make():
    """However large the network: no forward pass for a single number, which is what finite differences are."""
    net = fp.Network([784, 512, 512, 10], seed=0)
    rng = np.random.default_rng(0)
    t = fp.trace(net, rng.normal(size=(8, 784)), rng.integers(10, size=8), loss="cross_entropy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastprop.explain.numpy_ops.cost", None)
        page = trace_page.page(t)
    assert len(page) < 150_000 and "checked by finite differences" in page
