"""Tables without a header: Markdown asks for one, so it is written empty, and a screen reader would read it."""

from docutils import nodes


def without_empty_headers(app, doctree):
    """Take empty headers away; the first column names the rows then."""
    for table in doctree.findall(nodes.tgroup):
        for head in list(table.findall(nodes.thead)):
            if not head.astext().strip():
                table.remove(head)
                next(table.findall(nodes.colspec))["stub"] = 1


def setup(app):
    """What Sphinx calls."""
    app.connect("doctree-read", without_empty_headers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
