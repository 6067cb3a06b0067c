"""Every kind of bad input gets a clear error before anything is changed, and unusual but good input works."""

import contextlib
import copy
import inspect
import re
import sys

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

import fastprop as fp
from fastprop import _validation
from fastprop.nn.activations import ACTIVATIONS
from fastprop.nn.initializers import INITIALIZERS
from fastprop.nn.losses import LOSSES
from fastprop.optim import optimizers
from fastprop.training import metrics

ROWS, N_IN, N_OUT = 6, 4, 3
RATE = fp.SGD(0.1, momentum=0.9)


class Bench:
    """A network and a trainer in the middle of a training, with data that fits."""

    def __init__(self, loss="half_mse", dtype="float32", n_outputs=N_OUT):
        n_outputs = strategies.outputs_for(loss, n_outputs)
        self.net = fp.Network([N_IN, 5, n_outputs], dtype=dtype, seed=1)
        self.trainer = fp.Trainer(self.net, loss=loss, optimizer=RATE)
        rng = np.random.default_rng(2)
        self.X = rng.normal(size=(ROWS, N_IN)).astype(dtype)
        self.y = strategies.targets(loss, rng, ROWS, n_outputs).astype(dtype)
        self.loss = loss
        self.trainer.step(self.X, self.y)

    def state(self):
        return self.net.parameters.tobytes(), self.net.gradient.tobytes(), self.trainer.steps

    @contextlib.contextmanager
    def refuses(self, error, *said):
        """The block raises `error`, the message has all of `said`, and nothing has changed."""
        before, twin = self.state(), copy.deepcopy(self.trainer)
        with refuses(error, *said):
            yield
        assert self.state() == before
        for trainer in (self.trainer, twin):  # and training goes on, from the same velocity
            trainer.step(self.X, self.y)
        assert self.state()[0] == twin.network.parameters.tobytes() != before[0]


@contextlib.contextmanager
def refuses(error, *said):
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    missing = [part for part in said if part not in message]
    assert not missing, f"{missing} not in {message!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, (
        "the user sees two errors for one mistake"
    )


# every entry point: its names for X and y, and a function that calls it
ENTRIES = {
    "call": ("X", None, lambda bench, X, y: bench.net(X)),
    "forward": ("X", None, lambda bench, X, y: bench.net.forward(X)),
    "value_and_gradient": ("X", "y", lambda bench, X, y: bench.net.value_and_gradient(X, y, loss=bench.loss)),
    "step": ("xb", "yb", lambda bench, X, y: bench.trainer.step(X, y)),
    "epoch": ("X", "y", lambda bench, X, y: bench.trainer.epoch(X, y, batch_size=2)),
    "evaluate": ("X", "y", lambda bench, X, y: bench.trainer.evaluate(X, y)),
    "fit": ("X", "y", lambda bench, X, y: bench.net.fit(X, y, loss=bench.loss, optimizer=RATE, epochs=1, batch_size=2)),
    "validation": (
        "Xv",
        "yv",
        lambda bench, X, y: bench.net.fit(
            bench.X, bench.y, loss=bench.loss, optimizer=RATE, epochs=1, batch_size=2, validation=(X, y)
        ),
    ),
}
every_entry = pytest.mark.parametrize("entry", ENTRIES)
every_entry_with_y = pytest.mark.parametrize("entry", [name for name, (_, y, _) in ENTRIES.items() if y])


def test_good_input_is_accepted():
    """Otherwise the refusals below might have another cause."""
    for _, _, use in ENTRIES.values():
        bench = Bench()
        use(bench, bench.X, bench.y)


# ---- X ----


class Sparse:
    """An object that looks to NumPy like a scipy.sparse matrix."""

    shape = (ROWS, N_IN)

    def toarray(self):
        return np.zeros(self.shape)


BAD_X = {
    "too few columns": (np.zeros((ROWS, 3)), ValueError, "(rows, 4)", "got (6, 3)", "columns"),
    "too many columns": (np.zeros((ROWS, 5)), ValueError, "(rows, 4)", "got (6, 5)", "columns"),
    "one dimension": (np.zeros(ROWS), ValueError, "(rows, 4)", "got (6,)", "reshape(1, -1)"),
    "three dimensions": (np.zeros((ROWS, N_IN, 1)), ValueError, "(rows, 4)", "got (6, 4, 1)", "columns"),
    "one number": (np.float32(1), ValueError, "(rows, 4)", "got ()"),
    "no rows": (np.zeros((0, N_IN)), ValueError, "at least one row", "(0, 4)", "filtered"),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ValueError, "rectangular", "ragged"),
    "objects": (np.full((ROWS, N_IN), 1.0, object), TypeError, "real numbers", "object", "astype('float32')"),
    "strings": (np.full((ROWS, N_IN), "1"), TypeError, "real numbers", "<U1", "encode"),
    "complex": (np.ones((ROWS, N_IN), complex), TypeError, "real numbers", "complex128", ".real"),
    "dates": (np.zeros((ROWS, N_IN), "datetime64[s]"), TypeError, "real numbers", "datetime64"),
    "sparse": (Sparse(), TypeError, "real numbers", "Sparse", "toarray()"),
    "None": (None, TypeError, "real numbers", "NoneType"),
    "a dict": ({"a": [1, 2]}, TypeError, "real numbers", "dict"),
    "a string": ("data.csv", TypeError, "real numbers", "str"),
    "masked": (
        np.ma.masked_array(np.zeros((ROWS, N_IN)), mask=np.arange(ROWS * N_IN).reshape(ROWS, N_IN) == 5),
        ValueError,
        "1 masked element",
        "filled",
    ),
}


@every_entry
@pytest.mark.parametrize("what", BAD_X)
def test_bad_x(what, entry):
    bench = Bench()
    X, error, *said = BAD_X[what]
    name, _, use = ENTRIES[entry]
    with bench.refuses(error, f"{name} ", *said):
        use(bench, X, bench.y)


