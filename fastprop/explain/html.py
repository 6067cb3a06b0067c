"""An HTML page that steps through a trace. It loads nothing, and every name that a user gave is text in it."""

import os
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from fastprop._util import palette
from fastprop._util.lazy import LazyModule
from fastprop._util.text import number
from fastprop._version import __version__
from fastprop.explain import explanation as explain
from fastprop.explain import graph
from fastprop.explain.chain_rule import Chain, averages
from fastprop.explain.svg import short
from fastprop.explain.trace import Trace
from fastprop.io import output

base64, hashlib, html, json, string = map(LazyModule, ("base64", "hashlib", "html", "json", "string"))
resources = LazyModule("importlib.resources")

TITLE = "Backpropagation, number by number"
MOST_ROWS = 4  # rows of a small network, each with the chain rule of every number: 15 KB a row for 2-3-1
MOST_NUMBERS = 300  # numbers that are explained in all these rows, which is at most about a megabyte
MOST_PATHS = 4  # paths of a quantity that are written out
MOST_INPUTS = 10  # inputs of a large network that are listed, those with the largest gradients
MOST_WEIGHTS = 3  # weights of a layer of a large network that are explained, those with the largest gradients


def write(
    t: Trace, path: str | os.PathLike, *, names: Sequence[str] | None = None, title: str = TITLE, above: str = ""
) -> None:
    """Write the page to a file.

    Parameters
    ----------
    t : Trace
    path : path-like
    names : sequence of str, optional
        The names of the inputs.
    title : str, optional
    above : str, optional
        HTML that stands above the drawing, with every name escaped.

    Raises
    ------
    ValueError
        If the number of names is not that of inputs.
    OSError
        If the file cannot be written.
    """
    output.write(path, page(t, names=names, title=title, above=above), streams=True)


