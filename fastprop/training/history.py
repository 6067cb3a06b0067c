"""History: what ``fit`` recorded, epoch by epoch."""

from math import isfinite
from typing import Any

from fastprop._util import notebook, text
from fastprop._util.text import number

LAST = 5  # epochs in a table, beside the best one
COLUMNS = 8  # of a table in a notebook: what a page is wide


class History(dict):
    """What ``fit`` recorded: a dict of lists, with one entry for each epoch.

    The keys are "epoch" (from 1), "cost" (the mean over the epoch's rows, each before its step), "validation_cost"
    (with a validation set), one for each metric ("validation_accuracy" with a validation set, else "accuracy"), and
    "seconds". Callbacks may add columns, which may have other lengths.

    ``print`` shows the last epochs and the best one as a table. Notebooks show the curve of the costs too.
    """

    def __repr__(self) -> str:
        """Return one line."""
        return f"<History: {', '.join(self._said())}; columns {', '.join(map(str, self))}>"

    def __str__(self) -> str:
        """Return the table of the last epochs and the best one."""
        header, rows, best = self._table(list(self))
        if not rows:
            return repr(self)
        marked = [(*row, "best" if k == best else "") for k, row in enumerate(rows)]
        return "\n".join(text.table([(*header, ""), *marked], numbers=range(len(header))))

    def _repr_html_(self) -> str:
        shown = list(self)[:COLUMNS]
        header, rows, best = self._table(shown)
        more = f" Of {len(self)} columns the first {COLUMNS} are here." if len(self) > COLUMNS else ""
        said = notebook.paragraph(f"History: {', '.join(self._said())}.{more}")
        if best is not None:
            rows[best][0] = notebook.unbroken(f"{rows[best][0]} (best)")
        strong = [] if best is None else [best]
        table = notebook.table(header, rows, numbers=range(1, len(header)), strong=strong) if rows else ""
        return notebook.fragment(said, self._chart(), table)

    def to_dataframe(self):
        """Return the columns as a ``pandas.DataFrame``; a column that is shorter than others ends in NaN.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_dataframe() needs pandas, which is not installed: pip install pandas") from error
        return pandas.DataFrame({name: pandas.Series(column) for name, column in self.items()})

    @property
    def _main(self) -> str:
        """The cost that says which epoch is best."""
        return "validation_cost" if self.get("validation_cost") else "cost"

    def _best(self) -> int | None:
        """Return the place of the epoch with the lowest cost, if any is finite."""
        costs = self.get(self._main, [])[: len(self.get("epoch", []))]
        finite = [(cost, place) for place, cost in enumerate(costs) if isfinite(cost)]
        return min(finite)[1] if finite else None

    def _said(self) -> list[str]:
        n, best = len(self.get("epoch", [])), self._best()
        said = [f"{n:,} epoch{'s' if n != 1 else ''}"]
        for name in dict.fromkeys(["cost", self._main]):
            if self.get(name):
                said.append(f"{name} {number(self[name][-1])}")
        if best is not None:
            said.append(f"the best {number(self[self._main][best])} in epoch {self['epoch'][best]}")
        return said

    def _table(self, names: list) -> tuple[list[str], list[list[str]], int | None]:
        """Return the header, a row for each of the last epochs and the best one, and which row is the best."""
        best, n = self._best(), len(self.get("epoch", []))
        places = sorted({*range(max(0, n - LAST), n), *([] if best is None else [best])})
        header = [str(name).replace("_", " ") for name in names]
        rows = [[_cell(self[name], place) for name in names] for place in places]
        return header, rows, None if best is None else places.index(best)

    def _chart(self) -> str:
        epochs, best = self.get("epoch", []), self._best()
        dashed = notebook.DASHES[1]
        looks = {"cost": ("training", "training", ""), "validation_cost": ("validation", "held-out", dashed)}
        curves = [
            notebook.Curve(title, epochs, self[name], colour, dashes)
            for name, (title, colour, dashes) in looks.items()
            if self.get(name)
        ]
        if not curves or best is None:
            return ""
        cost, epoch = self[self._main][best], epochs[best]
        return notebook.figure(
            "cost",
            notebook.chart(
                curves,
                label=f"The cost over {len(epochs):,} epochs: {', '.join(self._said()[1:])}",
                x="epoch",
                mark=(epoch, cost, f"best: {number(cost, '.4g')} in epoch {epoch}"),
            ),
        )


def _cell(column: Any, place: int) -> str:
    """Return an entry of a column as text; it is empty where a callback's column is shorter."""
    if place >= len(column):
        return ""
    try:
        return str(column[place]) if isinstance(column[place], int) else number(column[place])
    except (TypeError, ValueError):  # what a callback recorded need not be a number
        return str(column[place])
