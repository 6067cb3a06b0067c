"""Layers that read the columns of a table: embeddings of categories and of numbers, as frozen descriptions."""

from collections.abc import Iterable, Mapping
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

BINS = 48  # of a column: the default of the authors of the encoding
LONGEST = 100  # characters of edges in a repr, enough for two columns of two bins
PARTS = "[(Embedding({0: (7, 4)}), [3]), (Periodic(16), [0, 2])]"  # for messages of ByColumn


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

    @property
    def categories(self) -> tuple[tuple[int, int], ...]:
        """The columns that hold a category, each with the number of its categories."""
        return tuple((column, categories) for column, categories, _ in self.columns)

    def operations(self, n_in, *, first=False):
        """Return the look-up in the tables."""
        last = self.columns[-1][0]
        if last >= n_in:
            raise ValueError(
                f"Embedding reads column {last}, but there are {n_in} inputs, the columns 0 to {n_in - 1}"
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
    linear : bool, default False
        Whether the dense layer of a column takes the number itself, too. The weights of its bins then start at 0: it
        starts as a linear embedding of the number, from which training departs bin by bin. With the activation
        "identity" this is version "B" of the package rtdl_num_embeddings; linear=False is its version "A".

    Raises
    ------
    ValueError, TypeError
        If the edges of a column do not increase, or linear=True is given without a width.
    """

    edges: "tuple[tuple[float, ...], ...]"
    width: int | None = None
    activation: "str | activations.Activation" = "relu"
    _: KW_ONLY
    linear: bool = False

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
        self._store(edges=tuple(checked), width=width, linear=_validation.flag("linear", self.linear))
        Dense(1, self.activation)
        if self.linear and width is None:
            raise ValueError("linear=True is a part of the dense layers, which there are with a width; use width=8")

    def __repr__(self) -> str:
        written, edges = super().__repr__(), repr(self.edges)
        if len(edges) <= LONGEST:
            return written
        return written.replace(edges, self._size, 1)

    @property
    def _size(self) -> str:
        return f"<{len(self.edges)} columns, {sum(len(each) - 1 for each in self.edges)} bins>"

    @property
    def title(self) -> str:
        """Internal: the number of columns and bins; see ``Layer.title``."""
        return f"PiecewiseLinear({self._size})"

    @classmethod
    def of(
        cls, X, *, bins: int = BINS, width: int | None = None, activation="relu", linear: bool = False
    ) -> "PiecewiseLinear":
        """Make a layer whose edges are quantiles of each column of X.

        They are the quantiles of the rows. Where ties make some of them equal, as in a column of many zeros, the edges
        that are missing are quantiles of the distinct values in between: a column has `bins` bins if it has as many
        distinct values, and else an edge at each of them. The edges are rounded to float32.

        Parameters
        ----------
        X : array_like, (rows, columns)
        bins : int, default 48
            The largest number of bins of a column.
        width, activation, linear
            As the class takes them.

        Raises
        ------
        ValueError, TypeError
            If X is not numeric, or a column is constant.
        """
        float64 = np.dtype(np.float64)
        table = _validation.array("X", arrays.plain("X", X, float64), float64)
        bins = _validation.count("bins", bins)
        edges = [edges_of(column, bins) for column in table.T]
        for number, each in enumerate(edges):
            if len(each) < 2:
                raise ValueError(f"column {number} of X is constant ({each[0]:g}), so it has no bins; drop the column")
        return cls(tuple(tuple(each.tolist()) for each in edges), width, activation, linear=linear)

    def operations(self, n_in, *, first=False):
        """Return the encoding, and the product by groups."""
        if n_in != len(self.edges):
            raise ValueError(
                f"PiecewiseLinear has the edges of {len(self.edges)} columns, but there are {n_in} inputs"
            )
        edges = self.edges
        if self.linear:  # before each column the number itself, which one bin without bounds from 0 to 1 gives
            edges = tuple(each for column in edges for each in ((0.0, 1.0), column))
        bins = np.array([len(each) - 1 for each in edges], np.int64)
        total = int(bins.sum())
        encoding = [Operation("piecewise", total, state=np.concatenate(edges), fields={"sizes": bins})]
        if self.linear:
            encoding.insert(0, _select(np.repeat(np.arange(n_in), 2)))
            bins = bins[::2] + bins[1::2]
        if self.width is None:
            return encoding
        width = self.width

        def draw(generator):
            if self.linear:  # as in rtdl_num_embeddings
                rows = [generator.uniform(-1 / sqrt(width), 1 / sqrt(width), width) for _ in bins]
                return np.concatenate([np.append(row, np.zeros((n - 1) * width)) for row, n in zip(rows, bins)])
            # as torch.nn.Linear
            return np.concatenate([generator.uniform(-1 / sqrt(n), 1 / sqrt(n), n * width) for n in bins])

        groups = {"n_groups": n_in, "sizes": bins}
        layer = Dense(n_in * width, self.activation)
        product = layer.product(total)
        product[0] = Operation(
            "dense", n_in * width, product[0].activation, (total * width,), n_in * width, draw, fields=groups
        )
        return [*encoding, *product]


def edges_of(column: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Internal: return at most bins + 1 edges for a column, one for a constant; see ``PiecewiseLinear.of``."""
    values = np.unique(column.astype(np.float32))  # edges that are equal in float32 would be a bin of width 0 there
    if len(values) <= bins + 1:
        return values
    edges = np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)).astype(np.float32))
    inside = [values[(values > low) & (values < high)] for low, high in zip(edges, edges[1:])]
    count = np.array([len(found) for found in inside])
    added = np.zeros(len(count), int)
    for _ in range(bins + 1 - len(edges)):  # each edge goes where most values share a bin
        added[np.argmax(np.where(added < count, count / (added + 1), 0))] += 1
    new = [found[np.arange(1, n + 1) * len(found) // (n + 1)] for found, n in zip(inside, added)]
    return np.sort(np.concatenate([edges, *new]))


def check_edges(operation: Operation, dtype: np.dtype) -> None:
    """Internal: check that the edges of a piecewise-linear encoding increase in the dtype of a network too.

    Raises
    ------
    ValueError
        If two are equal, so that their bin has width 0.
    """
    bins = operation.fields["sizes"]
    edges: np.ndarray = operation.state  # type: ignore[assignment]
    equal = np.diff(edges.astype(dtype)) == 0
    equal[np.cumsum(bins + 1)[:-1] - 1] = False  # from the last edge of a column to the first of the next
    if equal.any():
        low, high = edges[np.argmax(equal) :][:2]
        raise ValueError(
            f"PiecewiseLinear has the edges {float(low)!r} and {float(high)!r}, which are equal in {dtype}; scale the "
            "column, leave one of them out, or make the network with dtype='float64'"
        )


@frozen
class Periodic(Layer):
    """Encodes the numbers x of each column as cos(2 pi f x) and sin(2 pi f x), with learned frequencies f.

    ::

        dC/df = 2 pi times the sum over rows of x (cos(2 pi f x) dC/da of the sine - sin(2 pi f x) dC/da of the cosine)

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


@frozen
class ByColumn(Layer):
    """Puts several input layers side by side, each on the columns of X that it is for.

    The outputs are first the columns that no part names, as they are and in their order, and then the outputs of each
    part in the order of the parts. A part sees its columns, in the order in which they are given, as its inputs 0, 1,
    2, ... A ``PiecewiseLinear`` without width is best the last part: the ``Dense`` layer that follows is then computed
    without the encoding, which is faster.

    Parameters
    ----------
    parts : sequence of (layer, columns)
        ``Embedding``, ``PiecewiseLinear`` and ``Periodic`` layers, each with the list of its columns of X.

    Raises
    ------
    ValueError, TypeError
        If there is no part, a part is no such layer or does not fit the number of its columns, a column is no whole
        number, or it is given twice.

    Examples
    --------
    >>> layer = ByColumn([(PiecewiseLinear([[0, 1, 2], [0, 5]]), [0, 2]), (Embedding({0: (7, 4)}), [3])])
    >>> layer.operations(5)[-1].n_out  # columns 1 and 4, 2 + 1 bins, and a vector of 4 numbers
    9
    """

    parts: "tuple[tuple[Layer, tuple[int, ...]], ...]"

    kind: ClassVar[str] = "by_column"
    first_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given = list(self.parts) if isinstance(self.parts, Iterable) else [self.parts]
        if not given:
            raise ValueError(f"ByColumn needs at least one part, got none; use for example {PARTS}")
        parts: list[tuple[Layer, tuple[int, ...]]] = []
        taken: dict[int, int] = {}  # column -> the part that names it
        for place, part in enumerate(given, start=1):
            try:
                layer, given_columns = part
                columns = list(given_columns)
            except (TypeError, ValueError):
                raise TypeError(
                    f"part {place} of ByColumn must be a layer and the list of its columns, got {part!r:.200}; "
                    f"use for example {PARTS}"
                ) from None
            if not isinstance(layer, (Embedding, PiecewiseLinear, Periodic)):
                raise TypeError(
                    f"part {place} of ByColumn must be an Embedding, a PiecewiseLinear or a Periodic, got "
                    f"{layer!r:.200}; other layers follow ByColumn"
                )
            columns = [_validation.whole(f"a column of part {place} of ByColumn", column) for column in columns]
            if not columns:
                raise ValueError(f"part {place} of ByColumn, {layer!r:.200}, has no columns; leave it out")
            for column in columns:
                if column in taken:
                    raise ValueError(
                        f"part {place} of ByColumn names column {column}, which part {taken[column]} has; give each "
                        "column to one part, or X with a copy of it"
                    )
                taken[column] = place
            try:
                layer.operations(len(columns))
            except ValueError as error:
                raise ValueError(
                    f"part {place} of ByColumn does not fit its columns {columns!r:.200}, which it counts from 0: "
                    f"{error}"
                ) from None
            parts.append((layer, tuple(columns)))
        self._store(parts=tuple(parts))

    @property
    def categories(self) -> tuple[tuple[int, int], ...]:
        """The columns that hold a category, each with the number of its categories."""
        return tuple((columns[own], n) for layer, columns in self.parts for own, n in layer.categories)

    def describe(self) -> dict:
        """Return a JSON-able dict from which ``from_description`` makes an equal layer."""
        return {"kind": self.kind, "parts": [[layer.describe(), list(columns)] for layer, columns in self.parts]}

    def __repr__(self) -> str:
        shown = []
        for layer, columns in self.parts:
            listed = repr(list(columns))
            shown.append(f"({layer!r}, {listed if len(listed) <= LONGEST else f'<{len(columns)} columns>'})")
        return f"ByColumn([{', '.join(shown)}])"

    def operations(self, n_in, *, first=False):
        """Return a branch for each part, and before them one for the columns that no part names."""
        named = {column for _, columns in self.parts for column in columns}
        if max(named) >= n_in:
            raise ValueError(
                f"ByColumn reads column {max(named)}, but there are {n_in} inputs, the columns 0 to {n_in - 1}"
            )
        others = [column for column in range(n_in) if column not in named]
        branches = [[_select(others)]] if others else []
        for layer, columns in self.parts:
            operations, chosen = layer.operations(len(columns)), np.array(columns)
            if operations[0].kind == "select":
                chosen, operations = chosen[operations[0].fields["sizes"]], operations[1:]
            branches.append([_select(chosen), *operations])
        n_out = sum(branch[-1].n_out for branch in branches)
        return [*(operation for branch in branches for operation in branch), Operation("concat", n_out)]


def _select(columns) -> Operation:
    return Operation("select", len(columns), fields={"sizes": np.array(columns, np.int64)})


_validation.no_other_fields(Embedding, PiecewiseLinear, Periodic, ByColumn)
