"""The choice of the kernel table by FASTPROP_ISA; training works with every table, and gives the same bits."""

import os
import subprocess
import sys

import numpy as np
import pytest
from kernels_ctypes import exact_isas, usable_isas

import fastprop as fp
from fastprop._core import _engine

TRAIN = """
import hashlib, sys
import numpy as np
import fastprop as fp

for layers, activation, loss, batch in [
    ([5, 7, 3], "tanh", "cross_entropy", 9),
    ([17, 64, 33, 1], "relu", "half_mse", 64),
    ([70, 300, fp.Dense(90, "sigmoid"), 4], "relu", "binary_cross_entropy", 100),
]:
    rng = np.random.default_rng(0)
    outputs = layers[-1]
    X = rng.normal(size=(200, layers[0])).astype(sys.argv[1])
    y = {"cross_entropy": rng.integers(outputs, size=200),
         "half_mse": rng.normal(size=(200, outputs)),
         "binary_cross_entropy": rng.integers(2, size=(200, outputs))}[loss]
    net = fp.Network(layers, activation=activation, dtype=sys.argv[1], seed=0)
    trainer = fp.Trainer(net, loss=loss, optimizer=fp.SGD(0.02, momentum=0.9), seed=1)
    while trainer.steps < 50:
        trainer.epoch(X, y, batch_size=batch)
    cost = trainer.evaluate(X, y)
    print(hashlib.sha256(net.parameters.tobytes()).hexdigest(), repr(cost), np.abs(net.parameters).sum())
"""


def run(code, isa, tmp_path, *arguments):
    """Run a new interpreter with FASTPROP_ISA set to `isa` (None: unset) and the import path of this one."""
    env = {name: value for name, value in os.environ.items() if name != "FASTPROP_ISA"}
    if isa is not None:
        env["FASTPROP_ISA"] = isa
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600)


def output(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def served(shown):
    """Return the name of the kernel table in what show_config printed."""
    return next(line.split(":")[1].strip() for line in shown.splitlines() if line.startswith("kernel table"))


@pytest.mark.parametrize("name", usable_isas())
def test_variable_forces_an_isa(name, tmp_path):
    assert served(output("import fastprop; fastprop.show_config()", name, tmp_path)) == name


@pytest.mark.parametrize("unset", [None, ""])
def test_fastest_serves_by_itself(unset, tmp_path):
    assert served(output("import fastprop; fastprop.show_config()", unset, tmp_path)) == usable_isas()[-1]


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx", "portable ", "avx2,avx512"])
def test_unknown_name_is_an_error_at_import(name, tmp_path):
    done = run("import fastprop", name, tmp_path)
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert f"FASTPROP_ISA={name!r}" in message
    assert all(usable in message for usable in usable_isas())
    assert "unset" in message


def test_isa_that_this_cpu_lacks_is_an_error_at_import(tmp_path):
    lacking = [name for name in ("neon", "avx2", "avx512") if name not in usable_isas()]
    assert lacking, "no CPU has them all"
    for name in lacking:
        done = run("import fastprop", name, tmp_path)
        assert done.returncode != 0
        assert f"FASTPROP_ISA={name!r}" in done.stderr


def test_select_isa_refuses_an_unknown_name_and_keeps_what_served():
    before = _engine.serving_isa()
    with pytest.raises(ValueError, match="not an ISA of this build and CPU"):
        _engine.select_isa("sse9")
    assert _engine.serving_isa() == before
    with pytest.raises(ValueError, match="not an ISA of this build and CPU"):
        _engine.kernel_addresses("sse9", "float32")


def test_show_config_says_what_serves(isa, capsys):
    fp.show_config()
    assert served(capsys.readouterr().out) == isa


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a dict (isa, dtype) -> what TRAIN printed: a digest, the cost and a norm for each of three networks."""
    directory = tmp_path_factory.mktemp("trained")
    return {
        (name, dtype): [line.split() for line in output(TRAIN, name, directory, dtype).splitlines()]
        for name in usable_isas()
        for dtype in ("float32", "float64")
    }


@pytest.mark.skipif(len(exact_isas()) < 2, reason=f"has {exact_isas()}, one table of those that promise the same bits")
def test_training_gives_the_same_bits_in_every_table_with_fma(trained, dtype):
    first, *others = exact_isas()
    for other in others:
        assert trained[first, dtype] == trained[other, dtype]


def test_training_comes_close_in_every_table(trained, dtype):
    """Portable kernels round differently: 0.6 eps was measured; the rest allows for the libm of other machines."""
    relative = 64 * float(np.finfo(dtype).eps)
    for name in usable_isas():
        for (_, cost, norm), (_, other_cost, other_norm) in zip(trained["portable", dtype], trained[name, dtype]):
            assert float(cost) == pytest.approx(float(other_cost), rel=relative)
            assert float(norm) == pytest.approx(float(other_norm), rel=relative)


def test_training_lowers_the_cost_in_every_table(isa):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    net = fp.Network([4, 16, 1], activation="tanh", seed=0)
    optimizer = fp.SGD(0.1, momentum=0.9)
    history = net.fit(X, X[:, 0] * X[:, 1], loss="half_mse", optimizer=optimizer, epochs=30, batch_size=20)
    assert history["cost"][-1] < history["cost"][0] / 4
