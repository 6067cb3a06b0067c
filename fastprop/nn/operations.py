"""Operations: the steps of a forward pass, of which layers consist. _core/operations.pxi describes each kind."""

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from math import inf, prod
from typing import Any

import numpy as np

from fastprop._util.frozen import frozen
from fastprop.nn import activations

# A function that draws initial weights from a NumPy generator. numpy.random is imported only when it is used.
Draw = Callable[["np.random.Generator"], np.ndarray]

# The kinds whose kernel, or the engine right after it, applies an activation.
WITH_ACTIVATION = ("dense", "scale", "layer_norm", "batch_norm", "add")

# The kinds that keep the bounds of their inputs, whatever their weights are.
BOUND_PRESERVING = ("copy", "dropout", "scale", "prelu", "fork", "repeat")


@frozen
class Operation:
    """One operation of the engine, with its weights and biases.

    Attributes
    ----------
    kind : str
        A key of the engine's KINDS.
    n_out : int
        The number of outputs.
    activation : activations.Activation
    weight : tuple of int, optional
        The shape of the weights.
    n_biases : int
    draw : callable, optional
        Draws the initial weights from a generator; by default they are 1. Biases start at 0.
    state : ndarray, optional
        The initial values of numbers that are not trained.
    max_norm : float, optional
        The largest Euclidean norm of the weights of one output.
    fields : dict
        Further fields of ``Operation`` in _core/plan.pxi. "fork" is relative to the position of the operation itself.
    """

    kind: str
    n_out: int
    activation: activations.Activation = activations.identity
    weight: tuple[int, ...] | None = None
    n_biases: int = 0
    draw: Draw | None = None
    state: np.ndarray | None = None
    max_norm: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def n_weights(self) -> int:
        """The number of weights."""
        return 0 if self.weight is None else prod(self.weight)

    def specification(self, position: int) -> dict:
        """Return the operation as the engine takes it, for its position in the list of operations."""
        fields = dict(self.fields)
        if "fork" in fields:
            fields["fork"] += position
        return {
            "kind": self.kind,
            "n_out": self.n_out,
            "activation": self.activation.id,
            "hyper": tuple(self.activation.values.values()),
            "n_weights": self.n_weights,
            "n_biases": self.n_biases,
            "n_state": 0 if self.state is None else self.state.size,
            **fields,
        }


def merged(operations: list[Operation]) -> list[Operation]:
    """Merge each operation that is only an activation into the operation before it, where that can apply it."""
    result: list[Operation] = []
    for operation in operations:
        before = result[-1] if result else None
        if (
            operation.kind == "copy"
            and before is not None
            and before.kind in WITH_ACTIVATION
            and before.activation == activations.identity
        ):
            result[-1] = replace(before, activation=operation.activation)
        else:
            result.append(operation)
    return result


def sources(operations: Sequence[Operation]) -> list[list[int]]:
    """Return for each operation which outputs it reads, side by side: those of operations, or -1, the inputs.

    A "select" reads the inputs and begins a branch, and a "concat" reads the last operation of each branch. Any other
    operation reads the one before it, an "add" also its "fork".
    """
    found: list[list[int]] = []
    ends: list[int] = []
    for k, operation in enumerate(operations):
        if operation.kind in ("select", "concat") and k:
            ends.append(k - 1)
        if operation.kind == "concat":
            found.append(ends)
            ends = []
        else:
            found.append([-1 if operation.kind == "select" else k - 1])
    return found


def output_range(operations: list[Operation]) -> tuple[float, float]:
    """Return the least and the largest output of the last operation, infinite where there is no bound.

    Nothing is assumed of the weights, except that a diagonal without biases keeps the bounds of its inputs.
    """
    ranges = [(-inf, inf)]  # of the inputs, then of the outputs of each operation
    for place, operation in enumerate(operations):
        low, high = ranges[-1]
        if operation.kind == "add":
            other_low, other_high = ranges[1 + place + operation.fields["fork"]]
            low, high = low + other_low, high + other_high
        elif operation.kind == "softmax":
            low, high = (-inf, 0.0) if operation.fields["logarithm"] else (0.0, 1.0)
        elif operation.kind not in BOUND_PRESERVING or operation.n_biases:
            low, high = -inf, inf
        least, most = operation.activation.range
        ranges.append((max(low, least), min(high, most)))
    return ranges[-1]
