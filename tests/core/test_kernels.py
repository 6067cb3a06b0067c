"""Every kernel of the list, in every table, agrees with its NumPy twin, and reads and writes only what it may.

The tests follow from the list: a kernel without a twin in reference.py or without cases in kernel_cases.py fails.
"""

import kernel_cases
import numpy as np
import pytest
import reference
import reference_activations
from cases_activations import ACTIVATIONS, SAVES_SLOPE, hyper_of, usual
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kernel_cases import Drawer, wide
from kernels_ctypes import GUARD, Guarded, Same, exact_isas, kernels_of, parse

from fastprop._core import _engine
from fastprop.nn.losses import LOSSES

pytestmark = pytest.mark.exhaustive

SIGNATURES = [(name, kind) for name, kind, _ in _engine.signatures()]
EACH_KERNEL = pytest.mark.parametrize("name, kind", SIGNATURES, ids=[name for name, _ in SIGNATURES])
OF_CLASSES = [name for name, loss in LOSSES.items() if loss.targets == "classes"]

# rows adjacent and aligned to 64 bytes; rows an odd distance apart, and everything one element off
LAYOUTS = [{"padding": 0, "offset": 0}, {"padding": 3, "offset": 1}]


def assert_close(case, got):
    """Each output is within its bound of the twin, and none is NaN."""
    for name, expected in case.expected.items():
        error = np.abs(got[name] - expected)
        wrong = ~(error <= case.bound[name])
        if np.any(wrong):
            first = tuple(map(int, np.argwhere(wrong)[0]))
            bound = np.broadcast_to(case.bound[name], error.shape)[first]
            raise AssertionError(
                f"{name}{list(first)} is {got[name][first]!r}, the twin's is {expected[first]!r}, "
                f"{error[first]:.3g} apart where {bound:.3g} is allowed; {np.sum(wrong)} of {error.size} are wrong; "
                f"{case.sizes()}"
            )


@EACH_KERNEL
def test_has_a_twin_and_cases(name, kind):
    assert name in reference.KERNELS, f"write {name} and its derivative in NumPy, in a file of tests/reference"
    assert kernel_cases.cases(name, kind, "float32"), f"write the cases of {name}, in a file of tests/cases"


@EACH_KERNEL
def test_agrees_with_its_twin(name, kind, kernels, dtype):
    for i, case in enumerate(kernel_cases.cases(name, kind, dtype)):
        got = kernels[name](**case.arguments, **LAYOUTS[i % 2])
        assert_close(case, got)


@EACH_KERNEL
def test_unaligned_and_strided_arrays_give_the_same_bits(name, kind, kernels, dtype):
    for i, case in enumerate(kernel_cases.cases(name, kind, dtype)):
        if i % 7 == 0:
            aligned, shifted = (kernels[name](**case.arguments, **layout) for layout in LAYOUTS)
            assert_same_bits(case, aligned, shifted)


def assert_same_bits(case, one, other):
    for name in case.expected:
        assert one[name].tobytes() == other[name].tobytes(), f"{name} has other bits; {case.sizes()}"


@pytest.mark.skipif(len(exact_isas()) < 2, reason=f"has {exact_isas()}, one table of those that promise the same bits")
@EACH_KERNEL
def test_every_vector_width_gives_the_same_bits(name, kind, dtype):
    first, *others = (kernels_of(isa, dtype)[name] for isa in exact_isas())
    for case in kernel_cases.cases(name, kind, dtype):
        got = first(**case.arguments)
        for other in others:
            assert_same_bits(case, got, other(**case.arguments))


# networks of a few numbers


