"""The playground as one file, without a server: its page trains the network itself, for the web site of a course.

The network is ``src_c/wasm/playground.c``, compiled to WebAssembly. The lists that the page needs, of activations,
losses, optimisers and limits, are written into it from those of Python, so that each is stated once.
"""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from fastprop._util import palette
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.initializers import INITIALIZERS, Initializer
from fastprop.nn.losses import LOSSES, Loss
from fastprop.playground import datasets, features, session
from fastprop.tabular.table import Table

ASSETS = files("fastprop.playground") / "assets"
WASM = "playground.wasm"  # beside the other files of the page, in wheels that were built where ziglang was installed
ENTRY = "static_page.js"  # the module that imports all others of the page
IMPORT = r'^import \{(.+)\} from "\./(.+)";$'


def page(table: Table | None = None, *, wasm: bytes | None = None) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    table : Table, optional
        Two columns of it and their target are in the page, as ``Session.take`` chooses them.
    wasm : bytes, optional
        The compiled network; by default that of the package.

    Raises
    ------
    FileNotFoundError
        If the package has no compiled network.
    """
    data = lists(table) | {"wasm": encoded(compiled() if wasm is None else wasm)}
    # In a script element only </script and <!-- have a meaning; in JSON < may be written otherwise.
    told = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    script, style = bundle(ENTRY), palette.css() + palette.chosen_css() + _read("playground.css")
    policy = (
        f"default-src 'none'; img-src data:; script-src 'sha256-{_digest(script)}' 'wasm-unsafe-eval'; "
        f"style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    )
    parts = {
        '<meta charset="utf-8">': f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<link rel="stylesheet" href="playground.css">': f"<style>{style}</style>",
        '<script type="module" src="playground_server.js"></script>': (
            f'<script type="application/json" id="static-data">{told}</script>\n<script type="module">{script}</script>'
        ),
    }
    html = _read("playground.html")
    for mark, part in parts.items():
        before, found, after = html.partition(mark)
        assert found, f"playground.html has no {mark}"
        html = before + (f"{mark}\n" if mark.startswith("<meta") else "") + part + after
    return html


def lists(table: Table | None = None) -> dict[str, Any]:
    """Return what static_session.js knows of the lists and limits of Python."""
    optimizers = {name: make(1.0) for name, make in session.OPTIMIZERS.items()}
    first, held = session.START, None
    if table is not None:
        taken = session.Session(table)
        first, points = taken.settings, taken.points
        held = {
            "name": table.path,
            "columns": first["columns"],
            "points": {
                "x": points.X[:, 0].tolist(),
                "y": points.X[:, 1].tolist(),
                "target": points.y.tolist(),
                "axes": points.axes,
                "classes": points.classes,
                "name": points.target,
                "notes": points.notes,
            },
        }
    return {
        "start": session.START,
        "first": first,
        "keep_network": sorted(session.KEEP_NETWORK),
        "data": {"classification": list(datasets.CLASSES), "regression": list(datasets.NUMBERS)},
        "table": held,
        "features": {name: label for name, (label, _) in features.FEATURES.items()},
        "activations": {name: _entry(each) | {"initializer": _initializer(each)} for name, each in ACTIVATIONS.items()},
        "losses": {
            name: _entry(LOSSES[name]) | {"targets": LOSSES[name].targets}
            for names in session.LOSSES_FOR.values()
            for name in names
        },
        "losses_for": session.LOSSES_FOR,
        "optimizers": {name: {"id": each.id, "hyper": each.hyper} for name, each in optimizers.items()},
        "surface": session.SURFACE,
        "thumb": {"size": session.THUMB, "points": session.THUMBNAIL},
        "limits": {
            "n": [datasets.MIN_ROWS, datasets.MAX_ROWS],
            "layers": session.MAX_LAYERS,
            "units": session.MAX_UNITS,
            "history": session.MAX_HISTORY,
            "seed": session.MAX_SEED,
            "seconds": session.MAX_SECONDS,
            "test_share": session.MOST_TEST,
        },
    }


def _entry(entry: Any) -> dict[str, Any]:
    hyper = entry.hyper if isinstance(entry, Loss) else tuple(entry.values.values())
    return {"id": entry.id, "hyper": hyper, "formula": entry.formula, "derivative": entry.derivative}


def _initializer(activation: Any) -> dict[str, Any]:
    """Return the numbers by which the page draws initial weights, as ``draw`` of the initialiser does."""
    initializer = INITIALIZERS[activation.initializer]
    if isinstance(initializer, Initializer):
        return {"gain": initializer.gain, "both_ways": initializer.both_ways, "uniform": initializer.uniform}
    return {"omega": activation.values.get("omega", 1.0)}


def bundle(entry: str) -> str:
    """Internal: return a module of the page and all that it imports as one script, each a function of its own."""
    made: dict[str, str] = {}

    def add(name: str) -> None:
        text = _read(name)
        for _, needed in re.findall(IMPORT, text, flags=re.MULTILINE):
            if needed not in made:
                add(needed)
        exported = ", ".join(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, flags=re.MULTILINE))
        text = re.sub(IMPORT, r'const {\1} = modules["\2"];', text, flags=re.MULTILINE)
        text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
        made[name] = f'modules["{name}"] = (() => {{\n{text}return {{ {exported} }};\n}})();\n'

    add(entry)
    return '"use strict";\nconst modules = {};\n' + "".join(made.values())


def encoded(data: bytes) -> str:
    """Internal: return bytes in base64."""
    return base64.b64encode(data).decode()


def _digest(text: str) -> str:
    return encoded(hashlib.sha256(text.encode()).digest())


def _read(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def compiled() -> bytes:
    """Internal: return the compiled network of this package."""
    path = ASSETS / WASM
    if not path.is_file():
        raise FileNotFoundError(
            "this build of fastprop has no network for web pages, since it was built without ziglang; install a wheel "
            "from PyPI, or build again: pip install ziglang setuptools Cython, then pip install --no-build-isolation ."
        )
    return path.read_bytes()
