"""Handles: outputs and steps by calls from C give the bits of net(X) and trainer.step, or an error code."""

import copy
import ctypes
import gc
import os
import pickle
import sys
import threading

import bridge_cases
import numpy as np
import pytest
from concurrency import together
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import EXAMPLES, inputs

import fastprop as fp
from fastprop._core import _engine
from fastprop.nn.losses import LOSSES

OK, BUSY, BAD_POINTER, BAD_ROWS, NOT_FINITE, BAD_CATEGORY = range(6)  # as fastprop.h numbers them
BAD_TARGET, BAD_WEIGHT, DIVERGED, NO_TRAINER, OUTDATED = range(6, 11)
GUARD = 32  # elements on either side of every output, which nothing may write to
ONE_MEMBER = [name for name, (_, members) in bridge_cases.NETWORKS.items() if members == 1]


def pointer(array):
    return None if array is None else array.ctypes.data


def forward(handle, x):
    """Return (code, out); fails if anything around out was written to."""
    size = len(x) * handle.n_outputs
    memory = np.full(size + 2 * GUARD, 77, handle.dtype)
    out = memory[GUARD : GUARD + size].reshape(len(x), handle.n_outputs)
    before = x.copy()
    code = handle.forward(handle.address, pointer(x), len(x), pointer(out))
    assert np.all(memory[:GUARD] == 77) and np.all(memory[GUARD + size :] == 77)
    assert np.array_equal(x, before, equal_nan=True)
    return code, out


def step(handle, x, y, weight=None):
    """Return (code, cost)."""
    if weight is None:
        code = handle.step(handle.address, pointer(x), pointer(y), len(x))
    else:
        code = handle.weighted_step(handle.address, pointer(x), pointer(y), pointer(weight), len(x))
    return code, handle.cost(handle.address)


def everything(trainer):
    """All numbers that a step may change."""
    arrays, *rest = trainer.optimizer_state.state()
    state = [trainer.network.parameters, trainer.network.state, *(a for a in arrays if a is not None)]
    return [np.array(a) for a in state], rest, trainer.steps, trainer.rate


def assert_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1:] == other[1:]


def simple(dtype="float32", **options):
    net = fp.Network([3, 5, 2], seed=0, dtype=dtype, activation="tanh")
    return fp.Trainer(net, loss="cross_entropy", optimizer=fp.Adam(0.01), **options)


def batch(dtype="float32", rows=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 3)).astype(dtype), rng.integers(2, size=rows)


# ---- the same bits ----


@pytest.mark.parametrize("name", ONE_MEMBER)
def test_outputs_are_those_of_the_network(name, dtype):
    net = bridge_cases.network(name, dtype)
    handle = net.native(max_rows=33)
    X = bridge_cases.rows(net, 33)
    for rows in (1, 2, 15, 16, 17, 33):
        code, out = forward(handle, X[:rows].copy())
        assert code == OK
        np.testing.assert_array_equal(out, net(X[:rows]))


@pytest.mark.exhaustive
def test_outputs_on_every_isa(isa, dtype):
    net = fp.Network([17, 33, fp.LayerNorm(), 9], seed=0, dtype=dtype)
    handle = net.native(max_rows=40)
    X = np.random.default_rng(0).normal(size=(40, 17)).astype(dtype)
    assert np.array_equal(forward(handle, X)[1], net(X))


def test_outputs_of_many_blocks(dtype):
    net = fp.Network([8, 300, 3], seed=0, dtype=dtype)
    handle = net.native(max_rows=3000)
    X = np.random.default_rng(0).normal(size=(3000, 8)).astype(dtype)
    for rows in (3000, 1025, 1):
        assert np.array_equal(forward(handle, X[:rows].copy())[1], net(X[:rows]))


def twins(layers, dtype, **options):
    """Two trainers that are alike."""
    return [fp.Trainer(fp.Network([3, *layers], seed=0, dtype=dtype), **options) for _ in range(2)]


