"""The exported C file compiles without a warning and computes the network's outputs."""

import ctypes
import re
import shutil
import subprocess

import bridge_cases
import numpy as np
import pytest

import fastprop as fp
from fastprop._core._engine import KINDS
from fastprop.interop import c as c_export
from fastprop.nn.activations import ACTIVATIONS

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}

compiler = shutil.which("cc")
compiled = pytest.mark.skipif(compiler is None, reason="there is no C compiler called cc")


def build(path):
    """Compile a C file with strict warnings, and return the library."""
    library = path.with_suffix(".so")
    strict = ["-std=c99", "-pedantic", "-Werror", "-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes"]
    strict += ["-Wdouble-promotion"]  # no double where there is hardware for float alone
    result = subprocess.run(
        [compiler, *strict, "-O1", "-shared", "-fPIC", "-o", library, path, "-lm"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return library


def function(path, name="predict"):
    """Return the function of a C file."""
    return getattr(ctypes.CDLL(str(build(path))), name)


def predict(compute, net, X):
    """Return the outputs of a function for each row of X."""
    Y = np.full((len(X), net.n_outputs), np.nan, net.dtype)
    for x, y in zip(X, Y):
        compute(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
    return Y


@pytest.fixture(scope="module", params=TOLERANCES)
def models(request, tmp_path_factory):
    """Return the dtype, and each network's function by its name; all are in one file, so names must not collide."""
    path = tmp_path_factory.mktemp("models") / "models.c"
    names = {name: f"f{k}" for k, name in enumerate(bridge_cases.NETWORKS)}
    path.write_text(
        "\n".join(c_export.source(bridge_cases.network(name, request.param), name=f) for name, f in names.items())
    )
    library = ctypes.CDLL(str(build(path)))
    return request.param, {name: getattr(library, f) for name, f in names.items()}


@compiled
@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
def test_predicts_the_same(name, models):
    dtype, functions = models
    net = bridge_cases.network(name, dtype)
    X = bridge_cases.rows(net)
    bridge_cases.assert_close(predict(functions[name], net, X), net, X, TOLERANCES[dtype])


@compiled
def test_a_network_as_people_train_them(tmp_path):
    net = fp.Network([784, fp.Dense(128, "relu"), fp.Dropout(0.2), fp.BatchNorm(), 10], seed=0)
    fp.to_c(net, tmp_path / "digits.c", name="digits")
    X = np.random.default_rng(0).random((20, 784), dtype=np.float32)
    bridge_cases.assert_close(predict(function(tmp_path / "digits.c", "digits"), net, X), net, X, 1e-5)


@compiled
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_far_out(activation, tmp_path):
    """The export is right where an exponential overflows or vanishes."""
    net = fp.Network([1, fp.Dense(1, activation)], dtype="float32", seed=0)
    net.parameters = [1.0, 0.0]
    net.to_c(tmp_path / "model.c")
    X = np.array([[-1e4], [-95.0], [-17.0], [-1e-6], [0.0], [1e-6], [17.0], [95.0], [1e4]], np.float32)
    got = predict(function(tmp_path / "model.c"), net, X)
    # sin(30 z): the product of float32 is good to 2^-24 of itself
    np.testing.assert_allclose(got, net(X), rtol=2e-5, atol=0.04 if activation == "sin" else 1e-10)


def test_every_operation_has_its_c():
    nothing = {"fork", "dropout"}
    assert all(callable(getattr(c_export._Writer, f"_{kind}", None)) for kind in set(KINDS) - nothing)


def test_the_file_stands_alone():
    """One external name; <math.h> only where it is needed; nothing allocated; constants exact; the stack as stated."""
    net = fp.Network([3, 17, 4], dtype="float64", seed=0)
    text = c_export.source(net, name="f")
    assert "#include" not in text and "malloc" not in text
    definitions = [line for line in text.splitlines() if re.match(r"\w.*[({]$|\w.*\)$|\w.*;$", line)]
    assert [line for line in definitions if not line.startswith("static")] == [
        "void f(const double *x, double *y);",
        "void f(const double *x, double *y)",
    ]
    constants = re.findall(r"-?0x[01][.\w]*p[+-]\d+", text)
    assert sorted(map(float.fromhex, constants)) == sorted(net.parameters)
    assert "136 bytes" in text and "double h0[17];" in text  # 17 doubles
    assert c_export.source(fp.Network([3, fp.Dense(2, "tanh")])).count("#include") == 1


@compiled
def test_a_category_outside_its_range_reads_nothing_outside_the_table(tmp_path):
    net = fp.Network([2, fp.Embedding({1: (3, 2)}), fp.Scale()], seed=0)
    net.to_c(tmp_path / "model.c")
    X = np.array([[0.5, 0], [0.5, -1], [0.5, 3], [0.5, 1e9], [0.5, np.nan], [0.5, np.inf]], np.float32)
    Y = predict(function(tmp_path / "model.c"), net, X)
    np.testing.assert_array_equal(Y, np.tile(net(X[:1]), (6, 1)))


@pytest.mark.parametrize("name", ["", "2x", "a b", "for", "main", "naïve", "f;", None])
def test_names_that_are_none(name, tmp_path):
    with pytest.raises(ValueError, match="name of a C function"):
        fp.Network([2, 1]).to_c(tmp_path / "model.c", name=name)
    assert not list(tmp_path.iterdir())


def test_what_has_no_c(tmp_path):
    net = fp.Network([2, 1])
    net.parameters[0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        net.to_c(tmp_path / "model.c")
    with pytest.raises(TypeError, match="takes a fastprop.Network, got list"):
        fp.to_c([1, 2], tmp_path / "model.c")


def test_paths(tmp_path):
    net = fp.Network([2, 1])
    with pytest.raises(IsADirectoryError):
        net.to_c(tmp_path)
    with pytest.raises(FileNotFoundError, match="its directory does not exist"):
        net.to_c(tmp_path / "missing" / "model.c")
    with pytest.raises(TypeError, match="wanted a str"):
        net.to_c(3)
