"""A rank fails in the way that the command line names, while the others go on with their sums.

Each prints what it learns of it.
"""

import os
import signal
import sys
import time

import numpy as np
from joined import failing_together, join

import fastprop as fp

how, timeout = sys.argv[2], float(sys.argv[3])
failing = int(sys.argv[4]) if len(sys.argv) > 4 else 1
communicator = join(timeout=timeout)
rank = communicator.rank


def say(text):
    os.write(1, f"{text}\n".encode())  # at once, and in one piece


def fail():
    """Return the array that the failing rank sums, if it still does."""
    match how:
        case "raise" | "raise outside":
            raise FloatingPointError("its loss is NaN")
        case "exit":
            sys.exit(0)
        case "os._exit":
            os._exit(0)
        case "sleep":
            time.sleep(600)
        case "other shape":
            return np.ones(5000)
        case "interrupt":
            signal.raise_signal(signal.SIGINT)
        case _:
            os.kill(os.getpid(), getattr(signal, how))


def train():
    for n in range(40):
        array = np.ones(5000 if n % 2 else 3)
        if rank == failing and n == 30:
            array = fail()
        communicator.sum(array)


try:
    if how in ("exit", "raise outside"):
        train()
    else:
        with failing_together(communicator):
            train()
    say(f"rank {rank} is not told")
except fp.distributed.RankError as error:
    say(f"rank {rank} is told: {error}")
    raise
except KeyboardInterrupt as error:
    say(f"rank {rank} is interrupted: {error}")
    raise
