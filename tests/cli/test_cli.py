"""The command line, end to end: what it prints, writes, refuses and survives."""

import copy
import csv
import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_data import HOUSING, needs_housing
from strategies import ODD, places

import fastprop as fp
from fastprop.cli._common import one_line
from fastprop.io import model_file, safetensors
from fastprop.samples import load_digits, numpy_training
from fastprop.tabular.model import TabularModel
from fastprop.tabular.target import decimal

LOW = ("--effort", "low", "--no-compare")


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def succeed(run):
    def succeed(*args):
        status, out, err = run(*args)
        assert status == 0, err
        return out, err

    return succeed


def write(name, header, rows):
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return name


def read(text):
    header, *rows = csv.reader(text.splitlines())
    return header, rows


def write_plane(name="plane.csv", n=400, gaps=True):
    """Write a regression in large units: y = 3000 + 500 a - 200 b, plus 100 where c is 'up'."""
    random = np.random.default_rng(1)
    rows = []
    for i in range(n):
        a, b, c = random.normal(), random.uniform(-2, 2), random.choice(["up", "down"])
        y = 3000 + 500 * a - 200 * b + 100 * (c == "up")
        rows.append([f"{a:.6f}", "NA" if gaps and i % 20 == 3 else f"{b:.6f}", c, f"{y:.6f}"])
    return write(name, ["a", "b", "c", "y"], rows)


def write_blobs(name="blobs.csv", n=300):
    """Write three well separated classes, one of which has a comma in its name."""
    random = np.random.default_rng(2)
    centres = {"red": (0, 0), "green": (6, 0), "deep, blue": (0, 6)}
    rows = []
    for i in range(n):
        kind = list(centres)[i % 3]
        x, y = random.normal(centres[kind], 0.7)
        rows.append([f"{x:.6f}", f"{y:.6f}", kind])
    return write(name, ["x", "y", "kind"], rows)


def scores_of(out, model="fastprop"):
    """Return the scores of a model in the table that `train` prints, or those of a line of `predict`, by name."""
    if "\nscores: " not in out:
        found = re.findall(r"(RMSE|MAE|R2|log loss|AUC|accuracy|balanced accuracy) (-?[\d.,]*\d)", out)
        return {name: float(value.replace(",", "")) for name, value in found}
    header, *lines = out[out.index("\nscores: ") + 1 :].splitlines()[1:]
    (line,) = (line for line in lines if line.startswith(f"  {model}  "))
    names, cells = re.split(r"  +", header.strip()), re.split(r"  +", line.strip())[1:]
    return {name: float(cell.split(" +- ")[0].replace(",", "")) for name, cell in zip(names, cells, strict=True)}


def line_with(text, start):
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


class TestDemo:
    def test_it_learns_the_digits_and_times_numpy_beside(self, succeed):
        out, err = succeed("demo")
        costs = [float(c) for c in re.findall(r"^epoch +\d+/20  cost ([\d.]+)", out, re.M)]
        assert len(costs) == 20
        assert costs[0] > 0.5 and costs[-1] < 0.02
        accuracy = float(re.search(r"^test accuracy: ([\d.]+)", out, re.M)[1])
        assert 0.96 <= accuracy < 1
        table = re.findall(r"^  (\w+) +([\d,]+) steps/s  test accuracy ([\d.]+)", out, re.M)
        assert [row[0] for row in table] == ["fastprop", "NumPy"]
        ours, numpys = (float(row[1].replace(",", "")) for row in table)
        assert all(float(row[2]) >= 0.96 for row in table)
        assert float(table[0][2]) == accuracy
        ratio = re.search(r"^(\w+) makes ([\d.]+) times as many", out, re.M)
        assert ratio[1] == ("fastprop" if ours >= numpys else "NumPy")
        assert float(ratio[2]) == pytest.approx(max(ours, numpys) / min(ours, numpys), abs=0.06)
        assert err == ""

    def test_the_seed_decides(self, succeed):
        def costs(seed):
            out, _ = succeed("demo", "--epochs", 1, "--seed", seed)
            return re.findall(r"cost ([\d.]+)", out)

        first, again, other = costs(3), costs(3), costs(4)
        assert first == again != other


class TestDigits:
    def test_they_are_the_digits(self):
        X, y = load_digits()
        assert X.shape == (1797, 64) and X.dtype == np.uint8
        assert y.shape == (1797,) and y.dtype == np.int64
        assert (X.min(), X.max()) == (0, 16)
        # the counts and sum that scikit-learn's documentation and data give
        assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        assert X.sum() == 561718
        assert y[:10].tolist() == list(range(10))

    def test_their_source_and_licence_travel_along(self):
        text = Path(numpy_training.__file__).with_name("README.md").read_text(encoding="utf-8")
        assert "CC BY 4.0" in text and "Alpaydin" in text


