"""Writes the reference: a page for each public module of the package, from its docstrings."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import fastprop
from generated import tree, write

# The command line has a page in the guide; the others have no interface of their own.
WITHOUT = (
    *["explain.numpy_ops", "nn.formulas", "nn.summary"],
    *["cli", "nn.operations", "optim.lbfgs", "optim.optimizer_state", "training.fit", "training.split"],
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


def _documented(name):
    """Yield the directive for each class and function that a module, or a package's `__init__`, offers."""
    module = importlib.import_module(f"fastprop.{name}")
    source = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    kinds = {ast.ClassDef: "autoclass", ast.FunctionDef: "autofunction"}
    defined = [(node.name, kinds[type(node)]) for node in source.body if type(node) in kinds]
    if not defined:  # an `__init__` that offers what its modules define
        offered = [(each, getattr(module, each)) for each in getattr(module, "__all__", [])]
        defined = [(each, "autoclass" if inspect.isclass(value) else "autofunction") for each, value in offered]
    for each, directive in defined:
        if not each.startswith("_"):
            thing = getattr(module, each)
            path = f"{thing.__module__}.{thing.__qualname__}"
            members = "\n   :members:" if directive == "autoclass" else ""
            # whose conveniences have no page of their own
            inherited = "\n   :inherited-members:" if path == "fastprop.Network" else ""
            yield f"```{{eval-rst}}\n.. {directive}:: {path}{members}{inherited}\n```\n"


def generate(app):
    """Write the pages."""
    names = modules()
    for name in names:
        directives = "\n".join([f"```{{eval-rst}}\n.. automodule:: fastprop.{name}\n```\n", *_documented(name)])
        write(f"api/{name}.md", f"# fastprop.{name}\n\n{directives}")
    head = "# Reference\n\nEach public module of the package has a page.\n\n"
    write("api/index.md", head + tree(names, hidden=False))


def not_offered(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to a class of ours, and the internal interface; see CONTRIBUTING.md."""
    of_sklearn = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    return True if of_sklearn or (getattr(obj, "__doc__", None) or "").startswith("Internal:") else None


def nest(app, pagename, templatename, context, doctree):
    """Put each inner list of the index of sources into an item, as HTML asks: Sphinx has it between two items."""
    if pagename == "_modules/index":
        body = context["body"].replace("</li>\n<ul>", "\n<ul>")
        context["body"] = re.sub(r"</ul>(?=\s*(?:<li>|</ul>))", "</ul></li>", body)


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    app.connect("autodoc-skip-member", not_offered)
    app.connect("html-page-context", nest)
    return {"parallel_read_safe": True}
