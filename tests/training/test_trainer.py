"""Trainer and fit: the update, the order of rows, what is told along the way, and what happens when it goes wrong."""

import copy
import json
import pickle
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import reference
import strategies
from concurrency import together
from hypothesis import given
from hypothesis import strategies as st

import fastprop as fp
from fastprop._core import _engine
from fastprop.training.metrics import Predictions

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}

OPTIMIZERS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "decay": {"weight_decay": 0.05},
    "momentum, decay": {"momentum": 0.5, "weight_decay": 0.05},
    "nesterov, decay": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
}


def assert_close(ours, twin, dtype):
    difference = np.max(np.abs(np.asarray(ours, np.float64) - twin))
    assert difference <= TOLERANCES[dtype] * max(1.0, np.max(np.abs(twin)))


def regression(rows, n_in=4, n_out=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, n_in)).astype(np.float32), rng.normal(size=(rows, n_out)).astype(np.float32)


def trainer_of(widths=(4, 6, 2), rate=0.05, dtype="float32", seed=0, **how):
    net = fp.Network(widths, activation="tanh", dtype=dtype, seed=seed)
    return fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(rate, **how))


def in_steps(trainer, X, y, batch_size, steps=None):
    """Repeat an epoch of `trainer`, or its first `steps` steps, by calls of step(); return the mean cost."""
    order = np.empty(len(X), np.int64)
    _engine.shuffle(order, trainer.seed, trainer.steps)
    total = 0.0
    for start in range(0, len(X), batch_size)[:steps]:
        batch = order[start : start + batch_size]
        total += len(batch) * trainer.step(X[batch], y[batch])
    return total / len(X)


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("widths", [(1, 1), (1, 9, 1), (3, 8, 1), (2, 6, 2), (5, 5, 2), (4, 12, 1), (3, 16, 3)])
def test_an_epoch_is_its_steps_to_the_bit(widths, batch):
    """The smallest networks take other code in an epoch than in a step, with edge cases of each size."""
    X, y = np.random.default_rng(0).normal(size=(2, 21, 5)).astype(np.float32)
    X, y = X[:, : widths[0]].copy(), y[:, : widths[-1]].copy()
    one, other = trainer_of(widths, momentum=0.5), trainer_of(widths, momentum=0.5)
    before = one.network.parameters.tobytes()
    one.epoch(X, y, batch_size=batch)
    in_steps(other, X, y, batch)
    assert one.network.parameters.tobytes() == other.network.parameters.tobytes() != before


def test_rows_in_their_order():
    """With shuffle=False, every epoch goes through the rows slice by slice, also in a copy."""
    X, y = regression(20, 3)
    net = fp.Network([3, 4, 2], seed=0)
    one = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1), shuffle=False)
    other = fp.Trainer(copy.deepcopy(net), loss="half_mse", optimizer=fp.SGD(0.1))
    for trainer in (one, copy.deepcopy(one)):
        other.network.parameters[:] = trainer.network.parameters
        for _ in range(2):
            trainer.epoch(X, y, batch_size=8)
            for first in range(0, 20, 8):
                other.step(X[first : first + 8], y[first : first + 8])
        assert trainer.network.parameters.tobytes() == other.network.parameters.tobytes()
    with pytest.raises(TypeError, match="shuffle must be True or False"):
        fp.Trainer(net, loss="half_mse", optimizer="sgd", shuffle=1)


def work_to_tell_of():
    """Return a trainer and sixteen batches, each of which takes long enough for the engine to check for signals."""
    return trainer_of((64, 128, 128, 2), rate=1e-4, momentum=0.9), *regression(16 * 64, 64)


# ---- the update ----


