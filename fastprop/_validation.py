"""Checks of what users pass: single values, paths of files, shapes and dtypes; and how messages show what was passed.

A check that needs to know a layer, a loss, an optimiser or a file format stands beside it. Arguments are checked once,
where they are passed; the engine below relies on it. A message says what was got, what was wanted, and what to do.
"""

import inspect
import operator
import os
import reprlib
import stat
import sys
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from fastprop._core import _engine
from fastprop._util import aliases

DTYPES: dict[str, np.dtype] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


# ---- messages ----

_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother, _SHOWN.maxlong = 4, 120, 300, 500  # letters, few enough to be read
_SHOWN.maxlist = _SHOWN.maxtuple = _SHOWN.maxset = _SHOWN.maxdict = _SHOWN.maxarray = 12


def shown(value: object) -> str:
    """Return how a message shows a value: a long one by its beginning and its end."""
    try:
        return _SHOWN.repr(value)
    except ValueError:  # Python refuses to write out an int of thousands of digits
        return f"<{type(value).__name__}, too long to be shown>"


def short(text: object, most: int = 400) -> str:
    """Return a part of a message, cut to `most` letters."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 3]}..."


# ---- paths of files ----


def path(value: Any) -> str:
    """Return the path of a file as text."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"got {type(value).__name__} as the path of a file, wanted a str or an os.PathLike")
    return os.fsdecode(value)


def is_stream(status: os.stat_result) -> bool:
    """Return whether a file is a pipe, a device or a socket, which cannot be read twice or replaced."""
    return not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def no_file(name: str) -> ValueError:
    """Return the error for a path that leads to a stream."""
    return ValueError(f"{name} is a device or a pipe, wanted the path of an ordinary file")


def regular_file(name: str, status: os.stat_result) -> None:
    """Refuse a directory or a stream."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{name} is a directory, wanted a file; add the name of one")
    if is_stream(status):
        raise no_file(name)


# ---- single values ----


def choice(what: str, name: object, known: Collection[str], *, any_case: bool = False) -> str:
    """Return the known name that `name` is, or raise an error that suggests the nearest; `any_case` ignores case."""
    if isinstance(name, str) and name in known:
        return name
    if isinstance(name, str) and any_case:
        for one in known:
            if one.lower() == name.lower():
                return one
    listed = ", ".join(known)
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a name, got {shown(name)} ({type(name).__name__}); use one of {listed}")
    near = aliases.nearest(name[:100], known)
    hint = f"did you mean {near!r}? All: {listed}" if near else f"use one of {listed}"
    raise ValueError(f"unknown {what} {shown(name)}; {hint}")


F = TypeVar("F", bound=Callable[..., Any])


def no_other_arguments(
    *others: Callable[..., Any], name: str = "", likely: Collection[str] = ()
) -> Callable[[F], F]:
    """Return a decorator that words the errors of arguments that a function does not have.

    Of a name that neither the function nor `others`, to which it hands its options, have, the message says which is
    probably meant; of an argument that is passed by position where only names will do, how to pass it by name. The
    message calls the function `name`, by default as it calls itself. It lists the names in `likely` first, and
    suggests the first of them.
    """

    def decorate(function: F) -> F:
        functions: tuple[Callable[..., Any], ...] = (function, *others)
        codes = [inspect.unwrap(each).__code__ for each in functions]
        code = codes[0]
        n_positional, takes_self = code.co_argcount, code.co_varnames[:1] == ("self",)
        by_name = code.co_varnames[n_positional : n_positional + code.co_kwonlyargcount]
        by_name = tuple(sorted(by_name, key=lambda each: each not in likely))
        known: dict[str, None] = {}
        for each in codes:
            known |= dict.fromkeys(each.co_varnames[: each.co_argcount + each.co_kwonlyargcount])
        known.pop("self", None)
        call = name or function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            if len(args) > n_positional:
                most, extra = n_positional - takes_self, shown(args[n_positional])
                wanted = {0: "no argument", 1: "one argument"}.get(most, f"{most} arguments")
                if not by_name:
                    listed = ", ".join(known)
                    raise TypeError(
                        f"{call}() takes {wanted}, {listed}, got {extra} beside; leave it out, or give one list"
                    )
                raise TypeError(
                    f"{call}() takes {wanted} by position, got {extra} beside; give it by its name, such as "
                    f"{by_name[0]}={extra}; the names are {', '.join(by_name)}"
                )
            for argument in given:
                if argument not in known:
                    raise TypeError(f"{call}() has no argument {argument!r}; {aliases.argument(argument, known)}")
            return function(*args, **given)

        return cast(F, checked)

    return decorate


def no_other_fields(*kinds: type) -> None:
    """Decorate the constructors of dataclasses with ``no_other_arguments``."""
    for kind in kinds:
        # SGD(0.1, 0.9) means its own momentum, not the weight decay of its base class
        own = inspect.get_annotations(kind)
        kind.__init__ = no_other_arguments(likely=own)(kind.__init__)  # type: ignore[misc]


def count(what: str, value: Any, hint: str = "") -> int:
    """Return a whole number of at least 1."""
    return _at_least(1, f"{what} must be a positive int{hint}", value)


def whole(what: str, value: Any) -> int:
    """Return a whole number of at least 0."""
    return _at_least(0, f"{what} must be an int of at least 0", value)


def _at_least(least: int, wanted: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{wanted}, got {shown(value)} ({type(value).__name__})") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{wanted}, got {shown(value)}")
    return number


def number(
    what: str, value: Any, *, least: float | None = None, above: float | None = None, below: float | None = None
) -> float:
    """Return a finite real number within bounds."""
    bounds = [
        f"at least {least}" if least is not None else "",
        f"above {above}" if above is not None else "",
        f"below {below}" if below is not None else "",
    ]
    wanted = " and ".join(filter(None, bounds)) or "finite"
    try:
        if isinstance(value, (str, bytes, bool)):  # float() would take "0.1" and True
            raise TypeError
        real = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be a number {wanted}, got {shown(value)} ({type(value).__name__})") from None
    except OverflowError:
        real = float("inf")
    inside = (
        np.isfinite(real)
        and (least is None or real >= least)
        and (above is None or real > above)
        and (below is None or real < below)
    )
    if not inside:
        raise ValueError(f"{what} must be a number {wanted}, got {shown(value)}")
    return real


def levels(what: str, value: Any, most: int) -> tuple[float, ...]:
    """Return up to `most` numbers between 0 and 1 that increase; a single one need not be in a sequence."""
    given = list(value) if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1 else [value]
    checked = tuple(number(f"{what}[{i}]", level, above=0, below=1) for i, level in enumerate(given))
    if any(left >= right for left, right in zip(checked, checked[1:])):
        raise ValueError(f"{what} must increase, got {checked}; use sorted(set({what}))")
    if not 1 <= len(checked) <= most:
        raise ValueError(f"{what} must be 1 to {most} numbers, got {len(checked)}; train the others in another network")
    return checked


def flag(what: str, value: object) -> bool:
    """Return True or False; refuse what is only truthy."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} must be True or False, got {shown(value)} ({type(value).__name__})")
    return bool(value)


