"""Ensemble: networks of one shape, trained together across threads: to bag small networks, or to try rates."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from fastprop import _validation
from fastprop._core import _engine
from fastprop._util.lazy import LazyModule
from fastprop._util.warn import warn
from fastprop.data import batches
from fastprop.data.targets import Examples, check_classes, loss_for
from fastprop.nn import losses
from fastprop.nn.network import Network
from fastprop.optim.optimizers import DEFAULT
from fastprop.training.history import History
from fastprop.training.split import split
from fastprop.training.trainer import DivergenceError, Trainer

random = LazyModule("numpy.random")


class Ensemble:
    """Networks of one shape, each with initial weights of its own.

    Calling it gives the mean of their outputs.

    Parameters
    ----------
    n : int
        How many.
    layers, activation, dtype
        Of each, as ``Network`` takes them.
    seed : int, optional
        Network i has the seed ``seed + i``.

    Attributes
    ----------
    networks : tuple of Network
        To look at, to save, to train further one by one.
    diverged : tuple of int
        Those whose cost was not finite in the last epoch of an ``EnsembleTrainer``. Their parameters are of the last
        step before; calling the ensemble leaves them out. Assign () where they have been trained anew.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> ensemble = Ensemble(64, [8, 32, 32, 1], seed=0)
    >>> histories = ensemble.fit(X, y, loss="half_mse", optimizer=fp.Adam(1e-3), epochs=20, batch_size=32)
    """

    def __init__(self, n: int, layers, *, activation="relu", dtype="float32", seed: int | None = None):
        first = _validation.seed(seed)
        count = _validation.count("n, the number of networks,", n)
        how = {"activation": activation, "dtype": dtype}
        self.diverged: tuple[int, ...] = ()
        self.networks = tuple(Network(layers, seed=(first + i) % 2**63, **how) for i in range(count))

    def __len__(self) -> int:
        return len(self.networks)

    def __call__(self, X) -> np.ndarray:
        """The mean of the networks' outputs, (rows, n_outputs) or (n_outputs,), without those that diverged."""
        sound = [network for i, network in enumerate(self.networks) if i not in self.diverged]
        if not sound:
            raise ValueError("all networks of this ensemble diverged; train them anew, with smaller rates")
        total = np.zeros((), self.networks[0].dtype)
        for network in sound:
            total = total + network(X)
        return total / len(sound)

    def members(self, X) -> np.ndarray:
        """The outputs of each network, (rows, n, n_outputs)."""
        return np.stack([network(X) for network in self.networks], axis=1)

    def fit(
        self,
        X,
        y=None,
        *,
        loss=None,
        optimizer=DEFAULT,
        epochs: int = 10,
        batch_size: int | None = None,
        sample_weight=None,
        validation=None,
        **options,
    ) -> list[History]:
        """Trains every network for some epochs.

        Parameters
        ----------
        X, y
            The rows, common to all, as arrays or tables.
        loss, optimizer
            As ``EnsembleTrainer`` takes them.
        epochs : int, default 10
        batch_size, sample_weight, validation
            As ``Network.fit`` takes them. The cost of each network on the validation rows is recorded after each epoch;
            with an average it is that of the averaged parameters, which the networks have in the end.
        **options
            What else ``EnsembleTrainer`` takes: shared_batches, bootstrap, seed and the options of ``Trainer``. What
            watches a training, as metrics, early_stopping, callbacks and progress, is for one network: ``Network.fit``.

        Returns
        -------
        list of History
            One for each network.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then.
        DivergenceError
            If the cost of every network became infinite or NaN. Of some it is a warning that names them: their history
            has NaN, and calling the ensemble leaves them out (``diverged``).
        """
        if loss is None:
            raise TypeError(f"Ensemble.fit needs a loss: {loss_for(y, self.networks[0].n_outputs)}")
        trainer = EnsembleTrainer(self, loss=loss, optimizer=optimizer, **options)
        epochs = _validation.count("epochs", epochs)
        first = trainer.trainers[0]
        # a window of any size: all rows are held as they are trained on
        source, _, held_out = split(first, X, y, sample_weight, validation, sys.maxsize)
        if not isinstance(source, batches.Stored):
            raise TypeError(f"an ensemble is trained on arrays, got batches from {type(X).__name__}; give X and y")
        check_classes(first.class_weight, *source.examples[1:3])
        size = first.choose_batch_size(batch_size, source.rows)
        examples = first.with_class_weights(source.examples)
        for one in trainer.trainers:
            one.optimizer_state.warn_if_schedule_ends_early(epochs, source.n_steps(size))
        names = ["epoch", "cost"] if held_out is None else ["epoch", "cost", "validation_cost"]
        histories = [History({name: [] for name in names}) for _ in self.networks]
        for epoch in range(1, epochs + 1):
            costs = trainer.take_epoch(examples, size)
            for one, history, cost in zip(trainer.trainers, histories, costs):
                row = {"epoch": epoch, "cost": float(cost)}
                if held_out is not None:
                    with nullcontext() if one.options["average"] is None else one.averaging():
                        row["validation_cost"] = one.mean_cost(held_out[0])
                for name, value in row.items():
                    history[name].append(value)
                one.optimizer_state.on_epoch(row[names[-1]])
        for one in trainer.trainers:
            if one.averaged is not None:
                one.network.parameters = one.averaged
        if self.diverged:
            warn(
                f"the networks {', '.join(map(str, self.diverged))} of {len(self)} diverged and are left out of the "
                "ensemble's mean; use smaller rates for them, or scale inputs and targets"
            )
        return histories

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)}: {self.networks[0]!r}>"