@pytest.mark.parametrize("how", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["half_mse", "cross_entropy"])
def test_steps_agree_with_the_twin(how, dtype, loss):
    rng = np.random.default_rng(1)
    widths, activations = [5, 9, 4, 3], ["tanh", "tanh", "identity"]
    net = fp.Network(widths, activation="tanh", dtype=dtype, seed=2)
    batches = []
    for rows in [8, 8, 8, 1, 13] * 4:
        X = rng.normal(size=(rows, 5)).astype(dtype)
        y = strategies.targets(loss, rng, rows, 3, labels=True)
        batches.append((X, y.astype(dtype) if y.dtype.kind == "f" else y))
    theta = net.parameters.astype(np.float64)
    theta, costs = reference.train(widths, activations, loss, theta, batches, 0.05, **OPTIMIZERS[how])
    trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(0.05, **OPTIMIZERS[how]))
    ours = [trainer.step(X, y) for X, y in batches]
    assert_close(ours, np.array(costs), dtype)
    assert_close(net.parameters, theta, dtype)
    assert trainer.steps == 20


@pytest.mark.parametrize("how", OPTIMIZERS)
def test_the_optimizers_differ(how):
    """Otherwise a test would pass if both the optimiser and its reference ignored a hyperparameter."""
    X, y = regression(8)
    after = []
    for hyper in OPTIMIZERS.values():
        trainer = trainer_of(**hyper)
        for _ in range(3):
            trainer.step(X, y)
        after.append(trainer.network.parameters.tobytes())
    assert len(set(after)) == len(OPTIMIZERS)


def test_a_step_by_hand():
    """z = 2*3 + 1 = 7, y = 5, cost 1/2 2^2; dw = 2*3, db = 2; rate 0.1."""
    net = fp.Network([1, 1], dtype="float64")
    net.parameters[:] = 2, 1
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1))
    assert trainer.step([[3]], [5]) == 2.0
    np.testing.assert_allclose(net.parameters, [1.4, 0.8], rtol=1e-15)


@given(
    widths=strategies.widths(),
    rows=strategies.rows(),
    batch=st.integers(1, 70),
    how=st.sampled_from(list(OPTIMIZERS)),
    dtype=strategies.dtypes(),
    loss=strategies.losses(),
)
def test_an_epoch_is_its_steps_bit_for_bit(widths, rows, batch, how, dtype, loss):
    """Whether rows are gathered or contiguous, the bits are the same; the mean is over rows, not over batches."""
    widths, batch = [*widths[:-1], strategies.outputs_for(loss, widths[-1])], min(batch, rows)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, widths[0])).astype(dtype)
    y = strategies.targets(loss, rng, rows, widths[-1], labels=True)
    y = y.astype(dtype) if y.dtype.kind == "f" else y

    def make():
        net = fp.Network(widths, dtype=dtype, seed=4)
        net.parameters *= 0.1  # of outputs that are 17, as some drawn networks have, exp makes steps that overflow
        return fp.Trainer(net, loss=loss, optimizer=fp.SGD(1e-3, **OPTIMIZERS[how]))

    one, other = make(), make()
    for _ in range(2):
        assert one.epoch(X, y, batch_size=batch) == pytest.approx(in_steps(other, X, y, batch), rel=1e-12)
        assert one.network.parameters.tobytes() == other.network.parameters.tobytes()
    assert one.steps == other.steps == 2 * -(-rows // batch)


def test_training_learns():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(400, 3))
    y = np.sin(X @ [1.0, 2.0, -1.0])
    net = fp.Network([3, 32, 1], activation="tanh", seed=0)
    history = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.05, momentum=0.9), epochs=150, batch_size=20)
    assert history["cost"][-1] < 0.1 * history["cost"][0]


