"""Backpropagation in a network of any depth, as two passes.

By the chain rule, the derivative of a loss L with respect to a weight W is a product of two numbers,

    dL/dW = dz/dW * dL/dz             where z is the pre-activation that contains W.

Backpropagation computes both numbers for all weights:

    forward pass     z = ... + W * input + ...  so  dz/dW = input.  The forward pass computes the
                     inputs of every layer, and saves them.
    backward pass    z affects the loss only through the next layer, so, from the last layer to the first,
                     dL/dz = g'(z) * sum over the z' of the next layer of (W' dL/dz').

This script has both passes in 20 lines, for any depth, and compares them with the engine.
"""

import numpy as np
from check import check

import fastprop as fp

# Name -> g(z), and g'(z) as a function of a = g(z).
ACTIVATIONS = {
    "identity": (lambda z: z, lambda a: 1.0),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: a > 0.0),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda a: a * (1.0 - a)),
    "tanh": (np.tanh, lambda a: 1.0 - a**2),
}


def forward(x, layers):
    """Return the outputs, and what the backward pass needs of every layer: its inputs, which are dz/dW, and a."""
    saved = []
    for W, b, activation in layers:
        g, _ = ACTIVATIONS[activation]
        a = g(x @ W + b)
        saved.append((x, a))
        x = a
    return x, saved


def backward(dL_da, layers, saved):
    """Return dL/dW and dL/db of every layer, given dL/da of the last one."""
    gradients = []
    for (W, _, activation), (dz_dW, a) in zip(reversed(layers), reversed(saved), strict=True):
        _, slope = ACTIVATIONS[activation]
        dL_dz = slope(a) * dL_da
        gradients.append((dz_dW.T @ dL_dz, dL_dz.sum(axis=0)))  # sums over the rows
        dL_da = dL_dz @ W.T  # of the layer before
    return gradients[::-1]


def compare(x, y, activations):
    """Compare both passes with the engine's, for a network of layers of 3 neurons with these activations."""
    network = fp.Network([3, *(fp.Dense(3, name) for name in activations)], dtype="float64", seed=5)
    for b in network.biases:
        b[:] = [0.1, -0.2, 0.3]
    layers = list(zip(network.weights, network.biases, activations, strict=True))

    a, saved = forward(x, layers)
    gradients = backward(a - y, layers, saved)  # L = sum 1/2 (a - y)^2, so dL/da = a - y

    engine_a = network.forward(x)
    network.backward(engine_a - y)  # fills network.gradient

    flat = np.concatenate([part.ravel() for pair in gradients for part in pair])
    np.testing.assert_allclose(engine_a, a, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network.gradient, flat, rtol=1e-12, atol=1e-12)
    return network, gradients


rng = np.random.default_rng(0)
x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))

print("Three layers, from the last to the first. Left: the engine. Right: the two passes.")
network, gradients = compare(x, y, ["tanh", "relu", "identity"])
of_layers = network.gradient.reshape(3, 4, 3)  # each W is 3 x 3, followed by its b as a 4th row
for k in (2, 1, 0):
    check(f"dL/dW{k + 1}", of_layers[k, :3], gradients[k][0])
    check(f"dL/db{k + 1}", of_layers[k, 3], gradients[k][1])

print("\nDepths 1 to 12, with every activation:")
for depth in range(1, 13):
    for name in ACTIVATIONS:
        network, _ = compare(x, y, [name] * depth)
    print(f"  {depth:2} layers, {network.n_parameters:3} parameters: the same numbers")

# The gradient also agrees with finite differences, to the 6 digits that they are accurate to.
network, _ = compare(x, y, ["tanh", "sigmoid", "identity"])
differences = np.empty_like(network.gradient)
for i in range(network.n_parameters):
    losses = []
    for change in (1e-5, -2e-5):  # to 1e-5 above the parameter's value, then to 1e-5 below it
        network.parameters[i] += change
        losses.append(0.5 * np.sum((network(x) - y) ** 2))
    network.parameters[i] += 1e-5
    differences[i] = (losses[0] - losses[1]) / 2e-5
np.testing.assert_allclose(network.gradient, differences, rtol=1e-6, atol=1e-8)
print("\nFinite differences give the same gradient, to 6 digits.")
