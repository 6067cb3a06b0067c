"""Every block of code in README.md and docs/ runs, and prints what its page says."""

import ast
import importlib
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import doc_blocks
import pytest

import fastprop as fp

PAGES = doc_blocks.pages()


def _cases():
    for page in PAGES:
        marks = [pytest.mark.peer] if doc_blocks.needs(page) else []
        yield pytest.param(page, id=str(page.relative_to(doc_blocks.DOCS.parent)), marks=marks)


@pytest.mark.parametrize("page", list(_cases()))
def test_page(page):
    absent = [package for package in doc_blocks.needs(page) if find_spec(package) is None]
    if absent:
        pytest.skip(f"this page needs {', '.join(absent)}: the `peers` extra is not installed")
    if "```console" in page.read_text("utf-8") and not shutil.which("bash"):
        pytest.skip("commands in this page are for bash")
    for block, printed in zip(*doc_blocks.run(page)):
        wanted = block.code if block.kind == "console" else block.expected
        assert doc_blocks.same(block, printed), f"line {block.line}: printed\n{printed}\nwanted\n{wanted}"


def test_no_formula_is_broken_by_a_line():
    """A formula whose second line begins with a minus would be a list in Markdown."""
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$|^\$\$.*?\$\$$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.M | re.S)
        for line in prose.splitlines():
            assert line.count("$") % 2 == 0, f"{page}: {line}"


def messages():
    """Return every text in the source of the package, with a space for each value that is inserted."""
    package = Path(fp.__file__).parent
    for source in package.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else " " for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_what_can_go_wrong_says_it_so():
    """Each message that the page quotes is one of the package."""
    page = (doc_blocks.DOCS / "guide" / "what_can_go_wrong.md").read_text("utf-8")
    known = "\n".join(messages())
    quoted = [
        text for row in re.findall(r"^\| .* \| (.*) \|$", page, re.MULTILINE) for text in re.findall(r"`(.*?)`", row)
    ]
    quoted.remove("DivergenceError")
    assert len(quoted) > 30
    for text in quoted:
        pieces = [re.escape(piece) for piece in text.split("...") if piece]
        assert re.search(".*".join(pieces), known), f"no message has {text!r}"


def test_there_are_pages():
    assert len(PAGES) > 3


def test_a_wrong_output_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```output\n3\n```\n")
    (block,), (printed,) = doc_blocks.run(page)
    assert printed == "2\n"
    assert not doc_blocks.same(block, printed)


def test_an_output_that_the_page_does_not_show_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('silence')\n```\n")
    (block,), (printed,) = doc_blocks.run(page)
    assert not doc_blocks.same(block, printed)


def test_an_exception_is_its_last_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\nprint(x)\n{}['a']\n```\n\n```output\n1\nKeyError: 'a'\n```\n")
    (block,), (printed,) = doc_blocks.run(page)
    assert doc_blocks.same(block, printed)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor"])
def test_the_diagram_of_an_estimator_links_to_its_page(name, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(doc_blocks.DOCS / "_ext")
    of_modules = importlib.import_module("of_modules")
    estimator = getattr(fp, name)()
    address = estimator._get_doc_link()
    assert f'href="{address}"' in estimator._repr_html_()
    module = address.rpartition("/")[2].removesuffix(".html")
    assert module in of_modules.modules() and any(name in each for each in of_modules._documented(module))


def test_commands_that_are_shown_and_not_run_are_understood():
    """They are in blocks of bash; what they need, such as a table, the page does not have."""
    from fastprop.cli.main import _parser

    commands = []
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            commands += [line.split()[1:] for line in block.splitlines() if line.startswith("fastprop ")]
    assert ["train", "houses.csv", "--target", "price"] in commands
    for words in commands:
        _parser().parse_args(words)
