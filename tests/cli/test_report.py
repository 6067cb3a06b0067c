"""The report of `fastprop train`: one complete and safe page with the numbers of its training."""

import csv
import re
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from fastprop.cli import report

RATIOS = (("predicted", "precision"), ("rows", "recall"))
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, header, rows):
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return name


def write_plane(name="plane.csv", n=200, column="c"):
    """Write a regression: y = 3000 + 500 a - 200 b, plus 100 where c is 'up'; b has gaps."""
    random = np.random.default_rng(1)
    rows = []
    for i in range(n):
        a, b, c = random.normal(), random.uniform(-2, 2), random.choice(["up", "down & out"])
        y = 3000 + 500 * a - 200 * b + 100 * (c == "up") + random.normal(0, 30)
        rows.append([f"{a:.6f}", "NA" if i % 20 == 3 else f"{b:.6f}", c, f"{y:.6f}"])
    return write(name, ["a", "b", column, "y"], rows)


def write_blobs(name="blobs.csv", n=150, kinds=("red", "green", "<b>blue</b>"), column="x"):
    """Write three classes around the corners of a triangle, which overlap a little."""
    random = np.random.default_rng(2)
    centres = [(0, 0), (3, 0), (0, 3)]
    rows = []
    for i in range(n):
        x, y = random.normal(centres[i % 3], 1.0)
        rows.append([f"{x:.6f}", f"{y:.6f}", kinds[i % 3]])
    return write(name, [column, "y", "kind"], rows)


class Page(HTMLParser):
    """The tags of a page, their links, and the cells of the tables."""

    OPEN = ("meta",)  # tags of HTML without an end tag

    def __init__(self, path):
        super().__init__()
        self.tags, self.links, self.tables, self.headings, self.texts = [], [], [], [], []
        self._open = []
        self.feed(Path(path).read_text(encoding="utf-8"))
        assert self._open == [], "a tag is not closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.OPEN:
            self._open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href"):
                self.links.append(value)
            self.links += re.findall(r"url\(([^)]*)\)", value or "")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self._open and self._open[-1] == "h2":
            self.headings.append(data)
        self.texts.append(data)

    def table(self, header):
        """Return the rows, as dicts, of the table whose header begins with `header`."""
        (found,) = (table for table in self.tables if table[0][: len(header)] == header)
        return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def number(text):
    return float(text.replace(",", ""))


