"""What directives share that show something of the page that they are in: its blocks of Python are run."""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from generated import ROOT

sys.path.append(str(ROOT / "examples"))  # a page may use a module of them that it lets download

PYTHON = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def blocks_above(directive):
    """Return the code of the page's blocks of Python above a directive, and then the directive's own."""
    env = directive.state.document.settings.env
    lines = Path(env.doc2path(env.docname)).read_text(encoding="utf-8").splitlines(keepends=True)
    return [*PYTHON.findall("".join(lines[: directive.lineno - 1])), "\n".join(directive.content)]


def names_after(codes):
    """Return the names that blocks of code define, which run in a new folder and without their output."""
    names = {"__name__": "__main__"}
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), np.printoptions():
        os.chdir(folder)
        try:
            for code in codes:
                # A block may show an error on purpose.
                with contextlib.suppress(Exception):
                    exec(compile(code, "<block>", "exec"), names)
        finally:
            os.chdir(here)
    return names


def evaluated(codes, expression):
    """Return the value of an expression after blocks of code have run."""
    return eval(expression, names_after(codes))
