"""An HTML page that steps through a trace. It loads nothing, and every name that a user gave is text in it."""

import os
import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from fastprop._util import palette
from fastprop._util.lazy import LazyModule
from fastprop._util.text import number
from fastprop._version import __version__
from fastprop.explain import explanation as explain
from fastprop.explain import graph, neurons
from fastprop.explain.chain_rule import Chain, averages
from fastprop.explain.steps import step_of, steps
from fastprop.explain.svg import short
from fastprop.explain.trace import Trace
from fastprop.io import output

base64, hashlib, html, json, string = map(LazyModule, ("base64", "hashlib", "html", "json", "string"))
resources = LazyModule("importlib.resources")

TITLE = "Backpropagation, number by number"
MOST_ROWS = 16  # rows of a small network that a page holds, if they have no more than
MOST_NUMBERS = 6_000  # numbers together, of about 30 bytes
MOST_CHECKED = 120  # quantities in all rows that are checked by a finite difference, of about a millisecond each
MOST_PATHS = 4  # paths of a quantity that are written out
MOST_INPUTS = 10  # inputs of a large network that are listed, those with the largest gradients
MOST_WEIGHTS = 3  # weights of a layer of a large network that are explained, those with the largest gradients
# Rows times weights of a large network whose chain rule is written out, which takes about a tenth of a second.
MOST_PRODUCTS = 10_000_000


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
    called = graph.checked_names(t, names)
    if neurons.is_small(t):
        rows = _rows(t)
        svg, titles, data = neurons.drawing(rows, called), steps(t, "L"), _of_neurons(t, rows, called)
    else:
        drawing = graph.by_layers(t)
        svg, titles, data = drawing.svg, drawing.steps, _of_layers(t, called)
    data |= {"steps": titles, "most_paths": MOST_PATHS}
    pages = resources.files("fastprop.explain").joinpath("assets")
    body, style, script = (pages.joinpath(f"trace.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    n_rows = f"{len(t.x):,} row{'s' if len(t.x) > 1 else ''}"
    mode = "training" if t.training else "prediction"
    return string.Template(body).substitute(
        # Only this script runs, whatever a name contains. Styles in a drawing have no hash, so they are allowed inline.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'",
        title=html.escape(title),
        summary=html.escape(f"{t.network!r}, {n_rows}, {mode}: cost C = {number(t.cost)}"),
        style=palette.css() + palette.chosen_css(" .graph") + style,
        above=above,
        svg=svg,
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


def _rows(t: Trace) -> list[neurons.Row]:
    """Return the rows that the page holds."""
    if len(t.x) > MOST_ROWS and not t.training:  # each runs a pass over all rows
        t = t.head(MOST_ROWS)
    first = neurons.row_of(t, 0)
    n = min(len(t.x), MOST_ROWS, max(1, MOST_NUMBERS // len(first.numbers)))
    return [first, *(neurons.row_of(t, row) for row in range(1, n))]


def _of_neurons(t: Trace, rows: list[neurons.Row], names: list[str]) -> dict[str, Any]:
    n = len(t.layers)
    values = [{f"{letter}{layer.number}": getattr(layer, letter) for letter in "Wb"} for layer in t.layers]
    parameters: dict[str, float] = {}
    mean: dict[str, float] = {}
    for layer, of_layer in zip(t.layers, values):
        for name, array in of_layer.items():
            if array is not None:
                parameters |= neurons.named(name, array)
                mean |= neurons.named(name, getattr(layer, f"d{name[0]}"))
    quantities = [*parameters, *(key for key in rows[0].numbers if key[0] in "xza" and ">" not in key)]
    checked = len(quantities) * len(rows) <= MOST_CHECKED
    hint = "Choose a number to see how it was computed, and its chain rule."
    if len(rows) < len(t.x):
        hint += f" Of {len(t.x):,} rows the first {f'{len(rows)} are' if len(rows) > 1 else 'is'} here."
    weighted = "" if t.sample_weight is None else "weighted "
    mean_of = f"{weighted}mean over the {len(t.x):,} rows"
    of_cost = f"; C, the cost, is the {weighted}mean of L over the {len(t.x):,} rows" if len(t.x) > 1 else ""
    shares = "" if t.network.n_members == 1 else f" / {t.network.n_members} members"
    return {
        "hint": hint,
        "legend": "A line is blue and solid where the gradient is above 0, orange and dashed below 0, and wide where "
        f"it is large. L is the loss of row ROW{of_cost}.",
        "of_cost": f"the derivative of C, the {mean_of}",
        "names": {f"x[{i}]": name for i, name in enumerate(names) if name},
        "parameters": parameters,
        "mean": mean if averages(t) else {},
        "rows": [
            {
                "name": str(row.number),
                "numbers": {key: value for key, value in row.numbers.items() if key not in parameters},
                "starts": {q: _starts(row, q) for q in parameters if not _is_weight(t, q)},
                "checks": {q: _check(row, q) for q in quantities} if checked else {},
            }
            for row in rows
        ],
        "checked": checked,
        "edges": [[edge.source, edge.target, edge.formula, edge.weight] for edge in neurons.edges_of(rows)],
        "slopes": [layer.operation.activation.derivative for layer in t.layers],
        "loss_slope": t.loss.derivative if not shares else f"({t.loss.derivative}){shares}",
        "computed": _step_of_each(n),
        "sheet": _questions(t),
        "layers": [],
        "explained": {},
    }


def _step_of_each(n: int) -> dict[str, int]:
    """Return the step that computes each kind of number, by the beginning of its name; what is given is not listed."""
    found = {"L": step_of("L", 0, n), "dx": step_of("dx", 0, n)}
    for k in range(1, n + 1):
        found |= {f"{what}{k}": step_of(what, k, n) for what in ("z", "a", "da", "dz", "dW")}
        found |= {f"g{k}": step_of("a", k, n), f"db{k}": step_of("dW", k, n)}
    return found


def _is_weight(t: Trace, quantity: str) -> bool:
    """Return whether a parameter is a weight on lines, whose first edges are those lines."""
    return quantity[0] == "W" and t.layers[int(quantity[1 : quantity.index("[")]) - 1].operation.kind == "dense"


def _starts(row: neurons.Row, quantity: str) -> list[tuple[str, str, float]]:
    """Return target, formula and derivative of the first edges of a parameter."""
    node = explain.parse(row.chain.t, quantity)
    return [(str(target), formula, value) for target, value, formula in row.chain.first_edges(node)]


def _check(row: neurons.Row, quantity: str) -> float | None:
    node = explain.parse(row.chain.t, quantity)
    return explain.finite_difference(row.chain.t, node._replace(row=row.row) if node.kind in "xza" else node)


def _questions(t: Trace) -> list[dict[str, str]]:
    """Return the questions of the worksheet in the order of computation; only for networks of Dense layers."""
    if any(layer.operation.kind != "dense" for layer in t.layers) or t.network.n_members > 1:
        return []
    n = len(t.layers)
    found = []

    def ask(key: str, formula: str) -> None:
        found.append({"key": key, "formula": formula})

    for k, layer in enumerate(t.layers, start=1):
        below = "x" if k == 1 else f"a{k - 1}"
        units = range(layer.a.shape[1])
        for j in units:
            terms = [f"{below}[{i}] W{k}[{i},{j}]" for i in range(layer.x.shape[1])]
            ask(f"z{k}[{j}]", " + ".join(terms + ([f"b{k}[{j}]"] if layer.b is not None else [])))
        for j in units:
            ask(f"a{k}[{j}]", f"g(z{k}[{j}]), g(z) = {layer.operation.activation.formula}")
    ask("L", f"{t.loss.formula}, a = a{n}")
    for k in range(n, 0, -1):
        layer = t.layers[k - 1]
        units = range(layer.a.shape[1])
        for j in units:
            above = range(t.layers[k].a.shape[1]) if k < n else ()
            terms = [f"dL/dz{k + 1}[{q}] W{k + 1}[{j},{q}]" for q in above]
            ask(f"da{k}[{j}]", " + ".join(terms) or f"{t.loss.derivative}, a = a{n}")
        slope = layer.operation.activation.derivative
        for j in units:
            ask(f"dz{k}[{j}]", f"dL/da{k}[{j}] g'(z{k}[{j}]), g'(z) = {slope}")
        below = "x" if k == 1 else f"a{k - 1}"
        for i, j in np.ndindex(layer.x.shape[1], len(units)):
            ask(f"dW{k}[{i},{j}]", f"{below}[{i}] dL/dz{k}[{j}]")
    for i in range(t.x.shape[1]):
        ask(f"dx[{i}]", " + ".join(f"dL/dz1[{q}] W1[{i},{q}]" for q in range(t.layers[0].a.shape[1])))
    return found


# ---- a large network: layers, and the weights with the largest gradients ----


def _of_layers(t: Trace, names: list[str]) -> dict[str, Any]:
    n, end = len(t.layers), "C" if averages(t) else "L"
    layers: list[dict[str, Any]] = []
    for title, quantity, shape, numbers in t.table_rows():
        if quantity == "x" or title.startswith("layer "):
            k = len(layers)
            layers.append({"title": title, "table": [], "quantities": [], "step": step_of("dW", k, n) if k else 0})
        if title.startswith("loss: "):
            break
        layers[-1]["table"].append([quantity, shape, numbers, _step(quantity, n)])
    mean = np.abs(t.dx).mean(axis=0)
    for i in np.argsort(-mean, kind="stable")[:MOST_INPUTS]:
        called = f"{names[i]} x[{i}]".strip()
        layers[0]["table"].append([called, f"mean |d{end}/dx|", short(float(mean[i])), step_of("dx", 0, n)])
    explained: dict[str, Any] = {}
    summed = ""
    if not (t.training and any(layer.operation.kind == "batch_norm" for layer in t.layers)):
        weights = sum(layer.W.size for layer in t.layers[1:] if layer.W is not None)
        many = len(t.x) * weights > MOST_PRODUCTS
        of_one = t if not many else t.of_row(t.first_row) if t.training else t.head(1)
        chain = Chain(of_one, 0)
        for layer in of_one.layers:
            if layer.dW is None:
                continue
            of_layer = layers[layer.number]
            for place in _largest(np.abs(layer.dW), MOST_WEIGHTS):
                quantity = f"W{layer.number}[{','.join(map(str, place))}]"
                of_layer["quantities"].append(quantity)
                explained[quantity] = _explained(chain, quantity) | {"step": of_layer["step"]}
        summed = f"L, the loss of row {t.first_row}" + (" (all rows would be too many for a page)" if many else "")
        if chain.end == "C":
            summed = f"C, the cost: the mean of the losses of the {len(t.x):,} rows"
    return {
        "hint": "The network is too large for its neurons. Choose a layer for its numbers.",
        "legend": "A line is wide where the root mean square (rms) of the gradient of the weights is large.",
        "chain": f"the derivative of {summed}: a sum over paths of products of local derivatives",
        "names": {},
        "rows": [],
        "sheet": [],
        "checked": False,
        "computed": {},
        "explained": explained,
        "layers": layers,
    }


def _step(quantity: str, n: int) -> int:
    """Return the step that computes a row of the table of a trace."""
    match = re.fullmatch(r"(d[LC]/d)?(?:g'\()?([xWbza])(\d*)\)?", quantity)
    assert match, quantity
    derivative, letter, number = match.groups()
    if not derivative:
        return 0 if letter in "xWb" else step_of("a" if quantity[0] == "g" else letter, int(number), n)
    return step_of(f"d{letter.replace('b', 'W')}", int(number or 0), n)


def _largest(values: np.ndarray, most: int) -> list[tuple[int, ...]]:
    """Return the places of the largest elements, in decreasing order."""
    flat = values.ravel()
    some = np.argpartition(-flat, min(most, flat.size) - 1)[:most] if flat.size else np.array([], int)
    order = some[np.argsort(-flat[some], kind="stable")]
    return [tuple(map(int, np.unravel_index(place, values.shape))) for place in order]


def _explained(chain: Chain, quantity: str) -> dict[str, Any]:
    """Return an explanation as the page takes it, without checks of its own, each of which would be a forward pass."""
    e = explain.explain_node(chain, explain.parse(chain.t, quantity), None, MOST_PATHS)
    return {
        "symbol": e.symbol,
        "total": e.total,
        "count": e.n_rest + len(e.paths),
        "gradient": e.gradient,
        "rest": e.rest,
        "more": f"the other {e.n_rest:,} path{'s' if e.n_rest > 1 else ''} together" if e.n_rest else "",
        "paths": [
            {
                "words": f"row {e.row_number(path)}: " + " \u2192 ".join(map(str, path.nodes)),
                "product": path.product,
                "factors": [
                    {"symbol": edge.symbol, "formula": edge.formula, "value": edge.derivative} for edge in path.edges
                ],
            }
            for path in e.paths
        ],
    }
