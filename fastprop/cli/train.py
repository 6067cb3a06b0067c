"""`fastprop train`: networks learn to predict one column of a table from the others."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fastprop.cli._common import check_outputs, format_scores, note
from fastprop.tabular.csv import read_csv
from fastprop.tabular.model import TabularModel
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.target import Target, split_rows

__all__ = ["run"]


def run(args):
    """Train on a table and write a model file."""
    out = f"{Path(args.file).stem}.safetensors" if args.out is None else args.out
    check_outputs([("--out", out, False), ("--report", args.page, True)], args.file)  # a model is read back: a file
    if args.page is not None:
        report = _report()
    table = read_csv(args.file)
    target = Target.recognise(table, args.target, args.task)
    values, known = target.encode(table)
    _check_columns(table, args)
    rows = np.flatnonzero(known)
    labels = values[rows] if target.task == "classification" else None
    training, test = split_rows(rows, args.test_fraction, args.seed, labels)
    recipe = Recipe.of(args.effort, target.task)
    if args.members is not None:
        recipe = replace(recipe, members=args.members)
    known_table = table.take(training)
    schema = Schema.infer(known_table, exclude=(target.name, *args.ignore), categorical=args.categorical)
    _describe_table(table, target, schema, (training, test), args)
    model = TabularModel.fit(known_table, values[training], target, schema=schema, recipe=recipe, seed=args.seed)
    target = model.target
    note(*(each for each in model.encoder.notes if each not in schema.notes))
    networks = model.ensemble.networks
    size = f"{len(networks)} networks of {networks[0].n_parameters:,} parameters"
    print(f"trained: {size}, effort {args.effort}, seed {args.seed}")
    unit = f", in the units of {target.name!r}" if target.task == "regression" else ""
    if len(test):
        scored, predictions, what = test, model.predict(table.take(test)), "test rows:    "
    else:
        # Each row is scored by the network that did not see it.
        seen = np.isfinite(model.held_out).all(axis=1)
        scored, predictions, what = training[seen], target.decode(model.held_out[seen]), "held-out rows:"
    if len(scored):
        baseline = _baseline(target, values[training], values[scored])
        print(f"{what} {format_scores(target, predictions, values[scored])}{unit}{baseline}")
    model.save(out)
    print(f"model: {out}  (fastprop predict {out} FILE.csv)")
    if args.page is not None:
        report.write(report.Run(table, model, training, scored, values, predictions, args.effort), args.page)
        print(f"report: {args.page}")


def _report():
    """Return the module of reports, or raise an error that says how to install what it needs."""
    from fastprop.cli import report  # imported here, since without --report nothing of it is needed
    from fastprop.plots import style

    try:
        style.require()
    except ImportError as error:
        raise ValueError(f"--report: {error}") from None
    return report


def _check_columns(table, args):
    """Check every column that the user named."""
    for option, names in (("--ignore", args.ignore), ("--categorical", args.categorical)):
        for name in names:
            table[name]  # refuses a name that is unknown
            if name == args.target:
                raise ValueError(f"{option} {name!r} is the target; give another column, or none")


def _describe_table(table, target, schema, split, args):
    """Print what the table holds and how it is used; what the user may not expect is a note."""
    training, test = split
    print(f"table: {table.path}, {table.n_rows} rows, {len(table.names)} columns")
    other = "regression" if target.task == "classification" else "classification"
    change = "" if "text" in target.reason or args.task != "auto" else f"; --task {other} to change that"
    print(f"task: {target.task} of {target.name!r} ({target.reason}{change})")
    if target.task == "classification":
        shown = ", ".join(target.classes[:10]) + (", ..." if len(target.classes) > 10 else "")
        print(f"classes: {len(target.classes)} ({shown})")
    kinds = [column.kind for column in schema.columns]
    print("columns: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)))
    print(
        f"rows: {len(training)} for training" + (f", {len(test)} for the test (seed {args.seed})" if len(test) else "")
    )
    note(*table.notes, *schema.notes)
    if len(training) + len(test) < table.n_rows:
        missing = table.n_rows - len(training) - len(test)
        note(f"{missing} of the rows have no {target.name!r} and are left out")


def _baseline(target, training, test):
    """Return the accuracy of a guess that uses no column, for comparison; R2 is such a comparison already."""
    if target.task == "regression":
        return ""
    guess = target.guess(training, len(test))
    return f"  (always {target.classes[guess[0].argmax()]!r}: {target.scores(guess, test)['accuracy']:.4f})"
