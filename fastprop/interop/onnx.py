"""A network as an ONNX model: the graph of its operations in prediction, for whatever reads the format."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastprop._util.lazy import LazyModule
from fastprop._version import __version__
from fastprop.interop._common import Part, checked, groups, needed, parts
from fastprop.io import output as _output
from fastprop.nn import formulas
from fastprop.nn.network import Network

json = LazyModule("json")

OPSET = 20  # of 2023, the first with Gelu

# An activation that is in neither of these tables becomes the nodes of its formula (``nn/formulas.py``).
# Activations that are one node of both dtypes in onnxruntime -> the node, and its attributes.
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
}

# Those that are one in float32 only; an attribute may be a number of the activation.
FLOAT32_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("LeakyRelu", {"alpha": "slope"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {"alpha": "alpha"}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "mish": ("Mish", {}),
    "softsign": ("Softsign", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_swish": ("HardSwish", {}),
}

def to_onnx(network: Network, path=None) -> Any:
    """The network as an ONNX model: inputs "X", (rows, n_inputs), to outputs "Y", (rows, n_outputs), both of its dtype.

    The outputs are those of ``network(X)`` to the rounding of sums in another order; in a float64 network "gelu" is
    exact to 1e-7, since onnxruntime has the error function in float32 alone. The model's metadata hold the network's
    description.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike, optional
        Where to write it; a file that is there is replaced.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ModuleNotFoundError
        If onnx is not installed: ``pip install 'fastprop-nn[onnx]'``.
    TypeError
        If it is no network.
    OSError
        If the file cannot be written.
    """
    network = copy.copy(checked(network, "to_onnx"))  # between two steps of whoever trains it
    onnx = needed("onnx", "onnx", "to_onnx")
    graph = _Graph(onnx, network.dtype)
    x = _Value(graph, "X")
    functions, held = _Functions(), list[_Value]()
    for part in parts(network):
        kind = part.operation.kind
        if kind == "fork":
            held.append(x)
        elif kind == "add":
            x = x + held.pop()
        elif kind not in ("copy", "dropout"):
            x = OPERATIONS[kind](x, part)
        activation = part.operation.activation
        x = functions.activation(activation.name, x, activation.values)
    if network.n_members > 1:
        x = x.reshape(-1, network.n_members, network.n_outputs)
        x = x.node("ReduceMean", graph.constant([1], np.int64), keepdims=0)
    graph.node("Identity", x.name, output="Y")
    model = _model(onnx, graph, network)
    if path is not None:
        _output.write(path, model.SerializeToString(), streams=True)
    return model


def _model(onnx: Any, graph: "_Graph", network: Network) -> Any:
    """The graph, with what belongs around it."""
    helper = onnx.helper
    dtype = helper.np_dtype_to_tensor_dtype(network.dtype)
    ends = [
        helper.make_tensor_value_info(name, dtype, ["rows", width])
        for name, width in (("X", network.n_inputs), ("Y", network.n_outputs))
    ]
    made = helper.make_graph(graph.nodes, "fastprop", ends[:1], ends[1:], graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opset, ir_version=helper.find_min_ir_version_for(opset))
    model.producer_name, model.producer_version, model.doc_string = "fastprop", __version__, repr(network)
    helper.set_model_props(model, {"description": json.dumps(network.describe())})
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants."""

    def __init__(self, onnx: Any, dtype: np.dtype):
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str = "", **attributes) -> str:
        """Adds a node, and gives its output's name."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def split(self, x: str, names: list[str], sizes: Any) -> None:
        """Add a node that splits the columns of `x` into arrays with these names."""
        lengths = self.constant(sizes, np.int64)
        self.nodes.append(self.onnx.helper.make_node("Split", [x, lengths], names, axis=1))

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Adds a constant, of the network's dtype unless another is said, and gives its name."""
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(values, dtype or self.dtype).reshape(np.shape(values))
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name


def _function(kind: str) -> Any:
    return lambda self: self.node(kind)


