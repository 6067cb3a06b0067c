"""What the tests share: every ISA that this CPU has, and both dtypes."""

import pytest
from kernels_ctypes import kernels_of, usable_isas

from fastprop import _engine


@pytest.fixture(params=usable_isas())
def isa(request):
    """The name of an ISA, whose table serves every network made during the test."""
    before = _engine.serving_isa()
    assert _engine.select_isa(request.param) == request.param
    yield request.param
    served = _engine.serving_isa()
    _engine.select_isa(before)
    assert served == request.param, f"got the ISA {served} at the end of a test of {request.param}"


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The name of a dtype."""
    return request.param


@pytest.fixture
def kernels(isa, dtype):
    """Name -> callable kernel, of the table of `isa` and `dtype`."""
    return kernels_of(isa, dtype)
