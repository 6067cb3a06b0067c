"""The twins of rowwise.h and normalize.h: operations on single rows or elements, and normalisation.

As in reference.py, a twin computes in float64, takes the inputs of its kernel in the kernel's order, without sizes and
strides, and returns what the kernel writes.
"""

import numpy as np


def softmax_forward(x, logarithm=False):
    log_p = x - np.max(x, axis=1, keepdims=True)
    log_p = log_p - np.log(np.sum(np.exp(log_p), axis=1, keepdims=True))
    return log_p if logarithm else np.exp(log_p)


def softmax_backward(da, a, logarithm=False):
    """Return J^T da, where da_i/dx_j is a_i ([i = j] - a_j), or for the logarithm [i = j] - e^a_j."""
    if logarithm:
        return da - np.exp(a) * np.sum(da, axis=1, keepdims=True)
    return a * (da - np.sum(da * a, axis=1, keepdims=True))


def prelu_forward(x, slope):
    return np.where(x > 0, x, slope * x)


def prelu_backward(da, x, slope):
    return np.where(x > 0, da, slope * da)


def prelu_gradient(da, x, dslope=0.0):
    return dslope + np.sum(da * np.minimum(x, 0), axis=0)


def splitmix64(x):
    """The finaliser of Steele, Lea and Flood 2014, in Python's integers."""
    mask = 2**64 - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def draws(rows, n, first, key):
    """Return 32 random bits for each element: lowbias32 (Wellons 2018) of its counter and the key."""
    mixed, mask = splitmix64((key + 0x9E3779B97F4A7C15) % 2**64), 2**32 - 1
    x = ((first + np.arange(rows, dtype=np.uint64)[:, None]) * n + np.arange(n, dtype=np.uint64)).astype(np.uint64)
    x = (x + mixed % 2**32) & mask
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & mask
    return ((x ^ (x >> 15) ^ (mixed >> 32)) * 0x846CA68B) & mask


def dropout(x, first, rate, key):
    """Return (a, saved)."""
    saved = np.where(draws(*x.shape, first, key) < int(rate * 2**32), 0.0, 1 / (1 - rate))
    return x * saved, saved


def multiply_rows(x, y):
    return x * y


def add_rows(x, y=None):
    return x if y is None else x + y


def repeat_rows(x, copies):
    return np.tile(x, (1, copies))


def sum_copies(da, copies):
    return da.reshape(da.shape[0], copies, da.shape[1] // copies).sum(axis=1)


def row_statistics(x, epsilon):
    """Return (mean, rstd)."""
    return np.mean(x, axis=1), 1 / np.sqrt(np.var(x, axis=1) + epsilon)


def column_statistics(x):
    """Return (mean, variance)."""
    return np.mean(x, axis=0), np.var(x, axis=0)


def normalized(x, mean=None, rstd=None, by_row=False):
    """Return xhat."""
    if mean is None:
        return x
    return (x - mean[:, None]) * rstd[:, None] if by_row else (x - mean) * rstd


def scale_forward(x, mean, rstd, gamma, beta, by_row):
    xhat = normalized(x, mean, rstd, by_row)
    return xhat * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta)


def scale_gradient(da, x, mean, rstd, by_row, dgamma=0.0, dbeta=0.0):
    """Return (dgamma, dbeta), added to those given."""
    return dgamma + np.sum(da * normalized(x, mean, rstd, by_row), axis=0), dbeta + np.sum(da, axis=0)


def scale_backward(da, gamma, rstd):
    return da * (1.0 if gamma is None else gamma) * (1.0 if rstd is None else rstd)


def layer_norm_backward(da, x, mean, rstd, gamma):
    """Return dx by the chain rule through variance and mean (Ba, Kiros and Hinton 2016, "Layer normalization")."""
    g, xhat = da * (1.0 if gamma is None else gamma), normalized(x, mean, rstd, True)
    slope = np.mean(g * xhat, axis=1, keepdims=True)
    return rstd[:, None] * (g - np.mean(g, axis=1, keepdims=True) - xhat * slope)


def batch_norm_backward(da, x, mean, rstd, gamma, dgamma, dbeta, batch_rows):
    """Return dx by the chain rule through variance and mean (Ioffe and Szegedy 2015, "Batch normalization")."""
    gain = rstd * (1.0 if gamma is None else gamma)
    return gain * (da - (dbeta + normalized(x, mean, rstd) * dgamma) / batch_rows)


TWINS = (
    softmax_forward, softmax_backward, prelu_forward, prelu_backward, prelu_gradient, dropout, multiply_rows, add_rows,
    repeat_rows, sum_copies, row_statistics, column_statistics, scale_forward, scale_gradient, scale_backward,
    layer_norm_backward, batch_norm_backward,
)  # fmt: skip
KERNELS = {twin.__name__: twin for twin in TWINS}
