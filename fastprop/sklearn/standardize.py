"""Standardization of columns to mean 0 and variance 1, and its removal from a trained network.

Where rows come a batch at a time, means and deviations are those of all rows so far, so they change with every batch.
What the network has learned is rescaled to the new units, so that its predictions do not change. The initial weights of
the first layer are not rescaled: they suit columns of variance 1 in any unit. If they were rescaled, a column whose
deviation was far too small at first, for example a pixel that was empty so far, would keep initial weights that are far
too large. Once a column has varied in enough rows, its initial weights count as learned; see ``HALF_LEARNED_ROWS``.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np

from fastprop.nn.network import Network
from fastprop.training.metrics import LOG_MEAN
from fastprop.training.ranks import ALONE, Ranks

# After this many rows in which a column differed from its mean, half of its initial weights count as learned. On the
# streams that were tried (scales that drift, classes in order, empty columns) 30 was worse, and 300 to 600 were alike.
HALF_LEARNED_ROWS = 500

# If a scale grows by more than this factor from one batch to the next, as that of a sensor that was switched off, what
# was learned in the small scale means little, and is rescaled by this factor only. Of 1.5 to 100, 2 was best on columns
# that hold only jitter at first.
MAX_GROWTH = 2.0

# From this many rows on, a column that had two values has only two: one of numbers would have had more.
TWO_VALUED_ROWS = 20


@dataclass(frozen=True)
class Moments:
    """The mean and variance of each column over all rows so far.

    Attributes
    ----------
    weight : float
        The sum of the rows' weights.
    mean, variance : ndarray, (columns,)
    low, high : ndarray, (columns,)
        The least and the greatest value.
    two_valued : bool array, (columns,)
        Whether there is no other value than these.
    """

    weight: float
    mean: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    two_valued: np.ndarray

    @classmethod
    def over(cls, table: np.ndarray, weight: np.ndarray | None, ranks: Ranks) -> "Moments":
        """Return the moments of the rows of all ranks, of which the table has those of this one."""
        if ranks.alone:
            return cls.of(table, weight)
        values: list[Any] = []
        if len(table):
            moments = cls.of(table, weight)
            values = [getattr(moments, field.name) for field in fields(cls)]
        return reduce(add, (cls(*each) for each in ranks.gather_objects(values) if each))

    @classmethod
    def of(cls, table: np.ndarray, weight: np.ndarray | None) -> "Moments":
        """Return the moments of a table, (rows, columns), in which row i counts weight[i] times."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
            table = table.astype(np.float64, copy=False)
            mean = np.average(table, axis=0, weights=weight)
            variance = np.average(np.square(table - mean), axis=0, weights=weight)
        low, high = table.min(axis=0), table.max(axis=0)
        two_valued = ((table == low) | (table == high)).all(axis=0)
        total = float(len(table) if weight is None else weight.sum(dtype=np.float64))
        return cls(total, mean, variance, low, high, two_valued)

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the rows of both (Chan, Golub and LeVeque 1983).

        They have the same bits as ``self`` where the mean and variance of ``other`` are equal.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            weight, apart = self.weight + other.weight, other.mean - self.mean
            share = other.weight / weight
            variance = self.variance + share * (other.variance - self.variance + (1 - share) * np.square(apart))
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        two_valued = self.two_valued & other.two_valued
        for value in (self.low, self.high, other.low, other.high):
            two_valued = two_valued & ((value == low) | (value == high))
        return Moments(weight, self.mean + share * apart, variance, low, high, two_valued)

    @property
    def with_indicators(self) -> "Moments":
        """The moments with which 0 and 1 stay as they are, and the values of any other column with two become 0 and 1.

        The larger of two values would be far from 0 otherwise if it is rare, and more harm than help.
        """
        known = (self.low == 0) & (self.high == 1) | ((self.weight >= TWO_VALUED_ROWS) & (self.low < self.high))
        chosen, spread = self.two_valued & known, self.high - self.low
        mean, variance = np.where(chosen, self.low, self.mean), np.where(chosen, spread * spread, self.variance)
        return replace(self, mean=mean, variance=variance)

    @cached_property
    def deviation(self) -> np.ndarray:
        """The standard deviation of each column; 0 where the column is constant up to rounding."""
        deviation = np.sqrt(self.variance)
        return np.where(deviation <= 10 * np.finfo(np.float64).eps * np.abs(self.mean), 0.0, deviation)


