"""The pictures of the report that are not in ``fastprop.plots``: each draws on axes that it is given."""

from typing import Any

import numpy as np

from fastprop._util.text import number
from fastprop.plots import style
from fastprop.tabular.inspection import Effect, Importance
from fastprop.tabular.model import best_epoch
from fastprop.tabular.scores import Z95
from fastprop.tabular.target import Target

__all__ = ["draw_calibration", "draw_effect", "draw_importances", "draw_roc", "draw_training"]

CLASSES = style.N_COLOURS  # the largest number of classes with a curve; the commonest have one
BINS = 10  # of a calibration
LETTERS = 22  # of a name on an axis
NETWORKS = 8  # the largest number of networks with a curve


def draw_training(axes: Any, histories: list) -> None:
    """Draw the cost of the rows held out after each epoch, and a mark where the parameters were kept."""
    for k, history in enumerate(histories[:NETWORKS]):
        colour, dash = style.series_colour(axes, k), "--" if "validation_cost" in history else "-"
        costs = history.get("validation_cost", history["cost"])
        axes.plot(history["epoch"], costs, dash, color=colour, linewidth=1.2)
        kept = best_epoch(history)
        look = {"color": colour, "markersize": 7, "label": f"network {k + 1}: {kept}"}
        axes.plot([kept], [costs[kept - 1]], style.marker(k), **look)
    held_out = "validation_cost" in histories[0]
    axes.xaxis.get_major_locator().set_params(integer=True)
    style.label_axes(axes, "epoch kept", "epoch", "cost of the rows held out" if held_out else "cost")
    style.guides(axes)
    axes.legend(frameon=False, fontsize=style.SMALL)


def draw_roc(axes: Any, y: np.ndarray, chances: np.ndarray, names: tuple, areas: dict[int, float]) -> None:
    """Draw the ROC curve of the second of two classes, or of each of the commonest against the rest.

    Parameters
    ----------
    axes : Axes
    y : int64 array, (rows,)
    chances : float64 array, (rows, classes)
    names : tuple of str
    areas : dict of int to float
        The area under the curve of each class that is drawn.
    """
    axes.plot([0, 1], [0, 1], color=style.colour(axes, "border"), linewidth=1, linestyle=":")
    for k, area in areas.items():
        order = np.argsort(-chances[:, k], kind="stable")
        positive, ends = y[order] == k, np.append(np.diff(chances[order, k]) != 0, True)  # ties are one step
        right = np.append(0, np.cumsum(positive)[ends]) / max(positive.sum(), 1)
        wrong = np.append(0, np.cumsum(~positive)[ends]) / max((~positive).sum(), 1)
        kept = np.unique(np.linspace(0, len(right) - 1, 300).astype(int))  # more points would be larger, not smoother
        place = k if len(names) <= CLASSES else list(areas).index(k)
        look = {"color": style.class_colour(axes, place), "linewidth": 1.5, "label": f"{_cut(names[k])}: {area:.3f}"}
        dash = style.DASHES[place % len(style.DASHES)] if len(areas) > 1 else "-"
        axes.plot(wrong[kept], right[kept], dash, **look)
    axes.set_aspect("equal")
    style.label_axes(axes, "ROC", "share of the other rows that are taken for it", "share of its rows that are found")
    style.guides(axes, "both")
    axes.legend(frameon=False, fontsize=style.SMALL, title="area under the curve", title_fontsize=style.SMALL)


def draw_calibration(axes: Any, y: np.ndarray, chances: np.ndarray, names: tuple) -> None:
    """Draw how often what was predicted with a probability was true, with 95% intervals, in ten equal parts of rows."""
    if len(names) == 2:
        chance, true, what = chances[:, 1], y == 1, f"predicted probability of {_cut(names[1])}"
        seen = f"share of rows that are {_cut(names[1])}"
    else:
        predicted = chances.argmax(axis=1)
        chance, true = chances.max(axis=1), predicted == y
        what, seen = "predicted probability of the likeliest class", "share of rows where it is true"
    axes.plot([0, 1], [0, 1], color=style.colour(axes, "border"), linewidth=1, linestyle=":")
    parts = [part for part in np.array_split(np.argsort(chance, kind="stable"), BINS) if len(part)]
    x = np.array([chance[part].mean() for part in parts])
    share, n = np.array([true[part].mean() for part in parts]), np.array([len(part) for part in parts])
    # Wilson's interval, which is inside 0 and 1.
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    colour = style.series_colour(axes, 0)
    axes.vlines(x, middle - half, middle + half, color=colour, linewidth=1.5)
    axes.plot(x, share, "o", color=colour, markersize=5)
    axes.set_aspect("equal")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    style.label_axes(axes, "calibration", what, seen)
    style.guides(axes, "both")


