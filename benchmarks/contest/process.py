"""Hold a process to a number of threads and an ISA: environment and CPU affinity, set before libraries are imported."""

import os
import sys
from pathlib import Path

from fma_limit import supported

BENCHMARKS = Path(__file__).resolve().parent.parent
MARK = "FASTPROP_BENCHMARK_THREADS"


def restrictions():
    """Return the variables that hold the other libraries to AVX2, as FASTPROP_ISA=avx2 does fastprop; else none."""
    if os.environ.get("FASTPROP_ISA") != "avx2" or "avx512" not in supported():
        return {}
    return {
        "OPENBLAS_CORETYPE": "Haswell",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_avx512()),
    }


def numpy_avx512():
    """Return NumPy's names of the AVX-512 features that this CPU has and NumPy was built to use."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if name.startswith(("AVX512", "X86_V4")) and __cpu_features__[name]]


def environment(threads):
    """Return a copy of the environment that limits every library to this number of threads, and to FASTPROP_ISA."""
    env = dict(os.environ)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # set for an old OpenBLAS; they slow a new one
        env.pop(name, None)
    held = restrictions()
    flags = [env.get("XLA_FLAGS"), held.get("XLA_FLAGS")]
    env |= held
    for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    env["NPROC"] = str(threads)  # XLA's pool
    if threads == 1:
        flags.append("--xla_cpu_multi_thread_eigen=false")
    env["XLA_FLAGS"] = " ".join(filter(None, flags))
    env["JAX_PLATFORMS"] = "cpu"
    env["PYTHONPATH"] = os.pathsep.join([str(BENCHMARKS), *filter(None, [env.get("PYTHONPATH")])])
    env[MARK] = str(threads)
    return env


def usable_cpus():
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpus_for(threads):
    """Return as many CPUs as threads (the last, since the first handle more interrupts), or None if unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[-threads:] if threads <= len(cpus) else None


def keep_to(threads, isa=None):
    """Start this script again with that number of threads and ISA; in the new process, return at once."""
    if os.environ.get(MARK) == str(threads):
        return
    if isa:
        os.environ["FASTPROP_ISA"] = isa
    cpus = cpus_for(threads)
    if cpus:
        os.sched_setaffinity(0, cpus)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], environment(threads))
