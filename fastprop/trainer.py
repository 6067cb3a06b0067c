"""Trainer: steps and epochs of stochastic gradient descent. fit: the loop over epochs."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from fastprop import _engine, _validate
from fastprop.losses import LOSSES
from fastprop.network import Network
from fastprop.optimizers import SGD


class DivergenceError(FloatingPointError):
    """The cost, or a parameter, became NaN or infinite.

    Attributes
    ----------
    epoch : int or None
        The epoch, from 1; None outside ``fit``.
    step : int
        How many steps the trainer had taken before.
    history : History or None
        The epochs before, from ``fit``.
    """

    # defaults, so that pickle can rebuild it: a pool of processes never hears of an exception that it cannot unpickle
    def __init__(self, message: str, *, step: int = 0, epoch: int | None = None, history: "History | None" = None):
        super().__init__(message)
        self.step, self.epoch, self.history = step, epoch, history


class History(dict):
    """What ``fit`` recorded: a dict of lists, one entry an epoch.

    Keys: "epoch" (from 1), "cost" (the mean over the epoch's rows, each before its step), "validation_cost" (with a
    validation set), "seconds".
    """


class Trainer:
    """Trains a network on mini-batches.

    Parameters
    ----------
    network : Network
    loss : str
        A name of ``fastprop.losses.LOSSES``.
    optimizer : SGD
    seed : int, optional
        Of the order of rows in ``epoch``; the network's seed by default.

    Attributes
    ----------
    network, loss, optimizer, seed
    steps : int
        Steps taken so far.

    Raises
    ------
    ValueError, TypeError
        If the loss is unknown, or network or optimizer is something else.
    """

    def __init__(self, network: Network, *, loss: str, optimizer: SGD, seed: int | None = None):
        if not isinstance(network, Network):
            raise TypeError(
                f"Trainer takes a fastprop Network, got {type(network).__name__}; make one with fp.Network([...])"
            )
        self.network = network
        self.loss = _validate.choice("loss", loss, LOSSES)
        self.seed = network.seed if seed is None else _validate.seed(seed)
        self._loss = LOSSES[loss]
        self._descent = _engine.Descent(network._engine, self._loss.objective(network.n_outputs), self._loss.targets)
        self._order: np.ndarray | None = None
        self.optimizer = optimizer

    @property
    def optimizer(self) -> SGD:
        """How the parameters follow the gradient. Another one may be given at any time; it starts afresh."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: SGD) -> None:
        if not isinstance(optimizer, SGD):
            raise TypeError(f"optimizer must be an optimiser, got {optimizer!r}; use for example fp.SGD(0.1)")
        self._optimizer = optimizer
        n_state = optimizer.n_states * self.network.n_parameters
        self._state = np.zeros(n_state, self.network.dtype) if n_state else None
        self._descent.follow(optimizer.number, optimizer.rate, optimizer.hyper, self._state)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._descent.steps

    def step(self, xb, yb) -> float:
        """One step of descent on one mini-batch.

        Parameters
        ----------
        xb : array_like, (rows, n_inputs)
        yb : array_like
            As the loss takes it.

        Returns
        -------
        float
            The mean cost of the batch before the step.

        Raises
        ------
        ValueError, TypeError
            If xb or yb is wrong; nothing has changed then.
        DivergenceError
            If the cost is not finite; the step is not taken.
        """
        cost = self._descent.step_if_ready(xb, yb)
        if cost is None:
            examples = self.network._examples(xb, yb, self._loss.targets, ("xb", "yb"))
            return self._run(*examples, None, len(examples[0]), None)
        return self._finite(cost)

    def epoch(
        self, X, y, *, batch_size: int = 64, progress: Callable[[int, int, float], object] | None = None
    ) -> float:
        """One pass over all rows in a fresh random order, a step for each `batch_size` of them.

        The last step may have fewer.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)
        y : array_like
            As the loss takes it.
        batch_size : int, default 64
            From 1 to the number of rows.
        progress : callable, optional
            ``progress(rows done, rows, mean cost so far)``, called about every 50 ms and at the end.

        Returns
        -------
        float
            The mean cost over the rows, each before its step.

        Raises
        ------
        ValueError, TypeError
            If X, y or batch_size is wrong; nothing has changed then.
        DivergenceError
            If a cost is not finite; the parameters are those of the last step whose cost was.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those of the last whole step.
        """
        examples = self.network._examples(X, y, self._loss.targets)
        batch_size = _validate.batch_size(batch_size, len(examples[0]))
        return self._epoch(*examples, batch_size, _validate.callback("progress", progress, (None,)))

    def _epoch(self, x, y, labels, weight, batch_size: int, progress) -> float:
        """An epoch over arrays that were checked."""
        rows = len(x)
        if self._order is None or len(self._order) != rows:
            self._order = np.empty(rows, np.int64)
        _engine.shuffle(self._order, self.seed, self.steps)
        report = None if progress is None else lambda done, cost: progress(done, rows, cost)
        cost = self._run(x, y, labels, weight, self._order, batch_size, report)
        if progress is not None:
            progress(rows, rows, cost)
        return cost

    def _run(self, x, y, labels, weight, order, batch_size: int, progress) -> float:
        return self._finite(self._descent.run(x, y, labels, weight, order, batch_size, progress))

    def _finite(self, cost: float) -> float:
        if cost != cost:
            raise DivergenceError(
                f"the cost at step {self.steps} is not finite, so that step was not taken. {_advice(self.optimizer)}",
                step=self.steps,
            )
        return cost

    def __reduce__(self):
        return _rebuild, (self.network, self.loss, self.optimizer, self.seed, self.steps, self._state)

    def evaluate(self, X, y) -> float:
        """The mean cost over the rows of X, without a step.

        Raises
        ------
        ValueError, TypeError
            If X or y is wrong.
        """
        return self.network._cost(X, y, self.loss, None)