class _Value:
    """The output of a node, to compute with."""

    abs, exp, log = _function("Abs"), _function("Exp"), _function("Log")
    cos, sin, sqrt = _function("Cos"), _function("Sin"), _function("Sqrt")

    def __init__(self, graph: _Graph, name: str):
        self.graph, self.name = graph, name

    def node(self, kind: str, *others: Any, **attributes) -> "_Value":
        """A node that takes this first; what is not a value or a name is a constant."""
        names = [
            other.name if isinstance(other, _Value) else other if isinstance(other, str) else self.graph.constant(other)
            for other in others
        ]
        return _Value(self.graph, self.graph.node(kind, self.name, *names, **attributes))

    def after(self, kind: str, first: Any) -> "_Value":
        """A node that takes a constant first, and then this."""
        return _Value(self.graph, self.graph.constant(first)).node(kind, self)

    def __add__(self, other: Any) -> "_Value":
        return self.node("Add", other)

    def __radd__(self, other: Any) -> "_Value":
        return self.after("Add", other)

    def __sub__(self, other: Any) -> "_Value":
        return self.node("Sub", other)

    def __rsub__(self, other: Any) -> "_Value":
        return self.after("Sub", other)

    def __mul__(self, other: Any) -> "_Value":
        return self.node("Mul", other)

    def __rmul__(self, other: Any) -> "_Value":
        return self.after("Mul", other)

    def __truediv__(self, other: Any) -> "_Value":
        return self.node("Div", other)

    def __rtruediv__(self, other: Any) -> "_Value":
        return self.after("Div", other)

    def __neg__(self) -> "_Value":
        return self.node("Neg")

    def max(self, other: Any) -> "_Value":
        """The larger of both."""
        return self.node("Max", other)

    def min(self, other: Any) -> "_Value":
        """The smaller of both."""
        return self.node("Min", other)

    def erf(self) -> "_Value":
        """The error function, in float32: onnxruntime has no other."""
        types = self.graph.onnx.TensorProto
        if self.graph.dtype == np.float32:
            return self.node("Erf")
        return self.node("Cast", to=types.FLOAT).node("Erf").node("Cast", to=types.DOUBLE)

    def mean(self) -> "_Value":
        """The mean of each row, as a column."""
        return self.node("ReduceMean", self.graph.constant([-1], np.int64), keepdims=1)

    def reshape(self, *shape: int) -> "_Value":
        """The same numbers in another shape."""
        return self.node("Reshape", self.graph.constant(shape, np.int64))

    def columns(self, indices: Any) -> "_Value":
        """Some columns; of one index, a vector."""
        return self.node("Gather", self.graph.constant(indices, np.int64), axis=1)

    def joined(self, *others: "_Value", axis: int = 1) -> "_Value":
        """All, one after the other."""
        return self.node("Concat", *others, axis=axis)


class _Functions(formulas.Target):
    """Adds the nodes of a formula."""

    def compare(self, sign: str, x: Any, y: Any) -> _Value:
        """A node of its own for each sign."""
        kind = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual"}[sign]
        return _of_two(kind, x, y)

    def both(self, x: _Value, y: _Value) -> _Value:
        """And."""
        return x.node("And", y)

    def where(self, condition: _Value, x: Any, y: Any) -> _Value:
        """Where, for which both sides are computed."""
        return condition.node("Where", x, y)

    def power(self, x: Any, y: Any) -> _Value:
        """Pow."""
        return _of_two("Pow", x, y)

    def max(self, x: Any, y: Any) -> _Value:
        """Max."""
        return _of_two("Max", x, y)

    def min(self, x: Any, y: Any) -> _Value:
        """Min."""
        return _of_two("Min", x, y)

    def expm1(self, x: _Value) -> _Value:
        """e^x - 1, which ONNX has no node for."""
        return x.exp() - 1

    def log1p(self, x: _Value) -> _Value:
        """log(1 + x), likewise."""
        return (x + 1).log()

    def erfc(self, x: _Value) -> _Value:
        """1 - erf(x), likewise."""
        return 1 - x.erf()

    abs, exp, log = staticmethod(_Value.abs), staticmethod(_Value.exp), staticmethod(_Value.log)
    cos, sin, sqrt = staticmethod(_Value.cos), staticmethod(_Value.sin), staticmethod(_Value.sqrt)

    def activation(self, name: str, z: _Value, hyperparameters: Mapping[str, Any]) -> _Value:
        """The node that ONNX has for it, or its formula."""
        if name == "identity":
            return z
        if name in NODES or (name in FLOAT32_NODES and z.graph.dtype == np.float32):
            kind, attributes = NODES.get(name) or FLOAT32_NODES[name]
            return z.node(kind, **{key: hyperparameters.get(value, value) for key, value in attributes.items()})
        return super().activation(name, z, hyperparameters)


def _of_two(kind: str, x: Any, y: Any) -> _Value:
    return x.node(kind, y) if isinstance(x, _Value) else y.after(kind, x)


