"""Encode the columns of a table as the inputs of a network, and its target column as a loss takes it.

`Encoder` describes the inputs, `Target` the column that is to be predicted. Both are fitted to the training rows, do
not change afterwards, and are stored in a model file as plain dictionaries.
"""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from fastprop import _validation
from fastprop.tabular.csv import TableError, nearest

__all__ = ["Categorical", "Encoder", "Numeric", "Target", "split_rows"]

# A column of text has an input for each category; if there are more than this, the rarest share the "other" input. With
# 50 the states of the USA are distinguished, and a column of names does not make up the whole first layer.
MAX_CATEGORIES = 50
MAX_CLASSES = 1000
# If at most this share of a column's cells are not numbers, it is a column of numbers, and these cells are mistakes.
MISTAKES = 0.1


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: one standardised input, and with `gaps` another input that is 1 at a gap and else 0.

    Attributes
    ----------
    name : str
    mean, scale : float
        The input is (value - mean) / scale.
    median : float
        The value that is used at a gap.
    gaps : bool
        Whether there were gaps in the training rows.
    """

    name: str
    mean: float
    scale: float
    median: float
    gaps: bool

    def __post_init__(self):
        _check_text(self.name)
        _check_numbers(self, "mean", "median")
        _check_numbers(self, "scale", above=0)
        _validation.flag("gaps", self.gaps)

    @property
    def n_inputs(self):
        """The number of the network's inputs that the column becomes."""
        return 1 + self.gaps

    @property
    def input_names(self):
        """The names of the inputs: the column, and whether there is a gap."""
        return [self.name, *([f"{self.name} = (gap)"] if self.gaps else [])]

    @classmethod
    def fit(cls, name, values):
        """Return the description of the values of the training rows, in which NaN is a gap; None if all are gaps."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        # The squares of very small or large numbers would leave the range of float64, so the numbers are divided by a
        # power of two, which rounds nothing.
        _, exponent = np.frexp(np.abs(known).max())
        unit = np.ldexp(known, -exponent)
        mean, scale, median = (float(np.ldexp(f(unit), exponent)) for f in (np.mean, np.std, np.median))
        if known.min() == known.max() or scale == 0:
            mean, scale = float(known[0]), 1.0  # so that the input is exactly 0 everywhere, without rounding
        return cls(name, mean, scale, median, len(known) < len(values))

    def remarks(self, table):
        """Yield a sentence if a new table has gaps and the training rows had none."""
        n_gaps = 0 if self.gaps else int(table.gaps(self.name).sum())
        if n_gaps:
            yield (
                f"column {self.name!r} has {_count(n_gaps, 'gap')}, filled with the median "
                f"{self.median:g}; there was none in the training rows"
            )

    def transform(self, table, out):
        """Write the inputs of every row to `out` (n_rows, n_inputs)."""
        values, failed = table.numbers(self.name)
        if failed:
            raise TableError(
                f"{table.where(self.name, failed[0])}; the model was trained on numbers there: "
                "wanted a number or an empty cell"
            )
        missing = np.isnan(values)
        values[missing] = self.median
        out[:, 0] = (values - self.mean) / self.scale
        if self.gaps:
            out[:, 1] = missing


@dataclass(frozen=True)
class Categorical:
    """A column of text: an input for each category, one for all other texts, and with `gaps` one for a gap.

    One of these inputs is 1, and all others are 0.
    """

    name: str
    categories: tuple
    gaps: bool

    def __post_init__(self):
        _check_text(self.name, *self.categories)
        _validation.flag("gaps", self.gaps)

    @property
    def n_inputs(self):
        """The number of the network's inputs that the column becomes."""
        return len(self.categories) + 1 + self.gaps

    @property
    def input_names(self):
        """The names of the inputs: each category, any other text, and a gap."""
        values = [*self.categories, "(other)", *(["(gap)"] if self.gaps else [])]
        return [f"{self.name} = {value}" for value in values]

    @classmethod
    def fit(cls, name, cells, missing):
        """Return the description of the cells of the training rows; None if all are gaps, or too many are different."""
        counts = {}
        for cell, gap in zip(cells, missing, strict=True):
            if not gap:
                counts[cell] = counts.get(cell, 0) + 1
        if not counts or (len(counts) > MAX_CATEGORIES and 2 * len(counts) > sum(counts.values())):
            return None
        commonest = sorted(counts, key=lambda cell: (-counts[cell], cell))[:MAX_CATEGORIES]
        return cls(name, tuple(sorted(commonest)), bool(missing.any()))

    def remarks(self, table):
        """Yield a sentence about the cells of a new table that have no input of their own."""
        known, gaps = set(self.categories), table.gaps(self.name)
        others = [
            cell
            for cell, gap in zip(table.column(self.name), gaps, strict=True)
            if cell not in known and not (gap and self.gaps)
        ]
        if others:
            shown = ", ".join(map(repr, sorted(set(others))[:3]))
            more = ", ..." if len(set(others)) > 3 else ""
            yield (
                f"column {self.name!r} has {_count(len(others), 'cell')} outside the "
                f"{len(self.categories)} categories of the model ({shown}{more})"
            )

    def transform(self, table, out):
        """Write the inputs of every row to `out` (n_rows, n_inputs)."""
        other = len(self.categories)
        inputs = {category: k for k, category in enumerate(self.categories)}
        cells = table.column(self.name)
        chosen = np.array([inputs.get(cell, other) for cell in cells], dtype=np.intp)
        if self.gaps:
            chosen[table.gaps(self.name)] = other + 1
        out[:] = 0
        out[np.arange(len(cells)), chosen] = 1


