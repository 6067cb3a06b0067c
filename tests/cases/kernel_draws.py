"""What the cases of all kernels have in common: sizes, random numbers, and the class Case."""

from dataclasses import dataclass

import numpy as np

from fastprop._core import _engine

# vectors hold 4, 8 or 16 lanes; a tile is two vectors wide and 6 (avx2) or 14 (avx512) rows high
WIDTHS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33]
ROWS = [0, 1, 2, 5, 6, 7, 13, 14, 15, 29]
LENGTHS = sorted({*WIDTHS, 63, 64, 65, 1000})
HYPER = _engine.HYPER


@dataclass
class Case:
    """One call: its arguments, and for each output the result of the twin and how far the kernel may be from it."""

    arguments: dict
    expected: dict
    bound: dict

    def sizes(self):
        """Return the arguments that are numbers, for messages."""
        return {name: value for name, value in self.arguments.items() if isinstance(value, int | float)}


class Drawer:
    """Draws arrays of random numbers of one dtype, which depend on the order of the calls only."""

    def __init__(self, dtype):
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(0)
        self.eps = float(np.finfo(self.dtype).eps)
        self.tiny = float(np.finfo(self.dtype).tiny)

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype(self.dtype)

    def nan(self, *shape):
        """Return an array of NaN, for an output that a kernel must not read."""
        return np.full(shape, np.nan, self.dtype)


def wide(array):
    """Return the arrays as float64, in which the twins compute."""
    return None if array is None else array.astype(np.float64)
