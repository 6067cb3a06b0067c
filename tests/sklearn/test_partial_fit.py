"""Streams: statistics that change with the rows, the network in their units, and scores as good as scikit-learn's."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import StandardScaler

import fastprop as fp
from fastprop.sklearn import standardize
from fastprop.sklearn.standardize import Moments, Standardization, first_weights, restandardize

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


# ---- the statistics ----


@given(st.data())
def test_moments_of_parts_are_those_of_the_whole(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    table = random.normal(size=(sum(sizes), 3)) * [1, 1e-3, 1e6] + [0, 5, -1e6]
    table[:, 1] = np.where(data.draw(st.booleans()), table[:, 1], 7.1)  # constant, or not
    weight = random.integers(1, 4, len(table)).astype(float) if data.draw(st.booleans()) else None
    ends = np.cumsum(sizes)
    parts = [Moments.of(table[a:b], None if weight is None else weight[a:b]) for a, b in zip([0, *ends], ends)]
    found = sum(parts[1:], parts[0])
    mean = np.average(table, axis=0, weights=weight)
    deviation = np.sqrt(np.average((table - mean) ** 2, axis=0, weights=weight))
    size = np.abs(table).max(axis=0)  # where all rows are equal, the deviation is the rounding of such numbers
    np.testing.assert_allclose(found.mean / size, mean / size, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.deviation / size, deviation / size, rtol=1e-6, atol=1e-12)
    again = found + found
    assert np.array_equal(again.mean, found.mean) and np.array_equal(again.deviation, found.deviation)


@pytest.mark.parametrize("members, hidden", [(1, (6,)), (1, ()), (3, (6,)), (3, ())], ids=str)
@pytest.mark.parametrize("loss", ["half_mse", "gaussian_nll", "poisson"])
def test_what_was_learned_does_not_change_when_the_statistics_do(members, hidden, loss, monkeypatch):
    """If all weights count as learned, the predictions for X in its own units stay, up to rounding."""
    monkeypatch.setattr(standardize, "HALF_LEARNED_ROWS", 0)
    monkeypatch.setattr(standardize, "MAX_GROWTH", np.inf)
    random = np.random.default_rng(0)
    X, y = random.normal(3, 5, (40, 4)), random.gamma(2, 10, (40, 2))
    loss = fp.losses.LOSSES[loss]
    network = fp.Network([4, *hidden, 2 * loss.outputs], activation="tanh", dtype="float64", seed=0, members=members)
    initial_weights = first_weights(network).copy()
    network.parameters[:] += random.normal(size=network.n_parameters)
    old = Standardization.of(X[:10], y[:10], None, loss.name == "poisson")
    new = old.joined(X[10:] * [1, 30, 1, 1] + [0, 0, 9, 0], y[10:] * 7, np.arange(1.0, 31.0))
    before = old.outputs(network(old.inputs(X)), loss)
    restandardize(network, old, new, loss, initial_weights)
    np.testing.assert_allclose(new.outputs(network(new.inputs(X)), loss), before, rtol=1e-9)


def test_initial_weights_suit_the_present_units():
    """The initial weights of a column count as learned where it varied, and not where it was nearly constant."""
    random = np.random.default_rng(0)
    network = fp.Network([2, 5, 1], seed=0)
    initial_weights = first_weights(network).copy()
    X = random.normal(size=(100_000, 2))
    X[2:, 1] = 0.0
    old = Standardization.of(X, None, None, False)
    new = old.joined(2 * random.normal(size=(100_000, 2)), None, None)
    restandardize(network, old, new, fp.losses.half_mse, initial_weights)
    ratio = first_weights(network) / initial_weights
    assert np.all(ratio[0] > 1.5) and np.all(np.abs(ratio[1] - 1) < 0.1)


@pytest.mark.parametrize("kind", [fp.MLPClassifier, fp.MLPRegressor])
def test_a_scale_that_was_noise(kind):
    """A sensor that is off for a while, with only jitter, and then on."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1300, 4))
    X[:100, :2] *= 1e-6
    y = X[:, 0] + X[:, 2] > X[:, 1] if kind is fp.MLPClassifier else X[:, 0] + X[:, 2] - X[:, 1]
    estimator = kind(random_state=0, learning_rate_init=0.01)
    for first in range(0, 1000, 10):
        part = slice(first, first + 10)
        estimator.partial_fit(X[part], y[part], **({"classes": [False, True]} if kind is fp.MLPClassifier else {}))
    assert estimator.score(X[1000:], y[1000:]) > 0.9


