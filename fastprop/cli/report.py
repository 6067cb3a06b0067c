"""The report of `fastprop train`: one HTML file that shows what was trained and how well it predicts.

The page loads nothing: it contains its style and its pictures, and all text from the user's table is escaped.
"""

import io
import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fastprop import config
from fastprop._core import _engine
from fastprop._version import __version__
from fastprop.cli.study import Study
from fastprop.io import output
from fastprop.plots import style
from fastprop.plots.confusion import ConfusionMatrixDisplay
from fastprop.plots.predictions import PredictionErrorDisplay
from fastprop.tabular.comparison import OURS, Comparison, shown_name, with_interval
from fastprop.tabular.model import TabularModel

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
    """A training on a table, its results, and the scores of rows held out."""

    study: Study
    model: TabularModel
    comparison: Comparison


def write(study: Study, model: TabularModel, comparison: Comparison, path: str | Path) -> None:
    """Write the report of a training to a file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    style.require()
    run = Run(study, model, comparison)
    name = escape(run.model.target.name)
    title = f"{name}, from {escape(Path(study.table.path).name)}"
    sections = [
        ("Scores", _scores(run)),
        ("Predictions of rows held out", _predictions(run)),
        ("Largest errors", _errors(run)),
        ("What was trained", _facts(run)),
        ("Columns", _columns(run)),
    ]
    body = "".join(f"<section><h2>{heading}</h2>{content}</section>\n" for heading, content in sections)
    page = PAGE.format(title=title, style=STYLE, summary=_summary(run), body=body, foot=_foot())
    output.write(path, page, streams=True)


# ---- sections ----


def _summary(run: Run) -> str:
    target = run.model.target
    kind = f"{len(target.classes)} classes" if target.task == "classification" else "a number"
    return (
        f"{kind}, predicted from {_count(len(run.model.encoder.columns), 'column')}; trained on "
        f"{_count(len(run.study.training), 'row')}, scored on {_count(len(run.comparison.values), 'row')}"
    )


def _scores(run: Run) -> str:
    """Return a table of scores: those of the model, and those of simpler ones."""
    names = [score.name for score in run.comparison.scores[OURS]]
    listed = [
        [shown_name(name), *(with_interval(score.value, score.error) for score in found)]
        for name, found in run.comparison.scores.items()
    ]
    return _table(["", *names], listed) + "".join(f"<p>{escape(each)}.</p>" for each in run.comparison.verdicts())


def _predictions(run: Run) -> str:
    target, y, predicted = run.model.target, run.comparison.values, run.comparison.predictions[OURS]
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
    target, y, predicted = run.model.target, run.comparison.values, run.comparison.predictions[OURS]
    table = run.comparison.table
    if target.task == "classification":
        size = 1 - predicted[np.arange(len(y)), y]
        header = ["line", "true", "predicted", "probability of true"]
    else:
        size = np.abs(predicted - y)
        header = ["line", "true", "predicted", "true - predicted"]
    names = run.model.encoder.names[:CELLS]
    listed = []
    for k in np.argsort(-size, kind="stable")[:ERRORS]:
        if target.task == "classification":
            answer = target.classes[y[k]], target.classes[predicted[k].argmax()], _figure(predicted[k, y[k]])
        else:
            answer = target.number(y[k]), target.number(predicted[k]), target.number(y[k] - predicted[k])
        listed.append([table.lines[k], *answer, *(table[name].cell(k) for name in names)])
    more = len(run.model.encoder.names) - len(names)
    note = f"<p>{_count(more, 'more column')} not shown.</p>" if more else ""
    return _table([*header, *names], listed) + note


def _facts(run: Run) -> str:
    networks, _ = run.model.networks
    net = networks[0]
    epochs = [len(history["epoch"]) for history in run.model.histories]
    facts = {
        "task": f"{run.model.target.task} ({run.model.target.reason})",
        "loss": run.model.target.loss.name,
        "effort": run.study.args.effort,
        "networks": f"{len(networks)}, trained for {', '.join(map(str, epochs))} epochs",
        "inputs": f"{net.n_inputs}, from {_count(len(run.model.encoder.columns), 'column')}",
        "parameters": f"{net.n_parameters:,} each, {net.dtype}",
        "seed": net.seed,
    }
    return _table([], [[name, fact] for name, fact in facts.items()])


def _columns(run: Run) -> str:
    columns = run.model.encoder.columns[:COLUMNS]
    rows = [[column.name, column.kind, ", ".join(each.name for each in column.inputs[:8])] for column in columns]
    more = len(run.model.encoder.columns) - len(rows)
    notes = [*run.model.encoder.notes, *([f"{_count(more, 'more column')} not shown"] if more else [])]
    return _table(["column", "kind", "inputs"], rows, letters=200) + "".join(
        f"<p>{escape(note)}.</p>" for note in notes
    )


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
