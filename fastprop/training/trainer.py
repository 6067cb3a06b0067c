"""Trainer, which takes the steps and epochs of stochastic gradient descent."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, nan
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop.data import batches
from fastprop.data.targets import (
    ClassWeight,
    Examples,
    apply_class_weights,
    balanced,
    check_class_weight,
    check_last_layer,
    check_outputs,
    count_classes,
)
from fastprop.nn import custom_loss
from fastprop.nn.network import Network
from fastprop.optim.averaging import EMA, SWA
from fastprop.optim.optimizer_state import OptimizerState
from fastprop.optim.optimizers import DEFAULT, Optimizer
from fastprop.training import rank_steps
from fastprop.training.communicator import Communicator
from fastprop.training.history import History
from fastprop.training.native import Handle
from fastprop.training.ranks import ALONE, Ranks


class DivergenceError(FloatingPointError):
    """The error that the cost or a parameter became NaN or infinite.

    Attributes
    ----------
    epoch : int or None
        The number of the epoch, from 1; None outside ``fit``.
    step : int
        How many steps the trainer had taken before.
    history : History or None
        The history of the epochs before, from ``fit``.
    """

    # pickle needs the defaults to rebuild it, and a pool of processes hangs on an exception that it cannot unpickle
    def __init__(self, message: str, *, step: int = 0, epoch: int | None = None, history: History | None = None):
        super().__init__(message)
        self.step, self.epoch, self.history = step, epoch, history


PROGRESS_INTERVAL = 0.05  # seconds between two reports of progress, as in the engine


class EpochCost:
    """Internal: the mean cost of the epoch that is under way, and the function that is called with it.

    Parameters
    ----------
    rows : int or None
        How many rows the epoch has, where that is known.
    progress : callable or None
        ``progress(rows done, rows, mean cost so far)``; on one rank of several, of its own rows.
    ranks : Ranks
    """

    def __init__(
        self, rows: int | None, progress: Callable[[int, int | None, float], object] | None, ranks: Ranks = ALONE
    ):
        self.rows, self.done, self.progress, self.ranks = rows, 0, progress, ranks
        self._costs: list[tuple[float, float]] = []  # (total weight, mean cost) of what was trained on
        self._reported = time.monotonic()

    def report_within(self, done: int, cost: float) -> None:
        """Report from within a call of the engine, which has done `done` of its rows, with their mean cost."""
        assert self.progress is not None
        self.progress(self.done + done, self.rows, batches.mean([*self._costs, (done, cost)]))

    def add(self, examples: Examples, cost: float) -> None:
        """Add the mean cost of some rows; report, if the last report was long ago."""
        self._costs.append((batches.total_weight(examples), cost))
        self.done += len(examples[0])
        if self.progress is None or self.done == self.rows:  # finish() reports the end
            return
        if time.monotonic() - self._reported > PROGRESS_INTERVAL:
            self.progress(self.done, self.rows, batches.mean(self._costs))
            self._reported = time.monotonic()

    def finish(self, parameters: np.ndarray) -> float:
        """Report the end of the epoch; return its mean cost over all ranks, which must have the same parameters."""
        cost = self.ranks.mean(sum(weight for weight, _ in self._costs), batches.mean(self._costs), parameters)
        if self.progress is not None:
            self.progress(self.done, self.done if self.rows is None else self.rows, cost)
        return cost


class Trainer:
    """Trains a network on mini-batches.

    Parameters
    ----------
    network : Network
    loss : str, Loss or callable
        A name of ``fastprop.losses.LOSSES``; a loss with hyperparameters, such as ``fp.losses.huber(delta=0.5)``; or a
        function of one's own, (Y, y) -> (cost, dY), called once a batch, as ``Network.value_and_gradient`` takes it. If
        the function raises, the network is as it was before the batch.
    optimizer : Optimizer or str, default Adam(0.003)
        An optimiser, such as ``fp.SGD(0.1, momentum=0.9)``, or the name of one with its defaults, such as "adam".
    class_weight : dict or "balanced", optional
        A dict of label -> weight of its rows in training, 1 for labels that are not in it; for losses of classes, or of
        one output with targets 0 and 1. "balanced" stands for rows / (classes in y * rows of the class). ``evaluate``
        and validation do not use it.
    rates : dict or sequence, optional
        Factors of the rate, at least 0; 0 freezes. Either a dict by group, {"weight": ..., "bias": ..., "first": ...,
        "last": ...}, where "first" and "last" are layers, and the factors of groups that overlap multiply; or a
        sequence with a factor for each layer that has parameters.
    l1, l2 : float, default 0
        Penalties on the weights, not on biases: ``l1 |w| + l2/2 w^2`` is added to what is minimised, so l1 sign(w) +
        l2 w is added to the gradient. The costs that are returned and recorded are without the penalties, so that those
        of training and validation can be compared; Keras and scikit-learn include them.
    clip_value : float, optional
        Each element of the gradient, penalties included, is clipped to [-clip_value, clip_value].
    clip_norm : float, optional
        After that the gradient of all parameters is scaled down to this L2 norm, if its norm is larger (Pascanu,
        Mikolov and Bengio 2013, *On the difficulty of training recurrent neural networks*).
    average : EMA or SWA, optional
        Which average of the parameters over the steps to keep: see ``averaged``.
    shuffle : bool, default True
        Whether each epoch takes the rows in a new random order, instead of their own.
    seed : int, optional
        The seed of the order of rows in ``epoch``, and of dropout; the network's seed by default.
    communicator : Communicator, optional
        The processes that train together, each on rows of its own: ``fp.distributed.mpi()``, ``fp.distributed.torch()``
        or one of your own. All get the parameters and the seed of rank 0 here. A cost or a gradient is then that of the
        rows of all ranks, and ``batch_size`` counts those; a rank may have no rows, or none in a step.
    sync_batch_norm : bool, default True
        Whether a ``BatchNorm`` normalises by the statistics of the rows of all ranks, or each rank by those of its own.

    Attributes
    ----------
    network, loss, optimizer, class_weight, shuffle, seed
    steps : int
        How many steps were taken.
    rate : float
        The learning rate of the next step.
    averaged : ndarray or None
        A copy of the averaged parameters, (n_parameters,), or of the parameters before the first joins the average.

    Raises
    ------
    ValueError, TypeError
        If the loss is unknown, network or optimizer is not one, class_weight does not fit the loss, or a number is out
        of its range.
    """

    @_validation.no_other_arguments()
    def __init__(
        self,
        network: Network,
        *,
        loss=None,
        optimizer: Optimizer | str = DEFAULT,
        class_weight=None,
        rates=None,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        average: EMA | SWA | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        communicator: Communicator | None = None,
        sync_batch_norm: bool = True,
    ):
        if not isinstance(network, Network):
            raise TypeError(
                f"Trainer takes a fastprop Network, got {type(network).__name__}; make one with fp.Network([...])"
            )
        self.network = network
        self.loss = loss
        self.seed = network.seed if seed is None else _validation.seed(seed)
        self.shuffle = _validation.flag("shuffle", shuffle)
        # Internal, like the methods whose docstrings say so: `parsed_loss`, `compiled`, `options`, `optimizer_state`.
        self.parsed_loss = custom_loss.parse(loss)
        check_outputs(self.parsed_loss, network.n_outputs)
        check_last_layer(self.parsed_loss, network)
        self.class_weight = check_class_weight(class_weight, self.parsed_loss, network.n_outputs)
        compiled_loss = self.parsed_loss.compiled(network.n_outputs)
        self.compiled = _engine.CompiledTrainer(network.engine, compiled_loss, self.parsed_loss.targets)
        self.ranks, self.sync_batch_norm = Ranks.of(communicator), _validation.flag("sync_batch_norm", sync_batch_norm)
        self._balanced: ClassWeight = None  # what class_weight="balanced" is for the rows of all ranks
        self.options = {
            "rates": rates, "l1": l1, "l2": l2, "clip_value": clip_value, "clip_norm": clip_norm, "average": average
        }  # fmt: skip
        self.optimizer = optimizer
        self._join_ranks()
        # the seed of dropout, whose random stream differs from that of shuffling
        self.compiled.seed = self.ranks.seed(self.seed)

    def _join_ranks(self) -> None:
        """Check that all ranks train alike, and take the parameters and the seed of rank 0."""
        network, ranks = self.network, self.ranks
        if ranks.alone:
            return
        if isinstance(self.parsed_loss, custom_loss.OwnLoss) and self.sync_batch_norm and network.engine.has_batch_norm:
            raise ValueError(
                "a loss of your own computes no BatchNorm over several ranks; use sync_batch_norm=False, by which each "
                "rank normalises its own rows"
            )
        with ranks.together():
            ranks.meet(
                network=network.describe() | {"seed": None},
                loss=getattr(self.parsed_loss, "name", None),
                optimizer=self.optimizer,
                **self.options,
                class_weight=self.class_weight,
                shuffle=self.shuffle,
                sync_batch_norm=self.sync_batch_norm,
            )
            self.seed = ranks.broadcast_object(self.seed)
            parameters, state = network.snapshot()
            ranks.broadcast(parameters)
            ranks.broadcast(state)
            network.restore(parameters, state)

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser. Another one may be assigned at any time; its state starts anew."""
        return self.optimizer_state.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | str) -> None:
        self.optimizer_state = OptimizerState(self.network, optimizer, **self.options)
        self.compiled.optimizer = self.optimizer_state.compiled

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.optimizer_state.rate

    @property
    def averaged(self) -> np.ndarray | None:
        """A copy of the averaged parameters, (n_parameters,); None where none are averaged."""
        with self.network.engine.exclusive():
            return self.optimizer_state.averaged

    @contextmanager
    def averaging(self) -> Iterator[Network]:
        """Return a context in which the network has the averaged parameters, to evaluate or save it.

        Other threads see them too: they can compute outputs meanwhile, but whoever trains the network waits.
        """
        if self.options["average"] is None:
            raise ValueError("this trainer averages nothing; use Trainer(..., average=fp.EMA(0.999)) or fp.SWA(...)")
        network = self.network
        with network.engine.exclusive():
            before, was_swapped = network.snapshot()[0], network.engine.swapped
            network.engine.swapped = True
            try:
                network.parameters = self.optimizer_state.averaged
                yield network
            finally:
                network.parameters, network.engine.swapped = before, was_swapped

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.compiled.steps

    def step(self, xb, yb, *, sample_weight=None) -> float:
        """Take one step on one mini-batch.

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
        if not self.ranks.alone:
            return self._step_on_ranks(xb, yb, sample_weight)
        if sample_weight is None and self.class_weight is None and not self.network.layers[0].categories:
            cost = self.compiled.try_step(xb, yb)
            if cost is not None:
                if cost == cost:
                    if self.optimizer_state.schedule is not None:
                        self.optimizer_state.on_steps(1)
                    return cost
                # another thread may have made them invalid
                self.prepare_examples(xb, yb, None, ("xb", "yb", "sample_weight"))
                return self.finite(cost)
        self._refuse_balanced()
        examples = self.prepare_examples(xb, yb, sample_weight, ("xb", "yb", "sample_weight"))
        return self._take_steps(examples, None, len(examples[0]), None, None)

    def _step_on_ranks(self, xb, yb, sample_weight) -> float:
        """Take a step together with the other ranks; return the mean cost of the rows of all."""
        with self.ranks.failing_together():
            self._refuse_balanced()
            plain = sample_weight is None and self.class_weight is None and not self.network.layers[0].categories
            if plain and self.compiled.takes(xb, yb):
                classes = self.parsed_loss.targets == "classes"
                examples: Examples = (xb, None if classes else yb, yb if classes else None, None)
            else:
                examples = self.prepare_examples(xb, yb, sample_weight, ("xb", "yb", "sample_weight"))
            (total,) = self.ranks.sums(batches.total_weight(examples))
            cost = rank_steps.take_step(self, examples, total, None)
            return self.ranks.mean(batches.total_weight(examples), cost)

    def _refuse_balanced(self) -> None:
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' counts the rows of all classes, which one mini-batch does not show; "
                "use epoch() or fit(), or give the weights as a dict"
            )

    @_validation.no_other_arguments(name="native")
    def native(self, max_rows: int = 1, *, steps: int = 100_000) -> Handle:
        """Return a handle by which code without Python takes steps and computes outputs: Numba, Cython, C and C++.

        A step through it is ``step`` to the same bits: the parameters, the state of the optimiser and ``steps`` are
        those of this trainer, which can go on in Python at any time. ``net.gradient`` is not written.

        Parameters
        ----------
        max_rows : int, default 1
            The most rows of a call; memory is allocated for them here, and no call allocates any.
        steps : int, default 100,000
            How many steps the handle can take if the rate of the optimiser is a schedule by steps, whose rates are
            computed here.

        Returns
        -------
        Handle

        Raises
        ------
        ValueError, TypeError
            If max_rows or steps is no count, the loss is your own, the class weights are "balanced", or the network
            has members.
        MemoryError
            If there is no memory for max_rows rows.
        """
        if not self.ranks.alone:
            raise ValueError("code without Python cannot step together with other ranks; leave communicator out")
        return Handle(self.network, max_rows, self, _validation.count("steps", steps))

    def update(self) -> None:
        """Take one step along ``network.gradient`` as it is, for a loss of one's own.

        On several ranks their gradients are added up first: a cost that is a mean must be one over the rows of all.

        ::

            Y = net.forward(X)
            net.backward(dY)  # dC/dY
            trainer.update()

        Raises
        ------
        DivergenceError
            If the gradient is not finite; the step is not taken.
        """
        engine = self.network.engine
        with self.ranks.failing_together(), engine.locked():
            self.ranks.sum(engine.gradient)
            if not engine.all_finite(engine.gradient):
                raise self.ranks.common(
                    DivergenceError(
                        f"the gradient at step {self.steps} is not finite, so that step was not taken. "
                        f"{advice(self.rate)}",
                        step=self.steps,
                    )
                )
            self.compiled.apply()
            self.optimizer_state.on_steps(1)

    def epoch(
        self,
        X,
        y=None,
        *,
        batch_size: int | None = None,
        sample_weight=None,
        progress: Callable[[int, int, float], object] | None = None,
        window: int | None = None,
    ) -> float:
        """Go once through all rows in a new random order, with a step for each `batch_size` rows.

        The last step may have fewer rows.

        Parameters
        ----------
        X : array_like, (rows, n_inputs), or iterable
            Arrays include a ``numpy.memmap`` of any size, ``fp.Scaled``, and tables of pandas, polars or pyarrow, as
            ``fastprop.data.arrays`` describes. An iterable, which comes without y, gives batches (xb, yb) or (xb, yb,
            weights), and each is a step.
        y : array_like
            As the loss takes it.
        batch_size : int, default 64
            From 1 to the number of rows. By default all rows if they are fewer, and for RPROP.
        sample_weight : array_like, (rows,), optional
            A weight for each row, none negative.
        progress : callable, optional
            A function, called about every 50 ms and at the end as ``progress(rows done, rows, mean cost so far)``. With
            an iterable of batches, rows is None.
        window : int, default 64 MiB
            How many bytes of converted rows are held at once, of data that have to be converted. A larger memmap is
            shuffled block by block, and within the window.

        Returns
        -------
        float
            The mean cost over the rows, each before its step.

        Raises
        ------
        ValueError, TypeError
            If X, y, batch_size or sample_weight is wrong; nothing has changed then. Data that are converted in parts
            are checked part by part: then the parameters are those of the last whole step.
        DivergenceError
            If a cost is not finite; the parameters are those of the last step whose cost was finite.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those of the last whole step.
        """
        with self.ranks.together():
            source = self.apply_class_weights(self.source(X, y, sample_weight, window=window))
            size = self.choose_batch_size(batch_size, self.total_rows(source))
            epoch_cost = EpochCost(source.rows, _validation.callback("progress", progress, (None,)), self.ranks)
            for _ in self.iter_steps(source, size, epoch_cost):
                pass
            cost = epoch_cost.finish(self.network.parameters)
            self.average_states()
            self.optimizer_state.on_epoch(cost)
            return cost

    def source(self, X, y, sample_weight, **options) -> batches.Source:
        """Internal: return the source of rows for what a user gave; `options` are those of ``batches.source``."""
        partial = not self.ranks.alone
        return batches.source(self.network, self.parsed_loss, X, y, sample_weight, partial=partial, **options)

    def total_rows(self, source: batches.Source) -> int | None:
        """Internal: return how many rows the sources of all ranks have; None where batches come as they are."""
        if self.ranks.alone or source.total_rows is not None:
            return source.total_rows or source.rows
        stored = isinstance(source, batches.Stored)
        weight = batches.total_weight(source.examples) if isinstance(source, batches.Stored) else 1.0
        weighted = not isinstance(source, batches.Stored) or source.examples[3] is not None
        rows, of_batches, in_memory, total, n_weighted = self.ranks.sums(
            source.rows or 0, source.rows is None, stored, weight, weighted
        )
        if 0 < of_batches < self.ranks.size:
            raise self.ranks.common(ValueError("some ranks have arrays and some batches; give all ranks the same kind"))
        if of_batches:
            return None
        if not rows:
            raise self.ranks.common(ValueError("no rank has a row; was everything filtered out?"))
        if not total:
            message = "the weights are 0 for every row of all ranks, so there is no mean cost; give some row a weight"
            raise self.ranks.common(ValueError(message))
        source.total_rows, source.all_stored = int(rows), in_memory == self.ranks.size
        source.any_weighted = n_weighted > 0
        return source.total_rows

    def count_classes(self, source: batches.Source) -> np.ndarray:
        """Internal: return how many rows each class has, over all ranks, for class weights."""
        assert source.targets is not None
        count = count_classes(*source.targets, max(self.network.n_outputs, 2))
        self.ranks.sum(count)
        return count

    def apply_class_weights(self, source: batches.Source) -> batches.Source:
        """Internal: return a source whose row weights include the class weights."""
        if self.class_weight == "balanced" and source.targets is not None and not self.ranks.alone:
            self._balanced = balanced(self.count_classes(source))
        if self.class_weight == "balanced" and source.targets is None:
            raise ValueError(
                "class_weight='balanced' counts the rows of all classes, which batches and a y in a file do not show; "
                "give the weights as a dict"
            )
        return source.with_weights(self.with_class_weights)

    def choose_batch_size(self, batch_size: int | None, rows: int | None) -> int:
        """Internal: check `batch_size`, or choose it for None; return 0 where batches come as they are.

        `rows` is None where batches come as they are.
        """
        if rows is None:
            if batch_size is not None:
                raise ValueError(f"batches are steps as they come, got batch_size={batch_size}; omit it or give arrays")
            if self.optimizer.full_batch:
                name = type(self.optimizer).__name__
                raise ValueError(f"{name} needs all rows in every step, got batches that come one by one; give arrays")
            return 0
        if batch_size is None:
            return rows if self.optimizer.full_batch else min(rows, 64)
        batch_size = _validation.batch_size(batch_size, rows)
        if self.optimizer.full_batch and batch_size < rows:
            name = type(self.optimizer).__name__
            raise ValueError(f"{name} needs all {rows} rows in every step, got batch_size={batch_size}; omit it")
        return batch_size

    def prepare_examples(
        self, X, y, sample_weight, names: tuple[str, str, str] = ("X", "y", "sample_weight")
    ) -> Examples:
        """Internal: check rows to train on; return them as the engine takes them, with the class weights applied."""
        partial = not self.ranks.alone
        found = self.network.prepare_examples(X, y, sample_weight, self.parsed_loss, names, partial=partial)
        return self.with_class_weights(found)

    def with_class_weights(self, examples: Examples) -> Examples:
        """Internal: return examples whose row weights include the class weights."""
        x, y, labels, weight = examples
        chosen, partial = self._balanced or self.class_weight, not self.ranks.alone
        return x, y, labels, apply_class_weights(chosen, y, labels, weight, self.network.dtype, partial=partial)

    def iter_steps(
        self, source: batches.Source, batch_size: int, epoch_cost: EpochCost, *, one_by_one: bool = False
    ) -> Iterator[float]:
        """Internal: take the steps of one epoch; after each call of the engine, yield the mean cost of its rows.

        A call takes the steps of as many rows as the source gives at once; with `one_by_one`, a single step, and the
        cost is that of all ranks.
        """
        if not self.ranks.alone:
            yield from rank_steps.iter_steps(self, source, batch_size, epoch_cost, one_by_one)
            return
        n_steps = source.n_steps(batch_size)
        rates = None if n_steps is None else self.optimizer_state.rates(n_steps)
        parts = source.iter_epoch(self.seed if self.shuffle else None, lambda: self.steps, batch_size)
        step = 0
        for examples, order in batches.iter_single_batches(parts, batch_size) if one_by_one else parts:
            rows = len(examples[0])
            size = batch_size or rows
            first = 0 if rates is None else min(step, len(rates) - 1)  # more batches may come than were announced
            step += -(-rows // size)
            some = None if rates is None else rates[first : first - (-rows // size)]
            report = None if epoch_cost.progress is None else epoch_cost.report_within
            cost = self._take_steps(examples, order, size, some, report)
            epoch_cost.add(examples, cost)
            yield cost

    def average_states(self) -> None:
        """Internal: where each rank has statistics of its own, give all ranks the mean of the running ones."""
        network, ranks = self.network, self.ranks
        if ranks.alone or self.sync_batch_norm or not network.engine.has_batch_norm:
            return
        parameters, state = network.snapshot()
        ranks.sum(state)
        network.restore(parameters, state / ranks.size)

    def n_steps(self, source: batches.Source, batch_size: int) -> int | None:
        """Internal: return how many steps an epoch has; None where that is not known before."""
        own = source.n_steps(batch_size)
        if self.ranks.alone:
            return own
        rows = self.total_rows(source)
        if rows is not None:
            return -(-rows // batch_size)
        each = self.ranks.of_each(-1 if own is None else own)
        return None if each.min() < 0 else int(each.max())

    def _take_steps(self, examples: Examples, order, batch_size: int, rates, progress) -> float:
        """Take a step for each `batch_size` rows of the examples in an order; return their mean cost."""
        before = self.steps
        if isinstance(self.parsed_loss, custom_loss.OwnLoss):
            cost = self._take_steps_by_own_loss(self.parsed_loss, examples, order, batch_size, rates, progress)
        else:
            try:
                cost = self.compiled.run(*examples, order, batch_size, rates, progress)
            finally:
                self.optimizer_state.on_steps(self.steps - before)
        if cost != cost:
            self.network.recheck_examples(examples, self.parsed_loss)
        return self.finite(cost)

    def _take_steps_by_own_loss(
        self, loss: custom_loss.OwnLoss, examples: Examples, order, batch_size: int, rates, progress
    ) -> float:
        """Do what ``CompiledTrainer.run`` does for the losses that the engine has."""
        network, x = self.network, examples[0]
        y: Any = examples[1]  # whatever the loss takes
        gradient, total, reported = np.empty_like(network.gradient), 0.0, time.monotonic()
        for step, first in enumerate(range(0, len(x), batch_size)):
            rows = slice(first, first + batch_size) if order is None else order[first : first + batch_size]
            with network.engine.exclusive():
                before = network.state.copy()
                cost = custom_loss.cost_of(network, loss, x[rows], y[rows], gradient, True, self.seed, self.steps)
                if not isfinite(cost):
                    network.state[:] = before
                    return nan
                if rates is not None:
                    self.optimizer_state.compiled.rate = rates[step]
                self.compiled.apply()
                self.optimizer_state.on_steps(1)
            done = min(first + batch_size, len(x))
            total += cost * (done - first)
            if progress is not None and done < len(x) and time.monotonic() - reported > PROGRESS_INTERVAL:
                progress(done, total / done)
                reported = time.monotonic()
        return total / len(x)

    def finite(self, cost: float) -> float:
        """Internal: return a cost that is finite, and raise a DivergenceError for NaN."""
        if cost != cost:
            raise self.ranks.common(
                DivergenceError(
                    f"the cost at step {self.steps} is not finite, so that step was not taken. {advice(self.rate)}",
                    step=self.steps,
                )
            )
        return cost

    def save(self, path) -> None:
        """Write network and trainer to a file, from which ``fastprop.load_checkpoint`` goes on to the same bits."""
        from fastprop.training import checkpoint  # upwards in the layers, as pyproject.toml allows it here

        checkpoint.write(path, self)

    def __repr__(self) -> str:
        loss = getattr(self.parsed_loss, "name", self.loss)
        return f"<Trainer of {self.network!r}: {loss}, {self.optimizer!r}, {self.steps} steps>"

    def __getstate__(self) -> dict:
        arguments = {
            "loss": self.loss, "optimizer": self.optimizer, "class_weight": self.class_weight, "shuffle": self.shuffle,
            "seed": self.seed,
        }  # fmt: skip
        state = self.optimizer_state.state()
        return {"network": self.network, "how": arguments | self.options, "steps": self.steps, "rule": state}

    def __setstate__(self, given: dict) -> None:
        """Make the trainer what another was: copy, pickle and skops do not call ``__init__``."""
        trainer = Trainer(given["network"], **given["how"])
        trainer.compiled.steps = given["steps"]
        trainer.optimizer_state.restore(given["rule"])
        vars(self).update(vars(trainer))

    def evaluate(self, X, y=None, *, sample_weight=None) -> float:
        """Return the mean cost over the rows of X, weighted by sample_weight, (rows,), if given; take no step.

        Raises
        ------
        ValueError, TypeError
            If X, y or sample_weight is wrong.
        """
        with self.ranks.together():
            return self.mean_cost(self.source(X, y, sample_weight))

    def mean_cost(self, source: batches.Source) -> float:
        """Internal: return the mean cost over all rows of a source, and of those of the other ranks."""
        network, loss = self.network, self.parsed_loss
        with network.engine.exclusive():  # all rows see the same parameters
            costs = [
                (batches.total_weight(examples), network.cost_of_examples(examples, loss, None))
                for examples in source.iter_in_order()
                if len(examples[0])
            ]
        return self.ranks.mean(sum(weight for weight, _ in costs), batches.mean(costs))


def advice(rate: float) -> str:
    """Return what messages advise after a divergence."""
    return f"Use a smaller rate than {rate:g}, or scale the inputs and targets to about unit size"
