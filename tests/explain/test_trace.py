"""Traces have the engine's bits, and every number has its name."""

import copy
import pickle
import re

import bridge_cases
import numpy as np
import pytest
import reference
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import inputs

import fastprop as fp
from fastprop.explain.html import page as trace_page
from fastprop.nn.losses import LOSSES

ROWS = 7


def example(name="dense 0", loss="half_mse", dtype="float64", **how):
    """Return a network of bridge_cases, X, y and the trace."""
    net = bridge_cases.network(name, dtype)
    rng = np.random.default_rng(3)
    X, y = inputs(net, rng, ROWS), strategies.targets(loss, rng, ROWS, net.n_outputs)
    return net, X, y, fp.trace(net, X, y, loss=loss, **how)


def small(*, dtype="float64", **how):
    net = fp.Network([2, fp.Dense(3, "tanh"), 1], dtype=dtype, seed=0)
    net.biases[0][:] = 0.1, 0.2, 0.3
    X, y = [[0.5, -1.0], [1.5, 2.0]], [0.25, -0.5]
    return net, X, y, fp.trace(net, X, y, loss="half_mse", **how)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", strategies.DTYPES)
@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
def test_it_has_the_bits_of_the_gradient(name, dtype, training):
    net, X, y, t = example(name, dtype=dtype, training=training, step=4)
    before = copy.copy(net)
    cost, gradient = before.value_and_gradient(X, y, loss="half_mse", training=training, step=4)
    assert t.cost == cost
    np.testing.assert_array_equal(t.gradient, gradient)
    if not training:
        outputs = t.layers[-1].a.reshape(ROWS, net.n_members, -1)
        np.testing.assert_array_equal(outputs, net.members(X) if net.n_members > 1 else net(X)[:, None])
    assert np.sum(t.scale[:, None] * t.losses) == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize("loss, label", [("half_mse", False), ("cross_entropy", False), ("cross_entropy", True)])
def test_one_row_by_itself(loss, label):
    """One row is traced as the network takes it."""
    rng = np.random.default_rng(0)
    net = fp.Network([4, 5, 3], seed=0)
    X, y = rng.normal(size=(6, 4)), strategies.targets(loss, rng, 6, 3, labels=label)
    for row in (X[2], X[2].tolist(), X[2].astype(np.float32)):
        one = fp.trace(net, row, y[2], loss=loss)
        assert one.cost == fp.trace(net, X[2:3], y[2:3], loss=loss).cost and one.x.shape == (1, 4)
        assert fp.trace(net, row, y[2], loss=loss, sample_weight=3.0).sample_weight == [3.0]
    single = fp.Network([1, 1], seed=0)
    assert fp.trace(single, [0.5], 0.25, loss="mse").cost == fp.trace(single, [0.5], [0.25], loss="mse").cost
    for wrong in (X[2, :3], [[1.0], [2.0, 3.0]]):
        with pytest.raises(ValueError, match="X must"):
            fp.trace(net, wrong, y[2], loss=loss)
    trainer = fp.Trainer(net, loss=loss)
    for use in (
        lambda x, y: net.value_and_gradient(x, y, loss=loss), trainer.step, trainer.epoch, trainer.evaluate,
        lambda x, y: net.fit(x, y, loss=loss),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"reshape\(1, -1\) if it is one row"):
            use(X[2], y[2])
        if label:
            with pytest.raises(ValueError, match=r"of one row by itself it is \[yb?\]"):
                use(X[2:3], y[2])


