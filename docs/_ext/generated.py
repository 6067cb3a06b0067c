"""Used by the other extensions: writes pages into docs/generated/ when the documentation is built."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "generated"


def write(name, text):
    """Write a page or a picture, unless the file already has this text: Sphinx rebuilds pages whose file is newer."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def tree(names, *, depth=1):
    """Return a table of contents of pages in the same folder."""
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", "", *names, "```", ""])
