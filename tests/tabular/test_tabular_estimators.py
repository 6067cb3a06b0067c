"""TabularClassifier and TabularRegressor: tables as they are, scikit-learn's contract, and the files of models."""

import pickle
import threading
from contextlib import suppress
from unittest import SkipTest

import numpy as np
import pytest

import fastprop as fp

pytest.importorskip("sklearn")
pytest.importorskip("narwhals")
pd = pytest.importorskip("pandas")
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

from fastprop.tabular.model import ALL_HELD_OUT, TabularModel, assign_folds  # noqa: E402
from fastprop.tabular.table import Table  # noqa: E402

pytestmark = pytest.mark.peer

WEIGHTED = (
    "rows are dealt to folds and batches at random, so that a weight of k is not k copies of the row to the last digit"
)
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": WEIGHTED}


def mixed_table(rows=240, seed=0):
    """A DataFrame with numbers, a category, a text, a date, a bool and gaps, and a target of two classes."""
    random = np.random.default_rng(seed)
    size = random.normal(size=rows)
    colour = random.choice(["red", "green", "blue"], rows)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 700, rows), unit="D")
    words = np.array(["old cottage", "new flat", "cottage by the sea", "flat"])
    frame = pd.DataFrame(
        {
            "size": np.where(random.random(rows) < 0.1, np.nan, size),
            "colour": pd.Series(colour).where(random.random(rows) > 0.1),
            "day": day,
            "what": [f"{word} number {k}" for k, word in enumerate(random.choice(words, rows))],
            "sold": random.random(rows) < 0.5,
        }
    )
    logit = 2 * size + 2 * (colour == "red") - 1 + 0.003 * (day - pd.Timestamp("2024-01-01")).days
    return frame, np.where(logit + random.normal(size=rows) > 0, "yes", "no"), logit


@pytest.mark.parametrize("make", [fp.TabularClassifier, fp.TabularRegressor])
def test_contract_of_scikit_learn(make):
    """What scikit-learn asks of every estimator; it skips checks of libraries that are not installed."""
    passed = []
    for estimator, check in estimator_checks_generator(make("low", random_state=0)):
        if check.func.__name__ not in EXPECTED:
            with suppress(SkipTest):
                check(estimator)
                passed.append(check.func.__name__)
    assert len(passed) > 40


def test_frames_of_every_library_give_equal_models():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame, y, _ = mixed_table()
    model = fp.TabularClassifier("low", random_state=0).fit(frame, y)
    expected = model.predict_proba(frame)
    for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame), frame[frame.columns[::-1]]):
        np.testing.assert_array_equal(model.predict_proba(other), expected)
        if not isinstance(other, pd.DataFrame):
            again = fp.TabularClassifier("low", random_state=0).fit(other, y)
            np.testing.assert_array_equal(again.predict_proba(frame), expected)


def test_pickle_clone_search_save_and_load_change_nothing(tmp_path):
    frame, y, _ = mixed_table()
    model = fp.TabularClassifier("low", random_state=0).fit(frame, y)
    expected = model.predict_proba(frame)
    for protocol in (2, 5):
        data = pickle.dumps(model, protocol)
        assert b"fastprop.tabular" not in data  # a pickle names no inner module
        np.testing.assert_array_equal(pickle.loads(data).predict_proba(frame), expected)
    np.testing.assert_array_equal(clone(model).fit(frame, y).predict_proba(frame), expected)
    model.save(tmp_path / "model.safetensors")
    loaded = fp.TabularClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(frame), expected)
    assert loaded.predict(frame).tolist() == model.predict(frame).tolist()
    with pytest.raises(ValueError, match="holds a classification"):
        fp.TabularRegressor.load(tmp_path / "model.safetensors")
    search = GridSearchCV(fp.TabularClassifier("low", random_state=0), {"folds": [1, 2]}, cv=2, error_score="raise")
    assert search.fit(frame, y).best_params_["folds"] in (1, 2)


@pytest.mark.parametrize("y", [[3, 5, 9], [1.0, 2.0, 5.0], [True, False], ["a", "b", "c"]])
def test_classes_come_back_as_they_were(y, tmp_path):
    X = {"x": np.repeat(np.arange(len(y)), 20).astype(float)}
    labels = np.repeat(np.array(y), 20)
    model = fp.TabularClassifier("low", random_state=0).fit(X, labels)
    model.save(tmp_path / "m.safetensors")
    loaded = fp.TabularClassifier.load(tmp_path / "m.safetensors")
    assert loaded.classes_.tolist() == model.classes_.tolist() == np.unique(labels).tolist()
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


def test_new_rows_may_hold_what_no_training_row_held():
    frame, y, _ = mixed_table()
    whole = frame.dropna()
    model = fp.TabularClassifier("low", random_state=0).fit(whole, y[whole.index])
    new = frame[:3].copy()
    new["colour"] = ["violet", None, "red"]
    new["size"] = [np.nan, 1e300, -1e300]
    new["day"] = [pd.NaT, pd.Timestamp("1990-05-05"), pd.Timestamp("2100-01-01")]
    new["unknown"] = 1
    p = model.predict_proba(new)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    with pytest.raises(ValueError, match=r"lacks the column 'colour' \(nearest: 'color'\)"):
        model.predict(new.rename(columns={"colour": "color"}))


