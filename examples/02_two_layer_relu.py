"""A regression network of two layers, with a ReLU between them.

For all m examples at once, one per row,

    z1 = x W1 + b1        a1 = ReLU(z1)        z2 = a1 W2 + b2        a2 = z2
    L  = sum 1/2 (a2 - y)^2

Each output is a linear neuron as in example 01, with the inputs a1 instead of x:

    dL/dW2 = a1^T (a2 - y)                 dL/db2 = sum over rows of (a2 - y)

For the hidden layer, the chain rule multiplies the error (a2 - y) by W2^T and by the derivative of
the ReLU, which is 1 for z > 0 and 0 elsewhere. With the result D in place of (a2 - y), the equations
have the same form:

    D      = (a2 - y) W2^T * ReLU'(z1)
    dL/dW1 = x^T D                         dL/db1 = sum over rows of D

fastprop's cost is the mean over the rows, so its gradients are these divided by m.
"""

import numpy as np
from check import check

import fastprop as fp

network = fp.Network([2, 3, 2], activation="relu", dtype="float64")
W1, W2 = network.weights
b1, b2 = network.biases
W1[:] = [[1.0, -1.0, 0.5], [0.5, 2.0, -1.0]]
b1[:] = [0.1, -0.2, 0.3]
W2[:] = [[1.0, -0.5], [0.25, 1.5], [-2.0, 0.75]]
b2[:] = [0.05, -0.1]

x = np.array([[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [2.0, 0.25]])
y = np.array([[1.0, 0.0], [0.5, -1.0], [-1.0, 2.0], [0.0, 1.0]])
m = len(x)

# The closed form, from the equations above.
z1 = x @ W1 + b1
a1 = np.maximum(z1, 0.0)
a2 = a1 @ W2 + b2
D = (a2 - y) @ W2.T * (z1 > 0)

# The engine's gradient is flat, in the order W1, b1, W2, b2.
cost, gradient = network.value_and_gradient(x, y, loss="half_mse")
dW1, db1, dW2, db2 = np.split(gradient, np.cumsum([W1.size, b1.size, W2.size]))

print(f"1 where z1 > 0, a row for each example:\n{(z1 > 0).astype(int)}\n")
print("Left: the engine. Right: the closed form.")
check("a2 = ReLU(x W1 + b1) W2 + b2", network(x), a2)
check("L/m = 1/m sum 1/2 (a2 - y)^2", cost, np.sum(0.5 * (a2 - y) ** 2) / m)
check("dL/dW2 = a1^T (a2 - y)", m * dW2.reshape(W2.shape), a1.T @ (a2 - y))
check("dL/db2 = sum (a2 - y)", m * db2, np.sum(a2 - y, axis=0))
check("dL/dW1 = x^T [(a2 - y) W2^T * ReLU'(z1)]", m * dW1.reshape(W1.shape), x.T @ D)
check("dL/db1 = sum of D", m * db1, np.sum(D, axis=0))

# One element by hand. z1 of unit 3 is positive only in rows 3 and 4 (2.05 and 1.05), so only they
# contribute to dL/dW1[2,3] = x[3,2] D[3,3] + x[4,2] D[4,3].
# D[3,3] = -3.05 * -2 - 0.5625 * 0.75 = 5.678125 and D[4,3] = 0.175 * -2 - 1.425 * 0.75 = -1.41875.
by_hand = -1.5 * 5.678125 + 0.25 * -1.41875
np.testing.assert_allclose(m * dW1.reshape(W1.shape)[1, 2], by_hand, rtol=1e-12)

print("\nEvery number agrees to 12 digits.")
