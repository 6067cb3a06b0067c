"""Activations, optimisers, schedules and training against PyTorch, and results on real data against scikit-learn."""

import csv
import dataclasses

import numpy as np
import pytest
import strategies
from shared_data import HOUSING, needs_housing

import fastprop as fp
from fastprop.nn.activations import ACTIVATIONS, parse
from fastprop.nn.losses import LOSSES
from fastprop.optim import optimizers as fp_optimizers
from fastprop.optim import schedules

# Of 20 steps, against the largest number: issue 2's promise.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}

SOME_LOSSES = ("half_mse", "squared_error", "cross_entropy", "binary_cross_entropy")  # test_library_losses.py has all

OPTIMIZERS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "decay": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov, decay": {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    "decay alone": {"weight_decay": 0.1},
}

NETWORKS = {
    "linear": ([5, 3], []),
    "tanh": ([5, 8, 3], ["tanh"]),
    "relu": ([7, 33, 17, 4], ["relu", "relu"]),
    "mixed": ([20, 64, 16, 9, 2], ["relu", "sigmoid", "tanh"]),
    "wide": ([64, 128, 10], ["relu"]),
}

# The activations that the networks here are made of; test_activation is about each of them.
SOME_ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")


def counterpart(torch, name, numbers):
    """Return PyTorch's activation with these hyperparameters, or if it has none, the formula in PyTorch."""
    from fastprop.interop import torch_modules

    functional = torch.nn.functional
    return {
        "identity": lambda z: z.clone(),
        "relu": torch.relu,
        "leaky_relu": lambda z: functional.leaky_relu(z, numbers["slope"]),
        "elu": lambda z: functional.elu(z, numbers["alpha"]),
        "selu": torch.selu,
        "celu": lambda z: torch.celu(z, alpha=numbers["alpha"]),
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "silu": functional.silu,
        "mish": functional.mish,
        "softplus": lambda z: functional.softplus(z, numbers["beta"], threshold=40),  # 20 leaves an error of 2e-9
        "softsign": functional.softsign,
        "sigmoid": torch.sigmoid,
        "hard_sigmoid": lambda z: functional.relu6(z + 3) / 6,  # hardsigmoid's slope is float32's 1/6 always
        "tanh": torch.tanh,
        "hard_tanh": lambda z: functional.hardtanh(z, numbers["low"], numbers["high"]),
        "relu6": functional.relu6,
        "hard_swish": functional.hardswish,
        "log_sigmoid": functional.logsigmoid,
    }.get(name, torch_modules.Activation(name, numbers))


pytestmark = pytest.mark.peer


class Twin:
    """A PyTorch network with the layers and parameters of a network of fastprop."""

    def __init__(self, torch, net):
        self.torch = torch
        self.layers = [
            (
                torch.tensor(np.array(weight), requires_grad=True),
                torch.tensor(np.array(bias), requires_grad=True),
                getattr(torch, layer.activation, None),  # torch.relu, torch.sigmoid, torch.tanh; the identity has none
            )
            for weight, bias, layer in zip(net.weights, net.biases, net.layers)
        ]
        for layer, (_, _, function) in zip(net.layers, self.layers):
            assert (function is None) == (layer.activation == "identity"), f"PyTorch has no {layer.activation}"
        self.parameters = [parameter for weight, bias, _ in self.layers for parameter in (weight, bias)]

    def __call__(self, x):
        for weight, bias, function in self.layers:
            x = x @ weight + bias
            x = x if function is None else function(x)
        return x

    def cost(self, loss, X, y):
        """Return the mean over rows of the sum over outputs."""
        torch, a, y = self.torch, self(self.torch.tensor(X)), self.torch.tensor(y)
        functional = torch.nn.functional
        if loss == "half_mse":
            return 0.5 * functional.mse_loss(a, y, reduction="none").sum(1).mean()
        if loss == "squared_error":
            return functional.mse_loss(a, y, reduction="none").sum(1).mean()
        if loss == "cross_entropy":
            return functional.cross_entropy(a, y)
        if loss == "binary_cross_entropy":
            return functional.binary_cross_entropy_with_logits(a, y, reduction="none").sum(1).mean()
        raise NotImplementedError(f"what is {loss} in PyTorch?")

    def flat(self, attribute=None):
        parts = [parameter.detach() if attribute is None else parameter.grad for parameter in self.parameters]
        return np.concatenate([np.ravel(part.numpy()) for part in parts])


def network(widths, activations, dtype, last="identity"):
    layers = [fp.Dense(n, name) for n, name in zip(widths[1:], [*activations, last])]
    net = fp.Network([widths[0], *layers], dtype=dtype, seed=1)
    rng = np.random.default_rng(2)
    for bias in net.biases:
        bias[:] = rng.normal(0, 0.1, bias.shape)
    return net


