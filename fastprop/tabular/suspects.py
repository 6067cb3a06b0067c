"""Columns that number the rows, copy others or know the target, and values that may stand for gaps."""

import re

import numpy as np

from fastprop._util.text import number

__all__ = ["Suspects", "one_to_one", "skill"]

# All of this is looked for from this many rows on: in a shorter table 1, 2, 3 may be a measurement.
MIN_ROWS = 20
LEAK_ROWS = 20_000  # as many rows, chosen at random, suffice to tell 0.99 from less
COPY = 0.9  # the least skill of a copy: rare classes may share a bin
LEAK = 0.99  # the skill from which on a column by itself is suspected to know the target
# A value that is repeated in this share and this number of rows may stand for a gap if it is far from all others.
SENTINEL_SHARE, SENTINEL_ROWS = 0.002, 5
MIN_BESIDE = 10  # distinct numbers beside it: fewer are codes, or choices of a form
_SENTINEL = re.compile(r"-?(?:9+(?:\.9+)?|200|32768)|0|-1").fullmatch
# Rows may be in the order of time, and what rises with it is learned from.
_TREND = re.compile(r"(?i)(?:^|[\W_])(?:t|time|second|minute|hour|day|week|month|quarter|year|period|step)s?$").search
# customer_id, customerID, PID, but neither "paid" nor "humid".
_ID = re.compile(r"(?:^|[\W_])(?i:id|uuid|guid|key|index|idx|rownames?)$|[a-z](?:ID|Id)$|^[A-Z]?ID$").search
BINS = 100  # of numbers: within a hundredth of the rows a column that knows the target hardly varies
# Numbers of at most this many distinct values are classes for the purpose of this module.
MAX_CLASSES = 20


class Suspects:
    """What is suspicious about the columns of a table, which come one after the other, so that memory holds one.

    Parameters
    ----------
    n_rows : int
    target : (str, values), or None
        The kind of the target, and its values as ``ColumnSchema.read`` returns them.

    Attributes
    ----------
    row_names : dict of str to str
        The columns that only tell the rows apart, and why.
    copies : dict of str to str
        The columns that say what an earlier one says, and that one.
    target_copies : list of str
    leaks : dict of str to float
        The columns that know the target, and their skill.
    notes : dict of str to list of str
        Sentences about values that may stand for gaps, by column.
    """

    def __init__(self, n_rows, target):
        self._n_rows, self._target, self._seen = n_rows, target, {}
        self._rows = np.random.default_rng(0).permutation(n_rows)[:LEAK_ROWS]
        self._sample = None if target is None else _of_rows(*target, self._rows)
        self.row_names, self.copies, self.target_copies, self.leaks, self.notes = {}, {}, [], {}, {}

    def look_at(self, name, kind, values):
        """Look at a column, of which the values are given as ``ColumnSchema.read`` returns them."""
        if kind == "number":
            self.notes[name] = _sentinels(name, values)
        if self._n_rows < MIN_ROWS:
            return
        why = _row_names(name, kind, values, self._n_rows)
        if why:
            self.row_names[name] = why
            return
        fingerprint = _fingerprint(kind, values)
        if fingerprint in self._seen:
            self.copies[name] = self._seen[fingerprint]
        elif fingerprint is not None:
            self._seen[fingerprint] = name
        if self._target is not None:
            found = skill(_of_rows(kind, values, self._rows), self._sample)
            if found >= COPY and one_to_one((kind, values), self._target):
                self.target_copies.append(name)
            elif found >= LEAK:
                self.leaks[name] = found


def _row_names(name, kind, values, n_rows):
    """Return why a column only tells the rows apart, or None."""
    # Numbers that begin elsewhere may be years.
    if kind == "number" and values[0] in (0, 1) and (np.diff(values) == 1).all() and not _TREND(name):
        return "numbers the rows"
    if kind == "time" or not _ID(name):
        return None
    values = values if kind == "number" else values[0]
    distinct = (values == np.round(values)).all() and len(np.unique(values)) == n_rows
    return "names the rows (it is different in each)" if distinct else None


def _fingerprint(kind, values):
    """Return a number that is the same for columns that say the same; None for one that says nothing."""
    texts = kind in ("category", "text")
    values = values[0] if texts else values
    if (values == values[0]).all():
        return None
    if texts:  # the codes in the order in which they come, so that other words for the same categories are equal
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        values = rank[inverse]
    return hash((kind, values.tobytes()))


def _of_rows(kind, values, rows):
    return kind, (values[rows] if kind in ("number", "time") else (values[0][rows], values[1]))


def _sentinels(name, values):
    """Return a sentence for each value that is repeated and far from all others, such as -200 or 999."""
    known = values[~np.isnan(values)]
    notes = []
    for extreme in (np.min, np.max):
        value = extreme(known)
        count = int((known == value).sum())
        others = known[known != value]
        if count < max(SENTINEL_ROWS, SENTINEL_SHARE * len(known)) or len(others) < MIN_ROWS:
            continue
        low, high = others.min(), others.max()
        away = low - value if value < low else value - high
        # What programs write for a gap need not be as far away as a number of any kind.
        usual = _SENTINEL(_shown(value)) is not None
        far = away > 5 * (high - low) or (usual and (away > 0.25 * (high - low) or value < 0 <= low))
        if far and len(np.unique(others)) >= MIN_BESIDE:
            notes.append(
                f"{count:,} of {len(known):,} cells of {name!r} are {_shown(value)}, far from the others "
                f"({_shown(low)} to {_shown(high)}): if it stands for a gap, say --na default --na {_shown(value)}"
            )
    return notes


def _shown(value):
    return number(value, ".15g")


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