def callback(what: str, value: Any, otherwise: tuple[object, ...]) -> Callable[..., object] | None:
    """Return a function, or None for one of the values `otherwise`, which are compared by identity."""
    if callable(value):
        return value
    if not any(value is other for other in otherwise):
        listed = " or ".join(map(str, otherwise))
        raise TypeError(f"{what} must be a function or {listed}, got {shown(value)} ({type(value).__name__})")
    return None


def seed(value: Any) -> int:
    """Return a seed in [0, 2^63); for None, a random one."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"seed must be an int or None, got {shown(value)} ({type(value).__name__})") from None
    if not 0 <= number < 2**63:
        raise ValueError(f"seed must be in [0, 2**63), got {shown(value)}")
    return number


def dtype(value: Any) -> np.dtype:
    """Return the dtype of a network: float32 or float64."""
    try:
        found = DTYPES.get(np.dtype(value).name) if value is not None else None
    except Exception:  # np.dtype parses strings, and raises many kinds of errors
        found = None
    if found is not None:
        return found
    if isinstance(value, str):
        choice("dtype", value, DTYPES)
    raise ValueError(f"dtype must be 'float32' or 'float64', got {shown(value)}")


def batch_size(value: Any, rows: int) -> int:
    """Return how many rows a step takes: from 1 to all of them."""
    size = count("batch_size", value)
    if size > rows:
        raise ValueError(f"batch_size={size} is more than the {rows} rows there are; use batch_size={rows} or less")
    return size


# ---- arrays ----


def array(what: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Return `value` as a C-contiguous, aligned array of `dtype`: itself where it is one, else a converted copy."""
    if type(value) is np.ndarray and value.dtype == dtype and value.flags.c_contiguous and value.flags.aligned:
        return value
    try:
        found = np.asarray(value)
    except ValueError as error:  # ragged nested lists
        raise ValueError(f"{what} must be a rectangular array of numbers, got ragged rows: {error}") from None
    except Exception as error:  # whatever the __array__ of another library raises
        raise TypeError(f"{what} cannot become an array ({type(value).__name__}): {error}") from None
    if found.dtype.kind not in "fiub":
        if hasattr(value, "toarray"):
            hint = f"use {what}.toarray(): sparse matrices are not supported"
        elif found.dtype.kind == "c":
            hint = f"use {what}.real, or its real and imaginary parts as columns"
        elif found.dtype.kind in "mM":
            hint = f"make numbers of it, as ({what} - {what}.min()) / np.timedelta64(1, 'D')"
        else:
            hint = f"encode categories as numbers and use {what}.astype({dtype.name!r})"
        raise TypeError(f"{what} must hold real numbers, got dtype {found.dtype} ({type(value).__name__}); {hint}")
    unmasked(what, value)
    with np.errstate(over="ignore"):  # what overflows becomes inf, which `finite` reports
        return np.require(found, dtype, ["C", "A"]).reshape(found.shape)


