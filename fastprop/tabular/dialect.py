"""How a CSV file is written: found from its beginning, once, before its rows are read."""

import csv
import gzip
import io
import itertools
import re
import zipfile
from collections import Counter
from dataclasses import dataclass, replace

from fastprop.tabular.cells import Gaps, NumberFormat, looks_like_times
from fastprop.tabular.table import TableError

__all__ = ["QUOTES", "Dialect", "examine", "is_plain", "open_text", "records_of", "source_of", "windows_1252"]

DELIMITERS = ",;\t| "
HEAD = 1 << 18  # the bytes that are examined, some hundreds of lines; also those that are read at once
SAMPLE = 100  # the records that are examined
QUOTES = "a cell that opens with a double quote must close with one, and quotes inside it must be doubled"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes
    ----------
    encoding : {"utf-8-sig", "utf-16", "cp1252"}
    delimiter : str
    names : tuple of str
        The names of the columns, empty where there is none.
    first_line : int
        The line on which the first row starts.
    comments : bool
        Whether lines that begin with # are skipped.
    notes : tuple of str
        Sentences about what was found, for the user.
    """

    encoding: str
    delimiter: str
    names: tuple
    first_line: int
    comments: bool = False
    notes: tuple = ()


# ---- the bytes ----


def source_of(path):
    """Internal: return a function that opens the bytes of a file, decompressed, as often as it is called.

    Raises
    ------
    TableError
        If the file is a workbook, or an archive of several files.
    OSError
        If it cannot be read.
    """
    if not path.is_file():  # a pipe, which can be read once; or nothing, and the error says so
        data = path.read_bytes()
        return lambda: io.BytesIO(data)
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic.startswith(b"\x1f\x8b"):
        return lambda: gzip.open(path)
    names = []
    if magic.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
    if "[Content_Types].xml" in names or magic.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(f"{path} is a workbook of a spreadsheet program; save the sheet as CSV")
    if len(names) > 1:
        raise TableError(f"{path} is an archive of {len(names)} files; unpack it, and give one of them")
    if names:
        return lambda: zipfile.ZipFile(path).open(names[0])
    return lambda: path.open("rb")


def is_plain(path):
    """Internal: return whether a file is one that is not compressed, so that its bytes are those of the text."""
    with path.open("rb") as stream:
        return not stream.read(4).startswith((b"\x1f\x8b", b"PK\x03\x04"))


class _Watched(io.RawIOBase):
    """The bytes of a stream, counted in `done`, and refused if there is a zero where none can be."""

    def __init__(self, stream, path, zeros):
        self._stream, self._path, self._zeros = stream, path, zeros
        self.done = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        n = self._stream.readinto(buffer)
        self.done += n
        if not self._zeros and b"\0" in bytes(memoryview(buffer)[:n]):
            raise _zeros(self._path)
        return n

    def close(self):
        self._stream.close()
        super().close()


def _zeros(path):
    return TableError(f"{path} is not text (it holds zero bytes); wanted a CSV file in UTF-8")


def open_text(source, path, encoding):
    """Internal: return the text of a source, and an object that counts its bytes in `done`."""
    watched = _Watched(source(), path, zeros=encoding == "utf-16")
    return io.TextIOWrapper(io.BufferedReader(watched, HEAD), encoding, newline=""), watched


def windows_1252(source, dialect, path):
    """Internal: return the dialect of a file that is not UTF-8 as Windows-1252, with a note that says where.

    Raises
    ------
    TableError
        If it is not Windows-1252 either.
    """
    with source() as stream:
        line, byte = next((line, byte) for line, byte in enumerate(map(_not_utf_8, stream), 1) if byte is not None)
    try:
        with open_text(source, path, "cp1252")[0] as text:
            for _ in iter(lambda: text.read(HEAD), ""):
                pass
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path}, line {line}: not UTF-8 text (byte {byte:#04x}), nor Windows-1252 "
            f"(byte {error.object[error.start]:#04x}); wanted a CSV file, saved as UTF-8"
        ) from None
    note = f"line {line} is not UTF-8 text (byte {byte:#04x}), so the file is read as Windows-1252, or Latin-1"
    names = tuple(name.encode("latin-1").decode("cp1252") for name in dialect.names)
    return replace(dialect, encoding="cp1252", names=names, notes=(*dialect.notes, note))


def _not_utf_8(line):
    """Return the first byte of a line that is not UTF-8, or None."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return line[error.start]


# ---- the beginning of the text ----


