"""Check gradients by central finite differences in float64.

    gradient_error(cost, theta, gradient)     the largest relative error of an element
    check_gradient(case)                      asserts that it is small; draws other numbers if these cannot tell

A check that cannot fail proves nothing, so tests/core/test_gradcheck.py gives it wrong gradients. A
check that is skipped proves nothing either: where differences mean nothing (a kink: ReLU at z = 0)
or the right gradient is mostly zero (dead units), `NoVerdict` is raised, other numbers are drawn,
and a check that never reaches a verdict fails.
"""

import numpy as np

# Five points per element: truncation costs h^4 f'''''/30 and rounding about 1.5 eps |f| / h.
# Measured on the twin's networks (4 losses x 4 activations x depth 1..4), the worst relative error
# is 1.2e-7 at 1e-4, 4.5e-8 at 5e-4 and 1.9e-8 at 1e-3, all of it rounding; beyond, truncation takes
# over and kinks are met more often.
STEP = 1e-3

# Below this share of the largest element an error is measured against that share: an element that
# is almost zero has no digits of its own.
FLOOR = 1e-3

TOLERANCE = 1e-7  # for the relative error; see the measurements above

# By how much of the largest element the slopes over one and over two steps may differ. On smooth
# costs they do by h^2 f''', measured 3e-5 at worst; a kink shows at least three times the error
# that it causes.
ROUGHNESS = 1e-4


class NoVerdict(ArithmeticError):
    """Raised where finite differences cannot tell a right gradient from a wrong one: draw other numbers."""


def numeric_gradient(cost, theta, step=STEP):
    """Return the gradient of ``cost(theta) -> float`` by five-point central differences.

    ``theta`` is an array of any shape; it is not written to. Raises `NoVerdict` if the cost has
    a corner within two steps of ``theta``, or if most of its gradient is zero.
    """
    theta = np.array(theta, dtype=np.float64)
    gradient, roughness = np.empty_like(theta), np.empty_like(theta)
    here = cost(theta)
    for i in np.ndindex(theta.shape):
        centre = theta[i]
        h = step * max(1.0, abs(centre))
        at = {}
        for k in (-2, -1, 1, 2):
            theta[i] = centre + k * h
            at[k] = cost(theta)
        theta[i] = centre
        near, far = (at[1] - at[-1]) / (2 * h), (at[2] - at[-2]) / (4 * h)
        gradient[i] = (4 * near - far) / 3
        # A corner at exactly `theta` leaves the slopes equal; there the bend, right slope minus
        # left slope, does not double with the step, as a smooth one does.
        bend_near = (at[1] - 2 * here + at[-1]) / h
        bend_far = (at[2] - 2 * here + at[-2]) / (2 * h)
        roughness[i] = max(abs(near - far), abs(bend_far - 2 * bend_near))
    if np.max(roughness) > ROUGHNESS * np.max(np.abs(gradient)):
        i = np.unravel_index(np.argmax(roughness), theta.shape)
        raise NoVerdict(f"the cost has a corner within two steps of element {i}")
    zeros = gradient.size - np.count_nonzero(gradient)
    if zeros > gradient.size / 2:
        raise NoVerdict(f"{zeros} of {gradient.size} elements of the numeric gradient are zero")
    return gradient


def relative_errors(gradient, numeric):
    """Return |gradient - numeric| / max(|gradient|, |numeric|, FLOOR * largest |numeric|), element by element."""
    gradient = np.asarray(gradient, dtype=np.float64)
    assert gradient.shape == numeric.shape, f"gradient {gradient.shape}, parameters {numeric.shape}"
    assert np.all(np.isfinite(gradient)), "the gradient holds NaN or infinity"
    floor = FLOOR * np.max(np.abs(numeric))
    size = np.maximum(np.maximum(np.abs(gradient), np.abs(numeric)), floor)
    return np.abs(gradient - numeric) / size


def gradient_error(cost, theta, gradient, step=STEP):
    """Return the largest relative error of the elements of ``gradient``, a gradient of ``cost`` at ``theta``."""
    return float(np.max(relative_errors(gradient, numeric_gradient(cost, theta, step))))


def check_gradient(case, draws=20, tolerance=TOLERANCE):
    """Assert that a gradient is right; draw other numbers where finite differences cannot tell.

    Parameters
    ----------
    case : callable
        ``case(rng) -> (cost, theta, gradient)``; draws its numbers from ``rng``.
    draws : int
        The number of draws without a verdict after which the check fails.
    tolerance : float
        The largest relative error of an element.

    Returns
    -------
    float
        The worst relative error.
    """
    reasons = []
    for seed in range(draws):
        cost, theta, gradient = case(np.random.default_rng(seed))
        try:
            numeric = numeric_gradient(cost, theta)
        except NoVerdict as reason:
            reasons.append(str(reason))
            continue
        errors = relative_errors(gradient, numeric)
        worst = np.unravel_index(np.argmax(errors), errors.shape)
        # A slope with a corner (Huber's) leaves differences an error that shrinks with the step, as no wrong gradient's
        # does: rounding moves a smooth cost's by less than a quarter of the tolerance.
        if errors[worst] > tolerance:
            finer = relative_errors(numeric_gradient(cost, theta, STEP / 2), numeric)[worst]
            if finer > errors[worst] / 4:
                reasons.append(f"half the step changes the difference of element {worst} by {finer:.1e}")
                continue
        assert errors[worst] <= tolerance, (
            f"element {worst} is {gradient[worst]!r}, finite differences give {numeric[worst]!r}:"
            f" relative error {errors[worst]:.1e}, tolerance {tolerance:.0e} (draw {seed})"
        )
        return float(errors[worst])
    raise AssertionError(f"no verdict in {draws} draws; the last: {reasons[-1]}")
