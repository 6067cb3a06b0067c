"""Helpers of imports and exports: operations with their parameters, and layers that become a network."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastprop import _validation
from fastprop.nn.embeddings import Periodic, PiecewiseLinear
from fastprop.nn.layers import Activation, BatchNorm, Dense, Layer, LayerNorm, Residual, Scale
from fastprop.nn.network import Network
from fastprop.nn.operations import Operation

# Layers that have an activation; the last two have one only if they have a width.
WITH_ACTIVATION = (Dense, BatchNorm, LayerNorm, Scale, Residual, Periodic, PiecewiseLinear)

COMPARED = 16  # rows: enough that a difference which depends on the signs of the inputs shows in one of them
# The difference that rounding may explain is the sum of two terms: a thousandth of the largest output, which is the
# error of a float32 sum of 10^4 numbers, and 100 times the effect of a relative change of the inputs by 8 eps, since
# each layer rounds.
TOLERANCE, NEARBY, LAYERS = 1e-3, 8, 100


def import_library(library: str, extra: str, what: str) -> ModuleType:
    """Import and return an optional library, which the extra `extra` installs; `what` needs it.

    Raises
    ------
    ModuleNotFoundError
        If the library is not installed.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {error.name}, which is not installed; pip install 'fastprop-nn[{extra}]'", name=error.name
        ) from None


def require_network(network: Any, what: str) -> Network:
    """Return the network if it is one; `what` is the name of the function that takes it.

    Raises
    ------
    TypeError
        If it is not a Network.
    """
    if not isinstance(network, Network):
        raise TypeError(f"{what} takes a fastprop.Network, got {type(network).__name__}")
    return network


def construct(described: str, kind: Callable[..., Any], **hyperparameters: Any) -> Any:
    """Return a layer or an activation with the hyperparameters of its counterpart, which messages call `described`.

    Raises
    ------
    ValueError
        If a hyperparameter is out of the range that fastprop allows.
    """
    try:
        return kind(**hyperparameters)
    except ValueError as error:
        raise ValueError(f"{described} has a value that fastprop does not allow: {error}") from None


