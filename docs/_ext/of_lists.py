"""Writes a page for each layer, activation, loss, optimiser and schedule, with formula, derivative, curve and source.

The entries are read from the package, as in tools/lists, so a new entry gets its page automatically.
"""

import inspect
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import curves
import fastprop as fp
from fastprop.nn import embeddings as inputs
from fastprop.nn import layers
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.losses import LOSSES
from fastprop.optim import optimizers, schedules
from generated import ROOT, tree, write


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
        f"# {one.name}\n\n{lists.table(['', ''], facts)}\n\nIn a layer: `fp.Dense(64, {spelled})`.\n\n"
        f"![{one.name} and its derivative]({one.name}.svg)\n\n"
        "The blue curve is g(z), the dashed orange one g'(z), both computed by the engine.\n"
    )


def _bounds(number):
    limits = {"at least": number.least, "above": number.above, "below": number.below}
    said = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
    return f"; {' and '.join(said)}" if said else ""


def _values(one):
    return ", ".join(f"{name}={value:g}" for name, value in one.values.items())


def _loss(one):
    facts = [["loss of a row", f"`{one.formula}`"], ["dLoss/da", f"`{one.derivative}`"]]
    facts += [[f"`{n.name}`", f"{n.value!r} by default{_bounds(n)}"] for n in one.hyperparameters]
    facts += [["targets", TARGETS[one.targets]], ["source", one.source]]
    spelled = f'"{one.name}"' if not one.hyperparameters else f"fp.losses.{one!r}"
    text = f"# {one.name}\n\n{lists.table(['', ''], facts)}\n\nIn training: `loss={spelled}`. "
    text += "The cost is the mean of these losses over the rows, weighted by the sample weights if there are any.\n"
    return f"{text}\n![{one.name} and its derivative]({one.name}.svg)\n\n{curves.loss(one)}\n"


def _class(one, picture="", caption=""):
    module = one.__module__
    text = f"# {one.__name__}\n\n"
    if picture:
        text += f"![{caption}]({one.__name__}.svg)\n\n{picture}\n\n"
    return text + f"```{{eval-rst}}\n.. currentmodule:: {module}\n\n.. autoclass:: {one.__name__}\n   :no-index:\n```\n"


def _family(folder, title, text, pages):
    """Write the pages of a list, and their index."""
    for name, content in pages.items():
        write(f"{folder}/{name}.md", content)
    write(f"{folder}/index.md", f"# {title}\n\n{text}\n\n" + tree(pages))


def generate(app):
    """Write every page and picture."""
    every_layer = [*lists.of_module(layers, layers.Layer), *lists.of_module(inputs, layers.Layer)]
    _family(
        "layers",
        "Layers",
        "Layers are immutable descriptions without arrays. An int in `fp.Network([...])` stands for a `Dense` layer.",
        {one.__name__: _class(one) for one in every_layer},
    )
    for one in ACTIVATIONS.values():
        curves.activation(one)
    _family(
        "activations",
        "Activations",
        "An activation is given by its name, or with its parameters, such as `fp.activations.leaky_relu(slope=0.1)`. "
        "[Dense](../layers/Dense.md) also takes `softmax` and `log_softmax`, which are functions of a whole row, and "
        "`prelu`, which has trained parameters.",
        {one.name: _activation(one) for one in ACTIVATIONS.values()},
    )
    _family(
        "losses",
        "Losses",
        "A loss is given by its name, or with its parameters, such as `fp.losses.huber(delta=0.5)`. It can also be a "
        "Python function: see [Losses of your own](../../guide/own_losses.md).",
        {one.name: _loss(one) for one in LOSSES.values()},
    )
    steps = {}
    for one in [*lists.of_module(optimizers, optimizers.Optimizer), fp.LBFGS]:
        drawn = curves.optimizer(one)
        steps[one.__name__] = _class(one, curves.OPTIMIZER_CAPTION if drawn else "", f"The path of {one.__name__}")
    _family("optimizers", "Optimisers", "An optimiser computes the update of the parameters from the gradient.", steps)
    rates = {}
    for one in lists.of_module(schedules, schedules.Schedule):
        curves.schedule(one)
        rates[one.__name__] = _class(one, curves.schedule_caption(one), f"The learning rate of {one.__name__}")
    _family(
        "schedules",
        "Schedules",
        inspect.getdoc(schedules).split("\n\n")[0].split(": ", 1)[1].capitalize()
        + " Each takes `warmup`, and its length in `steps` or in `epochs`.",
        rates,
    )


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
