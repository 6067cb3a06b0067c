"""Warnings that point at the line of the user's that they are about."""

import sys
import warnings

# The packages whose frames are not the user's: this one, and those that stand between it and the user, such as the
# wrapper of an estimator's method, or an optimiser that calls back.
INNER = frozenset({"fastprop", "joblib", "scipy", "sklearn"})


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning for the innermost frame that is the user's; for the outermost of all where none is.

    Python's own ``skip_file_prefixes`` does this from 3.12 on.
    """
    frame, level = sys._getframe(1), 2  # 1 is the line below, 2 is whoever called this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INNER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