def examine(source, path):
    """Internal: return the Dialect of the bytes that `source` opens.

    Raises
    ------
    TableError
        If there is nothing in them, they are not text, or name columns twice or not at all.
    """
    with source() as stream:
        head = stream.read(HEAD)
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if len(head) == HEAD:  # without the line that may have been cut
        ends = [head.rfind(end.encode(encoding[:5] + "-le" * (encoding == "utf-16"))) for end in "\r\n"]
        head = head[: max(ends) + (2 if encoding == "utf-16" else 1)] or head
    if encoding == "utf-8-sig" and b"\0" in head:
        raise _zeros(path)
    try:
        return _examine_text(head.decode(encoding), path, encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise TableError(f"{path}: not UTF-16 text ({error.reason}); save it as UTF-8") from None
        return windows_1252(source, _examine_text(head.decode("latin-1"), path, encoding), path)


def _examine_text(text, path, encoding):
    if not text.strip():
        raise TableError(f"{path} is empty; wanted a line of column names and a line per row")
    lines = io.StringIO(text, newline="").readlines()
    separator = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE)
    n_above = 1 if separator else 0
    comment = None
    while n_above < len(lines) and (lines[n_above].startswith("#") or not lines[n_above].strip()):
        comment = lines[n_above] if lines[n_above].startswith("#") else comment
        n_above += 1
    comments = comment is not None
    delimiter = separator[1] if separator else _delimiter(lines[n_above:])
    records = list(_sample(lines[n_above:], delimiter, comments))
    if not records and n_above == len(lines):
        raise TableError(f"{path} has only comments and no rows; wanted a line of column names and a line per row")
    if not records:
        raise TableError(f"{path}, line {n_above + 1}: {QUOTES}")
    width = Counter(len(record) for _, _, record in records).most_common(1)[0][0]
    notes = []

    def dialect(names, first_line, records):
        names = _checked_names(path, names, [record for _, _, record in records])
        return Dialect(encoding, delimiter, names, n_above + first_line, comments, tuple(notes))

    if comments and all(map(_is_value, records[0][2])):
        named = [record for _, _, record in _sample([comment.lstrip("#").lstrip()], delimiter, False)]
        if named and len(named[0]) == width:  # the names of the columns stand in the last comment
            return dialect(named[0], 1, records)
    titles = list(itertools.takewhile(lambda record: _is_title(record[2], width), records))
    if titles and len(titles) < len(records):
        last = n_above + titles[-1][1]
        where = f"lines {n_above + titles[0][0]} to {last} stand" if len(titles) > 1 else f"line {last} stands"
        shown = next(cell for cell in titles[0][2] if cell.strip())
        notes.append(f"{where} above the names of the columns and is no part of the table: {shown.strip()!r:.60}")
        records = records[len(titles) :]
    first, last, names = records[0]
    if _is_row(names, [record for _, _, record in records[1:]]):
        names = [f"column_{k}" for k in range(1, width + 1)]
        shown = f"{names[0]} to {names[-1]}" if width > 1 else names[0]
        notes.append(f"line {n_above + first} holds values, not names: it is a row, and the columns are named {shown}")
        return dialect(names, first, records)
    return dialect(names, last + 1, records[1:])


def _checked_names(path, names, rows):
    """Return the names of the columns; `rows` are those of the sample."""
    names = [name.strip() for name in names]
    if not rows:
        raise TableError(f"{path} has one line, the names of {len(names)} columns, and no rows")
    if len(rows) > 1 and len(names) > 1 and {len(row) for row in rows} == {len(names) + 1}:
        if not any(row[-1].strip() for row in rows):  # a delimiter at the end of each row
            names.append("")
        elif len({row[0] for row in rows}) == len(rows):  # R writes the names of rows without a name of their own
            names.insert(0, "")
    for position, name in enumerate(names, 1):
        if name and name in names[: position - 1]:
            raise TableError(
                f"{path}: columns {names.index(name) + 1} and {position} are both named {name!r:.60}; rename one"
            )
    if not any(names):
        raise TableError(f"{path}: the first line names no column")
    return tuple(names)


def records_of(lines, delimiter):
    """Internal: return the reader of the records that lines hold, lists of cells; a blank line holds an empty one."""
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _sample(lines, delimiter, comments):
    """Yield the first records of lines: the first and the last line of each, from 1, and the cells."""
    reader, start, n = records_of(lines, delimiter), 1, 0
    try:
        for record in reader:
            if record and not (comments and record[0].startswith("#")):
                yield start, reader.line_num, record
                n += 1
                if n == SAMPLE:
                    return
            start = reader.line_num + 1
    except csv.Error:
        return  # it is met again when the rows are read, and the line is named


def _delimiter(lines):
    """Return the delimiter with which most of the first records have equally many cells.

    Among equal delimiters the one that makes the most cells is returned. A blank is one only if no other is, and all
    records have equally many cells, or one more than the first, as R writes them.
    """
    best, best_score = ",", (0, 0)
    for delimiter in DELIMITERS:
        widths = [len(record) for _, _, record in _sample(lines, delimiter, True)]
        counts = Counter(widths)
        most = max((width for width in counts if width > 1), key=counts.get, default=0)
        score = (counts[most] / len(widths), most) if most else (0, 0)
        if delimiter == " " and (best_score > (0, 0) or len(set(widths[1:])) != 1 or most - widths[0] not in (0, 1)):
            continue
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _is_title(record, width):
    """Return whether a record above the names is a title: one cell, or one and empty ones, in a table of several."""
    filled = [bool(cell.strip()) for cell in record]
    return width > 1 and len(record) <= width and sum(filled) == filled[0] == 1


def _is_value(cell):
    """Return whether a cell is a number, a time or a gap, and so no name."""
    text = [cell.strip()]
    return bool(Gaps().mask(text)[0] or NumberFormat(unit="%").read(text)[1][0] or looks_like_times(text))


def _is_row(first, records):
    """Return whether the first record is a row like the others, and does not hold names.

    It is if there are numbers in it, each in a column of numbers, and each of its texts occurs in its column again. But
    whole numbers in order, such as 0, 1, 2, or 2010, 2011, are names, unless the rows are alike.
    """
    rows = [record for record in records if len(record) == len(first)]
    if not rows or not any(NumberFormat().read([cell.strip() for cell in first])[1]):
        return False
    if _counts_up(first) and not all(map(_counts_up, rows)):
        return False
    for cell, below in zip(first, zip(*rows)):
        if not (2 * sum(map(_is_value, below)) > len(below) if _is_value(cell) else cell in below):
            return False
    return True


def _counts_up(record):
    """Return whether the cells that are whole numbers, two or more, follow each other, as in a,2010,2011."""
    numbers = [int(cell) for cell in map(str.strip, record) if cell.isdecimal()]
    return len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
