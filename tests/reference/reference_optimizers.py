"""The twins of the optimisers in float64 NumPy: the recurrence of each paper, and the kernels that compute its steps.

A recurrence is a function of (rate, options) that returns a function of (theta, gradient), which is called once per
step, returns the new theta, and keeps its own state.
"""

import numpy as np


def decaying(step, weight_decay, decoupled):
    """Add weight decay to a step (theta, g, shrink) -> theta: coupled, in the gradient, or decoupled."""

    def take(theta, gradient, rate):
        if decoupled:
            return step(theta, gradient) - rate * weight_decay * theta
        return step(theta, gradient + weight_decay * theta)

    return take


def sgd(rate, momentum=0.0, nesterov=False, weight_decay=0.0, decoupled=False):
    v = 0.0

    def step(theta, g):
        nonlocal v
        v = momentum * v + g
        return theta - rate * (g + momentum * v if nesterov else v)

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def adagrad(rate, initial=0.0, epsilon=1e-10, weight_decay=0.0, decoupled=False):
    s = initial

    def step(theta, g):
        nonlocal s
        s = s + g**2
        return theta - rate * g / (np.sqrt(s) + epsilon)

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def rmsprop(rate, alpha=0.99, momentum=0.0, centered=False, epsilon=1e-8, weight_decay=0.0, decoupled=False):
    s = m = u = 0.0

    def step(theta, g):
        nonlocal s, m, u
        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        variance = s - m**2 if centered else s
        u = momentum * u + g / (np.sqrt(variance) + epsilon)
        return theta - rate * u

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def adam(rate, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0, decoupled=False, amsgrad=False):
    m = v = w = 0.0
    t = 0

    def step(theta, g):
        nonlocal m, v, w, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = np.maximum(w, v) if amsgrad else v
        return theta - rate * (m / (1 - beta1**t)) / (np.sqrt(w / (1 - beta2**t)) + epsilon)

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def adamw(rate, weight_decay=0.01, decoupled=True, **options):
    return adam(rate, weight_decay=weight_decay, decoupled=decoupled, **options)


def amsgrad(rate, **options):
    return adam(rate, amsgrad=True, **options)


