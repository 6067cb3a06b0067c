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
