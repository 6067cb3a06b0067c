"""Sphinx: the documentation of fastprop. `tools/docs` builds it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import fastprop
from fastprop._util import palette

project = "fastprop"
author = "the fastprop developers"
release = version = fastprop.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "table_headers",
    "mathml",
    "of_lists",
    "of_modules",
    "of_examples",
    "of_symbols",
    "of_landing",
    "cards",
    "of_inside",
    "pictures",
    "search",
    "source_links",
    "traces",
    "playground",
    "exercises",
    "versions",
]
exclude_patterns = ["_ext", "_templates", "generated/landing"]
default_role = "literal"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
html_math_renderer = "mathml"

# Parameters are described in words ("array_like, (rows, n_inputs)"), which are not names to be looked up.
numpydoc_xref_param_type = False
numpydoc_show_class_members = False
# Attributes of the estimators that they inherit from a module without a page.
nitpick_ignore = [("py:obj", "network_"), ("py:obj", "feature_importances_")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "furo"
html_show_copyright = False
html_title = f"fastprop {release}"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/version.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_show_search_summary = False  # which would be fetched; search.py writes one into the results
html_search_scorer = str(Path(__file__).parent / "_ext" / "scorer.js")
html_copy_source = False  # nobody reads Markdown beside the page; the repository has it
# The theme takes the colours of every page and picture: var(--ink) in a style sheet is that of the chosen theme.
OF_THEME = {
    "color-brand-primary": "accent",
    "color-brand-content": "accent",
    "color-brand-visited": "accent",
    "color-background-primary": "page",
    "color-background-secondary": "panel",
    "color-background-border": "rule",
    "color-foreground-primary": "ink",
    "color-foreground-secondary": "soft",
    "color-foreground-muted": "soft",
    "color-foreground-border": "border",
}
html_theme_options = {
    f"{theme}_css_variables": {name: getattr(colour, theme) for name, colour in palette.COLOURS.items()}
    | {name: getattr(palette.COLOURS[taken], theme) for name, taken in OF_THEME.items()}
    for theme in ("light", "dark")
} | {"top_of_page_buttons": []}
html_css_files = ["numbers.css", "access.css"]
html_js_files = [("access.js", {"defer": "defer"})]
templates_path = ["_templates"]
highlight_language = "none"  # what is no block of code with a language is a formula
pygments_style = "default"
