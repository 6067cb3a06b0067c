"""Compare the estimators of tables with boosted trees, other networks and a linear model: scores and CPU seconds.

    python benchmarks/tables.py                                     # every table, every method that is installed
    python benchmarks/tables.py --tables titanic bike --methods fastprop-medium trees --folds 2
    python benchmarks/tables.py --json benchmarks/results/sapphire_rapids/tables.json --check

Eight public tables from ../shared/data/tables, as users find them, and those that scikit-learn brings along, in five
shuffled folds (of classes: stratified). fastprop takes the frames as pandas reads them. The others get what a careful
user prepares: dates as numbers, categories as such, gaps as they are where a method takes them; all have their defaults
and one thread. A run that the JSON file has already is not repeated, unless with --again, so a long comparison can be
measured in parts: `rows` and the folds of each run say which. Runs on fewer rows are compared among themselves.
"""

import argparse
import os
import sys
from pathlib import Path

from machine import THREAD_VARIABLES

for _name in THREAD_VARIABLES:  # read when the libraries are loaded
    os.environ[_name] = "1"

import json
import time
import warnings
from collections import defaultdict

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.model_selection import KFold, StratifiedKFold

from contest.record import finish, head

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDS = 5

# name -> file, target (its name, or its place), columns that a careful user leaves out: row numbers and leaks
FILES = {
    "titanic": ("tables/titanic.csv", "survived", ["alive"]),
    "churn": ("tables/churn.csv", "churn", ["rownames"]),
    "income": ("tables/income.csv", "income >50K", []),
    "concrete": ("tables/concrete.csv", -1, []),
    "ames": ("tables/ames.csv", "price", ["rownames", "Order", "PID"]),
    "bike": ("tables/bike.csv", "cnt", ["instant"]),
    "diamonds": ("tables/diamonds.csv", "price", []),
    "taxis": ("tables/taxis.csv", "tip", ["total"]),
    "housing": ("housing.csv", "median_house_value", []),
}
PUBLIC = tuple(FILES)[:8]  # on which the promises are made
BUNDLED = ("diabetes", "breast_cancer", "wine")
CLASSES = ("titanic", "churn", "income", "breast_cancer", "wine")

# A method is behind another if its mean is worse by more than this (R2, or a share of the log loss), and by more than
# one standard error of the difference.
TOLERANCE = {"r2": 0.01, "log_loss": 0.02}


def load(name):
    """Return the columns of a table as pandas reads them, and the target."""
    if name in BUNDLED:
        from sklearn import datasets

        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        return frame, frame.pop("target")
    file, target, ignored = FILES[name]
    frame = pd.read_csv(DATA / file, encoding="utf-8-sig")
    y = frame.pop(frame.columns[target] if isinstance(target, int) else target)
    return frame.drop(columns=ignored), y


def prepared(frame):
    """Return a frame with dates as numbers, and all texts as categories."""
    columns = {}
    for name, column in frame.items():
        if column.dtype == bool:
            columns[name] = column.astype(float)
        elif pd.api.types.is_numeric_dtype(column):
            columns[name] = column
        elif column.dropna().astype(str).str.match(r"\d{4}-\d\d?-\d\d?|\d\d?/\d\d?/\d{4}").all():
            dates = pd.to_datetime(column)
            for part in ("year", "month", "day", "dayofweek", "hour"):
                columns[f"{name} {part}"] = getattr(dates.dt, part).astype(float)
            columns[f"{name} days"] = (dates - pd.Timestamp("2000-01-01")) / pd.Timedelta("1D")
        else:
            columns[name] = column.astype(object).astype("category")
    result = pd.DataFrame(columns)
    return result.loc[:, result.nunique() > 1]


# ---- methods: each takes whether there are classes, and returns an estimator of the prepared frame ----


def gaps_filled(train, test):
    """Return the frames with the medians of the training rows instead of gaps in numbers."""
    medians = train.median(numeric_only=True)
    return train.fillna(medians), test.fillna(medians)


def gaps_as_texts(train, test):
    """Return the frames with categories as texts, gaps as one of them."""
    names = train.select_dtypes("category").columns
    train, test = (
        each.assign(**{name: each[name].astype(object).fillna("gap").astype(str) for name in names})
        for each in (train, test)
    )
    return train, test


