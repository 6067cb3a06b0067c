"""Tables of which each rank has some rows (shard.py, stacking.py): what is found in them is that of the whole table."""

import threading

import numpy as np
import pytest
import thread_ranks
from hypothesis import given
from hypothesis import strategies as st

import fastprop as fp
from fastprop.tabular import shard as shards
from fastprop.tabular.encoders import Encoder
from fastprop.tabular.model import TabularModel, assign_folds
from fastprop.tabular.recipe import Recipe
from fastprop.tabular.schema import Schema
from fastprop.tabular.shard import Shard, group_sizes, latest, union
from fastprop.tabular.stacking import stack
from fastprop.tabular.table import NumberColumn, Table, TableError, TextColumn, TimeColumn
from fastprop.tabular.target import Target
from fastprop.training.ranks import Ranks

N = 240
# The first row of each rank, and the end: even, ragged, and with ranks that have no rows.
BOUNDS = [(0, 60, 120, 180, N), (0, 7, 200, N), (0, 0, 3, 3, N)]


def make_table(n=N):
    random = np.random.default_rng(0)
    x = random.normal(size=n)
    gappy = np.where(random.random(n) < 0.1, np.nan, 100 * x)
    towns = np.array([f"town {k}" for k in random.zipf(1.5, n) % 40], object)
    towns[5] = None
    days = np.datetime64("2026-01-01", "h") + random.integers(0, 9000, n).astype("timedelta64[h]")
    words = np.array([" ".join(random.choice(["old", "new", "big", "flat"], 3)) + f" n{k}" for k in range(n)], object)
    return Table.from_frame({"x": x, "gappy": gappy, "town": towns, "day": days, "words": words})


def on_ranks(bounds, function):
    """Call ``function(ranks, rows)`` on each rank, `rows` the slice that it has; return what all return."""

    def call(communicator):
        ranks = Ranks(communicator)
        rows = slice(bounds[ranks.rank], bounds[ranks.rank + 1])
        with ranks.together():
            return function(ranks, rows)

    return thread_ranks.successes(thread_ranks.run(len(bounds) - 1, call))


def part(table, rows):
    return table.take(np.arange(table.n_rows)[rows])


@pytest.mark.parametrize("bounds", BOUNDS)
def test_the_encoder_of_shards_is_that_of_the_table(bounds):
    table = make_table()
    expected = Encoder.fit(table, Schema.infer(table))

    def fit(ranks, rows):
        # a rank without rows may not know the columns
        shard = Shard.of(part(table, rows) if rows.start < rows.stop else Table("none", {}, []), ranks)
        schema = ranks.decide(lambda: Schema.infer(shard.sample))
        return Encoder.fit(shard, schema), Encoder.fit(shard.take(np.arange(shard.table.n_rows)), schema), shard.total

    for encoder, same, total in on_ranks(bounds, fit):
        assert encoder == same == expected and total == N


def test_of_a_sample_categories_and_gaps_are_those_of_all_rows(monkeypatch):
    monkeypatch.setattr(shards, "SAMPLE", 60)
    table = make_table()
    expected = Encoder.fit(table, Schema.infer(table))

    def fit(ranks, rows):
        shard = Shard.of(part(table, rows), ranks)
        assert abs(shard.sample.n_rows - 60) <= ranks.size and len(shard.rows) < shard.table.n_rows
        assert np.array_equal(shard.gather(shard.table["x"].values), shard.sample["x"].values)
        taken = shard.take(np.arange(1, shard.table.n_rows, 2))
        assert np.array_equal(taken.gather(taken.table["x"].values), taken.sample["x"].values)
        return Encoder.fit(shard, Schema.infer(table))

    first, *others = on_ranks(BOUNDS[0], fit)
    assert all(each == first for each in others)
    found, wanted = ({each.name: each for each in encoder.columns} for encoder in (first, expected))
    assert found["town"] == wanted["town"] and found["gappy"].gaps and not found["x"].gaps
    assert found["x"].center == pytest.approx(wanted["x"].center, abs=0.5)
    assert found["x"].center != wanted["x"].center


