"""Export to PyTorch: a network as a module."""

import copy
from typing import Any

import numpy as np

from fastprop.interop._common import Part, groups, import_library, parts, require_network
from fastprop.nn import activations as _activations
from fastprop.nn.network import Network

# Activation -> its class in torch.nn, and the class's arguments by the names of the activation's hyperparameters. Any
# other one becomes a module that evaluates its formula.
ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "identity": ("Identity", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"slope": "negative_slope"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "selu": ("SELU", {}),
    "celu": ("CELU", {"alpha": "alpha"}),
    "gelu": ("GELU", {}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {"beta": "beta"}),
    "softsign": ("Softsign", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("Hardsigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_tanh": ("Hardtanh", {"low": "min_val", "high": "max_val"}),
    "relu6": ("ReLU6", {}),
    "hard_swish": ("Hardswish", {}),
    "log_sigmoid": ("LogSigmoid", {}),
}

# The threshold above which torch.nn.Softplus is linear; there the difference is below the eps of float64.
SOFTPLUS_THRESHOLD = 50


def to_torch(network: Network) -> Any:
    """Return the network as a ``torch.nn.Sequential`` with copies of its parameters, in prediction mode (``eval()``).

    Modules are those of ``torch.nn`` where it has one; ``fastprop.interop.torch_modules`` has the others. If the
    network has members, the module returns the mean of their outputs. A loss in PyTorch is then the loss of the mean,
    where fastprop's training uses the mean of the members' losses.

    Parameters
    ----------
    network : Network

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
    TypeError
        If it is not a Network.
    """
    network = copy.copy(require_network(network, "to_torch"))  # between two steps of a training in another thread
    torch = import_library("torch", "torch", "to_torch")
    from fastprop.interop import torch_modules

    blocks: list[list[Any]] = [[]]
    for part in parts(network):
        if part.operation.kind == "fork":
            blocks.append([])
        elif part.operation.kind == "add":
            block = torch.nn.Sequential(*blocks.pop())
            blocks[-1].append(torch_modules.Residual(block))
        elif part.operation.kind == "concat":
            (modules,) = blocks
            starts = [place for place, module in enumerate(modules) if isinstance(module, torch_modules.Select)]
            branches = [modules[start:end] for start, end in zip(starts, [*starts[1:], None])]
            blocks = [[torch_modules.ByColumn([torch.nn.Sequential(*branch) for branch in branches])]]
        elif part.operation.kind != "copy":
            blocks[-1].append(_module(torch, torch_modules, part))
        if part.operation.activation != _activations.identity:
            blocks[-1].append(_activation(torch, torch_modules, part.operation.activation))
    if network.n_members > 1:
        blocks[-1].append(torch_modules.MeanOfMembers(network.n_members))
    return torch.nn.Sequential(*blocks[0]).eval()


def _activation(torch: Any, own: Any, activation: _activations.Activation) -> Any:
    if activation.name == "gelu_tanh":
        return torch.nn.GELU(approximate="tanh")
    if activation.name not in ACTIVATIONS:
        return own.Activation(activation.name, activation.values)
    kind, arguments = ACTIVATIONS[activation.name]
    numbers = {arguments[name]: value for name, value in activation.values.items()}
    if kind == "Softplus":
        numbers["threshold"] = SOFTPLUS_THRESHOLD
    return getattr(torch.nn, kind)(**numbers)


def _module(torch: Any, own: Any, part: Part) -> Any:
    """Return the module of an operation, with copies of its parameters."""
    nn, operation, fields = torch.nn, part.operation, part.operation.fields
    kind, n = operation.kind, operation.n_out

    def tensor(array):
        return torch.tensor(np.array(array))

    def filled(module, weight, bias):
        module = module.to(tensor(part.weight).dtype)
        with torch.no_grad():
            module.weight.copy_(tensor(weight))
            if bias is not None:
                module.bias.copy_(tensor(bias))
        return module

    def linear(weight, bias):
        n_in, n_out = weight.shape
        made = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias is not None)  # draws no random numbers
        return filled(made, weight.T, bias)

    if kind == "dense" and fields.get("shared_weights"):
        return own.SharedWeights(linear(part.weight, part.bias), fields["n_groups"])
    if kind == "dense" and "n_groups" in fields:
        return own.Groups([linear(*each) for each in groups(part)])
    if kind == "dense":
        return linear(part.weight, part.bias)
    if kind == "scale":
        return own.Scale(tensor(part.weight), None if part.bias is None else tensor(part.bias))
    if kind == "layer_norm":
        return filled(nn.LayerNorm(n, eps=fields["epsilon"]), part.weight, part.bias)
    if kind == "batch_norm":
        norm = filled(nn.BatchNorm1d(n, eps=fields["epsilon"], momentum=fields["momentum"]), part.weight, part.bias)
        mean, variance = part.state.reshape(2, n)
        norm.running_mean.copy_(tensor(mean))
        norm.running_var.copy_(tensor(variance))
        return norm
    if kind == "prelu":
        return filled(nn.PReLU(n), part.weight, None)
    if kind == "embed":
        categories, widths = fields["sizes"].reshape(2, -1)
        columns = np.flatnonzero(categories)
        tables = np.split(part.weight, np.cumsum(categories * widths)[columns][:-1])
        rows = [tensor(table.reshape(categories[c], widths[c])) for c, table in zip(columns, tables)]
        return own.Embeddings(len(categories), columns.tolist(), rows)
    if kind == "piecewise":
        return own.PiecewiseLinear([tensor(each) for each in np.split(part.state, np.cumsum(fields["sizes"] + 1)[:-1])])
    return {
        "dropout": lambda: nn.Dropout(fields["rate"]),
        "softmax": lambda: (nn.LogSoftmax if fields["logarithm"] else nn.Softmax)(dim=-1),
        "repeat": lambda: own.Repeat(fields["n_groups"]),
        "select": lambda: own.Select(fields["sizes"].tolist()),
        "periodic": lambda: own.Periodic(tensor(part.weight)),
    }[kind]()
