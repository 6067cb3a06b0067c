"""Encoders: any table becomes finite inputs, a description in JSON loses nothing, and each input means what it says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastprop.tabular.encoders import WORDS, CategoryEncoding, Encoder, NumberEncoding, TextEncoding, TimeEncoding
from fastprop.tabular.reading import ColumnSchema
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import NumberColumn, Table, TableError, TextColumn, TimeColumn

FLOATS = st.floats(allow_infinity=False, width=64)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def text_column(cells):
    places = {}
    codes = [-1 if cell is None else places.setdefault(cell, len(places)) for cell in cells]
    return TextColumn(np.array(codes, np.int32), tuple(places))


@st.composite
def tables(draw):
    """A table with a column of each kind, and the schema that says so."""
    n = draw(st.integers(2, 30))

    def cells(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    times = np.array(cells(st.integers(-(10**15), 10**16) | st.none()), dtype=object)
    missing = np.array([each is None for each in times])
    stamps = np.where(missing, 0, times).astype(np.int64).astype("datetime64[us]")
    stamps[missing] = "NaT"
    columns = {
        "n": NumberColumn(np.array(cells(FLOATS))),
        "c": text_column(cells(st.sampled_from(["a", "b", "c", None]) | TEXTS)),
        "t": TimeColumn(stamps),
        "w": text_column(cells(st.sampled_from(["the cottage", "a cottage", None]) | TEXTS)),
    }
    kinds = zip(columns, ("number", "category", "time", "text"), strict=True)
    return Table("t", columns, range(1, n + 1)), Schema(tuple(ColumnSchema(*each) for each in kinds))


def fitted(table, schema):
    try:
        return Encoder.fit(table, schema)
    except TableError:  # nothing varies
        return None


@given(tables(), tables())
def test_inputs_are_finite_and_small_whatever_comes(training, new):
    encoder = fitted(*training)
    if encoder is None:
        return
    for table, _ in (training, new):
        X = encoder.transform(table)
        assert X.shape == (table.n_rows, encoder.n_inputs) and X.dtype == np.float32
        for each, column in zip(encoder.inputs, X.T, strict=True):
            if each.role == "number":
                assert np.abs(column).max() <= 3
            elif each.role == "indicator":
                assert np.isin(column, (0, 1)).all()
            else:
                assert np.isin(column, np.arange(each.n_codes)).all()
        assert all(remark.startswith("column ") for remark in encoder.remarks(table))
    assert len(set(encoder.input_names)) <= len(encoder.inputs) == sum(s.stop - s.start for s in encoder.places)


@given(tables(), tables())
def test_a_description_in_json_loses_nothing(training, new):
    encoder = fitted(*training)
    if encoder is None:
        return
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again == encoder
    np.testing.assert_array_equal(again.transform(new[0]), encoder.transform(new[0]))


@given(tables())
def test_the_order_of_rows_and_columns_changes_nothing(training):
    encoder = fitted(*training)
    if encoder is None:
        return
    table, schema = training
    X = encoder.transform(table)
    order = np.random.default_rng(0).permutation(table.n_rows)
    np.testing.assert_array_equal(encoder.transform(table.take(order)), X[order])
    turned = Table("t", dict(reversed(table.columns.items())), table.lines)
    np.testing.assert_array_equal(encoder.transform(turned), X)
    assert Encoder.fit(table.take(order), schema) == encoder


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_numbers_of_any_size_are_scaled(scale):
    number = NumberEncoding.fit("x", np.array([-1.0, 0, 1, 1.5]) * scale)
    out = np.empty((4, 1))
    number.transform(np.array([-1.0, 0, 1, 1.5]) * scale, out)
    assert np.ptp(out) > 0.5 and np.isfinite(out).all()


def column(cells):
    made = text_column(cells)
    return made.codes, made.texts


def test_the_parts_of_a_time_that_vary_are_inputs():
    days = np.array(["2024-02-28", "2024-02-29", "2024-03-01", "2025-03-01"], "datetime64[us]")
    time = TimeEncoding.fit("t", days)
    assert [part.name for part in time.parts] == ["t: days", "t: year", "t: month", "t: day", "t: weekday"]
    hours = np.array(["2024-02-28T05:30", "2024-02-28T23:15"], "datetime64[us]")
    assert [part.name for part in TimeEncoding.fit("t", hours).parts] == ["t: days", "t: hour"]
    monday = np.array(["2026-11-30", "2026-11-29"], "datetime64[us]")
    weekday = next(part for part in TimeEncoding.fit("t", monday).parts if part.name.endswith("weekday"))
    assert weekday.center == 3.0  # Monday is 0, Sunday is 6


def test_frequent_words_of_a_text_are_inputs():
    text = TextEncoding.fit("w", column(["The old cottage", "cottage!", "a flat", "new flat", "sold"] * 4))
    assert text.words == ("a", "cottage", "flat", "new", "old", "sold", "the")
    out = np.empty((1, len(text.inputs)))
    text.transform(column(["COTTAGE, old"]), out)
    assert dict(zip([each.name for each in text.inputs], out[0]))["w has 'cottage'"] == 1
    many = TextEncoding.fit("w", column([f"w{k} w{k + 1}" for k in range(99)] * 2))
    assert len(many.words) <= WORDS


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (NumberEncoding, {"name": "x", "center": float("nan"), "scale": 1.0, "gaps": False}),
        (NumberEncoding, {"name": "x", "center": 0.0, "scale": 0.0, "gaps": False}),
        (NumberEncoding, {"name": 3, "center": 0.0, "scale": 1.0, "gaps": False}),
        (CategoryEncoding, {"name": "c", "categories": ["a", 5], "gaps": False}),
        (CategoryEncoding, {"name": "c", "categories": ["a"], "gaps": "yes"}),
        (TimeEncoding, {"name": "t", "parts": [{"name": "x"}]}),
        (TextEncoding, {"name": "w", "words": [None], "length": None}),
    ],
)
def test_a_description_from_anyone_is_checked(make, fields):
    with pytest.raises((ValueError, TypeError)):
        make(**fields)
