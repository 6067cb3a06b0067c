"""The functions of vmath.h in every table, in units in the last place, against a higher precision.

The errors allowed are those that src_c/kernels/vmath.h states for each function; they are read from there. tanh and
sigmoid are called through the activations; exp, log and log1p through losses, with arguments for which the loss is that
function to the bit. FASTPROP_EVERY_FLOAT32=1 tests every number of float32 instead of a few million, which takes half
an hour.
"""

import os
import re
from fractions import Fraction
from pathlib import Path

import cases_activations
import numpy as np
import pytest
from kernels_ctypes import exact_isas, kernels_of

from fastprop._core import _engine

pytestmark = pytest.mark.exhaustive

VMATH_H = Path(__file__).parents[2] / "src_c" / "kernels" / "vmath.h"
EVERY = bool(os.environ.get("FASTPROP_EVERY_FLOAT32"))

# portable calls libm on double: for float32 that leaves the rounding to float; for float64 libm's error (glibc states
# 1 to 2 ULP for exp and tanh) and, in the sigmoid, a sum and a quotient
PORTABLE_ULP = {"float32": 0.51, "float64": 3.0}

WIDER = {"float32": np.float64, "float64": np.longdouble}
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant,
    reason="long double is double here: nothing to hold float64 against",
)
DTYPES = pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=needs_long_double)])
EXACT = pytest.mark.parametrize("isa", exact_isas())


def stated():
    """Return a dict, name -> ULP, from the comment before each function of the header."""
    found = re.findall(r"/\*((?:(?!\*/).)*)\*/\s*FP_INLINE V\(t\) FP\((\w+)\)", VMATH_H.read_text(), re.DOTALL)
    numbers = {name: re.search(r"([\d.]+) ULP", comment) for comment, name in found}
    return {name: float(number[1]) for name, number in numbers.items() if number}


STATED = stated()
HYPER = np.zeros(_engine.HYPER)  # no smoothing
HYPER_AT = HYPER.ctypes.data


def ulp_error(got, exact, dtype):
    """Return |got - exact| in ULP of `exact`, which has the wider type; NaN if only one of them is NaN.

    Infinity counts as the number after the largest. If the exact result is below the smallest normal number, every
    number between it and 0 is right, since denormals may be flushed.
    """
    info, wider = np.finfo(dtype), exact.dtype.type
    beyond = np.ldexp(wider(1), info.maxexp)
    got, exact = np.clip(got.astype(wider), -beyond, beyond), np.clip(exact, -beyond, beyond)
    exponent = np.maximum(np.frexp(exact)[1], info.minexp + 1)
    error = np.abs(got - exact) / np.ldexp(wider(1), exponent - info.nmant - 1)
    flushed = (np.abs(exact) < info.tiny) & (np.abs(got) <= info.tiny) & (got * exact >= 0)
    error = np.where(flushed | (np.isnan(got) & np.isnan(exact)), 0, error)
    return error.astype(np.float64)


def worst(x, got, exact, dtype):
    """Return the largest error, and where it occurs."""
    error = ulp_error(got, exact, dtype)
    at = np.argmax(error)  # NaN counts as the largest
    return error[at], x[at]


def assert_within(limit, x, got, exact, dtype):
    error, at = worst(x, got, exact, dtype)
    assert error <= limit, f"{error:.4g} ULP at {at!r} ({float(at).hex()}), where {limit} are stated"
    return error


def chunks(dtype):
    """Yield arrays of numbers: for float32 of all bit patterns, for float64 of every exponent and the usual range."""
    if dtype == "float32":
        stride, size = (1, 1 << 22) if EVERY else (1021, 1 << 20)  # an odd stride: every low bit comes up
        for first in range(0, 1 << 32, stride * size):
            pattern = np.arange(first, min(first + stride * size, 1 << 32), stride, dtype=np.uint64)
            yield pattern.astype(np.uint32).view(np.float32)
        for sign in [] if EVERY else [0, 0x80000000]:  # and denser where the functions do something: 2^-14 to 2^7
            pattern = np.arange(0x38800000, 0x43000000, 61, dtype=np.uint32)
            yield (pattern | np.uint32(sign)).view(np.float32)
    else:
        rng = np.random.default_rng(2)
        yield rng.integers(1 << 64, size=100_000, dtype=np.uint64).view(np.float64)
        yield rng.uniform(-760, 760, 100_000)
        yield rng.normal(0, 3, 100_000)
        yield rng.choice([-1.0, 1.0], 100_000) * 2 ** rng.uniform(-60, 10, 100_000)


