"""What columns are, how they are read, and what the user is told of them (schema.py, reading.py, suspects.py)."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastprop.tabular.csv import parse_csv
from fastprop.tabular.reading import read_texts
from fastprop.tabular.schema import MANY, Schema, infer_column
from fastprop.tabular.suspects import one_to_one, skill
from fastprop.tabular.table import NumberColumn, Table, TableError, TextColumn, TimeColumn
from fastprop.tabular.target import Target

N = 300
GENERATOR = np.random.default_rng(0)
X = [f"{value:.2f}" for value in GENERATOR.standard_normal(N)]
Y = [f"{value:.3f}" for value in GENERATOR.standard_normal(N)]
AMOUNTS = GENERATOR.integers(1, 2_000_000, N).tolist()


def table(delimiter=",", **columns):
    """Return the table of a file with these columns, and x and y besides."""
    columns = {"x": X, **columns, "y": Y} if "y" not in columns else {"x": X, **columns}
    quoted = [[f'"{cell}"' for cell in column] for column in columns.values()]
    lines = [delimiter.join(columns), *map(delimiter.join, zip(*quoted, strict=True))]
    return parse_csv("\n".join(lines).encode(), "t.csv")


def infer(b, name="b", **options):
    """Return the kind of a column, its values, and all that is said."""
    t = table(**{name: b})
    schema = Schema.infer(t, target="y", **options)
    values = dict(zip(schema.names, schema.read(t), strict=True))
    kinds = {column.name: column.kind for column in schema.columns}
    return kinds.get(name), values.get(name), " | ".join((*schema.notes, *schema.warnings))


class TestNumbers:
    @pytest.mark.parametrize("mark", ["?", ".", "-", "None", "#N/A", "<NA>", "-nan", "unknown", "n. d."])
    def test_most_are_numbers_and_the_others_one_text(self, mark):
        """The issue's own: 257 of 300 cells are numbers, 43 are '?'."""
        kind, values, said = infer([mark if i % 7 == 0 else str(AMOUNTS[i]) for i in range(N)])
        assert kind == "number" and np.isnan(values).sum() == 43
        expected = f"257 of 300 cells of 'b' are numbers, 43 are '{mark}' and read as gaps"
        assert said == (expected if mark not in ("#N/A", "<NA>") else "")

    @pytest.mark.parametrize("mark", ["", "NA", "NaN", "null"])
    def test_of_ordinary_gaps_nothing_is_said(self, mark):
        kind, values, said = infer([mark if i % 3 == 0 else str(AMOUNTS[i]) for i in range(N)])
        assert (kind, said, np.isnan(values).sum()) == ("number", "", 100)

    def test_a_few_mistakes_are_gaps_and_quoted(self):
        kind, values, said = infer(["oops" if i == 3 else "12a" if i == 8 else str(AMOUNTS[i]) for i in range(N)])
        assert kind == "number" and np.isnan(values).nonzero()[0].tolist() == [3, 8]
        assert said == "298 of 300 cells of 'b' are numbers, 2 are 'oops', '12a' and read as gaps"

    def test_a_quarter_that_is_none_makes_text_and_is_said(self):
        kind, _, said = infer([f"PC {AMOUNTS[i]}" if i % 4 == 0 else str(AMOUNTS[i]) for i in range(N)])
        assert kind == "text" and said.startswith("225 of 300 cells of 'b' are numbers, but the others are 'PC ")

    def test_few_values_with_a_text_among_them_are_categories_and_said(self):
        kind, _, said = infer([["1", "2", "3+", "4"][i % 4] for i in range(N)])
        assert kind == "category"
        assert said == "225 of 300 cells of 'b' are numbers, but the others are '3+': it is read as categories"

    @pytest.mark.parametrize(
        ("form", "share"),
        [("{:,}", 1), ("${:,}", 1), ("{:,} EUR", 1), ("{:,}%", 1), ("\u2212{}", -1), ("({:,})", -1), ("{} kg", 1)],
    )
    def test_other_forms_are_numbers_and_said(self, form, share):
        kind, values, said = infer([form.format(amount) for amount in AMOUNTS])
        assert kind == "number" and values.tolist() == [share * amount for amount in AMOUNTS]
        assert said.startswith("column 'b' holds numbers such as ") and f"read as {'-' * (share < 0)}" in said

    def test_decimal_commas_of_one_column_speak_for_the_others(self):
        """1.234 beside 950 is a thousand in a file with decimal commas."""
        x, y = ([cell.replace(".", ",") for cell in column] for column in (X, Y))
        b = [f"{i * 37 % 2000:,}".replace(",", ".") for i in range(N)]
        t = table(";", x=x, b=b, y=y)
        schema = Schema.infer(t, target="y")
        assert schema.read(t)[1].tolist() == [i * 37 % 2000 for i in range(N)]
        # The convention is stored: a new table in which nothing decides is read in the same way.
        again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
        new = Table("new.csv", {name: TextColumn(np.zeros(1, np.int32), ("1.234",)) for name in ("x", "b")}, [2])
        assert [values.tolist() for values in again.read(new)] == [[1234], [1234]]

    def test_points_that_are_decimal_marks_elsewhere_are_here(self):
        b = [f"{1 + i % 9}.{i:03}" for i in range(N)]
        kind, values, _ = infer(b)
        assert kind == "number" and values.tolist() == [float(cell) for cell in b]

    def test_different_units_are_no_number_and_said(self):
        kind, _, said = infer([f"{'$' if i % 2 else '€'}{AMOUNTS[i]}" for i in range(N)])
        assert kind == "text" and said == (
            "cells of 'b' are numbers in different units (150 with '€', 150 with '$'): it is read as text; "
            "convert them to one"
        )

    def test_leading_zeros_make_codes(self):
        kind, _, said = infer([f"{i % 90 * 100:05}" for i in range(N)], "zip")
        assert kind == "category" and "codes with leading zeros, such as '0" in said

    @pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
    def test_infinity_is_refused_with_line_and_column(self, cell):
        with pytest.raises(TableError, match=f"t.csv, line 6: column 'b' holds '{cell}', .*infinite.*leave it empty"):
            infer([cell if i == 4 else X[i] for i in range(N)])

    def test_of_many_columns_it_is_said_once(self):
        names = [f"b{k}" for k in range(MANY + 1)]
        t = table(
            **{name: ["?" if i == k else f"${AMOUNTS[i] + k * i:,}" for i in range(N)] for k, name in enumerate(names)}
        )
        notes = Schema.infer(t, target="y").notes
        assert len(notes) == 2
        assert notes[0].startswith(
            "5 columns of numbers have cells that are none, which are read as gaps: 1 in 'b0' ('?')"
        )
        assert notes[1].startswith("5 columns hold numbers such as '$") and notes[1].endswith("'b3', ...")


