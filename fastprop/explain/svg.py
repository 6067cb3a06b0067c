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
.graph text {{ fill: var(--ink); }} .graph .soft {{ fill: var(--soft); }} .graph .head {{ font-weight: 600; }}
.graph rect {{ fill: var(--panel); stroke: var(--border); }} .graph rect.plate {{ fill: var(--page); stroke: none; }}
.graph path {{ fill: none; stroke: var(--border); stroke-linejoin: round; }}
.graph path.plus {{ stroke: var(--positive); }} .graph path.minus {{ stroke: var(--negative); stroke-dasharray: 8 4; }}
.graph .plus .value {{ fill: var(--positive-text); }} .graph .minus .value {{ fill: var(--negative-text); }}
.graph .edge.dim {{ stroke: var(--border); stroke-width: 1; }}
"""

# What an element has under its own name; other data of an element is for scripts.
NAMED = ("tabindex", "role", "aria-label")


def attributes(kinds: Iterable[str], data: dict[str, Any]) -> str:
    """Return the attributes of an element: its classes, and data for scripts."""
    shown = f' class="{" ".join(kinds)}"' if kinds else ""
    return shown + "".join(
        f' {"" if name in NAMED else "data-"}{name}="{escape(str(value))}"' for name, value in data.items()
    )


def drawing(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    """Return the SVG element of the whole drawing."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="group" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def short(value: float) -> str:
    """Return a number as text, with four digits."""
    return number(value, ".4g")


def sign(value: float) -> str:
    """Return the class of a gradient, which determines its colour and whether its line is dashed."""
    return "plus" if value > 0 else "minus" if value < 0 else "none"


def stroke(value: float, largest: float) -> float:
    """Return the width of the line of a gradient, which grows with its square root so that small ones are visible."""
    return 1 + 5 * (abs(value) / largest) ** 0.5 if 0 < largest < inf and isfinite(value) else 1.0


def escape(words: str) -> str:
    """Return text escaped for HTML and SVG."""
    return html.escape(words)
