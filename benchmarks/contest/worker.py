"""The process that measures. peers.py starts it; it reads a job (JSON) from stdin and writes a line of JSON
per task to stdout.

There is a process for each number of threads, since OpenBLAS and XLA read theirs once, when they are loaded.
"""

import json
import os
import sys
from dataclasses import replace

from contest.process import cpus_for

# Small enough for rounding not to grow into another path within an epoch, which verification would call another work.
ADAM_RATE = 1e-5


def pools():
    """Return what threadpoolctl finds of the libraries' thread pools, or None without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    keys = ("internal_api", "num_threads", "version", "architecture")
    return [{key: pool.get(key) for key in keys} for pool in threadpool_info()]


def main():
    """Read the job and measure its tasks."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not end up among the results
    job = json.load(sys.stdin)
    threads = job["threads"]
    cpus = cpus_for(threads)
    if cpus:
        # before the imports below: XLA and OpenBLAS look at it when they are loaded
        os.sched_setaffinity(0, cpus)
    import numpy as np

    from contest.measure import measure
    from contest.record import machine
    from contest.tasks import task_named
    from fma_limit import fma_limit

    def say(**line):
        out.write(json.dumps(line) + "\n")
        out.flush()

    say(limits=fma_limit(threads), machine=machine())
    np.seterr(all="ignore")
    for name, activation, dtype, optimizer in job["tasks"]:
        named = task_named(name)
        task = replace(
            named,
            rate=named.rate if optimizer == "sgd" else ADAM_RATE,
            activation=activation,
            dtype=dtype,
            optimizer=optimizer,
            threads=threads,
        )
        how = job["seconds"], job["rounds"], job["clock"]
        say(row=measure(task, job["contestants"], *how))
    say(pools=pools())


if __name__ == "__main__":
    main()
