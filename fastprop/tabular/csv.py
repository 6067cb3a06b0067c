"""Read a CSV file as a table, in chunks of rows, so that memory holds the columns and not the cells."""

import csv
import io
import itertools
import re
from pathlib import Path

import numpy as np

from fastprop.tabular import dialect as dialects
from fastprop.tabular.columns import ColumnBuilder
from fastprop.tabular.table import NumberColumn, Table, TableError

__all__ = ["parse_csv", "read_csv"]

CHUNK = 500  # rows that are taken apart at once: few enough for their cells to stay in the cache


def read_csv(path, progress=None, part=None):
    """Read a CSV file: a line with the names of the columns, then a line for each row.

    Cells are separated by commas, semicolons, tabs, bars or blanks. The text is UTF-8, UTF-16 with a byte order mark,
    or else Windows-1252. Blank lines, titles above the names and comments that begin with # are skipped. If the first
    line holds values and no names, the columns are named column_1, column_2, ... The file may be compressed by gzip, or
    stand alone in a zip archive.

    Parameters
    ----------
    path : str or path
    progress : callable, optional
        Called as ``progress(rows, share)`` now and then: the rows so far, and the share of the file, or None if its
        length is not known.
    part : (int, int), optional
        The bytes of a file that is not compressed from the first on and up to the last, without it: the rows are those
        that begin there, or nearly. Parts that meet have all rows between them; one may have none, and no columns.

    Raises
    ------
    TableError
        If the file is empty, not text, has rows of unequal length or a column name twice.
    OSError
        If the file cannot be read.
    """
    return _read(dialects.source_of(Path(path)), str(path), progress, part)


def parse_csv(data, path):
    """Return the table that the bytes of a CSV file hold, as ``read_csv`` does; `path` is its name in messages."""
    return _read(lambda: io.BytesIO(data), str(path), None)


def _read(source, path, progress, part=None):
    dialect, texts = dialects.examine(source, path), ()
    while True:
        builders = [ColumnBuilder(texts=position in texts) for position in range(len(dialect.names))]
        try:
            lines = _read_rows(source, dialect, path, builders, progress, part)
        except UnicodeDecodeError as error:  # in the rest of the file
            if dialect.encoding != "utf-8-sig":
                raise TableError(f"{path}: not {dialect.encoding} text ({error.reason}); save it as UTF-8") from None
            dialect = dialects.windows_1252(source, dialect, path)
            continue
        if part is not None and not len(lines):
            return Table(path, {}, [])
        if texts or not any(builder.is_ambiguous for builder in builders):
            return _table(path, dialect, builders, lines)
        texts = {position for position, builder in enumerate(builders) if builder.is_ambiguous}


def _table(path, dialect, builders, lines):
    """Return the table of the columns that were built; `lines` are those of the rows."""
    columns, notes = {}, list(dialect.notes)
    for position, name in enumerate(dialect.names):
        column = builders[position].column()
        builders[position] = None  # its memory is free before the next column is put together
        if name:
            columns[name] = column
        elif isinstance(column, NumberColumn) or any(column.texts):
            notes.append(f"column {position + 1} has no name and is left out")
    return Table(path, columns, lines, tuple(notes), "," if dialect.delimiter == ";" else ".")


def _read_rows(source, dialect, path, builders, progress, part):
    """Give the cells of a file to the builders of its columns, and return the line of each row, int32 (rows,)."""
    size, width = _size(source), len(dialect.names)
    text, watched = dialects.open_text(source, path, dialect.encoding)
    lines, n_rows = [], 0
    with text:
        for _ in range(dialect.first_line - 1):
            next(text, None)
        reader = dialects.records_of(text, dialect.delimiter)
        while True:
            start = dialect.first_line + reader.line_num
            at = min(watched.done, size - 1)  # the byte up to which the file was read
            if part is not None and at >= part[1]:
                break
            try:
                rows = list(itertools.islice(reader, CHUNK))
            except csv.Error as error:
                raise _quote_error(source, dialect, path, error) from None
            if not rows:
                break
            if part is not None and at < part[0]:
                continue
            end = dialect.first_line + reader.line_num
            if end - start == len(rows) and set(map(len, rows)) == {width}:
                lines.append(np.arange(start, end, dtype=np.int32))
            else:
                rows, numbers = _whole_rows(rows, reader, start, dialect, path)
                lines.append(np.array(numbers, np.int32))
            for builder, column in zip(builders, zip(*rows)):
                builder.add(column)
            if progress is not None:
                n_rows += len(lines[-1])
                progress(n_rows, watched.done / size if size else None)
    lines = np.concatenate(lines) if lines else []
    if not len(lines) and part is None:
        raise TableError(f"{path} has one line, the names of {width} columns, and no rows")
    return lines


def _size(source):
    """Return the number of bytes of a file that is not compressed, otherwise 0."""
    with source() as stream:
        return stream.seek(0, io.SEEK_END) if isinstance(stream, io.BufferedReader | io.BytesIO) else 0


def _whole_rows(rows, reader, start, dialect, path):
    """Return the rows of a chunk, without blank lines and comments, and the line of each; refuse unequal ones."""
    kept, lines, wrong, line = [], [], [], start
    width = len(dialect.names)
    for row in rows:
        # Where there is no comment at the beginning, only what is no row can be one.
        comment = bool(row) and row[0].startswith("#") and (dialect.comments or len(row) != width)
        if row and not comment:
            kept.append(row)
            lines.append(line)
            if len(row) != width:
                wrong.append((line, len(row)))
        line += 1 + sum(len(_LINE_ENDS.findall(cell)) for cell in row)
    if wrong:
        more = len(wrong) - 1 + sum(bool(row) and len(row) != width for row in reader)
        others = f" ({more} more lines like it)" if more else ""
        raise TableError(
            f"{path}, line {wrong[0][0]}: {wrong[0][1]} cells where the first line names {width} columns{others}; "
            "a cell that holds the delimiter needs double quotes"
        )
    return kept, lines


_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def _quote_error(source, dialect, path, error):
    """Return the error about a quote, with the line on which its record starts."""
    start = dialect.first_line
    with dialects.open_text(source, path, dialect.encoding)[0] as text:
        for _ in range(dialect.first_line - 1):
            next(text)
        reader = dialects.records_of(text, dialect.delimiter)
        try:
            for _ in reader:
                start = dialect.first_line + reader.line_num
        except csv.Error:
            pass
    return TableError(f"{path}, line {start}: {error}; {dialects.QUOTES}")
