"""`fastprop predict`: the target of every row of a table, by a model that `fastprop train` wrote."""

import csv
import io
import sys

from fastprop.cli._common import check_outputs, format_scores, note, one_line, predictions_of
from fastprop.io import output
from fastprop.tabular.csv import read_csv
from fastprop.tabular.model import TabularModel

__all__ = ["run"]


def run(args):
    """Predict the target of every row of a table."""
    check_outputs([("--out", args.out, True)], args.file, args.model)
    model = TabularModel.load(args.model)
    target = model.target
    table = read_csv(args.file)
    note(*table.notes, *model.encoder.remarks(table))
    extra = [name for name in table.names if name not in model.encoder.names and name != target.name]
    if extra:
        note("not used, as the model was trained without: " + ", ".join(map(repr, extra)))
    predictions = predictions_of(model, table)

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shown = target.texts(predictions, model.ensemble.networks[0].dtype)
    if target.task == "classification":
        writer.writerow(["prediction", *(f"probability_{name}" for name in target.classes)])
        for row, label in zip(shown, predictions.argmax(axis=1), strict=True):
            writer.writerow([target.classes[label], *row])
    else:
        writer.writerow(["prediction"])
        writer.writerows([number] for number in shown)
    if args.out == output.STDOUT:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    else:
        output.write(args.out, text.getvalue(), streams=True)
        print(f"{table.n_rows} predictions of {target.name!r}: {args.out}")
    if target.name in table.columns:
        _score(target, table, predictions)


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
