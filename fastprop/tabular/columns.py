"""Build the columns of a table while a file is read, chunk by chunk, in little memory.

The distinct texts of a column are numbered as they come. Where most texts are different, numbers for them save nothing;
if they are plain numbers, they are read as such at once.
"""

import re

import numpy as np

from fastprop.tabular.cells import DECIMAL_POINT, is_plain
from fastprop.tabular.table import NumberColumn, TextColumn

__all__ = ["AmbiguousError", "ColumnBuilder", "text_column"]

# From this many rows on, a column of which more than half of the texts are different is tried as one of numbers.
MIN_ROWS = 5000
# A leading zero, which may make a code of digits, in texts joined by zeros.
_LEADING_ZERO = re.compile(r"(?:^|\0)\s*[+-]?0\d").search


class AmbiguousError(Exception):
    """A column that was read as plain numbers must be read again as texts: they may mean something else."""


class ColumnBuilder:
    """A column while its cells come.

    Parameters
    ----------
    texts : bool
        Whether the texts are kept whatever they are.
    """

    def __init__(self, texts=False):
        self._places, self._codes, self._n = _Places(), [], 0
        self._values = None if texts else []  # of a column of numbers; empty while that is open
        self._keeps_texts = texts

    @property
    def is_numbers(self):
        """Whether the cells are read as numbers."""
        return bool(self._values)

    def add(self, cells):
        """Take the cells of a chunk, texts."""
        if self._values:
            self._add_numbers(cells)
            return
        self._codes.append(np.fromiter(map(self._places.__getitem__, cells), np.int32, len(cells)))
        self._n += len(cells)
        if not self._keeps_texts and 2 * len(self._places) > self._n >= MIN_ROWS:
            self._try_numbers()

    def column(self):
        """Return the column of all cells.

        Raises
        ------
        AmbiguousError
            If points in numbers may as well be marks of thousands: the texts are needed.
        """
        if not self._values:
            return text_column(np.concatenate(self._codes), tuple(self._places))
        if self._points and not self._decimal:
            raise AmbiguousError
        codes = np.concatenate(self._codes) if self._odd else None
        return NumberColumn(np.concatenate(self._values), codes, tuple(self._odd))

    def _try_numbers(self):
        """Go on with numbers if most of the texts so far are plain ones, and few of the others are different."""
        texts = tuple(self._places)
        n_plain = sum(map(is_plain, map(str.strip, texts)))
        if 10 * n_plain < 9 * len(texts):
            self._keeps_texts = True
            return
        codes, self._codes = self._codes, []
        self._odd, self._points, self._decimal = _Places(), False, False
        for chunk in codes:
            self._add_numbers([texts[code] for code in chunk.tolist()])
        self._places = None

    def _add_numbers(self, cells):
        if not self._decimal:  # with a decimal point in it, the column holds neither codes nor marks of thousands
            joined = "\0".join(cells)
            self._points = self._points or "." in joined
            self._decimal = DECIMAL_POINT.search(joined) is not None
            if not self._decimal and _LEADING_ZERO(joined):
                raise AmbiguousError
        try:
            values = np.array(list(map(float, cells)))
            plain = np.isfinite(values).all() and "_" not in "".join(cells)
        except ValueError:
            plain = False
        codes = np.full(len(cells), -1, np.int32)
        if not plain:
            values = np.full(len(cells), np.nan)
            for row, cell in enumerate(map(str.strip, cells)):
                if cell in self._odd:
                    codes[row] = self._odd[cell]
                elif is_plain(cell):
                    values[row] = float(cell)
                elif cell:
                    codes[row] = self._odd[cell]
            if 10 * len(self._odd) > max(len(self._values) * len(cells), MIN_ROWS):
                raise AmbiguousError
        self._values.append(values)
        self._codes.append(codes)


class _Places(dict):
    """The number of each text, in the order in which they came."""

    def __missing__(self, text):
        place = self[text] = len(self)
        return place


def text_column(codes, texts):
    """Internal: return the column of texts without the blanks around them, after which some may be equal."""
    places = _Places()
    stripped = np.fromiter((places[text.strip()] for text in texts), np.int32, len(texts))
    return TextColumn(codes if len(places) == len(texts) else stripped[codes], tuple(places))
