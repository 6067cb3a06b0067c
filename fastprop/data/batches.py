"""What an epoch walks over: rows in memory, rows that are converted while they are gathered, batches one by one.

Larger ``numpy.memmap`` are read in blocks of adjacent rows: the blocks are visited in random order, as many
as fill the window are held, and the rows of a window are shuffled. So a row meets those of its window in a batch, and a
window holds other blocks in each epoch. What lies in memory is converted in the order of an array that was.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop.data import arrays as data
from fastprop.data import targets as _targets
from fastprop.data.targets import Examples

GATHERED = 2**20  # bytes that are converted at once where rows lie in memory: half of a usual L2 cache
BLOCK = 2**20  # bytes of adjacent rows that are read at once: from there on disks are as fast as they get
LEAST_BLOCKS = 16  # in a window, so that small windows mix too

Part = tuple[Examples, np.ndarray | None]  # rows, and the order in which they are visited
Weigh = Callable[[Examples], Examples]
Names = tuple[str, str, str]


class Stored:
    """Rows in memory, as the engine takes them."""

    def __init__(self, examples: Examples):
        self.examples, self.rows = examples, len(examples[0])
        self._pinned = [_engine.pin(array) for array in examples]
        self._order: np.ndarray | None = None  # of the last epoch; room for that of the next

    @property
    def targets(self) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        """All targets as the engine takes them, an array or labels; None where they are not known before."""
        return self.examples[1:3]

    def n_steps(self, batch: int) -> int | None:
        """How many steps an epoch has; None where that is not known before."""
        return -(-self.rows // batch)

    def parts(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """The rows of an epoch, in parts whose order follows from `seed` and step(), the steps taken when it begins.

        Without a seed they come in their own order.
        """
        self._order = shuffled(self.rows, seed, step(), self._order)
        yield self.examples, self._order

    def straight(self) -> Iterator[Examples]:
        """All rows, in parts, as they lie."""
        yield self.examples

    def take(self, rows: np.ndarray) -> Examples:
        """Some rows."""
        return _targets.rows_of(self.examples, rows)

    def subset(self, rows: np.ndarray) -> "Stored":
        """The same of some rows."""
        return Stored(self.take(rows))

    def weighed(self, weigh: Weigh) -> "Stored":
        """The same with the weights of classes."""
        return Stored(weigh(self.examples))


class Streamed:
    """Rows that are converted while they are gathered: in memory one by one, of a file in blocks.

    Parameters
    ----------
    network : Network
    loss : Loss or OwnLoss
    X : ndarray, numpy.memmap or Scaled
    y : array_like or numpy.memmap
    weight : array_like or None
    window : int
        Bytes.
    names : tuple of str
    """

    def __init__(self, network: Any, loss: Any, X: Any, y: Any, weight: Any, window: int, names: Names):
        self.network, self.loss, self.X, self.y, self.names = network, loss, X, y, names
        _validation.unmasked(names[0], X)
        self.rows, columns = X.shape
        if columns != network.n_inputs:
            raise ValueError(
                f"{names[0]} must have shape (rows, {network.n_inputs}), got {X.shape}; check that {names[0]} has the "
                "columns that the network was made for"
            )
        self.mapped = isinstance(data.raw(X), np.memmap)
        self.row_bytes = columns * network.dtype.itemsize
        self.at_once = max(1, (window if self.mapped else GATHERED) // self.row_bytes)  # rows
        self.index: np.ndarray | None = None  # of a subset, the rows in X
        self.weigh: Weigh = _as_they_are
        self.kept: Examples | None = None
        self.weight = weight = data.plain(names[2], weight, network.dtype, weights=True)
        if not isinstance(y, np.memmap):  # looked at now, and kept as the engine takes it
            nothing = np.empty((self.rows, 0))
            self.kept = nothing, *_checked_targets(network, loss, y, weight, self.rows, names)
        elif len(y) != self.rows or np.shape(weight) not in ((), (self.rows,)):
            raise ValueError(f"{names[1]} and {names[2]} must have the {self.rows} rows of {names[0]}, got {y.shape}")

    @property
    def targets(self) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        """As ``Stored``."""
        return None if self.kept is None else self.kept[1:3]

    def n_steps(self, batch: int) -> int | None:
        """As ``Stored``."""
        return -(-self.rows // batch)

    def parts(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """As ``Stored``."""
        size = max(self.at_once // batch, 1) * batch
        if not self.mapped:
            order = shuffled(self.rows, seed, step())
            for first in range(0, self.rows, size):
                yield self.take(order[first : first + size]), None
            return
        per_block = max(1, min(BLOCK // self.row_bytes, size // LEAST_BLOCKS))
        # another seed than that of the rows: two permutations of one stream resemble each other
        blocks = shuffled(-(-self.rows // per_block), None if seed is None else (seed + 1) % 2**63, step())
        for spans in _windows(blocks, per_block, self.rows, size):
            examples = self._of_spans(spans)
            yield examples, shuffled(len(examples[0]), seed, step())

    def straight(self) -> Iterator[Examples]:
        """As ``Stored``."""
        for first in range(0, self.rows, self.at_once):
            end = min(first + self.at_once, self.rows)
            yield self._of_spans([(first, end)]) if self.mapped else self.take(np.arange(first, end))

    def take(self, rows: np.ndarray) -> Examples:
        """As ``Stored``."""
        rows = np.asarray(rows)
        return self._examples(data.convert(self.X[self._places(rows)], self.network.dtype), rows)

    def subset(self, rows: np.ndarray) -> "Streamed":
        """As ``Stored``."""
        if self.mapped:
            raise ValueError(
                f"no fraction is held out of a file that is larger than the window; use slices of it: "
                f"{self.names[0]}[:n] to train on, and validation=({self.names[0]}[n:], {self.names[1]}[n:])"
            )
        part = copy.copy(self)
        part.index = np.flatnonzero(rows)
        part.rows = len(part.index)
        part.kept = None if self.kept is None else _targets.rows_of(self.kept, part.index)
        return part

    def weighed(self, weigh: Weigh) -> "Streamed":
        """As ``Stored``."""
        part = copy.copy(self)
        part.weigh = weigh
        part.kept = None if self.kept is None else weigh(self.kept)
        return part

    def _places(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.index is None else self.index[rows]

    def _of_spans(self, spans: list[tuple[int, int]]) -> Examples:
        """The rows of some spans [first, end), one after the other."""
        rows = np.concatenate([np.arange(first, end) for first, end in spans])
        x = np.empty((len(rows), self.X.shape[1]), self.network.dtype)
        start = 0
        for first, end in spans:
            data.convert(self.X[first:end], x.dtype, x[start : start + end - first])
            start += end - first
        examples = self._examples(x, rows)
        for array in (data.raw(self.X), self.y):
            data.forget(array)
        return examples

    def _examples(self, x: np.ndarray, rows: np.ndarray) -> Examples:
        """The examples of some rows, whose x is there: looked at here."""
        network, places = self.network, self._places(rows)
        data.blame(places, lambda part: network.prepare_inputs(self.names[0], x[part]))
        if self.kept is not None:
            y, labels, weight = (None if array is None else array[rows] for array in self.kept[1:])
            return x, y, labels, weight

        def look(part: slice) -> tuple:
            weight = None if self.weight is None else np.asarray(self.weight[places[part]])
            return _checked_targets(network, self.loss, self.y[places[part]], weight, len(x[part]), self.names)

        return self.weigh((x, *data.blame(places, look)))


def _checked_targets(network: Any, loss: Any, y: Any, weight: Any, rows: int, names: Names) -> tuple:
    """The targets, or labels, and weights of rows, as the engine takes them."""
    _targets.check_last_layer(loss, network)
    how = network.engine, network.dtype
    y = data.plain(names[1], y, network.dtype, targets=True)
    targets = _targets.targets(y, rows, network.n_outputs, loss, *how, names[1])
    weight = data.plain(names[2], weight, network.dtype, weights=True)
    return *targets, _targets.weights(weight, rows, loss, *how, names[2])


class Batches:
    """Batches as they come: each (xb, yb), or (xb, yb, weights)."""

    rows = targets = None

    def __init__(self, network: Any, loss: Any, batches: Iterable[Any]):
        self.network, self.loss, self.batches = network, loss, batches
        self.weigh: Weigh = _as_they_are
        self._count: int | None = None

    @property
    def once(self) -> bool:
        """Whether they come but once."""
        return isinstance(self.batches, Iterator)

    def n_steps(self, batch: int) -> int | None:
        """As ``Stored``: what their len() says, or what the epoch before had."""
        return len(self.batches) if isinstance(self.batches, Sized) else self._count

    def parts(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """As ``Stored``, but as they come."""
        count = 0
        for examples in self.straight():
            count += 1
            yield examples, None
        if not count:
            raise ValueError("there was no batch; an iterator can be walked once: give a list, or what makes a new one")
        self._count = count

    def straight(self) -> Iterator[Examples]:
        """As ``Stored``."""
        for number, given in enumerate(self.batches):
            if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
                got = type(given).__name__
                raise TypeError(f"batch {number} must be a pair (xb, yb), or (xb, yb, weights), got {got}")
            xb, yb, *weights = given
            names = "xb", "yb", "weights"
            try:
                found = self.network.prepare_examples(xb, yb, weights[0] if weights else None, self.loss, names)
            except ValueError as error:
                raise ValueError(f"in batch {number}: {error}") from None
            yield self.weigh(found)

    def take(self, rows: np.ndarray) -> Examples:
        """They have none to choose from."""
        raise ValueError("rows are chosen from arrays, got batches that come one by one; give arrays")

    def weighed(self, weigh: Weigh) -> "Batches":
        """As ``Stored``."""
        self.weigh = weigh
        return self


Source = Stored | Streamed | Batches


def source(
    network: Any,
    loss: Any,
    X: Any,
    y: Any,
    weight: Any,
    *,
    window: int | None = None,
    names: Names = ("X", "y", "sample_weight"),
) -> Source:
    """What an epoch walks over, of what a user gave.

    Raises
    ------
    ValueError, TypeError
        If something is wrong with what can be looked at before.
    """
    window = data.WINDOW if window is None else _validation.count("window", window, ", a number of bytes")
    if y is None and isinstance(X, Iterable) and not hasattr(X, "shape"):
        if weight is not None:
            raise ValueError(f"{names[2]} comes with the batches, as (xb, yb, weights)")
        return Batches(network, loss, X)
    if y is None:
        raise TypeError(
            f"{names[1]} must hold real numbers or labels, got NoneType; "
            "only an iterable of batches (xb, yb) has it with it"
        )
    if data.streams(X, network.dtype, window):
        return Streamed(network, loss, X, y, weight, window, names)
    return Stored(network.prepare_examples(X, y, weight, loss, names))


def singly(parts: Iterator[Part], batch: int) -> Iterator[Part]:
    """The same rows in the same order, in parts of one batch each."""
    for examples, order in parts:
        rows = np.arange(len(examples[0])) if order is None else order
        size = batch or len(rows)
        for first in range(0, len(rows), size):
            yield _targets.rows_of(examples, rows[first : first + size]), None


def mass(examples: Examples) -> float:
    """What the rows weigh together."""
    return len(examples[0]) if examples[3] is None else float(examples[3].sum(dtype=np.float64))


def mean(costs: list[tuple[float, float]]) -> float:
    """Of pairs (mass, cost). That of one pair is its cost to the last bit."""
    if len(costs) == 1:
        return costs[0][1]
    total = sum(weight for weight, _ in costs)
    return sum(weight * cost for weight, cost in costs) / total if total > 0 else 0.0


def _as_they_are(examples: Examples) -> Examples:
    return examples


def shuffled(n: int, seed: int | None, step: int, out: np.ndarray | None = None) -> np.ndarray:
    """A random permutation of n numbers that follows from seed and step; without a seed in their order."""
    order = np.arange(n, dtype=np.int64) if out is None else out
    if seed is not None:
        _engine.shuffle(order, seed, step)
    return order


def _windows(blocks: np.ndarray, per_block: int, rows: int, size: int) -> Iterator[list[tuple[int, int]]]:
    """The spans of rows of each window of `size` rows, the last excepted, which has what is left."""
    spans: list[tuple[int, int]] = []
    room = size
    for block in blocks.tolist():
        first, end = block * per_block, min((block + 1) * per_block, rows)
        while first < end:
            taken = min(room, end - first)
            spans.append((first, first + taken))
            first, room = first + taken, room - taken
            if not room:
                yield spans
                spans, room = [], size
    if spans:
        yield spans
