"""The predictions of a network over two of its inputs: regions of classes, or the level of a number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastprop.plots import checks, style


class DecisionBoundaryDisplay:
    """A network's outputs over two of its inputs.

    With classes, each point of the plane has the colour of the predicted class, which is stronger where its share is
    further above the next one; lines separate the classes. With numbers, the colour shows the prediction.

    Parameters
    ----------
    x1, x2 : ndarray, (n,)
        The values of the two inputs.
    outputs : ndarray, (n, n, n_outputs)
        The network's outputs; outputs[i, j] is at (x1[j], x2[i]).
    points : ndarray, (rows, 2)
        Rows to draw on top.
    y : ndarray, (rows,)
        Their classes, as integers, or their numbers.
    names : sequence, optional
        The names of the classes 0, 1, ...
    axis_names : pair of str, default ("x1", "x2")

    Attributes
    ----------
    x1, x2, outputs, points, y, names, axis_names
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, x1, x2, outputs, *, points, y, names=None, axis_names=("x1", "x2")):
        self.x1, self.x2, self.outputs, self.points, self.y = x1, x2, outputs, points, y
        self.names, self.axis_names = names, axis_names

    @classmethod
    def from_network(
        cls,
        network,
        X,
        y,
        *,
        columns: Sequence[int] = (0, 1),
        fixed=None,
        resolution: int = 200,
        names: Sequence[Any] | None = None,
        axis_names: Sequence[str] | None = None,
        ax=None,
    ) -> "DecisionBoundaryDisplay":
        """Draw what a network predicts around the rows of X, and the rows themselves.

        Parameters
        ----------
        network : Network
            Its outputs are raw scores, as losses of classes take them: of several outputs the largest is predicted,
            and of one output the sign.
        X : array_like, (rows, n_inputs)
        y : array_like, (rows,)
            Integers are classes; other numbers are the targets of a network of one output.
        columns : pair of int, default (0, 1)
            The inputs to draw.
        fixed : array_like, (n_inputs,), optional
            The values of the other inputs; by default their medians over X.
        resolution : int, default 200
            The number of points along each side, at least 2.
        names : sequence, optional
            The names of the classes.
        axis_names : pair of str, optional
            The names of the two inputs.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        DecisionBoundaryDisplay

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.
        ImportError
            If matplotlib is not installed.
        """
        x, y = checks.plane(network, X, y, names)
        first, second = checks.pair(columns, network.n_inputs)
        n = checks.resolution(resolution)
        plane = np.tile(checks.fixed(fixed, x), (n * n, 1))
        sides = _side(x[:, first], n), _side(x[:, second], n)
        for column, values in zip((first, second), np.meshgrid(*sides)):
            plane[:, column] = values.ravel()
        outputs = network.forward(plane).reshape(n, n, -1)
        if axis_names is None:
            axis_names = f"x{first + 1}", f"x{second + 1}"
        axis_names = checks.strings("axis_names", axis_names, 2)
        points = x[:, [first, second]]
        return cls(*sides, outputs, points=points, y=y, names=names, axis_names=axis_names).plot(ax)

    def plot(self, ax=None) -> "DecisionBoundaryDisplay":
        """Draw the predictions and the rows on `ax`, or on a new figure."""
        (self.ax_,) = style.panels(ax, 1, size=(5.0, 4.2))
        self.figure_ = self.ax_.figure
        if self.y.dtype.kind in "iub":
            self._draw_classes()
        else:
            self._draw_numbers()
        self.ax_.set_xlim(self.x1[[0, -1]])
        self.ax_.set_ylim(self.x2[[0, -1]])
        style.label_axes(self.ax_, "what the network predicts", *self.axis_names)
        return self

    def _draw_classes(self) -> None:
        from matplotlib.colors import to_rgb

        scores = np.asarray(self.outputs, np.float64)
        if scores.shape[2] == 1:  # the score of class 1 against 0
            scores = np.concatenate([np.zeros_like(scores), scores], axis=2)
        share = np.exp(scores - scores.max(axis=2, keepdims=True))
        share /= share.sum(axis=2, keepdims=True)
        winner = scores.argmax(axis=2)
        ahead = np.ptp(np.sort(share, axis=2)[..., -2:], axis=2)
        tints = np.empty((*winner.shape, 4))
        tints[..., :3] = np.array([to_rgb(style.class_colour(self.ax_, k)) for k in range(scores.shape[2])])[winner]
        tints[..., 3] = 0.1 + 0.35 * ahead  # strong enough to distinguish regions, weak enough for the points on top
        ends = [*self.x1[[0, -1]], *self.x2[[0, -1]]]
        self.ax_.imshow(tints, origin="lower", extent=ends, aspect="auto", interpolation="bilinear")
        for k in np.unique(winner):
            lead = scores[..., k] - np.delete(scores, k, axis=2).max(axis=2)
            if lead.min() < 0:  # otherwise class k is predicted everywhere, and there is no line
                line = style.colour(self.ax_, "border")
                self.ax_.contour(self.x1, self.x2, lead, levels=[0.0], colors=[line], linewidths=1)
        for k in np.unique(self.y).tolist():
            rows = self.y == k
            name = self.names[k] if self.names is not None else k
            self.ax_.scatter(
                *self.points[rows].T,
                s=_size(len(self.y)),
                color=style.class_colour(self.ax_, k),
                marker=style.marker(k),
                edgecolors=style.colour(self.ax_, "page"),
                linewidths=0.5,
                label=style.plain(name, 18),
            )
        self.ax_.legend(frameon=False, fontsize=style.SMALL, loc="upper left", bbox_to_anchor=(1, 1))

    def _draw_numbers(self) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        heights = self.outputs[..., 0]
        low, middle, high, edge = (
            style.colour(self.ax_, name) for name in ("negative", "page", "positive", "border")
        )
        scale = {
            "vmin": min(heights.min(), self.y.min()),
            "vmax": max(heights.max(), self.y.max()),
            "cmap": LinearSegmentedColormap.from_list("fastprop", [low, middle, high]),
        }
        filled = self.ax_.pcolormesh(self.x1, self.x2, heights, shading="gouraud", **scale)
        self.ax_.scatter(*self.points.T, c=self.y, s=_size(len(self.y)), edgecolors=edge, linewidths=0.8, **scale)
        bar = self.figure_.colorbar(filled, ax=self.ax_)
        bar.set_label("prediction; rows: target", fontsize=style.SMALL)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=style.SMALL, color=edge)


def decision_boundary(network, X, y, *, ax=None, **options):
    """Draw predictions over two inputs and return the axes; see ``DecisionBoundaryDisplay.from_network``."""
    return DecisionBoundaryDisplay.from_network(network, X, y, ax=ax, **options).ax_


def _side(values: np.ndarray, n: int) -> np.ndarray:
    """Return n numbers from a little below the smallest value to a little above the largest."""
    low, high = float(values.min()), float(values.max())
    margin = 0.1 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, n)


def _size(rows: int) -> float:
    """Return the area of a point, in square points: smaller where there are many rows."""
    return float(np.clip(6000 / rows, 8, 36))
