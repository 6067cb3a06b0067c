"""Trainer: steps and epochs of stochastic gradient descent. fit: the loop over epochs."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from fastprop import _engine, _targets, _validate
from fastprop import losses as _losses
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
    loss : str or Loss
        A name of ``fastprop.losses.LOSSES``, or one with its numbers, as ``fp.losses.huber(delta=0.5)``.
    optimizer : SGD
    class_weight : dict or "balanced", optional
        Label -> weight of its rows in training, 1 where it has none; for losses of classes, or of one output with
        targets 0 and 1. "balanced": rows / (classes in y * rows of the class). ``evaluate`` and validation go without.
    seed : int, optional
        Of the order of rows in ``epoch``; the network's seed by default.

    Attributes
    ----------
    network, loss, optimizer, class_weight, seed
    steps : int
        Steps taken so far.

    Raises
    ------
    ValueError, TypeError
        If the loss is unknown, network or optimizer is something else, or class_weight does not fit the loss.
    """

    def __init__(self, network: Network, *, loss, optimizer: SGD, class_weight=None, seed: int | None = None):
        if not isinstance(network, Network):
            raise TypeError(
                f"Trainer takes a fastprop Network, got {type(network).__name__}; make one with fp.Network([...])"
            )
        self.network = network
        self.loss = loss
        self.seed = network.seed if seed is None else _validate.seed(seed)
        self._loss = _losses.parse(loss)
        _targets.check_outputs(self._loss, network.n_outputs)
        self.class_weight = _targets.class_weight(class_weight, self._loss, network.n_outputs)
        self._descent = _engine.Descent(network._engine, self._loss.objective(network.n_outputs), self._loss.targets)
        self._descent.seed = self.seed  # of dropout; its stream is not that of the shuffling
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

    def step(self, xb, yb, *, sample_weight=None) -> float:
        """One step of descent on one mini-batch.

        Parameters
        ----------
        xb : array_like, (rows, n_inputs)
        yb : array_like
            As the loss takes it.
        sample_weight : array_like, (rows,), optional
            A weight for each row, none negative.

        Returns
        -------
        float
            The mean cost of the batch before the step.

        Raises
        ------
        ValueError, TypeError
            If xb, yb or sample_weight is wrong; nothing has changed then.
        DivergenceError
            If the cost is not finite; the step is not taken.
        """
        if sample_weight is None and self.class_weight is None and not self.network.layers[0].checks:
            cost = self._descent.step_if_ready(xb, yb)
            if cost is not None:
                return self._finite(cost)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' counts the rows of all classes, which one mini-batch does not show; "
                "use epoch() or fit(), or give the weights as a dict"
            )
        examples = self._examples(xb, yb, sample_weight, ("xb", "yb", "sample_weight"))
        return self._run(*examples, None, len(examples[0]), None)

    def epoch(
        self,
        X,
        y,
        *,
        batch_size: int = 64,
        sample_weight=None,
        progress: Callable[[int, int, float], object] | None = None,
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
        sample_weight : array_like, (rows,), optional
            A weight for each row, none negative.
        progress : callable, optional
            ``progress(rows done, rows, mean cost so far)``, called about every 50 ms and at the end.

        Returns
        -------
        float
            The mean cost over the rows, each before its step.

        Raises
        ------
        ValueError, TypeError
            If X, y, batch_size or sample_weight is wrong; nothing has changed then.
        DivergenceError
            If a cost is not finite; the parameters are those of the last step whose cost was.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those of the last whole step.
        """
        examples = self._examples(X, y, sample_weight)
        batch_size = _validate.batch_size(batch_size, len(examples[0]))
        return self._epoch(*examples, batch_size, _validate.callback("progress", progress, (None,)))

    def _examples(self, X, y, sample_weight, names: tuple[str, str, str] = ("X", "y", "sample_weight")):
        """Rows to train on, as the engine takes them."""
        x, y, labels, weight = self.network._examples(X, y, sample_weight, self._loss, names)
        return x, y, labels, _targets.weigh_classes(self.class_weight, y, labels, weight, self.network.dtype)

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
        how = {"loss": self.loss, "optimizer": self.optimizer, "class_weight": self.class_weight, "seed": self.seed}
        return _rebuild, (self.network, how, self.steps, self._state)

    def evaluate(self, X, y, *, sample_weight=None) -> float:
        """The mean cost over the rows of X, without a step; weighted by sample_weight, (rows,), where there is one.

        Raises
        ------
        ValueError, TypeError
            If X, y or sample_weight is wrong.
        """
        return self.network._cost(X, y, self.loss, sample_weight, None)


def _rebuild(network: Network, how: dict, steps: int, state: np.ndarray | None) -> Trainer:
    """For copy and pickle."""
    trainer = Trainer(network, **how)
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
    loss,
    optimizer: SGD,
    epochs: int = 10,
    batch_size: int = 64,
    sample_weight=None,
    class_weight=None,
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
    loss, optimizer, class_weight, seed
        As ``Trainer`` takes them; each class that has a weight must occur in y.
    epochs : int, default 10
    batch_size : int, default 64
        From 1 to the number of rows.
    sample_weight : array_like, (rows,), optional
        A weight for each row, none negative.
    validation : (Xv, yv) or (Xv, yv, weights), optional
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
    trainer = Trainer(network, loss=loss, optimizer=optimizer, class_weight=class_weight, seed=seed)
    epochs = _validate.count("epochs", epochs)
    examples = trainer._examples(X, y, sample_weight)
    _targets.check_classes(trainer.class_weight, *examples[1:3])
    batch_size = _validate.batch_size(batch_size, len(examples[0]))
    call = _validate.callback("progress", progress, (True, False))
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
            raise TypeError(
                "validation must be a pair (Xv, yv), or (Xv, yv, weights) with a weight for each row, "
                f"got {type(validation).__name__}; use validation=(Xv, yv)"
            )
        Xv, yv, *weights = validation
        held_out = network._examples(Xv, yv, weights[0] if weights else None, trainer._loss, ("Xv", "yv", "weights"))
    history = History(epoch=[], cost=[], **({} if validation is None else {"validation_cost": []}), seconds=[])
    good, good_state = network.parameters.copy(), network.state.copy()
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
            network.parameters[:], network.state[:] = good, good_state
            kept = f"those after epoch {epoch - 1}" if epoch > 1 else "those before training"
            raise DivergenceError(
                f"training diverged in epoch {epoch} at step {error.step}: the cost is not finite. "
                f"The parameters are {kept}. {_advice(optimizer)}",
                step=error.step,
                epoch=epoch,
                history=history,
            ) from None
        good[:], good_state[:] = network.parameters, network.state
        history["epoch"].append(epoch)
        history["cost"].append(cost)
        if checked is not None:
            history["validation_cost"].append(checked)
        history["seconds"].append(time.perf_counter() - started)
        if progress is True:
            beside = "" if checked is None else f"  validation {checked:.6g}"
            print(f"epoch {epoch}/{epochs}  cost {cost:.6g}{beside}  {history['seconds'][-1]:.3g} s", flush=True)
    return history
