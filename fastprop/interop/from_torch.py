"""Import of PyTorch's modules, and of the state_dict of a sequence of layers."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop.interop._common import Stack, check_same, construct, import_library
from fastprop.interop.to_torch import ACTIVATIONS
from fastprop.nn import activations as _activations
from fastprop.nn import layers as _layers
from fastprop.nn.embeddings import ByColumn, Embedding, Periodic, PiecewiseLinear
from fastprop.nn.layers import BatchNorm, Dropout, Layer, LayerNorm, Residual, Scale
from fastprop.nn.network import Network

NAMES = {kind: name for name, (kind, _) in ACTIVATIONS.items()}

# Class of a module that wraps another one -> where to find the inner module.
WRAPPERS = {
    "DataParallel": "the module inside, its .module",
    "DistributedDataParallel": "the module inside, its .module",
    "OptimizedModule": "the module from before torch.compile, its ._orig_mod",
}

# Hooks that compute a weight in each call -> the call that writes their result into the weight and removes them.
REMOVED_BY = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(module, {name!r})",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(module, {name!r})",
}

# Names of tensors that a weight is computed from, and what a message says about them.
COMPUTED_FROM = ("weight_g", "weight_v", "weight_orig", "weight_mask", "weight_u")
COMPUTED = ": a weight is computed from it, so remove the weight norm, spectral norm or pruning from the module first"

# The default threshold above which torch.nn.Softplus is linear. Its error there, 2e-9, is accepted.
SOFTPLUS_LEAST = 20


def from_torch(module: Any, *, n_inputs: int | None = None, seed: int | None = None) -> Network:
    """Make the network of a ``torch.nn.Sequential``, with its parameters, in their dtype.

    The module may have Linear, the activations of ``fastprop.activations``, PReLU, Softmax and LogSoftmax over the
    last axis, Dropout, BatchNorm1d, LayerNorm, Identity, Flatten, Sequential, and the modules that ``to_torch`` makes,
    except for members. A normalisation without weights gets weights that change nothing. A network has no mode: it
    trains as PyTorch does in ``train()`` and predicts as in ``eval()``. A module that occurs twice becomes two layers,
    which are trained independently. Hooks of gradients belong to training, so they are not imported. Anything else that
    changes what a module computes is an error, and the outputs for a few random rows are compared.

    Parameters
    ----------
    module : torch.nn.Module
    n_inputs : int, optional
        The number of inputs, needed only if no module determines it.
    seed : int, optional
        The seed of the network, see ``Network``.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If it is not a module, or has a module that fastprop does not have.
    ValueError
        If a module has an option that fastprop does not have, a hook, a parametrisation, a ``forward`` of its own, or
        parameters that cannot be read, or if the outputs differ.

    Examples
    --------
    >>> fp.from_torch(nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)))  # doctest: +SKIP
    <Network 784-128-10 (relu, identity), 101770 parameters, float32>
    """
    nn = import_library("torch", "torch", "from_torch").nn
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"from_torch takes a torch.nn.Sequential, got {type(module).__name__}; for a state_dict use "
            "fp.from_state_dict"
        )
    stack = Stack(None if n_inputs is None else _validation.count("n_inputs", n_inputs))
    try:
        for path, each in module.named_modules():
            _check_module(each, _place(path.split(".") if path else []))
        _append_layers(stack, module, "module", nn)
    except RecursionError:
        raise ValueError(
            "this module holds itself, or modules nested deeper than Python can follow; give one nn.Sequential of all"
        ) from None
    network = stack.network("this module", seed)
    check_same(network, "this module", partial(_run, module))
    return network


def _place(names: list[str], start: str = "module") -> str:
    """Return the expression that finds a module by the names on its path."""
    return start + "".join(f"[{name}]" if name.isdecimal() else f".{name}" for name in names)


def _check_module(module: Any, place: str) -> None:
    """Raise an error if a module may compute something else than its class and its parameters say."""
    described = f"{place}, {type(module).__name__},"
    if (instead := _inside(module)) is not None:
        raise TypeError(f"{described} has no counterpart in fastprop; give {instead}")
    for name in getattr(module, "parametrizations", ()):
        raise ValueError(
            f"{described} has a parametrisation of its {name}; write its result into the {name} with "
            f"torch.nn.utils.parametrize.remove_parametrizations(module, {name!r}) first"
        )
    for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
        kind, name = type(hook).__name__, getattr(hook, "name", "weight")
        if hasattr(hook, "_tensor_name"):
            kind, name = "pruning", hook._tensor_name
            remove = f"torch.nn.utils.prune.remove(module, {name!r})"
        elif kind in REMOVED_BY:
            remove = REMOVED_BY[kind].format(name=name)
        else:
            kind = f"a hook, {getattr(hook, '__qualname__', kind)}"
            remove = "the remove() of the handle that registering it gave"
        raise ValueError(f"{described} has {kind}, which may change what it computes in each call; use {remove} first")
    if "forward" in vars(module):
        raise ValueError(
            f"{described} has a forward of its own, which fastprop cannot read; use `del module.forward` if it is not "
            "needed"
        )


def _inside(module: Any) -> str | None:
    """Return what to give instead of a wrapper, a compiled, a lazy or a quantised module; None for other modules."""
    import torch

    cls = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "the module from before torch.jit"
    if isinstance(module, torch.nn.modules.lazy.LazyModuleMixin):
        return "the model after a first batch, model(X), since it has no parameters before"
    if ".quantized" in cls.__module__:
        return "the module from before it was quantised"
    return WRAPPERS.get(cls.__name__)


def _run(module: Any, X: np.ndarray) -> np.ndarray:
    """Return the outputs of a module in prediction; its mode is restored."""
    import torch

    modes = [(each, each.training) for each in module.modules()]
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    try:
        for each, _ in modes:
            each.training = False
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return module(torch.tensor(X, device=device)).cpu().numpy()
    finally:
        for each, mode in modes:
            each.training = mode


def _append_layers(stack: Stack, module: Any, place: str, nn: Any) -> None:
    """Append a module to a stack; `place` is the expression that finds it, for messages."""
    from fastprop.interop import torch_modules

    cls, described = type(module), f"{place}, {type(module).__name__},"
    if isinstance(module, nn.Sequential) and cls.forward is nn.Sequential.forward:
        for name, child in module._modules.items():
            _append_layers(stack, child, _place([name], place), nn)
    elif cls is torch_modules.Residual:
        inner = Stack(stack.n_out)
        _append_layers(inner, module.block, f"{place}.block", nn)
        stack.add(Residual(tuple(inner.layers)), *inner.numbers, state=inner.state, n_in=inner.n_in)
    elif cls is torch_modules.ByColumn:
        branches = []
        for number, branch in enumerate(module.branches):
            branches.append(Stack())
            _append_layers(branches[-1], branch, f"{place}.branches[{number}]", nn)
        _join(stack, branches, described)
    # A class of another library that is called Linear may compute something else.
    elif not (
        (cls.__module__.startswith("torch.nn.modules.") and _append(stack, module, described))
        or (getattr(torch_modules, cls.__name__, None) is cls and _append_own(stack, module, described))
    ):
        raise TypeError(
            f"{described} has no counterpart in fastprop; use a Sequential of Linear, Dropout, BatchNorm1d, LayerNorm, "
            f"Softmax and activations ({', '.join(NAMES)}), or take the weights of the rest with fp.from_state_dict"
        )


def _join(stack: Stack, branches: list[Stack], described: str) -> None:
    """Append a ``ByColumn`` with the layers of some stacks, one of which may have none: it passes its columns on."""
    parts: list[tuple[Layer, list[int]]] = []
    n_in = n_out = 0
    for branch in branches:
        if branch.columns is None or branch.n_out is None or len(branch.layers) > 1:
            raise ValueError(
                f"{described} has a branch other than a Select and the modules of one layer; leave what to_torch made "
                "as it is"
            )
        columns = list(dict.fromkeys(branch.columns))
        parts += [(layer, columns) for layer in branch.layers]
        n_in, n_out = n_in + len(columns), n_out + branch.n_out
    numbers, state = ([each for branch in branches for each in getattr(branch, name)] for name in ("numbers", "state"))
    stack.add(construct(described, ByColumn, parts=parts), *numbers, state=state, n_in=n_in, n_out=n_out)


def _append(stack: Stack, module: Any, described: str) -> bool:
    """Append a module of ``torch.nn`` to a stack; return False if fastprop does not have it."""
    kind, array = type(module).__name__, partial(_array_of, module, described)
    if kind == "Linear":
        stack.dense(array("weight").T, array("bias"))
    elif kind == "Dropout":
        stack.add(construct(described, Dropout, rate=module.p))
    elif kind == "BatchNorm1d":
        if module.running_mean is None or module.momentum is None:
            raise ValueError(
                f"{described} has no running statistics, or their cumulative mean; fastprop's are updated with a "
                "momentum: make it with track_running_stats=True and a momentum, and train it again"
            )
        state = array("running_mean"), array("running_var")
        numbers = _affine(array("weight"), array("bias"), len(state[0]))
        layer = construct(described, BatchNorm, momentum=module.momentum, epsilon=module.eps)
        stack.add(layer, *numbers, state=state, n_in=len(state[0]))
    elif kind == "LayerNorm":
        if len(module.normalized_shape) > 1:
            raise ValueError(
                f"{described} normalises over the axes {module.normalized_shape}; fastprop's LayerNorm has one axis"
            )
        (n,) = module.normalized_shape
        layer = construct(described, LayerNorm, epsilon=module.eps)
        stack.add(layer, *_affine(array("weight"), array("bias"), n), n_in=n)
    elif kind in ("Softmax", "LogSoftmax"):
        if module.dim not in (-1, 1):
            raise ValueError(f"{described} is over the axis {module.dim}; fastprop's is over the last: use dim=-1")
        stack.activate("softmax" if kind == "Softmax" else "log_softmax")
    elif kind == "PReLU":
        _prelu(stack, array("weight"), described)
    elif kind == "Flatten":
        if (module.start_dim, module.end_dim) != (1, -1):
            raise ValueError(f"{described} does not give rows; use start_dim=1 and end_dim=-1")
    elif kind in NAMES:
        stack.activate(_activation_of(module, kind, described))
    else:
        return False
    return True


def _append_own(stack: Stack, module: Any, described: str) -> bool:
    """Append a module of ``fastprop.interop.torch_modules`` to a stack; return False if it is none."""
    kind, top = type(module).__name__, stack.layers[-1] if stack.layers else None
    array = partial(_array_of, module, described)
    if kind == "Scale":
        weight, bias = array("weight"), array("bias")
        stack.add(Scale(bias=bias is not None), *([weight] if bias is None else [weight, bias]), n_in=len(weight))
    elif kind == "Select":
        stack.columns, stack.n_out = module.columns, len(module.columns)
        stack.n_in = stack.n_in or len(set(module.columns))
    elif kind == "Embeddings":
        tables = [_array_of(table, described, "weight") for table in module.tables]
        columns = tuple((column, *table.shape) for column, table in zip(module.columns, tables))
        width = len(module.passed) + sum(table.shape[1] for table in tables)
        stack.add(Embedding(columns), *tables, n_in=len(module.passed) + len(tables), n_out=width)
    elif kind == "PiecewiseLinear":
        edges, bins = array("edges"), module.n_bins
        each = tuple(tuple(row.tolist()) for row in np.split(edges, np.cumsum(np.add(bins, 1))[:-1]))
        if _twice(stack):  # each column is there twice: first as a number, which is a bin without bounds
            each = each[1::2]
        stack.add(PiecewiseLinear(each), state=[edges], n_in=len(bins), n_out=sum(bins))
    elif kind == "Periodic":
        frequencies = array("frequencies")
        n_in, n = frequencies.shape
        stack.add(Periodic(n), frequencies, n_in=n_in, n_out=2 * n * n_in)
    elif kind == "Groups" and isinstance(top, (PiecewiseLinear, Periodic)):
        linear = list(module.groups)
        options: dict[str, Any] = {"linear": True} if _twice(stack) else {}
        stack.layers[-1] = replace(top, width=linear[0].out_features, activation="identity", **options)
        stack.numbers += [_array_of(each, described, "weight").T for each in linear]
        stack.numbers += [_array_of(each, described, "bias") for each in linear]
        stack.n_out = len(linear) * linear[0].out_features
    elif kind == "Activation":
        stack.activate(_activations.parse(module.name)(**module.hyperparameters))
    else:
        return False
    return True


def _twice(stack: Stack) -> bool:
    """Return whether columns were selected twice."""
    return stack.columns is not None and len(set(stack.columns)) < len(stack.columns)


def _activation_of(module: Any, kind: str, described: str) -> Any:
    """Return the activation of a module of ``torch.nn``."""
    if kind == "GELU":
        return {"none": "gelu", "tanh": "gelu_tanh"}[module.approximate]
    if kind == "Softplus" and module.threshold < SOFTPLUS_LEAST:
        raise ValueError(f"{described} is linear above {module.threshold}, fastprop's is not; use 20 or more")
    name = NAMES[kind]
    numbers = {number: getattr(module, argument) for number, argument in ACTIVATIONS[name][1].items()}
    return construct(described, _activations.parse(name), **numbers) if numbers else name


def _affine(weight: np.ndarray | None, bias: np.ndarray | None, n: int) -> list[np.ndarray]:
    """Return the weight and the bias of a normalisation; those that it does not have are ones and zeros."""
    return [np.ones(n, int) if weight is None else weight, np.zeros(n, int) if bias is None else bias]


def _prelu(stack: Stack, slope: np.ndarray, described: str) -> None:
    """Append a PReLU; PyTorch's has one slope, or one for each input."""
    if stack.n_out is None:
        raise ValueError(f"{described} comes before any module that says how many inputs there are; give n_inputs")
    if slope.size not in (1, stack.n_out):
        raise ValueError(f"{described} has {slope.size} slopes for {stack.n_out} numbers")
    stack.activate("prelu", np.array(np.broadcast_to(slope, stack.n_out)))