@pytest.mark.parametrize("widths, rows", [((1, 1, 1, 1), 1), ((1, 1), 3), ((2, 4, 1), 1), ((3, 2, 2), 2)])
@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_steps_of_a_small_network_are_as_many_gradients_and_updates(widths, rows, activation, kernels, dtype):
    draw, rate, n_steps, layers = Drawer(dtype), 0.05, 7, len(widths) - 1
    size, examples = reference.n_parameters(widths), rows * n_steps
    theta, step_hyper = draw.normal(size), hyper_of((0.1, 0.2, 0.0, 0.0))
    network = {
        "work": draw.nan(2 * sum(widths[1:])), "x": draw.normal(examples, widths[0]),
        "y": draw.normal(examples, widths[-1]), "widths": np.array(widths, np.intp),
        "activations": np.full(layers, _engine.names("activation").index(activation), np.intc), "layers": layers,
        "rows": rows, "loss": _engine.names("loss").index("half_mse"),
        "hyper": np.concatenate([*[hyper_of(usual(activation))] * layers, hyper_of(())]),
    }  # fmt: skip
    order = draw.rng.permutation(examples)

    def steps(network, n_steps):
        return kernels["small_network_sgd"](
            **network, theta=theta, gradient=draw.nan(size), cost=np.array([1.5]), steps=np.zeros(1, np.intc),
            index=order, most_steps=n_steps, rate=rate, step_hyper=step_hyper,
        )  # fmt: skip

    total, after = 1.5, theta
    for step in range(n_steps):
        assert steps(network, step)["theta"].tobytes() == after.tobytes()
        passes = kernels["fused_small_network"](
            **network, theta=after, gradient=draw.nan(size), cost=np.zeros(1), scale=1 / rows,
            index=order[step * rows :],
        )  # fmt: skip
        total += passes["cost"][0]
        after = kernels["sgd"](theta=after, gradient=passes["gradient"], n=size, stride=0, rate=rate, hyper=step_hyper)
        after = after["theta"]
    got = steps(network, n_steps)
    assert (got["steps"][0], got["cost"][0]) == (n_steps, total)
    assert got["theta"].tobytes() == after.tobytes()
    assert got["gradient"].tobytes() == passes["gradient"].tobytes()

    network["y"][order[5 * rows]] = np.inf  # ends before the sixth step
    stopped, whole = steps(network, n_steps), steps(network, 5)
    assert stopped["steps"][0] == 5
    assert stopped["cost"][0] == whole["cost"][0]
    assert stopped["theta"].tobytes() == whole["theta"].tobytes()


# the products of a dense layer


def products(kernels, dtype):
    """Return the three products as functions of NumPy arrays: C (m, n) = A (m, k) B (k, n), each in its own layout."""

    def scratch(*sizes):
        return np.full(_engine.scratch(*sizes, np.dtype(dtype).itemsize), np.nan, dtype)

    def forward(a, b):
        (m, k), n = a.shape, b.shape[1]
        return kernels["dense_forward"](
            a=np.full((m, n), np.nan, dtype), x=a, w=b, scratch=scratch(m, k, n), rows=m, n_in=k, n_out=n, activation=0
        )["a"]

    def input_gradient(a, b):
        (m, k), n = a.shape, b.shape[1]
        return kernels["dense_input_gradient"](
            dx=np.full((m, n), np.nan, dtype), dz=a, w=b.T.copy(), scratch=scratch(m, n, k),
            rows=m, n_in=n, n_out=k, activation=0,
        )["dx"]  # fmt: skip

    def weight_gradient(a, b):
        (m, k), n = a.shape, b.shape[1]
        return kernels["dense_weight_gradient"](
            dw=np.full((m, n), np.nan, dtype), x=a.T.copy(), dz=b, scratch=scratch(k, m, n),
            rows=k, n_in=m, n_out=n, accumulate=0,
        )["dw"]  # fmt: skip

    return {"forward": forward, "input_gradient": input_gradient, "weight_gradient": weight_gradient}


PRODUCTS = ["forward", "input_gradient", "weight_gradient"]


@pytest.mark.parametrize("which", PRODUCTS)
def test_product_of_whole_numbers_is_exact(which, kernels, dtype):
    multiply = products(kernels, dtype)[which]
    rng = np.random.default_rng(1)
    for m, n, k in [(3, 5, 7), (31, 33, 65), (53, 75, 600), (100, 520, 40)]:
        a, b = rng.integers(-9, 10, (m, k)), rng.integers(-9, 10, (k, n))
        np.testing.assert_array_equal(multiply(a.astype(dtype), b.astype(dtype)), a @ b)


