"""Operations, activations and losses in NumPy, also for complex numbers.

They compute the cost as a function of one number in the middle of the network, in double precision and independently
of the engine. This serves finite differences and the complex step Im f(x + i h) / h, which has no cancellation and is
exact up to rounding where f is analytic (Squire and Trapp 1998, *Using complex variables to estimate derivatives of
real functions*). A formula with a corner is analytic on both sides of it; the real part determines the side.
"""

from math import pi, sqrt
from typing import Any

import numpy as np

from fastprop.explain.trace import Trace
from fastprop.interop import _common
from fastprop.nn import formulas
from fastprop.nn.activations import Activation
from fastprop.nn.losses import Loss
from fastprop.nn.operations import sources

Array = np.ndarray

# exp is computed for arguments up to this one, where it is finite in float64: a complex infinity would lead to NaN.
LARGEST_EXPONENT = 709.0




def _clipped(z: Array) -> Array:
    return np.where(z.real > LARGEST_EXPONENT, LARGEST_EXPONENT, z)


class NumPy(formulas.Target):
    """NumPy's functions of real or complex arrays, for ``formulas.evaluate``.

    Parameters
    ----------
    axes : tuple of int, default (-1,)
        The axes of the outputs of a row, over which ``sum`` is taken.
    """

    def __init__(self, axes: tuple[int, ...] = (-1,)):
        self.axes = axes

    def compare(self, sign: str, x: Any, y: Any) -> Array:
        """Compare the real parts, element by element."""
        return super().compare(sign, np.real(x), np.real(y))

    def where(self, condition: Any, x: Any, y: Any) -> Array:
        """Select element by element."""
        return np.where(condition, x, y)

    log, log1p, sqrt = staticmethod(np.log), staticmethod(np.log1p), staticmethod(np.sqrt)
    sin, cos, tanh = staticmethod(np.sin), staticmethod(np.cos), staticmethod(np.tanh)

    def exp(self, z: Array) -> Array:
        """Return e^z."""
        return np.exp(_clipped(z))

    def expm1(self, z: Array) -> Array:
        """Return e^z - 1."""
        return np.expm1(_clipped(z))

    def erfc(self, z: Array) -> Array:
        """Return 1 - erf(z), with erf(z) = 2 / sqrt(pi) exp(-z^2) times the sum of 2^n z^(2n+1) / (2n+1)!!.

        For |z| of at least 6, erf is -1 or 1 in float64.
        """
        near = np.where(np.abs(z.real) < 6, z, 0)
        term = total = near
        for n in range(1, 140):  # at 6 the last term is 1e-18 of the sum
            term = term * (2 * near * near / (2 * n + 1))
            total = total + term
        return 1 - np.where(np.abs(z.real) < 6, 2 / sqrt(pi) * np.exp(-near * near) * total, np.sign(z.real))

    def abs(self, z: Array) -> Array:
        """Return |z|; its derivative at 0 is -1."""
        return np.where(z.real > 0, z, -z)

    def max(self, x: Array, y: Any = None) -> Array:
        """Return the larger of x and y, or y if they are equal; without y, the largest element of each row."""
        if y is None:
            first = np.argmax(x.real, axis=-1)[..., None]
            return np.take_along_axis(x, first, axis=-1)
        return np.where(np.real(x) > np.real(y), x, y)

    def min(self, x: Array, y: Any) -> Array:
        """Return the smaller of x and y, or y if they are equal."""
        return np.where(np.real(x) < np.real(y), x, y)

    def sign(self, x: Array) -> Array:
        """Return -1, 0 or 1."""
        return np.sign(x.real)

    # ---- functions of a row ----

    def sum(self, x: Array) -> Array:
        """Return the sum of each row."""
        return np.sum(x, axis=self.axes, keepdims=True)

    def log_softmax(self, a: Array) -> Array:
        """Return the logarithm of the softmax of each row."""
        score = a - np.max(a.real, axis=-1, keepdims=True)
        return score - np.log(np.sum(np.exp(score), axis=-1, keepdims=True))

    def softmax(self, a: Array) -> Array:
        """Return the softmax of each row."""
        return np.exp(self.log_softmax(a))

    def first_maximum(self, x: Array) -> Array:
        """Return 1 at the first of the largest elements of each row, and 0 elsewhere."""
        return np.arange(x.shape[-1]) == np.argmax(x.real, axis=-1)[..., None]


