"""Public names: a class or function that fastprop offers says so itself, in messages and in pickles."""

from collections.abc import Iterable
from types import FunctionType
from typing import Any


def publish(namespace: dict[str, Any], names: Iterable[str], module: str = "fastprop", prefix: str = "") -> None:
    """Let the classes and functions among `names` say that they are of a public module.

    A pickle then names that module, and can be read wherever fastprop keeps its promise to offer the name there, in
    whichever file the class is written. What has a public name already keeps it.

    Parameters
    ----------
    namespace : dict
        The globals of the module that defines or imports them.
    names : iterable of str
    module : str, default "fastprop"
        The public module, from which one gets them.
    prefix : str, default ""
        What stands before the name there.
    """
    for name in names:
        thing = namespace[name]
        if _home(thing).startswith("fastprop."):
            thing.__module__, thing.__qualname__ = module, prefix + thing.__name__


def defined_in(namespace: dict[str, Any]) -> list[str]:
    """The names, without an underscore in front, of the classes and functions that a module itself defines."""
    home = namespace["__name__"]
    return [key for key, value in namespace.items() if not key.startswith("_") and _home(value) == home]


def _home(thing: Any) -> str:
    return thing.__module__ if isinstance(thing, type | FunctionType) else ""
