"""Every optimiser against its paper's recurrence in NumPy, and what a Trainer does with a gradient beside it."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
import reference
import reference_optimizers
from kernels_ctypes import exact_isas

import fastprop as fp
from fastprop._core import _engine
from fastprop.optim.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("threads_and_isa_restored")

WIDTHS = (5, 17, 9, 3)
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}  # relative, after 50 steps
STEPS = 50

# name -> the options to try, in which every option occurs; an optimiser that is not here is tried with its defaults
OPTIONS = {
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.8, "weight_decay": 0.1}],
    "adagrad": [{}, {"initial": 0.1, "epsilon": 1e-3}],
    "rmsprop": [
        {}, {"momentum": 0.9, "rate": 0.003}, {"centered": True}, {"alpha": 0.9, "momentum": 0.5, "centered": True}
    ],
    "adam": [{}, {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}],
    "adamw": [{}, {"weight_decay": 0.5}],
    "amsgrad": [{}, {"beta2": 0.5}],
    "adamax": [{}, {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}],
    "nadam": [{}, {"momentum_decay": 0.1, "beta1": 0.8}],
    "lion": [{}, {"beta1": 0.5, "beta2": 0.9}, {"weight_decay": 0.1}],
    "rprop": [{}, {"shrink": 0.3, "grow": 1.5, "least": 1e-3, "most": 0.02}],
}  # fmt: skip
DECAYS = [{"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True}]
CASES = [
    (name, {"rate": 0.01, **options})
    for name in OPTIMIZERS
    for options in OPTIONS.get(name, [{}]) + ([] if name == "rprop" else DECAYS)
]
EACH_CASE = pytest.mark.parametrize("name, how", CASES, ids=[f"{name}-{how}" for name, how in CASES])
EACH = pytest.mark.parametrize("name", OPTIMIZERS)


def test_every_optimiser_of_the_compiled_list_has_a_class():
    described = {kind.name for kind in OPTIMIZERS.values()}
    assert described == set(_engine.names("optimizer")), "add the class of each kernel to fastprop/optim/optimizers.py"


def make(name):
    """Return an optimiser of a kind, with all the state that it can have."""
    more = {"sgd": {"momentum": 0.9}, "rmsprop": {"momentum": 0.5, "centered": True}}.get(name, {})
    return OPTIMIZERS[name](0.003, **more)


def trainer(optimizer, dtype="float32", widths=WIDTHS, layers=None, loss="half_mse", **options):
    net = fp.Network(layers or widths, activation="tanh", dtype=dtype, seed=3)
    return fp.Trainer(net, loss=loss, optimizer=optimizer, **options)


def data(rows=STEPS * 16, dtype="float32", widths=WIDTHS):
    rng = np.random.default_rng(4)
    return rng.normal(size=(rows, widths[0])).astype(dtype), rng.normal(size=(rows, widths[-1])).astype(dtype)


def batches(dtype, full=False):
    """Return 50 batches of 16 rows, or one batch of 64 rows 50 times."""
    X, y = data(dtype=dtype)
    return [(X[:64], y[:64])] * STEPS if full else [(X[i : i + 16], y[i : i + 16]) for i in range(0, len(X), 16)]


def twin(theta, given, step, shape=lambda theta, gradient: gradient, finish=lambda theta: theta):
    """Theta after each step of a recurrence, in float64: `shape` makes its gradient, `finish` follows the step."""
    theta, after = theta.astype(np.float64), []
    for x, y in given:
        _, gradient = reference.value_and_gradient(
            WIDTHS, ["tanh", "tanh", "identity"], "half_mse", theta, x.astype(np.float64), y.astype(np.float64)
        )
        theta = finish(step(theta, shape(theta, gradient)))
        after.append(theta)
    return after


def train(trained, given):
    """Return the parameters after each step."""
    return [(trained.step(x, y), trained.network.parameters.copy())[1] for x, y in given]


def compare(trained, given, step, dtype, **how):
    """Compare a training with its recurrence, step by step."""
    expected = twin(trained.network.parameters.copy(), given, step, **how)
    ours = train(trained, given)
    for step, (one, other) in enumerate(zip(ours, expected, strict=True), start=1):
        error = np.max(np.abs(one - other)) / max(1.0, np.max(np.abs(other)))
        assert error <= TOLERANCES[dtype], f"{error:.3g} apart after step {step}"
    assert np.max(np.abs(ours[-1] - ours[0])) > 0.01, "they went somewhere"


@pytest.mark.exhaustive
@EACH_CASE
@pytest.mark.usefixtures("isa")
def test_takes_the_steps_of_its_paper(name, how, dtype):
    given = batches(dtype, full=OPTIMIZERS[name].full_batch)
    compare(trainer(OPTIMIZERS[name](**how), dtype), given, reference_optimizers.RECURRENCES[name](**how), dtype)


@EACH
def test_defaults_are_those_of_the_twin(name, dtype):
    trained, given = trainer(name, dtype), batches(dtype)[:5]
    rate = OPTIMIZERS[name]().rate
    expected = twin(trained.network.parameters.copy(), given, reference_optimizers.RECURRENCES[name](rate))
    np.testing.assert_allclose(train(trained, given), expected, rtol=0, atol=TOLERANCES[dtype])
    assert trained.optimizer == OPTIMIZERS[name]()


@EACH
def test_an_update_stretch_by_stretch_is_the_update(name, dtype):
    """Clipping by a norm that no gradient reaches makes the update a pass of its own; the bits do not change."""
    widths, given = (40, 300, 70, 3), []
    for i in range(4):
        rng = np.random.default_rng(i)
        given.append((rng.normal(size=(33, 40)).astype(dtype), rng.normal(size=(33, 3)).astype(dtype)))
    fused, apart = trainer(make(name), dtype, widths), trainer(make(name), dtype, widths, clip_norm=1e30)
    for one, other in zip(train(fused, given), train(apart, given), strict=True):
        assert one.tobytes() == other.tobytes()


@EACH
def test_the_step_of_a_gradient_of_ones_own_is_the_step(name, dtype):
    one, other = trainer(make(name), dtype), trainer(make(name), dtype)
    for x, y in batches(dtype)[:6]:
        one.step(x, y)
        other.network.value_and_gradient(x, y, loss="half_mse")
        other.update()
        assert one.network.parameters.tobytes() == other.network.parameters.tobytes()
    assert other.steps == one.steps == 6


def test_update_after_a_backward_pass():
    """The loop is that of the docstring, with the dY of a mean over rows."""
    one, other = trainer(fp.Adam(0.01), "float64"), trainer(fp.Adam(0.01), "float64")
    for x, y in batches("float64")[:6]:
        one.step(x, y)
        Y = other.network.forward(x)
        other.network.backward((Y - y) / len(x))
        other.update()
    np.testing.assert_allclose(other.network.parameters, one.network.parameters, rtol=1e-12)


def test_update_along_a_gradient_that_is_not_finite():
    trained = trainer("adam")
    before = trained.network.parameters.copy()
    trained.network.gradient[3] = np.nan
    with pytest.raises(fp.DivergenceError, match="the gradient at step 0 is not finite"):
        trained.update()
    assert trained.steps == 0
    np.testing.assert_array_equal(trained.network.parameters, before)


@EACH
def test_a_step_that_was_not_taken_leaves_no_trace(name, dtype):
    given = batches(dtype)[:8]
    expected = train(trainer(make(name), dtype, average=fp.EMA(0.9)), given)
    trained = trainer(make(name), dtype, average=fp.EMA(0.9))
    got = train(trained, given[:4])
    good, huge = trained.network.parameters.copy(), np.full((3, 3), np.finfo(dtype).max / 8, dtype)
    trained.network.parameters *= 100  # so that outputs overflow, whatever dtype the kernels sum in
    before = trained.network.parameters.tobytes()
    with pytest.raises(fp.DivergenceError):
        trained.step(given[0][0][:3] * huge[:, :1], huge)
    assert trained.network.parameters.tobytes() == before
    trained.network.parameters = good
    got += train(trained, given[4:])
    for one, other in zip(got, expected, strict=True):
        assert one.tobytes() == other.tobytes()


@EACH
def test_copies_go_on_as_the_original(name):
    X, y = data(100)
    options = {"clip_norm": 0.5, "average": fp.SWA(start=2, every=2)}
    trained = trainer(make(name), **options)
    epoch = {} if trained.optimizer.full_batch else {"batch_size": 9}
    for _ in range(2):
        trained.epoch(X, y, **epoch)
    others = copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))
    for each in (trained, *others):
        each.epoch(X, y, **epoch)
    for other in others:
        assert other.steps == trained.steps
        assert other.network.parameters.tobytes() == trained.network.parameters.tobytes()
        assert other.averaged.tobytes() == trained.averaged.tobytes()


@EACH
def test_a_new_optimiser_starts_afresh(name):
    given = batches("float32")[:6]
    trained = trainer(make(name))
    train(trained, given[:3])
    fresh = fp.Trainer(copy.deepcopy(trained.network), loss="half_mse", optimizer=make(name))
    trained.optimizer = make(name)
    assert train(trained, given[3:])[-1].tobytes() == train(fresh, given[3:])[-1].tobytes()


@EACH
def test_a_gradient_of_0_divides_nothing_by_0(name, dtype):
    least = {"epsilon": 1e-30} if hasattr(OPTIMIZERS[name](), "epsilon") else {}
    trained = trainer(OPTIMIZERS[name](0.1, **least), dtype)
    before = trained.network.parameters.copy()
    for _ in range(3):
        trained.network.gradient[:] = 0
        trained.update()
    if name == "adamw":
        before *= (1 - 0.1 * 0.01) ** 3
    np.testing.assert_allclose(trained.network.parameters, before, rtol=1e-6)


def test_small_gradients_of_rprop_agree():
    """Their product is 0 in float32."""
    trained = trainer(fp.RPROP(0.1), "float32")
    moved = []
    for _ in range(3):
        before = trained.network.parameters.copy()
        trained.network.gradient[:] = 1e-25
        trained.update()
        moved.append(before - trained.network.parameters)
    np.testing.assert_allclose(np.array(moved)[:, 0], [0.1, 0.12, 0.144], rtol=1e-5)


# ---- groups, penalties, clipping, averages ----


def weights_and_layers():
    """Return masks over the flat parameters: (whether it is a weight, the number of its layer)."""
    weight, layer = [], []
    for k, (n_in, n_out) in enumerate(zip(WIDTHS, WIDTHS[1:], strict=False)):
        weight += [1.0] * (n_in * n_out) + [0.0] * n_out
        layer += [k] * (n_in * n_out + n_out)
    return np.array(weight), np.array(layer)


def factors(rates):
    weight, layer = weights_and_layers()
    if not isinstance(rates, dict):
        return np.array(rates)[layer]
    groups = {"weight": weight == 1, "bias": weight == 0, "first": layer == 0, "last": layer == 2}
    factor = np.ones(len(weight))
    for name, value in rates.items():
        factor[groups[name]] *= value
    return factor


@pytest.mark.parametrize("clip_norm", [None, 1e30])
@pytest.mark.parametrize(
    "rates",
    [{"bias": 2.0}, {"weight": 0.5, "first": 0.25}, {"first": 0, "last": 3}, {"bias": 0, "first": 2}, [0.5, 1, 2]],
    ids=str,
)
def test_rates_by_group(rates, clip_norm, dtype):
    given = batches(dtype)
    how = {"momentum": 0.9, "weight_decay": 0.1, "decoupled": True}
    trained = trainer(fp.SGD(0.02, **how), dtype, rates=rates, clip_norm=clip_norm)
    step = reference_optimizers.sgd(0.02 * factors(rates), **how)
    compare(trained, given, step, dtype)


def test_a_factor_of_0_freezes():
    trained = trainer("adam", rates={"first": 0.0}, l2=0.1, clip_value=0.1)
    before = trained.network.weights[0].copy(), trained.network.weights[1].copy()
    train(trained, batches("float32"))
    np.testing.assert_array_equal(trained.network.weights[0], before[0])
    assert np.all(trained.network.weights[1] != before[1])


def test_factors_that_are_all_1_change_nothing():
    given = batches("float32")[:5]
    expected = train(trainer("adam"), given)
    got = train(trainer("adam", rates={"weight": 1, "bias": 1.0}), given)
    assert got[-1].tobytes() == expected[-1].tobytes()


@pytest.mark.parametrize("clip_norm", [None, 1e30])
@pytest.mark.parametrize("penalty", [{"l2": 0.3}, {"l1": 0.05}, {"l1": 0.02, "l2": 0.2}], ids=str)
def test_penalties(penalty, clip_norm, dtype):
    weight, _ = weights_and_layers()

    def penalised(theta, gradient):
        return gradient + weight * (penalty.get("l1", 0) * np.sign(theta) + penalty.get("l2", 0) * theta)

    given = batches(dtype)
    trained = trainer(fp.SGD(0.02, momentum=0.9), dtype, clip_norm=clip_norm, **penalty)
    step = reference_optimizers.sgd(0.02, momentum=0.9)
    compare(trained, given, step, dtype, shape=penalised)


def test_costs_are_without_penalties():
    (x, y), *_ = batches("float64")
    plain, penalised = trainer(fp.SGD(0.01), "float64"), trainer(fp.SGD(0.01), "float64", l1=0.1, l2=0.1)
    assert penalised.step(x, y) == plain.step(x, y)


CLIPS = [{"clip_value": 0.02}, {"clip_norm": 0.3}, {"clip_value": 0.05, "clip_norm": 0.2}]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
def test_clipping(clip, dtype):
    clipped = 0

    def shape(theta, gradient):
        nonlocal clipped
        before = gradient
        gradient = np.clip(gradient, -clip.get("clip_value", np.inf), clip.get("clip_value", np.inf))
        gradient = gradient * min(1.0, clip.get("clip_norm", np.inf) / np.linalg.norm(gradient))
        clipped += np.any(gradient != before)
        return gradient

    given = batches(dtype)
    trained = trainer(fp.SGD(0.1), dtype, **clip)
    compare(trained, given, reference_optimizers.sgd(0.1), dtype, shape=shape)
    assert clipped > STEPS // 2


def test_penalties_come_before_clipping(dtype):
    weight, _ = weights_and_layers()
    given = batches(dtype)
    trained = trainer(fp.SGD(0.05), dtype, l2=1.0, clip_value=0.05, clip_norm=0.5)

    def shape(theta, gradient):
        gradient = np.clip(gradient + weight * theta, -0.05, 0.05)
        return gradient * min(1.0, 0.5 / np.linalg.norm(gradient))

    compare(trained, given, reference_optimizers.sgd(0.05), dtype, shape=shape)


@pytest.mark.parametrize("clip_norm", [None, 1e30])
def test_max_norm(clip_norm, dtype):
    limits = [0.4, None, 0.5]
    layers = [5, *(fp.Dense(n, g, max_norm=c) for n, g, c in zip(WIDTHS[1:], ["tanh", "tanh", "identity"], limits))]

    projected = 0

    def project(theta):
        nonlocal projected
        before, theta = theta, theta.copy()
        for (w, _), limit in zip(reference.unflatten(WIDTHS, theta), limits, strict=True):
            if limit is not None:
                w[:] = reference_optimizers.max_norm(w, limit)
        projected += np.any(theta != before)
        return theta

    given = batches(dtype)
    trained = trainer(fp.SGD(0.1, momentum=0.5), dtype, layers=layers, clip_norm=clip_norm)
    step = reference_optimizers.sgd(0.1, momentum=0.5)
    compare(trained, given, step, dtype, finish=project)
    norms = [np.max(np.linalg.norm(w, axis=0)) for w in trained.network.weights]
    assert projected > STEPS // 4 and norms[0] < 0.4001 and norms[1] > 0.5 and norms[2] < 0.5001


AVERAGES = [fp.EMA(0.9), fp.EMA(0.5, start=7, every=3), fp.SWA(start=5), fp.SWA(start=4, every=7)]


@pytest.mark.parametrize("average", AVERAGES, ids=str)
def test_averages(average, dtype):
    trained, mean, count = trainer(fp.SGD(0.1), dtype, average=average), None, 0
    np.testing.assert_array_equal(trained.averaged, trained.network.parameters)
    for step, (x, y) in enumerate(batches(dtype), start=1):
        trained.step(x, y)
        theta = trained.network.parameters.astype(np.float64)
        if step >= average.start and (step - average.start) % average.every == 0:
            count += 1
            weight = 1 / count if isinstance(average, fp.SWA) or count == 1 else 1 - average.decay
            mean = theta if mean is None else mean + weight * (theta - mean)
        # each average rounds the mean once, and an EMA forgets old roundings
        expected, tolerance = (theta if mean is None else mean), 2 * STEPS * np.finfo(dtype).eps
        np.testing.assert_allclose(trained.averaged, expected, rtol=tolerance, atol=tolerance)


def test_the_average_in_use():
    X, y = data(64)
    trained = trainer("adam", average=fp.EMA(0.8))
    trained.epoch(X, y, batch_size=8)
    theta, averaged = trained.network.parameters.copy(), trained.averaged
    assert np.any(averaged != theta)
    with trained.averaging() as net:
        assert net is trained.network
        np.testing.assert_array_equal(net.parameters, averaged)
        cost = trained.evaluate(X, y)
    np.testing.assert_array_equal(trained.network.parameters, theta)
    assert trained.evaluate(X, y) != cost
    with pytest.raises(RuntimeError, match="mine"), trained.averaging():
        raise RuntimeError("mine")
    np.testing.assert_array_equal(trained.network.parameters, theta)
    assert trainer("adam").averaged is None
    with pytest.raises(ValueError, match="averages nothing"), trainer("adam").averaging():
        pass


def test_fit_ends_with_the_average():
    X, y = data(64)
    net = trainer("adam").network
    history = net.fit(
        X, y, loss="half_mse", optimizer="adam", average=fp.EMA(0.8), epochs=3, batch_size=8, validation=(X, y)
    )
    twin = trainer("adam", average=fp.EMA(0.8))
    for _ in range(3):
        twin.epoch(X, y, batch_size=8)
    np.testing.assert_array_equal(net.parameters, twin.averaged)
    assert history["validation_cost"][-1] == fp.Trainer(net, loss="half_mse", optimizer="sgd").evaluate(X, y)


# ---- the engine ----


EVERYTHING = {
    "rates": {"bias": 2.0, "first": 0.5}, "l1": 1e-4, "l2": 1e-3, "clip_value": 0.5, "clip_norm": 0.7,
    "average": fp.EMA(0.9),
}  # fmt: skip


def everything(name, dtype="float32", **options):
    """The steps have every option, and the network is large enough for several threads and chunks."""
    layers = [70, fp.Dense(300, "tanh", max_norm=1.0), fp.Dense(41, "relu", max_norm=0.9), 3]
    optimizer = make(name)
    if name == "rprop":
        options = options | {"rates": None}
    return trainer(optimizer, dtype, layers=layers, **EVERYTHING | options)


@EACH
def test_same_bits_on_any_threads_and_vectors(name, dtype):
    X, y = data(5 * 130, dtype, (70, 3))
    expected = None
    for isa in exact_isas():
        for threads in (1, 2, 3):
            _engine.select_isa(isa)
            fp.set_num_threads(threads)
            trained = everything(name, dtype)
            for i in range(STEPS if name == "adam" else 5):
                at = i % 5 * 130
                trained.step(X[at : at + 130], y[at : at + 130])
            got = trained.network.parameters.tobytes(), trained.averaged.tobytes()
            expected = expected or got
            assert got == expected, f"other bits under {isa} on {threads} threads"


@EACH
def test_steps_allocate_nothing(name):
    X, y = data(300, widths=(70, 3))
    trained = everything(name)

    def use():
        trained.step(X[:64], y[:64])
        trained.epoch(X, y)
        trained.update()

    use()
    before = _engine.allocations()
    use()
    assert _engine.allocations() == before


@EACH
def test_learns(name, isa):
    X = np.random.default_rng(0).normal(size=(300, 4))
    net = fp.Network([4, 16, 1], activation="tanh", seed=0)
    rate = {"sgd": 0.1, "adagrad": 0.1, "lion": 0.003}.get(name, 0.01)
    history = net.fit(X, X[:, 0] * X[:, 1], loss="half_mse", optimizer=OPTIMIZERS[name](rate), epochs=200, l2=1e-5)
    assert history["cost"][-1] < history["cost"][0] / 4


# ---- full batches ----


def test_rprop_takes_all_rows_at_once():
    X, y = data(100)
    trained = trainer("rprop")
    trained.epoch(X, y)
    assert trained.steps == 1
    trained.epoch(X, y, batch_size=100)
    assert trained.steps == 2
    with pytest.raises(ValueError, match="RPROP needs all 100 rows in every step, got batch_size=10; omit it"):
        trained.epoch(X, y, batch_size=10)
    trained.network.fit(X, y, loss="half_mse", optimizer="rprop", epochs=2)
    with pytest.raises(ValueError, match="RPROP needs all 100 rows"):
        trained.network.fit(X, y, loss="half_mse", optimizer="rprop", batch_size=64)


def test_the_default_batch_is_of_64_rows_or_all():
    for rows, steps in ((130, 3), (64, 1), (10, 1)):
        trained = trainer("sgd")
        trained.epoch(*data(rows))
        assert trained.steps == steps


class TestLBFGS:
    """The network is linear, so the minimum is known."""

    @pytest.fixture(autouse=True)
    def _scipy(self):
        pytest.importorskip("scipy.optimize", reason="the `scipy` extra is not installed")

    @pytest.mark.parametrize("l2", [0.0, 0.3])
    def test_finds_the_minimum(self, l2, dtype):
        X, y = data(200, dtype, (5, 3))
        net = fp.Network([5, 3], dtype=dtype, seed=0)
        how = fp.LBFGS(cost_tolerance=0, gradient_tolerance=1e-12)
        options = {"l2": l2} if l2 else {}
        history = net.fit(X, y, loss="half_mse", optimizer=how, epochs=100, **options)
        design = np.hstack([X, np.ones((200, 1))]).astype(np.float64)
        ridge = l2 * len(X) * np.diag([1.0] * 5 + [0.0])
        best = np.linalg.solve(design.T @ design + ridge, design.T @ y)
        tolerance = {"float32": 1e-4, "float64": 1e-8}[dtype]
        np.testing.assert_allclose(net.weights[0], best[:-1], atol=tolerance)
        np.testing.assert_allclose(net.biases[0], best[-1], atol=tolerance)
        cost = 0.5 * np.mean(np.sum((design @ best - y) ** 2, axis=1))
        assert history["cost"][-1] == pytest.approx(cost, rel=tolerance)

    def test_records_what_fit_records(self):
        X, y = data(100)
        net, said = trainer("sgd").network, []
        how = {"optimizer": fp.LBFGS(memory=5), "epochs": 7, "progress": lambda *told: said.append(told)}
        history = net.fit(X, y, loss="half_mse", validation=(X, y), **how)
        assert history["epoch"] == [1, 2, 3, 4, 5, 6, 7]
        assert history["cost"] == sorted(history["cost"], reverse=True)
        np.testing.assert_allclose(history["validation_cost"], history["cost"], rtol=1e-5)
        assert [told[:4] for told in said] == [(epoch, 7, 100, 100) for epoch in range(1, 8)]
        assert len(history["seconds"]) == 7

    def test_interrupted_it_keeps_the_last_iteration(self):
        X, y = data(100)
        net, seen = trainer("sgd").network, []

        def progress(epoch, *_):
            seen.append(net.parameters.copy())
            if epoch == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            net.fit(X, y, loss="half_mse", optimizer=fp.LBFGS(), epochs=7, progress=progress)
        np.testing.assert_array_equal(net.parameters, seen[-1])

    def test_what_it_does_not_take(self):
        X, y = data(100)
        net = trainer("sgd").network
        with pytest.raises(ValueError, match="LBFGS knows l2 of the options, not clip_norm, l1; omit it"):
            net.fit(X, y, loss="half_mse", optimizer=fp.LBFGS(), clip_norm=1, l1=0.1)
        with pytest.raises(ValueError, match="LBFGS needs all 100 rows at once, got batch_size=10"):
            net.fit(X, y, loss="half_mse", optimizer=fp.LBFGS(), batch_size=10)
        with pytest.raises(TypeError, match=r"LBFGS takes no single steps: use net\.fit"):
            trainer(fp.LBFGS())


def test_lbfgs_without_scipy(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"LBFGS needs SciPy.*pip install 'fastprop-nn\[scipy\]'"):
        trainer("sgd").network.fit(*data(10), loss="half_mse", optimizer=fp.LBFGS())


# ---- errors ----


BAD_NUMBERS = [
    (lambda: fp.Adam(0), "rate must be a number above 0, got 0"),
    (lambda: fp.Adam(beta1=1), "beta1 must be a number at least 0 and below 1, got 1"),
    (lambda: fp.AdamW(beta2=-0.1), "beta2 must be"),
    (lambda: fp.AMSGrad(epsilon=0), "epsilon must be a number at least 1e-30"),
    (lambda: fp.Adamax(weight_decay=-1), "weight_decay must be a number at least 0"),
    (lambda: fp.NAdam(momentum_decay=-1), "momentum_decay must be"),
    (lambda: fp.Adagrad(initial=-1), "initial must be"),
    (lambda: fp.RMSprop(alpha=1.5), "alpha must be"),
    (lambda: fp.RMSprop(momentum=1), "momentum must be"),
    (lambda: fp.Lion(beta1=float("nan")), "beta1 must be"),
    (lambda: fp.RPROP(shrink=1), "shrink must be"),
    (lambda: fp.RPROP(grow=1), "grow must be a number above 1"),
    (lambda: fp.RPROP(least=2, most=1), "least must be at most `most`, got least=2 and most=1"),
    (lambda: fp.LBFGS(memory=0), "memory must be a positive int"),
    (lambda: fp.EMA(1), "decay must be a number above 0 and below 1"),
    (lambda: fp.EMA(every=0), "every must be a positive int"),
    (lambda: fp.SWA(start=0), "start must be a positive int"),
    (lambda: trainer("adam", l1=-1), "l1 must be a number at least 0"),
    (lambda: trainer("adam", l2=float("inf")), "l2 must be"),
    (lambda: trainer("adam", clip_value=0), "clip_value must be a number above 0"),
    (lambda: trainer("adam", clip_norm=-1), "clip_norm must be a number above 0"),
    (lambda: trainer("adam", rates={"bias": -1}), r"rates\['bias'\] must be a number at least 0"),
    (lambda: trainer("adam", rates={"biases": 1}), "unknown group of rates 'biases'; did you mean 'bias'"),
    (lambda: trainer("adam", rates=[1, 2]), "rates must hold a factor for each of the 3 layers, got 2"),
    (lambda: trainer("rprop", rates={"bias": 2}), "RPROP finds a step for each parameter"),
    (lambda: trainer("adm"), "unknown optimizer 'adm'; did you mean 'adam'"),
]  # fmt: skip


@pytest.mark.parametrize("wrong, message", BAD_NUMBERS, ids=[message for _, message in BAD_NUMBERS])
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


BAD_TYPES = [
    (lambda: fp.Adam("0.1"), "rate must be a number above 0"),
    (lambda: fp.Adam(decoupled=1), "decoupled must be True or False"),
    (lambda: fp.RMSprop(centered="yes"), "centered must be True or False"),
    (lambda: fp.RPROP(fp.schedules.Constant(0.1)), "RPROP adapts its steps by itself"),
    (lambda: fp.SWA(start=2.5), "start must be a positive int"),
    (lambda: trainer("adam", rates="bias"), "rates must be a dict of factors"),
    (lambda: trainer("adam", rates=2.0), "rates must be a dict of factors"),
    (lambda: trainer("adam", average="ema"), r"average must be fp\.EMA"),
    (lambda: trainer("adam", clip_norm="1"), "clip_norm must be a number"),
]


@pytest.mark.parametrize("wrong, message", BAD_TYPES, ids=[message for _, message in BAD_TYPES])
def test_what_is_of_another_type(wrong, message):
    with pytest.raises(TypeError, match=message):
        wrong()


@EACH
def test_is_frozen_and_keeps_floats(name):
    optimizer = OPTIMIZERS[name](np.float32(0.5))
    assert type(optimizer.rate) is float
    assert optimizer == OPTIMIZERS[name](0.5) and hash(optimizer) == hash(OPTIMIZERS[name](0.5))
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.rate = 1.0
    assert getattr(fp, type(optimizer).__name__) is OPTIMIZERS[name]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_weight_decay_is_given_by_name(optimizer):
    """Other libraries have the momentum second: SGD(0.1, 0.9) must not decay weights by 0.9."""
    by_position = [one for one in inspect.signature(optimizer).parameters.values() if one.kind != one.KEYWORD_ONLY]
    assert "weight_decay" not in [one.name for one in by_position]
    if optimizer is fp.SGD:
        with pytest.raises(TypeError, match=r"0\.9.*by its name, such as momentum=0\.9"):
            fp.SGD(0.1, 0.9)
