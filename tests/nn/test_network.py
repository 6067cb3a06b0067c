"""Network: parameters and their views, seeds and copies, and passes over rows in any grouping."""

import copy
import json
import pickle

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

import fastprop as fp
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.initializers import INITIALIZERS

# Of sums of some hundred terms, against the largest number of the array.
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}


def assert_close(ours, twin, dtype, tolerance=None):
    ours, twin = np.asarray(ours, np.float64), np.asarray(twin, np.float64)
    assert ours.shape == twin.shape
    assert np.max(np.abs(ours - twin)) <= (tolerance or TOLERANCES[dtype]) * max(1.0, np.max(np.abs(twin)))


def network(dtype="float32", **how):
    return fp.Network([5, fp.Dense(7, "tanh"), 6, 3], dtype=dtype, seed=0, **how)


# ---- what it is made of ----


def test_attributes():
    net = fp.Network([784, fp.Dense(30, "tanh"), 128, 10], activation="sigmoid", seed=4)
    assert (net.n_inputs, net.n_outputs, net.seed) == (784, 10, 4)
    assert net.dtype == np.float32
    assert net.layers == (fp.Dense(30, "tanh"), fp.Dense(128, "sigmoid"), fp.Dense(10, "identity"))
    assert net.n_parameters == 784 * 30 + 30 + 30 * 128 + 128 + 128 * 10 + 10
    assert net.parameters.shape == net.gradient.shape == (net.n_parameters,)
    assert [w.shape for w in net.weights] == [(784, 30), (30, 128), (128, 10)]
    assert [b.shape for b in net.biases] == [(30,), (128,), (10,)]


def test_the_last_layer_given_as_dense_keeps_its_activation():
    net = fp.Network([2, 3, fp.Dense(1, "sigmoid")])
    assert [layer.activation for layer in net.layers] == ["relu", "sigmoid"]
    assert np.all(np.abs(net(np.full((4, 2), 100.0)) - 0.5) <= 0.5)


