"""Metrics of a network's outputs, by name, in NumPy. ``fit`` records them; ``evaluate`` computes a single one.

Every named metric uses the row weights, if there are any. A name that scikit-learn has too means what it means there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen, once
from fastprop.data import arrays
from fastprop.nn.losses import LOSSES, Loss

# The losses whose outputs are logarithms of the mean.
LOG_MEAN = tuple(name for name, loss in LOSSES.items() if loss.link == "exp")


@frozen
class Predictions:
    """The outputs for some rows, and the targets to compare them with.

    Parameters
    ----------
    y : ndarray
        The targets as the user gave them, (rows,) or (rows, columns). This, outputs and weight become read-only views.
    outputs : ndarray, (rows, n_outputs)
        The outputs of the network.
    weight : ndarray, (rows,), or None
    loss : Loss or OwnLoss
        The loss of the training, which says what the outputs mean.
    """

    y: np.ndarray
    outputs: np.ndarray
    weight: np.ndarray | None
    loss: Any

    def __post_init__(self) -> None:
        for name in ("y", "outputs", "weight"):  # a user's metric must not write to the data
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, _validation.read_only(array))

    def __repr__(self) -> str:
        return f"<Predictions: {len(self.outputs)} rows of {self.outputs.shape[1]} outputs, {self.loss.name}>"

    @property
    def multilabel(self) -> bool:
        """Whether each output is a label of its own, which a row has or has not."""
        return self.loss.targets in ("probabilities", "signs") and self.outputs.shape[1] > 1

    @once
    def labels(self) -> np.ndarray:
        """The true classes, (rows,); of several labels, bool (rows, n_outputs)."""
        y = self.y
        if self.multilabel:
            return y > 0.5
        if y.ndim == 2 and y.shape[1] > 1:
            return y.argmax(axis=1)
        y = y.reshape(-1)
        return (y > 0.5).astype(int) if self.outputs.shape[1] == 1 else y.astype(int)

    @once
    def predicted_classes(self) -> np.ndarray:
        """The predicted classes, shaped as ``labels``: the largest output, or those that are more likely than not."""
        if self.outputs.shape[1] > 1 and not self.multilabel:
            return self.outputs.argmax(axis=1)
        chosen = self.outputs > (0.5 if self.loss.targets == "numbers" else 0.0)
        return chosen if self.multilabel else chosen[:, 0].astype(int)

    @once
    def probabilities(self) -> np.ndarray:
        """The probability of each class, (rows, classes), or of each label; the outputs where the loss gives none."""
        scores = self.outputs.astype(np.float64)
        if self.loss.link == "softmax":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)
        if self.loss.targets == "probabilities":
            scores = 0.5 * (1 + np.tanh(0.5 * scores))  # the logistic function, without overflow
        if scores.shape[1] > 1:
            return scores
        return np.hstack([1 - scores, scores])

    @once
    def predicted_values(self) -> np.ndarray:
        """The predicted means or medians, (rows, columns)."""
        loss, outputs = self.loss, self.outputs.astype(np.float64)
        if loss.link == "exp":
            return np.exp(outputs)
        if loss.name == "gaussian_nll":
            return outputs[:, ::2]
        if loss.name == "quantile":
            levels = np.asarray(loss.values["levels"])
            return outputs[:, np.abs(levels - 0.5).argmin() :: len(levels)]
        return outputs

    @once
    def true_values(self) -> np.ndarray:
        """The targets as float64 (rows, columns)."""
        return self.y.reshape(len(self.y), -1).astype(np.float64)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean over the rows."""
        return np.average(values, axis=0, weights=self.weight)

    def count(self, *labels: np.ndarray) -> np.ndarray:
        """Return the total weight of the rows with each tuple of labels: for two arrays, a confusion matrix."""
        n = 1 + max(int(column.max()) for column in labels)
        place = np.ravel_multi_index(labels, (n,) * len(labels))
        return np.bincount(place, self.weight, n ** len(labels)).reshape((n,) * len(labels))


# ---- classes ----


def accuracy(predictions: Predictions) -> float:
    """Return the share of rows whose class is right; of several labels, of rows whose labels are all right."""
    right = predictions.labels == predictions.predicted_classes
    return float(predictions.mean(right.all(axis=1) if predictions.multilabel else right))


def balanced_accuracy(predictions: Predictions) -> float:
    """Return the mean over the true classes of the share of their rows that is right (Brodersen et al. 2010)."""
    table = predictions.count(predictions.labels, predictions.predicted_classes)
    rows = table.sum(axis=1)
    return float(np.mean(np.diag(table)[rows > 0] / rows[rows > 0]))


