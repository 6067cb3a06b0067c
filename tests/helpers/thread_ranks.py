"""Ranks that are threads of one process: a communicator without a carrier, for tests of what a training asks of it."""

import threading

import numpy as np

SECONDS = 60  # after which a rank that waits for another gives up


class ThreadRank:
    """One rank of ``run``; `sums` has a copy of each array that it was asked to sum, from this rank alone."""

    def __init__(self, rank, slots, barrier):
        self.rank, self.size, self.sums, self.failures = rank, len(slots), [], []
        self._slots, self._barrier = slots, barrier

    def _exchange(self, array):
        self._slots[self.rank] = array.copy()
        self._barrier.wait(SECONDS)
        arrays = list(self._slots)
        self._barrier.wait(SECONDS)
        shapes = {(a.shape, a.dtype) for a in arrays}
        assert len(shapes) == 1, f"the ranks make different calls: {shapes}"
        return arrays

    def sum(self, array):
        """Add up in the order of the ranks."""
        assert array.flags.c_contiguous
        assert array.dtype in (np.float32, np.float64, np.int64)
        self.sums.append(array.copy())
        first, *others = self._exchange(array)
        array[...] = first
        for other in others:
            array += other

    def broadcast(self, array, root=0):
        """Take the array of a rank."""
        array[...] = self._exchange(array)[root]

    def fail(self, error):
        """Let the others give up at once."""
        self.failures.append(error)
        self._barrier.abort()


def run(size, function):
    """Call ``function(communicator)`` on each rank; return what each returns, or the exception that it raises."""
    slots, barrier, results = [None] * size, threading.Barrier(size), [None] * size

    def call(rank):
        try:
            results[rank] = function(ThreadRank(rank, slots, barrier))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def successes(results):
    """Return the results, none of which is an exception; otherwise raise that of the rank that failed first."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return results
