"""Drawings of traces, and their page in a browser."""

import json
import re
import xml.etree.ElementTree as ElementTree

import bridge_cases
import numpy as np
import pytest
from layer_cases import inputs

import fastprop as fp
from fastprop.explain import html as trace_page

HOSTILE = "<script>document.title='broken'</script>"


def small(rows=2):
    net = fp.Network([2, fp.Dense(3, "tanh"), 1], dtype="float64", seed=0)
    net.biases[0][:] = 0.1, 0.2, 0.3
    rng = np.random.default_rng(0)
    return fp.trace(net, rng.normal(size=(rows, 2)), rng.normal(size=rows), loss="half_mse")


def large():
    net = fp.Network([784, 128, 10], seed=0)
    rng = np.random.default_rng(0)
    return fp.trace(net, rng.normal(size=(64, 784)), rng.integers(10, size=64), loss="cross_entropy")


def texts(svg):
    return ["".join(found.itertext()) for found in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


# ---- drawings ----


def test_neurons_have_their_numbers():
    t = small()
    drawing = t.graph(row=1)
    assert drawing.neurons and str(drawing) == drawing.svg and drawing.svg in drawing._repr_html_()
    shown, one = texts(drawing.svg), t.of_row(1)
    for k, layer in enumerate(one.layers, start=1):
        labels = {"z{}": layer.z, "g'(z{})": layer.slope, "a{}": layer.a, "dL/da{}": layer.da, "dL/dz{}": layer.dz}
        for label, values in labels.items():
            for j, value in enumerate(values[1]):
                assert f"{label.format(f'{k}[{j}]')} {value:.4g}" in shown
        assert layer.W is not None and layer.dW is not None
        for value in (*layer.W.flat, *layer.dW.flat):
            assert f"{value:.4g}" in shown  # on the lines
    assert f"L {t.losses[1, 0]:.4g}" in shown
    widths = {
        path.get("data-quantity"): float(path.get("stroke-width"))
        for path in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}path")
    }
    slopes = {f"W1[{i},{j}]": abs(one.layers[0].dW[i, j]) for i, j in np.ndindex(2, 3)}
    order = sorted(slopes, key=slopes.get)
    assert [widths[name] for name in order] == sorted(widths[name] for name in order)


def test_the_steps_go_through_both_passes():
    drawing = small().graph()
    titles = [title for title, _ in drawing.steps]
    assert titles == [
        "Inputs and parameters", "Forward: z1", "Forward: a1", "Forward: z2", "Forward: a2", "The loss L of the row",
        "Backward: dL/da2", "Backward: dL/dz2", "Backward: the gradient of layer 2",
        "Backward: dL/da1", "Backward: dL/dz1", "Backward: the gradient of layer 1", "Backward: dL/dx",
    ]  # fmt: skip
    assert dict(drawing.steps)["Backward: dL/dz1"] == "dL/dz1 = dL/da1 g'(z1), g'(z) = 1 - a^2"
    forward = {"W1[0,1]": 0, "z1[0]": 1, "a1[0]": 2, "z2[0]": 3, "a2[0]": 4, "L": 5}
    wanted = forward | {"da2[0]": 6, "dz2[0]": 7, "da1[2]": 9, "dz1[2]": 10, "dx[1]": 12}
    found = {
        element.get("data-key"): int(element.get("data-step"))
        for element in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text")
        if element.get("data-step")
    }
    assert {key: found[key] for key in wanted} == wanted


def test_large_networks_are_drawn_by_layers():
    drawing = large().graph()
    assert not drawing.neurons
    shown = texts(drawing.svg)
    assert "1: dense relu" in shown and "784 wide, 64 rows" in shown and "784 x 128" in shown
    assert len(drawing.svg) < 10_000


@pytest.mark.exhaustive
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", bridge_cases.NETWORKS)
def test_every_network_can_be_drawn(name, training):
    net = bridge_cases.network(name, "float32")
    rng = np.random.default_rng(5)
    t = fp.trace(net, inputs(net, rng, 2), rng.normal(size=(2, net.n_outputs)), loss="half_mse", training=training)
    drawing = t.graph(row=1)
    ElementTree.fromstring(drawing.svg)
    data = json.loads(re.search(r'id="data">(.*?)</script>', trace_page.page(t), re.S)[1])
    assert len(data["steps"]) == 2 + 5 * len(t.layers) + 1
    if drawing.neurons:
        assert data["rows"][-1]["numbers"]["L"] == t.of_row(len(data["rows"]) - 1).cost
        assert len(data["rows"]) == 2 or "Of 2 rows the first is here" in data["hint"]


