"""Explanations: sums over paths against the engine, finite differences, the complex step and PyTorch."""

import itertools
import re
from math import fsum

import bridge_cases
import numpy as np
import pytest
import reference
import reference_losses
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import inputs

import fastprop as fp
from fastprop.explain import numpy_ops
from fastprop.nn import activations, formulas
from fastprop.nn.losses import LOSSES

ALL = 10**6  # more paths than any network here has
SOME = 300  # enough for most kinds of layers; a softmax has paths by the thousand
ROWS = 3


def random_network(rng, widths, chosen, loss, rows=ROWS, dtype="float64"):
    """Return a network with the chosen activations, its data and its trace; the last activation suits the loss."""
    chosen = [*chosen[: len(widths) - 2], strategies.last(chosen[len(widths) - 2], loss)]
    layers = [fp.Dense(n, activation) for n, activation in zip(widths[1:], chosen)]
    net = fp.Network([widths[0], *layers], dtype=dtype, seed=0)
    net.parameters[:] = rng.normal(0, 0.6, net.n_parameters)
    X, y = rng.normal(size=(rows, widths[0])), strategies.targets(loss, rng, rows, widths[-1], labels=True)
    return net, X, y, fp.trace(net, X, y, loss=loss)


def name_of(rng, net):
    """Return the name of a random parameter, and its index in the flat gradient."""
    flat = int(rng.integers(net.n_parameters))
    start = 0
    for k, (w, b) in enumerate(zip(net.weights, net.biases), start=1):
        for letter, values in (("W", w), ("b", b)):
            if flat < start + values.size:
                place = np.unravel_index(flat - start, values.shape)
                return f"{letter}{k}[{','.join(map(str, place))}]", flat
            start += values.size
    raise AssertionError


def assert_adds_up(e, tolerance=1e-12):
    """The products of all paths add up to the engine's gradient, relative to the sum of their magnitudes."""
    assert (e.n_rest == 0 and e.rest == 0) or len(e.paths) == SOME
    size = fsum(abs(path.product) for path in e.paths)
    for total in (fsum([*(path.product for path in e.paths), e.rest]), e.total):
        assert abs(total - e.gradient) <= tolerance * size, (e.quantity, total, e.gradient)
    sizes = [abs(path.product) for path in e.paths]
    assert sizes == sorted(sizes, reverse=True) or np.allclose(sizes, sorted(sizes, reverse=True), rtol=1e-12, atol=0)
    assert len({path.nodes for path in e.paths}) == len(e.paths)
    for path in e.paths:
        assert path.nodes[0] == e.node and str(path.nodes[-1]) == e.symbol[1]
        assert path.product == pytest.approx(np.prod([edge.derivative for edge in path.edges]), rel=1e-15)


def assert_agrees(e, tolerance=1e-9):
    """The complex step and finite differences, which are less exact, agree with the sum over paths."""
    size = max(fsum(abs(path.product) for path in e.paths), abs(e.gradient), 1e-8)
    # the last term: a sum that is 0, of numbers about 1
    assert abs(e.complex_step - e.gradient) <= tolerance * size + 1e-15, (e.quantity, e.complex_step, e.gradient)
    if e.finite_difference is not None:
        within = 1e-6 * max(size, abs(e.trace.cost)) + 1e-9
        assert abs(e.finite_difference - e.gradient) <= within, (e, e.finite_difference)


@given(
    depth=st.integers(1, 5), activations=st.lists(strategies.activations(), min_size=5, max_size=5),
    loss=strategies.losses(), seed=strategies.seeds(),
)  # fmt: skip
@settings(max_examples=300, derandomize=True)
def test_the_paths_add_up_to_the_gradient(depth, activations, loss, seed):
    rng = np.random.default_rng(seed)
    widths = [*rng.integers(1, 4, size=depth), strategies.outputs_for(loss, int(rng.integers(1, 4)))]
    net, _, _, t = random_network(rng, [int(n) for n in widths], activations, loss)
    name, flat = name_of(rng, net)
    e = t.explain(name, paths=ALL)
    assert e.gradient == t.gradient[flat]
    assert_adds_up(e)
    assert_agrees(e)
    k, row = int(rng.integers(depth)), int(rng.integers(ROWS))
    for letter in ("x", f"z{k + 1}", f"a{k + 1}"):
        n = widths[0] if letter == "x" else widths[k + 1]
        e = t.explain(f"{letter}[{rng.integers(n)}]", row=row, paths=ALL)
        assert_adds_up(e)
        assert_agrees(e)


