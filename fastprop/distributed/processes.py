"""The processes of the ranks on this machine, and which of them have ended."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import numpy as np

from fastprop.distributed import witness


def this_process() -> np.ndarray:
    """Internal: return two int64 that tell this process from all others: its machine, and its number there."""
    machine = os.uname().nodename if hasattr(os, "uname") else ""
    with suppress(OSError):  # a name may not be unique, and a container numbers its processes by itself
        machine += Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    return np.array([crc32(machine.encode()), os.getpid()], np.int64)


class LocalProcesses:
    """Internal: watches processes of this machine; of Linux only, where one can wait for any process.

    Parameters
    ----------
    pids : mapping of int to int
        Rank -> process, of the ranks on this machine.
    rank : int
        This rank.
    """

    def __init__(self, pids: Mapping[int, int], rank: int) -> None:
        self._pids = dict(pids)
        self._rank = rank
        self._ranks: dict[int, int] = {}  # file descriptor -> rank
        self._gone: set[int] = set()
        self._witness: socket.socket | None = None
        if not hasattr(os, "pidfd_open"):
            return
        self._poll = select.poll()
        for other, pid in self._pids.items():
            if other == rank:
                continue
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._gone.add(other)
            except OSError:  # an old kernel, or one that forbids it
                continue
            else:
                self._ranks[descriptor] = other
                self._poll.register(descriptor, select.POLLIN)

    @classmethod
    def of_table(cls, table: np.ndarray, rank: int) -> "LocalProcesses":
        """Return those of the machine of `rank`, where each row of the table is what `this_process` returned there."""
        here = [other for other in range(len(table)) if table[other, 0] == table[rank, 0]]
        return cls({other: int(table[other, 1]) for other in here}, rank)

    def gone(self) -> set[int]:
        """Return the other ranks of this machine whose processes have ended."""
        if len(self._gone) < len(self._ranks):
            self._gone |= {self._ranks[descriptor] for descriptor, _ in self._poll.poll(0)}
        return self._gone

    def epitaph(self, rank: int) -> str:
        """Return what messages say of a rank whose process has ended."""
        return witness.EPITAPH.format(self._pids[rank])

    def start_witness(self, share: Callable[[int], list[int]]) -> None:
        """Start a process that says which rank was killed, if that happens; one for the ranks of each machine.

        Parameters
        ----------
        share : function
            Returns what all ranks pass to it.
        """
        pid = 0
        if self._ranks and self._rank == min(self._pids) and sys.executable and not hasattr(sys, "frozen"):
            watched = [f"{rank}:{pid}" for rank, pid in self._pids.items()]
            with suppress(OSError):
                started = subprocess.Popen(
                    [sys.executable, "-I", "-S", witness.__file__, *watched],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
                assert started.stdout is not None
                with started.stdout as ready:
                    ready.read()  # until it watches: 20 ms
                pid = started.pid
        pid = share(pid)[min(self._pids)]
        if pid:
            with suppress(OSError):  # it has ended, since a rank has
                self._witness = socket.socket(socket.AF_UNIX)
                self._witness.connect(witness.ADDRESS.format(pid))
                self._witness.send(str(self._rank).encode())

    def dismiss_witness(self) -> None:
        """End the witness: from now on ranks end as they should."""
        if self._witness is not None:
            with suppress(OSError):
                self._witness.send(b".")