def assert_steps_alike(one, other, batches, max_rows, **options):
    """One trainer takes all steps in Python, the other most of them through a handle."""
    handle = other.native(max_rows, **options)
    for i, (x, y, weight) in enumerate(batches):
        cost = one.step(x, y, sample_weight=weight)
        if i % 4 == 2:
            assert other.step(x, y, sample_weight=weight) == cost
        else:
            assert step(handle, x, y, weight) == (OK, cost), i
        assert_same(everything(one), everything(other))
    x = batches[0][0]
    np.testing.assert_array_equal(one.network(x), other.network(x))
    np.testing.assert_array_equal(forward(handle, x)[1], other.network(x))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_steps_of_every_layer(kind, dtype):
    """Dropout draws the same masks, batch norm follows the same statistics."""
    for layers in EXAMPLES[kind]:
        one, other = twins(layers, dtype, loss="half_mse", optimizer=fp.SGD(0.01, momentum=0.9))
        rng = np.random.default_rng(0)
        n = one.network.n_outputs
        batches = [
            (inputs(one.network, rng, rows).astype(dtype), rng.normal(size=(rows, n)).astype(dtype), None)
            for rows in (7, 1, 20, 7, 33)
        ]
        assert_steps_alike(one, other, batches, 33)


def targets(loss, rng, rows, columns, dtype):
    if loss.targets == "classes":
        return rng.integers(columns, size=rows)
    numbers = rng.random((rows, columns)) + 0.1
    if loss.targets == "signs":
        numbers = np.where(numbers > 0.5, 1, -1)
    elif loss.targets == "probabilities":
        numbers = numbers.clip(0, 1)
    return numbers.astype(dtype)


@pytest.mark.parametrize("name", LOSSES)
def test_steps_of_every_loss(name, dtype):
    loss = LOSSES[name]
    width = 2 * loss.outputs
    one, other = twins([5, width], dtype, loss=loss, optimizer="sgd")
    rng = np.random.default_rng(0)
    columns = width if loss.targets == "classes" else width // loss.outputs
    batches = [
        (
            rng.normal(size=(rows, 3)).astype(dtype), targets(loss, rng, rows, columns, dtype),
            None if rows % 2 else rng.random(rows).astype(dtype),
        )
        for rows in (1, 4, 17, 5)
    ]  # fmt: skip
    assert_steps_alike(one, other, batches, 17)
    handle = other.native()
    assert handle.y_dtype == batches[0][1].dtype
    assert handle.n_targets == (0 if loss.targets == "classes" else columns)


OPTIONS = {
    "penalties": {"l1": 1e-3, "l2": 1e-2, "rates": {"bias": 2.0}},
    "clipping": {"clip_value": 0.1, "clip_norm": 0.05},
    "average": {"average": fp.EMA(0.9)},
    "late average": {"average": fp.SWA(start=3)},
    "class weights": {"class_weight": {1: 2.5}},
    "seed": {"seed": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lion", "rmsprop"])
def test_steps_with_every_option(optimizer, name):
    layers = [fp.Dense(9, "relu", max_norm=1.0), fp.Dropout(0.2), 3]
    one, other = twins(layers, "float32", loss="cross_entropy", optimizer=optimizer, **OPTIONS[name])
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(6, 3)).astype("f4"), rng.integers(3, size=6), rng.random(6).astype("f4") if i % 2 else None)
        for i in range(8)
    ]
    assert_steps_alike(one, other, batches, 6)


def test_class_weights_of_one_output(dtype):
    rng = np.random.default_rng(0)
    for loss, low in (("binary_cross_entropy", 0), ("binary_hinge", -1)):
        one, other = twins([1], dtype, loss=loss, optimizer="sgd", class_weight={0: 3.0})
        batches = [
            (rng.normal(size=(6, 3)).astype(dtype), np.where(rng.random((6, 1)) < 0.5, low, 1).astype(dtype), None)
            for _ in range(4)
        ]
        batches[0][1][:2] = [[low], [1]]
        assert_steps_alike(one, other, batches, 6)
        assert step(other.native(), batches[0][0][:1], np.full((1, 1), 0.5, dtype))[0] == BAD_TARGET


