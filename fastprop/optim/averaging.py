"""Frozen descriptions of averages of the parameters over the steps. The average itself belongs to the Trainer."""

import operator
from dataclasses import KW_ONLY
from typing import Any

from fastprop import _validation
from fastprop._util.frozen import frozen


@frozen
class EMA:
    """An exponential moving average: ``averaged = decay averaged + (1 - decay) theta``, from the first theta on.

    Polyak and Juditsky 1992, *Acceleration of stochastic approximation by averaging*, is about averages of this kind.

    Parameters
    ----------
    decay : float, default 0.999
        In (0, 1).
    start : int, default 1
        The number of the first step, from 1, whose theta joins the average.
    every : int, default 1
        How many steps lie between two thetas that join.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    decay: float = 0.999
    _: KW_ONLY
    start: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", _validation.number("decay", self.decay, above=0, below=1))
        _count_steps(self)

    @property
    def weight(self) -> float:
        """The weight of a theta that joins."""
        return 1 - self.decay


@frozen
class SWA:
    """Stochastic weight averaging: the mean of theta after step `start` and every `every` steps from there on.

    Izmailov, Podoprikhin, Garipov, Vetrov and Wilson 2018, *Averaging weights leads to wider optima and better
    generalization*. There `start` lies at about three quarters of the training, the rate is constant or cyclic from
    then on, and `every` is the number of steps of an epoch.

    Parameters
    ----------
    start : int
        The number of the first step, from 1, whose theta joins the average.
    every : int, default 1

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    _: KW_ONLY
    start: int
    every: int = 1

    def __post_init__(self) -> None:
        _count_steps(self)

    @property
    def weight(self) -> float:
        """The weight of a theta that joins; 0 stands for the mean of all."""
        return 0.0


def _count_steps(average: Any) -> None:
    for name in ("start", "every"):
        object.__setattr__(average, name, operator.index(_validation.count(name, getattr(average, name))))


_validation.no_other_fields(EMA, SWA)
