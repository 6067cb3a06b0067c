"""The cases of the kernels of optimizer.h and optimizer_step.h; kernel_cases.py imports them.

eps stands for the rounding of an operation, and for that of a number to the dtype, such as every scalar. G is
|gradient| + decay |theta|, and g has an error of at most 3 eps G, for which a bound of 8 eps on later results allows.
"""

from itertools import product

import kernel_cases
import numpy as np
import reference_optimizers as twins

DECAYS = [(0.0, 0.0), (0.1, 0.0), (0.0, 0.2)]
RATE = 0.05


def root_bound(draw, square, error):
    """Return how far the square root of a number that is at least 0 may be off if the number is off by `error`."""
    root = np.sqrt(square)
    return root - np.sqrt(np.maximum(square - error, 0)) + 2 * draw.eps * root + np.sqrt(draw.tiny)


def ratio_bound(draw, top, top_error, root, error, epsilon):
    """Return how far top / (root + epsilon) may be off."""
    bottom, top = root + epsilon, np.abs(top)
    error = error + 3 * draw.eps * bottom
    return (top_error + top * error / bottom) / np.maximum(bottom - error, draw.tiny) + draw.eps * top / bottom


def case(name, draw, theta, state, gradient, hyper, bounds):
    """Make one case; `bounds` maps (G, old state, new state, hyper) to the bounds of the step and of each new state."""
    theta64, state64, gradient64 = (kernel_cases.wide(x) for x in (theta, state, gradient))
    new_theta, new_state = twins.KERNELS[name](theta64, state64, gradient64, RATE, hyper)
    pull = np.abs(gradient64) + hyper[0] * np.abs(theta64)
    step_bound, *state_bounds = bounds(draw, pull, gradient64 + hyper[0] * theta64, state64, new_state, hyper)
    expected, bound = {"theta": new_theta}, {"theta": 4 * draw.eps * (np.abs(theta64) + np.abs(new_theta)) + step_bound}
    if state is not None:
        expected["state"], bound["state"] = new_state.ravel(), np.ravel(state_bounds)
    arguments = {
        "theta": theta, "state": None if state is None else state.ravel(), "gradient": gradient, "n": theta.size,
        "stride": theta.size, "rate": RATE, "hyper": np.pad(hyper, (0, kernel_cases.HYPER - len(hyper))),
    }  # fmt: skip
    return kernel_cases.Case(arguments, expected, bound)


def sgd_bounds(draw, pull, g, old, new, hyper):
    speed = pull + hyper[2] * np.abs(old[0]) if hyper[2] else pull
    return 8 * draw.eps * RATE * (pull + speed), 8 * draw.eps * speed


def adagrad_bounds(draw, pull, g, old, new, hyper):
    square = 8 * draw.eps * (old[0] + pull**2)
    root = root_bound(draw, new[0], square)
    step = ratio_bound(draw, g, 4 * draw.eps * pull, np.sqrt(new[0]), root, hyper[2])
    return RATE * (step + 2 * draw.eps * np.abs(g) / np.sqrt(new[0])), square


def rmsprop_bounds(draw, pull, g, old, new, hyper):
    _, _, alpha, epsilon, momentum, centered = hyper
    square = 8 * draw.eps * (alpha * old[0] + (1 - alpha) * pull**2)
    variance, error, bounds = new[0], square, [square]
    if centered:
        mean = 8 * draw.eps * (alpha * np.abs(old[-1]) + (1 - alpha) * pull)
        variance = np.maximum(new[0] - new[-1] ** 2, 0)
        error = square + 2 * np.abs(new[-1]) * mean + mean**2 + draw.eps * new[0]
    root = root_bound(draw, variance, error)
    step = ratio_bound(draw, g, 4 * draw.eps * pull, np.sqrt(variance), root, epsilon)
    size = np.abs(g) / (np.sqrt(variance) + epsilon)
    if momentum:
        step = step + 4 * draw.eps * (momentum * np.abs(old[1]) + size)
        size = np.abs(new[1])
        bounds.append(step)
    if centered:
        bounds.append(mean)
    return RATE * (step + 2 * draw.eps * size), *bounds


