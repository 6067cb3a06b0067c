"""fit as it is left alone: held-out rows, metrics, early stopping, callbacks, what it shows, and how it ends."""

import io
import os
import signal
import sys
from contextlib import nullcontext

import numpy as np
import pytest

import fastprop as fp
from fastprop.training import metrics, progress, split


def classes(rows=120, n=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, :n] + 0.5 * rng.normal(size=(rows, n))).argmax(axis=1)


def net_of(outputs=3, seed=0):
    return fp.Network([4, 16, outputs], activation="tanh", seed=seed)


HOW = {"loss": "cross_entropy", "optimizer": fp.Adam(0.01), "batch_size": 16}


def bits(history):
    return {name: column for name, column in history.items() if name != "seconds"}


# ---- held-out rows ----


def test_a_fraction_is_held_out():
    X, y = classes(100)
    y[:] = np.repeat([0, 1, 2], [50, 30, 20])
    seen = []
    net = net_of()
    history = net.fit(X, y, validation=0.2, epochs=1, metrics={"rows": lambda y, Y: seen.append(y) or len(y)}, **HOW)
    assert history["validation_rows"] == [20]
    assert np.bincount(seen[0]).tolist() == [10, 6, 4], "as many of each class as it has a share"

    class Rows(fp.Callback):
        def on_train_begin(self, run):
            self.rows = run.rows

    counted = Rows()
    net.fit(X, y, validation=0.2, epochs=1, callbacks=counted, **HOW)
    assert counted.rows == 80


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_hinge"])
def test_two_classes_are_held_out_alike(loss):
    X, _ = classes(100)
    y, seen = np.repeat([0, 1], [70, 30]), []
    how = {"loss": loss, "optimizer": "adam", "epochs": 1}
    net_of(1).fit(X, y, validation=0.2, metrics={"rows": lambda y, Y: seen.append(y) or 0}, **how)
    assert np.bincount(seen[0]).tolist() == [14, 6]


def test_the_held_out_rows_follow_the_seed():
    X, y = classes()

    def costs(seed):
        return net_of().fit(X, y, validation=0.25, epochs=2, seed=seed, **HOW)["validation_cost"]

    assert costs(1) == costs(1) != costs(2)


def test_held_out_rows_do_not_train():
    """Whatever the held-out rows hold, the parameters do not change."""
    X, y = classes()
    held = split.held_out(0.25, len(y), y.astype(np.int64), 0)
    spoiled = X.copy()
    spoiled[held] = 7
    one, two = net_of(), net_of()
    one.fit(X, y, validation=0.25, epochs=2, seed=0, **HOW)
    two.fit(spoiled, y, validation=0.25, epochs=2, seed=0, **HOW)
    assert one.parameters.tobytes() == two.parameters.tobytes()
    two.fit(np.where(held[:, None], X, 7), y, validation=0.25, epochs=2, seed=0, **HOW)
    assert one.parameters.tobytes() != two.parameters.tobytes()


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (1.5, ValueError, "below 1"),
        (0.001, ValueError, "leaves none"),
        ("half", TypeError, "or a fraction"),
        (True, TypeError, "or a fraction"),
        ((1,), TypeError, r"pair \(Xv, yv\)"),
    ],
)
def test_what_is_no_validation(wrong, error, message):
    with pytest.raises(error, match=message):
        net_of().fit(*classes(), validation=wrong, **HOW)


# ---- metrics ----


def test_columns():
    X, y = classes()
    held_out = classes(40, seed=1)
    net = net_of()
    wanted = ["accuracy", lambda y, outputs: outputs.max()]
    wanted[1].__name__ = "largest"
    history = net.fit(X, y, validation=held_out, metrics=wanted, epochs=3, **HOW)
    names = ["epoch", "cost", "validation_cost", "validation_accuracy", "validation_largest", "seconds"]
    assert list(history) == names and {len(column) for column in history.values()} == {3}
    assert history["validation_accuracy"][-1] == np.mean(net(held_out[0]).argmax(1) == held_out[1])
    assert history["validation_largest"][-1] == net(held_out[0]).max()


def test_metrics_without_validation_are_of_the_rows_trained_on():
    X, y = classes()
    net = net_of()
    history = net.fit(X, y, metrics="accuracy", epochs=2, **HOW)
    assert history["accuracy"][-1] == np.mean(net(X).argmax(1) == y)