class EnsembleTrainer:
    """Trains the networks of an ensemble side by side, each on one thread at a time.

    Parameters
    ----------
    ensemble : Ensemble
    loss : str or Loss
    optimizer : Optimizer, str, or a sequence of them, default Adam(0.003)
        The same for all, or one for each network: so one tries rates.
    shared_batches : bool, default False
        Whether all see the rows in the same order; else each draws its own.
    bootstrap : bool, default False
        Whether each network trains on a bootstrap sample (Breiman 1996, *Bagging predictors*): row i weighs as often
        as it is drawn. A sample in which no row has a weight is drawn again.
    seed : int, optional
        Of orders, dropout and samples; the first network's seed by default.
    **options
        What else ``Trainer`` takes: class_weight, rates, l1, l2, clip_value, clip_norm, average, shuffle.

    Attributes
    ----------
    trainers : tuple of Trainer
        One for each network.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """

    @_validation.no_other_arguments(Trainer.__init__)
    def __init__(
        self,
        ensemble: Ensemble,
        *,
        loss=None,
        optimizer=DEFAULT,
        shared_batches: bool = False,
        bootstrap: bool = False,
        seed: int | None = None,
        **options,
    ):
        if not isinstance(ensemble, Ensemble):
            raise TypeError(f"EnsembleTrainer takes a fastprop Ensemble, got {type(ensemble).__name__}")
        if len(set(map(id, ensemble.networks))) < len(ensemble):
            raise ValueError(
                f"the {len(ensemble)} networks of an EnsembleTrainer must be different ones, got one of them "
                "twice; use copy.copy(network)"
            )
        losses.parse(loss)  # one of the user's own is called batch by batch, which is not side by side
        self.ensemble = ensemble
        n = len(ensemble)
        each = (
            list(optimizer) if isinstance(optimizer, Sequence) and not isinstance(optimizer, str) else [optimizer] * n
        )
        if len(each) != n:
            raise ValueError(f"optimizer must be one, or one for each of the {n} networks, got {len(each)}")
        self.seed = ensemble.networks[0].seed if seed is None else _validation.seed(seed)
        self.shared_batches = _validation.flag("shared_batches", shared_batches)
        self.bootstrap = _validation.flag("bootstrap", bootstrap)
        self.trainers = tuple(
            Trainer(network, loss=loss, optimizer=one, seed=(self.seed + i) % 2**63, **options)
            for i, (network, one) in enumerate(zip(ensemble.networks, each))
        )

    def epoch(self, X, y, *, batch_size: int | None = None, sample_weight=None) -> np.ndarray:
        """One pass of every network over all rows.

        Parameters
        ----------
        X : array_like, (rows, n_inputs)
        y : array_like
            As the loss takes it.
        batch_size : int, default 64
        sample_weight : array_like, (rows,), optional

        Returns
        -------
        ndarray of float64, (n,)
            The mean cost of each, NaN where one diverged: it stays at the last step whose cost was finite, and is in
            ``ensemble.diverged``.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then.
        DivergenceError
            If all diverged.
        KeyboardInterrupt
            On Ctrl-C; each network's parameters are those of its last whole step.
        """
        first = self.trainers[0]
        examples = first.prepare_examples(X, y, sample_weight)
        costs = self.take_epoch(examples, first.choose_batch_size(batch_size, len(examples[0])))
        for trainer, cost in zip(self.trainers, costs):
            trainer.optimizer_state.on_epoch(float(cost))
        return costs

    def take_epoch(self, examples: Examples, size: int) -> np.ndarray:
        """Internal: ``epoch`` of rows that were checked, without telling the schedules that it is over."""
        x, y, labels, weight = examples
        first, rows = self.trainers[0], len(x)
        orders: list[np.ndarray | None] = []
        weights: list[np.ndarray | None] = []
        rates: list[np.ndarray | None] = []
        for trainer in self.trainers:
            lead = first if self.shared_batches else trainer
            orders.append(batches.shuffled(rows, lead.seed if lead.shuffle else None, lead.steps))
            weights.append(self._drawn(trainer, rows, weight))
            rates.append(trainer.optimizer_state.rates(-(-rows // size)))
        before = [trainer.steps for trainer in self.trainers]
        try:
            descents = [trainer.compiled for trainer in self.trainers]
            found = _engine.run_ensemble(descents, x, y, labels, weights, orders, size, rates)
        finally:
            for trainer, steps in zip(self.trainers, before):
                trainer.optimizer_state.on_steps(trainer.steps - steps)
        costs: np.ndarray = np.array(found, np.float64)
        if np.isnan(costs).any():
            first.network.recheck_examples((x, y, labels, weight), first.parsed_loss)
        for i, trainer in enumerate(self.trainers):
            if not trainer.network.engine.all_finite(trainer.network.parameters):
                costs[i] = np.nan
        self.ensemble.diverged = tuple(np.flatnonzero(np.isnan(costs)).tolist())
        if np.isnan(costs).all():
            raise DivergenceError(
                f"the cost of all {len(costs)} networks is not finite; use smaller rates, or scale inputs and targets",
                step=first.steps,
            )
        return costs

    def _drawn(self, trainer: Trainer, rows: int, weight: np.ndarray | None) -> np.ndarray | None:
        """The weights of a network's rows: how often its bootstrap sample, the same in every epoch, holds them."""
        if not self.bootstrap:
            return weight
        generator = random.default_rng(trainer.seed)
        while True:
            drawn = np.bincount(generator.integers(rows, size=rows), minlength=rows).astype(trainer.network.dtype)
            product = drawn if weight is None else drawn * weight
            if product.any():
                return product

    def evaluate(self, X, y, *, sample_weight=None) -> np.ndarray:
        """The mean cost of each network over the rows of X, (n,), without a step."""
        return np.array([trainer.evaluate(X, y, sample_weight=sample_weight) for trainer in self.trainers])


Ensemble.fit = _validation.no_other_arguments(  # type: ignore[method-assign]
    EnsembleTrainer.__init__, Trainer.__init__
)(Ensemble.fit)
