"""Checks of targets and row weights by what a loss takes, and class weights."""

from typing import Any, Protocol

import numpy as np

from fastprop import _validation
from fastprop._core import _engine

# Rows as the engine takes them: x (rows, n_inputs), then y (rows, columns) or labels (rows,), then weights (rows,).
Examples = tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]


def rows_of(examples: Examples, rows: np.ndarray) -> Examples:
    """Return the examples of some rows, given by their numbers or by a mask."""
    x, *others = examples
    y, labels, weight = (None if array is None else array[rows] for array in others)
    return x[rows], y, labels, weight


class LossLike(Protocol):
    """A loss of ``fastprop.losses`` or one of the user's own."""

    @property
    def name(self) -> str: ...
    @property
    def targets(self) -> str: ...
    @property
    def outputs(self) -> int: ...
    @property
    def link(self) -> str: ...


# The loss for a network of one output, by the loss that needs an output for each class.
BINARY = {
    "cross_entropy": "binary_cross_entropy",
    "kl_divergence": "binary_cross_entropy",
    "focal": "binary_focal",
    "hinge": "binary_hinge",
}


def check_outputs(loss: LossLike, n_outputs: int) -> None:
    """Refuse a loss that does not fit the number of outputs."""
    if loss.targets == "classes" and n_outputs < 2:
        instead = BINARY[loss.name]
        raise ValueError(f"{loss.name} needs an output for each class, got a network of 1 output; use {instead}")
    if n_outputs % loss.outputs:
        raise ValueError(
            f"{loss!r} needs {loss.outputs} outputs for each column of y, got a network of {n_outputs}; "
            f"give it a multiple of {loss.outputs}"
        )


def loss_for(y: Any, n_outputs: int) -> str:
    """Return advice, for a message, on which loss suits the targets y."""
    try:
        found = np.asarray(y)
    except ValueError:  # ragged
        found = np.asarray(None)
    kind, column = found.dtype.kind, found.ndim == 1 or (found.ndim == 2 and found.shape[1] == 1)
    if column and kind in "iubUST":
        kinds = np.unique(found)
        held = f"y holds {', '.join(map(_validation.shown, kinds[:3].tolist()))}{', ...' if len(kinds) > 3 else ''}"
        if n_outputs != 1:
            return f"{held}; for labels of classes use loss='cross_entropy'"
        if len(kinds) == 2:
            return f"{held}; for yes or no use loss='binary_cross_entropy'"
        return f"{held}; for numbers use loss='mse', for counts 'poisson', for classes 'cross_entropy' and more outputs"
    is_matrix = found.ndim == 2 and kind in "fiub"
    if is_matrix and found.min(initial=0) >= 0 and np.allclose(found.sum(axis=1), 1, atol=1e-3):
        return "each row of y sums to 1; for probabilities of classes use loss='cross_entropy'"
    if kind == "f":
        return "y holds real numbers, for which loss='mse' is usual"
    return "loss='cross_entropy' for labels of classes, 'binary_cross_entropy' for yes or no, 'mse' for numbers"


# What a loss does with the raw scores that it takes, by its link: a part of a message.
APPLIED = {
    "softmax": "has the softmax in it",
    "sigmoid": "has the sigmoid in it",
    "exp": "takes exp of the outputs for the mean",
    "exp of v": "takes exp of every second output for a variance",
    "margin": "wants the scores of the right and of a wrong class to be 1 apart",
}


def check_last_layer(loss: LossLike, network: Any) -> None:
    """Refuse a last activation whose outputs are bounded, where the loss takes raw scores."""
    low, high = network.output_range
    if reaches(loss, low, high):
        return
    last = [layer for layer in network.layers if getattr(layer, "activation", "identity") != "identity"][-1]
    limits = " and ".join([f"above {low:g}"] * (low > -np.inf) + [f"below {high:g}"] * (high < np.inf))
    raise ValueError(
        f"{loss.name} {APPLIED[loss.link]} and takes raw scores, but the last activation of this network, that of "
        f"{last!r}, keeps the outputs {limits}, so it would train badly. Leave that activation out, and apply it to "
        "net(X) where you need it; or use a loss that takes the outputs as they are, such as 'mse', or one of your own"
    )


