"""Sums, counts, lowest and highest values of the cells in each pixel: datashader's base reductions over points in view.

Which point is in which pixel is decided as datashader does it, operation by operation, so that both agree to the bit.
"""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit
from cellasso.raster.aggregate import BATCH, LANES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAR = np.uint32(0xFFFFFFFF)
"""Slot of a point that is not added anywhere."""


@njit
def _place(
    xs: NDArray[np.float32],
    ys: NDArray[np.float32],
    whole: bool,
    mapping: tuple[float, float, float, float],
    viewport: tuple[float, float, float, float],
    shape: tuple[int, int],
    slots: NDArray[np.uint32],
) -> None:
    """Write the pixel of each point; `FAR` for those outside the viewport."""
    x_scale, x_shift, y_scale, y_shift = mapping
    x_low, x_high, y_low, y_high = viewport
    width, last_row, last_column = np.int32(shape[1]), np.int32(shape[0] - 1), np.int32(shape[1] - 1)
    for i in range(len(xs)):  # without a branch: the compiler takes several points at a time
        x, y = np.float64(xs[i]), np.float64(ys[i])
        inside = whole | ((x_low <= x) & (x <= x_high) & (y_low <= y) & (y <= y_high))
        row = np.int32(y * y_scale + y_shift) - np.int32(y == y_high)
        column = np.int32(x * x_scale + x_shift) - np.int32(x == x_high)
        row, column = max(min(row, last_row), np.int32(0)), max(min(column, last_column), np.int32(0))
        slots[i] = np.uint32(row * width + column) if inside else FAR


@njit
def _by_category(codes: NDArray[np.int16], n_categories: int, slots: NDArray[np.uint32]) -> None:
    """Turn the pixel of each point into the slot of its category there; a point without one gets `FAR`."""
    for i in range(len(codes)):
        slot, code = slots[i], codes[i]
        own = slot * np.uint32(n_categories) + np.uint32(code)
        slots[i] = own if (slot != FAR) & (code >= 0) else FAR


@njit
def _keep_slots(slots: NDArray[np.uint32], n: int) -> int:
    """Move the slots that are not `FAR` to the front and return how many they are; mostly all are."""
    farthest = np.uint32(0)
    for i in range(n):
        farthest = max(farthest, slots[i])
    if farthest != FAR:
        return n
    kept = np.uint32(0)
    for i in range(n):
        slot = slots[i]
        slots[kept] = slot
        kept += np.uint32(slot != FAR)
    return int(np.int64(kept))


@njit
def _keep_known(slots: NDArray[np.uint32], values: NDArray[np.floating], own: NDArray[np.floating]) -> int:
    """Move slots to the front, and their values, of those that have both; return how many they are."""
    kept = np.uint32(0)
    for i in range(len(values)):
        slot, value = slots[i], values[i]
        slots[kept], own[kept] = slot, value
        kept += np.uint32((slot != FAR) & (value == value))  # noqa: PLR0124 - it is not NaN
    return int(np.int64(kept))


@njit
def _are_all_known(slots: NDArray[np.uint32], values: NDArray[np.floating]) -> bool:
    """Whether each point has a slot and a value; mostly they do, and then nothing has to be moved."""
    farthest, n_unknown = np.uint32(0), 0
    for i in range(len(values)):
        farthest = max(farthest, slots[i])
        n_unknown += values[i] != values[i]
    return bool((farthest != FAR) & (n_unknown == 0))


@njit
def count_points(
    xy: NDArray[np.float32],
    spans: NDArray[np.int64],
    mapping: tuple[float, float, float, float],
    viewport: tuple[float, float, float, float],
    shape: tuple[int, int],
    codes: NDArray[np.int16],
    n_categories: int,
    counts: NDArray[np.uint32],
) -> None:
    """Add to each slot how many points are in it.

    Parameters
    ----------
    xy
        Coordinates of the points, `(2, n)`.
    spans
        Where the points of the viewport are, `(m, 3)`, as of `PointIndex.spans`.
    mapping
        Scale and shift along x, then along y, as of datashader's `compute_scale_and_translate`.
    viewport
        x low, x high, y low, y high, the edges included.
    shape
        Height and width in pixels.
    codes
        Category of each point, `(n,)`, -1 for none; `(0,)`: there are no categories.
    n_categories
        How many there are; 1 if there are none.
    counts
        `(height * width * n_categories,)`; the slot of a category is that of its pixel times `n_categories`, plus its
        code.
    """
    slots = np.empty(BATCH, dtype=np.uint32)
    for span in range(len(spans)):
        for start in range(spans[span, 0], spans[span, 1], BATCH):
            stop, whole = min(start + BATCH, spans[span, 1]), spans[span, 2] != 0
            _place(xy[0, start:stop], xy[1, start:stop], whole, mapping, viewport, shape, slots)
            if len(codes):
                _by_category(codes[start:stop], n_categories, slots)
            n = _keep_slots(slots, stop - start)
            stride = (n + LANES - 1) // LANES
            for lane in range(stride):
                for i in range(lane, n, stride):
                    counts[slots[np.uint32(i)]] += np.uint32(1)


