"""The compiled loops of `plane`: points sorted along a Morton curve, counted and found by blocks."""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(nogil=True, cache=True, inline="always")
def _spread(value: int) -> int:
    """Put a zero before each of the lowest 16 bits."""
    value &= 0xFFFF
    value = (value | (value << 8)) & 0x00FF00FF
    value = (value | (value << 4)) & 0x0F0F0F0F
    value = (value | (value << 2)) & 0x33333333
    return (value | (value << 1)) & 0x55555555


@njit(nogil=True, cache=True, inline="always")
def _step(value: float, low: float, scale: float, side: int) -> int:
    at = (np.float64(value) - low) * scale
    return 0 if not at > 0 else side - 1 if at >= side else int(at)


@njit(nogil=True, cache=True)
def sort_points(
    points: NDArray[np.float32], low: NDArray[np.float64], scale: NDArray[np.float64], side: int, n: int
) -> NDArray[np.int32]:
    """Return the rows of the `n` finite points of `points`, `(n,)`, along a Morton curve through `side * side` squares.

    Within a square they keep their order. One counting sort: a curve of 2**22 squares takes a pass, finer ones two.
    """
    codes = np.empty(len(points), dtype=np.int32)
    starts = np.zeros(side * side + 1, dtype=np.int32)
    for i in range(len(points)):
        codes[i] = -1
        if np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]):
            code = _spread(_step(points[i, 0], low[0], scale[0], side))
            code |= _spread(_step(points[i, 1], low[1], scale[1], side)) << 1
            codes[i] = code
            starts[code + 1] += 1
    for code in range(side * side):
        starts[code + 1] += starts[code]
    order = np.empty(n, dtype=np.int32)
    for i in range(len(points)):
        if codes[i] >= 0:
            order[starts[codes[i]]] = i
            starts[codes[i]] += 1
    return order


@njit(nogil=True, cache=True)
def find_ends(points: NDArray[np.float32], axis: int, least: float, most: float) -> tuple[int, float, float]:
    """Return how many points are finite, and the ends of those coordinates of theirs within `least` and `most`."""
    n, low, high = 0, np.inf, -np.inf
    for i in range(len(points)):
        if np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]):
            n += 1
            value = np.float64(points[i, axis])
            if least <= value <= most:
                low, high = min(low, value), max(high, value)
    return n, low, high


@njit(nogil=True, cache=True)
def bound_blocks(points: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Return x low, x high, y low, y high of each `block` points, `(n_blocks, 4)`."""
    n_blocks = (len(points) + block - 1) // block
    boxes = np.empty((n_blocks, 4), dtype=np.float64)
    for number in range(n_blocks):
        first = number * block
        x_low = x_high = points[first, 0]
        y_low = y_high = points[first, 1]
        for i in range(first + 1, min(first + block, len(points))):
            x, y = points[i, 0], points[i, 1]
            x_low, x_high, y_low, y_high = min(x_low, x), max(x_high, x), min(y_low, y), max(y_high, y)
        boxes[number] = (x_low, x_high, y_low, y_high)
    return boxes


@njit(nogil=True, cache=True)
def count_inside(
    points: NDArray[np.float32], spans: NDArray[np.int64], x_low: float, x_high: float, y_low: float, y_high: float
) -> int:
    """Count the points of some spans in a viewport, its edges included."""
    n = 0
    for span in range(len(spans)):
        if spans[span, 2]:
            n += int(spans[span, 1] - spans[span, 0])
            continue
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
            if x_low <= x <= x_high and y_low <= y <= y_high:
                n += 1
    return n


@njit(nogil=True, cache=True)
def find_nearest(
    points: NDArray[np.float32],
    spans: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    x: float,
    y: float,
    reach_x: float,
    reach_y: float,
) -> int:
    """Return the point of some spans that is nearest to a place, by distances in units of the reaches; -1 beyond them.

    Of several as near the first. `allowed` says which points count, `(n,)`; `(0,)` all.
    """
    best, found = 1.0, -1
    for span in range(len(spans)):
        for i in range(spans[span, 0], spans[span, 1]):
            dx, dy = (points[i, 0] - x) / reach_x, (points[i, 1] - y) / reach_y
            distance = dx * dx + dy * dy
            if distance < best and (len(allowed) == 0 or allowed[i]):
                best, found = distance, i
    return found
