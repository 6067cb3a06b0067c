"""Checkpoints: a training goes on to the same bits, and a damaged file is never taken for a whole one."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import ODD, places

import fastprop as fp
from fastprop.io import safetensors
from fastprop.optim import optimizers
from fastprop.training import checkpoint

RATES = {
    "constant": 0.01,
    "by step": fp.schedules.Cosine(0.01, steps=50, warmup=5),
    "by epoch": fp.schedules.OneCycle(0.01, epochs=8),
    "plateau": fp.schedules.ReduceOnPlateau(0.05, patience=1, threshold=0.5),
}
OPTIMIZERS = [kind for kind in optimizers.OPTIMIZERS.values() if not kind.full_batch]


def data(rows=100):
    X = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    return X, X[:, :3].argmax(axis=1)


def network(dtype="float32"):
    return fp.Network([4, 12, fp.BatchNorm(), fp.Dropout(0.2), 3], dtype=dtype, seed=0)


class Die(fp.Callback):
    """End a training after a number of epochs, as a kill would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, run):
        if run.epoch == self.epoch:
            raise MemoryError


def train(directory=None, *, epochs=8, die=None, net=None, **how):
    """Run a training with much state; where `die` is a number, it ends after that epoch."""
    net = network() if net is None else net
    how = {"loss": "cross_entropy", "optimizer": fp.Adam(0.01), "batch_size": 16, "validation": 0.2} | how
    callbacks = [] if directory is None else [fp.Checkpoint(directory)]
    try:
        history = net.fit(*data(), epochs=epochs, callbacks=[*callbacks, Die(die)], resume=directory, **how)
    except MemoryError:
        return net, None
    return net, {name: column for name, column in history.items() if name != "seconds"}


def same(one, two):
    (net, history), (other, told) = one, two
    assert net.parameters.tobytes() == other.parameters.tobytes()
    assert net.state.tobytes() == other.state.tobytes()
    assert history == told


@pytest.mark.parametrize(
    "how",
    [
        *({"optimizer": kind(0.01)} for kind in OPTIMIZERS),
        *({"optimizer": fp.SGD(rate, momentum=0.9)} for rate in RATES.values()),
        {"average": fp.EMA(0.9)},
        {"average": fp.SWA(start=9, every=3)},
        {"class_weight": {0: 2.0, 2: 0.5}, "l1": 1e-4, "l2": 1e-3, "clip_norm": 1.0, "clip_value": 0.5},
        {"rates": {"bias": 2.0, "first": 0.5}, "class_weight": "balanced"},
        {"early_stopping": fp.EarlyStopping(patience=3), "metrics": ["accuracy", "auc"]},
        {"loss": fp.losses.focal(gamma=1.0), "sample_weight": np.random.default_rng(1).uniform(size=100)},
        {"shuffle": False, "l2": 0.01},
    ],
    ids=lambda how: " ".join(str(value)[:40] for value in how.values()),
)
def test_goes_on_to_the_same_bits(tmp_path, how):
    unbroken = train(**how)
    for die in (1, 2, 5):
        train(tmp_path, die=die, **how)
    same(train(tmp_path, **how), unbroken)


def test_float64_and_rprop(tmp_path):
    how = {"optimizer": fp.RPROP(), "batch_size": None}
    unbroken = train(net=network("float64"), **how)
    train(tmp_path, net=network("float64"), die=3, **how)
    same(train(tmp_path, net=network("float64"), **how), unbroken)


def test_a_loss_of_ones_own(tmp_path):
    def mine(Y, y):
        error = Y - np.eye(3, dtype=Y.dtype)[y]
        return float(np.mean(error**2)), 2 * error / error.size

    unbroken = train(loss=mine)
    train(tmp_path, die=2, loss=mine)
    same(train(tmp_path, loss=mine), unbroken)
    with pytest.raises(ValueError, match="give it as loss=mine"):
        fp.load_checkpoint(tmp_path)
    assert fp.load_checkpoint(tmp_path, loss=mine).loss is mine


def test_broken_off_within_an_epoch(tmp_path):
    class Within(fp.Callback):
        def on_step_end(self, run):
            if run.steps == 12:
                raise MemoryError

    how = {"loss": "cross_entropy", "optimizer": fp.Adam(0.01), "batch_size": 16, "validation": 0.2}
    with pytest.raises(MemoryError):
        network().fit(*data(), epochs=8, callbacks=[fp.Checkpoint(tmp_path), Within()], **how)
    assert [path.name for path in checkpoint.find(tmp_path)] == [
        "epoch-00000002.safetensors",
        "epoch-00000001.safetensors",
    ]
    same(train(tmp_path), train())


