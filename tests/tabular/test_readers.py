"""Tables from files of other kinds than CSV, by libraries that may not be installed (readers.py)."""

import datetime

import numpy as np
import pytest

from fastprop.tabular import readers
from fastprop.tabular.csv import read_csv
from fastprop.tabular.readers import read_table
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import TableError


def test_csv_is_read_by_read_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    said = []
    table, same = read_table(path, lambda rows, share: said.append(rows)), read_csv(path)
    assert table.names == same.names and table["b"].texts == same["b"].texts and said == [2]


def test_without_a_library_the_message_names_one(tmp_path, monkeypatch):
    path = tmp_path / "t.bin"  # the name does not matter
    path.write_bytes(b"PAR1....")
    monkeypatch.setattr(readers, "_is_installed", lambda name: False)
    with pytest.raises(
        TableError, match=r"t.bin is a Parquet file, which needs .* pip install 'fastprop-nn.parquet.', or save"
    ):
        read_table(path)


@pytest.mark.peer
@pytest.mark.parametrize("library", ["pyarrow", "polars"])
@pytest.mark.parametrize("kind", ["parquet", "feather"])
class TestOtherKinds:
    @pytest.fixture(autouse=True)
    def _only(self, library, monkeypatch):
        pytest.importorskip("narwhals")
        pytest.importorskip(library)
        monkeypatch.setattr(readers, "_is_installed", lambda name: name in ("narwhals", library))

    def test_the_same_table_as_from_csv(self, kind, library, tmp_path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        frame = pandas.DataFrame(
            {
                "n": [1.5, np.nan, -2.0],
                "k": [1, 2, 3],
                "text": ["x", None, "é"],
                "flag": [True, False, True],
                "day": [datetime.datetime(2026, 1, 2, 3), None, datetime.datetime(2026, 2, 3)],
                "zone": pandas.to_datetime(["2026-01-02 03:00", "2026-07-02 03:00", None]).tz_localize("Europe/Berlin"),
            }
        )
        getattr(frame, f"to_{kind}")(tmp_path / "t.bin")
        frame.to_csv(tmp_path / "t.csv", index=False)
        tables = [read_table(tmp_path / name) for name in ("t.bin", "t.csv")]
        schemas = [Schema.infer(table) for table in tables]
        assert schemas[0] == schemas[1] or [c.kind for c in schemas[0].columns] == [c.kind for c in schemas[1].columns]
        for values, same in zip(*(schema.read(table) for schema, table in zip(schemas, tables)), strict=True):
            if isinstance(values, tuple):  # codes may be counted in another order
                values, same = ([texts[code] if code >= 0 else "" for code in codes] for codes, texts in (values, same))
            np.testing.assert_array_equal(values, same)

    def test_a_damaged_file_is_refused_in_one_sentence(self, kind, library, tmp_path):
        path = tmp_path / "t.bin"
        path.write_bytes({"parquet": b"PAR1", "feather": b"ARROW1"}[kind] + b"\0" * 100)
        with pytest.raises(TableError, match=f"t.bin cannot be read as {kind.capitalize()}"):
            read_table(path)
