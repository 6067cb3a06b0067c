"""One network is used by several threads at once: numbers are right, or an error names the cause; no deadlock.

Threads change places after every few instructions here, so that what can come between two passes does.
"""

import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from concurrency import together

import fastprop as fp
from fastprop.training import callbacks

CALLS = 300
USERS = 3
LAYERS = {
    "dense": [3, 5, 4],
    "members": [3, 5, 4],
    "norms": [3, fp.Dense(6, "tanh"), fp.BatchNorm(), fp.LayerNorm(), fp.Dropout(0.2), fp.Dense(4)],
    "residual": [3, 4, fp.Residual([fp.Dense(4, "tanh")]), 4],
}


@pytest.fixture(autouse=True)
def switching():
    """Python switches between threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made(layers="dense", dtype="float64"):
    return fp.Network(LAYERS[layers], seed=0, dtype=dtype, activation="tanh", members=3 if layers == "members" else 1)


def rows(seed, n=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 4))


def own_loss(Y, y):
    return float(np.mean((Y - y) ** 2)), 2 * (Y - y) / Y.size


# Single calls of a user, for a network, X and y: their numbers do not depend on other users of the network.
ONE_CALL = {
    "call": lambda net, X, y: net(X),
    "jacobian": lambda net, X, y: net.jacobian(X),
    "value_and_gradient": lambda net, X, y: net.value_and_gradient(X, y, loss="half_mse")[1],
    "value_and_gradient in training": lambda net, X, y: net.value_and_gradient(X, y, loss="half_mse", training=True)[1],
    "value_and_gradient of an own loss": lambda net, X, y: net.value_and_gradient(X, y, loss=own_loss)[1],
    "net.gradient": lambda net, X, y: (net.value_and_gradient(X, y, loss="half_mse"), net.gradient.copy())[1],
    "per_example_gradients": lambda net, X, y: net.per_example_gradients(X, y, loss="half_mse"),
    "trace": lambda net, X, y: fp.trace(net, X, y, loss="half_mse").gradient,
    "explain": lambda net, X, y: np.array([fp.trace(net, X, y, loss="half_mse").explain("x[0]", row=0).total]),
    "evaluate": lambda net, X, y: np.array([fp.Trainer(net, loss=own_loss, optimizer="sgd").evaluate(X, y)]),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("call", ONE_CALL)
def test_one_call_has_its_own_numbers(call, layers):
    net, use = made(layers), ONE_CALL[call]
    batches = [rows(i) for i in range(USERS)]
    expected = [use(net, X, y) for X, y in batches]
    disturbing = iter(ONE_CALL[name] for name in ("jacobian", "value_and_gradient of an own loss"))

    def keep_using(i):
        X, y = batches[i]
        for _ in range(CALLS // (10 if call in ("trace", "explain") else 1)):
            np.testing.assert_array_equal(use(net, X, y), expected[i])

    def disturb(other):
        for _ in range(CALLS):
            other(net, *batches[0])

    together(*(lambda i=i: keep_using(i) for i in range(USERS)), *(lambda one=one: disturb(one) for one in disturbing))


@pytest.mark.parametrize("layers", LAYERS)
def test_forward_and_backward_give_right_numbers_or_an_error(layers):
    """Calls give the right numbers, and ``net.gradient`` after a call is the one that the same thread computed."""
    net = made(layers)
    batches = [rows(i) for i in range(USERS)]  # all of one shape, so that the shape does not tell threads' rows apart

    def passes(X, dY):
        net.forward(X)
        dX = net.backward(dY)
        return dX, net.gradient.copy()

    expected = [passes(*batch) for batch in batches]

    def keep_using(i):
        right = 0
        for _ in range(CALLS):
            try:
                got = passes(*batches[i])
            except RuntimeError as error:
                if "another thread used this network between forward() and backward()" not in str(error):
                    raise
                continue
            right += 1
            np.testing.assert_array_equal(got[0], expected[i][0])
            np.testing.assert_array_equal(got[1], expected[i][1])
        return right

    together(*(lambda i=i: keep_using(i) for i in range(USERS)))
    assert keep_using(0) == CALLS  # alone, and after threads that are gone


def test_backward_without_a_forward_of_this_thread():
    net, (X, dY) = made(), rows(0)
    net.forward(X)
    with pytest.raises(RuntimeError, match="another thread used this network"):
        together(lambda: net.backward(dY))
    net.backward(dY)
    together(lambda: net(X))
    with pytest.raises(RuntimeError, match="another thread used this network"):
        net.backward(dY)
    net(X)
    with pytest.raises(RuntimeError, match="call net.forward"):
        net.backward(dY)


def test_update_takes_the_gradient_of_its_thread():
    net, (X, dY) = made(), rows(0)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1))
    net.forward(X)
    net.backward(dY)
    mine, before = net.gradient.copy(), net.parameters.copy()
    together(lambda: net.value_and_gradient(*rows(1), loss="half_mse"))
    np.testing.assert_array_equal(net.gradient, mine)
    trainer.update()
    np.testing.assert_allclose(net.parameters, before - 0.1 * mine)


def test_a_gradient_is_handed_over_to_a_thread_that_has_none():
    net, (X, y) = made(), rows(0)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1))
    _, gradient = net.value_and_gradient(X, y, loss="half_mse")
    before = net.parameters.copy()

    def take_over():
        np.testing.assert_array_equal(net.gradient, gradient)
        trainer.update()
        net.gradient = 2 * gradient  # from here on it has one
        np.testing.assert_array_equal(net.gradient, 2 * gradient)
        trainer.update()

    together(take_over)
    np.testing.assert_array_equal(net.gradient, gradient)
    np.testing.assert_allclose(net.parameters, before - 0.3 * gradient)


@pytest.mark.parametrize("loss", ["half_mse", own_loss])
def test_steps_of_two_threads_are_whole(loss):
    """Where all rates are 0 except in one thread's trainer, only the steps of that trainer may change the network."""
    net, twin = made("norms"), made("norms")
    still = [fp.Trainer(net, loss=loss, optimizer=fp.SGD(1e-300), seed=1) for _ in range(2)]
    trainer, replay = (fp.Trainer(n, loss=loss, optimizer=fp.SGD(0.01), seed=0) for n in (net, twin))
    net.state[:], twin.state[:] = 0.5, 0.5
    X, y = rows(0)

    def keep_stepping(one):
        for _ in range(CALLS):
            one.step(X, y)

    together(*(lambda one=one: keep_stepping(one) for one in (trainer, *still)))
    keep_stepping(replay)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_an_own_loss_that_is_disturbed_by_predictions():
    """Training gives the bits that it gives alone, with batch norm's statistics and dropout too."""
    nets = made("norms"), made("norms")
    trainers = [fp.Trainer(net, loss=own_loss, optimizer=fp.Adam(0.01)) for net in nets]
    (X, y), going = rows(0, 32), [True]

    def train(trainer):
        try:
            for _ in range(20):
                trainer.epoch(X, y, batch_size=4)
        finally:
            going.clear()

    def predict():
        while going:
            nets[0](X)

    together(lambda: train(trainers[0]), predict)
    train(trainers[1])
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)
    np.testing.assert_array_equal(nets[0].state, nets[1].state)


