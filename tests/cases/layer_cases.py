"""Networks with each kind of layer in every position that it may take, and inputs for them."""

import numpy as np

import fastprop as fp

# the edges of three columns; those of MANY are so many that a Dense of 16 outputs is computed without the encoding
EDGES = ((-2.0, -0.5, 0.1, 2.5), (-3.0, 3.0), (-1.0, 0.2, 1.5))
MANY = tuple(tuple(float(x) for x in np.linspace(-3, 3, n) ** 3 / 9) for n in (41, 60, 33))

# kind -> networks of 3 inputs with such a layer in every position that it may take, and with each of its choices
EXAMPLES = {
    "dense": [[5, 4], [fp.Dense(6, "tanh", bias=False), 4], [fp.Dense(33, "tanh"), fp.Dense(4, bias=False)]],
    "activation": [[fp.Activation("tanh"), 4], [5, fp.Activation("sigmoid"), fp.Activation("tanh"), 4]],
    "dropout": [[fp.Dropout(0.4), 4], [fp.Dense(9, "tanh"), fp.Dropout(0.3), fp.Dense(7, "tanh"), fp.Dropout(0.1), 4]],
    "batch_norm": [
        [fp.BatchNorm(), 4],
        [fp.Dense(7), fp.BatchNorm("tanh"), fp.Dense(17), fp.BatchNorm(epsilon=0.1), fp.Activation("sigmoid"), 4],
        [5, fp.BatchNorm(), fp.BatchNorm("tanh"), 4, fp.BatchNorm()],
    ],
    "layer_norm": [
        [fp.LayerNorm(), 4],
        [fp.Dense(19), fp.LayerNorm("tanh"), fp.Dense(4, "tanh"), fp.LayerNorm(epsilon=0.1)],
    ],
    "scale": [[fp.Scale(), 4], [fp.Scale(bias=True), fp.Dense(4, "tanh"), fp.Scale("sigmoid", bias=True)]],
    "residual": [
        [fp.Residual([5, 3]), 4],
        [fp.Dense(6, "tanh"), fp.Residual([fp.BatchNorm("tanh"), fp.Dense(6)], "tanh"), fp.Activation("sigmoid"), 4],
        [fp.Dense(6), fp.Residual([fp.Residual([fp.Dense(6, "tanh")], "tanh"), fp.Dropout(0.2), 6]), 4],
        [4, fp.Residual([fp.Dropout(0.2)])],
    ],
    "embedding": [[fp.Embedding({1: (3, 4)}), fp.Dense(5, "tanh"), 4], [fp.Embedding({0: (2, 1), 2: (5, 3)}), 4]],
    "piecewise_linear": [
        [fp.PiecewiseLinear(EDGES), fp.Dense(5, "tanh"), 4],
        [fp.PiecewiseLinear(EDGES, 3, "tanh"), 4],
        [fp.PiecewiseLinear(EDGES, 3, "tanh", linear=True), 4],
        [fp.PiecewiseLinear(MANY), fp.Dense(21, "tanh"), 4],
    ],
    "periodic": [
        [fp.Periodic(4, sigma=0.3), fp.Dense(5, "tanh"), 4],
        [fp.Periodic(3, sigma=0.3, width=2, activation="tanh"), 4],
    ],
    "by_column": [
        [
            fp.ByColumn([(fp.Embedding({0: (3, 4)}), [0]), (fp.PiecewiseLinear(MANY[:1]), [2])]),
            fp.Dense(33, "silu"),
            fp.Dropout(0.1),
            4,
        ],
        [fp.ByColumn([(fp.PiecewiseLinear(EDGES[:1]), [2]), (fp.Embedding({0: (3, 4)}), [0])]), fp.Dense(5, "tanh"), 4],
        [fp.ByColumn([(fp.Periodic(3, sigma=0.3, width=2, activation="silu"), [2, 0])])],
        [
            fp.ByColumn(
                [
                    (fp.Embedding({0: (2, 1)}), [1]),
                    (fp.Periodic(2, sigma=0.3), [0]),
                    (fp.PiecewiseLinear(EDGES[:1], 2, "prelu", linear=True), [2]),
                ]
            ),
            fp.BatchNorm("tanh"),
            4,
        ],
    ],
}
ROWS = 6


def inputs(net, rng, rows=ROWS):
    """Return inputs, (rows, n_inputs): random numbers, and categories in the columns where the network reads them."""
    X = rng.normal(size=(rows, net.n_inputs))
    for column, categories in net.layers[0].categories:
        X[:, column] = rng.integers(categories, size=rows)
    return X
