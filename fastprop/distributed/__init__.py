"""A training over several processes, on one machine or many: the communicators that join them.

Every process, which is called a rank, makes the same calls with rows of its own::

    communicator = fp.distributed.mpi()
    mine = fp.distributed.shard(len(X), communicator)
    net.fit(X[mine], y[mine], ..., batch_size=4096, communicator=communicator)  # 4096 rows of all ranks together

The messages are carried by MPI (``fp.distributed.mpi``) or by torch.distributed (``fp.distributed.torch``); any object
with the methods of ``fp.distributed.Communicator`` will do.
"""

import faulthandler
import sys
from typing import Any

from fastprop._util.public import publish
from fastprop.distributed.single import single
from fastprop.training.communicator import Communicator, RankError

__all__ = ["Communicator", "RankError", "mpi", "shard", "single", "torch"]


def mpi(comm: Any = None, *, timeout: float = 8.0, start_timeout: float = 300.0) -> Communicator:
    """Return a communicator over MPI, for a program that ``mpiexec`` started; all ranks must call it.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        The ranks; by default all that were started. It is duplicated, so its own messages do not interfere.
    timeout : float, default 8.0
        Seconds that a rank waits for the others in a sum, before it raises a RankError that names those who did not
        come.
    start_timeout : float, default 300.0
        The same where ranks need not arrive together: here, and at the beginning of a training.

    Returns
    -------
    Communicator

    Raises
    ------
    ImportError
        If mpi4py is not installed, or finds no MPI.
    """
    # The import waits for all ranks, and runs no Python meanwhile.
    if (file := sys.__stderr__) is not None:
        faulthandler.dump_traceback_later(start_timeout, exit=True, file=file)
    try:
        from fastprop.distributed.mpi_communicator import MPICommunicator
    finally:
        faulthandler.cancel_dump_traceback_later()
    return MPICommunicator.over(comm, timeout=timeout, start_timeout=start_timeout)


def torch(group: Any = None, *, timeout: float = 8.0, start_timeout: float = 300.0) -> Communicator:
    """Return a communicator over a process group of torch.distributed; all ranks of the group must call it.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, optional
        An initialised group that computes on CPUs, such as one of gloo; by default the one of all processes, as
        ``torch.distributed.init_process_group("gloo")`` makes it.
    timeout, start_timeout : float
        As for ``mpi``.

    Returns
    -------
    Communicator

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If no process group has been initialised, or this process does not belong to it.
    """
    from fastprop.distributed.torch_communicator import TorchCommunicator

    return TorchCommunicator.over(group, timeout=timeout, start_timeout=start_timeout)


def shard(n: int, communicator: Communicator) -> slice:
    """Return the rows of this rank, of `n` rows that are dealt evenly: the first ranks get one more.

    Parameters
    ----------
    n : int
        The number of rows of all ranks together.
    communicator : Communicator

    Returns
    -------
    slice
        Of consecutive rows; empty where there are more ranks than rows.
    """
    each, more = divmod(n, communicator.size)
    start = communicator.rank * each + min(communicator.rank, more)
    return slice(start, start + each + (communicator.rank < more))


publish(globals(), __all__, "fastprop.distributed")