@given(
    widths=strategies.widths(5, 12), rows=strategies.rows(20), activation=strategies.activations(),
    loss=strategies.losses(), dtype=strategies.dtypes(), weighted=st.booleans(), seed=strategies.seeds(),
)  # fmt: skip
@settings(max_examples=60)
def test_any_network(widths, rows, activation, loss, dtype, weighted, seed):
    rng = np.random.default_rng(seed)
    widths = [*widths[:-1], strategies.outputs_for(loss, widths[-1])]
    net = fp.Network([widths[0], *(fp.Dense(n, activation) for n in widths[1:-1]), widths[-1]], dtype=dtype, seed=1)
    X, y = rng.normal(size=(rows, widths[0])), strategies.targets(loss, rng, rows, widths[-1], labels=True)
    weight = rng.uniform(0.5, 2, rows) if weighted else None
    t = fp.trace(net, X, y, loss=loss, sample_weight=weight)
    cost, gradient = net.value_and_gradient(X, y, loss=loss, sample_weight=weight)
    assert t.cost == cost
    np.testing.assert_array_equal(t.gradient, gradient)


def test_the_equations_hold():
    net, _, _, t = small()
    below, y = np.array([[0.5, -1.0], [1.5, 2.0]]), np.array([[0.25], [-0.5]])
    for layer, W, b in zip(t.layers, net.weights, net.biases):
        np.testing.assert_array_equal(layer.x, below)
        np.testing.assert_allclose(layer.z, below @ W + b, rtol=1e-14)
        np.testing.assert_allclose(layer.dW, below.T @ layer.dz, rtol=1e-14)
        np.testing.assert_allclose(layer.db, layer.dz.sum(axis=0), rtol=1e-14)
        np.testing.assert_array_equal(layer.dz, layer.da * layer.slope)
        below = layer.a
    first, last = t.layers
    np.testing.assert_allclose(first.slope, 1 - np.tanh(first.z) ** 2, rtol=1e-14)
    np.testing.assert_allclose(last.da, (last.a - y) / 2, rtol=1e-14)
    np.testing.assert_allclose(first.da, last.dz @ net.weights[1].T, rtol=1e-14)
    np.testing.assert_allclose(t.dx, first.dz @ net.weights[0].T, rtol=1e-14)
    np.testing.assert_allclose(t.losses, (last.a - y) ** 2 / 2, rtol=1e-14)


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh"])
def test_a_dropout_has_its_own_numbers(activation):
    """The engine may compute an operation in place of the one before it, which the trace does not show."""
    net = fp.Network([3, fp.Dense(8, activation), fp.Dropout(0.5), 2], dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    t = fp.trace(net, rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), loss="half_mse", training=True)
    first, dropout, last = t.layers
    factor = np.where(dropout.a == 0, np.where(first.da == 0, 0, 2), 2)  # 1 / (1 - rate), or dropped
    assert set(np.unique(factor)) == {0, 2}
    np.testing.assert_array_equal(dropout.a, first.a * factor)
    np.testing.assert_array_equal(dropout.z, dropout.a)
    np.testing.assert_array_equal(dropout.da, dropout.dz)
    np.testing.assert_allclose(dropout.da, last.dz @ net.weights[1].T, rtol=1e-14)
    np.testing.assert_array_equal(first.da, dropout.dz * factor)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_of_rows(loss):
    rng = np.random.default_rng(0)
    n = strategies.outputs_for(loss, 3)
    net = fp.Network([4, n], dtype="float64", seed=0)
    X, y = rng.normal(size=(5, 4)), strategies.targets(loss, rng, 5, n)
    rows, _ = reference.LOSSES[loss](net(X), reference.targets(loss, y, (5, n)))
    np.testing.assert_allclose(fp.trace(net, X, y, loss=loss).losses[:, 0], rows, rtol=1e-12)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["dense 0", "dropout 1", "batch_norm 1", "members, plain"])
