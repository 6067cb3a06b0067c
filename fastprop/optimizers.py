"""Optimisers: frozen descriptions of how parameters follow the gradient. Their state belongs to the Trainer."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from fastprop import _engine, _validate


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum, Nesterov's variant, and weight decay if wanted.

    ::

        g     = gradient + weight_decay theta
        v     = momentum v + g                                  (v starts at 0)
        theta = theta - rate v                                  (without momentum: v = g)
        theta = theta - rate (g + momentum v)                   with nesterov

    The definition is that of ``torch.optim.SGD`` with dampening 0, after Sutskever, Martens, Dahl and Hinton 2013, *On
    the importance of initialization and momentum in deep learning*. Weight decay applies to every parameter.

    Parameters
    ----------
    rate : float
        The learning rate, positive.
    momentum : float, default 0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0
        Not negative.

    Raises
    ------
    ValueError
        If a number is out of its range, or nesterov is set without momentum.
    """

    rate: float
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        checked = {
            "rate": _validate.number("rate", self.rate, above=0),
            "momentum": _validate.number("momentum", self.momentum, least=0, below=1),
            "nesterov": _validate.flag("nesterov", self.nesterov),
            "weight_decay": _validate.number("weight_decay", self.weight_decay, least=0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # frozen: the one way to store what may have come as a NumPy number
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum: got momentum=0; use SGD(rate, momentum=0.9, nesterov=True)")

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]

    @property
    def n_states(self) -> int:
        """How many numbers of state each parameter has."""
        return 1 if self.momentum else 0

    @property
    def hyper(self) -> tuple[float, ...]:
        """The kernel's numbers, in its order."""
        return (self.momentum, float(self.nesterov), self.weight_decay)


_NUMBERS = {name: number for number, name in enumerate(_engine.names("optimizer"))}
