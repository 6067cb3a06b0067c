"""A training on the workers of a Dask cluster: where its partitions are, its ranks, and what to do when one is lost."""

import threading
import time
import uuid
from collections import defaultdict
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas
from dask.delayed import Delayed, delayed

from distributed import Client, Future, KilledWorker, Lock, get_worker, wait
from fastprop.config import threads
from fastprop.training.communicator import RankError

POLL = 0.5  # seconds between two looks at the workers, while all is well
# Seconds that the other ranks are given after the first error, which may be its cause or its effect: so long Dask may
# take to notice that a worker is gone.
SETTLE = 5.0
NO_WORKERS = 60.0  # seconds for which a cluster may have no worker, while it starts them anew

Columns = dict[str, Any]  # an argument of fit -> its Dask collection, or its rows

_cancelled: dict[str, threading.Event] = {}  # training -> whether the client has given it up; on a worker
_trackers: dict[str, Any] = {}  # training -> its Tracker; on the worker of rank 0


def is_collection(thing: Any) -> bool:
    """Internal: return whether a thing is a Dask array, DataFrame or Series."""
    return isinstance(thing, da.Array | dd.DataFrame | dd.Series)


def fit_on_workers(client: Client, estimator: Any, groups: list[Columns]) -> Any:
    """Internal: fit an estimator on the workers that hold the partitions, and return it fitted.

    Parameters
    ----------
    client : distributed.Client
    estimator : estimator
        Its ``fit`` takes ``communicator=``.
    groups : list of dict
        An argument of ``fit`` -> a Dask collection. Those of one dict have the same partitions: the rows to train on,
        and rows held out.

    Raises
    ------
    ValueError, TypeError
        If the collections do not go together; or what ``fit`` raises.
    RankError
        If a worker was lost, or the cluster has none.
    """
    parts = [client.compute(_partitions(group)) for group in groups]
    everything = [future for group in parts for future in group]
    _wait_for_workers(client, everything)
    for future in everything:
        if future.status != "finished":
            future.result()  # which raises
    placed = _place(client, parts)
    workers, training = list(placed), uuid.uuid4().hex
    empty = [{name: _no_rows(collection) for name, collection in group.items()} for group in groups]
    with ExitStack() as stack:
        stack.enter_context(client.as_current())
        for address in sorted(workers):  # always in this order, so that no two trainings wait for one another
            stack.enter_context(Lock(f"fastprop training on {address}"))
        known = client.run(_id_of_worker, workers=workers, on_error="ignore")
        stack.callback(_give_up, client, training, workers)
        tracker = None
        if len(workers) > 1:
            # the thread of the event loop starts it, since the worker may be busy
            tracker = client.run(_open_tracker, training, len(workers), workers=workers[:1])[workers[0]]
        futures = [
            client.submit(
                _fit_rank, estimator, rows, empty, training, rank, len(workers), tracker, known.get(address),
                key=f"fastprop-fit-{training}-{rank}", workers=[address], allow_other_workers=False, retries=0,
                pure=False,
            )
            for rank, (address, rows) in enumerate(placed.items())
        ]  # fmt: skip
        stack.callback(client.cancel, futures)
        return _watch(client, futures, workers)


def _wait_for_workers(client: Client, futures: list[Future]) -> None:
    """Wait until the futures are computed or have failed, but not for ever where nobody computes them."""
    last = time.monotonic()
    while True:
        try:
            wait(futures, timeout=POLL)
            return
        except TimeoutError:
            now = time.monotonic()
            last = now if client.nthreads() else last
            if now - last > NO_WORKERS:
                message = f"the cluster has had no worker for {NO_WORKERS:g} seconds"
                raise RankError(None, message) from None


# ---- where the rows are ----


def _partitions(columns: Columns) -> list[Delayed]:
    """Return a dict of name -> rows for each partition."""
    lists = {}
    for name, collection in columns.items():
        if isinstance(collection, da.Array):
            collection = _rows_only(collection)
            first = columns.get("X")
            if isinstance(first, da.Array) and first is not columns[name] and _known(first) and _known(collection):
                if len(first) != len(collection):
                    raise ValueError(f"X has {len(first)} rows, but {name} has {len(collection)}")
                collection = collection.rechunk({0: first.chunks[0]})
            lists[name] = collection.to_delayed().ravel().tolist()
        else:
            lists[name] = collection.to_delayed()
    numbers = {name: len(parts) for name, parts in lists.items()}
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{name} has {number}" for name, number in numbers.items())
        raise ValueError(f"all of these must have the same partitions, but {listed}; use repartition or rechunk")
    joined = delayed(_join_columns)
    return [joined(list(lists), list(parts)) for parts in zip(*lists.values())]


def _rows_only(array: da.Array) -> da.Array:
    """Return an array whose chunks are whole rows."""
    return array.rechunk({1: -1}) if array.ndim == 2 and array.numblocks[1] > 1 else array


def _known(array: da.Array) -> bool:
    return not any(np.isnan(size) for size in array.chunks[0])


def _join_columns(names: list[str], parts: list[Any]) -> Columns:
    rows = {name: len(part) for name, part in zip(names, parts)}
    if len(set(rows.values())) > 1:
        listed = ", ".join(f"{number} of {name}" for name, number in rows.items())
        raise ValueError(f"the partitions of all of these must have the same rows, but one has {listed}")
    return dict(zip(names, parts))


