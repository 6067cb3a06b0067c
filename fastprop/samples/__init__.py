"""Data that is small enough to be part of the package; README.md in this directory gives its source and licence."""

import io
from importlib import resources

import numpy as np

__all__ = ["load_digits"]


def load_digits():
    """Return the optical digits: 1797 handwritten digits of 8 x 8 pixels.

    Returns
    -------
    X : uint8 array (1797, 64)
        Pixels row by row, 0 (blank) to 16 (full).
    y : int64 array (1797,)
        The digit, 0 to 9.
    """
    data = io.BytesIO(resources.files(__name__).joinpath("digits.npz").read_bytes())
    with np.load(data, allow_pickle=False) as arrays:
        return arrays["X"], arrays["y"].astype(np.int64)
