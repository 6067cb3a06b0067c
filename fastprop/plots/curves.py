"""Training and validation curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastprop.plots import checks, style

# A column with one of these prefixes, as "validation_cost", is drawn on the panel of the column without it, "cost".
BESIDE = ("validation_", "test_")
# Positive values that span more than this factor are drawn on a logarithmic scale. On a linear one of 300 pixels the
# smallest would be within the width of the line.
LOGARITHMIC = 30.0


class CurvesDisplay:
    """Every column of a history over the epochs: the costs on one panel, any other quantity on a panel of its own.

    Parameters
    ----------
    epochs : ndarray, (epochs,)
    columns : dict of str to ndarray
        The columns to draw. "validation_X" and "test_X" share the panel of "X".

    Attributes
    ----------
    epochs, columns
    ax_ : matplotlib Axes, or an array of them
        An array, if there are several panels.
    figure_ : matplotlib Figure
    """

    def __init__(self, *, epochs, columns: Mapping[str, Any]):
        self.epochs = np.asarray(epochs)
        self.columns = {name: np.asarray(values, np.float64) for name, values in columns.items()}

    @classmethod
    def from_history(cls, history: Mapping[str, Any], *, ax=None) -> "CurvesDisplay":
        """Draw a history.

        Parameters
        ----------
        history : History, or a dict of lists
            Columns of equal lengths; without "epoch" epochs are counted from 1. NaN and None are gaps in a curve.
        ax : matplotlib Axes or an array of them, optional
            Where to draw; a new figure by default.

        Returns
        -------
        CurvesDisplay

        Raises
        ------
        ValueError, TypeError
            If there is nothing to draw, or a column does not hold numbers.
        ImportError
            If matplotlib is not installed.
        """
        return cls(**checks.history(history)).plot(ax)

    def plot(self, ax=None) -> "CurvesDisplay":
        """Draw the curves on `ax`, or on a new figure."""
        groups = _groups(self.columns)
        axes = style.panels(ax, len(groups))
        for each, (title, names) in zip(axes, groups.items()):
            self._panel(each, title, names)
        self.ax_ = axes[0] if len(axes) == 1 else axes
        self.figure_ = axes[0].figure
        return self

    def _panel(self, axes: Any, title: str, names: list[str]) -> None:
        from matplotlib.ticker import MaxNLocator

        for name in names:
            values, kind = self.columns[name], _kind(name)
            few = "o" if np.isfinite(values).sum() < 8 else None  # one epoch is no line
            label = name.removesuffix(title).strip("_") or "training"
            look = {"linewidth": 1.8, "marker": few, "markersize": 4, "label": label}
            axes.plot(self.epochs, values, style.DASHES[kind], color=style.series_colour(axes, kind), **look)
        note = ""
        held_out = [name for name in names if name != title and title in ("cost", "loss")]
        if held_out and np.isfinite(self.columns[held_out[0]]).any():
            note = self._mark(axes, held_out[0], style.series_colour(axes, _kind(held_out[0])))
        drawn = np.concatenate([self.columns[name] for name in names])
        drawn = drawn[np.isfinite(drawn)]
        if drawn.size and drawn.min() > 0 and drawn.max() > LOGARITHMIC * drawn.min():
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        shown = title if len(names) > 1 else names[0]
        style.label_axes(axes, shown.replace("_", " "), "epoch", note=note)
        style.guides(axes)
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=style.SMALL)

    def _mark(self, axes: Any, name: str, colour: str) -> str:
        """Draw a ring at the lowest value, and return a note with the value."""
        values = self.columns[name]
        best = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
        ring = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axes.plot(self.epochs[best], values[best], "o", color=colour, **ring)
        which = name.removesuffix("cost").removesuffix("loss").strip("_")
        return f"lowest {which}: {style.number(values[best])}, epoch {self.epochs[best]:g}"


def curves(history: Mapping[str, Any], *, ax=None):
    """Draw the curves of a History and return the axes; see ``CurvesDisplay.from_history``."""
    return CurvesDisplay.from_history(history, ax=ax).ax_


def _kind(name: str) -> int:
    """Return 0 for a column of the rows that are trained on, 1 for validation and 2 for test."""
    return next((k for k, prefix in enumerate(BESIDE, start=1) if name.startswith(prefix) and name != prefix), 0)


def _groups(columns: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of each panel's columns by the title of the panel, in the order of the columns."""
    groups: dict[str, list[str]] = {}
    for name in columns:
        title = name
        for prefix in BESIDE:
            title = title.removeprefix(prefix) if title != prefix else title
        groups.setdefault(title, []).append(name)
    return groups
