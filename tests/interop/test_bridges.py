"""Helpers that imports and exports share; a library is imported only when it is used."""

import sys

import numpy as np
import pytest

import fastprop as fp
from fastprop._core._engine import KINDS
from fastprop.interop import _common, onnx
from fastprop.nn.activations import ACTIVATIONS

WAYS = ("from_keras", "from_sklearn", "from_state_dict", "from_torch", "to_c", "to_onnx", "to_torch")


def test_the_functions_are_there():
    for name in WAYS:
        assert name in fp.__all__ and callable(getattr(fp, name))
    with pytest.raises(AttributeError, match="no attribute 'from_caffe'"):
        fp.from_caffe  # noqa: B018


def test_a_library_that_is_not_there(monkeypatch):
    """None in sys.modules makes an import fail."""
    net = fp.Network([2, 1])
    for library, call in {"onnx": net.to_onnx, "torch": net.to_torch}.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ModuleNotFoundError, match=rf"needs {library}.*pip install 'fastprop-nn\[{library}\]'"):
            call()


def test_every_operation_has_its_nodes():
    # the kinds whose nodes to_onnx makes itself, or which have none
    without = {"fork", "add", "copy", "dropout", "select", "concat"}
    assert set(onnx.OPERATIONS) | without == set(KINDS)
    assert {*onnx.NODES, *onnx.FLOAT32_NODES} <= set(ACTIVATIONS)


def test_parts_are_the_numbers_of_operations():
    net = fp.Network([3, 4, fp.BatchNorm("relu"), fp.Dense(2, bias=False)], dtype="float64", seed=0)
    net.state[:] = np.arange(8)
    dense, norm, last = _common.parts(net)
    assert dense.weight.shape == (3, 4) and dense.state is None
    np.testing.assert_array_equal(norm.state, np.arange(8))
    assert last.bias is None
    mean, factor = norm.normalization()
    np.testing.assert_array_equal(mean, np.arange(4))
    np.testing.assert_allclose(factor, norm.weight / np.sqrt(np.arange(4, 8) + 1e-5))


def test_a_stack_says_what_does_not_fit():
    stack = _common.Stack()
    stack.dense(np.zeros((3, 4)), None)
    with pytest.raises(ValueError, match="takes 5 numbers, but gets 4"):
        stack.dense(np.zeros((5, 2)), None)
    stack.dense(np.zeros((4, 2), np.float32), None)
    with pytest.raises(ValueError, match="this holds numbers of float32, float64"):
        stack.network("this")
    with pytest.raises(ValueError, match="give n_inputs"):
        _common.Stack().network("this")
