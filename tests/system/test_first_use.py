"""A fork or a signal in the middle of a first use, when an import or a computation is half done.

In each program a finder, which Python asks wherever a module is to be imported for the first time, stops one import
after the other at its worst moment: the module's lock is held, and the module is not there yet.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastprop as fp

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no fork, no signals on this system")
SECONDS = 3000  # only a hang takes that long: the programs take 2 to 20 seconds on one of two busy cores

START = """
import itertools, os, signal, sys, threading, time, warnings
import numpy as np
import fastprop as fp

warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads

X = np.sin(np.arange(120, dtype=np.float32)).reshape(40, 3)
y = np.arange(40) % 3
uses = itertools.count()
HOW = dict(loss="cross_entropy", optimizer="adam", seed=0)

def first_use():
    '''What an ordinary program does; the bits that it comes to.'''
    net = fp.Network([3, 4, fp.BatchNorm("relu"), fp.Dropout(0.1), 3], seed=0)
    average = fp.EMA(0.5)
    net.fit(X, y, epochs=2, validation=0.25, metrics="accuracy", average=average, progress=lambda *_: None, **HOW)
    folder = f"{os.getpid()}-{next(uses)}"
    os.mkdir(folder)
    net.save(folder + "/net.safetensors")
    net = fp.load(folder + "/net.safetensors")
    net.fit(X, y, epochs=1, callbacks=[fp.Checkpoint(folder + "/run", best=None)], **HOW)
    fp.load_checkpoint(folder + "/run")
    with suppressed(ValueError):
        net.fit(X, y, epochs=1, loss="cross_entopy", optimizer="adam")
    fp.Trainer(net, **HOW).step(X, y)
    ensemble = fp.Ensemble(2, [3, 4, 3], seed=0)
    ensemble.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=1, bootstrap=True)
    return net.parameters.tobytes(), ensemble.networks[0].parameters.tobytes(), net.jacobian(X[:1]).tobytes()

class suppressed:
    def __init__(self, kind):
        self.kind = kind
    def __enter__(self):
        pass
    def __exit__(self, kind, *_):
        return kind is not None and issubclass(kind, self.kind)

class Finder:
    '''Calls `stop` in the middle of the n-th import.'''
    def __init__(self, n, stop):
        self.n, self.stop, self.names = n, stop, []
    def find_spec(self, name, *_):
        self.names.append(name)
        if len(self.names) - 1 == self.n:
            self.stop()

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def apart(function, *arguments):
    '''Runs it in a child, which has imported no more than this process; what it returns has to be true.'''
    child = os.fork()
    if not child:
        signal.alarm(1000)
        try:
            os._exit(0 if function(*arguments) else 3)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(4)
    return ended(child)

def imports(use):
    '''How many modules a first use imports.'''
    read, write = os.pipe()
    def count():
        finder = Finder(-1, None)
        sys.meta_path.insert(0, finder)
        use()
        return os.write(write, len(finder.names).to_bytes(4, "little"))
    assert apart(count) == 0
    return int.from_bytes(os.read(read, 4), "little")

def fork_meanwhile(use, n):
    '''A thread uses it for the first time, and in the n-th import the other one forks.'''
    reached, forking = threading.Event(), threading.Event()
    def stop():
        reached.set()
        forking.wait()
        time.sleep(0.05)  # a fork that does not wait for the import comes now
    sys.meta_path.insert(0, Finder(n, stop))
    got = []
    thread = threading.Thread(target=lambda: got.append(use()))
    thread.start()
    assert reached.wait(1000)
    forking.set()
    child = os.fork()
    if not child:
        signal.alarm(1000)
        os._exit(0 if len(use()) else 5)
    thread.join()
    return ended(child) == 0 and len(got) == 1

def interrupt(use, n):
    '''A signal comes in the n-th import of a first use; its handler and a child that it forks use it too.'''
    got = []
    def handler(*_):
        got.append(use())
        got.append(apart(use))
    signal.signal(signal.SIGUSR1, handler)
    def stop():
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.05)
    sys.meta_path.insert(0, Finder(n, stop))
    expected = use()
    return got == [expected, 0]
