"""Numbers for the page: with six digits, finite or null; over the plane as a byte for each cell of a grid."""

import base64
from typing import Any

import numpy as np


def domain(X: np.ndarray) -> list[list[float]]:
    """Return the part of the plane to show, [[left, right], [bottom, top]]: the points and a tenth around them."""
    low, high = X.min(axis=0), X.max(axis=0)
    edge = np.where(high > low, 0.1 * (high - low), 1.0)
    return np.column_stack([low - edge, high + edge]).tolist()


def grid(domain: list[list[float]], size: int) -> np.ndarray:
    """Return the centres of size x size cells, (cells, 2), row by row from the top left."""
    (left, right), (bottom, top) = domain
    middle = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(left + (right - left) * middle, top - (top - bottom) * middle)
    return np.column_stack([x.ravel(), y.ravel()])


def span(values: np.ndarray) -> tuple[float, float]:
    """Return the range of the finite values, symmetric around 0."""
    far = float(np.abs(np.nan_to_num(values, posinf=0, neginf=0)).max()) or 1.0
    return -far, far


def levels(values: np.ndarray, low: float, high: float) -> str:
    """Return values as bytes in base64, from 0 for `low` to 255 for `high`."""
    with np.errstate(over="ignore", invalid="ignore"):
        level = np.clip(np.nan_to_num((values - low) / (high - low), nan=0.5), 0, 1)
    return base64.b64encode(np.rint(255 * level).astype(np.uint8).tobytes()).decode()


def floats(values: np.ndarray) -> str:
    """Return values as little-endian float32 in base64."""
    with np.errstate(over="ignore"):
        return base64.b64encode(values.astype("<f4").tobytes()).decode()


def ranges(values: np.ndarray) -> list[list[float | None]]:
    """Return the least and the largest value of each column."""
    return numbers(np.column_stack([values.min(axis=0), values.max(axis=0)]))


def number(value: Any) -> float | None:
    """Return a number rounded to six digits, or None if it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def numbers(values: np.ndarray) -> Any:
    """Return the numbers of an array, rounded as by ``number``, as nested lists."""
    if values.ndim > 1:
        return [numbers(part) for part in values]
    return [number(value) for value in values.tolist()]