def test_a_metric_with_the_name_of_a_column():
    with pytest.raises(ValueError, match="'cost' is a column"):
        net_of().fit(*classes(), metrics={"cost": "accuracy"}, **HOW)


def test_metrics_change_no_bit():
    one, two = net_of(), net_of()
    one.fit(*classes(), epochs=2, **HOW)
    two.fit(*classes(), epochs=2, metrics=["accuracy", "auc"], **HOW)
    assert one.parameters.tobytes() == two.parameters.tobytes()


def test_to_dataframe(monkeypatch):
    history = net_of().fit(*classes(), epochs=2, **HOW)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        history.to_dataframe()


def test_to_dataframe_with_pandas():
    pytest.importorskip("pandas")
    history = net_of().fit(*classes(), epochs=2, metrics="accuracy", **HOW)
    frame = history.to_dataframe()
    assert list(frame.columns) == list(history) and frame["accuracy"].tolist() == history["accuracy"]


# ---- early stopping ----


class Told:
    """A metric that returns what it was given beforehand, whatever the outputs are."""

    def __init__(self, *values):
        self.values = iter(values)

    def __call__(self, y, outputs):
        return next(self.values)


@pytest.mark.parametrize(
    "mode, min_delta, values, epochs, best",
    [
        ("max", 0, (1, 3, 2, 3, 9), 4, 2),
        ("min", 0, (5, 4, 4, 4, 1), 4, 2),
        ("min", 0, (5, 4, 6, 3, 3, 3), 6, 4),
        ("max", 1, (1, 2, 1.5, 9), 3, 1),
        ("max", 0, (np.nan, 1, np.nan, np.nan, 5), 4, 2),
        ("max", 0, (np.nan, np.nan, 5), 2, 0),
    ],
)
def test_patience(mode, min_delta, values, epochs, best):
    states = []

    class Keep(fp.Callback):
        def on_epoch_end(self, run):
            states.append(run.network.parameters.tobytes())

    net = net_of()
    stopping = fp.EarlyStopping(patience=2, min_delta=min_delta, monitor="told", mode=mode)
    warned = pytest.warns(UserWarning, match="told is NaN after epoch 1.*after 2 epochs")
    with warned if np.isnan(values[0]) else nullcontext():
        history = net.fit(
            *classes(), metrics={"told": Told(*values)}, early_stopping=stopping, callbacks=Keep(), epochs=20, **HOW
        )
    assert len(history["epoch"]) == epochs
    wanted = states[best - 1] if best else states[-1]
    assert net.parameters.tobytes() == wanted


def test_the_last_may_be_kept():
    last = []

    class Keep(fp.Callback):
        def on_epoch_end(self, run):
            last[:] = [run.network.parameters.tobytes()]

    net = net_of()
    stopping = fp.EarlyStopping(patience=2, monitor="told", mode="max", restore_best=False)
    net.fit(*classes(), metrics={"told": Told(3, 2, 1)}, early_stopping=stopping, callbacks=Keep(), **HOW)
    assert net.parameters.tobytes() == last[0]


def test_early_stopping_restores_the_state_too():
    net = fp.Network([4, 8, fp.BatchNorm(), 3], seed=0)
    seen = []

    class Keep(fp.Callback):
        def on_epoch_end(self, run):
            seen.append(run.network.state.tobytes())

    stopping = fp.EarlyStopping(patience=2, monitor="told", mode="max")
    net.fit(*classes(), metrics={"told": Told(3, 2, 1)}, early_stopping=stopping, callbacks=Keep(), **HOW)
    assert net.state.tobytes() == seen[0] != seen[-1]


def test_early_stopping_with_an_average_keeps_the_average_of_the_best_epoch():
    X, y = classes()
    held_out = classes(40, seed=1)
    net = net_of()
    history = net.fit(X, y, validation=held_out, early_stopping=True, epochs=200, average=fp.EMA(0.9), **HOW)
    assert 10 < len(history["epoch"]) < 200
    best = int(np.argmin(history["validation_cost"]))
    assert best == len(history["epoch"]) - 11
    assert net.value_and_gradient(*held_out, loss="cross_entropy")[0] == history["validation_cost"][best]


