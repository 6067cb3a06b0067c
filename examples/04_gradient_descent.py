"""Gradient descent on the flat vector of all parameters.

Gradient descent treats all weights and biases of a network as one vector theta. One step, with the
number of steps in parentheses, is

    theta(1) = theta(0) - eta * grad C(theta(0))

The negative gradient is the direction in which C falls fastest, and the learning rate eta sets the
length of the step. With one linear layer and the squared error, C is a quadratic function whose
minimum theta* is the solution of a linear system, and each step multiplies the difference from it by
the same matrix:

    theta(t) - theta* = (I - eta H)^t (theta(0) - theta*)      H = X^T X / m, X with a column of ones
"""

import numpy as np
from check import check

import fastprop as fp

# m points near the plane 2 x0 - 3 x1 + 0.5.
rng = np.random.default_rng(0)
m = 20
x = rng.normal(size=(m, 2))
y = x @ [2.0, -3.0] + 0.5 + 0.1 * rng.normal(size=m)

eta = 0.3
network = fp.Network([2, 1], dtype="float64")
start = np.array([0.5, 0.5, 0.0])  # w0, w1, b
network.parameters[:] = start

# C(theta) = 1/(2m) |X theta - y|^2, so grad C = X^T (X theta - y) / m = H (theta - theta*).
X = np.column_stack([x, np.ones(m)])
H = X.T @ X / m
theta_star = np.linalg.solve(H, X.T @ y / m)
gradient_0 = X.T @ (X @ start - y) / m

print("One step. Left: the engine. Right: the closed form.")
cost, gradient = network.value_and_gradient(x, y, loss="half_mse")
check("C(theta(0))", cost, np.sum((X @ start - y) ** 2) / (2 * m))
check("grad C(theta(0)) = X^T (X theta(0) - y)/m", gradient, gradient_0)

# Trainer.step takes this step: it changes network.parameters, and returns the cost before the step.
trainer = fp.Trainer(network, loss="half_mse", optimizer=fp.SGD(eta))
before = trainer.step(x, y)
assert before == cost
check("theta(1) = theta(0) - eta grad C(theta(0))", network.parameters, start - eta * gradient_0)

print("\nMore steps. Left: the engine. Right: theta* + (I - eta H)^t (theta(0) - theta*).")
for t in range(2, 301):
    trainer.step(x, y)
    if t in (2, 5, 10, 20, 50, 100, 200, 300):
        power = np.linalg.matrix_power(np.eye(3) - eta * H, t)
        check(f"theta({t})", network.parameters, theta_star + power @ (start - theta_star))

print(f"\nThe minimum, by linear algebra: {theta_star}")
print(f"Largest difference from it after 300 steps: {np.abs(network.parameters - theta_star).max():.1e}")
np.testing.assert_allclose(network.parameters, theta_star, rtol=0, atol=1e-7)
