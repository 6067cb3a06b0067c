"""A readable reference ("twin") of everything that fastprop computes, in float64 NumPy.

It is written from DESIGN.md section 1 alone, and as plainly as the equations: no blocking, no reuse of
memory, no function shared with the package. If the two disagree, one of them is wrong.

A network consists of three things here: its `widths` (n_0, ..., n_L), its L `activations`, each a name or
(name, *numbers), and the flat vector `theta` that holds W_1, b_1, ..., W_K, b_K.
"""

import numpy as np
import reference_activations
import reference_inputs
import reference_optimizers
import reference_rows
from reference_activations import ACTIVATIONS, activation
from reference_losses import LOSSES, targets

# losses


def cost_and_output_gradient(loss, a, y):
    """Return the MEAN over rows of the row losses, and its gradient by `a`: the only place of the factor 1/rows."""
    row_losses, da = LOSSES[loss](a, targets(loss, y, a.shape))
    return float(np.mean(row_losses)), da / len(a)


# the network


def n_parameters(widths):
    return sum((n_in + 1) * n_out for n_in, n_out in zip(widths, widths[1:], strict=False))


def unflatten(widths, theta):
    """Return [(W_1, b_1), ..., (W_K, b_K)], views of the flat `theta`."""
    layers, start = [], 0
    for n_in, n_out in zip(widths, widths[1:], strict=False):
        w_end = start + n_in * n_out
        b_end = w_end + n_out
        layers.append((theta[start:w_end].reshape(n_in, n_out), theta[w_end:b_end]))
        start = b_end
    assert start == len(theta), f"theta has {len(theta)} elements, {tuple(widths)} need {start}"
    return layers


def forward(widths, activations, theta, x):
    """Return z[1..K] and a[0..K] as two lists; z[0] is None, so that indices are those of the equations."""
    z, a = [None], [np.asarray(x, dtype=np.float64)]
    for (w, b), name in zip(unflatten(widths, theta), activations, strict=True):
        g, _ = activation(name)
        z.append(a[-1] @ w + b)
        a.append(g(z[-1]))
    return z, a


def backward(widths, activations, theta, z, a, da):
    """Return the flat gradient and dx = dC/dx for dC/da_K."""
    gradient = np.zeros(n_parameters(widths))
    layers, gradients = unflatten(widths, theta), unflatten(widths, gradient)
    for k in range(len(activations), 0, -1):
        _, derivative = activation(activations[k - 1])
        w, _ = layers[k - 1]
        dw, db = gradients[k - 1]
        dz = da * derivative(z[k], a[k])
        dw[:] = a[k - 1].T @ dz
        db[:] = np.sum(dz, axis=0)
        da = dz @ w.T
    return gradient, da


def predict(widths, activations, theta, x):
    return forward(widths, activations, theta, x)[1][-1]


def value_and_gradient(widths, activations, loss, theta, x, y):
    z, a = forward(widths, activations, theta, x)
    cost, da = cost_and_output_gradient(loss, a[-1], y)
    gradient, _ = backward(widths, activations, theta, z, a, da)
    return cost, gradient


# optimiser


def sgd(theta, velocity, gradient, rate, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Take one step, as torch.optim.SGD does (dampening 0), and return the new theta and the new velocity.

    The velocity starts at zero; without momentum it is the (decayed) gradient, and is not read.
    """
    d = gradient + weight_decay * theta
    velocity = momentum * velocity + d
    step = d + momentum * velocity if nesterov else velocity
    return theta - rate * step, velocity


def train(widths, activations, loss, theta, batches, rate, **hyper):
    """Take a step of SGD for each (x, y) of `batches`; return theta, and the cost before each step."""
    velocity, costs = np.zeros_like(theta), []
    for x, y in batches:
        cost, gradient = value_and_gradient(widths, activations, loss, theta, x, y)
        theta, velocity = sgd(theta, velocity, gradient, rate, **hyper)
        costs.append(cost)
    return theta, costs


# the kernels of kernels.def: name -> twin
#
# A twin takes the inputs of its kernel in the kernel's order, without sizes, strides and scratch,
# and RETURNS what the kernel writes. An activation is named, not numbered: `list(ACTIVATIONS)[i]`
# is the name of number i.


def dense_forward(x, w, b=None, name="identity"):
    """Return (a, saved)."""
    return reference_activations.forward(name, x @ w + (0.0 if b is None else b))


def dense_input_gradient(dz, w, saved=None, name="identity"):
    dx = dz @ w.T
    return dx if saved is None else reference_activations.backward(name, dx, saved)


def dense_weight_gradient(x, dz, dw=0.0, db=0.0):
    """Return (dw, db), added to the given `dw` and `db`."""
    return dw + x.T @ dz, db + np.sum(dz, axis=0)


def dense_sgd_step(w, x, dz, rate, hyper, dw=0.0, db=0.0):
    """Return (w, db): w after a step of SGD along dw."""
    dw, db = dense_weight_gradient(x, dz, dw, db)
    return reference_optimizers.KERNELS["sgd"](w, None, dw, rate, hyper)[0], db


def fused_small_network(theta, x, y, label, index, widths, activations, loss, scale):
    """Return (cost, gradient) for the rows of `index`, or for all rows if it is None."""
    rows = slice(None) if index is None else index
    z, a = forward(widths, activations, theta, x[rows])
    target = label[rows] if y is None else y[rows]
    cost, da = loss_kernel(loss, a[-1], target, scale=scale)
    return cost, backward(widths, activations, theta, z, a, da)[0]


def small_network_sgd(theta, x, y, label, index, widths, activations, loss, rate, step_hyper):
    """Return (cost, theta, gradient): those of one step on the rows of `index`."""
    cost, gradient = fused_small_network(theta, x, y, label, index, widths, activations, loss, 1 / len(index))
    return cost, reference_optimizers.KERNELS["sgd"](theta, None, gradient, rate, step_hyper)[0], gradient


def gather(x, index):
    return x[index]


def all_finite(x):
    return int(np.all(np.isfinite(x)))


def loss_kernel(loss, a, y=None, label=None, weight=None, scale=1.0, hyper=()):
    """Return (cost, da): the SUM of the row losses, and scale * dL/da, each multiplied by its row's weight."""
    row_losses, da = LOSSES[loss](a, targets(loss, label if y is None else y, a.shape), *hyper)
    weight = np.ones(len(a)) if weight is None else weight
    return float(np.sum(weight * row_losses)), scale * weight[:, None] * da


def kernel_twins():
    twins = {
        "dense_forward": dense_forward,
        "dense_input_gradient": dense_input_gradient,
        "dense_weight_gradient": dense_weight_gradient,
        "dense_sgd_step": dense_sgd_step,
        "fused_small_network": fused_small_network,
        "small_network_sgd": small_network_sgd,
        "gather": gather,
        "all_finite": all_finite,
        **reference_optimizers.KERNELS,
        **reference_rows.KERNELS,
        **reference_inputs.KERNELS,
    }
    for name in ACTIVATIONS:
        twins[f"{name}_forward"] = reference_activations.forward
        twins[f"{name}_backward"] = reference_activations.backward
    for name in LOSSES:
        twins[name] = lambda *args, name=name, **kwargs: loss_kernel(name, *args, **kwargs)
    return twins


KERNELS = kernel_twins()
