"""Text for people: numbers, columns of them, and lines that are no wider than a terminal."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fastprop._util.lazy import LazyModule

unicodedata = LazyModule("unicodedata")

BESIDE = 24  # characters: what a wrapped line leaves to the right of its indentation, four or five words
NARROWEST = 8  # characters: a column of text is not made narrower, since hardly a word would fit
GAP = 2  # spaces between two columns


def number(value: Any, form: str = ".6g") -> str:
    """Return a number as text in a format such as ".4g" or ",.2f"; what is rounded to zero has no sign."""
    return format(float(value), f"z{form}")


def aligned(numbers: Sequence[str]) -> list[str]:
    """Return the texts of numbers padded to one length, with their decimal points below each other."""
    whole = []
    for each in numbers:
        match = re.match(r" *[-+]?[\d,]+", each)
        whole.append(len(match[0]) if match else len(each.rstrip()))
    left = [" " * (max(whole, default=0) - n) + each for n, each in zip(whole, numbers)]
    longest = max(map(len, left), default=0)
    return [each.ljust(longest) for each in left]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def wrapped(line: str, most: int, hang: int | None = None) -> list[str]:
    """Return a line as lines of at most `most` columns; those after the first are indented by `hang`.

    By default they are indented as the last column of the line that leaves BESIDE characters. Where none does, each
    column stands in a line of its own. A word that is longer than a line is divided, unless it is an address, which
    would not work any more.
    """
    line = line.rstrip()
    if width(line) <= most:
        return [line]
    columns = [match.end() for match in re.finditer(r"\S {2,}", line) if match.end() <= most - BESIDE]
    separate = hang is None and not columns
    if hang is None:
        start = len(line) - len(line.lstrip())
        hang = columns[-1] if columns else min(start + 2, max(start, most // 2), most - NARROWEST)
    found, current = [], ""
    for piece in re.findall(r"\s*\S+", line):
        ends = width(current) + width(piece) > most or (separate and piece.startswith("  "))
        if current.strip() and ends:
            found.append(current)
            current = " " * hang + piece.strip()
        else:
            current += piece
        while width(current) > most and "://" not in piece:
            end = _division(current, most)
            found.append(current[:end])
            current = " " * hang + current[end:]
    return [*found, current]


def _division(text: str, most: int) -> int:
    """Return where a text is divided so that the first part fits: behind a sign in its second half, if there is one."""
    end = min(most, len(text))
    while width(text[:end]) > most:
        end -= 1
    signs = [match.end() for match in re.finditer(r"[-_,/.=]", text[:end])]
    return signs[-1] if signs and signs[-1] > most // 2 else end


def table(rows: Iterable[Sequence[str]], most: int | None = None, numbers: Iterable[int] = ()) -> list[str]:
    """Return the lines of a table whose columns stand below each other, the first row being the header.

    Parameters
    ----------
    rows : iterable of sequence of str
    most : int, optional
        The largest width of a line. Where the table is wider, the texts in its widest columns are wrapped; where that
        is not enough, each cell stands in a line of its own behind the name of its column.
    numbers : iterable of int
        The columns that hold numbers: they are aligned at the decimal point, and only their header is wrapped.
    """
    header, *body = rows
    columns = [list(column) for column in zip(header, *body)]
    right = set(numbers)
    for place in right:
        columns[place][1:] = aligned(columns[place][1:])
    widths = [max(map(width, column)) for column in columns]
    if most is not None:
        words = [max(map(width, name.split()), default=0) for name in header]
        least = [NARROWEST] * len(widths)
        for place in right:
            least[place] = max(words[place], *map(width, columns[place][1:]), 0)
        while sum(widths) + GAP * (len(widths) - 1) > most:
            wide = [place for place, size in enumerate(widths) if size > least[place]]
            if not wide:
                return _stacked(header, body, most)
            widths[max(wide, key=widths.__getitem__)] -= 1
    lines = []
    for row in zip(*columns):
        cells = [wrapped(cell, size, 0) if width(cell) > size else [cell] for cell, size in zip(row, widths)]
        for k in range(max(map(len, cells))):
            parts = []
            for place, (cell, size) in enumerate(zip(cells, widths)):
                shown = cell[k] if k < len(cell) else ""
                space = " " * (size - width(shown))
                parts.append(space + shown if place in right else shown + space)
            lines.append((" " * GAP).join(parts).rstrip())
    return lines


def _stacked(header: Sequence[str], body: Iterable[Sequence[str]], most: int) -> list[str]:
    lines = []
    for first, *cells in body:
        shown = [f"  {name}: {cell}" if name else f"  {cell}" for name, cell in zip(header[1:], cells) if cell]
        lines += [part for line in (first, *shown) for part in wrapped(line, most)]
    return lines
