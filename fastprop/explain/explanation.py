"""The chain rule for one number of a trace, written out: each path from it to the cost, each factor, and their sum."""

import heapq
import itertools
import re
from collections.abc import Iterable
from math import fsum, isfinite, nan, prod
from typing import Any

from fastprop import _validation
from fastprop._util import notation, notebook
from fastprop._util.frozen import ByIdentity, frozen, once
from fastprop._util.text import aligned, number
from fastprop.explain import numpy_ops
from fastprop.explain.chain_rule import Chain, Edge, Node, averages
from fastprop.explain.trace import Trace

QUANTITY = re.compile(r"(?:(x)|([Wbza])(\d+))\[(\d+(?:,\d+)*)\]")
HOW = 'use for example "W2[0,3]", "b1[2]", "x[4]", "z1[0]" or "a1[0]", with layers from 1 and places from 0'

# The step of extrapolated differences, whose error is of the order of step^4 + eps / step. It is halved while a corner
# of the cost lies within it.
STEP = 1e-3
SMALLEST_STEP = 1e-9
AGREEMENT = 1e-5  # the largest relative difference of the slopes over one and two steps; smooth costs differ by step^2
# Of an explanation that a notebook shows: paths with a table, and factors of one, as many as a screen shows.
MOST_TABLES, MOST_FACTORS = 8, 12
COMPLEX_STEP = 1e-20  # so small that its square vanishes beside 1: there is no truncation and no cancellation


