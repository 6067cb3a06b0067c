"""The playground as one file: what its page computes in WebAssembly is what the session computes in the engine."""

import base64
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastprop.nn.activations import ACTIVATIONS
from fastprop.playground import datasets, features, session, static
from fastprop.playground.session import LOSSES_FOR, OPTIMIZERS, START, Session
from fastprop.tabular.csv import parse_csv

TOOL = Path(__file__).parents[2] / "tools/wasm"
STEPS = 100
# Names of the data sets whose points a loss can learn.
DATA_FOR = {"classification": "gaussians", "two classes": "circles", "regression": "ripple"}
LOSSES = {loss: DATA_FOR[task] for task, losses in LOSSES_FOR.items() for loss in losses}
EVIL = "</script><script>document.title='broken'</script><!--"
ROWS = (f"{k % 7},{k % 5 / 10},{'big' if k % 7 > 3 else EVIL}\n" for k in range(40))
TABLE = "width,{0} $& height,kind\n" + "".join(ROWS)


@pytest.fixture(scope="session")
def wasm(tmp_path_factory):
    """The network, compiled from the sources beside these tests."""
    pytest.importorskip("ziglang", reason="ziglang is not installed: pip install '.[peers]'")
    target = tmp_path_factory.mktemp("wasm") / static.WASM
    assert runpy.run_path(str(TOOL))["compile_page"](target) == ""
    return target.read_bytes()


@pytest.fixture(autouse=True)
def no_limit_of_time(monkeypatch):
    """Of a hundred steps none is left out, however slow this machine is."""
    monkeypatch.setattr(session, "MAX_SECONDS", 1000.0)


# What a page without controls does with the modules and the data.
BEGIN = """
const { loadNetwork } = modules["static_network.js"], { makeSession } = modules["static_session.js"];
const data = JSON.parse(document.querySelector("script").textContent);
window.ready = loadNetwork(Uint8Array.from(atob(data.wasm), (letter) => letter.charCodeAt(0)))
  .then(() => { window.session = makeSession(data); });
"""


class Pair:
    """A session in the page and one in Python, which do the same."""

    def __init__(self, driver, path, wasm):
        self.driver, self.session = driver, Session()
        data = static.lists() | {"wasm": static.encoded(wasm)}
        script = static.bundle("static_session.js") + BEGIN
        path.write_text(f'<script type="application/json">{json.dumps(data)}</script><script>{script}</script>')
        driver.get(path.as_uri())

    def in_page(self, action, *args):
        """Call an action of the page's session; give its result, or {"error": ...}."""
        return self.driver.execute_async_script(
            "const [action, args, done] = arguments; window.ready.then(() => session[action](...args))"
            ".then(done, (error) => done({ error: error.message }));", action, args
        )  # fmt: skip

    def in_python(self, action, *args):
        try:
            return json.loads(json.dumps(getattr(self.session, action)(*args)))
        except (ValueError, TypeError) as error:
            return {"error": str(error)}

    def both(self, action, *args):
        """Call an action of both sessions, by its name in Python, and compare their results; give Python's."""
        name = "stepExample" if action == "step_example" else action
        expected, got = self.in_python(action, *args), self.in_page(name, *args)
        assert list(differences(expected, got, action)) == []
        return expected


def differences(expected, got, where):
    """Yield where two results differ by more than their rounding to six digits, or pictures by more than a level."""
    if isinstance(expected, dict):
        if not isinstance(got, dict) or expected.keys() != got.keys():
            yield where, expected if "error" in expected else list(expected), got
        elif "error" not in expected:  # the words of errors need not be equal
            for key in expected.keys() - {"version"}:
                yield from differences(expected[key], got[key], f"{where}.{key}")
    elif isinstance(expected, list):
        if not isinstance(got, list) or len(expected) != len(got):
            yield where, expected, got
        else:
            for place, (one, other) in enumerate(zip(expected, got)):
                yield from differences(one, other, f"{where}[{place}]")
    elif isinstance(expected, float) and isinstance(got, int | float):
        if abs(expected - got) > 1e-6 + 1e-5 * abs(expected):
            yield where, expected, got
    elif isinstance(expected, str) and isinstance(got, str) and is_picture(where):
        kind = np.dtype("<f4" if where.endswith("values") else "u1")
        one, other = (np.frombuffer(base64.b64decode(text), kind).astype(float) for text in (expected, got))
        if one.shape != other.shape or np.abs(one - other).max() > (1e-5 * np.abs(one).max() if kind == "<f4" else 1):
            yield where, "picture", np.abs(one - other).max()
    elif expected != got:
        yield where, expected, got


