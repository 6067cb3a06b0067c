"""Drawings of traces, and their page in a browser."""

import json
import re
import xml.etree.ElementTree as ElementTree

import bridge_cases
import numpy as np
import pytest
from layer_cases import inputs
from trace_cases import traced

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
        assert len(data["rows"]) == 2


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
    assert "<script" not in drawing.svg and any(HOSTILE[:19] in words for words in texts(drawing.svg))
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
    small(rows=20).to_html(tmp_path / "small.html")
    page = (tmp_path / "small.html").read_text()
    assert len(page) < 300_000
    assert "default-src 'none'" in page and not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", page)
    assert "Of 20 rows the first 16 are here" in page
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
    assert len(page) < 100_000 and "<b>" not in page and "10,000 wide, 1 row<" in page


# ---- in Chromium ----


def show(browser, t, path, address="", **how):
    t.to_html(path, **how)
    browser.get("about:blank")  # an address that differs in its state alone would not load the page again
    browser.get(path.as_uri() + address)


def one(browser, selector):
    return browser.find_element("css selector", selector)


def value(browser, key):
    return one(browser, f'text[data-key="{key}"] .value').text


def hidden(browser, key):
    return not one(browser, f'text[data-key="{key}"]').is_displayed()


def click(browser, key):
    one(browser, f'text[data-key="{key}"] .value').click()


def press(browser, key):
    browser.switch_to.active_element.send_keys(key)


def quiet(browser):
    """The console shows no error and nothing that the policy refused."""
    assert browser.get_log("browser") == []


def heading(browser):
    return one(browser, "#detail h2 span").text


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
    body.send_keys("\ue010")  # end
    assert not hidden(browser, "dx[1]")
    body.send_keys("\ue011")  # home
    assert hidden(browser, "z1[0]")
    quiet(browser)


def names_of(tree):
    """The names of what a screen reader finds."""
    shown = (node.get("name", {}).get("value", "") for node in tree["nodes"] if not node.get("ignored"))
    return " ".join(shown).split()


@pytest.mark.peer
def test_what_a_step_has_not_reached_is_not_there(browser, tmp_path):
    """Not for the eye, the mouse, the keyboard, a screen reader, nor in the details of another number."""
    t = small()
    metrics = {"width": 1600, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    show(browser, t, tmp_path / "page.html")
    numbers = browser.execute_script("return data.rows[0].numbers")
    last = browser.execute_script("return LAST")
    place = "const { x, y, width, height } = document.querySelector(arguments[0]).getBoundingClientRect();"
    middle = {
        key: browser.execute_script(place + "return [x + width - 3, y + height / 2]", f'text[data-key="{key}"] .value')
        for key in numbers
        if browser.find_elements("css selector", f'text[data-key="{key}"]')
    }
    for step in (0, 1, 2, 5, 7, 9, 10, last):
        browser.execute_script("choose(null); go(arguments[0]); scrollTo(0, 0)", step)
        reached = {key for key in numbers if browser.execute_script("return stepOf(arguments[0])", key) <= step}
        assert len(reached) < len(numbers) or step == last
        texts = {key: f"{number:.4g}" for key, number in numbers.items()}
        secret = {texts[key] for key in set(numbers) - reached if "." in texts[key]}
        secret -= {texts[key] for key in reached}  # a number may be that of another, as a of an identity
        for key, (x, y) in middle.items():
            found = browser.execute_script(
                "return document.elementFromPoint(arguments[0], arguments[1])?.closest('[data-key]')?.dataset.key", x, y
            )
            assert (found == key) == (key in reached)
        seen = set(names_of(browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})))
        assert not secret & seen
        assert {texts[key] for key in reached & set(middle)} <= seen
        for line in browser.find_elements("css selector", "path[data-quantity]")[::4]:
            # what is hovered over is told, as far as it is known
            browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('mouseover', { bubbles: true }))", line)
            derivative = "d" + line.get_attribute("data-quantity")
            assert ("dL/" in one(browser, "#hint").text) == (derivative in reached)
        browser.execute_script("document.getElementById('drawing').focus()")
        stops = []
        while (key := tab(browser)) is not None:
            stops.append(key)
        assert set(stops) <= reached | set(parameters_of(t)) and len(stops) == len(set(stops))
        assert {key for key in middle if key[0] in "xza" and key in reached} <= set(stops)
        for key in stops:
            browser.execute_script("choose(arguments[0])", key)
            told = set(re.findall(r"-?\d+\.\d+(?:e[-+]\d+)?", one(browser, "#detail").text))
            assert not secret & {f"{float(each):.4g}" for each in told}
            assert ("engine's gradient" in one(browser, "#detail").text) == ("d" + key in reached)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    quiet(browser)


