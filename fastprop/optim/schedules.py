"""Schedules: frozen descriptions of how the learning rate changes, accepted wherever an optimiser takes a rate.

::

    fp.Adam(fp.schedules.Cosine(0.003, steps=10_000, warmup=500))

The time t counts steps or epochs since the optimiser's first step, depending on whether `steps` or `epochs` is given;
in epochs it advances by a fraction with each step. A warm-up comes before t = 0: for `warmup` steps (or epochs) the
rate rises linearly to the value with which the schedule starts. The first step has its share of the rise, so that no
step has a rate of 0 (Goyal et al. 2017, *Accurate, large minibatch SGD*). Every rate is a function of the time alone,
except that of ``ReduceOnPlateau``.
"""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen

NOTHING = 1e-5  # below this fraction of its largest rate a schedule counts as over: OneCycle ends at 4e-6 of it


@frozen
class Schedule:
    """The base class of all schedules.

    Parameters
    ----------
    rate : float
        The rate at the start, or the largest rate; each schedule says which.
    steps, epochs : float
        The length in one of the two units; each schedule says what that is.
    warmup : float, default 0
        How long the warm-up takes, in the same unit; in steps where there is no length.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or both steps and epochs are given, or neither.
    """

    rate: float
    _: KW_ONLY
    steps: float | None = None
    epochs: float | None = None
    warmup: float = 0.0

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)  # checked values replace what was given, such as NumPy's numbers

    def _checked(self) -> dict[str, Any]:
        """Return every field by name, checked."""
        checked: dict[str, Any] = {
            "rate": _validation.number("rate", self.rate, above=0),
            "warmup": _validation.number("warmup", self.warmup, least=0),
        }
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"{type(self).__name__} takes its length as steps=... or as epochs=..., one of the two; "
                f"got steps={self.steps!r:.200} and epochs={self.epochs!r:.200}"
            )
        name = "steps" if self.epochs is None else "epochs"
        checked[name] = _validation.number(name, getattr(self, name), above=0)
        return checked

    @property
    def by_epoch(self) -> bool:
        """Whether time counts in epochs."""
        return self.epochs is not None

    @property
    def _length(self) -> float:
        return self.epochs if self.epochs is not None else self.steps if self.steps is not None else 1.0

    def rates(self, times, span: float = 1.0) -> np.ndarray:
        """Return the rate of each of some steps.

        Parameters
        ----------
        times : array_like of float
            When each step begins, in steps or in epochs since the optimiser's first step.
        span : float, default 1
            The length of a step in that unit: 1 step, or 1 / the number of steps in an epoch.

        Returns
        -------
        ndarray of float64
        """
        times = np.asarray(times, np.float64)
        rates = self._curve(np.maximum(times - self.warmup, 0.0), span)
        if self.warmup:
            rates *= np.minimum(1.0, (times + span) / self.warmup)
        return rates

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        """Return the rates after the warm-up, which ends at t = 0."""
        raise NotImplementedError

    def end(self) -> float:
        """Return the time, in steps or epochs, after which the rate stays at next to nothing; infinite if never."""
        return math.inf

    # The state of a schedule that depends on the costs of epochs is a tuple of numbers: see ReduceOnPlateau.

    def initial_state(self) -> tuple[float, ...]:
        """Return the state before the first epoch."""
        return ()

    def next_state(self, state: tuple[float, ...], cost: float) -> tuple[float, ...]:
        """Return the state after an epoch with this cost."""
        return state

    def scale(self, state: tuple[float, ...]) -> float:
        """Return the factor of the rates in this state."""
        return 1.0


@frozen
class _Ending(Schedule):
    """A schedule that ends after `steps` or `epochs`, the warm-up included; then the rate stays as it is."""

    def _checked(self) -> dict[str, Any]:
        checked = super()._checked()
        name = "steps" if self.epochs is None else "epochs"
        if checked["warmup"] >= checked[name]:
            raise ValueError(
                f"the warm-up is part of the {name}={checked[name]:g} and must leave some for the rest, "
                f"got warmup={checked['warmup']:g}"
            )
        return checked

    def end(self) -> float:
        """Return the length, or infinity where the last rate is not next to nothing."""
        last = self._curve(np.array([self._length - self.warmup]), 0.0)[0]
        return self._length if last <= NOTHING * self.rate else math.inf

    def _share(self, t: np.ndarray) -> np.ndarray:
        """Return which share of the time after the warm-up has passed, in [0, 1]."""
        return np.minimum(t / (self._length - self.warmup), 1.0)


