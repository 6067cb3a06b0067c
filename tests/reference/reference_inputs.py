"""The twins of embeddings.h: operations on the columns of the network's input; conventions as in reference_rows.py."""

import numpy as np


def select_forward(x, columns):
    return x[:, columns]


def select_backward(da, columns, dx):
    """Return dx with the columns that were selected replaced by their sums of da."""
    dx = dx.copy()
    dx[:, columns] = 0
    np.add.at(dx, (slice(None), columns), da)
    return dx


def embed_forward(x, tables, categories, width):
    """Return the columns of numbers, followed by the row of its table for each index."""
    columns, start = [x[:, categories == 0]], 0
    for c in np.flatnonzero(categories):
        table = tables[start : start + categories[c] * width[c]].reshape(categories[c], width[c])
        columns.append(table[x[:, c].astype(int)])
        start += table.size
    return np.concatenate(columns, axis=1)


def embed_gradient(da, x, categories, width, dtables):
    """Return the gradient of the tables, added to `dtables`."""
    sums, at = [], np.count_nonzero(categories == 0)
    for c in np.flatnonzero(categories):
        table = np.zeros((categories[c], width[c]))
        np.add.at(table, x[:, c].astype(int), da[:, at : at + width[c]])
        sums.append(table.ravel())
        at += width[c]
    return dtables + np.concatenate([*sums, []])


def embed_backward(da, categories):
    dx = np.zeros((len(da), len(categories)))
    numbers = np.flatnonzero(categories == 0)
    dx[:, numbers] = da[:, : len(numbers)]
    return dx


def split(edges, bins):
    """Return the edges of each column."""
    return np.split(edges, np.cumsum(bins + 1))[:-1]


def piecewise_forward(x, edges, bins):
    columns = [np.zeros((len(x), 0))]
    for c, e in enumerate(split(edges, bins)):
        share = (x[:, c, None] - e[:-1]) / np.diff(e)
        share[:, 1:] = np.maximum(share[:, 1:], 0)
        share[:, :-1] = np.minimum(share[:, :-1], 1)
        columns.append(share)
    return np.concatenate(columns, axis=1)


def piecewise_backward(da, x, edges, bins):
    dx, at = np.zeros_like(x), 0
    for c, e in enumerate(split(edges, bins)):
        t = np.searchsorted(e[1:-1], x[:, c], side="right")
        dx[:, c] = da[np.arange(len(x)), at + t] / np.diff(e)[t]
        at += bins[c]
    return dx


def piecewise_product(x, edges, w, a):
    return a + piecewise_forward(x, edges, np.array([len(w)])) @ w


def piecewise_product_gradient(x, dz, edges, dw, sums, last):
    """Return dw and sums; unless `last`, they are sums over the rows of each bin, added to those given."""
    bins = len(dw)
    t = np.searchsorted(edges[1:-1], x[:, 0], side="right")
    inside = np.eye(bins)[t] * piecewise_forward(x, edges, np.array([bins]))
    dw, sums = dw + inside.T @ dz, sums + np.eye(bins)[t].T @ dz
    return (dw + np.cumsum(sums[::-1], axis=0)[::-1] - sums if last else dw), sums


def as_pairs(a, n_in):
    """Return (cosines, sines), each (rows, n_in, n_frequencies)."""
    a = a.reshape(len(a), n_in, 2, a.shape[1] // (2 * n_in))
    return a[:, :, 0], a[:, :, 1]


def periodic_forward(x, frequency):
    turns = x[:, :, None] * frequency
    angle = 2 * np.pi * (turns - np.round(turns))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=2).reshape(len(x), 2 * frequency.size)


def periodic_slope(da, a, n_in):
    """Return dC/d(2 pi f x)."""
    (cosine, sine), (dcosine, dsine) = as_pairs(a, n_in), as_pairs(da, n_in)
    return cosine * dsine - sine * dcosine


def periodic_backward(da, a, frequency):
    return 2 * np.pi * np.sum(frequency * periodic_slope(da, a, len(frequency)), axis=2)


def periodic_gradient(da, a, x, dfrequency=0.0):
    return dfrequency + 2 * np.pi * np.sum(x[:, :, None] * periodic_slope(da, a, x.shape[1]), axis=0)


TWINS = (
    select_forward, select_backward, embed_forward, embed_gradient, embed_backward, piecewise_forward,
    piecewise_backward, piecewise_product, piecewise_product_gradient, periodic_forward, periodic_backward,
    periodic_gradient,
)  # fmt: skip
KERNELS = {twin.__name__: twin for twin in TWINS}