class TestNumpyTraining:
    """NumPy's training in the demo must do the whole work, otherwise the comparison means nothing."""

    @staticmethod
    def plain(W, b, X, y, epochs, batch_size, rate, momentum, seed):
        """Do the same training in the plainest NumPy, directly from the formulas."""
        W, b = [w.copy() for w in W], [v.copy() for v in b]
        velocity = [np.zeros_like(p) for p in (*W, *b)]
        random, costs = np.random.default_rng(seed), []
        for _ in range(epochs):
            order, total = random.permutation(len(X)), 0.0
            for start in range(0, len(X), batch_size):
                rows = order[start : start + batch_size]
                a = [X[rows]]
                for w, v in zip(W[:-1], b[:-1], strict=True):
                    a.append(np.maximum(a[-1] @ w + v, 0))
                z = a[-1] @ W[-1] + b[-1]
                p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
                total -= np.log(p[np.arange(len(rows)), y[rows]]).sum()
                dz = (p - np.eye(p.shape[1])[y[rows]]) / len(rows)
                dW, db = [], []
                for k in reversed(range(len(W))):
                    dW.insert(0, a[k].T @ dz)
                    db.insert(0, dz.sum(axis=0))
                    dz = (dz @ W[k].T) * (a[k] > 0)
                for v, p, d in zip(velocity, (*W, *b), (*dW, *db), strict=True):
                    v *= momentum
                    v += d
                    p -= rate * v
            costs.append(total / len(X))
        return W, b, costs

    @pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 3), (4, 6, 5, 3)])
    def test_it_is_the_training_of_the_formulas(self, sizes):
        random = np.random.default_rng(0)
        X, y = random.normal(size=(23, 4)), random.integers(0, 3, 23)
        W = [random.normal(size=shape) for shape in zip(sizes, sizes[1:], strict=False)]
        b = [random.normal(size=n) for n in sizes[1:]]
        before = [p.copy() for p in (*W, *b)]
        how = {"epochs": 3, "batch_size": 8, "rate": 0.1, "momentum": 0.9, "seed": 5}
        got_W, got_b, costs, seconds = numpy_training.train(W, b, X, y, **how)
        want_W, want_b, want_costs = self.plain(W, b, X, y, **how)
        for got, want in zip((*got_W, *got_b), (*want_W, *want_b), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(costs, want_costs, rtol=1e-10)
        assert seconds > 0
        for now, then in zip((*W, *b), before, strict=True):
            np.testing.assert_array_equal(now, then)

    def test_scores_whose_exponentials_float64_does_not_hold(self):
        how = {"epochs": 1, "batch_size": 1, "rate": 0.1, "momentum": 0.9, "seed": 0}
        scores = np.array([[0.0, 2000.0]])
        W, b, costs, _ = numpy_training.train([scores], [np.zeros(2)], np.ones((1, 1)), np.array([0]), **how)
        assert costs == [2000.0]
        np.testing.assert_array_equal(W[0], [[0.1, 1999.9]])
        np.testing.assert_array_equal(b[0], [0.1, -0.1])

    def test_it_is_the_training_of_the_engine(self):
        pixels, y = load_digits()
        X, y = pixels[:100] / 16, y[:100]
        net = fp.Network([64, 20, 10], dtype="float64", seed=0)
        start = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
        optimizer = fp.SGD(0.05, momentum=0.9)
        trainer = fp.Trainer(net, loss="cross_entropy", optimizer=optimizer, seed=0)
        # one batch holds all rows, so the order into which each side shuffles them does not matter
        ours = [trainer.epoch(X, y, batch_size=100) for _ in range(10)]
        how = {"epochs": 10, "batch_size": 100, "rate": 0.05, "momentum": 0.9, "seed": 0}
        W, b, theirs, _ = numpy_training.train(*start, X, y, **how)
        np.testing.assert_allclose(theirs, ours, rtol=1e-9)
        for k in range(2):
            np.testing.assert_allclose(W[k], net.weights[k], rtol=1e-7, atol=1e-10)
            np.testing.assert_allclose(b[k], net.biases[k], rtol=1e-7, atol=1e-10)


class TestRegression:
    def test_train_and_predict_in_the_users_units(self, succeed):
        out, _ = succeed("train", write_plane(), "--target", "y", *LOW)
        assert "task: regression of 'y' (the target holds 400 different numbers" in out
        assert "numbers: 2 ('a', 'b')\ncategories: 1 ('c')\ngaps: 'b' 20; " in out
        assert "rows: 400 for training" in out
        scores = scores_of(out)
        # the deviation of y is about 560; the gaps cost about 230 in one row of twenty, so 52
        assert 20 < scores["RMSE"] < 150
        assert 5 < scores["MAE"] < scores["RMSE"]
        assert 0.9 < scores["R2"] < 1
        assert Path("plane.safetensors").exists()

        out, err = succeed("predict", "plane.safetensors", write_plane("new.csv", 50, gaps=False))
        header, rows = read(out)
        assert header == ["prediction"] and len(rows) == 50
        _, table = read(Path("new.csv").read_text())
        error = np.array(rows, float)[:, 0] - np.array(table)[:, 3].astype(float)
        rmse = np.sqrt((error**2).mean())
        assert rmse < 80
        assert scores_of(err)["RMSE"] == pytest.approx(rmse, rel=1e-4)
        assert "the file holds 'y' in 50 rows" in err

    def test_a_row_is_predicted_alike_alone_and_among_others(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW)
        _, table = read(Path("plane.csv").read_text())
        write("one.csv", ["c", "b", "a"], [[table[9][2], table[9][1], table[9][0]]])
        _, among = read(succeed("predict", "plane.safetensors", "plane.csv")[0])
        out, err = succeed("predict", "plane.safetensors", "one.csv")
        assert float(read(out)[1][0][0]) == pytest.approx(float(among[9][0]), rel=1e-5)
        assert err == ""  # there is no note, since there is neither a target nor anything unusual

    def test_predictions_to_a_file(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW, "--out", "m.st")
        on_screen, _ = succeed("predict", "m.st", "plane.csv")
        out, _ = succeed("predict", "m.st", "plane.csv", "--out", "p.csv")
        assert Path("p.csv").read_bytes().decode() == on_screen
        assert out == "400 predictions of 'y': p.csv\n"

    def test_options_reach_the_model(self, succeed):
        args = ["--target", "y", *LOW, "--members", 3, "--seed", 5, "--test-fraction", 0.5, "--ignore", "c"]
        out, _ = succeed("train", write_plane(), *args)
        model = TabularModel.load("plane.safetensors")
        assert [network.n_members for network in model.ensemble.networks[:2]] == [3, 3]  # linear ones may follow
        assert [network.seed for network in model.ensemble.networks[:2]] == [5, 6]
        assert model.encoder.input_names == ["a", "b", "b = (gap)"]
        assert "rows: 200 for training, 200 for the test, at random" in out
        assert "scores: 200 rows of the test, which nothing was trained on" in out

    def test_the_seed_decides(self, succeed):
        def model(seed):
            args = ["--target", "y", *LOW, "--seed", seed, "--out", "m.safetensors"]
            succeed("train", "plane.csv", *args)
            return Path("m.safetensors").read_bytes()

        write_plane()
        assert model(0) == model(0) != model(1)

    def test_columns_of_numbers_may_be_taken_as_categories(self, succeed):
        rows = [[i % 4, i % 7, [3, -5, 8, 1][i % 4] + 0.1 * (i % 7)] for i in range(200)]
        write("t.csv", ["code", "x", "y"], rows)
        out, _ = succeed("train", "t.csv", "--target", "y", "--categorical", "code")
        assert "numbers: 1 ('x')\ncategories: 1 ('code')\n" in out
        assert scores_of(out)["R2"] > 0.95


class TestDigitsOfPredictions:
    """The file holds what the network computed, with as many decimals as mean something for the target's spread."""

    @pytest.mark.parametrize(
        "mean, spread", [(1.7e9, 1000), (0, 1), (3e5, 1e5), (0.002, 1e-5), (1e-7, 1e-8), (1e12, 1e10), (1e14, 10)]
    )
    def test_the_error_of_the_file_is_that_of_the_note(self, succeed, mean, spread):
        random = np.random.default_rng(0)
        a = random.normal(size=200)
        t = mean + spread * (a + 0.01 * random.normal(size=200))
        write("t.csv", ["a", "t"], [[repr(x), repr(y)] for x, y in zip(a.tolist(), t.tolist())])
        succeed("train", "t.csv", "--target", "t", *LOW)
        _, err = succeed("predict", "t.safetensors", "t.csv", "--out", "p.csv")
        _, rows = read(Path("p.csv").read_text())
        error = np.sqrt(np.mean((np.array(rows, float)[:, 0] - t) ** 2))
        assert error < 0.3 * spread
        assert float(re.search(r"RMSE (\S+)", err)[1].replace(",", "")) == pytest.approx(error, rel=0.02)
        assert not any("e" in row[0] for row in rows)
        assert max(len(row[0].lstrip("-0.").replace(".", "")) for row in rows) <= 17
        out, _ = succeed("explain", "t.safetensors", "t.csv")
        truth, predicted = re.match(r"row 1, line 2: t is (\S+), predicted (\S+)\n", out).groups()
        assert float(truth) == pytest.approx(t[0], abs=1e-5 * spread)
        assert float(predicted) == pytest.approx(float(rows[0][0]), abs=1e-5 * spread)

    def test_probabilities(self, succeed):
        succeed("train", write_blobs(), "--target", "kind")
        out, _ = succeed("predict", "blobs.safetensors", "blobs.csv")
        _, rows = read(out)
        p = np.array([row[1:] for row in rows], float)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=2e-9)
        assert (p > 0).all() and (p < 1e-6).any()  # none is 0, so that a log-loss of the file is finite
        assert not any("e" in text for row in rows for text in row[1:] if float(text) >= 1e-6)

    @given(st.floats(-1e15, 1e15), st.floats(1e-9, 1e15), st.sampled_from([6, 9, 17]))
    def test_a_number_in_decimals(self, value, spread, digits):
        text = decimal(value, spread, digits)
        assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
        assert abs(float(text) - value) <= spread * 10.0 ** (1 - digits) + 1e-15 * abs(value)
        assert float(decimal(value, 1e-10, 17)) == pytest.approx(value, abs=1e-26, rel=1e-15)


