"""Set-up of the pytest-benchmark suite: one thread by default, and JSON that describes the machine.

pytest benchmarks --benchmark-json=benchmarks/results/training.json
BENCHMARK_THREADS=2 pytest benchmarks
"""

import os

THREADS = os.environ.get("BENCHMARK_THREADS", "1")

# BLAS libraries read these when NumPy loads them, which is after this file and not before.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = THREADS


def pytest_configure(config):
    """Give fastprop the same number of threads as NumPy."""
    import fastprop as fp

    fp.set_num_threads(int(THREADS))


def pytest_benchmark_update_machine_info(config, machine_info):
    """Add what pytest-benchmark does not record: caches, ISA, BLAS, threads, load."""
    from machine import machine

    machine_info["fastprop_benchmark"] = machine()