@frozen
class Path:
    """A path from a quantity to the cost, through one row.

    Attributes
    ----------
    row : int
        Its place among the rows of the trace.
    edges : tuple of Edge
    product : float
        The product of the derivatives of the edges.
    """

    row: int
    edges: tuple[Edge, ...]

    @property
    def product(self) -> float:
        """The product of the derivatives of the edges."""
        return prod(edge.derivative for edge in self.edges)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes from the quantity to the cost."""
        return (self.edges[0].source, *(edge.target for edge in self.edges))


@frozen
class Explanation(ByIdentity):
    """The result of ``explain``: ``print`` shows it, ``latex()`` and ``svg()`` draw it.

    Attributes
    ----------
    trace : Trace
        The trace; its cost is the loss of the row if a row was given.
    node : Node
        The node of the quantity.
    quantity : str
        The name of the quantity.
    value : float
        The value of the quantity.
    row : int or None
        The row whose loss is differentiated, or None for the cost, a mean over rows.
    paths : tuple of Path
        The paths with the largest products, in decreasing order of magnitude.
    rest : float
        The sum of the products of all other paths.
    n_rest : int
        The number of the other paths.
    total : float
        The sum over all paths.
    gradient : float
        The derivative that the engine computed.
    """

    trace: Trace
    node: Node
    quantity: str
    value: float
    row: int | None
    paths: tuple[Path, ...]
    rest: float
    n_rest: int
    total: float
    gradient: float

    @once
    def finite_difference(self) -> float | None:
        """A finite difference of the cost, computed in NumPy and float64; None if the cost has a corner here."""
        return finite_difference(self.trace, self.node)

    @once
    def complex_step(self) -> float:
        """The derivative by the complex step; if the cost has a corner, the derivative on one side of it."""
        return complex_step(self.trace, self.node)

    def __getstate__(self) -> dict[str, Any]:
        return {"t": self.trace, "quantity": self.quantity, "row": self.row, "paths": max(1, len(self.paths))}

    def __setstate__(self, given: dict[str, Any]) -> None:
        """Compute the explanation again; a pickle has only the trace and the arguments."""
        vars(self).update(vars(explain(**given)))

    @property
    def symbol(self) -> str:
        """The derivative in symbols, such as dC/dW2[0,3]; L is the loss of one row, C the cost, a mean over rows."""
        return f"d{self._end}/d{self.quantity}"

    @property
    def _end(self) -> str:
        return "C" if averages(self.trace) else "L"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, width: int | None = None) -> list[str]:
        """Internal: return what ``print`` shows as lines; if they exceed `width`, formulas stand below the numbers."""
        lines = [f"{self.symbol} = {_digits(self.total)}, where {self.quantity} = {number(self.value)}", ""]
        for path in self.paths:
            row = f"   (row {self.row_number(path)})" if self.row is None else ""
            lines += [" -> ".join(map(str, path.nodes)) + row, *self._factors(path, width), ""]
        if self.n_rest:
            lines.append(f"the other {_count(self.n_rest)} together: {_digits(self.rest)}")
        if not self.paths:
            lines.append("no path leads from it to the cost")
        found = self.finite_difference
        difference = "none, the cost has a corner here" if found is None else _digits(found)
        lines += [
            f"sum over {_count(len(self.paths) + self.n_rest)}: {_digits(self.total)}",
            f"the engine's gradient: {_digits(self.gradient)}",
            f"finite difference:     {difference}",
            f"complex step:          {_digits(self.complex_step)}",
        ]
        return lines

    def _factors(self, path: Path, width: int | None) -> list[str]:
        """Return a line for each factor of a path, and one for the product."""
        symbols = [*(edge.symbol for edge in path.edges), "product"]
        sides = [*(edge.formula for edge in path.edges), ""]
        numbers = aligned([_digits(value) for value in (*(edge.derivative for edge in path.edges), path.product)])
        wide, far = max(map(len, symbols)), max(map(len, sides))
        lines = [
            f"    {symbol:{wide}} = {side:{far}}{' = ' if side else '   '}{each}".rstrip()
            for symbol, side, each in zip(symbols, sides, numbers)
        ]
        if width is None or max(map(len, lines)) <= width:
            return lines
        found = []
        for symbol, side, each in zip(symbols, sides, numbers):
            found += [f"    {symbol:{wide}} = {each}".rstrip(), *([f"      {side}"] if side else [])]
        return found

    def __repr__(self) -> str:
        return f"<{self.symbol} = {number(self.total)}, {_count(len(self.paths) + self.n_rest)}>"

    def latex(self) -> str:
        """Return the explanation as an ``aligned`` block of LaTeX, with the values under braces."""
        end = self._end
        terms = []
        for path in self.paths:
            factors = [
                rf"\underbrace{{{_fraction(edge.target, edge.source)}}}_{{{_under(edge)}}}" for edge in path.edges
            ]
            comment = rf" && \text{{row {self.row_number(path)}}}" if self.row is None else ""
            terms.append(r" \cdot ".join(factors) + comment)
        if self.n_rest or not terms:
            terms.append(rf"\underbrace{{{_tex(self.rest)}}}_{{\text{{the other {_count(self.n_rest)}}}}}")
        body = r" \\ &\quad + ".join(terms)
        whole = _fraction(Node(end), self.node)
        return rf"\begin{{aligned}} {whole} &= {body} \\ &= {_tex(self.total)} \end{{aligned}}"

    def svg(self) -> str:
        """Draw the paths as SVG and highlight the largest; see ``fastprop.explain.graph.paths``."""
        from fastprop.explain import graph

        return graph.paths(self)

    def row_number(self, path: Path) -> int:
        """Internal: return the number of a path's row, as the trace counts its rows."""
        return self.trace.first_row + path.row

    def _repr_html_(self) -> str:
        """Return the paths as tables, the checks, and the drawing of the paths, which need no MathJax."""
        parts = [f"{self.symbol} = {_digits(self.total)}, where {self.quantity} = {number(self.value)}."]
        tables = [self._table_of(path) for path in self.paths[:MOST_TABLES]]
        left_out = len(self.paths) - len(tables)
        found = self.finite_difference
        sums = [("the sum of these paths", fsum(path.product for path in self.paths))] if self.n_rest else []
        sums += [(f"the other {_count(self.n_rest)}", self.rest)] if self.n_rest else []
        checks = [
            *sums,
            ("the sum of all paths", self.total),
            ("the engine's gradient", self.gradient),
            ("finite difference", found),
            ("complex step", self.complex_step),
        ]
        corner = "none: the cost has a corner here"
        rows = [(what, corner if value is None else _digits(value)) for what, value in checks]
        return notebook.fragment(
            *map(notebook.paragraph, parts),
            f'<div tabindex="0">{self.svg()}</div>',
            f'<div class="side">{"".join(tables)}</div>',
            notebook.paragraph(f"{_count(left_out)} more with smaller products.", "soft") if left_out else "",
            notebook.table((self.symbol, "value"), rows, numbers=[1], caption="Sum and checks"),
        )

    def _table_of(self, path: Path) -> str:
        """Return the factors of a path as a table; of a long path, the first and the last ones."""
        edges = path.edges
        rows = [(edge.symbol, edge.formula, _digits(edge.derivative)) for edge in edges]
        if len(edges) > MOST_FACTORS:
            n = MOST_FACTORS // 2
            product = prod(edge.derivative for edge in edges[n:-n])
            rows[n:-n] = [(f"{len(edges) - 2 * n} more factors", "their product", _digits(product))]
        rows.append(("product", "", _digits(path.product)))
        nodes = [str(node) for node in path.nodes]
        if len(nodes) > MOST_FACTORS:
            nodes[3:-3] = ["..."]
        of = f"row {self.row_number(path)}: " if self.row is None else ""
        header = ("derivative", "formula", "value")
        caption = of + " \N{RIGHTWARDS ARROW} ".join(nodes)
        return notebook.table(header, rows, numbers=[2], caption=caption, strong=[len(rows) - 1])

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"