@pytest.mark.parametrize("activation, loss", list(zip(strategies.GENTLE, itertools.cycle(LOSSES))), ids=str)
def test_each_activation_and_each_loss(activation, loss):
    rng = np.random.default_rng(0)
    net, _, _, t = random_network(rng, [2, 3, 2, strategies.outputs_for(loss, 2)], [activation] * 3, loss)
    for _ in range(2):
        e = t.explain(name_of(rng, net)[0], paths=ALL)
        assert_adds_up(e)
        assert_agrees(e)


@pytest.mark.exhaustive
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
def test_every_kind_of_layer(name, training):
    net = bridge_cases.network(name, "float64")
    rng = np.random.default_rng(5)
    X, y = inputs(net, rng, ROWS), rng.normal(size=(ROWS, net.n_outputs))
    X[0, 0] = 0.0 if net.layers[0].kind != "periodic" else 1.0  # so that an element's dropout mask cannot be inferred
    t = fp.trace(net, X, y, loss="half_mse", training=training, sample_weight=[2, 0, 1])
    tied = [layer.number for layer in t.layers if layer.operation.kind == "batch_norm" and training]
    for layer in t.layers:
        for letter in "Wbza":
            values = getattr(layer, letter)
            if values is None:
                continue
            places = np.argwhere(np.ones(values.shape[letter in "za" :]))
            place = places[rng.integers(len(places))]
            quantity = f"{letter}{layer.number}[{','.join(map(str, place))}]"
            row = 2 if letter in "za" else None
            if any(number > layer.number or (number == layer.number and letter in "Wb") for number in tied):
                with pytest.raises(ValueError, match="is a BatchNorm in training"):
                    t.explain(quantity, row=row)
                continue
            e = t.explain(quantity, row=row, paths=SOME)
            assert_adds_up(e, 1e-11)  # the derivative of a normalisation has some hundred roundings
            assert_agrees(e)
    if not tied and net.layers[0].kind != "embedding":  # a category has no derivative
        e = t.explain("x[0]", row=0, paths=SOME)
        assert_adds_up(e, 1e-11)
        assert_agrees(e)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_largest_paths_and_the_rest(n):
    rng = np.random.default_rng(1)
    *_, t = random_network(rng, [3, 4, 5, 3], ["tanh", "gelu", "identity"], "cross_entropy")
    whole, some = t.explain("W1[2,1]", paths=ALL), t.explain("W1[2,1]", paths=n)
    assert len(whole.paths) == ROWS * 5 * 3
    assert [path.nodes for path in some.paths] == [path.nodes for path in whole.paths[:n]]
    assert some.n_rest == len(whole.paths) - n
    assert some.rest == pytest.approx(fsum(path.product for path in whole.paths[n:]), rel=1e-11)
    assert fsum([some.rest, *(path.product for path in some.paths)]) == pytest.approx(some.gradient, rel=1e-12)


def test_a_large_network_is_explained():
    net = fp.Network([784, 128, 64, 10], seed=0)
    rng = np.random.default_rng(0)
    t = fp.trace(net, rng.normal(size=(16, 784)), rng.integers(10, size=16), loss="cross_entropy")
    e = t.explain("W1[300,7]", paths=3)
    assert len(e.paths) == 3 and e.n_rest == 16 * 64 * 10 - 3
    assert e.total == pytest.approx(e.gradient, rel=1e-4)  # the engine's gradient is float32
    e = t.explain("x[20]", row=3, paths=3)
    assert e.n_rest == 128 * 64 * 10 - 3
    assert e.total == pytest.approx(e.gradient, rel=1e-4)


def test_where_a_gradient_dies():
    net = fp.Network([1, 2, 1], dtype="float64", seed=0)
    net.weights[0][:], net.biases[0][:], net.weights[1][:] = [[1.0, -1.0]], 0, 1
    e = fp.trace(net, [[2.0]], [0.0], loss="half_mse").explain("W1[0,1]")
    assert e.total == e.gradient == e.complex_step == e.finite_difference == 0
    (path,) = e.paths
    assert {str(edge.target): edge.derivative for edge in path.edges} == {
        "z1[1]": 2, "a1[1]": 0, "z2[0]": 1, "a2[0]": 1, "L": 2,
    }  # fmt: skip


