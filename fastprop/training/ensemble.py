"""Ensemble: networks of one shape, trained side by side on several threads, to bag networks or to try rates."""

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
from fastprop.io import model_file
from fastprop.nn import losses, summary
from fastprop.nn.network import Network
from fastprop.optim.optimizers import DEFAULT
from fastprop.training.communicator import Communicator, gather, gather_texts
from fastprop.training.history import History
from fastprop.training.ranks import Ranks
from fastprop.training.split import split
from fastprop.training.trainer import DivergenceError, Trainer

json, random = LazyModule("json"), LazyModule("numpy.random")


class Ensemble:
    """Networks of one shape, each with its own initial weights; calling the ensemble returns their mean outputs.

    Parameters
    ----------
    n : int
        The number of networks.
    layers, activation, dtype
        As ``Network`` takes them, for each network.
    seed : int, optional
        Network i has the seed ``seed + i``; without one, a random seed is drawn.

    Attributes
    ----------
    networks : tuple of Network
        The networks, to look at, save or train one by one.
    shares : tuple of float or None
        The weight of each network in the mean; None if they are equal.
    diverged : tuple of int
        The numbers of the networks whose cost was not finite in the last epoch of an ``EnsembleTrainer``. Their
        parameters are those of the last step before; calling the ensemble leaves them out. Assign () after training
        them anew.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> ensemble = Ensemble(64, [8, 32, 32, 1], seed=0)
    >>> histories = ensemble.fit(X, y, loss="half_mse", optimizer=fp.Adam(1e-3), epochs=20, batch_size=32)
    """

    shares: tuple[float, ...] | None = None

    def __init__(self, n: int, layers, *, activation="relu", dtype="float32", seed: int | None = None):
        first = _validation.seed(seed)
        count = _validation.count("n, the number of networks,", n)
        options = {"activation": activation, "dtype": dtype}
        self.diverged: tuple[int, ...] = ()
        self.networks = tuple(Network(layers, seed=(first + i) % 2**63, **options) for i in range(count))

    @classmethod
    def of(cls, networks: Sequence[Network], shares: Sequence[float] | None = None) -> "Ensemble":
        """Return the ensemble of networks that there are already, which may have different layers.

        Parameters
        ----------
        networks : sequence of Network
        shares : sequence of float, optional
            The weight of each network in the mean; by default they are equal.

        Raises
        ------
        ValueError, TypeError
            If there is no network, one is no Network, they differ in the number of inputs or outputs, or the shares
            are not a number from 0 up for each, with a sum above 0.
        """
        ensemble = cls.__new__(cls)
        ensemble.networks, ensemble.diverged = tuple(networks), ()
        if shares is not None:
            ensemble.shares = tuple(_validation.number("a share", share, least=0) for share in shares)
            if len(ensemble.shares) != len(ensemble.networks) or not any(ensemble.shares):
                raise ValueError(
                    f"shares must be a number for each of the {len(ensemble.networks)} networks, not all of them 0, "
                    f"got {ensemble.shares!r:.200}"
                )
        for network in ensemble.networks:
            if not isinstance(network, Network):
                raise TypeError(f"an ensemble consists of networks, got {type(network).__name__}")
        shapes = {(network.n_inputs, network.n_outputs) for network in ensemble.networks}
        if len(shapes) != 1:
            raise ValueError(
                f"the networks of an ensemble have one number of inputs and one of outputs, got {sorted(shapes)}"
            )
        return ensemble

    def save(self, path, *, notes: dict | None = None) -> None:
        """Write the networks to one file, which ``Ensemble.load`` reads; `notes` as in ``Network.save``."""
        model_file.save_networks(self.networks, path, shares=self.shares, notes=notes)

    @classmethod
    def load(cls, path) -> "Ensemble":
        """Return the ensemble that ``save`` wrote, or an ensemble of the one network that ``Network.save`` wrote.

        Raises
        ------
        ValueError
            If the file is no model of fastprop, or is truncated, damaged, or of a newer format.
        """
        return cls.of(*model_file.load_networks(path))

    def __len__(self) -> int:
        return len(self.networks)

    def __call__(self, X) -> np.ndarray:
        """Return the mean outputs of the networks that did not diverge, (rows, n_outputs) or (n_outputs,)."""
        shares = self.shares or (1.0,) * len(self)
        sound = {i: share for i, share in enumerate(shares) if share and i not in self.diverged}
        if not sound:
            raise ValueError("all networks of this ensemble diverged; train them anew, with smaller rates")
        total = np.zeros((), self.networks[0].dtype)
        for i, share in sound.items():
            total = total + share * self.networks[i](X)
        return total / sum(sound.values())

    def members(self, X) -> np.ndarray:
        """Return the outputs of each network, (rows, n, n_outputs)."""
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
        communicator: Communicator | None = None,
        **options,
    ) -> list[History]:
        """Train every network for some epochs.

        Parameters
        ----------
        X, y
            The rows on which all are trained, as arrays or tables.
        loss, optimizer
            As ``EnsembleTrainer`` takes them.
        epochs : int, default 10
        batch_size, sample_weight, validation
            As ``Network.fit`` takes them. The cost of each network on the validation rows is recorded after each epoch;
            with an average it is that of the averaged parameters, which the networks have in the end.
        communicator : Communicator, optional
            The processes that share the networks out, as ``fp.distributed.mpi()``. Each must give the same arguments,
            all rows included; the networks and the histories of all are exchanged at the end. The seed is that of rank
            0, and the bits are those of one process.
        **options
            What else ``EnsembleTrainer`` takes: shared_batches, bootstrap, seed and the options of ``Trainer``.
            Metrics, early_stopping, callbacks and progress are for a single network: see ``Network.fit``.

        Returns
        -------
        list of History
            A history for each network.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then.
        DivergenceError
            If the cost of every network became infinite or NaN. If only some diverged, a warning names them: their
            history has NaN, and calling the ensemble leaves them out (``diverged``).
        """
        if loss is None:
            raise TypeError(f"Ensemble.fit needs a loss: {loss_for(y, self.networks[0].n_outputs)}")
        ranks = Ranks.of(communicator)
        with ranks.together():
            shape = getattr(X, "shape", None)
            ranks.meet(networks=len(self), epochs=epochs, batch_size=batch_size, loss=loss, shape=shape)
            options["seed"] = ranks.broadcast_object(options.get("seed", self.networks[0].seed))
            trainer = EnsembleTrainer(self, loss=loss, optimizer=optimizer, **options)
            epochs = _validation.count("epochs", epochs)
            mine = range(ranks.rank * len(self) // ranks.size, (ranks.rank + 1) * len(self) // ranks.size)
            histories = self._fit(trainer, epochs, (X, y, sample_weight, validation, batch_size), mine)
            if not ranks.alone:
                histories = self._exchange(ranks, [self.networks[i] for i in mine], histories)
        if self.diverged:
            warn(
                f"the networks {', '.join(map(str, self.diverged))} of {len(self)} diverged and are left out of the "
                "ensemble's mean; use smaller rates for them, or scale inputs and targets"
            )
        return histories

    def _fit(self, trainer: "EnsembleTrainer", epochs: int, data: tuple, mine: range) -> list[History]:
        """Train the networks with these numbers; return their histories."""
        X, y, sample_weight, validation, batch_size = data
        first, trainers = trainer.trainers[0], [trainer.trainers[i] for i in mine]
        # without a limit to the window, all rows are converted at once
        source, _, held_out = split(first, X, y, sample_weight, validation, sys.maxsize)
        if not isinstance(source, batches.Stored):
            raise TypeError(f"an ensemble is trained on arrays, got batches from {type(X).__name__}; give X and y")
        if isinstance(first.class_weight, dict):
            check_classes(first.class_weight, first.count_classes(source))
        size = first.choose_batch_size(batch_size, source.rows)
        examples = first.with_class_weights(source.examples)
        for one in trainers:
            one.optimizer_state.warn_if_schedule_ends_early(epochs, source.n_steps(size))
        names = ["epoch", "cost"] if held_out is None else ["epoch", "cost", "validation_cost"]
        histories = [History({name: [] for name in names}) for _ in mine]
        for epoch in range(1, epochs + 1) if trainers else ():
            costs = trainer.take_epoch(examples, size, mine)
            if len(self.diverged) == len(self):
                raise all_diverged(len(self), first.steps)
            for one, history, cost in zip(trainers, histories, costs):
                row = {"epoch": epoch, "cost": float(cost)}
                if held_out is not None:
                    with nullcontext() if one.options["average"] is None else one.averaging():
                        row["validation_cost"] = one.mean_cost(held_out[0])
                for name, value in row.items():
                    history[name].append(value)
                one.optimizer_state.on_epoch(row[names[-1]])
        for one in trainers:
            if one.averaged is not None:
                one.network.parameters = one.averaged
        return histories

    def _exchange(self, ranks: Ranks, trained: list[Network], histories: list[History]) -> list[History]:
        """Give all ranks the networks and histories of each; return the histories of all networks."""
        arrays = [array for network in trained for array in network.snapshot()]
        data = np.concatenate([np.empty(0, np.uint8), *(array.view(np.uint8) for array in arrays)])
        data, first = gather(ranks.communicator, data), 0
        for network in self.networks:
            there = network.snapshot()
            for array in there:
                array.view(np.uint8)[:] = data[first : first + array.nbytes]
                first += array.nbytes
            network.restore(*there)
        texts = gather_texts(ranks.communicator, json.dumps(histories))
        everything = [History(one) for text in texts for one in json.loads(text)]
        self.diverged = tuple(i for i, history in enumerate(everything) if history["cost"][-1] != history["cost"][-1])
        if len(self.diverged) == len(self):
            raise ranks.common(all_diverged(len(self), 0))
        return everything

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)}: {self.networks[0]!r}>"

    def _repr_html_(self) -> str:
        return summary.html(self.networks[0], f"Ensemble of {len(self):,} networks, each")


