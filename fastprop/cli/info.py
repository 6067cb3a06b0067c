"""`fastprop info`: the version, the CPU, the kernels and the threads."""

import os
import platform
from pathlib import Path

import fastprop as fp

__all__ = ["run"]


def run(args):
    """Print what fastprop uses on this machine."""
    fp.show_config()
    print(f"{'python:':14}{platform.python_version()} on {platform.platform()}")
    print(f"{'cores:':14}{os.cpu_count()}")
    print(f"{'installed in:':14}{Path(fp.__file__).parent}")