def test_a_seed_of_the_networks_own_comes_from_the_checkpoint(tmp_path):
    how = {"loss": "cross_entropy", "optimizer": "adam", "validation": 0.3}
    net = fp.Network([4, 8, 3])
    before = net.parameters.copy()
    net.fit(*data(), epochs=2, callbacks=fp.Checkpoint(tmp_path), **how)
    net.parameters[:] = before
    net.fit(*data(), epochs=5, **how)
    other = fp.Network([4, 8, 3])
    assert other.seed != net.seed
    other.fit(*data(), epochs=5, resume=tmp_path, **how)
    assert other.parameters.tobytes() == net.parameters.tobytes()


def test_it_may_go_on_for_longer(tmp_path):
    train(tmp_path, epochs=3)
    same(train(tmp_path, epochs=8), train(epochs=8))
    same(train(tmp_path, epochs=8), train(epochs=8))  # no epoch is left


def test_a_stopped_training_stays_stopped(tmp_path):
    how = {"optimizer": fp.SGD(1.0), "early_stopping": fp.EarlyStopping(patience=2), "epochs": 60}
    first = train(tmp_path, **how)
    assert len(first[1]["epoch"]) < 60
    same(train(tmp_path, **how), first)


def test_columns_of_a_callback_go_on_too(tmp_path):
    """A checkpoint holds columns that JSON can hold, NumPy's numbers included; a warning names the others."""

    def add(run):
        run.history.setdefault("norm", []).append(np.float32(run.epoch))
        run.history.setdefault("of each", []).append(np.arange(2) * run.epoch)
        run.history["text"] = "so far"

    wanted = {"norm": list(range(1, 7)), "of each": [[0, e] for e in range(1, 7)], "text": "so far"}
    how = {"loss": "cross_entropy", "optimizer": fp.Adam(0.01)}
    for epochs in (3, 6):
        callbacks = [add, fp.Checkpoint(tmp_path / "one")]
        history = network().fit(*data(), epochs=epochs, callbacks=callbacks, resume=tmp_path / "one", seed=1, **how)
    assert {name: np.array(history[name]).tolist() for name in wanted} == wanted
    assert history["cost"] == network().fit(*data(), epochs=6, seed=1, **how)["cost"]

    def strange(run):
        run.history["strange"] = [object()]
        run.history[3] = []

    with pytest.warns(UserWarning, match="the column ('strange'|3) of the history is not in the checkpoint"):
        network().fit(*data(), epochs=2, callbacks=[strange, fp.Checkpoint(tmp_path / "two")], **how)
    assert len(network().fit(*data(), epochs=3, resume=tmp_path / "two", **how)["cost"]) == 3


def test_it_begins_where_there_is_nothing(tmp_path):
    same(train(tmp_path / "deep" / "new"), train())


# ---- the files in the directory ----


def names(directory):
    return sorted(path.name for path in Path(directory).iterdir())


def test_keep_and_every(tmp_path):
    how = {"loss": "cross_entropy", "optimizer": "adam"}
    network().fit(*data(), epochs=8, callbacks=fp.Checkpoint(tmp_path, every=3, keep=2, best=None), **how)
    assert names(tmp_path) == ["epoch-00000006.safetensors", "epoch-00000008.safetensors"]


def test_the_best(tmp_path):
    values = iter([1.0, 3.0, 2.0, 3.0, np.nan])
    net = network()
    history = net.fit(
        *data(),
        loss="cross_entropy",
        optimizer="adam",
        epochs=5,
        metrics={"told": lambda y, Y: next(values)},
        callbacks=fp.Checkpoint(tmp_path, keep=1, best="told", mode="max"),
    )
    best = checkpoint.read(tmp_path / "best.safetensors")
    assert best.run["epoch"] == 2 and len(history["epoch"]) == 5
    assert names(tmp_path) == ["best.safetensors", "epoch-00000005.safetensors"]


def test_the_best_without_validation_is_of_the_cost(tmp_path):
    history = network().fit(
        *data(), loss="cross_entropy", optimizer="adam", epochs=4, callbacks=fp.Checkpoint(tmp_path)
    )
    assert checkpoint.read(tmp_path / "best.safetensors").run["epoch"] == 1 + int(np.argmin(history["cost"]))


