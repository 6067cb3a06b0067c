"""Types of command-line arguments. Their errors say what was got and what was wanted."""

import argparse
import re

from contest.process import usable_cpus
from contest.tasks import task_named
from fma_limit import FLAGS, supported


def positive(text):
    """Return a whole number that is at least 1."""
    if not re.fullmatch(r"0*[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 on")
    return int(text)


def threads(text):
    """Return a number of threads for which this process has CPUs."""
    count, cpus = positive(text), usable_cpus()
    if count > cpus:
        raise argparse.ArgumentTypeError(f"got {text}, but this process may use {cpus} CPU{'s' if cpus > 1 else ''}")
    return count


def isa(text):
    """Return the name of an instruction set that fastprop has and this CPU, too, as far as that is known."""
    usable = [*(supported() or FLAGS), "portable"]
    if text not in usable:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted one of {', '.join(usable)}")
    return text


def shape(text):
    """Return the name of a product's shape, such as 128x512x512: rows, inputs, outputs."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted rows x n_in x n_out, such as 128x512x512")
    return text


def network(text):
    """Return the task of a network, such as 100-300x2-5/128."""
    try:
        return task_named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
