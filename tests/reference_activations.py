"""The activations of the readable twin (reference.py), in float64 NumPy: g(z), and g'(z) given z and a = g(z).

The numbers of a formula follow, with the values that the field gives them.
"""

import numpy as np


def identity(z):
    return z


def identity_derivative(z, a):
    return np.ones_like(z)


def relu(z):
    return np.maximum(z, 0.0)


def relu_derivative(z, a):
    return np.where(z > 0.0, 1.0, 0.0)  # ReLU'(0) = 0


def leaky_relu(z, slope=0.01):
    return np.where(z > 0.0, z, slope * z)


def leaky_relu_derivative(z, a, slope=0.01):
    return np.where(z > 0.0, 1.0, slope)


def sigmoid(z):
    return np.exp(-np.logaddexp(0.0, -z))  # 1 / (1 + e^-z) without overflow, exact in both tails


def sigmoid_derivative(z, a):
    return a * (1.0 - a)


def tanh(z):
    return np.tanh(z)


def tanh_derivative(z, a):
    return 1.0 - a * a


def sin(z, omega=30.0):
    return np.sin(omega * z)


def sin_derivative(z, a, omega=30.0):
    return omega * np.cos(omega * z)


# name -> (g, g'), in the order of kernels.def
ACTIVATIONS = {
    "identity": (identity, identity_derivative),
    "relu": (relu, relu_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "tanh": (tanh, tanh_derivative),
    "sin": (sin, sin_derivative),
}

# whose backward pass needs the slope; that of the others makes do with the output
KEEPS_SLOPE = {"sin"}

# Numbers other than the usual, for networks: with its own omega of 30 sin is too steep for finite differences.
OTHER_NUMBERS = {"leaky_relu": (0.3,), "sin": (1.0,)}


def activation(given):
    """(g, g') of a name, which stands for the usual numbers, or of (name, *numbers)."""
    name, *numbers = (given,) if isinstance(given, str) else given
    g, derivative = ACTIVATIONS[name]
    return lambda z: g(z, *numbers), lambda z, a: derivative(z, a, *numbers)


def with_other_numbers(name):
    """A name, or (name, *numbers) where it has numbers."""
    return (name, *OTHER_NUMBERS[name]) if name in OTHER_NUMBERS else name


def name_of(given):
    return given if isinstance(given, str) else given[0]


# the kernels


def forward(given, z):
    """(a, kept): `kept` is the slope, or None where the output is what the backward pass needs."""
    g, derivative = activation(given)
    a = g(z)
    return a, derivative(z, a) if name_of(given) in KEEPS_SLOPE else None


def backward(given, dz, kept):
    """Dz g'(z), from the slope that was kept, or from the output: a > 0 exactly where z > 0."""
    if name_of(given) in KEEPS_SLOPE:
        return dz * kept
    return dz * activation(given)[1](kept, kept)