def test_paths_are_drawn():
    e = small().explain("W1[1,2]")
    svg = e.svg()
    shown = texts(svg)
    assert any(words.startswith("dC/dW1[1,2] = ") for words in shown) and "a1[2] row 1" in shown
    lines = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"))
    lit = [line for line in lines if "dim" not in line.get("class")]
    assert len(lit) == len(e.paths[0].edges) and len(lines) == 12
    ElementTree.fromstring(large().explain("x[3]", row=2).svg())


def test_hostile_names_are_text():
    t = small()
    drawing = t.graph(names=[HOSTILE, "b"])
    assert "<script" not in drawing.svg and any(HOSTILE[:20] in words for words in texts(drawing.svg))
    page = trace_page.page(t, names=[HOSTILE, "</script><b>"], title=HOSTILE)
    assert page.count("<script") == page.count("</script>") == 2 and "<b>" not in page
    assert page in trace_page.page(t, names=[HOSTILE, "</script><b>"], title=HOSTILE)
    assert "<script" not in t._repr_html_() and t._repr_html_().startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')


@pytest.mark.parametrize("names", [["a"], "ab", ["a", "b", "c"]])
def test_a_name_for_each_input(names, tmp_path):
    with pytest.raises(ValueError, match="names must hold a name for each of the 2 inputs"):
        small().to_html(tmp_path / "page.html", names=names)
    with pytest.raises(ValueError, match="row must be in"):
        large().graph(row=64)


def test_the_page_is_small_and_loads_nothing(tmp_path):
    small(rows=9).to_html(tmp_path / "small.html")
    page = (tmp_path / "small.html").read_text()
    assert len(page) < 300_000
    assert "default-src 'none'" in page and not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", page)
    assert "Of 9 rows the first 4 are here" in page
    large().to_html(tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 100_000


def test_numbers_that_are_not_finite(tmp_path):
    t = small()
    net = t.network
    net.weights[1][0] = np.inf
    broken = fp.trace(net, t.x, t.y, loss="half_mse")
    page = trace_page.page(broken)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1], parse_constant=pytest.fail)
    assert data["rows"][0]["numbers"]["L"] in ("inf", "nan")
    assert "nan" in str(broken) or "inf" in str(broken)


def test_ten_thousand_columns(tmp_path):
    net = fp.Network([10_000, 4, 1], seed=0)
    t = fp.trace(net, np.ones((1, 10_000)), [1.0], loss="half_mse")
    t.to_html(tmp_path / "page.html", names=[f"<b>{i}" for i in range(10_000)])
    page = (tmp_path / "page.html").read_text()
    assert len(page) < 100_000 and "<b>" not in page and "10,000 wide, 1 rows" in page


# ---- in Chromium ----


def show(browser, t, path, **how):
    t.to_html(path, **how)
    browser.get(path.as_uri())


def one(browser, selector):
    return browser.find_element("css selector", selector)


def value(browser, key):
    return one(browser, f'text[data-key="{key}"]').text


def hidden(browser, key):
    return "later" in one(browser, f'text[data-key="{key}"]').get_attribute("class").split()


def quiet(browser):
    """The console shows no error and nothing that the policy refused."""
    assert browser.get_log("browser") == []


@pytest.mark.peer
def test_it_steps_through_both_passes(browser, tmp_path):
    show(browser, small(), tmp_path / "page.html")
    assert not hidden(browser, "dx[0]")
    one(browser, "#first").click()
    assert hidden(browser, "z1[0]") and hidden(browser, "da2[0]") and not hidden(browser, "W1[0,0]")
    assert one(browser, "#caption").text.startswith("1/13 Inputs and parameters")
    one(browser, "#next").click()
    assert not hidden(browser, "z1[0]") and hidden(browser, "a1[0]")
    assert one(browser, "#caption").text.endswith("z1 = x W1 + b1")
    body = one(browser, "body")
    for _ in range(5):
        body.send_keys("\ue014")  # arrow right
    assert not hidden(browser, "da2[0]") and hidden(browser, "dz2[0]")
    body.send_keys("\ue012")
    assert hidden(browser, "da2[0]")
    one(browser, "#last").click()
    assert not hidden(browser, "dx[1]")
    quiet(browser)


