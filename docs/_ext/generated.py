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


def tree(names, *, depth=1, hidden=True):
    """Return a table of contents of pages in the same folder, by default only for the navigation."""
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", *[":hidden:"] * hidden, "", *names, "```", ""])


def cards(shown, size=""):
    """Return a grid of cards; see docs/_ext/cards.py."""
    return "\n".join([f":::::{{cards}} {size}".rstrip(), *shown, ":::::", ""])


def card(title, *, text="", **options):
    """Return a card: a link with a picture, a title and a text; an option that is empty is left out."""
    given = [f":{name}: {value}" for name, value in options.items() if value]
    return "\n".join([f"::::{{card}} {title}", *given, "", text, "::::"])
