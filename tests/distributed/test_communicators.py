"""The communicators: what they compute, and that no failure of a rank leaves the others waiting.

The programs in programs/ run on several ranks, each in a process of its own: under mpiexec, under torchrun, or, which
takes less time, as forks of a process that has imported PyTorch.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import thread_ranks

import fastprop as fp
from fastprop.training.communicator import broadcast_bytes, gather, gather_texts, meet, start_sum

PROGRAMS = Path(__file__).parent / "programs"
PACKAGE = Path(fp.__file__).parent.parent
LIMIT = 120  # seconds, with which nothing hangs: imports of PyTorch on a busy machine take most of them


def environment(**more):
    alone = {"OMP_NUM_THREADS": "1", "FASTPROP_NUM_THREADS": "1"}
    return {**os.environ, **alone, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1", **more}


def run(command):
    """Run a command; return its status and what it printed."""
    process = subprocess.Popen(
        [*map(str, command)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        text = process.communicate(timeout=LIMIT)[0]
    finally:
        process.kill()
    return process.returncode, text


@pytest.fixture
def mpi():
    """Function: run a program on several ranks under mpiexec."""
    pytest.importorskip("mpi4py", reason="the `peers` extra is not installed")

    def launch(size, program, *args):
        here = Path(sys.executable)
        status, text = run([here.with_name("mpiexec"), "-n", size, here, PROGRAMS / program, "mpi", *args])
        return [status], text

    return launch


@pytest.fixture(scope="module")
def torch_zygote():
    pytest.importorskip("torch", reason="the `peers` extra is not installed")
    command = [sys.executable, str(PROGRAMS / "zygote.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as server:
        yield server
        server.kill()  # its end would take seconds, too


@pytest.fixture
def torch_ranks(torch_zygote, tmp_path):
    """Function: run a program on several ranks over torch.distributed; those in `stuck` end with the others."""

    def launch(size, program, *args, stuck=()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(size)}
        outputs = [tmp_path / f"rank {rank}" for rank in range(size)]
        order = {
            "program": str(PROGRAMS / program), "arguments": ["torch", *map(str, args)], "stuck": list(stuck),
            "environments": [{"RANK": str(rank), **common} for rank in range(size)], "outputs": [*map(str, outputs)],
        }  # fmt: skip
        print(json.dumps(order), file=torch_zygote.stdin, flush=True)
        guard = threading.Timer(LIMIT, torch_zygote.kill)
        guard.start()
        answer = torch_zygote.stdout.readline()
        guard.cancel()
        text = "".join(output.read_text() for output in outputs)
        assert answer, f"the ranks have not ended within {LIMIT} seconds: {text}"
        return json.loads(answer), text

    return launch


@pytest.fixture(params=["mpi", "torch_ranks"])
def ranks(request):
    """Function: run a program on several ranks, over either."""
    return request.getfixturevalue(request.param)


@pytest.mark.peer
@pytest.mark.parametrize("size", [1, 2, 4])
def test_calls(ranks, size):
    statuses, text = ranks(size, "calls.py")
    assert text.count("all is well") == size and set(statuses) == {0}, text


@pytest.mark.peer
def test_under_torchrun():
    pytest.importorskip("torch", reason="the `peers` extra is not installed")
    torchrun = Path(sys.executable).with_name("torchrun")
    status, text = run([torchrun, "--standalone", "--nproc-per-node", 2, PROGRAMS / "training.py", "torch"])
    assert text.count("all is well") == 2 and status == 0, text


@pytest.mark.peer
@pytest.mark.parametrize("size", [1, 2, 4])
def test_trainings_are_those_of_one_process(mpi, size):
    statuses, text = mpi(size, "training.py")
    assert text.count("all is well") == size and set(statuses) == {0}, text


@pytest.mark.peer
def test_after_a_failure_the_ranks_meet_and_go_on(ranks):
    statuses, text = ranks(3, "again.py")
    assert text.count("all is well") == 3 and set(statuses) == {0}, text


FAILURES = {  # what rank 1 does -> what the others are told of it
    "raise": "FloatingPointError: its loss is NaN",
    "raise outside": "FloatingPointError: its loss is NaN",  # where nothing catches it, so Python tells its last error
    "exit": "its program ended, but rank",
    "os._exit": "its process [0-9]+ ended without a word",
    "SIGKILL": "its process [0-9]+ ended without a word",
    "SIGSTOP": "it did not come to call .*, a sum, of .*, where rank [02] waited for 3 seconds",
    "sleep": "it did not come to call .*, a sum, of .*, where rank [02] waited for 3 seconds",
}


@pytest.mark.peer
@pytest.mark.parametrize("how", FAILURES)
def test_mpi_every_rank_learns_which_failed_and_how(mpi, how):
    statuses, text = mpi(3, "failing.py", how, 3)
    if how in ("os._exit", "SIGKILL"):  # mpiexec kills the others, as a rule before they can tell; then a witness does
        assert re.search(f"rank 1 failed: {FAILURES[how]}", text), text
        return
    assert statuses != [0]
    for rank in (0, 2):
        assert re.search(f"rank {rank} is told: rank 1 failed: {FAILURES[how]}", text), text
    assert "is not told" not in text


@pytest.mark.peer
@pytest.mark.parametrize("how", FAILURES)
def test_torch_every_rank_learns_which_failed_and_how(torch_ranks, how):
    statuses, text = torch_ranks(3, "failing.py", how, 3, stuck=[1] if how in ("SIGSTOP", "sleep") else [])
    assert statuses[0] == statuses[2] == 1, text
    for rank in (0, 2):
        assert re.search(f"rank {rank} is told: rank 1 failed: {FAILURES[how]}", text), text
    assert "is not told" not in text


@pytest.mark.peer
def test_torch_the_rank_that_keeps_the_store_is_stopped(torch_ranks):
    _, text = torch_ranks(3, "failing.py", "SIGSTOP", 3, 0, stuck=[0])
    for rank in (1, 2):
        assert re.search(f"rank {rank} is told: ", text), text


@pytest.mark.peer
def test_an_interrupt_of_one_rank_interrupts_all(ranks):
    _, text = ranks(3, "failing.py", "interrupt", 30)
    for rank in range(3):
        assert f"rank {rank} is interrupted" in text, text
    assert "is not told" not in text


@pytest.mark.peer
def test_ranks_that_make_different_calls_are_told_of_both(mpi):
    _, text = mpi(2, "failing.py", "other shape", 30)
    told = "is told: calls differ: call .*, a sum, of .*, on rank .; call .*, a sum, of .*, on rank"
    assert len(re.findall(told, text)) == 2, text


@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_sum_and_broadcast_suffice_for(size):
    """The functions of training.communicator over a communicator that has nothing else."""

    def check(communicator):
        rank, everyone = communicator.rank, np.arange(size)
        array = np.full((2, 3), rank + 1.0)
        start_sum(communicator, array).wait()
        assert (array == (everyone + 1).sum()).all()
        for dtype in ("float32", "uint8", "bool", "U7", "M8[s]"):
            rows = np.full((rank, 2), rank).astype(dtype)
            together = gather(communicator, rows)
            assert together.dtype == rows.dtype
            assert np.array_equal(together[:, 1], np.repeat(everyone, everyone).astype(dtype))
        assert gather_texts(communicator, "\u00f6" * rank) == ["\u00f6" * other for other in everyone]
        assert broadcast_bytes(communicator, bytes(range(rank + 10)), size - 1) == bytes(range(size + 9))
        meet(communicator, n_parameters=3)
        if size > 1:
            with pytest.raises(ValueError, match="got batch_size=0 on rank 0 and batch_size=1 on rank 1"):
                meet(communicator, n_parameters=3, batch_size=rank)
        return True

    assert thread_ranks.run(size, check) == [True] * size


def test_single():
    communicator = fp.distributed.single()
    array = np.arange(3.0)
    communicator.sum(array)
    communicator.broadcast(array)
    start_sum(communicator, array).wait()
    meet(communicator, n=3)
    assert np.array_equal(gather(communicator, array), np.arange(3.0))
    assert fp.distributed.shard(7, communicator) == slice(0, 7)


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
