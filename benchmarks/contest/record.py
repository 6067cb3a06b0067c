"""The format of the results: measurements by name, with spread and count, for compare.py."""

import json
import re
import time
from pathlib import Path

import numpy as np

from contest.process import restrictions
from fma_limit import isa_in_use

# CPU time leaves out what others take of a shared machine; for one thread.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def machine():
    """Return the description of this machine by benchmarks/machine.py, or an empty dict if there is none."""
    try:
        from machine import machine as describe
    except ImportError:
        return {}
    return describe()


def measurement(name, samples, unit, **extra):
    """Return median, spread (standard deviation / median) and count of samples; lower is better."""
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


def suffix(result):
    """Return what the names of a result's charts end with: its ISA, which results from before issue 15 do not name."""
    return f"_{result['isa']}" if result["isa"] else ""


def head(kind):
    """Return the first entries of every result."""
    return {
        "kind": kind,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "isa": isa_in_use(),
        "restrictions": restrictions(),
    }


def write(result, path):
    """Return JSON text with lists of numbers on one line, so that differences are easy to read in git."""
    text = json.dumps(result, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def finish(result, options, misses):
    """Write the JSON if asked, print the missed targets, and return 1 if `--check` found one, else 0."""
    if options.json:
        write(result | {"missed": misses}, options.json)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses and options.check else 0