"""


@pytest.fixture
def run(tmp_path):
    """Run a program, which follows START, in a process of its own."""

    def run(program):
        path = tmp_path / "program.py"
        path.write_text(START + textwrap.dedent(program), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(Path(fp.__file__).parents[1])}
        command = [sys.executable, "-P", "-X", "faulthandler", str(path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr[-4000:]

    return run


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["fork_meanwhile", "interrupt"])
def test_in_the_middle_of_an_import(run, how):
    run(f"""
        n = imports(first_use)
        assert 0 < n < 200, n
        codes = [apart({how}, first_use, place) for place in range(n)]
        assert codes == n * [0], codes
    """)


def test_the_core_imports_nothing_of_fastprop_later(run):
    run("""
        before = set(sys.modules)
        first_use()
        net = fp.Network([3, 4, 3], seed=0)
        t = fp.trace(net, X[:2], y[:2], loss="cross_entropy")
        str(t.explain("W1[0,0]")), t.explain("W1[0,0]").svg(), str(t.graph()), t._repr_html_()
        net.per_example_gradients(X, y, loss="cross_entropy")
        late = {name for name in set(sys.modules) - before if name.startswith("fastprop")}
        assert not late, late
    """)


WHILE_A_THREAD_HAS_IT = """
    reached, go_on = threading.Event(), threading.Event()

    def slow(*_):
        reached.set()
        go_on.wait()
        return 1.0

{hold}
    thread = threading.Thread(target=hold)
    thread.start()
    assert reached.wait(1000)
    {then}
    code = apart(use)
    go_on.set()
    thread.join()
    assert code == 0, code
"""


def test_a_fork_while_a_metric_is_computed(run):
    """In Python 3.11 ``functools.cached_property`` has one lock for all instances."""
    hold = """
    from fastprop.nn import losses
    from fastprop.training import metrics
    class Slow:
        link = property(slow)
    def hold():
        with suppressed(AttributeError):
            metrics.Predictions(y, np.zeros((40, 3)), None, Slow()).probabilities
    def use():
        loss = losses.parse("cross_entropy")
        return metrics.Predictions(y, np.zeros((40, 3)), None, loss).probabilities.shape == (40, 3)
    """
    run(WHILE_A_THREAD_HAS_IT.format(hold=hold, then=""))


def test_a_fork_while_the_number_of_threads_is_changed(run):
    hold = """
    from fastprop import config
    before = config.get_num_threads
    def hold():
        with config.threads(2):
            pass
    config.get_num_threads = lambda: slow() and before()
    def use():
        with config.threads(3):
            return fp.get_num_threads() == 3
    """
    run(WHILE_A_THREAD_HAS_IT.format(hold=hold, then="config.get_num_threads = before"))


def test_no_import_begins_between_the_wait_for_one_and_the_fork(run):
    """A fork waits for an import; the next import, which another thread wants meanwhile, must wait for the fork."""
    run("""
        from importlib.machinery import ModuleSpec
        from fastprop._util import lazy

        here = os.getpid()
        reached = {name: threading.Event() for name in ("first_module", "second_module")}
        go_on = {name: threading.Event() for name in reached}

        class Slow:
            def find_spec(self, name, *_):
                return ModuleSpec(name, self) if name in reached else None
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                if os.getpid() == here:
                    reached[module.__name__].set()
                    go_on[module.__name__].wait()

        sys.meta_path.insert(0, Slow())
        wanted = [threading.Thread(target=lazy.lazy_import, args=(name,)) for name in reached]
        codes = []
        fork = threading.Thread(
            target=lambda: codes.append(apart(lambda: lazy.lazy_import("second_module").__name__ == "second_module"))
        )
        wanted[0].start()
        reached["first_module"].wait()
        fork.start()
        while lazy._fork_lock.acquire(blocking=False):  # until the fork waits for the first import
            lazy._fork_lock.release()
            time.sleep(0.001)
        wanted[1].start()
        assert not reached["second_module"].wait(0.2)
        go_on["first_module"].set()
        assert reached["second_module"].wait(1000)
        go_on["second_module"].set()
        for thread in (*wanted, fork):
            thread.join()
        assert codes == [0], codes
    """)
