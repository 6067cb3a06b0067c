"""Writes a page for each layer, activation, loss, optimiser and schedule, with formula, derivative, curve and source.

The entries are read from the package, as in tools/lists, so a new entry gets its page automatically.
"""

import inspect
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import curves
import fastprop as fp
import layer_pictures
from fastprop.nn import embeddings as inputs
from fastprop.nn import layers
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.losses import LOSSES
from fastprop.optim import optimizers, schedules
from generated import ROOT, card, cards, tree, write


def _script(path):
    """Import a script whose name has no suffix."""
    loader = SourceFileLoader(path.name, str(path))
    module = module_from_spec(spec_from_loader(path.name, loader))
    loader.exec_module(module)
    return module


lists = _script(ROOT / "tools" / "lists")

TARGETS = {
    "numbers": "any numbers",
    "not negative": "numbers from 0 up",
    "positive": "numbers above 0",
    "probabilities": "probabilities, 0 to 1",
    "signs": "-1 and 1, or 0 and 1",
    "classes": "integer labels, or rows of probabilities",
}


def _activation(one):
    facts = [["g(z)", f"`{one.formula}`"], ["g'(z)", f"`{one.derivative}`"], ["saved for backward", one.saves]]
    facts += [[f"`{n.name}`", f"{n.value:g} by default{_bounds(n)}"] for n in one.hyperparameters]
    facts += [["initial weights", f"`{one.initializer}`"], ["source", one.source or "-"]]
    spelled = f'"{one.name}"' if not one.hyperparameters else f"fp.activations.{one.name}({_values(one)})"
    return (
        f"# {one.name}\n\n{picture(f'activations/{one.name}')}"
        "The solid blue curve is g(z), the dashed orange one its derivative g'(z); the engine computed both.\n```\n\n"
        f"{lists.table(['', ''], facts)}\n\nIn a layer: `fp.Dense(64, {spelled})`.\n"
    )


def picture(name, options=""):
    """Return the beginning of a picture, to which its caption is added."""
    return f"```{{drawn}} {name}.svg\n{options}"


def _bounds(number):
    limits = {"at least": number.least, "above": number.above, "below": number.below}
    said = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
    return f"; {' and '.join(said)}" if said else ""


def _values(one):
    return ", ".join(f"{name}={value:g}" for name, value in one.values.items())


def _loss(one):
    facts = [["loss of a row, L", f"`{one.formula}`"], ["dL/da", f"`{one.derivative}`"]]
    facts += [[f"`{n.name}`", f"{n.value!r} by default{_bounds(n)}"] for n in one.hyperparameters]
    facts += [["targets", TARGETS[one.targets]], ["source", one.source]]
    spelled = f'"{one.name}"' if not one.hyperparameters else f"fp.losses.{one!r}"
    return (
        f"# {one.name}\n\n{picture(f'losses/{one.name}')}{curves.loss(one)}\n```\n\n"
        f"{lists.table(['', ''], facts)}\n\nIn training: `loss={spelled}`. The cost is the mean of these losses over "
        "the rows, weighted by the sample weights if there are any.\n"
    )


def _class(one, above=""):
    return (
        f"# {one.__name__}\n\n{above}"
        f"```{{eval-rst}}\n.. currentmodule:: {one.__module__}\n\n.. autoclass:: {one.__name__}\n   :no-index:\n```\n"
    )


def _layer(one):
    """Return the page of a layer: what it computes, drawn and in numbers, its shapes, and its parameters."""
    drawn = layer_pictures.example(one.kind)[0].layers[0]
    caption = (
        f"`fp.{drawn!r}` for three rows, as in training; the engine computed every number. Blue is positive, orange "
        "negative. Outlined is one output, and everything that it depends on.\n```\n\n"
    )
    facts = layer_pictures.draw(one.kind)
    shapes = lists.table(["in this picture", "shape, for m rows"], facts)
    above = picture(f"layers/{one.kind}", ":wide:\n") + f"{caption}{shapes}\n\n"
    if layer_pictures.encoding(one.kind):
        above += picture(f"layers/{one.kind}_curves") + "The outputs of the first column, over its number x.\n```\n\n"
    return _class(one, above)


