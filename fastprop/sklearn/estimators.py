"""MLPClassifier and MLPRegressor: scikit-learn's estimators, trained by fastprop."""

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
if not hasattr(sklearn.utils.validation, "validate_data"):  # it came with the tags of estimators, which are needed too
    raise ImportError(
        f"fastprop's MLPClassifier and MLPRegressor need scikit-learn 1.6 or newer, got {sklearn.__version__}: "
        "pip install --upgrade 'fastprop-nn[sklearn]'"
    )
import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastprop._util.public import publish
from fastprop.data.targets import BINARY
from fastprop.nn import custom_loss
from fastprop.nn.losses import Loss
from fastprop.sklearn._base import Perceptron
from fastprop.training.metrics import LOG_MEAN

NO_PROBABILITIES = ("hinge", "binary_hinge")


def _stochastic(estimator: Perceptron) -> bool:
    """For available_if: an AttributeError with the reason, or True."""
    if not estimator._stochastic():
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


def _probabilistic(estimator: Perceptron) -> bool:
    """The same."""
    name = getattr(estimator.loss, "name", estimator.loss)
    if name in NO_PROBABILITIES:
        raise AttributeError(f"the loss {name} gives no probabilities; use decision_function")
    return True


def _of_quantiles(estimator: Perceptron) -> bool:
    """The same."""
    name = getattr(estimator.loss, "name", estimator.loss)
    if name != "quantile":
        raise AttributeError(f"predict_quantiles needs loss=fp.losses.quantile(levels=...), got {name}")
    return True


