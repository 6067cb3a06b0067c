"""Seconds of training until 784-128-10 knows MNIST: 0.955 of the last 2,000 test digits after
training on the first 8,000.

    python benchmarks/time_to_accuracy.py [--data FOLDER] [--json out.json]

Plain SGD, rate 0.1, batches of 64, one thread, the same initial parameters for all; each contestant
shuffles by itself, so the number of epochs varies a little: the median over seeds counts. "from
cold" adds building and compiling.
"""

import argparse
import gzip
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from contest import arguments as wanted
from contest.contestant import CONTESTANTS, load
from contest.measure import tune
from contest.process import keep_to
from contest.record import CLOCKS, finish, head, measurement
from contest.tasks import Task, unflatten

TRAIN = 8000
GOAL = 0.955
MOST_EPOCHS = 60
WANTED_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def read_idx(path):
    """Read an IDX file: a big-endian magic number (its last byte is the number of dimensions), sizes, bytes."""
    content = gzip.decompress(path.read_bytes())
    n_sizes = content[3]
    shape = np.frombuffer(content, ">u4", n_sizes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_sizes).reshape(shape)


def mnist(folder):
    """Return images (10000, 784), float32 in 0..1, and labels (10000,), int64."""
    images, labels = (read_idx(folder / name) for name in WANTED_FILES)
    return images.reshape(len(images), -1).astype("float32") / 255, labels.astype("int64")


@dataclass(frozen=True)
class Digits(Task):
    """The task on MNIST."""

    images: np.ndarray = field(default=None, compare=False)
    labels: np.ndarray = field(default=None, compare=False)
    seed: int = 0

    def data(self):
        """Return the training rows."""
        return self.images[:TRAIN], self.labels[:TRAIN]

    def theta(self):
        """Return parameters of He initialisation from the seed."""
        rng = np.random.default_rng(self.seed)
        parts = []
        for n_in, n_out in zip(self.widths, self.widths[1:], strict=False):
            parts += [rng.standard_normal(n_in * n_out) * np.sqrt(2 / n_in), np.zeros(n_out)]
        return np.concatenate(parts).astype(self.dtype)


def accuracy(contestant, X, y):
    """Return the accuracy of a contestant's parameters, computed in the same way for all and not timed."""
    layers = unflatten(contestant.parameters(), contestant.task.widths)
    for w, b in layers[:-1]:
        X = np.maximum(X @ w + b, 0)
    return float(np.mean((X @ layers[-1][0] + layers[-1][1]).argmax(axis=1) == y))


def fastest_way(kind, task, clock):
    """Return the fastest way of taking a step for this task."""
    contestant = kind(task)
    tune(contestant, 3, clock)
    return contestant.way


def race(kind, way, task, X, y, clock):
    """Train from the start; return (seconds, seconds from cold, epochs), infinite if the goal is missed."""
    contestant = kind(task)
    contestant.way = way
    start = clock()
    contestant.restart()
    cold = clock() - start
    epochs = []
    while len(epochs) < MOST_EPOCHS:
        start = clock()
        contestant.epoch()
        epochs.append(clock() - start)
        if accuracy(contestant, X, y) >= GOAL:
            # The first epoch may compile; in the warm time it counts like the other epochs.
            return len(epochs) * statistics.median(epochs), cold + sum(epochs), len(epochs)
    return float("inf"), float("inf"), MOST_EPOCHS


def main():
    """Train over the seeds in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--data",
        type=Path,
        default=default,
        help=f"folder of {' and '.join(WANTED_FILES)} ({default})",
    )
    parser.add_argument("--seeds", type=wanted.positive, default=9)
    parser.add_argument("--json")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 where fastprop is not the fastest"
    )
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    options = parser.parse_args()
    missing = [name for name in WANTED_FILES if not (options.data / name).exists()]
    if missing:
        print(
            f"no {missing[0]} in {options.data}; say where MNIST's test files are with --data FOLDER"
        )
        return 2
    keep_to(1)
    images, labels = mnist(options.data)
    kinds = {}
    for name in CONTESTANTS:
        try:
            kinds[name] = load(name)
        except ImportError as error:
            print(f"absent: {name} ({error})")
    found, ways = {name: [] for name in kinds}, {}
    for seed in range(options.seeds):
        task = Digits(
            "784-128-10/64",
            (784, 128, 10),
            64,
            TRAIN // 64,
            "cross_entropy",
            rate=0.1,
            images=images,
            labels=labels,
            seed=seed,
        )
        for name, kind in kinds.items():
            if name not in ways:
                ways[name] = fastest_way(kind, task, options.clock)
            held_out = images[TRAIN:], labels[TRAIN:]
            found[name].append(race(kind, ways[name], task, *held_out, CLOCKS[options.clock]))
    result = head("time_to_accuracy") | {"goal": GOAL, "clock": options.clock, "measurements": []}
    print(f"seconds to {GOAL} of the test digits, medians of {options.seeds} seeds\n")
    for name, races in found.items():
        warm, cold, epochs = zip(*races, strict=True)
        line = measurement(
            f"to accuracy: {name}",
            warm,
            "s",
            epochs=statistics.median(epochs),
            cold=statistics.median(cold),
        )
        result["measurements"].append(line)
        print(
            f"  {name:13} {line['value']:8.3f} s   from cold {line['cold']:8.3f} s   {line['epochs']:4.0f} epochs"
        )
    times = {
        each["name"].removeprefix("to accuracy: "): each["value"] for each in result["measurements"]
    }
    misses = []
    if "fastprop" not in times:
        misses.append("fastprop was not measured")
    elif min(times, key=times.get) != "fastprop":
        misses.append(f"{min(times, key=times.get)} was there first")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
