"""Run: one call of ``fit`` that is under way, as its loop, its callbacks and its checkpoints see it."""

import time
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop._util.warn import warn
from fastprop.data import arrays, batches
from fastprop.data.targets import Examples
from fastprop.nn.network import Network
from fastprop.training.callbacks import Callback, EarlyStopping, Patience, overriding_on_step_end
from fastprop.training.callbacks import parse as parse_callbacks
from fastprop.training.history import History
from fastprop.training.metrics import Metric, Predictions
from fastprop.training.metrics import parse as parse_metrics
from fastprop.training.progress import parse as parse_progress
from fastprop.training.split import EvalSource
from fastprop.training.trainer import Trainer

json = LazyModule("json")


class Run:
    """A training that is under way, as callbacks see it.

    Attributes
    ----------
    trainer, network, history
    epoch : int
        The number of the epoch that is under way or just over, from 1; 0 before the first.
    epochs : int
        How many epochs there are to be.
    cost : float
        The cost of the last step in ``on_step_end``, else that of the last epoch.
    rows : int or None
        How many rows are trained on, of several ranks by this one; None where batches come one by one.
    stopped : bool
        Whether the training ends after this step or epoch.
    """

    def __init__(
        self,
        trainer: Trainer,
        epochs: int,
        source: batches.Source,
        batch_size: int,
        *,
        validation: EvalSource | None = None,
        eval_source: EvalSource,
        metrics: Any = (),
        early_stopping: Any = None,
        callbacks: Any = (),
        progress: Any = False,
    ):
        self.trainer, self.epochs, self.batch_size = trainer, epochs, batch_size
        self.source, self.rows, self._total_rows = source, source.rows, trainer.total_rows(source)
        self.epoch, self.cost, self.stopped = 0, float("nan"), False
        self._validation = validation
        self._metrics = parse_metrics(metrics, trainer.parsed_loss, trainer.network.n_outputs)
        self._eval_source = eval_source
        in_memory = validation is not None or isinstance(source, batches.Stored)
        if self._metrics and (eval_source[1] is None or not in_memory):
            raise ValueError("metrics of rows that are not held in memory cost a pass; give validation=(Xv, yv)")
        self._prefix = "" if validation is None else "validation_"
        # the columns that can be watched, and whether more of each is better (None: not known)
        self.better: dict[str, bool | None] = {"cost": False}
        if validation is not None:
            self.better["validation_cost"] = False
        for metric in self._metrics:
            name = self._prefix + metric.name
            if name in ("epoch", "seconds", *self.better):
                raise ValueError(f"{name!r} is a column of every history; give the metric a name of its own in a dict")
            self.better[name] = metric.greater
        self._columns: dict[str, list] = {name: [] for name in ("epoch", *self.better, "seconds")}
        self.history = History(self._columns)
        self._patience = _patience(early_stopping, self.better)
        self.callbacks = parse_callbacks(callbacks)
        self._begun: list[Callback] = []
        self.step_callbacks = overriding_on_step_end(self.callbacks)
        self._display = parse_progress(progress if trainer.ranks.rank == 0 else False, self.rows)

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self.trainer.network

    @property
    def steps(self) -> int:
        """How many steps the trainer has taken."""
        return self.trainer.steps

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.trainer.rate

    def stop(self) -> None:
        """End the training after the step or epoch that is just over."""
        self.stopped = True

    def take(self, rows: np.ndarray) -> Examples:
        """Return some of the rows that are trained on, read-only, as the engine takes them: x, y or labels, weights."""
        x, *others = self.source.take(rows)
        y, labels, weight = (None if array is None else _validation.read_only(array) for array in others)
        return _validation.read_only(x), y, labels, weight

    # ---- what a checkpoint holds ----

    def setting(self) -> dict[str, Any]:
        """Return what must be equal in a run that resumes this one."""
        watched = None if self._patience is None else repr(self._patience.options)
        columns = list(self._columns)
        return {"batch_size": self.batch_size, "rows": self._total_rows, "columns": columns, "early_stopping": watched}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return where the run is, as a dict that JSON can hold and as arrays by name."""
        patience, saved = (None, {}) if self._patience is None else self._patience.state()
        history = self._columns | _as_json({k: v for k, v in self.history.items() if k not in self._columns})
        at = {"setting": self.setting(), "epoch": self.epoch, "history": history, "patience": patience}
        return at | {"ranks": self.trainer.ranks.size}, saved

    def restore(self, state: dict[str, Any], saved: dict[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned."""
        self.epoch = state["epoch"]
        self.history.update(state["history"])
        self._columns = {name: self.history[name] for name in self._columns}
        if self._patience is not None:
            self._patience.resume(state["patience"], saved)
            self.stopped = self._patience.over

    # ---- what the loops of fit.py call, in this order ----

    def begin(self) -> None:
        """Begin the training: warn of a schedule that is too short, and call ``on_train_begin``."""
        n_steps = self.trainer.n_steps(self.source, self.batch_size)
        self.trainer.optimizer_state.warn_if_schedule_ends_early(self.epochs - self.epoch, n_steps)
        for callback in self.callbacks:
            callback.on_train_begin(self)
            self._begun.append(callback)

    def on_epoch_begin(self) -> Any:
        """Begin the next epoch; return a function to call with its progress, (rows done, rows, cost), or None."""
        self.epoch, self._started = self.epoch + 1, time.perf_counter()
        return None if self._display.rows is None else partial(self._display.rows, self.epoch, self.epochs)

    def on_step(self, cost: float) -> None:
        """Call ``on_step_end`` of the callbacks that have one."""
        self.cost = cost
        for callback in self.step_callbacks:
            callback.on_step_end(self)
        self.stopped = self.trainer.ranks.any(self.stopped)

    def record_epoch(self, cost: float) -> float:
        """Add a row to the history: the epoch's cost, the validation cost and the metrics; see to early stopping.

        Returns
        -------
        float
            The validation cost if there is one, else the cost: what a schedule such as ``ReduceOnPlateau`` watches.
        """
        row = {"epoch": self.epoch, "cost": cost}
        averages = self.trainer.options["average"] is not None
        with self.trainer.averaging() if averages else nullcontext():
            if self._validation is not None:
                row["validation_cost"] = self.trainer.mean_cost(self._validation[0])
            measured = measure(self.trainer, self._metrics, *self._eval_source)
            row |= {self._prefix + name: value for name, value in measured.items()}
            if self._patience is not None:
                self._patience.see(row[self._patience.options.monitor], self.epoch, self.network)
        row["seconds"] = time.perf_counter() - self._started
        for name, column in self._columns.items():
            column.append(row[name])
        self.history.update(self._columns)
        self.cost = cost
        if self._patience is not None and self._patience.over:
            self.stop()
        self._display.epoch(row, self.epochs)
        return row.get("validation_cost", cost)

    def on_epoch_end(self) -> None:
        """Call ``on_epoch_end`` of the callbacks, when trainer and history are done with the epoch."""
        for callback in self.callbacks:
            callback.on_epoch_end(self)
        self.stopped = self.trainer.ranks.any(self.stopped)

    def finalize(self) -> None:
        """Give the network the parameters with which it ends: the averaged or the best ones, where that is wanted."""
        if self.trainer.averaged is not None:
            self.network.parameters = self.trainer.averaged
        if self._patience is not None:
            self._patience.restore(self.network)

    def close(self) -> None:
        """End the display, and call ``on_train_end``, however the training ended."""
        _call_each([self._display.close, *(partial(callback.on_train_end, self) for callback in self._begun)])


