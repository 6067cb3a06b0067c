"""The baseline: the fastest training of a multi-layer perceptron in NumPy alone that is a fair comparison.

Honest: the mathematics of DESIGN.md section 1, a fresh shuffle every epoch, the cost of every step.
Fast: a step allocates nothing of a layer's size, results go to an `out`, views are made beforehand.
What was measured (NumPy 2.4, OpenBLAS 0.3.31, one core of an EPYC with AVX-512) and decided by it:

- `x.dot` costs 0.3 us to call, `np.dot` 0.5, `np.matmul` 0.9; from 64 x 64 on they are one;
- column sums are `ones.dot(dz)`: BLAS takes a third of the time of `np.add.reduce`;
- a column of ones that carries the bias through the product, or activations kept transposed, save
  a call of 1 us and lose more in strided writes or slower products from 64 columns on;
- scalars are 0-d arrays: converting a Python float costs 0.3 us in every call;
- `np.maximum` with an array of zeros is four times as fast as with one zero;
- in place, except for arrays of one element, where that takes 0.9 us instead of 0.3;
- rows are gathered for many small batches at once, so that `take` is not called for each.
"""

from types import SimpleNamespace

import numpy as np

# Bytes of rows gathered by one `take`: a quarter of a common L2, so that the rows are still in it when
# they are used; and a bound on the number of views, since more batches at once gain nothing.
GATHER_BYTES = 256 * 1024
GATHER_BATCHES = 256

# From this many elements on `greater` and a product with booleans beat `sign` (2:1 at 64k).
SIGN_LIMIT = 4096


def relu(z, zeros, a):
    np.maximum(z, zeros, out=a)


def relu_mask_small(da, a, scratch, zero, dz):
    np.sign(a, scratch)
    np.multiply(da, scratch, dz)


def relu_mask_large(da, a, scratch, zero, dz):
    np.greater(a, zero, scratch)
    np.multiply(da, scratch, dz)


def tanh(z, one, a):
    np.tanh(z, a)


def tanh_mask(da, a, scratch, one, dz):
    np.multiply(a, a, scratch)
    np.subtract(one, scratch, scratch)
    np.multiply(da, scratch, dz)


def sigmoid(z, half, a):
    """Compute (1 + tanh(z / 2)) / 2: as many passes as with exp, but no overflow, and tanh is faster."""
    np.multiply(z, half, a)
    np.tanh(a, a)
    np.multiply(a, half, z)
    np.add(z, half, a)


def sigmoid_mask(da, a, scratch, half, dz):
    np.multiply(a, a, scratch)
    np.subtract(a, scratch, scratch)
    np.multiply(da, scratch, dz)


# Name -> forward (a from z), backward (dz from da), and the constant that they take.
ACTIVATIONS = {
    "relu": (relu, relu_mask_small, 0.0),
    "tanh": (tanh, tanh_mask, 1.0),
    "sigmoid": (sigmoid, sigmoid_mask, 0.5),
}


def half_mse(plan, a, y):
    """Return the mean cost, and leave rate / rows * dL/da in plan.dz. The last layer is linear: a is z."""
    np.subtract(a, y, plan.da)
    cost = 0.5 * float(plan.da_flat.dot(plan.da_flat)) / plan.rows
    np.multiply(plan.da, plan.scale, plan.dz)
    return cost


def cross_entropy(plan, a, labels):
    """Do as half_mse for integer labels: the cost is the mean of log sum exp(a) - a[label]."""
    np.maximum.reduce(a, 1, None, plan.column, True)
    np.subtract(a, plan.column, a)
    np.add(plan.row_start, labels, plan.index)
    plan.a_flat.take(plan.index, 0, plan.picked, "clip")
    np.exp(a, plan.dz)
    plan.dz.dot(plan.ones_out, plan.sums)
    np.divide(plan.scale, plan.sums_column, plan.column)
    np.multiply(plan.dz, plan.column, plan.dz)
    plan.dz_flat[plan.index] -= plan.scale
    np.log(plan.sums, plan.sums)
    return float(plan.sums.dot(plan.ones) - plan.picked.dot(plan.ones)) / plan.rows


LOSSES = {"half_mse": half_mse, "cross_entropy": cross_entropy}