@pytest.mark.peer
def test_it_plays(browser, tmp_path):
    """The page plays by itself, with a clock that the test controls."""
    show(browser, small(), tmp_path / "page.html")
    browser.execute_script(
        "setInterval = (tick, ms) => { window.tick = tick; window.ms = ms; return 7; };"
        "clearInterval = (timer) => { if (timer === 7) window.tick = null; };"
    )
    play = one(browser, "#play")
    play.click()
    assert play.text == "Pause" and play.get_attribute("aria-pressed") == "true" and hidden(browser, "z1[0]")
    assert 500 <= browser.execute_script("return ms") <= 3000, "slow enough to read, quick enough to wait for"
    browser.execute_script("tick()")
    assert not hidden(browser, "z1[0]") and hidden(browser, "a1[0]")
    play.send_keys("\ue007")  # enter
    assert play.text == "Play" and browser.execute_script("return tick === null")
    play.click()
    for _ in range(11):
        browser.execute_script("tick()")
    assert not hidden(browser, "dx[0]") and play.text == "Play" and browser.execute_script("return tick === null")


@pytest.mark.peer
def test_a_weight_shows_its_chain_rule(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    one(browser, 'text[data-quantity="W1[0,1]"]').click()
    e = t.explain("W1[0,1]", row=0)
    detail = one(browser, "#detail")
    assert detail.find_element("css selector", "h2").text == f"dL/dW1[0,1] = {e.total:.4g}"
    cells = [cell.text for cell in detail.find_elements("css selector", "td")]
    assert cells[:3] == ["dz1[1]/dW1[0,1]", "= x[0]", f"= {t.x[0, 0]:.4g}"]
    assert float(cells[cells.index("the engine's gradient") + 1]) == e.gradient
    assert float(cells[cells.index("mean over all rows: dC/dW1[0,1]") + 1]) == t.layers[0].dW[0, 1]
    assert len(browser.find_elements("css selector", "path.way")) == 3  # the weight, the next one, the loss
    one(browser, 'text[data-key="z1[2]"]').send_keys("\ue007")  # by keyboard
    assert detail.find_element("css selector", "h2").text.startswith("dL/dz1[2] = ")
    one(browser, "body").send_keys("\ue00c")  # escape
    assert not detail.is_displayed()
    quiet(browser)


@pytest.mark.peer
def test_what_is_pointed_at_is_told(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    action = pytest.importorskip("selenium.webdriver").ActionChains(browser)
    hint, usual, first = one(browser, "#hint"), one(browser, "#hint").text, t.of_row(0).layers[0]
    action.move_to_element(one(browser, 'text[data-key="z1[1]"]')).perform()
    told = [each.split(" = ") for each in hint.text.split(", ")]
    assert [name for name, _ in told] == ["z1[1]", "dL/dz1[1]"]
    assert [float(number) for _, number in told] == [first.z[0, 1], first.dz[0, 1]]
    action.move_to_element(one(browser, 'text[data-key="W2[2,0]"]')).perform()
    assert hint.text.startswith("W2[2,0] = ") and ", dL/dW2[2,0] = " in hint.text
    action.move_to_element(one(browser, "h1")).perform()
    assert hint.text == usual
    one(browser, "#worksheet").click()
    action.move_to_element(one(browser, 'text[data-key="z1[1]"]')).perform()
    assert hint.text == usual  # there it would tell


@pytest.mark.peer
def test_a_path_is_lit_and_nothing_else(browser, tmp_path):
    net = fp.Network([2, fp.Dense(3, "tanh"), fp.LayerNorm(), fp.Dense(2)], dtype="float64", seed=0)
    t = fp.trace(net, [[1.0, 2.0]], [[1.0, 0.0]], loss="half_mse")
    show(browser, t, tmp_path / "page.html")
    one(browser, 'text[data-key="z1[2]"]').click()
    lit = {element.get_attribute("data-edge") for element in browser.find_elements("css selector", "path.way")}
    path = t.explain("z1[2]").paths[0]
    there = [f"{edge.source}>{edge.target}" for edge in path.edges]
    assert lit == {each for each in there if each[0] == "a"} and len(lit) == 3  # lines are from box to box
    second = browser.find_elements("css selector", "#detail button")[1]
    second.click()
    lit = {element.get_attribute("data-edge") for element in browser.find_elements("css selector", "path.way")}
    path = t.explain("z1[2]").paths[1]
    assert lit == {f"{edge.source}>{edge.target}" for edge in path.edges if edge.source.kind == "a"}


@pytest.mark.peer
def test_another_row(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    assert value(browser, "z1[0]") == f"z {t.layers[0].z[0, 0]:.4g}"
    one(browser, "#row option:nth-child(2)").click()
    assert value(browser, "z1[0]") == f"z {t.layers[0].z[1, 0]:.4g}"
    assert value(browser, "dz1[0]") == f"dz {t.of_row(1).layers[0].dz[1, 0]:.4g}"


@pytest.mark.peer
def test_the_worksheet_knows_right_from_wrong(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    one(browser, "#worksheet").click()
    assert value(browser, "z1[0]") == "z ?" and value(browser, "dz1[0]") == "dz ?" and value(browser, "g1[0]") == "g' ?"
    assert value(browser, "b1[0]") == "b 0.1"
    answer = one(browser, 'input[data-answer="z1[0]"]')
    label = answer.find_element("xpath", "..").text
    assert label.startswith("z1[0] = x[0] W1[0,0] + x[1] W1[1,0] + b1[0] =")
    verdict = answer.find_element("xpath", "../..").find_element("css selector", "[role=status]")
    answer.send_keys("123\ue007")
    assert verdict.text == "not yet: try again" and value(browser, "z1[0]") == "z ?"
    answer.clear()
    answer.send_keys("abc\ue007")
    assert verdict.text == "that is no number"
    answer.clear()
    answer.send_keys(f"{t.layers[0].z[0, 0]:.3g}\ue007")
    assert verdict.text == "right" and value(browser, "z1[0]") == f"z {t.layers[0].z[0, 0]:.4g}"
    assert one(browser, "#score").text.startswith("1 of 28 right")  # z, a, da, dz of 4 units, 9 weights, L, dx
    assert browser.switch_to.active_element.get_attribute("data-answer") == "z1[1]"  # on to the next
    one(browser, 'text[data-key="a1[0]"]').click()
    assert not one(browser, "#detail").is_displayed()  # which would tell
    one(browser, "#worksheet").click()
    assert value(browser, "z1[1]") != "z ?" and not one(browser, "#sheet").is_displayed()
    quiet(browser)


@pytest.mark.peer
def test_hostile_names_do_nothing(browser, tmp_path):
    names = [HOSTILE, "</script><img src=x onerror=document.title='broken'>"]
    show(browser, small(), tmp_path / "page.html", names=names)
    assert browser.title == "Backpropagation, number by number"
    assert HOSTILE[:20] in one(browser, 'text[data-node="x[0]"]').text
    assert not browser.find_elements("css selector", "img")
    quiet(browser)


@pytest.mark.peer
def test_a_large_network_is_a_page_of_few_elements(browser, tmp_path):
    """It has no element for each of the 100,000 weights, so it opens at once."""
    t = large()
    show(browser, t, tmp_path / "page.html")
    assert browser.execute_script("return document.getElementsByTagName('*').length") < 500
    one(browser, 'g[data-layer="1"]').click()
    table = one(browser, "#detail").text
    assert "layer 1: dense relu" in table and "784 x 128" in table
    one(browser, "#detail button").click()
    k, where = 0, np.unravel_index(np.argmax(np.abs(t.layers[0].dW)), t.layers[0].dW.shape)
    heading = f"dC/dW{k + 1}[{where[0]},{where[1]}]"
    assert one(browser, "#detail h2").text.startswith(heading)
    assert "the other" in one(browser, "#detail").text
    quiet(browser)


@pytest.mark.peer
def test_on_a_phone_and_for_the_keyboard(browser, tmp_path):
    show(browser, small(), tmp_path / "page.html")
    size = browser.get_window_size()
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390  # the drawing alone scrolls
        one(browser, 'text[data-quantity="z1[0]"]').send_keys("\ue007")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(size["width"], size["height"])
    buttons = browser.find_elements("css selector", "#drawing [role=button]")
    assert len(buttons) == 2 + 4 * 3 + 6 + 3  # each number, and each line, can be reached with Tab
    assert all(button.get_attribute("tabindex") == "0" for button in buttons)
