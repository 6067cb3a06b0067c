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
from fastprop._util import palette
from fastprop._util.text import number
from fastprop._version import __version__
from fastprop.cli import pictures
from fastprop.cli.study import Study
from fastprop.io import output
from fastprop.plots import style
from fastprop.plots.confusion import ConfusionMatrixDisplay
from fastprop.plots.predictions import PredictionErrorDisplay
from fastprop.tabular.comparison import OURS, Comparison, shown_name, with_interval
from fastprop.tabular.inspection import Importance, effect
from fastprop.tabular.model import TabularModel
from fastprop.tabular.reading import count
from fastprop.tabular.scores import scores

# How many rows, cells of a row, columns, and letters of a cell are shown, so that the page stays well below a megabyte.
ERRORS, CELLS, COLUMNS, LETTERS = 10, 8, 100, 80
IMPORTANT, EFFECTS = 15, 6  # columns whose importance and effect are shown
CLASSES = 30  # classes with a line in a table
WORD = 12  # letters: a longer text may be divided where a printed table is too wide

PANEL = (4.6, 3.6)  # inches: two panels beside each other are as wide as the page
WIDE = 6.0  # inches: a picture that stands alone, whose text a telephone can show too
LOOK = {
    **style.look("light"),
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fastprop",  # so that equal runs give equal files
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Run:
    """A training on a table, its results, the scores of rows held out, and how much each column is worth."""

    study: Study
    model: TabularModel
    comparison: Comparison
    importances: list[Importance]


def write(
    study: Study, model: TabularModel, comparison: Comparison | None, found: list[Importance], path: str | Path
) -> None:
    """Write the report of a training to a file.

    Parameters
    ----------
    study : Study
    model : TabularModel
    comparison : Comparison, or None
        None if no row was held out.
    found : list of Importance
        Of all columns, the largest first; empty if no row was held out.
    path : path-like

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    style.require()
    target = model.target
    title = f"{escape(target.name)}, from {escape(Path(study.table.path).name)}"
    sections: list[tuple[str, str]] = []
    if comparison is not None:
        run = Run(study, model, comparison, found)
        classes = target.task == "classification"
        sections += [
            ("Scores", _scores(run)),
            ("Predictions of rows held out", _classes(run) if classes else _numbers(run)),
            ("What the columns are worth", _importances(run)),
            ("How the predictions follow the columns", _effects(run)),
            ("Worst rows", _errors(run)),
        ]
    sections += [("Training", _training(study, model)), ("Columns", _columns(study, model))]
    body = "".join(f"<section><h2>{heading}</h2>{content}</section>\n" for heading, content in sections)
    looks, summary = palette.css() + STYLE, _summary(study, model)
    page = PAGE.format(title=title, style=looks, summary=summary, body=body, foot=_foot())
    output.write(path, page, streams=True)


# ---- sections ----


def _summary(study: Study, model: TabularModel) -> str:
    target = model.target
    kind = f"{len(target.classes)} classes" if target.task == "classification" else "a number"
    return (
        f"<p>{kind}, predicted from {count(len(model.encoder.columns), 'column')}; trained on "
        f"{count(study.counts['training'], 'row')} of {count(study.counts['table'], 'row')}</p>"
        f"<p>The command that repeats it:</p><pre>{escape(study.command)}</pre>"
    )


def _scores(run: Run) -> str:
    """Return a table of scores: those of the model, and those of simpler ones; and how they compare."""
    found = run.comparison.scores
    rows = [
        [shown_name(name), *(with_interval(score.value, score.error) for score in each)] for name, each in found.items()
    ]
    verdicts = "".join(f"<li>{_text(sentence)}</li>" for sentence in run.study.verdicts(run.model, run.comparison))
    of = f"; RMSE and MAE are in the units of {run.model.target.name!r}" if "RMSE" in _names(run) else ""
    return (
        _table(["", *_names(run)], rows)
        + f"<p>{_text(run.study.scored(run.model, run.comparison) + of)}.</p><p>fastprop is</p><ul>{verdicts}</ul>"
    )


def _names(run: Run) -> list[str]:
    return [score.name for score in run.comparison.scores[OURS]]


def _numbers(run: Run) -> str:
    y, predicted = run.comparison.values, run.comparison.predictions[OURS]
    name = run.model.target.name
    drawn = _svgs("errors", 2, lambda axes: PredictionErrorDisplay.from_predictions(y, predicted, name=name, ax=axes))
    return _panels(drawn)


def _classes(run: Run) -> str:
    y, chances, names = run.comparison.values, run.comparison.predictions[OURS], run.model.target.classes
    side = PANEL[0] if len(names) <= 6 else 6.4
    drawn = _svgs(
        "confusion", 1, lambda axes: ConfusionMatrixDisplay.from_predictions(y, chances, names=names, ax=axes[0]), side
    )
    counts = np.bincount(y, minlength=len(names))
    areas = _areas(run, counts)
    drawn += _svgs("roc", 1, lambda axes: pictures.draw_roc(axes[0], y, chances, names, areas), PANEL[0])
    drawn += _svgs("calibration", 1, lambda axes: pictures.draw_calibration(axes[0], y, chances, names), PANEL[0])
    predicted = np.bincount(chances.argmax(axis=1), minlength=len(names))
    hits = np.bincount(y[chances.argmax(axis=1) == y], minlength=len(names))
    rows = []
    for k in np.argsort(-counts, kind="stable")[:CLASSES]:
        precision = hits[k] / predicted[k] if predicted[k] else None
        recall = hits[k] / counts[k] if counts[k] else None
        both = 2 * hits[k] / (predicted[k] + counts[k]) if predicted[k] + counts[k] else None
        shares = ["-" if each is None else f"{each:.3f}" for each in (precision, recall, both)]
        rows.append([names[k], f"{counts[k]:,}", f"{predicted[k]:,}", *shares])
    more = _more(len(names) - len(rows), "class", "classes")
    header = ["class", "rows", "predicted", "precision", "recall", "F1"]
    return _panels(drawn) + _table(header, rows) + more


def _areas(run: Run, counts: np.ndarray) -> dict[int, float]:
    """Return the areas under the ROC curves of the second of two classes, or of the commonest, by class."""
    y, chances, target = run.comparison.values, run.comparison.predictions[OURS], run.model.target
    chosen = [1] if len(counts) == 2 else sorted(np.argsort(-counts, kind="stable")[: pictures.CLASSES].tolist())
    found = {}
    for k in chosen:
        if 0 < counts[k] < len(y):
            against = np.column_stack([1 - chances[:, k], chances[:, k]])
            found[k] = scores(target, against, (y == k).astype(np.int64))[1].value
    return found


def _importances(run: Run) -> str:
    shown = run.importances[:IMPORTANT]
    if run.model.target.task == "classification":
        unit = "rise of the log loss"
    else:
        unit = "fall of R2"
    height = 0.7 + 0.26 * len(shown)
    (drawn,) = _svgs("importances", 1, lambda axes: pictures.draw_importances(axes[0], shown, unit), WIDE, height)
    more = _more(len(run.importances) - len(shown), "less important column")
    return (
        "<p>How much worse rows held out are predicted when the cells of a column are dealt to other rows: the "
        f"{unit}, with 95% intervals. Columns that say the same share their worth.</p><figure>{drawn}</figure>{more}"
    )


def _effects(run: Run) -> str:
    table = run.study.table.take(run.study.training)
    found = [effect(run.model, table, each.name) for each in run.importances[: 2 * EFFECTS]]
    drawn = []
    for k, each in enumerate([each for each in found if each is not None and len(each.points)][:EFFECTS]):
        drawn += _svgs(f"effect{k}", 1, lambda axes: pictures.draw_effect(axes[0], each, run.model.target))  # noqa: B023
    return (
        "<p>The mean prediction if a column held the same in all rows (partial dependence), for the columns that are "
        f"worth most. Grey: how many rows hold it.</p>{_panels(drawn)}"
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
    names = [each.name for each in run.importances[:CELLS]]
    listed = []
    for k in np.argsort(-size, kind="stable")[:ERRORS]:
        if target.task == "classification":
            answer = target.classes[y[k]], target.classes[predicted[k].argmax()], _figure(predicted[k, y[k]])
        else:
            answer = target.number(y[k]), target.number(predicted[k]), target.number(y[k] - predicted[k])
        listed.append([table.lines[k], *answer, *(table[name].cell(k) for name in names)])
    return _table([*header, *names], listed) + _more(len(run.importances) - len(names), "less important column")


def _training(study: Study, model: TabularModel) -> str:
    network = model.networks[0]
    drawn = ""
    if max(len(history["epoch"]) for history in model.histories) > 1:
        (svg,) = _svgs("training", 1, lambda axes: pictures.draw_training(axes[0], model.histories), WIDE, 3.4)
        drawn = f"<figure>{svg}</figure>"
    rows = [
        [
            each["network"],
            each["epoch_kept"],
            each["epochs"],
            each["epochs_planned"],
            f"{each['rows_held_out']:,}",
            _figure(each["cost"]),
        ]
        for each in study.training_of(model)
    ]
    header = ["network", "epoch kept", "epochs", "planned", "rows held out", "their cost"]
    facts = {
        "task": f"{model.target.task} ({study.target.reason})",
        "loss": model.target.loss.name,
        "effort": study.args.effort,
        "parameters": f"{network.n_parameters:,} each, {network.dtype}",
        "inputs": f"{network.n_inputs}, from {count(len(model.encoder.columns), 'column')}",
        "time": f"{study.seconds:.1f} s",
        "linear networks": f"{model.linear_share:.0%} of the prediction",
        "seed": study.args.seed,
    }
    why = (
        "Each network holds out rows, and keeps the parameters of the epoch after which their cost was lowest; it ends "
        "when the cost does not fall any more. The prediction is the mean of the networks."
        if any(each["rows_held_out"] for each in study.training_of(model))
        else "No row was held out, so the parameters of the last epoch were kept."
    )
    return f"<p>{why}</p>{drawn}" + _table(header, rows) + _table([], [[name, fact] for name, fact in facts.items()])


def _columns(study: Study, model: TabularModel) -> str:
    columns, gaps = model.encoder.columns[:COLUMNS], study.gaps
    rows = [[each.name, each.kind, f"{gaps[each.name]:,}", _inputs(each)] for each in columns]
    more = _more(len(model.encoder.columns) - len(rows), "more column")
    notes = [*study.table.notes, *model.encoder.notes, *study.schema.warnings]
    listed = "".join(f"<li>{_text(note)}</li>" for note in dict.fromkeys(notes))
    return (
        _table(["column", "kind", "gaps", "inputs of the networks"], rows, letters=200)
        + more
        + (f"<p>What was noticed:</p><ul>{listed}</ul>" if listed else "")
    )


def _inputs(column: Any) -> str:
    """Return what a column becomes."""
    names = [each.name.removeprefix(column.name).removeprefix(" = ").removeprefix(": ") for each in column.inputs]
    if column.kind == "category":
        values = ", ".join([*column.categories[:8], *(["..."] if len(column.categories) > 8 else [])])
        how = "a code of an embedding" if column.inputs[0].role == "code" else "one for each"
        return f"{len(column.categories)} categories, {how}: {values}"
    return ", ".join([*(name or "the number" for name in names[:12]), *(["..."] if len(names) > 12 else [])])


def _foot() -> str:
    parts = [
        f"fastprop {__version__}",
        f"NumPy {np.__version__}",
        f"Python {platform.python_version()}",
        f"{_engine.serving_isa()} kernels",
        count(config.get_num_threads(), "thread"),
        platform.platform(),
    ]
    return escape(", ".join(parts))


# ---- parts of a page ----


def _svgs(
    name: str, n: int, draw: Callable[[Any], object], width: float = PANEL[0], height: float = PANEL[1]
) -> list[str]:
    """Return n pictures as SVG in the colours of the page; `name` makes their ids different from those of others."""
    import matplotlib.style
    from matplotlib.figure import Figure

    drawn = []
    with matplotlib.style.context(["default", LOOK]):
        figures = [Figure(figsize=(width, height), layout="constrained") for _ in range(n)]
        draw(np.array([figure.subplots() for figure in figures], dtype=object))
        for k, figure in enumerate(figures):
            text = io.StringIO()
            nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
            figure.savefig(text, format="svg", metadata=nothing, dpi=144, bbox_inches="tight", pad_inches=0.05)
            svg = text.getvalue()
            svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{_said(figure)}"', 1)
            svg = style.of_page(svg)
            drawn.append(re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}{k}-", svg))
    return drawn


def _said(figure: Any) -> str:
    """Return what a screen reader says of a picture: its title and the labels of its axes."""
    axes = figure.axes[0]
    said = axes.get_title(loc="left"), axes.get_ylabel(), axes.get_xlabel()
    return escape(", ".join(filter(None, said)).replace("\\$", "$"))


def _panels(drawn: list[str]) -> str:
    """Return pictures beside each other, or below each other on a narrow page."""
    return f'<div class="panels">{"".join(f"<figure>{svg}</figure>" for svg in drawn)}</div>'


def _more(n: int, what: str, several: str | None = None) -> str:
    """Return a sentence about what is not shown, if there is any."""
    return f"<p>{count(n, what, several)} not shown.</p>" if n > 0 else ""


def _table(header: Iterable[Any], rows: Iterable[Iterable[Any]], *, letters: int = LETTERS) -> str:
    """Return an HTML table of cells of any type, each shortened to `letters`; the keyboard can scroll it."""
    head = "".join(f'<th scope="col">{escape(_short(cell, letters))}</th>' if cell else "<td></td>" for cell in header)
    body = "".join(f"<tr>{''.join(_cell(_short(cell, letters)) for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide" tabindex="0"><table>{f"<tr>{head}</tr>" if head else ""}\n{body}</table></div>'


def _cell(text: str) -> str:
    kind = ' class="long"' if len(text) > WORD else ""
    return f"<td{kind}>{_text(text)}</td>"


def _short(cell: Any, letters: int = LETTERS) -> str:
    text = str(cell)
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _text(sentence: str) -> str:
    """Return a sentence for the page, where +- is one sign."""
    return escape(sentence).replace("+-", "&plusmn;")


def _figure(value: float) -> str:
    """Return a number as text: four digits after the point, or six digits of a large or very small number."""
    return number(value, ".4f" if 0.0001 <= abs(value) < 10 or value == 0 else ",.6g")


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
<header><h1>{title}</h1>{summary}</header>
<main>
{body}</main>
<footer>{foot}</footer>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1rem; color: var(--ink); background: var(--page);
       font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); }
header p, footer, section > p, section > ul { color: var(--soft); margin: .4rem 0; }
section > ul { padding-left: 1.2rem; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 4px; padding: .5rem .7rem;
      margin: .4rem 0; font-size: .85rem; white-space: pre-wrap; }
footer { margin-top: 2.5rem; font-size: .85rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: .8rem 0; min-width: 0; }
svg { max-width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; margin: .6rem 0; }
.wide:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem .4rem; overflow-wrap: normal;
         border-bottom: 1px solid var(--rule); }
td { max-width: 24rem; overflow-wrap: break-word; }
th { font-weight: 600; color: var(--soft); }
tr:hover td { background: var(--panel); }
@page { margin: 15mm; }
@media print {
  body { margin: 0; max-width: none; padding: 0; font-size: 10pt; }
  figure, tr, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
  .panels { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; width: 100%; }
  th, td { padding: .2rem .4rem .2rem .2rem; }
  th, .long { overflow-wrap: anywhere; }
}
"""