class TestGapsAsTheUserSays:
    def test_a_sentinel_is_pointed_out_and_can_be_a_gap(self):
        b = ["-200" if i % 20 == 0 else X[i].lstrip("-") for i in range(N)]
        _, values, said = infer(b)
        assert (values == -200).sum() == 15
        assert "15 of 300 cells of 'b' are -200, far from the others (0 to" in said
        assert said.endswith("say --na default --na -200")
        _, values, said = infer(b, na=["default", "-200"])
        assert (
            np.isnan(values).sum() == 15
            and said == "285 of 300 cells of 'b' are numbers, 15 are '-200' and read as gaps"
        )

    def test_the_spellings_are_stored(self):
        t = table(b=["-200" if i % 20 == 0 else X[i] for i in range(N)])
        schema = Schema.infer(t, target="y", na=["default", "-200"])
        again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
        assert again == schema and np.isnan(again.read(t)[1]).sum() == 15

    @pytest.mark.parametrize("value", ["999", "-9999", "999.9", "1000000", "-1"])
    def test_other_sentinels(self, value):
        _, _, said = infer([value if i % 20 == 0 else str(i * 37 % 50) for i in range(N)])
        assert f"are {value}, far from the others" in said

    def test_zero_where_all_others_are_far_from_it(self):
        """Such as the blood pressure of the living."""
        assert (
            "are 0, far from the others (60 to 109)"
            in infer(["0" if i % 20 == 0 else str(60 + i % 50) for i in range(N)])[2]
        )

    def test_an_ordinary_largest_value_is_none(self):
        assert infer([str(min(i, 100)) for i in range(N)])[2] == ""
        assert infer([str(i % 2) for i in range(N)])[2] == ""

    def test_na_as_a_class(self):
        t = table(y=[["NA", "EU", "AS"][i % 3] for i in range(N)])
        target = Target.recognise(t, "y")
        assert target.classes == ("AS", "EU") and target.encode(t)[1].sum() == 200
        assert target.notes == (
            "100 of 300 cells of 'y' are 'NA', read as gaps: "
            "if 'NA' is a class, say --na \"\", or which texts are gaps",
        )
        target = Target.recognise(t, "y", na=[""])
        assert target.classes == ("AS", "EU", "NA") and target.encode(t)[1].all() and target.notes == ()
        assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target

    def test_plus_and_minus_are_classes(self):
        assert Target.recognise(table(y=["+-"[i % 2] for i in range(N)]), "y").classes == ("+", "-")

    def test_none_is_a_category_and_na_a_gap(self):
        kind, (codes, texts), _ = infer([["None", "brick", "NA"][i % 3] for i in range(N)])
        assert (
            kind == "category"
            and (codes < 0).sum() == 100
            and {texts[code] for code in codes[codes >= 0]} == {"None", "brick"}
        )


