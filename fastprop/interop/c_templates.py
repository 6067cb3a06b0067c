"""Templates of ``to_c``: a C function for each operation; activations become functions from their formulas.

`real` stands for float or double, and `@` for the prefix of names. For float, constants such as 0.5 and the functions
of <math.h> get the suffix f.
"""

import re
from collections.abc import Mapping
from typing import Any

from fastprop.nn import formulas
from fastprop.nn.activations import ACTIVATIONS

# The name of a function in formulas -> its name in <math.h>.
MATH = {name: name for name in ("cos", "erfc", "exp", "expm1", "log", "log1p", "sin", "sqrt", "tanh")} | {"abs": "fabs"}
LIBRARY = rf"(?<![\w@])({'|'.join(MATH.values())}|pow)\("

FUNCTIONS = {
    "max": """\
/* The larger of the two; NaN if x is NaN. */
static real @max(real x, real y)
{
    return x <= y ? y : x;
}
""",
    "min": """\
static real @min(real x, real y)
{
    return x >= y ? y : x;
}
""",
    "dense": """\
/* y = x W + b. W: (n_in, n_out); b: (n_out), or 0 if there is no bias. */
static void @dense(real *y, const real *x, const real *w, const real *b, int n_in, int n_out)
{
    for (int j = 0; j < n_out; j++) y[j] = b ? b[j] : 0;
    for (int i = 0; i < n_in; i++, w += n_out)
        for (int j = 0; j < n_out; j++) y[j] += x[i] * w[j];
}
""",
    "copy": """\
static void @copy(real *y, const real *x, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j];
}
""",
    "scale": """\
/* y = x * w + b; b is 0 if there is no bias. */
static void @scale(real *y, const real *x, const real *w, const real *b, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] * w[j] + (b ? b[j] : 0);
}
""",
    "layer_norm": """\
/* y = (x - mean) / sqrt(variance + epsilon) * w + b, with mean and variance of x. */
static void @layer_norm(real *y, const real *x, const real *w, const real *b, real epsilon, int n)
{
    real mean = 0, variance = 0;
    for (int j = 0; j < n; j++) mean += x[j] / n;
    for (int j = 0; j < n; j++) variance += (x[j] - mean) * (x[j] - mean) / n;
    for (int j = 0; j < n; j++) y[j] = (x[j] - mean) / sqrt(variance + epsilon) * w[j] + b[j];
}
""",
    "batch_norm": """\
/* y = (x - mean) * factor + b; factor = w / sqrt(variance + epsilon). */
static void @batch_norm(real *y, const real *x, const real *mean, const real *factor, const real *b, int n)
{
    for (int j = 0; j < n; j++) y[j] = (x[j] - mean[j]) * factor[j] + b[j];
}
""",
    "prelu": """\
static void @prelu(real *y, const real *x, const real *slope, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] > 0 ? x[j] : slope[j] * x[j];
}
""",
    "log_sum_exp": """\
/* log(sum exp(x - largest)) with the largest x, which is returned too, so that nothing overflows. */
static real @log_sum_exp(real *largest, const real *x, int n)
{
    real sum = 0;
    *largest = x[0];
    for (int j = 1; j < n; j++) *largest = x[j] > *largest ? x[j] : *largest;
    for (int j = 0; j < n; j++) sum += exp(x[j] - *largest);
    return log(sum);
}
""",
    "softmax": """\
static void @softmax(real *y, const real *x, int n)
{
    real largest, total = @log_sum_exp(&largest, x, n);
    for (int j = 0; j < n; j++) y[j] = exp(x[j] - largest - total);
}
""",
    "log_softmax": """\
static void @log_softmax(real *y, const real *x, int n)
{
    real largest, total = @log_sum_exp(&largest, x, n);
    for (int j = 0; j < n; j++) y[j] = x[j] - largest - total;
}
""",
    "add": """\
static void @add(real *y, const real *x, const real *other, int n)
{
    for (int j = 0; j < n; j++) y[j] = x[j] + other[j];
}
""",
    "look_up": """\
/* Row x of a table (categories, width). */
static void @look_up(real *y, real x, const real *table, int categories, int width)
{
    const real *row = table + (x >= 0 && x < categories ? (int)x : 0) * width;
    for (int j = 0; j < width; j++) y[j] = row[j];
}
""",
    "piecewise": """\
/* The position of x in each bin, from 0 at its lower edge to 1 at its upper edge; outer bins have no outer bound. */
static void @piecewise(real *y, real x, const real *edges, int bins)
{
    for (int t = 0; t < bins; t++) {
        y[t] = (x - edges[t]) / (edges[t + 1] - edges[t]);
        if (y[t] < 0 && t > 0) y[t] = 0;
        if (y[t] > 1 && t < bins - 1) y[t] = 1;
    }
}
""",
    "periodic": """\
/* cos(2 pi f x), sin(2 pi f x) */
static void @periodic(real *y, real x, const real *frequency, int n)
{
    for (int t = 0; t < n; t++) {
        y[t] = cos(6.283185307179586 * frequency[t] * x);
        y[n + t] = sin(6.283185307179586 * frequency[t] * x);
    }
}
""",
    "mean": """\
/* The mean of the members' outputs. */
static void @mean(real *y, const real *x, int members, int n)
{
    for (int j = 0; j < n; j++) {
        y[j] = 0;
        for (int k = 0; k < members; k++) y[j] += x[k * n + j];
        y[j] /= members;
    }
}
""",
}