@frozen
class Constant(Schedule):
    """A rate that is the same in every step after the warm-up: ``rate``. It has no length."""

    def _checked(self) -> dict[str, Any]:
        if self.steps is not None or self.epochs is not None:
            raise ValueError("Constant has no length: leave steps and epochs out; warmup counts in steps")
        return {
            "rate": _validation.number("rate", self.rate, above=0),
            "warmup": _validation.number("warmup", self.warmup, least=0),
        }

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        return np.full_like(t, self.rate)


def _drops(factor: float, rounded: Callable[[float], float] = float) -> float:
    """Return how many times a rate has to be multiplied by the factor until it is next to nothing."""
    return rounded(math.log(NOTHING) / math.log(factor)) if factor < 1 else math.inf


@frozen
class Step(Schedule):
    """Multiply the rate by `factor` after every `steps` (or `epochs`): ``rate factor^floor(t / steps)``.

    As ``torch.optim.lr_scheduler.StepLR``.

    Parameters
    ----------
    factor : float, default 0.1
        Above 0.
    """

    factor: float = 0.1

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {"factor": _validation.number("factor", self.factor, above=0)}

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        # 1e-9 makes up for rounding errors: the times of steps in epochs are sums of fractions
        return self.rate * self.factor ** np.floor(t / self._length + 1e-9)

    def end(self) -> float:
        """Return when enough drops have come."""
        return self.warmup + _drops(self.factor, math.ceil) * self._length


@frozen
class Exponential(Schedule):
    """Multiply the rate by `factor` over every `steps` (or `epochs`), gradually: ``rate factor^(t / steps)``.

    As ``torch.optim.lr_scheduler.ExponentialLR`` where steps is 1.

    Parameters
    ----------
    factor : float
        Above 0.
    """

    factor: float = 0.9

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {"factor": _validation.number("factor", self.factor, above=0)}

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        return self.rate * self.factor ** (t / self._length)

    def end(self) -> float:
        """Return when the rate has fallen to next to nothing."""
        return self.warmup + _drops(self.factor) * self._length


@frozen
class Cosine(_Ending):
    """Decay along half a cosine from the rate to `final`: ``final + (rate - final) (1 + cos(pi s)) / 2``.

    s goes from 0 to 1 while `steps` (or `epochs`) pass, the warm-up included. With restarts s starts again at 0 after
    each cycle: `steps` is the length of the first cycle, which the warm-up precedes, and each cycle is `growth` times
    as long as the one before. Loshchilov and Hutter 2017, *SGDR: Stochastic gradient descent with warm restarts*; as
    ``CosineAnnealingLR`` and ``CosineAnnealingWarmRestarts`` of PyTorch.

    Parameters
    ----------
    final : float, default 0
        Not negative.
    restarts : bool, default False
    growth : float, default 1
        The ratio of the lengths of two successive cycles, at least 1; needs restarts.
    """

    final: float = 0.0
    restarts: bool = False
    growth: float = 1.0

    def _checked(self) -> dict[str, Any]:
        restarts = _validation.flag("restarts", self.restarts)
        checked = super(_Ending, self)._checked() if restarts else super()._checked()
        growth = _validation.number("growth", self.growth, least=1)
        if growth != 1 and not restarts:
            raise ValueError(f"growth={growth:g} is of cycles; use restarts=True with it")
        return checked | {
            "final": _validation.number("final", self.final, least=0), "restarts": restarts, "growth": growth
        }  # fmt: skip

    def end(self) -> float:
        """Return the length, or infinity with restarts or where `final` is not next to nothing."""
        return math.inf if self.restarts else super().end()

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        if not self.restarts:
            share = self._share(t)
        elif self.growth == 1:
            share = t / self._length % 1.0
        else:  # cycle k begins at t = length (growth^k - 1) / (growth - 1)
            done = t / self._length * (self.growth - 1)
            k = np.floor(np.log1p(done) / np.log(self.growth) + 1e-9)  # no restart is a step late
            power = self.growth**k
            share = np.clip((done - (power - 1)) / (power * (self.growth - 1)), 0.0, 1.0)
        return self.final + (self.rate - self.final) * (1 + np.cos(np.pi * share)) / 2


