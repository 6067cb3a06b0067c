"""Imports that wait until they are needed: ``import fastprop`` does not pay for them.

They are of this package, NumPy, and the standard library. The import of an optional package, such as scikit-learn, runs
code that may have any lock, so a fork cannot wait for it.
"""

import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

# Seconds. No import takes so long, but one never ends: where it needs a module that the waiting thread is importing.
LONGEST = 60.0

_importing: list[threading.Thread] = []
_gate = threading.RLock()  # of a fork, from before it until it is done: no import begins meanwhile


def lazy_import(name: str) -> ModuleType:
    """Return the module `name`, and import it first if nobody has.

    Another thread does the import and this one waits. So a signal handler that interrupts the wait and needs the
    module waits as well, instead of finding half of it. A fork waits too: the lock of a module that a thread is
    importing would never be released in the child, which does not have that thread.
    """
    if name not in sys.modules and threading.current_thread() not in _importing:
        thread = threading.Thread(target=_import, args=(name,))
        with _gate:
            _importing.append(thread)
            try:
                thread.start()
            except RuntimeError:  # there can be no more threads, as when the interpreter shuts down
                _importing.remove(thread)
        if thread.ident is not None:
            thread.join(LONGEST)
    return import_module(name)


class LazyModule:
    """A module that is imported when something of it is first asked for; see ``lazy_import``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(lazy_import(self._name), attribute)


def _named() -> None:
    """Never called: what a tool that freezes programs has to see of the modules that are asked for by name."""
    import base64  # noqa: F401
    import difflib  # noqa: F401
    import hashlib  # noqa: F401
    import html  # noqa: F401
    import importlib.resources  # noqa: F401
    import json  # noqa: F401
    import pathlib  # noqa: F401
    import string  # noqa: F401

    import numpy.random  # noqa: F401


def _import(name: str) -> None:
    try:
        with suppress(BaseException):  # lazy_import meets it again, in the thread that wanted the module
            import_module(name)
    finally:
        _importing.remove(threading.current_thread())


def _before_fork() -> None:
    _gate.acquire()
    for thread in list(_importing):
        with suppress(RuntimeError):  # it has not started: a signal handler that forks has interrupted its start
            thread.join(LONGEST)


def _after_fork_in_child() -> None:
    global _gate
    _gate = threading.RLock()
    _importing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=lambda: _gate.release(), after_in_child=_after_fork_in_child
    )
