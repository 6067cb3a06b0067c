"""Run the blocks of code of a page of docs/ as a reader does: from the top, in a new folder.

A ```python block may be followed by an ```output block, which is what it prints; an exception that ends it is its last
line. Lines of a ```console block that begin with "$ " are commands, the others what they print. "..." stands for any
text. A page whose blocks need other packages names them in its front matter, `needs: torch, sklearn`, or in a comment
in its first line, `<!-- needs: torch, sklearn -->`.
"""

import doctest
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^```(python|output|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
# A separator between the outputs of two blocks, which cannot be part of an output.
MARK = "\x1e"
SESSION = f"""
import sys, traceback
names = {{"__name__": "__main__"}}
for block in sys.stdin.read().split({MARK!r}):
    try:
        exec(compile(block, "<block>", "exec"), names)
    except Exception as error:
        print("".join(traceback.format_exception_only(error)), end="")
    print({MARK!r}, end="", flush=True)
"""


@dataclass
class Block:
    """A block of code, where it begins in the page, and the output that the page shows for it."""

    kind: str
    code: str
    line: int
    expected: str


def pages():
    """Return README.md and every page of docs/ that is written by hand."""
    written = (page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0] != "generated")
    return [DOCS.parent / "README.md", *sorted(written)]


def needs(page):
    """Return the packages that a page names."""
    found = re.match(r"(?:---\n|<!-- )needs: (.*?)(?:\n---| -->)\n", page.read_text(encoding="utf-8"))
    return found[1].split(", ") if found else []


def blocks(text):
    """Return the blocks of a page."""
    found = []
    for fence in FENCE.finditer(text):
        kind, content = fence.groups()
        if kind == "output":
            found[-1].expected = content
        else:
            found.append(Block(kind, content, text.count("\n", 0, fence.start()) + 1, ""))
    return found


def run(page):
    """Run the blocks of a page and return the output of each."""
    found = blocks(page.read_text(encoding="utf-8"))
    python = [block for block in found if block.kind == "python"]
    with tempfile.TemporaryDirectory() as folder:
        printed = iter(_session([block.code for block in python], folder))
        return found, [next(printed) if block.kind == "python" else _console(block.code, folder) for block in found]


def _environment():
    own = {"PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg", "KERAS_BACKEND": "torch", "COLUMNS": "100"}
    # The path may be relative to where pytest was started. A page may use a module of examples/ that it lets download.
    path = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    own["PYTHONPATH"] = os.pathsep.join([*path, str(DOCS.parent / "examples")])
    return {**os.environ, **own}


def _session(codes, folder):
    """Run blocks of Python one after the other in one process, and return the output of each."""
    if not codes:
        return []
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        input=MARK.join(codes),
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=True,
    )
    return done.stdout.split(MARK)[:-1]


def _console(text, folder):
    """Run the commands of a console block and return the console's text after them."""
    screen = ""
    for command in re.findall(r"^\$ (.*)\n", text, re.MULTILINE):
        script = f'fastprop() {{ "{sys.executable}" -m fastprop.cli.main "$@"; }}\n{command}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        screen += f"$ {command}\n{done.stdout}"
    return screen


def same(block, printed):
    """Return whether the output of a block is the one that its page shows."""
    expected = block.code if block.kind == "console" else block.expected
    return doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
