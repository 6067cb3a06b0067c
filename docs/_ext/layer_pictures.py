"""Draws what each kind of layer computes: inputs, parameters and outputs of a few rows, computed by the engine.

Outlined is what one of the outputs depends on. That is found by changing each number and looking at that output, so
the picture of a new kind of layer needs no more than an example here.
"""

import numpy as np

import fastprop as fp
from drawing import CELL, Chart, grid, svg, text
from generated import write

ROWS = 3
# kind of layer -> a network of it that is small enough to be drawn with every number
EXAMPLES = {
    "dense": [3, fp.Dense(2, "tanh")],
    "activation": [3, fp.Activation("relu")],
    "dropout": [4, fp.Dropout(0.5), fp.Activation("identity")],
    "batch_norm": [3, fp.BatchNorm()],
    "layer_norm": [4, fp.LayerNorm()],
    "scale": [3, fp.Scale(bias=True)],
    "residual": [2, fp.Residual([fp.Dense(3, "tanh"), 2])],
    "embedding": [3, fp.Embedding({0: (4, 2)})],
    "piecewise_linear": [2, fp.PiecewiseLinear([[-2, -0.5, 0.5, 2], [-2, 0, 2]])],
    "periodic": [2, fp.Periodic(2, sigma=0.3)],
    "by_column": [3, fp.ByColumn([(fp.PiecewiseLinear([[-2, 0, 2]]), [1]), (fp.Embedding({0: (4, 2)}), [0])])],
}
# what the weights of an operation are called; those of the others are W
NAMES = {"embed": "table", "periodic": "f", "prelu": "slope"}
GAP, TOP = 44, 44  # pixels between two grids, and above them
THUMBNAIL_CELL = (18, 14)
KINDS = ("first", "second", "third", "fourth")  # of the curves of one column


def example(kind):
    """Return the network of a kind of layer, and its inputs.

    Raises
    ------
    KeyError
        If there is no example of this kind.
    """
    if kind not in EXAMPLES:
        raise KeyError(f"docs/_ext/layer_pictures.py has no example of the kind of layer {kind!r}; add one")
    net = fp.Network(EXAMPLES[kind], dtype="float64", seed=1)
    random = np.random.default_rng(3)
    if np.isin(net.parameters, (0, 1)).all():  # weights that start at 1 would show nothing
        net.parameters[:] = random.uniform(-1, 1, net.n_parameters).round(1)
    X = random.normal(size=(ROWS, net.n_inputs)).round(1)
    for column, categories in net.layers[0].categories:
        X[:, column] = np.arange(ROWS) % (categories - 1) + 1
    return net, X


def parameters(net):
    """Yield the name and the matrix, a view, of each array of parameters, with "" for the name of a part of it."""
    several = len(net.weights) > 1
    for number, (operation, W, b) in enumerate(zip(_with_parameters(net), net.weights, net.biases), start=1):
        name = NAMES.get(operation.kind, "W" if W.ndim > 1 else "w") + (str(number) if several else "")
        if operation.kind == "embed":
            sizes = operation.fields["sizes"].reshape(2, -1)
            (column,) = np.flatnonzero(sizes[0])
            yield name, W.reshape(sizes[0, column], sizes[1, column])
        elif W.size:
            yield name, W.reshape(-1, W.shape[-1])
        if b.size:
            yield "b" + (str(number) if several else ""), b.reshape(1, -1)


def _with_parameters(net):
    return [operation for operation in net.operations if operation.weight is not None]


def _outputs(net, X):
    """Return the outputs as they are in training, (rows, n_outputs)."""
    return net.copy().forward(X, training=True).copy()


def _depends(net, X, changed, where, limit):
    """Return which outputs change, (rows, n_outputs), when a number of X or of the parameters changes."""
    before, value = _outputs(net, X), changed[where]
    changed[where] = value - 1 if value == limit else value + (1 if limit else 0.25)
    after = _outputs(net, X)
    changed[where] = value
    return before != after


def dependences(net, X):
    """Return the row and column of an output, and which numbers of X and of each array of parameters it depends on."""
    limits = dict(net.layers[0].categories)  # a category changes to another one

    def of(array, columns):
        found = np.zeros((*array.shape, *_outputs(net, X).shape), bool)
        for where in np.ndindex(array.shape):
            limit = columns[where[1]] - 1 if where[1] in columns else None
            found[where] = _depends(net, X, array, where, limit)
        return found

    all_of = [of(X, limits), *(of(array, {}) for _, array in parameters(net))]
    counts = sum(each.sum(axis=(0, 1)) for each in all_of)
    row, column = np.unravel_index(counts.argmax(), counts.shape)  # one that shows most
    return row, column, [each[:, :, row, column] for each in all_of]


