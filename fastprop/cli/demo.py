"""`fastprop demo`: a network learns handwritten digits, and NumPy does the same training for comparison."""

import statistics
import time

import numpy as np

import fastprop as fp
from fastprop._util.text import number
from fastprop.cli._common import describe_network
from fastprop.samples import load_digits, numpy_training
from fastprop.training import progress

__all__ = ["run"]

SIZES, RATE, MOMENTUM, BATCH_SIZE, N_TEST = [64, 128, 64, 10], 0.05, 0.9, 32, 360
N_RUNS = 5  # of each side, in turns: the median leaves out the moments in which the machine was busy


class EpochLines(fp.Callback):
    """Prints a line for each epoch, with a star where the accuracy is the highest so far, and then which was the best.

    Parameters
    ----------
    score : callable
        Returns the accuracy.
    """

    def __init__(self, score):
        self.score, self.best = score, (-1.0, 0)

    def on_epoch_end(self, run):
        """Print the line of an epoch."""
        width, accuracy = len(str(run.epochs)), self.score()
        star = "  *" if accuracy > self.best[0] else ""
        self.best = max(self.best, (accuracy, run.epoch), key=lambda each: each[0])
        cost = number(run.cost, "7.5f")
        progress.say(f"epoch {run.epoch:{width}}/{run.epochs}  cost {cost}  test accuracy {accuracy:.4f}{star}")

    def on_train_end(self, run):
        """Print which epoch was the best."""
        progress.say("best (*): epoch {1}, test accuracy {0:.4f}".format(*self.best))


def run(args):
    """Train on the digits of the package, then time the same training in fastprop and in NumPy."""
    pixels, y = load_digits()
    X = np.divide(pixels, 16, dtype=np.float32)
    order = np.random.default_rng(args.seed).permutation(len(X))
    X_test, y_test = X[order[:N_TEST]], y[order[:N_TEST]]
    X, y = X[order[N_TEST:]], y[order[N_TEST:]]
    optimizer = fp.SGD(RATE, momentum=MOMENTUM)
    options = {"loss": "cross_entropy", "optimizer": optimizer, "epochs": args.epochs, "batch_size": BATCH_SIZE}

    def new_network():
        return fp.Network(SIZES, activation="relu", seed=args.seed)

    def accuracy(net):
        return float((net(X_test).argmax(axis=1) == y_test).mean())

    net = new_network()
    print(f"digits: {len(X)} images of 8 x 8 pixels to train on, {N_TEST} others to test with")
    print(f"network: {describe_network(net)}, relu; SGD, rate {RATE:g}, momentum {MOMENTUM:g}, ", end="")
    print(f"batches of {BATCH_SIZE}, seed {args.seed}")
    lines = EpochLines(lambda: accuracy(net))
    net.fit(X, y, **options, callbacks=lines, progress=progress.bar() is not None)
    right = round(accuracy(net) * N_TEST)
    print(f"test accuracy: {right / N_TEST:.4f} ({right} of {N_TEST})")

    seconds = {"fastprop": [], "NumPy": []}
    for _ in range(N_RUNS):
        timed = new_network()
        weights, biases = ([array.copy() for array in arrays] for arrays in (timed.weights, timed.biases))
        begin = time.perf_counter()
        timed.fit(X, y, **options)
        seconds["fastprop"].append(time.perf_counter() - begin)
        W, b, _, numpy_seconds = numpy_training.train(
            weights,
            biases,
            X,
            y,
            epochs=args.epochs,
            batch_size=BATCH_SIZE,
            rate=RATE,
            momentum=MOMENTUM,
            seed=args.seed,
        )
        seconds["NumPy"].append(numpy_seconds)
    twin = new_network()
    for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
        twin.weights[k][...], twin.biases[k][...] = weight, bias
    steps = args.epochs * -(-len(X) // BATCH_SIZE)
    print(f"the same training ({steps} steps from the same weights; median of {N_RUNS} runs):")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, network in (("fastprop", net), ("NumPy", twin)):
        version = f"{fp.__version__}, threads: {fp.get_num_threads()}"
        if name == "NumPy":
            version = f"{np.__version__}, with its own BLAS and threads"
        print(f"  {name:8}  {steps / medians[name]:9,.0f} steps/s  test accuracy {accuracy(network):.4f}  ({version})")
    slower, faster = sorted(medians, key=medians.get, reverse=True)
    ratio = medians[slower] / medians[faster]
    print(f"{faster} makes {ratio:.1f} times as many steps a second as {slower}")
