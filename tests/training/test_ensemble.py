"""Ensembles: the same numbers as their networks trained one by one, on any number of threads; and their errors."""

import signal
import threading

import numpy as np
import pytest

import fastprop as fp

LAYERS = [4, 17, fp.Dropout(0.2), fp.Dense(5, "tanh"), 1]


def data(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4)).astype("float32")
    return X, np.sin(X.sum(axis=1)).astype("float32")


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("threads", [1, 2, 3], indirect=True)
@pytest.mark.parametrize("optimizer", [fp.SGD(0.1, momentum=0.9), fp.Adam(fp.schedules.Cosine(0.01, steps=40))])
def test_as_one_by_one(optimizer):
    X, y = data()
    weight = np.random.default_rng(1).uniform(0.5, 2, 300)
    ensemble = fp.Ensemble(7, LAYERS, seed=5)
    together = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=optimizer, clip_norm=1.0)
    costs = [together.epoch(X, y, batch_size=32, sample_weight=weight) for _ in range(3)]
    for i, network in enumerate(ensemble.networks):
        alone = fp.Network(LAYERS, seed=5 + i)
        trainer = fp.Trainer(alone, loss="half_mse", optimizer=optimizer, clip_norm=1.0)
        assert [trainer.epoch(X, y, batch_size=32, sample_weight=weight) for _ in range(3)] == [c[i] for c in costs]
        np.testing.assert_array_equal(network.parameters, alone.parameters)
        assert together.trainers[i].steps == trainer.steps == 30


def test_outputs_are_means():
    X, _ = data(20)
    ensemble = fp.Ensemble(3, [4, 8, 2], seed=0)
    assert ensemble.members(X).shape == (20, 3, 2)
    np.testing.assert_allclose(ensemble(X), ensemble.members(X).mean(axis=1), rtol=1e-6)
    assert ensemble(X[0]).shape == (2,)
    assert len({network.parameters.tobytes() for network in ensemble.networks}) == 3


def test_fit_and_an_optimiser_for_each():
    X, y = data()
    rates = [1e-4, 0.05, 0.1]
    ensemble = fp.Ensemble(3, [4, 16, 1], seed=0)
    histories = ensemble.fit(
        X[:200], y[:200], loss="half_mse", optimizer=[fp.SGD(rate) for rate in rates], epochs=5, batch_size=16,
        validation=(X[200:], y[200:]),
    )  # fmt: skip
    ends = [history["validation_cost"][-1] for history in histories]
    assert ends[0] > max(ends[1:])  # a rate that is too small
    for network, history in zip(ensemble.networks, histories):
        trainer = fp.Trainer(network, loss="half_mse", optimizer="sgd")
        assert history["validation_cost"][-1] == trainer.evaluate(X[200:], y[200:])
        assert history["epoch"] == [1, 2, 3, 4, 5]


def test_shared_batches_are_those_of_the_first():
    X, y = data()
    ensemble = fp.Ensemble(2, [4, 8, 1], seed=3)
    ensemble.networks[1].parameters = ensemble.networks[0].parameters
    trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=fp.SGD(0.1), shared_batches=True)
    costs = trainer.epoch(X, y)
    assert costs[0] == costs[1]
    np.testing.assert_array_equal(ensemble.networks[0].parameters, ensemble.networks[1].parameters)


def test_bootstrap_weighs_rows_as_often_as_they_are_drawn():
    X, y = data(50)
    ensemble = fp.Ensemble(2, [4, 8, 1], seed=3)
    alone = [fp.Network([4, 8, 1], seed=3 + i) for i in range(2)]
    fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=fp.SGD(0.1), bootstrap=True).epoch(X, y, batch_size=50)
    for i, network in enumerate(alone):
        drawn = np.random.default_rng(3 + i).integers(50, size=50)
        trainer = fp.Trainer(network, loss="half_mse", optimizer=fp.SGD(0.1))
        trainer.step(X[drawn], y[drawn])  # a weight of k is k copies
        np.testing.assert_allclose(network.parameters, ensemble.networks[i].parameters, atol=1e-6)


def test_one_that_diverges_leaves_the_others_alone():
    X, y = data()
    ensemble = fp.Ensemble(2, [4, 16, 1], seed=0)
    trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=[fp.SGD(1e6), fp.SGD(0.05)])
    with np.errstate(all="ignore"):
        costs = [trainer.epoch(X, y, batch_size=8) for _ in range(2)][-1]
    assert np.isnan(costs[0])
    assert np.isfinite(costs[1])
    trainer = fp.EnsembleTrainer(fp.Ensemble(2, [4, 16, 1]), loss="half_mse", optimizer=fp.SGD(1e6))
    with pytest.raises(fp.DivergenceError, match="all 2 networks"):
        trainer.epoch(X, y, batch_size=8)


