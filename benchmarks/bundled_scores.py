"""Compare mean cross-validated scores of fastprop's estimators and scikit-learn's, both with their defaults.

    python benchmarks/bundled_scores.py [--repeats 10] [--json out.json]

On the data sets that scikit-learn brings along, with columns as they come and behind a StandardScaler: accuracy, or R2
for diabetes. Five shuffled folds, as many times as asked, each time with another seed for folds and estimators.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastprop as fp

DATA_SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes")
KINDS = {"diabetes": (fp.MLPRegressor, MLPRegressor)}


def scores(kind, X, y, *, scaled, repeats):
    """Return the score of each fold, and the CPU seconds of all of them."""
    found, start = [], time.process_time()
    for seed in range(repeats):
        estimator = kind(random_state=seed)
        folds = (StratifiedKFold if is_classifier(estimator) else KFold)(5, shuffle=True, random_state=seed)
        whole = make_pipeline(StandardScaler(), estimator) if scaled else estimator
        found += cross_val_score(whole, X, y, cv=folds).tolist()
    return found, time.process_time() - start


def main():
    """Print a row for each data set and scaling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # neither has converged after 200 epochs on the small data sets
    print(f"fastprop {fp.__version__}, scikit-learn {sklearn.__version__}; 5 folds, {arguments.repeats} times")
    print(f"{'data set':14} {'columns':12} {'fastprop':>9} {'sklearn':>9} {'+-':>7} {'CPU s':>7} {'sklearn':>8}")
    rows = []
    for name in DATA_SETS:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        for scaled in (False, True):
            (ours, s), (theirs, its) = (
                scores(kind, X, y, scaled=scaled, repeats=arguments.repeats)
                for kind in KINDS.get(name, (fp.MLPClassifier, MLPClassifier))
            )
            # of the difference of the two means, by the repeats: folds of one repeat are not independent
            each = np.mean(np.reshape(np.subtract(ours, theirs), (arguments.repeats, 5)), axis=1)
            error = np.std(each, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
            how = "standardised" if scaled else "as they come"
            print(
                f"{name:14} {how:12} {np.mean(ours):9.4f} {np.mean(theirs):9.4f} {error:7.4f} {s:7.2f} {its:8.2f}",
                flush=True,
            )
            rows.append({"data": name, "columns": how, "fastprop": ours, "sklearn": theirs, "seconds": [s, its]})
    if arguments.json:
        arguments.json.write_text(json.dumps({"repeats": arguments.repeats, "rows": rows}))


if __name__ == "__main__":
    main()
