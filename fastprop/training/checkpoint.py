"""Checkpoints: a training in a file, from which it goes on to the same bits as without an interruption.

A file holds the parameters and state of the network, everything of the trainer that changes, and where ``fit`` was:
epoch, history, early stopping. The random streams are functions of the seed and the step, which the file holds too.
``fastprop.io.safetensors`` describes the layout. A file is replaced in one step, so that at any moment it is the old
one or the new one.
"""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastprop import _validation
from fastprop._util.frozen import frozen
from fastprop._util.lazy import LazyModule
from fastprop._util.warn import warn
from fastprop.io import model_file, output, safetensors
from fastprop.nn import custom_loss
from fastprop.optim import averaging as averages
from fastprop.optim import optimizers, schedules
from fastprop.training.callbacks import Callback, direction
from fastprop.training.trainer import Trainer

json, pathlib = LazyModule("json"), LazyModule("pathlib")

if TYPE_CHECKING:
    from pathlib import Path

NAME = "epoch-{:08d}.safetensors"
BEST = "best.safetensors"
# the arrays of ``OptimizerState.state``, in its order
CHANGING = ("optimizer.memory", "optimizer.state", "average", "average.count")


class Checkpoint(Callback):
    """Write a checkpoint after each epoch, or after every few, into a directory of this training alone.

    ::

        net.fit(X, y, ..., callbacks=fp.Checkpoint("run"), resume="run")

    goes on where the training was killed, however often that happens, and starts anew if the directory has no
    checkpoint. What other callbacks remember is not in a checkpoint.

    Parameters
    ----------
    directory : str or os.PathLike
        It is made if it does not exist. Files are called ``epoch-00000012.safetensors``.
    every : int, default 1
        How many epochs lie between two checkpoints; the last epoch has one in any case.
    keep : int, default 3
        How many checkpoints are kept: the newest ones.
    best : str or None, default "validation_cost"
        A column of the history: ``best.safetensors`` is the checkpoint of the epoch in which it was best. Without
        validation rows the default stands for "cost". None: there is no such file.
    mode : "auto", "min" or "max"
        Whether less or more is better, as for ``EarlyStopping``.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; from ``fit``, if the directory has checkpoints from which ``resume`` does not go on.
    """

    @_validation.no_other_arguments()
    def __init__(
        self, directory, *, every: int = 1, keep: int = 3, best: str | None = "validation_cost", mode: str = "auto"
    ):
        self.directory = _path(directory)
        self.every, self.keep = _validation.count("every", every), _validation.count("keep", keep)
        self.best, self.mode = best, _validation.choice("mode", mode, ("auto", "min", "max"))

    def on_train_begin(self, run: Any) -> None:
        """Check that the directory can be written to, and delete files that a killed process left half-written."""
        if self.best is not None:
            direction(self._column(run), run.better, self.mode)
        if run.trainer.ranks.rank > 0:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if run.epoch == 0 and find(self.directory):
            raise ValueError(
                f"{self.directory} has the checkpoints of a training; go on with it by resume={str(self.directory)!r}, "
                "or give this one a directory of its own"
            )
        output.check(self.directory / BEST)
        for left in output.leftovers(self.directory):
            left.unlink(missing_ok=True)

    def on_epoch_end(self, run: Any) -> None:
        """Write the checkpoint, and delete those that are no longer kept; of several ranks, rank 0 does so."""
        if run.trainer.ranks.rank > 0:
            return
        # the best is written first: a process killed in between goes on from before this epoch, and writes both again
        if self.best is not None and self._is_best(run):
            write(self.directory / BEST, run.trainer, *run.state())
        if run.epoch % self.every == 0 or run.epoch == run.epochs or run.stopped:
            write(self.directory / NAME.format(run.epoch), run.trainer, *run.state())
            for old in find(self.directory)[self.keep :]:
                old.unlink(missing_ok=True)

    def _column(self, run: Any) -> str:
        return "cost" if self.best == "validation_cost" and self.best not in run.better else str(self.best)

    def _is_best(self, run: Any) -> bool:
        name = self._column(run)
        values = direction(name, run.better, self.mode) * np.array(run.history[name])
        return bool(np.isfinite(values[-1]) and not np.any(values[:-1] >= values[-1]))


def _path(path) -> "Path":
    return pathlib.Path(os.fsdecode(path))


def find(directory) -> "list[Path]":
    """Return the paths of the checkpoints of epochs in a directory, the newest first."""
    return sorted(_path(directory).glob("epoch-*.safetensors"), reverse=True)


