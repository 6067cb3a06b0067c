"""Read a table from a file of any kind: CSV here, Parquet and Feather by pyarrow or polars, whichever is installed.

CSV is not given to these libraries. Of the table of nycflights13 (336,776 rows, 19 columns, 31 MB) read as texts, which
decides nothing yet, pandas took as much CPU time as ``read_csv``, pyarrow two thirds, but 2.3 times its memory, and
polars 3 times; and what ``read_csv`` refuses with the number of the line, they take or refuse in ways of their own.
"""

import importlib.util
from pathlib import Path

from fastprop._util.lazy import LazyModule
from fastprop.tabular.csv import read_csv
from fastprop.tabular.table import Table, TableError

__all__ = ["read_table"]

parquet = LazyModule("pyarrow.parquet")
feather = LazyModule("pyarrow.feather")
polars = LazyModule("polars")

KINDS = {b"PAR1": "Parquet", b"ARROW1": "Feather"}  # by the first bytes of a file


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
    magic = b""
    if path.is_file():  # and no pipe, which can be read once
        with path.open("rb") as stream:
            magic = stream.read(6)
    kind = next((kind for start, kind in KINDS.items() if magic.startswith(start)), None)
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
