"""A communicator over a process group of torch.distributed."""

try:
    import torch
    import torch.distributed as dist
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "fp.distributed.torch needs PyTorch, which is not installed: pip install 'fastprop-nn[torch]'"
    ) from error
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from fastprop.distributed.waiting import Note, PolledCommunicator


class TorchCommunicator(PolledCommunicator):
    """Internal: see ``fastprop.distributed.torch``. Notes go through the store of the process group."""

    _errors = (RuntimeError,)

    def __init__(self, group: Any, timeout: float, start_timeout: float) -> None:
        super().__init__(dist.get_rank(group), dist.get_world_size(group), timeout, start_timeout)
        self._group = group

    @classmethod
    def over(cls, group: Any, *, timeout: float, start_timeout: float) -> Self:
        """Return the communicator over `group`."""
        if not dist.is_available() or not dist.is_initialized():
            raise ValueError("no process group: call torch.distributed.init_process_group('gloo') first")
        return cls(dist.group.WORLD if group is None else group, timeout, start_timeout)

    def _start_sum(self, array: np.ndarray) -> Callable[[], bool]:
        return self._poll(dist.all_reduce(torch.from_numpy(array), group=self._group, async_op=True))

    def _start_broadcast(self, array: np.ndarray, root: int) -> Callable[[], bool]:
        source = dist.get_global_rank(self._group, root)
        return self._poll(dist.broadcast(torch.from_numpy(array), source, group=self._group, async_op=True))

    @staticmethod
    def _poll(work: Any) -> Callable[[], bool]:
        def poll() -> bool:
            if not work.is_completed():
                return False
            work.wait()  # raises what went wrong
            return True

        return poll

    def _tell(self, note: Note) -> None:
        pass

    def _notes(self) -> Iterator[Note]:
        return iter(())

    def __repr__(self) -> str:
        return f"<fastprop.distributed.torch(): rank {self.rank} of {self.size}>"