def explain(t: Trace, quantity: str, *, row: int | None = None, paths: int = 8) -> Explanation:
    """Write out the chain rule for one number: the paths from it to the cost, their local derivatives, and the sum.

    Parameters
    ----------
    t : Trace
    quantity : str
        "W2[0,3]", a weight of layer 2; "b1[2]"; "x[4]", an input; "z1[0]", "a1[0]".
    row : int, optional
        Differentiate the loss of this row instead of the cost, a mean over rows. It is needed for x, z and a if the
        trace has several rows.
    paths : int, default 8
        The number of paths to show, those with the largest products. The others are added up.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError, TypeError
        If there is no such quantity, or it has no derivative for a row, since a batch norm in training uses all rows.

    Examples
    --------
    >>> from fastprop.nn.network import Network
    >>> from fastprop.explain.trace import trace
    >>> t = trace(Network([2, 3, 1], seed=0), [[1.0, 2.0]], [0.5], loss="half_mse")
    >>> len(explain(t, "W1[0,2]").paths)
    1
    """
    _validation.count("paths", paths)
    node = parse(t, quantity)
    of_row = node.kind in "xza"
    if of_row and row is None:
        if len(t.x) > 1:
            raise ValueError(
                f"{quantity} is a number of one row, and the trace has {len(t.x)}; "
                f"say which, as explain({quantity!r:.200}, row={t.first_row})"
            )
        row = t.first_row
    if row is not None:
        node = node._replace(row=t.place_of(row)) if of_row else node
        t = t.of_row(row)
    return explain_node(Chain(t, max(node.layer, 0)), node, row, paths)


def explain_node(chain: Chain, node: Node, row: int | None, paths: int) -> Explanation:
    """Return the explanation of a node from a chain of its layer and those above, which serves many nodes."""
    t = chain.t
    starts = chain.first_edges(node)
    found = _largest(chain, node, starts, paths)
    total = _sum(derivative * _total(chain, target) for target, derivative, _ in starts)
    n_rest = round(sum(_paths_from(chain, target) for target, _, _ in starts)) - len(found)
    rest = total - _sum(path.product for path in found) if n_rest else 0.0
    return Explanation(
        t, node, str(node), _value(t, node), row, tuple(found), rest, n_rest, total, _gradient(t, node)
    )  # fmt: skip


def parse(t: Trace, quantity: Any) -> Node:
    """Return the node of a quantity's name, without its row.

    Raises
    ------
    ValueError
        If there is no such quantity.
    """
    match = QUANTITY.fullmatch(quantity.replace(" ", "")) if isinstance(quantity, str) else None
    if match is None:
        raise ValueError(f"there is no quantity {quantity!r:.200}; {HOW}")
    kind, number, place = match[1] or match[2], match[3], tuple(map(int, match[4].split(",")))
    layer = int(number) - 1 if number else -1
    if number and not 0 <= layer < len(t.layers):
        raise ValueError(f"{quantity} is of layer {number}, layers are 1 to {len(t.layers)}; print(trace) lists them")
    values = t.x if kind == "x" else getattr(t.layers[layer], kind)
    if values is None:
        raise ValueError(f"layer {number} ({t.layers[layer].name}) has no {kind}; print(trace) lists what it has")
    shape = values.shape if kind in "Wb" else values.shape[1:]
    if len(place) != len(shape) or any(i >= n for i, n in zip(place, shape)):
        raise ValueError(f"{kind}{number or ''} has shape {shape}, got the place {list(place)}; places count from 0")
    return Node(kind, layer, -1, place)


def _value(t: Trace, node: Node) -> float:
    values = t.x if node.kind == "x" else getattr(t.layers[node.layer], node.kind)
    return float(values[node.place if node.kind in "Wb" else (node.row, *node.place)])


def _gradient(t: Trace, node: Node) -> float:
    """Return the derivative that the engine computed."""
    if node.kind == "x":
        return float(t.dx[node.row, *node.place])
    layer = t.layers[node.layer]
    if node.kind in "Wb":
        return float(getattr(layer, f"d{node.kind}")[node.place])
    da, dz = t.derivatives(layer)
    return float((da if node.kind == "a" else dz)[node.row, *node.place])


# ---- paths ----


def _total(chain: Chain, node: Node) -> float:
    """Return the sum over all paths from a node to the end."""
    if node.kind == "L":
        return float(chain.t.scale[node.row]) if chain.end == "C" else 1.0
    return float(chain.total[node.kind, node.layer][node.row, *node.place])