def is_picture(where):
    return where.endswith(("picture", "surface.values")) or ".pictures[" in where or ".channels[" in where


@pytest.fixture
def pair(browser, wasm, tmp_path):
    pair = Pair(browser, tmp_path / "pair.html", wasm)
    yield pair
    browser.get("about:blank")


def check_training(pair, **changes):
    """Both train from the same settings, and have the same points, numbers, pictures and parameters."""
    pair.both("restart", START | changes)
    pair.both("train", STEPS)
    pair.both("trace", 3)
    pair.both("step_example")
    ours, theirs = (np.array(state["parameters"]) for state in (pair.in_python("state"), pair.in_page("state")))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)


@pytest.mark.peer
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(pair, activation):
    check_training(pair, activation=activation, data="spirals", hidden=[8, 8])


@pytest.mark.peer
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_loss_by_every_optimizer(pair, optimizer):
    for seed, (loss, data) in enumerate(LOSSES.items()):
        check_training(pair, optimizer=optimizer, loss=loss, data=data, seed=seed)


@pytest.mark.peer
@pytest.mark.parametrize("data", datasets.MADE)
def test_every_set_of_points(pair, data):
    loss = "mae" if data in datasets.NUMBERS else "cross_entropy"
    check_training(pair, data=data, loss=loss, n=501, noise=0.4, seed=2**32 - 1, batch_size=300, test_share=0.1)


@pytest.mark.peer
@pytest.mark.parametrize(
    "changes",
    [
        {"features": list(features.FEATURES)},
        {"features": ["x1 x2"], "data": "xor", "hidden": []},
        {"l1": 0.01, "l2": 0.02, "optimizer": "momentum"},
        {"hidden": [12] * session.MAX_LAYERS, "activation": "sin"},
        {"batch_size": 1},
        {"test_share": 0.0},
        {"test_share": 0.9, "n": 20},
        {"optimizer": "sgd", "rate": 1e9},
    ],
    ids=str,
)
def test_settings(pair, changes):
    check_training(pair, **changes)


@pytest.mark.peer
def test_a_training_that_diverges_says_so(pair):
    """Where products overflow, some infinities of the engine are NaN in the page; neither is shown."""
    diverging = {"optimizer": "sgd", "rate": 1e300, "data": "plane", "activation": "identity", "loss": "half_mse"}
    pair.both("restart", START | diverging)
    ours, theirs = pair.in_python("train", STEPS), pair.in_page("train", STEPS)
    for name in ("message", "steps", "cost", "test_cost", "epochs", "history"):
        assert theirs[name] == ours[name]
    assert "Training diverged" in ours["message"]


@pytest.mark.peer
def test_what_is_wrong_is_refused_and_changes_nothing(pair):
    pair.both("train", 3)
    for changes in (
        {"rate": 0}, {"rate": None}, {"rate": "1"}, {"batch_size": 0}, {"batch_size": 1.5}, {"l1": -1}, {"l2": None},
        {"n": 19}, {"n": 2001}, {"noise": 1.5}, {"test_share": 0.95}, {"seed": -1}, {"seed": 2**32}, {"features": []},
        {"features": ["x3"]}, {"hidden": [0]}, {"hidden": [13]}, {"hidden": [1] * 7}, {"hidden": "4"},
        {"data": "table"}, {"data": "moon"}, {"loss": "half_mse"}, {"activation": "tan"}, {"optimizer": "sdg"},
        {"colour": 1},
    ):  # fmt: skip
        assert "error" in pair.both("configure", changes), changes
    for action, args in (
        ("train", [0]), ("train", [None]), ("trace", [-1]), ("trace", [300]), ("trace", [1.5]), ("edit", [0, []]),
        ("edit", [-1, [1]]), ("edit", [0, [0] * 999]), ("edit", [0, [None]]), ("edit", [0, 1]),
    ):  # fmt: skip
        assert "error" in pair.both(action, *args), (action, args)
    pair.both("scene")
    pair.both("snapshot")


