"""Texts of cells as gaps, numbers and times (cells.py)."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastprop.tabular.cells import (
    Gaps,
    NumberFormat,
    TimeFormat,
    decimal_votes,
    looks_like_codes,
    looks_like_compact_dates,
    looks_like_times,
)

PANDAS = ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
PANDAS += ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", ""]


def numbers(texts, decimal="."):
    """Return texts of one column as numbers, by the format that is found for them."""
    found = NumberFormat.of(texts, np.ones(len(texts)), decimal)
    return found.read(texts)[0].tolist()


def times(texts, day_first=None):
    return [str(value) for value in TimeFormat.of(texts, day_first).read(texts)[0].astype("datetime64[s]")]


class TestGaps:
    @pytest.mark.parametrize("text", [*PANDAS, "?", ".", "-", "--", "\u2014", "nil", "missing", "#DIV/0!", r"\N"])
    def test_every_usual_spelling_in_any_case(self, text):
        assert Gaps().mask([text, text.lower(), text.upper(), "0"]).tolist() == [True] * 3 + [False]

    def test_words_that_may_be_categories_are(self):
        texts = ["None", "-", "missing", "NA", "?", "", "Nancy"]
        assert Gaps().mask(texts, category=True).tolist() == [False] * 3 + [True] * 3 + [False]

    def test_what_the_user_says_is_taken_instead(self):
        assert Gaps(["x"]).mask(["NA", "?", "X", "", "x"]).tolist() == [False, False, True, True, True]
        assert Gaps(["default", "x"]).mask(["NA", "x", "y"]).tolist() == [True, True, False]
        assert Gaps([]).mask(["NA", ""]).tolist() == [False, True]

    def test_a_number_is_a_gap_in_all_its_forms(self):
        assert Gaps(["-200"]).mask(["-200", "-200.0", "-2e2", "200"]).tolist() == [True, True, True, False]

    def test_what_the_user_says_is_a_gap_among_categories_too(self):
        assert Gaps(["None"]).mask(["None", "NA"], category=True).tolist() == [True, False]


class TestNumbers:
    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            (["1", "-2.5", "+3", "1e5", "-1E-2", ".5", "5."], [1, -2.5, 3, 1e5, -0.01, 0.5, 5]),
            (["1,234", "950", "3.5"], [1234, 950, 3.5]),  # thousands
            (["1,234,567.5", "1,234"], [1234567.5, 1234]),
            (["12,34,567", "5.5"], [1234567, 5.5]),  # as in India
            (["1.234", "950", "3,5"], [1234, 950, 3.5]),  # decimal comma, and points as marks of thousands
            (["1.234.567,8", "0,5"], [1234567.8, 0.5]),
            (["1 234,5", "1\u00a0234", "1\u202f234\u202f567"], [1234.5, 1234, 1234567]),
            (["1'234.5", "1\u2019234"], [1234.5, 1234]),
            (["3.1%", "4 %", "-5%"], [3.1, 4, -5]),
            (["$5", "-$5", "$-5", "($5)", "$1,234.50", "$ 7", "7 $"], [5, -5, -5, -5, 1234.5, 7, 7]),
            (["5 EUR", "1.234,5 EUR", "EUR 3"], [5, 1234.5, 3]),
            (["\u20ac110.5M", "\u20ac500K", "\u20ac0"], [110.5e6, 5e5, 0]),
            (["\u22125", "\u20135", "5-", "(5)"], [-5, -5, -5, -5]),
            (["5 kg", "6kg", "7 kg", "8 kg", "9.5 kg"], [5, 6, 7, 8, 9.5]),
            (["10,000+", "5+", "6+", "7+", "8+"], [10000, 5, 6, 7, 8]),
            (["1,5", "2.5", "3.5"], [1.5, 2.5, 3.5]),  # a comma that cannot be a mark of thousands
            (["007", "12"], [7, 12]),
        ],
    )
    def test_every_form(self, texts, expected):
        assert numbers(texts) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "1_000",
            "0x1f",
            "1.2.3",
            "1,23",
            "12abc",
            "2026-01-01",
            "12:30",
            "1/2",
            "one",
            "5 6",
            "--5",
            "(5",
            "-(5)",
            "nan",
        ],
    )
    def test_what_is_no_number_beside_numbers_with_points(self, text):
        values, parsed = NumberFormat().read(["1.5", text])
        assert parsed.tolist() == [True, text == "1,23"] and (np.isnan(values[1]) or text == "1,23")

    def test_another_unit_is_no_number(self):
        assert np.isnan(numbers(["$5", "$6", "\u20ac7"])[2])

    def test_few_texts_with_a_common_word_are_categories(self):
        assert np.isnan(numbers(["2WD", "4WD"])).all()

    @pytest.mark.parametrize(
        ("decimal", "expected"), [(".", [1234, 1.234]), (",", [1.234, 1234])], ids=["point file", "comma file"]
    )
    def test_the_file_decides_where_the_column_cannot(self, decimal, expected):
        """1,234 beside 950 may be both, and so may 1.234."""
        assert numbers(["1,234", "950"], decimal)[0] == expected[0]
        assert numbers(["1.234", "950"], decimal)[0] == expected[1]

    def test_votes(self):
        assert decimal_votes(["1.5", "1,234.5", "1,234,567"]) == (3, 0)
        assert decimal_votes(["1,5", "1.234,5", "1.234.567"]) == (0, 3)
        assert decimal_votes(["1,234", "1.234", "950", "x", "a.b, c", ""]) == (0, 0)

    @pytest.mark.parametrize("text", ["inf", "-Infinity", "1e999"])
    def test_infinity_is_a_number_that_the_schema_refuses(self, text):
        values, parsed = NumberFormat().read([text])
        assert parsed[0] and np.isinf(values[0])

    @given(
        values=st.lists(st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=2, max_size=20),
        marks=st.sampled_from([".", ".,", ". ", ".'", ",", ",.", ", ", ".\u00a0", ",\u202f"]),
        around=st.sampled_from(["{}", "${}", "{} \u20ac", "{}%", "EUR {}", "{} USD"]),
        minus=st.sampled_from(["-", "\u2212", "("]),
        zeros=st.booleans(),
    )
    def test_any_numbers_in_any_form_are_read_back(self, values, marks, around, minus, zeros):
        """Of two decimals, so that the point and the comma cannot be taken for one another."""
        texts = []
        for value in values:
            digits = f"{abs(value):,.2f}".replace(",", "T").replace(".", "D")
            digits = digits.replace("D", marks[0]).replace("T", marks[1:])
            digits = digits if zeros else digits.removesuffix(f"{marks[0]}00")
            text = around.format(digits)
            texts.append(text if value >= 0 else f"({text})" if minus == "(" else minus + text)
        hint = marks[0]  # which decides if all are whole
        assert numbers(texts, hint) == [float(value) for value in values]

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
    def test_what_python_writes_is_read_to_the_bit(self, values):
        texts = [repr(value) for value in values]
        assert numbers(texts) == values

    @given(st.lists(st.text(max_size=12)), st.sampled_from(".,"))
    def test_no_text_is_too_strange(self, texts, decimal):
        values, parsed = NumberFormat.of(texts, np.ones(len(texts)), decimal).read(texts)
        assert not parsed[np.isnan(values)].any()

    def test_codes(self):
        assert looks_like_codes(["02134", "90210"])
        assert not looks_like_codes(["12345", "90210"])  # no leading zero
        assert not looks_like_codes(["007", "12"])  # of unequal length
        assert not looks_like_codes(["01", "12"])  # months
        assert not looks_like_codes([])


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        [
            "2026-12-31",
            "2026/12/31",
            "2026.12.31",
            "31/12/2026",
            "12/31/2026",
            "31.12.2026",
            "31-12-2026",
            "31.12.26",
            "31-Dec-2026",
            "31-Dec-26",
            "31 December 2026",
            "Dec 31, 2026",
            "December 31 2026",
            "Thu, 31 Dec 2026",
            "31st December 2026",
            "20261231",
        ],
    )
    @pytest.mark.parametrize(
        ("clock", "expected"),
        [
            ("", "00:00:00"),
            (" 14:05", "14:05:00"),
            (" 14:05:33", "14:05:33"),
            (" 2:05 PM", "14:05:00"),
            (" 2:05:33 a.m.", "02:05:33"),
            (" 12:00 AM", "00:00:00"),
            ("T14:05:33.25", "14:05:33"),
            ("T14:05:33Z", "14:05:33"),
            (" 14:05:33 +02:00", "14:05:33"),
            (" 14:05:33+0200", "14:05:33"),
        ],
    )
    def test_every_form(self, text, clock, expected):
        assert times([text + clock]) == [f"2026-12-31T{expected}"]
        assert looks_like_times([text + clock]) or (text + clock).isdecimal()

    def test_months_alone(self):
        assert times(["2026-12", "Jan 2026"]) == ["2026-12-01T00:00:00", "2026-01-01T00:00:00"]

    def test_times_of_day_alone(self):
        assert times(["14:05", "2:05 PM", "23:59:59"])[:2] == ["1970-01-01T14:05:00"] * 2

    def test_fractions_of_seconds(self):
        value = TimeFormat().read(["2026-01-01 00:00:00.123456789"])[0][0]
        assert str(value) == "2026-01-01T00:00:00.123456"

    @pytest.mark.parametrize(
        "text", ["31/31/2026", "30 Feb 2026", "2026-13-01", "2026-01-32", "25:00", "1:75", "may", "1094.0"]
    )
    def test_what_is_no_time(self, text):
        found = TimeFormat.of([text])
        values, parsed = found.read([text])
        assert not parsed[0] and np.isnat(values[0])

    def test_the_column_decides_which_is_the_day(self):
        assert times(["1/2/2026", "31/1/2026"])[0] == "2026-02-01T00:00:00"
        assert times(["1/2/2026", "1/31/2026"])[0] == "2026-01-02T00:00:00"

    def test_a_date_of_the_other_order_is_no_date(self):
        assert not TimeFormat(day_first=False).read(["31/1/2026"])[1][0]

    def test_nothing_decides(self):
        assert TimeFormat.of(["1/2/2026"]) == TimeFormat("date", day_first=False, certain=False)
        assert TimeFormat.of(["1.2.2026"]) == TimeFormat("date", day_first=True, certain=False)
        assert TimeFormat.of(["1/2/2026"], day_first=True) == TimeFormat("date", day_first=True)

    def test_the_order_of_the_rows_decides(self):
        assert TimeFormat.of(["1/2/2026", "2/2/2026", "3/2/2026", "1/3/2026"]).day_first

    def test_digits_alone_are_dates_if_all_are_and_they_are_many_or_named_so(self):
        dates = [f"202601{day:02}" for day in range(1, 32)]
        assert looks_like_compact_dates(dates, "x")
        assert not looks_like_compact_dates([*dates, "20269999"], "x")
        assert not looks_like_compact_dates(dates[:2], "x")
        assert looks_like_compact_dates(dates[:2], "sale_date")

    @given(
        moments=st.lists(
            st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2068, 12, 31)), min_size=1, max_size=10
        ),
        form=st.sampled_from(
            [
                "%Y-%m-%d %H:%M:%S",
                "%Y-%m-%dT%H:%M:%S.%f",
                "%d/%m/%Y %H:%M:%S",
                "%m/%d/%Y %I:%M:%S %p",
                "%d.%m.%y %H:%M:%S",
                "%d-%b-%Y %H:%M:%S",
                "%B %d, %Y %H:%M:%S",
                "%a, %d %b %Y %H:%M:%S +0000",
            ]
        ),
    )
    def test_moments_in_any_form_are_read_back(self, moments, form):
        texts = [moment.strftime(form) for moment in moments]
        day_first = True if form.startswith(("%d/", "%d.")) else False if form.startswith("%m/") else None
        expected = [moment if "%f" in form else moment.replace(microsecond=0) for moment in moments]
        assert TimeFormat.of(texts, day_first).read(texts)[0].tolist() == expected

    @given(st.lists(st.text(alphabet="0123456789-/:. TZamp+", max_size=20)))
    def test_no_text_is_too_strange(self, texts):
        looks_like_times(texts)
        values, parsed = TimeFormat.of(texts).read(texts)
        assert (parsed == ~np.isnat(values)).all()
