"""`fastprop train` over processes that mpiexec starts, and data of which each process reads its share."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import thread_ranks
from shared_data import DATA, HOUSING, needs_housing

import fastprop as fp
from fastprop import distributed
from fastprop.cli.main import _parser
from fastprop.cli.study import Study
from fastprop.tabular import readers
from fastprop.tabular import shard as shards
from fastprop.tabular.csv import read_csv
from fastprop.tabular.model import TabularModel
from fastprop.tabular.readers import read_table, read_tables
from fastprop.tabular.recipe import EFFORTS, Recipe
from fastprop.tabular.stacking import stack
from fastprop.tabular.table import TableError
from fastprop.training.ranks import Ranks


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def mpiexec(size, *command, limit=120):
    """Run a program on some ranks; return the finished process."""
    pytest.importorskip("mpi4py", reason="the `peers` extra is not installed")
    command = [Path(sys.executable).with_name("mpiexec"), "-n", size, sys.executable, *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(fp.__file__).parent.parent), "FASTPROP_NUM_THREADS": "1"}
    options = {"capture_output": True, "text": True, "env": environment, "timeout": limit, "check": False}
    return subprocess.run([*map(str, command)], **options)


def train(size, *args, limit=120):
    """Run `fastprop train` on some ranks; return the finished process."""
    return mpiexec(size, "-m", "fastprop", "train", *args, limit=limit)


def write_parts(n=240, parts=3):
    """Write a table as several files, and as one."""
    random = np.random.default_rng(0)
    x, town = random.normal(size=n), random.choice(["Aue", "Bern"], n)
    rows = zip(x, town, random.integers(0, 30, n), random.permutation(n))
    lines = [f"{a:.4f},{b},{g},{t},{a + t / n},{'yes' if a + (b == 'Aue') > 0.3 else 'no'}\n" for a, b, g, t in rows]
    for k in range(parts):
        Path(f"part-{k}.csv").write_text("x,town,g,t,y,sold\n" + "".join(lines[n * k // parts : n * (k + 1) // parts]))
    Path("whole.csv").write_text("x,town,g,t,y,sold\n" + "".join(lines))


class Rank:
    alone = False

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def cells(table):
    return {name: [column.cell(k) for k in range(len(column))] for name, column in table.columns.items()}


class TestShares:
    @pytest.mark.parametrize("size", [2, 3, 5, 40])
    @pytest.mark.parametrize("kind", ["parts", "whole", "gzip", "row groups"])
    def test_they_are_the_table(self, kind, size):
        write_parts()
        files = {"parts": [f"part-{k}.csv" for k in range(3)], "whole": ["whole.csv"]}.get(kind, [f"t.{kind}"])
        if kind == "gzip":
            import gzip

            Path(files[0]).write_bytes(gzip.compress(Path("whole.csv").read_bytes()))
        elif kind == "row groups":
            parquet = pytest.importorskip("pyarrow.parquet")
            table = pytest.importorskip("pyarrow.csv").read_csv("whole.csv")
            parquet.write_table(table, files[0], row_group_size=50)
        shares = [read_tables(files, Rank(rank, size)) for rank in range(size)]
        whole = stack(shares)
        assert cells(whole) == cells(read_table("whole.csv") if kind != "row groups" else read_table(files[0]))
        if size < 40:
            assert max(share.n_rows for share in shares) - min(share.n_rows for share in shares) <= 8
        assert whole.n_rows == 240 == read_tables(files).n_rows

    def test_a_large_file_is_cut_where_its_bytes_are(self, monkeypatch):
        monkeypatch.setattr(readers, "LARGE", 0)
        n = 100_000
        Path("large.csv").write_text("k,t\n" + "".join(f'{k},"a\n{k % 7}"\n' for k in range(n)))
        shares = [read_tables(["large.csv"], Rank(rank, 3)) for rank in range(3)]
        numbers = np.concatenate([share["k"].values for share in shares])
        assert np.array_equal(numbers, np.arange(n)) and min(share.n_rows for share in shares) > n // 5
        lines = np.concatenate([share.lines for share in shares])
        assert np.array_equal(lines, read_csv("large.csv").lines)

    def test_a_file_of_others_is_not_opened(self):
        write_parts()
        Path("part-2.csv").chmod(0)
        Path("part-2.csv").write_bytes(b"\0" * Path("part-1.csv").stat().st_size)
        assert read_tables(["part-0.csv", "part-1.csv", "part-2.csv"], Rank(0, 3)).path == "part-0.csv"

    def test_of_a_pattern_no_file_suits(self):
        with pytest.raises(TableError, match=r"no file suits the pattern 'none-\*.csv'"):
            readers.find_files(["none-*.csv"])


class TestOneProcess:
    def test_several_files_are_one_table(self, run):
        write_parts()
        options = ("--target", "sold", "--effort", "low", "--no-compare")
        for files in (["part-*.csv"], ["part-0.csv", "part-1.csv", "part-2.csv"], ["whole.csv"]):
            status, out, err = run("train", *files, *options)
            assert status == 0 and "240 rows, 6 columns" in out, err
        models = [TabularModel.load(f"{name}.safetensors").ensemble.networks[0] for name in ("part", "whole")]
        assert np.array_equal(models[0].parameters, models[1].parameters)

    def test_launchers_are_recognised(self, run, monkeypatch):
        write_parts()

        def missing(**options):
            raise ImportError("no mpi4py: pip install 'fastprop-nn[mpi]'")

        monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
        monkeypatch.setattr(distributed, "mpi", missing)
        arguments = "train", "whole.csv", "--target", "sold"
        status, _, err = run(*arguments)
        assert status == 2 and "a launcher started 4 processes: no mpi4py: pip install" in err
        monkeypatch.setattr(distributed, "mpi", lambda **options: distributed.single())
        status, _, err = run(*arguments)
        assert status == 2 and "the MPI of mpi4py knows of one: they are of different MPIs" in err
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")  # which leaves it to the first to say so
        assert run(*arguments) == (2, "", "")
        monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
        status, out, err = run(*arguments, "--mpi", "--effort", "low", "--no-compare")
        assert status == 0 and "model: whole.safetensors" in out, err


class TestStudy:
    """What `fastprop train` does on ranks that are threads here, with networks that hardly learn."""

    OPTIONS = (
        (),
        ("--test-fraction", "0.25"),
        ("--validation", "0.25", "--groups", "g"),
        ("--validation", "part-0.csv", "--test-fraction", "0.25"),
        ("--time-column", "t", "--test-fraction", "0.25"),
        ("--cv", "3"),
    )

    @pytest.fixture(autouse=True)
    def _little_effort(self, monkeypatch):
        monkeypatch.setitem(EFFORTS, "low", Recipe(bins=4, steps=12, folds=2))

    @pytest.mark.parametrize("sample", [shards.SAMPLE, 100])
    @pytest.mark.parametrize("options", OPTIONS)
    def test_rank_0_ends_what_all_have_begun(self, options, sample, monkeypatch):
        write_parts()
        usual = "--target", "y", "--ignore", "sold", "--effort", "low", "--no-compare"
        words = ["train", "part-*.csv", *usual, *options]
        args = _parser().parse_args(words)

        def study_of(communicator=None):
            ranks = Ranks.of(communicator)
            with ranks.together():
                study = Study.of(args, readers.find_files(args.files), ranks)
                comparison = study.cross_validate() if args.cv else None
                ended, model = study.on_sample(study.fit(study.training))
            assert ended.ranks.alone
            return ended, model, comparison or (ended.compare(model) if ranks.rank == 0 else None)

        alone, _, expected = study_of()
        monkeypatch.setattr(shards, "SAMPLE", sample)
        found = thread_ranks.successes(thread_ranks.run(3, study_of))
        study, model, comparison = found[0]
        assert study.counts == pytest.approx(alone.counts, abs=2) and study.gaps.keys() == alone.gaps.keys()
        assert study.schema.columns == alone.schema.columns and study.planned == alone.planned
        assert study.table.n_rows == pytest.approx(min(sample, 240), abs=2)
        assert len(model.folds) == len(study.training)
        share = study.table.n_rows / 240
        assert len(comparison.values) == pytest.approx(share * len(expected.values), abs=0.1 * 240)
        assert np.isfinite([score.value for score in comparison.scores["fastprop"]]).all()
        assert set(comparison.scores) == {"fastprop", "guess"}
        for other, same, _ in found[1:]:
            assert other.counts == study.counts
            assert np.array_equal(same.outputs(study.table), model.outputs(study.table))


@pytest.mark.peer
class TestSeveralProcesses:
    def test_one_prints_and_one_model_comes_out(self):
        write_parts()
        done = train(2, "part-*.csv", "--target", "sold", "--effort", "low", "--no-compare")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("model: part.safetensors") == done.stdout.count("\nscores: ") == 1
        assert "ranks: 2" in done.stdout and "240 rows, 6 columns" in done.stdout
        table = read_csv("whole.csv")
        model = TabularModel.load("part.safetensors")
        values, _ = model.target.encode(table)
        assert (model.predict(table).argmax(axis=1) == values).mean() > 0.9

    def test_an_error_of_a_rank_ends_all(self):
        write_parts()
        with open("part-2.csv", "a") as file:
            file.write("1,2,3,4\n")
        done = train(3, *(f"part-{k}.csv" for k in range(3)), "--target", "sold", "--out", "never.safetensors")
        assert done.returncode != 0 and not Path("never.safetensors").exists() and "scores" not in done.stdout
        # The share of rank 1 may end within that file.
        said = r"error: rank [12] failed: TableError: part-2.csv, line 82: 4 cells where the first line names 6"
        assert re.search(said, done.stderr), done.stderr

    @pytest.mark.parametrize(
        ("file", "said"), [("whole.csv", "has no column 'sould' (nearest: 'sold')"), ("none.csv", "No such file")]
    )
    def test_an_error_of_all_is_said_once(self, file, said):
        write_parts()
        done = train(3, file, "--target", "sould")
        assert done.returncode == 2 and done.stderr.count(said) == done.stderr.count("fastprop: ") == 1

    def test_memory_maps_and_row_groups(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        X = np.memmap("X", np.float64, "w+", shape=(5000, 4))
        X[:] = np.random.default_rng(0).normal(size=X.shape)
        X.flush()
        columns = dict(zip("abcd", X.T)) | {"y": X.sum(axis=1)}
        parquet.write_table(pyarrow.table(columns), "table.parquet", row_group_size=900)
        done = mpiexec(2, Path(__file__).parent / "programs" / "data.py", "mpi", tmp_path)
        assert done.stdout.count("all is well") == 2, done.stderr

    @needs_housing
    @pytest.mark.exhaustive(alone=True)
    @pytest.mark.parametrize(
        ("path", "target", "ignored", "score", "spread"),
        [
            (HOUSING, "median_house_value", (), "R2", 0.02),
            (DATA / "tables/concrete.csv", -1, (), "R2", 0.03),
            (DATA / "tables/churn.csv", "churn", ("--ignore", "rownames"), "log loss", 0.02),
        ],
    )
    def test_real_tables_score_as_in_one_process(self, run, path, target, ignored, score, spread):
        def found(out):
            header, ours = (re.split("  +", line) for line in out.partition("scores: ")[2].splitlines()[1:3])
            return float(dict(zip(header[1:], ours[2:]))[score].split(" +- ")[0])

        target = read_csv(path).names[-1] if target == -1 else target
        options = (path, "--target", target, *ignored, "--no-compare")
        status, alone, err = run("train", *options, "--out", "1.safetensors")
        assert status == 0, err
        done = train(4, *options, "--out", "4.safetensors", limit=1200)
        assert done.returncode == 0, done.stderr
        assert found(done.stdout) == pytest.approx(found(alone), abs=spread)
