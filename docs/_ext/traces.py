"""The directive `trace`: the page of a trace, playing in a page of the documentation.

````
```{trace} t
:names: width, height
:step: 6
```
````

The argument is an expression, in the names of the page's blocks of Python above it, which run once more when the
documentation is built: the numbers are always those that the page prints. The body of the directive may hold code that
runs after them and is not shown, for a trace that no block of the page makes.

Options: `names`, of the inputs, separated by commas; `step` (from 1), `row`, `number` (such as `W1[0,1]`) and
`worksheet`, what the page shows at first, which is the last step without them; `title`, of the frame.
"""

from html import escape
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from docutils import nodes
from docutils.parsers.rst import Directive, directives

from fastprop.explain import html as trace_page
from fastprop.explain.trace import Trace
from page_code import blocks_above, evaluated

FOLDER = "_traces"  # in the folder of the built pages
STATE = ("step", "row", "number")


class TraceDirective(Directive):
    """Writes the page of a trace and shows it in a frame."""

    required_arguments, optional_arguments, final_argument_whitespace, has_content = 1, 0, True, True
    option_spec: ClassVar = {
        **dict.fromkeys(("names", "title", *STATE), directives.unchanged),
        "worksheet": directives.flag,
    }

    def run(self):
        """Return the frame."""
        env = self.state.document.settings.env
        if env.app.builder.format != "html":
            return []
        env.note_reread()  # another engine, other numbers
        traced = evaluated(blocks_above(self), self.arguments[0])
        if not isinstance(traced, Trace):
            raise self.error(f"{self.arguments[0]} is no trace but a {type(traced).__name__}")
        names = [each.strip() for each in self.options["names"].split(",")] if "names" in self.options else None
        name = f"{env.docname.replace('/', '-')}-{self.lineno}.html"
        target = Path(env.app.outdir, FOLDER, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        trace_page.write(traced, target, names=names)
        state = ["embed", *(f"{key}={quote(self.options[key], '[],')}" for key in STATE if key in self.options)]
        state += ["worksheet"] * ("worksheet" in self.options)
        up = "../" * env.docname.count("/")
        title = self.options.get("title", f"Both passes of the network {traced.network!r}, step by step")
        frame = (
            f'<iframe class="trace" src="{up}{FOLDER}/{name}#{"&amp;".join(state)}" title="{escape(title)}" '
            'allow="fullscreen"></iframe>'
        )
        return [nodes.raw("", frame, format="html")]


def setup(app):
    """What Sphinx calls."""
    app.add_directive("trace", TraceDirective)
    app.add_js_file("traces.js", loading_method="defer")
    return {"parallel_read_safe": True}
