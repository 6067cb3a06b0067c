"""The processes of the ranks on this machine, and which of them have ended."""

import os
import select
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np


def this_process() -> np.ndarray:
    """Internal: return what tells this process from all others, as two int64: machine and process."""
    from zlib import crc32

    machine = os.uname().nodename if hasattr(os, "uname") else ""
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            machine += os.readlink(path) if path.endswith("pid") else Path(path).read_text()
    return np.array([crc32(machine.encode()), os.getpid()], np.int64)


class LocalProcesses:
    """Internal: watches processes of this machine.

    Parameters
    ----------
    pids : mapping of int to int
        Rank -> process; empty where this system cannot watch the processes of others.
    """

    def __init__(self, pids: Mapping[int, int]) -> None:
        self._pids = dict(pids)
        self._ranks: dict[int, int] = {}  # file descriptor -> rank
        self._gone: set[int] = set()
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None and hasattr(os, "pidfd_open"):
            for rank, pid in self._pids.items():
                try:
                    descriptor = os.pidfd_open(pid)
                except ProcessLookupError:
                    self._gone.add(rank)
                except OSError:  # a kernel that has none
                    continue
                else:
                    self._ranks[descriptor] = rank
                    self._poll.register(descriptor, select.POLLIN)

    def gone(self) -> set[int]:
        """Return the ranks whose processes have ended."""
        if self._ranks and self._poll is not None:
            self._gone |= {self._ranks[descriptor] for descriptor, _ in self._poll.poll(0)}
        return self._gone

    def name(self, rank: int) -> str:
        """Return how messages call the process of a rank."""
        return str(self._pids.get(rank, ""))
