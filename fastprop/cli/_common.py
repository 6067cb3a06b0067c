"""What several commands share: messages, checks of outputs, scores and predictions."""

import sys
import threading
import time

import numpy as np

from fastprop import _validation
from fastprop._util.text import wrapped
from fastprop.distributed import RankError
from fastprop.io import output, streams
from fastprop.tabular import readers
from fastprop.tabular.comparison import figure
from fastprop.tabular.scores import scores
from fastprop.training.progress import line
from fastprop.training.ranks import ALONE

__all__ = [
    "ERRORS",
    "StatusLine",
    "check_finite",
    "check_outputs",
    "describe_network",
    "format_scores",
    "note",
    "one_line",
    "read_table",
    "read_tables",
]

# What ends a command with one line: the user can do something about it.
ERRORS = (ValueError, OSError, FloatingPointError, MemoryError, RankError)


class StatusLine:
    """A line on the standard error that says what goes on: in a terminal it changes, elsewhere it comes again at times.

    Its methods may be called by several threads.
    """

    FIRST, EVERY, REFRESH = 2.0, 10.0, 0.1  # seconds: to the first line elsewhere, between such lines, between changes

    def __init__(self, first=FIRST):
        self._terminal = streams.Stream(sys.stderr).isatty()
        self._lock = threading.Lock()
        self._due = time.monotonic() + (0 if self._terminal else first)
        self._width = 0

    def say(self, *parts, first=()):
        """Show parts of a sentence, in a terminal those that fit, unless the last ones are new enough."""
        with self._lock:
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + (self.REFRESH if self._terminal else self.EVERY)
            if self._terminal:
                most = streams.width(sys.stderr) - 1
                text = line(parts, most, first, between=", ") or wrapped(parts[0], most)[0]
                print(f"\r{text.ljust(self._width)}", end="", file=sys.stderr, flush=True)
                self._width = len(text)
            else:
                print(", ".join(parts), file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)


def read_table(path):
    """Read a table, and show how far it is."""
    return read_tables([path], ALONE)


def read_tables(paths, ranks):
    """Read the table of several files, or this rank's share of it, and show how far it is."""
    with StatusLine(first=0.2) as line:  # sooner than of training, whose beginning has been announced

        def progress_of(path):
            return lambda rows, share: line.say(
                f"reading {path}: {rows:,} rows", *([] if share is None else [f"{share:.0%}"])
            )

        return readers.read_tables(paths, ranks, progress_of)


def one_line(error):
    """Return the message of an exception as one line for the terminal."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f"{error.filename}: "
        return f"{name}{error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this table and network"
    return _validation.short(" ".join(str(error).split()), 1000)


def note(*sentences):
    """Print sentences to the standard error, a line each."""
    for sentence in sentences:
        print(f"fastprop: note: {sentence}", file=sys.stderr)


def check_outputs(outputs, *inputs):
    """Refuse an output that cannot be written, or that is an input or another output, before the work begins.

    Parameters
    ----------
    outputs : list of (str, str or None, bool)
        For each output the option, the path that the user gave, if any, and whether a pipe or a device is allowed.
    *inputs : str
        The paths of the files that are read.
    """
    given = [each for each in outputs if each[1] is not None]
    for position, (option, path, streamed) in enumerate(given):
        try:
            output.check(path, streams=streamed)
        except (OSError, ValueError) as error:
            raise ValueError(f"{option} {one_line(error)}") from None
        for name in inputs:
            if path != output.STDOUT and output.same(path, name):
                raise ValueError(f"{option} {path} would overwrite the input {name}; give another name")
        if any(output.same(path, taken) for _, taken, _ in given[:position]):
            raise ValueError(f"{option} {path} is the model file too; give another name")


def describe_network(net):
    """Return the widths of a network and the number of its parameters, for people."""
    sizes = [net.n_inputs, *(layer.n_outputs for layer in net.layers)]
    return f"{'-'.join(map(str, sizes))} ({net.n_parameters:,} parameters)"


def format_scores(target, predictions, values):
    """Return the scores of predictions as text."""
    return "  ".join(f"{score.name} {figure(score.value)}" for score in scores(target, predictions, values))


def check_finite(target, outputs):
    """Return the predictions that outputs of networks mean, as ``Target.decode`` does, all finite.

    Raises
    ------
    ValueError
        If the model has weights that are not finite. The inputs are bounded, so that no cell makes it overflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = target.decode(outputs)
    if not np.isfinite(predictions).all():
        raise ValueError("the model has weights that are not finite, so it cannot predict; train again")
    return predictions
