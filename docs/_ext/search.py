"""Makes the search work without a server: what a result says of a page is in a script, so that none has to be fetched.

Browsers fetch nothing for a page that was opened from a file, which is what Sphinx's own summaries need.
"""

import json
from pathlib import Path

from docutils import nodes

LONGEST = 200  # characters of a summary


def remember(app, doctree):
    """Store the first paragraph of a page."""
    texts = (node.astext() for node in doctree.findall(nodes.paragraph) if not _hidden(node))
    first = " ".join(next((text for text in texts if text.strip()), "").split())
    if len(first) > LONGEST:
        first = first[:LONGEST].rsplit(" ", 1)[0] + " ..."
    _summaries(app.env)[app.env.docname] = first


def _hidden(node):
    """Return whether a paragraph does not say what its page is about: in a table, below a picture, or what it needs."""
    if node.astext().startswith("Needs:"):
        return True
    while node := node.parent:
        if isinstance(node, nodes.entry) or "drawn-caption" in node.get("classes", ()):
            return True
    return False


def _summaries(env):
    if not hasattr(env, "fastprop_summaries"):
        env.fastprop_summaries = {}
    return env.fastprop_summaries


def forget(app, env, docname):
    """Forget a page that is read again or is gone."""
    _summaries(env).pop(docname, None)


def merge(app, env, docnames, other):
    """Take what another process has read."""
    found = _summaries(other)
    _summaries(env).update({name: found[name] for name in docnames if name in found})


def finish(app, exception):
    """Write the script."""
    if exception is None and app.builder.format == "html":
        said = json.dumps(_summaries(app.env), ensure_ascii=False, sort_keys=True)
        target = Path(app.outdir, "_static", "summaries.js")
        target.write_text(f'"use strict";\nconst SUMMARIES = {said};\n', encoding="utf-8")


def scripts(app, pagename, templatename, context, doctree):
    """Load the scripts in the page of the search only."""
    if pagename == "search":
        app.add_js_file("summaries.js")
        app.add_js_file("search_results.js", loading_method="defer")


def setup(app):
    """What Sphinx calls."""
    app.connect("doctree-read", remember)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-page-context", scripts)
    app.connect("build-finished", finish)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
