"""Sources of rows for an epoch: rows in memory, rows that are converted while they are gathered, and batches.

A ``numpy.memmap`` whose converted rows are larger than the window is read in blocks of adjacent rows. The blocks are
visited in random order; as many as fill the window are held at once, and the rows of a window are shuffled. So a batch
mixes the rows of one window, and in each epoch a window holds other blocks. An array in memory whose rows are converted
while they are gathered is visited in the same order as one that needs no conversion.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop.data import arrays
from fastprop.data.targets import Examples, check_last_layer, check_targets, check_weights, rows_of

GATHERED = 2**20  # bytes of rows in memory that are converted at once: half of a usual L2 cache
BLOCK = 2**20  # bytes of adjacent rows that are read at once: larger reads are no faster on usual disks
LEAST_BLOCKS = 16  # blocks that a window holds at least, so that small windows mix rows too

Part = tuple[Examples, np.ndarray | None]  # rows, and the order in which they are visited; None: as they lie
WithWeights = Callable[[Examples], Examples]  # returns the same rows with other weights
Names = tuple[str, str, str]


class Stored:
    """Rows in memory, as the engine takes them."""

    # once the trainers of several ranks have exchanged them: the rows of all, whether all have theirs in memory, and
    # whether any has weights
    total_rows: int | None = None
    all_stored, any_weighted = False, True
    step_weights: tuple[int, np.ndarray] | None = None  # the batch size, and the total weights of its steps

    def __init__(self, examples: Examples):
        self.examples, self.rows = examples, len(examples[0])
        self._pinned = [_engine.pin(array) for array in examples]
        self._order: np.ndarray | None = None  # the order of the last epoch, whose memory serves the next one

    @property
    def targets(self) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        """All targets as the engine takes them, (array, labels); None where they are not known before an epoch."""
        return self.examples[1:3]

    def n_steps(self, batch: int) -> int | None:
        """Return how many steps of `batch` rows an epoch has; None where that is not known before."""
        return -(-self.rows // batch)

    def iter_epoch(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """Yield the rows of an epoch, in parts; their order follows from `seed` and step(), the number of steps taken.

        step() is called when the epoch begins. Without a seed, the rows come in their own order.
        """
        self._order = shuffled(self.rows, seed, step(), self._order)
        yield self.examples, self._order

    def iter_in_order(self) -> Iterator[Examples]:
        """Yield all rows, in parts, in their own order."""
        yield self.examples

    def take(self, rows: np.ndarray) -> Examples:
        """Return the examples of some rows, given by their numbers."""
        return rows_of(self.examples, rows)

    def subset(self, rows: np.ndarray) -> "Stored":
        """Return a source of some of the rows, given by a mask."""
        return Stored(self.take(rows))

    def with_weights(self, add: WithWeights) -> "Stored":
        """Return a source whose row weights include the class weights: `add` gives examples their weights."""
        return Stored(add(self.examples))


class Streamed:
    """Rows that are converted while they are gathered: those in memory one by one, those of a mapped file in blocks.

    Parameters
    ----------
    network : Network
    loss : Loss or OwnLoss
    X : ndarray, numpy.memmap or Scaled
    y : array_like or numpy.memmap
    weight : array_like or None
    window : int
        How many bytes of converted rows of a mapped file are held at once.
    names : tuple of str
    partial : bool
        Whether the rows are those of one rank of several.
    """

    total_rows: int | None = None  # as in ``Stored``
    all_stored, any_weighted = False, True

    def __init__(self, network: Any, loss: Any, X: Any, y: Any, weight: Any, window: int, names: Names, partial: bool):
        self.network, self.loss, self.X, self.y, self.names, self.partial = network, loss, X, y, names, partial
        _validation.unmasked(names[0], X)
        self.rows, columns = X.shape
        if columns != network.n_inputs:
            raise ValueError(
                f"{names[0]} must have shape (rows, {network.n_inputs}), got {X.shape}; check that {names[0]} has the "
                "columns that the network was made for"
            )
        self.mapped = isinstance(arrays.raw(X), np.memmap)
        self.row_bytes = columns * network.dtype.itemsize
        self.rows_at_once = max(1, (window if self.mapped else GATHERED) // self.row_bytes)
        self.index: np.ndarray | None = None  # the rows of X that a subset has
        self.add_weights: WithWeights = _unchanged
        self.checked: Examples | None = None  # an x without columns, and targets and weights that were checked
        self.weight = weight = arrays.plain(names[2], weight, network.dtype, weights=True)
        if not isinstance(y, np.memmap):  # one in memory is checked now
            nothing = np.empty((self.rows, 0))
            self.checked = nothing, *_checked_targets(network, loss, y, weight, self.rows, names, partial)
        elif len(y) != self.rows or np.shape(weight) not in ((), (self.rows,)):
            raise ValueError(f"{names[1]} and {names[2]} must have the {self.rows} rows of {names[0]}, got {y.shape}")

    @property
    def targets(self) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        """As ``Stored``."""
        return None if self.checked is None else self.checked[1:3]

    def n_steps(self, batch: int) -> int | None:
        """As ``Stored``."""
        return -(-self.rows // batch)

    def iter_epoch(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """As ``Stored``."""
        size = max(self.rows_at_once // batch, 1) * batch
        if not self.mapped:
            order = shuffled(self.rows, seed, step())
            for first in range(0, self.rows, size):
                yield self.take(order[first : first + size]), None
            return
        per_block = max(1, min(BLOCK // self.row_bytes, size // LEAST_BLOCKS))
        # the seed differs from that of the rows: two permutations from one stream resemble each other
        blocks = shuffled(-(-self.rows // per_block), None if seed is None else (seed + 1) % 2**63, step())
        for spans in _windows(blocks, per_block, self.rows, size):
            examples = self._of_spans(spans)
            yield examples, shuffled(len(examples[0]), seed, step())

    def iter_in_order(self) -> Iterator[Examples]:
        """As ``Stored``."""
        for first in range(0, self.rows, self.rows_at_once):
            end = min(first + self.rows_at_once, self.rows)
            yield self._of_spans([(first, end)]) if self.mapped else self.take(np.arange(first, end))

    def take(self, rows: np.ndarray) -> Examples:
        """As ``Stored``."""
        rows = np.asarray(rows)
        return self._examples(arrays.convert(self.X[self._places(rows)], self.network.dtype), rows)

    def subset(self, rows: np.ndarray) -> "Streamed":
        """As ``Stored``."""
        if self.mapped:
            raise ValueError(
                f"no fraction is held out of a file that is larger than the window; use slices of it: "
                f"{self.names[0]}[:n] to train on, and validation=({self.names[0]}[n:], {self.names[1]}[n:])"
            )
        part = copy.copy(self)
        part.index = np.flatnonzero(rows)
        part.rows, part.total_rows = len(part.index), None
        part.checked = None if self.checked is None else rows_of(self.checked, part.index)
        return part

    def with_weights(self, add: WithWeights) -> "Streamed":
        """As ``Stored``."""
        part = copy.copy(self)
        part.add_weights, part.total_rows = add, None
        part.checked = None if self.checked is None else add(self.checked)
        return part

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Return where the rows of this source lie in X."""
        return rows if self.index is None else self.index[rows]

    def _of_spans(self, spans: list[tuple[int, int]]) -> Examples:
        """Return the examples of some spans [first, end) of rows, one after the other."""
        rows = np.concatenate([np.arange(first, end) for first, end in spans])
        x = np.empty((len(rows), self.X.shape[1]), self.network.dtype)
        start = 0
        for first, end in spans:
            arrays.convert(self.X[first:end], x.dtype, x[start : start + end - first])
            start += end - first
        examples = self._examples(x, rows)
        for array in (arrays.raw(self.X), self.y):
            arrays.release_pages(array)
        return examples

    def _examples(self, x: np.ndarray, rows: np.ndarray) -> Examples:
        """Return the examples of some rows, given their x; they are checked here."""
        network, places = self.network, self._places(rows)
        arrays.name_the_row(places, lambda part: network.prepare_inputs(self.names[0], x[part]))
        if self.checked is not None:
            y, labels, weight = (None if array is None else array[rows] for array in self.checked[1:])
            return x, y, labels, weight

        def check(part: slice) -> tuple:
            weight = None if self.weight is None else np.asarray(self.weight[places[part]])
            y = self.y[places[part]]
            return _checked_targets(network, self.loss, y, weight, len(x[part]), self.names, self.partial)

        return self.add_weights((x, *arrays.name_the_row(places, check)))


