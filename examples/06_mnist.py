"""Handwritten digits: 784-128-10, trained to 0.955 and more on 8,000 images.

    python 06_mnist.py [FOLDER]

FOLDER holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST (default: shared/data
beside the repository). Of these 10,000 images the first 8,000 train, the last 2,000 test.
"""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np

import fastprop as fp

FILES = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
GOAL = 0.955


def read_idx(path):
    """An IDX file of bytes: two zeros, 8 for uint8, how many dimensions, each size, the bytes."""
    with gzip.open(path) as file:
        zero, kind, n_dimensions = struct.unpack(">HBB", file.read(4))
        if (zero, kind) != (0, 8):
            sys.exit(f"{path} starts with {(zero, kind)}, wanted (0, 8): no IDX file of bytes")
        shape = struct.unpack(f">{n_dimensions}I", file.read(4 * n_dimensions))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data")
missing = [name for name in FILES if not (folder / name).exists()]
if missing:
    sys.exit(
        f"no {' and '.join(missing)} in {folder}: fetch the files of MNIST's test set from"
        f" https://github.com/cvdfoundation/mnist and give their folder as the argument"
    )

images, labels = (read_idx(folder / name) for name in FILES)
X = images.reshape(len(images), -1).astype(np.float32) / 255.0  # pixels in 0..1, an image per row
y = labels.astype(np.int64)
X_test, y_test = X[8000:], y[8000:]
X, y = X[:8000], y[:8000]

network = fp.Network([784, 128, 10], activation="relu", seed=0)
trainer = fp.Trainer(network, loss="cross_entropy", optimizer=fp.SGD(0.1, momentum=0.9))

print(f"784-128-10, {network.n_parameters:,} parameters, {len(X):,} images")
for epoch in range(1, 11):
    cost = trainer.epoch(X, y, batch_size=64)
    accuracy = np.mean(network(X_test).argmax(axis=1) == y_test)
    print(f"epoch {epoch:2}   cost {cost:.4f}   test accuracy {accuracy:.4f}")

if accuracy < GOAL:
    sys.exit(f"test accuracy {accuracy:.4f}, wanted at least {GOAL}")
print(f"{accuracy:.4f} of {len(X_test):,} unseen digits are recognised; the goal was {GOAL}")
