"""The list of losses: what each is called and computes, and what targets it takes.

A loss is named, ``loss="cross_entropy"``, or taken from here with other numbers than its defaults,
``loss=fp.losses.huber(delta=0.5)``. The cost is the mean over rows of the loss of a row, weighted where there are
weights: sum w loss / sum w. The loss of a row is the sum over outputs unless its formula says otherwise. The compiled
bodies are ``src_c/kernels/loss*.h`` and ``_portable_losses.pxi``, under the same names.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fastprop import _engine, _validate


@dataclass(frozen=True)
class Number:
    """A number that a loss takes: ``check(name, value)`` returns the value if it is in range, and raises if not."""

    name: str
    default: Any
    check: Callable[[str, Any], Any]


@dataclass(frozen=True, repr=False)
class Loss:
    """A loss of the outputs a and the target y of one row. Calling it gives the same loss with other numbers.

    Attributes
    ----------
    name : str
    formula, derivative : str
        The loss of a row, and dLoss/da. s is the logistic function.
    targets : "numbers", "classes" or "probabilities"
        Real numbers; integer labels, or rows of probabilities; a probability for each output.
    takes : tuple of Number
        What may be set.
    values : tuple
        What each of them is set to.
    outputs : int
        How many outputs a column of targets takes.

    Examples
    --------
    >>> fp.losses.huber(delta=0.5)
    huber(delta=0.5)
    """

    name: str
    formula: str
    derivative: str
    targets: str
    takes: tuple[Number, ...] = ()
    values: tuple[Any, ...] = ()
    outputs: int = 1

    def __call__(self, **numbers: Any) -> "Loss":
        known = {number.name: number for number in self.takes}
        for name in numbers:
            _validate.choice(f"number of {self.name}", name, known)
        values = [
            number.check(number.name, numbers[number.name]) if number.name in numbers else value
            for number, value in zip(self.takes, self.values)
        ]
        return replace(self, values=tuple(values))

    @property
    def numbers(self) -> dict[str, Any]:
        """What its numbers are, by name."""
        return {number.name: value for number, value in zip(self.takes, self.values)}

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]

    @property
    def hyper(self) -> tuple[float, ...]:
        """The kernel's numbers, in its order."""
        return self.values

    def objective(self, n_outputs: int) -> _engine.Objective:
        """The loss as the engine takes it, for a network of so many outputs."""
        return _engine.Objective(self.number, self.hyper, n_outputs // self.outputs)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.numbers.items())})"

    def __reduce__(self):
        return _rebuild, (self.name, self.numbers)


half_mse = Loss("half_mse", "1/2 sum (a - y)^2", "a - y", "numbers")
squared_error = Loss("squared_error", "sum (a - y)^2", "2 (a - y)", "numbers")
cross_entropy = Loss("cross_entropy", "-sum y log softmax(a)", "softmax(a) - y", "classes")
binary_cross_entropy = Loss(
    "binary_cross_entropy", "-sum [y log s(a) + (1 - y) log(1 - s(a))]", "s(a) - y", "probabilities"
)

LOSSES = {loss.name: loss for loss in (half_mse, squared_error, cross_entropy, binary_cross_entropy)}

_NUMBERS = {name: number for number, name in enumerate(_engine.names("loss"))}


def parse(loss: Any) -> Loss:
    """The loss that a user named or made."""
    if isinstance(loss, Loss):
        return loss
    return LOSSES[_validate.choice("loss", loss, LOSSES)]


def _rebuild(name: str, numbers: dict[str, Any]) -> Loss:
    """For copy and pickle."""
    return LOSSES[name](**numbers)
