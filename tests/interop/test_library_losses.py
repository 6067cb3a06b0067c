"""Values and gradients of losses against PyTorch, and deviances and hinges against scikit-learn."""

import numpy as np
import pytest
import strategies

import fastprop as fp
from fastprop.nn.losses import LOSSES

pytestmark = pytest.mark.peer

TOLERANCES = {"float32": 1e-5, "float64": 1e-10}  # issue 4's promise

VARIANTS = [
    *LOSSES.values(),
    fp.losses.huber(delta=0.3),
    fp.losses.quantile(levels=(0.1, 0.5, 0.9)),
    fp.losses.tweedie(power=1.2),
    fp.losses.cross_entropy(label_smoothing=0.1),
    fp.losses.focal(gamma=1.5, alpha=0.25),
    fp.losses.binary_focal(gamma=1.5, alpha=0.25),
]


def theirs(torch):
    """Return name -> the losses of the rows, for the losses that PyTorch has a function for."""
    f = torch.nn.functional if torch else None  # None: for the names alone
    return {
        "half_mse": lambda a, y: 0.5 * f.mse_loss(a, y, reduction="none").sum(1),
        "squared_error": lambda a, y: f.mse_loss(a, y, reduction="none").sum(1),
        "mse": lambda a, y: f.mse_loss(a, y, reduction="none").mean(1),
        "mae": lambda a, y: f.l1_loss(a, y, reduction="none").sum(1),
        "huber": lambda a, y, delta: f.huber_loss(a, y, delta=delta, reduction="none").sum(1),
        "poisson": lambda a, y: f.poisson_nll_loss(a, y, log_input=True, full=False, reduction="none").sum(1),
        "gaussian_nll": lambda a, y: f.gaussian_nll_loss(a[:, ::2], y, a[:, 1::2].exp(), reduction="none").sum(1),
        "cross_entropy": lambda a, y, label_smoothing: f.cross_entropy(
            a, y, label_smoothing=label_smoothing, reduction="none"
        ),
        "kl_divergence": lambda a, y: f.kl_div(f.log_softmax(a, 1), rows(torch, y, a), reduction="none").sum(1),
        "binary_cross_entropy": lambda a, y: f.binary_cross_entropy_with_logits(a, y, reduction="none").sum(1),
    }


def rows(torch, y, a):
    """Return labels as one-hot rows."""
    return torch.nn.functional.one_hot(y, a.shape[1]).to(a.dtype) if y.ndim == 1 else y


