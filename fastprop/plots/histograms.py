"""Histograms of the weights and activations of each layer."""

import numpy as np

from fastprop._util.frozen import frozen
from fastprop.nn.layers import Dropout
from fastprop.nn.network import Network
from fastprop.plots import checks, style

BINS = 50


@frozen
class Panel:
    """One panel, with a histogram for each named array of numbers."""

    title: str
    values: dict[str, np.ndarray]
    note: str = ""


class HistogramsDisplay:
    """A panel of histograms for each layer.

    Parameters
    ----------
    panels : list of Panel
    unit : str
        What the numbers are, for the horizontal axis.

    Attributes
    ----------
    panels, unit
    ax_ : array of matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, panels: list[Panel], *, unit: str):
        self.panels, self.unit = panels, unit

    @classmethod
    def from_weights(cls, network, *, ax=None) -> "HistogramsDisplay":
        """Draw the weights and biases of each layer.

        Parameters
        ----------
        network : Network
        ax : array of matplotlib Axes, or one to divide, optional
            Where to draw: an axes for each of ``network.weights``. A new figure by default.

        Returns
        -------
        HistogramsDisplay

        Raises
        ------
        TypeError, ValueError
            If `network` is no Network, or `ax` has another number of axes.
        ImportError
            If matplotlib is not installed.
        """
        found = []
        for k, (weight, bias) in enumerate(zip(checks.network(network).weights, network.biases)):
            values = {"weights": weight.ravel(), **({"biases": bias} if bias.size else {})}
            shape = " x ".join(map(str, weight.shape))
            note = f"{shape}, deviation {style.number(float(weight.std()))}"
            found.append(Panel(f"weights[{k}]", values, note))
        return cls(found, unit="value").plot(ax)

    @classmethod
    def from_activations(cls, network, X, *, ax=None) -> "HistogramsDisplay":
        """Draw the outputs of each layer for the rows of X, in prediction.

        ``Dropout``, which does nothing in prediction, is left out. The note of a panel gives the share of zeros and the
        number of units that are 0 in every row: those learn nothing from these rows.

        Parameters
        ----------
        network : Network
        X : array_like, (rows, n_inputs)
        ax : array of matplotlib Axes, or one to divide, optional
            Where to draw: an axes for each layer. A new figure by default.

        Returns
        -------
        HistogramsDisplay

        Raises
        ------
        ValueError, TypeError
            If X does not fit the network, the network has several members, or `ax` has another number of axes.
        ImportError
            If matplotlib is not installed.
        """
        if checks.network(network).n_members > 1:
            raise ValueError(
                f"the layers of {network.n_members} members share their units, which are not drawn; "
                "give a network of one member"
            )
        found = []
        for k, layer in enumerate(network.layers):
            if isinstance(layer, Dropout):
                continue
            outputs = first_layers(network, k + 1).forward(X)
            zero = outputs == 0
            note = f"{outputs.shape[1]} units"
            if zero.any():
                note += f", {zero.mean():.0%} zeros, {int(zero.all(axis=0).sum())} always"
            found.append(Panel(f"{k + 1}: {layer!r}", {"activations": outputs.ravel()}, note))
        return cls(found, unit="activation").plot(ax)

    def plot(self, ax=None) -> "HistogramsDisplay":
        """Draw a panel for each layer on `ax`, or on a new figure."""
        self.ax_ = style.panels(ax, len(self.panels), size=(3.9, 2.6))
        self.figure_ = self.ax_[0].figure
        for axes, panel in zip(self.ax_, self.panels):
            every = np.concatenate(list(panel.values.values()))
            edges = np.histogram_bin_edges(every, BINS)
            for k, (name, values) in enumerate(panel.values.items()):
                share = np.full(len(values), 100 / len(values))
                kind = {"histtype": "stepfilled", "alpha": 0.75} if name != "biases" else {"histtype": "step"}
                look = {"color": style.series_colour(axes, k), "linewidth": 1.5, "label": name}
                axes.hist(values, edges, weights=share, **look, **kind)
            style.label_axes(axes, panel.title, self.unit, "share (%)")
            axes.set_title(style.plain(panel.title, 44) + "\n", loc="left", fontsize=style.SMALL + 1)
            axes.text(0, 1.03, style.plain(panel.note), transform=axes.transAxes, fontsize=style.SMALL - 1, alpha=0.8)
            style.guides(axes)
            axes.locator_params(axis="x", nbins=5)
            if len(panel.values) > 1:
                axes.legend(frameon=False, fontsize=style.SMALL - 1)
        return self


def weight_histograms(network, *, ax=None):
    """Draw the weights of each layer and return the axes; see ``HistogramsDisplay.from_weights``."""
    return HistogramsDisplay.from_weights(network, ax=ax).ax_


def activation_histograms(network, X, *, ax=None):
    """Draw the activations of each layer and return the axes; see ``HistogramsDisplay.from_activations``."""
    return HistogramsDisplay.from_activations(network, X, ax=ax).ax_


def first_layers(network: Network, n_layers: int) -> Network:
    """Return a network of the first layers, with copies of their parameters and state."""
    described = network.describe()
    part = Network.from_description({**described, "layers": described["layers"][:n_layers]})
    part.parameters = network.parameters[: part.n_parameters]
    part.state = network.state[: len(part.state)]
    return part
