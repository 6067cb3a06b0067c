"""The colours of pages and pictures: what can be read on what, and what colour-blind readers can tell apart."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from contrast import contrast, linear

from fastprop._util import palette

THEMES = ("light", "dark")
# How red, green and blue (linear) look to people whose cones of one kind do not work: Machado, Oliveira, Fernandes
# 2009, *A physiologically-based model for simulation of color vision deficiency*, severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
# The least distance in CIELAB of two of the six colours of Okabe and Ito is 17.9 by the same calculation. 2.3 is one
# that the eye just notices.
APART = 17.9


def lab(colour, vision):
    """Return the coordinates of a colour in CIELAB, as a vision sees it."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(VISION[vision] @ linear(colour), 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_is_that_of_the_standard():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", [name for name, colour in palette.COLOURS.items() if colour.contrast])
def test_text_and_marks_contrast_with_page_and_panel(name, theme):
    colour = palette.COLOURS[name]
    assert colour.contrast in (palette.TEXT, palette.MARK)
    for background in ("page", "panel"):
        found = contrast(getattr(colour, theme), getattr(palette.COLOURS[background], theme))
        assert found >= colour.contrast, (background, found)


@pytest.mark.parametrize("theme", THEMES)
def test_text_on_the_accent_contrasts_with_it(theme):
    on, accent = (getattr(palette.COLOURS[name], theme) for name in ("on-accent", "accent"))
    assert contrast(on, accent) >= palette.TEXT


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "names",
    [
        palette.CLASSES,
        ("positive", "negative"),
        ("positive-text", "negative-text"),
        ("training", "held-out"),
        ("good", "bad"),
        ("ink", "accent"),
    ],
    ids=lambda names: names[0],
)
def test_colours_stay_apart_for_colour_blind_readers(names, vision, theme):
    for one, other in combinations(names, 2):
        seen = [lab(getattr(palette.COLOURS[name], theme), vision) for name in (one, other)]
        assert np.linalg.norm(seen[0] - seen[1]) >= APART, (one, other)


def test_css_has_every_colour_of_both_themes_and_light_ones_in_print():
    text = palette.css()
    light, dark = text.split("@media screen and (prefers-color-scheme: dark)")
    for name, colour in palette.COLOURS.items():
        assert f"--{name}: {colour.light};" in light
        assert f"--{name}: {colour.dark};" in dark
    assert palette.css(".graph", ["ink"]).count(".graph {") == 2
    assert palette.css(".graph", ["ink"]).count("--") == 2


def test_a_sign_has_a_colour_and_zero_has_none():
    assert [palette.sign(value) for value in (0.5, -1e-30, 0.0, -0.0, float("nan"))] == [
        "positive", "negative", "border", "border", "border",
    ]  # fmt: skip


def test_no_other_file_has_a_colour_of_its_own():
    literal = re.compile(r"#[0-9a-fA-F]{6}\b|(?<=[:\s\"'(])#[0-9a-fA-F]{3}(?=[;\s\"')])")
    found = {}
    for folder in ("fastprop", "tools", "docs/_ext", "docs/_static"):
        for path in (ROOT / folder).rglob("*"):
            if path.name != "palette.py" and path.suffix in SOURCES and path.is_file():
                for colour in literal.findall(path.read_text(encoding="utf-8")):
                    found.setdefault(str(path.relative_to(ROOT)), set()).add(colour)
    assert not found


def test_colours_that_are_one_on_light_paper_are_one_on_dark_paper():
    """Pictures that stand in a page find the name of a colour by its light value."""
    dark = {}
    for colour in palette.COLOURS.values():
        assert dark.setdefault(colour.light, colour.dark) == colour.dark


def test_series_are_the_classes_in_the_order_of_curves():
    assert sorted(palette.SERIES) == palette.CLASSES
    assert [palette.COLOURS[name][:2] for name in palette.SERIES[:2]] == [
        palette.COLOURS[name][:2] for name in ("training", "held-out")
    ]


ROOT = Path(__file__).resolve().parents[2]
SOURCES = (".css", ".js", ".html", ".py", "")  # the tools have no suffix
# Properties of the theme of the documentation.
OF_THEME = re.compile(r"(color|font|sidebar|toc|admonition|card|api)-")


def test_pages_name_colours_that_there_are():
    used, own = {}, set()
    for folder in ("fastprop", "docs/_ext", "docs/_static"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in SOURCES:
                text = path.read_text(encoding="utf-8")
                used |= dict.fromkeys(re.findall(r"var\(--([a-z0-9-]+)[,)]", text), str(path))
                own |= set(re.findall(r"--([a-z0-9-]+)(?:: |\"[,)])", text))
    assert used
    unknown = {name: path for name, path in used.items() if name not in {*palette.COLOURS, *own}}
    assert not {name: path for name, path in unknown.items() if not OF_THEME.match(name)}
