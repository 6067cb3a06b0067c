"""MLPClassifier and MLPRegressor over several ranks are the estimators of one process on all rows, to rounding."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas
from thread_ranks import run, successes

import fastprop as fp

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]

ROWS = 90
CUTS = (0, 0, 40, 47, ROWS)  # four shards: the first has no rows
FULL = {"batch_size": ROWS, "max_iter": 30, "hidden_layer_sizes": (12,), "random_state": 0}


def data(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, 4)) * [1, 100, 1e-3, 1] + [0, 50, 0, 0]
    X[:, 3] = rng.random(ROWS) < 0.1  # two values
    weight = rng.integers(3, size=ROWS) * 0.5
    weight[40:47] = 0  # those of the third rank
    return X, X[:, 0] + X[:, 1] / 100, weight


def fit_on_ranks(make, cuts, **columns):
    """Return the estimators that ranks with the rows between two cuts fit."""

    def fit(communicator):
        mine = slice(*cuts[communicator.rank : communicator.rank + 2])
        return make().fit(**{name: column[mine] for name, column in columns.items()}, communicator=communicator)

    return run(len(cuts) - 1, fit)


def assert_as_one_process(make, tolerance=1e-9, cuts=CUTS, **columns):
    """Check that the estimators of all ranks are that of one process; return one of them."""
    alone = make().fit(**columns)
    found = successes(fit_on_ranks(make, cuts, **columns))
    for estimator in found:
        ours, theirs = estimator.network_.parameters, alone.network_.parameters
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()
        assert (ours == found[0].network_.parameters).all()
        assert np.allclose(estimator.loss_curve_, alone.loss_curve_, rtol=1e-9)
        for name in ("t_", "n_iter_", "n_features_in_", "n_outputs_", "out_activation_"):
            assert getattr(estimator, name) == getattr(alone, name)
    return found[0], alone


OPTIONS = {}, {"solver": "lbfgs"}, {"alpha": 5.0}, {"loss": "poisson"}, {"batch_norm": True}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_regressor(options, weighted):
    X, y, weight = data()
    y = np.exp(y / 2) if options.get("loss") == "poisson" else y
    options = FULL | options | ({"max_iter": 5} if "solver" in options else {})
    columns = {"X": X, "y": y} | ({"sample_weight": weight} if weighted else {})
    if weighted:  # rows without weight fill no batch
        options["batch_size"] = int((weight > 0).sum())
    assert_as_one_process(lambda: fp.MLPRegressor(**options), 1e-6 if "solver" in options else 1e-9, **columns)


def test_several_outputs_and_float32():
    X, y, _ = data()
    y = np.column_stack([y, -y])
    assert_as_one_process(lambda: fp.MLPRegressor(dtype="float64", **FULL), X=X, y=y)
    mixed = [X[:40].astype(np.float32), X[40:]]

    def fit(communicator):
        rows = [slice(0, 40), slice(40, ROWS)][communicator.rank]
        return fp.MLPRegressor(**FULL).fit(mixed[communicator.rank], y[rows], communicator=communicator)

    assert all(estimator.network_.dtype == np.float64 for estimator in successes(run(2, fit)))


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 2.0, "c": 0.5}])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_classes_are_those_of_all_rows(class_weight, solver):
    X, y, _ = data()
    labels = np.where(y > 1, "a", np.where(y > 0, "b", "c")).astype(object)
    labels[:40][labels[:40] == "c"] = "a"  # the second rank has no row of this class
    options = FULL | {"class_weight": class_weight, "solver": solver}
    ours, alone = assert_as_one_process(lambda: fp.MLPClassifier(**options), X=X, y=labels)
    assert ours.classes_.tolist() == ["a", "b", "c"] == alone.classes_.tolist()


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_two_classes_and_several_labels_at_once(class_weight):
    X, y, _ = data()
    options = FULL | {"class_weight": class_weight}
    assert_as_one_process(lambda: fp.MLPClassifier(**options), X=X, y=np.arange(ROWS) >= 40)
    several = np.column_stack([y > 0, np.arange(ROWS) % 3 == 0]).astype(int)
    assert_as_one_process(lambda: fp.MLPClassifier(**options), X=X, y=several)


def test_quantiles_of_all_rows():
    X, y, _ = data()
    assert_as_one_process(lambda: fp.MLPRegressor(embedding="piecewise", **FULL), X=X, y=y)


@pytest.mark.parametrize("kind", [fp.MLPClassifier, fp.MLPRegressor])
def test_best_epoch_on_rows_held_out(kind):
    X, y, weight = data()
    y = y > 0 if kind is fp.MLPClassifier else y
    columns = {"X": X, "y": y, "X_val": X[::-1], "y_val": y[::-1], "sample_weight_val": weight}
    ours, alone = assert_as_one_process(lambda: kind(early_stopping=True, **FULL), **columns)
    assert np.allclose(ours.validation_scores_, alone.validation_scores_, rtol=1e-9)
    assert np.isclose(ours.best_validation_score_, alone.best_validation_score_, rtol=1e-9)


@pytest.mark.parametrize("kind", [fp.MLPClassifier, fp.MLPRegressor])
def test_fraction_held_out_on_each_rank(kind):
    X, y, _ = data()
    y = y > 0 if kind is fp.MLPClassifier else y
    options = {"early_stopping": True, "validation_fraction": 0.2, "random_state": 0, "max_iter": 40}
    found = successes(fit_on_ranks(lambda: kind(**options), CUTS, X=X, y=y))
    for estimator in found:
        assert estimator.t_ == estimator.n_iter_ * (ROWS - 8 - 1 - 8)  # a fifth of each rank's rows, rounded down
        assert estimator.validation_scores_ == found[0].validation_scores_
        assert (estimator.network_.parameters == found[0].network_.parameters).all()


def test_goes_on_with_warm_start_and_partial_fit():
    X, y, _ = data()

    def fit(make_communicator):
        def call(communicator):
            rows = slice(None) if communicator is None else slice(*[(0, 40), (40, ROWS)][communicator.rank])
            estimator = fp.MLPRegressor(warm_start=True, **FULL)
            estimator.fit(X[rows], y[rows], communicator=communicator)
            return estimator.fit(3 * X[rows], y[rows], communicator=communicator)

        return call(None) if make_communicator is None else successes(run(2, call))

    alone = fit(None)
    for estimator in fit(run):
        assert np.allclose(estimator.network_.parameters, alone.network_.parameters, rtol=1e-9, atol=1e-12)
        assert estimator.partial_fit(X, y).n_iter_ == 1  # alone again


def test_names_of_columns():
    X, y, _ = data()
    frame = pandas.DataFrame(X, columns=list("wxyz"))
    assert_as_one_process(lambda: fp.MLPRegressor(**FULL), X=frame, y=y)

    def fit(communicator):
        named = frame.rename(columns={"x": "v"}) if communicator.rank else frame
        fp.MLPRegressor(**FULL).fit(named, y, communicator=communicator)

    assert all("columns=['w', 'v'" in str(error) for error in run(2, fit))


def test_what_one_rank_gets_wrong_ends_all():
    X, y, weight = data()

    def errors(change):
        def fit(communicator):
            given = {"X": X, "y": y, "sample_weight": weight}
            if communicator.rank == 1:
                change(given)
            fp.MLPRegressor(**FULL).fit(**given, communicator=communicator)

        return run(3, fit)

    assert all("sample_weight=False" in str(error) for error in errors(lambda given: given.pop("sample_weight")))
    assert all("other columns" in str(e) for e in errors(lambda given: given.update(y=np.column_stack([y, y]))))
    found = errors(lambda given: given.update(X=X * np.nan))
    assert isinstance(found[1], ValueError)
    assert all(isinstance(error, Exception) for error in found)

    def nothing(communicator):
        fp.MLPRegressor(**FULL).fit(X[:0], y[:0], communicator=communicator)

    assert all("no rank has a row" in str(error) for error in run(2, nothing))
