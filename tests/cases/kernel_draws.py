"""What the cases of all kernels are made of: sizes, random numbers, and what a case is."""

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
    """One call: its arguments, and of each output what the twin says and how far from it the kernel may be."""

    arguments: dict
    expected: dict
    bound: dict

    def sizes(self):
        """The arguments that are numbers, for messages."""
        return {name: value for name, value in self.arguments.items() if isinstance(value, int | float)}


class Drawer:
    """Random numbers as arrays of one dtype; what they are depends on nothing but the order of the calls."""

    def __init__(self, dtype):
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(0)
        self.eps = float(np.finfo(self.dtype).eps)
        self.tiny = float(np.finfo(self.dtype).tiny)

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype(self.dtype)

    def nan(self, *shape):
        """What an output holds before a kernel that must not read it."""
        return np.full(shape, np.nan, self.dtype)


def wide(array):
    """As float64, in which the twins reckon."""
    return None if array is None else array.astype(np.float64)