class EnsembleTrainer:
    """Train the networks of an ensemble side by side, each on one thread at a time.

    Parameters
    ----------
    ensemble : Ensemble
    loss : str or Loss
    optimizer : Optimizer, str, or a sequence of them, default Adam(0.003)
        One optimiser for all networks, or a sequence with one for each, for example to try rates.
    shared_batches : bool, default False
        Whether all networks see the rows in one order, instead of each in its own random order.
    bootstrap : bool, default False
        Whether each network trains on a bootstrap sample (Breiman 1996, *Bagging predictors*): the weight of a row is
        multiplied by the number of times that it is drawn. A sample whose total weight is 0 is drawn again.
    seed : int, optional
        The seed of orders, dropout and bootstrap samples; the first network's seed by default.
    **options
        What else ``Trainer`` takes: class_weight, rates, l1, l2, clip_value, clip_norm, average, shuffle.

    Attributes
    ----------
    trainers : tuple of Trainer
        A trainer for each network.

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
        losses.parse(loss)  # refuses a loss of the user's own: Python cannot call it on several threads at once
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
        """Train every network for one pass over all rows.

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
            The mean cost of each network. It is NaN for a network that diverged, whose parameters stay those of the
            last step with a finite cost, and whose number is in ``ensemble.diverged``.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong; nothing has changed then.
        DivergenceError
            If all networks diverged.
        KeyboardInterrupt
            On Ctrl-C; each network's parameters are those of its last whole step.
        """
        first = self.trainers[0]
        examples = first.prepare_examples(X, y, sample_weight)
        size = first.choose_batch_size(batch_size, len(examples[0]))
        costs = self.take_epoch(examples, size, range(len(self.trainers)))
        if np.isnan(costs).all():
            raise all_diverged(len(costs), first.steps)
        for trainer, cost in zip(self.trainers, costs):
            trainer.optimizer_state.on_epoch(float(cost))
        return costs

    def take_epoch(self, examples: Examples, size: int, mine: range) -> np.ndarray:
        """Internal: ``epoch`` of rows that were checked, of the networks with these numbers; no schedule is told."""
        x, y, labels, weight = examples
        trainers = [self.trainers[i] for i in mine]
        first, rows = trainers[0], len(x)
        orders: list[np.ndarray | None] = []
        weights: list[np.ndarray | None] = []
        rates: list[np.ndarray | None] = []
        for trainer in trainers:
            shuffling = first if self.shared_batches else trainer
            seed = self.trainers[0].seed if self.shared_batches else trainer.seed
            orders.append(batches.shuffled(rows, seed if trainer.shuffle else None, shuffling.steps))
            weights.append(self._bootstrap_weights(trainer, rows, weight))
            rates.append(trainer.optimizer_state.rates(-(-rows // size)))
        before = [trainer.steps for trainer in trainers]
        try:
            descents = [trainer.compiled for trainer in trainers]
            found = _engine.run_ensemble(descents, x, y, labels, weights, orders, size, rates)
        finally:
            for trainer, steps in zip(trainers, before):
                trainer.optimizer_state.on_steps(trainer.steps - steps)
        costs: np.ndarray = np.array(found, np.float64)
        if np.isnan(costs).any():
            first.network.recheck_examples((x, y, labels, weight), first.parsed_loss)
        for i, trainer in enumerate(trainers):
            if not trainer.network.engine.all_finite(trainer.network.parameters):
                costs[i] = np.nan
        self.ensemble.diverged = tuple(mine[i] for i in np.flatnonzero(np.isnan(costs)).tolist())
        return costs

    def _bootstrap_weights(self, trainer: Trainer, rows: int, weight: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of a network's rows, times the counts of its bootstrap sample if that is wanted.

        The sample follows from the trainer's seed, so it is the same in every epoch.
        """
        if not self.bootstrap:
            return weight
        generator = random.default_rng(trainer.seed)
        while True:
            drawn = np.bincount(generator.integers(rows, size=rows), minlength=rows).astype(trainer.network.dtype)
            product = drawn if weight is None else drawn * weight
            if product.any():
                return product

    def evaluate(self, X, y, *, sample_weight=None) -> np.ndarray:
        """Return the mean cost of each network over the rows of X, (n,); take no step."""
        return np.array([trainer.evaluate(X, y, sample_weight=sample_weight) for trainer in self.trainers])


def all_diverged(n: int, step: int) -> DivergenceError:
    """Return the error that no network of an ensemble is left."""
    return DivergenceError(
        f"the cost of all {n} networks is not finite; use smaller rates, or scale inputs and targets", step=step
    )


Ensemble.fit = _validation.no_other_arguments(  # type: ignore[method-assign]
    EnsembleTrainer.__init__, Trainer.__init__
)(Ensemble.fit)
