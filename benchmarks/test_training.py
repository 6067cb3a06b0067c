"""Time an epoch of training with fastprop and with the NumPy baseline, from the smallest network up.

    pytest benchmarks/test_training.py --benchmark-json=benchmarks/results/training.json

Data, initial parameters, batch size and optimiser are the same. The time includes shuffling, gathering
and the cost of every step. benchmarks/peers.py also compares PyTorch, JAX and scikit-learn.
"""

import math

import pytest

import fastprop as fp
from contest.tasks import TASKS
from numpy_baseline import NumpyTrainer

MOMENTUM = 0.9

# Larger networks take a minute and show only the time of matrix products in both.
SMALL_ENOUGH = [task for task in TASKS if max(task.widths) <= 1024]


def fastprop_epoch(task, dtype):
    net = fp.Network(list(task.widths), activation=task.activation, dtype=dtype, seed=0)
    net.parameters[:] = task.theta()
    optimizer = fp.SGD(task.rate, momentum=MOMENTUM)
    trainer = fp.Trainer(net, loss=task.loss, optimizer=optimizer)
    return lambda X, y: trainer.epoch(X, y, batch_size=task.batch_size)


def numpy_epoch(task, dtype):
    trainer = NumpyTrainer(
        task.widths, task.activation, task.loss, task.rate, MOMENTUM, dtype, task.theta()
    )
    return lambda X, y: trainer.epoch(X, y, task.batch_size)


SIDES = {"fastprop": fastprop_epoch, "numpy": numpy_epoch}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("task", SMALL_ENOUGH, ids=lambda task: task.name)
def test_epoch(benchmark, task, dtype, side):
    benchmark.group = f"{task.name} {dtype}"
    X, y = task.data()
    X = X.astype(dtype)
    y = y if task.loss == "cross_entropy" else y.astype(dtype)
    epoch = SIDES[side](task, dtype)
    first = epoch(X, y)  # also warms up
    last = benchmark(epoch, X, y)
    assert math.isfinite(last)
    assert last < first, "it was timed, but it did not learn"
    if benchmark.stats is not None:  # None under --benchmark-disable
        median = benchmark.stats.stats.median
        benchmark.extra_info["us_per_step"] = 1e6 * median / task.steps
        benchmark.extra_info["rows_per_second"] = task.rows / median
        benchmark.extra_info["gflops"] = task.flops * task.steps / median / 1e9