def draw(kind):
    """Draw a kind of layer, and its thumbnail; return the facts of its table: [what, shape, meaning]."""
    net, X = example(kind)
    A = _outputs(net, X)
    row, column, marks = dependences(net, X)
    arrays = list(parameters(net))
    own = np.zeros(A.shape, bool)
    own[row, column] = True
    label = (
        f"{net.layers[0]!r}: {ROWS} rows of {net.n_inputs} inputs, "
        + "".join(f"{name} {shape(array)}, " for name, array in arrays)
        + f"and {A.shape[1]} outputs; outlined is what output {column} of row {row} depends on"
    )
    for cell, name, numbers in ((CELL, kind, True), (THUMBNAIL_CELL, f"{kind}_thumbnail", False)):
        write(f"layers/{name}.svg", _picture(net, X, A, arrays, marks, own, cell, numbers, label))
    return [
        ["inputs x", f"(m, {net.n_inputs})"],
        *([name, shape(array)] for name, array in arrays),
        ["outputs a", f"(m, {A.shape[1]})"],
        ["parameters", str(net.n_parameters)],
    ]


def shape(array):
    """Return the shape of an array as text."""
    return " x ".join(map(str, array.shape))


def _picture(net, X, A, arrays, marks, own, cell, numbers, label):
    gap, top = (GAP, TOP) if numbers else (GAP // 2, 6)
    tall = max(ROWS, sum(len(each) for _, each in arrays)) * cell[1] + max(len(arrays) - 1, 0) * top
    parts, x = [], 4
    center = top + tall / 2

    def middle(rows):
        return center - rows * cell[1] / 2

    parts.append(grid(x, middle(ROWS), X, name="x", marked=marks[0], numbers=numbers, cell=cell))
    x += X.shape[1] * cell[0]
    if arrays:
        widest = max(each.shape[1] for _, each in arrays) * cell[0]
        total = sum(len(each) for _, each in arrays) * cell[1] + (len(arrays) - 1) * top
        y = top + (tall - total) / 2
        x += gap
        for (name, each), marked in zip(arrays, marks[1:]):
            inset = x + (widest - each.shape[1] * cell[0]) / 2
            parts.append(grid(inset, y, each, name=name, marked=marked, numbers=numbers, cell=cell))
            y += len(each) * cell[1] + top
        x += widest
    parts.append(text(x + gap / 2, center + 5, "\N{RIGHTWARDS ARROW}", "head"))
    x += gap
    parts.append(grid(x, middle(ROWS), A, name="a", marked=own, numbers=numbers, cell=cell))
    x += A.shape[1] * cell[0] + 4
    if any(operation.kind == "add" for operation in net.operations):  # past the block, the inputs are added as they are
        start, end, above = 4 + X.shape[1] * cell[0] / 2, x - 4 - A.shape[1] * cell[0] / 2, 4
        low = middle(ROWS) - (24 if numbers else 1)
        parts.append(f'<path d="M{start:g} {low:g}V{above}H{end:g}V{low:g}" class="ink"/>')
        parts += [text(end + 16, low - 4, "+ x", "head")] * numbers
    return svg((x, tall + top + 6), label if numbers else "", parts, "plot natural")


def encoding(kind):
    """Draw the outputs of one column over its number, if the layer encodes numbers; return whether it does."""
    if kind not in ("piecewise_linear", "periodic"):
        return False
    layer = EXAMPLES[kind][1]
    single = fp.PiecewiseLinear(layer.edges[:1]) if kind == "piecewise_linear" else layer
    x = np.linspace(-3, 3, 241)
    A = fp.Network([1, single], dtype="float64", seed=1)(x.reshape(-1, 1))
    margin = 0.05 * (A.max() - A.min())
    chart = Chart((-3, 3), (A.min() - margin, A.max() + margin), xlabel="x")
    for number, (values, style) in enumerate(zip(A.T, KINDS)):
        chart.curve(x, values, style, f"a{number}")
    write(f"layers/{kind}_curves.svg", chart.svg(f"The outputs of {single!r} for one column, over its number x"))
    return True


