"""Shard: the rows of a table that one rank has, and a sample of those that all ranks have."""

from dataclasses import dataclass, field

import numpy as np

from fastprop.tabular.stacking import stack
from fastprop.tabular.table import Table, TableError, TextColumn
from fastprop.training.ranks import ALONE, Ranks
from fastprop.training.ranks import SAMPLED_ROWS as SAMPLE

__all__ = ["SAMPLE", "Shard", "group_sizes", "latest", "union"]


@dataclass(frozen=True)
class Shard:
    """The rows of a table that this rank has, and a sample of those of all ranks.

    Attributes
    ----------
    table : Table
        The rows of this rank.
    sample : Table
        Rows of all ranks, the same on each: all of them, in the order of the ranks, if they are at most ``SAMPLE``.
        Without other ranks it is `table`.
    rows : int64 array
        The numbers of this rank's rows that are in the sample, in ascending order.
    ranks : Ranks
    """

    table: Table
    sample: Table
    rows: np.ndarray
    ranks: Ranks = field(default=ALONE, compare=False)

    @classmethod
    def of(cls, table, ranks=ALONE, seed=0):
        """Return the shard of a table of each rank, which may have no rows, and then no columns either.

        Raises
        ------
        TableError
            If no rank has columns, or two have different ones.
        """
        n = table.n_rows
        if ranks.alone:
            return cls(table, table, np.arange(n))
        ranks.meet()  # since one may have read for longer than the others
        share = min(1.0, SAMPLE / max(ranks.of_each(n).sum(), 1))
        rows = np.random.default_rng([ranks.seed(seed), 5]).permutation(n)[: round(share * n)]  # a stream of its own
        rows.sort()
        try:
            sample = stack(ranks.gather_objects(_compact(table.take(rows))))
        except TableError as error:  # which each of them has found
            raise ranks.common(error) from None
        own = table if table.columns else sample.take(rows)
        return cls(own, sample, rows, ranks)

    @property
    def total(self):
        """The number of rows of all ranks."""
        return int(self.ranks.sums(self.table.n_rows)[0])

    def take(self, rows):
        """Return the shard of some of this rank's rows, their numbers in ascending order."""
        chosen = np.zeros(self.table.n_rows, bool)
        chosen[rows] = True
        table = self.table.take(rows)
        if self.ranks.alone:
            return Shard(table, table, np.arange(len(rows)))
        sample = self.sample.take(self.gather(chosen))
        return Shard(table, sample, np.searchsorted(rows, self.rows[chosen[self.rows]]), self.ranks)

    def gather(self, values):
        """Return the values that belong to the rows of the sample, given those of this rank's rows, (rows, ...)."""
        if self.ranks.alone:
            return values
        return np.concatenate(self.ranks.gather_objects(values[self.rows]))


def _compact(table):
    """Return a table without the texts that no row of it has."""
    columns = {}
    for name, column in table.columns.items():
        if isinstance(column, TextColumn):
            used, codes = np.unique(column.codes, return_inverse=True)
            gaps = int(len(used) > 0 and used[0] < 0)
            texts = tuple(column.texts[code] for code in used[gaps:])
            column = TextColumn((codes - gaps).astype(np.int32), texts, column.categorical)
        columns[name] = column
    return Table(table.path, columns, table.lines, table.notes, table.decimal, table.files)


# ---- what is found out about the rows of all ranks, exactly ----


def union(values, ranks=ALONE):
    """Return the distinct values of an array on any rank, sorted."""
    mine = np.unique(values)
    found = [each for each in ranks.gather_objects(mine) if len(each)]
    return mine if ranks.alone or not found else np.unique(np.concatenate(found))


def group_sizes(groups, ranks=ALONE):
    """Return the number of each row's group, int64 (rows,), and the sizes of the groups over all ranks.

    The numbers are the places of the groups in sorted order, the same on all ranks.
    """
    mine, members, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if ranks.alone:
        return members, counts
    names = union(mine, ranks)
    places, sizes = np.searchsorted(names, mine), np.zeros(len(names))
    sizes[places] = counts
    ranks.sum(sizes)
    return places[members], sizes.astype(np.int64)


def latest(times, n, ranks=ALONE):
    """Return which rows are the `n` latest of all ranks, bool (rows,); of equal ones the last.

    Parameters
    ----------
    times : array, (rows,)
        Over several ranks numbers or times; otherwise whatever can be sorted.
    n : int
    """
    times = np.asarray(times)
    order = np.argsort(times, kind="stable")
    mine = n if ranks.alone else _share_of_latest(times, n, ranks)
    chosen = np.zeros(len(times), bool)
    chosen[order[len(order) - mine :]] = True
    return chosen


def _share_of_latest(times, n, ranks):
    """Return how many of the `n` latest rows of all ranks are on this one."""
    if times.dtype.kind not in "iufbmM":
        raise TypeError(f"the times of rows over several ranks are numbers or times, got {times.dtype}")
    keys = _as_integers(times)
    low, high = -(2**63), 2**63 - 1  # the largest key that at least n rows reach is found by halving
    while low < high:
        middle = (low + high + 1) // 2
        if ranks.sums((keys >= middle).sum())[0] >= n:
            low = middle
        else:
            high = middle - 1
    later, equal = int((keys > low).sum()), int((keys == low).sum())
    left = n - int(ranks.sums(later)[0]) - int(ranks.of_each(equal)[ranks.rank + 1 :].sum())
    return later + min(max(left, 0), equal)


def _as_integers(times):
    """Return int64 numbers that are in the order of the given ones."""
    if times.dtype.kind in "mM":
        keys = times.astype(f"{times.dtype.kind}8[us]").astype(np.int64)
        return np.where(np.isnat(times), np.int64(2**63 - 1), keys)  # gaps are the latest, as NumPy sorts them
    if times.dtype.kind != "f":
        return times.astype(np.int64)
    bits = times.astype(np.float64).view(np.int64)
    return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