# ---- operations: what comes in, and the operation -> what goes out ----


def _dense(x: _Value, part: Part) -> _Value:
    operation, fields = part.operation, part.operation.fields
    if "n_groups" not in fields:
        return x.node("Gemm", part.weight, *([] if part.bias is None else [part.bias]))
    count = fields["n_groups"]
    if "sizes" in fields:
        names = [f"{x.name}_{k}" for k in range(count)]
        x.graph.split(x.name, names, fields["sizes"])
        products = [_Value(x.graph, name).node("MatMul", w) for name, (w, _) in zip(names, groups(part))]
        x = products[0].joined(*products[1:])
    elif fields["shared_weights"]:  # b, too
        x = x.reshape(-1, len(part.weight)).node("Gemm", part.weight, *([] if part.bias is None else [part.bias]))
        return x.reshape(-1, operation.n_out)
    else:
        x = x.reshape(-1, count, 1, part.weight.shape[1]).node("MatMul", part.weight).reshape(-1, operation.n_out)
    return x if part.bias is None else x + part.bias


def _scale(x: _Value, part: Part) -> _Value:
    x = x * part.weight
    return x if part.bias is None else x + part.bias


# The epsilon of ONNX's normalisations is a float32, so in float64 they are written out.


def _layer_norm(x: _Value, part: Part) -> _Value:
    epsilon = part.operation.fields["epsilon"]
    if x.graph.dtype == np.float32:
        return x.node("LayerNormalization", part.weight, part.bias, axis=-1, epsilon=epsilon)
    centred = x - x.mean()
    return centred / ((centred * centred).mean() + epsilon).sqrt() * part.weight + part.bias


def _batch_norm(x: _Value, part: Part) -> _Value:
    if x.graph.dtype == np.float32:
        numbers = part.weight, part.bias, *part.state.reshape(2, -1)
        return x.node("BatchNormalization", *numbers, epsilon=part.operation.fields["epsilon"])
    mean, factor = part.normalization()
    return (x - mean) * factor + part.bias


def _prelu(x: _Value, part: Part) -> _Value:
    if x.graph.dtype == np.float32:
        return x.node("PRelu", part.weight)
    return x.max(0) + x.min(0) * part.weight


def _softmax(x: _Value, part: Part) -> _Value:
    return x.node("LogSoftmax" if part.operation.fields["logarithm"] else "Softmax", axis=-1)


def _repeat(x: _Value, part: Part) -> _Value:
    return x.node("Tile", x.graph.constant([1, part.operation.fields["n_groups"]], np.int64))


def _embed(x: _Value, part: Part) -> _Value:
    categories, widths = part.operation.fields["sizes"].reshape(2, -1)
    rows, start = [], 0
    for column in np.flatnonzero(categories):
        n, width = categories[column], widths[column]
        table = _Value(x.graph, x.graph.constant(part.weight[start : start + n * width].reshape(n, width)))
        index = x.columns(int(column)).node("Cast", to=x.graph.onnx.TensorProto.INT64)
        rows.append(table.node("Gather", index, axis=0))
        start += n * width
    passed = np.flatnonzero(categories == 0)
    first, *others = [x.columns(passed), *rows] if len(passed) else rows
    return first.joined(*others)


def _piecewise(x: _Value, part: Part) -> _Value:
    bins = part.operation.fields["sizes"]
    edges = np.split(part.state, np.cumsum(bins + 1)[:-1])
    lower = np.concatenate([each[:-1] for each in edges])
    width = np.concatenate([np.diff(each) for each in edges])
    least, most = np.zeros(len(lower)), np.ones(len(lower))
    least[np.cumsum(bins) - bins] = -np.inf  # the outer bins go on
    most[np.cumsum(bins) - 1] = np.inf
    return ((x.columns(np.repeat(np.arange(len(bins)), bins)) - lower) / width).max(least).min(most)


def _periodic(x: _Value, part: Part) -> _Value:
    n_in, n = part.weight.shape
    angle = x.reshape(-1, n_in, 1) * (2 * np.pi * part.weight.astype(np.float64))
    return angle.cos().joined(angle.sin(), axis=2).reshape(-1, 2 * n * n_in)


OPERATIONS = {
    "dense": _dense,
    "scale": _scale,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "prelu": _prelu,
    "softmax": _softmax,
    "repeat": _repeat,
    "embed": _embed,
    "piecewise": _piecewise,
    "periodic": _periodic,
}