def test_what_was_left_half_written_goes(tmp_path):
    (tmp_path / ".fastprop-0123456789abcdef.tmp").write_bytes(b"half")
    train(tmp_path, epochs=1)
    assert names(tmp_path) == ["best.safetensors", "epoch-00000001.safetensors"]


def test_a_directory_of_another_training(tmp_path):
    train(tmp_path, epochs=2)
    with pytest.raises(ValueError, match="directory of its own"):
        network().fit(*data(), loss="cross_entropy", optimizer="adam", callbacks=fp.Checkpoint(tmp_path))


@pytest.mark.parametrize(
    "how, name",
    [
        ({"optimizer": fp.Adam(0.02)}, "optimizer"),
        ({"batch_size": 8}, "batch_size"),
        ({"validation": 0.3}, "rows"),
        ({"metrics": "accuracy"}, "columns"),
        ({"early_stopping": True}, "early_stopping"),
        ({"l2": 0.1}, "how"),
        ({"loss": "focal"}, "loss"),
        ({"seed": 5}, "seed"),
        ({"class_weight": {0: 2.0}}, "class_weight"),
        ({"net": fp.Network([4, 3], seed=0)}, "network"),
    ],
)
def test_another_training_is_not_gone_on_with(tmp_path, how, name):
    train(tmp_path, epochs=2)
    net = how.get("net") or network()
    before = net.parameters.tobytes()
    with pytest.raises(ValueError, match=f"another training: its {name} is"):
        train(tmp_path, **({"net": net} | how))
    assert net.parameters.tobytes() == before


@pytest.mark.parametrize("how", [{"resume": "nowhere"}, {"callbacks": fp.Checkpoint("nowhere")}])
def test_lbfgs_has_none(how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="LBFGS remembers"):
        network().fit(*data(), loss="cross_entropy", optimizer=fp.LBFGS(), **how)
    assert names(tmp_path) == []


def test_arguments():
    for wrong in ({"every": 0}, {"keep": 0}, {"mode": "least"}):
        with pytest.raises(ValueError, match="must be|unknown"):
            fp.Checkpoint("x", **wrong)
    with pytest.raises(ValueError, match="no 'acuracy' to watch"):
        network().fit(*data(), loss="cross_entropy", optimizer="adam", callbacks=fp.Checkpoint("x", best="acuracy"))


# ---- a trainer without fit ----


def test_a_trainer_goes_on(tmp_path):
    optimizer = fp.Adam(fp.schedules.Cosine(0.01, steps=30))
    trainer = fp.Trainer(network(), loss="cross_entropy", optimizer=optimizer, average=fp.EMA(0.9), seed=7)
    X, y = data()
    trainer.epoch(X, y)
    trainer.save(tmp_path / "trainer.safetensors")
    twin = fp.load_checkpoint(tmp_path / "trainer.safetensors")
    assert (twin.optimizer, twin.steps, twin.rate, twin.seed) == (optimizer, 2, trainer.rate, 7)
    for one in (trainer, twin):
        one.epoch(X, y)
        one.step(X[:9], y[:9])
    assert twin.network.parameters.tobytes() == trainer.network.parameters.tobytes()
    assert twin.averaged.tobytes() == trainer.averaged.tobytes()
    os.rename(tmp_path / "trainer.safetensors", tmp_path / "epoch-00000001.safetensors")
    with pytest.raises(ValueError, match="of a trainer, not of fit"):
        train(tmp_path)


