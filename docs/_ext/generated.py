"""Pages that are written when the documentation is built, into docs/generated/."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "generated"


def write(name, text):
    """Write a page, or a picture, unless it is there already with that text: Sphinx reads again what is newer."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def tree(names, *, depth=1):
    """A table of contents of pages beside this one."""
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", "", *names, "```", ""])
