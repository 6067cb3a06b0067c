"""Every kind of layer: its gradient against finite differences, its numbers against the equations, its two modes, its
errors.

The list of kinds says what is tested: one without an example here fails.
"""

import copy
import pickle

import gradcheck
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from layer_cases import EDGES, EXAMPLES, MANY, ROWS, inputs

import fastprop as fp
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.layers import AS_OPERATIONS, LAYERS
from fastprop.nn.losses import LOSSES

NETWORKS = [(kind, number) for kind, examples in EXAMPLES.items() for number in range(len(examples))]
EACH_NETWORK = pytest.mark.parametrize("kind, number", NETWORKS)


def network(kind, number, dtype="float64", **how):
    return fp.Network([3, *EXAMPLES[kind][number]], dtype=dtype, seed=number, **how)


def case_of(net, loss, training, weighted=False):
    """Return functions of a gradient and of its cost, for gradcheck."""

    def case(rng):
        net.parameters[:] = rng.normal(0, 0.6, net.n_parameters)
        X, y = inputs(net, rng), strategies.targets(loss, rng, ROWS, net.n_outputs)
        how = {"loss": loss, "training": training, "step": 5}
        if weighted:
            how["sample_weight"] = rng.uniform(0.2, 3, ROWS)

        def cost(theta):
            net.parameters[:] = theta
            return net.value_and_gradient(X, y, **how)[0]

        theta = net.parameters.copy()
        return cost, theta, net.value_and_gradient(X, y, **how)[1]

    return case


def test_every_kind_has_an_example():
    assert set(EXAMPLES) == set(LAYERS)
    for kind, examples in EXAMPLES.items():
        assert all(kind in str(fp.Network([3, *layers]).describe()) for layers in examples)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("isa")
@EACH_NETWORK
@pytest.mark.parametrize("training", [False, True])
def test_gradient(kind, number, training):
    gradcheck.check_gradient(case_of(network(kind, number), "half_mse", training), tolerance=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", LOSSES)
@EACH_NETWORK
def test_gradient_under_every_loss(kind, number, loss):
    """The gradient is right with weights and in training."""
    layers = [*EXAMPLES[kind][number], fp.Dense(2 if LOSSES[loss].outputs != 3 else 3)]
    net = fp.Network([3, *layers], dtype="float64", seed=0)
    gradcheck.check_gradient(case_of(net, loss, training=True, weighted=True), tolerance=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *AS_OPERATIONS])
@pytest.mark.parametrize("layer", [fp.Dense, fp.BatchNorm, fp.LayerNorm, fp.Scale, fp.Residual, fp.Activation])
def test_gradient_with_every_activation(layer, activation):
    if activation == "sin":  # of omega = 30 differences over 1e-3 know nothing
        activation = ACTIVATIONS["sin"](omega=1.5)
    made = {fp.Dense: lambda: fp.Dense(5, activation), fp.Residual: lambda: fp.Residual([5], activation)}
    tested = made.get(layer, lambda: layer(activation))()
    net = fp.Network([3, fp.Dense(5), tested, fp.Dense(4, "tanh"), 2], dtype="float64", seed=0)
    gradcheck.check_gradient(case_of(net, "half_mse", training=True), tolerance=1e-6)