def test_an_own_loss_that_uses_the_network_itself():
    """The network is used in every way that leaves the same number of rows in the engine's buffers."""
    net, (X, y) = made(), rows(0)
    for name in ("call", "jacobian", "value_and_gradient", "value_and_gradient of an own loss"):

        def meddling(Y, y, name=name):
            ONE_CALL[name](net, X, y)
            return own_loss(Y, y)

        with pytest.raises(RuntimeError, match="used the network before its backward pass"):
            net.value_and_gradient(X, y, loss=meddling)

    def forwarding(Y, y):
        net.forward(X + 1)
        return own_loss(Y, y)

    with pytest.raises(RuntimeError, match="used the network before its backward pass"):
        net.value_and_gradient(X, y, loss=forwarding)


def test_averaged_parameters_are_put_back():
    """Whatever else trains the network or averages meanwhile, no step is lost, and no averaged parameters stay."""
    net, twin = made(), made()
    trainer, replay = (fp.Trainer(n, loss="half_mse", optimizer=fp.SGD(0.05), average=fp.EMA(0.9)) for n in (net, twin))
    X, y = rows(0)

    def train():
        for _ in range(CALLS):
            trainer.step(X, y)

    def look():
        for _ in range(CALLS):
            with trainer.averaging() as shown:
                before = shown.parameters.copy()
                assert np.array_equal(shown(X), shown(X))
                assert np.array_equal(shown.parameters, before)

    together(train, look, look)
    for _ in range(CALLS):
        replay.step(X, y)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    np.testing.assert_array_equal(trainer.averaged, replay.averaged)


