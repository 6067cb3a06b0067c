"""MLPClassifier and MLPRegressor: scikit-learn's checks and tools accept them, and what its own MLPs do not have."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("joblib")

import joblib
import pandas
import polars
from sklearn import compose, ensemble, feature_selection, model_selection, multiclass, multioutput
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastprop as fp

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
BOTH = pytest.mark.parametrize("kind, data", [(fp.MLPClassifier, IRIS), (fp.MLPRegressor, DIABETES)])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore::DeprecationWarning")
@parametrize_with_checks([fp.MLPClassifier(), fp.MLPRegressor()])
def test_checks_of_scikit_learn(estimator, check):
    if getattr(check, "func", check).__name__ == "check_array_api_input":
        assert not get_tags(estimator).array_api_support  # the check is about this tag, and skips by itself
    else:
        check(estimator)


# ---- the tools of scikit-learn ----


def test_pipeline_and_set_output():
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), fp.MLPClassifier(random_state=0))
    assert pipeline.fit(*IRIS).score(*IRIS) > 0.95
    assert list(pipeline[-1].feature_names_in_) == list(pipeline[0].get_feature_names_out())


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_grid_search(backend):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loky's processes have filters of their own
        search = GridSearchCV(fp.MLPClassifier(max_iter=30, random_state=0), {"alpha": [1e-4, 1.0]}, cv=3, n_jobs=2)
        with joblib.parallel_backend(backend):
            found = search.fit(*IRIS).cv_results_["mean_test_score"]
    alone = GridSearchCV(fp.MLPClassifier(max_iter=30, random_state=0), {"alpha": [1e-4, 1.0]}, cv=3).fit(*IRIS)
    assert np.array_equal(found, alone.cv_results_["mean_test_score"])
    assert search.best_estimator_.score(*IRIS) > 0.8


@BOTH
def test_cross_val_score(kind, data):
    assert cross_val_score(kind(random_state=0), *data).mean() > (0.9 if kind is fp.MLPClassifier else 0.4)


@BOTH
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), None], ids=["pickle", "joblib"])
def test_copies_go_on_with_the_same_bits(kind, data, copied, tmp_path):
    """A pickle in the middle of training keeps the optimiser's state, an adaptive rate and dropout."""
    X, y = data
    estimator = kind(random_state=0, solver="sgd", learning_rate="invscaling", dropout=0.1, batch_size=32)
    how = {"classes": np.unique(y)} if kind is fp.MLPClassifier else {}
    for _ in range(3):
        estimator.partial_fit(X, y, **how)
    if copied is None:
        joblib.dump(estimator, tmp_path / "estimator")
        copy = joblib.load(tmp_path / "estimator")
    else:
        copy = copied(estimator)
    assert np.array_equal(copy.predict(X), estimator.predict(X))
    for each in (copy, estimator):
        each.partial_fit(X, y)
    assert np.array_equal(copy.network_.parameters, estimator.network_.parameters)
    assert copy.loss_curve_ == estimator.loss_curve_


@BOTH
def test_clone(kind, data):
    layers = {"hidden_layer_sizes": (7, 5), "activation": ["tanh", "gelu"]}
    estimator = kind(**layers, solver=fp.Lion(3e-4), random_state=3, max_iter=5)
    copy = clone(estimator.fit(*data))
    assert copy.get_params() == estimator.get_params() and not hasattr(copy, "coefs_")
    with pytest.raises(NotFittedError):
        copy.predict(data[0])
    assert np.array_equal(copy.fit(*data).coefs_[0], estimator.coefs_[0])


def test_permutation_importance():
    X = np.random.default_rng(0).normal(size=(200, 3))
    regressor = fp.MLPRegressor(random_state=0, solver="lbfgs", max_iter=100).fit(X, X[:, 1] ** 2)
    assert permutation_importance(regressor, X, X[:, 1] ** 2, random_state=0).importances_mean.argmax() == 1


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_calibration(loss):
    """Calibration uses probabilities, and the decision function where the loss gives none."""
    classifier = fp.MLPClassifier(loss=loss, max_iter=30, random_state=0)
    assert hasattr(classifier, "predict_proba") == (loss == "log_loss")
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(*CANCER)
    p = calibrated.predict_proba(CANCER[0])
    assert p.shape == (len(CANCER[1]), 2) and np.allclose(p.sum(axis=1), 1) and calibrated.score(*CANCER) > 0.95


@BOTH
def test_random_state(kind, data):
    def weights(random_state):
        return kind(random_state=random_state, max_iter=3, dropout=0.2).fit(*data).coefs_[0]

    assert np.array_equal(weights(0), weights(0)) and not np.array_equal(weights(0), weights(1))
    assert np.array_equal(weights(np.random.RandomState(0)), weights(0))
    assert not np.array_equal(weights(None), weights(None))


@BOTH
def test_warm_start_goes_on(kind, data):
    cold = kind(random_state=0, max_iter=40).fit(*data)
    warm = kind(random_state=0, max_iter=20, warm_start=True).fit(*data)
    first = warm.loss_
    warm.fit(*data)
    assert warm.n_iter_ == 20 and len(warm.loss_curve_) == 40 and warm.loss_ < first
    assert warm.loss_ == pytest.approx(cold.loss_, rel=0.2)  # Adam starts anew in between
    assert cold.fit(*data).loss_curve_[0] == warm.loss_curve_[0]


@BOTH
@pytest.mark.parametrize("shuffle", [True, False])
def test_partial_fit_is_fit(kind, data, shuffle):
    X, y = data
    whole = kind(random_state=0, max_iter=5, batch_size=40, shuffle=shuffle).fit(X, y)
    by_epoch = kind(random_state=0, batch_size=40, shuffle=shuffle)
    for _ in range(5):
        by_epoch.partial_fit(X, y, **({"classes": [0, 1, 2]} if kind is fp.MLPClassifier else {}))
    assert np.array_equal(whole.network_.parameters, by_epoch.network_.parameters)
    assert whole.t_ == by_epoch.t_ == 5 * len(X)


