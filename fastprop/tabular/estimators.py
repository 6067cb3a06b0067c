"""TabularClassifier and TabularRegressor: scikit-learn estimators for a table as it is."""

try:
    import narwhals.stable.v2 as nw
    import sklearn.utils.validation
except ModuleNotFoundError as error:
    if error.name not in ("narwhals", "sklearn"):
        raise
    raise ImportError(
        f"fastprop's TabularClassifier and TabularRegressor need {error.name}, which is not installed: "
        "pip install 'fastprop-nn[sklearn]'"
    ) from error
if not hasattr(sklearn.utils.validation, "validate_data"):  # new in 1.6, as are the tags of estimators
    raise ImportError(
        f"fastprop's TabularClassifier and TabularRegressor need scikit-learn 1.6 or newer, got {sklearn.__version__}: "
        "pip install --upgrade 'fastprop-nn[sklearn]'"
    )
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import issparse  # some formats are dicts
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state, compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d, validate_data

from fastprop import _validation
from fastprop._util.public import publish
from fastprop._util.text import number
from fastprop._version import reference
from fastprop.tabular.model import TabularModel
from fastprop.tabular.recipe import EFFORTS, Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.shard import Shard, union
from fastprop.tabular.table import Table
from fastprop.tabular.target import Target
from fastprop.training.ranks import Ranks


def _predicts_quantiles(estimator):
    """Tell available_if whether the loss is that of quantiles: return True, or raise an error with the reason."""
    name = getattr(estimator.loss, "name", estimator.loss)
    if name != "quantile":
        raise AttributeError(f"predict_quantiles needs loss=fp.losses.quantile(levels=...), got {name}")
    return True


class BaseTabular(BaseEstimator):
    """The base class of both estimators; its subclasses know what y holds."""

    _doc_link_module, _doc_link_template = "fastprop", reference("tabular.estimators")  # scikit-learn's diagram has it
    task: str

    def __init__(
        self,
        effort="medium",
        *,
        members=None,
        folds=None,
        refit=False,
        time_budget=None,
        categorical=(),
        loss="squared_error",
        verbose=False,
        random_state=None,
    ):
        self.effort = effort
        self.members = members
        self.folds = folds
        self.refit = refit
        self.time_budget = time_budget
        self.categorical = categorical
        self.loss = loss
        self.verbose = verbose
        self.random_state = random_state

    def _fit(self, X, y, target, sample_weight, groups, times, eval_set, ranks, **known):
        """Fit, with attributes `known` from y; a fit that fails leaves the estimator as it was."""
        before = self.__dict__.copy()
        self.__dict__.update(known)
        try:
            return self._fit_checked(X, y, target, sample_weight, groups, times, eval_set, ranks)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit_checked(self, X, y, target, sample_weight, groups, times, eval_set, ranks):
        table = self._table(X, fitting=True, least=2 if ranks.alone else 0)
        check_consistent_length(y, *(each for each in (sample_weight, groups, times) if each is not None))
        if table.n_rows != len(y):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[table.n_rows, len(y)]}")
        _validation.choice("effort", self.effort, EFFORTS)
        options = {name: value for name, value in self.get_params().items() if name not in ("random_state", "verbose")}
        given = {"sample_weight": sample_weight, "groups": groups, "times": times, "eval_set": eval_set}
        ranks.meet(
            target=target.name, **options, **{f"{name} given": values is not None for name, values in given.items()}
        )
        recipe = Recipe.of(self.effort, self.task, int(ranks.sums(len(y))[0]))
        if self.members is not None:
            recipe = replace(recipe, members=_validation.count("members", self.members))
        if self.folds is not None:
            recipe = replace(recipe, folds=_validation.count("folds", self.folds))
        budget = None
        if self.time_budget is not None:
            budget = _validation.number("time_budget", self.time_budget, above=0)
        weight, rows = None, np.arange(len(y))
        if sample_weight is not None:
            weight = np.asarray(column_or_1d(sample_weight), np.float64)
            if not np.isfinite(weight).all() or (weight < 0).any() or not ranks.any(weight.any()):
                raise ValueError("the weights of rows must be finite and not negative, and not all of them zero")
            rows = np.flatnonzero(weight)  # a weight of 0 leaves the row out, in quantiles and folds too
        validation = None
        if eval_set is not None:
            X_val, y_val = eval_set
            validation = self._table(X_val, least=1 if ranks.alone else 0), self._encode(y_val)
        seed = ranks.broadcast_object(int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)))

        def chosen(values):
            return None if values is None else np.asarray(values)[rows]

        shard = Shard.of(table.take(rows), ranks, seed)
        names = shard.sample.names
        # the user chose the columns
        schema = ranks.decide(lambda: Schema.infer(shard.sample, categorical=self.categorical, keep=names))
        model = TabularModel.fit(
            shard,
            y[rows],
            target,
            schema=schema,
            recipe=recipe,
            sample_weight=chosen(weight),
            groups=chosen(groups),
            times=chosen(times),
            validation=validation,
            refit=self.refit,
            time_budget=budget,
            seed=seed,
            progress=_report_epoch if self.verbose and ranks.rank == 0 else None,
        )
        self.model_, self.n_features_in_ = model, len(names)
        return self

    def _table(self, X, fitting=False, least=1):
        """Return the table that X is, of at least `least` rows; the columns of an array are those of the fit."""
        if nw.dependencies.is_into_dataframe(X) or (isinstance(X, Table | Mapping) and not issparse(X)):
            table = Table.from_frame(X)
            if fitting:
                self.feature_names_in_ = np.array(table.names, dtype=object)
            if fitting and table.n_rows < least:
                raise ValueError(f"found {table.n_rows} sample(s) in X, while a minimum of {least} is required")
            return table
        options = {"dtype": None, "ensure_all_finite": "allow-nan", "ensure_min_samples": least}
        array = validate_data(self, X, reset=fitting, **options)
        names = getattr(self, "feature_names_in_", [f"x{k}" for k in range(array.shape[1])])
        return Table.from_frame({name: array[:, k] for k, name in enumerate(names)})

    def _outputs(self, X):
        check_is_fitted(self)
        return self.model_.outputs(self._table(X))

    def save(self, path):
        """Write the fitted model to a file, which ``load`` and ``fastprop predict`` read.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        self.model_.save(path)

    @classmethod
    def load(cls, path):
        """Return a fitted estimator with the model of a file that ``save`` or ``fastprop train`` wrote.

        Its parameters are the defaults, since the file does not hold those of the training.

        Raises
        ------
        ValueError
            If the file is no model of a table, is damaged, or its task is another.
        """
        model = TabularModel.load(path)
        if model.target.task != cls.task:
            raise ValueError(f"{path} holds a {model.target.task}; load it with the other class of estimator")
        estimator = cls()
        estimator._take(model)
        return estimator

    def _take(self, model):
        self.model_, self.n_features_in_ = model, len(model.encoder.names)
        self.feature_names_in_ = np.array(model.encoder.names, dtype=object)

    def __getstate__(self):
        """Return the attributes for a pickle, which names no inner class."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = state["model_"].to_state()
        return state

    def __setstate__(self, state):
        if "model_" in state:
            state = state | {"model_": TabularModel.from_state(state["model_"])}
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _name(y):
    """Return the name of the target for the model file: that of a pandas or polars Series, or "y"."""
    name = getattr(y, "name", None)
    return "y" if name is None else str(name)