class TestOverflow:
    """No cell makes the networks overflow, however far off it is."""

    @pytest.mark.parametrize("write_table, target", [(write_plane, "y"), (write_blobs, "kind")])
    def test_a_cell_far_off(self, succeed, write_table, target):
        name = write_table()
        succeed("train", name, "--target", target, *LOW, "--out", "m.safetensors")
        header, table = read(Path(name).read_text())
        table[1][0], table[2][0] = "1e300", "-1e300"
        write("far.csv", header, table[:4])
        _, rows = read(succeed("predict", "m.safetensors", "far.csv")[0])
        numbers = np.array([row[-1] for row in rows], float)
        assert np.isfinite(numbers).all() and len(set(numbers)) == 4

    def test_a_model_that_is_not_finite(self, succeed, run):
        succeed("train", write_plane(), "--target", "y", *LOW)
        model = TabularModel.load("plane.safetensors")
        model.ensemble.networks[1].weights[-1][...] = np.nan
        model.save("plane.safetensors")
        status, out, err = run("predict", "plane.safetensors", "plane.csv")
        assert (status, out) == (2, "") and "the model has weights that are not finite" in err


class TestOutputs:
    """Whether an output can be written is checked before the work begins."""

    @pytest.fixture
    def commands_of(self, succeed, monkeypatch):
        succeed("train", write_plane(), "--target", "y", *LOW)
        for name in ("fit", "__call__"):
            monkeypatch.setattr(fp.Network, name, None)
        return {
            "train": ["train", "plane.csv", "--target", "y", "--out"],
            "predict": ["predict", "plane.safetensors", "plane.csv", "--out"],
            "explain": ["explain", "plane.safetensors", "plane.csv", "--out"],
        }

    @pytest.mark.parametrize("command", ["train", "predict", "explain"])
    @pytest.mark.parametrize(
        "path, message",
        [
            ("", "which names no file"),
            (".", "is a directory, wanted a file"),
            ("none/x", "its directory does not exist"),
            ("plane.csv/x", "Not a directory"),
            ("x" * 300, "File name too long"),
            ("loop", "symbolic links"),
            ("plane.csv", "would overwrite the input plane.csv"),
            ("./plane.csv", "would overwrite the input plane.csv"),
            ("link.csv", "would overwrite the input plane.csv"),
            ("hard.csv", "would overwrite the input plane.csv"),
        ],
    )
    def test_it_cannot_be_written(self, run, commands_of, command, path, message):
        os.symlink("loop", "loop")
        os.symlink("plane.csv", "link.csv")
        os.link("plane.csv", "hard.csv")
        before = {name: Path(name).read_bytes() for name in os.listdir() if name != "loop"}
        status, out, err = run(*commands_of[command], path)
        assert (status, out) == (2, "") and err.count("\n") == 1
        assert err.startswith("fastprop: error: --out ") and message in err and ".fastprop-" not in err
        assert {name: Path(name).read_bytes() for name in os.listdir() if name != "loop"} == before

    def test_a_link_to_nothing_is_followed(self, succeed):
        os.symlink("there.safetensors", "here")
        succeed("train", write_plane(), "--target", "y", *LOW, "--out", "here")
        assert os.path.islink("here") and TabularModel.load("there.safetensors").target.name == "y"

    def test_a_checkpoint_that_cannot_be_written(self, monkeypatch):
        Path("run").write_text("in the way")
        monkeypatch.setattr(fp.Trainer, "epoch", None)
        with pytest.raises(FileExistsError):
            fp.Network([1, 1]).fit(
                np.ones((4, 1)), np.ones(4), loss="half_mse", optimizer="sgd", callbacks=fp.Checkpoint("run")
            )


