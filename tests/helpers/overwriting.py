"""Trainings whose arrays are overwritten; tests/core/test_overwriting.py runs this in a new process.

    python tests/helpers/overwriting.py callbacks ISA
    python tests/helpers/overwriting.py threads ISA STEPS

If the process ends by itself, with status 0, it has touched no memory outside its arrays that caused a crash; under
tools/sanitize it has touched none at all.
"""

import importlib.util
import itertools
import sys
import threading

import numpy as np

import fastprop as fp
from fastprop._core import _engine

ROWS, CATEGORIES, CLASSES = 96, 5, 3
LABELS = {"huge": 10**12, "negative": -1, "least": -(2**63), "next": CLASSES}
INDICES = {"huge": 1e9, "negative": -1.0, "largest": 3e38, "nan": np.nan, "infinite": -np.inf, "next": CATEGORIES}
REFUSALS = (ValueError, FloatingPointError)


class Task:
    """Data whose first column is a category and whose targets are labels, and networks to train on it."""

    def __init__(self, dtype, seed=0):
        rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.X = rng.normal(size=(ROWS, 3)).astype(dtype)
        self.X[:, 0] = rng.integers(CATEGORIES, size=ROWS)
        self.labels = rng.integers(CLASSES, size=ROWS)
        self.numbers = rng.normal(size=(ROWS, CLASSES)).astype(dtype)
        self.weights = np.ones(ROWS, dtype)

    def arrays(self):
        return self.X, self.labels, self.numbers, self.weights

    def network(self, kind="embedding"):
        layers = {
            "embedding": [3, fp.Embedding({0: (CATEGORIES, 2)}), 8, CLASSES],
            "norm": [3, fp.Embedding({0: (CATEGORIES, 4)}), 8, fp.BatchNorm(), CLASSES],
            "dense": [3, 8, CLASSES],
            "tiny": [3, CLASSES],
            "piecewise": [3, fp.PiecewiseLinear([[0, 1, 4], [-1, 0, 1], [-2, 2]]), CLASSES],
            "periodic": [3, fp.Periodic(4), CLASSES],
        }
        return fp.Network(layers[kind], seed=0, dtype=self.dtype)


# ---- overwritten from within: a user's function that training calls writes into the arrays ----


def callback_of(method):
    def run(task, spoil, loss):
        def when_called(self, run):
            spoil()

        spoiler = type("Spoiler", (fp.Callback,), {method: when_called})()
        y = task.labels if loss == "cross_entropy" else task.numbers
        task.network().fit(task.X, y, loss=loss, optimizer="adam", epochs=3, batch_size=32, callbacks=[spoiler])

    return run


def by_progress_of_fit(task, spoil, loss):
    y = task.labels if loss == "cross_entropy" else task.numbers
    task.network().fit(task.X, y, loss=loss, optimizer="sgd", epochs=3, progress=lambda *_: spoil())


def by_progress_of_epoch(task, spoil, loss):
    y = task.labels if loss == "cross_entropy" else task.numbers
    before = _engine.set_interrupt_interval(0)
    try:
        trainer = fp.Trainer(task.network(), loss=loss, optimizer="sgd")
        for _ in range(2):
            trainer.epoch(task.X, y, batch_size=1, progress=lambda *_: spoil())
    finally:
        _engine.set_interrupt_interval(before)


def by_metric(task, spoil, loss):
    def metric(y, outputs):
        spoil()
        return 0.0

    y = task.labels if loss == "cross_entropy" else task.numbers
    task.network().fit(task.X, y, loss=loss, optimizer="adam", epochs=3, metrics={"spoilt": metric})


def by_validation(task, spoil, loss):
    def metric(y, outputs):
        spoil()
        return 0.0

    y = task.labels if loss == "cross_entropy" else task.numbers
    other = Task(task.dtype, 1)
    task.network().fit(
        other.X, other.labels if y is task.labels else other.numbers, loss=loss, optimizer="adam", epochs=3,
        metrics={"spoilt": metric}, validation=(task.X, y),
    )  # fmt: skip


