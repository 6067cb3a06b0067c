"""Call every kernel as a Python function, through its address in the table of an ISA and dtype.

The parameters are parsed from the C arguments of the list, so a new kernel needs nothing here. Each array is copied
between guards, and the padding between rows is a guard, too. A guard holds NaN with a payload that no arithmetic
produces: a kernel that writes there changes the bits, and one that reads there has NaN in its result.
"""

import ctypes
import os
import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastprop._core import _engine

# Bytes on either side: more than a tile's row, two vectors of 64 bytes. AddressSanitizer's own red zones see reads too,
# so under it (tools/sanitize sets its options) an array fills its block to the last byte.
GUARD = 0 if "ASAN_OPTIONS" in os.environ else 1024
CANARY = {4: 0x7FC0DEAD, 8: 0x7FF8DEADDEADDEAD}  # by the size of an element; quiet NaN where it is a float

SCALARS = {"I": ctypes.c_ssize_t, "int": ctypes.c_int, "double": ctypes.c_double}
ELEMENTS = {"double": np.float64, "int64_t": np.int64, "I": np.intp, "int": np.intc}


def usable_isas():
    """Return the names of the ISAs of this build that this CPU has, the slowest first."""
    return [name for name, supported in _engine.isas().items() if supported]


def exact_isas():
    """Return the ISAs that give the same bits: all but portable, which may have no FMA."""
    return [name for name in usable_isas() if name != "portable"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel, as C declares it."""

    name: str
    type: str
    pointer: bool
    const: bool


def parse(arguments):
    """Return the parameters of a list such as "(T *a, const T *x, I rows)"."""
    declared = re.fullmatch(r"\((.*)\)", arguments)[1].split(",")
    parameters = []
    for text in declared:
        match = re.fullmatch(r"\s*(const )?(\w+) (\*?)(\w+)\s*", text)
        if match is None:
            raise ValueError(f"got {text!r} in {arguments!r}, wanted `[const ]type [*]name`; teach parse() this form")
        parameters.append(Parameter(match[4], match[2], bool(match[3]), bool(match[1])))
    return parameters


@dataclass(frozen=True)
class Same:
    """Stands for the array of another argument, for calls in place."""

    name: str


class Guarded:
    """A copy of an array between guards, with `padding` elements between rows, `offset` elements off alignment."""

    def __init__(self, array, *, padding=0, offset=0):
        if array.ndim == 2:
            shape, self.row = array.shape, array.shape[1] + padding
        else:
            shape, self.row = (1, array.size), array.size
        size = array.itemsize
        span = ((shape[0] - 1) * self.row + shape[1]) * size if array.size else 0
        slack = 64 if GUARD else 0
        block = np.empty(slack + GUARD + offset * size + span + GUARD, np.uint8)
        skip = -block.ctypes.data % slack if slack else 0
        self.bits = block[skip : block.size - slack + skip].view(f"u{size}")
        self.bits[:] = CANARY[size]
        first = GUARD // size + offset
        # the rows are a strided view of the block; all other elements are guards
        self.window = np.ndarray(shape, array.dtype, self.bits, first * size, (self.row * size, size))
        self.window[:] = array.reshape(shape)
        self.address = self.bits.ctypes.data + first * size
        self.shape = array.shape
        self.before = self.bits.copy()
        self.first = first

    def changed_outside(self):
        """Return the offsets, from the first element, of the elements outside the array that were written."""
        changed = self.bits != self.before
        np.ndarray(self.window.shape, bool, changed, self.first, (self.row, 1))[:] = False
        return np.flatnonzero(changed) - self.first

    def changed(self):
        """Return whether any bit has changed."""
        return not np.array_equal(self.bits, self.before)

    def values(self):
        """Return the current content of the array."""
        return self.window.reshape(self.shape).copy()


class Kernel:
    """A kernel of one table; it is called with its C arguments as keywords."""

    def __init__(self, name, arguments, address, dtype):
        self.name, self.dtype = name, np.dtype(dtype)
        self.parameters = parse(arguments)
        types = [ctypes.c_void_p if p.pointer else SCALARS[p.type] for p in self.parameters]
        self.raw = ctypes.CFUNCTYPE(None, *types)(address)

    def __call__(self, *, padding=0, offset=0, **arguments):
        """Call the kernel with copies of the arrays between guards; return the arrays that it may write, by name.

        A stride such as `x_stride` follows from x and `padding`. A pointer that is left out or None is NULL.
        """
        known = {p.name for p in self.parameters}
        assert set(arguments) <= known, f"{self.name} has no {set(arguments) - known}"
        buffers = {}
        for p in self.parameters:
            array = arguments.get(p.name)
            if p.pointer and array is not None and not isinstance(array, Same):
                wanted = self.dtype if p.type == "T" else np.dtype(ELEMENTS[p.type])
                assert array.dtype == wanted, f"{self.name}: got {p.name} of {array.dtype}, wanted {wanted}"
                strided = f"{p.name}_stride" in known
                buffers[p.name] = Guarded(array, padding=padding if strided else 0, offset=offset)
        for name, array in arguments.items():
            if isinstance(array, Same):
                buffers[name] = buffers[array.name]
        self.raw(*(self.value(p, arguments, buffers) for p in self.parameters))
        return self.checked(buffers)

    def value(self, p, arguments, buffers):
        """Return the value that C gets for a parameter."""
        if p.pointer:
            return buffers[p.name].address if p.name in buffers else None
        if p.name.endswith("_stride") and p.name not in arguments:
            array = p.name.removesuffix("_stride")
            return buffers[array].row if array in buffers else 0
        return arguments[p.name]

    def checked(self, buffers):
        """Return what was written, after checking that nothing else was."""
        written = {p.name: buffers[p.name] for p in self.parameters if p.name in buffers and not p.const}
        for name, buffer in buffers.items():
            outside = buffer.changed_outside()
            assert outside.size == 0, f"{self.name} wrote outside {name}{buffer.shape}, at elements {outside[:8]}"
            read_only = not any(buffer is other for other in written.values())
            assert not (read_only and buffer.changed()), f"{self.name} wrote to its input {name}{buffer.shape}"
        return {name: buffer.values() for name, buffer in written.items()}


@cache
def kernels_of(isa, dtype):
    """Return every kernel of the list, by name."""
    addresses = _engine.kernel_addresses(isa, dtype)
    for other in usable_isas():
        if other != isa:
            there = _engine.kernel_addresses(other, dtype)
            assert addresses["dense_forward"] != there["dense_forward"], f"{isa} and {other} are one table"
    return {name: Kernel(name, args, addresses[name], dtype) for name, _, args in _engine.signatures()}
