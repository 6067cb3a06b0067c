"""Directives: `drawn`, an SVG that stands in the page, and `card`, a link with a picture, within `cards`.

````
:::::{cards} small
::::{card} relu
:link: relu
:picture: activations/relu_thumbnail.svg
What stands below the title.
::::
:::::
````

A picture is a file in docs/generated/, written by another extension; in the page it has the page's colours. Other
pictures (`image`, and `dark` for a dark page) are files of docs/. Links are names of pages, from docs/ or relative to
the page.
"""

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from generated import FOLDER


class Picture(SphinxDirective):
    """Writes an SVG into the page; what stands in the directive is its caption."""

    required_arguments, has_content = 1, True
    option_spec: ClassVar = {"wide": directives.flag}

    def run(self):
        """Return a figure."""
        drawn = _svg(self)
        if "wide" in self.options:
            drawn = f'<div class="scrolls" tabindex="0" role="group">{drawn}</div>'
        figure = nodes.container(classes=["drawn"])
        figure += nodes.raw("", drawn, format="html")
        if self.content:
            caption = nodes.container(classes=["drawn-caption"])
            self.state.nested_parse(self.content, self.content_offset, caption)
            figure += caption
        return [figure]


def _svg(directive, name=None):
    path = FOLDER / (name or directive.arguments[0])
    directive.env.note_dependency(str(path))
    return path.read_text(encoding="utf-8")


class Cards(SphinxDirective):
    """A grid of cards; its argument is its size: small, large or nothing."""

    optional_arguments, has_content = 1, True

    def run(self):
        """Return the grid."""
        grid = nodes.container(classes=["cards", *self.arguments])
        self.state.nested_parse(self.content, self.content_offset, grid)
        return [grid]


class Card(SphinxDirective):
    """A card: picture, title, and what stands in the directive."""

    required_arguments, final_argument_whitespace, has_content = 1, True, True
    option_spec: ClassVar = dict.fromkeys(("link", "picture", "image", "dark", "alt"), directives.unchanged)

    def run(self):
        """Return the card."""
        card = nodes.container(classes=["card"])
        if name := self.options.get("picture"):
            card += nodes.raw("", _svg(self, name), format="html")
        if path := self.options.get("image"):
            dark = self.options.get("dark")
            shown = [(path, ["only-light"]), (dark, ["only-dark"])] if dark else [(path, [])]
            for uri, theme in shown:
                card += nodes.image("", uri=uri, alt=self.options["alt"], classes=["thumbnail", *theme])
        title = nodes.inline("", self.arguments[0])
        if target := self.options.get("link"):
            # any: a page, as in Markdown's links, or a heading or a name of the reference
            link = addnodes.pending_xref(
                "", title, refdomain="std", reftype="doc", reftarget=target, refexplicit=True, refwarn=True
            )
            link["refdoc"] = self.env.docname
            title = link
        card += nodes.paragraph("", "", title, classes=["card-title"])
        self.state.nested_parse(self.content, self.content_offset, card)
        return [card]


def setup(app):
    """What Sphinx calls."""
    app.add_directive("drawn", Picture)
    app.add_directive("cards", Cards)
    app.add_directive("card", Card)
    app.add_css_file("pictures.css")
    return {"parallel_read_safe": True}
