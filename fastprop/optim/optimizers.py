"""Optimisers: frozen descriptions of how the gradient changes the parameters. Their state belongs to the Trainer.

In the formulas g is the gradient after penalties and clipping, t counts the optimiser's steps from 1, and operations
are element by element. All but RPROP have weight decay, in two forms. Coupled weight decay is added to the gradient
first: ``g = g + weight_decay theta``. Decoupled weight decay is part of the update, ``theta = theta - rate weight_decay
theta``, and g does not contain it (Loshchilov and Hutter 2019, *Decoupled weight decay regularization*). Weight decay
applies to every parameter, whereas the `l2` of a Trainer applies to weights alone. Definitions and defaults are those
of ``torch.optim``, where PyTorch has the optimiser.
"""

from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop._util.frozen import frozen
from fastprop.optim.schedules import Schedule

# multiplied by sqrt(1 - beta2^t) it still is a normal float32, so that no step divides by 0
LEAST_EPSILON = 1e-30


@frozen
class Optimizer:
    """The base class of all optimisers.

    Parameters
    ----------
    rate : float or Schedule
        The learning rate, positive.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule
    _: KW_ONLY

    name: ClassVar[str]
    full_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)  # checked values replace what was given, such as NumPy's numbers

    def _checked(self) -> dict[str, Any]:
        """Return every field by name, checked."""
        scheduled = isinstance(self.rate, Schedule)
        return {"rate": self.rate if scheduled else _validation.number("rate", self.rate, above=0)}

    @property
    def id(self) -> int:
        """The number of the optimiser in the compiled list."""
        return _IDS[self.name]

    @property
    def n_states(self) -> int:
        """How many numbers of state each parameter has."""
        raise NotImplementedError

    @property
    def hyper(self) -> tuple[float, ...]:
        """The hyperparameters as ``fp_optimizer_begin`` in src_c/optimizers.c takes them."""
        raise NotImplementedError

    def initial_state(self, n_parameters: int, dtype: np.dtype) -> np.ndarray | None:
        """Return the state before the first step, (n_states, n_parameters); None where there is none."""
        return np.zeros((self.n_states, n_parameters), dtype) if self.n_states else None


@frozen
class _Decaying(Optimizer):
    """An optimiser with weight decay."""

    _: KW_ONLY
    weight_decay: float = 0.0
    decoupled: bool = False

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "weight_decay": _validation.number("weight_decay", self.weight_decay, least=0),
            "decoupled": _validation.flag("decoupled", self.decoupled),
        }

    @property
    def _decay(self) -> tuple[float, float]:
        """The coupled and the decoupled weight decay."""
        return (0.0, self.weight_decay) if self.decoupled else (self.weight_decay, 0.0)


@frozen
class SGD(_Decaying):
    """Stochastic gradient descent, with momentum and Nesterov's variant if wanted.

    ::

        v     = momentum v + g                                  (v starts at 0)
        theta = theta - rate v                                  (without momentum: v = g)
        theta = theta - rate (g + momentum v)                   with nesterov

    The definition is that of ``torch.optim.SGD`` with dampening 0, after Sutskever, Martens, Dahl and Hinton 2013, *On
    the importance of initialization and momentum in deep learning*.

    Parameters
    ----------
    rate : float or Schedule, default 0.01
        The learning rate, positive.
    momentum : float, default 0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0
        Not negative.
    decoupled : bool, default False
        Whether the weight decay is decoupled.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or nesterov is set without momentum.
    """

    rate: float | Schedule = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False

    name: ClassVar[str] = "sgd"

    def _checked(self) -> dict[str, Any]:
        checked = super()._checked() | {
            "momentum": _validation.number("momentum", self.momentum, least=0, below=1),
            "nesterov": _validation.flag("nesterov", self.nesterov),
        }
        if checked["nesterov"] and not checked["momentum"]:
            raise ValueError("nesterov=True needs momentum: got momentum=0; use SGD(rate, momentum=0.9, nesterov=True)")
        return checked

    @property
    def n_states(self) -> int:
        """The state is v, with momentum."""
        return 1 if self.momentum else 0

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, momentum, nesterov."""
        return (*self._decay, self.momentum, float(self.nesterov))


