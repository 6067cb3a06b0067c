"""Arrays that callbacks or other threads overwrite while they are in use: no memory beside them is touched.

The content of a user's array is checked when it is passed, but may have changed when a kernel uses it as an address.
tests/helpers/overwriting.py trains meanwhile, in a process of its own, since an error would kill the process.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases_activations import ACTIVATIONS, HYPER, hyper_of
from cases_losses import NUMBERS
from kernels_ctypes import Same, usable_isas
from overwriting import CATEGORIES, CLASSES, INDICES, LABELS, WITHIN, Task

import fastprop as fp
from fastprop import _validation
from fastprop._core import _engine
from fastprop.nn.losses import LOSSES

OF_CLASSES = [name for name, loss in LOSSES.items() if loss.targets == "classes"]
EACH_ISA = pytest.mark.parametrize("isa", usable_isas())
STEPS = os.environ.get("FASTPROP_OVERWRITING_STEPS", "1000")  # a release is tested with 10000


def lines_of(*args):
    """Run overwriting.py and return the lines that it prints."""
    command = [sys.executable, str(Path(__file__).parents[1] / "helpers" / "overwriting.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{args}: status {done.returncode} after {done.stdout[-300:]!r}: {done.stderr[-3000:]}"
    assert not done.stderr
    return done.stdout.splitlines()


@EACH_ISA
def test_from_within(isa):
    lines = lines_of("callbacks", isa)
    assert len(lines) == 2 * len(WITHIN) * (len(LABELS) + len(INDICES) + 3)
    for line in lines:
        wanted = {"labels": ("y[0] is", "yb[0] is"), "column": ("X[0, 0] is", "xb[0, 0] is"),
                  "resized": ("cannot resize an array", "must have shape")}  # fmt: skip
        kind = next(kind for kind in ("resized", "labels", "column") if kind in line)
        named = "ValueError" in line and any(text in line for text in wanted[kind])
        # a custom loss takes any y
        assert named or (line.startswith("own loss, labels") and line.endswith("done")), line


@EACH_ISA
def test_from_another_thread(isa):
    done, _, refused, _ = lines_of("threads", isa, STEPS)[0].split()
    assert int(done) + int(refused) == int(STEPS) // 2 * 2
    assert int(done) > 0


# ---- the kernels ----

WRONG_LABELS = [-1, "n", 10**12, -(10**12), 2**31, 2**32, 2**62, 2**63 - 1, -(2**63)]


def scores(dtype, rows, n):
    return np.random.default_rng(n).normal(size=(rows, n)).astype(dtype)


@pytest.mark.parametrize("wrong", WRONG_LABELS)
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_a_label_that_is_no_class_makes_the_cost_nan(loss, wrong, kernels, dtype):
    for rows, n in [(1, 2), (5, 3), (19, 8), (19, 17), (3, 100)]:
        a, at = scores(dtype, rows, n), rows // 2
        label = np.arange(rows) % n
        for numbers in NUMBERS.get(loss, [()]):
            how = {"cost": np.zeros(1), "rows": rows, "n": n, "n_y": n, "scale": 0.5, "hyper": hyper_of(numbers)}
            right = kernels[loss](a=a, da=np.zeros_like(a), label=label, **how)["da"]
            spoilt = label.copy()
            spoilt[at] = n if wrong == "n" else wrong
            apart = kernels[loss](a=a, da=np.zeros_like(a), label=spoilt, **how)
            in_place = kernels[loss](a=a, da=Same("a"), label=spoilt, **how)
            cost_alone = kernels[loss](a=a, label=spoilt, **how)["cost"]
            assert np.isnan([apart["cost"], in_place["cost"], cost_alone]).all()
            for da in (apart["da"], in_place["da"]):
                assert np.isnan(da[at]).all()
                others = np.arange(rows) != at
                np.testing.assert_array_equal(da[others], right[others])


@pytest.mark.parametrize("wrong", WRONG_LABELS)
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_so_it_does_in_networks_of_a_few_numbers(loss, wrong, kernels, dtype):
    draw, n = np.random.default_rng(0), 3
    for widths in [(2, n), (2, 4, n)]:
        size = sum((n_in + 1) * n_out for n_in, n_out in zip(widths, widths[1:], strict=False))
        label = np.array([0, n if wrong == "n" else wrong, 2])
        got = kernels["fused_small_network"](
            cost=np.zeros(1), gradient=np.zeros(size, dtype), work=np.zeros(2 * sum(widths[1:]), dtype),
            theta=draw.normal(size=size).astype(dtype), x=draw.normal(size=(3, 2)).astype(dtype), label=label,
            index=np.array([2, 1]), widths=np.array(widths, np.intp),
            activations=np.full(len(widths) - 1, ACTIVATIONS.index("identity"), np.intc),
            layers=len(widths) - 1, rows=2, loss=_engine.names("loss").index(loss), scale=0.5,
            hyper=np.concatenate([np.zeros((len(widths) - 1) * HYPER), hyper_of(NUMBERS.get(loss, [()])[0])]),
        )  # fmt: skip
        assert np.isnan(got["cost"]).all()


WRONG_CATEGORIES = [-1, -1e-3, 5, 5.5, 1e9, -1e9, 2.0**31, 2.0**63, 2.0**64, 3e38, -3e38, np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("wrong", WRONG_CATEGORIES)
def test_an_index_that_is_no_category_makes_nan_and_no_gradient(wrong, kernels, dtype):
    draw = np.random.default_rng(0)
    for width in (1, 3, 16, 21):
        categories, widths, rows, at = np.array([0, 5, 0, 2]), np.array([9, width, 9, 2]), 7, 3
        x = draw.normal(size=(rows, 4)).astype(dtype)
        x[:, 1], x[:, 3] = draw.integers(5, size=rows), draw.integers(2, size=rows)
        tables, n_out = draw.normal(size=5 * width + 4).astype(dtype), 2 + width + 2
        da = draw.normal(size=(rows, n_out)).astype(dtype)
        how = {"categories": categories, "width": widths, "rows": rows, "n_in": 4}
        sizes = {**how, "n_tables": tables.size, "accumulate": 0}
        right = kernels["embed_forward"](a=np.zeros_like(da), x=x, tables=tables, **how)["a"]
        spoilt = x.copy()
        spoilt[at, 1] = wrong
        a = kernels["embed_forward"](a=np.zeros_like(da), x=spoilt, tables=tables, **how)["a"]
        right[at, 2 : 2 + width] = np.nan
        np.testing.assert_array_equal(a, right)
        da_without = da.copy()
        da_without[at, 2 : 2 + width] = 0
        left_out = kernels["embed_gradient"](dtables=np.zeros_like(tables), da=da, x=spoilt, **sizes)["dtables"]
        wanted = kernels["embed_gradient"](dtables=np.zeros_like(tables), da=da_without, x=x, **sizes)["dtables"]
        np.testing.assert_array_equal(left_out, wanted)


def test_edges_of_any_kind_keep_within_the_bins(kernels, dtype):
    """Users may write to the state: edges that do not increase, and NaN, give wrong numbers but no wrong address."""
    draw = np.random.default_rng(0)
    bins = np.array([1, 4, 23])
    for value in (np.nan, np.inf, -np.inf, 0, 3e38):
        edges = draw.normal(size=int(np.sum(bins + 1))).astype(dtype)
        edges[draw.integers(edges.size, size=9)] = value
        x = np.array([[0, 1, -1], [np.nan, np.inf, -np.inf], [3e38, -3e38, 0]], dtype)
        da = np.ones((3, int(np.sum(bins))), dtype)
        how = {"x": x, "edges": edges, "bins": bins, "rows": 3, "n_in": 3}
        with np.errstate(all="ignore"):
            kernels["piecewise_forward"](a=np.zeros_like(da), **how)
            kernels["piecewise_backward"](dx=np.zeros_like(x), da=da, **how)


# ---- the description of the arrays ----


@pytest.fixture
def task(dtype):
    return Task(dtype)


def test_prediction_has_nan_where_an_index_is_none(task, isa):
    """Called directly, the engine checks sizes only; a category out of range makes the outputs of its row NaN."""
    network = task.network()
    x, out = task.X.copy(), np.zeros((len(task.X), CLASSES), task.dtype)
    x[5, 0] = CATEGORIES
    network.engine.forward(x, out)
    assert np.flatnonzero(np.isnan(out).all(axis=1)).tolist() == [5]
    assert np.isfinite(np.delete(out, 5, axis=0)).all()


def spoilt_attributes():
    """Attributes of a network that users may set, and values for them."""
    yield "n_outputs", 1
    yield "n_inputs", 1
    yield "n_members", 1
    yield "dtype", np.dtype(np.float16)
    yield "layers", ()


@pytest.mark.parametrize("name, value", list(spoilt_attributes()))
def test_attributes_that_were_overwritten_lead_to_no_other_memory(name, value, isa):
    network = fp.Network([3, 8, 6], seed=0, members=2)
    trainer = fp.Trainer(network, loss="half_mse", optimizer="adam")
    X, y = np.ones((40, 3), "f4"), np.ones((40, 6), "f4")
    setattr(network, name, value)
    for use in (
        lambda: network(X), lambda: network.members(X), lambda: network.forward(X), lambda: trainer.epoch(X, y),
        lambda: network.value_and_gradient(X, y, loss="half_mse"), lambda: network.jacobian(X),
        lambda: network.per_example_gradients(X, y, loss="half_mse"), lambda: trainer.step(X, y),
        lambda: fp.Trainer(network, loss="half_mse", optimizer="adam", average=fp.EMA(0.9)).epoch(X, y),
    ):  # fmt: skip
        with np.errstate(all="ignore"), contextlib.suppress(ValueError, TypeError, IndexError):
            use()


def test_a_trainer_keeps_its_network(isa):
    trainer = fp.Trainer(fp.Network([2, 2], seed=0), loss="half_mse", optimizer="adam")
    trainer.network = fp.Network([200, 200], seed=0)
    with pytest.raises(ValueError, match="make a Trainer for each network"):
        trainer.optimizer = "adam"
    with pytest.raises(ValueError, match=r"where the engine needs \d+"):
        trainer.epoch(np.ones((4, 200), "f4"), np.ones((4, 200), "f4"), batch_size=2)


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")  # NumPy 2.5 deprecates it
def test_a_gradient_of_another_dtype_in_place(isa):
    network = fp.Network([3, 8, 2], seed=0)
    network.gradient.dtype = np.float16
    network.parameters.shape = (1, -1)
    X, y = np.ones((4, 3), "f4"), np.ones((4, 2), "f4")
    network.value_and_gradient(X, y, loss="half_mse")
    fp.Trainer(network, loss="half_mse", optimizer=fp.Adam(0.1)).epoch(X, y)


def test_memory_of_parameters_stays(isa):
    network = fp.Network([3, 8, 2], seed=0)
    with pytest.raises(ValueError, match="cannot resize"):
        network.parameters.base.resize(0, refcheck=False)


def test_a_schedule_gives_a_rate_for_each_step(isa):
    class Short(fp.schedules.Constant):
        def rates(self, times, span=1.0):
            return np.full(1, 0.1)

    trainer = fp.Trainer(fp.Network([3, 2], seed=0), loss="half_mse", optimizer=fp.SGD(Short(0.1)))
    with pytest.raises(ValueError, match=r"gave rates of shape \(1,\) for 40 steps"):
        trainer.epoch(np.ones((40, 3), "f4"), np.ones((40, 2), "f4"), batch_size=1)


@pytest.mark.parametrize("categories, width", [(2**62, 4), (2**63, 1), (2**63 - 1, 2**32), (2**32, 2**32), (10**30, 1)])
def test_tables_whose_size_no_integer_holds(categories, width):
    description = fp.Network([1, fp.Embedding({0: (3, 4)}), 2], seed=0).describe()
    description["layers"][0]["columns"] = [[0, categories, width]]
    with pytest.raises(MemoryError, match="no memory for"):
        fp.Network.from_description(description)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0, -np.inf])
def test_weights_of_any_kind(value, task, isa):
    """Row weights are factors: bad ones change numbers, but no address."""

    class Spoiler(fp.Callback):
        def on_step_end(self, run):
            task.weights[3:] = value

    network = task.network("norm")
    with contextlib.suppress(ValueError, FloatingPointError):
        network.fit(
            task.X, task.labels, loss="cross_entropy", optimizer="adam", epochs=2, batch_size=16,
            sample_weight=task.weights, callbacks=[Spoiler()],
        )  # fmt: skip
    assert np.isfinite(network.parameters).all()


def test_what_is_right_again_when_its_place_is_looked_for():
    """Another thread may repair an array between the check and the search for the bad element."""
    with pytest.raises(ValueError, match="another thread writes into it"):
        _validation.place(np.zeros((3, 2), bool))
