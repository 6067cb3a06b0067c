"""Any network, as two passes.

By the chain rule the derivative of a loss l with respect to a weight w is a product of two numbers,

    dl/dw = dz/dw * dl/dz             where z is the sum that w goes into,

and backpropagation is nothing but the way to get each of the two for every weight at once:

    forward pass     z = ... + w * input + ...  so  dz/dw = input.  Whoever computes z holds
                     the input in hand: keeping it is the first number done.
    backward pass    z acts on the loss only through the layer above, so dl/dz comes from there:
                     dl/dz = g'(z) * sum over the z' above of (w' dl/dz'), from the last layer down.

Below it is, in 20 lines that know nothing of the depth, and then beside the engine.
"""

import numpy as np
from beside import beside

import fastprop as fp

# Name -> g(z), and g'(z) by way of a = g(z).
ACTIVATIONS = {
    "identity": (lambda z: z, lambda a: 1.0),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: a > 0.0),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda a: a * (1.0 - a)),
    "tanh": (np.tanh, lambda a: 1.0 - a**2),
}


def forward(x, layers):
    """The outputs, and of every layer what the way back needs: dz/dw, that is its inputs, and a."""
    kept = []
    for w, b, activation in layers:
        g, _ = ACTIVATIONS[activation]
        a = g(x @ w + b)
        kept.append((x, a))
        x = a
    return x, kept


def backward(dl_da, layers, kept):
    """dl/dW and dl/db of every layer, from dl/da of the last one."""
    gradients = []
    for (w, _, activation), (dz_dw, a) in zip(reversed(layers), reversed(kept), strict=True):
        _, slope = ACTIVATIONS[activation]
        dl_dz = slope(a) * dl_da
        gradients.append((dz_dw.T @ dl_dz, dl_dz.sum(axis=0)))  # summed over the examples, the rows
        dl_da = dl_dz @ w.T  # to the layer below
    return gradients[::-1]


def compare(x, y, activations):
    """Both passes, ours and the engine's, for a network of layers of 3 with these activations."""
    network = fp.Network([3, *(fp.Dense(3, name) for name in activations)], dtype="float64", seed=5)
    for b in network.biases:
        b[:] = [0.1, -0.2, 0.3]
    layers = list(zip(network.weights, network.biases, activations, strict=True))

    a, kept = forward(x, layers)
    gradients = backward(a - y, layers, kept)  # l = sum 1/2 (a - y)^2, so dl/da = a - y

    engine_a = network.forward(x)
    network.backward(engine_a - y)  # fills network.gradient

    flat = np.concatenate([part.ravel() for pair in gradients for part in pair])
    np.testing.assert_allclose(engine_a, a, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network.gradient, flat, rtol=1e-12, atol=1e-12)
    return network, gradients


rng = np.random.default_rng(0)
x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))

print("Three layers, from the last to the first: left the engine, right the two passes")
network, gradients = compare(x, y, ["tanh", "relu", "identity"])
of_layers = network.gradient.reshape(
    3, 4, 3
)  # each W is 3 x 3, and its b lies behind it as a 4th row
for k in (2, 1, 0):
    beside(f"dl/dW{k + 1}", of_layers[k, :3], gradients[k][0])
    beside(f"dl/db{k + 1}", of_layers[k, 3], gradients[k][1])

print("\nDepth 1 to 12, every activation:")
for depth in range(1, 13):
    for name in ACTIVATIONS:
        network, _ = compare(x, y, [name] * depth)
    print(f"  {depth:2} layers, {network.n_parameters:3} parameters: the same numbers")

# A derivative is a promise about a small change. The engine keeps it: moving each parameter a
# little and looking at the loss says the same, to the 6 digits that this cruder way can give.
network, _ = compare(x, y, ["tanh", "sigmoid", "identity"])
moved = np.empty_like(network.gradient)
for i in range(network.n_parameters):
    losses = []
    for nudge in (1e-5, -2e-5):  # up, then down from there
        network.parameters[i] += nudge
        losses.append(0.5 * np.sum((network(x) - y) ** 2))
    network.parameters[i] += 1e-5
    moved[i] = (losses[0] - losses[1]) / 2e-5
np.testing.assert_allclose(network.gradient, moved, rtol=1e-6, atol=1e-8)
print(
    "\nMoving each parameter a little and looking at the loss gives the same gradient, to 6 digits."
)
