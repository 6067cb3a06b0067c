"""The pictures of the documentation show the numbers of the engine and of the results, for every kind of layer."""

import json
import re
from importlib import import_module
from xml.etree import ElementTree

import numpy as np
import pytest
from doc_blocks import DOCS

import fastprop as fp
from fastprop.nn.layers import LAYERS


@pytest.fixture
def written(monkeypatch):
    """What the extensions write, by its name; nothing is written."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    found = {}
    for name in ("layer_pictures", "curves", "of_landing"):
        monkeypatch.setattr(import_module(name), "write", found.__setitem__)
    return found


def dependences(kind):
    layer_pictures = import_module("layer_pictures")
    return layer_pictures.dependences(*layer_pictures.example(kind))


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_has_a_picture(written, kind):
    facts = dict(import_module("layer_pictures").draw(kind))
    picture = ElementTree.fromstring(written[f"layers/{kind}.svg"])
    net, X = import_module("layer_pictures").example(kind)
    assert type(net.layers[0]).__name__ in picture.get("aria-label")
    assert int(facts["parameters"]) == net.n_parameters
    shown = [text.text for text in picture.iter("text") if text.get("class") == "number"]
    n_numbers = X.size + net.n_parameters + len(X) * net.n_outputs
    assert len(shown) == n_numbers
    assert shown[: X.size] == [f"{value:g}" for value in X.ravel()]
    assert "-0" not in shown
    ElementTree.fromstring(written[f"layers/{kind}_thumbnail.svg"])


def test_what_an_output_depends_on(written):
    row, column, (x, W, b) = dependences("dense")
    assert x.tolist() == [[r == row] * 3 for r in range(3)]
    assert W.tolist() == [[c == column for c in range(2)]] * 3
    assert b.tolist() == [[c == column for c in range(2)]]

    row, column, (x, *_) = dependences("batch_norm")  # on the whole column
    assert x.tolist() == [[c == column for c in range(3)]] * 3
    row, column, (x, *_) = dependences("layer_norm")  # on the whole row
    assert x.tolist() == [[r == row] * 4 for r in range(3)]
    for kind in ("activation", "dropout", "scale"):  # on one number
        row, column, (x, *_) = dependences(kind)
        assert np.argwhere(x).tolist() == [[row, column]]
    row, _, (x, table) = dependences("embedding")  # on a category, and on a number of its row of the table
    assert np.argwhere(x).tolist() == [[row, 0]]
    assert table.sum() == 1


def test_a_kind_without_an_example_is_named(written):
    with pytest.raises(KeyError, match="no example of the kind of layer 'attention'"):
        import_module("layer_pictures").draw("attention")


def test_curves_are_those_of_the_engine(written):
    import_module("curves").activation(fp.activations.ACTIVATIONS["tanh"])
    picture = ElementTree.fromstring(written["activations/tanh.svg"])
    assert picture.get("aria-label") == "tanh: solid blue g(z), dashed orange g'(z)"
    first, second = [path.get("d") for path in picture.iter("path") if path.get("class") in ("first", "second")][-2:]
    value, slope = (np.array(re.findall(r"([\d.]+) ([\d.]+)", way), float) for way in (first, second))
    z = np.linspace(-4, 4, 161)
    for drawn, exact in ((value, np.tanh(z)), (slope, 1 - np.tanh(z) ** 2)):
        height = drawn[:, 1]  # pixels, which fall where the function rises
        assert np.abs(np.corrcoef(height, exact)[0, 1] + 1) < 1e-4


def test_the_chart_of_speed_shows_the_results(written):
    landing = import_module("of_landing")
    if not landing.RESULTS.is_dir():
        pytest.skip("an sdist has no results of benchmarks")
    said = landing.speed()
    folder, result = landing.newest()
    newest = max(
        json.loads(path.read_text("utf-8"))["date"][:10] for path in landing.RESULTS.glob("*/peers*.json")
    )
    assert result["date"][:10] == newest
    assert f"Measured on {newest}" in said
    page = (DOCS / "benchmarks" / "index.md").read_text("utf-8")
    cpu, ahead = re.search(rf"\[(.*)\]\({folder}.md\).*\| (\d+ of \d+) \|", page).groups()
    assert cpu in said
    assert ahead in said
    picture = ElementTree.fromstring(written["landing/speed.svg"])
    words = [text.text for text in picture.iter("text")]
    fastest = {row["task"].partition("/")[0] for row in result["rows"] if row["activation"] == "relu"}
    assert fastest & set(words)


@pytest.mark.parametrize("low, high", [(0, 1), (-4.2, 4), (0, 1000), (0.92, 0.97), (44_000, 51_000), (-1e-3, 1e-3)])
def test_ticks_are_round_and_inside(written, low, high):
    ticks = import_module("drawing").ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert low - 1e-9 * abs(low) <= min(ticks)
    assert max(ticks) <= high + 1e-9 * abs(high)
    assert all(len(f"{tick:.10g}".strip("-0.")) <= 5 for tick in ticks)