def adamax(rate, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0, decoupled=False):
    m = u = 0.0
    t = 0

    def step(theta, g):
        nonlocal m, u, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + epsilon)
        return theta - rate / (1 - beta1**t) * m / u

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def nadam(rate, beta1=0.9, beta2=0.999, epsilon=1e-8, momentum_decay=0.004, weight_decay=0.0, decoupled=False):
    m = v = 0.0
    t, product = 0, 1.0

    def mu(t):
        return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def step(theta, g):
        nonlocal m, v, t, product
        t += 1
        product *= mu(t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        ahead = (1 - mu(t)) / (1 - product) * g + mu(t + 1) / (1 - product * mu(t + 1)) * m
        return theta - rate * ahead / (np.sqrt(v / (1 - beta2**t)) + epsilon)

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def lion(rate, beta1=0.9, beta2=0.99, weight_decay=0.0, decoupled=True):
    m = 0.0

    def step(theta, g):
        nonlocal m
        way = np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        return theta - rate * way

    return lambda theta, g: decaying(step, weight_decay, decoupled)(theta, g, rate)


def rprop(rate, shrink=0.5, grow=1.2, least=1e-6, most=50.0):
    before, d = 0.0, rate

    def step(theta, g):
        nonlocal before, d
        agree = np.sign(g) * np.sign(before)
        d = np.clip(d * np.where(agree > 0, grow, np.where(agree < 0, shrink, 1.0)), least, most)
        before = np.where(agree < 0, 0.0, g)
        return theta - np.sign(before) * d

    return step


RECURRENCES = {
    "sgd": sgd,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "amsgrad": amsgrad,
    "adamax": adamax,
    "nadam": nadam,
    "lion": lion,
    "rprop": rprop,
}


# The kernels: (theta, state (n_states, n), gradient, rate, hyper) -> (theta, state); hyper is fp_optimizer_begin's.


def fade(x, new, hold):
    return hold * x + (1 - hold) * new


def sgd_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, momentum, nesterov = hyper[:4]
    g = gradient + coupled * theta
    v = momentum * state + g if momentum else g
    step = g + momentum * v if nesterov else v
    return (1 - rate * decoupled) * theta - rate * np.reshape(step, theta.shape), v if momentum else state


def adagrad_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, epsilon = hyper[:3]
    g = gradient + coupled * theta
    s = state[0] + g**2
    return (1 - rate * decoupled) * theta - rate * g / (np.sqrt(s) + epsilon), s[None]


def rmsprop_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, alpha, epsilon, momentum, centered = hyper[:6]
    g = gradient + coupled * theta
    new = [fade(state[0], g**2, alpha)]
    variance = new[0]
    if centered:
        m = fade(state[-1], g, alpha)
        variance = np.maximum(new[0] - m**2, 0)
    step = g / (np.sqrt(variance) + epsilon)
    if momentum:
        step = momentum * state[1] + step
        new.append(step)
    if centered:
        new.append(m)
    return (1 - rate * decoupled) * theta - rate * step, np.array(new)


def adam_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, beta1, beta2, scale, epsilon = hyper[:6]
    g = gradient + coupled * theta
    new = [fade(state[0], g, beta1), fade(state[1], g**2, beta2)]
    new += [np.maximum(state[2], new[1])] if len(state) == 3 else []
    step = new[0] / (np.sqrt(new[-1]) + epsilon)
    return (1 - rate * decoupled) * theta - rate * scale * step, np.array(new)


def adamax_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, beta1, beta2, scale, epsilon = hyper[:6]
    g = gradient + coupled * theta
    m, u = fade(state[0], g, beta1), np.maximum(beta2 * state[1], np.abs(g) + epsilon)
    return (1 - rate * decoupled) * theta - rate * scale * m / u, np.array([m, u])


def nadam_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, beta1, beta2, scale, epsilon, ahead = hyper[:7]
    g = gradient + coupled * theta
    m, v = fade(state[0], g, beta1), fade(state[1], g**2, beta2)
    step = (scale * g + ahead * m) / (np.sqrt(v) + epsilon)
    return (1 - rate * decoupled) * theta - rate * step, np.array([m, v])


def lion_kernel(theta, state, gradient, rate, hyper):
    coupled, decoupled, beta1, beta2 = hyper[:4]
    g = gradient + coupled * theta
    way = fade(state[0], g, beta1)
    return (1 - rate * decoupled) * theta - rate * np.sign(way), fade(state, g, beta2)


def rprop_kernel(theta, state, gradient, rate, hyper):
    shrink, grow, least, most = hyper[:4]
    agree = np.sign(gradient) * np.sign(state[0])
    d = np.clip(state[1] * np.where(agree > 0, grow, np.where(agree < 0, shrink, 1.0)), least, most)
    g = np.where(agree < 0, 0.0, gradient)
    return theta - np.sign(g) * d, np.array([g, d])


# The other kernels of an update.


def penalize(gradient, theta, l1, l2):
    return gradient + l1 * np.sign(theta) + l2 * theta


def clip(x, limit):
    return np.clip(x, -limit, limit)


def shrink(x, factor):
    return factor * x


def sum_squares(x):
    return np.sum(x**2)


def average(mean, theta, weight):
    return mean + weight * (theta - mean)


def max_norm(w, limit):
    norm = np.sqrt(np.sum(w**2, axis=0))
    return w * np.where(norm > limit, limit / np.maximum(norm, np.finfo(float).tiny), 1)


KERNELS = {
    "sgd": sgd_kernel,
    "adagrad": adagrad_kernel,
    "rmsprop": rmsprop_kernel,
    "adam": adam_kernel,
    "amsgrad": adam_kernel,
    "adamax": adamax_kernel,
    "nadam": nadam_kernel,
    "lion": lion_kernel,
    "rprop": rprop_kernel,
    "penalize": penalize,
    "clip": clip,
    "shrink": shrink,
    "sum_squares": sum_squares,
    "average": average,
    "max_norm": max_norm,
}