@EACH_NETWORK
@pytest.mark.parametrize("training", [False, True])
def test_gradient_of_the_inputs(kind, number, training):
    """forward and backward give the parameters' gradient of value_and_gradient too."""
    net = network(kind, number)
    rng = np.random.default_rng(3)
    X, dY = inputs(net, rng), rng.normal(size=(ROWS, net.n_outputs))
    outputs = net.forward(X, training=training)
    dX = net.backward((outputs - dY) / ROWS)
    gradient = net.gradient.copy()
    np.testing.assert_allclose(
        gradient, net.value_and_gradient(X, dY, loss="half_mse", training=training)[1], rtol=1e-11, atol=1e-14
    )
    columns = {column for column, _ in net.layers[0].categories}
    for j in range(3):
        if j in columns:
            assert np.all(dX[:, j] == 0)  # an index has no slope
            continue
        ends = []
        for h in (1e-6, -1e-6):
            moved = X.copy()
            moved[:, j] += h
            ends.append(moved)
        costs = [net.value_and_gradient(end, dY, loss="half_mse", training=training)[0] for end in ends]
        assert np.sum(dX[:, j]) == pytest.approx((costs[0] - costs[1]) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.usefixtures("isa")
@EACH_NETWORK
def test_float32_is_near_float64(kind, number):
    wide, narrow = network(kind, number), network(kind, number, "float32")
    rng = np.random.default_rng(4)
    wide.parameters[:] = rng.normal(0, 0.5, wide.n_parameters).astype("float32")
    narrow.parameters = wide.parameters
    X, y = inputs(wide, rng, 50).astype("float32"), rng.normal(size=(50, wide.n_outputs)).astype("float32")
    for training in (False, True):
        costs, gradients = zip(
            *(net.value_and_gradient(X, y, loss="half_mse", training=training) for net in (wide, narrow))
        )
        assert costs[1] == pytest.approx(costs[0], rel=2e-5)
        np.testing.assert_allclose(gradients[1], gradients[0], atol=2e-5 * max(1, np.abs(gradients[0]).max()))


@EACH_NETWORK
def test_bits_do_not_depend_on_threads_or_the_vector(kind, number):
    """Networks are compared after a few steps of many rows, which are several slices or, with a batch norm, blocks."""
    from kernels_ctypes import exact_isas

    from fastprop._core import _engine

    before, threads, results = _engine.serving_isa(), fp.get_num_threads(), set()
    try:
        for isa in exact_isas():
            _engine.select_isa(isa)
            for count in (1, 2, 3):
                fp.set_num_threads(count)
                net = network(kind, number, "float32")
                rng = np.random.default_rng(5)
                X, y = inputs(net, rng, 25000), rng.normal(size=(25000, net.n_outputs))
                trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.01, momentum=0.9))
                for _ in range(2):
                    trainer.epoch(X, y, batch_size=12000)
                results.add((net.parameters.tobytes(), net.state.tobytes()))
    finally:
        _engine.select_isa(before)
        fp.set_num_threads(threads)
    assert len(results) == 1


@EACH_NETWORK
def test_saved_copied_and_pickled(kind, number, tmp_path):
    net = network(kind, number)
    net.state[:] += 0.25 * np.arange(net.state.size) if kind == "batch_norm" else 0
    net.save(tmp_path / "net.safetensors")
    X = inputs(net, np.random.default_rng(6))
    for again in (fp.load(tmp_path / "net.safetensors"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again.layers == net.layers
        np.testing.assert_array_equal(again(X), net(X))
        np.testing.assert_array_equal(again.state, net.state)


# ---- what each does ----


def test_dropout_leaves_what_it_should():
    net = fp.Network([200, fp.Dropout(0.25), fp.Scale()], dtype="float64", seed=1)
    X = np.ones((400, 200))
    kept = net.forward(X, training=True)
    assert set(np.unique(kept)) == {0.0, 1 / 0.75}
    assert abs(np.mean(kept == 0) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / kept.size)
    np.testing.assert_array_equal(net.forward(X, training=True), kept)  # the same step draws the same
    assert np.mean(net.forward(X, training=True, step=1) != kept) > 0.3
    np.testing.assert_array_equal(net(X), X)
    two = fp.Network([200, fp.Dropout(0.25), fp.Dropout(0.25), fp.Scale()], dtype="float64", seed=1)
    assert abs(np.mean(two.forward(X, training=True) == 0) - (1 - 0.75**2)) < 0.01  # each layer draws its own


def test_dropout_draws_anew_each_step_and_again_with_the_same_seed():
    X, y = np.ones((8, 4)), np.zeros((8, 1))

    def costs(seed):
        net = fp.Network([4, fp.Dropout(0.5), fp.Dense(1)], seed=0)
        trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(1e-9), seed=seed)
        return [trainer.step(X, y) for _ in range(6)]

    assert costs(3) == costs(3)
    assert len(set(costs(3))) > 3
    assert costs(3) != costs(4)


def test_batch_norm_follows_the_batches():
    rng = np.random.default_rng(7)
    net = fp.Network([3, fp.BatchNorm(momentum=0.25, epsilon=1e-3)], dtype="float64", seed=0)
    mean, variance = np.zeros(3), np.ones(3)
    net.parameters[:] = rng.normal(size=6)
    for _ in range(3):
        X = rng.normal(2, 3, size=(7, 3))
        got = net.forward(X, training=True)
        centred = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
        np.testing.assert_allclose(got, centred * net.weights[0] + net.biases[0], rtol=1e-12, atol=1e-12)
        mean += 0.25 * (X.mean(0) - mean)
        variance += 0.25 * (X.var(0, ddof=1) - variance)
        np.testing.assert_allclose(net.state, np.concatenate([mean, variance]), rtol=1e-12)
    X = rng.normal(size=(5, 3))
    wanted = (X - mean) / np.sqrt(variance + 1e-3) * net.weights[0] + net.biases[0]
    np.testing.assert_allclose(net(X), wanted, rtol=1e-12)
    np.testing.assert_allclose(net.state, np.concatenate([mean, variance]))  # prediction moves nothing


def test_layer_norm():
    X = np.random.default_rng(8).normal(1, 2, size=(5, 20))
    net = fp.Network([20, fp.LayerNorm(epsilon=1e-2)], dtype="float64")
    wanted = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-2)
    np.testing.assert_allclose(net(X), wanted, rtol=1e-12)