@dataclass(frozen=True)
class Standardization:
    """The means and scales with which the columns of X and of y are standardised.

    Where outputs are logarithms, y is only divided by its mean, which keeps signs.

    A single row does not show any scale. Where training begins with one, X and y are left as they are until rows with
    another X come.

    Attributes
    ----------
    x_moments, y_moments : Moments or None
        None for X or y that is not standardised.
    log_link : bool
        Whether the outputs are logarithms of predictions.
    started : bool
        Whether there have been two different rows, so that X and y are standardised by now.
    active_rows : float or ndarray, (columns of X,)
        In how many rows a column differed from its mean. A row counts as the square of its standardised value, and at
        most as 1.
    """

    x_moments: Moments | None
    y_moments: Moments | None
    log_link: bool
    started: bool
    active_rows: Any = 0.0

    @classmethod
    def of(
        cls,
        X: np.ndarray | None,
        y: np.ndarray | None,
        weight: np.ndarray | None,
        log_link: bool,
        ranks: Ranks = ALONE,
    ) -> "Standardization":
        """Return the standardization of the columns of X and y; None stands for columns that are left as they are.

        Over several ranks, it is that of the rows of all.
        """
        x_moments, y_moments = (None if table is None else Moments.over(table, weight, ranks) for table in (X, y))
        started = any(table is not None and ranks.sums(len(table))[0] > 1 for table in (X, y))
        return cls(x_moments, y_moments, log_link, started)._with_active_rows(X, ranks)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> "Standardization":
        """Return the standardization that ``dataclasses.asdict`` described."""
        moments = {name: given[name] and Moments(**given[name]) for name in ("x_moments", "y_moments")}
        return cls(**given | moments)

    def joined(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, ranks: Ranks = ALONE
    ) -> "Standardization":
        """Return the standardization for all rows so far and these, over several ranks those of all."""
        x_moments, y_moments = (
            part and part + Moments.over(table, weight, ranks)
            for part, table in ((self.x_moments, X), (self.y_moments, y))
        )
        started = self.started or any(part.deviation.any() for part in (x_moments or y_moments,) if part)
        whole = Standardization(x_moments, y_moments, self.log_link, started, self.active_rows)
        return whole._with_active_rows(X, ranks)

    def _with_active_rows(self, X: Any, ranks: Ranks) -> "Standardization":
        """Return a copy whose ``active_rows`` include the rows of X."""
        if self.x is None or not (self.started and self.finite):
            return self
        active = np.minimum(np.square(self.inputs(X)), 1.0).sum(axis=0)
        ranks.sum(active)
        return replace(self, active_rows=self.active_rows + active)

    @cached_property
    def x(self) -> Any:
        """The moments with which X is standardised; None where it is left as it is."""
        moments = self._moments_in_use(self.x_moments)
        return moments and moments.with_indicators

    @cached_property
    def y(self) -> Any:
        """The moments with which y is standardised; None where it is left as it is."""
        return self._moments_in_use(self.y_moments)

    def _moments_in_use(self, moments: Moments | None) -> Moments | None:
        if moments is None or self.started:
            return moments
        return replace(moments, mean=np.zeros_like(moments.mean), variance=np.zeros_like(moments.variance))

    @property
    def finite(self) -> bool:
        """Whether all means and deviations are finite; they are not where numbers are too large."""
        return all(np.isfinite(each).all() for part in (self.x, self.y) if part for each in (part.mean, part.deviation))

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """Return X standardised, as the network takes it."""
        if self.x is None:
            return X
        return ((X - self.x.mean) / _scale(self.x.deviation)).astype(X.dtype, copy=False)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Return y standardised, as the network learns it."""
        return y if self.y is None else (y - self._y_mean) / _scale(self._y_scale)

    @property
    def _y_mean(self) -> np.ndarray:
        return np.zeros_like(self.y.mean) if self.log_link else self.y.mean

    @property
    def _y_scale(self) -> np.ndarray:
        """The scale of each column of y; 0 where it is not known."""
        return np.maximum(self.y.mean, 0.0) if self.log_link else self.y.deviation

    def of_outputs(self, loss: Any, default: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and offset, each (n_outputs,), that bring the network's outputs to the units of y.

        `default` replaces a scale that is not known, as in ``_scale``.
        """
        mean, scale = (np.repeat(each, loss.outputs) for each in (self._y_mean, _scale(self._y_scale, default)))
        if loss.name in LOG_MEAN:
            mean, scale = np.log(scale), np.ones_like(scale)
        elif loss.name == "gaussian_nll":  # the second of two outputs is the log of the variance
            mean[1::2], scale[1::2] = 2 * np.log(scale[1::2]), 1.0
        return scale, mean

    def outputs(self, Y: np.ndarray, loss: Any) -> np.ndarray:
        """Return the network's outputs Y in the units of y."""
        if self.y is None:
            return Y
        factor, offset = self.of_outputs(loss)
        return (Y * factor + offset).astype(Y.dtype, copy=False)


