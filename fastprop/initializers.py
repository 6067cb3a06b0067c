"""The list of initialisers of a weight matrix (n_in, n_out). Biases start at zero."""

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Initializer:
    """Random weights of mean 0 and a variance of `gain` / (average number of inputs or of connections).

    Attributes
    ----------
    name : str
    source : str
    gain : float
        Variance times fan; 2 makes up for the half that ReLU cuts off.
    both_ways : bool
        The fan is n_in, or (both ways) (n_in + n_out) / 2.
    uniform : bool
        Uniform on [-limit, limit], limit = sqrt(3 variance); else normal.
    """

    name: str
    source: str
    gain: float
    both_ways: bool
    uniform: bool

    def draw(self, generator: "np.random.Generator", n_in: int, n_out: int) -> "np.ndarray":
        """A float64 array (n_in, n_out)."""
        fan = (n_in + n_out) / 2 if self.both_ways else n_in
        deviation = sqrt(self.gain / fan)
        if self.uniform:
            limit = sqrt(3) * deviation
            return generator.uniform(-limit, limit, (n_in, n_out))
        return generator.normal(0.0, deviation, (n_in, n_out))


_HE = "He, Zhang, Ren and Sun 2015, Delving deep into rectifiers"
_GLOROT = "Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"

INITIALIZERS = {
    initializer.name: initializer
    for initializer in (
        Initializer("he_normal", _HE, gain=2.0, both_ways=False, uniform=False),
        Initializer("he_uniform", _HE, gain=2.0, both_ways=False, uniform=True),
        Initializer("glorot_normal", _GLOROT, gain=1.0, both_ways=True, uniform=False),
        Initializer("glorot_uniform", _GLOROT, gain=1.0, both_ways=True, uniform=True),
    )
}
