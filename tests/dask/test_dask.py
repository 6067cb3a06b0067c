"""The estimators of ``fastprop.dask`` on two worker processes: one process's model; a lost worker is an error, soon."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("dask.dataframe")
pytest.importorskip("distributed")
pytest.importorskip("xgboost")

import dask.array as da
import dask.dataframe as dd
import dask_callbacks
import joblib
import pandas
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import fastprop as fp
from distributed import Client, LocalCluster

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Dask's own: a worker that was killed leaves connections, which are found closed or are never awaited
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

ROWS = 240
FULL = {"batch_size": ROWS, "hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0}


@pytest.fixture(scope="module")
def client():
    """Return the client of a cluster of two processes, which a nanny starts anew if they end."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 5)) * [1, 100, 1e-3, 1, 1]
    return X, X[:, 0] + X[:, 1] / 100, rng.integers(3, size=ROWS) * 0.5


def arrays(*given, size=50):
    """Return Dask arrays with chunks of `size` rows."""
    return [da.from_array(array, chunks=(size, *array.shape[1:])) for array in given]


def assert_same_network(ours, theirs, tolerance=1e-9):
    ours, theirs = ours.network_.parameters, theirs.network_.parameters
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def test_regressor_is_that_of_one_process(client, rows):
    X, y, _ = rows
    dX, dy = arrays(X, y)
    ours = fp.dask.DaskMLPRegressor(**FULL).fit(dX, dy, client=client)
    alone = fp.MLPRegressor(**FULL).fit(X, y)
    assert_same_network(ours, alone)
    local = ours.to_local()
    assert type(local) is fp.MLPRegressor
    assert local.get_params() == alone.get_params()
    assert (local.predict(X) == ours.predict(X)).all()
    assert np.allclose(ours.loss_curve_, alone.loss_curve_)

    predicted = ours.predict(dX)
    assert isinstance(predicted, da.Array)
    assert predicted.chunks == dy.chunks
    assert predicted.dtype == local.predict(X).dtype
    assert np.allclose(predicted.compute(), local.predict(X))
    assert np.isclose(ours.score(dX, dy), local.score(X, y))


def test_weights_columns_in_chunks_and_rows_held_out(client, rows):
    X, y, weight = rows
    y = np.column_stack([y, -y])
    options = FULL | {"early_stopping": True, "batch_size": int((weight > 0).sum())}
    dX, dy, dweight = arrays(X, y, weight)
    chunked = da.from_array(X, chunks=(30, 2))  # neither whole rows nor the chunks of y
    held_out = {"X_val": arrays(X[:20])[0], "y_val": arrays(y[:20])[0]}  # one partition: a rank has none
    ours = fp.dask.DaskMLPRegressor(**options).fit(chunked, dy, dweight, **held_out)
    alone = fp.MLPRegressor(**options).fit(X, y, weight, X[:20], y[:20])
    assert_same_network(ours, alone)
    assert np.allclose(ours.validation_scores_, alone.validation_scores_)
    assert np.allclose(ours.predict(dX).compute(), alone.predict(X))
    assert ours.predict(dX).chunks == (dX.chunks[0], (2,))


def test_classes_of_all_partitions_of_a_frame(client, rows):
    X, y, _ = rows
    frame = pandas.DataFrame(X, columns=list("vwxyz"))
    frame["label"] = np.where(np.arange(ROWS) < 60, "first", np.where(y > 0, "high", "low"))
    table = dd.from_pandas(frame, npartitions=4, sort=False)
    dX, dy = table[list("vwxyz")], table["label"]
    ours = fp.dask.DaskMLPClassifier(class_weight="balanced", **FULL).fit(dX, dy, client=client)
    alone = fp.MLPClassifier(class_weight="balanced", **FULL).fit(frame[list("vwxyz")], frame["label"])
    assert_same_network(ours, alone)
    assert ours.classes_.tolist() == ["first", "high", "low"]
    assert ours.feature_names_in_.tolist() == list("vwxyz")

    predicted, probability = ours.predict(dX), ours.predict_proba(dX)
    assert isinstance(predicted, dd.Series)
    assert predicted.npartitions == dX.npartitions
    assert (predicted.compute() == alone.predict(frame[list("vwxyz")])).all()
    assert probability.columns.tolist() == ours.classes_.tolist()
    assert np.allclose(probability.compute(), alone.predict_proba(frame[list("vwxyz")]))
    nothing = dX[dX["v"] > 1e9]
    assert len(ours.predict(nothing).compute()) == 0
    assert ours.predict_proba(nothing).compute().shape == (0, 3)
    assert np.isclose(ours.score(dX, dy), alone.score(frame[list("vwxyz")], frame["label"]))


