"""What the programs share: the communicator of the engine that is named on the command line."""

import sys
from contextlib import contextmanager

import fastprop as fp


def join(**options):
    """Return the communicator over sys.argv[1], "mpi" or "torch"."""
    if sys.argv[1] == "mpi":
        return fp.distributed.mpi(**options)
    import torch.distributed as dist

    dist.init_process_group("gloo")
    return fp.distributed.torch(**options)


@contextmanager
def failing_together(communicator):
    """Tell the other ranks if the block raises, as ``fit`` does."""
    try:
        yield
    except BaseException as error:
        communicator.fail(error)
        raise