def _rebuild(network: Network, loss: str, optimizer: SGD, seed: int, steps: int, state: np.ndarray | None) -> Trainer:
    """For copy and pickle."""
    trainer = Trainer(network, loss=loss, optimizer=optimizer, seed=seed)
    trainer._descent.steps = steps
    if trainer._state is not None and state is not None:
        trainer._state[:] = state
    return trainer


def _advice(optimizer: SGD) -> str:
    return f"Use a smaller rate than {optimizer.rate:g}, or scale the inputs and targets to about unit size"


def fit(
    network: Network,
    X,
    y,
    *,
    loss: str,
    optimizer: SGD,
    epochs: int = 10,
    batch_size: int = 64,
    validation: tuple | None = None,
    seed: int | None = None,
    progress: bool | Callable[[int, int, int, int, float], object] = False,
) -> History:
    """Trains a network for some epochs.

    Parameters
    ----------
    network : Network
    X : array_like, (rows, n_inputs)
    y : array_like
        As the loss takes it.
    loss, optimizer, seed
        As ``Trainer`` takes them.
    epochs : int, default 10
    batch_size : int, default 64
        From 1 to the number of rows.
    validation : (Xv, yv), optional
        The cost on these rows is recorded after each epoch.
    progress : bool or callable, default False
        True prints a line for each epoch; a callable is called about every 50 ms as
        ``progress(epoch, epochs, rows done, rows, mean cost so far)``.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; nothing has changed then.
    DivergenceError
        If a cost or a parameter stops being finite; the parameters are those of the last good epoch.
    KeyboardInterrupt
        On Ctrl-C; the parameters are those of the last whole step.
    """
    trainer = Trainer(network, loss=loss, optimizer=optimizer, seed=seed)
    epochs = _validate.count("epochs", epochs)
    examples = network._examples(X, y, trainer._loss.targets)
    batch_size = _validate.batch_size(batch_size, len(examples[0]))
    call = _validate.callback("progress", progress, (True, False))
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise TypeError(
                f"validation must be a pair (Xv, yv), got {type(validation).__name__}; use validation=(Xv, yv)"
            )
        held_out = network._examples(*validation, trainer._loss.targets, ("Xv", "yv"))
    history = History(epoch=[], cost=[], **({} if validation is None else {"validation_cost": []}), seconds=[])
    good = network.parameters.copy()
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        report = None
        if call is not None:
            report = partial(call, epoch, epochs)
        try:
            cost = trainer._epoch(*examples, batch_size=batch_size, progress=report)
            if not network._engine.all_finite(network.parameters):
                raise DivergenceError("a parameter overflowed", step=trainer.steps)
            checked = None
            if validation is not None:
                checked = network._engine.cost(*held_out, trainer._descent.objective, None)
        except DivergenceError as error:
            network.parameters[:] = good
            kept = f"those after epoch {epoch - 1}" if epoch > 1 else "those before training"
            raise DivergenceError(
                f"training diverged in epoch {epoch} at step {error.step}: the cost is not finite. "
                f"The parameters are {kept}. {_advice(optimizer)}",
                step=error.step,
                epoch=epoch,
                history=history,
            ) from None
        good[:] = network.parameters
        history["epoch"].append(epoch)
        history["cost"].append(cost)
        if checked is not None:
            history["validation_cost"].append(checked)
        history["seconds"].append(time.perf_counter() - started)
        if progress is True:
            beside = "" if checked is None else f"  validation {checked:.6g}"
            print(f"epoch {epoch}/{epochs}  cost {cost:.6g}{beside}  {history['seconds'][-1]:.3g} s", flush=True)
    return history
