"""What `fastprop train` does with a table: which rows train, which are held out, the fits, and what is said of them."""

import argparse
import os
import shlex
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np

from fastprop._util.text import number
from fastprop._version import __version__
from fastprop.cli._common import StatusLine, note, read_tables
from fastprop.io import streams
from fastprop.tabular import baselines
from fastprop.tabular.comparison import compare, cross_validate, shown_name
from fastprop.tabular.inspection import held_out_ensembles, importances
from fastprop.tabular.model import ALL_HELD_OUT, TabularModel, assign_folds, best_epoch
from fastprop.tabular.readers import find_files
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema, infer_column
from fastprop.tabular.shard import Shard, group_sizes, latest, union
from fastprop.tabular.table import TableError
from fastprop.tabular.target import Target, split_rows
from fastprop.training.progress import clock
from fastprop.training.ranks import ALONE

__all__ = ["Study"]

KINDS = {"number": "numbers", "category": "categories", "time": "times", "text": "texts"}
NETWORKS = 8  # the largest number of networks with a line each


@dataclass
class Study:
    """A table, what is to be learned from it, which rows train, and which are held out.

    Attributes
    ----------
    args : argparse.Namespace
        The options of the command.
    shard : Shard
        The rows of this rank, and a sample of those of all.
    target : Target
    schema : Schema
    values : array, (rows,)
        The target of every row of this rank, as ``Target.encode`` returns it.
    training : int64 array
        The numbers of this rank's rows that train.
    test_rows, validation_rows : int64 array, or None
        The numbers of those that are scored, and of those that end the training.
    other : (Shard, array), or None
        The rows of another file that end the training, and their target.
    counts : dict of str to int
        How many rows of all ranks there are in the "table", for "training", "validation" and "test", and "without" a
        target.
    class_counts : int64 array, (classes,)
        The training rows of each class, of all ranks.
    gaps : dict of str to int
        The number of gaps in each column among the training rows of all ranks.
    groups, times : arrays, (rows,), or None
    recipe : Recipe
    held_out : dict of int to int
        The number of rows of all ranks in each fold of the last fit.
    planned : dict of int to int
        The epochs that were planned for each network of the last fit.
    seconds : float
        The time of the last fit.
    """

    args: argparse.Namespace
    shard: Shard
    target: Target
    schema: Schema
    values: np.ndarray
    training: np.ndarray
    test_rows: np.ndarray | None
    validation_rows: np.ndarray | None
    groups: np.ndarray | None
    times: np.ndarray | None
    recipe: Recipe
    other: tuple | None = None
    counts: dict = field(default_factory=dict)
    class_counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    gaps: dict = field(default_factory=dict)
    held_out: dict = field(default_factory=dict)
    planned: dict = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, args, files, ranks=ALONE):
        """Read the table, or this rank's share of it, and decide what the options leave open.

        Raises
        ------
        TableError, ValueError
            If a file is no table, or an option does not suit it.
        """
        shard = _shard_of(files, ranks, args.seed)
        ranks.decide(lambda: _check_options(shard.sample, args))
        na = args.na or None
        target = ranks.decide(lambda: Target.recognise(shard.sample, args.target, args.task, na=na))
        target = target.with_all_classes(shard.table, ranks)
        values, known = target.encode(shard.table)
        groups = None if args.groups is None else _groups(shard.table, args.groups, ranks)
        times = None if args.time_column is None else _times(shard, args.time_column, args.dates, known)
        ranks.meet()  # since one may have had more cells to read
        n_known, n_rows = (int(n) for n in ranks.sums(known.sum(), len(known)))
        recipe = Recipe.of(args.effort, target.task, n_known)
        if args.members is not None:
            recipe = replace(recipe, members=args.members)
        study = cls(args, shard, target, None, values, *[None] * 3, groups, times, recipe)
        rest, study.test_rows = study.split(np.flatnonzero(known), args.test_fraction, "--test-fraction")
        share = args.validation if isinstance(args.validation, float) else 0.0
        study.training, study.validation_rows = study.split(rest, share, "--validation")
        if isinstance(args.validation, str):
            other = _shard_of(ranks.decide(lambda: find_files([args.validation])), ranks, args.seed)
            values, known = target.encode(other.table)
            study.other = other.take(np.flatnonzero(known)), values[known]
        study._count(n_rows, n_known)
        training = shard.take(study.training)
        study.schema = ranks.decide(
            lambda: Schema.infer(
                training.sample,
                target=args.target,
                exclude=sorted({args.groups, args.id, *args.ignore} - {None}),
                categorical=args.categorical,
                keep=args.keep,
                na=na,
                dates=args.dates,
            )
        )
        study.gaps = _gaps(study.schema, training.table, ranks)
        return study

    def _count(self, n_rows, n_known):
        """Count the rows of all ranks."""
        parts = {"training": self.training, "validation": self.validation_rows, "test": self.test_rows}
        if self.other is not None:
            parts["validation"] = self.other[1]
        sizes = self.ranks.sums(*(0 if part is None else len(part) for part in parts.values()))
        self.counts = {"table": n_rows, "without": n_rows - n_known, **dict(zip(parts, map(int, sizes), strict=True))}
        if self.target.task == "classification":
            self.class_counts = np.bincount(self.values[self.training], minlength=len(self.target.classes))
            self.ranks.sum(self.class_counts)

    @property
    def ranks(self):
        """The processes that train together."""
        return self.shard.ranks

    @property
    def table(self):
        """The rows of this rank."""
        return self.shard.table

    @property
    def test(self):
        """The rows that are scored and their target, (Table, array), or None."""
        return self._part(self.test_rows)

    @property
    def validation(self):
        """The rows that end the training and their target, (Table, array), or None."""
        if self.other is not None:
            return self.other[0].table, self.other[1]
        return self._part(self.validation_rows)

    def _part(self, rows):
        return None if rows is None else (self.table.take(rows), self.values[rows])

    def on_sample(self, model):
        """Return the study and the model of the rows of the sample, so that one rank can end what all have begun."""
        if self.ranks.alone:
            return self, model
        gather = self.shard.gather

        def places(rows):
            chosen = np.zeros(self.table.n_rows, bool)
            chosen[[] if rows is None else rows] = True
            chosen = gather(chosen)
            return None if rows is None else np.flatnonzero(chosen)

        training = self.shard.take(self.training)
        study = replace(
            self,
            shard=Shard.of(self.shard.sample),
            values=gather(self.values),
            training=places(self.training),
            test_rows=places(self.test_rows),
            validation_rows=places(self.validation_rows),
            other=None if self.other is None else (Shard.of(self.other[0].sample), self.other[0].gather(self.other[1])),
            groups=None if self.groups is None else gather(self.groups),
            times=None if self.times is None else gather(self.times),
        )
        return study, replace(model, folds=training.gather(model.folds), held_out=training.gather(model.held_out))

    def split(self, rows, share, option):
        """Return the rows that train, and those of a share that is held out, or None if no rank has any.

        Whole groups are held out, the latest rows, or rows at random. `option` names the share in errors.
        """
        training, held_out = self._divide(rows, share)
        n_training, n_held_out = self.ranks.sums(len(training), len(held_out))
        if share and not (n_held_out and n_training):
            what = "groups" if self.groups is not None else "rows"
            error = ValueError(f"{option} {share:g} leaves {what} on one side alone; give another share")
            raise self.ranks.common(error)
        return training, held_out if n_held_out else None

    def _divide(self, rows, share):
        total = self.ranks.sums(len(rows))[0]
        if self.times is not None:
            held_out = latest(self.times[rows], int(total * share + 1e-9), self.ranks)
            return rows[~held_out], rows[held_out]
        if self.groups is not None:
            # The groups in a random order, until their rows are about the share.
            members, sizes = group_sizes(self.groups[rows], self.ranks)
            order = np.random.default_rng(self.args.seed).permutation(len(sizes))
            chosen = order[np.cumsum(sizes[order]) <= share * total + 1e-9]
            held_out = np.isin(members, chosen)
            return rows[~held_out], rows[held_out]
        labels = self.values[rows] if self.target.task == "classification" else None
        return split_rows(rows, share, self.ranks.seed(self.args.seed), labels)

    # ---- training ----

    def fit(self, rows, what="training"):
        """Return the model of some rows; `what` stands in the line of progress."""
        budget = self.args.time
        if budget is not None and self.args.cv:
            budget /= self.args.cv + 1  # of all fits together
        begin = time.perf_counter()
        self.planned = {}
        self.ranks.meet()  # since rank 0 may have compared models before
        with StatusLine() as line:

            done = {}

            def progress(network, networks, epoch, epochs, cost):
                self.planned[network], done[network] = epochs, epoch
                seen = sum(done.copy().values())  # other threads add to it
                left = clock((time.perf_counter() - begin) * (networks * epochs / seen - 1))
                numbers = [f"cost {number(cost, '.4g')}", f"{left} left"]
                of = f"{what}: network {network + 1} of {networks}"
                line.say(of, f"epoch {epoch}/{epochs}", *numbers, first=numbers)

            model = TabularModel.fit(
                self.shard.take(rows),
                self.values[rows],
                self.target,
                schema=self.schema,
                recipe=self.recipe,
                groups=None if self.groups is None else self.groups[rows],
                times=None if self.times is None else self.times[rows],
                validation=self.validation,
                time_budget=budget,
                seed=self.args.seed,
                progress=progress,
            )
        self.seconds = time.perf_counter() - begin
        folds = [ALL_HELD_OUT, *range(len(model.histories))]
        sizes = self.ranks.sums(*((model.folds == fold).sum() for fold in folds))
        self.held_out = dict(zip(folds, map(int, sizes), strict=True))
        model.id = self.args.id
        return model

    @property
    def compared(self):
        """The names of the baselines that this rank trains."""
        if self.ranks.rank:
            return []
        return ["guess"] if self.args.no_compare else baselines.available()

    def compare(self, model):
        """Return the scores of a model beside the baselines, or None if no row was held out."""
        rows, test = self.training, self.test or self.validation
        scored = self.test_rows if self.test_rows is not None else self.validation_rows if test is not None else rows
        groups = None if self.groups is None or scored is None else self.groups[scored]
        with StatusLine() as line:
            return compare(
                model,
                self.table.take(rows),
                self.values[rows],
                self.compared,
                test=test,
                groups=groups,
                seed=self.args.seed,
                progress=lambda name: line.say(f"comparing: {shown_name(name)}"),
            )

    def importances(self, model):
        """Return the importance of each column for the rows that were held out, the largest first."""
        rows = self.training
        ensembles = held_out_ensembles(model, self.table.take(rows), self.values[rows], self.test or self.validation)
        return importances(model, ensembles, self.args.seed) if ensembles else []

    def cross_validate(self):
        """Return the scores of a cross-validation of the whole training."""
        rows, seed, n, ranks = self.training, self.args.seed, self.args.cv, self.ranks
        y, groups = self.values[rows], None if self.groups is None else self.groups[rows]
        folds = assign_folds(len(rows), n, y if self.target.task == "classification" else None, groups, seed, ranks)
        sizes = np.bincount(folds, minlength=n)
        ranks.sum(sizes)
        if sizes.min() < 2:
            of = "" if groups is None else f" in {len(group_sizes(groups, ranks)[1])} groups"
            error = ValueError(f"--cv {n} makes folds of less than 2 of the {sizes.sum()} rows{of}; give fewer")
            raise ranks.common(error)
        left_out = iter(range(n))

        def fit(_):
            fold = next(left_out)
            return self.fit(rows[folds != fold], f"fold {fold + 1} of {n}")

        shard = self.shard.take(rows)
        table, y, folds_of = shard.sample, shard.gather(y), shard.gather(folds)
        groups = None if groups is None else shard.gather(groups)
        return cross_validate(fit, table, y, folds_of, self.compared, groups=groups, seed=seed)

    # ---- what is said ----

    def describe(self):
        """Print what the table holds and how it is used; what the user may not expect is a note."""
        table, target, schema, args, counts = self.shard.sample, self.target, self.schema, self.args, self.counts
        print(f"table: {table.path}, {counts['table']:,} rows, {len(table.names)} columns")
        if not self.ranks.alone:
            print(f"ranks: {self.ranks.size}, each with its share of the rows")
        other = "regression" if target.task == "classification" else "classification"
        change = "" if "text" in target.reason or args.task != "auto" else f"; --task {other} to change that"
        print(f"task: {target.task} of {target.name!r} ({target.reason}{change})")
        if target.task == "classification":
            shares = self.class_counts / self.class_counts.sum()
            shown = [f"{name} {share:.1%}" for name, share in zip(target.classes[:10], shares)]
            print(f"classes: {len(target.classes)} ({_listed(shown, len(target.classes))})")
        for kind, plural in KINDS.items():
            names = [column.name for column in schema.columns if column.kind == kind]
            if names:
                print(f"{plural}: {len(names)} ({_listed([repr(name)[:40] for name in names[:8]], len(names))})")
        gaps = [(name, n) for name, n in self.gaps.items() if n]
        if gaps:
            shown = [f"{name!r} {n:,}" for name, n in gaps[:10]]
            print(f"gaps: {_listed(shown, len(gaps))}; another input marks them")
        held = [
            f"{counts[part]:,} {what}"
            for part, what in (("validation", "held out to end the training"), ("test", "for the test"))
            if counts[part]
        ]
        training = counts["training"]
        how = "the latest" if self.times is not None else "whole groups" if self.groups is not None else "at random"
        chosen = f", {how}" if held and not isinstance(args.validation, str) else ""
        print(f"rows: {', '.join([f'{training:,} for training', *held])}{chosen}")
        note(*table.notes, *self.target.notes, *schema.notes, *schema.warnings)
        if counts["without"]:
            note(f"{counts['without']} of the rows have no {target.name!r} and are left out")
        if table.n_rows < counts["table"]:
            note(
                f"what the columns are was found in {table.n_rows:,} of the {counts['table']:,} rows, drawn from all "
                "ranks; the scores are of these too"
            )

    def describe_training(self, model):
        """Print what was trained, and which epoch each network kept."""
        note(*(each for each in model.encoder.notes if each not in self.schema.notes))
        networks = model.networks
        print(
            f"trained: {len(networks)} network{'s' if len(networks) > 1 else ''} of {networks[0].n_parameters:,} "
            f"parameters in {self.seconds:.1f} s (effort {self.args.effort}, seed {self.args.seed})"
        )
        trained = self.training_of(model)[:NETWORKS]
        of, out_of = (max(len(str(each[name])) for each in trained) for name in ("epoch_kept", "epochs"))
        for network in trained:
            kept, held = f"{network['epoch_kept']:{of}}", network["rows_held_out"]
            why = f"where the cost of {held:,} rows held out was lowest" if held else "the last, as no row is held out"
            print(f"  network {network['network']}: epoch {kept} of {network['epochs']:{out_of}} was kept, {why}")
        if len(networks) > NETWORKS:
            print(f"  and {len(networks) - NETWORKS} more")
        if model.linear_share:
            print(f"  linear networks: {model.linear_share:.0%} of the mean, which predicts the rows held out best")

    def training_of(self, model):
        """Return for each network how it was trained, as a dict."""
        found = []
        for k, history in enumerate(model.histories):
            held_out = self.counts["validation"] or self.held_out[ALL_HELD_OUT] or self.held_out[k]
            costs = history.get("validation_cost", history["cost"])
            found.append(
                {
                    "network": k + 1,
                    "epochs": len(history["epoch"]),
                    "epochs_planned": self.planned.get(k, len(history["epoch"])),
                    "epoch_kept": best_epoch(history),
                    "rows_held_out": held_out,
                    "cost": costs[best_epoch(history) - 1],
                }
            )
        return found

    def scored(self, model, comparison):
        """Return what the rows of the scores are, for people."""
        interval = "+- is half of a 95% interval"
        if self.args.cv:
            rows = f"{len(comparison.values):,} rows in {self.args.cv} folds"
            return f"{rows}, each predicted by a model of the others; {interval}"
        if self.test is not None:
            return f"{len(self.test[1]):,} rows of the test, which nothing was trained on; {interval}"
        if self.validation is not None:
            return f"{len(self.validation[1]):,} rows held out, which chose the epochs too; {interval}"
        by = "networks that" if model.holds_out_together else "the network that"
        return f"{len(comparison.values):,} rows held out, each by {by} did not see it; {interval}"

    def describe_scores(self, model, comparison):
        """Print the scores of the model beside those of the baselines, and how they compare."""
        if comparison is None:
            note("no row was held out, so there are no scores; give --test-fraction 0.2, or --cv 5")
            return
        print(f"scores: {self.scored(model, comparison)}")
        columns = streams.width(sys.stdout)
        for line in comparison.lines(columns and columns - 2):
            print(f"  {line}")
        if self.target.task == "regression":
            print(f"  RMSE and MAE are in the units of {self.target.name!r}")
        for sentence in self.verdicts(model, comparison):
            print(f"  {sentence}")
        if "trees" not in comparison.scores and not self.args.no_compare:
            note("boosted trees are compared with where scikit-learn is installed: pip install 'fastprop-nn[sklearn]'")

    def verdicts(self, model, comparison):
        """Return sentences that say how the model compares with the others."""
        said = comparison.verdicts()
        alone = not self.args.cv and self.test is None and self.validation is None and len(model.histories) > 1
        if alone and not model.holds_out_together and not all(each.startswith("better") for each in said):
            said.append(
                "each row is predicted here by the one network that did not see it; the model is the mean of "
                f"{len(model.histories)}, and usually better: --cv 5 compares that"
            )
        return said

    @property
    def command(self):
        """The command that repeats this training."""
        return "fastprop train " + " ".join(map(shlex.quote, self.args.words))

    def findings(self, model, comparison, found):
        """Return all that was found, as JSON can hold it."""
        return {
            "fastprop": __version__,
            "command": self.command,
            "table": {"path": str(self.table.path), "rows": self.counts["table"], "columns": list(self.table.names)},
            "target": {
                "column": self.target.name,
                "task": self.target.task,
                "reason": self.target.reason,
                "classes": list(self.target.classes),
                "rows_without": self.counts["without"],
            },
            "columns": [{"name": c.name, "kind": c.kind, "gaps": self.gaps[c.name]} for c in self.schema.columns],
            "notes": [*self.table.notes, *self.target.notes, *model.encoder.notes],
            "warnings": list(self.schema.warnings),
            "rows": {part: self.counts[part] for part in ("training", "validation", "test")},
            "effort": self.args.effort,
            "seed": self.args.seed,
            "seconds": self.seconds,
            "parameters": model.ensemble.networks[0].n_parameters,
            "networks": self.training_of(model),
            "linear_share": model.linear_share,
            "scores": None if comparison is None else comparison.to_dict(),
            "importances": [{"column": each.name, "value": each.value, "standard_error": each.error} for each in found],
        }


