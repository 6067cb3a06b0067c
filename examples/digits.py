"""Loads the test set of MNIST for the examples: the first 8,000 images for training, the last 2,000 for testing."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np

FILES = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def read_idx(path):
    """Return the array of an IDX file: two zeros, 8 for uint8, the number of dimensions, their sizes, the bytes."""
    with gzip.open(path) as file:
        zero, kind, n_dimensions = struct.unpack(">HBB", file.read(4))
        if (zero, kind) != (0, 8):
            sys.exit(f"{path} starts with {(zero, kind)}, wanted (0, 8): this is not an IDX file of bytes")
        shape = struct.unpack(f">{n_dimensions}I", file.read(4 * n_dimensions))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def images(folder=None):
    """Return X, y for training and X, y for testing, with an image per row and pixels from 0 to 1."""
    folder = Path(folder or Path(__file__).parents[2] / "shared" / "data")
    missing = [name for name in FILES if not (folder / name).exists()]
    if missing:
        sys.exit(
            f"no {' and '.join(missing)} in {folder}: fetch the files of MNIST's test set from"
            f" https://github.com/cvdfoundation/mnist and give their folder as the argument"
        )
    pictures, labels = (read_idx(folder / name) for name in FILES)
    X = pictures.reshape(len(pictures), -1).astype(np.float32) / 255.0
    y = labels.astype(np.int64)
    return X[:8000], y[:8000], X[8000:], y[8000:]
