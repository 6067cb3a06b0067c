"""Scores of predictions and their standard errors (scores.py)."""

import numpy as np
import pytest

from fastprop.tabular.scores import difference, scores
from fastprop.tabular.target import Target

CLASSES = Target("y", "classification", ("a", "b", "c"))
TWO = Target("y", "classification", ("a", "b"))
NUMBER = Target("y", "regression", mean=5.0, scale=2.0)


def drawn(target, n, seed):
    """Return the truth of n rows, and predictions that know something of it."""
    random = np.random.default_rng(seed)
    if target.task == "regression":
        y = random.normal(5, 2, n)
        return y, y + random.normal(0, 1, n)
    y = random.choice(len(target.classes), n, p=[0.7, 0.3] if len(target.classes) == 2 else [0.5, 0.3, 0.2])
    known = random.normal(size=(n, len(target.classes)))
    known[np.arange(n), y] += 1
    return y, np.exp(known) / np.exp(known).sum(axis=1, keepdims=True)


def test_by_hand():
    found = {score.name: score for score in scores(NUMBER, np.array([1.0, 2, 6]), np.array([1.0, 4, 4]))}
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        {"R2": 1 - 8 / 6, "RMSE": np.sqrt(8 / 3), "MAE": 4 / 3}
    )
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    found = {score.name: score for score in scores(TWO, p, np.array([0, 1, 1, 1]))}
    assert found["accuracy"].value == 0.75 and found["AUC"].value == 1
    assert found["balanced accuracy"].value == pytest.approx((1 + 2 / 3) / 2)
    assert found["log loss"].value == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert found["log loss"].error == pytest.approx(np.log([0.9, 0.8, 0.4, 0.7]).std(ddof=1) / 2)
    assert [score.greater for score in found.values()] == [False, True, True, True]


@pytest.mark.parametrize("target", [CLASSES, TWO, NUMBER], ids=["three classes", "two classes", "a number"])
def test_the_standard_error_is_the_deviation_of_the_score_over_samples(target):
    samples = [scores(target, predictions, y) for y, predictions in (drawn(target, 300, seed) for seed in range(300))]
    for each in zip(*samples):
        values = np.array([score.value for score in each])
        # The deviation of 300 samples is known to 4%.
        assert np.mean([score.error for score in each]) == pytest.approx(values.std(ddof=1), rel=0.2), each[0].name


def test_a_difference_is_known_better_than_its_parts():
    y, predictions = drawn(NUMBER, 500, 0)
    other = predictions + np.random.default_rng(1).normal(0, 0.1, 500)
    for ours, theirs in zip(scores(NUMBER, predictions, y), scores(NUMBER, other, y), strict=True):
        better, error = difference(ours, theirs)
        assert error < ours.error / 3
        assert better == pytest.approx((ours.value - theirs.value) * (1 if ours.greater else -1))
        assert difference(theirs, ours) == pytest.approx((-better, error))


def test_rows_of_a_group_count_as_one():
    y, predictions = drawn(NUMBER, 100, 0)
    apart = scores(NUMBER, predictions, y)
    together = scores(NUMBER, np.repeat(predictions, 4), np.repeat(y, 4), groups=np.repeat(np.arange(100), 4))
    for one, four in zip(apart, together, strict=True):
        assert four.value == pytest.approx(one.value) and four.error == pytest.approx(one.error, rel=0.02)


def test_sizes_whose_squares_float64_does_not_hold():
    y = np.array([-1e200, 1e200, 3e200, 2e200])
    target = Target("y", "regression").fitted(y)
    found = scores(target, y * 0.9, y)
    assert all(np.isfinite([score.value, score.error]).all() for score in found)
    assert found[1].value == pytest.approx(1e200 * np.sqrt(np.mean([0.01, 0.01, 0.09, 0.04])))
