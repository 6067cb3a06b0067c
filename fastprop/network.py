"""Network: what a multi-layer perceptron is made of, its parameters, and its forward and backward passes."""

import numpy as np

from fastprop import _targets, _validate
from fastprop import layers as _layers
from fastprop import losses as _losses
from fastprop._engine import Engine
from fastprop.activations import Activation
from fastprop.activations import parse as parse_activation
from fastprop.initializers import INITIALIZERS
from fastprop.layers import Dense


class Network:
    """A multi-layer perceptron.

    Parameters
    ----------
    layers : sequence
        The number of inputs, then the layers: an int is a ``Dense`` layer of that width with `activation` (the last one
        linear), or give ``Dense`` layers.
    activation : str or Activation, default "relu"
        Of the hidden layers given as ints.
    dtype : "float32" (default) or "float64"
        Of parameters, activations and outputs.
    seed : int, optional
        Of the initial weights, and of a Trainer's shuffling where that has no seed of its own. The same seed gives the
        same numbers; without one a fresh seed is drawn, and kept in ``seed``.

    Attributes
    ----------
    layers : tuple of Dense
    n_inputs, n_outputs, n_parameters : int
    dtype : numpy.dtype
    seed : int
    parameters, gradient : ndarray, (n_parameters,)
        Flat and writable, both laid out W[1], b[1], W[2], b[2], ...; each W (n_in, n_out) row by row.
    weights, biases : tuple of ndarray
        Views into ``parameters``, (n_in, n_out) and (n_out,) for each layer.

    Raises
    ------
    ValueError, TypeError
        If a width, name, dtype or seed is wrong; the message says what to use.

    Examples
    --------
    >>> net = Network([784, 128, 10], activation="relu", seed=0)
    >>> net.weights[0].shape
    (784, 128)
    """

    def __init__(self, layers, *, activation: str | Activation = "relu", dtype="float32", seed: int | None = None):
        n_inputs, parsed = _layers.parse(layers, parse_activation(activation))
        self._build(n_inputs, parsed, _validate.dtype(dtype), _validate.seed(seed))
        self._initialize()

    def _build(self, n_inputs: int, layers: tuple[Dense, ...], dtype: np.dtype, seed: int) -> None:
        self.n_inputs, self.layers, self.dtype, self.seed = n_inputs, layers, dtype, seed
        self.n_outputs = layers[-1].n_outputs
        widths = [n_inputs, *(layer.n_outputs for layer in layers)]
        self.n_parameters = sum((n_in + 1) * n_out for n_in, n_out in zip(widths, widths[1:]))
        self._parameters = _aligned_zeros(self.n_parameters, dtype)
        self._gradient = _aligned_zeros(self.n_parameters, dtype)
        self.weights, self.biases = _views(self._parameters, widths)
        activations = [parse_activation(layer.activation) for layer in layers]
        specification = [
            (layer.n_outputs, activation.number, tuple(activation.values.values()))
            for layer, activation in zip(layers, activations)
        ]
        self._engine = Engine(dtype.name, n_inputs, specification, self._parameters, self._gradient)

    def _initialize(self) -> None:
        generator = np.random.default_rng(self.seed)
        for k, (layer, weight) in enumerate(zip(self.layers, self.weights)):
            activation = parse_activation(layer.activation)
            name = activation.initializer if layer.initializer == "auto" else layer.initializer
            omega = activation.values.get("omega", 1.0)
            weight[...] = INITIALIZERS[name].draw(generator, *weight.shape, first=k == 0, omega=omega)

    # The engine keeps their addresses, so assigning (`net.parameters -= rate * gradient` does) copies into them.

    @property
    def parameters(self) -> np.ndarray:
        """Every weight and bias, (n_parameters,)."""
        return self._parameters

    @parameters.setter
    def parameters(self, values) -> None:
        _validate.copy_into(self._parameters, "parameters", values)

    @property
    def gradient(self) -> np.ndarray:
        """The gradient that ``value_and_gradient`` or ``backward`` computed last, laid out as ``parameters``."""
        return self._gradient

    @gradient.setter
    def gradient(self, values) -> None:
        _validate.copy_into(self._gradient, "gradient", values)

    # ---- outputs and gradients ----

    def __call__(self, X) -> np.ndarray:
        """The network's outputs.

        Parameters
        ----------
        X : array_like, (rows, n_inputs) or (n_inputs,)

        Returns
        -------
        ndarray of ``dtype``, (rows, n_outputs) or (n_outputs,)

        Raises
        ------
        ValueError, TypeError
            If X has another shape, holds no numbers, or holds NaN or infinity.
        """
        outputs = self._engine.forward_if_ready(X)
        if outputs is not None:
            return outputs
        x = _validate.matrix("X", X, self.n_inputs, self._engine, self.dtype, row=True)
        outputs = np.empty((*x.shape[:-1], self.n_outputs), self.dtype)
        self._engine.forward(x, outputs)
        return outputs

    def value_and_gradient(self, X, y, *, loss, sample_weight=None) -> tuple[float, np.ndarray]:
        """The cost over all rows of X, and its gradient with respect to ``parameters``.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)
        y : array_like
            As the loss takes it: (rows, n_outputs), or (rows,) for one output or for class labels.
        loss : str or Loss
            A name of ``fastprop.losses.LOSSES``, or one with its numbers, as ``fp.losses.huber(delta=0.5)``.
        sample_weight : array_like, (rows,), optional
            A weight for each row, none negative.

        Returns
        -------
        cost : float
            The mean over rows: sum of weight times loss / sum of weights.
        gradient : ndarray, (n_parameters,)
            A copy of ``net.gradient``, which holds the same numbers.

        Raises
        ------
        ValueError, TypeError
            If X, y, loss or sample_weight is wrong.
        """
        gradient = np.empty_like(self.gradient)
        return self._cost(X, y, loss, sample_weight, gradient), gradient

    def _cost(self, X, y, loss, sample_weight, gradient: np.ndarray | None) -> float:
        chosen = _losses.parse(loss)
        examples = self._examples(X, y, sample_weight, chosen)
        return self._engine.cost(*examples, chosen.objective(self.n_outputs), gradient)

    def _examples(
        self, X, y, weight, loss: _losses.Loss, names: tuple[str, str, str] = ("X", "y", "sample_weight")
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """X and y as the engine takes them: x, y or labels, and weights."""
        x = _validate.matrix(names[0], X, self.n_inputs, self._engine, self.dtype)
        target = _targets.targets(y, len(x), self.n_outputs, loss, self._engine, self.dtype, names[1])
        return x, *target, _targets.weights(weight, len(x), self._engine, self.dtype, names[2])

    def forward(self, X) -> np.ndarray:
        """The outputs for X, (rows, n_outputs), keeping what ``backward`` needs, for a loss of one's own.

        Raises
        ------
        ValueError, TypeError
            If X is wrong.
        """
        x = _validate.matrix("X", X, self.n_inputs, self._engine, self.dtype)
        outputs = np.empty((x.shape[0], self.n_outputs), self.dtype)
        self._engine.forward_keep(x, outputs)
        return outputs

    def backward(self, dY) -> np.ndarray:
        """The backward pass for the rows of the last ``forward``: fills ``gradient``.

        Parameters
        ----------
        dY : array_like, (rows, n_outputs)
            dLoss/dY. Nothing is divided by the number of rows: a mean over rows is dY's own.

        Returns
        -------
        ndarray, (rows, n_inputs)
            dLoss/dX.

        Raises
        ------
        RuntimeError
            If no ``forward`` came before, or the network was used for something else since.
        ValueError, TypeError
            If dY is wrong.
        """
        rows = self._engine.rows_kept
        if not rows:
            raise RuntimeError(
                "backward() needs the forward(X) that it goes back through, right before it; call net.forward(X) first"
            )
        dy = _validate.matrix("dY", dY, self.n_outputs, self._engine, self.dtype)
        if dy.shape[0] != rows:
            raise ValueError(
                f"dY must have shape ({rows}, {self.n_outputs}) like the outputs of forward(X), got {dy.shape}; "
                "give a row for each row of X"
            )
        dx = np.empty((rows, self.n_inputs), self.dtype)
        if not self._engine.backward(dy, dx):
            raise RuntimeError(
                "another thread used this network between forward() and backward(); give each thread its own"
            )
        return dx

    # ---- the two doors upwards, for convenience: imported when called, since those floors stand on this one ----

    def fit(self, X, y, **how):
        """Trains the network; see ``fastprop.trainer.fit`` for the parameters and the History that is returned."""
        from fastprop import trainer

        return trainer.fit(self, X, y, **how)

    def save(self, path) -> None:
        """Writes the network to a file that ``fastprop.load`` reads; see ``fastprop.files.save``."""
        from fastprop import files

        files.save(self, path)

    # ---- description ----

    def describe(self) -> dict:
        """All but the parameters, as a JSON-able dict from which ``from_description`` makes such a network."""
        return {
            "n_inputs": self.n_inputs,
            "layers": [layer.describe() for layer in self.layers],
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    @classmethod
    def from_description(cls, description: dict) -> "Network":
        """A network as described, with all parameters zero.

        Raises
        ------
        ValueError, TypeError
            If the description is not one that ``describe`` gives.
        """
        if not isinstance(description, dict):
            raise TypeError(f"a network is described by a dict as describe() gives it, got {description!r}")
        try:
            given = description["n_inputs"], description["dtype"], description["seed"]
            listed = description["layers"]
        except KeyError as missing:
            raise ValueError(f"the description of a network lacks {missing}; use what describe() gives") from None
        if not isinstance(listed, list):
            raise TypeError(f"the layers of a description must be a list, got {listed!r}; use what describe() gives")
        described = [_layers.from_description(layer) for layer in listed]
        n_inputs, parsed = _layers.parse([given[0], *described], "identity")
        network = cls.__new__(cls)
        network._build(n_inputs, parsed, _validate.dtype(given[1]), _validate.seed(given[2]))
        return network

    def __reduce__(self):
        return _rebuild, (type(self), self.describe(), self.parameters.copy())

    def __repr__(self) -> str:
        widths = "-".join(map(str, [self.n_inputs, *(layer.n_outputs for layer in self.layers)]))
        activations = ", ".join(str(layer.activation) for layer in self.layers)
        return f"<Network {widths} ({activations}), {self.n_parameters} parameters, {self.dtype.name}>"


def _rebuild(cls: type[Network], description: dict, parameters: np.ndarray) -> Network:
    """For copy and pickle."""
    network = cls.from_description(description)
    network.parameters[:] = parameters
    return network


def _aligned_zeros(n: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that start at a cache line, as vectors like them best."""
    try:
        raw = np.zeros(n * dtype.itemsize + 64, np.uint8)
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(f"no room for {n} parameters of {dtype.itemsize} bytes; use narrower layers") from None
    start = -raw.ctypes.data % 64
    return raw[start : start + n * dtype.itemsize].view(dtype)


def _views(flat: np.ndarray, widths: list[int]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    weights, biases, start = [], [], 0
    for n_in, n_out in zip(widths, widths[1:]):
        weights.append(flat[start : start + n_in * n_out].reshape(n_in, n_out))
        start += n_in * n_out
        biases.append(flat[start : start + n_out])
        start += n_out
    return tuple(weights), tuple(biases)
