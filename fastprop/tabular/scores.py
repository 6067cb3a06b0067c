"""Scores of predictions, with their standard errors.

Each score has an influence for every row: how much the row moves it, times the number of rows. The standard error is
that of the mean of these influences (the infinitesimal jackknife, Efron 1982), which for a mean over rows is the usual
one, and for the AUC nearly that of DeLong et al. 1988. The difference of the influences of two models gives the
standard error of the difference of their scores on the same rows.
"""

from dataclasses import dataclass

import numpy as np

from fastprop.nn import losses
from fastprop.training.metrics import METRICS, Predictions

__all__ = ["Z95", "Score", "difference", "scores", "standard_error"]

# The half width of a 95% interval of a normal distribution, in standard errors.
Z95 = 1.959964

CLASSES = {"log_loss": "log loss", "auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
NUMBERS = {"r2": "R2", "rmse": "RMSE", "mae": "MAE"}


@dataclass(frozen=True)
class Score:
    """A score of predictions.

    Attributes
    ----------
    name : str
        For people: "log loss", "AUC", "accuracy", "balanced accuracy", "R2", "RMSE" or "MAE".
    value, error : float
        The score and its standard error.
    influence : float64 array, (rows,)
    greater : bool
        Whether more is better.
    """

    name: str
    value: float
    error: float
    influence: np.ndarray
    greater: bool

    @property
    def interval(self):
        """The 95% interval, (low, high)."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error


def scores(target, predictions, values, groups=None):
    """Return the scores of predictions; the first one is that by which models are compared.

    Parameters
    ----------
    target : Target
    predictions : float64 array, (rows,) or (rows, classes)
        As ``Target.decode`` returns them.
    values : array, (rows,)
        The truth, as ``Target.encode`` returns it.
    groups : array, (rows,), optional
        Rows of one group are not independent: their influences are summed.

    Returns
    -------
    list of Score
    """
    if target.task == "classification":
        least = np.finfo(np.float64).tiny
        given = Predictions(values, np.log(np.maximum(predictions, least)), None, losses.cross_entropy)
        unit, names, influences = 1.0, CLASSES, _of_classes(given)
    else:
        # In units of the target's deviation squares are finite.
        unit = target.scale
        scaled = (values - target.mean) / unit, (predictions - target.mean) / unit
        given = Predictions(scaled[0], scaled[1][:, np.newaxis], None, losses.half_mse)
        names, influences = NUMBERS, _of_numbers(*scaled)
    found = []
    for name, shown in names.items():
        metric, influence = METRICS[name], influences[name]
        of_unit = unit if name in ("rmse", "mae") else 1.0
        value, influence = of_unit * metric.function(given), of_unit * influence
        found.append(Score(shown, value, standard_error(influence, groups), influence, metric.greater))
    return found


def difference(score, other, groups=None):
    """Return how much better a score is than another one of the same rows, and the standard error of that.

    Returns
    -------
    better, error : float
        Positive where `score` is the better one.
    """
    sign = 1 if score.greater else -1
    return sign * (score.value - other.value), standard_error(score.influence - other.influence, groups)


def standard_error(influence, groups=None):
    """Return the standard error of a score from the influences of the rows, (rows,), which may be in groups."""
    n, unit = len(influence), np.abs(influence).max()
    if n < 2 or not np.isfinite(unit):
        return float("nan")
    scaled = influence / unit if unit > 0 else influence  # whose squares are finite
    if groups is None:
        return float(unit * scaled.std(ddof=1) / np.sqrt(n))
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.bincount(codes, scaled - scaled.mean())
    return float(unit * np.sqrt((sums**2).sum()) / n)


def _of_classes(given):
    """Return the influences on the scores of classes."""
    labels, right = given.labels, given.predicted_classes == given.labels
    counts = np.bincount(labels)
    shares = counts / len(labels)
    recalls = np.bincount(labels, right) / np.maximum(counts, 1)
    chances = np.clip(given.probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps, 1)
    return {
        "log_loss": -np.log(chances),
        "auc": _of_areas(given, shares),
        "accuracy": right.astype(np.float64),
        "balanced_accuracy": (right - recalls[labels]) / shares[labels] / (counts > 0).sum(),
    }


def _of_areas(given, shares):
    """Return the influences on the AUC, the mean over the classes of each against the rest."""
    chances, labels = given.probabilities, given.labels
    found = []
    for k in [1] if chances.shape[1] == 2 else range(len(shares)):
        positive = labels == k
        if not 0 < positive.sum() < len(labels):
            continue
        # Of each row: the share of the rows of the other side that it is on the right side of, ties counting half.
        other = [np.sort(chances[positive == side, k]) for side in (False, True)]
        below, above = (np.searchsorted(other[0], chances[positive, k], side) for side in ("left", "right"))
        of_positive = (below + above) / 2 / len(other[0])
        below, above = (np.searchsorted(other[1], chances[~positive, k], side) for side in ("left", "right"))
        of_negative = 1 - (below + above) / 2 / len(other[1])
        area, influence = of_positive.mean(), np.empty(len(labels))
        influence[positive] = (of_positive - area) / positive.mean()
        influence[~positive] = (of_negative - area) / (1 - positive.mean())
        found.append(influence)
    return np.mean(found, axis=0) if found else np.full(len(labels), np.nan)


def _of_numbers(values, predictions):
    """Return the influences on the scores of numbers."""
    error = predictions - values
    rmse, spread = np.sqrt((error**2).mean()), values.var()
    with np.errstate(divide="ignore", invalid="ignore"):
        of_r2 = ((error**2).mean() * (values - values.mean()) ** 2 / spread - error**2) / spread
        of_rmse = (error**2 - rmse**2) / (2 * rmse) if rmse > 0 else np.zeros(len(error))
    return {"r2": of_r2, "rmse": of_rmse, "mae": np.abs(error)}