class TestBeforeTheTraining:
    """If the report cannot be made, the error comes before the training."""

    def test_the_extra_is_named_where_matplotlib_is_missing(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        status, out, err = run("train", write_plane(), "--target", "y", "--report", "r.html")
        assert status == 2 and out == ""
        assert err.startswith("fastprop: error: --report: pictures need matplotlib")
        assert "pip install 'fastprop-nn[plots]'" in err
        assert not Path("plane.safetensors").exists() and not Path("r.html").exists()

    @pytest.mark.peer
    @pytest.mark.parametrize(
        "path, message",
        [
            ("plane.csv", "--report plane.csv would overwrite the input plane.csv"),
            ("./plane.safetensors", "is the model file too"),
            ("none/r.html", "its directory does not exist"),
            (".", "is a directory"),
        ],
    )
    def test_places_where_it_cannot_be(self, run, path, message):
        pytest.importorskip("matplotlib", reason="the `peers` extra is not installed")
        status, out, err = run("train", write_plane(), "--target", "y", "--report", path)
        assert status == 2 and out == "" and message in err
        assert not Path("plane.safetensors").exists()


@pytest.mark.peer
class TestPage:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        pytest.importorskip("matplotlib", reason="the `peers` extra is not installed")

    @pytest.fixture
    def train(self, run):
        """Train with a report; return the page and the standard output."""

        def train(file, target, *more):
            status, out, err = run(
                "train", file, "--target", target, "--report", "r.html", "--effort", "low", "--no-compare", *more
            )
            assert status == 0, err
            assert out.endswith("report: r.html\n")
            return Page("r.html"), out

        return train

    @pytest.mark.parametrize("write_table, target", [(write_plane, "y"), (write_blobs, "kind")])
    def test_it_is_one_file_that_loads_nothing(self, train, write_table, target):
        page, _ = train(write_table(), target)
        assert Path("r.html").stat().st_size < 500_000
        assert page.links and all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
        assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
        pictures = {"regression": 2, "classification": 3}["regression" if target == "y" else "classification"]
        columns = 3 if target == "y" else 2
        assert page.tags.count("svg") == pictures + columns + 2  # the columns' effects, their worth, the training
        assert page.headings == [
            "Scores",
            "Predictions of rows held out",
            "What the columns are worth",
            "How the predictions follow the columns",
            "Worst rows",
            "Training",
            "Columns",
        ]
        identifiers = re.findall(r' id="([^"]*)"', Path("r.html").read_text(encoding="utf-8"))
        assert len(set(identifiers)) == len(identifiers)
        assert {link[1:] for link in page.links if link.startswith("#")} <= set(identifiers)

    def test_scores_are_those_that_were_printed(self, train):
        page, out = train(write_plane(), "y")
        (printed,) = re.findall(r"^  fastprop +(.*)$", out, re.M)
        shown = page.table(["", "R2", "RMSE", "MAE"])
        assert [row[""] for row in shown] == ["fastprop", "no column"]
        assert list(shown[0].values())[1:] == re.split("  +", printed.replace("+-", "\N{PLUS-MINUS SIGN}"))

    def test_digits_follow_the_spread_of_the_target(self, train):
        a = np.random.default_rng(0).normal(size=100)
        t = (1.7e9 + 1000 * a).astype(int)
        page, _ = train(write("t.csv", ["a", "t"], [[repr(x), y] for x, y in zip(a.tolist(), t.tolist())]), "t")
        for row in page.table(["line", "true", "predicted"]):
            assert int(row["true"]) == t[int(row["line"]) - 2]
            difference = float(row["true"]) - float(row["predicted"])
            assert float(row["true - predicted"]) == pytest.approx(difference, abs=0.02)

    def test_the_worst_rows_have_the_largest_errors(self, train):
        page, _ = train(write_plane(), "y")
        lines = Path("plane.csv").read_text().splitlines()
        shown = page.table(["line", "true", "predicted", "true - predicted"])
        sizes = [abs(number(row["true - predicted"])) for row in shown]
        assert sizes == sorted(sizes, reverse=True) and len(sizes) == report.ERRORS
        for row in shown:
            a, b, c, y = lines[int(row["line"]) - 1].split(",")
            assert [row["a"], row["b"], row["c"]] == [a, b, c] and number(row["true"]) == pytest.approx(float(y))

    def test_of_classes_they_are_those_least_expected(self, train):
        page, _ = train(write_blobs(), "kind")
        shown = page.table(["line", "true", "predicted", "probability of true"])
        sure = [number(row["probability of true"]) for row in shown]
        assert sure == sorted(sure)
        assert shown[0]["true"] != shown[0]["predicted"]

    def test_precision_and_recall_of_each_class(self, train):
        page, out = train(write_blobs(), "kind", "--test-fraction", 0.4)
        rows = page.table(["class", "rows", "predicted", "precision", "recall", "F1"])
        assert [row["class"] for row in rows] == ["<b>blue</b>", "green", "red"]
        assert sum(int(row["rows"]) for row in rows) == sum(int(row["predicted"]) for row in rows) == 60
        hits = [[round(int(row[n]) * float(row[share])) for row in rows] for n, share in RATIOS]
        assert hits[0] == hits[1]
        accuracy = float(re.split(r" {2,}", re.search(r"^  fastprop .*", out, re.M)[0])[-2].split(" +-")[0])
        assert sum(hits[0]) / 60 == pytest.approx(accuracy, abs=0.01)

    def test_what_was_trained_is_told(self, train):
        page, out = train(write_plane(), "y", "--seed", 5)
        facts = dict(row for table in page.tables for row in table if len(row) == 2)
        assert facts["loss"] == "half_mse" and facts["seed"] == "5" and facts["effort"] == "low"
        for row in page.table(["network", "epoch kept", "epochs", "planned", "rows held out", "their cost"]):
            assert f"network {row['network']}: epoch {row['epoch kept']} of {row['epochs']} was kept" in out
            assert row["rows held out"] == "50"
        columns = {row["column"]: row for row in page.table(["column", "kind", "gaps"])}
        assert {name: row["kind"] for name, row in columns.items()} == {"a": "number", "b": "number", "c": "category"}
        assert columns["b"]["gaps"] == "10" and "down & out, up" in columns["c"]["inputs of the networks"]
        assert any(text.startswith("fastprop ") and "NumPy" in text for text in page.texts)

    def test_the_command_repeats_it(self, train, run):
        page, _ = train(write_plane("a plane.csv"), "y", "--seed", 3)
        (command,) = (text for text in page.texts if text.startswith("fastprop train "))
        before = Path("a plane.safetensors").read_bytes()
        Path("a plane.safetensors").unlink()
        assert run(*shlex.split(command)[1:])[0] == 0
        assert Path("a plane.safetensors").read_bytes() == before

    def test_names_and_cells_are_text_whatever_they_hold(self, train):
        page, _ = train(write_blobs("<i>&amp;.csv", kinds=(EVIL, '"', "$x^"), column=f"{EVIL}$"), "kind")
        assert not {"script", "i", "b"} & set(page.tags)
        assert "kind, from <i>&amp;.csv" in page.texts
        errors = page.table(["line", "true", "predicted", "probability of true"])
        assert f"{EVIL}$" in errors[0]
        assert {row["true"] for row in errors} <= {EVIL, '"', "$x^"}
        assert EVIL[:15] + "..." in "".join(page.texts)  # on the axes of the confusion matrix

    def test_long_tables_are_cut_and_say_so(self, train):
        random = np.random.default_rng(0)
        rows = [[*random.normal(size=120).round(3), i % 2, "w" * 500] for i in range(60)]
        for i, row in enumerate(rows):
            row[1] = "z" * 300 if (i % 2) ^ (i % 5 == 0) else "v" * 300
        header = [*[f"c{k}" for k in range(120)], "y", "constant"]
        page, _ = train(write("wide.csv", header, rows), "y")
        assert len(page.table(["column", "kind"])) == report.COLUMNS
        assert len(page.table(["line"])) == report.ERRORS and len(page.table(["line"])[0]) == 4 + report.CELLS
        assert max(len(cell) for row in page.table(["line"]) for cell in row.values()) == report.LETTERS
        assert "112 less important columns not shown." in page.texts and "20 more columns not shown." in page.texts

    def test_many_rows_and_classes_stay_small(self, train):
        random = np.random.default_rng(0)
        rows = [[f"{a:.4f}", f"{b:.4f}", f"{a * b:.4f}"] for a, b in random.normal(size=(6000, 2))]
        train(write("many.csv", ["a", "b", "y"], rows), "y", "--test-fraction", 0.5)
        assert Path("r.html").stat().st_size < 500_000
        rows = [[f"{random.normal():.4f}", f"k{i % 60}"] for i in range(600)]
        train(write("classes.csv", ["a", "kind"], rows), "kind")
        assert Path("r.html").stat().st_size < 500_000

    def test_the_model_is_the_one_trained_without_a_report(self, train, run):
        train(write_blobs(), "kind", "--out", "with.safetensors")
        assert run("train", "blobs.csv", "--target", "kind", "--effort", "low", "--out", "without.safetensors")[0] == 0
        assert Path("with.safetensors").read_bytes() == Path("without.safetensors").read_bytes()
