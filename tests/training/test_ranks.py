"""Training over several ranks: it is the training of one process on all rows, to rounding, whatever the shards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import EXAMPLES, inputs
from strategies import last, outputs_for, targets
from thread_ranks import run, successes

import fastprop as fp
from fastprop.nn.losses import LOSSES

CUTS = (0, 0, 14, 17, 40)  # four shards of 40 rows: the first has none
FIXED = [
    pytest.param(layers, id=f"{kind}-{place}")
    for kind, examples in EXAMPLES.items()
    for place, layers in enumerate(examples)
    if "Dropout" not in str(layers)  # whose masks differ from rank to rank
]


def parts(cuts, *arrays):
    """Return the rows of each rank, of each array."""
    return [[array[a:b] for array in arrays] for a, b in zip(cuts, cuts[1:])]


def data(layers, rows=CUTS[-1], seed=0, n_inputs=3):
    rng = np.random.default_rng(seed)
    net = fp.Network([n_inputs, *layers], dtype="float64", seed=1)
    weight = rng.random(rows)
    weight[14:17] = 0  # those of the third rank
    return inputs(net, rng, rows), rng.normal(size=(rows, net.n_outputs)), weight


def assert_near(ours, theirs, tolerance):
    assert np.abs(ours - theirs).max(initial=0) <= tolerance * max(1, np.abs(theirs).max(initial=0))


def trained(layers, mine, communicator=None, dtype="float64", **options):
    """Return the network that was trained on some rows, and its history."""
    rank = 0 if communicator is None else communicator.rank
    net = fp.Network([np.shape(mine[0])[1], *layers], dtype=dtype, seed=1 + rank)
    X, y, *weight = mine
    how = {"loss": "half_mse", "epochs": 50, "sample_weight": weight[0] if weight else None} | options
    return net, net.fit(X, y, communicator=communicator, **how)


def on_ranks(cuts, arrays, function):
    """Call function(rows, communicator) on each rank with its rows."""
    shards = parts(cuts, *arrays)
    return run(len(shards), lambda communicator: function(shards[communicator.rank], communicator))


OPTIMIZERS = {
    "sgd": {"optimizer": fp.SGD(0.05, momentum=0.9)},
    # the gradient of a bias before a batch norm is rounding alone, which a small epsilon would divide by itself
    "adam": {"optimizer": fp.Adam(0.01, epsilon=1e-3)},
    # its line search enlarges differences of rounding, tenfold in a few iterations
    "lbfgs": {"optimizer": fp.LBFGS(), "epochs": 6},
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("layers", FIXED)
def test_ragged_shards_are_one_process(layers, optimizer):
    if optimizer == "lbfgs":
        pytest.importorskip("scipy")
    arrays, options = data(layers), OPTIMIZERS[optimizer] | {"batch_size": CUTS[-1]}
    alone, history = trained(layers, arrays, **options)
    found = successes(on_ranks(CUTS, arrays, lambda mine, c: trained(layers, mine, c, **options)))
    for net, of_rank in found:
        assert_near(net.parameters, alone.parameters, 1e-10)
        assert_near(net.state, alone.state, 1e-10)
        assert_near(np.array(of_rank["cost"]), np.array(history["cost"]), 1e-10)
        assert (net.parameters == found[0][0].parameters).all()
        assert (net.state == found[0][0].state).all()
        assert of_rank["cost"] == found[0][1]["cost"]


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 30), max_size=4).map(lambda inner: (0, *sorted(inner), 30)),
    loss=st.sampled_from(list(LOSSES)),
    norm=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_gradient_is_that_of_all_rows(cuts, loss, norm, weighted, seed):
    rng, n_outputs = np.random.default_rng(seed), outputs_for(loss, 2)
    layers = [fp.Dense(5, "tanh"), *([fp.BatchNorm()] if norm else []), fp.Dense(n_outputs, last("tanh", loss))]
    X, y, weight = rng.normal(size=(30, 4)), targets(loss, rng, 30, n_outputs), rng.integers(3, size=30) * 0.5
    weight = weight if weighted and weight.any() else np.ones(30)

    def step(mine, communicator):
        net = fp.Network([4, *layers], dtype="float64", seed=seed)
        trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(1e-9), communicator=communicator)
        X, y, weight = mine
        return trainer.step(X, y, sample_weight=weight if weighted else None), net.gradient

    cost, gradient = step([X, y, weight], None)
    for result in successes(on_ranks(cuts, (X, y, weight), step)):
        assert abs(result[0] - cost) <= 1e-12 * max(1, abs(cost))
        assert_near(result[1], gradient, 1e-12)


@pytest.mark.parametrize("threads", [2, 3], indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(threads, dtype):
    layers = [fp.Dense(64), fp.BatchNorm(), fp.Dropout(0.2), fp.Dense(64), 3]
    arrays = data(layers, rows=700, n_inputs=20)

    def bits():
        results = on_ranks((0, 500, 700), arrays, lambda mine, c: trained(layers, mine, c, dtype, epochs=2))
        return [net.parameters for net, _ in successes(results)]

    several = bits()
    fp.set_num_threads(1)
    for one, other in zip(bits(), several):
        assert (one == other).all()


def test_one_rank_has_the_bits_of_none():
    layers = [7, fp.BatchNorm(), fp.Dropout(0.3), 2]
    arrays = data(layers)
    alone, _ = trained(layers, arrays)
    ((net, _),) = successes(run(1, lambda c: trained(layers, arrays, c)))
    assert (net.parameters == alone.parameters).all()
    single, _ = trained(layers, arrays, fp.distributed.single())
    assert (single.parameters == alone.parameters).all()


def test_ranks_take_equal_numbers_of_steps_in_orders_of_their_own():
    X, y, _ = data([4])

    def train(mine, communicator):
        net = fp.Network([3, 4], dtype="float64", seed=0)
        trainer = fp.Trainer(net, loss="half_mse", communicator=communicator, seed=5)
        trainer.epoch(*mine, batch_size=8)
        return trainer.steps, net.parameters

    results = successes(on_ranks((0, 2, 20, 40), (X, y), train))
    assert [steps for steps, _ in results] == [5] * 3
    assert all((parameters == results[0][1]).all() for _, parameters in results)


@pytest.mark.parametrize(
    "options",
    [
        {"validation": 0.25, "early_stopping": fp.EarlyStopping(patience=3), "optimizer": fp.Adam(0.05), "epochs": 60},
        {"optimizer": fp.SGD(fp.schedules.ReduceOnPlateau(0.05, patience=1)), "clip_norm": 0.1, "batch_size": 7},
        {"optimizer": fp.SGD(0.05), "average": fp.EMA(0.9), "clip_value": 0.01, "l1": 0.01, "l2": 0.01},
        {"metrics": ["rmse", "r2", "mae"], "batch_size": 16},
    ],
    ids=["early stopping", "plateau, clip_norm", "average, penalties", "metrics"],
)
def test_all_ranks_decide_alike(options):
    arrays = data([6, 2])
    found = successes(on_ranks(CUTS, arrays, lambda mine, c: trained([6, 2], mine, c, **({"epochs": 8} | options))))
    for net, history in found:
        assert (net.parameters == found[0][0].parameters).all()
        assert {k: v for k, v in history.items() if k != "seconds"} == {
            k: v for k, v in found[0][1].items() if k != "seconds"
        }
    assert ("early_stopping" in options) <= (len(found[0][1]["epoch"]) < 60)


@pytest.mark.parametrize("chosen", ["balanced", {0: 2.0, 2: 0.5}])
def test_class_weights_and_metrics_of_classes_are_of_all_rows(chosen):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(60, 3)), np.sort(rng.choice(3, size=60, p=[0.6, 0.3, 0.1]))  # no rank has all classes
    Xv, yv = rng.normal(size=(30, 3)), np.sort(rng.integers(3, size=30))
    options = {
        "loss": "cross_entropy",
        "class_weight": chosen,
        "batch_size": 60,
        "epochs": 5,
        "metrics": ["accuracy", "auc", "f1", "log_loss"],
        "optimizer": fp.SGD(0.5),
    }
    alone, history = trained([5, 3], (X, y), validation=(Xv, yv), **options)

    def train(mine, communicator):
        X, y, Xv, yv = mine
        return trained([5, 3], (X, y), communicator, validation=(Xv, yv), **options)

    cuts, held = (0, 0, 25, 60), (0, 3, 9, 30)
    shards = [[*one, *two] for one, two in zip(parts(cuts, X, y), parts(held, Xv, yv))]
    for net, of_rank in successes(run(3, lambda c: train(shards[c.rank], c))):
        assert_near(net.parameters, alone.parameters, 1e-12)
        for name in set(history) - {"seconds"}:
            assert_near(np.array(of_rank[name]), np.array(history[name]), 1e-12)


def test_evaluate_is_of_all_rows():
    X, y, weight = data([2])
    net = fp.Network([3, 2], dtype="float64", seed=0)
    wanted = net.evaluate(X, y, loss="mse", sample_weight=weight, metrics=["mae", "r2"])

    def evaluate(mine, communicator):
        X, y, weight = mine
        own, options = fp.Network([3, 2], dtype="float64", seed=communicator.rank), {"metrics": ["mae", "r2"]}
        return own.evaluate(X, y, loss="mse", sample_weight=weight, communicator=communicator, **options)

    for found in successes(on_ranks(CUTS, (X, y, weight), evaluate)):
        assert found == pytest.approx(wanted, rel=1e-12)


def as_batches(X, y, size):
    return [(X[i : i + size], y[i : i + size]) for i in range(0, len(X), size)]


def test_batches_may_be_of_different_numbers():
    X, y, _ = data([2])
    # the third rank has no batch, and the first has one more than the second
    shards = [as_batches(X[:24], y[:24], 8), as_batches(X[24:], y[24:], 8), []]
    joined = [(np.vstack([X[a:b], X[c:d]]), np.vstack([y[a:b], y[c:d]])) for a, b, c, d in
              [(0, 8, 24, 32), (8, 16, 32, 40), (16, 24, 0, 0)]]  # fmt: skip

    def train(batches, communicator=None):
        net = fp.Network([3, 2], dtype="float64", seed=0)
        return net, net.fit(batches, loss="half_mse", epochs=3, communicator=communicator)

    alone, history = train(joined)
    for net, of_rank in successes(run(3, lambda c: train(shards[c.rank], c))):
        assert_near(net.parameters, alone.parameters, 1e-12)
        assert_near(np.array(of_rank["cost"]), np.array(history["cost"]), 1e-12)


def test_mapped_files_and_a_loss_of_ones_own(tmp_path):
    X, y, _ = data([2])
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.shape)
    mapped[:] = X

    def own(Y, y):
        return np.mean(np.sum((Y - y) ** 2, axis=1) / 2), (Y - y) / len(y)

    def train(mine, communicator, loss, window):
        X, y = mine
        net = fp.Network([3, 2], dtype="float64", seed=0)
        net.fit(X, y, loss=loss, epochs=4, batch_size=40, communicator=communicator, window=window)
        return net

    whole = train([mapped, y], None, "half_mse", None)
    for cuts in [CUTS, (0, 7, 40)]:  # with a window of 300 bytes only some ranks have rows that need converting
        for options in [("half_mse", 300), (own, None), (own, 300)]:
            for net in successes(on_ranks(cuts, (mapped, y), lambda mine, c, given=options: train(mine, c, *given))):
                assert_near(net.parameters, whole.parameters, 1e-12)


def test_steps_one_by_one_have_costs_of_all_rows_and_stop_together():
    X, y, _ = data([2])
    costs = [[], []]

    def train(mine, communicator):
        class Stop(fp.Callback):
            def on_step_end(self, run):
                costs[communicator.rank].append(run.cost)
                if communicator.rank == 1 and run.steps == 7:
                    run.stop()

        net = fp.Network([3, 2], dtype="float64", seed=0)
        net.fit(*mine, loss="half_mse", epochs=4, batch_size=8, communicator=communicator, callbacks=Stop())
        return net.parameters

    first, second = successes(on_ranks((0, 13, 40), (X, y), train))
    assert (first == second).all()
    assert costs[0] == costs[1]
    assert len(costs[0]) == 7


def test_update_adds_up_the_gradients():
    X, y, _ = data([2])

    def update(mine, communicator):
        net = fp.Network([3, 2], dtype="float64", seed=0)
        trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(0.1), communicator=communicator)
        net.backward((net.forward(mine[0]) - mine[1]) / len(X))
        trainer.update()
        return net.parameters

    alone = update([X, y], None)
    for parameters in successes(on_ranks((0, 13, 40), (X, y), update)):
        assert_near(parameters, alone, 1e-14)


def test_dropout_differs_from_rank_to_rank_and_step_to_step():
    X, y = np.ones((64, 10)), np.zeros((64, 10))

    def gradients(mine, communicator):
        net = fp.Network([10, fp.Dropout(0.5), 10], dtype="float64", seed=0)
        trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.SGD(1e-9), communicator=communicator)
        for _ in range(2):
            trainer.step(*mine)
        return [array for array in communicator.sums if array.size == net.n_parameters]

    found = np.array(successes(on_ranks((0, 32, 64), (X, y), gradients))).reshape(4, -1)
    assert len(np.unique(found, axis=0)) == 4
    # half of the inputs are kept, twice as large: the sums agree within the spread of 64 masks
    assert np.abs(found.sum(axis=1) / found.sum(axis=1).mean() - 1).max() < 0.5


def test_statistics_of_each_rank_end_in_one_state():
    layers = [6, fp.BatchNorm(), 2]
    arrays = data(layers)[:2]
    options = {"epochs": 3, "batch_size": 10, "sync_batch_norm": False}
    found = successes(on_ranks(CUTS, arrays, lambda mine, c: trained(layers, mine, c, **options)))
    assert all((net.state == found[0][0].state).all() for net, _ in found)
    assert np.isfinite(found[0][0].state).all()
    synced, _ = successes(on_ranks(CUTS, arrays, lambda m, c: trained(layers, m, c, epochs=3, batch_size=10)))[0]
    assert (synced.state != found[0][0].state).any()


def test_divergence_is_that_of_all_ranks_and_none_fails_alone():
    X, y, _ = data([2])
    y[39] = 1e300

    def diverge(mine, communicator):
        net = fp.Network([3, 2], dtype="float64", seed=0)
        before = net.parameters.copy()
        with pytest.raises(fp.DivergenceError, match="those before training"):
            net.fit(*mine, loss="half_mse", epochs=4, batch_size=8, communicator=communicator)
        assert (net.parameters == before).all()
        assert not communicator.failures
        ok = mine[0], np.minimum(mine[1], 1)
        net.fit(*ok, loss="half_mse", epochs=1, communicator=communicator)
        return net.parameters

    first, second = successes(on_ranks((0, 20, 40), (X, y), diverge))
    assert (first == second).all()


def test_ctrl_c_on_one_rank_ends_all_after_the_same_step():
    X, y, _ = data([2])

    def train(mine, communicator):
        class Interrupt(fp.Callback):
            def on_epoch_end(self, run):
                run.trainer.ranks.interrupted |= communicator.rank == 1 and run.epoch == 2

        net = fp.Network([3, 2], dtype="float64", seed=0)
        with pytest.raises(KeyboardInterrupt) as caught:
            net.fit(*mine, loss="half_mse", epochs=9, communicator=communicator, callbacks=Interrupt())
        assert len(caught.value.history["cost"]) == 2
        assert not communicator.failures
        return net.parameters

    first, second = successes(on_ranks((0, 20, 40), (X, y), train))
    assert (first == second).all()


def test_an_error_on_one_rank_is_told_to_the_others():
    X, y, _ = data([2])
    X[39] = np.nan
    told = [None, None]

    def train(mine, communicator):
        told[communicator.rank] = communicator.failures
        return trained([2], mine, communicator)

    waited, wrong = on_ranks((0, 20, 40), (X, y), train)
    assert isinstance(wrong, ValueError)
    assert told[1] == [wrong]
    assert isinstance(waited, Exception)


@pytest.mark.parametrize(
    "options",
    [{"optimizer": fp.Adam(0.2)}, {"epochs": 4}, {"l2": 0.3}, {"batch_size": 3}],
    ids=lambda one: next(iter(one)),
)
def test_ranks_that_train_differently_are_refused(options):
    arrays = data([2])

    def train(mine, communicator):
        return trained([2], mine, communicator, **(options if communicator.rank else {}))

    for error in on_ranks((0, 20, 40), arrays, train):
        assert isinstance(error, ValueError)
        assert next(iter(options)) in str(error)


def test_no_rows_anywhere_are_refused():
    X, y, _ = data([2])
    for error in on_ranks((0, 0, 0), (X, y), lambda mine, c: trained([2], mine, c)):
        assert isinstance(error, ValueError)
        assert "no rank has a row" in str(error)


def test_weights_of_0_everywhere_are_refused():
    X, y, weight = data([2])
    for error in on_ranks(CUTS, (X, y, 0 * weight), lambda mine, c: trained([2], mine, c)):
        assert isinstance(error, ValueError)
        assert "of all ranks" in str(error)


def test_resuming_gives_the_bits_of_the_unbroken_training(tmp_path):
    layers = [5, fp.BatchNorm(), fp.Dropout(0.2), 2]
    arrays = data(layers)
    options = {"batch_size": 9, "optimizer": fp.Adam(0.01), "validation": 0.3}

    def train(mine, communicator, epochs, directory=None):
        more = {} if directory is None else {"callbacks": fp.Checkpoint(directory), "resume": directory}
        return trained(layers, mine, communicator, epochs=epochs, **options, **more)

    whole = successes(on_ranks(CUTS, arrays, lambda mine, c: train(mine, c, 6)))
    successes(on_ranks(CUTS, arrays, lambda mine, c: train(mine, c, 3, tmp_path)))
    resumed = successes(on_ranks(CUTS, arrays, lambda mine, c: train(mine, c, 6, tmp_path)))
    for (net, history), (other, of_other) in zip(resumed, whole):
        assert (net.parameters == other.parameters).all()
        assert history["validation_cost"] == of_other["validation_cost"]
    with pytest.warns(UserWarning, match="on 4 ranks, now there are 2"):
        successes(on_ranks((0, 20, 40), arrays, lambda mine, c: train(mine, c, 8, tmp_path)))


def test_parameters_that_were_changed_on_one_rank_are_found():
    arrays = data([2])

    def train(mine, communicator):
        def change(run):
            if communicator.rank == 1 and run.epoch == 2:
                run.network.parameters[0] += 1

        return trained([2], mine, communicator, callbacks=change)

    for error in on_ranks((0, 20, 40), arrays, train):
        assert isinstance(error, RuntimeError)
        assert "rank 1" in str(error)


def test_callbacks_see_the_rows_of_their_rank():
    arrays = data([2])

    def train(mine, communicator):
        watch = fp.Watch(share=1)
        net, _ = trained([2], mine, communicator, epochs=2, callbacks=[watch, lambda run: seen.append(run.rows)])
        return len(watch.table()["epoch"]), net.parameters

    seen = []
    results = successes(on_ranks(CUTS, arrays, train))
    assert sorted(seen) == sorted([b - a for a, b in zip(CUTS, CUTS[1:])] * 2)
    assert [recorded for recorded, _ in results] == [0, 2, 2, 2]


def test_a_network_without_parameters_is_trained_as_by_one_process():
    X, _, _ = data([2])
    layers = [fp.Activation("tanh")]
    _, history = trained(layers, (X, X), epochs=2)
    for _, of_rank in successes(on_ranks(CUTS, (X, X), lambda mine, c: trained(layers, mine, c, epochs=2))):
        assert_near(np.array(of_rank["cost"]), np.array(history["cost"]), 1e-12)


def test_members_and_rprop_are_those_of_one_process():
    X, y, _ = data([2])

    def train(mine, communicator=None):
        net = fp.Network([3, 8, 2], members=4, dtype="float64", seed=0)
        net.fit(*mine, loss="half_mse", epochs=5, optimizer=fp.RPROP(), communicator=communicator)
        return net.parameters

    alone = train((X, y))
    for parameters in successes(on_ranks(CUTS, (X, y), train)):
        assert_near(parameters, alone, 1e-10)


def test_what_is_no_communicator_is_refused():
    net = fp.Network([3, 2])
    with pytest.raises(TypeError, match="without rank"):
        fp.Trainer(net, loss="mse", communicator="mpi")


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("options", [{}, {"shared_batches": True, "bootstrap": True, "validation": 0.2}])
def test_networks_of_an_ensemble_are_shared_out(size, options):
    X, y, _ = data([2])

    def train(communicator=None):
        ensemble = fp.Ensemble(5, [3, 6, fp.Dropout(0.1), 2], seed=1)
        histories = ensemble.fit(
            X, y, loss="half_mse", epochs=3, batch_size=8, seed=4, communicator=communicator, **options
        )
        return [network.parameters for network in ensemble.networks], histories

    alone, history = train()
    for parameters, of_rank in successes(run(size, train)):
        assert all((one == other).all() for one, other in zip(parameters, alone))
        assert of_rank == history


@pytest.mark.filterwarnings("ignore:the networks 0, 1, 3 of 4 diverged")
def test_diverged_networks_of_an_ensemble_are_known_to_all_ranks():
    X, y, _ = data([2])

    def train(rates, communicator):
        ensemble = fp.Ensemble(4, [3, 2], seed=1)
        ensemble.fit(X, y, loss="half_mse", optimizer=[fp.SGD(rate) for rate in rates], communicator=communicator)
        return ensemble.diverged

    for diverged in successes(run(2, lambda c: train([1e9, 1e9, 0.1, 1e9], c))):
        assert diverged == (0, 1, 3)
    for error in run(2, lambda c: train([1e9] * 4, c)):
        assert isinstance(error, fp.DivergenceError)