def test_threads_predict_while_parameters_are_averaged():
    net = made()
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.05), average=fp.EMA(0.9))
    X, y = rows(0)
    trainer.step(X, y)
    with trainer.averaging():
        assert np.array_equal(*together(lambda: net(X), lambda: net(X)))


def between_steps(parameters):
    """Return whether these are the parameters of TRAINED after whole steps, each of which adds one number to all."""
    return len(set(parameters.tolist())) == 1


@pytest.mark.parametrize("way", ["save", "checkpoint", "pickle", "to_c", "parameters", "early stopping"])
def test_what_is_written_while_another_thread_trains_is_between_two_steps(tmp_path, way):
    """Return a network whose parameters are all equal after every step, and would differ in the middle of a step."""
    net = fp.Network([1, fp.Dense(200_000, bias=False, activation="identity")], seed=0)
    net.parameters = np.zeros(net.n_parameters)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(2.0**-10))
    X, y, going = np.ones((1, 1), "f4"), np.full((1, 200_000), 1.0, "f4"), [True]

    def train():
        while going:
            trainer.step(X, y)

    def take():
        try:
            for i in range(20):
                if way == "save":
                    net.save(tmp_path / "net")
                    got = fp.load(tmp_path / "net").parameters
                elif way == "checkpoint":
                    trainer.save(tmp_path / "net")
                    restored = fp.load_checkpoint(tmp_path / "net")
                    got = restored.network.parameters
                    fresh = np.float32(0)
                    for _ in range(min(restored.steps, 3000)):
                        fresh = fresh - np.float32(2.0**-10) * (fresh - np.float32(1))
                    assert restored.steps > 3000 or got[0] == pytest.approx(fresh, rel=1e-3)
                elif way == "pickle":
                    got = pickle.loads(pickle.dumps(net)).parameters
                elif way == "to_c":
                    if i < 2:
                        net.to_c(tmp_path / "net.c")
                        numbers = re.findall(r"0x[0-9a-f.]+p[-+]\d+", (tmp_path / "net.c").read_text())
                        assert len(numbers) == net.n_parameters
                        got = np.array(numbers)
                elif way == "parameters":
                    net.parameters = np.full(net.n_parameters, 0.25)
                    got = net.snapshot()[0]
                else:
                    patience = callbacks.Patience(fp.EarlyStopping(monitor="cost"), {"cost": False})
                    patience.see(1.0, 1, net)
                    got = patience.parameters
                assert between_steps(got)
        finally:
            going.clear()

    together(train, take)


