"""Network: the layers and parameters of a multi-layer perceptron, and its forward and backward passes."""

import numpy as np

from fastprop import _validation
from fastprop._core._engine import Engine
from fastprop._util.lazy import LazyModule
from fastprop.data import arrays as data
from fastprop.data.targets import Examples, check_last_layer, check_targets, check_weights
from fastprop.nn import custom_loss, summary
from fastprop.nn import layers as _layers
from fastprop.nn import tabm as members
from fastprop.nn._conveniences import Conveniences
from fastprop.nn.embeddings import check_edges
from fastprop.nn.layers import Dense, Layer
from fastprop.nn.operations import Operation, output_range

USED_ELSEWHERE = (
    "another thread used this network between forward() and backward(); give each thread a network of its own, "
    "or hold a lock of your own around the two"
)

random = LazyModule("numpy.random")


class Network(Conveniences):
    """A multi-layer perceptron.

    Parameters
    ----------
    layers : sequence
        The number of inputs, and then the layers. An int is a ``Dense`` layer of that width with `activation`, or
        without activation if it is the last one.
    activation : str or Activation, default "relu"
        The activation of the hidden layers that are given as ints.
    dtype : "float32" (default) or "float64"
        The dtype of parameters, activations and outputs.
    seed : int, optional
        The seed of the initial weights, and of a Trainer's shuffling and dropout if that has no seed of its own. The
        same seed gives the same numbers. By default a seed is drawn at random; ``seed`` has it.
    members : int, default 1
        The number of members: networks that share their weights (TabM, see ``fastprop.nn.tabm``). Each member is
        trained; the outputs are the mean over members.

    Attributes
    ----------
    layers : tuple of Layer
    n_inputs, n_outputs, n_parameters, n_members : int
    dtype : numpy.dtype
    seed : int
    parameters, gradient : ndarray, (n_parameters,)
        Flat and writable arrays with W[1], b[1], W[2], b[2], ..., where each W (n_in, n_out) is in row-major order.
    state : ndarray
        A flat and writable array of the numbers that are not trained.
    weights, biases : tuple of ndarray
        Views into ``parameters``, for each layer (or operation of a layer) that has weights: (n_in, n_out) and (n_out,)
        for a ``Dense`` layer. If a layer has no bias, its bias has size 0.

    Raises
    ------
    ValueError, TypeError
        If a width, name, dtype or seed is wrong.

    Examples
    --------
    >>> net = Network([784, 128, 10], activation="relu", seed=0)
    >>> net.weights[0].shape
    (784, 128)
    """

    @_validation.no_other_arguments()
    def __init__(
        self, layers, *, activation="relu", dtype="float32", seed: int | None = None, members: int = 1
    ):
        n_inputs, parsed = _layers.parse(layers, _layers.parse_activation(activation))
        members = _validation.count("members", members)
        self._build(n_inputs, parsed, _validation.dtype(dtype), _validation.seed(seed), members)
        self._initialize()

    def _build(
        self,
        n_inputs: int,
        layers: tuple[Layer, ...],
        dtype: np.dtype,
        seed: int,
        n_members: int,
        n_bytes: int | None = None,
    ) -> None:
        self.n_inputs, self.layers, self.dtype, self.seed, self.n_members = n_inputs, layers, dtype, seed, n_members
        # `operations`, `output_range` and `engine` are internal, like the methods whose docstrings say so
        if n_members > 1:
            self.operations = members.operations(n_inputs, layers, n_members)
        else:
            self.operations = _layers.chain(n_inputs, layers, first=True)
        self.n_outputs = self.operations[-1].n_out // n_members
        self.output_range = output_range(self.operations)
        self.n_parameters = sum(operation.n_weights + operation.n_biases for operation in self.operations)
        n_state = sum(_size(operation.state) for operation in self.operations)
        if n_bytes is not None and (self.n_parameters + n_state) * dtype.itemsize != n_bytes:
            raise ValueError(
                f"it does not hold the arrays of a network of {self.n_parameters} parameters and {n_state} numbers of "
                f"state in {dtype}: got {n_bytes} bytes"
            )
        self._parameters = _aligned_zeros(self.n_parameters, dtype)
        self._state = _aligned_zeros(n_state, dtype)
        self.weights, self.biases = views(self._parameters, self.operations)
        self.engine = self.make_engine()

    def make_engine(self) -> Engine:
        """Internal: return an engine for the parameters and the state, with a gradient and memory of its own."""
        return Engine(
            self.dtype.name,
            self.n_inputs,
            self.n_members,
            [operation.specification(place) for place, operation in enumerate(self.operations)],
            self._parameters,
            _aligned_zeros(self.n_parameters, self.dtype),
            self._state,
        )

    def _initialize(self) -> None:
        generator = random.default_rng(self.seed)
        learned = [operation for operation in self.operations if operation.n_weights]
        for operation, weight in zip(learned, self.weights):
            weight[...] = 1.0 if operation.draw is None else operation.draw(generator).reshape(weight.shape)
        start = 0
        for operation in self.operations:
            if operation.state is not None:
                self._state[start : start + operation.state.size] = operation.state.ravel()
                start += operation.state.size
            if operation.kind == "piecewise":
                check_edges(operation, self.dtype)

    # The engine has the addresses of these arrays. An assignment, as in `net.parameters -= rate * gradient`, therefore
    # copies into them, between two steps of a training that may run in another thread.

    @property
    def parameters(self) -> np.ndarray:
        """All weights and biases, (n_parameters,)."""
        return self._parameters

    @parameters.setter
    def parameters(self, values) -> None:
        with self.engine.locked():
            _validation.copy_into(self._parameters, "parameters", values)

    @property
    def state(self) -> np.ndarray:
        """The numbers that are not trained: running statistics of ``BatchNorm``, edges of ``PiecewiseLinear``."""
        return self._state

    @state.setter
    def state(self, values) -> None:
        with self.engine.locked():
            _validation.copy_into(self._state, "state", values)

    @property
    def gradient(self) -> np.ndarray:
        """The last gradient, in the order of ``parameters``.

        It is computed by ``value_and_gradient``, by ``backward``, or for the last step of a trainer's ``step`` or
        ``epoch``. Each thread that computes or assigns a gradient has an array of its own. Any other thread sees the
        last gradient of all threads.
        """
        return self.engine.gradient

    @gradient.setter
    def gradient(self, values) -> None:
        self.engine.gradient = _validation.like(self.gradient, "gradient", values)

    def snapshot(self) -> tuple[np.ndarray, np.ndarray]:
        """Internal: return copies of parameters and state, taken between two steps of a training."""
        with self.engine.locked():
            return self._parameters.copy(), self._state.copy()

    def restore(self, parameters: np.ndarray, state: np.ndarray) -> None:
        """Internal: write what ``snapshot`` returned, between two steps of a training."""
        with self.engine.locked():
            self._parameters[:], self._state[:] = parameters, state

    # ---- outputs and gradients ----

    def __call__(self, X) -> np.ndarray:
        """Return the network's outputs for X, in prediction mode.

        Parameters
        ----------
        X : array_like, (rows, n_inputs) or (n_inputs,)

        Returns
        -------
        ndarray of ``dtype``, (rows, n_outputs) or (n_outputs,)

        Raises
        ------
        ValueError, TypeError
            If X has another shape, is not numeric, or has NaN or infinity.
        """
        outputs = None if self.layers[0].categories else self.engine.try_forward(X)
        if outputs is None and data.streams(X, self.dtype):
            with self.engine.exclusive():  # so that all batches use the same parameters
                return np.concatenate([self(x) for x in data.converted(self, X)])
        if outputs is None:
            x = self.prepare_inputs("X", X, row=True)
            outputs = np.empty((*x.shape[:-1], self.n_outputs * self.n_members), self.dtype)
            self.engine.forward(x, outputs)
        return outputs if self.n_members == 1 else members.mean(outputs, self.n_members)

    def members(self, X) -> np.ndarray:
        """Return the outputs of each member; their mean over members is the output of the network.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)

        Returns
        -------
        ndarray of ``dtype``, (rows, n_members, n_outputs)
        """
        x = self.prepare_inputs("X", X)
        outputs = np.empty((len(x), self.n_members, self.n_outputs), self.dtype)
        self.engine.forward(x, outputs)
        return outputs

    def prepare_inputs(self, what: str, X, *, row: bool = False) -> np.ndarray:
        """Internal: check X, called `what` in messages; return (rows, n_inputs) of ``dtype`` as the engine takes it.

        With `row`, a single row (n_inputs,) stays one.
        """
        X = data.plain(what, X, self.dtype)
        x = _validation.matrix(what, X, self.n_inputs, self.engine, self.dtype, row=row)
        if self.layers[0].categories:
            self.layers[0].check(what, np.atleast_2d(x))
        return x

    def value_and_gradient(
        self, X, y, *, loss, sample_weight=None, training: bool = False, step: int = 0
    ) -> tuple[float, np.ndarray]:
        """Return the cost over all rows of X, and its gradient with respect to ``parameters``.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)
        y : array_like
            The targets: (rows, n_outputs), or (rows,) for one output or for class labels.
        loss : str, Loss or callable
            A name of ``fastprop.losses.LOSSES``, or a loss with hyperparameters, as ``fp.losses.huber(delta=0.5)``, or
            your own function (Y, y) -> (cost, dY) of the outputs (rows, n_outputs) and the targets y as given. Its cost
            is a mean over rows, and dY is the derivative of this cost with respect to Y.
        sample_weight : array_like, (rows,), optional
            A non-negative weight for each row.
        training : bool, default False
            Whether ``Dropout`` and ``BatchNorm`` compute what they do in training.
        step : int, default 0
            The step whose dropout mask is drawn.

        Returns
        -------
        cost : float
            The mean over rows: the sum of weight times loss, divided by the sum of weights.
        gradient : ndarray, (n_parameters,)
            A copy of ``net.gradient``.

        Raises
        ------
        ValueError, TypeError
            If X, y, loss or sample_weight is wrong.
        """
        gradient = np.empty_like(self.gradient)
        options = _validation.flag("training", training), self.seed, _validation.whole("step", step)
        return self._cost(X, y, loss, sample_weight, gradient, *options), gradient

    def _cost(self, X, y, loss, sample_weight, gradient: np.ndarray | None, *options) -> float:
        chosen = custom_loss.parse(loss)
        return self.cost_of_examples(self.prepare_examples(X, y, sample_weight, chosen), chosen, gradient, *options)

    def cost_of_examples(self, examples: Examples, loss, gradient: np.ndarray | None, *options) -> float:
        """Internal: return the cost over checked rows; write its gradient into `gradient` unless that is None."""
        if isinstance(loss, custom_loss.OwnLoss):
            cost = custom_loss.cost_of(self, loss, *examples[:2], gradient, *options)
        else:
            cost = self.engine.cost(*examples, loss.compiled(self.n_outputs), gradient, *options)
        if cost != cost:
            self.recheck_examples(examples, loss)
        return cost

    def recheck_examples(self, examples: Examples, loss) -> None:
        """Internal: after a cost of NaN, raise an error if rows were changed in place after they were checked.

        The engine cannot raise an error; it makes the cost NaN if an index is out of range.
        """
        x, y, labels, weight = examples
        try:
            self.prepare_inputs("X", x)
            check_targets(y if labels is None else labels, len(x), self.n_outputs, loss, self.engine, self.dtype)
            if weight is not None:
                _validation.finite("sample_weight", weight, weight, self.engine)
        except ValueError as error:
            raise ValueError(f"{error} (it was changed while it was in use)") from None

    def prepare_examples(
        self, X, y, weight, loss, names: tuple[str, str, str] = ("X", "y", "sample_weight"), *, partial: bool = False
    ) -> Examples:
        """Internal: check X, y and weights; return them as the engine takes them: x, y or labels, and weights.

        If they are `partial`, those of one rank of several, there may be no rows, or none with a positive weight.
        """
        check_last_layer(loss, self)
        if partial and np.shape(X)[:1] == (0,):
            return self.no_examples(names[0], X, y, loss)
        x = self.prepare_inputs(names[0], X)
        y = data.plain(names[1], y, self.dtype, targets=True)
        target = check_targets(y, len(x), self.n_outputs, loss, self.engine, self.dtype, names[1])
        weight = data.plain(names[2], weight, self.dtype, weights=True)
        return x, *target, check_weights(weight, len(x), loss, self.engine, self.dtype, names[2], partial=partial)

    def no_examples(self, what: str, X, y, loss) -> Examples:
        """Internal: return the examples of no rows, for a rank that has none."""
        if np.ndim(X) == 2 and np.shape(X)[1] != self.n_inputs:
            raise ValueError(f"{what} must have shape (0, {self.n_inputs}), got {np.shape(X)}; check its columns")
        x = np.empty((0, self.n_inputs), self.dtype)
        if loss.targets == "own":
            return x, np.asarray(y), None, None
        if loss.targets == "classes":
            return x, None, np.empty(0, np.int64), None
        return x, np.empty((0, self.n_outputs // loss.outputs), self.dtype), None, None

    def forward(self, X, *, training: bool = False, step: int = 0) -> np.ndarray:
        """Return the outputs for X, (rows, n_outputs), and save what ``backward`` needs, for a loss of your own.

        If the network has members, the outputs are the mean over members. `training` and `step` are those of
        ``value_and_gradient``.

        Raises
        ------
        ValueError, TypeError
            If X is wrong.
        """
        x = self.prepare_inputs("X", X)
        outputs = np.empty((len(x), self.n_outputs * self.n_members), self.dtype)
        options = _validation.flag("training", training), self.seed, _validation.whole("step", step)
        self.engine.forward_and_save(x, outputs, *options)
        return outputs if self.n_members == 1 else members.mean(outputs, self.n_members)

    def backward(self, dY) -> np.ndarray:
        """Run the backward pass for the rows of the last ``forward``, and write ``gradient``.

        Parameters
        ----------
        dY : array_like, (rows, n_outputs)
            The derivative of the cost with respect to the outputs. It is not divided by the number of rows; if the
            cost is a mean over rows, dY must contain that factor.

        Returns
        -------
        ndarray, (rows, n_inputs)
            The derivative of the cost with respect to X.

        Raises
        ------
        RuntimeError
            If this thread did not call ``forward`` before, or the network was used for something else since then.
        ValueError, TypeError
            If dY is wrong.
        """
        rows = self.engine.rows_saved
        if not rows and self.engine.used_elsewhere:
            raise RuntimeError(USED_ELSEWHERE)
        if not rows:
            raise RuntimeError(
                "backward() needs the forward(X) that it goes back through, right before it; call net.forward(X) first"
            )
        dy = _validation.matrix("dY", dY, self.n_outputs, self.engine, self.dtype)
        if dy.shape[0] != rows:
            raise ValueError(
                f"dY must have shape ({rows}, {self.n_outputs}) like the outputs of forward(X), got {dy.shape}; "
                "give a row for each row of X"
            )
        return self.backward_checked(dy)

    def backward_checked(self, dy: np.ndarray) -> np.ndarray:
        """Internal: ``backward`` without the checks, for a dY (rows, n_outputs) that the engine takes as it is."""
        if self.n_members > 1:  # the derivative of the mean over members
            dy = np.tile(dy / self.n_members, self.n_members)
        dx = np.empty((len(dy), self.n_inputs), self.dtype)
        if not self.engine.backward(dy, dx):
            raise RuntimeError(USED_ELSEWHERE)
        return dx

    # ---- description ----

    def describe(self) -> dict:
        """Return everything but parameters and state, as a JSON-able dict for ``from_description``."""
        return {
            "n_inputs": self.n_inputs,
            "layers": [layer.describe() for layer in self.layers],
            "dtype": self.dtype.name,
            "seed": self.seed,
            "members": self.n_members,
        }

    @classmethod
    def from_description(cls, description: dict, *, n_bytes: int | None = None) -> "Network":
        """Make a network from its description, with all parameters and state zero.

        Parameters
        ----------
        description : dict
            A description as ``describe`` returns it.
        n_bytes : int, optional
            The number of bytes of parameters and state that the network must have.

        Raises
        ------
        ValueError, TypeError
            If the description is not as ``describe`` returns it, or the network has another size.
        """
        if not isinstance(description, dict):
            raise TypeError(f"a network is described by a dict as describe() gives it, got {description!r:.200}")
        try:
            given = description["n_inputs"], description["dtype"], description["seed"]
            listed = description["layers"]
        except KeyError as missing:
            raise ValueError(f"the description of a network lacks {missing}; use what describe() gives") from None
        if not isinstance(listed, list):
            raise TypeError(f"the layers of a description must be a list, got {listed!r:.200}; use describe()")
        described = [_layers.from_description(layer) for layer in listed]
        n_inputs, parsed = _layers.parse([given[0], *described], "identity")
        count = _validation.count("members", description.get("members", 1))
        network = cls.__new__(cls)
        cls._build(network, n_inputs, parsed, _validation.dtype(given[1]), _validation.seed(given[2]), count, n_bytes)
        return network

    def __getstate__(self) -> dict:
        parameters, state = self.snapshot()
        return {"description": self.describe(), "parameters": parameters, "state": state}

    def __setstate__(self, given: dict) -> None:
        """Support copy, pickle and skops, which make a network without ``__init__``."""
        network = self.from_description(given["description"])
        network.restore(given["parameters"], given["state"])
        vars(self).update(vars(network))

    def __repr__(self) -> str:
        dense = [layer for layer in self.layers if isinstance(layer, Dense)]
        if len(dense) == len(self.layers):
            widths = "-".join(map(str, [self.n_inputs, *(layer.n_outputs for layer in dense)]))
            listed = f"{widths} ({', '.join(str(layer.activation) for layer in dense)})"
        else:
            listed = " -> ".join(map(str, [self.n_inputs, *self.layers]))
        of = f" of {self.n_members} members" if self.n_members > 1 else ""
        return f"<Network{of} {listed}, {self.n_parameters} parameters, {self.dtype.name}>"

    def _repr_html_(self) -> str:
        return summary.html(self)


def _aligned_zeros(n: int, dtype: np.dtype) -> np.ndarray:
    """Return zeros that start at a cache line, where vector loads are fastest."""
    try:
        raw = np.zeros(n * dtype.itemsize + 64, np.uint8)
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(f"no memory for {n} parameters of {dtype.itemsize} bytes; use narrower layers") from None
    start = -raw.ctypes.data % 64
    return raw[start : start + n * dtype.itemsize].view(dtype)


def _size(array: np.ndarray | None) -> int:
    return 0 if array is None else array.size


def views(flat: np.ndarray, operations: list[Operation]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return the weights and the biases of each operation that has any, as views into a flat vector of parameters."""
    weights, biases, start = [], [], 0
    for operation in operations:
        if operation.weight is not None:
            end = start + operation.n_weights
            weights.append(flat[start:end].reshape(operation.weight))
            start = end + operation.n_biases
            biases.append(flat[end:start])
    return tuple(weights), tuple(biases)
