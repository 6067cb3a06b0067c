"""Data as users have it: tables, files mapped into memory, small numbers; each as an array that the engine takes.

Arrays of the network's dtype are used in place, and others are converted once, where all converted rows fit into
`window` bytes. Larger data of other dtypes are converted in parts.
"""

import mmap
import numbers
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from fastprop import _validation

WINDOW = 2**26  # bytes of converted rows that are held: 64 MiB, as much as a small machine has to spare


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
        _validation.unmasked("X", X)
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


def plain(what: str, value: Any, dtype: np.dtype, *, targets: bool = False, weights: bool = False) -> Any:
    """A table, a tensor, or ``Scaled``, as an array; anything else as it is.

    Truth values, decimals and other numbers are converted exactly, or rounded once to float64.

    Parameters
    ----------
    what : str
    value : anything
        A frame or series of pandas or polars, a table, batch or column of pyarrow, whose columns keep their order; a
        tensor of PyTorch, wherever it lies.
    dtype : numpy.dtype
        Of the numbers of a table of several columns, and of ``Scaled``.
    targets : bool, default False
        Whether they are targets, in which one column is an array of its own dtype without columns, as labels are, and
        gaps become NaN, as a loss of one's own may take them.
    weights : bool, default False
        Whether they are the weights of rows, likewise.

    Raises
    ------
    TypeError
        If a column holds no numbers, or the table has no rows yet.
    ValueError
        If a column of inputs has gaps.
    """
    if isinstance(value, Scaled):
        return convert(value, dtype)
    library = type(value).__module__.partition(".")[0]
    if library == "torch" and hasattr(value, "detach"):
        return _tensor(what, value)
    if library == "scipy" and hasattr(value, "toarray"):
        raise TypeError(
            f"{what} is a sparse {type(value).__name__}, which fastprop does not take; use {what}.toarray()"
        )
    if library not in _COLUMNS:
        return value
    for method in ("collect", "to_table", "read_all"):
        if not hasattr(value, "__len__") and hasattr(value, method):
            raise TypeError(f"{what} is a {type(value).__name__}, which has no rows yet; use {what}.{method}()")
    advice = WEIGHTS if weights else TARGETS if targets else INPUTS
    if not hasattr(value, "columns"):
        return _numbers(library, what, advice, value) if hasattr(value, "to_numpy") else value
    named = _COLUMNS[library](value)
    if (targets or weights) and len(named) == 1:
        return _numbers(library, what, advice, named[0][1])
    out = np.empty((len(value), len(named)), dtype)
    with np.errstate(over="ignore"):
        for place, (name, column) in enumerate(named):
            found = _numbers(library, f"the column {name!r} of {what}", advice, column)
            if found.ndim != 1:
                raise TypeError(f"the column {name!r} of {what} holds an array in each row; {NESTED}")
            if found.dtype.kind == "f" and not targets and np.isnan(found).any():
                gaps = np.flatnonzero(np.isnan(found))
                many = f"the first of {len(gaps)} gaps" if len(gaps) > 1 else "the only gap"
                raise ValueError(
                    f"{what}[{gaps[0]}, {place}] is nan, {many} in the column {name!r}; {what} must be finite: impute "
                    "or drop such rows first"
                )
            out[:, place] = found
    return out


def _tensor(what: str, tensor: Any) -> np.ndarray:
    """A tensor of PyTorch as an array; bfloat16, which NumPy has not, as float32."""
    try:
        tensor = tensor.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{what} is a tensor that cannot become an array: {error}") from None


def _pandas(frame: Any) -> list[tuple[Any, Any]]:
    return [(name, frame.iloc[:, place]) for place, name in enumerate(frame.columns)]


def _polars(frame: Any) -> list[tuple[Any, Any]]:
    return [(name, frame.get_column(name)) for name in frame.columns]


def _pyarrow(table: Any) -> list[tuple[Any, Any]]:
    return list(zip(table.schema.names, table.columns))


_COLUMNS: dict[str, Callable[[Any], list[tuple[Any, Any]]]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}