def negative(dtype):
    """Return scores of at most 0 whose exp is a normal number: the arguments that losses pass to exp."""
    low = np.log(np.finfo(dtype).tiny)
    rng = np.random.default_rng(3)
    x = [rng.uniform(low, 0, 100_000), rng.uniform(-2, 0, 100_000), -(2 ** rng.uniform(-30, 4, 100_000)), [0, low]]
    return np.unique(np.concatenate(x).astype(dtype))


def every_negative(dtype):
    """Yield such scores in chunks; every one of float32 if all are asked for."""
    yield negative(dtype)
    if EVERY and dtype == "float32":
        last = np.log(np.finfo(dtype).tiny).astype(dtype).view(np.uint32)
        for first in range(0x80000000, int(last), 1 << 21):
            yield np.arange(first, min(first + (1 << 21), int(last)), dtype=np.uint32).view(dtype)


# tanh and sigmoid, through the activations


def exact_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def exact_tanh(x):
    return np.tanh(x)


EXACT_OF = {"sigmoid": exact_sigmoid, "tanh": exact_tanh}


def activation(isa, dtype, name, numbers=(), slope=False):
    """Return the activation as a function of an array, without the guards of kernels_ctypes, which are slower.

    With `slope` it returns g(z) and g'(z).
    """
    raw, hyper = kernels_of(isa, dtype)[f"{name}_forward"].raw, cases_activations.hyper_of(numbers)

    def call(x):
        a = np.array(x, dtype)
        saved = np.full_like(a, np.nan) if slope else None
        raw(a.ctypes.data, saved.ctypes.data if slope else None, a.size, hyper.ctypes.data)
        return (a, saved) if slope else a

    return call


@DTYPES
@pytest.mark.parametrize("name", EXACT_OF)
def test_activation_ulp(name, isa, dtype):
    limit = PORTABLE_ULP[dtype] if isa == "portable" else STATED[name]
    g = activation(isa, dtype, name)
    with np.errstate(all="ignore"):
        for x in chunks(dtype):
            assert_within(limit, x, g(x), EXACT_OF[name](x.astype(WIDER[dtype])), dtype)


# functions within activations, tested through activations that consist of little else


def finite(dtype, least, most):
    """Yield numbers of all magnitudes in [least, most], in chunks."""
    for chunk in chunks(dtype):
        yield np.append(chunk[(chunk >= least) & (chunk <= most)], least).astype(dtype)


def underflow(dtype):
    """Return the largest x for which e^-x is a normal number."""
    return -float(np.log(np.finfo(dtype).tiny)) - 1e-3


def exact_decay_product(x):
    """Return e^(-x^2) without rounding x^2: (high + low)^2 = high^2 + low (x + high), and high^2 is exact."""
    high = x.astype(np.float32).astype(x.dtype) if x.dtype == np.longdouble else x
    return np.exp(-high * high) * np.exp(-(x - high) * (x + high))


def exact_normal_tail(x):
    """Phi(-x) for x >= 0: a series up to 2, a continued fraction from there (Abramowitz, Stegun 26.2.11, 26.2.14)."""
    half = np.sqrt(x.dtype.type(0.5))
    density = exact_decay_product(x * half) if x.dtype == np.float64 else np.sqrt(exact_decay_product(x))
    density *= x.dtype.type("0.398942280401432677939946059934381868")
    near = np.minimum(x, 2)
    term, series = near.copy(), near.copy()
    for k in range(1, 60):
        term = term * near * near / (2 * k + 1)
        series += term
    far = np.maximum(x, 2)
    fraction = far.copy()
    for k in range(400, 0, -1):
        fraction = far + k / fraction
    return np.where(x < 2, 0.5 - density * series, density / fraction)


@DTYPES
@EXACT
def test_expm1_ulp(isa, dtype):
    elu = activation(isa, dtype, "elu", [1.0])
    for x in finite(dtype, -np.finfo(dtype).max, 0):
        assert_within(STATED["expm1"], x, elu(x), np.expm1(x.astype(WIDER[dtype])), dtype)