def test_a_handler_in_mid_step_neither_saves_nor_assigns(tmp_path):
    """In the middle of a step a network cannot be saved or assigned to: that is refused like every other use."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("needs SIGALRM")
    net = fp.Network([512, 1024, 1024, 8], seed=0)
    trainer = fp.Trainer(net, loss="half_mse", optimizer="sgd", average=fp.EMA(0.9))
    X, y = np.ones((2000, 512), "f4"), np.ones((2000, 8), "f4")
    uses = {
        "save": lambda: net.save(tmp_path / "net"),
        "assign": lambda: setattr(net, "parameters", net.parameters * 2),
        "checkpoint": lambda: trainer.save(tmp_path / "trainer"),
        "averaged": lambda: trainer.averaged,
        "jacobian": lambda: net.jacobian(X[:1]),
    }
    refused = []

    def handler(*_):
        try:
            net(X[:1])
        except RuntimeError:
            for name, use in uses.items():
                with pytest.raises(RuntimeError, match="in the middle of a step"):
                    use()
                refused.append(name)

    old = signal.signal(signal.SIGALRM, handler)
    try:
        while not refused:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            trainer.step(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert not list(tmp_path.iterdir())


# ---- ensembles that share networks ----


def run(program):
    """Run a program in a Python of its own that can import this module; a hang is a failure."""
    start = (
        f"import sys, threading; sys.path[:] = {[os.path.dirname(__file__), *sys.path]!r}\n"
        "from test_shared_networks import *\n"
    )
    command = [sys.executable, "-P", "-c", start + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["[::-1]", "[1:] + a.networks[:1]", "[2:4]"])
def test_ensembles_of_the_same_networks_in_another_order(order):
    run(f"""
        sys.setswitchinterval(1e-6)
        a, b = fp.Ensemble(6, [3, 8, 4], seed=0), fp.Ensemble(6, [3, 8, 4], seed=0)
        b.networks = a.networks{order}
        X, y = rows(0, 64)

        def train(ensemble):
            trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer="sgd")
            for _ in range(200):
                trainer.epoch(X, y, batch_size=16)

        def average():
            trainer = fp.Trainer(a.networks[3], loss="half_mse", optimizer="sgd", average=fp.EMA(0.9))
            for _ in range(200):
                trainer.step(X, y)
                with trainer.averaging():
                    a(X), b(X)

        together(lambda: train(a), lambda: train(b), average)
    """)


def test_an_ensemble_that_has_a_network_twice():
    ensemble = fp.Ensemble(3, [3, 8, 4], seed=0)
    ensemble.networks = (*ensemble.networks[:2], ensemble.networks[0])
    X, y = rows(0, 8)
    assert ensemble(X).shape == (8, 4)
    before = [net.parameters.copy() for net in ensemble.networks]
    for train in (
        lambda: fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer="sgd"),
        lambda: ensemble.fit(X, y, loss="half_mse", optimizer="sgd"),
    ):
        with pytest.raises(ValueError, match="must be different ones"):
            train()
    assert all(np.array_equal(net.parameters, then) for net, then in zip(ensemble.networks, before))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_of_a_fork_while_another_thread_has_the_network():
    """The child never waits for the missing thread, and refuses parameters that were averaged during the fork."""
    run("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
        net, (X, y) = made(), rows(0)
        trainer = fp.Trainer(net, loss="half_mse", optimizer="sgd", average=fp.EMA(0.9))
        trainer.step(X, y)
        inside, done = threading.Event(), threading.Event()

        def waits(Y, y):
            inside.set()
            done.wait()
            return own_loss(Y, y)

        def average():
            with trainer.averaging():
                inside.set()
                done.wait()

        for have, refused in (average, True), (lambda: net.value_and_gradient(X, y, loss=waits), False):
            inside.clear(), done.clear()
            thread = threading.Thread(target=have)
            thread.start()
            inside.wait()
            child = os.fork()
            if not child:
                signal.alarm(120)  # a child that hangs ends by this
                try:
                    trainer.step(X, y)
                    os._exit(0)
                except RuntimeError as error:
                    os._exit(3 if "a process that was forked" in str(error) else 4)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            done.set()
            thread.join()
            assert status == (3 if refused else 0), status
    """)
