"""No module imports a private name from another, unless that is a module; ruff's SLF001 does so for attributes."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fastprop"


def imported_names(source):
    """Return (module, name) for each name that a ``from fastprop... import`` of a source text imports."""
    imports = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return [(node.module, one.name) for node in imports if node.module.startswith("fastprop") for one in node.names]


def is_module(module, name):
    """Whether the package has such a module, compiled modules included."""
    place = PACKAGE.parent.joinpath(*module.split("."), name)
    return place.is_dir() or any(place.with_suffix(ending).exists() for ending in (".py", ".pyx"))


@pytest.mark.skipif(not PACKAGE.is_dir(), reason="needs the checkout")
def test_private_names_are_not_imported():
    wrong = [
        f"{path.relative_to(PACKAGE)}: {module}.{name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for module, name in imported_names(path.read_text(encoding="utf-8"))
        if name.startswith("_") and name.strip("_") == name[1:] and not is_module(module, name)
    ]
    assert not wrong


def test_private_import_is_found():
    source = "def f():\n    from fastprop.training.fit import _private, public\nfrom fastprop._core import _engine\n"
    found = imported_names(source)
    assert sorted(found) == [
        ("fastprop._core", "_engine"), ("fastprop.training.fit", "_private"), ("fastprop.training.fit", "public"),
    ]  # fmt: skip
    assert is_module("fastprop._core", "_engine")
    assert not is_module("fastprop.training.fit", "_private")
