"""fastprop as a contestant, by its public interface only."""

import fastprop as fp
from contest.contestant import Contestant


class Trainer(Contestant):
    """`fastprop.Trainer`. Its `epoch` draws its own order; a given order goes through `step`."""

    version = fp.__version__

    def restart(self):
        """Build network and trainer."""
        task = self.task
        net = fp.Network(list(task.widths), activation=task.activation, dtype=task.dtype, seed=0)
        net.parameters[:] = task.theta()
        optimizer = {"sgd": fp.SGD, "adam": fp.Adam}[task.optimizer](task.rate)
        self.trainer = fp.Trainer(net, loss=task.loss, optimizer=optimizer, seed=0)

    def claim(self):
        """Set the number of threads, since threadpoolctl calls of other contestants change fastprop's pool, too."""
        fp.set_num_threads(self.task.threads)

    def epoch(self, order=None):
        """Call `Trainer.epoch`, or take its steps in a given order."""
        size = self.task.batch_size
        if order is None:
            self.trainer.epoch(self.X, self.y, batch_size=size)
            return
        for at in range(0, len(order), size):
            rows = order[at : at + size]
            self.trainer.step(self.X[rows], self.y[rows])

    def parameters(self):
        """Return a copy of the flat vector."""
        return self.trainer.network.parameters.copy()