def test_residual_and_activation_by_itself():
    X = np.random.default_rng(9).normal(size=(5, 3))
    net = fp.Network([3, fp.Residual([7, 3], "tanh")], dtype="float64", seed=2)
    (w1, w2), (b1, b2) = net.weights, net.biases
    np.testing.assert_allclose(net(X), np.tanh(X + np.maximum(X @ w1 + b1, 0) @ w2 + b2), rtol=1e-13)
    together = fp.Network([3, fp.Dense(4, "tanh"), 2], seed=3)
    apart = fp.Network([3, fp.Dense(4), fp.Activation("tanh"), 2], seed=3)
    assert apart.n_parameters == together.n_parameters
    apart.parameters = together.parameters
    np.testing.assert_array_equal(apart(X), together(X))


def test_softmax_and_prelu():
    X = np.random.default_rng(10).normal(size=(5, 3))
    for name in ("softmax", "log_softmax"):
        net = fp.Network([3, fp.Dense(4, name)], dtype="float64", seed=4)
        z = X @ net.weights[0] + net.biases[0]
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        np.testing.assert_allclose(net(X), np.log(p) if name == "log_softmax" else p, rtol=1e-12)
    net = fp.Network([3, fp.Dense(4, "prelu")], dtype="float64", seed=4)
    net.weights[1][:] = [0.1, -0.5, 2.0, 0.0]
    z = X @ net.weights[0] + net.biases[0]
    np.testing.assert_allclose(net(X), np.where(z > 0, z, z * net.weights[1]), rtol=1e-13)


def test_embedding_looks_up():
    net = fp.Network([4, fp.Embedding({1: (3, 2), 3: (5, 1)}), fp.Scale()], dtype="float64", seed=5)
    X = np.array([[0.5, 2, -1, 4], [7, 0, 3, 0]])
    tables = net.weights[0][:6].reshape(3, 2), net.weights[0][6:].reshape(5, 1)
    wanted = [[0.5, -1, *tables[0][2], *tables[1][4]], [7, 3, *tables[0][0], *tables[1][0]]]
    np.testing.assert_array_equal(net(X), wanted)


def test_piecewise_linear_encodes():
    net = fp.Network([2, fp.PiecewiseLinear([[0, 1, 3], [-1, 1]]), fp.Scale()], dtype="float64")
    X = np.array([[0.5, 0], [2, 3], [-1, -2], [5, 1]])
    wanted = [[0.5, 0, 0.5], [1, 0.5, 2], [-1, 0, -0.5], [1, 2, 1]]  # the outer bins have no outer bound
    np.testing.assert_allclose(net(X), wanted)
    fp.Network([2, fp.PiecewiseLinear([[0, 1], [1, 1e9, 1e9 + 1]]), 1], dtype="float64")  # in float32 two are equal
    X = np.random.default_rng(11).normal(size=(500, 3))
    made = fp.PiecewiseLinear.of(X, bins=4)
    np.testing.assert_allclose(made.edges, np.quantile(X, [0, 0.25, 0.5, 0.75, 1], axis=0).T)


@given(
    arrays("float32", st.integers(1, 60), elements=st.one_of(st.integers(-3, 3), st.floats(-5, 5, width=32))),
    st.integers(1, 12),
)
def test_edges_of_a_column_with_ties(column, bins):
    """There are as many bins as wanted, or an edge at each distinct value; row quantiles are among the edges."""
    distinct = np.unique(column)
    if len(distinct) == 1:
        with pytest.raises(ValueError, match="constant"):
            fp.PiecewiseLinear.of(column[:, None], bins=bins)
        return
    (edges,) = fp.PiecewiseLinear.of(column[:, None], bins=bins).edges
    assert len(edges) == min(bins + 1, len(distinct)) and np.all(np.diff(np.float32(edges)) > 0)
    assert (edges[0], edges[-1]) == (distinct[0], distinct[-1])
    if len(distinct) <= bins + 1:
        np.testing.assert_array_equal(edges, distinct)
    else:
        assert set(np.float32(np.quantile(column.astype(float), np.linspace(0, 1, bins + 1)))) <= set(np.float32(edges))


