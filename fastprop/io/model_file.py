"""Write a network to one file, and read it back.

The layout is safetensors, so every tool of that format can read the numbers::

    8 bytes    length of the header, little-endian
    header     JSON, padded with spaces to a multiple of 8: the dtype, shape and place of each
               tensor, and ``__metadata__``
    data       the network's flat parameter vector, layers.0.weight, layers.0.bias, ...; then its
               state, if it has one: numbers that are not trained

``__metadata__`` begins with a SHA-256 of the whole file, taken with the checksum's own digits as
zeros, so a truncated file or a single flipped bit is refused. Parameters are kept bit for bit, NaN
and infinity included: a network that went wrong can be saved and looked at. Nothing in a file is
ever executed.
"""

import contextlib
import os

import numpy as np

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop._version import __version__
from fastprop.io import output
from fastprop.nn.network import Network

json, hashlib = LazyModule("json"), LazyModule("hashlib")

__all__ = ["load", "read_notes", "save"]

FORMAT = "fastprop"
CHECKPOINT = "fastprop-checkpoint"
KINDS = {  # of files, and where each belongs
    FORMAT: "a model file, for fastprop.load",
    CHECKPOINT: "a checkpoint of a training, for fastprop.load_checkpoint",
}
FORMAT_VERSION = 1
MAX_HEADER = 100_000_000  # bytes; the safetensors package refuses longer ones too

# The checksum comes first in the header, in every format version: it is found without parsing.
_PREFIX = b'{"__metadata__":{"checksum":"'
_DIGITS = 64
_ZEROS = b"0" * _DIGITS
_DIGITS_AT = slice(len(_PREFIX), len(_PREFIX) + _DIGITS)  # within the header

_DTYPES = {"float32": ("F32", "<f4"), "float64": ("F64", "<f8"), "int64": ("I64", "<i8")}


def save(network, path, *, notes=None):
    """Write `network` to `path`. A file that is there is replaced in one step, or left whole.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike
    notes : dict, optional
        Anything of your own that JSON can hold; `read_notes` returns it. Tuples come back as lists,
        keys as strings.
    """
    if not isinstance(network, Network):
        raise TypeError(f"got {type(network).__name__} to save, wanted a fastprop.Network")
    header = _header(network, notes)
    numbers = np.concatenate(network._numbers())
    _write_sealed(path, header, numbers.astype(_DTYPES[network.dtype.name][1], copy=False).data.cast("B"))


def load(path):
    """Read the network that `save` wrote to `path`.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    Network
        Of the same layers, dtype, seed and parameters.

    Raises
    ------
    ValueError
        The file is no model of fastprop, or is truncated, damaged, or of a newer format.
    """
    metadata, tensors, data = _read(path)
    name = os.fsdecode(path)
    with understood(name, f"; load it with fastprop {_writer(metadata)}, which wrote it"):
        network = described_network(json.loads(metadata["description"]), len(data))
    layout = _layout(network)
    if tensors != layout:
        raise ValueError(
            f"{name}: the tensors in the file are not those of the network that it describes: "
            f"got {_shapes(tensors)}, wanted {_shapes(layout)}; save the network again"
        )
    numbers = np.frombuffer(data, dtype=_DTYPES[network.dtype.name][1])
    network.parameters[...], network.state[...] = np.split(numbers, [network.n_parameters])
    return network


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
    metadata, _, _ = _read(path)
    with understood(os.fsdecode(path)):
        notes = json.loads(metadata.get("notes", "{}"))
        if not isinstance(notes, dict):
            raise ValueError(f"the notes must be a JSON object, got {type(notes).__name__}")
    return notes