def _family(folder, title, text, pages, found):
    """Write the pages of a list, and their index, with a card for each: its name, its thumbnail, and a line."""
    for name, content in pages.items():
        write(f"{folder}/{name}.md", content)
    shown = [
        card(name, link=name, picture=f"{folder}/{thumbnail}_thumbnail.svg" if thumbnail else "", text=said)
        for name, (thumbnail, said) in found.items()
    ]
    write(f"{folder}/index.md", f"# {title}\n\n{text}\n\n{cards(shown, 'small')}\n{tree(pages)}")


def generate(app):
    """Write every page and picture."""
    every_layer = [*lists.of_module(layers, layers.Layer), *lists.of_module(inputs, layers.Layer)]
    _family(
        "layers",
        "Layers",
        "Layers are immutable descriptions without arrays. An int in `fp.Network([...])` stands for a `Dense` layer. "
        "Each picture shows three rows of inputs, the parameters, and the outputs that the engine computes; outlined "
        "is what one of the outputs depends on. See [Layers](../../guide/layers.md) in the guide.",
        {one.__name__: _layer(one) for one in every_layer},
        {one.__name__: (one.kind, lists.first_line(one)) for one in every_layer},
    )
    for one in ACTIVATIONS.values():
        curves.activation(one)
    _family(
        "activations",
        "Activations",
        "An activation is given by its name, or with its parameters, such as `fp.activations.leaky_relu(slope=0.1)`. "
        "[Dense](../layers/Dense.md) also takes `softmax` and `log_softmax`, which are functions of a whole row, and "
        "`prelu`, which has trained parameters. Each solid blue curve is g(z), and each dashed orange one its "
        "derivative.",
        {one.name: _activation(one) for one in ACTIVATIONS.values()},
        {one.name: (one.name, f"`{one.formula}`") for one in ACTIVATIONS.values()},
    )
    _family(
        "losses",
        "Losses",
        "A loss is given by its name, or with its parameters, such as `fp.losses.huber(delta=0.5)`. It can also be a "
        "Python function: see [Losses of your own](../../guide/own_losses.md). Each solid blue curve is the loss L of "
        "a row, and each dashed orange one its derivative over an output.",
        {one.name: _loss(one) for one in LOSSES.values()},
        {one.name: (one.name, f"Targets: {TARGETS[one.targets]}.") for one in LOSSES.values()},
    )
    steps, drawn = {}, {}
    for one in [*lists.of_module(optimizers, optimizers.Optimizer), fp.LBFGS]:
        call = curves.optimizer(one)
        above = f"{picture(f'optimizers/{one.__name__}')}`{call}`. {curves.OPTIMIZER_CAPTION}\n```\n\n" if call else ""
        steps[one.__name__] = _class(one, above)
        drawn[one.__name__] = one.__name__ if call else "", lists.first_line(one)
    _family(
        "optimizers",
        "Optimisers",
        "An optimiser computes the update of the parameters from the gradient. Each picture shows 60 steps from the "
        "same point down the same valley.",
        steps,
        drawn,
    )
    rates, curve = {}, {}
    for one in lists.of_module(schedules, schedules.Schedule):
        curves.schedule(one)
        above = f"{picture(f'schedules/{one.__name__}')}{curves.schedule_caption(one)}\n```\n\n"
        rates[one.__name__] = _class(one, above)
        curve[one.__name__] = one.__name__, lists.first_line(one)
    _family(
        "schedules",
        "Schedules",
        inspect.getdoc(schedules).split("\n\n")[0].split(": ", 1)[1].capitalize()
        + " Each takes `warmup`, and its length in `steps` or in `epochs`.",
        rates,
        curve,
    )


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
