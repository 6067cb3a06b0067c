"""The gradient of one linear neuron with two inputs.

For one row with the inputs (x0, x1) and the target y,

    a = w0 x0 + w1 x1 + b             is the output,
    L = 1/2 (a - y)^2                 is the loss.

The parameters affect L only through a, so the chain rule gives

    dL/dw0 = dL/da * da/dw0 = (a - y) * x0
    dL/dw1 = dL/da * da/dw1 = (a - y) * x1
    dL/db  = dL/da * da/db  = (a - y) * 1

For m rows the cost C is the mean of the losses, so its gradient is the mean of their gradients.
"""

import numpy as np
from check import check

import fastprop as fp

# A network of 2 inputs and 1 linear output is this neuron. Its parameters are one flat vector.
neuron = fp.Network([2, 1], dtype="float64")
w0, w1, b = 0.5, -1.0, 0.25
neuron.parameters[:] = [w0, w1, b]

print("One row: x = (2, 3), y = 1                      engine       closed form")
x0, x1, y = 2.0, 3.0, 1.0
a = w0 * x0 + w1 * x1 + b
L, (dw0, dw1, db) = neuron.value_and_gradient([[x0, x1]], [y], loss="half_mse")

check("a = w0 x0 + w1 x1 + b", neuron([x0, x1]), -1.75)
check("L = 1/2 (a - y)^2", L, 0.5 * (a - y) ** 2)
check("dL/dw0 = (a - y) x0", dw0, (a - y) * x0)
check("dL/dw1 = (a - y) x1", dw1, (a - y) * x1)
check("dL/db  = (a - y)", db, a - y)

# By hand: a - y = -1.75 - 1 = -2.75.
np.testing.assert_allclose([dw0, dw1, db], [-5.5, -8.25, -2.75], rtol=1e-12)

print("\nm = 4 rows, C = mean of L                       engine       closed form")
x = np.array([[2.0, 3.0], [-1.0, 0.5], [0.0, 1.0], [1.5, -2.0]])
y = np.array([1.0, 0.0, -1.0, 2.0])
m = len(x)
a = w0 * x[:, 0] + w1 * x[:, 1] + b
C, (dw0, dw1, db) = neuron.value_and_gradient(x, y, loss="half_mse")

check("C      = 1/m sum 1/2 (a - y)^2", C, sum(0.5 * (a - y) ** 2) / m)
check("dC/dw0 = 1/m sum (a - y) x0", dw0, sum((a - y) * x[:, 0]) / m)
check("dC/dw1 = 1/m sum (a - y) x1", dw1, sum((a - y) * x[:, 1]) / m)
check("dC/db  = 1/m sum (a - y)", db, sum(a - y) / m)

print("\nEvery number agrees to 12 digits.")
