"""The base class of contestants, which are libraries that train a task, and the list of them."""

import functools
import importlib

import numpy as np

# module of this package, what pip calls it; in the order of the tables
CONTESTANTS = {
    "fastprop": ("fastprop_trainer", "fastprop-nn"),
    "NumPy": ("numpy_trainer", "numpy"),
    "PyTorch": ("torch_trainer", "torch"),
    "JAX": ("jax_trainer", "jax"),
    "scikit-learn": ("sklearn_trainer", "scikit-learn"),
}


class Contestant:
    """One library training one task.

    Parameters
    ----------
    task : Task
        Network, data, optimiser, threads.

    Notes ----- In `epoch` a contestant does what its users do for an epoch: draw a random
    order, gather each mini-batch, forward, backward, update. If experts would choose between several ways
    (`ways`), `tune` times each and keeps the fastest for this task.
    """

    version = "?"
    ways = ("",)
    fewer_threads = False  # whether it may be better off with one thread, and can change

    def __init__(self, task):
        self.task = task
        self.way = self.ways[0]
        self.threads = task.threads
        self.rng = np.random.default_rng(22)
        self.X, self.y = task.data()
        self.restart()

    def restart(self):
        """Start again from the task's initial parameters, with `self.way`."""
        raise NotImplementedError

    def claim(self):
        """Set the thread pools of the process to `self.threads`; called before every turn and not timed."""

    def epoch(self, order=None):
        """Train for one pass over the data, in the given or a new random order of rows; return when it is complete."""
        raise NotImplementedError

    def parameters(self):
        """Return a copy of the parameters as a flat NumPy array in the order of `Task.theta`."""
        raise NotImplementedError

    def draw(self):
        """Return a random order of the rows."""
        return self.rng.permutation(self.task.rows)


class BlasContestant(Contestant):
    """A contestant whose threads are those of BLAS and OpenMP."""

    fewer_threads = True

    def claim(self):
        """Set the pools by threadpoolctl; without it, the number of the environment stays."""
        pools = controller()
        if pools is not None:
            pools.limit(limits=self.threads)


@functools.cache
def controller():
    """Return what threadpoolctl found at its first call, after every library was loaded, or None without it."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def load(name):
    """Import a contestant's class; raise ImportError if its library is absent."""
    module = importlib.import_module(f"contest.{CONTESTANTS[name][0]}")
    return module.Trainer
