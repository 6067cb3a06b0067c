"""The methods of a network that stand on modules above it: training, derivatives, files, exports.

Each imports what it needs when it is called. This is the one place where an import points upwards.
"""

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
    from fastprop.training.history import History

    Metrics = str | Callable | Sequence[str | Callable] | dict[str, str | Callable]


class Conveniences:
    """What ``Network`` inherits; see the head of the module."""

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
    ) -> "History":
        """Train the network for some epochs.

        Parameters
        ----------
        X : array_like, (rows, n_inputs), or iterable
            Also a ``numpy.memmap`` of any size, ``fp.Scaled``, or a table of pandas, polars or pyarrow, as
            ``fastprop.data.arrays`` says;
            or, without y, an iterable of batches (xb, yb) or (xb, yb, weights), each a step as
            it comes, in every epoch anew.
        y : array_like
            As the loss takes it.
        loss, optimizer, class_weight, seed
            As ``Trainer`` takes them; each class that has a weight must occur in y. The optimizer may be
            ``fp.LBFGS()``; by default it is ``fp.Adam(0.003)``. The loss has no default: it says what y is.
        epochs : int, default 10
            With LBFGS it is done earlier where nothing is to be gained.
        batch_size : int, default 64
            From 1 to the number of rows. By default all of them where they are fewer, and for RPROP and LBFGS.
        sample_weight : array_like, (rows,), optional
            A weight for each row, none negative.
        validation : (Xv, yv), (Xv, yv, weights) or float, optional
            The cost on these rows is recorded after each epoch. A number in (0, 1): such a share of the rows is drawn
            (by the seed, from all classes alike) and held out.
        metrics : str, callable, sequence or dict of them, optional
            Recorded after each epoch, of the validation rows if there are, else of those that were trained on:
            "accuracy", "balanced_accuracy", "f1" (of each class, the mean), "auc", "log_loss", "rmse", "mae", "r2"; the
            name of a scorer of scikit-learn; or a function (y, outputs) -> float. A dict gives them names.
        early_stopping : EarlyStopping or bool, optional
            True stands for ``EarlyStopping()``, which watches the validation cost.
        callbacks : Callback, function or sequence of them, optional
            A function is called at the end of each epoch, with the run.
        resume : str or os.PathLike, optional
            A directory of a ``Checkpoint``: the training goes on after the newest, to the same bits as if it had never
            been broken off; it begins where there is none. All else must be given as before, but for epochs.
        fallback : bool, default False
            Whether it goes on from the one before, with a warning, where the newest is damaged.
        progress : bool or callable, default False
            True shows a bar in a terminal or a notebook where tqdm or rich is installed, else prints a line for each
            epoch; a callable is called about every 50 ms as ``progress(epoch, epochs, rows done, rows, mean cost so
            far)``, where rows is None of batches.
        window : int, default 64 MiB
            How many bytes of converted rows are held of data that are not used as they are. A larger memmap is shuffled
            block by block, and within the window.
        rates, l1, l2, clip_value, clip_norm, average, shuffle : optional
            As ``Trainer`` takes them. With an average the validation cost and the metrics are those of the averaged
            parameters, which the network has in the end. LBFGS takes l2 alone.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then. Rows that are converted while they are gathered are
            looked at when their turn comes: the parameters are those of the last whole step then. So they are where a
            metric, a callback or a loss of one's own raises: what they are given to read cannot be written to.
        DivergenceError
            If a cost or a parameter stops being finite; the parameters are those of the last good epoch.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those of the last whole step, and the exception has the ``history`` so far.
        ImportError
            If the optimizer is LBFGS and SciPy is not installed.
        """
        arguments = dict(locals())
        from fastprop.training import fit as fitting

        return fitting.fit(arguments.pop("self"), **arguments)

    def predict(self, X: "ArrayLike") -> np.ndarray:
        """The outputs of the network, as ``net(X)`` gives them.

        Parameters
        ----------
        X : array_like, (rows, n_inputs) or (n_inputs,)

        Returns
        -------
        ndarray of ``dtype``, (rows, n_outputs) or (n_outputs,)
            As the last layer gives them: raw scores under a loss that has its link in it, such as "cross_entropy".

        Raises
        ------
        ValueError, TypeError
            If X has another shape, holds no numbers, or holds NaN or infinity.
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
    ) -> dict[str, float]:
        """The cost over the rows of X, and metrics.

        Parameters
        ----------
        X, y, loss, sample_weight, metrics
            As ``fit`` takes them.

        Returns
        -------
        dict of str to float
            "cost", the mean over rows of the loss, weighted where there are weights, and each metric by its name.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.
        """
        from fastprop.training import fit as fitting

        return fitting.evaluate(self, X, y, loss=loss, sample_weight=sample_weight, metrics=metrics)

    def copy(self) -> "Self":
        """A network of its own with the same layers, parameters and state; between two steps of whoever trains it."""
        import copy

        return copy.copy(self)

    def jacobian(self, X: "ArrayLike") -> np.ndarray:
        """The derivative of every output with respect to every input, row by row, in prediction.

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
        """The gradient of each row's loss with respect to ``parameters``, in prediction.

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
        """H v, where H is the matrix of second derivatives of the cost with respect to ``parameters``, in prediction.

        Parameters
        ----------
        X, y, loss, sample_weight
            As ``value_and_gradient`` takes them.
        vector : array_like, (n_parameters,)

        Returns
        -------
        ndarray of float64, (n_parameters,)
            Exact to about 1e-9; ``fastprop.nn.derivatives`` says how.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.
        ArithmeticError
            If the parameters lie on a corner of the cost.
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
    ) -> "Trace":
        """Run both passes over all rows of X and keep every number: each z, a, dz, dW and db.

        The network is not changed.

        Parameters
        ----------
        X, y, sample_weight, training, step
            As ``value_and_gradient`` takes them; or one row, (n_inputs,), with its target and weight.
        loss : str or Loss

        Returns
        -------
        Trace
            ``print`` shows it; ``explain``, ``graph`` and ``to_html`` show the chain rule, the graph and a page.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the loss is a function of your own, which the engine cannot look into.
        """
        from fastprop.explain.trace import trace

        return trace(self, X, y, loss=loss, sample_weight=sample_weight, training=training, step=step)

    def save(self, path: "str | PathLike[str]", *, notes: dict | None = None) -> None:
        """Write the network to a safetensors file that ``fastprop.load`` reads.

        A file that is there is replaced in one step, or left whole.

        Parameters
        ----------
        path : str or os.PathLike
        notes : dict, optional
            Anything of your own that JSON can hold; ``fastprop.io.model_file.read_notes`` returns it.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from fastprop.io import model_file

        model_file.save(self, path, notes=notes)

    def to_onnx(self, path: "str | PathLike[str] | None" = None) -> Any:
        """The network as an ONNX model, ``onnx.ModelProto``, from "X", (rows, n_inputs), to "Y", (rows, n_outputs).

        Parameters
        ----------
        path : str or os.PathLike, optional
            Where to write it; a file that is there is replaced.

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
        """The network as a ``torch.nn.Sequential`` with copies of its numbers, in prediction mode.

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
            A file that is there is replaced.
        name : str, default "predict"
            The name of the function; other names in the file begin with it.

        Raises
        ------
        TypeError, ValueError
            If the name is none of C's, or the network holds NaN or infinity.
        OSError
            If the file cannot be written.
        """
        from fastprop.interop import c as c_export

        c_export.to_c(self, path, name=name)