def targets(loss, rng, rows, n_outputs, dtype, labels):
    kind = LOSSES[loss].targets
    if kind == "classes" and labels:
        return rng.integers(n_outputs, size=rows)
    if kind == "numbers":
        return rng.normal(size=(rows, n_outputs)).astype(dtype)
    return rng.dirichlet(np.ones(n_outputs), size=rows).astype(dtype)


def assert_close(ours, twin, tolerance):
    ours, twin = np.asarray(ours, np.float64), np.asarray(twin, np.float64)
    assert ours.shape == twin.shape
    assert np.max(np.abs(ours - twin)) <= tolerance * max(1.0, np.max(np.abs(twin)))


@pytest.mark.parametrize("how", OPTIMIZERS)
@pytest.mark.parametrize("loss", SOME_LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_twenty_steps(torch, dtype, name, loss, how):
    widths, activations = NETWORKS[name]
    rng = np.random.default_rng(3)
    net = network(widths, activations, dtype)
    twin = Twin(torch, net)
    trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(0.02, **OPTIMIZERS[how]))
    descent = torch.optim.SGD(twin.parameters, lr=0.02, **OPTIMIZERS[how])
    before = net.parameters.copy()
    for step in range(20):
        rows = (32, 1, 33)[step % 3]
        X = rng.normal(0, 2 / np.sqrt(widths[0]), (rows, widths[0])).astype(dtype)  # a rate that suits every width
        y = targets(loss, rng, rows, widths[-1], dtype, labels=step % 2)
        descent.zero_grad()
        cost = twin.cost(loss, X, y)
        cost.backward()
        descent.step()
        assert trainer.step(X, y) == pytest.approx(cost.item(), rel=10 * TOLERANCES[dtype])
    assert_close(net.parameters, twin.flat(), TOLERANCES[dtype])
    assert np.max(np.abs(net.parameters - before)) > 1e-2, "they went somewhere"


