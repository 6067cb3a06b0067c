"""The pool: bits do not depend on the number of threads, several callers work at once, and forks work.

tools/tsan runs this file under ThreadSanitizer.
"""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from concurrency import together
from kernels_ctypes import exact_isas
from workload import SHAPES, Work

import fastprop as fp
from fastprop._core import _engine

THREADS = [1, 2, 3, 4, 8, 16]
LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc/self/task to see threads in")
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

pytestmark = pytest.mark.usefixtures("threads_and_isa_restored")

# the bits


@pytest.mark.parametrize("shape", SHAPES)
def test_same_bits_on_any_threads_and_vectors(shape):
    expected = None
    for isa in exact_isas():
        for threads in THREADS:
            _engine.select_isa(isa)
            fp.set_num_threads(threads)
            work = Work(shape)
            got = work.train(), work.use()
            expected = expected or got
            for what, one, other in zip(("training", "use"), got, expected, strict=True):
                assert one == other, f"{what}: other bits under {isa} on {threads} threads"


def test_portable_gives_the_same_bits_on_any_threads():
    _engine.select_isa("portable")
    results = set()
    for threads in THREADS:
        fp.set_num_threads(threads)
        work = Work("54-256x3-7")
        results.add(work.train(3) + work.use())
    assert len(results) == 1


@pytest.mark.parametrize("threads", [3, 8 * (os.cpu_count() or 1)])
def test_more_threads_than_cores(threads):
    """A thread that waits must let others run, since the last chunk may belong to a thread without a core."""
    fp.set_num_threads(1)
    expected = Work("8-48x4-2").train(9)
    fp.set_num_threads(min(threads, 256))
    assert Work("8-48x4-2").train(9) == expected


# several callers


@pytest.mark.parametrize("threads", THREADS)
def test_two_trainings_and_predictions_at_once(threads):
    """Each caller computes as if it were alone. One caller has the pool, the others compute without it."""
    fp.set_num_threads(threads)
    names = list(SHAPES)[:2]
    expected = [Work(name, seed=i).train(15) for i, name in enumerate(names)]
    still = Work("200-300-10")
    outputs = still.net(still.X).tobytes()
    works = [Work(name, seed=i) for i, name in enumerate(names)]
    training = threading.Event()
    training.set()

    def predict():
        while training.is_set():
            assert still.net(still.X).tobytes() == outputs

    def train():
        try:
            return together(*(lambda work=work: work.train(15) for work in works))
        finally:
            training.clear()

    got, _ = together(train, predict)
    assert got == expected


def test_threads_set_during_training():
    fp.set_num_threads(1)
    expected = Work("54-256x3-7").train()
    work, training = Work("54-256x3-7"), threading.Event()
    training.set()

    def change():
        while training.is_set():
            for threads in (4, 1, 3, 2):
                fp.set_num_threads(threads)
                time.sleep(0.001)

    def train():
        try:
            return work.train()
        finally:
            training.clear()

    got, _ = together(train, change)
    assert got == expected


# the pool itself


