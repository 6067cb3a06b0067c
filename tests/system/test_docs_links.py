"""tools/check_links finds what a page links to and is not there, and tools/docs' versions stand beside each other."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_links"


@pytest.fixture
def check(capsys, monkeypatch):
    """Runs the tool; gives its status and what it prints."""
    loader = SourceFileLoader("check_links", str(TOOL))
    tool = module_from_spec(spec_from_loader("check_links", loader))
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # nothing beside the tool, which has no suffix
    loader.exec_module(tool)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["check_links", *map(str, arguments)])
        return int(tool.main()), capsys.readouterr().out

    return run


def site(folder, **pages):
    for name, body in pages.items():
        path = folder / f"{name.replace('__', '/')}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<!doctype html><title>{name}</title><body>{body}</body>", encoding="utf-8")


def test_pages_without_a_fault(check, tmp_path):
    (tmp_path / "a b.svg").write_text("<svg/>")
    site(
        tmp_path,
        index='<h1 id="top">x</h1><a href="sub/page.html#deep%20end">1</a><a href="#top">2</a><a href="sub/">3</a>',
        sub__page='<p id="deep end"><img src="../a%20b.svg" alt=""><a href="https://example.org/x?y#z">4</a>',
        sub__index='<a href="../index.html">up</a><img src="data:image/gif;base64,AA" alt="dot">',
        _traces__t='<a href="t.html#step=3&row=0">a state of a page that a script reads</a>',
    )
    status, printed = check(tmp_path)
    assert (status, printed) == (0, "tools/check_links: 8 links, 1 to other servers, 0 faults\n")


@pytest.mark.parametrize(
    "body, fault",
    [
        ('<a href="gone.html">', "there is no gone.html"),
        ('<a href="other.html#gone">', "other.html has no #gone"),
        ('<a href="#gone">', "this page has no #gone"),
        ('<a href="#step=3">', "this page has no #step=3"),
        ('<img src="gone.png" alt="x">', "there is no gone.png"),
        ('<img srcset="other.html 1x, gone.webp 2x" alt="x">', "there is no gone.webp"),
        ('<iframe src="_traces/gone.html">', "there is no _traces/gone.html"),
        ('<script src="gone.js"></script>', "there is no gone.js"),
        ('<img src="other.html">', "has no alternative text"),
        ('<p id="a"><p id="a">', "the id 'a' is there twice"),
        ('<a href="htp://example.org">', "is no address of a page"),
        ('<a href="https://example">', "is no address of a page"),
        ('<a href="https://[x">', "is no address"),
    ],
)
def test_a_fault_is_found(check, tmp_path, body, fault):
    site(tmp_path, index=body, other='<p id="here">')
    status, printed = check(tmp_path)
    assert status == 1
    assert "index.html:1: " in printed
    assert fault in printed


def test_the_versions_of_a_folder(check, tmp_path):
    for version in ("0.9.0", "0.10.0"):
        site(tmp_path / version, index="x")
        (tmp_path / version / "pages.json").write_text('["index"]')
    status, _ = check("--site", tmp_path, tmp_path / "0.9.0")
    assert status == 0
    assert (tmp_path / "versions.js").read_text() == 'const VERSIONS = {"0.10.0": ["index"], "0.9.0": ["index"]};\n'
    assert "url=0.10.0/index.html" in (tmp_path / "index.html").read_text()  # the newest, not the last by its letters
