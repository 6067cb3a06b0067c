"""Traces: every number of a forward and a backward pass, computed by the engine that trains."""

import copy
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import ByIdentity, frozen, once
from fastprop._util.lazy import LazyModule
from fastprop._util.notation import derivative, plain
from fastprop._util.text import number, table
from fastprop.interop import _common
from fastprop.nn import custom_loss
from fastprop.nn.losses import Loss
from fastprop.nn.network import Network, views
from fastprop.nn.operations import Operation, sources

html = LazyModule("html")

if TYPE_CHECKING:
    from fastprop.explain.explanation import Explanation
    from fastprop.explain.graph import Graph

SHOWN = 6  # elements of an array in the table, a row of 100 characters; for a larger array it has the range
NAMES = ("W", "b", "z", "a", "slope", "da", "dz", "dW", "db")


@frozen
class TracedLayer(ByIdentity):
    """One operation of the engine for all rows: a layer, or a part of one such as a normalisation or a dropout.

    Attributes
    ----------
    number : int
        The number of the operation, from 1. The weights of operation 1 are called W1, its outputs a1.
    operation : Operation
        The description of the operation.
    x, z, a : ndarray, (rows, n)
        The inputs, the arguments of the activation g, and a = g(z).
    slope : ndarray, (rows, n_out)
        g'(z).
    da, dz : ndarray, (rows, n_out)
        The derivatives of the cost with respect to a, and to z. At the beginning of a residual block, da is the
        derivative through the block only.
    W, b, dW, db : ndarray or None
        The parameters, and the derivatives of the cost with respect to them.
    """

    number: int
    operation: Operation
    x: np.ndarray
    z: np.ndarray
    a: np.ndarray
    slope: np.ndarray
    da: np.ndarray
    dz: np.ndarray
    W: np.ndarray | None
    b: np.ndarray | None
    dW: np.ndarray | None
    db: np.ndarray | None

    @property
    def name(self) -> str:
        """The kind of operation and its activation."""
        kind = self.operation.kind
        if kind == "softmax" and self.operation.fields["logarithm"]:
            kind = "log_softmax"
        activation = self.operation.activation
        return kind if activation.name == "identity" else f"{kind} {activation.name}"

    def __repr__(self) -> str:
        return f"<layer {self.number}: {self.name}, {self.x.shape[1]} in, {self.a.shape[1]} out, {len(self.a)} rows>"


