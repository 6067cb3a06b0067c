"""OptimizerState: what a Trainer knows of its optimiser from step to step: its state, its rate, penalties, averages."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop._util.warn import warn
from fastprop.nn.network import Network
from fastprop.optim import optimizers as _optimizers
from fastprop.optim.averaging import EMA, SWA
from fastprop.optim.schedules import Schedule

GROUPS = ("weight", "bias", "first", "last")


class OptimizerState:
    """The state of a Trainer's optimiser, and all else that turns a gradient into a step.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer or str
    rates, l1, l2, clip_value, clip_norm, average
        As ``Trainer`` takes them.

    Attributes
    ----------
    optimizer : Optimizer
    compiled : _engine.CompiledOptimizer
        The optimiser as the engine takes it.
    schedule : Schedule or None
        The rate of the optimiser, where that is a schedule.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Any,
        *,
        rates: Any = None,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        average: EMA | SWA | None = None,
    ):
        self.optimizer = _optimizers.parse(optimizer)
        self._network = network
        table = self._segments = _segments(network, rates, l1, l2)
        if self.optimizer.full_batch and np.any(table[:, 1] != 1):
            raise ValueError("RPROP finds a step for each parameter, where factors of its rate do nothing; omit rates")
        value = 0.0 if clip_value is None else _validation.number("clip_value", clip_value, above=0)
        norm = 0.0 if clip_norm is None else _validation.number("clip_norm", clip_norm, above=0)
        if average is not None and not isinstance(average, (EMA, SWA)):
            raise TypeError(f"average must be fp.EMA(...), fp.SWA(...) or None, got {average!r:.200}")
        n, dtype = network.n_parameters, network.dtype
        self.schedule = self.optimizer.rate if isinstance(self.optimizer.rate, Schedule) else None
        self._schedule_state = self.schedule.initial_state() if self.schedule is not None else ()
        self._epochs = 0
        self._memory = np.ones(_engine.memory_size())
        self._state = self.optimizer.initial_state(n, dtype)
        self._averaged = None if average is None else np.zeros(n, dtype)
        self._averages = None if average is None else np.zeros(1, np.int64)
        self.compiled = _engine.CompiledOptimizer(
            network.engine,
            self.optimizer.id,
            0.0,
            self.optimizer.hyper,
            self._memory,
            self._state,
            table,
            _constraints(network),
            value,
            norm,
            np.empty(_engine.squares_size(n)) if norm else None,
            self._averaged,
            self._averages,
            (0, 1, 0.0) if average is None else (average.start, average.every, average.weight),
        )
        self.compiled.rate = self.rate

    # ---- rates ----

    @property
    def rate(self) -> float:
        """The rate of the next step."""
        rate = self.optimizer.rate
        if not isinstance(rate, Schedule):
            return rate
        return float(rate.rates([self._time(rate)])[0] * rate.scale(self._schedule_state))

    @property
    def by_step(self) -> bool:
        """Whether the rate may change from step to step, apart from epochs."""
        return self.schedule is not None and not self.schedule.by_epoch

    def rates(self, n_steps: int) -> np.ndarray | None:
        """Return the rate of each step of an epoch, float64 (n_steps,); None where each is ``rate``."""
        if self.schedule is None:
            return None
        span = 1 / n_steps if self.schedule.by_epoch else 1.0
        start = self._time(self.schedule)
        rates = self.schedule.rates(start + span * np.arange(n_steps), span) * self.schedule.scale(self._schedule_state)
        if np.shape(rates) != (n_steps,):
            raise ValueError(f"{self.schedule!r} gave rates of shape {np.shape(rates)} for {n_steps} steps")
        return np.ascontiguousarray(rates, np.float64)

    def warn_if_schedule_ends_early(self, epochs: int, n_steps: int | None) -> None:
        """Warn if the schedule ends long before `epochs` epochs of `n_steps` steps do.

        That is an epoch or more before, or half of a single epoch; and a twentieth of the steps, so that a schedule
        whose length was rounded down gives no warning.
        """
        if self.schedule is None or n_steps is None:
            return
        unit = n_steps if self.schedule.by_epoch else 1
        start, end = self._time(self.schedule) * unit, self.schedule.end() * unit
        planned = epochs * n_steps
        idle = start + planned - max(start, end)
        if idle >= max(planned / 20, min(n_steps, planned / 2)):
            warn(
                f"the rate of the schedule {type(self.schedule).__name__} is next to nothing after {end:g} steps, and "
                f"{start + planned} steps are planned ({epochs} epochs of {n_steps}), so the last {idle:g} change "
                f"nothing; make it as long as the training, such as by epochs={epochs}"
            )

    def _time(self, schedule: Schedule) -> int:
        """Return the time of a schedule, in its unit."""
        return self._epochs if schedule.by_epoch else self.compiled.steps

    def on_steps(self, n_steps: int) -> None:
        """Move a schedule on by the steps that were taken."""
        if self.schedule is not None:
            self.compiled.steps += n_steps
            self.compiled.rate = self.rate

    def on_epoch(self, cost: float) -> None:
        """Move a schedule on by an epoch that ended with this cost."""
        if self.schedule is not None:
            self._epochs += 1
            self._set_schedule(self.schedule.next_state(self._schedule_state, cost))
            self.compiled.rate = self.rate

    def _set_schedule(self, state: tuple[float, ...]) -> None:
        """Set the state of the schedule; handles that know its rates are outdated if their scale changes."""
        if self.schedule is not None and self.schedule.scale(state) != self.schedule.scale(self._schedule_state):
            self.compiled.changes += 1
        self._schedule_state = state

    # ---- averages and state ----

    @property
    def averaged(self) -> np.ndarray | None:
        """A copy of the averaged parameters, or of the parameters before the first joins; None without an average."""
        if self._averaged is None or self._averages is None:
            return None
        return (self._averaged if self._averages[0] else self._network.parameters).copy()

    @property
    def l2(self) -> np.ndarray:
        """The penalty l2 of each parameter, (n_parameters,)."""
        return np.repeat(self._segments[:, 3], np.diff(self._segments[:, 0], prepend=0).astype(int))

    def state(self) -> tuple:
        """Return what changes with steps and epochs, for ``restore``: arrays, steps, epochs, the schedule's state."""
        arrays = [None if a is None else a.copy() for a in (self._memory, self._state, self._averaged, self._averages)]
        return arrays, self.compiled.steps, self._epochs, self._schedule_state

    def restore(self, state: tuple) -> None:
        """Go on from what ``state`` returned."""
        arrays, self.compiled.steps, self._epochs, schedule_state = state
        for ours, given in zip((self._memory, self._state, self._averaged, self._averages), arrays):
            if ours is not None:
                ours[...] = given
        self._set_schedule(schedule_state)
        self.compiled.rate = self.rate


