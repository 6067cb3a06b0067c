"""What fastprop offers has its public name: in messages, and in pickles, which name no inner module."""

import importlib
import inspect
import io
import pickle
import re

import numpy as np
import pytest

import fastprop as fp

MODULES = {"activations": fp.activations, "layers": fp.layers, "losses": fp.losses, "schedules": fp.schedules}
ADDRESS = re.compile(" at 0x[0-9a-f]+")
PUBLIC = {f"fastprop.{name}" for name in ("dask", "distributed", "plots", *MODULES)} | {"fastprop"}
ABSTRACT = {"layers.Layer", "schedules.Schedule"}  # of which no instance has this very class
NOT_COPIED = {"Handle"}  # which is of its process


def public_classes(names, within=""):
    return {f"{within}{name}": value for name, value in names.items() if inspect.isclass(value) and name[0] != "_"}


def offered():
    """The public name of each class of the core."""
    found = public_classes({name: getattr(fp, name) for name in fp.__all__ if name not in ("distributed", "plots")})
    for name, module in MODULES.items():
        here = {key: one for key, one in vars(module).items() if getattr(one, "__module__", "") == f"fastprop.{name}"}
        found |= public_classes(here, f"{name}.")
    return found


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3))
    X[:, 0] = rng.integers(3, size=24)
    return X, rng.integers(2, size=24)


def network(*layers):
    return fp.Network([3, fp.Embedding({0: (3, 2)}), *layers, 2], seed=0)


def trainer():
    X, y = data()
    made = fp.Trainer(
        network(fp.BatchNorm(), fp.Residual([4])), loss="cross_entropy", average=fp.EMA(0.9), seed=1,
        optimizer=fp.Adam(fp.schedules.Cosine(0.01, epochs=5)),
    )  # fmt: skip
    made.epoch(X, y)
    return made


def history():
    return network().fit(*data(), loss="cross_entropy", epochs=2)


def trace():
    X, y = data()
    return fp.trace(network(fp.Dense(4, "tanh")), X, y, loss="cross_entropy")


def own_loss(Y, T):
    return 0.0, np.zeros_like(Y)


# how an instance is made, where the class itself cannot be called without arguments
MAKE = {
    "Activation": lambda: fp.Activation("tanh"),
    "ByColumn": lambda: fp.ByColumn([(fp.Periodic(3), [2]), (fp.Embedding({0: (3, 2)}), [0])]),
    "Checkpoint": lambda: fp.Checkpoint("file"),
    "Dense": lambda: fp.Dense(3, "tanh"),
    "DivergenceError": lambda: fp.DivergenceError("diverged"),
    "Dropout": lambda: fp.Dropout(0.5),
    "Embedding": lambda: fp.Embedding({0: (3, 2)}),
    "Ensemble": lambda: fp.Ensemble(2, [3, 2], seed=0),
    "EnsembleTrainer": lambda: fp.EnsembleTrainer(fp.Ensemble(2, [3, 2], seed=0), loss="mse"),
    "Explanation": lambda: trace().explain("W2[0,1]"),
    "Graph": lambda: trace().graph(),
    "History": history,
    "Network": lambda: network(fp.LayerNorm(), fp.Dropout(0.1)),
    "PiecewiseLinear": lambda: fp.PiecewiseLinear([[0, 1], [0, 1, 2]]),
    "Residual": lambda: fp.Residual([3]),
    "SWA": lambda: fp.SWA(start=3),
    "Scaled": lambda: fp.Scaled(np.ones((2, 2), np.uint8)),
    "Trace": trace,
    "Trainer": trainer,
    "activations.Activation": lambda: fp.activations.leaky_relu,
    "losses.Loss": lambda: fp.losses.huber(delta=2.0),
    "schedules.Constant": lambda: fp.schedules.Constant(0.1),
    "schedules.CosLog4": lambda: fp.schedules.CosLog4(0.1, epochs=2),
    "schedules.Cosine": lambda: fp.schedules.Cosine(0.1, epochs=2),
    "schedules.Exponential": lambda: fp.schedules.Exponential(0.1, 0.9, epochs=2),
    "schedules.InverseSquareRoot": lambda: fp.schedules.InverseSquareRoot(0.1, epochs=2),
    "schedules.OneCycle": lambda: fp.schedules.OneCycle(0.1, epochs=2),
    "schedules.Polynomial": lambda: fp.schedules.Polynomial(0.1, epochs=2),
    "schedules.ReduceOnPlateau": lambda: fp.schedules.ReduceOnPlateau(0.1),
    "schedules.Step": lambda: fp.schedules.Step(0.1, epochs=2, factor=0.5),
}