@frozen
class Trace(ByIdentity):
    """The result of ``trace``. Arrays have the names of the equations; ``print`` shows them in a table.

    Attributes
    ----------
    network : Network
        A copy of the network, made when it was traced.
    loss : Loss
    x, y : ndarray
        The inputs (rows, n_inputs) and the targets, or class labels (rows,), as the engine takes them.
    sample_weight : ndarray or None
    training : bool
    step : int
    layers : tuple of TracedLayer
    cost : float
        The mean over rows of the loss, as ``network.value_and_gradient`` returns it.
    losses : ndarray, (rows, members)
        The loss of each row and each member, without the row's weight.
    gradient : ndarray, (n_parameters,)
        The gradient of the cost, in the order of ``network.parameters``.
    dx : ndarray, (rows, n_inputs)
        The derivative of the cost with respect to x.
    first_row : int
        The number of the first row. The others are counted from it, wherever a row is named.
    """

    network: Network
    loss: Loss
    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    training: bool
    step: int
    layers: tuple[TracedLayer, ...]
    cost: float
    losses: np.ndarray
    gradient: np.ndarray
    dx: np.ndarray
    first_row: int = 0

    def __getstate__(self) -> dict[str, Any]:
        names = "network", "loss", "x", "y", "sample_weight", "training", "step", "first_row"
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, given: dict[str, Any]) -> None:
        """Run both passes again; a pickle has only their arguments."""
        vars(self).update(vars(_run(*given.values())))

    @property
    def scale(self) -> np.ndarray:
        """The factor of each row's loss in the cost, (rows,) in float64: 1 / rows, or weight / sum of weights."""
        rows = len(self.x)
        weight = np.ones(rows) if self.sample_weight is None else self.sample_weight.astype(np.float64)
        return weight / (weight.sum() * self.network.n_members)

    @once
    def per_example(self) -> np.ndarray:
        """Return the gradient of each row's loss, (rows, n_parameters); their weighted mean is ``gradient``.

        With a batch norm in training, the loss of a row depends on the other rows too, and so does its gradient.
        """
        network, objective = self.network, self.loss.compiled(self.network.n_outputs)
        result = np.empty((len(self.x), network.n_parameters), network.dtype)
        if not self.training:
            network.engine.row_gradients(self.x, *_targets_of(self.y), objective, result)
            return result
        with network.engine.exclusive():
            before = network.state.copy()
            for row, gradient in enumerate(result):
                examples = self.x, *_targets_of(self.y), self._only(row)
                network.engine.cost(*examples, objective, gradient, True, network.seed, self.step)
                network.state[:] = before
        return result

    def _only(self, row: int) -> np.ndarray:
        """Return weights that are 1 for one row and 0 for the others."""
        weight = np.zeros(len(self.x), self.network.dtype)
        weight[row] = 1
        return weight

    def place_of(self, row: int) -> int:
        """Internal: return the place of a row, given its number.

        Raises
        ------
        ValueError, TypeError
            If there is no such row.
        """
        place, n = _validation.whole("row", row) - self.first_row, len(self.x)
        if not 0 <= place < n:
            end = self.first_row + n
            raise ValueError(f"row must be in [{self.first_row}, {end}), got {row}; the trace has {n} rows")
        return place

    def of_row(self, row: int) -> "Trace":
        """Return a trace of the same rows whose cost is the loss of one row, given its number.

        Raises
        ------
        ValueError, TypeError
            If there is no such row.
        """
        only = self._only(self.place_of(row))
        given = self.network, self.loss, self.x, self.y, only, self.training, self.step, self.first_row
        return _run(*given)

    def derivatives(self, layer: TracedLayer) -> tuple[np.ndarray, np.ndarray]:
        """Internal: return the derivatives of the cost with respect to a and z, at a fork over both of its ways."""
        if layer.operation.kind != "fork":
            return layer.da, layer.dz
        beside = self.layers[layer.number - 1 + layer.operation.fields["fork"]].dz
        return layer.da + beside, layer.dz + beside

    def head(self, n: int) -> "Trace":
        """Internal: return a trace of the first n rows, without weights; only in prediction, where rows are apart."""
        return _run(self.network, self.loss, self.x[:n], self.y[:n], None, False, self.step, self.first_row)

    def explain(self, quantity: str, *, row: int | None = None, paths: int = 8) -> "Explanation":
        """Write out the chain rule for one number, such as "W2[0,3]"; see ``fastprop.explain.explanation.explain``."""
        from fastprop.explain import explanation as explain

        return explain.explain(self, quantity, row=row, paths=paths)

    def graph(self, *, row: int | None = None, names: Sequence[str] | None = None) -> "Graph":
        """Draw the computational graph as SVG; see ``fastprop.explain.graph.graph``."""
        from fastprop.explain import graph

        return graph.graph(self, row=row, names=names)

    def to_html(self, path: str | os.PathLike, *, names: Sequence[str] | None = None) -> None:
        """Write an HTML page that steps through both passes; see ``fastprop.explain.html.write``."""
        from fastprop.explain import html as trace_page

        trace_page.write(self, path, names=names)

    def _repr_html_(self) -> str:
        """Return the HTML page for a notebook, in a frame that separates its script and style from the notebook's."""
        from fastprop.explain import html as trace_page

        page = html.escape(trace_page.page(self))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40rem; border: 0" title="Trace"></iframe>'

    def tree(self) -> dict[str, Any]:
        """Return all numbers as nested dicts whose leaves are floats, with the names that ``explain`` takes."""
        result: dict[str, Any] = {"cost": self.cost}
        for row in range(len(self.x)):
            branch: dict[str, Any] = {f"loss[{m}]": float(loss) for m, loss in enumerate(self.losses[row])}
            if self.network.n_members == 1:
                branch = {"loss": branch["loss[0]"]}
            branch["x"] = _numbers("x", self.x[row])
            branch["dx"] = _numbers("x", self.dx[row])
            for layer in self.layers:
                branch[f"layer {layer.number}"] = {
                    name: _numbers(f"{'a' if name in ('a', 'da') else 'z'}{layer.number}", getattr(layer, name)[row])
                    for name in ("z", "a", "slope", "da", "dz")
                }
            result[f"row {row}"] = branch
        for layer in self.layers:
            for name in ("W", "b"):
                values = getattr(layer, name)
                if values is not None:
                    result[f"{name}{layer.number}"] = _numbers(f"{name}{layer.number}", values)
                    result[f"d{name}{layer.number}"] = _numbers(f"{name}{layer.number}", getattr(layer, f"d{name}"))
        return result

    # ---- as a table ----

    def table_rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Internal: yield the rows of the table: layer, quantity, shape, and elements or their range."""
        yield "inputs", "x", _shape(self.x), _shown(self.x)
        yield "", derivative("x", of=self.end).plain, _shape(self.dx), _shown(self.dx)
        for layer in self.layers:
            title = f"layer {layer.number}: {layer.name}"
            for name in NAMES:
                values = getattr(layer, name)
                if values is not None:
                    letter = name.removeprefix("d")
                    quantity = plain(letter, layer.number)
                    if letter != name:
                        quantity = derivative(letter, layer.number, of=self.end).plain
                    yield title, quantity, _shape(values), _shown(values)
                    title = ""
        yield f"loss: {self.loss.name}", "L", _shape(self.losses), _shown(self.losses)
        if self.end == "C":
            yield "cost", "C", "", number(self.cost)

    @property
    def end(self) -> str:
        """Internal: the symbol of what the derivatives are of: "C", or "L" if the cost is the loss of one row."""
        return "C" if np.count_nonzero(self.scale) > 1 or self.network.n_members > 1 else "L"

    def _ending(self) -> str:
        """Return a sentence that says of what the derivatives are."""
        rows, members = np.flatnonzero(self.scale), self.network.n_members
        row = "the row" if len(self.x) == 1 and not self.first_row else f"row {self.first_row + rows[0]}"
        if self.end == "L":
            return f"L is the loss of {row}."
        over = f"{len(rows):,} rows" if len(rows) > 1 else row
        over += f" and {members} members" if members > 1 else ""
        mean = "mean" if self.sample_weight is None else "weighted mean"
        return f"C is the cost, the {mean} of L over {over}; t.of_row(r) has the derivatives of L, the loss of row r."

    def lines(self, width: int | None = None) -> list[str]:
        """Internal: return the table as lines; where it is wider than `width`, a layer's name has a line of its own."""
        rows = list(self.table_rows())
        shown = table(rows)
        if width is not None and max(map(len, shown)) > width:
            numbers = iter(table([("", *row[1:]) for row in rows]))
            shown = [line for row in rows for line in ([row[0]] if row[0] else []) + [next(numbers)]]
        return [self._title(), *shown, self._ending()]

    def __str__(self) -> str:
        """Return a table in plain text; ``rich.print`` draws it with lines."""
        return "\n".join(self.lines())

    def __rich__(self) -> Any:
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self._title()), caption=self._ending())
        for heading in ("", "quantity", "shape", "numbers"):
            table.add_column(heading)
        for row in self.table_rows():
            table.add_row(*map(escape, row), style="bold" if row[0] else None)
        return table

    def _title(self) -> str:
        mode = "training" if self.training else "prediction"
        rows = f"{len(self.x)} row{'s' if len(self.x) > 1 else ''}"
        return f"Trace of {self.network!r}, {rows}, {mode}"

    def __repr__(self) -> str:
        return f"<{self._title()}: cost {number(self.cost)}>"