class TestRowsHeldOut:
    """Which rows train, which end the training, and which are scored."""

    def table(self, n=240):
        random = np.random.default_rng(3)
        rows = [
            [f"p{i % 40}", f"2024-{1 + i // 28:02}-{1 + i % 28:02}", f"{x:.4f}", f"{3 * x + random.normal(0, 0.1):.4f}"]
            for i, x in enumerate(random.normal(size=n))
        ]
        return write("t.csv", ["patient", "day", "x", "y"], rows)

    def findings(self, succeed, *args):
        out, err = succeed("train", self.table(), "--target", "y", *LOW, "--json", "f.json", *args)
        return json.loads(Path("f.json").read_text()), out, err

    def test_everything_is_in_the_json(self, succeed):
        found, out, _ = self.findings(succeed)
        assert found["command"].startswith("fastprop train t.csv --target y --effort low ")
        assert found["target"]["task"] == "regression" and found["rows"]["training"] == 240
        assert [(c["name"], c["kind"]) for c in found["columns"]][1:] == [("day", "time"), ("x", "number")]
        printed = scores_of(out)
        for name, value in found["scores"]["models"]["fastprop"].items():
            assert value["value"] == pytest.approx(printed[name], abs=0.02) and value["low"] < value["value"]
        for network in found["networks"]:
            assert 1 <= network["epoch_kept"] <= network["epochs"] <= network["epochs_planned"]
            kept = f"network {network['network']}: epoch {network['epoch_kept']} of {network['epochs']} was kept"
            assert kept in re.sub(" +", " ", out)
        assert found["scores"]["rows"] == sum(network["rows_held_out"] for network in found["networks"])

    def test_to_the_standard_output(self, succeed):
        out, err = succeed("train", self.table(), "--target", "y", *LOW, "--json", "-")
        assert json.loads(out)["target"]["column"] == "y" and "scores: " in err

    def test_groups_stay_together(self, succeed):
        found, out, _ = self.findings(succeed, "--groups", "patient", "--test-fraction", 0.25)
        assert found["rows"]["test"] == 60 and "60 for the test, whole groups" in out
        assert "patient" not in [column["name"] for column in found["columns"]]
        assert found["scores"]["rows"] == 60
        (alone, _, _) = self.findings(succeed, "--ignore", "patient", "--test-fraction", 0.25)
        score, other = (each["scores"]["models"]["fastprop"]["R2"] for each in (found, alone))
        assert score["standard_error"] > 0 and score["standard_error"] != other["standard_error"]

    def test_json_without_a_row_held_out(self, succeed):
        write("few.csv", ["x", "y"], [[1, 0.5], [2, 1.5], [3, 4]])
        succeed("train", "few.csv", "--target", "y", *LOW, "--json", "f.json", "--out", "m")
        found = json.loads(Path("f.json").read_text(), parse_constant=pytest.fail)
        assert found["scores"] is None and found["importances"] == []
        succeed("train", "few.csv", "--target", "y", *LOW, "--json", "f.json", "--out", "m", "--test-fraction", 0.34)
        found = json.loads(Path("f.json").read_text(), parse_constant=pytest.fail)
        assert found["scores"]["rows"] == 1 and found["scores"]["models"]["fastprop"]["RMSE"]["standard_error"] is None

    def test_the_latest_are_held_out(self, succeed):
        found, out, _ = self.findings(succeed, "--time-column", "day", "--test-fraction", 0.25)
        assert found["rows"]["test"] == 60 and "60 for the test, the latest" in out

    def test_a_share_ends_the_training(self, succeed):
        found, out, _ = self.findings(succeed, "--validation", 0.25)
        assert found["rows"] == {"training": 180, "validation": 60, "test": 0}
        assert {network["rows_held_out"] for network in found["networks"]} == {60}
        assert "scores: 60 rows held out, which chose the epochs too" in out

    def test_a_file_ends_the_training(self, succeed):
        Path(self.table()).rename("other.csv")
        found, _, _ = self.findings(succeed, "--validation", "other.csv", "--test-fraction", 0.5)
        assert found["rows"] == {"training": 120, "validation": 240, "test": 120}
        assert found["scores"]["rows"] == 120

    def test_a_cross_validation(self, succeed):
        found, out, _ = self.findings(succeed, "--cv", 3)
        assert found["scores"]["rows"] == 240 and len(found["scores"]["models"]["fastprop"]["folds"]) == 3
        assert "scores: 240 rows in 3 folds, each predicted by a model of the others" in out
        assert scores_of(out)["R2"] > 0.8

    def test_a_time_budget(self, succeed):
        found, _, _ = self.findings(succeed, "--time", 0.05)
        planned, whole = (
            sum(n["epochs_planned"] for n in each["networks"]) for each in (found, self.findings(succeed)[0])
        )
        assert planned < whole

    @pytest.mark.parametrize(
        "args, message",
        [
            (["--cv", 3, "--time-column", "day"], "--cv holds out rows of any time"),
            (["--cv", 3, "--test-fraction", 0.2], "--cv scores every row"),
            (["--cv", 1], "argument --cv: got '1', wanted a whole number from 2 up"),
            (["--cv", 200], "--cv 200 makes folds of less than 2 of the 240 rows; give fewer"),
            (["--cv", 50, "--groups", "patient"], "folds of less than 2 of the 240 rows in 40 groups"),
            (["--test-fraction", 0.001], "--test-fraction 0.001 leaves rows on one side alone"),
            (["--validation", 0.01, "--groups", "patient"], "--validation 0.01 leaves groups on one side alone"),
            (["--groups", "person"], "no column 'person'"),
            (["--id", "y"], "--id 'y' is the target"),
            (["--time-column", "patient"], "--time-column needs a column of dates, times or numbers"),
            (["--validation", "none.csv"], "none.csv: No such file"),
            (["--validation", "1.5"], "argument --validation: got '1.5', wanted a number from 0 to below 1"),
            (["--time", 0], "argument --time: got '0'"),
        ],
    )
    def test_it_refuses(self, run, args, message):
        status, _, err = run("train", self.table(), "--target", "y", *LOW, *args)
        assert status == 2 and message in err and err.count("error:") == 1