@pytest.mark.usefixtures("always_due")
def test_ctrl_c_is_answered():
    """After Ctrl-C while eight networks train, each is at a whole step, and can go on."""
    X, y = data(6000)
    ensemble = fp.Ensemble(8, [4, 64, 64, 1], seed=0)
    trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=fp.SGD(1e-4))
    an_epoch = -(-6000 // 32)
    answered = threading.Event()

    def interrupt():
        while not answered.wait(0.01):
            signal.raise_signal(signal.SIGINT)

    def handle(*_):
        if trainer.trainers[0].steps % an_epoch:
            answered.set()
            raise KeyboardInterrupt

    def train():
        for _ in range(300):  # the first try, unless this machine is too fast or too busy for a signal in the middle
            trainer.epoch(X, y, batch_size=32)

    before = signal.signal(signal.SIGINT, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        answered.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    steps = [one.steps for one in trainer.trainers]
    assert all(step % an_epoch > 0 for step in steps), "all are in the middle of an epoch"
    trainer.epoch(X, y, batch_size=600)
    assert [one.steps for one in trainer.trainers] == [step + 10 for step in steps]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: fp.Ensemble(0, [4, 1]), "number of networks, must be a positive int"),
        (lambda: fp.Ensemble(2, [4]), "at least one layer"),
        (lambda: fp.EnsembleTrainer(fp.Network([4, 1]), loss="half_mse", optimizer="sgd"), "takes a fastprop Ensemble"),
        (lambda: fp.EnsembleTrainer(fp.Ensemble(2, [4, 1]), loss="half_mse", optimizer=["sgd"]), "each of the 2"),
        (lambda: fp.Ensemble(2, [4, 1]).fit(*data(), loss="half_mse", optimizer="sgd", epochs=0), "epochs"),
        (lambda: fp.Ensemble(2, [4, 1]).fit(*data(), loss="half_mse", optimizer="sgd", batch_size=0), "batch_size"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


HELD_OUT = data(40, seed=1)
PLATEAU = fp.schedules.ReduceOnPlateau(0.3, patience=0, threshold=0.5)
OPTIONS = {
    "plain": {},
    "batches": {"batch_size": 16, "l2": 1e-3, "clip_norm": 1.0},
    "average": {"average": fp.EMA(0.9), "validation": HELD_OUT},
    "rows in order": {"shuffle": False, "batch_size": 16},
    "validation": {"validation": HELD_OUT},
    "weights": {"validation": (*HELD_OUT, np.arange(40)), "sample_weight": np.arange(120)},
    "a fraction": {"validation": 0.25, "seed": 5},
    "plateau": {"validation": HELD_OUT, "optimizer": fp.SGD(PLATEAU)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_does_what_it_does_for_one_network(name):
    X, y = data(120)
    how = {"loss": "half_mse", "optimizer": fp.Adam(0.01), "epochs": 4} | OPTIONS[name]
    ensemble = fp.Ensemble(2, LAYERS, seed=5)
    found = ensemble.fit(X, y, **how)
    for i, network in enumerate(ensemble.networks[: 1 if "seed" in how else 2]):  # the first's seed draws a fraction
        alone = fp.Network(LAYERS, seed=5 + i)
        history = alone.fit(X, y, **how)
        history.pop("seconds")
        assert found[i] == history
        np.testing.assert_array_equal(network.parameters, alone.parameters)


WRONG = [
    ({"validation": "0.2"}, "validation must be a pair"),
    ({"validation": 2.0}, "validation must be a number"),
    ({"validation": data(10)[:1]}, "validation must be a pair"),
    ({"validation": (data(10)[0], np.zeros(11))}, "yv must have shape"),
    ({"validation": (*data(10), -np.ones(10))}, r"weights\[0\] is -1"),
    ({"sample_weight": np.zeros(300)}, "sample_weight is 0 for every row"),
    ({"batch_size": 301}, "batch_size=301"),
    ({"average": 0.9}, "average must be"),
    *(
        ({name: None}, rf"Ensemble.fit\(\) has no argument '{name}'.*net.fit")
        for name in ("metrics", "callbacks", "progress", "early_stopping", "resume", "fallback", "window")
    ),
]


@pytest.mark.parametrize("wrong, words", WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_is_said_before_anything_changes(wrong, words):
    ensemble, before = fp.Ensemble(2, [4, 8, 1], seed=0), fp.Ensemble(2, [4, 8, 1], seed=0)
    with pytest.raises((ValueError, TypeError), match=words):
        ensemble.fit(*data(), loss="half_mse", optimizer="sgd", **wrong)
    for one, other in zip(ensemble.networks, before.networks):
        np.testing.assert_array_equal(one.parameters, other.parameters)


def test_batches_are_not_for_ensembles():
    with pytest.raises(TypeError, match="an ensemble is trained on arrays, got batches from list"):
        fp.Ensemble(2, [4, 8, 1]).fit([data()], loss="half_mse", optimizer="sgd")


def test_what_diverged_is_named_and_left_out():
    X, y = data()
    ensemble = fp.Ensemble(3, [4, 16, 1], seed=0)
    rates = [fp.SGD(0.05), fp.SGD(1e6), fp.SGD(0.05)]
    with pytest.warns(UserWarning, match="the networks 1 of 3 diverged"), np.errstate(all="ignore"):
        histories = ensemble.fit(X, y, loss="half_mse", optimizer=rates, epochs=2, batch_size=8)
    assert ensemble.diverged == (1,) and np.isnan(histories[1]["cost"][-1])
    sound = (ensemble.networks[0](X) + ensemble.networks[2](X)) / 2
    np.testing.assert_array_equal(ensemble(X), sound)
    assert ensemble.members(X).shape == (300, 3, 1)
    with pytest.raises(fp.DivergenceError), np.errstate(all="ignore"):
        ensemble.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e6), epochs=1, batch_size=8)
    with pytest.raises(ValueError, match="all networks of this ensemble diverged"):
        ensemble(X)
    fresh = fp.Ensemble(3, [4, 16, 1], seed=0)
    for network, other in zip(ensemble.networks, fresh.networks):
        network.parameters = other.parameters
    ensemble.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.05), epochs=1)
    assert ensemble.diverged == ()


def test_a_member_whose_parameters_overflow_has_diverged():
    """The cost before its last step was finite."""
    X, y = data(8)
    ensemble = fp.Ensemble(2, [4, 1], seed=0)
    trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=[fp.SGD(0.1), fp.SGD(1e38)])
    ensemble.networks[1].parameters *= 1e3
    costs = trainer.epoch(X, y)
    assert np.isfinite(costs[0]) and np.isnan(costs[1]) and ensemble.diverged == (1,)