class NumpyTrainer:
    """Trains a network of dense layers, the last one linear, by SGD with momentum or by Adam.

    Parameters
    ----------
    widths : sequence of int
        Inputs, then the outputs of each layer.
    activation : {"relu", "tanh", "sigmoid"}
        That of every layer but the last.
    loss : {"half_mse", "cross_entropy"}
        half_mse takes rows (or a vector for one output), cross_entropy integer labels.
    rate, momentum : float
        As in ``fastprop.SGD``.
    dtype : {"float32", "float64"}
    theta : array, optional
        Initial parameters, flat, laid out as ``fastprop.Network.parameters``; copied.
    seed : int
        The seed of the shuffling, and of the parameters if ``theta`` is not given.
    adam : bool
        Take the steps of Adam, as in ``fastprop.Adam``, instead.
    """

    def __init__(
        self, widths, activation, loss, rate, momentum=0.0, dtype="float32", theta=None, seed=0, adam=False
    ):
        self.widths, self.rate, self.dtype = tuple(widths), rate, np.dtype(dtype)
        self._rng = np.random.default_rng(seed)
        self._apply, self._mask, constant = ACTIVATIONS[activation]
        self._constant = np.array(constant, self.dtype)
        self._loss = LOSSES[loss]
        self._labels = loss == "cross_entropy"
        n_parameters = sum((n + 1) * m for n, m in zip(widths, widths[1:], strict=False))
        self.theta = np.zeros(n_parameters, self.dtype)
        # The gradient arrives multiplied by the rate, so that an update is velocity *= momentum,
        # velocity += gradient, theta -= velocity: no temporary and no pass to scale. Adam takes it unscaled.
        self._scale = 1.0 if adam else rate
        self._scaled_gradient = np.zeros_like(self.theta)
        self._velocity = np.zeros_like(self.theta) if momentum else None
        self._momentum = np.array(momentum, self.dtype)
        self._update = self._adam if adam else self._heavy_ball if momentum else self._sgd
        self._first, self._second, self._work = (np.zeros_like(self.theta) for _ in range(3))
        self._steps = 0
        self._parameters = self._views(self.theta)
        self._gradients = self._views(self._scaled_gradient)
        if theta is None:
            for w, _ in self._parameters:
                w[:] = self._rng.normal(0.0, (2.0 / len(w)) ** 0.5, w.shape)
        else:
            self.theta[:] = theta
        self._plans, self._gathered = {}, (None, None)

    def step(self, xb, yb):
        """Take a step on one mini-batch of this dtype; return its cost before the step."""
        return self._step(self._plan(len(xb)), xb, xb.T, self._as_target(yb))

    def epoch(self, X, y, batch_size):
        """Train for one pass over all rows, of this dtype, in a new random order; return the mean cost."""
        y = self._as_target(y)
        order = self._rng.permutation(len(X))
        xs, ys, views = self._gather_buffers(X, y, batch_size)
        plan, total = self._plan(batch_size), 0.0
        for start in range(0, len(X), len(xs)):
            index = order[start : start + len(xs)]
            rows = len(index)
            # "clip", since the default mode, which checks the indices, uses a second buffer.
            X.take(index, 0, xs[:rows], "clip")
            y.take(index, 0, ys[:rows], "clip")
            whole, rest = divmod(rows, batch_size)
            for xb, xb_t, yb in views[:whole]:
                total += self._step(plan, xb, xb_t, yb) * batch_size
            if rest:
                xb, yb = xs[rows - rest : rows], ys[rows - rest : rows]
                total += self._step(self._plan(rest), xb, xb.T, yb) * rest
        return total / len(X)

    def predict(self, X):
        """Return the outputs for the rows of X."""
        a = X
        for k, (w, b) in enumerate(self._parameters):
            a = a.dot(w) + b
            if k + 1 < len(self._parameters):
                self._apply(a, self._constant, a)
        return a

    def _step(self, plan, x, x_t, y):
        apply, constant, below = self._apply, self._constant, x
        for product, w, b, z, a, constants in plan.hidden:
            below.dot(w, product)
            np.add(product, b, z)
            apply(z, constants, a)
            below = a
        product, w, b, z = plan.last
        below.dot(w, product)
        np.add(product, b, z)
        cost = self._loss(plan, z, y)
        for dz, w_t, a_t, dw, db, da_below, mask, a, scratch, dz_below in plan.backward:
            a_t.dot(dz, dw)
            plan.ones.dot(dz, db)
            dz.dot(w_t, da_below)
            mask(da_below, a, scratch, constant, dz_below)
        dz, dw, db = plan.first
        x_t.dot(dz, dw)
        plan.ones.dot(dz, db)
        self._update()
        return cost

    def _sgd(self):
        np.subtract(self.theta, self._scaled_gradient, self.theta)

    def _heavy_ball(self):
        np.multiply(self._velocity, self._momentum, self._velocity)
        np.add(self._velocity, self._scaled_gradient, self._velocity)
        np.subtract(self.theta, self._velocity, self.theta)

    def _adam(self):
        """Take a step with the decay rates 0.9 and 0.999, and 1e-8 beside the root."""
        gradient, work, first, second = self._scaled_gradient, self._work, self._first, self._second
        self._steps += 1
        np.multiply(gradient, gradient, work)
        np.subtract(gradient, first, gradient)
        np.multiply(gradient, 0.1, gradient)
        np.add(first, gradient, first)
        np.subtract(work, second, work)
        np.multiply(work, 0.001, work)
        np.add(second, work, second)
        np.multiply(second, 1 / (1 - 0.999**self._steps), work)
        np.sqrt(work, work)
        np.add(work, 1e-8, work)
        np.divide(first, work, work)
        np.multiply(work, self.rate / (1 - 0.9**self._steps), work)
        np.subtract(self.theta, work, self.theta)

    def _views(self, flat):
        """Return [(W, b), ...] as views of a flat vector."""
        views, start = [], 0
        for n_in, n_out in zip(self.widths, self.widths[1:], strict=False):
            middle = start + n_in * n_out
            views.append((flat[start:middle].reshape(n_in, n_out), flat[middle : middle + n_out]))
            start = middle + n_out
        return views

    def _as_target(self, y):
        if self._labels:
            return np.asarray(y, np.intp)
        return np.asarray(y, self.dtype).reshape(len(y), self.widths[-1])

    def _plan(self, rows):
        """All arrays and views that a step on this number of rows uses, created once."""
        if rows in self._plans:
            return self._plans[rows]

        def buffer(n, separate_from=None):
            """Return a buffer: the given one, to work in place, or a new one for one element, where that is faster."""
            if separate_from is None or rows * n == 1:
                return np.empty((rows, n), self.dtype)
            return separate_from

        hidden, backward, outputs, dzs = [], [], [], []
        for n, (w, b) in zip(self.widths[1:], self._parameters, strict=True):
            b = b[None] if rows == 1 else b  # one row of the same shape costs no broadcasting
            product = buffer(n)
            z = buffer(n, product)
            a = buffer(n, z)
            # The maximum with a whole array of zeros is vectorised, with a 0-d zero it is not.
            constants = np.zeros_like(a) if self._apply is relu else self._constant
            hidden.append((product, w, b, z, a, constants))
            outputs.append(a)
            dzs.append(buffer(n))
        for k in range(len(outputs) - 1, 0, -1):
            (w, _), (dw, db), a = self._parameters[k], self._gradients[k], outputs[k - 1]
            mask, scratch = self._mask, np.empty_like(a)
            if mask is relu_mask_small and a.size > SIGN_LIMIT:
                mask, scratch = relu_mask_large, np.empty(a.shape, bool)
            da = buffer(a.shape[1], dzs[k - 1])
            backward.append((dzs[k], w.T, a.T, dw, db, da, mask, a, scratch, dzs[k - 1]))
        n_out = self.widths[-1]
        last, da, sums = hidden.pop(), buffer(n_out, dzs[-1]), np.empty(rows, self.dtype)
        plan = SimpleNamespace(
            rows=rows,
            ones=np.ones(rows, self.dtype),
            hidden=hidden,
            last=last[:4],
            backward=backward,
            first=(dzs[0], *self._gradients[0]),
            scale=np.array(self._scale / rows, self.dtype),
            da=da,
            da_flat=da.reshape(-1),
            dz=dzs[-1],
            dz_flat=dzs[-1].reshape(-1),
            a_flat=last[3].reshape(-1),
            ones_out=np.ones(n_out, self.dtype),
            row_start=np.arange(rows) * n_out,
            index=np.empty(rows, np.intp),
            picked=np.empty(rows, self.dtype),
            sums=sums,
            sums_column=sums[:, None],
            column=np.empty((rows, 1), self.dtype),
        )
        self._plans[rows] = plan
        return plan

    def _gather_buffers(self, X, y, batch_size):
        """Memory for the gathered rows of whole batches, and the views of each batch in it."""
        key = (X.shape[1:], y.shape[1:], batch_size)
        if self._gathered[0] != key:
            batches = GATHER_BYTES // (batch_size * X.shape[1] * self.dtype.itemsize)
            size = batch_size * min(max(batches, 1), GATHER_BATCHES)
            xs = np.empty((size, *X.shape[1:]), self.dtype)
            ys = np.empty((size, *y.shape[1:]), y.dtype)
            slices = [slice(i, i + batch_size) for i in range(0, size, batch_size)]
            self._gathered = key, (xs, ys, [(xs[s], xs[s].T, ys[s]) for s in slices])
        return self._gathered[1]
