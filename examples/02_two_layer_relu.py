"""A regression network of two layers, with a ReLU between them.

For all m rows at once,

    z1 = x W1 + b1        a1 = ReLU(z1)        z2 = a1 W2 + b2        a2 = z2
    L  = 1/2 sum (a2 - y)^2 of each row        C = 1/m sum over rows of L

Each output is a linear neuron as in example 01, with the inputs a1 instead of x, so dL/dz2 = a2 - y and

    dC/dW2 = 1/m a1^T dL/dz2               dC/db2 = 1/m sum over rows of dL/dz2

For the hidden layer, the chain rule multiplies the error (a2 - y) by W2^T and by the derivative of
the ReLU, which is 1 for z > 0 and 0 elsewhere. The rest has the same form:

    dL/dz1 = (a2 - y) W2^T * ReLU'(z1)
    dC/dW1 = 1/m x^T dL/dz1                dC/db1 = 1/m sum over rows of dL/dz1
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
dL_dz1 = (a2 - y) @ W2.T * (z1 > 0)

# The engine's gradient is flat, in the order W1, b1, W2, b2.
C, gradient = network.value_and_gradient(x, y, loss="half_mse")
dW1, db1, dW2, db2 = np.split(gradient, np.cumsum([W1.size, b1.size, W2.size]))

print(f"1 where z1 > 0, a line for each row:\n{(z1 > 0).astype(int)}\n")
print("Left: the engine. Right: the closed form.")
check("a2 = ReLU(x W1 + b1) W2 + b2", network(x), a2)
check("C = 1/m sum 1/2 (a2 - y)^2", C, np.sum(0.5 * (a2 - y) ** 2) / m)
check("dC/dW2 = 1/m a1^T (a2 - y)", dW2.reshape(W2.shape), a1.T @ (a2 - y) / m)
check("dC/db2 = 1/m sum (a2 - y)", db2, np.sum(a2 - y, axis=0) / m)
check("dC/dW1 = 1/m x^T dL/dz1", dW1.reshape(W1.shape), x.T @ dL_dz1 / m)
check("dC/db1 = 1/m sum dL/dz1", db1, np.sum(dL_dz1, axis=0) / m)

# One element by hand. z1 of neuron 2 is positive only in rows 2 and 3 (2.05 and 1.05), so only they
# contribute to dC/dW1[1,2] = 1/4 (x[2,1] dL/dz1[2,2] + x[3,1] dL/dz1[3,2]), where
# dL/dz1[2,2] = -3.05 * -2 - 0.5625 * 0.75 = 5.678125 and dL/dz1[3,2] = 0.175 * -2 - 1.425 * 0.75 = -1.41875.
by_hand = (-1.5 * 5.678125 + 0.25 * -1.41875) / 4
np.testing.assert_allclose(dW1.reshape(W1.shape)[1, 2], by_hand, rtol=1e-12)

print("\nEvery number agrees to 12 digits.")