def test_partial_fit_of_classes_that_come_later():
    X, y = IRIS
    classifier = fp.MLPClassifier(random_state=0, learning_rate_init=0.01)
    classifier.partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    for _ in range(100):
        classifier.partial_fit(X[50:], y[50:])
    assert classifier.score(X[50:], y[50:]) > 0.9
    with pytest.raises(ValueError, match="classes not in `self.classes_`"):
        classifier.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="classes must be passed"):
        fp.MLPClassifier().partial_fit(X, y)


# ---- equal to scikit-learn's ----


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("theirs, ours, data", [
    (Theirs, fp.MLPClassifier, IRIS), (Theirs, fp.MLPClassifier, CANCER), (TheirRegressor, fp.MLPRegressor, DIABETES),
])  # fmt: skip
def test_the_same_steps_as_scikit_learn(theirs, ours, data, solver):
    """From equal weights, with rows in order, both train alike: penalty, momentum and mean losses are defined alike."""
    X, y = StandardScaler().fit_transform(data[0]), data[1]
    y = (y - y.mean()) / y.std() if ours is fp.MLPRegressor else y
    how = {
        "hidden_layer_sizes": (6,), "solver": solver, "max_iter": 3, "shuffle": False, "batch_size": len(X),
        "alpha": 2.0, "learning_rate_init": 0.1, "random_state": 0, "activation": "tanh", "warm_start": True,
    }  # fmt: skip
    a, b = theirs(**how).fit(X, y), ours(standardize=False, **how).fit(X, y)
    for mine, its in zip([*b.coefs_, *b.intercepts_], [*a.coefs_, *a.intercepts_]):
        mine[...] = its
    weights = [each.copy() for each in b.coefs_]
    a.fit(X, y), b.fit(X, y)
    assert not np.allclose(weights[0], b.coefs_[0], rtol=1e-3)
    for mine, its in zip([*b.coefs_, *b.intercepts_], [*a.coefs_, *a.intercepts_]):
        np.testing.assert_allclose(mine, its, rtol=1e-7, atol=1e-9)  # float64, less what three line searches lose
    assert (b.n_layers_, b.n_outputs_, b.out_activation_, b.n_iter_) == (
        a.n_layers_, a.n_outputs_, a.out_activation_, a.n_iter_
    )  # fmt: skip
    np.testing.assert_allclose(b.predict(X), a.predict(X), rtol=1e-6)
    if ours is fp.MLPClassifier:
        np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), rtol=1e-5)


def test_learning_rates():
    X, y = DIABETES
    how = {"solver": "sgd", "random_state": 0, "hidden_layer_sizes": 4}
    falling = fp.MLPRegressor(learning_rate="invscaling", power_t=0.25, max_iter=3, **how).fit(X, y)
    assert falling._rate == pytest.approx(0.001 / (3 * len(X) + 1) ** 0.25)
    adaptive = fp.MLPRegressor(learning_rate="adaptive", tol=0.5, max_iter=3000, n_iter_no_change=2, **how).fit(X, y)
    assert adaptive._rate < 1e-6 and adaptive.n_iter_ < 3000
    schedule = fp.schedules.Exponential(0.01, epochs=1, factor=0.5)
    scheduled = fp.MLPRegressor(learning_rate=schedule, max_iter=3, **how).fit(X, y)
    assert scheduled._trainer.rate == pytest.approx(0.01 * 0.5**3)


def test_lbfgs_ends_after_max_fun():
    with pytest.warns(ConvergenceWarning, match="lbfgs: Maximum iterations"):
        regressor = fp.MLPRegressor(solver="lbfgs", max_fun=10).fit(*DIABETES)
    assert 0 < regressor.n_iter_ <= 10


def test_early_stopping_keeps_the_best():
    classifier = fp.MLPClassifier(early_stopping=True, random_state=0, n_iter_no_change=3, learning_rate_init=0.02)
    X, y = CANCER
    classifier.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    scores = classifier.validation_scores_
    assert classifier.score(X[400:], y[400:]) == classifier.best_validation_score_ == max(scores)
    assert len(scores) == classifier.n_iter_ < 200 and scores[-1] < max(scores) and classifier.best_loss_ is None
    followed = fp.MLPClassifier(random_state=0, max_iter=7).fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert len(followed.validation_scores_) == 7 and followed.best_loss_ == min(followed.loss_curve_)
    with pytest.raises(ValueError, match="y_val is missing"):
        classifier.fit(X, y, X_val=X)


# ---- what scikit-learn's do not have ----


@pytest.mark.parametrize("how", [
    {"activation": ["tanh", "silu"], "hidden_layer_sizes": (20, 10)},
    {"dropout": [0.1, 0.0], "batch_norm": True, "hidden_layer_sizes": (20, 10)},
    {"layer_norm": True},
    {"members": 4},
    {"members": 3, "hidden_layer_sizes": ()},
    {"hidden_layer_sizes": ()},
    {"embedding": "piecewise"},
    {"embedding": fp.Periodic(8, sigma=0.1)},
    {"dtype": "float32", "solver": "adamw", "n_threads": 1},
    {"solver": "rprop", "learning_rate_init": None},
], ids=str)  # fmt: skip
@BOTH
def test_networks_of_all_kinds(how, kind, data):
    X, y = data
    estimator = kind(random_state=0, max_iter=150, **{"learning_rate_init": 0.01, **how}).fit(X, y)
    assert estimator.score(X, y) > (0.85 if kind is fp.MLPClassifier else 0.25)
    outputs = estimator.network_(X)  # network_ includes the standardization
    predicted = estimator.classes_[outputs.argmax(axis=1)] if kind is fp.MLPClassifier else outputs[:, 0]
    rtol = 1e-4 if estimator.network_.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(predicted, estimator.predict(X), rtol=rtol)