def test_table_as_it_is(client, rows):
    X, y, weight = rows
    frame = pandas.DataFrame(X, columns=list("vwxyz"))
    frame["kind"] = np.where(np.arange(ROWS) < 60, "first", np.where(X[:, 3] > 0, "up", "down"))
    frame.loc[::7, "w"] = np.nan
    table, dweight = dd.from_pandas(frame, npartitions=4, sort=False), arrays(weight, size=60)[0]
    labels = dd.from_pandas(pandas.Series(np.where(y > 0, "high", "low"), name="label"), npartitions=4, sort=False)
    options = {"effort": "low", "folds": 2, "random_state": 0}
    model = fp.dask.DaskTabularClassifier(**options).fit(table, labels, dweight, client=client)
    local = model.to_local()
    assert type(local) is fp.TabularClassifier
    assert local.classes_.tolist() == ["high", "low"]
    assert np.allclose(model.predict_proba(table).compute(), local.predict_proba(frame))
    assert (model.predict(table).compute() == local.predict(frame)).all()
    alone = fp.TabularClassifier(**options).fit(frame, labels.compute(), weight)
    assert abs(local.score(frame, labels.compute()) - alone.score(frame, labels.compute())) < 0.1

    target = dd.from_pandas(pandas.Series(y), npartitions=4, sort=False)
    model = fp.dask.DaskTabularRegressor(**options).fit(table, target, eval_set=(table, target))
    assert np.allclose(model.predict(table).compute(), model.to_local().predict(frame))
    assert model.to_local().score(frame, y) > 0.5


def test_it_is_an_estimator(client, rows):
    X, y, _ = rows
    estimator = fp.dask.DaskMLPRegressor(**FULL)
    assert clone(estimator).get_params() == fp.MLPRegressor(**FULL).get_params()
    assert repr(estimator).startswith("DaskMLPRegressor(batch_size=240")
    with pytest.raises(TypeError, match="X must be a Dask array, DataFrame or Series, got ndarray"):
        estimator.fit(X, y)
    dX, dy = arrays(X, y)
    with pytest.raises(ValueError, match="X has 240 rows, but y has 239"):
        estimator.fit(dX, dy[1:])
    with pytest.raises(ValueError, match="X has 5, y has 4; use repartition or rechunk"):
        estimator.fit(dX, dd.from_pandas(pandas.Series(y), npartitions=4))


def test_what_one_rank_gets_wrong_is_the_error(client, rows):
    X, y, _ = rows
    X[-1, 2] = np.nan
    dX, dy = arrays(X, y)
    with pytest.raises(ValueError, match="NaN") as caught:
        fp.dask.DaskMLPRegressor(**FULL).fit(dX, dy)
    assert "the Dask worker tcp://" in caught.value.__notes__[0]
    X[-1, 2] = 0
    fp.dask.DaskMLPRegressor(**FULL).fit(*arrays(X, y))  # the workers are free again


def test_one_training_a_worker_at_a_time(client, rows):
    X, y, _ = rows
    dX, dy = arrays(X, y)
    errors = []

    def fit():
        try:
            fp.dask.DaskMLPRegressor(callbacks=dask_callbacks.Alone(), **FULL).fit(dX, dy, client=client)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)


def test_client_that_gives_up_ends_the_training(client, rows, monkeypatch):
    X, y, _ = rows
    dX, dy = arrays(X, y)
    from fastprop.dask import training

    def interrupted(*_):
        raise KeyboardInterrupt

    estimator = fp.dask.DaskMLPRegressor(callbacks=dask_callbacks.Slow(0.05), **FULL | {"max_iter": 10_000})
    with monkeypatch.context() as patch:
        patch.setattr(training, "_watch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(dX, dy, client=client)
    fp.dask.DaskMLPRegressor(**FULL).fit(dX, dy, client=client)


@pytest.mark.parametrize("which", [0, 1])
def test_killed_worker_is_an_error(client, rows, tmp_path, which):
    dX, dy = arrays(*rows[:2])
    victim = sorted(client.nthreads())[which]
    estimator = fp.dask.DaskMLPRegressor(callbacks=dask_callbacks.Killed(victim, tmp_path / "killed"), **FULL)
    with pytest.raises(fp.distributed.RankError, match=f"the Dask worker {victim} was lost"):
        estimator.fit(dX, dy, client=client)
    assert time.time() - float((tmp_path / "killed").read_text()) < 30
    assert not hasattr(estimator, "n_iter_")
    client.wait_for_workers(2, timeout=60)
    fp.dask.DaskMLPRegressor(**FULL).fit(dX, dy, client=client)  # the cluster is as good as before


def test_cluster_without_workers_is_an_error(rows, monkeypatch):
    monkeypatch.setattr("fastprop.dask.training.NO_WORKERS", 0.5)
    estimator = fp.dask.DaskMLPRegressor(**FULL)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.raises(fp.distributed.RankError, match="no worker"),
    ):
        estimator.fit(*arrays(*rows[:2]), client=client)


# ---- searches ----


def test_search_over_joblib_and_dask(client, rows):
    X, y, _ = rows
    search = GridSearchCV(fp.MLPRegressor(max_iter=3, random_state=0), {"alpha": [1e-4, 1.0]}, cv=2)
    with joblib.parallel_backend("dask", client=client):
        search.fit(X, y)
    alone = clone(search).fit(X, y)
    assert (search.cv_results_["mean_test_score"] == alone.cv_results_["mean_test_score"]).all()
    assert set(client.run(fp.get_num_threads).values()) == {1}  # as many as a worker has for Dask