def test_the_gradients_of_rows(name, training):
    net, X, y, t = example(name, training=training, sample_weight=np.arange(ROWS))
    share = np.arange(ROWS) / sum(range(ROWS))
    np.testing.assert_allclose(share @ t.per_example, t.gradient, rtol=1e-11, atol=1e-13)
    for row in (0, 3):
        one = t.of_row(row)
        np.testing.assert_allclose(one.gradient, t.per_example[row], rtol=1e-12, atol=1e-14)
        assert one.cost == pytest.approx(t.losses[row].mean(), rel=1e-12)
        one.of_row(row)
        alone = net.value_and_gradient(X[[row]], y[[row]], loss="half_mse")[1]
        if not training:
            np.testing.assert_allclose(one.gradient, alone, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("training", [False, True])
def test_the_network_stays_as_it_is_and_so_does_the_trace(training):
    net = bridge_cases.network("batch_norm 1", "float64")
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 4))
    net.gradient[:] = 7
    theta, state = net.parameters.copy(), net.state.copy()
    t = fp.trace(net, X, y, loss="half_mse", training=training)
    assert np.all(net.gradient == 7)
    np.testing.assert_array_equal(net.parameters, theta)
    np.testing.assert_array_equal(net.state, state)
    each = fp.trace(net, X, y, loss="half_mse", training=training).per_example
    X[:], y[:], net.parameters[:], net.state[:] = 0, 0, 0, 5  # those of the trace are its own
    np.testing.assert_array_equal(t.per_example, each)
    np.testing.assert_array_equal(t.network.state, state)


def test_as_a_tree():
    _, _, _, t = small()
    tree = t.tree()
    assert tree["cost"] == t.cost
    assert tree["row 1"]["loss"] == t.losses[1, 0]
    assert tree["row 1"]["layer 1"]["z"]["z1[2]"] == t.layers[0].z[1, 2]
    assert tree["row 0"]["layer 2"]["da"]["a2[0]"] == t.layers[1].da[0, 0]
    assert tree["row 0"]["dx"]["x[1]"] == t.dx[0, 1]
    assert tree["dW1"]["W1[1,2]"] == t.layers[0].dW[1, 2]

    def leaves(branch):
        return [leaf for each in branch.values() for leaf in (leaves(each) if isinstance(each, dict) else [each])]

    assert {type(leaf) for leaf in leaves(tree)} == {float}
    # the cost; of a row its loss, x, dx and five numbers of each unit; of a parameter its value and derivative
    assert len(leaves(tree)) == 1 + 2 * (1 + 2 + 2 + 5 * 4) + 2 * 13


def test_as_a_table():
    _, _, _, t = small(dtype="float32")
    lines = str(t).splitlines()
    assert lines[0].startswith("Trace of <Network 2-3-1 (tanh, identity), 13 parameters, float32>, 2 rows, prediction")
    (z,) = [line for line in lines if line.startswith("layer 1: dense tanh")]
    assert lines[lines.index(z) + 1].split() == ["b1", "3", "0.1", "0.2", "0.3"]
    assert lines[-2].split() == ["cost", "C", f"{t.cost:.6g}"]
    assert "cost" in repr(t) and repr(t.layers[0]) == "<layer 1: dense tanh, 2 in, 3 out, 2 rows>"
    wide = fp.trace(fp.Network([3, 9, 2], seed=0), np.ones((4, 3)), [0, 1, 0, 1], loss="cross_entropy")
    assert max(map(len, str(wide).splitlines())) < 120  # a terminal's width or so: long arrays are not listed


@pytest.mark.parametrize("members", [1, 3])
def test_derivatives_name_what_is_derived(members):
    """Those of one row cannot be taken for those of the mean over rows."""
    net = fp.Network([2, 3, 1], members=members, seed=0)
    X, y = [[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]], [1.0, 0.0, 2.0]
    t = fp.trace(net, X, y, loss="half_mse")
    last = str(t).splitlines()[-1]
    assert "dC/da2" in str(t) and "dL/d" not in str(t)
    assert "mean of L over 3 rows" in last
    assert ("3 members" in last) == (members == 3)
    weighted = fp.trace(net, X, y, loss="half_mse", sample_weight=[1, 2, 3])
    assert "weighted mean of L over 3 rows" in str(weighted)
    of_row = t.of_row(2)
    one = fp.trace(net, X[2:], y[2:], loss="half_mse")
    if members == 1:
        assert all("dL/dW1" in str(each) and "dC/d" not in str(each) for each in (of_row, one))
        assert str(of_row).endswith("L is the loss of row 2.") and str(one).endswith("L is the loss of the row.")
    else:
        assert "mean of L over row 2 and 3 members" in str(of_row)


