"""Contributions: by how much each column of a row moved the prediction of a model, as Shapley values.

The contribution of a column is the mean change of the prediction when the column gets its cell in a row of a
background, over all orders in which the columns get theirs (Shapley 1953; Strumbelj and Kononenko 2014). The rows of
the background are drawn from the training rows column by column, so that none of them is a row of the table.
"""

import base64
import zlib
from dataclasses import dataclass

import numpy as np

__all__ = ["Contributions", "contributions", "draw_background", "pack", "unpack"]

ROWS = 100  # of the background, which is stored in a model file
PAIRS = 2  # of an order and its reverse, for each row of the background


@dataclass(frozen=True)
class Contributions:
    """The contributions of the columns to a prediction.

    Attributes
    ----------
    base : float
        The mean prediction of the background.
    prediction : float
        That of the row: base + values.sum().
    values : float64 array, (columns,)
    errors : float64 array, (columns,)
        The standard error of each, from the sampling of orders; the background is given.
    """

    base: float
    prediction: float
    values: np.ndarray
    errors: np.ndarray


def draw_background(encoder, X, seed=0):
    """Return rows of inputs, float32 (at most 100, inputs), whose columns are drawn independently from those of X."""
    generator = np.random.default_rng([seed, 3])  # a stream of its own
    n = min(ROWS, len(X))
    found = np.empty((n, X.shape[1]), np.float32)
    for place in encoder.places:
        found[:, place] = X[generator.permutation(len(X))[:n], place]
    return found


def contributions(predict, x, background, places, seed=0):
    """Return the contributions of the columns of a row.

    From each row of the background the columns get the cells of x one after the other, in random orders and in their
    reverses. The changes of the prediction sum to the difference of both predictions whatever the order, so that the
    sum of the contributions is exact.

    Parameters
    ----------
    predict : callable
        Returns numbers, (rows,), for inputs, (rows, inputs).
    x : float32 array, (inputs,)
    background : float32 array, (rows, inputs)
    places : list of slice
        The inputs of each column.
    seed : int
    """
    generator = np.random.default_rng(seed)
    n_columns, n_rows = len(places), len(background)
    orders = np.empty((n_rows, PAIRS, 2, n_columns), np.int64)
    for row in range(n_rows):
        for pair in range(PAIRS):
            orders[row, pair, 0] = generator.permutation(n_columns)
    orders[:, :, 1] = orders[:, :, 0, ::-1]
    walks = orders.reshape(-1, n_columns)
    current = np.repeat(background, 2 * PAIRS, axis=0)
    before = start = predict(current)
    changes = np.empty(walks.shape)
    for step in range(n_columns):
        for column, place in enumerate(places):
            current[walks[:, step] == column, place] = x[place]
        after = predict(current)
        changes[np.arange(len(walks)), walks[:, step]] = after - before
        before = after
    pairs = changes.reshape(n_rows, PAIRS, 2, n_columns).mean(axis=2)
    errors = np.sqrt((pairs.var(axis=1, ddof=1) / PAIRS).sum(axis=0)) / n_rows
    return Contributions(float(start.mean()), float(before.mean()), changes.mean(axis=0), errors)


def pack(background):
    """Return a background as a text that JSON can hold; None stays None."""
    if background is None:
        return None
    return base64.b64encode(zlib.compress(background.astype("<f4").tobytes(), 9)).decode()


def unpack(text, n_inputs):
    """Return the background that ``pack`` wrote.

    Raises
    ------
    ValueError, TypeError
        If it is none: a model file may come from anyone.
    """
    if text is None:
        return None
    most = 4 * ROWS * n_inputs
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), most + 1)
    except zlib.error as error:
        raise ValueError(f"the background is not compressed numbers ({error})") from error
    if not data or len(data) > most or len(data) % (4 * n_inputs):
        raise ValueError(f"the background holds {len(data)} bytes, wanted up to {ROWS} rows of {n_inputs} numbers")
    background = np.frombuffer(data, "<f4").reshape(-1, n_inputs)
    if not np.isfinite(background).all():
        raise ValueError("the background holds numbers that are not finite")
    return background.astype(np.float32)