def _report_epoch(network, networks, epoch, epochs, cost):
    """Print the epoch that a network has ended."""
    of = f"network {network + 1} of {networks}: epoch {epoch} of at most {epochs}"
    print(f"{of}, cost {number(cost)}", file=sys.stderr)


class TabularClassifier(ClassifierMixin, BaseTabular):
    """Predict a class from a table as it is, with a good model by default.

    The table may hold numbers, bool, categories, text, times and gaps, in a DataFrame of pandas or polars, a table of
    pyarrow, a dict of arrays or an array. Nothing has to be scaled, encoded or filled. Several networks are trained,
    each on other rows; each keeps the parameters that predicted the rows held out from it best, and the model is their
    mean. The guide "Tables" describes the recipe, and how it was found.

    Parameters
    ----------
    effort : {"low", "medium", "high"}, default "medium"
        How much is computed for a good model.
    members : int, optional
        The number of networks with shared weights in each network (TabM); by default that of the effort.
    folds : int, optional
        The number of networks, each with a fold of the rows held out; by default that of the effort. Fewer than four
        hold out a quarter each.
    refit : bool, default False
        Whether the networks are trained anew on all rows, for the number of epochs that was best on the rows held out.
    time_budget : float, optional
        About how many seconds ``fit`` may take. What does not fit is left out.
    categorical : sequence of str
        Columns of numbers that are categories.
    loss : str or Loss, default "log_loss"
        "log_loss" is the cross-entropy; another is ``fp.losses.focal(gamma=2)``.
    class_weight : dict or "balanced", optional
        A weight for the rows of each class, as in scikit-learn's other classifiers.
    verbose : bool, default False
        Whether to print a line for each epoch.
    random_state : int, RandomState or None
        The seed of initial weights, folds, order of rows and dropout. The same int gives the same bits, on any number
        of threads.

    Attributes
    ----------
    classes_ : ndarray
    model_ : TabularModel
        The encoder of the columns, the networks, their histories and their predictions of the rows held out.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> fp.TabularClassifier(effort="low", random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    task = "classification"

    def __init__(
        self,
        effort="medium",
        *,
        members=None,
        folds=None,
        refit=False,
        time_budget=None,
        categorical=(),
        loss="log_loss",
        class_weight=None,
        verbose=False,
        random_state=None,
    ):
        super().__init__(
            effort,
            members=members,
            folds=folds,
            refit=refit,
            time_budget=time_budget,
            categorical=categorical,
            loss=loss,
            verbose=verbose,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X, y, sample_weight=None, *, groups=None, times=None, eval_set=None, communicator=None):
        """Train on the rows of a table.

        Parameters
        ----------
        X : DataFrame, dict of str to array_like, or array_like, (rows, columns)
        y : array_like, (rows,)
            The class of each row: int, bool or str.
        sample_weight : array_like, (rows,), optional
        groups : array_like, (rows,), optional
            Rows of one group, such as those of one person, are held out together.
        times : array_like, (rows,), optional
            Numbers or times: the latest rows are held out, instead of folds at random.
        eval_set : (X, y), optional
            The rows that are held out, instead of folds: all networks train on all rows of the first X.
        communicator : Communicator, optional
            The processes that train together, such as ``fp.distributed.mpi()``. Each gives its own rows of the table,
            and what else belongs to them, such as its rows of `eval_set`; it may have none. The networks are trained on
            the rows of all, and the model is the same everywhere. What the columns are, and quantiles of them, is found
            in at most 100,000 rows drawn from all; categories, classes and scales are those of all rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or there is no column to learn from.
        """
        ranks = Ranks.of(communicator)
        with ranks.together():
            y_given, y = y, column_or_1d(y, warn=True)
            assert_all_finite(y, input_name="y")
            check_classification_targets(y)
            ranks.meet()  # since one may have read its rows for longer
            classes = union(y, ranks)
            labels = np.searchsorted(classes, y)
            weight = sample_weight
            if self.class_weight is not None:
                weight = self._weight_of_classes(classes, labels, ranks)[labels]
                weight = weight if sample_weight is None else weight * np.asarray(sample_weight)
            kind = {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(classes.dtype.kind, "str")
            names = tuple(map(str, classes.tolist()))
            target = Target(_name(y_given), self.task, names, given_loss=self.loss, class_dtype=kind)
            return self._fit(X, labels, target, weight, groups, times, eval_set, ranks, classes_=classes)

    def _weight_of_classes(self, classes, labels, ranks):
        """Return the weight of the rows of each class, float64 (classes,)."""
        if not (isinstance(self.class_weight, str) and self.class_weight == "balanced"):
            return compute_class_weight(self.class_weight, classes=classes, y=classes)
        counts = np.bincount(labels, minlength=len(classes)).astype(np.float64)
        ranks.sum(counts)
        return counts.sum() / (len(classes) * counts)

    def _encode(self, y):
        y = column_or_1d(y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y of eval_set has classes that y does not have: {unknown.tolist()!r:.200}")
        return np.searchsorted(self.classes_, y)

    def predict_proba(self, X):
        """Return the probability of each class, float64 (rows, classes)."""
        outputs = self._outputs(X)
        return self.model_.target.decode(outputs)

    def predict(self, X):
        """Return the likeliest class of each row, (rows,)."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(axis=1)]

    def _take(self, model):
        super()._take(model)
        self.classes_ = model.target.class_values