@pytest.mark.parametrize("loss", [
    "cross_entropy", "focal", "binary_cross_entropy", "kl_divergence", "hinge", "binary_hinge",
    fp.losses.cross_entropy(label_smoothing=0.1), fp.losses.binary_focal,
], ids=str)  # fmt: skip
@pytest.mark.parametrize("data", [IRIS, CANCER], ids=["three", "two"])
def test_losses_of_classes(loss, data):
    X, y = data
    names = np.array(["a", "b", "c"])[y]
    classifier = fp.MLPClassifier(loss=loss, random_state=0, max_iter=100, learning_rate_init=0.01).fit(X, names)
    assert classifier.score(X, names) > 0.93
    decisions = classifier.decision_function(X)
    decided = decisions.argmax(axis=1) if decisions.ndim == 2 else (decisions > 0).astype(int)
    assert np.array_equal(classifier.classes_[decided], classifier.predict(X))
    if hasattr(classifier, "predict_proba"):
        p = classifier.predict_proba(X)
        assert np.allclose(p.sum(axis=1), 1) and np.array_equal(p.argmax(axis=1), decided)
        assert np.allclose(np.exp(classifier.predict_log_proba(X)), p)


@pytest.mark.parametrize("loss", ["log_loss", "focal", "binary_hinge"])
def test_several_labels_at_once(loss):
    X, Y = make_multilabel_classification(100, random_state=0)
    classifier = fp.MLPClassifier(loss=loss, random_state=0, learning_rate_init=0.01).fit(X, Y)
    assert classifier.score(X, Y) > 0.95
    assert np.array_equal(classifier.predict(X), classifier.decision_function(X) > 0)
    with pytest.raises(ValueError, match="kl_divergence is for one class in each row"):
        fp.MLPClassifier(loss=fp.losses.kl_divergence).fit(X, Y)


def poisson(Y, y):
    """A function that computes half the squared error, and has the name of another loss."""
    return float(np.sum((Y - y) ** 2) / 2 / len(Y)), (Y - y) / len(Y)


def entropy(Y, y):
    p = np.exp(Y - Y.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    dY = p.copy()
    dY[rows, y] -= 1
    return float(-np.log(p[rows, y]).mean()), dY / len(Y)


def test_losses_of_ones_own():
    """Functions that repeat built-in losses train as these do, up to rounding."""
    X, y = DIABETES
    Y = np.stack([y, y**2], axis=1) / 100
    how = {"random_state": 0, "max_iter": 20}
    pairs = [
        [fp.MLPClassifier(loss=loss, **how).fit(*IRIS) for loss in (entropy, "log_loss")],
        [fp.MLPRegressor(loss, standardize=False, **how).fit(X, Y) for loss in (poisson, "squared_error")],
    ]
    for own, known in pairs:
        np.testing.assert_allclose(own.coefs_[0], known.coefs_[0], rtol=1e-6, atol=1e-9)
        assert own.loss_ == pytest.approx(known.loss_)


@pytest.mark.parametrize("loss", ["huber", "mae", "log_cosh", "poisson", "gamma", fp.losses.tweedie], ids=str)
def test_losses_of_numbers(loss):
    X, y = DIABETES
    Y = np.stack([y, 400 - y], axis=1)
    for target in (y, Y / 1000):
        regressor = fp.MLPRegressor(loss, random_state=0, learning_rate_init=0.01).fit(X, target)
        assert regressor.predict(X).shape == target.shape and regressor.score(X, target) > 0.4


def test_intervals_of_the_prediction():
    """Quantiles and standard deviations, in the units of y, cover the right share of the rows."""
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (2000, 1))
    y = 1000 + 50 * X[:, 0] + 20 * random.normal(size=2000)
    quantiles = fp.MLPRegressor(fp.losses.quantile(levels=[0.1, 0.5, 0.9]), random_state=0, max_iter=60).fit(X, y)
    low, middle, high = quantiles.predict_quantiles(X).T
    assert np.array_equal(middle, quantiles.predict(X))
    assert np.mean((low < y) & (y < high)) == pytest.approx(0.8, abs=0.05)
    both = np.stack([y, -y], axis=1)
    normal = fp.MLPRegressor("gaussian_nll", random_state=0, max_iter=60, learning_rate_init=0.01).fit(X, both)
    mean, deviation = normal.predict(X, return_std=True)
    assert r2_score(both, mean) > 0.6 and deviation.shape == both.shape
    assert np.median(deviation) == pytest.approx(20, rel=0.1)
    assert not hasattr(fp.MLPRegressor(), "predict_quantiles")


def test_class_weight_is_sample_weight():
    X, y = IRIS
    how = {"random_state": 0, "max_iter": 10}
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    by_class = fp.MLPClassifier(class_weight=weights, **how).fit(X, y)
    by_row = fp.MLPClassifier(**how).fit(X, y, sample_weight=np.array([1.0, 3.0, 0.5])[y])
    assert np.array_equal(by_class.coefs_[0], by_row.coefs_[0])
    rare = np.r_[0:50, 50:55]
    balanced = fp.MLPClassifier(class_weight="balanced", **how).fit(X[rare], y[rare])
    counts = fp.MLPClassifier(class_weight={0: 55 / 100, 1: 55 / 10}, **how).fit(X[rare], y[rare])
    np.testing.assert_allclose(balanced.coefs_[0], counts.coefs_[0], rtol=1e-9)
    with pytest.raises(ValueError, match="partial_fit does not see"):
        fp.MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_rows_that_weigh_nothing_are_not_there():
    X, y = DIABETES
    weight = np.ones(len(y))
    weight[::3] = 0
    a = fp.MLPRegressor(random_state=0, max_iter=3).fit(X, y, sample_weight=weight)
    b = fp.MLPRegressor(random_state=0, max_iter=3).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-9)


