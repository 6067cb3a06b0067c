"""`fastprop explain`: which columns moved a prediction, and every number of the passes over its row."""

import html
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastprop._util import palette
from fastprop._util.text import aligned, number
from fastprop.cli._common import check_finite, check_outputs, note, read_table
from fastprop.explain import html as trace_page
from fastprop.explain.trace import trace
from fastprop.io import streams
from fastprop.nn.layers import Dense
from fastprop.tabular.contributions import Contributions, contributions
from fastprop.tabular.model import TabularModel
from fastprop.tabular.target import decimal

__all__ = ["run"]

SHOWN = 12  # columns with a bar; the rest are summed
WIDTH = 24  # letters of the longest bar
LETTERS = 30  # of the name of a column, and of its cell


def run(args):
    """Print which columns moved the prediction of a row, and every number of both passes or the chain rule of one."""
    check_outputs([("--out", args.page, True)], args.file, args.model)
    model = TabularModel.load(args.model)
    table = read_table(args.file)
    if args.row > table.n_rows:
        raise ValueError(f"--row must be from 1 to {table.n_rows}, the rows of {args.file}, got {args.row}")
    chosen = int(np.argmax(model.shares)) if args.fold is None else args.fold - 1
    if chosen >= len(model.ensemble):
        raise ValueError(f"--fold must be from 1 to {len(model.ensemble)}, the networks of the model, got {args.fold}")
    line, table = table.lines[args.row - 1], table.take([args.row - 1])
    encoder, target = model.encoder, model.target
    x = encoder.transform(table)
    (decoded,) = check_finite(target, model.ensemble(x))
    title = f"{target.name} is predicted {_shown(target, decoded)}"
    traced = None
    known, y = _truth(target, table)
    if known:
        label = target.classes[y[0]] if target.task == "classification" else target.number(y[0])
        title = f"{target.name} is {label}, predicted {_shown(target, decoded)}"
        network = model.ensemble.networks[chosen]
        traced = trace(network, x, target.standardise(y), loss=target.loss, first_row=args.row)
    elif args.quantity or args.page is not None:
        raise ValueError(
            f"row {args.row} of {args.file} has no known {target.name!r}, and without one there is no loss whose "
            "derivatives could be shown; fill it in, or choose another --row"
        )
    explanation = traced.explain(args.quantity) if args.quantity else None
    print(f"row {args.row}, line {line}: {title}\n")
    moved = None if model.background is None else Moved.of(model, table, x[0], decoded)
    if not args.quantity:
        print(moved.text() if moved else NO_BACKGROUND, end="\n\n")
    described = _described_inputs(model, table, x[0], args.quantity)
    if described:
        print("\n".join(described), end="\n\n")
    if traced is None:
        note(f"the row has no known {target.name!r}, and without one there is no loss whose derivatives could be shown")
        return
    if len(model.ensemble) > 1:
        print(f"network {chosen + 1} of {len(model.ensemble)}, with {model.shares[chosen]:.0%} of the prediction:")
    print("\n".join((explanation or traced).lines(streams.width(sys.stdout))))
    if args.page is not None:
        where = f"Row {args.row} of {Path(args.file).name}: {title}"
        above = moved.html() if moved else ""
        trace_page.write(traced, args.page, names=encoder.input_names, title=where, above=above)
        print(f"\npage: {args.page}")


NO_BACKGROUND = "the model file holds no typical rows, so that the columns' contributions are not known; train again"


def _truth(target, table):
    """Return whether the target of the one row is known, and its value, (1,)."""
    if target.name not in table.columns:
        return False, None
    values, known = target.encode(table)
    return bool(known[0]), values


def _shown(target, decoded):
    """Return a prediction for people."""
    if target.task == "regression":
        return target.number(decoded)
    return f"{target.classes[decoded.argmax()]} (probability {decoded.max():.4g})"