SCHEDULES = [
    fp.schedules.Constant(0.1, warmup=5),
    fp.schedules.Step(0.1, steps=3),
    fp.schedules.Exponential(0.1, steps=4),
    fp.schedules.Cosine(0.1, steps=9, warmup=2),
    fp.schedules.Cosine(0.1, steps=3, restarts=True, growth=2),
    fp.schedules.OneCycle(0.1, steps=9),
    fp.schedules.InverseSquareRoot(0.1, steps=3),
    fp.schedules.Polynomial(0.1, steps=9, power=1.7),
    fp.schedules.CosLog4(0.1, steps=9),
    fp.schedules.ReduceOnPlateau(0.1, warmup=3),
    fp.schedules.Cosine(0.1, epochs=9),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_goes_on(schedule):
    """Steps through a handle move the schedule of the trainer on, and those in Python that of the handle."""
    one, other = (simple() for _ in range(2))
    one.optimizer = other.optimizer = fp.SGD(schedule)
    assert_steps_alike(one, other, [(*batch(seed=i), None) for i in range(13)], 4, steps=13)
    X, y = batch(rows=20)
    assert one.epoch(X, y, batch_size=5) == other.epoch(X, y, batch_size=5)
    assert_same(everything(one), everything(other))


@given(
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    rows=st.integers(1, 700),
    more=st.integers(0, 3000),
    threads=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=60)
def test_the_bits_do_not_depend_on_max_rows(widths, rows, more, threads, dtype):
    """Nor on the threads that Python's steps use: the memory of a handle is laid out for other batches than theirs."""
    before = fp.get_num_threads()
    fp.set_num_threads(threads)
    try:
        one, other = (fp.Trainer(fp.Network(widths, seed=0, dtype=dtype), loss="half_mse") for _ in range(2))
        rng = np.random.default_rng(0)
        x, y = (rng.normal(size=(rows, n)).astype(dtype) for n in (widths[0], widths[-1]))
        assert_steps_alike(one, other, [(x, y, None)] * 2, rows + more)
    finally:
        fp.set_num_threads(before)


def test_more_rows_than_a_block(dtype):
    one, other = (
        fp.Trainer(fp.Network([9, 300, 2], seed=0, dtype=dtype), loss="half_mse", optimizer="adam") for _ in range(2)
    )
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(n, 9)).astype(dtype), rng.normal(size=(n, 2)).astype(dtype), None) for n in (2500, 1030)
    ]
    assert_steps_alike(one, other, batches, 2500)


def test_a_saved_trainer_has_the_steps_of_a_handle(tmp_path):
    one, other = simple(), simple()
    handle = other.native(4)
    for i in range(5):
        one.step(*batch(seed=i))
        assert step(handle, *batch(seed=i))[0] == OK
    for trainer, name in ((one, "one"), (other, "other")):
        trainer.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_handle_sees_every_change_of_the_network():
    net = fp.Network([3, 5, fp.BatchNorm(), 2], seed=0)
    handle, (x, _) = net.native(4), batch()
    other = fp.Network([3, 5, fp.BatchNorm(), 2], seed=1)
    other.forward(x, training=True)
    for change in (
        lambda: net.weights[0].fill(0.3),
        lambda: setattr(net, "parameters", net.parameters * 2),
        lambda: net.restore(*other.snapshot()),
        lambda: fp.Trainer(net, loss="cross_entropy").epoch(*batch(rows=20)),
        lambda: setattr(net, "state", net.state * 1.5),
    ):
        before = net(x)
        change()
        assert not np.array_equal(before, net(x))
        np.testing.assert_array_equal(forward(handle, x)[1], net(x))


def test_nothing_is_allocated():
    trainer, (x, y) = simple(), batch()
    handle = trainer.native(4)
    before = _engine.allocations()
    for rows in (4, 1, 3):
        assert forward(handle, x[:rows].copy())[0] == OK
        assert step(handle, x[:rows].copy(), y[:rows].copy(), np.ones(rows, "f4"))[0] == OK
    assert _engine.allocations() == before


def test_denormal_numbers_are_flushed_within_a_call_and_nowhere_else():
    net = fp.Network([3, 2], seed=0, dtype="float64")
    x, tiny = np.full((1, 3), 3e-310), np.array([5e-324])
    code, out = forward(net.native(), x)
    assert code == OK and np.array_equal(out, net(x)) and np.all(out == 0)
    assert (tiny * 1)[0] != 0


# ---- what is refused ----


def test_codes_have_messages():
    texts = [fp.Handle.message(code) for code in range(11)]
    assert len(set(texts)) == 11 and all(texts)
    assert fp.Handle.message(11) == fp.Handle.message(-1) == "this is none of the codes of fastprop.h"


