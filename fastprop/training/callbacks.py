"""Callbacks, which ``fit`` calls between steps and epochs, and early stopping."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop._util.warn import warn


class Callback:
    """The base class of callbacks. Override the methods that you need; ``fit`` calls each with the run.

    A function may be given in place of a callback: it is called with the run at the end of each epoch.

    ::

        class Patience(fp.Callback):
            def on_epoch_end(self, run):
                if run.history["cost"][-1] < 0.01:
                    run.stop()

    A run has ``network``, ``trainer``, ``history``, ``epoch`` (from 1), ``epochs``, ``steps``, ``rate``, ``cost`` (of
    the last step or epoch), and ``stop()``. An exception in a callback ends the training; the parameters are those of
    the last whole step.

    A callback may add columns to the history: ``run.history.setdefault("norm", []).append(value)``. A checkpoint holds
    such a column if JSON can hold its values, or if they are NumPy's numbers and arrays.
    """

    def on_train_begin(self, run: Any) -> None:
        """Do something before the first epoch, or before the first after a resumption."""

    def on_step_end(self, run: Any) -> None:
        """Do something after each step. Overriding this makes steps run one by one; LBFGS has none."""

    def on_epoch_end(self, run: Any) -> None:
        """Do something after each epoch, when the history has its row."""

    def on_train_end(self, run: Any) -> None:
        """Do something at the end, however the training ends.

        After a whole training, the network has its final parameters, such as the best. This is called for each callback
        whose ``on_train_begin`` returned, in their order, even if one of them raises.
        """


class _AtEpochEnd(Callback):
    """A function in place of a callback."""

    def __init__(self, function: Callable[[Any], object]):
        self.function = function

    def on_epoch_end(self, run: Any) -> None:
        """Call the function."""
        self.function(run)


def parse(given: Any) -> tuple[Callback, ...]:
    """Return the callbacks for what a user gave: a callback, a function, a sequence of them, or None.

    Raises
    ------
    TypeError
        If something else is given.
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


def overriding_on_step_end(callbacks: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """Return the callbacks that override ``on_step_end``."""
    return tuple(one for one in callbacks if type(one).on_step_end is not Callback.on_step_end)


@frozen
class EarlyStopping:
    """End a training that no longer improves.

    Parameters
    ----------
    patience : int, default 10
        The number of epochs in a row without a better value after which the training ends.
    min_delta : float, default 0
        A value is better if it improves on the best so far by more than this.
    monitor : str, default "validation_cost"
        A column of the history.
    restore_best : bool, default True
        Whether the network gets the parameters and state of the best epoch in the end, instead of the last.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" knows it for costs and for metrics that are given by name.

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
        object.__setattr__(self, "patience", _validation.count("patience", self.patience))
        object.__setattr__(self, "min_delta", _validation.number("min_delta", self.min_delta, least=0))
        object.__setattr__(self, "restore_best", _validation.flag("restore_best", self.restore_best))
        _validation.choice("mode", self.mode, ("auto", "min", "max"))


_validation.no_other_fields(EarlyStopping)


def direction(monitor: str, columns: dict[str, bool | None], mode: str = "auto") -> float:
    """Return 1 where more of a column of the history is better, -1 where less is.

    Parameters
    ----------
    monitor : str
    columns : dict
        The history's columns, and whether more of each is better (None: not known).
    mode : "auto", "min" or "max"

    Raises
    ------
    ValueError
        If there is no such column, or it is not known which is better.
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
    """What an ``EarlyStopping`` remembers of one run.

    Attributes
    ----------
    best : float
        The best value so far, times ``direction``; minus infinity before the first.
    epoch, waited : int
        The epoch with the best value, and how many epochs came since.
    warned : bool
        Whether a NaN was warned of.
    parameters, network_state : ndarray or None
        The network's parameters and state after the best epoch.
    """

    def __init__(self, options: EarlyStopping, columns: dict[str, bool | None]):
        self.options, self.sign = options, direction(options.monitor, columns, options.mode)
        self.best, self.epoch, self.waited, self.warned = -np.inf, 0, 0, False
        self.parameters: np.ndarray | None = None
        self.network_state: np.ndarray | None = None

    def state(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return all of it, as numbers and as arrays, for ``resume``."""
        arrays = {"best.parameters": self.parameters, "best.state": self.network_state}
        known = {name: array for name, array in arrays.items() if array is not None}
        return {"best": self.best, "epoch": self.epoch, "waited": self.waited}, known

    def resume(self, numbers: dict[str, float], arrays: dict[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned."""
        self.best, self.epoch, self.waited = numbers["best"], int(numbers["epoch"]), int(numbers["waited"])
        self.parameters, self.network_state = arrays.get("best.parameters"), arrays.get("best.state")

    def see(self, value: float, epoch: int, network: Any) -> None:
        """Take the value after an epoch, and the network's parameters if it is the best; warn of the first NaN."""
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
        """Whether the training should end."""
        return self.waited >= self.options.patience

    def restore(self, network: Any) -> None:
        """Give the network the parameters of the best epoch, if that is wanted and there is one."""
        if self.options.restore_best and self.parameters is not None:
            network.restore(self.parameters, self.network_state)