@DTYPES
@EXACT
def test_decay_ulp(isa, dtype):
    """The function is tested through e^(-z^2), for every z and for z whose square is exact."""
    gaussian, most = activation(isa, dtype, "gaussian"), np.sqrt(underflow(dtype))
    for x in finite(dtype, -most, most):
        assert_within(STATED["decay_product"], x, gaussian(x), exact_decay_product(x.astype(WIDER[dtype])), dtype)
    few_bits = np.arange(4096 * most) / 4096
    x = few_bits[: int(most * 4096)].astype(dtype)
    x = x[(x.astype(WIDER[dtype]) ** 2).astype(dtype) == x.astype(WIDER[dtype]) ** 2]
    assert x.size > 4000
    assert_within(STATED["decay"], x, gaussian(x), np.exp(-(x.astype(WIDER[dtype]) ** 2)), dtype)


@DTYPES
@EXACT
def test_softplus_ulp(isa, dtype):
    """The function is tested through ln s(z) for z > 0, and both sigmoids through its slope."""
    log_sigmoid, most = activation(isa, dtype, "log_sigmoid", slope=True), underflow(dtype)
    for x in finite(dtype, 0, most):
        a, slope = log_sigmoid(x)
        _, other = log_sigmoid(-x)
        wide = x.astype(WIDER[dtype])
        assert_within(STATED["softplus_of_minus"], x, -a, np.log1p(np.exp(-wide)), dtype)
        assert_within(STATED["sigmoids"], x, slope, np.exp(-wide) / (1 + np.exp(-wide)), dtype)
        assert_within(STATED["sigmoids"], x, other, 1 / (1 + np.exp(-wide)), dtype)


@DTYPES
@EXACT
def test_normal_tail_ulp(isa, dtype):
    """The function is tested through gelu(-x) / -x, whose additional rounding is at most one ULP of the quotient."""
    gelu, most = activation(isa, dtype, "gelu"), np.sqrt(2 * underflow(dtype)) - 1
    for chunk in finite(dtype, 1e-6, most):
        x = chunk[:: chunk.size // 100_000 + 1]
        wide = x.astype(WIDER[dtype])
        assert_within(STATED["normal_tail"] + 1, x, -gelu(-x) / wide, exact_normal_tail(wide), dtype)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "mish", "softplus", "log_sigmoid", "gaussian"])
@EXACT
def test_far_out(isa, dtype, name):
    """Value and slope at the largest numbers and at infinity are their limits, and NaN stays NaN."""
    info = np.finfo(dtype)
    z = np.array([info.max, np.inf, -info.max, -np.inf], dtype)
    a, slope = activation(isa, dtype, name, [1.0], slope=True)(z)
    below, above = np.zeros(2), z[:2]
    expected = {"log_sigmoid": (z[2:], below, 1, 0), "gaussian": (below, below, 0, 0)}.get(name, (below, above, 0, 1))
    np.testing.assert_allclose(a, [*expected[1], *expected[0]], atol=1e4 * info.tiny)
    np.testing.assert_allclose(slope, np.repeat([expected[3], expected[2]], 2), atol=1e4 * info.tiny)
    assert np.all(np.isnan(activation(isa, dtype, name, [1.0], slope=True)(np.full(3, np.nan, dtype))))


# sine and cosine, as the activation and its slope


@DTYPES
def test_sincos_ulp(isa, dtype):
    limit, reach = PORTABLE_ULP[dtype] if isa == "portable" else STATED["sincos"], 1e5
    sincos = activation(isa, dtype, "sin", [1.0], slope=True)
    near_zeros = np.arange(-60_000, 60_000) * (np.pi / 2)
    for chunk in [*chunks(dtype), np.linspace(-reach, reach, 1_000_000), near_zeros]:
        x = np.append(chunk[np.abs(chunk) <= reach], 0).astype(dtype)
        for got, exact in zip(sincos(x), (np.sin, np.cos), strict=True):
            assert_within(limit, x, got, exact(x.astype(WIDER[dtype])), dtype)