def _scale(known: np.ndarray, default: Any = 1.0) -> np.ndarray:
    """Return the divisors of columns: `default` where no scale is known, since the column is constant so far."""
    return np.where(known > 0, known, default)


def fold_standardization(network: Network, standardization: Standardization, loss: Any) -> Network:
    """Return a network that takes X and gives y in their own units, from one that was trained on standardised ones."""
    if standardization.x is None and standardization.y is None:
        return network
    copy = Network.from_description(network.describe())
    copy.restore(*network.snapshot())
    if standardization.x is not None:
        _fold_inputs(copy, standardization.x.mean, _scale(standardization.x.deviation))
    if standardization.y is not None:
        _fold_outputs(copy, *standardization.of_outputs(loss))
    return copy


def restandardize(
    network: Network, old: Standardization, new: Standardization, loss: Any, initial_weights: np.ndarray | None
) -> None:
    """Rescale what a network has learned from one standardization to another, as far as ``MAX_GROWTH`` allows.

    Parameters
    ----------
    network : Network
    old, new : Standardization
    loss : Loss or OwnLoss
    initial_weights : ndarray or None
        The weights that ``first_weights`` returned before training; None where X is not standardised.
    """
    # What was learned from a single row that was not standardised is not worth keeping. Where nothing changed, every
    # bit stays.
    changed = old.started and not (
        old.x is None or (np.array_equal(old.x.mean, new.x.mean) and np.array_equal(old.x.deviation, new.x.deviation))
    )
    if changed:
        scale = _scale(new.x.deviation)
        initial_share = HALF_LEARNED_ROWS / (HALF_LEARNED_ROWS + old.active_rows)
        _fold_inputs(
            network,
            (old.x.mean - new.x.mean) / scale,
            np.maximum(_scale(old.x.deviation, scale) / scale, 1 / MAX_GROWTH),
            kept=initial_weights * initial_share[:, np.newaxis],
        )
    if old.y is not None:
        factor, offset = new.of_outputs(loss)
        factor_before, offset_before = old.of_outputs(loss, _scale(new._y_scale))
        _fold_outputs(network, np.maximum(factor_before / factor, 1 / MAX_GROWTH), (offset_before - offset) / factor)


def first_weights(network: Network) -> np.ndarray:
    """Return the weights of the first layer, which is dense, as a view: (..., columns of X, n_out)."""
    # Members whose first layer is also the last share nothing. Otherwise the layer is ((x * r) W) * s + b, as in
    # fastprop.nn.tabm.
    return network.weights[0 if network.n_members == 1 or network.weights[0].ndim == 3 else 1]


def _fold_inputs(network: Network, mean: np.ndarray, scale: np.ndarray, kept: Any = 0.0) -> None:
    """Change the first layer so that it standardises: with W - kept it takes (x - mean) / scale in place of x."""
    W = first_weights(network)
    moved = (W - kept) / scale[:, np.newaxis]
    W[...] = moved + kept
    if W is network.weights[0]:
        network.biases[0][...] -= (mean @ moved).ravel()
        return
    r, _, s = network.weights[:3]
    b = network.biases[2].reshape(network.n_members, -1)
    b -= (mean * r.reshape(network.n_members, -1)) @ moved * s.reshape(network.n_members, -1)


def _fold_outputs(network: Network, factor: np.ndarray, offset: np.ndarray) -> None:
    """Change the last layer so that it gives its outputs times factor, plus offset."""
    network.weights[-1][...] *= factor
    last = network.biases[-1].reshape(-1, len(factor))  # (members, n_outputs)
    last[...] = last * factor + offset
