"""What several commands share: messages, checks of outputs, scores and predictions."""

import sys

import numpy as np

from fastprop import _validation
from fastprop.io import output

__all__ = ["check_outputs", "describe_network", "format_scores", "note", "one_line", "predictions_of"]


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


def predictions_of(model, table):
    """Return the predictions of a model for every row of a table, as ``TabularModel.predict`` does, all finite.

    Raises
    ------
    ValueError
        If the model has weights that are not finite. The inputs are bounded, so that no cell makes it overflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = model.predict(table)
    if not np.isfinite(predictions).all():
        raise ValueError("the model has weights that are not finite, so it cannot predict; train again")
    return predictions
