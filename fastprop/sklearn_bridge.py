"""From scikit-learn: the network that a fitted MLPClassifier or MLPRegressor is."""

from typing import Any, NamedTuple

import numpy as np

from fastprop.bridges import Stack
from fastprop.network import Network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}

# What scikit-learn applies to the outputs -> the loss of fastprop that takes the outputs before it.
LOSSES = {"identity": "half_mse", "softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson"}


class FromSklearn(NamedTuple):
    """What ``from_sklearn`` gives.

    Attributes
    ----------
    network : Network
    loss : str
        The name of the loss that goes on training it as scikit-learn did.
    classes : ndarray or None
        The estimator's ``classes_``: of a classifier.
    """

    network: Network
    loss: str
    classes: np.ndarray | None


def from_sklearn(estimator: Any, *, seed: int | None = None) -> FromSklearn:
    """The network of a fitted ``sklearn.neural_network.MLPClassifier`` or ``MLPRegressor``, in the dtype of its fit.

    Outputs are those before scikit-learn's last step. Of a classifier they are raw scores: with the loss
    "cross_entropy" ``predict_proba`` is their softmax, with "binary_cross_entropy" (two classes, whose one score is
    that of ``classes[1]``; or several labels at once) their sigmoid. Of a regressor they are the predictions, with the
    loss "poisson" the logarithms of them. scikit-learn's squared error is a mean over outputs, fastprop's half_mse the
    sum, so with several outputs a learning rate means less here by that factor.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted.
    seed : int, optional
        Of the network: see ``Network``.

    Returns
    -------
    FromSklearn
        (network, loss, classes).

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it was not fitted.

    Examples
    --------
    >>> network, loss, classes = fp.from_sklearn(MLPClassifier().fit(X, y))  # doctest: +SKIP
    >>> classes[network(X).argmax(axis=1)]  # doctest: +SKIP
    """
    kind = type(estimator).__name__
    if not hasattr(estimator, "hidden_layer_sizes") or not hasattr(estimator, "fit"):
        raise TypeError(f"from_sklearn takes a fitted MLPClassifier or MLPRegressor, got {kind}")
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"this {kind} was not fitted, so it has no weights; call its fit(X, y) first")
    stack = Stack()
    *hidden, last = zip(estimator.coefs_, estimator.intercepts_)
    for weight, bias in hidden:
        stack.dense(weight, bias)
        stack.activate(ACTIVATIONS[estimator.activation])
    stack.dense(*last)
    network = stack.network(f"this {kind}", seed)
    return FromSklearn(network, LOSSES[estimator.out_activation_], getattr(estimator, "classes_", None))
