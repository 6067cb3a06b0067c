"""Predicted against true numbers, and the residuals."""

import numpy as np

from fastprop._util.text import number
from fastprop.plots import checks, style

# If there are more points than this, they are one image within a vector picture: 2000 circles of SVG take about 200 KB.
RASTERISED = 2000


class PredictionErrorDisplay:
    """Two panels: predicted against true numbers, with the diagonal where they agree, and the residuals.

    A residual is true - predicted.

    Parameters
    ----------
    y, predicted : array_like, (rows,)
    name : str, default ""
        What the numbers are, with their unit, for the axes.

    Attributes
    ----------
    y, predicted, name
    ax_ : array of two matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, y, predicted, *, name: str = ""):
        self.y, self.predicted = checks.numbers(y, predicted)
        self.name = name

    @classmethod
    def from_predictions(cls, y, predicted, *, name: str = "", ax=None) -> "PredictionErrorDisplay":
        """Draw predictions.

        Parameters
        ----------
        y, predicted : array_like, (rows,) or (rows, 1)
            The true and the predicted numbers.
        name : str, default ""
            What they are, with the unit, for the axes.
        ax : array of two matplotlib Axes, or one to divide, optional
            Where to draw; a new figure by default.

        Returns
        -------
        PredictionErrorDisplay

        Raises
        ------
        ValueError, TypeError
            If y or predicted does not hold a finite number for each row.
        ImportError
            If matplotlib is not installed.
        """
        return cls(y, predicted, name=name).plot(ax)

    @classmethod
    def from_network(cls, network, X, y, *, name: str = "", ax=None) -> "PredictionErrorDisplay":
        """Draw the predictions of a network of one output."""
        return cls.from_predictions(y, checks.network(network).forward(X), name=name, ax=ax)

    def plot(self, ax=None) -> "PredictionErrorDisplay":
        """Draw both panels on `ax`, or on a new figure."""
        left, right = self.ax_ = style.panels(ax, 2, size=(4.4, 4.0))
        self.figure_ = left.figure
        of = f" {self.name}" if self.name else ""
        residual = self.y - self.predicted
        # transparent, so that many points in one place are darker, and more opaque where there are few points
        dots = {
            "s": 14,
            "color": style.series_colour(left, 0),
            "linewidths": 0,
            "alpha": float(np.clip(30 / np.sqrt(len(self.y)), 0.15, 0.8)),
            "rasterized": len(self.y) > RASTERISED,
        }
        left.scatter(self.y, self.predicted, **dots)
        ends = min(self.y.min(), self.predicted.min()), max(self.y.max(), self.predicted.max())
        left.plot(ends, ends, color=style.colour(left, "ink"), linewidth=1.2)
        left.set_aspect("equal", adjustable="datalim")
        rmse = float(np.sqrt(np.mean(residual**2)))
        spread = float(np.mean((self.y - self.y.mean()) ** 2))
        r2 = f", R2 {number(1 - rmse**2 / spread, '.3f')}" if spread > 0 else ""
        style.label_axes(left, "predicted and true", f"true{of}", f"predicted{of}", f"RMSE {style.number(rmse)}{r2}")

        right.scatter(self.predicted, residual, **dots)
        right.axhline(0, color=style.colour(right, "ink"), linewidth=1.2)
        mean = style.number(float(residual.mean()))
        style.label_axes(right, "residuals", f"predicted{of}", "true - predicted", f"mean {mean}")
        for axes in (left, right):
            style.guides(axes, "both")
            style.short_ticks(axes)
        return self


def prediction_error(y, predicted, *, name: str = "", ax=None):
    """Draw predictions and residuals and return both axes; see ``PredictionErrorDisplay.from_predictions``."""
    return PredictionErrorDisplay.from_predictions(y, predicted, name=name, ax=ax).ax_
