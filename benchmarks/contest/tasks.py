"""The tasks: networks, batch sizes, data, the work of a step, and the targets."""

import re
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Task:
    """One row of a table: a network, a batch size, a loss and random data of the right shape.

    Parameters
    ----------
    name : str
        The name of the row on the command line and in the results.
    widths : tuple of int
        Inputs, hidden layers, outputs.
    batch_size : int
        The rows of a mini-batch.
    steps : int
        The mini-batches of an epoch. An epoch consists of whole batches, since a smaller last one would
        need a second compilation by JAX.
    loss : str
        "half_mse" or "cross_entropy".
    activation, dtype, optimizer : str
        The same for every contestant.
    threads : int
        The most threads of each contestant.
    """

    name: str
    widths: tuple
    batch_size: int
    steps: int
    loss: str
    activation: str = "relu"
    dtype: str = "float32"
    optimizer: str = "sgd"
    threads: int = 1
    rate: float = field(default=0.001, compare=False)

    @property
    def rows(self):
        """The rows of the training data."""
        return self.batch_size * self.steps

    @property
    def n_weights(self):
        """The number of weights, without biases."""
        return sum(i * o for i, o in zip(self.widths, self.widths[1:], strict=False))

    @property
    def flops(self):
        """The floating-point operations of a step that count as useful.

        A weight and row cost a multiply and an add in each of three products: z = a W, da = dz W^T,
        dW = a^T dz; the first layer needs no da. Activations, loss and update are not counted.
        """
        return self.batch_size * (6 * self.n_weights - 2 * self.widths[0] * self.widths[1])

    def data(self):
        """Return inputs and the targets of a random teacher network; noise prevents tiny (denormal) gradients."""
        rng = np.random.default_rng(20)
        x = rng.standard_normal((self.rows, self.widths[0]))
        scores = (
            x @ rng.standard_normal((self.widths[0], self.widths[-1])) / np.sqrt(self.widths[0])
        )
        noisy = scores + 0.5 * rng.standard_normal(scores.shape)
        if self.loss == "cross_entropy":
            return x.astype(self.dtype), noisy.argmax(axis=1)
        return x.astype(self.dtype), np.sin(noisy).astype(self.dtype)

    def theta(self):
        """Return the initial parameters, flat: for each layer W (n_in, n_out) row-major, then b.

        Biases are above zero, so that no ReLU is dead.
        """
        rng = np.random.default_rng(21)
        parts = []
        for n_in, n_out in zip(self.widths, self.widths[1:], strict=False):
            w = rng.standard_normal((n_in, n_out)) * np.sqrt(1.0 / n_in)
            parts += [(np.abs(w) if n_in == n_out == 1 else w).ravel(), np.full(n_out, 0.1)]
        return np.concatenate(parts).astype(self.dtype)


def unflatten(theta, widths):
    """Split a flat vector into [(W, b), ...]: views, so that writing to them writes to theta."""
    layers, at = [], 0
    for n_in, n_out in zip(widths, widths[1:], strict=False):
        w = theta[at : at + n_in * n_out].reshape(n_in, n_out)
        at += n_in * n_out
        layers.append((w, theta[at : at + n_out]))
        at += n_out
    return layers


def flatten(layers):
    """Copy [(W, b), ...] into one flat vector."""
    return np.concatenate([np.asarray(part).ravel() for layer in layers for part in layer])


# name, widths, batch size, steps of an epoch, loss, rate. Epochs are long enough that the
# interpreter's share of an epoch call does not count (it is 0.1 to 1 ms for JAX and scikit-learn)
# and short enough that the slowest contestant ends within seconds.
TASKS = tuple(
    Task(*row[:5], rate=row[5])
    for row in (
        ("1-1-1-1/1", (1, 1, 1, 1), 1, 4000, "half_mse", 0.001),
        ("4-32-32-1/32", (4, 32, 32, 1), 32, 256, "half_mse", 0.01),
        ("64-128-10/32", (64, 128, 10), 32, 128, "cross_entropy", 0.01),
        ("17-256-256-6/256", (17, 256, 256, 6), 256, 16, "half_mse", 0.01),
        ("54-256x3-7/256", (54, 256, 256, 256, 7), 256, 16, "cross_entropy", 0.01),
        ("784-128-10/64", (784, 128, 10), 64, 64, "cross_entropy", 0.01),
        ("784-512-512-10/128", (784, 512, 512, 10), 128, 16, "cross_entropy", 0.01),
        ("512x3-10/128", (512, 512, 512, 10), 128, 16, "cross_entropy", 0.01),
        ("1000x3-10/512", (1000, 1000, 1000, 10), 512, 4, "cross_entropy", 0.01),
        ("1024x4-10/512", (1024, 1024, 1024, 1024, 10), 512, 4, "cross_entropy", 0.01),
        ("2048x4-10/1024", (2048, 2048, 2048, 2048, 10), 1024, 1, "cross_entropy", 0.01),
        ("8-48x4-2/4096", (8, 48, 48, 48, 48, 2), 4096, 4, "half_mse", 0.01),
    )
)
# Narrow networks with long batches, which are trained by Adam.
NARROW = tuple(
    Task(name, widths, 10_000, 4, "half_mse", optimizer="adam", rate=0.01)
    for name, widths in (
        ("8-32-32-4/10000", (8, 32, 32, 4)),
        ("2-20-20-1/10000", (2, 20, 20, 1)),
        ("16-64-64-1/10000", (16, 64, 64, 1)),
    )
)