@DTYPES
@pytest.mark.parametrize("omega", [1.0, 30.0, 0.1])
def test_sincos_of_any_size(isa, dtype, omega):
    """Large arguments give libm's values, and infinity NaN.

    omega z is exact in double for float32; for float64 it rounds once, and is limited to finite numbers.
    """
    factor, size = np.dtype(dtype).type(omega), np.finfo(dtype)
    sincos = activation(isa, dtype, "sin", [omega], slope=True)
    z = any_finite(dtype)
    z = z[np.abs(z) > 1.01e5 / omega]
    with np.errstate(over="ignore"):
        phase = np.float64(factor) * z.astype(np.float64)
    phase = np.clip(phase, -np.finfo(np.float64).max, np.finfo(np.float64).max).astype(np.longdouble)
    value, slope = sincos(z)
    np.testing.assert_allclose(value, np.sin(phase).astype(np.float64), rtol=2 * size.eps, atol=0)
    np.testing.assert_allclose(slope, (factor * np.cos(phase)).astype(np.float64), rtol=4 * size.eps, atol=0)
    for got in sincos(np.array([np.inf, -np.inf, np.nan], dtype)):
        assert np.all(np.isnan(got))


# every activation, for any finite number


def any_finite(dtype):
    """Return finite numbers: random bits, every power of 2, and the numbers next to the ends of the range."""
    size, rng = np.finfo(dtype), np.random.default_rng(5)
    bits = rng.integers(1 << size.bits, size=100_000, dtype=np.uint64).astype(f"u{size.bits // 8}").view(dtype)
    powers = np.ldexp(np.dtype(dtype).type(1), np.arange(size.minexp - size.nmant, size.maxexp))
    below = np.nextafter(2 * powers[:-1], powers[0])
    ends = np.array([0, size.smallest_subnormal, size.tiny, 0.5, 3, 6, size.max], dtype)
    return np.concatenate([bits[np.isfinite(bits)], powers, -powers, below, ends, -ends])


@pytest.mark.parametrize("name", cases_activations.ACTIVATIONS)
def test_finite_numbers_stay_finite(name, isa, dtype):
    """All |g(z)| are at most |z| or a constant, but selu's, which is 1.05 z; and all |g'| at most a constant."""
    keeps, backward = name in cases_activations.SAVES_SLOPE, kernels_of(isa, dtype)[f"{name}_backward"].raw
    z = any_finite(dtype)
    too_large = z > np.finfo(dtype).max / 1.051 if name == "selu" else np.zeros(z.shape, bool)
    for numbers in cases_activations.numbers_of(name):
        found = activation(isa, dtype, name, numbers, slope=keeps)(z)
        a, saved = found if keeps else (found, found)
        hyper, dz = cases_activations.hyper_of(numbers), np.ones_like(z)
        backward(dz.ctypes.data, saved.ctypes.data, dz.size, hyper.ctypes.data)
        assert np.isfinite(a[~too_large]).all()
        assert not np.isnan(a).any()
        assert np.isfinite(dz).all()
        slopes = cases_activations.terms(name, numbers)
        assert np.abs(dz).max() <= slopes * (1 + 8 * np.finfo(dtype).eps)
        plain, _ = (activation("portable", dtype, name, numbers, slope=True)(z) if keeps else
                    (activation("portable", dtype, name, numbers)(z), None))  # fmt: skip
        with np.errstate(over="ignore"):
            carried = np.minimum(1 + z * z, 800)  # the rounding of z^2, in e^(-z^2) as long as that is not 0
            bound = 16 * np.finfo(dtype).eps * carried * np.abs(plain) + 1e3 * np.finfo(dtype).tiny
            if name == "sin":  # omega z is rounded, unless it is so large that libm computes the sine
                bound += 2 * np.finfo(dtype).eps * np.minimum(np.abs(numbers[0] * z), 1.01e5)
            apart = np.abs(a[~too_large] - plain[~too_large])
        assert np.all(apart <= bound[~too_large]), z[~too_large][np.argmax(apart - bound[~too_large])]


