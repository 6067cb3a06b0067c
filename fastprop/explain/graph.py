"""Drawings in SVG: the computational graph of a trace, by neurons or by layers, and the paths of an explanation."""

from collections.abc import Sequence
from typing import Any

from fastprop.explain.chain_rule import Chain, Node
from fastprop.explain.explanation import Explanation
from fastprop.explain.svg import attributes, box, curve, drawing, escape, short, sign, stroke, text
from fastprop.explain.trace import Trace
from fastprop.nn.operations import sources

# The largest network that is drawn by neurons, so that its numbers fit on a page and stay legible.
MOST_UNITS, MOST_LAYERS, MOST_PARAMETERS, MOST_LABELS = 12, 8, 160, 12

# Pixels: the width and height of a box of a neuron and of a layer, the distances between boxes, and the margin.
UNIT = 178, 62
LAYER = 222, 132
ACROSS, DOWN, MARGIN = 116, 22, 16
LETTERS = 24  # characters of a name that fit over a box


class Graph:
    """A drawing: ``str`` returns its SVG, and notebooks show it.

    Attributes
    ----------
    svg : str
    steps : list of (str, str)
        The title of each step of the two passes, and what it computes. Elements have their step as ``data-step``.
    neurons : bool
        Whether the drawing shows every neuron, and not only layers.
    """

    def __init__(self, svg: str, steps: list[tuple[str, str]], neurons: bool):
        self.svg, self.steps, self.neurons = svg, steps, neurons

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<graph of {'neurons' if self.neurons else 'layers'}, {len(self.steps)} steps>"

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'


def graph(t: Trace, *, row: int = 0, names: Sequence[str] | None = None) -> Graph:
    """Draw the graph of one row's loss, with values, local derivatives and gradients.

    A positive gradient is orange, a negative one blue, and a large one wide. A large network is drawn by layers, with
    the range of their numbers over all rows.

    Parameters
    ----------
    t : Trace
    row : int, default 0
    names : sequence of str, optional
        The names of the inputs.

    Returns
    -------
    Graph

    Raises
    ------
    ValueError, TypeError
        If there is no such row, or the number of names is not that of inputs.
    """
    called = checked_names(t, names)
    if is_small(t):
        one = t.of_row(row)
        return Graph(_neurons(one, Chain(one, 0), row, called), steps(t), True)
    t.of_row(row)
    return Graph(_layers(t), steps(t), False)


def checked_names(t: Trace, names: Sequence[str] | None) -> list[str]:
    """Return a name for each input; the names are empty if none are given."""
    if names is None:
        return [""] * t.x.shape[1]
    called = [str(name) for name in names]
    if isinstance(names, str) or len(called) != t.x.shape[1]:
        raise ValueError(f"names must hold a name for each of the {t.x.shape[1]} inputs, got {len(called)}")
    return called


def is_small(t: Trace) -> bool:
    """Return whether every neuron is drawn; a batch norm in training excludes it, since it combines rows."""
    kinds = [layer.operation.kind for layer in t.layers]
    return (
        max(t.x.shape[1], *(layer.a.shape[1] for layer in t.layers)) <= MOST_UNITS
        and len(t.layers) <= MOST_LAYERS
        and t.network.n_parameters <= MOST_PARAMETERS
        and not (t.training and "batch_norm" in kinds)
    )


# ---- the steps of the two passes ----


def steps(t: Trace) -> list[tuple[str, str]]:
    """Return the title and the formula of each step of both passes."""
    n, found = len(t.layers), [("Inputs and parameters", "what is given: x, W and b")]
    read = [[source + 1 for source in each] for each in sources(t.network.operations)]  # layers from 1 on, 0 for x
    inputs = [" | ".join(f"a{source}" if source else "x" for source in each) for each in read]
    for k, layer in enumerate(t.layers, start=1):
        below = inputs[k - 1]
        product = f"z{k} = {below} W{k} + b{k}" if layer.b is not None else f"z{k} = {below} W{k}"
        formula = layer.operation.activation.formula
        if layer.operation.kind != "dense":
            product = f"z{k} = {layer.name} of {below}"
        found.append((f"Forward: z{k}", product))
        found.append((f"Forward: a{k}", f"a{k} = g(z{k}), g(z) = {formula}"))
    found.append(("The loss", f"{t.loss.name}: {t.loss.formula}, with a = a{n}"))
    for k in range(n, 0, -1):
        layer = t.layers[k - 1]
        above = t.loss.derivative
        for reader in (number for number, each in enumerate(read, start=1) if k in each):
            above = f"dz{reader} W{reader}^T"
            if t.layers[reader - 1].operation.kind != "dense":
                above = f"dz{reader} through {t.layers[reader - 1].name}"
        found.append((f"Backward: da{k}", f"da{k} = {above}"))
        found.append((f"Backward: dz{k}", f"dz{k} = da{k} g'(z{k}), g'(z) = {layer.operation.activation.derivative}"))
        below = inputs[k - 1]
        text = f"dW{k} = {below}^T dz{k}" + (f", db{k} = sum over rows of dz{k}" if layer.b is not None else "")
        found.append((f"Backward: the gradient of layer {k}", text if layer.W is not None else "no parameters"))
    readers = " and ".join(str(number) for number, each in enumerate(read, start=1) if 0 in each)
    through = f"dx, through layer{'s' if ' ' in readers else ''} {readers}"
    found.append(("Backward: dx", "dx = dz1 W1^T" if t.layers[0].operation.kind == "dense" else through))
    return found


