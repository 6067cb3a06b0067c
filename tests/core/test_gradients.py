"""The engine's gradients against finite differences, and all its numbers against the twin.

Everything runs on every ISA and over the package's own lists: a new activation or loss is tested by
existing, and a new one without a twin in tests/reference/reference.py fails here.
"""

import gradcheck
import numpy as np
import pytest
import reference
import strategies
from hypothesis import HealthCheck, given, settings

import fastprop as fp
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.losses import LOSSES

pytestmark = [pytest.mark.usefixtures("isa"), pytest.mark.exhaustive]

DEPTHS = (1, 2, 3, 4)
DIFFERENT = ("identity", "relu", "tanh", "gelu")  # the activations that the engine treats in different ways
EACH_DEPTH = pytest.mark.parametrize(
    ("activation", "depth"),
    [(a, d) for a in strategies.GENTLE for d in (DEPTHS if str(a) in DIFFERENT else (1, 3))],
    ids=str,
)
EACH_ACTIVATION = pytest.mark.parametrize("activation", strategies.GENTLE, ids=str)
ROWS = 6


SOME_LOSSES = ("half_mse", "cross_entropy", "binary_cross_entropy", "gaussian_nll")


def widths_of(depth, loss="half_mse"):
    """Return widths with 3 inputs and 3 outputs (4 for a loss of pairs), and different numbers in between."""
    return [*[3, 5, 4, 5][:depth], strategies.outputs_for(loss, 3)]


def network(widths, activations, dtype="float64", rng=None):
    """Return a network with these activations, and parameters and biases drawn by `rng`."""
    layers = [fp.Dense(n, name) for n, name in zip(widths[1:], activations, strict=True)]
    net = fp.Network([widths[0], *layers], dtype=dtype, seed=0)
    if rng is not None:
        scale = np.repeat(
            [1.0 / np.sqrt(n) for n in widths[:-1]],
            [(n + 1) * m for n, m in zip(widths, widths[1:], strict=False)],
        )
        net.parameters[:] = rng.normal(0.0, scale)
    return net


def cost_at(net, X, y, loss, weight=None):
    """Return the cost as a function of the parameters."""

    def cost(theta):
        net.parameters[:] = theta
        return net.value_and_gradient(X, y, loss=loss, sample_weight=weight)[0]

    return cost


def check(widths, activations, loss, labels=False, weighted=False):
    def case(rng):
        net = network(widths, activations, rng=rng)
        X = rng.normal(size=(ROWS, widths[0]))
        y = strategies.targets(loss, rng, ROWS, widths[-1], labels)
        weight = rng.uniform(0.5, 2.0, ROWS) if weighted else None
        theta = net.parameters.copy()
        gradient = net.value_and_gradient(X, y, loss=loss, sample_weight=weight)[1]
        return cost_at(net, X, y, loss, weight), theta, gradient

    gradcheck.check_gradient(case)


@pytest.mark.parametrize("loss", LOSSES)
@EACH_ACTIVATION
def test_gradient(activation, loss):
    """The usual case: the last layer is linear."""
    check(widths_of(2, loss), [activation, "identity"], loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", DIFFERENT)
def test_gradient_with_weights(activation, loss):
    check(widths_of(2, loss), [activation, "identity"], loss, weighted=True)


@pytest.mark.parametrize("loss", SOME_LOSSES)
@EACH_DEPTH
def test_gradient_with_an_activation_on_the_output(activation, loss, depth):
    check(widths_of(depth, loss), [activation] * (depth - 1) + [strategies.last(activation, loss)], loss)


@EACH_ACTIVATION
@pytest.mark.parametrize(
    "loss", [name for name, loss in LOSSES.items() if loss.targets == "classes"]
)
def test_gradient_with_labels(activation, loss):
    check([3, 5, 4], [activation, "identity"], loss, labels=True)


@EACH_ACTIVATION
def test_gradient_wider_than_a_vector(activation):
    """19 columns fill two AVX-512 registers of float64 and part of a third."""
    check([9, 19, 2], [activation, "identity"], "half_mse")


@EACH_DEPTH
def test_backward_of_a_loss_of_ones_own(activation, depth):
    """For C = sum dY * Y, backward returns dC/dX and leaves dC/dtheta in net.gradient."""
    widths, activations = widths_of(depth), [activation] * depth

    def draw(rng):
        net = network(widths, activations, rng=rng)
        X, dY = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 3))
        net.forward(X)
        return net, X, dY, net.backward(dY)

    def case_of_inputs(rng):
        net, X, dY, dX = draw(rng)
        return lambda X: float(np.sum(dY * net(X))), X, dX

    def case_of_parameters(rng):
        net, X, dY, _ = draw(rng)

        def loss(theta):
            net.parameters[:] = theta
            return float(np.sum(dY * net(X)))

        return loss, net.parameters.copy(), net.gradient.copy()

    gradcheck.check_gradient(case_of_inputs)
    gradcheck.check_gradient(case_of_parameters)