def test_waves_of_any_size(isa, dtype):
    """cos and sin of 2 pi f x agree with rational arithmetic on the exact product, up to the rounding of a turn."""
    size, rng = np.finfo(dtype), np.random.default_rng(6)
    f, x = (rng.choice(any_finite(dtype), 2000) for _ in range(2))
    f[:3], x[:3] = size.max, [size.max, -1, size.tiny]
    turns = [float(Fraction(float(one)) * Fraction(float(other)) % 1) for one, other in zip(f, x, strict=True)]
    wave = kernels_of(isa, dtype)["periodic_forward"]
    for one, other, turn in zip(f, x, turns, strict=True):
        a = np.empty((1, 2), dtype)
        got = wave(a=a, x=np.array([[other]]), frequency=np.array([[one]]), rows=1, n_in=1, n_frequencies=1)["a"][0]
        wanted = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=8 * size.eps, err_msg=f"{one!r} {other!r}")
    for one, other in [(np.inf, 1), (1, np.inf), (np.inf, 0), (0, -np.inf), (np.nan, 1), (1, np.nan)]:
        how = {"x": np.array([[other]], dtype), "frequency": np.array([[one]], dtype)}
        assert np.isnan(wave(a=np.zeros((1, 2), dtype), **how, rows=1, n_in=1, n_frequencies=1)["a"]).all()


# exp and log, through cross_entropy


def softmax_parts(isa, dtype, scores):
    """Return (e, total, known): e^score for the rows of `scores`, and the sum of each row, to the bit.

    The largest score of a row must be 0. cross_entropy gives da = e weight / total - y, with weight = sum(y). A column
    more, whose e^score is 0, holds a y of what `total` should be; if it is, the factor is 1, so that da of a score of
    0 is 1 and every other da is its e. Its neighbours are tried too; `known` says for which rows one was right.
    """
    raw = kernels_of(isa, dtype)["cross_entropy"].raw
    rows, n = scores.shape
    padded = np.full((rows, n + 1), 4 * np.log(np.finfo(dtype).tiny), dtype)
    padded[:, :n] = scores
    guess = np.exp(scores.astype(WIDER[dtype])).sum(axis=1).astype(dtype)
    e, total, known = np.zeros((rows, n), dtype), guess.copy(), np.zeros(rows, bool)
    cost, da, y = np.zeros(1), np.zeros_like(padded), np.zeros_like(padded)
    at_zero = np.argmax(scores, axis=1)
    for steps in (0, 1, -1, 2, -2):
        y[:, n] = guess + steps * np.spacing(guess)
        arrays = (array.ctypes.data for array in (cost, da, padded, y))
        raw(*arrays, None, None, rows, n + 1, n + 1, 1.0, HYPER_AT)
        right = (da[np.arange(rows), at_zero] == 1) & ~known
        e[right], total[right] = da[right, :n], y[right, n]
        known |= right
    return e, total, known


def costs_of_rows(isa, dtype, loss, a, y=None, label=None):
    """Return the cost of each row."""
    raw = kernels_of(isa, dtype)[loss].raw
    cost = np.zeros(len(a))
    step = a.strides[0]
    target = None if y is None else y.ctypes.data
    labels, n = None if label is None else label.ctypes.data, a.shape[1]
    for i in range(len(a)):
        raw(cost.ctypes.data + 8 * i, None, a.ctypes.data + i * step, target, labels, None, 1, n, n, 1.0, HYPER_AT)
    return cost


@DTYPES
@EXACT
def test_exp_ulp(isa, dtype):
    for x in every_negative(dtype):
        e, _, known = softmax_parts(isa, dtype, np.stack([np.zeros_like(x), x], axis=1))
        assert np.mean(known) > 0.99
        assert_within(STATED["exp"], x[known], e[known, 1], np.exp(x[known].astype(WIDER[dtype])), dtype)


def scores_for_log(dtype):
    """Yield (x, ones) such that log gets e^x + ones: 1 to 2 (all of float32 if asked for), and up to 64."""
    x = negative(dtype)
    yield x[::4], 1
    if EVERY and dtype == "float32":
        yield np.log(np.arange(1, 1 << 23) / (1 << 23)).astype(dtype), 1
    for ones in (2, 3, 7, 20, 63):
        yield x[::64], ones


@DTYPES
@EXACT
def test_log_ulp(isa, dtype):
    for x, ones in scores_for_log(dtype):
        scores = np.zeros((x.size, ones + 1), dtype)
        scores[:, -1] = x
        _, total, known = softmax_parts(isa, dtype, scores)
        assert np.mean(known) > 0.99
        scores, total = scores[known].copy(), total[known]
        got = costs_of_rows(isa, dtype, "cross_entropy", scores, label=np.zeros(1, np.int64))  # log(total) - 0
        assert_within(STATED["log"], total, got, np.log(total.astype(WIDER[dtype])), dtype)


