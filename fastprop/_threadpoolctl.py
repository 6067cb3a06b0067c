"""threadpoolctl, once this was imported, sees fastprop's pool and limits it.

``import fastprop`` imports this module where threadpoolctl was imported before; elsewhere write
``import fastprop._threadpoolctl``.
"""

import threadpoolctl

from fastprop._core import _engine
from fastprop._version import __version__


class PoolController(threadpoolctl.LibController):
    """fastprop's pool of threads. A limit is for the whole process, as ``fastprop.set_num_threads`` is."""

    user_api = "fastprop"
    internal_api = "fastprop"
    filename_prefixes = ("_engine",)  # the extension module
    check_symbols = ("fp_get_num_threads", "fp_set_num_threads")  # others have modules of that name

    def get_num_threads(self) -> int:
        """How many threads training and prediction may use."""
        return _engine.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """What is outside 1 to 256 is brought in."""
        _engine.set_num_threads(num_threads)

    def get_version(self) -> str:
        """fastprop's own version."""
        return __version__


threadpoolctl.register(PoolController)
