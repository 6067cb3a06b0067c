"""The rows that ``fit`` trains on, and those that it holds out for validation."""

from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop.data import arrays, batches
from fastprop.training.trainer import Trainer

random = LazyModule("numpy.random")

# Added to the seed of the rows that a fraction holds out: their stream is not that of the initial weights.
HOLD_OUT_STREAM = 1

EvalSource = tuple[batches.Source, Any]  # rows, and their targets as the user gave them


def split(trainer: Trainer, X, y, sample_weight, validation, window: int | None) -> tuple[Any, Any, EvalSource | None]:
    """Return the source of the rows to train on, their targets as given, and the same two for the rows held out.

    Parameters
    ----------
    trainer : Trainer
    X, y, sample_weight, validation, window
        As ``Network.fit`` takes them. Without `validation` no rows are held out, and the last item is None.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """
    network, loss = trainer.network, trainer.parsed_loss
    source = trainer.source(X, y, sample_weight, window=window)
    if validation is None:
        return source, y, None
    if isinstance(validation, (tuple, list)) and len(validation) in (2, 3):
        Xv, yv, *weights = validation
        names = "Xv", "yv", "weights"
        weight = weights[0] if weights else None
        return source, y, (trainer.source(Xv, yv, weight, window=window, names=names), yv)
    if isinstance(validation, (str, bool)) or not np.isscalar(validation):
        raise TypeError(
            "validation must be a pair (Xv, yv), or (Xv, yv, weights) with a weight for each row, or a fraction of the "
            f"rows, got {type(validation).__name__}; use validation=(Xv, yv)"
        )
    share = _validation.number("validation", validation, above=0, below=1)
    if isinstance(source, batches.Batches):
        raise ValueError("no fraction is held out of batches that come one by one; give validation=(Xv, yv)")
    total = trainer.total_rows(source) or 0
    if not 1 <= int(share * total) < total:
        raise ValueError(f"validation={share:g} of {total} rows leaves none on one side; give validation=(Xv, yv)")
    held = held_out(share, source.rows, _classes(source, loss), trainer.ranks.seed(trainer.seed))
    (count,) = trainer.ranks.sums(held.sum())
    if not 0 < count < total:
        raise trainer.ranks.common(
            ValueError(f"no rank has enough rows to hold out {share:g} of them; give validation=(Xv, yv)")
        )
    targets = np.asarray(arrays.plain("y", y, network.dtype, targets=True))
    return source.subset(~held), targets[~held], (source.subset(held), targets[held])


def _classes(source: batches.Source, loss: Any) -> np.ndarray | None:
    """Return what tells the rows of one class from those of another, (rows,); None where there are no classes."""
    y, labels = source.targets or (None, None)
    if y is not None and loss.targets in ("probabilities", "signs") and y.shape[1] == 1:
        return y[:, 0]
    return labels


def held_out(share: float, rows: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Return which rows are held out, (rows,) of bool: `share` of them, and about as many of each class.

    They are evenly spaced in a random order in which the rows of a class are neighbours.
    """
    order = random.default_rng([seed, HOLD_OUT_STREAM]).permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    ends = (share * np.arange(1, rows + 1)).astype(np.int64)
    held = np.empty(rows, bool)
    held[order] = np.diff(ends, prepend=0) > 0
    return held
