"""Pictures of a training and of its results. They need matplotlib: ``pip install 'fastprop-nn[plots]'``.

Each picture is a function, which takes the axes to draw on and returns them, and a class named in the way of
scikit-learn, which keeps the numbers that it drew and can draw them again::

    fp.plots.curves(history, ax=axes)
    fp.plots.CurvesDisplay.from_history(history).figure_.savefig("curves.png")

A picture of several panels takes an array with an axes for each panel, or divides a single axes.
"""

from fastprop._util.public import publish
from fastprop.plots.boundary import DecisionBoundaryDisplay, decision_boundary
from fastprop.plots.confusion import ConfusionMatrixDisplay, confusion_matrix
from fastprop.plots.curves import CurvesDisplay, curves
from fastprop.plots.histograms import HistogramsDisplay, activation_histograms, weight_histograms
from fastprop.plots.predictions import PredictionErrorDisplay, prediction_error
from fastprop.plots.rates import RateFinderDisplay, RateSearch, find_rate, rate_finder
from fastprop.plots.watching import WatchDisplay, watch

__all__ = [
    "ConfusionMatrixDisplay",
    "CurvesDisplay",
    "DecisionBoundaryDisplay",
    "HistogramsDisplay",
    "PredictionErrorDisplay",
    "RateFinderDisplay",
    "RateSearch",
    "WatchDisplay",
    "activation_histograms",
    "confusion_matrix",
    "curves",
    "decision_boundary",
    "find_rate",
    "prediction_error",
    "rate_finder",
    "watch",
    "weight_histograms",
]

publish(globals(), __all__, "fastprop.plots")