def unmasked(what: str, value: Any) -> None:
    """Refuse a masked array with masked elements, since np.asarray would give the numbers under the mask."""
    ma: Any = sys.modules.get("numpy.ma")  # an import here could leave its lock taken in the child of a fork
    if ma is not None and isinstance(value, ma.MaskedArray) and np.any(value.mask):
        masked = np.count_nonzero(np.broadcast_to(value.mask, value.shape))
        raise ValueError(f"{what} has {masked} masked elements; use {what}.filled(...) or drop such rows first")


def finite(what: str, checked: np.ndarray, given: Any, engine: _engine.Engine) -> None:
    """Refuse NaN and infinity; the message names the place of the first."""
    if engine.all_finite(checked):
        return
    original = np.asarray(given)
    wrong = ~np.isfinite(checked).reshape(original.shape)
    first, count = place(wrong), np.count_nonzero(wrong)
    where, original = ", ".join(map(str, first)), original[first]
    if np.isfinite(original):
        too_large = f"{what}[{where}] is {original}, too large for {checked.dtype}"
        raise ValueError(f"{too_large}; scale {what} or use a float64 network")
    many = f", the first of {count} such numbers" if count > 1 else ""
    raise ValueError(f"{what}[{where}] is {original}{many}; {what} must be finite: impute or drop such rows first")


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view, for a function of the user's."""
    view = array.view()
    view.flags.writeable = False
    return view


def place(wrong: np.ndarray) -> tuple[int, ...]:
    """Return the index of the first True. There is one, unless another thread has written to the array meanwhile."""
    found = np.argwhere(wrong)
    if not len(found):
        raise ValueError("an array changed while it was checked: another thread writes into it; give a copy of it")
    return tuple(int(i) for i in found[0])


def matrix(
    what: str, value: Any, columns: int, engine: _engine.Engine, dtype: np.dtype, *, row: bool = False
) -> np.ndarray:
    """Return a finite array (rows, columns) with at least one row; with `row`, a single row (columns,) is taken too."""
    checked = array(what, value, dtype)
    shape = checked.shape
    if row and shape == (columns,):
        finite(what, checked, value, engine)
        return checked
    if len(shape) == 1 and columns == 1:
        hint = f"use {what}.reshape(-1, 1) if each number is a row"
    elif len(shape) == 1:
        hint = f"use {what}.reshape(1, -1) if it is one row"
    else:
        hint = f"check that {what} has the columns that the network was made for"
    if len(shape) != 2 or shape[1] != columns:
        raise ValueError(f"{what} must have shape (rows, {columns}), got {shape}; {hint}")
    if not shape[0]:
        raise ValueError(f"{what} must have at least one row, got shape {shape}; was everything filtered out?")
    finite(what, checked, value, engine)
    return checked


def copy_into(target: np.ndarray, what: str, values: Any) -> None:
    """Copy values of the target's shape into the target."""
    if values is not target:
        target[:] = like(target, what, values)


def like(target: np.ndarray, what: str, values: Any) -> np.ndarray:
    """Return the values as an array of the target's shape and dtype."""
    checked = array(what, values, target.dtype)
    if checked.shape != target.shape:
        raise ValueError(
            f"{what} must have shape {target.shape}, got {checked.shape}; write a part of it as {what}[part] = values"
        )
    return checked
