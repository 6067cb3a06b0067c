"""Schema: what each column of a table is, and how its cells are read, found once and stored in the model."""

from dataclasses import asdict, dataclass, field

import numpy as np

from fastprop import _validation
from fastprop.tabular.table import NumberColumn, TableError, TextColumn, TimeColumn, nearest

__all__ = ["ColumnSchema", "Schema"]

KINDS = ("number", "category", "time", "text")
GAPS = frozenset({"", "na", "n/a", "nan", "null", "none", "?", ".", "-"})  # compared in lower case


@dataclass(frozen=True)
class ColumnSchema:
    """How the cells of one column are read.

    Attributes
    ----------
    name : str
    kind : {"number", "category", "time", "text"}
    """

    name: str
    kind: str

    def __post_init__(self):
        if not isinstance(self.name, str):  # a model file may come from anyone
            raise TypeError(f"a column has a text for a name, got {self.name!r:.100}")
        _validation.choice("kind", self.kind, KINDS)

    def read(self, column):
        """Return the cells of a column.

        Returns
        -------
        values : array, or tuple
            Numbers are float64 (rows,), NaN at gaps; times datetime64[us] (rows,), NaT at gaps; categories and texts
            the pair of codes int32 (rows,), -1 at gaps, and the tuple of distinct texts.
        """
        if self.kind == "number":
            return read_numbers(column)[0]
        if self.kind == "time":
            return read_times(column)[0]
        return read_texts(column)


@dataclass(frozen=True)
class Schema:
    """The columns that a model reads, in order; `notes` are sentences about them for the user, and are not stored."""

    columns: tuple
    notes: tuple = field(default=(), compare=False)

    @property
    def names(self):
        """The columns that a table must have."""
        return tuple(column.name for column in self.columns)

    @classmethod
    def infer(cls, table, *, exclude=(), categorical=()):
        """Return the schema of a table.

        Parameters
        ----------
        table : Table
        exclude : sequence of str
            Columns that are left out, the target among them.
        categorical : sequence of str
            Columns of numbers that are read as categories.
        """
        columns, notes = [], []
        for name in (*exclude, *categorical):
            table[name]  # raises an error if there is no such column
        for name, column in table.columns.items():
            if name in exclude:
                continue
            if name in categorical:
                columns.append(ColumnSchema(name, "category"))
                continue
            numbers, failed = read_numbers(column)
            if isinstance(column, TimeColumn):
                kind = "time"
            elif not failed.any():
                if np.isnan(numbers).all():
                    notes.append(f"column {name!r} is empty and left out")
                    continue
                kind = "number"
            else:
                codes, texts = read_texts(column)
                known = int((codes >= 0).sum())
                if not read_times(column)[1].any():
                    kind = "time"
                elif len(texts) > 50 and 2 * len(np.unique(codes[codes >= 0])) > known:
                    kind = "text"
                else:
                    kind = "category"
            columns.append(ColumnSchema(name, kind))
        if not columns:
            why = f" ({'; '.join(notes)})" if notes else ""
            raise TableError(f"{table.path} has no column to learn from; wanted at least one beside the target{why}")
        return cls(tuple(columns), tuple(notes))

    def read(self, table):
        """Return the values of each column, as ``ColumnSchema.read`` returns them.

        Raises
        ------
        TableError
            If the table lacks a column.
        """
        lacking = [name for name in self.names if name not in table.columns]
        if lacking:
            spare = [name for name in table.names if name not in self.names]
            listed = ", ".join(f"{name!r}{nearest(name, spare)}" for name in lacking)
            what = "the column" if len(lacking) == 1 else f"{len(lacking)} columns:"
            raise TableError(
                f"{table.path} lacks {what} {listed}; the model was trained on {', '.join(map(repr, self.names))}"
            )
        return [column.read(table[column.name]) for column in self.columns]

    def to_dict(self):
        """Return a description that JSON can hold."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, description):
        """Return the Schema that `to_dict` described."""
        return cls(tuple(ColumnSchema(**column) for column in description["columns"]))


def _is_gap(text):
    return text.lower() in GAPS


def read_numbers(column):
    """Internal: return numbers, NaN at gaps and failures, and bool (rows,): whether a cell is no number."""
    if isinstance(column, NumberColumn):
        return column.values, np.zeros(len(column), bool)
    if isinstance(column, TimeColumn):
        return np.full(len(column), np.nan), ~np.isnat(column.values)
    values, failed = np.full(len(column.texts) + 1, np.nan), np.zeros(len(column.texts) + 1, bool)
    for place, text in enumerate(column.texts):
        try:
            values[place] = float(text)
        except ValueError:
            failed[place] = not _is_gap(text)
    return values[column.codes], failed[column.codes]


def read_times(column):
    """Internal: return times, NaT at gaps and failures, and bool (rows,): whether a cell is no time."""
    if isinstance(column, TimeColumn):
        return column.values, np.zeros(len(column), bool)
    if isinstance(column, NumberColumn):
        return np.full(len(column), "NaT", "datetime64[us]"), ~np.isnan(column.values)
    values = np.full(len(column.texts) + 1, "NaT", "datetime64[us]")
    failed = np.zeros(len(column.texts) + 1, bool)
    for place, text in enumerate(column.texts):
        try:
            values[place] = np.datetime64(text.replace(" ", "T"), "us")
        except ValueError:
            failed[place] = not _is_gap(text)
    return values[column.codes], failed[column.codes]


def read_texts(column):
    """Internal: return the codes of a column's texts, -1 at gaps, and the distinct texts."""
    if isinstance(column, TextColumn):
        gaps = np.array([_is_gap(text) for text in column.texts] + [True])
        return np.where(gaps[column.codes], np.int32(-1), column.codes), column.texts
    values = column.values
    distinct, codes = np.unique(values, return_inverse=True)
    codes = codes.astype(np.int32)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
    codes[missing] = -1
    shown = type(column)(distinct)
    return codes, tuple(shown.cell(place) for place in range(len(distinct)))
