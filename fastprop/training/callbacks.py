"""Callbacks: what a user has done between the steps and epochs of ``fit``, and when it stops early."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop._util.warn import warn


class Callback:
    """What ``fit`` calls along the way. Override what is of use; each is given the run.

    A function in place of a callback is called at the end of each epoch, with the run.

    ::

        class Patience(fp.Callback):
            def on_epoch_end(self, run):
                if run.history["cost"][-1] < 0.01:
                    run.stop()

    A run has ``network``, ``trainer``, ``history``, ``epoch`` (from 1), ``epochs``, ``steps``, ``rate``, ``cost`` (of
    the step, or the epoch), and ``stop()``. What a callback raises ends the training, with the parameters of the last
    whole step.

    The history may have columns of one's own: ``run.history.setdefault("norm", []).append(value)``. A checkpoint holds
    them if they are made of what JSON has, or of NumPy's numbers and arrays.
    """

    def on_train_begin(self, run: Any) -> None:
        """Before the first epoch, or the first after a resumption."""

    def on_step_end(self, run: Any) -> None:
        """After each step, of which LBFGS has none. They run in compiled code; where this is overridden, one by one."""

    def on_epoch_end(self, run: Any) -> None:
        """After each epoch, when the history has its row."""

    def on_train_end(self, run: Any) -> None:
        """At the end, however it comes: after a whole training with the parameters that it ends with, such as the best.

        Of each callback whose ``on_train_begin`` returned, in their order; one that raises does not keep the others
        from their turn.
        """


class _AtEpochEnd(Callback):
    """A function in place of a callback."""

    def __init__(self, function: Callable[[Any], object]):
        self.function = function

    def on_epoch_end(self, run: Any) -> None:
        """Calls it."""
        self.function(run)


def parse(given: Any) -> tuple[Callback, ...]:
    """Callbacks or functions, one or a sequence, or None.

    Raises
    ------
    TypeError
        If one is something else.
    """
    if given is None:
        return ()
    return tuple(map(_one, given)) if isinstance(given, Iterable) else (_one(given),)


def _one(given: Any) -> Callback:
    if isinstance(given, Callback):
        return given
    if callable(given) and not isinstance(given, type):
        return _AtEpochEnd(given)
    hint = f"make one: {given.__name__}(...)" if isinstance(given, type) else "make it a subclass"
    raise TypeError(f"a callback must be a fastprop.Callback or a function of the run, got {given!r:.99}; {hint}")


def per_step(callbacks: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """Those that want to be called after each step."""
    return tuple(one for one in callbacks if type(one).on_step_end is not Callback.on_step_end)


@frozen
class EarlyStopping:
    """Ends a training that no longer becomes better.

    Parameters
    ----------
    patience : int, default 10
        So many epochs without a better value are waited for.
    min_delta : float, default 0
        Better is by more than this.
    monitor : str, default "validation_cost"
        A column of the history.
    restore_best : bool, default True
        Whether the network has the parameters and state of the best epoch in the end, not those of the last.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" knows it of costs and of the metrics that have a name.

    Raises
    ------
    ValueError, TypeError
        If a value is out of its range.
    """

    _: KW_ONLY
    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "validation_cost"
    restore_best: bool = True
    mode: str = "auto"

    def __post_init__(self) -> None:
        _validation.count("patience", self.patience)
        object.__setattr__(self, "min_delta", _validation.number("min_delta", self.min_delta, least=0))
        _validation.flag("restore_best", self.restore_best)
        _validation.choice("mode", self.mode, ("auto", "min", "max"))


_validation.no_other_fields(EarlyStopping)


def direction(monitor: str, columns: dict[str, bool | None], mode: str = "auto") -> float:
    """1 where more of that column is better, -1 where less is.

    Parameters
    ----------
    monitor : str
    columns : dict
        The history's columns, and whether more of each is better (None: not known).
    mode : "auto", "min" or "max"

    Raises
    ------
    ValueError
        If there is no such column, or it is not known.
    """
    if monitor not in columns:
        hint = "; give validation=(Xv, yv), or a fraction of the rows" if monitor.startswith("validation_") else ""
        listed = ", ".join(columns)
        raise ValueError(f"there is no {monitor!r:.200} to watch in this history, which has {listed}{hint}")
    greater = {"min": False, "max": True}.get(mode, columns[monitor])
    if greater is None:
        raise ValueError(f"whether more of {monitor!r} is better is not known; use EarlyStopping(mode='min') or 'max'")
    return 1.0 if greater else -1.0


class Patience:
    """What an ``EarlyStopping`` has seen of one run.

    Attributes
    ----------
    best : float
        The best value so far, times the direction; minus infinity before the first.
    epoch, waited : int
        The epoch of it, and how many came since.
    warned : bool
        Whether there was a NaN.
    parameters, network_state : ndarray or None
        Those of the best epoch.
    """

    def __init__(self, options: EarlyStopping, columns: dict[str, bool | None]):
        self.options, self.sign = options, direction(options.monitor, columns, options.mode)
        self.best, self.epoch, self.waited, self.warned = -np.inf, 0, 0, False
        self.parameters: np.ndarray | None = None
        self.network_state: np.ndarray | None = None

    def state(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All of it, as numbers and arrays, for ``restore``."""
        arrays = {"best.parameters": self.parameters, "best.state": self.network_state}
        known = {name: array for name, array in arrays.items() if array is not None}
        return {"best": self.best, "epoch": self.epoch, "waited": self.waited}, known

    def resume(self, numbers: dict[str, float], arrays: dict[str, np.ndarray]) -> None:
        """Goes on from what ``state`` returned."""
        self.best, self.epoch, self.waited = numbers["best"], int(numbers["epoch"]), int(numbers["waited"])
        self.parameters, self.network_state = arrays.get("best.parameters"), arrays.get("best.state")

    def see(self, value: float, epoch: int, network: Any) -> None:
        """The value after an epoch, of the parameters that the network has. The first NaN is warned of."""
        if value != value and not self.warned:
            self.warned = True
            warn(
                f"{self.options.monitor} is NaN after epoch {epoch}, which is not better than anything: early stopping "
                f"ends the training after {self.options.patience} epochs without a better value; watch another "
                "column, or find out where the NaN comes from"
            )
        if self.sign * value > self.best + self.options.min_delta or (self.parameters is None and value == value):
            self.best, self.epoch, self.waited = self.sign * value, epoch, 0
            self.parameters, self.network_state = network.snapshot()
        else:
            self.waited += 1

    @property
    def over(self) -> bool:
        """True where patience is at its end."""
        return self.waited >= self.options.patience

    def restore(self, network: Any) -> None:
        """The best, where that is wanted and there is one."""
        if self.options.restore_best and self.parameters is not None:
            network.restore(self.parameters, self.network_state)
