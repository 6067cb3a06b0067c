"""The base of MLPClassifier and MLPRegressor: from parameters to a network, its training and its outputs."""

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
from fastprop._version import reference
from fastprop.config import threads
from fastprop.data import arrays as data
from fastprop.data import batches
from fastprop.interop.from_sklearn import ACTIVATIONS
from fastprop.nn import custom_loss, losses
from fastprop.nn.embeddings import PiecewiseLinear, edges_of
from fastprop.nn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from fastprop.nn.network import Network
from fastprop.optim.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from fastprop.optim.schedules import Schedule
from fastprop.sklearn._callbacks import EstimatorCallback, Rows, SklearnCallbacks
from fastprop.sklearn.standardize import Standardization, first_weights, fold_standardization, restandardize
from fastprop.training.callbacks import parse
from fastprop.training.fit import train, train_by_lbfgs
from fastprop.training.ranks import ALONE, SAMPLED_ROWS, Ranks
from fastprop.training.run import Run
from fastprop.training.split import held_out as choose_held_out
from fastprop.training.trainer import DivergenceError, Trainer

try:  # scikit-learn's own callbacks, from 1.9 on
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """A mixin that does nothing."""

    def with_callbacks(method):
        """Return the method unchanged."""
        return method


NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
# How scikit-learn checks X. A sparse X is made dense afterwards, and the network has the dtype of X.
CHECK_OPTIONS: dict[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "order": "C"}

# The parameters that determine the network, in addition to those that `_structure` converts.
STRUCTURAL = ("loss", "standardize", "initializer", "batch_norm", "layer_norm", "members", "embedding")

