"""Registers fastprop's pool of threads with threadpoolctl, which then shows and limits it.

``import fastprop`` imports this module if threadpoolctl was imported before; otherwise use
``import fastprop._threadpoolctl``.
"""

import threadpoolctl

from fastprop._core import _engine
from fastprop._version import __version__


class PoolController(threadpoolctl.LibController):
    """fastprop's pool of threads. A limit applies to the whole process, as that of ``fastprop.set_num_threads``."""

    user_api = "fastprop"
    internal_api = "fastprop"
    filename_prefixes = ("_engine",)  # the extension module
    check_symbols = ("fp_get_num_threads", "fp_set_num_threads")  # other packages have modules of that name too

    def get_num_threads(self) -> int:
        """Return how many threads training and prediction may use."""
        return _engine.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """Set how many threads may be used; a number outside 1 to 256 is clipped."""
        _engine.set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return fastprop's version."""
        return __version__


threadpoolctl.register(PoolController)