def _checked_targets(network: Any, loss: Any, y: Any, weight: Any, rows: int, names: Names, partial: bool) -> tuple:
    """Return the targets, the labels and the weights of rows as the engine takes them, each an array or None."""
    check_last_layer(loss, network)
    engine, dtype = network.engine, network.dtype
    y = arrays.plain(names[1], y, dtype, targets=True)
    targets = check_targets(y, rows, network.n_outputs, loss, engine, dtype, names[1])
    weight = arrays.plain(names[2], weight, dtype, weights=True)
    return *targets, check_weights(weight, rows, loss, engine, dtype, names[2], partial=partial)


class Batches:
    """Batches in the order in which an iterable gives them, each (xb, yb) or (xb, yb, weights)."""

    rows = targets = total_rows = None
    all_stored, any_weighted = False, True

    def __init__(self, network: Any, loss: Any, batches: Iterable[Any], partial: bool):
        self.network, self.loss, self.batches, self.partial = network, loss, batches, partial
        self.add_weights: WithWeights = _unchanged
        self._count: int | None = None

    @property
    def once(self) -> bool:
        """Whether the batches can be iterated over only once."""
        return isinstance(self.batches, Iterator)

    def n_steps(self, batch: int) -> int | None:
        """Return their len(), or how many the last epoch had; None where neither is known."""
        return len(self.batches) if isinstance(self.batches, Sized) else self._count

    def iter_epoch(self, seed: int | None, step: Callable[[], int], batch: int) -> Iterator[Part]:
        """As ``Stored``, but in the order of the iterable, whatever the seed."""
        count = 0
        for examples in self.iter_in_order():
            count += 1
            yield examples, None
        if not count and not self.partial:
            raise ValueError(
                "there was no batch; an iterator gives its batches once: give a list, or an object with a new iter()"
            )
        self._count = count

    def iter_in_order(self) -> Iterator[Examples]:
        """As ``Stored``."""
        for number, given in enumerate(self.batches):
            if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
                got = type(given).__name__
                raise TypeError(f"batch {number} must be a pair (xb, yb), or (xb, yb, weights), got {got}")
            xb, yb, *weights = given
            names = "xb", "yb", "weights"
            try:
                weight = weights[0] if weights else None
                found = self.network.prepare_examples(xb, yb, weight, self.loss, names, partial=self.partial)
            except ValueError as error:
                raise ValueError(f"in batch {number}: {error}") from None
            yield self.add_weights(found)

    def take(self, rows: np.ndarray) -> Examples:
        """Refuse: rows cannot be chosen before the batches come."""
        raise ValueError("rows are chosen from arrays, got batches that come one by one; give arrays")

    def with_weights(self, add: WithWeights) -> "Batches":
        """As ``Stored``."""
        self.add_weights = add
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
    partial: bool = False,
) -> Source:
    """Return the source of rows for what a user gave.

    Parameters
    ----------
    network : Network
    loss : Loss or OwnLoss
    X, y, weight, window
        As ``Network.fit`` takes them.
    names : tuple of str
        What messages call X, y and weight.
    partial : bool
        Whether the rows are those of one rank of several, which may have none.

    Raises
    ------
    ValueError, TypeError
        If something is wrong with them, as far as it can be checked before an epoch.
    """
    window = arrays.WINDOW if window is None else _validation.count("window", window, ", a number of bytes")
    if y is None and isinstance(X, Iterable) and not hasattr(X, "shape"):
        if weight is not None:
            raise ValueError(f"{names[2]} comes with the batches, as (xb, yb, weights)")
        return Batches(network, loss, X, partial)
    if y is None:
        raise TypeError(
            f"{names[1]} must hold real numbers or labels, got NoneType; "
            "only an iterable of batches (xb, yb) brings its own targets"
        )
    if arrays.streams(X, network.dtype, window) and not (partial and not len(X)):
        return Streamed(network, loss, X, y, weight, window, names, partial)
    return Stored(network.prepare_examples(X, y, weight, loss, names, partial=partial))


