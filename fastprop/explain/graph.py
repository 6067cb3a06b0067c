"""Drawings in SVG: the computational graph of a trace, by neurons or by layers, and the paths of an explanation."""

from collections.abc import Sequence

import numpy as np

from fastprop.explain import neurons
from fastprop.explain.chain_rule import Node, averages
from fastprop.explain.explanation import Explanation
from fastprop.explain.layout import Box, Cell, Line, cut, draw
from fastprop.explain.steps import step_of, steps
from fastprop.explain.svg import short, sign, stroke
from fastprop.explain.trace import Trace
from fastprop.nn.operations import sources


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


def graph(t: Trace, *, row: int | None = None, names: Sequence[str] | None = None) -> Graph:
    """Draw the graph of one row's loss, with values, local derivatives and gradients.

    Lines of positive gradients are blue, of negative ones orange and dashed, and of large ones wide. A large network is
    drawn by layers, with the range of their numbers over all rows.

    Parameters
    ----------
    t : Trace
    row : int, optional
        Its number, by default that of the first row.
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
    called, place = checked_names(t, names), t.place_of(t.first_row if row is None else row)
    if neurons.is_small(t):
        return Graph(neurons.drawing([neurons.row_of(t, place)], called), steps(t, "L"), True)
    return by_layers(t)


def checked_names(t: Trace, names: Sequence[str] | None) -> list[str]:
    """Return a name for each input; the names are empty if none are given."""
    if names is None:
        return [""] * t.x.shape[1]
    called = [str(name) for name in names]
    if isinstance(names, str) or len(called) != t.x.shape[1]:
        raise ValueError(f"names must hold a name for each of the {t.x.shape[1]} inputs, got {len(called)}")
    return called


def by_layers(t: Trace) -> Graph:
    """Draw a network with a box for each layer, with the range of its numbers over all rows."""
    n, end = len(t.layers), "C" if averages(t) else "L"
    read = sources(t.network.operations)
    norms = [0.0 if layer.dW is None else float((layer.dW.astype(float) ** 2).mean() ** 0.5) for layer in t.layers]

    def ranges(values: dict[str, np.ndarray], number: str, k: int) -> list[Cell]:
        found = []
        for what, array in values.items():
            step = step_of(what, k, n) if what != "x" else 0
            name = f"d{end}/{what}{number}" if what[0] == "d" else f"{what}{number}"
            words = f"{short(array.min())} to {short(array.max())}"
            found.append(Cell(name, words, data={"step": step}))
        return found

    def box(k: int, title: str, units: int, cells: list[Cell]) -> Box:
        wide = Cell(f"{units:,} wide, {len(t.x):,} row{'s' if len(t.x) > 1 else ''}", kinds=("soft",))
        return Box(k, [[wide, *cells]], cut(title, neurons.LETTERS), {"layer": k})

    columns = [[box(0, "inputs", t.x.shape[1], ranges({"x": t.x, "dx": t.dx}, "", 0))]]
    lines: list[Line] = []
    heads = {}
    for k, layer in enumerate(t.layers, start=1):
        da, dz = t.derivatives(layer)
        cells = ranges({"z": layer.z, "a": layer.a, "da": da, "dz": dz}, str(k), k)
        columns.append([box(k, f"{k}: {layer.name}", layer.a.shape[1], cells)])
        step, numbers = step_of("dW", k, n), []
        if layer.W is not None:
            heads[k] = [Cell(f"W{k}"), Cell(f"rms d{end}/dW{k}", data={"step": step})]
            numbers = [Cell("", " x ".join(map(str, layer.W.shape)), data={"step": 0})]
            numbers.append(Cell("", short(norms[k - 1]), data={"step": step}))
        for place, source in enumerate(read[k - 1]):
            width = stroke(norms[k - 1], max(norms))
            lines.append(Line(source + 1, k, () if place else numbers, width, ("edge",), {"step": step}))
        if layer.operation.kind == "add":
            fork = k + layer.operation.fields["fork"]
            lines.append(Line(fork, k, (), 1, ("edge",), {"step": step}))
    loss = Cell(end, short(t.cost), data={"step": step_of("L", n, n)})
    columns.append([Box(n + 1, [[loss]], cut(t.loss.name, neurons.LETTERS))])
    lines.append(Line(n, n + 1, (), 1, ("edge",), {"step": step_of("da", n, n)}))
    return Graph(draw("Computational graph, by layers", columns, lines, heads), steps(t, end), False)


def paths(e: Explanation) -> str:
    """Draw the paths of an explanation and highlight the largest: a box is a quantity, a line a local derivative."""
    columns: dict[tuple[bool, int, int], list[Node]] = {}
    for node in dict.fromkeys(node for path in e.paths for node in path.nodes):
        columns.setdefault((node.kind == "C", node.layer, "xWbzaLC".index(node.kind)), []).append(node)
    largest = max((abs(path.product) for path in e.paths), default=0.0)
    lines: dict[tuple[Node, Node], Line] = {}
    for place, path in enumerate(e.paths):
        for edge in path.edges:
            kinds = ("edge", sign(path.product), *(("dim",) if place else ()))
            value = Cell("", short(edge.derivative), data={"edge": edge.symbol})
            line = Line(edge.source, edge.target, [value], stroke(path.product, largest), kinds)
            lines.setdefault((edge.source, edge.target), line)
    boxes = []
    for stage in sorted(columns):
        named = [(node, e.row is None and node.kind in "zaL") for node in columns[stage]]
        of = [(node, f" row {e.trace.first_row + node.row}" if several else "") for node, several in named]
        boxes.append([Box(node, [[Cell(f"{node}{row}")]]) for node, row in of])
    more = f", {e.n_rest:,} more paths" if e.n_rest else ""
    words = f"{e.symbol} = {short(e.total)}{more}"
    if not boxes:
        boxes = [[Box(e.node, [[Cell(str(e.node))]])]]
    return draw(f"Paths: {words}", boxes, list(lines.values()), {}, words)