def test_another_optimizer():
    """Its state starts anew, and the count of steps goes on."""
    trainer, (X, y) = trainer_of(momentum=0.9), regression(20)
    for _ in range(3):
        trainer.step(X, y)
    fresh = fp.Trainer(copy.deepcopy(trainer.network), loss="half_mse", optimizer=fp.SGD(0.01, momentum=0.5))
    trainer.optimizer = fp.SGD(0.01, momentum=0.5)
    for _ in range(3):
        assert trainer.step(X, y) == fresh.step(X, y)
    assert trainer.network.parameters.tobytes() == fresh.network.parameters.tobytes()
    assert trainer.steps == 6 and trainer.optimizer == fp.SGD(0.01, momentum=0.5)
    with pytest.raises(TypeError, match=r"fp\.SGD\(0\.1\)"):
        trainer.optimizer = 0.1
    assert trainer.step(X, y) == fresh.step(X, y)
    assert trainer.network.parameters.tobytes() == fresh.network.parameters.tobytes()


@pytest.mark.usefixtures("always_due", "one_thread")
def test_another_optimizer_in_the_middle_of_an_epoch():
    """A running epoch keeps the state of its optimiser alive, and the next one has a state of its own."""
    trainer, X, y = work_to_tell_of()
    optimizers = [fp.SGD(1e-4), fp.SGD(1e-4, momentum=0.9), fp.SGD(1e-3, momentum=0.9, nesterov=True)]
    told = 0

    def progress(*_):
        nonlocal told
        told += 1
        trainer.optimizer = optimizers[told % 3]
        np.zeros(trainer.network.n_parameters)  # where the state of the last one was

    for _ in range(3):
        trainer.epoch(X, y, progress=progress)
    assert told == 3 * 16
    assert np.all(np.isfinite(trainer.network.parameters))


# ---- the order of rows ----


def order_of(trainer, rows, rate=0.01):
    """The order in which an epoch visits rows, from what it does to the weights.

    Row i is 1 at input i, the target 1, all parameters 0: the first visit of row i leaves weight i at
    rate * (1 - bias), and each visit shrinks 1 - bias by 1 - rate. A row visited twice, or never, would break the
    ladder of weights.
    """
    net = trainer.network
    net.parameters[:] = 0
    trainer.epoch(np.eye(rows), np.ones(rows), batch_size=1)
    weight = net.weights[0][:, 0]
    ladder = rate * (1 - rate) ** np.arange(rows)
    np.testing.assert_allclose(np.sort(weight)[::-1], ladder, rtol=1e-9)
    return np.argsort(-weight).tolist()


def one_by_one(rows=50, seed=0, **how):
    net = fp.Network([rows, 1], dtype="float64", seed=seed)
    return fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.01), **how)


def test_an_epoch_visits_every_row_once():
    for rows in (1, 2, 3, 50):
        assert sorted(order_of(one_by_one(rows), rows)) == list(range(rows))


def test_each_epoch_has_a_fresh_order():
    trainer = one_by_one()
    orders = [tuple(order_of(trainer, 50)) for _ in range(5)]
    assert len(set(orders)) == 5


def test_the_order_follows_the_seed():
    def orders(trainer):
        return [order_of(trainer, 50) for _ in range(3)]

    assert orders(one_by_one(seed=1)) == orders(one_by_one(seed=1))
    assert orders(one_by_one(seed=1)) != orders(one_by_one(seed=2))


def test_a_trainers_own_seed():
    def orders(network_seed, seed):
        net = fp.Network([50, 1], dtype="float64", seed=network_seed)
        trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.01), seed=seed)
        return [order_of(trainer, 50) for _ in range(2)]

    assert orders(1, None) == orders(1, 1) == orders(2, 1) != orders(1, 3)


def test_shuffles_are_uniform():
    """Each of 6 rows is at each of 6 places about 1,000 times of 6,000: 5 standard deviations are 145."""
    counts, order = np.zeros((6, 6)), np.empty(6, np.int64)
    for step in range(6000):
        _engine.shuffle(order, 123, step)
        counts[order, np.arange(6)] += 1
    assert np.all(np.abs(counts - 1000) < 145)


