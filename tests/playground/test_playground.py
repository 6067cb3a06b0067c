"""The playground without a browser: its points, its session, and the checks of its server."""

import base64
import http.client
import json
import re
import socket
import threading

import numpy as np
import pytest

import fastprop as fp
from fastprop._core import _engine
from fastprop.cli.main import main
from fastprop.playground import datasets
from fastprop.playground import session as session_module
from fastprop.playground.random import POINTS, Random
from fastprop.playground.server import MAX_CSV, MAX_DRAINED, MAX_JSON, PAGES, Server
from fastprop.playground.session import LOSSES_FOR, OPTIMIZERS, Session
from fastprop.tabular.csv import parse_csv
from fastprop.tabular.table import TableError

EVIL = "<script>alert(1)</script>"


def table_of(header, rows, name="points.csv"):
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    return parse_csv("\n".join(lines).encode(), name)


def cloud(rows=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 2))
    return [[f"{a:.5f}", f"{b:.5f}", "up" if a + b > 0 else "down"] for a, b in X]


# ---- random numbers ----


def test_the_numbers_are_those_of_the_engine():
    """The engine's shuffle of Fisher and Yates, made from the same numbers."""
    n, seed = 50, 2**32 - 1
    drawn = Random(seed, 1)._draw(n).tolist()
    order = [0] * n
    for i in range(n):
        j = drawn[i] * (i + 1) >> 32
        order[i], order[j] = order[j], i
    shuffled = np.empty(n, np.int64)
    _engine.shuffle(shuffled, seed, 0)
    assert order == shuffled.tolist()


def test_the_numbers_are_distributed_as_they_say():
    random = Random(0, POINTS)
    uniform, normal = random.uniform(-1, 3, (100, 100)), random.normal(2, 0.5, (100, 100))
    assert uniform.shape == normal.shape == (100, 100) and -1 < uniform.min() < uniform.max() < 3
    # four deviations of a mean of 10,000 numbers, and of their deviation
    assert uniform.mean() == pytest.approx(1, abs=4 * 4 / 12**0.5 / 100)
    assert normal.mean() == pytest.approx(2, abs=4 * 0.5 / 100)
    assert normal.std() == pytest.approx(0.5, abs=4 * 0.5 / 2**0.5 / 100)
    assert abs(np.corrcoef(normal.ravel()[:-1], normal.ravel()[1:])[0, 1]) < 0.04


# ---- points ----


@pytest.mark.parametrize("name", datasets.MADE)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_made_points(name, noise):
    points = datasets.make(name, 300, noise, seed=1)
    again = datasets.make(name, 300, noise, seed=1)
    assert points.X.tobytes() == again.X.tobytes()
    assert points.X.shape == (300, 2) and np.isfinite(points.X).all()
    if points.classes:
        counts = np.bincount(points.y, minlength=len(points.classes))
        assert points.task == "classification" and counts.min() > 300 / len(points.classes) / 1.5
    else:
        assert points.task == "regression"
        assert (points.y.mean(), points.y.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))


@pytest.mark.parametrize("name", datasets.CLASSES)
def test_classes_without_noise_can_be_learned(name):
    """A network of the playground's size learns to classify nearly all points."""
    points = datasets.make(name, 400, 0.0, seed=0)
    net = fp.Network([2, 12, 12, len(points.classes)], activation="tanh", seed=0)
    net.fit(points.X, points.y, loss="cross_entropy", optimizer=fp.Adam(0.01), epochs=100, batch_size=16)
    assert (net(points.X).argmax(axis=1) == points.y).mean() > 0.95


def test_columns_of_a_table():
    rows = [[i, 2 * i, "yes" if i > 5 else "no"] for i in range(12)]
    rows[3][0], rows[4][2] = "NaN", ""
    points = datasets.from_table(table_of(["a", "b", "c"], rows), "b", "a", "c", seed=0)
    assert points.axes == ("b", "a") and points.classes == ("no", "yes")
    assert points.X.shape == (10, 2) and points.X.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert points.y.tolist() == [0] * 4 + [1] * 6
    assert points.notes == ("2 of 12 rows left out for a gap",)