@dataclass(frozen=True)
class Moved:
    """What moved a prediction, for people.

    Attributes
    ----------
    what : str
        The number that was moved.
    rows : int
        Of the background.
    found : Contributions
    labels : list of str
        The name of each column and its cell.
    digits : callable
        Returns a number as text.
    """

    what: str
    rows: int
    found: Contributions
    labels: list
    digits: object

    @classmethod
    def of(cls, model, table, x, decoded):
        """Return what moved the prediction `decoded` of the one row of a table, whose inputs are x."""
        target, encoder = model.target, model.encoder
        if target.task == "classification":
            k = int(decoded.argmax())
            what, digits = f"the probability of {target.classes[k]!r:.60}", lambda value: number(value, ".3f")

            def predict(X):
                return check_finite(target, model.ensemble(X))[:, k]
        else:
            what = target.name

            def digits(value):
                return decimal(float(value), target.scale, 4)

            def predict(X):
                return check_finite(target, model.ensemble(X))

        found = contributions(predict, x, model.background, encoder.places)
        labels = [f"{_cut(column.name)} = {_cut(table[column.name].cell(0)) or '(gap)'}" for column in encoder.columns]
        return cls(what, len(model.background), found, labels, digits)

    def listed(self):
        """Return (label, contribution, error) of the columns that moved it most, and of the others together."""
        values, errors = self.found.values, self.found.errors
        order = np.argsort(-np.abs(values), kind="stable")
        listed = [(self.labels[k], values[k], errors[k]) for k in order[:SHOWN]]
        rest = order[SHOWN:]
        if len(rest):
            error = float(np.sqrt((errors[rest] ** 2).sum()))
            others = f"{len(rest)} other columns" if len(rest) > 1 else "1 other column"
            listed.append((others, float(values[rest].sum()), error))
        return listed

    def words(self):
        """Return sentences that say what moved the prediction."""
        base, end = self.digits(self.found.base), self.digits(self.found.prediction)
        first = (
            f"what moved {self.what} from {base}, its mean over {self.rows} made-up rows (cells of the training rows, "
            f"column by column), to {end}:"
        )
        second = []
        for way, sign in (("up", 1), ("down", -1)):
            k = int((sign * self.found.values).argmax())
            if sign * self.found.values[k] > 2 * self.found.errors[k]:
                second.append(f"{self.labels[k]} moved it {way} most, by {self.digits(abs(self.found.values[k]))}")
        moved = "; ".join(second) + "." if second else "No column moved it by more than chance."
        total = self.found.values.sum()
        third = (
            f"{base} {'-' if total < 0 else '+'} {self.digits(abs(total))} = {end}: the bars sum to the difference "
            "exactly; +- is the standard error of each, from sampling orders."
        )
        return first, moved, third

    def text(self):
        """Return the words, and a bar for each column."""
        first, moved, third = self.words()
        listed = self.listed()
        longest = max(abs(value) for _, value, _ in listed) or 1.0
        cells = [(label, self._signed(value), f"+- {self.digits(error)}") for label, value, error in listed]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for (label, size, error), (_, value, _) in zip(cells, listed, strict=True):
            bar = "#" * round(WIDTH / 2 * abs(value) / longest)
            drawn = f"{bar if value < 0 else '':>{WIDTH // 2}}|{bar if value > 0 else ''}"
            lines.append(f"  {label:{widths[0]}}  {size:>{widths[1]}} {error:{widths[2]}}  {drawn}".rstrip())
        return "\n".join([first, *lines, moved, third])

    def _signed(self, value):
        text = self.digits(value)
        return text if text.startswith("-") else f"+{text}"

    def html(self):
        """Return the same as a part of a page."""
        first, moved, third = (html.escape(each) for each in self.words())
        listed = self.listed()
        longest = max(abs(value) for _, value, _ in listed) or 1.0
        rows = "".join(
            f"<tr><td>{html.escape(label)}</td><td>{html.escape(self._signed(value))}</td>"
            f"<td>+- {html.escape(self.digits(error))}</td>"
            f'<td style="width:40%"><svg viewBox="-50 0 100 10" preserveAspectRatio="none" role="presentation" '
            f'style="width:100%;max-width:16rem;height:.9rem">'
            f'<line x1="0" y1="0" x2="0" y2="10" stroke="currentColor" stroke-width="0.3"/>'
            f'<rect x="{min(0.0, 50 * value / longest):.2f}" y="1" width="{50 * abs(value) / longest:.2f}" height="8" '
            f'style="fill:var(--{palette.sign(value)})"/></svg></td></tr>'
            for label, value, error in listed
        ).replace("+-", "&plusmn;")
        first = first[0].upper() + first[1:]
        third = third.replace("+-", "&plusmn;")
        return (
            f"<section><h2>What moved the prediction</h2><p>{first}</p>"
            f'<table style="width:100%;max-width:44rem">{rows}</table>'
            f"<p>{moved}</p><p>{third}</p></section>"
        )


def _cut(text):
    line = " ".join(str(text).split())
    return line if len(line) <= LETTERS else line[: LETTERS - 3] + "..."


def _described_inputs(model, table, x, quantity):
    """Return lines that say which column each input of the networks comes from.

    With a quantity that belongs to one input, as x[4], only that input has a line.
    """
    encoder = model.encoder
    weights = "|W1" if isinstance(model.ensemble.networks[0].layers[0], Dense) else ""  # of whose rows each is an input
    asked = re.match(rf"(?:x{weights})\[(\d+)", (quantity or "").replace(" ", ""))
    if quantity:
        return [f"x[{asked[1]}] is {encoder.input_names[int(asked[1])]!r}"] if asked else []
    texts = []
    lines, position = ["inputs (those that are not listed are 0):"], 0
    for column in encoder.columns:
        lines.append(f"  column {column.name!r}, {table[column.name].cell(0)!r}:")
        for each, value in zip(column.inputs, x[position:].tolist()):
            if value:
                texts.append(number(value))
                lines.append((f"    x[{position}] = ", f", {each.name}"))
            position += 1
    shown = iter(aligned(texts))
    return [line if isinstance(line, str) else next(shown).rstrip().join(line) for line in lines]
