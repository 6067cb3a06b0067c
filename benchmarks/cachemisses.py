"""Count the cache misses of a call of each product in a CPU with small caches, which cachegrind (valgrind) simulates.

    python benchmarks/cachemisses.py [--shapes 128x512x512 ...] [--products "x W"] [--json out.json] [--check]

The caches are those of a Zen 3: 32 KB and 8 ways, and 512 KB and 8 ways as the last level, so that a machine with
larger ones shows what happens there. The kernels are those of AVX2, blocked for those caches. Counts do not depend on
the load of the machine. The misses of one call are the difference between a process that makes many more calls and one
that does not, so that start-up does not count; two runs differ by about one per cent. Cachegrind knows neither
prefetching nor the hardware's guesses: a miss that is fetched ahead counts in full.

`--check` compares with the limits of issue 15, which are of x W of 128x512x512 in float32, and, for any other product,
with the misses of NumPy's in the same simulation. .ci/run does so where valgrind is installed or can be.
"""

import argparse
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contest import arguments as wanted
from contest.process import environment, usable_cpus
from contest.record import finish, head, measurement
from fma_limit import supported
from products import PRODUCTS, contestants

L1, L2, LINE = 32 * 1024, 512 * 1024, 64
WAYS = 8
# Calls that are counted: start-up differs by some 50,000 misses from process to process, so that a call is not known
# better than that divided by them. 33 million multiply-adds take cachegrind a tenth of a second.
MULTIPLY_ADDS, FEWEST = 2**29, 4
SHAPES = ("128x512x512",)
# The most read misses of one call in L1 and in L2.
LIMITS = {("x W", "128x512x512", "float32"): (180_000, 40_000)}
INSTALL = "valgrind is not installed: on Debian and Ubuntu `apt install valgrind`, on Fedora `dnf install valgrind`"


def work(job):
    """Make each of the products once, and then `calls` more calls of one of them: what cachegrind counts."""
    from fastprop._core import _engine as engine

    engine.set_cache_sizes(L1, L2)
    kept = {
        product: contestants(engine, kernel, operands, tuple(job["shape"]), job["dtype"])
        for product, (kernel, operands) in PRODUCTS.items()
        if product in job["products"]
    }
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


def of_a_call(pool, products, shape, dtype, names):
    """Yield (product, {name: its read misses of a call in (L1, L2)}); the processes run side by side."""
    sizes = tuple(map(int, shape.split("x")))
    calls = max(FEWEST, MULTIPLY_ADDS // math.prod(sizes))
    job = {"shape": sizes, "dtype": dtype, "products": products, "calls": 0}
    start = pool.submit(counts, job)
    more = {
        product: {
            name: pool.submit(counts, job | {"product": product, "name": name, "calls": calls}) for name in names
        }
        for product in products
    }
    for product, futures in more.items():
        yield (
            product,
            {
                name: tuple(
                    max(0, after - before) // calls
                    for before, after in zip(start.result(), future.result(), strict=True)
                )
                for name, future in futures.items()
            },
        )


def exceeded(product, shape, dtype, found):
    """Return a sentence for each level in which fastprop's misses exceed the limits, or else those of NumPy."""
    limits, whose = LIMITS.get((product, shape, dtype)), "asked at most"
    if limits is None:
        limits, whose = found["NumPy"], "NumPy's"
    return [
        f"{product} {shape} {dtype}: {count:,} read misses in {level}, {whose} {limit:,}"
        for level, count, limit in zip(("L1", "L2"), found["fastprop"], limits, strict=True)
        if count > limit
    ]


def main(argv=None):
    """Count, print the table, and check the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", type=wanted.shape, default=SHAPES, help="such as 128x512x512")
    parser.add_argument("--products", nargs="+", default=list(PRODUCTS), choices=list(PRODUCTS))
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "float64"])
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a limit is exceeded")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)  # the process that is counted
    options = parser.parse_args(argv)
    if options.job:
        return work(options.job)
    if shutil.which("valgrind") is None:
        print(INSTALL, file=sys.stderr)
        return 2
    if "avx2" not in supported():
        print("the kernels of AVX2 are counted, and this CPU has none", file=sys.stderr)
        return 2
    os.environ.pop("FASTPROP_ISA", None)  # valgrind shows the process a CPU with AVX2 alone: nobody needs to be held
    caches = {"L1": L1, "L2": L2, "ways": WAYS, "line": LINE}
    result = head("cachemisses") | {"isa": "avx2", "caches": caches, "measurements": []}
    misses = []
    print(f"read misses of a call in an L1 of {L1 // 1024} KB and an L2 of {L2 // 1024} KB, AVX2")
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for dtype, shape in itertools.product(options.dtype, options.shapes):
            for product, found in of_a_call(pool, options.products, shape, dtype, ("fastprop", "NumPy")):
                for name, levels in found.items():
                    print(f"  {product:7} {shape:>15} {dtype} {name:9} {levels[0]:>13,} {levels[1]:>13,}", flush=True)
                    for level, count in zip(("L1", "L2"), levels, strict=True):
                        each = measurement(f"{product} {shape} {dtype}, {level}: {name}", [count], "read misses")
                        result["measurements"].append(each)
                misses += exceeded(product, shape, dtype, found)
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
