"""The documentation in a browser, opened from files and from a server: its search, its cards and its versions."""

import functools
import http.server
import subprocess
import sys
import threading

import pytest
from doc_blocks import DOCS

from fastprop import __version__ as VERSION

pytestmark = pytest.mark.peer

# The settings and extensions of the documentation, for a few pages instead of three hundred.
CONF = f"""
from pathlib import Path
source = Path({str(DOCS)!r}, "conf.py")
names = {{"__file__": str(source)}}
exec(compile(source.read_text(encoding="utf-8"), source, "exec"), names)
globals().update({{name: value for name, value in names.items() if not name.startswith("_")}})
extensions = ["myst_parser", "mathml", "cards", "search", "versions"]
html_static_path, templates_path = [str(source.parent / "_static")], [str(source.parent / "_templates")]
"""
PAGES = {
    "index": "# Start\n\n::::{cards} small\n:::{card} Dropout\n:link: dropout\nSets inputs to 0.\n:::\n::::\n\n"
    "```{toctree}\ndropout\nversions\ndeep/er\n```\n",
    "dropout": "# Dropout\n\nIt sets some numbers to zero & divides the <others>.\n\n## The rate\n\nA share.\n",
    "versions": "# Versions\n\n```{versions}\n```\n",
    "deep/er": "# Learning rates\n\nThe learning rate of a zebra.\n",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the built pages as this version and, without them but the first, as 99.0."""
    for name in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(name, reason="the `docs` extra is not installed")
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site with a space")
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    for name, text in PAGES.items():
        path = source / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sphinx", "-W", "-n", "-q", "-b", "html", "-t", "site", source, site / VERSION],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    other = site / "99.0"
    other.mkdir()
    (other / "index.html").write_text("<title>the other</title>", encoding="utf-8")
    (other / "pages.json").write_text('["index"]', encoding="utf-8")
    tool = DOCS.parent / "tools" / "check_links"
    done = subprocess.run(
        [sys.executable, tool, "--site", site, site / VERSION], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    return site


@pytest.fixture(scope="module", params=["file", "http"])
def address(request, built):
    """The address of the folder: of files, and of a server."""
    if request.param == "file":
        yield built.as_uri()
        return
    handler = functools.partial(_Quiet, directory=built)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def wait(browser, script):
    """Return what a script returns as soon as that is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda each: each.execute_script(script))


def search(browser, address, query):
    browser.get(f"{address}/{VERSION}/search.html?q={query}")
    wait(browser, "return document.querySelector('.search-summary')?.innerText.startsWith('Search finished')")
    found = "return [...document.querySelectorAll('#search-results li')].map(e => [e.querySelector('a').innerText, "
    return browser.execute_script(found + "e.querySelector('a').href, e.querySelector('.summary')?.innerText])")


def errors(browser):
    return [entry["message"] for entry in browser.get_log("browser") if "favicon" not in entry["message"]]


def test_the_search_finds_pages_and_says_what_they_are(browser, address):
    errors(browser)
    (title, link, summary), *_ = search(browser, address, "dropout")
    assert title == "Dropout"
    assert link.endswith(f"/{VERSION}/dropout.html")
    assert summary == "It sets some numbers to zero & divides the <others>."
    ((title, link, summary),) = search(browser, address, "zebra")
    assert (title, summary) == ("Learning rates", "The learning rate of a zebra.")
    assert link.endswith(f"/{VERSION}/deep/er.html")
    assert errors(browser) == []


def test_a_search_typed_into_a_page(browser, address):
    browser.get(f"{address}/{VERSION}/deep/er.html")
    field = browser.find_element("css selector", "input[name=q]")
    field.send_keys("dropout\n")
    wait(browser, "return document.querySelector('#search-results li .summary')?.innerText")
    browser.find_element("css selector", "#search-results li a").click()
    assert wait(browser, "return document.title.startsWith('Dropout')")


def test_a_card_is_its_link(browser, address):
    browser.get(f"{address}/{VERSION}/index.html")
    card = browser.find_element("css selector", ".cards > .card")
    assert "Sets inputs to 0." in card.text
    browser.execute_script("arguments[0].scrollIntoView()", card)
    box = card.rect
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).move_to_element_with_offset(card, 0, int(box["height"] / 2) - 4).click().perform()
    assert wait(browser, "return document.title.startsWith('Dropout')")


def test_versions_stand_side_by_side(browser, address):
    from selenium.webdriver.support.ui import Select

    errors(browser)
    browser.get(f"{address}/{VERSION}/deep/er.html")
    assert f"Version {VERSION}, in development" in browser.find_element("css selector", ".version").text
    switch = Select(browser.find_element("css selector", ".version-switch select"))
    assert [option.text for option in switch.options] == ["99.0", VERSION]
    assert switch.first_selected_option.text == VERSION
    switch.select_by_visible_text("99.0")
    assert wait(browser, "return document.title == 'the other'")  # its first page, since it lacks this one
    browser.get(f"{address}/index.html")
    assert wait(browser, "return document.title == 'the other'")  # the newest
    browser.get(f"{address}/{VERSION}/versions.html")
    article = browser.find_element("css selector", "article").text
    assert f"document version {VERSION}, which is in development" in article
    assert errors(browser) == []
