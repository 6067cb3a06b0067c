"""What MLPClassifier and MLPRegressor share: from parameters to a network, its training and its outputs."""

from collections.abc import Sequence
from dataclasses import asdict
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from fastprop import _validation
from fastprop._util.warn import warn
from fastprop.config import threads
from fastprop.data import arrays as data
from fastprop.data import batches
from fastprop.interop.from_sklearn import ACTIVATIONS
from fastprop.nn import custom_loss, losses
from fastprop.nn.embeddings import PiecewiseLinear
from fastprop.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from fastprop.nn.network import Network
from fastprop.optim.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from fastprop.optim.schedules import Schedule
from fastprop.sklearn._callbacks import Judge, Rows, TheirCallbacks
from fastprop.sklearn.standardize import Standards, first_weights, folded, move
from fastprop.training.callbacks import parse
from fastprop.training.fit import train, train_by_lbfgs
from fastprop.training.run import Run
from fastprop.training.trainer import DivergenceError, Trainer

try:  # scikit-learn's own callbacks, from 1.9 on
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

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

# the parameters, beside those that `_design` spells out, without which the network would be another one
DESIGN = ("loss", "standardize", "initializer", "batch_norm", "layer_norm", "members", "embedding")

# More put columns into no better order: of Friedman's function, of products, of scikit-learn's diabetes beside noise.
IMPORTANCE_ROWS = 256


