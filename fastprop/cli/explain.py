"""`fastprop explain`: every number of the passes over one row of a table, and the chain rule of a quantity."""

import re
from pathlib import Path

from fastprop.cli._common import check_finite, check_outputs, read_table
from fastprop.explain import html
from fastprop.explain.trace import trace
from fastprop.tabular.model import TabularModel

__all__ = ["run"]


def run(args):
    """Print every number of the forward and backward pass over one row, or the chain rule of one quantity."""
    check_outputs([("--out", args.page, True)], args.file, args.model)
    model = TabularModel.load(args.model)
    encoder, target, net = model.encoder, model.target, model.ensemble.networks[0]
    table = read_table(args.file)
    if args.row > table.n_rows:
        raise ValueError(f"--row must be from 1 to {table.n_rows}, the rows of {args.file}, got {args.row}")
    row = args.row - 1
    x = encoder.transform(table.take([row]))
    values, known = target.encode(table)
    if not known[row]:
        raise ValueError(
            f"row {args.row} of {args.file} has no known {target.name!r}, and without one there is no loss; "
            "fill it in, or choose another --row"
        )
    traced = trace(net, x, target.standardise(values)[[row]], loss=target.loss)
    (decoded,) = check_finite(target, model.ensemble(x))
    prediction = target.classes[decoded.argmax()] if target.task == "classification" else target.number(decoded)
    truth = target.classes[values[row]] if target.task == "classification" else target.number(values[row])
    shown = str(traced.explain(args.quantity) if args.quantity else traced)
    print(f"row {args.row}, line {table.lines[row]}: {target.name} is {truth}, predicted {prediction}\n")
    print("\n".join(_described_inputs(encoder, table, row, x[0], args.quantity)), end="\n\n")
    print(shown)
    if args.page is not None:
        title = f"Row {args.row} of {Path(args.file).name}: {target.name} is {truth}, predicted {prediction}"
        html.write(traced, args.page, names=encoder.input_names, title=title)
        print(f"\npage: {args.page}")


def _described_inputs(encoder, table, row, x, quantity):
    """Return lines that say which column each input of the network comes from.

    With a quantity that belongs to one input, as x[4] or W1[4,0], only that input has a line.
    """
    asked = re.match(r"(?:x|W1)\[(\d+)", (quantity or "").replace(" ", ""))
    if quantity:
        return [f"x[{asked[1]}] is {encoder.input_names[int(asked[1])]!r}"] if asked else []
    lines, position = ["inputs (those that are not listed are 0):"], 0
    for column in encoder.columns:
        lines.append(f"  column {column.name!r}, {table[column.name].cell(row)!r}:")
        for each, value in zip(column.inputs, x[position:].tolist()):
            if value:
                lines.append(f"    x[{position}] = {value:.6g}, {each.name}")
            position += 1
    return lines
