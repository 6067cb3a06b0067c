"""What the entries of the lists of activations and losses share: numbers in their formulas, which calling one sets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, replace
from typing import Any, ClassVar, Self, TypeVar, cast

from fastprop import _validation
from fastprop._util.frozen import frozen


@frozen
class Number:
    """A number in a formula: its name, its value, and what it is held to.

    Attributes
    ----------
    name : str
    value : float, or what ``check`` returns
    least, above, below : float, optional
        The value is at least, above, below this.
    check : callable
        ``check(what, value, **bounds)`` refuses wrong ones, and gives the value to be kept.
    """

    name: str
    value: Any
    _: KW_ONLY
    least: float | None = None
    above: float | None = None
    below: float | None = None
    check: Callable[..., Any] = _validation.number

    def of(self, owner: str, value: Any) -> "Number":
        """The same with another value."""
        bounds = {"least": self.least, "above": self.above, "below": self.below}
        given = {bound: limit for bound, limit in bounds.items() if limit is not None}
        return replace(self, value=self.check(f"{self.name} of {owner}", value, **given))


class Entry:
    """An entry of a list, a frozen dataclass with a name and numbers."""

    kind: ClassVar[str]  # what it is called in messages
    listed: ClassVar[Mapping[str, Any]]  # the list: name -> entry

    name: str
    numbers: tuple[Number, ...]

    def __call__(self, **values: Any) -> Self:
        """The same with other numbers.

        Raises
        ------
        ValueError, TypeError
            If it has no such number, or a number is out of its range.
        """
        for name in values:
            if not self.numbers:
                got = f"got {name!r:.200}; use {self.name!r} as it is"
                raise ValueError(f"{self.kind} {self.name} has no numbers, {got}")
            _validation.choice(f"number of {self.kind} {self.name}", name, [number.name for number in self.numbers])
        changed = (n.of(self.name, values[n.name]) if n.name in values else n for n in self.numbers)
        return replace(cast(Any, self), numbers=tuple(changed))

    @property
    def values(self) -> dict[str, Any]:
        """The name and value of each of its numbers."""
        return {number.name: number.value for number in self.numbers}

    def describe(self) -> str | dict:
        """Its name, or a JSON-able dict of its name and its numbers where these are not the list's."""
        return self.name if self == self.listed[self.name] else {"name": self.name, **self.values}

    def __getstate__(self) -> dict:
        """For skops, which cannot store functions; pickle and copy take the entry of the list by its name."""
        return {"described": self.describe()}

    def __setstate__(self, given: dict) -> None:
        vars(self).update(vars(parse(type(self), given["described"])))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"


def written(expression: str) -> str:
    """Return a formula of ``nn/formulas.py`` as mathematics is written: z^2, and 2 z for 2 * z."""
    return re.sub(r" \* (?!\d)", " ", expression.replace("**", "^"))


E = TypeVar("E", bound=Entry)


def parse(of: type[E], given: Any) -> E:
    """The entry that was meant by its name, by itself, or by what ``describe`` made of it."""
    if isinstance(given, of):
        return given
    if isinstance(given, dict):
        values = dict(given)
        return of.listed[_validation.choice(of.kind, values.pop("name", None), of.listed, any_case=True)](**values)
    return of.listed[_validation.choice(of.kind, given, of.listed, any_case=True)]
