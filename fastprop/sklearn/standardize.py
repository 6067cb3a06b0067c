"""Columns brought to mean 0 and variance 1 for a training, and the network that does without it.

Where rows come a batch at a time, the means and deviations are those of all rows so far, so they move with every batch.
What the network has learned does not change when they do: it is put into the units of the new ones. The weights that
the first layer drew at the start are not. They are right for columns of variance 1 by whatever measure, and a column
whose deviation was far too small at first, as that of a pixel that was empty so far, would otherwise keep initial
weights that are far too large. Once a column has been seen at work its initial weights too are part of what was
learned; see ``AT_WORK``.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastprop.nn.network import Network
from fastprop.training.metrics import LOG_MEAN

# After so many rows in which a column differed from its mean, half of its initial weights count as learned. 30 was
# worse, and 300 to 600 were alike on the streams that were tried: scales that drift, classes in order, empty columns.
AT_WORK = 500

# A scale that grows by more than this from one batch to the next, as that of a sensor that was off, says that what was
# learned in the small one means little: it grows by no more. Of 1.5 to 100, 2 was best on columns that are jitter at
# first.
MOST = 2.0


@dataclass(frozen=True)
class Moments:
    """What is known of the columns of all rows so far.

    Attributes
    ----------
    weight : float
        Of all rows together.
    mean, variance : ndarray, (columns,)
    """

    weight: float
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, weight: np.ndarray | None) -> "Moments":
        """Those of a table, each row weighing what it does."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks
            table = table.astype(np.float64, copy=False)
            mean = np.average(table, axis=0, weights=weight)
            variance = np.average(np.square(table - mean), axis=0, weights=weight)
        return cls(float(len(table) if weight is None else weight.sum(dtype=np.float64)), mean, variance)

    def __add__(self, other: "Moments") -> "Moments":
        """Those of the rows of both (Chan, Golub and LeVeque 1983); the same bits where the other says nothing new."""
        with np.errstate(over="ignore", invalid="ignore"):
            weight, apart = self.weight + other.weight, other.mean - self.mean
            share = other.weight / weight
            variance = self.variance + share * (other.variance - self.variance + (1 - share) * np.square(apart))
            return Moments(weight, self.mean + share * apart, variance)

    @cached_property
    def deviation(self) -> np.ndarray:
        """The standard deviation of each column: 0 where it is constant but for rounding."""
        deviation = np.sqrt(self.variance)
        return np.where(deviation <= 10 * np.finfo(np.float64).eps * np.abs(self.mean), 0.0, deviation)


