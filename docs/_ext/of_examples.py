"""Writes the gallery: a page for every script of examples/ with its output, and a thumbnail of what it computed.

Scripts that train on MNIST or housing, which are too large to ship, were run once: docs/outputs/ holds their output,
and tests/system/test_examples.py, which runs them, whether they still do.
"""

import ast
import contextlib
import io
import re
import runpy
import sys
from math import sin

import numpy as np

import fastprop as fp
from drawing import Chart
from generated import ROOT, card, cards, tree, write
from of_landing import CARD, network_picture

EXAMPLES = ROOT / "examples"
RECORDED = ROOT / "docs" / "outputs"
EPOCH = re.compile(r"^epoch +(\d+) .*test (\w+) ([\d.,]+)", re.MULTILINE)
THETA = re.compile(r"^  theta_(\d+) +((?:-?\d+\.\d+ +){3})", re.MULTILINE)
SIZE = (CARD[0], 160)  # pixels of a thumbnail with axes
STYLES = ("first", "second", "third")

# what stands in the gallery besides the scripts: title, page, picture of the landing page or image of docs/, text
OTHERS = [
    ("The trace", "/guide/every_number", "landing/learn.svg", "Every number of one step, on a page that plays it."),
    ("The playground", "/guide/playground", "/playground.png", "A network that learns while you change it."),
    ("Tables", "/guide/tables", "landing/table.svg", "A DataFrame as it is, and a report about the model."),
    ("Plots", "/plots", "/plots/decision_boundary.svg", "Curves, boundaries, confusion, histograms."),
    ("Control and simulation", "/recipes/index", "landing/loop.svg", "A policy gradient, an ODE, and planning."),
]
# the examples in other languages: title, files, and what the thumbnail shows
NATIVE = {
    "c_host": ("A program in C that trains a network", ["c_host.c"], "The sine, and what the network makes of it."),
    "cython_loop": (
        "A loop in Cython that identifies a plant",
        ["cython_loop/plant.pyx", "cython_loop/run.py", "cython_loop/setup.py"],
        "The error of the predictions, falling while the plant runs.",
    ),
    "numba_loop": ("A loop in Numba that values states", ["numba_loop.py"], "A cart that balances a pole."),
}


def scripts():
    """Return the paths of the examples, in their order."""
    return sorted(EXAMPLES.glob("[0-9]*.py"))


def run(script):
    """Return the output of a script, and its names."""
    recorded = RECORDED / f"{script.stem}.txt"
    if recorded.exists():
        return recorded.read_text(encoding="utf-8"), {}
    printed = io.StringIO()
    sys.path.insert(0, str(EXAMPLES))  # as Python does for the folder of a script
    try:
        with contextlib.redirect_stdout(printed):
            names = runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.path.remove(str(EXAMPLES))
    return printed.getvalue(), names


def thumbnail(printed, names):
    """Return a picture of what a script computed: its score at each epoch, its parameters, or its gradient."""
    if found := EPOCH.findall(printed):
        epochs = [int(epoch) for epoch, _, _ in found]
        scores = [float(score.replace(",", "")) for _, _, score in found]
        measure = found[0][1]
        return _curves(epochs, {f"test {measure}": scores}, "epoch", f"The test {measure} at each epoch")
    if found := THETA.findall(printed):
        steps, values = [int(step) for step, _ in found], np.array([each.split() for _, each in found], float)
        each = {f"theta[{k}]": column for k, column in enumerate(values.T)}
        return _curves(steps, each, "step", "The parameters on their way to the minimum")
    net = [each for each in names.values() if isinstance(each, fp.Network)][-1]
    gradient = net.copy()
    gradient.parameters[:] = net.gradient
    widths = [net.n_inputs, *(layer.n_outputs for layer in net.layers)]
    return network_picture(widths, gradient.weights, "The network, with a line for the gradient of each weight")


def _curves(x, curves, xlabel, label):
    values = np.concatenate([np.asarray(each, float) for each in curves.values()])
    margin = 0.08 * (values.max() - values.min())
    limits = (values.min() - margin, values.max() + margin)
    chart = Chart((min(x), max(x)), limits, xlabel=xlabel, size=SIZE)
    for style, (name, each) in zip(STYLES, curves.items()):
        chart.curve(x, each, style, name)
    return chart.svg(label)