@every_entry
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", [(0, 0), (3, 2), (5, 3)])
def test_x_that_is_not_finite(entry, value, dtype, place):
    bench = Bench()
    X = bench.X.astype(dtype)
    X[place] = value
    X[5, 3] = value  # a second one: the message names the first
    name, _, use = ENTRIES[entry]
    with bench.refuses(ValueError, f"{name}[{place[0]}, {place[1]}] is {value}", "finite", "impute or drop"):
        use(bench, X, bench.y)


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 16, 17, 64, 65])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_check_sees_every_element(columns, dtype):
    """NaN is found at every place, also at the end of an array that fills no vector register."""
    net = fp.Network([columns, 1], dtype=dtype, seed=0)
    for place in range(3 * columns):
        for value in (np.nan, np.inf, -np.inf):
            X = np.ones((3, columns), dtype)
            X.flat[place] = value
            with pytest.raises(ValueError, match=re.escape(f"X[{place // columns}, {place % columns}]")):
                net(X)
    net(np.full((3, columns), np.finfo(dtype).max / columns / 10, dtype))
    net(np.full((3, columns), np.finfo(dtype).smallest_subnormal, dtype))


def test_a_row_by_itself_that_is_not_finite():
    net = fp.Network([4, 2], seed=0)
    with refuses(ValueError, "X[2] is nan", "impute"):
        net([1.0, 2.0, np.nan, 4.0])
    with refuses(ValueError, "X[1] is 1e+300", "float32", "scale X or use a float64 network"):
        net([1.0, 1e300, 3.0, 4.0])


@every_entry
def test_overflow_to_float32_is_named(entry):
    bench = Bench()
    X = bench.X.astype("float64")
    X[2, 1] = -1e300
    name, _, use = ENTRIES[entry]
    with bench.refuses(ValueError, f"{name}[2, 1] is -1e+300", "too large for float32", "float64 network"):
        use(bench, X, bench.y)
    wide = Bench(dtype="float64")
    use(wide, np.clip(X, -1e30, None), wide.y)


def test_one_column_hint():
    net = fp.Network([1, 1], seed=0)
    with refuses(ValueError, "(rows, 1)", "(5,)", "reshape(-1, 1)"):
        net.value_and_gradient(np.zeros(5), np.zeros(5), loss="half_mse")


# ---- y ----

BAD_Y = {
    "fewer rows": (np.zeros((5, N_OUT)), ValueError, "(6, 3)", "got (5, 3)", "X has 6 rows"),
    "more rows": (np.zeros((7, N_OUT)), ValueError, "(6, 3)", "got (7, 3)", "X has 6 rows"),
    "columns": (np.zeros((ROWS, 2)), ValueError, "(6, 3)", "got (6, 2)", "3 outputs"),
    "one dimension": (np.zeros(ROWS), ValueError, "(6, 3)", "got (6,)", "3 outputs"),
    "transposed": (np.zeros((N_OUT, ROWS)), ValueError, "(6, 3)", "got (3, 6)"),
    "ragged": ([[1, 2, 3], [1]], ValueError, "rectangular", "ragged"),
    "strings": (np.full((ROWS, N_OUT), "a"), TypeError, "real numbers", "<U1", "encode"),
    "complex": (np.ones((ROWS, N_OUT), complex), TypeError, "real numbers", "complex128"),
    "None": (None, TypeError, "real numbers", "NoneType"),
}


@every_entry_with_y
@pytest.mark.parametrize("what", BAD_Y)
def test_bad_y(what, entry):
    bench = Bench()
    y, error, *said = BAD_Y[what]
    _, name, use = ENTRIES[entry]
    with bench.refuses(error, f"{name} must", *said):
        use(bench, bench.X, y)


@every_entry_with_y
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_y_that_is_not_finite(entry, loss, value):
    bench = Bench(loss)
    y = bench.y.copy()
    y[4, 1] = value
    _, name, use = ENTRIES[entry]
    with bench.refuses(ValueError, f"{name}[4, 1] is {value}", "finite", "impute or drop"):
        use(bench, bench.X, y)


def test_the_place_in_y_of_one_dimension():
    bench = Bench(n_outputs=1)
    y = bench.y.ravel().copy()
    y[4] = np.nan
    with bench.refuses(ValueError, "y[4] is nan"):
        bench.trainer.epoch(bench.X, y, batch_size=2)
    with bench.refuses(ValueError, "y[2] is 1e+300", "too large for float32", "scale y"):
        bench.trainer.epoch(bench.X, [0, 0, 1e300, 0, 0, 0], batch_size=2)
    binary = Bench("binary_cross_entropy", n_outputs=1)
    with binary.refuses(ValueError, "y[1] is 2.0", "[0, 1]"):
        binary.trainer.epoch(binary.X, [0, 2, 1, 0, 0, 0], batch_size=2)


@every_entry_with_y
@pytest.mark.parametrize(
    "y, error, said",
    [
        ([0, 1, 2, 3, 0, 9], ValueError, ["[5] is 9", "[0, 3)", "3 outputs", "give the network 10 outputs"]),
        ([0, 1, -1, 2, 0, 1], ValueError, ["[2] is -1", "[0, 3)", "return_inverse"]),
        (np.array([0, 1, 2, 0, 1, 2**63], np.uint64), ValueError, ["[5] is 9223372036854775808", "[0, 3)"]),
        ([0.0, 1.0, 2.0, 0.0, 1.0, 2.0], TypeError, ["integer labels", "float64", "astype(int)"]),
        ([0.5, 1.0, 2.0, 0.0, 1.0, 2.0], TypeError, ["integer labels", "float64"]),
        (list("abcabc"), TypeError, ["integer labels", "<U1", "return_inverse"]),
        ([0, 1, 2, 0, 1, None], TypeError, ["integer labels", "object"]),
        ([0, 1, 2, 0, 1], ValueError, ["(6,)", "got (5,)", "rows of X"]),
        ([[0], [1], [2], [0], [1], [2]], ValueError, ["(6, 3) or (6,)", "got (6, 1)", "ravel()"]),
        (1, ValueError, ["(6,)", "got ()"]),
        ([[0, 1], [0]], ValueError, ["rectangular", "ragged"]),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, type) else "",
)
def test_bad_labels(entry, y, error, said):
    bench = Bench("cross_entropy")
    _, name, use = ENTRIES[entry]
    with bench.refuses(error, name, *said):
        use(bench, bench.X, y)