def test_the_same_bits_on_any_number_of_threads():
    frame, y, _ = mixed_table()
    before = fp.get_num_threads()
    try:
        fp.set_num_threads(1)
        one = fp.TabularClassifier("low", folds=3, random_state=0).fit(frame, y).predict_proba(frame)
        fp.set_num_threads(3)
        three = fp.TabularClassifier("low", folds=3, random_state=0).fit(frame, y).predict_proba(frame)
    finally:
        fp.set_num_threads(before)
    np.testing.assert_array_equal(one, three)


def test_rows_held_out_are_predicted_by_a_network_that_did_not_see_them():
    frame, y, _ = mixed_table()
    model = fp.TabularClassifier("low", folds=3, random_state=0).fit(frame, y).model_
    X, ensemble = model.encoder.transform(Table.from_frame(frame)), model.ensemble
    n = len(model.histories)  # linear networks come after them, if they have a share
    shares = [1] if ensemble.shares is None else [n * ensemble.shares[0], n * ensemble.shares[n]]
    for k in range(n):
        rows = model.folds == k
        wanted = sum(
            share * np.float64(net(X[rows])) for share, net in zip(shares, ensemble.networks[k::n], strict=True)
        )
        np.testing.assert_allclose(model.held_out[rows], wanted, atol=1e-6)
    assert set(model.folds.tolist()) == {0, 1, 2, -1}  # fewer than four networks hold out a quarter each


def test_groups_are_held_out_together_and_the_latest_rows_where_there_are_times():
    frame, y, _ = mixed_table()
    groups = np.arange(len(y)) // 6
    folds = fp.TabularClassifier("low", folds=3, random_state=0).fit(frame, y, groups=groups).model_.folds
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(groups.max()))
    times = frame["day"].to_numpy()
    model = fp.TabularClassifier("low", refit=True, random_state=0).fit(frame, y, times=times).model_
    held = model.folds == ALL_HELD_OUT
    assert held.any() and times[held].min() >= times[~held].max()


def test_an_eval_set_replaces_the_folds():
    frame, y, _ = mixed_table()
    model = fp.TabularClassifier("low", random_state=0).fit(frame[:180], y[:180], eval_set=(frame[180:], y[180:]))
    assert (model.model_.folds == -1).all()
    assert "validation_cost" in model.model_.histories[0]
    with pytest.raises(ValueError, match="classes that y does not have"):
        fp.TabularClassifier("low").fit(frame[:180], y[:180], eval_set=(frame[180:], ["maybe"] * 60))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson", "gamma", "tweedie"])
def test_losses_of_numbers_learn(loss):
    frame, _, logit = mixed_table(400)
    y = np.exp(logit / 2)
    model = fp.TabularRegressor("low", loss=loss, random_state=0).fit(frame, y)
    assert np.corrcoef(model.predict(frame), y)[0, 1] > 0.7
    if loss in ("poisson", "gamma", "tweedie"):
        assert (model.predict(frame) > 0).all()


