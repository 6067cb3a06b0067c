"""Data as users have it: tables, files mapped into memory, small numbers, batches one by one; how an epoch walks it.

Arrays of the network's dtype are used in place, and others are converted once, where all converted rows fit into
`window` bytes. Larger data of other dtypes are converted while they are gathered, in the order of an array that was
converted. Larger ``numpy.memmap`` are read in blocks of adjacent rows: the blocks are visited in random order, as many
as fill the window are held, and the rows of a window are shuffled. So a row meets those of its window in a batch, and a
window holds other blocks in each epoch.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any

import numpy as np

from fastprop import _engine, _targets, _validate
from fastprop._targets import Examples

WINDOW = 2**26  # bytes of converted rows that are held: 64 MiB, as much as a small machine has to spare
GATHERED = 2**20  # bytes that are converted at once where rows lie in memory: half of a usual L2 cache
BLOCK = 2**20  # bytes of adjacent rows that are read at once: from there on disks are as fast as they get
LEAST_BLOCKS = 16  # in a window, so that small windows mix too

Part = tuple[Examples, np.ndarray | None]  # rows, and the order in which they are visited
Weigh = Callable[[Examples], Examples]
Names = tuple[str, str, str]


class Scaled:
    """Rows that are ``X * scale + offset``, computed in the network's dtype when they are used.

    Parameters
    ----------
    X : ndarray or numpy.memmap, (rows, columns)
        As uint8 or float16.
    scale, offset : float or array_like, (columns,)
        By default 1/255 and 0: pixels become numbers in [0, 1].

    Raises
    ------
    ValueError, TypeError
        If X is no such array, or a number is not finite.

    Examples
    --------
    >>> net.fit(fp.Scaled(pixels), labels, loss="cross_entropy", optimizer="adam")
    """

    def __init__(self, X, *, scale=1 / 255, offset=0.0):
        self.X = X if isinstance(X, np.ndarray) else np.asarray(X)
        if self.X.ndim != 2 or self.X.dtype.kind not in "fiub":
            raise ValueError(f"X must be rows of numbers, got shape {self.X.shape} of {self.X.dtype}")
        self.scale, self.offset = self._numbers("scale", scale), self._numbers("offset", offset)

    def _numbers(self, what: str, given: Any) -> np.ndarray:
        numbers = np.asarray(given, np.float64)
        if numbers.shape not in ((), self.X.shape[1:]) or not np.all(np.isfinite(numbers)):
            columns = self.X.shape[1]
            raise ValueError(f"{what} must be a finite number, or one for each of {columns} columns, got {given!r}")
        return numbers

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns)."""
        return self.X.shape

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: Any) -> "Scaled":
        """Some of the rows: a slice, or an array of numbers or of truth values."""
        return Scaled(self.X[rows], scale=self.scale, offset=self.offset)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return convert(self, np.dtype(np.float64 if dtype is None else dtype))


