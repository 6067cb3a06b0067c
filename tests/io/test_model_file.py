"""A model file gives back what was saved, bit for bit, and any other file is refused."""

import json
import os
import pathlib
import stat
import sys

import bridge_cases
import numpy as np
import pytest

import fastprop as fp
from fastprop.io import model_file, safetensors

DTYPES = ["float32", "float64"]


@pytest.fixture
def small():
    return fp.Network([1, 1], seed=3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def seal(prefix_and_rest, data=b""):
    """Return a file with the right checksum, from a header with 64 zeros in place of the checksum."""
    header = bytearray(prefix_and_rest)
    header += b" " * (-len(header) % 8)
    length = len(header).to_bytes(8, "little")
    header[safetensors.DIGITS_AT] = safetensors.checksum(length, header, data)
    return length + bytes(header) + data


def rewrite(path, change):
    """Save the file again with its header changed by `change`, and with the right checksum."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"]["checksum"] = "0" * 64
    change(header)
    path.write_bytes(seal(json.dumps(header, separators=(",", ":")).encode(), content[end:]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(path, dtype):
    net = fp.Network(
        [3, fp.Dense(5, "tanh"), fp.Dense(4, "sigmoid", initializer="he_uniform"), 2],
        dtype=dtype,
        seed=7,
    )
    net.parameters[...] = np.random.default_rng(0).normal(size=net.n_parameters)
    net.save(path)
    again = fp.load(path)
    assert again.describe() == net.describe()
    assert again.dtype == net.dtype
    assert again.parameters.tobytes() == net.parameters.tobytes()
    X = np.random.default_rng(1).normal(size=(9, 3)).astype(dtype)
    assert again(X).tobytes() == net(X).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_non_finite_parameters_are_kept(path, dtype):
    net = fp.Network([2, 2], dtype=dtype, seed=0)
    net.parameters[:4] = [np.nan, np.inf, -np.inf, -0.0]
    net.save(path)
    assert fp.load(path).parameters.tobytes() == net.parameters.tobytes()


def test_loaded_network_trains(path, small):
    small.save(path)
    net = fp.load(path)
    cost, gradient = net.value_and_gradient(np.ones((2, 1)), np.ones(2), loss="half_mse")
    assert np.isfinite(cost) and gradient.shape == net.parameters.shape


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_paths(path, small, kind):
    small.save(kind(path))
    assert fp.load(kind(path)).parameters.tobytes() == small.parameters.tobytes()


@pytest.mark.parametrize("bad", [None, 3, b"model", ["model"]])
def test_path_of_a_wrong_type(bad, small):
    for call in (small.save, fp.load, model_file.read_notes):
        with pytest.raises(TypeError, match="wanted a str or an os.PathLike"):
            call(bad)


def test_notes_round_trip(path, small):
    notes = {
        "columns": ["a", "b"],
        "mean": [0.1, -2.5e300],
        "text": 'a "quote", \u00e9, \U0001f600',
        "deep": {"x": [None, True]},
    }
    model_file.save(small, path, notes=notes)
    assert model_file.read_notes(path) == notes
    small.save(path)
    assert model_file.read_notes(path) == {}


@pytest.mark.parametrize(
    "notes, error",
    [([1], TypeError), ({"x": np.zeros(2)}, TypeError), ({"x": float("nan")}, ValueError)],
)
def test_bad_notes_leave_no_file(path, small, notes, error):
    with pytest.raises(error, match="JSON"):
        model_file.save(small, path, notes=notes)
    assert list(path.parent.iterdir()) == []


def test_notes_that_contain_themselves(path, small):
    notes = {}
    notes["me"] = notes
    with pytest.raises(ValueError, match="JSON"):
        model_file.save(small, path, notes=notes)


def test_only_networks_are_saved(path):
    with pytest.raises(TypeError, match="got dict to save"):
        model_file.save({}, path)


def test_layout_is_safetensors(path):
    net = fp.Network([3, 5, 2], dtype="float64", seed=1)
    net.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert (8 + length) % 8 == 0
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["format"] == "fastprop" and metadata["format_version"] == "1"
    assert list(header) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    end = 0
    for entry in header.values():
        assert entry["dtype"] == "F64" and entry["data_offsets"][0] == end
        end = entry["data_offsets"][1]
    assert content[8 + length :] == net.parameters.tobytes() and len(content) == 8 + length + end


def test_every_truncation_is_refused(path, small):
    small.save(path)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"got {size} bytes"):
            fp.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(
        ValueError, match=f"appended: got {len(content) + 1} bytes, wanted {len(content)}"
    ):
        fp.load(path)


def test_every_flipped_bit_is_refused(path, small):
    small.save(path)
    content = path.read_bytes()
    for at in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(ValueError, match=path.name):
                fp.load(path)
    path.write_bytes(content)
    assert fp.load(path).parameters.tobytes() == small.parameters.tobytes()


def test_checksum_digits_are_case_sensitive(path, small):
    small.save(path)
    content = path.read_bytes()
    start = 8 + safetensors.DIGITS_AT.start
    digits = content[start : start + 64]
    assert digits.upper() != digits
    path.write_bytes(content.replace(digits, digits.upper()))
    with pytest.raises(ValueError, match="damaged"):
        fp.load(path)


def foreign(entries, data=b""):
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "got 0 bytes, wanted at least 8"),
        (b"\x80\x05K\x01.", "got 5 bytes, wanted at least 8"),
        (b"PK\x03\x04" + bytes(100), "not a safetensors file|truncated"),
        (
            b"\xff" * 50,
            "announces a header of 18446744073709551615 bytes, wanted at most 100000000",
        ),
        (b"a,b,c\n1,2,3\n4,5,6\n", "not a safetensors file"),
        (bytes(50), "not a safetensors file"),
        ((40).to_bytes(8, "little") + b"[" * 40, "not a safetensors file"),
        ((200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995, "not a safetensors file"),
        ((4).to_bytes(8, "little") + b'{"\xff"', "not a safetensors file"),
        (
            foreign({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
            "not written by fastprop",
        ),
        (foreign({"__metadata__": {"format": "pt"}}), "not written by fastprop"),
        (foreign({"__metadata__": 3}), "not written by fastprop"),
        (foreign({"__metadata__": {"format": "fastprop"}}), "not written by fastprop"),
    ],
)
def test_other_files_are_refused(path, content, message):
    path.write_bytes(content)
    for read in (fp.load, model_file.read_notes):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_newer_format_version(path, small):
    small.save(path)
    rewrite(
        path,
        lambda header: header["__metadata__"].update(format_version="2", fastprop_version="9.9"),
    )
    with pytest.raises(ValueError, match="version '2', wanted 1; update fastprop to 9.9"):
        fp.load(path)


def test_description_that_this_version_cannot_build(path, small):
    small.save(path)
    description = small.describe()
    description["layers"][0]["activation"] = "swoosh"
    rewrite(path, lambda header: header["__metadata__"].update(description=json.dumps(description)))
    with pytest.raises(ValueError, match="cannot build.*swoosh"):
        fp.load(path)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", "null", "{", '{"n_inputs": 1, "layers": [3], "dtype": "float32", "seed": 0}'],
)
def test_description_that_is_none(path, small, text):
    small.save(path)
    rewrite(path, lambda header: header["__metadata__"].update(description=text))
    with pytest.raises(ValueError, match="cannot build"):
        fp.load(path)


NESTED = "[" * 100_000
DEEP = '{"kind":"residual","layers":[' * 10_000 + '{"kind":"dense","n_outputs":1}' + "]}" * 10_000


@pytest.mark.parametrize(
    "text",
    [
        NESTED,
        NESTED + "]" * 100_000,
        f'{{"n_inputs": 1, "layers": [{DEEP}], "dtype": "float32", "seed": 0}}',
        json.dumps({"n_inputs": 1, "layers": "x" * 2_300_000, "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 1, "layers": [{"kind": "x" * 2_300_000}], "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 1, "layers": [{"x" * 2_300_000: 1, "kind": "dense"}], "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 1, "layers": list(range(300_000)), "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 10**18, "layers": [{"kind": "dense", "n_outputs": 1}], "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 1, "layers": [{"kind": "dense", "n_outputs": True}], "dtype": "float32", "seed": 0}),
        json.dumps({"n_inputs": 1, "layers": [{"kind": "dense", "n_outputs": -1}], "dtype": "float32", "seed": 0}),
        '{"n_inputs": 1' + "0" * 5000 + ', "layers": [], "dtype": "float32", "seed": 0}',
        '{"n_inputs": 1' + "0" * 4000 + ', "layers": [], "dtype": "float32", "seed": 0}',
        '{"n_inputs": NaN, "layers": [Infinity], "dtype": "float32", "seed": 0}',
        json.dumps({"n_inputs": 1, "layers": [{"kind": "embedding", "columns": [[0, 2**32, 2**32]]}], "seed": 0}),
        json.dumps(
            {
                "n_inputs": 2**19,
                "layers": [{"kind": "periodic", "n_frequencies": 2**19}, {"kind": "batch_norm"}],
                "dtype": "float32",
                "seed": 0,
            }
        ),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_descriptions(path, small, text):
    """Whoever makes a file can make its checksum. The error names the file, and does not repeat its content."""
    small.save(path)
    rewrite(path, lambda header: header["__metadata__"].update(description=text))
    with pytest.raises(ValueError, match=path.name) as caught:
        fp.load(path)
    assert len(str(caught.value)) < 2000
    assert model_file.read_notes(path) == {}


@pytest.mark.parametrize("notes", ["{", NESTED, "[1]", "3", '{"x": 1' + "0" * 5000 + "}", 3, None, [NESTED]])
def test_hostile_notes(path, small, notes):
    small.save(path)
    rewrite(path, lambda header: header["__metadata__"].update(notes=notes))
    with pytest.raises(ValueError, match=path.name) as caught:
        model_file.read_notes(path)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": "9" * 10**6},
        {"fastprop_version": "9" * 10**6, "description": "{}"},
        {"fastprop_version": ["x" * 10**6], "description": 3},
        {"format": "x" * 10**6},
        {"format": ["fastprop"]},
        {"format": safetensors.CHECKPOINT, "trainer": NESTED},
    ],
    ids=lambda change: next(iter(change)),
)
def test_hostile_metadata(path, small, change):
    small.save(path)
    rewrite(path, lambda header: header["__metadata__"].update(change))
    for read in (fp.load, fp.load_checkpoint):
        with pytest.raises(ValueError, match=path.name) as caught:
            read(path)
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("end", [-1, 10**18, 10**4000, True, "8", 8.0, None, [8]])
def test_hostile_places(path, small, end):
    small.save(path)
    rewrite(path, lambda header: header["layers.0.bias"].update(data_offsets=[4, end]))
    with pytest.raises(ValueError, match=path.name) as caught:
        fp.load(path)
    assert len(str(caught.value)) < 2000


def test_an_embedding_beyond_all_memory():
    """2^32 categories of 2^32 numbers are 2^64 numbers, which is 0 in int64."""
    with pytest.raises(MemoryError, match="no memory for tables of 18446744073709551616 numbers"):
        fp.Network([1, fp.Embedding({0: (2**32, 2**32)})])


def test_tensors_of_another_network(path, small):
    small.save(path)
    rewrite(path, lambda header: header["layers.0.weight"].update(shape=[1]))
    with pytest.raises(
        ValueError, match=r"got layers.0.weight F32 \[1\].*wanted layers.0.weight F32 \[1, 1\]"
    ):
        fp.load(path)


@pytest.mark.parametrize(
    "entry", [3, {}, {"data_offsets": 3}, {"data_offsets": [0]}, {"data_offsets": [0, "x"]}]
)
def test_tensors_without_a_place(path, small, entry):
    small.save(path)
    rewrite(path, lambda header: header.update({"layers.0.bias": entry}))
    with pytest.raises(ValueError, match="damaged"):
        fp.load(path)


def test_directories_and_devices(tmp_path, small):
    for call in (small.save, fp.load, model_file.read_notes):
        with pytest.raises(IsADirectoryError, match="wanted a file"):
            call(tmp_path)
    with pytest.raises(IsADirectoryError, match="names no file"):
        small.save(f"{tmp_path}/")
    with pytest.raises(IsADirectoryError, match="names no file"):
        small.save("")
    with pytest.raises(FileNotFoundError, match="directory does not exist"):
        small.save(tmp_path / "missing" / "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"missing\.safetensors"):
        fp.load(tmp_path / "missing.safetensors")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        for call in (small.save, fp.load):
            with pytest.raises(ValueError, match="device or a pipe"):
                call(tmp_path / "pipe")
        assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


@pytest.mark.parametrize("step", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_failed_save_leaves_the_old_file(path, small, monkeypatch, step, error):
    small.save(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise error("killed here")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(error, match="killed here"):
        fp.Network([2, 2], seed=1).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_save_replaces_and_leaves_nothing_beside(path, small):
    small.save(path)
    other = fp.Network([2, 3], seed=1)
    other.save(path)
    assert fp.load(path).n_inputs == 2
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")
def test_save_keeps_mode_and_link(path, small):
    mask = os.umask(0o022)
    try:
        small.save(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    link = path.with_name("latest")
    link.symlink_to(path.name)
    small.parameters[...] = 5
    small.save(link)
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert fp.load(path).parameters.tolist() == [5, 5]


@pytest.mark.peer
@pytest.mark.parametrize("dtype", DTYPES)
def test_readable_by_the_safetensors_package(path, dtype):
    peer = pytest.importorskip("safetensors")
    numpy_peer = pytest.importorskip("safetensors.numpy")
    net = fp.Network([3, 5, 2], dtype=dtype, seed=1)
    model_file.save(net, path, notes={"n": 1})
    tensors = numpy_peer.load_file(path)
    for k in range(2):
        for part, ours in (("weight", net.weights[k]), ("bias", net.biases[k])):
            theirs = tensors[f"layers.{k}.{part}"]
            assert (
                theirs.dtype == net.dtype
                and theirs.tobytes() == ours.tobytes()
                and theirs.shape == ours.shape
            )
    with peer.safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["notes"]) == {"n": 1}


@pytest.mark.peer
@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
def test_every_kind_of_layer_is_readable_by_both(name, path, monkeypatch):
    """The safetensors package reads all arrays, the state too; fastprop reads the file without that package."""
    peer = pytest.importorskip("safetensors")
    numpy_peer = pytest.importorskip("safetensors.numpy")
    net = bridge_cases.network(name, "float32")
    net.save(path)
    tensors = numpy_peer.load_file(path)
    assert tensors.pop("state", np.empty(0, "f4")).tobytes() == net.state.tobytes()
    biased = {k for k, bias in enumerate(net.biases) if bias.size}
    assert set(tensors) == {f"layers.{k}.weight" for k in range(len(net.weights))} | {
        f"layers.{k}.bias" for k in biased
    }
    for k, (weight, bias) in enumerate(zip(net.weights, net.biases)):
        np.testing.assert_array_equal(tensors[f"layers.{k}.weight"], weight)
        np.testing.assert_array_equal(tensors.get(f"layers.{k}.bias", np.empty(0)), bias)
    with peer.safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["description"]) == json.loads(json.dumps(net.describe()))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    again = fp.load(path)
    assert again.layers == net.layers and again.n_members == net.n_members
    np.testing.assert_array_equal(again.state, net.state)
    np.testing.assert_array_equal(again(bridge_cases.rows(net)), net(bridge_cases.rows(net)))


@pytest.mark.peer
def test_files_of_the_safetensors_package_are_refused(path, small):
    numpy_peer = pytest.importorskip("safetensors.numpy")
    small.save(path)
    numpy_peer.save_file(numpy_peer.load_file(path), path)
    with pytest.raises(ValueError, match="not written by fastprop"):
        fp.load(path)
