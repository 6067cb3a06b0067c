"""What MLPClassifier and MLPRegressor share: from parameters to a network, its training and its outputs."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from fastprop import _own_loss, _validate, fitting, losses, sources
from fastprop._judge import Judge, Rows, TheirCallbacks
from fastprop.callbacks import parse
from fastprop.config import threads
from fastprop.inputs import PiecewiseLinear
from fastprop.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from fastprop.network import Network
from fastprop.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from fastprop.schedules import Schedule
from fastprop.sklearn_bridge import ACTIVATIONS
from fastprop.standardising import Standards, folded
from fastprop.trainer import DivergenceError, Trainer

try:  # scikit-learn's own callbacks, from 1.9 on
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    TO_THE_USER = 5  # frames from _train to whoever called fit, for warnings
except ImportError:
    TO_THE_USER = 4

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing."""

    def with_callbacks(method):
        """The method as it is."""
        return method


NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
# of X: then made dense, and the network has its dtype
AS_WE_TAKE_IT: dict[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "order": "C"}


class Perceptron(CallbackSupportMixin, BaseEstimator):
    """The base of both estimators; its subclasses know what y is."""

    def _store(self, parameters: dict[str, Any]) -> None:
        """What the constructor was given, as scikit-learn wants it: unseen."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    # ---- what the subclasses know ----

    def _targets(
        self, y: np.ndarray, first: bool, further: bool
    ) -> tuple[np.ndarray, losses.Loss | _own_loss.OwnLoss, int, str]:
        """y as the network learns it, the loss, the number of outputs, and what is applied to them in the end."""
        raise NotImplementedError

    def _weighed(self, y: np.ndarray, weight: np.ndarray | None, further: bool) -> np.ndarray | None:
        """The weight of each row times that of its class, where classes have some."""
        return weight

    def _score_of(self, outputs: np.ndarray, y: Any, weight: np.ndarray | None) -> float:
        """How good the network's outputs are for y, as ``score`` says it."""
        raise NotImplementedError

    # ---- fit ----

    @with_callbacks
    def _fit(self, X, y, sample_weight, *, further: bool = False, held_out: tuple[Any, Any, Any] = (None, None, None)):
        """``fit``, or with `further` one epoch more."""
        if further and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "_network") or not (self.warm_start or further)
        X, y = self._checked(X, y, reset=first)
        weight = _weights(sample_weight, X)
        random = check_random_state(self.random_state)
        seeds = random.randint(np.iinfo(np.int32).max, size=2).tolist()
        target, loss, n_outputs, link = self._targets(y, first, further)
        weight = self._weighed(y, weight, further)
        if weight is not None and (weight.min() < 0 or not weight.any()):
            raise ValueError("the weights of rows must not be negative, nor all of them zero")
        self._loss, self.out_activation_ = loss, link
        rows = self._rows(X, y, target, weight, held_out, random)
        if first:
            self._begin(rows, loss, n_outputs, link, seeds[0])
        if first or not further:
            self._trainer = self._new_trainer(loss, rows, seeds[1])
            self._rate = self._trainer.rate
        with threads(self.n_threads):
            told = TheirCallbacks(self, X, y) if hasattr(self, "_skl_callbacks") and not further else None
            self._train(rows, further, told)
            if told is not None:
                told.close()
        return self

    def _checked(self, X, y, *, reset: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """X and y as scikit-learn checks them."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=is_regressor(self), reset=reset, **AS_WE_TAKE_IT)
        y = _dense(y)
        return _dense(X), column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _rows(self, X, y, target, weight, held_out, random) -> Rows:
        """The rows to train on, and those to validate on, if any."""
        Xv, yv, weight_v = held_out
        if (Xv is None) != (yv is None):
            raise ValueError(f"{'X_val' if Xv is None else 'y_val'} is missing; give both X_val and y_val, or neither")
        rows = Rows(X, target, weight)
        if Xv is not None:
            Xv, yv = self._checked(Xv, yv)
            rows.held_out = Xv, yv, _weights(weight_v, Xv)
        elif self.early_stopping and self._stochastic():
            alike = y if is_classifier(self) and y.ndim == 1 else None  # several labels at once have no strata
            kept, held = train_test_split(
                np.arange(len(X)), test_size=self.validation_fraction, random_state=random, stratify=alike
            )
            if len(held) < 2:
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                )
            rows = Rows(X[kept], target[kept], None if weight is None else weight[kept])
            rows.held_out = X[held], y[held], None if weight is None else weight[held]
        return rows.weighing()

    def _begin(self, rows: Rows, loss, n_outputs: int, link: str, seed: int) -> None:
        """A new network, and what goes with it."""
        standardize = _validate.flag("standardize", self.standardize)
        self._standards = Standards.of(
            rows.X if standardize and self.embedding is None else None,
            rows.target if standardize and (loss.targets == "numbers" or link == "exp") else None,
            rows.weight,
            link == "exp",
        )
        if not self._standards.finite:
            raise ValueError(NOT_FINITE)
        self.n_outputs_ = n_outputs
        dtype = rows.X.dtype if self.dtype == "auto" else _validate.dtype(self.dtype)
        layers = [rows.X.shape[1], *self._first(rows.X), *self._hidden(), Dense(n_outputs)]
        self._network = Network(layers, dtype=dtype, seed=seed, members=self.members)
        self.n_layers_ = len(_listed(self.hidden_layer_sizes)) + 2
        self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None if self.early_stopping else np.inf
        self.validation_scores_: Any = None
        self.best_validation_score_: Any = None

    def _first(self, X: np.ndarray) -> list[Layer]:
        """The layer that reads the columns of X, if there is one."""
        if self.embedding is None:
            return []
        if isinstance(self.embedding, Layer):
            return [self.embedding]
        _validate.choice("embedding", self.embedding, ["piecewise"])
        return [_piecewise(X)]

    def _hidden(self) -> list[Layer]:
        """The hidden layers."""
        widths = _listed(self.hidden_layer_sizes)
        for width in widths:
            if not isinstance(width, (int, np.integer)) or width <= 0:
                raise ValueError(f"hidden_layer_sizes must be > 0, got {widths}.")
        activations = _each("activation", self.activation, len(widths))
        rates = _each("dropout", self.dropout, len(widths))
        if self.batch_norm and self.layer_norm:
            raise ValueError("batch_norm and layer_norm exclude each other; set one of them to False")
        norm = BatchNorm if self.batch_norm else LayerNorm if self.layer_norm else None
        layers: list[Layer] = []
        for width, activation, rate in zip(widths, activations, rates):
            name = ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation
            layers.append(Dense(width, name if norm is None else "identity", initializer=self.initializer))
            if norm is not None:
                layers.append(norm(name))
            if rate:
                layers.append(Dropout(rate))
        return layers

    # ---- how it is trained ----

    def _stochastic(self) -> bool:
        """Whether the solver takes mini-batches, so that ``partial_fit`` makes sense."""
        return self.solver != "lbfgs" and not isinstance(self.solver, LBFGS)

    def _solver(self) -> Optimizer | LBFGS:
        """The optimiser that the parameters describe."""
        if isinstance(self.solver, (Optimizer, LBFGS)):
            return self.solver
        if self.solver == "lbfgs":
            return LBFGS(gradient_tolerance=self.tol)
        kind = OPTIMIZERS[_validate.choice("solver", self.solver, ["lbfgs", *OPTIMIZERS])]
        rate = self.learning_rate if isinstance(self.learning_rate, Schedule) else self.learning_rate_init
        if rate is None:
            rate = kind().rate
        if kind is SGD:
            return SGD(rate, momentum=self.momentum, nesterov=self.nesterovs_momentum and self.momentum > 0)
        if issubclass(kind, Adam):
            return kind(rate, beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon)
        return kind(rate)

    def _new_trainer(self, loss, rows: Rows, seed: int) -> Trainer:
        if not isinstance(self.learning_rate, Schedule):
            _validate.choice("learning_rate", self.learning_rate, ["constant", "invscaling", "adaptive"])
        solver = self._solver()
        # LBFGS takes no steps of a trainer, but has the same data, loss and penalty
        optimizer = SGD() if isinstance(solver, LBFGS) else solver
        batch = len(rows.X) if isinstance(solver, LBFGS) else self._batch(len(rows.X), optimizer)
        alpha = _validate.number("alpha", self.alpha, least=0)
        return Trainer(
            self._network,
            loss=loss,
            optimizer=optimizer,
            l2=alpha / (batch * rows.mean_weight),  # the penalty is shared among the rows of a batch
            shuffle=self.shuffle,
            seed=seed,
        )

    def _batch(self, rows: int, optimizer: Optimizer) -> int:
        """How many rows a step takes."""
        if optimizer.full_batch:
            return rows
        if isinstance(self.batch_size, str):
            _validate.choice("batch_size", self.batch_size, ["auto"])
            return min(rows, max(32, min(200, rows // 16)))  # some 16 steps an epoch, however few rows there are
        batch = _validate.count("batch_size", self.batch_size)
        if batch > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=TO_THE_USER + 1,
            )
        return min(batch, rows)

    def _train(self, rows: Rows, further: bool, told: TheirCallbacks | None) -> None:
        trainer, network = self._trainer, self._network
        standards = self._standards
        examples = network._examples(standards.inputs(rows.X), standards.targets(rows.target), rows.weight, self._loss)
        epochs = 1 if further else _validate.count("max_iter", self.max_iter)
        judge = Judge(self, rows, further)
        solver = self._solver()
        batch = len(rows.X) if isinstance(solver, LBFGS) else self._batch(len(rows.X), solver)
        callbacks = [judge, *parse(self.callbacks), *([told] if told is not None else [])]
        source = sources.Stored(examples)
        run = fitting.Run(trainer, epochs, source, batch, None, (source, None), (), None, callbacks, False)
        converged = False
        try:
            run.begin()
            if isinstance(solver, LBFGS):
                converged = fitting._quasi_newton(run, solver, self.max_fun)
            else:
                judge.set_rate()
                fitting._descend(run)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=TO_THE_USER)
        except DivergenceError as error:
            if judge.best is None:
                raise ValueError(f"{NOT_FINITE} {error}") from error
            self.validation_scores_.append(np.nan)
            warnings.warn(f"{error}", ConvergenceWarning, stacklevel=TO_THE_USER)
            converged = True
        finally:
            run.close()
        if not (converged or further or run.stopped) and (run.epoch == epochs or not self._stochastic()):
            warnings.warn(
                f"{'Stochastic Optimizer' if self._stochastic() else 'lbfgs'}: Maximum iterations ({self.n_iter_}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=TO_THE_USER,
            )

    # ---- what was learned ----

    def _outputs(self, X) -> np.ndarray:
        """What the network says of rows that were checked, in the units of its training."""
        with threads(self.n_threads):
            return self._network(self._standards.inputs(X))

    def _predicted(self, X) -> np.ndarray:
        """The outputs for rows that were not."""
        check_is_fitted(self)
        return self._outputs(_dense(validate_data(self, X, reset=False, **AS_WE_TAKE_IT)))

    @property
    def network_(self) -> Network:
        """The network: it takes X as it is, and gives what predictions are made of. Where `standardize`, a copy."""
        network = self.__dict__.get("_network")
        if network is None:
            raise AttributeError(f"this {type(self).__name__} has no network_ before fit")
        return folded(network, self._standards, self._loss)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer that has some, (n_in, n_out): views, of the network as it is trained."""
        return list(self._network.weights)

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer that has weights, (n_out,): views."""
        return list(self._network.biases)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _listed(sizes: Any) -> list:
    """The widths of the hidden layers: one may come by itself."""
    return list(sizes) if hasattr(sizes, "__iter__") else [sizes]


def _each(what: str, value: Any, n: int) -> list:
    """A value for each of n hidden layers: its own, or one for all."""
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"{what} has {len(value)} values for {n} hidden layers; give one for each, or one for all")
    return list(value)


def _dense(array: Any) -> np.ndarray:
    """A sparse matrix as an array; an array as it is."""
    return array.toarray() if hasattr(array, "toarray") else array


def _weights(given: Any, X: np.ndarray) -> np.ndarray | None:
    """A weight for each row."""
    if given is None:
        return None
    weight = check_array(given, ensure_2d=False, dtype=X.dtype, input_name="sample_weight")
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array")
    check_consistent_length(X, weight)
    return weight


def _piecewise(X: np.ndarray) -> PiecewiseLinear:
    """Bins at the quantiles of each column of X."""
    quantiles = np.quantile(X.astype(np.float64), np.linspace(0, 1, 49), axis=0)  # 48 bins, as PiecewiseLinear.of
    edges = [np.unique(column).tolist() for column in quantiles.T]
    # a constant column has no bins; one of any size does
    return PiecewiseLinear(tuple(tuple(e) if len(e) > 1 else (e[0], e[0] + 1.0 + abs(e[0])) for e in edges))
