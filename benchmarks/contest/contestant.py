"""What every contestant offers, and the list of them."""

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

    Notes ----- A contestant does in `epoch` what its users would do for an epoch: draw a random
    order, gather each mini-batch, forward, backward, update. Where there are several expert ways
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
        """Back to the task's initial parameters, with `self.way`."""
        raise NotImplementedError

    def claim(self):
        """Set the process's thread pools to `self.threads`; called before every turn, outside the time."""

    def epoch(self, order=None):
        """One pass over the data, in the given order of rows or a fresh random one. Returns when the work is done."""
        raise NotImplementedError

    def parameters(self):
        """The parameters, flat, laid out as `Task.theta`, as a NumPy array of one's own."""
        raise NotImplementedError

    def draw(self):
        """A random order of the rows."""
        return self.rng.permutation(self.task.rows)


class BlasContestant(Contestant):
    """One whose threads are those of BLAS and OpenMP."""

    fewer_threads = True

    def claim(self):
        """By threadpoolctl; without it the environment's number stays."""
        pools = controller()
        if pools is not None:
            pools.limit(limits=self.threads)


@functools.cache
def controller():
    """What threadpoolctl found at its first call, after every library was loaded; None without it."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def load(name):
    """Import a contestant's class; raises ImportError where its library is absent."""
    module = importlib.import_module(f"contest.{CONTESTANTS[name][0]}")
    return module.Trainer
