"""Build the columns of a table while a file is read, chunk by chunk, in little memory.

The distinct texts of a column are numbered as they come. Where most texts are different, numbers for them save nothing;
if they are plain numbers, they are read as such at once.
"""

import re

import numpy as np

from fastprop.tabular.cells import DECIMAL_POINT, is_plain
from fastprop.tabular.table import NumberColumn, TextColumn

__all__ = ["ColumnBuilder", "text_column"]

# A column is tried as one of numbers if this share of its texts are different after this many rows: early if nearly
# all are.
EARLY_ROWS, EARLY_SHARE = 500, 0.9
LATE_ROWS, LATE_SHARE = 5000, 0.5
# A leading zero, which may make a code of digits, in texts joined by zeros.
_LEADING_ZERO = re.compile(r"(?:^|\0)\s*[+-]?0\d").search


class ColumnBuilder:
    """A column while its cells come.

    Parameters
    ----------
    texts : bool
        Whether the texts are kept whatever they are.
    """

    def __init__(self, texts=False):
        self._keeps_texts = texts
        self._places, self._codes, self._n = _Places(), [], 0
        self._values = None  # a list of arrays, once the column is one of numbers
        self._points = self._decimal = self._failed = False

    @property
    def is_ambiguous(self):
        """Whether what was read as plain numbers may mean something else, so that the texts must be read again."""
        return self._failed or (self._points and not self._decimal)

    def add(self, cells):
        """Take the cells of a chunk, texts."""
        if self._values is not None:
            self._add_numbers(cells)
            return
        self._codes.append(np.fromiter(map(self._places.__getitem__, cells), np.int32, len(cells)))
        self._n += len(cells)
        share = len(self._places) / self._n
        early, late = self._n >= EARLY_ROWS and share > EARLY_SHARE, self._n >= LATE_ROWS and share > LATE_SHARE
        if not self._keeps_texts and (early or late):
            self._try_numbers()

    def column(self):
        """Return the column of all cells."""
        if self._values is None:
            return text_column(np.concatenate(self._codes), tuple(self._places))
        codes = None
        if self._places:
            chunks = zip(self._codes, self._values, strict=True)
            codes = np.concatenate([np.full(len(v), -1, np.int32) if c is None else c for c, v in chunks])
        return NumberColumn(np.concatenate(self._values), codes, tuple(self._places))

    def _try_numbers(self):
        """Go on with numbers if most of the texts so far are plain ones."""
        texts = tuple(self._places)
        if 10 * sum(map(is_plain, map(str.strip, texts))) < 9 * len(texts):
            self._keeps_texts = True
            return
        chunks, self._codes, self._values = self._codes, [], []
        self._places = _Places()  # from now on of the cells that are no plain numbers
        for codes in chunks:
            self._add_numbers([texts[code] for code in codes.tolist()])

    def _add_numbers(self, cells):
        if self._failed:
            return
        joined = "\0".join(cells)
        if not self._decimal:  # with a decimal point in it, the column holds neither codes nor marks of thousands
            self._points = self._points or "." in joined
            self._decimal = DECIMAL_POINT.search(joined) is not None
            self._failed = not self._decimal and _LEADING_ZERO(joined) is not None
        codes = None
        try:
            values = np.array(list(map(float, cells)))
            plain = np.isfinite(values).all() and "_" not in joined
        except ValueError:
            plain = False
        if not plain:
            values, codes = self._with_others(cells)
        self._values.append(values)
        self._codes.append(codes)
        # Many different ones make texts of it after all.
        self._failed = self._failed or 10 * len(self._places) > max(len(self._values) * len(cells), LATE_ROWS)

    def _with_others(self, cells):
        """Return the numbers among cells, NaN elsewhere, and the places of those that are neither numbers nor empty."""
        cells, places = list(map(str.strip, cells)), self._places
        try:
            values = np.array([float(cell) if cell and cell not in places else np.nan for cell in cells])
            n_others = cells.count("") + sum(map(places.__contains__, cells))
            known = "_" not in "".join(cells) and np.isfinite(values).sum() == len(cells) - n_others
        except ValueError:
            known = False
        if not known:
            for cell in cells:
                if cell and cell not in places and not is_plain(cell):
                    places[cell] = len(places)
            values = np.array([float(cell) if cell and cell not in places else np.nan for cell in cells])
        return values, np.fromiter((places.get(cell, -1) for cell in cells), np.int32, len(cells))


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
