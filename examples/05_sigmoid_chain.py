"""A 1-1-1-1 network: a chain of one input and three sigmoid neurons.

This is the smallest deep network. For one row with the input x and the target y,

    a0 = x        zk = a(k-1) Wk + bk        ak = g(zk)        k = 1, 2, 3
    L = (a3 - y)^2

The derivatives of each equation are

    dzk/dWk = a(k-1)    dzk/dbk = 1    dzk/da(k-1) = Wk    dak/dzk = g'(zk)    dL/da3 = 2 (a3 - y)

The chain rule multiplies the derivatives along the path from a parameter to L:

    dL/dW3 = a2 g'(z3) 2 (a3 - y)
    dL/db3 =    g'(z3) 2 (a3 - y)
    dL/da2 = W3 g'(z3) 2 (a3 - y)

The derivatives of layer 2 follow from dL/da2 in the same way, and so on to the first layer.

For m rows the cost C is the mean of the losses L, so every derivative is the mean of those above.
"""

import numpy as np
from check import check

import fastprop as fp


def g(z):
    return 1.0 / (1.0 + np.exp(-z))


def slope(z):
    return g(z) * (1.0 - g(z))


chain = fp.Network([1, *[fp.Dense(1, "sigmoid")] * 3], dtype="float64")
W, b = [None, 1.5, -2.0, 0.8], [None, -0.5, 1.0, 0.2]  # W[1], W[2], W[3] as in the equations
chain.parameters[:] = [W[1], b[1], W[2], b[2], W[3], b[3]]


def closed_form(x, y):
    """Return L and its six derivatives for one row, in the order of the parameters."""
    z, a = [None] * 4, [x, None, None, None]
    for k in (1, 2, 3):
        z[k] = a[k - 1] * W[k] + b[k]
        a[k] = g(z[k])
    dL_da3 = 2.0 * (a[3] - y)
    dL_dW3 = a[2] * slope(z[3]) * dL_da3
    dL_db3 = slope(z[3]) * dL_da3
    dL_da2 = W[3] * slope(z[3]) * dL_da3
    dL_dW2 = a[1] * slope(z[2]) * dL_da2
    dL_db2 = slope(z[2]) * dL_da2
    dL_da1 = W[2] * slope(z[2]) * dL_da2
    dL_dW1 = a[0] * slope(z[1]) * dL_da1
    dL_db1 = slope(z[1]) * dL_da1
    return (a[3] - y) ** 2, [dL_dW1, dL_db1, dL_dW2, dL_db2, dL_dW3, dL_db3]


EQUATIONS = [
    "/dW1 = a0 g'(z1) {}/da1",
    "/db1 =    g'(z1) {}/da1",
    "/dW2 = a1 g'(z2) {}/da2",
    "/db2 =    g'(z2) {}/da2",
    "/dW3 = a2 g'(z3) 2 (a3 - y)",
    "/db3 =    g'(z3) 2 (a3 - y)",
]


def show(cost, gradient, closed_cost, closed_gradient, name):
    check(name, cost, closed_cost)
    for i in range(5, -1, -1):  # from the last layer to the first, like the backward pass
        check("d" + name + EQUATIONS[i].format("d" + name), gradient[i], closed_gradient[i])


print("One row, x = 0.7, y = 1                         engine       closed form")
x, y = 0.7, 1.0
cost, gradient = chain.value_and_gradient([[x]], [y], loss="squared_error")
show(cost, gradient, *closed_form(x, y), name="L")

# From each layer to the one before, the derivative gets another factor W g'(z), and g' is at most 1/4:
# in a deep chain of sigmoids the gradient vanishes.
factors = np.abs([gradient[3] / gradient[5], gradient[1] / gradient[3]])
print(f"\n  |W g'(z)| from neuron 3 to 2: {factors[0]:.3f}, from neuron 2 to 1: {factors[1]:.3f}")

print("\nThe mean over m = 5 rows                        engine       closed form")
xs, ys = [0.7, -1.2, 0.0, 2.5, 0.3], [1.0, 0.0, 0.5, 0.25, 1.0]
rows = [closed_form(x, y) for x, y in zip(xs, ys, strict=True)]
mean_cost = sum(L for L, _ in rows) / len(rows)
mean_gradient = np.sum([derivatives for _, derivatives in rows], axis=0) / len(rows)
cost, gradient = chain.value_and_gradient(np.array(xs)[:, None], ys, loss="squared_error")
show(cost, gradient, mean_cost, mean_gradient, name="C")

print("\nEvery number agrees to 12 digits.")