@frozen
class Adagrad(_Decaying):
    """Give each parameter a rate that falls with the sum of its squared gradients.

    ::

        s     = s + g^2                                         (s starts at `initial`)
        theta = theta - rate g / (sqrt(s) + epsilon)

    Duchi, Hazan and Singer 2011, *Adaptive subgradient methods for online learning and stochastic optimization*; as
    ``torch.optim.Adagrad``.

    Parameters
    ----------
    rate : float or Schedule, default 0.01
    initial : float, default 0
        Not negative.
    epsilon : float, default 1e-10
        At least 1e-30; added to the root.
    weight_decay : float, default 0
    decoupled : bool, default False

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule = 0.01
    _: KW_ONLY
    initial: float = 0.0
    epsilon: float = 1e-10

    name: ClassVar[str] = "adagrad"

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "initial": _validation.number("initial", self.initial, least=0),
            "epsilon": _validation.number("epsilon", self.epsilon, least=LEAST_EPSILON),
        }

    @property
    def n_states(self) -> int:
        """The state is s."""
        return 1

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, epsilon."""
        return (*self._decay, self.epsilon)

    def initial_state(self, n_parameters: int, dtype: np.dtype) -> np.ndarray | None:
        """Return s, each element of which is `initial`."""
        return np.full((1, n_parameters), self.initial, dtype)


@frozen
class RMSprop(_Decaying):
    """Divide the gradient of each parameter by the size of its recent gradients.

    ::

        s     = alpha s + (1 - alpha) g^2                       (s, m and u start at 0)
        m     = alpha m + (1 - alpha) g                         centered: s - m^2 stands for s below
        u     = momentum u + g / (sqrt(s) + epsilon)            (without momentum: u is the quotient)
        theta = theta - rate u

    Tieleman and Hinton 2012, *Lecture 6.5: rmsprop*; centered after Graves 2013, *Generating sequences with recurrent
    neural networks*; as ``torch.optim.RMSprop``.

    Parameters
    ----------
    rate : float or Schedule, default 0.01
    alpha : float, default 0.99
        In [0, 1).
    momentum : float, default 0
        In [0, 1).
    centered : bool, default False
    epsilon : float, default 1e-8
        At least 1e-30; added to the root.
    weight_decay : float, default 0
    decoupled : bool, default False

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule = 0.01
    _: KW_ONLY
    alpha: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "alpha": _validation.number("alpha", self.alpha, least=0, below=1),
            "momentum": _validation.number("momentum", self.momentum, least=0, below=1),
            "centered": _validation.flag("centered", self.centered),
            "epsilon": _validation.number("epsilon", self.epsilon, least=LEAST_EPSILON),
        }

    @property
    def n_states(self) -> int:
        """The state is s, then u with momentum, then m where centered."""
        return 1 + bool(self.momentum) + self.centered

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, alpha, epsilon, momentum, centered."""
        return (*self._decay, self.alpha, self.epsilon, self.momentum, float(self.centered))


@frozen
class _Moments(_Decaying):
    """An optimiser of Adam's family, with two moments of the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "beta1": _validation.number("beta1", self.beta1, least=0, below=1),
            "beta2": _validation.number("beta2", self.beta2, least=0, below=1),
            "epsilon": _validation.number("epsilon", self.epsilon, least=LEAST_EPSILON),
        }

    @property
    def n_states(self) -> int:
        """The state is the two moments."""
        return 2

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, beta1, beta2, epsilon."""
        return (*self._decay, self.beta1, self.beta2, self.epsilon)


@frozen
class Adam(_Moments):
    """Adam: momentum, divided for each parameter by the size of its recent gradients.

    ::

        m     = beta1 m + (1 - beta1) g                         (m and v start at 0)
        v     = beta2 v + (1 - beta2) g^2
        theta = theta - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Kingma and Ba 2015, *Adam: a method for stochastic optimization*; as ``torch.optim.Adam``.

    Parameters
    ----------
    rate : float or Schedule, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        At least 1e-30; added to the root.
    weight_decay : float, default 0
    decoupled : bool, default False

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule = 0.001

    name: ClassVar[str] = "adam"


@frozen
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 by default; its formula is that of Adam.

    Loshchilov and Hutter 2019, *Decoupled weight decay regularization*; as ``torch.optim.AdamW``. The parameters are
    those of Adam.
    """

    _: KW_ONLY
    weight_decay: float = 0.01
    decoupled: bool = True


@frozen
class AMSGrad(_Moments):
    """Adam that divides by the largest v so far, so that no parameter's rate rises again.

    ::

        m     = beta1 m + (1 - beta1) g                         (m, v and w start at 0)
        v     = beta2 v + (1 - beta2) g^2
        w     = max(w, v)
        theta = theta - rate (m / (1 - beta1^t)) / (sqrt(w / (1 - beta2^t)) + epsilon)

    Reddi, Kale and Kumar 2018, *On the convergence of Adam and beyond*; as ``torch.optim.Adam`` with amsgrad. The
    parameters are those of Adam.
    """

    rate: float | Schedule = 0.001

    name: ClassVar[str] = "amsgrad"

    @property
    def n_states(self) -> int:
        """The state is m, v, w."""
        return 3