def _listed(shown, n):
    """Return the first of n texts as one, which says whether there are more."""
    return ", ".join(shown) + (", ..." if n > len(shown) else "")


def _check_options(table, args):
    """Check every column that the user named, and options that exclude each other."""
    named = [("--ignore", args.ignore), ("--categorical", args.categorical), ("--keep", args.keep)]
    named += [
        (option, [] if name is None else [name])
        for option, name in (("--id", args.id), ("--groups", args.groups), ("--time-column", args.time_column))
    ]
    for option, names in named:
        for name in names:
            table[name]  # refuses a name that is unknown
            if name == args.target:
                raise ValueError(f"{option} {name!r} is the target; give another column, or none")
    if args.cv and args.time_column is not None:
        raise ValueError(
            "--cv holds out rows of any time, and --time-column the latest; give one of them, or --test-fraction with "
            "--time-column"
        )
    if args.cv and (args.test_fraction or args.validation):
        raise ValueError("--cv scores every row; give it without --test-fraction and --validation")


def _shard_of(files, ranks, seed):
    """Return the shard of the table of some files; all ranks must see the same ones."""
    if not ranks.alone:
        ranks.decide(lambda: [os.path.getsize(file) for file in files])  # a file that is missing is an error of all
        ranks.meet(files=[(file, os.path.getsize(file)) for file in files])
    return Shard.of(read_tables(files, ranks), ranks, seed)


