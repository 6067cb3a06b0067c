"""Test the suite's own arithmetic: flops, excluded disagreement, regressions. It needs no other libraries.

pytest benchmarks/test_suite.py
"""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

import cachemisses
import compare
import kernels
import pages
import peers
import products
from contest.contestant import CONTESTANTS
from contest.measure import agrees
from contest.process import restrictions
from contest.report import derive, missed, table, warnings
from contest.tasks import (
    LIMIT_TARGETS,
    NARROW,
    RELU_TARGETS,
    TANH_TARGETS,
    TASKS,
    Task,
    flatten,
    target_of,
    task_named,
    unflatten,
)
from fastprop._core import _engine as engine

LIMITS = {"avx2": {"float32": 100.0, "float64": 50.0}}


@pytest.fixture(autouse=True)
def avx2(monkeypatch):
    """Let the results be those of AVX2, on whatever CPU the tests run."""
    monkeypatch.setenv("FASTPROP_ISA", "avx2")


@pytest.fixture
def row():
    """Return a result row in which fastprop takes 10 us and other libraries 20, 30, ..."""
    times = dict(zip(CONTESTANTS, (10.0, 20.0, 30.0, 40.0, 50.0), strict=True))
    entry = {"version": "1", "way": "", "spread": 0.1, "samples": [], "cpus": 1.0}
    entry |= {"distance": [1e-6, 1e-2], "agrees": True, "finite": True}
    entries = {name: entry | {"us": us, "fastest": us} for name, us in times.items()}
    task = {
        "task": "784-128-10/64",
        "activation": "relu",
        "dtype": "float32",
        "optimizer": "sgd",
        "threads": 1,
    }
    return task | {
        "flops": 1_000_000,
        "turns": 9,
        "clock": "wall",
        "contestants": entries,
        "absent": {},
    }


def test_flops_leave_out_the_first_input_gradient():
    task = Task("", (5, 3, 2), 4, 1, "half_mse")
    assert task.flops == 4 * (
        2 * 15 * 2 + 2 * 6 * 3
    )  # two products of the first layer, three of the second


def test_every_target_names_a_task():
    names = {task.name for task in TASKS}
    assert names > set(RELU_TARGETS["avx2"]) == set(RELU_TARGETS["avx512"]) > {*LIMIT_TARGETS, *TANH_TARGETS}


@pytest.mark.parametrize(
    ("change", "isa", "targets"),
    [
        ({}, "avx2", (1.3, None)),
        ({}, "avx512", (1.5, None)),
        ({}, "neon", (1.0, None)),
        ({"threads": 2}, "avx2", (1.0, None)),
        ({"dtype": "float64"}, "avx2", (1.0, None)),
    ],
)
def test_targets(change, isa, targets):
    assert target_of(replace(task_named("784-128-10/64"), **change), isa) == targets


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_targets_of_narrow_networks(activation):
    for task in NARROW:
        task = replace(task, activation=activation)
        assert target_of(task, "avx2") == (1.0, 0.5)
        assert target_of(replace(task, threads=2), "avx512") == (3.0, None)


def test_a_network_of_your_own():
    task = task_named("100-300x2-5/128")
    assert task.widths == (100, 300, 300, 5)
    assert task.batch_size == 128
    for name in ("100-300", "100/128", "a-b/1"):
        with pytest.raises(ValueError, match="wanted widths and a batch size"):
            task_named(name)


@pytest.mark.parametrize(
    ("isa", "has_avx512", "some"), [("avx2", True, True), ("avx2", False, False), ("avx512", True, False)]
)
def test_others_are_held_to_avx2_where_they_could_do_more(monkeypatch, isa, has_avx512, some):
    monkeypatch.setenv("FASTPROP_ISA", isa)
    monkeypatch.setattr("contest.process.supported", lambda: ["avx512", "avx2"] if has_avx512 else ["avx2"])
    assert bool(restrictions()) is some


def test_unflatten_and_flatten_are_inverse_views():
    theta = np.arange(5 * 3 + 3 + 3 * 2 + 2, dtype="float64")
    layers = unflatten(theta, (5, 3, 2))
    assert np.array_equal(flatten(layers), theta)
    layers[1][1][:] = -1
    assert np.all(theta[-2:] == -1)


