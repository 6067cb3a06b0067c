"""The tutorial in a browser: exercises tell right from wrong, graphs show their page's numbers, pages lead to the next.

And examples/autograd.py, which one of its pages explains: it computes what the engine computes.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastprop as fp

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *("neuron", "mean", "descent", "chain", "graph", "layers", "passes"),
    *("worked_example", "common_mistakes", "autograd"),
]

# The answers of each page's exercises, worked out by hand.
ANSWERS = {
    "neuron": [2.53125, -4.5, 2.1],
    "mean": [0.5 / 3, 1.1484375 * 4 / 5, 0.5],
    "descent": [0.36, 0.25, 0.9],
    "chain": [-0.5, 1.5 * 0.015521, 1 / 32],
    "graph": [9, 0.6 * 0.961043 * 1.5 * 0.738497 * 2 * 0.26152, 0.5 * 0.738497 * 2 / 0.980742],
    "layers": [5.4, 0.525, 0],
    "passes": [40, 0.32, -2 / 3],
    "worked_example": [0.596884378 * -0.038098237, 0.241301 * (0.138498562 * 0.35891648 - 0.038098237 * 0.51130127)],
    "common_mistakes": [-5, -3],
    "autograd": [12, 8192],
}

# Of each page a few numbers of its text, as its graph writes them.
SHOWN = {
    "neuron": ["-1.75", "3.781", "-2.75"],
    "mean": ["-1.75", "3.781", "-2.75"],
    "descent": ["0.4889", "0.1221", "-0.1184"],
    "chain": ["0.6341", "0.4333", "0.6334", "0.1344"],
    "graph": ["1.262", "0.523", "0.1648"],
    "layers": ["2.85", "3.05", "5.037"],
    "passes": ["0.1862"],
    "worked_example": ["0.5933", "0.7514", "0.2984", "0.1385"],
    "common_mistakes": ["-0.2926", "1.5", "-0.5"],
    "autograd": ["0.1403", "-0.04248"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the tutorial's pages, built without the rest of the documentation."""
    for package in ("sphinx", "myst_parser", "furo", "latex2mathml", "matplotlib"):
        pytest.importorskip(package, reason="the `docs` extra is not installed")
    folder = tmp_path_factory.mktemp("tutorial")
    extensions = "myst_parser,mathml,pictures,traces,exercises"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", ROOT / "docs"]
    command += ["-D", f"extensions={extensions}", "-D", "suppress_warnings=myst.xref_missing", "-W", "--keep-going"]
    path = os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))
    done = subprocess.run(
        [*command, ROOT / "docs" / "tutorial", folder],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def page(built, browser):
    """Opens a page of the tutorial; gives the browser."""

    def opened(name):
        browser.get((built / f"{name}.html").as_uri())
        return browser

    return opened


def _said(form):
    return form.find_element("css selector", "[role=status]").text


def _answer(form, typed):
    """Type an answer as a reader does by the keyboard, and return what the page says."""
    from selenium.webdriver import Keys

    field = form.find_element("css selector", "input")
    field.clear()
    field.send_keys(typed, Keys.ENTER)
    return _said(form)


@pytest.mark.peer
@pytest.mark.parametrize("name", PAGES)
def test_exercises(page, name):
    """The answers worked out by hand are right, others are refused, and common mistakes are explained."""
    forms = page(name).find_elements("css selector", ".exercise-form")
    assert len(forms) == len(ANSWERS[name])
    for form, answer in zip(forms, ANSWERS[name]):
        assert _answer(form, f"{answer:.4g}") == "Right."
        assert _answer(form, f"{answer * 1.3 + 0.7:.6g}").startswith("Not yet")
        for value, words in json.loads(form.get_attribute("data-mistakes")):
            assert _answer(form, repr(value)) == f"Not yet. {words}"


@pytest.mark.peer
def test_an_answer_may_be_written_in_many_ways(page):
    form = page("mean").find_element("css selector", ".exercise-form")  # 1/6
    minus = "\N{MINUS SIGN}"
    for typed in ("1/6", "0.167", " .1667", "0,167", "1.667e-1", "-1/-6", f"{minus}1 / {minus}6", "+0.166666"):
        assert _answer(form, typed) == "Right.", typed
    for typed in ("seven", "1/0", "1/2/3", "/", "0x1", "--1", "Infinity", "1e400", "1 6th", "1..2", "e5"):
        assert _answer(form, typed) == "This is not a number. Write it as -2.75 or as 3/4.", typed
    for typed, words in (("", "Type a number"), ("-1/6", "Not yet: the size is right, the sign"), ("0.17", "Close.")):
        assert _answer(form, typed).startswith(words), typed
    many = page("autograd").find_elements("css selector", ".exercise-form")[1]  # 8192
    assert _answer(many, "8,192") == "Right."


@pytest.mark.peer
def test_an_exercise_serves_readers_without_a_mouse_and_without_a_screen(page):
    """Fields have names, verdicts are announced, hint and answer unfold by a key, new input clears the verdict."""
    from selenium.webdriver import Keys

    browser = page("neuron")
    group = browser.find_element("css selector", ".exercise")
    assert group.aria_role == "group"
    assert group.accessible_name == "Exercise 1: Another row"
    field = group.find_element("css selector", "input")
    assert field.accessible_name == "L ="
    assert field.get_attribute("aria-describedby") == group.find_element("css selector", ".verdict").get_attribute("id")
    hint, answer = group.find_elements("css selector", "details")
    for part in (hint, answer):
        assert part.get_attribute("open") is None
        part.find_element("css selector", "summary").send_keys(Keys.ENTER)
        assert part.get_attribute("open") is not None
    assert "L = 2.531" in answer.text
    form = group.find_element("css selector", "form")
    _answer(form, "3")
    assert field.get_attribute("aria-invalid") == "true"
    field.send_keys("1")
    assert _said(form) == ""
    assert browser.execute_script("return localStorage.length + sessionStorage.length") == 0


@pytest.mark.peer
@pytest.mark.parametrize("name", PAGES)
def test_the_graph_has_the_numbers_of_its_page(page, name):
    browser = page(name)
    frame = browser.find_element("css selector", "iframe.trace")
    browser.execute_script("arguments[0].scrollIntoView()", frame)
    browser.switch_to.frame(frame)
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('svg text')].map((each) => each.textContent).join(' ')"
    )
    browser.switch_to.default_content()
    numbers = set(re.findall(r"-?\d+(?:\.\d+)?", drawn))
    said = [float(each) for each in re.findall(r"-?\d+\.?\d*", browser.find_element("css selector", "article").text)]
    for number in SHOWN[name]:
        assert number in numbers, drawn
        # Text may have fewer digits than the graph, or more.
        assert any(abs(float(number) - each) <= 0.006 * abs(each) for each in said if each), number


