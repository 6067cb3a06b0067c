"""Says which version the pages document, on each page and, by the directive `versions`, on a page about it.

`tools/docs --site FOLDER` puts each version into a folder of FOLDER, beside the others. FOLDER/versions.js names them
and their pages, and versions.js in docs/_static offers the same page of another version; neither needs a server.
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

import fastprop
from generated import ROOT

RELEASED = json.loads((ROOT / "docs" / "versions.json").read_text(encoding="utf-8"))
DEVELOPMENT = fastprop.__version__ not in RELEASED


class Versions(Directive):
    """Writes which version this is, and the list of those that were released."""

    def run(self):
        """Return a paragraph and a list."""
        if DEVELOPMENT:
            said = (
                f"These pages document version {fastprop.__version__}, which is in development: it is not released, "
                "and names may still change."
            )
        else:
            said = f"These pages document version {fastprop.__version__}, of {RELEASED[fastprop.__version__]}."
        listed = nodes.bullet_list()
        for version, date in RELEASED.items():
            listed += nodes.list_item("", nodes.paragraph(text=f"{version}, {date}"))
        note = nodes.note("", nodes.paragraph(text=said)) if DEVELOPMENT else nodes.paragraph(text=said)
        released = nodes.paragraph(text="Released:" if RELEASED else "No version is released yet.")
        return [note, released, *([listed] if RELEASED else [])]


def show(app, pagename, templatename, context, doctree):
    """Give the sidebar what it shows, and in a folder of versions the script that knows the others."""
    context["development"] = DEVELOPMENT
    context["about_versions"] = context["pathto"]("versions") if "versions" in app.env.found_docs else ""
    if app.tags.has("site"):
        app.add_js_file("../../versions.js", priority=400)  # from _static/: beside the folder of this version
        app.add_js_file("versions.js", loading_method="defer")


def finish(app, exception):
    """Write the list of this version's pages, from which tools/docs makes FOLDER/versions.js."""
    if exception is None and app.tags.has("site"):
        pages = sorted(app.env.found_docs)
        Path(app.outdir, "pages.json").write_text(json.dumps(pages), encoding="utf-8")


def setup(app):
    """What Sphinx calls."""
    app.add_directive("versions", Versions)
    app.connect("html-page-context", show)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