def page(script, printed):
    """Return the title and the page of a script."""
    text = script.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    title, _, rest = docstring.partition("\n")
    body = text.split('"""', 2)[2].strip()
    parts = [f"# {title.rstrip('.')}", f"`examples/{script.name}`: what it is about, its code, and what it prints."]
    parts += [f"```text\n{rest.strip()}\n```", f"```python\n{body}\n```", "It prints:", f"```output\n{printed}```"]
    return title.rstrip("."), "\n\n".join(parts) + "\n"


def c_host():
    """Draw what the network of the program in C has learned, with the same steps, taken in Python."""
    source = (EXAMPLES / "native" / "c_host.c").read_text(encoding="utf-8")
    names, made = {}, source.split("MADE_IN_PYTHON[] =")[1].split(";")[0]
    exec("\n".join(re.findall(r'"(.*)\\n"', made)), names)
    rows = np.random.default_rng(0).uniform(-3, 3, (50_000, 1))
    names["trainer"].epoch(rows, np.sin(rows), batch_size=1)
    x = np.linspace(-3, 3, 121)
    learned = names["net"](x[:, None])[:, 0]
    return _curves(x, {"sin(x)": np.sin(x), "network": learned}, "x", "The sine, and what the network makes of it")


def cython_loop():
    """Draw the error of the predictions of the loop in Cython, whose first samples are taken in Python."""
    net = fp.Network([2, 32, 32, 1], activation="tanh", dtype="float64", seed=0)
    trainer = fp.Trainer(net, loss="half_mse", optimizer=fp.Adam(0.001))
    state, errors = 0.0, []
    for given in np.random.default_rng(0).uniform(-2, 2, 10_000):
        x = [[state, given]]
        predicted = net(x)[0, 0]
        state = state / (1 + state * state) + sin(given)
        errors.append(abs(predicted - state))
        trainer.step(x, [[state]])
    means = np.reshape(errors, (-1, 250)).mean(axis=1)
    return _curves(np.arange(1, 41) * 250, {"mean error": means}, "sample", "The error of the predictions")


def native(name):
    """Return the page of an example in another language."""
    title, files, _ = NATIVE[name]
    parts = [f"# {title}"]
    parts += ["[Calls from Numba, Cython, C and C++](/guide/native.md) says how this works; the tests run it."]
    for file in files:
        language = {".c": "c", ".pyx": "cython", ".py": "python"}[file[file.rindex(".") :]]
        source = (EXAMPLES / "native" / file).read_text(encoding="utf-8").strip()
        parts += [f"`examples/native/{file}`", f"```{language}\n{source}\n```"]
    return "\n\n".join(parts) + "\n"


def generate(app):
    """Write the pages."""
    own, pages = [], []
    for script in scripts():
        printed, names = run(script)
        title, text = page(script, printed)
        write(f"gallery/{script.stem}.md", text)
        write(f"gallery/{script.stem}.svg", thumbnail(printed, names))
        own.append(card(title, link=script.stem, picture=f"gallery/{script.stem}.svg"))
        pages.append(script.stem)
    drawn = {"c_host": c_host, "cython_loop": cython_loop}
    compiled = []
    for name, (title, _, said) in NATIVE.items():
        write(f"gallery/{name}.md", native(name))
        if name in drawn:
            write(f"gallery/{name}.svg", drawn[name]())
        picture = f"gallery/{name}.svg" if name in drawn else "landing/loop.svg"
        compiled.append(card(title, link=name, picture=picture, text=said))
        pages.append(name)
    others = []
    for title, link, shown, said in OTHERS:
        given = {"image": shown, "alt": title} if shown.startswith("/") else {"picture": shown}
        if shown.endswith(".png"):
            given["dark"] = shown.replace(".png", "-dark.png")
        others.append(card(title, link=link, text=said, **given))
    parts = [
        *["# Gallery", "These are the scripts in `examples/`. Each checks its own numbers, and the tests run it. The "],
        *["pictures show what they computed when these pages were built.", "", cards(own, "large")],
        *["## From C, Cython and Numba", "", cards(compiled, "large")],
        *["## More to look at", "", cards(others, "large"), tree(pages)],
    ]
    write("gallery/index.md", "\n".join(parts))


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
