"""The directive `trace` of docs/_ext, which shows the page of a trace in a page of the documentation."""

import subprocess
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).resolve().parents[2] / "docs" / "_ext"
PAGE = """# A page

```python
import fastprop as fp

net = fp.Network([2, 3, 1], dtype="float64", seed=3)
```

```{trace} fp.trace(net, [[1.0, 2.0]], [0.5], loss="half_mse")
:names: width, <height>
:step: 4
:number: W1[0,1]
```
"""
CONF = """
import sys
sys.path.insert(0, {folder!r})
extensions = ["myst_parser", "traces"]
"""


@pytest.mark.peer
def test_a_page_of_the_documentation_has_a_trace(browser, tmp_path):
    for module in ("sphinx", "myst_parser"):
        pytest.importorskip(module)
    (tmp_path / "conf.py").write_text(CONF.format(folder=str(EXTENSIONS)))
    (tmp_path / "index.md").write_text(PAGE)
    built = tmp_path / "built"
    subprocess.run([sys.executable, "-P", "-m", "sphinx", "-W", "-q", "-b", "html", tmp_path, built], check=True)
    browser.get((built / "index.html").as_uri())
    frame = browser.find_element("css selector", "iframe.trace")
    assert frame.get_attribute("title").startswith("Both passes of the network <Network 2-3-1")
    browser.switch_to.frame(frame)
    assert browser.find_element("id", "caption").text.startswith("4/13 ")
    assert browser.find_element("css selector", "#detail h2 span").text.startswith("W1[0,1] = ")
    assert "<height>" in browser.find_element("css selector", "svg").text
    browser.switch_to.default_content()
