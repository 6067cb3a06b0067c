"""The directive `picture`: a drawing by matplotlib from what the page's blocks of Python above it computed.

````
```{picture} What the drawing shows, for readers who do not see it
from matplotlib import pyplot as plt
figure, ax = plt.subplots()
ax.plot(costs)
```
````

Its code runs after the blocks above and is not shown; `figure` is drawn, in the page's colours, light or dark, and
curves without another look have the colours and dashes of `fastprop.plots`.
"""

import io
from html import escape

import matplotlib

matplotlib.use("svg")
from docutils import nodes
from docutils.parsers.rst import Directive

from fastprop._util import palette
from fastprop.plots import style
from page_code import blocks_above, evaluated

CURVES = matplotlib.cycler(
    color=[palette.COLOURS[name].light for name in palette.SERIES[: len(style.DASHES)]], linestyle=style.DASHES
)
STYLE = style.look("light") | {
    "svg.hashsalt": "fastprop", "svg.fonttype": "none", "font.size": 10, "figure.figsize": (6.4, 3.0),
    "figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "axes.prop_cycle": CURVES,
}  # fmt: skip


class Picture(Directive):
    """Draws a picture."""

    required_arguments, final_argument_whitespace, has_content = 1, True, True

    def run(self):
        """Return the drawing."""
        env = self.state.document.settings.env
        if env.app.builder.format != "html":
            return []
        env.note_reread()  # another engine, other numbers
        with matplotlib.rc_context(STYLE):
            figure = evaluated(blocks_above(self), "figure")
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
            matplotlib.pyplot.close("all")
        svg = style.of_page(text.getvalue()[text.getvalue().index("<svg") :])
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.arguments[0])}" ', 1)
        return [nodes.raw("", f'<div class="picture">{svg}</div>', format="html")]


def setup(app):
    """What Sphinx calls."""
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