@pytest.mark.parametrize("kind", [fp.MLPClassifier, fp.MLPRegressor])
@pytest.mark.parametrize("further", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_come_later_count(kind, further, dtype):
    """The inputs are standardised by the moments of all rows so far; network_ takes them in their own units."""
    random = np.random.default_rng(0)
    X = (random.normal(size=(60, 3)) * [1, 1, 0] + [0, 5, 3]).astype(dtype)
    X[30:] *= 100
    X[::2, 2] += 50
    y = np.arange(60) % 2 if kind is fp.MLPClassifier else 1e3 + 10.0 * np.arange(60)
    estimator = kind(random_state=0, warm_start=True, max_iter=2)
    for part in (slice(0, 30), slice(30, 60)):
        if further == "warm_start":
            estimator.fit(X[part], y[part])
        else:
            estimator.partial_fit(X[part], y[part], **({"classes": [0, 1]} if kind is fp.MLPClassifier else {}))
    standards = estimator._standardization
    rtol = 1e-5 if dtype is np.float32 else 1e-9
    np.testing.assert_allclose(standards.x.mean, X.mean(axis=0, dtype=float), rtol=rtol)
    np.testing.assert_allclose(standards.x.deviation, X.std(axis=0, dtype=float), rtol=rtol)
    outputs = estimator.network_(X)[:, 0]
    if kind is fp.MLPRegressor:
        assert standards.y.mean == pytest.approx(y.mean()) and standards.y.deviation == pytest.approx(y.std())
        np.testing.assert_allclose(outputs, estimator.predict(X), rtol=1e-5)
    else:
        assert np.array_equal(outputs > 0, estimator.predict(X) == 1)


def test_rows_one_by_one():
    """The first row is not standardised; from the second row on, scales are known."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1200, 3)) * [1, 100, 0.01] + [5, 0, 0]
    y = 100 * X[:, 0] + X[:, 1] + 1e4 * X[:, 2]
    regressor = fp.MLPRegressor(random_state=0)
    for row in range(1000):
        regressor.partial_fit(X[row : row + 1], y[row : row + 1])
    assert regressor.score(X[1000:], y[1000:]) > 0.8


def test_bins_that_one_batch_does_not_show():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="quantiles of all rows, which partial_fit does not see"):
        fp.MLPRegressor(embedding="piecewise").partial_fit(X[:10], y[:10])
    fitted = fp.MLPRegressor(embedding="piecewise", max_iter=2).fit(X, y)
    fitted.partial_fit(X[:10], y[:10])
    given = fp.PiecewiseLinear(((-0.1, 0.0, 0.1),) * X.shape[1])
    fp.MLPRegressor(embedding=given).partial_fit(X[:10], y[:10])


# ---- scores compared with scikit-learn's ----


def _digits(random, in_order=False):
    X, y = load_digits(return_X_y=True)
    rows = random.permutation(len(X))
    train = rows[:300] if not in_order else rows[:1200][np.argsort(y[rows[:1200]], kind="stable")]
    return X[train], y[train], X[rows[1200:]], y[rows[1200:]]


def _digits_in_order(random):
    return _digits(random, in_order=True)


def _empty_columns_first(random):
    X = 100 * random.normal(size=(1500, 8))
    X[:20, :4] = 7.0
    y = (X[:, 0] + X[:, 5] > X[:, 1]).astype(int)
    return X[:1000], y[:1000], X[1000:], y[1000:]


def _cancer(random):
    X, y = load_breast_cancer(return_X_y=True)
    rows = random.permutation(len(X))
    return X[rows[:400]], y[rows[:400]], X[rows[400:]], y[rows[400:]]


def _drifting_scale(random):
    scale = np.append(np.geomspace(1, 100, 1500), np.full(500, 100.0))
    X = random.normal(size=(2000, 6)) * scale[:, np.newaxis]
    y = X[:, 0] - 2 * X[:, 1] + 0.5 * X[:, 2] + 0.1 * scale * random.normal(size=2000)
    return X[:1500], y[:1500], X[1500:], y[1500:]


def _houses(random):
    """Return columns like those of a census (incomes, ages, people in a block, places), and prices."""
    n = 3000
    income, age, people = random.lognormal(1.2, 0.4, n), random.uniform(1, 52, n), random.lognormal(7, 0.7, n)
    place = 34 + 4 * (random.random(n) < 0.5) + random.normal(size=n)
    y = 0.4 * income + 0.01 * age + np.exp(-((place - 34) ** 2)) + 0.2 * random.normal(size=n)
    X = np.stack([income, age, people, place], axis=1)
    return X[:2000], y[:2000], X[2000:], y[2000:]


def _diabetes_by_target(random):
    X, y = load_diabetes(return_X_y=True)
    rows = random.permutation(len(X))
    train = np.tile(rows[:340][np.argsort(y[rows[:340]])], 10)
    return X[train], y[train], X[rows[340:]], y[rows[340:]]


class _Scaled:
    """scikit-learn's MLP behind its StandardScaler, which learns batch by batch."""

    def __init__(self, estimator):
        self.scaler, self.estimator = StandardScaler(), estimator

    def partial_fit(self, X, y, **how):
        self.estimator.partial_fit(self.scaler.partial_fit(X).transform(X), y, **how)

    def score(self, X, y):
        return self.estimator.score(self.scaler.transform(X), y)


@pytest.mark.parametrize("stream", [
    _digits, _digits_in_order, _empty_columns_first, _cancer, _drifting_scale, _houses, _diabetes_by_target,
], ids=lambda stream: stream.__name__[1:])  # fmt: skip
def test_scores_of_streams(stream):
    """In batches of 10, the mean score over seeds is at least scikit-learn's, and about that with its scaler."""
    scores = np.empty((4, 3))
    for seed in range(len(scores)):
        X, y, X_test, y_test = stream(np.random.default_rng(seed))
        classes = y.dtype.kind == "i"
        ours, theirs = (fp.MLPClassifier, Theirs) if classes else (fp.MLPRegressor, TheirRegressor)
        how = {"classes": np.unique(y)} if classes else {}
        kinds = ours(random_state=seed), theirs(random_state=seed), _Scaled(theirs(random_state=seed))
        for place, estimator in enumerate(kinds):
            for first in range(0, len(X), 10):
                estimator.partial_fit(X[first : first + 10], y[first : first + 10], **how)
            scores[seed, place] = estimator.score(X_test, y_test)
    mean, theirs, scaled = scores.mean(axis=0)
    assert mean > theirs - 0.01 and mean > scaled - 0.03, scores  # seeds differ by more from each other
