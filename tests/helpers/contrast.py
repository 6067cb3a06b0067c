"""The contrast of two colours, as WCAG 2.2 defines it."""

import numpy as np


def linear(colour):
    """Return the linear red, green and blue of #RRGGBB."""
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Return the contrast of WCAG 2.2."""
    dark, light = sorted(linear(each) @ [0.2126, 0.7152, 0.0722] for each in (one, other))
    return (light + 0.05) / (dark + 0.05)
