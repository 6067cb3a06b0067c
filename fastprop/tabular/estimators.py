"""TabularClassifier and TabularRegressor: scikit-learn estimators for a table as it is."""

try:
    import narwhals  # noqa: F401  of which tables are made
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("narwhals", "sklearn"):
        raise
    raise ImportError(
        f"fastprop's TabularClassifier and TabularRegressor need {error.name}, which is not installed: "
        "pip install 'fastprop-nn[sklearn]'"
    ) from error
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from fastprop._util.public import publish
from fastprop.tabular.model import TabularModel
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.table import Table
from fastprop.tabular.target import Target


class BaseTabular(BaseEstimator):
    """The base class of both estimators; its subclasses know what y holds."""

    task: str

    def _fit(self, X, y, classes, sample_weight, groups):
        table = Table.from_frame(X)
        target = Target(getattr(y, "name", None) or "y", self.task, classes)
        schema = Schema.infer(table, categorical=self.categorical)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.model_ = TabularModel.fit(
            table,
            y,
            target,
            schema=schema,
            recipe=Recipe.of(self.effort, self.task),
            sample_weight=sample_weight,
            groups=groups,
            seed=seed,
        )
        self.n_features_in_ = len(table.names)
        self.feature_names_in_ = np.array(table.names, dtype=object)
        return self

    def _predict(self, X):
        check_is_fitted(self)
        return self.model_.predict(Table.from_frame(X))

    def save(self, path):
        """Write the fitted model to a file, which ``load`` and ``fastprop predict`` read."""
        check_is_fitted(self)
        self.model_.save(path)


class TabularClassifier(ClassifierMixin, BaseTabular):
    """Predict a class from a table as it is: numbers, categories, text, times and gaps."""

    task = "classification"

    def __init__(self, effort="medium", *, categorical=(), class_weight=None, random_state=None):
        self.effort = effort
        self.categorical = categorical
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Train on every row of a table."""
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, y[:, np.newaxis] if y.ndim == 1 else y)
        if self.class_weight is not None:
            of_class = compute_sample_weight(self.class_weight, y)
            weight = of_class if weight is None else weight * of_class
        return self._fit(X, labels, tuple(map(str, self.classes_.tolist())), weight, groups)

    def predict_proba(self, X):
        """Return the probability of each class, (rows, classes)."""
        return self._predict(X)

    def predict(self, X):
        """Return the likeliest class of each row."""
        return self.classes_[self._predict(X).argmax(axis=1)]


class TabularRegressor(RegressorMixin, BaseTabular):
    """Predict a number from a table as it is: numbers, categories, text, times and gaps."""

    task = "regression"

    def __init__(self, effort="medium", *, categorical=(), random_state=None):
        self.effort = effort
        self.categorical = categorical
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Train on every row of a table."""
        y = column_or_1d(np.asarray(y, np.float64), warn=True)
        return self._fit(X, y, (), sample_weight, groups)

    def predict(self, X):
        """Return the prediction of each row."""
        return self._predict(X)


publish(globals(), ("TabularClassifier", "TabularRegressor"))
