"""Count the cache misses of a call of each product in a CPU with small caches, which cachegrind (valgrind) simulates.

    python benchmarks/cachemisses.py [--shapes 128x512x512 ...] [--dtype float32] [--json out.json] [--check]

The caches are those of a Zen 3: 32 KB and 8 ways, and 512 KB and 8 ways as the last level, so that a machine with
larger ones shows what happens there. The kernels are those of AVX2, blocked for those caches. Counts do not depend on
the load of the machine. The misses of one call are the difference between a process that makes `CALLS` more calls and
one that does not, so that start-up does not count. Cachegrind knows neither prefetching nor the hardware's guesses: a
miss that is fetched ahead counts in full. Limits of `--check`: issue 15.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from contest.process import environment
from contest.record import finish, head, measurement
from products import PRODUCTS, contestants

L1, L2, LINE = 32 * 1024, 512 * 1024, 64
WAYS = 8
CALLS = 4
SHAPES = ("128x512x512",)
# The most read misses of one call in L1 and in L2.
LIMITS = {("x W", "128x512x512", "float32", "fastprop"): (180_000, 40_000)}
INSTALL = "valgrind is not installed: on Debian and Ubuntu `apt install valgrind`, on Fedora `dnf install valgrind`"


def work(job):
    """Make every product once, and then `calls` more calls of one of them: what cachegrind counts."""
    from fastprop._core import _engine as engine

    engine.set_cache_sizes(L1, L2)
    kept = {}
    for product, (kernel, operands) in PRODUCTS.items():
        calls, arrays = contestants(engine, kernel, operands, tuple(job["shape"]), job["dtype"])
        kept[product] = calls, arrays
    for _ in range(job["calls"]):
        kept[job["product"]][0][job["name"]](None)


def counts(job):
    """Return the read misses of a process in (L1, L2)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", f"--cachegrind-out-file={out}"]
        command += [f"--I1={L1},{WAYS},{LINE}", f"--D1={L1},{WAYS},{LINE}", f"--LL={L2},{WAYS},{LINE}"]
        command += [sys.executable, __file__, "--job", json.dumps(job)]
        env = environment(1) | {"FASTPROP_ISA": "avx2", "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"valgrind ended with code {done.returncode}:\n{done.stderr}")
        return read_misses(out.read_text())


def read_misses(text):
    """Return the read misses in (L1, the last level) of a file that cachegrind wrote."""
    names, totals = (re.search(rf"^{key}: (.*)$", text, re.MULTILINE)[1].split() for key in ("events", "summary"))
    found = dict(zip(names, map(int, totals), strict=True))
    return found["D1mr"], found["DLmr"]


def main(argv=None):
    """Count, print the table, and check the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rows x n_in x n_out, as 128x512x512")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "float64"])
    parser.add_argument("--contestants", nargs="+", default=["fastprop"], choices=["fastprop", "NumPy"])
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a limit is exceeded")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)  # the process that is counted
    options = parser.parse_args(argv)
    if options.job:
        return work(options.job)
    if shutil.which("valgrind") is None:
        print(INSTALL, file=sys.stderr)
        return 2
    os.environ.pop("FASTPROP_ISA", None)  # valgrind shows the process a CPU with AVX2 alone: nobody needs to be held
    caches = {"L1": L1, "L2": L2, "ways": WAYS, "line": LINE}
    result = head("cachemisses") | {"isa": "avx2", "caches": caches, "measurements": []}
    misses = []
    print(f"read misses of a call: AVX2, L1 of {L1 // 1024} KB, L2 of {L2 // 1024} KB")
    for dtype, shape in itertools.product(options.dtype, options.shapes):
        job = {"shape": [*map(int, shape.split("x"))], "dtype": dtype, "calls": 0}
        start = counts(job)
        for product, name in itertools.product(PRODUCTS, options.contestants):
            more = counts(job | {"product": product, "name": name, "calls": CALLS})
            found = [(after - before) // CALLS for before, after in zip(start, more, strict=True)]
            print(f"  {product:7} {shape:>15} {dtype} {name:9} {found[0]:>11,} {found[1]:>11,}", flush=True)
            limits = LIMITS.get((product, shape, dtype, name), (None, None))
            for level, count, limit in zip(("L1", "L2"), found, limits, strict=True):
                each = measurement(f"{product} {shape} {dtype}, {level}: {name}", [count], "read misses")
                result["measurements"].append(each)
                if limit is not None and count > limit:
                    misses.append(f"{product} {shape} {dtype}: {count:,} read misses in {level}, at most {limit:,}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