class TestTimes:
    def test_iso_8601_needs_no_note(self):
        b = [f"2024-{i % 12 + 1:02}-{i % 28 + 1:02} {i % 24:02}:00" for i in range(N)]
        kind, values, said = infer(b)
        assert (kind, said) == ("time", "") and str(values[1]).startswith("2024-02-02T01:00")

    def test_the_day_first_is_seen_and_said(self):
        kind, values, said = infer([f"{i % 28 + 1}/{i % 12 + 1}/2024" for i in range(N)])
        assert kind == "time" and str(values[1])[:10] == "2024-02-02"
        assert said == "column 'b' holds times such as '22/10/2024', read as 2024-10-22"

    def test_if_nothing_says_which_is_the_day_the_user_can(self):
        b = [f"{i % 12 + 1}/{i * 7 % 12 + 1}/2024" for i in range(N)]
        _, values, said = infer(b)
        assert str(values[1])[:10] == "2024-02-08"
        assert said.endswith("whether the day or the month comes first: if this is wrong, say --dates dmy")
        _, values, said = infer(b, dates="dmy")
        assert str(values[1])[:10] == "2024-08-02" and "whether" not in said

    def test_mistakes_are_gaps_and_quoted(self):
        kind, values, said = infer([f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}" if i % 50 else "soon" for i in range(N)])
        assert kind == "time" and np.isnat(values).sum() == 6
        assert said == "294 of 300 cells of 'b' are dates or times, 6 are 'soon' and read as gaps"

    @pytest.mark.parametrize("rows", [N, 20_000], ids=["few", "many"])
    def test_dates_of_eight_digits(self, rows):
        days = np.datetime64("1970-01-01") + np.arange(rows)
        column = parse_csv("\n".join(["b", *(str(day).replace("-", "") for day in days)]).encode(), "t.csv")
        schema, _ = infer_column(column, "b")
        assert schema.kind == "time"
        np.testing.assert_array_equal(schema.read(column["b"]), days.astype("datetime64[us]"))

    def test_times_of_day(self):
        kind, values, _ = infer([f"{i % 24}:{i % 60:02}" for i in range(N)])
        assert kind == "time" and str(values[61]) == "1970-01-01T13:01:00.000000"


class TestOtherKinds:
    def test_texts_that_are_mostly_different_are_text(self):
        assert infer([f"a nice thing, number {i}" for i in range(N)])[0] == "text"

    def test_an_empty_column_is_left_out_and_said(self):
        assert infer(["NA"] * N)[::2] == (None, "column 'b' is empty and left out")

    def test_numbers_as_categories_if_the_user_says_so(self):
        kind, (codes, texts), _ = infer([str(i % 3) for i in range(N)], categorical=["b"])
        assert kind == "category" and set(texts) == {"0", "1", "2"} and (codes >= 0).all()

    def test_whole_numbers_with_a_point_are_the_categories_without(self):
        """A program that cannot hold gaps among whole numbers writes 1.0 where the table has 1."""
        column = TextColumn(np.array([0, 1, 2, 3, 4, -1], np.int32), ("1.0", "1", "2.00", "v1.0", "1.50"))
        codes, texts = read_texts(column)
        assert [texts[code] for code in codes[:5]] == ["1", "1", "2", "v1.0", "1.50"] and codes[5] == -1

    def test_unknown_names_are_refused(self):
        for option in ("exclude", "categorical", "keep"):
            with pytest.raises(TableError, match="no column 'z'"):
                infer(X, **{option: ["z"]})

    def test_columns_of_a_frame(self):
        columns = {
            "n": NumberColumn(np.arange(4.0)),
            "t": TimeColumn(np.array(["2024-01-01", "NaT", "2024-01-03", "2024-01-04"], "datetime64[us]")),
            "c": TextColumn(np.array([0, 1, -1, 0], np.int32), ("u", "v")),
        }
        schema = Schema.infer(Table("X", columns, range(4)))
        assert [column.kind for column in schema.columns] == ["number", "time", "category"]

    @given(st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), min_size=1, max_size=30))
    def test_no_table_is_too_strange(self, rows):
        columns = {}
        for name, cells in zip("abc", zip(*rows, strict=True)):
            texts = tuple(dict.fromkeys(cells))
            columns[name] = TextColumn(np.array([texts.index(cell) for cell in cells], np.int32), texts)
        t = Table("t.csv", columns, range(2, len(rows) + 2))
        try:
            schema = Schema.infer(t, target="c")
        except TableError:
            return
        again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
        for values, same in zip(schema.read(t), again.read(t), strict=True):
            np.testing.assert_equal(values, same)


