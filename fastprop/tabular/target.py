"""Target: the column that is to be predicted, as a loss takes it, and predictions in the user's terms."""

from collections import Counter
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from fastprop import _validation
from fastprop.nn import losses
from fastprop.tabular.reading import ColumnSchema, check_finite, check_names, gaps_word, read_numbers, read_texts
from fastprop.tabular.schema import infer_column
from fastprop.tabular.table import NumberColumn, TableError
from fastprop.training.ranks import ALONE

__all__ = ["Target", "decimal", "split_in_order", "split_rows"]

MAX_CLASSES = 1000
# scikit-learn's names of losses.
NAMES = {"log_loss": "cross_entropy", "absolute_error": "mae"}
# If at most this share of a column's cells are not numbers, it is a column of numbers, and these cells are mistakes.
MISTAKES = 0.1


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
        In a regression the network learns (value - mean) / scale. Where the loss applies an exponential to the
        outputs, mean is 0 and scale the mean of the training rows.
    given_loss : str, dict or Loss
        The loss that the network is trained with; "auto" is "cross_entropy" or "half_mse".
    class_dtype : {"str", "int", "float", "bool"}
        What the classes were before they became texts.
    reading : ColumnSchema, optional
        How the cells of the column are read.
    reason : str
        How the task was recognised, for people. It is not stored in the model file.
    notes : tuple of str
        Sentences about how the cells are read, for the user. They are not stored either.
    """

    name: str
    task: str
    classes: tuple = ()
    mean: float = 0.0
    scale: float = 1.0
    given_loss: object = "auto"
    class_dtype: str = "str"
    reading: ColumnSchema | None = None
    reason: str = field(default="", compare=False)
    notes: tuple = field(default=(), compare=False)

    def __post_init__(self):
        check_names(self.name, *self.classes)
        object.__setattr__(self, "classes", tuple(self.classes))
        if isinstance(self.reading, dict):
            object.__setattr__(self, "reading", ColumnSchema(**self.reading))
        if not isinstance(self.reading, ColumnSchema | None):
            raise TypeError(f"the reading of a target is a ColumnSchema, got {self.reading!r:.100}")
        _validation.choice("task", self.task, ("regression", "classification"))
        object.__setattr__(self, "mean", _validation.number("mean", self.mean))
        object.__setattr__(self, "scale", _validation.number("scale", self.scale, above=0))
        _validation.choice("class_dtype", self.class_dtype, ("str", "int", "float", "bool"))
        _check_loss(self.loss, self.task)

    @property
    def loss(self):
        """The loss that the network is trained with."""
        if self.given_loss == "auto":
            return losses.cross_entropy if self.task == "classification" else losses.half_mse
        given = self.given_loss
        return losses.parse(NAMES.get(given, given) if isinstance(given, str) else given)

    @property
    def class_values(self):
        """The classes as they were given, an array."""
        if self.class_dtype == "bool":
            return np.array([name == "True" for name in self.classes])
        return np.array(self.classes).astype(self.class_dtype)

    @property
    def levels(self):
        """The levels of the quantiles that are predicted; empty where the loss is another."""
        return tuple(self.loss.values["levels"]) if self.loss.name == "quantile" else ()

    @property
    def n_outputs(self):
        """The number of outputs that the network needs."""
        return len(self.classes) if self.task == "classification" else self.loss.outputs

    @classmethod
    def recognise(cls, table, name, task="auto", *, na=None):
        """Return the target for a column; the task follows from its cells, unless `task` is given.

        Text makes a classification. So do whole numbers, if there are two different ones, or up to 20 that have ten
        rows each on average. All other numbers make a regression.

        Parameters
        ----------
        table : Table
        name : str
        task : {"auto", "regression", "classification"}
        na : sequence of str, optional
            The spellings of gaps, instead of the usual ones; ``"default"`` stands for these.
        """
        column = table[name]
        reading, notes = infer_column(table, name, na=na)
        if reading is None:
            raise TableError(f"{table.path}: the target column {name!r} is empty")
        if reading.kind == "number":
            values, failed = reading.numbers(column)
        else:
            values, failed = read_numbers(column, gaps=reading.gaps)
            if task == "regression" and not failed.any():  # codes with leading zeros, say
                reading, notes = ColumnSchema(name, "number", na=reading.na), []
        check_finite(table, name, values)
        n_known = int((failed | ~np.isnan(values)).sum())
        known = values[~np.isnan(values)]
        n_values = len(np.unique(known))
        if task == "regression" and failed.any():
            raise TableError(
                f"{table.where(name, int(failed.argmax()))}; wanted numbers in the target of a regression: correct "
                "the cell, or ask for classification"
            )
        reason = "as asked"
        if task == "auto" and (failed.any() or reading.kind != "number"):
            if reading.kind == "number" and failed.sum() <= MISTAKES * n_known and n_values > 20:
                raise TableError(
                    f"{table.where(name, int(failed.argmax()))}, but {n_known - failed.sum()} of its {n_known} cells "
                    "are numbers; correct the cell, leave it empty, or ask for classification"
                )
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
            return cls(name, task, reading=reading, reason=reason, notes=tuple(notes))

        if failed.any() or reading.kind != "number":
            reading, notes = ColumnSchema(name, "category", na=reading.na), []
        codes, names = _classes(column, reading)
        labels = sorted({names[code] for code in np.unique(codes[codes >= 0])}, key=_natural)
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
        gaps = Counter(text for text in map(column.cell, np.flatnonzero(codes < 0).tolist()) if text)
        if gaps:
            text, n = gaps.most_common(1)[0]
            notes.append(
                f"{n:,} of {len(codes):,} cells of {name!r} are {text!r}, read as {gaps_word(n)}: "
                f'if {text!r} is a class, say --na "", or which texts are gaps'
            )
        return cls(name, task, tuple(labels), reading=reading, reason=reason, notes=tuple(notes))

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
            codes, names = _classes(table[self.name], self.reading)
            values = np.array([*(labels.get(name, -1) for name in names), -1], np.int64)[codes]
            return values, values >= 0
        column = table[self.name]
        values, failed = read_numbers(column) if self.reading is None else self.reading.numbers(column)
        check_finite(table, self.name, values)
        if failed.any():
            raise TableError(f"{table.where(self.name, int(failed.argmax()))}; wanted a number or an empty cell")
        return values, ~np.isnan(values)

    def with_all_classes(self, table, ranks):
        """Return a copy of this target with the classes of the rows of all ranks, given those of this one."""
        if self.task == "regression" or ranks.alone:
            return self
        codes, names = _classes(table[self.name], self.reading)
        mine = {names[code] for code in np.unique(codes[codes >= 0])}
        return replace(self, classes=tuple(sorted(set().union(*ranks.gather_objects(mine)), key=_natural)))

    def fitted(self, values, ranks=ALONE):
        """Return a copy of this target with the mean and scale of the training rows' values, on all ranks."""
        if self.task == "classification":
            return self
        least = float(ranks.of_each(values.min(initial=np.inf)).min())
        most = float(ranks.of_each(np.abs(values).max(initial=0)).max())
        if self.loss.link == "exp":
            if least < 0 or (self.loss.targets == "positive" and least == 0) or not most:
                wanted = "positive" if self.loss.targets == "positive" else "not negative, and not all 0"
                raise ranks.common(
                    ValueError(
                        f"the loss {self.loss.name} needs targets that are {wanted}; the least of {self.name!r} is "
                        f"{least:g}: choose another loss, such as squared_error"
                    )
                )
            total, n = ranks.sums(values.sum(), len(values))
            return replace(self, mean=0.0, scale=float(total / n))
        # The squares of very small or large numbers would leave the range of float64, so the numbers are divided by a
        # power of two, which rounds nothing.
        _, exponent = np.frexp(most)
        unit = np.ldexp(values, -exponent)
        total, n = ranks.sums(unit.sum(), len(unit))
        unit_mean = total / n
        (squares,) = ranks.sums(np.square(unit - unit_mean).sum())
        mean, scale = float(np.ldexp(unit_mean, exponent)), float(np.ldexp(np.sqrt(squares / n), exponent))
        return replace(self, mean=mean, scale=scale if scale > 0 else 1.0)

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
            Numbers, (rows,), or probabilities, (rows, classes). Of several quantiles the one nearest to the median.
        """
        outputs = np.asarray(outputs, dtype=np.float64)
        if self.task == "regression":
            nearest = int(np.abs(np.array(self.levels or [0.5]) - 0.5).argmin())
            return self.decode_all(outputs)[:, nearest]
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def decode_all(self, outputs):
        """Return every number that a regression predicts, float64 (rows, outputs): quantiles in increasing order."""
        outputs = np.asarray(outputs, dtype=np.float64)
        if self.loss.link == "exp":
            return np.exp(outputs) * self.scale
        # Quantiles that cross are sorted, which brings none further from the truth (Chernozhukov et al. 2010).
        return (np.sort(outputs, axis=1) if self.levels else outputs) * self.scale + self.mean

    def guess(self, training, n_rows):
        """Return predictions that use no column: the shares of the classes, or the mean, of the training rows.

        Returns
        -------
        float64 array (n_rows,) or (n_rows, classes), as `decode` gives it.
        """
        if self.task == "regression":
            return np.full(n_rows, training.mean())
        shares = np.bincount(training, minlength=len(self.classes)) / len(training)
        return np.tile(shares, (n_rows, 1))

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

    def to_dict(self):
        """Return a description that JSON can hold."""
        description = asdict(replace(self, given_loss="auto")) | {"given_loss": self.given_loss}
        if isinstance(self.given_loss, losses.Loss):
            description["given_loss"] = self.given_loss.describe()
        del description["reason"], description["notes"]
        return description

    @classmethod
    def from_dict(cls, description):
        """Return the Target that `to_dict` described."""
        return cls(**{**description, "classes": tuple(description["classes"])})


def _check_loss(loss, task):
    """Refuse a loss that does not suit the task."""
    wanted = ("classes",) if task == "classification" else ("numbers", "not negative", "positive")
    if loss.targets not in wanted or loss.link in ("margin", "exp of v"):
        suited = ", ".join(
            name for name, each in losses.LOSSES.items() if each.targets in wanted and "of v" not in each.link
        )
        raise ValueError(f"the loss {loss.name} does not suit a {task} of a table; use one of {suited}")


def decimal(value, spread, digits):
    """Return a number in decimals, rounded to `digits` digits of `spread`: 1700000123.45 for a spread of 1000 and 6."""
    if abs(value) >= 1e16 or spread < 1e-10:  # the text would be mostly zeros
        return repr(value + 0.0)  # -0.0 is 0
    places = max(0, digits - 1 - int(np.floor(np.log10(spread))))
    text = np.format_float_positional(value, precision=places, trim="-")
    return "0" if text == "-0" else text


def _probability(value, digits):
    return decimal(value, 1.0, digits) if value >= 1e-6 else f"{value:.{digits - 2}g}"


def _classes(column, reading):
    """Return codes, int32 (rows,), -1 at gaps, and the names of the classes: a number is named in its shortest form."""
    if reading is None:
        reading = ColumnSchema("", "category" if read_numbers(column)[1].any() else "number")
    if reading.kind != "number":
        return read_texts(column, reading.gaps)
    # 1, 1.0 and 01 are one class, and -0 is 0.
    return read_texts(NumberColumn(reading.numbers(column)[0] + 0.0))


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
    return split_in_order(rows, np.random.default_rng(seed).permutation(len(rows)), fraction, labels)


def split_in_order(rows, order, fraction, labels=None):
    """Split row numbers as ``split_rows`` does, by a permutation of 0 to len(rows) - 1 in place of a seed."""
    rows = np.asarray(rows)
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