def parameters_of(t):
    """The names of parameters, which are given."""
    return [f"{name}{k}[{','.join(map(str, place))}]" for k, layer in enumerate(t.layers, start=1)
            for name in "Wb" for place in np.ndindex(getattr(layer, name).shape)]  # fmt: skip


def tab(browser):
    """Press Tab, and return the number that has the focus then, or None outside the drawing."""
    press(browser, "\ue004")
    return browser.execute_script(
        "return svg.contains(document.activeElement) ? (document.activeElement.dataset.key ?? 'svg') : null"
    )


@pytest.mark.peer
def test_tab_follows_the_drawing(browser, tmp_path):
    """From the inputs to the loss, column by column."""
    show(browser, small(), tmp_path / "page.html")
    browser.execute_script("document.getElementById('drawing').focus()")
    left = []
    while tab(browser) is not None:
        place = "return document.activeElement.closest('.box, .on').getBoundingClientRect().left"
        left.append(browser.execute_script(place))
    columns = [round(each / 100) for each in left]
    assert columns == sorted(columns) and len(left) == 2 + 9 + 3 * 4


@pytest.mark.peer
def test_the_address_says_what_is_shown(browser, tmp_path):
    show(browser, small(), tmp_path / "page.html", "#step=11&row=1&number=z1[0]")
    assert one(browser, "#caption").text.startswith("11/13") and heading(browser).startswith("z1[0] = ")
    assert browser.execute_script("return state.row") == 1
    one(browser, "#back").click()
    press(browser, "\ue00c")
    assert browser.current_url.endswith("#step=10&row=1")
    browser.execute_script("location.hash = '#worksheet'")
    WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    WebDriverWait(browser, 10).until(lambda browser: one(browser, "#sheet").is_displayed())
    for odd in ("#step=x&row=99&number=W9[0]", "#number=__proto__", "#step=-3&number=%5B", "#number=layer7"):
        show(browser, small(), tmp_path / "page.html", odd)
        assert one(browser, "#caption").text.startswith("13/13") and not one(browser, "#detail").is_displayed()
    show(browser, small(), tmp_path / "page.html", "#embed&step=3")
    assert one(browser, "header").size["height"] <= 1  # for screen readers alone
    assert one(browser, "#alone").get_attribute("href").endswith("#step=3")
    quiet(browser)


@pytest.mark.peer
def test_a_frame_is_as_tall_as_the_page_and_has_its_theme(browser, tmp_path):
    small().to_html(tmp_path / "page.html")
    (tmp_path / "outer.html").write_text(
        "<!DOCTYPE html><iframe id=frame src='page.html#embed' style='width: 100%; height: 20px'></iframe><script>"
        "addEventListener('message', (event) => { frame.style.height = `${event.data.fastpropTrace}px`; });</script>"
    )
    browser.get((tmp_path / "outer.html").as_uri())
    WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    height = "return document.getElementById('frame').clientHeight"
    WebDriverWait(browser, 10).until(lambda browser: browser.execute_script(height) > 300)
    browser.execute_script("frame.contentWindow.postMessage({ fastpropTheme: 'dark' }, '*')")
    browser.switch_to.frame("frame")
    theme = "return document.documentElement.dataset.theme"
    WebDriverWait(browser, 10).until(lambda browser: browser.execute_script(theme))
    page = "getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(f"return {page}") == "rgb(20, 23, 28)"
    whole = "return document.documentElement.scrollHeight <= innerHeight"
    WebDriverWait(browser, 10).until(lambda browser: browser.execute_script(whole))
    browser.switch_to.default_content()


