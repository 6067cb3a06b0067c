"""The formulas of operations, activations and losses in NumPy, for complex numbers too.

With them the cost is a function of one number in the middle of the network, in double precision and apart from the
engine: for finite differences, and for the complex step Im f(x + i h) / h, which subtracts nothing and is exact to
rounding where f is analytic (Squire and Trapp 1998, *Using complex variables to estimate derivatives of real
functions*). A formula with a corner is analytic on either side of it, and the real part says on which side.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from fastprop.explain.trace import Trace
from fastprop.interop import _common

Array = np.ndarray


def _abs(z: Array) -> Array:
    return np.where(z.real < 0, -z, z)


def _clip(z: Array, low: float, high: float) -> Array:
    return np.where(z.real <= low, low, np.where(z.real >= high, high, z))


def _softplus(z: Array) -> Array:
    return np.where(z.real >= 0, z, 0) + np.log1p(np.exp(-_abs(z)))  # at 0 both terms take the same side


def _sigmoid(z: Array) -> Array:
    small = np.exp(-_abs(z))
    return np.where(z.real >= 0, 1, small) / (1 + small)


def _elu(z: Array, alpha: float) -> Array:
    return np.where(z.real > 0, z, alpha * np.expm1(np.where(z.real > 0, 0, z)))


def _erf(z: Array) -> Array:
    """2 / sqrt(pi) exp(-z^2) sum of 2^n z^(2n+1) / (2n+1)!!, terms of one sign; from 6 on erf is 1 in float64."""
    near = np.where(np.abs(z.real) < 6, z, 0)
    term = total = near
    for n in range(1, 140):  # at 6 the last term is 1e-18 of the sum
        term = term * (2 * near * near / (2 * n + 1))
        total = total + term
    return np.where(np.abs(z.real) < 6, 2 / sqrt(pi) * np.exp(-near * near) * total, np.sign(z.real))


# name -> g(z), its numbers after z
ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z, slope: np.where(z.real > 0, z, slope * z),
    "elu": _elu,
    "selu": lambda z: 1.0507009873554805 * _elu(z, 1.6732632423543772),
    "celu": lambda z, alpha: np.where(z.real > 0, z, _elu(z / alpha, alpha)),
    "gelu": lambda z: z / 2 * (1 + _erf(z / sqrt(2))),
    "gelu_tanh": lambda z: z * _sigmoid(2 * sqrt(2 / pi) * (z + 0.044715 * z * z * z)),
    "silu": lambda z: z * _sigmoid(z),
    "mish": lambda z: z * np.tanh(_softplus(z)),
    "softplus": lambda z, beta: _softplus(beta * z) / beta,
    "softsign": lambda z: z / (1 + _abs(z)),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda z: _clip(z + 3, 0, 6) / 6,
    "tanh": np.tanh,
    "hard_tanh": _clip,
    "relu6": lambda z: _clip(z, 0, 6),
    "hard_swish": lambda z: z * _clip(z + 3, 0, 6) / 6,
    "log_sigmoid": lambda z: -_softplus(-z),
    "gaussian": lambda z: np.exp(-z * z),
    "sin": lambda z, omega: np.sin(omega * z),
}


def _log_softmax(a: Array) -> Array:
    score = a - np.max(a.real, axis=-1, keepdims=True)
    return score - np.log(np.sum(np.exp(score), axis=-1, keepdims=True))


def _huber(a: Array, y: Array, delta: float) -> Array:
    size = _abs(a - y)
    return np.where(size.real <= delta, size * size / 2, delta * (size - delta / 2))


def _log_cosh(a: Array, y: Array) -> Array:
    size = _abs(a - y)
    return size + np.log1p(np.exp(-2 * size)) - np.log(2)


def _quantile(a: Array, y: Array, *levels: float) -> Array:
    under = np.repeat(y, len(levels), axis=-1) - a
    q = np.tile(levels, y.shape[-1])
    return np.where(under.real > 0, q, q - 1) * under


def _tweedie(a: Array, y: Array, power: float) -> Array:
    one, two = 1 - power, 2 - power
    return 2 * (y**two / (one * two) - y * np.exp(one * a) / one + np.exp(two * a) / two)


def _gaussian_nll(a: Array, y: Array) -> Array:
    m, v = a[..., ::2], a[..., 1::2]
    return (v + (m - y) ** 2 * np.exp(-v)) / 2


def _cross_entropy(a: Array, y: Array, smoothing: float) -> Array:
    return -((1 - smoothing) * y + smoothing / a.shape[-1]) * _log_softmax(a)


def _kl_divergence(a: Array, y: Array) -> Array:
    return y * (np.log(np.where(y == 0, 1, y)) - _log_softmax(a))


def _focal(a: Array, y: Array, gamma: float, alpha: float) -> Array:
    log_p = _log_softmax(a)
    return -alpha * y * (1 - np.exp(log_p)) ** gamma * log_p


def _hinge(a: Array, y: Array) -> Array:
    margin = a + 1 - y
    first = np.argmax(margin.real, axis=-1)[..., None]
    return np.take_along_axis(margin, first, axis=-1) / a.shape[-1] - y * a  # summed over outputs it is the maximum


def _binary_focal(a: Array, y: Array, gamma: float, on_1: float, on_0: float) -> Array:
    yes, no = on_1 * y * _sigmoid(-a) ** gamma, on_0 * (1 - y) * _sigmoid(a) ** gamma
    return yes * _softplus(-a) + no * _softplus(a)


# name -> what is summed over the last axis, given outputs a, targets y and the kernel's numbers
LOSSES: dict[str, Callable[..., Array]] = {
    "half_mse": lambda a, y: (a - y) ** 2 / 2,
    "squared_error": lambda a, y: (a - y) ** 2,
    "mse": lambda a, y: (a - y) ** 2 / a.shape[-1],
    "mae": lambda a, y: _abs(a - y),
    "huber": _huber,
    "log_cosh": _log_cosh,
    "quantile": _quantile,
    "poisson": lambda a, y: np.exp(a) - y * a,
    "gamma": lambda a, y: 2 * (a - np.log(y) + y * np.exp(-a) - 1),
    "tweedie": _tweedie,
    "gaussian_nll": _gaussian_nll,
    "cross_entropy": _cross_entropy,
    "kl_divergence": _kl_divergence,
    "focal": _focal,
    "hinge": _hinge,
    "binary_cross_entropy": lambda a, y: _softplus(a) - y * a,
    "binary_focal": _binary_focal,
    "binary_hinge": lambda a, y: np.where((1 - y * a).real > 0, 1 - y * a, 0),
}


def mask(t: Trace, k: int) -> Array:
    """By what operation k, a dropout, multiplied its input; where that and the derivative are 0 it does not matter."""
    layer = t.layers[k]
    if not t.training:
        return np.ones_like(layer.a, np.float64)
    below = t.layers[k - 1].da if k else t.dx
    return ((layer.a != 0) | (below != 0)) / (1 - layer.operation.fields["rate"])


def output(part: _common.Part, x: Array, mask: Array | None = None, fork: Array | None = None) -> Array:
    """z of an operation whose input is x, a batch norm's that of prediction; `mask` is a dropout's, `fork` an add's."""
    operation, w, b = part.operation, part.weight, 0 if part.bias is None else part.bias
    kind, fields = operation.kind, operation.fields
    if kind == "dense" and fields.get("shared_weights"):
        return (x.reshape(len(x), fields["n_groups"], -1) @ w + b).reshape(len(x), -1)
    if kind == "dense":
        columns = np.cumsum([len(piece) for piece, _ in _common.pieces(part)])[:-1]
        products = [some @ piece for some, (piece, _) in zip(np.split(x, columns, axis=1), _common.pieces(part))]
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
        return _log_softmax(x) if fields["logarithm"] else np.exp(_log_softmax(x))
    if kind == "add":
        return x + fork
    if kind == "repeat":
        return np.tile(x, fields["n_groups"])
    if kind == "embed":
        return _embedded(part, x)
    if kind == "piecewise":
        return _piecewise(part, x)
    if kind == "periodic":
        turns = 2 * pi * x[:, :, None] * w  # (rows, columns, frequencies)
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=2).reshape(len(x), -1)
    return x  # copy, fork


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
        found.append(np.where((share.real > 1) & (bins < len(bins) - 1), 1, share))
    return np.concatenate(found, axis=1)