def moments(draw, pull, old, hyper):
    """Return how far the two moments of Adam and its relatives may be off."""
    mean = 8 * draw.eps * (hyper[2] * np.abs(old[0]) + (1 - hyper[2]) * pull)
    return mean, 8 * draw.eps * (hyper[3] * np.abs(old[1]) + (1 - hyper[3]) * pull**2)


def adam_bounds(draw, pull, g, old, new, hyper):
    mean, square = moments(draw, pull, old, hyper)
    largest = [np.maximum(square, draw.eps * old[2])] if len(old) == 3 else []
    root = root_bound(draw, new[-1], largest[0] if largest else square)
    step = ratio_bound(draw, new[0], mean, np.sqrt(new[-1]), root, hyper[5])
    size = np.abs(new[0]) / (np.sqrt(new[-1]) + hyper[5])
    return RATE * hyper[4] * (step + 3 * draw.eps * size), mean, square, *largest


def adamax_bounds(draw, pull, g, old, new, hyper):
    mean, _ = moments(draw, pull, old, hyper)
    size = 4 * draw.eps * (old[1] + pull + hyper[5])
    step = ratio_bound(draw, new[0], mean, new[1], size, 0)
    return RATE * hyper[4] * (step + 3 * draw.eps * np.abs(new[0]) / new[1]), mean, size


def nadam_bounds(draw, pull, g, old, new, hyper):
    mean, square = moments(draw, pull, old, hyper)
    root = root_bound(draw, new[1], square)
    top = hyper[4] * pull + hyper[6] * np.abs(new[0])
    error = hyper[6] * mean + 8 * draw.eps * top
    step = ratio_bound(draw, top, error, np.sqrt(new[1]), root, hyper[5])
    return RATE * step, mean, square


def lion_bounds(draw, pull, g, old, new, hyper):
    size = hyper[2] * np.abs(old[0]) + (1 - hyper[2]) * pull
    way = hyper[2] * old[0] + (1 - hyper[2]) * g
    turned = np.where(np.abs(way) <= 8 * draw.eps * size, 2 * RATE, 0)  # its sign may be another one
    return turned + 2 * draw.eps * RATE, 8 * draw.eps * (hyper[3] * np.abs(old[0]) + (1 - hyper[3]) * pull)


def rprop_bounds(draw, pull, g, old, new, hyper):
    return 4 * draw.eps * new[1], np.zeros_like(g), 4 * draw.eps * new[1]


# name -> (bounds, the hyperparameters after the decay, how the state is drawn)
MOMENTS = [(0.9, 0.999, 0.3, 1e-8), (0.0, 0.5, 3.0, 0.1)]


def positive(draw, *shape):
    return np.abs(draw.normal(*shape)) + draw.dtype.type(0.01)


def two_moments(draw, n, hyper):
    return np.array([draw.normal(n), positive(draw, n)])


OPTIMIZERS = {
    "sgd": (
        sgd_bounds,
        [(0.0, 0.0), (0.9, 0.0), (0.9, 1.0)],
        lambda draw, n, hyper: draw.normal(n)[None] if hyper[2] else None,
    ),
    "adagrad": (adagrad_bounds, [(1e-10,), (0.1,)], lambda draw, n, hyper: positive(draw, n)[None]),
    "rmsprop": (
        rmsprop_bounds,
        [(0.99, 1e-8, *more) for more in product([0.0, 0.9], [0.0, 1.0])],
        lambda draw, n, hyper: rmsprop_state(draw, n, hyper),
    ),
    "adam": (adam_bounds, MOMENTS, two_moments),
    "amsgrad": (adam_bounds, MOMENTS, lambda draw, n, hyper: np.array([draw.normal(n), *positive(draw, 2, n)])),
    "adamax": (adamax_bounds, MOMENTS, two_moments),
    "nadam": (nadam_bounds, [(*numbers, 0.7) for numbers in MOMENTS], two_moments),
    "lion": (lion_bounds, [(0.9, 0.99), (0.0, 0.5)], lambda draw, n, hyper: draw.normal(n)[None]),
}


def rmsprop_state(draw, n, hyper):
    """The square is larger than that of the mean, as squares are."""
    mean, state = draw.normal(n), []
    state.append(mean**2 + positive(draw, n))
    if hyper[4]:
        state.append(draw.normal(n))
    if hyper[5]:
        state.append(mean)
    return np.array(state)


