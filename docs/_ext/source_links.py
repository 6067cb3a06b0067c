"""Removes the links from source code to a documentation of it that there is not: of methods that a page leaves out."""

import re

BACK = re.compile(r'<a class="viewcode-back" href="([^"]*)">\[docs\]</a>')


def check(app, pagename, templatename, context, doctree):
    """Keep a link whose anchor is that of an object of the reference."""
    if not pagename.startswith("_modules/") or "body" not in context:
        return
    names = {entry.node_id: entry.docname for entry in app.env.domains["py"].objects.values()}

    def link(found):
        address, _, anchor = found[1].partition("#")
        page = names.get(anchor)
        return found[0] if page and address == app.builder.get_relative_uri(pagename, page) else ""

    context["body"] = BACK.sub(link, context["body"])


def setup(app):
    """What Sphinx calls."""
    app.connect("html-page-context", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