def test_edges_of_a_column_of_zeros():
    """Beside many zeros, the bins are at the quantiles of the other values."""
    column = np.append(np.zeros(9200), np.arange(1.0, 801))[:, None]
    (edges,) = fp.PiecewiseLinear.of(column, bins=16).edges
    assert len(edges) == 17 and edges[0] == 0
    assert np.all(np.diff(edges[:-1]) >= 40) and np.all(np.diff(edges[:-1]) <= 60)


def test_an_encoding_that_is_not_computed():
    """A wide Dense is computed from the numbers themselves, and agrees with the product of the encoding."""
    rng = np.random.default_rng(17)
    X = 2 * rng.normal(size=(700, 3))
    numbers = fp.PiecewiseLinear(MANY[:2])
    for first, implied in (
        (fp.PiecewiseLinear(MANY), [0]),
        (fp.ByColumn([(numbers, [2, 0])]), [2]),
        (fp.ByColumn([(numbers, [2, 0]), (fp.Periodic(2), [1])]), []),  # the encoding must be the last part
        (fp.PiecewiseLinear(EDGES), []),  # with few bins the product is faster
    ):
        net = fp.Network([3, first, fp.Dense(24, "tanh"), 2], dtype="float64", seed=0)
        assert net.engine.implied == implied
        encode = fp.Network([3, first, fp.Scale()], dtype="float64")
        n_first = encode.n_parameters - encode.n_outputs  # those of the encoding
        encode.parameters[:n_first] = net.parameters[:n_first]
        dense = fp.Network([encode.n_outputs, fp.Dense(24, "tanh"), 2], dtype="float64")
        dense.parameters[:] = net.parameters[n_first:]
        encoded = encode(X)
        np.testing.assert_allclose(net(X), dense(encoded), rtol=1e-10, atol=1e-12)
        y = rng.normal(size=(700, 2))
        cost, gradient = net.value_and_gradient(X, y, loss="half_mse")
        expected = dense.value_and_gradient(encoded, y, loss="half_mse")
        assert cost == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(gradient[n_first:], expected[1], rtol=1e-9, atol=1e-12)


def test_periodic_waves():
    net = fp.Network([2, fp.Periodic(3, sigma=0.5), fp.Scale()], dtype="float64", seed=6)
    X = np.random.default_rng(12).normal(size=(4, 2))
    angle = 2 * np.pi * X[:, :, None] * net.weights[0]
    np.testing.assert_allclose(
        net(X), np.concatenate([np.cos(angle), np.sin(angle)], axis=2).reshape(4, 12), atol=1e-14
    )
    assert np.all(np.abs(net.weights[0]) <= 1.5)


