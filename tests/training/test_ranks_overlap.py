"""Sums over ranks that begin while the rest of a gradient is computed: the training is that of one process."""

import numpy as np
import pytest
from thread_ranks import ThreadRank, run, successes

import fastprop as fp

CUTS = (0, 0, 14, 17, 40)  # four shards of 40 rows: the first has none
# The square ones have 1.28 MB each, more than MIN_SUMMED_BYTES of plan.pxi.
LAYERS = [fp.Dense(400, "tanh"), fp.BatchNorm(), fp.Dense(400, "tanh"), fp.Dense(400, "tanh"), 2]


class Sum:
    """A sum that is made when it is waited for; until then nobody may change the array."""

    def __init__(self, communicator, array):
        self.communicator, self.array, self.before = communicator, array, array.copy()

    def wait(self):
        assert (self.array == self.before).all()
        ThreadRank.sum(self.communicator, self.array)


@pytest.fixture
def started(monkeypatch):
    """Give ThreadRank a `start_sum`; return the sizes of the arrays that each rank started to sum."""
    sizes = {rank: [] for rank in range(4)}

    def start_sum(self, array):
        sizes[self.rank].append(array.size)
        return Sum(self, array)

    monkeypatch.setattr(ThreadRank, "start_sum", start_sum, raising=False)
    return sizes


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(CUTS[-1], 3)), rng.normal(size=(CUTS[-1], 2)), rng.random(CUTS[-1])


def trained(mine, communicator=None, **options):
    X, y, weight = mine
    net = fp.Network([3, *LAYERS], dtype="float64", seed=1)
    how = {"loss": "half_mse", "optimizer": fp.SGD(0.001), "epochs": 5, "batch_size": CUTS[-1]} | options
    net.fit(X, y, sample_weight=weight, communicator=communicator, **how)
    return net


def on_ranks(arrays, function):
    shards = [[array[a:b] for array in arrays] for a, b in zip(CUTS, CUTS[1:])]
    return run(len(shards), lambda communicator: function(shards[communicator.rank], communicator))


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_large_gradients_are_those_of_one_process(started, threads):
    alone = trained(data())
    nets = successes(on_ranks(data(), trained))
    for net in nets:
        assert np.abs(net.parameters - alone.parameters).max() < 1e-10
        assert (net.parameters == nets[0].parameters).all()
    # each step starts with the last two layers, then with the one before; the first two are left for the end
    assert all(sizes == [400 * 401 + 401 * 2, 400 * 401] * 5 for sizes in started.values())


@pytest.mark.parametrize("first", [fp.Activation("tanh"), fp.PiecewiseLinear([[-2.0, 0.0, 2.0]] * 3)], ids=str)
def test_first_operations_without_parameters_are_not_left_alone(started, first):
    def steps(mine, communicator=None):
        net = fp.Network([3, first, 60_000, 2], seed=1)
        trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.001), communicator=communicator)
        X, y, _ = mine
        trainer.step(X, y)
        return net.parameters

    alone = steps(data())
    for parameters in successes(on_ranks(data(), steps)):
        assert np.abs(parameters - alone).max() < 1e-5


def test_a_started_sum_changes_no_bit(started, monkeypatch):
    early = successes(on_ranks(data(), trained))
    monkeypatch.delattr(ThreadRank, "start_sum")  # then each part is summed at once
    for one, other in zip(early, successes(on_ranks(data(), trained))):
        assert (one.parameters == other.parameters).all()


def test_divergence_drops_what_was_started(started):
    X, y, weight = data()
    y[-1] = 1e300

    def diverge(mine, communicator):
        with pytest.raises(fp.DivergenceError):
            trained(mine, communicator)
        assert not communicator.failures
        X, y, weight = mine
        return trained((X, np.minimum(y, 1), weight), communicator).parameters

    found = successes(on_ranks((X, y, weight), diverge))
    assert all((parameters == found[0]).all() for parameters in found)


def test_an_error_in_a_started_sum_ends_the_step(monkeypatch):
    def start_sum(self, array):
        raise ConnectionError("lost")

    monkeypatch.setattr(ThreadRank, "start_sum", start_sum, raising=False)
    monkeypatch.setattr(ThreadRank, "fail", lambda self, error: self.failures.append(error))  # all fail alike

    def step(mine, communicator):
        X, y, weight = mine
        net = fp.Network([3, *LAYERS], dtype="float64", seed=1)
        trainer = fp.Trainer(net, loss="half_mse", communicator=communicator)
        before = net.parameters.copy()
        with pytest.raises(ConnectionError, match="lost") as caught:
            trainer.step(X, y, sample_weight=weight)
        assert (net.parameters == before).all()
        assert trainer.steps == 0
        assert communicator.failures == [caught.value]

    successes(on_ranks(data(), step))
