"""Describe the machine on which a benchmark is measured.

    python benchmarks/machine.py        # prints it as JSON

What a platform does not report is None, so that a reader sees what is unknown.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

# The variables that BLAS libraries and OpenMP read when they are loaded; unset means every core.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def machine():
    """Return CPU, caches, the ISA in use, versions, threads and load, as a dict for JSON."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "caches": caches(),
        "memory_gb": memory_gb(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "numpy": numpy(),
        "fastprop": fastprop(),
        "commit": commit(),
        "thread_variables": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def cpu():
    """Return the name of the CPU, as it reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return run("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or None


def caches():
    """Return the size of a cache and how many cores share it, by level, as seen by the first core."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size, shared = (
            (index / name).read_text().strip()
            for name in ("level", "type", "size", "shared_cpu_list")
        )
        found[f"L{level}{kind[0].lower() if kind != 'Unified' else ''}"] = f"{size} (cpu {shared})"
    if sys.platform == "darwin":
        for name in ("l1dcachesize", "l1icachesize", "l2cachesize"):
            found[name] = run("sysctl", "-n", f"hw.{name}")
    return found or None


def memory_gb():
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def numpy():
    """Return NumPy's version, and which BLAS computes its products."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "version": np.__version__,
        "blas": blas.get("name"),
        "blas_version": blas.get("version"),
        "blas_core": blas_core(),
    }


def blas_core():
    """Return the CPU for which NumPy's OpenBLAS chose its kernels, or None without OpenBLAS or threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return next((pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"), None)


def fastprop():
    """Return fastprop's version, kernel table and threads, or None if it is not installed."""
    try:
        import fastprop as fp
        from fastprop._core import _engine
    except ImportError:
        return None
    return {
        "version": fp.__version__,
        "isa": _engine.serving_isa(),
        "isas": _engine.isas(),
        "threads": fp.get_num_threads(),
    }


def commit():
    """Return the checked-out commit, with "+" if files differ from it."""
    here = Path(__file__).parent
    head = run("git", "-C", here, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    changed = run("git", "-C", here, "status", "--porcelain", "--untracked-files=no")
    return head + ("+" if changed else "")


def run(*command):
    """Return the output of a command, or None if there is no such command or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    print(json.dumps(machine(), indent=2))