def _array_of(module: Any, described: str, name: str) -> Any:
    """Return a parameter or buffer of a module as an array, or None if it is None."""
    tensor = getattr(module, name)
    return None if tensor is None else _array(tensor, f"{described} has a {name} that")


def _array(tensor: Any, what: str) -> np.ndarray:
    """Return a tensor, a parameter or an array as an array; messages begin with `what`."""
    if not hasattr(tensor, "detach"):
        return np.asarray(tensor)
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        hint = "; call the module's float() first" if tensor.is_floating_point() else ""
        raise ValueError(f"{what} holds numbers of {tensor.dtype}, wanted float32 or float64{hint}")
    if tensor.is_meta:
        raise ValueError(f"{what} is on the meta device, where tensors have no data; load the weights first")
    try:
        return tensor.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:  # a layout or a subclass that NumPy does not have
        raise ValueError(f"{what} cannot become an array: {error}") from None


def from_state_dict(
    state: Mapping[str, Any],
    *,
    activation: Any = "relu",
    last: Any = "identity",
    epsilon: float = 1e-5,
    seed: int | None = None,
) -> Network:
    """Make the network of the ``state_dict`` of a sequence of linear layers and normalisations.

    A state has no activations. If its names are numbered with gaps (0, 2, 4 for a Sequential of Linear and ReLU), the
    activations are in the gaps. Otherwise they follow each linear layer, or the normalisation after it. If names differ
    only in their number, layers are ordered by number. Otherwise the order of the state must be that of the layers.

    Parameters
    ----------
    state : mapping
        Name -> tensor or array, as ``module.state_dict()`` or ``safetensors.numpy.load_file`` returns it.
        "NAME.weight" is the weight (n_out, n_in) of a linear layer or (n,) of a normalisation: a batch norm if there is
        a "NAME.running_mean", otherwise a layer norm if there is a "NAME.bias", otherwise the slopes of a PReLU.
    activation : str or Activation, default "relu"
        The activation of the hidden layers.
    last : str or Activation, default "identity"
        The activation of the last layer.
    epsilon : float, default 1e-5
        The epsilon of the normalisations.
    seed : int, optional
        The seed of the network, see ``Network``.

    Returns
    -------
    Network

    Raises
    ------
    TypeError, ValueError
        If the state has anything else, or its layers do not fit.

    Examples
    --------
    >>> state = {"0.weight": np.zeros((128, 784)), "0.bias": np.zeros(128), "2.weight": np.zeros((10, 128))}
    >>> from_state_dict(state).layers
    (Dense(128, 'relu'), Dense(10, bias=False))
    """
    activation, last = _layers.parse_activation(activation), _layers.parse_activation(last)
    groups = _groups(state)
    gaps = _gaps_before(list(groups))
    stack = Stack()
    pending = False  # whether the activation of the last linear layer is still to be added
    for (name, tensors), gap in zip(groups.items(), gaps):
        is_linear = tensors["weight"].ndim == 2
        if pending and (is_linear if gap is None else gap):
            stack.activate(activation)
            pending = False
        _append_tensors(stack, name, tensors, epsilon)
        if is_linear or set(tensors) == {"weight"}:  # a PReLU is the activation
            pending = is_linear
    stack.activate(last)
    return stack.network("this state", seed)