# log1p, through binary_cross_entropy


@DTYPES
@EXACT
def test_log1p_ulp(isa, dtype):
    x = negative(dtype)
    e, _, known = softmax_parts(isa, dtype, np.stack([np.zeros_like(x), x], axis=1))
    x, e = x[known], e[known, 1]
    got = costs_of_rows(isa, dtype, "binary_cross_entropy", x[:, None], y=np.zeros(1, dtype))  # log1p(e^x) + 0
    assert_within(STATED["log1p"], e, got, np.log1p(e.astype(WIDER[dtype])), dtype)


def test_every_stated_ulp_is_measured():
    assert set(STATED) == {
        "exp", "tanh", "sigmoid", "log", "log1p", "sincos",
        "expm1", "decay", "decay_product", "sigmoids", "softplus_of_minus", "normal_tail",
    }  # fmt: skip


# edges


def test_activation_at_the_edges(isa, dtype):
    info = np.finfo(dtype)
    x = np.array([0.0, -0.0, np.inf, -np.inf, info.max, -info.max, np.nan], dtype)
    tanh, sigmoid = activation(isa, dtype, "tanh")(x), activation(isa, dtype, "sigmoid")(x)
    np.testing.assert_array_equal(tanh, np.array([0, 0, 1, -1, 1, -1, np.nan], dtype))
    np.testing.assert_array_equal(np.signbit(tanh[:6]), [False, True] * 3)
    np.testing.assert_array_equal(sigmoid, np.array([0.5, 0.5, 1, 0, 1, 0, np.nan], dtype))


def test_denormals_are_flushed_or_kept(isa, dtype):
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, info.tiny / 2, info.tiny], dtype)
    x = np.concatenate([x, -x])
    tanh = activation(isa, dtype, "tanh")(x)
    assert np.all((tanh == x) | (tanh == 0))
    np.testing.assert_array_equal(np.signbit(tanh), np.signbit(x))
    np.testing.assert_array_equal(activation(isa, dtype, "sigmoid")(x), np.full(6, 0.5, dtype))


def test_range_and_symmetry(isa, dtype):
    x = np.abs(np.concatenate(list(chunks(dtype))[-2:]))
    tanh, sigmoid = activation(isa, dtype, "tanh"), activation(isa, dtype, "sigmoid")
    np.testing.assert_array_equal(tanh(-x), -tanh(x))
    for a in (sigmoid(x), sigmoid(-x), tanh(x)):
        assert np.all((a >= 0) & (a <= 1))


def test_sigmoid_around_overflow_of_exp(isa, dtype):
    """e^-x overflows between the two; the sigmoid goes to 0 through the denormal numbers or at once, never to NaN."""
    edge = np.log(np.finfo(dtype).max)
    x = np.linspace(-edge - 2, -edge + 2, 4001).astype(dtype)
    a = activation(isa, dtype, "sigmoid")(x)
    assert np.all((a >= 0) & (a <= 8 * np.finfo(dtype).tiny))


# the tests' own tools


def test_ulp_error():
    one = np.float32(1)
    up, down = np.nextafter(one, np.float32(2)), np.nextafter(one, np.float32(0))
    got = np.array([1, up, down, 0, np.inf, np.nan, np.nan, 1, -1e-40, 1e-40], np.float32)
    exact = np.array([1, 1, 1, 1e-40, 2.0**128 * (1 - 2.0**-24), np.nan, 1, np.nan, 1e-40, 1e-40])
    error = ulp_error(got, exact, "float32")
    np.testing.assert_allclose(error[:7], [0, 1, 0.5, 0, 1, 0, np.nan])
    assert np.isnan(error[7]) and error[8] > 0 and error[9] == 0
    with pytest.raises(AssertionError, match="1 ULP at"):
        assert_within(0.9, got[:2], got[:2], exact[:2], "float32")
    with pytest.raises(AssertionError, match="nan ULP at"):
        assert_within(0.9, got[6:7], got[6:7], exact[6:7], "float32")


def test_stated_reads_the_header():
    assert all(0.5 <= ulp <= 7 for ulp in STATED.values())
