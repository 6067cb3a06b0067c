"""A command does its work whatever stdout and stderr are: of another encoding, closed, None, full, or broken."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp
from fastprop.cli.main import main
from fastprop.io import streams

TARGET = "\u57ce\u5e02"
CLASSES = "\u00e9", "\u4e0a\u6d77"
TRAIN = ["train", "t.csv", "--target", TARGET, "--effort", "low", "--no-compare"]


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i % 7},{i % 3},{CLASSES[i % 2]}\n" for i in range(60)]
    Path("t.csv").write_text(f"a,b,{TARGET}\n" + "".join(rows), encoding="utf-8")


@pytest.fixture
def model(capfd):
    assert main(TRAIN) == 0
    capfd.readouterr()
    return "t.safetensors"


def shell(redirection, *args, env=None):
    """Run a command with redirections of a shell; return its status, output and errors."""
    command = [sys.executable, "-m", "fastprop.cli.main", *args]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *command], capture_output=True, env={**os.environ, **(env or {})}
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_an_output_of_another_encoding(encoding):
    status, out, err = shell("", *TRAIN, env={"PYTHONIOENCODING": encoding})
    assert status == 0 and err == b"" and Path("t.safetensors").exists()
    said = TARGET.encode(encoding, "backslashreplace").decode(encoding)
    assert f"task: classification of '{said}'" in out.decode(encoding)
    for more in (["--out", "p.csv"], []):
        status, out, err = shell("", "predict", "t.safetensors", "t.csv", *more, env={"PYTHONIOENCODING": encoding})
        assert status == 0 and b"Error" not in err
    names = [f"probability_{name}" for name in CLASSES]
    assert Path("p.csv").read_text("utf-8").splitlines()[0].split(",") == ["prediction", *names]


posix = pytest.mark.skipif(os.name != "posix", reason="redirections of POSIX shells")


@pytest.mark.exhaustive
@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    "args", [TRAIN, ["info"], ["--help"], ["predict", "--help"], ["demo", "--epochs", "1"]], ids=lambda args: args[0]
)
def test_nowhere_to_print(closed, args):
    if "full" in closed and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    status, out, err = shell(closed, *args)
    assert status == 0 and err == b""
    assert (out == b"") == (">&-" in closed.replace("2>&-", ""))
    if args is TRAIN:
        assert fp.Ensemble.load("t.safetensors").networks[0].n_outputs == 2


@posix
def test_notes_go_nowhere_and_not_among_the_results(model):
    everything = shell("", "predict", model, "t.csv")
    assert everything[0] == 0 and everything[2] != b""
    assert shell("2>&-", "predict", model, "t.csv") == (0, everything[1], b"")
    assert shell("2>&-", "predict", model, "none.csv") == (2, b"", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    "args",
    [TRAIN, ["info"], ["--version"], ["predict", "t.safetensors", "t.csv"], ["explain", "t.safetensors", "t.csv"]],
    ids=lambda args: args[0],
)
def test_a_full_output_is_told_after_the_work(model, args):
    before = Path(model).read_bytes()
    status, _, err = shell(">/dev/full", *args)
    lines = err.decode().splitlines()
    assert status == 2 and lines[-1] == "fastprop: error: the standard output: No space left on device"
    assert all(line.startswith("fastprop: ") for line in lines)
    assert Path(model).read_bytes() == before  # a training with the same seed wrote it again


@posix
def test_a_reader_that_leaves_does_not_cost_the_model():
    command = [sys.executable, "-u", "-m", "fastprop.cli.main", *TRAIN[:4], "--effort", "high"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"table: ")
        process.stdout.close()
        said = process.stderr.read()
        assert b"error" not in said and b"Traceback" not in said  # progress and notes alone
    assert process.returncode == 141
    assert fp.Ensemble.load("t.safetensors").networks[0].n_outputs == 2


@posix
def test_a_page_has_the_standard_output_for_itself(model):
    assert main(["explain", model, "t.csv", "--out", "page.html"]) == 0
    page = Path("page.html").read_bytes()
    for name in ("-", "/dev/stdout"):
        status, out, err = shell("", "explain", model, "t.csv", "--out", name)
        assert status == 0 and out == page
        assert b"Trace of <Network" in err


def test_a_dash_is_the_standard_output(model, run):
    wanted = run("predict", model, "t.csv")
    assert run("predict", model, "t.csv", "--out", "-") == wanted
    status, _, err = run("train", "t.csv", "--target", TARGET, "--out", "-")
    assert status == 2 and "is a device or a pipe, wanted the path of an ordinary file" in err
    assert sorted(os.listdir()) == ["t.csv", "t.safetensors"]


class Broken(io.TextIOBase):
    """A stream that raises errors."""

    def __init__(self, error, encoding="utf-8"):
        self.error, self.encoding_, self.said = error, encoding, []

    @property
    def encoding(self):
        return self.encoding_

    def isatty(self):
        return True

    def write(self, text):
        self.said.append(text)
        text.encode(self.encoding)
        if self.error:
            raise self.error
        return len(text)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stream", [None, closed(), Broken(OSError(28, "full")), Broken(None, "ascii"), Broken(ValueError("closed"))]
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_progress_where_it_cannot_be_shown(monkeypatch, stream, name):
    X = np.random.default_rng(0).normal(size=(50, 3))

    def mine(y, outputs):
        return 1.0

    monkeypatch.setattr(sys, name, stream)
    nets = [fp.Network([3, 4, 1], seed=0) for _ in range(2)]
    how = {"loss": "half_mse", "optimizer": "sgd", "epochs": 3, "validation": 0.2, "metrics": {TARGET: mine}}
    for net, shown in zip(nets, (True, False)):
        net.fit(X, X[:, :1], progress=shown, **how)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    if isinstance(stream, Broken) and name == "stdout" and stream.encoding == "ascii":
        assert any("\\u57ce\\u5e02 1" in text for text in stream.said)


@pytest.mark.peer
@pytest.mark.parametrize("stream", [None, closed(), Broken(OSError(28, "full")), Broken(None, "ascii")])
def test_a_verbose_estimator_where_it_cannot_be_shown(monkeypatch, stream):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "stdout", stream)
    X = np.random.default_rng(0).normal(size=(50, 3))
    fp.MLPRegressor(hidden_layer_sizes=(4,), max_iter=300, tol=1.0, verbose=True).fit(X, X[:, 0])


def test_a_stream_of_nothing_has_no_descriptor():
    nothing = streams.Stream(None)
    assert not nothing.isatty() and nothing.write("x") == 1 and nothing.encoding == "utf-8"
    with pytest.raises(OSError, match="no descriptor"):
        nothing.fileno()


@posix
def test_a_file_gets_none_of_the_standard_descriptors():
    """Otherwise what C code prints, such as the warnings of a BLAS, would go into the file."""
    code = (
        "import os, sys\nfrom fastprop.cli import info, main\n"
        "info.run = lambda args: sys.exit(os.open('t.csv', os.O_RDONLY))\n"
        "sys.exit(main.main(['info']))"
    )
    done = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-P", "-c", code])
    assert done.returncode > 2
