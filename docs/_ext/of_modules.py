"""The reference: a page for each public room of the package, from its docstrings."""

import pkgutil

import fastprop
from generated import tree, write

# The command line has a page in the guide, and its rooms have no interface of their own.
WITHOUT = ("cli", "commands", "c_source", "torch_modules", "operations", "rules", "lbfgs", "bridges", "threadpool")


def rooms():
    """The names of the rooms."""
    return [one.name for one in pkgutil.iter_modules(fastprop.__path__) if not _hidden(one.name)]


def _hidden(name):
    return name.startswith("_") or name in WITHOUT


def _known(name):
    """What `import fastprop as fp` offers of a room, in a line."""
    if name in fastprop.__all__:
        known = [f"`fp.{name}`"]
    else:
        offered = {one: getattr(fastprop, one) for one in dir(fastprop)}
        known = [f"`fp.{one}`" for one, found in offered.items() if _home(found) == f"fastprop.{name}"]
    return f"Known as {', '.join(known)}.\n\n" if known else ""


def _home(thing):
    """The name of the module that a class or a function was written in."""
    return getattr(thing, "__module__", None)


def generate(app):
    """Write the pages."""
    for name in rooms():
        inherited = "   :inherited-members:\n" if name == "network" else ""  # whose conveniences have no page
        directive = f"```{{eval-rst}}\n.. automodule:: fastprop.{name}\n   :members:\n{inherited}```\n"
        write(f"api/{name}.md", f"# fastprop.{name}\n\n{_known(name)}{directive}")
    write("api/index.md", "# Reference\n\nA page for each room of the package.\n\n" + tree(rooms()))


def of_others(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to a class of ours."""
    return True if (getattr(obj, "__module__", None) or "").startswith("sklearn.") else None


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    app.connect("autodoc-skip-member", of_others)
    return {"parallel_read_safe": True}
