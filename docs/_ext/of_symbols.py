"""The directives `symbols` and `colours`: the tables of fastprop/_util/notation.py and palette.py."""

import re
from html import escape

from docutils import nodes
from docutils.parsers.rst import Directive

from fastprop._util import notation, palette

# The indices of one number of a quantity.
PLACES = {"x": ("r", "i"), "W": ("i", "j"), "b": ("j",), "z": ("r", "j"), "slope": ("r", "j"), "a": ("r", "j")}
SUBSCRIPT = re.compile(r"\b([A-Za-z])_(?:\{(.+?)\}|(\w))")


def _typeset(text):
    """Return text in HTML in which W_k and n_{k-1} have subscripts."""
    return SUBSCRIPT.sub(lambda found: f"<i>{found[1]}</i><sub>{found[2] or found[3]}</sub>", escape(text))


def _table(header, rows):
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table class="docutils align-default"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return [nodes.raw("", f'<div class="table-wrapper docutils container">{table}</div>', format="html")]


class Symbols(Directive):
    """Shows every symbol."""

    def run(self):
        """Return the table."""
        rows = []
        for letter, symbol in notation.SYMBOLS.items():
            places = ((), PLACES[letter]) if letter in PLACES else ((),)
            formula = ", ".join(notation.html(letter, "k" if symbol.layered else "", place) for place in places)
            written = ", ".join(notation.plain(letter, 1 if symbol.layered else "", place) for place in places)
            meaning = symbol.meaning + (f"; {symbol.shape}" if symbol.shape else "")
            rows.append([formula, f"<code>{escape(written)}</code>", _typeset(meaning)])
        return _table(["in a formula", "in plain text", "meaning, and shape of all numbers"], rows)


class Colours(Directive):
    """Shows every colour on both papers."""

    def run(self):
        """Return the table."""
        rows = []
        for name, colour in palette.COLOURS.items():
            samples = [_sample(name, theme) for theme in ("light", "dark")]
            rows.append([*samples, f"<code>{name}</code>", colour.meaning])
        return _table(["light", "dark", "name", "meaning"], rows)


def _sample(name, theme):
    """Return a line, or a word where the colour is one of text, on the paper of a theme."""
    shade, page, ink = (escape(getattr(palette.COLOURS[each], theme)) for each in (name, "page", "ink"))
    contrast = palette.COLOURS[name].contrast
    if contrast == palette.TEXT:
        drawn = f'<text x="36" y="17" text-anchor="middle" font-size="14" fill="{shade}">{shade}</text>'
    elif contrast == palette.MARK:
        dash = ' stroke-dasharray="7 5"' if "dashed" in palette.COLOURS[name].meaning else ""
        drawn = f'<path d="M8 12H64" stroke="{shade}" stroke-width="3"{dash}/>'
    else:
        drawn = f'<rect x="8" y="5" width="56" height="14" fill="{shade}" stroke="{ink}" stroke-width="0.5"/>'
    return (
        f'<svg viewBox="0 0 72 24" width="72" height="24" role="img" aria-label="{shade} on {page}">'
        f'<rect width="72" height="24" fill="{page}"/>{drawn}</svg>'
    )


def setup(app):
    """What Sphinx calls."""
    app.add_directive("symbols", Symbols)
    app.add_directive("colours", Colours)
    return {"parallel_read_safe": True}