def step_of(what: str, k: int, n: int) -> int:
    """Return the step that computes z, a, L, da, dz or dW of layer k of n layers; dx comes last."""
    if what in ("z", "a"):
        return 2 * k - (what == "z")
    if what in ("L", "dx"):
        return 2 * n + 1 + (3 * n + 1 if what == "dx" else 0)
    return 2 * n + 2 + 3 * (n - k) + ("da", "dz", "dW").index(what)


# ---- neurons ----


def _neurons(t: Trace, chain: Chain, row: int, names: list[str]) -> str:
    n, widths = len(t.layers), [t.x.shape[1], *(layer.a.shape[1] for layer in t.layers), 1]
    tall = 40 + max(widths) * (UNIT[1] + DOWN)  # the titles, and the boxes

    def corner(column: int, unit: int) -> tuple[float, float]:
        first = 40 + (tall - 40 - widths[column] * (UNIT[1] + DOWN)) / 2
        return MARGIN + column * (UNIT[0] + ACROSS), first + unit * (UNIT[1] + DOWN)

    edges, labels, boxes = [], [], []
    largest = max((float(abs(layer.dW).max()) for layer in t.layers if layer.dW is not None), default=0.0)
    for source, target, value, gradient, weight in connections(t, chain, row):
        i, j = source.place[0], target.place[0]
        (x0, y0), (x1, y1) = corner(source.layer + 1, i), corner(target.layer + 1, j)
        start, end = (x0 + UNIT[0], y0 + UNIT[1] / 2), (x1, y1 + UNIT[1] / 2)
        data = {"edge": f"{source}>{target}", "step": step_of("dW", target.layer + 1, n)} | _button(weight)
        width, kind = (stroke(gradient, largest), sign(gradient)) if weight else (1, "none")
        if weight:
            data["gradient"] = f"d{weight}"
        edges.append(curve(start, end, width, "edge", kind, **data))
        if widths[source.layer + 1] * widths[target.layer + 1] <= MOST_LABELS and target.layer == source.layer + 1:
            at = 0.25 + 0.5 * (i + 0.5) / widths[source.layer + 1]  # one beside the other where lines cross
            x = start[0] + (1.5 * at * (1 - at) + at**3) * (end[0] - start[0])
            y = start[1] + (3 - 2 * at) * at * at * (end[1] - start[1])
            key = {"key": weight or f"j{target.layer + 1}[{i},{j}]", "step": 0}
            if weight:
                key["quantity"] = weight
            labels.append(text(x - 20, y + 4, short(value), "on", **key))
    for i, value in enumerate(t.x[row]):
        x, y = corner(0, i)
        called = f"{names[i][:LETTERS]} " if names[i] else ""
        boxes.append(box(x, y, UNIT) + text(x + 8, y - 5, f"{called}x[{i}]", "soft", node=f"x[{i}]"))
        boxes.append(_number(x + 8, y + 36, "x", f"x[{i}]", float(value), 0, **_button(f"x[{i}]")))
        boxes.append(_number(x + 92, y + 36, "dx", f"dx[{i}]", float(t.dx[row, i]), step_of("dx", 0, n), colour=True))
    for k, layer in enumerate(t.layers, start=1):
        boxes.append(text(corner(k, 0)[0], 16, f"{k}: {layer.name}", "head"))
        for j in range(widths[k]):
            x, y = corner(k, j)
            place = f"{k}[{j}]"
            z, slope, a = (float(values[row, j]) for values in (layer.z, layer.slope, layer.a))
            da, dz = float(layer.da[row, j]), float(layer.dz[row, j])
            boxes += [
                box(x, y, UNIT),
                _number(x + 8, y + 18, "z", f"z{place}", z, step_of("z", k, n), **_button(f"z{place}")),
                _number(x + 8, y + 36, "g'", f"g{place}", slope, step_of("a", k, n)),
                _number(x + 8, y + 54, "a", f"a{place}", a, step_of("a", k, n), **_button(f"a{place}")),
                _number(x + 92, y + 18, "dz", f"dz{place}", dz, step_of("dz", k, n), colour=True),
                _number(x + 92, y + 54, "da", f"da{place}", da, step_of("da", k, n), colour=True),
            ]
            if layer.b is not None and layer.b.size == widths[k]:
                boxes.append(_number(x + 92, y + 36, "b", f"b{place}", float(layer.b[j]), 0, **_button(f"b{place}")))
    x, y = corner(n + 1, 0)
    for j in range(widths[n]):
        x0, y0 = corner(n, j)
        data = {"edge": f"a{n}[{j}]>L", "step": step_of("da", n, n), "gradient": f"da{n}[{j}]"}
        value = float(t.layers[-1].da[row, j])
        start, end = (x0 + UNIT[0], y0 + UNIT[1] / 2), (x, y + UNIT[1] / 2)
        most = float(abs(t.layers[-1].da[row]).max())
        edges.append(curve(start, end, stroke(value, most), "edge", sign(value), **data))
    boxes.append(box(x, y, UNIT) + text(x, y - 5, t.loss.name, "head"))
    boxes.append(_number(x + 8, y + 25, "L", "L", t.cost, step_of("L", n, n)))
    y_shown = ", ".join(short(float(value)) for value in t.y[row : row + 1].ravel()[:3])
    boxes.append(text(x + 8, y + 45, f"y {y_shown}{', ...' if t.y[row : row + 1].size > 3 else ''}", "soft", key="y"))
    width = MARGIN + (n + 2) * (UNIT[0] + ACROSS) - ACROSS + MARGIN
    return drawing(width, tall, f"Computational graph of row {row}", [*edges, *labels, *boxes])


