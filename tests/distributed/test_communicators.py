"""The communicators, over processes that mpiexec and torchrun start."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp

PROGRAMS = Path(__file__).parent / "programs"
PACKAGE = Path(fp.__file__).parent.parent
LIMIT = 60  # seconds, for the start of a few processes on a busy machine


def launch(engine, size, program, *args, check=True, limit=LIMIT):
    """Run a program on `size` ranks over an engine, "mpi" or "torch"; return the finished process."""
    here = Path(sys.executable)
    if engine == "mpi":
        pytest.importorskip("mpi4py", reason="the `peers` extra is not installed")
        command = [here.with_name("mpiexec"), "-n", str(size), here]
    else:
        pytest.importorskip("torch", reason="the `peers` extra is not installed")
        command = [here.with_name("torchrun"), "--standalone", "--nproc-per-node", str(size)]
    command = [*map(str, command), str(PROGRAMS / program), engine, *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1", "FASTPROP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit, check=False)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.mark.peer
@pytest.mark.parametrize(("engine", "size"), [("mpi", 1), ("mpi", 2), ("mpi", 4), ("torch", 2)])
def test_calls(engine, size):
    assert launch(engine, size, "calls.py").stdout.count("all is well") == size


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 7, 20])
def test_shards_are_even_and_cover_all_rows(n, size):
    class Rank:
        def __init__(self, rank):
            self.rank, self.size = rank, size

    shards = [np.arange(n)[fp.distributed.shard(n, Rank(rank))] for rank in range(size)]
    assert np.array_equal(np.concatenate(shards), np.arange(n))
    sizes = [len(shard) for shard in shards]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1