def by_lbfgs(task, spoil, loss):
    class Spoiler(fp.Callback):
        def on_epoch_end(self, run):
            spoil()

    y = task.labels if loss == "cross_entropy" else task.numbers
    task.network().fit(task.X, y, loss=loss, optimizer=fp.LBFGS(), epochs=3, callbacks=[Spoiler()])


def by_batches(task, spoil, loss):
    def batches():
        y = task.labels if loss == "cross_entropy" else task.numbers
        yield task.X[:32], y[:32]
        spoil()
        yield task.X, y

    trainer = fp.Trainer(task.network(), loss=loss, optimizer="adam")
    trainer.epoch(batches())


def by_schedule(task, spoil, loss):
    class Spoiler(fp.schedules.Constant):
        def _curve(self, t, span):
            if t.size > 1:  # the rates of an epoch; its rows have been checked before
                spoil()
            return super()._curve(t, span)

    y = task.labels if loss == "cross_entropy" else task.numbers
    trainer = fp.Trainer(task.network(), loss=loss, optimizer=fp.SGD(Spoiler(0.1)))
    for _ in range(2):
        trainer.epoch(task.X, y)


def by_own_loss(task, spoil, loss):
    def own(outputs, y):
        spoil()
        return float(np.mean(outputs**2)), 2 * outputs / outputs.size

    y = task.labels if loss == "cross_entropy" else task.numbers
    trainer = fp.Trainer(task.network(), loss=own, optimizer="sgd")
    for _ in range(2):
        trainer.epoch(task.X, y, batch_size=32)


WITHIN = {
    "on_train_begin": callback_of("on_train_begin"),
    "on_step_end": callback_of("on_step_end"),
    "on_epoch_end": callback_of("on_epoch_end"),
    "progress of fit": by_progress_of_fit,
    "progress of epoch": by_progress_of_epoch,
    "metric": by_metric,
    "validation": by_validation,
    "L-BFGS": by_lbfgs,
    "batches": by_batches,
    "schedule": by_schedule,
    "own loss": by_own_loss,
}
if importlib.util.find_spec("scipy") is None:
    del WITHIN["L-BFGS"]


def spoilers(task):
    """Return functions that spoil the task's data, by name, and which of its arrays each spoils."""

    def fill(array, value):
        return lambda: array.fill(value)

    for name, value in LABELS.items():
        yield f"labels {name}", "cross_entropy", fill(task.labels, value)
    for name, value in INDICES.items():
        yield f"column {name}", "half_mse", fill(task.X[:, 0], value)
    # NumPy refuses what would free the memory under a training
    for what, array in zip(("X", "labels", "numbers"), task.arrays(), strict=False):
        loss = "cross_entropy" if what == "labels" else "half_mse"
        yield f"{what} resized", loss, lambda array=array: array.resize(0, refcheck=False)


def spoil_from_within():
    """Try every call with every function that spoils, for both dtypes; print a line for each with what was raised."""
    for dtype in ("float32", "float64"):
        for at in range(len(list(spoilers(Task(dtype))))):
            for way, run in WITHIN.items():
                task = Task(dtype)
                name, loss, spoil = list(spoilers(task))[at]
                print(f"{way}, {name}, {dtype}: ", end="", flush=True)
                try:
                    run(task, spoil, loss)
                    print("done", flush=True)
                except REFUSALS as error:
                    print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)


# ---- overwritten from outside: another thread writes into the arrays all the time ----


