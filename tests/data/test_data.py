"""Data of any kind and size: each gives the bits of a plain array where the rows come in the same order."""

import datetime
import decimal
import fractions
import itertools
import subprocess
import sys
import textwrap

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import fastprop as fp
from fastprop.data import arrays as data
from fastprop.data import batches as sources

HOW = {"loss": "cross_entropy", "optimizer": fp.SGD(0.1, momentum=0.9), "batch_size": 8}


@pytest.fixture
def small_window(monkeypatch):
    """Make sources convert ten rows of 6 float32 at a time."""
    monkeypatch.setattr(sources, "GATHERED", 240)
    monkeypatch.setattr(data, "WINDOW", 240)


def pixels(rows=101):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(rows, 6), dtype=np.uint8)
    return X, (X[:, :3].argmax(axis=1)).astype(np.int32)


def net_of(dtype="float32"):
    return fp.Network([6, 9, 3], activation="tanh", dtype=dtype, seed=1)


def after(X, y=None, *, epochs=2, net=None, **how):
    """Return the parameters after training, and the history."""
    net = net_of() if net is None else net
    history = net.fit(X, y, epochs=epochs, **(HOW | how))
    return net.parameters.tobytes(), history


def mapped(tmp_path, array, name="X"):
    path = tmp_path / f"{name}.bin"
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


