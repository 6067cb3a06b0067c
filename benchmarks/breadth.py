"""The cost of other choices: optimisers against SGD, layers against a network without them, activations against
tanh; and an ensemble against its networks one after another, and against a PyTorch loop.

    python benchmarks/breadth.py [--json out.json] [--check]

Steps are timed in turns, in CPU time on one thread; the ensemble in wall time on two. Targets are those of issue 4.
"""

import argparse
import sys
import time

import numpy as np

from contest import arguments as wanted
from contest.record import finish, head, measurement
from contest.tasks import TASKS

TASK_NAMES = ("64-128-10/32", "17-256-256-6/256", "54-256x3-7/256", "784-128-10/64")
ADAM = {"64-128-10/32": 1.3, "17-256-256-6/256": 1.15, "54-256x3-7/256": 1.15, "784-128-10/64": 1.3}
LAYERS = {"Dropout": 1.1, "BatchNorm": 1.3, "LayerNorm": 1.3}
ACTIVATION = 2.0  # of tanh, forward and backward together
MEMBERS, WIDTHS, BATCH, ROWS = 64, (8, 32, 32, 1), 32, 8192
TOGETHER, OVER_PYTORCH = 1.7, 30.0


def variants(fp, task):
    """Return the networks and optimisers to compare, by name: (layers, optimiser)."""
    *hidden, last = task.widths[1:]

    def after(make):
        return [layer for width in hidden for layer in make(width)] + [last]

    relu = after(lambda width: [fp.Dense(width, "relu")])
    layers = {
        "SGD": relu,
        "Dropout": after(lambda width: [fp.Dense(width, "relu"), fp.Dropout(0.2)]),
        "BatchNorm": after(lambda width: [fp.Dense(width), fp.BatchNorm("relu")]),
        "LayerNorm": after(lambda width: [fp.Dense(width), fp.LayerNorm("relu")]),
    }
    return {name: (each, fp.SGD(task.rate)) for name, each in layers.items()} | {"Adam": (relu, fp.Adam(1e-5))}


def of_steps(fp, task, turns):
    """Return samples of microseconds per step by name, taken in turns."""
    X, y = task.data()
    trainers = {}
    for name, (layers, optimizer) in variants(fp, task).items():
        net = fp.Network([task.widths[0], *layers], seed=0)
        trainers[name] = fp.Trainer(net, loss=task.loss, optimizer=optimizer)
        trainers[name].epoch(X, y, batch_size=task.batch_size)
    samples = {name: [] for name in trainers}
    for _ in range(turns):
        for name, trainer in trainers.items():
            started = time.process_time()
            trainer.epoch(X, y, batch_size=task.batch_size)
            samples[name].append((time.process_time() - started) / task.steps * 1e6)
    return samples


def of_activations(fp, turns, rows=256, n=256):
    """Return nanoseconds per element, forward and backward, by name; the arrays fit in the second-level cache."""
    from fastprop.nn.activations import ACTIVATIONS

    X = np.random.default_rng(0).normal(size=(rows, n)).astype("float32")
    nets = {name: fp.Network([n, fp.Activation(name)], seed=0) for name in ACTIVATIONS}
    samples = {name: [] for name in nets}
    for _ in range(turns):
        for name, net in nets.items():
            started = time.process_time()
            for _ in range(20):
                net.backward(net.forward(X))
            samples[name].append((time.process_time() - started) / (20 * X.size) * 1e9)
    return samples


