"""Export to ONNX: the graph of a network's operations in prediction."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastprop._util.lazy import LazyModule
from fastprop._version import __version__
from fastprop.interop._common import Part, groups, import_library, parts, require_network
from fastprop.io import output as _output
from fastprop.nn import formulas
from fastprop.nn.network import Network

json = LazyModule("json")

OPSET = 20  # the first with Gelu, of 2023

# An activation that is in neither of these tables becomes the nodes of its formula (``nn/formulas.py``).
# Activations that are one node of both dtypes in onnxruntime -> the node, and its attributes.
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
}

# Activations that are one node in float32 only. An attribute may be the name of a hyperparameter.
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
    """Return the network as an ONNX model from inputs "X", (rows, n_inputs), to outputs "Y", (rows, n_outputs).

    Both have the network's dtype. The outputs are those of ``network(X)``, up to the rounding of sums in another order.
    In a float64 network "gelu" is exact to 1e-7, since onnxruntime has the error function in float32 only. The metadata
    of the model has the network's description.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike, optional
        The file to write; an existing file is replaced.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ModuleNotFoundError
        If onnx is not installed: ``pip install 'fastprop-nn[onnx]'``.
    TypeError
        If it is not a Network.
    OSError
        If the file cannot be written.
    """
    network = copy.copy(require_network(network, "to_onnx"))  # between two steps of a training in another thread
    onnx = import_library("onnx", "onnx", "to_onnx")
    graph = _Graph(onnx, network.dtype)
    inputs = x = _Value(graph, "X")
    functions, held, branches = _Functions(), list[_Value](), list[_Value]()
    for part in parts(network):
        kind = part.operation.kind
        if kind in ("select", "concat") and x is not inputs:
            branches.append(x)
        if kind == "fork":
            held.append(x)
        elif kind == "select":
            x = inputs.columns(part.operation.fields["sizes"])
        elif kind == "concat":
            x, *others = branches
            x = x.joined(*others)
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
    """The nodes and constants of a graph."""

    def __init__(self, onnx: Any, dtype: np.dtype):
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str = "", **attributes) -> str:
        """Add a node, and return the name of its output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def split(self, x: str, names: list[str], sizes: Any) -> None:
        """Add a node that splits the columns of `x` into arrays with these names."""
        lengths = self.constant(sizes, np.int64)
        self.nodes.append(self.onnx.helper.make_node("Split", [x, lengths], names, axis=1))

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant, by default of the network's dtype, and return its name."""
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(values, dtype or self.dtype).reshape(np.shape(values))
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name


def _function(kind: str) -> Any:
    return lambda self: self.node(kind)


class _Value:
    """The output of a node, with operators that add further nodes."""

    abs, exp, log = _function("Abs"), _function("Exp"), _function("Log")
    cos, sin, sqrt = _function("Cos"), _function("Sin"), _function("Sqrt")

    def __init__(self, graph: _Graph, name: str):
        self.graph, self.name = graph, name

    def node(self, kind: str, *others: Any, **attributes) -> "_Value":
        """Add a node whose first input is this value; inputs that are not values or names become constants."""
        names = [
            other.name if isinstance(other, _Value) else other if isinstance(other, str) else self.graph.constant(other)
            for other in others
        ]
        return _Value(self.graph, self.graph.node(kind, self.name, *names, **attributes))

    def after(self, kind: str, first: Any) -> "_Value":
        """Add a node whose first input is a constant, and whose second input is this value."""
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
        """Return the larger of the two, element by element."""
        return self.node("Max", other)

    def min(self, other: Any) -> "_Value":
        """Return the smaller of the two, element by element."""
        return self.node("Min", other)

    def erf(self) -> "_Value":
        """Return the error function, computed in float32, since onnxruntime has it in no other dtype."""
        types = self.graph.onnx.TensorProto
        if self.graph.dtype == np.float32:
            return self.node("Erf")
        return self.node("Cast", to=types.FLOAT).node("Erf").node("Cast", to=types.DOUBLE)

    def mean(self) -> "_Value":
        """Return the mean of each row, (rows, 1)."""
        return self.node("ReduceMean", self.graph.constant([-1], np.int64), keepdims=1)

    def reshape(self, *shape: int) -> "_Value":
        """Return the elements in another shape."""
        return self.node("Reshape", self.graph.constant(shape, np.int64))

    def columns(self, indices: Any) -> "_Value":
        """Return the columns with these indices, or a vector if the index is an int."""
        return self.node("Gather", self.graph.constant(indices, np.int64), axis=1)

    def joined(self, *others: "_Value", axis: int = 1) -> "_Value":
        """Return the concatenation of this and other values along an axis."""
        return self.node("Concat", *others, axis=axis)


