"""The cases of the losses, and how far each may be from its twin; kernel_cases.py states what a bound counts.

A bound is a function of (draw, a, y, n, numbers): that of dL/da, and that of the sum over rows. Each allows for
two more roundings, of a weight. exp, log, log1p, tanh and the logistic function are within 4 ULP (vmath.h).
"""

from itertools import cycle, product

import numpy as np
import reference
from kernel_draws import HYPER, WIDTHS, Case, Drawer, wide
from kernels_ctypes import Same
from reference_activations import sigmoid
from reference_losses import log_softmax

from fastprop.nn.losses import LOSSES

# the hyperparameters that a loss is tested with; () if it has none
NUMBERS = {
    "huber": [(1.0,), (0.3,)],
    "quantile": [(0.5,), (0.1, 0.5, 0.9), (0.25, 0.75)],
    "tweedie": [(1.5,), (1.2,)],
    "cross_entropy": [(0.0,), (0.1,)],
    "focal": [(2.0, 1.0), (1.5, 0.25), (0.0, 1.0)],
    "binary_focal": [(2.0, 1.0, 1.0), (1.5, 0.25, 0.75), (0.0, 1.0, 1.0)],
}


def half_mse(draw, a, y, n, numbers):
    """a - y rounds once, its square and the sum n + 1 times; every term is positive."""
    return 4 * draw.eps * np.abs(a - y), (n + 4) * draw.eps * np.sum((a - y) ** 2)


squared_error = half_mse


def mse(draw, a, y, n, numbers):
    """The roundings of half_mse, and that of 1 / n."""
    da, cost = half_mse(draw, a, y, n + 1, numbers)
    return 2 * da / n, cost / n


def mae(draw, a, y, n, numbers):
    """The sign of a difference is exact."""
    return 4 * draw.eps, (n + 4) * draw.eps * np.sum(np.abs(a - y))


def huber(draw, a, y, n, numbers):
    """c (e - c / 2): delta and e round once, c is one of them, and e - c / 2 is at least |e| / 2."""
    rows, da = reference.LOSSES["huber"](a, y, *numbers)
    return 4 * draw.eps * np.abs(da), (n + 8) * draw.eps * np.sum(rows)


def log_cosh(draw, a, y, n, numbers):
    """The rounding of e is |e| eps, of ln(1 + e^(-2 |e|)) and ln 2 a few eps; |e| (1 - tanh^2 e) is below 1 and |e|."""
    size = np.abs(a - y)
    return 8 * draw.eps * np.minimum(size, 1), (n + 8) * draw.eps * np.sum(size + 1)


def quantile(draw, a, y, n, numbers):
    """The levels, 1 - q and a - y round once each."""
    size = np.abs(a - np.repeat(y, len(numbers), axis=1))
    return 4 * draw.eps, (n + 6) * draw.eps * np.sum(size)


def poisson(draw, a, y, n, numbers):
    """e^a, the product y a and their sum round."""
    m = np.exp(a)
    return 4 * draw.eps * (m + y), (n + 6) * draw.eps * np.sum(m + np.abs(y * a))


def gamma(draw, a, y, n, numbers):
    """y / m has 3 roundings and that of exp."""
    ratio = y / np.exp(a)
    return 8 * draw.eps * (1 + ratio), (n + 8) * draw.eps * 2 * np.sum(np.abs(a) + np.abs(np.log(y)) + ratio + 1)


def tweedie(draw, a, y, n, numbers):
    """An exponent x rounds twice, which moves e^x by x eps."""
    one, two = 1 - numbers[0], 2 - numbers[0]
    log_y = np.log(np.where(y > 0, y, 1))
    own = y**two * (1 + np.abs(two * log_y))
    falling, rising = y * np.exp(one * a) * (1 + np.abs(one * a)), np.exp(two * a) * (1 + np.abs(two * a))
    terms = own / -(one * two) + falling / -one + rising / two
    return 12 * draw.eps * (falling + rising), (n + 10) * draw.eps * 2 * np.sum(terms)


def gaussian_nll(draw, a, y, n, numbers):
    """e^-v rounds, and so do the difference and up to two products of both."""
    m, v = a[:, ::2], a[:, 1::2]
    error, square = np.abs(m - y) * np.exp(-v), (m - y) ** 2 * np.exp(-v)
    da = 6 * draw.eps * np.stack([error, 1 + square], axis=2).reshape(a.shape)
    return da, (n + 8) * draw.eps * np.sum(np.abs(v) + square)


def cross_entropy(draw, a, y, n, numbers):
    """A score rounds once, which moves e^score by |score| u and log sum by sum p |score| u; exp, log, sum: n + 8."""
    smoothing = numbers[0] if numbers else 0.0
    y = (1 - smoothing) * y + smoothing / n
    score = a - a.max(axis=1, keepdims=True)
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    weight = y.sum(axis=1, keepdims=True)
    da = (n + 8) * draw.eps * (weight * p * (1 + np.abs(score)) + np.abs(y))
    row = weight * (1 + np.log(n) + np.sum(p * np.abs(score), axis=1, keepdims=True)) + np.abs(y * score)
    return da, (n + 8) * draw.eps * np.sum(row)


def kl_divergence(draw, a, y, n, numbers):
    """The bound of cross_entropy, and that of the terms y ln y."""
    da, cost = cross_entropy(draw, a, y, n, numbers)
    return da, cost + (n + 8) * draw.eps * np.sum(np.abs(y * np.log(np.where(y > 0, y, 1))))


