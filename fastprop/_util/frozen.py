"""Frozen dataclasses that are quick to define, and properties that an instance computes once."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any, Generic, TypeVar, dataclass_transform, overload

C = TypeVar("C", bound=type)
T = TypeVar("T")


def _set(self: Any, name: str, value: Any) -> None:
    fixed = name in self.__dict__ if name in self.__dataclass_fields__ else "__dataclass_fields__" in vars(type(self))
    if fixed:  # __init__ sets each field once; a subclass that is no dataclass may have attributes of its own
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__name__}({', '.join(shown)})"


def _compared(instance: Any) -> tuple:
    return tuple(getattr(instance, each.name) for each in fields(instance) if each.compare)


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


METHODS = {"__setattr__": _set, "__delattr__": _delete, "__repr__": _repr, "__eq__": _eq, "__hash__": _hash}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: C) -> C:
    """Do what ``dataclass(frozen=True)`` does to a class, in a fifth of the time.

    ``dataclass`` compiles the text of six methods for every class, which takes 20 ms for the fifty classes of ``import
    fastprop``. All of them except ``__init__`` can be shared. A method that the class defines or inherits is kept.
    """
    dataclass(repr=False, eq=False)(cls)
    for name, method in METHODS.items():
        if not any(name in vars(base) for base in cls.__mro__[:-1]):
            setattr(cls, name, method)
    return cls


class ByIdentity:
    """A base for classes with arrays: an instance equals only itself, since arrays compare element by element."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class once(Generic[T]):
    """``functools.cached_property`` without a lock.

    Python 3.11 holds a lock for all instances while it computes: the child of a fork would wait for ever for a thread
    that had held it. Here two threads may compute a value twice.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.function.__name__] = self.function(instance)
        return value