@pytest.mark.parametrize(
    "stopping, metrics, message",
    [
        (True, (), "no 'validation_cost' to watch.*give validation"),
        (fp.EarlyStopping(monitor="own"), {"own": lambda y, Y: 0.0}, "mode='min'"),
        (fp.EarlyStopping(monitor="acuracy"), "accuracy", "no 'acuracy' to watch.*cost, accuracy"),
    ],
)
def test_what_cannot_be_watched(stopping, metrics, message):
    net = net_of()
    before = net.parameters.tobytes()
    with pytest.raises(ValueError, match=message):
        net.fit(*classes(), early_stopping=stopping, metrics=metrics, **HOW)
    assert net.parameters.tobytes() == before


def test_numbers_of_early_stopping():
    with pytest.raises(ValueError, match="patience"):
        fp.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="min_delta"):
        fp.EarlyStopping(min_delta=-1)
    with pytest.raises(ValueError, match="mode"):
        fp.EarlyStopping(mode="less")
    with pytest.raises(TypeError, match="early_stopping must be"):
        net_of().fit(*classes(), early_stopping=3, **HOW)


# ---- callbacks ----


def test_the_order_of_calls():
    calls = []

    class All(fp.Callback):
        def on_train_begin(self, run):
            calls.append(("begin", run.epoch, run.steps))

        def on_step_end(self, run):
            calls.append(("step", run.epoch, run.steps))

        def on_epoch_end(self, run):
            calls.append(("epoch", run.epoch, len(run.history["cost"])))

        def on_train_end(self, run):
            calls.append(("end", run.epoch, run.steps))

    net_of().fit(*classes(32), callbacks=[All()], epochs=2, **HOW)
    expected = [("begin", 0, 0)]
    for epoch in (1, 2):
        expected += [("step", epoch, 2 * epoch - 1), ("step", epoch, 2 * epoch), ("epoch", epoch, epoch)]
    assert calls == [*expected, ("end", 2, 4)]


@pytest.mark.parametrize("loss", ["cross_entropy", "own"])
@pytest.mark.parametrize("weighted", [False, True])
def test_step_by_step_gives_the_same_bits(loss, weighted):
    """The training has dropout, a schedule by epochs, an average, and a smaller last batch."""

    def own(Y, y):
        error = Y - np.eye(3, dtype=Y.dtype)[y]
        return float(np.mean(error**2)), 2 * error / error.size

    def train(callbacks):
        net = fp.Network([4, 16, fp.Dropout(0.2), 3], seed=0)
        how = {"loss": own if loss == "own" else loss, "average": fp.EMA(0.9), "batch_size": 16}
        if weighted and loss != "own":
            how |= {"sample_weight": np.random.default_rng(0).uniform(size=120), "class_weight": "balanced"}
        optimizer = fp.Adam(fp.schedules.Cosine(0.01, epochs=3))
        return net, net.fit(*classes(), optimizer=optimizer, epochs=3, callbacks=callbacks, **how)

    costs = []

    class Step(fp.Callback):
        def on_step_end(self, run):
            costs.append(run.cost)

    (one, history), (two, stepped) = train(()), train(Step())
    assert one.parameters.tobytes() == two.parameters.tobytes()
    np.testing.assert_allclose(history["cost"], stepped["cost"], rtol=1e-6)  # sums of float32 costs in another order
    assert len(costs) == 3 * 8 and len(set(costs)) > 20


def test_stop_after_a_step():
    class Stop(fp.Callback):
        def on_step_end(self, run):
            if run.steps == 11:
                run.stop()

    net, other = net_of(), net_of()
    history = net.fit(*classes(), callbacks=Stop(), epochs=5, **HOW)
    assert history["epoch"] == [1, 2]
    trainer = fp.Trainer(other, loss="cross_entropy", optimizer=fp.Adam(0.01))
    X, y = classes()
    trainer.epoch(X, y, batch_size=16)
    order = np.empty(len(X), np.int64)
    fp._core._engine.shuffle(order, trainer.seed, trainer.steps)
    for first in range(0, 3 * 16, 16):
        trainer.step(X[order[first : first + 16]], y[order[first : first + 16]])
    assert net.parameters.tobytes() == other.parameters.tobytes()