def f1(predictions: Predictions) -> float:
    """Return the unweighted mean over classes of 2 hits / (rows of the class + rows predicted to be of it)."""
    if predictions.multilabel:
        true, said = predictions.labels, predictions.predicted_classes
        hits, either = predictions.mean(true & said), predictions.mean(true) + predictions.mean(said)
        return float(np.mean(2 * hits / np.where(either > 0, either, 1)))
    table = predictions.count(predictions.labels, predictions.predicted_classes)
    either = table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2 * np.diag(table)[either > 0] / either[either > 0]))


def auc(predictions: Predictions) -> float:
    """Return the area under the ROC curve: the probability that a row of the class scores higher than another row.

    For several classes it is the mean over each class against the rest, without classes that have no rows; NaN if no
    class can be compared (Hanley and McNeil 1982).
    """
    scores = predictions.probabilities
    if predictions.multilabel:
        areas = [_area(predictions.labels[:, k], scores[:, k], predictions.weight) for k in range(scores.shape[1])]
    elif scores.shape[1] == 2:
        areas = [_area(predictions.labels == 1, scores[:, 1] - scores[:, 0], predictions.weight)]
    else:
        areas = [_area(predictions.labels == k, scores[:, k], predictions.weight) for k in range(scores.shape[1])]
    known = [area for area in areas if np.isfinite(area)]
    return float(np.mean(known)) if known else float("nan")


def _area(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> float:
    """Return the weight of the pairs in the right order, ties counting half, divided by that of all pairs."""
    weight = np.ones(len(score)) if weight is None else weight.astype(np.float64)
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, weight * positive), np.bincount(place, weight * ~positive)
    pairs = yes.sum() * no.sum()
    return float(np.sum(yes * (np.cumsum(no) - 0.5 * no)) / pairs) if pairs > 0 else float("nan")


def log_loss(predictions: Predictions) -> float:
    """Return minus the mean log of the probability of the true class; of several labels, summed over them."""
    probabilities = np.clip(predictions.probabilities, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    if predictions.multilabel:
        surprise = -np.where(predictions.labels, np.log(probabilities), np.log1p(-probabilities)).sum(axis=1)
    else:
        surprise = -np.log(probabilities[np.arange(len(probabilities)), predictions.labels])
    return float(predictions.mean(surprise))


# ---- numbers: for several columns, the mean over them ----


def rmse(predictions: Predictions) -> float:
    """Return the root of the mean squared error."""
    return float(np.mean(np.sqrt(predictions.mean((predictions.predicted_values - predictions.true_values) ** 2))))


def mae(predictions: Predictions) -> float:
    """Return the mean absolute error."""
    return float(np.mean(predictions.mean(np.abs(predictions.predicted_values - predictions.true_values))))


def r2(predictions: Predictions) -> float:
    """Return the share of the targets' variance that is explained; for equal targets, 1 if all are hit, else 0."""
    error = predictions.mean((predictions.predicted_values - predictions.true_values) ** 2)
    spread = predictions.mean((predictions.true_values - predictions.mean(predictions.true_values)) ** 2)
    constant = spread == 0
    return float(np.mean(np.where(constant, error == 0, 1 - error / np.where(constant, 1, spread))))


# ---- the list, and what a user may name ----


@frozen
class Metric:
    """A metric: its name, its function of ``Predictions``, and whether more is better (None: not known)."""

    name: str
    function: Callable[[Predictions], float]
    greater: bool | None


CLASSES, NUMBERS = (accuracy, balanced_accuracy, f1, auc, log_loss), (rmse, mae, r2)
METRICS = {
    function.__name__: Metric(function.__name__, function, function not in (log_loss, rmse, mae))
    for function in (*CLASSES, *NUMBERS)
}


def parse(given: Any, loss: Any, n_outputs: int) -> list[Metric]:
    """Return the metrics that a user named or wrote.

    Parameters
    ----------
    given : str, callable, sequence of them, or dict of name -> one of them
        A name of ``METRICS``, or of a scorer of scikit-learn; or a function (y, outputs) -> float.
    loss : Loss or OwnLoss
    n_outputs : int

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, or it does not suit the outputs of the loss.
    """
    if given is None:
        return []
    if isinstance(given, dict):
        return [_one(metric, loss, n_outputs, name) for name, metric in given.items()]
    listed = [given] if isinstance(given, str) or callable(given) else list(given)
    found = [_one(metric, loss, n_outputs) for metric in listed]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two metrics are called {name!r}; give metrics as a dict of name -> metric")
    return found


def _one(given: Any, loss: Any, n_outputs: int, name: str | None = None) -> Metric:
    if callable(given):
        called = name or str(getattr(given, "__name__", type(given).__name__))
        return Metric(called, _own(called, given), None)
    if not isinstance(given, str):
        raise TypeError(f"a metric is a name or a function (y, outputs) -> float, got {given!r:.200}")
    metric = METRICS.get(given.lower())
    if metric is None:
        return Metric(name or given, _scorer(given, loss, n_outputs), True)
    _check(metric, loss, n_outputs)
    return Metric(name or metric.name, metric.function, metric.greater)


def _check(metric: Metric, loss: Any, n_outputs: int) -> None:
    """Refuse a metric that does not suit the outputs of the loss."""
    own = not isinstance(loss, Loss)
    of_classes = not own and loss.targets in ("classes", "probabilities", "signs")
    if metric.function in NUMBERS and of_classes:
        raise ValueError(f"{metric.name} compares numbers, and {loss.name} takes classes; use accuracy, or a function")
    if metric.function is log_loss and loss.link not in ("softmax", "sigmoid"):
        raise ValueError(f"log_loss needs probabilities, and {loss.name} gives none; use accuracy, or a function")
    if metric.function is balanced_accuracy and of_classes and loss.targets != "classes" and n_outputs > 1:
        raise ValueError(f"balanced_accuracy is of one class a row, and {loss.name} has {n_outputs} outputs; use f1")
    if metric.function in CLASSES and n_outputs == 1 and own:
        raise ValueError(f"{metric.name} does not know what the output under your loss means; give a function instead")


def _own(name: str, function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Predictions], float]:
    def measure(predictions: Predictions) -> float:
        value = function(predictions.y, predictions.outputs)
        if np.ndim(value) or np.asarray(value).dtype.kind not in "fiub":
            raise TypeError(f"your metric {name} must return a number, got {value!r:.200}")
        return float(value)

    return measure


