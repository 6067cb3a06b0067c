"""What goes along with a fit of an estimator: its rows, who judges its epochs, and who tells scikit-learn of them."""

import copy
from typing import Any

import numpy as np

from fastprop.io import streams
from fastprop.optim.schedules import Schedule
from fastprop.training.callbacks import Callback


class Rows:
    """Rows to train on, and those held out: (X, y, weights), if any.

    Attributes
    ----------
    X : ndarray, (rows, columns)
    target : ndarray
        As the loss takes it.
    weight : ndarray, (rows,), or None
    held_out : tuple or None
    """

    def __init__(self, X, target, weight):
        self.X, self.target, self.weight, self.held_out = X, target, weight, None

    def weighing(self) -> "Rows":
        """The same without the rows that weigh nothing, so that they neither fill batches nor count."""
        if self.weight is not None and not (counts := self.weight != 0).all():
            self.X, self.target, self.weight = self.X[counts], self.target[counts], self.weight[counts]
        return self

    @property
    def mean_weight(self) -> float:
        """1 where there are no weights."""
        return 1.0 if self.weight is None else float(self.weight.mean())


class Judge(Callback):
    """Watches the epochs of an estimator, as scikit-learn's loop does, and sees to its rate.

    Attributes
    ----------
    best : tuple or None
        The parameters and state with the best score on the rows held out.
    """

    def __init__(self, estimator: Any, rows: Rows, further: bool):
        self.estimator, self.rows, self.further = estimator, rows, further
        self.best: tuple[np.ndarray, np.ndarray] | None = None
        estimator.n_iter_ = 0

    def set_rate(self) -> None:
        """The rate of the next steps is the estimator's, where no schedule says it."""
        trainer = self.estimator._trainer
        if not isinstance(trainer.optimizer.rate, Schedule):
            trainer.optimizer_state.compiled.rate = self.estimator._rate

    def on_epoch_end(self, run) -> None:
        """Counts, judges, and stops or slows down where nothing is gained any more."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.t_ += len(self.rows.X)
        estimator.loss_ = run.cost
        estimator.loss_curve_.append(run.cost)
        if estimator.verbose:
            streams.show(f"Iteration {estimator.n_iter_}, loss = {run.cost:.8f}")
        gained = self._gained()
        if not estimator._stochastic():
            return
        estimator._no_improvement_count = 0 if gained else estimator._no_improvement_count + 1
        if estimator.learning_rate == "invscaling":
            estimator._rate = estimator._trainer.rate / (estimator.t_ + 1) ** estimator.power_t
        if estimator._no_improvement_count > estimator.n_iter_no_change and not self.further:
            if estimator.learning_rate == "adaptive" and estimator._rate > 1e-6:  # scikit-learn's last rate
                estimator._rate /= 5
                estimator._no_improvement_count = 0
            else:
                self._tell(run)
        self.set_rate()

    def on_train_end(self, run) -> None:
        """The best parameters, for the callbacks after it too, where that is wanted."""
        if self.best is not None and self.estimator.early_stopping:
            run.network.restore(*self.best)

    def _gained(self) -> bool:
        """Whether the epoch was better than the best so far by at least tol."""
        estimator = self.estimator
        best = estimator.best_validation_score_
        score = self._validated() if self.rows.held_out is not None else None
        if estimator.best_loss_ is None:
            return best is None or score >= best + estimator.tol
        loss, estimator.best_loss_ = estimator.best_loss_, min(estimator.best_loss_, estimator.loss_)
        return estimator.loss_ <= loss - estimator.tol

    def _validated(self) -> float:
        """The score on the rows held out, NaN where outputs overflow; the best parameters are kept."""
        estimator, network = self.estimator, self.estimator._network
        X, y, weight = self.rows.held_out
        outputs = estimator._outputs(X)
        score = float(estimator._score_of(outputs, y, weight)) if np.isfinite(outputs).all() else float("nan")
        if estimator.validation_scores_ is None:
            estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            streams.show(f"Validation score: {score:f}")
        if score > estimator.best_validation_score_ or self.best is None:
            estimator.best_validation_score_ = max(score, estimator.best_validation_score_)
            self.best = network.snapshot()
        return score

    def _tell(self, run) -> None:
        """Nothing is gained any more."""
        estimator = self.estimator
        if estimator.verbose:
            what = "Training loss" if self.rows.held_out is None else "Validation score"
            streams.show(
                f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive "
                "epochs. Stopping."
            )
        run.stop()


class TheirCallbacks(Callback):
    """Tells scikit-learn's callbacks of a fit, and of each epoch as a task of it."""

    def __init__(self, estimator: Any, X: np.ndarray, y: np.ndarray):
        self.estimator = estimator
        self.seen = {"estimator": estimator, "X": X, "y": y}

    def on_train_begin(self, run) -> None:
        """The fit, and its first epoch."""
        self.fit = self.estimator._init_callback_context(max_subtasks=run.epochs)
        self.fit.call_on_fit_task_begin(**self.seen)
        self._begin()

    def _begin(self) -> None:
        self.epoch = self.fit.subcontext(task_name="epoch").call_on_fit_task_begin(**self.seen)

    def on_epoch_end(self, run) -> None:
        """An epoch, with the estimator as it is now; one of them may want it to be the last."""
        if self.epoch.call_on_fit_task_end(**self.seen, reconstruction_attributes=self._learned):
            run.stop()
        if run.epoch < run.epochs and not run.stopped:
            self._begin()

    def close(self) -> None:
        """The whole fit."""
        self.fit.call_on_fit_task_end(**self.seen, reconstruction_attributes=self._learned)

    def _learned(self) -> dict[str, Any]:
        return {"_network": copy.copy(self.estimator._network)}  # the next epoch changes the one there is