# More rows did not order columns better: for Friedman's function, for products, for scikit-learn's diabetes with noise.
IMPORTANCE_ROWS = 256


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """The base class of both estimators; its subclasses know what y holds."""

    _doc_link_module, _doc_link_template = "fastprop", reference("sklearn.estimators")  # scikit-learn's diagram has it
    _network: Network
    _trainer: Trainer
    _standardization: Standardization
    _initial_weights: np.ndarray | None

    def _store(self, parameters: dict[str, Any]) -> None:
        """Store the arguments of the constructor unchecked, as scikit-learn wants it."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for a pickle, which names no inner class."""
        state = dict(super().__getstate__())
        if "_standardization" in state:
            state["_standardization"] = asdict(self._standardization)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_standardization" in state:
            state = state | {"_standardization": Standardization.from_dict(state["_standardization"])}
        super().__setstate__(state)

    # ---- what subclasses define ----

    def _encode_targets(
        self, y: np.ndarray, first: bool, partial: bool, ranks: Ranks
    ) -> tuple[np.ndarray, losses.Loss | custom_loss.OwnLoss, int, str]:
        """Return y as the network learns it, the loss, the number of outputs, and the function applied to them."""
        raise NotImplementedError

    def _with_class_weight(
        self, y: np.ndarray, weight: np.ndarray | None, partial: bool, ranks: Ranks
    ) -> np.ndarray | None:
        """Return the weight of each row times that of its class, where classes have weights."""
        return weight

    def _score_outputs(self, outputs: np.ndarray, y: Any, weight: np.ndarray | None, ranks: Ranks) -> float:
        """Return the score of the network's outputs for y on all ranks, as ``score`` does."""
        raise NotImplementedError

    # ---- fit ----

    @with_callbacks
    def _fit(
        self,
        X,
        y,
        sample_weight,
        *,
        partial: bool = False,
        held_out: tuple[Any, Any, Any] = (None, None, None),
        known: dict[str, Any] | None = None,
        communicator: Any = None,
    ):
        """Fit, or train for one epoch more if `partial`; `known` are attributes that do not follow from y."""
        if partial and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        before, ranks = self.__dict__.copy(), Ranks.of(communicator)
        with ranks.together():
            try:
                self.__dict__.update(known or {})
                callback, run = self._prepare(X, y, sample_weight, partial, held_out, ranks)
            except BaseException:  # wrong arguments leave the estimator as it was before
                self.__dict__.clear()
                self.__dict__.update(before)
                raise
            with threads(self.n_threads):
                self._train(callback, run)
        return self

    def _prepare(self, X, y, sample_weight, partial: bool, held_out, ranks: Ranks) -> tuple[EstimatorCallback, Run]:
        """Check everything, and return a training that is ready to begin."""
        first = not hasattr(self, "_network") or not (self.warm_start or partial)
        if not first:
            self._check_structure("partial_fit" if partial else "fit with warm_start=True")
        X, y = self._check(X, y, reset=first, ranks=ranks)
        if not ranks.alone:
            X, y = self._join_ranks(X, y, sample_weight, held_out, ranks)
        weight = _check_weights(sample_weight, X)
        random = ranks.broadcast_object(check_random_state(self.random_state))
        seeds = random.randint(np.iinfo(np.int32).max, size=2).tolist()
        target, loss, n_outputs, link = self._encode_targets(y, first, partial, ranks)
        weight = self._with_class_weight(y, weight, partial, ranks)
        if weight is not None and ((weight < 0).any() or not ranks.any(bool(weight.any()))):
            raise ValueError("the weights of rows must not be negative, nor all of them zero")
        rows = self._split_rows(X, y, target, weight, held_out, random, ranks)
        if first:
            if partial and isinstance(self.embedding, str):
                raise ValueError(
                    f"embedding={self.embedding!r} has its bins at the quantiles of all rows, which partial_fit does "
                    "not see; give embedding=fp.PiecewiseLinear.of(...) of rows that are typical, or call fit first"
                )
            self._build_network(rows, loss, n_outputs, link, seeds[0])
            standardization = self._standardization
        else:
            standardization = self._standardization.joined(rows.X, rows.target, rows.weight, ranks)
        if not standardization.finite:
            raise ValueError(NOT_FINITE)
        network = self._network
        inputs, targets = standardization.inputs(rows.X), standardization.targets(rows.target)
        examples = network.prepare_examples(inputs, targets, rows.weight, loss, partial=not ranks.alone)
        epochs = 1 if partial else _validation.count("max_iter", self.max_iter)
        solver = self._solver()
        batch = rows.total if isinstance(solver, LBFGS) else self._step_size(rows.total, solver)
        callback = EstimatorCallback(self, rows, partial)
        callbacks = [callback, *parse(self.callbacks)]
        if hasattr(self, "_skl_callbacks") and not partial:
            callbacks.append(SklearnCallbacks(self, X, y))
        options = self._trainer_options(rows, solver, batch)
        if first or not partial:
            self._trainer = Trainer(network, loss=loss, **options, seed=seeds[1], communicator=ranks)
            self._rate = self._trainer.rate
            self._reset_best()
        else:
            # with random_state=None each call has another seed, and the trainer keeps its own
            self._update_trainer(**options, seed=None if self.random_state is None else seeds[1])
        if not first:
            with network.engine.locked():
                restandardize(network, self._standardization, standardization, loss, self._initial_weights)
        self._standardization, self._loss, self.out_activation_ = standardization, loss, link
        source = batches.Stored(examples)
        return callback, Run(self._trainer, epochs, source, batch, eval_source=(source, None), callbacks=callbacks)

    def _check_structure(self, what: str) -> None:
        """Refuse a change of parameters that determine the network, since training goes on with the one there is."""
        for name, asked in self._structure().items():
            if not _equal(asked, there := self._structure_built[name]):
                raise ValueError(
                    f"{what} goes on with the network there is, which was made with {name}={there!r}, got "
                    f"{name}={asked!r}; set it back, or call fit with warm_start=False for a new network"
                )

    def _structure(self) -> dict[str, Any]:
        """Return the parameters that determine the network and the meaning of its outputs, in a form that compares."""
        widths = self._widths()
        dtype = self._network.dtype if self.dtype == "auto" else _validation.dtype(self.dtype)
        return {
            "hidden_layer_sizes": widths,
            "activation": _per_layer("activation", self.activation, len(widths)),
            "dropout": _per_layer("dropout", self.dropout, len(widths)),
            "dtype": dtype.name,
        } | {name: getattr(self, name) for name in STRUCTURAL}

    def _join_ranks(self, X, y, sample_weight, held_out, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
        """Wait for all ranks, check that their rows go together, and return those of this one in the dtype of all."""
        ranks.meet(
            estimator=type(self).__name__,
            columns=getattr(self, "feature_names_in_", np.arange(self.n_features_in_)).tolist(),
            sample_weight=sample_weight is not None,
            X_val=held_out[0] is not None,
            sample_weight_val=held_out[2] is not None,
        )
        shapes = [shape for shape in ranks.gather_objects((len(X), X.dtype, y[:0])) if shape[0]]
        if not shapes:
            raise ranks.common(ValueError("no rank has a row; was everything filtered out?"))
        if len({empty.shape for _, _, empty in shapes}) > 1:
            raise ranks.common(ValueError("y has other columns on some ranks than on others"))
        X = X.astype(np.result_type(*(dtype for _, dtype, _ in shapes)), copy=False)
        return X, (y if len(y) else shapes[0][2])

    def _check(
        self, X, y, names: tuple[str, str] = ("X", "y"), *, reset: bool = False, ranks: Ranks = ALONE
    ) -> tuple[Any, Any]:
        """Return X and y as scikit-learn checks them. It would accept masked elements and dates: these are refused.

        Over several ranks, this one may have no rows.
        """
        for name, given in zip(names, (X, y)):
            _validation.unmasked(name, given)
        _check_numbers(names[0], X)
        if is_regressor(self):
            y = _check_numbers(names[1], y, targets=True)
        if not ranks.alone and np.shape(X)[0] == 0:
            return _dense(validate_data(self, X, reset=reset, ensure_min_samples=0, **CHECK_OPTIONS)), np.asarray(y)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=is_regressor(self), reset=reset, **CHECK_OPTIONS)
        y = _dense(y)
        return _dense(X), column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _split_rows(self, X, y, target, weight, held_out, random, ranks: Ranks) -> Rows:
        """Return the rows to train on, and those held out for validation, if any."""
        Xv, yv, weight_v = held_out
        if (Xv is None) != (yv is None):
            raise ValueError(f"{'X_val' if Xv is None else 'y_val'} is missing; give both X_val and y_val, or neither")
        rows = Rows(X, target, weight, ranks)
        if Xv is not None:
            Xv, yv = self._check(Xv, yv, ("X_val", "y_val"), ranks=ranks)
            rows.held_out = Xv, yv, _check_weights(weight_v, Xv, "sample_weight_val")
        elif self.early_stopping and self._stochastic():
            strata = y if is_classifier(self) and y.ndim == 1 else None  # several labels at once have no strata
            kept, held = self._split(len(X), strata, random, ranks)
            if ranks.sums(len(held))[0] < 2:
                raise ranks.common(
                    ValueError(
                        "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                    )
                )
            rows = Rows(X[kept], target[kept], None if weight is None else weight[kept], ranks)
            rows.held_out = X[held], y[held], None if weight is None else weight[held]
        return rows.without_zero_weights()

    def _split(self, n_rows: int, strata, random, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the rows to train on and of those to hold out, of each class a share."""
        if ranks.alone:
            return train_test_split(
                np.arange(n_rows), test_size=self.validation_fraction, random_state=random, stratify=strata
            )
        share = _validation.number("validation_fraction", self.validation_fraction, above=0, below=1)
        seed = ranks.seed(int(random.randint(np.iinfo(np.int32).max)))
        held = choose_held_out(share, n_rows, strata, seed)
        return np.flatnonzero(~held), np.flatnonzero(held)

    def _build_network(self, rows: Rows, loss, n_outputs: int, link: str, seed: int) -> None:
        """Make a new network, its standardization, and the attributes of a new fit."""
        standardize = _validation.flag("standardize", self.standardize)
        self._standardization = Standardization.of(
            rows.X if standardize and self.embedding is None else None,
            rows.target if standardize and (loss.targets == "numbers" or link == "exp") else None,
            rows.weight,
            link == "exp",
            rows.ranks,
        )
        self.n_outputs_ = n_outputs
        dtype = rows.X.dtype if self.dtype == "auto" else _validation.dtype(self.dtype)
        layers = [rows.X.shape[1], *self._embedding_layers(rows, seed), *self._hidden_layers(), Dense(n_outputs)]
        self._network = Network(layers, dtype=dtype, seed=seed, members=self.members)
        self._initial_weights = None if self._standardization.x is None else first_weights(self._network).copy()
        self._structure_built = self._structure()
        self.n_layers_ = len(self._widths()) + 2
        self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = np.inf
        self.validation_scores_: Any = None
        self.best_validation_score_: Any = None

    def _reset_best(self) -> None:
        """Compare epochs by the score with early_stopping, else by the loss, whichever the fit before used."""
        if self.early_stopping:
            self.best_loss_ = None
        elif self.best_loss_ is None:
            self.best_loss_ = min(self.loss_curve_)

    def _embedding_layers(self, rows: Rows, seed: int) -> list[Layer]:
        """Return the embedding of the columns of X as a list of one layer, or an empty list."""
        if self.embedding is None:
            return []
        if isinstance(self.embedding, Layer):
            return [self.embedding]
        _validation.choice("embedding", self.embedding, ["piecewise"])
        X, ranks = rows.X, rows.ranks
        if not ranks.alone:
            share = min(1.0, SAMPLED_ROWS / rows.total)
            chosen = np.random.default_rng(ranks.seed(seed)).permutation(len(X))[: round(share * len(X))]
            X = ranks.gather(X[chosen])
        return [_piecewise(X)]

    def _widths(self) -> list[int]:
        """Return the widths of the hidden layers; a single int stands for one layer."""
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

    def _hidden_layers(self) -> list[Layer]:
        """Return the hidden layers, with normalisation and dropout."""
        widths = self._widths()
        activations = _per_layer("activation", self.activation, len(widths))
        rates = _per_layer("dropout", self.dropout, len(widths))
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

    # ---- training ----

    def _stochastic(self) -> bool:
        """Return whether the solver takes mini-batches, so that ``partial_fit`` makes sense."""
        return self.solver != "lbfgs" and not isinstance(self.solver, LBFGS)

    def _solver(self) -> Optimizer | LBFGS:
        """Return the optimiser that the parameters describe."""
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

    def _trainer_options(self, rows: Rows, solver: Optimizer | LBFGS, batch: int) -> dict[str, Any]:
        """Return the options of ``Trainer``."""
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
            # LBFGS takes no steps of a trainer, and uses its data, loss and penalty; the optimizer is not used
            "optimizer": SGD() if isinstance(solver, LBFGS) else solver,
            # scikit-learn divides the penalty by the rows of a batch
            "l2": _validation.number("alpha", self.alpha, least=0) / (batch * rows.mean_weight),
            "shuffle": _validation.flag("shuffle", self.shuffle),
        }

    def _step_size(self, rows: int, optimizer: Optimizer) -> int:
        """Return how many rows a step takes."""
        if optimizer.full_batch:
            return rows
        if isinstance(self.batch_size, str):
            _validation.choice("batch_size", self.batch_size, ["auto"])
            return min(rows, max(32, min(200, rows // 16)))  # about 16 steps in an epoch of few rows
        batch = _validation.count("batch_size", self.batch_size)
        if batch > rows:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return min(batch, rows)

    def _update_trainer(self, optimizer: Optimizer, l2: float, shuffle: bool, seed: int | None) -> None:
        """Give the trainer the present parameters. The optimiser keeps its state if the new one has the same state."""
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

    def _train(self, callback: EstimatorCallback, run: Run) -> None:
        solver, converged = self._solver(), False
        try:
            run.begin()
            if isinstance(solver, LBFGS):
                converged = train_by_lbfgs(run, solver, self.max_fun)
            else:
                callback.set_rate()
                train(run)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        except DivergenceError as error:
            if callback.best is None:
                raise self._trainer.ranks.common(ValueError(f"{NOT_FINITE} {error}")) from error
            self.validation_scores_.append(np.nan)
            warn(f"{error}", ConvergenceWarning)
            converged = True
        finally:
            run.close()
            self._trainer.ranks = ALONE  # whatever comes next is another call
        if not (converged or callback.partial or run.stopped) and (run.epoch == run.epochs or not self._stochastic()):
            warn(
                f"{'Stochastic Optimizer' if self._stochastic() else 'lbfgs'}: Maximum iterations ({self.n_iter_}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        for each in run.callbacks:
            if isinstance(each, SklearnCallbacks):
                each.close()

    # ---- outputs and what was learned ----

    def _outputs(self, X) -> np.ndarray:
        """Return the network's outputs for rows that were checked, in the standardised units of y."""
        with threads(self.n_threads):
            return self._network(self._standardization.inputs(X))

    def _predict_outputs(self, X) -> np.ndarray:
        """Check rows, and return the network's outputs for them, in the standardised units of y."""
        check_is_fitted(self)
        _validation.unmasked("X", X)
        _check_numbers("X", X)
        outputs = self._outputs(_dense(validate_data(self, X, reset=False, **CHECK_OPTIONS)))
        if not np.isfinite(outputs).all():
            row, column = _validation.place(~np.isfinite(outputs))
            raise ValueError(
                f"row {row} of X makes output {column} of the network {outputs[row, column]}: its numbers are too "
                f"large for {outputs.dtype}; drop or scale such rows"
            )
        return outputs

    @property
    def network_(self) -> Network:
        """The network, which takes X as it is and returns outputs in the units of y; with `standardize` a copy."""
        network = self.__dict__.get("_network")
        if network is None:
            raise AttributeError(f"this {type(self).__name__} has no network_ before fit")
        return fold_standardization(network, self._standardization, self._loss)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer that has any, (n_in, n_out), for standardised inputs: views."""
        return list(self._network.weights)

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer that has weights, (n_out,), for standardised inputs: views."""
        return list(self._network.biases)

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the outputs change per standard deviation of each column: (columns,), with the sum 1.

        It is the mean absolute derivative at rows of normally distributed numbers, so that none of the data is kept.
        """
        network = self.__dict__.get("_network")
        if network is None or self._standardization.x is None:
            raise AttributeError(
                f"this {type(self).__name__} has no feature_importances_: they need a fit with standardize=True and "
                "without embedding; use sklearn.inspection.permutation_importance, or an importance_getter"
            )
        mean = np.zeros(network.n_inputs)
        for row in np.random.default_rng(0).normal(size=(IMPORTANCE_ROWS, network.n_inputs)):
            slopes = network.jacobian(row[np.newaxis])[0]
            if self.out_activation_ == "softmax":  # what is added to all scores does not change it
                slopes = slopes - slopes.mean(axis=0)
            mean += np.abs(slopes).sum(axis=0)
        mean[self._standardization.x.deviation == 0] = 0  # nothing was learned from a constant column
        return mean / max(mean.sum(), np.finfo(np.float64).tiny)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _equal(a: Any, b: Any) -> bool:
    """Return whether two values of a parameter are equal."""
    try:
        return a is b or bool(a == b)
    except ValueError:  # arrays
        return np.array_equal(a, b)


def _per_layer(what: str, value: Any, n: int) -> list:
    """Return a list with the value for each of n hidden layers; a single value is for all of them."""
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"{what} has {len(value)} values for {n} hidden layers; give one for each, or one for all")
    return list(value)


def _dense(array: Any) -> np.ndarray:
    """Return a sparse matrix as an array, and an array unchanged."""
    return array.toarray() if hasattr(array, "toarray") else array


def _check_numbers(name: str, given: Any, **use: bool) -> Any:
    """Return the numbers of a data frame or a similar table as an array, and anything else unchanged.

    It raises the errors that the network would: scikit-learn accepts dates as numbers, and its errors name no column.
    """
    if hasattr(given, "toarray"):  # estimators take sparse matrices
        return given
    return data.plain(name, given, np.dtype(np.float64), **use)


def _check_weights(given: Any, X: np.ndarray, name: str = "sample_weight") -> np.ndarray | None:
    """Check the weights of the rows, and return them, (rows,); None if there are none."""
    if given is None:
        return None
    _validation.unmasked(name, given)
    _check_numbers(name, given, weights=True)
    least = min(len(X), 1)  # one rank of several may have no rows
    weight = check_array(given, ensure_2d=False, dtype=X.dtype, ensure_min_samples=least, input_name=name)
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array")
    check_consistent_length(X, weight)
    return weight


def _piecewise(X: np.ndarray) -> PiecewiseLinear:
    """Return ``PiecewiseLinear.of(X)`` for an X that may have constant columns."""
    edges = [edges_of(column).tolist() for column in X.astype(np.float64).T]
    # a constant column has no two edges: one bin of any width will do
    return PiecewiseLinear(tuple(tuple(e) if len(e) > 1 else (e[0], e[0] + 1.0 + abs(e[0])) for e in edges))
