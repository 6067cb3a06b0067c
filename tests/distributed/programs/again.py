"""A failure on all ranks, or on one, after which they go on with the same communicator."""

import numpy as np
import pytest
from joined import failing_together, join

import fastprop as fp
from fastprop.training.communicator import meet

communicator = join(timeout=30)
rank, size = communicator.rank, communicator.size


def use():
    meet(communicator, size=size)
    array = np.ones(1000)
    communicator.sum(array)
    assert (array == size).all()


def raises(error, ranks):
    with failing_together(communicator):
        if rank in ranks:
            raise error
        while True:
            communicator.sum(np.ones(20))


use()
for _ in range(3):
    with pytest.raises(ValueError, match="everywhere"):
        raises(ValueError("everywhere"), range(size))
    use()
    with pytest.raises((ValueError, fp.distributed.RankError), match="only on the last"):
        raises(ValueError("only on the last"), [size - 1])
    with pytest.raises(fp.distributed.RankError, match="only on the last"):
        communicator.sum(np.ones(3))  # not before they have met
    use()
    with pytest.raises(KeyboardInterrupt):
        raises(KeyboardInterrupt(), [0])
    use()
    # A failure that is noticed while a call ends well is raised by the next one, and be it a meeting.
    if rank == size - 1:
        communicator.fail(ValueError("noticed late"))
    else:
        while communicator._failure is None:
            communicator._read()
        with pytest.raises(fp.distributed.RankError, match="noticed late"):
            communicator.meet()
    use()
communicator.history += rank  # as after sums of other shapes, which MPI may not notice
if size > 1:
    with pytest.raises(ValueError, match="the ranks have made different calls"):
        communicator.meet()
use()
print("all is well")
