"""The table of a network's layers, for terminals and notebooks."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastprop._util import notebook, text
from fastprop.nn import tabm
from fastprop.nn.embeddings import ByColumn
from fastprop.nn.layers import Layer
from fastprop.nn.operations import Operation

HEADER = ("layer", "activation", "in", "out", "parameters")
NUMBERS = (2, 3, 4)
Row = tuple[str, str, int, int, int | None]  # without parameters of its own, a layer with others inside has None
MOST = 24  # rows in a notebook, what a screen shows; of more the first and the last ones are there


def rows(network: Any) -> list[tuple[str, ...]]:
    """Return a row for each layer, and indented ones for those inside it, whose parameters sum to the network's."""
    learned: list[int] = []
    if network.n_members > 1:
        learned = [_count(each) for each in tabm.of_layers(network.n_inputs, network.layers, network.n_members)]
    return [
        (title, activation, f"{n_in:,}", f"{n_out:,}", "" if n is None else f"{n:,}")
        for title, activation, n_in, n_out, n in _rows(network.n_inputs, network.layers, learned=learned)
    ]


def _rows(n_in: int, layers: Sequence[Layer], *, learned: Sequence[int] = (), indent: str = "") -> list[Row]:
    found = []
    for place, layer in enumerate(layers):
        operations = layer.operations(n_in, first=place == 0)
        n_out = operations[-1].n_out if operations else n_in
        inner = _inner(n_in, layer, indent + "  ")
        own = (learned[place] if learned else _count(operations)) - sum(row[-1] or 0 for row in inner)
        activation = str(getattr(layer, "activation", ""))
        found += [(indent + layer.title, activation, n_in, n_out, None if inner and not own else own), *inner]
        n_in = n_out
    return found


def _inner(n_in: int, layer: Layer, indent: str) -> list[Row]:
    """Return the rows of the layers inside one."""
    if isinstance(layer, ByColumn):
        return [row for part, columns in layer.parts for row in _rows(len(columns), [part], indent=indent)]
    return _rows(n_in, getattr(layer, "layers", ()), indent=indent)


def _count(operations: Iterable[Operation]) -> int:
    return sum(operation.n_weights + operation.n_biases for operation in operations)


def total(network: Any) -> str:
    """Return the sum of the parameters, and their dtype and bytes."""
    of = f" of {network.n_members} members" if network.n_members > 1 else ""
    n = network.n_parameters
    return f"{n:,} parameters{of}, {network.dtype.name}, {network.parameters.nbytes:,} bytes"


def lines(network: Any, width: int | None) -> list[str]:
    """Return the table as lines of text, whose texts are wrapped so that they are at most `width` wide."""
    return [*text.table([HEADER, *rows(network)], width, NUMBERS), total(network)]


def html(network: Any, what: str = "Network") -> str:
    """Return the table for a notebook, below a line that says what it is."""
    found = rows(network)
    more = len(found) - MOST
    if more > 1:
        gap = (f"... {more + 1:,} more ...", *[""] * (len(HEADER) - 1))
        found = [*found[: MOST - 8], gap, *found[-7:]]
    shown = [(row[0].replace("  ", notebook.unbroken("  ")), *row[1:]) for row in found]
    return notebook.fragment(
        notebook.paragraph(f"{what}: {total(network)}."), notebook.table(HEADER, shown, numbers=NUMBERS)
    )
