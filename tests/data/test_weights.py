"""Weights of rows and of classes: what they mean, and what is refused."""

import numpy as np
import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastprop as fp
from fastprop.nn.losses import LOSSES

RATE = fp.SGD(0.1)


def problem(loss, rows=12, dtype="float64", seed=0):
    """Return a network, and a batch for its loss."""
    rng = np.random.default_rng(seed)
    n_outputs = 3 * LOSSES[loss].outputs
    net = fp.Network([4, 5, n_outputs], activation="tanh", dtype=dtype, seed=seed)
    X = rng.normal(size=(rows, 4)).astype(dtype)
    return net, X, strategies.targets(loss, rng, rows, n_outputs, labels=True)


@pytest.mark.usefixtures("isa")
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=10)
@pytest.mark.parametrize("loss", LOSSES)
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=40).filter(any), seed=strategies.seeds())
def test_a_weight_of_k_equals_k_copies_of_the_row(loss, counts, seed):
    net, X, y = problem(loss, len(counts), seed=seed)
    cost, gradient = net.value_and_gradient(X, y, loss=loss, sample_weight=counts)
    copied_cost, copied = net.value_and_gradient(np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0), loss=loss)
    assert cost == pytest.approx(copied_cost, rel=1e-13)
    np.testing.assert_allclose(gradient, copied, rtol=1e-11, atol=1e-13 * np.max(np.abs(copied)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_door_takes_weights(dtype):
    net, X, y = problem("cross_entropy", dtype=dtype)
    weight = np.linspace(0, 3, len(X))
    cost, gradient = net.value_and_gradient(X, y, loss="cross_entropy", sample_weight=weight)
    trainer = fp.Trainer(net, loss="cross_entropy", optimizer=RATE)
    assert trainer.evaluate(X, y, sample_weight=weight) == pytest.approx(cost, rel=1e-6)
    before = net.parameters.copy()
    assert trainer.step(X, y, sample_weight=weight) == cost
    np.testing.assert_allclose(net.parameters, before - 0.1 * gradient, rtol=1e-6)
    cost = trainer.evaluate(X, y, sample_weight=weight)
    assert trainer.epoch(X, y, batch_size=len(X), sample_weight=weight) == pytest.approx(cost, rel=1e-6)
    history = net.fit(
        X, y, loss="cross_entropy", optimizer=RATE, epochs=2, batch_size=5, sample_weight=weight,
        validation=(X, y, weight),
    )  # fmt: skip
    assert history["validation_cost"][-1] == trainer.evaluate(X, y, sample_weight=weight)


def test_rows_of_no_weight_do_not_matter():
    net, X, y = problem("half_mse")
    other, _, _ = problem("half_mse")
    weight = np.ones(len(X))
    weight[::3] = 0
    spoilt = np.where(weight[:, None] == 0, 1e6, X)
    for model, inputs in ((net, X), (other, spoilt)):
        fp.Trainer(model, loss="half_mse", optimizer=RATE, seed=1).epoch(inputs, y, batch_size=4, sample_weight=weight)
    np.testing.assert_allclose(net.parameters, other.parameters, rtol=1e-12)


def test_a_batch_without_weight_changes_nothing():
    """An epoch may shuffle all rows with weight 0 into one batch."""
    net, X, y = problem("half_mse")
    weight = np.zeros(len(X))
    weight[0] = 1
    trainer = fp.Trainer(net, loss="half_mse", optimizer=RATE)
    cost = trainer.evaluate(X[:1], y[:1])
    assert trainer.epoch(X, y, batch_size=1, sample_weight=weight) == pytest.approx(cost)
    assert trainer.steps == len(X)
    twin, _, _ = problem("half_mse")
    fp.Trainer(twin, loss="half_mse", optimizer=RATE).step(X[:1], y[:1])
    np.testing.assert_array_equal(net.parameters, twin.parameters)


# ---- classes ----


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.targets == "classes"])
def test_a_class_weight_equals_the_matching_sample_weights(loss):
    by_class, by_row = {0: 2.0, 2: 0.5}, np.array([2.0, 1.0, 0.5])
    one, X, y = problem(loss)
    other, _, _ = problem(loss)
    y[:3] = 0, 1, 2
    extra = np.linspace(1, 2, len(X))
    one.fit(X, y, loss=loss, optimizer=RATE, batch_size=5, epochs=2, class_weight=by_class, sample_weight=extra)
    other.fit(X, y, loss=loss, optimizer=RATE, batch_size=5, epochs=2, sample_weight=by_row[y] * extra)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    trainers = [
        fp.Trainer(one, loss=loss, optimizer=RATE, class_weight=by_class), fp.Trainer(other, loss=loss, optimizer=RATE)
    ]  # fmt: skip
    assert trainers[0].step(X, y) == trainers[1].step(X, y, sample_weight=by_row[y])
    assert trainers[0].evaluate(X, y) == trainers[1].evaluate(X, y), "a measure, not a training cost"


