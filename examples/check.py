"""Used by the worked examples: compares numbers of the engine with their closed form."""

import numpy as np


def check(equation, engine, closed_form):
    """Print both; raise an AssertionError if they do not agree to 12 digits."""
    engine, closed_form = np.atleast_2d(engine), np.atleast_2d(closed_form)
    for row, (ours, theirs) in enumerate(zip(engine, closed_form, strict=True)):
        left, right = (" ".join(f"{number:11.7f}" for number in side) for side in (ours, theirs))
        print(f"  {equation if row == 0 else '':<42}{left}   {right}")
    np.testing.assert_allclose(engine, closed_form, rtol=1e-12, atol=1e-12, err_msg=equation)
