"""Cells into pixels: the compiled loops of `raster`, with datashader's rules of which point is in which pixel."""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# datashader compiles as much anew in every process, for 3 s: these are kept on disk (cache=True)


@njit(nogil=True, cache=True, inline="always")
def _pixel(value: float, low: float, high: float, n: int) -> int:
    """Pixel of a coordinate between `low` and `high`, the last one also for `high` itself."""
    return min(int((value - low) * (n / (high - low))), n - 1)


@njit(nogil=True, cache=True)
def count_visible(points: NDArray[np.float32], x_low: float, x_high: float, y_low: float, y_high: float) -> int:
    """Count the points `(n, 2)` in a viewport, its edges included."""
    n = 0
    for i in range(len(points)):
        x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
        n += x_low <= x <= x_high and y_low <= y <= y_high
    return n


@njit(nogil=True, cache=True)
def add_mixture(
    points: NDArray[np.float32],
    codes: NDArray[np.int16],
    palette: NDArray[np.uint8],
    chosen: NDArray[np.bool_],
    viewport: tuple[float, float, float, float],
    n: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """Add cells and their colours up by pixel.

    Parameters
    ----------
    codes
        Row of the palette for each cell, -1 for its last one; `(0,)` gives all cells the last.
    palette
        `(k, 3)` RGB.
    chosen
        Which cells, `(n_obs,)`; `(0,)` takes all.
    n, sums
        `(height, width)` and `(height, width, 3)`, added to.
    """
    x_low, x_high, y_low, y_high = viewport
    height, width = n.shape
    some, coded = len(chosen) > 0, len(codes) > 0
    for i in range(len(points)):
        x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
        if not (x_low <= x <= x_high and y_low <= y <= y_high) or (some and not chosen[i]):
            continue
        row, column = _pixel(y, y_low, y_high, height), _pixel(x, x_low, x_high, width)
        code = codes[i] if coded else -1
        n[row, column] += 1
        for channel in range(3):
            sums[row, column, channel] += palette[code, channel]


@njit(nogil=True, cache=True)
def raise_values(
    points: NDArray[np.float32],
    values: NDArray[np.float32],
    chosen: NDArray[np.bool_],
    viewport: tuple[float, float, float, float],
    n: NDArray[np.int64],
    highest: NDArray[np.float32],
) -> None:
    """Count cells by pixel, and keep the highest value of each; `highest` begins as NaN, which is no value."""
    x_low, x_high, y_low, y_high = viewport
    height, width = n.shape
    some = len(chosen) > 0
    for i in range(len(points)):
        x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
        if not (x_low <= x <= x_high and y_low <= y <= y_high) or (some and not chosen[i]):
            continue
        row, column = _pixel(y, y_low, y_high, height), _pixel(x, x_low, x_high, width)
        n[row, column] += 1
        if not values[i] <= highest[row, column] and not np.isnan(values[i]):
            highest[row, column] = values[i]
