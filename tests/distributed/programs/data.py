"""Each rank reads rows of its own: of a memory map that is larger than its window, and of Parquet row groups."""

import sys

import numpy as np
import pyarrow.parquet as pq
from joined import join

import fastprop as fp

communicator = join()
folder = sys.argv[2]


def check(X, y, window):
    net = fp.Network([4, 8, 1], seed=0)
    options = {"batch_size": 64, "epochs": 3, "window": window, "communicator": communicator}
    costs = net.fit(X, y, loss="half_mse", optimizer=fp.SGD(0.1), **options)["cost"]
    assert costs[-1] < costs[0]
    parameters = net.parameters.astype(np.float64)
    summed = parameters.copy()
    communicator.sum(summed)
    assert np.array_equal(summed, communicator.size * parameters)


X = np.memmap(f"{folder}/X", np.float64, "r", shape=(5000, 4))
mine = fp.distributed.shard(len(X), communicator)
check(X[mine], X[mine].sum(axis=1), 1 << 14)  # of float32: 16 KB of the 40 KB of a rank

with pq.ParquetFile(f"{folder}/table.parquet") as file:
    groups = range(file.num_row_groups)[fp.distributed.shard(file.num_row_groups, communicator)]
    frame = file.read_row_groups(list(groups))
rows = np.array([frame.num_rows])
communicator.sum(rows)
assert rows[0] == len(X) > frame.num_rows
check(np.column_stack([frame[name] for name in "abcd"]), frame["y"].to_numpy(), None)
print("all is well")
