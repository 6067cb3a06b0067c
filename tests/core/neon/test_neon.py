"""The NEON table: every test of tests/core/test_kernels.py that takes a table, and the bits of avx2.

tools/neon runs it.
"""

import inspect

import kernel_cases
import numpy as np
import pytest
import test_kernels
from cases_activations import ACTIVATIONS, SAVES_SLOPE, hyper_of, usual
from kernel_cases import Drawer
from kernels_ctypes import kernels_of, usable_isas
from neon_machine import neon_kernels
from test_kernels import EACH_KERNEL, LAYOUTS

# Collected here with this directory's `kernels`, but for tests that set the sizes of the caches, which would be those
# of this process.
globals().update(
    (name, test)
    for name, test in vars(test_kernels).items()
    if name.startswith("test_")
    and "kernels" in inspect.signature(test).parameters
    and "caches" not in inspect.signature(test).parameters
)

needs_avx2 = pytest.mark.skipif("avx2" not in usable_isas(), reason="no avx2 on this CPU to compare the bits with")


def ulps_apart(one, other):
    """The most units in the last place between two arrays; None where one has NaN and the other has not."""
    if one.dtype.kind != "f":
        return int(np.max(np.abs(one - other), initial=0))
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return None
    # -0 is one below +0, so zeros of two signs do not pass for the same
    order = []
    for array in (one, other):
        bits = array[~np.isnan(one)].view(f"i{one.itemsize}")
        order.append(np.where(bits < 0, ~(bits & np.iinfo(bits.dtype).max), bits).astype(object))
    return max(np.abs(order[0] - order[1]), default=0)


def assert_same_bits(got, expected, what):
    """Of everything that a kernel's contract says but its scratch, NaN being NaN whatever its payload."""
    assert set(got) == set(expected)
    for name in set(got) - {"scratch"}:
        apart = ulps_apart(got[name], expected[name])
        assert apart == 0, f"{name} of neon is {apart} ULP from avx2's; {what}"


def compare(kernels, cases, name, dtype):
    """Each case in NEON and in AVX2."""
    avx2 = kernels_of("avx2", dtype)[name]
    for i, case in enumerate(cases):
        layout = LAYOUTS[i % 2]
        both = (kernel(**case.arguments, **layout) for kernel in (kernels[name], avx2))
        got, expected = ({output: written[output] for output in case.expected} for written in both)
        assert_same_bits(got, expected, {**case.sizes(), **layout})


@needs_avx2
@EACH_KERNEL
def test_same_bits_as_avx2(name, kind, kernels, dtype):
    compare(kernels, kernel_cases.cases(name, kind, dtype), name, dtype)


@needs_avx2
@EACH_KERNEL
def test_same_bits_at_the_edges_of_neon(name, kind, kernels, dtype, monkeypatch):
    """Vectors of 2 and 4 lanes, tiles of 8 rows: the sizes beside these that the other ISAs' edges leave out."""
    monkeypatch.setattr(kernel_cases, "WIDTHS", [1, 2, 3, 6, 7, 10, 11, 12])
    monkeypatch.setattr(kernel_cases, "ROWS", [1, 3, 4, 8, 9, 16])
    monkeypatch.setattr(kernel_cases, "LENGTHS", range(1, 40))
    compare(kernels, kernel_cases.cases.__wrapped__(name, kind, dtype), name, dtype)


@needs_avx2
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "sin"])  # libm computes it for large numbers
def test_same_bits_over_the_whole_range(name, kernels, dtype):
    """Numbers evenly spread over all bit patterns, infinities and zeros of both signs included."""
    bits = np.linspace(0, 2**31 if dtype == "float32" else 2**63, 200_001, dtype=np.float64)
    z = bits[:-1].astype("u4" if dtype == "float32" else "u8").view(dtype)
    z = np.concatenate([z, -z, np.array([np.inf, -np.inf], dtype)])
    z = z[~np.isnan(z)]
    saved = np.zeros_like(z) if name in SAVES_SLOPE else None
    calls = (f"{name}_forward", {"a": z, "saved": saved}), (f"{name}_backward", {"dz": np.ones_like(z), "saved": z})
    for kernel, arguments in calls:
        sizes = {"n": z.size, "hyper": hyper_of(usual(name))}
        got, expected = (t[kernel](**arguments, **sizes) for t in (kernels, kernels_of("avx2", dtype)))
        assert_same_bits(got, expected, kernel)


def test_denormals_are_flushed_where_wanted(machine, dtype):
    """fp_denormals_flush of cpu.c on this CPU, and its restore."""
    draw = Drawer(dtype)
    small = {"theta": np.zeros(5, dtype), "gradient": np.full(5, draw.tiny, dtype)}
    for flush in (True, False, True):
        sgd = neon_kernels(machine, dtype, flush=flush)["sgd"]
        theta = sgd(**small, n=5, stride=5, rate=0.25, hyper=np.zeros(3))["theta"]
        np.testing.assert_array_equal(theta, np.zeros(5) if flush else np.full(5, -draw.tiny / 4))


def test_a_difference_is_seen():
    """The comparison can fail: by the last bit, by the sign of zero, by NaN."""
    x = np.array([1.0, 0.0, np.nan], np.float32)
    assert ulps_apart(x, x.copy()) == 0
    assert ulps_apart(x, np.array([np.nextafter(np.float32(1), np.float32(2)), 0.0, np.nan], np.float32)) == 1
    assert ulps_apart(x, np.array([1.0, -0.0, np.nan], np.float32)) == 1
    assert ulps_apart(x, np.array([1.0, 0.0, 1.0], np.float32)) is None
