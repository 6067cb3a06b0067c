"""Imports that are delayed until they are needed, so that ``import fastprop`` does not take their time.

They are for modules of this package, of NumPy and of the standard library. The import of an optional package, such as
scikit-learn, runs code that may hold any lock, so a fork cannot wait for it.
"""

import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

# Seconds. No import takes that long, except one that needs a module which the waiting thread is importing: that one
# would never end.
MAX_WAIT = 60.0

_importing: list[threading.Thread] = []
_fork_lock = threading.RLock()  # held during a fork, so that no import begins meanwhile


def lazy_import(name: str) -> ModuleType:
    """Return the module `name`, and import it first if it has not been imported.

    Another thread imports it while this one waits. So a signal handler that interrupts the wait and needs the module
    waits as well, instead of finding a module that is imported in part. A fork waits too: the lock of a module that a
    thread is importing would never be released in the child, which does not have that thread.
    """
    if name not in sys.modules and threading.current_thread() not in _importing:
        thread = threading.Thread(target=_import, args=(name,))
        with _fork_lock:
            _importing.append(thread)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started, as when the interpreter shuts down
                _importing.remove(thread)
        if thread.ident is not None:
            thread.join(MAX_WAIT)
    return import_module(name)


class LazyModule:
    """A module that is imported by the first access to one of its attributes; see ``lazy_import``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(lazy_import(self._name), attribute)


def _named() -> None:
    """Never called: it shows tools such as PyInstaller the modules that are imported by name.

    Optional packages are not among them: a frozen program has those that it imports itself.
    """
    import base64  # noqa: F401
    import difflib  # noqa: F401
    import hashlib  # noqa: F401
    import html  # noqa: F401
    import importlib.resources  # noqa: F401
    import json  # noqa: F401
    import pathlib  # noqa: F401
    import string  # noqa: F401
    import unicodedata  # noqa: F401

    import numpy.random  # noqa: F401


def _import(name: str) -> None:
    try:
        with suppress(BaseException):  # lazy_import raises it again, in the thread that wanted the module
            import_module(name)
    finally:
        _importing.remove(threading.current_thread())


def _before_fork() -> None:
    _fork_lock.acquire()
    for thread in list(_importing):
        with suppress(RuntimeError):  # not started yet: the fork is in a signal handler that interrupted its start
            thread.join(MAX_WAIT)


def _after_fork_in_child() -> None:
    global _fork_lock
    _fork_lock = threading.RLock()
    _importing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=lambda: _fork_lock.release(), after_in_child=_after_fork_in_child
    )