def _no_rows(collection: Any) -> Any:
    """Return the rows of a rank that has none of a collection."""
    if isinstance(collection, da.Array):
        return np.empty((0, *collection.shape[1:]), collection.dtype)
    return collection._meta  # noqa: SLF001  which has no public name


def _place(client: Client, groups: list[list[Future]]) -> dict[str, list[list[Future]]]:
    """Return the partitions of each group that each worker is to train on, in the order of the first ones."""
    holders = client.who_has([future for group in groups for future in group])
    placed: dict[str, list[list[Future]]] = defaultdict(lambda: [[] for _ in groups])
    for number, group in enumerate(groups):
        for future in group:
            addresses = holders.get(future.key) or ()
            if not addresses:
                raise RankError(None, f"a partition was lost with its worker before the training began: {future.key}")
            fewest = min(addresses, key=lambda address: (len(placed[address][number]) if address in placed else 0))
            placed[fewest][number].append(future)
    return dict(placed)


# ---- what runs on the workers ----


def _id_of_worker(dask_worker: Any) -> str:
    return str(dask_worker.id)


def _open_tracker(training: str, size: int, dask_worker: Any) -> dict[str, Any]:
    from fastprop.dask.collective import Tracker

    _trackers[training] = tracker = Tracker(str(urlsplit(dask_worker.address).hostname), size)
    return tracker.arguments


def _cancel(training: str) -> None:
    _cancelled.setdefault(training, threading.Event()).set()
    if training in _trackers:
        _trackers.pop(training).close()


def _forget(training: str) -> None:
    _cancelled.pop(training, None)


def _fit_rank(
    estimator: Any,
    parts: list[list[Columns]],
    empty: list[Columns],
    training: str,
    rank: int,
    size: int,
    tracker: dict[str, Any] | None,
    known: str | None,
) -> Any:
    """Fit the estimator on the rows of this worker; return it on rank 0."""
    worker = get_worker()
    if worker.id != known:  # the training has gone on without this rank, and failed
        raise RankError(rank, f"the Dask worker {worker.address} was started anew")
    arguments: Columns = {}
    for group, no_rows in zip(parts, empty):
        arguments |= {name: _stack([part[name] for part in group] or [no_rows[name]]) for name in no_rows}
    with threads(worker.state.nthreads), ExitStack() as stack:
        if tracker is not None:
            from fastprop.dask.collective import Collective

            communicator = Collective(rank, size, tracker, _cancelled.setdefault(training, threading.Event()))
            stack.callback(communicator.close)
            arguments["communicator"] = communicator
        estimator.fit(**as_arguments(arguments))
    return estimator if rank == 0 else None


def as_arguments(columns: Columns) -> dict[str, Any]:
    """Internal: return the arguments of ``fit``, which takes what is named eval_X and eval_y as a pair."""
    given = dict(columns)
    if "eval_X" in given:
        given["eval_set"] = given.pop("eval_X"), given.pop("eval_y")
    return given


def _stack(parts: list[Any]) -> Any:
    """Return the rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], pandas.DataFrame | pandas.Series):
        return pandas.concat(parts)
    return np.concatenate(parts)


# ---- while they train ----


def _watch(client: Client, futures: list[Future], workers: list[str]) -> Any:
    """Return the result of rank 0 when all ranks have ended; raise what ends the training otherwise."""
    while True:
        with suppress(TimeoutError):
            wait(futures, timeout=POLL)
        states = [future.status for future in futures]
        if any(state not in ("pending", "finished") for state in states) or _lost(client, workers):
            raise _reason(client, futures, workers)
        if all(state == "finished" for state in states):
            with suppress(TimeoutError):  # the worker may be lost with the result
                return futures[0].result(timeout=SETTLE)


def _reason(client: Client, futures: list[Future], workers: list[str]) -> BaseException:
    """Return the error that ended a training: that of a rank, rather than those of ranks which waited for it."""
    end = time.monotonic() + SETTLE
    while time.monotonic() < end:
        errors = [future.exception() if future.status == "error" else None for future in futures]
        for rank, error in enumerate(errors):
            if error is not None and not isinstance(error, RankError | KilledWorker):
                error.add_note(f"on rank {rank}, the Dask worker {workers[rank]}")
                return error
        lost = _lost(client, workers)
        if lost:
            rank = workers.index(lost[0])
            return RankError(rank, f"the Dask worker {' and '.join(lost)} was lost during the training; call fit again")
        time.sleep(POLL / 5)
    for rank, error in enumerate(errors):
        if isinstance(error, RankError):
            return RankError(rank if error.rank is None else error.rank, f"{error.error} (on {workers[rank]})")
    return RankError(None, f"the training on {', '.join(workers)} ended without a result")


def _lost(client: Client, workers: list[str]) -> list[str]:
    there = client.nthreads()
    return [address for address in workers if address not in there]


def _give_up(client: Client, training: str, workers: list[str]) -> None:
    """End the ranks that are still there, and forget the training."""
    for function in (_cancel, _forget):
        there = client.nthreads()
        client.run(function, training, workers=[a for a in workers if a in there], on_error="ignore")
