"""The NEON table in place of this machine's, for tests/core/neon; nothing runs here unless tools/neon runs it."""

import os
import shlex

import pytest

COMMAND = "FASTPROP_NEON_REPLAY"  # of the environment: how to start replay.c's program
collect_ignore_glob = [] if COMMAND in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def machine():
    """The running replay program."""
    from neon_machine import Machine

    machine = Machine(shlex.split(os.environ[COMMAND]))
    yield machine
    machine.close()


@pytest.fixture
def isa():
    """The table under test; the engine is not."""
    return "neon"


@pytest.fixture
def kernels(machine, dtype):
    """Name -> callable kernel, of the NEON table of `dtype`."""
    from neon_machine import neon_kernels

    return neon_kernels(machine, dtype)
