"""Hypothesis strategies for networks and their data, and for arrays with unusual memory layouts."""

import numpy as np
import reference_activations
from hypothesis import strategies as st

from fastprop.data.targets import reaches
from fastprop.nn.activations import ACTIVATIONS, parse
from fastprop.nn.losses import LOSSES

DTYPES = ("float32", "float64")

# Around the lane widths (8 and 4 under AVX2, 16 and 8 under AVX-512) and their doubles, where tails
# begin and end.
EDGES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)


def sizes(largest=70):
    """Draw a width, often one near a multiple of the SIMD width."""
    return st.one_of(st.sampled_from([n for n in EDGES if n <= largest]), st.integers(1, largest))


def widths(max_depth=4, largest=40):
    """Draw the widths of a network: the inputs, then the outputs of 1..max_depth layers."""
    return st.lists(sizes(largest), min_size=2, max_size=max_depth + 1)


def rows(largest=70):
    return sizes(largest)


def seeds():
    return st.integers(0, 2**32 - 1)


def dtypes():
    return st.sampled_from(DTYPES)


def with_other_numbers(name):
    """Return the activation, with the hyperparameters that the twin uses for networks if it has some."""
    others = reference_activations.OTHER_NUMBERS.get(name, ())
    return ACTIVATIONS[name](**dict(zip(ACTIVATIONS[name].values, others))) if others else name


# Activations for networks: each alone, and over several layers.
GENTLE = [with_other_numbers(name) for name in ACTIVATIONS]


def twin(activation):
    """Return the activation as reference.py takes it."""
    parsed = parse(activation)
    return (parsed.name, *parsed.values.values())


def activations():
    return st.sampled_from(GENTLE)


def losses():
    return st.sampled_from(list(LOSSES))


def last(activation, loss):
    """Return the activation for a last layer, or the identity if the loss takes raw scores, which it does not give."""
    return activation if reaches(LOSSES[loss], *parse(activation).range) else "identity"


def layouts():
    """Draw the name of a memory layout of LAYOUTS."""
    return st.sampled_from(list(LAYOUTS))


def targets(loss, rng, rows, n_outputs, labels=False):
    """Draw valid targets for any loss.

    Rows of probabilities suit every loss, even one that this module does not know. Losses of numbers get any
    numbers, and losses of classes get integers if `labels`.
    """
    kind, columns = LOSSES[loss].targets, n_outputs // LOSSES[loss].outputs
    if kind == "numbers":
        return rng.normal(size=(rows, columns))
    if kind == "classes" and labels:
        return rng.integers(n_outputs, size=rows)
    if kind == "signs":
        return rng.choice([-1.0, 1.0], size=(rows, columns))
    return rng.dirichlet(np.ones(columns), size=rows)


def outputs_for(loss, n):
    """Return the number of outputs, at least n, of a network for this loss."""
    loss = LOSSES[loss]
    n = max(n, 2) if loss.targets == "classes" else n
    return -(-n // loss.outputs) * loss.outputs


def in_c_order(array):
    return np.array(array, order="C")


def in_fortran_order(array):
    return np.asfortranarray(array)


def every_other(array):
    """Return a view of every other element along each axis; the elements between must not be read."""
    between = np.nan if array.dtype.kind == "f" else 10**6
    larger = np.full([2 * n for n in array.shape], between, array.dtype)
    view = larger[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def backwards(array):
    """Return a view with negative strides along each axis."""
    reverse = (slice(None, None, -1),) * array.ndim
    return array[reverse].copy()[reverse]


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def other_endian(array):
    return array.astype(array.dtype.newbyteorder("S"))


def off_alignment(array):
    """Return an array that starts one byte after an aligned address."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "C": in_c_order,
    "Fortran": in_fortran_order,
    "strided": every_other,
    "reversed": backwards,
    "read-only": read_only,
    "other endian": other_endian,
    "unaligned": off_alignment,
}


# ---- contents of hostile files ----

NESTED, RESIDUAL = [], [{"kind": "dense", "n_outputs": 4}]
for _ in range(300):
    NESTED, RESIDUAL = [NESTED], [{"kind": "residual", "layers": RESIDUAL}]
ODD = st.one_of(
    st.sampled_from([None, True, -1, 0, 1, 3, 10**6, 2**31, 2**63, 2**64, 10**18, 10**400]),
    st.sampled_from([1e308, -0.5, np.inf, np.nan, "x" * 10**6, "[" * 10**5, [0] * 10**5, NESTED, RESIDUAL]),
    st.sampled_from(["", "x", "SGD", "relu", "float64", "dense", [], {}, [0, 4], {"is": "SGD"}, {"pairs": []}]),
    st.integers(-5, 5000),
)


def places(tree):
    """Yield every (container, key) of nested dicts and lists."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from places(tree[key])
