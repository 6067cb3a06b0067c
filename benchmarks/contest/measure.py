"""Time the contestants on a task: tune, verify, warm up, then epochs turn by turn."""

import itertools
import time

import numpy as np

from contest.contestant import load

# Distance to the baseline's parameters after an epoch in the same order, as a share of the way that
# the epoch went. Rounding gives 1e-6 in float32, and 1e-3 where it flips the sign of a few of the 2
# million ReLUs of a wide network; a wrong factor, a forgotten bias or a missed batch gives 1e-2 and
# more.
SAME_ORDER = {"float32": 5e-3, "float64": 1e-6}
# The same after each contestant's own random order: orders differ, so this only finds batches left
# out or visited twice.
OWN_ORDER = 0.2
# Who is believed: the first that takes part.
REFERENCES = ("NumPy", "PyTorch", "scikit-learn", "JAX")
# Seconds before a turn on several threads: OpenBLAS's spin for 0.1 s after their work, on the core that is wanted next.
SETTLE = 0.15


def timed(epoch):
    """Return the seconds of a call by each clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    epoch()
    wall = time.perf_counter() - wall
    return {"wall": wall, "cpu": time.process_time() - cpu}


def enter(task, names):
    """Build the contestants of a task; return two dicts: name -> contestant, name -> why it is absent."""
    present, absent = {}, {}
    for name in names:
        try:
            present[name] = load(name)(task)
        except (ImportError, NotImplementedError) as error:
            if name == "fastprop":
                raise  # there would be nothing to compare
            absent[name] = f"{type(error).__name__}: {error}"
    return present, absent


def tune(contestant, runs, clock="wall"):
    """Find the fastest of the contestant's ways, with all its threads or with one.

    The best of `runs` epochs after a warm-up counts, or of up to twenty if they are short.
    """
    most = contestant.task.threads
    threads = (most, 1) if contestant.fewer_threads and most > 1 else (most,)
    choices = list(itertools.product(contestant.ways, threads))
    if len(choices) > 1:
        best = {}
        for choice in choices:
            contestant.way, contestant.threads = choice
            contestant.restart()
            contestant.claim()
            contestant.epoch()
            first = timed(contestant.epoch)[clock]
            more = int(np.clip(0.05 / max(first, 1e-6), runs - 1, 19))
            best[choice] = min([first, *(timed(contestant.epoch)[clock] for _ in range(more))])
        contestant.way, contestant.threads = min(best, key=best.get)
    contestant.restart()


def verify(task, contestants):
    """Return whether all do the same work: name -> (distance with one order, with their own orders), or None
    if there is nothing to compare with.

    All contestants are restarted afterwards.
    """
    reference = next((name for name in REFERENCES if name in contestants), None)
    if reference is None:
        return dict.fromkeys(contestants, (None, None))
    order = np.random.default_rng(23).permutation(task.rows)
    start, distances, ends = task.theta().astype("float64"), {}, {}
    for name, contestant in contestants.items():
        contestant.claim()
        contestant.epoch(order)
        same = contestant.parameters().astype("float64")
        contestant.restart()
        contestant.epoch()
        ends[name] = same, contestant.parameters().astype("float64")
        contestant.restart()
    goal = ends[reference][0]
    way = np.linalg.norm(goal - start)
    for name, end in ends.items():
        distances[name] = tuple(float(np.linalg.norm(each - goal) / way) for each in end)
    return distances


def agrees(task, distance):
    """Return whether a pair of `verify` is within the tolerances; a NaN is not."""
    same, own = distance
    if same is None:
        return True
    # Adam divides by the size of the gradient, so that its first steps follow the order of the rows.
    return same <= SAME_ORDER[task.dtype] and (own <= OWN_ORDER or task.optimizer == "adam")


def thinned(samples, most=100):
    """Return at most `most` samples in their order, evenly spaced, for the record."""
    return samples[:: -(-len(samples) // most)]


def measure(task, names, seconds, rounds, clock="wall"):
    """Train a task with every contestant, in turns.

    Parameters
    ----------
    task : Task
    names : list of str
        Names in `CONTESTANTS`.
    seconds : float
        The least time of all turns together.
    rounds : int
        The least number of turns.

    clock : {"wall", "cpu"}
        The clock of the reported times. CPU time leaves out the time of other programs on a shared machine;
        it is the sum over threads, so it says nothing about two threads.

    Returns
    -------
    dict
        For JSON: the task, and per contestant its version, way, distances, and every epoch's
        microseconds a step.
    """
    contestants, absent = enter(task, names)
    for contestant in contestants.values():
        tune(contestant, max(1, rounds // 3), clock)
    distances = verify(task, contestants)
    times = {name: {"wall": [], "cpu": []} for name in contestants}
    turns = {}
    for name, contestant in contestants.items():
        contestant.claim()
        warm = timed(contestant.epoch)["wall"]
        warm = min(warm, timed(contestant.epoch)["wall"]) if warm < 0.5 else warm
        turns[name] = int(
            np.clip(0.02 / warm, 1, 20)
        )  # short epochs several times a turn: 20 ms outlast a context switch
    end, done = time.perf_counter() + seconds, 0
    while done < rounds or (time.perf_counter() < end and done < 50):
        done += 1
        for name, contestant in contestants.items():
            contestant.claim()
            time.sleep(SETTLE if task.threads > 1 else 0)
            for _ in range(turns[name]):
                for each, seconds_taken in timed(contestant.epoch).items():
                    times[name][each].append(seconds_taken)
    result = {
        "task": task.name,
        "widths": list(task.widths),
        "batch_size": task.batch_size,
        "steps": task.steps,
        "activation": task.activation,
        "dtype": task.dtype,
        "optimizer": task.optimizer,
        "threads": task.threads,
        "flops": task.flops,
        "turns": done,
        "clock": clock,
        "contestants": {},
        "absent": absent,
    }
    for name, contestant in contestants.items():
        samples = np.array(times[name][clock]) / task.steps * 1e6
        median = float(np.median(samples))
        result["contestants"][name] = {
            "version": contestant.version,
            "way": contestant.way,
            "threads": contestant.threads,
            "us": median,
            "fastest": float(samples.min()),
            "spread": float(
                np.median(np.abs(samples - median)) * 1.4826
            ),  # standard deviation, by the median
            "samples": [float(f"{sample:.5g}") for sample in thinned(samples)],
            "cpus": float(np.sum(times[name]["cpu"]) / np.sum(times[name]["wall"])),
            "distance": distances[name],
            "agrees": agrees(task, distances[name]),
            "finite": bool(np.isfinite(contestant.parameters()).all()),
        }
    return result
