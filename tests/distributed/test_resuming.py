"""A rank that is killed at any moment of a training with checkpoints: it goes on to the bits of the unbroken one."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp

pytestmark = pytest.mark.peer

PROGRAM = Path(__file__).parent / "programs" / "resuming.py"
LIMIT = 120  # seconds, for a program of about one on a machine with nothing else to do
KILLS = 5  # in a row, of one training
DELAY = 1.0  # seconds: a kill comes at a random moment of about the time that a training takes


def start(directory):
    pytest.importorskip("mpi4py", reason="the `peers` extra is not installed")
    python = Path(sys.executable)
    command = [python.with_name("mpiexec"), "-n", "2", python, PROGRAM, "mpi", directory]
    path = str(Path(fp.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": path, "FASTPROP_NUM_THREADS": "1"}
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(list(map(str, command)), text=True, env=environment, **out)


def finish(process):
    """Wait for the program; return what it printed."""
    try:
        return process.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def kill_one(process, directory, chance):
    """Kill a rank at a random moment after both have begun."""
    begin = time.monotonic()
    while len(list(directory.glob("pid-*"))) < 2 and process.poll() is None and time.monotonic() < begin + LIMIT:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, DELAY))
    with suppress(ProcessLookupError, ValueError):  # it has ended, or its number is being written
        os.kill(int((directory / f"pid-{chance.randrange(2)}").read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("unbroken")
    process = start(directory)
    output = finish(process)
    assert process.returncode == 0, output
    return np.load(directory / "parameters.npy")


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_killed_trainings_end_with_the_bits_of_the_unbroken_one(seed, unbroken, tmp_path):
    chance = random.Random(seed)
    for _ in range(KILLS):
        for left in tmp_path.glob("pid-*"):
            left.unlink()
        process = start(tmp_path)
        kill_one(process, tmp_path, chance)
        finish(process)
    process = start(tmp_path)
    output = finish(process)
    assert process.returncode == 0, output
    assert (np.load(tmp_path / "parameters.npy") == unbroken).all()
