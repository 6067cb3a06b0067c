"""The losses of the twin: name -> function (a, y, *hyperparameters) that returns (loss of each row, dL/da).

They compute in float64, by the formulas of fastprop/nn/losses.py, as plainly as these are written.
"""

import numpy as np
from reference_activations import sigmoid


def softplus(z):
    return np.logaddexp(0.0, z)


def log_softmax(a):
    score = a - np.max(a, axis=1, keepdims=True)
    return score - np.log(np.sum(np.exp(score), axis=1, keepdims=True))


def half_mse(a, y):
    """1/2 sum (a - y)^2."""
    return 0.5 * np.sum((a - y) ** 2, axis=1), a - y


def squared_error(a, y):
    """Sum (a - y)^2."""
    return np.sum((a - y) ** 2, axis=1), 2.0 * (a - y)


def mse(a, y):
    return np.mean((a - y) ** 2, axis=1), 2.0 * (a - y) / a.shape[1]


def mae(a, y):
    return np.sum(np.abs(a - y), axis=1), np.sign(a - y)


def huber(a, y, delta=1.0):
    size = np.abs(a - y)
    rows = np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))
    return np.sum(rows, axis=1), np.clip(a - y, -delta, delta)


def log_cosh(a, y):
    """log((e^x + e^-x) / 2)."""
    return np.sum(np.logaddexp(a - y, y - a) - np.log(2.0), axis=1), np.tanh(a - y)


def quantile(a, y, *levels):
    q = np.tile(levels or [0.5], y.shape[1])
    under = np.repeat(y, len(q) // y.shape[1], axis=1) - a
    slope = np.where(under > 0, -q, np.where(under < 0, 1 - q, 0.0))
    return np.sum(np.maximum(q * under, (q - 1) * under), axis=1), slope


def poisson(a, y):
    return np.sum(np.exp(a) - y * a, axis=1), np.exp(a) - y


def gamma(a, y):
    m = np.exp(a)
    return 2 * np.sum(np.log(m / y) + y / m - 1, axis=1), 2 * (1 - y / m)


def tweedie(a, y, power=1.5):
    one, two = 1 - power, 2 - power
    terms = y**two / (one * two) - y * np.exp(one * a) / one + np.exp(two * a) / two
    return 2 * np.sum(terms, axis=1), 2 * (np.exp(two * a) - y * np.exp(one * a))


def gaussian_nll(a, y):
    m, v = a[:, ::2], a[:, 1::2]
    da = np.empty_like(a)
    da[:, ::2], da[:, 1::2] = (m - y) / np.exp(v), 0.5 * (1 - (m - y) ** 2 / np.exp(v))
    return 0.5 * np.sum(v + (m - y) ** 2 / np.exp(v), axis=1), da


def cross_entropy(a, y, label_smoothing=0.0):
    """-sum y log softmax(a); derivative softmax(a) sum(y) - y, where sum(y) is 1 as a rule."""
    y = (1 - label_smoothing) * y + label_smoothing / a.shape[1]
    log_p = log_softmax(a)
    return -np.sum(y * log_p, axis=1), np.exp(log_p) * np.sum(y, axis=1, keepdims=True) - y


def kl_divergence(a, y):
    entropy = np.where(y == 0, 0.0, y * np.log(np.where(y == 0, 1.0, y)))
    rows, da = cross_entropy(a, y)
    return rows + np.sum(entropy, axis=1), da


def focal(a, y, gamma=2.0, alpha=1.0):
    log_p = log_softmax(a)
    p, rest = np.exp(log_p), -np.expm1(log_p)
    ratio = np.divide(log_p, rest, out=np.full_like(log_p, -1.0), where=rest > 0)  # its limit where p is 1
    h = alpha * y * rest**gamma * (gamma * p * ratio - 1)
    return -alpha * np.sum(y * rest**gamma * log_p, axis=1), h - p * np.sum(h, axis=1, keepdims=True)


def hinge(a, y):
    margin = a + 1 - y
    first = np.arange(a.shape[1]) == np.argmax(margin, axis=1)[:, None]
    return np.max(margin, axis=1) - np.sum(y * a, axis=1), first - y


def binary_cross_entropy(a, y):
    """-sum [y log s(a) + (1 - y) log(1 - s(a))], where log s(a) = -log(1 + e^-a)."""
    return np.sum(softplus(a) - y * a, axis=1), sigmoid(a) - y


def binary_focal(a, y, gamma=2.0, on_1=1.0, on_0=1.0):
    s, rest, yes, no = sigmoid(a), sigmoid(-a), softplus(-a), softplus(a)
    rows = on_1 * y * rest**gamma * yes + on_0 * (1 - y) * s**gamma * no
    da = on_0 * (1 - y) * s**gamma * (s + gamma * rest * no) - on_1 * y * rest**gamma * (rest + gamma * s * yes)
    return np.sum(rows, axis=1), da


def binary_hinge(a, y):
    return np.sum(np.maximum(0.0, 1 - y * a), axis=1), np.where(y * a < 1, -y, 0.0)


LOSSES = {
    loss.__name__: loss
    for loss in (
        half_mse, squared_error, mse, mae, huber, log_cosh, quantile, poisson, gamma, tweedie, gaussian_nll,
        cross_entropy, kl_divergence, focal, hinge, binary_cross_entropy, binary_focal, binary_hinge,
    )
}  # fmt: skip

CLASSES = ("cross_entropy", "kl_divergence", "focal", "hinge")  # take labels


def targets(loss, y, shape):
    """Return `y` as float64: labels as one-hot rows, one value per row as a column, signs as -1 and 1."""
    y = np.asarray(y)
    if loss in CLASSES and y.ndim == 1:
        return np.eye(shape[1])[y]
    y = y.astype(np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if loss == "binary_hinge" and not np.any(y == -1):
        y = 2 * y - 1
    return y
