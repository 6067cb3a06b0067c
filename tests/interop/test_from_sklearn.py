"""Import from scikit-learn: the network has the predictions of the fitted estimator."""

import warnings

import numpy as np
import pytest

import fastprop as fp
from fastprop.interop.from_sklearn import ACTIVATIONS
from fastprop.interop.from_sklearn import LOSSES as OUTPUTS
from fastprop.nn.losses import LOSSES

pytestmark = pytest.mark.peer


def fitted(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        return estimator.fit(X, y)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# classes -> targets, the loss that goes with them, and scores to probabilities
KINDS = {
    "three": (lambda rng: np.array(["a", "b", "c"])[rng.integers(3, size=40)], "cross_entropy", softmax),
    "two": (lambda rng: rng.integers(2, size=40), "binary_cross_entropy", lambda z: sigmoid(np.hstack([-z, z]))),
    "labels": (lambda rng: rng.integers(2, size=(40, 3)), "binary_cross_entropy", sigmoid),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classifier(neural, kind, activation, dtype):
    make, loss, probabilities = KINDS[kind]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)).astype(dtype), make(rng)
    estimator = fitted(neural.MLPClassifier((7, 6), activation=activation, max_iter=5, random_state=0), X, y)
    net, named, classes = fp.from_sklearn(estimator)
    assert net.dtype == dtype and named == loss
    np.testing.assert_array_equal(classes, estimator.classes_)
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(probabilities(net(X)), estimator.predict_proba(X), atol=tolerance)
    if kind == "three":
        np.testing.assert_array_equal(classes[net(X).argmax(axis=1)], estimator.predict(X))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_regressor(neural, activation, outputs):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.normal(size=(40, outputs))
    estimator = fitted(
        neural.MLPRegressor(hidden_layer_sizes=(7,), activation=activation, max_iter=5, random_state=0),
        X,
        y[:, 0] if outputs == 1 else y,
    )
    net, loss, classes = fp.from_sklearn(estimator)
    assert loss == "half_mse" and classes is None
    np.testing.assert_allclose(net(X).reshape(estimator.predict(X).shape), estimator.predict(X), atol=1e-14)


def test_poisson(neural):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.poisson(2.0, size=40)
    estimator = fitted(neural.MLPRegressor(hidden_layer_sizes=(7,), loss="poisson", max_iter=5, random_state=0), X, y)
    net, loss, _ = fp.from_sklearn(estimator)
    assert loss == "poisson"
    np.testing.assert_allclose(np.exp(net(X))[:, 0], estimator.predict(X), rtol=1e-13)


def test_training_goes_on(neural):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5)), rng.integers(3, size=60)
    estimator = fitted(neural.MLPClassifier((7,), max_iter=5, random_state=0), X, y)
    net, loss, _ = fp.from_sklearn(estimator, seed=3)
    assert net.seed == 3
    history = net.fit(X, y, loss=loss, optimizer=fp.SGD(0.1), epochs=5)
    assert history["cost"][-1] < estimator.loss_


def test_every_loss_is_one():
    assert set(OUTPUTS.values()) <= set(LOSSES)


def few(neural, **changes):
    """Return a fitted estimator of three classes with some attributes changed."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    estimator = fitted(neural.MLPClassifier((7,), max_iter=3, random_state=0), X, y)
    for name, value in changes.items():
        setattr(estimator, name, value)
    return estimator


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"activation": "gelu"},
            "the activation of this MLPClassifier is 'gelu'.*knows identity, logistic, tanh, relu",
        ),
        ({"activation": np.tanh}, "the activation .* is <ufunc 'tanh'>"),
        ({"out_activation_": "cauchy"}, "the out_activation_ of this MLPClassifier is 'cauchy'"),
        ({"intercepts_": []}, "this MLPClassifier was not fitted"),
        ({"coefs_": [np.ones((5, 7), np.float16), np.ones((7, 3), np.float16)]}, "float16"),
        ({"predict_proba": lambda X: np.full((len(X), 3), 1 / 3)}, "computes something else.*outputs differ"),
    ],
)
def test_changed_after_the_fit(neural, changes, message):
    with pytest.raises(ValueError, match=message):
        fp.from_sklearn(few(neural, **changes))


def test_subclasses(neural):
    """Subclasses may change anything, so their predictions are compared."""

    class Mine(neural.MLPClassifier):
        pass

    class Other(neural.MLPClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, ::-1]

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    assert fp.from_sklearn(fitted(Mine((7,), max_iter=3), X, y)).network.n_outputs == 3
    with pytest.raises(ValueError, match="this Other computes something else"):
        fp.from_sklearn(fitted(Other((7,), max_iter=3), X, y))


def test_every_way_to_fit(neural):
    """The fit may be partial, stopped early, from sparse rows or from named columns."""
    pandas = pytest.importorskip("pandas", reason="the `peers` extra is not installed")
    sparse = pytest.importorskip("scipy.sparse", reason="the `peers` extra is not installed")
    rng = np.random.default_rng(0)
    X, y, t = rng.normal(size=(60, 5)), rng.integers(3, size=60), rng.normal(size=(60, 2))
    kinds = [
        neural.MLPClassifier((7,), random_state=0).partial_fit(X, y, classes=[0, 1, 2, 3]),
        fitted(neural.MLPClassifier((7,), max_iter=5, early_stopping=True, random_state=0), X, y),
        fitted(neural.MLPRegressor(hidden_layer_sizes=(), max_iter=5, random_state=0), sparse.csr_matrix(X), t),
        fitted(neural.MLPRegressor(max_iter=5, random_state=0), pandas.DataFrame(X, columns=list("abcde")), t[:, 0]),
    ]
    for estimator in kinds:
        net, _, classes = fp.from_sklearn(estimator)
        ours = net(X) if classes is None else softmax(net(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns without names
            theirs = estimator.predict(X) if classes is None else estimator.predict_proba(X)
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, atol=1e-13)


def test_errors(neural):
    with pytest.raises(ValueError, match=r"was not fitted.*call its fit"):
        fp.from_sklearn(neural.MLPClassifier())
    with pytest.raises(TypeError, match="takes a fitted MLPClassifier or MLPRegressor, got list"):
        fp.from_sklearn([1, 2])
    linear = pytest.importorskip("sklearn.linear_model", reason="the `peers` extra is not installed")
    with pytest.raises(TypeError, match="got LogisticRegression"):
        fp.from_sklearn(linear.LogisticRegression())
    with pytest.raises(TypeError, match="got fastprop's MLPClassifier; use its network_"):
        fp.from_sklearn(fp.MLPClassifier())
    pipeline = pytest.importorskip("sklearn.pipeline", reason="the `peers` extra is not installed")
    with pytest.raises(TypeError, match=r"got Pipeline; give its last step"):
        fp.from_sklearn(pipeline.make_pipeline(neural.MLPClassifier()))