class Text:
    """An expression in C, and the precedence of its outermost operation: 1 is a conditional, 7 a name or a call."""

    def __init__(self, text: str, precedence: int = 7):
        self.text, self.precedence = text, precedence

    def __add__(self, other: Any) -> "Text":
        return _joined(self, "+", other, 4)

    def __radd__(self, other: Any) -> "Text":
        return _joined(other, "+", self, 4)

    def __sub__(self, other: Any) -> "Text":
        return _joined(self, "-", other, 4)

    def __rsub__(self, other: Any) -> "Text":
        return _joined(other, "-", self, 4)

    def __mul__(self, other: Any) -> "Text":
        return _joined(self, "*", other, 5)

    def __rmul__(self, other: Any) -> "Text":
        return _joined(other, "*", self, 5)

    def __truediv__(self, other: Any) -> "Text":
        return _joined(self, "/", other, 5)

    def __rtruediv__(self, other: Any) -> "Text":
        return _joined(other, "/", self, 5)

    def __neg__(self) -> "Text":
        return Text(f"-{_within(self, 7)}", 6)


def _within(value: Any, precedence: int) -> str:
    """Return a value as an operand of an operation with that precedence, in parentheses if it needs them."""
    if isinstance(value, Text):
        return value.text if value.precedence >= precedence else f"({value.text})"
    mantissa, _, exponent = repr(value).partition("e")
    text = f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if exponent else mantissa
    return f"({text})" if value < 0 and precedence > 5 else text


def _joined(left: Any, sign: str, right: Any, precedence: int) -> Text:
    return Text(f"{_within(left, precedence)} {sign} {_within(right, precedence + 1)}", precedence)


class C(formulas.Target):
    """Writes a formula in C.

    Attributes
    ----------
    called : list of str
        The functions of the file that the formula calls.
    """

    def __init__(self) -> None:
        self.called: list[str] = []

    def compare(self, sign: str, x: Any, y: Any) -> Text:
        """Return a comparison."""
        return _joined(x, sign, y, 3)

    def both(self, x: Any, y: Any) -> Text:
        """Return the logical and."""
        return _joined(x, "&&", y, 2)

    def where(self, condition: Any, x: Any, y: Any) -> Text:
        """Return a conditional expression."""
        return Text(f"{_within(condition, 2)} ? {_within(x, 1)} : {_within(y, 1)}", 1)

    def power(self, x: Any, y: Any) -> Text:
        """Return a call of pow."""
        return _call("pow", x, y)

    def max(self, x: Any, y: Any) -> Text:
        """Return a call of the file's max."""
        self.called.append("max")
        return _call("@max", x, y)

    def min(self, x: Any, y: Any) -> Text:
        """Return a call of the file's min."""
        self.called.append("min")
        return _call("@min", x, y)

    def activation(self, name: str, z: Any, hyperparameters: Mapping[str, Any]) -> Text:
        """Return a call of the activation's function."""
        self.called.append(name)
        return _call(f"@{name}", z, *hyperparameters.values())


def _call(function: str, *arguments: Any) -> Text:
    return Text(f"{function}({', '.join(_within(each, 1) for each in arguments)})")


for _name, _function in MATH.items():  # the functions of <math.h>, as methods
    setattr(C, _name, lambda self, x, function=_function: _call(function, x))


def function(name: str) -> tuple[str, list[str]]:
    """Return the template of a function, and the names of the functions that it calls."""
    if name in FUNCTIONS:
        return FUNCTIONS[name], re.findall(r"@(\w+)\(", FUNCTIONS[name].replace(f"@{name}(", ""))
    activation, target = ACTIVATIONS[name], C()
    names = ["z", *activation.values]
    value = formulas.evaluate(activation.expression, target, {each: Text(each) for each in names})
    arguments = ", ".join(f"real {each}" for each in names)
    return f"static real @{name}({arguments})\n{{\n    return {_within(value, 1)};\n}}\n", target.called
