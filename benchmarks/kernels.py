"""Time every kernel of src_c/kernels.def alone, for each ISA and dtype, against the limit of the CPU.

    python benchmarks/kernels.py [--isa avx512] [--dtype float32] [--json out.json] [--check]

Products (dense_*): GFLOP/s and the share of the ISA's FMA limit, by shape. The others: nanoseconds per
element, of arrays in the second-level cache. Best CPU times, less what an empty call takes. Target of
issue 3: 0.85 of the AVX2 limit at 1024 wide.
"""

import argparse
import ctypes
import re
import sys
import time

import numpy as np

from contest import arguments as wanted
from contest.process import keep_to
from contest.record import finish, head, measurement
from fma_limit import fma_limit

C_TYPES = {"I": ctypes.c_ssize_t, "int": ctypes.c_int, "double": ctypes.c_double}
ELEMENTS = {"double": np.float64, "int64_t": np.int64, "I": np.intp, "int": np.intc}
PRODUCTS = ("dense_forward", "dense_input_gradient", "dense_weight_gradient", "dense_sgd_step")
# rows, n_in, n_out: the tables' layers from small to large
SHAPES = (
    (32, 4, 32),
    (32, 32, 32),
    (32, 64, 128),
    (64, 784, 128),
    (256, 256, 256),
    (512, 1024, 1024),
)
ROWS, N = (
    1024,
    32,
)  # of the other kernels: they fit in the second-level cache, and outweigh the call through ctypes
AVX2_TARGET = 0.85
# The shapes of the arrays of products, by name.
SHAPE_OF = {
    **dict.fromkeys(("a", "dz"), ("rows", "n_out")),
    **dict.fromkeys(("x", "dx", "saved"), ("rows", "n_in")),
    **dict.fromkeys(("w", "dw"), ("n_in", "n_out")),
    **dict.fromkeys(("b", "db"), ("n_out",)),
    "scratch": ("scratch",),
    "hyper": ("few",),
}
SMALL_NETWORKS = ("fused_small_network", "small_network_sgd")  # their times are those of a row
# The shapes of other arrays, unless they are (rows, n), or (n,) in kernels without rows.
OTHER_SHAPE_OF = {
    **dict.fromkeys(("ok", "cost", "steps"), ("one",)),
    **dict.fromkeys(("index", "label"), ("rows",)),
    **dict.fromkeys(("widths", "activations"), ("three",)),
    **dict.fromkeys(("hyper", "step_hyper", "work"), ("few",)),
    **dict.fromkeys(((kernel, name) for kernel in SMALL_NETWORKS for name in ("theta", "gradient")), ("few",)),
    **dict.fromkeys(("tables", "dtables", "edges", "frequency", "dfrequency"), ("few",)),
    **dict.fromkeys(("categories", "width", "bins"), ("n_in",)),
    "sum": ("one",),
    "columns": ("n",),
    ("max_norm", "w"): ("n_in", "n_out"),
    ("repeat_rows", "a"): ("rows", "copies_n"),
    ("sum_copies", "da"): ("rows", "copies_n"),
}
COPIES = 4
NUMBERS = {
    "activation": 1, "accumulate": 0, "scale": 0.01, "rate": 1e-6, "copies": COPIES, "by_row": 0, "logarithm": 0,
    "row_offset": 0, "key": 1, "epsilon": 1e-5, "batch_rows": ROWS, "layers": 2, "loss": 0,
    "bins": 16, "last": 1, "most_steps": 1,
    "n_frequencies": 4, "n_tables": 480, "l1": 1e-6, "l2": 1e-6, "limit": 1.0, "factor": 1.0, "weight": 0.01,
}  # fmt: skip
# Layers of inputs read two numbers and two of 16 categories, or four numbers, and write N outputs.
INTEGERS = {"categories": [0, 0, 16, 16], "width": [0, 0, 15, 15], "bins": [8, 8, 8, 8], "columns": range(N)}
TINY, FEW = 4, 512  # width of fused_small_network's layers; no less than its parameters, any hyper or any table


def parameters(arguments):
    """Return (name, C type, whether it is a pointer) of each parameter of a list like "(T *a, const T *x, I rows)"."""
    for text in arguments.strip("()").split(","):
        kind, star, name = re.fullmatch(r"\s*(?:const )?(\w+) (\*?)(\w+)\s*", text).groups()
        yield name, kind, bool(star)


def shape_of(name, kernel, listed):
    """Return the shape of an array, or a larger one for statistics and other numbers of a column."""
    if kernel in PRODUCTS:
        return ("rows", "n_out") if (kernel, name) == ("dense_input_gradient", "dz") else SHAPE_OF[name]
    names = [other for other, _, _ in listed]
    usual = ("rows", "n") if "rows" in names else ("n",)
    if "n_in" in names and name in ("x", "dx"):
        usual = ("rows", "n_in")
    return OTHER_SHAPE_OF.get((kernel, name), OTHER_SHAPE_OF.get(name, usual))