@pytest.mark.peer
def test_a_notebook_has_a_frame_of_its_height(browser, tmp_path):
    (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html>{small()._repr_html_()}")
    browser.get((tmp_path / "notebook.html").as_uri())
    frame = one(browser, "iframe")
    WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    inner = "return document.querySelector('iframe').contentDocument.body.getBoundingClientRect().height"
    for quantity in (None, "x[0]"):  # whose details make the page taller
        browser.switch_to.frame(frame)
        assert not one(browser, "#alone").is_displayed()
        browser.execute_script("choose(arguments[0])", quantity)
        browser.switch_to.default_content()
        WebDriverWait(browser, 10).until(lambda browser: abs(frame.size["height"] - browser.execute_script(inner)) <= 1)
    quiet(browser)


@pytest.mark.peer
def test_without_motion_it_scrolls_at_once(browser, tmp_path):
    show(browser, traced("eight layers"), tmp_path / "page.html", "#step=1")
    scrolled = "return document.getElementById('drawing').scrollLeft"
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    )
    try:
        assert browser.execute_script(scrolled) == 0
        assert browser.execute_script("go(15);" + scrolled) > 0
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.peer
def test_print_has_the_finished_graph(browser, tmp_path):
    show(browser, small(), tmp_path / "page.html", "#step=2")
    assert hidden(browser, "dx[0]")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    try:
        WebDriverWait(browser, 10).until(lambda browser: not hidden(browser, "dx[0]"))
        assert not one(browser, "#play").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    WebDriverWait(browser, 10).until(lambda browser: hidden(browser, "dx[0]"))


@pytest.mark.peer
@pytest.mark.parametrize(
    "name", ["2-3-1", "residual", "layer norm", "periodic", "piecewise", "embedding", "by column", "members"]
)
def test_chain_rules_of_the_page_are_those_of_python(browser, tmp_path, name):
    t = traced(name)
    show(browser, t, tmp_path / "page.html", "#row=1")
    quantities = ["x[0]", "z2[0]", "a1[0]"]
    for k, layer in enumerate(t.layers, start=1):
        for letter in "Wb":
            parameters = getattr(layer, letter)
            if parameters is not None:
                places = [",".join(map(str, place)) for place in np.ndindex(parameters.shape)]
                quantities += [f"{letter}{k}[{place}]" for place in places[::5]]
    for quantity in quantities:
        found = browser.execute_script("return explained(arguments[0])", quantity)
        e = t.explain(quantity, row=1, paths=4)
        assert found["count"] == len(e.paths) + e.n_rest
        np.testing.assert_allclose([found["total"], found["gradient"]], [e.total, e.gradient], rtol=1e-9, atol=1e-15)
        products = [abs(path.product) for path in e.paths]
        np.testing.assert_allclose([abs(path["product"]) for path in found["paths"]], products, rtol=1e-9, atol=1e-15)
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
    click(browser, "W1[0,1]")
    e = t.explain("W1[0,1]", row=0)
    detail = one(browser, "#detail")
    assert heading(browser) == f"W1[0,1] = {e.value:.4g}"
    assert detail.find_element("css selector", "h3").text == f"dL/dW1[0,1] = {e.total:.4g}"
    cells = [cell.text for cell in detail.find_elements("css selector", ".path td")]
    assert cells[:3] == ["dz1[1]/dW1[0,1]", "= x[0]", f"= {t.x[0, 0]:.4g}"]
    cells = [cell.text for cell in detail.find_elements("css selector", "td")]
    assert float(cells[cells.index("the engine's gradient") + 1]) == e.gradient
    mean = "dC/dW1[0,1], the derivative of C, the mean over the 2 rows"
    assert float(cells[cells.index(mean) + 1]) == t.layers[0].dW[0, 1]
    assert len(browser.find_elements("css selector", "path.way")) == 3  # the weight, the next one, the loss
    one(browser, 'text[data-key="z1[2]"]').send_keys("\ue007")  # by keyboard
    assert heading(browser).startswith("z1[2] = ")
    cells = [cell.text for cell in detail.find_elements("css selector", "td")]
    assert cells[:2] == ["z1[2]", "= x[0] W1[0,2] + x[1] W1[1,2] + b1[2]"]
    one(browser, "body").send_keys("\ue00c")  # escape
    assert not detail.is_displayed()
    quiet(browser)


