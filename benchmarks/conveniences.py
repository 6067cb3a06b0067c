"""The cost of conveniences: a trace against the gradient alone, a table against Python's csv; and how soon
Ctrl-C and progress arrive.

    python benchmarks/conveniences.py [--json out.json] [--check]

Each ratio is of two times taken in turns in one run, in CPU time on one thread. Ctrl-C and progress are promised by the
clock (contract 3 of docs/DESIGN.md), so they are measured by it: a busy machine may miss them.
"""

import argparse
import csv
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from contest import arguments as wanted
from contest.record import finish, head, measurement

TRACE = 10  # times value_and_gradient of the same 64 rows: 4 measured
TABLE = 15  # times csv.reader, which finds no numbers, no categories and no gaps: 8 measured
CTRL_C = 0.1  # seconds
PROGRESS = 0.05  # seconds between two reports


def pairs(fp, folder):
    """Return (the convenience, the plain call, the largest ratio allowed) by name."""
    from fastprop.tabular.csv import read_csv
    from fastprop.tabular.encoders import Encoder
    from fastprop.tabular.schema import Schema

    rng = np.random.default_rng(0)
    net = fp.Network([784, 128, 10], seed=0)
    X, y = rng.normal(size=(64, 784)).astype("float32"), rng.integers(10, size=64)
    path = Path(folder) / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"c{i}" for i in range(9)), "kind"])
        for i, row in enumerate(rng.normal(size=(20_000, 9)).round(4)):
            writer.writerow([*row, "abc"[i % 3]] if i % 100 else ["", *row[1:], "a"])

    def encode():
        table = read_csv(path)
        Encoder.fit(table, Schema.infer(table)).transform(table)

    def read():
        with path.open(newline="") as file:
            list(csv.reader(file))

    return {
        "trace, of a gradient": (
            lambda: fp.trace(net, X, y, loss="cross_entropy"),
            lambda: net.value_and_gradient(X, y, loss="cross_entropy"),
            TRACE,
        ),
        "table read and encoded, of csv.reader": (encode, read, TABLE),
    }


def seconds_of(function, clock=time.process_time):
    """Return the CPU seconds of a call, measured over 20 ms of calls."""
    count, taken = 1, 0.0
    while taken < 0.02:
        count *= 2
        start = clock()
        for _ in range(count):
            function()
        taken = clock() - start
    return taken / count


def training(fp, rows=100_000):
    """Return a trainer and data that keep it busy for about a second, to be interrupted."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(rows, 64)).astype("float32"), rng.normal(size=(rows, 2)).astype("float32")
    return fp.Trainer(fp.Network([64, 512, 512, 2], seed=0), loss="half_mse", optimizer=fp.SGD(1e-5)), X, y


def ctrl_c(fp):
    """Return the seconds from the signal to the exception, in the middle of an epoch."""
    trainer, X, y = training(fp)
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.2, interrupt)
    timer.start()
    try:
        while True:
            trainer.epoch(X, y)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        timer.join()


def between_reports(fp):
    """Return the median of the seconds between two calls of progress in an epoch."""
    trainer, X, y = training(fp)
    times = []
    while len(times) < 10:
        times = [time.perf_counter()]
        trainer.epoch(X, y, progress=lambda *_: times.append(time.perf_counter()))  # noqa: B023
        X, y = np.tile(X, (2, 1)), np.tile(y, (2, 1))
    return statistics.median(np.diff(times[:-1]))


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=wanted.positive, default=7)
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    options = parser.parse_args()
    import fastprop as fp

    fp.set_num_threads(1)
    result, misses = head("conveniences") | {"measurements": []}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, (offered, plain, most) in pairs(fp, folder).items():
            offered(), plain()
            samples = [seconds_of(offered) / seconds_of(plain) for _ in range(options.turns)]
            result["measurements"].append(measurement(name, samples, "times"))
            found = statistics.median(samples)
            print(f"  {name:40} {found:8.1f} times (target {most})")
            if found > most:
                misses.append(f"{name}: {found:.1f} times, asked {most}")
    waits = {"Ctrl-C answered after": (ctrl_c, CTRL_C), "progress every": (between_reports, 2 * PROGRESS)}
    for name, (wait, most) in waits.items():
        samples = [wait(fp) for _ in range(options.turns)]
        result["measurements"].append(measurement(name, [1e3 * sample for sample in samples], "ms"))
        found = statistics.median(samples)
        print(f"  {name:40} {1e3 * found:8.1f} ms (target {1e3 * most:.0f})")
        if found > most:
            misses.append(f"{name}: {1e3 * found:.0f} ms, asked {1e3 * most:.0f}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
