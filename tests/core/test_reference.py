"""The twin, compared with finite differences, closed forms and numbers computed by hand."""

import math
import re
from pathlib import Path

import gradcheck
import numpy as np
import pytest
import reference
from reference_activations import activation, sigmoid, with_other_numbers

GENTLE = pytest.mark.parametrize(
    "given", [with_other_numbers(name) for name in reference.ACTIVATIONS], ids=list(reference.ACTIVATIONS)
)
KERNELS_DEF = Path(__file__).parents[2] / "src_c" / "kernels.def"


def draw_target(loss, rng, rows, n_out):
    """Return targets: rows of probabilities, which suit most losses, any numbers for regression, classes for hinges."""
    if loss in ("half_mse", "squared_error"):
        return rng.normal(size=(rows, n_out))
    if loss == "binary_hinge":
        return rng.choice([-1.0, 1.0], size=(rows, n_out))
    return rng.dirichlet(np.ones(n_out // 2 if loss == "gaussian_nll" else n_out), size=rows)


@GENTLE
def test_activation_derivative(given):
    g, derivative = activation(given)

    def case(rng):
        z = rng.normal(0.0, 2.0, size=12)
        z = np.where(np.arange(12) < 8, np.abs(z), z)  # half of a ReLU would be zero
        return lambda z: float(np.sum(g(z))), z, derivative(z, g(z))

    gradcheck.check_gradient(case)


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_loss_derivative(loss):
    def case(rng):
        a, y = 2.0 * rng.normal(size=(3, 4)), draw_target(loss, rng, 3, 4)
        da = reference.LOSSES[loss](a, y)[1]
        return lambda a: float(np.sum(reference.LOSSES[loss](a, y)[0])), a, da

    gradcheck.check_gradient(case)


# Each activation below each loss adds nothing: both have their derivatives tested above, and what joins them is a
# product that knows neither.
NETWORKS = [
    *((given, "half_mse", 3) for given in map(with_other_numbers, reference.ACTIVATIONS)),
    *(("tanh", loss, depth) for loss in reference.LOSSES for depth in (1, 3)),
]


@pytest.mark.parametrize("given, loss, depth", NETWORKS, ids=str)
def test_network_gradient(given, loss, depth):
    widths = [3] + [4] * (depth - 1) + [4]
    activations = [given] * (depth - 1) + ["identity"]

    def case(rng):
        theta = rng.normal(0.0, 0.7, reference.n_parameters(widths))
        x, y = rng.normal(size=(5, 3)), draw_target(loss, rng, 5, 4)

        def both(theta):
            return reference.value_and_gradient(widths, activations, loss, theta, x, y)

        return lambda theta: both(theta)[0], theta, both(theta)[1]

    gradcheck.check_gradient(case)


@GENTLE
def test_input_gradient(given):
    widths, activations = [4, 5, 3], [given, given]

    def case(rng):
        theta = rng.normal(0.0, 0.7, reference.n_parameters(widths))
        x, da = rng.normal(size=(3, 4)), rng.normal(size=(3, 3))
        z, a = reference.forward(widths, activations, theta, x)
        _, dx = reference.backward(widths, activations, theta, z, a, da)
        return lambda x: float(np.sum(da * reference.predict(widths, activations, theta, x))), x, dx

    gradcheck.check_gradient(case)


# numbers computed by hand


@pytest.mark.parametrize(
    ("name", "z", "a", "derivative"),
    [
        ("identity", -3.0, -3.0, 1.0),
        ("relu", -3.0, 0.0, 0.0),
        ("relu", 0.0, 0.0, 0.0),
        ("relu", 3.0, 3.0, 1.0),
        ("sigmoid", 0.0, 0.5, 0.25),
        ("sigmoid", math.log(3.0), 0.75, 0.1875),
        ("sigmoid", -800.0, 0.0, 0.0),
        ("sigmoid", 800.0, 1.0, 0.0),
        ("tanh", 0.0, 0.0, 1.0),
        ("tanh", 0.5 * math.log(3.0), 0.5, 0.75),
        ("leaky_relu", -2.0, -0.02, 0.01),
        (("leaky_relu", 0.5), -2.0, -1.0, 0.5),
        ("leaky_relu", 3.0, 3.0, 1.0),
        ("sin", 0.0, 0.0, 30.0),
        (("sin", 2.0), math.pi / 12, 0.5, math.sqrt(3.0)),
        ("elu", math.log(0.5), -0.5, 0.5),
        (("elu", 3.0), math.log(0.5), -1.5, 1.5),
        ("selu", 2.0, 2.1014019747, 1.0507009874),
        ("selu", math.log(0.5), -0.8790496704, 0.8790496704),
        (("celu", 2.0), 2 * math.log(0.5), -1.0, 0.5),
        ("gelu", 0.0, 0.0, 0.5),
        ("gelu", 1.0, 0.8413447461, 1.0833154706),
        ("gelu_tanh", 1.0, 0.8411919906, 1.0829640838),
        ("silu", math.log(3.0), 0.75 * math.log(3.0), 0.75 + 0.1875 * math.log(3.0)),
        ("mish", 0.0, 0.0, 0.6),
        ("mish", math.log(2.0), 0.8 * math.log(2.0), 0.8 + 0.24 * math.log(2.0)),
        ("softplus", math.log(3.0), math.log(4.0), 0.75),
        (("softplus", 2.0), 0.5 * math.log(3.0), math.log(2.0), 0.75),
        ("softsign", -3.0, -0.75, 0.0625),
        ("hard_sigmoid", 1.0, 2 / 3, 1 / 6),
        ("hard_sigmoid", -3.5, 0.0, 0.0),
        ("hard_tanh", 0.25, 0.25, 1.0),
        (("hard_tanh", -0.5, 2.0), -1.0, -0.5, 0.0),
        ("relu6", 7.0, 6.0, 0.0),
        ("hard_swish", 1.5, 1.125, 1.0),
        ("hard_swish", -3.0, 0.0, 0.0),
        ("hard_swish", 4.0, 4.0, 1.0),
        ("log_sigmoid", math.log(3.0), math.log(0.75), 0.25),
        ("gaussian", 1.0, math.exp(-1.0), -2 * math.exp(-1.0)),
    ],
)
def test_activation_by_hand(name, z, a, derivative):
    g, g_derivative = activation(name)
    z = np.array([z])
    np.testing.assert_allclose(g(z), [a], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(g_derivative(z, g(z)), [derivative], rtol=1e-9, atol=1e-15)


def test_sigmoid_keeps_its_digits_in_the_tail():
    z = np.array([-700.0, -40.0])
    np.testing.assert_allclose(sigmoid(z), np.exp(z) / (1.0 + np.exp(z)), rtol=1e-13)


@pytest.mark.parametrize(
    ("loss", "a", "y", "row_loss", "da"),
    [
        ("half_mse", [1.0, 5.0], [3.0, 2.0], 6.5, [-2.0, 3.0]),
        ("squared_error", [1.0, 5.0], [3.0, 2.0], 13.0, [-4.0, 6.0]),
        ("cross_entropy", [0.0, math.log(3.0)], [1.0, 0.0], math.log(4.0), [-0.75, 0.75]),
        ("cross_entropy", [0.0, 0.0], [0.5, 0.5], math.log(2.0), [0.0, 0.0]),
        ("cross_entropy", [1000.0, 0.0], [0.0, 1.0], 1000.0, [1.0, -1.0]),
        ("binary_cross_entropy", [0.0, math.log(3.0)], [1.0, 0.0], math.log(8.0), [-0.5, 0.75]),
        ("binary_cross_entropy", [-1000.0, 1000.0], [1.0, 1.0], 1000.0, [-1.0, 0.0]),
        ("mse", [1.0, 5.0], [3.0, 2.0], 6.5, [-2.0, 3.0]),
        ("mae", [1.0, 5.0, 2.0], [3.0, 2.0, 2.0], 5.0, [-1.0, 1.0, 0.0]),
        ("huber", [1.0, 5.0], [1.5, 2.0], 2.625, [-0.5, 1.0]),
        ("log_cosh", [math.log(2.0)], [0.0], math.log(1.25), [0.6]),
        ("quantile", [1.0, 5.0], [3.0, 2.0], 2.5, [-0.5, 0.5]),
        ("poisson", [math.log(3.0)], [2.0], 3.0 - 2.0 * math.log(3.0), [1.0]),
        ("gamma", [math.log(2.0)], [4.0], 2.0 * (1.0 - math.log(2.0)), [-2.0]),
        ("tweedie", [math.log(4.0)], [1.0], 2.0, [3.0]),
        ("gaussian_nll", [1.0, math.log(4.0)], [3.0], math.log(2.0) + 0.5, [-0.5, 0.0]),
        ("kl_divergence", [0.0, math.log(3.0)], [0.25, 0.75], 0.0, [0.0, 0.0]),
        ("kl_divergence", [0.0, math.log(3.0)], [1.0, 0.0], math.log(4.0), [-0.75, 0.75]),
        ("focal", [0.0, 0.0], [1.0, 0.0], math.log(2.0) / 4.0, [-(1 + 2 * math.log(2)) / 8, (1 + 2 * math.log(2)) / 8]),
        ("hinge", [1.0, 1.5, 0.0], [1.0, 0.0, 0.0], 1.5, [-1.0, 1.0, 0.0]),
        ("hinge", [3.0, 1.5], [1.0, 0.0], 0.0, [0.0, 0.0]),
        ("binary_focal", [0.0], [1.0], math.log(2.0) / 4.0, [-(1 + 2 * math.log(2.0)) / 8]),
        ("binary_hinge", [0.5, -2.0], [-1.0, -1.0], 1.5, [1.0, 0.0]),
    ],
)
def test_loss_by_hand(loss, a, y, row_loss, da):
    losses, gradient = reference.LOSSES[loss](np.array([a]), np.array([y]))
    np.testing.assert_allclose(losses, [row_loss], rtol=1e-15)
    np.testing.assert_allclose(gradient, [da], rtol=1e-15, atol=1e-15)


def test_labels_are_one_hot_rows_and_a_single_output_takes_one_value_per_row():
    one_hot = reference.targets("cross_entropy", [2, 0], (2, 3))
    np.testing.assert_array_equal(one_hot, [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(reference.targets("half_mse", [2, 5], (2, 1)), [[2.0], [5.0]])


def test_cost_is_the_mean_over_rows_of_the_sum_over_outputs():
    a, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2))
    cost, da = reference.cost_and_output_gradient("squared_error", a, y)
    assert cost == (1 + 4 + 9 + 16) / 2
    np.testing.assert_array_equal(da, [[1.0, 2.0], [3.0, 4.0]])


def test_two_layers_by_hand():
    """z1 = (1*1 + 2*0 + 0, 1*0 - 2*1 + 1) = (1, -1), a1 = (1, 0), a2 = 3*1 + 5*0 + 1 = 4."""
    theta = np.array([1.0, 0.0, 0.0, -1.0, 0.0, 1.0, 3.0, 5.0, 1.0])
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    cost, gradient = reference.value_and_gradient(
        (2, 2, 1), ("relu", "identity"), "half_mse", theta, x, y
    )
    assert cost == 4.5  # (4 - 1)^2 / 2
    np.testing.assert_array_equal(gradient, [9, 0, 18, 0, 9, 0, 3, 0, 3])


def test_theta_is_laid_out_as_promised():
    theta = np.arange(float(reference.n_parameters((2, 3, 1))))
    (w1, b1), (w2, b2) = reference.unflatten((2, 3, 1), theta)
    np.testing.assert_array_equal(w1, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(b1, [6, 7, 8])
    np.testing.assert_array_equal(w2, [[9], [10], [11]])
    np.testing.assert_array_equal(b2, [12])
    b2[0] = -1.0
    assert theta[12] == -1.0


# optimisers


def test_momentum_by_hand():
    """With gradient 1 the velocity is 1, 1 + mu, 1 + mu + mu^2; Nesterov is a factor ahead."""
    theta, velocity = np.zeros(1), np.zeros(1)
    for expected in (1.0, 1.5, 1.75):
        before = theta
        theta, velocity = reference.sgd(theta, velocity, np.ones(1), 0.1, momentum=0.5)
        np.testing.assert_allclose((before - theta) / 0.1, [expected], rtol=1e-12)
    zero, one = np.zeros(1), np.ones(1)
    theta, _ = reference.sgd(zero, zero, one, 0.1, momentum=0.5, nesterov=True)
    np.testing.assert_allclose(theta, [-0.15], rtol=1e-15)


def test_weight_decay_by_hand():
    theta, _ = reference.sgd(np.array([2.0]), np.zeros(1), np.array([1.0]), 0.1, weight_decay=0.5)
    np.testing.assert_allclose(theta, [2.0 - 0.1 * (1.0 + 0.5 * 2.0)], rtol=1e-15)


def test_momentum_on_a_quadratic_follows_its_recurrence():
    """For the cost c t^2 / 2, momentum SGD is t[k+1] = (1 + mu - rate c) t[k] - mu t[k-1]."""
    c, rate, mu = 3.0, 0.1, 0.9
    theta, velocity, path = np.array([1.0]), np.zeros(1), [1.0]
    for _ in range(20):
        theta, velocity = reference.sgd(theta, velocity, c * theta, rate, mu)
        path.append(theta[0])
    for older, old, new in zip(path, path[1:], path[2:], strict=False):
        assert new == pytest.approx((1 + mu - rate * c) * old - mu * older, abs=1e-14)


def test_training_descends():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3))
    y = np.sin(x.sum(axis=1))
    theta = rng.normal(0.0, 0.5, reference.n_parameters((3, 8, 1)))
    _, costs = reference.train(
        (3, 8, 1), ("tanh", "identity"), "half_mse", theta, [(x, y)] * 200, 0.1, momentum=0.9
    )
    assert costs[-1] < 0.05 * costs[0]


# the kernels' twins


def names_in_kernels_def(kind):
    return re.findall(rf"^FP_{kind}\((\w+)", KERNELS_DEF.read_text(), flags=re.MULTILINE)


def test_every_kernel_has_a_twin():
    activations = names_in_kernels_def("ACTIVATION")
    assert list(reference.ACTIVATIONS) == activations
    assert list(reference.LOSSES) == names_in_kernels_def("LOSS")
    wanted = set(reference.LOSSES)
    wanted |= set(names_in_kernels_def("KERNEL")) | set(names_in_kernels_def("OPTIMIZER"))
    wanted |= {f"{name}_{way}" for name in activations for way in ("forward", "backward")}
    assert set(reference.KERNELS) == wanted


@GENTLE
def test_dense_kernels_make_up_the_network(given):
    """forward, loss, backward and gather from kernels alone give the network's numbers."""
    rng = np.random.default_rng(1)
    widths, activations = (3, 4, 2), (given, "identity")
    theta = rng.normal(size=reference.n_parameters(widths))
    (w1, b1), (w2, b2) = reference.unflatten(widths, theta)
    data, y, index = rng.normal(size=(9, 3)), rng.normal(size=(5, 2)), np.array([8, 0, 3, 3, 1])
    kernels = reference.KERNELS

    x = kernels["gather"](data, index)
    a1, slope = kernels["dense_forward"](x, w1, b1, given)
    a2, _ = kernels["dense_forward"](a1, w2, b2, "identity")
    cost, dz2 = kernels["half_mse"](a2, y, None, None, 1.0 / len(x))
    dw2, db2 = kernels["dense_weight_gradient"](a1, dz2)
    dz1 = kernels["dense_input_gradient"](dz2, w2, a1 if slope is None else slope, given)
    dw1, db1 = kernels["dense_weight_gradient"](x, dz1)

    expected_cost, expected = reference.value_and_gradient(
        widths, activations, "half_mse", theta, data[index], y
    )
    assert cost / len(x) == pytest.approx(expected_cost, rel=1e-14)
    gradient = np.concatenate([part.ravel() for part in (dw1, db1, dw2, db2)])
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("index", [None, np.array([3, 3, 0])], ids=["all rows", "some rows"])
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])
def test_fused_small_network_is_both_passes(loss, index):
    rng = np.random.default_rng(3)
    widths, activations = (2, 3, 2), ("tanh", "identity")
    theta, x = rng.normal(size=reference.n_parameters(widths)), rng.normal(size=(5, 2))
    y, label = rng.normal(size=(5, 2)), None
    if loss == "cross_entropy":
        y, label = None, rng.integers(2, size=5)
    rows = np.arange(5) if index is None else index
    cost, gradient = reference.KERNELS["fused_small_network"](
        theta, x, y, label, index, widths, activations, loss, 1.0 / len(rows)
    )
    expected_cost, expected = reference.value_and_gradient(
        widths, activations, loss, theta, x[rows], (label if y is None else y)[rows]
    )
    assert cost / len(rows) == pytest.approx(expected_cost, rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-15)


