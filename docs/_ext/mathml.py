"""Converts formulas to MathML when the pages are built: browsers show it without a script and without a network."""

from latex2mathml.converter import convert


def inline(translator, node):
    """Write a formula in a line of text."""
    translator.body.append(convert(node.astext(), display="inline"))
    raise _done()


def display(translator, node):
    r"""Write a displayed formula. What \qquad separates may stand below each other in a narrow window."""
    parts = (convert(part, display="block") for part in node.astext().split(r"\qquad"))
    translator.body.append(f'<div class="math">{"".join(parts)}</div>')
    raise _done()


def _done():
    from docutils import nodes

    return nodes.SkipNode()


def setup(app):
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
