"""The playground in a real headless Chromium: training, editing, lessons, warnings, drawings, hostile input."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from fastprop.playground.server import Server
from fastprop.playground.session import Session

pytestmark = pytest.mark.peer

EVIL = "<script>document.title='broken'</script>"
COUNT_REQUESTS = (
    "window.asked = 0; const ask = window.fetch;"
    "window.fetch = (...how) => { asked++; return ask(...how).finally(() => asked--); };"
)


class Page:
    """The page of a playground that a test has for itself."""

    def __init__(self, driver, server):
        self.driver, self.server = driver, server
        self.open()

    def open(self, lesson=""):
        """Open the page, with a lesson if one is given, and wait until it is there."""
        self.driver.get("about:blank")  # another fragment alone would not load the page again
        self.driver.get(self.server.address + (f"#{lesson}" if lesson else ""))
        shown = "#again:not([hidden]), #error:not([hidden])" if lesson else "#network .unit"
        self.wait(lambda: self.count(shown) and self.count("#network .unit"))
        self.settle()

    def wait(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 300, poll_frequency=0.05).until(lambda _: condition())

    def frames(self, n):
        """Wait until the page has been drawn n times, with all that it does in between."""
        self.driver.execute_async_script(
            "const frame = (n) => n ? requestAnimationFrame(() => frame(n - 1)) : arguments[1](); frame(arguments[0]);",
            n,
        )

    def __getitem__(self, name):
        return self.driver.find_element("id", name)

    def count(self, selector):
        return len(self.driver.find_elements("css selector", selector))

    def steps(self):
        return int(self["steps"].text.replace(",", ""))

    def choose(self, name, value):
        from selenium.webdriver.support.ui import Select

        Select(self[name]).select_by_value(value)

    def choose_data(self, name):
        self.driver.find_element("css selector", f"[name=data][value={name}]").click()
        self.wait(lambda: self.server.session.settings["data"] == name)
        self.settle()

    def settle(self):
        """Wait until all that was asked for has been done and shown."""
        for _ in range(3):  # a request may follow another in the next frame
            self.wait(lambda: self.driver.execute_script("return asked") == 0)
            self.frames(1)

    def put(self, field, value):
        """Type a value into a field, by its element or its id."""
        from selenium.webdriver import Keys

        field = self[field] if isinstance(field, str) else field
        field.send_keys(Keys.CONTROL, "a", Keys.NULL, f"{value}", Keys.TAB)

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self, unit):
        """Move the focus to a unit of the network."""
        self.driver.execute_script("document.querySelector(`.unit[aria-label^='${arguments[0]}']`).focus()", unit)

    def named(self, label):
        return self.driver.find_element("css selector", f"[aria-label='{label}']")

    def warnings(self):
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#warnings p')].map((line) => line.textContent)"
        )

    def picture(self, name):
        """Return the picture on a canvas."""
        return self.driver.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)

    def widths(self):
        """Return the lines of the network as they are drawn."""
        lines = "#network path.weight"
        return [line.get_attribute("stroke-width") for line in self.driver.find_elements("css selector", lines)]


@pytest.fixture
def page(browser):
    with Server(Session()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        browser.get_log("browser")
        counting = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT_REQUESTS})
        yield Page(browser, server)
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", counting)
        assert [entry for entry in browser.get_log("browser") if "400 (Bad Request)" not in entry["message"]] == []
        browser.get("about:blank")
        server.shutdown()
        thread.join()


def test_it_trains_live_pauses_and_draws(page):
    trainer = page.server.session.trainer
    plane, lines, curve, cost = page.picture("plane"), page.widths(), page.picture("curve"), page["cost"].text
    page["run"].click()
    page.wait(lambda: page.steps() >= 100)
    page["run"].click()
    page.wait(lambda: page["run"].text == "Train")
    page.settle()
    stood = page.steps()
    page.frames(10)
    assert page.steps() == stood >= 100, "it pauses"
    assert float(page["cost"].text) < float(cost)
    assert page.picture("plane") != plane and page.picture("curve") != curve and page.widths() != lines
    assert trainer.steps == stood


def test_layers_and_neurons_are_added_and_removed(page):
    assert page.count("#network .unit") == 2 + 6 + 4 + 2
    page["add-layer"].click()
    page.wait(lambda: page.count("#network .unit") == 2 + 6 + 4 + 4 + 2)
    assert page.count("#network path.weight") == 12 + 24 + 16 + 8
    page.driver.find_element("css selector", "[aria-label='One neuron more in hidden layer 3']").click()
    page.wait(lambda: page.count("#network .unit") == 2 + 6 + 4 + 5 + 2)
    page.driver.find_element("css selector", "[aria-label='Remove hidden layer 1']").click()
    page.wait(lambda: page.count("#network .unit") == 2 + 4 + 5 + 2)
    assert page.server.session.settings["hidden"] == [4, 5]


def test_settings_reach_the_engine(page):
    from selenium.webdriver import Keys

    session = page.server.session
    page.choose_data("ripple")
    for name, value in [("activation", "sin"), ("loss", "huber"), ("optimizer", "momentum")]:
        page.choose(name, value)
        page.wait(lambda name=name, value=value: session.settings[name] == value)
    rate = page["rate"]
    rate.send_keys(Keys.CONTROL, "a", Keys.NULL, "0.25\n")
    page.wait(lambda: session.trainer.rate == 0.25)
    assert session.network.n_outputs == 1 and not page["accuracy"].is_displayed()
    rate.send_keys(Keys.CONTROL, "a", Keys.NULL, "-1\n")
    page.wait(lambda: "rate must be a number above 0" in page["error"].text)
    page.wait(lambda: rate.get_attribute("value") == "0.25")


def test_one_step_one_example_and_its_trace(page):
    page["step"].click()
    page.wait(lambda: page.steps() == 1)
    page["step-row"].click()
    page.wait(lambda: page.steps() == 2)
    page.wait(lambda: page.count("#trace tbody tr") == 2 + 6 + 4 + 2)
    row = int(page["row"].get_attribute("value"))
    x = page.server.session.points.X[row]
    assert f"x1 = {x[0]:.4g}"[:10] in page["trace-words"].text
    page["next"].click()
    page.wait(lambda: page["row"].get_attribute("value") == str((row + 1) % 300))
    trace = page.server.session.trace((row + 1) % 300)
    first = page.driver.find_elements("css selector", "#trace tbody tr:nth-child(3) td")
    z, a, *_ = (float(cell.text) for cell in first)
    assert z == pytest.approx(trace["layers"][0]["z"][0], rel=1e-3)
    assert a == pytest.approx(trace["layers"][0]["a"][0], rel=1e-3)


def test_a_point_that_is_clicked_is_traced(page):
    from selenium.webdriver import ActionChains

    (left, right), (bottom, top) = page.server.session.scene()["domain"]
    x, y = page.server.session.points.X[17]
    box = page["plane"].rect
    across = ((x - left) / (right - left) - 0.5) * box["width"]
    down = ((top - y) / (top - bottom) - 0.5) * box["height"]
    ActionChains(page.driver).move_to_element_with_offset(page["plane"], round(across), round(down)).click().perform()
    page.wait(lambda: page["row"].get_attribute("value") == "17" and page.count("#trace tbody tr"))


def test_it_is_operated_by_keyboard(page):
    from selenium.webdriver import Keys

    page.press("b")
    page.wait(lambda: page.steps() == 1)
    page.press("e")
    page.wait(lambda: page.steps() == 2)
    page.press(" ")
    page.wait(lambda: page.steps() > 20)
    page.press(" ")
    page.wait(lambda: page["run"].text == "Train")
    reached = set()
    for _ in range(60):
        page.press(Keys.TAB)
        reached.add(
            page.driver.execute_script("let at = document.activeElement; return at.id || at.getAttribute('aria-label')")
        )
    assert {"run", "step", "share", "file", "add-layer", "rate", "l1", "row", "plane", "discrete", "a1[0]"} <= reached
    page.focus("a1[0]")
    for key in (Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        page.press(key)
    assert page.driver.execute_script("return document.activeElement.getAttribute('aria-label')") == "a2[2]"
    page.press(Keys.ENTER)
    session = page.server.session
    assert page.driver.execute_script("return document.activeElement.getAttribute('aria-label')") == "b2[2]"
    page.put(page.driver.switch_to.active_element, "0.75")
    page.wait(lambda: session.network.biases[1][2] == 0.75)
    page.press(Keys.ESCAPE)
    assert page.driver.execute_script("return document.activeElement.getAttribute('aria-label')") == "a2[2]"
    assert not page["editor"].is_displayed()


@pytest.mark.parametrize("state", ["numbers", "warnings", "regression", "dialog"])
def test_everyone_can_use_it(page, inspector, state):
    page.open({"warnings": "rate=1e9&steps=1", "regression": "data=ripple&steps=30"}.get(state, "l2=0.01"))
    if state == "numbers":
        page.focus("a1[2]")
        page["next"].click()
    if state == "dialog":
        link(page)
    page.settle()
    assert inspector.everything() == []
    if state == "dialog":  # nothing behind it can be reached
        return
    page.frames(3)  # in which the network is drawn anew for the present width
    page.driver.find_element("tag name", "h1").click()  # the window has the focus
    assert inspector.keys() == []


# ---- editing ----


def test_a_weight_is_edited_by_field_and_slider_and_training_goes_on_from_it(page):
    from selenium.webdriver import Keys

    session = page.server.session
    lines = page.driver.find_elements("css selector", "#network path.grab")
    page.driver.execute_script("arguments[0].dispatchEvent(new MouseEvent('click'))", lines[7])  # W1[1,1]
    assert page["edited"].text == "Weight from x2 to a1[1]"
    page.put(page.named("W1[1,1]"), "-2.5")
    page.wait(lambda: session.network.weights[0][1, 1] == -2.5)
    page.settle()
    stroke = page.driver.find_elements("css selector", "#network path.weight")[7]
    assert float(stroke.get_attribute("stroke-width")) == pytest.approx(5.6)
    assert stroke.get_attribute("stroke-dasharray") != "none", "a negative line is dashed"
    slider = page.named("W1[1,1], slider")
    assert float(slider.get_attribute("value")) == -2.5
    slider.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: session.network.weights[0][1, 1] == pytest.approx(-2.47))
    page.settle()
    page["step"].click()
    page.wait(lambda: page.steps() == 1)
    assert 0 < abs(session.network.weights[0][1, 1] + 2.47) < 0.1


def test_the_numbers_of_a_neuron_are_those_of_the_network(page):
    page.focus("a2[1]")
    names = [head.text for head in page.driver.find_elements("css selector", "#parameters tbody th")]
    assert names == ["b2[1]", *(f"W2[{i},1]" for i in range(6))]
    net = page.server.session.network
    fields = page.driver.find_elements("css selector", "#parameters input[type=number]")
    shown = [float(field.get_attribute("value")) for field in fields]
    assert shown == pytest.approx([net.biases[1][1], *net.weights[1][:, 1]], rel=1e-3)


def test_a_field_that_is_no_number_changes_nothing(page):
    before = page.server.session.network.parameters.copy()
    page.focus("a1[0]")
    page.put(page.named("b1[0]"), "")
    page.settle()
    assert page.server.session.network.parameters.tobytes() == before.tobytes()


# ---- settings ----


def test_penalties_are_applied_and_shown(page):
    session = page.server.session
    assert not page["penalties"].is_displayed()
    page.put("l2", "0.5")
    page.put("l1", "0.25")
    page.wait(lambda: session.trainer.options["l1"] == 0.25 and session.trainer.options["l2"] == 0.5)
    page.settle()
    w = np.concatenate([W.ravel() for W in session.network.weights])
    assert float(page["penalty"].text) == pytest.approx(0.25 * np.abs(w).sum() + 0.25 * (w**2).sum(), rel=1e-3)
    assert float(page["cost"].text) == pytest.approx(session.snapshot()["cost"], rel=1e-3)
    page.focus("a1[3]")
    w = session.network.weights[0][0, 3]
    cells = page.driver.find_elements("css selector", "#parameters tbody tr:nth-child(2) td")
    assert float(cells[3].text) == pytest.approx(0.25 * np.sign(w) + 0.5 * w, rel=1e-3)


def test_inputs_are_switched_on_and_off(page):
    session = page.server.session

    def tick(name):
        page.driver.find_element("css selector", f"#features input[value='{name}']").click()
        page.settle()

    tick("x1 x2")
    tick("sin x1")
    tick("x1")
    assert session.settings["features"] == ["x2", "x1 x2", "sin x1"]
    assert page.count("#network .unit") == 3 + 6 + 4 + 2
    assert [page.count(f".unit[aria-label='{name}']") for name in ("x2", "x1 x2", "sin x1")] == [1, 1, 1]
    pictures = [one.get_attribute("href") for one in page.driver.find_elements("css selector", "#network image")]
    assert len(set(pictures[:3])) == 3
    tick("x2")
    tick("sin x1")
    assert page.driver.find_element("css selector", "#features input[value='x1 x2']").get_attribute("disabled")


def test_the_share_of_test_points(page):
    set_to = (
        "const slider = document.getElementById('test-share'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input')); slider.dispatchEvent(new Event('change'));"
    )
    page.driver.execute_script(set_to, 50)
    page.wait(lambda: len(page.server.session.scene()["test"]) == 150)
    page.driver.execute_script(set_to, 0)
    page.wait(lambda: len(page.server.session.scene()["test"]) == 0)
    page.settle()
    assert not any(one.is_displayed() for one in page.driver.find_elements("css selector", ".tested"))
    page["step"].click()
    page.wait(lambda: page.steps() == 1)


def test_data_sets_are_pictures(page):
    pictures = page.driver.execute_script(
        "return [...document.querySelectorAll('#sets canvas')].map((canvas) => canvas.toDataURL())"
    )
    assert len(pictures) == len(set(pictures)) == 7
    page.choose_data("gaussians")
    assert page.count("#classes span") == 3
    shapes = {one.get_attribute("data-shape") for one in page.driver.find_elements("css selector", "#classes span")}
    assert len(shapes) == 3, "colour is not all that tells the classes apart"


def colours(page, name="plane"):
    """Return the least number of colours that half of a canvas has."""
    return page.driver.execute_script(
        "const shown = document.getElementById(arguments[0]), { width, height } = shown;"
        "const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });"
        "context.drawImage(shown, 0, 0);"
        "const { data } = context.getImageData(0, 0, width, height);"
        "const counts = new Map(); let left = width * height / 2, n = 0;"
        "for (const one of new Uint32Array(data.buffer)) counts.set(one, (counts.get(one) ?? 0) + 1);"
        "for (const count of [...counts.values()].sort((a, b) => b - a)) if (left > 0) { left -= count; n++; }"
        "return n",
        name,
    )


@pytest.mark.parametrize("data, canvas", [("gaussians", "plane"), ("ripple", "plane"), ("ripple", "scale")])
def test_discretised_output_has_few_colours(page, data, canvas):
    page.choose_data(data)
    few = 3 if data == "gaussians" else page.count("#ticks-scale span") + 1
    assert colours(page, canvas) > few
    page["discrete"].click()
    assert colours(page, canvas) <= few


# ---- the plane ----


def test_the_plane_is_read_by_keyboard_and_by_mouse(page):
    from selenium.webdriver import ActionChains, Keys

    session = page.server.session
    page.choose_data("plane")
    page.driver.execute_script("document.getElementById('plane').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_UP)
    (left, right), (bottom, top) = session.scene()["domain"]
    x = [left + (right - left) * 0.525, top - (top - bottom) * 0.475]
    text = page["where"].text
    assert text.startswith(f"x1 = {x[0]:.3g}")
    assert float(text.rpartition(" ")[2]) == pytest.approx(session.network([x])[0, 0], abs=0.1)  # that of the cell
    page.press(Keys.ENTER)
    page.wait(lambda: page.count("#trace tbody tr"))
    row = int(page["row"].get_attribute("value"))
    assert row == np.hypot(*(session.points.X - x).T).argmin()
    ActionChains(page.driver).move_to_element(page["plane"]).perform()
    assert "value" in page["where"].text


def test_a_regression_has_a_scale_and_contours(page):
    assert not page["scale-frame"].is_displayed()
    page.choose_data("ripple")
    assert page["scale-frame"].is_displayed()
    ticks = [float(tick.text) for tick in page.driver.find_elements("css selector", "#ticks-scale span")]
    assert len(ticks) >= 4 and ticks == sorted(ticks) and 0 in ticks
    assert "contours" in page["scale"].get_attribute("aria-label")


LONG = "a column whose name is far longer than any axis of a plane on a screen could ever be"


def test_labels_of_axes_fit(page, tmp_path):
    upload(page, tmp_path, "long.csv", [LONG, LONG[::-1], "c"], [[1e6 * i, i * i % 13 / 1e6, i % 2] for i in range(40)])
    page.wait(lambda: page["axis-x"].get_attribute("title") == LONG)
    page.settle()
    outside = page.driver.execute_script(
        "const labels = document.querySelectorAll('#plane-frame .axis, #plane-frame .ticks span, #network text');"
        "return [...labels].filter((one) => {"
        "  const box = one.getBoundingClientRect(), panel = one.closest('section').getBoundingClientRect();"
        "  return box.left < panel.left || box.right > panel.right || box.top < panel.top || box.bottom > panel.bottom;"
        "}).map((one) => one.textContent)"
    )
    assert outside == []


@contextmanager
def screen(page, width, **features):
    """Show the page on a screen of this width, with these media features."""
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [390, 800, 1280, 1920])
@pytest.mark.parametrize("hidden", ["", "4,4,4,4,4", "12,12,12,12,12,12"])
def test_every_network_is_inside_its_frame(page, width, hidden):
    with screen(page, width):
        page.open(f"hidden={hidden}&features=x1,x2,x1^2,x2^2,x1 x2,sin x1,sin x2&data=gaussians")
        page.settle()
        wide, frame, boxes, pictures = page.driver.execute_script(
            "const box = (one) => (({ left, right, top, bottom }) => [left, right, top, bottom])"
            "(one.getBoundingClientRect());"
            "return [document.documentElement.scrollWidth, box(document.getElementById('network-frame')),"
            " [...document.querySelectorAll('#network .unit, #network text')].map(box),"
            " [...document.querySelectorAll('#network .unit rect')].map(box)]"
        )
        assert wide <= width
        left, right, top, bottom = np.array(boxes).T
        assert left.min() >= frame[0] - 1 and right.max() <= frame[1] + 1
        assert top.min() >= frame[2] - 1 and bottom.max() <= frame[3] + 1
        centres = np.array([[(a + b) / 2, (c + d) / 2] for a, b, c, d in pictures])
        apart = np.abs(centres[:, None] - centres[None]).max(axis=2) + 1e9 * np.eye(len(centres))
        assert apart.min() >= 24, "a finger needs 24 pixels (WCAG 2.5.8)"


def test_reduced_motion_is_respected(page):
    with screen(page, 1280, prefers_reduced_motion="reduce"):
        page.driver.execute_script("performance.now = () => 0")  # as if all that follows were done within a second
        before = page.picture("plane")
        page["run"].click()
        page.wait(lambda: page.steps() > 50)
        assert page.picture("plane") == before
        page["run"].click()
        page.wait(lambda: page.picture("plane") != before)


# ---- warnings ----


@pytest.mark.parametrize(
    "lesson, words",
    [
        ("rate=1e9&steps=1", "rate 1e9 is too large: every step goes too far"),
        ("rate=1e9", "rate 1e9 is too large: a step will change weights"),
        ("data=plane&optimizer=sgd&activation=identity&rate=1.5&steps=5&n=40", "rate 1.5 is too large"),
        ("activation=sigmoid&hidden=6,6,6,6,6,6", "Gradients vanish"),
        ("l2=500", "L2 times the rate is 5"),
        ("l2=3&rate=0.1&optimizer=sgd&steps=200", "The penalty outweighs the cost"),
        ("rate=1e-9&steps=60", "rate 1e-9 is so small that nothing is learned"),
    ],
)
def test_a_warning_in_words(page, lesson, words):
    page.settle()
    assert page.warnings() == [], "the usual settings are all right"
    page.open(lesson)
    assert page.count("#error:not([hidden])") == 0 or "diverged" in page["error"].text
    page.wait(lambda: any(words in warning for warning in page.warnings()))
    assert page["warnings"].get_attribute("role") == "status"


@pytest.mark.parametrize("activation, kind", [("tanh", "saturated"), ("sigmoid", "saturated"), ("relu", "dead")])
def test_a_unit_that_learns_nothing_is_named(page, activation, kind):
    page.open(f"activation={activation}")
    page.focus("a1[2]")
    page.put(page.named("b1[2]"), "-60")
    page.wait(lambda: page.warnings())
    (warning,) = page.warnings()
    assert warning.startswith(f"a1[2] is {kind}")
    assert "z1[2] is between -" in warning and "g'(z)" in warning
    assert page.count(".unit.wrong") == 1 and page.count(f".unit[aria-label='a1[2], {kind}']") == 1
    page.put(page.named("b1[2]"), "0")
    page.wait(lambda: not page.warnings())


# ---- lessons ----


def link(page):
    """Open the dialog, and return its link."""
    page["share"].click()
    page.wait(lambda: page["link"].get_attribute("value") or page["copied"].text)
    return page["link"].get_attribute("value")


def test_a_link_restores_a_lesson(page):
    session = page.server.session
    page.open("data=spirals&hidden=5,3&features=x1,x2,sin x1&rate=0.03&l1=0.001&l2=0.002&seed=77&batch_size=8&noise=0.2"
              "&n=120&test_share=0.4&activation=relu&optimizer=sgd&steps=60&lines=dW&discrete=1&speed=100")  # fmt: skip
    page.settle()
    settings, parameters = dict(session.settings), session.network.parameters.copy()
    assert settings["seed"] == 77 and session.trainer.steps == 60 and settings["l2"] == 0.002
    address = link(page)
    assert "steps=60" in address and "theta" not in address
    for name in ("noise", "restart", "trace"):
        page.driver.find_element("css selector", f"#lesson-controls input[value='{name}']").click()
        page.settle()
    address = page["link"].get_attribute("value")
    page["close-lesson"].click()
    session.restart({"data": "plane", "loss": "half_mse", "seed": 5})
    page.open(address.partition("#")[2])
    page.settle()
    assert session.settings == settings and session.trainer.steps == 60
    assert session.network.parameters.tobytes() == parameters.tobytes()
    assert not any(page[name].is_displayed() for name in ("noise", "restart", "trace-panel"))
    assert page["n"].is_displayed() and page["discrete"].is_selected()
    assert page["speed"].get_attribute("value") == "100"
    page["step"].click()
    page.wait(lambda: page.steps() == 61)
    page["again"].click()
    page.wait(lambda: page.steps() == 60)
    assert session.network.parameters.tobytes() == parameters.tobytes()


def test_a_link_holds_edited_weights(page):
    session = page.server.session
    session.train(5)
    session.edit(3, [1 / 3, -1e-300, 12345.678901234567])
    parameters = session.network.parameters.copy()
    page.open()
    address = link(page)
    assert "theta=" in address and "steps" not in address
    session.restart({"seed": 9})
    page.open(address.partition("#")[2])
    page.settle()
    assert session.network.parameters.tobytes() == parameters.tobytes()


def test_an_address_that_changes_is_followed(page):
    page.driver.execute_script("location.hash = 'data=moons&seed=3'")
    page.wait(lambda: page.server.session.settings["data"] == "moons")


def test_a_table_is_not_in_a_link(page, tmp_path):
    upload(page, tmp_path, "mine.csv", ["a", "b", "c"], [[i, i * i % 7, i % 2] for i in range(40)])
    page.wait(lambda: page.server.session.settings["data"] == "table")
    page.settle()
    assert link(page) == "" and "points of your table" in page["copied"].text


DAMAGED = [
    ("rate=abc", "its rate is"),
    ("rate=1e999", "its rate is"),
    ("rate=-1", "rate must be a number above 0"),
    ("data=cats", "unknown data 'cats'"),
    ("data=table", "table"),
    ("hidden=4,,4", "its hidden is"),
    ("hidden=999999", "at most 12 units"),
    ("hidden=1,1,1,1,1,1,1,1,1", "at most 6"),
    ("features=", "at least one of"),
    ("features=__proto__", "unknown feature"),
    ("seed=99999999999", "seed must be 0 to"),
    ("steps=1000000000", "its steps must be 0 to 20,000"),
    ("steps=1.5", "its steps must be"),
    ("theta=%%%", "cannot be read"),
    ("theta=AAAA", "cut off"),
    ("theta=AAAAAAAAAAA", "1 parameters for a network of 56"),
    ("theta=AAAAAAAA8H8", "not finite"),
    ("seed=1&seed=2", "gives seed twice"),
    ("hide=noise,everything", "no control"),
    ("__proto__=1", "not part of a lesson"),
    ("constructor=1", "not part of a lesson"),
    (f"{EVIL}=1", "not part of a lesson"),
    (f"activation={EVIL}", "unknown activation"),
    ("discrete=2", "its discrete is"),
    ("x" * 20_001, "20,001 letters"),
    ("just words", "not part of a lesson"),
]


def test_damaged_and_hostile_links_are_refused_and_change_nothing(page):
    session = page.server.session
    session.restart({"data": "moons", "seed": 4, "hidden": [4, 2]})
    session.train(7)
    state = session.state()
    for lesson, message in DAMAGED:
        page.driver.execute_script("document.getElementById('error').textContent = ''")
        page.driver.execute_script("location.hash = arguments[0]", lesson)
        page.wait(lambda: page["error"].text)
        page.settle()
        text = page["error"].text
        assert text.startswith("The link was not used: ") and message in text, (lesson, text)
        now = session.state()
        assert now["settings"] == state["settings"] and now["parameters"] == pytest.approx(state["parameters"], abs=0)
        assert page.driver.title == "fastprop playground" and page.count("main script") == 0
    page.open()
    assert not page["error"].is_displayed()


def test_the_link_is_copied_or_selected(page):
    link(page)
    page["copy"].click()
    page.wait(lambda: page["copied"].text)
    assert "copied" in page["copied"].text or "Ctrl+C" in page["copied"].text


def upload(page, tmp_path, name, header, rows):
    path = tmp_path / name
    path.write_text("\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]))
    page["file"].send_keys(str(path))


def test_a_table_is_uploaded_and_its_columns_chosen(page, tmp_path):
    rows = [[i / 10, (7 * i % 40) / 10, i % 5, "left" if i < 20 else "right"] for i in range(40)]
    upload(page, tmp_path, "mine.csv", ["width", "height", "depth", "side"], rows)
    page.wait(lambda: page.server.session.settings["data"] == "table")
    page.wait(lambda: page["axis-x"].text == "width")
    assert page["axis-y"].get_attribute("title") == "height" and "left" in page["classes"].text
    assert page.count("[name=data][value=table]:checked") == 1
    page.choose("column-y", "depth")
    page.wait(lambda: page["axis-y"].get_attribute("title") == "depth")
    page["step"].click()
    page.wait(lambda: page.steps() == 1)
    assert page.server.session.points.axes == ("width", "depth")


def test_hostile_files_are_text_or_refused(page, tmp_path):
    rows = [[i, i * i % 13, EVIL if i % 2 else "b"] for i in range(40)]
    upload(page, tmp_path, "evil.csv", [EVIL, "b", "c"], rows)
    page.wait(lambda: page["axis-x"].get_attribute("title") == EVIL)
    page.frames(5)
    assert page.driver.title == "fastprop playground" and page.count("main script") == 0
    upload(page, tmp_path, "wide.csv", [f"c{i}" for i in range(10_000)], [range(10_000)] * 3)
    page.wait(lambda: "10,000 columns" in page["error"].text)
    (tmp_path / "long.csv").write_bytes(b"x" * 5_000_001)
    page["file"].send_keys(str(tmp_path / "long.csv"))
    page.wait(lambda: "5,000,001 bytes; at most 5,000,000" in page["error"].text)
    assert page.server.session.points.axes[0] == EVIL, "the last that would do is still there"


def test_a_page_of_another_origin_cannot_read_it(browser, page):
    """A page that another port of this machine serves, and that knows the address of the playground."""
    with Server(Session()) as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        browser.get(other.address)
        fetched = browser.execute_async_script(
            "fetch(arguments[0]).then(r => arguments[1](r.status), () => arguments[1]('refused'))",
            page.server.address + "api/scene",
        )
        assert fetched == "refused"
        browser.get_log("browser")
        browser.get("about:blank")
        other.shutdown()


@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_the_colour_scheme(page, width, scheme):
    with screen(page, width, prefers_color_scheme=scheme):
        page.open()
        page.focus("a2[1]")
        script = "return [document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
        wide, paper = page.driver.execute_script(script)
        assert wide <= width
        assert (sum(map(int, paper[4:-1].split(","))) < 200) == (scheme == "dark")