@pytest.mark.parametrize("rows, batch, steps", [(10, 4, 3), (10, 5, 2), (10, 10, 1), (10, 1, 10), (7, 6, 2)])
def test_steps_of_an_epoch(rows, batch, steps):
    trainer = trainer_of()
    trainer.epoch(*regression(rows), batch_size=batch)
    assert trainer.steps == steps


def test_evaluate_is_the_cost_without_a_step():
    trainer, (X, y) = trainer_of(), regression(30)
    before = trainer.network.parameters.tobytes()
    cost = trainer.evaluate(X, y)
    assert trainer.network.parameters.tobytes() == before and trainer.steps == 0
    assert cost == trainer.network.value_and_gradient(X, y, loss="half_mse")[0]
    assert cost == pytest.approx(trainer.step(X, y), rel=1e-12)
    assert trainer.evaluate(X, y) < cost


# ---- progress ----


@pytest.mark.usefixtures("always_due", "one_thread")
def test_progress():
    (trainer, X, y), calls = work_to_tell_of(), []
    cost = trainer.epoch(X, y, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(64 * step, len(X)) for step in range(1, 17)], "after each whole step"
    assert calls[-1][2] == cost and all(np.isfinite(call[2]) for call in calls)


def test_progress_comes_every_50_ms_at_most():
    """The number of rows is doubled until an epoch lasts long enough, so that the machine's speed does not matter."""
    trainer, X, y = work_to_tell_of()
    calls = []
    while len(calls) < 5:
        X, y = np.tile(X, (2, 1)), np.tile(y, (2, 1))
        calls, started = [], time.perf_counter()
        trainer.epoch(X, y, progress=lambda *call: calls.append(call))  # noqa: B023
        lasted = time.perf_counter() - started
        assert len(calls) - 1 <= lasted / 0.05  # the last is that of the end
        assert len(calls) > 1 or lasted < 60, "a minute, and no word"


def test_progress_of_a_short_epoch():
    calls = []
    cost = trainer_of().epoch(*regression(10), batch_size=5, progress=lambda *call: calls.append(call))
    assert calls == [(10, 10, cost)]


@pytest.mark.usefixtures("always_due", "one_thread")
def test_progress_does_not_repeat_itself():
    (trainer, X, y), calls = work_to_tell_of(), []
    trainer.epoch(X, y, batch_size=len(X), progress=lambda *call: calls.append(call))
    assert len(calls) == 1


@pytest.mark.usefixtures("always_due", "one_thread")
def test_progress_changes_no_bit():
    (told, X, y), (silent, _, _) = work_to_tell_of(), work_to_tell_of()
    assert told.epoch(X, y, progress=lambda *_: None) == silent.epoch(X, y)
    assert told.network.parameters.tobytes() == silent.network.parameters.tobytes()


@pytest.mark.usefixtures("always_due", "one_thread")
def test_an_exception_in_progress_leaves_whole_steps():
    (trainer, X, y), done = work_to_tell_of(), []

    class Stop(Exception):
        pass

    def progress(rows_done, rows, cost):
        done.append(rows_done)
        if len(done) == 3:
            raise Stop("enough")

    with pytest.raises(Stop, match="enough"):
        trainer.epoch(X, y, progress=progress)
    assert done == [64, 128, 192] and trainer.steps == 3
    replay = work_to_tell_of()[0]
    in_steps(replay, X, y, 64, trainer.steps)
    assert replay.network.parameters.tobytes() == trainer.network.parameters.tobytes()
    trainer.epoch(X, y)


@pytest.mark.usefixtures("always_due", "one_thread")
def test_progress_may_use_the_network():
    (used, X, y), (plain, _, _) = work_to_tell_of(), work_to_tell_of()
    looks = []
    used.epoch(X, y, progress=lambda *_: looks.append(used.evaluate(X[:300], y[:300])))
    plain.epoch(X, y)
    assert used.network.parameters.tobytes() == plain.network.parameters.tobytes()
    assert len(set(looks)) == 16 and looks[-1] == plain.evaluate(X[:300], y[:300])