def test_every_label_is_checked():
    bench = Bench("cross_entropy")
    for place in range(ROWS):
        for wrong in (-1, N_OUT):
            y = np.ones(ROWS, np.int64)
            y[place] = wrong
            with refuses(ValueError, f"y[{place}] is {wrong}"):
                bench.trainer.evaluate(bench.X, y)


@every_entry_with_y
@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [0.2, 0.2, 0.2], [0, 0, 0], [1, 1, 0]])
def test_probabilities_that_do_not_sum_to_one(entry, row):
    bench = Bench("cross_entropy")
    y = bench.y.copy()
    y[3] = row
    _, name, use = ENTRIES[entry]
    with bench.refuses(ValueError, f"{name}[3] sums to {sum(row):.6g}", "must sum to 1", "divide"):
        use(bench, bench.X, y)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("wrong", [-0.25, 1.25])
def test_probabilities_out_of_range(loss, wrong):
    bench = Bench(loss)
    y = bench.y.copy()
    y[2, 1] = wrong
    with bench.refuses(ValueError, f"y[2, 1] is {wrong}", "[0, 1]", "scale"):
        bench.trainer.epoch(bench.X, y, batch_size=2)


def test_probabilities_with_few_digits_pass():
    bench = Bench("cross_entropy")
    bench.trainer.step(bench.X, np.tile([0.333, 0.333, 0.333], (ROWS, 1)))
    bench.trainer.step(bench.X, np.eye(3)[[0, 1, 2, 0, 1, 2]])
    bench.trainer.step(bench.X, np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]])


def test_cross_entropy_of_one_output():
    net = fp.Network([N_IN, 1], seed=0)
    with refuses(ValueError, "1 output", "an output for each class", "binary_cross_entropy"):
        net.value_and_gradient(np.zeros((3, N_IN)), [0, 0, 0], loss="cross_entropy")


# ---- numbers ----


@pytest.mark.parametrize(
    "value, error, said",
    [
        (0, ValueError, ["positive int", "got 0"]),
        (-3, ValueError, ["positive int", "got -3"]),
        (ROWS + 1, ValueError, ["batch_size=7", "6 rows", "use batch_size=6 or less"]),
        (2.0, TypeError, ["positive int", "got 2.0 (float)"]),
        ("2", TypeError, ["positive int", "got '2' (str)"]),
        (True, ValueError, ["positive int", "got True"]),
        (np.float32(2), TypeError, ["positive int", "float32"]),
    ],
)
def test_bad_batch_size(value, error, said):
    bench = Bench()
    with bench.refuses(error, "batch_size", *said):
        bench.trainer.epoch(bench.X, bench.y, batch_size=value)
    with bench.refuses(error, "batch_size", *said):
        bench.net.fit(bench.X, bench.y, loss="half_mse", optimizer=RATE, batch_size=value)