def test_rows_and_pointers():
    trainer, (x, y) = simple(), batch()
    handle, out, weight = trainer.native(4), np.zeros((4, 2), "f4"), np.ones(4, "f4")
    before = everything(trainer)
    address = handle.address
    for rows in (0, -1, 5, sys.maxsize, -sys.maxsize - 1):
        assert handle.forward(address, pointer(x), rows, pointer(out)) == BAD_ROWS
        assert handle.step(address, pointer(x), pointer(y), rows) == BAD_ROWS
    for wrong in (None, pointer(x) + 1, pointer(x) + 2):
        assert handle.forward(address, wrong, 3, pointer(out)) == BAD_POINTER
        assert handle.step(address, wrong, pointer(y), 3) == BAD_POINTER
    for wrong in (None, pointer(out) + 1):
        assert handle.forward(address, pointer(x), 3, wrong) == BAD_POINTER
    for wrong in (None, pointer(y) + 4):
        assert handle.step(address, pointer(x), wrong, 3) == BAD_POINTER
    assert handle.weighted_step(address, pointer(x), pointer(y), pointer(weight) + 1, 3) == BAD_POINTER
    assert handle.forward(address, pointer(x), 4, pointer(x) + 4 * 3 * 4 - 4) == BAD_POINTER  # the last number of x
    assert handle.forward(address, pointer(out) + 4, 1, pointer(out)) == BAD_POINTER
    assert handle.forward(None, pointer(x), 1, pointer(out)) == BAD_POINTER
    assert handle.step(None, pointer(x), pointer(y), 1) == BAD_POINTER
    assert np.isnan(handle.cost(None)) and np.isnan(handle.cost(address))
    assert np.all(out == 0)
    assert_same(everything(trainer), before)


def test_numbers_that_are_not_finite(dtype):
    trainer, (x, y) = simple(dtype), batch(dtype)
    handle, before = trainer.native(4), everything(trainer)
    for bad in (np.nan, np.inf, -np.inf):
        wrong = x.copy()
        wrong[3, 2] = bad
        code, out = forward(handle, wrong)
        assert code == NOT_FINITE and np.all(out == 77)
        assert step(handle, wrong, y)[0] == NOT_FINITE
        assert forward(handle, wrong[:3].copy())[0] == OK  # the other rows
    assert_same(everything(trainer), before)


def test_labels_out_of_range():
    trainer, (x, y) = simple(), batch()
    handle, before = trainer.native(4), everything(trainer)
    for label in (-1, 2, 2**40, -(2**63)):
        wrong = y.copy()
        wrong[3] = label
        assert step(handle, x, wrong)[0] == BAD_TARGET
    assert_same(everything(trainer), before)


@pytest.mark.parametrize(
    "loss, bad",
    [
        ("half_mse", [np.nan, np.inf]), ("poisson", [-1.0, np.nan]), ("gamma", [0.0, -1.0]),
        ("binary_cross_entropy", [-0.1, 1.1, np.nan]), ("binary_hinge", [0.0, 0.5, 2.0, np.nan]),
    ],
)  # fmt: skip
def test_targets_that_a_loss_does_not_take(loss, bad, dtype):
    trainer = fp.Trainer(fp.Network([3, 1], seed=0, dtype=dtype), loss=loss)
    handle, (x, _), before = trainer.native(4), batch(dtype), everything(trainer)
    for wrong in bad:
        assert step(handle, x, np.array([[1], [1], [1], [wrong]], dtype))[0] == BAD_TARGET
    assert_same(everything(trainer), before)
    assert step(handle, x, np.ones((4, 1), dtype))[0] == OK


def test_weights():
    trainer, (x, y) = simple(class_weight={0: 0.0}), batch()
    handle, before = trainer.native(4), everything(trainer)
    y[:] = [0, 1, 0, 1]
    for wrong in ([1, 1, 1, -1], [1, np.nan, 1, 1], [1, 1, 1, np.inf], [0, 0, 0, 0], [1, 0, 1, 0]):
        assert step(handle, x, y, np.array(wrong, "f4"))[0] == BAD_WEIGHT
    assert step(handle, x, np.zeros(4, np.int64))[0] == BAD_WEIGHT
    assert_same(everything(trainer), before)


