"""Metrics: how good outputs are, by name, in NumPy. ``fit`` records them; ``evaluate`` computes one by itself.

Where there are weights, every named metric weighs its rows. The names that scikit-learn has mean the same here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen, once
from fastprop.data import arrays
from fastprop.nn.losses import LOSSES, Loss

# the losses whose outputs are the log of the mean
LOG_MEAN = tuple(name for name, loss in LOSSES.items() if loss.link == "exp")


@frozen
class Judged:
    """Outputs and the targets to compare them with.

    Parameters
    ----------
    y : ndarray
        As the user gave it: (rows,) or (rows, columns). This, outputs and weight are read-only views.
    outputs : ndarray, (rows, n_outputs)
        The network's, as they are.
    weight : ndarray, (rows,), or None
    loss : Loss or OwnLoss
        Says what the outputs mean.
    """

    y: np.ndarray
    outputs: np.ndarray
    weight: np.ndarray | None
    loss: Any

    def __post_init__(self) -> None:
        for name in ("y", "outputs", "weight"):  # a metric may be the user's, and must not write to what is trained on
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, _validation.read_only(array))

    def __repr__(self) -> str:
        return f"<Judged: {len(self.outputs)} rows of {self.outputs.shape[1]} outputs, {self.loss.name}>"

    @property
    def many(self) -> bool:
        """True where each output is a yes or no of its own."""
        return self.loss.targets in ("probabilities", "signs") and self.outputs.shape[1] > 1

    @once
    def labels(self) -> np.ndarray:
        """The true classes, (rows,); of many yeses and noes, (rows, n_outputs)."""
        y = self.y
        if self.many:
            return y > 0.5
        if y.ndim == 2 and y.shape[1] > 1:
            return y.argmax(axis=1)
        y = y.reshape(-1)
        return (y > 0.5).astype(int) if self.outputs.shape[1] == 1 else y.astype(int)

    @once
    def classes(self) -> np.ndarray:
        """The predicted ones: the largest output, or those that are more likely than not."""
        if self.outputs.shape[1] > 1 and not self.many:
            return self.outputs.argmax(axis=1)
        chosen = self.outputs > (0.5 if self.loss.targets == "numbers" else 0.0)
        return chosen if self.many else chosen[:, 0].astype(int)

    @once
    def probabilities(self) -> np.ndarray:
        """Of each class, (rows, classes); of many, that of each yes; where the loss has none, the outputs."""
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
    def numbers(self) -> np.ndarray:
        """The predicted means, or medians, (rows, columns)."""
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
    def truth(self) -> np.ndarray:
        """The targets as (rows, columns) of numbers."""
        return self.y.reshape(len(self.y), -1).astype(np.float64)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Over the rows, weighted."""
        return np.average(values, axis=0, weights=self.weight)

    def count(self, *labels: np.ndarray) -> np.ndarray:
        """How often each tuple of labels comes, weighted: of two, a confusion matrix."""
        n = 1 + max(int(column.max()) for column in labels)
        place = np.ravel_multi_index(labels, (n,) * len(labels))
        return np.bincount(place, self.weight, n ** len(labels)).reshape((n,) * len(labels))


# ---- classes ----


def accuracy(judged: Judged) -> float:
    """The share of rows whose class is right; of many yeses and noes, whose every one is."""
    right = judged.labels == judged.classes
    return float(judged.mean(right.all(axis=1) if judged.many else right))


def balanced_accuracy(judged: Judged) -> float:
    """The mean over the true classes of the share that was found (Brodersen et al. 2010)."""
    table = judged.count(judged.labels, judged.classes)
    rows = table.sum(axis=1)
    return float(np.mean(np.diag(table)[rows > 0] / rows[rows > 0]))


def f1(judged: Judged) -> float:
    """The mean over classes of 2 hits / (rows of the class + rows said to be of it), each class weighing the same."""
    if judged.many:
        true, said = judged.labels, judged.classes
        hits, either = judged.mean(true & said), judged.mean(true) + judged.mean(said)
        return float(np.mean(2 * hits / np.where(either > 0, either, 1)))
    table = judged.count(judged.labels, judged.classes)
    either = table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2 * np.diag(table)[either > 0] / either[either > 0]))


def auc(judged: Judged) -> float:
    """The area under the ROC curve: how often a row of the class scores higher than another (Hanley and McNeil 1982).

    Of several classes the mean over each against the rest, without those of which there are no rows; NaN where there
    is nothing to compare.
    """
    scores = judged.probabilities
    if judged.many:
        areas = [_area(judged.labels[:, k], scores[:, k], judged.weight) for k in range(scores.shape[1])]
    elif scores.shape[1] == 2:
        areas = [_area(judged.labels == 1, scores[:, 1] - scores[:, 0], judged.weight)]
    else:
        areas = [_area(judged.labels == k, scores[:, k], judged.weight) for k in range(scores.shape[1])]
    known = [area for area in areas if np.isfinite(area)]
    return float(np.mean(known)) if known else float("nan")


