"""`fastprop predict`: the target of every row of a table, by a model that `fastprop train` or an estimator wrote."""

import csv
import io
import sys

import numpy as np

from fastprop.cli._common import check_finite, check_outputs, format_scores, note, one_line, read_table
from fastprop.io import output
from fastprop.tabular.model import TabularModel

__all__ = ["run"]

BLOCK = 50_000  # rows that are predicted and written at a time


def run(args):
    """Predict the target of every row of a table."""
    check_outputs([("--out", args.out, True)], args.file, args.model)
    model = TabularModel.load(args.model)
    target = model.target
    if args.probability_only and target.task == "regression":
        raise ValueError(f"--probability-only is for classes, and {target.name!r} is a number; leave it out")
    table = read_table(args.file)
    names = _id(args, model, table)
    note(*table.notes, *model.encoder.remarks(table))
    unused = {*model.encoder.names, target.name, names}
    extra = [name for name in table.names if name not in unused]
    if extra:
        note("not used, as the model was trained without: " + ", ".join(map(repr, extra)))
    parts, predictions = [], []
    for part, predicted in _written(model, table, names, args.probability_only):
        predictions.append(predicted)
        if args.out == output.STDOUT:
            sys.stdout.data(part)
        else:
            parts.append(part)
    if args.out == output.STDOUT:
        sys.stdout.flush()
    else:
        output.write(args.out, *parts, streams=True)
        print(f"{table.n_rows} predictions of {target.name!r}: {args.out}")
    if target.name in table.columns:
        _score(target, table, np.concatenate(predictions))


def _id(args, model, table):
    """Return the column that stands beside the predictions, or None."""
    if args.id is not None:
        table[args.id]  # refuses a name that is unknown
        return args.id
    if model.id is not None and model.id not in table.columns:
        note(f"{args.file} has no column {model.id!r}, which named the rows that the model was trained on")
        return None
    return model.id


def _written(model, table, names, probability_only):
    """Yield the lines of the rows, block by block, and their predictions; the first line names the columns."""
    target, dtype = model.target, model.ensemble.networks[0].dtype
    values, header = model.encoder.schema.read(table), [] if names is None else [names]
    header += [] if probability_only else ["prediction"]
    header += [f"probability_{name}" for name in target.classes] + [f"quantile_{level:g}" for level in target.levels]
    for start in range(0, table.n_rows, BLOCK):
        rows = slice(start, min(start + BLOCK, table.n_rows))
        block = [(each[0][rows], each[1]) if isinstance(each, tuple) else each[rows] for each in values]
        outputs = model.ensemble(model.encoder.encode(block, rows.stop - start))
        predictions = check_finite(target, outputs)
        columns = [] if names is None else [[table[names].cell(row) for row in range(start, rows.stop)]]
        shown = target.texts(predictions, dtype)
        if target.task == "classification":
            columns += [] if probability_only else [[target.classes[label] for label in predictions.argmax(axis=1)]]
            columns += zip(*shown, strict=True)
        else:
            columns.append(shown)
            columns += [target.texts(quantile, dtype) for quantile in target.decode_all(outputs).T if target.levels]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([*([] if start else [header]), *zip(*columns, strict=True)])
        yield text.getvalue(), predictions


def _score(target, table, predictions):
    """Note how good the predictions are, where the table holds the target."""
    try:
        values, known = target.encode(table)
    except ValueError as error:
        note(f"no scores: {one_line(error)}")
        return
    if known.any():
        scores = format_scores(target, predictions[known], values[known])
        note(f"the file holds {target.name!r} in {known.sum()} rows, and on those: {scores}")
