"""CompiledTrainer: the engine takes the twin's steps, and the NumPy baseline takes the engine's.

The baseline must compute what the engine computes, or its times mean nothing.
"""

import numpy as np
import pytest
import reference
import strategies

import fastprop as fp
from fastprop._core import _engine
from numpy_baseline import NumpyTrainer

WIDTHS = (5, 17, 9, 4)  # an even number of outputs, as gaussian_nll wants
# The tolerances that hold against PyTorch; the baseline and the twin must keep them, too.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}


def training_data(loss, rng, rows):
    x = rng.normal(size=(rows, WIDTHS[0]))
    return x, strategies.targets(loss, rng, rows, WIDTHS[-1], labels=True)


def training_case(loss, dtype):
    """Return initial parameters, rounded to the dtype, and 20 mini-batches, of which the last one is small."""
    rng = np.random.default_rng(3)
    theta = rng.normal(0.0, 0.4, reference.n_parameters(WIDTHS)).astype(dtype).astype(np.float64)
    x, y = training_data(loss, rng, 20 * 16 - 9)
    x = x.astype(dtype).astype(np.float64)
    return theta, [(x[i : i + 16], y[i : i + 16]) for i in range(0, len(x), 16)]


def engine(activation, loss, dtype, theta, optimizer):
    net = fp.Network(WIDTHS, activation=activation, dtype=dtype, seed=0)
    net.parameters[:] = theta
    return fp.Trainer(net, loss=loss, optimizer=optimizer)


HYPER = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "weight decay": {"weight_decay": 0.01},
    "all": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
}