def page(t: Trace, *, names: Sequence[str] | None = None, title: str = TITLE, above: str = "") -> str:
    """Return the text of the page; see ``write``."""
    drawing = graph.graph(t, names=names)
    called = graph.checked_names(t, names)
    data = _of_neurons(t, called) if drawing.neurons else _of_layers(t, called)
    data["steps"] = drawing.steps
    pages = resources.files("fastprop.explain").joinpath("assets")
    body, style, script = (pages.joinpath(f"trace.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    rows = f"{len(t.x):,} row{'s' if len(t.x) > 1 else ''}"
    mode = "training" if t.training else "prediction"
    return string.Template(body).substitute(
        # Only this script runs, whatever a name contains. Styles in a drawing have no hash, so they are allowed inline.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'",
        title=html.escape(title),
        summary=html.escape(f"{t.network!r}, {rows}, {mode}: cost {number(t.cost)}"),
        style=palette.css() + style,
        above=above,
        svg=drawing.svg,
        # JSON has no NaN, and a "<" could end the script.
        data=json.dumps(_in_json(data), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        script=script,
        foot=html.escape(f"fastprop {__version__}: the engine's own numbers, {t.network.dtype}"),
    )


def _in_json(value: Any) -> Any:
    """Return a value in which numbers that are not finite are strings."""
    if isinstance(value, dict):
        return {key: _in_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_json(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


# ---- a small network: every number of the first rows ----


def _of_neurons(t: Trace, names: list[str]) -> dict[str, Any]:
    parameters = {
        f"{letter}{layer.number}[{','.join(map(str, place))}]": (letter, layer, place)
        for layer in t.layers
        for letter in "Wb"
        if getattr(layer, letter) is not None
        for place in np.ndindex(getattr(layer, letter).shape)
    }
    each = len(parameters) + t.x.shape[1] + 2 * sum(layer.a.shape[1] for layer in t.layers)
    rows = min(len(t.x), MOST_ROWS, max(1, MOST_NUMBERS // each))
    hint = "Choose a weight, a bias or a number to see its chain rule; arrow keys step, Escape closes."
    if rows < len(t.x):
        hint += f" Of {len(t.x):,} rows the first {f'{rows} are' if rows > 1 else 'is'} here."
    return {
        "hint": hint,
        "numbers": {name: float(getattr(layer, letter)[place]) for name, (letter, layer, place) in parameters.items()},
        "mean": {
            name: float(getattr(layer, f"d{letter}")[place]) for name, (letter, layer, place) in parameters.items()
        }
        if averages(t)
        else {},
        "rows": [_row(t, row, list(parameters)) for row in range(rows)],
        "sheet": _questions(t),
        "explained": {},
        "layers": [],
    }


def _row(t: Trace, row: int, parameters: list[str]) -> dict[str, Any]:
    one = t.of_row(row)
    numbers: dict[str, Any] = {"L": one.cost, "y": _target(t.y[row])}
    quantities = list(parameters)
    for i, (x, dx) in enumerate(zip(one.x[row], one.dx[row])):
        numbers |= {f"x[{i}]": float(x), f"dx[{i}]": float(dx)}
        quantities.append(f"x[{i}]")
    for layer in one.layers:
        for letter, values in (
            *(("z", layer.z), ("g", layer.slope), ("a", layer.a)),
            *(("dz", layer.dz), ("da", layer.da)),
        ):
            numbers |= {f"{letter}{layer.number}[{j}]": float(value) for j, value in enumerate(values[row])}
        quantities += [f"{letter}{layer.number}[{j}]" for letter in "za" for j in range(layer.a.shape[1])]
        for letter in "Wb":
            derivative = getattr(layer, f"d{letter}")
            if derivative is not None:
                numbers |= {
                    f"d{letter}{layer.number}[{','.join(map(str, place))}]": float(value)
                    for place, value in np.ndenumerate(derivative)
                }
    chain = Chain(one, 0)
    for source, target, value, _, weight in graph.connections(one, chain, row):
        if not weight:
            numbers[f"j{target.layer + 1}[{source.place[0]},{target.place[0]}]"] = value
    explained = {quantity: _explained(chain, quantity, row) for quantity in quantities}
    return {"name": str(row), "numbers": numbers, "explained": explained}


def _target(y: Any) -> str:
    shown = ", ".join(short(float(value)) for value in np.ravel(y)[:3])
    return f"y {shown}{', ...' if np.size(y) > 3 else ''}"


def _explained(chain: Chain, quantity: str, row: int | None) -> dict[str, Any]:
    """Return an explanation as the page takes it."""
    node = explain.parse(chain.t, quantity)
    if row is not None and node.kind in "xza":
        node = node._replace(row=row)
    e = explain.explain_node(chain, node, row, MOST_PATHS)
    return {
        "symbol": e.symbol,
        "total": e.total,
        "gradient": e.gradient,
        "difference": e.finite_difference,
        "complex": e.complex_step,
        "rest": e.rest,
        "more": f"the other {e.n_rest:,} path{'s' if e.n_rest > 1 else ''} together" if e.n_rest else "",
        "paths": [
            {
                "words": (f"row {path.row}: " if e.row is None else "") + " -> ".join(map(str, path.nodes)),
                "product": path.product,
                "factors": [
                    {
                        "symbol": edge.symbol,
                        "formula": edge.formula,
                        "value": edge.derivative,
                        "edge": f"{edge.source}>{edge.target}",
                        **({"weight": str(edge.source)} if edge.source.kind == "W" else {}),
                    }
                    for edge in path.edges
                ],
            }
            for path in e.paths
        ],
    }


def _questions(t: Trace) -> list[dict[str, str]]:
    """Return the questions of the worksheet in the order of computation; only for networks of Dense layers."""
    if any(layer.operation.kind != "dense" for layer in t.layers) or t.network.n_members > 1:
        return []
    found, n = [], len(t.layers)
    for k, layer in enumerate(t.layers, start=1):
        below = "x" if k == 1 else f"a{k - 1}"
        for j in range(layer.a.shape[1]):
            terms = [f"{below}[{i}] W{k}[{i},{j}]" for i in range(layer.x.shape[1])]
            found.append((f"z{k}[{j}]", " + ".join(terms + ([f"b{k}[{j}]"] if layer.b is not None else []))))
        for j in range(layer.a.shape[1]):
            found.append((f"a{k}[{j}]", f"g(z{k}[{j}]), g(z) = {layer.operation.activation.formula}"))
    found.append(("L", f"{t.loss.formula}, a = a{n}"))
    for k in range(n, 0, -1):
        layer = t.layers[k - 1]
        units = range(layer.a.shape[1])
        for j in units:
            if k == n:
                found.append((f"da{k}[{j}]", t.loss.derivative))
            else:
                above = range(t.layers[k].a.shape[1])
                found.append((f"da{k}[{j}]", " + ".join(f"dz{k + 1}[{m}] W{k + 1}[{j},{m}]" for m in above)))
        slope = layer.operation.activation.derivative
        found += [(f"dz{k}[{j}]", f"da{k}[{j}] g'(z{k}[{j}]), g'(z) = {slope}") for j in units]
        below = "x" if k == 1 else f"a{k - 1}"
        found += [
            (f"dW{k}[{i},{j}]", f"{below}[{i}] dz{k}[{j}]") for i in range(layer.x.shape[1]) for j in units
        ]
    for i in range(t.x.shape[1]):
        found.append((f"dx[{i}]", " + ".join(f"dz1[{m}] W1[{i},{m}]" for m in range(t.layers[0].a.shape[1]))))
    return [{"key": key, "hint": f"{key} = {formula}"} for key, formula in found]


# ---- a large network: layers, and the weights with the largest gradients ----


def _of_layers(t: Trace, names: list[str]) -> dict[str, Any]:
    layers: list[dict[str, Any]] = []
    explained = {}
    for title, quantity, shape, numbers in t.table_rows():
        if quantity == "x" or title.startswith("layer "):
            layers.append({"title": title, "table": [], "quantities": []})
        if title.startswith("loss: "):
            break
        layers[-1]["table"].append([quantity, shape, numbers])
    tied = t.training and any(layer.operation.kind == "batch_norm" for layer in t.layers)
    mean = np.abs(t.dx).mean(axis=0)
    for i in np.argsort(-mean, kind="stable")[:MOST_INPUTS]:
        layers[0]["table"].append([f"{names[i]} x[{i}]".strip(), "mean |dx|", short(float(mean[i]))])
    chain = None if tied else Chain(t, 0)
    for layer in t.layers:
        if layer.dW is None or chain is None:
            continue
        for flat in np.argsort(-np.abs(layer.dW), axis=None, kind="stable")[:MOST_WEIGHTS]:
            place = np.unravel_index(flat, layer.dW.shape)
            quantity = f"W{layer.number}[{','.join(map(str, place))}]"
            layers[layer.number]["quantities"].append(quantity)
            explained[quantity] = _explained(chain, quantity, None)
    hint = "The network is too large for its neurons. Choose a layer for its numbers; arrow keys step."
    return {"hint": hint, "numbers": {}, "mean": {}, "rows": [], "sheet": [], "explained": explained, "layers": layers}
