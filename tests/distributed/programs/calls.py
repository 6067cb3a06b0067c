"""Every call of a communicator, on every rank."""

import numpy as np
import pytest
from joined import join

from fastprop.distributed import waiting
from fastprop.training.communicator import broadcast_bytes, gather, gather_texts, meet, start_sum

communicator = join()
rank, size = communicator.rank, communicator.size
everyone = np.arange(size)

for dtype in ("float32", "float64", "int64"):
    array = np.full((2, 3), rank + 1, dtype)
    communicator.sum(array)
    assert (array == (everyone + 1).sum()).all()
    for root in everyone:
        array = np.full(3, rank, dtype)
        communicator.broadcast(array, int(root))
        assert (array == root).all()
    communicator.sum(np.zeros(0, dtype))

several = [np.full(n, rank + n, np.float64) for n in (1, 1000, 3)]
pending = [start_sum(communicator, array) for array in several]
for sum_, array, n in zip(pending, several, (1, 1000, 3)):
    sum_.wait()
    assert (array == (everyone + n).sum()).all()

for dtype in ("float32", "uint8", "bool", "U7", "M8[s]"):
    rows = np.full((rank, 2), rank).astype(dtype)
    together = gather(communicator, rows)
    assert together.dtype == rows.dtype
    assert np.array_equal(together[:, 1], np.repeat(everyone, everyone).astype(dtype))
assert gather_texts(communicator, "ö" * rank) == ["ö" * other for other in everyone]
assert broadcast_bytes(communicator, bytes(range(rank + 10)), size - 1) == bytes(range(size + 9))

# Every rank gets the same bits, and gets them again.
rng = np.random.default_rng(rank)
for n in (1, 2, 3, 7, 64, 1000, 1023, 4096, 50_000, 300_001):
    for dtype in ("float32", "float64"):
        mine = (rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)).astype(dtype)
        first, second = mine.copy(), mine.copy()
        communicator.sum(first)
        communicator.sum(second)
        of_root = first.copy()
        communicator.broadcast(of_root)
        assert first.tobytes() == second.tobytes() == of_root.tobytes()
        of_all = gather(communicator, mine[None]).astype("longdouble")
        assert (abs(first - of_all.sum(axis=0)) <= size * np.finfo(dtype).eps * abs(of_all).sum(axis=0)).all()

# An array of several messages.
waiting.MAX_BYTES = 800
array = np.arange(1001.0) + rank
communicator.sum(array)
assert np.array_equal(array, np.arange(1001.0) * size + everyone.sum())
waiting.MAX_BYTES = 1 << 30

communicator.meet()
meet(communicator, n_parameters=3)
if size > 1:
    with pytest.raises(ValueError, match="got batch_size=0 on rank 0 and batch_size=1 on rank 1"):
        meet(communicator, n_parameters=3, batch_size=rank)
print("all is well")
