"""Put tables of the same columns one behind the other, such as those of several files, or of several processes."""

import numpy as np

from fastprop.tabular.reading import as_texts
from fastprop.tabular.table import NumberColumn, Table, TableError, TextColumn, TimeColumn

__all__ = ["stack"]


def stack(tables):
    """Return the table of the rows of several tables, one behind the other.

    Parameters
    ----------
    tables : sequence of Table
        Their columns may be in any order; the first table decides it. One without columns has no rows, and adds none.

    Raises
    ------
    TableError
        If there is no table with columns, or two have different ones.
    """
    tables = [table for table in tables if table.columns]
    if not tables:
        raise TableError("there are no rows in any of the files")
    first, *others = tables
    for other in others:
        if set(other.names) != set(first.names):
            spare = [name for name in (*first.names, *other.names) if (name in first.names) != (name in other.names)]
            raise TableError(
                f"{first.path} and {other.path} have different columns: only one of them has "
                f"{', '.join(map(repr, spare[:5]))}{', ...' if len(spare) > 5 else ''}"
            )
    if not others:
        return first
    columns = {name: stack_columns([table[name] for table in tables]) for name in first.names}
    files = stack_columns([_files(table) for table in tables])
    path = files.texts[0] + (f" and {len(files.texts) - 1} more" if len(files.texts) > 1 else "")
    lines = np.concatenate([np.asarray(table.lines, np.int64) for table in tables])
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return Table(path, columns, lines, notes, first.decimal, files if len(files.texts) > 1 else None)


def _files(table):
    return TextColumn(np.zeros(table.n_rows, np.int32), (table.path,)) if table.files is None else table.files


def stack_columns(columns):
    """Internal: return the cells of several columns as one; columns of different kinds become one of texts."""
    kinds = {type(column) for column in columns if not _is_empty(column)}
    kind = kinds.pop() if len(kinds) == 1 else TextColumn if kinds else type(columns[0])
    if kind is TextColumn:
        categorical = any(getattr(column, "categorical", False) for column in columns)
        return TextColumn(*_join([as_texts(column) for column in columns]), categorical)
    gap = np.datetime64("NaT", "us") if kind is TimeColumn else np.nan
    values = [column.values if isinstance(column, kind) else np.full(len(column), gap) for column in columns]
    if kind is TimeColumn:
        return TimeColumn(np.concatenate(values))
    others = [
        (column.codes, column.texts) if isinstance(column, kind) and column.codes is not None else _nothing(column)
        for column in columns
    ]
    codes, texts = _join(others)
    return NumberColumn(np.concatenate(values), codes if texts else None, texts)


def _is_empty(column):
    """Return whether every cell is a gap."""
    if isinstance(column, TextColumn):
        return not any(column.texts[code].strip() for code in np.unique(column.codes) if code >= 0)
    if isinstance(column, TimeColumn):
        return bool(np.isnat(column.values).all())
    return bool(np.isnan(column.values).all()) and not column.texts


def _nothing(column):
    return np.full(len(column), -1, np.int32), ()


def _join(parts):
    """Return the codes, int32 (rows,), and the distinct texts of several pairs of codes and texts."""
    places, joined = {}, []
    for codes, texts in parts:
        own = [places.setdefault(text, len(places)) for text in texts]
        joined.append(np.array([*own, -1], np.int32)[codes])  # the last place is that of the code -1
    return np.concatenate(joined), tuple(places)
