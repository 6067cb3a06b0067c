"""Ensemble: networks of one shape, trained together across threads: to bag small networks, or to try rates."""

from collections.abc import Sequence

import numpy as np

from fastprop import _engine, _validate, losses
from fastprop.network import Network
from fastprop.trainer import DivergenceError, History, Trainer


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
        first = _validate.seed(seed)
        count = _validate.count("n, the number of networks,", n)
        how = {"activation": activation, "dtype": dtype}
        self.networks = tuple(Network(layers, seed=(first + i) % 2**63, **how) for i in range(count))

    def __len__(self) -> int:
        return len(self.networks)

    def __call__(self, X) -> np.ndarray:
        """The mean of the networks' outputs, (rows, n_outputs) or (n_outputs,)."""
        total = np.zeros((), self.networks[0].dtype)
        for network in self.networks:
            total = total + network(X)
        return total / len(self.networks)

    def members(self, X) -> np.ndarray:
        """The outputs of each network, (rows, n, n_outputs)."""
        return np.stack([network(X) for network in self.networks], axis=1)

    def fit(self, X, y, *, loss, optimizer, epochs: int = 10, validation=None, **how) -> list[History]:
        """Trains every network for some epochs.

        Parameters
        ----------
        X, y
            The rows, common to all.
        loss, optimizer
            As ``EnsembleTrainer`` takes them.
        epochs : int, default 10
        validation : (Xv, yv), optional
            The cost of each network on these rows is recorded after each epoch.
        **how
            What else ``EnsembleTrainer`` and its ``epoch`` take: batch_size, sample_weight; shared_batches, bootstrap,
            seed and the options of ``Trainer``.

        Returns
        -------
        list of History
            One for each network.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then.
        DivergenceError
            If the cost of every network became infinite or NaN. Of some it is no error: their history says so with NaN.
        """
        of_epoch = {name: how.pop(name) for name in ("batch_size", "sample_weight") if name in how}
        trainer = EnsembleTrainer(self, loss=loss, optimizer=optimizer, **how)
        epochs = _validate.count("epochs", epochs)
        histories = [
            History(epoch=[], cost=[], **({} if validation is None else {"validation_cost": []})) for _ in self.networks
        ]
        for epoch in range(1, epochs + 1):
            costs = trainer.epoch(X, y, **of_epoch)
            checked = None if validation is None else trainer.evaluate(*validation)
            for i, history in enumerate(histories):
                history["epoch"].append(epoch)
                history["cost"].append(float(costs[i]))
                if checked is not None:
                    history["validation_cost"].append(float(checked[i]))
        return histories

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)}: {self.networks[0]!r}>"


class EnsembleTrainer:
    """Trains the networks of an ensemble side by side, each on one thread at a time.

    Parameters
    ----------
    ensemble : Ensemble
    loss : str or Loss
    optimizer : Optimizer, str, or a sequence of them
        The same for all, or one for each network: so one tries rates.
    shared_batches : bool, default False
        Whether all see the rows in the same order; else each draws its own.
    bootstrap : bool, default False
        Whether each network trains on a bootstrap sample (Breiman 1996, *Bagging predictors*): row i weighs as often
        as it is drawn.
    seed : int, optional
        Of orders, dropout and samples; the first network's seed by default.
    **options
        What else ``Trainer`` takes: class_weight, rates, l1, l2, clip_value, clip_norm, average.

    Attributes
    ----------
    trainers : tuple of Trainer
        One for each network.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        *,
        loss,
        optimizer,
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
        n = len(ensemble)
        each = (
            list(optimizer) if isinstance(optimizer, Sequence) and not isinstance(optimizer, str) else [optimizer] * n
        )
        if len(each) != n:
            raise ValueError(f"optimizer must be one, or one for each of the {n} networks, got {len(each)}")
        self.seed = ensemble.networks[0].seed if seed is None else _validate.seed(seed)
        self.shared_batches = _validate.flag("shared_batches", shared_batches)
        self.bootstrap = _validate.flag("bootstrap", bootstrap)
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
            The mean cost of each, NaN where one diverged: it stays at the last step whose cost was finite.

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
        x, y, labels, weight = first._examples(X, y, sample_weight)
        rows = len(x)
        size = first._batch_size(batch_size, rows)
        orders: list[np.ndarray | None] = []
        weights: list[np.ndarray | None] = []
        rates: list[np.ndarray | None] = []
        for trainer in self.trainers:
            order = np.empty(rows, np.int64)
            lead = first if self.shared_batches else trainer
            _engine.shuffle(order, lead.seed, lead.steps)
            orders.append(order)
            weights.append(self._drawn(trainer, rows, weight))
            rates.append(trainer._rule.rates(-(-rows // size)))
        before = [trainer.steps for trainer in self.trainers]
        try:
            descents = [trainer._descent for trainer in self.trainers]
            found = _engine.run_together(descents, x, y, labels, weights, orders, size, rates)
        finally:
            for trainer, steps in zip(self.trainers, before):
                trainer._rule.stepped(trainer.steps - steps)
        costs: np.ndarray = np.array(found, np.float64)
        if np.isnan(costs).all():
            raise DivergenceError(
                f"the cost of all {len(costs)} networks is not finite; use smaller rates, or scale inputs and targets",
                step=first.steps,
            )
        for trainer, cost in zip(self.trainers, costs):
            trainer._rule.ended(float(cost))
        return costs

    def _drawn(self, trainer: Trainer, rows: int, weight: np.ndarray | None) -> np.ndarray | None:
        """The weights of a network's rows: how often its bootstrap sample, the same in every epoch, holds them."""
        if not self.bootstrap:
            return weight
        drawn = np.bincount(np.random.default_rng(trainer.seed).integers(rows, size=rows), minlength=rows)
        drawn = drawn.astype(trainer.network.dtype)
        return drawn if weight is None else drawn * weight

    def evaluate(self, X, y, *, sample_weight=None) -> np.ndarray:
        """The mean cost of each network over the rows of X, (n,), without a step."""
        return np.array([trainer.evaluate(X, y, sample_weight=sample_weight) for trainer in self.trainers])