def _groups(state: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return the tensors of each layer by their names, in the order of the layers: layer -> name -> tensor."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(
            f"from_state_dict takes names and their tensors, got {type(state).__name__}; use module.state_dict()"
        )
    groups: dict[str, dict[str, np.ndarray]] = {}
    for full, tensor in state.items():
        name, _, own = full.rpartition(".")
        if own not in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            raise ValueError(
                f"the tensor {full!r} is of no linear layer or normalisation; leave it out, or use fp.from_torch"
                + (COMPUTED if own in COMPUTED_FROM or ".parametrizations." in full else "")
            )
        if own != "num_batches_tracked":
            groups.setdefault(name, {})[own] = _array(tensor, f"the tensor {full!r}")
    for name, tensors in groups.items():
        if set(tensors) == {"weight"} and "norm" in name.lower() and tensors["weight"].ndim == 1:
            raise ValueError(
                f"the layer {name!r} has a weight alone, as a PReLU has, but the name of a norm; give a layer norm its "
                "bias too, zeros where it has none (fastprop has no RMSNorm), or rename it if it is a PReLU"
            )
        if ("running_mean" in tensors) != ("running_var" in tensors):
            raise ValueError(f"the layer {name!r} has one of running_mean and running_var; give both")
        if "weight" not in tensors or tensors["weight"].ndim not in (1, 2):
            raise ValueError(
                f"the layer {name!r} has no weight of one or two axes: it is no linear layer or normalisation"
            )
    if not any(tensors["weight"].ndim == 2 for tensors in groups.values()):
        raise ValueError("this state holds no weight of a linear layer, (n_out, n_in); use that of a stack of them")
    if len({_numbered(name)[0] for name in groups}) == 1:
        return dict(sorted(groups.items(), key=lambda item: _numbered(item[0])[1]))
    return groups


