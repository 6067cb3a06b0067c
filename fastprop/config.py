"""What serves on this machine."""

import numpy as np

from fastprop import _engine
from fastprop._version import __version__


def config() -> dict[str, str]:
    """What ``show_config`` prints, by name."""
    usable = [name + ("" if has else " (not on this CPU)") for name, has in _engine.isas().items()]
    return {
        "fastprop": __version__,
        "numpy": np.__version__,
        "cpu": _engine.cpu_name(),
        "kernel table": _engine.serving_isa(),
        "tables built": ", ".join(usable),
        "threads": str(_engine.get_num_threads()),
    }


def show_config() -> None:
    """Prints the version, the CPU, which kernel table serves (FASTPROP_ISA forces one), and the number of threads."""
    for name, value in config().items():
        print(f"{name + ':':14}{value}")