def test_categories(dtype):
    columns = fp.ByColumn([(fp.Embedding({0: (3, 2)}), [1]), (fp.Periodic(2), [0])])
    net = fp.Network([2, columns, 4, 1], seed=0, dtype=dtype)
    trainer = fp.Trainer(net, loss="half_mse")
    handle, before = trainer.native(2), everything(trainer)
    x, y = np.array([[0.5, 2], [-3.5, 0]], dtype), np.ones((2, 1), dtype)
    for wrong in (-1, 3, 0.5, 2.5, 1e30):
        bad = x.copy()
        bad[1, 1] = wrong
        code, out = forward(handle, bad)
        assert code == BAD_CATEGORY and np.all(out == 77)
        assert step(handle, bad, y)[0] == BAD_CATEGORY
    assert_same(everything(trainer), before)
    code, out = forward(handle, x)
    assert code == OK and np.array_equal(out, net(x))


def test_a_cost_that_is_not_finite():
    one = fp.Trainer(fp.Network([3, fp.Dense(4, "tanh"), fp.BatchNorm(), 1], seed=0), loss="half_mse")
    one.optimizer = fp.Adam(fp.schedules.Cosine(0.01, steps=20))
    handle, (x, _) = one.native(4), batch()
    y = np.ones((4, 1), "f4")
    assert step(handle, x, y)[0] == OK
    before = everything(one)
    huge = np.full((4, 1), 3e38, "f4")
    code, cost = step(handle, x, huge)
    assert code == DIVERGED and np.isnan(cost)
    assert_same(everything(one), before)
    with pytest.raises(fp.DivergenceError):
        one.step(x, huge)
    assert_same(everything(one), before)
    assert step(handle, x, y)[0] == OK


def test_a_network_takes_no_steps():
    net, (x, y) = fp.Network([3, 2], seed=0), batch()
    assert step(net.native(4), x, y)[0] == NO_TRAINER


def test_an_optimizer_that_was_replaced():
    trainer, (x, y) = simple(), batch()
    handle = trainer.native(4)
    trainer.optimizer = fp.SGD(0.1)
    before = everything(trainer)
    assert step(handle, x, y)[0] == OUTDATED
    assert_same(everything(trainer), before)
    assert step(trainer.native(4), x, y)[0] == OK
    assert forward(handle, x)[0] == OK


def test_a_schedule_whose_known_rates_end():
    trainer, (x, y) = simple(), batch()
    trainer.optimizer = fp.SGD(fp.schedules.Cosine(0.1, steps=100))
    handle = trainer.native(4, steps=3)
    assert [step(handle, x, y)[0] for _ in range(5)] == [OK, OK, OK, OUTDATED, OUTDATED]
    assert trainer.steps == 3 and trainer.rate < 0.1
    assert step(trainer.native(4), x, y)[0] == OK


def test_a_schedule_that_an_epoch_changes():
    trainer, (x, y) = simple(), batch()
    trainer.optimizer = fp.SGD(fp.schedules.ReduceOnPlateau(0.1, patience=0, factor=0.5))
    handle = trainer.native(4)
    trainer.optimizer_state.on_epoch(1.0)
    assert step(handle, x, y)[0] == OK
    trainer.optimizer_state.on_epoch(2.0)
    assert step(handle, x, y)[0] == OUTDATED
    assert trainer.rate == 0.05


def test_what_has_no_handle():
    with pytest.raises(ValueError, match="max_rows must be a positive int, got 0"):
        fp.Network([3, 2], seed=0).native(max_rows=0)
    with pytest.raises(TypeError, match="max_rows"):
        fp.Network([3, 2], seed=0).native(max_rows=1.5)
    with pytest.raises(ValueError, match="members=3"):
        fp.Network([3, 2], members=3, seed=0).native()
    with pytest.raises(TypeError, match="a loss of your own"):
        fp.Trainer(fp.Network([3, 2], seed=0), loss=lambda Y, y: (0.0, Y)).native()
    with pytest.raises(ValueError, match="class_weight='balanced'"):
        simple(class_weight="balanced").native()
    with pytest.raises(ValueError, match="steps"):
        simple().native(steps=0)
    with pytest.raises(ValueError, match="max_rows must be at most 2147483647, got 2147483648"):
        simple().native(max_rows=2**31)
    handle = simple().native()
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a handle is an address in its process"):
            copied(handle)


