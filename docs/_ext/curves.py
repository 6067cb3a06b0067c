"""Draws the curves of activations, losses, optimisers and schedules, from numbers that the engine computes."""

import io

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

import fastprop as fp
from generated import write

# Text stays text, in the font of the browser. The salt makes the file depend on the numbers alone.
matplotlib.rcParams |= {
    "svg.hashsalt": "fastprop",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
}
VALUE, SLOPE = "#0072b2", "#d55e00"
WHITE = {"facecolor": "white"}  # curves and text are dark, and a page may be dark too

# The target for which the curve of a loss is drawn, for each kind of targets.
TARGETS = {"numbers": 0.0, "not negative": 1.0, "positive": 1.0, "probabilities": 1.0, "signs": 1.0}
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
STEPS = 60
OPTIMIZER_CAPTION = (
    "The line shows 60 steps that minimise 1/2 (w1^2 + 10 w2^2), from the cross at (-2, 1); the dot is the minimum. "
    "The learning rate is the one of "
    + ", ".join(map(str, RATES))
    + " that ends at the lowest cost; the other parameters have their defaults."
)


def _save(figure, name):
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, **WHITE)
    plt.close(figure)
    write(name, text.getvalue())


def _pair(x, value, slope, labels, name, xlabel):
    """Draw a function and its derivative."""
    figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
    ax.axhline(0, color="#cccccc", linewidth=0.8)
    ax.plot(x, value, color=VALUE, label=labels[0])
    ax.plot(x, slope, color=SLOPE, linestyle="--", label=labels[1])
    ax.set_xlabel(xlabel)
    ax.legend(frameon=False)
    _save(figure, name)


def activation(one):
    """Draw g and g'."""
    half = 0.3 if one.name == "sin" else 4.0  # three waves of it, with its default omega
    z = np.linspace(-half, half, 401).reshape(-1, 1)
    net = fp.Network([1, fp.Activation(one)], dtype="float64")
    value = net.forward(z)
    slope = net.backward(np.ones_like(z))
    _pair(z.ravel(), value.ravel(), slope.ravel(), ("g(z)", "g'(z)"), f"activations/{one.name}.svg", "z")


def loss(one):
    """Draw the loss of a row and its derivative over the first output, and return a caption."""
    n = 2 if one.targets == "classes" else one.outputs
    y = [0] if one.targets == "classes" else [[TARGETS[one.targets]]]
    net = fp.Network([n, fp.Scale()], dtype="float64")  # its outputs for inputs of 1 are its parameters
    a = np.linspace(-3, 3, 301)
    value, slope = np.empty_like(a), np.empty_like(a)
    for i, first in enumerate(a):
        net.parameters[:] = [first, *[0.0] * (n - 1)]
        value[i], gradient = net.value_and_gradient(np.ones((1, n)), y, loss=one)
        slope[i] = gradient[0]
    _pair(a, value, slope, ("loss", "dLoss/da"), f"losses/{one.name}.svg", "a" if n == 1 else "the first output")
    if one.targets == "classes":
        return "The curves are the loss of a row of class 0 and its derivative, for two outputs; the second is 0."
    others = "" if n == 1 else f", for {n} outputs of which all but the first are 0"
    return f"The curves are the loss of a row with the target {TARGETS[one.targets]:g} and its derivative{others}."


def _path(kind, rate):
    """Return the parameters before and after each step, (STEPS + 1, 2), and the cost after the last one."""
    net = fp.Network([2, fp.Dense(1, bias=False)], dtype="float64")
    net.parameters[:] = [-2.0, 1.0]
    X, y = np.diag(np.sqrt([2.0, 20.0])), [0.0, 0.0]  # cost: 1/2 (w1^2 + 10 w2^2)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=kind(rate))
    path = [net.parameters.copy()]
    for _ in range(STEPS):
        trainer.step(X, y)
        path.append(net.parameters.copy())
    return np.array(path), trainer.evaluate(X, y)


def optimizer(kind):
    """Draw the path of an optimiser to the minimum of a quadratic function; return whether there is one."""
    if kind is fp.LBFGS:  # it cannot take single steps
        return False
    rate = min(RATES, key=lambda rate: _path(kind, rate)[1])
    path, _ = _path(kind, rate)
    figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
    w1, w2 = np.meshgrid(np.linspace(-2.4, 1.2, 121), np.linspace(-1.2, 1.2, 81))
    ax.contour(w1, w2, 0.5 * (w1**2 + 10 * w2**2), levels=np.geomspace(0.05, 8, 9), colors="#cccccc", linewidths=0.8)
    ax.plot(*path.T, color=VALUE, marker=".", markersize=3, linewidth=1)
    ax.plot(*path[0], "x", color=SLOPE)
    ax.plot(0, 0, "o", color=SLOPE)
    ax.set(xlim=(-2.4, 1.2), ylim=(-1.2, 1.2), xlabel="w1", ylabel="w2", title=f"{kind.__name__}({rate:g})")
    _save(figure, f"optimizers/{kind.__name__}.svg")
    return True


def _drawn(kind):
    """Return the schedule that is drawn."""
    if kind is fp.schedules.Constant:
        return kind(0.1, warmup=100)
    if kind is fp.schedules.ReduceOnPlateau:
        return kind(0.1)
    length = {"Step": 300, "Exponential": 100, "InverseSquareRoot": 100}.get(kind.__name__, 1000)
    return kind(0.1, steps=length, warmup=100)


def schedule(kind):
    """Draw the learning rate of each of 1,000 steps."""
    one = _drawn(kind)
    times = np.arange(1000.0)
    if kind is fp.schedules.ReduceOnPlateau:  # its rate depends only on the cost: one that stops falling
        state, rates = one.initial_state(), []
        for epoch in range(50):
            rates.append(one.rates([0.0])[0] * one.scale(state))
            state = one.next_state(state, max(1.0 - 0.1 * epoch, 0.5))
        times, rates, unit = np.arange(50), np.array(rates), "epoch"
    else:
        rates, unit = one.rates(times), "step"
    figure, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
    ax.plot(times, rates, color=VALUE)
    ax.set(xlabel=unit, ylabel="rate", ylim=(0, None))
    _save(figure, f"schedules/{kind.__name__}.svg")


def schedule_caption(kind):
    """Return the caption of a schedule's curve."""
    one = _drawn(kind)
    if kind is fp.schedules.ReduceOnPlateau:
        return "The curve is that of `ReduceOnPlateau(0.1)`, for a cost that falls for five epochs and then stays."
    given = {name: getattr(one, name) for name in ("steps", "warmup") if getattr(one, name)}
    said = ", ".join(f"{name}={value:g}" for name, value in given.items())
    return f"The curve is that of `{kind.__name__}(0.1, {said})`."