@np.errstate(all="ignore")  # both sides of a condition are computed, also where one is not finite
def activate(activation: Activation, z: Array, *, a: Array | None = None) -> Array:
    """Return g(z) of an activation, or, where its outputs a are given, g'(z)."""
    formula = activation.expression if a is None else activation.slope
    value = formulas.evaluate(formula, NumPy(), {"z": z, "a": a, **activation.values})
    return np.broadcast_to(value, np.shape(z))


@np.errstate(all="ignore")  # as above
def row_losses(loss: Loss, a: Array, y: Array) -> Array:
    """Return the loss of each row, (...), for outputs (..., n) and targets (..., n_targets), which are not labels."""
    return np.reshape(_evaluate(loss, loss.expression, a, y), a.shape[:-1])


@np.errstate(all="ignore")  # as above
def loss_slope(loss: Loss, a: Array, y: Array) -> Array:
    """Return dL/da, (..., n), for outputs (..., n) and targets (..., n_targets), which are not labels."""
    slope = _evaluate(loss, loss.slope, a, y)
    each = np.concatenate(np.broadcast_arrays(*slope), axis=-1) if isinstance(slope, tuple) else slope
    return np.reshape(each, a.shape)


def _evaluate(loss: Loss, formula: str, a: Array, y: Array) -> Any:
    names = {name: np.array(value) if isinstance(value, tuple) else value for name, value in loss.constants.items()}
    names |= {"a": a, "y": y, "n": a.shape[-1]}
    if loss.outputs == 1:
        return formulas.evaluate(formula, NumPy(), names)
    each = a.reshape(*a.shape[:-1], -1, loss.outputs)  # (..., targets, outputs of a target)
    names |= {"a": each, "y": y[..., None], **{name: each[..., [k]] for k, name in enumerate(loss.output_names)}}
    return formulas.evaluate(formula, NumPy((-2, -1)), names)


def mask(t: Trace, k: int) -> Array:
    """Return the factors by which operation k, a dropout, multiplied its inputs, (rows, n).

    If both an output and the derivative of its input are 0, the factor has no effect, and is 0 here.
    """
    layer = t.layers[k]
    if not t.training:
        return np.ones_like(layer.a, np.float64)
    below = t.layers[k - 1].da if k else t.dx
    return ((layer.a != 0) | (below != 0)) / (1 - layer.operation.fields["rate"])


def output(part: _common.Part, x: Array, mask: Array | None = None, fork: Array | None = None) -> Array:
    """Return z of an operation for inputs x (rows, n_in); a batch norm uses its running statistics.

    `mask` has the factors of a dropout, and `fork` the second input of an add.
    """
    operation, w, b = part.operation, part.weight, 0 if part.bias is None else part.bias
    kind, fields = operation.kind, operation.fields
    if kind == "dense" and fields.get("shared_weights"):
        return (x.reshape(len(x), fields["n_groups"], -1) @ w + b).reshape(len(x), -1)
    if kind == "dense":
        groups = [weight for weight, _ in _common.groups(part)]
        columns = np.cumsum([len(weight) for weight in groups])[:-1]
        products = [some @ weight for some, weight in zip(np.split(x, columns, axis=1), groups)]
        return np.concatenate(products, axis=1) + b
    if kind == "scale":
        return x * w + b
    if kind == "layer_norm":
        less = x - x.mean(axis=1, keepdims=True)
        return less / np.sqrt((less * less).mean(axis=1, keepdims=True) + fields["epsilon"]) * w + b
    if kind == "batch_norm":
        mean, variance = part.state.astype(np.float64).reshape(2, -1)
        return (x - mean) / np.sqrt(variance + fields["epsilon"]) * w + b
    if kind == "dropout":
        return x * mask
    if kind == "prelu":
        return np.where(x.real > 0, x, w * x)
    if kind == "softmax":
        return NumPy().log_softmax(x) if fields["logarithm"] else NumPy().softmax(x)
    if kind == "add":
        return x + fork
    if kind == "repeat":
        return np.tile(x, fields["n_groups"])
    if kind == "select":
        return x[:, fields["sizes"]]
    if kind == "embed":
        return _embedded(part, x)
    if kind == "piecewise":
        return _piecewise(part, x)
    if kind == "periodic":
        turns = 2 * pi * x[:, :, None] * w  # (rows, columns, frequencies)
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=2).reshape(len(x), -1)
    return x  # copy, fork, concat