def reaches(loss: LossLike, low: float, high: float) -> bool:
    """Return whether outputs between these bounds can have every value that the loss may ask for."""
    if loss.link == "identity":
        return True
    if loss.link == "softmax":  # a softmax depends on the differences of its inputs alone
        return high - low == np.inf
    if loss.link == "margin":
        return high - low > 1 if loss.targets == "classes" else low <= -1 and high >= 1
    return low == -np.inf and high == np.inf


def check_targets(
    value: Any, rows: int, n_outputs: int, loss: LossLike, engine: _engine.Engine, dtype: np.dtype, what: str = "y"
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the targets as the engine takes them: (y (rows, columns), None), or (None, int64 labels (rows,))."""
    if loss.targets == "own":
        return _own_targets(value, rows, what), None
    check_outputs(loss, n_outputs)
    columns = n_outputs // loss.outputs
    if loss.targets == "classes":
        labels = _as_labels(value, rows, n_outputs, loss.name, what)
        if labels is not None:
            return None, labels
    checked = _validation.array(what, value, dtype)
    if checked.shape == (rows,) and columns == 1:
        checked = checked.reshape(rows, 1)
    if checked.shape != (rows, columns):
        accepted = f"({rows}, {columns})" + (f" or ({rows},)" if columns == 1 or loss.targets == "classes" else "")
        hint = ""
        if loss.targets == "classes" and checked.shape == (rows, 1):
            hint = f"; use {what}.ravel() if it holds labels"
        elif checked.shape == (rows,) and np.asarray(value).dtype.kind in "iub":
            hint = "; if it holds labels of classes, use loss='cross_entropy'"
        elif not checked.ndim:
            hint = f"; of one row by itself it is [{what}]"
        if loss.outputs > 1:
            hint = f", {loss.outputs} for each column of {what}"
        raise ValueError(
            f"{what} must have shape {accepted}, got {checked.shape}: "
            f"X has {rows} rows and the network {n_outputs} outputs{hint}"
        )
    _validation.finite(what, checked, value, engine)
    if loss.targets in ("probabilities", "classes"):
        _check_probabilities(checked, np.shape(value), loss.targets, what)
    elif loss.targets == "signs":
        return _as_signs(checked, np.shape(value), loss.name, what), None
    elif loss.targets != "numbers":
        _check_sign(checked, np.shape(value), loss, what)
    return checked, None


def _own_targets(value: Any, rows: int, what: str) -> np.ndarray:
    """Return the targets for a loss of the user's own: anything that has a row for each row of X."""
    _validation.unmasked(what, value)
    found = np.asarray(value)
    if not found.ndim or len(found) != rows:
        raise ValueError(f"{what} must have a row for each of the {rows} rows of X, got shape {found.shape}")
    return found


def _as_labels(value: Any, rows: int, n_outputs: int, name: str, what: str) -> np.ndarray | None:
    """Return int64 labels, (rows,); None where `value` is a matrix, which must hold probabilities."""
    _validation.unmasked(what, value)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what} must be a rectangular array of numbers, got ragged rows: {error}") from None
    if found.ndim == 2:
        return None
    if found.dtype.kind == "f" and np.isnan(found).any():
        gaps = np.argwhere(np.isnan(found))
        many = f"the first of {len(gaps)} gaps" if len(gaps) > 1 else "the only gap"
        raise ValueError(f"{what}[{gaps[0][0]}] is nan, {many}; every row needs a label: drop such rows first")
    if found.dtype.kind not in "iub":
        raise TypeError(
            f"{name} takes integer labels in [0, {n_outputs}) or rows of probabilities, "
            f"got {what} of dtype {found.dtype} and shape {found.shape}; "
            f"use {what}.astype(int), or np.unique({what}, return_inverse=True)[1] for names"
        )
    if found.shape != (rows,):
        hint = "" if found.ndim else f"; of one row by itself it is [{what}]"
        raise ValueError(f"{what} must have shape ({rows},) like the rows of X, got {found.shape}{hint}")
    lowest, highest = int(found.min()), int(found.max())
    if lowest < 0 or highest >= n_outputs:
        wrong = lowest if lowest < 0 else highest
        place = int(np.argmax(found == wrong))
        more = f"give the network {highest + 1} outputs"
        if lowest < 0:
            more = f"if {wrong} marks rows without a label, drop them"
        if lowest == -1 and np.all(np.abs(found) == 1):
            more = "use a network of 1 output with loss='binary_hinge', which takes -1 and 1"
        raise ValueError(
            f"{what}[{place}] is {wrong}; labels count from 0, in [0, {n_outputs}) for a network of {n_outputs} "
            f"outputs: renumber them with np.unique({what}, return_inverse=True)[1], or {more}"
        )
    return np.require(found, np.int64, ["C", "A"])