@frozen
class OneCycle(_Ending):
    """Rise along half a cosine to the largest rate, `rate`, then decay along another to almost nothing.

    From ``rate / start_factor`` up to ``rate`` in the first `rise` of the `steps` (or `epochs`), then down to ``rate /
    (start_factor end_factor)`` in the last of them. Smith and Topin 2018, *Super-convergence: very fast training of
    neural networks using large learning rates*; as ``torch.optim.lr_scheduler.OneCycleLR`` but for its momentum.

    Parameters
    ----------
    rise : float, default 0.3
        In (0, 1).
    start_factor, end_factor : float, default 25 and 10,000
        At least 1.
    """

    rise: float = 0.3
    start_factor: float = 25.0
    end_factor: float = 1e4

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "rise": _validation.number("rise", self.rise, above=0, below=1),
            "start_factor": _validation.number("start_factor", self.start_factor, least=1),
            "end_factor": _validation.number("end_factor", self.end_factor, least=1),
        }

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        length = self._length - self.warmup
        top, bottom = self.rise * length - span, length - span  # when the steps of largest and last rate begin
        first = self.rate / self.start_factor
        up = np.clip(t / top, 0.0, 1.0) if top > 0 else np.ones_like(t)
        down = np.clip((t - top) / (bottom - top), 0.0, 1.0)
        return np.where(
            t <= top,
            self.rate + (first - self.rate) * (1 + np.cos(np.pi * up)) / 2,
            first / self.end_factor + (self.rate - first / self.end_factor) * (1 + np.cos(np.pi * down)) / 2,
        )


@frozen
class InverseSquareRoot(Schedule):
    """Decay with the inverse square root of the time: ``rate sqrt(steps / (steps + t))``.

    With a warm-up as long as `steps`, the schedule of Vaswani et al. 2017, *Attention is all you need*.
    """

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        return self.rate * np.sqrt(self._length / (self._length + t))


@frozen
class Polynomial(_Ending):
    """Decay to `final` along a power: ``final + (rate - final) (1 - s)^power``.

    s goes from 0 to 1 while `steps` (or `epochs`) pass, the warm-up included; a straight line with power 1. As
    ``torch.optim.lr_scheduler.PolynomialLR`` where final is 0.

    Parameters
    ----------
    power : float, default 1
        Above 0.
    final : float, default 0
        Not negative.
    """

    power: float = 1.0
    final: float = 0.0

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "power": _validation.number("power", self.power, above=0),
            "final": _validation.number("final", self.final, least=0),
        }

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        return self.final + (self.rate - self.final) * (1 - self._share(t)) ** self.power


@frozen
class CosLog4(_Ending):
    """Go through four waves, each twice as long as the one before: ``rate (1 - cos(2 pi log2(1 + 15 s))) / 2``.

    s goes from 0 to 1 while `steps` (or `epochs`) pass, the warm-up included. The rate starts and ends at 0, and `rate`
    is its largest value. Holzmueller, Grinsztajn and Steinwart 2024, *Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data*.
    """

    def _curve(self, t: np.ndarray, span: float) -> np.ndarray:
        return self.rate * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * self._share(t)))) / 2


@frozen
class ReduceOnPlateau(Constant):
    """Multiply the rate by `factor` when the cost has not improved for more than `patience` epochs.

    The cost is that of the validation rows, which ``fit`` computes after each epoch, or else the mean cost of the
    epoch, which ``Trainer.epoch`` returns. It has improved where it is below the best so far by more than
    ``threshold |best|``. As ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

    Parameters
    ----------
    factor : float, default 0.1
        In (0, 1).
    patience : int, default 10
    threshold : float, default 1e-4
        In [0, 1).
    cooldown : int, default 0
        How many epochs after a reduction do not count.
    least : float, default 0
        The rate is not reduced below this.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    least: float = 0.0

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "factor": _validation.number("factor", self.factor, above=0, below=1),
            "patience": _validation.number("patience", self.patience, least=0),
            "threshold": _validation.number("threshold", self.threshold, least=0, below=1),
            "cooldown": _validation.number("cooldown", self.cooldown, least=0),
            "least": _validation.number("least", self.least, least=0),
        }

    def initial_state(self) -> tuple[float, ...]:
        """Return (the best cost, the epochs since, the epochs left of the cooldown, the factor of the rate)."""
        return math.inf, 0, 0, 1.0

    def next_state(self, state: tuple[float, ...], cost: float) -> tuple[float, ...]:
        """Return the state after an epoch with this cost."""
        best, since, cooling, scale = state
        if cost < best - self.threshold * abs(best) or (best == math.inf and cost == cost):
            best, since = cost, 0
        else:
            since += 1
        if cooling > 0:
            cooling, since = cooling - 1, 0
        if since > self.patience:
            scale = max(scale * self.factor, min(self.least / self.rate, scale))
            since, cooling = 0, self.cooldown
        return best, since, cooling, scale

    def scale(self, state: tuple[float, ...]) -> float:
        """Return the factor of the rate, the last item of the state."""
        return state[3]


_validation.no_other_fields(
    Constant, Step, Exponential, Cosine, OneCycle, InverseSquareRoot, Polynomial, CosLog4, ReduceOnPlateau
)