def task_named(name):
    """Return the task of the lists, or one of a name such as "100-300x2-5/128" (widths, "/", batch size).

    Its epochs take about 10 milliseconds at 50 GFLOP/s and a nanosecond for each output of a layer, in at most 4000
    steps, as those of the smallest task of the lists; and its data are at most 32 MB, unless one batch is larger.
    """
    listed = {task.name: task for task in (*TASKS, *NARROW)}
    if name in listed:
        return listed[name]
    count = r"[1-9]\d*"
    widths = []
    if re.fullmatch(rf"{count}(x{count})?(-{count}(x{count})?)*/{count}", name):
        layers, batch_size = name.split("/")
        for part in layers.split("-"):
            width, _, times = part.partition("x")
            widths += [int(width)] * int(times or 1)
    if len(widths) < 2:
        raise ValueError(f"got the network {name!r}, wanted widths and a batch size from 1 on, such as 100-300x2-5/128")
    once = Task(name, tuple(widths), int(batch_size), 1, "half_mse", rate=0.01)
    seconds = once.flops / 50e9 + once.batch_size * sum(once.widths[1:]) * 1e-9
    most = min(4000, 2**25 // (8 * once.batch_size * max(once.widths[0], once.widths[-1])))
    return replace(once, steps=int(np.clip(0.01 / seconds, 1, max(1, most))))


# The time of the fastest other library / fastprop's, on one thread, in float32, with ReLU and SGD; by ISA.
RELU_TARGETS = {
    "avx512": {  # issue 3, measured on Zen 5
        "1-1-1-1/1": 12.0,
        "4-32-32-1/32": 10.0,
        "64-128-10/32": 4.5,
        "17-256-256-6/256": 1.5,
        "54-256x3-7/256": 1.4,
        "784-128-10/64": 1.5,
        "784-512-512-10/128": 1.25,
        "1024x4-10/512": 1.2,
        "2048x4-10/1024": 1.05,
        "8-48x4-2/4096": 2.5,
    },
    "avx2": {  # issue 15, measured on Zen 3
        "1-1-1-1/1": 1.0,
        "4-32-32-1/32": 4.5,
        "64-128-10/32": 2.5,
        "17-256-256-6/256": 1.3,
        "54-256x3-7/256": 1.25,
        "784-128-10/64": 1.3,
        "784-512-512-10/128": 1.15,
        "1024x4-10/512": 1.08,
        "2048x4-10/1024": 1.03,
        "8-48x4-2/4096": 2.2,
    },
}
# "ahead of every peer in every row, and 5x in the first two"
TANH_TARGETS = {"1-1-1-1/1": 5.0, "4-32-32-1/32": 5.0}
AHEAD = 1.0
# Shares of the FMA limit: of issue 3 for AVX-512, and of issue 15 for narrow networks on any ISA.
LIMIT_TARGETS = {"1024x4-10/512": 0.88, "2048x4-10/1024": 0.90}
NARROW_SHARE = 0.5
NARROW_RATIO_2T = 3.0


def target_of(task, isa):
    """Return the target ratio and the target share of the FMA limit of a task, each None if there is no target."""
    if task.name in {narrow.name for narrow in NARROW} and task.optimizer == "adam":
        return (AHEAD, NARROW_SHARE) if task.threads == 1 else (NARROW_RATIO_2T, None)
    if task.threads > 1 or task.dtype == "float64" or task.optimizer != "sgd":
        return AHEAD, None
    if task.activation == "tanh":
        return TANH_TARGETS.get(task.name, AHEAD), None
    share = LIMIT_TARGETS.get(task.name) if isa == "avx512" else None
    return RELU_TARGETS.get(isa, {}).get(task.name, AHEAD), share