def test_weight_gradient_accumulates():
    rng = np.random.default_rng(2)
    x, dz = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    kernel = reference.KERNELS["dense_weight_gradient"]
    halves = kernel(x[3:], dz[3:], *kernel(x[:3], dz[:3]))
    for half, whole in zip(halves, kernel(x, dz), strict=True):
        np.testing.assert_allclose(half, whole, rtol=1e-13)


def test_cross_entropy_kernel_takes_labels_or_rows():
    a, label = np.array([[0.5, -1.0, 2.0], [1.0, 1.0, 1.0]]), np.array([2, 0])
    by_label = reference.KERNELS["cross_entropy"](a, label=label, scale=0.5)
    by_row = reference.KERNELS["cross_entropy"](a, np.eye(3)[label], scale=0.5)
    assert by_label[0] == by_row[0]
    np.testing.assert_array_equal(by_label[1], by_row[1])


def test_all_finite_kernel():
    for bad in (np.nan, np.inf, -np.inf):
        assert reference.KERNELS["all_finite"](np.array([1.0, bad])) == 0
    assert reference.KERNELS["all_finite"](np.zeros(0)) == 1


def test_sgd_kernel_without_momentum_has_no_state():
    theta, state = reference.KERNELS["sgd"](np.ones(2), None, np.ones(2), 0.1, (0.5, 0.0, 0.0, 0.0))
    assert state is None
    np.testing.assert_allclose(theta, [0.85, 0.85])
