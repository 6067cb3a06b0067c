"""Methods of a network that import modules of higher layers: their signatures and results."""

import inspect

import numpy as np
import pytest

import fastprop as fp
from fastprop.nn import _conveniences
from fastprop.training import fit as fitting

METHODS = [name for name, found in vars(_conveniences.Conveniences).items() if inspect.isfunction(found)]
X = np.random.default_rng(0).normal(size=(60, 4))
LABELS = np.arange(60) % 3


@pytest.fixture
def net():
    return fp.Network([4, 8, fp.Dropout(0.1), 3], seed=0, dtype="float64")


@pytest.mark.parametrize("name", METHODS)
def test_signature_and_docstring_show_every_parameter(name):
    method = getattr(fp.Network, name)
    parameters = [each for key, each in inspect.signature(method).parameters.items() if key != "self"]
    assert not [each for each in parameters if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    documented = inspect.getdoc(method)
    assert inspect.signature(method).return_annotation is not inspect.Signature.empty
    for each in parameters:
        assert each.annotation is not each.empty, each
        assert f"{each.name} :" in documented or f"{each.name}," in documented or f", {each.name}\n" in documented, each


@pytest.mark.parametrize("name", METHODS)
def test_messages_call_it_a_method_of_network(name, net):
    assert getattr(fp.Network, name).__qualname__ == f"Network.{name}"
    with pytest.raises(TypeError, match=rf"Network\.{name}\(\)|^{name}\(\)"):
        getattr(net, name)(*[None] * 9)


def test_fit_takes_what_fitting_and_a_trainer_take():
    given = inspect.signature(fp.Network.fit).parameters
    wanted = dict(inspect.signature(fitting.fit).parameters)
    del wanted["network"], wanted["options"]
    trainer = inspect.signature(fp.Trainer).parameters
    wanted |= {name: each for name, each in trainer.items() if name != "network" and name not in wanted}
    assert [*given][1:] == [*wanted]
    for name, each in trainer.items():
        assert name == "network" or given[name].default == each.default, name


def test_fit_hands_over_every_option(net, monkeypatch):
    handed = {}
    monkeypatch.setattr(fitting, "fit", lambda network, *args, **how: handed.update(how))
    for name, each in inspect.signature(fp.Network.fit).parameters.items():
        if each.kind == each.KEYWORD_ONLY:
            mark = object()
            net.fit(X, LABELS, **{name: mark})
            assert handed[name] is mark, name


def test_evaluate_is_what_fit_records(net):
    weight = np.linspace(0.5, 2, 60)
    metrics = ["accuracy", "log_loss"]
    history = net.fit(
        X, LABELS, loss="cross_entropy", epochs=2, metrics=metrics, validation=(X, LABELS, weight)
    )
    found = net.evaluate(X, LABELS, loss="cross_entropy", sample_weight=weight, metrics=metrics)
    assert found == {name: history[f"validation_{name}"][-1] for name in ("cost", *metrics)}
    trainer = fp.Trainer(net, loss="cross_entropy")
    assert net.evaluate(X, LABELS, loss="cross_entropy") == {"cost": trainer.evaluate(X, LABELS)}
    batches = [(X[:10], LABELS[:10]), (X[10:], LABELS[10:])]
    assert net.evaluate(batches, loss="cross_entropy")["cost"] == pytest.approx(trainer.evaluate(X, LABELS), rel=1e-12)
    with pytest.raises(ValueError, match="give X and y as arrays"):
        net.evaluate(batches, loss="cross_entropy", metrics="accuracy")


def test_predict_is_a_call(net):
    assert np.array_equal(net.predict(X), net(X))
    assert np.array_equal(net.predict(X[0]), net(X[0]))


def test_a_copy_is_a_network_of_its_own(net):
    other = net.copy()
    before = net.parameters.copy()
    assert type(other) is fp.Network
    assert np.array_equal(other(X), net(X))
    other.fit(X, LABELS, loss="cross_entropy", epochs=1)
    assert np.array_equal(net.parameters, before)
    assert not np.array_equal(other.parameters, before)


@pytest.mark.parametrize(
    "layers",
    [
        [3, 5, 2],
        [3, fp.BatchNorm(), fp.Residual([4, 3]), fp.Dropout(0.5), fp.Dense(2, "prelu")],
        [3, fp.Periodic(4), 1],
    ],
)
def test_summary_adds_up(layers, capsys):
    net = fp.Network(layers, seed=0)
    net.summary()
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["layer", "activation", "in", "out", "parameters"]
    assert sum(not row.startswith(" ") for row in rows) == len(net.layers)
    learned = [row.split()[-1].replace(",", "") for row in rows if len(row) == len(header)]
    assert sum(map(int, learned)) == net.n_parameters
    assert rows[-1].split()[-2] == str(net.n_outputs)
    assert total == f"{net.n_parameters} parameters, float32, {4 * net.n_parameters} bytes"
