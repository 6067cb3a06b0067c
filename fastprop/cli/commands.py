"""What the commands of the command line do: results to the standard output, notes to the standard error.

Each takes the parsed arguments (cli.py says what they are); bad input is a ValueError or OSError.
"""

import contextlib
import csv
import functools
import importlib
import io
import math
import os
import platform
import re
import statistics
import sys
import time
import webbrowser
from pathlib import Path

import numpy as np

import fastprop as fp
from fastprop import _validation
from fastprop.io import model_file
from fastprop.io import output as _output
from fastprop.samples import load_digits, numpy_training
from fastprop.tabular.csv import read_csv
from fastprop.tabular.encoders import Encoder, Target, split_rows

__all__ = ["demo", "explain", "info", "one_line", "playground", "predict", "train"]


def demo(args):
    """Train on the digits of the package, then time the same training here and in NumPy."""
    sizes, rate, momentum, batch_size, n_test = [64, 128, 64, 10], 0.05, 0.9, 32, 360
    pixels, y = load_digits()
    X = np.divide(pixels, 16, dtype=np.float32)
    order = np.random.default_rng(args.seed).permutation(len(X))
    X_test, y_test = X[order[:n_test]], y[order[:n_test]]
    X, y = X[order[n_test:]], y[order[n_test:]]

    def new_trainer():
        net = fp.Network(sizes, activation="relu", seed=args.seed)
        optimizer = fp.SGD(rate, momentum=momentum)
        return fp.Trainer(net, loss="cross_entropy", optimizer=optimizer, seed=args.seed)

    def accuracy(net):
        return float((net(X_test).argmax(axis=1) == y_test).mean())

    trainer = new_trainer()
    net = trainer.network
    print(f"digits: {len(X)} images of 8 x 8 pixels to train on, {n_test} others to test with")
    print(f"network: {_shape(net)}, relu; SGD, rate {rate:g}, momentum {momentum:g}, ", end="")
    print(f"batches of {batch_size}, seed {args.seed}")
    _train_epochs(
        trainer,
        (X, y),
        epochs=args.epochs,
        batch_size=batch_size,
        lines=args.epochs,
        score=lambda: f"test accuracy {accuracy(net):.4f}",
    )
    right = round(accuracy(net) * n_test)
    print(f"test accuracy: {right / n_test:.4f} ({right} of {n_test})")

    n_runs = 5  # in turns, and the median, so that a busy moment of the machine hits neither side
    seconds = {"fastprop": [], "NumPy": []}
    for _ in range(n_runs):
        trainer = new_trainer()
        start = [w.copy() for w in trainer.network.weights]
        start_biases = [b.copy() for b in trainer.network.biases]
        begin = time.perf_counter()
        for _ in range(args.epochs):
            trainer.epoch(X, y, batch_size=batch_size)
        seconds["fastprop"].append(time.perf_counter() - begin)
        W, b, _, numpy_seconds = numpy_training.train(
            start,
            start_biases,
            X,
            y,
            epochs=args.epochs,
            batch_size=batch_size,
            rate=rate,
            momentum=momentum,
            seed=args.seed,
        )
        seconds["NumPy"].append(numpy_seconds)
    twin = fp.Network(sizes, activation="relu", seed=args.seed)
    for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
        twin.weights[k][...], twin.biases[k][...] = weight, bias
    print(f"the same training ({trainer.steps} steps from the same weights; median of {n_runs} runs):")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, network in (("fastprop", net), ("NumPy", twin)):
        version = f"{fp.__version__}, threads: {fp.get_num_threads()}"
        if name == "NumPy":
            version = f"{np.__version__}, with its own BLAS and threads"
        print(
            f"  {name:8}  {trainer.steps / medians[name]:9,.0f} steps/s  "
            f"test accuracy {accuracy(network):.4f}  ({version})"
        )
    slower, faster = sorted(medians, key=medians.get, reverse=True)
    ratio = medians[slower] / medians[faster]
    print(f"{faster} makes {ratio:.1f} times as many steps a second as {slower}")


