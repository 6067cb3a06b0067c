"""fastprop.h compiles as C and C++ without a warning, and the programs of examples/native run as they stand."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import fastprop as fp

EXAMPLES = Path(__file__).parents[2] / "examples" / "native"
HEADER = Path(fp.get_include(), "fastprop.h")
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{fp.get_include()}"]
PYTHON_H = sysconfig.get_path("include")
LANGUAGES = {"c99": "cc", "c11": "cc", "c++17": "c++"}

# A module in C or C++ that trains through a capsule, and names everything that the header declares.
MODULE = """
#include <Python.h>
#include <fastprop.h>
static PyObject *train(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    Py_buffer x, y, out;
    int error, codes[] = {FP_OK, FP_BUSY, FP_BAD_POINTER, FP_BAD_ROWS, FP_NOT_FINITE, FP_BAD_CATEGORY, FP_BAD_TARGET,
                          FP_BAD_WEIGHT, FP_DIVERGED, FP_NO_TRAINER, FP_OUTDATED};
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*y*w*", &capsule, &x, &y, &out))
        return NULL;
    fp_handle *handle = fp_handle_of(capsule);
    if (!handle)
        return NULL;
    ptrdiff_t rows = x.len / handle->itemsize / handle->n_inputs;
    Py_BEGIN_ALLOW_THREADS
    error = handle->step(handle, x.buf, y.buf, rows);
    if (!error)
        error = handle->weighted_step(handle, x.buf, y.buf, NULL, rows);
    if (!error)
        error = handle->forward(handle, x.buf, rows, out.buf);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("isdi", error, handle->message(error), handle->cost(handle), codes[10]);
}
static PyMethodDef methods[] = {{"train", train, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "user", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_user(void) { return PyModule_Create(&definition); }
"""


def compiler(language):
    found = shutil.which(LANGUAGES[language])
    if not found:
        pytest.skip(f"there is no compiler called {LANGUAGES[language]}")
    return [found, f"-std={language}", "-x", "c++" if "+" in language else "c"]


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment():
    """Where a Python that is not of this environment finds fastprop and NumPy."""
    paths = dict.fromkeys(str(Path(module.__file__).parents[1]) for module in (fp, np))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_header_compiles(language, tmp_path):
    source = tmp_path / "user"
    source.write_text("#include <fastprop.h>\n#include <fastprop.h>\nint ok(void);\nint ok(void) { return FP_OK; }\n")
    run(*compiler(language), *STRICT, "-c", source, "-o", tmp_path / "user.o")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_module_in_this_language(language, tmp_path):
    source, library = tmp_path / "user", tmp_path / f"user{sysconfig.get_config_var('EXT_SUFFIX')}"
    source.write_text(MODULE)
    link = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    run(*compiler(language), *STRICT, "-isystem", PYTHON_H, "-shared", "-fPIC", *link, source, "-o", library)
    spec = importlib.util.spec_from_file_location("user", library)
    user = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(user)
    one, other = (fp.Trainer(fp.Network([2, 4, 1], seed=0), loss="half_mse") for _ in range(2))
    x, y, out = np.ones((3, 2), "f4"), np.full((3, 1), 2, "f4"), np.empty((3, 1), "f4")
    one.step(x, y)
    cost = one.step(x, y)
    assert user.train(other.native(3).capsule, x, y, out) == (0, "no error", cost, 10)
    assert np.array_equal(out, one.network(x))
    assert user.train(fp.Network([2, 1], seed=0).native().capsule, x[:1], y[:1], out)[0] == 9
    from datetime import datetime_CAPI

    with pytest.raises(ValueError, match="PyCapsule_GetPointer called with incorrect name"):
        user.train(datetime_CAPI, x, y, out)


def test_what_cython_gets_is_what_the_header_declares():
    """__init__.pxd repeats the header, name for name."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.S)
    repeated = (HEADER.parents[1] / "__init__.pxd").read_text(encoding="utf-8")
    fields = re.search(r"struct fp_handle \{(.*?)\n\};", text, re.S).group(1)
    declared = [
        *re.findall(r"\b(FP_[A-Z_]+) = ", text), *re.findall(r"#define (FP_[A-Z]+)", text),
        *re.findall(r"(?:\(\*)?(\w+)(?:\)\([^;]*\))?;", fields), "fp_handle_of",
    ]  # fmt: skip
    assert len(declared) == 11 + 2 + 13 + 1
    for name in declared:
        assert re.search(rf"\b{name}\b", repeated), name


def test_the_host_in_c(tmp_path):
    library, directory = sysconfig.get_config_var("LDLIBRARY") or "", sysconfig.get_config_var("LIBDIR") or ""
    if not Path(directory, library).is_file() or ".so" not in library:
        pytest.skip("this Python has no shared library to embed")
    program, name = tmp_path / "c_host", library.removeprefix("lib").partition(".so")[0]
    link = [f"-L{directory}", f"-Wl,-rpath,{directory}", f"-l{name}", "-lm", "-o", program]
    run(*compiler("c99"), *STRICT, "-isystem", PYTHON_H, EXAMPLES / "c_host.c", "-x", "none", *link)
    printed = run(program, env=environment() | {"PYTHONHOME": sys.base_prefix})
    before, after = (float(each) for each in re.findall(r"worst error \w+: +(\d\.\d{3})\n", printed))
    assert after < 0.1 < before
    assert "50000 steps, and in Python net([1.0]) is 0.8" in printed


@pytest.mark.peer
def test_the_loop_in_cython(tmp_path):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    compiler("c11")
    shutil.copytree(EXAMPLES / "cython_loop", tmp_path, dirs_exist_ok=True)
    run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=tmp_path, env=environment())
    printed = run(sys.executable, "-W", "error", "run.py", cwd=tmp_path, env=environment())
    assert "100,000 samples, " in printed
    first, last = (float(each) for each in re.findall(r"predictions: +(\d\.\d{4})\n", printed))
    assert last < 0.05 < 0.15 < first


@pytest.mark.peer
def test_the_loop_in_numba(tmp_path):
    pytest.importorskip("numba")
    printed = run(sys.executable, "-W", "error", EXAMPLES / "numba_loop.py", env=environment())
    assert "200,000 steps of <Network 4-32-32-1 " in printed
    assert float(re.search(r"correlation over 200 states: (\d\.\d{3})\n", printed).group(1)) > 0.9


@pytest.mark.peer
def test_numba_gives_the_same_bits():
    numba = pytest.importorskip("numba")
    one, other = (fp.Trainer(fp.Network([3, 5, 2], seed=0), loss="cross_entropy") for _ in range(2))
    handle = other.native(2)
    forward, step, weighted_step, cost = handle.forward, handle.step, handle.weighted_step, handle.cost
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(20, 3)).astype("f4"), rng.integers(2, size=20), rng.random(20).astype("f4")

    @numba.njit(nogil=True)
    def loop(address, X, y, w, out, costs):
        for i in range(0, len(X), 2):
            rows = X[i : i + 2]
            error = forward(address, rows.ctypes, 2, out[i:].ctypes)
            if i % 4:
                error += step(address, rows.ctypes, y[i:].ctypes, 2)
            else:
                error += weighted_step(address, rows.ctypes, y[i:].ctypes, w[i:].ctypes, 2)
            costs[i // 2] = cost(address)
            if error:
                return error
        return 0

    out, costs = np.empty((20, 2), "f4"), np.empty(10)
    assert loop(handle.address, X, y, w, out, costs) == 0
    for i in range(0, 20, 2):
        rows = slice(i, i + 2)
        assert np.array_equal(out[rows], one.network(X[rows]))
        assert costs[i // 2] == one.step(X[rows], y[rows], sample_weight=None if i % 4 else w[rows])
    assert np.array_equal(one.network.parameters, other.network.parameters)
