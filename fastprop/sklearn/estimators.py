"""MLPClassifier and MLPRegressor, with the interface of scikit-learn's estimators and the training of fastprop."""

try:
    import sklearn
    import sklearn.utils.validation
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ImportError(
        "fastprop's MLPClassifier and MLPRegressor need scikit-learn, which is not installed: "
        "pip install 'fastprop-nn[sklearn]'"
    ) from error
if not hasattr(sklearn.utils.validation, "validate_data"):  # new in 1.6, as are the tags of estimators
    raise ImportError(
        f"fastprop's MLPClassifier and MLPRegressor need scikit-learn 1.6 or newer, got {sklearn.__version__}: "
        "pip install --upgrade 'fastprop-nn[sklearn]'"
    )
import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastprop._util.public import publish
from fastprop.data.targets import BINARY
from fastprop.nn import custom_loss
from fastprop.nn.losses import Loss
from fastprop.sklearn._base import BaseMLP
from fastprop.training.metrics import LOG_MEAN
from fastprop.training.ranks import Ranks

NO_PROBABILITIES = ("hinge", "binary_hinge")


def _stochastic(estimator: BaseMLP) -> bool:
    """Tell available_if whether there is ``partial_fit``: return True, or raise an AttributeError with the reason."""
    if not estimator._stochastic():
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def _probabilistic(estimator: BaseMLP) -> bool:
    """Tell available_if whether the loss gives probabilities, as ``_stochastic`` does."""
    name = getattr(estimator.loss, "name", estimator.loss)
    if name in NO_PROBABILITIES:
        raise AttributeError(f"the loss {name} gives no probabilities; use decision_function")
    return True


