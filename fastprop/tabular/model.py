"""TabularModel: networks for a table, from the cells to predictions. NumPy only; the estimators and commands use it."""

import functools
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from fastprop import _validation, config
from fastprop._version import __version__
from fastprop.io import model_file
from fastprop.nn.embeddings import ByColumn, Embedding, PiecewiseLinear
from fastprop.nn.layers import Activation, Dense, Dropout
from fastprop.nn.network import Network
from fastprop.optim.optimizers import AdamW
from fastprop.optim.schedules import Cosine
from fastprop.tabular.contributions import draw_background, pack, unpack
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.shard import Shard, group_sizes, latest
from fastprop.tabular.target import Target
from fastprop.training.callbacks import EarlyStopping
from fastprop.training.ensemble import Ensemble
from fastprop.training.ranks import ALONE, Ranks

__all__ = ["ALL_HELD_OUT", "ALL_TRAINED", "TabularModel", "assign_folds", "best_epoch"]

# In `folds`: rows that every network was trained on, and rows that none was.
ALL_TRAINED, ALL_HELD_OUT = -1, -2


@dataclass
class TabularModel:
    """The networks that were trained on a table, and all that is needed to predict from another one.

    Attributes
    ----------
    encoder : Encoder
    target : Target
    ensemble : Ensemble
        The outputs of the model are the mean of those of its networks. After the networks come as many linear ones,
        if the rows held out are predicted better with a share of them.
    id : str or None
        The column that names the rows, from which nothing is learned: `fastprop predict` writes it.
    background : float32 array, (at most 100, inputs), or None
        Typical inputs, with which predictions are compared to explain them.
    histories : list of History
        Of the networks. They are not stored, nor is what follows.
    folds : int64 array, (rows,)
        The network that did not see each training row, which was held out for early stopping; -1 where all saw it, and
        -2 where none did.
    held_out : float64 array, (rows, outputs)
        The outputs for each training row of the networks that did not see it; NaN where there are none.
    """

    encoder: Encoder
    target: Target
    ensemble: Ensemble
    id: str | None = None
    background: np.ndarray | None = field(default=None, compare=False)
    histories: list = field(default_factory=list, compare=False)
    folds: np.ndarray | None = field(default=None, compare=False)
    held_out: np.ndarray | None = field(default=None, compare=False)

    @classmethod
    def fit(
        cls,
        table,
        y,
        target,
        *,
        schema=None,
        recipe=None,
        sample_weight=None,
        groups=None,
        times=None,
        validation=None,
        refit=False,
        time_budget=None,
        seed=0,
        progress=None,
    ):
        """Train on every row of a table.

        Over several ranks each gives the shard of its rows, and y and whatever else is said of rows for these. The
        networks are trained on the rows of all ranks, one after the other. What the columns are, and where the edges of
        their bins lie, is found in the sample of the shards; categories, folds, and the mean and scale of the target
        are those of all rows. The model is the same on all ranks, but for `folds` and `held_out`.

        Parameters
        ----------
        table : Table or Shard
            The columns to learn from.
        y : array, (rows,)
            Labels from 0 on, or finite numbers.
        target : Target
        schema : Schema, optional
            By default that of all columns of the table but the target.
        recipe : Recipe, optional
            By default that of medium effort.
        sample_weight : array, (rows,), optional
        groups : array, (rows,), optional
            Rows of one group are held out together.
        times : array, (rows,), optional
            The latest rows are held out, by all networks, as the future is what the model has to predict.
        validation : (Table, y) or (Table, y, weights), optional
            The rows that are held out by all networks, which train on every row of `table`.
        refit : bool, default False
            Whether each network is trained anew on all rows, for the number of epochs that was best.
        time_budget : float, optional
            The seconds that training may take, about. What does not fit is left out: first networks, then epochs.
        seed : int
        progress : callable, optional
            Called after each epoch as ``progress(network, networks, epoch, epochs, cost)``, from any thread.

        Raises
        ------
        TableError, ValueError
            If there is nothing to learn from.
        KeyboardInterrupt
            On Ctrl-C, once the epochs that run have ended.
        """
        begin = time.monotonic()
        shard = table if isinstance(table, Shard) else Shard.of(table)
        ranks = shard.ranks
        schema = schema or ranks.decide(lambda: Schema.infer(shard.sample, exclude=(target.name,)))
        recipe = recipe or Recipe.of("medium", target.task, shard.total)
        target = target.fitted(y, ranks)
        encoder = Encoder.fit(shard, schema)
        X, targets = encoder.transform(shard.table), target.standardise(y)
        X_sample = X if ranks.alone else encoder.transform(shard.sample)
        rows = Rows(X, targets, None if sample_weight is None else np.asarray(sample_weight, np.float32))
        if validation is not None:
            other, y_other, *weights = validation
            validation = Rows(
                encoder.transform(other), target.standardise(y_other), *(np.asarray(w, np.float32) for w in weights)
            )
        labels = y if target.task == "classification" else None
        ranks.meet()  # since one may have had more rows to encode
        n_networks, folds = _hold_out(len(y), recipe.folds, labels, groups, times, validation is not None, seed, ranks)

        @functools.cache
        def layers_of(planned):
            return ranks.broadcast_object(_layers(encoder, X_sample, planned, target))

        def network(k, planned):
            return Network(layers_of(planned), seed=(seed + k) % 2**63, members=planned.members)

        deadline = None if time_budget is None else begin + time_budget
        if deadline is not None:
            n_networks, recipe = _within(deadline, network(0, recipe), rows, n_networks, recipe, target, ranks)
            folds[folds >= n_networks] = ALL_TRAINED
        splits = [(folds != k) & (folds != ALL_HELD_OUT) for k in range(n_networks)]
        networks, held_out, val_outputs, histories = [], [], [], []
        for planned in (recipe, recipe.linear()):
            kind = [network(k, planned) for k in range(n_networks)]
            training = Training(planned, target, n_networks, deadline, progress if planned is recipe else None, ranks)
            histories.append(training.run(kind, rows, splits, validation))
            held_out.append(_held_out(kind, folds, X, target))
            val_outputs.append(
                held_out[-1]
                if validation is None
                else _held_out(kind, np.full(len(validation), ALL_HELD_OUT), validation.X, target)
            )
            if refit:
                epochs = [best_epoch(history) for history in histories[-1]]
                kind = [network(k, planned) for k in range(n_networks)]
                training.run(kind, rows, epochs=epochs)
            networks.append(kind)
        background = draw_background(encoder, X_sample, seed)
        share = _linear_share(*val_outputs, rows if validation is None else validation, target, ranks)
        shares = [(1 - share) / n_networks] * n_networks + [share / n_networks] * n_networks
        ensemble = Ensemble.of(networks[0] + networks[1], shares) if share else Ensemble.of(networks[0])
        mixed = (1 - share) * held_out[0] + share * held_out[1]
        return cls(encoder, target, ensemble, None, background, histories[0], folds, mixed)

    @property
    def shares(self):
        """The share of each network of the ensemble in the mean, from 0 to 1."""
        return self.ensemble.shares or (1 / len(self.ensemble),) * len(self.ensemble)

    @property
    def networks(self):
        """The networks with hidden layers."""
        return [net for net in self.ensemble.networks if sum(isinstance(layer, Dense) for layer in net.layers) > 1]

    @property
    def linear_share(self):
        """The share of the linear networks, which come after the others, in the mean."""
        return sum(self.shares[len(self.networks) :])

    @property
    def holds_out_together(self):
        """Whether all networks held out the same training rows."""
        return bool((self.folds == ALL_HELD_OUT).any())

    def held_out_ensemble(self, fold):
        """Return the ensemble of the networks that did not see the rows of a fold of ``folds``, 0 up or -2.

        They are those of a fit without `refit`.
        """
        if fold == ALL_HELD_OUT:
            return self.ensemble
        n = len(self.histories)  # of the networks, behind which come as many linear ones, or none
        chosen = slice(fold, None, n)
        shares = None if self.ensemble.shares is None else self.ensemble.shares[chosen]
        return Ensemble.of(self.ensemble.networks[chosen], shares)

    def outputs(self, table):
        """Return the mean outputs of the networks, float64 (rows, outputs)."""
        return np.asarray(self.ensemble(self.encoder.transform(table)), np.float64)

    def predict(self, table):
        """Return the predictions of a table's rows in the user's terms, as ``Target.decode`` returns them."""
        return self.target.decode(self.outputs(table))

    def to_state(self):
        """Return all of it as a dict of plain and public objects, for pickles; ``from_state`` reads it."""
        return {
            "encoder": self.encoder.to_dict(),
            "target": self.target.to_dict(),
            "networks": self.ensemble.networks,
            "shares": self.ensemble.shares,
            "id": self.id,
            "background": self.background,
            "histories": self.histories,
            "folds": self.folds,
            "held_out": self.held_out,
        }

    @classmethod
    def from_state(cls, state):
        """Return the model that ``to_state`` described."""
        encoder, target = Encoder.from_dict(state["encoder"]), Target.from_dict(state["target"])
        rest = (state[name] for name in ("id", "background", "histories", "folds", "held_out"))
        return cls(encoder, target, Ensemble.of(state["networks"], state["shares"]), *rest)

    def save(self, path):
        """Write the model to a file, which ``load`` and ``fastprop predict`` read."""
        described = {"encoder": self.encoder.to_dict(), "target": self.target.to_dict(), "id": self.id}
        described["background"] = pack(self.background)
        self.ensemble.save(path, notes={"table": described})

    @classmethod
    def load(cls, path):
        """Return the model that `save` wrote.

        Raises
        ------
        ValueError
            If the file is no model of a table, or is damaged.
        """
        (networks, shares), notes = model_file.load_networks(path), model_file.read_notes(path)
        if "table" not in notes:
            raise ValueError(
                f"{path} holds a network but no description of a table's columns; "
                "wanted a model that `fastprop train` wrote"
            )
        try:
            encoder = Encoder.from_dict(notes["table"]["encoder"])
            target = Target.from_dict(notes["table"]["target"])
            names = notes["table"]["id"]
            if not (names is None or isinstance(names, str)):
                raise TypeError(f"the column of ids has a text for a name, got {names!r:.100}")
            background = unpack(notes["table"]["background"], encoder.n_inputs)
            fits = (encoder.n_inputs, target.n_outputs) == (networks[0].n_inputs, networks[0].n_outputs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: the description of the table's columns is not one that fastprop "
                f"{__version__} knows ({type(error).__name__}: {_validation.short(error)}); train again"
            ) from error
        if not fits:
            raise ValueError(
                f"{path}: the columns make {encoder.n_inputs} inputs and {target.n_outputs} outputs, "
                f"the network has {networks[0].n_inputs} and {networks[0].n_outputs}; train again"
            )
        return cls(encoder, target, Ensemble.of(networks, shares), names, background)


