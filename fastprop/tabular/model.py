"""TabularModel: networks for a table, from the cells to predictions. NumPy only; the estimators and commands use it."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

import fastprop as fp
from fastprop import _validation, config
from fastprop.io import model_file
from fastprop.nn.embeddings import PiecewiseLinear
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.target import Target

__all__ = ["TabularModel"]


@dataclass
class TabularModel:
    """The networks that were trained on a table, and all that is needed to predict from another one.

    Attributes
    ----------
    encoder : Encoder
    target : Target
    ensemble : fp.Ensemble
        A network for each fold. The outputs of the model are their mean.
    histories : list of fp.History
        Of the networks. They are not stored, nor is what follows.
    folds : int64 array, (rows,)
        The fold in which each training row was held out, or -1 where none was.
    held_out : float64 array, (rows, outputs)
        The outputs for each training row of the network that did not see it; NaN where there is none.
    """

    encoder: Encoder
    target: Target
    ensemble: fp.Ensemble
    histories: list = field(default_factory=list, compare=False)
    folds: np.ndarray | None = field(default=None, compare=False)
    held_out: np.ndarray | None = field(default=None, compare=False)

    @classmethod
    def fit(cls, table, y, target, *, schema=None, recipe=None, sample_weight=None, groups=None, seed=0, progress=None):
        """Train on every row of a table.

        Parameters
        ----------
        table : Table
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
        seed : int
        progress : callable, optional
            Called as ``progress(fold, folds, epoch, epochs)``.

        Raises
        ------
        TableError, ValueError
            If there is nothing to learn from.
        """
        schema = schema or Schema.infer(table, exclude=(target.name,))
        recipe = recipe or Recipe.of("medium", target.task)
        target = target.fitted(y)
        encoder = Encoder.fit(table, schema)
        X = encoder.transform(table)
        labels = y if target.task == "classification" else None
        folds = assign_folds(len(y), recipe.folds, labels, groups, seed)
        layers = [encoder.n_inputs, *_first_layer(encoder, X, recipe)]
        for width in recipe.hidden:
            layers += [fp.Dense(width, "relu"), fp.Dropout(recipe.dropout)]
        layers.append(target.n_outputs)
        members = recipe.members
        n_folds = folds.max() + 1
        networks = [fp.Network(layers, seed=seed + k, members=members) for k in range(n_folds)]
        targets = target.standardise(y)
        targets = targets if target.task == "classification" else targets.astype(np.float32)

        def train(k):
            return _train(networks[k], X, targets, sample_weight, folds != k, target, recipe)

        # Networks of this size train faster side by side, on a thread each, than one after the other on several.
        n_threads = min(n_folds, config.get_num_threads())
        with config.threads(1), ThreadPoolExecutor(n_threads) as pool:
            histories = list(pool.map(train, range(n_folds)))
        held_out = np.full((len(y), target.n_outputs), np.nan)
        for k, network in enumerate(networks):
            held_out[folds == k] = network(X[folds == k])
        return cls(encoder, target, fp.Ensemble.of(networks), histories, folds, held_out)

    def outputs(self, table):
        """Return the mean outputs of the networks, float64 (rows, outputs)."""
        return np.asarray(self.ensemble(self.encoder.transform(table)), np.float64)

    def predict(self, table):
        """Return the predictions of a table's rows in the user's terms, as ``Target.decode`` returns them."""
        return self.target.decode(self.outputs(table))

    def save(self, path):
        """Write the model to a file, which ``load`` and ``fastprop predict`` read."""
        notes = {"table": {"encoder": self.encoder.to_dict(), "target": self.target.to_dict()}}
        model_file.save_networks(self.ensemble.networks, path, notes=notes)

    @classmethod
    def load(cls, path):
        """Return the model that `save` wrote.

        Raises
        ------
        ValueError
            If the file is no model of a table, or is damaged.
        """
        networks, notes = model_file.load_networks(path), model_file.read_notes(path)
        if "table" not in notes:
            raise ValueError(
                f"{path} holds a network but no description of a table's columns; "
                "wanted a model that `fastprop train` wrote"
            )
        try:
            encoder = Encoder.from_dict(notes["table"]["encoder"])
            target = Target.from_dict(notes["table"]["target"])
            fits = (encoder.n_inputs, target.n_outputs) == (networks[0].n_inputs, networks[0].n_outputs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: the description of the table's columns is not one that fastprop "
                f"{fp.__version__} knows ({type(error).__name__}: {_validation.short(error)}); train again"
            ) from error
        if not fits:
            raise ValueError(
                f"{path}: the columns make {encoder.n_inputs} inputs and {target.n_outputs} outputs, "
                f"the network has {networks[0].n_inputs} and {networks[0].n_outputs}; train again"
            )
        return cls(encoder, target, fp.Ensemble.of(networks))


def _first_layer(encoder, X, recipe):
    """Return the layers that read the inputs: numbers piecewise linearly at their quantiles, all others as they are."""
    edges = []
    for k, each in enumerate(encoder.inputs):
        if each.role == "number":
            shares = np.linspace(0, 1, recipe.bins // 2 + 1)
            column = X[:, k].astype(np.float64)
            edges.append(np.union1d(np.quantile(column, shares), np.quantile(np.unique(column), shares)))
        else:
            edges.append(np.array([0.0, 1.0]))
    return [PiecewiseLinear(tuple(edge if len(edge) > 1 else edge[0] + np.array([0.0, 1.0]) for edge in edges))]


def _train(network, X, y, weight, training, target, recipe):
    """Train one network on the rows where `training`, with early stopping on the others, and return its history."""
    n = int(training.sum())
    batch_size = min(recipe.batch_size, n)
    epochs = math.ceil(recipe.steps * batch_size / n)
    schedule = fp.schedules.Cosine(recipe.rate, epochs=epochs)
    held = ~training
    validation = (X[held], y[held]) if weight is None else (X[held], y[held], weight[held])
    return network.fit(
        X[training],
        y[training],
        sample_weight=None if weight is None else weight[training],
        loss=target.loss,
        optimizer=fp.AdamW(schedule, weight_decay=recipe.weight_decay),
        epochs=epochs,
        batch_size=batch_size,
        validation=validation if held.any() else None,
        early_stopping=fp.EarlyStopping(patience=max(1, math.ceil(recipe.patience * epochs))) if held.any() else None,
    )


def assign_folds(rows, n_folds, labels=None, groups=None, seed=0):
    """Return the fold, from 0 to n_folds - 1, of each row, int64 (rows,).

    Parameters
    ----------
    rows, n_folds : int
    labels : integer array, (rows,), optional
        The rows of each class are dealt evenly to the folds.
    groups : array, (rows,), optional
        Rows of one group come into one fold: the groups are dealt, the largest first, each to the smallest fold.
    seed : int
    """
    generator = np.random.default_rng([seed, 2])  # a stream of its own, apart from the initial weights and dropout
    if groups is not None:
        _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        fold_of, totals = np.empty(len(sizes), np.int64), np.zeros(min(n_folds, len(sizes)))
        order = generator.permutation(len(sizes))
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            fold_of[group] = totals.argmin()
            totals[fold_of[group]] += sizes[group]
        return fold_of[members]
    order = generator.permutation(rows)
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    folds = np.empty(rows, np.int64)
    folds[order] = np.arange(rows) % n_folds
    return folds
