"""The numbers of a row of a small network, by name, and the drawing of its graph, which has a box for each neuron."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastprop.explain.chain_rule import Chain, Node
from fastprop.explain.layout import Box, Cell, Line, cut, draw
from fastprop.explain.steps import step_of
from fastprop.explain.svg import short, sign, stroke
from fastprop.explain.trace import Trace

# The largest network that is drawn by neurons, so that its numbers fit on a page and stay legible.
MOST_UNITS, MOST_LAYERS, MOST_PARAMETERS = 12, 8, 160

LETTERS = 22  # of the name of an input or a layer: about as wide as the numbers of a box
STACKED = 4  # neurons of a layer that have all their numbers below each other; more have two columns, to be less tall
# The kinds with a parameter W[j] for each neuron, which stands in its box.
OWN = ("scale", "layer_norm", "batch_norm", "prelu")


class Edge(NamedTuple):
    """A line of the graph: from an output a (or an input) to a z that it enters.

    Attributes
    ----------
    source, target, formula : str
        The two numbers, and the local derivative of the second with respect to the first.
    weight : str
        The name of the weight that is the local derivative, or "".
    """

    source: str
    target: str
    formula: str
    weight: str

    @property
    def key(self) -> str:
        """The name of the local derivative among the numbers of a row."""
        return self.weight or f"{self.source}>{self.target}"


class Row(NamedTuple):
    """All numbers of a row, derivatives being those of its loss, and the edges of its graph.

    Attributes
    ----------
    chain : Chain
        Of a trace whose cost is the loss of the row.
    row : int
        Its place among the rows of the trace.
    numbers : dict of str -> float
        "z1[0]", "a1[0]", "W1[0,1]", "b1[0]", "x[0]", "y[0]" (or "y", a class), "L"; "g1[0]" is the slope g'(z1[0]),
        "dz1[0]" the derivative of L with respect to z1[0], and "a1[0]>z2[1]" a local derivative that is no weight.
    edges : list of Edge
    """

    chain: Chain
    row: int
    numbers: dict[str, float]
    edges: list[Edge]

    @property
    def number(self) -> int:
        """The number of the row."""
        return self.chain.t.first_row + self.row


def row_of(t: Trace, row: int) -> Row:
    """Return the numbers and edges of the row in a place."""
    one = t.of_row(t.first_row + row)
    chain = Chain(one, 0)
    numbers = {"L": one.cost}
    numbers |= {"y": float(t.y[row])} if t.y.ndim == 1 else named("y", t.y[row])
    numbers |= named("x", one.x[row]) | named("dx", one.dx[row])
    for layer in one.layers:
        da, dz = one.derivatives(layer)
        values = {"z": layer.z, "g": layer.slope, "a": layer.a, "da": da, "dz": dz}
        for letter, of_rows in values.items():
            numbers |= named(f"{letter}{layer.number}", of_rows[row])
        for letter in ("W", "b", "dW", "db"):
            parameters = getattr(layer, letter)
            if parameters is not None:
                numbers |= named(f"{letter}{layer.number}", parameters)
    edges = []
    for source, target, value in connections(chain, row):
        formula = chain.formula(source, target)
        edge = Edge(str(source), str(target), formula, formula if _is_product(chain, target) else "")
        edges.append(edge)
        numbers[edge.key] = value
    return Row(chain, row, numbers, edges)


def named(name: str, values: np.ndarray) -> dict[str, float]:
    """Return the elements of an array by their names, such as "W1[0,2]"."""
    return {f"{name}[{','.join(map(str, place))}]": float(value) for place, value in np.ndenumerate(values)}


def _is_product(chain: Chain, target: Node) -> bool:
    return chain.t.layers[target.layer].operation.kind == "dense"


def connections(chain: Chain, row: int) -> list[tuple[Node, Node, float]]:
    """Return every connection between two boxes: source, target, and local derivative."""
    found = []
    for k, layer in enumerate(chain.t.layers):
        matrix, there = chain.jacobian(k, row)
        for i, j in zip(*map(list, there.nonzero())):
            found.append((chain.source(k, int(i), row), Node("z", k, row, (int(j),)), float(matrix[i, j])))
        operation = layer.operation
        if operation.kind == "add":
            fork = k + operation.fields["fork"]
            found += [(Node("a", fork, row, (j,)), Node("z", k, row, (j,)), 1.0) for j in range(operation.n_out)]
    return found


def label(key: str) -> str:
    """Return the name of a number for people; derivatives are those of L."""
    if key[0] == "g":
        return f"g'(z{key[1:]})"
    return f"dL/{key}" if key[0] == "d" else key


def is_small(t: Trace) -> bool:
    """Return whether every neuron is drawn; a batch norm in training excludes it, since it combines rows."""
    kinds = [layer.operation.kind for layer in t.layers]
    return (
        max(t.x.shape[1], *(layer.a.shape[1] for layer in t.layers)) <= MOST_UNITS
        and len(t.layers) <= MOST_LAYERS
        and t.network.n_parameters <= MOST_PARAMETERS
        and not (t.training and "batch_norm" in kinds)
    )


def edges_of(rows: Sequence[Row]) -> list[Edge]:
    """Return the edges of all rows; one whose derivative is 0 in a row may be missing there."""
    return list(dict.fromkeys(edge for row in rows for edge in row.edges))


def drawing(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the SVG of a graph.

    Parameters
    ----------
    rows : sequence of Row
        The first one is drawn, with space for the numbers of the others.
    names : sequence of str
        The names of the inputs, or empty ones.
    """
    t, n = rows[0].chain.t, len(rows[0].chain.t.layers)
    numbers = rows[0].numbers
    steps = {"L": step_of("L", 0, n), "dx": step_of("dx", 0, n)}
    for k in range(1, n + 1):
        steps |= {f"{what}{k}": step_of(what, k, n) for what in ("z", "a", "da", "dz", "dW")}
        steps |= {f"g{k}": steps[f"a{k}"], f"db{k}": steps[f"dW{k}"]}

    def cell(key: str, *, step: int | None = None, on_line: bool = False) -> Cell:
        space = max(len(short(row.numbers.get(key, 0.0))) for row in rows)
        when = steps.get(key.partition("[")[0], 0) if step is None else step
        data: dict[str, Any] = {"key": key, "step": when}
        if key[0] in "xzaWb" and ">" not in key:
            data["quantity"] = key
        value = numbers.get(key, 0.0)
        return Cell("" if on_line else label(key), short(value), space, (sign(value),) if key[0] == "d" else (), data)

    columns = [[_input(i, name, cell) for i, name in enumerate(names)]]
    for k, layer in enumerate(t.layers, start=1):
        boxes = []
        stacked = layer.a.shape[1] <= STACKED
        for j in range(layer.a.shape[1]):
            given = []
            if layer.operation.kind in OWN:
                given.append(f"W{k}[{j}]")
            if layer.b is not None:
                given.append(f"b{k}[{j % layer.b.size}]")  # groups of a layer may share theirs
            forward = [*given, *(f"{letter}{k}[{j}]" for letter in "zga")]
            backward = [f"d{letter}{k}[{j}]" for letter in "az"] + [f"d{each}" for each in given]
            cells = [[cell(key) for key in keys] for keys in (forward, backward)]
            head = "" if j else cut(f"{k}: {layer.name}", LETTERS)
            boxes.append(Box(f"a{k}[{j}]", [cells[0] + cells[1]] if stacked else cells, head))
        columns.append(boxes)
    targets = [key for key in numbers if key[0] == "y"]
    columns.append([Box("L", [[cell(key) for key in (*targets, "L")]], cut(t.loss.name, LETTERS))])

    lines, heads = [], {n + 1: [Cell(f"dL/da{n}", data={"step": steps[f"da{n}"]})]}
    largest = max((abs(value) for key, value in numbers.items() if key.startswith("dW")), default=0.0)
    for edge in edges_of(rows):
        k, place = int(edge.target[1 : edge.target.index("[")]), edge.target.partition("[")[2]
        gradient = f"d{edge.weight}" if edge.weight else ""
        kept = [cell(edge.key, step=0 if edge.weight else steps[f"z{k}"], on_line=True)]
        data: dict[str, Any] = {"edge": f"{edge.source}>{edge.target}"}
        kinds: tuple[str, ...] = ("edge",)
        width = 1.0
        if edge.weight:
            kept.append(cell(gradient, on_line=True))
            data |= {"step": steps[f"dW{k}"], "quantity": edge.weight, "gradient": gradient}
            kinds = ("edge", sign(numbers[gradient]))
            width = stroke(numbers[gradient], largest)
        else:
            data["local"] = edge.key
        lines.append(Line(edge.source, f"a{k}[{place}", kept, width, kinds, data))
        if edge.weight:
            heads[k] = [Cell(f"W{k}"), Cell(f"dL/dW{k}", data={"step": steps[f"dW{k}"]})]
        else:
            heads.setdefault(k, [Cell(f"dz{k}/d{edge.source.partition('[')[0]}", data={"step": steps[f"z{k}"]})])
    last = [f"da{n}[{j}]" for j in range(t.layers[-1].a.shape[1])]
    most = max(abs(numbers[key]) for key in last)
    for key in last:
        data = {"edge": f"{key[1:]}>L", "step": steps[f"da{n}"], "gradient": key}
        width, kinds = stroke(numbers[key], most), ("edge", sign(numbers[key]))
        lines.append(Line(key[1:], "L", [cell(key, on_line=True)], width, kinds, data))
    return draw(f"Computational graph of row {rows[0].number}", columns, lines, heads)


def _input(i: int, name: str, cell: Any) -> Box:
    called = [Cell(cut(name, LETTERS), kinds=("soft",))] if name else []
    return Box(f"x[{i}]", [[*called, cell(f"x[{i}]"), cell(f"dx[{i}]")]], "" if i else "inputs")
