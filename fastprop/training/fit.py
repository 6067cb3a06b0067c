"""fit: the loop over epochs, and what goes with it: validation, metrics, early stopping, callbacks."""

import inspect
import sys
import time
import warnings
from contextlib import closing, nullcontext
from functools import partial
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop.data import arrays as data
from fastprop.data import batches
from fastprop.data import targets as _targets
from fastprop.data.targets import Examples
from fastprop.nn.network import Network
from fastprop.optim.lbfgs import minimize
from fastprop.optim.optimizers import DEFAULT, LBFGS, Optimizer
from fastprop.training import callbacks as _callbacks
from fastprop.training import checkpoint as checkpoints
from fastprop.training import metrics as _metrics
from fastprop.training import progress as _progress
from fastprop.training.callbacks import EarlyStopping, Patience
from fastprop.training.checkpoint import Checkpoint
from fastprop.training.trainer import DivergenceError, History, Trainer, advice

json, random = LazyModule("json"), LazyModule("numpy.random")

# of the rows that a fraction holds out; its stream is not that of the initial weights
HOLD_OUT = 1


@_validation.no_other_arguments(Trainer.__init__)
def fit(
    network: Network,
    X,
    y=None,
    *,
    loss=None,
    optimizer: Optimizer | LBFGS | str = DEFAULT,
    epochs: int = 10,
    batch_size: int | None = None,
    sample_weight=None,
    class_weight=None,
    validation=None,
    metrics=(),
    early_stopping: EarlyStopping | bool | None = None,
    callbacks=(),
    resume=None,
    fallback: bool = False,
    seed: int | None = None,
    progress=False,
    window: int | None = None,
    **options,
) -> History:
    """Train a network for some epochs, as ``Network.fit`` describes; `options` are those of ``Trainer``."""
    # what has its default is not said: LBFGS refuses the others
    options = {name: value for name, value in options.items() if not _is_default(name, value)}
    if loss is None:
        raise TypeError(f"fit needs a loss: {_targets.loss_for(y, network.n_outputs)}")
    quasi_newton = optimizer if isinstance(optimizer, LBFGS) else None
    if quasi_newton and set(options) - {"l2"}:
        raise ValueError(f"LBFGS knows l2 of the options, not {', '.join(sorted(set(options) - {'l2'}))}; omit it")
    if quasi_newton and (resume is not None or any(isinstance(one, Checkpoint) for one in _callbacks.parse(callbacks))):
        raise ValueError("a checkpoint cannot hold what LBFGS remembers; use another optimizer, or save the network")
    saved = None if resume is None else checkpoints.newest(resume, fallback=_validation.flag("fallback", fallback))
    if saved is not None and seed is None:
        seed = saved.description["seed"]
    # LBFGS takes no steps of a trainer, but has the same data, loss and penalty
    usual = "sgd" if isinstance(optimizer, LBFGS) else optimizer
    trainer = Trainer(network, loss=loss, optimizer=usual, class_weight=class_weight, seed=seed, **options)
    epochs = _validation.count("epochs", epochs)
    if quasi_newton:
        window = sys.maxsize  # all rows at once
    source, targets, held_out = _split(trainer, X, y, sample_weight, validation, window)
    if isinstance(source, batches.Batches) and (quasi_newton or (source.once and epochs > 1)):
        wanted = "arrays for LBFGS" if quasi_newton else "a list, or an object whose iter() begins anew"
        raise TypeError(f"batches come one by one, from {type(X).__name__}; give {wanted}")
    if source.targets is not None:
        _targets.check_classes(trainer.class_weight, *source.targets)
    rows = source.rows
    if quasi_newton and batch_size not in (None, rows):
        raise ValueError(f"LBFGS needs all {rows} rows at once, got batch_size={batch_size!r:.200}; omit it")
    batch_size = trainer.choose_batch_size(batch_size, rows)
    judged = (source, targets) if held_out is None else held_out
    weighed = trainer.apply_class_weights(source)
    run = Run(trainer, epochs, weighed, batch_size, held_out, judged, metrics, early_stopping, callbacks, progress)
    if saved is not None:
        checkpoints.resume(run, saved)
    try:
        with closing(run):
            run.begin()
            if quasi_newton:
                _quasi_newton(run, quasi_newton)
            else:
                _descend(run)
            run.settle()
    except KeyboardInterrupt as interrupt:
        interrupt.history = run.history  # type: ignore[attr-defined]
        raise
    return run.history


