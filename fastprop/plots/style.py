"""What all pictures use: the import of matplotlib, axes to draw on, colours, and the look of axes.

Text and axes keep the colours of the figure, and the rest has those of the palette for its background, so that a
picture suits a light page and a dark one.
"""

import re
from typing import Any

import numpy as np

from fastprop._util import palette, text

N_COLOURS = len(palette.CLASSES)
DASHES = ("-", "--", ":", "-.")  # of curves: what is trained on is solid, rows held out are dashed
MARKERS = ("o", "s", "^", "D", "v", "P")
SMALL = 9  # points: the font size of ticks, legends and notes

# The first name of each light colour; the others have the same dark colour.
CSS_NAMES = {colour.light: f"var(--{name})" for name, colour in reversed(palette.COLOURS.items())}

PANEL = (4.8, 3.4)  # the size of a panel in inches: 480 by 340 pixels at matplotlib's 100 dots per inch


def require() -> None:
    """Raise an error that says how to install matplotlib, unless it is installed.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ImportError(
            "pictures need matplotlib, which is not installed; install it with pip install 'fastprop-nn[plots]'"
        ) from None


def look(theme: str) -> dict[str, str]:
    """Return the settings of matplotlib that give a figure the colours of a theme, "light" or "dark"."""
    page, ink = (getattr(palette.COLOURS[name], theme) for name in ("page", "ink"))
    written = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor")
    return dict.fromkeys(("figure.facecolor", "axes.facecolor"), page) | dict.fromkeys(written, ink)


def colour(axes: Any, name: str) -> str:
    """Return a colour of the palette for the background of some axes; a transparent one counts as light."""
    from matplotlib.colors import to_rgba

    faces = [to_rgba(face) for face in (axes.get_facecolor(), axes.figure.get_facecolor())]
    red, green, blue, _ = next((face for face in faces if face[3] > 0), (1.0, 1.0, 1.0, 1.0))
    dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5
    return palette.COLOURS[name].dark if dark else palette.COLOURS[name].light


def of_page(svg: str, *, alone: bool = False) -> str:
    """Return a picture in SVG that has the page's colours, ``var(--ink)``, in place of light ones.

    One that is a file of its own (`alone`) has them too: those of the theme that the reader chose.
    """
    svg = re.sub("#[0-9a-fA-F]{6}", lambda found: CSS_NAMES.get(found[0].upper(), found[0]), svg)
    return svg.replace("<defs>", f"<style>{palette.css()}</style><defs>", 1) if alone else svg


def class_colour(axes: Any, k: int) -> str:
    """Return the colour of class k."""
    return colour(axes, palette.CLASSES[k % N_COLOURS])


def series_colour(axes: Any, k: int) -> str:
    """Return the colour of the kth curve, from 0."""
    return colour(axes, palette.SERIES[k % N_COLOURS])


def marker(k: int) -> str:
    """Return the mark of class or curve k; those of one colour have different ones."""
    return MARKERS[(k + k // N_COLOURS) % len(MARKERS)]


def panels(ax: Any, n: int, *, columns: int = 3, size: tuple[float, float] = PANEL) -> np.ndarray:
    """Return an array of n axes: those given, parts of the single one given, or axes of a new figure.

    Raises
    ------
    TypeError
        If `ax` is neither None, nor axes, nor a sequence of them.
    ValueError
        If there are neither n axes nor a single one that can be divided.
    """
    require()
    columns = min(n, columns)
    shape = (-(-n // columns), columns)
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(size[0] * shape[1], size[1] * shape[0]), layout="constrained")
        return _grid(figure, figure.add_gridspec(*shape), n)
    given = list(np.ravel(np.array(ax, dtype=object)))
    if not all(hasattr(each, "get_subplotspec") for each in given):
        raise TypeError(f"ax must be matplotlib axes, an array of them or None, got {ax!r:.200}")
    if len(given) == n:
        return np.array(given, dtype=object)
    if len(given) == 1 and given[0].get_subplotspec() is not None:
        given[0].set_axis_off()
        return _grid(given[0].figure, given[0].get_subplotspec().subgridspec(*shape), n)
    raise ValueError(
        f"this picture has {n} panels, got {len(given)} axes; give {n} axes, one of plt.subplots() to divide, or none"
    )


def _grid(figure: Any, grid: Any, n: int) -> np.ndarray:
    made = np.empty(n, dtype=object)
    for k in range(n):
        made[k] = figure.add_subplot(grid[k // grid.ncols, k % grid.ncols])
    return made


def label_axes(axes: Any, title: str = "", x: str = "", y: str = "", note: str = "") -> None:
    """Label axes, and remove the lines that carry no information; `note` is small text at the right above the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    grey = colour(axes, "border")
    axes.spines[["left", "bottom"]].set_color(grey)
    axes.tick_params(color=grey, labelsize=SMALL)
    axes.set_title(plain(title), loc="left", fontsize=SMALL + 2)
    if note:
        axes.set_title(plain(note), loc="right", fontsize=SMALL)
    axes.set_xlabel(plain(x), fontsize=SMALL + 1)
    axes.set_ylabel(plain(y), fontsize=SMALL + 1)


def guides(axes: Any, axis: str = "y") -> None:
    """Draw faint grid lines, to read values off."""
    axes.grid(axis=axis, color=colour(axes, "rule"), linewidth=0.6)
    axes.set_axisbelow(True)


def short_ticks(axes: Any) -> None:
    """Use few ticks, and 200k for 200000, so that the labels of large numbers do not touch."""
    from matplotlib.ticker import EngFormatter

    axes.locator_params(nbins=5)
    for axis in (axes.xaxis, axes.yaxis):
        if np.abs(axis.get_data_interval()).max() >= 10_000:
            axis.set_major_formatter(EngFormatter(sep=""))


def plain(text: Any, most: int = 60) -> str:
    """Return a user's text for matplotlib: on one line, at most `most` letters, with dollars that begin no formula."""
    line = " ".join(str(text).split())
    if len(line) > most:
        line = line[: most - 3] + "..."
    return line.replace("\\$", "$").replace("$", "\\$")


def number(value: float) -> str:
    """Return a number as text, with four digits, or in full with commas from 1000 on."""
    return text.number(value, ",.0f" if 1000 <= abs(value) < 1e7 else ".4g")