def iter_single_batches(parts: Iterator[Part], batch: int) -> Iterator[Part]:
    """Yield the rows of some parts in the same order, in parts of one batch each."""
    for examples, order in parts:
        rows = np.arange(len(examples[0])) if order is None else order
        size = batch or len(rows)
        for first in range(0, len(rows), size):
            yield rows_of(examples, rows[first : first + size]), None


def iter_sized(parts: Iterator[Part], sizes: Iterable[int]) -> Iterator[Examples]:
    """Yield the rows of some parts in the same order, as many at a time as `sizes` says, which may be none."""
    examples, rows = None, np.empty(0, np.int64)  # the part that is in use, and those of its rows that are left
    for size in sizes:
        found = [] if examples is None else [rows_of(examples, rows[:size])]
        missing, rows = size - len(rows[:size]), rows[size:]
        while (missing or examples is None) and (part := next(parts, None)) is not None:
            examples, order = part
            rows = np.arange(len(examples[0])) if order is None else order
            found.append(rows_of(examples, rows[:missing]))
            missing, rows = missing - len(rows[:missing]), rows[missing:]
        yield found[0] if len(found) == 1 else _joined(found)


def _joined(found: list[Examples]) -> Examples:
    """Return the rows of all examples."""
    x, *others = zip(*found)
    y, labels, weight = (None if arrays[0] is None else np.concatenate(arrays) for arrays in others)
    return np.concatenate(x), y, labels, weight


