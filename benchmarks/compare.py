"""Compare two results of this folder; exit with 1 if fastprop became slower than noise explains.

    python benchmarks/compare.py results/old.json new.json [--floor 0.03]

A row of peers.py is compared with the other libraries: if they changed as much, the machine did, not
fastprop. Rows of the other scripts ("measurements") are compared as they are. Noise is estimated from
the spread that both results recorded.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

OURS = "fastprop"
KEY = ("task", "activation", "dtype", "optimizer", "threads")
SIGMAS = 3.0  # a difference of two medians is beyond this about once in a thousand comparisons by chance


def error_of_median(value, spread, count):
    """Return the relative standard error of a median: 1.2533 sigma / sqrt(n) for normal noise."""
    return 1.2533 * spread / (value * math.sqrt(max(count, 1))) if value else 0.0


def peer_rows(result):
    """Return the rows of a result of peers.py, by key."""
    return {
        tuple(row[key] for key in KEY): row
        for row in result.get("rows", [])
        if "contestants" in row
    }


def changes_of(before, row, field):
    """Return new / old of each contestant's time, by name; of other libraries only those of an unchanged version."""
    return {
        name: entry[field] / before["contestants"][name][field]
        for name, entry in row["contestants"].items()
        if name in before["contestants"]
        and (name == OURS or before["contestants"][name]["version"] == entry["version"])
    }


def corrected(changes):
    """Return (change of fastprop / median change of the other libraries, standard error of that median)."""
    drifts = [change for name, change in changes.items() if name != OURS]
    if not drifts:
        return changes[OURS], 0.0
    drift = statistics.median(drifts)
    return changes[OURS] / drift, statistics.pstdev(drifts) / drift / math.sqrt(len(drifts))


def compare_peer_rows(old, new):
    """Yield (name, old us, new us, corrected change, noise) for every row that both results have.

    A change counts as far as both the median and the best epoch show it: a busy machine changes the
    median, a quiet moment the best.
    """
    past = peer_rows(old)
    for key, row in peer_rows(new).items():
        before = past.get(key)
        if before is None or not all(OURS in each["contestants"] for each in (before, row)):
            continue
        found = [corrected(changes_of(before, row, field)) for field in ("us", "fastest")]
        change, drift_error = min(found, key=lambda each: abs(math.log(each[0])))
        entries = [(each["contestants"][OURS], each["turns"]) for each in (before, row)]
        errors = (error_of_median(entry["us"], entry["spread"], turns) for entry, turns in entries)
        name = " ".join([*map(str, key[:-1]), f"{key[-1]}t"])
        noise = SIGMAS * math.hypot(*errors, drift_error)
        yield name, entries[0][0]["us"], entries[1][0]["us"], change, noise


def compare_measurements(old, new):
    """Yield such rows for the measurements of the other scripts, of which lower is better."""
    past = {each["name"]: each for each in old.get("measurements", [])}
    for each in new.get("measurements", []):
        before = past.get(each["name"])
        if before is None or not before["value"]:
            continue
        noise = SIGMAS * math.hypot(
            *(
                error_of_median(e["value"], e.get("spread", 0.0), e.get("count", 1))
                for e in (before, each)
            )
        )
        yield each["name"], before["value"], each["value"], each["value"] / before["value"], noise


def main(argv=None):
    """Print every comparison, the worst first, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--floor", type=float, default=0.03, help="changes below this share never count"
    )
    options = parser.parse_args(argv)
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    found = [*compare_peer_rows(old, new), *compare_measurements(old, new)]
    if not found:
        print(
            f"{options.old} and {options.new} have no row in common; "
            "measure the same shapes, threads and dtypes in both"
        )
        return 2
    regressions = 0
    for name, before, after, change, noise in sorted(found, key=lambda each: -each[3]):
        allowed = max(options.floor, noise)
        verdict = (
            "REGRESSION"
            if change > 1 + allowed
            else "faster"
            if change < 1 / (1 + allowed)
            else "same"
        )
        regressions += verdict == "REGRESSION"
        print(
            f"{verdict:10}  {name:48}  {before:10.4g} -> {after:10.4g}   x{change:.3f}  (noise {allowed:.3f})"
        )
    print(f"{len(found)} compared, {regressions} regressions beyond noise")
    return 1 if regressions else 0


if __name__ == "__main__":
    sys.exit(main())
