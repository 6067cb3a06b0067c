"""Estimators for Dask collections, which train on the workers of a cluster."""

from typing import Any

import dask.array as da
import numpy as np
import pandas
from dask.delayed import delayed

from distributed import get_client
from fastprop._version import reference
from fastprop.dask.training import fit_on_workers, is_collection
from fastprop.sklearn.estimators import MLPClassifier, MLPRegressor
from fastprop.tabular.estimators import TabularClassifier, TabularRegressor


class _DaskEstimator:
    """The base of all: fits on the workers, and predicts partition by partition."""

    _doc_link_template = reference("dask")
    _local: type

    def to_local(self) -> Any:
        """Return the ordinary estimator, with the same parameters and, after ``fit``, the same network."""
        local: Any = object.__new__(self._local)
        vars(local).update(vars(self))
        return local

    def _fit_on_workers(self, client: Any, *groups: dict[str, Any]) -> Any:
        given = [{name: each for name, each in group.items() if each is not None} for group in groups]
        for name, each in [item for group in given for item in group.items()]:
            if not is_collection(each):
                raise TypeError(
                    f"{name} must be a Dask array, DataFrame or Series, got {type(each).__name__}; use to_local().fit "
                    "for data of this process"
                )
        client = get_client() if client is None else client
        fitted = fit_on_workers(client, self.to_local(), [group for group in given if group])
        vars(self).clear()
        vars(self).update(vars(fitted))
        return self

    def _by_partition(self, method: str, X: Any) -> Any:
        """Return what a method of the ordinary estimator returns for X; lazily, if X is a Dask collection."""
        local = self.to_local()
        if not is_collection(X):
            return getattr(local, method)(X)
        estimator = delayed(local, pure=False)
        if isinstance(X, da.Array):
            X = X.rechunk({1: -1})
            empty = getattr(local, method)(np.ones((1, X.shape[1]), X.dtype))[:0]
            shape: dict[str, Any] = {"drop_axis": 1}
            if empty.ndim > 1:
                chunks = X.chunks[0], *((size,) for size in empty.shape[1:])
                shape = {"chunks": chunks, "new_axis": list(range(2, empty.ndim)) or None}
            return X.map_blocks(_outputs, estimator, method, empty, dtype=empty.dtype, meta=empty, **shape)
        names = self.classes_ if method in ("predict_proba", "predict_log_proba") else None  # type: ignore[attr-defined]
        example = X._meta_nonempty.iloc[:1]  # noqa: SLF001  which has no public name
        empty = _like_table(getattr(local, method)(example), example.index, names).iloc[:0]
        return X.map_partitions(_outputs, estimator, method, empty, names, meta=empty)

    def predict(self, X: Any) -> Any:
        """Return the prediction of each row: of a Dask array as an array, of a DataFrame as a Series or DataFrame.

        It is computed partition by partition when it is asked for. For data of this process it is computed at once.
        """
        return self._by_partition("predict", X)


def _outputs(part: Any, estimator: Any, method: str, empty: Any, names: Any = None) -> Any:
    """Return the outputs for one partition."""
    if not len(part):
        return empty
    outputs = getattr(estimator, method)(part)
    return outputs if isinstance(empty, np.ndarray) else _like_table(outputs, part.index, names)


def _like_table(outputs: np.ndarray, index: pandas.Index, names: Any) -> Any:
    """Return outputs as a Series, or as a DataFrame with a column for each output."""
    kind = pandas.Series if outputs.ndim == 1 else pandas.DataFrame
    return kind(outputs, index=index, **({} if outputs.ndim == 1 else {"columns": names}))


class _DaskClassifier(_DaskEstimator):
    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, (rows, classes), as ``predict`` returns predictions."""
        return self._by_partition("predict_proba", X)


class _DaskRegressor(_DaskEstimator):
    def predict_quantiles(self, X: Any) -> Any:
        """Return the quantiles of the loss "quantile", (rows, levels), as ``predict`` returns predictions."""
        return self._by_partition("predict_quantiles", X)


class _MLP(_DaskEstimator):
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, *, client=None) -> Any:
        """Train the network on the workers that hold the rows.

        The partitions are computed, and stay on the workers until the training ends. Each worker that holds some is a
        rank, and trains on all of them with as many threads as it has for Dask. One training at a time uses a worker;
        others wait for it.

        Parameters
        ----------
        X : dask Array or DataFrame, (rows, columns)
        y : dask Array, Series or DataFrame, (rows,) or (rows, outputs)
            With the partitions of X. The classes are those of all partitions.
        sample_weight : dask Array or Series, (rows,), optional
        X_val, y_val, sample_weight_val : dask collections, optional
            Rows whose score is recorded after each epoch; with early_stopping they replace the fraction of X.
        client : distributed.Client, optional
            The client of the cluster; by default the current one.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the weights overflow.
        RankError
            If a worker is lost. Nothing is tried again.
        """
        rows = {"X": X, "y": y, "sample_weight": sample_weight}
        held_out = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        return self._fit_on_workers(client, rows, held_out)


class _Tabular(_DaskEstimator):
    def fit(self, X, y, sample_weight=None, *, groups=None, times=None, eval_set=None, client=None) -> Any:
        """Train on the workers that hold the rows of a table, as ``DaskMLPClassifier.fit`` does.

        Parameters
        ----------
        X : dask DataFrame or Array, (rows, columns)
        y, sample_weight, groups, times : dask Array or Series, (rows,)
            With the partitions of X; as ``TabularClassifier.fit`` takes them.
        eval_set : (X, y) of dask collections, optional
            The rows that are held out, instead of folds.
        client : distributed.Client, optional
            The client of the cluster; by default the current one.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or there is no column to learn from.
        RankError
            If a worker is lost. Nothing is tried again.
        """
        rows = {"X": X, "y": y, "sample_weight": sample_weight, "groups": groups, "times": times}
        eval_X, eval_y = (None, None) if eval_set is None else eval_set
        return self._fit_on_workers(client, rows, {"eval_X": eval_X, "eval_y": eval_y})


class DaskMLPClassifier(_MLP, _DaskClassifier, MLPClassifier):  # type: ignore[misc]
    """``MLPClassifier`` on the workers of a Dask cluster, with its parameters and attributes."""

    _local = MLPClassifier


class DaskMLPRegressor(_MLP, _DaskRegressor, MLPRegressor):  # type: ignore[misc]
    """``MLPRegressor`` on the workers of a Dask cluster, with its parameters and attributes."""

    _local = MLPRegressor


class DaskTabularClassifier(_Tabular, _DaskClassifier, TabularClassifier):  # type: ignore[misc]
    """``TabularClassifier`` on the workers of a Dask cluster, with its parameters and attributes."""

    _local = TabularClassifier


class DaskTabularRegressor(_Tabular, _DaskRegressor, TabularRegressor):  # type: ignore[misc]
    """``TabularRegressor`` on the workers of a Dask cluster, with its parameters and attributes."""

    _local = TabularRegressor