def test_callbacks():
    class Third(fp.Callback):
        steps = 0

        def on_step_end(self, run):
            self.steps += 1

        def on_epoch_end(self, run):
            if run.epoch == 3:
                run.stop()

    third = Third()
    classifier = fp.MLPClassifier(callbacks=third, batch_size=50).fit(*IRIS)
    assert classifier.n_iter_ == 3 and third.steps == 9
    epochs = []
    fp.MLPClassifier(callbacks=lambda run: epochs.append(run.epoch) or (len(epochs) == 2 and run.stop())).fit(*IRIS)
    assert epochs == [1, 2]
    fp.MLPClassifier(callbacks=None, tol=1.0).fit(*IRIS)


def test_callbacks_end_with_the_best_parameters():
    class Ends(fp.Callback):
        def on_train_end(self, run):
            self.parameters = run.network.parameters.copy()

    ends = Ends()
    how = {"early_stopping": True, "learning_rate_init": 0.3, "random_state": 0, "n_iter_no_change": 3}
    classifier = fp.MLPClassifier(callbacks=ends, **how).fit(*IRIS)
    assert np.argmax(classifier.validation_scores_) < classifier.n_iter_ - 1, "the best is not the last"
    np.testing.assert_array_equal(ends.parameters, classifier._network.parameters)


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(kind, data, solver):
    """Each epoch is a task, with an estimator that can be scored as it was then."""
    pytest.importorskip("sklearn.callback")

    class Watch:
        told, scores, kept = [], [], None

        def setup(self, estimator, context):
            self.told.append("setup")

        def teardown(self, estimator, context):
            self.told.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.told.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
            self.told.append(f"end {context.task_name}")
            self.scores.append(fitted_estimator.score(X, y))
            self.kept = self.kept or fitted_estimator
            return len(self.scores) == 3

    watch = Watch()
    estimator = kind(solver=solver, random_state=0, max_iter=9).set_callbacks(watch).fit(*data)
    epoch = ["begin epoch", "end epoch"]
    assert watch.told == ["setup", "begin fit", *3 * epoch, "end fit", "teardown"]
    assert estimator.n_iter_ == 3 and watch.scores[-1] == watch.scores[2] == estimator.score(*data)
    assert watch.kept.score(*data) == watch.scores[0] != watch.scores[2]


def test_threads_are_given_back():
    before = fp.get_num_threads()
    with pytest.raises(ValueError, match="max_iter"):
        fp.MLPClassifier(n_threads=1, max_iter=0).fit(*IRIS)
    assert fp.get_num_threads() == before


def test_what_diverges_says_so():
    X, y = DIABETES
    with pytest.raises(ValueError, match="non-finite parameter weights.*The parameters are those"):
        fp.MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity").fit(X, y)


@pytest.mark.parametrize("how, message", [
    ({"activation": ["relu", "tanh"]}, "activation has 2 values for 1 hidden layers"),
    ({"solver": "adan"}, "unknown solver 'adan'; did you mean 'adam'"),
    ({"loss": "half_mse"}, "half_mse is a loss of numbers"),
    ({"learning_rate": "falling"}, "unknown learning_rate"),
    ({"hidden_layer_sizes": (-3,)}, "hidden_layer_sizes must be > 0"),
    ({"batch_norm": True, "layer_norm": True}, "exclude each other"),
    ({"embedding": "periodic"}, "unknown embedding"),
    ({"alpha": -1}, "alpha must be a number at least 0"),
])  # fmt: skip
def test_wrong_parameters(how, message):
    with pytest.raises(ValueError, match=message):
        fp.MLPClassifier(**how).fit(*IRIS)


def test_without_scikit_learn():
    """Without scikit-learn fastprop can be imported, also by *; the estimators' error names the extra to install."""
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from fastprop import *\n"
        "import fastprop as fp\n"
        "try: fp.MLPClassifier\n"
        "except ImportError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pip install 'fastprop-nn[sklearn]'" in told


# ---- parameters that change between two fits ----

# A change of these would need another network, and is refused by name.
ANOTHER_NETWORK = {
    "hidden_layer_sizes": (7,), "activation": "tanh", "loss": {"c": "focal", "r": "huber"}, "dtype": "float32",
    "standardize": False, "initializer": "he_normal", "dropout": 0.5, "batch_norm": True, "layer_norm": True,
    "members": 2, "embedding": "piecewise",
}  # fmt: skip
# A change of these takes effect in training: the value, and what else it needs for that.
ANOTHER_TRAINING = {
    "solver": ("sgd", {}), "alpha": (100.0, {}), "batch_size": (7, {}), "learning_rate_init": (0.1, {}),
    "learning_rate": ("invscaling", {}), "power_t": (1.5, {"learning_rate": "invscaling"}),
    "shuffle": (False, {}), "random_state": (1, {}), "momentum": (0.1, {"solver": "sgd"}),
    "nesterovs_momentum": (False, {"solver": "sgd"}), "beta_1": (0.1, {}), "beta_2": (0.5, {}), "epsilon": (1.0, {}),
}  # fmt: skip
# These determine when a fit ends, and what it begins with.
ENDS = {
    "max_iter": (2, {}), "tol": (10.0, {"n_iter_no_change": 1}), "n_iter_no_change": (1, {"tol": 10.0}),
    "early_stopping": (True, {}), "validation_fraction": (0.5, {"early_stopping": True}),
    "max_fun": (2, {"solver": "lbfgs"}), "warm_start": (False, {}),
}  # fmt: skip
WATCHING = ("verbose", "callbacks", "n_threads")  # those whose effect is seen during training


def _fitted(kind, data, further, **how):
    X, y = data
    how = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 8, "batch_size": 40, "warm_start": True} | how
    estimator = kind(**how)
    return estimator.partial_fit(X, y, **_classes(kind, y)) if further else estimator.fit(X, y)


def _classes(kind, y):
    return {"classes": np.unique(y)} if kind is fp.MLPClassifier else {}