def _sum(values: Iterable[float]) -> float:
    try:
        return fsum(values)
    except (ValueError, OverflowError):  # inf - inf, or beyond the largest number, in a network that diverged
        return nan


def _paths_from(chain: Chain, node: Node) -> float:
    return 1.0 if node.kind == "L" else float(chain.count[node.kind, node.layer][node.row, *node.place])


def _largest(chain: Chain, node: Node, starts: list[tuple[Node, float, str]], most: int) -> list[Path]:
    """Return the paths with the largest products, by best-first search.

    The queue is ordered by the largest product that a partial path can reach, which is known, so paths are completed in
    decreasing order. Of equal ones, as where all products are 0, the longest goes first, which keeps the search narrow.
    """
    formula = {target: text for target, _, text in starts}
    order = itertools.count()
    queue: list[tuple[float, int, int, tuple[Node, ...], tuple[float, ...]]] = []

    def push(nodes: tuple[Node, ...], derivatives: tuple[float, ...], successors: list[tuple[Node, float]]) -> None:
        so_far = abs(prod(derivatives))
        reach = [(so_far * abs(factor) * chain.bound(target), target, factor) for target, factor in successors]
        for size, target, derivative in heapq.nlargest(most, reach, key=lambda each: each[0]):  # more are not needed
            heapq.heappush(queue, (-size, -len(nodes), next(order), (*nodes, target), (*derivatives, derivative)))

    push((node,), (), [(target, derivative) for target, derivative, _ in starts])
    found: list[Path] = []
    while queue and len(found) < most:
        _, _, _, nodes, derivatives = heapq.heappop(queue)
        successors = chain.successors(nodes[-1])
        if successors:
            push(nodes, derivatives, successors)
        if nodes[-1].kind != chain.end:
            continue
        edges = [
            Edge(source, target, formula[target] if source == node else chain.formula(source, target), derivative)
            for source, target, derivative in zip(nodes, nodes[1:], derivatives)
        ]
        found.append(Path(nodes[1].row if nodes[1].kind != "C" else node.row, tuple(edges)))
    return found


# ---- the derivative from the cost alone ----


def _cost(t: Trace, node: Node, change: complex) -> complex:
    return numpy_ops.cost(t, node.kind, node.layer, node.row, node.place, change)


def complex_step(t: Trace, node: Node) -> float:
    """Internal: return the derivative by the complex step."""
    return _cost(t, node, COMPLEX_STEP * 1j).imag / COMPLEX_STEP


def finite_difference(t: Trace, node: Node) -> float | None:
    """Internal: return central differences over two step sizes, extrapolated (Richardson 1911), or None at a corner."""
    step, here = STEP * max(1.0, abs(_value(t, node))), _cost(t, node, 0).real

    def around(step: float) -> tuple[float, float]:
        """Return the slope, and the difference between the slopes to the right and to the left."""
        right, left = _cost(t, node, step).real, _cost(t, node, -step).real
        return (right - left) / (2 * step), (right - 2 * here + left) / step

    far, far_bend = around(step)
    while step > SMALLEST_STEP and isfinite(far):
        near, bend = around(step / 2)
        # If the cost is smooth, the slope hardly changes with the step and the bend halves, up to rounding.
        least = AGREEMENT * max(abs(near), abs(bend)) + 1e-14 * abs(here) / step
        if abs(near - far) <= least and abs(2 * bend - far_bend) <= least:
            return (4 * near - far) / 3
        step, far, far_bend = step / 2, near, bend
    return None


# ---- text ----


def _digits(value: float) -> str:
    return number(value, ".10g")


def _count(n: int) -> str:
    return f"{n:,} path{'s' if n != 1 else ''}"


def _tex(value: float) -> str:
    text = number(value)
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else text


def _fraction(above: Node, below: Node) -> str:
    return rf"\frac{{\partial {_symbol(above)}}}{{\partial {_symbol(below)}}}"


def _symbol(node: Node) -> str:
    return notation.latex(node.kind, node.layer + 1 if node.kind in "Wbza" else "", node.place)


def _under(edge: Edge) -> str:
    formula, number = _formula(edge.formula), _tex(edge.derivative)
    return number if formula == number else f"{formula} = {number}"


def _formula(text: str) -> str:
    """Return a formula in LaTeX: the name of a quantity or a number as mathematics, any other as text."""
    name = QUANTITY.fullmatch(text)
    if name:
        return notation.latex(name[1] or name[2], name[3] or "", name[4].split(","))
    if re.fullmatch(r"[\d/]+", text):
        return text
    return rf"\text{{{_escaped(text)}}}"


def _escaped(text: str) -> str:
    """Return a string as text in LaTeX."""
    special = {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "<": "$<$", ">": "$>$", "|": "$|$"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "#$%&_{}" else letter) for letter in text)