def written(torch):
    """Return name -> the losses of the rows, written in PyTorch, for losses that it has no function for."""

    def log_cosh(a, y):
        return (a - y).cosh().log().sum(1)

    def quantile(a, y, levels):
        q = torch.tensor(levels, dtype=a.dtype)
        under = y[:, :, None] - a.reshape(*y.shape, len(levels))
        return torch.maximum(q * under, (q - 1) * under).sum((1, 2))

    def gamma(a, y):
        return 2 * ((a.exp() / y).log() + y / a.exp() - 1).sum(1)

    def tweedie(a, y, power):
        m, one, two = a.exp(), 1 - power, 2 - power
        return 2 * (y**two / (one * two) - y * m**one / one + m**two / two).sum(1)

    def focal(a, y, gamma, alpha):
        p = a.softmax(1)
        return -(1 if alpha is None else alpha) * (rows(torch, y, a) * (1 - p) ** gamma * p.log()).sum(1)

    def binary_focal(a, y, gamma, alpha):
        s, (on_1, on_0) = a.sigmoid(), (1, 1) if alpha is None else (alpha, 1 - alpha)
        return -(on_1 * y * (1 - s) ** gamma * s.log() + on_0 * (1 - y) * s**gamma * (1 - s).log()).sum(1)

    def hinge(a, y):
        y = rows(torch, y, a)
        return (a + 1 - y).amax(1) - (y * a).sum(1)

    def binary_hinge(a, y):
        return (1 - y * a).clamp(min=0).sum(1)

    return {f.__name__: f for f in (log_cosh, quantile, gamma, tweedie, focal, binary_focal, hinge, binary_hinge)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("loss", [loss for loss in VARIANTS if loss.name in {*theirs(None), *written(None)}], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_value_and_gradient(torch, dtype, loss, labels, weighted):
    rng = np.random.default_rng(1)
    n_outputs = 4 * loss.outputs
    net = fp.Network([5, n_outputs], dtype=dtype, seed=2)
    X = rng.normal(size=(60, 5)).astype(dtype)
    y = strategies.targets(loss.name, rng, 60, 4 * LOSSES[loss.name].outputs, labels)
    y = y.astype(dtype) if y.dtype.kind == "f" else y
    weight = rng.uniform(0, 2, 60).astype(dtype) if weighted else None
    cost, gradient = net.value_and_gradient(X, y, loss=loss, sample_weight=weight)

    W, b = (torch.tensor(np.array(array), requires_grad=True) for array in (net.weights[0], net.biases[0]))
    losses = (theirs(torch) | written(torch))[loss.name](torch.tensor(X) @ W + b, torch.tensor(y), **loss.values)
    weights = torch.tensor(np.ones(60, dtype) if weight is None else weight)
    expected = (weights * losses).sum() / weights.sum()
    expected.backward()
    assert cost == pytest.approx(expected.item(), rel=TOLERANCES[dtype])
    flat = np.concatenate([W.grad.numpy().ravel(), b.grad.numpy()])
    assert np.max(np.abs(gradient - flat)) <= TOLERANCES[dtype] * max(1.0, np.max(np.abs(flat)))


def outputs_of(n, seed=3):
    """Return a network, data, its outputs and weights."""
    rng = np.random.default_rng(seed)
    net, X = fp.Network([5, n], dtype="float64", seed=4), rng.normal(size=(80, 5))
    return net, X, net(X), rng.uniform(0, 2, 80), rng


DEVIANCES = [("gamma", 2.0), ("tweedie", 1.5), (fp.losses.tweedie(power=1.1), 1.1)]


@pytest.mark.parametrize("loss, power", DEVIANCES, ids=str)
def test_deviances_of_scikit_learn(loss, power):
    metrics = pytest.importorskip("sklearn.metrics", reason="the `peers` extra is not installed")
    net, X, a, weight, rng = outputs_of(1)
    y = rng.gamma(2.0, size=80)
    expected = metrics.mean_tweedie_deviance(y, np.exp(a[:, 0]), sample_weight=weight, power=power)
    assert net.value_and_gradient(X, y, loss=loss, sample_weight=weight)[0] == pytest.approx(expected, rel=1e-12)


def test_pinball_and_hinges_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="the `peers` extra is not installed")
    levels = (0.1, 0.6, 0.9)
    net, X, a, weight, rng = outputs_of(3)
    y = rng.normal(size=80)
    expected = sum(metrics.mean_pinball_loss(y, a[:, q], sample_weight=weight, alpha=levels[q]) for q in range(3))
    loss = fp.losses.quantile(levels=levels)
    assert net.value_and_gradient(X, y, loss=loss, sample_weight=weight)[0] == pytest.approx(expected, rel=1e-12)
    label = rng.integers(3, size=80)
    expected = metrics.hinge_loss(label, a, labels=[0, 1, 2], sample_weight=weight)
    assert net.value_and_gradient(X, label, loss="hinge", sample_weight=weight)[0] == pytest.approx(expected, rel=1e-12)
    net, X, a, weight, rng = outputs_of(1)
    label = rng.integers(2, size=80)
    expected = metrics.hinge_loss(label, a[:, 0], sample_weight=weight)
    cost = net.value_and_gradient(X, label, loss="binary_hinge", sample_weight=weight)[0]
    assert cost == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("y", [[0] * 8 + [2] * 4, [0, 1, 1, 2, 2, 2]])
def test_balanced_weights_of_scikit_learn(y):
    utilities = pytest.importorskip("sklearn.utils.class_weight", reason="the `peers` extra is not installed")
    nets = [fp.Network([2, 3], dtype="float64", seed=0) for _ in range(2)]
    X = np.random.default_rng(0).normal(size=(len(y), 2))
    how = {"loss": "cross_entropy", "optimizer": fp.SGD(0.1), "batch_size": 4}
    nets[0].fit(X, y, class_weight="balanced", **how)
    nets[1].fit(X, y, sample_weight=utilities.compute_sample_weight("balanced", y), **how)
    np.testing.assert_allclose(nets[0].parameters, nets[1].parameters, rtol=1e-13)