def test_a_long_table_is_drawn_from():
    rows = [[i, -i, i % 2] for i in range(3000)]
    points = datasets.from_table(table_of(["a", "b", "c"], rows), "a", "b", "c", seed=0)
    assert len(points.X) == datasets.MAX_ROWS and "2,000 of 3,000" in points.notes[0]


@pytest.mark.parametrize(
    "header, rows, columns, message",
    [
        (["a", "b", "c"], cloud(), ("a", "a", "c"), "three different columns"),
        (["a", "b", "c"], cloud(), ("a", "c", "b"), "wanted a number"),
        (["a", "b", "c"], cloud(3), ("a", "b", "c"), "at least 4|in every row"),
        (["a", "b", "c"], cloud(), ("a", "b", "z"), "no column 'z'"),
        (["a", "b", "c"], [[i, i, f"k{i % 7}"] for i in range(70)], ("a", "b", "c"), "7 classes; wanted at most 6"),
    ],
)
def test_columns_that_will_not_do(header, rows, columns, message):
    with pytest.raises(TableError, match=message):
        datasets.from_table(table_of(header, rows), *columns, seed=0)


# ---- the session ----


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A request takes as many steps as it asks for, however slow this machine is."""
    monkeypatch.setattr(session_module, "MAX_SECONDS", 1e9)


def test_a_request_trains_for_no_longer_than_it_may(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_SECONDS", -1)
    assert Session().train(400)["steps"] == 1

def test_training_brings_the_cost_down_and_its_numbers_are_the_networks():
    session = Session()
    before = session.snapshot()
    session.train(400)
    after = session.snapshot()
    assert after["steps"] == session.trainer.steps == 400
    assert after["cost"] < before["cost"]
    X, y, rows = session.points.X, session.points.y, session._training
    cost, gradient = session.network.value_and_gradient(X[rows], y[rows], loss="cross_entropy")
    assert after["cost"] == pytest.approx(cost, rel=1e-5)
    start = 0
    for layer, W in zip(after["layers"], session.network.weights):
        np.testing.assert_allclose(layer["W"], W, rtol=1e-5)
        np.testing.assert_allclose(layer["dW"], gradient[start : start + W.size].reshape(W.shape), rtol=1e-5)
        start += W.size + W.shape[1]
    assert after["history"][-1] == [after["steps"], after["cost"], after["test_cost"]]


def test_an_epoch_takes_every_training_point_once():
    session = Session()
    seen = np.concatenate([session._next(16) for _ in range(-(-len(session._training) // 16))])
    assert sorted(seen) == sorted(session._training)
    assert not set(session._training) & set(session._test)


def test_a_trace_is_the_mathematics():
    session = Session()
    session.configure({"hidden": [3], "activation": "tanh", "data": "plane", "loss": "half_mse"})
    trace = session.trace(5)
    (W1, W2), (b1, b2) = session.network.weights, session.network.biases
    x, y = session.points.X[5], session.points.y[5]
    z1 = x @ W1 + b1
    a1 = np.tanh(z1)
    z2 = a1 @ W2 + b2
    dz2 = z2 - y
    dz1 = (W2 @ dz2) * (1 - a1**2)
    first, second = trace["layers"]
    for found, wanted in [
        (first["z"], z1), (first["a"], a1), (first["slope"], 1 - a1**2), (first["da"], W2 @ dz2), (first["dz"], dz1),
        (second["z"], z2), (second["dz"], dz2), (trace["dx"], W1 @ dz1), ([trace["loss"]], dz2**2 / 2),
    ]:  # fmt: skip
        np.testing.assert_allclose(found, wanted, rtol=1e-5)  # six digits are sent


def test_a_step_on_one_example_is_along_its_gradient():
    session = Session()
    session.configure({"optimizer": "sgd", "rate": 0.5})
    before = session.network.parameters.copy()
    trace = session.step_example()["trace"]
    assert session.trainer.steps == 1
    gradient = np.concatenate([np.ravel(layer[name]) for layer in trace["layers"] for name in ("dW", "db")])
    np.testing.assert_allclose(session.network.parameters, before - 0.5 * gradient, atol=1e-5)  # six digits are sent


def test_settings_that_start_afresh_and_those_that_do_not():
    session = Session()
    session.train(3)
    version, network = session.scene()["version"], session.network
    session.configure({"rate": 0.1, "optimizer": "sgd", "batch_size": 4})
    assert session.network is network and session.trainer.steps == 3 and session.trainer.rate == 0.1
    assert session.scene()["version"] == version
    session.configure({"hidden": [5, 5, 5]})
    assert [W.shape for W in session.network.weights] == [(2, 5), (5, 5), (5, 5), (5, 2)]
    assert session.trainer.steps == 0 and session.scene()["version"] > version
    session.configure({"data": "ripple"})
    assert session.settings["loss"] == "half_mse" and session.network.n_outputs == 1
    session.restart({"data": "circles", "loss": None})
    assert session.settings["loss"] == "cross_entropy"
    with pytest.raises(ValueError, match="unknown loss .huber."):
        session.restart({"data": "circles", "loss": "huber"})


@pytest.mark.parametrize("data", ["circles", "gaussians", "ripple"])
def test_every_loss_and_optimiser_trains(data):
    session = Session()
    session.configure({"data": data})
    losses = session.choices()["losses"]
    assert losses == list(session._losses(session.points))
    for loss in losses:
        for optimizer in OPTIMIZERS:
            session.configure({"loss": loss, "optimizer": optimizer})
            session.train(2)
            json.dumps(session.snapshot(), allow_nan=False)
            session.step_example()
    assert {"circles": "two classes", "gaussians": "classification", "ripple": "regression"}[data] in LOSSES_FOR


def test_features_are_the_networks_inputs():
    session = Session()
    scene = session.configure({"features": ["sin x2", "x1 x2", "x1^2"], "hidden": [3]})
    assert scene["settings"]["features"] == ["x1^2", "x1 x2", "sin x2"], "in the order of the list"
    assert [each["name"] for each in scene["inputs"]] == ["x1^2", "x1 x2", "sin x2"]
    x1, x2 = session.points.X[4]
    assert session.trace(4)["x"] == pytest.approx([x1**2, x1 * x2, np.sin(x2)], rel=1e-5)
    assert session.network.n_inputs == 3 and len(session.snapshot()["layers"][0]["W"]) == 3
    session.take(table_of(["a", "b", "c"], cloud()))
    assert [each["name"] for each in session.scene()["inputs"]] == ["a^2", "a b", "sin b"]


def test_pictures_of_inputs_and_the_surface_follow_the_features():
    session = Session()
    scene = session.configure({"data": "ripple", "hidden": [], "features": ["x1^2"]})
    picture = np.frombuffer(base64.b64decode(scene["inputs"][0]["picture"]), np.uint8).reshape(20, 20)
    assert (picture == picture[0]).all() and min(picture[0, [0, -1]]) > 240 and picture[0, 10] < 140
    snapshot = session.edit(0, [2.0, -1.0])
    values = np.frombuffer(base64.b64decode(snapshot["surface"]["values"]), "<f4").reshape(64, 64)
    left, right = scene["domain"][0]
    x = left + (right - left) * (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose(values, np.tile(2 * x**2 - 1, (64, 1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("l1, l2", [(0.1, 0.0), (0.0, 0.3), (0.1, 0.3)])
def test_penalties_are_in_the_step_and_not_in_the_cost(l1, l2):
    session = Session()
    session.configure({"optimizer": "sgd", "rate": 0.5, "l1": l1, "l2": l2, "batch_size": 2000})
    net = session.network
    X, y = session.points.X[session._training], session.points.y[session._training]
    before = net.parameters.copy()
    cost, gradient = net.value_and_gradient(X, y, loss="cross_entropy")
    assert session.snapshot()["cost"] == pytest.approx(cost, rel=1e-5)
    gradient = gradient.copy()
    at = 0
    for W, b in zip(net.weights, net.biases):
        w = before[at : at + W.size]
        gradient[at : at + W.size] += l1 * np.sign(w) + l2 * w
        at += W.size + b.size
    session.train(1)
    np.testing.assert_allclose(net.parameters, before - 0.5 * gradient, rtol=1e-12)


def test_a_penalty_may_change_during_training():
    session = Session()
    session.train(3)
    network = session.network
    session.configure({"l2": 0.5, "l1": 0.5})
    session.train(1)
    assert session.network is network and session.trainer.options["l2"] == session.trainer.options["l1"] == 0.5


@pytest.mark.parametrize("share", [0, 0.25, 0.9])
@pytest.mark.parametrize("data", ["gaussians", "plane"])
def test_the_share_of_test_points(share, data):
    session = Session()
    session.configure({"data": data, "test_share": share, "n": 100})
    assert len(session.scene()["test"]) == pytest.approx(100 * share, abs=3)
    assert sorted([*session._training, *session._test]) == list(range(100))
    snapshot = session.train(5)
    assert (snapshot["test_cost"] is None) == (share == 0)
    if data == "gaussians":
        assert (snapshot["test_accuracy"] is None) == (share == 0) and snapshot["accuracy"] is not None
    json.dumps([snapshot, session.step_example()], allow_nan=False)


def test_a_parameter_is_edited_and_the_training_goes_on_from_it():
    session = Session()
    session.configure({"hidden": [3], "optimizer": "sgd"})
    W1, b1, W2 = 0, 6, 9  # places in theta: W1 is (2, 3), b1 (3,), W2 (3, 2)
    snapshot = session.edit(W1 + 3 + 1, [0.25])
    assert session.network.weights[0][1, 1] == 0.25 == snapshot["layers"][0]["W"][1][1]
    session.edit(b1 + 2, [-1, 7])
    assert session.network.biases[0][2] == -1 and session.network.weights[1][0, 0] == 7
    assert session.network.parameters[W2] == 7
    before, network = session.network.parameters.copy(), session.network
    session.train(1)
    assert session.network is network
    assert 0 < np.abs(session.network.parameters - before).max() < 1


@pytest.mark.parametrize(
    "at, values",
    [
        (-1, [0]), (0, []), (0, None), (0, [0] * 1000), (55, [1, 2]), (0, ["x"]), (0, [float("inf")]), (1.5, [0]),
        (0, [True]),
    ],
)  # fmt: skip
def test_an_edit_that_is_refused_changes_nothing(at, values):
    session = Session()
    before = session.network.parameters.copy()
    with pytest.raises((ValueError, TypeError)):
        session.edit(at, values)
    assert session.network.parameters.tobytes() == before.tobytes()


def changed_rate(session):
    session.configure({"rate": 0.5})


@pytest.mark.parametrize(
    "act, repeatable",
    [(lambda session: session.train(30), True), (changed_rate, False), (lambda session: session.edit(0, [1]), False),
     (lambda session: session.step_example(), False)],
)  # fmt: skip
def test_its_state_gives_the_network_again(act, repeatable):
    session = Session()
    session.configure({"data": "moons", "hidden": [3, 2], "seed": 7, "rate": 0.1})
    session.train(10)
    act(session)
    state = json.loads(json.dumps(session.state()))
    assert state["repeatable"] == repeatable and state["parameters"] == session.network.parameters.tolist()
    other = Session()
    other.restart(state["settings"])
    if repeatable:
        other.train(state["steps"])
    else:
        other.edit(0, state["parameters"])
    assert other.network.parameters.tobytes() == session.network.parameters.tobytes()
    assert other.scene() | {"version": 0} == session.scene() | {"version": 0}
    other.restart()
    fresh = other.state()
    assert fresh["repeatable"] and fresh["steps"] == 0 and fresh["settings"] == state["settings"]


def test_what_units_do_over_the_training_points():
    session = Session()
    session.configure({"hidden": [2], "activation": "relu", "n": 50})
    session.edit(0, [1, 0, 0, 0, 0, -5])  # the second unit is dead
    first, last = session.snapshot()["layers"]
    x1 = session.points.X[session._training, 0]
    assert first["slope"] == [pytest.approx((x1 > 0).mean(), rel=1e-5), 0] and last["slope"] == [1, 1]
    assert first["z"] == [[pytest.approx(x1.min(), rel=1e-5), pytest.approx(x1.max(), rel=1e-5)], [-5, -5]]
    assert first["a"] == [[0, pytest.approx(x1.max(), rel=1e-5)], [0, 0]]
    X, y = session.points.X[session._training], session.points.y[session._training]
    scores = session.network(X)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert last["flow"] == pytest.approx(np.abs(shares - np.eye(2)[y]).mean(), rel=1e-5)


def test_thumbnails_are_of_every_set():
    thumbnails = Session().thumbnails()
    assert list(thumbnails) == list(datasets.MADE)
    assert all(np.shape(points) == (80, 3) and np.isfinite(points).all() for points in thumbnails.values())


def test_divergence_is_told_and_nothing_but_numbers_is_sent():
    session = Session()
    session.configure({"data": "ripple", "optimizer": "sgd", "rate": 1e6, "activation": "relu"})
    for _ in range(20):
        session.train(100)
    snapshot = session.snapshot()
    assert "diverged" in snapshot["message"] and "smaller rate" in snapshot["message"]
    json.dumps([snapshot, session.scene(), session.trace(0)], allow_nan=False)
    session.restart()
    assert session.snapshot()["message"] == ""


def test_a_network_that_overflows_is_still_drawn():
    session = Session()
    session.configure({"activation": "relu"})
    session.network.parameters *= 1e160
    snapshot = session.snapshot()
    json.dumps([snapshot, session.trace(0), session.step_example()], allow_nan=False)
    assert snapshot["cost"] is None or snapshot["cost"] > 1e100


def test_the_cost_curve_stays_short():
    session = Session()
    for _ in range(1000):
        session.train(1)
    steps = [point[0] for point in session.snapshot()["history"]]
    assert len(steps) <= 401 and steps[0] == 0 and steps[-1] == 1000 and steps == sorted(steps)


def test_pictures_are_of_the_plane():
    """The surface of a network with given weights: x1 > 0 is class 1, the left half is class 0."""
    session = Session()
    session.configure({"hidden": []})
    session.network.parameters[:] = 0
    session.network.weights[0][0, 1] = 100
    surface = session.snapshot()["surface"]
    one = np.frombuffer(base64.b64decode(surface["channels"][1]), np.uint8).reshape(surface["size"], -1)
    left, right = session.scene()["domain"][0]
    x = left + (right - left) * (np.arange(surface["size"]) + 0.5) / surface["size"]
    assert (one[:, x < -0.1] < 5).all() and (one[:, x > 0.1] > 250).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data": "cats"}, "unknown data .cats.; use one of circles"),
        ({"data": ["xor"]}, "data"),
        ({"data": "table"}, "upload a CSV"),
        ({"n": 19}, "20 to 2000"),
        ({"n": 10**9}, "20 to 2000"),
        ({"noise": 2}, "at most 1"),
        ({"noise": "much"}, "noise must be a number"),
        ({"test_share": 0.95}, "at most 0.9"),
        ({"test_share": -0.1}, "test_share"),
        ({"features": []}, "at least one of x1, x2"),
        ({"features": "x1"}, "at least one of x1, x2"),
        ({"features": ["x3"]}, "unknown feature"),
        ({"features": [["x1"]]}, "feature"),
        ({"l1": -1}, "l1"),
        ({"l2": "much"}, "l2"),
        ({"hidden": [13]}, "at most 12"),
        ({"hidden": [4] * 7}, "at most 6"),
        ({"hidden": "4"}, "hidden must be a list"),
        ({"hidden": [0]}, "positive int"),
        ({"hidden": [True]}, "positive int"),
        ({"activation": "magic"}, "activation"),
        ({"loss": "half_mse"}, "loss"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"rate": 0}, "rate"),
        ({"rate": None}, "rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed must be 0 to 4294967295"),
        ({"seed": "x"}, "seed"),
        ({"__class__": 1}, "setting"),
        ([], "object"),
    ],
)
def test_what_a_session_refuses_changes_nothing(changes, message):
    session = Session()
    before, network = dict(session.settings), session.network
    with pytest.raises((ValueError, TypeError), match=message):
        session.configure(changes)
    assert session.settings == before and session.network is network
    session.train(1)


# ---- the server ----


@pytest.fixture
def server():
    with Server(Session()) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server, path, body=None, *, method=None, token=None, **headers):
    """Return the status and the content of an answer, parsed if it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
    address = f"/{server.token if token is None else token}/{path}"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given = {"Content-Type": "application/json"} | given
    connection.request(method or ("GET" if body is None else "POST"), address, data, given)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, json.loads(content) if is_json else content.decode(), response.headers