# ---- life ----


def fields(capsule):
    """The fields of the fp_handle in a capsule, as its version 1 has them."""
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

    class Fields(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_int32) for name in ("version", "size", "itemsize", "labels")),
            *((name, ctypes.c_ssize_t) for name in ("n_inputs", "n_outputs", "n_targets", "max_rows")),
            *((name, ctypes.c_void_p) for name in ("forward", "step", "weighted_step", "cost", "message")),
        ]

    return ctypes.sizeof(Fields), Fields.from_address(pointer_of(capsule, b"fastprop.fp_handle"))


def test_what_a_capsule_holds(dtype):
    handle = simple(dtype).native(7)
    size, held = fields(handle.capsule)
    assert (held.version, held.size, held.itemsize, held.labels) == (1, size, np.dtype(dtype).itemsize, 1)
    assert (held.n_inputs, held.n_outputs, held.n_targets, held.max_rows) == (3, 2, 0, 7)
    assert fields(fp.Trainer(fp.Network([3, 4], seed=0), loss="half_mse").native().capsule)[1].n_targets == 4
    assert ctypes.addressof(held) == handle.address
    address = ctypes.cast(handle.weighted_step, ctypes.c_void_p).value
    assert held.weighted_step == address
    net = fields(fp.Network([3, 2], seed=0).native().capsule)[1]
    assert (net.labels, net.n_targets) == (0, 0)


def test_a_capsule_keeps_everything_alive():
    trainer, (x, y) = simple(), batch()
    copied = pickle.loads(pickle.dumps(trainer))
    handle = trainer.native(4)
    capsule, address, take = handle.capsule, handle.address, handle.step
    del handle, trainer
    gc.collect()
    for _ in range(3):
        assert take(address, pointer(x), pointer(y), 4) == OK
        copied.step(x, y)
    out = np.zeros((4, 2), "f4")
    net = fields(capsule)[1]
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p)
    assert kind(net.forward)(address, pointer(x), 4, pointer(out)) == OK
    assert np.array_equal(out, copied.network(x))


def test_handles_in_a_cycle_are_freed():
    """The garbage collector may clear any part of a cycle first."""
    for _ in range(20):
        trainer = simple()
        trainer.network.kept = [trainer.native(4), trainer.native(4).capsule, trainer]
        del trainer
    gc.collect()


def test_many_handles_one_after_the_other():
    """The flags of handles that are gone are used again, so that steps look at no more of them than there were."""
    net, (x, _) = fp.Network([3, 2], seed=0), batch()
    net.native()
    before = _engine.allocations()
    net.native()
    each = _engine.allocations() - before
    for _ in range(5):
        assert forward(net.native(4), x)[0] == OK
    assert _engine.allocations() - before == 6 * each


# ---- several users ----


def test_python_that_changes_the_network_refuses_calls():
    trainer, (x, y) = simple(average=fp.EMA(0.5)), batch()
    handle, other = trainer.native(4), trainer.native(4)
    engine = trainer.network.engine
    with engine.locked():
        assert forward(handle, x)[0] == BUSY and step(handle, x, y)[0] == BUSY
    with engine.exclusive():
        assert forward(handle, x)[0] == OK and step(handle, x, y)[0] == BUSY
        with engine.exclusive():
            pass
        assert step(handle, x, y)[0] == BUSY
    with trainer.averaging() as net:
        code, out = forward(handle, x)
        assert code == OK and np.array_equal(out, net(x))
        assert step(handle, x, y)[0] == BUSY
    assert step(handle, x, y)[0] == OK and step(other, x, y)[0] == OK
    trainer.network.forward(x)
    assert step(handle, x, y)[0] == OK
    with pytest.raises(RuntimeError, match="right before it"):
        trainer.network.backward(np.ones((4, 2), "f4"))  # the parameters are others than those of forward