def _check_probabilities(checked: np.ndarray, given: tuple[int, ...], kind: str, what: str) -> None:
    lowest, highest = checked.min(), checked.max()
    if lowest < 0 or highest > 1:
        wrong = lowest if lowest < 0 else highest
        where = ", ".join(map(str, _validation.place(checked.reshape(given) == wrong)))
        hint = "check the target's scale"
        if np.all(np.abs(checked) == 1):
            hint = f"use ({what} + 1) / 2, or loss='binary_hinge', which takes -1 and 1"
        raise ValueError(f"{what}[{where}] is {wrong}; this loss takes probabilities in [0, 1]: {hint}")
    if kind == "classes":
        sums = checked.sum(axis=1, dtype=np.float64)
        row = int(np.argmax(np.abs(sums - 1)))
        # 1e-3 allows for the rounding of n float32 probabilities, and of those that were read from text with few digits
        if abs(sums[row] - 1) > 1e-3:
            raise ValueError(
                f"{what}[{row}] sums to {sums[row]:.6g}; a row of probabilities must sum to 1: divide it by its sum"
            )


def _check_sign(checked: np.ndarray, given: tuple[int, ...], loss: LossLike, what: str) -> None:
    # the kernels flush denormal numbers to 0
    wrong = checked < (np.finfo(checked.dtype).tiny if loss.targets == "positive" else 0)
    if wrong.any():
        first = _validation.place(wrong.reshape(given))
        where, number = ", ".join(map(str, first)), checked.reshape(given)[first]
        wanted = "above 0" if loss.targets == "positive" else "of at least 0"
        raise ValueError(f"{what}[{where}] is {number}; {loss.name} takes targets {wanted}: drop or shift such rows")


def _as_signs(checked: np.ndarray, given: tuple[int, ...], name: str, what: str) -> np.ndarray:
    """Return targets of -1 and 1; where `checked` has no -1, its 0 becomes -1."""
    wrong = np.abs(checked) != 1 if np.any(checked == -1) else (checked != 0) & (checked != 1)
    if wrong.any():
        first = _validation.place(wrong.reshape(given))
        where, number = ", ".join(map(str, first)), checked.reshape(given)[first]
        raise ValueError(f"{what}[{where}] is {number}; {name} takes -1 and 1, or 0 and 1: encode the classes so")
    return np.where(checked == 1, 1, -1).astype(checked.dtype)


# ---- weights ----

ClassWeight = dict[int, float] | str | None


def check_weights(
    value: Any,
    rows: int,
    loss: LossLike,
    engine: _engine.Engine,
    dtype: np.dtype,
    what: str = "sample_weight",
    *,
    partial: bool = False,
) -> np.ndarray | None:
    """Return a weight for each row, (rows,): finite, none negative, some positive; None stays None.

    If the rows are `partial`, those of one rank of several, all weights may be 0.
    """
    if value is None:
        return None
    if loss.targets == "own":
        raise ValueError(f"{what} is not given to a loss of your own: make it a column of y, and use it in the loss")
    checked = _validation.array(what, value, dtype)
    if checked.shape != (rows,):
        hint = f"use {what}.ravel()" if checked.shape == (rows, 1) else "give a weight for each row of X"
        raise ValueError(f"{what} must have shape ({rows},), got {checked.shape}; {hint}")
    _validation.finite(what, checked, value, engine)
    if checked.min() < 0:
        place = int(np.argmax(checked < 0))
        raise ValueError(f"{what}[{place}] is {checked[place]}; weights must be at least 0: use 0 to leave a row out")
    if not partial and not checked.any():
        raise ValueError(f"{what} is 0 for every row, so there is no mean cost; give some row a positive weight")
    return checked


