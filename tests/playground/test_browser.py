"""The playground in a real headless Chromium: train, add a layer, upload a table, step, and hostile files."""

import threading

import pytest

from fastprop.playground.server import Server
from fastprop.playground.session import Session

pytestmark = pytest.mark.peer

EVIL = "<script>document.title='broken'</script>"


class Page:
    """The page of a playground that a test has for itself."""

    def __init__(self, driver, server):
        self.driver, self.server = driver, server
        driver.get(server.address)
        self.wait(lambda: driver.find_elements("css selector", "#network .unit"))

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

    def picture(self, name):
        """Return the picture on a canvas."""
        return self.driver.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)

    def widths(self):
        """Return the lines of the network as they are drawn."""
        lines = "#network path:not(.grab)"
        return [line.get_attribute("stroke-width") for line in self.driver.find_elements("css selector", lines)]


@pytest.fixture
def page(browser):
    with Server(Session()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        browser.get_log("browser")
        yield Page(browser, server)
        assert [entry for entry in browser.get_log("browser") if "400 (Bad Request)" not in entry["message"]] == []
        browser.get("about:blank")
        server.shutdown()
        thread.join()


def test_it_trains_live_pauses_and_draws(page):
    page.driver.execute_script(
        "window.asked = 0; const ask = window.fetch;"
        "window.fetch = (...how) => { asked++; return ask(...how).finally(() => asked--); };"
    )
    trainer = page.server.session.trainer
    plane, lines, curve, cost = page.picture("plane"), page.widths(), page.picture("curve"), page["cost"].text
    page["run"].click()
    page.wait(lambda: page.steps() >= 100)
    page["run"].click()
    page.wait(lambda: page["run"].text == "Train")
    page.wait(lambda: page.driver.execute_script("return asked") == 0 and page.steps() == trainer.steps)
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
    assert page.count("#network path:not(.grab)") == 12 + 24 + 16 + 8
    page.driver.find_element("css selector", "[aria-label='One neuron more in hidden layer 3']").click()
    page.wait(lambda: page.count("#network .unit") == 2 + 6 + 4 + 5 + 2)
    page.driver.find_element("css selector", "[aria-label='Remove hidden layer 1']").click()
    page.wait(lambda: page.count("#network .unit") == 2 + 4 + 5 + 2)
    assert page.server.session.settings["hidden"] == [4, 5]


def test_settings_reach_the_engine(page):
    from selenium.webdriver import Keys

    session = page.server.session
    for name, value in [("data", "ripple"), ("activation", "sin"), ("loss", "huber"), ("optimizer", "momentum")]:
        page.choose(name, value)
        page.wait(lambda name=name, value=value: session.settings[name] == value)
    rate = page["rate"]
    rate.send_keys(Keys.CONTROL, "a", Keys.NULL, "0.25\n")
    page.wait(lambda: session.trainer.rate == 0.25)
    assert session.network.n_outputs == 1 and not page["accuracies"].is_displayed()
    rate.send_keys(Keys.CONTROL, "a", Keys.NULL, "-1\n")
    page.wait(lambda: "rate must be a number above 0" in page["error"].text)
    page.wait(lambda: rate.get_attribute("value") == "0.25")


def test_one_step_one_example_and_its_trace(page):
    page["step"].click()
    page.wait(lambda: page.steps() == 1)
    page["step-example"].click()
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
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    press("b")
    page.wait(lambda: page.steps() == 1)
    press("e")
    page.wait(lambda: page.steps() == 2)
    press(" ")
    page.wait(lambda: page.steps() > 20)
    press(" ")
    page.wait(lambda: page["run"].text == "Train")
    reached = set()
    for _ in range(80):
        press(Keys.TAB)
        reached.add(
            page.driver.execute_script("let at = document.activeElement; return at.id || at.getAttribute('aria-label')")
        )
    assert {"run", "step", "data", "file", "add-layer", "rate", "row", "hidden 2, unit 4", "output 1"} <= reached
    page.driver.execute_script("document.querySelector('[aria-label=\"hidden 1, unit 2\"]').focus()")
    page.wait(lambda: page["pointed"].text == "hidden 1, unit 2")
    numbers = page.server.session.network
    shown = [float(cell.text) for cell in page.driver.find_elements("css selector", "#incoming tbody td:nth-child(2)")]
    assert shown == pytest.approx([numbers.biases[0][1], *numbers.weights[0][:, 1]], rel=1e-3)


def upload(page, tmp_path, name, header, rows):
    path = tmp_path / name
    path.write_text("\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]))
    page["file"].send_keys(str(path))


def test_a_table_is_uploaded_and_its_columns_chosen(page, tmp_path):
    rows = [[i / 10, (7 * i % 40) / 10, i % 5, "left" if i < 20 else "right"] for i in range(40)]
    upload(page, tmp_path, "mine.csv", ["width", "height", "depth", "side"], rows)
    page.wait(lambda: page["data"].get_attribute("value") == "table")
    assert "across width, up height" in page["axes"].text and "left" in page["classes"].text
    page.choose("column-y", "depth")
    page.wait(lambda: "up depth" in page["axes"].text)
    page["step"].click()
    page.wait(lambda: page.steps() == 1)
    assert page.server.session.points.axes == ("width", "depth")


def test_hostile_files_are_text_or_refused(page, tmp_path):
    rows = [[i, i * i % 13, EVIL if i % 2 else "b"] for i in range(40)]
    upload(page, tmp_path, "evil.csv", [EVIL, "b", "c"], rows)
    page.wait(lambda: EVIL in page["axes"].text)
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
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        page.driver.refresh()
        page.wait(lambda: page.count("#network .unit"))
        script = "return [document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
        wide, paper = page.driver.execute_script(script)
        assert wide <= width
        assert (sum(map(int, paper[4:-1].split(","))) < 200) == (scheme == "dark")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
