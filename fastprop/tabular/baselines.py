"""What a model of a table is compared with: a guess that uses no column, a linear model, and boosted trees."""

from importlib.util import find_spec

import numpy as np

from fastprop.nn.network import Network
from fastprop.optim.optimizers import AdamW
from fastprop.optim.schedules import Cosine
from fastprop.tabular.model import ALL_HELD_OUT, ALL_TRAINED

__all__ = ["BASELINES", "available", "predictions_of", "splits_of"]

# The steps, batches, rate and decay of the linear model. On six tables of 900 to 6,000 rows its scores are those of
# scikit-learn's LogisticRegression and Ridge, within a fifth of their standard errors, at a tenth of the time.
STEPS, BATCH_SIZE, RATE, DECAY = 2000, 256, 0.01, 1e-2
# Of a column whose categories the networks embed, the linear model knows this many, the commonest.
CATEGORIES = 50
# HistGradientBoosting takes at most 255 categories of a column.
TREE_CATEGORIES = 254


def splits_of(folds):
    """Return the splits of ``TabularModel.folds``: for each (rows that were seen, rows that were held out), bool."""
    held_out = [fold for fold in np.unique(folds) if fold != ALL_TRAINED]
    return [((folds != fold) & (folds != ALL_HELD_OUT), folds == fold) for fold in held_out]


def available():
    """Return the names of the baselines that can be trained here: trees need scikit-learn."""
    return [name for name in BASELINES if name != "trees" or find_spec("sklearn")]


def predictions_of(name, encoder, target, X, y, splits, seed=0):
    """Return the predictions of a baseline for the rows that the splits hold out.

    Parameters
    ----------
    name : {"trees", "linear", "guess"}
    encoder : Encoder
        That of the model, of whose inputs the baseline learns.
    target : Target
    X : float32 array, (rows, inputs)
    y : array, (rows,)
        Labels or numbers.
    splits : list of (array, array)
        The rows to train on, and those to predict, as bool arrays or numbers.
    seed : int

    Returns
    -------
    float64 array, (rows,) or (rows, classes)
        As ``Target.decode`` returns them; NaN for rows that no split holds out.
    """
    _, predict = BASELINES[name]
    shape = (len(y), len(target.classes)) if target.task == "classification" else (len(y),)
    found = np.full(shape, np.nan)
    if name == "guess":  # of all rows together, so that it is the same for all
        every = np.logical_or.reduce([_mask(seen, len(y)) for seen, _ in splits])
        splits = [(every, held_out) for _, held_out in splits]
    for seen, held_out in splits:
        found[held_out] = predict(encoder, target, X, y, seen, held_out, seed)
    return found


def _mask(rows, n):
    """Return the bool array of n rows that numbers of rows, or a bool array, choose."""
    chosen = np.zeros(n, bool)
    chosen[rows] = True
    return chosen


def _guess(encoder, target, X, y, seen, held_out, seed):
    found = target.guess(y[seen], len(X[held_out]))
    return found if target.task == "regression" else _possible(found, len(y[seen]))


def _possible(chances, n):
    """Return probabilities in which a class without any of the n rows has that of one row more."""
    chances = np.where((chances == 0).all(axis=0), 1 / (n + 1), chances)
    return chances / chances.sum(axis=1, keepdims=True)


def _linear(encoder, target, X, y, seen, held_out, seed):
    """Train a network without hidden layers."""
    inputs = _one_hot(encoder, X, seen)
    rows, labels = inputs[seen], target.standardise(y[seen])
    network = Network([rows.shape[1], target.n_outputs], seed=seed)
    batch_size = min(BATCH_SIZE, len(rows))
    epochs = max(1, round(STEPS * batch_size / len(rows)))
    network.fit(
        rows,
        labels if target.task == "classification" else labels.astype(np.float32),
        loss=target.loss,
        optimizer=AdamW(Cosine(RATE, epochs=epochs), weight_decay=DECAY),
        epochs=epochs,
        batch_size=batch_size,
    )
    return target.decode(network(inputs[held_out]))


def _one_hot(encoder, X, seen):
    """Return the inputs with an input for each of the commonest codes, instead of the codes."""
    parts = []
    for k, each in enumerate(encoder.inputs):
        if each.role == "code":
            counts = np.bincount(X[seen, k].astype(np.int64), minlength=each.n_codes)
            known = np.argsort(-counts, kind="stable")[:CATEGORIES]
            parts.append((X[:, k, np.newaxis] == known).astype(np.float32))
        else:
            parts.append(X[:, k, np.newaxis])
    return np.hstack(parts)


def _trees(encoder, target, X, y, seen, held_out, seed):
    """Train scikit-learn's HistGradientBoosting with its defaults, which takes categories and gaps as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    table, categorical = tree_columns(encoder, X, seen)
    options = {"categorical_features": categorical, "random_state": seed % 2**32}
    rows, y, others = table[seen], y[seen], table[held_out]
    # Its threads wait for each other actively: on a busy machine two took 20 times as long as one for 700 rows, and
    # 2.5 times as long for 40,000.
    with threadpool_limits(1):
        if target.task == "regression":
            return HistGradientBoostingRegressor(**options).fit(rows, y).predict(others)
        trees = HistGradientBoostingClassifier(**options).fit(rows, y)
        found = np.zeros((len(others), len(target.classes)))
        found[:, trees.classes_] = trees.predict_proba(others)  # a class may have no row among those seen
        return _possible(found, len(rows))


def tree_columns(encoder, X, seen):
    """Internal: return the columns as trees take them, with NaN at gaps, and which of them are categories."""
    columns, categorical = [], []
    for column, place in zip(encoder.columns, encoder.places, strict=True):
        inputs, values = column.inputs, X[:, place].astype(np.float64)
        if column.kind == "category":
            codes = values[:, 0] if column.embedded else values.argmax(axis=1).astype(np.float64)
            codes[codes == len(column.categories) + 1] = np.nan  # a gap; the code before is for unknown categories
            kept = np.unique(codes[seen][~np.isnan(codes[seen])], return_counts=True)
            commonest = kept[0][np.argsort(-kept[1], kind="stable")[:TREE_CATEGORIES]]
            codes[~np.isin(codes, commonest)] = np.nan
            columns.append(np.searchsorted(np.sort(commonest), codes) + np.where(np.isnan(codes), np.nan, 0))
            categorical.append(True)
            continue
        for k, each in enumerate(inputs):
            if k and each.name == f"{inputs[k - 1].name} = (gap)":
                columns[-1][values[:, k] == 1] = np.nan
            else:
                columns.append(values[:, k])
                categorical.append(False)
    return np.column_stack(columns), np.array(categorical)


# By name: what people call it, and the function.
BASELINES = {
    "trees": ("boosted trees", _trees),
    "linear": ("linear model", _linear),
    "guess": ("no column", _guess),
}