def test_rich_draws_it():
    console = pytest.importorskip("rich.console")
    _, _, _, t = small()
    drawn = console.Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    drawn.print(t)
    text = drawn.export_text()
    drawn.file.close()
    assert "layer 1: dense tanh" in text and "g'(z1)" in text and "[2, 3]" not in text


def test_wrong_arguments():
    net, X, y, t = small()
    with pytest.raises(TypeError, match=r"got the function <lambda>; use"):
        fp.trace(net, X, y, loss=lambda Y, y: (0.0, Y))
    with pytest.raises(TypeError, match="takes a fastprop.Network, got int"):
        fp.trace(3, X, y, loss="half_mse")
    with pytest.raises(ValueError, match=r"row must be in \[0, 2\), got 2"):
        t.of_row(2)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is nan"):
        fp.trace(net, [[np.nan, 1]], [1], loss="half_mse")
    with pytest.raises(ValueError, match="weight"):
        fp.trace(net, X, y, loss="half_mse", sample_weight=[-1, 1])


def test_no_loop_over_rows_or_units(python_calls):
    """Kernels and NumPy do the work: a trace of 64 rows makes as many Python calls as one of two."""

    def calls(rows, n_in):
        net = fp.Network([n_in, 128, 10], seed=0)
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(rows, n_in)), rng.integers(10, size=rows)
        fp.trace(net, X, y, loss="cross_entropy")
        return python_calls(lambda: fp.trace(net, X, y, loss="cross_entropy"))

    assert calls(2, 5) == calls(64, 784)


def test_rows_have_the_numbers_that_they_have_for_the_user():
    net = fp.Network([2, 3, 1], activation="tanh", seed=0)
    X, y = np.arange(20.0).reshape(10, 2) / 20, np.ones((10, 1))
    whole, part = (net.trace(X[k:], y[k:], loss="half_mse", first_row=k) for k in (0, 3))
    found = [t.explain("x[0]", row=4) for t in (whole, part)]
    assert found[0].total == found[1].total and found[1].row == 4
    of_cost = part.explain("W1[0,0]")
    for shown in (str(of_cost), of_cost.svg(), of_cost.latex(), of_cost._repr_html_()):
        assert "row 3" in shown and "row 0" not in shown
    for drawing in (part.graph(), pickle.loads(pickle.dumps(part)).graph(row=3)):
        assert "of row 3" in str(drawing) and "row 0" not in str(drawing)
    with pytest.raises(ValueError, match=r"row must be in \[3, 10\), got 0"):
        part.explain("x[0]", row=0)
    with pytest.raises(ValueError, match=r"say which, as explain\('x\[0\]', row=3\)"):
        part.explain("x[0]")


def test_zero_has_no_sign():
    """Where a network has the number -0, or one that is rounded to it, people read 0."""
    net = fp.Network([2, 2, 1], activation="relu", seed=0)
    net.parameters = np.full(net.n_parameters, -0.0)
    t = net.trace([[-0.0, 1.0], [2.0, -0.0]], [[0.0], [-0.0]], loss="half_mse")
    e = t.explain("W2[0,0]", row=0)
    page = trace_page(t)
    texts = [str(t), repr(t), str(e), repr(e), e.latex()]
    drawn = [e.svg(), e._repr_html_(), str(t.graph()), page.partition("<script")[0]]
    for words in (*texts, *(re.sub(r"<style>.*?</style>|<[^>]*>", " ", each, flags=re.S) for each in drawn)):
        assert re.search(r"(?<![\w.])-0(\.0*)?(?![\w.])", words) is None
