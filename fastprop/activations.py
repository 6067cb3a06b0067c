"""The list of activations: what each is called, computes, keeps and takes, and wants for its initial weights.

The compiled bodies are ``activation.h`` and ``activation_smooth.h`` in ``src_c/kernels``, and
``_portable_activations.pxi``, under the same names.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace

from fastprop import _engine, _validate


@dataclass(frozen=True)
class Number:
    """A number in an activation's formula: its name, its value, and the bounds that it is held to.

    Attributes
    ----------
    name : str
    value : float
    least, above, below : float, optional
        The value is at least, above, below this.
    """

    name: str
    value: float
    _: KW_ONLY
    least: float | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Activation:
    """An activation g: a = g(z), element by element.

    Call one to set its numbers: ``fp.activations.leaky_relu(slope=0.1)``. A layer takes it as it is, or by its name,
    which stands for the numbers of this list.

    Attributes
    ----------
    name : str
    formula, derivative : str
        g(z), and g'(z) in terms of z or of the output a. s(z) = 1 / (1 + exp(-z)); Phi and phi are the normal
        distribution and its density.
    initializer : str
        The name of the initialiser that ``"auto"`` stands for.
    source : str
        Where it was proposed.
    numbers : tuple of Number
        In the order in which the kernels take them.
    """

    name: str
    formula: str
    derivative: str
    initializer: str
    source: str
    numbers: tuple[Number, ...] = ()

    def __call__(self, **values: float) -> "Activation":
        """The same activation with other numbers.

        Raises
        ------
        ValueError, TypeError
            If it has no such number, or a number is out of its bounds.
        """
        for name in values:
            if not self.numbers:
                raise ValueError(f"activation {self.name} has no numbers, got {name!r}; use {self.name!r} as it is")
            _validate.choice(f"number of activation {self.name}", name, [number.name for number in self.numbers])
        return replace(self, numbers=tuple(_set(number, self.name, values) for number in self.numbers))

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]

    @property
    def keeps(self) -> str:
        """What its backward pass needs and the forward pass keeps: its "output", or its "slope" g'(z)."""
        return _engine.keeps(self.number)

    @property
    def values(self) -> dict[str, float]:
        """The name and value of each of its numbers."""
        return {number.name: number.value for number in self.numbers}

    def describe(self) -> str | dict:
        """Its name, or a JSON-able dict of its name and its numbers where these are not the list's."""
        return self.name if self == ACTIVATIONS[self.name] else {"name": self.name, **self.values}

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    def __reduce__(self):
        return parse, (self.describe(),)


def _set(number: Number, owner: str, values: Mapping[str, float]) -> Number:
    if number.name not in values:
        return number
    bounds = {"least": number.least, "above": number.above, "below": number.below}
    return replace(number, value=_validate.number(f"{number.name} of {owner}", values[number.name], **bounds))


def parse(given) -> Activation:
    """The activation that was meant by its name, by itself, or by what ``describe`` made of it.

    Raises
    ------
    ValueError, TypeError
        If there is no such activation, or a number is wrong.
    """
    if isinstance(given, Activation):
        return given
    if isinstance(given, dict):
        values = dict(given)
        return ACTIVATIONS[_validate.choice("activation", values.pop("name", None), ACTIVATIONS)](**values)
    return ACTIVATIONS[_validate.choice("activation", given, ACTIVATIONS)]


identity = Activation("identity", "z", "1", "glorot_uniform", "")
relu = Activation(
    "relu",
    "max(z, 0)",
    "1 if z > 0 else 0",
    "he_normal",
    "Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
)
leaky_relu = Activation(
    "leaky_relu",
    "z if z > 0 else slope z",
    "1 if z > 0 else slope",
    "he_normal",
    "Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
    (Number("slope", 0.01, least=0.0),),
)
sigmoid = Activation(
    "sigmoid",
    "s(z) = 1 / (1 + exp(-z))",
    "a (1 - a)",
    "glorot_uniform",
    "Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors",
)
tanh = Activation(
    "tanh",
    "tanh(z)",
    "1 - a^2",
    "glorot_uniform",
    "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp",
)
sin = Activation(
    "sin",
    "sin(omega z)",
    "omega cos(omega z)",
    "siren",
    "Sitzmann et al. 2020, Implicit neural representations with periodic activation functions",
    (Number("omega", 30.0, above=0.0),),
)

_NUMBERS = {name: number for number, name in enumerate(_engine.names("activation"))}
ACTIVATIONS = {name: globals()[name] for name in _NUMBERS}
