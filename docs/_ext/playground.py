"""The directive `playground`: the page of the playground that needs no server, training in a page of the documentation.

````
```{playground} data=spirals&hidden=8,8&hide=trace
```
````

The argument is a lesson, as the page's own "Share" writes it behind the # of its address. The page is written once,
into the folder of the built pages, for all frames and for readers who save it.
"""

import runpy
import tempfile
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from fastprop.playground import static

PAGE = "_playground/playground.html"  # in the folder of the built pages
TOOL = Path(__file__).parents[2] / "tools/wasm"


def write(app):
    """Write the page, of a network that is compiled now."""
    if app.builder.format != "html":
        return
    with tempfile.TemporaryDirectory() as scratch:
        compiled = Path(scratch, static.WASM)
        if said := runpy.run_path(str(TOOL))["compile_page"](compiled):
            raise OSError(f"{TOOL} fails: {said}")
        page = static.page(wasm=compiled.read_bytes())
    target = Path(app.outdir, PAGE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


class PlaygroundDirective(Directive):
    """Shows the page in a frame, and links to it."""

    required_arguments, final_argument_whitespace = 1, True

    def run(self):
        """Return the frame and the links below it."""
        env = self.state.document.settings.env
        if env.app.builder.format != "html":
            return []
        page = "../" * env.docname.count("/") + PAGE
        frame = (
            f'<iframe class="trace" src="{page}#{escape(self.arguments[0])}" title="The playground" loading="lazy">'
            "</iframe>"
            f'<p><a href="{page}">The whole playground</a>, with all its controls; '
            f'<a href="{page}" download>save it as a file</a>, which needs no network.</p>'
        )
        return [nodes.raw("", frame, format="html")]


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", write)
    app.add_directive("playground", PlaygroundDirective)
    return {"parallel_read_safe": True}
