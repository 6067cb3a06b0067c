"""Time sums and training steps of several processes on this machine, over MPI and over torch.distributed (gloo).

    python benchmarks/distributed.py [--carriers mpi:1 mpi:2 mpi:4 torch:2] [--networks 64-128-10/32 ...]
        [--prefix "nice -n 5"] [--json out.json] [--check]

It starts the processes itself, with mpiexec and torchrun, one thread each, each held to one CPU. Every rank has the
rows of a whole batch, so that a step of one process is the same work. These take turns in one run:

- `sum`: the bare `Allreduce` of mpi4py or `all_reduce` of torch, of a gradient; `communicator`: that of fastprop; and
  `pass`: parameters minus gradient, by NumPy;
- `epoch`: a step of `Trainer.epoch` with the communicator; `epoch alone`: without one, on all ranks at the same time;
  `epoch free`: as on several ranks, but with sums that take no time;
- `step`: the same of `Trainer.step`; `fit`: of `net.fit`, on one rank.

The overhead is what fastprop adds to a step alone and the bare sum: free - alone, and communicator - sum. Issue 16 asks
for at most 10 microseconds and one pass over the gradient on two ranks, and on one rank for 1.05 of no communicator.
What a step takes beyond that it waits for the slower rank.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from contest.process import environment
from contest.record import finish, head, measurement
from contest.tasks import task_named

SIZES = (1, 10_000, 1_000_000, 10_000_000)  # floats
NETWORKS = ("64-128-10/32", "64-128-10/1024", "784-512-512-10/128", "1024x4-10/64", "1024x4-10/512")
CARRIERS = ("mpi:1", "mpi:2", "mpi:4", "torch:2")
SAMPLE, TURN = 1e-3, 20e-3  # seconds of a sample and of a turn, at least
EPOCHS = 4  # of a fit
ONE_RANK = 1.05  # times a step without a communicator
OVERHEAD = 10.0  # microseconds beside the sum and one pass over the gradient, on two ranks


def joined(carrier):
    """Return the communicator, a function that sums without it, and a barrier."""
    import fastprop as fp

    if carrier == "mpi":
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        return fp.distributed.mpi(timeout=60), lambda array: world.Allreduce(MPI.IN_PLACE, array), world.Barrier
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    return fp.distributed.torch(timeout=60), lambda array: dist.all_reduce(torch.from_numpy(array)), dist.barrier


def in_turns(calls, communicator, barrier, turns):
    """Return the microseconds per call of samples by name, as this rank sees them; all ranks make the same calls.

    A sample is one call, or as many as take a millisecond, so that the median leaves out when others had the CPU.
    """
    counts, samples = {}, {name: [] for name in calls}
    for name, call in calls.items():
        call()
        barrier()
        begin = time.perf_counter()
        call()
        seconds = np.array([time.perf_counter() - begin])
        communicator.broadcast(seconds)
        inner = int(np.ceil(SAMPLE / seconds[0]))
        counts[name] = inner, int(np.ceil(TURN / (inner * seconds[0])))
    for _ in range(turns):
        for name, call in calls.items():
            inner, outer = counts[name]
            for _ in range(outer):
                barrier()
                begin = time.perf_counter()
                for _ in range(inner):
                    call()
                samples[name].append((time.perf_counter() - begin) / inner * 1e6)
    return samples


def time_sums(communicator, bare, barrier, turns):
    """Yield a measurement for each size and contestant."""
    for size in SIZES:
        array, other = np.zeros(size, np.float32), np.zeros(size, np.float32)
        calls = {
            "communicator": lambda array=array: communicator.sum(array),
            "sum": lambda array=array: bare(array),
            "pass": lambda array=array, other=other: np.subtract(other, array, out=other),
        }
        for contestant, samples in in_turns(calls, communicator, barrier, turns).items():
            yield measurement(f"sum {size}: {contestant}", samples, "us", case=f"sum {size}", contestant=contestant)


def time_steps(name, communicator, bare, barrier, turns):
    """Yield a measurement of a step for each contestant."""
    import fastprop as fp

    task = task_named(name)
    x, y = task.data()
    rows, steps, together = task.batch_size, task.steps, task.batch_size * communicator.size
    xb, yb = x[:rows], y[:rows]

    def network():
        net = fp.Network(list(task.widths), activation=task.activation, dtype=task.dtype, seed=0)
        net.parameters = task.theta()
        return net

    def trainer(joined):
        return fp.Trainer(network(), loss=task.loss, optimizer=fp.SGD(task.rate), communicator=joined)

    def fit(joined, batch_size):
        net, how = network(), {"loss": task.loss, "optimizer": fp.SGD(task.rate), "batch_size": batch_size}
        return lambda: net.fit(x, y, **how, epochs=EPOCHS, communicator=joined)

    alone, ranks, free = trainer(None), trainer(communicator), trainer(fp.distributed.single())
    free.ranks.alone = False  # as if there were others, with sums that take no time
    gradient = np.zeros(ranks.network.n_parameters, task.dtype)
    parameters = gradient.copy()
    calls = {
        "epoch alone": (lambda: alone.epoch(x, y, batch_size=rows), steps),
        "epoch": (lambda: ranks.epoch(x, y, batch_size=together), steps),
        "epoch free": (lambda: free.epoch(x, y, batch_size=rows), steps),
        "sum": (lambda: bare(gradient), 1),
        "communicator": (lambda: communicator.sum(gradient), 1),
        "pass": (lambda: np.subtract(parameters, gradient, out=parameters), 1),
        "step alone": (lambda: alone.step(xb, yb), 1),
        "step": (lambda: ranks.step(xb, yb), 1),
        "step free": (lambda: free.step(xb, yb), 1),
    }
    if communicator.size == 1:
        calls["fit alone"] = fit(None, rows), EPOCHS * steps
        calls["fit"] = fit(communicator, together), EPOCHS * steps
    found = in_turns({each: call for each, (call, _) in calls.items()}, communicator, barrier, turns)
    size = gradient.nbytes
    for contestant, samples in found.items():
        each = np.array(samples) / calls[contestant][1]
        yield measurement(f"{name}: {contestant}", each, "us", case=name, contestant=contestant, gradient_bytes=size)


def work(options):
    """Measure on this rank; rank 0 writes what it saw."""
    communicator, bare, barrier = joined(options.worker)
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cpus[communicator.rank % len(cpus)]])
    found = list(time_sums(communicator, bare, barrier, options.turns)) if not options.no_sums else []
    for name in options.networks:
        found += time_steps(name, communicator, bare, barrier, options.turns)
    if communicator.rank == 0:
        Path(options.json).write_text(json.dumps(found))


def command_of(carrier, n):
    """Return the command that starts n processes of a carrier, up to the program."""
    if carrier == "torch":
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}", "--no-python"]
    beside = Path(sys.executable).with_name("mpiexec")  # that of `pip install mpich`
    return [str(beside) if beside.exists() else shutil.which("mpiexec") or "mpiexec", "-n", str(n)]


def measured(carrier, n, options):
    """Start the ranks; return the measurements, each with `carrier` and `ranks`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [*command_of(carrier, n), *shlex.split(options.prefix), sys.executable, __file__]
        command += ["--worker", carrier, "--json", str(path), "--turns", str(options.turns)]
        command += ["--networks", *options.networks, *(["--no-sums"] if options.no_sums else [])]
        subprocess.run(command, env=environment(1) | {"FASTPROP_NUM_THREADS": "1"}, check=True)
        found = json.loads(path.read_text())
    return [each | {"name": f"{carrier} {n} {each['name']}", "carrier": carrier, "ranks": n} for each in found]


