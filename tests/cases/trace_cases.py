"""Networks whose traces are drawn: small ones of every kind of layer and shape, and a large one."""

import numpy as np
from layer_cases import EDGES, inputs

import fastprop as fp

# name -> the layers after the inputs, the number of inputs, members
NETWORKS = {
    "1-1-1-1": ([1, 1, 1], 1, 1),
    "2-3-1": ([3, 1], 2, 1),
    "4-8-3": ([fp.Dense(8, "tanh"), 3], 4, 1),
    "12-11-2": ([fp.Dense(11, "tanh", bias=False), 2], 12, 1),
    "1-12-12": ([fp.Dense(12, "tanh", bias=False), fp.Dense(12, "tanh", bias=False)], 1, 1),
    "eight layers": ([fp.Dense(3, "tanh") for _ in range(7)] + [1], 3, 1),
    "residual": ([fp.Residual([fp.Dense(4, "tanh"), 3]), 2], 3, 1),
    "two residual blocks": ([fp.Residual([fp.Dense(2, "tanh")]), fp.Residual([fp.Dropout(0.2)]), 1], 2, 1),
    "by column": (
        [fp.ByColumn([(fp.PiecewiseLinear(EDGES[:1]), [2]), (fp.Embedding({0: (3, 4)}), [0])]), fp.Dense(5, "tanh"), 2],
        3,
        1,
    ),
    "embedding": ([fp.Embedding({1: (3, 4)}), fp.Dense(3, "tanh"), 2], 3, 1),
    "piecewise": ([fp.PiecewiseLinear(EDGES), fp.Dense(3, "tanh"), 2], 3, 1),
    "periodic": ([fp.Periodic(2, sigma=0.3), 2], 2, 1),
    "layer norm": ([fp.Dense(3, "tanh"), fp.LayerNorm(), fp.Scale(bias=True), 2], 2, 1),
    "members": ([fp.Dense(2, "prelu"), 2], 2, 3),
    "softmax": ([fp.Dense(3, "tanh"), fp.Dense(3, "softmax")], 2, 1),
    "large": ([500, fp.Residual([fp.Dense(500, "tanh")]), 10], 784, 1),
}


def traced(name, scale=1.0, rows=3):
    """Return a trace of one of these networks; its parameters are random numbers times `scale`."""
    layers, n_inputs, members = NETWORKS[name]
    net = fp.Network([n_inputs, *layers], dtype="float64", seed=0, members=members)
    rng = np.random.default_rng(1)
    net.parameters[:] = scale * rng.normal(0, 0.5, net.n_parameters)
    return fp.trace(net, inputs(net, rng, rows), rng.normal(size=(rows, net.n_outputs)), loss="half_mse")
