"""Read the cells of a column as numbers, times, or codes of texts, in the way that is stored for it."""

import re
from dataclasses import dataclass
from types import NoneType

import numpy as np

from fastprop import _validation
from fastprop.tabular.cells import Gaps, NumberFormat, TimeFormat
from fastprop.tabular.table import NumberColumn, TableError, TextColumn, TimeColumn

__all__ = [
    "ColumnSchema",
    "as_texts",
    "check_finite",
    "check_names",
    "count",
    "gaps_word",
    "quoted",
    "read_numbers",
    "read_texts",
    "read_times",
    "verb",
]


@dataclass(frozen=True)
class ColumnSchema:
    """How the cells of one column are read.

    Attributes
    ----------
    name : str
    kind : {"number", "category", "time", "text"}
    format : NumberFormat or TimeFormat, optional
        How its numbers or times are written.
    na : tuple of str, optional
        The spellings of gaps, as ``cells.Gaps`` takes them.
    """

    name: str
    kind: str
    format: NumberFormat | TimeFormat | None = None
    na: tuple | None = None

    def __post_init__(self):
        check_names(self.name)
        _validation.choice("kind", self.kind, ("number", "category", "time", "text"))
        of_kind = {"number": NumberFormat, "time": TimeFormat}.get(self.kind)
        if isinstance(self.format, dict) and of_kind:
            object.__setattr__(self, "format", of_kind(**self.format))
        if not isinstance(self.format, of_kind or NoneType) and self.format is not None:
            raise TypeError(f"the column {self.name!r:.100} of kind {self.kind} has the format {self.format!r:.100}")
        if self.na is not None:
            object.__setattr__(self, "na", tuple(self.na))
            if not all(isinstance(text, str) for text in self.na):
                raise TypeError(f"the spellings of gaps are texts, got {self.na!r:.100}")

    @property
    def gaps(self):
        """The spellings of gaps."""
        return Gaps(self.na)

    def numbers(self, column):
        """Return the cells of a column as numbers, NaN at gaps and failures, and which failed: bool (rows,)."""
        return read_numbers(column, self.format, self.gaps)

    def times(self, column):
        """Return the cells of a column as times, NaT at gaps and failures, and which failed: bool (rows,)."""
        return read_times(column, self.format, self.gaps)

    def read(self, column):
        """Return the cells of a column; what is not of its kind is a gap.

        Returns
        -------
        values : array, or tuple
            Numbers are float64 (rows,), NaN at gaps; times datetime64[us] (rows,), NaT at gaps; categories and texts
            the pair of codes int32 (rows,), -1 at gaps, and the tuple of distinct texts.
        """
        if self.kind == "number":
            return self.numbers(column)[0]
        if self.kind == "time":
            return self.times(column)[0]
        return read_texts(column, self.gaps)

    def remarks(self, column):
        """Yield a sentence if cells of a new table are not of this kind."""
        if self.kind in ("number", "time"):
            failed = (self.numbers if self.kind == "number" else self.times)(column)[1]
            if failed.any():
                yield (
                    f"column {self.name!r}: {count(int(failed.sum()), 'cell')} that {verb(failed.sum())} no "
                    f"{self.kind} ({quoted(column, failed)}), read as {gaps_word(failed.sum())}"
                )


