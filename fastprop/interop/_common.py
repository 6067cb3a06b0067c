"""What the ways in and out share: operations with their numbers, and layers with theirs made into a network."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastprop import _validation
from fastprop.nn.embeddings import Embedding, Periodic, PiecewiseLinear
from fastprop.nn.layers import Activation, BatchNorm, Dense, Layer, LayerNorm, Residual, Scale
from fastprop.nn.network import Network
from fastprop.nn.operations import Operation

# Layers that apply an activation themselves, the last two where they have a width.
ACTIVATED = (Dense, BatchNorm, LayerNorm, Scale, Residual, Periodic, PiecewiseLinear)

COMPARED = 16  # rows: a difference that depends on the signs of the inputs shows in one of them
# What rounding may do: a thousandth of the largest output, as a float32 sum of 10^4 numbers may be off, and as much as
# inputs do that are off by 8 eps, 100 times, since each layer rounds by itself.
TOLERANCE, NEARBY, LAYERS = 1e-3, 8, 100


def needed(library: str, extra: str, what: str) -> ModuleType:
    """A library that is there only if its extra was installed.

    Raises
    ------
    ModuleNotFoundError
        If it is not there.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {error.name}, which is not installed; pip install 'fastprop-nn[{extra}]'", name=error.name
        ) from None


def checked(network: Any, what: str) -> Network:
    """A network.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(network, Network):
        raise TypeError(f"{what} takes a fastprop.Network, got {type(network).__name__}")
    return network


def made(described: str, kind: Callable[..., Any], **numbers: Any) -> Any:
    """A layer or an activation with the numbers that its counterpart has.

    Raises
    ------
    ValueError
        If it takes no such number.
    """
    try:
        return kind(**numbers)
    except ValueError as error:
        raise ValueError(f"{described} has a number that has no counterpart here: {error}") from None


def check_same(
    network: Network,
    what: str,
    run: Callable[[np.ndarray], np.ndarray],
    link: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> None:
    """Refuses a network that does not give the outputs of what it was made from.

    This is the last line behind the checks of each layer: code of somebody else's may change what a model computes in
    ways that nobody lists.

    Parameters
    ----------
    network : Network
    what : str
        What it was made from, as a message calls it.
    run : callable
        Rows (rows, n_inputs) of the network's dtype -> outputs (rows, n_outputs) of the model in prediction.
    link : callable
        What the model applies to such outputs as the network has.

    Raises
    ------
    ValueError
        If outputs of random rows differ by more than rounding explains, or the model cannot be run.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(COMPARED, network.n_inputs)).astype(network.dtype)
    eps = np.finfo(network.dtype).eps
    nearby = X * (1 + NEARBY * eps)
    for layer in network.layers[:1]:
        for column, categories, _ in layer.columns if isinstance(layer, Embedding) else ():
            X[:, column] = nearby[:, column] = rng.integers(categories, size=COMPARED)
    try:
        theirs, moved = np.asarray(run(X)), np.asarray(run(nearby))
    except RecursionError:
        return  # too deep for its own library; the network is flat
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
            f"{what} computes something else than its layers and their numbers say: on random rows its outputs differ "
            f"by {off:.2g} from those of the network made of them, where {allowed:.2g} can be rounding; take out "
            "what changes them (a patched method, a hook, a wrapper), or build the network and copy the numbers"
        )


class Part(NamedTuple):
    """An operation with its numbers; an array that it does not have is None."""

    operation: Operation
    weight: Any
    bias: Any
    state: Any

    def normalization(self) -> tuple[np.ndarray, np.ndarray]:
        """Of a batch norm in prediction: the running mean, and w over the running deviation."""
        mean, variance = self.state.reshape(2, -1)
        deviation = np.sqrt(variance + np.float64(self.operation.fields["epsilon"]))
        return mean, (self.weight / deviation).astype(mean.dtype)


def parts(network: Network) -> list[Part]:
    """The operations of a network in their order."""
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
    """Layers one after the other, with the numbers that they had elsewhere.

    Attributes
    ----------
    layers : list of Layer
    numbers : list of ndarray
        What goes into ``Network.parameters``, in its order; ints suit every dtype.
    state : list of ndarray
        What goes into ``Network.state``.
    n_in : int or None
        The number of inputs, as soon as a layer says it.
    n_out : int or None
        How many numbers come out of the last layer.
    """

    def __init__(self, n_in: int | None = None):
        self.layers: list[Layer] = []
        self.numbers: list[np.ndarray] = []
        self.state: list[np.ndarray] = []
        self.n_in = self.n_out = n_in

    def add(
        self, layer: Layer, *numbers: np.ndarray, state=(), n_in: int | None = None, n_out: int | None = None
    ) -> None:
        """Puts a layer on top, which takes `n_in` numbers and gives `n_out`, by default as many.

        Raises
        ------
        ValueError
            If the layers below give another number.
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
        """Puts a dense layer on top: weight (n_in, n_out), bias (n_out,)."""
        n_in, n_out = weight.shape
        if bias is not None and bias.shape != (n_out,):
            raise ValueError(f"layer {len(self.layers) + 1} has {n_out} outputs, but a bias of shape {bias.shape}")
        numbers = [weight] if bias is None else [weight, bias]
        self.add(Dense(n_out, bias=bias is not None), *numbers, n_in=n_in, n_out=n_out)

    def activate(self, activation: Any, *numbers: np.ndarray) -> None:
        """Applies an activation, which the layer on top takes over where it can."""
        top = self.layers[-1] if self.layers else None
        if isinstance(top, ACTIVATED) and top.activation == "identity":
            self.layers[-1] = replace(top, activation=activation)
            self.numbers += numbers
        elif activation != "identity":
            self.add(Activation(activation), *numbers)

    def network(self, what: str, seed: int | None = None) -> Network:
        """The network of these layers, with these numbers, in their dtype.

        Raises
        ------
        ValueError, TypeError
            If the numbers are of no or several dtypes, the number of inputs is unknown, or no network is of such
            layers.
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
