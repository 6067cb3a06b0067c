"""Tables in memory, column by column, from files or from DataFrames."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fastprop._util.lazy import LazyModule

narwhals = LazyModule("narwhals.stable.v2")

__all__ = ["Column", "NumberColumn", "Table", "TableError", "TextColumn", "TimeColumn", "nearest"]


class TableError(ValueError):
    """A table that cannot be used as asked; the message says what was got, what was wanted, and what to do."""


@dataclass(frozen=True)
class TextColumn:
    """A column of texts, as a file or a DataFrame holds them.

    Attributes
    ----------
    codes : int32 array, (rows,)
        The place of each row's text in `texts`, or -1 at a gap of a DataFrame. The gaps of a file are texts.
    texts : tuple of str
        The distinct texts.
    categorical : bool
        Whether these are categories, whatever they look like, as a DataFrame may say.
    """

    codes: np.ndarray
    texts: tuple
    categorical: bool = False

    def __len__(self):
        return len(self.codes)

    def take(self, rows):
        """Return the column of these rows."""
        return TextColumn(self.codes[rows], self.texts, self.categorical)

    def cell(self, row):
        """Return the text of a row."""
        code = self.codes[row]
        return "" if code < 0 else self.texts[code]


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, as a DataFrame holds them, or a file in which most of them are different.

    Attributes
    ----------
    values : float64 array, (rows,)
        NaN at gaps, and where `codes` points at a text.
    codes : int32 array, (rows,), optional
        The place in `texts` of a cell of a file that is not a plain number (it may be one in another form), else -1.
    texts : tuple of str
        The distinct texts of these cells.
    """

    values: np.ndarray
    codes: np.ndarray | None = None
    texts: tuple = ()

    def __len__(self):
        return len(self.values)

    def take(self, rows):
        """Return the column of these rows."""
        return NumberColumn(self.values[rows], None if self.codes is None else self.codes[rows], self.texts)

    def cell(self, row):
        """Return the text of a row: a number as short as possible."""
        if self.codes is not None and self.codes[row] >= 0:
            return self.texts[self.codes[row]]
        value = float(self.values[row])
        return "" if np.isnan(value) else repr(value).removesuffix(".0")


@dataclass(frozen=True)
class TimeColumn:
    """A column of times: datetime64[us] (rows,), NaT at gaps."""

    values: np.ndarray

    def __len__(self):
        return len(self.values)

    def take(self, rows):
        """Return the column of these rows."""
        return TimeColumn(self.values[rows])

    def cell(self, row):
        """Return the time of a row as text."""
        value = self.values[row]
        return "" if np.isnat(value) else str(value).replace("T", " ")


