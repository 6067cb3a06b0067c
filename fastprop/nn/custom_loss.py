"""A loss of the user's own: a Python function (Y, y) -> (cost, dY) on NumPy arrays, called once a batch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop.nn import losses, tabm


@frozen
class OwnLoss:
    """A function of the outputs Y (rows, n_outputs) and the targets y of a batch, in place of a ``losses.Loss``.

    It returns the cost, a number, and dY, the derivative of the cost with respect to Y.
    """

    function: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
    targets = "own"
    outputs = 1
    link = "identity"

    @property
    def name(self) -> str:
        """What the function is called."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def compiled(self, n_outputs: int) -> None:
        """The engine does not know it."""

    def __call__(self, Y: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """What the function makes of them; dY as the engine takes it.

        Raises
        ------
        ValueError, TypeError
            If it is not a number and an array like Y that is finite.
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
    """The loss that a user named, made or wrote."""
    if callable(loss) and not isinstance(loss, losses.Loss):
        return OwnLoss(loss)
    return losses.parse(loss)


def cost_of(network: Any, loss: OwnLoss, x: np.ndarray, y: Any, gradient: np.ndarray | None, *how: Any) -> float:
    """What ``Engine.cost`` computes for the losses that it knows. If the function raises, the network is as before."""
    outputs = np.empty((len(x), network.n_outputs * network.n_members), network.dtype)
    engine = network.engine

    def judged() -> tuple[float, np.ndarray]:
        return loss(outputs if network.n_members == 1 else tabm.mean(outputs, network.n_members), y)

    if gradient is None:
        engine.forward(x, outputs)
        return judged()[0]
    with engine.exclusive():
        before = network.state.copy()
        try:
            engine.forward_and_save(x, outputs, *how)
            ticket = engine.thread_local.ticket
            cost, dY = judged()
            if np.isfinite(cost):
                if engine.thread_local.ticket != ticket or not (engine.rows_saved or engine.used_elsewhere):
                    raise RuntimeError(f"your loss {loss.name} used the network before its backward pass; use a copy")
                with engine.locked():
                    if not engine.rows_saved:  # another thread had outputs of the network: the same pass once more
                        network.state[:] = before
                        engine.forward_and_save(x, np.empty_like(outputs), *how)
                    network.backward_checked(dY)
                gradient[:] = network.gradient
        except BaseException:
            network.state[:] = before
            raise
    return cost