class _Functions(formulas.Target):
    """Adds the nodes of a formula, for ``formulas.evaluate``."""

    def compare(self, sign: str, x: Any, y: Any) -> _Value:
        """Add a comparison."""
        kind = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual"}[sign]
        return _of_two(kind, x, y)

    def both(self, x: _Value, y: _Value) -> _Value:
        """Add the logical and."""
        return x.node("And", y)

    def where(self, condition: _Value, x: Any, y: Any) -> _Value:
        """Add Where, which takes both values computed."""
        return condition.node("Where", x, y)

    def power(self, x: Any, y: Any) -> _Value:
        """Add Pow."""
        return _of_two("Pow", x, y)

    def max(self, x: Any, y: Any) -> _Value:
        """Add Max."""
        return _of_two("Max", x, y)

    def min(self, x: Any, y: Any) -> _Value:
        """Add Min."""
        return _of_two("Min", x, y)

    def expm1(self, x: _Value) -> _Value:
        """Return e^x - 1; ONNX has no node for it."""
        return x.exp() - 1

    def log1p(self, x: _Value) -> _Value:
        """Return log(1 + x); ONNX has no node for it."""
        return (x + 1).log()

    def erfc(self, x: _Value) -> _Value:
        """Return 1 - erf(x); ONNX has no node for it."""
        return 1 - x.erf()

    abs, exp, log = staticmethod(_Value.abs), staticmethod(_Value.exp), staticmethod(_Value.log)
    cos, sin, sqrt = staticmethod(_Value.cos), staticmethod(_Value.sin), staticmethod(_Value.sqrt)

    def activation(self, name: str, z: _Value, hyperparameters: Mapping[str, Any]) -> _Value:
        """Add the activation's node, or the nodes of its formula if ONNX has none."""
        if name == "identity":
            return z
        if name in NODES or (name in FLOAT32_NODES and z.graph.dtype == np.float32):
            kind, attributes = NODES.get(name) or FLOAT32_NODES[name]
            return z.node(kind, **{key: hyperparameters.get(value, value) for key, value in attributes.items()})
        return super().activation(name, z, hyperparameters)


def _of_two(kind: str, x: Any, y: Any) -> _Value:
    return x.node(kind, y) if isinstance(x, _Value) else y.after(kind, x)


# ---- operations: from the inputs and the operation to the outputs ----


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
    elif fields["shared_weights"]:  # the groups share the bias, too
        x = x.reshape(-1, len(part.weight)).node("Gemm", part.weight, *([] if part.bias is None else [part.bias]))
        return x.reshape(-1, operation.n_out)
    else:
        x = x.reshape(-1, count, 1, part.weight.shape[1]).node("MatMul", part.weight).reshape(-1, operation.n_out)
    return x if part.bias is None else x + part.bias


def _scale(x: _Value, part: Part) -> _Value:
    x = x * part.weight
    return x if part.bias is None else x + part.bias


# The epsilon of ONNX's normalisations is a float32. In float64 they are therefore written out in other nodes.


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
    least[np.cumsum(bins) - bins] = -np.inf  # the outer bins have no outer bound
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
