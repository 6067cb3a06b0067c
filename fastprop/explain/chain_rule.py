"""Local derivatives of each operation with respect to its inputs and parameters, and sums of their products over paths.

The computational graph of a trace has, for every row, a node for each input, each z and each a, and a node for the
row's loss. All paths lead to the cost.
"""

from math import pi
from typing import NamedTuple

import numpy as np

from fastprop.explain import numpy_ops
from fastprop.explain.trace import Trace
from fastprop.interop import _common
from fastprop.nn.operations import sources

# The kinds of operations whose Jacobian does not depend on the row.
CONSTANT = ("dense", "copy", "scale", "batch_norm", "fork", "add", "repeat", "select", "concat")


class Node(NamedTuple):
    """One number: an element of "x", "z", "a", "W" or "b", or "L", the loss of a row (and member), or "C", the cost.

    Layers are counted from 0 here, and from 1 in names.
    """

    kind: str
    layer: int = -1
    row: int = -1
    place: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.kind in "LC":
            return self.kind + (f"[{self.place[0]}]" if self.place else "")
        number = "" if self.kind == "x" else str(self.layer + 1)
        return f"{self.kind}{number}[{','.join(map(str, self.place))}]"


class Edge(NamedTuple):
    """The derivative of `target` with respect to `source`: its formula and its value."""

    source: Node
    target: Node
    formula: str
    derivative: float

    @property
    def symbol(self) -> str:
        """The derivative in symbols, such as dz2[3]/da1[0]."""
        return f"d{self.target}/d{self.source}"


def averages(t: Trace) -> bool:
    """Return whether the cost is a mean of several losses."""
    return t.end == "C"