def _gaps(schema, table, ranks):
    """Return the number of gaps in each column of the rows of all ranks, by name."""
    found = []
    for values in schema.read(table):
        if isinstance(values, tuple):
            found.append((values[0] < 0).sum())
        else:
            found.append((np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)).sum())
    ranks.meet()  # since one may have read more cells
    return dict(zip(schema.names, map(int, ranks.sums(*found)), strict=True))


def _groups(table, name, ranks):
    """Return the group of each row as a number, the same on all ranks; a gap is a group of its own."""
    column = table[name]
    cells = np.array([column.cell(row) for row in range(len(column))], str)
    names = union(cells, ranks)
    codes, gaps = np.searchsorted(names, cells), cells == ""
    before = int(ranks.of_each(gaps.sum())[: ranks.rank].sum())
    codes[gaps] = len(names) + before + np.arange(gaps.sum())
    return codes


def _times(shard, name, dates, known):
    """Return the time of each row as a number or time, of which those of the known rows are no gaps."""
    table, sample = shard.table, shard.sample
    column = shard.ranks.decide(lambda: infer_column(sample, name, dates=dates)[0])
    if column is None or column.kind not in ("time", "number"):
        raise shard.ranks.common(
            TableError(f"{sample.where(name, 0)}; --time-column needs a column of dates, times or numbers")
        )
    times = column.read(table[name])
    missing = known & (np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    if missing.any():
        raise TableError(f"{table.where(name, int(missing.argmax()))}; --time-column needs a time in every row")
    return times
