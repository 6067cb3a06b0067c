"""Watch: its numbers against NumPy, its warnings, and that it changes nothing and costs little."""

import warnings

import numpy as np
import pytest

import fastprop as fp
from fastprop.training import monitor


def classes(rows=300, n_in=4, n=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, n_in)).astype(np.float32)
    return X, (X[:, :n] + 0.5 * rng.normal(size=(rows, n))).argmax(axis=1)


HOW = {"loss": "cross_entropy", "batch_size": 16}


def watched(net, X, y, *, optimizer=None, epochs=3, **how):
    watch = fp.Watch(share=1, **{name: how.pop(name) for name in ("rows", "warn") if name in how})
    net.fit(X, y, optimizer=optimizer or fp.SGD(0.1), epochs=epochs, callbacks=watch, **HOW | how)
    return watch


def test_every_number_is_what_numpy_finds():
    """The network has two layers; there is one epoch, so that the update starts at the initial weights."""
    X, y = classes(60)
    net = fp.Network([4, 8, 3], activation="relu", dtype="float64", seed=0)
    before = net.parameters.copy()
    table = watched(net, X, y, epochs=1).table()
    x = X.astype(np.float64)
    (W1, W2), (b1, b2) = net.weights, net.biases
    z1 = x @ W1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ W2 + b2
    p = np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True)
    dz2 = (p - np.eye(3)[y]) / len(x)
    dz1 = (dz2 @ W2.T) * (z1 > 0)
    moved = net.parameters - before
    parts = [(W1, a1, z1 > 0, dz1, x.T @ dz1, moved[:32]), (W2, z2, np.ones_like(z2), dz2, a1.T @ dz2, moved[40:64])]
    steps = -(-60 // 16)
    for k, (W, a, slope, dz, dW, change) in enumerate(parts):
        expected = {
            "epoch": 1,
            "layer": k + 1,
            "weight_mean": W.mean(),
            "weight_std": W.std(),
            "weight_norm": np.linalg.norm(W),
            "activation_mean": a.mean(),
            "activation_std": a.std(),
            "activation_norm": np.sqrt((a**2).sum(axis=1).mean()),
            "gradient_mean": dW.mean(),
            "gradient_std": dW.std(),
            "gradient_norm": np.linalg.norm(dW),
            "signal": np.sqrt((dz**2).mean()),
            "update_norm": np.linalg.norm(change) / steps,
            "update_ratio": np.linalg.norm(change) / steps / np.linalg.norm(W),
            "dead": (slope == 0).all(axis=0).mean(),
            "saturated": ((slope.mean(axis=0) < 0.05) & (slope != 0).any(axis=0)).mean(),
        }
        found = {name: column[k] for name, column in table.items()}
        assert found.pop("name") == ("dense relu", "dense")[k]
        # sums of at most 60 * 8 terms of size 1 in float64, twice over: 1e-12 leaves two digits
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "layers", [[4, 8, 3], [4, fp.Dense(8), fp.BatchNorm(), fp.Activation("relu"), fp.Dropout(0.3), 3]]
)
def test_the_training_is_as_without_it(layers):
    X, y = classes()
    one, two = (fp.Network(layers, seed=0) for _ in range(2))
    watched(one, X, y, optimizer=fp.Adam(0.01))
    two.fit(X, y, optimizer=fp.Adam(0.01), epochs=3, **HOW)
    assert one.parameters.tobytes() == two.parameters.tobytes()
    assert one.state.tobytes() == two.state.tobytes()


def test_the_table_has_a_row_for_each_epoch_and_layer():
    X, y = classes()
    net = fp.Network([4, fp.Dense(8), fp.LayerNorm(), fp.Activation("tanh"), fp.Dropout(0.2), 3], seed=0)
    table = watched(net, X, y, epochs=4).table()
    assert list(table) == list(monitor.COLUMNS)
    assert table["epoch"] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert table["layer"] == [1, 2, 3] * 4
    assert table["name"][:3] == ["dense", "layer norm tanh", "dense"]


def test_weights_of_classes_are_in_the_gradient():
    X, y = classes(60)
    net = fp.Network([4, 3], dtype="float64", seed=0)
    table = watched(net, X, y, epochs=1, class_weight={0: 5.0, 1: 0.5}).table()
    weight = np.array([5.0, 0.5, 1.0])[y]
    _, gradient = net.value_and_gradient(X, y, loss="cross_entropy", sample_weight=weight)
    assert table["gradient_norm"][0] == pytest.approx(np.linalg.norm(gradient[:12]), rel=1e-12)


def test_the_sample_is_spread_over_the_rows():
    """The sample of sorted rows holds every class."""
    X, y = classes(3000)
    order = np.argsort(y, kind="stable")
    seen = []

    class Spy(fp.Watch):
        def _record(self, run):
            seen.append(np.bincount(self._examples[2], minlength=3))

    fp.Network([4, 3], seed=0).fit(X[order], y[order], optimizer="sgd", epochs=1, callbacks=Spy(rows=100), **HOW)
    assert seen[0].sum() == 100 and seen[0].min() > 20


# ---- warnings ----


