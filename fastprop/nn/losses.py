"""The list of losses: each one's name, formula, derivative, targets, source and hyperparameters.

A loss is given by its name, ``loss="cross_entropy"``, or with other hyperparameters than the defaults,
``loss=fp.losses.huber(delta=0.5)``. The cost is the mean over rows of the loss of a row; if rows have weights w, it is
sum w loss / sum w. The compiled kernels have the names of the list. They are in ``src_c/kernels/loss*.h`` and in
``portable_losses.pxi``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from fastprop import _validation
from fastprop._core import _engine
from fastprop._util.frozen import frozen
from fastprop.nn import _registry
from fastprop.nn._registry import Hyperparameter


def _number_or_none(what: str, value: Any, **bounds: float) -> float | None:
    return None if value is None else _validation.number(what, value, **bounds)


def _one(*values: Any) -> int:
    """Return the number of outputs of a target, for most losses."""
    return 1


@frozen
class Loss(_registry.RegistryEntry):
    """A loss of the outputs a and the targets y of one row. Call it to set its hyperparameters.

    Attributes
    ----------
    name : str
    expression, slope : str
        The loss of a row, and dL/da, in the language of ``nn/formulas.py``. n is the number of outputs; sum, max,
        softmax and first_maximum (1 at the first of the largest numbers, else 0) are over the row.
    targets : str
        "numbers", "not negative", "positive", "probabilities" or "signs" (-1 and 1, or 0 and 1): y has a column for
        each ``outputs`` outputs. "classes": y has integer labels, or rows of probabilities.
    source : str
        The publication that proposed the loss.
    link : str
        The inverse link function that the loss applies to raw scores: "softmax", "sigmoid", "exp", or "exp of v", which
        applies to log variances only. "margin": the loss compares raw scores. "identity": the outputs are the
        prediction itself. A last activation whose range does not hold the scores that the loss takes is refused.
    hyperparameters : tuple of Hyperparameter
    per_target : callable
        From the values of the hyperparameters to the number of outputs of a target.
    output_names : tuple of str
        The names in the formula of the outputs of a target, if it has several.
    to_constants : callable, optional
        From the values of the hyperparameters to the constants in the formula, by name and in the order in which the
        kernel takes them; by default the hyperparameters themselves.
    note : str
        A remark that the documentation adds to the formula.

    Examples
    --------
    >>> fp.losses.huber(delta=0.5)
    huber(delta=0.5)
    """

    name: str
    expression: str
    slope: str
    targets: str
    source: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    link: str = "identity"
    per_target: Callable[..., int] = _one
    output_names: tuple[str, ...] = ()
    to_constants: Callable[..., dict[str, Any]] | None = None
    note: str = ""

    kind: ClassVar[str] = "loss"

    @property
    def outputs(self) -> int:
        """The number of outputs for each column of targets."""
        return self.per_target(*self.values.values())

    @property
    def formula(self) -> str:
        """The formula of the loss of a row, as mathematics is written, and the note."""
        return super().formula + (f"; {self.note}" if self.note else "")

    @property
    def constants(self) -> dict[str, Any]:
        """The constants in the formula, by name and in the order in which the kernel takes them."""
        return self.to_constants(**self.values) if self.to_constants else self.values

    @property
    def hyper(self) -> tuple[float, ...]:
        """The constants as the kernel takes them."""
        return tuple(x for value in self.constants.values() for x in (value if isinstance(value, tuple) else (value,)))

    def compiled(self, n_outputs: int) -> _engine.CompiledLoss:
        """Return the loss as the engine takes it, for a network with `n_outputs` outputs."""
        return _engine.CompiledLoss(self.id, self.hyper, n_outputs // self.outputs)

    def __reduce__(self):
        return parse, (self.describe(),)


half_mse = Loss("half_mse", "sum((a - y)**2) / 2", "a - y", "numbers", "Rumelhart, Hinton and Williams 1986")
squared_error = Loss("squared_error", "sum((a - y)**2)", "2 * (a - y)", "numbers", "Legendre 1805, least squares")
mse = Loss("mse", "sum((a - y)**2) / n", "2 * (a - y) / n", "numbers", "as Keras and PyTorch have it")
mae = Loss("mae", "sum(abs(a - y))", "sign(a - y)", "numbers", "Boscovich 1757, least absolute deviations")
huber = Loss(
    "huber",
    "sum((a - y)**2 / 2 if abs(a - y) <= delta else delta * (abs(a - y) - delta / 2))",
    "min(max(a - y, -delta), delta)",
    "numbers",
    "Huber 1964, Robust estimation of a location parameter",
    (Hyperparameter("delta", 1.0, above=0),),
)
log_cosh = Loss(
    "log_cosh",
    "sum(abs(a - y) + log1p(exp(-2 * abs(a - y))) - log(2))",
    "tanh(a - y)",
    "numbers",
    "Saleh and Saleh 2022, Statistical properties of the log-cosh loss function",
)
quantile = Loss(
    "quantile",
    "sum(levels * (y - a) if a < y else (1 - levels) * (a - y))",
    "-levels if a < y else 1 - levels",
    "numbers",
    "Koenker and Bassett 1978, Regression quantiles",
    (Hyperparameter("levels", (0.5,), check=partial(_validation.levels, most=_engine.HYPER)),),
    per_target=len,
    note="target t of Q levels has the outputs t Q, ..., t Q + Q - 1, a level each",
)
poisson = Loss(
    "poisson",
    "sum(exp(a) - y * a)",
    "exp(a) - y",
    "not negative",
    "Nelder and Wedderburn 1972, Generalized linear models",
    link="exp",
    note="exp(a) is the mean",
)
gamma = Loss(
    "gamma",
    "2 * sum(a - log(y) + y * exp(-a) - 1)",
    "2 * (1 - y * exp(-a))",
    "positive",
    "McCullagh and Nelder 1989, Generalized linear models",
    link="exp",
    note="the deviance, exp(a) is the mean",
)
tweedie = Loss(
    "tweedie",
    "2 * sum(y**q / (p * q) - y * exp(p * a) / p + exp(q * a) / q), with p = 1 - power, q = 2 - power",
    "2 * (exp((2 - power) * a) - y * exp((1 - power) * a))",
    "not negative",
    "Jorgensen 1987, Exponential dispersion models",
    (Hyperparameter("power", 1.5, above=1, below=2),),
    link="exp",
    note="the deviance, exp(a) is the mean",
)
gaussian_nll = Loss(
    "gaussian_nll",
    "sum(v + (m - y)**2 * exp(-v)) / 2",
    "(m - y) * exp(-v), (1 - (m - y)**2 * exp(-v)) / 2",
    "numbers",
    "Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution",
    link="exp of v",
    per_target=lambda: 2,
    output_names=("m", "v"),
    note="target t has the outputs 2 t, the mean m, and 2 t + 1, the log variance v",
)
cross_entropy = Loss(
    "cross_entropy",
    "-sum(t * log_softmax(a)), with t = (1 - label_smoothing) * y + label_smoothing / n",
    "softmax(a) - t, with t = (1 - label_smoothing) * y + label_smoothing / n",
    "classes",
    "Bridle 1990; label smoothing: Szegedy et al. 2016, Rethinking the Inception architecture",
    (Hyperparameter("label_smoothing", 0.0, least=0, below=1),),
    link="softmax",
)
kl_divergence = Loss(
    "kl_divergence",
    "sum(y * (log(y) - log_softmax(a)) if y > 0 else 0)",
    "softmax(a) - y",
    "classes",
    "Kullback and Leibler 1951, On information and sufficiency",
    link="softmax",
)
focal = Loss(
    "focal",
    "-alpha * sum(y * (1 - softmax(a))**gamma * log_softmax(a))",
    "h - p * sum(h), with h = alpha * y * (1 - p)**gamma * (gamma * p * log(p) / (1 - p) - 1), p = softmax(a)",
    "classes",
    "Lin et al. 2017, Focal loss for dense object detection",
    (
        Hyperparameter("gamma", 2.0, least=0),
        Hyperparameter("alpha", None, above=0, check=_number_or_none),
    ),
    link="softmax",
    to_constants=lambda gamma, alpha: {"gamma": gamma, "alpha": 1.0 if alpha is None else alpha},
    note="alpha is 1 if it is None",
)
hinge = Loss(
    "hinge",
    "max(a + 1 - y) - sum(y * a)",
    "first_maximum(a + 1 - y) - y",
    "classes",
    "Crammer and Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines",
    link="margin",
    note="for a label c: max(0, 1 + max_{j != c} a_j - a_c)",
)
binary_cross_entropy = Loss(
    "binary_cross_entropy",
    "-sum(y * log_sigmoid(a) + (1 - y) * log_sigmoid(-a))",
    "sigmoid(a) - y",
    "probabilities",
    "Cox 1958, The regression analysis of binary sequences",
    link="sigmoid",
)
binary_focal = Loss(
    "binary_focal",
    "-sum(positive * y * q**gamma * log_sigmoid(a) "
    "+ negative * (1 - y) * p**gamma * log_sigmoid(-a)), with p = sigmoid(a), q = sigmoid(-a)",
    "positive * y * q**gamma * (gamma * p * log_sigmoid(a) - q) "
    "+ negative * (1 - y) * p**gamma * (p - gamma * q * log_sigmoid(-a)), with p = sigmoid(a), q = sigmoid(-a)",
    "probabilities",
    "Lin et al. 2017, Focal loss for dense object detection",
    (
        Hyperparameter("gamma", 2.0, least=0),
        Hyperparameter("alpha", None, above=0, below=1, check=_number_or_none),
    ),
    link="sigmoid",
    to_constants=lambda gamma, alpha: {
        "gamma": gamma,
        "positive": 1.0 if alpha is None else alpha,
        "negative": 1.0 if alpha is None else 1 - alpha,
    },
    note="positive is alpha and negative 1 - alpha, or both are 1 if alpha is None",
)
binary_hinge = Loss(
    "binary_hinge",
    "sum(max(1 - y * a, 0))",
    "-y if y * a < 1 else 0",
    "signs",
    "Cortes and Vapnik 1995, Support-vector networks",
    link="margin",
    note="y is -1 or 1 (0 stands for -1)",
)

LOSSES = _registry.register(Loss, _engine.names("loss"), globals())


def parse(given: Any) -> Loss:
    """Return the loss that a user named, made, or described with ``describe``.

    Raises
    ------
    ValueError, TypeError
        If there is no such loss, or a hyperparameter is wrong.
    """
    return _registry.parse(Loss, given)
