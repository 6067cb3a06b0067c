"""The symbols of every page, picture and message, each with what it means, in plain text, HTML and LaTeX."""

from collections.abc import Iterable
from typing import NamedTuple


class Symbol(NamedTuple):
    """A letter in HTML and LaTeX, its shape, what it means, and whether each layer has one."""

    html: str
    latex: str
    shape: str
    meaning: str
    layered: bool = False


def _letter(letter: str, shape: str, meaning: str, layered: bool = False) -> Symbol:
    return Symbol(f"<i>{letter}</i>", letter, shape, meaning, layered)


# By their names in plain text, and "slope" for the local derivative of an activation, g'(z).
SYMBOLS = {
    "x": _letter("x", "(m, n_0)", "the inputs, a row for each example; a_0 = x"),
    "y": _letter("y", "(m, n_K), or (m,) labels of classes", "the targets"),
    "m": _letter("m", "", "the number of rows (examples)"),
    "r": _letter("r", "", "a row, numbered from 0 as in the array: row 3 is x[3]"),
    "K": _letter("K", "", "the number of layers"),
    "k": _letter("k", "", "a layer, from 1 to K"),
    "n": _letter("n", "", "the number of neurons of layer k; n_0 is that of inputs", True),
    "i": _letter("i", "", "a neuron of layer k - 1, or an input, from 0"),
    "j": _letter("j", "", "a neuron of layer k, from 0"),
    "W": _letter("W", "(n_{k-1}, n_k)", "the weights of layer k", True),
    "b": _letter("b", "(n_k,)", "the biases of layer k", True),
    "z": _letter("z", "(m, n_k)", "the pre-activations of layer k: z_k = a_{k-1} W_k + b_k", True),
    "g": _letter("g", "", "the activation of layer k", True),
    "slope": Symbol("", "", "(m, n_k)", "the local derivative of the activation: the slope of g_k at z_k", True),
    "a": _letter("a", "(m, n_k)", "the outputs of layer k: a_k = g_k(z_k)", True),
    "L": _letter("L", "(m,)", "the loss of one row"),
    "w": _letter("w", "(m,)", "the weight of a row; without weights, 1"),
    "C": _letter("C", "", "the cost: the mean of L over the rows, sum w L / sum w"),
    "theta": Symbol("<i>&theta;</i>", r"\theta", "(number of parameters,)", "every W and b in one vector"),
    "eta": Symbol("<i>&eta;</i>", r"\eta", "", "the learning rate"),
}

Index = int | str  # 2, or a letter where any may stand


def plain(letter: str, layer: Index = "", place: Iterable[Index] = ()) -> str:
    """Return a quantity in plain text: ``W1[0,2]``, ``a2``, ``g'(z1[0])``, ``theta``."""
    if letter == "slope":
        return f"g'({plain('z', layer, place)})"
    indices = ",".join(map(str, place))
    return f"{letter}{layer}[{indices}]" if indices else f"{letter}{layer}"


def html(letter: str, layer: Index = "", place: Iterable[Index] = ()) -> str:
    """Return a quantity in HTML: ``<i>W</i><sub>1,02</sub>``."""
    if letter == "slope":
        return f"{html('g', layer)}'({html('z', layer, place)})"
    below = _below(layer, place)
    return SYMBOLS[letter].html + (f"<sub>{below}</sub>" if below else "")


def latex(letter: str, layer: Index = "", place: Iterable[Index] = ()) -> str:
    """Return a quantity in LaTeX: ``W_{1,02}``."""
    if letter == "slope":
        return f"{latex('g', layer)}'({latex('z', layer, place)})"
    below = _below(layer, place)
    return SYMBOLS[letter].latex + (f"_{{{below}}}" if below else "")


class Derivative(NamedTuple):
    """A derivative in plain text, HTML and LaTeX."""

    plain: str
    html: str
    latex: str


def derivative(letter: str, layer: Index = "", place: Iterable[Index] = (), *, of: str = "C") -> Derivative:
    """Return the derivative of `of` with respect to a quantity: ``dL/da2`` of one row, ``dC/dW1[0,2]`` of the mean.

    Parameters
    ----------
    letter : str
        The name of a symbol, such as "W", "a" or "theta".
    layer : int or str, default ""
        From 1; "" where there is none.
    place : iterable of int or str, default ()
        The indices of one element, from 0.
    of : str, default "C"
        What is derived: "L", the loss of a row, or "C", the cost.
    """
    below = letter, layer, tuple(place)
    return Derivative(
        f"d{plain(of)}/d{plain(*below)}",
        f"&part;{html(of)}/&part;{html(*below)}",
        rf"\frac{{\partial {latex(of)}}}{{\partial {latex(*below)}}}",
    )


def _below(layer: Index, place: Iterable[Index]) -> str:
    """Return a subscript: the layer, then the indices, with commas between them only if one has two digits."""
    indices = [str(each) for each in place]
    between = "," if any(len(each) > 1 for each in indices) else ""
    return ",".join(part for part in (str(layer), between.join(indices)) if part)