def test_the_page_and_its_files(server):
    for path, (_, declared) in PAGES.items():
        kind = declared.partition(";")[0]
        status, content, headers = ask(server, path)
        assert status == 200 and headers.get_content_type() == kind and content
        assert "https://" not in content and "http://" not in content.replace("http://www.w3.org/2000/svg", "")
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
    assert server.server_address[0] == "127.0.0.1"


def test_training_over_http(server):
    assert ask(server, "api/scene")[1]["task"] == "classification"
    first = ask(server, "api/snapshot")[1]
    status, snapshot, _ = ask(server, "api/train", {"steps": 100})
    assert status == 200 and snapshot["steps"] == 100 and snapshot["cost"] < first["cost"]
    status, scene, _ = ask(server, "api/configure", {"hidden": [3, 3, 3]})
    assert status == 200 and scene["settings"]["hidden"] == [3, 3, 3]
    status, answer, _ = ask(server, "api/step_example", {})
    assert status == 200 and answer["snapshot"]["steps"] == 1 and len(answer["trace"]["layers"]) == 4
    status, trace, _ = ask(server, "api/trace", {"row": 7})
    assert status == 200 and trace["row"] == 7
    assert ask(server, "api/restart", {"seed": 5, "rate": 0.1})[1]["settings"]["seed"] == 5