@frozen
class Adamax(_Moments):
    """Adam that measures the size of recent gradients by their largest, instead of their root mean square.

    ::

        m     = beta1 m + (1 - beta1) g                         (m and u start at 0)
        u     = max(beta2 u, |g| + epsilon)
        theta = theta - rate / (1 - beta1^t) m / u

    Kingma and Ba 2015, section 7; as ``torch.optim.Adamax``. The parameters are those of Adam.
    """

    rate: float | Schedule = 0.002

    name: ClassVar[str] = "adamax"


@frozen
class NAdam(_Moments):
    """Adam with Nesterov's momentum.

    ::

        mu[t] = beta1 (1 - 0.96^(t momentum_decay) / 2)
        m     = beta1 m + (1 - beta1) g                         (m and v start at 0)
        v     = beta2 v + (1 - beta2) g^2
        theta = theta - rate (  (1 - mu[t]) / (1 - mu[1] ... mu[t]) g
                              + mu[t+1] / (1 - mu[1] ... mu[t+1]) m) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Dozat 2016, *Incorporating Nesterov momentum into Adam*; as ``torch.optim.NAdam``.

    Parameters
    ----------
    rate : float or Schedule, default 0.002
    momentum_decay : float, default 0.004
        Not negative.
    beta1, beta2, epsilon, weight_decay, decoupled
        As Adam's.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule = 0.002
    _: KW_ONLY
    momentum_decay: float = 0.004

    name: ClassVar[str] = "nadam"

    def _checked(self) -> dict[str, Any]:
        momentum_decay = _validation.number("momentum_decay", self.momentum_decay, least=0)
        return super()._checked() | {"momentum_decay": momentum_decay}

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, beta1, beta2, epsilon, and the factor of 0.96^(t momentum_decay) from step to step."""
        return (*super().hyper, 0.96**self.momentum_decay)


@frozen
class Lion(_Decaying):
    """Move every parameter by the rate, along the sign of a momentum. The weight decay is decoupled.

    ::

        theta = theta - rate (sign(beta1 m + (1 - beta1) g) + weight_decay theta)
        m     = beta2 m + (1 - beta2) g                         (m starts at 0)

    Chen and others 2023, *Symbolic discovery of optimization algorithms*. sign(0) is 0. A good rate is 3 to 10
    times smaller than Adam's, and a good weight decay larger by the same factor.

    Parameters
    ----------
    rate : float or Schedule, default 0.0001
    beta1, beta2 : float, default 0.9 and 0.99
        In [0, 1).
    weight_decay : float, default 0
    decoupled : bool, default True

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    rate: float | Schedule = 0.0001
    _: KW_ONLY
    decoupled: bool = True
    beta1: float = 0.9
    beta2: float = 0.99

    name: ClassVar[str] = "lion"

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "beta1": _validation.number("beta1", self.beta1, least=0, below=1),
            "beta2": _validation.number("beta2", self.beta2, least=0, below=1),
        }

    @property
    def n_states(self) -> int:
        """The state is m."""
        return 1

    @property
    def hyper(self) -> tuple[float, ...]:
        """Weight decay, beta1, beta2."""
        return (*self._decay, self.beta1, self.beta2)


@frozen
class RPROP(Optimizer):
    """Resilient propagation: a step size for each parameter, from the signs of the gradient alone; needs all rows.

    ::

        where sign(g) = sign(g'):    d = min(d grow, most)      (g' is the last g, 0 at first; d starts at rate)
        where they are opposite:     d = max(d shrink, least),  g = 0
        theta = theta - sign(g) d,   g' = g

    Riedmiller and Braun 1993, *A direct adaptive method for faster backpropagation learning: the RPROP algorithm*, in
    the form of Igel and Huesken 2000 (iRprop-); as ``torch.optim.Rprop``. The signs of a mini-batch's gradient vary
    too much, so ``Trainer.epoch`` and ``fit`` take all rows in one step.

    Parameters
    ----------
    rate : float, default 0.01
        The initial d of every parameter.
    shrink, grow : float, default 0.5 and 1.2
        shrink in (0, 1), grow above 1.
    least, most : float, default 1e-6 and 50
        Above 0, least below most.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range, or rate is a schedule.
    """

    rate: float | Schedule = 0.01
    _: KW_ONLY
    shrink: float = 0.5
    grow: float = 1.2
    least: float = 1e-6
    most: float = 50.0

    name: ClassVar[str] = "rprop"
    full_batch: ClassVar[bool] = True

    def _checked(self) -> dict[str, Any]:
        if isinstance(self.rate, Schedule):
            raise TypeError(f"RPROP adapts its steps by itself: give its first one as a number, not {self.rate!r:.200}")
        checked = super()._checked() | {
            "shrink": _validation.number("shrink", self.shrink, above=0, below=1),
            "grow": _validation.number("grow", self.grow, above=1),
            "least": _validation.number("least", self.least, above=0),
            "most": _validation.number("most", self.most, above=0),
        }
        if checked["least"] > checked["most"]:
            raise ValueError(f"least must be at most `most`, got least={self.least!r:.200} and most={self.most!r:.200}")
        return checked

    @property
    def n_states(self) -> int:
        """The state is the last gradient, and d."""
        return 2

    @property
    def hyper(self) -> tuple[float, ...]:
        """The factors shrink and grow, and the bounds least and most."""
        return (self.shrink, self.grow, self.least, self.most)

    def initial_state(self, n_parameters: int, dtype: np.dtype) -> np.ndarray | None:
        """Return g' = 0, and d, each element of which is the rate."""
        state = np.zeros((2, n_parameters), dtype)
        state[1] = self.rate
        return state