# ---- descriptions of trainers ----

DESCRIBED: dict[str, Any] = {
    name: kind
    for module, base in ((optimizers, optimizers.Optimizer), (schedules, schedules.Schedule), (averages, object))
    for name, kind in vars(module).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and issubclass(kind, base) and name[0] != "_"
}


def describe(value: Any) -> Any:
    """Return an optimiser, a schedule, an average or a number as something that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {"pairs": [[describe(key), describe(one)] for key, one in value.items()]}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [describe(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def from_description(value: Any) -> Any:
    """Return what ``describe`` described."""
    if isinstance(value, list):
        return [from_description(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "pairs" in value:
        return {key: from_description(one) for key, one in value["pairs"]}
    fields = {name: from_description(one) for name, one in value.items() if name != "is"}
    return DESCRIBED[value["is"]](**fields)


def describe_trainer(trainer: Trainer) -> dict[str, Any]:
    """Return all arguments of a trainer as JSON can hold them. A loss of the user's own is described by its name."""
    loss = trainer.parsed_loss
    return {
        "network": trainer.network.describe(),
        "loss": {"own": loss.name} if isinstance(loss, custom_loss.OwnLoss) else loss.describe(),
        "optimizer": describe(trainer.optimizer),
        "class_weight": describe(trainer.class_weight),
        "how": {name: describe(value) for name, value in trainer.options.items()},
        "shuffle": trainer.shuffle,
        "seed": trainer.seed,
    }


# ---- writing and reading ----


def write(path, trainer: Trainer, run: dict[str, Any] | None = None, more: dict[str, np.ndarray] | None = None) -> None:
    """Write a trainer, and the state of the run that it belongs to.

    Parameters
    ----------
    path : str or os.PathLike
    trainer : Trainer
    run : dict, optional
        The state of the run; anything that JSON can hold.
    more : dict of str to ndarray, optional
        The arrays of the run.
    """
    network = trainer.network
    with network.engine.locked():  # another thread that trains the network is between two steps
        changing, steps, epochs, known = trainer.optimizer_state.state()
        taken = trainer.steps
        arrays = {**dict(zip(("parameters", "state"), network.snapshot())), **(more or {})}
    arrays |= {name: array for name, array in zip(CHANGING, changing) if array is not None}
    metadata = {
        "trainer": json.dumps(describe_trainer(trainer)),
        "at": json.dumps({"steps": taken, "rule": [steps, epochs, list(known)]}),
        "run": json.dumps(run or {}),
    }
    safetensors.write(path, safetensors.CHECKPOINT, metadata, arrays)


@frozen
class Saved:
    """The content of a checkpoint.

    Attributes
    ----------
    path : Path
    description : dict
        The description of the trainer.
    at : dict
        The steps of the trainer, and the steps, epochs and schedule of its optimiser.
    run : dict
        Where ``fit`` was: "epoch", "history" and more; empty if a trainer was saved by itself.
    arrays : dict of str to ndarray
    """

    path: "Path"
    description: dict[str, Any]
    at: dict[str, Any]
    run: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def restore(self, trainer: Trainer) -> None:
        """Give a trainer of the same description the state of the one that was saved."""
        network = trainer.network
        changing = tuple(self.arrays.get(name) for name in CHANGING)
        wanted = [network.parameters, network.state, *trainer.optimizer_state.state()[0]]
        given = [self.arrays.get("parameters"), self.arrays.get("state"), *changing]
        if [a is None or a.shape for a in wanted] != [a is None or a.shape for a in given]:
            raise ValueError(f"{self.path} does not hold the arrays of the trainer that it describes")
        steps, epochs, known = self.at["rule"]
        if len(known) != len(trainer.optimizer_state.state()[3]) or not all(type(one) in (int, float) for one in known):
            raise ValueError(f"{self.path} does not hold what the schedule that it describes knows")
        trainer.compiled.steps = _validation.whole("steps", self.at["steps"])
        how_far = _validation.whole("steps", steps), _validation.whole("epochs", epochs)
        trainer.optimizer_state.restore((changing, *how_far, tuple(known)))
        network.restore(self.arrays["parameters"], self.arrays["state"])

    def trainer(self, loss: Any = None) -> Trainer:
        """Return a trainer, with a network, as they were when they were saved."""
        described = self.description
        own = isinstance(described["loss"], dict) and "own" in described["loss"]
        if own != callable(loss) and (own or loss is not None):
            name = described["loss"]["own"] if own else described["loss"]
            wanted = f"give it as loss={name}" if own else "give no other"
            raise ValueError(f"{self.path} is of a training with the loss {name!r:.200}; {wanted}")
        options = {name: from_description(value) for name, value in described["how"].items()}
        n_bytes = self.arrays["parameters"].nbytes + self.arrays["state"].nbytes
        trainer = Trainer(
            model_file.described_network(described["network"], n_bytes),
            loss=loss if own else described["loss"],
            optimizer=from_description(described["optimizer"]),
            class_weight=from_description(described["class_weight"]),
            shuffle=described["shuffle"],
            seed=described["seed"],
            **options,
        )
        self.restore(trainer)
        return trainer