def draw_importances(axes: Any, found: list[Importance], unit: str) -> None:
    """Draw a bar for each column, the most important on top, with its 95% interval."""
    places = np.arange(len(found))[::-1]
    values = np.array([each.value for each in found])
    axes.barh(places, values, color=style.series_colour(axes, 0), alpha=0.75, height=0.7)
    ends = np.array([each.interval for each in found])
    axes.hlines(places, ends[:, 0], ends[:, 1], color=style.colour(axes, "ink"), linewidth=1.2)
    axes.axvline(0, color=style.colour(axes, "border"), linewidth=0.8)
    axes.set_yticks(places, [style.plain(_cut(each.name, 34)) for each in found])
    style.label_axes(axes, "", unit)
    style.guides(axes, "x")


def draw_effect(axes: Any, found: Effect, target: Target) -> None:
    """Draw the mean prediction over what a column holds, above how many rows hold it."""
    from matplotlib.ticker import EngFormatter

    chosen = _classes(found, target)
    below = axes.twinx()
    below.set_zorder(0)
    axes.set_zorder(1)
    axes.set_frame_on(False)
    below.set_axis_off()
    below.set_ylim(0, 4 * max(1, found.counts.max()))  # the lower quarter of the picture
    faint = {"color": style.colour(axes, "border"), "alpha": 0.35, "linewidth": 0}
    if found.edges is None:
        places, numbers = np.arange(len(found.points)), isinstance(found.points, np.ndarray)
        below.bar(places, found.counts, width=0.8, **faint)
        for k, label, values in chosen:
            look = style.marker(k) + ("-" if numbers else "")
            axes.plot(places, values, look, color=style.class_colour(axes, k), markersize=6, label=label)
        names = [number(point) if numbers else style.plain(_cut(point, 12)) for point in found.points]
        axes.set_xticks(places, names, **({} if numbers else {"rotation": 30, "ha": "right"}))
    else:
        below.bar(found.edges[:-1], found.counts, width=np.diff(found.edges), align="edge", **faint)
        for k, label, values in chosen:
            dash = style.DASHES[k % len(style.DASHES)] if len(chosen) > 1 else "-"
            axes.plot(found.points, values, dash, color=style.class_colour(axes, k), linewidth=1.6, label=label)
        if found.edges.dtype.kind == "M":
            axes.tick_params(axis="x", rotation=30)
        else:
            style.short_ticks(axes)
    if target.task == "regression" and np.abs(found.means).max() >= 10_000:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    what = f"probability of {_cut(target.classes[1])}" if len(target.classes) == 2 else "mean prediction"
    style.label_axes(axes, _cut(found.name, 40), "", "probability" if len(target.classes) > 2 else what)
    style.guides(axes)
    if len(chosen) > 1:
        axes.legend(frameon=False, fontsize=style.SMALL)


def _classes(found, target):
    """Return (colour, label, means) of what is drawn: a number, the second of two classes, or the commonest classes."""
    if target.task == "regression":
        return [(1, "", found.means)]
    if len(target.classes) == 2:
        return [(1, "", found.means[:, 1])]
    commonest = np.sort(np.argsort(-found.means.mean(axis=0), kind="stable")[:CLASSES])
    return [(n, style.plain(_cut(target.classes[k])), found.means[:, k]) for n, k in enumerate(commonest)]


def _cut(text, letters=LETTERS):
    line = " ".join(str(text).split())
    return line if len(line) <= letters else line[: letters - 3] + "..."