# What to do with a column that holds no numbers.
INPUTS = "encode it as columns of 0 and 1, or as whole numbers from 0 for fp.Embedding, or drop it"
TARGETS = (
    "number the classes from 0 on, as in classes, y = np.unique(y, return_inverse=True), or use fp.MLPClassifier, "
    "which takes them as they are"
)
WEIGHTS = "give a number of at least 0 for each row"
NESTED = "give each number of a row a column of its own"
# The same by how the name of its type begins in some library, in lower case.
ADVICE = {
    ("date", "timestamp", "period"): "make numbers of it, as the days since a first one, the month, the weekday",
    ("time", "duration"): "make numbers of it, as its seconds",  # of a day, or between two times
    ("interval",): "make numbers of it, as the middle or both ends",
    ("complex",): "make its real and imaginary parts columns",
    ("list", "array", "large_list", "fixed_size_list", "tuple", "ndarray", "struct", "map<"): NESTED,
    ("null",): "it has no values: drop it",
}
CATEGORIES = ("categor", "enum", "dictionary")  # also of numbers, whose order and size then mean nothing


def _numbers(library: str, what: str, advice: str, column: Any) -> np.ndarray:
    """The numbers of a column; NaN where there is none."""
    kind = str(column.type if library == "pyarrow" else column.dtype)
    found = _array(library, column)
    if found.dtype.kind == "O":
        found = _numbers_of(found)
    known = kind.lower()
    if found.dtype.kind in "fiub" and not known.startswith(("null", "struct", *CATEGORIES)):
        return found
    if known == "object":
        wrong = next(cell for cell in found.tolist() if not _is_number_or_gap(cell))
        kind, known = f"{kind} ({type(wrong).__name__})", type(wrong).__name__.lower()
    others = (other for beginnings, other in ADVICE.items() if known.startswith(beginnings))
    raise TypeError(f"{what} holds {kind}, not numbers; {next(others, advice)}")


def _array(library: str, column: Any) -> np.ndarray:
    """A column as its library gives it."""
    if library == "pyarrow" and not hasattr(column, "chunks"):
        return column.to_numpy(zero_copy_only=False)
    if library == "polars" and column.dtype.is_integer() and str(column.dtype).endswith("128"):
        return np.array(column.to_list(), object)  # NumPy has no such integers
    return column.to_numpy()


def _numbers_of(cells: np.ndarray) -> np.ndarray:
    """Python objects as numbers of a dtype that holds them, NaN for gaps; as they are where one is neither.

    Decimals and fractions are rounded once, to float64.
    """
    flat = cells.ravel().tolist()
    if not all(map(_is_number_or_gap, flat)):
        return cells
    found = np.array(flat)
    if found.dtype.kind not in "fiub":
        found = np.array([_float(cell) for cell in flat], np.float64)
    return found.reshape(cells.shape)


def _is_number_or_gap(cell: Any) -> bool:
    """Whether a Python object is a real number, or None, NaN or pandas.NA where there is none."""
    if isinstance(cell, (numbers.Number, np.bool_)):  # a Decimal is a Number, and no Real
        return not isinstance(cell, (complex, np.complexfloating))
    return cell is None or type(cell).__name__ == "NAType"


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:
        return np.inf
    except (TypeError, ValueError):  # None, NA, a signalling NaN
        return np.nan


# ---- more than fits into the window ----


def streams(X: Any, dtype: np.dtype, window: int | None = None) -> bool:
    """Whether rows are converted while they are gathered: where all together are more than `window` bytes."""
    rows = raw(X)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "fiub":
        return False
    small = isinstance(X, Scaled) or isinstance(rows, np.memmap) or rows.dtype.itemsize < dtype.itemsize
    return small and rows.size * dtype.itemsize > (WINDOW if window is None else window)


def converted(network: Any, X: Any) -> Iterator[np.ndarray]:
    """The rows of X as the engine takes them, in parts."""
    size = max(1, WINDOW // (max(1, X.shape[1]) * network.dtype.itemsize))
    for first in range(0, len(X), size):
        x = convert(X[first : first + size], network.dtype)
        yield blame(np.arange(first, first + len(x)), partial(_part_of, network, x))
        forget(raw(X))


def _part_of(network: Any, x: np.ndarray, part: slice) -> np.ndarray:
    return network.prepare_inputs("X", x[part])


def raw(X: Any) -> Any:
    """The array itself, as it was given."""
    return X.X if isinstance(X, Scaled) else X


def blame(rows: np.ndarray, check: Callable[[slice], Any]) -> Any:
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


def forget(array: Any) -> None:
    """Lets the system have back the pages of a mapped file that were read: they would count as ours."""
    mapping = getattr(array, "_mmap", None)
    # of a private mapping they hold what was written
    if mapping is not None and array.mode != "c" and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)
