"""The learning-rate finder: what the cost does while the rate rises."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from fastprop import _validate
from fastprop.optimizers import SGD
from fastprop.plots import checks, style
from fastprop.trainer import DivergenceError, Trainer

# Steps at each rate. An optimiser starts afresh with each, and momentum 0.9 has two thirds of its speed after ten.
STEPS_EACH = 10
# The search ends where the cost is so many times its lowest: beyond, every rate diverges.
GIVE_UP = 4.0
# The rate of the lowest cost is the last before training becomes unstable. Of seven tasks (digits, housing, spirals, a
# deep network, ...), each with and without momentum, ten epochs at a quarter of it went well; half was unstable on
# two, and the usual tenth ended with three to four times the cost on three.
SHARE = 0.25


@dataclass(frozen=True)
class RateSearch:
    """What the cost did at each rate.

    Attributes
    ----------
    rates, costs : ndarray
        The rates tried, and the mean cost of the steps at each.
    suggestion : float or None
        A rate to train with; None if no rate lowered the cost.
    """

    rates: np.ndarray
    costs: np.ndarray
    suggestion: float | None


def find_rate(
    network,
    X,
    y,
    *,
    loss,
    optimizer: Any = None,
    lowest: float = 1e-5,
    highest: float = 10.0,
    n_rates: int = 60,
    batch_size: int = 64,
    seed: int | None = None,
) -> RateSearch:
    """Trains a copy of the network with a rate that rises exponentially, and suggests a rate.

    The suggestion is a quarter of the rate at which the cost, smoothed over three rates, is lowest. The range test is
    that of Smith 2017, *Cyclical learning rates for training neural networks*, section 3.3. The network is unchanged.

    Parameters
    ----------
    network : Network
    X, y, loss
        As ``Trainer`` takes them.
    optimizer : SGD, optional
        Its rate does not count; plain ``SGD`` by default.
    lowest, highest : float, default 1e-5 and 10
        The rates to begin and end with.
    n_rates : int, default 60
        How many to try, at least 5, ten steps each.
    batch_size : int, default 64
        At most the number of rows, which is used if there are fewer than 64.
    seed : int, optional
        Of the order of rows; the network's by default.

    Returns
    -------
    RateSearch

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """
    optimizer = SGD(1.0) if optimizer is None else optimizer
    start = _validate.number("lowest", lowest, above=0)
    end = _validate.number("highest", highest, above=start)
    if _validate.count("n_rates", n_rates) < 5:
        raise ValueError(f"n_rates must be at least 5, to see where the cost falls, got {n_rates}")
    trainer = Trainer(copy.copy(checks.network(network)), loss=loss, optimizer=optimizer, seed=seed)
    trainer.evaluate(X, y)  # so that what is wrong is said of X and y, not of a batch
    X, y = np.asarray(X), np.asarray(y)
    size = min(len(X), 64) if batch_size == 64 else _validate.batch_size(batch_size, len(X))
    batches = _batches(len(X), size, np.random.default_rng(trainer.seed))
    rates, costs = np.geomspace(start, end, n_rates), []
    for rate in rates.tolist():
        trainer.optimizer = replace(trainer.optimizer, rate=rate)
        try:
            cost = np.mean([trainer.step(X[rows], y[rows]) for rows in islice(batches, STEPS_EACH)])
        except DivergenceError:
            break
        costs.append(float(cost))
        if costs[-1] > GIVE_UP * min(costs) > 0:
            break
    return RateSearch(rates[: len(costs)], np.array(costs), _suggest(rates, np.array(costs)))


def _batches(n_rows: int, size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of one batch after the other, in a fresh order for each pass, without end."""
    while True:
        order = generator.permutation(n_rows)
        for start in range(0, n_rows - size + 1, size):
            yield order[start : start + size]


def _smooth(costs: np.ndarray) -> np.ndarray:
    """The mean of each cost and its neighbours."""
    padded = np.pad(costs, 1, mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _suggest(rates: np.ndarray, costs: np.ndarray) -> float | None:
    """A share of the rate with the lowest cost."""
    lowest = int(_smooth(costs).argmin()) if len(costs) else 0
    return float(SHARE * rates[lowest]) if lowest else None


class RateFinderDisplay:
    """The cost at each learning rate, and the rate suggested.

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
        """A rate to train with."""
        return self.search.suggestion

    @classmethod
    def from_network(cls, network, X, y, *, ax=None, **how) -> "RateFinderDisplay":
        """Searches and draws; `how` is what ``find_rate`` takes, whose errors it raises.

        Parameters
        ----------
        network, X, y, **how
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
        return cls(find_rate(network, X, y, **how)).plot(ax)

    def plot(self, ax=None) -> "RateFinderDisplay":
        """Draws the search on `ax`, or on a new figure."""
        (self.ax_,) = style.panels(ax, 1)
        self.figure_ = self.ax_.figure
        found = self.search
        self.ax_.plot(found.rates, found.costs, color=style.COLOURS[0], alpha=0.35, linewidth=1)
        if len(found.costs):
            smooth = _smooth(found.costs)
            self.ax_.plot(found.rates, smooth, color=style.COLOURS[0], linewidth=1.8)
            # the first costs, and what is below: what comes after the minimum needs no room
            low, high = float(found.costs.min()), float(smooth[0])
            margin = 0.15 * (high - low) or 1.0
            self.ax_.set_ylim(low - margin, high + 2 * margin)
        note = "no rate lowered the cost"
        if found.suggestion is not None:
            note = f"suggestion: {style.number(found.suggestion)}"
            self.ax_.axvline(found.suggestion, color=style.COLOURS[1], linewidth=1.2)
        self.ax_.set_xscale("log")
        style.quiet(self.ax_, "learning rate finder", "rate", "cost", note)
        style.guides(self.ax_)
        return self


def rate_finder(network, X, y, *, ax=None, **how):
    """Draws the search for a rate and returns the axes; ``find_rate`` says what it takes, and returns the rate."""
    return RateFinderDisplay.from_network(network, X, y, ax=ax, **how).ax_
