"""Export to C: one C99 file without dependencies, with the parameters and a function that predicts a row."""

import copy
import re

import numpy as np

from fastprop._version import __version__
from fastprop.interop._common import Part, groups, parts, require_network
from fastprop.interop.c_templates import LIBRARY, function
from fastprop.io import output
from fastprop.nn.activations import Activation
from fastprop.nn.network import Network

# Keywords, which cannot be the name of a function.
TAKEN = (
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|"
    "int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|main"
)
WIDTH = 120  # characters of a line


def to_c(network: Network, path, *, name: str = "predict") -> None:
    """Write the network to a C99 file with constant arrays and ``void predict(const float *x, float *y)``.

    The file needs no other file, allocates nothing, and includes ``<math.h>`` only if an operation needs it. The
    function computes ``network(X)`` for one row, up to the rounding of sums in another order; the arguments are doubles
    if the network is float64. All other names in the file are static. Inputs are not checked; a category that is out
    of range counts as 0.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike
        The file to write; an existing file is replaced.
    name : str, default "predict"
        The name of the function; other names in the file begin with it.

    Raises
    ------
    TypeError, ValueError
        If the name is not a valid name in C, or the network has NaN or infinity.
    OSError
        If the file cannot be written.
    """
    output.write(path, source(network, name=name), streams=True)


def source(network: Network, *, name: str = "predict") -> str:
    """Return the text of the file that ``to_c`` writes."""
    network = copy.copy(require_network(network, "to_c"))  # between two steps of a training in another thread
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or re.fullmatch(TAKEN, name):
        raise ValueError(f"the name of a C function must be a word that C leaves free, got {name!r}; use 'predict'")
    if not (np.isfinite(network.parameters).all() and np.isfinite(network.state).all()):
        raise ValueError(
            "the network holds NaN or infinity, which C has no constants for; train it with a smaller rate"
        )
    return _Writer(network, name).text()