def test_a_connection_is_kept_for_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
    for steps in (1, 2, 3):
        body = json.dumps({"steps": 1})
        connection.request("POST", f"/{server.token}/api/train", body, {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read())["steps"] == steps
    connection.close()


@pytest.mark.parametrize("path", ["", "playground.js", "api/scene", "api/train", "nothing"])
@pytest.mark.parametrize("token", ["", "x", "%C3%A9", "a" * 32, ".."])
def test_a_wrong_token_gets_nothing(server, path, token):
    body = {"steps": 1} if path == "api/train" else None
    status, answer, _ = ask(server, path, body, token=token)
    assert status == 403 and set(answer) == {"error"}
    assert server.token not in json.dumps(answer)
    assert server.session.trainer.steps == 0


def test_a_token_that_is_no_ascii_gets_nothing(server):
    with socket.create_connection(server.server_address, timeout=300) as connection:
        connection.sendall(b"GET /\xc3\xa9/ HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.recv(100)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
    ],
)
def test_another_origin_or_host_gets_nothing(server, headers):
    for path, body in (("api/scene", None), ("api/train", {"steps": 1})):
        status, answer, _ = ask(server, path, body, **headers)
        assert status == 403 and "another" in answer["error"]
    assert server.session.trainer.steps == 0


def test_its_own_origin_may(server):
    for name in ("127.0.0.1", "localhost"):
        own = f"{name}:{server.server_port}"
        assert ask(server, "api/train", {"steps": 1}, Origin=f"http://{own}", Host=own)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "assets/playground.html", "__init__.py", "api/", "api/__init__"],
)
def test_nothing_else_is_reachable(server, path):
    for body in (None, {}):
        status, answer, _ = ask(server, path, body)
        assert status == 404 and "root:" not in json.dumps(answer)