class TestIds:
    def test_they_stand_beside_the_predictions(self, succeed, run):
        rows = [[f"c{i}", i % 7, i % 7 + 0.01 * (i % 11)] for i in range(60)]
        write("t.csv", ["customer", "x", "y"], rows)
        succeed("train", "t.csv", "--target", "y", "--id", "customer", *LOW)
        assert TabularModel.load("t.safetensors").encoder.names == ("x",)
        header, lines = read(succeed("predict", "t.safetensors", "t.csv")[0])
        assert header == ["customer", "prediction"] and [line[0] for line in lines] == [row[0] for row in rows]
        header, lines = read(succeed("predict", "t.safetensors", "t.csv", "--id", "x")[0])
        assert header == ["x", "prediction"] and [line[0] for line in lines] == [str(row[1]) for row in rows]
        write("new.csv", ["x"], [[1]])
        out, err = succeed("predict", "t.safetensors", "new.csv")
        assert read(out)[0] == ["prediction"] and "has no column 'customer', which named the rows" in err
        status, _, err = run("predict", "t.safetensors", "t.csv", "--id", "name")
        assert status == 2 and "no column 'name'" in err

    def test_probabilities_alone(self, succeed, run):
        succeed("train", write_blobs(), "--target", "kind", *LOW)
        header, lines = read(succeed("predict", "blobs.safetensors", "blobs.csv", "--probability-only")[0])
        assert header == ["probability_deep, blue", "probability_green", "probability_red"]
        assert np.array(lines, float).sum(axis=1) == pytest.approx(1)
        succeed("train", write_plane(), "--target", "y", *LOW)
        status, _, err = run("predict", "plane.safetensors", "plane.csv", "--probability-only")
        assert status == 2 and "--probability-only is for classes, and 'y' is a number" in err


@pytest.mark.peer
class TestEstimators:
    """A model file is the same, whether the command or an estimator wrote it."""

    def test_both_ways(self, succeed):
        pytest.importorskip("sklearn")
        pandas = pytest.importorskip("pandas")
        frame = pandas.read_csv(write_blobs())
        model = fp.TabularClassifier(effort="low", random_state=0).fit(frame[["x", "y"]], frame["kind"])
        model.save("e.safetensors")
        _, lines = read(succeed("predict", "e.safetensors", "blobs.csv")[0])
        assert [line[0] for line in lines] == model.predict(frame[["x", "y"]]).tolist()
        np.testing.assert_allclose(np.array([line[1:] for line in lines], float), model.predict_proba(frame), atol=1e-6)
        succeed("train", "blobs.csv", "--target", "kind", *LOW)
        loaded = fp.TabularClassifier.load("blobs.safetensors")
        _, lines = read(succeed("predict", "blobs.safetensors", "blobs.csv")[0])
        assert [line[0] for line in lines] == loaded.predict(frame).tolist()

    def test_parquet(self, succeed):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pandas.read_csv(write_plane()).to_parquet("plane.parquet")
        out, _ = succeed("train", "plane.parquet", "--target", "y", *LOW)
        assert "table: plane.parquet, 400 rows, 4 columns" in out
        of_parquet, _ = succeed("predict", "plane.safetensors", "plane.parquet")
        of_csv, _ = succeed("predict", "plane.safetensors", "plane.csv")
        assert of_parquet == of_csv

    def test_quantiles(self, succeed):
        pytest.importorskip("sklearn")
        random = np.random.default_rng(0)
        X = {"x": random.normal(size=300)}
        loss = fp.losses.quantile(levels=(0.1, 0.5, 0.9))
        model = fp.TabularRegressor(effort="low", loss=loss, random_state=0).fit(X, X["x"] + random.normal(size=300))
        model.save("q.safetensors")
        write("q.csv", ["x"], [[repr(x)] for x in X["x"].tolist()])
        header, lines = read(succeed("predict", "q.safetensors", "q.csv")[0])
        assert header == ["prediction", "quantile_0.1", "quantile_0.5", "quantile_0.9"]
        found = np.array(lines, float)
        np.testing.assert_allclose(found[:, 1:], model.predict_quantiles(X), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[:, 0], found[:, 2])


