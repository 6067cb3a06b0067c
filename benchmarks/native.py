"""Time outputs of one row and small steps from a loop that Numba compiles, beside the same calls from Python.

    python benchmarks/native.py [--isa avx2] [--json out.json] [--check]

The target of issue 15: one row of 64-128-10 in less than 0.7 microseconds. Needs numba; onnxruntime and PyTorch are
timed where they are installed, from Python, since neither can be called from such a loop.
"""

import argparse
import sys

import numpy as np

from contest import arguments as wanted
from contest.process import keep_to
from contest.record import CLOCKS, finish, head, measurement
from contest.tasks import Task
from latency import onnxruntime_call, rate, torch_call

TARGET, ONE_ROW_TARGET = "64-128-10, float32: 1 row, handle", 0.7  # microseconds
SHAPES = {"64-128-10": ((64, 128, 10), "cross_entropy"), "4-32-32-1": ((4, 32, 32, 1), "half_mse")}
CALLS = 1000  # of a handle in one call of the compiled loop, whose own call takes a microsecond


def loops(handle, y):
    """Return loops over CALLS outputs and over CALLS steps, which raise an error if one failed."""
    from numba import njit

    forward, step, address = handle.forward, handle.step, handle.address
    out = np.empty((handle.max_rows, handle.n_outputs), handle.dtype)

    @njit
    def outputs(x, out):
        failed = 0
        for _ in range(CALLS):
            failed |= forward(address, x.ctypes, len(x), out.ctypes)
        return failed

    @njit
    def steps(x, y):
        failed = 0
        for _ in range(CALLS):
            failed |= step(address, x.ctypes, y.ctypes, len(x))
        return failed

    def checked(failed):
        if failed:
            raise RuntimeError(handle.message(failed))

    return lambda x: checked(outputs(x, out)), lambda x: checked(steps(x, y[: len(x)]))


def cases(widths, loss, dtype):
    """Return a dict of what is timed: name -> (function of x, x, calls in one call of it)."""
    import fastprop as fp

    fp.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(32, widths[0])).astype(dtype)
    labelled = loss == "cross_entropy"
    y = rng.integers(widths[-1], size=32) if labelled else rng.normal(size=(32, widths[-1])).astype(dtype)
    trainer = fp.Trainer(fp.Network(list(widths), dtype=dtype, seed=0), loss=loss, optimizer=fp.SGD(1e-4))
    net, x = trainer.network, X[:1].copy()
    outputs, steps = loops(trainer.native(32), y)
    found = {
        "1 row, handle": (outputs, x, CALLS),
        "1 row, net(x)": (net, x, 1),
        "32 rows, handle": (outputs, X, CALLS),
        "32 rows, net(X)": (net, X, 1),
        "step of 1, handle": (steps, x, CALLS),
        "step of 1, trainer.step": (lambda x: trainer.step(x, y[:1]), x, 1),
        "step of 32, handle": (steps, X, CALLS),
        "step of 32, trainer.step": (lambda X: trainer.step(X, y), X, 1),
    }
    task = Task("", widths, 1, 1, loss, dtype=dtype)
    for name, make in (("onnxruntime", onnxruntime_call), ("PyTorch", torch_call)):
        try:
            found[f"1 row, {name}"] = (make(task), x, 1)
        except ImportError as error:
            print(f"absent: {name} ({error})")
    return found


def main():
    """Measure, print the results, and check the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where the target is missed")
    parser.add_argument("--isa", type=wanted.isa, help="force fastprop's kernels; avx2 holds others, too")
    parser.add_argument("--turns", type=wanted.positive, default=9)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    options = parser.parse_args()
    keep_to(1, options.isa)
    result = head("native") | {"clock": options.clock, "measurements": []}
    misses = []
    for dtype in ("float32", "float64"):
        for shape, (widths, loss) in SHAPES.items():
            print(f"\n{shape}, {dtype}")
            timed = cases(widths, loss, dtype)
            samples = {name: [] for name in timed}
            for turn in range(options.turns + 1):  # the first compiles and warms up
                for name, (call, x, count) in timed.items():
                    taken = rate(call, x, CLOCKS[options.clock]) / count
                    samples[name] += [taken] if turn else []
            for name, some in samples.items():
                found = measurement(f"{shape}, {dtype}: {name}", some, "us")
                result["measurements"].append(found)
                print(f"  {name:25} {found['value']:8.3f} us")
                if found["name"] == TARGET and found["value"] > ONE_ROW_TARGET:
                    misses.append(f"{TARGET}: {found['value']:.2f} us, asked {ONE_ROW_TARGET}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