def total_weight(examples: Examples) -> float:
    """Return the sum of the row weights; without weights, the number of rows."""
    return len(examples[0]) if examples[3] is None else float(examples[3].sum(dtype=np.float64))


def mean(costs: list[tuple[float, float]]) -> float:
    """Return the weighted mean of pairs (total weight, mean cost); of one pair it is its cost, to the last bit."""
    if len(costs) == 1:
        return costs[0][1]
    total = sum(weight for weight, _ in costs)
    return sum(weight * cost for weight, cost in costs) / total if total > 0 else 0.0


def _unchanged(examples: Examples) -> Examples:
    return examples


def shuffled(n: int, seed: int | None, step: int, out: np.ndarray | None = None) -> np.ndarray:
    """Return a random permutation of range(n), int64, that follows from seed and step; without a seed, range(n).

    It is written to `out`, int64 (n,), if given; without a seed `out` must be range(n) already.
    """
    order = np.arange(n, dtype=np.int64) if out is None else out
    if seed is not None:
        _engine.shuffle(order, seed, step)
    return order


def _windows(blocks: np.ndarray, per_block: int, rows: int, size: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the spans [first, end) of rows of each window of `size` rows; the last window has those that are left."""
    spans: list[tuple[int, int]] = []
    free = size  # rows that the window can still take
    for block in blocks.tolist():
        first, end = block * per_block, min((block + 1) * per_block, rows)
        while first < end:
            taken = min(free, end - first)
            spans.append((first, first + taken))
            first, free = first + taken, free - taken
            if not free:
                yield spans
                spans, free = [], size
    if spans:
        yield spans