@pytest.mark.parametrize("size", [1, ROWS, np.int8(2), np.uint64(3)])
def test_good_batch_size(size):
    bench = Bench()
    bench.trainer.epoch(bench.X, bench.y, batch_size=size)
    assert bench.trainer.steps == 1 + -(-ROWS // int(size))


@pytest.mark.parametrize("value, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError)])
def test_bad_epochs(value, error):
    bench = Bench()
    with bench.refuses(error, "epochs must be a positive int", repr(value)):
        bench.net.fit(bench.X, bench.y, loss="half_mse", optimizer=RATE, epochs=value, batch_size=2)


NOT_POSITIVE = [(0, ValueError), (0.0, ValueError), (-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError)]
NOT_NUMBERS = [("0.1", TypeError), (None, TypeError), (1j, TypeError), ([0.1], TypeError), (True, TypeError)]
HUGE = [(10**400, ValueError)]


@pytest.mark.parametrize("value, error", NOT_POSITIVE + NOT_NUMBERS + HUGE)
def test_bad_rate(value, error):
    with refuses(error, "rate must be a number above 0", f"got {value!r}"):
        fp.SGD(value)


@pytest.mark.parametrize(
    "value, error", [(1.0, ValueError), (1, ValueError), (-0.1, ValueError), (np.nan, ValueError), *NOT_NUMBERS]
)
def test_bad_momentum(value, error):
    with refuses(error, "momentum must be a number at least 0 and below 1", f"got {value!r}"):
        fp.SGD(0.1, momentum=value)


@pytest.mark.parametrize(
    "value, error", [(-1e-9, ValueError), (np.nan, ValueError), (np.inf, ValueError), *NOT_NUMBERS]
)
def test_bad_weight_decay(value, error):
    with refuses(error, "weight_decay must be a number at least 0", f"got {value!r}"):
        fp.SGD(0.1, weight_decay=value)


def test_nesterov():
    with refuses(ValueError, "nesterov=True needs momentum", "got momentum=0", "momentum=0.9"):
        fp.SGD(0.1, nesterov=True)
    with refuses(TypeError, "nesterov must be True or False", "got 'no' (str)"):
        fp.SGD(0.1, momentum=0.9, nesterov="no")
    assert fp.SGD(0.1, momentum=0.9, nesterov=np.bool_(True)).nesterov is True


@pytest.mark.parametrize("rate", [np.float32(0.25), np.array(0.25), 1, np.int64(1), 1e-300])
def test_numbers_are_kept_as_floats(rate):
    optimizer = fp.SGD(rate, momentum=np.float32(0.5), weight_decay=0)
    assert type(optimizer.rate) is type(optimizer.momentum) is type(optimizer.weight_decay) is float
    assert optimizer == fp.SGD(float(rate), momentum=0.5)
    fp.Trainer(fp.Network([2, 1], seed=0), loss="half_mse", optimizer=optimizer).step([[1, 2]], [1])


@pytest.mark.parametrize(
    "value, error", [(-1, ValueError), (2**63, ValueError), (1.0, TypeError), ("1", TypeError), ([1], TypeError)]
)
def test_bad_seed(value, error):
    with refuses(error, "seed must be", f"got {value!r}"):
        fp.Network([2, 1], seed=value)
    with refuses(error, "seed must be", f"got {value!r}"):
        fp.Trainer(fp.Network([2, 1]), loss="half_mse", optimizer=RATE, seed=value)


@pytest.mark.parametrize("value", [0, np.int32(5), 2**63 - 1])
def test_good_seed(value):
    net = fp.Network([2, 1], seed=value)
    assert net.seed == value and type(net.seed) is int


@pytest.mark.parametrize(
    "value, error, said",
    [
        (0, ValueError, "got 0"),
        (-1, ValueError, "got -1"),
        (10**6, ValueError, "got 1000000"),
        (True, ValueError, "got True"),
        (2.0, TypeError, "got 2.0 (float)"),
        ("2", TypeError, "got '2' (str)"),
        (None, TypeError, "got None"),
    ],
)
def test_bad_number_of_threads(value, error, said):
    before = fp.get_num_threads()
    with refuses(error, "number of threads must be", said):
        fp.set_num_threads(value)
    assert fp.get_num_threads() == before


# ---- names ----


@pytest.mark.parametrize(
    "make, kind, name, near, known",
    [
        (lambda name: fp.Network([2, 3, 1], activation=name), "activation", "rleu", "relu", ACTIVATIONS),
        (lambda name: fp.Dense(3, name), "activation", "Sigmoit", "sigmoid", ACTIVATIONS),
        (lambda name: fp.Dense(3, initializer=name), "initializer", "he_norml", "he_normal", INITIALIZERS),
        (lambda name: fp.Network([2, 1], dtype=name), "dtype", "flaot32", "float32", ["float32", "float64"]),
        (lambda name: fp.Network([2, 1], dtype=name), "dtype", "float16", "float", ["float32", "float64"]),
        (lambda name: fp.Trainer(fp.Network([2, 1]), loss=name, optimizer=RATE), "loss", "half_ms", "half_mse", LOSSES),
        (
            lambda name: fp.Network([2, 1]).value_and_gradient([[1, 2]], [1], loss=name),
            "loss",
            "crossentropy",
            "cross_entropy",
            LOSSES,
        ),
        (
            lambda name: fp.Network([2, 1]).fit([[1, 2]], [1], loss=name, optimizer=RATE),
            "loss",
            "binary_crossentropy",
            "binary_cross_entropy",
            LOSSES,
        ),
    ],
)
def test_unknown_names(make, kind, name, near, known):
    with refuses(ValueError, f"unknown {kind} {name!r}", f"did you mean '{near}", *known):
        make(name)
    with refuses(ValueError, f"unknown {kind} 'zzz'", "use one of", *known):
        make("zzz")


OPTIMIZERS = list(optimizers.OPTIMIZERS)
METRICS = list(metrics.METRICS)
SAID = {  # the names of PyTorch, Keras, scikit-learn and others -> the names that are meant
    "loss": {
        "bce": "binary_cross_entropy", "BCEWithLogitsLoss": "binary_cross_entropy", "binary_crossentropy":
        "binary_cross_entropy", "crossentropy": "cross_entropy", "categorical_crossentropy": "cross_entropy",
        "sparse_categorical_crossentropy": "cross_entropy", "CrossEntropyLoss": "cross_entropy", "nll": "cross_entropy",
        "NLLLoss": "cross_entropy", "nll_loss": "cross_entropy", "log_loss": "cross_entropy",
        "logloss": "cross_entropy", "softmax": "cross_entropy",
        "logistic": "binary_cross_entropy", "mean_squared_error": "mse", "MSELoss": "mse",
        "mean_absolute_error": "mae", "l1": "mae", "L1Loss": "mae", "l2": "mse", "absolute_error": "mae",
        "SmoothL1Loss": "huber", "HuberLoss": "huber", "kl_div": "kl_divergence", "KLDivLoss": "kl_divergence",
        "pinball": "quantile", "PoissonNLLLoss": "poisson", "GaussianNLLLoss": "gaussian_nll", "logcosh": "log_cosh",
        "squared-error": "squared_error", "MultiMarginLoss": "hinge", "categorical_hinge": "hinge",
    },
    "activation": {
        "swish": "silu", "LeakyReLU": "leaky_relu", "logistic": "sigmoid", "linear": "identity",
        "Hardswish": "hard_swish",
        "Hardtanh": "hard_tanh", "hard_silu": "hard_swish", "LogSigmoid": "log_sigmoid", "rectifier": "relu",
        "LogSoftmax": "log_softmax",
    },
    "optimizer": {"momentum": "sgd", "adamm": "adam", "nesterov": "sgd", "RMS_prop": "rmsprop"},
    "initializer": {
        "kaiming_normal_": "he_normal", "xavier_uniform": "glorot_uniform", "xavier": "glorot_uniform",
        "HeNormal": "he_normal", "GlorotUniform": "glorot_uniform",
    },
    "metric": {"acc": "accuracy", "binary_accuracy": "accuracy", "f1_score": "f1", "root_mean_squared_error": "rmse"},
}  # fmt: skip
MAKERS = {
    "loss": (LOSSES, lambda name: fp.Trainer(fp.Network([2, 4]), loss=name).parsed_loss.name),
    "activation": ([*ACTIVATIONS, "softmax", "log_softmax"], lambda name: fp.Dense(3, name).activation),
    "optimizer": (
        OPTIMIZERS,
        lambda name: type(fp.Trainer(fp.Network([2, 4]), loss="mse", optimizer=name).optimizer).__name__.lower(),
    ),
    "initializer": (["auto", *INITIALIZERS], lambda name: fp.Dense(3, initializer=name).initializer),
    "metric": (METRICS, lambda name: metrics.parse(name, LOSSES["mse" if name.lower()[0] in "mr" else CE], 3)[0].name),
}
CE = "cross_entropy"


@pytest.mark.parametrize("kind, said, meant", [(kind, *pair) for kind, names in SAID.items() for pair in names.items()])
def test_what_other_libraries_call_it(kind, said, meant, monkeypatch):
    if kind == "metric":
        monkeypatch.setitem(sys.modules, "sklearn", None)  # its scorers have names of their own
    with refuses(ValueError, f"unknown {kind} {said!r}", f"did you mean {meant!r}?"):
        MAKERS[kind][1](said)


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, (known, _) in MAKERS.items() for name in known])
def test_names_in_any_case(kind, name):
    """Names may be written as the classes of other libraries: Adam, ReLU, MSE."""
    make = MAKERS[kind][1]
    for said in (name.upper(), name.capitalize(), name.title()):
        assert make(said) == make(name) and str(make(name)) == name