def test_every_bootstrap_sample_has_rows_that_weigh():
    """If one row of thirty has a weight, a third of the first samples do not hold it."""
    X, y = data(30)
    weight = np.zeros(30)
    weight[7] = 2.0
    ensemble = fp.Ensemble(12, [4, 8, 1], seed=0)
    trainer = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer="sgd", bootstrap=True)
    costs = trainer.epoch(X, y, sample_weight=weight, batch_size=30)
    fresh = fp.Ensemble(12, [4, 8, 1], seed=0)
    wanted = [net.value_and_gradient(X[7:8], y[7:8], loss="half_mse")[0] for net in fresh.networks]
    np.testing.assert_allclose(costs, wanted, rtol=1e-5)


def test_networks_of_several_shapes_with_shares(tmp_path):
    networks = [fp.Network([3, 4, 2], seed=0), fp.Network([3, 2], seed=1), fp.Network([3, 5, 5, 2], seed=2)]
    X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    ensemble = fp.Ensemble.of(networks, [2, 0, 1])
    np.testing.assert_allclose(ensemble(X), (2 * networks[0](X) + networks[2](X)) / 3, rtol=1e-6)
    np.testing.assert_allclose(fp.Ensemble.of(networks)(X), sum(net(X) for net in networks) / 3, rtol=1e-6)
    ensemble.save(tmp_path / "e.safetensors", notes={"of": "three"})
    loaded = fp.Ensemble.load(tmp_path / "e.safetensors")
    assert loaded.shares == (2, 0, 1)
    np.testing.assert_array_equal(loaded(X), ensemble(X))
    ensemble.diverged = (0,)
    np.testing.assert_array_equal(ensemble(X), networks[2](X))
    networks[0].save(tmp_path / "n.safetensors")
    np.testing.assert_array_equal(fp.Ensemble.load(tmp_path / "n.safetensors")(X), networks[0](X))


@pytest.mark.parametrize("shares", [[1], [1, -1], [0, 0], [1, float("nan")], ["a", 1]])
def test_wrong_shares_are_refused(shares):
    with pytest.raises((ValueError, TypeError), match="share"):
        fp.Ensemble.of([fp.Network([3, 2]), fp.Network([3, 2])], shares)


@pytest.mark.parametrize(
    ("networks", "message"),
    [([], "number of inputs"), ([fp.Network([3, 2]), fp.Network([2, 2])], "number of inputs"), (["net"], "networks")],
)
def test_what_is_no_ensemble_is_refused(networks, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fp.Ensemble.of(networks)