@dataclass(frozen=True)
class Encoder:
    """How the columns of a table become the inputs of a network.

    Attributes
    ----------
    columns : tuple of Numeric and Categorical
        In the order of the inputs.
    notes : tuple of str
        The columns that were left out, and why. They are not stored in the model file.
    """

    columns: tuple
    notes: tuple = field(default=(), compare=False)

    @property
    def n_inputs(self):
        """The number of inputs of the network, the width of what `transform` returns."""
        return sum(column.n_inputs for column in self.columns)

    @property
    def names(self):
        """The columns that a table must have."""
        return tuple(column.name for column in self.columns)

    @property
    def input_names(self):
        """The names of the network's inputs: a column, a category of a column, or a gap in a column."""
        return [name for column in self.columns for name in column.input_names]

    def column_of(self, k):
        """Return the name of the column that becomes input k of the network."""
        ends = np.cumsum([column.n_inputs for column in self.columns])
        return self.columns[int(np.searchsorted(ends, k, side="right"))].name

    @classmethod
    def fit(cls, table, names, *, rows=None, categorical=()):
        """Return the encoder that describes columns of a table.

        Parameters
        ----------
        table : Table
        names : sequence of str
            The columns to use.
        rows : integer array, optional
            The training rows: means, medians and categories come from these alone.
        categorical : sequence of str
            Columns of numbers that are treated as text.
        """
        rows = np.arange(table.n_rows) if rows is None else np.asarray(rows)
        for name in categorical:
            table.column(name)
        columns, notes = [], []
        for name in names:
            cells, missing = table.column(name), table.gaps(name)
            if missing.all():
                notes.append(f"column {name!r} is empty and left out")
                continue
            if name in categorical or not _is_numeric(table, name, int((~missing).sum())):
                column = Categorical.fit(name, [cells[row] for row in rows], missing[rows])
                why = "is empty" if missing[rows].all() else "is mostly different texts (names?)"
            else:
                column = Numeric.fit(name, table.numbers(name)[0][rows])
                why = "is empty"
            if column is None:
                notes.append(f"column {name!r} {why} in the training rows and is left out")
            else:
                columns.append(column)
        if not columns:
            raise TableError(
                f"{table.path} has no column to learn from; wanted at least one beside the target"
                + (f" ({'; '.join(notes)})" if notes else "")
            )
        return cls(tuple(columns), tuple(notes))

    def transform(self, table, dtype=np.float64):
        """Return the inputs (n_rows, n_inputs) of a table that has the columns, in any order."""
        lacking = [name for name in self.names if name not in table.cells]
        if lacking:
            spare = [name for name in table.names if name not in self.names]
            listed = ", ".join(f"{name!r}{nearest(name, spare)}" for name in lacking)
            what = "the column" if len(lacking) == 1 else f"{len(lacking)} columns:"
            raise TableError(
                f"{table.path} lacks {what} {listed}; the model was trained on {', '.join(map(repr, self.names))}"
            )
        limit = float(np.finfo(dtype).max)
        out = np.empty((table.n_rows, self.n_inputs), dtype=dtype)
        start = 0
        with np.errstate(over="ignore"):
            for column in self.columns:
                block = out[:, start : start + column.n_inputs]
                column.transform(table, block)
                if not np.isfinite(block).all():
                    row = int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                    raise TableError(
                        f"{table.where(column.name, row)}, too far from the training rows: "
                        f"standardised it is beyond {limit:.2g}; correct the cell"
                    )
                start += column.n_inputs
        return out

    def remarks(self, table):
        """Return sentences about gaps and categories of a table that were not in the training rows."""
        return [remark for column in self.columns for remark in column.remarks(table)]

    def to_dict(self):
        """Return a description that JSON can hold."""
        return {"columns": [{"kind": type(column).__name__.lower(), **asdict(column)} for column in self.columns]}

    @classmethod
    def from_dict(cls, description):
        """Return the Encoder that `to_dict` described."""
        kinds = {"numeric": Numeric, "categorical": Categorical}
        columns = []
        for entry in description["columns"]:
            fields = dict(entry)
            kind = kinds[fields.pop("kind")]
            if kind is Categorical:
                fields["categories"] = tuple(fields["categories"])
            columns.append(kind(**fields))
        return cls(tuple(columns))


