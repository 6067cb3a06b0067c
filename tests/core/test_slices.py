"""How threads share a batch: equal bits on any number of them, and the values of what is summed over rows."""

import signal

import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st
from layer_cases import EXAMPLES, inputs

import fastprop as fp
from fastprop._core import _engine

THREADS = (1, 2, 3, 4, 5, 8, 16, 40)
WIDTHS = st.lists(st.integers(2, 70), min_size=2, max_size=5)

pytestmark = pytest.mark.usefixtures("threads_and_isa_restored")


def layered(widths, *, dropout=0.0, norm=False):
    """Return the layers of a network of these widths, with dropout and a batch norm after the first one."""
    hidden = [fp.Dense(width, "tanh") for width in widths[1:-1]]
    between = [*([fp.Dropout(dropout)] if dropout else []), *([fp.BatchNorm()] if norm else [])]
    return [widths[0], *hidden[:1], *between, *hidden[1:], widths[-1]]


def training(widths, rows, *, loss, weighted, dropout, norm, dtype, seed):
    """Return a function that trains and uses a new network of these widths and returns the bits of all results."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows + rows // 3, widths[0])).astype(dtype)
    y = strategies.targets(loss, rng, len(X), widths[-1], labels=loss == "cross_entropy")
    weight = rng.random(len(X)) if weighted else None

    def bits():
        net = fp.Network(layered(widths, dropout=dropout, norm=norm), dtype=dtype, seed=seed)
        trainer = fp.Trainer(net, loss=loss, optimizer=fp.Adam(0.01), seed=seed)
        costs = [trainer.epoch(X, y, batch_size=rows, sample_weight=weight) for _ in range(2)]
        costs.append(trainer.evaluate(X, y, sample_weight=weight))
        cost, gradient = net.value_and_gradient(X, y, loss=loss, sample_weight=weight)
        outputs = net.forward(X, training=bool(dropout))
        dX = net.backward(outputs / len(X))
        results = net.parameters, costs, cost, gradient, outputs, dX, net.gradient, net(X)
        return [np.asarray(result).tobytes() for result in results]

    return bits


NARROW = {"widths": [8, 32, 32, 4], "rows": 10000, "loss": "half_mse", "weighted": False}
MIDDLING = {"widths": [64, 70, 10], "rows": 1025, "loss": "cross_entropy", "weighted": True}
REST = {"widths": [13, 21], "rows": 1251, "loss": "half_mse", "weighted": False}  # a last batch of two uneven blocks
FEW_SLICES = {"widths": [17, 128, 128, 6], "rows": 500, "loss": "half_mse", "weighted": True}  # two, of several rounds
LONG_PIECES = {"widths": [2, 5, 1], "rows": 20_000, "loss": "huber", "weighted": False}  # of more than a unit
WIDE = {"widths": [300, 500, 400, 10], "rows": 70, "loss": "cross_entropy", "weighted": False}  # by columns


@example(**NARROW, dropout=0.0, norm=False, dtype="float32", seed=0)
@example(**MIDDLING, dropout=0.2, norm=False, dtype="float64", seed=1)
@example(**REST, dropout=0.3, norm=False, dtype="float64", seed=0)
@example(**FEW_SLICES, dropout=0.2, norm=False, dtype="float32", seed=4)
@example(**LONG_PIECES, dropout=0.0, norm=False, dtype="float64", seed=5)
@example(**WIDE, dropout=0.2, norm=False, dtype="float32", seed=2)
@example(**WIDE, dropout=0.0, norm=True, dtype="float64", seed=3)
@given(
    widths=WIDTHS,
    rows=st.integers(1, 4000),
    loss=st.sampled_from(["half_mse", "cross_entropy", "huber"]),
    weighted=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    norm=st.booleans(),
    dtype=st.sampled_from(strategies.DTYPES),
    seed=st.integers(0, 99),
)
def test_bits_do_not_depend_on_the_number_of_threads(widths, rows, **options):
    bits = training(widths, rows, **options)
    expected = None
    for threads in THREADS:
        fp.set_num_threads(threads)
        got = bits()
        expected = expected or got
        assert got == expected, f"other bits on {threads} threads"


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("rows", [300, 3001])
def test_every_kind_of_layer_gives_the_same_bits_on_any_threads(kind, rows):
    """With wide layers after it, so that batches of 2 and of 8 slices are worth many threads."""
    for layers in EXAMPLES[kind]:
        expected = None
        for threads in (1, 3, 16):
            fp.set_num_threads(threads)
            net = fp.Network([3, *layers, 150, 150, 4], activation="tanh", dtype="float64", seed=0)
            rng = np.random.default_rng(0)
            X, y = inputs(net, rng, rows), rng.normal(size=(rows, 4))
            trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.Adam(0.01), seed=0)
            costs = [trainer.epoch(X, y, batch_size=rows) for _ in range(2)]
            got = net.parameters.tobytes() + np.array([*costs, trainer.evaluate(X, y)]).tobytes() + net(X).tobytes()
            expected = expected or got
            assert got == expected, f"other bits on {threads} threads: {layers}"


@given(widths=WIDTHS, rows=st.integers(2, 6000), cut=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_batch_is_the_sum_of_its_parts(widths, rows, cut, seed):
    """The cost and the gradient of a batch are the weighted means of those of two parts, but for rounding."""
    rng = np.random.default_rng(seed)
    net = fp.Network(layered(widths), dtype="float64", seed=seed)
    X, y = rng.normal(size=(rows, widths[0])), rng.normal(size=(rows, widths[-1]))
    at = min(max(1, round(cut * rows)), rows - 1)
    both = [net.value_and_gradient(X[part], y[part], loss="half_mse") for part in (slice(at), slice(at, rows))]
    cost, gradient = net.value_and_gradient(X, y, loss="half_mse")
    shares = at / rows, 1 - at / rows
    assert cost == pytest.approx(sum(share * each[0] for share, each in zip(shares, both, strict=True)), rel=1e-12)
    expected = sum(share * each[1] for share, each in zip(shares, both, strict=True))
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("layers", "rows", "slices"),
    [
        ([8, 32, 32, 4], 32, 1),  # two threads would cost more than they save
        ([8, 32, 32, 4], 10000, 16),
        ([8, 32, 32, 4], 1_000_000, 32),
        ([784, 128, 10], 64, 1),  # a second gradient is larger than all that threads read of each other without it
        ([1024, 1024, 10], 10000, 1),
        ([8, fp.BatchNorm(), 32, 4], 10000, 1),  # its statistics are those of all rows
    ],
)
def test_the_number_of_slices_depends_on_the_shapes_only(layers, rows, slices):
    for threads in (1, 2, 5):
        fp.set_num_threads(threads)
        assert fp.Network(layers, seed=0).engine.slices(rows) == slices


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_an_interrupted_step_changes_nothing():
    """A handler that raises in the middle of a step leaves the parameters as they were before it."""
    fp.set_num_threads(2)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400_000, 8)).astype("float32"), rng.normal(size=(400_000, 4)).astype("float32")
    trainer, again = (
        fp.Trainer(fp.Network([8, 48, 48, 4], seed=0), loss="half_mse", optimizer=fp.Adam(0.01)) for _ in range(2)
    )

    def stop(*_):
        raise KeyboardInterrupt

    def train():
        while True:
            trainer.step(X, y)

    handler, seconds = signal.signal(signal.SIGALRM, stop), _engine.set_interrupt_interval(0)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _engine.set_interrupt_interval(seconds)
    for _ in range(trainer.steps):
        again.step(X, y)
    assert trainer.network.parameters.tobytes() == again.network.parameters.tobytes()
