"""What a model of a table relies on: how much each column is worth to it, and how its predictions follow a column."""

from dataclasses import dataclass

import numpy as np

from fastprop.tabular.model import ALL_TRAINED
from fastprop.tabular.scores import Z95

__all__ = ["Effect", "Importance", "effect", "held_out_ensembles", "importances"]

PASSES = 400_000  # rows that the networks predict for all importances together: a few seconds
ROWS = 5_000  # of a table with few columns
REPEATS = 3
POINTS, CATEGORIES, BINS = 24, 8, 24  # of an effect
FEW = 12  # a column of at most this many different numbers is shown like one of categories
WEEK = 7 * 86400e6  # microseconds
AVERAGED = 400  # rows over which an effect is the mean


@dataclass(frozen=True)
class Importance:
    """How much worse the predictions of rows held out become when the cells of a column change their rows.

    Attributes
    ----------
    name : str
        The column.
    value, error : float
        By how much the log loss rises, or R2 falls; and the standard error.
    """

    name: str
    value: float
    error: float

    @property
    def interval(self):
        """The 95% interval, (low, high)."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error


@dataclass(frozen=True)
class Effect:
    """The mean prediction over rows in all of which a column holds the same (Friedman 2001, partial dependence).

    Attributes
    ----------
    name : str
        The column.
    points : float64 array, datetime64 array, or list of str, (points,)
        What the column holds: quantiles of its numbers or times, all of few different numbers, or its commonest
        categories.
    means : float64 array, (points,) or (points, classes)
        As ``Target.decode`` returns them.
    counts : int64 array
        The rows at each point, or in each of the bins between `edges`.
    edges : array, (bins + 1,), or None
    """

    name: str
    points: np.ndarray | list
    means: np.ndarray
    counts: np.ndarray
    edges: np.ndarray | None


def held_out_ensembles(model, table, y, test=None):
    """Return (ensemble, inputs, target) for each part of the rows that were held out.

    Parameters
    ----------
    model : TabularModel
        With the folds of its fit.
    table, y : Table, array
        The rows that it was fitted to, and their target.
    test : (Table, array), optional
        Other rows, which are predicted instead.
    """
    if test is not None:
        return [(model.ensemble, model.encoder.transform(test[0]), test[1])]
    X, found = model.encoder.transform(table), []
    for fold in np.unique(model.folds[model.folds != ALL_TRAINED]):
        rows = model.folds == fold
        found.append((model.held_out_ensemble(fold), X[rows], y[rows]))
    return found


def importances(model, ensembles, seed=0):
    """Return the permutation importance of each column (Breiman 2001; Fisher et al. 2019), the largest first.

    The predictions are those of networks that did not see the rows, as `ensembles` pairs them.
    """
    encoder, target, generator = model.encoder, model.target, np.random.default_rng([seed, 4])
    most = int(np.clip(PASSES / (REPEATS * len(encoder.columns)), 200, ROWS))
    total = sum(len(y) for *_, y in ensembles)
    rises = [[] for _ in encoder.columns]
    y_all = np.concatenate([y for *_, y in ensembles])
    # Of numbers the fall of R2, which equal ones do not have.
    spread = 1.0 if target.task == "classification" else y_all.var() / target.scale**2 or np.nan
    for network, X, y in ensembles:
        chosen = generator.permutation(len(y))[: max(1, most * len(y) // total)]
        X, y = X[chosen], y[chosen]
        before = _losses(target, network(X), y)
        for k, place in enumerate(encoder.places):
            changed = X.copy()
            rise = np.zeros(len(y))
            for _ in range(REPEATS):
                changed[:, place] = X[generator.permutation(len(y)), place]
                rise += (_losses(target, network(changed), y) - before) / REPEATS
            rises[k].append(rise / spread)
    found = []
    for column, parts in zip(encoder.columns, rises, strict=True):
        each = np.concatenate(parts)
        error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("nan")
        found.append(Importance(column.name, float(each.mean()), error))
    return sorted(found, key=lambda importance: -importance.value)


def _losses(target, outputs, y):
    """Return the loss of each row: its log loss, or its squared error in the target's scale."""
    predictions = target.decode(outputs)
    if target.task == "classification":
        return -np.log(np.clip(predictions[np.arange(len(y)), y], np.finfo(np.float64).eps, 1))
    return ((predictions - y) / target.scale) ** 2


def effect(model, table, name, seed=0):
    """Return how the predictions of a model follow a column of a table; None for a column of texts."""
    encoder = model.encoder
    k = encoder.names.index(name)
    column, encoding, place = encoder.schema.columns[k], encoder.columns[k], encoder.places[k]
    values = column.read(table[name])
    if column.kind == "text":
        return None
    if column.kind == "category":
        codes, texts = values
        every = np.bincount(codes[codes >= 0], minlength=len(texts))
        commonest = np.argsort(-every, kind="stable")[: min(CATEGORIES, int((every > 0).sum()))]
        points, counts, edges = [texts[code] for code in commonest], every[commonest], None
        given = np.arange(len(points), dtype=np.int32), tuple(points)
    elif column.kind == "number" and len(distinct := np.unique(values[np.isfinite(values)])) <= FEW:
        given = points = distinct
        counts, edges = np.array([(values == point).sum() for point in points], dtype=np.int64), None
    else:
        known = values[~np.isnat(values)] if column.kind == "time" else values[np.isfinite(values)]
        if not len(known):
            return None
        numbers = known.astype(np.int64).astype(np.float64) if column.kind == "time" else known
        # Quantiles and evenly spaced numbers: the former show where the rows are, the latter the rest of the range.
        low, high = np.quantile(numbers, [0.01, 0.99])
        evenly = np.linspace(low, high, POINTS)
        points = np.unique([*np.quantile(numbers, np.linspace(0.01, 0.99, POINTS)), *evenly])
        if column.kind == "time" and high - low > 8 * WEEK:
            points = low + np.unique(np.round((evenly - low) / WEEK)) * WEEK  # hours and weekdays would hide the trend
        counts, edges = np.histogram(numbers[(numbers >= low) & (numbers <= high)], BINS)
        if column.kind == "time":
            points, edges = points.astype(np.int64).view("M8[us]"), edges.astype(np.int64).view("M8[us]")
        given = points
    inputs = np.empty((len(points), place.stop - place.start), np.float32)
    encoding.transform(given, inputs)
    rows = np.random.default_rng([seed, 5]).permutation(table.n_rows)[:AVERAGED]
    X = encoder.transform(table.take(rows))
    means = []
    for each in inputs:
        X[:, place] = each
        means.append(model.target.decode(model.ensemble(X)).mean(axis=0))
    return Effect(name, points, np.array(means), counts, edges)
