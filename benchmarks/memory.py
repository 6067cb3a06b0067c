"""Memory of training beyond the data, time to import, and installed size of fastprop and other
libraries, each in a new process.

    python benchmarks/memory.py [--json out.json] [--check]

Targets of issue 3: peak memory of training is parameters, gradient, optimiser state and one batch's
workspace to within 20 per cent; of issue 2: the import takes under 30 ms beyond NumPy's.
"""

import argparse
import ctypes
import gc
import importlib.metadata
import json
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from contest import arguments as wanted
from contest.contestant import CONTESTANTS
from contest.process import environment
from contest.record import finish, head, measurement
from contest.tasks import TASKS, Task

try:
    import resource
except ImportError:  # Windows
    resource = None

TASK_NAMES = ("784-128-10/64", "784-512-512-10/128", "1024x4-10/512", "8-48x4-2/4096")
IMPORTS = {
    "fastprop": "fastprop",
    "PyTorch": "torch",
    "JAX": "jax",
    "scikit-learn": "sklearn.neural_network",
}
WITHIN = 1.2
# The memory of pages, allocator and interpreter differs by this much between runs, so that a small
# network says nothing about the share.
UNCERTAIN = 1.0  # MB
IMPORT_TARGET = 30.0  # ms beyond NumPy
PYTHON = (sys.executable, "-P", "-c")  # -P: a checkout's fastprop/ is not the one that is installed


def needed(task):
    """Return the megabytes that a training step needs at least, which the target counts.

    These are parameters and gradient and, for a batch, the gathered rows and targets, every layer's output
    (the backward pass reads it), and the gradients of the outputs of two adjacent layers.
    """
    parameters = sum(
        (n_in + 1) * n_out for n_in, n_out in zip(task.widths, task.widths[1:], strict=False)
    )
    pairs = zip(task.widths[1:], task.widths[2:], strict=False)
    target = 2 if task.loss == "cross_entropy" else task.widths[-1]  # an int64 label is two floats
    row = task.widths[0] + target + sum(task.widths[1:]) + max(a + b for a, b in pairs)
    return np.dtype(task.dtype).itemsize * (2 * parameters + task.batch_size * row) / 1e6


class Held(Task):
    """A task whose data and parameters exist before the measurement, so that creating them does not count."""

    held = None

    def data(self):
        """Return the same arrays every time."""
        return self.held[0] if self.held else super().data()

    def theta(self):
        """Return the same array every time."""
        return self.held[1] if self.held else super().theta()


def status(key):
    """Return a line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(key)


def grow(name, task_name):
    """Return the MB by which training in a new process raises the peak of resident memory over that with
    library and data loaded.

    A small network is trained before, so that code that a library loads at its first step does not
    count.
    """
    from contest.contestant import load

    task = next(task for task in TASKS if task.name == task_name)
    kind = load(name)
    warm = kind(replace(task, widths=(8, 8, task.widths[-1]), batch_size=32, steps=2))
    warm.epoch()
    warm.epoch()
    task = Held(**{field.name: getattr(task, field.name) for field in fields(task)})
    held = task.data(), task.theta()
    object.__setattr__(task, "held", held)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(
        0
    )  # memory freed after creating the data would otherwise be reused and not be counted
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current resident memory
    before = status("VmRSS")
    contestant = kind(task)
    for _ in range(3):
        contestant.epoch()
    return status("VmHWM") - before


def run(code, threads=1):
    """Run code in a new interpreter; return its output, or None and the reason of the failure."""
    # With fixed thresholds, glibc does not adapt them to what was freed before, on which the growth would
    # otherwise depend.
    env = environment(threads) | {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    }
    done = subprocess.run([*PYTHON, code], capture_output=True, text=True, env=env)
    return (
        (done.stdout, None)
        if done.returncode == 0
        else (None, done.stderr.strip().splitlines()[-1])
    )


def seconds_to(code):
    """Return the seconds of a new interpreter that runs code (CPU time if available), or None if it fails."""
    start = time_of_children()
    done = subprocess.run([*PYTHON, code], capture_output=True, env=environment(1))
    return time_of_children() - start if done.returncode == 0 else None


def time_of_children():
    """Return the CPU seconds of all ended child processes; on Windows, which does not report them, the wall clock."""
    if resource is None:
        return time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def imports(turns):
    """Return measurements of import time beyond NumPy's, taken in turns."""
    samples = {name: [] for name in IMPORTS}
    for turn in range(turns + 1):  # the first turn fills the disk cache and is dropped
        base = seconds_to("import numpy")
        for name, module in IMPORTS.items():
            taken = seconds_to(f"import numpy, {module}")
            if turn and taken is not None:
                samples[name].append(1e3 * (taken - base))
    return {
        name: measurement(f"import beyond NumPy: {name}", each, "ms")
        for name, each in samples.items()
        if each
    }


def installed(distribution):
    """Return the MB of a distribution's files, without dependencies, or None if pip has not installed it."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return sum(file.locate().stat().st_size for file in files if file.locate().is_file()) / 1e6


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--turns", type=wanted.positive, default=7, help="of the import times")
    options = parser.parse_args()
    result = head("memory") | {"measurements": []}
    misses = []
    if Path("/proc/self/clear_refs").exists():
        misses += memory_table(result["measurements"])
    else:
        print("peak memory: needs Linux's /proc/self/clear_refs")
    print("\nimport beyond NumPy")
    for name, found in imports(options.turns).items():
        result["measurements"].append(found)
        print(f"  {name:13} {found['value']:8.1f} ms")
        if name == "fastprop" and found["value"] > IMPORT_TARGET:
            misses.append(f"import: {found['value']:.1f} ms beyond NumPy, asked {IMPORT_TARGET}")
    print("\ninstalled size (without dependencies)")
    for name, (_, distribution) in CONTESTANTS.items():
        size = installed(distribution)
        extra = {"JAX": "jaxlib"}.get(name)
        size = size + (installed(extra) or 0) if size and extra else size
        if size:
            result["measurements"].append(measurement(f"installed: {name}", [size], "MB"))
        print(f"  {name:13} {'not installed by pip' if size is None else f'{size:8.1f} MB'}")
    return finish(result, options, misses)


def memory_table(measurements):
    """Print and record the growth of every contestant on every task; return the missed targets."""
    misses = []
    print("peak memory of training beyond library and data, MB\n")
    print(
        f"  {'network / batch':20} {'needed':>8} " + " ".join(f"{name:>13}" for name in CONTESTANTS)
    )
    for name in TASK_NAMES:
        task = next(task for task in TASKS if task.name == name)
        cells = []
        for contestant in CONTESTANTS:
            out, why = run(
                f"import json, memory; print(json.dumps(memory.grow({contestant!r}, {name!r})))"
            )
            if out is None and contestant == "fastprop":
                raise SystemExit(f"fastprop cannot be measured: {why}")
            if out is None:
                cells.append(f"{'-':>13}")
                continue
            megabytes = json.loads(out.splitlines()[-1])
            measurements.append(measurement(f"memory {name}: {contestant}", [megabytes], "MB"))
            cells.append(f"{megabytes:13.1f}")
            if contestant == "fastprop" and megabytes > WITHIN * needed(task) + UNCERTAIN:
                misses.append(
                    f"memory {name}: {megabytes:.1f} MB, asked {WITHIN} x {needed(task):.1f} MB"
                )
        print(f"  {name:20} {needed(task):8.1f} " + " ".join(cells))
    return misses


if __name__ == "__main__":
    sys.exit(main())
