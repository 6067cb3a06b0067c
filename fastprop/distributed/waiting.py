"""How a rank waits for the others without ever waiting for ever: what all communicators share.

A sum is started and then polled. Meanwhile the rank reads notes that the ranks send one another beside the sums: that
one has failed, that one has waited for a second and for what, that one's program has ended. So it knows what happened
and to whom, and raises a RankError.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastprop._validation import short, shown
from fastprop.distributed.processes import LocalProcesses
from fastprop.training.communicator import RankError

# A sum of one number over two ranks of one machine takes about as long as five polls. Where ranks share a core, polling
# without a pause keeps the other from its work: so only that long.
POLLS = 50
YIELDING = 1e-3  # seconds of giving the core to whoever wants it between polls; then the pauses below
PAUSE = 1 / 20  # a pause, as a fraction of the time waited so far, so that waiting takes at most that much longer
MAX_PAUSE = 1e-3  # seconds
WAITING_NOTE = 1.0  # seconds after which a rank tells the others what it waits for
MAX_BYTES = 1 << 30  # of one message, below the 2^31 entries that MPI before version 4 can count
SUMMED = {np.dtype(name) for name in ("float32", "float64", "int64")}


class Note(NamedTuple):
    """Internal: what a rank tells the others beside the sums."""

    kind: str  # "failed", "waiting" or "ended"
    rank: int  # of which rank it tells
    call: int  # the number of the call in which that rank is, or after which it ended
    text: str  # the error, or the call as messages name it


class Call:
    """Internal: a sum or a broadcast that has been started."""

    def __init__(self, communicator: "PolledCommunicator", number: int, name: str, polls: list[Callable[[], bool]]):
        self.number, self.name = number, name
        self._communicator, self._polls = communicator, polls

    def done(self) -> bool:
        """Return whether it has ended; also lets MPI go on with it."""
        polls = self._polls
        while polls and self._communicator.guarded(self, polls[-1]):
            polls.pop()
        return not polls

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended; a RankError if a rank does not come to it."""
        self._communicator.wait(self, timeout)


