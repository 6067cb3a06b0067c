"""Networks on which exports are tested: every kind of layer, every activation, members."""

import numpy as np
import strategies
from layer_cases import EDGES, EXAMPLES, inputs

import fastprop as fp
from fastprop.nn.layers import AS_OPERATIONS

MEMBERS = {
    "plain": [5, fp.Dropout(0.1), fp.Dense(4, "prelu"), fp.Activation("tanh"), 2],
    "no bias": [fp.Dense(5, "tanh", bias=False), fp.Dense(2, "softmax", bias=False)],
    "embedding": [fp.Embedding({1: (3, 4)}), 5, 2],
    "piecewise": [fp.PiecewiseLinear(EDGES, 3, "sigmoid"), 5, 2],
    "by column": [fp.ByColumn([(fp.PiecewiseLinear(EDGES[:2]), [2, 0]), (fp.Embedding({0: (3, 4)}), [1])]), 5, 2],
}

# name -> layers, members
NETWORKS = (
    {f"{kind} {k}": (layers, 1) for kind, examples in EXAMPLES.items() for k, layers in enumerate(examples)}
    | {f"activation {a}": ([fp.Dense(17, a), fp.Dense(9, a), 2], 1) for a in [*strategies.GENTLE, *AS_OPERATIONS]}
    | {f"members, {name}": (layers, 3) for name, layers in MEMBERS.items()}
)


def network(name, dtype):
    """Return one of these networks, with parameters and running statistics that differ from their initial values."""
    layers, members = NETWORKS[name]
    net = fp.Network([3, *layers], dtype=dtype, seed=0, members=members)
    rng = np.random.default_rng(1)
    net.parameters[:] = rng.normal(0, 0.5, net.n_parameters)
    X = inputs(net, rng, 40)
    net.forward(2 * X if not net.layers[0].categories else X, training=True)  # updates the running statistics
    return net


def rows(net, count=30):
    """Return inputs of the network's dtype."""
    return inputs(net, np.random.default_rng(2), count).astype(net.dtype)


def assert_close(outputs, net, X, tolerance):
    """Assert that the outputs are those of net(X), up to a tolerance relative to the largest number."""
    wanted = net(X)
    assert outputs.dtype == wanted.dtype and outputs.shape == wanted.shape
    error, largest = np.max(np.abs(outputs - wanted)), np.max(np.abs(wanted))
    assert error <= tolerance * largest, f"an error of {error:.1e} beside {largest:.1e}, wanted {tolerance:.0e} of it"
