"""fit: the loop over epochs and steps, with validation, metrics, early stopping and callbacks."""

import inspect
import sys
from contextlib import closing
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop.data import batches
from fastprop.data.targets import check_classes, loss_for
from fastprop.nn.network import Network
from fastprop.optim.lbfgs import minimize
from fastprop.optim.optimizers import LBFGS
from fastprop.training import checkpoint
from fastprop.training.callbacks import parse as parse_callbacks
from fastprop.training.checkpoint import Checkpoint
from fastprop.training.history import History
from fastprop.training.metrics import parse as parse_metrics
from fastprop.training.ranks import Ranks
from fastprop.training.run import Run, measure
from fastprop.training.split import split
from fastprop.training.trainer import DivergenceError, EpochCost, Trainer, advice


def fit(
    network: Network,
    X,
    y,
    *,
    loss,
    optimizer,
    epochs,
    batch_size,
    sample_weight,
    class_weight,
    validation,
    metrics,
    early_stopping,
    callbacks,
    resume,
    fallback,
    seed,
    progress,
    window,
    **options,
) -> History:
    """Train a network as ``Network.fit`` describes, which states the defaults; `options` are those of ``Trainer``."""
    # options that have their defaults do not count as given: LBFGS refuses most that are
    options = {name: value for name, value in options.items() if not _is_default(name, value)}
    if loss is None:
        raise TypeError(f"fit needs a loss: {loss_for(y, network.n_outputs)}")
    lbfgs = optimizer if isinstance(optimizer, LBFGS) else None
    if lbfgs and (unknown := sorted(set(options) - {"l2", "communicator"})):
        raise ValueError(f"LBFGS knows l2 of the options, not {', '.join(unknown)}; omit it")
    checkpoints = resume is not None or any(isinstance(one, Checkpoint) for one in parse_callbacks(callbacks))
    if lbfgs and checkpoints:
        raise ValueError("a checkpoint cannot hold what LBFGS remembers; use another optimizer, or save the network")
    # LBFGS takes no steps of a trainer, but has the same data, loss and penalty
    usual = "sgd" if lbfgs else optimizer
    ranks = options["communicator"] = Ranks.of(options.get("communicator"))
    with ranks.together():
        ranks.meet(epochs=epochs, batch_size=batch_size, early_stopping=early_stopping)
        saved = None
        if resume is not None and ranks.rank == 0:
            saved = checkpoint.newest(resume, fallback=_validation.flag("fallback", fallback))
        saved = ranks.broadcast_object(saved)
        if saved is not None and seed is None:
            seed = saved.description["seed"]
        trainer = Trainer(network, loss=loss, optimizer=usual, class_weight=class_weight, seed=seed, **options)
        epochs = _validation.count("epochs", epochs)
        if lbfgs:
            window = sys.maxsize  # all rows at once
        source, targets, held_out = split(trainer, X, y, sample_weight, validation, window)
        if isinstance(source, batches.Batches) and (lbfgs or (source.once and epochs > 1)):
            wanted = "arrays for LBFGS" if lbfgs else "a list, or an object whose iter() begins anew"
            raise TypeError(f"batches come one by one, from {type(X).__name__}; give {wanted}")
        if source.targets is not None and isinstance(trainer.class_weight, dict):
            check_classes(trainer.class_weight, trainer.count_classes(source))
        rows = trainer.total_rows(source)
        if lbfgs and batch_size not in (None, rows):
            raise ValueError(f"LBFGS needs all {rows} rows at once, got batch_size={batch_size!r:.200}; omit it")
        run = Run(
            trainer,
            epochs,
            trainer.apply_class_weights(source),
            trainer.choose_batch_size(batch_size, rows),
            validation=held_out,
            eval_source=(source, targets) if held_out is None else held_out,
            metrics=metrics,
            early_stopping=early_stopping,
            callbacks=callbacks,
            progress=progress,
        )
        if saved is not None:
            checkpoint.resume(run, saved)
        try:
            with closing(run):
                run.begin()
                if lbfgs:
                    train_by_lbfgs(run, lbfgs)
                else:
                    train(run)
                run.finalize()
        except KeyboardInterrupt as interrupt:
            interrupt.history = run.history  # type: ignore[attr-defined]
            raise
        return run.history


