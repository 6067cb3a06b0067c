"""The inputs that the network may have: the two coordinates of a point, and functions of them."""

from collections.abc import Callable

import numpy as np

# By the names that settings hold; in names for people, {0} and {1} are the names of the two coordinates.
FEATURES: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "x1": ("{0}", lambda x1, x2: x1),
    "x2": ("{1}", lambda x1, x2: x2),
    "x1^2": ("{0}^2", lambda x1, x2: x1 * x1),
    "x2^2": ("{1}^2", lambda x1, x2: x2 * x2),
    "x1 x2": ("{0} {1}", lambda x1, x2: x1 * x2),
    "sin x1": ("sin {0}", lambda x1, x2: np.sin(x1)),
    "sin x2": ("sin {1}", lambda x1, x2: np.sin(x2)),
}


def names(features: list[str], axes: tuple[str, str]) -> list[str]:
    """Return the names of these features for points whose coordinates have the names `axes`."""
    return [FEATURES[feature][0].format(*axes) for feature in features]


def compute(features: list[str], X: np.ndarray) -> np.ndarray:
    """Return the features of points (rows, 2) as inputs of the network, (rows, features)."""
    return np.column_stack([FEATURES[feature][1](X[:, 0], X[:, 1]) for feature in features])