# ---- fit ----


def test_fit_is_its_epochs():
    X, y = regression(50)
    net, trainer = fp.Network([4, 6, 2], activation="tanh", seed=0), trainer_of(momentum=0.9)
    history = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.05, momentum=0.9), epochs=4, batch_size=8)
    costs = [trainer.epoch(X, y, batch_size=8) for _ in range(4)]
    assert history["cost"] == costs and history["epoch"] == [1, 2, 3, 4]
    assert net.parameters.tobytes() == trainer.network.parameters.tobytes()


def test_history():
    X, y = regression(50)
    net = fp.Network([4, 6, 2], seed=0)
    history = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.05), epochs=3, batch_size=8)
    assert isinstance(history, fp.History) and isinstance(history, dict)
    assert list(history) == ["epoch", "cost", "seconds"]
    assert all(len(column) == 3 for column in history.values())
    assert all(type(value) is float and value > 0 for value in history["cost"] + history["seconds"])
    assert pickle.loads(pickle.dumps(history)) == history


def test_fit_takes_ten_epochs_by_default():
    net = fp.Network([4, 2], seed=0)
    assert len(net.fit(*regression(64), loss="half_mse", optimizer=fp.SGD(0.05))["epoch"]) == 10


def test_validation():
    (X, y), held_out = regression(50), regression(20, seed=9)
    with_it, without = fp.Network([4, 6, 2], seed=0), fp.Network([4, 6, 2], seed=0)
    how = {"loss": "half_mse", "optimizer": fp.SGD(0.05), "batch_size": 8}
    history = with_it.fit(X, y, epochs=3, validation=held_out, **how)
    without.fit(X, y, epochs=3, **how)
    assert list(history) == ["epoch", "cost", "validation_cost", "seconds"]
    assert with_it.parameters.tobytes() == without.parameters.tobytes(), "it must not train on what it validates"
    assert history["validation_cost"][-1] == with_it.value_and_gradient(*held_out, loss="half_mse")[0]
    assert len(set(history["validation_cost"])) == 3


def test_fit_with_a_seed():
    def after(seed):
        net = fp.Network([4, 6, 2], seed=0)
        net.fit(*regression(50), loss="half_mse", optimizer=fp.SGD(0.05), epochs=2, batch_size=8, seed=seed)
        return net.parameters.tobytes()

    assert after(None) == after(0) == after(0) != after(1)


def test_fit_progress(capsys):
    net, calls = fp.Network([4, 2], seed=0), []
    how = {"loss": "half_mse", "optimizer": fp.SGD(0.05), "epochs": 3, "batch_size": 8}
    history = net.fit(*regression(50), progress=lambda *call: calls.append(call), **how)
    ends = [call for call in calls if call[2] == call[3]]
    assert ends == [(epoch, 3, 50, 50, cost) for epoch, cost in zip(history["epoch"], history["cost"])]
    assert capsys.readouterr().out == ""
    net.fit(*regression(50), progress=True, validation=regression(9), **how)
    lines = capsys.readouterr().out.splitlines()
    *lines, best = lines
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("cost" in line and "validation" in line for line in lines)
    assert best.startswith("best (*): epoch ")


def test_fit_ends_on_an_exception_in_progress():
    net = fp.Network([4, 2], seed=0)

    def progress(epoch, epochs, done, rows, cost):
        if epoch == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        net.fit(*regression(50), loss="half_mse", optimizer=fp.SGD(0.05), batch_size=8, progress=progress)
    other = fp.Network([4, 2], seed=0)
    other.fit(*regression(50), loss="half_mse", optimizer=fp.SGD(0.05), batch_size=8, epochs=3)
    assert net.parameters.tobytes() == other.parameters.tobytes()


# ---- divergence ----