ACTIONS = st.one_of(
    st.tuples(st.just("train"), st.integers(1, 30)),
    st.tuples(st.just("step_example")),
    st.tuples(st.just("trace"), st.integers(0, 299)),
    st.tuples(st.just("edit"), st.integers(0, 20), st.lists(st.floats(-3, 3), min_size=1, max_size=4)),
    st.tuples(st.just("restart"), st.fixed_dictionaries({"seed": st.integers(0, 2**32 - 1)})),
    st.tuples(
        st.just("configure"),
        st.fixed_dictionaries(
            {},
            optional={
                "data": st.sampled_from(list(datasets.MADE)),
                "noise": st.floats(0, 1),
                "test_share": st.floats(0, 0.9),
                "features": st.sets(st.sampled_from(list(features.FEATURES)), min_size=1).map(sorted),
                "hidden": st.lists(st.integers(1, session.MAX_UNITS), max_size=3),
                "activation": st.sampled_from(list(ACTIVATIONS)),
                "loss": st.sampled_from(list(LOSSES)),
                "optimizer": st.sampled_from(list(OPTIMIZERS)),
                "rate": st.floats(1e-4, 0.1),
                "batch_size": st.integers(1, 400),
                "l1": st.floats(0, 0.1),
                "l2": st.floats(0, 0.1),
            },
        ),
    ),
)


@pytest.mark.peer
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=1, max_size=6))
def test_any_actions_do_the_same(pair, actions):
    pair.both("restart", START)
    for action, *args in actions:
        pair.both(action, *args)
    pair.both("scene")


# ---- the page itself ----


@pytest.fixture
def open_page(browser, wasm, tmp_path):
    def open_page(table=None):
        path = tmp_path / "page.html"
        path.write_text(static.page(table, wasm=wasm), encoding="utf-8")
        browser.get_log("browser")
        browser.get(path.as_uri())
        wait(browser, lambda: browser.find_elements("css selector", "#network .unit"))
        return browser

    yield open_page
    browser.get("about:blank")


def wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 300, poll_frequency=0.05).until(lambda _: condition())


def steps(driver):
    return int(driver.find_element("id", "steps").text.replace(",", ""))


@pytest.mark.peer
def test_the_page_is_one_small_file_that_trains_without_a_server(open_page, wasm):
    assert len(static.page(wasm=wasm).encode()) < 1_000_000
    driver = open_page()
    plane = driver.execute_script("return document.getElementById('plane').toDataURL()")
    driver.find_element("id", "run").click()
    wait(driver, lambda: steps(driver) >= 100)
    driver.find_element("id", "run").click()
    assert driver.execute_script("return document.getElementById('plane').toDataURL()") != plane
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map(({ name }) => name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert not driver.find_element("css selector", "label.file").is_displayed()  # tables are read by Python
    assert driver.get_log("browser") == []


@pytest.mark.peer
def test_the_page_of_a_table_has_its_points(open_page):
    table = parse_csv(TABLE.encode(), "shapes.csv")
    driver = open_page(table)
    assert driver.title == "fastprop playground"
    assert [driver.find_element("id", f"column-{axis}").get_attribute("value") for axis in ("x", "y", "target")] == [
        "width", "{0} $& height", "kind",
    ]  # fmt: skip
    named = driver.execute_script("return document.getElementById('network').textContent")
    assert "width" in named and "{0} $& height" in named
    assert EVIL in driver.find_element("id", "classes").text
    driver.find_element("id", "step").click()
    wait(driver, lambda: steps(driver) == 1)
    reference = Session(table).train(1)
    assert float(driver.find_element("id", "cost").text) == pytest.approx(reference["cost"], abs=1e-4)
    assert driver.get_log("browser") == []


@pytest.mark.peer
def test_a_browser_without_webassembly_says_so(browser, wasm, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(static.page(wasm=wasm[:100]), encoding="utf-8")
    browser.get(path.as_uri())
    wait(browser, lambda: "cannot train" in browser.find_element("id", "error").text)
    browser.get("about:blank")


def test_the_command_writes_the_page(run, tmp_path, monkeypatch):
    monkeypatch.setattr(static, "compiled", lambda: b"\0asm")
    status, out, _ = run("playground", "--save", tmp_path / "page.html")
    assert status == 0 and "page.html" in out
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == static.page()
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    assert run("playground", tmp_path / "t.csv", "--save", tmp_path / "table.html")[0] == 0
    assert "width" in (tmp_path / "table.html").read_text(encoding="utf-8")
    status, _, error = run("playground", tmp_path / "t.csv", "--save", tmp_path / "t.csv")
    assert status == 2 and "overwrite" in error


def test_a_build_without_the_network_says_how_to_get_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(static, "ASSETS", tmp_path)
    status, _, error = run("playground", "--save", tmp_path / "page.html")
    assert status == 2 and "ziglang" in error
    assert list(tmp_path.iterdir()) == []
