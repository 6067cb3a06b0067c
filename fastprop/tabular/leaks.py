"""How well one column by itself predicts the target: columns that know it are found before training."""

import numpy as np

__all__ = ["one_to_one", "skill"]

MIN_ROWS = 20
BINS = 100  # of numbers: within a hundredth of the rows a column that knows the target hardly varies
# Numbers of at most so many distinct values are classes for the purpose of this module.
MAX_CLASSES = 20


def one_to_one(column, target):
    """Internal: return whether a column is a copy of the target: its classes in other words, or its numbers in a unit.

    Parameters
    ----------
    column, target : (str, values)
        The kind, and the values as ``ColumnSchema.read`` returns them.
    """
    x, y = _labels(column), _labels(target)
    rows = (x >= 0) & (y >= 0)
    if rows.sum() < MIN_ROWS or (x[y >= 0] < 0).any():
        return False
    x, y = x[rows], y[rows]
    n_x, n_y = len(np.unique(x)), len(np.unique(y))
    if n_y <= MAX_CLASSES:
        return n_x == n_y > 1 and len(np.unique(x.astype(np.int64) * (y.max() + 1) + y)) == n_y
    if column[0] != "number" or target[0] != "number":
        return False
    x, y = column[1][rows], target[1][rows]
    x, y = x - x.mean(), y - y.mean()
    spread = float(x @ x)
    return spread > 0 and float(np.abs(y - x * (x @ y) / spread).max()) <= 1e-9 * float(np.abs(y).max())


def skill(column, target):
    """Internal: return the share of what varies in the target that a column explains by itself; rows are in no order.

    Half of the rows give the mean target (of classes: the commonest) in each category or each hundredth of the numbers;
    for numbers a curve through these means and a straight line are tried too. On the other rows the squared errors (of
    classes: the errors) are compared with those of a constant: 1 is perfect.
    """
    y = _labels(target)
    rows = np.flatnonzero(y >= 0)
    if len(rows) < MIN_ROWS:
        return 0.0
    half = len(rows) // 2
    fit, test = rows[:half], rows[half:]
    x = _bins(column, fit)
    if len(np.unique(y)) - (y < 0).any() <= MAX_CLASSES or target[0] != "number":
        n_classes = y.max() + 1
        if n_classes > 1000:
            return 0.0
        table = np.zeros((x.max() + 2, n_classes))
        np.add.at(table, (x[fit], y[fit]), 1)
        common = np.bincount(y[fit], minlength=n_classes).argmax()
        predicted = np.where(table.any(axis=1), table.argmax(axis=1), common)[x[test]]
        errors, constant = (predicted != y[test]).sum(), (y[test] != common).sum()
    else:
        values = target[1]
        mean = values[fit].mean()
        means = _means(x, values, fit)
        predictions = [np.where(np.isnan(means), mean, means)[x[test]]]
        known = fit[~np.isnan(column[1][fit])] if column[0] == "number" else ()
        if len(known):
            numbers = column[1][test]
            centers = _means(x, column[1], known)
            filled = ~np.isnan(centers)
            center, slope = column[1][known].mean(), _slope(column[1][known], values[known])
            for predicted in (
                np.interp(numbers, centers[filled], means[filled]),  # a curve
                values[known].mean() + slope * (numbers - center),  # a straight line, beyond the rows too
            ):
                predictions.append(np.where(np.isnan(numbers), predictions[0], predicted))
        constant = ((values[test] - mean) ** 2).sum()
        errors = min(((predicted - values[test]) ** 2).sum() for predicted in predictions)
    return float(1 - errors / constant) if constant > 0 else 0.0


def _slope(x, y):
    """Return the slope of the line of least squares through points."""
    x = x - x.mean()
    spread = float(x @ x)
    return float(x @ y) / spread if spread > 0 else 0.0


def _means(bins, values, rows):
    """Return the mean of values in each bin, NaN where there are no rows."""
    size = bins.max() + 1
    sums, counts = np.bincount(bins[rows], values[rows], minlength=size), np.bincount(bins[rows], minlength=size)
    with np.errstate(invalid="ignore"):
        return sums / counts


def _labels(column):
    """Return values as whole numbers from 0 on, -1 at gaps."""
    kind, values = column
    if kind in ("category", "text"):
        return values[0]
    missing = np.isnan(values) if kind == "number" else np.isnat(values)
    labels = np.unique(values, return_inverse=True)[1]
    labels[missing] = -1
    return labels


def _bins(column, fit):
    """Return the bin of each row, from 0 on, the last one for gaps; its edges are quantiles of the rows `fit`."""
    kind, values = column
    if kind in ("category", "text"):
        bins = values[0].astype(np.int64)
    else:
        missing = np.isnan(values) if kind == "number" else np.isnat(values)
        numbers = np.where(missing, 0, values.astype(np.float64 if kind == "number" else np.int64)).astype(np.float64)
        known = numbers[fit][~missing[fit]]
        if not len(known):
            return np.zeros(len(values), np.int64)
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        bins = np.where(missing, -1, np.searchsorted(edges, numbers, side="right"))
    return np.where(bins < 0, bins.max() + 1, bins)
