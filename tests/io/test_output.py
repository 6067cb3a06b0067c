"""Every file that the package writes is the old one or the new one: on a full disk, without permission, or killed."""

import ast
import builtins
import contextlib
import ctypes
import errno
import functools
import io
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp
from fastprop.cli.main import main
from fastprop.io import model_file
from fastprop.io import output as _output

PACKAGE = Path(fp.__file__).parent


def network(version):
    return fp.Network([2, 3, 1], seed=version)


def command(*args):
    """Run a command, and raise its message as an error if it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = main([str(arg) for arg in args])
    if status:
        raise OSError(said.getvalue())


def train(place, version, *args):
    command("train", place / "t.csv", "--target", "y", "--effort", "low", "--no-compare", "--seed", version, *args)


def trained(place, version):
    return place / f"model-{version}.safetensors"


@functools.cache
def reported(place, version):
    """Return what a report describes."""
    from fastprop.cli import report

    runs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda *run: runs.append(run[:-1]))
        train(place, version, "--out", place / "reported", "--report", place / "none")
    return runs[0]


def write_report(place, path, version):
    from fastprop.cli import report

    with pytest.MonkeyPatch.context() as patch:
        # pictures take seconds
        patch.setattr(report, "_svgs", lambda name, n, *drawn: [f"<svg>{name}{k}</svg>" for k in range(n)])
        report.write(*reported(place, version), path)


# Each writer writes the first or the second version of a file; a new writer is a line here, with the package it needs.
WRITERS = {
    "model": (lambda place, path, v: network(v).save(path), None),
    "notes": (lambda place, path, v: model_file.save(network(v), path, notes={"version": v}), None),
    "checkpoint": (lambda place, path, v: fp.Trainer(network(v), loss="half_mse", optimizer="adam").save(path), None),
    "C": (lambda place, path, v: network(v).to_c(path), None),
    "ONNX": (lambda place, path, v: network(v).to_onnx(path), "onnx"),
    "trace": (lambda place, path, v: fp.trace(network(v), [[1, 2]], [3], loss="half_mse").to_html(path), None),
    "train": (lambda place, path, v: train(place, v, "--out", path), None),
    "report": (write_report, "matplotlib"),
    "predict": (lambda place, path, v: command("predict", trained(place, v), place / "t.csv", "--out", path), None),
    "explain": (lambda place, path, v: command("explain", trained(place, v), place / "t.csv", "--out", path), None),
}


def prepare(place):
    """Make what the writers need: a table, and two models that were trained on it."""
    rows = np.random.default_rng(0).normal(size=(40, 2))
    (place / "t.csv").write_text("a,b,y\n" + "".join(f"{a},{b},{a + b}\n" for a, b in rows))
    for version in (1, 2):
        train(place, version, "--out", trained(place, version))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    prepare(place)
    return place


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.peer] * bool(WRITERS[name][1])) for name in WRITERS])
def write(request, place):
    """Return a writer: write(path, version)."""
    function, needed = WRITERS[request.param]
    if needed:
        pytest.importorskip(needed)

    def write(path, version):
        function(place, path, version)

    write.name = request.param
    write(place / "warm", 1)  # the files that imports and caches open are not tested
    (place / "warm").unlink()
    return write


@contextlib.contextmanager
def refused(path):
    """Check that an error names the file that the user knows, and no other."""
    with pytest.raises(OSError) as caught:
        yield
    assert path.name in str(caught.value) and ".fastprop-" not in str(caught.value)


def fails(write, path, failing):
    """Check that a failure leaves the old file, or no file where there was none."""
    directory = path.parent
    assert os.listdir(directory) == []
    with refused(path), failing:
        write(path, 2)
    assert os.listdir(directory) == []
    write(path, 1)
    old = path.read_bytes()
    with refused(path), failing:
        write(path, 2)
    assert path.read_bytes() == old and os.listdir(directory) == [path.name]
    write(path, 2)
    assert path.read_bytes() != old


class Filling(io.FileIO):
    """A file on a disk that has space for `space` bytes."""

    space = 0

    def write(self, data):
        data = bytes(data)
        if len(data) > self.space:
            super().write(data[: self.space])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.space -= len(data)
        return super().write(data)


@contextlib.contextmanager
def full_disk(space):
    """A context in which the disk has space for this many bytes; if all fit, it is fsync that fails."""

    def limited(path, mode="r", **how):
        if "r" in mode:
            return builtins.open(path, mode, **how)
        file = Filling(path, mode.replace("b", ""))
        file.space = space
        return file

    def no_room(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_output, "open", limited, raising=False)
        patch.setattr(os, "fsync", no_room)
        yield


@contextlib.contextmanager
def size_limit(space):
    """A context in which the kernel lets no file of this process grow beyond this many bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.exhaustive
