"""A communicator as users may write one, with nothing but what the protocol asks for; its ranks are threads."""

import threading

import numpy as np
from concurrency import together


class Threads:
    """One rank of several in this process."""

    def __init__(self, rank, size, shared):
        self.rank, self.size, self._shared = rank, size, shared

    def sum(self, array):
        array[...] = np.sum(self._exchange(array), axis=0, dtype=array.dtype)

    def broadcast(self, array, root=0):
        array[...] = self._exchange(array)[root]

    def _exchange(self, array):
        slots, barrier = self._shared
        slots[self.rank] = array.copy()
        barrier.wait(60)
        arrays = list(slots)
        barrier.wait(60)
        return arrays


def on_ranks(size, function):
    """Call ``function(communicator)`` on `size` ranks at once; return what each returns."""
    shared = ([None] * size, threading.Barrier(size))
    return together(*(lambda rank=rank: function(Threads(rank, size, shared)) for rank in range(size)))
