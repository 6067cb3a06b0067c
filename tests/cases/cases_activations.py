"""The cases of activations, and how far each may be from its twin; kernel_cases.py states how errors are counted.

If g(z) is computed with at most 8 roundings, of numbers as large as g itself or of arguments z whose errors it passes
on, it is within 8 eps (|g| + |z g'|).
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

# the largest |g'| with the default hyperparameters, where it is above 1
STEEPEST = {
    "selu": 1.76, "gelu": 1.13, "gelu_tanh": 1.13, "silu": 1.1, "mish": 1.09, "hard_swish": 1.5, "sin": 30.0,
}  # fmt: skip

# the largest |g''|, where it is above 1
SHARPEST = {"gaussian": 2.0, "sin": 900.0}


def usual(name):
    """Return the default hyperparameters of an activation, as the twin has them."""
    return tuple(p.default for p in inspect.signature(twin.ACTIVATIONS[name][0]).parameters.values() if p.name != "z")


def numbers_of(name):
    """Return the tuples of hyperparameters that an activation is tested with."""
    return [usual(name), *([twin.OTHER_NUMBERS[name]] if name in twin.OTHER_NUMBERS else [])]


def hyper_of(numbers):
    """Return the array that a kernel takes: the hyperparameters, and NaN where it must not read."""
    return np.array([*numbers, *[np.nan] * (HYPER - len(numbers))])


def value_bound(draw, name, z, a, numbers=None):
    """Return how far a = g(z) may be from the twin's for the same z."""
    if name in EXACT:
        return 0
    _, derivative = twin.activation(name if numbers is None else (name, *numbers))
    vanished = 709 * draw.tiny  # |z| e^-|z| where e^-|z| becomes denormal, at 709 in float64
    return 8 * draw.eps * (np.abs(a) + np.abs(z * derivative(z, a))) + vanished


def terms(name, numbers):
    """Return a bound of the terms of g', and of z g''; those of selu, lambda alpha = 1.76, are the largest."""
    if name == "sin":
        return numbers[0]
    return max([2.0, *np.abs(numbers)])


def saved_bound(draw, name, z, numbers):
    """Return how far a saved slope may be from the twin's."""
    size = terms(name, numbers) * np.ones_like(z)
    if name == "sin":  # omega z is rounded, and may be large
        size *= 1 + np.abs(numbers[0] * z)
    return 8 * draw.eps * size


def slope_bound(draw, name, dz, numbers=None):
    """Return how far dz g'(z) may be off for the same dz and saved: at most two roundings of g', one of the product."""
    if name in EXACT:
        return 0
    return 4 * draw.eps * terms(name, usual(name) if numbers is None else numbers) * np.abs(dz)


def saved_of(draw, name, z, numbers=()):
    """Return what a forward pass over z saves."""
    a, slope = twin.forward((name, *numbers), z.astype(np.float64))
    return (a if slope is None else slope).astype(draw.dtype)
