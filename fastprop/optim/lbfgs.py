"""L-BFGS through scipy.optimize: the iterations, as ``fit`` wants them."""

from collections.abc import Callable

import numpy as np

from fastprop.nn.network import Network
from fastprop.optim.optimizers import LBFGS


def minimize(
    network: Network,
    how: LBFGS,
    cost_and_gradient: Callable[[], tuple[float, np.ndarray]],
    iterations: int,
    iterated: Callable[[float], bool],
    looks: int | None = None,
) -> bool:
    """Moves the network's parameters towards a minimum.

    Parameters
    ----------
    network : Network
    how : LBFGS
    cost_and_gradient : callable
        Of the parameters that the network has when it is called.
    iterations : int
        At most so many.
    iterated : callable
        Called after each with its cost; the network holds its parameters then. True: that is enough.
    looks : int, optional
        At most about so many calls of cost_and_gradient; by default as many as the iterations may need.

    Returns
    -------
    bool
        Whether it ended because there was nothing more to be gained.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """
    try:
        import scipy.optimize
    except ImportError as error:
        raise ImportError(
            "LBFGS needs SciPy, which is not installed: pip install 'fastprop-nn[scipy]'"
        ) from error

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        with network.engine.exclusive():
            network.parameters = theta
            cost, gradient = cost_and_gradient()
        return cost, gradient.astype(np.float64)

    def callback(intermediate_result) -> None:
        good[:] = intermediate_result.x
        network.parameters = good
        if iterated(float(intermediate_result.fun)):
            raise StopIteration

    good = network.parameters.astype(np.float64)
    options = {
        "maxiter": iterations,
        "maxfun": 20 * iterations + 20 if looks is None else looks,  # its line search takes up to 20
        "maxcor": how.memory,
        "ftol": how.cost_tolerance,
        "gtol": how.gradient_tolerance,
    }
    try:
        result = scipy.optimize.minimize(
            objective, good.copy(), jac=True, method="L-BFGS-B", callback=callback, options=options
        )
    finally:
        network.parameters = good  # those of the last whole iteration, whatever the line search tried since
    return result.status == 0
