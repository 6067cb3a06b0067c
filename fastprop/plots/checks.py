"""Checks of what the pictures are given. A message says what was got, what was wanted, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop.nn.network import Network

# The columns of a history that hold times, not qualities.
CLOCKS = ("epoch", "seconds")
FLOAT64 = np.dtype(np.float64)


def network(value: Any) -> Network:
    """Check and return a Network."""
    if not isinstance(value, Network):
        raise TypeError(f"network must be a Network, got {type(value).__name__}; make one with fp.Network([...])")
    return value


def history(value: Any) -> dict[str, Any]:
    """Check a history, and return the arguments of CurvesDisplay."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f"history must be a History, as fit() returns it, or a dict of lists, got {type(value).__name__}"
        )
    columns = {}
    for name, values in value.items():
        try:
            columns[str(name)] = np.array(values, np.float64)  # None becomes NaN
        except (TypeError, ValueError):
            raise TypeError(f"the column {name!r} of history must hold numbers, got {values!r:.60}") from None
    lengths = {name: values.shape for name, values in columns.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise ValueError(f"the columns of history must be lists of one length, got the shapes {lengths}")
    drawn = {name: values for name, values in columns.items() if name not in CLOCKS}
    if not drawn or not next(iter(drawn.values())).size:
        raise ValueError(f"history holds nothing to draw, got the columns {list(columns)}; train for an epoch first")
    epochs = columns.get("epoch", np.arange(1.0, 1 + len(next(iter(drawn.values())))))
    return {"epochs": epochs, "columns": drawn}


def classes(y: Any, predicted: Any, names: Sequence[Any] | None) -> tuple[np.ndarray, np.ndarray, list]:
    """Return true and predicted classes as numbers, and the names of all classes."""
    _validation.unmasked("y", y)
    _validation.unmasked("predicted", predicted)
    true, taken = np.asarray(y), np.asarray(predicted)
    if taken.ndim == 2 and taken.shape[1] > 1:
        taken = taken.argmax(axis=1)
    for what, labels in (("y", true), ("predicted", taken)):
        if labels.ndim != 1 or not labels.size:
            hint = f"; use {what}.ravel() if it holds labels" if labels.ndim == 2 else ""
            raise ValueError(f"{what} must hold a class for each row, (rows,), got shape {labels.shape}{hint}")
        if labels.dtype.kind == "f":
            raise TypeError(f"{what} must hold classes, got numbers of dtype {labels.dtype}; use {what}.astype(int)")
    _same_rows(true, taken)
    if names is None:
        every, numbers = np.unique(np.concatenate([true, taken]), return_inverse=True)
        return numbers[: len(true)], numbers[len(true) :], every.tolist()
    for what, labels in (("y", true), ("predicted", taken)):
        if labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() >= len(names):
            raise ValueError(
                f"{len(names)} names are for the classes 0 to {len(names) - 1}, got {what} with "
                f"{np.unique(labels)[[0, -1]].tolist()}; leave names out, or give a name for each class"
            )
    return true.astype(np.int64), taken.astype(np.int64), list(names)


def numbers(y: Any, predicted: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check and return true and predicted numbers, each (rows,) and finite."""
    true, taken = (_validation.array(what, value, FLOAT64) for what, value in (("y", y), ("predicted", predicted)))
    true, taken = (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found for found in (true, taken))
    for what, found in (("y", true), ("predicted", taken)):
        if found.ndim != 1 or not found.size:
            raise ValueError(
                f"{what} must hold a number for each row, (rows,), got shape {found.shape}; "
                f"choose one output, as {what}[:, 0], if there are several"
            )
        if not np.isfinite(found).all():
            row = int(np.flatnonzero(~np.isfinite(found))[0])
            raise ValueError(f"{what}[{row}] is {found[row]}; {what} must be finite: drop such rows first")
    _same_rows(true, taken)
    return true, taken


def plane(network_given: Any, X: Any, y: Any, names: Sequence[Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """Check and return X, (rows, n_inputs), n_inputs >= 2, and y, (rows,): classes as int64, or float64 numbers."""
    net = network(network_given)
    if net.n_inputs < 2:
        raise ValueError(f"a decision boundary needs a network of two inputs or more, got {net.n_inputs}")
    net.forward(X)  # raises the network's own errors
    x, found = np.asarray(X, net.dtype), np.asarray(y)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.dtype.kind not in "fiub" or found.shape != (len(x),):
        raise ValueError(
            f"y must hold a class (integer) or a number for each of the {len(x)} rows of X, "
            f"got shape {found.shape} and dtype {found.dtype}"
        )
    if found.dtype.kind == "f":
        if net.n_outputs > 1:
            raise ValueError(
                f"y holds numbers, and the network has {net.n_outputs} outputs; use y.astype(int) if they are classes"
            )
        return x, numbers(found, found)[0]
    found = found.astype(np.int64)
    n_classes = max(net.n_outputs, 2)
    if found.min() < 0 or found.max() >= n_classes:
        raise ValueError(f"the classes in y must be 0 to {n_classes - 1}, got {found.min()} to {found.max()}")
    if names is not None and len(names) < n_classes:
        raise ValueError(f"names must have a name for each of the {n_classes} classes, got {len(names)}")
    return x, found


def pair(columns: Any, n_inputs: int) -> tuple[int, int]:
    """Check and return two different columns of X."""
    try:
        first, second = (range(n_inputs)[_validation.whole("a column", column)] for column in columns)
    except (TypeError, ValueError, IndexError):
        first = second = 0
    if first == second:
        raise ValueError(f"columns must be two different inputs of the network, 0 to {n_inputs - 1}, got {columns!r}")
    return first, second


def fixed(values: Any, x: np.ndarray) -> np.ndarray:
    """Return the values of the inputs that do not vary: those given, or the medians of x."""
    if values is None:  # the lower of two middle values, so that it is one that occurs, which categories need
        return np.quantile(x, 0.5, axis=0, method="lower")
    found = _validation.array("fixed", values, x.dtype)
    if found.shape != (x.shape[1],):
        raise ValueError(f"fixed must have shape ({x.shape[1]},), a value for each input, got {found.shape}")
    return found


def resolution(value: Any) -> int:
    """Check and return the number of points along each side."""
    if _validation.count("resolution", value) < 2:
        raise ValueError("resolution must be at least 2, got 1; use for example 200")
    return int(value)


def strings(what: str, values: Any, n: int) -> tuple[str, ...]:
    """Check and return n texts."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != n:
        raise ValueError(f"{what} must be {n} texts, got {values!r}")
    return tuple(map(str, values))


def _same_rows(true: np.ndarray, taken: np.ndarray) -> None:
    if len(true) != len(taken):
        raise ValueError(
            f"y and predicted must have the same rows, got {len(true)} and {len(taken)}; predict from the X of y"
        )
