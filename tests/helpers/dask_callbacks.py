"""Callbacks of the tests of Dask: worker processes import them from here, as they cannot from the module of a test."""

import os
import signal
import time

import fastprop as fp
from distributed import get_worker


class Slow(fp.Callback):
    """Makes an epoch last for a while."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_epoch_end(self, run):
        time.sleep(self.seconds)


class Alone(fp.Callback):
    """Refuses to train at the same time as another estimator in the process; an epoch lasts for a while."""

    def on_train_begin(self, run):
        assert not hasattr(fp, "_training")
        fp._training = True

    def on_epoch_end(self, run):
        time.sleep(0.02)

    def on_train_end(self, run):
        del fp._training


class Killed(fp.Callback):
    """Kills the process of a worker in the third epoch, and writes down when."""

    def __init__(self, worker, path):
        self.worker, self.path = worker, path

    def on_epoch_end(self, run):
        if run.epoch == 3 and get_worker().address == self.worker:
            self.path.write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
