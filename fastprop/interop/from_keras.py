"""Import of Keras's Sequential models. The layers come from the model, so that this module does not import Keras."""

import sys
from functools import partial
from typing import Any

import numpy as np

from fastprop.interop._common import Stack, check_same, construct
from fastprop.nn import activations as _activations
from fastprop.nn.layers import BatchNorm, Dropout, LayerNorm
from fastprop.nn.network import Network

# Keras's name -> fastprop's activation.
ACTIVATIONS: dict[str, Any] = {
    "linear": "identity",
    "relu": "relu",
    "leaky_relu": _activations.leaky_relu(slope=0.2),
    "swish": "silu",
    "hard_silu": "hard_swish",
    "softmax": "softmax",
    "log_softmax": "log_softmax",
} | {
    name: name
    for name in (
        *("elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "sigmoid", "hard_sigmoid"),
        *("tanh", "hard_tanh", "relu6", "hard_swish", "log_sigmoid"),
    )
}

IGNORED = ("InputLayer", "Flatten", "Identity", "ActivityRegularization")  # layers that change no row in prediction
NORMS = ("BatchNormalization", "LayerNormalization")


def from_keras(model: Any, *, seed: int | None = None) -> Network:
    """Make the network of a Keras ``Sequential``, with its parameters, in their dtype.

    The model may have Dense, Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax, Dropout, BatchNormalization,
    LayerNormalization, Flatten (X then has flat rows), Identity and Sequential. Activations are those of Keras 3. The
    momentum of a batch norm is the weight of the old statistics in Keras, and of the new ones in fastprop, so it
    becomes 1 - momentum. A normalisation without weights gets weights that change nothing. Regularisers, constraints
    and frozen layers belong to training, so they are not imported. A layer that occurs twice becomes two layers, which
    are trained independently. The outputs for a few random rows are compared.

    Parameters
    ----------
    model : keras.Sequential
        A built model, whose number of inputs is known.
    seed : int, optional
        The seed of the network, see ``Network``.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If it is not a Sequential, or has a layer that fastprop does not have.
    ValueError
        If a layer has no weights yet, or an option that fastprop does not have, or the outputs differ.
    """
    if _kind(model) != "Sequential":
        raise TypeError(
            f"from_keras takes a keras.Sequential, got {type(model).__name__}; if its layers are a chain, give "
            "keras.Sequential(model.layers)"
        )
    version = getattr(sys.modules.get("keras"), "__version__", "3")
    if int(version.partition(".")[0]) < 3:
        raise ValueError(
            f"from_keras knows the layers of Keras 3, got Keras {version}; save the model and load it there"
        )
    if not model.built or not model.layers:
        raise ValueError(
            "this model has no layers, or no weights yet; build the model first, as with model.build((None, n_inputs))"
        )
    _, *shape = model.input_shape
    stack = Stack(shape[0] if len(shape) == 1 else None)
    try:
        _append_layers(stack, model)
    except RecursionError:
        raise ValueError("this model is nested deeper than Python can follow; give one keras.Sequential") from None
    network = stack.network("this model", seed)
    if None in shape or network.n_inputs != np.prod(shape):
        raise ValueError(
            f"this model takes inputs of shape {tuple(shape)}, not rows of numbers; put keras.layers.Flatten() first"
        )
    check_same(network, "this model", partial(_run, model, shape))
    return network


def _run(model: Any, shape: list[int], X: np.ndarray) -> np.ndarray:
    """Return the outputs of a model in prediction."""
    outputs = model(X.reshape(-1, *shape), training=False)
    return sys.modules["keras"].ops.convert_to_numpy(outputs)


def _kind(layer: Any) -> str:
    """Return the class name of a layer of Keras, or "" for the class of another library."""
    cls = type(layer)
    return cls.__name__ if cls.__module__.partition(".")[0] == "keras" else ""


def _append_layers(stack: Stack, model: Any) -> None:
    """Append the layers of a model to a stack."""
    for layer in model.layers:
        if _kind(layer) == "Sequential":
            _append_layers(stack, layer)
        elif _kind(layer) not in IGNORED:
            _append(stack, layer)


def _append(stack: Stack, layer: Any) -> None:
    """Append a layer to a stack."""
    kind, described = _kind(layer), f"the layer {layer.name!r}, {type(layer).__name__},"
    if kind in ("Dense", "Activation"):
        activation = layer.activation
        source = getattr(activation, "__module__", "")
        name = getattr(activation, "__name__", type(activation).__name__)
        _require(
            source.partition(".")[0] == "keras", described,
            f"has an activation of your own, {name}; use one of {', '.join(ACTIVATIONS)}",
        )  # fmt: skip
    _require(
        layer.compute_dtype in ("float32", "float64"), described,
        f"computes in {layer.compute_dtype}; make the model in float32 and give it these weights, with set_weights",
    )  # fmt: skip
    _require(
        not getattr(layer, "lora_enabled", False), described,
        "has a LoRA besides its kernel; save the model and load it again, which merges them",
    )  # fmt: skip
    config, weights = layer.get_config(), layer.get_weights()
    if kind == "Dense":
        stack.dense(*_expected(weights, [True, config["use_bias"]], described))
        _activate(stack, config["activation"], described)
    elif kind == "Activation":
        _activate(stack, config["activation"], described)
    elif kind == "Dropout":
        _require(config.get("noise_shape") is None, described, "has a noise_shape; fastprop draws each element")
        stack.add(construct(described, Dropout, rate=config["rate"]))
    elif kind in NORMS:
        _normalize(stack, kind, config, weights, described)
    elif kind == "PReLU":
        (slope,) = _expected(weights, [True], described)[:1]
        _require(slope.ndim == 1, described, "shares slopes over axes that rows do not have; use one for each number")
        stack.activate("prelu", slope)
    elif kind in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
        stack.activate(_advanced(kind, config, described))
    else:
        raise TypeError(
            f"{described} has no counterpart in fastprop; use a Sequential of Dense, Activation, Dropout, "
            "BatchNormalization and LayerNormalization; replace a wrapper by the layer inside it, and apply other "
            "layers to X beforehand"
        )


def _require(right: bool, described: str, fault: str) -> None:
    if not right:
        raise ValueError(f"{described} {fault}")


def _expected(weights: list[np.ndarray], present: list[bool], described: str) -> list[Any]:
    """Return an array for each True of `present`, and None for each False."""
    wanted = sum(present)
    _require(
        len(weights) == wanted, described,
        f"holds {len(weights)} arrays, wanted {wanted}: build the model first, as with model.build((None, n_inputs)); "
        "a quantised one cannot be read",
    )  # fmt: skip
    arrays = iter(weights)
    return [next(arrays) if there else None for there in present]


def _normalize(stack: Stack, kind: str, config: dict, weights: list[np.ndarray], described: str) -> None:
    """Append a normalisation to a stack."""
    axes = np.ravel(config["axis"]).tolist()
    _require(axes in ([-1], [1]), described, f"is over the axis {config['axis']}, fastprop's is over the last: use -1")
    for choice in ("renorm", "rms_scaling"):
        _require(not config.get(choice), described, f"has {choice}=True, which fastprop's does not have")
    is_batch = kind == "BatchNormalization"
    arrays = _expected(weights, [config["scale"], config["center"]] + 2 * [True] * is_batch, described)
    known = [array for array in arrays if array is not None]
    n = len(known[0]) if known else stack.n_out
    _require(n is not None, described, "has no weights that say how many inputs there are; build the model first")
    neutral = np.ones(n or 0, int), np.zeros(n or 0, int)
    numbers = [default if array is None else array for array, default in zip(arrays, neutral)]
    if is_batch:
        layer = construct(described, BatchNorm, momentum=1 - config["momentum"], epsilon=config["epsilon"])
        stack.add(layer, *numbers, state=arrays[2:], n_in=n)
    else:
        stack.add(construct(described, LayerNorm, epsilon=config["epsilon"]), *numbers, n_in=n)


def _activate(stack: Stack, activation: Any, described: str) -> None:
    """Append an activation as ``get_config`` describes it."""
    if isinstance(activation, dict) and activation.get("class_name") in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
        stack.activate(_advanced(activation["class_name"], activation["config"], described))
    elif isinstance(activation, str) and activation in ACTIVATIONS:
        stack.activate(ACTIVATIONS[activation])
    else:
        name = activation if isinstance(activation, str) else activation.get("class_name")
        raise ValueError(f"{described} has an activation unknown here, {name}; use one of {', '.join(ACTIVATIONS)}")


def _advanced(kind: str, config: dict, described: str) -> Any:
    """Return the activation of a layer that is only an activation."""
    if kind == "Softmax":
        _require(np.ravel(config["axis"]).tolist() in ([-1], [1]), described, "is not over the last axis; use axis=-1")
        return "softmax"
    if kind == "ELU":
        return construct(described, _activations.parse("elu"), alpha=config["alpha"])
    slope = config["negative_slope"]
    if kind == "LeakyReLU":
        return construct(described, _activations.leaky_relu, slope=slope)
    most = config["max_value"]
    _require(config["threshold"] == 0, described, "has a threshold, which fastprop's relu does not have")
    _require(
        most is None or (most == 6 and slope == 0), described, "has a max_value; fastprop's relu6 has 6, and no slope"
    )
    if most is not None:
        return "relu6"
    return construct(described, _activations.leaky_relu, slope=slope) if slope else "relu"