def test_members_are_networks_of_their_own():
    """Each member has the shared weights times its own scales, and the cost is the mean of theirs."""
    rng = np.random.default_rng(13)
    net = fp.Network([3, 5, fp.Dense(4, "tanh"), 2], dtype="float64", seed=7, members=3)
    net.parameters[:] = rng.normal(size=net.n_parameters)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    r1, w1, s1, r2, w2, s2, w3 = net.weights
    b1, b2, b3 = (b.reshape(3, -1) for b in net.biases if b.size)
    outputs = []
    for i in range(3):
        a = np.maximum((X * r1.reshape(3, -1)[i]) @ w1 * s1.reshape(3, -1)[i] + b1[i], 0)
        a = np.tanh((a * r2.reshape(3, -1)[i]) @ w2 * s2.reshape(3, -1)[i] + b2[i])
        outputs.append(a @ w3[i] + b3[i])
    np.testing.assert_allclose(net.members(X), np.stack(outputs, axis=1), rtol=1e-12)
    np.testing.assert_allclose(net(X), np.mean(outputs, axis=0), rtol=1e-12)
    np.testing.assert_allclose(net(X[0]), np.mean(outputs, axis=0)[0], rtol=1e-12)
    cost, _gradient = net.value_and_gradient(X, y, loss="half_mse")
    assert cost == pytest.approx(np.mean([np.sum((a - y) ** 2, axis=1) / 2 for a in outputs]), rel=1e-12)
    gradcheck.check_gradient(case_of(net, "half_mse", training=False), tolerance=1e-6)
    fresh = fp.Network([3, 5, 2], seed=8, members=16)
    assert set(np.unique(fresh.weights[0])) == {-1.0, 1.0}
    assert np.all(fresh.weights[2] == 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_members_take_every_loss(loss):
    outputs = 3 if LOSSES[loss].outputs == 3 else 2
    net = fp.Network([3, fp.Dense(5, "tanh"), fp.Dropout(0.1), outputs], dtype="float64", seed=9, members=4)
    gradcheck.check_gradient(case_of(net, loss, training=True, weighted=True), tolerance=1e-6)


def test_members_back_through_the_mean():
    rng = np.random.default_rng(14)
    net = fp.Network([3, fp.Dense(5, "tanh"), 2], dtype="float64", seed=10, members=4)
    X, dY = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))

    def case(_):
        net.forward(X)
        return lambda x: float(np.sum(dY * net(x))), X, net.backward(dY)

    gradcheck.check_gradient(case)


# ---- more than the gradient ----


def test_jacobian():
    net = network("batch_norm", 1)
    X = np.random.default_rng(15).normal(size=(4, 3))
    J = net.jacobian(X)
    assert J.shape == (4, 4, 3)
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-6
        np.testing.assert_allclose(J[:, :, k], (net(X + step) - net(X - step)) / 2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_per_example_gradients(loss):
    rng = np.random.default_rng(16)
    net = fp.Network([3, fp.Dense(5, "tanh"), 3 if LOSSES[loss].outputs == 3 else 2], dtype="float64", seed=11)
    X, y = rng.normal(size=(6, 3)), strategies.targets(loss, rng, 6, net.n_outputs)
    each = net.per_example_gradients(X, y, loss=loss)
    _cost, gradient = net.value_and_gradient(X, y, loss=loss)
    np.testing.assert_allclose(each.mean(axis=0), gradient, atol=1e-14)
    np.testing.assert_allclose(each[2], net.value_and_gradient(X[2:3], y[2:3], loss=loss)[1], rtol=1e-14)


def test_hessian_vector_product():
    rng = np.random.default_rng(17)
    net = fp.Network([3, fp.Dense(4, "tanh"), fp.Dense(4, "relu"), 2], seed=12)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    basis = np.eye(net.n_parameters)
    hessian = np.stack([net.hessian_vector_product(X, y, v, loss="half_mse") for v in basis])
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-8 * np.abs(hessian).max())
    v = rng.normal(size=net.n_parameters)
    np.testing.assert_allclose(net.hessian_vector_product(X, y, v, loss="half_mse"), hessian @ v, rtol=1e-6, atol=1e-8)
    assert np.all(net.hessian_vector_product(X, y, 0 * v, loss="half_mse") == 0)
    linear = fp.Network([2, 1], dtype="float64", seed=0)  # whose Hessian is X^T X / rows
    X, y = rng.normal(size=(9, 2)), rng.normal(size=(9, 1))
    X1 = np.column_stack([X, np.ones(9)])
    np.testing.assert_allclose(
        linear.hessian_vector_product(X, y, [1, 2, 3], loss="half_mse"), X1.T @ X1 @ [1, 2, 3] / 9, rtol=1e-9
    )
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        linear.hessian_vector_product(X, y, [1, 2], loss="half_mse")