class TestExplain:
    def test_a_row_and_its_page(self, succeed):
        succeed("train", write_blobs(), "--target", "kind", *LOW)
        out, _ = succeed("explain", "blobs.safetensors", "blobs.csv", "--row", 3, "--fold", 1, "--out", "page.html")
        _, table = read(Path("blobs.csv").read_text())
        assert re.match(rf"row 3, line 4: kind is {table[2][-1]}, predicted \S", out)
        assert ": dense relu  W" in out and out.endswith("page: page.html\n")
        page = Path("page.html").read_text()
        assert "<title>Row 3 of blobs.csv: kind is " in page
        assert "row 3: W" in page and re.search(r"\brow 0\b", page) is None
        out, _ = succeed("explain", "blobs.safetensors", "blobs.csv", "--row", 3, "--fold", 1, "--quantity", "b4[0]")
        assert "(row 3)" in out and "row 0" not in out

    def test_it_names_the_columns(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW)
        _, table = read(Path("plane.csv").read_text())
        out, _ = succeed("explain", "plane.safetensors", "plane.csv", "--row", 4)
        names = TabularModel.load("plane.safetensors").encoder.input_names
        assert names == ["a", "b", "b = (gap)", "c = down", "c = up", "c = (other)"]
        for name, cell in zip("abc", table[3]):
            assert f"\n  column '{name}', '{cell}':\n" in out
        chosen = names.index(f"c = {table[3][2]}")
        assert "\n    x[2] = 1, b = (gap)\n" in out and f"\n    x[{chosen}] = 1, c = {table[3][2]}\n" in out
        out, _ = succeed("explain", "plane.safetensors", "plane.csv", "--quantity", "x[1]")
        assert f"\nx[1] is '{names[1]}'\n" in out
        out, _ = succeed("explain", "plane.safetensors", "plane.csv", "--fold", 1, "--quantity", "b5[0]")
        assert "] is '" not in out and "column" not in out

    def test_the_chain_rule_of_a_quantity(self, succeed, run):
        succeed("train", write_plane(), "--target", "y", *LOW)
        _, _, err = run("explain", "plane.safetensors", "plane.csv", "--fold", 1, "--quantity", "W99[1,0]")
        last = re.search(r"layers are 1 to (\d+)", err)[1]
        out, _ = succeed("explain", "plane.safetensors", "plane.csv", "--fold", 1, "--quantity", f"W{last}[1,0]")
        (total,) = re.findall(r"sum over 1 path: (\S+)", out)
        (gradient,) = re.findall(r"the engine's gradient: (\S+)", out)
        assert float(gradient) == pytest.approx(float(total), rel=1e-6)

    def test_hostile_columns_are_text(self, succeed):
        name = "<script>alert(1)</script>"
        rows = [[i % 7, i % 3, i % 7 + i % 3 + 0.1 * (i % 11)] for i in range(60)]
        write("h.csv", [name, "b", "y"], rows)
        succeed("train", "h.csv", "--target", "y", *LOW)
        succeed("explain", "h.safetensors", "h.csv", "--out", "page.html")
        page = Path("page.html").read_text()
        assert "<script>alert" not in page and r"\u003cscript>alert" in page and "&lt;script&gt;alert" in page

    @pytest.mark.parametrize(
        "args, message",
        [
            (["--row", 401], "--row must be from 1 to 400, the rows of plane.csv, got 401"),
            (["--row", 0], "wanted a whole number from 1 up"),
            (["--quantity", "W99[0,0]"], "W99[0,0] is of layer 99, layers are 1 to "),
            (["--out", "plane.csv"], "would overwrite the input"),
        ],
    )
    def test_it_refuses(self, succeed, run, args, message):
        succeed("train", write_plane(), "--target", "y", *LOW)
        status, _, err = run("explain", "plane.safetensors", "plane.csv", *args)
        assert status == 2 and message in err and err.count("\n") == 1

    def test_a_row_without_a_target(self, succeed, run):
        succeed("train", write_plane(), "--target", "y", *LOW)
        header, table = read(Path("plane.csv").read_text())
        write("new.csv", header, [[*table[0][:-1], ""], table[1]])
        out, err = succeed("explain", "plane.safetensors", "new.csv")
        assert out.startswith("row 1, line 2: y is predicted ") and "what moved y from " in out and "Trace" not in out
        assert "the row has no known 'y', and without one there is no loss" in err
        write("short.csv", header[:-1], [table[0][:-1]])
        assert "what moved y from " in succeed("explain", "plane.safetensors", "short.csv")[0]
        for more in (["--quantity", "x[0]"], ["--out", "p.html"]):
            status, out, err = run("explain", "plane.safetensors", "new.csv", *more)
            assert (status, out) == (2, "") and "row 1 of new.csv has no known 'y'" in err

    def test_what_moved_the_prediction(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW)
        write("one.csv", ["a", "b", "c", "y"], [["2", "0", "up", "4100"]])  # of the columns a is far from its mean
        out, _ = succeed("explain", "plane.safetensors", "one.csv", "--out", "page.html")
        base, end = map(float, re.search(r"^what moved y from (\S+), .* to (\S+):$", out, re.M).groups())
        predicted = float(re.search(r"predicted (\S+)\n", out)[1])
        assert end == pytest.approx(predicted, rel=1e-3) and abs(base - 3050) < 200
        bars = re.findall(r"^  (\w) = (\w+) +([+-][\d.]+) \+- +[\d.]+ +(#*)\|(#*)$", out, re.M)
        assert bars[0][:2] == ("a", "2") and {bar[0] for bar in bars} == {"a", "b", "c"}
        sizes = [float(bar[2]) for bar in bars]
        assert base + sum(sizes) == pytest.approx(end, abs=1)
        assert 700 < sizes[0] < 1200 and len(bars[0][4]) == 12
        assert "\na = 2 moved it up most, by " in out
        page = Path("page.html").read_text()
        assert "<h2>What moved the prediction</h2>" in page and "<td>a = 2</td>" in page
        assert "what moved" not in succeed("explain", "plane.safetensors", "one.csv", "--quantity", "x[0]")[0]

    def test_each_network_can_be_traced(self, succeed, run):
        succeed("train", write_plane(), "--target", "y", *LOW)
        first, second = (succeed("explain", "plane.safetensors", "plane.csv", "--fold", k)[0] for k in (1, 2))
        n = int(re.search(r"network 1 of (\d), with \d+% of the prediction:", first)[1])
        assert f"network 2 of {n}" in second
        assert first.split("inputs (")[0] == second.split("inputs (")[0]
        assert first.split("Trace of")[1] != second.split("Trace of")[1]
        status, _, err = run("explain", "plane.safetensors", "plane.csv", "--fold", n + 1)
        assert status == 2 and f"--fold must be from 1 to {n}, the networks of the model, got {n + 1}" in err


class TestClassification:
    def test_train_and_predict_classes_and_their_probabilities(self, succeed):
        out, _ = succeed("train", write_blobs(), "--target", "kind")
        assert "task: classification of 'kind' (the target is text)\n" in out
        assert "classes: 3 (deep, blue 33.3%, green 33.3%, red 33.3%)" in out
        assert scores_of(out)["accuracy"] >= 0.95
        assert scores_of(out, "no column")["accuracy"] == pytest.approx(1 / 3, abs=0.01)

        rows = [["6.1", "0.2", "x"], ["0", "0", "x"], ["-0.3", "5.5", "x"]]
        write("new.csv", ["x", "y", "else"], rows)
        out, err = succeed("predict", "blobs.safetensors", "new.csv")
        header, rows = read(out)
        names = ["deep, blue", "green", "red"]
        assert header == ["prediction", *(f"probability_{name}" for name in names)]
        assert [row[0] for row in rows] == ["green", "red", "deep, blue"]
        p = np.array([row[1:] for row in rows], float)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        assert [names[i] for i in p.argmax(axis=1)] == ["green", "red", "deep, blue"]
        assert "not used, as the model was trained without: 'else'" in err

    def test_the_task_can_be_turned_either_way(self, succeed):
        write("t.csv", ["x", "y"], [[i, i % 2] for i in range(60)])
        short = ["--target", "y", *LOW]
        assert (
            "2 different whole numbers in 60 rows; --task regression to change that)"
            in succeed("train", "t.csv", *short)[0]
        )
        out, _ = succeed("train", "t.csv", *short, "--task", "regression")
        assert "task: regression of 'y' (as asked)" in out and "R2" in out

    def test_rows_without_a_target_are_left_out_and_said(self, succeed):
        write("t.csv", ["x", "y"], [[i, ["a", "b", ""][i % 3]] for i in range(60)])
        out, err = succeed("train", "t.csv", "--target", "y", *LOW)
        assert "rows: 40 for training" in out
        assert "20 of the rows have no 'y' and are left out" in err

    def test_new_categories_and_gaps_are_said(self, succeed):
        write("t.csv", ["c", "x", "y"], [["uvv"[i % 3], i % 5, i % 2] for i in range(100)])
        succeed("train", "t.csv", "--target", "y")
        write("new.csv", ["c", "x"], [["w", 1], ["u", ""]])
        _, err = succeed("predict", "t.safetensors", "new.csv")
        assert "'c' has 1 cell outside the 2 categories of the model ('w')" in err
        assert "'x' has 1 gap, filled with the median 2" in err

    def test_a_semicolon_file_with_a_byte_order_mark(self, succeed):
        lines = ["größe;art"] + [f"{i % 10},5;{'ab'[i % 10 > 4]}" for i in range(100)]
        Path("t.csv").write_text("\n".join(lines), encoding="utf-8-sig")
        out, _ = succeed("train", "t.csv", "--target", "art", *LOW)
        assert scores_of(out)["accuracy"] == 1