def evaluate(network: Network, X, y=None, *, loss, sample_weight=None, metrics=()) -> dict[str, float]:
    """The cost over the rows of X and metrics of them, as ``Network.evaluate`` describes."""
    trainer = Trainer(network, loss=loss)
    source = batches.source(network, trainer.parsed_loss, X, y, sample_weight)
    wanted = _metrics.parse(metrics, trainer.parsed_loss, network.n_outputs)
    if wanted and y is None:
        raise ValueError("metrics are of rows with their targets; give X and y as arrays")
    return {"cost": trainer.mean_cost(source)} | _measured(trainer, wanted, source, y)


def _measured(trainer: Trainer, wanted: list[_metrics.Metric], source: batches.Source, y: Any) -> dict[str, float]:
    """The value of each metric over all rows of a source, whose targets are y as given."""
    if not wanted:
        return {}
    outputs, weights = zip(*((trainer.network(x), weight) for x, _, _, weight in source.straight()))
    weight = None if weights[0] is None else np.concatenate(weights)
    targets = np.asarray(data.plain("y", y, trainer.network.dtype, targets=True))
    judged = _metrics.Judged(targets, np.concatenate(outputs), weight, trainer.parsed_loss)
    return {metric.name: metric.function(judged) for metric in wanted}


def _is_default(name: str, value: Any) -> bool:
    """Whether an option of ``Trainer`` has the value that it has by default."""
    default = inspect.unwrap(Trainer.__init__).__kwdefaults__[name]
    return value is default or (isinstance(value, (int, float)) and value == default)


Judged = tuple[batches.Source, Any]  # rows, and their targets as given


def _split(trainer: Trainer, X, y, sample_weight, validation, window: int | None) -> tuple[Any, Any, Judged | None]:
    """The rows to train on, their targets as given, and the same of those held out, if any."""
    network, loss = trainer.network, trainer.parsed_loss
    source = batches.source(network, loss, X, y, sample_weight, window=window)
    if validation is None:
        return source, y, None
    if isinstance(validation, (tuple, list)) and len(validation) in (2, 3):
        Xv, yv, *weights = validation
        names = "Xv", "yv", "weights"
        weight = weights[0] if weights else None
        return source, y, (batches.source(network, loss, Xv, yv, weight, window=window, names=names), yv)
    if isinstance(validation, (str, bool)) or not np.isscalar(validation):
        raise TypeError(
            "validation must be a pair (Xv, yv), or (Xv, yv, weights) with a weight for each row, or a fraction of the "
            f"rows, got {type(validation).__name__}; use validation=(Xv, yv)"
        )
    share = _validation.number("validation", validation, above=0, below=1)
    if isinstance(source, batches.Batches):
        raise ValueError("no fraction is held out of batches that come one by one; give validation=(Xv, yv)")
    held = _drawn(share, source.rows, _classes(source, loss), trainer.seed)
    targets = np.asarray(data.plain("y", y, network.dtype, targets=True))
    return source.subset(~held), targets[~held], (source.subset(held), targets[held])


def _classes(source: batches.Source, loss: Any) -> np.ndarray | None:
    """What tells rows of one class from those of another; None where there are no classes."""
    y, labels = source.targets or (None, None)
    if y is not None and loss.targets in ("probabilities", "signs") and y.shape[1] == 1:
        return y[:, 0]
    return labels


