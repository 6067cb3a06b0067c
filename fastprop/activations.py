"""The list of activations: what each is called, computes, and wants for its initial weights.

The compiled bodies are ``src_c/kernels/activation.h`` and ``_portable.pyx``, under the same names.
"""

from dataclasses import dataclass

from fastprop import _engine


@dataclass(frozen=True)
class Activation:
    """An activation g: a = g(z), element by element.

    Attributes
    ----------
    name : str
    formula, derivative : str
        g(z), and g'(z) in terms of z or of the output a, which is what the backward pass keeps.
    initializer : str
        The name of the initialiser that ``"auto"`` stands for.
    """

    name: str
    formula: str
    derivative: str
    initializer: str

    @property
    def number(self) -> int:
        """Its place in the compiled list."""
        return _NUMBERS[self.name]


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("identity", "z", "1", "glorot_uniform"),
        Activation("relu", "max(z, 0)", "1 if z > 0 else 0", "he_normal"),
        Activation("sigmoid", "1 / (1 + exp(-z))", "a (1 - a)", "glorot_uniform"),
        Activation("tanh", "tanh(z)", "1 - a^2", "glorot_uniform"),
    )
}

_NUMBERS = {name: number for number, name in enumerate(_engine.names("activation"))}