def _held_out(networks, folds, X, target):
    """Return the outputs for each row of the networks that did not see it, float64 (rows, outputs); else NaN."""
    found = np.full((len(X), target.n_outputs), np.nan)
    for fold in np.unique(folds[folds != ALL_TRAINED]):
        unseen = networks if fold == ALL_HELD_OUT else [networks[fold]]
        found[folds == fold] = Ensemble.of(unseen)(X[folds == fold])
    return found


def _linear_share(outputs, linear, rows, target, ranks):
    """Return the share of linear networks in the mean with which the cost of the rows held out is lowest, 0 to 1."""
    known = ~np.isnan(outputs).any(axis=1)
    ranks.meet()  # since one may have had more rows to predict
    if not ranks.any(known.any()):
        return 0.0
    evaluator = Network([target.n_outputs, Activation("identity")])
    few = rows.take(known)

    def cost(share):
        mixed = (1 - share) * outputs[known] + share * linear[known]
        measured = evaluator.evaluate(
            mixed, few.y, loss=target.loss, sample_weight=few.weight, communicator=ranks.communicator
        )
        return measured["cost"]

    return min(np.linspace(0, 1, 21).tolist(), key=cost)


@dataclass(frozen=True)
class Rows:
    """Internal: rows as a network takes them, X (rows, n_inputs), y (rows,) and weights (rows,) or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self):
        return len(self.y)

    def take(self, chosen):
        """Return the rows where the bool array `chosen` is True."""
        return Rows(self.X[chosen], self.y[chosen], None if self.weight is None else self.weight[chosen])


@dataclass
class Training:
    """Internal: the training of several networks side by side, each on one thread; over ranks one after the other."""

    recipe: Recipe
    target: Target
    n_networks: int
    deadline: float | None
    progress: object
    ranks: Ranks = ALONE

    def run(self, networks, rows, splits=None, validation=None, epochs=None):
        """Train networks, and return the history of each.

        Parameters
        ----------
        networks : list of Network
        rows : Rows
        splits : list of bool arrays, (rows,), optional
            The rows that each network trains on, by default all. The others are held out.
        validation : Rows, optional
            The rows that are held out, instead.
        epochs : list of int, optional
            The number of epochs of each, of those that are planned; by default early stopping ends them.
        """
        self.stopped = threading.Event()
        n = len(networks)
        splits, epochs = splits or [None] * n, epochs or [None] * n
        if not self.ranks.alone:  # since sums have to come in the same order on all ranks
            each = zip(networks, splits, epochs, strict=True)
            with config.threads(1):  # a rank's share of a batch is small
                return [self._train(k, net, rows, seen, validation, limit) for k, (net, seen, limit) in enumerate(each)]
        # Networks of this size train faster side by side, on a thread each, than one after the other on several.
        n_threads = min(n, config.get_num_threads())
        with config.threads(1), ThreadPoolExecutor(n_threads) as pool:
            waiting = [
                pool.submit(self._train, k, network, rows, seen, validation, limit)
                for k, (network, seen, limit) in enumerate(zip(networks, splits, epochs, strict=True))
            ]
            try:
                return [each.result() for each in waiting]
            except BaseException:  # those that run end after their epoch
                self.stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _train(self, k, network, rows, seen, held_out, limit):
        if seen is not None and self.ranks.any(not seen.all()):
            # copied here, so that only those of networks in training are there
            rows, held_out = rows.take(seen), rows.take(~seen) if held_out is None else held_out
        recipe = self.recipe
        batch_size, epochs = recipe.plan(int(self.ranks.sums(len(rows))[0]))
        patience = max(1, math.ceil(recipe.patience * epochs))
        validated = held_out is not None

        def on_epoch_end(run):
            if self.progress is not None:
                cost = run.history["validation_cost"][-1] if validated else run.cost
                self.progress(k, self.n_networks, run.epoch, epochs, cost)
            late = self.deadline is not None and time.monotonic() > self.deadline
            if late or self.stopped.is_set() or run.epoch == limit:
                run.stop()

        schedule = Cosine(recipe.rate, epochs=epochs)
        return network.fit(
            rows.X,
            rows.y,
            sample_weight=rows.weight,
            loss=self.target.loss,
            optimizer=AdamW(schedule, weight_decay=recipe.weight_decay),
            epochs=epochs,
            batch_size=batch_size,
            validation=tuple(each for each in vars(held_out).values() if each is not None) if validated else None,
            early_stopping=EarlyStopping(patience=patience) if validated else None,
            callbacks=on_epoch_end,
            communicator=self.ranks.communicator,
        )


def best_epoch(history):
    """Return the epoch, from 1, whose parameters a network kept: that of the lowest cost of the rows held out."""
    costs = history["validation_cost"] if "validation_cost" in history else history["cost"]
    return int(np.nanargmin(costs)) + 1 if "validation_cost" in history else len(costs)


def _layers(encoder, X, recipe, target):
    """Return the layers of a network, the first of which reads each input by its role."""
    roles = {role: [k for k, each in enumerate(encoder.inputs) if each.role == role] for role in ("number", "code")}
    recipe = recipe.for_columns(len(roles["number"]))
    edges = {k: _edges(X[:, k].astype(np.float64), recipe) for k in roles["number"] if recipe.hidden}
    encoded = [k for k in edges if len(edges[k]) > 1]
    parts = []
    if roles["code"]:
        sizes = [encoder.inputs[k].n_codes for k in roles["code"]]
        tables = {place: (n, recipe.embedding_width) for place, n in enumerate(sizes)}
        parts.append((Embedding(tables), roles["code"]))
    if encoded:  # the last part, since the layer after it is then computed without the encoding
        parts.append((PiecewiseLinear(tuple(edges[k] for k in encoded)), encoded))
    layers = [encoder.n_inputs, *([ByColumn(parts)] if parts else [])]
    for width in recipe.hidden:
        layers += [Dense(width, recipe.activation), *([Dropout(recipe.dropout)] if recipe.dropout else [])]
    return [*layers, target.n_outputs]


def _edges(column, recipe):
    """Return the edges of a column's bins: half of them quantiles of its rows, and half of its distinct values."""
    distinct = np.unique(column)
    if len(distinct) <= recipe.distinct:
        return distinct.astype(np.float32)
    shares = np.linspace(0, 1, recipe.bins // 2 + 1)
    found = np.concatenate([np.quantile(column, shares), np.quantile(distinct, shares)])
    return np.unique(found.astype(np.float32))


# With fewer rows than this in a fold, a few rows would decide which epoch is best.
LEAST_FOLD = 5


def _hold_out(rows, n_folds, labels, groups, times, validated, seed, ranks):
    """Return the number of networks, and for each row the network that does not see it, as ``TabularModel.folds``."""
    folds = np.full(rows, ALL_TRAINED, np.int64)
    if validated:
        return n_folds, folds
    total = int(ranks.sums(rows)[0])
    if times is not None:
        folds[latest(times, total // max(n_folds, 4), ranks)] = ALL_HELD_OUT
        return n_folds, folds
    n_groups = total if groups is None else len(group_sizes(groups, ranks)[1])
    least = 1 if groups is not None else LEAST_FOLD
    n_dealt = min(max(n_folds, 4), n_groups // least)
    if n_dealt < 2:
        return 1, folds
    folds = assign_folds(rows, n_dealt, labels, groups, seed, ranks)
    folds[folds >= n_folds] = ALL_TRAINED  # fewer than four networks hold out a quarter each
    return min(n_folds, n_dealt), folds


def _within(deadline, network, rows, n_networks, recipe, target, ranks):
    """Return how many networks can be trained until a deadline, and the recipe with as many steps as they can take."""
    few = rows.take(np.arange(len(rows)) < 16 * recipe.batch_size / ranks.size)
    begin = time.monotonic()
    trial = replace(recipe, steps=16, passes=0)
    Training(trial, target, 1, None, None, ranks).run([network], few)
    left, taken = ranks.broadcast_object((deadline - time.monotonic(), time.monotonic() - begin))
    side_by_side = min(n_networks, config.get_num_threads()) if ranks.alone else 1
    # A fifth of the time is for the costs of the rows held out, and for machines that slow down.
    affordable = max(1, int(0.8 * 16 * left / max(taken, 1e-6) * side_by_side))
    while n_networks > 1 and affordable < n_networks * recipe.steps / 4:
        n_networks -= 1
    return n_networks, replace(recipe, steps=max(1, min(recipe.steps, affordable // n_networks)), passes=0)


def assign_folds(rows, n_folds, labels=None, groups=None, seed=0, ranks=ALONE):
    """Return the fold, from 0 to n_folds - 1, of each row, int64 (rows,).

    Parameters
    ----------
    rows, n_folds : int
    labels : integer array, (rows,), optional
        The rows of each class are dealt evenly to the folds.
    groups : array, (rows,), optional
        Rows of one group come into one fold: the groups are dealt, the largest first, each to the smallest fold.
    seed : int
    ranks : Ranks
        Each gives its rows; a group may have rows on several.
    """
    if groups is not None:
        members, sizes = group_sizes(groups, ranks)
        fold_of, totals = np.empty(len(sizes), np.int64), np.zeros(min(n_folds, len(sizes)))
        # a stream of its own, apart from the initial weights and dropout
        order = np.random.default_rng([seed, 2]).permutation(len(sizes))
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            fold_of[group] = totals.argmin()
            totals[fold_of[group]] += sizes[group]
        return fold_of[members]
    order = np.random.default_rng([ranks.seed(seed), 2]).permutation(rows)
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    folds = np.empty(rows, np.int64)
    before = int(ranks.of_each(rows)[: ranks.rank].sum())  # so that folds are even, however few rows each rank has
    folds[order] = (before + np.arange(rows)) % n_folds
    return folds