def test_one_handle_in_two_threads():
    """A call is refused while another one is under way; those that are not give the right numbers."""
    net = fp.Network([3, 300, 300, 2], seed=0)
    handle = net.native(64)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("f4")
    wanted = net(x)

    def use():
        codes = []
        while codes.count(OK) < 50:
            code, out = forward(handle, x)
            codes.append(code)
            assert code in (OK, BUSY)
            assert np.array_equal(out, wanted) if code == OK else np.all(out == 77)
        return codes

    together(use, use)


def test_two_handles_of_one_network_in_two_threads():
    net = fp.Network([3, 100, 2], seed=0)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("f4")
    wanted = net(x)

    def use():
        handle = net.native(16)
        for _ in range(200):
            code, out = forward(handle, x)
            assert code == OK and np.array_equal(out, wanted)

    together(use, use, lambda: [np.testing.assert_array_equal(net(x), wanted) for _ in range(200)])


def test_outputs_while_python_assigns_parameters():
    """Every output belongs to parameters that were assigned as a whole."""
    net = fp.Network([3, 64, 64, 2], seed=0)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("f4")
    some = [net.parameters * factor for factor in (1.0, 2.0)]
    wanted = []
    for parameters in some:
        net.parameters = parameters
        wanted.append(net(x))
    over = threading.Event()

    def assign():
        for i in range(400):
            net.parameters = some[i % 2]
        over.set()

    def use():
        handle, right = net.native(16), 0
        while not over.is_set() or not right:
            code, out = forward(handle, x)
            assert code in (OK, BUSY)
            if code == OK:
                assert any(np.array_equal(out, each) for each in wanted)
                right += 1

    together(assign, use, use)


def test_steps_from_c_and_from_python_at_once():
    """No step is lost, and none is half of another: with plain SGD on one row, each step is the same function."""
    one, other = (fp.Trainer(fp.Network([3, 32, 2], seed=0), loss="half_mse", optimizer=fp.SGD(0.01)) for _ in range(2))
    x, y = batch()[0], np.ones((4, 2), "f4")
    out = one.network(x)

    def in_c():
        handle, taken = other.native(4), 0
        while taken < 300:
            code, _ = step(handle, x, y)
            assert code in (OK, BUSY)
            taken += code == OK

    def in_python():
        for _ in range(300):
            other.step(x, y)
            other.network(x)

    together(in_c, in_c, in_python)
    for _ in range(900):
        one.step(x, y)
    assert other.steps == 900
    np.testing.assert_array_equal(one.network.parameters, other.network.parameters)
    assert not np.array_equal(out, one.network(x))


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@forks
def test_a_forked_child_goes_on():
    one, other = simple(), simple()
    handle, (x, y) = other.native(4), batch()
    for trainer_step in (lambda: one.step(x, y), lambda: step(handle, x, y)):
        trainer_step()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            one.step(x, y)
            alike = step(handle, x, y)[0] == OK and np.array_equal(one.network.parameters, other.network.parameters)
            code = not (alike and np.array_equal(forward(handle, x)[1], one.network(x)))
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    one.step(x, y)
    assert step(handle, x, y)[0] == OK  # the parent's own step
    assert np.array_equal(one.network.parameters, other.network.parameters)


@forks
@pytest.mark.filterwarnings("ignore:This process")  # from CPython 3.12 on, of a fork beside threads
def test_a_fork_in_the_middle_of_calls():
    """The child, which lacks the threads that were in a call, waits for none: it has whole steps, or an error."""
    x, y = np.random.default_rng(0).normal(size=(64, 3)).astype("f4"), np.ones((64, 2), "f4")
    trainer = fp.Trainer(fp.Network([3, 64, 64, 2], seed=0), loss="half_mse", optimizer=fp.SGD(0.01))
    over = threading.Event()

    def keep(call):
        handle = trainer.native(64)
        while not over.is_set():
            assert call(handle) in (OK, BUSY)

    def fork():
        statuses = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                code = 3
                try:
                    trainer.step(x, y)
                    handle = trainer.native(64)
                    code = 0 if step(handle, x, y)[0] == OK == forward(handle, x)[0] else 1
                except RuntimeError as error:
                    code = 0 if "has half of it" in str(error) else 2
                finally:
                    os._exit(code)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        over.set()
        assert statuses == [0] * 20

    together(fork, lambda: keep(lambda handle: step(handle, x, y)[0]), lambda: keep(lambda h: forward(h, x)[0]))