def test_a_corner_has_no_difference():
    net = fp.Network([1, 1], dtype="float64", seed=0)
    net.weights[0][:] = 1
    e = fp.trace(net, [[2.0]], [2.0], loss="mae").explain("b1[0]")
    assert e.finite_difference is None and "none, the cost has a corner here" in str(e)


# ---- what it says ----


@pytest.fixture
def trace():
    net = fp.Network([2, fp.Dense(2, "tanh"), 1], dtype="float64", seed=0)
    return fp.trace(net, [[0.5, 1.0], [1.0, 2.0]], [1.0, 0.0], loss="half_mse")


def test_as_text(trace):
    e = trace.explain("W1[0,1]")
    lines = str(e).splitlines()
    assert lines[0].startswith("dC/dW1[0,1] = ")
    assert lines[2] == "W1[0,1] -> z1[1] -> a1[1] -> z2[0] -> a2[0] -> L -> C   (row 0)"
    shown = [line.split("=")[0].strip() for line in lines[3:9]]
    assert shown == ["dz1[1]/dW1[0,1]", "da1[1]/dz1[1]", "dz2[0]/da1[1]", "da2[0]/dz2[0]", "dL/da2[0]", "dC/dL"]
    formulas = [line.split("=")[1].strip() for line in lines[3:9]]
    assert formulas == ["x[0]", "1 - a^2", "W2[1,0]", "1", "a - y", "1/2"]
    engine = next(line for line in lines if line.startswith("the engine's gradient"))
    assert float(engine.split(":")[1]) == pytest.approx(trace.layers[0].dW[0, 1], rel=1e-9)
    assert "complex step" in lines[-1] and repr(e).startswith("<dC/dW1[0,1] = ")
    of_row = str(trace.explain("x[1]", row=1, paths=1))
    assert of_row.startswith("dL/dx[1] = ") and "the other 1 path together: " in of_row and "-> C" not in of_row


def test_as_latex(trace):
    latex = trace.explain("W1[0,1]").latex()
    assert latex.startswith(r"\begin{aligned} \frac{\partial C}{\partial W_{1,01}} &= ")
    assert r"\underbrace{\frac{\partial z_{2,0}}{\partial a_{1,1}}}_{W_{2,10} = " in latex
    assert r"\text{1 - a\^{}2}" in latex
    assert latex.count("{") == latex.count("}") and not re.search(r"[^\\][#%]", latex)
    assert trace.explain("W1[0,1]")._repr_latex_() == f"$${latex}$$"


def test_a_quantity_may_have_spaces(trace):
    assert trace.explain(" W2[ 1, 0 ] ").quantity == "W2[1,0]"


@pytest.mark.parametrize(
    "quantity, message",
    [
        ("W2[0,3]", r"W2 has shape \(2, 1\), got the place \[0, 3\]"),
        ("W1[0]", r"W1 has shape \(2, 2\), got the place \[0\]"),
        ("z0[0]", "layers are 1 to 2"),
        ("b3[0]", "layers are 1 to 2"),
        ("z1[0]", r"a number of one row, and the trace has 2; say which"),
        ("<script>", "there is no quantity '<script>'; use for example"),
        ("x1[0]", "there is no quantity"),
        (7, "there is no quantity 7"),
    ],
)
def test_wrong_quantities(trace, quantity, message):
    with pytest.raises(ValueError, match=message):
        trace.explain(quantity)


def test_other_wrong_arguments(trace):
    with pytest.raises(ValueError, match="row must be in"):
        trace.explain("x[0]", row=2)
    with pytest.raises(ValueError, match="paths"):
        trace.explain("W1[0,0]", paths=0)
    net = fp.Network([2, fp.Dense(3, bias=False), fp.Dropout(0.5), 1], seed=0)
    t = fp.trace(net, [[1, 2]], [1], loss="half_mse")
    with pytest.raises(ValueError, match=r"layer 1 \(dense\) has no b"):
        t.explain("b1[0]")
    with pytest.raises(ValueError, match=r"layer 2 \(dropout\) has no W"):
        t.explain("W2[0,0]")


# ---- the formulas in NumPy ----


