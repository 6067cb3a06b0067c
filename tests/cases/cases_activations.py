"""What activations are tried on, and how far each may be from its twin; kernel_cases.py says how to count.

g(z) computed with at most 8 roundings, of numbers as large as itself or of arguments z whose own roundings it carries
on, is within 8 eps (|g| + |z g'|).
"""

import inspect

import numpy as np
import reference_activations as twin
from kernel_draws import HYPER

from fastprop._core import _engine

ACTIVATIONS = _engine.names("activation")
SAVES_SLOPE = [name for number, name in enumerate(ACTIVATIONS) if _engine.activation_saves(number) == "slope"]
SAVES_OUTPUT = [name for name in ACTIVATIONS if name not in SAVES_SLOPE]

EXACT = {"identity", "relu", "relu6"}  # no rounding at all

# the largest |g'| with the usual numbers, where it is above 1
STEEPEST = {
    "selu": 1.76, "gelu": 1.13, "gelu_tanh": 1.13, "silu": 1.1, "mish": 1.09, "hard_swish": 1.5, "sin": 30.0,
}  # fmt: skip

# the largest |g''|, likewise
SHARPEST = {"gaussian": 2.0, "sin": 900.0}


def usual(name):
    """The usual numbers of an activation, as the twin has them."""
    return tuple(p.default for p in inspect.signature(twin.ACTIVATIONS[name][0]).parameters.values() if p.name != "z")


def numbers_of(name):
    """Each tuple of numbers that an activation is tried with."""
    return [usual(name), *([twin.OTHER_NUMBERS[name]] if name in twin.OTHER_NUMBERS else [])]


def hyper_of(numbers):
    """What a kernel takes: the numbers, and NaN where it must not look."""
    return np.array([*numbers, *[np.nan] * (HYPER - len(numbers))])


def value_bound(draw, name, z, a, numbers=None):
    """How far a = g(z) may be from the twin's for the same z."""
    if name in EXACT:
        return 0
    _, derivative = twin.activation(name if numbers is None else (name, *numbers))
    vanished = 709 * draw.tiny  # |z| e^-|z| where e^-|z| falls out of the normal numbers, at 709 in float64
    return 8 * draw.eps * (np.abs(a) + np.abs(z * derivative(z, a))) + vanished


def terms(name, numbers):
    """A bound of the terms that g' is the sum of, and of z g'': selu's, of lambda alpha = 1.76, are the largest."""
    if name == "sin":
        return numbers[0]
    return max([2.0, *np.abs(numbers)])


def saved_bound(draw, name, z, numbers):
    """The same of a slope that is saved."""
    size = terms(name, numbers) * np.ones_like(z)
    if name == "sin":  # omega z is rounded, and may be large
        size *= 1 + np.abs(numbers[0] * z)
    return 8 * draw.eps * size


def slope_bound(draw, name, dz, numbers=None):
    """The same of dz g'(z) for the same dz and saved: at most two roundings of g', and the product's."""
    if name in EXACT:
        return 0
    return 4 * draw.eps * terms(name, usual(name) if numbers is None else numbers) * np.abs(dz)


def saved_of(draw, name, z, numbers=()):
    """What a forward pass over z would have saved."""
    a, slope = twin.forward((name, *numbers), z.astype(np.float64))
    return (a if slope is None else slope).astype(draw.dtype)
