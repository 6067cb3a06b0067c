"""What the pictures share: matplotlib when it is needed, axes to draw on, colours, and quiet axes.

Text and axes keep the colours of the figure, so that a picture fits a light page and a dark one.
"""

from typing import Any

import numpy as np

# Okabe and Ito 2008, *Color universal design*: told apart by colour-blind readers too. Those that stand out from white
# as from black come first; their yellow, which does not from white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
QUIET = "#8C8C8C"  # the grey that is as far from white as from black: lines that only guide the eye
SMALL = 9  # points, for what is read second

PANEL = (4.8, 3.4)  # inches of a panel: 480 by 340 pixels at matplotlib's 100 dots per inch


def require() -> None:
    """Refuses to go on without matplotlib.

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
    """So many axes, (n,): those given, the parts of the one given, or those of a new figure.

    Raises
    ------
    TypeError
        If `ax` is neither None, nor axes, nor a sequence of them.
    ValueError
        If there are more or fewer of them.
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


def quiet(axes: Any, title: str = "", x: str = "", y: str = "", note: str = "") -> None:
    """Labels, and no line that says nothing; `note` is small and stands at the right above the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(color=QUIET, labelsize=SMALL)
    axes.set_title(plain(title), loc="left", fontsize=SMALL + 2)
    if note:
        axes.set_title(plain(note), loc="right", fontsize=SMALL)
    axes.set_xlabel(plain(x), fontsize=SMALL + 1)
    axes.set_ylabel(plain(y), fontsize=SMALL + 1)


def guides(axes: Any, axis: str = "y") -> None:
    """Faint lines across, to read values off."""
    axes.grid(axis=axis, color=QUIET, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def short_ticks(axes: Any) -> None:
    """Few ticks, and 200k for 200000, so that those of large numbers do not touch."""
    from matplotlib.ticker import EngFormatter

    axes.locator_params(nbins=5)
    for axis in (axes.xaxis, axes.yaxis):
        if np.abs(axis.get_data_interval()).max() >= 10_000:
            axis.set_major_formatter(EngFormatter(sep=""))


def plain(text: Any, most: int = 60) -> str:
    """A user's text as matplotlib draws it: no mathematics between dollars, one line, not longer than `most`."""
    line = " ".join(str(text).split())
    if len(line) > most:
        line = line[: most - 3] + "..."
    return line.replace("\\$", "$").replace("$", "\\$")


def number(value: float) -> str:
    """Four digits, with a comma at every thousand."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
