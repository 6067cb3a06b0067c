"""Contributions of columns to a prediction (contributions.py)."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from fastprop.tabular.contributions import ROWS, contributions, draw_background, pack, unpack
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.schema import Schema

PLACES = [slice(0, 1), slice(1, 3), slice(3, 4)]


def product(X):
    """A function in which columns matter together."""
    return X[:, 0] * (1 + X[:, 1] - 2 * X[:, 2]) * (1 + X[:, 3] ** 2)


def by_all_orders(predict, x, background):
    """Return the Shapley values by their definition."""
    total = np.zeros(len(PLACES))
    for order in permutations(range(len(PLACES))):
        current = background.copy()
        for column in order:
            before = predict(current).mean()
            current[:, PLACES[column]] = x[PLACES[column]]
            total[column] += predict(current).mean() - before
    return total / math.factorial(len(PLACES))


def test_they_are_shapley_values_within_their_errors():
    random = np.random.default_rng(0)
    background, x = random.normal(size=(ROWS, 4)).astype(np.float32), np.array([1, 2, -1, 0.5], np.float32)
    found = contributions(product, x, background, PLACES)
    exact = by_all_orders(product, x, background)
    assert (np.abs(found.values - exact) < 3 * found.errors).all()
    assert found.base == pytest.approx(product(background).mean()) and found.prediction == pytest.approx(
        product(x[None])[0]
    )


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_they_sum_to_the_difference(seed, rows):
    random = np.random.default_rng(seed)
    background, x = random.normal(size=(rows, 4)).astype(np.float32), random.normal(size=4).astype(np.float32)
    found = contributions(product, x, background, PLACES, seed)
    assert found.base + found.values.sum() == pytest.approx(found.prediction, rel=1e-5, abs=1e-5)


def test_of_a_sum_each_is_that_of_its_column_alone():
    random = np.random.default_rng(1)
    background, x = random.normal(size=(50, 4)), random.normal(size=4)
    found = contributions(lambda X: X @ [1.0, 2, 3, 4], x, background, PLACES)
    alone = (x - background.mean(axis=0)) * [1, 2, 3, 4]
    np.testing.assert_allclose(found.values, [alone[0], alone[1] + alone[2], alone[3]])


def test_a_background_holds_cells_of_the_table_but_no_row_of_it():
    t = table(a=range(300), b=[f"2026-01-{1 + i % 28:02} {i % 24:02}:00" for i in range(300)], c=list("xyz") * 100)
    encoder = Encoder.fit(t, Schema.infer(t, keep=("a",)))
    X = encoder.transform(t)
    background = draw_background(encoder, X)
    assert background.shape == (ROWS, X.shape[1])
    for place in encoder.places:
        known = {row.tobytes() for row in np.ascontiguousarray(X[:, place])}
        assert {row.tobytes() for row in np.ascontiguousarray(background[:, place])} <= known
    rows = {row.tobytes() for row in X}
    assert sum(row.tobytes() in rows for row in background) <= 5
    np.testing.assert_array_equal(unpack(pack(background), X.shape[1]), background)
    assert unpack(pack(None), 3) is None


@pytest.mark.parametrize(
    "text", ["", "?", "eJw=", pack(np.ones((ROWS + 1, 3))), pack(np.full((2, 3), np.nan)), pack(np.ones((2, 4)))]
)
def test_what_is_no_background_is_refused(text):
    with pytest.raises(ValueError):
        unpack(text, 3)
