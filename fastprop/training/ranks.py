"""Ranks: what the processes that train one network together ask of their communicator.

Each rank has some of the rows, and all have the same parameters, to the last bit. So whatever decides how a training
goes on is a sum over the ranks, or comes from rank 0: then all decide alike.
"""

import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastprop.training import communicator as communicators

# Quantiles and kinds of columns are found in at most this number of rows of all ranks, which all ranks get. A quantile
# of them is that of all rows within 0.16% of the rows (a standard error), far less than the 3% between two edges of the
# recipe of tables.
SAMPLED_ROWS = 100_000
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: its multiples are far apart, modulo any power of two


class Ranks:
    """Internal: the ranks of a training, of which this process is one.

    Parameters
    ----------
    communicator : Communicator or None
        None: there is one rank.

    Attributes
    ----------
    rank, size : int
    alone : bool
        Whether there is one rank, so that there is nothing to add up.
    """

    def __init__(self, communicator: Any = None):
        if communicator is not None:
            missing = [name for name in ("rank", "size", "sum", "broadcast") if not hasattr(communicator, name)]
            if missing:
                raise TypeError(
                    f"communicator must have rank, size, sum and broadcast, got {type(communicator).__name__} without "
                    f"{missing[0]}; use fp.distributed.mpi() or fp.distributed.torch()"
                )
        self.communicator = communicator
        self.rank, self.size = (0, 1) if communicator is None else (int(communicator.rank), int(communicator.size))
        if not 0 <= self.rank < self.size:
            raise ValueError(f"the rank of a communicator must be in [0, {self.size}), got {self.rank}")
        self.alone = self.size == 1
        self.interrupted = False  # by Ctrl-C on this rank
        self._started: list[Any] = []  # sums of parts of a gradient
        self._common: BaseException | None = None  # the last exception that all ranks raise
        self._depth = 0  # how many contexts of `together` this rank is in

    @classmethod
    def of(cls, communicator: Any) -> "Ranks":
        """Return the ranks of a communicator, or what is given if it is one already."""
        return communicator if isinstance(communicator, Ranks) else cls(communicator)

    def seed(self, seed: int) -> int:
        """Return the seed of this rank's random numbers; on rank 0 it is the given one."""
        return (seed + self.rank * GOLDEN) % 2**63

    # ---- sums ----

    def sum(self, array: np.ndarray) -> None:
        """Replace an array by its sum over the ranks."""
        if not self.alone and array.size:
            self.communicator.sum(array)

    def sums(self, *numbers: float) -> list[float]:
        """Return the sum of each number over the ranks.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C came on some rank.
        """
        if self.alone:
            return list(numbers)
        array = np.array([*numbers, self.interrupted], np.float64)
        self.communicator.sum(array)
        *found, interrupted = array.tolist()
        if interrupted:
            raise self.common(KeyboardInterrupt())
        return found

    def start_sum(self, array: np.ndarray) -> None:
        """Begin to add up a part of the gradient of a step, which ``sum_gradient`` ends."""
        self._started.append(communicators.start_sum(self.communicator, array))

    def sum_gradient(self, gradient: np.ndarray, diverged: bool) -> bool:
        """Add up the gradient of a step, or the rest of it; return whether its cost is not finite on some rank.

        A rank says that something is to be told by a first element that is NaN; only then is there a second sum.
        """
        if not gradient.size:  # of a network without parameters
            return self.any(diverged)
        if diverged or self.interrupted:
            gradient[0] = np.nan
        self.communicator.sum(gradient)
        while self._started:
            self._started.pop().wait()
        return gradient[0] != gradient[0] and self.any(diverged)

    def mean(self, weight: float, mean: float, same: np.ndarray | None = None) -> float:
        """Return the mean over the ranks of a mean over the rows of each, given the total weight of its rows.

        Raises
        ------
        RuntimeError
            On all ranks, if the bits of the array `same` are not the same on all.
        """
        if self.alone:
            return mean
        checksums = np.zeros(0 if same is None else self.size)
        if same is not None:
            checksums[self.rank] = np.bitwise_xor.reduce(same.view(np.uint32))  # a sixteenth of the time of a CRC
        total, weight, *found = self.sums(weight * mean if weight else 0.0, weight, *checksums)
        others = [rank for rank, checksum in enumerate(found) if checksum != found[0]]
        if others:
            message = (
                f"the parameters of rank {', '.join(map(str, others))} are not those of rank 0; a communicator must "
                "give the same sums on all ranks, and nothing else may change the parameters of one"
            )
            raise self.common(RuntimeError(message))
        return total / weight if weight else 0.0

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set on any rank."""
        return bool(flag) if self.alone else self.sums(flag)[0] > 0

    def of_each(self, number: float) -> np.ndarray:
        """Return a number of each rank, float64 (size,)."""
        numbers = np.zeros(self.size)
        numbers[self.rank] = number
        self.sum(numbers)
        return numbers

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Return the rows of an array of all ranks, one rank after the other, as float64 or, of integers, int64.

        Arrays without rows may have any shape.
        """
        if self.alone:
            return array
        rows, columns = len(array), array.size // max(len(array), 1)
        known = [array.ndim, columns, array.dtype.kind not in "iub"] if rows else [0, 0, 0]
        dimensions, columns, real = (int(self.of_each(number).max()) for number in known)
        if not dimensions:
            return array
        mine = array.reshape(rows, columns).astype(np.float64 if real else np.int64)
        everything = communicators.gather(self.communicator, mine)
        return everything[:, 0] if dimensions == 1 else everything

    def gather_objects(self, thing: Any) -> list[Any]:
        """Return the object of each rank, in their order; those of the others are copies."""
        if self.alone:
            return [thing]
        data = np.frombuffer(pickle.dumps(thing), np.uint8)
        ends = np.cumsum(self.of_each(len(data)).astype(np.int64))
        everything = communicators.gather(self.communicator, data)
        parts = np.split(everything, ends[:-1])
        return [thing if rank == self.rank else pickle.loads(part.data) for rank, part in enumerate(parts)]

    # ---- what comes from rank 0 ----

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        """Replace an array by that of a rank."""
        if not self.alone and array.size:
            self.communicator.broadcast(array, root)

    def broadcast_object(self, thing: Any) -> Any:
        """Return the object that rank 0 gives, as a copy of its own on each other rank."""
        if self.alone:
            return thing
        data = communicators.broadcast_bytes(self.communicator, pickle.dumps(thing) if self.rank == 0 else b"")
        return thing if self.rank == 0 else pickle.loads(data)

    def decide(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns on rank 0, which alone calls it; an error there is raised on all ranks."""
        if self.alone:
            return function()
        found, error = None, None
        if self.rank == 0:
            try:
                found = function()
            except Exception as raised:
                error = raised
        self.meet()  # which waits for as long as the function may take
        found, error = self.broadcast_object((found, error))
        if error is not None:
            raise self.common(error)
        return found

    def meet(self, **facts: Any) -> None:
        """Wait for all ranks; raise a ValueError on all of them if `facts` are not alike everywhere."""
        if self.alone:
            return
        try:
            communicators.meet(self.communicator, **facts)
        except ValueError as error:
            self.common(error)
            raise

    # ---- errors ----

    def common(self, error: Any) -> Any:
        """Remember that all ranks raise this error, so that none tells the others; return it."""
        self._common = error
        return error

    def is_common(self, error: BaseException) -> bool:
        """Return whether all ranks raise this error."""
        return error is self._common

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Return a context in which all ranks end if one raises an exception."""
        if self.alone or self._depth:
            yield
            return
        self._depth = 1
        try:
            yield
        except BaseException as error:
            if error is not self._common and hasattr(self.communicator, "fail"):
                self.communicator.fail(error)
            raise
        finally:
            self._depth = 0
            self._started.clear()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Return a context in which all ranks end if one raises an exception, and Ctrl-C ends all after one step.

        A second Ctrl-C ends this rank at once.
        """
        if self.alone or self._depth:
            yield
            return
        main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT) if main else None
        if callable(before):
            signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            with self.failing_together():
                yield
        finally:
            self.interrupted = False
            if callable(before):
                signal.signal(signal.SIGINT, before)

    def _on_interrupt(self, *_: Any) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


ALONE = Ranks()