def diverging(dtype="float32"):
    """Return a trainer whose error grows by a factor of about a hundred in each step; an epoch has two."""
    return fp.Network([4, 2], dtype=dtype, seed=0), fp.SGD(100.0), *regression(16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_in_fit(dtype):
    net, optimizer, X, y = diverging(dtype)
    with pytest.raises(fp.DivergenceError) as caught:
        net.fit(X, y, loss="half_mse", optimizer=optimizer, epochs=1000, batch_size=8)
    error = caught.value
    assert isinstance(error, FloatingPointError)
    assert 3 < error.epoch < 1000 and error.step in (2 * error.epoch - 2, 2 * error.epoch - 1)
    assert error.history["epoch"] == list(range(1, error.epoch)) and np.all(np.isfinite(error.history["cost"]))
    message = str(error)
    for part in (f"epoch {error.epoch}", f"step {error.step}", "smaller rate than 100", "scale", "not finite"):
        assert part in message
    assert f"those after epoch {error.epoch - 1}" in message

    trainer = fp.Trainer(diverging(dtype)[0], loss="half_mse", optimizer=optimizer)
    costs = [trainer.epoch(X, y, batch_size=8) for _ in range(error.epoch - 1)]
    assert costs == error.history["cost"]
    assert net.parameters.tobytes() == trainer.network.parameters.tobytes(), "those of the last good epoch"
    net.parameters[:] = 0
    net.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e-6), epochs=1, batch_size=8)  # training can go on


def test_divergence_in_the_first_epoch():
    net, _, X, y = diverging()
    before = net.parameters.tobytes()
    with pytest.raises(fp.DivergenceError, match="those before training") as caught:
        net.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e30), epochs=5, batch_size=1)
    assert net.parameters.tobytes() == before
    assert caught.value.epoch == 1 and caught.value.step >= 1
    assert caught.value.history == {"epoch": [], "cost": [], "seconds": []}


def test_a_parameter_that_overflows_in_the_last_step():
    """No cost shows it, since the cost before the step was finite."""
    net, _, X, y = diverging()
    before = net.parameters.tobytes()
    with pytest.raises(fp.DivergenceError) as caught:
        net.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e39), epochs=1, batch_size=16)
    assert net.parameters.tobytes() == before and (caught.value.epoch, caught.value.step) == (1, 1)


@pytest.mark.parametrize("how", ["plain", "momentum", "nesterov, decay"])
def test_a_step_that_diverges_is_not_taken(how):
    trainer = trainer_of(rate=10.0, **OPTIMIZERS[how])
    X, y = regression(8)
    trainer.step(X, y)
    twin, good = copy.deepcopy(trainer), trainer.network.parameters.copy()
    trainer.network.weights[1][:] = 3e38
    before = trainer.network.parameters.tobytes()
    with pytest.raises(fp.DivergenceError, match="step 1 is not finite.*not taken.*smaller rate than 10") as caught:
        trainer.step(X, y)
    assert trainer.network.parameters.tobytes() == before and trainer.steps == 1
    assert (caught.value.epoch, caught.value.step, caught.value.history) == (None, 1, None)
    trainer.network.parameters = good
    trainer.step(X, y), twin.step(X, y)
    assert trainer.network.parameters.tobytes() == twin.network.parameters.tobytes(), "nor the velocity changed"