@pytest.mark.parametrize(
    "path, body, headers, status, message",
    [
        ("api/train", b"{", {}, 400, "not JSON"),
        ("api/train", b"[" * 30_000, {}, 400, "not JSON"),
        ("api/train", b"\xff\xfe\xfd", {}, 400, "not JSON"),
        ("api/train", b"[1]", {}, 400, "JSON object"),
        ("api/train", {"steps": "many"}, {}, 400, "steps"),
        ("api/train", {"steps": 1e400}, {}, 400, "steps"),
        ("api/train", {}, {}, 400, "steps"),
        ("api/trace", {"row": 10**6}, {}, 400, "row must be"),
        ("api/trace", {"row": None}, {}, 400, "row"),
        ("api/restart", {"seed": []}, {}, 400, "seed"),
        ("api/configure", {"hidden": [EVIL]}, {}, 400, "positive int"),
        ("api/train", {"steps": 1}, {"Content_Type": "text/plain"}, 415, "application/json"),
        ("api/train", b"x" * (MAX_JSON + 1), {}, 413, "64,001 bytes; at most 64,000"),
        ("api/upload", b"a,b,c\n", {"Content_Type": "application/json"}, 415, "text/csv"),
        ("api/upload", b"x" * (MAX_CSV + 1), {"Content_Type": "text/csv"}, 413, "5,000,001 bytes"),
        ("api/upload", b"", {"Content_Type": "text/csv"}, 400, "is empty"),
    ],
)  # fmt: skip
def test_bad_requests_get_a_sentence(server, path, body, headers, status, message):
    found, answer, _ = ask(server, path, body, **headers)
    assert (found, message in answer["error"]) == (status, True), answer
    assert ask(server, "api/train", {"steps": 1})[0] == 200, "and the next one is served"


