"""How a rank waits for the others, but never for ever: what the communicators over MPI and over torch share.

A sum is started and then polled. Meanwhile the rank reads the notes that the ranks send one another beside the sums:
that one has failed, that one has waited for a second and for what, that one's program has ended. From them, from the
processes of this machine and from the clock it learns what happened and to which rank, and raises a RankError.

A failure ends a generation: the notes of an older one mean nothing. `meet` begins the next, once all ranks are there.
"""

import atexit
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, NoReturn, Protocol

import numpy as np

from fastprop._validation import short, shown
from fastprop.distributed.processes import LocalProcesses, this_process
from fastprop.training.communicator import RankError

LOOK = 1e-3  # seconds between two looks for notes: less than a failure matters
WAITING_NOTE = 1.0  # seconds after which a rank tells the others what it waits for: a step takes less, as a rule
LOST = 1.5  # seconds to find out which rank is lost: a rank that is not says what it waits for within WAITING_NOTE
ENDING = 1.0  # seconds that the rank which failed is given to print its error, before it is ended
TOGETHER = 0.1  # seconds between the ends of programs that need not be told to the others
REMEMBERED = 8  # calls: where two ranks wait for each other in different ones, they are as a rule neighbours
MAX_BYTES = 1 << 30  # of one message, below the 2^31 entries that MPI before version 4 can count
SUMMED = {np.dtype(name) for name in ("float32", "float64", "int64")}


class Note(NamedTuple):
    """Internal: what a rank tells the others beside the sums."""

    kind: Literal["failed", "waiting", "meeting", "ended"]
    sender: int
    generation: int
    call: int  # the number of the call in which the sender is, or of the last that it made
    rank: int  # which rank failed, or -1
    history: int  # a hash of the calls that the sender has made
    text: str  # the error, or the call as messages name it


class Request(Protocol):
    """Internal: a message under way."""

    def done(self) -> bool:
        """Return whether it has ended; raise one of the communicator's `_errors` if it cannot."""

    def pause(self, waited: float) -> None:
        """Wait for a moment, after `waited` seconds of waiting; raise nothing."""