class PolledCommunicator:
    """Internal: a communicator that starts sums and polls them.

    A subclass carries the messages: `_start_sum` and `_start_broadcast` return a function that polls, `_tell` sends a
    note to all other ranks, `_notes` yields those that have come, and neither waits; `_errors` are what polling raises
    where the connection to a rank is lost.
    """

    _errors: tuple[type[Exception], ...] = ()

    def __init__(self, rank: int, size: int, timeout: float, start_timeout: float) -> None:
        self.rank, self.size = rank, size
        self.timeout, self.start_timeout = float(timeout), float(start_timeout)
        self._n_calls = 0
        self._failure: tuple[int | None, str] | None = None
        self._waiting: dict[int, tuple[int, str]] = {}  # rank -> the call that it has waited in for a while
        self._ended: dict[int, int] = {}  # rank -> the last call that it made before its program ended
        self._processes = LocalProcesses({})

    def _start_sum(self, array: np.ndarray) -> Callable[[], bool]:
        raise NotImplementedError

    def _start_broadcast(self, array: np.ndarray, root: int) -> Callable[[], bool]:
        raise NotImplementedError

    def _tell(self, note: Note) -> None:
        raise NotImplementedError

    def _notes(self) -> Iterator[Note]:
        raise NotImplementedError

    # ---- the protocol ----

    def sum(self, array: np.ndarray) -> None:
        """Replace the array on every rank by the sum over all ranks, which has the same bits on every rank."""
        self.start_sum(array).wait()

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        """Replace the array on every rank by that of the rank `root`."""
        if not 0 <= root < self.size:
            raise ValueError(f"root must be a rank in [0, {self.size}), got {shown(root)}")
        self._start("broadcast", array, lambda piece: self._start_broadcast(piece, root)).wait()

    def start_sum(self, array: np.ndarray) -> Call:
        """Begin a sum and return at once; the array must be left alone until the returned call's ``wait()``."""
        return self._start("sum", array, self._start_sum)

    def meet(self) -> None:
        """Wait until every rank has come here, up to `start_timeout` seconds."""
        self._start("meeting", np.ones(1, np.int64), self._start_sum).wait(self.start_timeout)

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one has failed; each of them raises a RankError."""
        if self.size == 1 or self._failure is not None:
            return
        text = short(f"{type(error).__name__}: {error}".removesuffix(": "), 2000)
        self._fail(self.rank, text)

    # ---- starting and waiting ----

    def _start(self, what: str, array: np.ndarray, start: Callable[[np.ndarray], Callable[[], bool]]) -> Call:
        if array.dtype not in SUMMED or not array.flags.c_contiguous or not array.flags.writeable:
            raise ValueError(
                "a communicator takes C-contiguous, writeable arrays of float32, float64 or int64, got "
                f"{array.dtype}{'' if array.flags.c_contiguous else ', not contiguous'}"
                f"{'' if array.flags.writeable else ', read-only'}"
            )
        self._raise_failure()
        self._n_calls += 1
        name = f"call {self._n_calls}, a {what} of {array.size} x {array.dtype}"
        flat = array.reshape(-1)
        step = MAX_BYTES // array.itemsize
        polls: list[Callable[[], bool]] = []
        call = Call(self, self._n_calls, name, polls)
        if self.size > 1:
            for at in range(0, array.size, step):
                polls.append(self.guarded(call, start, flat[at : at + step]))
            polls.reverse()
        return call

    def guarded(self, call: Call, function: Callable[..., Any], *args: Any) -> Any:
        """Call what carries messages, and find out which rank is lost if it cannot."""
        try:
            return function(*args)
        except self._errors as error:
            self._lost(call, error)

    def wait(self, call: Call, timeout: float | None = None) -> None:
        """Wait until a call has ended; a RankError if it cannot, or has not after `timeout` seconds."""
        for _ in range(POLLS):
            if call.done():
                return
        limit = self.timeout if timeout is None else timeout
        begin, told = time.monotonic(), False
        while not call.done():
            waited = time.monotonic() - begin
            if waited < YIELDING:
                _yield()
                continue
            self._look(call)
            if waited > WAITING_NOTE and not told:
                told = True
                self._tell(Note("waiting", self.rank, call.number, call.name))
            if waited > limit:
                self._timed_out(call, limit)
            time.sleep(min(waited * PAUSE, MAX_PAUSE))

    def _look(self, call: Call) -> None:
        """Read the notes of the other ranks; raise if one of them says that the call cannot end."""
        for note in self._notes():
            if note.kind == "failed":
                self._failure = self._failure or (note.rank, note.text)
            elif note.kind == "ended":
                self._ended[note.rank] = note.call
            else:
                self._waiting[note.rank] = (note.call, note.text)
        self._raise_failure()
        for rank, (number, name) in self._waiting.items():
            if number == call.number and name != call.name:
                self._fail(rank, f"the ranks make different calls: {call.name}, on rank {self.rank}, but {name} there")
        for rank, number in self._ended.items():
            if number < call.number:
                self._fail(rank, f"its program ended while rank {self.rank} waits in {call.name}")
        for rank in self._processes.gone():
            if rank not in self._ended:
                self._fail(rank, f"its process {self._processes.name(rank)} ended without a word, so it was killed")
        self._raise_failure()

    def _timed_out(self, call: Call, limit: float) -> None:
        here = {self.rank} | {rank for rank, (number, _) in self._waiting.items() if number >= call.number}
        absent = [rank for rank in range(self.size) if rank not in here]
        first = absent[0] if absent else None
        text = (
            f"rank {', '.join(map(str, absent)) or '?'} did not come to {call.name}, within {limit:g} seconds; "
            "if a rank may take longer, such as for a callback of its own, say so: timeout=..."
        )
        self._fail(first, text)
        self._raise_failure()

    def _lost(self, call: Call, error: Exception) -> None:
        """A connection is lost: find out to which rank, and raise."""
        begin = time.monotonic()
        self._tell(Note("waiting", self.rank, call.number, call.name))
        while time.monotonic() < begin + WAITING_NOTE:  # which gives the rank's own note time to come
            self._look(call)
            time.sleep(MAX_PAUSE)
        absent = [rank for rank in range(self.size) if rank != self.rank and rank not in self._waiting]
        self._fail(absent[0] if len(absent) == 1 else None, f"its connection was lost: {short(error)}")
        self._raise_failure()

    def _fail(self, rank: int | None, text: str) -> None:
        """Note a failure, and tell the other ranks of it."""
        self._failure = (rank, text)
        self._tell(Note("failed", -1 if rank is None else rank, self._n_calls, text))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise RankError(*self._failure)


def _yield() -> None:
    """Let whoever wants this core have it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)
