"""MNIST with batch norm, dropout and a cosine schedule: a 784-512-512-10 network reaches an accuracy of at least 0.972.

    python 07_mnist_recipe.py [FOLDER]

The data are those of 06_mnist.py: 8,000 images for training, 2,000 for testing. They are not augmented.
"""

import sys

from digits import images

import fastprop as fp

GOAL = 0.972

X, y, X_test, y_test = images(sys.argv[1] if len(sys.argv) > 1 else None)

EPOCHS, BATCH = 40, 64
steps = EPOCHS * len(X) // BATCH
network = fp.Network(
    [
        784,
        fp.Dense(512),
        fp.BatchNorm("relu"),
        fp.Dropout(0.4),
        fp.Dense(512),
        fp.BatchNorm("relu"),
        fp.Dropout(0.4),
        10,
    ],
    seed=0,
)
trainer = fp.Trainer(
    network, loss="cross_entropy", optimizer=fp.SGD(fp.schedules.Cosine(0.1, steps=steps), momentum=0.9)
)
for epoch in range(1, EPOCHS + 1):
    cost = trainer.epoch(X, y, batch_size=BATCH)
    if epoch % 5 == 0:
        accuracy = (network(X_test).argmax(axis=1) == y_test).mean()
        print(f"epoch {epoch:2}   rate {trainer.rate:.4f}   cost {cost:.4f}   test accuracy {accuracy:.4f}")

if accuracy < GOAL:
    sys.exit(f"test accuracy {accuracy:.4f}, wanted at least {GOAL}")
print(f"{accuracy:.4f} of {len(X_test):,} unseen digits are recognised; the goal was {GOAL}")