@BOTH
def test_every_parameter_has_its_place(kind, data):
    assert set(kind().get_params()) - {"class_weight"} == {*ANOTHER_NETWORK, *ANOTHER_TRAINING, *ENDS, *WATCHING}


@BOTH
@pytest.mark.parametrize("further", [False, True], ids=["warm_start", "partial_fit"])
@pytest.mark.parametrize("name", ANOTHER_NETWORK)
def test_another_network_is_refused(kind, data, further, name):
    X, y = data
    estimator = _fitted(kind, data, further)
    value = ANOTHER_NETWORK[name]
    value = value["c" if kind is fp.MLPClassifier else "r"] if isinstance(value, dict) else value
    had, before = getattr(estimator, name), estimator.predict(X)
    estimator.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"made with {name}=.*, got {name}=.*set it back"):
        estimator.partial_fit(X, y) if further else estimator.fit(X, y)
    assert np.array_equal(estimator.predict(X), before)
    estimator.set_params(**{name: had})
    estimator.partial_fit(X, y) if further else estimator.fit(X, y)
    estimator.set_params(**{name: value}, warm_start=False).fit(X, y)  # a new one


@BOTH
@pytest.mark.parametrize("further, name", [
    *[(False, name) for name in {**ANOTHER_TRAINING, **ENDS}], *[(True, name) for name in ANOTHER_TRAINING],
])  # fmt: skip
def test_another_training_takes_effect(kind, data, further, name):
    X, y = data
    value, needed = (ANOTHER_TRAINING | ENDS)[name]
    as_before, changed = (_fitted(kind, data, further, **needed) for _ in range(2))
    changed.set_params(**{name: value})
    for estimator in (as_before, changed):
        for _ in range(2):  # the rate of "invscaling" falls after an epoch
            estimator.partial_fit(X, y) if further else estimator.fit(X, y)
    assert not np.array_equal(as_before.network_.parameters, changed.network_.parameters)


@BOTH
def test_what_is_watched_takes_effect(kind, data, capsys):
    X, y = data
    seen = []

    class Watch(fp.Callback):
        def on_epoch_end(self, run):
            seen.append(fp.get_num_threads())

    estimator = _fitted(kind, data, True).set_params(verbose=True, callbacks=Watch(), n_threads=1)
    estimator.partial_fit(X, y)
    assert seen == [1] and "Iteration 1, loss" in capsys.readouterr().out


def test_class_weight_takes_effect():
    X, y = IRIS
    as_before, changed = (_fitted(fp.MLPClassifier, IRIS, True) for _ in range(2))
    as_before.partial_fit(X, y)
    changed.set_params(class_weight={0: 5.0}).partial_fit(X, y)
    assert not np.array_equal(as_before.coefs_[0], changed.coefs_[0])


@BOTH
def test_spellings_of_the_same_network(kind, data):
    X, y = data
    estimator = _fitted(kind, data, True)
    for how in (
        {"hidden_layer_sizes": [6]}, {"hidden_layer_sizes": np.array([6])}, {"hidden_layer_sizes": 6},
        {"activation": ["relu"]}, {"dropout": [0.0]}, {"dtype": "float64"},
    ):  # fmt: skip
        estimator.set_params(**how).partial_fit(X, y)


def test_an_optimiser_remembers_what_still_has_its_place():
    estimator = _fitted(fp.MLPRegressor, DIABETES, True)
    state = estimator._trainer.optimizer_state.state()[0][1]
    estimator.set_params(learning_rate_init=0.5)._update_trainer(fp.Adam(0.5), 0.0, True, None)
    assert state.any() and np.array_equal(estimator._trainer.optimizer_state.state()[0][1], state)
    assert estimator._trainer.rate == 0.5 and estimator._rate == 0.5
    estimator._update_trainer(fp.SGD(0.5, momentum=0.9), 0.0, True, None)
    assert not estimator._trainer.optimizer_state.state()[0][1].any()


@BOTH
def test_early_stopping_may_come_and_go(kind, data):
    X, y = data
    estimator = _fitted(kind, data, False)
    estimator.set_params(early_stopping=True).fit(X, y)
    assert estimator.best_loss_ is None and estimator.best_validation_score_ == max(estimator.validation_scores_)
    estimator.set_params(early_stopping=False).fit(X, y)
    assert estimator.best_loss_ == min(estimator.loss_curve_)