def _drawn(share: float, rows: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Which rows are held out: evenly spaced in a random order, in which rows of a class are neighbours."""
    if not 1 <= int(share * rows) < rows:
        raise ValueError(f"validation={share:g} of {rows} rows leaves none on one side; give validation=(Xv, yv)")
    order = random.default_rng([seed, HOLD_OUT]).permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    ends = (share * np.arange(1, rows + 1)).astype(np.int64)
    held = np.empty(rows, bool)
    held[order] = np.diff(ends, prepend=0) > 0
    return held


class Run:
    """A training that is under way, as callbacks see it.

    Attributes
    ----------
    trainer, network, history
    epoch : int
        The number of the epoch that is under way or just over, from 1; 0 before the first.
    epochs : int
        How many there are to be.
    cost : float
        Of the last step in ``on_step_end``, else of the last epoch.
    rows : int or None
        How many are trained on; None where batches come one by one.
    stopped : bool
    """

    def __init__(
        self,
        trainer: Trainer,
        epochs: int,
        source: batches.Source,
        batch_size: int,
        held_out: Judged | None,
        judged: Judged,
        wanted: Any,
        early_stopping: Any,
        callbacks: Any,
        progress: Any,
    ):
        self.trainer, self.epochs, self.batch_size = trainer, epochs, batch_size
        self.source, self.rows = source, source.rows
        self.epoch, self.cost, self.stopped = 0, float("nan"), False
        self._held_out = held_out
        self._metrics = _metrics.parse(wanted, trainer.parsed_loss, trainer.network.n_outputs)
        self._judged = judged if self._metrics else None
        if self._metrics and (judged[1] is None or (held_out is None and not isinstance(source, batches.Stored))):
            raise ValueError("metrics of rows that are not held in memory cost a pass; give validation=(Xv, yv)")
        self._prefix = "" if held_out is None else "validation_"
        # the columns of what is judged, and whether more of each is better
        self.better: dict[str, bool | None] = {"cost": False}
        if held_out is not None:
            self.better["validation_cost"] = False
        for metric in self._metrics:
            name = self._prefix + metric.name
            if name in ("epoch", "seconds", *self.better):
                raise ValueError(f"{name!r} is a column of every history; give the metric a name of its own in a dict")
            self.better[name] = metric.greater
        self._columns: dict[str, list] = {name: [] for name in ("epoch", *self.better, "seconds")}
        self.history = History(self._columns)
        self.patience = _patience(early_stopping, self.better)
        self.callbacks = _callbacks.parse(callbacks)
        self._begun: list[_callbacks.Callback] = []
        self._per_step = _callbacks.per_step(self.callbacks)
        self.show = _progress.parse(progress, self.rows)

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.trainer.network

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self.trainer.steps

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.trainer.rate

    def stop(self) -> None:
        """Ends the training after the step or epoch that is just over."""
        self.stopped = True

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the rows that are trained on, read-only, as the engine takes them: x, y or labels, and weights."""
        x, *others = self.source.take(rows)
        y, labels, weight = (None if array is None else _validation.read_only(array) for array in others)
        return _validation.read_only(x), y, labels, weight

    # ---- what a checkpoint keeps ----

    def setting(self) -> dict[str, Any]:
        """What must be the same where it goes on."""
        watched = None if self.patience is None else repr(self.patience.how)
        columns = list(self._columns)
        return {"batch_size": self.batch_size, "rows": self.rows, "columns": columns, "early_stopping": watched}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Where it is, as JSON has it, and arrays."""
        seen, arrays = (None, {}) if self.patience is None else self.patience.state()
        history = self._columns | _as_json({k: v for k, v in self.history.items() if k not in self._columns})
        return {"setting": self.setting(), "epoch": self.epoch, "history": history, "patience": seen}, arrays

    def restore(self, at: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Goes on from what ``state`` returned."""
        self.epoch = at["epoch"]
        self.history.update(at["history"])
        self._columns = {name: self.history[name] for name in self._columns}
        if self.patience is not None:
            self.patience.resume(at["patience"], arrays)
            self.stopped = self.patience.over

    # ---- what the loops below call ----

    def begin(self) -> None:
        """The training begins."""
        self.trainer.optimizer_state.warn_if_over(self.epochs - self.epoch, self.source.n_steps(self.batch_size))
        for callback in self.callbacks:
            callback.on_train_begin(self)
            self._begun.append(callback)

    def begin_epoch(self) -> Any:
        """The next epoch begins, and its time. Returns what is to be told of its progress."""
        self.epoch, self._started = self.epoch + 1, time.perf_counter()
        return None if self.show.rows is None else partial(self.show.rows, self.epoch, self.epochs)

    @property
    def stepped(self) -> Any:
        """What is to be called after each step, if anything: it returns True where the training is to end."""
        return self._step if self._per_step else None

    def _step(self, cost: float) -> bool:
        self.cost = cost
        for callback in self._per_step:
            callback.on_step_end(self)
        return self.stopped

    def end_epoch(self, cost: float) -> float:
        """It has ended with that cost. Returns the one by which to judge it: that of the validation rows, if any."""
        row = {"epoch": self.epoch, "cost": cost}
        with nullcontext() if self.trainer.options["average"] is None else self.trainer.averaging():
            row |= self._look()
            if self.patience is not None:
                self.patience.see(row[self.patience.how.monitor], self.epoch, self.network)
        row["seconds"] = time.perf_counter() - self._started
        for name, column in self._columns.items():
            column.append(row[name])
        self.history.update(self._columns)
        self.cost = cost
        if self.patience is not None and self.patience.over:
            self.stop()
        self.show.epoch(row, self.epochs)
        return row.get("validation_cost", cost)

    def tell(self) -> None:
        """The epoch is over for the trainer too: the callbacks' turn."""
        for callback in self.callbacks:
            callback.on_epoch_end(self)

    def close(self) -> None:
        """The training is over, one way or another."""
        _call_each([self.show.close, *(partial(callback.on_train_end, self) for callback in self._begun)])

    def settle(self) -> None:
        """The parameters with which it ends: the best, or the averaged ones, where that is wanted."""
        if self.trainer.averaged is not None:
            self.network.parameters = self.trainer.averaged
        if self.patience is not None:
            self.patience.restore(self.network)

    def _look(self) -> dict[str, float]:
        """The validation cost and the metrics, of the parameters that the network has."""
        found = {}
        if self._held_out is not None:
            found["validation_cost"] = self.trainer.mean_cost(self._held_out[0])
        if self._judged is not None:
            measured = _measured(self.trainer, self._metrics, *self._judged)
            found |= {self._prefix + name: value for name, value in measured.items()}
        return found


def _call_each(functions: list[Any]) -> None:
    """One after the other, even if one before raised."""
    if functions:
        try:
            functions[0]()
        finally:
            _call_each(functions[1:])


def _as_json(columns: dict[Any, Any]) -> dict[str, Any]:
    """The columns that callbacks added, as a checkpoint holds them; of the others a warning."""
    held = {}
    for name, column in columns.items():
        try:
            if not isinstance(name, str):
                raise TypeError
            held[name] = json.loads(json.dumps(column, default=lambda value: value.tolist()))
        except (TypeError, ValueError, AttributeError, RecursionError):
            warnings.warn(
                f"the column {name!r} of the history is not in the checkpoint, which has no place for {column!r:.60}; "
                "give it a name, and numbers or text",
                stacklevel=2,
            )
    return held


def _patience(given: Any, better: dict[str, bool | None]) -> Patience | None:
    if given is None or given is False:
        return None
    if given is not True and not isinstance(given, EarlyStopping):
        raise TypeError(f"early_stopping must be fp.EarlyStopping(...), True or False, got {given!r:.200}")
    return Patience(EarlyStopping() if given is True else given, better)


def _descend(run: Run) -> None:
    """The epochs of a trainer."""
    trainer, network = run.trainer, run.network
    good = network.snapshot()
    while run.epoch < run.epochs and not run.stopped:
        progress = run.begin_epoch()
        try:
            cost = trainer._epoch(run.source, run.batch_size, progress, run.stepped)
            if not network.engine.all_finite(network.parameters):
                raise DivergenceError("a parameter overflowed", step=trainer.steps)
            judged = run.end_epoch(cost)
        except DivergenceError as error:
            network.restore(*good)
            kept = f"those after epoch {run.epoch - 1}" if run.epoch > 1 else "those before training"
            raise DivergenceError(
                f"training diverged in epoch {run.epoch} at step {error.step}: the cost is not finite. "
                f"The parameters are {kept}. {advice(trainer.rate)}",
                step=error.step,
                epoch=run.epoch,
                history=run.history,
            ) from None
        trainer.optimizer_state.on_epoch(judged)
        good = network.snapshot()
        run.tell()


def _quasi_newton(run: Run, how: LBFGS, looks: int | None = None) -> bool:
    """The iterations of L-BFGS on all rows; `looks` and the result are those of ``minimize``."""
    network, loss, pull = run.network, run.trainer.parsed_loss, run.trainer.optimizer_state.l2
    gradient, (examples,) = np.empty_like(network.gradient), run.source.straight()
    progress = run.begin_epoch()

    def penalty() -> float:
        return float(0.5 * np.sum(pull * np.square(network.parameters, dtype=np.float64)))

    def cost_and_gradient() -> tuple[float, np.ndarray]:
        cost = network.cost_of_examples(examples, loss, gradient)
        if not np.isfinite(cost):
            raise DivergenceError(
                "the cost is not finite. The parameters are those of the last iteration. "
                "Scale the inputs and targets to about unit size",
                epoch=run.epoch,
                history=run.history,
            )
        return cost + penalty(), gradient + pull * network.parameters

    def iterated(penalised: float) -> bool:
        nonlocal progress
        cost = penalised - penalty()
        if progress is not None:
            progress(run.rows, run.rows, cost)
        run.end_epoch(cost)
        run.tell()
        if run.epoch < run.epochs and not run.stopped:
            progress = run.begin_epoch()
        return run.stopped

    return minimize(network, how, cost_and_gradient, run.epochs, iterated, looks)
