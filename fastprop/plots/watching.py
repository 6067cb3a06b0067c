"""The records of a Watch: gradients, updates and units of each layer over the epochs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastprop.plots import style
from fastprop.plots.curves import LOGARITHMIC
from fastprop.training.monitor import Watch

# The column that each panel draws, and the label of its vertical axis.
PANELS = {
    "gradient that arrives": ("signal", "root mean square of dC/dz"),
    "update of a step / weights": ("update_ratio", "ratio of norms"),
    "activations": ("activation_std", "deviation"),
    "units that learn nothing": ("lost", "dead or saturated (%)"),
}


class WatchDisplay:
    """Four panels over the epochs, with a line for each layer.

    Parameters
    ----------
    table : dict of lists
        As ``Watch.table`` returns it.

    Attributes
    ----------
    table
    ax_ : array of matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, table: Mapping[str, Any]):
        self.table = table

    @classmethod
    def from_watch(cls, watch, *, ax=None) -> "WatchDisplay":
        """Draw the records of a Watch.

        Parameters
        ----------
        watch : Watch
        ax : array of four matplotlib Axes, or one to divide, optional
            Where to draw; a new figure by default.

        Returns
        -------
        WatchDisplay

        Raises
        ------
        TypeError, ValueError
            If `watch` is no Watch or has recorded nothing, or `ax` has another number of axes.
        ImportError
            If matplotlib is not installed.
        """
        if not isinstance(watch, Watch):
            raise TypeError(f"watch must be a fastprop Watch, got {type(watch).__name__}; make one with fp.Watch()")
        if not watch.table()["epoch"]:
            raise ValueError("this Watch has recorded nothing; train with net.fit(..., callbacks=watch) first")
        return cls(watch.table()).plot(ax)

    def plot(self, ax=None) -> "WatchDisplay":
        """Draw the panels on `ax`, or on a new figure."""
        self.ax_ = style.panels(ax, len(PANELS), columns=2)
        self.figure_ = self.ax_[0].figure
        for axes, (title, (column, unit)) in zip(self.ax_, PANELS.items()):
            self._panel(axes, column)
            style.label_axes(axes, title, "epoch", unit)
            style.guides(axes)
        if len(set(self.table["layer"])) > 1:
            self.ax_[0].legend(frameon=False, fontsize=style.SMALL - 1)
        return self

    def _panel(self, axes: Any, column: str) -> None:
        from matplotlib.ticker import MaxNLocator

        layer, epoch = np.array(self.table["layer"]), np.array(self.table["epoch"])
        if column == "lost":
            values = 100 * (np.array(self.table["dead"]) + np.array(self.table["saturated"]))
        else:
            values = np.array(self.table[column], np.float64)
        for k in np.unique(layer):
            of = layer == k
            few = "o" if of.sum() < 8 else None  # one epoch is no line
            colour = style.series_colour(axes, k - 1)
            dash = style.DASHES[(k - 1) % len(style.DASHES)]
            label = style.plain(f"{k}: {self.table['name'][int(np.argmax(of))]}", 30)
            look = {"linewidth": 1.8, "marker": few, "markersize": 4, "label": label}
            axes.plot(epoch[of], values[of], dash, color=colour, **look)
        drawn = values[np.isfinite(values)]
        if column == "lost":
            axes.set_ylim(-2, 102)
        elif drawn.size and drawn.min() > 0 and drawn.max() > LOGARITHMIC * drawn.min():
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def watch(watch, *, ax=None):
    """Draw the records of a Watch and return the axes; see ``WatchDisplay.from_watch``."""
    return WatchDisplay.from_watch(watch, ax=ax).ax_
