"""What a model relies on (inspection.py): importances and effects of columns."""

import numpy as np
import pytest
from tables import table

from fastprop.tabular.inspection import FEW, effect, held_out_ensembles, importances
from fastprop.tabular.model import TabularModel
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.target import Target


@pytest.fixture(scope="module")
def study():
    """A model of y = 3 a + (2 where c is x) + noise; b and the times say nothing, and d has few different numbers."""
    random = np.random.default_rng(0)
    n = 400
    a, b = random.normal(size=n), random.normal(size=n)
    c, d = random.choice(list("xyz"), n), random.integers(0, 4, n)
    times = np.datetime64("2026-01-01") + random.integers(0, 300, n)
    y = 3 * a + 2 * (c == "x") + random.normal(0, 0.3, n)
    texts = [f"word{k % 7} number {k}" for k in range(n)]
    t = table(a=[f"{v:.4f}" for v in a], b=[f"{v:.4f}" for v in b], c=c, d=d, when=times, text=texts)
    target = Target("y", "regression")
    model = TabularModel.fit(t, y, target, schema=Schema.infer(t), recipe=Recipe.of("low", "regression"))
    return model, t, y


def test_those_that_predict_did_not_see_the_rows(study):
    model, t, y = study
    ensembles = held_out_ensembles(model, t, y)
    for k, (ensemble, X, values) in enumerate(ensembles):
        np.testing.assert_array_equal(values, y[model.folds == k])
        np.testing.assert_allclose(ensemble(X), model.held_out[model.folds == k], rtol=1e-4, atol=1e-5)
    ((ensemble, _, values),) = held_out_ensembles(model, t, y, (t.take(range(5)), y[:5]))
    assert ensemble is model.ensemble and len(values) == 5


def test_what_matters_is_important(study):
    model, t, y = study
    found = importances(model, held_out_ensembles(model, t, y))
    assert {each.name for each in found} == set(model.encoder.names)
    assert [each.name for each in found[:2]] == ["a", "c"]
    # Dealing the cells anew makes an error of twice the variance that the column explains.
    assert found[0].value == pytest.approx(
        2 * np.var(3 * np.array([float(v) for v in cells(t, "a")])) / y.var(), rel=0.25
    )
    worthless = next(each for each in found if each.name == "b")
    assert worthless.interval[0] < 0.02 and worthless.value < 0.05
    assert all(low < each.value < high for each in found for low, high in [each.interval])


def test_effects(study):
    model, t, _ = study
    of_a = effect(model, t, "a")
    assert (np.diff(of_a.points) > 0).all() and of_a.means.shape == of_a.points.shape
    slope = np.polyfit(of_a.points, of_a.means, 1)[0]
    assert slope == pytest.approx(3, rel=0.2)
    of_c = effect(model, t, "c")
    means = dict(zip(of_c.points, of_c.means))
    assert means["x"] - means["y"] == pytest.approx(2, abs=0.5) and abs(means["y"] - means["z"]) < 0.5
    assert of_c.counts.sum() == 400 and of_c.edges is None
    of_d = effect(model, t, "d")
    assert of_d.points.tolist() == [0, 1, 2, 3] and len(of_d.points) <= FEW and of_d.counts.sum() == 400
    of_time = effect(model, t, "when")
    assert of_time.points.dtype.kind == "M" and of_time.edges.dtype.kind == "M"
    assert len(of_time.counts) == len(of_time.edges) - 1
    assert effect(model, t, "text") is None


def cells(t, name):
    return [t[name].cell(row) for row in range(t.n_rows)]