@BOTH
@pytest.mark.parametrize("how", [
    {"alpha": -1}, {"max_iter": 0}, {"solver": "adan"}, {"callbacks": 3}, {"batch_size": 0},
    {"learning_rate": "falling"}, {"hidden_layer_sizes": "(10, 5)"}, {"shuffle": "yes"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("warm_start", [True, False])
def test_a_wrong_argument_changes_nothing(kind, data, how, warm_start):
    X, y = data
    estimator = _fitted(kind, data, False).set_params(**how, warm_start=warm_start)
    before, predicted = vars(estimator).copy(), estimator.predict(X)
    with pytest.raises((ValueError, TypeError)):
        estimator.fit(X[:, :2], 5 - y)
    assert vars(estimator).keys() == before.keys() and all(vars(estimator)[name] is before[name] for name in before)
    assert np.array_equal(estimator.predict(X), predicted)


def test_another_kind_of_target_is_refused():
    X, Y = make_multilabel_classification(60, n_classes=3, random_state=0)
    y = np.arange(60) % 3
    several = fp.MLPClassifier(max_iter=1, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="one class a row, but the network .* several labels at once"):
        several.fit(X, y)
    with pytest.raises(ValueError, match="several labels at once, but the network .* one class a row"):
        fp.MLPClassifier(max_iter=1, warm_start=True).fit(X, y).fit(X, Y)
    regressor = fp.MLPRegressor().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"shape \(60,\), but the network .* shape \(rows, 3\)"):
        regressor.partial_fit(X, y)
    with pytest.raises(ValueError, match="expecting 20 features"):
        regressor.partial_fit(X[:, :3], Y)


# ---- arguments ----


@pytest.mark.parametrize("sizes", [5, [5, 4], (5,), (), np.array([5, 4]), np.int64(5), (np.int32(5),), range(4, 6)])
def test_sizes_of_layers(sizes):
    widths = fp.MLPClassifier(sizes, max_iter=1).fit(*IRIS).coefs_
    assert [W.shape[1] for W in widths[:-1]] == np.atleast_1d(np.array(sizes, int)).tolist()


@BOTH
@pytest.mark.parametrize("sizes", [
    "(10, 5)", "10", [10.0], 10.0, (10, None), None, True, [True], (0,), 0, -5, (5, -1), {5: 1}, {5}, [[5]], b"5",
    (n for n in [5, 4]),
], ids=str)  # fmt: skip
def test_wrong_sizes_of_layers(kind, data, sizes):
    with pytest.raises((TypeError, ValueError), match="hidden_layer_sizes must be"):
        kind(hidden_layer_sizes=sizes).fit(*data)


@BOTH
@pytest.mark.parametrize("further", [False, True])
def test_a_column_as_target(kind, data, further):
    """A y of one column is taken as that column with a warning, as in scikit-learn."""
    X, y = data
    names = y.astype(str).astype(object) if kind is fp.MLPClassifier else y
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        column = _fitted(kind, (X, names[:, np.newaxis]), further)
    alone = _fitted(kind, (X, names), further)
    assert np.array_equal(column.predict(X), alone.predict(X)) and column.predict(X).shape == y.shape


def _masked(array):
    """Return the array with one masked element."""
    mask = np.zeros(np.shape(array), bool)
    mask[(1,) * mask.ndim] = True
    return np.ma.array(array, mask=mask)


@BOTH
@pytest.mark.parametrize("place", ["X", "y", "sample_weight", "X_val", "y_val", "sample_weight_val"])
def test_masked_arrays_are_refused(kind, data, place):
    X, y = data
    training = {"X": X, "y": y, "sample_weight": np.ones(len(y))}
    given = training | {f"{name}_val": array for name, array in training.items()}
    unmasked = {name: np.ma.array(array) for name, array in given.items()}
    estimator = kind(max_iter=1).fit(**unmasked)
    with pytest.raises(ValueError, match=f"^{place} has 1 masked elements"):
        estimator.fit(**(given | {place: _masked(given[place])}))
    if place in training:
        with pytest.raises(ValueError, match=f"^{place} has 1 masked elements"):
            estimator.partial_fit(**(training | {place: _masked(given[place])}))
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(estimator, method):
            with pytest.raises(ValueError, match="^X has 1 masked elements"):
                getattr(estimator, method)(_masked(X))


@BOTH
def test_outputs_that_overflow_are_no_predictions(kind, data):
    X, y = data
    estimator = kind(max_iter=1, dtype="float32", standardize=False, random_state=0, activation="identity").fit(X, y)
    huge = X.copy()
    huge[2] = 3e38
    estimator.coefs_[0][...] *= 100
    with pytest.raises(ValueError, match="row 2 of X makes output"):
        estimator.predict(huge)


# ---- logarithms of probabilities ----


@pytest.mark.parametrize("how, data", [
    ({}, IRIS), ({}, CANCER), ({"loss": fp.losses.binary_cross_entropy}, IRIS),
    ({"loss": fp.losses.cross_entropy}, CANCER), ({"members": 3}, IRIS),
    ({}, make_multilabel_classification(100, random_state=0)),
    ({}, (IRIS[0], np.zeros(150))),
], ids=["softmax", "two", "each", "both", "members", "several", "one"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_probabilities_come_from_scores(how, data, dtype):
    """Where probabilities underflow to 0 their logarithms are finite, and differ as the scores do."""
    X, y = data
    classifier = fp.MLPClassifier(random_state=0, max_iter=2, dtype=dtype, **how).fit(X, y)
    several = np.ndim(y) == 2
    for stretch in (1.0, 1e3, 1e6):
        scores = classifier._scores(stretch * X).astype(np.longdouble)
        found, p = classifier.predict_log_proba(stretch * X), classifier.predict_proba(stretch * X)
        high = np.maximum(scores, 0) if several else scores.max(axis=1, keepdims=True)
        rest = np.exp(-high) + np.exp(scores - high) if several else np.exp(scores - high).sum(axis=1, keepdims=True)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(found, scores - high - np.log(rest), rtol=20 * eps, atol=20 * eps)
        assert np.isfinite(found).all() and np.isfinite(p).all()
        np.testing.assert_allclose(np.exp(found.astype(np.longdouble)), p, rtol=1e-4, atol=1e-6)
        if not several:
            np.testing.assert_allclose(p.sum(axis=1), 1, rtol=20 * eps)
            assert np.array_equal(classifier.classes_[p.argmax(axis=1)], classifier.predict(stretch * X))


# ---- the other tools of scikit-learn ----


def _small(kind=fp.MLPClassifier, **how):
    return kind(hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.01, random_state=0, **how)


def _regressor(**how):
    return _small(fp.MLPRegressor, **how)


def _forward():
    return feature_selection.SequentialFeatureSelector(_small(), n_features_to_select=2, cv=2)


LABELS = np.stack([IRIS[1] > 0, IRIS[1] > 1], axis=1).astype(int)
TWO = np.stack([IRIS[1], (IRIS[1] + 1) % 3], axis=1)
NUMBERS = np.stack([DIABETES[1], 400 - DIABETES[1]], axis=1)


@pytest.mark.parametrize("make, data", [
    (lambda: multioutput.MultiOutputClassifier(_small()), (IRIS[0], TWO)),
    (lambda: multioutput.MultiOutputRegressor(_regressor()), (DIABETES[0], NUMBERS)),
    (lambda: multioutput.ClassifierChain(_small()), (IRIS[0], LABELS)),
    (lambda: multioutput.RegressorChain(_regressor()), (DIABETES[0], NUMBERS)),
    (lambda: multiclass.OneVsRestClassifier(_small()), IRIS),
    (lambda: multiclass.OneVsOneClassifier(_small()), IRIS),
    (lambda: multiclass.OutputCodeClassifier(_small(), random_state=0), IRIS),
    (lambda: feature_selection.RFE(_small(), n_features_to_select=2), IRIS),
    (lambda: feature_selection.RFECV(_regressor(), cv=2, step=3), DIABETES),
    (lambda: make_pipeline(feature_selection.SelectFromModel(_small()), _small()), IRIS),
    (lambda: make_pipeline(_forward(), _small()), IRIS),
    (lambda: CalibratedClassifierCV(_small(), method="isotonic", cv=2), IRIS),
    (lambda: ensemble.VotingClassifier([("a", _small()), ("b", _small(activation="tanh"))], voting="soft"), IRIS),
    (lambda: ensemble.VotingRegressor([("a", _regressor()), ("b", _regressor(members=2))]), DIABETES),
    (lambda: ensemble.StackingClassifier([("a", _small())], final_estimator=_small(), cv=2), IRIS),
    (lambda: ensemble.StackingRegressor([("a", _regressor())], final_estimator=_regressor(), cv=2), DIABETES),
    (lambda: ensemble.BaggingClassifier(_small(), n_estimators=3, max_features=0.8, random_state=0), IRIS),
    (lambda: ensemble.BaggingRegressor(_regressor(), n_estimators=2, random_state=0), DIABETES),
    (lambda: ensemble.AdaBoostClassifier(_small(), n_estimators=2, random_state=0), IRIS),
    (lambda: ensemble.AdaBoostRegressor(_regressor(), n_estimators=2, random_state=0), DIABETES),
    (lambda: compose.TransformedTargetRegressor(_regressor(), func=np.log1p, inverse_func=np.expm1), DIABETES),
    (lambda: make_pipeline(StandardScaler(), _small()).set_output(transform="pandas"), IRIS),
    (lambda: model_selection.TunedThresholdClassifierCV(_small(), cv=2), CANCER),
], ids=lambda value: "" if isinstance(value, tuple) else type(value()).__name__)  # fmt: skip
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_meta_estimators(make, data):
    X, y = data
    fitted = clone(make()).fit(X, y)
    assert fitted.predict(X).shape == y.shape
    assert fitted.score(X, y) > (0.4 if data[0] is DIABETES[0] else 0.85)


def test_inspection_and_model_selection():
    X, y = IRIS
    fitted = _small().fit(X, y)
    assert partial_dependence(fitted, X, [3]).average.shape[0] == 3
    regressor = _regressor().fit(*DIABETES)
    assert partial_dependence(regressor, DIABETES[0], [(0, 2)], grid_resolution=4).average.shape == (1, 4, 4)
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        assert model_selection.cross_val_predict(_small(), X, y, cv=3, method=method).shape == (150, 3)
    how = {"cv": 2, "train_sizes": [0.5, 1.0], "shuffle": True, "random_state": 0}
    for incremental in (False, True):
        _, _, scores = model_selection.learning_curve(_small(), X, y, exploit_incremental_learning=incremental, **how)
        assert np.isfinite(scores).all()


def test_importances_find_the_columns():
    random = np.random.default_rng(0)
    X = random.normal(size=(500, 8)) * [1, 1e3, 1, 1, 1e-3, 1, 1, 1] + 5
    X[:, 7] = 3.0
    y = (X[:, 1] - 5) / 1e3 + (X[:, 4] - 5) * 1e3 * (X[:, 0] - 5)
    for kind, target in ((fp.MLPRegressor, y), (fp.MLPClassifier, y > 0), (fp.MLPClassifier, np.digitize(y, [-1, 1]))):
        fitted = kind(random_state=0).fit(X, target)
        importances = fitted.feature_importances_
        assert importances.sum() == pytest.approx(1) and importances[7] == 0
        assert set(np.argsort(importances)[-3:]) == {0, 1, 4}
    for how in ({"standardize": False}, {"embedding": "piecewise"}):
        fitted = kind(max_iter=1, **how).fit(X[:, :7], target)
        assert not hasattr(fitted, "feature_importances_")
        with pytest.raises(AttributeError, match="permutation_importance, or an importance_getter"):
            fitted.feature_importances_  # noqa: B018
    selected = feature_selection.RFE(
        fitted, n_features_to_select=3, importance_getter=lambda each: np.abs(each.coefs_[0]).sum(axis=1)
    )
    with pytest.raises(AttributeError):
        fp.MLPRegressor().feature_importances_  # noqa: B018
    assert selected.set_params(estimator=_small(standardize=False)).fit(X[:, [0, 1, 4, 5]], target).n_features_ == 3


@pytest.mark.parametrize("theirs, ours, data", [
    (Theirs, fp.MLPClassifier, IRIS), (Theirs, fp.MLPClassifier, CANCER), (TheirRegressor, fp.MLPRegressor, DIABETES),
    (Theirs, fp.MLPClassifier, (IRIS[0], LABELS)), (TheirRegressor, fp.MLPRegressor, (DIABETES[0], NUMBERS)),
])  # fmt: skip
@pytest.mark.parametrize("early_stopping", [False, True])
def test_attributes_of_scikit_learn(theirs, ours, data, early_stopping):
    X = pandas.DataFrame(data[0]).add_prefix("column")
    how = {"hidden_layer_sizes": (5, 4), "max_iter": 4, "early_stopping": early_stopping, "random_state": 0}
    its, mine = theirs(**how).fit(X, data[1]), ours(**how).fit(X, data[1])
    attributes = {name for name in vars(its) if name.endswith("_") and not name.startswith("_")}
    assert all(hasattr(mine, name) for name in [*attributes, "coefs_", "intercepts_"])
    for name in ("n_features_in_", "n_layers_", "n_outputs_", "n_iter_", "t_", "out_activation_"):
        assert getattr(mine, name) == getattr(its, name), name
    assert list(mine.feature_names_in_) == list(its.feature_names_in_)
    for name in ("coefs_", "intercepts_"):
        assert [array.shape for array in getattr(mine, name)] == [array.shape for array in getattr(its, name)]
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        assert np.shape(getattr(mine, name)) == np.shape(getattr(its, name))
        assert (getattr(mine, name) is None) == (getattr(its, name) is None)
    if hasattr(its, "classes_"):
        assert np.array_equal(mine.classes_, its.classes_)


def test_an_old_scikit_learn():
    code = (
        "import sklearn.utils.validation as v; del v.validate_data\n"
        "import sklearn; sklearn.__version__ = '1.5.2'\n"
        "import fastprop as fp\n"
        "for name in ('MLPClassifier', 'MLPRegressor'):\n"
        "    try: getattr(fp, name)\n"
        "    except ImportError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.count("scikit-learn 1.6 or newer, got 1.5.2: pip install --upgrade") == 2


def test_a_rate_is_said_in_one_place():
    falling = fp.schedules.Exponential(0.01, epochs=1, factor=0.5)
    for rate, learning_rate in ((0.01, falling), (falling, "adaptive"), (falling, "invscaling")):
        with pytest.raises(ValueError, match="has a rate of its own, got learning_rate="):
            fp.MLPClassifier(solver=fp.Adam(rate), learning_rate=learning_rate).fit(*IRIS)


DAYS = pandas.date_range("2020", periods=30)
WITHOUT_NUMBERS = {
    "datetime64": DAYS,
    "datetime64, UTC": DAYS.tz_localize("UTC"),
    "timedelta": DAYS - DAYS[0],
    "period": DAYS.to_period("D"),
    "intervals": pandas.cut(np.arange(30), 3),
    "text": ["a", "b"] * 15,
}


@pytest.mark.parametrize("name", [*WITHOUT_NUMBERS, "dates of polars"])
def test_columns_without_numbers_are_named(name):
    kind = pandas.DataFrame if name in WITHOUT_NUMBERS else polars.DataFrame
    frame = kind({"x": np.arange(30.0), "d": WITHOUT_NUMBERS.get(name, DAYS.to_list())})
    for estimator, y in ((_small(fp.MLPRegressor), frame["x"]), (_small(), np.arange(30) % 2)):
        with pytest.raises(TypeError, match="the column 'd' of X holds .*, not numbers"):
            estimator.fit(frame, y)
        assert not hasattr(estimator, "n_features_in_")
        estimator.fit(frame[["x"]], y)
        with pytest.raises(TypeError, match="the column 'd' of X holds .*, not numbers"):
            estimator.predict(frame[["d"]])
    with pytest.raises(TypeError, match="^y holds .*, not numbers"):
        _small(fp.MLPRegressor).fit(frame[["x"]], frame["d"])


def test_tables_without_rows_and_with_gaps_are_told_what_to_do():
    frame = polars.DataFrame({"a": [1.0, None, 3.0], "b": [1, 2, 3]})
    with pytest.raises(TypeError, match=r"X is a LazyFrame, which has no rows yet; use X\.collect\(\)"):
        _small().fit(frame.lazy(), [0, 1, 0])
    with pytest.raises(ValueError, match=r"X\[1, 0\] is nan, .* in the column 'a'"):
        _small().fit(frame, [0, 1, 0])
    whole = polars.Series([1, 2, 3], dtype=polars.Int128)
    assert np.isfinite(_small(fp.MLPRegressor).fit(frame.select("b"), whole).predict(frame.select("b"))).all()


def test_float32_and_float64_predict_alike():
    X, y = load_diabetes(return_X_y=True)
    options = {"hidden_layer_sizes": (20,), "max_iter": 20, "random_state": 0, "alpha": 0}
    single = fp.MLPRegressor(**options).fit(X.astype(np.float32), y).predict(X.astype(np.float32))
    double = fp.MLPRegressor(**options).fit(X, y).predict(X)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-4 * np.abs(y).max())


def test_standardize_leaves_indicators_alone():
    """Columns of 0 and 1 reach the network as they are; others of two values become 0 and 1; the rest as ever."""
    random = np.random.default_rng(0)
    X = np.column_stack(
        [random.random(200) < 0.01, random.choice([100.0, 102.0], 200), random.normal(5, 3, 200), np.zeros(200)]
    ).astype(float)
    model = fp.MLPRegressor(max_iter=2, random_state=0).fit(X, X[:, 2])
    seen = model._standardization.inputs(X)
    np.testing.assert_array_equal(seen[:, 0], X[:, 0])
    np.testing.assert_array_equal(seen[:, 1], (X[:, 1] - 100) / 2)
    assert seen[:, 2].mean() == pytest.approx(0) and seen[:, 2].std() == pytest.approx(1)
    np.testing.assert_array_equal(seen[:, 3], 0)
    np.testing.assert_allclose(model.network_(X).ravel(), model.predict(X), rtol=1e-6)
    streamed = fp.MLPRegressor(random_state=0)
    for start in range(0, 200, 50):
        streamed.partial_fit(X[start : start + 50], X[start : start + 50, 2])
    np.testing.assert_array_equal(streamed._standardization.inputs(X)[:, :2], seen[:, :2])


def test_callbacks_see_the_validation_score():
    X, y = load_diabetes(return_X_y=True)
    seen = []
    model = fp.MLPRegressor(
        early_stopping=True,
        max_iter=3,
        random_state=0,
        callbacks=lambda run: seen.append(run.history["validation_score"][-1]),
    )
    model.fit(X, y)
    assert seen == model.validation_scores_