def train(args):
    """Train on a table and write a model file."""
    out = f"{Path(args.file).stem}.safetensors" if args.out is None else args.out
    _check_outputs([("--out", out, False), ("--report", args.page, True)], args.file)  # a model is read back: a file
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
    # Beyond this the product of two numbers overflows, and so may all that the network computes of a row.
    far = np.flatnonzero((np.abs(X[rows]) > np.sqrt(np.finfo(X.dtype).max)).any(axis=1))
    if len(far):
        raise _too_far(encoder, table, X, rows[far[0]])
    y = target.standardise(values)
    _describe_table(table, target, encoder, (training, test), args)

    sizes = [encoder.n_inputs, *args.hidden, target.n_outputs]
    net = fp.Network(sizes, activation=args.activation, dtype=args.dtype, seed=args.seed)
    # An input that is 0 in every training row (a category or gap of the test rows alone) learns
    # nothing; from weights of 0 it says nothing either, where random ones would be noise.
    net.weights[0][~X[training].any(axis=0)] = 0
    batch_size = args.batch_size or min(64, len(training))
    if batch_size > len(training):
        raise ValueError(
            f"got a batch size of {batch_size}, more than the {len(training)} training rows; "
            "give a smaller --batch-size"
        )
    steps_per_epoch = math.ceil(len(training) / batch_size)
    # Enough steps for a table of thousands of rows, and neither too few for a small one nor too
    # long over a large one.
    epochs = args.epochs or min(max(math.ceil(12_000 / steps_per_epoch), 20), 300)
    rate = args.rate or (0.05 if target.task == "classification" else 0.01)
    print(
        f"network: {_shape(net)}, {args.activation}, {net.dtype}; SGD, rate {rate:g}, "
        f"momentum {args.momentum:g}, batches of {batch_size}, seed {args.seed}"
    )

    def score(rows):
        return _scores(target, target.decode(net(X[rows])), values[rows])

    history = {"epoch": [], "cost": []}

    def record(epoch, cost):
        history["epoch"].append(epoch)
        history["cost"].append(cost)
        if len(test):
            history.setdefault("test_cost", []).append(trainer.evaluate(X[test], y[test]))

    loss = "cross_entropy" if target.task == "classification" else "half_mse"
    optimizer = fp.SGD(rate, momentum=args.momentum)
    trainer = fp.Trainer(net, loss=loss, optimizer=optimizer, seed=args.seed)
    try:
        seconds = _train_epochs(
            trainer,
            (X[training], y[training]),
            epochs=epochs,
            batch_size=batch_size,
            lines=20,
            score=lambda: f"test {score(test)}" if len(test) else "",
            record=record if args.page is not None else None,
        )
    except fp.DivergenceError as error:
        raise ValueError(
            f"training diverged at step {error.step}, and no model is written; "
            f"try --rate {rate / 10:g} instead of {rate:g}"
        ) from error
    print(f"trained: {trainer.steps} steps, {trainer.steps / seconds:,.0f} steps/s")
    unit = f", in the units of {target.name!r}" if target.task == "regression" else ""
    print(f"training rows: {score(training)}{unit}")
    if len(test):
        print(f"test rows:     {score(test)}{unit}{_baseline(target, values[training], values[test])}")
    notes = {"table": {"encoder": encoder.to_dict(), "target": target.to_dict()}}
    model_file.save(net, out, notes=notes)
    print(f"model: {out}  (fastprop predict {out} FILE.csv)")
    if args.page is not None:
        run = report.Run(
            table=table,
            target=target,
            encoder=encoder,
            training=training,
            test=test,
            values=values,
            predictions=target.decode(net(X)),
            trainer=trainer,
            history=history,
            epochs=epochs,
            batch_size=batch_size,
            seconds=seconds,
        )
        report.write(run, args.page)
        print(f"report: {args.page}")


def predict(args):
    """Predict the target of every row of a table."""
    _check_outputs([("--out", args.out, True)], args.file, args.model)
    encoder, target, net = _load(args.model)
    table = read_csv(args.file)
    X = encoder.transform(table, net.dtype)
    _note(*table.notes, *encoder.remarks(table))
    extra = [n for n in table.names if n not in encoder.names and n != target.name]
    if extra:
        _note("not used, as the model was trained without: " + ", ".join(map(repr, extra)))
    predictions = _predictions(net, encoder, target, table, X)

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shown = target.texts(predictions, net.dtype)
    if target.task == "classification":
        writer.writerow(["prediction", *(f"probability_{name}" for name in target.classes)])
        for row, label in zip(shown, predictions.argmax(axis=1), strict=True):
            writer.writerow([target.classes[label], *row])
    else:
        writer.writerow(["prediction"])
        writer.writerows([number] for number in shown)
    if args.out == _output.STDOUT:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    else:
        _output.write(args.out, text.getvalue(), streams=True)
        print(f"{table.n_rows} predictions of {target.name!r}: {args.out}")
    if target.name in table.cells:
        _score_predictions(target, table, predictions)


