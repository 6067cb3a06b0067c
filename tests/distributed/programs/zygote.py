"""Starts programs over torch.distributed as forks of itself, since the import of PyTorch takes seconds.

Reads a line of JSON for each: the program, its arguments, the environment and the output file of each rank, and the
ranks that are killed when the others have ended. Answers with the status of each rank.
"""

import json
import os
import runpy
import signal
import sys

import numpy  # noqa: F401
import pytest  # noqa: F401
import torch.distributed  # noqa: F401

import fastprop.distributed


def start(order, rank):
    """Return the number of the process that is the rank; in that process, None."""
    pid = os.fork()
    if pid == 0:
        output = os.open(order["outputs"][rank], os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ |= order["environments"][rank]
        sys.argv = [order["program"], *order["arguments"]]
        return None
    return pid


def serve():
    """Return the program that this process is to run, or None at the end."""
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        pids = []
        for rank in range(len(order["outputs"])):
            pids.append(start(order, rank))
            if pids[-1] is None:
                return order["program"]
        statuses = {}
        for rank, pid in sorted(enumerate(pids), key=lambda pair: pair[0] in order["stuck"]):
            if rank in order["stuck"]:
                os.kill(pid, signal.SIGKILL)
            statuses[rank] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps([statuses[rank] for rank in range(len(pids))]), flush=True)
    return None


assert fastprop.distributed
if (program := serve()) is not None:
    runpy.run_path(program, run_name="__main__")  # here, so that an error ends the process as any program's does
