"""Elements of a drawing in SVG, with colours for light and dark themes."""

from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

from fastprop._util import palette
from fastprop._util.lazy import LazyModule
from fastprop._util.text import number

html = LazyModule("html")

COLOURS = ("ink", "soft", "border", "page", "panel", "positive", "negative", "positive-text", "negative-text")
STYLE = f"""
{palette.css(".graph", COLOURS)}.graph {{ font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }}
.graph text {{ fill: var(--ink); }} .graph text.soft {{ fill: var(--soft); }} .graph .head {{ font-weight: 600; }}
.graph rect {{ fill: var(--panel); stroke: var(--border); }}
.graph path {{ fill: none; stroke: var(--border); stroke-linecap: round; }}
.graph path.plus {{ stroke: var(--positive); }} .graph path.minus {{ stroke: var(--negative); }}
.graph text.plus {{ fill: var(--positive-text); }} .graph text.minus {{ fill: var(--negative-text); }}
.graph .on {{ paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }}
.graph .dim {{ opacity: .25; }}
"""


def text(x: float, y: float, words: str, *kinds: str, **data: Any) -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}"{attributes(kinds, data)}>{escape(words)}</text>'


def box(x: float, y: float, size: tuple[int, int]) -> str:
    """Return a box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{size[0]}" height="{size[1]}" rx="6"/>'


def curve(start: tuple[float, float], end: tuple[float, float], width: float, *kinds: str, **data: Any) -> str:
    """Return a curve between two boxes that is horizontal at its ends."""
    (x0, y0), (x1, y1) = start, end
    bend = (x1 - x0) / 2
    way = f"M{x0:g},{y0:g}C{x0 + bend:g},{y0:g} {x1 - bend:g},{y1:g} {x1:g},{y1:g}"
    return f'<path d="{way}" stroke-width="{width:.3g}"{attributes(kinds, data)}/>'


def attributes(kinds: Iterable[str], data: dict[str, Any]) -> str:
    """Return the attributes of an element: its classes, and data for scripts."""
    shown = f' class="{" ".join(kinds)}"' if kinds else ""
    return shown + "".join(
        f' {"" if name in ("tabindex", "role") else "data-"}{name}="{escape(str(value))}"'
        for name, value in data.items()
    )


def drawing(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    """Return the SVG element of the whole drawing."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="group" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def short(value: float, digits: int = 4) -> str:
    """Return a number as text."""
    return number(value, f".{digits}g")


def sign(value: float) -> str:
    """Return the class that gives a gradient its colour."""
    return "plus" if value > 0 else "minus" if value < 0 else "none"


def stroke(value: float, largest: float) -> float:
    """Return the width of the line of a gradient, which grows with its square root so that small ones are visible."""
    return 1 + 5 * (abs(value) / largest) ** 0.5 if 0 < largest < inf and isfinite(value) else 1.0


def escape(words: str) -> str:
    """Return text escaped for HTML and SVG."""
    return html.escape(words)
