"""Networks to train and use that are large enough for the pool of threads."""

import numpy as np

import fastprop as fp

# Large enough for the pool to be woken; the first is one block of rows at a time, the second is narrow and goes through
# in row blocks that add to the gradient, the third has more weights than a cache. No batch is a multiple of a slice.
SHAPES = {
    "54-256x3-7": ([54, 256, 256, 256, 7], "relu", "cross_entropy", "float32", 520),
    "8-48x4-2": ([8, 48, 48, 48, 48, 2], "tanh", "half_mse", "float32", 2070),
    "200-300-10": ([200, 300, 10], "sigmoid", "binary_cross_entropy", "float64", 99),
}
STEPS = 50


class Work:
    """A network of SHAPES to train, and the results of all its uses as bytes."""

    def __init__(self, shape, *, seed=0):
        widths, activation, self.loss, dtype, self.batch = SHAPES[shape]
        rng = np.random.default_rng(seed)
        self.X = rng.normal(size=(2 * self.batch + 5, widths[0])).astype(dtype)
        if self.loss == "cross_entropy":
            self.y = rng.integers(widths[-1], size=len(self.X))
        else:
            self.y = rng.random((len(self.X), widths[-1])).astype(dtype)
        self.net = fp.Network(widths, activation=activation, dtype=dtype, seed=seed)
        self.trainer = fp.Trainer(self.net, loss=self.loss, optimizer=fp.SGD(0.01, momentum=0.9), seed=seed)

    def train(self, steps=STEPS):
        """Train epochs of three steps, the last of 5 rows; return the bits of the parameters and of the costs."""
        costs = [self.trainer.epoch(self.X, self.y, batch_size=self.batch) for _ in range(-(-steps // 3))]
        return self.net.parameters.tobytes() + np.array(costs).tobytes()

    def use(self):
        """Use the network in every way but training, and return the bits of the results."""
        cost, gradient = self.net.value_and_gradient(self.X, self.y, loss=self.loss)
        outputs = self.net.forward(self.X)
        dX = self.net.backward(outputs)
        results = cost, gradient, outputs, dX, self.net.gradient, self.net(self.X)
        return b"".join(np.asarray(result).tobytes() for result in results)
