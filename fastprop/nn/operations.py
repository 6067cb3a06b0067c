"""Operations of the engine, of which layers consist. The list in _core/operations.pxi says what each kind computes."""

from collections.abc import Callable
from dataclasses import field, replace
from math import inf, prod
from typing import Any

import numpy as np

from fastprop._util.frozen import frozen
from fastprop.nn import activations

# From a generator of NumPy's, whose module is not imported before it is used.
Draw = Callable[["np.random.Generator"], np.ndarray]

# Those whose kernels, or the engine right after them, apply an activation.
ACTIVATED = ("dense", "scale", "layer_norm", "batch_norm", "add")

# Those that leave a bounded number bounded and a sign as it is, for whatever their weights are.
STEADY = ("copy", "dropout", "scale", "prelu", "fork", "repeat")


@frozen
class Operation:
    """One operation of the engine.

    Attributes
    ----------
    kind : str
        A key of the engine's KINDS.
    n_out : int
        How many numbers of a row come out.
    activation : activations.Activation
    weight : tuple of int, optional
        The shape of its weights.
    n_biases : int
    draw : callable, optional
        Initial weights from a generator; 1 by default. Biases start at 0.
    state : ndarray, optional
        Numbers that are not trained, to begin with.
    max_norm : float, optional
        The largest Euclidean norm of the weights of one output.
    fields : dict
        What else the engine takes: see ``Operation`` of _core/plan.pxi. "fork" counts from the operation itself.
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
        """How many weights it has."""
        return 0 if self.weight is None else prod(self.weight)

    def specification(self, position: int) -> dict:
        """The operation as the engine takes it, at its place in the list."""
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
    """The same operations, with every activation by itself taken over by the operation before it where that can."""
    result: list[Operation] = []
    for operation in operations:
        before = result[-1] if result else None
        if (
            operation.kind == "copy"
            and before is not None
            and before.kind in ACTIVATED
            and before.activation == activations.identity
        ):
            result[-1] = replace(before, activation=operation.activation)
        else:
            result.append(operation)
    return result


def output_range(operations: list[Operation]) -> tuple[float, float]:
    """The least and the largest number that the last operation can give, infinite where there is no such bound.

    Weights may be anything, but a diagonal without biases keeps the bounds that it meets.
    """
    ranges = [(-inf, inf)]  # of the inputs, then of what each operation gives
    for place, operation in enumerate(operations):
        low, high = ranges[-1]
        if operation.kind == "add":
            other_low, other_high = ranges[1 + place + operation.fields["fork"]]
            low, high = low + other_low, high + other_high
        elif operation.kind == "softmax":
            low, high = (-inf, 0.0) if operation.fields["logarithm"] else (0.0, 1.0)
        elif operation.kind not in STEADY or operation.n_biases:
            low, high = -inf, inf
        least, most = operation.activation.range
        ranges.append((max(low, least), min(high, most)))
    return ranges[-1]