def aligned(array):
    """Return a copy whose first element begins a cache line, as in the arena of a network."""
    block = np.empty(array.nbytes + 64, np.uint8)
    copy = block[-block.ctypes.data % 64 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def prepare(kernel, arguments, address, dtype, sizes):
    """Return a function that calls a kernel on random arrays, and the arrays, which must outlive it."""
    listed = list(parameters(arguments))
    rng = np.random.default_rng(0)
    arrays, values = {}, []
    for name, kind, pointer in listed:
        if not pointer:
            continue
        shape = [sizes[size] for size in shape_of(name, kernel, listed)]
        element = np.dtype(dtype if kind == "T" else ELEMENTS[kind])
        if name == "y" and kernel.endswith("cross_entropy"):
            array = rng.random(shape)
        elif name == "index":
            array = rng.permutation(sizes["rows"])
        elif name == "hyper" and kernel.endswith(("_forward", "_backward")):
            array = np.ones(shape)  # an activation divides by its hyperparameter
        elif name in ("label", "hyper", "ok", "cost", "steps", "step_hyper", "activations"):
            array = np.zeros(shape)
        elif name == "widths":
            array = np.full(shape, TINY)
        elif name in INTEGERS:
            array = np.resize(INTEGERS[name], shape)
        elif name == "edges":
            array = np.arange(*shape) / 16
        elif name == "x" and kernel.startswith("embed"):
            array = rng.integers(16, size=shape)
        else:
            array = rng.standard_normal(shape) * 0.1
        arrays[name] = aligned(np.asarray(array, element))
    for name, _, pointer in listed:
        if pointer:
            # Labels and not rows of probabilities for cross_entropy; sgd has no velocity.
            null = (name == "label" and kernel != "cross_entropy") or (name == "state" and kernel == "sgd")
            null = null or (name == "y" and kernel == "cross_entropy")
            values.append(None if null else arrays[name].ctypes.data)
        elif name.removesuffix("_stride") in arrays:
            values.append(arrays[name.removesuffix("_stride")].shape[-1])
        else:
            values.append(sizes.get(name, NUMBERS.get(name)))
    types = [ctypes.c_void_p if pointer else C_TYPES[kind] for _, kind, pointer in listed]
    function = ctypes.CFUNCTYPE(None, *types)(address)
    values = [None if v is None else kind(v) for kind, v in zip(types, values, strict=True)]
    return (lambda: function(*values)), arrays


def nanoseconds(call, turns):
    """Return samples of the CPU time of a call."""
    start = time.process_time()
    call()
    once = max(time.process_time() - start, 1e-6)
    count = int(np.clip(4e-3 / once, 1, 2000))
    samples = []
    for _ in range(turns):
        start = time.process_time()
        for _ in range(count):
            call()
        samples.append((time.process_time() - start) / count * 1e9)
    return samples


def overhead(kernel, arguments, address, dtype):
    """Return the nanoseconds of a call through ctypes: the fastest call of the kernel with nothing to do."""
    nothing = dict.fromkeys(("rows", "n_in", "n_out", "n_tables", "stride", "copies_n"), 0)
    n = int("rows" in arguments)  # losses divide n by n_y
    sizes = nothing | {"n": n, "n_y": n, "scratch": 1, "one": 1, "three": 3, "few": FEW}
    call, _arrays = prepare(kernel, arguments, address, dtype, sizes)
    return min(nanoseconds(call, 5))


def bench(engine, isa, dtype, turns):
    """Yield (kernel, shape, measurement, useful flops) of a table."""
    signatures = {name: arguments for name, _, arguments in engine.signatures()}
    for kernel, address in engine.kernel_addresses(isa, dtype).items():
        empty = overhead(kernel, signatures[kernel], address, dtype)
        for rows, n_in, n_out in SHAPES if kernel in PRODUCTS else ((ROWS, len(INTEGERS["bins"]), N),):
            sizes = {"rows": rows, "n_in": n_in, "n_out": n_out, "one": 1, "three": 3, "few": FEW, "stride": 0}
            if kernel == "max_norm":
                sizes["n_in"] = rows
            sizes["n"] = n_out if "rows" in signatures[kernel] else rows * n_out
            sizes |= {"n_y": sizes["n"] // (2 if kernel == "gaussian_nll" else 1), "copies_n": COPIES * sizes["n"]}
            sizes["scratch"] = engine.scratch(rows, n_in, n_out, np.dtype(dtype).itemsize)
            call, _arrays = prepare(kernel, signatures[kernel], address, dtype, sizes)
            samples = [max(sample - empty, 1.0) for sample in nanoseconds(call, turns)]
            flops = 2 * rows * n_in * n_out if kernel in PRODUCTS else 0
            shape = f" {rows}x{n_in}x{n_out}" if kernel in PRODUCTS else ""
            name = f"{kernel}{shape} {isa} {dtype}"
            yield (
                kernel,
                (rows, n_in, n_out),
                measurement(name, samples, "ns", best=min(samples)),
                flops,
            )


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", nargs="+", type=wanted.isa, help="of this CPU's: all of them")
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    parser.add_argument("--turns", type=wanted.positive, default=9)
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    options = parser.parse_args()
    keep_to(1)
    from fastprop._core import _engine as engine

    limits = fma_limit(1)
    result = head("kernels") | {"limits": limits, "measurements": []}
    misses = []
    for isa in options.isa or [name for name, usable in engine.isas().items() if usable]:
        for dtype in options.dtype:
            limit = limits.get(isa, {}).get(dtype)
            print(f"\n{isa} {dtype} (FMA limit {limit} GFLOP/s)")
            for kernel, shape, found, flops in bench(engine, isa, dtype, options.turns):
                result["measurements"].append(found)
                best = found["best"]
                if not flops:
                    count, what = (ROWS, "row") if kernel in SMALL_NETWORKS else (ROWS * N, "element")
                    print(f"  {kernel:24} {best / count:25.3f} ns per {what}")
                    continue
                share = flops / best / limit if limit else None
                said = "" if share is None else f"   {share:.2f} of the limit"
                print(
                    f"  {kernel:24} {'x'.join(map(str, shape)):>14} {flops / best:8.1f} GFLOP/s{said}"
                )
                if (
                    isa == "avx2"
                    and min(shape[1:]) >= 1024
                    and share is not None
                    and share < AVX2_TARGET
                ):
                    misses.append(f"{found['name']}: {share:.2f} of the limit, asked {AVX2_TARGET}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
