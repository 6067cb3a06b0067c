"""L-BFGS by scipy.optimize: the iterations that ``fit`` calls epochs."""

from collections.abc import Callable

import numpy as np

from fastprop.nn.network import Network
from fastprop.optim.optimizers import LBFGS


def minimize(
    network: Network,
    lbfgs: LBFGS,
    cost_and_gradient: Callable[[], tuple[float, np.ndarray]],
    iterations: int,
    on_iteration: Callable[[float], bool],
    max_evaluations: int | None = None,
) -> bool:
    """Move the network's parameters towards a minimum.

    Parameters
    ----------
    network : Network
    lbfgs : LBFGS
    cost_and_gradient : callable
        Returns the cost and its gradient, (n_parameters,), at the parameters that the network has when it is called.
    iterations : int
        The largest number of iterations.
    on_iteration : callable
        Called after each iteration with its cost, when the network has its parameters; returns True to stop.
    max_evaluations : int, optional
        About how many calls of cost_and_gradient there are at most; by default as many as the iterations may need.

    Returns
    -------
    bool
        Whether it ended because it converged: neither cost nor gradient promised more.

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
        if on_iteration(float(intermediate_result.fun)):
            raise StopIteration

    good = network.parameters.astype(np.float64)
    options = {
        "maxiter": iterations,
        "maxfun": 20 * iterations + 20 if max_evaluations is None else max_evaluations,  # 20 in a line search
        "maxcor": lbfgs.memory,
        "ftol": lbfgs.cost_tolerance,
        "gtol": lbfgs.gradient_tolerance,
    }
    try:
        result = scipy.optimize.minimize(
            objective, good.copy(), jac=True, method="L-BFGS-B", callback=callback, options=options
        )
    finally:
        network.parameters = good  # those of the last whole iteration, whatever the line search tried since
    return result.status == 0