def optimizer(name, dtype):
    draw = kernel_cases.Drawer(dtype)
    if name == "rprop":
        yield from rprop(draw)
        return
    assert name in OPTIMIZERS, f"add the cases of {name} to OPTIMIZERS of tests/cases/cases_optimizers.py"
    bounds, numbers, draw_state = OPTIMIZERS[name]
    for n, decay, more in product(kernel_cases.LENGTHS, DECAYS, numbers):
        hyper = (*decay, *more)
        state = draw_state(draw, n, hyper)
        yield case(name, draw, draw.normal(n), state, draw.normal(n), hyper, bounds)


def rprop(draw):
    for n in kernel_cases.LENGTHS:
        state = np.array([draw.normal(n), positive(draw, n)])
        gradient = draw.normal(n)
        gradient[::5], state[0, ::7] = 0, 0  # a gradient of 0 keeps the step, whatever was before
        gradient[1::11] = state[0, 1::11] = draw.tiny  # their product is 0, although their signs agree
        yield case("rprop", draw, draw.normal(n), state, gradient, (0.5, 1.2, 0.1, 1.5), rprop_bounds_of_no_decay)


def rprop_bounds_of_no_decay(draw, pull, g, old, new, hyper):
    """The first hyperparameter of rprop is not a weight decay."""
    return rprop_bounds(draw, pull, old[0], old, new, hyper)


# the other kernels of an update


def penalize(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n, (l1, l2) in product(kernel_cases.LENGTHS, [(0.0, 0.1), (0.1, 0.0), (0.1, 0.2)]):
        gradient, theta = draw.normal(n), draw.normal(n)
        theta[::5] = 0
        expected = twins.penalize(kernel_cases.wide(gradient), kernel_cases.wide(theta), l1, l2)
        bound = 4 * draw.eps * (np.abs(gradient) + l1 + l2 * np.abs(theta))
        arguments = {"gradient": gradient, "theta": theta, "n": n, "l1": l1, "l2": l2}
        yield kernel_cases.Case(arguments, {"gradient": expected}, {"gradient": bound})


def clip(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n, limit in product(kernel_cases.LENGTHS, [0.5, 0.3]):
        x = draw.normal(n)
        expected = twins.clip(kernel_cases.wide(x), limit)
        yield kernel_cases.Case({"x": x, "n": n, "limit": limit}, {"x": expected}, {"x": draw.eps * limit})


def shrink(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n in kernel_cases.LENGTHS:
        x = draw.normal(n)
        expected = twins.shrink(kernel_cases.wide(x), 0.3)
        bound = 2 * draw.eps * np.abs(expected)
        yield kernel_cases.Case({"x": x, "n": n, "factor": 0.3}, {"x": expected}, {"x": bound})


def sum_squares(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n in (*kernel_cases.LENGTHS, 4095, 4096):
        x = draw.normal(n)
        expected = np.array([twins.sum_squares(kernel_cases.wide(x))])
        bound = (n + 1) * draw.eps * expected
        yield kernel_cases.Case({"sum": np.array([np.nan]), "x": x, "n": n}, {"sum": expected}, {"sum": bound})


def average(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n, weight in product(kernel_cases.LENGTHS, [1.0, 0.3]):
        mean, theta = draw.normal(n), draw.normal(n)
        expected = twins.average(kernel_cases.wide(mean), kernel_cases.wide(theta), weight)
        bound = 4 * draw.eps * (np.abs(mean) + np.abs(theta))
        arguments = {"mean": mean, "theta": theta, "n": n, "weight": weight}
        yield kernel_cases.Case(arguments, {"mean": expected}, {"mean": bound})


def max_norm(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n_in, n_out in product([0, 1, 2, 15], kernel_cases.WIDTHS):
        limit = 1.1 * np.sqrt(n_in) if n_in else 1.0  # about half of the columns are longer
        w = draw.normal(n_in, n_out)
        expected = twins.max_norm(kernel_cases.wide(w), limit)
        bound = (n_in + 6) * draw.eps * np.abs(w)
        arguments = {"w": w, "n_in": n_in, "n_out": n_out, "limit": limit}
        yield kernel_cases.Case(arguments, {"w": expected}, {"w": bound})


KERNELS = {
    "penalize": penalize,
    "clip": clip,
    "shrink": shrink,
    "sum_squares": sum_squares,
    "average": average,
    "max_norm": max_norm,
}