class TabularRegressor(RegressorMixin, BaseTabular):
    """Predict a number from a table as it is, with a good model by default.

    All that ``TabularClassifier`` says of tables and of the recipe is true here.

    Parameters
    ----------
    effort, members, folds, refit, time_budget, categorical, verbose, random_state
        As ``TabularClassifier`` takes them.
    loss : str or Loss, default "squared_error"
        What is minimised: "squared_error" predicts means, "absolute_error" medians, "huber" something between them;
        "poisson" counts, "gamma" and "tweedie" amounts, all three means that are never negative;
        ``fp.losses.quantile(levels=(0.1, 0.5, 0.9))`` several quantiles, see ``predict_quantiles``.

    Attributes
    ----------
    model_ : TabularModel
        The encoder of the columns, the networks, their histories and their predictions of the rows held out.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> fp.TabularRegressor(effort="low", random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    task = "regression"

    def fit(self, X, y, sample_weight=None, *, groups=None, times=None, eval_set=None, communicator=None):
        """Train on the rows of a table.

        Parameters
        ----------
        X, sample_weight, groups, times, eval_set, communicator
            As ``TabularClassifier.fit`` takes them.
        y : array_like, (rows,)
            The number of each row.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or there is no column to learn from.
        """
        ranks = Ranks.of(communicator)
        with ranks.together():
            target = Target(_name(y), self.task, given_loss=self.loss)
            return self._fit(X, self._encode(y), target, sample_weight, groups, times, eval_set, ranks)

    def _encode(self, y):
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        return np.asarray(_check_y(column_or_1d(y, warn=True), y_numeric=True), np.float64)

    def predict(self, X):
        """Return the prediction of each row, float64 (rows,); of several quantiles the one nearest to the median."""
        outputs = self._outputs(X)
        return self.model_.target.decode(outputs)

    @available_if(_predicts_quantiles)
    def predict_quantiles(self, X):
        """Return the quantiles of the loss "quantile" for each row, float64 (rows, levels), in increasing order."""
        outputs = self._outputs(X)
        return self.model_.target.decode_all(outputs)


publish(globals(), ("TabularClassifier", "TabularRegressor"))