def test_quantiles_do_not_cross_and_cover_what_they_say(tmp_path):
    frame, _, logit = mixed_table(600)
    y = logit + np.random.default_rng(1).normal(size=600)
    levels = (0.1, 0.5, 0.9)
    model = fp.TabularRegressor("low", loss=fp.losses.quantile(levels=levels), random_state=0).fit(frame, y)
    q = model.predict_quantiles(frame)
    assert (np.diff(q, axis=1) >= 0).all()
    np.testing.assert_array_equal(model.predict(frame), q[:, 1])
    assert abs((y < q[:, 2]).mean() - 0.9) < 0.1 and abs((y < q[:, 0]).mean() - 0.1) < 0.1
    model.save(tmp_path / "m.safetensors")
    loaded = fp.TabularRegressor.load(tmp_path / "m.safetensors").set_params(loss=model.loss)
    np.testing.assert_array_equal(loaded.predict_quantiles(frame), q)
    with pytest.raises(AttributeError, match="predict_quantiles"):
        fp.TabularRegressor().predict_quantiles  # noqa: B018


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"effort": "huge"}, "effort"),
        ({"folds": 0}, "folds"),
        ({"members": 1.5}, "members"),
        ({"time_budget": -1}, "time_budget"),
        ({"loss": "half_mse"}, "does not suit a classification"),
        ({"categorical": ["colours"]}, "colours"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    frame, y, _ = mixed_table()
    model = fp.TabularClassifier(**parameters)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(frame, y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("weights", [[-1.0] * 240, [0.0] * 240, [np.nan] * 240, [1.0] * 3])
def test_wrong_weights_are_refused(weights):
    frame, y, _ = mixed_table()
    with pytest.raises(ValueError, match=r"weights|inconsistent"):
        fp.TabularClassifier("low").fit(frame, y, sample_weight=weights)


def test_a_weight_of_zero_leaves_the_row_out():
    frame, y, _ = mixed_table()
    weight = (np.arange(len(y)) % 3 > 0).astype(float)
    weighted = fp.TabularClassifier("low", random_state=0).fit(frame, y, sample_weight=weight)
    fewer = fp.TabularClassifier("low", random_state=0)
    fewer.fit(frame[weight > 0], y[weight > 0], sample_weight=weight[weight > 0])
    np.testing.assert_array_equal(weighted.predict_proba(frame), fewer.predict_proba(frame))


def test_targets_that_a_loss_cannot_take_are_named():
    frame, _, logit = mixed_table()
    with pytest.raises(ValueError, match="needs targets that are not negative"):
        fp.TabularRegressor("low", loss="poisson").fit(frame, logit)


def test_a_time_budget_leaves_networks_and_epochs_out():
    frame, y, _ = mixed_table()
    hasty = fp.TabularClassifier(time_budget=1e-3, random_state=0).fit(frame, y).model_
    patient = fp.TabularClassifier(random_state=0).fit(frame, y).model_
    assert len(hasty.ensemble) < len(patient.ensemble)
    assert max(map(len, (history["epoch"] for history in hasty.histories))) <= 2


def test_ctrl_c_ends_all_networks_and_leaves_the_estimator_as_it_was(monkeypatch):
    frame, y, _ = mixed_table()
    model, threads = fp.TabularClassifier(folds=4, random_state=0), threading.active_count()
    calls = []

    def interrupt(*progress):
        calls.append(progress)
        raise KeyboardInterrupt

    monkeypatch.setattr("fastprop.tabular.estimators._report_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(verbose=True).fit(frame, y)
    assert not hasattr(model, "model_") and not hasattr(model, "classes_")
    assert threading.active_count() == threads


def test_folds_are_even_in_every_class_and_whole_in_every_group():
    labels = np.repeat([0, 1, 2], [50, 30, 7])
    folds = assign_folds(87, 4, labels, seed=3)
    for label in range(3):
        counts = np.bincount(folds[labels == label], minlength=4)
        assert counts.max() - counts.min() <= 1
    groups = np.random.default_rng(0).integers(0, 20, 200)
    folds = assign_folds(200, 4, groups=groups)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(20))
    assert np.ptp(np.bincount(folds)) <= 20


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "plain.safetensors"
    fp.Network([2, 3, 1], seed=0).save(path)
    with pytest.raises(ValueError, match="no description of a table's columns"):
        TabularModel.load(path)
    frame, y, _ = mixed_table()
    fp.TabularClassifier("low", folds=2, random_state=0).fit(frame, y).save(path)
    with pytest.raises(ValueError, match=r"holds [24] networks.*Ensemble.load"):
        fp.load(path)
    assert len(fp.Ensemble.load(path)) in (2, 4)  # linear ones too, if they have a share
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="plain"):
        TabularModel.load(path)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_command_line_predicts_the_same_numbers(task, tmp_path, capsys):
    """A model that an estimator saved, and one that `fastprop train` wrote, predict alike from a file and a frame."""
    from fastprop.cli.main import main

    frame, y, logit = mixed_table()
    make = fp.TabularClassifier if task == "classification" else fp.TabularRegressor
    frame["target"] = y if task == "classification" else logit
    table, model = tmp_path / "table.csv", tmp_path / "model.safetensors"
    frame.to_csv(table, index=False)
    X = frame.drop(columns="target")
    make("low", random_state=0).fit(X, frame["target"]).save(model)
    trained = tmp_path / "trained.safetensors"
    options = ["--effort", "low", "--task", task, "--out", str(trained)]
    assert main(["train", str(table), "--target", "target", *options]) == 0
    for path in (model, trained):
        out = tmp_path / "out.csv"
        assert main(["predict", str(path), str(table), "--out", str(out)]) == 0
        predicted = pd.read_csv(out)
        loaded = make.load(path)
        if task == "classification":
            probabilities = predicted[[f"probability_{name}" for name in loaded.classes_]]
            np.testing.assert_allclose(probabilities, loaded.predict_proba(X), atol=1e-8)
            assert predicted["prediction"].tolist() == loaded.predict(X).tolist()
        else:
            np.testing.assert_allclose(predicted["prediction"], loaded.predict(X), rtol=1e-6)


def test_a_linear_relation_gets_linear_networks_and_another_does_not():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 20))
    straight = fp.TabularRegressor("low", random_state=0).fit(X, X.sum(axis=1) + random.normal(size=200))
    assert sum(straight.model_.ensemble.shares[2:]) > 0.5
    bent = fp.TabularRegressor("low", random_state=0).fit(X, 5 * np.abs(X[:, 0]))
    assert bent.model_.ensemble.shares is None or sum(bent.model_.ensemble.shares[2:]) < 0.3