def measure(trainer: Trainer, metrics: list[Metric], source: batches.Source, y: Any) -> dict[str, float]:
    """Return the value of each metric over all rows of a source, whose targets are y as the user gave them."""
    if not metrics:
        return {}
    network, ranks, weighted = trainer.network, trainer.ranks, False
    outputs, weights = [np.empty((0, network.n_outputs), network.dtype)], []
    for x, _, _, weight in source.iter_in_order():
        if len(x):
            outputs.append(network(x))
            weights.append(np.ones(len(x), network.dtype) if weight is None else weight)
            weighted |= weight is not None
    targets = ranks.gather(np.asarray(arrays.plain("y", y, network.dtype, targets=True)))
    weight = ranks.gather(np.concatenate([outputs[0][:, 0], *weights])) if ranks.any(weighted) else None
    predictions = Predictions(targets, ranks.gather(np.concatenate(outputs)), weight, trainer.parsed_loss)
    return {metric.name: metric.function(predictions) for metric in metrics}


def _call_each(functions: list[Any]) -> None:
    """Call one after the other, even if one before raised."""
    if functions:
        try:
            functions[0]()
        finally:
            _call_each(functions[1:])


def _as_json(columns: dict[Any, Any]) -> dict[str, Any]:
    """Return the columns that callbacks added, as a checkpoint holds them; warn of those that it cannot hold."""
    held = {}
    for name, column in columns.items():
        try:
            if not isinstance(name, str):
                raise TypeError
            held[name] = json.loads(json.dumps(column, default=lambda value: value.tolist()))
        except (TypeError, ValueError, AttributeError, RecursionError):
            warn(
                f"the column {name!r} of the history is not in the checkpoint, which has no place for {column!r:.60}; "
                "give it a name, and numbers or text"
            )
    return held


def _patience(given: Any, better: dict[str, bool | None]) -> Patience | None:
    """Return what watches for early stopping; None where that is not wanted."""
    if given is None or given is False:
        return None
    if given is not True and not isinstance(given, EarlyStopping):
        raise TypeError(f"early_stopping must be fp.EarlyStopping(...), True or False, got {given!r:.200}")
    return Patience(EarlyStopping() if given is True else given, better)