def test_a_body_without_an_end_is_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
    connection.putrequest("POST", f"/{server.token}/api/train")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()
    for length in ("-1", "1e3", str(10 * MAX_DRAINED)):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
        connection.putrequest("POST", f"/{server.token}/api/train")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status in (411, 413)
        connection.close()


def test_a_body_that_breaks_off_is_refused(server):
    with socket.create_connection(server.server_address, timeout=300) as connection:
        head = f"POST /{server.token}/api/upload HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        connection.sendall(f"{head}Content-Type: text/csv\r\nContent-Length: 100\r\n\r\na,b,c\n".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 400 " in answer and b"after 6 of 100 bytes" in answer


def talk(server, *requests):
    """Return the statuses of the answers to bytes that are sent at once, and whether the connection is closed then."""
    with socket.create_connection(server.server_address, timeout=300) as connection:
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)], answer


def request(server, method, path, *headers, body=b""):
    """Return the bytes of a request."""
    lines = [f"{method} /{server.token}/{path} HTTP/1.1", f"Host: 127.0.0.1:{server.server_port}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def training(server):
    body = b'{"steps": 1}'
    return request(
        server, "POST", "api/train", "Content-Type: application/json", f"Content-Length: {len(body)}", body=body
    )


def test_requests_in_a_pipeline_are_answered_in_turn(server):
    get = request(server, "GET", "playground.css")
    statuses, answer = talk(server, get, training(server), get, training(server))
    assert statuses == [200] * 4 and answer.count(b'"steps": ') >= 2
    assert server.session.trainer.steps == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_of_a_get_is_no_request(server, method):
    hidden = training(server)
    first = request(server, method, "playground.css", f"Content-Length: {len(hidden)}", body=hidden)
    statuses, _ = talk(server, first, request(server, "GET", "api/snapshot"))
    assert statuses == [200, 200] and server.session.trainer.steps == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity", "Content-Length: 0"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 0", "Content-Length: {n}"],
        ["Content-Length: {n}", "Content-Length: {n}"],
        ["Content-Length: +{n}"],
        ["Content-Length: -1"],
        ["Content-Length: 0x10"],
        ["Content-Length: {n}, {n}"],
        ["Content-Length: " + "9" * 5000],
        ["Content-Length:"],
        ["Content-Length : {n}"],
        ["no header", "Content-Length: {n}"],
        [" X: folded", "Content-Length: {n}"],
        ["Content-Length: 0\r\n {n}"],
    ],
)
def test_nothing_is_taken_for_a_request_after_one_whose_end_is_in_doubt(server, method, headers):
    hidden = training(server)
    lines = [line.format(n=len(hidden)) for line in headers]
    first = request(server, method, "playground.css", *lines, body=hidden)
    statuses, answer = talk(server, first, request(server, "GET", "api/snapshot"))
    assert len(statuses) == 1 and 400 <= statuses[0] < 600 and b"Connection: close" in answer
    assert server.session.trainer.steps == 0


