"""Writes the gallery: a page for every script of examples/, with its output.

Scripts that train on MNIST or housing, which are too large to ship, were run once: docs/outputs/ holds their output,
and tests/system/test_examples.py, which runs them, whether they still do.
"""

import ast
import os
import subprocess
import sys

from generated import ROOT, tree, write

EXAMPLES = ROOT / "examples"
RECORDED = ROOT / "docs" / "outputs"


def scripts():
    """Return the paths of the examples, in their order."""
    return sorted(EXAMPLES.glob("[0-9]*.py"))


def _printed(script):
    """Return the output of a script."""
    recorded = RECORDED / f"{script.stem}.txt"
    if recorded.exists():
        return recorded.read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def page(script):
    """Return the page of a script."""
    text = script.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    title, _, rest = docstring.partition("\n")
    body = text.split('"""', 2)[2].strip()
    parts = [f"# {title.rstrip('.')}", f"`examples/{script.name}`", f"```text\n{rest.strip()}\n```"]
    parts += [f"```python\n{body}\n```", "It prints:", f"```output\n{_printed(script)}```"]
    return "\n\n".join(parts) + "\n"


def generate(app):
    """Write the pages."""
    for script in scripts():
        write(f"gallery/{script.stem}.md", page(script))
    head = "# Gallery\n\nThese are the scripts in `examples/`. Each checks its own numbers, and the tests run it.\n\n"
    write("gallery/index.md", head + tree(script.stem for script in scripts()))


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
