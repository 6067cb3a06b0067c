"""Other libraries that use processes and threads: nothing hangs, no bit changes, limits are kept.

Each program runs in a process of its own, and is killed with all of its children when its time is over.
"""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from fastprop import config

POSIX = pytest.mark.skipif(os.name != "posix", reason="no fork, no session on this system")
SECONDS = 600  # only a hang takes that long: it takes 1 to 10 seconds on one of two busy cores

START = """
import concurrent.futures, contextlib, multiprocessing, os, signal, sys, threading, time, warnings
import numpy as np
import fastprop as fp
from concurrency import together
from workload import Work

warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads

def trained(seed):
    return Work("8-48x4-2", seed=seed).train(3)

def threads(_):
    return fp.get_num_threads()

@contextlib.contextmanager
def another_in_training():
    work, go_on = Work("54-256x3-7"), [True]
    def train():
        while go_on:
            work.train(3)
    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield work
    finally:
        go_on.clear()
        thread.join()

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


@pytest.fixture
def run(tmp_path):
    """Run a program, which follows START, in a process of its own; return its standard output."""

    def run(program, start=START, **environment):
        path = tmp_path / "program.py"
        body = textwrap.indent(textwrap.dedent(program), "    ")
        path.write_text(f"{start}\nif __name__ == '__main__':\n{body}\n", encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
        where = [os.path.dirname(__file__), *sys.path]
        environment = {**inherited, "PYTHONPATH": os.pathsep.join(where), **environment}
        command = [sys.executable, "-P", "-X", "faulthandler", str(path)]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, err
        return out

    return run


# processes and threads of others

POOL = "with multiprocessing.get_context('{}').Pool(2) as pool: got = pool.map(trained, range(4))"
EXECUTOR = "with concurrent.futures.{} as pool: got = list(pool.map(trained, range(4)))"
FUTURES = "ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('{}'))"
JOBLIB = "import joblib; got = joblib.Parallel(2, backend='{}')(joblib.delayed(trained)(seed) for seed in range(4))"
WAYS = {
    "multiprocessing, fork": POOL.format("fork"),
    "multiprocessing, spawn": POOL.format("spawn"),
    "multiprocessing, forkserver": POOL.format("forkserver"),
    "futures, fork": EXECUTOR.format(FUTURES.format("fork")),
    "futures, spawn": EXECUTOR.format(FUTURES.format("spawn")),
    "futures, threads": EXECUTOR.format("ThreadPoolExecutor(4)"),
}
PEERS = {
    "joblib, threading": JOBLIB.format("threading"),
    "joblib, loky": JOBLIB.format("loky"),
    "joblib, multiprocessing": JOBLIB.format("multiprocessing"),
}

TO_THE_SAME_BITS = """
fp.set_num_threads(3)
expected = [trained(seed) for seed in range(4)]  # the pool is awake now
{way}
assert got == expected
with another_in_training():
    {way}
    assert got == expected
assert trained(0) == expected[0]
"""


@POSIX
@pytest.mark.parametrize("way", WAYS)
def test_workers_train_to_the_same_bits(run, way):
    run(TO_THE_SAME_BITS.format(way=WAYS[way]))


@POSIX
@pytest.mark.peer
@pytest.mark.parametrize("way", PEERS)
def test_joblib_trains_to_the_same_bits(run, way):
    pytest.importorskip("joblib", reason="the `peers` extra is not installed")
    run(TO_THE_SAME_BITS.format(way=PEERS[way]))


TORCH = """
import torch

class Rows(torch.utils.data.Dataset):
    work = Work("200-300-10")
    def __len__(self):
        return 96
    def __getitem__(self, row):
        X = self.work.X[row : row + 1]
        return X, self.work.net(X)

def torch_works():
    weight = torch.ones(300, 300, requires_grad=True)
    (torch.ones(500, 300) @ weight).sum().backward()
    assert weight.grad[0, 0] == 500
