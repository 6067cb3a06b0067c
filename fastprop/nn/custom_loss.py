"""A user's own loss: a Python function (Y, y) -> (cost, dY) of NumPy arrays, which is called once for each batch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop.nn import losses, tabm


@frozen
class OwnLoss:
    """A loss that is a function of the outputs Y (rows, n_outputs) and the targets y of a batch.

    It takes the place of a ``losses.Loss``. It returns the cost, a number, and dY (rows, n_outputs), the derivative of
    the cost with respect to Y.
    """

    function: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
    targets = "own"
    outputs = 1
    link = "identity"

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def compiled(self, n_outputs: int) -> None:
        """Return None, since the engine has no kernel for this loss."""

    def __call__(self, Y: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Call the function, and return the cost and dY as the engine takes them.

        Raises
        ------
        ValueError, TypeError
            If the function does not return a number and a finite array of the shape of Y.
        """
        shape, dtype = Y.shape, Y.dtype
        result = self.function(Y, _validation.read_only(y))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"your loss {self.name} must return a pair (cost, dY), got {type(result).__name__}")
        given, slope = result
        if np.size(given) != 1 or np.asarray(given).dtype.kind not in "fiu":
            got = f"shape {np.shape(given)}" if np.ndim(given) else f"{given!r:.200}"
            raise TypeError(f"the cost that your loss {self.name} returns must be a number, got {got}; take its mean")
        cost = float(np.asarray(given).item())
        dY = np.asarray(slope)
        if dY.shape != shape or dY.dtype.kind not in "fiu":
            raise ValueError(
                f"the dY that your loss {self.name} returns must be an array of numbers of shape {shape} like Y, "
                f"got shape {dY.shape} of {dY.dtype}; it is the derivative of the cost with respect to each output"
            )
        if np.isfinite(cost) and not np.all(np.isfinite(dY)):
            where = ", ".join(str(i) for i in np.argwhere(~np.isfinite(dY))[0])
            raise ValueError(f"dY[{where}] of your loss {self.name} is not finite, although its cost is {cost:g}")
        return cost, np.require(dY, dtype, ["C", "A"])


def parse(loss: Any) -> losses.Loss | OwnLoss:
    """Return the loss that a user named, made or wrote."""
    if callable(loss) and not isinstance(loss, losses.Loss):
        return OwnLoss(loss)
    return losses.parse(loss)


def cost_of(network: Any, loss: OwnLoss, x: np.ndarray, y: Any, gradient: np.ndarray | None, *options: Any) -> float:
    """Return the cost of a user's loss, as ``Engine.cost`` does for the losses of the list.

    If the function raises an error, the network's state is restored.
    """
    outputs = np.empty((len(x), network.n_outputs * network.n_members), network.dtype)
    engine = network.engine

    def evaluate() -> tuple[float, np.ndarray]:
        return loss(outputs if network.n_members == 1 else tabm.mean(outputs, network.n_members), y)

    if gradient is None:
        engine.forward(x, outputs)
        return evaluate()[0]
    with engine.exclusive():
        before = network.state.copy()
        try:
            engine.forward_and_save(x, outputs, *options)
            ticket = engine.thread_local.ticket
            cost, dY = evaluate()
            if np.isfinite(cost):
                if engine.thread_local.ticket != ticket or not (engine.rows_saved or engine.used_elsewhere):
                    raise RuntimeError(f"your loss {loss.name} used the network before its backward pass; use a copy")
                with engine.locked():
                    if not engine.rows_saved:  # another thread used the network: repeat the forward pass
                        network.state[:] = before
                        engine.forward_and_save(x, np.empty_like(outputs), *options)
                    network.backward_checked(dY)
                gradient[:] = network.gradient
        except BaseException:
            network.state[:] = before
            raise
    return cost
