"""Where the names of categories stand in a picture: at the middle of their cells, and not over one another."""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit_or_python

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

NEARER = 1e-3
"""Pixels by which another place must be nearer to be better: of two as near, rounding must not choose."""

LONGEST = 32
"""Letters of a name on an axis or in a picture; the whole name stands in the tooltip or the legend."""


def medians(
    xy: NDArray[np.float32], codes: NDArray[np.integer], n: int, *, most: int | None = None
) -> NDArray[np.float32]:
    """Return the median of both coordinates of the cells of each category, `(n, 2)`.

    Parameters
    ----------
    xy
        `(2, n_obs)` float32; cells with NaN or infinite coordinates do not count.
    codes
        Category of each cell, `(n_obs,)`; any outside of 0 to `n - 1` is none.
    most
        Of a category with more cells about so many are looked at, one in so and so many; `None`: all.

    NaN for a category without cells. Takes a copy of the points.
    """
    counts = np.zeros(n, dtype=np.int64)
    _count(xy, codes, counts)
    steps = np.ones_like(counts) if most is None else np.maximum(counts // most, 1)
    counts = -(-counts // steps)
    ends = np.cumsum(counts)
    grouped = np.empty((2, counts.sum()), dtype=np.float32)
    _group(xy, codes, ends - counts, steps, grouped)
    middles = np.full((n, 2), np.nan, dtype=np.float32)
    for code in np.flatnonzero(counts):
        for axis in (0, 1):
            values = grouped[axis, ends[code] - counts[code] : ends[code]]
            middles[code, axis] = _median(values)
    return middles


def place_labels(
    anchors: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike,
    width: float,
    height: float,
    *,
    weights: ArrayLike | None = None,
    gap: float = 2.0,
    reach: float = np.inf,
) -> NDArray[np.float64]:
    """Return the middles of boxes that lie apart from one another, each as near to its anchor as those before it leave.

    The order is that of the weights, heaviest first. As long as no anchor enters or leaves the canvas and no box
    meets its edge, a shift of all anchors shifts all boxes alike.

    Parameters
    ----------
    anchors
        Where the boxes would be best, `(n, 2)`, from one corner of the canvas.
    widths, heights
        Sizes of the boxes, `(n,)`, in the unit of the anchors (pixels, points).
    width, height
        Size of the canvas.
    weights
        `(n,)`, such as the cells of each category; without them the first is the heaviest.
    gap
        Free space between two boxes.
    reach
        How far a box may be from its anchor.

    Returns
    -------
    `(n, 2)` float64; NaN for an anchor that is NaN or off the canvas, and for a box that finds no room.
    """
    anchors = np.asarray(anchors, dtype=np.float64).reshape(-1, 2)
    sizes = np.stack([np.asarray(widths, dtype=np.float64), np.asarray(heights, dtype=np.float64)], axis=-1)
    order = np.arange(len(anchors)) if weights is None else np.argsort(-np.asarray(weights), kind="stable")
    middles = np.full(anchors.shape, np.nan)
    _place(anchors, sizes.reshape(-1, 2), order, float(width), float(height), float(gap), float(reach), middles)
    return middles


def _median(values: NDArray[np.float32]) -> float:
    """Return the median of some values, which it reorders."""
    upper = len(values) // 2
    values.partition(upper)
    above = float(values[upper])
    return above if len(values) % 2 else (float(values[:upper].max()) + above) / 2


@njit_or_python
def _count(xy: NDArray[np.float32], codes: NDArray[np.integer], counts: NDArray[np.int64]) -> None:
    """Count the finite points of each category."""
    for i in range(xy.shape[1]):
        if 0 <= codes[i] < len(counts) and np.isfinite(xy[0, i]) and np.isfinite(xy[1, i]):
            counts[codes[i]] += 1


@njit_or_python
def _group(
    xy: NDArray[np.float32],
    codes: NDArray[np.integer],
    ends: NDArray[np.int64],
    steps: NDArray[np.int64],
    grouped: NDArray[np.float32],
) -> None:
    """Copy each so-and-so-manyth finite point into `(2, n)`, category after category.

    `ends` begins as where each category starts.
    """
    passed = np.zeros_like(ends)
    for i in range(xy.shape[1]):
        if 0 <= codes[i] < len(ends) and np.isfinite(xy[0, i]) and np.isfinite(xy[1, i]):
            if passed[codes[i]] % steps[codes[i]] == 0:
                grouped[0, ends[codes[i]]] = xy[0, i]
                grouped[1, ends[codes[i]]] = xy[1, i]
                ends[codes[i]] += 1
            passed[codes[i]] += 1


@njit_or_python
def _place(
    anchors: NDArray[np.float64],
    sizes: NDArray[np.float64],
    order: NDArray[np.intp],
    width: float,
    height: float,
    gap: float,
    reach: float,
    middles: NDArray[np.float64],
) -> None:
    """Find a place for box after box.

    The middle of a box is free where it is outside of all boxes before it, each enlarged by the box's own half size.
    The free point next to the anchor has the anchor's own x, or lies at the left or right end of an enlarged box:
    so these columns are tried, and in each the next free y on either side.
    """
    placed = np.empty(len(anchors), dtype=np.intp)
    blocked = np.empty((2, len(anchors), 4))  # x_low, x_high, y_low, y_high of the enlarged boxes; and upside down
    rising = np.empty_like(blocked)
    n = 0
    for i in order:
        x, y = anchors[i]
        half_width, half_height = sizes[i] / 2
        if not (0 <= x <= width and 0 <= y <= height and 2 * half_width <= width and 2 * half_height <= height):
            continue
        for k in range(n):
            far_x = half_width + sizes[placed[k], 0] / 2 + gap
            far_y = half_height + sizes[placed[k], 1] / 2 + gap
            middle_x, middle_y = middles[placed[k]]
            for side, at_y in enumerate((middle_y, -middle_y)):
                blocked[side, k, 0], blocked[side, k, 1] = middle_x - far_x, middle_x + far_x
                blocked[side, k, 2], blocked[side, k, 3] = at_y - far_y, at_y + far_y
        _sort(blocked[0, :n], rising[0, :n])
        _sort(blocked[1, :n], rising[1, :n])
        nearest = reach + NEARER
        for column in range(-1, 2 * n):
            at_x = min(max(x, half_width), width - half_width) if column < 0 else blocked[0, column // 2, column % 2]
            far = abs(at_x - x)
            if not half_width <= at_x <= width - half_width or far > nearest - NEARER:
                continue
            start = min(max(y, half_height), height - half_height)
            for sign, boxes in ((-1, rising[1, :n]), (1, rising[0, :n])):
                left = np.sqrt((nearest - NEARER) ** 2 - far**2)  # how far y may still be from the anchor
                last = min(sign * y + left, height - half_height if sign > 0 else -half_height)
                at_y = sign * _next_free(at_x, sign * start, last, boxes)
                if sign * at_y <= last:
                    nearest = np.hypot(far, at_y - y)
                    middles[i, 0], middles[i, 1] = at_x, at_y
        if not np.isnan(middles[i, 0]):
            placed[n] = i
            n += 1


@njit_or_python
def _sort(boxes: NDArray[np.float64], rising: NDArray[np.float64]) -> None:
    """Write boxes by rising y_low, `(n, 4)` both: they are few, and NumPy's sorting would take seconds to compile."""
    for k in range(len(boxes)):
        at = k
        while at > 0 and rising[at - 1, 2] > boxes[k, 2]:
            for side in range(4):
                rising[at, side] = rising[at - 1, side]
            at -= 1
        for side in range(4):
            rising[at, side] = boxes[k, side]


@njit_or_python
def _next_free(x: float, y: float, last: float, boxes: NDArray[np.float64]) -> float:
    """Return the first y from `y` on at which `(x, y)` is in no box, or any above `last`; boxes by rising y_low."""
    for k in range(len(boxes)):
        if boxes[k, 2] >= y or y > last:
            break
        if boxes[k, 0] < x < boxes[k, 1] and y < boxes[k, 3]:
            y = boxes[k, 3]
    return y


def short_names(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Return names cut in the middle where they would push the dots aside, all different still."""
    cut = [n if len(n) <= longest else f"{n[: longest - 11]}…{n[-10:]}" for n in names]
    return [f"{short} ({i + 1})" if cut.count(short) > 1 else short for i, short in enumerate(cut)]
