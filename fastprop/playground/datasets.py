"""Points in the plane to learn from: made by a formula and some noise, or two columns of a table."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastprop.tabular.csv import Table, TableError
from fastprop.tabular.encoders import Numeric, Target

MOST_ROWS = 2000  # of a table: more points hide each other on a canvas of some 400 pixels
MOST_COLUMNS = 200  # to choose from in a list that someone scrolls through
MOST_CLASSES = 6  # as many colours as are told apart
# Of a made set, from its middle to its edge. At 3, networks of two hidden layers have the spirals in 100 epochs from
# the usual initial weights, at 1 they do not.
SIZE = 3.0


@dataclass(frozen=True)
class Points:
    """What is learned.

    Attributes
    ----------
    X : ndarray, (rows, 2)
    y : ndarray, (rows,)
        Labels 0, 1, ... as int64, or numbers of mean 0 and deviation about 1 as float64.
    axes : tuple of str
        What the two columns of X are called.
    classes : tuple of str
        The names of the labels; none where y is numbers.
    target : str
        What y is called.
    notes : tuple of str
        What whoever sees the points should know of them.
    """

    X: np.ndarray
    y: np.ndarray
    axes: tuple[str, str] = ("x1", "x2")
    classes: tuple[str, ...] = ("0", "1")
    target: str = "class"
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What learning these is called."""
        return "classification" if self.classes else "regression"


# ---- by formula: (n, noise, random) -> X, y; of about unit size, as is the noise ----


def circles(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A disc and a ring around it."""
    y = np.arange(n) % 2
    radius = np.where(y == 0, random.uniform(0, 0.5, n), random.uniform(0.75, 1, n))
    angle = random.uniform(0, 2 * np.pi, n)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return X + noise * random.normal(0, 0.5, X.shape), y


def xor(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Class 1 where the signs of the two differ."""
    X = random.uniform(-1, 1, (n, 2))
    X += 0.08 * np.sign(X)  # a gap along the axes
    y = (X[:, 0] * X[:, 1] < 0).astype(np.int64)
    return X + noise * random.normal(0, 0.5, X.shape), y


def spirals(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two arms around each other."""
    y = np.arange(n) % 2
    along = np.sqrt(random.uniform(0.02, 1, n))
    angle = 1.25 * 2 * np.pi * along + np.pi * y
    X = np.column_stack([along * np.sin(angle), along * np.cos(angle)])
    return X + noise * random.normal(0, 0.2, X.shape), y


def gaussians(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds, a class each."""
    y = np.arange(n) % 3
    angle = 2 * np.pi * y / 3 + np.pi / 2
    X = 0.65 * np.column_stack([np.cos(angle), np.sin(angle)])
    return X + (0.12 + 0.5 * noise) * random.normal(0, 1, X.shape), y


def moons(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles that reach into each other."""
    y = np.arange(n) % 2
    angle = random.uniform(0, np.pi, n)
    upper = np.column_stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25])
    X = 0.7 * np.where(y[:, None] == 0, upper, -upper)
    return X + noise * random.normal(0, 0.35, X.shape), y


def plane(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A slope, which a linear network has at once."""
    X = random.uniform(-1, 1, (n, 2))
    return X, X.sum(axis=1) + noise * random.normal(0, 1, n)


def ripple(n: int, noise: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A wave that runs outwards."""
    X = random.uniform(-1, 1, (n, 2))
    return X, np.cos(6 * np.hypot(*X.T)) + noise * random.normal(0, 1, n)


CLASSES = {made.__name__: made for made in (circles, xor, spirals, gaussians, moons)}
NUMBERS = {made.__name__: made for made in (plane, ripple)}
MADE: dict[str, Callable] = CLASSES | NUMBERS


def make(name: str, n: int, noise: float, seed: int) -> Points:
    """So many points of a set of the list."""
    X, y = MADE[name](n, noise, np.random.default_rng(seed))
    X *= SIZE
    if name in NUMBERS:
        return Points(X, (y - y.mean()) / y.std(), classes=(), target="value")
    return Points(X, y.astype(np.int64), classes=tuple(map(str, range(int(y.max()) + 1))))


# ---- from a table ----


def check(table: Table) -> Table:
    """A table that can be chosen from.

    Raises
    ------
    TableError
        If it has too many columns, or fewer than three.
    """
    if not 3 <= len(table.names) <= MOST_COLUMNS:
        raise TableError(
            f"{table.path} has {len(table.names):,} columns; wanted 3 to {MOST_COLUMNS}: two to learn from and one to "
            "predict, and few enough to choose among"
        )
    return table


def from_table(table: Table, x: str, y: str, target: str, seed: int) -> Points:
    """Two columns of a table as points, and a third as what is learned.

    Raises
    ------
    TableError
        If a column is missing, named twice, or holds something else than numbers; if too few rows are whole.
    """
    if len({x, y, target}) < 3:
        raise TableError(f"got {x!r}, {y!r} and {target!r}; choose three different columns")
    columns = []
    for name in (x, y):
        values, failed = table.numbers(name)
        if failed:
            raise TableError(f"{table.where(name, failed[0])}; wanted a number or an empty cell: choose another column")
        columns.append(values)
    aim = Target.recognise(table, target)
    labels, known = aim.encode(table)
    if len(aim.classes) > MOST_CLASSES:
        raise TableError(
            f"{table.path}: {target!r} has {len(aim.classes)} classes; wanted at most {MOST_CLASSES}: choose another"
        )
    whole = np.flatnonzero(known & np.isfinite(columns).all(axis=0))
    if len(whole) < 4:
        raise TableError(f"{table.path}: {len(whole)} rows have all three columns; wanted at least 4")
    gaps = table.n_rows - len(whole)
    notes = [f"{gaps:,} of {table.n_rows:,} rows left out for a gap"] if gaps else []
    if len(whole) > MOST_ROWS:
        notes.append(f"{MOST_ROWS:,} of {len(whole):,} rows drawn at random")
        whole = np.sort(np.random.default_rng(seed).choice(whole, MOST_ROWS, replace=False))
    X = np.column_stack([_standard(name, column[whole]) for name, column in zip((x, y), columns)])
    learned = labels[whole] if aim.classes else _standard(target, labels[whole])
    return Points(X, learned, (x, y), aim.classes, target, (*table.notes, *notes))


def _standard(name: str, values: np.ndarray) -> np.ndarray:
    """The values with mean 0 and deviation 1."""
    how = Numeric.fit(name, values)
    return (values - how.mean) / how.scale