def of_ensembles(fp, turns):
    """Return milliseconds per epoch of all networks, by name."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, WIDTHS[0])).astype("float32")
    y = np.sin(X.sum(axis=1)).astype("float32")
    ensemble = fp.Ensemble(MEMBERS, list(WIDTHS), seed=0)
    together = fp.EnsembleTrainer(ensemble, loss="half_mse", optimizer=fp.SGD(0.01))

    def one_by_one():
        for trainer in together.trainers:
            trainer.epoch(X, y, batch_size=BATCH)

    def side_by_side():
        together.epoch(X, y, batch_size=BATCH)

    ways = {"one by one, 1 thread": (1, one_by_one), "ensemble, 2 threads": (2, side_by_side)}
    try:
        ways["PyTorch loop over modules"] = (2, pytorch(X, y))
    except ImportError:
        print("PyTorch is absent: its loop is left out")
    samples = {name: [] for name in ways}
    for turn in range(turns):
        for name, (threads, epoch) in ways.items():
            if turn and name.startswith("PyTorch"):
                continue  # once only, since it takes half a minute
            fp.set_num_threads(threads)
            time.sleep(0.2)  # until the pools of others sleep
            started = time.perf_counter()
            epoch()
            samples[name].append((time.perf_counter() - started) * 1e3)
    return samples


def pytorch(X, y):
    """Train an epoch of the same number of modules, one step of each per batch, in the usual PyTorch code."""
    import torch

    torch.set_num_threads(1)  # such a small step is slower with two threads
    xs, ys = torch.tensor(X), torch.tensor(y).reshape(-1, 1)

    def module():
        pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        parts = [part for pair in pairs for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
        return torch.nn.Sequential(*parts[:-1])

    modules = [module() for _ in range(MEMBERS)]
    optimizers = [torch.optim.SGD(each.parameters(), 0.01) for each in modules]

    def epoch():
        for each, optimizer in zip(modules, optimizers, strict=True):
            order = torch.randperm(ROWS)
            for at in range(0, ROWS, BATCH):
                rows = order[at : at + BATCH]
                optimizer.zero_grad()
                (0.5 * (each(xs[rows]) - ys[rows]).square().sum(1).mean()).backward()
                optimizer.step()

    return epoch


def ratios(samples, base):
    """Return each median as a share of the base's, by name."""
    return {name: float(np.median(each) / np.median(samples[base])) for name, each in samples.items()}


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=wanted.positive, default=25)
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    options = parser.parse_args()
    import fastprop as fp

    fp.set_num_threads(1)
    result = head("breadth") | {"measurements": []}
    misses = []

    def report(what, samples, base, unit, limits):
        found = ratios(samples, base)
        for name, each in samples.items():
            result["measurements"].append(measurement(f"{what} {name}", each, unit, ratio=found[name]))
            limit = limits.get(name)
            asked = f"   asked at most {limit}" if limit else ""
            print(f"  {name:28} {np.median(each):10.4g} {unit}   {found[name]:.2f} of {base}{asked}")
            if limit and found[name] > limit:
                misses.append(f"{what} {name}: {found[name]:.2f} of {base}, asked at most {limit}")

    for task in TASKS:
        if task.name in TASK_NAMES:
            print(f"\n{task.name}")
            report(task.name, of_steps(fp, task, options.turns), "SGD", "us", {"Adam": ADAM[task.name], **LAYERS})
    print("\nactivations, forward and backward")
    samples = of_activations(fp, options.turns)
    report("activation", samples, "tanh", "ns", dict.fromkeys(samples, ACTIVATION))
    print(f"\n{MEMBERS} networks {'-'.join(map(str, WIDTHS))}, batch {BATCH}: an epoch of {ROWS} rows")
    samples = of_ensembles(fp, max(3, options.turns // 5))
    report("ensemble", samples, "one by one, 1 thread", "ms", {"ensemble, 2 threads": 1 / TOGETHER})
    if "PyTorch loop over modules" in samples:
        over = np.median(samples["PyTorch loop over modules"]) / np.median(samples["ensemble, 2 threads"])
        print(f"  {over:.0f} times the throughput of PyTorch's loop, asked {OVER_PYTORCH:.0f}")
        if over < OVER_PYTORCH:
            misses.append(f"ensemble: {over:.0f} times PyTorch's loop, asked {OVER_PYTORCH:.0f}")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