# ---- errors ----


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: fp.Dropout(1), "below 1, got 1"),
        (lambda: fp.Dropout(-0.1), "at least 0"),
        (lambda: fp.BatchNorm(momentum=0), "above 0"),
        (lambda: fp.BatchNorm(momentum=2), r"in \(0, 1\]"),
        (lambda: fp.LayerNorm(epsilon=0), "above 0"),
        (lambda: fp.Dense(3, max_norm=0), "above 0"),
        (lambda: fp.Dense(3, "softmux"), "did you mean 'softmax'"),
        (lambda: fp.Residual([]), "at least one layer"),
        (lambda: fp.Network([3, fp.Residual([4])]), "3 in and 4 out"),
        (lambda: fp.Network([3, 4, fp.Embedding({0: (2, 1)}), 1]), "must be the first layer"),
        (lambda: fp.Residual([fp.Embedding({0: (2, 1)})]), "cannot be inside"),
        (lambda: fp.Network([3, 4, fp.Dropout(0.5)]), "must not be the last"),
        (lambda: fp.Network([3, fp.Embedding({3: (2, 1)}), 1]), "columns 0 to 2"),
        (lambda: fp.Embedding({}), "at least one column"),
        (lambda: fp.Embedding({0: 5}), r"\{column: \(categories, width\)\}"),
        (lambda: fp.Embedding([(0, 2, 1), (0, 3, 1)]), "twice"),
        (lambda: fp.PiecewiseLinear([[0, 0]]), "increase"),
        (lambda: fp.PiecewiseLinear([]), "edges of each column"),
        (lambda: fp.PiecewiseLinear.of(np.ones((5, 2))), "constant"),
        (lambda: fp.PiecewiseLinear([[0, 1]], linear=True), "use width=8"),
        (
            lambda: fp.Network([2, fp.PiecewiseLinear([[0, 1], [1, 1e9, 1e9 + 1]]), 1]),
            r"edges 1000000000.0 and 1000000001.0, which are equal in float32",
        ),
        (lambda: fp.Network([3, fp.PiecewiseLinear([[0, 1]]), 1]), "1 columns, but there are 3"),
        (lambda: fp.Periodic(sigma=0), "above 0"),
        (lambda: fp.ByColumn([]), "at least one part"),
        (lambda: fp.ByColumn([(fp.Periodic(), [])]), "has no columns"),
        (lambda: fp.ByColumn([(fp.Periodic(), [0, 1, 0])]), "column 0, which part 1 has"),
        (lambda: fp.ByColumn([(fp.Periodic(), [0]), (fp.Embedding({0: (2, 1)}), [0])]), "column 0, which part 1 has"),
        (lambda: fp.ByColumn([(fp.Periodic(), [-1])]), "at least 0"),
        (lambda: fp.ByColumn([(fp.PiecewiseLinear([[0, 1]]), [2, 3])]), r"its columns \[2, 3\], which .*: .*of 1"),
        (lambda: fp.ByColumn([(fp.Embedding({4: (2, 1)}), [4])]), "reads column 4, but there are 1"),
        (lambda: fp.Network([3, fp.ByColumn([(fp.Periodic(), [3])]), 1]), "columns 0 to 2"),
        (lambda: fp.Network([3, 4, fp.ByColumn([(fp.Periodic(), [3])]), 1]), "must be the first layer"),
        (lambda: fp.Network([3, 4, 1], members=0), "members must be a positive int"),
        (lambda: fp.Network([3, 4, fp.LayerNorm(), 1], members=2), "got LayerNorm"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError if "column: " not in message else TypeError, match=message):
        make()


@pytest.mark.parametrize(
    "parts",
    [
        fp.Periodic(),
        [fp.Periodic()],
        (fp.Periodic(), [0]),
        [(fp.Periodic(), 0)],
        [(fp.Periodic(), ["age"])],
        [(fp.Periodic(), [0.5])],
        [(fp.Dense(3), [0])],
        [("periodic", [0])],
        [(fp.ByColumn([(fp.Periodic(), [0])]), [0])],
    ],
)
def test_parts_of_by_column_that_are_none(parts):
    with pytest.raises(TypeError, match=r"part 1 of ByColumn must be"):
        fp.ByColumn(parts)


@pytest.mark.parametrize("bad", [3, -1, 0.5])
@pytest.mark.parametrize(
    "layer", [fp.Embedding({1: (3, 4)}), fp.ByColumn([(fp.Periodic(2), [0]), (fp.Embedding({1: (3, 4)}), [2, 1])])]
)
def test_an_index_out_of_range_is_refused_at_every_door(layer, bad):
    net = fp.Network([3, layer, 1], seed=0)
    X, y = np.zeros((5, 3), "float32"), np.zeros((5, 1), "float32")
    X[2, 1] = bad
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1))
    before = net.parameters.copy()
    for call in (
        lambda: net(X),
        lambda: net.forward(X),
        lambda: trainer.step(X, y),
        lambda: trainer.epoch(X, y, batch_size=5),
        lambda: net.value_and_gradient(X, y, loss="half_mse"),
    ):
        with pytest.raises(ValueError, match=r"\[2, 1\] is .*category in \[0, 3\)"):
            call()
    np.testing.assert_array_equal(net.parameters, before)