def test_an_optimizer_that_is_not_made_yet():
    with refuses(TypeError, "use fp.Adam(), or for example fp.SGD(0.1)"):
        fp.Trainer(fp.Network([2, 1]), loss="mse", optimizer=fp.Adam)
    for optimizer in (fp.LBFGS(), "lbfgs", "L-BFGS"):
        with refuses(TypeError, "net.fit(X, y, loss=..., optimizer=fp.LBFGS())"):
            fp.Trainer(fp.Network([2, 1]), loss="mse", optimizer=optimizer)


# ---- arguments that do not exist ----

NET, DATA = fp.Network([2, 3, 2], seed=0), (np.zeros((4, 2)), np.zeros((4, 2)))
CALLS = {
    "fit": lambda **how: NET.fit(*DATA, loss="mse", epochs=1, **how),
    "Trainer": lambda **how: fp.Trainer(NET, loss="mse", **how),
    "Ensemble.fit": lambda **how: fp.Ensemble(2, [2, 2]).fit(*DATA, loss="mse", **how),
    "EnsembleTrainer": lambda **how: fp.EnsembleTrainer(fp.Ensemble(2, [2, 2]), loss="mse", **how),
    "Network": lambda **how: fp.Network([2, 2], **how),
    "SGD": fp.SGD, "Adam": fp.Adam, "RPROP": fp.RPROP, "LBFGS": fp.LBFGS,
    "Cosine": lambda **how: fp.schedules.Cosine(0.1, **how), "Step": lambda **how: fp.schedules.Step(0.1, **how),
    "Dense": lambda **how: fp.Dense(3, **how), "Dropout": lambda **how: fp.Dropout(0.1, **how),
    "Embedding": fp.Embedding, "EarlyStopping": fp.EarlyStopping, "EMA": fp.EMA,
    "Checkpoint": lambda **how: fp.Checkpoint("run", **how),
}  # fmt: skip
ARGUMENTS = [
    *((call, name, "optimizer=fp.Adam(0.001)") for call in ("fit", "Trainer", "Ensemble.fit", "EnsembleTrainer")
      for name in ("lr", "learning_rate", "rate", "learning_rate_init")),
    *((call, name, "did you mean rate=") for call in ("SGD", "Adam") for name in ("lr", "learning_rate")),
    *(("fit", name, f"did you mean {meant}=") for name, meant in {
        "validation_data": "validation", "validation_split": "validation", "verbose": "progress", "batchsize":
        "batch_size", "BatchSize": "batch_size", "n_epochs": "epochs", "max_iter": "epochs", "epoch": "epochs",
        "criterion": "loss", "optim": "optimizer", "random_state": "seed", "metric": "metrics", "callback": "callbacks",
        "sample_weights": "sample_weight", "early_stoping": "early_stopping", "clipnorm": "clip_norm", "L2": "l2",
    }.items()),
    ("Ensemble.fit", "validation_data", "did you mean validation="), ("Ensemble.fit", "batchsize", "batch_size="),
    ("Ensemble.fit", "l_2", "did you mean l2="), ("Ensemble.fit", "bootstrapp", "did you mean bootstrap="),
    ("Trainer", "epochs", "net.fit(X, y"), ("Trainer", "verbose", "net.fit(X, y"),
    ("fit", "weight_decay", "fp.AdamW(weight_decay=0.01)"), ("fit", "momentum", "fp.SGD(0.1, momentum=0.9)"),
    ("fit", "patience", "fp.EarlyStopping(patience=10)"), ("fit", "n_jobs", "fp.set_num_threads"),
    ("Adam", "betas", "beta1="), ("Adam", "eps", "epsilon="), ("SGD", "nestrov", "nesterov="),
    ("Network", "hidden_layer_sizes", "layers="), ("Network", "activations", "activation="),
    ("RPROP", "qqq", "it takes"),
    ("Cosine", "T_max", "steps="), ("Cosine", "eta_min", "final="), ("Step", "gamma", "factor="),
    ("Dense", "use_bias", "bias="), ("Dense", "units", "n_outputs="), ("Dense", "act", "activation="),
    ("Dropout", "p", "rate="), ("EarlyStopping", "restore_best_weights", "restore_best="), ("EMA", "decai", "decay="),
    ("Checkpoint", "monitor", "best="), ("LBFGS", "memmory", "memory="), ("Embedding", "column", "columns="),
]  # fmt: skip


@pytest.mark.parametrize("call, name, words", ARGUMENTS)
def test_arguments_that_there_are_not(call, name, words):
    before = NET.parameters.copy()
    with refuses(TypeError, f"{call}() has no argument {name!r}", words):
        CALLS[call](**{name: 1})
    np.testing.assert_array_equal(NET.parameters, before)


