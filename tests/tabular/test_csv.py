"""Reading CSV files: every fault that files have, as a small file (csv.py, dialect.py, columns.py)."""

import contextlib
import csv
import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import HOUSING, needs_housing

from fastprop.tabular.columns import LATE_ROWS
from fastprop.tabular.csv import parse_csv, read_csv
from fastprop.tabular.reading import read_numbers
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import NumberColumn, TableError, TextColumn


@pytest.fixture
def read(tmp_path):
    """Return the table of a text, or of bytes, as if it were a file named t.csv."""

    def read(content, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, **options)

    return read


def cells(table):
    """Return the texts of a table by column."""
    return {name: [column.cell(row) for row in range(len(column))] for name, column in table.columns.items()}


class TestDialect:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
    def test_each_delimiter_is_found(self, read, delimiter):
        t = read("a,b,c\n1,2.5,x\n3,4.5,y\n".replace(",", delimiter))
        assert cells(t) == {"a": ["1", "3"], "b": ["2.5", "4.5"], "c": ["x", "y"]}
        assert t.lines.tolist() == [2, 3]

    def test_several_blanks_between_cells(self, read):
        assert cells(read("a  b c\n1   2 3\n10 20  30\n")) == {"a": ["1", "10"], "b": ["2", "20"], "c": ["3", "30"]}

    def test_blanks_in_names_and_cells_delimit_nothing_beside_commas(self, read):
        assert cells(read("a b,c d\n1 2,3 4\n")) == {"a b": ["1 2"], "c d": ["3 4"]}

    def test_decimal_commas_between_semicolons(self, read):
        t = read("a;b\n1,5;2\n-2,25;3\n;4\n")
        np.testing.assert_array_equal(read_numbers(t["a"])[0], [1.5, -2.25, np.nan])
        assert t.decimal == ","

    def test_delimiter_inside_quotes_does_not_count(self, read):
        t = read('a,"b;c;d;e"\n1,"x;y;z;w"\n2,v\n')
        assert cells(t)["b;c;d;e"] == ["x;y;z;w", "v"]

    @pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
    def test_a_line_that_names_the_separator(self, read, line):
        t = read(f"{line}\na;b\n1,5;2\n")
        assert cells(t) == {"a": ["1,5"], "b": ["2"]} and t.lines.tolist() == [3] and t.notes == ()

    def test_comments(self, read):
        t = read("# made by X\n# on a day, in a month\na,b\n1,2\n# and so on\n3,4\n")
        assert cells(t) == {"a": ["1", "3"], "b": ["2", "4"]} and t.lines.tolist() == [4, 6]

    def test_names_in_a_comment(self, read):
        t = read("# time series\n# t,value\n0,1.5\n1,2.5\n")
        assert cells(t) == {"t": ["0", "1"], "value": ["1.5", "2.5"]} and t.lines.tolist() == [3, 4]

    def test_a_hash_begins_a_cell_where_no_comment_is(self, read):
        assert cells(read("color,n\n#fff,1\n#000,2\n"))["color"] == ["#fff", "#000"]

    @pytest.mark.parametrize("title", ["Sales of 2026", "Sales of 2026,,", '"Sales, all of them"\n\nin Euro'])
    def test_titles_above_the_names(self, read, title):
        t = read(f"{title}\na,b,c\n1,2,x\n3,4,y\n")
        assert t.names == ("a", "b", "c") and cells(t)["c"] == ["x", "y"]
        assert len(t.notes) == 1 and "above the names" in t.notes[0] and "Sales" in t.notes[0]

    def test_no_names(self, read):
        t = read("5.1,3.5,setosa\n4.9,3.0,setosa\n6.0,2.2,virginica\n")
        assert t.names == ("column_1", "column_2", "column_3") and t.n_rows == 3
        assert t.lines.tolist() == [1, 2, 3]
        assert t.notes == (
            "line 1 holds values, not names: it is a row, and the columns are named column_1 to column_3",
        )

    @pytest.mark.parametrize(
        "content",
        [
            "country,2010,2011\nFrance,1.5,2.5\nItaly,3.5,4.5\n",
            "0,1,2\n0.5,0.25,0.125\n3,2,8\n",
            "a,b\nx,y\nz,w\n",
            "x,1\n1,2\n3,4\n",
            "age,n/a\n3,4\n",
        ],
    )
    def test_names_that_are_numbers_or_texts_are_names(self, read, content):
        assert read(content).names == tuple(content.splitlines()[0].split(","))

    def test_names_of_rows_as_r_writes_them(self, read):
        t = read('"mpg" "cyl"\n"Mazda RX4" 21 6\n"Datsun 710" 22.8 4\n')
        assert cells(t) == {"mpg": ["21", "22.8"], "cyl": ["6", "4"]}
        assert t.notes == ("column 1 has no name and is left out",)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_encodings_and_line_ends(self, read, encoding, newline):
        t = read("größe,b\nä,1\nö,2\n".replace("\n", newline).encode(encoding))
        assert cells(t) == {"größe": ["ä", "ö"], "b": ["1", "2"]} and t.notes == ()

    @pytest.mark.parametrize("rows", [1, 100_000], ids=["at the beginning", "far behind it"])
    def test_what_is_not_utf_8_is_windows_1252_and_said(self, read, rows):
        content = "größe,b\n".encode("cp1252") if rows == 1 else b"grosse,b\n"
        t = read(content + b"a,1\n" * rows + "Café €,2\n".encode("cp1252"))
        name, line = ("größe", 1) if rows == 1 else ("grosse", rows + 2)
        assert t[name].cell(rows) == "Café €"
        assert f"line {line} is not UTF-8 text" in t.notes[0] and "Windows-1252" in t.notes[0]

    def test_compressed_files(self, read, tmp_path):
        content = b"a,b\n1,2\n3,4\n"
        assert cells(read(gzip.compress(content), "t.csv.gz")) == {"a": ["1", "3"], "b": ["2", "4"]}
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("t.csv", content)
        assert cells(read(stream.getvalue(), "t.zip")) == {"a": ["1", "3"], "b": ["2", "4"]}
        with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
            archive.writestr("a.csv", content)
            archive.writestr("b.csv", content)
        with pytest.raises(TableError, match="archive of 2 files; unpack it"):
            read_csv(tmp_path / "two.zip")

    def test_a_workbook_is_refused(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
            archive.writestr("[Content_Types].xml", "")
            archive.writestr("xl/workbook.xml", "")
        with pytest.raises(TableError, match="workbook of a spreadsheet program; save the sheet as CSV"):
            read_csv(tmp_path / "t.xlsx")


class TestRows:
    def test_quotes_newlines_and_the_lines_they_stand_on(self, read):
        t = read('a,b\n"one ""1""\nand more",2\n\n3,"4, 5"\n')
        assert cells(t) == {"a": ['one "1"\nand more', "3"], "b": ["2", "4, 5"]}
        assert t.lines.tolist() == [2, 5]

    def test_quotes_behind_a_blank(self, read):
        assert cells(read('a, b, c\n1, "x, y", 2\n3, "z", 4\n')) == {
            "a": ["1", "3"],
            "b": ["x, y", "z"],
            "c": ["2", "4"],
        }

    def test_one_column(self, read):
        assert cells(read("a\n1\n2\n")) == {"a": ["1", "2"]}

    def test_blanks_around_cells_and_names_go(self, read):
        t = read(" a , b\n 1 , x \n1,x\n")
        assert cells(t) == {"a": ["1", "1"], "b": ["x", "x"]}
        assert t["b"].texts == ("x",)

    def test_a_nameless_column_is_left_out_and_said(self, read):
        t = read(",a,b\n0,1,2\n1,3,4\n")
        assert t.names == ("a", "b")
        assert t.notes == ("column 1 has no name and is left out",)

    @pytest.mark.parametrize("names", ["a,b,", "a,b"])
    def test_a_trailing_delimiter_is_nothing(self, read, names):
        t = read(f"{names}\n1,2,\n3,4,\n")
        assert t.names == ("a", "b") and t.notes == ()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "empty"),
            (" \n \n", "empty"),
            ("# nothing\n", "only comments"),
            ("a,b\n", "the names of 2 columns, and no rows"),
            ("a,b\n1,2\n3\n", "line 3: 1 cells where the first line names 2 columns;"),
            ('a,b\n1,"x\ny"\n\n1,2,3\n1\n', r"line 5: 3 cells .* 2 columns \(1 more lines"),
            ("a,b\n" + "1,2\n" * 2000 + "3\n" + "1,2\n" * 2000 + "4\n", r"line 2002: 1 cells .* \(1 more lines"),
            ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
            ('a,b\n1,2\n3,"4\n5,6\n', "line 3: .*double quote"),
            (b"a,b\n1,\x81\n", "line 2: not UTF-8 text .byte 0x81., nor Windows-1252"),
            (b"a,b\n1,\x00\n", "zero bytes"),
            (b"a,b\n" + b"1,2\n" * 100_000 + b"1,\x00\n", "zero bytes"),
            (",\n,\n", "names no column"),
            ('"a"b,c\n1,2\n', "line 1: a cell that opens with a double quote"),
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
    def test_what_the_csv_module_writes_is_what_is_read(self, rows):
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(["x", "y", "z"])
        writer.writerows(rows)
        t = parse_csv(text.getvalue().encode(), "t.csv")
        stripped = [[cell.strip() for cell in row] for row in rows]
        assert [list(row) for row in zip(*cells(t).values(), strict=True)] == stripped

    @given(
        rows=st.lists(
            st.lists(
                st.one_of(st.text("abcxyzé -", max_size=6), st.floats(-1e6, 1e6).map(repr)), min_size=3, max_size=3
            ),
            min_size=2,
            max_size=10,
        ),
        delimiter=st.sampled_from(",;\t|"),
        quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        above=st.sampled_from(["", "sep={}\n", "# a comment\n", "A title\n", "\n"]),
        newline=st.sampled_from(["\n", "\r\n"]),
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    )
    def test_a_table_written_in_any_dialect_is_read_back(self, rows, delimiter, quoting, above, newline, encoding):
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=newline)
        writer.writerow(["Name of x", "y", "z"])
        writer.writerows(rows)
        content = above.format(delimiter).replace("\n", newline) + text.getvalue()
        t = parse_csv(content.encode(encoding), "t.csv")
        assert t.names == ("Name of x", "y", "z")
        stripped = [[cell.strip() for cell in row] for row in rows]
        assert [list(row) for row in zip(*cells(t).values(), strict=True)] == stripped
        assert t.lines.tolist() == list(range(2 + above.count("\n"), 2 + above.count("\n") + len(rows)))

    @given(
        st.one_of(
            st.binary(max_size=60),
            st.text('ab1.5,;\t"# \n\r=sep\u2212é', max_size=60).map(str.encode),
            st.text(max_size=30).map(lambda text: text.encode("utf-16", "surrogatepass")),
        )
    )
    def test_any_bytes_are_a_table_or_refused_in_a_sentence(self, content):
        try:
            t = parse_csv(content, "t.csv")
        except TableError:
            return
        assert t.n_rows == len(t.lines) > 0 and all(len(column) == t.n_rows for column in t.columns.values())
        with contextlib.suppress(TableError):
            Schema.infer(t)

    def test_progress(self, read):
        said = []
        read("a,b\n" + "1,2\n" * 2000, progress=lambda rows, share: said.append((rows, share)))
        assert [rows for rows, _ in said] == [500, 1000, 1500, 2000]
        assert said[-1][1] == 1.0


