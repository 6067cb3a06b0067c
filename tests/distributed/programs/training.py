"""Trainings over ragged random shards: those of one process on all rows, and the same bits on every rank."""

import numpy as np
from joined import join

import fastprop as fp
from fastprop.training.communicator import gather

communicator = join()
rank, size = communicator.rank, communicator.size
rng = np.random.default_rng(7)  # the same data on all ranks
ROWS = 90
X, y, weight = rng.normal(size=(ROWS, 6)), rng.normal(size=(ROWS, 2)), rng.random(ROWS)
LAYERS = [16, fp.BatchNorm("tanh"), fp.Residual([fp.Dense(16, "tanh")]), fp.LayerNorm(), 2]
OPTIMIZERS = [(fp.SGD(0.05, momentum=0.9), 50), (fp.Adam(0.01, epsilon=1e-3), 50), (fp.LBFGS(), 6)]


def network(layers=LAYERS, dtype="float64"):
    return fp.Network([6, *layers], dtype=dtype, seed=3)


def assert_near(ours, theirs, tolerance):
    assert np.abs(ours - theirs).max() <= tolerance * max(1, np.abs(theirs).max())


def assert_same_on_all_ranks(array):
    each = gather(communicator, array.reshape(1, -1))
    assert (each.view(np.uint8) == each[:1].view(np.uint8)).all()


for _ in range(3):
    cuts = [0, *np.sort(rng.integers(0, ROWS, size - 1)), ROWS]
    mine = slice(cuts[rank], cuts[rank + 1])
    one, several = network(), network()
    several.parameters *= 1 + rank  # which rank 0 replaces
    alone = fp.Trainer(one, loss="half_mse", optimizer=fp.SGD(1e-9))
    trainer = fp.Trainer(several, loss="half_mse", optimizer=fp.SGD(1e-9), communicator=communicator)
    cost = alone.step(X, y, sample_weight=weight)
    assert abs(trainer.step(X[mine], y[mine], sample_weight=weight[mine]) - cost) <= 1e-12 * cost
    assert_near(several.gradient, one.gradient, 1e-12)
    for optimizer, epochs in OPTIMIZERS:
        how = {"loss": "half_mse", "optimizer": optimizer, "epochs": epochs, "batch_size": ROWS}
        one, several = network(), network()
        one.fit(X, y, sample_weight=weight, **how)
        several.fit(X[mine], y[mine], sample_weight=weight[mine], communicator=communicator, **how)
        assert_near(several.parameters, one.parameters, 1e-10)
        assert_near(several.state, one.state, 1e-10)
        assert_same_on_all_ranks(several.parameters)

bits = []
for threads in (1, 2):
    fp.set_num_threads(threads)
    mine = fp.distributed.shard(ROWS, communicator)
    net = network([fp.Dense(300), fp.Dropout(0.3), fp.BatchNorm(), fp.Dense(300), 2], "float32")
    net.fit(X[mine], y[mine], loss="mse", epochs=2, batch_size=40, communicator=communicator, validation=0.2)
    bits.append(net.parameters)
    assert_same_on_all_ranks(net.parameters)
assert (bits[0] == bits[1]).all()
print("all is well")
