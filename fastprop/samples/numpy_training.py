"""The training of `fastprop demo` in pure NumPy, with which the compiled engine is compared.

It is as fast as NumPy allows, so that the comparison is fair: every array is made once, every product and every update
writes in place, and one `take` puts the rows of an epoch in random order.
"""

import time

import numpy as np

__all__ = ["train"]


def train(weights, biases, X, y, *, epochs, batch_size, rate, momentum, seed):
    """Train a ReLU network with a linear last layer on softmax cross-entropy by SGD with momentum.

    Parameters
    ----------
    weights, biases : lists of arrays (n_in, n_out) and (n_out,)
        The initial parameters, which are not changed.
    X : array (rows, n_inputs), of the dtype of the weights
    y : integer labels (rows,)

    Returns
    -------
    weights, biases : lists of arrays
        The trained parameters.
    costs : list of float
        The mean cost of each epoch.
    seconds : float
        The time of the loop over the epochs.
    """
    dtype = weights[0].dtype
    shapes = [p.shape for pair in zip(weights, biases, strict=True) for p in pair]
    theta = np.concatenate([p.ravel() for pair in zip(weights, biases, strict=True) for p in pair])
    gradient, velocity = np.empty_like(theta), np.zeros_like(theta)
    W, b = _views(theta, shapes)
    dW, db = _views(gradient, shapes)
    W_transposed = [w.T for w in W]
    last = len(W) - 1

    X_shuffled, y_shuffled = np.empty_like(X), np.empty_like(y)
    batches = []
    blocks = {}  # rows of a batch -> its work arrays; the last batch may be shorter
    for start in range(0, len(X), batch_size):
        xb, yb = X_shuffled[start : start + batch_size], y_shuffled[start : start + batch_size]
        if len(xb) not in blocks:
            blocks[len(xb)] = (
                [np.empty((len(xb), w.shape[1]), dtype) for w in W],
                [np.empty((len(xb), w.shape[1]), dtype) for w in W],
                [np.empty((len(xb), w.shape[1]), bool) for w in W[:-1]],
                np.empty((len(xb), 1), dtype),
                np.arange(len(xb)),
            )
        batches.append((xb, yb, *blocks[len(xb)]))
    random = np.random.default_rng(seed)
    costs = []

    start_time = time.perf_counter()
    for _ in range(epochs):
        order = random.permutation(len(X))
        np.take(X, order, axis=0, out=X_shuffled)
        np.take(y, order, out=y_shuffled)
        total = 0.0
        for xb, yb, a, dz, masks, column, numbers in batches:
            below = xb
            for k in range(last):
                np.matmul(below, W[k], out=a[k])
                a[k] += b[k]
                below = np.maximum(a[k], 0, out=a[k])
            z = np.matmul(below, W[last], out=a[last])
            z += b[last]

            z -= z.max(axis=1, keepdims=True, out=column)
            true_scores = z[numbers, yb]
            d = np.exp(z, out=dz[last])
            d.sum(axis=1, keepdims=True, out=column)
            d /= column
            d[numbers, yb] -= 1
            d *= rate / len(xb)  # the rate is multiplied here, where the array is smallest
            np.log(column, out=column)
            total += float(column.sum() - true_scores.sum())

            for k in range(last, 0, -1):
                np.matmul(a[k - 1].T, dz[k], out=dW[k])
                dz[k].sum(axis=0, out=db[k])
                np.matmul(dz[k], W_transposed[k], out=dz[k - 1])
                dz[k - 1] *= np.greater(a[k - 1], 0, out=masks[k - 1])
            np.matmul(xb.T, dz[0], out=dW[0])
            dz[0].sum(axis=0, out=db[0])

            velocity *= momentum
            velocity += gradient
            theta -= velocity
        costs.append(total / len(X))
    seconds = time.perf_counter() - start_time
    return W, b, costs, seconds


def _views(flat, shapes):
    parts, offset = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(flat[offset : offset + size].reshape(shape))
        offset += size
    return parts[::2], parts[1::2]
