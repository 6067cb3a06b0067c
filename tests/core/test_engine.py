"""The contracts of the engine: a step allocates nothing and releases the GIL, Ctrl-C works, and the import is fast."""

import ast
import copy
import ctypes
import functools
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp
from fastprop._core import _engine

ON_POSIX = os.name == "posix"
needs_posix = pytest.mark.skipif(not ON_POSIX, reason="needs POSIX signals and limits")


def run(program, *arguments, **environment):
    """Run a program in a new process and return what it prints, parsed as JSON."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def data(rows, n_in=64, n_out=2, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, n_in)).astype(dtype), rng.normal(size=(rows, n_out)).astype(dtype)


def make(widths=(64, 512, 512, 2), dtype="float32", rate=1e-5):
    net = fp.Network(widths, dtype=dtype, seed=0)
    return net, fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(rate, momentum=0.9))


# ways to work for a long time without the GIL: name -> function of (network, trainer, X, y)
WORK = {
    "epoch": lambda net, trainer, X, y: trainer.epoch(X, y),
    "one step": lambda net, trainer, X, y: trainer.step(X, y),
    "call": lambda net, trainer, X, y: net(X),
    "value_and_gradient": lambda net, trainer, X, y: net.value_and_gradient(X, y, loss="half_mse"),
    "forward": lambda net, trainer, X, y: net.forward(X),
    "backward": lambda net, trainer, X, y: net.backward(y),
}
every_work = pytest.mark.parametrize("work", WORK)


def work_to_do(work, rows=1024):
    """Return a network, a trainer and data for the work, after `forward` if the work needs it."""
    net, trainer = make()
    X, y = data(rows)
    if work == "backward":
        net.forward(X)
    return net, trainer, X, y


# ---- memory ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("widths", [(1, 1), (4, 32, 32, 1), (130, 257, 64, 2), (64, 1024, 3)])
def test_steps_allocate_nothing(dtype, widths):
    net, trainer = make(widths, dtype)
    X, y = data(300, widths[0], widths[-1], dtype)

    def use():
        trainer.epoch(X, y, batch_size=64)
        trainer.epoch(X, y, batch_size=1)
        trainer.step(X[:7], y[:7])
        trainer.evaluate(X, y)
        net(X)
        net.value_and_gradient(X, y, loss="half_mse")
        net.forward(X)
        net.backward(y)

    use()
    before = _engine.allocations()
    for _ in range(3):
        use()
    assert _engine.allocations() == before
    make(widths, dtype)[1].step(X, y)
    assert _engine.allocations() > before, "the counter counts"


SHIM = r"""
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static long calls;
#define COUNT __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED)
void *malloc(size_t n) { COUNT; return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { COUNT; return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { COUNT; return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { COUNT; return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { COUNT; return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { COUNT; *p = __libc_memalign(a, n); return *p ? 0 : 12; }
long malloc_calls(void) { return calls; }
"""


@pytest.fixture(scope="session")
def malloc_shim(tmp_path_factory):
    """A library that counts every call of malloc, calloc and realloc in the process."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or not compiler:
        pytest.skip("needs Linux and a C compiler to count the calls of malloc")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", folder / "shim.c", "-o", folder / "shim.so"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no shim of malloc here: {done.stderr[-200:]}")
    try:
        ctypes.CDLL(str(folder / "shim.so"))
    except OSError as error:
        pytest.skip(f"no shim of malloc with this C library: {error}")
    return folder / "shim.so"


@pytest.mark.parametrize("widths, threads", [("[8, 32, 1]", 1), ("[64, 256, 256, 1]", 1), ("[64, 256, 256, 1]", 2)])
def test_malloc_itself_is_not_called_in_a_step(malloc_shim, widths, threads):
    """An epoch of 10 steps and one of 1,000 allocate equally often: only the checks before the first step do."""
    program = """
        import ctypes, json, sys
        import numpy as np, fastprop as fp
        from fastprop._core import _engine

        fp.set_num_threads(int(sys.argv[2]))
        calls = ctypes.CDLL(None).malloc_calls
        calls.restype = ctypes.c_long
        net = fp.Network(json.loads(sys.argv[1]), seed=0)

        def count(steps):
            X, y = np.zeros((32 * steps, net.n_inputs), np.float32), np.zeros((32 * steps, 1), np.float32)
            trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(1e-3, momentum=0.9))
            trainer.epoch(X, y, batch_size=32)
            before = calls()
            trainer.epoch(X, y, batch_size=32)
            return calls() - before

        count(10)
        before = calls()
        wider = fp.Network([8, 64, 1], seed=0)
        alive = calls() - before
        print(json.dumps([alive, count(10), count(10), count(1000)]))
    """
    alive, *counts = run(program, widths, threads, LD_PRELOAD=str(malloc_shim))
    assert alive > 0, "the shim counts"
    assert len(set(counts)) == 1, counts


def test_the_arena_is_kept_for_smaller_and_larger_batches():
    _, trainer = make()
    X, y = data(600)
    trainer.step(X, y)
    before = _engine.allocations()
    for rows in (1, 600, 64, 513, 600):
        trainer.step(X[:rows], y[:rows])
    assert _engine.allocations() == before


@needs_posix
def test_networks_give_their_memory_back():
    """100 networks use 8 MB each, one after the other; the process may keep the memory of a few."""
    program = """
        import json, resource
        import numpy as np, fastprop as fp

        X, y = np.zeros((512, 256), np.float32), np.zeros((512, 1), np.float32)

        def use(_):
            net = fp.Network([256, 1024, 1], seed=0)
            fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1, momentum=0.9)).step(X, y)
            net.forward(X)

        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(5):
            use(i)
        before = peak()
        for i in range(100):
            use(i)
        print(json.dumps([before, peak()]))
    """
    before, after = run(program)
    assert after < 2 * before


def test_nobody_keeps_the_data():
    net, trainer = make()
    X, y = data(300)
    labels = np.zeros(300, np.int64)
    before = [sys.getrefcount(array) for array in (X, y, labels)]

    def stop(*_):
        raise ZeroDivisionError

    for work in WORK.values():
        work(net, trainer, X, y)
    net.value_and_gradient(X, labels, loss="cross_entropy")
    with pytest.raises(ZeroDivisionError):
        trainer.epoch(X, y, progress=stop)
    with pytest.raises(ValueError):
        trainer.epoch(X, y[:3])
    with pytest.raises(RuntimeError):
        net.backward(y)
    assert [sys.getrefcount(array) for array in (X, y, labels)] == before


@needs_posix
def test_no_memory_for_a_batch():
    """A pass needs 12 GB of activations, and the process may have 4: MemoryError, and the network still works."""
    program = """
        import json, resource
        import numpy as np, fastprop as fp

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        net = fp.Network([1, 4096, 1], seed=0)
        before = net.parameters.tobytes()
        try:
            net.forward(np.zeros((400_000, 1), np.float32))
        except MemoryError as error:
            message = str(error)
        else:
            message = "no error"
        net.forward(np.ones((5, 1)))
        net.backward(np.ones((5, 1)))
        net.value_and_gradient(np.ones((5, 1)), np.ones(5), loss="half_mse")
        print(json.dumps([message, net.parameters.tobytes() == before]))
    """
    message, unchanged = run(program)
    assert "400000 rows" in message and "use a smaller batch" in message and unchanged


# ---- the GIL ----


def longest_silence(work, net, trainer, X, y):
    """Return the largest share of the call's time for which a thread that asks for the GIL every millisecond waited."""
    ticks, ticking, over = [], threading.Event(), threading.Event()

    def tick():
        while not over.is_set():
            ticks.append(time.perf_counter())
            ticking.set()
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    ticking.wait()
    started = time.perf_counter()
    WORK[work](net, trainer, X, y)
    ended = time.perf_counter()
    over.set()
    ticker.join()
    heard = [started, *(t for t in ticks if started < t < ended), ended]
    return np.diff(heard).max() / (ended - started)


@pytest.fixture
def never_due():
    """Make the engine never take the GIL in the middle of its work."""
    interval = _engine.set_interrupt_interval(1e9)
    yield
    _engine.set_interrupt_interval(interval)


@pytest.mark.usefixtures("never_due")
@every_work
def test_other_threads_run_meanwhile(work):
    """Neither the first call, which allocates its memory, nor the engine's work itself holds the GIL for long.

    The measure is a share of the call, which every machine can reach: on a busy one the other thread waits in some
    calls, but if the engine held the GIL it would wait in every call.
    """
    assert any(longest_silence(work, *work_to_do(work, 8192)) < 0.3 for _ in range(100))


# ---- signals ----

# ways to work for a long time on some rows: name -> function of (network, trainer, X, y, batch)
LONG_WORK = {
    "epoch": lambda net, trainer, X, y, batch: trainer.epoch(X, y, batch_size=batch),
    "fit": lambda net, trainer, X, y, batch: net.fit(
        X, y, loss="half_mse", optimizer=trainer.optimizer, epochs=1, batch_size=batch
    ),
    "step": lambda net, trainer, X, y, batch: trainer.step(X, y),
    "value_and_gradient": lambda net, trainer, X, y, batch: net.value_and_gradient(X, y, loss="half_mse"),
    "call": lambda net, trainer, X, y, batch: net(X),
    "evaluate": lambda net, trainer, X, y, batch: trainer.evaluate(X, y),
    "forward": lambda net, trainer, X, y, batch: net.forward(X),
    "forward, backward": lambda net, trainer, X, y, batch: (net.forward(X), net.backward(y)),
}
every_long_work = pytest.mark.parametrize(
    "work, widths, batch, rows",
    [
        ("epoch", (4, 8, 1), 8, 50_000),
        ("epoch", (1, 1), 1, 50_000),
        ("epoch", (512, 512, 512, 10), 256, 1024),
        ("epoch", (512, 512, 512, 10), 1024, 1024),
        ("fit", (4, 8, 1), 8, 50_000),
        *[(work, (256, 256, 1), 0, 5000) for work in list(LONG_WORK)[2:]],
    ],
    ids=str,
)


@pytest.mark.usefixtures("always_due", "one_thread")
@every_long_work
def test_how_much_work_lies_between_two_looks_for_ctrl_c(isa, work, widths, batch, rows):
    """Between two checks is at most one call of a kernel: 1024 rows of the widest layer, or 32 of portable kernels.

    A short step, and many steps of a small network together, update the weights without another check. In time, 1024
    rows of 512 x 512 weights take 20 ms at 25 GFLOP/s, as long as 32 rows in portable kernels at 1 GFLOP/s.
    """
    net, trainer = make(widths)
    X, y = data(rows, widths[0], widths[-1])
    layers = [2 * n_in * n_out for n_in, n_out in zip(widths, widths[1:])]  # flops of one product and row
    products = sum(layers)
    if work not in ("call", "evaluate", "forward"):
        products = 3 * products - (layers[0] if work != "forward, backward" else 0)  # dx is not computed
    before = _engine.interrupt_checks()
    LONG_WORK[work](net, trainer, X, y, batch)
    looks = _engine.interrupt_checks() - before
    most = max(layers) * (32 if isa == "portable" else 1024)
    if sum(layers) * batch < 300_000_000:  # SHORT_STEP_FLOPS of plan.pxi
        most += sum(layers) * batch
    assert looks >= products * rows // (1_000_000 + most)  # FLOPS_PER_CLOCK_READ of interrupts.pxi


@pytest.fixture
def alarms():
    """Calls a function from a signal handler again and again, each time 5 ms after the last call ended."""

    def set_off(handler):
        def handle(*_):
            handler()
            signal.setitimer(signal.ITIMER_REAL, 0.005)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.005)

    if not ON_POSIX:
        pytest.skip("needs SIGALRM")
    old = signal.getsignal(signal.SIGALRM)
    yield set_off
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def in_mid_step(use):
    """Return whether the engine refuses a call because the network is in the middle of a step."""
    try:
        use()
    except RuntimeError as error:
        return "in the middle of a step" in str(error)
    return False


MANY = 300  # rounds of work, until a signal arrives in a step: usually in the first or second round


def in_steps(trainer, X, y, batch, steps):
    """Take the first `steps` steps of the trainer's next epoch, one by one."""
    order = np.empty(len(X), np.int64)
    _engine.shuffle(order, trainer.seed, trainer.steps)
    for start in range(0, steps * batch, batch):
        trainer.step(X[order[start : start + batch]], y[order[start : start + batch]])


@pytest.mark.usefixtures("always_due")
@every_long_work
def test_ctrl_c(alarms, work, widths, batch, rows):
    """A handler that raises in a step ends the work; the parameters are those of a whole step, and all still works."""
    net, trainer = make(widths)
    X, y = data(rows, widths[0], widths[-1])

    def handler():
        if in_mid_step(lambda: copy.copy(net)):  # a call that does not come between a forward and its backward
            raise KeyboardInterrupt

    def work_on():
        for _ in range(MANY):
            LONG_WORK[work](net, trainer, X, y, batch)

    alarms(handler)
    with pytest.raises(KeyboardInterrupt):
        work_on()
    signal.setitimer(signal.ITIMER_REAL, 0)
    if work == "epoch":  # the parameters equal those of an undisturbed trainer after the same number of steps
        twin, replay = make(widths)
        while trainer.steps - replay.steps >= -(-rows // batch):
            replay.epoch(X, y, batch_size=batch)
        in_steps(replay, X, y, batch, trainer.steps - replay.steps)
        assert twin.parameters.tobytes() == net.parameters.tobytes()
    assert np.all(np.isfinite(net.parameters))
    trainer.step(X[:5], y[:5])


@pytest.mark.usefixtures("always_due")
@every_work
def test_a_handler_that_uses_the_network_in_a_step(alarms, work):
    """The use is refused, the work goes on, and its result is that of undisturbed work."""
    net, trainer, X, y = work_to_do(work)
    other = make()[0]
    uses = {
        "call": lambda: net(X[:2]),
        "backward": lambda: net.backward(y),
        "forward": lambda: net.forward(X[:2]),
        "value_and_gradient": lambda: net.value_and_gradient(X[:2], y[:2], loss="half_mse"),
        "evaluate": lambda: trainer.evaluate(X[:2], y[:2]),
        "step": lambda: trainer.step(X[:2], y[:2]),
        "epoch": lambda: trainer.epoch(X[:2], y[:2], batch_size=1),
    }
    probe = "backward" if work == "backward" else "call"  # a use that does no harm before or after the step
    refused = []

    def said(name):
        try:
            uses[name]()
        except RuntimeError as error:
            return str(error)
        return ""

    def handler():
        if in_mid_step(uses[probe]):
            refused.append([said(name) for name in uses])
            other(X[:2])  # another network may be used

    alarms(handler)
    rounds = 0
    while not refused and rounds < MANY:
        WORK[work](net, trainer, X, y)
        rounds += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert refused, "the handler ran in a step"
    for messages in refused:
        for name, message in zip(uses, messages):
            no_forward = name == "backward" and "call net.forward(X) first" in message
            assert "in the middle of a step" in message or no_forward, (name, message)
    twin, twin_trainer, _, _ = work_to_do(work)
    for _ in range(rounds):
        WORK[work](twin, twin_trainer, X, y)
    assert net.parameters.tobytes() == twin.parameters.tobytes()
    assert net.gradient.tobytes() == twin.gradient.tobytes()


@pytest.mark.usefixtures("always_due")
def test_a_handlers_exception_reaches_the_user(alarms):
    net, trainer, X, y = work_to_do("epoch")
    an_epoch = len(X) // 64

    class Stop(Exception):
        pass

    def handler():
        if trainer.steps % an_epoch:
            raise Stop("time is up")

    def train():
        for _ in range(MANY):
            trainer.epoch(X, y)

    alarms(handler)
    with pytest.raises(Stop, match="time is up"):
        train()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert trainer.steps % an_epoch
    twin, replay = make()
    while trainer.steps - replay.steps >= an_epoch:
        replay.epoch(X, y)
    in_steps(replay, X, y, 64, trainer.steps - replay.steps)
    assert twin.parameters.tobytes() == net.parameters.tobytes()


def keeps_denormals():
    """Return whether this thread's floating-point unit computes with denormal numbers."""
    tiny = float(np.finfo(np.float64).smallest_subnormal)
    return tiny + tiny > tiny > 0 and bool(np.float32(1e-40) * np.float32(2) > 0)


@pytest.mark.usefixtures("always_due")
@every_work
def test_the_floating_point_state_is_the_callers(alarms, work):
    """Denormals are flushed to zero in the kernels only: not after them, in a handler or in a callback."""
    net, trainer, X, y = work_to_do(work)
    probe = (lambda: net.backward(y)) if work == "backward" else (lambda: net(X[:2]))
    in_handler, in_callback = [], []

    def handler():
        if in_mid_step(probe):
            in_handler.append(keeps_denormals())

    alarms(handler)
    for _ in range(MANY):
        if work == "epoch":
            trainer.epoch(X, y, progress=lambda *_: in_callback.append(keeps_denormals()))
        else:
            WORK[work](net, trainer, X, y)
        if len(in_handler) >= 2:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert keeps_denormals()
    assert len(in_handler) >= 2 and all(in_handler)
    assert all(in_callback) and bool(in_callback) == (work == "epoch")


# ---- import ----

NOT_NEEDED = {
    *["argparse", "csv", "json", "hashlib", "difflib", "secrets", "random", "tempfile", "shutil", "logging", "typing"],
    *["subprocess", "multiprocessing", "asyncio", "concurrent.futures", "tqdm", "rich"],
    *["numpy.random", "numpy.ma", "numpy.linalg", "numpy.testing", "numpy.typing"],
    *["fastprop.cli.main", "fastprop.cli._common", "fastprop.samples"],
    *["fastprop.tabular.csv", "fastprop.tabular.encoders"],
}


def test_import_is_lean():
    """Beyond what NumPy imports, fastprop imports almost nothing, and no further module of NumPy."""
    program = """
        import sys
        import numpy
        before = set(sys.modules)
        import fastprop
        sys.stdout.write(repr(sorted(set(sys.modules) - before)).replace("'", '"'))
    """
    brought = run(program)
    assert "fastprop._core._engine" in brought
    assert not set(brought) & NOT_NEEDED


def test_training_imports_nothing_of_numpys():
    """If a process forks while another thread imports, the child waits for that thread's lock for ever."""
    program = """
        import json, sys
        import numpy as np, fastprop as fp
        net = fp.Network([4, 8, 3], seed=0)
        before = set(sys.modules)
        X, y = np.zeros((20, 4)), np.arange(20) % 3
        net.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=2, validation=0.2, metrics="accuracy")
        net(X), net.forward(X), net.backward(np.zeros((20, 3)))
        print(json.dumps(sorted(name for name in set(sys.modules) - before if name.startswith("numpy"))))
    """
    assert run(program) == []


# ---- the stubs ----


@pytest.mark.parametrize("name", ["_engine", "_portable"])
def test_stubs_name_what_is_there(name):
    module = importlib.import_module(f"fastprop._core.{name}")
    stub = Path(module.__file__).with_name(f"{name}.pyi")
    assert stub.exists(), "a compiled module needs a stub, or type checkers know nothing about it"

    def public(names):
        return {name for name in names if not name.startswith("_")}

    tree = ast.parse(stub.read_text())
    defined = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    there = {key: value for key, value in vars(module).items() if not isinstance(value, type(ast))}
    stated = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert public(defined) | public(stated) == public(there)
    for key, node in defined.items():
        if isinstance(node, ast.ClassDef):
            members = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            members |= {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
            assert public(members) == public(vars(there[key])), key
        else:
            arguments = there[key].__code__.co_varnames[: there[key].__code__.co_argcount]
            assert tuple(a.arg for a in node.args.args) == arguments, key
