"""What a fit of an estimator needs: its rows, the callback that judges its epochs, and one for scikit-learn's own."""

import copy
from typing import Any

import numpy as np

from fastprop._util.text import number
from fastprop.io import streams
from fastprop.optim.schedules import Schedule
from fastprop.training.callbacks import Callback
from fastprop.training.ranks import Ranks


class Rows:
    """The rows to train on, and the rows held out for validation.

    Attributes
    ----------
    X : ndarray, (rows, columns)
    target : ndarray
        As the loss takes it.
    weight : ndarray, (rows,), or None
    ranks : Ranks
        Those that train together; the arrays have the rows of this one.
    held_out : tuple or None
        X, y and weights of the rows held out.
    total : int
        How many rows all ranks have to train on.
    mean_weight : float
        The mean weight of these; 1 where there are no weights.
    """

    total: int
    mean_weight: float

    def __init__(self, X: Any, target: Any, weight: Any, ranks: Ranks):
        self.X, self.target, self.weight, self.ranks = X, target, weight, ranks
        self.held_out: Any = None

    def without_zero_weights(self) -> "Rows":
        """Drop the rows whose weight is 0, so that they neither fill batches nor count; return self, counted."""
        if self.weight is not None and not (counts := self.weight != 0).all():
            self.X, self.target, self.weight = self.X[counts], self.target[counts], self.weight[counts]
        self.total, self.mean_weight = int(self.ranks.sums(len(self.X))[0]), 1.0
        if self.weight is not None:
            self.mean_weight = self.ranks.mean(len(self.X), float(self.weight.mean()) if len(self.X) else 0.0)
        return self


class EstimatorCallback(Callback):
    """Does after each epoch what scikit-learn's loop does: records, judges, stops, and sets the rate.

    Attributes
    ----------
    best : tuple or None
        The parameters and state that had the best score on the rows held out.
    """

    def __init__(self, estimator: Any, rows: Rows, partial: bool):
        self.estimator, self.rows, self.partial = estimator, rows, partial
        self.verbose = estimator.verbose and rows.ranks.rank == 0
        self.best: tuple[np.ndarray, np.ndarray] | None = None
        estimator.n_iter_ = 0

    def set_rate(self) -> None:
        """Set the rate of the next steps to the estimator's, unless a schedule determines it."""
        trainer = self.estimator._trainer
        if not isinstance(trainer.optimizer.rate, Schedule):
            trainer.optimizer_state.compiled.rate = self.estimator._rate

    def on_epoch_end(self, run) -> None:
        """Record the epoch; stop or reduce the rate where n_iter_no_change epochs brought no improvement."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.t_ += self.rows.total
        estimator.loss_ = run.cost
        estimator.loss_curve_.append(run.cost)
        if self.verbose:
            streams.show(f"Iteration {estimator.n_iter_}, loss = {number(run.cost, '.8f')}")
        improved = self._improved()
        if self.rows.held_out is not None:  # for the callbacks that come after this one
            run.history.setdefault("validation_score", []).append(estimator.validation_scores_[-1])
        if not estimator._stochastic():
            return
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        if estimator.learning_rate == "invscaling":
            estimator._rate = estimator._trainer.rate / (estimator.t_ + 1) ** estimator.power_t
        if estimator._no_improvement_count > estimator.n_iter_no_change and not self.partial:
            if estimator.learning_rate == "adaptive" and estimator._rate > 1e-6:  # scikit-learn's last rate
                estimator._rate /= 5
                estimator._no_improvement_count = 0
            else:
                self._stop(run)
        self.set_rate()

    def on_train_end(self, run) -> None:
        """Restore the best parameters with early_stopping, before the callbacks that come after this one."""
        if self.best is not None and self.estimator.early_stopping:
            run.network.restore(*self.best)

    def _improved(self) -> bool:
        """Return whether the epoch was better than the best so far by at least tol, and update the best."""
        estimator = self.estimator
        best = estimator.best_validation_score_
        score = self._validate() if self.rows.held_out is not None else None
        if estimator.best_loss_ is None:
            return best is None or score >= best + estimator.tol
        loss, estimator.best_loss_ = estimator.best_loss_, min(estimator.best_loss_, estimator.loss_)
        return estimator.loss_ <= loss - estimator.tol

    def _validate(self) -> float:
        """Return the score on the rows held out, NaN where outputs overflow, and keep the best parameters."""
        estimator, network, ranks = self.estimator, self.estimator._network, self.rows.ranks
        X, y, weight = self.rows.held_out
        outputs = estimator._outputs(X) if len(X) else np.empty((0, network.n_outputs), network.dtype)
        overflow = ranks.any(not np.isfinite(outputs).all())
        score = float("nan") if overflow else float(estimator._score_outputs(outputs, y, weight, ranks))
        if estimator.validation_scores_ is None:
            estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
        estimator.validation_scores_.append(score)
        if self.verbose:
            streams.show(f"Validation score: {score:f}")
        if score > estimator.best_validation_score_ or self.best is None:
            estimator.best_validation_score_ = max(score, estimator.best_validation_score_)
            self.best = network.snapshot()
        return score

    def _stop(self, run) -> None:
        """Stop the training, since it improves no more."""
        estimator = self.estimator
        if self.verbose:
            what = "Training loss" if self.rows.held_out is None else "Validation score"
            streams.show(
                f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive "
                "epochs. Stopping."
            )
        run.stop()


class SklearnCallbacks(Callback):
    """Calls the callbacks of scikit-learn: a fit is a task, and each epoch a task within it."""

    def __init__(self, estimator: Any, X: np.ndarray, y: np.ndarray):
        self.estimator = estimator
        self.seen = {"estimator": estimator, "X": X, "y": y}

    def on_train_begin(self, run) -> None:
        """Begin the task of the fit, and that of the first epoch."""
        self.fit = self.estimator._init_callback_context(max_subtasks=run.epochs)
        self.fit.call_on_fit_task_begin(**self.seen)
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.epoch = self.fit.subcontext(task_name="epoch").call_on_fit_task_begin(**self.seen)

    def on_epoch_end(self, run) -> None:
        """End the task of the epoch, with the estimator as it is now; a callback may stop the training."""
        if self.epoch.call_on_fit_task_end(**self.seen, reconstruction_attributes=self._reconstruction_attributes):
            run.stop()
        if run.epoch < run.epochs and not run.stopped:
            self._begin_epoch()

    def close(self) -> None:
        """End the task of the fit."""
        self.fit.call_on_fit_task_end(**self.seen, reconstruction_attributes=self._reconstruction_attributes)

    def _reconstruction_attributes(self) -> dict[str, Any]:
        return {"_network": copy.copy(self.estimator._network)}  # the next epoch changes the one there is
