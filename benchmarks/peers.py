"""Compare the same training in fastprop, NumPy, PyTorch, JAX and scikit-learn, epoch by epoch in turns.

    python benchmarks/peers.py                          # every network, relu, float32, SGD, 1 thread
    python benchmarks/peers.py --activation relu tanh --threads 1 2 --json out.json
    python benchmarks/peers.py --quick --shapes 784 --check
    python benchmarks/peers.py --isa avx2 --narrow      # long batches, relu and tanh, Adam; all libraries held to AVX2
    python benchmarks/peers.py --networks 100-300x2-5/128 33-700-3/1000         # networks of your own

Data, order of work, batch sizes, dtype and optimiser are the same; the time includes shuffling and
gathering, but not compilation and a warm-up epoch. benchmarks/README.md says how each library was
made as fast as possible.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from compare import KEY
from contest import arguments as wanted
from contest.contestant import CONTESTANTS
from contest.process import environment
from contest.record import finish, head, write
from contest.report import derive, header, missed, table, warnings
from contest.tasks import NARROW, TASKS


def arguments(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--activation", nargs="+", choices=["relu", "tanh", "sigmoid"], help="of hidden layers: relu")
    add("--dtype", nargs="+", default=["float32"], choices=["float32", "float64"])
    add("--optimizer", nargs="+", choices=["sgd", "adam"], help="sgd")
    add("--threads", nargs="+", type=wanted.threads, default=[1], help="one process for each number")
    add("--shapes", nargs="+", default=[""], help="parts of names: " + names_of(TASKS))
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--narrow",
        action="store_true",
        help=f"narrow networks with long batches instead, by default with relu and tanh and Adam: {names_of(NARROW)}",
    )
    instead.add_argument("--networks", nargs="+", type=wanted.network, help="networks of your own, widths/batch size")
    add("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    add("--seconds", type=float, default=8.0, help="of turns for a network, at least")
    add("--rounds", type=wanted.positive, default=7, help="turns for a network, at least")
    add("--quick", action="store_true", help="--seconds 1 --rounds 3")
    add(
        "--clock",
        default="wall",
        choices=["wall", "cpu"],
        help="cpu: CPU time, for a machine that others use too; not for more than one thread",
    )
    add("--isa", type=wanted.isa, help="force fastprop's kernels; avx2 holds the other libraries to AVX2, too")
    add("--json", type=Path, help="write the results here")
    add("--add", action="store_true", help="keep the rows of that file which are not measured again")
    add(
        "--check",
        action="store_true",
        help="exit 1 where a target of contest/tasks.py is missed or a contestant errs",
    )
    options = parser.parse_args(argv)
    if options.quick:
        options.seconds, options.rounds = 1.0, 3
    offered = options.networks or (NARROW if options.narrow else TASKS)
    options.tasks = [task for task in offered if any(part in task.name for part in options.shapes)]
    if not options.tasks:
        parser.error(f"--shapes: none of {names_of(offered)} has {' or '.join(options.shapes)} in its name")
    options.activation = options.activation or (["relu", "tanh"] if options.narrow else ["relu"])
    options.optimizer = options.optimizer or (["adam"] if options.narrow else ["sgd"])
    if options.clock == "cpu" and max(options.threads) > 1:
        parser.error("--clock cpu adds up the time of all threads: wanted --threads 1")
    if options.add and not options.json:
        parser.error("--add: wanted --json with the file whose rows to keep")
    return options


def names_of(tasks):
    """Return the names of tasks as text."""
    return ", ".join(task.name for task in tasks)


def contest(options, threads):
    """Run one worker and yield its lines as they come."""
    tasks = [
        (task.name, *choice)
        for choice in itertools.product(options.activation, options.dtype, options.optimizer)
        for task in options.tasks
    ]
    # NumPy's results are the reference, so it takes part even if only others were asked for.
    names = [name for name in CONTESTANTS if name in options.contestants or name == "NumPy"]
    job = {
        "threads": threads,
        "tasks": tasks,
        "contestants": names,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "clock": options.clock,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "contest.worker"],  # -P: a checkout's fastprop/ is not the one that is installed
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(threads),
        text=True,
    ) as worker:
        worker.stdin.write(json.dumps(job))
        worker.stdin.close()
        for line in worker.stdout:
            yield json.loads(line)
    if worker.returncode:
        raise SystemExit(
            f"the measuring process ended with code {worker.returncode}; its message is above"
        )


def main(argv=None):
    """Measure, print and write the results, and check the targets."""
    options = arguments(argv)
    if options.isa:
        os.environ["FASTPROP_ISA"] = options.isa  # the worker reads it, and so does fma_limit
    result = head("peers") | {"limits": {}, "pools": {}, "rows": []}
    if options.add and options.json.exists():
        result = continued(result, json.loads(options.json.read_text()))
    for threads in options.threads:
        limits = {}
        for line in contest(options, threads):
            if "limits" in line:
                limits = result["limits"][str(threads)] = line["limits"]
                result["machine"] = line["machine"]  # as the measured process finds it
            elif "pools" in line:
                result["pools"][str(threads)] = line["pools"]
            else:
                row = derive(line["row"], limits)
                result["rows"] = [each for each in result["rows"] if key(each) != key(row)] + [row]
                if options.json:
                    write(result, options.json)  # the results so far, in case a later row fails
                ways = {n: e["way"] for n, e in row["contestants"].items() if e["way"]}
                print(
                    f"... {row['task']} {row['activation']} {threads}t done {ways or ''}",
                    file=sys.stderr,
                    flush=True,
                )
    show(result)
    return finish(result, options, missed(result["rows"]))


def continued(result, past):
    """Return a result with the rows of a past one of the same commit, ISA and machine."""
    same = [[each["isa"], each["machine"]["cpu"], each["machine"]["commit"]] for each in (past, result)]
    if same[0] != same[1]:
        raise SystemExit(f"--add: the file is of {same[0]}, this run of {same[1]}")
    return result | {name: past[name] for name in ("limits", "pools", "rows")}


def key(row):
    """Return what makes two rows the same measurement."""
    return tuple(row[name] for name in KEY)


def show(result):
    """Print the tables with their conditions."""
    rows = sorted(result["rows"], key=lambda row: key(row)[1:])  # --add may have mixed them
    for _, group in itertools.groupby(rows, lambda row: key(row)[1:]):
        group = list(group)
        print("\n" + header(group[0], result["limits"][str(group[0]["threads"])]) + "\n")
        print(table(group))
    print()
    for line in warnings(rows):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
