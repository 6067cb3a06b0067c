"""Random numbers of the playground, which can be given again bit for bit outside Python, where the page has an engine.

They are those of ``src_c/random.h``: the i-th number is a function of seed, stream and i.
"""

from math import prod

import numpy as np

POINTS, WEIGHTS = 2, 3  # streams; 1 is the engine's stream of shuffles
SUMMED = 12  # uniform numbers in a normal one: their sum has variance 1, since each has 1/12
_GOLDEN, _FIRST, _SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Random:
    """Draws numbers one after another.

    Parameters
    ----------
    seed : int
    stream : int
        Numbers of two streams are independent.
    """

    def __init__(self, seed: int, stream: int):
        key = _mix(np.array([seed], np.uint64) + _GOLDEN)
        key = _mix(key + np.array([stream], np.uint64) * _GOLDEN)
        self._key, self._drawn = _mix(key), 0  # the step, which would be added here, is 0

    def uniform(self, low: float, high: float, shape: int | tuple[int, ...]) -> np.ndarray:
        """Return numbers between low and high, float64 of this shape."""
        return low + (high - low) * ((self._draw(shape) + 0.5) / 2**32)

    def normal(self, mean: float, deviation: float, shape: int | tuple[int, ...]) -> np.ndarray:
        """Return numbers of nearly normal distribution, float64 of this shape, at most 6 deviations from the mean.

        Each is a sum of uniform numbers. That sum is exact, whereas mathematical libraries differ in the last bit of
        the logarithms and cosines of other methods.
        """
        parts = self._draw((*shape, SUMMED) if isinstance(shape, tuple) else (shape, SUMMED))
        return mean + deviation * ((parts.sum(axis=-1) + SUMMED // 2) / 2**32 - SUMMED // 2)

    def _draw(self, shape: int | tuple[int, ...]) -> np.ndarray:
        """Return the next integers from 0 to 2^32 - 1, int64 of this shape."""
        n = prod(shape) if isinstance(shape, tuple) else shape
        counters = np.arange(self._drawn + 1, self._drawn + n + 1, dtype=np.uint64)
        self._drawn += n
        return (_mix(self._key + counters * _GOLDEN) >> np.uint64(32)).astype(np.int64).reshape(shape)


def _mix(x: np.ndarray) -> np.ndarray:
    """Return the mixer of SplitMix64 of an array of uint64, whose products wrap around."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))
