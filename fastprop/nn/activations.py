"""The list of activations: each one's name, formula, derivative, initial weights, source, hyperparameters and range.

The compiled kernels have the names of the list. They are in ``activation.h`` and ``activation_smooth.h`` of
``src_c/kernels``, and in ``portable_activations.pxi``.
"""

from collections.abc import Callable
from math import inf
from typing import Any, ClassVar

from fastprop._core import _engine
from fastprop._util.frozen import frozen
from fastprop.nn import _registry
from fastprop.nn._registry import Hyperparameter


def _unbounded(*values: float) -> tuple[float, float]:
    """Return the range of an activation that has no bound."""
    return -inf, inf


@frozen
class Activation(_registry.RegistryEntry):
    """An activation g, which is applied to each element: a = g(z).

    Call an activation to set its hyperparameters: ``fp.activations.leaky_relu(slope=0.1)``. A layer takes an activation
    or its name; the name stands for the hyperparameters of this list.

    Attributes
    ----------
    name : str
    expression, slope : str
        g(z), and g'(z) in terms of z or of the output a, in the language of ``nn/formulas.py``. Traces, the exports
        to C and ONNX and the documentation use these. They must be finite where g is.
    initializer : str
        The name of the initialiser that a layer with this activation uses for ``"auto"``.
    source : str
        The publication that proposed the activation.
    hyperparameters : tuple of Hyperparameter
        In the order in which the kernels take them.
    range_of : callable
        From the values of the hyperparameters to the least and the largest g(z), infinite where there is no bound.
    """

    name: str
    expression: str
    slope: str
    initializer: str
    source: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    range_of: Callable[..., tuple[float, float]] = _unbounded

    kind: ClassVar[str] = "activation"

    @property
    def saves(self) -> str:
        """What the forward pass saves for the backward pass: the "output", or the "slope" g'(z)."""
        return _engine.activation_saves(self.id)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest output, infinite where there is no bound."""
        return self.range_of(*self.values.values())

    def __reduce__(self):
        return parse, (self.describe(),)


def parse(given: Any) -> Activation:
    """Return the activation that a user named, made, or described with ``describe``.

    Raises
    ------
    ValueError, TypeError
        If there is no such activation, or a hyperparameter is wrong.
    """
    return _registry.parse(Activation, given)


identity = Activation("identity", "z", "1", "glorot_uniform", "")
relu = Activation(
    "relu",
    "max(z, 0)",
    "1 if z > 0 else 0",
    "he_normal",
    "Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
    range_of=lambda: (0.0, inf),
)
leaky_relu = Activation(
    "leaky_relu",
    "z if z > 0 else slope * z",
    "1 if z > 0 else slope",
    "he_normal",
    "Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
    (Hyperparameter("slope", 0.01, least=0.0),),
    range_of=lambda slope: (-inf if slope else 0.0, inf),
)
elu = Activation(
    "elu",
    "z if z > 0 else alpha * expm1(z)",
    "1 if z > 0 else a + alpha",
    "he_normal",
    "Clevert, Unterthiner and Hochreiter 2016, Fast and accurate deep network learning by exponential linear units",
    (Hyperparameter("alpha", 1.0, above=0.0),),
    range_of=lambda alpha: (-alpha, inf),
)
selu = Activation(
    "selu",
    "1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * expm1(z))",
    "1.0507009873554805 if z > 0 else a + 1.0507009873554805 * 1.6732632423543772",
    "lecun_normal",
    "Klambauer, Unterthiner, Mayr and Hochreiter 2017, Self-normalizing neural networks",
    range_of=lambda: (-1.7581, inf),
)
celu = Activation(
    "celu",
    "z if z > 0 else alpha * expm1(z / alpha)",
    "1 if z > 0 else a / alpha + 1",
    "he_normal",
    "Barron 2017, Continuously differentiable exponential linear units",
    (Hyperparameter("alpha", 1.0, above=0.0),),
    range_of=lambda alpha: (-alpha, inf),
)
gelu = Activation(
    "gelu",
    "z / 2 * erfc(-z / sqrt(2))",
    "erfc(-z / sqrt(2)) / 2 + z * exp(-z**2 / 2) / sqrt(2 * pi)",
    "he_normal",
    "Hendrycks and Gimpel 2016, Gaussian error linear units",
    range_of=lambda: (-0.17, inf),
)
gelu_tanh = Activation(
    "gelu_tanh",
    "z * sigmoid(v), with v = 2 * sqrt(2 / pi) * (z + 0.044715 * z**3)",
    "s + z * s * sigmoid(-v) * 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * z**2), "
    "with s = sigmoid(v), v = 2 * sqrt(2 / pi) * (z + 0.044715 * z**3)",
    "he_normal",
    "Hendrycks and Gimpel 2016, Gaussian error linear units",
    range_of=lambda: (-0.1701, inf),
)
silu = Activation(
    "silu",
    "z * sigmoid(z)",
    "s + z * s * sigmoid(-z), with s = sigmoid(z)",
    "he_normal",
    "Elfwing, Uchibe and Doya 2018, Sigmoid-weighted linear units for neural network function approximation",
    range_of=lambda: (-0.2785, inf),
)
mish = Activation(
    "mish",
    "z * tanh(softplus(z))",
    "t + z * (1 - t**2) * sigmoid(z), with t = tanh(softplus(z))",
    "he_normal",
    "Misra 2019, Mish: a self regularized non-monotonic activation function",
    range_of=lambda: (-0.3089, inf),
)
softplus = Activation(
    "softplus",
    "max(z, 0) + log1p(exp(-abs(beta * z))) / beta",
    "sigmoid(beta * z)",
    "he_normal",
    "Dugas, Bengio, Belisle, Nadeau and Garcia 2001, Incorporating second-order functional knowledge",
    (Hyperparameter("beta", 1.0, above=0.0),),
    range_of=lambda beta: (0.0, inf),
)
softsign = Activation(
    "softsign",
    "z / (1 + abs(z))",
    "(1 - abs(a))**2",
    "glorot_uniform",
    "Bergstra, Desjardins, Lamblin and Bengio 2009, Quadratic polynomials learn better image features",
    range_of=lambda: (-1.0, 1.0),
)
sigmoid = Activation(
    "sigmoid",
    "1 / (1 + exp(-z))",
    "a * (1 - a)",
    "glorot_uniform",
    "Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors",
    range_of=lambda: (0.0, 1.0),
)
hard_sigmoid = Activation(
    "hard_sigmoid",
    "min(max(z + 3, 0), 6) / 6",
    "1 / 6 if -3 < z < 3 else 0",
    "glorot_uniform",
    "Courbariaux, Bengio and David 2015, BinaryConnect; in the form of PyTorch",
    range_of=lambda: (0.0, 1.0),
)
tanh = Activation(
    "tanh",
    "tanh(z)",
    "1 - a**2",
    "glorot_uniform",
    "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp",
    range_of=lambda: (-1.0, 1.0),
)
hard_tanh = Activation(
    "hard_tanh",
    "min(max(z, low), high)",
    "1 if low < z < high else 0",
    "glorot_uniform",
    "Collobert 2004, Large scale machine learning",
    (Hyperparameter("low", -1.0, below=0.0), Hyperparameter("high", 1.0, above=0.0)),
    range_of=lambda low, high: (low, high),
)
relu6 = Activation(
    "relu6",
    "min(max(z, 0), 6)",
    "1 if 0 < z < 6 else 0",
    "he_normal",
    "Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",
    range_of=lambda: (0.0, 6.0),
)
hard_swish = Activation(
    "hard_swish",
    "z * (min(max(z + 3, 0), 6) / 6)",
    "0 if z <= -3 else 1 if z >= 3 else z / 3 + 1 / 2",
    "he_normal",
    "Howard et al. 2019, Searching for MobileNetV3",
    range_of=lambda: (-0.375, inf),
)
log_sigmoid = Activation(
    "log_sigmoid",
    "-softplus(-z)",
    "sigmoid(-z)",
    "glorot_uniform",
    "PyTorch, torch.nn.LogSigmoid",
    range_of=lambda: (-inf, 0.0),
)
gaussian = Activation(
    "gaussian",
    "exp(-z**2)",
    "-2 * z * a",
    "glorot_uniform",
    "Stanley 2007, Compositional pattern producing networks; as in FANN",
    range_of=lambda: (0.0, 1.0),
)
sin = Activation(
    "sin",
    "sin(omega * z)",
    "omega * cos(omega * z)",
    "siren",
    "Sitzmann et al. 2020, Implicit neural representations with periodic activation functions",
    (Hyperparameter("omega", 30.0, above=0.0),),
    range_of=lambda omega: (-1.0, 1.0),
)

ACTIVATIONS = _registry.register(Activation, _engine.names("activation"), globals())