@njit
def _add(
    slots: NDArray[np.uint32],
    own: NDArray[np.floating],
    n: int,
    counts: NDArray[np.uint32],
    sums: NDArray[np.float64],
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
) -> None:
    """Add the values of a batch to what is asked for, neighbours along the curve apart; they share a pixel."""
    stride = (n + LANES - 1) // LANES
    for lane in range(stride):
        if len(sums):
            for i in range(lane, n, stride):
                sums[slots[np.uint32(i)]] += own[np.uint32(i)]
        if len(counts):
            for i in range(lane, n, stride):
                counts[slots[np.uint32(i)]] += np.uint32(1)
        # `max` may let the NaN stand that means "none yet"; a branch is guessed wrong too often
        if len(highs):
            for i in range(lane, n, stride):
                at, value = slots[np.uint32(i)], np.float64(own[np.uint32(i)])
                before = highs[at]
                highs[at] = before if before >= value else value  # noqa: FURB136
        if len(lows):
            for i in range(lane, n, stride):
                at, value = slots[np.uint32(i)], np.float64(own[np.uint32(i)])
                before = lows[at]
                lows[at] = before if before <= value else value  # noqa: FURB136


@njit
def _add_squares(
    slots: NDArray[np.uint32],
    own: NDArray[np.floating],
    n: int,
    counts: NDArray[np.uint32],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    """Add the squared distances from the mean so far (Welford), before count and sum."""
    stride = (n + LANES - 1) // LANES
    for lane in range(stride):
        for i in range(lane, n, stride):
            at, value = slots[np.uint32(i)], np.float64(own[np.uint32(i)])
            known, total = np.float64(counts[at]), sums[at]
            if known > 0:
                squares[at] += (value - total / known) * (value - (total + value) / (known + 1))
            counts[at] += np.uint32(1)
            sums[at] = total + value


@njit
def reduce_points(
    xy: NDArray[np.float32],
    spans: NDArray[np.int64],
    mapping: tuple[float, float, float, float],
    viewport: tuple[float, float, float, float],
    shape: tuple[int, int],
    codes: NDArray[np.int16],
    n_categories: int,
    values: NDArray[np.floating],
    counts: NDArray[np.uint32],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
) -> None:
    """Add the values of the points to what is asked for in each slot; NaN is no value.

    Parameters
    ----------
    xy, spans, mapping, viewport, shape, codes, n_categories
        As of `count_points`.
    values
        Of each point, `(n,)` float32 or float64.
    counts, sums, squares
        How many values there are in each slot, their sum, and the sum of their squared distances from the mean, as many
        as `count_points` has slots, zeros to begin with; `(0,)` where it is not asked for. Squares need the other two.
    lows, highs
        The lowest and the highest value, NaN to begin with; `(0,)` where it is not asked for.
    """
    slots, own = np.empty(BATCH, dtype=np.uint32), np.empty(BATCH, dtype=values.dtype)
    for span in range(len(spans)):
        for start in range(spans[span, 0], spans[span, 1], BATCH):
            stop, whole = min(start + BATCH, spans[span, 1]), spans[span, 2] != 0
            _place(xy[0, start:stop], xy[1, start:stop], whole, mapping, viewport, shape, slots)
            if len(codes):
                _by_category(codes[start:stop], n_categories, slots)
            part, n = values[start:stop], stop - start
            if not _are_all_known(slots, part):
                n, part = _keep_known(slots, part, own), own
            if len(squares):
                _add_squares(slots, part, n, counts, sums, squares)
                _add(slots, part, n, counts[:0], sums[:0], lows, highs)
            else:
                _add(slots, part, n, counts, sums, lows, highs)