class Chain:
    """The edges of a trace's graph from one layer up, and for each node the sum over all its paths to the cost.

    Attributes
    ----------
    end : str
        "C", or "L" if the cost is one loss.
    total, best, count : dict of (kind, layer) -> ndarray, (rows, n)
        For z and a: the sum of the products along all paths, the largest magnitude of a product, and the number of
        paths.
    """

    @np.errstate(all="ignore")  # a network that diverged has products that are not finite
    def __init__(self, t: Trace, lowest: int):
        self.t, self.parts = t, _common.parts(t.network)
        self.rows = [int(row) for row in np.flatnonzero(t.scale)]
        self.end = "C" if averages(t) else "L"
        self.total: dict[tuple[str, int], np.ndarray] = {}
        self.best: dict[tuple[str, int], np.ndarray] = {}
        self.count: dict[tuple[str, int], np.ndarray] = {}
        self._sources = sources(t.network.operations)
        self._matrices: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        last = len(t.layers) - 1
        share = np.zeros_like(t.scale)
        share[t.scale > 0] = 1 / t.scale[t.scale > 0]
        # dL/da: the engine's is dC/da
        self.loss_slope = t.layers[last].da * share[:, None]
        for k in range(last, lowest - 1, -1):
            n = t.layers[k].a.shape[1]
            found = [np.zeros((len(t.x), n)) for _ in range(3)]
            if k == last:
                down = self.loss_slope * t.scale[:, None]
                found = [down, np.abs(down), np.broadcast_to((t.scale != 0) * 1.0, (n, len(t.x))).T]
            else:
                self._collect(k, *found)
            slope = t.layers[k].slope.astype(np.float64)
            factors = slope, np.abs(slope), np.ones_like(slope)
            for store, a, factor in zip((self.total, self.best, self.count), found, factors):
                store["a", k], store["z", k] = a, a * factor

    def _collect(self, k: int, total: np.ndarray, best: np.ndarray, count: np.ndarray) -> None:
        """Add up what the outputs a of operation k receive from the operations that read them."""
        ((reader, rows),) = self._readers(k)
        above, sizes = None, None
        for row in self.rows:
            matrix, there = self.jacobian(reader, row)
            if matrix is not above:
                above, sizes = matrix, np.abs(matrix[rows])
            total[row] = matrix[rows] @ self.total["z", reader][row]
            best[row] = np.max(sizes * self.best["z", reader][row], axis=1)
            count[row] = there[rows] @ self.count["z", reader][row]
        if self.parts[k].operation.kind == "fork":
            add = k + self.parts[k].operation.fields["fork"]
            total += self.total["z", add]
            np.maximum(best, self.best["z", add], out=best)
            count += self.count["z", add]

    def _readers(self, k: int) -> list[tuple[int, slice]]:
        """Return the operations that read the outputs of operation k, -1 being the inputs, and as which of theirs."""
        found = []
        for reader, read in enumerate(self._sources):
            at = 0
            for source in read:
                n = self.t.x.shape[1] if source < 0 else self.t.layers[source].a.shape[1]
                if source == k:
                    found.append((reader, slice(at, at + n)))
                at += n
        return found

    def source(self, k: int, i: int, row: int = 0) -> Node:
        """Return the node that is input i of operation k."""
        for source in self._sources[k]:
            n = self.t.x.shape[1] if source < 0 else self.t.layers[source].a.shape[1]
            if i < n:
                break
            i -= n
        return Node("x" if source < 0 else "a", source, row, (i,))

    def jacobian(self, k: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of operation k's z with respect to its inputs in a row, and where there is an edge.

        Both are (n_in, n_out).
        """
        if k in self._matrices:
            return self._matrices[k]
        matrix = self._jacobian(k, row)
        kind, there = self.parts[k].operation.kind, matrix != 0
        if kind == "dense":  # a weight that is 0 is an edge, as is an element that was dropped
            there = _product(self.parts[k]._replace(weight=np.ones_like(self.parts[k].weight))) != 0
        elif kind == "dropout":
            there = np.eye(len(matrix)) != 0
        if kind in CONSTANT:
            self._matrices[k] = matrix, there
        return matrix, there

    def _jacobian(self, k: int, row: int) -> np.ndarray:
        part, layer = self.parts[k], self.t.layers[k]
        operation, w = part.operation, part.weight
        kind, n = operation.kind, layer.x.shape[1]
        x, a = layer.x[row].astype(np.float64), layer.a[row].astype(np.float64)
        if kind == "dense":
            return _product(part)
        if kind == "scale":
            return np.diag(w.astype(np.float64))
        if kind == "batch_norm":
            self.refuse(k)
            return np.diag(w / np.sqrt(part.state.astype(np.float64)[n:] + operation.fields["epsilon"]))
        if kind == "layer_norm":
            hat, deviation = _normalized(x, operation.fields["epsilon"])
            return (np.eye(n) - 1 / n - np.outer(hat, hat) / n) * w / deviation
        if kind == "dropout":
            return np.diag(numpy_ops.mask(self.t, k)[row])
        if kind == "prelu":
            return np.diag(np.where(x > 0, 1, w.astype(np.float64)))
        if kind == "softmax":
            if operation.fields["logarithm"]:
                return np.eye(n) - np.exp(a)[:, None]
            return np.diag(a) - np.outer(a, a)
        if kind == "repeat":
            return np.tile(np.eye(n), operation.fields["n_groups"])
        if kind == "embed":
            (passed,) = np.nonzero(operation.fields["sizes"][:n] == 0)
            matrix = np.zeros((n, len(a)))
            matrix[passed, np.arange(len(passed))] = 1
            return matrix
        if kind == "select":
            return np.eye(n)[:, operation.fields["sizes"]]
        if kind == "piecewise":
            return _slopes(part, x)
        if kind == "periodic":
            return _waves(w, a)
        return np.eye(n)  # copy, fork, add, concat

    def refuse(self, k: int) -> None:
        """Raise an error if the derivative of an operation is not within a row.

        Raises
        ------
        ValueError
            If operation k is a batch norm in training.
        """
        if self.parts[k].operation.kind == "batch_norm" and self.t.training:
            raise ValueError(
                f"layer {k + 1} is a BatchNorm in training, whose outputs depend on all rows at once: its chain rule "
                "cannot be shown row by row; trace with training=False, or explain a quantity above it"
            )

    # ---- edges ----

    def successors(self, node: Node) -> list[tuple[Node, float]]:
        """Return the successors of a node, each with the derivative of the edge."""
        kind, k, row, place = node
        if kind == "z":
            return [(Node("a", k, row, place), float(self.t.layers[k].slope[row, *place]))]
        if kind == "L":
            return [(Node("C"), float(self.t.scale[row]))] if self.end == "C" else []
        if kind == "C":
            return []
        if k == len(self.parts) - 1:
            member = place[0] // self.t.network.n_outputs
            loss = Node("L", k + 1, row, (member,) if self.t.network.n_members > 1 else ())
            return [(loss, float(self.loss_slope[row, *place]))]
        found = []
        for reader, rows in self._readers(k):
            matrix, there = (each[rows][place] for each in self.jacobian(reader, row))
            found += [(Node("z", reader, row, (int(j),)), float(matrix[j])) for j in np.flatnonzero(there)]
        if kind == "a" and self.parts[k].operation.kind == "fork":
            found.append((Node("z", k + self.parts[k].operation.fields["fork"], row, place), 1.0))
        return found

    def bound(self, node: Node) -> float:
        """Return the largest magnitude of the product of a path from a node to the end."""
        if node.kind in "LC":
            return float(self.t.scale[node.row]) if node.kind == "L" and self.end == "C" else 1.0
        return float(self.best[node.kind, node.layer][node.row, *node.place])

    def first_edges(self, node: Node) -> list[tuple[Node, float, str]]:
        """Return the successors of a quantity, with derivatives and formulas; a parameter has a z in every row."""
        if node.kind not in "Wb":
            return [(target, derivative, self.formula(node, target)) for target, derivative in self.successors(node)]
        self.refuse(node.layer)
        return [
            (Node("z", node.layer, row, (unit,)), float(derivative), formula)
            for row in self.rows
            for unit, derivative, formula in self._of_parameter(node, row)
        ]

    def _of_parameter(self, node: Node, row: int) -> list[tuple[int, float, str]]:
        """Return the outputs z that depend on a parameter in a row, the derivative of each, and its formula."""
        part, layer, k = self.parts[node.layer], self.t.layers[node.layer], node.layer
        fields, kind = part.operation.fields, part.operation.kind
        x, n_out, n_groups = layer.x[row].astype(np.float64), part.operation.n_out, fields.get("n_groups", 1)
        if node.kind == "b":
            size = part.bias.size
            return [(unit, 1.0, "1") for unit in range(node.place[0], n_out, size)]
        place = int(np.ravel_multi_index(node.place, part.weight.shape))
        if kind == "dense":
            width = n_out // n_groups
            i, j = divmod(place, width)
            if fields.get("shared_weights"):
                n_in = len(x) // n_groups
                inputs = [(p * width + j, p * n_in + i) for p in range(n_groups)]
            else:
                sizes = fields.get("sizes", [len(x) // n_groups] * n_groups)
                group = int(np.searchsorted(np.cumsum(sizes), i, side="right"))
                inputs = [(group * width + j, i)]
            return [(unit, x[i], str(self.source(k, i))) for unit, i in inputs]
        if kind == "scale":
            return [(place, x[place], str(self.source(k, place)))]
        if kind == "layer_norm":
            hat, _ = _normalized(x, fields["epsilon"])
            return [(place, hat[place], "(x - mean) / sqrt(variance + epsilon), of the row")]
        if kind == "batch_norm":
            mean, variance = part.state.astype(np.float64).reshape(2, -1)[:, place]
            hat = (x[place] - mean) / np.sqrt(variance + fields["epsilon"])
            return [(place, hat, "(x - mean) / sqrt(variance + epsilon), running ones")]
        if kind == "prelu":
            formula = f"{self.source(k, place)} where it is not above 0, else 0"
            return [(place, 0.0 if x[place] > 0 else x[place], formula)]
        if kind == "periodic":
            (c, f), n = node.place, part.weight.shape[1]
            cosine, sine = 2 * c * n + f, (2 * c + 1) * n + f
            a, number = layer.a[row].astype(np.float64), self.source(k, c)
            angle = f"(2 pi {node} {number})"
            return [
                (cosine, -2 * pi * x[c] * a[sine], f"-2 pi {number} sin{angle}"),
                (sine, 2 * pi * x[c] * a[cosine], f"2 pi {number} cos{angle}"),
            ]
        return self._of_table(k, fields["sizes"].reshape(2, -1), x, place)

    def _of_table(self, k: int, sizes: np.ndarray, x: np.ndarray, place: int) -> list[tuple[int, float, str]]:
        """Return the output of an embedding that depends on an element of a table, if the row has its category."""
        categories, widths = sizes
        unit, start = int(np.sum(categories == 0)), 0
        for column in np.flatnonzero(categories):
            size = int(categories[column] * widths[column])
            if place < start + size:
                category, j = divmod(place - start, int(widths[column]))
                formula = f"1, as {self.source(k, int(column))} = {category}"
                return [(unit + j, 1.0, formula)] if x[column] == category else []
            start, unit = start + size, unit + int(widths[column])
        raise AssertionError("the place is in no table")

    def formula(self, source: Node, target: Node) -> str:
        """Return the local derivative of an edge in symbols."""
        t, k = self.t, target.layer
        if target.kind == "C":
            share = f"1/{len(self.rows)}" if t.sample_weight is None else "weight / sum of weights"
            return share if t.network.n_members == 1 else f"({share}) / {t.network.n_members} members"
        if target.kind == "L":
            return t.loss.derivative
        operation = self.parts[k].operation
        if source.kind == "z":
            return operation.activation.derivative
        (i,), (j,), w = source.place, target.place, f"W{k + 1}[{target.place[0]}]"
        if operation.kind == "dense":
            return self._weight(k, i, j)
        return {
            "scale": w,
            "batch_norm": f"{w} / sqrt(variance + epsilon)",
            "layer_norm": f"{w} ({int(i == j)} - 1/n - xhat[{i}] xhat[{j}] / n) / sqrt(variance + epsilon)",
            "dropout": "mask / (1 - rate)" if t.training else "1",
            "prelu": f"1 if {self.source(k, i)} > 0 else {w}",
            "softmax": f"{int(i == j)} - exp(z{k + 1}[{i}])"
            if operation.fields.get("logarithm")
            else f"z{k + 1}[{j}] ({int(i == j)} - z{k + 1}[{i}])",
            "piecewise": "1 / width of the bin",
            "periodic": f"2 pi f cos(2 pi f {source}) or -2 pi f sin(2 pi f {source})",
        }.get(operation.kind, "1")

    def _weight(self, k: int, i: int, j: int) -> str:
        """Return the name of the weight from input i to output j of a product."""
        part = self.parts[k]
        n_groups = part.operation.fields.get("n_groups", 1)
        width = part.operation.n_out // n_groups
        if part.operation.fields.get("shared_weights"):
            i %= self.t.layers[k].x.shape[1] // n_groups
        place = np.unravel_index(i * width + j % width, part.weight.shape)
        return str(Node("W", k, -1, tuple(map(int, place))))


def _product(part: _common.Part) -> np.ndarray:
    """Return the matrix of a product; it is block diagonal if the product has groups."""
    operation, w = part.operation, part.weight.astype(np.float64)
    n_groups = operation.fields.get("n_groups", 1)
    if n_groups == 1:
        return w.reshape(-1, operation.n_out)
    if operation.fields.get("shared_weights"):
        return np.kron(np.eye(n_groups), w)
    blocks = [block for block, _ in _common.groups(part)]
    matrix, row, column = np.zeros((sum(map(len, blocks)), operation.n_out)), 0, 0
    for block in blocks:
        matrix[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return matrix


def _normalized(x: np.ndarray, epsilon: float) -> tuple[np.ndarray, float]:
    """Return a row minus its mean, divided by its standard deviation, and the standard deviation."""
    deviation = float(np.sqrt(x.var() + epsilon))
    return (x - x.mean()) / deviation, deviation


def _slopes(part: _common.Part, x: np.ndarray) -> np.ndarray:
    """Return the Jacobian of a piecewise-linear encoding: in each column only the bin of x depends on it."""
    columns = numpy_ops.edges_of(part)
    matrix, start = np.zeros((len(x), part.operation.n_out)), 0
    for c, edges in enumerate(columns):
        t = int(np.searchsorted(edges[1:-1], x[c], side="right"))
        matrix[c, start + t] = 1 / (edges[t + 1] - edges[t])
        start += len(edges) - 1
    return matrix


def _waves(w: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the Jacobian of cos(2 pi f x) and sin(2 pi f x), which are in a."""
    n_in, n = w.shape
    matrix = np.zeros((n_in, len(a)))
    for c in range(n_in):
        cosine, sine = slice(2 * c * n, (2 * c + 1) * n), slice((2 * c + 1) * n, (2 * c + 2) * n)
        matrix[c, cosine], matrix[c, sine] = -2 * pi * w[c] * a[sine], 2 * pi * w[c] * a[cosine]
    return matrix
