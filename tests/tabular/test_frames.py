"""Tables from DataFrames: every kind of column, from every library, and what cannot be taken."""

import datetime
import decimal

import numpy as np
import pytest

pytest.importorskip("narwhals")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

from fastprop.tabular.schema import Schema  # noqa: E402
from fastprop.tabular.table import NumberColumn, Table, TableError, TextColumn, TimeColumn  # noqa: E402

pytestmark = pytest.mark.peer

NOON = datetime.datetime(2026, 11, 29, 12, 30)
CELLS = {
    "int": [1, 2, None],
    "float": [1.5, float("nan"), None],
    "bool": [True, False, None],
    "text": ["a", "b", None],
    "time": [NOON, NOON + datetime.timedelta(days=1), None],
    "date": [NOON.date(), NOON.date(), None],
    "span": [datetime.timedelta(seconds=90), datetime.timedelta(0), None],
    "decimal": [decimal.Decimal("1.25"), decimal.Decimal("2.50"), None],
}
LIBRARIES = {
    "pandas": pd.DataFrame,
    "nullable": lambda cells: pd.DataFrame(cells).convert_dtypes(),
    "pyarrow in pandas": lambda cells: pd.DataFrame(cells).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda cells: pl.DataFrame(cells, strict=False),
    "pyarrow": lambda cells: pa.table(cells),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_kind_of_column(library):
    table = Table.from_frame(LIBRARIES[library](CELLS))
    schema = Schema.infer(table, keep=table.names)
    read = dict(zip(schema.names, schema.read(table), strict=True))
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds == {
        "int": "number", "float": "number", "bool": "category", "text": "category", "time": "time", "date": "time",
        "span": "number", "decimal": "number",
    }  # fmt: skip
    np.testing.assert_array_equal(read["int"], [1, 2, np.nan])
    np.testing.assert_array_equal(read["float"], [1.5, np.nan, np.nan])
    np.testing.assert_array_equal(read["span"], [90, 0, np.nan])
    np.testing.assert_array_equal(read["decimal"], [1.25, 2.5, np.nan])
    codes, texts = read["bool"]
    assert [None if code < 0 else texts[code] for code in codes] == ["True", "False", None]
    codes, texts = read["text"]
    assert [None if code < 0 else texts[code] for code in codes] == ["a", "b", None]
    assert read["time"][0] == np.datetime64(NOON, "us") and np.isnat(read["time"][2])
    assert read["date"][0] == np.datetime64(NOON.date(), "us")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_file_of_the_frame_reads_alike(library, tmp_path):
    from fastprop.tabular.csv import read_csv

    cells = {name: values for name, values in CELLS.items() if name != "span"}  # of which files have many forms
    table = Table.from_frame(LIBRARIES[library](cells))
    pd.DataFrame(cells).to_csv(tmp_path / "t.csv", index=False)
    schema = Schema.infer(table, keep=table.names)
    for name, one, other in zip(schema.names, schema.read(table), schema.read(read_csv(tmp_path / "t.csv"))):
        if isinstance(one, tuple):
            one, other = ([None if c < 0 else texts[c] for c in codes] for codes, texts in (one, other))
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_categories_stay_categories_even_of_numbers():
    frame = pd.DataFrame({"c": pd.Categorical([3, 1, 3]), "o": pd.Categorical(["x", None, "y"], ordered=True)})
    for each in (frame, pl.DataFrame({"c": pl.Series(["3", "1", "3"], dtype=pl.Categorical), "o": ["x", None, "y"]})):
        table = Table.from_frame(each)
        assert Schema.infer(table, keep=table.names).columns[0].kind == "category"
        assert [table["c"].cell(row) for row in range(3)] == ["3", "1", "3"]


def test_times_with_a_zone_are_the_hours_of_the_clock():
    stamps = pd.to_datetime(["2026-07-01T12:00", "2026-01-01T12:00"]).tz_localize("Europe/Berlin")
    for frame in (pd.DataFrame({"t": stamps}), pl.DataFrame({"t": list(stamps.to_pydatetime())})):
        values = Table.from_frame(frame)["t"].values
        assert set(values.astype("datetime64[h]").astype(int) % 24) <= {12, 10, 11}
    assert (
        Table.from_frame(pd.DataFrame({"t": stamps}))["t"].values.astype("datetime64[h]").astype(int) % 24 == 12
    ).all()


def test_arrays_and_dicts():
    table = Table.from_frame(np.array([[1, 2], [3, 4]]))
    assert table.names == ("x0", "x1") and isinstance(table["x0"], NumberColumn)
    table = Table.from_frame({"a": [1, 2], "b": ["x", "y"], "c": np.array(["2026-11-29", "NaT"], "datetime64[s]")})
    assert [type(column) for column in table.columns.values()] == [NumberColumn, TextColumn, TimeColumn]
    mixed = Table.from_frame(np.array([[1.0, "x"], [None, "y"]], dtype=object))
    assert mixed["x0"].cell(0) == "1" and mixed["x0"].cell(1) == ""


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": [1, 2], "b": [1]}, "all of one length"),
        ({}, "needs columns"),
        (np.zeros((2, 3, 4)), "two dimensions"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "one name|duplicate|unique"),
        (pd.DataFrame({"a": [[1], [2]]}), "holds list"),
        (pl.DataFrame({"a": [[1], [2]]}), "holds List"),
        (pd.DataFrame({"a": [b"x", b"y"]}), "holds bytes"),
    ],
)
def test_what_cannot_be_taken_is_named(frame, message):
    with pytest.raises((TableError, TypeError, ValueError), match=message):
        Table.from_frame(frame)


def test_an_infinite_number_of_a_frame_is_named():
    table = Table.from_frame(pd.DataFrame({"a": [1.0, np.inf, 2.0]}))
    with pytest.raises(TableError, match=r"line 2: column 'a' holds 'inf', which is infinite"):
        Schema.infer(table)