def explain(args):
    """Show every number of the passes over one row of a table, and the chain rule of a quantity."""
    from fastprop.explain import html as trace_page  # imported here: no other command needs them
    from fastprop.explain import trace as tracing

    _check_outputs([("--out", args.page, True)], args.file, args.model)
    encoder, target, net = _load(args.model)
    table = read_csv(args.file)
    if args.row > table.n_rows:
        raise ValueError(f"--row must be from 1 to {table.n_rows}, the rows of {args.file}, got {args.row}")
    row = args.row - 1
    X = encoder.transform(table, net.dtype)
    values, known = target.encode(table)
    if not known[row]:
        raise ValueError(
            f"row {args.row} of {args.file} has no known {target.name!r}, and without one there is no loss; "
            "fill it in, or choose another --row"
        )
    loss = "cross_entropy" if target.task == "classification" else "half_mse"
    traced = tracing.trace(net, X[[row]], target.standardise(values)[[row]], loss=loss)
    decoded = _predictions(net, encoder, target, table, X)[row]
    prediction = target.classes[decoded.argmax()] if target.task == "classification" else target.number(decoded)
    truth = target.classes[values[row]] if target.task == "classification" else target.number(values[row])
    shown = str(traced.explain(args.quantity) if args.quantity else traced)
    print(f"row {args.row}, line {table.lines[row]}: {target.name} is {truth}, predicted {prediction}\n")
    print("\n".join(_described_inputs(encoder, table, row, X[row], args.quantity)), end="\n\n")
    print(shown)
    if args.page is not None:
        title = f"Row {args.row} of {Path(args.file).name}: {target.name} is {truth}, predicted {prediction}"
        trace_page.write(traced, args.page, names=encoder.input_names, title=title)
        print(f"\npage: {args.page}")


def info(args):
    """Say what serves on this machine."""
    fp.show_config()
    print(f"{'python:':14}{platform.python_version()} on {platform.platform()}")
    print(f"{'cores:':14}{os.cpu_count()}")
    print(f"{'installed in:':14}{Path(fp.__file__).parent}")


def playground(args):
    """Serve the playground until Ctrl-C."""
    from fastprop.playground.server import Server  # imported here: no other command needs an HTTP server
    from fastprop.playground.session import Session

    if args.port > 65535:
        raise ValueError(f"--port must be at most 65535, got {args.port}")
    session = Session(read_csv(args.file) if args.file else None)
    with Server(session, args.port) as server:
        print(f"playground: {server.address}")
        print("for this machine alone, and whoever has the address; Ctrl-C ends it", flush=True)
        if not args.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("playground: ended")


def _report():
    """The room of reports, whose pictures need matplotlib."""
    from fastprop.cli import report  # imported here: without --report nothing of it is needed
    from fastprop.plots import style

    try:
        style.require()
    except ImportError as error:
        raise ValueError(f"--report: {error}") from None
    return report


def _train_epochs(trainer, data, *, epochs, batch_size, lines, score, record=None):
    """Train with a progress bar and about `lines` lines; return the seconds of training alone.

    record(epoch, cost) is called after each epoch.
    """
    every = math.ceil(epochs / lines)
    n_rows, seconds = len(data[0]), 0.0
    with _bar(epochs * n_rows) as (update, say):
        for epoch in range(1, epochs + 1):
            progress = functools.partial(update, (epoch - 1) * n_rows)
            start = time.perf_counter()
            cost = trainer.epoch(*data, batch_size=batch_size, progress=progress)
            seconds += time.perf_counter() - start
            if not np.isfinite(trainer.network.parameters).all():
                raise fp.DivergenceError("a weight overflowed", step=trainer.steps)
            if record is not None:
                record(epoch, cost)
            if epoch % every == 0 or epoch in (1, epochs):
                width = len(str(epochs))
                say(f"epoch {epoch:{width}}/{epochs}  cost {cost:.5f}  {score()}".rstrip())
    return seconds


@contextlib.contextmanager
def _bar(total):
    """Yield update(done_before, rows_done, rows, cost) and say(line) of a bar on the terminal.

    With neither tqdm nor rich, or where the standard error is no terminal, lines are all there is.
    """
    is_terminal = sys.stderr.isatty()
    tqdm = _installed("tqdm") if is_terminal else None
    rich = _installed("rich.progress") if is_terminal and not tqdm else None
    if tqdm:
        with tqdm.tqdm(total=total, unit=" rows", unit_scale=True, leave=False) as bar:

            def update(before, done, rows, cost):
                bar.set_postfix_str(f"cost {cost:.4f}", refresh=False)
                bar.update(before + done - bar.n)

            yield update, functools.partial(bar.write, file=sys.stdout)
    elif rich:
        with rich.Progress(
            console=importlib.import_module("rich.console").Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        ) as bar:
            task = bar.add_task("training", total=total)

            def update(before, done, rows, cost):
                bar.update(task, completed=before + done, description=f"cost {cost:.4f}")

            yield update, print
    else:
        yield lambda before, done, rows, cost: None, print


