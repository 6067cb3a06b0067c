"""The network of the playground, its points, and the actions of the page."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastprop as fp
from fastprop import _validation
from fastprop._core import _engine
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.losses import LOSSES
from fastprop.playground import datasets, features, views
from fastprop.playground.random import WEIGHTS, Random
from fastprop.tabular.csv import parse_csv
from fastprop.tabular.reading import read_numbers
from fastprop.tabular.table import Table
from fastprop.tabular.target import split_in_order

LOSSES_FOR = {
    "classification": ("cross_entropy", "focal", "hinge"),
    "two classes": ("binary_cross_entropy", "binary_hinge"),  # for one output, in addition to those above
    "regression": ("half_mse", "squared_error", "mae", "huber", "log_cosh"),
}
OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": fp.SGD,
    "momentum": lambda rate: fp.SGD(rate, momentum=0.9),
    "adam": fp.Adam,
    "rmsprop": fp.RMSprop,
    "adagrad": fp.Adagrad,
    "lion": fp.Lion,
}
MAX_LAYERS, MAX_UNITS = 6, 12  # hidden layers and their units: such a network can be drawn with a line for each weight
SURFACE, THUMB = 64, 20  # cells along a side of the decision surface, and of the picture of a unit
MAX_HISTORY = 400  # points of the cost curve, which is 400 pixels wide
MOST_TEST = 0.9  # share of points: of the least number of points, 20, two remain for training
MAX_SEED = 2**32 - 1  # a number that JavaScript and the address of a lesson hold exactly
MAX_SECONDS = 0.1  # of training in one request, so that the page stays responsive

START = {
    "data": "circles",
    "n": 300,
    "noise": 0.1,
    "test_share": 0.25,
    "features": ["x1", "x2"],
    "hidden": [6, 4],
    "activation": "tanh",
    "loss": None,  # the first that suits the points
    "optimizer": "adam",
    "rate": 0.01,
    "batch_size": 16,
    "l1": 0.0,
    "l2": 0.0,
    "seed": 0,
    "columns": None,
}
# Settings whose change keeps the network; after a change of any other, training begins again.
KEEP_NETWORK = {"optimizer", "rate", "batch_size", "l1", "l2"}
THUMBNAIL = (80, 0.05, 0)  # points, noise and seed of the picture of a data set


class Session:
    """One network that trains on points in the plane. Every method may be called from any thread.

    A method raises a ValueError or TypeError for a wrong request, which changes nothing. The results can be written as
    JSON, with every number finite or None: a ``scene`` where the settings changed, otherwise a ``snapshot``.
    """

    def __init__(self, table: Table | None = None):
        self._lock = threading.RLock()
        self._table: Table | None = None
        self.settings: dict[str, Any] = {}
        self.trainer: fp.Trainer
        self._history: list[list[Any]]
        self._version = 0
        self._apply(START)
        if table is not None:
            self.take(table)

    # ---- actions ----

    def choices(self) -> dict[str, Any]:
        """Return the values that each setting may have."""
        with self._lock:
            return {
                "data": {"classification": list(datasets.CLASSES), "regression": list(datasets.NUMBERS)},
                "features": list(features.FEATURES),
                "activation": list(ACTIVATIONS),
                "losses": list(self._losses(self.points)),
                "optimizer": list(OPTIMIZERS),
                "layers": MAX_LAYERS,
                "units": MAX_UNITS,
                "start": START,
                "table": None if self._table is None else {"name": self._table.path, "columns": self._table.names},
            }

    def configure(self, changes: Any) -> dict[str, Any]:
        """Change settings. The network is made anew, unless all that change are in ``KEEP_NETWORK``."""
        with self._lock:
            self._apply(self._changed(changes))
            return self.scene()

    def upload(self, data: bytes, name: str) -> dict[str, Any]:
        """Take the points from a CSV file: the first two columns of numbers, and the last column as the target."""
        return self.take(parse_csv(data, " ".join(name.split())[:80] or "your file"))

    def take(self, table: Table) -> dict[str, Any]:
        """Take the points from a table, as ``upload`` does."""
        datasets.check(table)
        numeric = [name for name, column in table.columns.items() if not read_numbers(column)[1].any()]
        target = table.names[-1]
        inputs = [name for name in numeric if name != target][:2]
        if len(inputs) < 2:
            raise ValueError(f"{table.path} has fewer than two columns of numbers besides {target!r}, its last one")
        with self._lock:
            before, self._table = self._table, table
            try:
                columns = {"x": inputs[0], "y": inputs[1], "target": target}
                self._apply(self.settings | {"data": "table", "columns": columns})
            except (ValueError, TypeError):
                self._table = before
                raise
            return self.scene()

    def restart(self, changes: Any = None) -> dict[str, Any]:
        """Begin again with new initial weights, after changes of settings, such as another seed."""
        with self._lock:
            self._apply(self._changed({} if changes is None else changes), afresh=True)
            return self.scene()

    def train(self, steps: Any) -> dict[str, Any]:
        """Train on this many mini-batches, or on fewer if they take longer than 100 milliseconds."""
        steps = _validation.count("steps", steps)
        end = time.perf_counter() + MAX_SECONDS
        with self._lock:
            for _ in range(steps):
                if not self._step(self._next(self.settings["batch_size"])) or time.perf_counter() > end:
                    break
            self._record()
            return self.snapshot()

    def step_example(self) -> dict[str, Any]:
        """Take a step on the next example alone; return its "trace" before the step, and the "snapshot" after it."""
        with self._lock:
            row = self._next(1)
            traced = self._trace(int(row[0]))
            self._step(row)
            self._repeatable = False
            self._record()
            return {"trace": traced, "snapshot": self.snapshot()}

    def trace(self, row: Any) -> dict[str, Any]:
        """Return every number of both passes for one point."""
        with self._lock:
            row = _validation.whole("row", row)
            if not 0 <= row < len(self.points.X):
                raise ValueError(f"row must be 0 to {len(self.points.X) - 1}, got {row}")
            return self._trace(row)

    def edit(self, at: Any, values: Any) -> dict[str, Any]:
        """Set the parameters from place `at` on; in theta, each layer's weights, row by row, are before its biases."""
        with self._lock:
            theta = self.network.parameters.copy()
            at = _validation.whole("at", at)
            if not isinstance(values, list) or not 0 < len(values) <= len(theta) - at:
                raise ValueError(
                    f"values must be a list of 1 to {len(theta)} numbers that end within the {len(theta)} parameters, "
                    f"got {len(values) if isinstance(values, list) else values!r:.100} from place {at} on"
                )
            theta[at : at + len(values)] = [_validation.number("a parameter", value) for value in values]
            self.network.parameters = theta
            self._message, self._repeatable = "", False
            self._record()
            return self.snapshot()

    # ---- results for the page ----

    def state(self) -> dict[str, Any]:
        """Return what gives the network again: "settings", "steps" and "parameters", and whether it is "repeatable".

        It is where ``restart(settings)`` and ``train(steps)`` give it too: before an edit, a step on one example, or a
        change of settings during the training.
        """
        with self._lock:
            return {
                "settings": self.settings,
                "steps": self.trainer.steps,
                "repeatable": self._repeatable,
                "parameters": [value if np.isfinite(value) else None for value in self.network.parameters.tolist()],
            }

    @staticmethod
    def thumbnails() -> dict[str, Any]:
        """Return some points of each generated data set, [x1, x2, label or value]."""
        return {name: datasets.make(name, *THUMBNAIL).table() for name in datasets.MADE}

    def snapshot(self) -> dict[str, Any]:
        """Return the present state of the network: parameters, costs, and pictures of its units over the plane."""
        with self._lock:
            net, X, y = self.network, self._inputs, self.points.y
            training, test = self._training, self._test
            cost, gradient = net.value_and_gradient(X[training], y[training], loss=self._loss)
            seen = {
                "version": self._version,
                "steps": self.trainer.steps,
                "epochs": round(self._rows_done / len(training), 2),
                "message": self._message,
                "cost": views.number(cost),
                "test_cost": self._cost(test),
                "history": self._history,
                "layers": self._layers(gradient),
                "surface": self._surface(),
            }
            if self.points.task == "classification":
                seen["accuracy"], seen["test_accuracy"] = (
                    float((self._classes(X[rows]) == y[rows]).mean()) if len(rows) else None
                    for rows in (training, test)
                )
            return seen

    def scene(self) -> dict[str, Any]:
        """Return what changes only with the settings: the settings themselves, and the points."""
        with self._lock:
            points = self.points
            return {
                "version": self._version,
                "settings": self.settings,
                "choices": self.choices(),
                "task": points.task,
                "classes": points.classes,
                "axes": points.axes,
                "target": points.target,
                "notes": points.notes,
                "inputs": self._pictured_inputs(),
                "points": points.table(),
                "test": self._test.tolist(),
                "domain": self._domain,
                "loss": {"formula": self._formula.formula, "derivative": self._formula.derivative},
                "activation": {
                    "formula": ACTIVATIONS[self.settings["activation"]].formula,
                    "derivative": ACTIVATIONS[self.settings["activation"]].derivative,
                },
            }

    # ---- implementation ----

    @staticmethod
    def _losses(points: datasets.Points) -> tuple[str, ...]:
        return LOSSES_FOR[points.task] + (LOSSES_FOR["two classes"] if len(points.classes) == 2 else ())

    def _changed(self, changes: Any) -> dict[str, Any]:
        """Return the settings with these changes."""
        if not isinstance(changes, dict):
            raise TypeError(f"settings must be an object, got {type(changes).__name__}")
        for name in changes:
            _validation.choice("setting", name, START)
        return self.settings | changes

    def _apply(self, settings: dict[str, Any], *, afresh: bool = False) -> None:
        """Apply settings completely or, if one of them is refused, not at all."""
        settings = settings | {"seed": _validation.seed(settings["seed"])}
        if settings["seed"] > MAX_SEED:
            raise ValueError(f"seed must be 0 to {MAX_SEED}, got {settings['seed']}")
        changed = {name for name in settings if not self.settings or self.settings[name] != settings[name]}
        optimizer = self._optimizer(settings)
        _validation.count("batch_size", settings["batch_size"])
        penalties: dict[str, Any] = {name: _validation.number(name, settings[name], least=0) for name in ("l1", "l2")}
        if changed and changed <= KEEP_NETWORK and not afresh:
            self.trainer.options |= penalties
            self.settings, self.trainer.optimizer = settings, optimizer
            self._repeatable = self._repeatable and not self.trainer.steps
            return
        test_share = _validation.number("test_share", settings["test_share"], least=0)
        if test_share > MOST_TEST:
            raise ValueError(f"test_share must be at most {MOST_TEST}, got {test_share:g}")
        settings["features"] = _features(settings["features"])
        points = self._points(settings)
        losses = self._losses(points)
        if settings["loss"] is None or ("loss" not in changed and settings["loss"] not in losses):
            settings["loss"] = losses[0]  # new points may need a loss of another kind
        _validation.choice("loss", settings["loss"], losses)
        n_outputs = len(points.classes) if settings["loss"] in LOSSES_FOR["classification"] else 1
        network = fp.Network(
            [len(settings["features"]), *_hidden(settings["hidden"]), n_outputs],
            activation=_validation.choice("activation", settings["activation"], ACTIVATIONS),
            dtype="float64",
            seed=settings["seed"],
        )
        random: Any = Random(settings["seed"], WEIGHTS)  # of a generator, initialisers need these two methods
        draws = [operation.draw for operation in network.operations if operation.draw is not None]
        for draw, weights in zip(draws, network.weights):
            weights[...] = draw(random).reshape(weights.shape)
        self.trainer = fp.Trainer(network, loss=settings["loss"], optimizer=optimizer, **penalties)
        self.network, self.points, self.settings = network, points, settings
        self._inputs = features.compute(settings["features"], points.X)
        self._loss, self._formula = settings["loss"], LOSSES[settings["loss"]]
        labels = points.y if points.task == "classification" else None
        rows = np.arange(len(points.X))
        self._training, self._test = split_in_order(rows, self._shuffled(rows, 0), test_share, labels)
        self._epoch, self._order, self._at, self._rows_done = 0, rows[:0], 0, 0
        self._message, self._history, self._repeatable = "", [], True
        self._version += 1
        self._domain = views.domain(points.X)
        self._record()

    def _points(self, settings: dict[str, Any]) -> datasets.Points:
        if settings["data"] == "table":
            columns = settings["columns"]
            if self._table is None:
                raise ValueError("there is no table yet; upload a CSV file first")
            if not isinstance(columns, dict) or set(columns) != {"x", "y", "target"}:
                raise ValueError(f"columns must name x, y and target, got {columns!r:.100}")
            x, y, target = (str(columns[axis]) for axis in ("x", "y", "target"))
            return datasets.from_table(self._table, x, y, target, settings["seed"])
        _validation.choice("data", settings["data"], datasets.MADE)
        n = _validation.count("n", settings["n"])
        if not datasets.MIN_ROWS <= n <= datasets.MAX_ROWS:
            raise ValueError(f"n must be {datasets.MIN_ROWS} to {datasets.MAX_ROWS}, got {n}")
        noise = _validation.number("noise", settings["noise"], least=0)
        if noise > 1:
            raise ValueError(f"noise must be at most 1, got {noise:g}")
        return datasets.make(settings["data"], n, noise, settings["seed"])

    @staticmethod
    def _optimizer(settings: dict[str, Any]) -> Any:
        rate = _validation.number("rate", settings["rate"], above=0)
        return OPTIMIZERS[_validation.choice("optimizer", settings["optimizer"], OPTIMIZERS)](rate)

    def _next(self, n: int) -> np.ndarray:
        """Return the next n rows in the order of this epoch; at its end there may be fewer."""
        if self._at >= len(self._order):
            self._epoch, self._at = self._epoch + 1, 0
            self._order = self._shuffled(self._training, self._epoch)
        rows = self._order[self._at : self._at + n]
        self._at += len(rows)
        return rows

    def _shuffled(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Return rows in a random order, that of the split into training and test points for epoch 0."""
        order = np.empty(len(rows), np.int64)
        _engine.shuffle(order, self.settings["seed"], epoch)
        return rows[order]

    def _step(self, rows: np.ndarray) -> bool:
        """Take a step on these rows; return whether the training has not diverged."""
        try:
            self.trainer.step(self._inputs[rows], self.points.y[rows])
        except fp.DivergenceError as error:
            self._message = f"Training diverged: {error}"
            return False
        self._rows_done += len(rows)
        self._message = ""
        return True

    def _record(self) -> None:
        """Add a point to the cost curve; if it has too many, remove every second one."""
        self._history.append([self.trainer.steps, self._cost(self._training), self._cost(self._test)])
        if len(self._history) > MAX_HISTORY:
            del self._history[1:-1:2]

    def _cost(self, rows: np.ndarray) -> float | None:
        """Return the cost of these rows, without penalties; None if there are none, or it is not finite."""
        return views.number(self.trainer.evaluate(self._inputs[rows], self.points.y[rows])) if len(rows) else None

    def _layers(self, gradient: np.ndarray) -> list[dict[str, Any]]:
        """Return for each layer its parameters and gradients, pictures of its units, and what they do on average."""
        grid = self._grid(THUMB)
        pictured, *_ = self._passes(grid, np.zeros(len(grid), self.points.y.dtype))  # only the forward pass is used
        trained, *_ = self._passes(self._inputs[self._training], self.points.y[self._training])
        layers = []
        for W, b, slopes, picture, operation in zip(
            self.network.weights, self.network.biases, self._by_layer(gradient), pictured, trained
        ):
            with np.errstate(invalid="ignore"):  # of a network that diverged
                slope, flow = np.abs(operation["slope"]).mean(axis=0), np.abs(operation["dz"]).sum(axis=0).mean()
            layers.append(
                {
                    "W": views.numbers(W),
                    "b": views.numbers(b),
                    "pictures": [views.levels(unit, *views.span(unit)) for unit in picture["a"].T],
                    "z": views.ranges(operation["z"]),
                    "a": views.ranges(operation["a"]),
                    "slope": views.numbers(slope),
                    "flow": views.number(flow),
                }
                | slopes
            )
        return layers

    def _by_layer(self, gradient: np.ndarray) -> list[dict[str, Any]]:
        """Return dW and db of each layer, from a gradient that is laid out as the parameters."""
        layers, start = [], 0
        for W, b in zip(self.network.weights, self.network.biases):
            middle, end = start + W.size, start + W.size + b.size
            layers.append(
                {
                    "dW": views.numbers(gradient[start:middle].reshape(W.shape)),
                    "db": views.numbers(gradient[middle:end]),
                }
            )
            start = end
        return layers

    def _surface(self) -> dict[str, Any]:
        """Return the predictions over the plane: the share of each class, as bytes, or the values."""
        outputs = self.network(self._grid(SURFACE))
        if self.points.task == "regression":
            return {"size": SURFACE, "values": views.floats(outputs[:, 0])}
        return {"size": SURFACE, "channels": [views.levels(share, 0, 1) for share in self._shares(outputs).T]}

    def _grid(self, size: int) -> np.ndarray:
        """Return the network's inputs at the centres of size x size cells of the plane."""
        return features.compute(self.settings["features"], views.grid(self._domain, size))

    def _pictured_inputs(self) -> list[dict[str, Any]]:
        names = features.names(self.settings["features"], self.points.axes)
        return [
            {"name": name, "picture": views.levels(values, *views.span(values))}
            for name, values in zip(names, self._grid(THUMB).T)
        ]

    def _shares(self, outputs: np.ndarray) -> np.ndarray:
        """Return the share of each class: the softmax of the outputs, or the logistic function of a single output."""
        scores = outputs if outputs.shape[1] > 1 else np.column_stack([np.zeros(len(outputs)), outputs[:, 0]])
        with np.errstate(invalid="ignore"):  # infinity minus infinity, of a network that diverged
            raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def _classes(self, X: np.ndarray) -> np.ndarray:
        return self._shares(self.network(X)).argmax(axis=1)

    def _trace(self, row: int) -> dict[str, Any]:
        X, y = self._inputs[row : row + 1], self.points.y[row : row + 1]
        operations, losses, gradient, dx = self._passes(X, y)
        outputs = operations[-1]["a"]
        return {
            "row": row,
            "test": bool(np.isin(row, self._test)),
            "x": views.numbers(X[0]),
            "y": self.points.classes[int(y[0])] if self.points.classes else views.number(y[0]),
            "shares": views.numbers(self._shares(outputs)[0]) if self.points.classes else None,
            "loss": views.number(losses[0, 0]),
            "dx": views.numbers(dx[0]),
            "layers": [
                {name: views.numbers(values[0]) for name, values in operation.items()} | slopes
                for operation, slopes in zip(operations, self._by_layer(gradient))
            ],
        }

    def _passes(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Return every number of both passes, as ``Engine.trace`` does."""
        examples = self.network.prepare_examples(X, y, None, self._formula)
        return self.network.engine.trace(*examples, self._formula.compiled(self.network.n_outputs))


def _features(given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise ValueError(f"features must be a list of at least one of {', '.join(features.FEATURES)}")
    for name in given:
        _validation.choice("feature", name, features.FEATURES)
    return [name for name in features.FEATURES if name in given]


def _hidden(given: Any) -> list[int]:
    if not isinstance(given, list) or len(given) > MAX_LAYERS:
        raise ValueError(f"hidden must be a list of at most {MAX_LAYERS} widths, got {given!r:.100}")
    for width in given:
        if _validation.count("a hidden layer's width", width) > MAX_UNITS:
            raise ValueError(f"a hidden layer of the playground has at most {MAX_UNITS} units, got {width!r:.100}")
    return given
