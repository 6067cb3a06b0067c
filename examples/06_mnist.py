"""MNIST: a 784-128-10 network reaches an accuracy of at least 0.955 after training on 8,000 images.

    python 06_mnist.py [FOLDER]

FOLDER holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST. The default is shared/data
next to the repository. The first 8,000 of these 10,000 images are for training, the last 2,000 for testing.
"""

import sys

import numpy as np
from digits import images

import fastprop as fp

GOAL = 0.955

X, y, X_test, y_test = images(sys.argv[1] if len(sys.argv) > 1 else None)

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