def test_stop_after_an_epoch():
    class Stop(fp.Callback):
        def on_epoch_end(self, run):
            if run.history["cost"][-1] < 0.9:
                run.stop()

    history = net_of().fit(*classes(), callbacks=Stop(), epochs=100, **HOW)
    assert history["cost"][-1] < 0.9 <= history["cost"][-2] and len(history["epoch"]) < 100


def test_an_exception_in_a_callback():
    ended = []

    class Fail(fp.Callback):
        def on_epoch_end(self, run):
            raise RuntimeError("enough")

        def on_train_end(self, run):
            ended.append(run.epoch)

    net, other = net_of(), net_of()
    with pytest.raises(RuntimeError, match="enough"):
        net.fit(*classes(), callbacks=Fail(), **HOW)
    other.fit(*classes(), epochs=1, **HOW)
    assert ended == [1] and net.parameters.tobytes() == other.parameters.tobytes()


def test_what_is_no_callback():
    subclass = "make it a subclass"
    for given, words in ((3, subclass), ([None], subclass), (fp.Callback, r"Callback\(\.\.\.\)")):
        net = net_of()
        with pytest.raises(TypeError, match=words):
            net.fit(*classes(), callbacks=given, **HOW)
        assert net.parameters.tobytes() == net_of().parameters.tobytes()


def test_a_function_is_called_after_each_epoch_and_none_is_no_callback():
    epochs, net = [], net_of()
    net.fit(*classes(), callbacks=lambda run: epochs.append(run.epoch), epochs=3, **HOW)
    net.fit(*classes(), callbacks=[lambda run: epochs.append(-run.epoch) or run.stop()], epochs=3, **HOW)
    net.fit(*classes(), callbacks=None, epochs=1, **HOW)
    assert epochs == [1, 2, 3, -1]


class Ends(fp.Callback):
    """Keep the network's parameters when its training ends."""

    def __init__(self, fail=None):
        self.fail, self.began, self.parameters, self.history = fail, False, None, None

    def on_train_begin(self, run):
        if self.fail == "begin":
            raise RuntimeError("begin")
        self.began = True

    def on_epoch_end(self, run):
        if self.fail == "epoch" and run.epoch == 2:
            raise RuntimeError("epoch")

    def on_train_end(self, run):
        self.parameters = run.network.parameters.copy()
        if self.fail == "end":
            raise RuntimeError("end")


STOPPED = {"early_stopping": fp.EarlyStopping(patience=2), "validation": 0.3}
ENDINGS = {
    "best": {"optimizer": fp.SGD(0.5), **STOPPED},
    "averaged": {"average": fp.EMA(0.9)},
    "averaged, and the best": {"average": fp.EMA(0.9), **STOPPED},
    "last": {},
}


@pytest.mark.parametrize("fail", [None, "end"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_callbacks_end_with_the_parameters_that_the_training_ends_with(ending, fail):
    """If one of them raises, the others are called nevertheless."""
    plain, net = net_of(), net_of()
    how = HOW | {"epochs": 12} | ENDINGS[ending]
    history = plain.fit(*classes(), **how)
    first, second = Ends(fail), Ends()
    with pytest.raises(RuntimeError, match="end") if fail else nullcontext():
        assert bits(net.fit(*classes(), callbacks=[first, second], **how)) == bits(history)
    for parameters in (net.parameters, first.parameters, second.parameters):
        np.testing.assert_array_equal(parameters, plain.parameters)


def test_on_train_end_is_for_those_that_began():
    net, ends = net_of(), [Ends(), Ends("begin"), Ends()]
    with pytest.raises(RuntimeError, match="begin"):
        net.fit(*classes(), callbacks=ends, **HOW)
    assert [end.parameters is not None for end in ends] == [True, False, False]
    np.testing.assert_array_equal(net.parameters, net_of().parameters)
    ends = [Ends(), Ends("epoch"), Ends("end"), Ends()]
    with pytest.raises(RuntimeError, match="end") as caught:
        net.fit(*classes(), callbacks=ends, average=fp.EMA(0.9), **HOW)
    assert str(caught.value.__context__) == "epoch"
    for end in ends:
        np.testing.assert_array_equal(end.parameters, net.parameters)


def test_what_a_user_reads_cannot_be_written_to():
    """Metrics, losses of one's own and callbacks cannot write to targets, nor to numbers that others see."""
    X, y = classes()
    kept = X.copy(), y.copy()
    tried = []

    def write(*arrays):
        for array in arrays:
            if array is not None:
                with pytest.raises(ValueError, match="read-only"):
                    array -= 1
                tried.append(array)

    def metric(y, outputs):
        write(y, outputs)
        return 0.0

    def own(Y, y):
        write(y)
        error = Y - np.eye(3, dtype=Y.dtype)[y]
        return float(np.mean(error**2)), 2 * error / error.size

    def callback(run):
        write(*run.take(np.arange(3)), *run.take(slice(0, 3)))

    for loss in ("cross_entropy", own):
        for shuffle in (True, False):
            net = net_of()
            how = HOW | {"loss": loss, "shuffle": shuffle, "validation": (X, y), "metrics": metric}
            net.fit(X, y, callbacks=callback, epochs=1, **how)
            net.value_and_gradient(X, y, loss=loss)
            metrics.evaluate(metric, net, X, y, loss=loss)
    assert len(tried) > 40
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])


