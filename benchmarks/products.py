"""Time the three products of a dense layer beside `np.matmul`, on one thread, in turns.

    python benchmarks/products.py [--isa avx2] [--dtype float32 float64] [--json out.json] [--check]
    python benchmarks/products.py --shapes 100x300x200 64x1000x500       # shapes of your own

A shape is rows x n_in x n_out. The products are x W (which adds b), dz W^T, and x^T dz (which sums the columns of dz,
too); `np.matmul` computes the product alone, into an array of its own. All arrays begin at a cache line. Kernels are
called through ctypes, and np.matmul as a ufunc: each takes about a microsecond, which is most of the time of products
that are smaller than about 32x32x32. `--check` compares with the targets of issue 15, which hold for AVX2.
"""

import argparse
import sys

import numpy as np

from contest import arguments as wanted
from contest.process import keep_to
from contest.record import CLOCKS, finish, head, measurement
from fma_limit import fma_limit, isa_in_use, limit_for
from kernels import aligned, prepare
from latency import in_turns

# Shapes of the tables and of the issue, and then shapes that are nobody's choice.
SHAPES = (
    "256x256x256",
    "128x512x512",
    "128x784x512",
    "512x1000x1000",
    "512x1024x1024",
    "1024x2048x2048",
    "100x300x200",
    "333x600x77",
    "200x700x500",
    "77x1111x333",
    "640x640x640",
    "32x1536x768",
)
# Name, kernel, and the arrays of NumPy's product as functions of x, w and dz.
PRODUCTS = {
    "x W": ("dense_forward", lambda of: (of["x"], of["w"])),
    "dz W^T": ("dense_input_gradient", lambda of: (of["dz"], of["w"].T)),
    "x^T dz": ("dense_weight_gradient", lambda of: (of["x"].T, of["dz"])),
}
# What a product in float32 may differ by, relative to the largest number of the result: the sums have other orders.
SAME = {"float32": 1e-4, "float64": 1e-12}


def asked(shape):
    """Return the ratio of NumPy's time to ours that issue 15 asks for, by the widest side; None except for AVX2."""
    if isa_in_use() != "avx2":
        return None
    widest = max(shape[1:])
    if min(shape[1:]) < 256:
        return 1.0  # ahead, where the issue names nothing
    return 1.05 if widest <= 784 else 1.0 if widest <= 1536 else 0.97


def contestants(engine, kernel, operands, shape, dtype):
    """Return the two calls of a product, after a check that both compute the same, and the arrays that they work on."""
    rows, n_in, n_out = shape
    identity = engine.names("activation").index("identity")
    sizes = {"rows": rows, "n_in": n_in, "n_out": n_out, "few": 64, "activation": identity}
    sizes["scratch"] = engine.scratch(rows, n_in, n_out, np.dtype(dtype).itemsize)
    signature = next(arguments for name, _, arguments in engine.signatures() if name == kernel)
    address = engine.kernel_addresses(isa_in_use(), dtype)[kernel]
    ours, arrays = prepare(kernel, signature, address, dtype, sizes)
    left, right = operands(arrays)
    out = aligned(np.matmul(left, right))
    ours()
    found = next(iter(arrays.values())) - arrays.get("b", 0)  # the first argument is the output
    if not np.allclose(found, out, atol=SAME[dtype] * np.abs(out).max(), rtol=0):
        raise SystemExit(f"{kernel} {shape} {dtype}: the results of fastprop and NumPy differ")
    return {"fastprop": lambda _: ours(), "NumPy": lambda _: np.matmul(left, right, out)}, arrays


def main(argv=None):
    """Measure, print the table, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", type=wanted.isa, help="force fastprop's kernels; avx2 holds NumPy to AVX2, too")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=list(SAME))
    parser.add_argument("--shapes", nargs="+", type=wanted.shape, default=SHAPES, help="such as 128x512x512")
    parser.add_argument("--turns", type=wanted.positive, default=9)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    options = parser.parse_args(argv)
    keep_to(1, options.isa)
    if options.check and isa_in_use() != "avx2":
        parser.error(f"--check: the targets are of AVX2, and these would be {isa_in_use()}: wanted --isa avx2")
    from fastprop._core import _engine as engine

    limits = fma_limit(1)
    result = head("products") | {"limits": limits, "clock": options.clock, "measurements": []}
    misses = []
    for dtype in options.dtype:
        limit = limit_for(limits, dtype)
        print(f"\n{dtype}, {isa_in_use()}: GFLOP/s, medians (FMA limit {limit})")
        for text in options.shapes:
            shape = tuple(map(int, text.split("x")))
            flops = 2 * shape[0] * shape[1] * shape[2]
            for product, (kernel, operands) in PRODUCTS.items():
                calls, _arrays = contestants(engine, kernel, operands, shape, dtype)
                found = {}
                for name, samples in in_turns(calls, None, options.turns, CLOCKS[options.clock]).items():
                    each = measurement(f"{product} {text} {dtype}: {name}", samples, "us", flops=flops)
                    result["measurements"].append(each)
                    found[name] = each["value"]
                ratio, least = found["NumPy"] / found["fastprop"], asked(shape)
                rates = [flops / us / 1e3 for us in found.values()]
                said = "" if least is None else f"   asked {least}" + (" MISSED" if ratio < least else "")
                of = f"   {rates[0] / limit:.2f} of the limit" if limit else ""
                print(f"  {product:7} {text:>15} {rates[0]:8.4g} {rates[1]:8.4g}   {ratio:.2f}x{of}{said}", flush=True)
                if least is not None and ratio < least:
                    misses.append(f"{product} {text} {dtype}: {ratio:.2f} of NumPy, asked {least}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