def connections(t: Trace, chain: Chain, row: int) -> list[tuple[Node, Node, float, float, str]]:
    """Return every line between boxes: source, target, local derivative, and the gradient and name of a weight."""
    found = []
    for k in range(len(t.layers)):
        dense = t.layers[k].operation.kind == "dense"
        matrix, there = chain.jacobian(k, row)
        for i, j in zip(*map(list, there.nonzero())):
            source = chain.source(k, int(i), row)
            target = Node("z", k, row, (int(j),))
            weight, gradient = "", 0.0
            if dense:
                weight = chain.formula(source, target)
                dW = t.layers[k].dW
                assert dW is not None
                gradient = float(dW[tuple(map(int, weight[weight.index("[") + 1 : -1].split(",")))])
            found.append((source, target, float(matrix[i, j]), gradient, weight))
        operation = t.layers[k].operation
        if operation.kind == "add":
            fork = k + operation.fields["fork"]
            found += [
                (Node("a", fork, row, (j,)), Node("z", k, row, (j,)), 1.0, 0.0, "") for j in range(operation.n_out)
            ]
    return found


def _button(quantity: str) -> dict[str, Any]:
    """Return the attributes of an element that can be selected."""
    return {"quantity": quantity, "tabindex": 0, "role": "button"} if quantity else {}


def _number(
    x: float, y: float, label: str, key: str, value: float, step: int, *, colour: bool = False, **data: Any
) -> str:
    kinds = ("number", sign(value)) if colour else ("number",)
    return text(x, y, f"{label} {short(value)}", *kinds, key=key, label=label, step=step, **data)


# ---- layers ----