@given(st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_any_argument_that_there_is_not(name):
    known = inspect.signature(fp.Trainer).parameters
    if name not in known:
        with refuses(TypeError, f"Trainer() has no argument {name!r}"):
            CALLS["Trainer"](**{name: 1})


@pytest.mark.parametrize(
    "call, wanted, names",
    [
        (lambda: fp.EarlyStopping("x"), "EarlyStopping() takes no argument by position, got 'x'", "patience='x'"),
        (lambda: fp.Network([2, 2], "tanh"), "Network() takes one argument by position, got 't", "activation='tanh'"),
        (lambda: NET.fit(*DATA, "mse"), "fit() takes 2 arguments by position, got 'mse'", "loss='mse'"),
        (lambda: fp.ByColumn((fp.Periodic(), [0]), 2), "ByColumn() takes one argument, parts, got 2", "give one list"),
        (lambda: fp.Checkpoint("run", 2), "Checkpoint() takes one argument by position, got 2", "every=2"),
    ],
)
def test_an_argument_by_position_that_has_to_have_its_name(call, wanted, names):
    before = NET.parameters.copy()
    with refuses(TypeError, wanted, names):
        call()
    np.testing.assert_array_equal(NET.parameters, before)


def test_signatures_are_those_that_were_written():
    assert list(inspect.signature(fp.SGD).parameters)[:3] == ["rate", "weight_decay", "decoupled"]
    assert list(inspect.signature(fp.Trainer).parameters)[:3] == ["network", "loss", "optimizer"]
    assert list(inspect.signature(fp.Ensemble.fit).parameters)[:4] == ["self", "X", "y", "loss"]


# ---- no loss, no optimiser ----


@pytest.mark.parametrize(
    "y, n_outputs, said",
    [
        ([0, 1, 2, 3], 4, ["y holds 0, 1, 2, ...", "loss='cross_entropy'"]),
        (["a", "b", "b", "a"], 2, ["y holds 'a', 'b'", "loss='cross_entropy'"]),
        ([True, False, True, True], 1, ["loss='binary_cross_entropy'"]),
        ([0, 1, 1, 0], 1, ["y holds 0, 1", "loss='binary_cross_entropy'"]),
        ([3, 7, 100, 0], 1, ["loss='mse'", "'poisson'"]),
        ([0.5, 1.5, 2.0, 3.0], 1, ["real numbers", "loss='mse'"]),
        (np.eye(4), 4, ["sums to 1", "loss='cross_entropy'"]),
        (np.full((4, 2), 0.7), 2, ["loss='mse'"]),
        (None, 2, ["'cross_entropy' for labels", "'mse' for numbers"]),
        ([[1], [2, 3], [], [4]], 2, ["'cross_entropy' for labels"]),
    ],
)
def test_without_a_loss(y, n_outputs, said):
    X = np.zeros((4, 2))
    with refuses(TypeError, "fit needs a loss: ", *said):
        fp.Network([2, n_outputs]).fit(X, y)
    with refuses(TypeError, "Ensemble.fit needs a loss: ", *said):
        fp.Ensemble(2, [2, n_outputs]).fit(X, y)


def test_without_an_optimizer():
    nets = [fp.Network([2, 3, 2], seed=0) for _ in range(4)]
    nets[0].fit(*DATA, loss="mse", epochs=2)
    nets[1].fit(*DATA, loss="mse", epochs=2, optimizer=fp.Adam(0.003))
    trainer = fp.Trainer(nets[2], loss="mse")
    assert trainer.optimizer == fp.Adam(0.003)
    for _ in range(2):
        trainer.epoch(*DATA)
    ensemble = fp.Ensemble(1, [2, 3, 2], seed=0)
    ensemble.fit(*DATA, loss="mse", epochs=2)
    nets[3].parameters = ensemble.networks[0].parameters
    assert len({net.parameters.tobytes() for net in nets}) == 1


@pytest.mark.parametrize("value", [3, None, ["relu"], np.maximum])
def test_names_that_are_no_names(value):
    with refuses(TypeError, "activation must be a name", repr(value), *ACTIVATIONS):
        fp.Dense(3, value)
    if not callable(value):  # a callable is a loss of the user's own
        with refuses(TypeError, "loss must be a name", repr(value), *LOSSES):
            fp.Trainer(fp.Network([2, 1]), loss=value, optimizer=RATE)


@pytest.mark.parametrize("value", [int, "int32", None, "f4,f4", np.complex64, 3, object()])
def test_bad_dtype(value):
    with refuses(ValueError, "dtype", "float32", "float64", repr(value) if value != "f4,f4" else "f4"):
        fp.Network([2, 1], dtype=value)


@given(st.text(max_size=8))
def test_any_text_as_a_dtype(text):
    with contextlib.suppress(ValueError):
        assert _validation.dtype(text).name in ("float32", "float64")


@pytest.mark.parametrize("value", ["float32", np.float32, np.dtype("f4"), "f4", ">f4", "single"])
def test_good_dtype(value):
    net = fp.Network([2, 1], dtype=value)
    assert net.dtype == np.float32 and net.dtype.isnative


# ---- layers ----


@pytest.mark.parametrize(
    "layers, error, said",
    [
        ([], ValueError, ["at least one layer", "got []", "[784, 128, 10]"]),
        ([3], ValueError, ["at least one layer", "got [3]", "[784, 128, 10]"]),
        (3, TypeError, ["must be a list", "got int", "the number of inputs"]),
        (None, TypeError, ["must be a list", "got NoneType"]),
        ("3-2", TypeError, ["must be a list", "got str"]),
        ([0, 2], ValueError, ["number of inputs", "positive int", "got 0"]),
        ([-1, 2], ValueError, ["number of inputs", "positive int", "got -1"]),
        ([3.0, 2], TypeError, ["number of inputs", "positive int", "got 3.0 (float)"]),
        ([True, 2], ValueError, ["number of inputs", "positive int", "got True"]),
        ([3, 0, 2], ValueError, ["layer 1", "positive int", "fp.Dense(", "got 0"]),
        ([3, 4, -2], ValueError, ["layer 2", "positive int", "got -2"]),
        ([3, 2.5], TypeError, ["layer 1", "positive int", "got 2.5 (float)"]),
        ([3, False], ValueError, ["layer 1", "positive int", "got False"]),
        ([3, "relu"], TypeError, ["layer 1", "fp.Dense(", "got 'relu' (str)"]),
        ([3, None], TypeError, ["layer 1", "got None"]),
        ([3, [4, 2]], TypeError, ["layer 1", "got [4, 2] (list)"]),
        ([fp.Dense(3), 2], TypeError, ["first entry", "number of inputs", "Dense(3)", "[n_inputs, "]),
        (np.array([3.0, 2.0]), TypeError, ["number of inputs", "float64"]),
    ],
    ids=str,
)
def test_bad_layers(layers, error, said):
    with refuses(error, *said):
        fp.Network(layers)


@pytest.mark.parametrize("layers", [(3, 2), np.array([3, 2]), iter([3, 2]), [np.int64(3), np.uint8(2)]])
def test_good_layers(layers):
    net = fp.Network(layers)
    assert (net.n_inputs, net.n_outputs) == (3, 2) and type(net.n_inputs) is type(net.n_outputs) is int


@pytest.mark.parametrize("width, error", [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, ValueError)])
def test_bad_width_of_dense(width, error):
    with refuses(error, "width of a layer", "positive int", f"got {width!r}"):
        fp.Dense(width)


