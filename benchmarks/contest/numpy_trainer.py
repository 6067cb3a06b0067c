"""The NumPy baseline as a contestant: benchmarks/numpy_baseline.py, in-place NumPy with BLAS."""

import numpy as np

from contest.contestant import BlasContestant
from numpy_baseline import NumpyTrainer


class Trainer(BlasContestant):
    """`NumpyTrainer`."""

    version = np.__version__

    def restart(self):
        """Build the trainer from the task's initial parameters."""
        task = self.task
        self.trainer = NumpyTrainer(
            list(task.widths),
            activation=task.activation,
            loss=task.loss,
            rate=task.rate,
            adam=task.optimizer == "adam",
            dtype=task.dtype,
            theta=task.theta(),
            seed=0,
        )

    def epoch(self, order=None):
        """Train the baseline's own epoch, or take its steps in a given order."""
        size = self.task.batch_size
        if order is None:
            self.trainer.epoch(self.X, self.y, size)
            return
        for at in range(0, len(order), size):
            rows = order[at : at + size]
            self.trainer.step(self.X[rows], self.y[rows])

    def parameters(self):
        """Return a copy of the flat vector."""
        return np.array(self.trainer.theta)
