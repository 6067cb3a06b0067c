"""Reading tables (csv.py), and encoding their columns (encoders.py)."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import HOUSING, needs_housing

from fastprop.tabular.csv import Table, TableError, read_csv
from fastprop.tabular.encoders import (
    MAX_CATEGORIES,
    Categorical,
    Encoder,
    Numeric,
    Target,
    split_rows,
)


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


class TestEncoder:
    def test_numbers_are_standardised_by_the_training_rows_alone(self):
        t = table(a=[1, 3, 100])
        X = Encoder.fit(t, ["a"], rows=[0, 1]).transform(t)
        np.testing.assert_array_equal(X, [[-1], [1], [98]])

    def test_a_gap_is_the_median_and_an_indicator(self):
        t = table(a=[0, 0, 3, "", 5])
        encoder = Encoder.fit(t, ["a"])
        assert encoder.columns[0].median == 1.5
        mean, scale = 2, np.std([0, 0, 3, 5])
        expected = (np.array([0, 0, 3, 1.5, 5]) - mean) / scale
        np.testing.assert_allclose(encoder.transform(t)[:, 0], expected, rtol=1e-15)
        np.testing.assert_array_equal(encoder.transform(t)[:, 1], [0, 0, 0, 1, 0])

    def test_a_new_gap_without_an_indicator_is_the_median_and_is_said(self):
        encoder = Encoder.fit(table(a=[1, 2, 6]), ["a"])
        new = table(a=["", 2])
        assert encoder.transform(new)[0, 0] == encoder.transform(new)[1, 0]
        assert encoder.remarks(new) == [
            "column 'a' has 1 gap, filled with the median 2; there was none in the training rows"
        ]
        assert encoder.remarks(table(a=[7])) == []

    def test_a_constant_column_is_exactly_zero(self):
        t = table(a=[0.1] * 7, b=range(7))
        assert not Encoder.fit(t, ["a", "b"]).transform(t)[:, 0].any()

    def test_text_is_one_hot_with_a_place_for_other_text(self):
        encoder = Encoder.fit(table(a=["x", "y", "x"]), ["a"])
        new = table(a=["y", "z", "x", ""])
        np.testing.assert_array_equal(encoder.transform(new), [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]])
        assert encoder.remarks(new) == ["column 'a' has 2 cells outside the 2 categories of the model ('', 'z')"]

    def test_text_with_gaps_has_a_place_for_them(self):
        t = table(a=["x", "NA", "y", "NA"])
        encoder = Encoder.fit(t, ["a"])
        assert encoder.columns == (Categorical("a", ("x", "y"), gaps=True),)
        np.testing.assert_array_equal(encoder.transform(t), [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
        assert encoder.remarks(t) == []

    def test_categories_come_from_the_training_rows_alone(self):
        t = table(a=["x", "y", "z"])
        assert Encoder.fit(t, ["a"], rows=[0, 2]).columns[0].categories == ("x", "z")

    def test_the_rarest_of_too_many_categories_share_the_place_of_others(self):
        cells = [f"c{i:02}" for i in range(60)] * 2 + [f"c{i:02}" for i in range(10, 60)]
        t = table(a=cells)
        encoder = Encoder.fit(t, ["a"])
        assert encoder.columns[0].categories == tuple(f"c{i:02}" for i in range(10, 60))
        assert len(encoder.columns[0].categories) == MAX_CATEGORIES
        assert encoder.transform(t)[:10, MAX_CATEGORIES].all()
        assert "20 cells outside the 50 categories" in encoder.remarks(t)[0]

    def test_what_is_empty_or_looks_like_names_is_left_out_and_said(self):
        t = table(a=range(100), empty=["NA"] * 100, name=[f"n{i}" for i in range(100)])
        encoder = Encoder.fit(t, t.names)
        assert encoder.names == ("a",)
        assert encoder.notes == (
            "column 'empty' is empty and left out",
            "column 'name' is mostly different texts (names?) in the training rows and is left out",
        )

    def test_a_column_that_is_empty_in_the_training_rows_is_left_out(self):
        t = table(a=["", "", 1], b=[1, 2, 3], c=["", "", "x"])
        encoder = Encoder.fit(t, t.names, rows=[0, 1])
        assert encoder.names == ("b",)
        assert [note.split()[1] for note in encoder.notes] == ["'a'", "'c'"]

    def test_nothing_to_learn_from(self):
        t = table(a=["", ""], y=[1, 2])
        with pytest.raises(TableError, match="no column to learn from.*'a' is empty"):
            Encoder.fit(t, ["a"])

    def test_a_mistake_in_a_column_of_numbers_is_refused_with_its_line(self):
        t = table(a=[*range(20), "oops", *range(20)])
        with pytest.raises(TableError, match="line 22: column 'a' holds 'oops', but 40 of its 41"):
            Encoder.fit(t, ["a"])
        assert isinstance(Encoder.fit(t, ["a"], categorical=["a"]).columns[0], Categorical)

    def test_numbers_and_words_in_equal_parts_are_text(self):
        t = table(a=["1", "2", "x", "y"])
        assert Encoder.fit(t, ["a"]).columns[0].categories == ("1", "2", "x", "y")

    def test_text_where_the_model_wants_numbers(self):
        encoder = Encoder.fit(table(a=[1, 2]), ["a"])
        with pytest.raises(TableError, match="line 3: column 'a' holds 'two'; .*wanted a number"):
            encoder.transform(table(a=["1", "two"]))

    def test_columns_in_another_order_and_more_of_them_are_no_matter(self):
        t = table(a=[1, 2, 4], b=["x", "y", "x"])
        encoder = Encoder.fit(t, ["a", "b"])
        other = table(c=[0, 0, 0], b=["x", "y", "x"], a=[1, 2, 4])
        np.testing.assert_array_equal(encoder.transform(other), encoder.transform(t))

    def test_lacking_columns_are_named_with_the_nearest(self):
        encoder = Encoder.fit(table(age=[1, 2], rooms=[1, 2]), ["age", "rooms"])
        with pytest.raises(TableError, match=r"lacks the column 'age' \(nearest: 'Age'\)"):
            encoder.transform(table(Age=[1], rooms=[2]))
        with pytest.raises(TableError, match="lacks 2 columns: 'age', 'rooms'"):
            encoder.transform(table(x=[1]))

    def test_a_number_beyond_the_dtype_is_refused_and_not_made_infinite(self):
        encoder = Encoder.fit(table(a=[1, 2]), ["a"])
        new = table(a=[1, "1e300"])
        assert np.isfinite(encoder.transform(new, np.float64)).all()
        with pytest.raises(TableError, match="line 3: column 'a' holds '1e300', too far"):
            encoder.transform(new, np.float32)

    @pytest.mark.parametrize("size", ["1e308", "1e-200", "1e-300"])
    def test_sizes_whose_squares_float64_does_not_hold(self, size):
        t = table(a=["-" + size, size, ""])
        np.testing.assert_allclose(Encoder.fit(t, ["a"]).transform(t)[:, 0], [-1, 1, 0], rtol=1e-15)

    def test_it_survives_json(self):
        t = table(a=[1, 2, ""], b=["x", "NA", "é"], c=[0.1, 0.2, 0.3])
        encoder = Encoder.fit(t, t.names)
        again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
        assert again == encoder
        np.testing.assert_array_equal(again.transform(t), encoder.transform(t))

    def test_numeric_fit_of_gaps_only_is_nothing(self):
        assert Numeric.fit("a", np.array([np.nan])) is None

    @given(
        cells=st.lists(
            st.one_of(st.floats(-1e300, 1e300).map(repr), st.sampled_from(["", "NA"])),
            min_size=1,
            max_size=30,
        )
    )
    def test_any_column_of_numbers_becomes_finite_inputs(self, cells):
        t = table(a=cells, b=range(len(cells)))
        X = Encoder.fit(t, ["a", "b"]).transform(t)
        assert np.isfinite(X).all()


class TestTarget:
    @pytest.mark.parametrize(
        ("cells", "task", "classes"),
        [
            (["b", "a", "b", "c"], "classification", ("a", "b", "c")),
            (["1", "0", "1"], "classification", ("0", "1")),
            (["1", "1.0", "02", "2"], "classification", ("1", "2")),
            ([i % 10 for i in range(100)], "classification", tuple("0123456789")),
            ([i % 10 for i in range(99)], "regression", ()),
            ([i % 21 for i in range(400)], "regression", ()),
            ([0.5, 1.5] * 50, "regression", ()),
            ([1, 2, 3], "regression", ()),
            (["10", "9", "x", "x"], "classification", ("9", "10", "x")),
        ],
    )
    def test_the_task_is_recognised(self, cells, task, classes):
        target = Target.recognise(table(y=cells), "y")
        assert (target.task, target.classes) == (task, classes)
        assert target.reason
        assert target.n_outputs == (len(classes) or 1)

    def test_the_user_may_say_otherwise(self):
        t = table(y=[0, 1] * 20)
        assert Target.recognise(t, "y", "regression").task == "regression"
        t = table(y=[0.5, 1.5] * 20)
        assert Target.recognise(t, "y", "classification").classes == ("0.5", "1.5")

    @pytest.mark.parametrize(
        ("cells", "task", "message"),
        [
            (["a", "a"], "auto", "'a' in every row; wanted at least two classes"),
            ([3, 3.0], "classification", "'3' in every row; wanted at least two classes"),
            ([2.5, 2.5], "auto", "2.5 in every row"),
            (["", "NA"], "auto", "target column 'y' is empty"),
            ([1, 2, "x"], "regression", "line 4: column 'y' holds 'x'; wanted numbers"),
            ([*range(50), "x"], "auto", "line 52: column 'y' holds 'x', but 50 of its 51"),
            ([f"n{i}" for i in range(30)], "auto", "30 different values in 30 rows"),
            ([1, "inf"], "auto", "line 3: column 'y' holds 'inf'"),
        ],
    )
    def test_a_target_that_cannot_be_learnt(self, cells, task, message):
        with pytest.raises(TableError, match=message):
            Target.recognise(table(y=cells), "y", task)

    def test_labels_gaps_and_unknown_classes(self):
        target = Target.recognise(table(y=["a", "b", "b"]), "y")
        values, known = target.encode(table(y=["b", "", "c", "a"]))
        assert values[known].tolist() == [1, 0]
        assert known.tolist() == [True, False, False, True]

    def test_numbers_there_and_back(self):
        target = Target.recognise(table(y=[1.5, 2.5, 7.25]), "y")
        values, known = target.encode(table(y=[1.5, "NA", 7.25]))
        assert known.tolist() == [True, False, True]
        target = target.fitted(values[known])
        assert (target.mean, target.scale) == (4.375, 2.875)
        standard = target.standardise(values[known])
        np.testing.assert_array_equal(standard, [-1, 1])
        np.testing.assert_array_equal(target.decode(standard[:, None]), [1.5, 7.25])

    def test_probabilities_of_any_scores(self):
        target = Target("y", "classification", ("a", "b"))
        p = target.decode(np.array([[0, 0], [1000, 0], [0, np.log(3)]]))
        np.testing.assert_allclose(p, [[0.5, 0.5], [1, 0], [0.25, 0.75]], rtol=1e-15)

    def test_scores(self):
        regression = Target("y", "regression")
        scores = regression.scores(np.array([1.0, 2, 6]), np.array([1.0, 4, 4]))
        assert scores == pytest.approx({"RMSE": np.sqrt(8 / 3), "MAE": 4 / 3, "R2": 1 - 8 / 6}, rel=1e-14)
        classes = Target("y", "classification", ("a", "b"))
        p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
        assert classes.scores(p, np.array([0, 1, 1, 1])) == {"accuracy": 0.75}

    def test_it_survives_json(self):
        for target in (
            Target("y", "classification", ("a", "b"), reason="whatever"),
            Target("y", "regression", (), 1.25, 0.5),
        ):
            assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


class TestSplit:
    @pytest.mark.parametrize("n", [1, 2, 5, 99, 1000])
    @pytest.mark.parametrize("fraction", [0, 0.2, 0.5, 0.999])
    def test_every_row_is_on_one_side(self, n, fraction):
        rows = np.arange(n) * 3
        training, test = split_rows(rows, fraction, 0)
        np.testing.assert_array_equal(np.sort(np.r_[training, test]), rows)
        assert len(training) >= 1
        assert abs(len(test) - fraction * n) <= 1

    def test_the_seed_decides(self):
        a, b, c = (split_rows(range(100), 0.2, seed)[1].tolist() for seed in (0, 0, 1))
        assert a == b != c

    def test_each_class_is_split_and_never_lost_to_the_test(self):
        labels = np.repeat([0, 1, 2], [800, 195, 1])
        for seed in range(20):
            training, test = split_rows(range(996), 0.2, seed, labels)
            assert set(labels[training]) == {0, 1, 2}
            assert np.bincount(labels[test])[:2].tolist() == pytest.approx([160, 39], abs=1)

    def test_a_class_of_one_row_is_always_learnt(self):
        training, test = split_rows(range(10), 0.5, 0, labels=np.arange(10))
        assert training.tolist() == list(range(10)) and len(test) == 0

    def test_the_rows_of_a_class_are_drawn_at_random(self):
        labels = np.repeat([0, 1], [50, 50])
        drawn = np.zeros(100)
        for seed in range(200):
            drawn[split_rows(range(100), 0.2, seed, labels)[1]] += 1
        # 200 draws with probability 0.2: 40, deviation 5.7; the first row of a class is excused once
        assert drawn.min() > 15 and drawn.max() < 65


@needs_housing
def test_housing_is_read_and_encoded():
    t = read_csv(HOUSING)
    names = [name for name in t.names if name != "median_house_value"]
    X = Encoder.fit(t, names).transform(t, np.float32)
    assert X.shape == (20640, 15)
    assert X[:, 5].sum() == 207  # the gaps of total_bedrooms
    np.testing.assert_allclose(X[:, :4].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(X[:, :4].std(axis=0), 1, rtol=1e-4)


def test_the_work_grows_with_the_cells(read, python_calls):
    """The number of calls is counted, since times depend on the machine; benchmarks/conveniences.py measures times."""

    def work(rows):
        t = read("a,b,c\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]}\n" for i in range(rows)))
        return python_calls(lambda: Encoder.fit(t, t.names).transform(t, np.float32))

    def reading(rows):
        text = "a,b,c\n" + "".join(f"{i},{i / 7:.3f},{'xyz'[i % 3]}\n" for i in range(rows))
        return python_calls(lambda: read(text))

    for calls in (work, reading):
        calls(10)  # imports what it needs
        few, many = calls(1000), calls(3000)
        assert many < 3.1 * few, "in proportion"
        assert many < 10 * 3 * 3000, "6 calls a cell for both together"


@pytest.mark.parametrize("value", [2**64, 10**30, 3, np.float32(2), np.int64(7)], ids=repr)
def test_numbers_of_a_description_are_floats(value):
    """JSON may hold an integer of any size, which NumPy would keep as an object."""
    target = Target("y", "regression", mean=value, scale=value)
    column = Numeric("x", mean=value, scale=value, median=value, gaps=False)
    numbers = [target.mean, target.scale, column.mean, column.scale, column.median]
    assert [type(number) for number in numbers] == [float] * 5
    assert numbers == [float(value)] * 5
    assert target.number(1.0) and target.texts(np.array([1.0]), "float32")
