"""Writes the reference: a page for each public module of the package, from its docstrings."""

import importlib.util
import inspect
import pkgutil
from pathlib import Path

import fastprop
from generated import tree, write

# The command line has a page in the guide; the others have no interface of their own.
WITHOUT = (
    *["cli", "nn.operations", "optim.lbfgs", "optim.optimizer_state"],
    *["interop.c_templates", "interop.torch_modules", "io.output", "io.streams"],
)


def modules():
    """Return the names of the public modules, without "fastprop."; a package with names of its own has one page."""
    found = []
    for one in pkgutil.walk_packages(fastprop.__path__, "fastprop."):
        name = one.name.removeprefix("fastprop.")
        if any(f"{name}.".startswith(f"{left_out}.") for left_out in (*WITHOUT, *found)) or "._" in one.name:
            continue
        source = Path(importlib.util.find_spec(one.name).origin).read_text(encoding="utf-8")
        if not one.ispkg or source:
            found.append(name)
    return found


def _known(name):
    """Return a line with the names under which `import fastprop as fp` offers a module or its contents."""
    public = name.rpartition(".")[2]
    if public in fastprop.__all__ and inspect.ismodule(getattr(fastprop, public)):
        known = [f"`fp.{public}`"]
    else:
        offered = {one: getattr(fastprop, one) for one in dir(fastprop)}
        known = [f"`fp.{one}`" for one, found in offered.items() if _home(found) == f"fastprop.{name}"]
    return f"Available as {', '.join(known)}.\n\n" if known else ""


def _home(thing):
    """Return the name of the module that defines a class or a function."""
    return getattr(thing, "__module__", None)


def generate(app):
    """Write the pages."""
    names = modules()
    for name in names:
        inherited = "   :inherited-members:\n" if name == "nn.network" else ""  # whose conveniences have no page
        directive = f"```{{eval-rst}}\n.. automodule:: fastprop.{name}\n   :members:\n{inherited}```\n"
        write(f"api/{name}.md", f"# fastprop.{name}\n\n{_known(name)}{directive}")
    write("api/index.md", "# Reference\n\nEach public module of the package has a page.\n\n" + tree(names))


def not_offered(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to a class of ours, and the internal interface; see CONTRIBUTING.md."""
    of_sklearn = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    return True if of_sklearn or (getattr(obj, "__doc__", None) or "").startswith("Internal:") else None


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    app.connect("autodoc-skip-member", not_offered)
    return {"parallel_read_safe": True}
