"""Columns brought to mean 0 and variance 1 for a training, and the network that does without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastprop.metrics import LOG_MEAN
from fastprop.network import Network


@dataclass(frozen=True)
class Standards:
    """Means and deviations of the columns of X and of y; None where they are left as they are.

    Where outputs are logarithms, y_mean is 0 and y_scale the mean of y, which leaves signs alone.

    Attributes
    ----------
    x_mean, x_scale : ndarray, (columns of X,), or None
    y_mean, y_scale : ndarray, (columns of y,), or None
    """

    x_mean: np.ndarray | None
    x_scale: np.ndarray | None
    y_mean: np.ndarray | None
    y_scale: np.ndarray | None

    @classmethod
    def of(
        cls, X: np.ndarray | None, y: np.ndarray | None, weight: np.ndarray | None, log_link: bool
    ) -> "Standards":
        """Those of the columns, each row weighing what it does."""
        y_mean, y_scale = _moments(y, weight)
        if y_mean is not None and log_link:
            y_mean, y_scale = np.zeros_like(y_mean), np.where(y_mean > 0, y_mean, 1.0)
        return cls(*_moments(X, weight), y_mean, y_scale)

    @property
    def finite(self) -> bool:
        """False where numbers were too large."""
        found = [self.x_mean, self.x_scale, self.y_mean, self.y_scale]
        return all(np.isfinite(array).all() for array in found if array is not None)

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """X as the network takes it."""
        return X if self.x_mean is None else ((X - self.x_mean) / self.x_scale).astype(X.dtype, copy=False)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """y as the network learns it."""
        return y if self.y_mean is None else (y - self.y_mean) / self.y_scale

    def of_outputs(self, loss: Any) -> tuple[np.ndarray, np.ndarray]:
        """(factor, offset): what makes of the network's outputs those for y as it is."""
        mean, scale = (np.repeat(np.asarray(each), loss.outputs) for each in (self.y_mean, self.y_scale))
        if loss.name in LOG_MEAN:
            mean, scale = np.log(scale), np.ones_like(scale)
        elif loss.name == "gaussian_nll":  # the second of two outputs is the log of the variance
            mean[1::2], scale[1::2] = 2 * np.log(scale[1::2]), 1.0
        return scale, mean

    def outputs(self, Y: np.ndarray, loss: Any) -> np.ndarray:
        """The network's outputs in the units of y."""
        if self.y_mean is None:
            return Y
        factor, offset = self.of_outputs(loss)
        return (Y * factor + offset).astype(Y.dtype, copy=False)


def _moments(table: np.ndarray | None, weight: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The mean and the standard deviation of each column: 1 where it is constant but for rounding."""
    if table is None or len(table) == 1:  # a single row says nothing of scales
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks
        table = table.astype(np.float64, copy=False)
        mean = np.average(table, axis=0, weights=weight)
        deviation = np.sqrt(np.average(np.square(table - mean), axis=0, weights=weight))
    constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, deviation)


def folded(network: Network, standards: Standards, loss: Any) -> Network:
    """A network of X and y as they are, with the numbers of one that was trained on standardised ones."""
    if standards.x_mean is None and standards.y_mean is None:
        return network
    copy = Network.from_description(network.describe())
    copy._assign(*network._numbers())
    if standards.x_mean is not None:
        _fold_inputs(copy, standards.x_mean, standards.x_scale)
    if standards.y_mean is not None:
        factor, offset = standards.of_outputs(loss)
        copy.weights[-1][...] *= factor
        last = copy.biases[-1].reshape(-1, len(factor))  # a row for each member
        last[...] = last * factor + offset
    return copy


def _fold_inputs(network: Network, mean: np.ndarray, scale: Any) -> None:
    """The first layer, which is dense, takes (x - mean) / scale as x."""
    weights, biases = network.weights, network.biases
    if network.n_members == 1 or weights[0].ndim == 3:  # members whose first layer is the last share nothing
        weights[0][...] /= scale[:, np.newaxis]
        biases[0][...] -= (mean @ weights[0]).ravel()
        return
    r, W, s = weights[:3]  # ((x * r) W) * s + b, as fastprop.members has it
    W[...] /= scale[:, np.newaxis]
    b = biases[2].reshape(network.n_members, -1)
    b -= (mean * r.reshape(network.n_members, -1)) @ W * s.reshape(network.n_members, -1)
