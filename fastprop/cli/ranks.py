"""The processes that train together where a launcher such as mpiexec started the command several times."""

import contextlib
import io
import os

from fastprop import distributed
from fastprop.training.ranks import ALONE, Ranks

__all__ = ["join", "quiet"]

# The variables by which launchers say how many processes they started, and which one this is. That of SLURM is set for
# the processes of srun alone, and not for a batch script, which is one process.
LAUNCHERS = (
    ("PMI_SIZE", "PMI_RANK"),  # MPICH, Intel MPI, and srun --mpi=pmi2
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),  # MVAPICH
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # srun
)
# Seconds that a rank waits for one that still reads its files, or compares models; a process that has ended is noticed
# at once.
START_TIMEOUT = 3600.0


def join(wanted=False):
    """Return the ranks of which this process is one.

    Parameters
    ----------
    wanted : bool
        Whether MPI is used even if no launcher is recognised.

    Raises
    ------
    ValueError
        If the processes cannot join.
    """
    size, rank = _launched()
    if size < 2 and not wanted:
        return ALONE
    try:
        communicator = distributed.mpi(start_timeout=START_TIMEOUT)
    except (ImportError, RuntimeError) as error:
        if rank > 0:  # one says it for all
            raise SystemExit(2) from None
        found = f"a launcher started {size} processes: " if size > 1 else "--mpi: "
        raise ValueError(f"{found}{error}") from None
    if size > 1 and communicator.size == 1:
        if rank > 0:
            raise SystemExit(2)
        raise ValueError(
            f"a launcher started {size} processes, but the MPI of mpi4py knows of one: they are of different MPIs. Use "
            "the mpiexec of the MPI that mpi4py uses (with pip install mpich, that in the bin folder of Python)"
        )
    return Ranks(communicator)


def _launched():
    """Return how many processes a launcher started, and which one this is; (1, 0) without one."""
    for sizes, ranks in LAUNCHERS:
        size, rank = os.environ.get(sizes, ""), os.environ.get(ranks, "")
        if size.isdecimal() and rank.isdecimal() and int(size) > 1:
            return int(size), int(rank)
    return 1, 0


@contextlib.contextmanager
def quiet(ranks):
    """Return a context in which rank 0 alone prints."""
    if ranks.rank == 0:
        yield
        return
    nothing = _Nothing()
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        yield


class _Nothing(io.TextIOBase):
    """A stream that drops what is written to it."""

    def write(self, text):
        return len(text)