def train(run: Run) -> None:
    """Train for the epochs of a run that has begun.

    Raises
    ------
    DivergenceError
        If a cost or a parameter stops being finite; the parameters are those of the last good epoch.
    """
    trainer, network = run.trainer, run.network
    good = network.snapshot()
    while run.epoch < run.epochs and not run.stopped:
        try:
            epoch_cost = EpochCost(run.source.rows, run.on_epoch_begin(), trainer.ranks)
            one_by_one = bool(run.step_callbacks)
            for step_cost in trainer.iter_steps(run.source, run.batch_size, epoch_cost, one_by_one=one_by_one):
                if one_by_one:
                    run.on_step(step_cost)
                    if run.stopped:
                        break
            cost = epoch_cost.finish(network.parameters)
            trainer.average_states()
            if not network.engine.all_finite(network.parameters):
                raise DivergenceError("a parameter overflowed", step=trainer.steps)
            watched = run.record_epoch(cost)
        except DivergenceError as error:
            network.restore(*good)
            kept = f"those after epoch {run.epoch - 1}" if run.epoch > 1 else "those before training"
            diverged = DivergenceError(
                f"training diverged in epoch {run.epoch} at step {error.step}: the cost is not finite. "
                f"The parameters are {kept}. {advice(trainer.rate)}",
                step=error.step,
                epoch=run.epoch,
                history=run.history,
            )
            raise trainer.ranks.common(diverged) from None
        trainer.optimizer_state.on_epoch(watched)
        good = network.snapshot()
        run.on_epoch_end()


def train_by_lbfgs(run: Run, lbfgs: LBFGS, max_evaluations: int | None = None) -> bool:
    """Train by L-BFGS on all rows of a run that has begun; an iteration is an epoch.

    `max_evaluations` and the result are those of ``minimize``.
    """
    network, loss, l2 = run.network, run.trainer.parsed_loss, run.trainer.optimizer_state.l2
    gradient, (examples,), ranks = np.zeros_like(network.gradient), run.source.iter_in_order(), run.trainer.ranks
    weight = batches.total_weight(examples)
    (total,) = ranks.sums(weight)
    progress = run.on_epoch_begin()

    def penalty() -> float:
        return float(0.5 * np.sum(l2 * np.square(network.parameters, dtype=np.float64)))

    def cost_and_gradient() -> tuple[float, np.ndarray]:
        gradient[:] = 0
        cost = network.cost_of_examples(examples, loss, gradient) if len(examples[0]) else 0.0
        if not ranks.alone:  # the mean over all rows, of which these are a part
            gradient[:] *= weight / total
            ranks.sum(gradient)
            cost = ranks.mean(weight, cost)
        if not np.isfinite(cost):
            diverged = DivergenceError(
                "the cost is not finite. The parameters are those of the last iteration. "
                "Scale the inputs and targets to about unit size",
                epoch=run.epoch,
                history=run.history,
            )
            raise ranks.common(diverged)
        return cost + penalty(), gradient + l2 * network.parameters

    def on_iteration(penalised: float) -> bool:
        nonlocal progress
        cost = penalised - penalty()
        if progress is not None:
            progress(run.rows, run.rows, cost)
        run.record_epoch(cost)
        run.on_epoch_end()
        if run.epoch < run.epochs and not run.stopped:
            progress = run.on_epoch_begin()
        return run.stopped

    return minimize(network, lbfgs, cost_and_gradient, run.epochs, on_iteration, max_evaluations)


def evaluate(
    network: Network, X, y=None, *, loss, sample_weight=None, metrics=(), communicator=None
) -> dict[str, float]:
    """Return the cost over the rows of X and metrics of them, as ``Network.evaluate`` describes."""
    ranks = Ranks.of(communicator)
    with ranks.together():
        trainer = Trainer(network, loss=loss, communicator=ranks)
        source = trainer.source(X, y, sample_weight)
        wanted = parse_metrics(metrics, trainer.parsed_loss, network.n_outputs)
        if wanted and y is None:
            raise ValueError("metrics are of rows with their targets; give X and y as arrays")
        trainer.total_rows(source)
        return {"cost": trainer.mean_cost(source)} | measure(trainer, wanted, source, y)


def _is_default(name: str, value: Any) -> bool:
    """Return whether an option of ``Trainer`` has its default value."""
    default = inspect.unwrap(Trainer.__init__).__kwdefaults__[name]
    return value is default or (isinstance(value, (int, float)) and value == default)
