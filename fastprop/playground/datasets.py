"""Points in the plane to learn from: made by a formula and some noise, or two columns of a table."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastprop._core import _engine
from fastprop.playground.random import POINTS, Random
from fastprop.tabular.reading import check_finite, read_numbers
from fastprop.tabular.table import Table, TableError
from fastprop.tabular.target import Target

MIN_ROWS = 20  # of a generated set: of fewer, a test share of 0.9 would leave one point for training
MAX_ROWS = 2000  # of a table: more points would hide each other on a canvas of about 400 pixels
MAX_COLUMNS = 200  # of a table: more would make the lists to choose from too long to scroll through
MAX_CLASSES = 6  # the number of colours that are easy to distinguish
# The distance from the middle of a generated set to its edge. With 3, networks of two hidden layers learn the spirals
# in 100 epochs from the usual initial weights; with 1 they do not.
SIZE = 3.0
DECIMALS = 6  # of generated points, so that they are equal where sines differ in the last bit


@dataclass(frozen=True)
class Points:
    """The points that are learned.

    Attributes
    ----------
    X : ndarray, (rows, 2)
    y : ndarray, (rows,)
        Labels 0, 1, ... as int64, or numbers of mean 0 and deviation about 1 as float64.
    axes : tuple of str
        The names of the two columns of X.
    classes : tuple of str
        The names of the labels; empty where y holds numbers.
    target : str
        The name of y.
    notes : tuple of str
        Sentences about the points for the user.
    """

    X: np.ndarray
    y: np.ndarray
    axes: tuple[str, str] = ("x1", "x2")
    classes: tuple[str, ...] = ("0", "1")
    target: str = "class"
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The task: "classification" or "regression"."""
        return "classification" if self.classes else "regression"

    def table(self) -> list[list[float]]:
        """The points for the page, [x1, x2, label or value], to four decimals."""
        return np.round(np.column_stack([self.X, self.y]), 4).tolist()


# ---- generated points: (n, noise, random) -> X, y, both of about unit size, as is the noise ----


def circles(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return a disc and a ring around it."""
    y = np.arange(n) % 2
    radius = np.where(y == 0, random.uniform(0, 0.5, n), random.uniform(0.75, 1, n))
    angle = random.uniform(0, 2 * np.pi, n)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return X + noise * random.normal(0, 0.5, X.shape), y


def xor(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return points in a square, in class 1 where the signs of the coordinates differ."""
    X = random.uniform(-1, 1, (n, 2))
    X += 0.08 * np.sign(X)  # a gap along the axes
    y = (X[:, 0] * X[:, 1] < 0).astype(np.int64)
    return X + noise * random.normal(0, 0.5, X.shape), y


def spirals(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return two spiral arms around each other."""
    y = np.arange(n) % 2
    along = np.sqrt(random.uniform(0.02, 1, n))
    angle = 1.25 * 2 * np.pi * along + np.pi * y
    X = np.column_stack([along * np.sin(angle), along * np.cos(angle)])
    return X + noise * random.normal(0, 0.2, X.shape), y


def gaussians(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return three Gaussian clouds, one for each class."""
    y = np.arange(n) % 3
    angle = 2 * np.pi * y / 3 + np.pi / 2
    X = 0.65 * np.column_stack([np.cos(angle), np.sin(angle)])
    return X + (0.12 + 0.5 * noise) * random.normal(0, 1, X.shape), y


def moons(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return two half circles that reach into each other."""
    y = np.arange(n) % 2
    angle = random.uniform(0, np.pi, n)
    upper = np.column_stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25])
    X = 0.7 * np.where(y[:, None] == 0, upper, -upper)
    return X + noise * random.normal(0, 0.35, X.shape), y


def plane(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return an inclined plane, which a linear network learns at once."""
    X = random.uniform(-1, 1, (n, 2))
    return X, X.sum(axis=1) + noise * random.normal(0, 1, n)


def ripple(n: int, noise: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return a circular wave."""
    X = random.uniform(-1, 1, (n, 2))
    return X, np.cos(6 * np.hypot(*X.T)) + noise * random.normal(0, 1, n)


CLASSES = {made.__name__: made for made in (circles, xor, spirals, gaussians, moons)}
NUMBERS = {made.__name__: made for made in (plane, ripple)}
MADE: dict[str, Callable] = CLASSES | NUMBERS


def make(name: str, n: int, noise: float, seed: int) -> Points:
    """Return n points of the set with this name."""
    X, y = MADE[name](n, noise, Random(seed, POINTS))
    X = np.round(SIZE * X, DECIMALS)
    if name in NUMBERS:
        return Points(X, np.round((y - y.mean()) / y.std(), DECIMALS), classes=(), target="value")
    return Points(X, y.astype(np.int64), classes=tuple(map(str, range(int(y.max()) + 1))))


# ---- from a table ----


def check(table: Table) -> Table:
    """Check and return a table whose columns the user chooses from.

    Raises
    ------
    TableError
        If it has too many columns, or fewer than three.
    """
    if not 3 <= len(table.names) <= MAX_COLUMNS:
        raise TableError(
            f"{table.path} has {len(table.names):,} columns; wanted 3 to {MAX_COLUMNS}: two to learn from and one to "
            "predict, and few enough to choose among"
        )
    return table


def from_table(table: Table, x: str, y: str, target: str, seed: int) -> Points:
    """Return two columns of a table as points, and a third as their target.

    Raises
    ------
    TableError
        If a column is missing or given twice, if one of the two does not hold numbers, or if too few rows are complete.
    """
    if len({x, y, target}) < 3:
        raise TableError(f"got {x!r}, {y!r} and {target!r}; choose three different columns")
    columns = []
    for name in (x, y):
        values, failed = read_numbers(table[name])
        if failed.any():
            cell = table.where(name, int(failed.argmax()))
            raise TableError(f"{cell}; wanted a number or an empty cell: choose another column")
        check_finite(table, name, values)
        columns.append(values)
    aim = Target.recognise(table, target)
    labels, known = aim.encode(table)
    if len(aim.classes) > MAX_CLASSES:
        raise TableError(
            f"{table.path}: {target!r} has {len(aim.classes)} classes; wanted at most {MAX_CLASSES}: choose another"
        )
    whole = np.flatnonzero(known & np.isfinite(columns).all(axis=0))
    if len(whole) < 4:
        raise TableError(f"{table.path}: {len(whole)} rows have all three columns; wanted at least 4")
    gaps = table.n_rows - len(whole)
    notes = [f"{gaps:,} of {table.n_rows:,} rows left out for a gap"] if gaps else []
    if len(whole) > MAX_ROWS:
        notes.append(f"{MAX_ROWS:,} of {len(whole):,} rows drawn at random")
        order = np.empty(len(whole), np.int64)
        _engine.shuffle(order, seed, 0)
        whole = np.sort(whole[order[:MAX_ROWS]])
    X = np.column_stack([_standard(name, column[whole]) for name, column in zip((x, y), columns)])
    learned = labels[whole] if aim.classes else _standard(target, labels[whole])
    return Points(X, learned, (x, y), aim.classes, target, (*table.notes, *notes))


def _standard(name: str, values: np.ndarray) -> np.ndarray:
    """Return the values with mean 0 and deviation 1."""
    return Target(name, "regression").fitted(values).standardise(values)
