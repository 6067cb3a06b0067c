"""The list of initialisers of a weight matrix (n_in, n_out). Biases start at zero."""

from math import sqrt
from typing import TYPE_CHECKING

from fastprop._util.frozen import frozen

if TYPE_CHECKING:
    import numpy as np


@frozen
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

    def draw(
        self, generator: "np.random.Generator", n_in: int, n_out: int, *, first: bool = False, omega: float = 1.0
    ) -> "np.ndarray":
        """A float64 array (n_in, n_out); `first` and `omega` are for those that ask where the layer stands."""
        fan = (n_in + n_out) / 2 if self.both_ways else n_in
        deviation = sqrt(self.gain / fan)
        if self.uniform:
            limit = sqrt(3) * deviation
            return generator.uniform(-limit, limit, (n_in, n_out))
        return generator.normal(0.0, deviation, (n_in, n_out))


@frozen
class Siren:
    """Random weights for layers of sin(omega z), whose outputs then keep their distribution from layer to layer.

    Uniform on [-limit, limit]: limit = 1 / n_in in the first layer, so that omega sets the frequencies of the inputs,
    and sqrt(6 / n_in) / omega in the others. omega is that of the layer's activation, and 1 where it has none.

    Attributes
    ----------
    name : str
    source : str
    """

    name: str
    source: str

    def draw(
        self, generator: "np.random.Generator", n_in: int, n_out: int, *, first: bool = False, omega: float = 1.0
    ) -> "np.ndarray":
        """A float64 array (n_in, n_out), for the network's first layer or another."""
        limit = 1 / n_in if first else sqrt(6 / n_in) / omega
        return generator.uniform(-limit, limit, (n_in, n_out))


_HE = "He, Zhang, Ren and Sun 2015, Delving deep into rectifiers"
_GLOROT = "Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
_LECUN = "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp"
_SIREN = "Sitzmann et al. 2020, Implicit neural representations with periodic activation functions"

INITIALIZERS: dict[str, Initializer | Siren] = {
    initializer.name: initializer
    for initializer in (
        Initializer("he_normal", _HE, gain=2.0, both_ways=False, uniform=False),
        Initializer("he_uniform", _HE, gain=2.0, both_ways=False, uniform=True),
        Initializer("glorot_normal", _GLOROT, gain=1.0, both_ways=True, uniform=False),
        Initializer("glorot_uniform", _GLOROT, gain=1.0, both_ways=True, uniform=True),
        Initializer("lecun_normal", _LECUN, gain=1.0, both_ways=False, uniform=False),
        Siren("siren", _SIREN),
    )
}