class _Writer:
    """Writes the file, beginning with the body of the function, which determines what else the file needs."""

    def __init__(self, network: Network, name: str):
        self.network, self.name = network, name
        self.real = {"float32": "float", "float64": "double"}[network.dtype.name]
        self.arrays: list[str] = []  # definitions
        self.constants = 0  # bytes
        self.body: list[str] = []
        self.functions: dict[str, str] = {}  # the functions that are called, each after those that it calls
        self.buffers: list[int] = []  # the number of elements of each buffer
        self.held: list[str] = []  # the inputs of the residual blocks that are not yet complete
        self.at = "x"  # the array that has the row
        self.branches: list[tuple[str, int]] = []  # the outputs of the branches before, and how many they are
        self.place = 0  # the position of the operation

    def text(self) -> str:
        """Return the text of the file."""
        steps = [part for part in parts(self.network) if part.operation.kind != "dropout"]
        final = "y" if self.network.n_members == 1 else ""
        for self.place, part in enumerate(steps):
            self.step(part, final if self.place == len(steps) - 1 else "")
            if self.place + 1 < len(steps) and steps[self.place + 1].operation.kind in ("select", "concat"):
                self.held.append(self.at)
                self.branches.append((self.at, part.operation.n_out))
        if self.network.n_members > 1:
            self.call("mean", "y", self.at, self.network.n_members, self.network.n_outputs)
        prototype = f"void {self.name}(const {self.real} *x, {self.real} *y)"
        templates = self.functions.values()
        include = ["#include <math.h>\n"] if re.search(LIBRARY, "".join(templates)) else []
        functions = [self.in_dtype(template).replace("@", f"{self.name}_") for template in templates]
        local = [f"    {self.real} h{k}[{size}];" for k, size in enumerate(self.buffers)]
        definition = "\n".join([prototype, "{", *local, *self.body, "}\n"])
        return "\n".join([self.comment(prototype), *include, *self.arrays, *functions, f"{prototype};\n", definition])

    def comment(self, prototype: str) -> str:
        """Return the comment at the head of the file."""
        item, net = self.network.dtype.itemsize, self.network
        lines = [
            f"{self.name}: a network of {net.n_parameters} parameters, written by fastprop {__version__}.",
            "",
            f"    {prototype};",
            "",
            f"x: {net.n_inputs} inputs, a row; y: its {net.n_outputs} outputs, apart from x. Threads may share it.",
            f"Memory: {self.constants} bytes of constants, {item * sum(self.buffers)} bytes of stack beside its calls.",
        ]
        return "/* " + "\n   ".join(lines).replace("\n   \n", "\n\n") + " */\n"

    # ---- definitions ----

    def in_dtype(self, template: str) -> str:
        """Return a template with `real`, constants and the functions of <math.h> in the network's dtype."""
        text = re.sub(r"\breal\b", self.real, template)
        if self.real == "double":
            return text
        return re.sub(LIBRARY, r"\1f(", re.sub(r"\b\d+\.\d+(e[+-]?\d+)?\b", r"\g<0>f", text))

    def number(self, value: float) -> str:
        """Return a constant in hexadecimal, which is exact."""
        mantissa, _, exponent = float(value).hex().partition("p")
        head, _, digits = mantissa.partition(".")
        digits = digits.rstrip("0")
        return f"{head}{'.' if digits else ''}{digits}p{exponent}" + ("f" if self.real == "float" else "")

    def array(self, what: str, values: np.ndarray, suffix: str = "") -> str:
        """Define a constant array of the operation, and return its name."""
        name = f"{self.name}_{what}{self.place}{suffix}"
        lines, line = [], "   "
        for value in np.ravel(values):
            word = f" {self.number(value)},"
            if len(line) + len(word) > WIDTH:
                lines.append(line)
                line = "   "
            line += word
        shape = " x ".join(map(str, values.shape))
        self.arrays.append(
            f"static const {self.real} {name}[{values.size}] = "
            f"{{  /* {shape} */\n" + "\n".join([*lines, line]) + "\n};\n"
        )
        self.constants += values.size * self.network.dtype.itemsize
        return name

    # ---- the body ----

    def use(self, name: str) -> None:
        """Add a function to the file, and the functions that it calls."""
        if name not in self.functions:
            text, called = function(name)
            for each in called:
                self.use(each)
            self.functions[name] = text

    def call(self, name: str, *arguments) -> None:
        """Add a call of one of the file's functions."""
        self.use(name)
        self.body.append(f"    {self.name}_{name}({', '.join(map(str, arguments))});")

    def free(self, n: int) -> str:
        """Return a buffer of at least `n` elements whose contents are no longer needed."""
        names = [f"h{k}" for k in range(len(self.buffers) + 1)]
        name = next(each for each in names if each != self.at and each not in self.held)
        k = names.index(name)
        if k == len(self.buffers):
            self.buffers.append(0)
        self.buffers[k] = max(self.buffers[k], n)
        return name

    def step(self, part: Part, final: str) -> None:
        """Add the code of one operation; `final` is the array for its outputs if it is the last, else empty."""
        operation = part.operation
        if operation.kind == "fork":
            self.held.append(self.at)
            return
        x, y = self.at, final or self.free(operation.n_out)
        getattr(self, f"_{operation.kind}")(part, y, x)
        self.at = y
        self.activate(operation.activation, y, operation.n_out)

    def activate(self, activation: Activation, y: str, n: int) -> None:
        """Add an activation, element by element."""
        if activation.name == "identity":
            return
        self.use(activation.name)
        arguments = ", ".join([f"{y}[j]", *map(self.number, activation.values.values())])
        self.body.append(f"    for (int j = 0; j < {n}; j++) {y}[j] = {self.name}_{activation.name}({arguments});")

    def bias(self, values: np.ndarray | None, suffix: str = "") -> str:
        """Define the array of a bias and return its name, or "0" for a null pointer if there is none."""
        return "0" if values is None else self.array("b", values, suffix)

    def _dense(self, part: Part, y: str, x: str) -> None:
        if part.operation.fields.get("shared_weights"):
            count, (n_in, n_out) = part.operation.fields["n_groups"], part.weight.shape
            numbers = self.array("w", part.weight), self.bias(part.bias)
            self.loop(count, "dense", f"{y} + {n_out} * p", f"{x} + {n_in} * p", *numbers, n_in, n_out)
            return
        x_at = y_at = 0
        weights = groups(part)
        for k, (weight, bias) in enumerate(weights):
            suffix = f"_{k}" if len(weights) > 1 else ""
            numbers = self.array("w", weight, suffix), self.bias(bias, suffix)
            self.call("dense", _at(y, y_at), _at(x, x_at), *numbers, *weight.shape)
            x_at, y_at = x_at + weight.shape[0], y_at + weight.shape[1]

    def loop(self, count: int, name: str, *arguments) -> None:
        """Add a loop that calls a function for p = 0, ..., count - 1."""
        self.call(name, *arguments)
        self.body[-1] = f"    for (int p = 0; p < {count}; p++) {self.body[-1].lstrip()}"

    def _copy(self, part: Part, y: str, x: str) -> None:
        self.call("copy", y, x, part.operation.n_out)

    def _scale(self, part: Part, y: str, x: str) -> None:
        self.call("scale", y, x, self.array("w", part.weight), self.bias(part.bias), part.operation.n_out)

    def _layer_norm(self, part: Part, y: str, x: str) -> None:
        numbers = self.array("w", part.weight), self.bias(part.bias), self.number(part.operation.fields["epsilon"])
        self.call("layer_norm", y, x, *numbers, part.operation.n_out)

    def _batch_norm(self, part: Part, y: str, x: str) -> None:
        mean, factor = part.normalization()
        numbers = self.array("mean", mean), self.array("factor", factor), self.bias(part.bias)
        self.call("batch_norm", y, x, *numbers, part.operation.n_out)

    def _prelu(self, part: Part, y: str, x: str) -> None:
        self.call("prelu", y, x, self.array("slope", part.weight), part.operation.n_out)

    def _softmax(self, part: Part, y: str, x: str) -> None:
        self.call("log_softmax" if part.operation.fields["logarithm"] else "softmax", y, x, part.operation.n_out)

    def _add(self, part: Part, y: str, x: str) -> None:
        self.call("add", y, x, self.held.pop(), part.operation.n_out)

    def _repeat(self, part: Part, y: str, x: str) -> None:
        count = part.operation.fields["n_groups"]
        n = part.operation.n_out // count
        self.loop(count, "copy", f"{y} + {n} * p", x, n)

    def _select(self, part: Part, y: str, x: str) -> None:
        self.columns(y, "x", part.operation.fields["sizes"])

    def columns(self, y: str, x: str, columns: np.ndarray) -> None:
        """Add copies of some columns of a row."""
        for at, column in enumerate(columns):
            self.body.append(f"    {y}[{at}] = {x}[{column}];")

    def _concat(self, part: Part, y: str, x: str) -> None:
        at = 0
        for branch, n in self.branches:
            self.held.remove(branch)
            self.call("copy", _at(y, at), branch, n)
            at += n
        self.branches = []

    def _embed(self, part: Part, y: str, x: str) -> None:
        categories, widths = part.operation.fields["sizes"].reshape(2, -1)
        passed = np.flatnonzero(categories == 0)
        self.columns(y, x, passed)
        at, start = len(passed), 0
        for column in np.flatnonzero(categories):
            n, width = categories[column], widths[column]
            table = self.array("table", part.weight[start : start + n * width].reshape(n, width), f"_{column}")
            self.call("look_up", _at(y, at), f"{x}[{column}]", table, n, width)
            at, start = at + width, start + n * width

    def _piecewise(self, part: Part, y: str, x: str) -> None:
        edges, at, start = self.array("edges", part.state), 0, 0
        for column, bins in enumerate(part.operation.fields["sizes"]):
            self.call("piecewise", _at(y, at), f"{x}[{column}]", _at(edges, start), bins)
            at, start = at + bins, start + bins + 1

    def _periodic(self, part: Part, y: str, x: str) -> None:
        n_in, n = part.weight.shape
        frequencies = self.array("frequencies", part.weight)
        self.loop(n_in, "periodic", f"{y} + {2 * n} * p", f"{x}[p]", f"{frequencies} + {n} * p", n)


def _at(array: str, offset: int) -> str:
    return f"{array} + {offset}" if offset else array
