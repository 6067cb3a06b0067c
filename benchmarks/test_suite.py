"""Test the suite: its arithmetic, wrong input, and each script in its shortest form. No time decides anything.

pytest benchmarks/test_suite.py         # half a minute with the extra `benchmarks`; what is not installed is left out
"""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cachemisses
import compare
import cost_model
import kernels
import pages
import peers
import products
import sweep
from contest.contestant import CONTESTANTS
from contest.measure import agrees
from contest.process import restrictions, usable_cpus
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
    assert task.flops == 4 * (2 * 15 * 2 + 2 * 6 * 3)  # two products of the first layer, three of the second


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
    for name in ("100-300", "100/128", "a-b/1", "0-3/4", "3-2/0", "3x0-2/1"):
        with pytest.raises(ValueError, match="wanted widths and a batch size"):
            task_named(name)


@pytest.mark.parametrize("name", ["1-1/1", "1-1/300000", "1-1/100000000", "5000-1/1", "4096x6/4096"])
def test_data_of_any_network_fit_in_memory(name):
    task = task_named(name)
    assert task.rows * max(task.widths[0], task.widths[-1]) * 8 <= 2**25 or task.steps == 1


def test_networks_of_a_sweep_are_those_asked_for():
    names = [name for name, _, _ in sweep.thread_tasks([task_named("5-4-3/2")])]
    assert names == ["5-4-3/2 relu", "5-4-3/2 tanh", "predict 5-4-3/2"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("peers.py --networks 100/128", "wanted widths and a batch size"),
        ("peers.py --networks 3-0/128", "wanted widths and a batch size"),
        ("peers.py --shapes 785", "has 785 in its name"),
        ("peers.py --threads 100000", "but this process may use"),
        ("peers.py --threads 0", "wanted a whole number from 1 on"),
        ("peers.py --isa avx3", "got 'avx3', wanted one of"),
        ("peers.py --add", "wanted --json"),
        ("peers.py --narrow --networks 3-2/4", "not allowed with"),
        ("products.py --shapes 128x512", "wanted rows x n_in x n_out"),
        ("products.py --shapes 128x512x0", "wanted rows x n_in x n_out"),
        ("products.py --isa portable --check", "wanted --isa avx2"),
        ("cachemisses.py --shapes big", "wanted rows x n_in x n_out"),
        ("latency.py --isa avx3", "got 'avx3', wanted one of"),
        ("sweep.py threads --shapes 785", "has 785 in its name"),
    ],
)
def test_wrong_input_is_refused_with_what_was_wanted(command, message):
    done = run(command)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# Each script in its shortest form: what it needs besides NumPy, and the command.
SHORT = [
    ("", "peers.py --networks 64-48-3/4000 --activation tanh --seconds 0 --rounds 1"),
    ("", "peers.py --narrow --shapes 2-20 --activation relu --contestants fastprop --seconds 0 --rounds 1"),
    ("", "products.py --shapes 5x6x7 33x100x65 --dtype float32 float64 --turns 1"),
    ("", "latency.py --turns 1"),
    ("numba", "native.py --turns 1"),
    ("", "sweep.py threads --networks 40-30-3/500 --turns 1"),
    ("sklearn pandas", "tables.py --tables wine --methods linear fastprop-low --folds 1"),
]


@pytest.mark.parametrize(("needs", "command"), SHORT, ids=[command for _, command in SHORT])
def test_each_script_runs_and_writes_its_result(needs, command, tmp_path):
    for library in needs.split():
        pytest.importorskip(library)
    if command.startswith("sweep") and usable_cpus() < 2:
        pytest.skip("needs two CPUs")
    path = tmp_path / "result.json"
    done = run(f"{command} --json {path}")
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result["kind"] in command or result["kind"] in ("threads", "peers")
    assert result["machine"]["cpu"]
    for row in result.get("rows", ()):
        assert all(entry["agrees"] for entry in row["contestants"].values()), warnings([row])
    if result["kind"] in pages.SECTIONS:
        assert pages.page("here", [result]).startswith(f"# {result['machine']['cpu']}")


