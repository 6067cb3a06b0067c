"""What the commands print in a terminal: wrapped at its width, without colour, and as it is where it is piped."""

import csv
import io
import os
import re
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastprop._util import text
from fastprop.cli._common import StatusLine
from fastprop.cli.main import main
from fastprop.io import streams

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

COMMANDS = ["demo", "train", "predict", "explain", "playground", "info"]
LONG = "a_column_with_a_name_that_is_longer_than_most_terminals_are_wide, and with words"


def in_terminal(columns, *args, **env):
    """Run a command in a terminal of some columns; return its status and the lines as the terminal gets them."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-P", "-m", "fastprop.cli.main", *map(str, args)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=known | env) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the end, on Linux
            pass
    os.close(ours)
    return process.returncode, re.split(r"[\r\n]+", said.decode())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("terminal") / "t.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [[k % 7, (k * k) % 5, "yes" if (k % 7) * ((k * k) % 5) > 6 else "no"] for k in range(60)]
        csv.writer(file).writerows([["\u6e29\u5ea6 of the water", LONG, "answer"], *rows])
    return path


@pytest.fixture(scope="module")
def model(table):
    path = table.with_name("model.safetensors")
    assert main(["train", str(table), "--target", "answer", "--effort", "low", "--no-compare", "--out", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    "command, columns",
    [
        *[("demo", 40), ("demo", 80), ("train", 50), ("explain", 40), ("explain", 120), ("quantity", 50)],
        *[("info", 40), ("error", 80)],
    ],
)
def test_no_line_is_wider_than_the_terminal(command, columns, table, model):
    again = table.with_name("again.safetensors")
    args = {
        "demo": ["demo", "--epochs", "2"],
        "train": ["train", table, "--target", "answer", "--effort", "low", "--no-compare", "--out", again],
        "explain": ["explain", model, table, "--row", "3"],
        "quantity": ["explain", model, table, "--row", "3", "--quantity", "b2[0]"],
        "info": ["info"],
        "error": ["predict", model, "no_file_of_this_name_is_here_and_so_there_is_an_error_message_about_it.csv"],
    }
    status, lines = in_terminal(columns, *args[command])
    wide = [line for line in lines if text.width(line) > columns]
    assert wide == []
    assert status == (2 if command == "error" else 0) or command == "quantity"
    assert len(lines) > 3 or command == "error"


def test_columns_overrules_the_terminal(table):
    _, lines = in_terminal(200, "info", COLUMNS="40")
    assert max(map(len, lines)) <= 40
    _, lines = in_terminal(0, "--help")  # a terminal that does not say its size
    assert 70 < max(map(len, lines)) <= streams.USUAL


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_fits(command, columns, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*([command] if command else []), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 30 < max(map(len, lines)) <= columns and lines[0].startswith("usage: fastprop")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_there_is_no_escape_sequence(env):
    status, lines = in_terminal(80, "demo", "--epochs", "1", **env)
    assert status == 0 and not any("\x1b" in line for line in lines)


def test_what_is_piped_is_not_wrapped(model, table, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = run("explain", model, table, "--row", "3")
    assert max(map(len, out.splitlines())) > 80
    status, lines = in_terminal(40, "predict", model, table)
    _, out, _ = run("predict", model, table)
    assert status == 0 and [line for line in lines if line.startswith(("yes", "no,"))] == out.splitlines()[1:], "data"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


NAMES = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=90)


@given(st.integers(40, 200), st.lists(NAMES, max_size=5))
@settings(max_examples=50)
def test_whatever_is_printed_fits(columns, names):
    screen, printed = Screen(), "".join(f"note: {name!r}\n" for name in names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        terminal = streams.Terminal(screen)
        for piece in re.findall(r"(?s).{1,7}", printed):  # as prints come, in parts of a line
            terminal.write(piece)
        terminal.flush()
    assert all(text.width(line) <= columns for line in screen.getvalue().split("\n"))
    assert "".join(screen.getvalue().split()) == "".join(printed.split())
    file = io.StringIO()
    streams.Terminal(file).write(printed)
    assert file.getvalue() == printed


@pytest.mark.parametrize("columns", [40, 50])
def test_the_line_of_a_training_has_the_cost_and_the_time_left(columns, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    line = StatusLine()
    numbers = ["cost 0.2917", "0:10 left"]
    line.say("training: network 3 of 4", "epoch 463/1500", *numbers, first=numbers)
    shown = screen.getvalue().strip()
    assert len(shown) < columns and shown.endswith(", cost 0.2917, 0:10 left")
