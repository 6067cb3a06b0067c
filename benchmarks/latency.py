"""Time calls from Python on one thread: the outputs of one row, one small step, and a large
prediction.

    python benchmarks/latency.py [--json out.json] [--check]

Targets of issue 3: `net(x)` of one row of 64-128-10 in at most 3 microseconds; ten thousand rows of
784-512-512-10 at 0.8 of the FMA limit.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np

from contest.contestant import load
from contest.process import keep_to
from contest.record import CLOCKS, finish, head, measurement
from contest.tasks import TASKS, Task, unflatten
from fma_limit import fma_limit, limit_for

SMALL = Task("64-128-10", (64, 128, 10), 32, 1, "cross_entropy")
LARGE = Task("784-512-512-10", (784, 512, 512, 10), 10_000, 1, "cross_entropy")
ONE_ROW_TARGET = 3.0  # microseconds
LARGE_TARGET = 0.8  # of the limit


def fastprop_call(task):
    """`net(x)`."""
    import fastprop as fp

    fp.set_num_threads(1)
    net = fp.Network(list(task.widths), activation="relu", dtype=task.dtype, seed=0)
    net.parameters[:] = task.theta()
    return net


def numpy_call(task):
    """Matrix products into arrays that are allocated once."""
    layers = unflatten(task.theta(), task.widths)
    kept = {}

    def call(x):
        shape = x.shape[:-1]
        if shape not in kept:
            kept.clear()
            kept[shape] = [np.empty((*shape, width), task.dtype) for width in task.widths[1:]]
        for (w, b), out in zip(layers, kept[shape], strict=True):
            np.dot(x, w, out=out)
            np.add(out, b, out=out)
            if out is not kept[shape][-1]:
                np.maximum(out, 0, out=out)
            x = out
        return x.copy()  # the caller may keep it

    return call


def torch_call(task):
    """PyTorch functions without autograd, from and to NumPy arrays (both conversions share memory)."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)  # once: an inference_mode block in every call costs a microsecond
    layers = [
        (torch.from_numpy(w.T.copy()), torch.from_numpy(b))
        for w, b in unflatten(task.theta(), task.widths)
    ]

    def call(x):
        x = torch.from_numpy(x)
        for w, b in layers[:-1]:
            x = F.linear(x, w, b).relu_()
        return F.linear(x, *layers[-1]).numpy()

    return call


def jax_call(task):
    """A jitted JAX function with the parameters as constants, from and to NumPy arrays."""
    import jax
    import jax.numpy as jnp

    layers = [(jnp.array(w), jnp.array(b)) for w, b in unflatten(task.theta(), task.widths)]

    @jax.jit
    def forward(x):
        for w, b in layers[:-1]:
            x = jax.nn.relu(x @ w + b)
        return x @ layers[-1][0] + layers[-1][1]

    return lambda x: np.asarray(forward(x))


def sklearn_call(task):
    """`predict_proba` of MLPClassifier."""
    model = load("scikit-learn")(replace(task, batch_size=32)).model
    return lambda x: model.predict_proba(np.atleast_2d(x))


CALLS = {
    "fastprop": fastprop_call,
    "NumPy": numpy_call,
    "PyTorch": torch_call,
    "JAX": jax_call,
    "scikit-learn": sklearn_call,
}


def rate(call, x, clock, seconds=0.01):
    """Return the microseconds per call, over a loop of about `seconds`."""
    count, taken = 1, 0.0
    while taken < seconds / 4:
        start = clock()
        for _ in range(count):
            call(x)
        taken = clock() - start
        if taken < seconds / 4:
            count *= 4
    return taken / count * 1e6


def in_turns(calls, x, turns, clock):
    """Return the microseconds per call of every turn, by name."""
    samples = {name: [] for name in calls}
    for call in calls.values():
        call(x)
    for _ in range(turns):
        for name, call in calls.items():
            samples[name].append(rate(call, x, clock))
    return samples


def calls_for(task):
    """Return the callables of the libraries that are installed."""
    calls = {}
    for name, make in CALLS.items():
        try:
            calls[name] = make(task)
        except ImportError as error:
            print(f"absent: {name} ({error})")
    return calls


def steps(task, turns, clock):
    """Return two measurements: `trainer.step` of one batch, and the same step inside `trainer.epoch`."""
    import fastprop as fp

    fp.set_num_threads(1)
    X, y = task.data()
    size = task.batch_size
    xb, yb = X[:size], y[:size]
    net = fp.Network(list(task.widths), activation="relu", seed=0)
    trainer = fp.Trainer(net, loss=task.loss, optimizer=fp.SGD(task.rate), seed=0)
    calls = {
        "step": (lambda X: trainer.step(X, yb), xb),
        "epoch": (lambda X: trainer.epoch(X, y, batch_size=size), X),
    }
    samples = {"step": [], "epoch": []}
    for _ in range(turns):
        for name, (call, x) in calls.items():
            samples[name].append(rate(call, x, clock))
    single = measurement(f"step {task.name}", samples["step"], "us")
    inside = np.array(samples["epoch"]) / task.steps
    return single, measurement(f"step {task.name} in an epoch", inside, "us")


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    options = parser.parse_args()
    keep_to(1)
    clock = CLOCKS[options.clock]
    limit = limit_for(fma_limit(1), "float32")
    result = head("latency") | {"limit": limit, "clock": options.clock, "measurements": []}
    misses = []
    flops = 2 * LARGE.batch_size * LARGE.n_weights
    cases = (
        ("one row of 64-128-10", SMALL, SMALL.data()[0][0].copy(), options.turns),
        ("10,000 rows of 784-512-512-10", LARGE, LARGE.data()[0], min(5, options.turns)),
    )
    for case, task, x, turns in cases:
        print(f"\n{case}")
        for name, samples in in_turns(calls_for(task), x, turns, clock).items():
            found = measurement(f"{case}: {name}", samples, "us")
            result["measurements"].append(found)
            share = (
                f"   {flops / found['value'] / 1e3 / limit:.2f} of the limit"
                if task is LARGE and limit
                else ""
            )
            print(f"  {name:13} {found['value']:12.2f} us{share}")
            if name == "fastprop" and task is SMALL and found["value"] > ONE_ROW_TARGET:
                misses.append(f"{case}: {found['value']:.2f} us, asked {ONE_ROW_TARGET}")
            if (
                name == "fastprop"
                and task is LARGE
                and limit
                and flops / found["value"] / 1e3 / limit < LARGE_TARGET
            ):
                misses.append(
                    f"{case}: {flops / found['value'] / 1e3 / limit:.2f} of the limit, asked {LARGE_TARGET}"
                )
    try:
        print("\nfastprop's step from Python, and inside an epoch")
        for task in TASKS[:3]:
            single, inside = steps(task, options.turns, clock)
            result["measurements"] += [single, inside]
            print(f"  {single['name']:22} {single['value']:8.2f} us   {inside['value']:8.2f} us")
    except ImportError as error:
        print(f"absent: fastprop ({error})")
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
