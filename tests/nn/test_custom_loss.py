"""A user's own loss works wherever a built-in one does, and errors say what is wrong about one."""

import pickle

import numpy as np
import pytest
import reference
import strategies

import fastprop as fp
from fastprop.nn.losses import LOSSES

RATE = fp.SGD(0.1, momentum=0.9)


def in_numpy(name):
    """Return a built-in loss as a Python function, from the twin."""

    def loss(Y, y):
        rows, dY = reference.LOSSES[name](Y.astype(np.float64), reference.targets(name, y, Y.shape))
        return np.mean(rows), dY / len(Y)

    return loss


def half_mse(Y, y):
    return 0.5 * np.mean(np.sum((Y - y) ** 2, axis=1)), (Y - y) / len(Y)


def problem(name="half_mse", rows=23, dtype="float64", layers=()):
    rng = np.random.default_rng(0)
    n_outputs = strategies.outputs_for(name, 3)
    net = fp.Network([4, 6, *layers, n_outputs], activation="tanh", dtype=dtype, seed=1)
    return net, rng.normal(size=(rows, 4)).astype(dtype), strategies.targets(name, rng, rows, n_outputs, labels=True)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_by_hand_is_the_built_in_one(name):
    net, X, y = problem(name)
    cost, gradient = net.value_and_gradient(X, y, loss=name)
    by_hand, own = net.value_and_gradient(X, y, loss=in_numpy(name))
    assert by_hand == pytest.approx(cost, rel=1e-13)
    np.testing.assert_allclose(own, gradient, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(net.gradient, own)


@pytest.mark.parametrize("layers", [(), (fp.Dropout(0.5),), (fp.BatchNorm(),)], ids=str)
@pytest.mark.parametrize("dtype, near", [("float32", 1e-5), ("float64", 1e-12)])
def test_training_takes_the_same_steps(dtype, near, layers):
    """Steps agree in the order of rows, dropout, the state of BatchNorm, validation and averages."""
    trained = []
    for loss in ("half_mse", half_mse):
        net, X, y = problem(dtype=dtype, layers=layers)
        history = net.fit(
            X, y, loss=loss, optimizer=fp.Adam(0.01), epochs=3, batch_size=5, validation=(X[:9], y[:9]), l2=0.01, seed=3
        )
        trainer = fp.Trainer(net, loss=loss, optimizer=RATE)
        costs = [trainer.step(X, y), trainer.epoch(X, y, batch_size=8), trainer.evaluate(X, y)]
        assert trainer.steps == 4
        trained.append((history, costs, net))
    (built_in, costs, net), (own, own_costs, twin) = trained
    for key in ("cost", "validation_cost"):
        np.testing.assert_allclose(own[key], built_in[key], rtol=near)
    np.testing.assert_allclose(own_costs, costs, rtol=near)
    np.testing.assert_allclose(twin.parameters, net.parameters, rtol=near, atol=near)
    np.testing.assert_allclose(twin.state, net.state, rtol=near, atol=near)


def test_schedules_and_members():
    trained = []
    for loss in ("half_mse", half_mse):
        net, X, y = problem()
        trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(fp.schedules.Cosine(0.1, steps=8)))
        trainer.epoch(X, y, batch_size=5)
        trainer.epoch(X, y, batch_size=5)
        trained.append((net.parameters, trainer.rate))
    np.testing.assert_allclose(trained[1][0], trained[0][0], rtol=1e-12)
    assert trained[0][1] == trained[1][1]
    net = fp.Network([4, 6, 3], members=4, dtype="float64", seed=0)
    cost, gradient = net.value_and_gradient(X, y, loss=half_mse)
    Y = net.forward(X)
    net.backward((Y - y) / len(Y))
    assert cost == pytest.approx(half_mse(net(X), y)[0])
    np.testing.assert_allclose(gradient, net.gradient, rtol=1e-13)


