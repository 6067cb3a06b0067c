"""`fastprop train`: a network learns to predict one column of a table from the others."""

import math
from pathlib import Path

import numpy as np

import fastprop as fp
from fastprop.cli._common import EpochLines, check_outputs, describe_network, format_scores, note, overflow_error
from fastprop.io import model_file
from fastprop.tabular.csv import read_csv
from fastprop.tabular.encoders import Encoder, Target, split_rows
from fastprop.training import progress

__all__ = ["run"]

LINES = 20  # the approximate number of lines about epochs, so that they fit on a terminal of 24 lines


def run(args):
    """Train on a table and write a model file."""
    out = f"{Path(args.file).stem}.safetensors" if args.out is None else args.out
    check_outputs([("--out", out, False), ("--report", args.page, True)], args.file)  # a model is read back: a file
    if args.page is not None:
        report = _report()
    table = read_csv(args.file)
    target = Target.recognise(table, args.target, args.task)
    values, known = target.encode(table)
    inputs = _input_names(table, args)
    rows = np.flatnonzero(known)
    labels = values[rows] if target.task == "classification" else None
    training, test = split_rows(rows, args.test_fraction, args.seed, labels)
    target = target.fitted(values[training])
    encoder = Encoder.fit(table, inputs, rows=training, categorical=args.categorical)
    X = encoder.transform(table, args.dtype)
    # Beyond this bound the product of two numbers overflows, and so may the outputs of the row.
    far = np.flatnonzero((np.abs(X[rows]) > np.sqrt(np.finfo(X.dtype).max)).any(axis=1))
    if len(far):
        raise overflow_error(encoder, table, X, rows[far[0]])
    y = target.standardise(values)
    _describe_table(table, target, encoder, (training, test), args)

    sizes = [encoder.n_inputs, *args.hidden, target.n_outputs]
    net = fp.Network(sizes, activation=args.activation, dtype=args.dtype, seed=args.seed)
    # An input that is 0 in every training row (a category or gap of the test rows alone) learns nothing. Weights of 0
    # keep it from changing a prediction, where random ones would add noise.
    net.weights[0][~X[training].any(axis=0)] = 0
    batch_size = args.batch_size or min(64, len(training))
    if batch_size > len(training):
        raise ValueError(
            f"got a batch size of {batch_size}, more than the {len(training)} training rows; "
            "give a smaller --batch-size"
        )
    steps_per_epoch = math.ceil(len(training) / batch_size)
    # 12,000 steps are enough for a table of thousands of rows. The bounds keep a small table from too few epochs, and
    # a large one from taking too long.
    epochs = args.epochs or min(max(math.ceil(12_000 / steps_per_epoch), 20), 300)
    rate = args.rate or (0.05 if target.task == "classification" else 0.01)
    print(
        f"network: {describe_network(net)}, {args.activation}, {net.dtype}; SGD, rate {rate:g}, "
        f"momentum {args.momentum:g}, batches of {batch_size}, seed {args.seed}"
    )

    def score(rows):
        return format_scores(target, target.decode(net(X[rows])), values[rows])

    loss = "cross_entropy" if target.task == "classification" else "half_mse"
    optimizer = fp.SGD(rate, momentum=args.momentum)
    try:
        history = net.fit(
            X[training],
            y[training],
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            validation=(X[test], y[test]) if args.page is not None and len(test) else None,  # for the report's curves
            callbacks=EpochLines(LINES, lambda: f"test {score(test)}" if len(test) else ""),
            progress=progress.bar() is not None,
        )
    except fp.DivergenceError as error:
        raise ValueError(
            f"training diverged at step {error.step}, and no model is written; "
            f"try --rate {rate / 10:g} instead of {rate:g}"
        ) from error
    steps, seconds = epochs * steps_per_epoch, sum(history["seconds"])
    print(f"trained: {steps} steps, {steps / seconds:,.0f} steps/s")
    unit = f", in the units of {target.name!r}" if target.task == "regression" else ""
    print(f"training rows: {score(training)}{unit}")
    if len(test):
        print(f"test rows:     {score(test)}{unit}{_baseline(target, values[training], values[test])}")
    notes = {"table": {"encoder": encoder.to_dict(), "target": target.to_dict()}}
    model_file.save(net, out, notes=notes)
    print(f"model: {out}  (fastprop predict {out} FILE.csv)")
    if args.page is not None:
        trained = report.Run(
            table=table,
            target=target,
            encoder=encoder,
            training=training,
            test=test,
            values=values,
            predictions=target.decode(net(X)),
            network=net,
            loss=loss,
            optimizer=optimizer,
            history=history,
            epochs=epochs,
            batch_size=batch_size,
            steps=steps,
            seconds=seconds,
        )
        report.write(trained, args.page)
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


def _input_names(table, args):
    """Return the columns to learn from, after a check of every column that the user named."""
    for option, names in (("--ignore", args.ignore), ("--categorical", args.categorical)):
        for name in names:
            table.column(name)
            if name == args.target:
                raise ValueError(f"{option} {name!r} is the target; give another column, or none")
    ignored = {args.target, *args.ignore}
    return [name for name in table.names if name not in ignored]


def _describe_table(table, target, encoder, split, args):
    """Print what the table holds and how it is used; what the user may not expect is a note."""
    training, test = split
    print(f"table: {table.path}, {table.n_rows} rows, {len(table.names)} columns")
    other = "regression" if target.task == "classification" else "classification"
    is_text = bool(table.numbers(target.name)[1])
    change = "" if is_text or args.task != "auto" else f"; --task {other} to change that"
    print(f"task: {target.task} of {target.name!r} ({target.reason}{change})")
    if target.task == "classification":
        shown = ", ".join(target.classes[:10]) + (", ..." if len(target.classes) > 10 else "")
        print(f"classes: {len(target.classes)} ({shown})")
    kinds = [type(column).__name__.lower() for column in encoder.columns]
    print(
        f"inputs: {encoder.n_inputs}, from {kinds.count('numeric')} numeric and "
        f"{kinds.count('categorical')} categorical columns"
    )
    gaps = [column.name for column in encoder.columns if column.gaps]
    if gaps:
        shown = ", ".join(f"{name!r} {int(table.gaps(name).sum())}" for name in gaps)
        print(f"gaps: {shown}; in a column of numbers the median is used, and another input marks a gap")
    print(f"split: {len(training)} training rows, {len(test)} test rows (seed {args.seed})")
    note(*table.notes, *encoder.notes, *encoder.remarks(table))
    if len(training) + len(test) < table.n_rows:
        missing = table.n_rows - len(training) - len(test)
        note(f"{missing} of the rows have no {target.name!r} and are left out")


def _baseline(target, training, test):
    """Return the accuracy of a guess that uses no column, for comparison; R2 is such a comparison already."""
    if target.task == "regression":
        return ""
    guess = target.guess(training, len(test))
    return f"  (always {target.classes[guess[0].argmax()]!r}: {target.scores(guess, test)['accuracy']:.4f})"
