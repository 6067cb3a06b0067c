"""Arrays and text in one file, in the layout of safetensors, with a checksum over the whole.

Every tool that reads safetensors can read the arrays::

    8 bytes    the length of the header, little-endian
    header     JSON, padded with spaces to a multiple of 8: the dtype, shape and offsets of each array,
               and ``__metadata__``, which maps names to text
    data       the arrays, one after the other

``__metadata__`` begins with the SHA-256 of the whole file, computed with zeros in place of the digits of the checksum.
So a truncated file, or one with a single flipped bit, is refused. Nothing in a file is ever executed.
"""

import contextlib
import os

import numpy as np

from fastprop import _validation
from fastprop._util.lazy import LazyModule
from fastprop._version import __version__
from fastprop.io import output

json, hashlib = LazyModule("json"), LazyModule("hashlib")

__all__ = ["CHECKPOINT", "MODEL", "errors_named", "read", "write"]

MODEL = "fastprop"
CHECKPOINT = "fastprop-checkpoint"
KINDS = {  # what a file is, and which function reads it
    MODEL: "a model file, for fastprop.load",
    CHECKPOINT: "a checkpoint of a training, for fastprop.load_checkpoint",
}
FORMAT_VERSION = 1
MAX_HEADER = 100_000_000  # bytes; the safetensors package refuses longer headers too

# The checksum comes first in the header, in every format version, so that it is found without parsing.
PREFIX = b'{"__metadata__":{"checksum":"'
ZEROS = b"0" * 64
DIGITS_AT = slice(len(PREFIX), len(PREFIX) + len(ZEROS))  # within the header

DTYPES = {"float32": ("F32", "<f4"), "float64": ("F64", "<f8"), "int64": ("I64", "<i8")}


def write(path, kind, metadata, arrays):
    """Write arrays and text to a file. A file that is there is replaced in one step, or left as it was.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str
        The kind of file that ``read`` has to ask for, one of ``KINDS``.
    metadata : dict of str to str
    arrays : dict of str to ndarray
        Of float32, float64 or int64.

    Raises
    ------
    ValueError
        If the metadata is too long for the header.
    TypeError, OSError
        If the path is wrong, or the file cannot be written.
    """
    tensors, parts, begin = {}, [], 0
    for name, array in arrays.items():
        code, stored = DTYPES[array.dtype.name]
        end = begin + array.nbytes
        tensors[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
        parts.append(np.ascontiguousarray(array, stored).reshape(-1).view(np.uint8).data)
        begin = end
    described = {
        "checksum": ZEROS.decode("ascii"),
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "fastprop_version": __version__,
        **metadata,
    }
    header = bytearray(json.dumps({"__metadata__": described, **tensors}, separators=(",", ":")), "ascii")
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"got {len(header)} bytes of metadata, wanted at most {MAX_HEADER}; keep large data in a file of its own"
        )
    length = len(header).to_bytes(8, "little")
    header[DIGITS_AT] = checksum(length, header, *parts)
    output.write(path, length, header, *parts)


def read(path, kind):
    """Read the text and the arrays that ``write`` wrote.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str
        The kind of file that is wanted, one of ``KINDS``.

    Returns
    -------
    metadata : dict of str to str
    arrays : dict of str to ndarray
        Read-only, in the order of the file.

    Raises
    ------
    ValueError
        If the file is of another kind, truncated, damaged, or of a newer format.
    TypeError, OSError
        If the path is wrong, or the file cannot be read.
    """
    metadata, entries, data = _read_checked(path, kind)
    data, dtypes = memoryview(data), dict(DTYPES.values())
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


@contextlib.contextmanager
def errors_named(name, advice=""):
    """A context in which any error that a hostile description causes becomes a ValueError with the name of the file.

    Parameters
    ----------
    name : str
        The path of the file.
    advice : str, default ""
        What the message ends with.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        if name in str(error):
            raise
        raise ValueError(
            f"{name}: this version of fastprop cannot build what it describes "
            f"({type(error).__name__}: {_validation.short(error)}){advice}"
        ) from error


def writer(metadata):
    """Return the version of fastprop that wrote a file, for messages."""
    return _validation.short(metadata.get("fastprop_version", "(version unknown)"), 40)


def checksum(length, header, *parts):
    """Return the hexadecimal digits of the whole file's SHA-256, with zeros in place of the digits themselves."""
    digest = hashlib.sha256(length)
    digest.update(header[: DIGITS_AT.start] + ZEROS + header[DIGITS_AT.stop :])
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode("ascii")


def _read_checked(path, kind):
    """Return the metadata, the entries of the arrays and their data, after all checks of the file as a whole."""
    name = _validation.path(path)
    _validation.regular_file(name, os.stat(name))
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = file.read(8)
        header = _read_header(file, name, size, length)
        entries = _parse(name, header)
        metadata = entries.pop("__metadata__", None)
        if not header.startswith(PREFIX) or not isinstance(metadata, dict) or metadata.get("format") not in [*KINDS]:
            raise ValueError(
                f"{name} is a safetensors file that was not written by fastprop, or its header is "
                "damaged; read it with the safetensors package, and copy its tensors into the "
                "weights and biases of a fastprop.Network"
            )
        if metadata["format"] != kind:
            raise ValueError(f"{name} is {KINDS[metadata['format']]}, wanted {KINDS[kind]}")
        wanted = 8 + len(header) + _data_length(name, entries)
        if size != wanted:
            fault = "is truncated" if size < wanted else "has something appended"
            raise ValueError(f"{name} {fault}: got {size} bytes, wanted {wanted}; take another copy of it")
        data = file.read()
    if header[DIGITS_AT] != checksum(length, header, data):
        raise ValueError(f"{name} is damaged: its content does not match its checksum; take another copy of it")
    version = metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"{name} has format version {version!r:.40}, wanted {FORMAT_VERSION}; update fastprop to "
            f"{writer(metadata)}, which wrote it, or newer"
        )
    return metadata, entries, data


def _read_header(file, name, size, length):
    if len(length) < 8:
        raise ValueError(f"{name} is not a model file, or is truncated: got {size} bytes, wanted at least 8")
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
        fault = "is damaged" if header.startswith(PREFIX) else "is not a safetensors file, or is damaged"
        raise ValueError(f"{name} {fault}: its header is not a JSON object; take another copy of it")
    return entries


def _data_length(name, entries):
    try:
        ends = [entry["data_offsets"][1] for entry in entries.values()]
        if not all(type(end) is int and 0 <= end < 2**63 for end in ends):
            raise TypeError
        return max(ends, default=0)
    except (TypeError, KeyError, IndexError):
        raise ValueError(f"{name} is damaged: its header does not say where its tensors lie") from None
