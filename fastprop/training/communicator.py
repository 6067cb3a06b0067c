"""What a training over several processes asks of the carrier that joins them; ``fastprop.distributed`` offers some.

A rank is one of the processes, numbered from 0. A carrier must offer ``sum`` and ``broadcast``. The functions below
build from the two what else a training needs, and call a carrier's own method where it has one of that name.
"""

from typing import Any, Protocol

import numpy as np

from fastprop._util.public import publish


class Communicator(Protocol):
    """Joins the processes of a training.

    Every rank makes the same calls in the same order, with arrays of the same shape and dtype. An array is C-contiguous
    and of dtype float32, float64 or int64; it is changed in place.

    Besides the two methods below, a communicator may have ``start_sum(array)``, which returns at once an object with
    ``wait()``; ``meet()``, which waits longer than ``sum`` does, for ranks that need not arrive together; and
    ``fail(error)``, which tells the other ranks that this one has failed. The communicators of ``fastprop.distributed``
    have all of them.

    Attributes
    ----------
    rank : int
        The number of this process, in [0, size).
    size : int
        The number of processes.
    """

    rank: int
    size: int

    def sum(self, array: np.ndarray) -> None:
        """Replace the array on every rank by the sum over all ranks, which has the same bits on every rank."""

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        """Replace the array on every rank by that of the rank `root`."""


class RankError(RuntimeError):
    """A rank failed, or did not come to a call in which the others waited for it.

    Every rank but the one that failed raises it, so that all end. The parameters are those of the last whole step.

    Attributes
    ----------
    rank : int or None
        The rank that failed; None if it cannot be told.
    error : str
        What happened there, such as ``"ValueError: X must have ..."``.
    """

    def __init__(self, rank: int | None, error: str) -> None:
        super().__init__(rank, error)
        self.rank = rank
        self.error = error

    def __str__(self) -> str:
        return self.error if self.rank is None else f"rank {self.rank} failed: {self.error}"


publish(globals(), ("Communicator", "RankError"), "fastprop.distributed")


class Finished:
    """Internal: a sum that has ended already, as ``start_sum`` returns one."""

    def done(self) -> bool:
        """Return True."""
        return True

    def wait(self) -> None:
        """Return at once."""


def start_sum(communicator: Communicator, array: np.ndarray) -> Any:
    """Internal: begin a sum, and return an object whose ``wait()`` ends it; the array must be left alone until then."""
    start = getattr(communicator, "start_sum", None)
    if start is not None:
        return start(array)
    communicator.sum(array)
    return Finished()


def gather(communicator: Communicator, array: np.ndarray) -> np.ndarray:
    """Internal: return the rows of all ranks, in the order of the ranks, on every rank.

    Parameters
    ----------
    communicator : Communicator
    array : ndarray, shape (rows, ...), any dtype without objects
        The number of rows may differ from rank to rank, and may be 0; dtype and the other axes may not.
    """
    sizes = np.zeros(communicator.size, np.int64)
    sizes[communicator.rank] = len(array)
    communicator.sum(sizes)
    stops = np.cumsum(sizes)
    start, stop = stops[communicator.rank] - len(array), stops[communicator.rank]
    # As integers, to which the other ranks add 0: no bit changes, whatever the dtype.
    row_bytes = int(np.prod(array.shape[1:], dtype=np.int64)) * array.dtype.itemsize
    words = np.zeros(-(-int(stops[-1]) * row_bytes // 8), np.int64)
    words.view(np.uint8)[start * row_bytes : stop * row_bytes] = np.frombuffer(array.tobytes(), np.uint8)
    communicator.sum(words)
    whole = words.view(np.uint8)[: int(stops[-1]) * row_bytes]
    return whole.view(array.dtype).reshape(int(stops[-1]), *array.shape[1:])


def broadcast_bytes(communicator: Communicator, data: bytes, root: int = 0) -> bytes:
    """Internal: return the bytes that the rank `root` passes; what the other ranks pass is ignored."""
    size = np.array([len(data)], np.int64)
    communicator.broadcast(size, root)
    words = np.zeros(-(-int(size[0]) // 8), np.int64)
    if communicator.rank == root:
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    communicator.broadcast(words, root)
    return words.tobytes()[: int(size[0])]


def gather_texts(communicator: Communicator, text: str) -> list[str]:
    """Internal: return the text of each rank, on every rank."""
    data = np.frombuffer(text.encode(), np.uint8)
    sizes = gather(communicator, np.array([len(data)]))
    whole = gather(communicator, data)
    return [part.tobytes().decode() for part in np.split(whole, np.cumsum(sizes)[:-1])]


def meet(communicator: Communicator, **facts: object) -> None:
    """Internal: wait for all ranks, and raise a ValueError on each of them if `facts` are not alike everywhere.

    A communicator's own ``meet`` waits longer than ``sum`` does, since ranks read their data before they come here.

    Parameters
    ----------
    communicator : Communicator
    **facts : object
        What must be alike, such as ``n_parameters=8970``; compared by ``repr``.
    """
    wait = getattr(communicator, "meet", None)
    if wait is not None:
        wait()
    text = "\n".join(f"{name}={value!r}" for name, value in facts.items())
    texts = gather_texts(communicator, text)
    for rank, other in enumerate(texts):
        for first, here in zip(texts[0].splitlines(), other.splitlines(), strict=False):
            if first != here:
                raise ValueError(f"the ranks must be called alike, got {first} on rank 0 and {here} on rank {rank}")
