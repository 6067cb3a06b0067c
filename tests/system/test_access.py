"""The pages that fastprop writes, as everyone sees them: axe-core, contrast, zoom, motion, paper, keys.

The playground's are in test_browser.py, notebooks' in test_notebooks.py, and those of the documentation are looked at
by tools/check_pages, once they are built.
"""

import csv

import numpy as np
import pytest

import fastprop as fp

pytestmark = pytest.mark.peer

# ---- the page of a trace ----


def small_trace():
    net = fp.Network([2, fp.Dense(3, "tanh"), 1], dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    return fp.trace(net, rng.normal(size=(2, 2)), rng.normal(size=2), loss="half_mse")


def large_trace():
    net = fp.Network([784, 128, 10], seed=0)
    rng = np.random.default_rng(0)
    return fp.trace(net, rng.normal(size=(8, 784)), rng.integers(10, size=8), loss="cross_entropy")


STATES = {
    "at the end": "",
    "at the start": "document.getElementById('first').click()",
    "half way": "for (const id of ['first', 'next', 'next', 'next']) document.getElementById(id).click()",
    "worksheet": "document.getElementById('worksheet').click()",
    "explanation": "document.querySelector('[data-quantity]').dispatchEvent(new Event('click', { bubbles: true }))",
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_of_a_small_trace(browser, inspector, tmp_path, state):
    small_trace().to_html(tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    browser.execute_script(STATES[state])
    inspector.check()


@pytest.mark.parametrize("state", ["at the end", "half way"])
def test_the_page_of_a_large_trace(browser, inspector, tmp_path, state):
    large_trace().to_html(tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    browser.execute_script(STATES[state])
    inspector.check()


# ---- the report of `fastprop train` ----


def plane():
    """Return a header and rows of a regression with a category and gaps."""
    random, rows = np.random.default_rng(1), []
    for k in range(120):
        a, b, kind = random.normal(), random.uniform(-2, 2), random.choice(["up", "down"])
        rows.append([a, "NA" if k % 20 == 3 else b, kind, 3000 + 500 * a - 200 * b + 100 * (kind == "up")])
    return ["a", "b", "kind", "y"], rows


def blobs():
    """Return a header and rows of three classes."""
    random, centres = np.random.default_rng(2), [(0, 0), (3, 0), (0, 3)]
    return ["x", "y", "colour"], [
        [*random.normal(centres[k % 3]), ("red", "green", "blue")[k % 3]] for k in range(120)
    ]


@pytest.mark.parametrize("table", [plane, blobs])
def test_the_report_of_a_training(browser, inspector, tmp_path, monkeypatch, run, table):
    pytest.importorskip("matplotlib", reason="the `peers` extra is not installed")
    monkeypatch.chdir(tmp_path)
    header, rows = table()
    with open("table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    how = ("--target", header[-1], "--effort", "low", "--no-compare", "--report", "report.html")
    status, _, told = run("train", "table.csv", *how)
    assert status == 0, told
    browser.get((tmp_path / "report.html").as_uri())
    inspector.check()


# ---- what looks at them ----

FAULTS = """<!DOCTYPE html><html lang="en"><head><title>Faults</title><style>
body { background: #fff; color: #000; }
button { outline: none !important; transition: color 1s; border: 1px solid #ccc; background: #fff }
</style></head><body><main><h1>Faults</h1><p style="color: #999">pale</p><button></button>
<div style="overflow: hidden; width: 50px; white-space: nowrap">a line that is cut on paper</div>
<svg width="50" height="20"><path d="M0,9H50" stroke="#ccc"/><rect width="50" height="20"/>
<text x="2" y="15" fill="#333">dark</text></svg>
<div style="width: 1400px">wide</div></main></body></html>"""


def test_every_kind_of_fault_is_found(browser, inspector, tmp_path):
    (tmp_path / "page.html").write_text(FAULTS)
    browser.get((tmp_path / "page.html").as_uri())
    found = "\n".join(inspector.everything())
    for fault in (
        "1280 px, light: color-contrast (serious): p",
        '390 px, dark: text p "pale": contrast 2.85, wanted 4.5',
        '1280 px, light: text text "dark": contrast 1.66, wanted 4.5',
        'border of button "": contrast 1.61, wanted 3',
        'line path "" rgb(204, 204, 204) at opacity 1.00: contrast 1.61, wanted 3',
        'button "" looks the same with the focus',
        "button-name (critical)",
        "a button has no name",
        "320 px: the page is",
        'reduced motion: button "" has a transition of 1s',
        'paper: div "a line that is cut on paper" is cut',
    ):
        assert fault in found, found
