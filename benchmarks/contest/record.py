"""The form of the results: measurements by name, with spread and count, for compare.py to judge."""

import json
import os
import re
import time
from pathlib import Path

import numpy as np

# CPU time leaves out what others take of a shared machine; for one thread.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def machine():
    """What benchmarks/machine.py says of this machine; empty where it cannot be had."""
    try:
        from machine import machine as describe
    except ImportError:
        return {}
    return describe()


def measurement(name, samples, unit, **extra):
    """Median, spread (standard deviation by the median) and count of samples; lower is better."""
    samples = np.asarray(samples, dtype="float64")
    median = float(np.median(samples))
    spread = float(np.median(np.abs(samples - median)) * 1.4826)
    return {
        "name": name,
        "value": median,
        "unit": unit,
        "spread": spread,
        "count": len(samples),
        **extra,
    }


def head(kind):
    """The first entries of every result."""
    return {
        "kind": kind,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "isa": os.environ.get("FASTPROP_ISA"),
    }


def write(result, path):
    """As JSON, lists of numbers on one line, so that differences read well in git."""
    text = json.dumps(result, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def finish(result, options, misses):
    """Write the JSON if asked, print the misses; the exit code is 1 where `--check` met a miss."""
    if options.json:
        write(result, options.json)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses and options.check else 0