@pytest.mark.parametrize("layers", [[2**40, 2**40], [2**62, 1], [2**70, 2**70]])
def test_a_network_that_no_memory_holds(layers):
    with refuses(MemoryError, "no memory for", "parameters", "narrower"):
        fp.Network(layers)


# ---- things of another kind ----


def test_what_a_trainer_takes():
    net = fp.Network([2, 1])
    with refuses(TypeError, "Trainer takes a fastprop Network", "got list", "fp.Network("):
        fp.Trainer([2, 1], loss="half_mse", optimizer=RATE)
    for optimizer in (0.1, None, fp.SGD):
        with refuses(TypeError, "optimizer must be an optimiser", repr(optimizer), "fp.SGD(0.1)"):
            fp.Trainer(net, loss="half_mse", optimizer=optimizer)


@pytest.mark.parametrize("value", [5, "yes", [print]])
def test_progress_that_is_no_function(value):
    bench = Bench()
    with bench.refuses(TypeError, "progress must be a function", f"got {value!r}"):
        bench.trainer.epoch(bench.X, bench.y, batch_size=2, progress=value)
    with bench.refuses(TypeError, "progress must be a function or True or False", f"got {value!r}"):
        bench.net.fit(bench.X, bench.y, loss="half_mse", optimizer=RATE, batch_size=2, progress=value)


@pytest.mark.parametrize("value", ["ab c", (1,), (1, 2, 3, 4), {"X": 1, "y": 2}])
def test_validation_that_is_no_pair(value):
    bench = Bench()
    with bench.refuses(TypeError, "validation must be a pair (Xv, yv)", type(value).__name__, "validation=(Xv, yv)"):
        bench.net.fit(bench.X, bench.y, loss="half_mse", optimizer=RATE, batch_size=2, validation=value)


@pytest.mark.parametrize("value", [5, 0, 1.0, -0.1])
def test_validation_that_is_no_fraction(value):
    bench = Bench()
    with bench.refuses(ValueError, "validation must be a number above 0 and below 1", f"got {value!r}"):
        bench.net.fit(bench.X, bench.y, loss="half_mse", optimizer=RATE, batch_size=2, validation=value)


@pytest.mark.parametrize("name", ["parameters", "gradient"])
@pytest.mark.parametrize(
    "value, error", [(np.zeros(3), ValueError), (0, ValueError), ("a", TypeError), (None, TypeError)]
)
def test_parameters_of_another_shape(name, value, error):
    bench = Bench()
    with bench.refuses(error, name, "must"):
        setattr(bench.net, name, value)


def test_backward_out_of_place():
    bench = Bench()
    dY = np.ones((ROWS, N_OUT), np.float32)
    said = "needs the forward(X)", "call net.forward(X) first"
    with bench.refuses(RuntimeError, *said):
        fp.Network([N_IN, N_OUT]).backward(dY)
    uses = {
        "call": lambda: bench.net(bench.X),
        "step": lambda: bench.trainer.step(bench.X, bench.y),
        "epoch": lambda: bench.trainer.epoch(bench.X, bench.y, batch_size=2),
        "value_and_gradient": lambda: bench.net.value_and_gradient(bench.X, bench.y, loss="half_mse"),
        "evaluate": lambda: bench.trainer.evaluate(bench.X, bench.y),
    }
    for use in uses.values():
        bench.net.forward(bench.X)
        bench.net.backward(dY)
        use()
        with bench.refuses(RuntimeError, *said):
            bench.net.backward(dY)


@pytest.mark.parametrize(
    "dY, error, said",
    [
        (np.ones((ROWS, 2)), ValueError, ["(rows, 3)", "got (6, 2)"]),
        (np.ones((5, N_OUT)), ValueError, ["(6, 3)", "got (5, 3)", "a row for each row of X"]),
        (np.ones(N_OUT), ValueError, ["(rows, 3)", "got (3,)"]),
        (np.full((ROWS, N_OUT), np.nan), ValueError, ["[0, 0] is nan"]),
        (np.ones((ROWS, N_OUT), complex), TypeError, ["real numbers", "complex128"]),
        (None, TypeError, ["real numbers", "NoneType"]),
    ],
)
def test_bad_dy(dY, error, said):
    bench = Bench()
    bench.net.forward(bench.X)
    with bench.refuses(error, "dY", *said):
        bench.net.backward(dY)


def test_a_refused_dy_leaves_the_forward_standing():
    bench = Bench()
    bench.net.forward(bench.X)
    with pytest.raises(ValueError):
        bench.net.backward(np.ones((5, N_OUT)))
    assert bench.net.backward(np.ones((ROWS, N_OUT))).shape == (ROWS, N_IN)


@pytest.mark.parametrize(
    "change, error, said",
    [
        (lambda d: [], TypeError, ["described by a dict", "got []"]),
        (lambda d: {}, ValueError, ["lacks", "describe()"]),
        (lambda d: d | {"layers": 5}, TypeError, ["must be a list", "got 5"]),
        (lambda d: d | {"layers": []}, ValueError, ["at least one layer"]),
        (lambda d: d | {"layers": [5]}, TypeError, ["described by a dict", "got 5"]),
        (lambda d: d | {"layers": [{}]}, TypeError, ["kind of layer", "dense"]),
        (lambda d: d | {"layers": [{"kind": "dens"}]}, ValueError, ["'dens'", "did you mean 'dense'"]),
        (lambda d: d | {"layers": [{"kind": "dense", "width": 3}]}, ValueError, ["dense layer", "width"]),
        (lambda d: d | {"layers": [{"kind": "dense", "n_outputs": "3"}]}, ValueError, ["dense layer", "'3'"]),
        (lambda d: d | {"n_inputs": -1}, ValueError, ["number of inputs", "-1"]),
        (lambda d: d | {"dtype": "int8"}, ValueError, ["dtype", "int8", "float32"]),
        (lambda d: d | {"seed": -1}, ValueError, ["seed", "-1"]),
    ],
)
def test_bad_descriptions(change, error, said):
    description = fp.Network([2, 3, 1], seed=0).describe()
    with pytest.raises(error) as caught:
        fp.Network.from_description(change(description))
    assert all(part in str(caught.value) for part in said), caught.value


# ---- unusual but good input: it is converted once, and gives the numbers of a plain array ----


