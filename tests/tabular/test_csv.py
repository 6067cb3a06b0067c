"""Reading tables (csv.py)."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastprop.tabular.csv import read_csv
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import Table, TableError


@pytest.fixture
def read(tmp_path):
    """Return the table of a text, or of bytes, as if it were a file named t.csv."""

    def read(content):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path)

    return read


def table(**columns):
    cells = {name: [str(cell) for cell in column] for name, column in columns.items()}
    n_rows = len(next(iter(cells.values())))
    return Table("t.csv", cells, list(range(2, n_rows + 2)))


class TestReadCsv:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_each_delimiter_is_found(self, read, delimiter):
        t = read("a,b,c\n1,2.5,x\n3,4.5,y\n".replace(",", delimiter))
        assert t.delimiter == delimiter
        assert t.cells == {"a": ["1", "3"], "b": ["2.5", "4.5"], "c": ["x", "y"]}

    def test_semicolons_with_decimal_commas(self, read):
        t = read("a;b\n1,5;2\n-2,25;3\n;4\n")
        assert t.delimiter == ";"
        np.testing.assert_array_equal(t.numbers("a")[0], [1.5, -2.25, np.nan])

    def test_a_comma_between_digits_is_no_decimal_comma_in_a_comma_file(self, read):
        values, failed = read('a,b\n"1,5",2\n').numbers("a")
        assert failed == [0] and np.isnan(values[0])

    def test_delimiter_inside_quotes_does_not_count(self, read):
        t = read('a,"b;c;d;e"\n1,"x;y;z;w"\n2,v\n')
        assert t.names == ("a", "b;c;d;e")
        assert t.cells["b;c;d;e"] == ["x;y;z;w", "v"]

    def test_quotes_newlines_and_the_lines_they_stand_on(self, read):
        t = read('a,b\n"one ""1""\nand more",2\n\n3,"4, 5"\n')
        assert t.cells == {"a": ['one "1"\nand more', "3"], "b": ["2", "4, 5"]}
        assert t.lines == [2, 5]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_encodings_and_line_ends(self, read, encoding, newline):
        t = read("größe,b\nä,1\nö,2\n".replace("\n", newline).encode(encoding))
        assert t.cells == {"größe": ["ä", "ö"], "b": ["1", "2"]}

    def test_one_column(self, read):
        assert read("a\n1\n2\n").cells == {"a": ["1", "2"]}

    def test_blanks_around_cells_and_names_go(self, read):
        assert read(" a , b\n 1 , x \n").cells == {"a": ["1"], "b": ["x"]}

    def test_a_nameless_column_of_row_numbers_is_left_out_and_said(self, read):
        t = read(",a,b\n0,1,2\n1,3,4\n")
        assert t.names == ("a", "b")
        assert t.notes == ("column 1 has no name and is left out",)

    def test_a_trailing_delimiter_is_nothing(self, read):
        t = read("a,b,\n1,2,\n3,4,\n")
        assert t.names == ("a", "b") and t.notes == ()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "empty"),
            (" \n \n", "empty"),
            ("a,b\n", "the names of 2 columns, and no rows"),
            ("a,b\n1,2\n3\n", "line 3: 1 cells where the first line names 2 columns;"),
            ('a,b\n1,"x\ny"\n\n1,2,3\n1\n', r"line 5: 3 cells .* 2 columns \(1 more lines"),
            ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
            ('a,b\n1,2\n3,"4\n5,6\n', "line 3: .*double quote"),
            ("a,b\n1,caf\xe9\n".encode("latin-1"), "line 2: not UTF-8 text"),
            (b"a,b\n1,\x00\n", "zero bytes"),
            (",\n,\n", "names no column"),
        ],
    )
    def test_a_bad_file_is_refused_with_the_line(self, read, content, message):
        with pytest.raises(TableError, match=message):
            read(content)

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_csv(tmp_path / "none.csv")

    @given(
        rows=st.lists(
            st.lists(st.text(alphabet='ab1,;\t"\n \r|é', max_size=6), min_size=3, max_size=3),
            min_size=1,
            max_size=8,
        )
    )
    def test_what_the_csv_module_writes_is_what_is_read(self, tmp_path_factory, rows):
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(["x", "y", "z"])
        writer.writerows(rows)
        path = tmp_path_factory.mktemp("csv") / "t.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        got = read_csv(path)
        stripped = [[cell.strip() for cell in row] for row in rows]
        assert [list(row) for row in zip(*got.cells.values(), strict=True)] == stripped


class TestTable:
    def test_a_missing_column_names_those_there_are_and_the_nearest(self):
        t = table(price=[1], rooms=[2])
        with pytest.raises(TableError, match=r"no column 'prise' \(nearest: 'price'\)") as error:
            t.column("prise")
        assert "'price', 'rooms'" in str(error.value)
        with pytest.raises(TableError, match="nearest: 'rooms'"):
            t.column("ROOMS")

    def test_a_first_line_of_numbers_is_suspected(self):
        t = Table("t.csv", {"5.1": ["1"], "3.5": ["2"]}, [2])
        with pytest.raises(TableError, match="the first line holds numbers"):
            t.column("price")

    def test_gaps(self):
        t = table(a=["", "NA", "n/a", "NaN", "null", "NULL", "0", "none", "nano"])
        assert t.gaps("a").tolist() == [True] * 6 + [False] * 3

    def test_numbers_gaps_and_what_is_neither(self):
        t = table(a=["1", " 2e3", "", "NA", "-.5", "x", "1_000"])
        values, failed = t.numbers("a")
        np.testing.assert_array_equal(values, [1, 2000, np.nan, np.nan, -0.5, np.nan, np.nan])
        assert failed == [5, 6]

    def test_an_underscore_makes_no_number_although_python_thinks_so(self):
        assert table(a=["1_000", "2"]).numbers("a")[1] == [0]

    @pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
    def test_infinity_is_refused_with_line_and_column(self, cell):
        with pytest.raises(TableError, match=f"line 3: column 'a' holds '{cell}', .*infinite"):
            table(a=["1", cell]).numbers("a")


def test_the_work_grows_with_the_cells(read, python_calls):
    """The number of calls is counted, since times depend on the machine; benchmarks/conveniences.py measures times."""

    def work(rows):
        t = read("a,b,c\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]}\n" for i in range(rows)))
        return python_calls(lambda: Encoder.fit(t, Schema.infer(t)).transform(t))

    def reading(rows):
        text = "a,b,c\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]}\n" for i in range(rows))
        return python_calls(lambda: read(text))

    for calls in (work, reading):
        calls(10)  # imports what it needs
        few, many = calls(1000), calls(3000)
        assert many < 3.1 * few, "in proportion"
        assert many < 10 * 3 * 3000, "6 calls a cell for both together"
