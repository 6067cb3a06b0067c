"""Recipe: every number of the default training on a table.

The numbers were chosen by paired comparisons on 40 public tables, 17 of classes and 23 of numbers, of which eight are
those of ``benchmarks/tables.py``. A percentage below is the mean change of the log loss, or of the RMSE, over tables,
without the eighth that gained most and the eighth that lost most.
"""

import math
from dataclasses import dataclass, replace

__all__ = ["EFFORTS", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How networks are made and trained for a table.

    Attributes
    ----------
    hidden : tuple of int
        The widths of the hidden layers; none for a linear model.
    activation : str
        Of the hidden layers.
    bins : int
        The bins of the piecewise-linear encoding of each number. 16 instead of 32 cost 1.1% of RMSE.
    distinct : int
        A column of at most this many distinct values has an edge at each. With 150 instead of 32, the log loss of the
        26,000 rows of `income`, where single amounts of capital gains tell much, is 3.3% lower.
    embedding_width : int
        The numbers that stand for each category of a column of more than 20.
    dropout : float
        After each hidden layer. 0.25 instead of 0.1 costs 5% of RMSE.
    rate, weight_decay : float
        Of AdamW; the rate falls to 0 as a cosine over the planned steps. A decay of 0.1 changes nothing.
    batch_size : int
        256 with half the steps is no better.
    steps : int
        The planned steps of each network. Early stopping ends most trainings before. 500 for classes cost 5.4% of log
        loss, on few tables and much.
    passes, most_steps : int
        More steps are planned for more rows: this number of epochs, up to this number of steps. 40 instead of 20
        passes add 0.004 to the R2 of `housing`, 0.002 to that of `bike`.
    patience : float
        The share of the planned epochs that may pass without a better cost of the rows held out. It saves a third of
        the time, and costs nothing (0.00% +- 0.07).
    folds : int
        The number of networks. Each holds out one fold of the rows for early stopping, and their outputs are averaged.
        8 instead of 4 gain 1.1% of RMSE, in twice the time.
    members : int
        The number of networks with shared weights in each, as ``Network`` takes it. 4 gain 1% of log loss, in four
        times the time.
    """

    hidden: tuple = (128, 128)
    activation: str = "relu"
    bins: int = 32
    distinct: int = 32
    embedding_width: int = 8
    dropout: float = 0.1
    rate: float = 2e-3
    weight_decay: float = 1e-2
    batch_size: int = 128
    steps: int = 1500
    passes: int = 0
    most_steps: int = 4000
    patience: float = 0.3
    folds: int = 4
    members: int = 1

    @classmethod
    def of(cls, effort, task, rows=0):
        """Return the recipe of an effort, a key of ``EFFORTS``, for a "regression" or a "classification" of rows."""
        recipe = EFFORTS[effort]
        # Fewer than 32 rows for each edge would teach little about each.
        recipe = replace(recipe, distinct=min(max(32, rows // 32), 256))
        if task == "classification" and rows <= MANY_ROWS:
            return recipe  # it overfits within a few epochs
        # Numbers, and many rows of classes, are fitted for longer. Layers half as wide with more steps reach better
        # scores in less time: R2 of `bike` 0.956 after 0.953, log loss of `income` the same in three quarters. They
        # need no dropout, and take twice the rate. With silu the RMSE is 1.8% lower (+-0.5) than with relu.
        recipe = replace(recipe, activation="silu", dropout=0.0, rate=4e-3, steps=5 * recipe.steps // 3)
        if task == "classification":
            return replace(recipe, hidden=(64, 64))
        # A third layer lowers the RMSE where there are many rows (R2 of `bike` 0.960 after 0.958), and raises it by
        # 0.7% on 20 tables of at most 4,000 rows.
        hidden = (64, 64, 64) if rows > MANY_ROWS else (64, 64)
        return replace(recipe, hidden=hidden, passes=0 if effort == "low" else 40)

    def plan(self, rows):
        """Return the size of a batch and the planned epochs for a number of rows."""
        n_batches = max(1, round(rows / self.batch_size))  # dealt evenly: a few rows in the last waste a step
        steps = max(self.steps, min(self.passes * n_batches, self.most_steps))
        return math.ceil(rows / n_batches), max(1, round(steps / n_batches))

    def for_columns(self, n_numbers):
        """Return the recipe for a number of columns of numbers: of very many, each has fewer bins."""
        share = max(LEAST_BINS, MOST_BINS // max(n_numbers, 1))
        return replace(self, bins=min(self.bins, share), distinct=min(self.distinct, share))

    def linear(self):
        """Return the recipe of the linear networks that are mixed with the others where that helps."""
        return replace(self, hidden=(), rate=1e-2, members=1, passes=0)


# A first layer of more bins takes most of the time: for 1,500 columns of 300 rows a training took 80 seconds.
MOST_BINS, LEAST_BINS = 2048, 4

# Up to this many rows, networks of classes overfit soon, and two layers suffice for numbers.
MANY_ROWS = 10_000

EFFORTS = {"low": Recipe(bins=16, steps=900, folds=2), "medium": Recipe(), "high": Recipe(members=4, folds=8)}