@pytest.mark.parametrize("activation", strategies.GENTLE, ids=str)
def test_formulas_of_activations(activation):
    """Value, slope by its own formula, and slope by the complex step agree with the twin, also far out and at 0."""
    z = np.append(np.linspace(-9, 9, 181) + 0.01, [0.0, -800.0, 800.0])
    (name, *numbers), parsed = strategies.twin(activation), activations.parse(activation)
    found = numpy_ops.activate(parsed, z + 1e-20j)
    g, derivative = reference.activation((name, *numbers))
    a = g(z)
    np.testing.assert_allclose(found.real, a, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found.imag / 1e-20, derivative(z, a), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(numpy_ops.activate(parsed, z, a=a), derivative(z, a), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_focal", "log_cosh", "half_mse"])
def test_losses_are_smooth_at_0(loss):
    y = np.array([[1.0], [0.0]]) if loss.startswith("binary") else np.zeros((2, 1))
    found = numpy_ops.row_losses(LOSSES[loss], np.zeros((2, 1)) + 1e-20j, y).imag / 1e-20
    np.testing.assert_allclose(found[:, None], reference_losses.LOSSES[loss](np.zeros((2, 1)), y)[1], rtol=1e-14)


WITH_OTHERS = [
    fp.losses.huber(delta=0.3), fp.losses.quantile(levels=(0.1, 0.5, 0.9)), fp.losses.tweedie(power=1.2),
    fp.losses.cross_entropy(label_smoothing=0.1), fp.losses.focal(gamma=1.5, alpha=0.25),
    fp.losses.binary_focal(gamma=1.5, alpha=0.25),
]  # fmt: skip


@pytest.mark.parametrize("loss", [*LOSSES.values(), *WITH_OTHERS], ids=str)
def test_formulas_of_losses(loss):
    """The loss of each row, and its slope by its own formula, agree with the twin."""
    rng = np.random.default_rng(0)
    n_targets = 3
    a, y = rng.normal(0, 2, size=(50, n_targets * loss.outputs)), strategies.targets(loss.name, rng, 50, n_targets)
    if LOSSES[loss.name].outputs > 1:
        y = rng.normal(size=(50, n_targets))
    wanted, slope = reference_losses.LOSSES[loss.name](a, reference_losses.targets(loss.name, y, a.shape), *loss.hyper)
    np.testing.assert_allclose(numpy_ops.row_losses(loss, a, y), wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(numpy_ops.loss_slope(loss, a, y), slope, rtol=1e-11, atol=1e-13)


def test_a_formula_that_nobody_understands_says_so():
    names = {"z": np.zeros(3)}
    for formula in ("z if z else 0", "z & 1", "nonsense(z)", "z + y", "z.real"):
        with pytest.raises(ValueError, match="formula cannot have|has no function nonsense"):
            formulas.evaluate(formula, numpy_ops.NumPy(), names)


# ---- PyTorch ----


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(25))
def test_autograd_says_the_same(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 6))
    widths = [int(n) for n in rng.integers(2, 5, size=depth + 1)]
    chosen = [strategies.GENTLE[i] for i in rng.integers(len(strategies.GENTLE), size=depth)]
    net = random_network(rng, widths, chosen, "cross_entropy")[0]
    X, labels = rng.normal(size=(ROWS, widths[0])), rng.integers(widths[-1], size=ROWS)
    t = fp.trace(net, X, labels, loss="cross_entropy")
    module = net.to_torch().double()
    x = torch.tensor(X, requires_grad=True)
    torch.nn.functional.cross_entropy(module(x), torch.tensor(labels)).backward()
    linear = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    name, _ = name_of(rng, net)
    k, place = int(re.search(r"\d+", name)[0]) - 1, tuple(map(int, name[name.index("[") + 1 : -1].split(",")))
    autograd = linear[k].weight.grad.T if name[0] == "W" else linear[k].bias.grad
    tolerance = 1e-9 if "hard_sigmoid" not in map(str, chosen) else 1e-7  # PyTorch's has its 1/6 in float32
    size = float(autograd.abs().max())
    assert t.explain(name, paths=ALL).total == pytest.approx(float(autograd[place]), rel=tolerance, abs=1e-12 * size)
    row, i = int(rng.integers(ROWS)), int(rng.integers(widths[0]))
    e = t.explain(f"x[{i}]", row=row, paths=1)
    assert e.total / ROWS == pytest.approx(float(x.grad[row, i]), rel=tolerance, abs=1e-12)