def test_vanishing_gradients_are_told_once_a_layer():
    X, y = classes()
    net = fp.Network([4, *[8] * 8, 3], activation="sigmoid", seed=0)
    with pytest.warns(RuntimeWarning, match="gradients vanish in epoch 1, layer 1, dense sigmoid .and layers 2, 3.*: "):
        watch = watched(net, X, y, epochs=3)
    assert sum("vanish" in sentence and "layer 1," in sentence for sentence in watch.found) == 1
    table = watch.table()
    assert table["signal"][0] < table["signal"][8] / 1000


def test_exploding_gradients():
    X, y = classes()
    net = fp.Network([4, *[32] * 8, 3], activation="relu", seed=0)
    for weight in net.weights:
        weight *= 4
    with pytest.warns(RuntimeWarning, match="gradients explode in epoch 1, layer 1, dense relu"):
        watched(net, X, y, optimizer=fp.SGD(1e-9), epochs=1)


def test_dead_and_saturated_units():
    X, y = classes()
    net = fp.Network([4, 10, 3], activation="relu", seed=0)
    net.biases[0][:6] = -100
    with pytest.warns(RuntimeWarning, match="units die in epoch 1, layer 1, dense relu: 60% of"):
        table = watched(net, X, y, epochs=1).table()
    assert table["dead"] == [0.6, 0.0]
    net = fp.Network([4, 10, 3], activation="tanh", seed=0)
    net.biases[0][:6] = 5
    with pytest.warns(RuntimeWarning, match="units saturate in epoch 1, layer 1, dense tanh: 60% of"):
        table = watched(net, X, y, epochs=1, optimizer=fp.SGD(1e-9)).table()
    assert table["saturated"] == [0.6, 0.0]


def test_a_healthy_network_and_warn_false_are_silent():
    X, y = classes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert watched(fp.Network([4, 32, 32, 3], seed=0), X, y).found == []
        assert watched(fp.Network([4, *[8] * 8, 3], activation="sigmoid", seed=0), X, y, warn=False).found


# ---- costs and errors ----


class Clock:
    """Replace the clock: a record takes a second, and `epoch` seconds pass between two."""

    def __init__(self, epoch):
        self.now, self.epoch = 0.0, epoch

    def perf_counter(self):
        return self.now


class Timed(fp.Watch):
    def __init__(self, clock, **how):
        super().__init__(**how)
        self.clock = clock

    def on_epoch_end(self, run):
        self.clock.now += self.clock.epoch
        super().on_epoch_end(run)

    def _record(self, run):
        super()._record(run)
        self.clock.now += 1


@pytest.mark.parametrize(
    "epoch, share, looked_at",
    [
        (1.0, 0.25, [1, 8, 12, 16, 20]),  # the second when two seconds are a quarter of the training, and so on
        (1.0, 0.5, [1, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        (100.0, 0.25, list(range(1, 21))),
        (1.0, 1e-6, [1]),
    ],
)
def test_it_looks_where_there_is_time_for_it(monkeypatch, epoch, share, looked_at):
    X, y = classes(100)
    clock = Clock(epoch)
    monkeypatch.setattr(monitor, "time", clock)
    watch = Timed(clock, share=share)
    fp.Network([4, 8, 3], seed=0).fit(X, y, optimizer="sgd", epochs=20, callbacks=watch, **HOW)
    assert watch.table()["epoch"][::2] == looked_at
    assert watch.seconds == len(looked_at)
    fp.Network([4, 8, 3], seed=0).fit(X, y, optimizer="sgd", epochs=20, callbacks=watch, **HOW)
    assert watch.table()["epoch"][::2] == looked_at * 2, "another training begins anew"


def test_what_it_refuses():
    for wrong in ({"rows": 0}, {"share": 0}, {"warn": 1}):
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            fp.Watch(**wrong)
    X, y = classes(20)
    loss = lambda Y, y: (float((Y**2).mean()), 2 * Y / Y.size)  # noqa: E731
    with pytest.raises(TypeError, match="needs one of fastprop's losses"):
        fp.Network([4, 3]).fit(X, y, loss=loss, optimizer="sgd", callbacks=fp.Watch())


def test_members_that_share_their_weights():
    X, y = classes(50)
    table = watched(fp.Network([4, 8, 3], seed=0, members=4), X, y, rows=16).table()
    assert set(table["epoch"]) == {1, 2, 3}
    assert np.isfinite(table["signal"]).all()


@pytest.mark.peer
def test_iterations_of_lbfgs():
    pytest.importorskip("scipy")
    X, y = classes(50)
    watch = fp.Watch(share=1)
    fp.Network([4, 8, 3], seed=0).fit(X, y, loss="cross_entropy", optimizer=fp.LBFGS(), epochs=3, callbacks=watch)
    assert watch.table()["epoch"] == [1, 1, 2, 2, 3, 3]


@pytest.mark.peer
def test_its_picture():
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    X, y = classes()
    watch = watched(fp.Network([4, 8, 3], seed=0), X, y)
    axes = fp.plots.watch(watch)
    assert len(axes) == 4
    for panel, column in zip(axes[:3], ("signal", "update_ratio", "activation_std")):
        drawn = [line.get_ydata().tolist() for line in panel.lines]
        assert drawn == [watch.table()[column][k::2] for k in range(2)]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["1: dense relu", "2: dense"]
    with pytest.raises(ValueError, match="recorded nothing"):
        fp.plots.watch(fp.Watch())
    with pytest.raises(TypeError, match="must be a fastprop Watch"):
        fp.plots.watch({})
    plt.close("all")