@contextlib.contextmanager
def understood(name, advice=""):
    """Whatever may come of a description that nobody of good will wrote is a ValueError with the name of the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        if name in str(error):
            raise
        raise ValueError(
            f"{name}: this version of fastprop cannot build what it describes "
            f"({type(error).__name__}: {_validation.short(error)}){advice}"
        ) from error


def described_network(description, n_bytes):
    """Return the network of a description that came with so many bytes of parameters and state, all of them zero.

    Raises
    ------
    ValueError, TypeError
        If it is no description, or one of another size: then before any memory is taken for it.
    """
    # A layer without parameters may be wider than the file is long. So wide an Embedding takes 256 MB for its columns.
    most = max(n_bytes, 2**24)
    if _largest(description) > most:
        raise ValueError(f"it describes a layer of more than {most} numbers, which this file cannot hold")
    return Network.from_description(description, n_bytes=n_bytes)


def _largest(described):
    """The largest int in a description, but for seeds."""
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


def write_tensors(path, kind, metadata, arrays):
    """Write arrays to a safetensors file with the same checksum as a model's, in the same way.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str
        What ``read_tensors`` is to ask for.
    metadata : dict of str to str
    arrays : dict of str to ndarray
        Of float32, float64 or int64.
    """
    tensors, parts, end = {}, [], 0
    for name, array in arrays.items():
        code, stored = _DTYPES[array.dtype.name]
        part = np.ascontiguousarray(array, stored).tobytes()
        tensors[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [end, end + len(part)]}
        parts.append(part)
        end += len(part)
    header = _sealed({"format": kind, **metadata}, tensors)
    if len(header) > MAX_HEADER:
        raise ValueError(f"got {len(header)} bytes of metadata, wanted at most {MAX_HEADER}")
    _write_sealed(path, header, b"".join(parts))


def read_tensors(path, kind):
    """Read what ``write_tensors`` wrote.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str

    Returns
    -------
    metadata : dict of str to str
    arrays : dict of str to ndarray
        Read-only.

    Raises
    ------
    ValueError
        The file is of another kind, or is truncated, damaged, or of a newer format.
    """
    metadata, entries, data = _read(path, kind)
    dtypes = dict(_DTYPES.values())
    arrays, last = {}, 0
    try:
        for name, entry in entries.items():
            begin, end = entry["data_offsets"]
            if begin != last:
                raise ValueError("tensors overlap, or leave gaps")
            arrays[name] = np.frombuffer(data[begin:end], dtypes[entry["dtype"]]).reshape(entry["shape"])
            last = end
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        fault = f"its tensors are not where it says ({_validation.short(error)})"
        raise ValueError(f"{os.fsdecode(path)} is damaged: {fault}") from None
    return metadata, arrays


def _checksum(length, header, data):
    """Hex digits of the whole file's SHA-256, its own digits counted as zeros."""
    digest = hashlib.sha256(length)
    digest.update(header[: _DIGITS_AT.start] + _ZEROS + header[_DIGITS_AT.stop :])
    digest.update(data)
    return digest.hexdigest().encode("ascii")


def _layout(network):
    """Header entry of each tensor: in the order of the flat parameter vector, then the state."""
    dtype = _DTYPES[network.dtype.name][0]
    named = []
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        named.append((f"layers.{k}.weight", weight))
        if bias.size:
            named.append((f"layers.{k}.bias", bias))
    if network.state.size:
        named.append(("state", network.state))
    tensors, begin = {}, 0
    for name, array in named:
        end = begin + array.nbytes
        tensors[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    return tensors


def _writer(metadata):
    return _validation.short(metadata.get("fastprop_version", "(version unknown)"), 40)


def _shapes(tensors):
    return _validation.short(
        ", ".join(f"{name} {entry.get('dtype')} {entry.get('shape')}" for name, entry in tensors.items())
    )


def _header(network, notes):
    """The header as a bytearray, its checksum still zeros."""
    if notes is not None and not isinstance(notes, dict):
        raise TypeError(f"got {type(notes).__name__} as notes, wanted a dict that JSON can hold")
    try:
        notes_text = json.dumps(notes or {}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"the notes cannot be written as JSON ({error}); keep to dicts with string keys, "
            "lists, strings, finite numbers, True, False and None"
        ) from error
    metadata = {"format": FORMAT, "description": json.dumps(network.describe()), "notes": notes_text}
    header = _sealed(metadata, _layout(network))
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"got {len(notes_text)} bytes of notes, wanted at most {MAX_HEADER} for the whole "
            "header; keep large data in a file of its own"
        )
    return header


