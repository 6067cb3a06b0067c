"""Derivatives beyond the gradient of a cost: of the outputs, of each row's loss, and of the gradient itself."""

import numpy as np

from fastprop import _validation
from fastprop.nn import losses as _losses
from fastprop.nn.network import Network

# The step h along a unit direction for which the error of the extrapolated differences, of the order of h^4 + eps / h,
# is smallest in float64. It is halved while a corner of the cost lies within it.
STEP = 1e-3
SMALLEST_STEP = 1e-9
# The largest relative difference between the slopes over h / 2 and over h. For a smooth cost it is of the order of h^2.
AGREEMENT = 1e-5


def jacobian(network: Network, X) -> np.ndarray:
    """Return the derivative of every output with respect to every input, as ``Network.jacobian`` describes."""
    x = network.prepare_inputs("X", X)
    result = np.empty((len(x), network.n_outputs, network.n_inputs), network.dtype)
    network.engine.jacobian(x, np.empty_like(x), result)
    return result


def per_example_gradients(network: Network, X, y, *, loss) -> np.ndarray:
    """Return the gradient of each row's loss, as ``Network.per_example_gradients`` describes."""
    chosen = _losses.parse(loss)
    x, targets, labels, _ = network.prepare_examples(X, y, None, chosen)
    result = np.empty((len(x), network.n_parameters), network.dtype)
    network.engine.row_gradients(x, targets, labels, chosen.compiled(network.n_outputs), result)
    return result


def hessian_vector_product(network: Network, X, y, vector, *, loss, sample_weight=None) -> np.ndarray:
    """Return H v, as ``Network.hessian_vector_product`` describes.

    H v is the derivative of the gradient along v. It is computed from central differences of exact gradients in
    float64, for two step sizes, with Richardson's extrapolation (1911); the relative error is about 1e-9. The steps are
    halved until no corner of the cost, where a ReLU switches, lies within them.
    """
    direction = _validation.array("vector", vector, np.dtype(np.float64))
    if direction.shape != (network.n_parameters,):
        raise ValueError(f"vector must have shape ({network.n_parameters},) like parameters, got {direction.shape}")
    length = float(np.linalg.norm(direction))
    if not np.isfinite(length):
        raise ValueError("vector must be finite, got NaN or infinity among its numbers")
    if length == 0:
        return np.zeros(network.n_parameters)
    exact = Network.from_description(network.describe() | {"dtype": "float64"})
    parameters, exact.state = network.snapshot()
    theta = parameters.astype(np.float64)
    direction = direction / length

    def slope(step):
        ends = []
        for at in (theta + step * direction, theta - step * direction):
            exact.parameters = at
            ends.append(exact.value_and_gradient(X, y, loss=loss, sample_weight=sample_weight)[1])
        return (ends[0] - ends[1]) / (2 * step)

    step = STEP
    far = slope(step)
    while step > SMALLEST_STEP:
        near = slope(step / 2)
        if np.linalg.norm(near - far) <= AGREEMENT * np.linalg.norm(near):
            return length * (4 * near - far) / 3
        step, far = step / 2, near
    raise ArithmeticError(
        "the gradient jumps at these parameters (a ReLU exactly at 0?), so it has no derivative along this vector; "
        "move the parameters a little"
    )