@pytest.mark.parametrize("fill", [0, 1, 0.4, 0.9, "all but the last byte"])
@pytest.mark.parametrize("disk", [full_disk, size_limit])
def test_a_full_disk(write, place, tmp_path, disk, fill):
    write(place / "whole", 2)
    size = (place / "whole").stat().st_size
    space = size - 1 if isinstance(fill, str) else int(fill * size) if fill != 1 else 1
    fails(write, tmp_path / "wanted.out", Once(lambda: disk(space)))


class Once:
    """A context manager that may be entered more than once; each time it makes a new one."""

    def __init__(self, new):
        self.new = new

    def __enter__(self):
        self.one = self.new()
        return self.one.__enter__()

    def __exit__(self, *error):
        return self.one.__exit__(*error)


@contextlib.contextmanager
def read_only(path):
    """Permissions forbid writing, and root has given up the right to ignore them (CAP_DAC_OVERRIDE)."""
    if os.name != "posix":
        pytest.skip("permissions of POSIX")
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    mode, root = path.stat().st_mode, os.geteuid() == 0
    path.chmod(stat.S_IMODE(mode) & ~0o222)
    if root:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "capset"):
            pytest.skip("root writes everywhere")
        libc.capget(header, sets)
        effective = sets[0]
        sets[0] &= ~0b10
        assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        if root:
            sets[0] = effective
            libc.capset(header, sets)
        path.chmod(mode)


def test_a_read_only_directory(write, tmp_path):
    fails(write, tmp_path / "wanted.out", Once(lambda: read_only(tmp_path)))


def test_a_read_only_file(write, tmp_path):
    path = tmp_path / "wanted.out"
    write(path, 1)
    old = path.read_bytes()
    with refused(path), read_only(path):
        write(path, 2)
    assert path.read_bytes() == old and os.listdir(tmp_path) == [path.name]


def kill_after(steps):
    """Kill this process when, after the first file is opened for writing, `steps` + 1 calls for files have returned."""
    left = None

    def opened(event, args):
        nonlocal left
        if event == "open" and left is None and args[2] & (os.O_WRONLY | os.O_RDWR):
            left = steps

    def look(frame, event, called):
        nonlocal left
        of_files = isinstance(getattr(called, "__self__", None), (io.FileIO, io.BufferedWriter, io.TextIOWrapper))
        if event == "c_return" and left is not None and (of_files or called.__module__ in ("posix", "io", "_io")):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(opened)
    sys.setprofile(look)


def killed_everywhere(name, place, path):
    """Run in a process of its own: its children write, and each is killed one step later than the one before.

    Prints how many were killed, and after which steps the file was neither the old one nor the new one.
    """
    write, path = functools.partial(WRITERS[name][0], Path(place)), Path(path)
    versions = []
    for version in (2, 1):
        write(path, version)
        versions.append(path.read_bytes())
    bad, kills, alive = [], 0, False
    while not alive:
        pid = os.fork()
        if not pid:
            kill_after(kills)
            write(path, 2)
            os._exit(0)
        alive = os.waitpid(pid, 0)[1] == 0
        kills += not alive
        if path.read_bytes() not in versions:
            bad.append(kills)
    print(kills, bad, path.read_bytes() == versions[0])


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_killed_at_each_step(write, place, tmp_path):
    code = f"import test_output; test_output.killed_everywhere({write.name!r}, {str(place)!r}, 'wanted.out')"
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, cwd=tmp_path, env=os.environ | {"PYTHONPATH": places}, check=True
    )
    kills, said = done.stdout.decode().split(maxsplit=1)
    assert int(kills) >= 5 and said == "[] True\n"