@pytest.mark.parametrize("which", PRODUCTS)
def test_bits_of_an_element_do_not_depend_on_its_neighbours(which, kernels, dtype):
    """The order of a sum depends on its length only, not on packing or the tile (contract 4 of DESIGN.md)."""
    multiply, draw = products(kernels, dtype)[which], Drawer(dtype)
    for k in (3, 300):
        a, b = draw.normal(97, k), draw.normal(k, 83)
        whole = multiply(a, b)
        for rows, columns in [
            ((0, 1), (0, 83)), ((0, 97), (0, 1)), ((5, 18), (40, 83)), ((96, 97), (82, 83)), ((7, 9), (1, 3)),
        ]:  # fmt: skip
            part = multiply(a[slice(*rows)].copy(), b[:, slice(*columns)].copy())
            np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])


@pytest.fixture
def caches():
    """The engine's set_cache_sizes; the sizes are the CPU's own again afterwards."""
    sizes = _engine.cache_sizes()
    yield _engine.set_cache_sizes
    _engine.set_cache_sizes(*sizes)


CACHES = st.tuples(st.sampled_from([0, 2048, 6000, 16384, 32768]), st.sampled_from([0, 5000, 32768, 2**19, 2**21]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 300), CACHES)
@example(300, 140, 150, (0, 0))
@example(257, 256, 256, (4096, 16384))
@example(300, 260, 300, (4096, 16384))  # several blocks of rows, which share packed panels
@example(1500, 450, 50, (32768, 16384))  # the last panel is narrower than the others
@example(300, 1100, 512, (65536, 16384))  # in several blocks of columns
@example(60, 200, 300, (65536, 2**19))  # the deepest panels of wide tiles
@example(60, 200, 20, (65536, 2**19))  # several wide tiles in a panel
def test_the_blocks_of_a_product_change_no_bit(caches, kernels, dtype, m, n, k, sizes):
    draw = Drawer(dtype)
    a, b = draw.normal(m, k), draw.normal(k, n)
    for which, multiply in products(kernels, dtype).items():
        caches(0, 0)
        smallest = multiply(a, b)
        caches(*sizes)
        np.testing.assert_array_equal(multiply(a, b), smallest, err_msg=which)


