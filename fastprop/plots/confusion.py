"""The confusion matrix: how many rows of each class were predicted as each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastprop.plots import checks, style

# On a panel of 500 pixels a cell is large enough for its count with up to 16 classes, and a tick for its name with 24.
NUMBERED, NAMED = 16, 24


class ConfusionMatrixDisplay:
    """How many rows of each class were predicted as each class. A cell's colour is its share of the true class.

    Parameters
    ----------
    matrix : array_like of int, (classes, classes)
        A row for each true class, a column for each predicted one.
    names : sequence
        The names of the classes.

    Attributes
    ----------
    matrix, names
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, matrix, *, names: Sequence[Any]):
        self.matrix = np.asarray(matrix)
        self.names = list(names)
        if self.matrix.shape != (len(self.names), len(self.names)):
            raise ValueError(
                f"matrix must have a row and a column for each of the {len(self.names)} names, got {self.matrix.shape}"
            )

    @classmethod
    def from_predictions(
        cls, y, predicted, *, names: Sequence[Any] | None = None, ax=None
    ) -> "ConfusionMatrixDisplay":
        """Draw the confusion matrix of predictions.

        Parameters
        ----------
        y : array_like, (rows,)
            The true classes: integers or names.
        predicted : array_like, (rows,) or (rows, classes)
            The predicted classes; or a score for each class, of which the largest is the prediction.
        names : sequence, optional
            The names of the classes 0, 1, ...; by default the classes are all values that occur, sorted.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        ConfusionMatrixDisplay

        Raises
        ------
        ValueError, TypeError
            If y and predicted do not fit each other, or the names do not fit them.
        ImportError
            If matplotlib is not installed.
        """
        true, taken, names = checks.classes(y, predicted, names)
        matrix = np.zeros((len(names), len(names)), np.int64)
        np.add.at(matrix, (true, taken), 1)
        return cls(matrix, names=names).plot(ax)

    @classmethod
    def from_network(cls, network, X, y, *, names: Sequence[Any] | None = None, ax=None) -> "ConfusionMatrixDisplay":
        """Draw the matrix of a network's predictions: the largest output; of one output, whether it is above 0."""
        outputs = checks.network(network).forward(X)
        predicted = (outputs[:, 0] > 0).astype(int) if network.n_outputs == 1 else outputs
        return cls.from_predictions(y, predicted, names=names, ax=ax)

    def plot(self, ax=None) -> "ConfusionMatrixDisplay":
        """Draw the matrix on `ax`, or on a new figure."""
        n = len(self.names)
        side = 4.4 if n <= 6 else 5.4
        (axes,) = style.panels(ax, 1, size=(side, side))
        rows = self.matrix.sum(axis=1, keepdims=True)
        share = self.matrix / np.maximum(rows, 1)
        # An empty cell is transparent, so that it has the colour of the page.
        axes.pcolormesh(_tints(share, style.series_colour(axes, 0)), edgecolors="none", rasterized=n > NAMED)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        if n <= NUMBERED:
            size = style.SMALL + 1 if n <= 6 else style.SMALL - 1
            for i, j in np.argwhere(self.matrix):
                axes.text(j + 0.5, i + 0.5, f"{self.matrix[i, j]}", ha="center", va="center", fontsize=size)
        shown = np.unique(np.linspace(0, n - 1, min(n, NAMED)).round().astype(int))
        names = [style.plain(self.names[k], 18) for k in shown]
        long = sum(map(len, names)) > 30  # about 30 letters fit side by side on the smaller panel
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
        axes.set_xticks(shown + 0.5, names, **turned)
        axes.set_yticks(shown + 0.5, names)
        right, total = int(np.trace(self.matrix)), int(self.matrix.sum())
        style.label_axes(axes, "confusion matrix", "predicted", "true", f"{right} of {total} right")
        axes.spines[:].set(visible=True, color=style.colour(axes, "border"))
        axes.tick_params(length=0)
        self.ax_, self.figure_ = axes, axes.figure
        return self


def confusion_matrix(y, predicted, *, names: Sequence[Any] | None = None, ax=None):
    """Draw the confusion matrix and return the axes; see ``ConfusionMatrixDisplay.from_predictions``."""
    return ConfusionMatrixDisplay.from_predictions(y, predicted, names=names, ax=ax).ax_


def _tints(share: np.ndarray, colour: str) -> np.ndarray:
    """Return a colour whose opacity grows with the share: the least is visible, and text can be read on the most."""
    from matplotlib.colors import to_rgb

    tints = np.empty((*share.shape, 4))
    tints[..., :3] = to_rgb(colour)
    tints[..., 3] = np.where(share > 0, 0.12 + 0.43 * share, 0.0)
    return tints