def _embedded(part: _common.Part, x: Array) -> Array:
    categories, widths = part.operation.fields["sizes"].reshape(2, -1)
    found, start = [x[:, categories == 0]], 0
    for column in np.flatnonzero(categories):
        end = start + categories[column] * widths[column]
        table = part.weight[start:end].reshape(-1, widths[column])
        found.append(table[x[:, column].real.astype(int)])
        start = end
    return np.concatenate(found, axis=1)


def _piecewise(part: _common.Part, x: Array) -> Array:
    found = []
    for column, edges in enumerate(edges_of(part)):
        share = (x[:, [column]] - edges[:-1]) / np.diff(edges)
        bins = np.arange(len(edges) - 1)
        share = np.where((share.real < 0) & (bins > 0), 0, share)
        # at an edge the derivative is that of the bin above it, as in the engine
        found.append(np.where((share.real >= 1) & (bins < len(bins) - 1), 1, share))
    return np.concatenate(found, axis=1)


def edges_of(part: _common.Part) -> list[Array]:
    """Return the edges of each column of a piecewise-linear encoding."""
    counts = np.asarray(part.operation.fields["sizes"]) + 1
    return np.split(part.state.astype(np.float64), np.cumsum(counts)[:-1])


@np.errstate(all="ignore")  # if the network diverged, the cost is not finite, which needs no further warning
def cost(t: Trace, kind: str, k: int, row: int, place: tuple[int, ...], change: complex) -> complex:
    """Return the cost after one number was changed: an element of W, b, z or a of operation k, or of x.

    The element is at `place`; `row` is the row of z, a and x.
    """
    outputs: list[Any] = [t.x.astype(complex), *(layer.a.astype(complex) for layer in t.layers)]
    parts, first = _common.parts(t.network), k
    if kind in ("W", "b"):
        name = "weight" if kind == "W" else "bias"
        changed = getattr(parts[k], name).astype(complex)
        changed[place] += change
        parts[k] = parts[k]._replace(**{name: changed})
    elif kind == "z":
        z = t.layers[k].z.astype(complex)
        z[row, *place] += change
        outputs[k + 1], first = activate(parts[k].operation.activation, z), k + 1
    else:
        first = 0 if kind == "x" else k + 1
        outputs[first][row, *place] += change
    read = sources(t.network.operations)
    for j in range(first, len(parts)):
        operation = parts[j].operation
        x = np.concatenate([outputs[k + 1] for k in read[j]], axis=1)
        fork = outputs[j + operation.fields["fork"] + 1] if operation.kind == "add" else None
        z = output(parts[j], x, mask(t, j) if operation.kind == "dropout" else None, fork)
        outputs[j + 1] = activate(parts[j].operation.activation, z)
    each = outputs[-1].reshape(len(t.x), t.network.n_members, -1)
    y = np.eye(each.shape[2])[t.y] if t.y.ndim == 1 else t.y.astype(np.float64)
    y = np.broadcast_to(y[:, None, :], (*each.shape[:2], y.shape[1]))
    return complex(np.sum(t.scale[:, None] * row_losses(t.loss, each, y)))
