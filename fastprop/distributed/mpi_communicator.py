"""A communicator over MPI."""

import atexit
import json
import os
import time
from collections.abc import Iterator
from typing import NoReturn, Self, cast

import numpy as np

from fastprop.distributed.waiting import LOOK, TOGETHER, Note, PolledCommunicator

try:
    from mpi4py import MPI
except ModuleNotFoundError as error:
    if error.name != "mpi4py":
        raise
    raise ImportError(
        "fp.distributed.mpi needs mpi4py, which is not installed: pip install 'fastprop-nn[mpi]', and an MPI, of which "
        "pip install mpich is one"
    ) from error

YIELDING = 1e-3  # seconds of giving the core to whoever wants it between two polls; after them there are pauses
PAUSE = 1 / 20  # a pause, as a fraction of the time waited so far, so that waiting takes at most that much longer
MAX_PAUSE = 1e-3  # seconds

_KEY = MPI.Comm.Create_keyval()


class MPIRequest:
    """Internal: a message under way."""

    def __init__(self, request: MPI.Request) -> None:
        self.done = request.Test

    def pause(self, waited: float) -> None:
        """Give the core away for a moment."""
        if waited > YIELDING:
            time.sleep(min(waited * PAUSE, MAX_PAUSE))
        elif hasattr(os, "sched_yield"):
            os.sched_yield()
        else:
            time.sleep(0)


class MPICommunicator(PolledCommunicator):
    """Internal: see ``fastprop.distributed.mpi``. Sums and notes have a duplicate of the user's communicator each."""

    _errors = (MPI.Exception,)
    # A sum of one number over two ranks of one machine takes about five polls. Where ranks share a core, polls without
    # pauses keep the others from their work: so no longer than two thread switches take, 20 microseconds.
    _n_polls = 50

    def __init__(self, comm: MPI.Intracomm, timeout: float, start_timeout: float) -> None:
        super().__init__(comm.rank, comm.size, timeout, start_timeout)
        self._sent: list[tuple[MPI.Request, bytes]] = []  # notes, which MPI may read until they are gone
        self._beside = self._duplicate(comm)
        self._sums = self._duplicate(comm)
        if self.size > 1:
            self._open()
            self._processes.start_witness(self._share)  # since mpiexec kills all ranks when one is killed

    @classmethod
    def over(cls, comm: MPI.Intracomm | None, *, timeout: float, start_timeout: float) -> Self:
        """Return the communicator over `comm`: always the same, since MPI can make some thousands only."""
        comm = MPI.COMM_WORLD if comm is None else comm
        known = cast("Self | None", comm.Get_attr(_KEY))
        if known is None:
            known = cls(comm, timeout, start_timeout)
            comm.Set_attr(_KEY, known)
        known.set_timeouts(timeout, start_timeout)
        return known

    def _duplicate(self, comm: MPI.Intracomm) -> MPI.Intracomm:
        made, request = comm.Idup()
        begin = time.monotonic()
        while not request.Test():
            if time.monotonic() > begin + self.start_timeout:
                atexit.register(self._abandon)
                self._set_failure(None, f"not all called fp.distributed.mpi() within {self.start_timeout:g} seconds")
                self._raise_failure()
            time.sleep(LOOK)
        return made

    def _start_sum(self, array: np.ndarray) -> MPIRequest:
        return MPIRequest(self._sums.Iallreduce(MPI.IN_PLACE, array))

    def _start_broadcast(self, array: np.ndarray, root: int) -> MPIRequest:
        return MPIRequest(self._sums.Ibcast(array, root))

    def _tell(self, note: Note) -> None:
        data = json.dumps(note).encode()
        self._sent = [(request, data) for request, data in self._sent if not request.Test()]
        for rank in range(self.size):
            if rank != self.rank:
                self._sent.append((self._beside.Isend([data, MPI.BYTE], rank), data))

    def _notes(self, *, all_sent: bool = False) -> Iterator[Note]:
        status = MPI.Status()
        while self._beside.Iprobe(status=status):
            data = bytearray(status.Get_count(MPI.BYTE))
            self._beside.Recv([data, MPI.BYTE], status.Get_source(), status.Get_tag())
            yield Note(*json.loads(data))

    def _renew(self) -> None:
        self._sums = self._duplicate(self._beside)

    def _leave(self) -> None:
        """Wait for the others, as MPI itself does at the end of the program, but listen to them."""
        if MPI.Is_finalized():
            return
        request, told, begin = self._beside.Ibarrier(), False, time.monotonic()
        while not request.Test() and self._failure is None:
            if not told and time.monotonic() > begin + TOGETHER:
                told = True
                self._tell(self._note("ended"))
            self._read()
            time.sleep(LOOK)

    def _close(self) -> None:
        self._processes.dismiss_witness()

    def _abandon(self) -> NoReturn:
        MPI.COMM_WORLD.Abort(1)
        os._exit(1)  # in case that MPI takes its time

    def __repr__(self) -> str:
        return f"<fastprop.distributed.mpi(): rank {self.rank} of {self.size}>"
