"""What all pictures use: the import of matplotlib, axes to draw on, colours, and the look of axes.

Text and axes keep the colours of the figure, so that a picture suits a light page and a dark one.
"""

from typing import Any

import numpy as np

from fastprop._util import palette, text

COLOURS = tuple(palette.COLOURS[name].light for name in palette.SERIES)
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#8C8C8C"  # contrasts with white as much as with black: for lines that only guide the eye
SMALL = 9  # points: the font size of ticks, legends and notes

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
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelsize=SMALL)
    axes.set_title(plain(title), loc="left", fontsize=SMALL + 2)
    if note:
        axes.set_title(plain(note), loc="right", fontsize=SMALL)
    axes.set_xlabel(plain(x), fontsize=SMALL + 1)
    axes.set_ylabel(plain(y), fontsize=SMALL + 1)


def guides(axes: Any, axis: str = "y") -> None:
    """Draw faint grid lines, to read values off."""
    axes.grid(axis=axis, color=GREY, alpha=0.25, linewidth=0.6)
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
