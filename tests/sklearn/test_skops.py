"""skops stores models as files that run no code: it accepts instances made of plain arrays, dicts and names."""

import copy
import pickle

import numpy as np
import pytest

import fastprop as fp
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.losses import LOSSES

pytestmark = pytest.mark.peer

X = np.sin(np.arange(240, dtype=np.float32)).reshape(60, 4)
y = np.arange(60) % 3


def through_skops(value):
    """Return what a file gives back if fastprop's own types are trusted."""
    skops = pytest.importorskip("skops.io", reason="the `peers` extra is not installed")
    stored = skops.dumps(value)
    needed = skops.get_untrusted_types(data=stored)
    assert all(name.startswith("fastprop.") for name in needed), needed
    return skops.loads(stored, trusted=needed)


NETWORKS = {
    "plain": lambda: fp.Network([4, 8, 3], seed=0),
    "float64, activations with numbers": lambda: fp.Network(
        [4, fp.Dense(8, fp.activations.ACTIVATIONS["elu"](alpha=0.5)), 3], dtype="float64", seed=0
    ),
    "layers with a state": lambda: fp.Network([4, fp.BatchNorm("relu"), fp.Dropout(0.2), 8, fp.LayerNorm(), 3], seed=0),
    "of columns": lambda: fp.Network([4, fp.PiecewiseLinear.of(X, bins=4), 3], seed=0),
    "members": lambda: fp.Network([4, 8, 3], seed=0, members=3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    net = NETWORKS[name]()
    net.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=1, seed=0)
    again = through_skops(net)
    assert type(again) is fp.Network and again.describe() == net.describe()
    assert again(X).tobytes() == net(X).tobytes() and again.state.tobytes() == net.state.tobytes()
    again.weights[0][:] = 0
    assert net.weights[0].any(), "it has numbers of its own"


@pytest.mark.parametrize("averaged", [None, fp.EMA(0.9)])
@pytest.mark.parametrize("optimizer", ["sgd", fp.AdamW(fp.schedules.Cosine(0.01, epochs=9), weight_decay=0.1)])
def test_a_trainer_goes_on_to_the_same_bits(optimizer, averaged):
    how = {} if averaged is None else {"average": averaged}
    trainer = fp.Trainer(fp.Network([4, 8, 3], seed=0), loss="cross_entropy", optimizer=optimizer, seed=1, **how)
    trainer.epoch(X, y, batch_size=16)
    copies = [through_skops(trainer), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    trainer.epoch(X, y, batch_size=16)
    for again in copies:
        again.epoch(X, y, batch_size=16)
        assert again.steps == trainer.steps
        assert again.network.parameters.tobytes() == trainer.network.parameters.tobytes()


@pytest.mark.parametrize("listed", [LOSSES, ACTIVATIONS], ids=["losses", "activations"])
def test_entries_of_the_lists(listed):
    for entry in listed.values():
        assert through_skops(entry) == entry


def estimators():
    how = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
    words = np.array(["a", "b", "c"])[y]
    yield "classifier", lambda: fp.MLPClassifier(**how).fit(X, words)
    yield "stopped early", lambda: fp.MLPClassifier(early_stopping=True, batch_norm=True, **how).fit(X, y)
    yield "several labels", lambda: fp.MLPClassifier(**how).fit(X, np.eye(3, dtype=int)[y])
    yield "regressor", lambda: fp.MLPRegressor(**how).fit(X, y.astype(float))
    yield "several targets", lambda: fp.MLPRegressor(solver="sgd", **how).fit(X, X[:, :2])
    yield "partly", lambda: fp.MLPClassifier(**how).partial_fit(X[:20], y[:20], classes=[0, 1, 2])


ESTIMATORS = dict(estimators())


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:.*the optimization hasn.t converged")
def test_estimators(name):
    pytest.importorskip("sklearn", reason="the `peers` extra is not installed")
    estimator = ESTIMATORS[name]()
    again = through_skops(estimator)
    assert again.get_params() == estimator.get_params()
    assert again.predict(X).tolist() == estimator.predict(X).tolist()
    if name == "partly":
        for each in (estimator, again):
            each.partial_fit(X[20:], y[20:])
        assert again.predict_proba(X).tobytes() == estimator.predict_proba(X).tobytes()


@pytest.mark.filterwarnings("ignore:.*the optimization hasn.t converged")
def test_a_pipeline():
    pipeline = pytest.importorskip("sklearn.pipeline", reason="the `peers` extra is not installed")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    fitted = pipeline.make_pipeline(preprocessing.StandardScaler(), fp.MLPClassifier((8,), max_iter=3, random_state=0))
    fitted.fit(X, y)
    assert through_skops(fitted).predict_proba(X).tobytes() == fitted.predict_proba(X).tobytes()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(protocol):
    net = fp.Network([4, fp.BatchNorm("relu"), 3], seed=0)
    assert pickle.loads(pickle.dumps(net, protocol))(X).tobytes() == net(X).tobytes()
    assert copy.copy(net)(X).tobytes() == net(X).tobytes()
