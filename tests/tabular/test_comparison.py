"""Simpler models (baselines.py), and the comparison with them on the same rows (comparison.py)."""

import numpy as np
import pytest
from tables import table

from fastprop.tabular import baselines
from fastprop.tabular.comparison import compare, cross_validate, with_interval
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.model import TabularModel, assign_folds
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.target import Target


def made(n=300, task="regression"):
    """Return a table, its target as an array, and the target: linear in a and c, with gaps in a."""
    random = np.random.default_rng(0)
    a, c, d = random.normal(size=n), random.integers(0, 3, n), random.integers(0, 40, n)
    y = 2 * a + 3 * (c == 1) + random.normal(0, 0.3, n)
    cells = ["" if k % 10 == 0 else f"{value:.4f}" for k, value in enumerate(a)]
    t = table(a=cells, c=["xyz"[k] for k in c], d=[f"d{k:02}" for k in d])
    if task == "regression":
        return t, y, Target("y", "regression").fitted(y)
    return t, (y > 1).astype(np.int64), Target("y", "classification", ("no", "yes"))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_linear_model_learns_what_is_linear(task):
    t, y, target = made(task=task)
    encoder = Encoder.fit(t, Schema.infer(t))
    X, seen = encoder.transform(t), np.arange(300) < 200
    found = baselines.predictions_of("linear", encoder, target, X, y, [(seen, ~seen)])
    assert np.isnan(found[seen]).all() and np.isfinite(found[~seen]).all()
    if task == "regression":
        known = ~seen & (np.arange(300) % 10 > 0)
        assert np.corrcoef(found[known], y[known])[0, 1] > 0.95
    else:
        assert (found[~seen].argmax(axis=1) == y[~seen]).mean() > 0.85


@pytest.mark.peer
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_trees_take_categories_and_gaps_as_they_are(task):
    pytest.importorskip("sklearn")
    t, y, target = made(task=task)
    encoder = Encoder.fit(t, Schema.infer(t))
    X, seen = encoder.transform(t), np.arange(300) < 200
    columns, categorical = baselines.tree_columns(encoder, X, seen)
    assert categorical.tolist() == [False, True, True]
    assert np.isnan(columns[:, 0]).tolist() == [k % 10 == 0 for k in range(300)]
    assert set(np.unique(columns[:, 1])) == {0, 1, 2}
    found = baselines.predictions_of("trees", encoder, target, X, y, [(seen, ~seen)])[~seen]
    assert np.isfinite(found).all()
    guess = baselines.predictions_of("guess", encoder, target, X, y, [(seen, ~seen)])[~seen]
    if task == "regression":
        assert ((found - y[~seen]) ** 2).mean() < 0.3 * ((guess - y[~seen]) ** 2).mean()
    else:
        assert found.sum(axis=1) == pytest.approx(1) and (found.argmax(axis=1) == y[~seen]).mean() > 0.8


@pytest.mark.peer
def test_a_class_without_rows_is_not_impossible():
    pytest.importorskip("sklearn")
    t, _, _ = made()
    y, target = np.arange(300) % 2, Target("y", "classification", ("a", "b", "c"))
    y[299] = 2
    encoder, seen = Encoder.fit(t, Schema.infer(t)), np.arange(300) < 200
    for name in baselines.BASELINES:
        found = baselines.predictions_of(name, encoder, target, encoder.transform(t), y, [(seen, ~seen)])[~seen]
        assert (found[:, 2] > 0).all() and found.sum(axis=1) == pytest.approx(1), name


def test_the_guess_is_the_same_for_all_rows():
    t, y, target = made(task="classification")
    encoder, folds = Encoder.fit(t, Schema.infer(t)), assign_folds(300, 3)
    splits = [(folds != k, folds == k) for k in range(3)]
    found = baselines.predictions_of("guess", encoder, target, encoder.transform(t), y, splits)
    assert found == pytest.approx(np.tile(np.bincount(y) / 300, (300, 1)))


@pytest.fixture(scope="module")
def fitted():
    t, y, target = made()
    schema, recipe = Schema.infer(t), Recipe.of("low", "regression")
    return t, y, target, lambda rows: TabularModel.fit(t.take(rows), y[rows], target, schema=schema, recipe=recipe)


def test_all_are_scored_on_the_rows_that_no_network_saw(fitted):
    t, y, _, fit = fitted
    model = fit(np.arange(300))
    comparison = compare(model, t, y, ["linear", "guess"])
    held_out = model.folds >= 0
    assert 0 < held_out.sum() < 300  # of low effort two networks hold out a quarter each
    np.testing.assert_array_equal(comparison.values, y[held_out])
    assert all(len(each) == held_out.sum() for each in comparison.predictions.values())
    assert list(comparison.scores) == ["fastprop", "linear", "guess"]
    verdicts = comparison.verdicts()
    assert verdicts[1].startswith("better than a guess that uses no column: R2 is higher by ")
    lines = comparison.lines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["fastprop", "linear model", "no column"]
    found = comparison.to_dict()
    assert found["rows"] == held_out.sum()
    assert found["models"]["fastprop"]["R2"]["low"] < found["models"]["fastprop"]["R2"]["value"] < 1


def test_a_test_is_of_other_rows(fitted):
    t, y, _, fit = fitted
    training, test = np.arange(200), np.arange(200, 300)
    model = fit(training)
    comparison = compare(model, t.take(training), y[training], ["guess"], test=(t.take(test), y[test]))
    np.testing.assert_array_equal(comparison.values, y[test])
    np.testing.assert_array_equal(comparison.predictions["fastprop"], model.predict(t.take(test)))
    assert comparison.predictions["guess"] == pytest.approx(y[training].mean())


def test_a_cross_validation_scores_every_row_once(fitted):
    t, y, _, fit = fitted
    folds = assign_folds(300, 3, seed=1)
    comparison = cross_validate(fit, t, y, folds, ["guess"])
    np.testing.assert_array_equal(np.sort(comparison.values), np.sort(y))
    each = [fold["fastprop"][0].value for fold in comparison.folds]
    score = comparison.scores["fastprop"][0]
    errors = [fold["fastprop"][0].error for fold in comparison.folds]
    assert score.value == pytest.approx(np.mean(each))
    assert score.error == pytest.approx(np.sqrt(np.mean(np.square(errors)) / 3), rel=0.02)
    assert len(comparison.to_dict()["models"]["guess"]["folds"]) == 3


@pytest.mark.parametrize(
    "value, error, text",
    [
        (0.91234, 0.0112, "0.912 +- 0.022"),
        (12345.6, 100.0, "12,346 +- 196"),
        (0.5, 0.0, "0.500 +- 0"),
        (-1e-9, 1e-7, "0.0000 +- 0.0000"),
        (2.0, float("nan"), "2.0000 +- nan"),
    ],
)
def test_decimals_follow_the_interval(value, error, text):
    assert with_interval(value, error) == text