class TestBadInput:
    GOOD = "x,y\n" + "".join(f"{i},{i * 0.5}\n" for i in range(40))

    @pytest.mark.parametrize(
        ("content", "args", "message"),
        [
            ("", [], "t.csv is empty"),
            ("x,y\n", [], "no rows"),
            ("x,y\n1,2\n3\n", [], "t.csv, line 3: 1 cells where the first line names 2 columns"),
            ("y,x,y\n1,2,3\n", [], "columns 1 and 3 are both named 'y'"),
            (GOOD, ["--target", "z"], "no column 'z'.*'x', 'y'"),
            (GOOD, ["--target", "Y"], "no column 'Y' .nearest: 'y'"),
            ("x,y\n1,a\n2,a\n", [], "'a' in every row; wanted at least two classes"),
            ("x,y\n1,3.5\n2,3.5\n", [], "3.5 in every row; wanted at least two different"),
            ("x,y\n1,\n2,NA\n", [], "target column 'y' is empty"),
            ("x,y\n1,2\n2,inf\n3,4.5\n", [], "line 3: column 'y' holds 'inf'"),
            ("x,y\n,1\nNA,2\n,3\n", [], "no column to learn from.*'x' is empty"),
            ("y\n1\n2\n3\n", [], "no column to learn from"),
            (GOOD, ["--ignore", "w"], "no column 'w'"),
            (GOOD, ["--ignore", "y"], "--ignore 'y' is the target"),
            (GOOD, ["--test-fraction", "1"], "argument --test-fraction: got '1'"),
            (GOOD, ["--effort", "hihg"], "argument --effort: invalid choice: 'hihg'.*high"),
            (GOOD, ["--members", "0"], "argument --members: got '0', wanted a whole number from 1 up"),
            (GOOD, ["--out", "."], "--out . is a directory"),
            (GOOD, ["--out", "no/m"], "--out no/m: its directory does not exist"),
            (GOOD, ["--out", "t.csv"], "--out t.csv would overwrite the input t.csv"),
            (GOOD, ["--bogus"], "unrecognized arguments: --bogus"),
        ],
    )
    def test_train_refuses_in_one_line(self, run, content, args, message):
        Path("t.csv").write_text(content)
        target = [] if "--target" in args else ["--target", "y"]
        status, _, err = run("train", "t.csv", *target, *args)
        assert status == 2
        assert err.startswith("fastprop: error: ") or "\nfastprop: error: " in err
        assert re.search(message, err.splitlines()[-1]), err
        assert all(line.startswith("fastprop: ") for line in err.splitlines())
        assert os.listdir() == ["t.csv"]
        assert Path("t.csv").read_text() == content

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["train", "none.csv", "--target", "y"], "none.csv: No such file"),
            (["train", ".", "--target", "y"], "[.]: (Is a directory|Permission denied)"),
            (["train", "t.csv"], "required: --target"),
            (["predict", "none.safetensors", "t.csv"], "none.safetensors"),
            (["predict", "t.csv"], "required: FILE"),
            (["trian"], "invalid choice: 'trian'"),
        ],
    )
    def test_other_mistakes(self, run, args, message):
        Path("t.csv").write_text(self.GOOD)
        status, out, err = run(*args)
        assert (status, out) == (2, "")
        (line,) = err.splitlines()
        assert line.startswith("fastprop: error: ") and re.search(message, line)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("A,c\n1,up\n", r"new.csv lacks 2 columns: 'a' \(nearest: 'A'\), 'b'"),
            ("a,b,c\n1,2,up\n3,4\n", "line 3: 2 cells"),
        ],
    )
    def test_predict_refuses_a_table_that_does_not_fit(self, succeed, run, table, message):
        succeed("train", write_plane(), "--target", "y", *LOW)
        Path("new.csv").write_text(table)
        status, out, err = run("predict", "plane.safetensors", "new.csv", "--out", "p.csv")
        assert (status, out) == (2, "")
        assert re.search(message, err)
        assert not Path("p.csv").exists()

    @pytest.mark.parametrize("victim", ["plane.csv", "plane.safetensors"])
    def test_predict_overwrites_neither_table_nor_model(self, succeed, run, victim):
        succeed("train", write_plane(), "--target", "y", *LOW)
        before = Path(victim).read_bytes()
        status, _, err = run("predict", "plane.safetensors", "plane.csv", "--out", victim)
        assert status == 2 and "would overwrite the input" in err
        assert Path(victim).read_bytes() == before

    def test_predict_refuses_models_that_it_cannot_use(self, succeed, run):
        succeed("train", write_plane(), "--target", "y", *LOW)
        networks, notes = fp.Ensemble.load("plane.safetensors").networks, model_file.read_notes("plane.safetensors")

        def refusal(notes):
            model_file.save_networks(networks, "m.safetensors", notes=notes)
            status, _, err = run("predict", "m.safetensors", "plane.csv")
            assert status == 2 and len(err.splitlines()) == 1
            return err

        assert "no description of a table's columns" in refusal(None)
        del notes["table"]["encoder"]["columns"][0]["center"]
        assert "is not one that fastprop" in refusal(notes)
        notes["table"]["encoder"]["columns"].pop(0)
        assert "are not those that are encoded" in refusal(notes)
        notes["table"]["encoder"]["schema"]["columns"].pop(0)
        notes["table"]["background"] = None
        assert "make 5 inputs and 1 outputs, the network has 6 and 1" in refusal(notes)
        notes["table"] = "?"
        assert "is not one that fastprop" in refusal(notes)

        data = bytearray(Path("plane.safetensors").read_bytes())
        data[-5] ^= 1
        Path("m.safetensors").write_bytes(data)
        status, _, err = run("predict", "m.safetensors", "plane.csv")
        assert status == 2 and "damaged" in err

    def test_scores_that_cannot_be_had_do_not_cost_the_predictions(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW)
        write("new.csv", ["a", "b", "c", "y"], [[1, 2, "up", "high"], [1, 2, "up", 3]])
        out, err = succeed("predict", "plane.safetensors", "new.csv")
        assert len(read(out)[1]) == 2
        assert "no scores: new.csv, line 2: column 'y' holds 'high'" in err


