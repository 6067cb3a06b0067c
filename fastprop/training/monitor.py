"""Watch, which records the weights, activations, gradients and updates of each layer while a network trains."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastprop import _validation
from fastprop._util import notebook, palette
from fastprop._util.text import number
from fastprop._util.warn import warn
from fastprop.nn.activations import identity
from fastprop.training.callbacks import Callback

# Every column of the table and what it holds, for n units and r rows of the sample. A column "..._std" or "..._norm" is
# about the array that the column "..._mean" names.
COLUMNS = {
    "epoch": "",
    "layer": "its number from 1, among the layers that have weights or an activation",
    "name": "what it computes, such as 'dense relu'",
    "weight_mean": "of the weights, without biases",
    "weight_std": "",
    "weight_norm": "Euclidean",
    "activation_mean": "of a, (r, n)",
    "activation_std": "",
    "activation_norm": "Euclidean norm of a row, as the root mean square over rows",
    "gradient_mean": "of dW, the derivative of the mean cost over the sample",
    "gradient_std": "",
    "gradient_norm": "Euclidean",
    "signal": "root mean square of dz, (r, n), the gradient that reaches the layer in the backward pass",
    "update_norm": "Euclidean norm of the change of the weights since the last record, per step",
    "update_ratio": "update_norm / weight_norm; at a good rate often about 1e-3",
    "dead": "share of units with g'(z) = 0 in every row: they learn nothing",
    "saturated": "share of the other units whose |g'(z)| is below 1/20 on average",
}

# A warning is given where the signal of a layer is this many times smaller or larger than that at the outputs: no rate
# suits both, so that one layer hardly learns, or the other diverges.
SIGNAL_RATIO = 1000.0
# A warning is given where this share of a layer's units is dead or saturated: with ReLU a smaller share of dead units
# is usual, and costs little.
UNITS_SHARE = 0.5
# A unit is saturated where its mean slope is below this. tanh gets there from |z| = 2.2 on, the sigmoid from 2.9 on.
FLAT_SLOPE = 0.05

# What a notebook shows: the columns with a chart, and those of the table, and the most layers, the first and the
# last ones among them, and rows.
CHARTS = {
    "signal": "the gradient that arrives (root mean square of dz)",
    "update_ratio": "update of a step / weights (ratio of norms)",
    "activation_std": "activations (deviation)",
    "lost": "units that hardly learn (share that is dead or saturated)",
}
SHOWN = ("weight_norm", "activation_std", "gradient_norm", "signal", "update_ratio", "dead", "saturated")
LAYERS, ROWS = 8, 24


class Watch(Callback):
    """Record what each layer does, epoch by epoch, and warn when gradients vanish or explode or units die.

    Both passes are run on a fixed sample of the rows that are trained on, evenly spaced. The training itself is the
    same to the last bit as without it.

    ::

        watch = fp.Watch()
        net.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=20, callbacks=watch)
        watch.table()["update_ratio"]
        fp.plots.watch(watch)

    Parameters
    ----------
    rows : int, default 256
        How many rows the sample has, or all where there are fewer.
    share : float, default 0.03
        The share of the training time that records may take. The first epoch is always recorded; a later one is left
        out if its record would take too long, as with epochs of a millisecond. 1 records every epoch. With the default
        a training takes less than 5 per cent longer; caches are cold after a record.
    warn : bool, default True
        Whether each finding is also a RuntimeWarning, once for each layer.

    Attributes
    ----------
    rows, share, warn
    found : list of str
        The findings, as sentences.
    seconds : float
        How long the records took, in all trainings that are over.

    Raises
    ------
    ValueError, TypeError
        If a value is out of its range; when a training begins, if the loss is a Python function, for which the engine
        cannot run its passes, or if batches come one by one.
    """

    def __init__(self, *, rows: int = 256, share: float = 0.03, warn: bool = True):
        self.rows = _validation.count("rows", rows)
        self.share = _validation.number("share", share, above=0)
        self.warn = _validation.flag("warn", warn)
        self.found: list[str] = []
        self.seconds = 0.0
        self._table: dict[str, list] = {name: [] for name in COLUMNS}
        self._reported: set[tuple[str, int]] = set()
        self._examples: Any = None
        self._before: Any = None
        self._spent = 0.0

    def table(self) -> dict[str, list]:
        """Return a dict of lists with a row for each epoch and layer; ``fastprop.training.monitor.COLUMNS`` says more.

        It holds NaN where a layer has no weights.
        """
        return {name: list(column) for name, column in self._table.items()}

    def __repr__(self) -> str:
        return f"<Watch: {self._said()}>"

    def _said(self) -> str:
        epochs, layers = (len(set(self._table[name])) for name in ("epoch", "layer"))
        if not epochs:
            return "nothing is recorded yet; train with net.fit(..., callbacks=watch)"
        found = len(self.found)
        return f"{_count(epochs, 'epoch')} of {_count(layers, 'layer')} recorded, {_count(found, 'finding')}"

    def _repr_html_(self) -> str:
        """Return the curves of each layer and the numbers of the last epoch, as they are when it is shown."""
        findings = [notebook.paragraph(sentence) for sentence in self.found]
        if not self._table["epoch"]:
            return notebook.fragment(notebook.paragraph(f"Watch: {self._said()}."))
        layers = _chosen(sorted(set(self._table["layer"])))
        charts = "".join(self._chart(layers, column, title) for column, title in CHARTS.items())
        more = len(set(self._table["layer"])) - len(layers)
        left_out = notebook.paragraph(f"{_count(more, 'more layer')} not shown.", "soft") if more else ""
        return notebook.fragment(
            notebook.paragraph(f"Watch: {self._said()}."), *findings, f'<div class="side">{charts}</div>',
            self._numbers(layers), left_out,
        )  # fmt: skip

    def _chart(self, layers: list[int], column: str, title: str) -> str:
        table, curves = self._table, []
        lost = [dead + saturated for dead, saturated in zip(table["dead"], table["saturated"])]
        values = lost if column == "lost" else table[column]
        for k in layers:
            rows = [row for row, layer in enumerate(table["layer"]) if layer == k]
            colour = palette.SERIES[(k - 1) % len(palette.SERIES)]
            dashes = notebook.DASHES[(k - 1) % len(notebook.DASHES)]
            x, y = ([of[row] for row in rows] for of in (table["epoch"], values))
            curves.append(notebook.Curve(f"{k}: {table['name'][rows[0]]}", x, y, colour, dashes))
        drawn = notebook.chart(curves, label=f"{title}, over the epochs, for each layer", x="epoch")
        return notebook.figure(title, drawn) if drawn else ""

    def _numbers(self, layers: list[int]) -> str:
        """Return the table of the last epochs that were recorded."""
        table, rows = self._table, []
        for epoch in sorted(set(table["epoch"]))[-max(1, ROWS // len(layers)) :]:
            for row, (of, layer) in enumerate(zip(table["epoch"], table["layer"])):
                if of == epoch and layer in layers:
                    values = [number(table[name][row], ".3g").replace("nan", "-") for name in SHOWN]
                    rows.append([str(epoch), notebook.unbroken(f"{layer}: {table['name'][row]}"), *values])
        header = ["epoch", "layer", *(name.replace("_", " ") for name in SHOWN)]
        return notebook.table(header, rows, numbers=range(2, len(header)), caption="The last epochs that were recorded")

    # ---- what fit calls ----

    def on_train_begin(self, run: Any) -> None:
        """Choose the sample."""
        start = time.perf_counter()
        net = run.network
        self._objective = run.trainer.parsed_loss.compiled(net.n_outputs)
        if self._objective is None:
            raise TypeError("Watch needs one of fastprop's losses, got a Python function; train without fp.Watch()")
        n = run.rows
        if n is None:
            raise ValueError("Watch takes a sample of the rows, got batches that come one by one; give arrays")
        n_taken = min(self.rows, n)
        # a rank of several may have no rows, and then records nothing
        self._examples = run.take(np.arange(n_taken) * n // n_taken) if n_taken else None
        self._layers = _layers(net)
        self._before, self._steps = net.parameters.copy(), run.steps
        self._began, self._last = start, 0.0
        self._spent = time.perf_counter() - start

    def on_epoch_end(self, run: Any) -> None:
        """Record every layer, if there is time for it."""
        if self._examples is None:
            return
        start = time.perf_counter()
        trained = start - self._began - self._spent
        if self._last and self.share < 1 and self._spent + self._last > self.share * trained:
            return
        self._record(run)
        self._last = time.perf_counter() - start
        self._spent += self._last

    def on_train_end(self, run: Any) -> None:
        """Drop the sample."""
        self.seconds, self._spent = self.seconds + self._spent, 0.0
        self._examples = self._before = None

    # ---- records and findings ----

    def _record(self, run: Any) -> None:
        net, steps = run.network, max(run.steps - self._steps, 1)
        operations, _, gradient, _ = net.engine.trace(
            *self._examples, self._objective, training=True, seed=run.trainer.seed, step=run.steps
        )
        change = np.subtract(net.parameters, self._before, out=self._before)
        rows = []
        for layer, (place, name, weights) in enumerate(self._layers, 1):
            seen = operations[place]
            weight, dW, moved = (flat[weights] for flat in (net.parameters, gradient, change))
            row = {"epoch": run.epoch, "layer": layer, "name": name}
            row |= _moments("weight", weight) | _moments("gradient", dW) | _moments("activation", seen["a"])
            row["activation_norm"] /= len(seen["a"]) ** 0.5
            row["signal"] = _norm(seen["dz"]) / seen["dz"].size ** 0.5
            row["update_norm"] = _norm(moved) / steps if moved.size else np.nan
            row["update_ratio"] = row["update_norm"] / row["weight_norm"] if row["weight_norm"] else np.nan
            row |= _units(seen["slope"])
            rows.append(row)
        self._before[:], self._steps = net.parameters, run.steps
        for row in rows:
            for column, values in self._table.items():
                values.append(row[column])
        self._report_findings(rows)

    def _report_findings(self, rows: list[dict]) -> None:
        """Report gradients that vanish or explode, and units that are dead or saturated."""
        end = rows[-1]["signal"]
        self._report(
            "gradients vanish",
            [row for row in rows if row["signal"] < end / SIGNAL_RATIO],
            lambda row: f"a gradient of {row['signal']:.2g} arrives there, at the outputs {end:.2g}. It hardly learns; "
            "try relu or gelu, fewer layers, or BatchNorm, LayerNorm or Residual between them",
        )
        self._report(
            "gradients explode",
            [row for row in rows if row["signal"] > end * SIGNAL_RATIO and end],
            lambda row: f"a gradient of {row['signal']:.2g} arrives there, at the outputs {end:.2g}. Its weights jump; "
            "try smaller initial weights, a smaller rate, clip_norm=1.0, or LayerNorm between layers",
        )
        self._report(
            "units die",
            [row for row in rows if row["dead"] >= UNITS_SHARE],
            lambda row: f"{row['dead']:.0%} of its units are flat in every row of the sample. They learn nothing; "
            "try a smaller rate, leaky_relu or gelu, or inputs scaled to about unit size",
        )
        self._report(
            "units saturate",
            [row for row in rows if row["saturated"] >= UNITS_SHARE],
            lambda row: f"{row['saturated']:.0%} of its units let less than 1/20 of the gradient through; "
            "try a smaller rate, smaller initial weights, or inputs scaled to about unit size",
        )

    def _report(self, what: str, rows: list[dict], sentence: Callable[[dict], str]) -> None:
        """Report a finding about the layers of `rows` that are new to it: a sentence on the first names the others."""
        new = [row for row in rows if (what, row["layer"]) not in self._reported]
        if not new:
            return
        self._reported |= {(what, row["layer"]) for row in new}
        first, *others = new
        also = f" (and layers {', '.join(str(row['layer']) for row in others)})" if others else ""
        text = f"{what} in epoch {first['epoch']}, layer {first['layer']}, {first['name']}{also}: {sentence(first)}"
        self.found.append(text)
        if self.warn:
            warn(text, RuntimeWarning)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _chosen(layers: list[int]) -> list[int]:
    """Return at most LAYERS layers, evenly spaced."""
    n = min(len(layers), LAYERS)
    return [layers[k * (len(layers) - 1) // max(1, n - 1)] for k in range(n)]


def _layers(net: Any) -> list[tuple[int, str, slice]]:
    """Return for each operation with weights or an activation its place, its name, and where its weights lie."""
    found, start = [], 0
    for place, operation in enumerate(net.operations):
        weights = slice(start, start + operation.n_weights)
        start = weights.stop + operation.n_biases
        if operation.n_weights or operation.activation != identity:
            kind = "" if operation.kind == "copy" else operation.kind.replace("_", " ")
            activation = "" if operation.activation == identity else operation.activation.name
            found.append((place, f"{kind} {activation}".strip(), weights))
    return found


def _norm(values: np.ndarray) -> float:
    flat = values.ravel()
    return float(np.sqrt(np.dot(flat, flat)))


def _moments(what: str, values: np.ndarray) -> dict[str, float]:
    if not values.size:
        return dict.fromkeys((f"{what}_mean", f"{what}_std", f"{what}_norm"), np.nan)
    mean = float(values.mean())
    squares = _norm(values - values.dtype.type(mean)) ** 2
    norm = (squares + values.size * mean**2) ** 0.5
    return {f"{what}_mean": mean, f"{what}_std": (squares / values.size) ** 0.5, f"{what}_norm": norm}


def _units(slope: np.ndarray) -> dict[str, float]:
    """Return the shares of units that are dead and that are saturated; slope is (rows, units)."""
    steep = np.abs(slope).mean(axis=0)
    dead = steep == 0
    return {"dead": float(dead.mean()), "saturated": float(((steep < FLAT_SLOPE) & ~dead).mean())}