def edges_of(part: _common.Part) -> list[Array]:
    """The edges of each column of a piecewise-linear encoding."""
    counts = np.asarray(part.operation.fields["sizes"]) + 1
    return np.split(part.state.astype(np.float64), np.cumsum(counts)[:-1])


@np.errstate(all="ignore")  # of a network that diverged the cost is not finite, which says enough
def cost(t: Trace, kind: str, k: int, row: int, place: tuple[int, ...], change: complex) -> complex:
    """The cost with one number changed: W, b, z or a of operation k, or x; `row` of those that are of a row."""
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
        outputs[k + 1], first = _activated(parts[k], z), k + 1
    else:
        first = 0 if kind == "x" else k + 1
        outputs[first][row, *place] += change
    for j in range(first, len(parts)):
        operation = parts[j].operation
        fork = outputs[j + operation.fields["fork"] + 1] if operation.kind == "add" else None
        z = output(parts[j], outputs[j], mask(t, j) if operation.kind == "dropout" else None, fork)
        outputs[j + 1] = _activated(parts[j], z)
    each = outputs[-1].reshape(len(t.x), t.network.n_members, -1)
    y = np.eye(each.shape[2])[t.y] if t.y.ndim == 1 else t.y.astype(np.float64)
    losses = LOSSES[t.loss.name](each, y[:, None, :], *t.loss.hyper).sum(axis=2)
    return complex(np.sum(t.scale[:, None] * losses))


def _activated(part: _common.Part, z: Array) -> Array:
    activation = part.operation.activation
    return ACTIVATIONS[activation.name](z, *activation.values.values())