# ---- rows that are converted while they are gathered ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["uint8", "int8", "float16", "int16"])
def test_small_numbers_give_the_bits_of_an_array(kind, dtype, small_window):
    X, y = pixels()
    X = X.astype(kind) if kind != "int8" else (X // 2).astype(kind)
    X = X // 64 if kind != "float16" else X / np.float16(64)
    X = X.astype(kind)
    assert data.streams(X, np.dtype(dtype))
    net, other = net_of(dtype), net_of(dtype)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    how = {"sample_weight": weight, "class_weight": "balanced", "epochs": 3}
    bits, history = after(X, y, net=net, **how)
    expected, twin = after(X.astype(dtype), y, net=other, **how)
    assert bits == expected
    np.testing.assert_allclose(history["cost"], twin["cost"], rtol=1e-6)  # one is a mean of parts
    assert net(X).tobytes() == net(X.astype(dtype)).tobytes()


@pytest.mark.parametrize("scale, offset", [(1 / 255, 0.0), (0.5, -3.0), (np.arange(6) / 9, np.arange(6) / 7), (1, 2)])
def test_scaled(scale, offset, small_window):
    X, y = pixels()
    lazy = fp.Scaled(X, scale=scale, offset=offset)
    by_hand = X.astype(np.float32) * np.float32(scale) + np.float32(offset)
    assert by_hand.dtype == np.float32
    assert after(lazy, y)[0] == after(by_hand, y)[0]
    net = net_of()
    assert net(lazy).tobytes() == net(by_hand).tobytes()
    np.testing.assert_allclose(np.asarray(lazy), X * np.asarray(scale) + offset, rtol=1e-14)
    assert lazy.shape == X.shape and len(lazy[3:7]) == 4


def test_scaled_at_once():
    """Without the small window, all rows are converted at once."""
    X, y = pixels()
    by_hand = X.astype(np.float32) * np.float32(1 / 255)
    assert after(fp.Scaled(X), y)[0] == after(by_hand, y)[0]
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    assert trainer.evaluate(fp.Scaled(X), y) == trainer.evaluate(by_hand, y)


def test_what_cannot_be_scaled():
    with pytest.raises(ValueError, match="rows of numbers"):
        fp.Scaled(np.zeros(3))
    with pytest.raises(ValueError, match="scale must be a finite number, or one for each of 2"):
        fp.Scaled(np.zeros((3, 2)), scale=[1, 2, 3])
    with pytest.raises(ValueError, match="offset must be"):
        fp.Scaled(np.zeros((3, 2)), offset=np.nan)


def test_a_fraction_of_small_numbers(small_window):
    X, y = pixels()
    bits, history = after(X, y, validation=0.25, metrics="accuracy")
    expected, twin = after(X.astype(np.float32), y, validation=0.25, metrics="accuracy")
    assert bits == expected and history["validation_accuracy"] == twin["validation_accuracy"]
    np.testing.assert_allclose(history["validation_cost"], twin["validation_cost"], rtol=1e-6)


def test_steps_one_by_one(small_window):
    class Step(fp.Callback):
        def on_step_end(self, run):
            pass

    X, y = pixels()
    assert after(X, y, callbacks=Step())[0] == after(X, y)[0]


def test_a_wrong_row_is_named(small_window):
    X, y = pixels()
    X = X.astype(np.float16) / 256
    X[77, 2] = np.nan
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    with pytest.raises(ValueError, match=r"in row 77 of the data, here by itself: X\[0, 2\] is nan"):
        trainer.epoch(X, y, batch_size=8)
    order = sources.shuffled(101, trainer.seed, 0)
    place = int(np.flatnonzero(order == 77)[0])
    taken = place // 8  # a window is a batch here
    assert trainer.steps == taken
    other = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    for first in range(0, 8 * taken, 8):
        other.step(X[order[first : first + 8]], y[order[first : first + 8]])
    assert trainer.network.parameters.tobytes() == other.network.parameters.tobytes(), "those of the last whole step"
    with pytest.raises(ValueError, match="in row 77"):
        trainer.network(X)


def test_what_is_seen_before_training(small_window):
    X, y = pixels()
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    wrong = y.copy()
    wrong[50] = 3
    for message, given in {
        r"y\[50\] is 3": (X, wrong),
        "must have shape": (X[:, :5], y),
        r"shape \(101,\)": (X, y[:-1]),
    }.items():
        with pytest.raises(ValueError, match=message):
            trainer.epoch(*given)
    assert trainer.steps == 0


# ---- files that are mapped into memory ----


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("batch", [1, 7, 8, 30, 101])
def test_a_memmap_is_visited_once(tmp_path, kind, batch):
    """Each row is in a step, each step but the last has a whole batch, and the next epoch mixes other rows."""
    X, _ = pixels()
    X[:, 5] = np.arange(101)
    batches = []

    def note(Y, labels):
        batches.append(labels.tolist())
        return 0.0, np.zeros_like(Y)

    net = net_of()
    X = mapped(tmp_path, X.astype(kind))
    net.fit(X, np.arange(101), loss=note, optimizer="sgd", epochs=2, batch_size=batch, window=800)
    n = -(-101 // batch)
    assert [len(one) for one in batches] == 2 * ([batch] * (n - 1) + [101 - batch * (n - 1)])
    first, second = (list(itertools.chain(*epoch)) for epoch in (batches[:n], batches[n:]))
    assert sorted(first) == sorted(second) == list(range(101))
    assert first != second
    assert first != sorted(first)


def test_rows_of_a_memmap_meet_others_of_their_window(tmp_path):
    """As documented, blocks come in random order, and rows are shuffled within a window."""
    X, _ = pixels(4096)
    seen = []

    def note(Y, labels):
        seen.extend(labels.tolist())
        return 0.0, np.zeros_like(Y)

    X = mapped(tmp_path, X)
    net_of().fit(X, np.arange(4096), loss=note, optimizer="sgd", epochs=1, batch_size=64, window=512 * 24)
    blocks = np.array(seen).reshape(8, 512) // 32  # a window of 512 rows has 16 blocks of 32
    assert all(len(set(window)) == 16 for window in blocks.tolist())
    assert sorted(itertools.chain(*map(set, blocks.tolist()))) == list(range(128))
    assert len(set(blocks[0, :64].tolist())) > 10, "a batch has rows of many blocks"
    assert max(blocks[0]) - min(blocks[0]) > 64, "a window has blocks from all over the file"


def test_rows_that_are_not_shuffled_come_in_their_order(tmp_path, small_window):
    X, y = pixels()
    for given in (X, mapped(tmp_path, X)):
        assert after(given, y, shuffle=False, window=800)[0] == after(X.astype(np.float32), y, shuffle=False)[0]


def test_a_memmap_within_the_window_gives_the_bits_of_an_array(tmp_path):
    X, y = pixels()
    assert after(mapped(tmp_path, X), mapped(tmp_path, y, "y"))[0] == after(X, y)[0]


@pytest.mark.parametrize("scaled", [False, True])
def test_everything_in_files(tmp_path, scaled):
    """X and y are mapped, and a checkpoint is read in the middle; the bits are those of the blocks by hand."""
    X, y = pixels()
    X, y = mapped(tmp_path, X), mapped(tmp_path, y, "y")
    given = fp.Scaled(X) if scaled else X
    how = {"window": 800, "class_weight": {0: 2.0}, "validation": (given[:30], y[:30]), "metrics": "accuracy"}
    bits, history = after(given, y, epochs=4, **how)
    assert bits == after(given, np.asarray(y), epochs=4, **how)[0], "labels in memory are the same labels"
    net, trainer = net_of(), fp.Trainer(net_of(), class_weight={0: 2.0}, **{k: HOW[k] for k in ("loss", "optimizer")})
    after(given, y, net=net, epochs=2, callbacks=fp.Checkpoint(tmp_path / "run"), **how)
    gone_on, told = after(given, y, epochs=4, resume=tmp_path / "run", **how)
    assert gone_on == bits and told["validation_cost"] == history["validation_cost"]
    for _ in range(4):
        trainer.epoch(given, y, batch_size=8, window=800)
    assert trainer.network.parameters.tobytes() == bits


def test_a_wrong_label_in_a_file_is_named(tmp_path):
    X, y = pixels()
    y[61] = 7
    with pytest.raises(ValueError, match=r"in row 61 of the data, here by itself: y\[0\] is 7"):
        after(mapped(tmp_path, X), mapped(tmp_path, y, "y"), window=800)


def test_what_a_file_does_not_have(tmp_path):
    X, y = pixels()
    X, in_file = mapped(tmp_path, X), mapped(tmp_path, y, "y")
    for message, how in {
        "no fraction is held out of a file": {"validation": 0.2},
        "counts the rows of all classes": {"class_weight": "balanced"},
        "give validation": {"metrics": "accuracy"},
        "window must be a positive int": {"window": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            after(X, in_file, **({"window": 800} | how))
    with pytest.raises(ValueError, match="must have the 101 rows"):
        after(X, in_file[:50], window=800)


def test_memory_stays_bounded(tmp_path):
    """64 MiB of rows, of which less than a quarter may be resident, trained on, evaluated and predicted."""
    program = """
        import resource, sys
        import numpy as np
        import fastprop as fp

        def resident():  # the peak in MiB
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        rows, columns = 2**18, 64
        X = np.memmap(sys.argv[1], np.float32, "r", shape=(rows, columns))
        y = np.zeros(rows, np.int8)
        net = fp.Network([columns, 2], seed=0)
        how = {"loss": "cross_entropy", "optimizer": "sgd", "batch_size": 4096, "window": 2**21}
        net.fit(np.ones((4096, columns), np.float32), y[:4096], epochs=1, **how)  # loads all code
        before = resident()
        history = net.fit(X, y, epochs=2, **how)
        net.fit(fp.Scaled(X, scale=2.0), y, epochs=1, **how)
        print(resident() - before, history["cost"][-1])
    """
    if sys.platform != "linux":
        pytest.skip("the peak is in other units elsewhere, and pages are not given back")
    path = tmp_path / "X.bin"
    with open(path, "wb") as file:
        for k in range(64):
            np.full(2**18, k / 64, np.float32).tofile(file)
    assert path.stat().st_size == 2**26
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    peak, cost = map(float, done.stdout.split())
    assert peak < 16 and np.isfinite(cost)


# ---- iterables of batches ----


def in_batches(X, y, size=8):
    return [(X[first : first + size], y[first : first + size]) for first in range(0, len(X), size)]


class Anew:
    """An iterable of batches without a length, such as a loader."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.parametrize("rate", [0.1, fp.schedules.Cosine(0.1, epochs=2), fp.schedules.Cosine(0.1, steps=20)])
@pytest.mark.parametrize("kind", [list, Anew])
def test_batches_are_steps(kind, rate):
    X, y = pixels()
    batches = in_batches(X, y)
    net, trainer = net_of(), fp.Trainer(net_of(), loss="cross_entropy", optimizer=fp.SGD(rate))
    history = net.fit(kind(batches), loss="cross_entropy", optimizer=fp.SGD(rate), epochs=2)
    for epoch in range(2):
        known = kind is list or epoch > 0  # the number of batches
        rates = trainer.optimizer_state.rates(len(batches)) if known else None
        costs = []
        for step, batch in enumerate(batches):
            if rates is not None:
                trainer.optimizer_state.compiled.rate = rates[step]
            costs.append(trainer.step(*batch))
        trainer.optimizer_state.on_epoch(0.0)
        sizes = [len(batch[1]) for batch in batches]
        assert history["cost"][epoch] == pytest.approx(np.average(costs, weights=sizes), rel=1e-12)
    assert net.parameters.tobytes() == trainer.network.parameters.tobytes()


def test_batches_may_be_held_out():
    X, y = pixels()
    net, how = net_of(), {"loss": "cross_entropy", "optimizer": "sgd", "epochs": 1}
    history = net.fit(in_batches(X, y), validation=(in_batches(X, y), None), **how)
    cost = net.value_and_gradient(X, y, loss="cross_entropy")[0]
    assert history["validation_cost"][0] == pytest.approx(cost, rel=1e-6)
    with pytest.raises(ValueError, match="give validation"):
        net.fit(in_batches(X, y), validation=(in_batches(X, y), None), metrics="accuracy", **how)


def test_a_generator_is_one_epoch():
    X, y = pixels()
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    trainer.epoch(batch for batch in in_batches(X, y))
    assert trainer.steps == 13
    how = {"loss": "cross_entropy", "optimizer": "sgd"}
    net = net_of()
    with pytest.raises(TypeError, match="iter\\(\\) begins anew"):
        net.fit((batch for batch in in_batches(X, y)), epochs=2, **how)
    history = net.fit((batch for batch in in_batches(X, y)), epochs=1, **how)
    assert net.parameters.tobytes() == trainer.network.parameters.tobytes() and len(history["cost"]) == 1


def test_weights_of_batches():
    X, y = pixels()
    batches = [(xb, yb, np.full(len(xb), 1.0 + k)) for k, (xb, yb) in enumerate(in_batches(X, y))]
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer=fp.SGD(1e-9))
    weight = np.concatenate([batch[2] for batch in batches])
    cost = trainer.evaluate(X, y, sample_weight=weight)
    assert trainer.epoch(batches) == pytest.approx(cost, rel=1e-5)
    assert trainer.evaluate(batches) == pytest.approx(cost, rel=1e-5)


def test_progress_of_batches():
    calls = []
    X, y = pixels()
    fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd").epoch(
        in_batches(X, y), progress=lambda *call: calls.append(call)
    )
    assert calls[-1][:2] == (101, 101) and all(rows is None for _, rows, _ in calls[:-1])


@pytest.mark.parametrize(
    "how, error, message",
    [
        ({"batch_size": 8}, ValueError, "omit it"),
        ({"optimizer": "rprop"}, ValueError, "needs all rows"),
        ({"optimizer": fp.LBFGS()}, TypeError, "arrays for LBFGS"),
        ({"validation": 0.2}, ValueError, "no fraction"),
        ({"class_weight": "balanced"}, ValueError, "counts the rows"),
        ({"sample_weight": np.ones(101)}, ValueError, "comes with the batches"),
    ],
)
def test_what_batches_do_not_have(how, error, message):
    with pytest.raises(error, match=message):
        net_of().fit(in_batches(*pixels()), **({"loss": "cross_entropy", "optimizer": "sgd"} | how))


def test_wrong_batches():
    X, y = pixels()
    trainer = fp.Trainer(net_of(), loss="cross_entropy", optimizer="sgd")
    with pytest.raises(TypeError, match="y must hold real numbers or labels, got NoneType"):
        trainer.epoch(X)
    with pytest.raises(TypeError, match=r"batch 0 must be a pair \(xb, yb\)"):
        trainer.epoch([X])
    with pytest.raises(ValueError, match="in batch 2: y"):
        trainer.epoch([(X, y), (X, y), (X, y + 1)])
    assert trainer.steps == 2
    with pytest.raises(ValueError, match="no batch"):
        trainer.epoch(iter([]))


# ---- tables ----

LIBRARIES = ["pandas", "polars", "pyarrow"]


def table(library, columns):
    module = pytest.importorskip(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_is_its_columns_in_their_order(library):
    X, y = pixels()
    columns = {name: X[:, k] for k, name in enumerate("fedcba")}
    columns |= {"f": X[:, 0].astype(np.float64), "a": X[:, 5] > 100}
    plain = X.astype(np.float32)
    plain[:, 5] = columns["a"]
    frame, labels = table(library, columns), table(library, {"label": y})
    assert after(frame, labels)[0] == after(plain, y)[0]
    net = net_of()
    assert net(frame).tobytes() == net(plain).tobytes()
    series = labels.column("label") if library == "pyarrow" else labels["label"]
    assert after(frame, series)[0] == after(plain, y)[0]


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
def test_targets_of_several_columns(library):
    X, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    how = {"loss": "half_mse", "net": fp.Network([2, 2], seed=0)}
    bits = after(table(library, {"a": X[:, 0], "b": X[:, 1]}), table(library, {"c": y[:, 0], "d": y[:, 1]}), **how)[0]
    assert bits == after(X, y, loss="half_mse", net=fp.Network([2, 2], seed=0))[0]


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_gap_is_seen(library):
    module = pytest.importorskip(library)
    values = [1, None, 3]
    if library == "pandas":
        frame = module.DataFrame({"a": [1.0, 2, 3], "b": module.array(values, dtype="Int64")})
    else:
        frame = table(library, {"a": [1.0, 2, 3], "b": values})
    with pytest.raises(ValueError, match=r"X\[1, 1\] is nan, the only gap in the column 'b'.*impute or drop"):
        fp.Network([2, 1])(frame)


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["text", "categorical", "numbers as categories"])
def test_categories_are_refused(library, kind):
    module = pytest.importorskip(library)
    cells = [1, 2, 1] if kind == "numbers as categories" else ["x", "y", "x"]
    if kind != "text":
        cells = {
            "pandas": lambda: module.Categorical(cells),
            "polars": lambda: module.Series(list(map(str, cells)), dtype=module.Categorical),
            "pyarrow": lambda: module.array(cells).dictionary_encode(),
        }[library]()
    frame = table(library, {"size": [1.0, 2, 3], "colour": cells})
    with pytest.raises(TypeError, match="the column 'colour' of X holds .*encode it"):
        fp.Network([2, 1])(frame)


# How each library makes a column of a kind of cells; None where the library has no such column.
def as_pandas(cells, kind):
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    dtype = {
        "bool": ["boolean", "object", "bool[pyarrow]"],
        "int": ["Int64", "object", "int64[pyarrow]"],
        "float": ["Float64", "object", "double[pyarrow]", "float64"],
        "decimal": ["object", pandas.ArrowDtype(arrow.decimal128(20, 6))],
    }[kind]
    return [pandas.Series(cells, dtype=each, name="c") for each in dtype]


def as_polars(cells, kind):
    polars = pytest.importorskip("polars")
    dtype = {
        "bool": [polars.Boolean],
        "int": [polars.Int64, polars.Int128],
        "float": [polars.Float64],
        "decimal": [polars.Decimal(20, 6)],
    }[kind]
    return [polars.Series("c", cells, dtype=each) for each in dtype]


def as_pyarrow(cells, kind):
    arrow = pytest.importorskip("pyarrow")
    dtype = {"bool": arrow.bool_(), "int": arrow.int64(), "float": arrow.float64(), "decimal": arrow.decimal128(20, 6)}
    array = arrow.array(cells, type=dtype[kind], from_pandas=False)
    half = len(cells) // 2
    return [array, arrow.chunked_array([array[:half], array[half:]])]


COLUMNS = {"pandas": as_pandas, "polars": as_polars, "pyarrow": as_pyarrow}
CELLS = {
    "bool": st.booleans(),
    "int": st.integers(-(2**40), 2**40),
    "float": st.floats(-1e6, 1e6, allow_subnormal=False),
    "decimal": st.decimals(-(10**6), 10**6, places=6),
}


def tables_of(library, column):
    """Yield a table with this column after one of ordinary numbers, in each form that the library has."""
    module = pytest.importorskip(library)
    others = np.arange(len(column)) / 8
    if library != "pyarrow":
        return [module.DataFrame({"a": others, "c": column})]
    tables = [module.table({"a": others, "c": column})]
    if not hasattr(column, "chunks"):
        tables.append(module.RecordBatch.from_arrays([module.array(others), column], ["a", "c"]))
    return tables


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(data=st.data(), kind=st.sampled_from(list(CELLS)))
def test_numbers_of_every_kind(library, data, kind):
    """Inputs, targets and weights are what float() makes of each cell."""
    cells = data.draw(st.lists(CELLS[kind], min_size=2, max_size=12))
    wanted = np.array([float(cell) for cell in cells])
    net = fp.Network([2, 1], dtype="float64", seed=0)
    net.parameters = [0.0, 1.0, 0.0]
    ones = np.ones((len(cells), 2))
    for column in COLUMNS[library](cells, kind):
        for table in tables_of(library, column):
            np.testing.assert_array_equal(net(table)[:, 0], wanted)
        if kind in ("bool", "int") and abs(wanted).max() < 5:
            labels = abs(wanted).astype(int)
            five = fp.Network([2, 5], dtype="float64", seed=0)
            if (wanted >= 0).all():
                assert five.prepare_examples(ones, column, None, fp.losses.cross_entropy)[2].tolist() == labels.tolist()
        _, y, _, weight = net.prepare_examples(ones, column, None, fp.losses.half_mse)
        np.testing.assert_array_equal(y[:, 0], wanted)
        if wanted.max() > 0 and wanted.min() >= 0:
            weight = net.prepare_examples(ones, wanted, column, fp.losses.half_mse)[3]
            np.testing.assert_array_equal(weight, wanted)


@pytest.mark.peer
@pytest.mark.parametrize("library", LIBRARIES)
@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(data=st.data(), kind=st.sampled_from(list(CELLS)))
def test_gaps_of_every_kind(library, data, kind):
    """An error names the column, the number of gaps and the row of the first."""
    cells = data.draw(st.lists(CELLS[kind] | st.none(), min_size=2, max_size=12).filter(lambda cells: None in cells))
    gaps = [row for row, cell in enumerate(cells) if cell is None]
    X, how = np.ones((len(cells), 2)), {"optimizer": "sgd", "epochs": 1}
    first, many = gaps[0], f"the first of {len(gaps)}" if len(gaps) > 1 else "the only gap"
    net, two = fp.Network([2, 1], dtype="float64", seed=0), fp.Network([2, 2], seed=0)
    for column in COLUMNS[library](cells, kind):
        for table in tables_of(library, column):
            with pytest.raises(ValueError, match=rf"X\[{first}, 1\] is nan, {many}.* in the column 'c'"):
                net(table)
        with pytest.raises(ValueError, match=rf"y\[{first}\] is nan, {many}.*every row needs a label"):
            two.fit(X, column, loss="cross_entropy", **how)
        for name, given in {"y": {"y": column}, "sample_weight": {"y": X[:, 0], "sample_weight": column}}.items():
            with pytest.raises(ValueError, match=rf"{name}\[{first}\] is nan"):
                net.fit(X, loss="half_mse", **given, **how)
        with pytest.raises(ValueError, match=rf"yv\[{first}\] is nan"):
            net.fit(X, X[:, 0], loss="half_mse", validation=(X, column), **how)


def columns_without_numbers():
    """Return columns, and what the message says of each."""
    pandas, polars, arrow = map(pytest.importorskip, LIBRARIES)
    days = [datetime.date(2026, 1, 1 + k) for k in range(3)]
    spans = [datetime.timedelta(hours=k) for k in range(3)]
    times = [datetime.time(k) for k in range(3)]
    stamps = pandas.to_datetime(days)
    dates, seconds, nested = "days since a first one", "as its seconds", "give each number of a row a column of its own"
    for column in (
        pandas.Series(stamps), pandas.Series(stamps.tz_localize("UTC")), pandas.Series(stamps.to_period("D")),
        pandas.Series(days), pandas.Series(stamps, dtype="timestamp[ns][pyarrow]"), polars.Series(days),
        polars.Series([datetime.datetime(2026, 1, 1)] * 3), arrow.array(days), arrow.array(stamps),
        arrow.chunked_array([arrow.array(days)]), pandas.Series([*days[:2], None]),
    ):  # fmt: skip
        yield column, dates
    for column in (pandas.Series(spans), pandas.Series(times), polars.Series(spans), polars.Series(times),
                   arrow.array(spans), arrow.array(times)):  # fmt: skip
        yield column, seconds
    for column in (pandas.Series([[1], [2], [3]]), polars.Series([[1], [2], [3]]), arrow.array([[1], [2], [3]]),
                   polars.Series([{"a": 1}] * 3), polars.Series([[1], [2], [3]], dtype=polars.Array(polars.Int64, 1)),
                   pandas.Series([(1, 2)] * 3)):  # fmt: skip
        yield column, nested
    yield pandas.Series(pandas.interval_range(0, 3)), "the middle or both ends"
    yield pandas.Series([1j, 2, 3]), "real and imaginary parts"
    for column in (polars.Series([None] * 3), arrow.nulls(3)):
        yield column, "has no values"


def columns_of_text():
    """Return columns of text and categories, including categories of numbers."""
    pandas, polars, arrow = map(pytest.importorskip, LIBRARIES)
    text = ["x", "y", "x"]
    yield from (pandas.Series(text, dtype=kind) for kind in (object, "string", "category", "string[pyarrow]"))
    yield from (
        polars.Series(text, dtype=kind) for kind in (polars.String, polars.Categorical, polars.Enum(["x", "y"]))
    )
    yield from (arrow.array(text), arrow.array(text).dictionary_encode(), arrow.chunked_array([text]))
    yield from (pandas.Series([1, 2, 1], dtype="category"), arrow.array([1, 2, 1]).dictionary_encode())
    yield from (pandas.cut(pandas.Series([1.0, 2.0, 3.0]), 2), pandas.Series([1, "x", 2.0]))


@pytest.mark.peer
def test_columns_without_numbers():
    X = np.ones((3, 2))
    for column, said in columns_without_numbers():
        library = type(column).__module__.partition(".")[0]
        with pytest.raises(TypeError, match=f"the column 'c' of X holds .*{said}"):
            fp.Network([2, 1])(tables_of(library, column)[0])
        if not isinstance(getattr(column, "dtype", None), pytest.importorskip("polars").Array):  # targets may be rows
            with pytest.raises(TypeError, match=f"y holds .*{said}"):
                fp.Network([2, 1]).fit(X, column, loss="half_mse", optimizer="sgd")


@pytest.mark.peer
def test_text_is_told_what_to_do_by_what_it_is_for():
    X, how = np.ones((3, 2)), {"optimizer": "sgd"}
    for column in columns_of_text():
        library = type(column).__module__.partition(".")[0]
        with pytest.raises(TypeError, match="the column 'c' of X holds .*encode it as columns of 0 and 1"):
            fp.Network([2, 1])(tables_of(library, column)[0])
        for loss in ("cross_entropy", "half_mse"):
            with pytest.raises(TypeError, match=r"y holds .*np.unique\(y, return_inverse=True\).*MLPClassifier"):
                fp.Network([2, 2]).fit(X, column, loss=loss, **how)
        with pytest.raises(TypeError, match=r"weights holds .*give a number of at least 0 for each row"):
            fp.Network([2, 1]).fit(X, X[:, 0], loss="mse", validation=(X, X[:, 0], column), **how)
        with pytest.raises(TypeError, match=r"sample_weight holds .*give a number of at least 0 for each row"):
            fp.Network([2, 1]).fit(X, X[:, 0], loss="mse", sample_weight=column, **how)


@pytest.mark.peer
def test_what_has_no_rows_yet(tmp_path):
    polars, arrow = map(pytest.importorskip, LIBRARIES[1:])
    dataset = pytest.importorskip("pyarrow.dataset")
    columns = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    lazy = polars.LazyFrame(columns)
    with pytest.raises(TypeError, match=r"X is a LazyFrame, which has no rows yet; use X.collect\(\)"):
        fp.Network([2, 1])(lazy)
    with pytest.raises(TypeError, match=r"y is a LazyFrame.*use y.collect\(\)"):
        fp.Network([2, 1]).fit(np.ones((2, 2)), lazy, loss="mse", optimizer="sgd")
    net = fp.Network([2, 1])
    net(lazy.collect())
    with pytest.raises(TypeError, match=r"X is a InMemoryDataset.*use X.to_table\(\)"):
        net(dataset.dataset(arrow.table(columns)))
    with pytest.raises(TypeError, match=r"use X.read_all\(\)"):
        net(arrow.table(columns).to_reader())


@pytest.mark.peer
def test_tensors():
    torch = pytest.importorskip("torch")
    net = fp.Network([2, 1], seed=0)
    X = torch.rand(5, 2, requires_grad=True)
    wanted = net(X.detach().numpy())
    for given in (X, torch.nn.Parameter(X), X.double()):
        np.testing.assert_array_equal(net(given), wanted)
    halves = X.bfloat16()
    np.testing.assert_array_equal(net(halves), net(halves.float().detach().numpy()))
    how = {"loss": "mse", "optimizer": "sgd", "epochs": 1}
    net.fit(X, X[:, 0], **how, sample_weight=X[:, 1] + 1, metrics="rmse", validation=0.4)
    for wrong in (X.to("meta"), X.detach().to_sparse()):
        with pytest.raises(TypeError, match="X is a tensor that cannot become an array: .*"):
            net(wrong)


@pytest.mark.peer
def test_sparse_matrices_are_named():
    sparse = pytest.importorskip("scipy.sparse")
    net, X = fp.Network([2, 3], seed=0), np.eye(2)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        with pytest.raises(TypeError, match=r"X is a sparse c.*use X.toarray\(\)"):
            net(kind(X))
        with pytest.raises(TypeError, match=r"y is a sparse c.*use y.toarray\(\)"):
            net.fit(X, kind(np.ones((2, 3))), loss="cross_entropy", optimizer="sgd")


@pytest.mark.peer
def test_objects_that_are_numbers():
    """A column may mix decimals, fractions, truth values and numbers."""
    pandas = pytest.importorskip("pandas")
    net = fp.Network([1, 1], dtype="float64", seed=0)
    net.parameters = [1.0, 0.0]
    cells = [decimal.Decimal("0.1"), fractions.Fraction(1, 3), True, np.float32(0.5), 2**70, np.bool_(False)]
    frame = pandas.DataFrame({"c": pandas.Series(cells, dtype=object)})
    np.testing.assert_array_equal(net(frame)[:, 0], [0.1, 1 / 3, 1, 0.5, 2.0**70, 0])
    for gap in (None, float("nan"), pandas.NA, decimal.Decimal("nan"), decimal.Decimal("sNaN")):
        frame.loc[3, "c"] = gap
        with pytest.raises(ValueError, match=r"X\[3, 0\] is nan, the only gap in the column 'c'"):
            net(frame)
        with pytest.raises(ValueError, match=r"X\[3, 0\] is nan, the only gap in the column 'c'"):
            fp.PiecewiseLinear.of(frame)
    frame.loc[3, "c"] = 10**400
    with pytest.raises(ValueError, match=r"X\[3, 0\] is inf; X must be finite"):
        net(frame)
    for wrong in ("x", datetime.date(2026, 1, 1), 1j, (1,)):
        frame.at[3, "c"] = wrong
        with pytest.raises(
            TypeError, match=f"the column 'c' of X holds object \\({type(wrong).__name__}\\), not numbers"
        ):
            net(frame)


def test_dates_in_an_array():
    with pytest.raises(TypeError, match=r"make numbers of it, as \(X - X.min\(\)\) / np.timedelta64\(1, 'D'\)"):
        fp.Network([2, 1])(np.array([["2026-01-01", "2026-01-02"]], "M8[D]"))


@pytest.mark.peer
def test_a_loader_of_torch():
    torch = pytest.importorskip("torch")
    X, y = pixels()
    X = X.astype(np.float32)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y.astype(np.int64)))
    loader = torch.utils.data.DataLoader(rows, batch_size=8)
    how = {"loss": "cross_entropy", "optimizer": "sgd", "epochs": 2}
    net, other = net_of(), net_of()
    net.fit(loader, **how)
    other.fit(in_batches(X, y), **how)
    assert net.parameters.tobytes() == other.parameters.tobytes()
