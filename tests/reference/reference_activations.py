"""The activations of the readable twin (reference.py), in float64 NumPy: g(z), and g'(z) given z and a = g(z).

The hyperparameters of a formula follow, with their usual values as defaults.
"""

import math

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


def elu(z, alpha=1.0):
    return np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def elu_derivative(z, a, alpha=1.0):
    return np.where(a > 0.0, 1.0, a + alpha)


SELU_LAMBDA, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(z):
    return SELU_LAMBDA * elu(z, SELU_ALPHA)


def selu_derivative(z, a):
    return np.where(a > 0.0, SELU_LAMBDA, a + SELU_LAMBDA * SELU_ALPHA)


def celu(z, alpha=1.0):
    return np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0) / alpha))


def celu_derivative(z, a, alpha=1.0):
    return np.where(a > 0.0, 1.0, a / alpha + 1.0)


erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(z):
    return 0.5 * z * erfc(-z / math.sqrt(2.0))


def gelu_derivative(z, a):
    return 0.5 * erfc(-z / math.sqrt(2.0)) + z * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def gelu_tanh_argument(z):
    return 2.0 * math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3)


def gelu_tanh(z):
    return z * sigmoid(gelu_tanh_argument(z))  # (1 + tanh v) / 2 = s(2 v)


def gelu_tanh_derivative(z, a):
    v = gelu_tanh_argument(z)
    slope = 2.0 * math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * z * z)
    return sigmoid(v) + z * sigmoid(v) * sigmoid(-v) * slope


def silu(z):
    return z * sigmoid(z)


def silu_derivative(z, a):
    return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)


def mish(z):
    return z * np.tanh(np.logaddexp(0.0, z))


def mish_derivative(z, a):
    t = np.tanh(np.logaddexp(0.0, z))
    return t + z * (1.0 - t * t) * sigmoid(z)


def softplus(z, beta=1.0):
    return np.logaddexp(0.0, beta * z) / beta


def softplus_derivative(z, a, beta=1.0):
    return sigmoid(beta * z)


def softsign(z):
    return z / (1.0 + np.abs(z))


def softsign_derivative(z, a):
    return (1.0 - np.abs(a)) ** 2


def sigmoid(z):
    return np.exp(-np.logaddexp(0.0, -z))  # 1 / (1 + e^-z) without overflow, exact in both tails


def sigmoid_derivative(z, a):
    return a * (1.0 - a)


def hard_sigmoid(z):
    return np.clip((z + 3.0) / 6.0, 0.0, 1.0)


def hard_sigmoid_derivative(z, a):
    return np.where((a > 0.0) & (a < 1.0), 1.0 / 6.0, 0.0)


def tanh(z):
    return np.tanh(z)


def tanh_derivative(z, a):
    return 1.0 - a * a


def hard_tanh(z, low=-1.0, high=1.0):
    return np.clip(z, low, high)


def hard_tanh_derivative(z, a, low=-1.0, high=1.0):
    return np.where((a > low) & (a < high), 1.0, 0.0)


def relu6(z):
    return np.clip(z, 0.0, 6.0)


def relu6_derivative(z, a):
    return np.where((a > 0.0) & (a < 6.0), 1.0, 0.0)


def hard_swish(z):
    return z * np.clip(z + 3.0, 0.0, 6.0) / 6.0


def hard_swish_derivative(z, a):
    return np.where(z <= -3.0, 0.0, np.where(z >= 3.0, 1.0, z / 3.0 + 0.5))


def log_sigmoid(z):
    return -np.logaddexp(0.0, -z)


def log_sigmoid_derivative(z, a):
    return sigmoid(-z)


def gaussian(z):
    return np.exp(-z * z)


def gaussian_derivative(z, a):
    return -2.0 * z * a


def sin(z, omega=30.0):
    return np.sin(omega * z)


def sin_derivative(z, a, omega=30.0):
    return omega * np.cos(omega * z)


# name -> (g, g'), in the order of kernels.def
ACTIVATIONS = {
    "identity": (identity, identity_derivative),
    "relu": (relu, relu_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "elu": (elu, elu_derivative),
    "selu": (selu, selu_derivative),
    "celu": (celu, celu_derivative),
    "gelu": (gelu, gelu_derivative),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative),
    "silu": (silu, silu_derivative),
    "mish": (mish, mish_derivative),
    "softplus": (softplus, softplus_derivative),
    "softsign": (softsign, softsign_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_derivative),
    "tanh": (tanh, tanh_derivative),
    "hard_tanh": (hard_tanh, hard_tanh_derivative),
    "relu6": (relu6, relu6_derivative),
    "hard_swish": (hard_swish, hard_swish_derivative),
    "log_sigmoid": (log_sigmoid, log_sigmoid_derivative),
    "gaussian": (gaussian, gaussian_derivative),
    "sin": (sin, sin_derivative),
}

# activations that save their slope; the others save their output
SAVES_SLOPE = {"gelu", "gelu_tanh", "silu", "mish", "softplus", "hard_swish", "log_sigmoid", "gaussian", "sin"}

# Hyperparameters for networks, other than the defaults: with an omega of 30 sin is too steep for finite differences.
OTHER_NUMBERS = {
    "leaky_relu": (0.3,),
    "elu": (0.5,),
    "celu": (2.0,),
    "softplus": (3.0,),
    "hard_tanh": (-0.5, 2.0),
    "sin": (1.0,),
}


def activation(given):
    """Return (g, g') of a name, with its default hyperparameters, or of (name, *hyperparameters)."""
    name, *numbers = (given,) if isinstance(given, str) else given
    g, derivative = ACTIVATIONS[name]
    return lambda z: g(z, *numbers), lambda z, a: derivative(z, a, *numbers)


def with_other_numbers(name):
    """Return the name, or (name, *hyperparameters) if it has some."""
    return (name, *OTHER_NUMBERS[name]) if name in OTHER_NUMBERS else name


def name_of(given):
    return given if isinstance(given, str) else given[0]


# the kernels


def forward(given, z):
    """Return (a, saved): `saved` is the slope, or None if the backward pass needs the output."""
    g, derivative = activation(given)
    a = g(z)
    return a, derivative(z, a) if name_of(given) in SAVES_SLOPE else None


def backward(given, dz, saved):
    """Return dz g'(z), from the saved slope or from the output: a > 0 exactly where z > 0."""
    if name_of(given) in SAVES_SLOPE:
        return dz * saved
    return dz * activation(given)[1](saved, saved)