class TestLeftOut:
    def test_years_that_follow_each_other_are_kept(self):
        assert infer([str(1700 + i) for i in range(N)])[0] == "number"

    @pytest.mark.parametrize("first", [0, 1])
    def test_row_numbers(self, first):
        assert infer([str(first + i) for i in range(N)])[::2] == (
            None,
            "column 'b' numbers the rows, and is left out (--keep 'b')",
        )

    @pytest.mark.parametrize("name", ["id", "ID", "PID", "customer_id", "customerID", "PassengerId", "uuid"])
    def test_names_of_rows(self, name):
        assert infer([f"C{i * 7919 % 1_000_003}" for i in range(N)], name)[0] is None
        assert infer([str(i * 7919 % 1_000_003) for i in range(N)], name)[0] is None

    @pytest.mark.parametrize("name", ["paid", "humid", "grid", "b"])
    def test_a_measurement_that_is_different_in_each_row_is_kept(self, name):
        assert infer([str(i * 7919 % 1_000_003) for i in range(N)], name)[0] == "number"

    def test_an_id_that_occurs_again_is_kept(self):
        assert infer([f"C{i % 60}" for i in range(N)], "id")[0] == "category"

    @pytest.mark.parametrize("name", ["t", "time", "Year", "day", "study_week"])
    def test_time_that_counts_the_rows_is_kept(self, name):
        assert infer([str(i) for i in range(N)], name)[0] == "number"

    def test_all_that_there_is_is_kept(self):
        t = parse_csv("\n".join(["x,y", *(f"{i},{i % 2}" for i in range(60))]).encode(), "t.csv")
        assert Schema.infer(t, target="y").names == ("x",)

    def test_a_copy_of_another_column(self):
        assert infer(X)[::2] == (None, "column 'b' says the same as 'x', and is left out (--keep 'b')")
        c = [["S", "C", "Q"][i % 5 % 3] for i in range(N)]
        t = table(b=c, c=[{"S": "south", "C": "centre", "Q": "queen"}[cell] for cell in c])
        assert Schema.infer(t, target="y").names == ("x", "b")

    @pytest.mark.parametrize("cell", [lambda y: y, lambda y: f"{float(y) * 1.8 + 32:.9f}"], ids=["same", "unit"])
    def test_a_copy_of_a_target_of_numbers(self, cell):
        assert infer([cell(y) for y in Y])[::2] == (
            None,
            "column 'b' is a copy of the target 'y', and is left out (--keep 'b')",
        )

    def test_a_copy_of_a_target_of_classes(self):
        t = table(alive=["yes" if i % 3 else "no" for i in range(N)], y=[str(int(i % 3 > 0)) for i in range(N)])
        assert Schema.infer(t, target="y").names == ("x",)

    def test_the_user_may_keep_all_of_them(self):
        assert infer([str(i) for i in range(N)], keep=["b"])[::2] == ("number", "")
        assert infer(X, keep=["b"])[::2] == ("number", "")

    def test_a_leak_is_named_and_kept(self):
        kind, _, said = infer([f"{float(y) + 1e-3 * i % 0.01:.4f}" for i, y in enumerate(Y)])
        assert kind == "number"
        assert said.startswith("column 'b' by itself predicts 'y' almost perfectly (") and said.endswith(
            "leave it out (--ignore)"
        )

    def test_a_leak_of_classes_is_named(self):
        t = table(b=[str(i % 3 * 10 + i % 7) for i in range(N)], y=["xyz"[i % 3] for i in range(N)])
        assert len(Schema.infer(t, target="y").warnings) == 1

    def test_a_good_column_is_no_leak(self):
        assert infer([f"{float(y) + float(x) / 5:.3f}" for x, y in zip(X, Y, strict=True)])[2] == ""
        t = table(b=[str(i % 3 if i % 20 else 1) for i in range(N)], y=["xyz"[i % 3] for i in range(N)])
        assert Schema.infer(t, target="y").warnings == ()

    def test_a_rare_class_is_no_leak(self):
        """A constant is right in 99 of 100 rows, and a column that says nothing is too."""
        t = table(b=[str(i % 2) for i in range(N)], y=[str(int(i % 100 == 0)) for i in range(N)])
        assert Schema.infer(t, target="y").warnings == ()


