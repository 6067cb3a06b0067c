"""How numbers go to the page: six digits, finite or null; over the plane as a byte for each cell of a grid."""

import base64
from typing import Any

import numpy as np


def domain(X: np.ndarray) -> list[list[float]]:
    """From where to where the plane is shown: the points and a tenth around them, (2 axes, from and to)."""
    low, high = X.min(axis=0), X.max(axis=0)
    edge = np.where(high > low, 0.1 * (high - low), 1.0)
    return np.column_stack([low - edge, high + edge]).tolist()


def grid(domain: list[list[float]], size: int) -> np.ndarray:
    """The centres of size x size cells, from the top left one row by row."""
    (left, right), (bottom, top) = domain
    middle = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(left + (right - left) * middle, top - (top - bottom) * middle)
    return np.column_stack([x.ravel(), y.ravel()])


def span(values: np.ndarray) -> tuple[float, float]:
    """From where to where values lie, the same on both sides of 0."""
    far = float(np.abs(np.nan_to_num(values, posinf=0, neginf=0)).max()) or 1.0
    return -far, far


def levels(values: np.ndarray, low: float, high: float) -> str:
    """Values from low (0) to high (255), a byte each, as base64."""
    with np.errstate(over="ignore", invalid="ignore"):
        level = np.clip(np.nan_to_num((values - low) / (high - low), nan=0.5), 0, 1)
    return base64.b64encode(np.rint(255 * level).astype(np.uint8).tobytes()).decode()


def number(value: Any) -> float | None:
    """Six digits of a number, None if it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def numbers(values: np.ndarray) -> Any:
    """The same for every number of an array, as lists."""
    if values.ndim > 1:
        return [numbers(part) for part in values]
    return [number(value) for value in values.tolist()]
