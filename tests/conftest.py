"""What the tests share: every ISA that this CPU has, both dtypes, the command line, and a browser."""

import signal
import sys
from collections import defaultdict
from contextlib import contextmanager
from zlib import crc32

import access
import headless
import pytest
from hypothesis import HealthCheck, settings
from kernels_ctypes import kernels_of, usable_isas

import fastprop as fp
from fastprop._core import _engine
from fastprop.training import trainer

# benchmarks/, which pytest puts first, has a module `distributed`, as Dask has: it comes last, in worker processes too.
for path in [path for path in sys.path if path.endswith("benchmarks")]:
    sys.path.remove(path)
    sys.path.append(path)

# However long an example takes, or the making of one: this machine may be slow, or busy.
settings.register_profile("fastprop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fastprop")

SHARE = 7  # of so many cases of a test marked exhaustive one is run, unless all are asked for


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run every case of the tests marked exhaustive")


def pytest_collection_modifyitems(config, items):
    """Select the cases to run.

    Of each SHARE neighbouring cases of a test marked exhaustive one is kept, drawn by its name: always the same one.
    A case marked ``exhaustive(alone=True)`` takes long by itself, and is left out.
    """
    if config.getoption("exhaustive"):
        return
    cases, left_out = defaultdict(list), set()
    for item in items:
        if marker := item.get_closest_marker("exhaustive"):
            if marker.kwargs.get("alone"):
                left_out.add(item)
            else:
                cases[item.nodeid.partition("[")[0]].append(item)
    for of_one_test in cases.values():
        for first in range(0, len(of_one_test), SHARE):
            _, *others = sorted(of_one_test[first : first + SHARE], key=lambda item: crc32(item.nodeid.encode()))
            left_out.update(others)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


# A shell starts what it runs in the background with Ctrl-C ignored, and so would be all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=usable_isas())
def isa(request):
    """The name of an ISA, whose table serves every network made during the test."""
    before = _engine.serving_isa()
    assert _engine.select_isa(request.param) == request.param
    yield request.param
    served = _engine.serving_isa()
    _engine.select_isa(before)
    assert served == request.param, f"got the ISA {served} at the end of a test of {request.param}"


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The name of a dtype."""
    return request.param


@pytest.fixture
def kernels(isa, dtype):
    """Name -> callable kernel, of the table of `isa` and `dtype`."""
    return kernels_of(isa, dtype)


@pytest.fixture
def always_due(monkeypatch):
    """Whatever the clock says, work asks Python for signals and progress after every million flops."""
    interval = _engine.set_interrupt_interval(0)
    monkeypatch.setattr(trainer, "PROGRESS_INTERVAL", -1)
    yield
    _engine.set_interrupt_interval(interval)


@pytest.fixture
def one_thread():
    """No pool: where that works, its caller may get nothing to do in a step, and asks after work of its own only."""
    with number_of_threads(1):
        yield


@pytest.fixture
def threads(request):
    """The number of threads during the test, given by ``parametrize("threads", [...], indirect=True)``."""
    with number_of_threads(request.param):
        yield request.param


@contextmanager
def number_of_threads(n):
    before = fp.get_num_threads()
    fp.set_num_threads(n)
    try:
        yield
    finally:
        fp.set_num_threads(before)


@pytest.fixture
def python_calls():
    """Counts the calls, of Python functions and of C's, that a function makes: work that no clock has to measure."""

    def count(function):
        calls = 0

        def note(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            function()
        finally:
            sys.setprofile(None)
        return calls

    return count


@pytest.fixture
def run(capfd):
    """Runs the command line; gives its status, standard output and standard error."""
    from fastprop.cli.main import main

    def run(*args):
        status = main([str(arg) for arg in args])
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    pytest.importorskip("selenium", reason="selenium is not installed: pip install '.[peers]'")
    if not headless.paths():
        pytest.skip("no chromium and chromedriver on this machine: apt-get install chromium chromium-driver")
    driver = headless.start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(request):
    """A headless Chromium, one for each file of tests."""
    assert request.node.get_closest_marker("peer"), "it may skip, so mark this test: use pytest.mark.peer"
    return request.getfixturevalue("chromium")


@pytest.fixture
def inspector(browser):
    """What looks at the page of the browser as everyone sees it: axe-core, contrast, motion, paper."""
    pytest.importorskip(access.AXE, reason="axe-core is not installed: pip install '.[peers]'")
    return access.Inspector(browser)


@pytest.fixture(scope="module")
def torch():
    """PyTorch on one thread."""
    torch = pytest.importorskip("torch", reason="the `peers` extra is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def keras(torch):
    """Keras with PyTorch as its backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        yield pytest.importorskip("keras", reason="the `peers` extra is not installed")


@pytest.fixture(scope="module")
def neural():
    """scikit-learn's estimators."""
    return pytest.importorskip("sklearn.neural_network", reason="the `peers` extra is not installed")


@pytest.fixture
def threads_and_isa_restored():
    """After the test the number of threads and the table of kernels are what they were before."""
    threads, isa = fp.get_num_threads(), _engine.serving_isa()
    yield
    fp.set_num_threads(threads)
    _engine.select_isa(isa)
