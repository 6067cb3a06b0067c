"""What notebooks show: tables and curves in HTML and SVG, without scripts, for light and dark paper.

Text from users is escaped here. A fragment has its own colours, since notebooks differ in theirs.
"""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from fastprop._util import palette
from fastprop._util.lazy import LazyModule
from fastprop._util.text import aligned, number

html = LazyModule("html")

COLOURS = [
    *("ink", "soft", "rule", "border", "page", "panel", "accent", "training", "held-out"),
    *("positive", "negative", "positive-text", "negative-text", *palette.CLASSES),
]
# Where the page says which theme it has, that counts more than what the system prefers: JupyterLab, Visual Studio
# Code, Colab, and Sphinx with furo or its relatives.
THEMES = {
    "light": '[data-jp-theme-light="true"], .vscode-light, [theme="light"], [data-theme="light"]',
    "dark": '[data-jp-theme-light="false"], .vscode-dark, [theme="dark"], [data-theme="dark"]',
}
STYLE = (
    palette.css(".fastprop, .fastprop .graph", COLOURS)
    + "".join(
        f":is({where}) .fastprop, :is({where}) .fastprop .graph {{ {palette.properties(theme, COLOURS)} }}\n"
        for theme, where in THEMES.items()
    )
    + """
.fastprop { color: var(--ink); background: var(--page); font: 14px/1.5 system-ui, "DejaVu Sans", sans-serif;
  padding: .6rem .8rem; overflow-wrap: anywhere; }
.fastprop p { margin: .3rem 0; max-width: 60rem; } .fastprop .soft { color: var(--soft); }
.fastprop div { overflow-x: auto; }
.fastprop table { border-collapse: collapse; margin: .5rem 0; font-size: 13px; background: none; color: inherit; }
.fastprop th, .fastprop td { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; border: 0;
  border-bottom: 1px solid var(--rule); background: none; color: inherit; overflow-wrap: break-word; max-width: 24rem; }
.fastprop tbody tr:nth-child(n) { background: none; }
.fastprop thead th { color: var(--soft); font-weight: 600; white-space: normal; }
.fastprop tbody th { font-weight: 400; }
.fastprop .key { white-space: nowrap; margin-right: 1em; }
.fastprop .number { text-align: right; white-space: pre; font-variant-numeric: tabular-nums; }
.fastprop .strong th, .fastprop .strong td { font-weight: 700; }
.fastprop caption { text-align: left; padding: 0; color: inherit; font-weight: 600; }
.fastprop tr > :last-child { padding-right: 0; }
@media (max-width: 30rem) { .fastprop th, .fastprop td { padding-right: .5rem; font-size: 12px; } }
.fastprop .side { display: grid; max-width: 60rem; gap: .4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.fastprop figure { margin: .3rem 0; max-width: 29rem; } .fastprop figcaption { font-weight: 600; }
.fastprop .graph { max-width: max(100%, 80rem); height: auto; }
.fastprop .chart { display: block; width: 100%; height: auto; font: 11px system-ui, "DejaVu Sans", sans-serif; }
.fastprop .chart text { fill: var(--ink); } .fastprop .chart .axis { stroke: var(--border); fill: none; }
.fastprop .chart .grid { stroke: var(--rule); fill: none; }
.fastprop .chart .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
@media (forced-colors: active) { .fastprop svg { forced-color-adjust: none; background: var(--page); } }
@media print {
  .fastprop div { overflow: visible; } .fastprop .graph { width: 100%; height: auto; }
  .fastprop th, .fastprop td { padding-right: .4rem; font-size: 11px; overflow-wrap: anywhere; }
}
"""
)

WIDTH, HEIGHT = 360, 200  # of a chart, in units of which a letter is 11 high: legible on a telephone too
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 32  # of them, around the curves: for labels of seven letters and of the axis
# Points of a curve: as many as a wide screen has pixels there. Each stands for some epochs, with their extremes.
POINTS = 400
LOGARITHMIC = 30  # an axis is logarithmic where the largest number is this many times the smallest
DASHES = ("", "6 3", "2 3", "8 3 2 3")  # distinguish curves where there are more than colours
LARGEST = 1e300  # beyond it, and below its inverse, the distances between numbers, or ticks, would not be finite
FLAT = 1e-9  # a smaller relative difference is rounding
LETTERS = 80  # of a cell


class Curve(NamedTuple):
    """A curve of a chart: its name, its points, the name of its colour in the palette, and its dashes."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str = ""


def fragment(*parts: str) -> str:
    """Return parts as one piece of HTML with its style."""
    return f'<div class="fastprop"><style>{STYLE}</style>{"".join(parts)}</div>'


def unbroken(text: str) -> str:
    """Return a short text whose words stay in one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def paragraph(sentence: str, kind: str = "") -> str:
    """Return a sentence, escaped."""
    return f"<p{_class(kind)}>{html.escape(sentence)}</p>"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    caption: str = "",
    strong: Iterable[int] = (),
) -> str:
    """Return an HTML table of text, whose first column names the rows.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    numbers : iterable of int
        The columns that hold numbers: they are aligned at the decimal point.
    caption : str, optional
    strong : iterable of int
        The rows that are set in bold.
    """
    columns = [list(column) for column in zip(header, *rows)]
    right, bold = set(numbers), set(strong)
    for place in right:
        columns[place][1:] = aligned(columns[place][1:])
    head, *body = ([cell(text) for text in row] for row in zip(*columns))
    kinds = [_class("number" if place in right else "") for place in range(len(header))]
    shown = "".join(f'<th scope="col"{kind}>{text}</th>' for kind, text in zip(kinds, head))
    lines = []
    for k, row in enumerate(body):
        cells = "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds[1:], row[1:]))
        lines.append(f'<tr{_class("strong" if k in bold else "")}><th scope="row"{kinds[0]}>{row[0]}</th>{cells}</tr>')
    title = f"<caption>{cell(caption)}</caption>" if caption else ""
    # Tables that are wider than the page are scrolled by the keyboard too, so that they can have the focus.
    whole = f"{title}<thead><tr>{shown}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div tabindex="0"><table>{whole}</table></div>'


