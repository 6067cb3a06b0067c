"""What serves on this machine: kernel table and threads."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop._version import __version__

MOST_THREADS = 256  # as many workers as the pool keeps

_changing = threading.RLock()  # which a signal handler that interrupts its owner may take as well
_found: list[int] = []  # by each `threads` that is entered now: the number before it


def set_num_threads(n: int) -> None:
    """Sets how many threads training and prediction may use, on all networks.

    The same seed gives the same bits on any number. The default is the environment's FASTPROP_NUM_THREADS where that is
    set, else its OMP_NUM_THREADS, else the number of CPUs that this process may use: those of its affinity, or fewer if
    the quota of its control group, or of one around that, is for fewer (a container's limit, ``CPUQuota=`` of systemd).

    Raises
    ------
    ValueError, TypeError
        If n is not an int from 1 to 256.
    """
    number = _validation.count("the number of threads", n)
    if number > MOST_THREADS:
        raise ValueError(f"the number of threads must be at most {MOST_THREADS}, got {number}")
    _engine.set_num_threads(number)


def get_num_threads() -> int:
    """How many threads training and prediction may use."""
    return _engine.get_num_threads()


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """So many threads meanwhile; None: as many as before. The pool is the process's: of several the last one counts."""
    if n is None:
        yield
        return
    with _changing:
        before = get_num_threads()
        set_num_threads(n)
        _found.append(before)
    try:
        yield
    finally:
        with _changing:  # whoever leaves last restores what the first one found
            first = _found[0]
            _found.pop()
            if not _found:
                set_num_threads(first)


def _cpus_of_quota(root: str = "/") -> int:
    """For how many CPUs the smallest quota is of this process's control group and those around it.

    Versions 1 and 2 of control groups; MOST_THREADS where none has a quota, or the files are not as Linux writes them.
    A share of a CPU counts as a whole one: with 1.5 CPUs two threads are paused for a quarter of the time, where one
    would leave a third of the quota unused.

    Parameters
    ----------
    root : str
        The directory that stands for "/".
    """
    return min([MOST_THREADS, *(_cpus_of_group(os.path.join(root, group[1:])) for group in _groups(root))])


def _groups(root: str) -> Iterator[str]:
    """The directory of each control group whose quota holds for this process, and each parent of it."""
    # version 2 is the line "0::/group", version 1 "4:cpu,cpuacct:/group"
    mine = [line.split(":", 2) for line in _lines(root, "proc/self/cgroup") if line.count(":") >= 2]
    yield from ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu")  # if mountinfo does not say where they are mounted
    for line in _lines(root, "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        if kind[0] == "cgroup" and "cpu" not in kind[2].split(","):
            continue
        top, mount = (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field) for field in fields[3:5])
        for number, controllers, group in mine:
            if "cpu" in controllers.split(",") if kind[0] == "cgroup" else (number, controllers) == ("0", ""):
                yield from _upwards(mount, top, group)


def _upwards(mount: str, top: str, group: str) -> Iterator[str]:
    """The directory of a group and its parents, up to the one that is mounted: `top` as groups are named."""
    inside = (group + "/").startswith(top.rstrip("/") + "/")
    names = [name for name in group[len(top.rstrip("/")) :].split("/") if name] if inside else []
    if ".." in names:  # a group outside of what this process may see
        names = []
    for depth in range(len(names), -1, -1):
        yield "/".join([mount, *names[:depth]])


def _cpus_of_group(directory: str) -> int:
    """For how many CPUs the quota of one group is, by its directory; MOST_THREADS where it has none."""
    quota = _lines(directory, "cpu.max")
    quota = quota or _lines(directory, "cpu.cfs_quota_us") + _lines(directory, "cpu.cfs_period_us")
    try:
        allowed, period = map(int, " ".join(quota).split())
        return -(-allowed // period) if allowed > 0 and period > 0 else MOST_THREADS  # version 1 says -1 for no limit
    except ValueError:  # no such files, or "max"
        return MOST_THREADS


def _lines(directory: str, name: str) -> list[str]:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return []


def _default_threads() -> int:
    wanted = os.environ.get("FASTPROP_NUM_THREADS")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= MOST_THREADS:
            bounds = f"an int from 1 to {MOST_THREADS}"
            raise ValueError(f"FASTPROP_NUM_THREADS={wanted!r} must be {bounds}; mend or unset it")
        return int(wanted)
    # Who shares out the CPUs among processes, as joblib does, says it in this; "4,2" is 4, and 2 in each of these.
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), MOST_THREADS)
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, _cpus_of_quota(), MOST_THREADS)


def config() -> dict[str, str]:
    """What ``show_config`` prints, by name."""
    usable = [name + ("" if has else " (not on this CPU)") for name, has in _engine.isas().items()]
    return {
        "fastprop": __version__,
        "numpy": np.__version__,
        "cpu": _engine.cpu_name(),
        "kernel table": _engine.serving_isa(),
        "tables built": ", ".join(usable),
        "threads": str(_engine.get_num_threads()),
    }


def show_config() -> None:
    """Prints the version, the CPU, which kernel table serves (FASTPROP_ISA forces one), and the number of threads."""
    for name, value in config().items():
        print(f"{name + ':':14}{value}")


def _renew_the_lock() -> None:
    global _changing
    _changing = threading.RLock()


if hasattr(os, "register_at_fork"):  # a thread that held the lock in the parent does not exist in the child
    os.register_at_fork(after_in_child=_renew_the_lock)
_engine.set_num_threads(_default_threads())