"""


@POSIX
@pytest.mark.peer
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_torch_and_the_workers_of_its_data_loader(run, method):
    """The threads of torch and of fastprop in one process, torch's workers that predict by fastprop, and a fork."""
    pytest.importorskip("torch", reason="the `peers` extra is not installed")
    run(
        f"""
        fp.set_num_threads(3)
        torch.set_num_threads(2)
        expected = trained(0)
        torch_works()
        loader = torch.utils.data.DataLoader(Rows(), batch_size=32, num_workers=2, multiprocessing_context={method!r})
        with another_in_training():
            for X, outputs in loader:
                torch_works()
                for x, output in zip(X.numpy(), outputs.numpy()):
                    assert np.array_equal(Rows.work.net(x), output)
            assert trained(0) == expected
            child = os.fork()
            if not child:
                signal.alarm(600)
                os._exit(0 if trained(0) == expected else 3)  # torch's own threads do not survive a fork
            assert ended(child) == 0
        torch_works()
        """,
        START + TORCH,
    )


# forks at bad moments


@POSIX
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_fork_from_a_signal_handler_in_mid_step(run, threads):
    """The child completes the step in which the fork came, and all later ones, with the bits of its parent."""
    run(f"""
        fp.set_num_threads({threads})
        fp._core._engine.set_interrupt_interval(0)  # signals are looked for all the time
        rng = np.random.default_rng(0)
        X, y = rng.random((1000, 600), np.float32), rng.random((1000, 3), np.float32)

        def fresh():
            net = fp.Network([600, 512, 512, 3], seed=0)
            return net, fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.001))

        net, trainer = fresh()
        elsewhere, is_child, children, training = trained(0), False, [], [True]
        answered = threading.Event()

        def in_mid_step():
            try:
                net(X[:1])
            except RuntimeError as error:
                assert "in the middle of a step" in str(error)
                return True
            return False

        def handler(*_):
            global is_child
            if training and not is_child and in_mid_step():
                child = os.fork()
                if child:
                    children.append(child)
                    training[:] = training if len(children) < 4 else []
                else:
                    is_child = True
                    signal.alarm(600)
                    if len(children) % 2:
                        os._exit(0 if trained(0) == elsewhere else 3)
            answered.set()

        signal.signal(signal.SIGUSR1, handler)
        me = os.getpid()

        def disturb():
            while training:
                answered.clear()
                os.kill(me, signal.SIGUSR1)
                answered.wait()  # one at a time: a fork is slower than the next signal

        thread = threading.Thread(target=disturb)
        thread.start()
        while training and not is_child:  # until four signals met a step
            trainer.step(X, y)
        if not is_child:
            thread.join()
        expected, replay = fresh()
        for _ in range(trainer.steps):
            replay.step(X, y)
        same = net.parameters.tobytes() == expected.parameters.tobytes() and trained(0) == elsewhere
        if is_child:
            os._exit(0 if same else 4)
        assert same and len(children) == 4
        assert [ended(child) for child in children] == [0, 0, 0, 0]
    """)


@POSIX
def test_a_network_whose_step_a_fork_cut_in_two(run):
    """The child refuses a network that another thread was training, since it may be half updated; others work."""
    run("""
        REFUSED = 4
        fp.set_num_threads(2)
        expected, codes = trained(0), []
        with another_in_training() as work:
            while len(codes) < 10 or REFUSED not in codes:  # the first few forks, or this hangs
                child = os.fork()
                if not child:
                    signal.alarm(600)
                    code = 0
                    try:
                        work.net(work.X)
                        work.train(3)
                    except RuntimeError as error:
                        code = REFUSED if "a process that was forked" in str(error) else 5
                    os._exit(code if trained(0) == expected else 6)
                codes.append(ended(child))
        assert set(codes) <= {0, REFUSED}, codes
    """)


@POSIX
def test_forks_from_many_threads_each_of_which_trains(run):
    run("""
        fp.set_num_threads(2)
        expected = [trained(seed) for seed in range(6)]

        def train_and_fork(seed):
            assert trained(seed) == expected[seed]
            child = os.fork()
            if not child:
                signal.alarm(600)
                os._exit(0 if trained(seed) == expected[seed] else 3)
            assert trained(seed) == expected[seed]
            assert ended(child) == 0

        together(*(lambda seed=seed: train_and_fork(seed) for seed in range(6)))
    """)


