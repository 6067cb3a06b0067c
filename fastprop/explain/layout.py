"""The layout of a drawing: columns of boxes, and lines between them on which numbers stand.

Nothing collides, whatever the network: every line ends at a place of its own at the left side of a box, so far below
the one before it that its numbers have space. They stand on the last, horizontal part of their line; all that is not
horizontal lies to the left of them. Two numbers stand above and below their line if few lines end at a box, which
makes a drawing narrow, and else side by side on it. A line that skips columns runs below all boxes.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastprop._util import text as texts
from fastprop.explain.svg import attributes, drawing, escape

# Pixels. A letter of the monospaced fonts is 0.602 em wide, at 12 px; a line of text is 14 px high.
LETTER, ROW, PAD = 7.25, 17, 8
MIDDLE = 4  # from the middle of a line of text down to its baseline
BETWEEN = 16  # between two boxes of a column
MARGIN = 12
NEAREST, FARTHEST = 22, 120  # the width of the part of a gap in which lines are curved
LANE = 7  # between two lines below the boxes
# Two numbers above and below a line of up to 6 px, where at most this many lines end: a box of neurons is tall enough.
FEW, PITCH, ABOVE, BELOW = 3, 42, -8, 16


@dataclass
class Cell:
    """A line of text: a label and a value, whose space is as wide as the widest that may come here.

    Attributes
    ----------
    label, value : str
    space : int
        In letters, at least that of the value.
    kinds : tuple of str
        Classes.
    data : dict
        Attributes for scripts; see ``svg.attributes``.
    """

    label: str
    value: str = ""
    space: int = 0
    kinds: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def letters(self) -> int:
        """The width of the cell in letters."""
        value = max(self.space, texts.width(self.value))
        return texts.width(self.label) + (value + 1 if value and self.label else value)


@dataclass
class Box:
    """A box with columns of cells.

    Attributes
    ----------
    key : hashable
        By which lines find the box.
    cells : list of list of Cell
    head : str
        Stands above the box.
    data : dict
        Attributes of the group that holds the box and its cells.
    """

    key: Hashable
    cells: Sequence[Sequence[Cell]]
    head: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Line:
    """A line from the right side of one box to the left side of another, with the numbers that stand on it."""

    source: Hashable
    target: Hashable
    numbers: Sequence[Cell] = ()
    width: float = 1
    kinds: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


def draw(
    label: str,
    columns: Sequence[Sequence[Box]],
    lines: Sequence[Line],
    heads: Mapping[int, Sequence[Cell]],
    below: str = "",
) -> str:
    """Return the SVG of a drawing.

    Parameters
    ----------
    label : str
        The name of the whole drawing.
    columns : sequence of sequence of Box
    lines : sequence of Line
    heads : mapping of int -> sequence of Cell
        The labels that stand above the numbers of the lines that end in a column.
    below : str, default ""
        A line of text below everything.
    """
    place = {box.key: (c, r) for c, column in enumerate(columns) for r, box in enumerate(column)}
    coming: dict[Hashable, list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: (place[line.target][0] - place[line.source][0], place[line.source])):
        coming[line.target].append(line)

    # How large everything is.
    stacked = []
    for column in columns:
        numbers = max((len(line.numbers) for box in column for line in coming[box.key]), default=0)
        stacked.append(numbers == 2 and max(len(coming[box.key]) for box in column) <= FEW)
    pitch = [PITCH if each else ROW for each in stacked]
    tall = {
        box.key: max(ROW * max(map(len, box.cells)), pitch[c] * len(coming[box.key])) + PAD
        for c, column in enumerate(columns)
        for box in column
    }
    heights = [sum(tall[box.key] + BETWEEN for box in column) - BETWEEN for column in columns]
    highest = max(heights)
    widths = [max(_width(box) for box in column) for column in columns]
    skipping = [line for line in lines if place[line.target][0] - place[line.source][0] > 1]
    spaces, curves = [], []
    for c, column in enumerate(columns):
        ending = [line for box in column for line in coming[box.key]]
        most = max((len(line.numbers) for line in ending), default=0)
        titles = [*(head.label for head in heads.get(c, ())), *[""] * most][:most]
        spaces.append([
            LETTER * max([len(titles[n]), *(line.numbers[n].letters for line in ending if n < len(line.numbers))]) + PAD
            for n in range(most)
        ])  # fmt: skip
        if stacked[c]:
            spaces[c] = [max(spaces[c])]
        passing = sum(c in (place[line.source][0] + 1, place[line.target][0]) for line in skipping)
        steep = 0.1 * max(heights[c - 1], heights[c]) if c and len(ending) > 1 else 0
        curves.append(min(FARTHEST, max(NEAREST, steep)) + LANE * passing)

    # Where everything is: the left side of each column, and the top of each box.
    left: list[float] = []
    x: float = MARGIN
    for c, width in enumerate(widths):
        x += (curves[c] + sum(spaces[c]) + PAD) if c else 0
        left.append(x)
        x += width
    top, above = {}, MARGIN + ROW + PAD
    for column, height in zip(columns, heights):
        y = above + (highest - height) / 2
        for box in column:
            top[box.key] = y
            y += tall[box.key] + BETWEEN

    drawn: list[str] = []
    parts: list[list[str]] = [[] for _ in columns]
    lane = above + highest + BETWEEN
    used: dict[int, int] = defaultdict(int)  # by column: verticals of lines that skip columns
    for c, column in enumerate(columns):
        for box in column:
            first = top[box.key] + (tall[box.key] - pitch[c] * (len(coming[box.key]) - 1)) / 2
            for n, line in enumerate(coming[box.key]):
                source = place[line.source][0]
                start = left[source] + widths[source], top[line.source] + tall[line.source] / 2
                end, y = left[c], first + n * pitch[c]
                straight = end - PAD / 2 - sum(spaces[c])
                if c - source > 1:
                    used[source + 1] += 1
                    used[c] += 1
                    out, up = start[0] + LANE * used[source + 1], straight - LANE * used[c]
                    way = f"M{start[0]:g},{start[1]:g}H{out:g}V{lane:g}H{up:g}V{y:g}H{end:g}"
                    lane += LANE
                else:
                    bend = (straight - start[0]) / 2
                    way = (
                        f"M{start[0]:g},{start[1]:g}C{start[0] + bend:g},{start[1]:g} {straight - bend:g},{y:g} "
                        f"{straight:g},{y:g}H{end:g}"
                    )
                drawn.append(f'<path d="{way}" stroke-width="{line.width:.3g}"{attributes(line.kinds, line.data)}/>')
                x = straight
                if stacked[c]:
                    for cell, beside in zip(line.numbers, (ABOVE, BELOW)):
                        parts[c].append(_number(cell, end - PAD, y + beside, plate=False))
                    continue
                for cell, space in zip(line.numbers, spaces[c]):
                    x += space
                    parts[c].append(_number(cell, x - PAD / 2, y + MIDDLE))
            over = heads.get(c, ()) if box is column[0] and coming[box.key] else ()
            x = left[c] - PAD / 2 - sum(spaces[c])
            for n, head in enumerate(over):
                if stacked[c]:
                    y = first + ABOVE - ROW * (len(over) - n)
                    parts[c].append(_text(left[c] - PAD, y, head.label, ("soft",), head.data, "end"))
                else:
                    x += spaces[c][n]
                    y = first - ROW / 2 - 6
                    parts[c].append(_text(x - PAD / 2, y, head.label, ("soft",), head.data, "end"))
        for box in column:
            parts[c].append(_box(box, left[c], top[box.key], widths[c], tall[box.key]))
    wide, high = left[-1] + widths[-1] + MARGIN, (lane if skipping else above + highest) + MARGIN
    if below:
        parts.append([_text(MARGIN, high + PAD, below, ())])
        wide, high = max(wide, LETTER * texts.width(below) + 2 * MARGIN), high + ROW
    return drawing(wide, high, label, [*drawn, *(part for of_column in parts for part in of_column)])


def cut(words: str, most: int) -> str:
    """Return words of at most `most` letters; an ellipsis stands for the rest of longer ones."""
    if texts.width(words) <= most:
        return words
    while texts.width(words) > most - 3:
        words = words[:-1]
    return words.rstrip() + "..."


def _width(box: Box) -> float:
    cells = sum(max(cell.letters for cell in column) for column in box.cells)
    return max(LETTER * (cells + 2 * (len(box.cells) - 1)) + 2 * PAD, LETTER * texts.width(box.head))


def _text(
    x: float, y: float, words: str, kinds: tuple[str, ...], data: dict[str, Any] | None = None, anchor: str = "start"
) -> str:
    # Letters that the font has not are of another width.
    fitted = "" if words.isascii() else f' textLength="{LETTER * texts.width(words):g}" lengthAdjust="spacingAndGlyphs"'
    at = f'x="{x:g}" y="{y:g}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f"<text {at}{fitted}{attributes(kinds, data or {})}>{escape(words)}</text>"


def _number(cell: Cell, right: float, y: float, plate: bool = True) -> str:
    """Return a number that ends at (right, y); a plate of the paper's colour hides the line on which it stands."""
    width = LETTER * len(cell.value) + PAD / 2
    hiding = (
        f'<rect class="plate" x="{right + PAD / 4 - width:g}" y="{y - MIDDLE - ROW / 2 + 1:g}" width="{width:g}" '
        f'height="{ROW - 2}"/>'
    )
    return (
        f'<g class="on">{hiding if plate else ""}<text x="{right:g}" y="{y:g}" text-anchor="end"'
        f'{attributes(cell.kinds, cell.data)}><tspan class="value">{escape(cell.value)}</tspan></text></g>'
    )


def _box(box: Box, x: float, y: float, width: float, height: float) -> str:
    parts = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>']
    if box.head:
        parts.insert(0, _text(x, y - 7, box.head, ("head",)))
    start = x + PAD
    first = y + (height - ROW * max(map(len, box.cells))) / 2 + ROW / 2 + MIDDLE
    for place, column in enumerate(box.cells):
        letters = max(cell.letters for cell in column)
        end = x + width - PAD if place == len(box.cells) - 1 else start + LETTER * letters
        for n, cell in enumerate(column):
            parts.append(_line(cell, start, end, first + n * ROW))
        start += LETTER * (letters + 2)
    return f"<g{attributes(('box',), box.data)}>{''.join(parts)}</g>"


def _line(cell: Cell, start: float, end: float, y: float) -> str:
    if not cell.value:
        return _text(start, y, cell.label, cell.kinds)
    return (
        f'<text y="{y:g}"{attributes(cell.kinds, cell.data)}><tspan class="soft" x="{start:g}">{escape(cell.label)}'
        f'</tspan> <tspan class="value" x="{end:g}" text-anchor="end">{escape(cell.value)}</tspan></text>'
    )
