"""Time calls on one thread: the outputs of one row and of 32, one small step, and a large prediction.

    python benchmarks/latency.py [--isa avx2] [--json out.json] [--check]

From Python; native.py times the C interface. Targets of issue 3: `net(x)` of one row of 64-128-10 in at most 3
microseconds; ten thousand rows of 784-512-512-10 at 0.8 of the FMA limit. Of issue 15: x of one dimension is as fast
as of two.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np

from contest import arguments as wanted
from contest.contestant import load
from contest.process import keep_to
from contest.record import CLOCKS, finish, head, measurement
from contest.tasks import TASKS, Task, unflatten
from fma_limit import fma_limit, limit_for

SMALL = Task("64-128-10", (64, 128, 10), 32, 1, "cross_entropy")
LARGE = Task("784-512-512-10", (784, 512, 512, 10), 10_000, 1, "cross_entropy")
ONE_ROW_TARGET = 3.0  # microseconds
ONE_DIMENSION_TARGET = 1.1  # times the microseconds of the same row as two dimensions
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


def onnxruntime_call(task):
    """onnxruntime with one thread, of the model that fastprop exports."""
    import onnxruntime

    import fastprop as fp

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = fp.to_onnx(fastprop_call(task)).SerializeToString()
    run = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run
    return lambda x: run(None, {"X": x if x.ndim == 2 else x[None]})[0]


CALLS = {
    "fastprop": fastprop_call,
    "NumPy": numpy_call,
    "PyTorch": torch_call,
    "JAX": jax_call,
    "scikit-learn": sklearn_call,
    "onnxruntime": onnxruntime_call,
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
    """Return measurements of `trainer.step`, and of the same step inside `trainer.epoch`."""
    import fastprop as fp

    fp.set_num_threads(1)
    X, y = task.data()
    size = task.batch_size
    xb, yb = X[:size], y[:size]
    net = fp.Network(list(task.widths), activation="relu", seed=0)
    trainer = fp.Trainer(net, loss=task.loss, optimizer=fp.SGD(task.rate), seed=0)
    calls = {
        f"step {task.name}": (lambda _: trainer.step(xb, yb), 1),
        f"step {task.name} in an epoch": (lambda _: trainer.epoch(X, y, batch_size=size), task.steps),
    }
    samples = {name: [] for name in calls}
    for _ in range(turns):
        for name, (call, count) in calls.items():
            samples[name].append(rate(call, None, clock) / count)
    return [measurement(name, found, "us") for name, found in samples.items()]


def main():
    """Measure, print the results, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", type=wanted.isa, help="force fastprop's kernels; avx2 holds others, too")
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--turns", type=wanted.positive, default=9)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    options = parser.parse_args()
    keep_to(1, options.isa)
    clock = CLOCKS[options.clock]
    limit = limit_for(fma_limit(1), "float32")
    result = head("latency") | {"limit": limit, "clock": options.clock, "measurements": []}
    few, many = SMALL.data()[0], LARGE.data()[0]
    cases = (
        ("one row of 64-128-10", SMALL, few[0].copy(), options.turns),
        ("one row of 64-128-10 as (1, 64)", SMALL, few[:1].copy(), options.turns),
        ("32 rows of 64-128-10", SMALL, few[:32].copy(), options.turns),
        ("10,000 rows of 784-512-512-10", LARGE, many, min(5, options.turns)),
    )
    us = {}
    for case, task, x, turns in cases:
        print(f"\n{case}")
        for name, samples in in_turns(calls_for(task), x, turns, clock).items():
            found = measurement(f"{case}: {name}", samples, "us")
            result["measurements"].append(found)
            us[case, name] = found["value"]
            print(f"  {name:13} {found['value']:12.2f} us", flush=True)
    print("\nfastprop's step from Python, and inside an epoch")
    for task in TASKS[:3]:
        found = steps(task, options.turns, clock)
        result["measurements"] += found
        print(f"  {task.name:22}" + "".join(f"{each['value']:10.2f} us" for each in found))
    return finish(result, options, missed(us, limit))


def missed(us, limit):
    """Return a sentence for each target that was missed, of microseconds by (case, library)."""
    (one, two, _, large) = dict.fromkeys(case for case, _ in us)
    found, misses = us[one, "fastprop"], []
    if found > ONE_ROW_TARGET:
        misses.append(f"{one}: {found:.2f} us, asked {ONE_ROW_TARGET}")
    if found > ONE_DIMENSION_TARGET * us[two, "fastprop"]:
        misses.append(f"{one}: {found:.2f} us, but {us[two, 'fastprop']:.2f} of two dimensions")
    share = 2 * LARGE.batch_size * LARGE.n_weights / us[large, "fastprop"] / 1e3 / limit if limit else LARGE_TARGET
    if share < LARGE_TARGET:
        misses.append(f"{large}: {share:.2f} of the limit, asked {LARGE_TARGET}")
    return misses


if __name__ == "__main__":
    sys.exit(main())
