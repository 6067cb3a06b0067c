"""Hold a process to a number of threads: environment and CPU affinity, both set before the libraries are imported."""

import os
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
MARK = "FASTPROP_BENCHMARK_THREADS"


def environment(threads):
    """Return a copy of the environment that limits every library to this number of threads."""
    env = dict(os.environ)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # set for an old OpenBLAS; they slow a new one
        env.pop(name, None)
    for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    env["NPROC"] = str(threads)  # XLA's pool
    if threads == 1:
        env["XLA_FLAGS"] = (
            env.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        ).strip()
    env["JAX_PLATFORMS"] = "cpu"
    env["PYTHONPATH"] = os.pathsep.join([str(BENCHMARKS), *filter(None, [env.get("PYTHONPATH")])])
    env[MARK] = str(threads)
    return env


def cpus_for(threads):
    """Return as many CPUs as threads (the last, since the first handle more interrupts), or None if unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[-threads:] if threads <= len(cpus) else None


def keep_to(threads):
    """Start this script again with that number of threads; in the new process, return at once."""
    if os.environ.get(MARK) == str(threads):
        return
    cpus = cpus_for(threads)
    if cpus:
        os.sched_setaffinity(0, cpus)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], environment(threads))