def _sealed(metadata, tensors):
    """A header as a bytearray: the metadata and what they all have, the checksum first, still zeros."""
    always = {
        "checksum": _ZEROS.decode("ascii"),
        "format": metadata["format"],
        "format_version": str(FORMAT_VERSION),
        "fastprop_version": __version__,
    }
    header = bytearray(json.dumps({"__metadata__": always | metadata, **tensors}, separators=(",", ":")), "ascii")
    header += b" " * (-len(header) % 8)
    return header


def _write_sealed(path, header, data):
    """Write the file of a header and data, its checksum put in."""
    length = len(header).to_bytes(8, "little")
    header[_DIGITS_AT] = _checksum(length, header, data)
    output.write(path, length, header, data)


def _read(path, kind=FORMAT):
    """Read and check a whole file of a kind: its metadata, the entries of its tensors, and their data."""
    name = _validation.path(path)
    _validation.regular_file(name, os.stat(name))
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = file.read(8)
        header = _read_header(file, name, size, length)
        entries = _parse(name, header)
        metadata = entries.pop("__metadata__", None)
        if (
            not header.startswith(_PREFIX)
            or not isinstance(metadata, dict)
            or metadata.get("format") not in tuple(KINDS)
        ):
            raise ValueError(
                f"{name} is a safetensors file that was not written by fastprop, or its header is "
                "damaged; read it with the safetensors package, and copy its tensors into the "
                "weights and biases of a fastprop.Network"
            )
        if metadata["format"] != kind:
            found = metadata["format"]
            raise ValueError(f"{name} is {KINDS[found]}, wanted {KINDS[kind]}")
        wanted = 8 + len(header) + _data_length(name, entries)
        if size != wanted:
            fault = "is truncated" if size < wanted else "has something appended"
            raise ValueError(
                f"{name} {fault}: got {size} bytes, wanted {wanted}; take another copy of it"
            )
        data = file.read()
    if header[_DIGITS_AT] != _checksum(length, header, data):
        raise ValueError(
            f"{name} is damaged: its content does not match its checksum; take another copy of it"
        )
    version = metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"{name} has format version {version!r:.40}, wanted {FORMAT_VERSION}; update fastprop to "
            f"{_writer(metadata)}, which wrote it, or newer"
        )
    return metadata, entries, data


def _read_header(file, name, size, length):
    if len(length) < 8:
        raise ValueError(
            f"{name} is not a model file, or is truncated: got {size} bytes, wanted at least 8"
        )
    wanted = int.from_bytes(length, "little")
    if wanted > MAX_HEADER:
        raise ValueError(
            f"{name} is not a safetensors file, or is damaged: it announces a header of {wanted} "
            f"bytes, wanted at most {MAX_HEADER}"
        )
    header = file.read(wanted) if wanted <= size - 8 else b""
    if len(header) < wanted:
        raise ValueError(
            f"{name} is truncated, or is not a safetensors file: got {size} bytes, "
            f"wanted {8 + wanted} for its header alone"
        )
    return header


def _parse(name, header):
    try:
        entries = json.loads(header.decode("utf-8")) if header.startswith(b"{") else None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        fault = (
            "is damaged"
            if header.startswith(_PREFIX)
            else "is not a safetensors file, or is damaged"
        )
        raise ValueError(
            f"{name} {fault}: its header is not a JSON object; take another copy of it"
        )
    return entries


def _data_length(name, entries):
    try:
        ends = [entry["data_offsets"][1] for entry in entries.values()]
        if not all(type(end) is int and 0 <= end < 2**63 for end in ends):
            raise TypeError
        return max(ends, default=0)
    except (TypeError, KeyError, IndexError):
        raise ValueError(
            f"{name} is damaged: its header does not say where its tensors lie"
        ) from None