@frozen
class LBFGS:
    """Limited-memory BFGS, a quasi-Newton method that needs all rows at once; only ``fit`` takes it.

    Liu and Nocedal 1989, *On the limited memory BFGS method for large scale optimization*, as
    ``scipy.optimize.minimize(method="L-BFGS-B")`` implements it. It needs SciPy: ``pip install 'fastprop-nn[scipy]'``.
    An epoch of ``fit`` is one iteration, which computes the cost and its gradient once or a few times.

    Parameters
    ----------
    memory : int, default 10
        How many of the last steps it estimates the curvature from.
    cost_tolerance : float, default 1e-9
        It ends when an iteration improves the cost by less than this, relative to the larger of both costs and 1.
    gradient_tolerance : float, default 1e-5
        It ends when no element of the gradient is larger than this.

    Raises
    ------
    ValueError, TypeError
        If a number is out of its range.
    """

    _: KW_ONLY
    memory: int = 10
    cost_tolerance: float = 1e-9
    gradient_tolerance: float = 1e-5

    def __post_init__(self) -> None:
        checked = {
            "memory": _validation.count("memory", self.memory),
            "cost_tolerance": _validation.number("cost_tolerance", self.cost_tolerance, least=0),
            "gradient_tolerance": _validation.number("gradient_tolerance", self.gradient_tolerance, least=0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


# The best of eleven optimisers on seven small tables with three seeds, after 10 epochs, which is the default of fit:
# its test cost was 1.38 times that of each table's best, as a geometric mean (Adam(0.001) 2.00, SGD(0.1, momentum=0.9)
# 1.69, RPROP 1.78). After 100 epochs it was 1.67 times (Adam(0.001) 1.37, SGD(0.1, momentum=0.9) 2.16).
DEFAULT = Adam(0.003)

_IDS = {name: id for id, name in enumerate(_engine.names("optimizer"))}

# The classes by the name that stands for an instance with its defaults.
OPTIMIZERS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (SGD, Adagrad, RMSprop, Adam, AdamW, AMSGrad, Adamax, NAdam, Lion, RPROP)
}

_validation.no_other_fields(*OPTIMIZERS.values(), LBFGS)


def parse(optimizer: Any) -> Optimizer:
    """Return the optimiser that was given, or the one of a given name, with its defaults.

    Raises
    ------
    ValueError, TypeError
        If there is no such optimiser, or it takes no single steps.
    """
    if isinstance(optimizer, LBFGS) or (isinstance(optimizer, str) and optimizer.lower() in ("lbfgs", "l-bfgs")):
        raise TypeError("LBFGS takes no single steps: use net.fit(X, y, loss=..., optimizer=fp.LBFGS())")
    if isinstance(optimizer, str):
        return OPTIMIZERS[_validation.choice("optimizer", optimizer, OPTIMIZERS, any_case=True)]()
    if not isinstance(optimizer, Optimizer):
        made = f"fp.{optimizer.__name__}(), or " if isinstance(optimizer, type) else ""
        raise TypeError(f"optimizer must be an optimiser, got {optimizer!r:.200}; use {made}for example fp.SGD(0.1)")
    return optimizer
