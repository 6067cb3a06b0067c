"""The symbols: how quantities and derivatives are written."""

import re
from pathlib import Path
from runpy import run_path

import pytest

from fastprop._util import notation

ROOT = Path(__file__).resolve().parents[2]
FORMS = (notation.plain, notation.html, notation.latex)


@pytest.mark.parametrize(
    "quantity, plain, html, latex",
    [
        (("W", 1, (0, 2)), "W1[0,2]", "<i>W</i><sub>1,02</sub>", "W_{1,02}"),
        (("W", 1, (0, 12)), "W1[0,12]", "<i>W</i><sub>1,0,12</sub>", "W_{1,0,12}"),
        (("W", "k", ("i", "j")), "Wk[i,j]", "<i>W</i><sub>k,ij</sub>", "W_{k,ij}"),
        (("a", 2), "a2", "<i>a</i><sub>2</sub>", "a_{2}"),
        (("x", "", (0,)), "x[0]", "<i>x</i><sub>0</sub>", "x_{0}"),
        (("slope", 1, (0,)), "g'(z1[0])", "<i>g</i><sub>1</sub>'(<i>z</i><sub>1,0</sub>)", "g_{1}'(z_{1,0})"),
        (("theta",), "theta", "<i>&theta;</i>", r"\theta"),
    ],
)
def test_a_quantity_in_every_form(quantity, plain, html, latex):
    assert [form(*quantity) for form in FORMS] == [plain, html, latex]


def test_a_derivative_says_what_is_derived():
    assert notation.derivative("a", 2, of="L") == (
        "dL/da2",
        "&part;<i>L</i>/&part;<i>a</i><sub>2</sub>",
        r"\frac{\partial L}{\partial a_{2}}",
    )
    assert notation.derivative("W", 1, (0, 2)).plain == "dC/dW1[0,2]"
    assert notation.derivative("theta").plain == "dC/dtheta"


@pytest.mark.parametrize("letter", notation.SYMBOLS)
def test_every_symbol_can_be_written_and_is_explained_by_symbols(letter):
    symbol = notation.SYMBOLS[letter]
    written = [form(letter, "k") if symbol.layered else form(letter) for form in FORMS]
    assert all(written)
    assert symbol.meaning
    # What has a subscript in a shape or a meaning is a symbol of the table itself.
    for name in re.findall(r"\b(\w+?)_", symbol.shape + symbol.meaning):
        assert name in notation.SYMBOLS, name


def test_the_picture_of_both_passes_is_what_the_engine_computes():
    draw = run_path(str(ROOT / "tools" / "picture"))["draw"]
    assert (ROOT / "docs" / "network.svg").read_text(encoding="utf-8") == draw()