def test_an_epoch_that_diverges_keeps_its_whole_steps():
    net, optimizer, X, y = diverging()
    trainer = fp.Trainer(net, loss="half_mse", optimizer=optimizer)

    def many_epochs():
        while trainer.steps < 10000:
            trainer.epoch(X, y, batch_size=1)

    with pytest.raises(fp.DivergenceError) as caught:
        many_epochs()
    taken = trainer.steps
    assert caught.value.step == taken > 0
    replay = fp.Trainer(diverging()[0], loss="half_mse", optimizer=optimizer)
    while taken - replay.steps >= 16:
        replay.epoch(X, y, batch_size=1)
    if taken > replay.steps:
        in_steps(replay, X, y, 1, taken - replay.steps)
    assert replay.network.parameters.tobytes() == net.parameters.tobytes()


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("loss", ["half_mse", "squared_error", "cross_entropy", "binary_cross_entropy"])
def test_nan_parameters_are_seen(activation, loss):
    """An activation or a loss that compares numbers could hide NaN."""
    net = fp.Network([4, 6, 2], activation=activation, seed=0)
    net.parameters[:] = np.nan
    before = net.parameters.tobytes()
    X, y = regression(8)[0], np.tile([0.25, 0.75], (8, 1))
    with pytest.raises(fp.DivergenceError):
        net.fit(X, y, loss=loss, optimizer=fp.SGD(0.1), epochs=1, batch_size=8)
    assert net.parameters.tobytes() == before


def test_a_divergence_error_can_be_pickled():
    """A pool of processes hangs on an exception that cannot be unpickled."""
    error = fp.DivergenceError("too far", step=7, epoch=2, history=fp.History(epoch=[1]))
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.step, twin.epoch, twin.history) == ("too far", 7, 2, {"epoch": [1]})


# ---- several trainers and threads ----


def test_two_trainers_on_one_network():
    """Each has its own velocity and steps; both move the same parameters."""
    net = fp.Network([4, 2], dtype="float64", seed=0)
    theta = net.parameters.copy()
    one = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1, momentum=0.9))
    two = fp.Trainer(net, loss="squared_error", optimizer=fp.SGD(0.01, momentum=0.5))
    X, y = regression(10)
    velocities = [np.zeros_like(theta), np.zeros_like(theta)]
    for _ in range(5):
        for i, (trainer, loss, rate, momentum) in enumerate(
            [(one, "half_mse", 0.1, 0.9), (two, "squared_error", 0.01, 0.5)]
        ):
            trainer.step(X, y)
            _, gradient = reference.value_and_gradient([4, 2], ["identity"], loss, theta, X, y)
            theta, velocities[i] = reference.sgd(theta, velocities[i], gradient, rate, momentum)
    assert_close(net.parameters, theta, "float64")
    assert one.steps == two.steps == 5


def test_a_copied_trainer_goes_on_alone():
    trainer, (X, y) = trainer_of(momentum=0.9), regression(40)
    trainer.epoch(X, y, batch_size=7)
    twins = copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    trainer.epoch(X, y, batch_size=7)
    for twin in twins:
        assert twin.network.parameters.tobytes() != trainer.network.parameters.tobytes()
        twin.epoch(X, y, batch_size=7)
        assert twin.network.parameters.tobytes() == trainer.network.parameters.tobytes()
        assert twin.steps == trainer.steps


def test_two_threads_on_two_networks():
    X, y = regression(2000)

    def train(trainer):
        for _ in range(20):
            trainer.epoch(X, y, batch_size=20)

    side_by_side, alone = [trainer_of(seed=seed) for seed in (0, 1)], [trainer_of(seed=seed) for seed in (0, 1)]
    together(*(lambda trainer=trainer: train(trainer) for trainer in side_by_side))
    for trainer in alone:
        train(trainer)
    for one, other in zip(side_by_side, alone):
        assert one.network.parameters.tobytes() == other.network.parameters.tobytes()