class MLPClassifier(ClassifierMixin, Perceptron):
    """A multi-layer perceptron that tells classes, or any number of labels at once, with scikit-learn's interface.

    The parameters that ``sklearn.neural_network.MLPClassifier`` has mean the same here, and so do the attributes. The
    defaults differ in what "auto" means as `batch_size`, and in the new `standardize`: benchmarks/bundled_scores.py
    says what that is worth on scikit-learn's bundled data sets.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        The widths of the hidden layers.
    activation : str, Activation, or a sequence of them with one for each hidden layer, default "relu"
        Any of ``fastprop.activations``; "logistic" is the sigmoid.
    loss : str, Loss or callable, default "log_loss"
        "log_loss" is the cross-entropy: of the softmax, or with two classes or with labels that come several at once of
        the sigmoid. Others of ``fastprop.losses`` for classes by their names, which likewise stand for the binary form
        where that is due ("focal" for "binary_focal"); or with their numbers, ``fp.losses.focal(gamma=1)``, as they
        are: a binary one with several classes tells each from the rest. Or a function (Y, y) -> (cost, dY), as
        ``Trainer`` takes it, of an output for each class and labels from 0 on (or the indicator matrix).
    solver : str, Optimizer or LBFGS, default "adam"
        "sgd", "adam", "lbfgs", or the name of any optimiser of fastprop; or one with its numbers, as ``fp.Lion(3e-4)``.
    alpha : float, default 1e-4
        The L2 penalty on the weights: alpha / 2 times the sum of their squares, divided by the rows of a batch.
    batch_size : int or "auto", default "auto"
        Rows in a step; "auto" is a sixteenth of all, but 32 to 200. All of them with "lbfgs" and "rprop".
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule, default "constant"
        "invscaling": ``learning_rate_init / (t_ + 1)^power_t``. "adaptive": divided by 5 whenever n_iter_no_change
        epochs were no better; training stops when it is below 1e-6. A schedule of ``fastprop.schedules`` says the rate.
        All of them with every solver but "lbfgs".
    learning_rate_init : float or None, default 0.001
        None: what the optimiser has by default.
    power_t : float, default 0.5
    max_iter : int, default 200
        Epochs, or iterations of "lbfgs", at most.
    shuffle : bool, default True
    random_state : int, RandomState or None
        Of the initial weights, the order of rows, dropout, and what is held out. The same int gives the same bits.
    tol : float, default 1e-4
        See n_iter_no_change; with "lbfgs" the largest element of the gradient with which it is done.
    verbose : bool, default False
    warm_start : bool, default False
        Whether ``fit`` goes on from the weights of the last one. Parameters that would make another network, as
        hidden_layer_sizes or loss, must be as they were then; others may change.
    momentum : float, default 0.9
    nesterovs_momentum : bool, default True
        With the solver "sgd".
    early_stopping : bool, default False
        Whether to judge epochs by the score on rows held out (``validation_fraction``, or X_val and y_val of ``fit``),
        and to keep the best.
    validation_fraction : float, default 0.1
    beta_1, beta_2, epsilon : float, default 0.9, 0.999, 1e-8
        Of "adam", "adamw" and the like.
    n_iter_no_change : int, default 10
        Training stops when more than so many epochs running did not improve the loss, or with early_stopping the score,
        by tol. ``float("inf")``: never.
    max_fun : int, default 15000
        "lbfgs" looks at the cost so often at most.
    standardize : bool, default True
        Whether each column of X is brought to mean 0 and variance 1 first: a StandardScaler built in. A regressor's y
        too (or, where predictions are exponentials, y divided by its mean): then `loss_` is in those units, and so are
        a loss's own, as the delta of huber; but for a loss that is a function. Mean and variance are those of all rows
        so far: each ``partial_fit``, and each ``fit`` with `warm_start`, adds its own, and what the network has learned
        is put into the new units. A first call with a single row, which says nothing of scales, leaves both as they are
        until other rows come. scikit-learn does nothing of the kind.
    initializer : str, default "glorot_uniform"
        Of the weights of the hidden layers, scikit-learn's; "auto" is what suits the activation, as in ``Dense``.
    dropout : float or sequence with one for each hidden layer, default 0
    batch_norm, layer_norm : bool, default False
        After each hidden layer's product.
    class_weight : dict or "balanced", optional
        Label -> weight of its rows, as in scikit-learn's other classifiers.
    members : int, default 1
        So many networks with common weights, of which the mean counts: TabM, see ``Network``.
    embedding : "piecewise", Layer or None
        What reads the columns of X: "piecewise" is ``PiecewiseLinear`` at their quantiles; or a layer of
        ``fastprop.nn.embeddings``. `standardize` leaves X alone then.
    callbacks : Callback or sequence of them
        As ``Network.fit`` takes them. The callbacks of scikit-learn itself are set by ``set_callbacks`` (from 1.9 on).
    n_threads : int, optional
        For this estimator's work at most so many; by default as ``fp.set_num_threads`` says.
    dtype : "auto", "float32" or "float64", default "auto"
        Of the network: that of X where X is float32, else float64.

    Attributes
    ----------
    classes_ : ndarray
    network_ : Network
        Takes X as it is and gives raw scores; to be saved, exported, looked into.
    coefs_, intercepts_ : list of ndarray
        The weights (n_in, n_out) and biases of each layer, of the inputs as standardised.
    feature_importances_ : ndarray
        How much the scores change with each column, per standard deviation of it; with the sum 1. The derivatives are
        taken at random rows, not at those of the data: ``permutation_importance`` says what a score owes to a column.
        Where `standardize` is False, or with `embedding`, there are none.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_
    loss_, best_loss_ : float
        The mean loss of the last epoch and the best, without the penalty; ``best_loss_`` is None with early_stopping.
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

    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None) -> "MLPClassifier":
        """Fits the network to the rows of X and their classes.

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
            A sparse one is made dense.
        y : array-like, (rows,) or (rows, labels)
            Classes; or 0 and 1 for labels that come several at once.
        sample_weight : array-like, (rows,), optional
        X_val, y_val, sample_weight_val : array-like, optional
            Rows whose score is recorded after each epoch; with early_stopping they take the place of a fraction of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the weights overflow.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None, classes=None) -> "MLPClassifier":
        """One epoch more, on these rows.

        The parameters may have changed since the last call, but for those that would make another network. What says
        when a fit ends, as tol and max_iter, means nothing here.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        classes : array-like
            All there will ever be; to be given in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, and nothing has changed then; or the weights overflow.
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
        return self._fit(X, y, sample_weight, further=True, known=known)

    def _targets(self, y, first, further):
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind.endswith("multioutput"):
            raise ValueError("Multioutput target data is not supported: give each output an estimator of its own")
        several = kind.startswith("multilabel")
        if not first and several != self._several:
            kinds = ["one class a row", "several labels at once"]
            raise ValueError(
                f"`y` has {kinds[several]}, but the network that the fit goes on with was made for "
                f"{kinds[not several]}; give such a `y`, or make a new estimator"
            )
        found = np.arange(y.shape[1]) if several else np.unique(y)
        if first and not further:
            self.classes_ = found
        elif further and len(np.setdiff1d(found, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )
        elif not further and not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        self._several = several
        loss, n = self._chosen(several), len(self.classes_)
        if loss.targets == "classes" or (loss.targets == "own" and not several):
            return np.searchsorted(self.classes_, y), loss, max(2, n), "softmax"
        if several:
            return np.asarray(y), loss, n, "logistic"
        indicator = y[:, np.newaxis] == (self.classes_ if n > 2 else self.classes_[1:2])
        return (indicator if n > 1 else np.zeros((len(y), 1))), loss, n if n > 2 else 1, "logistic"

    def _chosen(self, several: bool) -> Loss | custom_loss.OwnLoss:
        """The loss that the parameter means for these classes."""
        name = "cross_entropy" if self.loss == "log_loss" else self.loss
        if isinstance(name, str) and (several or len(self.classes_) <= 2):
            name = BINARY.get(name, name)
        loss = custom_loss.parse(name)
        if loss.targets not in ("classes", "probabilities", "signs", "own"):
            raise ValueError(f"{loss.name} is a loss of numbers, not of classes; use MLPRegressor, or loss='log_loss'")
        if several and loss.targets == "classes":
            raise ValueError(f"{loss.name} tells one class a row, but y has several labels; use 'log_loss' or 'focal'")
        return loss

    def _weighed(self, y, weight, further):
        if self.class_weight is None:
            return weight
        if further and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} counts the rows of all classes, which partial_fit does not see; "
                "give the weights as a dict"
            )
        each = compute_sample_weight(self.class_weight, y)
        return each if weight is None else each * weight

    def _labels(self, outputs: np.ndarray) -> np.ndarray:
        """The classes, or the indicator matrix, that outputs mean."""
        if self._several:
            return (outputs > 0).astype(int)
        which = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
        return self.classes_[np.minimum(which, len(self.classes_) - 1)]  # a single class is always the one

    def _score_of(self, outputs, y, weight):
        return accuracy_score(y, self._labels(outputs), sample_weight=weight)

    def predict(self, X) -> np.ndarray:
        """The class of each row of X, (rows,); or an indicator matrix, (rows, labels)."""
        return self._labels(self._predicted(X))

    def decision_function(self, X) -> np.ndarray:
        """The raw scores: (rows, classes), or with two classes (rows,), above 0 for the second."""
        outputs = self._predicted(X)
        if self._several or outputs.shape[1] > max(2, len(self.classes_) - 1):
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    @available_if(_probabilistic)
    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class, or of each label, in the order of ``classes_``: (rows, classes)."""
        scores = self._scores(X)
        if self._several:
            return _sigmoid(scores)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @available_if(_probabilistic)
    def predict_log_proba(self, X) -> np.ndarray:
        """The logarithm of ``predict_proba``, finite where a probability is too small for a number other than 0."""
        scores = self._scores(X)
        if self._several:
            return _log_sigmoid(scores)
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def _scores(self, X) -> np.ndarray:
        """A number for each class, of which the softmax is the probability; for each of several labels the sigmoid."""
        outputs = self._predicted(X)
        if self._several:
            return outputs
        if len(self.classes_) == 1:
            return outputs[:, :1]
        if outputs.shape[1] == 1:
            return np.hstack([np.zeros_like(outputs), outputs])
        # of classes that are told each from the rest, the sigmoids are made to sum to 1
        return outputs if self.out_activation_ == "softmax" else _log_sigmoid(outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, Perceptron):
    """A multi-layer perceptron that predicts numbers, one or several, with scikit-learn's interface.

    Parameters
    ----------
    loss : str, Loss or callable, default "squared_error"
        "squared_error" is half of it, as in scikit-learn (``fp.losses.squared_error`` is the whole). Others of
        ``fastprop.losses`` for numbers: "huber", "mae", "log_cosh", "quantile", "gaussian_nll", and with the
        exponential of the outputs as the prediction "poisson", "gamma", "tweedie"; or with their numbers,
        ``fp.losses.huber(delta=0.5)``. Or a function (Y, y) -> (cost, dY), as ``Trainer`` takes it; y has two axes.
    hidden_layer_sizes, activation, solver and the rest
        As in ``MLPClassifier``, which has class_weight besides.

    Attributes
    ----------
    network_ : Network
        Takes X as it is, and gives predictions as they are before ``out_activation_``.
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

    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None) -> "MLPRegressor":
        """Fits the network to the rows of X and their numbers.

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
            A sparse one is made dense.
        y : array-like, (rows,) or (rows, outputs)
        sample_weight, X_val, y_val, sample_weight_val
            As in ``MLPClassifier.fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the weights overflow.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None) -> "MLPRegressor":
        """One epoch more, on these rows, given as in ``fit``. Returns self."""
        return self._fit(X, y, sample_weight, further=True)

    def _targets(self, y, first, further):
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
        columns = y.reshape(len(y), -1).astype(np.float64, copy=False)
        # a function may have any name
        link = "exp" if isinstance(loss, Loss) and loss.name in LOG_MEAN else "identity"
        return columns, loss, columns.shape[1] * loss.outputs, link

    def _numbers(self, outputs: np.ndarray) -> np.ndarray:
        """The predictions that outputs mean: of several for a target, the middle one."""
        outputs = self._standards.outputs(outputs, self._loss)
        if self.out_activation_ == "exp":
            outputs = np.exp(outputs)
        middle = 0
        if isinstance(self._loss, Loss) and self._loss.name == "quantile":
            middle = int(np.argmin(np.abs(np.array(self._loss.values["levels"]) - 0.5)))
        return self._shaped(outputs[:, middle :: self._loss.outputs])

    def _shaped(self, columns: np.ndarray) -> np.ndarray:
        """As y was."""
        return columns if self._columns else columns[:, 0]

    def _score_of(self, outputs, y, weight):
        return r2_score(y, self._numbers(outputs), sample_weight=weight)

    def predict(self, X, return_std: bool = False):
        """The prediction for each row of X: (rows,), or (rows, outputs).

        The median, or the level nearest to it, of the loss "quantile".

        Parameters
        ----------
        X : array-like or sparse matrix, (rows, columns)
        return_std : bool, default False
            Whether to return the standard deviation of each as well, which the loss "gaussian_nll" learns.
        """
        outputs = self._predicted(X)
        if not return_std:
            return self._numbers(outputs)
        if not isinstance(self._loss, Loss) or self._loss.name != "gaussian_nll":
            raise ValueError(f"return_std needs loss='gaussian_nll', which learns it; got {self._loss.name}")
        log_variance = self._standards.outputs(outputs, self._loss)[:, 1::2]
        return self._numbers(outputs), self._shaped(np.exp(log_variance / 2))

    @available_if(_of_quantiles)
    def predict_quantiles(self, X) -> np.ndarray:
        """The levels of the loss "quantile" for each row: (rows, levels), or (rows, outputs, levels)."""
        outputs = self._standards.outputs(self._predicted(X), self._loss)
        return outputs.reshape(len(outputs), *self._columns, self._loss.outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    """Without underflow before the logarithm; above 0 the logarithm of ``_sigmoid`` to the last bit."""
    return np.minimum(z, 0) + np.log(_sigmoid(np.abs(z)))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    """Without overflow."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


publish(globals(), ["MLPClassifier", "MLPRegressor"])