@pytest.mark.parametrize("sizes", [(0, 0), (4096, 16384), (32768, 2**19), (65536, 2**21)])
@pytest.mark.parametrize("name, kind", [each for each in SIGNATURES if each[0].startswith("dense_")])
def test_the_blocks_keep_within_the_arrays(name, kind, sizes, caches, kernels, dtype):
    """With all epilogues, strides and canaries, the bits are those of the blocks that this CPU gets."""
    cpu = _engine.cache_sizes()
    for case in kernel_cases.cases(name, kind, dtype):
        caches(*cpu)
        usual = kernels[name](**case.arguments)
        caches(*sizes)
        assert_same_bits(case, usual, kernels[name](**case.arguments, **LAYOUTS[1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", PRODUCTS)
def test_product_with_a_number_that_is_not_finite(which, bad, kernels, dtype):
    """A NaN spreads through its own row and column only, not even through lanes that are masked off."""
    multiply, draw = products(kernels, dtype)[which], Drawer(dtype)
    for m, n, k in [(7, 9, 5), (61, 75, 69)]:
        a, b = np.abs(draw.normal(m, k)), np.abs(draw.normal(k, n))
        for i, p in [(0, 0), (m - 1, k - 1), (m // 2, 1)]:
            spoilt = a.copy()
            spoilt[i, p] = bad
            c = multiply(spoilt, b)
            np.testing.assert_array_equal(c[i], np.full(n, bad))
            assert np.all(np.isfinite(np.delete(c, i, axis=0)))
        for p, j in [(0, 0), (k - 1, n - 1), (1, n // 2)]:
            spoilt = b.copy()
            spoilt[p, j] = bad
            c = multiply(a, spoilt)
            np.testing.assert_array_equal(c[:, j], np.full(m, bad))
            assert np.all(np.isfinite(np.delete(c, j, axis=1)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan_through_an_activation_fused_into_the_product(name, kernels, dtype):
    draw = Drawer(dtype)
    x, w, b = draw.normal(7, 5), draw.normal(5, 19), draw.normal(19)
    x[3, 2] = np.nan
    sizes = {"rows": 7, "n_in": 5, "n_out": 19, "activation": ACTIVATIONS.index(name), "hyper": hyper_of(usual(name))}
    spare = np.zeros(_engine.scratch(7, 5, 19, np.dtype(dtype).itemsize), dtype)
    a = kernels["dense_forward"](a=draw.nan(7, 19), x=x, w=w, b=b, scratch=spare, **sizes)["a"]
    np.testing.assert_array_equal(np.isnan(a), np.repeat(np.arange(7) == 3, 19).reshape(7, 19))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 3, 7), (53, 75, 69)])
def test_the_whole_and_its_parts_agree(name, shape, kernels, dtype):
    """An activation within a product gives the bits of the product followed by the activation's own kernel."""
    rows, n_in, n_out = shape
    draw, number, numbers = Drawer(dtype), ACTIVATIONS.index(name), hyper_of(usual(name))
    x, w, dz = draw.normal(rows, n_in), draw.normal(n_in, n_out), draw.normal(rows, n_out)
    spare = draw.nan(_engine.scratch(*shape, np.dtype(dtype).itemsize))
    sizes = {"rows": rows, "n_in": n_in, "n_out": n_out, "scratch": spare, "hyper": numbers}

    def forward(activation):
        saved = draw.nan(rows, n_out) if name in SAVES_SLOPE and activation else None
        return kernels["dense_forward"](a=draw.nan(rows, n_out), saved=saved, x=x, w=w, activation=activation, **sizes)

    def backward(saved, activation):
        return kernels["dense_input_gradient"](
            dx=draw.nan(rows, n_in), dz=dz, w=w, saved=saved, activation=activation, **sizes
        )["dx"]

    apart = forward_alone(kernels, name, forward(0)["a"])
    for output, got in forward(number).items():
        if output != "scratch":
            np.testing.assert_array_equal(got, apart[output])

    apart = forward_alone(kernels, name, draw.normal(rows, n_in))
    saved = apart.get("saved", apart["a"])
    apart = kernels[f"{name}_backward"](dz=backward(None, 0), saved=saved, n=rows * n_in, hyper=numbers)["dz"]
    np.testing.assert_array_equal(backward(saved, number), apart)


@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3, 1), (53, 75, 69), (600, 64, 130), (64, 70, 10), (40, 1, 33)])
def test_an_sgd_step_has_the_bits_of_gradient_and_update(shape, accumulate, kernels, dtype):
    """The step has the bits of gradient and update one after the other, however its product is computed."""
    rows, n_in, n_out = shape
    draw, hyper = Drawer(dtype), hyper_of((0.3, 0.2, 0.0, 0.0))
    w, before = draw.normal(n_in, n_out), draw.normal(n_in, n_out)
    sizes = {
        "x": draw.normal(rows, n_in), "dz": draw.normal(rows, n_out), "dw": before, "accumulate": accumulate,
        "rows": rows, "n_in": n_in, "n_out": n_out, "scratch": draw.nan(_engine.scratch(*shape, w.itemsize)),
    }  # fmt: skip
    together = kernels["dense_sgd_step"](w=w, db=draw.nan(n_out), rate=0.1, hyper=hyper, **sizes)
    dw = kernels["dense_weight_gradient"](**sizes)["dw"]
    apart = kernels["sgd"](theta=w, gradient=dw, n=w.size, stride=w.size, rate=0.1, hyper=hyper)["theta"]
    assert not np.array_equal(w, apart)
    np.testing.assert_array_equal(together["w"], apart)


def forward_alone(kernels, name, z):
    """Return the outputs of an activation's own kernel: a, and the slope if it saves one."""
    saved = np.full_like(z, np.nan) if name in SAVES_SLOPE else None
    return kernels[f"{name}_forward"](a=z, saved=saved, n=z.size, hyper=hyper_of(usual(name)))


# activations


def test_the_twin_knows_what_each_saves():
    assert set(SAVES_SLOPE) == reference_activations.SAVES_SLOPE


@pytest.mark.parametrize("name", SAVES_SLOPE)
def test_prediction_gives_the_bits_of_training(name, kernels, dtype):
    """The kernel gives the same a with and without an array for the slope."""
    z = 3 * Drawer(dtype).normal(1000)
    alone = kernels[f"{name}_forward"](a=z, n=z.size, hyper=hyper_of(usual(name)))["a"]
    np.testing.assert_array_equal(forward_alone(kernels, name, z)["a"], alone)


def test_relu_of_what_is_not_finite(kernels, dtype):
    z = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0] * 5, dtype)
    expected = np.array([np.nan, np.inf, 0.0, 0.0, 0.0, 1.0, 0.0] * 5, dtype)
    np.testing.assert_array_equal(kernels["relu_forward"](a=z, n=z.size)["a"], expected)


def test_relu_slope_is_one_above_zero_only(kernels, dtype):
    tiny = np.finfo(dtype).tiny
    saved = np.array([0.0, -0.0, tiny, 1.0, np.inf] * 7, dtype)
    dz = np.full(saved.size, -3.0, dtype)
    got = kernels["relu_backward"](dz=dz, saved=saved, n=saved.size)["dz"]
    np.testing.assert_array_equal(got, np.where(saved > 0, dz, 0))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_gradient_stays_nan(name, kernels, dtype):
    for n in (1, 7, 16, 37):
        given = {"dz": np.full(n, np.nan, dtype), "saved": np.full(n, 0.5, dtype)}
        dz = kernels[f"{name}_backward"](**given, n=n, hyper=hyper_of(usual(name)))["dz"]
        assert np.all(np.isnan(dz))


# losses


def call_loss(kernels, name, a, y=None, label=None, **more):
    """Return (cost, da) with the default hyperparameters of the loss."""
    sizes = {"rows": a.shape[0], "n": a.shape[1], "n_y": a.shape[1] // LOSSES[name].outputs, "scale": 1.0}
    hyper = np.resize(np.append(LOSSES[name].hyper, np.zeros(_engine.HYPER)), _engine.HYPER)
    got = kernels[name](cost=np.zeros(1), a=a, y=y, label=label, hyper=hyper, **sizes, **more)
    return float(got["cost"][0]), got.get("da")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name, labelled", [(name, False) for name in LOSSES] + [(name, True) for name in OF_CLASSES])
def test_cost_of_what_is_not_finite_is_not_finite(name, bad, labelled, kernels, dtype):
    """Divergence is recognised by a cost that is not finite, so a NaN in an output must reach the cost."""
    draw = Drawer(dtype)
    for columns in (1, 2, 7, 16, 19, 33):
        n = columns * LOSSES[name].outputs
        for at in range(n):
            a = draw.normal(3, n)
            a[1, at] = bad
            label = np.full(3, (at + 1) % n if bad != -np.inf else at) if labelled else None
            y = None if labelled else np.full((3, columns), 1 / columns, dtype)
            cost, da = call_loss(kernels, name, a, y, label, da=draw.nan(3, n))
            assert not np.isfinite(cost), f"{cost} where a[1, {at}] of {n} is {bad}"
            if np.isnan(bad):
                assert np.isnan(cost)
                assert np.isnan(da[1, at])


@pytest.mark.parametrize("name", LOSSES)
def test_cost_of_a_target_of_nan_is_nan(name, kernels, dtype):
    draw = Drawer(dtype)
    for n in (1, 2, 7, 16, 19, 33):
        for at in range(n):
            y = np.full((3, n), 1 / n, dtype)
            y[1, at] = np.nan
            assert np.isnan(call_loss(kernels, name, draw.normal(3, n * LOSSES[name].outputs), y)[0])


@pytest.mark.parametrize("name", [*OF_CLASSES, "binary_cross_entropy", "binary_focal"])
def test_large_scores_do_not_overflow(name, kernels, dtype):
    largest = np.finfo(dtype).max / 4
    a, y = np.array([[largest, -largest], [-largest, largest], [1e4, -1e4]], dtype), np.array([[1, 0]] * 3, dtype)
    cost, da = call_loss(kernels, name, a, y, da=np.zeros_like(a))
    expected, expected_da = reference.KERNELS[name](wide(a), y.astype(float), hyper=LOSSES[name].hyper)
    eps = Drawer(dtype).eps
    assert cost == pytest.approx(expected, rel=4 * eps)
    np.testing.assert_allclose(da, expected_da, atol=4 * eps)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_label_is_the_one_hot_row(name, kernels, dtype):
    draw = Drawer(dtype)
    for n in (1, 2, 16, 33):
        a, label = draw.normal(9, n), draw.rng.integers(n, size=9)
        from_label = call_loss(kernels, name, a, label=label, da=draw.nan(9, n))
        from_y = call_loss(kernels, name, a, np.eye(n, dtype=dtype)[label], da=draw.nan(9, n))
        assert from_label[0] == pytest.approx(from_y[0], rel=8 * draw.eps, abs=draw.eps)
        np.testing.assert_allclose(from_label[1], from_y[1], rtol=8 * draw.eps, atol=draw.eps)


@pytest.mark.parametrize("name", LOSSES)
def test_cost_is_added_row_by_row(name, kernels, isa, dtype):
    """The cost is summed in double in row order, to the bit, whether da is computed or not."""
    draw = Drawer(dtype)
    for columns in (1, 19):
        a = draw.normal(23, columns * LOSSES[name].outputs)
        y = np.abs(draw.normal(23, columns))
        total = 0.0
        for i in range(23):
            total += call_loss(kernels, name, a[i : i + 1], y[i : i + 1])[0]
        cost, _ = call_loss(kernels, name, a, y, da=Same("a"))
        if isa == "portable":  # adds the elements of a row to the cost one by one
            assert cost == pytest.approx(total, rel=23 * 19 * np.finfo(np.float64).eps)
        else:
            assert cost == total


# optimisers


def test_sgd_without_momentum_reads_no_velocity(kernels, dtype):
    draw = Drawer(dtype)
    theta, gradient = draw.normal(19), draw.normal(19)
    sizes = {"gradient": gradient, "n": 19, "stride": 19, "rate": 0.5, "hyper": np.zeros(4)}
    got = kernels["sgd"](theta=theta, state=draw.nan(19), **sizes)
    np.testing.assert_array_equal(got["theta"], kernels["sgd"](theta=theta, **sizes)["theta"])


# the tests' own tools


@pytest.mark.skipif(GUARD == 0, reason="AddressSanitizer guards")
class TestGuards:
    """The guards around arrays recognise every write outside."""

    def test_sees_what_is_written_around_rows_and_between(self):
        buffer = Guarded(np.zeros((3, 5), np.float32), padding=2, offset=1)
        for place in (-1, 5, 6, 12, 19, 3 * 7 + 3):
            buffer.bits[:] = buffer.before
            buffer.bits[buffer.first + place] = 0
            assert list(buffer.changed_outside()) == [place]

    def test_leaves_the_array_itself_alone(self):
        buffer = Guarded(np.zeros((3, 5)), padding=2)
        buffer.window[:] = 1
        assert buffer.changed_outside().size == 0
        assert buffer.changed()

    def test_guards_are_nan(self):
        for dtype in (np.float32, np.float64):
            buffer = Guarded(np.zeros((3, 5), dtype), padding=1)
            assert np.isnan(np.ndarray(1, dtype, buffer.bits, (buffer.first + 5) * buffer.bits.itemsize))

    def test_starts_where_it_should(self):
        for offset in (0, 1):
            assert Guarded(np.zeros(5), offset=offset).address % 64 == 8 * offset

    def test_a_wrong_kernel_is_caught(self):
        """A kernel that writes one element too many, and one that writes to its input, are recognised."""
        kernel = kernels_of("portable", "float32")["gather"]
        x, index = np.zeros((4, 3), np.float32), np.arange(4)
        with pytest.raises(AssertionError, match="wrote outside out"):
            kernel(out=np.zeros((3, 3), np.float32), x=x, index=index, rows=4, n=3)
        kernel = kernels_of("portable", "float32")["identity_forward"]
        buffers = {"x": Guarded(x)}
        buffers["x"].window[0, 0] = 1
        with pytest.raises(AssertionError, match="wrote to its input x"):
            kernel.checked(buffers)

    def test_an_unknown_form_of_argument_is_an_error(self):
        assert [p.name for p in parse("(T *a, const int64_t *index, I n)")] == ["a", "index", "n"]
        with pytest.raises(ValueError, match="teach parse"):
            parse("(T **a)")

    def test_a_nan_or_an_error_past_the_bound_fails(self):
        case = kernel_cases.Case({}, {"a": np.ones(3)}, {"a": 0.1})
        assert_close(case, {"a": np.array([1.0, 1.05, 0.95])})
        for wrong in (np.nan, 1.2, 0.8):
            with pytest.raises(AssertionError, match="1 of 3 are wrong"):
                assert_close(case, {"a": np.array([1.0, wrong, 1.0])})