@pytest.mark.exhaustive
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("hyper", HYPER.values(), ids=HYPER.keys())
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_engine_takes_the_steps_of_the_twin(activation, loss, dtype, hyper):
    theta, batches = training_case(loss, dtype)
    activations = [activation] * 2 + ["identity"]
    rate = 0.01 if loss == "gamma" else 0.05  # its slope grows like e^-a
    twin_theta, twin_costs = reference.train(
        WIDTHS, activations, loss, theta, batches, rate, **hyper
    )
    trainer = engine(activation, loss, dtype, theta, fp.SGD(rate, **hyper))
    costs = [trainer.step(x, y) for x, y in batches]
    np.testing.assert_allclose(costs, twin_costs, rtol=TOLERANCES[dtype])
    ours = trainer.network.parameters
    np.testing.assert_allclose(ours, twin_theta, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
    assert np.max(np.abs(twin_theta - theta)) > 0.01, "nothing was trained"


LARGE = (40, 300, 70, 3)  # weights that plain SGD updates within the product of their gradient, and one too small


@pytest.mark.exhaustive
@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("threads", [1, 3], indirect=True)
@pytest.mark.parametrize(
    "rows, batch, how",
    [
        (99, 33, {}),
        (200, 64, {"optimizer": {"weight_decay": 0.1}, "rates": {"first": 0.5, "bias": 2.0}}),
        (200, 64, {"optimizer": {"weight_decay": 0.1, "decoupled": True}}),
        (200, 64, {"l2": 0.1}),
        (200, 64, {"optimizer": {"momentum": 0.9}}),
        (9000, 4000, {}),  # several blocks of rows per batch
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_epoch_takes_the_steps_of_single_steps(dtype, rows, batch, how):
    """The bits are the same, though only the last step of a call stores its gradient, which is checked, too."""
    rng = np.random.default_rng(8)
    X, y = (rng.normal(size=(rows, n)).astype(dtype) for n in (LARGE[0], LARGE[-1]))

    def make():
        options = dict(how)
        optimizer = fp.SGD(0.05, **options.pop("optimizer", {}))
        net = fp.Network(LARGE, dtype=dtype, seed=0)
        return fp.Trainer(net, loss="half_mse", optimizer=optimizer, **options)

    one, other = make(), make()
    one.epoch(X, y, batch_size=batch)
    order = np.empty(rows, np.int64)
    _engine.shuffle(order, other.seed, other.steps)
    for start in range(0, rows, batch):
        other.step(X[order[start : start + batch]], y[order[start : start + batch]])
    assert one.steps == other.steps == -(-rows // batch)
    assert one.network.parameters.tobytes() == other.network.parameters.tobytes()
    assert one.network.gradient.tobytes() == other.network.gradient.tobytes()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_baseline_takes_the_steps_of_the_engine(activation, loss, dtype, momentum):
    theta, batches = training_case(loss, dtype)
    ours = engine(activation, loss, dtype, theta, fp.SGD(0.05, momentum=momentum))
    baseline = NumpyTrainer(WIDTHS, activation, loss, 0.05, momentum, dtype, theta)
    for x, y in batches:
        expected = ours.step(x, y)
        assert baseline.step(x.astype(dtype), y) == pytest.approx(expected, rel=TOLERANCES[dtype])
    expected = ours.network.parameters
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(baseline.theta, expected, rtol=tolerance, atol=tolerance)
    x = batches[0][0].astype(dtype)
    np.testing.assert_allclose(baseline.predict(x), ours.network(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("widths", [(1, 1, 1, 1), (3, 1), (2, 80, 1)], ids=str)
@pytest.mark.parametrize("rows", [1, 2, 70])
def test_baseline_at_its_turning_points(widths, rows):
    """The baseline works for one element, one row and one layer, and for layers that take the other ReLU mask."""
    rng = np.random.default_rng(4)
    theta = np.abs(rng.normal(0.0, 0.4, reference.n_parameters(widths)))
    x, y = rng.normal(size=(rows, widths[0])), rng.normal(size=rows)
    activations = ["relu"] * (len(widths) - 2) + ["identity"]
    baseline = NumpyTrainer(widths, "relu", "half_mse", 0.05, 0.9, "float64", theta)
    costs = [baseline.step(x, y) for _ in range(3)]
    twin_theta, twin_costs = reference.train(
        widths, activations, "half_mse", theta, [(x, y)] * 3, 0.05, momentum=0.9
    )
    np.testing.assert_allclose(costs, twin_costs, rtol=1e-12)
    np.testing.assert_allclose(baseline.theta, twin_theta, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 100])
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])
def test_baseline_epoch_visits_every_row_once(loss, batch_size):
    """With a rate of 0 the mean cost of an epoch is the cost of the data, whatever the order and the batches."""
    x, y = training_data(loss, np.random.default_rng(5), 100)
    baseline = NumpyTrainer(WIDTHS, "tanh", loss, 0.0, dtype="float64", seed=1)
    before = baseline.theta.copy()
    expected = engine("tanh", loss, "float64", before, fp.SGD(0.1)).evaluate(x, y)
    for _ in range(2):
        assert baseline.epoch(x, y, batch_size) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(baseline.theta, before)


def test_baseline_learns():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(600, WIDTHS[0]))
    y = np.argmax(x[:, : WIDTHS[-1]], axis=1)
    baseline = NumpyTrainer(WIDTHS, "relu", "cross_entropy", 0.1, 0.9, "float64", seed=2)
    costs = [baseline.epoch(x, y, 32) for _ in range(10)]
    assert costs[-1] < 0.2 * costs[0]
    assert np.mean(np.argmax(baseline.predict(x), axis=1) == y) > 0.95


def test_a_well_known_worked_example():
    """Mazur's 2-2-2 network gives the numbers computed by hand, and the costs of 10,000 updates (see docs)."""
    x, y = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
    net = fp.Network([2, 2, fp.Dense(2, "sigmoid")], activation="sigmoid", dtype="float64", seed=0)
    first = [[0.15, 0.25], [0.20, 0.30]], [0.35, 0.35], [[0.40, 0.50], [0.45, 0.55]], [0.60, 0.60]
    net.parameters = np.concatenate([np.ravel(part) for part in first])
    np.testing.assert_allclose(net(x), [[0.75136507, 0.772928465]], rtol=1e-8)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.5), rates={"bias": 0.0})
    assert trainer.step(x, y) == pytest.approx(0.298371109, rel=1e-8)
    for weights, published in zip(net.weights, [(0.149780716, 0.19956143, 0.24975114, 0.29950229),
                                                (0.35891648, 0.408666186, 0.51130127, 0.561370121)]):  # fmt: skip
        np.testing.assert_allclose(weights.T.ravel(), published, rtol=0, atol=5e-9)
    assert trainer.evaluate(x, y) == pytest.approx(0.2910277737, rel=1e-9)

    W1, W2 = map(np.array, first[::2])
    for _ in range(10_000):
        a1 = 1 / (1 + np.exp(-x @ W1 - 0.35))
        a2 = 1 / (1 + np.exp(-a1 @ W2 - 0.60))
        dz2 = (a2 - y) * a2 * (1 - a2)
        dz1 = dz2 @ W2.T * a1 * (1 - a1)
        W1, W2 = W1 - 0.5 * x.T @ dz1, W2 - 0.5 * a1.T @ dz2
    for _ in range(9_999):
        trainer.step(x, y)
    np.testing.assert_allclose(net.weights[0], W1, rtol=1e-11)
    np.testing.assert_allclose(net.weights[1], W2, rtol=1e-11)
    np.testing.assert_allclose(net(x), [[0.015913620, 0.984064274]], rtol=1e-7)
    assert trainer.evaluate(x, y) == pytest.approx(3.51018778e-5, rel=1e-8)
    np.testing.assert_array_equal(net.biases, [[0.35, 0.35], [0.60, 0.60]])