def test_no_other_place_writes_files():
    """Any call that could write a file is in ``output.py``; all other code goes through it."""
    methods = {"write_text", "write_bytes", "savefig", "tofile", "save", "savez", "savez_compressed", "savetxt"}
    allowed = {
        ("main.py", "open"): "os.open(os.devnull",
        ("streams.py", "open"): "os.open(os.devnull",
        ("report.py", "savefig"): "figure.savefig(text",  # a StringIO
        ("train.py", "save"): "model.save(",
        ("estimators.py", "save"): "self.model_.save(",
        ("model.py", "save"): "self.ensemble.save(",
        ("dialect.py", "open"): ("path.open('rb')", "gzip.open(path)", "zipfile.ZipFile(path).open("),  # to read
        ("readers.py", "open"): "path.open('rb')",
        ("_conveniences.py", "save"): "model_file.save(",
        ("playground.py", "open"): "webbrowser.open(",
    }
    found = set()
    for source in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            text = ast.unparse(node)
            modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
            reads = text.startswith("open(") and all(ast.unparse(mode) in ("'r'", "'rb'") for mode in modes)
            writes = name in methods or (name == "open" and not reads)
            if writes and not text.startswith(allowed.get((source.name, name), "?")):
                found.add(source.name)
    assert found == {"output.py"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices of POSIX")
class TestStreams:
    def test_a_pipe_is_written_to_and_stays(self, place, tmp_path):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        for name in ("C", "trace", "predict", "explain"):
            WRITERS[name][0](place, place / "whole", 1)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                wanted = (place / "whole").read_bytes()[:4096]  # a pipe holds 16 pages of 4096 bytes
                with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
                    os.close(reader)
                    reader = -1
                    WRITERS[name][0](place, path, 1)
                    assert cat.stdout.read()[: len(wanted)] == wanted
            finally:
                if reader >= 0:
                    os.close(reader)
            assert stat.S_ISFIFO(path.stat().st_mode) and os.listdir(tmp_path) == ["pipe"]

    @pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
    def test_the_standard_output_keeps_what_was_printed(self, tmp_path, name):
        code = f"import fastprop as fp; print('before'); fp.Network([1, 1], seed=0).to_c({name!r}); print('after')"
        with open(tmp_path / "out", "wb") as out:
            subprocess.run([sys.executable, "-P", "-c", code], stdout=out, check=True)
        said = (tmp_path / "out").read_text()
        assert said.startswith("before\n") and said.endswith("after\n") and "void predict" in said

    @pytest.mark.parametrize("name", ["/dev/null", "/dev/stdout", "/dev/fd/1"])
    def test_a_model_is_read_back_so_it_goes_to_a_file(self, place, name):
        with pytest.raises(ValueError, match="is a device or a pipe"):
            network(1).save(name)
        with pytest.raises(OSError, match=f"--out {name} is a device or a pipe"):
            WRITERS["train"][0](place, name, 1)
        network(1).to_c("/dev/null")


def test_text_that_is_no_text(tmp_path):
    """A title may contain a path with bytes that are not UTF-8."""
    _output.write(tmp_path / "x", "a\udcff", b"\xff")
    assert (tmp_path / "x").read_bytes() == b"a\\udcff\xff"


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_one_file_under_two_names(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    other.symlink_to(one)
    assert _output.same(one, other)  # before it exists
    one.write_bytes(b"")
    hard = tmp_path / "hard"
    hard.hardlink_to(one)
    assert _output.same(one, other) and _output.same(hard, other) and not _output.same(one, tmp_path / "none")