def _check_text(*names):
    """Check names of columns, categories and classes, since a model file may come from anyone."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column, category or class has a text for a name, got {name!r:.100}")


def _check_numbers(described, *names, **bounds):
    """Make fields of a frozen dataclass floats; in a model file they may be integers of any size."""
    for name in names:
        object.__setattr__(described, name, _validation.number(name, getattr(described, name), **bounds))


def _count(n, what):
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _is_numeric(table, name, n_known):
    """Return whether all cells of a column are numbers or gaps; raise an error if it looks like a few mistakes."""
    _, failed = table.numbers(name)
    if failed and len(failed) <= MISTAKES * n_known:
        row = failed[0]
        raise TableError(
            f"{table.where(name, row)}, but {n_known - len(failed)} of its {n_known} cells are "
            "numbers; correct the cell, leave it empty, or have the column taken as categorical"
        )
    return not failed


@dataclass(frozen=True)
class Target:
    """The column that is to be predicted.

    Attributes
    ----------
    name : str
        The name of the column.
    task : {"regression", "classification"}
    classes : tuple of str
        The classes of a classification; their labels are 0, 1, ...
    mean, scale : float
        In a regression the network learns (value - mean) / scale.
    reason : str
        How the task was recognised, for people. It is not stored in the model file.
    """

    name: str
    task: str
    classes: tuple = ()
    mean: float = 0.0
    scale: float = 1.0
    reason: str = field(default="", compare=False)

    def __post_init__(self):
        _check_text(self.name, *self.classes)
        _validation.choice("task", self.task, ("regression", "classification"))
        _check_numbers(self, "mean")
        _check_numbers(self, "scale", above=0)

    @property
    def n_outputs(self):
        """The number of outputs that the network needs."""
        return len(self.classes) if self.task == "classification" else 1

    @classmethod
    def recognise(cls, table, name, task="auto"):
        """Return the target for a column; the task follows from its cells, unless `task` is given.

        Text makes a classification. So do whole numbers, if there are two different ones, or up to 20 that have ten
        rows each on average. All other numbers make a regression.
        """
        missing = table.gaps(name)
        n_known = int((~missing).sum())
        if not n_known:
            raise TableError(f"{table.path}: the target column {name!r} is empty")
        values, failed = table.numbers(name)
        known = values[~np.isnan(values)]
        n_values = len(np.unique(known))
        if task == "regression" and failed:
            row = failed[0]
            raise TableError(
                f"{table.where(name, row)}; wanted numbers in the target of a regression: correct "
                "the cell, or ask for classification"
            )
        reason = "as asked"
        if task == "auto" and failed:
            if len(failed) <= MISTAKES * n_known and n_values > 20:
                _is_numeric(table, name, n_known)
            task, reason = "classification", "the target is text"
        elif task == "auto":
            whole = bool((known == np.round(known)).all())
            few = n_values <= 2 or (n_values <= 20 and 10 * n_values <= n_known)
            task = "classification" if whole and few else "regression"
            kind = "whole numbers" if whole else "numbers"
            reason = f"the target holds {n_values} different {kind} in {n_known} rows"
        if task == "regression":
            if n_values == 1:
                raise TableError(
                    f"{table.path}: the target {name!r} is {known[0]:g} in every row; wanted at "
                    "least two different values"
                )
            return cls(name, task, reason=reason)

        labels = sorted(set(_class_names(table, name)) - {None}, key=_natural)
        if len(labels) == 1:
            raise TableError(
                f"{table.path}: the target {name!r} is {labels[0]!r} in every row; wanted at least two classes"
            )
        if len(labels) > MAX_CLASSES or (len(labels) > 2 and len(labels) == n_known):
            raise TableError(
                f"{table.path}: the target {name!r} has {len(labels)} different values in "
                f"{n_known} rows, which are no classes (wanted at most {MAX_CLASSES}, and some of "
                "them more than once); is it a name?"
            )
        return cls(name, task, tuple(labels), reason=reason)

    def encode(self, table):
        """Return the values of the column, and which rows have one.

        Returns
        -------
        values : float64 or int64 array (n_rows,)
            The numbers, or the labels of the classes.
        known : bool array (n_rows,)
            False at gaps and at classes that are not among `classes`.
        """
        if self.task == "classification":
            labels = {name: label for label, name in enumerate(self.classes)}
            names = _class_names(table, self.name)
            values = np.array([labels.get(name, -1) for name in names], dtype=np.int64)
            return values, values >= 0
        values, failed = table.numbers(self.name)
        if failed:
            row = failed[0]
            raise TableError(f"{table.where(self.name, row)}; wanted a number or an empty cell")
        return values, ~np.isnan(values)

    def fitted(self, values):
        """Return a copy of this target with the mean and scale of the training rows' values."""
        if self.task == "classification":
            return self
        column = Numeric.fit(self.name, values)
        return replace(self, mean=column.mean, scale=column.scale)

    def standardise(self, values):
        """Return values as the loss takes them: labels unchanged, numbers with mean 0 and deviation 1."""
        if self.task == "classification":
            return values
        with np.errstate(over="ignore"):  # the result is infinite then, and the network refuses it
            return (values - self.mean) / self.scale

    def decode(self, outputs):
        """Return predictions in the units of the table from a network's outputs, (rows, n_outputs).

        Returns
        -------
        float64 array
            Numbers, (rows,), or probabilities, (rows, classes).
        """
        outputs = np.asarray(outputs, dtype=np.float64)
        if self.task == "regression":
            return outputs[:, 0] * self.scale + self.mean
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def guess(self, training, n_rows):
        """Return predictions that use no column: the commonest class, or the mean, of the training rows' values.

        Returns
        -------
        float64 array (n_rows,) or (n_rows, classes), as `decode` gives it.
        """
        if self.task == "regression":
            return np.full(n_rows, training.mean())
        commonest = np.bincount(training, minlength=len(self.classes)).argmax()
        return np.tile(np.eye(len(self.classes))[commonest], (n_rows, 1))

    def texts(self, predictions, dtype):
        """Return the predictions of `decode` as text for a file, with all digits that a network of `dtype` computes.

        Returns
        -------
        list of str, or for classes list of list of str
        """
        digits = 9 if np.dtype(dtype) == np.float32 else 17  # enough to distinguish any two neighbouring numbers
        if self.task == "regression":
            return [decimal(value, self.scale, digits) for value in predictions.tolist()]
        return [[_probability(value, digits) for value in row] for row in predictions.tolist()]

    def number(self, value):
        """Return a value of a regression as text for people, with six digits of the target's scale."""
        return decimal(float(value), self.scale, 6)

    def scores(self, predictions, values):
        """Return the scores of the predictions of `decode` by name: RMSE, MAE and R2, or accuracy."""
        if self.task == "classification":
            return {"accuracy": float((predictions.argmax(axis=1) == values).mean())}
        with np.errstate(over="ignore", invalid="ignore"):  # the square of a prediction may be infinite
            error = predictions - values
            spread = float(((values - values.mean()) ** 2).sum())
            return {
                "RMSE": float(np.sqrt((error**2).mean())),
                "MAE": float(np.abs(error).mean()),
                "R2": 1 - float((error**2).sum()) / spread if spread > 0 else float("nan"),
            }

    def to_dict(self):
        """Return a description that JSON can hold."""
        description = asdict(self)
        del description["reason"]
        return description

    @classmethod
    def from_dict(cls, description):
        """Return the Target that `to_dict` described."""
        return cls(**{**description, "classes": tuple(description["classes"])})


