"""Layers: frozen descriptions, without arrays."""

from dataclasses import KW_ONLY, asdict, dataclass
from typing import ClassVar

from fastprop import _validate
from fastprop.activations import Activation
from fastprop.activations import parse as parse_activation
from fastprop.initializers import INITIALIZERS


@dataclass(frozen=True)
class Dense:
    """A dense layer: a = g(x W + b), with W (n_in, n_outputs) and b (n_outputs,).

    Parameters
    ----------
    n_outputs : int
        Its width, at least 1.
    activation : str or Activation, default "identity"
        A name of ``fastprop.activations.ACTIVATIONS``, or one with numbers of your own:
        ``fp.activations.leaky_relu(slope=0.1)``. Kept as the name where the numbers are the list's.
    initializer : str, default "auto"
        A name of ``fastprop.initializers.INITIALIZERS``, or "auto": the one that the activation asks for.

    Raises
    ------
    ValueError, TypeError
        If the width is not a positive integer or a name is unknown.
    """

    n_outputs: int
    activation: str | Activation = "identity"
    _: KW_ONLY
    initializer: str = "auto"

    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        # frozen: the one way to store what was checked
        object.__setattr__(self, "n_outputs", _validate.count("the width of a layer", self.n_outputs))
        object.__setattr__(self, "activation", _canonical(self.activation))
        _validate.choice("initializer", self.initializer, ["auto", *INITIALIZERS])

    def describe(self) -> dict:
        """A JSON-able dict from which ``from_description`` makes an equal layer."""
        return {"kind": self.kind, **asdict(self), "activation": parse_activation(self.activation).describe()}


def _canonical(activation) -> str | Activation:
    """The name where it says all, so that layers which do the same are equal."""
    parsed = parse_activation(activation)
    return parsed.name if parsed.describe() == parsed.name else parsed


LAYERS = {layer.kind: layer for layer in (Dense,)}


def from_description(description: dict) -> Dense:
    """The layer that ``describe`` described.

    Raises
    ------
    ValueError, TypeError
        If the kind is unknown or a field is wrong.
    """
    if not isinstance(description, dict):
        raise TypeError(f"a layer is described by a dict as Dense.describe() gives it, got {description!r}")
    fields = dict(description)
    layer = LAYERS[_validate.choice("kind of layer", fields.pop("kind", None), LAYERS)]
    try:
        return layer(**fields)
    except TypeError as error:
        raise ValueError(f"this description of a {layer.kind} layer does not fit: {error}") from error


def parse(layers, activation: str | Activation) -> tuple[int, tuple[Dense, ...]]:
    """What ``Network`` was given -> the number of inputs, and the layers.

    Ints become Dense layers with `activation`, the last one linear.
    """
    if isinstance(layers, (str, bytes)) or not hasattr(layers, "__iter__"):
        raise TypeError(
            f"layers must be a list such as [784, 128, 10], got {type(layers).__name__}; "
            "give the number of inputs, then the layers"
        )
    layers = list(layers)
    if len(layers) < 2:
        raise ValueError(
            f"a network needs its number of inputs and at least one layer, got {layers!r}; "
            "use for example [784, 128, 10]"
        )
    if isinstance(layers[0], Dense):
        raise TypeError(
            f"the first entry of layers must be the number of inputs (an int), got {layers[0]!r}; "
            f"use [n_inputs, {layers[0]!r}, ...]"
        )
    n_inputs = _validate.count("the number of inputs", layers[0])
    parsed = []
    for position, layer in enumerate(layers[1:], start=1):
        if isinstance(layer, Dense):
            parsed.append(layer)
        else:
            width = _validate.count(f"layer {position}", layer, hint=" or a layer such as fp.Dense(128, 'relu')")
            parsed.append(Dense(width, activation if position < len(layers) - 1 else "identity"))
    return n_inputs, tuple(parsed)