class TestSkill:
    def test_noise_has_none_and_the_target_has_all(self):
        generator = np.random.default_rng(0)
        x, y = generator.standard_normal((2, 4000))
        assert skill(("number", x), ("number", y)) < 0.1
        assert skill(("number", y**3), ("number", y)) > 0.99
        labels = (y > 0).astype(np.int32)
        assert skill(("number", y), ("category", (labels, ("a", "b")))) > 0.95
        assert skill(("category", (labels, ("a", "b"))), ("category", (1 - labels, ("a", "b")))) == 1.0

    def test_one_to_one(self):
        labels = (np.arange(100) % 3).astype(np.int32)
        assert one_to_one(("category", (labels, "abc")), ("number", labels * 7.0 + 1))
        assert not one_to_one(("category", (labels // 2, "ab")), ("number", labels * 1.0))
        assert not one_to_one(("number", np.arange(100.0)), ("number", np.arange(100.0) ** 2))
        assert one_to_one(("number", np.arange(100.0)), ("number", 5 - 3 * np.arange(100.0)))


class TestNewTables:
    def schema(self):
        dates = [f"{i % 28 + 1}/{i % 12 + 1}/2024" for i in range(N)]
        return Schema.infer(table(b=[f"${amount:,}" for amount in AMOUNTS], d=dates), target="y")

    def new(self, **columns):
        lines = [
            ",".join(columns),
            *(",".join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True)),
        ]
        return parse_csv("\n".join(lines).encode(), "new.csv")

    def test_they_are_read_as_the_first_one_was(self):
        x, b, d = self.schema().read(self.new(x=["1.5", "2"], b=["$1,234", "7"], d=["1/2/2024", "2/1/2024"]))
        assert x.tolist() == [1.5, 2] and b.tolist() == [1234, 7]
        assert d.astype("datetime64[D]").astype(str).tolist() == ["2024-02-01", "2024-01-02"]

    def test_what_cannot_be_read_is_a_gap_and_said(self):
        new = self.new(x=["1.5", "two"], b=["\u20ac5", "7"], d=["31/12/2024", "12/31/2024"])
        schema = self.schema()
        assert [
            values.tolist()[1 - k] is None or values.tolist()[1 - k] != values.tolist()[1 - k]
            for k, values in enumerate(schema.read(new)[:2])
        ]
        assert schema.remarks(new) == [
            "column 'x': 1 cell that is no number ('two'), read as a gap",
            "column 'b': 1 cell that is no number ('\u20ac5'), read as a gap",
            "column 'd': 1 cell that is no time ('12/31/2024'), read as a gap",
        ]

    def test_an_infinite_cell_is_refused(self):
        new = self.new(x=["1.5", "inf"], b=["5", "7"], d=["31/12/2024", "1/1/2024"])
        with pytest.raises(TableError, match="new.csv, line 3: column 'x' holds 'inf'"):
            self.schema().read(new)

    def test_a_lacking_column_is_named_with_the_nearest(self):
        with pytest.raises(TableError, match=r"lacks the column 'x' \(nearest: 'X'\)"):
            self.schema().read(self.new(X=["1"], b=["1"], d=["1/1/2024"]))

    def test_a_target_with_currency_is_read_and_stored(self):
        t = table(y=[f"${amount:,}" for amount in AMOUNTS])
        target = Target.recognise(t, "y")
        assert target.task == "regression" and target.encode(t)[0].tolist() == AMOUNTS
        assert target.notes[0].startswith("column 'y' holds numbers such as '$")
        again = Target.from_dict(json.loads(json.dumps(target.to_dict())))
        assert again == target and again.encode(t)[0].tolist() == AMOUNTS
