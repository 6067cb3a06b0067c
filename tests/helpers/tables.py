"""Small tables for tests."""

import numpy as np

from fastprop.tabular.table import Table, TextColumn


def table(**columns):
    """Return a table of texts, as if it had been read from a file named t.csv."""
    texts = {name: [str(cell) for cell in column] for name, column in columns.items()}
    made = {}
    for name, cells in texts.items():
        places = {}
        codes = np.array([places.setdefault(cell, len(places)) for cell in cells], np.int32)
        made[name] = TextColumn(codes, tuple(places))
    n_rows = len(next(iter(texts.values())))
    return Table("t.csv", made, range(2, n_rows + 2))
