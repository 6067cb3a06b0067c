"""onnxruntime computes the network's outputs from the exported ONNX model."""

import json

import bridge_cases
import numpy as np
import pytest
import strategies
from hypothesis import given, settings

import fastprop as fp
from fastprop.interop import onnx as onnx_export
from fastprop.nn.activations import ACTIVATIONS

pytestmark = pytest.mark.peer
TOLERANCE = 1e-6
EXACT = 1e-13  # in float64, but for gelu, whose error function onnxruntime has in float32 alone


@pytest.fixture(scope="module")
def onnx():
    return pytest.importorskip("onnx", reason="the `peers` extra is not installed")


@pytest.fixture(scope="module")
def run():
    """Return a function that computes a model's outputs for X with onnxruntime."""
    runtime = pytest.importorskip("onnxruntime", reason="the `peers` extra is not installed")

    def outputs(model, X):
        serialized = model if isinstance(model, bytes) else model.SerializeToString()
        session = runtime.InferenceSession(serialized, providers=["CPUExecutionProvider"])
        return session.run(None, {"X": X})[0]

    return outputs


@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predicts_the_same(onnx, run, name, dtype):
    net = bridge_cases.network(name, dtype)
    model = net.to_onnx()
    exact = dtype == "float64" and name != "activation gelu"
    for count in (30, 1):
        X = bridge_cases.rows(net, count)
        bridge_cases.assert_close(run(model, X), net, X, EXACT if exact else TOLERANCE)


@pytest.mark.parametrize("layer", [fp.LayerNorm(epsilon=1e-5), fp.BatchNorm(epsilon=1e-5)])
def test_epsilon_in_float64(onnx, run, layer):
    """Epsilon is exact where the variance is 0; the attribute of ONNX's node is a float32."""
    net = fp.Network([3, layer, 2], dtype="float64", seed=0)
    net.state[3:] = 0
    X = 1e-4 * bridge_cases.rows(net)
    bridge_cases.assert_close(run(net.to_onnx(), X), net, X, EXACT)


@settings(max_examples=50)
@given(
    widths=strategies.widths(), activation=strategies.activations(), dtype=strategies.dtypes(), rows=strategies.rows()
)
def test_any_shape(onnx, run, widths, activation, dtype, rows):
    net = fp.Network(widths, activation=activation, dtype=dtype, seed=0)
    X = bridge_cases.rows(net, rows)
    bridge_cases.assert_close(run(net.to_onnx(), X), net, X, TOLERANCE)


def test_a_wide_network(onnx, run):
    """In float32 it is as close to the exact outputs as fastprop; in float64 both are exact."""
    wide = fp.Network([784, fp.Dense(256, "tanh"), fp.Dense(128, "silu"), 10], dtype="float64", seed=0)
    net = fp.Network([784, fp.Dense(256, "tanh"), fp.Dense(128, "silu"), 10], seed=0)
    wide.parameters = net.parameters
    X = np.random.default_rng(0).random((50, 784), dtype=np.float32)
    exact = wide(X)
    bridge_cases.assert_close(run(wide.to_onnx(), X.astype("float64")), wide, X, 1e-13)
    assert np.abs(run(net.to_onnx(), X) - exact).max() < 2 * np.abs(net(X) - exact).max()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out(onnx, run, activation, dtype):
    """The export is right where an exponential overflows or vanishes."""
    net = fp.Network([1, fp.Dense(1, activation)], dtype=dtype, seed=0)
    net.parameters = [1.0, 0.0]
    X = np.array([[-1e4], [-95.0], [-17.0], [-1e-6], [0.0], [1e-6], [17.0], [95.0], [1e4]], dtype)
    if activation == "sin":
        X = np.clip(X, -1, 1)
    np.testing.assert_allclose(run(net.to_onnx(), X), net(X), rtol=2e-6, atol=2e-6)


def test_the_file_and_its_metadata(onnx, run, tmp_path):
    net = fp.Network([4, 5, 2], seed=0)
    path = tmp_path / "model.onnx"
    model = fp.to_onnx(net, path)
    assert path.read_bytes() == model.SerializeToString()
    read = onnx.load(path)
    onnx.checker.check_model(read, full_check=True)
    assert read.producer_name == "fastprop" and read.producer_version == fp.__version__
    assert json.loads(read.metadata_props[0].value) == net.describe()
    assert read.opset_import[0].version == onnx_export.OPSET
    (X,), (Y,) = read.graph.input, read.graph.output
    assert (X.name, Y.name) == ("X", "Y")
    assert X.type.tensor_type.shape.dim[1].dim_value == 4 and Y.type.tensor_type.shape.dim[1].dim_value == 2
    rows = np.ones((3, 4), np.float32)
    bridge_cases.assert_close(run(path.read_bytes(), rows), net, rows, TOLERANCE)


def test_categories_outside_their_range_are_refused(onnx, run):
    net = fp.Network([2, fp.Embedding({1: (3, 2)}), 1], seed=0)
    with pytest.raises(Exception, match="out of data bounds"):
        run(net.to_onnx(), np.array([[0, 3]], np.float32))


def test_errors(onnx, tmp_path):
    net = fp.Network([2, 1])
    with pytest.raises(FileNotFoundError, match="its directory does not exist"):
        net.to_onnx(tmp_path / "missing" / "model.onnx")
    with pytest.raises(IsADirectoryError):
        net.to_onnx(tmp_path)
    with pytest.raises(TypeError, match="takes a fastprop.Network"):
        fp.to_onnx("model")