def check_class_weight(value: Any, loss: LossLike, n_outputs: int) -> ClassWeight:
    """Return checked class weights: a dict of label -> weight, "balanced", or None."""
    if value is None:
        return None
    if not (loss.targets == "classes" or (loss.targets in ("probabilities", "signs") and n_outputs == 1)):
        raise ValueError(
            f"class_weight is for losses of classes, got {loss.name} with {n_outputs} outputs; "
            "use sample_weight, a weight for each row"
        )
    if isinstance(value, str) and value == "balanced":
        return value
    if not isinstance(value, dict):
        raise TypeError(f"class_weight must be a dict of label -> weight, or 'balanced', got {value!r:.200}")
    classes, checked = max(n_outputs, 2), {}
    for label, weight in value.items():
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or not 0 <= label < classes:
            raise ValueError(
                f"class_weight has a weight for {label!r:.200}, which is no class: labels are ints in [0, {classes})"
            )
        checked[int(label)] = _validation.number(f"class_weight[{label}]", weight, least=0)
    return checked


def check_classes(chosen: ClassWeight, count: np.ndarray) -> None:
    """Refuse class weights for classes that have no rows; `count` says how many each class has."""
    if isinstance(chosen, dict):
        present = set(np.flatnonzero(count).tolist())
        absent = [label for label in chosen if label not in present]
        if absent:
            raise ValueError(
                f"class_weight has a weight for {absent[0]}, but no row of y is of that class; leave it out, "
                f"or check y, which holds {sorted(present)[:10]}"
            )


def apply_class_weights(
    chosen: ClassWeight,
    y: np.ndarray | None,
    labels: np.ndarray | None,
    weight: np.ndarray | None,
    dtype: np.dtype,
    *,
    partial: bool = False,
) -> np.ndarray | None:
    """Return the weight of each row times the weight of its class, (rows,); None where there are neither.

    A class has the weight 1 where the dict has none for it; "balanced" stands for rows / (classes * rows of the class).
    If the rows are `partial`, those of one rank of several, all products may be 0.
    """
    if chosen is None:
        return weight
    found, which, count = np.unique(_labels_of(y, labels), return_inverse=True, return_counts=True)
    if isinstance(chosen, dict):
        each = np.array([chosen.get(label, 1.0) for label in found.tolist()])
    else:
        each = np.array(list(balanced(count).values()))
    product = each[which].astype(dtype)
    if weight is not None:
        product *= weight
    if not partial and not product.any():
        raise ValueError(
            "the weights of classes and samples are 0 for every row, so there is no mean cost; "
            "give some class of y a positive weight"
        )
    return product


def balanced(count: np.ndarray) -> dict[int, float]:
    """Return what "balanced" stands for: the weight of each class that has rows, given how many each class has."""
    found = np.flatnonzero(count)
    return dict(zip(found.tolist(), (count.sum() / (len(found) * count[found])).tolist()))


def count_classes(y: np.ndarray | None, labels: np.ndarray | None, n_classes: int) -> np.ndarray:
    """Return how many rows each class has, float64 (n_classes,)."""
    return np.bincount(_labels_of(y, labels), minlength=n_classes).astype(np.float64)


def _labels_of(y: Any, labels: np.ndarray | None) -> np.ndarray:
    """Return the class of each row, (rows,): its label, or, of targets of one column, 0 or 1 (-1 counts as 0)."""
    if labels is not None:
        return labels
    if y.shape[1] > 1 or not np.all((y == 0) | (np.abs(y) == 1)):
        raise ValueError(
            "class_weight needs the class of each row as a label, got probabilities; use sample_weight instead"
        )
    return (y[:, 0] > 0).astype(np.int64)
