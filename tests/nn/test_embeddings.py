"""Layers that read the inputs: gradients of the twins by finite differences, and values at edges and NaN."""

import gradcheck
import numpy as np
import reference_inputs as twins


def assert_gradient(cost, theta, gradient):
    """It is the one, and another is not."""
    assert gradcheck.gradient_error(cost, theta, gradient) < gradcheck.TOLERANCE
    assert gradcheck.gradient_error(cost, theta, gradient * 1.01) > gradcheck.TOLERANCE


def test_gradients_of_the_periodic_encoding():
    draw = np.random.default_rng(6)
    x, frequency = draw.normal(size=(4, 3)), 0.1 * draw.normal(size=(3, 2))
    a = twins.periodic_forward(x, frequency)
    da = draw.normal(size=a.shape)
    assert_gradient(
        lambda x: np.sum(da * twins.periodic_forward(x, frequency)), x, twins.periodic_backward(da, a, frequency)
    )
    assert_gradient(lambda f: np.sum(da * twins.periodic_forward(x, f)), frequency, twins.periodic_gradient(da, a, x))


def test_gradient_of_the_piecewise_encoding():
    edges, bins = np.array([0.0, 1.0, 3.0, 4.0, 0.0, 2.0]), np.array([3, 1])
    x = np.array([[-0.5, 0.5], [0.5, -1.0], [2.0, 3.0], [3.5, 1.0], [5.0, 1.0]])  # within, below and above
    da = np.random.default_rng(7).normal(size=(5, 4))
    cost = lambda x: np.sum(da * twins.piecewise_forward(x, edges, bins))  # noqa: E731
    assert_gradient(cost, x, twins.piecewise_backward(da, x, edges, bins))


def test_gradients_of_embeddings():
    draw = np.random.default_rng(8)
    categories, width = np.array([2, 0, 3]), np.array([2, 1, 1])
    x = np.array([[0, 0.3, 2], [1, -0.5, 0], [1, 1.5, 1]])
    tables, da = draw.normal(size=7), draw.normal(size=(3, 4))
    dtables = twins.embed_gradient(da, x, categories, width, np.zeros(7))
    assert_gradient(lambda t: np.sum(da * twins.embed_forward(x, t, categories, width)), tables, dtables)
    np.testing.assert_array_equal(
        twins.embed_backward(da, categories), np.stack([0 * x[:, 0], da[:, 0], 0 * x[:, 2]], 1)
    )


def test_piecewise_encoding_counts_whole_bins(kernels, dtype):
    """At an edge, the bins below it are 1; the outer bins have no outer bound; NaN stays NaN."""
    for n in (1, 3, 16, 37):
        edges = np.arange(n + 1).astype(dtype) / 8
        x = np.concatenate([edges, [-1, n / 8 + 1, np.nan]]).astype(dtype)[:, None]
        a = kernels["piecewise_forward"](
            a=np.full((len(x), n), np.nan, dtype), x=x, edges=edges, bins=np.array([n]), rows=len(x), n_in=1
        )["a"]
        np.testing.assert_array_equal(a[: n + 1], np.arange(n + 1)[:, None] > np.arange(n))
        np.testing.assert_array_equal(a[n + 1], np.where(np.arange(n) == 0, -8, 0))
        np.testing.assert_array_equal(a[n + 2], np.where(np.arange(n) == n - 1, 9, 1))
        assert np.all(np.isnan(a[n + 3]))


def test_periodic_encoding_of_many_turns(kernels, dtype):
    """Adding whole periods changes nothing, where x f is exact."""
    frequency = np.array([[1, 2, 4, 0.5]], dtype)
    x = np.arange(64).astype(dtype)[:, None] / 16
    both = [
        kernels["periodic_forward"](
            a=np.full((64, 8), np.nan, dtype), x=shifted, frequency=frequency, rows=64, n_in=1, n_frequencies=4
        )["a"]
        for shifted in (x, x + 2**16)
    ]
    np.testing.assert_array_equal(*both)