def cell(text: str) -> str:
    """Return a text of a user for a cell: escaped, and cut where it is long."""
    return html.escape(text if len(text) <= LETTERS else text[: LETTERS - 3] + "...")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


# ---- charts ----


def chart(curves: Sequence[Curve], *, label: str, x: str, mark: tuple[float, float, str] | None = None) -> str:
    """Return curves as SVG with a legend, or "" if they have no two points.

    Parameters
    ----------
    curves : sequence of Curve
    label : str
        What the chart shows, for those who cannot see it.
    x : str
        The name of the horizontal axis.
    mark : (float, float, str), optional
        A point that is marked by a ring, and what the legend says of it.
    """
    points = [(a, b) for curve in curves for a, b in zip(curve.x, curve.y) if _drawable(b)]
    if len({a for a, _ in points}) < 2:
        return ""
    left, right = min(a for a, _ in points), max(a for a, _ in points)
    across = _Axis(left, right, LEFT, WIDTH - RIGHT, [a for a in _round_numbers(left, right, 5) if a == int(a)])
    low, high = min(b for _, b in points), max(b for _, b in points)
    logarithmic = low > 1 / LARGEST and high > LOGARITHMIC * low
    up = _Axis.of(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    parts = []
    for value in up.ticks:
        y = up(value)
        parts.append(f'<path class="grid" d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value, ".4g")}</text>')
    for value in across.ticks:
        at = across(value)
        anchor = "middle" if at < WIDTH - 2 * RIGHT else "end"  # a long number at the end would be cut off
        at = at if anchor == "middle" else WIDTH - 1
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="{anchor}">{value:,.0f}</text>')
    parts.append(f'<path class="axis" d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{html.escape(x)}</text>')
    for curve in curves:
        look = f' stroke-dasharray="{curve.dashes}"' if curve.dashes else ""
        way = _way(curve, across, up)
        parts.append(f'<path class="curve" d="{way}" style="stroke: var(--{curve.colour})"{look}/>')
    if mark is not None:
        parts.append(_ring(across(mark[0]), up(mark[1])))
    drawn = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
    )
    return drawn + (_legend(curves, mark) if len(curves) > 1 or mark is not None else "")


def figure(title: str, chart: str) -> str:
    """Return a chart below its title."""
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{chart}</figure>"


def _legend(curves: Sequence[Curve], mark: tuple[float, float, str] | None) -> str:
    shown = []
    for curve in curves:
        look = f' stroke-dasharray="{curve.dashes}"' if curve.dashes else ""
        line = f'<path d="M0,4H26" stroke-width="2" style="stroke: var(--{curve.colour})"{look}/>'
        shown.append((f'<svg width="26" height="8" aria-hidden="true">{line}</svg>', curve.name))
    if mark is not None:
        shown.append((f'<svg width="10" height="10" aria-hidden="true">{_ring(5, 5)}</svg>', mark[2]))
    keys = (f'<span class="key">{drawn} {cell(name)}</span> ' for drawn, name in shown)
    return f'<p class="soft">{"".join(keys)}</p>'


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill: var(--page); stroke: var(--ink); stroke-width: 1.5"/>'


def _drawable(value: float) -> bool:
    return abs(value) < LARGEST


class _Axis(NamedTuple):
    """The places of numbers along an axis, from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[float]
    logarithmic: bool = False

    @classmethod
    def of(cls, low: float, high: float, start: float, end: float, logarithmic: bool) -> "_Axis":
        """Return an axis that begins and ends at a round number."""
        if logarithmic:
            first, last = floor(log10(low)), ceil(log10(high))
            decades = max(1, ceil((last - first) / 5))  # five labels below each other do not touch
            return cls(10.0**first, 10.0**last, start, end, [10.0**k for k in range(first, last + 1, decades)], True)
        if high - low <= FLAT * max(abs(low), abs(high)):  # a horizontal line, at its height above 0
            low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1 / LARGEST:
            high = low + 1
        ticks = _round_numbers(low, high, 4)
        step = ticks[1] - ticks[0]
        low, high = step * floor(low / step), step * ceil(high / step)
        return cls(low, high, start, end, _round_numbers(low, high, 4))

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def _round_numbers(low: float, high: float, n: int) -> list[float]:
    """Return about n round numbers from low to high, with equal distances; at least the two beside them."""
    rough = (high - low) / n
    unit = 10.0 ** floor(log10(rough))
    step = next(times * unit for times in (1, 2, 5, 10) if times * unit >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def _way(curve: Curve, across: _Axis, up: _Axis) -> str:
    """Return the path of a curve; it is interrupted where a number is not finite."""
    way, pen = [], "M"
    for a, b in _thinned(list(zip(curve.x, curve.y))):
        if not _drawable(b):
            pen = "M"
            continue
        way.append(f"{pen}{across(a):.1f},{up(b):.1f}")
        pen = "L"
    return "".join(way)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most POINTS points: of neighbouring ones the lowest and the highest, in their order."""
    if len(points) <= POINTS:
        return points
    found, n = [], POINTS // 2
    for k in range(n):
        part = points[k * len(points) // n : (k + 1) * len(points) // n]
        finite = [point for point in part if _drawable(point[1])]
        extremes = {min(finite, key=lambda point: point[1]), max(finite, key=lambda point: point[1])} if finite else {}
        found += sorted(extremes) or [part[0]]
    return found