def test_other_kinds_of_files_are_told_apart(tmp_path):
    train(tmp_path, epochs=1)
    path = tmp_path / "best.safetensors"
    with pytest.raises(ValueError, match=r"is a checkpoint .*fastprop.load_checkpoint"):
        fp.load(path)
    network().save(path)
    with pytest.raises(ValueError, match=r"is a model file, for fastprop.load"):
        fp.load_checkpoint(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        fp.load_checkpoint(tmp_path / "empty")


# ---- damage ----


def test_the_one_before(tmp_path):
    train(tmp_path, epochs=4)
    newest = checkpoint.find(tmp_path)[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00000004.* is truncated.*fallback=True.*00000003"):
        train(tmp_path)
    with pytest.warns(UserWarning, match="going on from .*00000003"):
        gone_on = train(tmp_path, fallback=True)
    same(gone_on, train())
    for path in checkpoint.find(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="truncated"), pytest.warns(UserWarning, match="going on from"):
        train(tmp_path, fallback=True)


@pytest.fixture(params=["model", "checkpoint"])
def file(request, tmp_path):
    """Return a small file, and the function that reads it."""
    path = tmp_path / "x.safetensors"
    net = fp.Network([1, fp.BatchNorm(), 1], seed=0)
    if request.param == "model":
        net.save(path)
        return path, fp.load
    optimizer = fp.Adam(fp.schedules.Cosine(0.1, steps=5))
    fp.Trainer(net, loss="huber", optimizer=optimizer, average=fp.EMA(0.9)).save(path)
    return path, fp.load_checkpoint


def test_truncated_at_every_byte(file):
    path, load = file
    content = path.read_bytes()
    load(path)
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        with pytest.raises(ValueError, match=r"x\.safetensors"):
            load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="appended"):
        load(path)


def test_a_flipped_bit_at_every_byte(file):
    path, load = file
    content = path.read_bytes()
    with open(path, "r+b", buffering=0) as stored:
        for place, byte in enumerate(content):
            stored.seek(place)
            stored.write(bytes([byte ^ 1 << place * 5 % 8]))  # each of the eight bits in turn
            with pytest.raises(ValueError, match=r"x\.safetensors"):
                load(path)
            stored.seek(place)
            stored.write(bytes([byte]))
    load(path)


def test_a_right_checksum_over_something_else(tmp_path):
    """A file with a right checksum may still have wrong content, so the content is checked too."""
    path = tmp_path / "x.safetensors"
    trainer = fp.Trainer(fp.Network([2, 1], seed=0), loss="half_mse", optimizer="adam")
    trainer.save(path)
    good = checkpoint.read(path)
    metadata, arrays = safetensors.read(path, safetensors.CHECKPOINT)
    for change in (
        {"trainer": "{}"},
        {"trainer": "[1"},
        {"trainer": metadata["trainer"].replace("Adam", "Maybe")},
        {"at": '{"steps": 3}'},
    ):
        safetensors.write(path, safetensors.CHECKPOINT, metadata | change, arrays)
        with pytest.raises(ValueError, match=r"x\.safetensors"):
            fp.load_checkpoint(path)
    for change in ({"parameters": arrays["parameters"][:2]}, {"average": np.zeros(3)}):
        safetensors.write(path, safetensors.CHECKPOINT, metadata, arrays | change)
        with pytest.raises(ValueError, match="does not hold the arrays"):
            fp.load_checkpoint(path)
    assert good.arrays["parameters"].tobytes() == trainer.network.parameters.tobytes()


@pytest.mark.filterwarnings("ignore:overflow")  # a rate of 1e308 is valid
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(pick=st.data())
def test_a_right_checksum_over_anything(file, pick):
    """A file whose header is changed anywhere loads as what it then describes, or is refused."""
    path, load = file
    content = ORIGINAL.setdefault(load, path.read_bytes())
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = header["__metadata__"]
    inner = [name for name in ("description", "trainer", "at", "run") if name in metadata]
    for name in inner:
        metadata[name] = json.loads(metadata[name])
    for _ in range(pick.draw(st.integers(1, 2))):
        container, key = pick.draw(st.sampled_from(list(places(header))))
        if pick.draw(st.booleans()):
            del container[key]
        else:
            container[key] = copy.deepcopy(pick.draw(ODD))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        return
    metadata |= {name: json.dumps(metadata[name]) for name in inner if name in metadata}
    metadata = {"checksum": "0" * 64} | {name: text for name, text in metadata.items() if name != "checksum"}
    header = bytearray(json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")), "ascii")
    header += b" " * (-len(header) % 8)
    length = len(header).to_bytes(8, "little")
    header[safetensors.DIGITS_AT] = safetensors.checksum(length, header, content[end:])
    path.write_bytes(length + header + content[end:])
    try:
        found = load(path)
    except ValueError as refused:
        found = refused
    assert isinstance(found, fp.Network | fp.Trainer) or ("x.safetensors" in str(found) and len(str(found)) < 2000)


ORIGINAL: dict = {}  # the bytes that each loader's file was written with


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_random_moments():
    tool = Path(__file__).parents[2] / "tools" / "kill_test"
    if not tool.exists():
        pytest.skip("the tools are not beside the tests")
    done = subprocess.run([sys.executable, tool, "--kills", "5"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout.startswith("5 kills"), done.stdout + done.stderr
