"""Layers of a network: frozen descriptions, without arrays."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, fields
from typing import ClassVar

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop.nn import activations
from fastprop.nn.initializers import INITIALIZERS
from fastprop.nn.operations import Operation, merged

# Every kind of layer by its name in descriptions; a class is entered when it is defined.
LAYERS: "dict[str, type[Layer]]" = {}

# Activations that apply to a whole row or have weights. Each is an operation of its own.
AS_OPERATIONS = ("softmax", "log_softmax", "prelu")

SHOWN = 40  # characters of an argument in a table of layers: the edges of PiecewiseLinear may be thousands


@frozen
class Layer:
    """The base class of all layers."""

    kind: ClassVar[str]
    first_only: ClassVar[bool] = False  # whether it reads the network's inputs, and so must be the first layer

    def __init_subclass__(cls) -> None:
        LAYERS[cls.kind] = cls

    @property
    def categories(self) -> tuple[tuple[int, int], ...]:
        """The columns of X that hold a category, each with the number of its categories."""
        return ()

    def describe(self) -> dict:
        """Return a JSON-able dict from which ``from_description`` makes an equal layer."""
        described = {"kind": self.kind}
        for each in fields(self):
            value = getattr(self, each.name)
            described[each.name] = value.describe() if hasattr(value, "describe") else value
        return described

    def operations(self, n_in: int, *, first: bool = False) -> list[Operation]:
        """Return the layer's operations for `n_in` inputs; `first` says whether these are the network's inputs."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the call that makes the layer, without the arguments that are defaults."""
        shown = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                shown.append(f"{each.name}={value!r}" if each.kw_only else repr(value))
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def title(self) -> str:
        """Internal: the layer without what a table says beside it: its width, its activation, and layers inside it."""
        shown = []
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in ("n_outputs", "activation", "layers", "parts") and value != each.default:
                shown.append(f"{each.name}={_validation.short(repr(value), SHOWN)}")
        return type(self).__name__ + (f"({', '.join(shown)})" if shown else "")

    def check(self, what: str, X: np.ndarray) -> None:
        """Check that every category of X (rows, n_in), called `what` in messages, is a whole number in its range.

        Raises
        ------
        ValueError
            If one is not; the message has the position of the first.
        """
        for column, categories in self.categories:
            values = X[:, column]
            wrong = (values != np.floor(values)) | (values < 0) | (values >= categories)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise ValueError(
                    f"{what}[{row}, {column}] is {values[row]:g}; Embedding reads column {column} as a category in "
                    f"[0, {categories}): renumber it, or make the Embedding with more categories"
                )

    def _store(self, **checked) -> None:
        """Store checked values of the fields, which a frozen dataclass allows in no other way."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def parse_activation(given) -> "str | activations.Activation":
    """Return a checked activation, or its name if it is that of the list, so that equal layers compare equal."""
    if isinstance(given, str):
        given = _validation.choice("activation", given, [*activations.ACTIVATIONS, *AS_OPERATIONS], any_case=True)
        if given in AS_OPERATIONS:
            return given
    parsed = activations.parse(given)
    return parsed.name if parsed.describe() == parsed.name else parsed


def activated(operation: Operation, activation) -> list[Operation]:
    """Return an operation followed by its activation, which may be merged into it or be an operation of its own."""
    n = operation.n_out
    if activation == "prelu":
        # The initial slope of PyTorch
        return [operation, Operation("prelu", n, weight=(n,), draw=lambda generator: np.full(n, 0.25))]
    if activation in AS_OPERATIONS:
        return [operation, Operation("softmax", n, fields={"logarithm": activation == "log_softmax"})]
    return merged([operation, Operation("copy", n, activations.parse(activation))])


@frozen
class Dense(Layer):
    """A dense layer: a = g(x W + b), with W (n_in, n_outputs) and b (n_outputs,).

    ::

        dC/dz = dC/da g'(z)
        dC/dW = x^T dC/dz,  dC/db = sum of dC/dz over rows,  dC/dx = dC/dz W^T

    Parameters
    ----------
    n_outputs : int
        The width, at least 1.
    activation : str or Activation, default "identity"
        A name of ``fastprop.activations.ACTIVATIONS``, or an activation with hyperparameters of your own, as
        ``fp.activations.leaky_relu(slope=0.1)``. In addition, "prelu" is z where z > 0 and slope z elsewhere, with a
        learned slope for each output (He, Zhang, Ren and Sun 2015); "softmax" and "log_softmax" apply to the row.
    initializer : str, default "auto"
        A name of ``fastprop.nn.initializers.INITIALIZERS``, or "auto" for the one that suits the activation.
    bias : bool, default True
        Whether the layer has a bias b.
    max_norm : float, optional
        The largest Euclidean norm of the weights of one output. After every step, larger weights are scaled down to
        it (Srebro and Shraibman 2005; Hinton et al. 2012).

    Raises
    ------
    ValueError, TypeError
        If the width is not a positive integer, a name is unknown, or max_norm is not positive.
    """

    n_outputs: int
    activation: "str | activations.Activation" = "identity"
    _: KW_ONLY
    initializer: str = "auto"
    bias: bool = True
    max_norm: float | None = None

    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        limit = self.max_norm
        self._store(
            n_outputs=_validation.count("the width of a layer", self.n_outputs),
            activation=parse_activation(self.activation),
            initializer=_validation.choice(
                "initializer", self.initializer, ["auto", *INITIALIZERS], any_case=True
            ),
            bias=_validation.flag("bias", self.bias),
            max_norm=None if limit is None else _validation.number("max_norm", limit, above=0),
        )

    def operations(self, n_in, *, first=False):
        """Return the product, and an activation that cannot be merged into it."""
        return self.product(n_in, first=first)

    def product(
        self, n_in: int, *, first: bool = False, n_groups: int = 1, shared_weights: bool = False
    ) -> list[Operation]:
        """Return the operations for a row that is split into groups, each with its own weights or all sharing one."""
        own = 1 if shared_weights else n_groups
        width, n_out = n_in // n_groups, self.n_outputs
        operation = Operation(
            "dense",
            n_groups * n_out,
            weight=(width, n_out) if own == 1 else (own, width, n_out),
            n_biases=n_out * own if self.bias else 0,
            draw=self._draw(own, width, first),
            max_norm=self.max_norm,
            fields={"n_groups": n_groups, "shared_weights": shared_weights} if n_groups > 1 else {},
        )
        return activated(operation, self.activation)

    def _draw(self, own: int, n_in: int, first: bool):
        """Return a function that draws the weights (own, n_in, n_outputs) of `own` groups from a generator."""
        activation = activations.parse("relu" if self.activation in AS_OPERATIONS else self.activation)
        name = activation.initializer if self.initializer == "auto" else self.initializer
        omega = activation.values.get("omega", 1.0)

        def draw(generator):
            drawn = [
                INITIALIZERS[name].draw(generator, n_in, self.n_outputs, first=first, omega=omega) for _ in range(own)
            ]
            return np.stack(drawn)

        return draw


@frozen
class Activation(Layer):
    """An activation by itself: a = g(x). After a linear layer it costs nothing, since that layer applies it.

    ::

        dC/dx = dC/da g'(x)

    Parameters
    ----------
    activation : str or Activation
        An activation as ``Dense`` takes it.
    """

    activation: "str | activations.Activation"

    kind: ClassVar[str] = "activation"

    def __post_init__(self) -> None:
        self._store(activation=parse_activation(self.activation))

    def operations(self, n_in, *, first=False):
        """Return a copy with the activation, which ``merged`` may merge into the operation before it."""
        if self.activation in AS_OPERATIONS:
            return activated(Operation("copy", n_in), self.activation)[1:]
        return [Operation("copy", n_in, activations.parse(self.activation))]


@frozen
class Dropout(Layer):
    """In training, sets each element to 0 with probability `rate` and divides the others by 1 - rate.

    In prediction it does nothing. ::

        dC/dx = 0 where the element was set to 0, dC/da / (1 - rate) elsewhere

    Which elements are 0 depends only on the trainer's seed, the step and the position. Srivastava, Hinton, Krizhevsky,
    Sutskever and Salakhutdinov 2014, *Dropout: a simple way to prevent neural networks from overfitting*.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Raises
    ------
    ValueError, TypeError
        If the rate is out of its range.
    """

    rate: float

    kind: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        self._store(rate=_validation.number("the rate of dropout", self.rate, least=0, below=1))

    def operations(self, n_in, *, first=False):
        """Return the product with a random mask."""
        return [Operation("dropout", n_in, fields={"rate": self.rate})]


@frozen
class BatchNorm(Layer):
    """a = g((x - mean) / sqrt(variance + epsilon) * w + b), with the mean and the variance of each column.

    In training they are those of the batch, where the variance is the sum of squares divided by the number of rows. The
    layer also updates a running mean and a running unbiased variance, with weight `momentum` for the batch; prediction
    uses these. It is the layer ``torch.nn.BatchNorm1d``. Ioffe and Szegedy 2015, *Batch normalization*.

    In training, with x_hat the fraction, z = x_hat w + b, and means over a column::

        dC/dz = dC/da g'(z),  dC/dw = sum of dC/dz x_hat over rows,  dC/db = sum of dC/dz over rows
        dC/dx = (d - mean(d) - x_hat mean(d x_hat)) / sqrt(variance + epsilon),  d = dC/dx_hat = dC/dz w

    Parameters
    ----------
    activation : str or Activation, default "identity"
    momentum : float, default 0.1
        In (0, 1].
    epsilon : float, default 1e-5
        Positive.

    Raises
    ------
    ValueError, TypeError
        If momentum or epsilon is out of its range, or the activation is unknown.
    """

    activation: "str | activations.Activation" = "identity"
    _: KW_ONLY
    momentum: float = 0.1
    epsilon: float = 1e-5

    kind: ClassVar[str] = "batch_norm"

    def __post_init__(self) -> None:
        momentum = _validation.number("momentum", self.momentum, above=0)
        if momentum > 1:
            raise ValueError(f"momentum must be in (0, 1], got {self.momentum!r:.200}")
        self._store(
            activation=parse_activation(self.activation),
            momentum=momentum,
            epsilon=_validation.number("epsilon", self.epsilon, above=0),
        )

    def operations(self, n_in, *, first=False):
        """Return the normalisation by columns."""
        numbers = {"momentum": self.momentum, "epsilon": self.epsilon}
        # Running mean and variance. A broadcast array takes no memory, however wide a description says the layer is.
        state = np.broadcast_to([[0.0], [1.0]], (2, n_in))
        operation = Operation("batch_norm", n_in, weight=(n_in,), n_biases=n_in, state=state, fields=numbers)
        return activated(operation, self.activation)


@frozen
class LayerNorm(Layer):
    """a = g((x - mean) / sqrt(variance + epsilon) * w + b), with the mean and the variance of each row.

    Ba, Kiros and Hinton 2016, *Layer normalization*. With x_hat the fraction, z = x_hat w + b, and means over a row::

        dC/dz = dC/da g'(z),  dC/dw = sum of dC/dz x_hat over rows,  dC/db = sum of dC/dz over rows
        dC/dx = (d - mean(d) - x_hat mean(d x_hat)) / sqrt(variance + epsilon),  d = dC/dx_hat = dC/dz w

    Parameters
    ----------
    activation : str or Activation, default "identity"
    epsilon : float, default 1e-5
        Positive.

    Raises
    ------
    ValueError, TypeError
        If epsilon is out of its range, or the activation is unknown.
    """

    activation: "str | activations.Activation" = "identity"
    _: KW_ONLY
    epsilon: float = 1e-5

    kind: ClassVar[str] = "layer_norm"

    def __post_init__(self) -> None:
        self._store(
            activation=parse_activation(self.activation), epsilon=_validation.number("epsilon", self.epsilon, above=0)
        )

    def operations(self, n_in, *, first=False):
        """Return the normalisation by rows."""
        operation = Operation("layer_norm", n_in, weight=(n_in,), n_biases=n_in, fields={"epsilon": self.epsilon})
        return activated(operation, self.activation)


@frozen
class Scale(Layer):
    """a = g(x * w + b), with a weight for each column: a product with a learned diagonal matrix.

    ::

        dC/dz = dC/da g'(z)
        dC/dw = sum of dC/dz x over rows,  dC/db = sum of dC/dz over rows,  dC/dx = dC/dz w

    Parameters
    ----------
    activation : str or Activation, default "identity"
    bias : bool, default False
        Whether the layer has a bias b.
    """

    activation: "str | activations.Activation" = "identity"
    _: KW_ONLY
    bias: bool = False

    kind: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        self._store(activation=parse_activation(self.activation), bias=_validation.flag("bias", self.bias))

    def operations(self, n_in, *, first=False):
        """Return the product with the diagonal."""
        operation = Operation("scale", n_in, weight=(n_in,), n_biases=n_in if self.bias else 0)
        return activated(operation, self.activation)


@frozen
class Residual(Layer):
    """a = g(x + block(x)). He, Zhang, Ren and Sun 2016, *Deep residual learning for image recognition*.

    ::

        dC/dz = dC/da g'(x + block(x)),  dC/dx = dC/dz + what the block's backward pass returns for dC/dz

    Parameters
    ----------
    layers : sequence
        The layers of the block. An int is a ``Dense`` layer of that width with ReLU, or without activation if it is the
        last one. The block must have as many outputs as inputs.
    activation : str or Activation, default "identity"
        The activation of the sum.

    Raises
    ------
    ValueError, TypeError
        If the block is empty or has something that is not a layer.
    """

    layers: "tuple[Layer, ...]"
    activation: "str | activations.Activation" = "identity"

    kind: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        block = parse_each(listed("the layers of Residual", self.layers), "relu", 1)
        if not block:
            raise ValueError(
                "Residual needs at least one layer in its block, got none; use Residual([Dense(64, 'relu'), 32])"
            )
        for layer in block:
            if layer.first_only:
                raise ValueError(f"{type(layer).__name__} reads the columns of X, so it cannot be inside a Residual")
        self._store(layers=tuple(block), activation=parse_activation(self.activation))

    def describe(self) -> dict:
        """Return a JSON-able dict from which ``from_description`` makes an equal layer."""
        return super().describe() | {"layers": [layer.describe() for layer in self.layers]}

    def operations(self, n_in, *, first=False):
        """Return the operations of the block, between a fork and a sum."""
        block = chain(n_in, self.layers)
        if block[-1].n_out != n_in:
            raise ValueError(
                f"the block of a Residual must give as many numbers as it takes: got {n_in} in and {block[-1].n_out} "
                f"out; end it with a layer of {n_in} outputs"
            )
        back = len(block) + 1
        joined = activated(Operation("add", n_in, fields={"fork": -back}), self.activation)
        return [Operation("fork", n_in, fields={"fork": back}), *block, *joined]


_validation.no_other_fields(*LAYERS.values())


def from_description(description: dict) -> Layer:
    """Return the layer that a dict of ``Layer.describe`` describes.

    Raises
    ------
    ValueError, TypeError
        If the kind of layer is unknown, or a field is wrong.
    """
    if not isinstance(description, dict):
        raise TypeError(f"a layer is described by a dict as Dense.describe() gives it, got {description!r:.200}")
    given = dict(description)
    layer = LAYERS[_validation.choice("kind of layer", given.pop("kind", None), LAYERS)]
    if isinstance(given.get("layers"), list):
        given["layers"] = [from_description(inner) for inner in given["layers"]]
    if isinstance(given.get("parts"), list):  # pairs of a layer and its columns
        given["parts"] = [
            (from_description(part[0]), *part[1:]) if isinstance(part, list) and part else part
            for part in given["parts"]
        ]
    try:
        return layer(**given)
    except TypeError as error:
        raise ValueError(f"this description of a {layer.kind} layer does not fit: {error}") from error


def chain(n_in: int, layers: Sequence[Layer], *, first: bool = False) -> list[Operation]:
    """Return the operations of a sequence of layers."""
    operations: list[Operation] = []
    for layer in layers:
        operations += layer.operations(operations[-1].n_out if operations else n_in, first=first and not operations)
    return merged(operations)


# ---- the argument `layers` of Network ----


def listed(what: str, layers) -> list:
    """Return any iterable of layers as a list."""
    if isinstance(layers, (str, bytes)) or not hasattr(layers, "__iter__"):
        raise TypeError(
            f"{what} must be a list such as [784, 128, 10], got {type(layers).__name__}; "
            "give the number of inputs, then the layers"
        )
    return list(layers)


def parse_each(layers: list, activation, position: int) -> list[Layer]:
    """Return layers, with each int replaced by a Dense layer with `activation`, or a linear one if it is the last."""
    parsed = []
    for place, layer in enumerate(layers):
        if isinstance(layer, Layer):
            parsed.append(layer)
        else:
            width = _validation.count(
                f"layer {place + position}", layer, hint=" or a layer such as fp.Dense(128, 'relu')"
            )
            parsed.append(Dense(width, activation if place < len(layers) - 1 else "identity"))
    return parsed


def parse(layers, activation) -> tuple[int, tuple[Layer, ...]]:
    """Return the number of inputs and the layers that the argument `layers` of ``Network`` gives."""
    layers = listed("layers", layers)
    if len(layers) < 2:
        raise ValueError(
            f"a network needs its number of inputs and at least one layer, got {layers!r:.200}; "
            "use for example [784, 128, 10]"
        )
    if isinstance(layers[0], Layer):
        raise TypeError(
            f"the first entry of layers must be the number of inputs (an int), got {layers[0]!r:.200}; "
            f"use [n_inputs, {layers[0]!r:.200}, ...]"
        )
    n_inputs = _validation.count("the number of inputs", layers[0])
    parsed = parse_each(layers[1:], activation, 1)
    for place, layer in enumerate(parsed, start=1):
        if layer.first_only and place > 1:
            raise ValueError(
                f"{type(layer).__name__} reads the columns of X, so it must be the first layer, got it as layer {place}"
            )
    if isinstance(parsed[-1], Dropout):
        raise ValueError("Dropout must not be the last layer, which gives the outputs; put it before that one")
    return n_inputs, tuple(parsed)
