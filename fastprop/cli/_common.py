"""What several commands share: messages, checks of outputs, loading a model, predictions, and lines of progress."""

import math
import sys

import numpy as np

import fastprop as fp
from fastprop import _validation
from fastprop.io import model_file, output
from fastprop.tabular.encoders import Encoder, Target
from fastprop.training import progress

__all__ = [
    "EpochLines",
    "check_outputs",
    "describe_network",
    "format_scores",
    "load",
    "note",
    "one_line",
    "overflow_error",
    "predictions_of",
]


class EpochLines(fp.Callback):
    """Prints a line for the first epoch, the last one, and about `lines` epochs between them.

    Parameters
    ----------
    lines : int
    score : callable
        Returns the text that ends a line.
    """

    def __init__(self, lines, score):
        self.lines, self.score = lines, score

    def on_epoch_end(self, run):
        """Prints the line of an epoch, unless it is one of those that are passed over."""
        if run.epoch % math.ceil(run.epochs / self.lines) == 0 or run.epoch in (1, run.epochs):
            width = len(str(run.epochs))
            progress.say(f"epoch {run.epoch:{width}}/{run.epochs}  cost {run.cost:.5f}  {self.score()}".rstrip())


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
    for position, (option, path, streams) in enumerate(given):
        try:
            output.check(path, streams=streams)
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
    """Return the scores of predictions as text: four decimals, or six digits of very small and large ones."""
    scores = target.scores(predictions, values)
    return "  ".join(
        f"{name} {value:.4f}" if 0.001 <= abs(value) < 10 else f"{name} {value:,.6g}" for name, value in scores.items()
    )


def load(path):
    """Return the encoder, target and network of a model that `fastprop train` wrote."""
    net, notes = model_file.load(path), model_file.read_notes(path)
    if "table" not in notes:
        raise ValueError(
            f"{path} holds a network but no description of a table's columns; "
            "wanted a model that `fastprop train` wrote"
        )
    try:
        encoder = Encoder.from_dict(notes["table"]["encoder"])
        target = Target.from_dict(notes["table"]["target"])
        fits = (encoder.n_inputs, target.n_outputs) == (net.n_inputs, net.n_outputs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: the description of the table's columns is not one that fastprop "
            f"{fp.__version__} knows ({type(error).__name__}: {_validation.short(error)}); train again"
        ) from error
    if not fits:
        raise ValueError(
            f"{path}: the columns make {encoder.n_inputs} inputs and {target.n_outputs} outputs, "
            f"the network has {net.n_inputs} and {net.n_outputs}; train again"
        )
    return encoder, target, net


def predictions_of(net, encoder, target, table, X):
    """Return the predictions for every row, in the user's terms, or raise an error that names the cell that overflows.

    Parameters
    ----------
    net : Network
    encoder : Encoder
    target : Target
    table : Table
    X : ndarray, (rows, n_inputs)
        The inputs that `encoder` made of `table`.

    Returns
    -------
    ndarray, (rows,) or (rows, classes)
        As ``Target.decode`` returns it.
    """
    outputs = net(X)
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = target.decode(outputs)
    wrong = ~(np.isfinite(outputs).all(axis=1) & np.isfinite(predictions.reshape(len(outputs), -1)).all(axis=1))
    if wrong.any():
        if not np.isfinite(net.parameters).all():
            raise ValueError("the model has weights that are not finite, so it cannot predict; train again")
        raise overflow_error(encoder, table, X, int(wrong.argmax()))
    return predictions


def overflow_error(encoder, table, X, row):
    """Return the error for a row whose outputs overflow: it names the cell of the largest input."""
    cell = table.where(encoder.column_of(np.abs(X[row]).argmax()), row)
    return ValueError(f"{cell}, so far from the training rows that the network overflows; correct it")
