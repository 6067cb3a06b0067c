"""The report of `fastprop train`: one HTML file that shows what was trained and how well it predicts.

The page loads nothing: it contains its style and its pictures, and all text from the user's table is escaped.
"""

import io
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fastprop import config
from fastprop._core import _engine
from fastprop._version import __version__
from fastprop.io import output
from fastprop.nn.network import Network
from fastprop.optim.optimizers import Optimizer
from fastprop.plots import style
from fastprop.plots.confusion import ConfusionMatrixDisplay
from fastprop.plots.curves import CurvesDisplay
from fastprop.plots.histograms import HistogramsDisplay
from fastprop.plots.predictions import PredictionErrorDisplay
from fastprop.tabular.csv import Table
from fastprop.tabular.encoders import Categorical, Encoder, Target, decimal

# How many rows, cells of a row, columns, and letters of a cell are shown, so that the page stays well below a megabyte.
ERRORS, CELLS, COLUMNS, LETTERS = 10, 12, 100, 80

WIDE = 9.6  # inches: the width of a picture that is as wide as the page
# Matplotlib writes this colour for text and axes. It is replaced by that of the page, which is light or dark.
PAGE_COLOUR = "#010203"
LOOK = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fastprop",  # so that equal runs give equal files
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], PAGE_COLOUR),
}


@dataclass(frozen=True)
class Run:
    """A training on a table, and its results.

    Attributes
    ----------
    table : Table
    target : Target
    encoder : Encoder
    training, test : integer arrays
        The numbers of the rows.
    values, predictions : ndarray
        For every row, in the units of the table, as ``Target.encode`` and ``Target.decode`` return them.
    network : Network
    loss : str
    optimizer : Optimizer
    history : dict of lists
        "epoch", "cost", and where there are test rows "validation_cost", which is their cost.
    epochs, batch_size, steps : int
    seconds : float
        The time of all epochs, the cost of the test rows after each included.
    """

    table: Table
    target: Target
    encoder: Encoder
    training: np.ndarray
    test: np.ndarray
    values: np.ndarray
    predictions: np.ndarray
    network: Network
    loss: str
    optimizer: Optimizer
    history: Mapping[str, list]
    epochs: int
    batch_size: int
    steps: int
    seconds: float

    @property
    def shown(self) -> np.ndarray:
        """The rows whose predictions are shown: the test rows, or the training rows if there are no test rows."""
        return self.test if len(self.test) else self.training


