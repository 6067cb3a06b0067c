"""Schedules: their formulas, written out; how a Trainer follows them; what they refuse. test_peers.py asks PyTorch."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest

import fastprop as fp
from fastprop.optim import schedules as s

# a schedule of each kind -> its formula for the time t after the warm-up
FORMULAS = [
    (s.Constant(0.1), lambda t: 0.1),
    (s.Step(0.1, steps=7, factor=0.5), lambda t: 0.1 * 0.5 ** (t // 7)),
    (s.Exponential(0.1, steps=4, factor=0.8), lambda t: 0.1 * 0.8 ** (t / 4)),
    (s.Cosine(0.1, steps=40), lambda t: 0.05 * (1 + math.cos(math.pi * min(t / 40, 1)))),
    (s.Cosine(0.1, steps=30, final=0.02), lambda t: 0.02 + 0.04 * (1 + math.cos(math.pi * min(t / 30, 1)))),
    (s.Cosine(0.1, steps=10, restarts=True), lambda t: 0.05 * (1 + math.cos(math.pi * (t % 10) / 10))),
    (s.Cosine(0.1, steps=5, restarts=True, growth=2), lambda t: 0.05 * (1 + math.cos(math.pi * grown(t, 5)))),
    (s.InverseSquareRoot(0.1, steps=8), lambda t: 0.1 * math.sqrt(8 / (8 + t))),
    (s.Polynomial(0.1, steps=30, power=2, final=0.01), lambda t: 0.01 + 0.09 * (1 - min(t / 30, 1)) ** 2),
    (s.CosLog4(0.1, steps=32), lambda t: 0.05 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * min(t / 32, 1))))),
    (s.OneCycle(0.1, steps=40), lambda t: one_cycle(t, 40)),
    (s.ReduceOnPlateau(0.1), lambda t: 0.1),
]  # fmt: skip
WITH_LENGTH = [(schedule, formula) for schedule, formula in FORMULAS if schedule.steps is not None]
EACH = pytest.mark.parametrize("schedule, formula", FORMULAS, ids=[str(schedule) for schedule, _ in FORMULAS])


def grown(t, length):
    """Return the share of its cycle that has passed, where each cycle is twice as long as the one before."""
    while t >= length:
        t, length = t - length, 2 * length
    return t / length


def one_cycle(t, steps, largest=0.1, rise=0.3, start=25.0, end=1e4):
    """Rise along half a cosine, and fall along another."""
    top, bottom, first = rise * steps - 1, steps - 1, largest / start
    if t <= top:
        return largest + (first - largest) * (1 + math.cos(math.pi * t / top)) / 2
    share = min((t - top) / (bottom - top), 1)
    return first / end + (largest - first / end) * (1 + math.cos(math.pi * share)) / 2


@EACH
def test_is_its_formula(schedule, formula):
    rates = schedule.rates(np.arange(100))
    np.testing.assert_allclose(rates, [formula(t) for t in range(100)], rtol=1e-12, atol=1e-15)


@EACH
def test_any_step_alone_has_the_same_rate(schedule, formula):
    rates = schedule.rates(np.arange(100))
    assert [schedule.rates([t])[0] for t in range(100)] == rates.tolist()


@EACH
def test_warm_up(schedule, formula):
    """The warm-up is a line up to the start of the schedule; the `steps` of a schedule that ends include it."""
    longer = {} if schedule.steps is None else {"steps": schedule.steps + 10 * isinstance(schedule, s._Ending)}
    if isinstance(schedule, s.Cosine) and schedule.restarts:
        longer = {}
    rates = dataclasses.replace(schedule, warmup=10, **longer).rates(np.arange(100))
    np.testing.assert_allclose(rates[:10], formula(0) * np.arange(1, 11) / 10, atol=1e-17)
    np.testing.assert_allclose(rates[10:], [formula(t) for t in range(90)], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("schedule, _", WITH_LENGTH, ids=[str(schedule) for schedule, _ in WITH_LENGTH])
def test_by_epoch_goes_on_step_by_step(schedule, _):
    by_epoch = dataclasses.replace(schedule, steps=None, epochs=schedule.steps / 10)
    assert by_epoch.by_epoch and not schedule.by_epoch
    rates = by_epoch.rates(np.arange(100) / 10, 1 / 10)
    np.testing.assert_allclose(rates, schedule.rates(np.arange(100)), rtol=1e-9, atol=1e-12)


def trainer(rate, kind=fp.SGD, **options):
    net = fp.Network([3, 4, 1], activation="tanh", dtype="float64", seed=0)
    return fp.Trainer(net, loss="half_mse", optimizer=kind(rate), **options)


def data(rows=50):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 3)), rng.normal(size=(rows, 1))


def steps_at(rates, batches, kind=fp.SGD):
    """Return the parameters after steps at these rates, each set by hand."""
    net = trainer(0.1).network
    for rate, (x, y) in zip(rates, batches, strict=True):
        net.parameters -= rate * net.value_and_gradient(x, y, loss="half_mse")[1]
    return net.parameters


def test_steps_follow_the_schedule():
    schedule = s.Cosine(0.3, steps=12, warmup=3)
    X, y = data()
    batches = [(X[i : i + 4], y[i : i + 4]) for i in range(0, 48, 4)]
    trained = trainer(schedule)
    for t, (x, target) in enumerate(batches):
        assert trained.rate == schedule.rates([t])[0]
        trained.step(x, target)
    expected = steps_at(schedule.rates(np.arange(12)), batches)
    np.testing.assert_allclose(trained.network.parameters, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [fp.SGD, fp.Adam, fp.NAdam])
def test_an_epoch_has_the_rates_of_its_steps(kind):
    """Another trainer with the same order of rows takes the steps one by one."""
    X, y = data(64)
    schedule = s.Polynomial(0.3, steps=40)
    whole = trainer(schedule, kind)
    for _ in range(3):
        whole.epoch(X, y, batch_size=5)
    single = trainer(schedule, kind)
    for _ in range(3):
        order = np.empty(64, np.int64)
        fp._core._engine.shuffle(order, single.seed, single.steps)
        for at in range(0, 64, 5):
            single.step(X[order[at : at + 5]], y[order[at : at + 5]])
    assert whole.steps == single.steps == 39
    assert whole.network.parameters.tobytes() == single.network.parameters.tobytes()
    assert whole.rate == single.rate == pytest.approx(schedule.rates([39])[0])


def test_by_epoch_in_a_trainer():
    X, y = data(50)
    trained = trainer(s.Step(0.1, epochs=2))
    seen = []
    for _ in range(5):
        seen.append(trained.rate)
        trained.epoch(X, y, batch_size=10)
    np.testing.assert_allclose(seen, [0.1, 0.1, 0.01, 0.01, 0.001])
    assert trained.steps == 25


def test_progress_and_interruption_do_not_disturb_it():
    X, y = data(50)
    schedule = s.Exponential(0.1, steps=10)
    expected, trained = trainer(schedule), trainer(schedule)

    def stop(*_):
        raise KeyboardInterrupt

    expected.epoch(X, y, batch_size=7)
    trained.epoch(X, y, batch_size=7, progress=lambda *_: None)
    assert trained.network.parameters.tobytes() == expected.network.parameters.tobytes()
    with pytest.raises(KeyboardInterrupt):
        trained.epoch(X, y, batch_size=7, progress=stop)
    assert trained.rate == schedule.rates([trained.steps])[0]


STATEFUL = [s.Cosine(0.1, epochs=9), s.Cosine(0.1, steps=30), s.ReduceOnPlateau(0.5, patience=0)]


@pytest.mark.parametrize("schedule", STATEFUL, ids=str)
def test_copies_go_on_as_the_original(schedule):
    X, y = data(50)
    trained = trainer(schedule)
    for _ in range(3):
        trained.epoch(X, y, batch_size=10)
    for other in (copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):
        again = copy.deepcopy(trained)
        assert other.rate == again.rate
        for _ in range(3):
            assert (other.epoch(X, y), other.rate) == (again.epoch(X, y), again.rate)


def test_another_optimiser_starts_its_schedule():
    X, y = data(50)
    trained = trainer(s.Cosine(0.1, steps=10))
    trained.epoch(X, y, batch_size=10)
    trained.optimizer = fp.SGD(s.Cosine(0.2, steps=10))
    assert trained.rate == 0.2
    trained.epoch(X, y, batch_size=10)
    assert trained.rate == pytest.approx(0.1)


# ---- plateaus ----


def follow(schedule, costs):
    """Return the factor after each of the costs."""
    known, after = schedule.initial_state(), []
    for cost in costs:
        known = schedule.next_state(known, cost)
        after.append(schedule.scale(known))
    return after


def test_a_plateau_reduces_after_patience():
    schedule = s.ReduceOnPlateau(1.0, factor=0.5, patience=2, threshold=0.1)
    assert follow(schedule, [10, 9.5, 9.2, 9.1]) == [1, 1, 1, 0.5], "none is better by a tenth"
    assert follow(schedule, [10, 8, 7, 6, 5]) == [1] * 5
    assert follow(schedule, [10, 10, 10, 8, 8, 8, 8]) == [1, 1, 1, 1, 1, 1, 0.5], "a better one starts anew"


def test_a_cooldown_is_not_counted():
    schedule = s.ReduceOnPlateau(1.0, factor=0.5, patience=0, cooldown=2)
    assert follow(schedule, [1, 1, 1, 1, 1, 1]) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_the_least_rate():
    assert follow(s.ReduceOnPlateau(1.0, patience=0, least=0.03), [1, 1, 1, 1]) == [1, 0.1, 0.03, 0.03]


def test_negative_costs_can_be_better():
    assert follow(s.ReduceOnPlateau(1.0, patience=0), [-1, -2, -3, -3]) == [1, 1, 1, 0.1]


def test_an_epoch_tells_its_cost():
    X, y = data(50)
    trained, schedule = trainer(s.ReduceOnPlateau(1e-9, patience=0)), s.ReduceOnPlateau(1e-9, patience=0)
    costs = [trained.epoch(X, y) for _ in range(3)]
    assert trained.rate == pytest.approx(1e-9 * follow(schedule, costs)[-1])


def test_fit_tells_the_cost_of_the_validation_rows(monkeypatch):
    """The training cost falls; the cost of the validation rows, which have other targets, rises."""
    X, y = data(50)
    given, schedule = (X, -10 * y), s.ReduceOnPlateau(0.1, patience=1)
    costs, next_state = [], s.ReduceOnPlateau.next_state

    def listen(self, state, cost):
        costs.append(cost)
        return next_state(self, state, cost)

    monkeypatch.setattr(s.ReduceOnPlateau, "next_state", listen)
    net = trainer(0.1).network
    history = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(schedule), epochs=6, validation=given)
    assert costs == history["validation_cost"]
    assert follow(schedule, costs.copy())[-1] < 1


# ---- errors ----


BAD_NUMBERS = [
    (lambda: s.Constant(0), "rate must be a number above 0"),
    (lambda: s.Constant(0.1, steps=5), "Constant has no length"),
    (lambda: s.Cosine(0.1), "takes its length as steps=... or as epochs=..., one of the two"),
    (lambda: s.Cosine(0.1, steps=1, epochs=1), "one of the two; got steps=1 and epochs=1"),
    (lambda: s.Cosine(0.1, steps=0), "steps must be a number above 0"),
    (lambda: s.Cosine(0.1, epochs=-1), "epochs must be a number above 0"),
    (lambda: s.Cosine(0.1, steps=10, warmup=10), "must leave some for the rest, got warmup=10"),
    (lambda: s.Cosine(0.1, steps=10, warmup=-1), "warmup must be a number at least 0"),
    (lambda: s.Cosine(0.1, steps=10, final=-1), "final must be"),
    (lambda: s.Cosine(0.1, steps=10, growth=2), "growth=2 is of cycles; use restarts=True"),
    (lambda: s.Cosine(0.1, steps=10, restarts=True, growth=0.5), "growth must be a number at least 1"),
    (lambda: s.Step(0.1, steps=10, factor=0), "factor must be a number above 0"),
    (lambda: s.Exponential(0.1, steps=10, factor=-1), "factor must be"),
    (lambda: s.OneCycle(0.1, steps=10, rise=1), "rise must be"),
    (lambda: s.OneCycle(0.1, steps=10, start_factor=0.5), "start_factor must be"),
    (lambda: s.Polynomial(0.1, steps=10, power=0), "power must be"),
    (lambda: s.ReduceOnPlateau(0.1, factor=1), "factor must be"),
    (lambda: s.ReduceOnPlateau(0.1, patience=-1), "patience must be"),
    (lambda: s.ReduceOnPlateau(0.1, threshold=1), "threshold must be"),
]


@pytest.mark.parametrize("wrong, message", BAD_NUMBERS, ids=[message for _, message in BAD_NUMBERS])
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_what_is_of_another_type():
    with pytest.raises(TypeError, match="restarts must be True or False"):
        s.Cosine(0.1, steps=10, restarts=1)
    with pytest.raises(TypeError, match="rate must be a number above 0"):
        s.Step("0.1", steps=1)


def test_a_cost_that_is_nan_is_no_best_cost():
    """No later cost could be better than -infinity."""
    plateau = fp.schedules.ReduceOnPlateau(0.1, patience=1)
    known = plateau.initial_state()
    for cost in (math.nan, 5.0, math.nan, 4.0, 3.0, 2.0):
        known = plateau.next_state(known, cost)
    assert known[0] == 2.0 and plateau.scale(known) == 1.0


# ---- a schedule that ends long before the training ----

# for 5 epochs of 4 steps: schedules that end in the first epoch, in the middle, and at the end or never
EARLY = [
    s.Cosine(0.01, steps=2), s.Cosine(0.01, epochs=1), s.Cosine(0.01, steps=10, warmup=4), s.Cosine(0.01, steps=16),
    s.OneCycle(0.01, steps=3), s.OneCycle(0.01, epochs=2), s.Polynomial(0.01, steps=4), s.Polynomial(0.01, epochs=3.5),
    s.CosLog4(0.01, steps=7), s.Exponential(0.01, steps=1, factor=0.1), s.Exponential(0.01, epochs=0.1, factor=0.1),
    s.Step(0.01, steps=1, factor=1e-3),
]  # fmt: skip
IN_TIME = [
    s.Cosine(0.01, steps=20), s.Cosine(0.01, epochs=5), s.Cosine(0.01, epochs=50), s.Cosine(0.01, steps=17),
    s.Cosine(0.01, steps=2, final=1e-4), s.Cosine(0.01, steps=2, restarts=True),
    s.Polynomial(0.01, steps=4, final=1e-3), s.OneCycle(0.01, epochs=5),
    s.OneCycle(0.01, steps=2, end_factor=10), s.CosLog4(0.01, epochs=5),
    s.Exponential(0.01, steps=1), s.Exponential(0.01, steps=1, factor=1.1), s.Step(0.01, epochs=1), s.Constant(0.01),
    s.Step(0.01, steps=2, factor=1.0), s.InverseSquareRoot(0.01, steps=1), s.ReduceOnPlateau(0.01),
]  # fmt: skip


def trainings(schedule, **how):
    """Return every way to train for a number of epochs that is given before."""
    X, y = np.random.default_rng(0).normal(size=(32, 3)), np.zeros(32)
    how = {"loss": "mse", "optimizer": fp.SGD(schedule), "epochs": 5, "batch_size": 8, **how}
    return [lambda: fp.Network([3, 1]).fit(X, y, **how), lambda: fp.Ensemble(2, [3, 1]).fit(X, y, **how)]


@pytest.mark.parametrize("schedule", EARLY, ids=str)
def test_a_schedule_that_is_over_early_is_warned_of(schedule):
    late = schedule.rates(np.arange(16, 20) / (4 if schedule.by_epoch else 1), 0.25 if schedule.by_epoch else 1)
    assert late.max() <= 1e-5 * schedule.rate, "the last epoch changes nothing"
    for train in trainings(schedule):
        with pytest.warns(UserWarning, match=rf"{type(schedule).__name__} is next to nothing.* and 20 steps.*epochs=5"):
            train()


@pytest.mark.parametrize("schedule", IN_TIME, ids=str)
def test_others_are_not(schedule):
    for train in trainings(schedule):
        train()


def test_the_steps_that_were_given_and_those_planned_are_named():
    with pytest.warns(UserWarning, match=r"after 10 steps, and 200 steps are planned \(50 epochs of 4\).* 190"):
        trainings(s.Cosine(0.01, steps=10), epochs=50)[0]()
    with pytest.warns(UserWarning, match=r"after 3 steps, and 8 steps are planned \(1 epochs of 8\), so the last 5"):
        trainings(s.Cosine(0.01, steps=3), epochs=1, batch_size=4)[0]()


def test_a_training_that_goes_on_is_warned_of_by_what_is_left(tmp_path):
    how = {"callbacks": fp.Checkpoint(tmp_path), "resume": tmp_path, "seed": 0}
    trainings(s.Cosine(0.01, epochs=5), **how)[0]()
    with pytest.warns(UserWarning, match=r"after 20 steps, and 40 steps are planned \(5 epochs of 4\), so the last 20"):
        trainings(s.Cosine(0.01, epochs=5), epochs=10, **how)[0]()