class Recording(pickle.Unpickler):
    """Notes what of fastprop a pickle names."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.modules = set()

    def find_class(self, module, name):
        if module.partition(".")[0] == "fastprop":
            self.modules.add(module)
        return super().find_class(module, name)


def loaded(thing, protocol=pickle.DEFAULT_PROTOCOL):
    """What comes back; fails if a module inside fastprop is named."""
    reader = Recording(pickle.dumps(thing, protocol))
    back = reader.load()
    assert reader.modules <= PUBLIC
    return back


@pytest.mark.parametrize("name", [name for name in offered() if name not in ABSTRACT | NOT_COPIED])
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_pickle_names_no_inner_module(name, protocol):
    made = MAKE.get(name, offered()[name])()
    assert type(made) is offered()[name]
    assert ADDRESS.sub("", str(loaded(made, protocol))) == ADDRESS.sub("", str(made))


@pytest.mark.parametrize("name", [name for name in fp.__all__ if callable(getattr(fp, name, None))] + [*offered()])
def test_says_its_public_name(name):
    module, _, own_name = f"fastprop.{name}".rpartition(".")
    thing = getattr(importlib.import_module(module), own_name)
    assert (thing.__module__, thing.__qualname__) == (module, own_name)


def test_a_trainer_with_an_own_loss_names_no_inner_module():
    assert loaded(fp.Trainer(network(), loss=own_loss)).loss is own_loss


def test_what_is_loaded_goes_on_to_the_same_bits():
    one, (X, y) = trainer(), data()
    other = loaded(one)
    assert one.epoch(X, y) == other.epoch(X, y)
    assert np.array_equal(one.network.parameters, other.network.parameters)


@pytest.mark.parametrize("row", [None, 3])
def test_a_trace_is_traced_again(row):
    one = trace() if row is None else trace().of_row(row)
    other = loaded(one)
    assert np.array_equal(one.gradient, other.gradient) and np.array_equal(one.layers[0].z, other.layers[0].z)
    assert str(loaded(one.explain("W2[0,1]", paths=3))) == str(one.explain("W2[0,1]", paths=3))


@pytest.mark.peer
def test_estimators():
    pytest.importorskip("sklearn")
    X, y = data()
    for options in ({}, {"standardize": False}, {"early_stopping": True}):
        for kind in (fp.MLPClassifier, fp.MLPRegressor):
            model = kind(max_iter=3, random_state=0, **options)
            assert kind.__module__ == "fastprop"
            with pytest.warns(match="Maximum iterations|Stochastic"):
                model.fit(X, y)
            assert np.array_equal(loaded(model).predict(X), model.predict(X))
            with pytest.warns(match="."):
                assert np.array_equal(loaded(model).fit(X, y).predict(X), model.predict(X))
    for kind in (fp.TabularClassifier, fp.TabularRegressor):
        model = kind("low", random_state=0).fit(X, y)
        assert kind.__module__ == "fastprop"
        assert np.array_equal(loaded(model).predict(X), model.predict(X))
        assert np.array_equal(loaded(model).fit(X, y).predict(X), model.predict(X))


@pytest.mark.peer
def test_plots():
    pytest.importorskip("matplotlib").use("Agg")
    classes = public_classes({name: getattr(fp.plots, name) for name in fp.plots.__all__})
    assert classes
    for name, kind in classes.items():
        assert (kind.__module__, kind.__qualname__) == ("fastprop.plots", name)
    search = fp.plots.find_rate(network(), *data(), loss="cross_entropy")
    assert repr(loaded(search)) == repr(search)


@pytest.mark.peer
def test_torch_modules():
    torch = pytest.importorskip("torch")
    module = fp.to_torch(fp.Network([3, fp.Scale(), fp.Residual([3]), fp.Dense(4, "gaussian"), 2], seed=0))
    X = torch.ones(2, 3)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):  # torch.save writes protocol 2
        assert torch.equal(loaded(module, protocol)(X), module(X))
    assert fp.from_torch(loaded(module)).describe()["layers"]
