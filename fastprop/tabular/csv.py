"""Read a CSV file as a table of text columns."""

import csv
import io
from pathlib import Path

import numpy as np

from fastprop.tabular.table import Table, TableError, TextColumn

__all__ = ["parse_csv", "read_csv"]

DELIMITERS = ",;\t|"


def read_csv(path):
    """Read a CSV file in UTF-8 or UTF-16: first a line with the names of the columns, then a line for each row.

    Cells are separated by commas, semicolons, tabs or bars. Blank lines are skipped.

    Raises
    ------
    TableError
        If the file is empty, not text, has rows of unequal length or a column name twice.
    OSError
        If the file cannot be read.
    """
    return parse_csv(Path(path).read_bytes(), path)


def parse_csv(data, path):
    """Return the table that the bytes of a CSV file hold, as ``read_csv`` does; `path` is its name in messages."""
    text = _text(data, path)
    if not text.strip():
        raise TableError(f"{path} is empty; wanted a line of column names and a line per row")
    delimiter = _delimiter(text)
    rows, lines = _records(path, text, delimiter)
    names = [name.strip() for name in rows[0]]
    del rows[0], lines[0]
    if not rows:
        raise TableError(f"{path} has one line, the names of {len(names)} columns, and no rows")
    _check_widths(path, names, rows, lines)

    cells, notes = {}, []
    columns = zip(*rows, strict=True)
    for position, (name, column) in enumerate(zip(names, columns, strict=True), start=1):
        if name in cells:
            raise TableError(
                f"{path}: columns {names.index(name) + 1} and {position} are both named {name!r:.60}; rename one"
            )
        if name:
            places = {}
            codes = np.array([places.setdefault(cell.strip(), len(places)) for cell in column], np.int32)
            cells[name] = TextColumn(codes, tuple(places))
        elif any(cell.strip() for cell in column):  # such as row numbers, from which nothing is learned
            notes.append(f"column {position} has no name and is left out")
    if not cells:
        raise TableError(f"{path}: the first line names no column")
    return Table(str(path), cells, lines, tuple(notes))


def _text(data, path):
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{path}, line {line}: not {encoding.removesuffix('-sig').upper()} text "
            f"(byte {data[error.start]:#04x}); wanted a CSV file, saved as UTF-8"
        ) from None
    if "\0" in text:
        raise TableError(f"{path} is not text (it holds zero bytes); wanted a CSV file in UTF-8")
    return text


def _delimiter(text):
    """Return the delimiter with which most of the first 20 records have as many cells as the first one.

    Among equal delimiters the one that gives the first record the most cells is returned.
    """
    best, best_score = ",", (0, 0)
    for delimiter in DELIMITERS:
        widths = []
        try:
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
                widths += [len(record)] if record else []
                if len(widths) == 20:
                    break
        except csv.Error:
            pass  # _records meets the error again, and names the line
        if widths and widths[0] > 1:
            score = (widths.count(widths[0]) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _records(path, text, delimiter):
    """Return the records of a CSV text, and the number of the line on which each begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, lines, start = [], [], 1
    try:
        for row in reader:
            if row:  # a blank line gives an empty record
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"{path}, line {start}: {error}; a cell that opens with a double quote must close with "
            "one, and quotes inside it must be doubled"
        ) from None
    return rows, lines


def _check_widths(path, names, rows, lines):
    """Refuse rows that do not have a cell for each column."""
    wrong = [i for i, row in enumerate(rows) if len(row) != len(names)]
    if wrong:
        i = wrong[0]
        others = f" ({len(wrong) - 1} more lines like it)" if len(wrong) > 1 else ""
        raise TableError(
            f"{path}, line {lines[i]}: {len(rows[i])} cells where the first line names "
            f"{len(names)} columns{others}; a cell that holds the delimiter needs double quotes"
        )