@pytest.mark.parametrize("layout", strategies.LAYOUTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts(layout, loss, labels, dtype):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(9, N_IN)).astype(dtype)
    n_outputs = strategies.outputs_for(loss, N_OUT)
    y = strategies.targets(loss, rng, 9, n_outputs, labels)
    y = y.astype(np.int64 if y.ndim == 1 else dtype)
    lies = strategies.LAYOUTS[layout]

    def numbers(X, y):
        net = fp.Network([N_IN, 5, n_outputs], dtype=dtype, seed=1)
        outputs = net(X), net.forward(X), net.backward(lies(np.ones((9, n_outputs), dtype)))
        cost, gradient = net.value_and_gradient(X, y, loss=loss)
        trainer = fp.Trainer(net, loss=loss, optimizer=RATE)
        costs = cost, trainer.step(X, y), trainer.epoch(X, y, batch_size=4), trainer.evaluate(X, y)
        return [*(array.tobytes() for array in (*outputs, gradient, net.parameters)), *costs]

    assert numbers(lies(X), lies(y)) == numbers(X, y)


CONVERSIONS = {
    "list": np.ndarray.tolist,
    "tuple of tuples": lambda X: tuple(map(tuple, X.tolist())),
    "list of rows": list,
    "float64": lambda X: X.astype(np.float64),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "int8": lambda X: X.astype(np.int8),
    "int64": lambda X: X.astype(np.int64),
    "uint16": lambda X: X.astype(np.uint16),
    "memoryview": lambda X: memoryview(X),
    "matrix": lambda X: X.view(type("Matrix", (np.ndarray,), {})),
    "masked, nothing masked": lambda X: np.ma.masked_array(X, mask=False),
    "an object with __array__": lambda X: type("Frame", (), {"__array__": lambda self, dtype=None, copy=None: X})(),
}


@pytest.mark.parametrize("convert", CONVERSIONS)
@every_entry
def test_conversions(convert, entry):
    """The numbers are such that each of these types holds them exactly."""
    X = np.random.default_rng(4).integers(0, 100, (ROWS, N_IN)).astype(np.float32)
    y = np.random.default_rng(5).integers(0, 100, (ROWS, N_OUT)).astype(np.float32)
    _, _, use = ENTRIES[entry]
    plain, converted = Bench(), Bench()
    expected = use(plain, X, y)
    got = use(converted, CONVERSIONS[convert](X), CONVERSIONS[convert](y))
    assert converted.state() == plain.state()
    if isinstance(expected, np.ndarray):
        assert got.tobytes() == expected.tobytes() and type(got) is np.ndarray


def test_bool():
    X = np.random.default_rng(6).random((ROWS, N_IN)) < 0.5
    net = fp.Network([N_IN, 5, 2], seed=0)
    assert np.array_equal(net(X), net(X.astype(np.float32)))
    labels = X[:, 0]
    cost = net.value_and_gradient(X, labels, loss="cross_entropy")[0]
    assert cost == net.value_and_gradient(X, labels.astype(int), loss="cross_entropy")[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint64, bool])
def test_labels_of_every_integer_type(dtype):
    bench, plain = Bench("cross_entropy"), Bench("cross_entropy")
    labels = np.array([0, 1, 1, 0, 1, 0])
    bench.trainer.epoch(bench.X, labels.astype(dtype), batch_size=2)
    plain.trainer.epoch(plain.X, labels, batch_size=2)
    assert bench.state() == plain.state()


@given(layout=strategies.layouts(), rows=strategies.rows(40), columns=strategies.sizes(20), dtype=strategies.dtypes())
def test_nothing_that_was_passed_is_written_to(layout, rows, columns, dtype):
    rng = np.random.default_rng(7)
    X = strategies.LAYOUTS[layout](rng.normal(size=(rows, columns)).astype(dtype))
    y = strategies.LAYOUTS[layout](rng.normal(size=(rows, 2)).astype(dtype))
    before = np.array(X), np.array(y)
    net = fp.Network([columns, 3, 2], dtype=dtype, seed=0)
    net(X)
    net.forward(X)
    net.backward(y)
    net.fit(X, y, loss="half_mse", optimizer=fp.SGD(1e-6), epochs=2, batch_size=min(3, rows), validation=(X, y))
    assert np.array_equal(X, before[0]) and np.array_equal(y, before[1])


def test_y_of_one_output_in_either_shape():
    bench, column = Bench(n_outputs=1), Bench(n_outputs=1)
    for loss in ("half_mse", "squared_error", "binary_cross_entropy"):
        y = np.array([0, 1, 0, 1, 1, 0])
        flat = bench.net.value_and_gradient(bench.X, y, loss=loss)
        tall = column.net.value_and_gradient(column.X, y.reshape(-1, 1), loss=loss)
        assert flat[0] == tall[0] and np.array_equal(flat[1], tall[1])


@pytest.mark.parametrize("loss", ["cross_entropy", "own", "half_mse"])
@pytest.mark.parametrize("window", [None, 1], ids=["stored", "streamed"])
def test_masked_arrays_are_refused_wherever_they_come_in(loss, window):
    """Labels, targets of a loss of the user's own, and rows that are converted when gathered are refused too."""
    X, y = np.ones((6, 2), np.uint8), np.zeros(6, np.int64)
    hidden = np.arange(6) == 3
    net = fp.Network([2, 2], seed=0)
    trainer = fp.Trainer(
        net, loss=(lambda Y, y: (0.0, np.zeros_like(Y))) if loss == "own" else loss, optimizer=fp.SGD(0.1)
    )
    target = np.zeros((6, 2)) if loss == "half_mse" else y
    trainer.epoch(np.ma.array(X), np.ma.array(target), window=window)
    mask = np.broadcast_to(hidden[:, np.newaxis], (6, 2))
    with pytest.raises(ValueError, match="y has .* masked"):
        trainer.epoch(X, np.ma.array(target, mask=hidden if target.ndim == 1 else mask), window=window)
    with pytest.raises(ValueError, match="X has 12 masked|X has 2 masked"):
        trainer.epoch(np.ma.array(X, mask=mask), target, window=window)
    with pytest.raises(ValueError, match="X has 2 masked"):
        fp.Scaled(np.ma.array(X, mask=mask))