def spoil_all_the_time(task, over, rng):
    """Write valid numbers for a moment, in which rows may pass the checks, and then every other kind of number."""
    arrays = task.arrays()
    valid = [array.copy() for array in arrays]
    while not over.is_set():
        if rng.integers(4) == 0:
            for array, numbers in zip(arrays, valid, strict=True):
                array[...] = numbers
            over.wait(1e-4)
        array = arrays[rng.integers(len(arrays))]
        some = slice(int(rng.integers(ROWS)), None, int(rng.integers(1, 4)))
        if rng.integers(2):
            array[some] = rng.choice(list(LABELS.values() if array.dtype.kind == "i" else INDICES.values()))
        else:  # random bits
            array[some] = np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)[some]


def entries(task):
    """Return functions that use the task's arrays for at most a few steps, by name."""
    networks = {kind: task.network(kind) for kind in ("embedding", "norm", "dense", "tiny", "piecewise", "periodic")}
    ensemble = fp.Ensemble(3, [3, fp.Embedding({0: (CATEGORIES, 2)}), 8, CLASSES], seed=0, dtype=task.dtype)
    X, labels, numbers, weights = task.arrays()

    def own(outputs, y):
        return float(np.mean(outputs**2)), 2 * outputs / outputs.size

    losses = {"cross_entropy": labels, fp.losses.cross_entropy(label_smoothing=0.1): labels, "focal": labels,
              "hinge": labels, "kl_divergence": labels, "half_mse": numbers, own: labels}  # fmt: skip
    for (kind, network), (loss, y) in itertools.product(networks.items(), losses.items()):
        trainer = fp.Trainer(network, loss=loss, optimizer=fp.SGD(1e-3))
        weighted = {} if loss is own else {"sample_weight": weights}
        size = 2 if kind == "tiny" else 16
        yield lambda t=trainer, y=y: t.step(X, y)
        yield lambda t=trainer, y=y: t.step(X[:2], y[:2])
        yield lambda t=trainer, y=y, w=weighted, n=size: t.epoch(X, y, batch_size=n, **w)
        yield lambda t=trainer, y=y, n=size: t.epoch(X, y, batch_size=n)
        yield lambda t=trainer, y=y: t.evaluate(X, y)
        yield lambda n=network, y=y, loss=loss, w=weighted: n.value_and_gradient(X, y, loss=loss, training=True, **w)
        how = {"loss": loss, "optimizer": "adam", "epochs": 2, "batch_size": 16}
        yield lambda n=network, y=y, how=how: n.fit(X, y, validation=(X, y), **how)
        if loss is not own:
            yield lambda n=network, y=y, loss=loss: n.per_example_gradients(X, y, loss=loss)
            yield lambda n=network, y=y, loss=loss: fp.trace(n, X, y, loss=loss)
            side = fp.EnsembleTrainer(ensemble, loss=loss, optimizer="sgd")
            yield lambda s=side, y=y: s.epoch(X, y, batch_size=16)
    for network in networks.values():
        yield lambda n=network: n(X)
        yield lambda n=network: n.jacobian(X)
        yield lambda n=network: (n.forward(X), n.backward(numbers))


def spoil_from_outside(steps, seed=0):
    """Call every function in turn, `steps` times, while a thread spoils all that they read."""
    done = refused = 0
    sys.setswitchinterval(1e-5)  # otherwise a thread waits 5 ms for the GIL
    for dtype in ("float32", "float64"):
        task, over = Task(dtype), threading.Event()
        spoiler = threading.Thread(target=spoil_all_the_time, args=(task, over, np.random.default_rng(seed)))
        uses = list(entries(task))
        spoiler.start()
        try:
            with np.errstate(all="ignore"):
                for use in itertools.islice(itertools.cycle(uses), steps // 2):
                    try:
                        use()
                        done += 1
                    except REFUSALS:
                        refused += 1
        finally:
            over.set()
            spoiler.join()
    print(f"{done} done, {refused} refused")


if __name__ == "__main__":
    assert _engine.select_isa(sys.argv[2]) == sys.argv[2]
    if sys.argv[1] == "callbacks":
        spoil_from_within()
    else:
        spoil_from_outside(int(sys.argv[3]))
