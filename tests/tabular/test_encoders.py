"""Encoding the columns of a table as the inputs of a network (encoders.py)."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import HOUSING, needs_housing
from tables import table

from fastprop.tabular.csv import read_csv
from fastprop.tabular.encoders import CLIP, ONE_HOT, CategoryEncoding, Encoder, NumberEncoding
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import TableError


def fit(t, **options):
    return Encoder.fit(t, Schema.infer(t, **options))


class TestNumbers:
    def test_they_are_scaled_by_median_and_quartiles_and_clipped_smoothly(self):
        t = table(a=[1, 2, 3, 4, 1000])
        scaled = (np.array([1, 2, 3, 4, 1000]) - 3) / 2
        np.testing.assert_allclose(fit(t).transform(t)[:, 0], scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-6)

    def test_by_the_training_rows_alone(self):
        t = table(a=[1, 2, 3, 100], b=[1, 2, 1, 2])
        training = t.take([0, 1, 2])
        np.testing.assert_array_equal(fit(training).transform(t)[:3], fit(training).transform(training))

    def test_a_gap_is_the_median_and_an_indicator(self):
        t = table(a=[0, 0, 3, "", 5])
        X = fit(t).transform(t)
        assert X[:, 1].tolist() == [0, 0, 0, 1, 0]
        assert X[3, 0] == 0  # as the median is

    def test_a_new_gap_without_an_indicator_is_the_median_and_is_said(self):
        encoder = fit(table(a=[1, 2, 6]))
        new = table(a=["", 2])
        assert encoder.transform(new)[0, 0] == encoder.transform(new)[1, 0]
        assert encoder.remarks(new) == [
            "column 'a' has 1 gap, filled with the median 2; there was none in the training rows"
        ]
        assert encoder.remarks(table(a=[7])) == []

    def test_a_constant_column_is_left_out_and_said(self):
        encoder = fit(table(a=[0.1] * 7, b=range(7)))
        assert encoder.names == ("b",) and "'a'" in encoder.notes[0]

    @pytest.mark.parametrize("size", ["1e308", "1e-200", "1e-300"])
    def test_sizes_whose_squares_float64_does_not_hold(self, size):
        t = table(a=["-" + size, size, ""])
        below, above, gap = fit(t).transform(t)[:, 0].tolist()
        assert -CLIP < below < gap == 0 < above < CLIP

    @given(
        cells=st.lists(
            st.one_of(st.floats(-1e300, 1e300).map(repr), st.sampled_from(["", "NA"])), min_size=1, max_size=30
        )
    )
    def test_any_column_becomes_bounded_inputs(self, cells):
        t = table(a=cells, b=range(len(cells)), c=[0, *[1] * len(cells)][: len(cells)], d=["x", "y"][:1] * len(cells))
        try:
            X = fit(t).transform(t)
        except TableError:
            assert len(cells) == 1  # all columns are constant then
            return
        assert (np.abs(X) <= CLIP).all()


class TestCategories:
    def test_each_has_an_input_and_others_share_one(self):
        encoder = fit(table(a=["x", "y", "x", "y"]))
        new = table(a=["y", "z", "x", ""])
        np.testing.assert_array_equal(encoder.transform(new), [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]])
        (remark,) = encoder.remarks(new)
        assert remark.startswith("column 'a' has 2 cells outside the 2 categories of the model ('z'")

    def test_gaps_have_a_place_of_their_own(self):
        t = table(a=["x", "NA", "y", "NA", "x", "y"])
        encoder = fit(t)
        assert encoder.columns == (CategoryEncoding("a", ("x", "y"), gaps=True),)
        assert encoder.transform(t)[:4].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]]
        assert encoder.remarks(t) == []

    def test_rare_ones_are_as_unknown_ones(self):
        t = table(a=["x", "y", "z", "x", "y"])
        encoder = fit(t)
        assert encoder.columns[0].categories == ("x", "y")
        np.testing.assert_array_equal(encoder.transform(t)[2], encoder.transform(table(a=["new"]))[0])

    def test_many_are_codes_of_an_embedding(self):
        cells = [f"c{i:02}" for i in range(ONE_HOT + 5)] * 3
        t = table(a=cells)
        encoder = fit(t)
        (code,) = encoder.inputs
        assert (code.role, code.n_codes) == ("code", ONE_HOT + 6)
        assert encoder.transform(table(a=["c03", "c00", "new"]))[:, 0].tolist() == [3, 0, ONE_HOT + 5]

    def test_numbers_may_be_categories(self):
        t = table(a=[1, 2, 1, 2])
        assert isinstance(fit(t, categorical=["a"]).columns[0], CategoryEncoding)
        assert isinstance(fit(t).columns[0], NumberEncoding)


class TestColumns:
    def test_what_is_empty_is_left_out_and_said(self):
        t = table(a=range(100), empty=["NA"] * 100)
        encoder = fit(t)
        assert encoder.names == ("a",)
        assert [note.split()[1] for note in encoder.notes] == ["'empty'"]

    def test_nothing_to_learn_from(self):
        with pytest.raises(TableError, match="no column to learn from"):
            fit(table(a=["", ""]))

    def test_in_another_order_and_with_more_of_them(self):
        t = table(a=[1, 2, 4], b=["x", "y", "x"])
        other = table(c=[0, 0, 0], b=["x", "y", "x"], a=[1, 2, 4])
        np.testing.assert_array_equal(fit(t).transform(other), fit(t).transform(t))

    def test_lacking_ones_are_named_with_the_nearest(self):
        encoder = fit(table(age=[1, 2], rooms=[1, 2]))
        with pytest.raises(TableError, match=r"lacks the column 'age' \(nearest: 'Age'\)"):
            encoder.transform(table(Age=[1], rooms=[2]))
        with pytest.raises(TableError, match="lacks 2 columns: 'age', 'rooms'"):
            encoder.transform(table(x=[1]))

    def test_they_survive_json(self):
        t = table(
            a=[1, 2, ""] * 2,
            b=["x", "NA", "é"] * 2,
            c=[0.1, 0.2, 0.3] * 2,
            d=[f"2024-03-0{i}" for i in range(1, 7)],
        )
        encoder = fit(t)
        again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
        assert again == encoder
        np.testing.assert_array_equal(again.transform(t), encoder.transform(t))

    @pytest.mark.parametrize("value", [2**64, 10**30, 3, np.float32(2), np.int64(7)], ids=repr)
    def test_numbers_of_a_description_are_floats(self, value):
        """JSON may hold an integer of any size, which NumPy would keep as an object."""
        column = NumberEncoding("x", center=value, scale=value, gaps=False)
        assert [type(number) for number in (column.center, column.scale)] == [float] * 2
        assert (column.center, column.scale) == (float(value), float(value))


@needs_housing
def test_housing():
    t = read_csv(HOUSING)
    encoder = fit(t, exclude=("median_house_value",))
    X = encoder.transform(t)
    assert X.shape == (20640, 15)
    assert X[:, encoder.input_names.index("total_bedrooms = (gap)")].sum() == 207
    assert (np.abs(X) < CLIP).all()