@dataclass(frozen=True)
class Standards:
    """Means and scales of the columns of X and of y, where these are standardised.

    Where outputs are logarithms, y is divided by its mean alone, which leaves signs as they are.

    A single row says nothing of scales: where a training begins with one, X and y are left as they are until rows with
    another X come.

    Attributes
    ----------
    seen_x, seen_y : Moments or None
    log_link : bool
    begun : bool
        Whether X and y are standardised by now.
    at_work : float or ndarray, (columns of X,)
        In how many rows a column differed from its mean: a row counts as the square of its standardised value, but not
        as more than 1.
    """

    seen_x: Moments | None
    seen_y: Moments | None
    log_link: bool
    begun: bool
    at_work: Any = 0.0

    @classmethod
    def of(cls, X: np.ndarray | None, y: np.ndarray | None, weight: np.ndarray | None, log_link: bool) -> "Standards":
        """Those of the columns of a table; None stands for one that is left as it is."""
        seen_x, seen_y = (None if table is None else Moments.of(table, weight) for table in (X, y))
        begun = any(table is not None and len(table) > 1 for table in (X, y))
        return cls(seen_x, seen_y, log_link, begun)._worked(X)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> "Standards":
        """The inverse of ``dataclasses.asdict``."""
        moments = {name: given[name] and Moments(**given[name]) for name in ("seen_x", "seen_y")}
        return cls(**given | moments)

    def joined(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> "Standards":
        """Those of all rows so far and of these."""
        seen_x, seen_y = (
            part and part + Moments.of(table, weight) for part, table in ((self.seen_x, X), (self.seen_y, y))
        )
        begun = self.begun or any(part.deviation.any() for part in (seen_x or seen_y,) if part)
        return Standards(seen_x, seen_y, self.log_link, begun, self.at_work)._worked(X)

    def _worked(self, X: Any) -> "Standards":
        """The same when it has been seen where the columns of X are at work."""
        if self.x is None or not (self.begun and self.finite):
            return self
        return replace(self, at_work=self.at_work + np.minimum(np.square(self.inputs(X)), 1.0).sum(axis=0))

    @cached_property
    def x(self) -> Any:
        """What is known of X as far as it counts; None where X is left alone."""
        return self._as_far_as_it_counts(self.seen_x)

    @cached_property
    def y(self) -> Any:
        """The same of y."""
        return self._as_far_as_it_counts(self.seen_y)

    def _as_far_as_it_counts(self, seen: Moments | None) -> Moments | None:
        if seen is None or self.begun:
            return seen
        return Moments(seen.weight, np.zeros_like(seen.mean), np.zeros_like(seen.variance))

    @property
    def finite(self) -> bool:
        """False where numbers were too large."""
        return all(np.isfinite(each).all() for part in (self.x, self.y) if part for each in (part.mean, part.deviation))

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """X as the network takes it."""
        if self.x is None:
            return X
        return ((X - self.x.mean) / _scale(self.x.deviation)).astype(X.dtype, copy=False)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """y as the network learns it."""
        return y if self.y is None else (y - self._y_mean) / _scale(self._y_scale)

    @property
    def _y_mean(self) -> np.ndarray:
        return np.zeros_like(self.y.mean) if self.log_link else self.y.mean

    @property
    def _y_scale(self) -> np.ndarray:
        """0 where nothing is known of it."""
        return np.maximum(self.y.mean, 0.0) if self.log_link else self.y.deviation

    def of_outputs(self, loss: Any, otherwise: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """(factor, offset): what makes of the network's outputs those for y as it is; `otherwise` as of ``_scale``."""
        mean, scale = (np.repeat(each, loss.outputs) for each in (self._y_mean, _scale(self._y_scale, otherwise)))
        if loss.name in LOG_MEAN:
            mean, scale = np.log(scale), np.ones_like(scale)
        elif loss.name == "gaussian_nll":  # the second of two outputs is the log of the variance
            mean[1::2], scale[1::2] = 2 * np.log(scale[1::2]), 1.0
        return scale, mean

    def outputs(self, Y: np.ndarray, loss: Any) -> np.ndarray:
        """The network's outputs in the units of y."""
        if self.y is None:
            return Y
        factor, offset = self.of_outputs(loss)
        return (Y * factor + offset).astype(Y.dtype, copy=False)


def _scale(known: np.ndarray, otherwise: Any = 1.0) -> np.ndarray:
    """What to divide columns by: `otherwise` where no scale is known, as of one that is constant so far."""
    return np.where(known > 0, known, otherwise)


def folded(network: Network, standards: Standards, loss: Any) -> Network:
    """A network of X and y as they are, with the numbers of one that was trained on standardised ones."""
    if standards.x is None and standards.y is None:
        return network
    copy = Network.from_description(network.describe())
    copy.restore(*network.snapshot())
    if standards.x is not None:
        _fold_inputs(copy, standards.x.mean, _scale(standards.x.deviation))
    if standards.y is not None:
        _fold_outputs(copy, *standards.of_outputs(loss))
    return copy


def move(network: Network, old: Standards, new: Standards, loss: Any, drawn: np.ndarray | None) -> None:
    """Puts what a network has learned into the units of other standards, as far as ``MOST`` allows.

    Parameters
    ----------
    network : Network
    old, new : Standards
    loss : Loss or OwnLoss
    drawn : ndarray or None
        The weights that the first layer, ``first_weights``, was drawn with; None where X is not standardised.
    """
    # what was learned of a single row as it is is not worth keeping; where nothing moved, every bit stays
    moved = old.begun and not (
        old.x is None or (np.array_equal(old.x.mean, new.x.mean) and np.array_equal(old.x.deviation, new.x.deviation))
    )
    if moved:
        scale = _scale(new.x.deviation)
        still_drawn = AT_WORK / (AT_WORK + old.at_work)
        _fold_inputs(
            network,
            (old.x.mean - new.x.mean) / scale,
            np.maximum(_scale(old.x.deviation, scale) / scale, 1 / MOST),
            kept=drawn * still_drawn[:, np.newaxis],
        )
    if old.y is not None:
        factor, offset = new.of_outputs(loss)
        factor_before, offset_before = old.of_outputs(loss, _scale(new._y_scale))
        _fold_outputs(network, np.maximum(factor_before / factor, 1 / MOST), (offset_before - offset) / factor)


def first_weights(network: Network) -> np.ndarray:
    """The weights that the columns of X meet in the first layer, which is dense: (..., columns, n_out)."""
    # members whose first layer is the last share nothing; else it is ((x * r) W) * s + b, as fastprop.nn.tabm has it
    return network.weights[0 if network.n_members == 1 or network.weights[0].ndim == 3 else 1]


def _fold_inputs(network: Network, mean: np.ndarray, scale: np.ndarray, kept: Any = 0.0) -> None:
    """The first layer takes (x - mean) / scale as x, where what it does with x leaves out its weights `kept`."""
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
    """The last layer gives its outputs times factor, plus offset."""
    network.weights[-1][...] *= factor
    last = network.biases[-1].reshape(-1, len(factor))  # a row for each member
    last[...] = last * factor + offset
