"""Used by the other extensions: charts and grids of numbers in SVG, which stand in the page and have its colours.

docs/_static/pictures.css gives each class its colour, from fastprop/_util/palette.py, so that a picture follows the
theme of the page. Every picture has a label, which is its alternative text.
"""

import math
from html import escape

SIZE = (380, 230)  # pixels: a chart fits a phone of 390 without being scaled, so that its text stays legible
THUMBNAIL = (160, 90)  # shows the shape of the curves and no text


def svg(size, label, parts, kind="plot"):
    """Return a whole picture; a `label` of "" makes it decoration, for where the text beside it says the same.

    A picture of the kind "plot" is as wide as its place, and one of the kind "plot natural" as wide as it is.
    """
    width, height = size
    said = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" {said}>{"".join(parts)}</svg>'


def text(x, y, words, kind="", anchor="middle"):
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def line(x0, y0, x1, y1, kind):
    """Return a straight line."""
    return f'<path d="M{x0:g} {y0:g}L{x1:g} {y1:g}" class="{kind}"/>'


def ticks(low, high, most=5):
    """Return round numbers between two limits, at most `most` + 1."""
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * k + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value):
    """Return a number for an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Chart:
    """Axes from `xlim` and `ylim`, on which curves, dots and lines are drawn."""

    def __init__(self, xlim, ylim, *, xlabel="", ylabel="", size=SIZE, thumbnail=False):
        self.xlim, self.ylim, self.thumbnail = xlim, ylim, thumbnail
        self.size = THUMBNAIL if thumbnail else size
        left, top, right, bottom = (3, 3, 3, 3) if thumbnail else (46, 26, 10, 38)
        self.box = (left, top, self.size[0] - right, self.size[1] - bottom)
        self.parts, self.legend, self.labels = [], [], (xlabel, ylabel)

    def at(self, x, y):
        """Return the position of a point in the picture."""
        (x0, x1), (y0, y1), (left, top, right, bottom) = self.xlim, self.ylim, self.box
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    def curve(self, xs, ys, kind, name=""):
        """Draw a curve through points."""
        points = (self.at(float(x), float(y)) for x, y in zip(xs, ys))
        self.parts.append(f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{kind}"/>')
        if name:
            self.legend.append((kind, name))

    def dots(self, xs, ys, kind, radius=3.0, name=""):
        """Draw a dot at each point."""
        for x, y in zip(xs, ys):
            px, py = self.at(float(x), float(y))
            self.parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius:g}" class="{kind} dot"/>')
        if name:
            self.legend.append((f"{kind} dot", name))

    def rings(self, xs, ys, kind, radius=5.0):
        """Draw a ring around each point, on paper, so that no curve below it takes its contrast."""
        for x, y in zip(xs, ys):
            px, py = self.at(float(x), float(y))
            self.parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius + 1:g}" class="paper"/>')
            self.parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius:g}" class="{kind} ring"/>')

    def svg(self, said):
        """Return the picture."""
        (x0, x1), (y0, y1), (left, top, right, bottom) = self.xlim, self.ylim, self.box
        frame = []
        if y0 < 0 < y1:
            frame.append(line(left, self.at(x0, 0)[1], right, self.at(x0, 0)[1], "zero"))
        if x0 < 0 < x1:
            frame.append(line(self.at(0, y0)[0], top, self.at(0, y0)[0], bottom, "zero"))
        if not self.thumbnail:
            frame += [line(left, bottom, right, bottom, "axis"), line(left, top, left, bottom, "axis")]
            for x in ticks(x0, x1):
                frame.append(text(self.at(x, y0)[0], bottom + 15, label(x), "tick"))
            for y in ticks(y0, y1, 4):
                frame.append(text(left - 6, self.at(x0, y)[1] + 4, label(y), "tick", "end"))
            frame.append(text((left + right) / 2, self.size[1] - 5, self.labels[0]))
            frame.append(text(4, 14, self.labels[1], anchor="start"))
            x = right
            for kind, name in reversed(self.legend):  # at the right above the axes
                x -= 7.2 * len(name) + 4
                frame.append(text(x, 14, name, anchor="start"))
                mark = f'<circle cx="{x - 9:g}" cy="10" r="3.5" class="{kind}"/>'
                frame.append(mark if "dot" in kind else line(x - 28, 10, x - 5, 10, kind))
                x -= 40
        width, height = right - left, bottom - top
        place = f'x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}"'
        # The inner picture clips what leaves the axes.
        return svg(self.size, said, [*frame, f"<svg {place}>", *self.parts, "</svg>"])


CELL = (46, 26)  # pixels of a number in a grid


def grid(x, y, values, *, name="", marked=None, numbers=True, cell=CELL):
    """Return a matrix as a grid of numbers, blue above 0 and orange below, with its name above and its shape below.

    `marked` says which cells have an outline.
    """
    rows, columns = values.shape
    width, height = cell
    largest = max(abs(values).max(), 1e-12)
    parts = [text(x + columns * width / 2, y - 9, name, "head")] if name and numbers else []
    outlines = []
    for r in range(rows):
        for c in range(columns):
            value = float(values[r, c])
            left, top = x + c * width, y + r * height
            kind = "plus" if value > 0 else "minus" if value < 0 else "none"
            where = f'x="{left:g}" y="{top:g}" width="{width}" height="{height}"'
            parts.append(f'<rect {where} class="cell {kind}" fill-opacity="{0.08 + 0.42 * abs(value) / largest:.2f}"/>')
            if numbers:
                parts.append(text(left + width / 2, top + height / 2 + 4.5, short(value), "number"))
            if marked is not None and marked[r, c]:
                outlines.append(f'<rect {where} class="marked"/>')
    return "".join(parts + outlines)


def short(value):
    """Return a number with two decimals, without zeros at its end, and -0 as 0."""
    return f"{round(value, 2) + 0.0:g}"
