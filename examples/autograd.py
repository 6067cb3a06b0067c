"""Reverse-mode automatic differentiation in plain Python, twice: of numbers, and of NumPy arrays.

Every operation makes a node, which has its value and, for each node that it was computed from, the local derivative.
The nodes are the tape of the calculation. `backward` reads it from the end to the beginning, and adds to the gradient
of each node the sum over its edges of (local derivative) times (gradient at the end of the edge).

docs/tutorial/autograd.md explains both classes and compares them with the engine.
"""

import math

import numpy as np


def topological_order(last):
    """Return the nodes that `last` was computed from, each after all that it was computed from itself."""
    order, seen, stack = [], set(), [(last, False)]
    while stack:  # a loop, because a deep network has more nodes in a row than Python allows nested calls
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.edges)
    return order


# ---- numbers: a local derivative is a number ----


class Number:
    """A node with one number."""

    def __init__(self, value, edges=()):
        self.value, self.edges, self.gradient = float(value), edges, 0.0

    def __add__(self, other):
        other = as_number(other)
        return Number(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = as_number(other)
        return Number(self.value * other.value, ((self, other.value), (other, self.value)))

    def __pow__(self, n):
        return Number(self.value**n, ((self, n * self.value ** (n - 1)),))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -as_number(other)

    __radd__, __rmul__ = __add__, __mul__

    def relu(self):
        return Number(max(self.value, 0.0), ((self, 1.0 if self.value > 0 else 0.0),))

    def tanh(self):
        a = math.tanh(self.value)
        return Number(a, ((self, 1 - a * a),))

    def sigmoid(self):
        a = 0.5 * (1 + math.tanh(0.5 * self.value))  # exp would overflow where the value is far below 0
        return Number(a, ((self, a * (1 - a)),))

    def identity(self):
        return self

    def backward(self):
        """Compute the derivative of this number with respect to every number that it was computed from."""
        order = topological_order(self)
        for node in order:
            node.gradient = 0.0
        self.gradient = 1.0
        for node in reversed(order):
            for parent, local_derivative in node.edges:
                parent.gradient += local_derivative * node.gradient


def as_number(value):
    """Return the value as a node; a constant is a node without edges."""
    return value if isinstance(value, Number) else Number(value)


def network_of_numbers(sizes, activations, parameters):
    """Return the function from a row of inputs to a list of outputs.

    Parameters
    ----------
    sizes : list of int
        The inputs, and the neurons of each layer.
    activations : list of str
    parameters : list of Number
        In the engine's order: of each layer the weights, those of input 0 first, then the biases.
    """
    rest = iter(parameters)
    layers = []
    for n_in, n_out, activation in zip(sizes, sizes[1:], activations):
        W = [[next(rest) for _ in range(n_out)] for _ in range(n_in)]
        b = [next(rest) for _ in range(n_out)]
        layers.append((W, b, activation))

    def outputs(row):
        a = [as_number(x) for x in row]
        for W, b, activation in layers:
            z = [sum((a[i] * W[i][j] for i in range(len(a))), b[j]) for j in range(len(b))]
            a = [getattr(each, activation)() for each in z]
        return a

    return outputs


def half_mse(outputs, targets):
    """Return the loss of one row, 1/2 sum (a - y)^2."""
    return 0.5 * sum((a - y) ** 2 for a, y in zip(outputs, targets))


# ---- arrays: a local derivative is a function from the gradient of a node to its parent's share of it ----


class Array:
    """A node with a whole array. Its edges have functions: the matrix of all local derivatives is never built."""

    def __init__(self, value, edges=()):
        self.value, self.edges, self.gradient = np.asarray(value, float), edges, None

    def __add__(self, bias):
        """Add a bias to every row."""
        return Array(self.value + bias.value, ((self, lambda d: d), (bias, lambda d: d.sum(axis=0))))

    def __matmul__(self, W):
        return Array(self.value @ W.value, ((self, lambda d: d @ W.value.T), (W, lambda d: self.value.T @ d)))

    def relu(self):
        return Array(np.maximum(self.value, 0), ((self, lambda d: d * (self.value > 0)),))

    def tanh(self):
        a = np.tanh(self.value)
        return Array(a, ((self, lambda d: d * (1 - a**2)),))

    def sigmoid(self):
        a = 0.5 * (1 + np.tanh(0.5 * self.value))
        return Array(a, ((self, lambda d: d * a * (1 - a)),))

    def identity(self):
        return self

    def half_mse(self, targets):
        """Return the cost: the mean over the rows of 1/2 sum (a - y)^2."""
        error, m = self.value - targets, len(self.value)
        return Array(0.5 * (error**2).sum() / m, ((self, lambda d: d * error / m),))

    def backward(self):
        """Compute the derivative of this number with respect to every array that it was computed from."""
        order = topological_order(self)
        for node in order:
            node.gradient = np.zeros_like(node.value)
        self.gradient = np.ones_like(self.value)
        for node in reversed(order):
            for parent, share in node.edges:
                parent.gradient = parent.gradient + share(node.gradient)


def network_of_arrays(layers, x):
    """Return the outputs, an Array, of layers that are each (W, b, activation), for a matrix x of rows."""
    a = Array(x)
    for W, b, activation in layers:
        a = getattr(a @ W + b, activation)()
    return a