def frequent(train, test):
    """Return the frames with at most 254 categories a column, all that HistGradientBoosting takes."""
    kept = {name: train[name].value_counts().index[:254] for name in train.select_dtypes("category")}
    train, test = (
        each.assign(**{name: each[name].cat.set_categories(some) for name, some in kept.items()})
        for each in (train, test)
    )
    return train, test


def fastprop(effort):
    """Return a method of fastprop."""

    def make(classes):
        import fastprop as fp

        fp.set_num_threads(1)
        return (fp.TabularClassifier if classes else fp.TabularRegressor)(effort=effort, random_state=0)

    return make


def trees(early_stopping):
    """Return a method of scikit-learn's boosted trees."""

    def make(classes):
        from sklearn import ensemble

        kind = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor
        return kind(early_stopping=early_stopping, random_state=0)

    return make


def lightgbm(classes):
    """Return LightGBM with its defaults."""
    import lightgbm

    kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    return kind(n_jobs=1, random_state=0, verbose=-1)


def catboost(classes):
    """Return CatBoost with its defaults."""
    import catboost

    class WithCategories(catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor):
        def fit(self, X, y):
            texts = [name for name, kind in X.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
            return super().fit(X, y, cat_features=texts)

    return WithCategories(thread_count=1, random_seed=0, verbose=False, allow_writing_files=False)


def pytabkit(classifier, regressor):
    """Return a method of pytabkit with its tuned defaults, on the CPU."""

    def make(classes):
        import pytabkit
        import torch

        torch.set_num_threads(1)
        kind = getattr(pytabkit, classifier if classes else regressor)
        return kind(device="cpu", random_state=0, n_threads=1, verbosity=0)

    return make


def encoded(estimator):
    """Return an estimator of standardised numbers and an input for each category."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=2), make_column_selector(dtype_include="category")),
        sparse_threshold=0,
    )
    return make_pipeline(columns, estimator)


def network(classes):
    """Return scikit-learn's network with its defaults."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return encoded((MLPClassifier if classes else MLPRegressor)(random_state=0))


def linear(classes):
    """Return a logistic or a ridge regression, whose penalty is chosen on the training rows."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    return encoded(LogisticRegression(max_iter=2000) if classes else RidgeCV(np.logspace(-3, 3, 13)))


def unchanged(train, test):
    """Return the frames."""
    return train, test


# name -> what makes the estimator, and what it needs besides `prepared`; None: frames as pandas reads them
METHODS = {
    "fastprop-low": (fastprop("low"), None),
    "fastprop-medium": (fastprop("medium"), None),
    "fastprop-high": (fastprop("high"), None),
    "trees": (trees(early_stopping=False), frequent),
    "trees-stopped": (trees(early_stopping=True), frequent),
    "LightGBM": (lightgbm, unchanged),
    "CatBoost": (catboost, gaps_as_texts),
    "RealMLP": (pytabkit("RealMLP_TD_Classifier", "RealMLP_TD_Regressor"), gaps_filled),
    "TabM": (pytabkit("TabM_D_Classifier", "TabM_D_Regressor"), gaps_filled),
    "sklearn-MLP": (network, unchanged),
    "linear": (linear, unchanged),
}
LONG = ("RealMLP", "TabM")  # minutes for a fold: only where they are named


def scores(y, outputs, labels):
    """Return the scores of the probabilities of classes, or of predicted numbers."""
    if labels is None:
        return {
            "r2": metrics.r2_score(y, outputs),
            "rmse": metrics.root_mean_squared_error(y, outputs),
            "mae": metrics.mean_absolute_error(y, outputs),
        }
    outputs = np.asarray(outputs, np.float64)
    outputs = outputs / outputs.sum(axis=1, keepdims=True)  # float32 probabilities sum to 1 +- 1e-7
    return {
        "log_loss": metrics.log_loss(y, outputs, labels=labels),
        "auc": metrics.roc_auc_score(y, outputs[:, 1] if len(labels) == 2 else outputs, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(y, labels[outputs.argmax(axis=1)]),
    }


def measure(table, method, fold, rows):
    """Train on all folds but one, or on some rows of them, and return scores and times as an entry of the JSON."""
    frame, y = load(table)
    classes = table in CLASSES
    splits = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
    seen, left_out = list(splits.split(frame, y))[fold]
    if rows:
        seen = np.random.default_rng(fold).permutation(seen)[:rows]
    make, adapt = METHODS[method]
    if adapt is not None:
        frame = prepared(frame)
    train, test = frame.iloc[seen].reset_index(drop=True), frame.iloc[left_out].reset_index(drop=True)
    y_train, y_test = y.iloc[seen].reset_index(drop=True), y.iloc[left_out]
    if adapt is not None:
        train, test = adapt(train, test)
    estimator = make(classes)
    cpu, wall = time.process_time(), time.perf_counter()
    estimator.fit(train, y_train)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    predicting = time.process_time()
    outputs = estimator.predict_proba(test) if classes else np.ravel(estimator.predict(test))
    predicting = max(time.process_time() - predicting, 1e-9)
    return {
        "table": table,
        "method": method,
        "fold": fold,
        "rows": rows,
        "trained_on": len(train),
        **scores(y_test, outputs, np.asarray(estimator.classes_) if classes else None),
        "fit_cpu_seconds": cpu,
        "fit_seconds": wall,
        "predictions_per_cpu_second": len(test) / predicting,
    }


# ---- the comparison ----


def key(run):
    """Return what a run measures; there is one of each kind in a result."""
    return run["table"], run["method"], run["fold"], run["rows"]


def score_of(run):
    """Return the name of the score by which methods are compared."""
    return "log_loss" if "log_loss" in run else "r2"


def grouped(runs, rows):
    """Return the runs on so many rows as {table: {method: {fold: run}}}."""
    found = {name: {} for name in (*FILES, *BUNDLED)}
    for run in runs:
        if run["rows"] == rows:
            found[run["table"]].setdefault(run["method"], {})[run["fold"]] = run
    return found


def difference(ours, theirs):
    """Compare two methods on one table, {fold: run} each.

    Returns
    -------
    tuple of float
        How much worse `ours` is on the folds of both, as R2 or as a share of the log loss, and the standard error.
    """
    folds = sorted(ours.keys() & theirs.keys())
    name = score_of(ours[folds[0]])
    a, b = (np.array([each[fold][name] for fold in folds]) for each in (ours, theirs))
    each = (a - b) / b.mean() if name == "log_loss" else b - a
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0


def behind(ours, theirs):
    """Return whether a method is behind another on one table."""
    worse, error = difference(ours, theirs)
    return worse > max(TOLERANCE[score_of(next(iter(ours.values())))], error)


def tables_behind(found, ours, theirs, names):
    """Return the tables among `names` on which one method is behind another."""
    return [name for name in names if {ours, theirs} <= found[name].keys() and behind(*both(found[name], ours, theirs))]


def both(methods, ours, theirs):
    """Return the runs of two methods."""
    return methods[ours], methods[theirs]


def mean_ranks(found, methods, names):
    """Return the mean rank, 1 the best, of methods over the tables that all have, by name."""
    ranks = defaultdict(list)
    for name in names:
        if not set(methods) <= found[name].keys():
            continue
        folds = set.intersection(*(set(found[name][method]) for method in methods))
        sign = 1 if name in CLASSES else -1
        means = {
            method: sign * np.mean([found[name][method][fold][score_of(found[name][method][fold])] for fold in folds])
            for method in methods
        }
        for place, method in enumerate(sorted(methods, key=means.get), start=1):
            ranks[method].append(place)
    return {method: float(np.mean(each)) for method, each in ranks.items()}


def cpu_ratio(found, ours, theirs, names):
    """Return the median over tables of the CPU seconds of fit, as a multiple of another method's."""
    ratios = []
    for name in names:
        if {ours, theirs} <= found[name].keys():
            a, b = both(found[name], ours, theirs)
            folds = a.keys() & b.keys()
            ours_seconds, theirs_seconds = (sum(each[fold]["fit_cpu_seconds"] for fold in folds) for each in (a, b))
            ratios.append(ours_seconds / theirs_seconds)
    return float(np.median(ratios)) if ratios else np.nan


def broken_promises(runs):
    """Return what is promised of the default on the eight tables and does not hold in the runs, as sentences."""
    found, broken = grouped(runs, None), []
    for ours, allowed in (("fastprop-medium", 0), ("fastprop-low", 2)):
        for theirs in ("trees", "trees-stopped", "linear"):
            lost = tables_behind(found, ours, theirs, PUBLIC)
            if len(lost) > (0 if theirs == "linear" else allowed):
                broken.append(f"{ours} is behind {theirs} on {', '.join(lost)}")
    for ours, most in (("fastprop-medium", 6.0), ("fastprop-low", 2.0)):
        ratio = cpu_ratio(found, ours, "trees", PUBLIC)
        if ratio > most:
            broken.append(f"{ours} takes {ratio:.1f} times the CPU seconds of trees, asked at most {most:g}")
    ranks = mean_ranks(found, ["fastprop-medium", "trees", "trees-stopped", "LightGBM", "CatBoost"], PUBLIC)
    broken += [
        f"mean rank {rank:.2f} of {method}, {ranks['fastprop-medium']:.2f} of fastprop-medium"
        for method, rank in ranks.items()
        if rank < ranks["fastprop-medium"]
    ]
    return broken


def report(runs):
    """Print the mean scores with standard errors and CPU seconds, a row for each table."""
    for rows in sorted({run["rows"] for run in runs}, key=lambda rows: rows or 0):
        found = grouped(runs, rows)
        methods = [method for method in METHODS if any(method in each for each in found.values())]
        print(f"\n{rows or 'all'} rows: log loss or R2, +- standard error, CPU seconds of fit")
        print(" " * 14 + "".join(f"{method:>24}" for method in methods))
        for name in (*FILES, *BUNDLED):
            cells = []
            for method in methods:
                folds = list(found[name].get(method, {}).values())
                if not folds:
                    cells.append(f"{'-':>24}")
                    continue
                values = [run[score_of(run)] for run in folds]
                error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
                seconds = np.mean([run["fit_cpu_seconds"] for run in folds])
                cells.append(f"{np.mean(values):10.4f} +-{error:6.4f} {seconds:4.1f}")
            if found[name]:
                print(f"{name:14}{''.join(cells)}")
        for ours in methods:
            if ours.startswith("fastprop"):
                for theirs in methods:
                    if not theirs.startswith("fastprop"):
                        lost = tables_behind(found, ours, theirs, found)
                        ratio = cpu_ratio(found, ours, theirs, found)
                        shared = sum({ours, theirs} <= each.keys() for each in found.values())
                        print(
                            f"{ours} is behind {theirs} on {len(lost)} of {shared}"
                            f"{': ' if lost else ''}{', '.join(lost)}; {ratio:.2f} times its CPU seconds"
                        )


def main():
    """Measure, print, write and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=(*FILES, *BUNDLED), default=(*FILES, *BUNDLED))
    parser.add_argument("--methods", nargs="*", choices=tuple(METHODS))
    parser.add_argument("--folds", type=int, default=FOLDS, help="how many of the five folds are left out in turn")
    parser.add_argument("--rows", type=int, help="train on so many rows at most")
    parser.add_argument("--again", action="store_true", help="repeat the runs that the JSON file has")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="exit 1 if a promise does not hold")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of the others, about convergence and features' names
    methods = [name for name in METHODS if name not in LONG] if options.methods is None else options.methods
    runs = {}
    if options.json and options.json.exists():
        runs = {key(run): run for run in json.loads(options.json.read_text())["runs"]}
    result = head("tables") | {"threads": 1, "versions": versions()}
    for name in options.tables:
        if name in FILES and not (DATA / FILES[name][0]).exists():
            print(f"{DATA / FILES[name][0]} is absent: {name} is left out")
            continue
        for method in methods:
            for fold in range(options.folds):
                if (name, method, fold, options.rows) in runs and not options.again:
                    continue
                try:
                    run = measure(name, method, fold, options.rows)
                except ImportError as error:
                    print(f"{method} is left out: {error}")
                    break
                runs[key(run)] = run
                found = ", ".join(f"{what} {run[what]:.4f}" for what in (score_of(run), "fit_cpu_seconds"))
                print(f"{name} {method} fold {fold}: {found}", flush=True)
            if options.json:
                finish(result | {"runs": list(runs.values())}, argparse.Namespace(json=options.json, check=False), [])
    report(runs.values())
    return finish(result | {"runs": list(runs.values())}, options, broken_promises(runs.values()))


def versions():
    """Return the versions of the libraries that are installed, by name."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("scikit-learn", "lightgbm", "catboost", "pytabkit", "torch", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


if __name__ == "__main__":
    sys.exit(main())