@pytest.mark.peer
def test_pages_lead_from_one_to_the_next(built):
    """`Next` leads from the overview through all pages; each says what it needs; links between pages have targets."""
    pages = {name: (built / f"{name}.html").read_text("utf-8") for name in ("index", *PAGES)}
    for before, name in zip(pages, PAGES):
        assert re.search(r'class="next-page" href="(.*?)\.html"', pages[before])[1] == name
        first = re.sub(r"<.*?>", "", re.search(r"</h1>\s*<p>(.*?)</p>", pages[name], re.DOTALL)[1])
        assert first.startswith("Needs:")
        assert re.search(r"Time: \d+ minutes", first)
        assert ("Before:" in first) is (name != PAGES[0])
    for name, page in pages.items():
        article = page[page.index("<article") : page.index("</article")]
        links = re.findall(r'<a class="[^"]*internal[^"]*" href="([^"#]*)(?:#([^"]*))?"', article)
        assert len(links) >= 2
        for target, place in links:
            to = Path(target).stem if target else name
            if target.endswith(".html") or not target:
                assert to in pages, f"{name}: {target}"
                assert not place or f'id="{place}"' in pages[to], f"{name}: {target}#{place}"


@pytest.mark.peer
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    for name in ("index", *PAGES):
        browser = page(name)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert wide <= width, name


# ---- examples/autograd.py ----


@pytest.fixture(scope="module")
def autograd():
    """The module of the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        import autograd
    return autograd


def test_autograd_is_short():
    text = (ROOT / "examples" / "autograd.py").read_text("utf-8")
    assert len(text.splitlines()) <= 200


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    names=st.lists(st.sampled_from(["identity", "relu", "tanh", "sigmoid"]), min_size=4, max_size=4),
    rows=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_autograd_computes_the_engines_gradient(autograd, sizes, names, rows, seed):
    """Of numbers and of arrays, for any network, and again for the next step: gradients start from 0 each time."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))
    net = fp.Network([sizes[0], *map(fp.Dense, sizes[1:], names)], dtype="float64", seed=seed)
    net.parameters[:] += rng.normal(0, 0.1, net.n_parameters)
    parameters = [autograd.Number(value) for value in net.parameters]
    network = autograd.network_of_numbers(sizes, names, parameters)
    layers = [(autograd.Array(W), autograd.Array(b), name) for W, b, name in zip(net.weights, net.biases, names)]
    C, gradient = net.value_and_gradient(x, y, loss="half_mse")
    for _ in range(2):
        cost = sum(autograd.half_mse(network(row), target) for row, target in zip(x, y)) * (1 / rows)
        cost.backward()
        np.testing.assert_allclose(cost.value, C, rtol=1e-12)
        np.testing.assert_allclose([each.gradient for each in parameters], gradient, rtol=1e-10, atol=1e-12)
        cost = autograd.network_of_arrays(layers, x).half_mse(y)
        cost.backward()
        found = np.concatenate([part.gradient.ravel() for W, b, _ in layers for part in (W, b)])
        np.testing.assert_allclose(cost.value, C, rtol=1e-12)
        np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-12)


def test_autograd_reaches_beyond_pythons_nested_calls(autograd):
    u = autograd.Number(1.0)
    v = u
    for _ in range(5000):
        v = v + u
    v.backward()
    assert u.gradient == 5001
