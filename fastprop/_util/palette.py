"""The colours of every page and picture, each with what it means, for light and dark paper.

A colour never carries a meaning alone: negative lines are dashed too, and so are curves of rows held out.
"""

from collections.abc import Iterable
from typing import NamedTuple

TEXT, MARK = 4.5, 3.0  # the contrast with the page that WCAG 2.2, level AA, asks of text, and of lines and controls


class Colour(NamedTuple):
    """A colour on light and on dark paper, the contrast that it has with page and panel, and what it means."""

    light: str
    dark: str
    contrast: float
    meaning: str


# Orange, blue and green are those of Okabe and Ito 2008, *Color universal design*. The rest differs from theirs, since
# it contrasts with the page too; colour-blind readers can tell all of them apart.
COLOURS = {
    "page": Colour("#FFFFFF", "#14171C", 0, "the page, and what is written into"),
    "panel": Colour("#F6F8FA", "#1C2128", 0, "a box or a control on the page"),
    "ink": Colour("#1F2328", "#E6EDF3", TEXT, "text, and the values of the forward pass"),
    "soft": Colour("#59636E", "#9AA4AF", TEXT, "text of less weight: hints, labels of axes"),
    "rule": Colour("#D8DEE4", "#353B43", 0, "a line that only divides, and that nothing is read off"),
    "border": Colour("#7D8590", "#77808A", MARK, "the edge of a box or a control, and a line without a sign"),
    "accent": Colour("#6F42C1", "#B794F6", TEXT, "what is chosen or has the focus"),
    "on-accent": Colour("#FFFFFF", "#14171C", 0, "text on the accent"),
    "good": Colour("#00755E", "#5CE0BE", TEXT, "a right answer"),
    "bad": Colour("#B3261E", "#FF8A80", TEXT, "an error, a wrong answer"),
    "positive": Colour("#0072B2", "#56B4E9", MARK, "a weight or a derivative above 0, as a solid line"),
    "negative": Colour("#D55E00", "#F08A4B", MARK, "a weight or a derivative below 0, as a dashed line"),
    "positive-text": Colour("#005F96", "#56B4E9", TEXT, "the same, as a number"),
    "negative-text": Colour("#A84300", "#F08A4B", TEXT, "the same, as a number with its sign"),
    "training": Colour("#0072B2", "#56B4E9", MARK, "the rows that are trained on, as a solid line"),
    "held-out": Colour("#D55E00", "#F08A4B", MARK, "rows held out, for validation or test, as a dashed line"),
    "class-0": Colour("#D55E00", "#F08A4B", MARK, "class 0: orange"),
    "class-1": Colour("#0072B2", "#56B4E9", MARK, "class 1: blue"),
    "class-2": Colour("#009E73", "#34E0A8", MARK, "class 2: green"),
    "class-3": Colour("#803A72", "#CF5F9E", MARK, "class 3: purple"),
    "class-4": Colour("#634900", "#F2D544", MARK, "class 4: yellow, on light paper a dark one"),
    "class-5": Colour("#2C99B4", "#C4ECFF", MARK, "class 5: sky"),
}
CLASSES = [f"class-{k}" for k in range(6)]
# Curves without another meaning begin with the blue of training.
SERIES = ["class-1", "class-0", *CLASSES[2:]]


def css(scope: str = ":root", names: Iterable[str] = COLOURS) -> str:
    """Return the colours as CSS custom properties of `scope`: ``var(--ink)``. Print has those of light paper."""
    light, dark = (properties(theme, names) for theme in ("light", "dark"))
    return (
        f"{scope} {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ {scope} {{ {dark} }} }}\n"
    )


def chosen_css(*scopes: str) -> str:
    """Return the colours of a page in a frame, as ``data-theme`` of its root chooses; `scopes` are in the root."""
    rules = (
        ", ".join(f':root[data-theme="{theme}"]{scope}' for scope in ("", *scopes))
        + f" {{ color-scheme: {theme}; {properties(theme)} }}\n"
        for theme in ("light", "dark")
    )
    return "@media screen {\n" + "".join(rules) + "}\n"


def properties(theme: str, names: Iterable[str] = COLOURS) -> str:
    """Return the CSS declarations of the colours of a theme, "light" or "dark"."""
    return " ".join(f"--{name}: {getattr(COLOURS[name], theme)};" for name in names)


def sign(value: float) -> str:
    """Return the name of the colour of a weight or a derivative: by its sign, that of a line without one at 0."""
    return "positive" if value > 0 else "negative" if value < 0 else "border"