def test_head_is_get_without_a_body(server):
    _, got = talk(server, request(server, "GET", "playground.css"))
    _, head = talk(server, request(server, "HEAD", "playground.css"))
    start, _, body = got.partition(b"\r\n\r\n")
    dated = re.compile(rb"Date: [^\r]*")
    assert body and dated.sub(b"", head) == dated.sub(b"", start) + b"\r\n\r\n"


@pytest.mark.parametrize("line", [b"PUT {} HTTP/1.1", b"GET {} HTTP/9.1", b"GET", b"\xff\xfe {} HTTP/1.1", b"A B C D"])
def test_what_is_no_request_here_is_told_so(server, line):
    line = line.replace(b"{}", f"/{server.token}/".encode())
    _, answer = talk(server, line + b"\r\nHost: 127.0.0.1\r\n\r\n")
    assert b'{"error": ' in answer and b"Traceback" not in answer and b"<" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"],
        ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
        ["Origin: http://127.0.0.1:{port}", "Origin: http://evil.example"],
        ["Origin: 127.0.0.1:{port}"],
        ["Host: evil.example"],
    ],
)
def test_another_page_gets_nothing_with_the_token(server, headers):
    lines = [line.format(port=server.server_port) for line in headers]
    for path in ("", "api/scene", "api/snapshot"):
        statuses, answer = talk(server, request(server, "GET", path, *lines))
        assert statuses == [403] and b"another" in answer
    body = b'{"steps": 1}'
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    assert talk(server, request(server, "POST", "api/train", *lines, body=body))[0] == [403]
    assert server.session.trainer.steps == 0


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_browser_of_today_is_served(server, site):
    assert talk(server, request(server, "GET", "", f"Sec-Fetch-Site: {site}"))[0] == [200]


