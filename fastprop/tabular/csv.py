"""Read a CSV file into columns of text cells, and columns of text as numbers.

``fastprop.tabular.encoders`` turns the columns into the inputs and targets of a network.
"""

import csv
import difflib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Table", "TableError", "nearest", "parse_csv", "read_csv"]

GAPS = frozenset({"", "na", "n/a", "nan", "null"})  # compared in lower case
DELIMITERS = ",;\t|"


class TableError(ValueError):
    """A table that cannot be used as asked; the message says what was got, wanted, and to do."""


@dataclass(frozen=True)
class Table:
    """The text of a table, column by column.

    Attributes
    ----------
    path : str
        The file that it was read from, for messages.
    cells : dict of str to list of str
        The cells of each column, stripped of blanks around them.
    lines : list of int
        The line of the file on which each row starts.
    delimiter : str
    notes : tuple of str
        Sentences about what the reader did, for the user.
    """

    path: str
    cells: dict
    lines: list
    delimiter: str = ","
    notes: tuple = ()

    @property
    def names(self):
        """The names of the columns, in the order of the file."""
        return tuple(self.cells)

    @property
    def n_rows(self):
        """How many rows there are below the names."""
        return len(self.lines)

    def column(self, name):
        """Return the cells of a column.

        Raises
        ------
        TableError
            If there is no such column. The message lists the columns, and names the nearest.
        """
        if name in self.cells:
            return self.cells[name]
        shown = ", ".join(f"{known!r:.100}" for known in self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        close = nearest(name, self.names)
        message = f"{self.path} has no column {name!r:.200}{close}; its columns are {shown}"
        if not _parse(self.names)[1]:
            message += " (the first line holds numbers: it should hold the names of the columns)"
        raise TableError(message)

    def numbers(self, name):
        """Return a column as numbers, and the rows whose cells are not numbers.

        Returns
        -------
        values : float64 array (n_rows,)
            NaN where there is a gap or the cell is not a number.
        failed : list of int
            The rows whose cell is neither a gap nor a number.
        """
        cells = self.column(name)
        if self.delimiter != ",":
            # Where the comma does not separate columns it is a decimal comma, as in most of Europe.
            cells = [cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell for cell in cells]
        values, failed = _parse(cells)
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite) and not failed:
            row = int(infinite[0])
            raise TableError(
                f"{self.where(name, row)}, which is infinite or too large; wanted a finite number: "
                "correct the cell, or leave it empty"
            )
        return values, failed

    def gaps(self, name):
        """Return a bool array (n_rows,): True where a cell is a gap, that is empty, NA, N/A, NaN or null."""
        return np.array([cell.lower() in GAPS for cell in self.column(name)], dtype=bool)

    def where(self, name, row):
        """Return the beginning of a message about a cell: its file, line, column and content."""
        cell = self.cells[name][row]
        return f"{self.path}, line {self.lines[row]}: column {name!r:.200} holds {cell!r:.200}"


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
        column = [cell.strip() for cell in column]
        if name:
            cells[name] = column
        elif any(column):  # such as the row numbers that pandas writes, from which nothing is learned
            notes.append(f"column {position} has no name and is left out")
    if not cells:
        raise TableError(f"{path}: the first line names no column")
    return Table(str(path), cells, lines, delimiter, tuple(notes))


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


def _parse(cells):
    """Return (values, failed) of a sequence of cells, as Table.numbers does."""
    # float() accepts 1_000 as a number, but in a table it is an identifier.
    try:
        if not any("_" in cell for cell in cells):
            return np.array(list(map(float, cells)), dtype=np.float64), []
    except ValueError:
        pass
    values, failed = np.full(len(cells), np.nan), []
    for row, cell in enumerate(cells):
        if cell.lower() in GAPS:
            continue
        try:
            values[row] = float(cell) if "_" not in cell else float("")
        except ValueError:
            failed.append(row)
    return values, failed


def nearest(name, known):
    """Return " (nearest: ...)" for a message about an unknown name, or an empty string."""
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    if not close:  # difflib distinguishes upper from lower case
        close = [k for k in known if k.lower() == name.lower()][:1]
    return f" (nearest: {close[0]!r:.200})" if close else ""