def _area(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> float:
    """The weight of pairs in the right order, those that tie by half, over that of all pairs."""
    weight = np.ones(len(score)) if weight is None else weight.astype(np.float64)
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, weight * positive), np.bincount(place, weight * ~positive)
    pairs = yes.sum() * no.sum()
    return float(np.sum(yes * (np.cumsum(no) - 0.5 * no)) / pairs) if pairs > 0 else float("nan")


def log_loss(judged: Judged) -> float:
    """Minus the mean log of the probability of the true class; of many yeses and noes, summed over them."""
    probabilities = np.clip(judged.probabilities, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    if judged.many:
        surprise = -np.where(judged.labels, np.log(probabilities), np.log1p(-probabilities)).sum(axis=1)
    else:
        surprise = -np.log(probabilities[np.arange(len(probabilities)), judged.labels])
    return float(judged.mean(surprise))


# ---- numbers: of several columns the mean over them ----


def rmse(judged: Judged) -> float:
    """The root of the mean squared error."""
    return float(np.mean(np.sqrt(judged.mean((judged.numbers - judged.truth) ** 2))))


def mae(judged: Judged) -> float:
    """The mean absolute error."""
    return float(np.mean(judged.mean(np.abs(judged.numbers - judged.truth))))


def r2(judged: Judged) -> float:
    """The share of the targets' variance that is explained; of targets that are all equal 1 if hit, else 0."""
    error = judged.mean((judged.numbers - judged.truth) ** 2)
    spread = judged.mean((judged.truth - judged.mean(judged.truth)) ** 2)
    constant = spread == 0
    return float(np.mean(np.where(constant, error == 0, 1 - error / np.where(constant, 1, spread))))


# ---- the list, and what a user may name ----


@frozen
class Metric:
    """One to compute: its name, its function of a ``Judged``, and whether more is better (None: not known)."""

    name: str
    function: Callable[[Judged], float]
    greater: bool | None


CLASSES, NUMBERS = (accuracy, balanced_accuracy, f1, auc, log_loss), (rmse, mae, r2)
METRICS = {
    function.__name__: Metric(function.__name__, function, function not in (log_loss, rmse, mae))
    for function in (*CLASSES, *NUMBERS)
}


def parse(given: Any, loss: Any, n_outputs: int) -> list[Metric]:
    """The metrics that a user named or wrote.

    Parameters
    ----------
    given : str, callable, sequence of them, or dict of name -> one of them
        A name of ``METRICS``, or of a scorer of scikit-learn; or a function (y, outputs) -> float.
    loss : Loss or OwnLoss
    n_outputs : int

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, or the loss does not have what it needs.
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
    """Refuses a metric for a loss whose outputs mean something else."""
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


def _own(name: str, function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Judged], float]:
    def judge(judged: Judged) -> float:
        value = function(judged.y, judged.outputs)
        if np.ndim(value) or np.asarray(value).dtype.kind not in "fiub":
            raise TypeError(f"your metric {name} must return a number, got {value!r:.200}")
        return float(value)

    return judge


def _scorer(name: str, loss: Any, n_outputs: int) -> Callable[[Judged], float]:
    """A scorer of scikit-learn, on an estimator that predicts what was computed already."""
    try:
        from sklearn import metrics
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

        scorers = metrics.get_scorer_names()
    except ImportError:
        scorers = []
    # Where scikit-learn is not installed, the name of one of its scorers is refused here.
    known = _validation.choice("metric", name, [*METRICS, *scorers], any_case=True)
    scorer = metrics.get_scorer(known)
    classes = isinstance(loss, Loss) and loss.targets in ("classes", "probabilities", "signs")

    class Predicted(ClassifierMixin if classes else RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, judged=None):
            self.judged = judged
            self.classes_ = np.arange(max(2, n_outputs))

        def __sklearn_is_fitted__(self):
            return True

        def predict(self, X):
            if classes:
                return self.judged.classes
            numbers = self.judged.numbers
            return numbers[:, 0] if numbers.shape[1] == 1 else numbers

        if classes:

            def predict_proba(self, X):
                return self.judged.probabilities

            def decision_function(self, X):
                return self.judged.outputs[:, 0] if n_outputs == 1 else self.judged.outputs

    def judge(judged: Judged) -> float:
        y = judged.labels if classes else judged.y
        how = {} if judged.weight is None else {"sample_weight": judged.weight}
        return float(scorer(Predicted(judged), judged.outputs, y, **how))

    return judge


def evaluate(metric: Any, network: Any, X: Any, y: Any, *, loss: Any, sample_weight: Any = None) -> float:
    """One metric of a network's outputs for X.

    Parameters
    ----------
    metric : str or callable
        As ``fit`` takes it in ``metrics``.
    network : Network
    X, y : array_like
    loss : str, Loss or callable
        That of the training, which says what the outputs mean.
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
    return wanted.function(Judged(y, network(x), weight, chosen))
