"""Layers that read the columns of a table: embeddings of categories and of numbers, as frozen descriptions."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from math import sqrt
from typing import ClassVar

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop.data import arrays
from fastprop.nn import activations
from fastprop.nn.layers import Dense, Layer
from fastprop.nn.operations import Operation

LONGEST = 100  # characters of edges in a repr, enough for two columns of two bins


@frozen
class Embedding(Layer):
    """Replaces each category in a column of X by a row of a learned table, and passes the other columns on.

    The outputs are first the other columns, in their order, and then the rows of the tables, in the order of the
    columns. Weights start normal with variance 1 / width. Guo and Berkhahn 2016, *Entity embeddings of categorical
    variables*. The gradient of a table's row is the sum of da over the rows of X with its category.

    Parameters
    ----------
    columns : dict
        Column of X -> (number of categories, width). The column has whole numbers in [0, number of categories).

    Raises
    ------
    ValueError, TypeError
        If a column, a number of categories or a width is not a whole number, or a column is given twice.

    Examples
    --------
    >>> Embedding({3: (7, 4)}).operations(5)[0].n_out
    8
    """

    columns: "tuple[tuple[int, int, int], ...]"

    kind: ClassVar[str] = "embedding"
    first_only: ClassVar[bool] = True
    checks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given = self.columns
        rows = list(given.items()) if isinstance(given, Mapping) else list(given)
        checked = []
        for row in rows:
            try:
                column, categories, width = (row[0], *row[1]) if len(row) == 2 else row
            except (TypeError, ValueError):
                raise TypeError(
                    f"Embedding takes {{column: (categories, width)}}, got {row!r:.200}; use for example {{3: (7, 4)}}"
                ) from None
            checked.append(
                (
                    _validation.whole("a column of Embedding", column),
                    _validation.count("categories", categories),
                    _validation.count("width", width),
                )
            )
        if not checked:
            raise ValueError("Embedding needs at least one column, got none; use for example Embedding({3: (7, 4)})")
        if len({column for column, _, _ in checked}) < len(checked):
            raise ValueError(f"Embedding got a column twice: {checked!r:.200}")
        self._store(columns=tuple(sorted(checked)))

    def operations(self, n_in, *, first=False):
        """Return the look-up in the tables."""
        last = self.columns[-1][0]
        if last >= n_in:
            raise ValueError(
                f"Embedding reads column {last}, but the network has {n_in} inputs, the columns 0 to {n_in - 1}"
            )
        n_weights = sum(categories * width for _, categories, width in self.columns)
        if n_weights >= 2**63:  # the engine counts in int64, which would overflow
            raise MemoryError(f"no memory for tables of {n_weights} numbers; use fewer categories, or narrower tables")
        sizes = np.zeros((2, n_in), np.int64)  # categories, widths
        for column, categories, width in self.columns:
            sizes[:, column] = categories, width

        def draw(generator):
            tables = [
                generator.normal(0.0, 1 / sqrt(width), categories * width) for _, categories, width in self.columns
            ]
            return np.concatenate(tables)

        n_out = n_in - len(self.columns) + sum(width for _, _, width in self.columns)
        return [Operation("embed", n_out, weight=(n_weights,), draw=draw, fields={"sizes": sizes.ravel()})]

    def check(self, what: str, X: np.ndarray) -> None:
        """Check that every category is a whole number in its range.

        Raises
        ------
        ValueError
            If one is not; the message has the position of the first.
        """
        for column, categories, _ in self.columns:
            values = X[:, column]
            wrong = (values != np.floor(values)) | (values < 0) | (values >= categories)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise ValueError(
                    f"{what}[{row}, {column}] is {values[row]:g}; Embedding reads column {column} as a category in "
                    f"[0, {categories}): renumber it, or make the Embedding with more categories"
                )


@frozen
class PiecewiseLinear(Layer):
    """Encodes the numbers of each column piecewise linearly.

    With it, networks for tables come close to boosted trees. If the bins of a column have the edges e_0 < e_1 < ...,
    bin t has the output (x - e_t) / (e_(t+1) - e_t), clipped below at 0 (except for the first bin) and above at 1
    (except for the last bin). Its derivative is 1 / (e_(t+1) - e_t), or 0 where it is clipped. With a `width`, the
    outputs of each column go through a dense layer of their own. Gorishniy, Rubachev and Babenko 2022, *On embeddings
    for numerical features in tabular deep learning*. ``PiecewiseLinear.of`` takes the edges from data.

    Parameters
    ----------
    edges : sequence of sequences of float
        For each column of X, at least two increasing numbers.
    width : int, optional
        The number of outputs of each column's dense layer; without it there is no dense layer.
    activation : str or Activation, default "relu"
        The activation of the dense layers.

    Raises
    ------
    ValueError, TypeError
        If the edges of a column do not increase.
    """

    edges: "tuple[tuple[float, ...], ...]"
    width: int | None = None
    activation: "str | activations.Activation" = "relu"

    kind: ClassVar[str] = "piecewise_linear"
    first_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked = []
        for column, edges in enumerate(self.edges):
            row = np.asarray(edges, np.float64)
            if row.ndim != 1 or len(row) < 2 or not np.isfinite(row).all() or not (np.diff(row) > 0).all():
                raise ValueError(
                    f"the edges of column {column} must be two or more finite numbers that increase, "
                    f"got {edges!r:.200}; PiecewiseLinear.of(X) finds some"
                )
            checked.append(tuple(row.tolist()))
        if not checked:
            raise ValueError("PiecewiseLinear needs the edges of each column, got none; use PiecewiseLinear.of(X)")
        width = None if self.width is None else _validation.count("width", self.width)
        self._store(edges=tuple(checked), width=width)
        Dense(1, self.activation)

    def __repr__(self) -> str:
        written, edges = super().__repr__(), repr(self.edges)
        if len(edges) <= LONGEST:
            return written
        bins = sum(len(each) - 1 for each in self.edges)
        return written.replace(edges, f"<{len(self.edges)} columns, {bins} bins>", 1)

    @classmethod
    def of(cls, X, *, bins: int = 48, width: int | None = None, activation="relu") -> "PiecewiseLinear":
        """Make a layer whose edges are the distinct quantiles of each column of X.

        Parameters
        ----------
        X : array_like, (rows, columns)
        bins : int, default 48
            The largest number of bins of a column.
        width, activation
            As the class takes them.

        Raises
        ------
        ValueError, TypeError
            If X is not numeric, or a column is constant.
        """
        float64 = np.dtype(np.float64)
        table = _validation.array("X", arrays.plain("X", X, float64), float64)
        quantiles = np.linspace(0, 1, _validation.count("bins", bins) + 1)
        edges = [np.unique(np.quantile(column, quantiles)) for column in table.T]
        for number, each in enumerate(edges):
            if len(each) < 2:
                raise ValueError(f"column {number} of X is constant ({each[0]:g}), so it has no bins; drop the column")
        return cls(tuple(tuple(each.tolist()) for each in edges), width, activation)

    def operations(self, n_in, *, first=False):
        """Return the encoding, and the product by groups."""
        if n_in != len(self.edges):
            raise ValueError(
                f"PiecewiseLinear has the edges of {len(self.edges)} columns, but the network has {n_in} inputs"
            )
        bins = np.array([len(each) - 1 for each in self.edges], np.int64)
        total = int(bins.sum())
        encoding = Operation("piecewise", total, state=np.concatenate(self.edges), fields={"sizes": bins})
        if self.width is None:
            return [encoding]
        width = self.width

        def draw(generator):
            return np.concatenate(
                [generator.uniform(-1 / sqrt(n), 1 / sqrt(n), n * width) for n in bins]  # as torch.nn.Linear starts
            )

        groups = {"n_groups": n_in, "sizes": bins}
        layer = Dense(n_in * width, self.activation)
        product = layer.product(total)
        product[0] = Operation(
            "dense", n_in * width, product[0].activation, (total * width,), n_in * width, draw, fields=groups
        )
        return [encoding, *product]


@frozen
class Periodic(Layer):
    """Encodes the numbers x of each column as cos(2 pi f x) and sin(2 pi f x), with learned frequencies f.

    ::

        df = 2 pi times the sum over rows of x (cos(2 pi f x) da of the sine - sin(2 pi f x) da of the cosine)

    With a `width`, the outputs of each column go through a dense layer of their own. Gorishniy, Rubachev and Babenko
    2022, *On embeddings for numerical features in tabular deep learning*.

    Parameters
    ----------
    n_frequencies : int, default 48
        The number of frequencies of each column.
    sigma : float, default 0.05
        The standard deviation of the initial frequencies, which are normal and truncated at three standard deviations.
        The best value differs from table to table, from 0.01 to 1 for standardised columns.
    width : int, optional
        The number of outputs of each column's dense layer; without it there is no dense layer.
    activation : str or Activation, default "relu"
        The activation of the dense layers.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    n_frequencies: int = 48
    _: KW_ONLY
    sigma: float = 0.05
    width: int | None = None
    activation: "str | activations.Activation" = "relu"

    kind: ClassVar[str] = "periodic"
    first_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._store(
            n_frequencies=_validation.count("n_frequencies", self.n_frequencies),
            sigma=_validation.number("sigma", self.sigma, above=0),
            width=None if self.width is None else _validation.count("width", self.width),
        )
        Dense(1, self.activation)

    def operations(self, n_in, *, first=False):
        """Return the encoding, and the product by groups."""
        n = self.n_frequencies

        def draw(generator):
            drawn = generator.normal(0.0, 1.0, (n_in, n))
            while (far := np.abs(drawn) > 3).any():
                drawn[far] = generator.normal(0.0, 1.0, int(far.sum()))
            return self.sigma * drawn

        waves = Operation("periodic", 2 * n * n_in, weight=(n_in, n), draw=draw)
        if self.width is None:
            return [waves]
        return [waves, *Dense(self.width, self.activation).product(2 * n * n_in, n_groups=n_in)]


_validation.no_other_fields(Embedding, PiecewiseLinear, Periodic)