class TestHostileModels:
    """Whoever makes a model can make its checksum, so its description of the columns is checked too."""

    @pytest.fixture(params=["regression", "classification"])
    def model(self, succeed, request):
        name, target = (write_plane(), "y") if request.param == "regression" else (write_blobs(), "kind")
        succeed("train", name, "--target", target, *LOW, "--out", "m.safetensors")
        return name, fp.Ensemble.load("m.safetensors").networks, model_file.read_notes("m.safetensors")

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(pick=st.data())
    def test_it_predicts_or_is_refused_in_one_line(self, model, run, pick):
        name, networks, notes = model
        notes = copy.deepcopy(notes)
        for _ in range(pick.draw(st.integers(1, 2))):
            container, key = pick.draw(st.sampled_from(list(places(notes)) or [({"x": 0}, "x")]))
            if pick.draw(st.booleans()):
                del container[key]
            else:
                container[key] = copy.deepcopy(pick.draw(ODD))
        try:
            model_file.save_networks(networks, "m.safetensors", notes=notes)
        except ValueError:  # fastprop does not write NaN
            return
        for command in ("predict", "explain"):
            status, out, err = run(command, "m.safetensors", name)
            assert status in (0, 2)
            if status == 2:
                assert out == "" and err.count("\n") == 1 and len(err) < 2000

    def test_a_description_of_brackets(self, model, run):
        name, *_ = model
        content = Path("m.safetensors").read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        header["__metadata__"] |= {"networks": "[" * 100_000, "checksum": "0" * 64}
        header = bytearray(json.dumps(header, separators=(",", ":")).encode())
        header += b" " * (-len(header) % 8)
        length = len(header).to_bytes(8, "little")
        header[safetensors.DIGITS_AT] = safetensors.checksum(length, header, content[end:])
        Path("m.safetensors").write_bytes(length + header + content[end:])
        for command in ("predict", "explain"):
            status, out, err = run(command, "m.safetensors", name)
            assert (status, out) == (2, "") and "m.safetensors: " in err and err.count("\n") == 1 and len(err) < 1000


class TestInterruption:
    def test_nothing_is_written(self, monkeypatch, run):
        def interrupt(*args, **how):
            raise KeyboardInterrupt

        monkeypatch.setattr(fp.Network, "fit", interrupt)
        status, _, err = run("train", write_plane(), "--target", "y")
        assert (status, err) == (130, "fastprop: interrupted\n")
        assert os.listdir() == ["plane.csv"]

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
    def test_a_real_one(self):
        write_plane()
        args = ["train", "plane.csv", "--target", "y", "--effort", "high", "--members", "50"]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "fastprop.cli.main", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while not process.stdout.readline().startswith("rows:"):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=600)
        assert (process.returncode, err) == (130, "fastprop: interrupted\n")

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no broken pipes")
    def test_a_reader_that_has_enough_is_met_with_silence(self, succeed):
        succeed("train", write_plane(), "--target", "y", *LOW)
        random = np.random.default_rng(0)
        rows = [[*row, "up"] for row in random.normal(size=(20000, 2))]
        write("new.csv", ["a", "b", "c"], rows)
        args = ["predict", "plane.safetensors", "new.csv"]
        # Unbuffered, CPython loses the rest of a write that was cut short, without an error.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        with subprocess.Popen(
            [sys.executable, "-m", "fastprop.cli.main", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        ) as process:
            assert process.stdout.readline() == b"prediction\n"
            process.stdout.close()
            err = process.stderr.read()
        assert (process.returncode, err) == (141, b"")


class TestTheRest:
    def test_info(self, succeed):
        out, _ = succeed("info")
        said = dict(re.findall(r"^([\w ]+): +(.+)$", out, re.M))
        assert said["fastprop"] == fp.__version__
        assert said["cpu"] and said["python"].startswith(platform.python_version())
        assert said["kernel table"] in said["tables built"]
        assert said["threads"] == str(fp.get_num_threads())

    def test_version(self, succeed):
        assert succeed("--version")[0] == f"fastprop {fp.__version__}\n"

    @pytest.mark.parametrize("command", [[], ["train"], ["predict"]])
    def test_help_has_examples(self, succeed, command):
        out, _ = succeed(*command, "--help")
        assert "example" in out and f"fastprop {(command or ['demo'])[0]} " in out

    def test_the_commands_are_listed_without_arguments(self, succeed):
        out, _ = succeed()
        assert all(f"\n    {name} " in out for name in ("demo", "train", "predict", "info"))

    def test_import_fastprop_leaves_the_command_line_alone(self):
        code = "import sys, fastprop; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
        loaded = set(done.stdout.decode().split())
        assert "fastprop" in loaded
        others = {f"fastprop.{name}" for name in ("cli", "playground", "plots", "samples", "sklearn", "tabular")}
        assert not loaded & others

    def test_errors_of_the_system_are_told_with_the_file(self):
        error = FileNotFoundError(2, "No such file or directory", "x.csv")
        assert one_line(error) == "x.csv: No such file or directory"
        assert one_line(ValueError("two\n lines")) == "two lines"
        assert "memory" in one_line(MemoryError())


@needs_housing
def test_housing(succeed):
    out, _ = succeed("train", HOUSING, "--target", "median_house_value", *LOW)
    assert "task: regression" in out
    scores = scores_of(out)
    assert 40_000 < scores["RMSE"] < 62_000
    out, err = succeed("predict", "housing.safetensors", HOUSING)
    assert len(out.splitlines()) == 20_641
    assert scores_of(err)["RMSE"] < 62_000