def run(program):
    """Run a program in a Python of its own that has Work and together; return its standard output."""
    start = f"import sys; sys.path[:] = {[os.path.dirname(__file__), *sys.path]!r}\nfrom test_threads import *\n"
    command = [sys.executable, "-P", "-c", start + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@LINUX
def test_threads_are_started_when_wanted_and_idle_without_work():
    (started,) = run("""
        import re

        def tasks():
            return set(os.listdir("/proc/self/task"))

        def settled():
            "The threads, when none has come or gone for a while."
            seen, at_rest = [tasks()], 0
            while at_rest < 10:
                time.sleep(0.02)
                seen.append(tasks())
                at_rest = at_rest + 1 if seen[-1] == seen[-2] else 0
            return seen[-1]

        def turns(task):
            "How often a thread was put to sleep or sent off its core, and its time on one in hundredths of a second."
            status = dict(re.findall(r"(\\w+_switches):\\s*(\\d+)", Path(f"/proc/self/task/{task}/status").read_text()))
            after_its_name = Path(f"/proc/self/task/{task}/stat").read_text().rpartition(")")[2].split()
            return status, after_its_name[11:13]

        together(int)  # beside the first thread ThreadSanitizer starts one of its own
        before = settled()  # and Python joins a thread shortly before it is gone
        fp.set_num_threads(1)
        Work("54-256x3-7").train(1)
        assert tasks() == before
        fp.set_num_threads(3)
        Work("54-256x3-7").train(1)
        workers = tasks() - before
        print(len(workers))
        was, at_rest = None, 0
        while at_rest < 10:  # until they lie still, which those that poll never do
            time.sleep(0.05)
            now = [turns(task) for task in workers]
            was, at_rest = now, at_rest + 1 if now == was else 0
    """)
    assert int(started) == 2  # the caller works too


@LINUX
@pytest.mark.parametrize("caller", ["free", "pinned with the pool", "pinned alone"])
def test_an_affinity_that_was_set_from_outside_stays(caller):
    """Affinity is set as by `taskset -p` for sleeping workers, whose masks the caller changes when it wakes them."""
    run(f"""
        before = set(os.listdir("/proc/self/task"))
        fp.set_num_threads(3)
        expected = Work("54-256x3-7").train(6)
        workers = [int(name) for name in set(os.listdir("/proc/self/task")) - before]
        assert len(workers) >= 2
        cpus = os.sched_getaffinity(0)

        def state(task):
            return Path(f"/proc/self/task/{{task}}/stat").read_text().rpartition(")")[2].split()[0]

        def settled(wanted):
            "Waits until all workers sleep with these masks; they narrow them for a moment while they wake up."
            for _ in range(3000):
                masks = [os.sched_getaffinity(task) for task in workers]
                if masks == [wanted] * len(workers) and all(state(task) == "S" for task in workers):
                    return
                time.sleep(0.01)
            raise AssertionError((masks, wanted))

        settled(cpus)
        for mask in [*({{cpu}} for cpu in cpus), cpus, *({{cpu}} for cpu in sorted(cpus, reverse=True)), cpus]:
            if {caller!r} != "pinned alone":
                for task in workers:
                    os.sched_setaffinity(task, mask)
            if {caller!r} != "free":
                os.sched_setaffinity(0, mask)
            for _ in range(5):
                settled(cpus if {caller!r} == "pinned alone" else mask)
                assert Work("54-256x3-7").train(6) == expected
            settled(cpus if {caller!r} == "pinned alone" else mask)
    """)


@FORK
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_forked_child_trains_and_so_does_its_parent(threads):
    """A thread that has the pool during the fork does not exist in the child, nor do the threads of the pool."""
    run(f"""
        import signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
        fp.set_num_threads({threads})
        expected = Work("54-256x3-7").train(6)
        other, training = Work("8-48x4-2"), threading.Event()
        training.set()

        def keep_training():
            while training.is_set():
                other.train(3)

        def fork():
            try:
                for _ in range(5):
                    child = os.fork()
                    if not child:
                        signal.alarm(600)  # a child that hangs ends by this
                        os._exit(0 if Work("54-256x3-7").train(6) == expected else 3)
                    assert Work("54-256x3-7").train(6) == expected
                    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            finally:
                training.clear()

        together(keep_training, fork)
    """)


# the setting


@pytest.mark.parametrize("n", [1, 2, 256, np.int64(3)])
def test_set_num_threads(n):
    fp.set_num_threads(n)
    assert fp.get_num_threads() == n


@pytest.mark.parametrize("n", [0, -1, 257, 2**40, True, False, np.int64(0)])
def test_set_num_threads_out_of_range(n):
    before = fp.get_num_threads()
    with pytest.raises(ValueError, match="the number of threads must be"):
        fp.set_num_threads(n)
    assert fp.get_num_threads() == before


@pytest.mark.parametrize("n", [2.0, 1.5, "2", None, float("nan"), [2]])
def test_set_num_threads_of_another_type(n):
    with pytest.raises(TypeError, match="the number of threads must be"):
        fp.set_num_threads(n)


def started_with(value):
    """Run a Python that imports fastprop with FASTPROP_NUM_THREADS=value, and return its result."""
    environment = {**os.environ, "FASTPROP_NUM_THREADS": value}
    command = [sys.executable, "-P", "-c", "import fastprop; print(fastprop.get_num_threads())"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_default():
    assert started_with("3").stdout.strip() == "3"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert started_with("").stdout.strip() == str(min(cpus, 256))


@pytest.mark.parametrize("value", ["0", "-1", "257", "two", "1.5", " "])
def test_a_bad_default_is_an_error(value):
    done = started_with(value)
    assert done.returncode != 0
    assert f"FASTPROP_NUM_THREADS={value!r} must be" in done.stderr
