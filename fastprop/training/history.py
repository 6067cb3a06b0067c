"""History: what ``fit`` recorded, epoch by epoch."""

from math import isfinite

from fastprop._util.text import number


class History(dict):
    """What ``fit`` recorded: a dict of lists, with one entry for each epoch.

    The keys are "epoch" (from 1), "cost" (the mean over the epoch's rows, each before its step), "validation_cost"
    (with a validation set), one for each metric ("validation_accuracy" with a validation set, else "accuracy"), and
    "seconds". Callbacks may add columns, which may have other lengths.
    """

    def __repr__(self) -> str:
        """Return one line, which a notebook shows under a cell that ends in ``fit``."""
        shown = [f"{len(self.get('epoch', []))} epochs"]
        main = "validation_cost" if self.get("validation_cost") else "cost"
        for name in dict.fromkeys(["cost", main]):
            if self.get(name):
                shown.append(f"{name} {number(self[name][-1])}")
        finite = [(cost, epoch) for cost, epoch in zip(self.get(main, []), self.get("epoch", [])) if isfinite(cost)]
        if finite:
            cost, epoch = min(finite)
            shown.append(f"the best {number(cost)} in epoch {epoch}")
        return f"<History: {', '.join(shown)}; columns {', '.join(map(str, self))}>"

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