Column = TextColumn | NumberColumn | TimeColumn


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Attributes
    ----------
    path : str
        The file that it was read from, or what it is, for messages.
    columns : dict of str to Column
    lines : sequence of int
        The line of the file on which each row starts; the number of the row, from 1, where there is no file.
    notes : tuple of str
        Sentences about what the reader did, for the user.
    decimal : {".", ","}
        The decimal mark that a file of its kind has, where the cells do not decide it.
    files : TextColumn, optional
        The file of each row, if there are several.
    """

    path: str
    columns: Mapping
    lines: Sequence[int]
    notes: tuple = field(default=(), compare=False)
    decimal: str = "."
    files: TextColumn | None = None

    @property
    def names(self):
        """The names of the columns, in their order."""
        return tuple(self.columns)

    @property
    def n_rows(self):
        """The number of rows."""
        return len(self.lines)

    def __getitem__(self, name):
        """Return a column by its name.

        Raises
        ------
        TableError
            If there is no such column. The message lists the columns, and names the nearest.
        """
        if name in self.columns:
            return self.columns[name]
        shown = ", ".join(f"{known!r:.100}" for known in self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        raise TableError(f"{self.path} has no column {name!r:.200}{nearest(name, self.names)}; its columns are {shown}")

    def take(self, rows):
        """Return the table of these rows, an array of numbers of rows or of bool."""
        rows = np.asarray(rows)
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        files = None if self.files is None else self.files.take(rows)
        return Table(self.path, columns, np.asarray(self.lines)[rows], self.notes, self.decimal, files)

    def where(self, name, row):
        """Return the beginning of a message about a cell: its file, line, column and content."""
        path = self.path if self.files is None else self.files.cell(row)
        return f"{path}, line {self.lines[row]}: column {name!r:.200} holds {self[name].cell(row)!r:.200}"

    @classmethod
    def from_frame(cls, X, path="X"):
        """Return the table that a DataFrame, a dict of arrays or an array (rows, columns) holds.

        Parameters
        ----------
        X : DataFrame of pandas or polars, Table of pyarrow, dict of str to array_like, or array_like
            The columns of an array are named x0, x1, ...
        path : str
            What messages call it.

        Raises
        ------
        TableError, TypeError
            If there are no columns, two of one name, or a column holds something else than numbers, bool, text,
            categories or times.
        """
        if isinstance(X, Table):
            return X
        if isinstance(X, Mapping):
            columns = {str(name): _column(np.asarray(values), str(name)) for name, values in X.items()}
        elif hasattr(X, "columns") or hasattr(X, "column_names"):
            frame = narwhals.from_native(X, eager_only=True)
            columns = {str(series.name): _series(series) for series in frame.iter_columns()}
            if len(columns) < len(frame.columns):
                raise TableError(f"{path} has two columns of one name among {list(map(str, frame.columns))!r:.500}")
        else:
            array = np.asarray(X)
            if array.ndim != 2:
                raise TableError(f"{path} must have two dimensions, rows and columns, got shape {array.shape}")
            columns = {f"x{k}": _column(array[:, k], f"x{k}") for k in range(array.shape[1])}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise TableError(
                f"{path} needs columns, all of one length; got {len(columns)} of lengths {sorted(lengths)}"
            )
        n_rows = lengths.pop()
        return cls(path, columns, range(1, n_rows + 1))


def _series(series):
    """Return the column that a series of narwhals holds."""
    dtype = series.dtype
    if dtype.is_numeric():
        return NumberColumn(np.asarray(series.cast(narwhals.Float64).fill_null(float("nan")).to_numpy(), np.float64))
    if dtype == narwhals.Datetime or dtype == narwhals.Date:
        if getattr(dtype, "time_zone", None) is not None:  # as hours of the clock there, which people live by
            series = series.dt.replace_time_zone(None)
        return TimeColumn(np.asarray(series.cast(narwhals.Datetime("us")).to_numpy(), "datetime64[us]"))
    if dtype == narwhals.Duration:
        missing, seconds = series.is_null().to_numpy(), series.dt.total_microseconds().fill_null(0).to_numpy() / 1e6
        return NumberColumn(np.where(missing, np.nan, seconds))
    if dtype.is_nested():
        raise TypeError(
            f"column {series.name!r:.100} holds {dtype}; wanted numbers, texts, bool, categories or times: "
            "make columns of its parts, or leave it out"
        )
    column = _column(np.fromiter(series.to_list(), object, len(series)), str(series.name))
    categorical = dtype == narwhals.Categorical or dtype == narwhals.Enum
    return replace(column, categorical=True) if categorical else column


def _column(values, name):
    """Return the column that an array of one dimension holds."""
    if values.ndim != 1:
        raise TableError(f"column {name!r:.100} must have one dimension, got shape {values.shape}")
    if values.dtype.kind in "iuf":
        return NumberColumn(values.astype(np.float64))
    if values.dtype.kind == "M":
        return TimeColumn(values.astype("datetime64[us]"))
    places, codes = {}, np.empty(len(values), np.int32)
    for row, value in enumerate(values.tolist()):
        if isinstance(value, (list, tuple, dict, set, bytes, complex, np.ndarray)):
            raise TypeError(
                f"column {name!r:.100} holds {type(value).__name__} in row {row}; wanted numbers, texts, bool, "
                "categories or times: make columns of its parts, or leave it out"
            )
        codes[row] = -1 if _missing(value) else places.setdefault(_text(value), len(places))
    return TextColumn(codes, tuple(places))


def _missing(value):
    """Return whether a value stands for a gap: None, NaN, or what pandas has for them, which compare with nothing."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _text(value):
    """Return a value as a file holds it: a whole number without a point."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def nearest(name, known):
    """Return " (nearest: ...)" for a message about an unknown name, or an empty string."""
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    if not close:  # difflib distinguishes upper from lower case
        close = [k for k in known if k.lower() == name.lower()][:1]
    return f" (nearest: {close[0]!r:.200})" if close else ""