class Perceptron(CallbackSupportMixin, BaseEstimator):
    """The base of both estimators; its subclasses know what y is."""

    _network: Network
    _trainer: Trainer
    _standards: Standards
    _drawn: np.ndarray | None

    def _store(self, parameters: dict[str, Any]) -> None:
        """What the constructor was given, as scikit-learn wants it: unseen."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for a pickle, which names no inner class."""
        state = dict(super().__getstate__())
        if "_standards" in state:
            state["_standards"] = asdict(self._standards)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_standards" in state:
            state = state | {"_standards": Standards.from_dict(state["_standards"])}
        super().__setstate__(state)

    # ---- what the subclasses know ----

    def _targets(
        self, y: np.ndarray, first: bool, further: bool
    ) -> tuple[np.ndarray, losses.Loss | custom_loss.OwnLoss, int, str]:
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
    def _fit(
        self,
        X,
        y,
        sample_weight,
        *,
        further: bool = False,
        held_out: tuple[Any, Any, Any] = (None, None, None),
        known: dict[str, Any] | None = None,
    ):
        """``fit``, or with `further` one epoch more; `known` are attributes that do not follow from y."""
        if further and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        before = self.__dict__.copy()
        try:
            self.__dict__.update(known or {})
            judge, run = self._prepared(X, y, sample_weight, further, held_out)
        except BaseException:  # an estimator that was given something wrong is as it was before
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        with threads(self.n_threads):
            self._train(judge, run)
        return self

    def _prepared(self, X, y, sample_weight, further: bool, held_out) -> tuple[Judge, Run]:
        """A training that is about to begin: all that can be wrong has been looked at."""
        first = not hasattr(self, "_network") or not (self.warm_start or further)
        if not first:
            self._refuse_changes("partial_fit" if further else "fit with warm_start=True")
        X, y = self._checked(X, y, reset=first)
        weight = _weights(sample_weight, X)
        random = check_random_state(self.random_state)
        seeds = random.randint(np.iinfo(np.int32).max, size=2).tolist()
        target, loss, n_outputs, link = self._targets(y, first, further)
        weight = self._weighed(y, weight, further)
        if weight is not None and (weight.min() < 0 or not weight.any()):
            raise ValueError("the weights of rows must not be negative, nor all of them zero")
        rows = self._rows(X, y, target, weight, held_out, random)
        if first:
            if further and isinstance(self.embedding, str):
                raise ValueError(
                    f"embedding={self.embedding!r} has its bins at the quantiles of all rows, which partial_fit does "
                    "not see; give embedding=fp.PiecewiseLinear.of(...) of rows that are typical, or call fit first"
                )
            self._begin(rows, loss, n_outputs, link, seeds[0])
            standards = self._standards
        else:
            standards = self._standards.joined(rows.X, rows.target, rows.weight)
        if not standards.finite:
            raise ValueError(NOT_FINITE)
        network = self._network
        examples = network.prepare_examples(standards.inputs(rows.X), standards.targets(rows.target), rows.weight, loss)
        epochs = 1 if further else _validation.count("max_iter", self.max_iter)
        solver = self._solver()
        batch = len(rows.X) if isinstance(solver, LBFGS) else self._batch(len(rows.X), solver)
        judge = Judge(self, rows, further)
        callbacks = [judge, *parse(self.callbacks)]
        if hasattr(self, "_skl_callbacks") and not further:
            callbacks.append(TheirCallbacks(self, X, y))
        how = self._descent(rows, solver, batch)
        if first or not further:
            self._trainer = Trainer(network, loss=loss, **how, seed=seeds[1])
            self._rate = self._trainer.rate
            self._look_out_for_the_best()
        else:
            # None is another seed in each call
            self._retune(**how, seed=None if self.random_state is None else seeds[1])
        if not first:
            with network.engine.locked():
                move(network, self._standards, standards, loss, self._drawn)
        self._standards, self._loss, self.out_activation_ = standards, loss, link
        source = batches.Stored(examples)
        return judge, Run(self._trainer, epochs, source, batch, eval_source=(source, None), callbacks=callbacks)

    def _refuse_changes(self, what: str) -> None:
        """An error where parameters that made the network are not what they were."""
        for name, asked in self._design().items():
            if not _alike(asked, there := self._designed[name]):
                raise ValueError(
                    f"{what} goes on with the network there is, which was made with {name}={there!r}, got "
                    f"{name}={asked!r}; set it back, or call fit with warm_start=False for a new network"
                )

    def _design(self) -> dict[str, Any]:
        """The parameters that make the network and say what its outputs mean, each in one of its spellings."""
        widths = self._widths()
        dtype = self._network.dtype if self.dtype == "auto" else _validation.dtype(self.dtype)
        return {
            "hidden_layer_sizes": widths,
            "activation": _each("activation", self.activation, len(widths)),
            "dropout": _each("dropout", self.dropout, len(widths)),
            "dtype": dtype.name,
        } | {name: getattr(self, name) for name in DESIGN}

    def _checked(self, X, y, names: tuple[str, str] = ("X", "y"), *, reset: bool = False) -> tuple[Any, Any]:
        """X and y as scikit-learn checks them, which takes what is under a mask for data, and dates for numbers."""
        for name, given in zip(names, (X, y)):
            _validation.unmasked(name, given)
        _readable(names[0], X)
        if is_regressor(self):
            y = _readable(names[1], y, targets=True)
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
            Xv, yv = self._checked(Xv, yv, ("X_val", "y_val"))
            rows.held_out = Xv, yv, _weights(weight_v, Xv, "sample_weight_val")
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
        standardize = _validation.flag("standardize", self.standardize)
        self._standards = Standards.of(
            rows.X if standardize and self.embedding is None else None,
            rows.target if standardize and (loss.targets == "numbers" or link == "exp") else None,
            rows.weight,
            link == "exp",
        )
        self.n_outputs_ = n_outputs
        dtype = rows.X.dtype if self.dtype == "auto" else _validation.dtype(self.dtype)
        layers = [rows.X.shape[1], *self._first(rows.X), *self._hidden(), Dense(n_outputs)]
        self._network = Network(layers, dtype=dtype, seed=seed, members=self.members)
        self._drawn = None if self._standards.x is None else first_weights(self._network).copy()
        self._designed = self._design()
        self.n_layers_ = len(self._widths()) + 2
        self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = np.inf
        self.validation_scores_: Any = None
        self.best_validation_score_: Any = None

    def _look_out_for_the_best(self) -> None:
        """By the loss, or with early_stopping by the score, whatever it was in a fit before."""
        if self.early_stopping:
            self.best_loss_ = None
        elif self.best_loss_ is None:
            self.best_loss_ = min(self.loss_curve_)

    def _first(self, X: np.ndarray) -> list[Layer]:
        """The layer that reads the columns of X, if there is one."""
        if self.embedding is None:
            return []
        if isinstance(self.embedding, Layer):
            return [self.embedding]
        _validation.choice("embedding", self.embedding, ["piecewise"])
        return [_piecewise(X)]

    def _widths(self) -> list[int]:
        """The widths of the hidden layers: one may come by itself."""
        given = self.hidden_layer_sizes
        listed = list(given) if isinstance(given, (Sequence, np.ndarray)) and np.ndim(given) else [given]
        if isinstance(given, (str, bytes)) or not all(map(_is_whole, listed)):
            raise TypeError(
                f"hidden_layer_sizes must be an int or a sequence of ints, as (64, 32), got {given!r} "
                f"({type(given).__name__})"
            )
        if any(width <= 0 for width in listed):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {listed}.")
        return [int(width) for width in listed]

    def _hidden(self) -> list[Layer]:
        """The hidden layers."""
        widths = self._widths()
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
        kind = OPTIMIZERS[_validation.choice("solver", self.solver, ["lbfgs", *OPTIMIZERS])]
        rate = self.learning_rate if isinstance(self.learning_rate, Schedule) else self.learning_rate_init
        if rate is None:
            rate = kind().rate
        if kind is SGD:
            return SGD(rate, momentum=self.momentum, nesterov=self.nesterovs_momentum and self.momentum > 0)
        if issubclass(kind, Adam):
            return kind(rate, beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon)
        return kind(rate)

    def _descent(self, rows: Rows, solver: Optimizer | LBFGS, batch: int) -> dict[str, Any]:
        """How a Trainer is to train."""
        scheduled = isinstance(self.learning_rate, Schedule)
        if isinstance(self.solver, Optimizer) and (
            scheduled or (isinstance(self.solver.rate, Schedule) and self.learning_rate != "constant")
        ):
            raise ValueError(
                f"solver={self.solver!r} has a rate of its own, got learning_rate={self.learning_rate!r}; make the "
                "schedule the rate of the solver, and leave learning_rate='constant'"
            )
        if not scheduled:
            _validation.choice("learning_rate", self.learning_rate, ["constant", "invscaling", "adaptive"])
        return {
            # LBFGS takes no steps of a trainer, but has the same data, loss and penalty
            "optimizer": SGD() if isinstance(solver, LBFGS) else solver,
            # the penalty is shared among the rows of a batch
            "l2": _validation.number("alpha", self.alpha, least=0) / (batch * rows.mean_weight),
            "shuffle": _validation.flag("shuffle", self.shuffle),
        }

    def _batch(self, rows: int, optimizer: Optimizer) -> int:
        """How many rows a step takes."""
        if optimizer.full_batch:
            return rows
        if isinstance(self.batch_size, str):
            _validation.choice("batch_size", self.batch_size, ["auto"])
            return min(rows, max(32, min(200, rows // 16)))  # some 16 steps an epoch, however few rows there are
        batch = _validation.count("batch_size", self.batch_size)
        if batch > rows:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return min(batch, rows)

    def _retune(self, optimizer: Optimizer, l2: float, shuffle: bool, seed: int | None) -> None:
        """The trainer goes on as the parameters are now; what its optimiser remembers stays where it has the same."""
        trainer = self._trainer
        before = trainer.optimizer
        trainer.shuffle = shuffle
        if seed is not None:
            trainer.seed = trainer.compiled.seed = seed
        if (optimizer, l2) != (before, trainer.options["l2"]):
            arrays, *time = trainer.optimizer_state.state()
            trainer.options["l2"] = l2
            trainer.optimizer = optimizer
            fresh, *start = trainer.optimizer_state.state()
            if type(optimizer) is type(before) and list(map(np.shape, arrays)) == list(map(np.shape, fresh)):
                trainer.optimizer_state.restore((arrays, *(time if optimizer.rate == before.rate else start)))
        if self.learning_rate == "invscaling":
            self._rate = trainer.rate / (self.t_ + 1) ** self.power_t
        elif self.learning_rate == "constant" or optimizer.rate != before.rate:
            self._rate = trainer.rate

    def _train(self, judge: Judge, run: Run) -> None:
        solver, converged = self._solver(), False
        try:
            run.begin()
            if isinstance(solver, LBFGS):
                converged = train_by_lbfgs(run, solver, self.max_fun)
            else:
                judge.set_rate()
                train(run)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        except DivergenceError as error:
            if judge.best is None:
                raise ValueError(f"{NOT_FINITE} {error}") from error
            self.validation_scores_.append(np.nan)
            warn(f"{error}", ConvergenceWarning)
            converged = True
        finally:
            run.close()
        if not (converged or judge.further or run.stopped) and (run.epoch == run.epochs or not self._stochastic()):
            warn(
                f"{'Stochastic Optimizer' if self._stochastic() else 'lbfgs'}: Maximum iterations ({self.n_iter_}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        for callback in run.callbacks:
            if isinstance(callback, TheirCallbacks):
                callback.close()

    # ---- what was learned ----

    def _outputs(self, X) -> np.ndarray:
        """What the network says of rows that were checked, in the units of its training."""
        with threads(self.n_threads):
            return self._network(self._standards.inputs(X))

    def _predicted(self, X) -> np.ndarray:
        """The outputs for rows that were not."""
        check_is_fitted(self)
        _validation.unmasked("X", X)
        _readable("X", X)
        outputs = self._outputs(_dense(validate_data(self, X, reset=False, **AS_WE_TAKE_IT)))
        if not np.isfinite(outputs).all():
            row, column = _validation.place(~np.isfinite(outputs))
            raise ValueError(
                f"row {row} of X makes output {column} of the network {outputs[row, column]}: its numbers are too "
                f"large for {outputs.dtype}; drop or scale such rows"
            )
        return outputs

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

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the outputs change with each column, per standard deviation of it: (columns,), with the sum 1.

        The mean absolute derivative at rows of normally distributed numbers, so that nothing of the data is kept.
        """
        network = self.__dict__.get("_network")
        if network is None or self._standards.x is None:
            raise AttributeError(
                f"this {type(self).__name__} has no feature_importances_: they need a fit with standardize=True and "
                "without embedding; use sklearn.inspection.permutation_importance, or an importance_getter"
            )
        mean = np.zeros(network.n_inputs)
        for row in np.random.default_rng(0).normal(size=(IMPORTANCE_ROWS, network.n_inputs)):
            slopes = network.jacobian(row[np.newaxis])[0]
            if self.out_activation_ == "softmax":  # which does not see what all scores have in common
                slopes = slopes - slopes.mean(axis=0)
            mean += np.abs(slopes).sum(axis=0)
        mean[self._standards.x.deviation == 0] = 0  # of a constant column nothing was learned
        return mean / max(mean.sum(), np.finfo(np.float64).tiny)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _alike(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are the same."""
    try:
        return a is b or bool(a == b)
    except ValueError:  # arrays
        return np.array_equal(a, b)


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


def _readable(name: str, given: Any, **use: bool) -> Any:
    """An array of the numbers that a table holds, where a network would take them; of anything else, what was given.

    Raises what the network would: scikit-learn takes dates for numbers, and its other errors name no column.
    """
    if hasattr(given, "toarray"):  # estimators take sparse matrices
        return given
    return data.plain(name, given, np.dtype(np.float64), **use)


def _weights(given: Any, X: np.ndarray, name: str = "sample_weight") -> np.ndarray | None:
    """A weight for each row."""
    if given is None:
        return None
    _validation.unmasked(name, given)
    _readable(name, given, weights=True)
    weight = check_array(given, ensure_2d=False, dtype=X.dtype, input_name=name)
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