def test_ratio_share_and_bound(row):
    derive(row, LIMITS)
    assert row["fastest_peer"] == "NumPy"
    assert row["ratio"] == pytest.approx(2.0)
    assert row["gflops"] == pytest.approx(100.0)
    assert row["share"] == pytest.approx(1.0)
    assert row["highest_ratio"] == pytest.approx(2.0)
    assert not missed([row])
    assert "784-128-10/64" in table([row])


def test_a_target_missed_is_named(row):
    row["contestants"]["fastprop"]["us"] = 19.0  # of NumPy's 20
    derive(row, LIMITS)
    (miss,) = missed([row])
    assert "asked 1.3" in miss
    assert "NumPy" in miss


def test_who_does_other_work_is_left_out_loudly(row):
    row["contestants"]["NumPy"] |= {"agrees": False, "distance": [0.3, 0.3]}
    derive(row, LIMITS)
    assert row["fastest_peer"] == "PyTorch"
    assert any("NumPy DOES NOT DO THE SAME WORK" in line for line in warnings([row]))


@pytest.mark.parametrize(
    ("distance", "fine"),
    [
        ((1e-6, 0.01), True),
        ((0.05, 0.01), False),
        ((1e-6, 0.5), False),
        ((float("nan"), 0.01), False),
    ],
)
def test_agreement(distance, fine):
    assert agrees(TASKS[0], distance) is fine


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.3, 1), (0.7, 0)])
def test_compare_finds_a_regression_and_forgives_a_slow_machine(row, tmp_path, factor, code):
    old = {"kind": "peers", "rows": [derive(row, LIMITS)]}
    new = copy.deepcopy(old)
    for name, entry in new["rows"][0]["contestants"].items():
        slower = 1.5 * (factor if name == "fastprop" else 1)  # the machine is slower for all libraries
        entry["us"] *= slower
        entry["fastest"] *= slower
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, result in zip(paths, (old, new), strict=True):
        path.write_text(json.dumps(result))
    assert compare.main([str(path) for path in paths]) == code


def test_compare_of_nothing_in_common_is_an_error(tmp_path):
    path = tmp_path / "empty.json"
    path.write_text("{}")
    assert compare.main([str(path), str(path)]) == 2


def test_a_run_is_continued_by_the_same_code_alone():
    past = {"isa": "avx2", "machine": {"cpu": "x", "commit": "1"}, "limits": {}, "pools": {}, "rows": ["a row"]}
    assert peers.continued(past | {"rows": []}, past)["rows"] == ["a row"]
    with pytest.raises(SystemExit, match="this run"):
        peers.continued(past | {"machine": {"cpu": "x", "commit": "2"}}, past)


def test_pages_are_those_of_the_results():
    written = pages.pages()
    if not written:
        pytest.skip("the results are not in a source distribution")
    for name, text in written.items():
        assert (pages.DOCS / name).read_text("utf-8") == text, f"run benchmarks/pages.py: {name} is out of date"


def test_losses_stand_first_and_are_bold(row):
    row["contestants"]["fastprop"]["us"] = 40.0  # NumPy takes 20
    result = {"kind": "peers", "isa": "avx2", "rows": [derive(row, LIMITS)]}
    text = pages.lost([result])
    assert "faster in 1 of 1" in text
    assert "| NumPy | **0.50** |" in text
    assert "avx2: 784-128-10/64 relu 1t: ratio 0.500 to NumPy, asked 1.3" in text


@pytest.mark.parametrize(
    ("shape", "ratio"), [((9, 512, 512), 1.05), ((9, 1024, 1024), 1.0), ((9, 2048, 2048), 0.97), ((9, 600, 77), 1.0)]
)
def test_targets_of_products(monkeypatch, shape, ratio):
    assert products.asked(shape) == ratio
    monkeypatch.setenv("FASTPROP_ISA", "avx512")
    assert products.asked(shape) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_can_be_timed(dtype):
    for name, address in engine.kernel_addresses(engine.serving_isa(), dtype).items():
        arguments = next(arguments for kernel, _, arguments in engine.signatures() if kernel == name)
        assert kernels.overhead(name, arguments, address, dtype) > 0


def test_what_cachegrind_writes_is_read():
    text = "desc: D1 cache\nevents: Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw\nfn=f\n1 2 3 4\nsummary: 9 8 7 6 5 4 3 2 1\n"
    assert cachemisses.read_misses(text) == (5, 4)


def test_without_valgrind_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert cachemisses.main([]) == 2
    assert "apt install valgrind" in capsys.readouterr().err
