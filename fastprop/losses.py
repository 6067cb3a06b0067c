"""The list of losses: what each is called and computes, and what targets it takes.

The cost is the mean over rows of the loss of a row; the loss of a row is the sum over outputs. The compiled bodies are
``src_c/kernels/loss.h`` and ``_portable.pyx``, under the same names.
"""

from dataclasses import dataclass

from fastprop import _engine


@dataclass(frozen=True)
class Loss:
    """A loss of the outputs a and the target y of one row.

    Attributes
    ----------
    name : str
    formula, derivative : str
        The loss of a row, and dLoss/da. s is the logistic function.
    targets : "numbers", "classes" or "probabilities"
        Real numbers; integer labels, or rows of probabilities; a probability for each output.
    """

    name: str
    formula: str
    derivative: str
    targets: str

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]

    def objective(self, n_outputs: int) -> _engine.Objective:
        """The loss as the engine takes it, for a network of so many outputs."""
        return _engine.Objective(self.number, (), n_outputs)


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("half_mse", "1/2 sum (a - y)^2", "a - y", "numbers"),
        Loss("squared_error", "sum (a - y)^2", "2 (a - y)", "numbers"),
        Loss("cross_entropy", "-sum y log softmax(a)", "softmax(a) - y", "classes"),
        Loss(
            "binary_cross_entropy",
            "-sum [y log s(a) + (1 - y) log(1 - s(a))]",
            "s(a) - y",
            "probabilities",
        ),
    )
}

_NUMBERS = {name: number for number, name in enumerate(_engine.names("loss"))}
