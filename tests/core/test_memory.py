"""The memory of training beyond the data: parameters, gradient, optimiser state and the arena of one batch."""

import subprocess
import sys
import textwrap

import pytest

WIDTHS, BATCH, ROWS = (784, 1024, 1024, 1024, 10), 512, 2048


def promised(threads):
    """Return the bytes of theta, gradient and velocity, a and dz of a batch, scratch memory and the order of rows."""
    parameters = sum((n_in + 1) * n_out for n_in, n_out in zip(WIDTHS, WIDTHS[1:], strict=False))
    batch = BATCH * (WIDTHS[0] + 2 * sum(WIDTHS[1:]))
    scratch = threads * (272 + 32) * 256  # packed rows of A and a panel of B for each thread: product.h
    return 4 * (3 * parameters + batch + scratch) + 8 * ROWS


@pytest.mark.skipif(sys.platform != "linux", reason="peak resident size in kilobytes, as Linux counts it")
@pytest.mark.parametrize("threads", [1, 2])
def test_training_takes_what_was_promised(threads):
    program = f"""
        import numpy as np
        import fastprop as fp

        fp.set_num_threads({threads})
        X = np.random.default_rng(0).random(({ROWS}, {WIDTHS[0]}), np.float32)
        y = np.arange({ROWS}) % {WIDTHS[-1]}
        warm = fp.Network([{WIDTHS[0]}, 4, {WIDTHS[-1]}], seed=0)  # pages of the code itself
        fp.Trainer(warm, loss="cross_entropy", optimizer=fp.SGD(0.01)).epoch(X, y)
        net = fp.Network({WIDTHS}, seed=0)  # drawing float64 weights has its own peak, before training starts
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets the peak
        with open("/proc/self/status") as file:
            before = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        fp.Trainer(net, loss="cross_entropy", optimizer=fp.SGD(0.01, momentum=0.9)).epoch(X, y, batch_size={BATCH})
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        print(1024 * (peak - before) + net.parameters.nbytes)  # they were allocated before
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert 0.5 < int(done.stdout) / promised(threads) <= 1.2