def focal(draw, a, y, n, numbers):
    """By how much ln p is off (`d`) moves p by p d, and 1 - p too; (1 - p)^gamma has an exponent that rounds."""
    power, alpha = numbers
    score = np.abs(a - a.max(axis=1, keepdims=True))
    log_p = log_softmax(a)
    p, rest = np.exp(log_p), -np.expm1(log_p) + draw.tiny
    d = draw.eps * (n + 8 + np.log(n) + 2 * score + np.sum(p * score, axis=1, keepdims=True))
    share = alpha * y * rest**power
    relative = power * p * d / rest + draw.eps * (12 + 4 * power + 2 * power * np.abs(np.log(rest)))
    # -p ln p / (1 - p) is at most 1, and changes by at most d
    pull, pull_bound = share * (power + 1), share * ((power + 1) * relative + power * (d + 8 * draw.eps))
    pulls = np.sum(pull_bound + n * draw.eps * pull, axis=1, keepdims=True)
    da = pull_bound + p * (pulls + (d + 4 * draw.eps) * np.sum(pull, axis=1, keepdims=True)) + 4 * draw.eps * pull
    return da, np.sum(share * ((power + 1) * d - relative * log_p) - n * draw.eps * share * log_p)


def hinge(draw, a, y, n, numbers):
    """1 - y and the margin round, and the sum of products; where the largest margin is, is exact."""
    terms = np.max(np.abs(a), axis=1) + 1 + np.sum(np.abs(y * a), axis=1)
    return 4 * draw.eps * (1 + y), (n + 6) * draw.eps * np.sum(terms)


def binary_cross_entropy(draw, a, y, n, numbers):
    """Three terms an element, of at most |z|, |z| y and ln 2, each with its own roundings, and the sum."""
    da = 8 * draw.eps * (sigmoid(a) + np.abs(y)) + draw.tiny
    return da, (n + 8) * draw.eps * np.sum(np.abs(a) * (1 + np.abs(y)) + 1)


def binary_focal(draw, a, y, n, numbers):
    """-ln s has 4 roundings, so that s^gamma has 4 gamma -ln s more."""
    power, on_1, on_0 = numbers
    s, rest = sigmoid(a), sigmoid(-a)
    yes, no = -np.log(s), -np.log(rest)
    one, zero = on_1 * y * rest**power * (16 + 4 * power * no), on_0 * (1 - y) * s**power * (16 + 4 * power * yes)
    da = draw.eps * (one * (rest + power * s * yes) + zero * (s + power * rest * no)) + draw.tiny
    return da, draw.eps * np.sum((one + n) * yes + (zero + n) * no)


def binary_hinge(draw, a, y, n, numbers):
    """The margin rounds once, and so has the right sign."""
    return 4 * draw.eps, (n + 4) * draw.eps * np.sum(1 + np.abs(a))


def draw_target(draw, name, rows, columns):
    """Return (y, label), one of which is None."""
    kind = LOSSES[name].targets
    if kind == "classes" and draw.rng.integers(2):
        return None, draw.rng.integers(columns, size=rows)
    if kind == "classes":
        return draw.rng.dirichlet(np.ones(columns), size=rows).astype(draw.dtype), None
    if kind == "probabilities":
        return draw.rng.random((rows, columns)).astype(draw.dtype), None
    if kind == "signs":
        return draw.rng.choice([-1, 1], size=(rows, columns)).astype(draw.dtype), None
    y = draw.normal(rows, columns)
    if kind == "not negative":
        return np.maximum(y, 0), None  # with zeros among them
    return (np.abs(y) + draw.dtype.type(0.01) if kind == "positive" else y), None


def loss(name, dtype):
    assert name in globals(), f"no bound of the loss {name}; write a function {name} in tests/cases/cases_losses.py"
    draw = Drawer(dtype)
    widths = [n for n in (*WIDTHS, 100) if n > 0]
    shapes = [*product([0, 1, 2, 15], widths), *product(widths, [1, 2])]  # lanes are columns, or rows
    for (rows, columns), numbers in zip(shapes, cycle(NUMBERS.get(name, [()])), strict=False):
        outputs = len(numbers) if name == "quantile" else LOSSES[name].outputs
        n, scale, start = columns * outputs, 1 / 7, 1.5
        a, (y, label) = 4 * draw.normal(rows, n), draw_target(draw, name, rows, columns)
        weight = np.abs(draw.normal(rows)) if draw.rng.integers(2) else None
        cost, da = reference.KERNELS[name](wide(a), wide(y), label, wide(weight), scale, numbers)
        target = reference.targets(name, label if y is None else y, a.shape)
        da_bound, cost_bound = globals()[name](draw, wide(a), target, n, numbers)
        if weight is not None:  # it bounds the sum over rows
            da_bound, cost_bound = da_bound * weight[:, None], cost_bound * np.max(weight, initial=0)
        cost_bound += rows * np.finfo(np.float64).eps * (abs(cost) + start)
        hyper = np.array([*numbers, *[np.nan] * (HYPER - len(numbers))])
        for da_before in (draw.nan(rows, n), None, Same("a")):
            expected = {"cost": np.array([start + cost])}
            if da_before is not None:
                expected["da"] = da
            yield Case(
                {"cost": np.array([start]), "da": da_before, "a": a, "y": y, "label": label, "weight": weight,
                 "rows": rows, "n": n, "n_y": columns, "scale": scale, "hyper": hyper},
                expected,
                {"cost": cost_bound, "da": scale * da_bound},
            )  # fmt: skip
