"""Metrics against scikit-learn's of the same name, and against numbers worked out by hand."""

import numpy as np
import pytest

import fastprop as fp
from fastprop.nn import losses
from fastprop.training import metrics

try:
    from sklearn import metrics as peers
except ImportError:
    peers = None
sklearn = [pytest.mark.peer, pytest.mark.skipif(peers is None, reason="scikit-learn is not installed")]


def judge(name, y, outputs, loss, weight=None):
    outputs = np.asarray(outputs, np.float32)
    loss = losses.parse(loss)
    (metric,) = metrics.parse(name, loss, outputs.shape[1])
    return metric.function(metrics.Predictions(np.asarray(y), outputs, weight, loss))


def softmax(z):
    powers = np.exp(z.astype(float) - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logistic(z):
    return 1 / (1 + np.exp(-z.astype(float)))


@pytest.fixture(params=[None, "weighted"])
def weight(request):
    return None if request.param is None else np.random.default_rng(5).uniform(0.1, 3, 80)


def test_by_hand():
    scores = [[2, 1], [0, 1], [1, 0], [3, 0]]  # predicts 0, 1, 0, 0
    y = [0, 1, 1, 0]
    assert judge("accuracy", y, scores, "cross_entropy") == 0.75
    assert judge("balanced_accuracy", y, scores, "cross_entropy") == 0.75
    assert judge("f1", y, scores, "cross_entropy") == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    # margins 1, 3 of class 0 against -1 ... of class 1: in favour of 1 they are -1, 1, -1, -3; one tie of four pairs
    assert judge("auc", y, scores, "cross_entropy") == pytest.approx(3.5 / 4)
    assert judge("rmse", [0.0, 0.0], [[3.0], [4.0]], "half_mse") == pytest.approx(np.sqrt(12.5))
    assert judge("mae", [0.0, 0.0], [[3.0], [-4.0]], "half_mse") == 3.5
    assert judge("r2", [1.0, 3.0], [[1.0], [2.0]], "half_mse") == 0.5
    assert judge("log_loss", [1], [[0.0]], "binary_cross_entropy") == pytest.approx(np.log(2))


def test_a_weight_is_a_row_again():
    rng = np.random.default_rng(0)
    outputs, y, times = rng.normal(size=(9, 3)), rng.integers(3, size=9), rng.integers(1, 4, size=9)
    for name in ("accuracy", "balanced_accuracy", "f1", "auc", "log_loss"):
        again = judge(name, np.repeat(y, times), np.repeat(outputs, times, axis=0), "cross_entropy")
        assert judge(name, y, outputs, "cross_entropy", times.astype(float)) == pytest.approx(again, rel=1e-12)


def test_outputs_mean_what_the_loss_says():
    assert judge("mae", [np.e], [[1.0]], "poisson") == pytest.approx(0, abs=1e-7)
    assert judge("mae", [2.0], [[2.0, 9.0]], "gaussian_nll") == 0
    assert judge("mae", [2.0], [[9.0, 2.0, 9.0]], losses.quantile(levels=(0.1, 0.5, 0.9))) == 0
    assert judge("accuracy", [0, 1], [[0.4], [0.6]], "half_mse") == 1
    assert judge("accuracy", [-1, 1], [[-0.1], [0.1]], "binary_hinge") == 1
    assert judge("accuracy", [[0, 1], [1, 1]], [[-1, 1], [1, -1]], "binary_cross_entropy") == 0.5
    assert judge("accuracy", [[0.0, 1.0]], [[-1, 1]], "cross_entropy") == 1


def test_nothing_to_compare():
    assert np.isnan(judge("auc", [1, 1], [[0.0], [1.0]], "binary_cross_entropy"))
    assert judge("r2", [2.0, 2.0], [[2.0], [2.0]], "half_mse") == 1
    assert judge("r2", [2.0, 2.0], [[2.0], [3.0]], "half_mse") == 0


@pytest.mark.parametrize(
    "name, loss, hint",
    [
        ("rmse", "cross_entropy", "compares numbers"),
        ("log_loss", "half_mse", "needs probabilities"),
        ("log_loss", "hinge", "needs probabilities"),
        ("balanced_accuracy", "binary_cross_entropy", "use f1"),
        ("acuracy", "cross_entropy", "did you mean 'accuracy'"),
    ],
)
def test_refused(name, loss, hint):
    with pytest.raises(ValueError, match=hint):
        metrics.parse(name, losses.parse(loss), 3)


def test_what_is_no_metric():
    with pytest.raises(TypeError, match="name or a function"):
        metrics.parse([3], losses.parse("half_mse"), 1)
    with pytest.raises(ValueError, match="two metrics are called 'rmse'"):
        metrics.parse(["rmse", "rmse"], losses.parse("half_mse"), 1)
    (own,) = metrics.parse({"odd": lambda y, outputs: "much"}, losses.parse("half_mse"), 1)
    with pytest.raises(TypeError, match="your metric odd must return a number"):
        own.function(metrics.Predictions(np.zeros(1), np.zeros((1, 1)), None, losses.parse("half_mse")))


def test_evaluate():
    net = fp.Network([2, 1], seed=0)
    X, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    expected = np.mean(np.abs(net(X)[:, 0] - y[:, 0]))
    assert metrics.evaluate("mae", net, X, y[:, 0], loss="half_mse") == pytest.approx(expected, rel=1e-6)


# ---- against scikit-learn, whose float64 sums have another order: equal to about a thousand roundings ----

CLOSE = {"rel": 1e-12, "abs": 1e-12}


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "auc", "log_loss"])
class TestClasses:
    """The outputs belong to a softmax."""

    pytestmark = sklearn

    def test_as_scikit_learn(self, name, n, weight):
        rng = np.random.default_rng(n)
        y, z = rng.integers(n, size=80), rng.normal(size=(80, n)).astype(np.float32)
        z = np.round(z, 1)  # ties
        p = softmax(z)
        twin = {
            "accuracy": lambda: peers.accuracy_score(y, z.argmax(1), sample_weight=weight),
            "balanced_accuracy": lambda: peers.balanced_accuracy_score(y, z.argmax(1), sample_weight=weight),
            "f1": lambda: peers.f1_score(y, z.argmax(1), average="macro", sample_weight=weight),
            "auc": lambda: peers.roc_auc_score(
                y, p if n > 2 else p[:, 1], multi_class="ovr", average="macro", sample_weight=weight
            ),
            "log_loss": lambda: peers.log_loss(y, p, sample_weight=weight),
        }[name]()
        assert judge(name, y, z, "cross_entropy", weight) == pytest.approx(twin, **CLOSE)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "auc", "log_loss"])
