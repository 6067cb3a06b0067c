"""Draws the curves of activations, losses, optimisers and schedules, from numbers that the engine computes.

Each picture is drawn twice, NAME.svg for its page and NAME_thumbnail.svg for the index.
"""

import numpy as np

import fastprop as fp
from drawing import Chart
from generated import write

# The target for which the curve of a loss is drawn, for each kind of targets.
TARGETS = {"numbers": 0.0, "not negative": 1.0, "positive": 1.0, "probabilities": 1.0, "signs": 1.0}
HIGHEST = 5.0  # of a loss or a derivative that is drawn: of steeper ones, the part around the minimum tells more
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
STEPS = 60
OPTIMIZER_CAPTION = (
    "The line shows 60 steps that minimise 1/2 (w1^2 + 10 w2^2), from the ring at (-2, 1); the black dot is the "
    "minimum, and the ellipses are lines of equal cost. The learning rate is the one of "
    + ", ".join(map(str, RATES))
    + " that ends at the lowest cost; the other parameters have their defaults."
)


def _both(draw, name, label):
    """Draw a picture for its page, and its thumbnail, which the title beside it describes."""
    write(f"{name}.svg", draw(False).svg(label))
    write(f"{name}_thumbnail.svg", draw(True).svg(""))


def _pair(x, value, slope, names, label, path, xlabel):
    """Draw a function and its derivative."""
    both = np.clip(np.concatenate([value, slope]), -HIGHEST, HIGHEST)
    margin = 0.05 * (both.max() - both.min())
    limits = float(both.min() - margin), float(both.max() + margin)

    def draw(thumbnail):
        chart = Chart((x[0], x[-1]), limits, xlabel=xlabel, thumbnail=thumbnail)
        chart.curve(x, value, "first", names[0])
        chart.curve(x, slope, "second", names[1])
        return chart

    _both(draw, path, f"{label}: solid blue {names[0]}, dashed orange {names[1]}")


def activation(one):
    """Draw g and g'."""
    half = 0.3 if one.name == "sin" else 4.0  # three waves of it, with its default omega
    z = np.linspace(-half, half, 161).reshape(-1, 1)
    net = fp.Network([1, fp.Activation(one)], dtype="float64")
    value = net.forward(z)
    slope = net.backward(np.ones_like(z))
    names = ("g(z)", "g'(z)")
    _pair(z.ravel(), value.ravel(), slope.ravel(), names, one.name, f"activations/{one.name}", "z")


def loss(one):
    """Draw the loss of a row and its derivative over the first output, and return a caption."""
    n = 2 if one.targets == "classes" else one.outputs
    y = [0] if one.targets == "classes" else [[TARGETS[one.targets]]]
    net = fp.Network([n, fp.Scale()], dtype="float64")  # its outputs for inputs of 1 are its parameters
    a = np.linspace(-3, 3, 201)
    value, slope = np.empty_like(a), np.empty_like(a)
    for i, first in enumerate(a):
        net.parameters[:] = [first, *[0.0] * (n - 1)]
        value[i], gradient = net.value_and_gradient(np.ones((1, n)), y, loss=one)
        slope[i] = gradient[0]
    xlabel = "a" if n == 1 else "a, the first output"
    _pair(a, value, slope, ("L", "dL/da"), one.name, f"losses/{one.name}", xlabel)
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
    """Draw the path of an optimiser to the minimum of a quadratic function; return its call, or "" without a path."""
    if kind is fp.LBFGS:  # it cannot take single steps
        return ""
    rate = min(RATES, key=lambda rate: _path(kind, rate)[1])
    path, _ = _path(kind, rate)

    def draw(thumbnail):
        chart = Chart((-2.4, 1.2), (-1.2, 1.2), xlabel="w1", ylabel="w2", thumbnail=thumbnail)
        x, y = chart.at(0, 0)
        for cost in np.geomspace(0.05, 8, 9):
            right, top = chart.at(np.sqrt(2 * cost), np.sqrt(0.2 * cost))
            chart.parts.append(f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{right - x:.1f}" ry="{y - top:.1f}"/>')
        chart.curve(*path.T, "first")
        chart.dots(*path.T, "first", 1.5)
        chart.dots([0], [0], "ink", 4)
        chart.rings(*path[:1].T, "ink", 5)
        return chart

    _both(draw, f"optimizers/{kind.__name__}", f"The path of {kind.__name__}({rate:g}) to the minimum")
    return f"{kind.__name__}({rate:g})"


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
    times = np.arange(0.0, 1001.0, 4.0)
    if kind is fp.schedules.ReduceOnPlateau:  # its rate depends only on the cost: one that stops falling
        state, rates = one.initial_state(), []
        for epoch in range(50):
            rates.append(one.rates([0.0])[0] * one.scale(state))
            state = one.next_state(state, max(1.0 - 0.1 * epoch, 0.5))
        times, rates, unit = np.arange(50), np.array(rates), "epoch"
    else:
        rates, unit = one.rates(times), "step"

    def draw(thumbnail):
        limits = (0, times[-1]), (0, 1.08 * rates.max())
        chart = Chart(*limits, xlabel=unit, ylabel="learning rate", thumbnail=thumbnail)
        chart.curve(times, rates, "first")
        return chart

    _both(draw, f"schedules/{kind.__name__}", f"The learning rate of {kind.__name__} at each {unit}")


def schedule_caption(kind):
    """Return the caption of a schedule's curve."""
    one = _drawn(kind)
    if kind is fp.schedules.ReduceOnPlateau:
        return "The curve is that of `ReduceOnPlateau(0.1)`, for a cost that falls for five epochs and then stays."
    given = {name: getattr(one, name) for name in ("steps", "warmup") if getattr(one, name)}
    said = ", ".join(f"{name}={value:g}" for name, value in given.items())
    return f"The curve is that of `{kind.__name__}(0.1, {said})`."