# ---- uploads ----


def upload(server, text, name="points.csv"):
    data = text if isinstance(text, bytes) else text.encode()
    return ask(server, "api/upload", data, Content_Type="text/csv", X_File_Name=name)


def csv_of(header, rows):
    return "\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)])


def test_an_upload_becomes_the_points(server):
    status, scene, _ = upload(server, csv_of(["a", "b", "kind"], cloud()), "my%20points.csv")
    assert status == 200 and scene["settings"]["data"] == "table"
    assert scene["axes"] == ["a", "b"] and scene["classes"] == ["down", "up"] and len(scene["points"]) == 60
    assert scene["choices"]["table"] == {"name": "my points.csv", "columns": ["a", "b", "kind"]}
    status, scene, _ = ask(server, "api/configure", {"columns": {"x": "b", "y": "a", "target": "kind"}})
    assert status == 200 and scene["axes"] == ["b", "a"]
    assert ask(server, "api/train", {"steps": 5})[1]["steps"] == 5


def test_a_column_named_script_is_text(server):
    """The name of an uploaded file comes back as a JSON string, never in a page."""
    status, scene, headers = upload(server, csv_of([EVIL, "b", "c"], cloud()), EVIL)
    assert status == 200 and scene["axes"][0] == EVIL
    assert headers.get_content_type() == "application/json" and headers["X-Content-Type-Options"] == "nosniff"
    assert EVIL not in ask(server, "")[1]


@pytest.mark.parametrize(
    "content, message",
    [
        (csv_of([f"c{i}" for i in range(10_000)], [range(10_000)] * 3), "has 10,000 columns; wanted 3 to 200"),
        (csv_of(["a", "b"], [[1, 2]]), "has 2 columns"),
        (csv_of(["a", "b", "c"], [["x", "y", "z"]] * 5), "fewer than two columns of numbers"),
        (csv_of(["a", "b", "c"], [["nan", "nan", i % 2] for i in range(9)]), "0 rows have all three columns"),
        (csv_of(["a", "b", "c"], [["inf", 1, i % 2] for i in range(9)]), "infinite or too large"),
        (csv_of(["a", "a", "c"], [[1, 2, 3]]), "both named 'a'"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "points.csv"),
        ("a,b,c", "no rows"),
        (csv_of(["a", "b", "c" * 100_000], [[1, 2, 3]] * 5), "in every row"),
        ("a,b,c\n1,2", "2 cells where the first line names 3"),
    ],
)
def test_tables_that_will_not_do_get_a_sentence_and_change_nothing(server, content, message):
    status, answer, _ = upload(server, content)
    assert status == 400 and len(answer["error"]) <= 600
    assert message in answer["error"] or len(answer["error"]) == 600
    assert ask(server, "api/scene")[1]["settings"]["data"] == "circles"
    assert ask(server, "api/configure", {"data": "table"})[0] == 400, "the table was not kept"


# ---- the command ----


def test_the_command_prints_the_address_and_ends_on_ctrl_c(monkeypatch, capsys, tmp_path):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["playground"]) == 0
    out = capsys.readouterr().out
    assert "playground: http://127.0.0.1:" in out and "ended" in out
    assert opened == [out.split()[1]]
    path = tmp_path / "points.csv"
    path.write_text(csv_of(["a", "b", "c"], cloud()))
    assert main(["playground", str(path), "--no-browser"]) == 0 and len(opened) == 1
    assert main(["playground", "--port", "70000"]) == 2
    assert main(["playground", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
