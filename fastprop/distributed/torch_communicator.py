"""A communicator over a process group of torch.distributed."""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, Self
from weakref import WeakKeyDictionary

import numpy as np

from fastprop.distributed.waiting import Note, PolledCommunicator

try:
    import torch
    import torch.distributed as dist
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "fp.distributed.torch needs PyTorch, which is not installed: pip install 'fastprop-nn[torch]'"
    ) from error

KEY = "fastprop note"  # in the store: how many there are, and, followed by its number, each of them
READ_PERIOD = 0.1  # seconds between two looks into the store while this rank waits: a look takes it 0.1 ms
SLICE = timedelta(milliseconds=10)  # of a wait, between two looks for notes and for Ctrl-C
FLUSH = 1.0  # seconds that notes which have not been sent may keep the process from ending


class StoreNotes:
    """Internal: the notes of all ranks, in a store of torch.distributed.

    A thread talks to the store, since an answer does not come while the process that keeps the store is stopped.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._to_send: deque[str] = deque()
        self._read: deque[str] = deque()
        self._n_read = 0
        self._wanted_until = 0.0
        self._idle = self._look_now = False
        self._stopped = False
        self._thread = threading.Thread(target=self._talk, name="fastprop notes", daemon=True)
        self._thread.start()

    def send(self, note: str) -> None:
        """Send a note, some time soon."""
        with self._changed:
            self._to_send.append(note)
            self._changed.notify_all()

    def received(self, *, all_sent: bool) -> Iterator[str]:
        """Yield the notes that have come, and look for others during the next second; `all_sent` waits for a look."""
        self._wanted_until = time.monotonic() + 1
        if self._idle or all_sent:
            with self._changed:
                self._look_now = True
                self._changed.notify_all()
                if all_sent:
                    self._changed.wait_for(lambda: not self._look_now, FLUSH)
        while self._read:
            yield self._read.popleft()

    def stop(self) -> None:
        """Send what is to be sent, and end the thread, which must not be in the store when the interpreter ends."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(FLUSH)

    def _talk(self) -> None:
        try:
            while self._to_send or not self._stopped:
                while self._to_send:
                    self._store.set(f"{KEY} {self._store.add(KEY, 1)}", self._to_send.popleft())
                wanted, now = time.monotonic() < self._wanted_until, self._look_now
                if wanted or now:
                    for n in range(self._n_read, self._store.add(KEY, 0)):
                        self._read.append(self._store.get(f"{KEY} {n + 1}").decode())
                        self._n_read = n + 1
                with self._changed:
                    if now:
                        self._look_now = False
                        self._changed.notify_all()
                    elif not (self._to_send or self._look_now or self._stopped):
                        self._idle = not wanted
                        self._changed.wait(READ_PERIOD if wanted else None)
                        self._idle = False
        except RuntimeError:  # the process that keeps the store has ended, so the group's connection to it is lost, too
            pass


class TorchRequest:
    """Internal: a message under way."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._ended = False

    def done(self) -> bool:
        """Return whether it has ended; raise a RuntimeError if it cannot."""
        if not self._ended and self._work.is_completed():
            self._work.wait()  # raises what went wrong
            self._ended = True
        return self._ended

    def pause(self, waited: float) -> None:
        """Wait for the thread of the group, which polls would keep from its work."""
        with suppress(RuntimeError):  # it is still under way, or has failed, as `done` will say
            self._work.wait(SLICE)
            self._ended = True


_known: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # process group -> its communicator


class TorchCommunicator(PolledCommunicator):
    """Internal: see ``fastprop.distributed.torch``. Notes go through the store of the process group."""

    _errors = (RuntimeError,)

    def __init__(self, group: Any, timeout: float, start_timeout: float) -> None:
        super().__init__(dist.get_rank(group), dist.get_world_size(group), timeout, start_timeout)
        self._group = group
        self._ranks = dist.get_process_group_ranks(group)
        if self.size > 1:
            store = group.get_group_store()
            self._store = StoreNotes(store.clone() if hasattr(store, "clone") else store)
            self._open()

    @classmethod
    def over(cls, group: Any, *, timeout: float, start_timeout: float) -> Self:
        """Return the communicator over `group`, which has one."""
        if not dist.is_available() or not dist.is_initialized():
            raise ValueError("no process group has been initialised: call torch.distributed.init_process_group('gloo')")
        group = dist.group.WORLD if group is None else group
        if group == dist.GroupMember.NON_GROUP_MEMBER:
            raise ValueError("this process does not belong to the group")
        if dist.get_backend(group) == "nccl":
            raise ValueError("got a group over nccl, which joins GPUs, wanted one over gloo; make one with new_group")
        known: Self | None = _known.get(group)
        if known is None:
            known = _known[group] = cls(group, timeout, start_timeout)
        known.set_timeouts(timeout, start_timeout)
        return known

    def _start_sum(self, array: np.ndarray) -> TorchRequest:
        return TorchRequest(self._group.allreduce([torch.from_numpy(array)]))

    def _start_broadcast(self, array: np.ndarray, root: int) -> TorchRequest:
        return TorchRequest(self._group.broadcast(torch.from_numpy(array), root))

    def _tell(self, note: Note) -> None:
        self._store.send(json.dumps(note))

    def _notes(self, *, all_sent: bool = False) -> Iterator[Note]:
        for text in self._store.received(all_sent=all_sent):
            note = Note(*json.loads(text))
            if note.sender != self.rank:
                yield note

    def _renew(self) -> None:
        self._group = dist.new_group(
            self._ranks, timeout=timedelta(seconds=self.start_timeout), backend="gloo", use_local_synchronization=True
        )

    def _leave(self) -> None:
        self._tell(self._note("ended"))

    def _close(self) -> None:
        self._store.stop()

    def _abandon(self) -> NoReturn:
        os._exit(1)  # the group would wait for its sums

    def __repr__(self) -> str:
        return f"<fastprop.distributed.torch(): rank {self.rank} of {self.size}>"