def _scorer(name: str, loss: Any, n_outputs: int) -> Callable[[Predictions], float]:
    """Return a metric that calls a scorer of scikit-learn, with an estimator that returns the outputs there are."""
    try:
        from sklearn import metrics
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

        scorers = metrics.get_scorer_names()
    except ImportError:
        scorers = []
    # without scikit-learn, this refuses the names of its scorers
    known = _validation.choice("metric", name, list(dict.fromkeys([*METRICS, *scorers])), any_case=True)
    scorer = metrics.get_scorer(known)
    classes = isinstance(loss, Loss) and loss.targets in ("classes", "probabilities", "signs")

    class Predicted(ClassifierMixin if classes else RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, predictions=None):
            self.predictions = predictions
            self.classes_ = np.arange(max(2, n_outputs))

        def __sklearn_is_fitted__(self):
            return True

        def predict(self, X):
            if classes:
                return self.predictions.predicted_classes
            numbers = self.predictions.predicted_values
            return numbers[:, 0] if numbers.shape[1] == 1 else numbers

        if classes:

            def predict_proba(self, X):
                return self.predictions.probabilities

            def decision_function(self, X):
                return self.predictions.outputs[:, 0] if n_outputs == 1 else self.predictions.outputs

    def measure(predictions: Predictions) -> float:
        y = predictions.labels if classes else predictions.y
        weight = {} if predictions.weight is None else {"sample_weight": predictions.weight}
        return float(scorer(Predicted(predictions), predictions.outputs, y, **weight))

    return measure


def evaluate(metric: Any, network: Any, X: Any, y: Any, *, loss: Any, sample_weight: Any = None) -> float:
    """Return one metric of a network's outputs for X.

    Parameters
    ----------
    metric : str or callable
        As ``fit`` takes it in ``metrics``.
    network : Network
    X, y : array_like
    loss : str, Loss or callable
        The loss of the training, which says what the outputs mean.
    sample_weight : array_like, (rows,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """
    from fastprop.nn import custom_loss

    chosen = custom_loss.parse(loss)
    (wanted,) = parse(metric, chosen, network.n_outputs)
    x, *_, weight = network.prepare_examples(X, y, sample_weight, chosen)
    y = np.asarray(arrays.plain("y", y, network.dtype, targets=True))
    return wanted.function(Predictions(y, network(x), weight, chosen))
