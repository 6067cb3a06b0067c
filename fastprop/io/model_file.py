"""Write a network to one file, and read it back.

``fastprop.io.safetensors`` describes the layout. The arrays are layers.0.weight, layers.0.bias, ..., in the order of
the flat parameter vector, and then the state, if the network has any: numbers that are not trained. The metadata holds
the description of the network, and notes. Parameters keep every bit, NaN and infinity included, so that a network whose
training diverged can be saved and examined.
"""

import os

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop.io import safetensors
from fastprop.nn.network import Network

json = LazyModule("json")

__all__ = ["load", "load_networks", "read_notes", "save", "save_networks"]


def save(network, path, *, notes=None):
    """Write `network` to `path`. A file that is there is replaced in one step, or left as it was.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike
    notes : dict, optional
        Anything of your own that JSON can hold; `read_notes` returns it. Tuples come back as lists, keys as strings.
    """
    if not isinstance(network, Network):
        raise TypeError(f"got {type(network).__name__} to save, wanted a fastprop.Network")
    metadata = {"description": json.dumps(network.describe()), "notes": _notes_text(notes)}
    safetensors.write(path, safetensors.MODEL, metadata, _tensors(network, *network.snapshot()))


def save_networks(networks, path, *, shares=None, notes=None):
    """Internal: write several networks, and their shares in a mean, to one file; `load_networks` reads it."""
    metadata, tensors = {"notes": _notes_text(notes), "shares": json.dumps(shares)}, {}
    metadata["networks"] = json.dumps([network.describe() for network in networks])
    for k, network in enumerate(networks):
        named = _tensors(network, *network.snapshot())
        tensors |= {f"networks.{k}.{name}": array for name, array in named.items()}
    safetensors.write(path, safetensors.MODEL, metadata, tensors)


def _notes_text(notes):
    """Return notes as JSON, or raise an error that says what JSON cannot hold."""
    if notes is not None and not isinstance(notes, dict):
        raise TypeError(f"got {type(notes).__name__} as notes, wanted a dict that JSON can hold")
    try:
        return json.dumps(notes or {}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"the notes cannot be written as JSON ({error}); keep to dicts with string keys, "
            "lists, strings, finite numbers, True, False and None"
        ) from error


def load(path):
    """Read the network that `save` wrote to `path`.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    Network
        With the layers, dtype, seed, parameters and state of the network that was saved.

    Raises
    ------
    ValueError
        If the file is no model of fastprop, or is truncated, damaged, or of a newer format.
    """
    networks, _ = load_networks(path)
    if len(networks) > 1:
        raise ValueError(
            f"{os.fsdecode(path)} holds {len(networks)} networks, whose mean is the model; "
            "load them with fastprop.Ensemble.load(path)"
        )
    return networks[0]


def load_networks(path):
    """Internal: return the networks that `save_networks` or `save` wrote to `path`, a tuple, and their shares."""
    metadata, arrays = safetensors.read(path, safetensors.MODEL)
    name = os.fsdecode(path)
    networks, wanted = [], {}
    with safetensors.errors_named(name, f"; load it with fastprop {safetensors.writer(metadata)}, which wrote it"):
        several = "networks" in metadata
        described = json.loads(metadata["networks"]) if several else [json.loads(metadata["description"])]
        if not isinstance(described, list) or not described:
            raise ValueError("the networks of a file must be a list of at least one")
        shares = json.loads(metadata.get("shares", "null"))
        for k, description in enumerate(described):
            prefix = f"networks.{k}." if several else ""
            n_bytes = sum(array.nbytes for key, array in arrays.items() if key.startswith(prefix))
            network = described_network(description, n_bytes)
            networks.append(network)
            named = _tensors(network, network.parameters, network.state)
            wanted |= {prefix + key: view for key, view in named.items()}
    if _shapes(arrays) != _shapes(wanted):
        raise ValueError(
            f"{name}: the tensors in the file are not those of the network that it describes: got "
            f"{_validation.short(_shapes(arrays))}, wanted {_validation.short(_shapes(wanted))}; save the network again"
        )
    for key, view in wanted.items():
        view[...] = arrays[key]
    return tuple(networks), shares


def read_notes(path):
    """Read the notes that `save` kept beside the network in `path`.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    dict
        Empty if there were none.
    """
    metadata, _ = safetensors.read(path, safetensors.MODEL)
    with safetensors.errors_named(os.fsdecode(path)):
        notes = json.loads(metadata.get("notes", "{}"))
        if not isinstance(notes, dict):
            raise ValueError(f"the notes must be a JSON object, got {type(notes).__name__}")
    return notes


def described_network(description, n_bytes):
    """Return the network of a description, with all parameters and all state zero.

    Parameters
    ----------
    description : dict
        As ``Network.describe`` returns it.
    n_bytes : int
        How many bytes of parameters and state the file holds.

    Raises
    ------
    ValueError, TypeError
        If it is no description, or describes a network of another size. No memory has been taken for it then.
    """
    # A layer without parameters may be wider than the file is long. An Embedding of 2^24 columns takes 256 MB for them.
    most = max(n_bytes, 2**24)
    if _largest(description) > most:
        raise ValueError(f"it describes a layer of more than {most} numbers, which this file cannot hold")
    return Network.from_description(description, n_bytes=n_bytes)


def _largest(described):
    """Return the largest int in a description, seeds left out."""
    largest, left = 0, [described]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [each for key, each in value.items() if key != "seed"]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int):
            largest = max(largest, value)
    return largest


def _tensors(network, parameters, state):
    """Return the weights and biases of each layer as views of `parameters`, and the state, by their names in a file."""
    tensors, begin = {}, 0
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        middle, end = begin + weight.size, begin + weight.size + bias.size
        tensors[f"layers.{k}.weight"] = parameters[begin:middle].reshape(weight.shape)
        if bias.size:
            tensors[f"layers.{k}.bias"] = parameters[middle:end].reshape(bias.shape)
        begin = end
    if state.size:
        tensors["state"] = state
    return tensors


def _shapes(tensors):
    """Return the name, dtype and shape of each tensor as text."""
    return ", ".join(
        f"{name} {safetensors.DTYPES[array.dtype.name][0]} {list(array.shape)}" for name, array in tensors.items()
    )