def _installed(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _input_names(table, args):
    """Return the columns to learn from, after a look at every column that the user named."""
    for option, names in (("--ignore", args.ignore), ("--categorical", args.categorical)):
        for name in names:
            table.column(name)
            if name == args.target:
                raise ValueError(f"{option} {name!r} is the target; give another column, or none")
    ignored = {args.target, *args.ignore}
    return [name for name in table.names if name not in ignored]


def _describe_table(table, target, encoder, split, args):
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
        print(f"gaps: {shown}; the median stands in for a number, and an input says so")
    print(f"split: {len(training)} training rows, {len(test)} test rows (seed {args.seed})")
    _note(*table.notes, *encoder.notes, *encoder.remarks(table))
    if len(training) + len(test) < table.n_rows:
        missing = table.n_rows - len(training) - len(test)
        _note(f"{missing} of the rows have no {target.name!r} and are left out")


def _baseline(target, training, test):
    """Say what a guess without looking would score, so that an accuracy means something; R2 says it by itself."""
    if target.task == "regression":
        return ""
    guess = target.guess(training, len(test))
    return f"  (always {target.classes[guess[0].argmax()]!r}: {target.scores(guess, test)['accuracy']:.4f})"


def _predictions(net, encoder, target, table, X):
    """Return the predictions for every row, none of which overflowed."""
    outputs = net(X)
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = target.decode(outputs)
    wrong = ~(np.isfinite(outputs).all(axis=1) & np.isfinite(predictions.reshape(len(outputs), -1)).all(axis=1))
    if wrong.any():
        if not np.isfinite(net.parameters).all():
            raise ValueError("the model has weights that are not finite, so it cannot predict; train again")
        raise _too_far(encoder, table, X, int(wrong.argmax()))
    return predictions


def _too_far(encoder, table, X, row):
    """Return the error of a row of which the network can compute nothing, with the cell that is to blame."""
    cell = table.where(encoder.column_of(np.abs(X[row]).argmax()), row)
    return ValueError(f"{cell}, so far from the training rows that what the network computes overflows; correct it")


def _described_inputs(encoder, table, row, x, quantity):
    """Return lines that say which column each input of the network is from; of a quantity of one input, that one."""
    asked = re.match(r"(?:x|W1)\[(\d+)", (quantity or "").replace(" ", ""))
    if quantity:
        return [f"x[{asked[1]}] is {encoder.input_names[int(asked[1])]!r}"] if asked else []
    lines, place = ["inputs (those that are not listed are 0):"], 0
    for column in encoder.columns:
        lines.append(f"  column {column.name!r}, {table.cells[column.name][row]!r}:")
        for name, value in zip(column.input_names, x[place:].tolist()):
            if value:
                lines.append(f"    x[{place}] = {value:.6g}, {name}")
            place += 1
    return lines


def _score_predictions(target, table, predictions):
    try:
        values, known = target.encode(table)
    except ValueError as error:
        _note(f"no scores: {one_line(error)}")
        return
    if known.any():
        scores = _scores(target, predictions[known], values[known])
        _note(f"the file holds {target.name!r} in {known.sum()} rows, and on those: {scores}")


def _load(path):
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


def _check_outputs(outputs, *inputs):
    """Refuse, before the work and not after it, an output that cannot be written, or is an input or another output.

    Parameters
    ----------
    outputs : list of (str, str or None, bool)
        The option, the path that it names, if any, and whether a pipe or a device will do too.
    *inputs : str
    """
    given = [output for output in outputs if output[1] is not None]
    for position, (option, path, streams) in enumerate(given):
        try:
            _output.check(path, streams=streams)
        except (OSError, ValueError) as error:
            raise ValueError(f"{option} {one_line(error)}") from None
        for name in inputs:
            if path != _output.STDOUT and _output.same(path, name):
                raise ValueError(f"{option} {path} would overwrite the input {name}; give another name")
        if any(_output.same(path, taken) for _, taken, _ in given[:position]):
            raise ValueError(f"{option} {path} is the model file too; give another name")


def _note(*sentences):
    for sentence in sentences:
        print(f"fastprop: note: {sentence}", file=sys.stderr)


def _shape(net):
    sizes = [net.n_inputs, *(layer.n_outputs for layer in net.layers)]
    return f"{'-'.join(map(str, sizes))} ({net.n_parameters:,} parameters)"


def _scores(target, predictions, values):
    scores = target.scores(predictions, values)
    return "  ".join(
        f"{name} {value:.4f}" if 0.001 <= abs(value) < 10 else f"{name} {value:,.6g}" for name, value in scores.items()
    )


def one_line(error):
    """Return what an exception says, as a line for whoever sits at the terminal."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f"{error.filename}: "
        return f"{name}{error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this table and network"
    return _validation.short(" ".join(str(error).split()), 1000)