def convert(X: Any, dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
    """Rows of an array or of a ``Scaled`` in a dtype."""
    scaled = X if isinstance(X, Scaled) else None
    rows = X if scaled is None else scaled.X
    out = np.empty(rows.shape, dtype) if out is None else out
    with np.errstate(over="ignore"):  # what overflows becomes inf, which the door reports
        if scaled is None or np.all(scaled.scale == 1):
            np.copyto(out, rows, casting="unsafe")
        else:
            np.multiply(rows, scaled.scale.astype(dtype), out=out, dtype=dtype, casting="unsafe")
        if scaled is not None and np.any(scaled.offset != 0):
            out += scaled.offset.astype(dtype)
    return out


# ---- tables ----


def plain(what: str, value: Any, dtype: np.dtype, *, targets: bool = False) -> Any:
    """A table, or ``Scaled``, as an array; anything else as it is.

    Parameters
    ----------
    what : str
    value : anything
        A frame or series of pandas or polars, a table or column of pyarrow, whose columns keep their order.
    dtype : numpy.dtype
        Of the numbers of a table of several columns, and of ``Scaled``.
    targets : bool, default False
        Whether one column is an array of its own dtype without columns, as labels are.

    Raises
    ------
    TypeError
        If a column holds no numbers.
    """
    if isinstance(value, Scaled):
        return convert(value, dtype)
    library = type(value).__module__.partition(".")[0]
    if library not in _COLUMNS or not hasattr(value, "__len__"):
        return value
    if hasattr(value, "columns"):
        named = _COLUMNS[library](value)
        if targets and len(named) == 1:
            return _numbers(library, what, *named[0])
        out = np.empty((len(value), len(named)), dtype)
        with np.errstate(over="ignore"):
            for place, (name, column) in enumerate(named):
                out[:, place] = _numbers(library, what, name, column)
        return out
    return _numbers(library, what, getattr(value, "name", ""), value) if hasattr(value, "to_numpy") else value


def _pandas(frame: Any) -> list[tuple[Any, Any]]:
    return [(name, frame.iloc[:, place]) for place, name in enumerate(frame.columns)]


def _polars(frame: Any) -> list[tuple[Any, Any]]:
    return [(name, frame.get_column(name)) for name in frame.columns]


def _pyarrow(table: Any) -> list[tuple[Any, Any]]:
    return list(zip(table.column_names, table.columns))


_COLUMNS: dict[str, Callable[[Any], list[tuple[Any, Any]]]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}


def _numbers(library: str, what: str, name: Any, column: Any) -> np.ndarray:
    """The numbers of a column; NaN where there is none."""
    found = column.to_numpy()
    if found.dtype.kind == "O":  # numbers with gaps, truth values with gaps, decimals; or no numbers at all
        kind = str(column.type if library == "pyarrow" else column.dtype).lower()
        if kind.startswith(("int", "uint", "float", "double", "bool")):
            found = np.array([np.nan if _is_gap(cell) else cell for cell in found.tolist()], np.float64)
    if found.dtype.kind not in "fiub" or _is_categorical(library, column):
        kind = column.type if library == "pyarrow" else column.dtype
        raise TypeError(
            f"the column {name!r} of {what} holds {kind}, not numbers; encode it as columns of 0 and 1, or as whole "
            "numbers from 0 for fp.Embedding, or drop it"
        )
    return found


def _is_gap(cell: Any) -> bool:
    return cell is None or cell != cell or type(cell).__name__ == "NAType"


def _is_categorical(library: str, column: Any) -> bool:
    """Also where the categories are numbers, whose order and size then mean nothing."""
    kind = str(column.type if library == "pyarrow" else column.dtype)
    return kind.lower().startswith(("categor", "enum", "dictionary"))


# ---- what an epoch walks over ----


class Stored:
    """Rows in memory, as the engine takes them."""

    def __init__(self, examples: Examples):
        self.examples, self.rows = examples, len(examples[0])
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
        self.rows, columns = X.shape
        if columns != network.n_inputs:
            raise ValueError(
                f"{names[0]} must have shape (rows, {network.n_inputs}), got {X.shape}; check that {names[0]} has the "
                "columns that the network was made for"
            )
        self.mapped = isinstance(_raw(X), np.memmap)
        self.row_bytes = columns * network.dtype.itemsize
        self.at_once = max(1, (window if self.mapped else GATHERED) // self.row_bytes)  # rows
        self.index: np.ndarray | None = None  # of a subset, the rows in X
        self.weigh: Weigh = _as_they_are
        self.kept: Examples | None = None
        self.weight = weight
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
        return self._examples(convert(self.X[self._places(rows)], self.network.dtype), rows)

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
            convert(self.X[first:end], x.dtype, x[start : start + end - first])
            start += end - first
        examples = self._examples(x, rows)
        for array in (_raw(self.X), self.y):
            _forget(array)
        return examples

    def _examples(self, x: np.ndarray, rows: np.ndarray) -> Examples:
        """The examples of some rows, whose x is there: looked at here."""
        network, places = self.network, self._places(rows)
        _blame(places, lambda part: network._matrix(self.names[0], x[part]))
        if self.kept is not None:
            y, labels, weight = (None if array is None else array[rows] for array in self.kept[1:])
            return x, y, labels, weight

        def look(part: slice) -> tuple:
            weight = None if self.weight is None else np.asarray(self.weight[places[part]])
            return _checked_targets(network, self.loss, self.y[places[part]], weight, len(x[part]), self.names)

        return self.weigh((x, *_blame(places, look)))


def _checked_targets(network: Any, loss: Any, y: Any, weight: Any, rows: int, names: Names) -> tuple:
    """The targets, or labels, and weights of rows, as the engine takes them."""
    how = network._engine, network.dtype
    y = plain(names[1], y, network.dtype, targets=True)
    targets = _targets.targets(y, rows, network.n_outputs, loss, *how, names[1])
    return *targets, _targets.weights(weight, rows, loss, *how, names[2])


def _blame(rows: np.ndarray, check: Callable[[slice], Any]) -> Any:
    """check(slice) of all rows; where that raises, again of each, so that the error names the row."""
    try:
        return check(slice(None))
    except ValueError:
        for place, row in enumerate(rows.tolist()):
            try:
                check(slice(place, place + 1))
            except ValueError as error:
                raise ValueError(f"in row {row} of the data, here by itself: {error}") from None
        raise


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
                found = self.network._examples(xb, yb, weights[0] if weights else None, self.loss, names)
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
    window = WINDOW if window is None else _validate.count("window", window, ", a number of bytes")
    if y is None and isinstance(X, Iterable) and not hasattr(X, "shape"):
        if weight is not None:
            raise ValueError(f"{names[2]} comes with the batches, as (xb, yb, weights)")
        return Batches(network, loss, X)
    if y is None:
        raise TypeError(
            f"{names[1]} must hold real numbers or labels, got NoneType; "
            "only an iterable of batches (xb, yb) has it with it"
        )
    if streams(X, network.dtype, window):
        return Streamed(network, loss, X, y, weight, window, names)
    return Stored(network._examples(X, y, weight, loss, names))


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


def streams(X: Any, dtype: np.dtype, window: int | None = None) -> bool:
    """Whether rows are converted while they are gathered: where all together are more than `window` bytes."""
    raw = _raw(X)
    if not isinstance(raw, np.ndarray) or raw.ndim != 2 or raw.dtype.kind not in "fiub":
        return False
    small = isinstance(X, Scaled) or isinstance(raw, np.memmap) or raw.dtype.itemsize < dtype.itemsize
    return small and raw.size * dtype.itemsize > (WINDOW if window is None else window)


def converted(network: Any, X: Any) -> Iterator[np.ndarray]:
    """The rows of X as the engine takes them, in parts."""
    size = max(1, WINDOW // (max(1, X.shape[1]) * network.dtype.itemsize))
    for first in range(0, len(X), size):
        x = convert(X[first : first + size], network.dtype)
        yield _blame(np.arange(first, first + len(x)), partial(_part_of, network, x))
        _forget(_raw(X))


def _part_of(network: Any, x: np.ndarray, part: slice) -> np.ndarray:
    return network._matrix("X", x[part])


def _raw(X: Any) -> Any:
    return X.X if isinstance(X, Scaled) else X


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


def _forget(array: Any) -> None:
    """Lets the system have back the pages of a mapped file that were read: they would count as ours."""
    mapping = getattr(array, "_mmap", None)
    # of a private mapping they hold what was written
    if mapping is not None and array.mode != "c" and hasattr(mapping, "madvise"):
        import mmap

        mapping.madvise(mmap.MADV_DONTNEED)