def check_names(*names):
    """Internal: check names of columns, categories and classes, since a model file may come from anyone."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column, category or class has a text for a name, got {name!r:.100}")


def check_finite(table, name, values):
    """Internal: raise a TableError that names the cell if a number of a column is infinite."""
    infinite = np.isinf(values)
    if infinite.any():
        raise TableError(
            f"{table.where(name, int(infinite.argmax()))}, which is infinite or too large; "
            "wanted a finite number: correct the cell, or leave it empty"
        )


def read_numbers(column, format=None, gaps=None):
    """Internal: return numbers, NaN at gaps and failures, and bool (rows,): whether a cell is no number.

    Without a format it is found from the texts of the column.
    """
    if isinstance(column, TimeColumn):
        return np.full(len(column), np.nan), ~np.isnat(column.values)
    if isinstance(column, NumberColumn) and column.codes is None:
        values, failed = column.values, np.zeros(len(column), bool)
    else:
        gaps = gaps or Gaps()
        missing = gaps.mask(column.texts)
        known = [text for text, gap in zip(column.texts, missing, strict=True) if not gap]
        if format is None:
            format = NumberFormat.of(known, np.ones(len(known)))
        numbers, no_number = np.full(len(missing) + 1, np.nan), np.zeros(len(missing) + 1, bool)
        numbers[:-1][~missing], parsed = format.read(known)
        no_number[:-1][~missing] = ~parsed
        values, failed = numbers[column.codes], no_number[column.codes]  # the last place is that of the code -1
        if isinstance(column, NumberColumn):
            values = np.where(column.codes < 0, column.values, values)
    if isinstance(column, NumberColumn) and gaps is not None and gaps.numbers:
        values = np.where(np.isin(values, list(gaps.numbers)), np.nan, values)
    return values, failed


def read_times(column, format=None, gaps=None):
    """Internal: return times, NaT at gaps and failures, and bool (rows,): whether a cell is no time."""
    if isinstance(column, TimeColumn):
        return column.values, np.zeros(len(column), bool)
    codes, texts = as_texts(column)
    missing = (gaps or Gaps()).mask(texts)
    format = format or TimeFormat.of([text for text, gap in zip(texts, missing, strict=True) if not gap])
    times, parsed = format.read(texts)
    times[missing] = np.datetime64("NaT", "us")
    return np.append(times, np.datetime64("NaT", "us"))[codes], np.append(~(parsed | missing), False)[codes]


def read_texts(column, gaps=None):
    """Internal: return the codes of a column's texts, int32 (rows,), -1 at gaps, and the tuple of distinct texts."""
    codes, texts = as_texts(column)
    missing = np.append((gaps or Gaps()).mask(texts, category=True), True)
    codes = np.where(missing[codes], np.int32(-1), codes)
    # A program that cannot hold gaps among whole numbers writes 1.0 where the table has 1.
    short = [text.rstrip("0").rstrip(".") if _POINT_ZERO(text) else text for text in texts]
    places = {text: place for place, text in enumerate(dict.fromkeys(short))}
    if short != list(texts):
        codes = np.array([*(places[text] for text in short), -1], np.int32)[codes]
    return codes, tuple(places)


_POINT_ZERO = re.compile(r"[+-]?\d+\.0+").fullmatch


def as_texts(column):
    """Internal: return the codes and texts of a column of any kind; -1 is the code of the gaps of a DataFrame."""
    if isinstance(column, TextColumn):
        return column.codes, column.texts
    values = column.values
    distinct, codes = np.unique(values, return_inverse=True)
    codes = codes.astype(np.int32)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
    codes[missing] = -1
    shown = type(column)(distinct)
    texts = tuple(shown.cell(place) for place in range(len(distinct)))
    if isinstance(column, NumberColumn) and column.codes is not None:
        codes = np.where(column.codes < 0, codes, column.codes + len(texts)).astype(np.int32)
        texts += column.texts
    return codes, texts


# ---- sentences ----


def quoted(column, rows):
    """Internal: return the commonest texts of the rows where `rows`, for people: at most three, quoted."""
    codes, texts = as_texts(column.take(np.flatnonzero(rows)))
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    order = np.argsort(-counts, kind="stable")
    found = [f"{texts[place]!r:.60}" for place in order[:3] if counts[place]]
    return ", ".join(found) + (", ..." if (counts > 0).sum() > 3 else "")


def count(n, what, several=None):
    """Internal: return a number of things as text; `several` is their plural if it is no `what` with an s."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {several or what + 's'}"


def verb(n):
    """Internal: return is or are, for a number of things."""
    return "is" if n == 1 else "are"


def gaps_word(n):
    """Internal: return a gap or gaps, for a number of cells."""
    return "a gap" if n == 1 else "gaps"