# how many threads

NOT_A_NUMBER = ["", "0", "-1", "two", "1.5"]


def test_what_the_environment_says(monkeypatch):
    def says(**environment):
        for name in ("OMP_NUM_THREADS", "FASTPROP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return config._default_threads()

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    monkeypatch.setattr(config, "_cpus_of_quota", lambda: 5)
    assert says() == 5
    assert says(OMP_NUM_THREADS="3") == 3
    assert says(OMP_NUM_THREADS="3,2") == 3
    assert says(OMP_NUM_THREADS="1000") == 256
    assert says(OMP_NUM_THREADS="3", FASTPROP_NUM_THREADS="2") == 2
    assert says(OMP_NUM_THREADS="3", FASTPROP_NUM_THREADS="") == 3
    assert {says(OMP_NUM_THREADS=value) for value in NOT_A_NUMBER} == {5}


V2 = "31 23 0:41 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "31 23 0:41 {} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1 += "32 23 0:42 / /memory rw - cgroup cgroup rw,memory\n"
NO_QUOTA = config.MAX_THREADS


def cpus(root, group, mountinfo, quotas):
    """Return the quota that config finds in these files, in a directory that is taken for "/"."""
    files = {"proc/self/cgroup": group, "proc/self/mountinfo": mountinfo}
    for directory, quota in quotas.items():
        if "cpuacct" in directory:
            limit, period = quota.split(" ")
            files |= {f"{directory}/cpu.cfs_quota_us": limit, f"{directory}/cpu.cfs_period_us": period}
        else:
            files[f"{directory}/cpu.max"] = quota
    for name, text in files.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config._cpus_of_quota(str(root))


GROUP = "sys/fs/cgroup/user.slice/user-1000.slice/run-3.scope"
OF_CPU = "sys/fs/cgroup/cpu,cpuacct"
NESTED = "0::/user.slice/user-1000.slice/run-3.scope\n"


@POSIX
@pytest.mark.parametrize(
    "group, mountinfo, quotas, expected",
    [
        (None, None, {}, NO_QUOTA),
        # a container: its own group is all that it sees
        ("0::/\n", V2, {"sys/fs/cgroup": "150000 100000\n"}, 2),
        ("0::/\n", V2, {"sys/fs/cgroup": "1000 100000\n"}, 1),
        ("0::/\n", V2, {"sys/fs/cgroup": "max 100000\n"}, NO_QUOTA),
        ("0::/\n", None, {"sys/fs/cgroup": "300000 100000\n"}, 3),
        # systemd's CPUQuota=, at each of its levels: the smallest wins
        (NESTED, V2, {GROUP: "200000 100000\n"}, 2),
        (NESTED, V2, {GROUP: "max 100000\n", os.path.dirname(GROUP): "300000 100000\n"}, 3),
        (NESTED, V2, {GROUP: "700000 100000\n", "sys/fs/cgroup/user.slice": "25000 10000\n"}, 3),
        (NESTED, V2, {"sys/fs/cgroup/user.slice": "700000 100000\n", GROUP: "100000 100000\n"}, 1),
        (NESTED, V2, {"sys/fs/cgroup/system.slice": "100000 100000\n"}, NO_QUOTA),  # of others
        # mounted elsewhere, with a space in its name
        (NESTED, V2.replace("/sys/fs/cgroup", r"/my\040groups"), {"my groups/user.slice": "200000 100000\n"}, 2),
        # version 1, whose container may see the group's whole name while its own directory is what is mounted
        ("4:cpu,cpuacct:/a/b\n", V1.format("/"), {f"{OF_CPU}/a": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/a/b\n", V1.format("/"), {f"{OF_CPU}/a/b": "-1 100000\n"}, NO_QUOTA),
        ("4:cpu,cpuacct:/docker/12ab\n", V1.format("/docker/12ab"), {OF_CPU: "250000 100000\n"}, 3),
        ("4:cpu,cpuacct:/docker/12ab/x\n", V1.format("/docker/12ab"), {f"{OF_CPU}/x": "50000 100000\n"}, 1),
        ("4:cpu,cpuacct:/docker/34\n", V1.format("/docker/3"), {f"{OF_CPU}/4": "50000 100000\n"}, NO_QUOTA),
        ("3:memory:/a\n", V1.format("/"), {f"{OF_CPU}/a": "100000 100000\n"}, NO_QUOTA),
        # both at once
        ("4:cpu,cpuacct:/a\n0::/b\n", V2 + V1.format("/"), {f"{OF_CPU}/a": "6 1", "sys/fs/cgroup/b": "5 1"}, 5),
        # what no Linux writes
        ("0::/../../x\n", V2, {"x": "100000 100000\n", "sys/fs/cgroup": "4 1"}, 4),
        ("0::/a:b\n", V2, {"sys/fs/cgroup/a:b": "2 1"}, 2),
        ("0::/\0\n", V2, {"sys/fs/cgroup": "2 1"}, 2),
        ("0::/" + "x" * 5000 + "\n", V2, {"sys/fs/cgroup": "2 1"}, 2),
        ("0::\n:::\nnonsense\n", "nonsense\n - \n - cgroup2\n1 2 3 4 5 6 - cgroup2 a b\n", {}, NO_QUOTA),
        (b"0::/\xff\n", V2.encode() + b"\xff\xfe - cgroup2", {"sys/fs/cgroup": "2 1"}, 2),
    ],
)
def test_control_groups(tmp_path, group, mountinfo, quotas, expected):
    assert cpus(tmp_path, group, mountinfo, quotas) == expected


NO_SENSE = ["", "nonsense", "1", "1 0", "1 2 3", "0 1", "-5 1", "5 -1", "1e3 1", "nan 1", "9" * 5000 + " 1"]


@POSIX
@pytest.mark.parametrize("quota", NO_SENSE)
def test_a_quota_that_makes_no_sense_is_none(tmp_path, quota):
    assert cpus(tmp_path, "0::/a\n", V2, {"sys/fs/cgroup/a": quota, "sys/fs/cgroup": "7 1"}) == 7
    assert cpus(tmp_path, "0::/a\n", V2, {"sys/fs/cgroup/a": "9" * 300 + " 1", "sys/fs/cgroup": "max 1"}) == NO_QUOTA


@POSIX
@pytest.mark.peer
def test_loky_shares_out_the_cpus(run):
    pytest.importorskip("joblib", reason="the `peers` extra is not installed")
    run("""
        import joblib
        jobs = max(2, joblib.cpu_count())
        assert joblib.Parallel(jobs)(joblib.delayed(threads)(i) for i in range(2 * jobs)) == [1] * (2 * jobs)
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=3):
            assert joblib.Parallel()(joblib.delayed(threads)(i) for i in range(2)) == [3, 3]
    """)


@POSIX
@pytest.mark.peer
@pytest.mark.parametrize(
    "start", ["import threadpoolctl" + START, START + "import fastprop._threadpoolctl, threadpoolctl"]
)
def test_threadpoolctl_sees_and_limits_the_pool(run, start):
    pytest.importorskip("threadpoolctl", reason="the `peers` extra is not installed")
    run(
        """
        def ours():
            (found,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastprop"]
            assert found["filepath"] == fp._core._engine.__file__ and found["version"] == fp.__version__
            return found["num_threads"]

        fp.set_num_threads(3)
        assert ours() == 3
        expected = trained(0)
        with threadpoolctl.threadpool_limits(1):
            assert fp.get_num_threads() == ours() == 1
            assert trained(0) == expected
        assert fp.get_num_threads() == ours() == 3
        with threadpoolctl.threadpool_limits({"fastprop": 2}):
            assert fp.get_num_threads() == 2
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            assert fp.get_num_threads() == 3
        with threadpoolctl.threadpool_limits({"fastprop": 1000}):
            assert fp.get_num_threads() == 256
        assert fp.get_num_threads() == 3
        """,
        start,
    )


def test_import_leaves_threadpoolctl_alone(run):
    run("assert 'threadpoolctl' not in sys.modules and 'fastprop._threadpoolctl' not in sys.modules")