def check_same(
    network: Network,
    what: str,
    run: Callable[[np.ndarray], np.ndarray],
    link: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> None:
    """Check on random rows that a network has the outputs of the model that it was made from.

    Each layer was checked before. This check finds what those cannot: other code may change what a model computes in
    ways that no list has.

    Parameters
    ----------
    network : Network
    what : str
        What messages call the model.
    run : callable
        From rows (rows, n_inputs) of the network's dtype to the model's outputs (rows, n_outputs) in prediction.
    link : callable
        The function that the model applies to the network's outputs.

    Raises
    ------
    ValueError
        If outputs of random rows differ by more than rounding explains, or the model cannot be run.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(COMPARED, network.n_inputs)).astype(network.dtype)
    eps = np.finfo(network.dtype).eps
    nearby = X * (1 + NEARBY * eps)
    for column, categories in network.layers[0].categories:
        X[:, column] = nearby[:, column] = rng.integers(categories, size=COMPARED)
    try:
        theirs, moved = np.asarray(run(X)), np.asarray(run(nearby))
    except RecursionError:
        return  # the model is nested too deeply for its own library; the network is flat
    except Exception as error:
        raise ValueError(
            f"{what} cannot be run on rows of {network.n_inputs} numbers, so its outputs cannot be compared with the "
            f"network's: {error}"
        ) from error
    ours = link(network(X))
    if theirs.shape != ours.shape:
        raise ValueError(f"{what} gives outputs of shape {theirs.shape} for {COMPARED} rows, the network {ours.shape}")
    finite = np.isfinite(theirs) & np.isfinite(moved)
    theirs, moved, ours = theirs[finite], moved[finite], ours[finite]
    if not theirs.size:
        return
    allowed = TOLERANCE * np.max(np.abs(theirs)) + LAYERS * (np.max(np.abs(moved - theirs)) + eps)
    off = np.max(np.abs(ours - theirs))
    if not off <= allowed:
        raise ValueError(
            f"{what} computes something else than its layers and their parameters say: for random rows its outputs "
            f"differ by {off:.2g} from those of the network, where {allowed:.2g} can be rounding; remove what changes "
            "them (a patched method, a hook, a wrapper), or build the network and copy the parameters"
        )


class Part(NamedTuple):
    """An operation with its parameters and state; an array that it does not have is None."""

    operation: Operation
    weight: Any
    bias: Any
    state: Any

    def normalization(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the running mean of a batch norm, and w divided by its running standard deviation."""
        mean, variance = self.state.reshape(2, -1)
        deviation = np.sqrt(variance + np.float64(self.operation.fields["epsilon"]))
        return mean, (self.weight / deviation).astype(mean.dtype)


def parts(network: Network) -> list[Part]:
    """Return the operations of a network, in their order."""
    numbers, found, start = iter(zip(network.weights, network.biases)), [], 0
    for operation in network.operations:
        weight, bias, state = None, None, None
        if operation.weight is not None:
            weight, bias = next(numbers)
        if operation.state is not None:
            state = network.state[start : start + operation.state.size]
            start += operation.state.size
        found.append(Part(operation, weight, bias if operation.n_biases else None, state))
    return found


def groups(part: Part) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return the weight (n_in, n_out) and the bias of each group of a product whose groups have their own weights."""
    weight, operation = part.weight, part.operation
    count = operation.fields.get("n_groups", 1)
    rows = weight.reshape(-1, operation.n_out // count)
    sizes = operation.fields.get("sizes", [len(rows) // count] * count)
    biases: Any = [None] * count if part.bias is None else np.split(part.bias, count)
    return list(zip(np.split(rows, np.cumsum(sizes)[:-1]), biases))


class Stack:
    """A sequence of layers with the parameters of a model of another library, which becomes a network.

    Attributes
    ----------
    layers : list of Layer
    numbers : list of ndarray
        The arrays of ``Network.parameters``, in its order. An array of ints fits any dtype.
    state : list of ndarray
        The arrays of ``Network.state``.
    n_in : int or None
        The number of inputs, once a layer has determined it.
    n_out : int or None
        The number of outputs of the last layer.
    columns : list of int or None
        The columns of X that the first layer reads, if they were selected.
    """

    def __init__(self, n_in: int | None = None):
        self.layers: list[Layer] = []
        self.numbers: list[np.ndarray] = []
        self.state: list[np.ndarray] = []
        self.n_in = self.n_out = n_in
        self.columns: list[int] | None = None

    def add(
        self, layer: Layer, *numbers: np.ndarray, state=(), n_in: int | None = None, n_out: int | None = None
    ) -> None:
        """Append a layer with `n_in` inputs and `n_out` outputs, by default as many as inputs.

        Raises
        ------
        ValueError
            If the last layer does not have `n_in` outputs.
        """
        if n_in is not None and self.n_out is not None and n_in != self.n_out:
            raise ValueError(
                f"layer {len(self.layers) + 1}, {layer!r:.200}, takes {n_in} numbers, but gets {self.n_out}; "
                "give the layers in the order in which they are applied"
            )
        if self.n_in is None:
            self.n_in = n_in
        self.layers.append(layer)
        self.numbers += numbers
        self.state += state
        self.n_out = n_out or n_in or self.n_out

    def dense(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        """Append a dense layer with weight (n_in, n_out) and bias (n_out,)."""
        n_in, n_out = weight.shape
        if bias is not None and bias.shape != (n_out,):
            raise ValueError(f"layer {len(self.layers) + 1} has {n_out} outputs, but a bias of shape {bias.shape}")
        numbers = [weight] if bias is None else [weight, bias]
        self.add(Dense(n_out, bias=bias is not None), *numbers, n_in=n_in, n_out=n_out)

    def activate(self, activation: Any, *numbers: np.ndarray) -> None:
        """Append an activation, or set it in the last layer if that has none."""
        top = self.layers[-1] if self.layers else None
        if isinstance(top, WITH_ACTIVATION) and top.activation == "identity":
            self.layers[-1] = replace(top, activation=activation)
            self.numbers += numbers
        elif activation != "identity":
            self.add(Activation(activation), *numbers)

    def network(self, what: str, seed: int | None = None) -> Network:
        """Make the network of these layers, with these parameters, in their dtype.

        Raises
        ------
        ValueError, TypeError
            If the arrays have several dtypes or an unsupported one, the number of inputs is unknown, or a network
            cannot have these layers.
        """
        dtypes = {array.dtype for array in [*self.numbers, *self.state] if array.dtype.kind != "i"}
        if len(dtypes) > 1 or not dtypes <= set(_validation.DTYPES.values()):
            listed = ", ".join(sorted(map(str, dtypes)))
            raise ValueError(f"{what} holds numbers of {listed}; make all of them float32, or all float64")
        if self.n_in is None:
            raise ValueError(f"no layer of {what} says how many inputs it has; give n_inputs")
        described = {
            "n_inputs": self.n_in,
            "layers": [layer.describe() for layer in self.layers],
            "dtype": dtypes.pop().name if dtypes else "float32",
            "seed": seed,
        }
        network = Network.from_description(described)
        network.parameters[:] = _flat(self.numbers)
        network.state[:] = _flat(self.state)
        return network


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays]) if arrays else np.empty(0)
