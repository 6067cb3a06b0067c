"""The list of losses: what each is called and computes, and what targets it takes.

A loss is named, ``loss="cross_entropy"``, or taken from here with other numbers than its defaults,
``loss=fp.losses.huber(delta=0.5)``. The cost is the mean over rows of the loss of a row, weighted where there are
weights: sum w loss / sum w. The loss of a row is the sum over outputs unless its formula says otherwise. The compiled
bodies are ``src_c/kernels/loss*.h`` and ``portable_losses.pxi``, under the same names.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from fastprop import _validation
from fastprop._core import _engine
from fastprop._util.frozen import frozen
from fastprop.nn import _registry as _entries
from fastprop.nn._registry import Number


def _number_or_none(what: str, value: Any, **bounds: float) -> float | None:
    return None if value is None else _validation.number(what, value, **bounds)


def _one(*values: Any) -> int:
    """The number of outputs of a target, for most losses."""
    return 1


def _as_they_are(*values: Any) -> tuple[float, ...]:
    """The kernel's numbers of a loss whose own numbers are these."""
    return values


@frozen
class Loss(_entries.Entry):
    """A loss of the outputs a and the target y of one row. Calling it gives the same loss with other numbers.

    Attributes
    ----------
    name : str
    formula, derivative : str
        The loss of a row, and dLoss/da. s is the logistic function.
    targets : str
        "numbers", "not negative", "positive", "probabilities" or "signs" (-1 and 1, or 0 and 1): a column for each
        ``outputs`` outputs. "classes": integer labels, or rows of probabilities.
    source : str
        Where it is from.
    link : str
        What it applies to the outputs, which are raw scores then: "softmax", "sigmoid", "exp", or "exp of v", to log
        variances alone. "margin": it compares raw scores. "identity": the outputs are the prediction itself. A last
        activation that keeps a network from the scores that the loss takes is refused.
    numbers : tuple of Number
    per_target, to_kernel : callable
        From the values of its numbers to how many outputs a target has, and to the numbers that the kernel takes.

    Examples
    --------
    >>> fp.losses.huber(delta=0.5)
    huber(delta=0.5)
    """

    name: str
    formula: str
    derivative: str
    targets: str
    source: str
    numbers: tuple[Number, ...] = ()
    link: str = "identity"
    per_target: Callable[..., int] = _one
    to_kernel: Callable[..., tuple[float, ...]] = _as_they_are

    kind: ClassVar[str] = "loss"

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]

    @property
    def outputs(self) -> int:
        """How many outputs a column of targets has."""
        return self.per_target(*self.values.values())

    @property
    def hyper(self) -> tuple[float, ...]:
        """The kernel's numbers, in its order."""
        return self.to_kernel(*self.values.values())

    def compiled(self, n_outputs: int) -> _engine.CompiledLoss:
        """The loss as the engine takes it, for a network of so many outputs."""
        return _engine.CompiledLoss(self.number, self.hyper, n_outputs // self.outputs)

    def __reduce__(self):
        return parse, (self.describe(),)


half_mse = Loss("half_mse", "1/2 sum (a - y)^2", "a - y", "numbers", "Rumelhart, Hinton and Williams 1986")
squared_error = Loss("squared_error", "sum (a - y)^2", "2 (a - y)", "numbers", "Legendre 1805, least squares")
mse = Loss("mse", "sum (a - y)^2 / n, n outputs", "2 (a - y) / n", "numbers", "as Keras and PyTorch have it")
mae = Loss("mae", "sum |a - y|", "sign(a - y)", "numbers", "Boscovich 1757, least absolute deviations")
huber = Loss(
    "huber",
    "sum (a - y)^2 / 2 where |a - y| <= delta, delta (|a - y| - delta / 2) elsewhere",
    "a - y, clamped to [-delta, delta]",
    "numbers",
    "Huber 1964, Robust estimation of a location parameter",
    (Number("delta", 1.0, above=0),),
)
log_cosh = Loss(
    "log_cosh",
    "sum log cosh(a - y)",
    "tanh(a - y)",
    "numbers",
    "Saleh and Saleh 2022, Statistical properties of the log-cosh loss function",
)
quantile = Loss(
    "quantile",
    "sum over targets and levels q of q (y - a) where a < y, (1 - q) (a - y) elsewhere; "
    "target t of Q levels has the outputs t Q, ..., t Q + Q - 1",
    "-q where a < y, 1 - q where a > y",
    "numbers",
    "Koenker and Bassett 1978, Regression quantiles",
    (Number("levels", (0.5,), check=partial(_validation.levels, most=_engine.HYPER)),),
    per_target=len,
    to_kernel=tuple,
)
poisson = Loss(
    "poisson",
    "sum exp(a) - y a; a is the log of the mean",
    "exp(a) - y",
    "not negative",
    "Nelder and Wedderburn 1972, Generalized linear models",
    link="exp",
)
gamma = Loss(
    "gamma",
    "2 sum [log(m / y) + y / m - 1], the deviance, with the mean m = exp(a)",
    "2 (1 - y / m)",
    "positive",
    "McCullagh and Nelder 1989, Generalized linear models",
    link="exp",
)
tweedie = Loss(
    "tweedie",
    "2 sum [y^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)], the deviance, with p = power and m = exp(a)",
    "2 (m^(2-p) - y m^(1-p))",
    "not negative",
    "Jorgensen 1987, Exponential dispersion models",
    (Number("power", 1.5, above=1, below=2),),
    link="exp",
)
gaussian_nll = Loss(
    "gaussian_nll",
    "1/2 sum over targets of [v + (m - y)^2 exp(-v)]; target t has the outputs 2 t, the mean m, and 2 t + 1, the log "
    "variance v",
    "(m - y) exp(-v) by m, 1/2 [1 - (m - y)^2 exp(-v)] by v",
    "numbers",
    "Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution",
    link="exp of v",
    per_target=lambda: 2,
)
cross_entropy = Loss(
    "cross_entropy",
    "-sum y log softmax(a); smoothed, (1 - label_smoothing) y + label_smoothing / n stands for y",
    "softmax(a) - y",
    "classes",
    "Bridle 1990; label smoothing: Szegedy et al. 2016, Rethinking the Inception architecture",
    (Number("label_smoothing", 0.0, least=0, below=1),),
    link="softmax",
)
kl_divergence = Loss(
    "kl_divergence",
    "sum y (log y - log softmax(a)), where 0 log 0 = 0",
    "softmax(a) - y",
    "classes",
    "Kullback and Leibler 1951, On information and sufficiency",
    link="softmax",
)
focal = Loss(
    "focal",
    "-alpha sum y (1 - p)^gamma log p, with p = softmax(a); alpha = 1 if None",
    "h - p sum h, with h = alpha y (1 - p)^gamma (gamma p log p / (1 - p) - 1)",
    "classes",
    "Lin et al. 2017, Focal loss for dense object detection",
    (
        Number("gamma", 2.0, least=0),
        Number("alpha", None, above=0, check=_number_or_none),
    ),
    link="softmax",
    to_kernel=lambda gamma, alpha: (gamma, 1.0 if alpha is None else alpha),
)
hinge = Loss(
    "hinge",
    "max_j (a_j + 1 - y_j) - sum y a; for a label c, max(0, 1 + max_{j != c} a_j - a_c)",
    "[j is the first where the maximum is] - y_j",
    "classes",
    "Crammer and Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines",
    link="margin",
)
binary_cross_entropy = Loss(
    "binary_cross_entropy",
    "-sum [y log s(a) + (1 - y) log(1 - s(a))]",
    "s(a) - y",
    "probabilities",
    "Cox 1958, The regression analysis of binary sequences",
    link="sigmoid",
)
binary_focal = Loss(
    "binary_focal",
    "-sum [alpha y (1 - s)^gamma log s + (1 - alpha) (1 - y) s^gamma log(1 - s)], with s = s(a); both weights are 1 if "
    "alpha is None",
    "alpha y (1 - s)^gamma (gamma s log s - (1 - s)) + (1 - alpha) (1 - y) s^gamma (s - gamma (1 - s) log(1 - s))",
    "probabilities",
    "Lin et al. 2017, Focal loss for dense object detection",
    (
        Number("gamma", 2.0, least=0),
        Number("alpha", None, above=0, below=1, check=_number_or_none),
    ),
    link="sigmoid",
    to_kernel=lambda gamma, alpha: (gamma, 1.0, 1.0) if alpha is None else (gamma, alpha, 1 - alpha),
)
binary_hinge = Loss(
    "binary_hinge",
    "sum max(0, 1 - y a), with y = -1 or 1 (0 stands for -1)",
    "-y where y a < 1, 0 elsewhere",
    "signs",
    "Cortes and Vapnik 1995, Support-vector networks",
    link="margin",
)

Loss.listed = LOSSES = {
    loss.name: loss
    for loss in (
        *(half_mse, squared_error, mse, mae, huber, log_cosh, quantile),
        *(poisson, gamma, tweedie, gaussian_nll),
        *(cross_entropy, kl_divergence, focal, hinge),
        *(binary_cross_entropy, binary_focal, binary_hinge),
    )
}

_NUMBERS = {name: number for number, name in enumerate(_engine.names("loss"))}


def parse(given: Any) -> Loss:
    """The loss that was meant by its name, by itself, or by what ``describe`` made of it.

    Raises
    ------
    ValueError, TypeError
        If there is no such loss, or a number is wrong.
    """
    return _entries.parse(Loss, given)