def _numbered(name: str) -> tuple[str, int]:
    """Return a name without its last number, and that number, or 0 if it has none."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    return (f"{found[1]}#{found[3]}", int(found[2])) if found else (name, 0)


def _gaps_before(names: list[str]) -> list[bool | None]:
    """Return for each name whether there is a gap in the numbers before it, or None if the names do not tell."""
    numbered = [_numbered(name) for name in names]
    steps = [
        after - before if same == kind else None
        for (same, before), (kind, after) in zip([("", 0), *numbered], numbered)
    ]
    tell = any(step is not None and step > 1 for step in steps)
    return [step > 1 if tell and step is not None else None for step in steps]


def _append_tensors(stack: Stack, name: str, tensors: Mapping[str, np.ndarray], epsilon: float) -> None:
    """Append a layer of a state to a stack."""
    weight, bias = tensors["weight"], tensors.get("bias")
    if weight.ndim == 2:
        stack.dense(weight.T, bias)
    elif "running_mean" in tensors:
        state = tensors["running_mean"], tensors["running_var"]
        stack.add(BatchNorm(epsilon=epsilon), *_affine(weight, bias, len(weight)), state=state, n_in=len(weight))
    elif bias is not None:
        stack.add(LayerNorm(epsilon=epsilon), weight, bias, n_in=len(weight))
    else:
        _prelu(stack, weight, f"the layer {name!r}")