def trace(
    network: Network, X, y, *, loss, sample_weight=None, training: bool = False, step: int = 0, first_row: int = 0
) -> Trace:
    """Run both passes of the engine over all rows of X, and return every number.

    The cost and the gradient have the bits of ``network.value_and_gradient`` for the same arguments, and so of a step
    of training. The network does not change, since the trace has a copy.

    Parameters
    ----------
    network : Network
    X, y, sample_weight, training, step
        Arguments of ``Network.value_and_gradient``; X may also be one row, (n_inputs,), with its target and weight.
    loss : str or Loss
    first_row : int, default 0
        The number of the first row of X where it was taken from; explanations, drawings and pages count from it.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, or the loss is your own function, which the engine cannot trace.

    Examples
    --------
    >>> net = Network([2, 3, 1], seed=0)
    >>> trace(net, [[1.0, 2.0]], [0.5], loss="half_mse").layers[0].z.shape
    (1, 3)
    """
    chosen = custom_loss.parse(loss)
    if not isinstance(chosen, Loss):
        raise TypeError(
            f"trace takes a loss of fastprop.losses, got the function {chosen.name}; "
            "use the one nearest to it, such as 'half_mse'"
        )
    network = copy.copy(_common.require_network(network, "trace"))
    if network.prepare_inputs("X", X, row=True).ndim == 1:
        X, y = np.asarray(X)[None], np.asarray(y)[None]
        sample_weight = None if sample_weight is None else np.reshape(sample_weight, 1)
    x, targets, labels, weight = network.prepare_examples(X, y, sample_weight, chosen)
    given = labels if targets is None else targets
    assert given is not None  # exactly one of the two is None
    options = _validation.flag("training", training), _validation.whole("step", step)
    first_row = _validation.whole("first_row", first_row)
    return _run(network, chosen, x.copy(), given.copy(), None if weight is None else weight.copy(), *options, first_row)


