"""Measure the FMA limit of this machine per ISA and dtype: compiles and runs fma_limit.c.

python benchmarks/fma_limit.py --threads 2
"""

import argparse
import functools
import os
import platform
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("fma_limit.c")
FLAGS = {"avx512": ["-mavx512f"], "avx2": ["-mavx2", "-mfma"], "neon": []}


def supported():
    """Return the ISAs of fastprop that this CPU has, the fastest first."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return ["neon"]
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    wanted = {"avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "avx2": {"avx2", "fma"}}
    return [isa for isa, need in wanted.items() if need <= flags]


def isa_in_use():
    """Return the ISA in FASTPROP_ISA, by default the fastest of this CPU, or None if it is unknown."""
    return os.environ.get("FASTPROP_ISA") or next(iter(supported()), None)


@functools.cache
def _compiled(isa):
    """Return the path of the compiled program, or None without a C compiler."""
    # The folder is not deleted here, since it must exist during every measurement of this process; the
    # system cleans its temporary folder.
    program = Path(tempfile.mkdtemp(prefix="fma_limit_")) / f"fma_limit_{isa}"
    command = [os.environ.get("CC", "cc"), "-O2", *FLAGS[isa], f"-DISA_{isa.upper()}", "-pthread"]
    try:
        subprocess.run([*command, str(SOURCE), "-o", str(program)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return program


def fma_limit(threads=1, seconds=0.1):
    """Return GFLOP/s of FMA loops that use registers only.

    Parameters
    ----------
    threads : int
        The number of loops at the same time; their rates are added.
    seconds : float
        The time per ISA and dtype. Each thread reports its best few microseconds, so that other programs
        do not count.

    Returns
    -------
    dict
        ISA -> {"float32": GFLOP/s, "float64": GFLOP/s}; empty if nothing can be compiled.
    """
    limits = {}
    for isa in supported():
        program = _compiled(isa)
        if program is None:
            continue
        run = subprocess.run(
            [program, str(threads), str(seconds)], check=True, capture_output=True, text=True
        )
        rates = dict(line.split() for line in run.stdout.splitlines())
        limits[isa] = {"float32": float(rates["f32"]), "float64": float(rates["f64"])}
    return limits


def limit_for(limits, dtype):
    """Return the limit of the ISA in use, or None if it is unknown."""
    return limits.get(isa_in_use(), {}).get(dtype)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    for isa, rates in fma_limit(parser.parse_args().threads).items():
        print(
            f"{isa:7} float32 {rates['float32']:8.1f} GFLOP/s   float64 {rates['float64']:8.1f} GFLOP/s"
        )
