"""Kernels of the NEON table as Python functions like those of kernels_ctypes.py, called in another process.

That process is replay.c, built and run under qemu-aarch64 by tools/neon. It gets the same buffers, guards and all, that
a kernel of this machine would get, and hands them back, so that tests cannot tell the difference.
"""

import struct
import subprocess

import numpy as np
from kernels_ctypes import Guarded, Kernel, parse

from fastprop._core import _engine

MOST_WORDS, MOST_DOUBLES = 18, 2
REQUEST = struct.Struct(f"<32s qq {MOST_WORDS}q {MOST_WORDS}q {MOST_DOUBLES}d q")  # struct request of replay.c


class Machine:
    """The running program."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, name, dtype, values, flush):
        """Calls a kernel with values as `NeonKernel.value` gives them; its buffers are then as the kernel left them."""
        buffers = list({id(value): value for value in values if isinstance(value, Guarded)}.values())
        words, places, doubles = [], [], []
        for value in values:
            if isinstance(value, float):
                doubles.append(value)
            elif isinstance(value, Guarded):
                words.append(value.address - value.bits.ctypes.data)
                places.append(next(i for i, buffer in enumerate(buffers) if buffer is value))
            else:
                words.append(0 if value is None else int(value))
                places.append(-1)
        words += [0] * (MOST_WORDS - len(words))
        places += [-1] * (MOST_WORDS - len(places))
        doubles += [0.0] * (MOST_DOUBLES - len(doubles))
        kind = int(dtype == np.float64)
        request = REQUEST.pack(name.encode(), kind, flush, *words, *places, *doubles, len(buffers))
        sizes = struct.pack(f"<{len(buffers)}q", *(buffer.bits.nbytes for buffer in buffers))
        self.process.stdin.write(b"".join([request, sizes, *(buffer.bits.tobytes() for buffer in buffers)]))
        self.process.stdin.flush()
        for buffer in buffers:
            answer = self.process.stdout.read(buffer.bits.nbytes)
            if len(answer) < buffer.bits.nbytes:
                raise RuntimeError(f"replay ended with status {self.process.wait()} in {name} for {dtype}")
            buffer.bits[:] = np.frombuffer(answer, buffer.bits.dtype)

    def close(self):
        """Ends it; it must have had nothing to complain of."""
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0


class NeonKernel(Kernel):
    """A kernel of the NEON table, to be called with its C arguments by name."""

    def __init__(self, machine, name, arguments, dtype, *, flush=False):
        self.name, self.dtype, self.parameters = name, np.dtype(dtype), parse(arguments)
        self.raw = lambda *values: machine.call(name, self.dtype, values, flush)

    def value(self, p, arguments, buffers):
        """What `Machine.call` gets for a parameter: a buffer where C gets its address."""
        if p.pointer:
            return buffers.get(p.name)
        value = super().value(p, arguments, buffers)
        return float(value) if p.type == "double" else value


def neon_kernels(machine, dtype, **options):
    """Name -> NeonKernel, for every one of the list."""
    return {name: NeonKernel(machine, name, args, dtype, **options) for name, _, args in _engine.signatures()}
