"""Time a GridSearchCV with two threads over 24 fits of a small network: fastprop's MLP and scikit-learn's.

    OMP_NUM_THREADS=1 python benchmarks/grid_search.py [--rounds 3]

8 penalties times 3 folds on 1,000 rows of 20 columns, 20-32-2, batches of 32, 50 epochs each without any stopping, so
both take the same number of steps; float32 for both. The two take turns; the best time of each counts, since the rest
measures what else the machine does.
"""

import argparse
import math
import time
import warnings

import joblib
import numpy as np
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import fastprop as fp

EPOCHS = 50


def search(kind, X, y):
    """Return the seconds of one grid search, and its best score."""
    estimator = kind(
        hidden_layer_sizes=(32,), batch_size=32, max_iter=EPOCHS, tol=0.0, n_iter_no_change=math.inf, random_state=0
    )
    grid = GridSearchCV(estimator, {"alpha": np.logspace(-4, 1, 8)}, cv=3, n_jobs=2, refit=False)
    start = time.perf_counter()
    with joblib.parallel_backend("threading"):
        grid.fit(X, y)
    return time.perf_counter() - start, grid.best_score_


def main():
    """Print the seconds of both, their scores, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", ConvergenceWarning)  # both stop after a fixed number of epochs, as intended
    X, y = make_classification(1000, 20, n_informative=10, random_state=0)
    X = StandardScaler().fit_transform(X).astype(np.float32)  # fastprop would do this by itself
    kinds = {"fastprop": fp.MLPClassifier, "scikit-learn": MLPClassifier}
    for kind in kinds.values():
        assert kind(max_iter=EPOCHS, tol=0.0, n_iter_no_change=math.inf).fit(X, y).n_iter_ == EPOCHS
    found = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            found[name].append(search(kind, X, y))
    best = {name: min(times)[0] for name, times in found.items()}
    for name, times in found.items():
        print(f"{name:13} {best[name]:8.3f} s   score {times[0][1]:.4f}")
    print(f"ratio         {best['scikit-learn'] / best['fastprop']:8.1f}")


if __name__ == "__main__":
    main()