class Call:
    """Internal: a sum or a broadcast that has been started, in pieces of MAX_BYTES.

    `requests` has one for each piece that has not ended, the first one last.
    """

    __slots__ = ("_communicator", "dtype", "history", "number", "requests", "size", "what")

    def __init__(
        self, communicator: "PolledCommunicator", number: int, what: str, size: int = 0, dtype: object = None
    ) -> None:
        self.number, self.what, self.size, self.dtype = number, what, size, dtype
        self.history = communicator.history
        self.requests: list[Request] = []
        self._communicator = communicator

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"call {self.number}, a {self.what}, of {self.size} x {self.dtype}" if self.number else self.what

    def done(self) -> bool:
        """Return whether it has ended; over MPI, also let it go on."""
        requests = self.requests
        while requests and self._communicator.guarded(self, requests[-1].done):
            requests.pop()
        return not requests

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended; a RankError if a rank does not come to it."""
        if self.requests:
            self._communicator.wait(self, timeout)


class PolledCommunicator:
    """Internal: a communicator that starts sums and polls them.

    A subclass carries the messages. `_start_sum` and `_start_broadcast` return a request, which is polled `_n_polls`
    times in a row, and then with pauses; `_tell` sends a note to all other ranks, and `_notes` yields those that have
    come; none of them waits. `_renew` separates the sums of the next generation from those of a failed one. `_leave` is
    called before this process ends well, `_close` before it ends either way, and `_abandon` ends it when sums are left
    that cannot end. `_errors` are what polling raises where a rank is lost.
    """

    _errors: tuple[type[Exception], ...] = ()
    _n_polls = 0

    def __init__(self, rank: int, size: int, timeout: float, start_timeout: float) -> None:
        self.rank, self.size = rank, size
        self.set_timeouts(timeout, start_timeout)
        self._n_calls = self._generation = 0
        self.history = 0  # a hash of what was summed since the last meeting
        self._recent: deque[Call] = deque(maxlen=REMEMBERED)
        self._calls: list[Call] = []  # those that have not ended, as far as this rank has looked
        self._failure: tuple[int | None, str] | None = None
        self._failed_at = 0.0
        self._known = False  # whether the caller has been told of the failure
        self._confessed = -1  # the last call of the rank that failed, if it told the failure itself; -1 if not
        self._waiting: dict[int, Note] = {}  # rank -> the call in which it has waited for a while
        self._told = 0  # the last call of which this rank told the others that it waits in it
        self._early: list[Note] = []  # notes of the next generation, from ranks that have begun it already
        self._meeting: set[int] = set()  # the ranks that wait for the next generation
        self._ended: dict[int, int] = {}  # rank -> the last call that it made before its program ended
        self._processes = LocalProcesses({}, rank)
        self._process = os.getpid()

    def _open(self) -> None:
        """Meet the other ranks for the first time, and learn of their processes."""
        atexit.register(self._end)
        table = np.zeros((self.size, 2), np.int64)
        table[self.rank] = this_process()
        self._start("meeting", table, self._start_sum).wait(self.start_timeout)
        self._processes = LocalProcesses.of_table(table, self.rank)

    def _share(self, number: int) -> list[int]:
        """Return what each rank passes."""
        numbers = np.zeros(self.size, np.int64)
        numbers[self.rank] = number
        self.sum(numbers)
        return [int(each) for each in numbers]

    def set_timeouts(self, timeout: float, start_timeout: float) -> None:
        """Set how many seconds a rank waits for the others."""
        for what, value in (("timeout", timeout), ("start_timeout", start_timeout)):
            if not (isinstance(value, int | float) and value > 0):
                raise ValueError(f"{what} must be a number of seconds above 0, got {shown(value)}")
        self.timeout, self.start_timeout = float(timeout), float(start_timeout)

    def _start_sum(self, array: np.ndarray) -> Request:
        raise NotImplementedError

    def _start_broadcast(self, array: np.ndarray, root: int) -> Request:
        raise NotImplementedError

    def _tell(self, note: Note) -> None:
        raise NotImplementedError

    def _notes(self, *, all_sent: bool = False) -> Iterator[Note]:
        raise NotImplementedError

    def _renew(self) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> NoReturn:
        raise NotImplementedError

    # ---- the protocol ----

    def sum(self, array: np.ndarray) -> None:
        """Replace the array on every rank by the sum over all ranks, which has the same bits on every rank."""
        if self.size > 1:
            self.start_sum(array).wait()

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        """Replace the array on every rank by that of the rank `root`."""
        if not 0 <= root < self.size:
            raise ValueError(f"root must be a rank in [0, {self.size}), got {shown(root)}")
        self._start(f"broadcast from rank {root}", array, lambda piece: self._start_broadcast(piece, root)).wait()

    def start_sum(self, array: np.ndarray) -> Call:
        """Begin a sum and return at once; the array must be left alone until the returned call's ``wait()``."""
        return self._start("sum", array, self._start_sum)

    def meet(self) -> None:
        """Wait until every rank has come here, up to `start_timeout` seconds, also after a failure."""
        if self._failure is not None:
            if not self._known:  # it was noticed while an earlier call ended
                self._raise_failure()
            self._begin_generation()
        mine = self.history & 0xFFFFFF  # so that the sum of the squares of 2^15 ranks fits into 64 bits
        sums = np.array([mine, mine * mine])
        self._start("meeting", sums, self._start_sum).wait(self.start_timeout)
        self.history = 0
        if int(sums[0]) ** 2 != self.size * int(sums[1]):  # equal only if all numbers are
            raise ValueError(
                "the ranks have made different calls since they last met, with arrays of other shapes or dtypes: "
                "what was summed is wrong"
            )

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one has failed: each raises a RankError, or a KeyboardInterrupt after one."""
        if self.size > 1 and self._failure is None:
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
            self._fail(self.rank, short(text, 2000))
        self._known = True

    # ---- starting and waiting ----

    def _start(self, what: str, array: np.ndarray, start: Callable[[np.ndarray], Request]) -> Call:
        if self.size == 1:
            return Call(self, 0, what)
        flags = array.flags
        if array.dtype not in SUMMED or not flags.c_contiguous or not flags.writeable:
            raise ValueError(
                "a communicator takes C-contiguous, writeable arrays of float32, float64 or int64, got "
                f"{array.dtype}{'' if flags.c_contiguous else ', not contiguous'}"
                f"{'' if flags.writeable else ', read-only'}"
            )
        if self._failure is not None:
            self._raise_failure()
        self._n_calls += 1
        self.history = hash((self.history, array.size, array.dtype.num))
        call = Call(self, self._n_calls, what, array.size, array.dtype)
        self._recent.append(call)
        if array.size:
            flat, step = array.reshape(-1), MAX_BYTES // array.itemsize
            for at in range(0, array.size, step):
                call.requests.append(self.guarded(call, start, flat[at : at + step]))
            call.requests.reverse()
            self._calls = [other for other in self._calls if other.requests]
            self._calls.append(call)
        return call

    def guarded(self, call: Call, function: Callable[..., Any], *args: Any) -> Any:
        """Call what carries messages, and find out which rank is lost if it cannot."""
        try:
            return function(*args)
        except self._errors as error:
            self._lost(call, error)

    def wait(self, call: Call, timeout: float | None = None) -> None:
        """Wait until a call has ended; a RankError if it cannot, or has not after `timeout` seconds."""
        for _ in range(self._n_polls):
            if call.done():
                return
        limit = self.timeout if timeout is None else timeout
        begin = looked = time.monotonic()
        while not call.done():
            now = time.monotonic()
            if now - looked > LOOK:
                looked = now
                self._look(call)
            if now - begin > min(WAITING_NOTE, limit / 2):
                self._tell_waiting(call)
            if now - begin > limit:
                self._timed_out(call, limit)
            call.requests[-1].pause(now - begin)

    def _begin_generation(self) -> None:
        """After a failure: wait until all ranks want to go on, and let them."""
        self._n_calls = 0
        call = Call(self, 0, "a meeting after a failure")
        self._tell(self._note("meeting"))
        begin = time.monotonic()
        while len(self._meeting) < self.size - 1:
            self._read()
            self._check_ends(call)
            if time.monotonic() > begin + self.start_timeout:
                absent = sorted(set(range(self.size)) - self._meeting - {self.rank})
                raise RankError(absent[0], self._absence(absent, call, self.start_timeout))
            time.sleep(LOOK)
        self._generation += 1
        self._failure = None
        self._told = self.history = 0
        self._recent.clear()
        self._waiting.clear()
        self._meeting.clear()
        self._calls.clear()
        self._renew()

    # ---- what happened to the others ----

    def _note(self, kind: Literal["failed", "waiting", "meeting", "ended"], text: str = "", rank: int = -1) -> Note:
        return Note(kind, self.rank, self._generation, self._n_calls, rank, self.history, text)

    def _read(self, *, all_sent: bool = False) -> None:
        """Read the notes that have come; with `all_sent`, all that have been sent until now."""
        notes, self._early = [*self._early, *self._notes(all_sent=all_sent)], []
        for note in notes:
            if note.generation > self._generation:
                self._early.append(note)
            elif note.kind == "ended":
                self._ended[note.sender] = note.call
            elif note.generation < self._generation:
                continue
            elif note.kind == "failed" and self._failure is None:
                self._set_failure(None if note.rank < 0 else note.rank, note.text)
                self._confessed = note.call if note.rank == note.sender else -1
            elif note.kind == "waiting":
                self._waiting[note.sender] = note
            elif note.kind == "meeting":
                self._meeting.add(note.sender)

    def _look(self, call: Call) -> None:
        """Read what the other ranks tell; raise if the call cannot end."""
        self._read()
        if self._failure is not None:
            # The rank that failed may have made this call, which then ends; so no rank is a step behind the others.
            if self._confessed < call.number or time.monotonic() > self._failed_at + LOST:
                self._raise_failure()
            return
        for rank, note in self._waiting.items():
            for mine in self._recent:
                if note.call == mine.number and note.history != mine.history:
                    self._fail(None, f"calls differ: {note.text}, on rank {rank}; {mine.name}, on rank {self.rank}")
                    self._raise_failure()
            if note.call == call.number:
                self._tell_waiting(call)
        self._check_ends(call)

    def _check_ends(self, call: Call) -> None:
        """Raise if the program or the process of a rank has ended that the call needs."""
        for rank, number in self._ended.items():
            if number < call.number or (call.number == 0 and rank not in self._meeting):
                self._fail(rank, f"its program ended, but rank {self.rank} waits for it in {call.name}")
                self._raise_failure()
        for rank in self._processes.gone() - set(self._ended):
            self._read(all_sent=True)
            if self._failure is None and rank not in self._ended:
                self._fail(rank, self._processes.epitaph(rank))
            if self._failure is not None:
                self._raise_failure()

    def _tell_waiting(self, call: Call) -> None:
        if self._told < call.number:
            self._told = call.number
            self._tell(self._note("waiting", call.name)._replace(call=call.number, history=call.history))

    def _timed_out(self, call: Call, limit: float) -> NoReturn:
        here = {self.rank} | {rank for rank, note in self._waiting.items() if note.call >= call.number}
        absent = [rank for rank in range(self.size) if rank not in here]
        if absent:
            self._fail(absent[0], self._absence(absent, call, limit))
        else:
            self._fail(None, f"all ranks came to {call.name}, but it did not end within {limit:g} seconds")
        self._raise_failure()

    def _absence(self, absent: list[int], call: Call, limit: float) -> str:
        who = "it" if len(absent) == 1 else f"each of the ranks {', '.join(map(str, absent))}"
        return (
            f"{who} did not come to {call.name}, where rank {self.rank} waited for {limit:g} seconds; "
            "if a rank may take longer, as for a callback of its own, pass timeout=... to its communicator"
        )

    def _lost(self, call: Call, error: Exception) -> NoReturn:
        """A connection is lost: find out to which rank, and raise."""
        begin = time.monotonic()
        self._tell_waiting(call)
        while time.monotonic() < begin + LOST:
            self._look(call)
            time.sleep(LOOK)
        absent = [rank for rank in range(self.size) if rank != self.rank and rank not in self._waiting]
        who = f" to one of the ranks {', '.join(map(str, absent))}" if len(absent) > 1 else ""
        self._fail(absent[0] if len(absent) == 1 else None, f"the connection{who} was lost: {short(error)}")
        self._raise_failure()

    def _set_failure(self, rank: int | None, text: str) -> None:
        self._failure = (rank, text)
        self._failed_at = time.monotonic()
        self._known = False
        self._confessed = -1

    def _fail(self, rank: int | None, text: str) -> None:
        """Note a failure, and tell the other ranks of it."""
        self._set_failure(rank, text)
        self._tell(self._note("failed", text, -1 if rank is None else rank))

    def _raise_failure(self) -> NoReturn:
        assert self._failure is not None
        self._known = True
        rank, text = self._failure
        if text.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt(f"on rank {rank}")
        raise RankError(rank, text)

    # ---- the end of the program ----

    def _end(self) -> None:
        """Before this process ends: let the others know, and hear from them."""
        if os.getpid() != self._process:  # a child, which is no rank
            return
        error = getattr(sys, "last_value", None)  # that ends the program, as Python notes it
        if error is not None:
            self.fail(error)
        if self._failure is None:
            self._leave()
        if self._failure is not None:
            self._end_failed()
        self._close()

    def _end_failed(self) -> None:
        """Let every rank print its error, before this process ends and with it, maybe, all others."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._tell(self._note("ended"))
        culprit = self._failure[0] if self._failure else None
        while True:
            self._read()
            waited = time.monotonic() - self._failed_at
            missing = set(range(self.size)) - set(self._ended) - self._processes.gone() - {self.rank}
            if missing == {culprit}:
                limit = ENDING if self._confessed >= 0 else 0.0
            else:
                limit = self.timeout
            if not missing or waited > limit:
                break
            time.sleep(LOOK)
        if missing or any(call.requests for call in self._calls):
            self._close()
            self._abandon()