def run(command):
    """Run a script of the suite as its users do."""
    script, *options = command.split()
    env = {name: value for name, value in os.environ.items() if name != "FASTPROP_ISA"}
    command = [sys.executable, str(Path(__file__).with_name(script)), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_charts_of_all_results_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    done = run(f"charts.py --out {tmp_path}")
    assert done.returncode == 0, done.stderr
    drawn = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*.svg")}
    assert drawn == {str(path.relative_to(pages.DOCS)) for path in pages.DOCS.glob("*/*.svg")}


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
    assert "ahead in 1 of 1" in text
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


@pytest.mark.parametrize(("ours", "level"), [((180_000, 40_000), None), ((180_001, 9), "L1"), ((9, 40_001), "L2")])
def test_a_limit_of_misses_that_is_exceeded_is_named(ours, level):
    found = {"fastprop": ours, "NumPy": (1, 1)}  # which is not asked for where there is a limit
    sentences = cachemisses.exceeded("x W", "128x512x512", "float32", found)
    assert [f" in {level}, asked at most " in sentence for sentence in sentences] == [True] * (level is not None)


def test_without_a_limit_misses_are_compared_with_those_of_numpy():
    assert not cachemisses.exceeded("x W", "9x8x7", "float32", {"fastprop": (5, 3), "NumPy": (5, 3)})
    (sentence,) = cachemisses.exceeded("x W", "9x8x7", "float32", {"fastprop": (6, 3), "NumPy": (5, 3)})
    assert sentence == "x W 9x8x7 float32: 6 read misses in L1, NumPy's 5"


def test_a_check_of_misses_fails_where_it_should(monkeypatch, capsys):
    start = 1000, 100
    per_call = {"fastprop": (179_999, 40_001), "NumPy": (300_000, 50_000)}

    def counts(job):
        return tuple(a + job["calls"] * b for a, b in zip(start, per_call[job.get("name", "NumPy")], strict=True))

    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(cachemisses, "supported", lambda: ["avx2"])
    monkeypatch.setattr(cachemisses, "counts", counts)
    assert cachemisses.main(["--products", "x W"]) == 0
    assert cachemisses.main(["--products", "x W", "--check"]) == 1
    assert "missed: x W 128x512x512 float32: 40,001 read misses in L2, asked at most 40,000" in capsys.readouterr().out
    per_call["fastprop"] = 179_999, 40_000
    assert cachemisses.main(["--products", "x W", "--check"]) == 0


def test_without_valgrind_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert cachemisses.main([]) == 2
    assert "apt install valgrind" in capsys.readouterr().err


@pytest.mark.parametrize("wire", cost_model.WIRES)
def test_costs_of_sums(wire):
    """Two machines exchange what they have; many send each byte twice; no sum is cheaper than its messages."""
    n, gamma = 1e6, 1e-10
    ways = (cost_model.ring, cost_model.rabenseifner, cost_model.recursive_doubling)
    assert cost_model.recursive_doubling(n, 2, wire, gamma) == pytest.approx(wire.alpha + n * (wire.beta + gamma))
    assert cost_model.rabenseifner(n, 2**20, wire, gamma) == pytest.approx(
        40 * wire.alpha + n * (2 * wire.beta + gamma), rel=1e-5
    )
    assert cost_model.ring(n, 2, wire, gamma) == cost_model.rabenseifner(n, 2, wire, gamma)
    for p in (2, 3, 16, 1000):
        assert cost_model.allreduce(n, p, wire, gamma) == min(way(n, p, wire, gamma) for way in ways)
        assert cost_model.allreduce(8, p, wire, 0) >= wire.alpha * np.log2(p)


@pytest.mark.parametrize("wire", cost_model.WIRES)
def test_costs_of_steps(wire):
    large = cost_model.Measured("1024x4-10", cost_model.widths_of("1024x4-10"), 1e-3, 1e-4, 1e-3, 1e-10)
    small = cost_model.Measured("64-128-10", (64, 128, 10), 1e-6, 3e-7, 1e-5, 1e-10)
    assert sum(large.layers) == 4 * (3 * 1024 * 1025 + 1025 * 10)
    for network in (large, small):
        alone = network.alone(512)
        parts = network.parts(alone)
        assert sum(seconds for seconds, _ in parts) == pytest.approx(alone)
        assert sum(size for _, size in parts) == sum(network.layers)
        assert network.step(512, 1, wire) == alone
        for p in (2, 100):
            apart = network.step(512, p, wire, overlap=False)
            assert apart == pytest.approx(
                alone + network.overhead + cost_model.allreduce(sum(network.layers), p, wire, network.gamma)
            )
            assert alone < network.step(512, p, wire) <= apart * (1 if network is small else 1.01)
            assert 0 < network.efficiency(512, p, wire) < 1
            assert network.speed_up(512, p, wire) < p
    assert len(large.parts(1.0)) == 3
    assert len(small.parts(1.0)) == 1
