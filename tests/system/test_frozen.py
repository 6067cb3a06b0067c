"""A program that PyInstaller froze works as before, with the hook that is part of fastprop."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastprop as fp
from fastprop import _pyinstaller
from fastprop._util import lazy

PROGRAM = """
import os, sys
import numpy as np
import fastprop as fp
from fastprop.playground.server import Server
from fastprop.playground.session import Session
from fastprop.samples import load_digits

assert sys.frozen and "sklearn" not in sys.modules
X, y = load_digits()
X = X[:100].astype("f4") / 16
net = fp.Network([64, 16, 10], seed=0)
history = net.fit(X, y[:100], loss="cross_entropy", optimizer="adam", epochs=5, validation=0.2, metrics="accuracy")
net.save("net.safetensors")
assert fp.load("net.safetensors")(X).tobytes() == net(X).tobytes()
trace = fp.trace(fp.Network([2, 3, 1], seed=0), np.ones((1, 2)), np.ones(1), loss="half_mse")
trace.to_html("trace.html")
assert "<svg" in open("trace.html", encoding="utf-8").read() and trace.explain("W1[0,0]").svg()
net.to_c("net.c")
with Server(Session()) as server:
    assert server.address
for name in fp.__all__:
    getattr(fp, name)
try:
    fp.Network([2, 1], activation="rleu")
except ValueError as error:
    assert "relu" in str(error)
print(repr(history))
"""
# Packages of this environment that the program does not use. With them freezing would take minutes.
WITHOUT = ["sklearn", "scipy", "matplotlib", "rich", "tqdm", "threadpoolctl", "PIL", "tkinter", "IPython", "setuptools"]
SECONDS = 900  # only a hang takes that long: it takes 10 to 20 seconds on one of two busy cores


def test_what_is_imported_by_name_is_named_where_tools_that_freeze_look():
    named = set(lazy._named.__code__.co_names)
    asked = set()
    for path in Path(fp.__file__).parent.rglob("*.py"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "LazyModule" in line]
        asked |= {name for line in lines for name in re.findall('"([a-z0-9.]+)"', line)}
    needed = {name for name in asked if name.partition(".")[0] in {"numpy", *sys.stdlib_module_names}}
    assert "json" in asked and needed <= named
    assert not {name.partition(".")[0] for name in asked - needed} & named  # optional packages make programs large


@pytest.mark.peer
def test_a_frozen_program(tmp_path):
    pytest.importorskip("PyInstaller", reason="the `peers` extra is not installed")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(fp.__file__).parents[1])}
    (hooks,) = _pyinstaller.get_hook_dirs()
    options = ["--onedir", "--noconfirm", "--log-level", "ERROR", "--additional-hooks-dir", hooks]
    options += [f"--exclude-module={name}" for name in WITHOUT]
    command = [sys.executable, "-P", "-m", "PyInstaller", *options, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    program = [str(tmp_path / "dist" / "program" / "program")]
    done = subprocess.run(program, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("<History: 5 epochs, cost ")


def test_python_m_fastprop():
    environment = {**os.environ, "PYTHONPATH": str(Path(fp.__file__).parents[1])}

    def ran(*arguments):
        command = [sys.executable, "-P", "-m", "fastprop", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)

    assert ran("--version").stdout == f"fastprop {fp.__version__}\n"
    wrong = ran("predict", "no-such-file.csv", "--model", "none")
    assert wrong.returncode == 2 and "usage: fastprop" in ran("--help").stdout
