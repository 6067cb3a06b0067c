"""A communicator over MPI."""

try:
    from mpi4py import MPI
except ModuleNotFoundError as error:
    if error.name != "mpi4py":
        raise
    raise ImportError(
        "fp.distributed.mpi needs mpi4py, which is not installed: pip install 'fastprop-nn[mpi]', and an MPI, such as "
        "pip install mpich"
    ) from error
import atexit
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import numpy as np

from fastprop.distributed.processes import LocalProcesses, this_process
from fastprop.distributed.waiting import MAX_PAUSE, Note, PolledCommunicator

_KEY = MPI.Comm.Create_keyval()


class MPICommunicator(PolledCommunicator):
    """Internal: see ``fastprop.distributed.mpi``. Sums and notes have a duplicate of the user's communicator each."""

    _errors = (MPI.Exception,)

    def __init__(self, comm: MPI.Intracomm, timeout: float, start_timeout: float) -> None:
        super().__init__(comm.rank, comm.size, timeout, start_timeout)
        self._sums, request = comm.Idup()
        request.Wait()
        self._beside, request = comm.Idup()
        request.Wait()
        self._sent: list[tuple[Any, bytes]] = []  # notes, which MPI reads until they are gone
        if self.size > 1:
            mine = this_process()
            table = np.zeros((self.size, 2), np.int64)
            table[self.rank] = mine
            self._start("meeting", table, self._start_sum).wait(start_timeout)
            others = [rank for rank in range(self.size) if rank != self.rank and table[rank, 0] == mine[0]]
            self._processes = LocalProcesses({rank: int(table[rank, 1]) for rank in others})
            atexit.register(self._end)

    @classmethod
    def over(cls, comm: MPI.Intracomm | None, *, timeout: float, start_timeout: float) -> Self:
        """Return the communicator over `comm`, which has one."""
        comm = MPI.COMM_WORLD if comm is None else comm
        known = cast("Self | None", comm.Get_attr(_KEY))
        if known is None:
            known = cls(comm, timeout, start_timeout)
            comm.Set_attr(_KEY, known)
        known.timeout, known.start_timeout = float(timeout), float(start_timeout)
        return known

    def _start_sum(self, array: np.ndarray) -> Callable[[], bool]:
        return self._sums.Iallreduce(MPI.IN_PLACE, array).Test

    def _start_broadcast(self, array: np.ndarray, root: int) -> Callable[[], bool]:
        return self._sums.Ibcast(array, root).Test

    def _tell(self, note: Note) -> None:
        data = json.dumps(note).encode()
        for rank in range(self.size):
            if rank != self.rank:
                self._sent.append((self._beside.Isend([data, MPI.BYTE], rank), data))

    def _notes(self) -> Iterator[Note]:
        status = MPI.Status()
        while self._beside.Iprobe(status=status):
            data = bytearray(status.Get_count(MPI.BYTE))
            self._beside.Recv([data, MPI.BYTE], status.Get_source(), status.Get_tag())
            yield Note(*json.loads(data))

    def _end(self) -> None:
        """At the end of the program: let the others know, and end them if they could wait for ever."""
        if MPI.Is_finalized():
            return
        if self._failure is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(1)
            MPI.COMM_WORLD.Abort(1)
        error = getattr(sys, "last_value", None)
        if error is not None:
            self.fail(error)
            return self._end()
        request, told, begin = self._beside.Ibarrier(), False, time.monotonic()
        while not request.Test():
            if not told and time.monotonic() > begin + 0.1:
                told = True
                self._tell(Note("ended", self.rank, self._n_calls, ""))
            for note in self._notes():
                if note.kind == "failed":
                    self._failure = (note.rank, note.text)
                    return self._end()
            time.sleep(MAX_PAUSE)

    def __repr__(self) -> str:
        return f"<fastprop.distributed.mpi(): rank {self.rank} of {self.size}>"
