"""JAX as a contestant: the whole epoch is one jitted lax.scan with donated parameters."""

import jax
import jax.numpy as jnp
import numpy as np

from contest.contestant import Contestant
from contest.tasks import flatten, unflatten

jax.config.update("jax_platforms", "cpu")
HIDDEN = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}


class Trainer(Contestant):
    """jit + scan.

    `ways`: whether rows are gathered for the whole epoch before the loop (`ahead`) or in each step,
    and whether eight steps are unrolled into one iteration of the loop. Row order is drawn by
    NumPy, which is faster than jax.random.permutation (a sort) on a CPU. XLA_FLAGS are set by
    benchmarks/peers.py before this import.
    """

    version = jax.__version__
    ways = ("scan", "scan ahead", "scan unrolled", "scan ahead unrolled")

    def restart(self):
        """Compile the epoch, and put data and parameters on the device."""
        task = self.task
        if task.dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        self.X_j = jnp.asarray(self.X)
        self.y_j = jnp.asarray(self.y.astype(np.int32) if task.loss == "cross_entropy" else self.y)
        self.layers = [
            (jnp.array(w), jnp.array(b)) for w, b in unflatten(task.theta(), task.widths)
        ]
        zeros = jax.tree.map(jnp.zeros_like, self.layers)
        self.state = (jax.tree.map(jnp.zeros_like, zeros), zeros, jnp.zeros((), task.dtype))
        self.state = self.state if task.optimizer == "adam" else ()
        unroll = min(8, task.steps) if "unrolled" in self.way else 1
        self.run = jax.jit(make_epoch(task, "ahead" in self.way, unroll), donate_argnums=(0, 1))

    def epoch(self, order=None):
        """Train for one pass, and wait for the result."""
        order = (self.draw() if order is None else order).astype(np.int32)
        self.layers, self.state = self.run(self.layers, self.state, self.X_j, self.y_j, order)
        jax.block_until_ready(self.layers)

    def parameters(self):
        """Return a copy of the parameters."""
        return flatten(self.layers)


def make_epoch(task, ahead, unroll):
    """Return the function of an epoch for `jax.jit`: (layers, state, X, y, order) -> (layers, state)."""
    hidden, size = HIDDEN[task.activation], task.batch_size

    def cost(layers, x, y):
        for w, b in layers[:-1]:
            x = hidden(x @ w + b)
        w, b = layers[-1]
        scores = x @ w + b
        if task.loss == "half_mse":
            return 0.5 * jnp.sum((scores - y) ** 2) / size
        return -jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], axis=1)) / size

    def step(carry, batch):
        layers, state = carry
        grads = jax.grad(cost)(layers, *batch)
        update = adam if task.optimizer == "adam" else sgd
        return update(task.rate, layers, grads, state), None

    def rows_of(a, index):  # a permutation is in bounds and unique: spare the checks
        return a.at[index].get(mode="promise_in_bounds", unique_indices=True)

    def epoch(layers, state, X, y, order):
        order = order.reshape(task.steps, size)
        if ahead:
            batches = rows_of(X, order), rows_of(y, order)
            return jax.lax.scan(step, (layers, state), batches, unroll=unroll)[0]

        def gather_and_step(carry, index):
            return step(carry, (rows_of(X, index), rows_of(y, index)))

        return jax.lax.scan(gather_and_step, (layers, state), order, unroll=unroll)[0]

    return epoch


def sgd(rate, layers, grads, state):
    """theta <- theta - eta * grad."""
    return jax.tree.map(lambda p, g: p - rate * g, layers, grads), state


def adam(rate, layers, grads, state):
    """Adam with the defaults of torch.optim."""
    first, second, count = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    scale, root = rate / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
    new = jax.tree.map(
        lambda p, m, v: p - scale * m / (jnp.sqrt(v) * root + 1e-8), layers, first, second
    )
    return new, (first, second, count)
