"""What notebooks show: parsed, and in a page that allows nothing but styles."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastprop as fp
from fastprop.training.history import History

EVIL = "<script>alert('1')</script> & \"b\""


def trained():
    """Return a network, its history with a column of a callback, and its watch."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    net = fp.Network([3, 8, fp.Residual([4, 8], "tanh"), fp.Dropout(0.1), 1], seed=0)
    watch = fp.Watch(share=1, warn=False)
    history = net.fit(X, X[:, :1], loss="half_mse", epochs=4, validation=0.2, callbacks=watch)
    history[EVIL] = [EVIL] * 4
    return net, history, watch


def deep(n):
    return fp.Network([4] + [2] * n + [1], seed=0)


@pytest.fixture(scope="module")
def shown():
    """Return everything that has a representation in HTML, by name."""
    net, history, watch = trained()
    small = fp.Network([2, 3, 1], activation="tanh", seed=0).trace([[1, -2], [0.5, 0]], [[1], [0]], loss="half_mse")
    n = 100_000
    long = History(epoch=[*range(1, n + 1)], cost=[1 / (k + 1) for k in range(n)], validation_cost=[np.nan] * n)
    tall = fp.Watch(share=1, warn=False)
    deep(30).fit(np.ones((20, 4)), np.ones((20, 1)), loss="half_mse", epochs=2, callbacks=tall)
    edges = np.linspace(0, 1, 48).tolist()
    columns = fp.ByColumn([(fp.Embedding({0: (3, 4)}), [0]), (fp.PiecewiseLinear([edges]), [2])])
    return {
        "network": net,
        "members": fp.Network([3, columns, fp.Dense(5, "silu"), fp.Dropout(0.1), 2], members=4, seed=0),
        "deep network": deep(2000),
        "ensemble": fp.Ensemble(2, [3, 4, 1], seed=0),
        "history": history,
        "long history": long,
        "no epoch": History(),
        "diverged": History(epoch=[1, 2, 3], cost=[1e308, float("inf"), float("nan")]),
        "watch": watch,
        "deep watch": tall,
        "new watch": fp.Watch(),
        "weight": small.explain("W1[0,2]"),
        "input": small.explain("x[0]", row=1),
        "long paths": deep(40).trace(np.ones((1, 4)), [[1.0]], loss="half_mse").explain("x[0]"),
    }


NAMES = [
    *("network", "members", "deep network", "ensemble", "history", "long history", "no epoch", "diverged"),
    *("watch", "deep watch", "new watch", "weight", "input", "long paths"),
]


class Page(HTMLParser):
    """Reads a fragment; fails where tags do not match, and collects them with their attributes, and the text."""

    def __init__(self, fragment):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(fragment)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.replace("\N{NO-BREAK SPACE}", " ") if self.open[-1:] != ["style"] else ""


@pytest.mark.parametrize("name", NAMES)
def test_a_representation_is_short_safe_and_labelled(shown, name):
    page = Page(shown[name]._repr_html_())
    assert len(shown[name]._repr_html_()) < 100_000
    for tag, attributes in page.tags:
        assert tag != "script" and not any(each.startswith("on") or each in ("src", "href") for each in attributes)
        assert tag != "th" or attributes["scope"] in ("row", "col")
        assert tag != "svg" or attributes.get("aria-hidden") or (attributes["role"] and attributes["aria-label"])
    assert "-0 " not in page.text


def test_the_history_has_its_curves_and_the_best_epoch(shown):
    history = shown["history"]
    page = Page(history._repr_html_())
    best = int(np.argmin(history["validation_cost"]))
    assert f"in epoch {best + 1}" in page.text and f"{best + 1} (best)" in page.text and EVIL in page.text
    curves = [attributes for tag, attributes in page.tags if attributes.get("class") == "curve"]
    assert [each["style"] for each in curves] == ["stroke: var(--training)", "stroke: var(--held-out)"]
    assert "stroke-dasharray" in curves[1] and "stroke-dasharray" not in curves[0]
    assert sum(tag == "circle" for tag, _ in page.tags) == 2, "on the curve, and in the legend"
    marked = [line for line in str(history).splitlines() if line.endswith("best")]
    assert len(marked) == 1 and int(marked[0].split()[0]) == best + 1


def test_a_watch_shows_what_it_has_when_it_is_shown():
    watch = fp.Watch(share=1, warn=False)
    assert "nothing is recorded yet" in watch._repr_html_() and "nothing is recorded yet" in repr(watch)
    net, X = fp.Network([2, 4, 1], seed=0), np.ones((10, 2))
    for epochs in (3, 5):
        net.fit(X, X[:, :1], loss="half_mse", epochs=epochs, callbacks=watch)
        text = Page(watch._repr_html_()).text
        assert f"{len(set(watch.table()['epoch']))} epochs of 2 layers" in text and "1: dense relu" in text


def test_an_explanation_shows_paths_factors_and_checks(shown):
    e = shown["weight"]
    text = Page(e._repr_html_()).text
    for path in e.paths:
        assert all(edge.symbol in text and f"{edge.derivative:.10g}" in text for edge in path.edges)
        assert f"{path.product:.10g}" in text
    for value in (e.total, e.gradient, e.finite_difference, e.complex_step):
        assert f"{value:.10g}" in text
    assert e._repr_latex_().startswith("$$")


@pytest.mark.parametrize("name", ["network", "members"])
def test_the_rows_of_a_network_sum_to_its_parameters(shown, name, capsys):
    shown[name].summary()
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["layer", "activation", "in", "out", "parameters"]
    last = [row.split()[-1].replace(",", "") for row in rows if len(row) == len(header)]
    assert sum(map(int, last)) == shown[name].n_parameters
    assert total.startswith(f"{shown[name].n_parameters:,} parameters")


OF_EACH_KIND = ("members", "history", "watch", "weight")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
PAGE = """<!doctype html><html lang="en" {theme}><head><meta charset="utf-8"><title>Notebook</title>
<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"></head><body><main><h1>Notebook</h1>{body}</main></body></html>"""


@pytest.mark.peer
@pytest.mark.parametrize(
    "width, system, theme",
    [
        (390, "light", ""),
        (1280, "dark", ""),
        (1280, "light", 'data-jp-theme-light="false"'),
        (390, "dark", 'data-theme="light"'),
    ],
)
def test_in_a_page_that_allows_styles_alone(browser, inspector, shown, width, system, theme):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": system}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    body = "".join(f"<section aria-label='{name}'>{shown[name]._repr_html_()}</section>" for name in OF_EACH_KIND)
    page = PAGE.format(theme=theme, policy=POLICY, body=body)
    browser.get("data:text/html;base64," + base64.b64encode(page.encode()).decode())
    assert [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]] == []
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(overflow) <= 0
    dark = "false" in theme or (system == "dark" and not theme)
    ground = browser.execute_script("return getComputedStyle(document.querySelector('.fastprop')).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    inspector.check(themes=[system], widths=[width])


@given(st.lists(st.floats(), max_size=30), st.lists(st.floats(0, 1e-300), max_size=30))
def test_every_number_can_be_drawn(cost, small):
    for values in (cost, small):
        history = History(epoch=[*range(1, len(values) + 1)], cost=values)
        page = Page(history._repr_html_())
        for tag, attributes in page.tags:
            if tag == "path" and attributes.get("class") == "curve":
                places = [float(each) for each in re.findall(r"-?[\d.]+", attributes["d"])]
                assert "nan" not in attributes["d"] and all(-1 <= each <= 400 for each in places)
