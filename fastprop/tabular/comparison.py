"""Comparison: the scores of a model of a table beside those of simpler models, on the same rows."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from fastprop._util.text import number, table
from fastprop.tabular import baselines
from fastprop.tabular.scores import Z95, difference, scores, standard_error
from fastprop.tabular.table import Table

__all__ = ["OURS", "Comparison", "compare", "cross_validate", "figure", "shown_name", "with_interval"]

OURS = "fastprop"  # the name of the model beside those of BASELINES
# Of more training rows than this, baselines are trained and scored for the first fold alone, to take little time.
MANY = 50_000


@dataclass(frozen=True)
class Comparison:
    """Predictions of several models for the same rows, none of which their model had seen, and their scores.

    Attributes
    ----------
    table : Table
        The rows.
    values : array, (n,)
        Their truth, as ``Target.encode`` returns it.
    predictions : dict of str to array, (n,) or (n, classes)
        By the name of the model, "fastprop" first, as ``Target.decode`` returns them.
    scores : dict of str to list of Score
    groups : array, (n,), or None
        Rows of one group are not independent.
    folds : list of dict of str to list of Score
        The scores of each fold of a cross-validation; else empty.
    """

    table: Table
    values: np.ndarray
    predictions: dict
    scores: dict
    groups: np.ndarray | None = None
    folds: list = field(default_factory=list)

    @classmethod
    def of(cls, target, table, values, predictions, groups=None, folds=None):
        """Return the comparison of predictions, a dict of str to array."""
        if folds:
            found = {name: _of_folds([fold[name] for fold in folds], groups) for name in predictions}
        else:
            found = {name: scores(target, each, values, groups) for name, each in predictions.items()}
        return cls(table, values, predictions, found, groups, folds or [])

    def better(self, name):
        """Return by how much the model is better than another in the first score, and the standard error of that."""
        return difference(self.scores[OURS][0], self.scores[name][0], self.groups)

    def verdicts(self):
        """Return sentences that say how the model compares with each of the others."""
        return [_verdict(name, self.scores[OURS][0], *self.better(name)) for name in self.scores if name != OURS]

    def lines(self, width=None):
        """Return the table of scores as lines of text that are at most `width` wide."""
        header = ["", *(score.name for score in self.scores[OURS])]
        listed = [
            [shown_name(name), *(with_interval(each.value, each.error) for each in found)]
            for name, found in self.scores.items()
        ]
        return table([header, *listed], width, range(1, len(header)))

    def to_dict(self):
        """Return the scores as JSON can hold them."""
        found = {name: {score.name: _described(score) for score in each} for name, each in self.scores.items()}
        for name in self.scores:
            if name != OURS:
                better, error = self.better(name)
                found[name]["fastprop is better by"] = {"value": better, "standard_error": error}
        for k, fold in enumerate(self.folds):
            for name, each in fold.items():
                found[name].setdefault("folds", []).append({"fold": k, **{score.name: score.value for score in each}})
        return {"rows": len(self.values), "models": found}


def compare(model, table, y, names, *, test=None, groups=None, seed=0, progress=None):
    """Return the comparison of a model with baselines that are trained on the same rows; None if no row was held out.

    Parameters
    ----------
    model : TabularModel
    table : Table
        The rows that it was fitted to.
    y : array, (rows,)
        Their target.
    names : sequence of str
        Of ``baselines.BASELINES``.
    test : (Table, array), optional
        Rows that are scored, and their target. By default each training row is, by the networks that did not see it.
    groups : array, (scored rows,), optional
        Rows of one group are not independent.
    seed : int
    progress : callable, optional
        Called with the name of each baseline before it is trained.
    """
    target, X = model.target, model.encoder.transform(table)
    if test is None:
        splits = baselines.splits_of(model.folds)
        splits = splits[:1] if len(y) > MANY else splits
        scored = np.logical_or.reduce([held for _, held in splits]) if splits else np.zeros(len(y), bool)
        table, values, ours = table.take(scored), y[scored], target.decode(model.held_out[scored])
        groups = None if groups is None else groups[scored]
    else:
        table, values = test
        X, y = np.concatenate([X, model.encoder.transform(table)]), np.concatenate([y, values])
        scored = np.arange(len(y)) >= len(y) - len(values)
        splits, ours = [(~scored, scored)], model.predict(table)
    if not len(values):
        return None
    predictions = {OURS: ours}
    for name in names:
        if progress is not None:
            progress(name)
        predictions[name] = baselines.predictions_of(name, model.encoder, target, X, y, splits, seed)[scored]
    return Comparison.of(target, table, values, predictions, groups)


def cross_validate(fit, table, y, folds, names, *, groups=None, seed=0, progress=None):
    """Return the comparison of models with baselines, each of which is fitted to all folds but one and scored on that.

    Parameters
    ----------
    fit : callable
        Called as ``fit(rows)`` with numbers of rows; returns the TabularModel of these rows.
    table, y, names, groups, seed, progress
        As ``compare`` takes them.
    folds : int64 array, (rows,)
        The fold of each row.
    """
    found, order = [], []
    for fold in range(folds.max() + 1):
        seen, rows = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model, test = fit(seen), (table.take(rows), y[rows])
        found.append(compare(model, table.take(seen), y[seen], names, test=test, seed=seed, progress=progress))
        order.append(rows)
    order = np.concatenate(order)
    predictions = {name: np.concatenate([each.predictions[name] for each in found]) for name in found[0].predictions}
    chosen, each_scores = None if groups is None else groups[order], [each.scores for each in found]
    return Comparison.of(model.target, table.take(order), y[order], predictions, chosen, each_scores)


def _of_folds(found, groups):
    """Return the mean of each score over folds, with the influences of the rows of all of them on it."""
    means = []
    for each in zip(*found, strict=True):
        n, k = sum(len(score.influence) for score in each), len(each)
        parts = [(score.influence - score.influence.mean()) * n / (k * len(score.influence)) for score in each]
        influence = np.concatenate(parts)
        value = float(np.mean([score.value for score in each]))
        means.append(replace(each[0], value=value, error=standard_error(influence, groups), influence=influence))
    return means


def _verdict(name, score, better, error):
    """Return a sentence about the difference of a score and its standard error."""
    other, size = shown_name(name), with_interval(abs(better), error)
    way = f"{score.name} is {'higher' if (better > 0) == score.greater else 'lower'} by {size}"
    if not math.isfinite(error):
        return f"there are too few rows to compare with {'a guess' if name == 'guess' else f'the {other}'}"
    if name == "guess":
        if better > Z95 * error:
            return f"better than a guess that uses no column: {way}"
        return f"NOT better than a guess that uses no column ({way}): the columns may say nothing about the target"
    if abs(better) <= Z95 * error:
        return f"level with the {other}: {way}, which may be chance"
    if better > 0:
        return f"better than the {other}: {way}"
    return f"WORSE than the {other}: {way}; where the score is all that matters, use the {other}"


def _described(score):
    low, high = score.interval
    return {"value": score.value, "standard_error": score.error, "low": low, "high": high}


def shown_name(name):
    """Return what people call a model."""
    return OURS if name == OURS else baselines.BASELINES[name][0]


def figure(value):
    """Return a number as text: four decimals, or six digits of large and very small ones."""
    if not math.isfinite(value):
        return str(value)
    return number(value, ".4f" if 0.001 <= abs(value) < 10 or value == 0 else ",.6g")


def with_interval(value, error):
    """Return a score and half of its 95% interval as text, with the decimals that the interval leaves certain."""
    half = Z95 * error
    if half == 0:
        return f"{number(value, '.3f')} +- 0" if abs(value) < 1000 else f"{figure(value)} +- 0"
    if abs(value) < 0.001:
        value = round(value, 4)
    if not (math.isfinite(half) and half > 1e-4):
        return f"{figure(value)} +- {half:.4f}"
    places = max(0, 1 - math.floor(math.log10(half)))
    form = f",.{places}f"
    return f"{number(value, form)} +- {number(half, form)}"
