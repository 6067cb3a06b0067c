"""The column that is predicted (target.py): its task, its values there and back, and the rows held out."""

import json

import numpy as np
import pytest
from tables import table

from fastprop.tabular.scores import scores
from fastprop.tabular.table import TableError
from fastprop.tabular.target import Target, split_rows


class TestTarget:
    @pytest.mark.parametrize(
        ("cells", "task", "classes"),
        [
            (["b", "a", "b", "c"], "classification", ("a", "b", "c")),
            (["1", "0", "1"], "classification", ("0", "1")),
            (["1", "1.0", "02", "2"], "classification", ("1", "2")),
            ([i % 10 for i in range(100)], "classification", tuple("0123456789")),
            ([i % 10 for i in range(99)], "regression", ()),
            ([i % 21 for i in range(400)], "regression", ()),
            ([0.5, 1.5] * 50, "regression", ()),
            ([1, 2, 3], "regression", ()),
            (["10", "9", "x", "x"], "classification", ("9", "10", "x")),
        ],
    )
    def test_the_task_is_recognised(self, cells, task, classes):
        target = Target.recognise(table(y=cells), "y")
        assert (target.task, target.classes) == (task, classes)
        assert target.reason
        assert target.n_outputs == (len(classes) or 1)

    def test_the_user_may_say_otherwise(self):
        t = table(y=[0, 1] * 20)
        assert Target.recognise(t, "y", "regression").task == "regression"
        t = table(y=[0.5, 1.5] * 20)
        assert Target.recognise(t, "y", "classification").classes == ("0.5", "1.5")

    @pytest.mark.parametrize(
        ("cells", "task", "message"),
        [
            (["a", "a"], "auto", "'a' in every row; wanted at least two classes"),
            ([3, 3.0], "classification", "'3' in every row; wanted at least two classes"),
            ([2.5, 2.5], "auto", "2.5 in every row"),
            (["", "NA"], "auto", "target column 'y' is empty"),
            ([1, 2, "x"], "regression", "line 4: column 'y' holds 'x'; wanted numbers"),
            ([*range(50), "x"], "auto", "line 52: column 'y' holds 'x', but 50 of its 51"),
            ([f"n{i}" for i in range(30)], "auto", "30 different values in 30 rows"),
            ([1, "inf"], "auto", "line 3: column 'y' holds 'inf'"),
        ],
    )
    def test_a_target_that_cannot_be_learnt(self, cells, task, message):
        with pytest.raises(TableError, match=message):
            Target.recognise(table(y=cells), "y", task)

    def test_labels_gaps_and_unknown_classes(self):
        target = Target.recognise(table(y=["a", "b", "b"]), "y")
        values, known = target.encode(table(y=["b", "", "c", "a"]))
        assert values[known].tolist() == [1, 0]
        assert known.tolist() == [True, False, False, True]

    def test_numbers_there_and_back(self):
        target = Target.recognise(table(y=[1.5, 2.5, 7.25]), "y")
        values, known = target.encode(table(y=[1.5, "NA", 7.25]))
        assert known.tolist() == [True, False, True]
        target = target.fitted(values[known])
        assert (target.mean, target.scale) == (4.375, 2.875)
        standard = target.standardise(values[known])
        np.testing.assert_array_equal(standard, [-1, 1])
        np.testing.assert_array_equal(target.decode(standard[:, None]), [1.5, 7.25])

    def test_probabilities_of_any_scores(self):
        target = Target("y", "classification", ("a", "b"))
        p = target.decode(np.array([[0, 0], [1000, 0], [0, np.log(3)]]))
        np.testing.assert_allclose(p, [[0.5, 0.5], [1, 0], [0.25, 0.75]], rtol=1e-15)

    def test_scores(self):
        def named(found):
            return {score.name: score.value for score in found}

        regression = Target("y", "regression")
        found = named(scores(regression, np.array([1.0, 2, 6]), np.array([1.0, 4, 4])))
        assert found == pytest.approx({"RMSE": np.sqrt(8 / 3), "MAE": 4 / 3, "R2": 1 - 8 / 6}, rel=1e-14)
        classes = Target("y", "classification", ("a", "b"))
        p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
        assert named(scores(classes, p, np.array([0, 1, 1, 1])))["accuracy"] == 0.75

    def test_it_survives_json(self):
        for target in (
            Target("y", "classification", ("a", "b"), reason="whatever"),
            Target("y", "regression", (), 1.25, 0.5),
        ):
            assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


class TestSplit:
    @pytest.mark.parametrize("n", [1, 2, 5, 99, 1000])
    @pytest.mark.parametrize("fraction", [0, 0.2, 0.5, 0.999])
    def test_every_row_is_on_one_side(self, n, fraction):
        rows = np.arange(n) * 3
        training, test = split_rows(rows, fraction, 0)
        np.testing.assert_array_equal(np.sort(np.r_[training, test]), rows)
        assert len(training) >= 1
        assert abs(len(test) - fraction * n) <= 1

    def test_the_seed_decides(self):
        a, b, c = (split_rows(range(100), 0.2, seed)[1].tolist() for seed in (0, 0, 1))
        assert a == b != c

    def test_each_class_is_split_and_never_lost_to_the_test(self):
        labels = np.repeat([0, 1, 2], [800, 195, 1])
        for seed in range(20):
            training, test = split_rows(range(996), 0.2, seed, labels)
            assert set(labels[training]) == {0, 1, 2}
            assert np.bincount(labels[test])[:2].tolist() == pytest.approx([160, 39], abs=1)

    def test_a_class_of_one_row_is_always_learnt(self):
        training, test = split_rows(range(10), 0.5, 0, labels=np.arange(10))
        assert training.tolist() == list(range(10)) and len(test) == 0

    def test_the_rows_of_a_class_are_drawn_at_random(self):
        labels = np.repeat([0, 1], [50, 50])
        drawn = np.zeros(100)
        for seed in range(200):
            drawn[split_rows(range(100), 0.2, seed, labels)[1]] += 1
        # 200 draws with probability 0.2: 40, deviation 5.7; the first row of a class is excused once
        assert drawn.min() > 15 and drawn.max() < 65


@pytest.mark.parametrize("value", [2**64, 10**30, 3, np.float32(2), np.int64(7)], ids=repr)
def test_numbers_of_a_description_are_floats(value):
    """JSON may hold an integer of any size, which NumPy would keep as an object."""
    target = Target("y", "regression", mean=value, scale=value)
    assert [type(number) for number in (target.mean, target.scale)] == [float] * 2
    assert (target.mean, target.scale) == (float(value), float(value))
    assert target.number(1.0) and target.texts(np.array([1.0]), "float32")