def test_a_layer_can_be_used_twice():
    layer = fp.Dense(4, "tanh")
    net = fp.Network([4, layer, layer], seed=0)
    assert not np.array_equal(net.weights[0], net.weights[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(widths=strategies.widths())
def test_layout(dtype, widths):
    """The order is W[1], b[1], W[2], b[2], ..., each W (n_in, n_out) in row-major order, as in the twin."""
    net = fp.Network(widths, dtype=dtype, seed=0)
    net.parameters[:] = np.arange(net.n_parameters)
    for (w, b), weight, bias in zip(reference.unflatten(widths, net.parameters), net.weights, net.biases):
        assert np.array_equal(weight, w) and np.array_equal(bias, b)
    assert net.parameters.dtype == net.gradient.dtype == np.dtype(dtype)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_views_write_through(k):
    net, X = network(), np.ones((2, 5))
    before = net(X)
    net.weights[k][1, 2] += 1
    assert np.count_nonzero(net.parameters != network().parameters) == 1
    after = net(X)
    assert not np.array_equal(after, before)
    net.biases[k][...] = 5
    assert np.count_nonzero(net.parameters == 5) == net.biases[k].size
    assert not np.array_equal(net(X), after)
    for view in (net.weights[k], net.biases[k]):
        assert view.flags.writeable and np.shares_memory(view, net.parameters)


def test_parameters_are_what_the_network_computes_with():
    net, other = network(), fp.Network([5, fp.Dense(7, "tanh"), 6, 3], seed=1)
    X = np.ones((2, 5))
    net.parameters[:] = other.parameters
    assert np.array_equal(net(X), other(X))


def test_assigning_parameters_reaches_the_engine():
    """`net.parameters -= rate * gradient` assigns too."""
    net, other = network(), fp.Network([5, fp.Dense(7, "tanh"), 6, 3], seed=1)
    address, X = net.parameters.ctypes.data, np.ones((2, 5))
    net.parameters = other.parameters
    assert np.array_equal(net(X), other(X))
    net.parameters -= 0.5 * other.parameters
    assert np.array_equal(net.parameters, 0.5 * other.parameters)
    net.gradient *= 2
    assert net.parameters.ctypes.data == address and np.shares_memory(net.weights[0], net.parameters)
    other.parameters[0] = 7
    assert net.parameters[0] != 7


def test_parameters_start_at_a_cache_line():
    for n in (1, 3, 5):
        net = fp.Network([n, n], dtype="float64")
        assert net.parameters.ctypes.data % 64 == net.gradient.ctypes.data % 64 == 0


# ---- seeds and initialisers ----


def test_the_same_seed_gives_the_same_network():
    assert np.array_equal(network().parameters, network().parameters)
    assert not np.array_equal(network().parameters, fp.Network([5, 7, 6, 3], seed=1).parameters)


def test_without_a_seed_a_fresh_one_is_drawn_and_kept():
    one, two = fp.Network([5, 4]), fp.Network([5, 4])
    assert one.seed != two.seed
    assert not np.array_equal(one.parameters, two.parameters)
    assert np.array_equal(one.parameters, fp.Network([5, 4], seed=one.seed).parameters)


def test_a_seed_gives_the_same_weights_in_either_dtype():
    assert np.array_equal(network().parameters, network("float64").parameters.astype(np.float32))


def test_the_global_generator_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    network().fit(np.ones((4, 5)), np.ones((4, 3)), loss="half_mse", optimizer=fp.SGD(0.1), epochs=1, batch_size=2)
    assert np.random.random() == expected  # noqa: NPY002


VARIANCES = {
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "glorot_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "glorot_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
    "siren": lambda n_in, n_out: 1 / (3 * n_in**2),  # as the first layer
}


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("n_in, n_out", [(300, 200), (20, 3000)])
def test_initializer(name, n_in, n_out):
    """60,000 draws: the mean within 4 standard errors, the variance within 2 % (3.5 standard errors of a normal's)."""
    net = fp.Network([n_in, fp.Dense(n_out, initializer=name)], dtype="float64", seed=5)
    weight, variance = net.weights[0], VARIANCES[name](n_in, n_out)
    assert abs(weight.mean()) < 4 * np.sqrt(variance / weight.size)
    assert abs(weight.var() / variance - 1) < 0.02
    assert np.all(net.biases[0] == 0)
    shares = np.mean(np.abs(weight) < np.sqrt(variance)), np.max(np.abs(weight)) / np.sqrt(variance)
    # uniform: all within the limit sqrt(3 variance), and a share of 1/sqrt(3) within one deviation
    if not name.endswith("normal"):
        assert abs(shares[0] - 0.5774) < 0.01 and 1.7 < shares[1] <= np.sqrt(3)
    else:
        assert abs(shares[0] - 0.6827) < 0.01 and shares[1] > 3.5


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_auto_is_what_the_activation_asks_for(name):
    auto = fp.Network([4, fp.Dense(3, name)], seed=0)
    asked = fp.Network([4, fp.Dense(3, name, initializer=ACTIVATIONS[name].initializer)], seed=0)
    others = [other for other in INITIALIZERS if other != ACTIVATIONS[name].initializer]
    assert np.array_equal(auto.parameters, asked.parameters)
    for other in others:
        named = fp.Network([4, fp.Dense(3, name, initializer=other)], seed=0)
        assert not np.array_equal(auto.parameters, named.parameters)
    assert ACTIVATIONS["relu"].initializer == "he_normal"


def test_siren_knows_omega_and_the_first_layer():
    how = {"activation": "sin", "dtype": "float64", "seed": 1}
    net = fp.Network([40, 300, fp.Dense(300, fp.activations.sin(omega=5)), 1], **how)
    for weight, limit in zip(net.weights, [1 / 40, np.sqrt(6 / 300) / 5]):
        assert 0.99 * limit < np.max(np.abs(weight)) <= limit
    again = fp.Network([40, 300, fp.Dense(300, "sin"), 1], **how)
    np.testing.assert_allclose(again.weights[1], net.weights[1] / 6, rtol=0, atol=1e-16)


# ---- activations with numbers ----


def test_numbers_reach_the_network():
    leaky, X = fp.activations.leaky_relu(slope=0.25), np.array([[-8.0], [8.0]])
    net = fp.Network([1, 1, fp.Dense(1, fp.activations.sin(omega=2))], activation=leaky, dtype="float64")
    net.parameters[:] = 1, 0, 1, 0
    np.testing.assert_allclose(net(X), np.sin([[-4.0], [16.0]]), rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_name_where_its_numbers_are_the_lists(name):
    activation = ACTIVATIONS[name]
    assert fp.Dense(3, activation) == fp.Dense(3, activation()) == fp.Dense(3, name)
    assert fp.Dense(3, activation(**activation.values)).activation == name
    assert activation.describe() == name and getattr(fp.activations, name) is activation


@pytest.mark.parametrize("activation", [a for a in strategies.GENTLE if not isinstance(a, str)], ids=str)
def test_an_activation_with_numbers_of_its_own(activation, tmp_path):
    usual, layer = ACTIVATIONS[activation.name], fp.Dense(3, activation)
    assert activation != usual and layer != fp.Dense(3, usual)
    assert len({layer, fp.Dense(3, activation), fp.Dense(3, usual)}) == 2
    for duplicate in (copy.deepcopy(activation), pickle.loads(pickle.dumps(activation))):
        assert duplicate == activation and repr(duplicate) == repr(activation)
    for name, value in activation.values.items():
        assert f"{name}={value!r}" in repr(activation) and f"{name}={value!r}" in repr(layer)
    net = fp.Network([2, layer, 1], seed=0)
    described = json.loads(json.dumps(net.describe()))["layers"][0]["activation"]
    assert described == {"name": usual.name, **activation.values}
    net.save(tmp_path / "net.safetensors")
    for twin in (fp.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net))):
        assert twin.layers == net.layers and equal(twin, net)


# ---- copies ----


def equal(one, two):
    return (
        one.describe() == two.describe()
        and one.parameters.tobytes() == two.parameters.tobytes()
        and one.dtype == two.dtype
        and one.layers == two.layers
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies(duplicate, dtype):
    net = network(dtype)
    net.parameters[:3] = np.nan, np.inf, -0.0
    twin = duplicate(net)
    assert equal(twin, net)
    assert not np.shares_memory(twin.parameters, net.parameters)
    twin.parameters[:] = 1
    twin.fit(np.ones((4, 5)), np.ones((4, 3)), loss="half_mse", optimizer=fp.SGD(0.01), epochs=1, batch_size=2)
    assert np.isnan(net.parameters[0]) and not np.any(net.parameters[3:] == 1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(protocol):
    assert equal(pickle.loads(pickle.dumps(network(), protocol)), network())


def test_a_subclass_stays_one():
    net = _Subclass([2, 1], seed=0)
    assert type(copy.deepcopy(net)) is _Subclass and type(_Subclass.from_description(net.describe())) is _Subclass


class _Subclass(fp.Network):
    pass


@given(widths=strategies.widths(), dtype=strategies.dtypes(), seed=strategies.seeds(), data=st.data())
def test_describe(widths, dtype, seed, data):
    layers = [
        fp.Dense(
            n, data.draw(strategies.activations()), initializer=data.draw(st.sampled_from(["auto", *INITIALIZERS]))
        )
        for n in widths[1:]
    ]
    net = fp.Network([widths[0], *layers], dtype=dtype, seed=seed)
    rebuilt = fp.Network.from_description(json.loads(json.dumps(net.describe())))
    assert rebuilt.layers == net.layers == tuple(layers)
    assert (rebuilt.n_inputs, rebuilt.dtype, rebuilt.seed) == (widths[0], np.dtype(dtype), seed)
    assert not np.any(rebuilt.parameters)


def test_repr():
    assert repr(network()) == "<Network 5-7-6-3 (tanh, relu, identity), 111 parameters, float32>"
    assert repr(fp.Dense(3, "tanh")) == "Dense(3, 'tanh')"


def test_dense_is_frozen_and_compares():
    with pytest.raises(AttributeError):
        fp.Dense(3).n_outputs = 4
    assert fp.Dense(3) == fp.Dense(np.int64(3)) != fp.Dense(3, "relu")
    assert len({fp.Dense(3), fp.Dense(3), fp.Dense(4)}) == 2


def test_save_and_load(tmp_path):
    net = network("float64")
    net.save(tmp_path / "net.safetensors")
    assert equal(fp.load(tmp_path / "net.safetensors"), net)


# ---- passes ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.exhaustive
@pytest.mark.parametrize("activation", strategies.GENTLE, ids=str)
@pytest.mark.parametrize(
    "widths, rows",
    [([1, 1, 1, 1], 1), ([3, 300, 2], 700), ([200, 129, 65, 4], 130), ([2, 16, 16, 16, 16, 1], 3000)],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else None,
)
def test_agrees_with_the_twin(widths, rows, activation, dtype):
    """Sizes beyond those that hypothesis draws in test_gradients.py: several tiles, several row blocks."""
    rng = np.random.default_rng(6)
    net = fp.Network(widths, activation=activation, dtype=dtype, seed=7)
    activations = [strategies.twin(activation)] * (len(widths) - 2) + ["identity"]
    X, y = rng.normal(size=(rows, widths[0])).astype(dtype), rng.normal(size=(rows, widths[-1])).astype(dtype)
    theta = net.parameters.astype(np.float64)
    assert_close(net(X), reference.predict(widths, activations, theta, X), dtype)
    cost, gradient = net.value_and_gradient(X, y, loss="half_mse")
    twin_cost, twin = reference.value_and_gradient(widths, activations, "half_mse", theta, X, y)
    assert_close(cost, twin_cost, dtype)
    assert_close(gradient, twin, dtype)
    z, a = reference.forward(widths, activations, theta, X)
    net.forward(X)
    dX = net.backward(y / rows)
    twin, twin_dX = reference.backward(widths, activations, theta, z, a, y.astype(np.float64) / rows)
    assert_close(dX, twin_dX, dtype)
    assert_close(net.gradient, twin, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_row_by_itself(dtype):
    net, x = network(dtype), np.arange(5.0)
    assert net(x).shape == (3,) and net(x).dtype == np.dtype(dtype)
    assert np.array_equal(net(x), net(x.reshape(1, 5))[0])
    assert np.array_equal(net([0, 1, 2, 3, 4]), net(x))
    row = x.astype(dtype)  # which the engine takes as it is
    assert np.array_equal(net.engine.try_forward(row), net(x))
    for unusable in (row[:4], np.append(row, 1), row[:, None], row * np.nan, row[::-1], row[:0], row[0]):
        assert net.engine.try_forward(unusable.astype(dtype, copy=False)) is None
    with pytest.raises(ValueError, match="is nan"):
        net(row * np.nan)


@settings(max_examples=50)
@given(
    widths=strategies.widths(), rows=strategies.rows(), dtype=strategies.dtypes(), activation=strategies.activations()
)
def test_many_rows_are_each_row(widths, rows, dtype, activation):
    net = fp.Network(widths, activation=activation, dtype=dtype, seed=8)
    X = np.random.default_rng(9).normal(size=(rows, widths[0]))
    assert_close(net(X), np.stack([net(x) for x in X]), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [511, 512, 513, 5000, 20001])
def test_more_rows_than_a_block(rows, dtype):
    """Every row is computed once, and its outputs are in its own row."""
    net = fp.Network([3, 40, 2], activation="tanh", dtype=dtype, seed=10)
    X = np.random.default_rng(11).normal(size=(rows, 3))
    parts = np.concatenate([net(X[start : start + 100]) for start in range(0, rows, 100)])
    assert_close(net(X), parts, dtype)


@settings(max_examples=50)
@given(
    widths=strategies.widths(),
    rows=st.integers(2, 3000),
    cut=st.floats(0, 1),
    loss=strategies.losses(),
    dtype=strategies.dtypes(),
    labels=st.booleans(),
)
def test_splitting_a_batch_changes_rounding_only(widths, rows, cut, loss, dtype, labels):
    widths = [*widths[:-1], strategies.outputs_for(loss, widths[-1])]
    rng = np.random.default_rng(12)
    net = fp.Network(widths, dtype=dtype, seed=13)
    X, y = rng.normal(size=(rows, widths[0])), strategies.targets(loss, rng, rows, widths[-1], labels)
    first = min(rows - 1, 1 + int(cut * (rows - 1)))
    cost, gradient = net.value_and_gradient(X, y, loss=loss)
    parts = [net.value_and_gradient(X[part], y[part], loss=loss) for part in (slice(first), slice(first, None))]
    weights = first / rows, 1 - first / rows
    # either sum of so many equal terms, added one after another, may be rows eps / 4 off
    tolerance = TOLERANCES[dtype] + 0.5 * rows * np.finfo(dtype).eps
    assert_close(cost, weights[0] * parts[0][0] + weights[1] * parts[1][0], dtype, tolerance)
    assert_close(gradient, weights[0] * parts[0][1] + weights[1] * parts[1][1], dtype, tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_and_backward_are_value_and_gradient(dtype):
    """backward with dC/dY of half_mse, a mean over rows, gives the gradient of value_and_gradient."""
    net, rng = network(dtype), np.random.default_rng(14)
    X, y = rng.normal(size=(900, 5)).astype(dtype), rng.normal(size=(900, 3)).astype(dtype)
    cost, gradient = net.value_and_gradient(X, y, loss="half_mse")
    outputs = net(X)
    Y = net.forward(X)
    assert_close(Y, outputs, dtype)
    dX = net.backward((Y - y) / 900)
    assert_close(cost, 0.5 * np.mean(np.sum((Y - y) ** 2, axis=1)), dtype)
    assert_close(net.gradient, gradient, dtype)
    assert dX.shape == X.shape and dX.dtype == np.dtype(dtype)


def test_backward_twice():
    """The forward pass stays saved, so a second backward pass does not depend on the first."""
    net, X, dY = network(), np.random.default_rng(15).normal(size=(20, 5)), np.ones((20, 3))
    net.forward(X)
    dX, gradient = net.backward(dY), net.gradient.copy()
    assert np.array_equal(net.backward(dY), dX) and np.array_equal(net.gradient, gradient)
    assert np.array_equal(net.backward(-dY), -dX) and np.array_equal(net.gradient, -gradient)
    net.backward(np.zeros((20, 3)))
    assert not np.any(net.gradient)


def test_forward_keeps_its_own_copy_of_x():
    net, X = network(), np.random.default_rng(16).normal(size=(20, 5)).astype(np.float32)
    net.forward(X)
    net.backward(np.ones((20, 3)))
    gradient = net.gradient.copy()
    net.forward(X)
    X[:] = 0
    net.backward(np.ones((20, 3)))
    assert np.array_equal(net.gradient, gradient)


def test_forward_of_fewer_rows_after_more():
    net, X, dY = network(), np.random.default_rng(17).normal(size=(50, 5)), np.ones((50, 3))
    net.forward(X)
    whole = net.backward(dY)
    for rows in (7, 50, 1, 33):
        net.forward(X[:rows])
        assert_close(net.backward(dY[:rows]), whole[:rows], "float32")


def test_value_and_gradient_gives_a_copy():
    net, X, y = network(), np.ones((4, 5)), np.ones((4, 3))
    _, gradient = net.value_and_gradient(X, y, loss="half_mse")
    assert np.array_equal(gradient, net.gradient) and not np.shares_memory(gradient, net.gradient)
    kept = gradient.copy()
    net.value_and_gradient(2 * X, y, loss="half_mse")
    assert np.array_equal(gradient, kept) and not np.array_equal(net.gradient, kept)
    gradient[:] = 0
    assert np.any(net.gradient)


def test_outputs_are_fresh_arrays():
    net, X = network(), np.ones((4, 5))
    one, kept = net(X), net(X).copy()
    net(2 * X)
    net.forward(2 * X)
    assert np.array_equal(one, kept)
    forward = net.forward(X)
    kept = forward.copy()
    net.backward(np.ones((4, 3)))
    assert np.array_equal(forward, kept)


def test_looking_changes_nothing():
    net = network()
    before = net.parameters.tobytes()
    X, y = np.ones((4, 5)), np.ones((4, 3))
    net(X), net.value_and_gradient(X, y, loss="half_mse"), net.forward(X), net.backward(y)
    fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1)).evaluate(X, y)
    assert net.parameters.tobytes() == before


def test_a_gradient_is_not_stale_where_the_cost_overflows():
    net = fp.Network([1, 1], seed=0)
    net.value_and_gradient([[1.0]], [1.0], loss="half_mse")
    stale = net.gradient.copy()
    net.parameters[:] = 3e38
    cost, gradient = net.value_and_gradient([[3e38]], [1.0], loss="half_mse")
    assert not np.isfinite(cost)
    assert not np.any(gradient == stale) and not np.any(net.gradient == stale)


def test_textbook_numbers():
    """z = 1*2 + 2*3 + 0.5 = 8.5, y = 8: dC/dz = 0.5, so dw = 0.5 x, db = 0.5."""
    net = fp.Network([2, 1], dtype="float64")
    net.parameters[:] = 1, 2, 0.5
    cost, gradient = net.value_and_gradient([[2.0, 3.0]], [8.0], loss="half_mse")
    assert net([2.0, 3.0]) == 8.5 and cost == 0.125
    assert gradient.tolist() == [1.0, 1.5, 0.5]