def decimal(value, spread, digits):
    """Return a number in decimals, rounded to `digits` digits of `spread`: 1700000123.45 for a spread of 1000 and 6."""
    if abs(value) >= 1e16 or spread < 1e-10:  # the text would be mostly zeros
        return repr(value)
    places = max(0, digits - 1 - int(np.floor(np.log10(spread))))
    text = np.format_float_positional(value, precision=places, trim="-")
    return "0" if text == "-0" else text


def _probability(value, digits):
    return decimal(value, 1.0, digits) if value >= 1e-6 else f"{value:.{digits - 2}g}"


def _class_names(table, name):
    """Return the class of every row: the text, or a number in its shortest form; None at a gap."""
    values, failed = table.numbers(name)
    names = table.column(name)
    if not failed:  # so that 1, 1.0 and 01 are one class
        names = [repr(value + 0.0).removesuffix(".0") for value in values.tolist()]
    return [None if gap else text for text, gap in zip(names, table.gaps(name), strict=True)]


def _natural(name):
    """Return a key that sorts numbers by their value, and texts behind them."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def split_rows(rows, fraction, seed, labels=None):
    """Split row numbers into training and test rows, at random.

    Parameters
    ----------
    rows : integer array
    fraction : float
        The share of test rows, 0 <= fraction < 1.
    seed : int
    labels : integer array, optional
        The class of each of `rows`. If given, each class is split in that proportion, and keeps at least one training
        row.

    Returns
    -------
    training, test : integer arrays
        In ascending order; at least one row is for training.
    """
    rows = np.asarray(rows)
    order = np.random.default_rng(seed).permutation(len(rows))
    first = np.zeros(len(rows), dtype=bool)
    first[:1] = True
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
        sorted_labels = np.asarray(labels)[order]
        first[1:] = sorted_labels[1:] != sorted_labels[:-1]
    # A row is a test row where the running total of `fraction` passes a whole number, so test rows are spread evenly
    # over the classes.
    totals = np.floor(np.arange(len(rows) + 1) * fraction + 1e-9)
    test = (np.diff(totals) > 0) & ~first
    return np.sort(rows[order[~test]]), np.sort(rows[order[test]])