def test_balanced_is_scikit_learns_formula():
    one, X, y = problem("cross_entropy")
    other, _, _ = problem("cross_entropy")
    y[:] = [0] * 8 + [2] * 4
    one.fit(X, y, loss="cross_entropy", optimizer=RATE, batch_size=5, class_weight="balanced")
    weight = np.where(y == 0, 12 / (2 * 8), 12 / (2 * 4))
    other.fit(X, y, loss="cross_entropy", optimizer=RATE, batch_size=5, sample_weight=weight)
    np.testing.assert_array_equal(one.parameters, other.parameters)


def test_classes_of_one_output():
    nets = [fp.Network([4, 5, 1], dtype="float64", seed=0) for _ in range(2)]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(2, size=20)
    how = {"loss": "binary_cross_entropy", "optimizer": RATE, "batch_size": 6}
    nets[0].fit(X, y, class_weight={1: 3.0}, **how)
    nets[1].fit(X, y, sample_weight=1.0 + 2.0 * y, **how)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


# ---- errors ----


@pytest.mark.parametrize(
    "weight, error, words",
    [
        (np.zeros(12), ValueError, ["sample_weight is 0 for every row", "positive weight"]),
        ([-1.0] + 11 * [1.0], ValueError, ["sample_weight[0] is -1.0", "at least 0"]),
        (11 * [1.0] + [np.nan], ValueError, ["sample_weight[11] is nan", "finite"]),
        (np.ones(11), ValueError, ["shape (12,), got (11,)", "each row of X"]),
        (np.ones((12, 1)), ValueError, ["shape (12,), got (12, 1)", "ravel()"]),
        (np.array(12 * ["a"]), TypeError, ["sample_weight must hold real numbers"]),
    ],
)
def test_weights_that_are_none(weight, error, words):
    net, X, y = problem("half_mse")
    before = net.parameters.copy()
    trainer = fp.Trainer(net, loss="half_mse", optimizer=RATE)
    calls = [
        lambda: net.value_and_gradient(X, y, loss="half_mse", sample_weight=weight),
        lambda: trainer.step(X, y, sample_weight=weight),
        lambda: trainer.epoch(X, y, batch_size=3, sample_weight=weight),
        lambda: trainer.evaluate(X, y, sample_weight=weight),
        lambda: net.fit(X, y, loss="half_mse", optimizer=RATE, batch_size=3, sample_weight=weight),
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        for word in words:
            assert word in str(caught.value)
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize(
    "chosen, error, words",
    [
        ({3: 1.0}, ValueError, ["weight for 3", "no class", "[0, 3)"]),
        ({"cat": 1.0}, ValueError, ["weight for 'cat'", "no class"]),
        ({True: 1.0}, ValueError, ["weight for True"]),
        ({1: -1.0}, ValueError, ["class_weight[1]", "at least 0", "-1.0"]),
        ({1: np.nan}, ValueError, ["class_weight[1]", "nan"]),
        ([1.0, 2.0, 3.0], TypeError, ["dict of label -> weight, or 'balanced'"]),
        ("even", TypeError, ["'balanced'", "'even'"]),
    ],
)
def test_class_weights_that_are_none(chosen, error, words):
    net, X, y = problem("cross_entropy")
    for call in (
        lambda: fp.Trainer(net, loss="cross_entropy", optimizer=RATE, class_weight=chosen),
        lambda: net.fit(X, y, loss="cross_entropy", optimizer=RATE, batch_size=5, class_weight=chosen),
    ):
        with pytest.raises(error) as caught:
            call()
        for word in words:
            assert word in str(caught.value)


def test_class_weights_and_what_y_holds():
    net, X, y = problem("cross_entropy")
    y[:] = 1
    how = {"loss": "cross_entropy", "optimizer": RATE, "batch_size": 5}
    with pytest.raises(ValueError, match=r"weight for 2, but no row of y is of that class.*\[1\]"):
        net.fit(X, y, class_weight={1: 2.0, 2: 1.0}, **how)
    with pytest.raises(ValueError, match="0 for every row"):
        net.fit(X, y, class_weight={1: 0.0}, **how)
    with pytest.raises(ValueError, match="got probabilities; use sample_weight"):
        net.fit(X, np.full((12, 3), 1 / 3), class_weight={1: 0.0}, **how)
    trainer = fp.Trainer(net, loss="cross_entropy", optimizer=RATE, class_weight="balanced")
    with pytest.raises(ValueError, match=r"one mini-batch does not show; use epoch\(\) or fit\(\)"):
        trainer.step(X, y)


@pytest.mark.parametrize("loss, n_outputs", [("half_mse", 1), ("half_mse", 3), ("binary_cross_entropy", 3)])
def test_class_weights_for_a_loss_without_classes(loss, n_outputs):
    with pytest.raises(ValueError, match=rf"losses of classes, got {loss} with {n_outputs} outputs; use sample_weight"):
        fp.Trainer(fp.Network([2, n_outputs]), loss=loss, optimizer=RATE, class_weight={0: 1.0})