class TestBinary:
    """The network has one logistic output."""

    pytestmark = sklearn

    def test_as_scikit_learn(self, name, weight):
        rng = np.random.default_rng(0)
        y, z = rng.integers(2, size=80), rng.normal(size=(80, 1)).astype(np.float32)
        said, p = (z[:, 0] > 0).astype(int), logistic(z)[:, 0]
        twin = {
            "accuracy": lambda: peers.accuracy_score(y, said, sample_weight=weight),
            "balanced_accuracy": lambda: peers.balanced_accuracy_score(y, said, sample_weight=weight),
            "f1": lambda: peers.f1_score(y, said, average="macro", sample_weight=weight),
            "auc": lambda: peers.roc_auc_score(y, z[:, 0], sample_weight=weight),
            "log_loss": lambda: peers.log_loss(y, p, sample_weight=weight),
        }[name]()
        assert judge(name, y, z, "binary_cross_entropy", weight) == pytest.approx(twin, **CLOSE)


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc"])
class TestMany:
    """The network has several logistic outputs, each a label of its own."""

    pytestmark = sklearn

    def test_as_scikit_learn(self, name, weight):
        rng = np.random.default_rng(0)
        y, z = rng.integers(2, size=(80, 3)), rng.normal(size=(80, 3)).astype(np.float32)
        twin = {
            "accuracy": lambda: peers.accuracy_score(y, z > 0, sample_weight=weight),
            "f1": lambda: peers.f1_score(y, z > 0, average="macro", sample_weight=weight),
            "auc": lambda: peers.roc_auc_score(y, z, average="macro", sample_weight=weight),
        }[name]()
        assert judge(name, y, z, "binary_cross_entropy", weight) == pytest.approx(twin, **CLOSE)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
class TestNumbers:
    """The outputs are linear."""

    pytestmark = sklearn

    def test_as_scikit_learn(self, name, columns, weight):
        y, z = np.random.default_rng(0).normal(size=(2, 80, columns)).astype(np.float32)
        peer = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}[name]
        twin = getattr(peers, peer)(y.astype(float), z.astype(float), sample_weight=weight)
        assert judge(name, y, z, "half_mse", weight) == pytest.approx(twin, **CLOSE)


class TestScorers:
    """Scorers of scikit-learn are taken by their names."""

    pytestmark = sklearn

    def test_of_classes(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(3, size=50)
        net = fp.Network([3, 3], seed=0)
        p = softmax(net(X))
        how = {"loss": "cross_entropy"}
        assert metrics.evaluate("neg_log_loss", net, X, y, **how) == pytest.approx(-peers.log_loss(y, p))
        twin = peers.roc_auc_score(y, p, multi_class="ovr")
        assert metrics.evaluate("roc_auc_ovr", net, X, y, **how) == pytest.approx(twin)
        twin = peers.f1_score(y, p.argmax(1), average="micro")
        assert metrics.evaluate("f1_micro", net, X, y, **how) == pytest.approx(twin)

    def test_of_one_output(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(2, size=50)
        net = fp.Network([3, 1], seed=0)
        found = metrics.evaluate("roc_auc", net, X, y, loss="binary_cross_entropy")
        assert found == pytest.approx(peers.roc_auc_score(y, net(X)[:, 0]))

    def test_of_numbers(self):
        X, y = np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)
        net = fp.Network([3, 3], seed=0)
        found = metrics.evaluate("neg_mean_squared_error", net, X, y, loss="half_mse")
        assert found == pytest.approx(-peers.mean_squared_error(y, net(X)), rel=1e-6)

    def test_an_unknown_one(self):
        with pytest.raises(ValueError, match="did you mean 'neg_mean_squared_error'"):
            metrics.parse("neg_mean_square_error", losses.parse("half_mse"), 1)