def test_two_threads_on_one_network():
    """The threads take turns: every step is taken and counted, and other uses get whole answers."""
    net, (X, y) = fp.Network([4, 6, 2], seed=0), regression(2000)
    trainers = [fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(1e-3)) for _ in range(2)]
    still = fp.Network([4, 6, 2], seed=1)
    gradients = [still.value_and_gradient(X[:rows], y[:rows], loss="half_mse")[1] for rows in (700, 10)]
    outputs = still(X)

    def train(trainer, batch):
        for _ in range(20):
            trainer.epoch(X, y, batch_size=batch)

    def look(rows, expected):
        for _ in range(100):
            got = still.value_and_gradient(X[:rows], y[:rows], loss="half_mse")[1]
            assert got.tobytes() == expected.tobytes()
            assert still(X).tobytes() == outputs.tobytes()

    together(
        lambda: train(trainers[0], 20),
        lambda: train(trainers[1], 50),
        lambda: look(700, gradients[0]),
        lambda: look(10, gradients[1]),
    )
    assert [trainer.steps for trainer in trainers] == [20 * 100, 20 * 40]
    assert np.all(np.isfinite(net.parameters))


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_a_forked_child_trains():
    """The pool has run before the fork; the child must not wait for threads that it does not have."""
    program = """
        import os, sys, warnings
        import numpy as np, fastprop as fp

        warnings.simplefilter("ignore", DeprecationWarning)  # about fork in a process with threads
        fp.set_num_threads(2)
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(2000, 64)), rng.normal(size=(2000, 4))

        def train():
            net = fp.Network([64, 256, 256, 4], seed=0)
            net.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e-3), epochs=1, batch_size=500)
            return net.parameters.tobytes()

        expected = train()
        child = os.fork()
        if not child:
            os._exit(0 if train() == expected else 3)
        assert train() == expected
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], timeout=600, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---- repr ----


def test_the_repr_of_a_history_is_one_line():
    X, y = np.linspace(-1, 1, 60, dtype=np.float32).reshape(30, 2), np.linspace(0, 1, 30)
    net = fp.Network([2, 4, 1], seed=0)
    history = net.fit(X, y, loss="half_mse", optimizer="sgd", epochs=40, validation=0.2, seed=0)
    shown = repr(history)
    best = min(history["validation_cost"])
    assert "\n" not in shown and len(shown) < 200
    assert str(history).splitlines()[-1].endswith("best"), "str is a table, which ends with the last epoch"
    last = [f"{name} {history[name][-1]:.6g}" for name in ("cost", "validation_cost")]
    assert all(told in shown for told in ["40 epochs", *last])
    assert f"the best {best:.6g} in epoch {1 + history['validation_cost'].index(best)}" in shown
    assert history == json.loads(json.dumps(history)) == dict(history), "it is a dict like any other"


@pytest.mark.parametrize(
    "columns, shown",
    [
        ({}, "<History: 0 epochs; columns >"),
        ({"epoch": [1, 2], "cost": [float("nan")] * 2}, "<History: 2 epochs, cost nan; columns epoch, cost>"),
        (
            {"epoch": [1, 2, 3], "cost": [2.0, 1.0, float("inf")], "mine": []},
            "<History: 3 epochs, cost inf, the best 1 in epoch 2; columns epoch, cost, mine>",
        ),
    ],
)
def test_histories_of_all_kinds_are_shown(columns, shown):
    assert repr(fp.History(columns)) == shown


def test_what_notebooks_show_is_short():
    rows = np.random.default_rng(0).normal(size=(500, 20))
    net = fp.Network([20, fp.PiecewiseLinear.of(rows), 8, 1], seed=0)
    trainer = fp.Trainer(net, loss="half_mse", optimizer="adam")
    predictions = Predictions(rows[:, 0], rows[:, :1], None, fp.losses.half_mse)
    rates = fp.plots.find_rate(fp.Network([20, 1], seed=0), rows, rows[:, 0], loss="half_mse", seed=0)
    for value in (net, net.layers[0], trainer, predictions, rates):
        assert "\n" not in repr(value) and len(repr(value)) < 400, repr(value)[:500]
    assert "0 steps" in repr(trainer) and "<20 columns, 960 bins>" in repr(net)
    assert repr(fp.PiecewiseLinear([[0, 1], [0, 2, 4]])) == "PiecewiseLinear(((0.0, 1.0), (0.0, 2.0, 4.0)))"
