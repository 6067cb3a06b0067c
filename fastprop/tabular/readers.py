"""Read a table from a file of any kind: CSV here, Parquet and Feather by pyarrow or polars, whichever is installed.

CSV is not given to these libraries. Of the table of nycflights13 (336,776 rows, 19 columns, 31 MB) read as texts, which
decides nothing yet, pandas took as much CPU time as ``read_csv``, pyarrow two thirds, but 2.3 times its memory, and
polars 3 times; and what ``read_csv`` refuses with the number of the line, they take or refuse in ways of their own.
"""

import glob
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastprop._util.lazy import LazyModule
from fastprop.tabular.csv import read_csv
from fastprop.tabular.dialect import is_plain
from fastprop.tabular.stacking import stack
from fastprop.tabular.table import Table, TableError
from fastprop.training.ranks import ALONE

__all__ = ["find_files", "read_table", "read_tables"]

parquet = LazyModule("pyarrow.parquet")
feather = LazyModule("pyarrow.feather")
polars = LazyModule("polars")

KINDS = {b"PAR1": "Parquet", b"ARROW1": "Feather"}  # by the first bytes of a file
# A larger CSV file is cut between ranks where its bytes are: they are read by 256 KB, which is little of a share of 64.
# A smaller one is read whole, in a few seconds, and cut to the row.
LARGE = 1 << 26


def find_files(names):
    """Return the files that names and patterns stand for, each once: a pattern's files in alphabetical order.

    Raises
    ------
    TableError
        If no file suits a pattern.
    """
    found = []
    for name in names:
        if not any(sign in name for sign in "*?[") or Path(name).exists():
            found.append(name)
            continue
        suited = sorted(glob.glob(name, recursive=True))
        if not suited:
            raise TableError(f"no file suits the pattern {name!r}")
        found += suited
    return list(dict.fromkeys(found))


def read_tables(paths, ranks=ALONE, progress_of=None):
    """Read the table whose rows are in several files, one behind the other; each rank reads its share of the rows.

    The bytes of the files, one behind the other, are dealt evenly, so a rank opens only the files that its share
    touches. Of a Parquet file pyarrow reads the row groups in which the rows lie; other small files are read whole.

    Parameters
    ----------
    paths : sequence of str
    ranks : Ranks
    progress_of : callable, optional
        Returns for a path what ``read_table`` takes as `progress`.

    Returns
    -------
    Table
        Without columns if there are no rows for this rank.

    Raises
    ------
    TableError, OSError
        As ``read_table`` does, or if two files have different columns.
    """
    progress_of = progress_of or (lambda path: None)
    if ranks.alone:
        return stack([read_table(path, progress_of(path)) for path in paths])
    sizes = [Path(path).stat().st_size for path in paths]
    total, start, tables = sum(sizes), 0, []
    first, last = (total * rank // ranks.size for rank in (ranks.rank, ranks.rank + 1))
    for path, size in zip(paths, sizes, strict=True):
        part = max(first - start, 0), min(last - start, size)
        start += size
        if part[0] < part[1]:
            tables.append(_read_part(Path(path), size, part, progress_of(path)))
    return stack(tables) if any(table.columns for table in tables) else Table("no file", {}, [])


def _read_part(path, size, part, progress):
    """Return the share of a file's rows that the bytes from part[0] to part[1] are of its `size`."""
    kind = _kind_of(path)
    if part == (0, size):
        return read_table(path, progress)
    if kind is None and size > LARGE and is_plain(path):
        return read_csv(path, progress, part)
    if kind == "Parquet" and _is_installed("narwhals") and _is_installed("pyarrow"):
        return _read_row_groups(path, size, part)
    table = read_table(path, progress)
    return table.take(np.arange(*(table.n_rows * at // size for at in part)))


def _read_row_groups(path, size, part):
    """Do what ``_read_part`` does, with a Parquet file."""
    try:
        with parquet.ParquetFile(path) as file:
            rows = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
            ends = np.cumsum([0, *rows]).tolist()
            first, last = (ends[-1] * at // size for at in part)
            groups = [k for k, n in enumerate(rows) if ends[k] < last and ends[k] + n > first]
            if not groups:
                return Table(str(path), {}, [])
            frame = file.read_row_groups(groups).slice(first - ends[groups[0]], last - first)
    except Exception as error:  # what pyarrow raises has no common base
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error
    return replace(Table.from_frame(frame, str(path)), lines=range(first + 1, last + 1))


def _kind_of(path):
    """Return the kind of a file by its first bytes; None for CSV."""
    magic = b""
    if path.is_file():  # and no pipe, which can be read once
        with path.open("rb") as stream:
            magic = stream.read(6)
    return next((kind for start, kind in KINDS.items() if magic.startswith(start)), None)


def read_table(path, progress=None):
    """Read a table from a CSV, Parquet or Feather (Arrow) file; which it is, its first bytes say.

    Parameters
    ----------
    path : str or path
    progress : callable, optional
        Called as ``progress(rows, share)`` while a CSV file is read, as ``read_csv`` does.

    Raises
    ------
    TableError
        If the file is no table, or one that needs a library which is not installed.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    kind = _kind_of(path)
    if kind is None:
        return read_csv(path, progress)
    if _is_installed("narwhals") and _is_installed("pyarrow"):
        read = parquet.read_table if kind == "Parquet" else feather.read_table
    elif _is_installed("narwhals") and _is_installed("polars"):
        read = polars.read_parquet if kind == "Parquet" else polars.read_ipc
    else:
        raise TableError(
            f"{path} is a {kind} file, which needs narwhals and pyarrow (or polars): "
            "pip install 'fastprop-nn[parquet]', or save the table as CSV"
        )
    try:
        frame = read(path)
    except Exception as error:  # what they raise has no common base
        raise TableError(f"{path} cannot be read as {kind}: {error}") from error
    return Table.from_frame(frame, str(path))


def _is_installed(name):
    return importlib.util.find_spec(name) is not None