def test_a_wrong_engine_would_be_caught():
    """The check used here refuses a gradient with one element off by 1e-6."""

    def case(rng):
        net = network([3, 5, 2], ["tanh", "identity"], rng=rng)
        X, y = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2))
        theta = net.parameters.copy()
        gradient = net.value_and_gradient(X, y, loss="half_mse")[1]
        gradient[np.argmax(np.abs(gradient))] *= 1.000001
        return cost_at(net, X, y, "half_mse"), theta, gradient

    with pytest.raises(AssertionError, match="relative error"):
        gradcheck.check_gradient(case)


# Sums of up to 70 products in float32 and up to 4 layers: 1e-5 is about 80 units of the last place.
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}


def assert_close(ours, twin, dtype):
    """Compare by norm, since an element that cancels to almost zero has the error of its terms."""
    difference = np.max(np.abs(np.asarray(ours, np.float64) - twin), initial=0.0)
    assert difference <= TOLERANCES[dtype] * max(1.0, np.max(np.abs(twin), initial=0.0))


# The ISA is the same for all examples of a test, and a busy machine is no error.
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    widths=strategies.widths(),
    rows=strategies.rows(),
    activation=strategies.activations(),
    output_activation=strategies.activations(),
    loss=strategies.losses(),
    dtype=strategies.dtypes(),
    layout=strategies.layouts(),
    seed=strategies.seeds(),
)
def test_engine_agrees_with_the_twin(
    widths, rows, activation, output_activation, loss, dtype, layout, seed
):
    """Outputs, cost, gradient and dX agree with the twin for any shape, activations, loss and memory layout."""
    widths = [*widths[:-1], strategies.outputs_for(loss, widths[-1])]
    rng = np.random.default_rng(seed)
    activations = [activation] * (len(widths) - 2) + [strategies.last(output_activation, loss)]
    net = network(widths, activations, dtype, rng)
    activations = [strategies.twin(activation) for activation in activations]
    theta = net.parameters.astype(np.float64)
    X = rng.normal(size=(rows, widths[0])).astype(dtype)
    y = strategies.targets(loss, rng, rows, widths[-1], labels=bool(seed % 2))
    y = y.astype(dtype if y.dtype.kind == "f" else y.dtype)
    lay = strategies.LAYOUTS[layout]

    z, a = reference.forward(widths, activations, theta, X)
    outputs = net(lay(X))
    assert_close(outputs, a[-1], dtype)
    assert outputs.dtype == dtype
    assert outputs.flags.c_contiguous

    cost, gradient = net.value_and_gradient(lay(X), lay(y), loss=loss)
    twin_cost, twin_gradient = reference.value_and_gradient(widths, activations, loss, theta, X, y)
    assert_close(cost, twin_cost, dtype)
    assert_close(gradient, twin_gradient, dtype)

    dY = rng.normal(size=outputs.shape).astype(dtype)
    net.forward(lay(X))
    dX = net.backward(lay(dY))
    twin_gradient, twin_dX = reference.backward(
        widths, activations, theta, z, a, dY.astype(np.float64)
    )
    assert_close(dX, twin_dX, dtype)
    assert_close(net.gradient, twin_gradient, dtype)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])  # rows of targets, and labels
@pytest.mark.parametrize(
    ("widths", "rows"),
    [((6, 40, 30, 3), 513), ((6, 40, 30, 3), 3000), ((20, 330, 330, 2), 600)],
    ids=str,
)
def test_more_rows_than_the_cache_holds(widths, rows, loss, dtype):
    """The engine processes many rows in blocks and adds the gradients of the blocks; the cost is one mean."""
    rng = np.random.default_rng(rows)
    activations = ["relu", "tanh", "identity"]
    net = network(widths, activations, dtype, rng)
    theta = net.parameters.astype(np.float64)
    X = rng.normal(size=(rows, widths[0])).astype(dtype)
    y = strategies.targets(loss, rng, rows, widths[-1], labels=True)
    cost, gradient = net.value_and_gradient(X, y, loss=loss)
    twin_cost, twin_gradient = reference.value_and_gradient(widths, activations, loss, theta, X, y)
    assert_close(cost, twin_cost, dtype)
    assert_close(gradient, twin_gradient, dtype)
    assert_close(net(X), reference.predict(widths, activations, theta, X), dtype)


@pytest.mark.parametrize("name", ["activation", "loss"])
def test_everything_in_the_lists_has_a_twin(name):
    ours, twin = {
        "activation": (ACTIVATIONS, reference.ACTIVATIONS),
        "loss": (LOSSES, reference.LOSSES),
    }[name]
    assert list(ours) == list(twin), f"add the new {name} to tests/reference/reference.py"
