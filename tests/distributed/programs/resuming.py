"""A training with checkpoints, which goes on where one before was killed; rank 0 writes its parameters."""

import os
import sys
from pathlib import Path

import numpy as np
from joined import join

import fastprop as fp

directory = Path(sys.argv[2])
communicator = join()
(directory / f"pid-{communicator.rank}").write_text(str(os.getpid()))
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 8)), rng.normal(size=(400, 2))
mine = fp.distributed.shard(len(X), communicator)
net = fp.Network([8, 32, fp.BatchNorm(), fp.Dropout(0.2), 2], seed=1)
net.fit(
    X[mine],
    y[mine],
    loss="half_mse",
    epochs=60,
    batch_size=16,
    validation=0.2,
    early_stopping=fp.EarlyStopping(patience=60),
    average=fp.EMA(0.9),
    callbacks=fp.Checkpoint(directory / "run"),
    resume=directory / "run",
    communicator=communicator,
)
if communicator.rank == 0:
    np.save(directory / "parameters.npy", net.parameters)
