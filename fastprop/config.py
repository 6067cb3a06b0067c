"""The configuration on this machine: the kernel table that is used, and the number of threads."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop._version import __version__

MAX_THREADS = 256  # the number of workers that the pool can hold

_lock = threading.RLock()  # reentrant, since a signal handler may interrupt the thread that holds it
_numbers_before: list[int] = []  # the number of threads before each `threads` context that is entered now


def set_num_threads(n: int) -> None:
    """Set how many threads training and prediction may use, for all networks.

    One seed gives the same bits with any number. The default is the environment variable FASTPROP_NUM_THREADS if it is
    set, else OMP_NUM_THREADS, else the number of CPUs that this process may use: those of its affinity mask, or fewer
    if the quota of its control group, or of a parent of that, is smaller (a container's limit, ``CPUQuota=`` of
    systemd).

    Raises
    ------
    ValueError, TypeError
        If n is not an int from 1 to 256.
    """
    number = _validation.count("the number of threads", n)
    if number > MAX_THREADS:
        raise ValueError(f"the number of threads must be at most {MAX_THREADS}, got {number}")
    _engine.set_num_threads(number)


def get_include() -> str:
    """Return the directory of fastprop.h, for the include path of C, C++ and Cython that call handles."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def get_num_threads() -> int:
    """Return how many threads training and prediction may use."""
    return _engine.get_num_threads()


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """A context in which at most n threads are used; None changes nothing.

    The number is that of the whole process. Of several contexts that are entered at once the last one counts.
    """
    if n is None:
        yield
        return
    with _lock:
        before = get_num_threads()
        set_num_threads(n)
        _numbers_before.append(before)
    try:
        yield
    finally:
        with _lock:  # the last context that is left restores the number before the first one
            first = _numbers_before[0]
            _numbers_before.pop()
            if not _numbers_before:
                set_num_threads(first)


def _cpus_of_quota(root: str = "/") -> int:
    """Return the smallest quota, in CPUs, of this process's control group and its parents.

    Both versions of control groups are read. The result is MAX_THREADS where no group has a quota, or where the files
    are not as Linux writes them. A fraction of a CPU is rounded up: with 1.5 CPUs two threads are paused for a quarter
    of the time, where one thread would leave a third of the quota unused.

    Parameters
    ----------
    root : str
        The directory that is taken for "/".
    """
    return min([MAX_THREADS, *(_cpus_of_group(os.path.join(root, group[1:])) for group in _groups(root))])


def _groups(root: str) -> Iterator[str]:
    """Yield the directory of each control group whose quota applies to this process, and of each of its parents."""
    # The line is "0::/group" in version 2, and "4:cpu,cpuacct:/group" in version 1.
    mine = [line.split(":", 2) for line in _lines(root, "proc/self/cgroup") if line.count(":") >= 2]
    yield from ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu")  # the usual mount points, in case mountinfo has none
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
    """Yield the directory of a group and of its parents, up to the group `top`, which is mounted at `mount`."""
    inside = (group + "/").startswith(top.rstrip("/") + "/")
    names = [name for name in group[len(top.rstrip("/")) :].split("/") if name] if inside else []
    if ".." in names:  # the group is outside of what this process may see
        names = []
    for depth in range(len(names), -1, -1):
        yield "/".join([mount, *names[:depth]])


def _cpus_of_group(directory: str) -> int:
    """Return the quota, in CPUs, of the group of a directory; MAX_THREADS where it has none."""
    quota = _lines(directory, "cpu.max")
    quota = quota or _lines(directory, "cpu.cfs_quota_us") + _lines(directory, "cpu.cfs_period_us")
    try:
        allowed, period = map(int, " ".join(quota).split())
        return -(-allowed // period) if allowed > 0 and period > 0 else MAX_THREADS  # -1 is no limit in version 1
    except ValueError:  # no such files, or "max"
        return MAX_THREADS


def _lines(directory: str, name: str) -> list[str]:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except (OSError, ValueError):  # a ValueError comes from a name with a null byte
        return []


def _default_threads() -> int:
    wanted = os.environ.get("FASTPROP_NUM_THREADS")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= MAX_THREADS:
            bounds = f"an int from 1 to {MAX_THREADS}"
            raise ValueError(f"FASTPROP_NUM_THREADS={wanted!r} must be {bounds}; mend or unset it")
        return int(wanted)
    # Programs that divide the CPUs among processes, as joblib does, set this variable. "4,2" means 4 threads, each of
    # which may start 2 in nested regions.
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), MAX_THREADS)
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, _cpus_of_quota(), MAX_THREADS)


def config() -> dict[str, str]:
    """Return what ``show_config`` prints, as a dict."""
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
    """Print the version, the CPU, the kernel table that is used (FASTPROP_ISA forces one) and the number of threads."""
    for name, value in config().items():
        print(f"{name + ':':14}{value}")


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # a thread that held the lock in the parent does not exist in the child
    os.register_at_fork(after_in_child=_new_lock)
_engine.set_num_threads(_default_threads())
