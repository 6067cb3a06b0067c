"""The gradient checker must catch wrong gradients, and must not be fooled by kinks or by zeros."""

import gradcheck
import numpy as np
import pytest
import reference

WIDTHS = (3, 5, 4, 2)
ACTIVATIONS = ("relu", "tanh", "identity")
ROWS = 6


def network_case(spoil=lambda gradient, rows: None):
    """Return a network of the twin with half_mse whose gradient is changed in place by `spoil`."""

    def case(rng):
        theta = rng.normal(0.0, 0.6, reference.n_parameters(WIDTHS))
        x, y = rng.normal(size=(ROWS, WIDTHS[0])), rng.normal(size=(ROWS, WIDTHS[-1]))

        def both(theta):
            return reference.value_and_gradient(WIDTHS, ACTIVATIONS, "half_mse", theta, x, y)

        gradient = both(theta)[1]
        spoil(gradient, ROWS)
        return lambda theta: both(theta)[0], theta, gradient

    return case


def scale_one_element(factor, rank):
    """Scale the element whose rank by size is `rank`: 0 is the largest, 0.5 the median."""

    def spoil(gradient, rows):
        order = np.argsort(-np.abs(gradient))
        gradient[order[int(rank * (len(order) - 1))]] *= factor

    return spoil


def without_bias_gradient(gradient, rows):
    reference.unflatten(WIDTHS, gradient)[1][1][:] = 0.0


def without_mean(gradient, rows):
    gradient *= rows


def shifted_by_one(gradient, rows):
    gradient[:] = np.roll(gradient, 1)


def transposed_weight(gradient, rows):
    w, _ = reference.unflatten(WIDTHS, gradient)[1]
    w[:] = w.T.reshape(w.shape).copy()


def negated(gradient, rows):
    gradient *= -1.0


def zero(gradient, rows):
    gradient[:] = 0.0


def not_a_number(gradient, rows):
    gradient[0] = np.nan


def infinite(gradient, rows):
    gradient[-1] = np.inf


WRONG = {
    "largest element x 1.0001": scale_one_element(1.0001, 0.0),
    "median element x 1.0001": scale_one_element(1.0001, 0.5),
    "largest element x 1.000001": scale_one_element(1.000001, 0.0),
    "no bias gradient": without_bias_gradient,
    "no 1/rows": without_mean,
    "shifted by one": shifted_by_one,
    "a transposed weight": transposed_weight,
    "negated": negated,
    "zero": zero,
    "NaN": not_a_number,
    "infinite": infinite,
}


def test_right_gradient_passes():
    assert gradcheck.check_gradient(network_case()) < gradcheck.TOLERANCE / 3


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG.keys())
def test_wrong_gradient_is_caught(spoil):
    with pytest.raises(AssertionError, match="relative error|NaN or infinity"):
        gradcheck.check_gradient(network_case(spoil))


def test_wrong_shape_is_caught():
    with pytest.raises(AssertionError, match="shape|parameters"):
        gradcheck.gradient_error(lambda t: float(t @ t), np.ones(3), 2 * np.ones((3, 1)))


def test_message_names_the_element_and_both_values():
    def case(rng):
        return lambda t: float(t @ t), np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.5, 6.0])

    with pytest.raises(AssertionError, match=r"is .*4\.5.* give .*(4\.0|3\.99).*1\.1e-01"):
        gradcheck.check_gradient(case)


@pytest.mark.parametrize("steps", [0.0, 1e-6, 0.3, 0.5, 0.67, 0.9, -1.0, 1.3, -1.9])
def test_kink_inside_the_stencil_is_seen(steps):
    """A corner within two steps is recognised, of ReLU and of |x|."""
    offset = steps * gradcheck.STEP
    for bend in (abs, lambda v: max(v, 0.0)):
        with pytest.raises(gradcheck.NoVerdict, match="corner"):
            gradcheck.numeric_gradient(lambda t, f=bend: f(t[0] - offset) + t[0], np.zeros(1))


@pytest.mark.parametrize("steps", [-2.01, 2.01, 100.0])
def test_kink_outside_the_stencil_is_none(steps):
    offset = steps * gradcheck.STEP
    numeric = gradcheck.numeric_gradient(lambda t: abs(t[0] - offset) + 3 * t[0], np.zeros(1))
    assert numeric[0] == pytest.approx(3.0 - np.sign(offset), rel=1e-12)


def test_kinks_are_moved_away_from_not_skipped():
    """The first draws put a ReLU on its corner; a later one gives a verdict, which is checked to be real."""
    drawn = []

    def case(rng, factor=1.0):
        drawn.append(None)
        theta = np.array([0.0 if len(drawn) < 4 else rng.uniform(0.5, 1.0)])
        return lambda t: max(t[0], 0.0) * t[0] + max(t[0], 0.0), theta, factor * (2 * theta + 1)

    gradcheck.check_gradient(case)
    assert len(drawn) == 4
    drawn.clear()
    with pytest.raises(AssertionError, match="relative error"):
        gradcheck.check_gradient(lambda rng: case(rng, factor=1.0001))


def test_no_verdict_is_a_failure():
    def always_on_the_corner(rng):
        return lambda t: abs(t[0]), np.zeros(1), np.zeros(1)

    with pytest.raises(AssertionError, match="no verdict in 5 draws.*corner"):
        gradcheck.check_gradient(always_on_the_corner, draws=5)


def test_mostly_zero_gradient_gives_no_verdict():
    """A dead network would let any backward pass through."""

    def dead(rng):
        return lambda t: float(t[0] ** 2), np.ones(3), np.array([2.0, 0.0, 0.0])

    with pytest.raises(AssertionError, match="no verdict.*2 of 3 elements"):
        gradcheck.check_gradient(dead, draws=2)


def test_theta_of_any_shape_is_left_alone():
    theta = np.arange(6.0).reshape(2, 3).copy()
    before = theta.copy()
    numeric = gradcheck.numeric_gradient(lambda t: float(np.sum(np.sin(t))), theta)
    np.testing.assert_array_equal(theta, before)
    np.testing.assert_allclose(numeric, np.cos(theta), rtol=1e-10)