def test_y_is_what_was_given():
    """Targets may have any shape and dtype, with a row for each row of X, in the order of the batch."""
    net, X, _ = problem()
    seen = []

    def loss(Y, y):
        seen.append(y)
        assert Y.shape == (len(y), 3) and Y.flags.c_contiguous
        return 0.0, np.zeros_like(Y)

    names = np.array([[f"row {i}", "spare"] for i in range(len(X))])
    fp.Trainer(net, loss=loss, optimizer=RATE).epoch(X, names, batch_size=10)
    assert [len(y) for y in seen] == [10, 10, 3]
    assert sorted(np.concatenate(seen)[:, 0]) == sorted(names[:, 0])


def test_pickle_and_progress():
    net, X, y = problem()
    trainer = fp.Trainer(net, loss=half_mse, optimizer=RATE)
    trainer.step(X, y)
    twin = pickle.loads(pickle.dumps(trainer))
    assert twin.step(X, y) == trainer.step(X, y)
    told = []
    trainer.epoch(X, y, batch_size=5, progress=lambda *what: told.append(what))
    assert told[-1][:2] == (len(X), len(X))


# ---- what is wrong ----


def raises(Y, y):
    raise KeyError("no such key")


@pytest.mark.parametrize(
    "loss, error, words",
    [
        (raises, KeyError, ["no such key"]),
        (lambda Y, y: 1.0, TypeError, ["must return a pair (cost, dY), got float"]),
        (lambda Y, y: (np.ones(3), Y), TypeError, ["must be a number, got shape (3,)", "take its mean"]),
        (lambda Y, y: (None, Y), TypeError, ["must be a number, got None"]),
        (lambda Y, y: (1.0, Y[:, 0]), ValueError, ["of shape (", "like Y", "got shape ("]),
        (lambda Y, y: (1.0, Y.sum()), ValueError, ["got shape ()"]),
        (lambda Y, y: (1.0, None), ValueError, ["got shape () of object"]),
        (lambda Y, y: (1.0, Y * np.nan), ValueError, ["dY[0, 0]", "not finite, although its cost is 1"]),
        (lambda Y, y: (np.nan, Y), fp.DivergenceError, ["not finite", "smaller rate"]),
    ],
)
def test_a_loss_that_is_wrong(loss, error, words):
    """The network is as before that batch, including the running statistics of BatchNorm."""
    net, X, y = problem(layers=(fp.BatchNorm(),))
    trainer = fp.Trainer(net, loss=loss, optimizer=RATE)
    before = net.parameters.copy(), net.state.copy()
    for use in (
        lambda: trainer.step(X, y),
        lambda: trainer.epoch(X, y, batch_size=10),
        lambda: net.fit(X, y, loss=loss, optimizer=RATE, batch_size=10),
    ):
        with pytest.raises(error) as caught:
            use()
        for word in words:
            assert word in str(caught.value)
        assert trainer.steps == 0
        np.testing.assert_array_equal(net.parameters, before[0])
        np.testing.assert_array_equal(net.state, before[1])


def test_the_traceback_shows_where():
    net, X, y = problem()
    with pytest.raises(KeyError) as caught:
        net.value_and_gradient(X, y, loss=raises)
    assert caught.traceback[-1].name == "raises"


def test_a_loss_that_uses_the_network():
    net, X, y = problem()

    def loss(Y, y):
        net(X[:2])
        return half_mse(Y, y)

    with pytest.raises(RuntimeError, match="used the network"):
        net.value_and_gradient(X, y, loss=loss)


@pytest.mark.parametrize("y", [np.zeros(22), 3.0, np.zeros((3, 23))])
def test_y_without_a_row_for_each(y):
    net, X, _ = problem()
    with pytest.raises(ValueError, match="a row for each of the 23 rows of X"):
        net.value_and_gradient(X, y, loss=half_mse)


def test_weights_are_the_functions_own():
    net, X, y = problem()
    with pytest.raises(ValueError, match="make it a column of y"):
        net.value_and_gradient(X, y, loss=half_mse, sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match="class_weight is for losses of classes, got half_mse"):
        fp.Trainer(net, loss=half_mse, optimizer=RATE, class_weight={0: 1.0})
    with pytest.raises(TypeError, match="loss must be a name"):
        net.per_example_gradients(X, y, loss=half_mse)