def _predicts_quantiles(estimator: BaseMLP) -> bool:
    """Tell available_if whether the loss is that of quantiles, as ``_stochastic`` does."""
    name = getattr(estimator.loss, "name", estimator.loss)
    if name != "quantile":
        raise AttributeError(f"predict_quantiles needs loss=fp.losses.quantile(levels=...), got {name}")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron that predicts a class, or several labels at once, with scikit-learn's interface.

    The parameters and attributes of ``sklearn.neural_network.MLPClassifier`` have the same meaning here. The defaults
    differ in what "auto" means as `batch_size`, and in `standardize`, which is new: benchmarks/bundled_scores.py
    measures its effect on scikit-learn's bundled data sets.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        The widths of the hidden layers.
    activation : str, Activation, or a sequence of them with one for each hidden layer, default "relu"
        Any of ``fastprop.activations``; "logistic" is the sigmoid.
    loss : str, Loss or callable, default "log_loss"
        "log_loss" is the cross-entropy, of the sigmoid with two classes or several labels at once, else of the softmax.
        Other losses of ``fastprop.losses`` for classes are given by name, and a name stands for the binary form too
        ("focal" for "binary_focal"). A loss with its hyperparameters, ``fp.losses.focal(gamma=1)``, is used as it is: a
        binary one with more than two classes separates each class from the rest. A function (Y, y) -> (cost, dY), as
        ``Trainer`` takes it, gets an output for each class, and labels from 0 on or the indicator matrix.
    solver : str, Optimizer or LBFGS, default "adam"
        "sgd", "adam", "lbfgs", the name of any other optimiser of fastprop, or an instance, as ``fp.Lion(3e-4)``.
    alpha : float, default 1e-4
        The L2 penalty on the weights: alpha / 2 times the sum of their squares, divided by the rows of a batch.
    batch_size : int or "auto", default "auto"
        The rows in a step. "auto" is a sixteenth of all rows, but at least 32 and at most 200. "lbfgs" and "rprop" take
        all rows.
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule, default "constant"
        "invscaling" is ``learning_rate_init / (t_ + 1)^power_t``. "adaptive" divides the rate by 5 whenever
        n_iter_no_change epochs brought no improvement, and stops when it is below 1e-6. A schedule of
        ``fastprop.schedules`` determines the rate itself. All of these work with every solver except "lbfgs".
    learning_rate_init : float or None, default 0.001
        None is the default of the optimiser.
    power_t : float, default 0.5
        The exponent of "invscaling".
    max_iter : int, default 200
        The largest number of epochs, or of iterations of "lbfgs".
    shuffle : bool, default True
        Whether each epoch takes the rows in a new random order.
    random_state : int, RandomState or None
        The seed of the initial weights, the order of rows, dropout and the rows held out. The same int gives the same
        bits.
    tol : float, default 1e-4
        See n_iter_no_change. "lbfgs" ends when the largest element of the gradient is at most tol.
    verbose : bool, default False
        Whether to print the loss after each epoch.
    warm_start : bool, default False
        Whether ``fit`` goes on from the weights of the last fit. Parameters that determine the network, such as
        hidden_layer_sizes or loss, must not have changed since; others may.
    momentum : float, default 0.9
        For the solver "sgd".
    nesterovs_momentum : bool, default True
        For the solver "sgd".
    early_stopping : bool, default False
        Whether to compare epochs by the score on rows held out (``validation_fraction``, or X_val and y_val of
        ``fit``), and to keep the parameters of the best.
    validation_fraction : float, default 0.1
        The share of the rows that early_stopping holds out.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999, 1e-8
        For "adam", "adamw" and other variants of Adam.
    n_iter_no_change : int, default 10
        Training stops when more than this many epochs in a row did not improve the loss, or with early_stopping the
        score, by tol. ``float("inf")`` means never.
    max_fun : int, default 15000
        The largest number of times that "lbfgs" computes the cost.
    standardize : bool, default True
        Whether each column of X is first brought to mean 0 and variance 1, as by scikit-learn's StandardScaler. Columns
        of 0 and 1 stay as they are, and other columns with two values are brought to 0 and 1. A regressor's y is
        standardised too, or divided by its mean where predictions are exponentials, unless the loss is a function. Then
        `loss_` and the hyperparameters of the loss, such as the delta of huber, are in standardised units. Mean and
        variance are those of all rows so far: each ``partial_fit``, and each ``fit`` with `warm_start`, adds its rows,
        and what the network has learned is rescaled to the new units. A single row does not show any scale: where the
        first call has only one, X and y are left as they are until other rows come. scikit-learn's estimators do not
        standardise.
    initializer : str, default "glorot_uniform"
        The initial weights of the hidden layers, by default those of scikit-learn; "auto" chooses what suits the
        activation, as in ``Dense``.
    dropout : float or sequence with one for each hidden layer, default 0
    batch_norm, layer_norm : bool, default False
        Whether to normalise the outputs of each hidden layer before its activation.
    class_weight : dict or "balanced", optional
        A weight for the rows of each class, by its label, as in scikit-learn's other classifiers.
    members : int, default 1
        The number of networks with shared weights whose mean is the prediction: TabM, see ``Network``.
    embedding : "piecewise", Layer or None
        The layer that reads the columns of X: "piecewise" is ``PiecewiseLinear`` at their quantiles; or a layer of
        ``fastprop.nn.embeddings``. `standardize` does not change X then.
    callbacks : Callback or sequence of them
        As ``Network.fit`` takes them. Where rows are held out, ``run.history["validation_score"]`` has their score
        after each epoch. The callbacks of scikit-learn itself are set by ``set_callbacks`` (from 1.9 on).
    n_threads : int, optional
        The largest number of threads for this estimator; by default that of ``fp.set_num_threads``.
    dtype : "auto", "float32" or "float64", default "auto"
        The dtype of the network. "auto" is float32 where X is float32, else float64.

    Attributes
    ----------
    classes_ : ndarray
    network_ : Network
        A network that takes X as it is and returns raw scores; it can be saved, exported and examined.
    coefs_, intercepts_ : list of ndarray
        The weights (n_in, n_out) and biases (n_out,) of each layer, for standardised inputs.
    feature_importances_ : ndarray
        How much the scores change per standard deviation of each column, with the sum 1. The derivatives are taken at
        random rows, not at those of the data: use ``permutation_importance`` for a column's share in a score. They
        exist only with `standardize`, and without `embedding`.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_
        As in scikit-learn.
    loss_, best_loss_ : float
        The mean loss of the last epoch and of the best, without the penalty; ``best_loss_`` is None with
        early_stopping.
    loss_curve_ : list of float
    validation_scores_ : list of float, or None
    best_validation_score_ : float or None
    out_activation_ : str
        "softmax" or "logistic".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> fp.MLPClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="log_loss",
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        standardize=True,
        initializer="glorot_uniform",
        dropout=0.0,
        batch_norm=False,
        layer_norm=False,
        class_weight=None,
        members=1,
        embedding=None,
        callbacks=(),
        n_threads=None,
        dtype="auto",
    ):
        self._store(locals())

    def fit(
        self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, *, communicator=None
    ) -> "MLPClassifier":
        """Train the network on the rows of X and their classes.

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
            A sparse matrix is made dense.
        y : array-like, (rows,) or (rows, labels)
            The class of each row; or for several labels at once a column of 0 and 1 for each label.
        sample_weight : array-like, (rows,), optional
        X_val, y_val, sample_weight_val : array-like, optional
            Rows whose score is recorded after each epoch; with early_stopping they replace the fraction of X.
        communicator : Communicator, optional
            The processes that train together, such as ``fp.distributed.mpi()``. Each gives rows of its own, also of
            X_val, and may have none. A batch, means and deviations, classes and scores are those of the rows of all,
            and the estimator is the same everywhere. The bins of embedding="piecewise" are found in at most 100,000
            rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the weights overflow.
        """
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, held_out=held_out, communicator=communicator)

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None, classes=None) -> "MLPClassifier":
        """Train for one epoch more, on these rows.

        Parameters may have changed since the last call, except those that determine the network. Those that end a fit,
        such as tol and max_iter, have no effect here.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        classes : array-like
            All classes that any call will have; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, which leaves the estimator as it was; or if the weights overflow.
        """
        known = {}
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            known["classes_"] = unique_labels(classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, partial=True, known=known)

    def _encode_targets(self, y, first, partial, ranks):
        several = y.ndim == 2
        if len(y):  # on one rank of several there may be no rows
            check_classification_targets(y)
            kind = type_of_target(y)
            if kind.endswith("multioutput"):
                raise ValueError("Multioutput target data is not supported: give each output an estimator of its own")
            several = kind.startswith("multilabel")
        if not first and several != self._multilabel:
            kinds = ["one class a row", "several labels at once"]
            raise ValueError(
                f"`y` has {kinds[several]}, but the network that the fit goes on with was made for "
                f"{kinds[not several]}; give such a `y`, or make a new estimator"
            )
        found = np.arange(y.shape[1]) if several else _values(y, ranks)
        if first and not partial:
            self.classes_ = found
        elif partial and len(np.setdiff1d(found, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )
        elif not partial and not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        self._multilabel = several
        loss, n = self._parse_loss(several), len(self.classes_)
        if loss.targets == "classes" or (loss.targets == "own" and not several):
            return np.searchsorted(self.classes_, y), loss, max(2, n), "softmax"
        if several:
            return np.asarray(y), loss, n, "logistic"
        indicator = y[:, np.newaxis] == (self.classes_ if n > 2 else self.classes_[1:2])
        return (indicator if n > 1 else np.zeros((len(y), 1))), loss, n if n > 2 else 1, "logistic"

    def _parse_loss(self, several: bool) -> Loss | custom_loss.OwnLoss:
        """Return the loss that the parameter stands for with these classes."""
        name = "cross_entropy" if self.loss == "log_loss" else self.loss
        if isinstance(name, str) and (several or len(self.classes_) <= 2):
            name = BINARY.get(name, name)
        loss = custom_loss.parse(name)
        if loss.targets not in ("classes", "probabilities", "signs", "own"):
            raise ValueError(f"{loss.name} is a loss of numbers, not of classes; use MLPRegressor, or loss='log_loss'")
        if several and loss.targets == "classes":
            raise ValueError(
                f"{loss.name} is for one class in each row, but y has several labels; use 'log_loss' or 'focal'"
            )
        return loss

    def _with_class_weight(self, y, weight, partial, ranks):
        if self.class_weight is None:
            return weight
        if partial and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} counts the rows of all classes, which partial_fit does not see; "
                "give the weights as a dict"
            )
        if ranks.alone:
            each = compute_sample_weight(self.class_weight, y)
        elif isinstance(self.class_weight, str):
            each = np.prod([_balanced(column, ranks) for column in (y.T if y.ndim == 2 else [y])], axis=0)
        elif self._multilabel:
            each = compute_sample_weight(self.class_weight, y) if len(y) else np.ones(0)
        else:  # this rank may have no row of a class that has a weight
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
            each = weights[np.searchsorted(self.classes_, y)]
        return each if weight is None else each * weight

    def _labels(self, outputs: np.ndarray) -> np.ndarray:
        """Return the classes, (rows,), or the indicator matrix, (rows, labels), that the outputs stand for."""
        if self._multilabel:
            return (outputs > 0).astype(int)
        which = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
        return self.classes_[np.minimum(which, len(self.classes_) - 1)]  # with a single class, always that class

    def _score_outputs(self, outputs, y, weight, ranks):
        total, score = len(y) if weight is None else float(weight.sum()), 0.0
        if total or ranks.alone:
            score = accuracy_score(y, self._labels(outputs), sample_weight=weight)
        return ranks.mean(total, score)

    def predict(self, X) -> np.ndarray:
        """Return the class of each row of X, (rows,); or an indicator matrix, (rows, labels)."""
        return self._labels(self._predict_outputs(X))

    def decision_function(self, X) -> np.ndarray:
        """Return the raw scores: (rows, classes), or with two classes (rows,), positive for the second."""
        outputs = self._predict_outputs(X)
        if self._multilabel or outputs.shape[1] > max(2, len(self.classes_) - 1):
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    @available_if(_probabilistic)
    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class, or of each label, in the order of ``classes_``: (rows, classes)."""
        scores = self._scores(X)
        if self._multilabel:
            return _sigmoid(scores)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @available_if(_probabilistic)
    def predict_log_proba(self, X) -> np.ndarray:
        """Return the logarithm of ``predict_proba``; it is finite where a probability underflows to 0."""
        scores = self._scores(X)
        if self._multilabel:
            return _log_sigmoid(scores)
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def _scores(self, X) -> np.ndarray:
        """Return scores whose softmax is the probability of each class; for several labels at once, the sigmoid."""
        outputs = self._predict_outputs(X)
        if self._multilabel:
            return outputs
        if len(self.classes_) == 1:
            return outputs[:, :1]
        if outputs.shape[1] == 1:
            return np.hstack([np.zeros_like(outputs), outputs])
        # where each class is separated from the rest, the softmax of these logarithms makes the sigmoids sum to 1
        return outputs if self.out_activation_ == "softmax" else _log_sigmoid(outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron that predicts one number or several, with scikit-learn's interface.

    Parameters
    ----------
    loss : str, Loss or callable, default "squared_error"
        "squared_error" is half the squared error, as in scikit-learn (``fp.losses.squared_error`` is the whole). Other
        losses of ``fastprop.losses`` for numbers are "huber", "mae", "log_cosh", "quantile", "gaussian_nll", and, with
        the exponential of the outputs as the prediction, "poisson", "gamma" and "tweedie"; or a loss with its
        hyperparameters, ``fp.losses.huber(delta=0.5)``. A function (Y, y) -> (cost, dY), as ``Trainer`` takes it, gets
        y as (rows, outputs).
    hidden_layer_sizes, activation, solver and the rest
        As in ``MLPClassifier``. There is no class_weight.

    Attributes
    ----------
    network_ : Network
        A network that takes X as it is and returns predictions before ``out_activation_`` is applied.
    out_activation_ : str
        "identity" or "exp".
    n_iter_, loss_ and the rest
        As in ``MLPClassifier``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> fp.MLPRegressor(random_state=0).fit(X, y).score(X, y) > 0.5
    True
    """

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        standardize=True,
        initializer="glorot_uniform",
        dropout=0.0,
        batch_norm=False,
        layer_norm=False,
        members=1,
        embedding=None,
        callbacks=(),
        n_threads=None,
        dtype="auto",
    ):
        self._store(locals())

    def fit(
        self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, *, communicator=None
    ) -> "MLPRegressor":
        """Train the network on the rows of X and their numbers.

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
            A sparse matrix is made dense.
        y : array-like, (rows,) or (rows, outputs)
        sample_weight, X_val, y_val, sample_weight_val, communicator
            As in ``MLPClassifier.fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the weights overflow.
        """
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, held_out=held_out, communicator=communicator)

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None) -> "MLPRegressor":
        """Train for one epoch more, on these rows, which are given as in ``fit``, and return self."""
        return self._fit(X, y, sample_weight, partial=True)

    def _encode_targets(self, y, first, partial, ranks):
        squared_error = isinstance(self.loss, str) and self.loss == "squared_error"
        loss = custom_loss.parse("half_mse" if squared_error else self.loss)
        if loss.targets in ("classes", "probabilities", "signs"):
            raise ValueError(f"{loss.name} is a loss of classes, not of numbers; use MLPClassifier, or another loss")
        if not first and np.shape(y)[1:] != self._columns:
            raise ValueError(
                f"`y` has shape {np.shape(y)}, but the network that the fit goes on with was made for a `y` of shape "
                f"{('rows', *self._columns)}; give such a `y`, or make a new estimator".replace("'", "")
            )
        self._columns = y.shape[1:]
        columns = (y if y.ndim == 2 else y[:, np.newaxis]).astype(np.float64, copy=False)
        # a loss that is a function may have any name, also one of LOG_MEAN
        link = "exp" if isinstance(loss, Loss) and loss.name in LOG_MEAN else "identity"
        return columns, loss, columns.shape[1] * loss.outputs, link

    def _predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Return predictions in the shape of y; where a target has several quantiles, the one nearest to the median."""
        outputs = self._standardization.outputs(outputs, self._loss)
        if self.out_activation_ == "exp":
            outputs = np.exp(outputs)
        middle = 0
        if isinstance(self._loss, Loss) and self._loss.name == "quantile":
            middle = int(np.argmin(np.abs(np.array(self._loss.values["levels"]) - 0.5)))
        return self._like_y(outputs[:, middle :: self._loss.outputs])

    def _like_y(self, columns: np.ndarray) -> np.ndarray:
        """Return columns, (rows, outputs), in the shape that y had."""
        return columns if self._columns else columns[:, 0]

    def _score_outputs(self, outputs, y, weight, ranks):
        weight = None if weight is None else ranks.gather(weight)
        return r2_score(ranks.gather(y), ranks.gather(self._predictions(outputs)), sample_weight=weight)

    def predict(self, X, return_std: bool = False):
        """Return the prediction for each row of X: (rows,), or (rows, outputs).

        With the loss "quantile" it is the level nearest to the median.

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
        return_std : bool, default False
            Whether to return also the standard deviation of each prediction, which the loss "gaussian_nll" learns.
        """
        outputs = self._predict_outputs(X)
        if not return_std:
            return self._predictions(outputs)
        if not isinstance(self._loss, Loss) or self._loss.name != "gaussian_nll":
            raise ValueError(f"return_std needs loss='gaussian_nll', which learns it; got {self._loss.name}")
        log_variance = self._standardization.outputs(outputs, self._loss)[:, 1::2]
        return self._predictions(outputs), self._like_y(np.exp(log_variance / 2))

    @available_if(_predicts_quantiles)
    def predict_quantiles(self, X) -> np.ndarray:
        """Return the quantiles of the loss "quantile" for each row: (rows, levels), or (rows, outputs, levels)."""
        outputs = self._standardization.outputs(self._predict_outputs(X), self._loss)
        return outputs.reshape(len(outputs), *self._columns, self._loss.outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _values(y: np.ndarray, ranks: Ranks) -> np.ndarray:
    """Return the distinct values of y on all ranks, sorted."""
    mine = np.unique(y)
    if ranks.alone:
        return mine
    return np.unique(np.concatenate([values for values in ranks.gather_objects(mine) if len(values)]))


def _balanced(y: np.ndarray, ranks: Ranks) -> np.ndarray:
    """Return the weight of each row that gives all classes of y on all ranks the same weight in total."""
    classes = _values(y, ranks)
    labels = np.searchsorted(classes, y)
    counts = np.bincount(labels, minlength=len(classes)).astype(np.float64)
    ranks.sum(counts)
    return (counts.sum() / (len(classes) * counts))[labels]


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    """Return log(sigmoid(z)) without underflow; for z > 0 it has the bits of the logarithm of ``_sigmoid``."""
    return np.minimum(z, 0) + np.log(_sigmoid(np.abs(z)))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-z)) without overflow."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


publish(globals(), ["MLPClassifier", "MLPRegressor"])