def write(run: Run, path: str | Path) -> None:
    """Write the report of a run to a file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    style.require()
    name = escape(run.target.name)
    title = f"{name}, from {escape(Path(run.table.path).name)}"
    shown = "test rows" if len(run.test) else "training rows, as no row was kept for a test"
    sections = [
        ("Scores", _scores(run)),
        ("Training", _svg("curves", (WIDE, 3.2), lambda ax: CurvesDisplay.from_history(_curves(run), ax=ax))),
        (f"Predictions of the {shown}", _predictions(run)),
        ("Largest errors", _errors(run)),
        ("What was trained", _facts(run)),
        ("Weights", _weights(run)),
        ("Columns", _columns(run)),
    ]
    body = "".join(f"<section><h2>{heading}</h2>{content}</section>\n" for heading, content in sections)
    page = PAGE.format(title=title, style=STYLE, summary=_summary(run), body=body, foot=_foot())
    output.write(path, page, streams=True)


# ---- sections ----


def _summary(run: Run) -> str:
    target = run.target
    kind = f"{len(target.classes)} classes" if target.task == "classification" else "a number"
    return (
        f"{kind}, predicted from {_count(len(run.encoder.columns), 'column')}; trained on "
        f"{_count(len(run.training), 'row')}, tested on {_count(len(run.test), 'other')}"
    )


def _curves(run: Run) -> dict[str, list]:
    """Return the costs over the epochs, under the name "test" that this page uses for the rows held out."""
    columns = {"epoch": "epoch", "cost": "cost", "validation_cost": "test_cost"}
    return {shown: run.history[name] for name, shown in columns.items() if name in run.history}


def _scores(run: Run) -> str:
    """Return a table of scores: those of the network, and those of a guess that uses no column."""
    target, known = run.target, run.values[run.training]
    guess = target.guess(known, 1)[0]
    if target.task == "classification":
        what = f"always {target.classes[guess.argmax()]}"
    else:
        what = f"always the mean, {target.number(guess)}"
    columns = {}
    for label, rows in (("test rows", run.test), ("training rows", run.training)):
        if len(rows):
            scores = target.scores(run.predictions[rows], run.values[rows])
            blind = target.scores(target.guess(known, len(rows)), run.values[rows])
            columns[label] = [(scores[each], blind[each]) for each in scores]
            names = list(scores)
    header = ["", *(f"{side}, {label}" for label in columns for side in ("network", "guess"))]
    listed = [
        [name, *(_figure(value) for pairs in columns.values() for value in pairs[k])] for k, name in enumerate(names)
    ]
    return _table(header, listed) + f"<p>The guess: {escape(_short(what))}, whatever the columns hold.</p>"


def _predictions(run: Run) -> str:
    rows, target = run.shown, run.target
    y, predicted = run.values[rows], run.predictions[rows]
    if target.task == "regression":
        return _svg(
            "errors",
            (WIDE, 4.2),
            lambda ax: PredictionErrorDisplay.from_predictions(y, predicted, name=target.name, ax=ax),
        )
    side = 4.6 if len(target.classes) <= 6 else 6.4
    return _svg(
        "confusion",
        (side, side),
        lambda ax: ConfusionMatrixDisplay.from_predictions(y, predicted, names=target.classes, ax=ax),
    )


def _errors(run: Run) -> str:
    """Return a table of the rows with the largest errors, with their cells."""
    rows, target = run.shown, run.target
    y, predicted = run.values[rows], run.predictions[rows]
    if target.task == "classification":
        size = 1 - predicted[np.arange(len(rows)), y]
        header = ["line", "true", "predicted", "probability of true"]
    else:
        size = np.abs(predicted - y)
        header = ["line", "true", "predicted", "true - predicted"]
    names = run.encoder.names[:CELLS]
    listed = []
    for k in np.argsort(-size, kind="stable")[:ERRORS]:
        if target.task == "classification":
            answer = target.classes[y[k]], target.classes[predicted[k].argmax()], _figure(predicted[k, y[k]])
        else:
            answer = target.number(y[k]), target.number(predicted[k]), target.number(y[k] - predicted[k])
        row = rows[k]
        listed.append([run.table.lines[row], *answer, *(run.table.cells[name][row] for name in names)])
    more = len(run.encoder.names) - len(names)
    note = f"<p>{_count(more, 'more column')} not shown.</p>" if more else ""
    return _table([*header, *names], listed) + note


def _facts(run: Run) -> str:
    net = run.network
    layers = [
        [k, layer, " x ".join(map(str, weight.shape)), weight.size + bias.size]
        for k, (layer, weight, bias) in enumerate(zip(net.layers, net.weights, net.biases), start=1)
    ]
    facts = {
        "task": f"{run.target.task} ({run.target.reason})",
        "loss": run.loss,
        "optimiser": run.optimizer,
        "training": f"{run.epochs} epochs, {run.steps:,} steps of {run.batch_size} rows, {run.seconds:.2f} s",
        "inputs": f"{net.n_inputs}, from {_count(len(run.encoder.columns), 'column')}",
        "parameters": f"{net.n_parameters:,}, {net.dtype}",
        "seed": net.seed,
    }
    rows = [[name, fact] for name, fact in facts.items()]
    return _table([], rows) + _table(["layer", "", "weights", "parameters"], layers)


def _columns(run: Run) -> str:
    rows = []
    for column in run.encoder.columns[:COLUMNS]:
        if isinstance(column, Categorical):
            encoding = f"one input each for {', '.join(column.categories[:8])}"
            encoding += ", ..." if len(column.categories) > 8 else ""
            encoding += "; one for any other"
        else:
            sign = "-" if column.mean >= 0 else "+"
            encoding = f"(x {sign} {decimal(abs(column.mean), column.scale, 4)}) / {style.number(column.scale)}"
            encoding += f"; {decimal(column.median, column.scale, 4)} at a gap" if column.gaps else ""
        encoding += "; one that is 1 at a gap" if column.gaps else ""
        rows.append([column.name, type(column).__name__.lower(), column.n_inputs, encoding])
    more = len(run.encoder.columns) - len(rows)
    notes = [*run.encoder.notes, *([f"{_count(more, 'more column')} not shown"] if more else [])]
    return _table(["column", "kind", "inputs", "encoding"], rows, letters=200) + "".join(
        f"<p>{escape(note)}.</p>" for note in notes
    )


def _weights(run: Run) -> str:
    net = run.network
    rows = -(-len(net.weights) // 3)
    return _svg("weights", (WIDE, 2.5 * rows), lambda ax: HistogramsDisplay.from_weights(net, ax=ax))


def _foot() -> str:
    parts = [
        f"fastprop {__version__}",
        f"NumPy {np.__version__}",
        f"Python {platform.python_version()}",
        f"{_engine.serving_isa()} kernels",
        _count(config.get_num_threads(), "thread"),
        platform.platform(),
    ]
    return escape(", ".join(parts))


# ---- parts of a page ----


def _svg(name: str, size: tuple[float, float], draw: Callable[[Any], object]) -> str:
    """Return a picture as SVG in the colours of the page; `name` makes its ids different from those of the others."""
    import matplotlib.style
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.style.context(["default", LOOK]):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(text, format="svg", metadata=nothing, dpi=144, bbox_inches="tight", pad_inches=0.05)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(PAGE_COLOUR, "currentColor")
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return f"<figure>{svg}</figure>"


def _table(header: Iterable[Any], rows: Iterable[Iterable[Any]], *, letters: int = LETTERS) -> str:
    """Return an HTML table of cells of any type, each shortened to `letters`."""
    head = "".join(f"<th>{escape(_short(cell, letters))}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_short(cell, letters))}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f'<div class="wide"><table>{f"<tr>{head}</tr>" if head else ""}\n{body}</table></div>'


def _short(cell: Any, letters: int = LETTERS) -> str:
    text = str(cell)
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _figure(value: float) -> str:
    """Return a number as text: four digits after the point, or six digits of a large or very small number."""
    return f"{value:.4f}" if 0.0001 <= abs(value) < 10 or value == 0 else f"{value:,.6g}"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{summary}</p></header>
{body}<footer>{foot}</footer>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #ffffff; --row: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --line: #353b43; --page: #14171c; --row: #1c2128; }
}
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1rem; color: var(--text); background: var(--page);
       font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
header p, footer, section > p { color: var(--soft); margin: .4rem 0; }
footer { margin-top: 2.5rem; font-size: .85rem; }
figure { margin: .8rem 0; overflow-x: auto; }
svg { max-width: max(100%, 40rem); height: auto; display: block; } /* a narrow page scrolls: text stays readable */
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem .4rem;
         border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
tr:hover td { background: var(--row); }
"""
