"""What serves on this machine: kernel table and threads."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastprop import _engine, _validate
from fastprop._version import __version__

MOST_THREADS = 256  # as many workers as the pool keeps

_changing = threading.Lock()
_found: list[int] = []  # by each `threads` that is entered now: the number before it


def set_num_threads(n: int) -> None:
    """Sets how many threads training and prediction may use, on all networks.

    The same seed gives the same bits on any number. The default is the environment's FASTPROP_NUM_THREADS where that is
    set, else its OMP_NUM_THREADS, else the number of CPUs that this process may use: those of its affinity, or fewer if
    the quota of its control group (a container's limit) is for fewer.

    Raises
    ------
    ValueError, TypeError
        If n is not an int from 1 to 256.
    """
    number = _validate.count("the number of threads", n)
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


def _cpus_of_quota(root: str = "/sys/fs/cgroup") -> int:
    """For how many CPUs the quota of the control group is, version 2 or 1; without one MOST_THREADS."""
    version_2 = Path(root, "cpu.max")
    version_1 = [Path(root, "cpu", f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        if version_2.exists():
            quota, period = version_2.read_text(encoding="ascii").split()
        else:
            quota, period = (path.read_text(encoding="ascii") for path in version_1)
        cpus = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return MOST_THREADS
    return cpus if cpus > 0 else MOST_THREADS  # version 1 says -1 for no limit


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


_engine.set_num_threads(_default_threads())
