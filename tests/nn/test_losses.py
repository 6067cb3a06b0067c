"""The list of losses: hyperparameters, relations between losses, and errors for wrong targets."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import strategies

import fastprop as fp
from fastprop.nn import activations, losses
from fastprop.nn.losses import LOSSES
from fastprop.training import checkpoint, metrics

RATE = fp.SGD(0.1)


def both(loss, y, n_outputs=3, dtype="float64"):
    """Return the cost and the gradient of one small network."""
    rng = np.random.default_rng(0)
    net = fp.Network([4, 5, n_outputs], activation="tanh", dtype=dtype, seed=1)
    return net.value_and_gradient(rng.normal(size=(len(y), 4)), y, loss=loss)


def assert_same(one, other, factor=1.0):
    assert one[0] == pytest.approx(factor * other[0], rel=1e-13)
    np.testing.assert_allclose(one[1], factor * other[1], rtol=1e-11, atol=1e-14)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


# ---- the list ----


@pytest.mark.parametrize("name", LOSSES)
def test_what_the_list_says(name):
    loss = LOSSES[name]
    assert loss is getattr(fp.losses, name)
    assert loss.formula and loss.derivative and loss.source
    assert loss.describe() == name and repr(loss).startswith(f"{name}(")
    assert len(loss.hyper) <= losses._engine.HYPER


@pytest.mark.parametrize(
    "loss, shown",
    [
        (losses.huber(delta=0.5), "huber(delta=0.5)"),
        (losses.quantile(levels=[0.1, 0.9]), "quantile(levels=(0.1, 0.9))"),
        (losses.quantile(levels=0.3), "quantile(levels=(0.3,))"),
        (losses.focal(alpha=0.25), "focal(gamma=2.0, alpha=0.25)"),
        (losses.cross_entropy(label_smoothing=np.float32(0.5)), "cross_entropy(label_smoothing=0.5)"),
        (losses.half_mse(), "half_mse()"),
    ],
)
def test_numbers(loss, shown):
    assert repr(loss) == shown
    twins = [pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), LOSSES[loss.name](**loss.values)]
    twins.append(losses.parse(json.loads(json.dumps(loss.describe()))))
    assert all(twin == loss and hash(twin) == hash(loss) for twin in twins)
    assert (loss == LOSSES[loss.name]) == (loss.name == "half_mse")


def test_a_name_is_the_loss_with_its_defaults(rng):
    y = 3 * rng.normal(size=(20, 3))
    assert_same(both("huber", y), both(losses.huber(delta=1.0), y))
    assert both("huber", y)[0] != both(losses.huber(delta=0.5), y)[0]
    net = fp.Network([4, 3], dtype="float64", seed=0)
    trainer = fp.Trainer(net, loss=losses.huber(delta=0.5), optimizer=RATE)
    X = rng.normal(size=(20, 4))
    expected = net.value_and_gradient(X, y, loss=losses.huber(delta=0.5))[0]
    assert pickle.loads(pickle.dumps(trainer)).step(X, y) == trainer.step(X, y) == expected


# ---- what they are to one another ----


def test_relations_of_regressions(rng):
    y = rng.normal(size=(20, 3))
    assert_same(both(losses.huber(delta=1e6), y), both("half_mse", y))
    assert_same(both("quantile", y), both("mae", y), 0.5)
    assert_same(both("mse", y), both("squared_error", y), 1 / 3)
    levels = losses.quantile(levels=(0.1, 0.5, 0.9))
    parts = [both(losses.quantile(levels=q), np.repeat(y[:, :1], 3, axis=1)) for q in (0.1, 0.5, 0.9)]
    assert both(levels, y[:, 0])[0] < sum(part[0] for part in parts)
    assert_same(both(levels, y[:, 0]), both(levels, y[:, :1]))


def test_outputs_of_a_target_lie_side_by_side():
    net = fp.Network([1, 4], dtype="float64", seed=0)
    net.parameters[:] = 0
    net.biases[0][:] = 1.0, 0.0, 3.0, np.log(4.0)
    cost, _ = net.value_and_gradient([[0.0]], [[2.0, 7.0]], loss="gaussian_nll")
    assert cost == pytest.approx(0.5 * (0 + 1) + 0.5 * (np.log(4.0) + 16 / 4))
    cost, _ = net.value_and_gradient([[0.0]], [[1.0, 3.0]], loss=losses.quantile(levels=(0.25, 0.75)))
    assert cost == pytest.approx(0.75 * 1 + 0.75 * (3 - np.log(4.0)))


def test_relations_of_classes(rng):
    label, rows = rng.integers(3, size=20), rng.dirichlet(np.ones(3), size=20)
    for y in (label, rows):
        assert_same(both(losses.focal(gamma=0), y), both("cross_entropy", y))
        assert_same(both(losses.focal(alpha=0.25), y), both("focal", y), 0.25)
        smoothed = 0.9 * (np.eye(3)[label] if y.ndim == 1 else y) + 0.1 / 3
        assert_same(both(losses.cross_entropy(label_smoothing=0.1), y), both("cross_entropy", smoothed))
    assert_same(both("kl_divergence", label), both("cross_entropy", label))
    entropy = -np.mean(np.sum(rows * np.log(rows), axis=1))
    assert both("kl_divergence", rows)[0] == pytest.approx(both("cross_entropy", rows)[0] - entropy, rel=1e-12)
    yes = rng.random((20, 3))
    assert_same(both(losses.binary_focal(gamma=0), yes), both("binary_cross_entropy", yes))
    assert_same(both(losses.binary_focal(alpha=0.5), yes), both("binary_focal", yes), 0.5)


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.targets == "classes"])
def test_labels_are_one_hot_rows(loss, rng):
    label = rng.integers(3, size=20)
    assert_same(both(loss, label), both(loss, np.eye(3)[label]))


def test_signs(rng):
    bits = rng.integers(2, size=(20, 3))
    bits[0] = 0
    assert_same(both("binary_hinge", bits), both("binary_hinge", 2 * bits - 1))
    assert_same(both("binary_hinge", bits[:, 0], 1), both("binary_hinge", 2.0 * bits[:, :1] - 1, 1))
    assert_same(both("binary_hinge", bits.astype(bool)), both("binary_hinge", bits))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns(loss):
    """Training a network without hidden layers on one batch reduces the cost."""
    rng = np.random.default_rng(3)
    n_outputs = strategies.outputs_for(loss, 2)
    net = fp.Network([3, n_outputs], seed=0)
    X, y = rng.normal(size=(30, 3)), strategies.targets(loss, rng, 30, n_outputs, labels=True)
    trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(0.01))
    first = trainer.evaluate(X, y)
    for _ in range(300):
        trainer.step(X, y)
    assert trainer.evaluate(X, y) < first - 0.01


# ---- what is refused ----


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: losses.huber(delta=0), ValueError, ["delta of huber", "above 0", "got 0"]),
        (lambda: losses.huber(delta="1"), TypeError, ["delta of huber", "'1'"]),
        (lambda: losses.huber(detla=1), ValueError, ["hyperparameter of loss huber", "did you mean 'delta'"]),
        (lambda: losses.half_mse(delta=1), ValueError, ["half_mse has no hyperparameters"]),
        (lambda: losses.tweedie(power=2), ValueError, ["above 1 and below 2", "got 2"]),
        (lambda: losses.cross_entropy(label_smoothing=1), ValueError, ["at least 0 and below 1"]),
        (lambda: losses.focal(gamma=-1), ValueError, ["at least 0"]),
        (lambda: losses.focal(alpha=0), ValueError, ["alpha of focal", "above 0"]),
        (lambda: losses.binary_focal(alpha=1), ValueError, ["above 0 and below 1"]),
        (lambda: losses.quantile(levels=(0.5, 1.0)), ValueError, ["levels of quantile[1]", "below 1", "got 1.0"]),
        (lambda: losses.quantile(levels=(0.0, 0.5)), ValueError, ["levels of quantile[0]", "above 0"]),
        (lambda: losses.quantile(levels=(0.5, 0.1)), ValueError, ["must increase, got (0.5, 0.1)", "sorted"]),
        (lambda: losses.quantile(levels=(0.5, 0.5)), ValueError, ["must increase"]),
        (lambda: losses.quantile(levels=[]), ValueError, ["1 to 16 numbers, got 0"]),
        (lambda: losses.quantile(levels=np.arange(1, 18) / 18), ValueError, ["1 to 16 numbers, got 17"]),
        (lambda: losses.quantile(levels="0.5"), TypeError, ["levels of quantile[0]", "'0.5'"]),
    ],
)
def test_numbers_out_of_range(make, error, words):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "loss, y, words",
    [
        ("poisson", [[0.0, 1.0, 2.0], [1.0, -0.5, 0.0]], ["y[1, 1] is -0.5", "poisson takes targets of at least 0"]),
        ("tweedie", [[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]], ["y[1, 2] is -1.0", "tweedie takes targets of at least 0"]),
        ("gamma", [[1.0, 1.0, 2.0], [0.0, 1.0, 2.0]], ["y[1, 0] is 0.0", "gamma takes targets above 0"]),
        ("binary_hinge", [[0, 1, 1], [2, 0, 0]], ["y[1, 0] is 2.0", "-1 and 1, or 0 and 1"]),
        ("binary_hinge", [[-1, 1, 1], [1, 0, 1]], ["y[1, 1] is 0.0", "-1 and 1, or 0 and 1"]),
        ("focal", [[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]], ["y[0] sums to 1.5", "sum to 1"]),
        ("kl_divergence", [[0.5, 0.5, 0.0], [1.5, -0.5, 0.0]], ["y[1, 1] is -0.5", "[0, 1]"]),
        ("hinge", [0, 3], ["y[1] is 3", "[0, 3)"]),
        ("focal", [0.0, 1.0], ["focal takes integer labels"]),
    ],
)
def test_targets_out_of_range(loss, y, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        both(loss, np.array(y))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "loss, n_outputs, words",
    [
        ("gaussian_nll", 3, ["needs 2 outputs for each column of y, got a network of 3", "multiple of 2"]),
        (losses.quantile(levels=(0.1, 0.5, 0.9)), 4, ["needs 3 outputs for each column of y, got a network of 4"]),
        ("focal", 1, ["an output for each class", "use binary_focal"]),
        ("hinge", 1, ["use binary_hinge"]),
        ("kl_divergence", 1, ["use binary_cross_entropy"]),
    ],
)
def test_networks_that_do_not_fit(loss, n_outputs, words):
    for use in (
        lambda: fp.Trainer(fp.Network([4, n_outputs]), loss=loss, optimizer=RATE),
        lambda: both(loss, np.zeros(2), n_outputs),
    ):
        with pytest.raises(ValueError) as caught:
            use()
        for word in words:
            assert word in str(caught.value)


def test_the_shape_of_y_where_a_target_has_more_outputs():
    with pytest.raises(ValueError, match=r"shape \(5, 2\), got \(5, 4\).*4 outputs, 2 for each column of y"):
        both("gaussian_nll", np.zeros((5, 4)), 4)


# ---- last layers that keep a loss from the scores that it takes ----

SQUASHING = ("sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softsign", "gaussian", "sin", "relu6", "softmax")
ONE_SIDED = ("relu", "softplus", "elu", "gelu", "silu", "log_sigmoid", "log_softmax")
LINKED = [name for name, loss in LOSSES.items() if loss.link != "identity"]
OF_CLASSES = ("cross_entropy", "kl_divergence", "focal")
FINE = {  # what is right by the mathematics, and in use
    *((last, name) for last in ONE_SIDED for name in (*OF_CLASSES, "hinge")),  # differences of scores have no bound
    *((last, name) for last in ("tanh", "hard_tanh", "softsign", "sin") for name in ("hinge", "binary_hinge")),
    ("relu6", "hinge"), ("elu", "binary_hinge"),
}  # fmt: skip
ENDS = {
    "Dense": lambda last: [fp.Dense(4, last)],
    "Activation": lambda last: [4, fp.Activation(last)],
    "Scale": lambda last: [fp.Dense(4, last), fp.Scale()],
    "in Scale": lambda last: [4, fp.Scale(last, bias=True)],
    "BatchNorm": lambda last: [4, fp.BatchNorm(last)],
    "LayerNorm": lambda last: [4, fp.LayerNorm(last)],
    "Residual": lambda last: [4, fp.Residual([4], last)],
    "sum": lambda last: [fp.Dense(4, last), fp.Residual([fp.Dense(4, last)])],
    "Dropout": lambda last: [fp.Dense(4, last), fp.Dropout(0.2), fp.Scale()],
}


def entries(net, loss):
    """Return every function that takes a loss."""
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = strategies.targets(loss, np.random.default_rng(1), 5, net.n_outputs, labels=True)
    ensemble = fp.Ensemble(2, [3, *net.layers], seed=0)
    trainer = fp.Trainer(net, loss="mse", optimizer=RATE)
    arrays = {"parameters": net.parameters, "state": net.state}
    return {
        "Trainer": lambda: fp.Trainer(net, loss=loss, optimizer=RATE),
        "fit": lambda: net.fit(X, y, loss=loss, optimizer=RATE, epochs=1),
        "fit by LBFGS": lambda: net.fit(X, y, loss=loss, optimizer=fp.LBFGS(), epochs=1),
        "value_and_gradient": lambda: net.value_and_gradient(X, y, loss=loss),
        "evaluate": lambda: metrics.evaluate("accuracy", net, X, y, loss=loss),
        "per_example_gradients": lambda: net.per_example_gradients(X, y, loss=loss),
        "hessian_vector_product": lambda: net.hessian_vector_product(X, y, np.ones(net.n_parameters), loss=loss),
        "trace": lambda: fp.trace(net, X, y, loss=loss),
        "EnsembleTrainer": lambda: fp.EnsembleTrainer(ensemble, loss=loss, optimizer=RATE),
        "Ensemble.fit": lambda: ensemble.fit(X, y, loss=loss, optimizer=RATE, epochs=1),
        "load_checkpoint": lambda: checkpoint.Saved(
            Path("run"), checkpoint.describe_trainer(trainer) | {"loss": loss}, {}, {}, arrays
        ).trainer(),
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", LINKED)
@pytest.mark.parametrize("last", [*SQUASHING, *ONE_SIDED])
def test_a_last_activation_that_keeps_a_loss_from_its_scores_is_refused(last, loss):
    net = fp.Network([3, 5, fp.Dense(4, last)], seed=0)
    before = net.parameters.copy()
    if (last, loss) in FINE:
        assert np.isfinite(entries(net, loss)["value_and_gradient"]()[0])
        return
    for use in entries(net, loss).values():
        with pytest.raises(ValueError, match=f"(?s){loss} .*'{last}'.*Leave that activation out.*'mse'"):
            use()
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("last, loss", [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")])
@pytest.mark.parametrize("end", ENDS)
def test_a_last_layer_of_several_parts_is_seen_through(end, last, loss):
    net = fp.Network([3, 5, *ENDS[end](last)], seed=0)
    with pytest.raises(ValueError, match=f"{loss} .*'{last}'"):
        fp.Trainer(net, loss=loss, optimizer=RATE)
    fp.Trainer(net, loss="mse", optimizer=RATE)


@pytest.mark.parametrize("loss", LINKED)
def test_members_are_seen_through_and_what_learns_its_shift_is_fine(loss):
    def trained(*layers, **how):
        fp.Trainer(fp.Network([3, 5, *layers], seed=0, **how), loss=loss, optimizer=RATE)

    with pytest.raises(ValueError, match="'sigmoid'"):
        trained(fp.Dense(4, "sigmoid"), members=3)
    trained(fp.Dense(4, "sigmoid"), fp.BatchNorm())
    trained(fp.Dense(4, "sigmoid"), fp.Scale(bias=True))
    trained(fp.Dense(4, "sigmoid"), 4)
    trained(fp.Dense(4), fp.Residual([fp.Dense(4, "sigmoid")]))
    trained(fp.Dense(4, fp.activations.leaky_relu))
    trained(fp.Dense(4, "prelu"))


@pytest.mark.parametrize("last", [*SQUASHING, *ONE_SIDED])
def test_losses_without_a_link_take_every_last_activation(last):
    net = fp.Network([3, 5, fp.Dense(4, last)], seed=0)
    for loss in set(LOSSES) - set(LINKED):
        assert np.isfinite(entries(net, loss)["value_and_gradient"]()[0])

    def own(Y, y):
        return float(np.mean((Y - y) ** 2)), 2 * (Y - y) / Y.size

    fp.Trainer(net, loss=own, optimizer=RATE)


def test_the_log_of_a_softmax_has_the_same_cross_entropy(rng):
    """It is right, although it is redundant: softmax(log_softmax(z)) = softmax(z)."""
    X, y = rng.normal(size=(6, 4)), rng.integers(3, size=6)
    plain = fp.Network([4, 5, 3], dtype="float64", seed=1)
    double = fp.Network([4, 5, fp.Dense(3, "log_softmax")], dtype="float64", seed=1)
    double.parameters = plain.parameters
    for loss in (*OF_CLASSES, "hinge"):
        assert_same(*(net.value_and_gradient(X, y, loss=loss) for net in (double, plain)))


@pytest.mark.parametrize("activation", [*activations.ACTIVATIONS.values(), activations.leaky_relu(slope=0.0)], ids=str)
def test_the_range_of_each_activation(activation):
    """Outputs lie within the range, and come close to its ends."""
    z = np.concatenate([np.linspace(-20, 20, 400_001), [-1e6, 1e6]])
    net = fp.Network([1, fp.Activation(activation)], dtype="float64")
    a, (low, high) = net(z[:, None]), activation.range
    assert low <= a.min() and a.max() <= high
    assert a.min() < -1000 if low == -np.inf else a.min() == pytest.approx(low, abs=2e-4)
    assert a.max() > 1000 if high == np.inf else a.max() == pytest.approx(high, abs=2e-4)


# ---- labels of another kind ----


@pytest.mark.parametrize(
    "loss, n_outputs, y, words",
    [
        ("cross_entropy", 2, [-1, 1, 1], ["y[0] is -1", "count from 0", "1 output with loss='binary_hinge'"]),
        ("hinge", 3, [0, -1, 2], ["y[1] is -1", "np.unique(y, return_inverse=True)[1]", "without a label"]),
        ("focal", 3, [1, 2, 3], ["y[2] is 3", "count from 0", "give the network 4 outputs"]),
        ("binary_cross_entropy", 1, [-1, 1, 1], ["y[0] is -1", "(y + 1) / 2", "binary_hinge"]),
        ("binary_cross_entropy", 2, [0, 1, 1], ["(3, 2), got (3,)", "loss='cross_entropy'"]),
        ("mse", 3, [0, 1, 2], ["(3, 3), got (3,)", "loss='cross_entropy'"]),
    ],
)
def test_labels_that_do_not_fit_are_told_what_to_do(loss, n_outputs, y, words):
    with pytest.raises(ValueError) as caught:
        both(loss, np.array(y), n_outputs)
    for word in words:
        assert word in str(caught.value)
    assert "give the network 2 outputs" not in str(caught.value)