def _run(
    network: Network,
    loss: Loss,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    training: bool,
    step: int,
    first_row: int,
) -> Trace:
    """Return a trace of checked arguments, which the trace owns."""
    objective = loss.compiled(network.n_outputs)
    arguments = x, *_targets_of(y), weight, objective
    options = training, network.seed, step
    with network.engine.exclusive():
        before = network.state.copy()
        cost = network.engine.cost(*arguments, np.empty_like(network.gradient), *options)
        network.state[:] = before  # batch norms have updated their running statistics
        operations, losses, gradient, dx = network.engine.trace(*arguments, *options)
    derivatives = iter(zip(*views(gradient, network.operations)))
    layers, outputs = [], [*(numbers["a"] for numbers in operations), x]  # the inputs last, at -1
    for k, (part, read) in enumerate(zip(_common.parts(network), sources(network.operations))):
        dW, db = next(derivatives) if part.weight is not None else (None, None)
        below = outputs[read[0]] if len(read) == 1 else np.concatenate([outputs[j] for j in read], axis=1)
        layers.append(
            TracedLayer(
                k + 1, part.operation, below, **operations[k],
                W=part.weight, b=part.bias, dW=dW, db=None if part.bias is None else db,
            )
        )  # fmt: skip
    return Trace(network, loss, x, y, weight, training, step, tuple(layers), cost, losses, gradient, dx, first_row)


def _targets_of(y: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return targets and labels as the engine takes them, one of which is None."""
    return (None, y) if y.dtype == np.int64 else (y, None)


def _numbers(name: str, values: np.ndarray) -> dict[str, float]:
    places = (",".join(map(str, place)) for place in np.ndindex(values.shape))
    return {f"{name}[{place}]": float(value) for place, value in zip(places, values.flat)}


def _shape(values: np.ndarray) -> str:
    return " x ".join(map(str, values.shape))


def _shown(values: np.ndarray) -> str:
    if values.size <= SHOWN:
        return "  ".join(map(number, values.flat))
    exact = values.astype(np.float64)
    if not np.isfinite(exact).all():
        return f"{np.count_nonzero(~np.isfinite(exact)):,} of {exact.size:,} are not finite"
    if exact.min() == exact.max():
        return f"all {number(exact.min())}"
    zeros = np.count_nonzero(values == 0) / values.size
    return (
        f"{number(exact.min())} to {number(exact.max())}, mean {number(exact.mean())}"
        + (f", {zeros:.0%} zeros" if zeros >= 0.005 else "")
    )
