"""Import of scikit-learn's fitted MLPClassifier and MLPRegressor."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastprop.interop._common import Stack, check_same
from fastprop.nn.network import Network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}

# The function that scikit-learn applies to the outputs -> the loss of fastprop that includes this function.
LOSSES = {"identity": "half_mse", "softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson"}

# The function that scikit-learn applies to the outputs -> its formula.
LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": np.asarray,
    "softmax": lambda z: np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True)),
    "logistic": lambda z: np.exp(-np.logaddexp(0, -z)),
    "exp": np.exp,
}

NAMES = ("MLPClassifier", "MLPRegressor")  # names of classes in both libraries

# Class of an object that contains the estimator -> where to find the estimator.
INSIDE = {
    "Pipeline": "; give its last step, estimator[-1], which takes what the steps before it make of X",
    "GridSearchCV": "; give its best_estimator_",
    "RandomizedSearchCV": "; give its best_estimator_",
}


class FromSklearn(NamedTuple):
    """The result of ``from_sklearn``.

    Attributes
    ----------
    network : Network
    loss : str
        The name of the loss with which training continues as in scikit-learn.
    classes : ndarray or None
        The ``classes_`` of a classifier.
    """

    network: Network
    loss: str
    classes: np.ndarray | None


def from_sklearn(estimator: Any, *, seed: int | None = None) -> FromSklearn:
    """Make the network of a fitted ``sklearn.neural_network.MLPClassifier`` or ``MLPRegressor``, in its dtype.

    The network's outputs are those before scikit-learn's output activation. For a classifier they are raw scores: with
    the loss "cross_entropy" their softmax is ``predict_proba``, with "binary_cross_entropy" their sigmoid is (for two
    classes the one score is that of ``classes[1]``; or there are several labels at once). For a regressor they are the
    predictions, or with the loss "poisson" their logarithms. Training takes the same steps, also for several outputs,
    but the squared error that scikit-learn reports (``loss_``) is a mean over outputs, and fastprop's half_mse a sum.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        A fitted estimator.
    seed : int, optional
        The seed of the network, see ``Network``.

    Returns
    -------
    FromSklearn
        (network, loss, classes).

    Raises
    ------
    TypeError
        If it is not one of these estimators.
    ValueError
        If it was not fitted, has an activation that fastprop does not have, or the outputs differ.

    Examples
    --------
    >>> network, loss, classes = fp.from_sklearn(MLPClassifier().fit(X, y))  # doctest: +SKIP
    >>> classes[network(X).argmax(axis=1)]  # doctest: +SKIP
    """
    kind, classes = type(estimator).__name__, type(estimator).__mro__
    if kind in NAMES and type(estimator).__module__.startswith("fastprop"):
        raise TypeError(f"from_sklearn takes scikit-learn's estimators, got fastprop's {kind}; use its network_")
    if not any(cls.__name__ in NAMES and cls.__module__.startswith("sklearn.") for cls in classes):
        raise TypeError(f"from_sklearn takes a fitted MLPClassifier or MLPRegressor, got {kind}{INSIDE.get(kind, '')}")
    if not all(getattr(estimator, name, None) for name in ("coefs_", "intercepts_", "out_activation_")):
        raise ValueError(f"this {kind} was not fitted, so it has no weights; call its fit(X, y) first")
    activation = _known(kind, "activation", estimator.activation, ACTIVATIONS)
    loss = _known(kind, "out_activation_", estimator.out_activation_, LOSSES)
    stack = Stack()
    *hidden, last = zip(map(np.asarray, estimator.coefs_), map(np.asarray, estimator.intercepts_))
    for weight, bias in hidden:
        stack.dense(weight, bias)
        stack.activate(activation)
    stack.dense(*last)
    network = stack.network(f"this {kind}", seed)
    check_same(network, f"this {kind}", partial(_run, estimator), LINKS[estimator.out_activation_])
    return FromSklearn(network, loss, getattr(estimator, "classes_", None))


def _run(estimator: Any, X: np.ndarray) -> np.ndarray:
    """Return the predictions of an estimator, (rows, n_outputs); for two classes the probability of the second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rows here have no column names
        predicted = estimator.predict_proba(X) if hasattr(estimator, "classes_") else estimator.predict(X)
    return predicted[:, -estimator.n_outputs_ :] if predicted.ndim == 2 else predicted[:, None]


def _known(kind: str, what: str, given: Any, known: Mapping[str, str]) -> str:
    """Return fastprop's name of an activation or a loss of scikit-learn.

    Raises
    ------
    ValueError
        If fastprop does not have it.
    """
    if not isinstance(given, str) or given not in known:
        raise ValueError(
            f"the {what} of this {kind} is {given!r}, which has no counterpart here; fastprop knows {', '.join(known)}"
        )
    return known[given]