WRONG = {
    "epochs": 0, "batch_size": 500, "sample_weight": np.zeros(120), "class_weight": {7: 1.0}, "validation": "half",
    "metrics": "accuracy_of_all", "early_stopping": True, "callbacks": 3, "seed": -1, "progress": 3, "window": 0,
    "rates": [1.0], "l1": -1, "clip_norm": 0, "average": 0.9, "shuffle": 3, "optimizer": "adm", "loss": "bce",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_changes_nothing(name):
    net, calls = net_of(), Ends()
    how = HOW | {"callbacks": calls} | {name: WRONG[name]}
    with pytest.raises((ValueError, TypeError)):
        net.fit(*classes(), **how)
    assert net.parameters.tobytes() == net_of().parameters.tobytes() and not calls.began


def test_a_metric_that_fails_leaves_whole_steps():
    for metric in (lambda y, outputs: "good", lambda y, outputs: y.sort(), lambda y, outputs: 1 / 0):
        net, other = net_of(), net_of()
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
            net.fit(*classes(), metrics=metric, average=fp.EMA(0.5), **HOW)
        other.fit(*classes(), epochs=1, **HOW)
        np.testing.assert_array_equal(net.parameters, other.parameters)


# ---- columns that callbacks add to the history ----


@pytest.mark.parametrize("shown", [False, True])
def test_a_callback_may_add_columns_to_the_history(shown, capfd):
    def add(run):
        run.history.setdefault("norm", []).append(float(np.linalg.norm(run.network.parameters)))
        run.history["last"] = run.epoch
        if run.epoch == 2:
            run.history["once"] = [object()]

    history = net_of().fit(*classes(), callbacks=add, epochs=3, progress=shown, **HOW)
    assert len(history["norm"]) == 3 and history["last"] == 3 and len(history["once"]) == 1
    assert bits(history) == bits(net_of().fit(*classes(), epochs=3, **HOW)) | {
        name: history[name] for name in ("norm", "last", "once")
    }
    assert "norm" not in capfd.readouterr().out


def test_the_columns_of_fit_are_its_own():
    def spoil(run):
        run.history["cost"] = None
        run.history.pop("epoch", None)

    history = net_of().fit(*classes(), callbacks=spoil, epochs=3, **HOW)
    assert history["seconds"] and set(history) <= {"cost", "seconds", "epoch"}


@pytest.mark.peer
def test_columns_of_other_lengths_in_a_dataframe():
    pytest.importorskip("pandas")

    def add(run):
        if run.epoch > 1:
            run.history.setdefault("late", []).append(run.epoch)

    frame = net_of().fit(*classes(), callbacks=add, epochs=3, **HOW).to_dataframe()
    assert frame["late"].tolist()[:2] == [2, 3] and np.isnan(frame["late"][2]) and frame["epoch"].tolist() == [1, 2, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="no signal can be sent to oneself there")
def test_ctrl_c_leaves_whole_steps_and_the_history():
    ends = []

    class Interrupt(fp.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

        def on_train_end(self, run):
            ends.append(run.steps)

    net, other = net_of(), net_of()
    with pytest.raises(KeyboardInterrupt) as caught:
        net.fit(*classes(), callbacks=Interrupt(), epochs=10**6, **HOW)
    history = caught.value.history
    assert history["epoch"][:3] == [1, 2, 3] and len(history["epoch"]) < 10
    epochs, rest = divmod(ends[0], 8)
    assert rest == 0
    other.fit(*classes(), epochs=epochs, **HOW)
    assert net.parameters.tobytes() == other.parameters.tobytes()


def test_lbfgs_stops_too():
    pytest.importorskip("scipy")
    how = {"loss": "cross_entropy", "optimizer": fp.LBFGS(), "epochs": 60}
    X, y = classes()
    whole = net_of().fit(X, y, validation=0.25, metrics="accuracy", **how)
    net = net_of()
    history = net.fit(X, y, validation=0.25, early_stopping=fp.EarlyStopping(patience=3), **how)
    best = int(np.argmin(history["validation_cost"]))
    assert len(history["epoch"]) == best + 4 < len(whole["epoch"])
    assert history["validation_cost"] == whole["validation_cost"][: best + 4]
    assert "validation_accuracy" in whole


# ---- displays of the progress ----


def test_lines_name_the_metrics(capsys):
    net_of().fit(*classes(), validation=0.2, metrics="accuracy", epochs=2, progress=True, **HOW)
    out, err = capsys.readouterr()
    *lines, best = out.splitlines()
    assert len(lines) == 2 and err == "" and best.startswith("best (*): epoch ")
    assert all(f"epoch {i + 1}/2  cost" in line for i, line in enumerate(lines))
    assert "validation accuracy" in out


def test_a_line_that_changes_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    assert type(progress.parse(True, 9)) is progress.Bar and type(progress.parse(True, None)) is progress.Lines
    net = net_of()
    history = net.fit(*classes(), validation=0.2, epochs=3, progress=True, **HOW)
    out, err = capsys.readouterr()
    assert out == "" and f"cost {history['cost'][-1]:.4g}" in err and "epoch 3/3" in err and err.endswith("\n")
    assert f"validation {history['validation_cost'][1]:.4g}" in err, "that of the epoch before, while one is under way"


@pytest.mark.parametrize("columns", [40, 50, 80, 200])
def test_the_cost_and_the_time_left_are_in_the_line_however_narrow_it_is(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    shown = progress.Bar(terminal)
    for epoch in (1, 999, 1000):
        shown.epoch({"epoch": epoch, "cost": 1.0, "validation_cost": 0.00012345, "seconds": 1.0}, 1000)
        shown.rows(epoch, 1000, 500, 1000, -1.2345e-05)
    assert progress.drawn is shown
    shown.above("a line")
    shown.close()
    assert progress.drawn is None
    *lines, end = terminal.getvalue().split("\r")
    assert end.endswith("\n") and len(lines) > 3
    for line in lines[1:]:
        assert len(line) < columns and (not line.strip() or ("cost -1.234e-05" in line and " left" in line))
    assert ("validation 0.0001234" in end) == (columns >= 80)


def test_the_best_epoch_is_marked_and_the_numbers_stand_below_each_other(capsys):
    shown = progress.Lines()
    costs = [12.5, 3.25, 0.125, 4.0, 0.0625, 100.0]
    for epoch, cost in enumerate(costs, 1):
        shown.epoch({"epoch": epoch, "cost": cost, "seconds": 0.25}, len(costs))
    shown.close()
    *lines, best = capsys.readouterr().out.splitlines()
    assert [line.endswith("*") for line in lines] == [True, True, True, False, True, False]
    assert best == "best (*): epoch 5, cost 0.0625"
    assert len({line.index(".") for line in lines[:5] if "." in line.partition("cost")[2].partition("  ")[0]}) == 1


def test_progress_is_true_false_or_a_function():
    with pytest.raises(TypeError, match="progress must be"):
        net_of().fit(*classes(), progress=3, **HOW)


def test_early_stopping_holds_numbers_of_python():
    """A checkpoint compares what it was made with, as text."""
    given = fp.EarlyStopping(patience=np.int64(3), min_delta=np.float32(0.5), restore_best=np.True_)
    assert repr(given) == repr(fp.EarlyStopping(patience=3, min_delta=0.5, restore_best=True))