def _layers(t: Trace) -> str:
    n, lines, parts = len(t.layers), [], []
    read = sources(t.network.operations)
    boxes: list[tuple[str, list[tuple[str, int, str]]]] = [
        ("inputs", [("x", 0, ""), ("dx", step_of("dx", 0, n), "")])
    ]
    norms = []
    for k, layer in enumerate(t.layers, start=1):
        boxes.append((f"{k}: {layer.name}", [(what, step_of(what, k, n), str(k)) for what in ("z", "a", "da", "dz")]))
        norms.append(0.0 if layer.dW is None else float((layer.dW.astype(float) ** 2).mean() ** 0.5))
    for k, (title, rows) in enumerate(boxes):
        x, y = MARGIN + k * (LAYER[0] + ACROSS), MARGIN + 20
        values: Any = t if k == 0 else t.layers[k - 1]
        data: dict[str, Any] = {"layer": k, "tabindex": 0, "role": "button"}
        parts.append(f"<g{attributes(('layer',), data)}>{box(x, y, LAYER)}{text(x, y - 6, title, 'head')}")
        units = t.x.shape[1] if k == 0 else t.layers[k - 1].a.shape[1]
        parts.append(text(x + 8, y + 20, f"{units:,} wide, {len(t.x):,} rows", "soft"))
        for place, (what, step, number) in enumerate(rows):
            numbers = getattr(values, what)
            words = f"{what}{number} {short(numbers.min())} to {short(numbers.max())}"
            parts.append(text(x + 8, y + 42 + 20 * place, words, step=step))
        parts.append("</g>")
        if k:
            layer = t.layers[k - 1]
            end = x, y + LAYER[1] / 2
            most = max(norms)
            step = step_of("dW", k, n)
            kind = "plus" if norms[k - 1] else "none"
            for source in read[k - 1]:
                start = x - ACROSS - (k - 2 - source) * (LAYER[0] + ACROSS), end[1]
                lines.append(curve(start, end, stroke(norms[k - 1], most), "edge", kind, step=step))
            if layer.W is not None:
                shape = " x ".join(map(str, layer.W.shape))
                parts.append(text(x - ACROSS + 6, end[1] - 12, f"W{k} {shape}", "on", "soft"))
                parts.append(text(x - ACROSS + 6, end[1] + 20, f"rms dW{k} {short(norms[k - 1], 2)}", "on", step=step))
    x, y = MARGIN + (n + 1) * (LAYER[0] + ACROSS), MARGIN + 20
    parts.append(curve((x - ACROSS, y + LAYER[1] / 2), (x, y + LAYER[1] / 2), 1, "edge", step=step_of("L", n, n)))
    parts.append(box(x, y, LAYER) + text(x, y - 6, t.loss.name, "head"))
    parts.append(text(x + 8, y + 42, f"C {short(t.cost)}", step=step_of("L", n, n)))
    size = x + LAYER[0] + MARGIN, y + LAYER[1] + MARGIN
    return drawing(*size, "Computational graph, by layers", [*lines, *parts])


# ---- the paths of an explanation ----


def paths(e: Explanation) -> str:
    """Draw the paths of an explanation and highlight the largest: a box is a quantity, a line a local derivative."""
    columns: dict[tuple[bool, int, int], list[Node]] = {}
    for node in dict.fromkeys(node for path in e.paths for node in path.nodes):
        columns.setdefault((node.kind == "C", node.layer, "xWbzaLC".index(node.kind)), []).append(node)
    size, across = (112, 40), 128
    tall = MARGIN * 2 + max(map(len, columns.values()), default=1) * (size[1] + DOWN)
    corner = {
        node: (MARGIN + c * (size[0] + across), (tall - len(column) * (size[1] + DOWN)) / 2 + r * (size[1] + DOWN))
        for c, column in enumerate(columns[stage] for stage in sorted(columns))
        for r, node in enumerate(column)
    }
    largest = max((abs(path.product) for path in e.paths), default=0.0)
    lines, labels, seen = [], [], set()
    for place, path in enumerate(e.paths):
        for edge in path.edges:
            if (edge.source, edge.target) in seen:
                continue
            seen.add((edge.source, edge.target))
            (x0, y0), (x1, y1) = corner[edge.source], corner[edge.target]
            start, end = (x0 + size[0], y0 + size[1] / 2), (x1, y1 + size[1] / 2)
            kinds = ("edge", sign(path.product)) + (() if place == 0 else ("dim",))
            lines.append(curve(start, end, stroke(path.product, largest), *kinds))
            x, y = start[0] + 0.62 * (end[0] - start[0]), start[1] + 0.7 * (end[1] - start[1])
            title = f"<title>{escape(f'{edge.symbol} = {edge.formula} = {short(edge.derivative, 10)}')}</title>"
            label = text(x - 30, y - 4, short(edge.derivative), "on")
            labels.append(label.replace("</text>", f"{title}</text>"))
    boxes = []
    for node, (x, y) in corner.items():
        row = f" row {node.row}" if e.row is None and node.kind in "zaL" else ""
        boxes.append(box(x, y, size) + text(x + 8, y + 25, f"{node}{row}"))
    wide = MARGIN * 2 + len(columns) * (size[0] + across) - across
    more = f", {e.n_rest:,} more paths" if e.n_rest else ""
    lines.append(text(MARGIN, tall + 8, f"{e.symbol} = {short(e.total)}{more}"))
    return drawing(max(wide, 320), tall + 20, f"Paths of {e.symbol}", [*lines, *labels, *boxes])
