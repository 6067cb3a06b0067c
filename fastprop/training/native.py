"""Handles, through which Numba, Cython, C and C++ call a network and its trainer without Python: see ``fastprop.h``."""

import ctypes
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop.nn import custom_loss
from fastprop.nn.network import Network

MAX_ROWS = 2**31 - 1  # so that no size in bytes overflows

_POINTER, _ROWS = ctypes.c_void_p, ctypes.c_ssize_t
# The types of the functions in fp_handle of fastprop.h; ctypes releases the GIL while it calls them.
_TYPES = {
    "forward": ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _ROWS, _POINTER),
    "step": ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, _ROWS),
    "weighted_step": ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, _POINTER, _ROWS),
    "cost": ctypes.CFUNCTYPE(ctypes.c_double, _POINTER),
}


class Handle:
    """What code without Python calls a network through: ``net.native()`` and ``trainer.native()`` make one.

    Attributes
    ----------
    address : int
        The address of the ``fp_handle`` of fastprop.h, the first argument of all functions.
    capsule : PyCapsule
        The same address for Cython and C, whose ``fp_handle_of`` takes it. A capsule keeps the handle alive.
    forward, step, weighted_step, cost : ctypes functions
        The functions of ``fp_handle``, as Numba and ctypes call them:

        - ``forward(address, x, rows, out)`` writes the outputs for x (rows, n_inputs) to out (rows, n_outputs).
        - ``step(address, x, y, rows)`` takes a step on a batch, y as ``y_dtype`` and ``n_targets`` say.
        - ``weighted_step(address, x, y, weight, rows)`` is a step with a weight for each row.
        - ``cost(address)`` returns the mean cost of the batch of the last step, before the step.

        The first three return 0, or an error code, and have changed nothing then; ``message`` explains the code.
    max_rows, n_inputs, n_outputs : int
    n_targets : int
        Numbers in the targets of a row; 0 where y has labels, and without a trainer.
    dtype, y_dtype : numpy.dtype
        The dtypes of x and out, and of y: int64 for labels of classes, else ``dtype``.

    Notes
    -----
    The handle keeps the network and the trainer alive, and must itself be kept while its address is in use. A handle is
    for one call at a time; threads make one each. It belongs to its process and cannot be pickled.
    """

    def __init__(self, network: Network, max_rows: int, trainer: Any = None, steps: int = 0):
        rows = _validation.count("max_rows", max_rows)
        if rows > MAX_ROWS:
            raise ValueError(f"max_rows must be at most {MAX_ROWS}, got {rows}; give larger batches to net(X)")
        if network.n_members > 1:
            raise ValueError(
                f"native() takes networks of one member, got members={network.n_members}, whose mean NumPy computes"
            )
        categories = np.array(network.layers[0].categories, np.int64).reshape(-1, 2)
        self.compiled = _engine.CompiledHandle(network.engine, network.make_engine(), rows, categories)  # internal
        self.max_rows, self.n_inputs, self.n_outputs, self.n_targets = rows, network.n_inputs, network.n_outputs, 0
        self.dtype = self.y_dtype = network.dtype
        self._keeps = network, trainer
        if trainer is not None:
            self._add_trainer(trainer, steps)
        self.address: int = self.compiled.address
        self.forward, self.step, self.weighted_step, self.cost = (
            kind(self.compiled.functions[name]) for name, kind in _TYPES.items()
        )

    def _add_trainer(self, trainer: Any, steps: int) -> None:
        loss, state = trainer.parsed_loss, trainer.optimizer_state
        if isinstance(loss, custom_loss.OwnLoss):
            raise TypeError("a loss of your own is a function of Python, which a step without Python cannot call")
        if trainer.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' counts the rows of all classes, which single steps do not show; "
                "give the weights as a dict"
            )
        class_weight = None
        if trainer.class_weight is not None:
            each = [trainer.class_weight.get(label, 1.0) for label in range(max(self.n_outputs, 2))]
            class_weight = np.array(each).astype(self.dtype)
        limits = np.finfo(self.dtype)
        lowest, highest = {
            "not negative": (0.0, limits.max),
            "positive": (limits.tiny, limits.max),
            "probabilities": (0.0, 1.0),
            "signs": (-1.0, 1.0),
        }.get(loss.targets, (limits.min, limits.max))
        # the rate of the step after the last one is also needed: a step leaves the trainer with that of the next
        rates = state.rates(steps + 1) if state.by_step else None
        scheduled = state.schedule is not None
        self.compiled.add_trainer(trainer.compiled, lowest, highest, class_weight, scheduled, rates)
        if loss.targets == "classes":
            self.y_dtype = np.dtype(np.int64)
        else:
            self.n_targets = self.n_outputs // loss.outputs

    @property
    def capsule(self) -> Any:
        """A PyCapsule that holds the address and keeps the handle alive."""
        return self.compiled.capsule

    @staticmethod
    def message(code: int) -> str:
        """Return what an error code means."""
        return _engine.handle_error(code)

    def __repr__(self) -> str:
        network, trainer = self._keeps
        return f"<Handle of {network if trainer is None else trainer!r}, at most {self.max_rows} rows>"

    def __reduce__(self) -> Any:
        raise TypeError("a handle is an address in its process and cannot be copied; make another one with native()")