class TestMemory:
    """Where most cells of a column are different numbers they are not kept as texts."""

    N = 2 * LATE_ROWS

    def column(self, read, column):
        return read("a;b\n" + "".join(f"{cell};x\n" for cell in column))["a"]

    def test_numbers(self, read):
        values = np.random.default_rng(0).standard_normal(self.N)
        column = self.column(read, [repr(value) for value in values.tolist()])
        assert isinstance(column, NumberColumn) and column.codes is None
        np.testing.assert_array_equal(column.values, values)

    def test_what_is_no_plain_number_is_kept(self, read):
        texts = [f"{i}.5" for i in range(self.N)]
        texts[7], texts[-1], texts[-2], texts[-3] = "", "oops", "$1,234.5", "1_0"
        column = self.column(read, texts)
        assert isinstance(column, NumberColumn)
        assert [column.cell(row) for row in (6, 7, -1, -2, -3)] == ["6.5", "", "oops", "$1,234.5", "1_0"]
        values, failed = read_numbers(column)
        assert failed.nonzero()[0].tolist() == [self.N - 3, self.N - 1]
        assert values[6] == 6.5 and np.isnan(values[[7, -1, -3]]).all() and values[-2] == 1234.5
        taken = column.take([6, self.N - 1])
        assert [taken.cell(0), taken.cell(1)] == ["6.5", "oops"]

    def test_what_is_said_of_it(self, read):
        texts = ["NA" if i % 20 == 0 else "?" if i % 1000 == 1 else f"{i / 7:.5f}" for i in range(self.N)]
        texts[5] = "oops"
        t = read("a;b\n" + "".join(f"{cell};x\n" for cell in texts))
        assert isinstance(t["a"], NumberColumn)
        schema = Schema.infer(t)
        assert [column.kind for column in schema.columns] == ["number", "category"]
        assert schema.notes == ("9,489 of 9,500 cells of 'a' are numbers, 11 are '?', 'oops' and read as gaps",)
        assert np.isnan(schema.read(t)[0]).sum() == 511

    @pytest.mark.parametrize("place", [0, -1])
    def test_codes_with_leading_zeros_are_kept(self, read, place):
        texts = [str(10_000 + i) for i in range(self.N)]
        texts[place] = "01234"
        column = self.column(read, texts)
        assert isinstance(column, TextColumn) and column.cell(place) == "01234"

    def test_points_that_may_be_marks_of_thousands_are_kept(self, read):
        texts = [f"{1 + i // 1000}.{i % 1000:03}" for i in range(self.N)]
        assert isinstance(self.column(read, texts), TextColumn)
        assert isinstance(self.column(read, [*texts, "0.5"]), NumberColumn)

    @pytest.mark.parametrize(
        "cell",
        [
            lambda i: f"{i % 1300}",
            lambda i: repr(i / 7),
            lambda i: f"N{i % 4000}",
            lambda i: f"2013-01-{i % 28 + 1:02}",
        ],
        ids=["few numbers", "many numbers", "names", "dates"],
    )
    def test_the_peak_is_at_most_four_times_the_file(self, read, tmp_path, cell):
        content = "a;b;c;d\n" + "".join(f"{cell(i)};{cell(i + 1)};{cell(i + 2)};{cell(i + 3)}\n" for i in range(60_000))
        (tmp_path / "t.csv").write_text(content)
        read_csv(tmp_path / "t.csv")  # imports what it needs
        tracemalloc.start()
        try:
            read_csv(tmp_path / "t.csv")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * len(content)

    def test_names_are_texts(self, read):
        assert isinstance(self.column(read, [f"n{i}" for i in range(self.N)]), TextColumn)

    def test_texts_behind_numbers(self, read):
        texts = [*(f"{i}.5" for i in range(self.N)), *(f"n{i}" for i in range(self.N))]
        column = self.column(read, texts)
        assert isinstance(column, TextColumn) and [column.cell(i) for i in range(len(texts))] == texts


@needs_housing
def test_housing_is_read():
    t = read_csv(HOUSING)
    schema = Schema.infer(t, target="median_house_value")
    assert [column.kind for column in schema.columns] == ["number"] * 8 + ["category"]
    values = dict(zip(schema.names, schema.read(t), strict=True))
    assert np.isnan(values["total_bedrooms"]).sum() == 207


def test_the_work_grows_with_the_rows(read, python_calls):
    """The number of calls is counted, since times depend on the machine; benchmarks/conveniences.py measures times."""

    def work(rows):
        text = "a,b,c\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]}\n" for i in range(rows))
        return python_calls(lambda: read(text))

    work(10)  # imports what it needs
    few, many = work(3000), work(9000)
    assert many < 3.1 * few, "in proportion"