def _blocks(network: Network) -> Iterator[tuple[int, str, int, bool]]:
    """Yield for each array of the parameters its layer, "weight" or "bias", its size, and whether l1 and l2 apply."""
    learned = [operation for operation in network.operations if operation.n_weights]
    for k, operation in enumerate(learned):
        yield k, "weight", operation.n_weights, operation.kind == "dense"
        yield k, "bias", operation.n_biases, False


def _segments(network: Network, rates: Any, l1: float, l2: float) -> np.ndarray:
    """The segments for ``CompiledOptimizer``: rows of (end, factor of the rate, l1, l2), equal neighbours merged."""
    l1, l2 = _validation.number("l1", l1, least=0), _validation.number("l2", l2, least=0)
    layers = len(network.weights)
    factors = _factors(rates, layers)
    table: list[list[float]] = []
    end = 0
    for layer, kind, size, penalised in _blocks(network):
        end += size
        factor = factors[layer] * factors.get(kind, 1.0)
        row = [end, factor, l1, l2] if penalised else [end, factor, 0.0, 0.0]
        if table and table[-1][1:] == row[1:]:
            table[-1][0] = end
        else:
            table.append(row)
    return np.array(table)


def _factors(rates: Any, layers: int) -> dict[Any, float]:
    """Return the factor of the rate for each layer, by its number, and for "weight" and "bias"."""
    factors: dict[Any, float] = dict.fromkeys(range(layers), 1.0)
    if rates is None:
        return factors
    if isinstance(rates, dict):
        for name, factor in rates.items():
            _validation.choice("group of rates", name, GROUPS)
            key = {"first": 0, "last": layers - 1}.get(name, name)
            factors[key] = factors.get(key, 1.0) * _validation.number(f"rates[{name!r:.200}]", factor, least=0)
        return factors
    if isinstance(rates, (str, bytes)) or not hasattr(rates, "__len__"):
        raise TypeError(
            "rates must be a dict of factors such as {'bias': 2.0, 'first': 0.1}, or a list with one for each layer, "
            f"got {rates!r:.200}"
        )
    if len(rates) != layers:
        raise ValueError(f"rates must hold a factor for each of the {layers} layers, got {len(rates)}")
    return {k: _validation.number(f"rates[{k}]", factor, least=0) for k, factor in enumerate(rates)}


def _constraints(network: Network) -> np.ndarray:
    """The constraints for ``CompiledOptimizer``: rows of (start, n_in, n_out, limit)."""
    table, start = [], 0
    for operation in network.operations:
        if operation.weight is not None and operation.max_norm is not None:
            *groups, n_in, n_out = operation.weight
            for group in range(prod(groups)):
                table.append([start + group * n_in * n_out, n_in, n_out, operation.max_norm])
        start += operation.n_weights + operation.n_biases
    return np.array(table, np.float64).reshape(-1, 4)