@pytest.mark.peer
def test_what_is_pointed_at_is_told(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    action = pytest.importorskip("selenium.webdriver").ActionChains(browser)
    hint, usual, first = one(browser, "#hint"), one(browser, "#hint").text, t.of_row(0).layers[0]
    action.move_to_element(one(browser, 'text[data-key="z1[1]"] .value')).perform()
    told = [each.split(" = ") for each in hint.text.split(", ")]
    assert [name for name, _ in told] == ["z1[1]", "dL/dz1[1]"]
    assert [float(number) for _, number in told] == [first.z[0, 1], first.dz[0, 1]]
    action.move_to_element(one(browser, 'text[data-key="W2[2,0]"] .value')).perform()
    assert hint.text.startswith("W2[2,0] = ") and ", dL/dW2[2,0] = " in hint.text
    action.move_to_element(one(browser, "h1")).perform()
    assert hint.text == usual
    action.move_to_element(one(browser, 'text[data-key="dz2[0]"] .value')).perform()
    assert hint.text == f"dL/dz2[0] = {t.of_row(0).layers[1].dz[0, 0]!r}".replace("np.float64(", "").rstrip(")")
    one(browser, "#worksheet").click()
    action.move_to_element(one(browser, 'text[data-key="z1[1]"] .value')).perform()
    assert "=" not in hint.text  # there it would tell


@pytest.mark.peer
def test_a_path_is_lit_and_nothing_else(browser, tmp_path):
    net = fp.Network([2, fp.Dense(3, "tanh"), fp.LayerNorm(), fp.Dense(2)], dtype="float64", seed=0)
    t = fp.trace(net, [[1.0, 2.0]], [[1.0, 0.0]], loss="half_mse")
    show(browser, t, tmp_path / "page.html")
    click(browser, "z1[2]")
    lit = {element.get_attribute("data-edge") for element in browser.find_elements("css selector", "path.way")}
    path = t.explain("z1[2]").paths[0]
    there = [f"{edge.source}>{edge.target}" for edge in path.edges]
    assert lit == {each for each in there if each[0] == "a"} and len(lit) == 3  # lines are from box to box
    second = browser.find_elements("css selector", "#detail .path button")[1]
    second.click()
    lit = {element.get_attribute("data-edge") for element in browser.find_elements("css selector", "path.way")}
    path = t.explain("z1[2]").paths[1]
    assert lit == {f"{edge.source}>{edge.target}" for edge in path.edges if edge.source.kind == "a"}


@pytest.mark.peer
def test_another_row(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    assert value(browser, "z1[0]") == f"{t.layers[0].z[0, 0]:.4g}"
    one(browser, "#row option:nth-child(2)").click()
    assert value(browser, "z1[0]") == f"{t.layers[0].z[1, 0]:.4g}"
    assert value(browser, "dz1[0]") == f"{t.of_row(1).layers[0].dz[1, 0]:.4g}"


@pytest.mark.peer
def test_the_worksheet_knows_right_from_wrong(browser, tmp_path):
    t = small()
    show(browser, t, tmp_path / "page.html")
    one(browser, "#worksheet").click()
    assert [value(browser, key) for key in ("z1[0]", "dz1[0]", "g1[0]", "db1[0]", "dW1[0,0]")] == ["?"] * 5
    assert value(browser, "b1[0]") == "0.1"
    answer = one(browser, 'input[data-answer="z1[0]"]')
    label = answer.find_element("xpath", "..").text
    assert label.startswith("z1[0] = x[0] W1[0,0] + x[1] W1[1,0] + b1[0] =")
    verdict = answer.find_element("xpath", "../..").find_element("css selector", "[role=status]")
    answer.send_keys("123\ue007")
    assert verdict.text == "not yet: try again" and value(browser, "z1[0]") == "?"
    answer.clear()
    answer.send_keys("abc\ue007")
    assert verdict.text == "that is no number"
    answer.clear()
    answer.send_keys(f"{t.layers[0].z[0, 0]:.3g}\ue007")
    assert verdict.text == "right" and value(browser, "z1[0]") == f"{t.layers[0].z[0, 0]:.4g}"
    assert one(browser, "#score").text.startswith("1 of 28 right")  # z, a, da, dz of 4 units, 9 weights, L, dx
    assert browser.switch_to.active_element.get_attribute("data-answer") == "z1[1]"  # on to the next
    click(browser, "a1[0]")
    assert not one(browser, "#detail").is_displayed()  # which would tell
    one(browser, "#worksheet").click()
    assert value(browser, "z1[1]") != "?" and not one(browser, "#sheet").is_displayed()
    quiet(browser)


@pytest.mark.peer
def test_hostile_names_do_nothing(browser, tmp_path):
    names = [HOSTILE, "</script><img src=x onerror=document.title='broken'>"]
    show(browser, small(), tmp_path / "page.html", names=names)
    assert browser.title == "Backpropagation, number by number"
    assert HOSTILE[:19] in one(browser, "svg").text
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
    one(browser, "#detail > div > button").click()
    k, where = 0, np.unravel_index(np.argmax(np.abs(t.layers[0].dW)), t.layers[0].dW.shape)
    wanted = f"dC/dW{k + 1}[{where[0]},{where[1]}]"
    assert one(browser, "#detail h3").text.startswith(wanted)
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
    assert len(buttons) == 2 + 9 + 3 * 4  # each number that has a chain rule can be reached with Tab
    assert all(button.get_attribute("tabindex") == "0" for button in buttons)
