"""Methods of a network that use modules of higher layers: training, derivatives, files and exports.

Each method imports what it needs when it is called. Only this module imports modules of higher layers.
"""

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastprop import _validation
from fastprop.optim.optimizers import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from os import PathLike
    from typing import Self

    from numpy.typing import ArrayLike

    from fastprop.explain.trace import Trace
    from fastprop.nn.losses import Loss
    from fastprop.optim.averaging import EMA, SWA
    from fastprop.optim.optimizers import LBFGS, Optimizer
    from fastprop.training.callbacks import Callback, EarlyStopping
    from fastprop.training.communicator import Communicator
    from fastprop.training.history import History
    from fastprop.training.native import Handle

    Metrics = str | Callable | Sequence[str | Callable] | dict[str, str | Callable]


class Conveniences:
    """The base class of ``Network`` with these methods."""

    @_validation.no_other_arguments(name="fit")
    def fit(
        self,
        X: "ArrayLike | Iterable",
        y: "ArrayLike | None" = None,
        *,
        loss: "str | Loss | Callable | None" = None,
        optimizer: "Optimizer | LBFGS | str" = DEFAULT,
        epochs: int = 10,
        batch_size: int | None = None,
        sample_weight: "ArrayLike | None" = None,
        class_weight: "str | dict | None" = None,
        validation: "float | tuple | None" = None,
        metrics: "Metrics" = (),
        early_stopping: "EarlyStopping | bool | None" = None,
        callbacks: "Callable | Callback | Sequence[Callable | Callback]" = (),
        resume: "str | PathLike[str] | None" = None,
        fallback: bool = False,
        seed: int | None = None,
        progress: "bool | Callable" = False,
        window: int | None = None,
        rates: "Sequence[float] | dict | None" = None,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        average: "EMA | SWA | None" = None,
        shuffle: bool = True,
        communicator: "Communicator | None" = None,
        sync_batch_norm: bool = True,
    ) -> "History":
        """Train the network for some epochs.

        Parameters
        ----------
        X : array_like, (rows, n_inputs), or iterable
            The inputs: an array, a ``numpy.memmap`` of any size, ``fp.Scaled``, or a table of pandas, polars or
            pyarrow (see ``fastprop.data.arrays``). Without y, an iterable of batches (xb, yb) or (xb, yb, weights) that
            can be iterated in every epoch; each batch is one step.
        y : array_like
            The targets, as the loss takes them.
        loss, optimizer, class_weight, seed
            As ``Trainer`` takes them; each class that has a weight must occur in y. The optimizer may be
            ``fp.LBFGS()``; by default it is ``fp.Adam(0.003)``. The loss has no default, since it determines what y is.
        epochs : int, default 10
            The number of epochs. LBFGS may stop earlier, when it does not improve the cost.
        batch_size : int, default 64
            From 1 to the number of rows. By default a batch has all rows if they are fewer, or for RPROP and LBFGS.
        sample_weight : array_like, (rows,), optional
            A non-negative weight for each row.
        validation : (Xv, yv), (Xv, yv, weights) or float, optional
            The rows for which the cost is recorded after each epoch. A number in (0, 1) is the share of rows that is
            drawn with the seed, stratified by class, and held out.
        metrics : str, callable, sequence or dict of them, optional
            Metrics that are recorded after each epoch, for the validation rows if there are any, otherwise for the
            training rows: "accuracy", "balanced_accuracy", "f1" (the mean over classes), "auc", "log_loss", "rmse",
            "mae", "r2"; the name of a scorer of scikit-learn; or a function (y, outputs) -> float. The keys of a dict
            are names.
        early_stopping : EarlyStopping or bool, optional
            True stands for ``EarlyStopping()``, which monitors the validation cost.
        callbacks : Callback, function or sequence of them, optional
            A function is called at the end of each epoch with the run.
        resume : str or os.PathLike, optional
            The directory of a ``Checkpoint``. Training continues after the newest one, with the bits of a training that
            was not interrupted, or starts if there is none. All other arguments except epochs must be as before.
        fallback : bool, default False
            Whether to continue from the checkpoint before, with a warning, if the newest is damaged.
        progress : bool or callable, default False
            True shows a line that changes, with the cost and the time left, in a terminal or a notebook, and otherwise
            prints a line for each epoch, with a star where the cost is the lowest so far. A callable is called about
            every 50 ms as ``progress(epoch, epochs, rows done, rows, mean cost so far)``, where rows is None for an
            iterable of batches.
        window : int, default 64 MiB
            The number of bytes of converted rows that are kept in memory, if the data cannot be used in place. A larger
            memmap is shuffled by blocks, and within the window.
        rates, l1, l2, clip_value, clip_norm, average, shuffle : optional
            As ``Trainer`` takes them. With an average, the validation cost and the metrics are those of the averaged
            parameters, which the network has at the end. LBFGS takes only l2.
        communicator, sync_batch_norm : optional
            As ``Trainer`` takes them: the processes that train together, such as ``fp.distributed.mpi()``. Each gives
            rows of its own, for training and validation; every number of the history is that of the rows of all.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; the network is then unchanged. Rows that are converted while they are gathered are
            checked at that time; the parameters are then those of the last whole step, as they are if a metric, a
            callback or your own loss raises an error.
        DivergenceError
            If a cost or a parameter is no longer finite; the parameters are those of the last epoch with finite ones.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those of the last whole step, and the exception has the ``history`` so far.
        ImportError
            If the optimizer is LBFGS and SciPy is not installed.
        """
        arguments = dict(locals())
        from fastprop.training import fit as fitting

        return fitting.fit(arguments.pop("self"), **arguments)

    def predict(self, X: "ArrayLike") -> np.ndarray:
        """Return the network's outputs, as ``net(X)`` does.

        Parameters
        ----------
        X : array_like, (rows, n_inputs) or (n_inputs,)

        Returns
        -------
        ndarray of ``dtype``, (rows, n_outputs) or (n_outputs,)
            The outputs of the last layer: raw scores if the loss includes its inverse link, as "cross_entropy" does.

        Raises
        ------
        ValueError, TypeError
            If X has another shape, is not numeric, or has NaN or infinity.
        """
        return self(X)

    def evaluate(
        self,
        X: "ArrayLike | Iterable",
        y: "ArrayLike | None" = None,
        *,
        loss: "str | Loss | Callable",
        sample_weight: "ArrayLike | None" = None,
        metrics: "Metrics" = (),
        communicator: "Communicator | None" = None,
    ) -> dict[str, float]:
        """Return the cost over the rows of X, and metrics.

        Parameters
        ----------
        X, y, loss, sample_weight, metrics
            As ``fit`` takes them.
        communicator : Communicator, optional
            The processes whose rows these are a part of; the network gets the parameters of rank 0.

        Returns
        -------
        dict of str to float
            "cost", the mean over rows of the loss, weighted if rows have weights, and each metric by its name.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.
        """
        from fastprop.training import fit as fitting

        return fitting.evaluate(
            self, X, y, loss=loss, sample_weight=sample_weight, metrics=metrics, communicator=communicator
        )

    def summary(self) -> None:
        """Print a table of the layers: the activation, inputs, outputs and parameters of each."""
        from fastprop.io import streams
        from fastprop.nn import summary

        for line in summary.lines(self, streams.width(sys.stdout)):
            streams.show(line)

    def copy(self) -> "Self":
        """Return a copy of the network with its layers, parameters and state, made between two steps of a training."""
        import copy

        return copy.copy(self)

    def jacobian(self, X: "ArrayLike") -> np.ndarray:
        """Return the derivative of every output with respect to every input of each row, in prediction.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)

        Returns
        -------
        ndarray, (rows, n_outputs, n_inputs)
            J[i, j, k] = dY[i, j] / dX[i, k].

        Raises
        ------
        ValueError, TypeError
            If X is wrong.
        """
        from fastprop.nn import derivatives

        return derivatives.jacobian(self, X)

    def per_example_gradients(self, X: "ArrayLike", y: "ArrayLike", *, loss: "str | Loss") -> np.ndarray:
        """Return the gradient of each row's loss with respect to ``parameters``, in prediction.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)
        y : array_like
            As the loss takes it.
        loss : str or Loss

        Returns
        -------
        ndarray, (rows, n_parameters)
            Their mean is the gradient of the cost.

        Raises
        ------
        ValueError, TypeError
            If X, y or loss is wrong.
        """
        from fastprop.nn import derivatives

        return derivatives.per_example_gradients(self, X, y, loss=loss)

    def hessian_vector_product(
        self,
        X: "ArrayLike",
        y: "ArrayLike",
        vector: "ArrayLike",
        *,
        loss: "str | Loss",
        sample_weight: "ArrayLike | None" = None,
    ) -> np.ndarray:
        """Return H v, with H the second derivatives of the cost with respect to ``parameters``, in prediction.

        Parameters
        ----------
        X, y, loss, sample_weight
            As ``value_and_gradient`` takes them.
        vector : array_like, (n_parameters,)

        Returns
        -------
        ndarray of float64, (n_parameters,)
            H v, with a relative error of about 1e-9; ``fastprop.nn.derivatives`` describes the method.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.
        ArithmeticError
            If the cost has a corner at the parameters.
        """
        from fastprop.nn import derivatives

        return derivatives.hessian_vector_product(self, X, y, vector, loss=loss, sample_weight=sample_weight)

    def trace(
        self,
        X: "ArrayLike",
        y: "ArrayLike",
        *,
        loss: "str | Loss",
        sample_weight: "ArrayLike | None" = None,
        training: bool = False,
        step: int = 0,
        first_row: int = 0,
    ) -> "Trace":
        """Run both passes over all rows of X, and return every number: each z, a, dC/dz, dC/dW and dC/db.

        The network does not change.

        Parameters
        ----------
        X, y, sample_weight, training, step
            As ``value_and_gradient`` takes them; X may also be one row, (n_inputs,), with its target and weight.
        loss : str or Loss
        first_row : int, default 0
            The number of the first row of X where it was taken from; explanations, drawings and pages count from it.

        Returns
        -------
        Trace
            ``print`` shows it; ``explain``, ``graph`` and ``to_html`` show the chain rule, the graph and a page.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the loss is your own function, which the engine cannot trace.
        """
        from fastprop.explain.trace import trace

        options = {"sample_weight": sample_weight, "training": training, "step": step, "first_row": first_row}
        return trace(self, X, y, loss=loss, **options)

    def native(self, max_rows: int = 1) -> "Handle":
        """Return a handle by which code without Python computes outputs: Numba, Cython, C and C++.

        Parameters
        ----------
        max_rows : int, default 1
            The most rows of a call; memory is allocated for them here, and no call allocates any.

        Returns
        -------
        Handle
            For one thread at a time. The parameters are those of the network, so that a call sees every change.

        Raises
        ------
        ValueError, TypeError
            If max_rows is no count, or the network has members.
        MemoryError
            If there is no memory for max_rows rows.
        """
        from fastprop.training.native import Handle

        return Handle(self, max_rows)

    def save(self, path: "str | PathLike[str]", *, notes: dict | None = None) -> None:
        """Write the network to a safetensors file that ``fastprop.load`` reads.

        An existing file is replaced in one step, or left unchanged if writing fails.

        Parameters
        ----------
        path : str or os.PathLike
        notes : dict, optional
            Your own notes, as JSON-able values; ``fastprop.io.model_file.read_notes`` returns them.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from fastprop.io import model_file

        model_file.save(self, path, notes=notes)

    def to_onnx(self, path: "str | PathLike[str] | None" = None) -> Any:
        """Return the network as an ``onnx.ModelProto`` from "X", (rows, n_inputs), to "Y", (rows, n_outputs).

        Parameters
        ----------
        path : str or os.PathLike, optional
            The file to write; an existing file is replaced.

        Raises
        ------
        ModuleNotFoundError
            If onnx is not installed: ``pip install 'fastprop-nn[onnx]'``.
        OSError
            If the file cannot be written.
        """
        from fastprop.interop import onnx

        return onnx.to_onnx(self, path)

    def to_torch(self) -> Any:
        """Return the network as a ``torch.nn.Sequential`` with copies of its parameters, in prediction mode.

        Raises
        ------
        ModuleNotFoundError
            If PyTorch is not installed.
        """
        from fastprop.interop import to_torch as torch_export

        return torch_export.to_torch(self)

    def to_c(self, path: "str | PathLike[str]", *, name: str = "predict") -> None:
        """Write the network to a C99 file without dependencies: ``void predict(const float *x, float *y)``.

        Parameters
        ----------
        path : str or os.PathLike
            The file to write; an existing file is replaced.
        name : str, default "predict"
            The name of the function; other names in the file begin with it.

        Raises
        ------
        TypeError, ValueError
            If the name is not a valid name in C, or the network has NaN or infinity.
        OSError
            If the file cannot be written.
        """
        from fastprop.interop import c as c_export

        c_export.to_c(self, path, name=name)


for _name, _method in vars(Conveniences).items():
    if isinstance(_method, FunctionType):
        _method.__qualname__ = f"Network.{_name}"  # as messages of missing arguments call it
