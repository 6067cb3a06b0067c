"""What `fastprop train` does with a table: which rows train, which are held out, the fits, and what is said of them."""

import argparse
import shlex
import time
from dataclasses import dataclass, field, replace

import numpy as np

from fastprop._version import __version__
from fastprop.cli._common import StatusLine, note, read_table
from fastprop.tabular import baselines
from fastprop.tabular.comparison import compare, cross_validate, shown_name
from fastprop.tabular.inspection import held_out_ensembles, importances
from fastprop.tabular.model import ALL_HELD_OUT, TabularModel, assign_folds, best_epoch
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema, infer_column
from fastprop.tabular.table import Table, TableError
from fastprop.tabular.target import Target, split_rows

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
    table : Table
    target : Target
    schema : Schema
    values : array, (rows,)
        The target of every row, as ``Target.encode`` returns it.
    training : int64 array
        The numbers of the rows that train.
    test, validation : (Table, array), or None
        The rows that are scored, those that end the training, and their target.
    without : int
        The number of rows without a target.
    groups, times : arrays, (rows,), or None
    held_groups : dict of str to array
        The groups of the rows that an option held out.
    recipe : Recipe
    planned : dict of int to int
        The epochs that were planned for each network of the last fit.
    seconds : float
        The time of the last fit.
    """

    args: argparse.Namespace
    table: Table
    target: Target
    schema: Schema
    values: np.ndarray
    training: np.ndarray
    test: tuple | None
    validation: tuple | None
    without: int
    groups: np.ndarray | None
    times: np.ndarray | None
    recipe: Recipe
    held_groups: dict = field(default_factory=dict)
    planned: dict = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, args):
        """Read the table, and decide what the options leave open.

        Raises
        ------
        TableError, ValueError
            If the file is no table, or an option does not suit it.
        """
        table = read_table(args.file)
        _check_options(table, args)
        target = Target.recognise(table, args.target, args.task, na=args.na or None)
        values, known = target.encode(table)
        groups = None if args.groups is None else _groups(table, args.groups)
        times = None if args.time_column is None else _times(table, args.time_column, args.dates, known)
        recipe = Recipe.of(args.effort, target.task, int(known.sum()))
        if args.members is not None:
            recipe = replace(recipe, members=args.members)
        study = cls(args, table, target, None, values, *[None] * 3, int((~known).sum()), groups, times, recipe)
        rest, study.test = study.split(np.flatnonzero(known), args.test_fraction, "--test-fraction")
        share = args.validation if isinstance(args.validation, float) else 0.0
        study.training, study.validation = study.split(rest, share, "--validation")
        if isinstance(args.validation, str):
            other = read_table(args.validation)
            values, known = target.encode(other)
            study.validation = other.take(known), values[known]
        study.schema = Schema.infer(
            table.take(study.training),
            target=args.target,
            exclude=sorted({args.groups, args.id, *args.ignore} - {None}),
            categorical=args.categorical,
            keep=args.keep,
            na=args.na or None,
            dates=args.dates,
        )
        return study

    def split(self, rows, share, option):
        """Return the rows that train, and (Table, values) of a share that is held out, or None if that is empty.

        Whole groups are held out, the latest rows, or rows at random. `option` names the share in errors.
        """
        training, held_out = self._divide(rows, share)
        if share and not (len(held_out) and len(training)):
            what = "groups" if self.groups is not None else "rows"
            raise ValueError(f"{option} {share:g} leaves {what} on one side alone; give another share")
        if not len(held_out):
            return training, None
        if self.groups is not None:
            self.held_groups[option] = self.groups[held_out]
        return training, (self.table.take(held_out), self.values[held_out])

    def _divide(self, rows, share):
        if self.times is not None:
            order = rows[np.argsort(self.times[rows], kind="stable")]
            n = int(len(rows) * share + 1e-9)
            return np.sort(order[: len(rows) - n]), np.sort(order[len(rows) - n :])
        if self.groups is not None:
            # The groups in a random order, until their rows are about the share.
            names, members, sizes = np.unique(self.groups[rows], return_inverse=True, return_counts=True)
            order = np.random.default_rng(self.args.seed).permutation(len(names))
            chosen = order[np.cumsum(sizes[order]) <= share * len(rows) + 1e-9]
            held_out = np.isin(members, chosen)
            return rows[~held_out], rows[held_out]
        labels = self.values[rows] if self.target.task == "classification" else None
        return split_rows(rows, share, self.args.seed, labels)

    # ---- training ----

    def fit(self, rows, what="training"):
        """Return the model of some rows; `what` stands in the line of progress."""
        budget = self.args.time
        if budget is not None and self.args.cv:
            budget /= self.args.cv + 1  # of all fits together
        begin = time.perf_counter()
        self.planned = {}
        with StatusLine() as line:

            def progress(network, networks, epoch, epochs):
                self.planned[network] = epochs
                line.say(f"{what}: network {network + 1} of {networks}, epoch {epoch} of at most {epochs}")

            model = TabularModel.fit(
                self.table.take(rows),
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
        model.id = self.args.id
        return model

    @property
    def compared(self):
        """The names of the baselines that are trained."""
        return ["guess"] if self.args.no_compare else baselines.available()

    def compare(self, model):
        """Return the scores of a model beside the baselines, or None if no row was held out."""
        rows = self.training
        test = self.test or self.validation
        if test is None:
            groups = None if self.groups is None else self.groups[rows]
        else:
            groups = self.held_groups.get("--validation" if self.test is None else "--test-fraction")
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
        rows, seed = self.training, self.args.seed
        y, groups = self.values[rows], None if self.groups is None else self.groups[rows]
        folds = assign_folds(len(rows), self.args.cv, y if self.target.task == "classification" else None, groups, seed)
        if np.bincount(folds, minlength=self.args.cv).min() < 2:
            of = "" if groups is None else f" in {len(np.unique(groups))} groups"
            raise ValueError(f"--cv {self.args.cv} makes folds of less than 2 of the {len(rows)} rows{of}; give fewer")
        n, done = folds.max() + 1, iter(range(1, folds.max() + 2))

        def fit(seen):
            return self.fit(rows[seen], f"fold {next(done)} of {n}")

        return cross_validate(fit, self.table.take(rows), y, folds, self.compared, groups=groups, seed=seed)

    # ---- what is said ----

    def describe(self):
        """Print what the table holds and how it is used; what the user may not expect is a note."""
        table, target, schema, args = self.table, self.target, self.schema, self.args
        print(f"table: {table.path}, {table.n_rows:,} rows, {len(table.names)} columns")
        other = "regression" if target.task == "classification" else "classification"
        change = "" if "text" in target.reason or args.task != "auto" else f"; --task {other} to change that"
        print(f"task: {target.task} of {target.name!r} ({target.reason}{change})")
        if target.task == "classification":
            shares = np.bincount(self.values[self.training], minlength=len(target.classes)) / len(self.training)
            shown = [f"{name} {share:.1%}" for name, share in zip(target.classes[:10], shares)]
            print(f"classes: {len(target.classes)} ({_listed(shown, len(target.classes))})")
        for kind, plural in KINDS.items():
            names = [column.name for column in schema.columns if column.kind == kind]
            if names:
                print(f"{plural}: {len(names)} ({_listed([repr(name)[:40] for name in names[:8]], len(names))})")
        gaps = [(name, n) for name, n in self.gaps().items() if n]
        if gaps:
            shown = [f"{name!r} {n:,}" for name, n in gaps[:10]]
            print(f"gaps: {_listed(shown, len(gaps))}; another input marks them")
        held = [
            f"{len(rows[1]):,} {what}"
            for rows, what in ((self.validation, "held out to end the training"), (self.test, "for the test"))
            if rows is not None
        ]
        how = "the latest" if self.times is not None else "whole groups" if self.groups is not None else "at random"
        chosen = f", {how}" if held and not isinstance(args.validation, str) else ""
        print(f"rows: {', '.join([f'{len(self.training):,} for training', *held])}{chosen}")
        note(*table.notes, *self.target.notes, *schema.notes, *schema.warnings)
        if self.without:
            note(f"{self.without} of the rows have no {target.name!r} and are left out")

    def gaps(self):
        """Return the number of gaps among the training rows, by column."""
        found = {}
        for column, values in zip(self.schema.columns, self.schema.read(self.table.take(self.training)), strict=True):
            if isinstance(values, tuple):
                found[column.name] = int((values[0] < 0).sum())
            else:
                found[column.name] = int((np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)).sum())
        return found

    def describe_training(self, model):
        """Print what was trained, and which epoch each network kept."""
        note(*(each for each in model.encoder.notes if each not in self.schema.notes))
        networks = model.networks
        print(
            f"trained: {len(networks)} network{'s' if len(networks) > 1 else ''} of {networks[0].n_parameters:,} "
            f"parameters in {self.seconds:.1f} s (effort {self.args.effort}, seed {self.args.seed})"
        )
        for network in self.training_of(model)[:NETWORKS]:
            kept, held = network["epoch_kept"], network["rows_held_out"]
            why = f"where the cost of {held:,} rows held out was lowest" if held else "the last, as no row is held out"
            print(f"  network {network['network']}: epoch {kept} of {network['epochs']} was kept, {why}")
        if len(networks) > NETWORKS:
            print(f"  and {len(networks) - NETWORKS} more")
        if model.linear_share:
            print(f"  linear networks: {model.linear_share:.0%} of the mean, which predicts the rows held out best")

    def training_of(self, model):
        """Return for each network how it was trained, as a dict."""
        found = []
        for k, history in enumerate(model.histories):
            if self.validation is not None:
                held_out = len(self.validation[1])
            else:
                held_out = int((model.folds == (ALL_HELD_OUT if model.holds_out_together else k)).sum())
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
        for line in comparison.lines():
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
        gaps = self.gaps()
        return {
            "fastprop": __version__,
            "command": self.command,
            "table": {"path": str(self.table.path), "rows": self.table.n_rows, "columns": list(self.table.names)},
            "target": {
                "column": self.target.name,
                "task": self.target.task,
                "reason": self.target.reason,
                "classes": list(self.target.classes),
                "rows_without": self.without,
            },
            "columns": [{"name": c.name, "kind": c.kind, "gaps": gaps[c.name]} for c in self.schema.columns],
            "notes": [*self.table.notes, *self.target.notes, *model.encoder.notes],
            "warnings": list(self.schema.warnings),
            "rows": {
                "training": len(self.training),
                "validation": 0 if self.validation is None else len(self.validation[1]),
                "test": 0 if self.test is None else len(self.test[1]),
            },
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


def _groups(table, name):
    """Return the group of each row as a number; a gap is a group of its own."""
    column = table[name]
    cells = [column.cell(row) for row in range(len(column))]
    _, codes = np.unique(cells, return_inverse=True)
    gaps = np.array([not cell for cell in cells])
    codes[gaps] = codes.max() + 1 + np.arange(gaps.sum())
    return codes


def _times(table, name, dates, known):
    """Return the time of each row as a number or time, of which those of the known rows are no gaps."""
    column, _ = infer_column(table, name, dates=dates)
    if column is None or column.kind not in ("time", "number"):
        raise TableError(f"{table.where(name, 0)}; --time-column needs a column of dates, times or numbers")
    times = column.read(table[name])
    missing = known & (np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    if missing.any():
        raise TableError(f"{table.where(name, int(missing.argmax()))}; --time-column needs a time in every row")
    return times