def report(found, carrier, n):
    """Print the times of one carrier and number of ranks; return the missed targets."""
    cases, misses = {}, []
    for each in found:
        cases.setdefault(each["case"], {})[each["contestant"]] = each["value"]
    print(f"\n{carrier}, {n} rank{'s' if n > 1 else ''}: microseconds, medians")
    for case, us in cases.items():
        print(f"  {case:20} " + "   ".join(f"{name} {us[name]:.1f}" for name in ("sum", "communicator", "pass")))
        for way in (each for each in ("epoch", "step", "fit") if each in us):
            ratio = us[way] / us[f"{way} alone"]
            said = f"    {way:6} {us[way]:.1f}   alone {us[f'{way} alone']:.1f}   {ratio:.2f}x"
            if n > 1:
                more, asked = overhead(us, way), OVERHEAD + us["pass"]
                said += f"   overhead {more:.1f}, asked {asked:.1f}"
                if n == 2 and carrier == "mpi" and more > asked:
                    misses.append(f"{case}: {way} on 2 ranks takes {more:.1f} us beside the sum, asked {asked:.1f}")
            elif ratio > ONE_RANK:
                misses.append(f"{case}: {way} on one rank takes {ratio:.3f} of none, asked {ONE_RANK}")
            print(said, flush=True)
    return misses


def overhead(us, way):
    """Return what fastprop adds to a step alone and the bare sum of its gradient, in microseconds."""
    return us[f"{way} free"] - us[f"{way} alone"] + us["communicator"] - us["sum"]


def main(argv=None):
    """Measure all carriers, print the tables, and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--carriers", nargs="+", default=CARRIERS, help="carrier:ranks, such as mpi:2")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="widths/rows of a rank, as 64-128-10/32")
    parser.add_argument("--no-sums", action="store_true", help="steps only")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--prefix", default="", help="a command that starts each rank's process, such as 'nice -n 5'")
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        return work(options)
    result, misses = head("distributed") | {"measurements": []}, []
    for carrier, n in (each.split(":") for each in options.carriers):
        found = measured(carrier, int(n), options)
        misses += report(found, carrier, int(n))
        result["measurements"] += found
    return finish(result, options, misses)


if __name__ == "__main__":
    sys.exit(main())
