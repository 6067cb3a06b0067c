"""Data as users have it (tables, mapped files, arrays of small dtypes), made into arrays that the engine takes.

Arrays of the network's dtype are used in place. Others are converted once where all their converted rows fit into
`window` bytes, else in parts.
"""

import mmap
import numbers
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from fastprop import _validation

WINDOW = 2**26  # bytes of converted rows that are held at once: 64 MiB, which a small machine can spare


class Scaled:
    """Rows that are ``X * scale + offset``, computed in the network's dtype when they are used.

    Parameters
    ----------
    X : ndarray or numpy.memmap, (rows, columns)
        Real numbers, usually of a small dtype such as uint8 or float16.
    scale, offset : float or array_like, (columns,)
        By default 1/255 and 0: pixels become numbers in [0, 1].

    Raises
    ------
    ValueError, TypeError
        If X is not such an array, or scale or offset is not finite.

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
        """Return some of the rows, chosen by a slice, an array of their numbers, or a mask."""
        return Scaled(self.X[rows], scale=self.scale, offset=self.offset)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return convert(self, np.dtype(np.float64 if dtype is None else dtype))


def convert(X: Any, dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
    """Return the rows of an array or of a ``Scaled`` in a dtype, written to `out` if that is given."""
    scaled = X if isinstance(X, Scaled) else None
    rows = X if scaled is None else scaled.X
    out = np.empty(rows.shape, dtype) if out is None else out
    with np.errstate(over="ignore"):  # what overflows becomes inf, which a later check reports
        if scaled is None or np.all(scaled.scale == 1):
            np.copyto(out, rows, casting="unsafe")
        else:
            np.multiply(rows, scaled.scale.astype(dtype), out=out, dtype=dtype, casting="unsafe")
        if scaled is not None and np.any(scaled.offset != 0):
            out += scaled.offset.astype(dtype)
    return out


# ---- tables ----


def plain(what: str, value: Any, dtype: np.dtype, *, targets: bool = False, weights: bool = False) -> Any:
    """Return a table, a tensor or a ``Scaled`` as an array, and anything else as it is.

    Truth values, decimals and other numbers are converted exactly, or rounded once to float64.

    Parameters
    ----------
    what : str
        What messages call the value.
    value : anything
        A frame or series of pandas or polars; a table, batch or column of pyarrow; a tensor of PyTorch on any device.
        The columns of a table keep their order.
    dtype : numpy.dtype
        The dtype for a table of several columns, and for ``Scaled``.
    targets : bool, default False
        Whether the value holds targets. Then one column becomes an array (rows,) of its own dtype, as labels need, and
        gaps become NaN, which a loss of one's own may take.
    weights : bool, default False
        Whether the value holds the weights of rows, of which one column becomes an array (rows,) too.

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
    """Return a tensor of PyTorch as an array; bfloat16, which NumPy does not have, becomes float32."""
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

# What messages advise for a column that holds no numbers: inputs, targets, weights, cells that hold several numbers.
INPUTS = "encode it as columns of 0 and 1, or as whole numbers from 0 for fp.Embedding, or drop it"
TARGETS = (
    "number the classes from 0 on, as in classes, y = np.unique(y, return_inverse=True), or use fp.MLPClassifier, "
    "which takes them as they are"
)
WEIGHTS = "give a number of at least 0 for each row"
NESTED = "give each number of a row a column of its own"
# The advice by how the name of the column's type begins in some library, in lower case.
ADVICE = {
    ("date", "timestamp", "period"): "make numbers of it, as the days since a first one, the month, the weekday",
    ("time", "duration"): "make numbers of it, as its seconds",  # of a day, or between two times
    ("interval",): "make numbers of it, as the middle or both ends",
    ("complex",): "make its real and imaginary parts columns",
    ("list", "array", "large_list", "fixed_size_list", "tuple", "ndarray", "struct", "map<"): NESTED,
    ("null",): "it has no values: drop it",
}
CATEGORIES = ("categor", "enum", "dictionary")  # refused even of numbers, whose order and size mean nothing there


def _numbers(library: str, what: str, advice: str, column: Any) -> np.ndarray:
    """Return the numbers of a column, with NaN where there is none."""
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
    """Return a column as the array that its library makes of it."""
    if library == "pyarrow" and not hasattr(column, "chunks"):
        return column.to_numpy(zero_copy_only=False)
    if library == "polars" and column.dtype.is_integer() and str(column.dtype).endswith("128"):
        return np.array(column.to_list(), object)  # NumPy has no such integers
    return column.to_numpy()


def _numbers_of(cells: np.ndarray) -> np.ndarray:
    """Return Python objects as numbers of a dtype that holds them, with NaN for gaps; unchanged where one is neither.

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
    """Return whether a Python object is a real number, or a gap: None, NaN or pandas.NA."""
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
    """Return whether rows are converted while they are gathered: where all would be more than `window` bytes."""
    rows = raw(X)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "fiub":
        return False
    small = isinstance(X, Scaled) or isinstance(rows, np.memmap) or rows.dtype.itemsize < dtype.itemsize
    return small and rows.size * dtype.itemsize > (WINDOW if window is None else window)


def converted(network: Any, X: Any) -> Iterator[np.ndarray]:
    """Yield the rows of X as the engine takes them, in parts, checked."""
    size = max(1, WINDOW // (max(1, X.shape[1]) * network.dtype.itemsize))
    for first in range(0, len(X), size):
        x = convert(X[first : first + size], network.dtype)
        yield name_the_row(np.arange(first, first + len(x)), partial(_part_of, network, x))
        release_pages(raw(X))


def _part_of(network: Any, x: np.ndarray, part: slice) -> np.ndarray:
    return network.prepare_inputs("X", x[part])


def raw(X: Any) -> Any:
    """Return the array that a ``Scaled`` scales; anything else as it is."""
    return X.X if isinstance(X, Scaled) else X


def name_the_row(rows: np.ndarray, check: Callable[[slice], Any]) -> Any:
    """Return check(slice) of all rows; where that raises, check each row alone, so that the error names the row."""
    try:
        return check(slice(None))
    except ValueError:
        for place, row in enumerate(rows.tolist()):
            try:
                check(slice(place, place + 1))
            except ValueError as error:
                raise ValueError(f"in row {row} of the data, here by itself: {error}") from None
        raise


def release_pages(array: Any) -> None:
    """Release the pages of a mapped file that were read, which would count as this process's memory."""
    mapping = getattr(array, "_mmap", None)
    # the pages of a private mapping (mode "c") hold what was written to it
    if mapping is not None and array.mode != "c" and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)
