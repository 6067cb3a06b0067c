"""A 1-1-1-1 network: a chain of one input and three sigmoid neurons.

This is the smallest deep network. For one example with the input x and the target y,

    a[0] = x        z[k] = w[k] a[k-1] + b[k]        a[k] = s(z[k])        k = 1, 2, 3 = L
    C0 = (a[L] - y)^2

The derivatives of each equation are

    dz/dw = a[k-1]    dz/db = 1    dz/da[k-1] = w[k]    da/dz = s'(z)    dC0/da[L] = 2 (a[L] - y)

The chain rule multiplies the derivatives along the path from a parameter to C0:

    dC0/dw[L]   = a[L-1] s'(z[L]) 2 (a[L] - y)
    dC0/db[L]   =        s'(z[L]) 2 (a[L] - y)
    dC0/da[L-1] =   w[L] s'(z[L]) 2 (a[L] - y)

The derivatives of layer L-1 follow from dC0/da[L-1] in the same way, and so on to the first layer.

For n examples the cost C is the mean of the losses C0, so every derivative is the mean of those above.
"""

import numpy as np
from check import check

import fastprop as fp


def s(z):
    return 1.0 / (1.0 + np.exp(-z))


def s_prime(z):
    return s(z) * (1.0 - s(z))


chain = fp.Network([1, *[fp.Dense(1, "sigmoid")] * 3], dtype="float64")
w, b = [None, 1.5, -2.0, 0.8], [None, -0.5, 1.0, 0.2]  # w[1], w[2], w[3] as in the equations
chain.parameters[:] = [w[1], b[1], w[2], b[2], w[3], b[3]]
L = 3


def closed_form(x, y):
    """Return C0 and its six derivatives for one example, in the order of the parameters."""
    z, a = [None] * 4, [x, None, None, None]
    for k in (1, 2, 3):
        z[k] = w[k] * a[k - 1] + b[k]
        a[k] = s(z[k])
    dC0_da3 = 2.0 * (a[3] - y)
    dC0_dw3 = a[2] * s_prime(z[3]) * dC0_da3
    dC0_db3 = s_prime(z[3]) * dC0_da3
    dC0_da2 = w[3] * s_prime(z[3]) * dC0_da3
    dC0_dw2 = a[1] * s_prime(z[2]) * dC0_da2
    dC0_db2 = s_prime(z[2]) * dC0_da2
    dC0_da1 = w[2] * s_prime(z[2]) * dC0_da2
    dC0_dw1 = a[0] * s_prime(z[1]) * dC0_da1
    dC0_db1 = s_prime(z[1]) * dC0_da1
    return (a[3] - y) ** 2, [dC0_dw1, dC0_db1, dC0_dw2, dC0_db2, dC0_dw3, dC0_db3]


EQUATIONS = [
    "/dw[1] = a[0]   s'(z[1]) {}/da[1]",
    "/db[1] =        s'(z[1]) {}/da[1]",
    "/dw[2] = a[1]   s'(z[2]) {}/da[2]",
    "/db[2] =        s'(z[2]) {}/da[2]",
    "/dw[L] = a[L-1] s'(z[L]) 2 (a[L] - y)",
    "/db[L] =        s'(z[L]) 2 (a[L] - y)",
]


def show(cost, gradient, closed_cost, closed_gradient, name):
    check(name, cost, closed_cost)
    for i in range(5, -1, -1):  # from the last layer to the first, like the backward pass
        check("d" + name + EQUATIONS[i].format("d" + name), gradient[i], closed_gradient[i])


print("One example, x = 0.7, y = 1                     engine       closed form")
x, y = 0.7, 1.0
cost, gradient = chain.value_and_gradient([[x]], [y], loss="squared_error")
show(cost, gradient, *closed_form(x, y), name="C0")

# From each layer to the one before, the derivative gets another factor w s'(z), and s' is at most 1/4:
# in a deep chain of sigmoids the gradient vanishes.
factors = np.abs([gradient[3] / gradient[5], gradient[1] / gradient[3]])
print(f"\n  |w s'(z)| from neuron 3 to 2: {factors[0]:.3f}, from neuron 2 to 1: {factors[1]:.3f}")

print("\nThe mean over n = 5 examples                    engine       closed form")
xs, ys = [0.7, -1.2, 0.0, 2.5, 0.3], [1.0, 0.0, 0.5, 0.25, 1.0]
examples = [closed_form(x, y) for x, y in zip(xs, ys, strict=True)]
mean_cost = sum(C0 for C0, _ in examples) / len(examples)
mean_gradient = np.sum([derivatives for _, derivatives in examples], axis=0) / len(examples)
cost, gradient = chain.value_and_gradient(np.array(xs)[:, None], ys, loss="squared_error")
show(cost, gradient, mean_cost, mean_gradient, name="C")

print("\nEvery number agrees to 12 digits.")
