"""What the entries of the lists of activations and losses share: hyperparameters, which calling an entry sets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, replace
from typing import Any, ClassVar, Self, TypeVar, cast

from fastprop import _validation
from fastprop._util.frozen import frozen


@frozen
class Hyperparameter:
    """A hyperparameter of a formula: its name, its value, and its range.

    Attributes
    ----------
    name : str
    value : float, or what ``check`` returns
    least, above, below : float, optional
        The value is at least `least`, above `above` and below `below`.
    check : callable
        ``check(what, value, **bounds)`` returns the value to store, and raises an error if the value is wrong.
    """

    name: str
    value: Any
    _: KW_ONLY
    least: float | None = None
    above: float | None = None
    below: float | None = None
    check: Callable[..., Any] = _validation.number

    def with_value(self, owner: str, value: Any) -> "Hyperparameter":
        """Return the hyperparameter with another value; `owner` is the name of its entry, for messages."""
        bounds = {"least": self.least, "above": self.above, "below": self.below}
        given = {bound: limit for bound, limit in bounds.items() if limit is not None}
        return replace(self, value=self.check(f"{self.name} of {owner}", value, **given))


class RegistryEntry:
    """An entry of a list: a frozen dataclass with a name, a formula, its derivative, and hyperparameters."""

    kind: ClassVar[str]  # what messages call an entry of the list
    listed: ClassVar[Mapping[str, Any]]  # the list: name -> entry, in the order of the compiled list
    ids: ClassVar[Mapping[str, int]]  # name -> place in the compiled list

    name: str
    expression: str
    slope: str
    hyperparameters: tuple[Hyperparameter, ...]

    def __call__(self, **values: Any) -> Self:
        """Return the entry with other values of its hyperparameters.

        Raises
        ------
        ValueError, TypeError
            If it has no such hyperparameter, or a value is out of its range.
        """
        known = [each.name for each in self.hyperparameters]
        for name in values:
            if not known:
                got = f"got {name!r:.200}; use {self.name!r} as it is"
                raise ValueError(f"{self.kind} {self.name} has no hyperparameters, {got}")
            _validation.choice(f"hyperparameter of {self.kind} {self.name}", name, known)
        changed = (
            each.with_value(self.name, values[each.name]) if each.name in values else each
            for each in self.hyperparameters
        )
        return replace(cast(Any, self), hyperparameters=tuple(changed))

    @property
    def id(self) -> int:
        """The place of the entry in the compiled list."""
        return self.ids[self.name]

    @property
    def formula(self) -> str:
        """The formula, as mathematics is written."""
        return written(self.expression)

    @property
    def derivative(self) -> str:
        """The formula of the derivative, as mathematics is written."""
        return written(self.slope)

    @property
    def values(self) -> dict[str, Any]:
        """The name and the value of each hyperparameter."""
        return {each.name: each.value for each in self.hyperparameters}

    def describe(self) -> str | dict:
        """Return the name, or, if the hyperparameters are not those of the list, a JSON-able dict with their values."""
        return self.name if self == self.listed[self.name] else {"name": self.name, **self.values}

    def __getstate__(self) -> dict:
        """For skops, which cannot store functions; pickle and copy take the entry of the list by its name."""
        return {"described": self.describe()}

    def __setstate__(self, given: dict) -> None:
        vars(self).update(vars(parse(type(self), given["described"])))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"


E = TypeVar("E", bound=RegistryEntry)


def register(of: type[E], names: list[str], described: Mapping[str, Any]) -> dict[str, E]:
    """Return the list of a kind: the entry of each name of the compiled list, in its order; the class holds it too.

    Raises
    ------
    ImportError
        If a name of the compiled list has no description.
    """
    missing = [name for name in names if name not in described]
    if missing:
        raise ImportError(
            f"src_c/kernels.def has the {of.kind} {', '.join(missing)}, which {described['__name__']} does not "
            "describe; add it there"
        )
    entries = {name: described[name] for name in names}
    of.listed, of.ids = entries, {name: place for place, name in enumerate(names)}
    return entries


def written(expression: str) -> str:
    """Return a formula of ``nn/formulas.py`` as mathematics is written: z^2, and 2 z for 2 * z."""
    return re.sub(r" \* (?!\d)", " ", expression.replace("**", "^"))


def parse(of: type[E], given: Any) -> E:
    """Return the entry that a user named, made, or described with ``describe``."""
    if isinstance(given, of):
        return given
    if isinstance(given, dict):
        values = dict(given)
        return of.listed[_validation.choice(of.kind, values.pop("name", None), of.listed, any_case=True)](**values)
    return of.listed[_validation.choice(of.kind, given, of.listed, any_case=True)]
