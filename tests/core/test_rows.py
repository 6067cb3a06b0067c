"""Operations on single rows: the random numbers of dropout, and the twins' gradients by finite differences."""

from itertools import product

import gradcheck
import numpy as np
import pytest
import reference_rows as twins
from kernel_cases import Drawer
from kernels_ctypes import kernels_of

ROWS, N = 512, 257


def kept_mask(kernels, dtype, rate, key, first=0, rows=ROWS, n=N):
    """Return the mask of dropout: True where an element is kept."""
    draw = Drawer(dtype)
    got = kernels["dropout"](
        a=draw.nan(rows, n), saved=draw.nan(rows, n), x=np.ones((rows, n), dtype),
        rows=rows, n=n, row_offset=first, rate=rate, key=key,
    )  # fmt: skip
    return got["saved"] > 0


def deviations(mask, rate):
    """Return how many standard deviations of a binomial count the mean is off."""
    return abs(np.mean(mask) - (1 - rate)) / np.sqrt(rate * (1 - rate) / mask.size)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_dropout_keeps_its_share(rate, kernels, dtype):
    """The shares of all elements, rows and columns, for 4 keys, are off by no more than chance allows once in 10^6."""
    for key in range(4):
        mask = kept_mask(kernels, dtype, rate, key)
        assert deviations(mask, rate) < 5
        for axis in (0, 1):
            off = (np.mean(mask, axis) - (1 - rate)) / np.sqrt(rate * (1 - rate) / mask.shape[axis])
            assert np.abs(off).max() < 6
            assert 0.7 < np.mean(off**2) < 1.4  # shares that are too even are not random either


def test_dropout_draws_do_not_depend_on_each_other(kernels, dtype):
    """Pairs at every short distance, in the row above, and of another key, agree as often as independent ones do."""
    rate = 0.5
    for key in range(2):
        mask = kept_mask(kernels, dtype, rate, key)
        flat, other = mask.ravel(), kept_mask(kernels, dtype, rate, key + 1)
        for distance in (*range(1, 65), 128, 255, 256, N, 2 * N, 1024, 65536):
            assert deviations(flat[distance:] == flat[:-distance], rate) < 5, f"{distance} apart"
        for row, column in product(range(4), repeat=2):  # no key is another one shifted
            assert deviations(mask[row:, column:] == other[: ROWS - row, : N - column], rate) < 5
        assert deviations(mask == kept_mask(kernels, dtype, rate, key + 2**32), rate) < 5


def test_dropout_of_a_part_is_the_part_of_dropout(kernels, dtype):
    """The mask does not depend on the division into blocks of rows, nor on the stride."""
    whole = kept_mask(kernels, dtype, 0.3, 7)
    for first, rows in [(0, 1), (1, 100), (511, 1)]:
        part = kept_mask(kernels, dtype, 0.3, 7, first, rows)
        np.testing.assert_array_equal(part, whole[first : first + rows])


def test_every_table_drops_the_same(isa, dtype):
    masks = [kept_mask(kernels_of(name, dtype), dtype, 0.3, 7) for name in (isa, "portable")]
    np.testing.assert_array_equal(*masks)


def test_softmax_of_what_is_not_finite(kernels, dtype):
    """NaN spreads over its own row only, large scores do not overflow, and the softmax of -inf is 0."""
    largest = np.finfo(dtype).max
    for n, logarithm in product([3, 16, 37], [0, 1]):
        x = np.zeros((4, n), dtype)
        x[0, 1], x[1, 0], x[2, :2], x[3] = np.nan, largest, (-np.inf, -largest), largest
        a = kernels["softmax_forward"](a=np.full_like(x, np.nan), x=x, rows=4, n=n, logarithm=logarithm)["a"]
        p = np.exp(a) if logarithm else a
        assert np.all(np.isnan(a[0]))
        np.testing.assert_array_equal(p[1], np.arange(n) == 0)
        np.testing.assert_allclose(p[2], np.where(np.arange(n) < 2, 0, 1 / (n - 2)), rtol=8 * n * np.finfo(dtype).eps)
        np.testing.assert_allclose(p[3], 1 / n, rtol=8 * n * np.finfo(dtype).eps)


# the twins' backward passes, compared with finite differences of the forward passes

EPSILON = 1e-5


def layer_norm(x, gamma, beta):
    return twins.scale_forward(x, *twins.row_statistics(x, EPSILON), gamma, beta, True)


def batch_norm(x, gamma, beta):
    mean, variance = twins.column_statistics(x)
    return twins.scale_forward(x, mean, 1 / np.sqrt(variance + EPSILON), gamma, beta, False)


def layer_norm_gradients(da, x, gamma):
    statistics = twins.row_statistics(x, EPSILON)
    return twins.layer_norm_backward(da, x, *statistics, gamma), *twins.scale_gradient(da, x, *statistics, True)


def batch_norm_gradients(da, x, gamma):
    mean, variance = twins.column_statistics(x)
    statistics = mean, 1 / np.sqrt(variance + EPSILON)
    dgamma, dbeta = twins.scale_gradient(da, x, *statistics, False)
    return twins.batch_norm_backward(da, x, *statistics, gamma, dgamma, dbeta, len(x)), dgamma, dbeta


@pytest.mark.parametrize("forward, gradients", [(layer_norm, layer_norm_gradients), (batch_norm, batch_norm_gradients)])
def test_gradients_of_a_normalisation(forward, gradients):
    draw = np.random.default_rng(3)
    da, x, gamma, beta = draw.normal(size=(6, 5)), draw.normal(size=(6, 5)), draw.normal(size=5), draw.normal(size=5)
    dx, dgamma, dbeta = gradients(da, x, gamma)
    for theta, gradient, cost in (
        (x, dx, lambda x: np.sum(da * forward(x, gamma, beta))),
        (gamma, dgamma, lambda gamma: np.sum(da * forward(x, gamma, beta))),
        (beta, dbeta, lambda beta: np.sum(da * forward(x, gamma, beta))),
    ):
        assert gradcheck.gradient_error(cost, theta, gradient) < gradcheck.TOLERANCE
        assert gradcheck.gradient_error(cost, theta, gradient * 1.01) > gradcheck.TOLERANCE


@pytest.mark.parametrize("logarithm", [False, True])
def test_gradient_of_softmax(logarithm):
    draw = np.random.default_rng(4)
    da, x = draw.normal(size=(4, 5)), draw.normal(size=(4, 5))
    dx = twins.softmax_backward(da, twins.softmax_forward(x, logarithm), logarithm)
    cost = lambda x: np.sum(da * twins.softmax_forward(x, logarithm))  # noqa: E731
    assert gradcheck.gradient_error(cost, x, dx) < gradcheck.TOLERANCE
    assert gradcheck.gradient_error(cost, x, dx[::-1]) > gradcheck.TOLERANCE


def test_gradients_of_prelu():
    draw = np.random.default_rng(5)
    da, x, slope = draw.normal(size=(4, 5)), draw.normal(size=(4, 5)), draw.normal(size=5)
    x += np.sign(x)  # away from the corner at 0
    dx, dslope = twins.prelu_backward(da, x, slope), twins.prelu_gradient(da, x)
    for theta, gradient, cost in (
        (x, dx, lambda x: np.sum(da * twins.prelu_forward(x, slope))),
        (slope, dslope, lambda slope: np.sum(da * twins.prelu_forward(x, slope))),
    ):
        assert gradcheck.gradient_error(cost, theta, gradient) < gradcheck.TOLERANCE
        assert gradcheck.gradient_error(cost, theta, gradient + 0.01) > gradcheck.TOLERANCE