@pytest.mark.parametrize("bounds", BOUNDS)
def test_target_groups_and_the_latest_rows_are_those_of_the_table(bounds):
    random = np.random.default_rng(1)
    y = random.normal(3, 2, N) * 1e6
    groups = np.array([f"g{k}" for k in random.integers(0, 30, N)])
    times = random.permutation(N) - 50.5
    whole = Target("y", "regression").fitted(y)
    folds, sizes = assign_folds(N, 4, groups=groups, seed=3), group_sizes(groups)[1]

    def find(ranks, rows):
        fitted = Target("y", "regression").fitted(y[rows], ranks)
        assert np.array_equal(group_sizes(groups[rows], ranks)[1], sizes)
        assert np.array_equal(union(groups[rows], ranks), np.unique(groups))
        assert np.array_equal(assign_folds(len(y[rows]), 4, groups=groups[rows], seed=3, ranks=ranks), folds[rows])
        assert np.array_equal(latest(times[rows], 60, ranks), latest(times, 60)[rows])
        days = np.datetime64("2026-01-01") + np.arange(N)
        assert np.array_equal(latest(days[rows], 60, ranks), (np.arange(N) >= N - 60)[rows])
        return fitted.mean, fitted.scale, np.bincount(assign_folds(len(y[rows]), 4, ranks=ranks), minlength=4)

    found = on_ranks(bounds, find)
    for mean, scale, _ in found:
        assert (mean, scale) == found[0][:2]
        np.testing.assert_allclose((mean, scale), (whole.mean, whole.scale), rtol=1e-14)
    assert (sum(counts for *_, counts in found) == N // 4).all()


@given(st.lists(st.lists(st.integers(-3, 3), max_size=5), min_size=2, max_size=3), st.data())
def test_the_latest_rows_of_ranks_are_as_many_as_asked_for(times, data):
    n = data.draw(st.integers(0, sum(map(len, times))))
    chosen = thread_ranks.successes(
        thread_ranks.run(len(times), lambda c: latest(np.array(times[c.rank], float), n, Ranks(c)))
    )
    everything = np.concatenate([np.array(each, float) for each in times])
    expected = np.sort(everything)[len(everything) - n :]
    assert np.array_equal(np.sort(everything[np.concatenate(chosen)]), expected)


def test_an_error_of_rank_0_is_one_of_all():
    def fail(ranks, rows):
        with pytest.raises(TableError, match="a hole in the table"):
            ranks.decide(lambda: (_ for _ in ()).throw(TableError("a hole in the table")))
        return ranks.communicator.failures

    assert on_ranks(BOUNDS[0], fail) == [[]] * 4


# ---- tables one behind the other ----


def test_columns_of_one_kind_keep_it():
    table = make_table()
    whole = stack([part(table, rows) for rows in (slice(0, 100), slice(100, 100), slice(100, N))])
    assert whole.names == table.names and whole.n_rows == N and whole.files is None
    for name in table.names:
        assert type(whole[name]) is type(table[name])
        assert [whole[name].cell(k) for k in range(N)] == [table[name].cell(k) for k in range(N)]


def test_columns_of_two_kinds_become_texts_and_gaps_any_kind():
    numbers, gaps = NumberColumn(np.array([1.0, 2.5])), NumberColumn(np.full(2, np.nan))
    texts, times = TextColumn(np.array([0, -1], np.int32), ("a",)), TimeColumn(np.array(["2026-01-02"], "M8[us]"))
    mixed = NumberColumn(np.array([3.0, np.nan]), np.array([-1, 0], np.int32), ("3+",))

    def joined(*columns):
        tables = [Table(f"{k}.csv", {"c": column}, range(2, 2 + len(column))) for k, column in enumerate(columns)]
        whole = stack(tables)["c"]
        return type(whole), [whole.cell(k) for k in range(len(whole))]

    assert joined(numbers, texts) == (TextColumn, ["1", "2.5", "a", ""])
    assert joined(gaps, texts) == (TextColumn, ["", "", "a", ""])
    assert joined(gaps, times) == (TimeColumn, ["", "", "2026-01-02 00:00:00.000000"])
    assert joined(gaps, numbers, mixed) == (NumberColumn, ["", "", "1", "2.5", "3", "3+"])
    assert joined(mixed, texts) == (TextColumn, ["3", "3+", "a", ""])


def test_messages_name_the_file_of_a_row():
    tables = [Table(f"{k}.csv", {"c": NumberColumn(np.array([k, np.inf]))}, [2, 3]) for k in range(3)]
    whole = stack(tables)
    assert whole.path == "0.csv and 2 more"
    assert whole.where("c", 3).startswith("1.csv, line 3: column 'c'")
    assert whole.take([4, 5]).where("c", 1).startswith("2.csv, line 3")
    with pytest.raises(TableError, match="0.csv and 3.csv have different columns: only one of them has 'c', 'd'"):
        stack([*tables, Table("3.csv", {"d": tables[0]["c"]}, [2, 3])])
    with pytest.raises(TableError, match="no rows"):
        stack([Table("none", {}, [])])


# ---- training ----


@pytest.fixture
def problem():
    table = make_table()
    y = np.nan_to_num(table["gappy"].values) + 50 * (table["town"].codes == 0)
    return table, y


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("held", ["folds", "groups", "times", "validation", "refit", "budget"])
def test_a_model_of_shards(problem, bounds, held):
    table, y = problem
    recipe = Recipe(hidden=(8,), steps=60, folds=2, dropout=0.0)
    random = np.random.default_rng(2)
    extra = {
        "groups": {"groups": random.integers(0, 20, N)},
        "times": {"times": random.random(N)},
    }.get(held, {})

    def fit(ranks=None, rows=slice(None)):
        shard = Shard.of(part(table, rows)) if ranks is None else Shard.of(part(table, rows), ranks)
        options = {name: values[rows] for name, values in extra.items()}
        if held == "validation":
            options["validation"] = part(table, rows), y[rows]
        options |= {"refit": {"refit": True}, "budget": {"time_budget": 1e9}}.get(held, {})
        schema = Schema.infer(table)
        return TabularModel.fit(
            shard, y[rows], Target("y", "regression"), schema=schema, recipe=recipe, seed=1, **options
        )

    alone, found = fit(), on_ranks(bounds, fit)
    assert all(each.encoder == alone.encoder and len(each.histories) == len(alone.histories) for each in found)
    for each in found:
        assert np.array_equal(each.background, alone.background)
        assert each.shares == found[0].shares and each.linear_share == found[0].linear_share
        for network, first in zip(each.ensemble.networks, found[0].ensemble.networks, strict=True):
            assert np.array_equal(network.parameters, first.parameters)
    folds = np.concatenate([each.folds for each in found])
    if held in ("groups", "times"):
        assert np.array_equal(folds, alone.folds)
    assert np.array_equal(np.unique(folds), np.unique(alone.folds))
    held_out = np.concatenate([each.held_out for each in found])
    assert np.isfinite(held_out).any() == np.isfinite(alone.held_out).any()


def test_one_rank_has_the_bits_of_none(problem):
    table, y = problem
    options = {"schema": Schema.infer(table), "recipe": Recipe(hidden=(8,), steps=30, folds=2)}
    shard = Shard.of(table, Ranks(fp.distributed.single()))
    alone, single = (TabularModel.fit(of, y, Target("y", "regression"), **options) for of in (table, shard))
    assert np.array_equal(alone.predict(table), single.predict(table))


@pytest.mark.peer
class TestEstimators:
    @pytest.fixture(autouse=True)
    def _sklearn(self):
        pytest.importorskip("sklearn", reason="the `peers` extra is not installed")

    def test_a_classifier_knows_the_classes_of_all_ranks(self, problem):
        table, y = problem
        labels = np.where(y > 50, "high", np.where(y > -50, "middle", "low"))
        order = np.argsort(labels, kind="stable")  # so that no rank has all of them
        table, labels = table.take(order), labels[order]
        weight = np.random.default_rng(0).random(N)

        def fit(communicator=None, rows=slice(None)):
            estimator = fp.TabularClassifier("low", class_weight="balanced", random_state=0)
            return estimator.fit(part(table, rows), labels[rows], weight[rows], communicator=communicator)

        found = on_ranks(BOUNDS[1], lambda ranks, rows: fit(ranks.communicator, rows))
        alone = fit()
        for estimator in found:
            assert estimator.classes_.tolist() == ["high", "low", "middle"] and estimator.n_features_in_ == 5
            assert estimator.score(table, labels) > alone.score(table, labels) - 0.05
            assert np.array_equal(estimator.predict_proba(table), found[0].predict_proba(table))

    @pytest.mark.parametrize("wrong", ["rows", "columns", "options"])
    def test_an_error_of_a_rank_ends_all(self, problem, wrong):
        table, y = problem

        def fit(communicator):
            mine, others = np.arange(N)[fp.distributed.shard(N, communicator)], communicator.rank == 1
            estimator = fp.TabularRegressor("medium" if others and wrong == "options" else "low", random_state=0)
            rows = part(table, mine)
            if others and wrong == "columns":
                rows = Table("X", {**rows.columns, "more": rows["x"]}, rows.lines)
            values = y[mine]
            if others and wrong == "rows":
                values[3] = np.nan
            return estimator.fit(rows, values, communicator=communicator)

        found = thread_ranks.run(3, fit)
        if wrong == "rows":
            assert isinstance(found[1], ValueError) and "NaN" in str(found[1])
            assert isinstance(found[0], threading.BrokenBarrierError)
        else:
            said = {"columns": "different columns: only one of them has 'more'", "options": "effort='medium' on rank 1"}
            assert all(isinstance(error, ValueError) and said[wrong] in str(error) for error in found)
