"""The list of initialisers of a weight matrix (n_in, n_out). Biases start at zero."""

from math import sqrt
from typing import TYPE_CHECKING

from fastprop._util.frozen import frozen

if TYPE_CHECKING:
    import numpy as np


@frozen
class Initializer:
    """Draws random weights with mean 0 and variance `gain` / fan.

    Attributes
    ----------
    name : str
    source : str
    gain : float
        The variance times the fan. A gain of 2 compensates for ReLU, which sets half of its inputs to 0.
    both_ways : bool
        Whether the fan is (n_in + n_out) / 2; otherwise it is n_in.
    uniform : bool
        Whether weights are uniform on [-limit, limit], limit = sqrt(3 variance); otherwise they are normal.
    """

    name: str
    source: str
    gain: float
    both_ways: bool
    uniform: bool

    def draw(
        self, generator: "np.random.Generator", n_in: int, n_out: int, *, first: bool = False, omega: float = 1.0
    ) -> "np.ndarray":
        """Return a float64 array (n_in, n_out). `first` and `omega` have no effect; ``Siren`` takes them."""
        fan = (n_in + n_out) / 2 if self.both_ways else n_in
        deviation = sqrt(self.gain / fan)
        if self.uniform:
            limit = sqrt(3) * deviation
            return generator.uniform(-limit, limit, (n_in, n_out))
        return generator.normal(0.0, deviation, (n_in, n_out))


@frozen
class Siren:
    """Draws random weights for layers of sin(omega z), so that every layer's outputs have the same distribution.

    Weights are uniform on [-limit, limit]. In the first layer limit = 1 / n_in, so that omega determines the
    frequencies of the inputs; in the others limit = sqrt(6 / n_in) / omega. If the activation has no omega, it is 1.

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
        """Return a float64 array (n_in, n_out); `first` says whether it is for the network's first layer."""
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