# Ours -> the class of torch.optim, its options, and how it calls ours. It has no other optimiser of the list.
PEERS = {
    "sgd": ("SGD", {"momentum": 0.9}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "rprop": ("Rprop", {}),
}
OPTIONS = {
    "defaults": {},
    "decay": {"weight_decay": 0.1},
    "numbers": {"beta1": 0.7, "beta2": 0.9, "epsilon": 1e-4},
    "RMS": {"alpha": 0.9, "momentum": 0.5, "centered": True, "epsilon": 1e-3},
    "initial": {"initial": 0.1},
    "momentum_decay": {"momentum_decay": 0.1},
    "decoupled": {"weight_decay": 0.1, "decoupled": True},
}


def of_torch(options):
    """Return the options of an optimiser with the names of torch.optim."""
    betas = {"betas": (options["beta1"], options["beta2"])} if "beta1" in options else {}
    names = {
        "epsilon": "eps", "initial": "initial_accumulator_value", "decoupled": "decoupled_weight_decay"
    }  # fmt: skip
    return betas | {names.get(name, name): value for name, value in options.items() if name not in ("beta1", "beta2")}


def optimizers_and_options():
    """Yield every optimiser with each set of options that it has."""
    for name, kind in fp_optimizers.OPTIMIZERS.items():
        known = {field.name for field in dataclasses.fields(kind)}
        for label, options in OPTIONS.items():
            # PyTorch knows decoupled decay by that name in NAdam alone; its AdamW is the default of ours
            fits = set(options) <= known and (label != "decoupled" or name == "nadam")
            if name in PEERS and fits:
                yield pytest.param(name, options, id=f"{name}-{label}")


@pytest.fixture
def default_dtype(torch, dtype):
    """PyTorch keeps NAdam's product of mu in its default dtype, whatever that of the parameters is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name, options", list(optimizers_and_options()))
@pytest.mark.usefixtures("default_dtype")
def test_fifty_steps_of_every_optimiser(torch, name, options, dtype, tolerance):
    net = network([6, 19, 8, 3], ["tanh", "sigmoid"], dtype)
    twin, rng = Twin(torch, net), np.random.default_rng(7)
    kind, more = PEERS[name]
    ours = {"momentum": 0.9} if name == "sgd" else {}
    # with momentum RMSprop's first steps are 10 times as long, and errors grow as fast
    rate = 0.001 if "momentum" in options else 0.01
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp_optimizers.OPTIMIZERS[name](rate, **ours, **options))
    descent = getattr(torch.optim, kind)(twin.parameters, lr=rate, **more, **of_torch(options))
    before = net.parameters.copy()
    X, y = rng.normal(size=(50, 32, 6)).astype(dtype), rng.normal(size=(50, 32, 3)).astype(dtype)
    for step in range(50):
        batch = 0 if name == "rprop" else step
        descent.zero_grad()
        twin.cost("half_mse", X[batch], y[batch]).backward()
        descent.step()
        trainer.step(X[batch], y[batch])
        assert_close(net.parameters, twin.flat(), tolerance)
    assert np.max(np.abs(net.parameters - before)) > 1e-2, "they went somewhere"


SCHEDULES = {
    "step": (schedules.Step(0.1, steps=7, factor=0.5), "StepLR", {"step_size": 7, "gamma": 0.5}),
    "exponential": (schedules.Exponential(0.1, steps=1, factor=0.9), "ExponentialLR", {"gamma": 0.9}),
    "cosine": (schedules.Cosine(0.1, steps=60, final=0.01), "CosineAnnealingLR", {"T_max": 60, "eta_min": 0.01}),
    "restarts": (
        schedules.Cosine(0.1, steps=8, restarts=True), "CosineAnnealingWarmRestarts", {"T_0": 8}
    ),
    "longer restarts": (
        schedules.Cosine(0.1, steps=5, restarts=True, growth=2), "CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}
    ),
    "one cycle": (schedules.OneCycle(0.1, steps=60), "OneCycleLR", {"max_lr": 0.1, "total_steps": 60}),
    "polynomial": (schedules.Polynomial(0.1, steps=40, power=2), "PolynomialLR", {"total_iters": 40, "power": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(torch, name):
    schedule, kind, options = SCHEDULES[name]
    descent = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    peer = getattr(torch.optim.lr_scheduler, kind)(descent, **options)
    rates = []
    for _ in range(60):
        rates.append(descent.param_groups[0]["lr"])
        descent.step()
        peer.step()
    np.testing.assert_allclose(schedule.rates(np.arange(60)), rates, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"cooldown": 2}, {"patience": 0, "factor": 0.5, "threshold": 0.05}], ids=str)
def test_a_plateau(torch, options):
    descent = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(descent, **{"patience": 3, "min_lr": 1e-4} | options)
    schedule = schedules.ReduceOnPlateau(0.1, **{"patience": 3, "least": 1e-4} | options)
    known, rng = schedule.initial_state(), np.random.default_rng(8)
    for cost in 1 / np.arange(1, 80) ** 0.2 + 0.1 * rng.random(79):
        peer.step(cost)
        known = schedule.next_state(known, cost)
        assert 0.1 * schedule.scale(known) == pytest.approx(descent.param_groups[0]["lr"], rel=1e-12)
    assert schedule.scale(known) < 0.1


@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), *strategies.GENTLE], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_activation(torch, dtype, activation):
    """Value and slope of every activation agree, with the hyperparameters of the list and with others."""
    activation = parse(activation)
    rng, tolerance = np.random.default_rng(7), {"float32": 1e-5, "float64": 1e-10}[dtype]
    z = np.concatenate([rng.normal(0, 4, 3000), rng.uniform(-1, 1, 1000), [-40, -20, 20, 40]]).astype(dtype)
    net = fp.Network([1, fp.Dense(1, activation)], dtype=dtype)
    net.parameters[:] = 1, 0
    x = torch.tensor(z, requires_grad=True)
    y = counterpart(torch, activation.name, activation.values)(x)
    y.sum().backward()
    np.testing.assert_allclose(net.forward(z[:, None])[:, 0], y.detach().numpy(), rtol=tolerance, atol=tolerance)
    dx, expected = net.backward(np.ones((z.size, 1)))[:, 0], x.grad.numpy()
    np.testing.assert_allclose(dx, expected, rtol=tolerance, atol=tolerance * max(1.0, np.max(np.abs(expected))))


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(
    "loss, last",
    [(loss, last) for loss in SOME_LOSSES for last in SOME_ACTIVATIONS if strategies.last(last, loss) == last],
)
@pytest.mark.parametrize("activation", SOME_ACTIVATIONS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_value_and_gradient(torch, dtype, activation, loss, last, labels):
    """The gradient of a network agrees with autograd."""
    rng = np.random.default_rng(4)
    net = network([6, 19, 8, 3], [activation, activation], dtype, last)
    twin = Twin(torch, net)
    X = rng.normal(size=(70, 6)).astype(dtype)
    y = targets(loss, rng, 70, 3, dtype, labels)
    cost, gradient = net.value_and_gradient(X, y, loss=loss)
    expected = twin.cost(loss, X, y)
    expected.backward()
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]  # one gradient, not 20 steps
    assert cost == pytest.approx(expected.item(), rel=tolerance)
    assert_close(gradient, twin.flat("grad"), tolerance)
    assert_close(net(X), twin(torch.tensor(X)).detach().numpy(), tolerance)


def test_backward_of_a_loss_of_ones_own(torch):
    """PyTorch computes dC/dY of a Huber loss, and fastprop the rest of the backward pass."""
    net = network([6, 19, 3], ["tanh"], "float64")
    twin, rng = Twin(torch, net), np.random.default_rng(5)
    X, y = rng.normal(size=(40, 6)), 3 * rng.normal(size=(40, 3))
    x = torch.tensor(X, requires_grad=True)
    torch.nn.functional.huber_loss(twin(x), torch.tensor(y)).backward()
    Y = torch.tensor(net.forward(X), requires_grad=True)
    torch.nn.functional.huber_loss(Y, torch.tensor(y)).backward()
    dX = net.backward(Y.grad.numpy())
    assert_close(dX, x.grad.numpy(), 1e-14)
    assert_close(net.gradient, twin.flat("grad"), 1e-14)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("activation", SOME_ACTIVATIONS)
def test_large_scores(torch, activation, dtype):
    """Losses of large raw scores agree, where a naive softmax or logarithm overflows."""
    net = network([4, 5, 3], [activation], dtype)
    net.weights[1][:] *= 300
    twin, rng = Twin(torch, net), np.random.default_rng(6)
    X = rng.normal(size=(50, 4)).astype(dtype)
    for loss in ("cross_entropy", "binary_cross_entropy"):
        y = targets(loss, rng, 50, 3, dtype, labels=True)
        cost, gradient = net.value_and_gradient(X, y, loss=loss)
        for parameter in twin.parameters:
            parameter.grad = None
        expected = twin.cost(loss, X, y)
        expected.backward()
        assert cost == pytest.approx(expected.item(), rel=10 * TOLERANCES[dtype])
        assert_close(gradient, twin.flat("grad"), 10 * TOLERANCES[dtype])


# ---- scikit-learn, on the census of California ----


def housing():
    """Return X and y, standardised by the training rows, split 4 to 1, and the deviation of y in dollars."""
    with open(HOUSING, newline="") as file:
        records = list(csv.DictReader(file))
    numeric = [name for name in records[0] if name not in ("ocean_proximity", "median_house_value")]
    columns = np.array([[float(record[name] or "nan") for name in numeric] for record in records])
    columns = np.where(np.isnan(columns), np.nanmedian(columns, axis=0), columns)
    places = sorted({record["ocean_proximity"] for record in records})
    near = np.array([[record["ocean_proximity"] == place for place in places] for record in records])
    X = np.hstack([columns, near])
    y = np.array([float(record["median_house_value"]) for record in records])
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[: len(X) * 4 // 5], order[len(X) * 4 // 5 :]
    X = (X - X[train].mean(axis=0)) / (X[train].std(axis=0) + 1e-12)
    dollars = y[train].std()
    y = (y - y[train].mean()) / dollars
    X, y = X.astype(np.float32), y.astype(np.float32)
    return X[train], y[train], X[test], y[test], dollars


@needs_housing
@pytest.mark.filterwarnings("ignore")
def test_housing_as_well_as_scikit_learn():
    """Both train the same architecture with SGD and momentum; means of two seeds are compared."""
    neural = pytest.importorskip("sklearn.neural_network", reason="the `peers` extra is not installed")
    X, y, X_test, y_test, dollars = housing()
    hidden, epochs, batch, rate, momentum = (64, 64), 12, 64, 0.01, 0.9

    def error(predictions):
        return float(np.sqrt(np.mean((predictions.ravel() - y_test) ** 2)) * dollars)

    ours, theirs = [], []
    for seed in range(2):
        net = fp.Network([X.shape[1], *hidden, 1], activation="relu", seed=seed)
        net.fit(X, y, loss="half_mse", optimizer=fp.SGD(rate, momentum=momentum), epochs=epochs, batch_size=batch)
        ours.append(error(net(X_test)))
        peer = neural.MLPRegressor(
            hidden_layer_sizes=hidden, alpha=0.0, solver="sgd", learning_rate_init=rate, momentum=momentum,
            nesterovs_momentum=False, batch_size=batch, max_iter=epochs, tol=0.0, n_iter_no_change=epochs,
            random_state=seed,
        )  # fmt: skip
        theirs.append(error(peer.fit(X, y).predict(X_test)))
    print(f"housing, test RMSE in dollars: fastprop {np.round(ours)}, scikit-learn {np.round(theirs)}")
    assert np.mean(ours) < 1.05 * np.mean(theirs)
    assert np.mean(ours) < 0.6 * dollars, "far better than the mean, which errs by 1.0"