def read(path) -> Saved:
    """Read one checkpoint.

    Raises
    ------
    ValueError
        If it is no checkpoint, or is truncated, damaged, or of a newer format.
    """
    metadata, arrays = safetensors.read(path, safetensors.CHECKPOINT)
    with safetensors.errors_named(os.fsdecode(path)):
        trainer, at, run = (dict(json.loads(metadata[name])) for name in ("trainer", "at", "run"))
    return Saved(_path(path), trainer, at, run, arrays)


def newest(directory, *, fallback: bool = False) -> Saved | None:
    """Return the newest checkpoint of a directory; None where there is none.

    Parameters
    ----------
    directory : str or os.PathLike
    fallback : bool, default False
        Whether, if the newest is damaged, the one before is taken, with a warning.

    Raises
    ------
    ValueError
        If the newest is damaged; with fallback, if all are.
    """
    found = find(directory)
    for place, path in enumerate(found):
        try:
            return read(path)
        except ValueError as error:
            if place + 1 == len(found):
                raise
            if not fallback:
                raise ValueError(f"{error}; or use fallback=True, to go on from {found[place + 1]}") from None
            warn(f"{error}; going on from {found[place + 1]}")
    return None


def load_checkpoint(path, *, loss=None, fallback: bool = False) -> Trainer:
    """Return the trainer that was saved, with its network, ready to go on.

    Parameters
    ----------
    path : str or os.PathLike
        A file that ``Trainer.save`` or ``Checkpoint`` wrote; or a directory, whose newest checkpoint is taken.
    loss : callable, optional
        The loss, if the training had one of the user's own, which a file cannot hold.
    fallback : bool, default False
        Whether, if the newest checkpoint of a directory is damaged, the one before is taken, with a warning.

    Returns
    -------
    Trainer

    Raises
    ------
    ValueError
        If it is no checkpoint, or is truncated, damaged, of a newer format or of another loss.
    FileNotFoundError
        If there is none.
    """
    saved = newest(path, fallback=fallback) if os.path.isdir(path) else read(path)
    if saved is None:
        raise FileNotFoundError(f"{os.fsdecode(path)} has no checkpoint; one is called {NAME.format(12)}, for example")
    with safetensors.errors_named(str(saved.path)):
        return saved.trainer(loss)


def resume(run: Any, saved: Saved) -> None:
    """Give a run of ``fit`` the state that was saved.

    Raises
    ------
    ValueError
        If the checkpoint is of another training.
    """
    with safetensors.errors_named(str(saved.path)):
        _resume(run, saved)


def _resume(run: Any, saved: Saved) -> None:
    trainer = run.trainer
    ours, theirs = describe_trainer(trainer), dict(saved.description)
    for described in (ours, theirs):  # the seed of the initial weights does not matter any more
        described["network"] = {**described["network"], "seed": None}
    here, there = run.setting(), saved.run.get("setting")
    if there is None:
        raise ValueError(f"{saved.path} is of a trainer, not of fit; go on with fp.load_checkpoint(path).epoch(X, y)")
    ranks = saved.run.get("ranks", 1)
    if ranks != trainer.ranks.size:
        here["rows"] = there["rows"]  # each rank holds out a fraction of its own rows, so their number may differ
        if trainer.ranks.rank == 0:
            warn(
                f"{saved.path} is of a training on {ranks} ranks, now there are {trainer.ranks.size}: it goes on with "
                "other batches, so not to the same bits"
            )
    for name, now, then in [
        *((name, value, theirs.get(name)) for name, value in json.loads(json.dumps(ours)).items()),
        *((name, value, there.get(name)) for name, value in json.loads(json.dumps(here)).items()),
    ]:
        if now != then:
            raise ValueError(
                f"{saved.path} is of another training: its {name} is {then!r:.200}, now it is {now!r:.200}; "
                "use the same, or begin in another directory"
            )
    saved.restore(trainer)
    run.restore(saved.run, saved.arrays)
