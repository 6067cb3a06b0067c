"""The steps that the ranks of a trainer take together: each computes the gradient of its rows, and applies the sum.

The total weight of a step's rows on all ranks is known before, so the gradients of the ranks are parts of one mean and
only have to be added up. Of rows in memory, the total weights are exchanged once an epoch, otherwise once a step.
"""

from collections.abc import Iterator
from math import isfinite, nan
from typing import Any

import numpy as np

from fastprop.data import batches
from fastprop.data.targets import Examples
from fastprop.nn import custom_loss


def iter_steps(
    trainer: Any, source: batches.Source, batch_size: int, epoch_cost: Any, one_by_one: bool
) -> Iterator[float]:
    """Do what ``Trainer.iter_steps`` does, together with the other ranks. Each deals its rows evenly to the steps."""
    ranks, n_steps = trainer.ranks, trainer.n_steps(source, batch_size)
    rates = None if n_steps is None else trainer.optimizer_state.rates(n_steps)
    parts = source.iter_epoch(ranks.seed(trainer.seed) if trainer.shuffle else None, lambda: trainer.steps, 1)
    starts = None if source.rows is None else source.rows * np.arange(n_steps + 1) // n_steps
    own = isinstance(trainer.parsed_loss, custom_loss.OwnLoss)
    if source.all_stored and starts is not None and not one_by_one and not own:
        examples, order = next(parts)
        weights = _total_weights(trainer, source, order, starts, batch_size)
        report = None if epoch_cost.progress is None else epoch_cost.report_within
        cost = _take_steps(trainer, examples, order, starts, weights, rates, report)
        epoch_cost.add(examples, cost)
        yield cost
        return
    for step, examples in enumerate(_iter_common(trainer, parts, starts)):
        (weight,) = ranks.sums(batches.total_weight(examples))
        cost = take_step(trainer, examples, weight, None if rates is None else rates[min(step, len(rates) - 1) :][:1])
        epoch_cost.add(examples, cost)
        yield ranks.mean(batches.total_weight(examples), cost) if one_by_one else cost


def _iter_common(trainer: Any, parts: Iterator[batches.Part], starts: np.ndarray | None) -> Iterator[Examples]:
    """Yield the examples of this rank for each step, until no rank has any; of steps that only others have, no rows."""
    if starts is not None:
        yield from batches.iter_sized(parts, np.diff(starts).tolist())
        return
    while True:
        examples, _ = next(parts, (None, None))
        if not trainer.ranks.any(examples is not None):
            return
        yield trainer.network.no_examples("X", (), (), trainer.parsed_loss) if examples is None else examples


def take_step(trainer: Any, examples: Examples, total_weight: float, rates: np.ndarray | None) -> float:
    """Take one step on the examples of this rank and those of the others; return the mean cost of this rank's rows.

    Parameters
    ----------
    trainer : Trainer
    examples : tuple
        There may be no rows.
    total_weight : float
        The sum of the weights of the rows of all ranks.
    rates : float64 (1,) or None
        The rate of the step; None: that of the optimiser.

    Raises
    ------
    DivergenceError
        If the cost is not finite on some rank.
    """
    if isinstance(trainer.parsed_loss, custom_loss.OwnLoss):
        return trainer.finite(_step_by_own_loss(trainer, examples, total_weight, rates))
    starts = np.array([0, len(examples[0])])
    return _take_steps(trainer, examples, None, starts, np.array([total_weight]), rates, None)


def _take_steps(
    trainer: Any,
    examples: Examples,
    order: np.ndarray | None,
    starts: np.ndarray,
    total_weights: np.ndarray,
    rates: np.ndarray | None,
    report: Any,
) -> float:
    """Take the steps that ``CompiledTrainer.run_on_ranks`` describes; return the mean cost of this rank's rows."""
    before, ranks = trainer.steps, trainer.ranks
    norms = ranks if trainer.sync_batch_norm else None
    try:
        cost = trainer.compiled.run_on_ranks(*examples, order, starts, total_weights, rates, report, ranks, norms)
    finally:
        trainer.optimizer_state.on_steps(trainer.steps - before)
    if cost != cost and len(examples[0]):
        trainer.network.recheck_examples(examples, trainer.parsed_loss)
    return trainer.finite(cost)


def _step_by_own_loss(trainer: Any, examples: Examples, total_rows: float, rates: np.ndarray | None) -> float:
    """Do what ``run_on_ranks`` does for the losses that the engine has."""
    network, (x, y, *_), cost = trainer.network, examples, 0.0
    gradient, seed = np.zeros_like(network.gradient), trainer.compiled.seed
    with network.engine.exclusive():
        before = network.state.copy()
        if len(x):
            cost = custom_loss.cost_of(network, trainer.parsed_loss, x, y, gradient, True, seed, trainer.steps)
            gradient *= len(x) / total_rows
        if trainer.ranks.sum_gradient(gradient, not isfinite(cost)):
            network.state[:] = before
            return nan
        network.gradient = gradient
        if rates is not None:
            trainer.optimizer_state.compiled.rate = rates[0]
        trainer.compiled.apply()
        trainer.optimizer_state.on_steps(1)
    return cost


def _total_weights(
    trainer: Any, source: Any, order: np.ndarray | None, starts: np.ndarray, batch_size: int
) -> np.ndarray:
    """Return the total weight of the rows of each step on all ranks, float64 (steps,).

    Without weights it is the same in every epoch, and is exchanged once.
    """
    if source.step_weights is not None and source.step_weights[0] == batch_size:
        return source.step_weights[1]
    weight, sizes = source.examples[3], np.diff(starts)
    each, some = sizes.astype(np.float64), np.flatnonzero(sizes)
    if weight is not None and len(some):
        each[some] = np.add.reduceat(weight if order is None else weight[order], starts[some], dtype=np.float64)
    trainer.ranks.sum(each)
    if not source.any_weighted:
        source.step_weights = batch_size, each
    return each
