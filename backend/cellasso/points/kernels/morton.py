"""The compiled loops of `point_index`: points sorted along a Morton curve, counted and found by blocks."""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit_or_python

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit_or_python(inline="always")
def _spread(value: int) -> int:
    """Put a zero before each of the lowest 16 bits."""
    value &= 0xFFFF
    value = (value | (value << 8)) & 0x00FF00FF
    value = (value | (value << 4)) & 0x0F0F0F0F
    value = (value | (value << 2)) & 0x33333333
    return (value | (value << 1)) & 0x55555555


@njit_or_python(inline="always")
def _step(value: float, low: float, scale: float, side: int) -> int:
    at = (np.float64(value) - low) * scale
    return 0 if not at > 0 else side - 1 if at >= side else int(at)


@njit_or_python
def sort_points(
    points: NDArray[np.float32], low: NDArray[np.float64], scale: NDArray[np.float64], side: int, n: int
) -> NDArray[np.int32]:
    """Return the rows of the finite points along a Morton curve through `side * side` squares, `(n,)`.

    Within a square they keep their order. One counting sort: a curve of 2**22 squares takes a pass, finer ones two.

    Parameters
    ----------
    points
        `(n_obs, 2)`; one with a NaN or an infinite coordinate is left out.
    low, scale
        `(2,)`: lower end of each axis, and squares per unit; a point beyond the outermost squares counts to these.
    side
        Squares on a side, a power of two up to 2**15.
    n
        How many points are finite.
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


@njit_or_python
def find_ends(points: NDArray[np.float32], axis: int, least: float, most: float) -> tuple[int, float, float]:
    """Return how many points are finite, and the ends of those coordinates of theirs within `least` and `most`.

    Parameters
    ----------
    points
        `(n_obs, 2)`.
    axis
        0 for x, 1 for y.
    least, most
        Coordinates outside of them do not count for the ends; the points still count.

    Returns
    -------
    Number, low, high; the ends are inf and -inf where no coordinate lies within.
    """
    n, low, high = 0, np.inf, -np.inf
    for i in range(len(points)):
        if np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]):
            n += 1
            value = np.float64(points[i, axis])
            if least <= value <= most:
                low, high = min(low, value), max(high, value)
    return n, low, high


@njit_or_python
def gather_points(
    points: NDArray[np.float32], order: NDArray[np.int32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> None:
    """Write the coordinates of points in an order.

    Parameters
    ----------
    points
        `(n, 2)`.
    order
        Row of each point to write, `(m,)`.
    x, y
        `(m,)`, overwritten.
    """
    for i in range(len(order)):
        x[i], y[i] = points[order[i], 0], points[order[i], 1]


@njit_or_python
def bound_blocks(xy: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Return x low, x high, y low, y high of each `block` points, `(n_blocks, 4)`.

    Parameters
    ----------
    xy
        `(2, n)`, finite.
    block
        Points of a block; the last may have fewer.
    """
    n = xy.shape[1]
    boxes = np.empty(((n + block - 1) // block, 4), dtype=np.float64)
    for number in range(len(boxes)):
        start, stop = number * block, min((number + 1) * block, n)
        for axis in range(2):
            low = high = xy[axis, start]
            for i in range(start + 1, stop):
                low, high = min(low, xy[axis, i]), max(high, xy[axis, i])
            boxes[number, 2 * axis], boxes[number, 2 * axis + 1] = low, high
    return boxes


@njit_or_python
def find_spans(
    boxes: NDArray[np.float64], block: int, n: int, x_low: float, x_high: float, y_low: float, y_high: float
) -> NDArray[np.int64]:
    """Return where the points are whose blocks touch a viewport.

    Parameters
    ----------
    boxes
        As of `bound_blocks`.
    block, n
        Points of a block, and of all.
    x_low, x_high, y_low, y_high
        The viewport, its edges included.

    Returns
    -------
    Start, stop, and 1 where all points lie in the viewport (0: some may not), `(m, 3)`; neighbours that are alike are
    one span.
    """
    spans = np.empty((len(boxes), 3), dtype=np.int64)
    m = 0
    for number in range(len(boxes)):
        left, right, bottom, top = boxes[number]
        if not (left <= x_high and right >= x_low and bottom <= y_high and top >= y_low):
            continue
        start, stop = number * block, min((number + 1) * block, n)
        whole = np.int64(left >= x_low and right <= x_high and bottom >= y_low and top <= y_high)
        if m and spans[m - 1, 1] == start and spans[m - 1, 2] == whole:
            spans[m - 1, 1] = stop
        else:
            spans[m, 0], spans[m, 1], spans[m, 2] = start, stop, whole
            m += 1
    return spans[:m]


@njit_or_python
def count_inside(
    xy: NDArray[np.float32], spans: NDArray[np.int64], x_low: float, x_high: float, y_low: float, y_high: float
) -> int:
    """Count the points of some spans in a viewport, its edges included.

    Parameters
    ----------
    xy
        `(2, n)`.
    spans
        As of `find_spans`; the points of a span that lies in the viewport as a whole are not looked at.
    x_low, x_high, y_low, y_high
        The viewport that the spans are of.
    """
    n = 0
    for span in range(len(spans)):
        if spans[span, 2]:
            n += int(spans[span, 1] - spans[span, 0])
            continue
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(xy[0, i]), np.float64(xy[1, i])
            if x_low <= x <= x_high and y_low <= y <= y_high:
                n += 1
    return n


@njit_or_python
def mark_cells(order: NDArray[np.int32], inside: NDArray[np.bool_], mask: NDArray[np.bool_]) -> None:
    """Set the mask of those cells whose points are inside; others stay as they are.

    Parameters
    ----------
    order
        Cell of each point, `(n,)`.
    inside
        Which points are inside, `(n,)`.
    mask
        `(n_obs,)`.
    """
    for i in range(len(order)):
        if inside[i]:
            mask[order[i]] = True


@njit_or_python
def find_nearest(
    xy: NDArray[np.float32],
    spans: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    x: float,
    y: float,
    reach_x: float,
    reach_y: float,
) -> int:
    """Return the position of that point of some spans which is nearest to a place; -1 where none is within reach.

    Distances are measured in units of the reaches, and a point at a distance of 1 is out of reach. Of several as near
    the first.

    Parameters
    ----------
    xy
        `(2, n)`.
    spans
        As of `find_spans`.
    allowed
        Which points count, `(n,)`; `(0,)`: all.
    x, y
        The place.
    reach_x, reach_y
        Half axes of the ellipse around it in which a point is found, above 0.
    """
    best, found = 1.0, -1
    for span in range(len(spans)):
        for i in range(spans[span, 0], spans[span, 1]):
            dx, dy = (np.float64(xy[0, i]) - x) / reach_x, (np.float64(xy[1, i]) - y) / reach_y
            distance = dx * dx + dy * dy
            if distance < best and (len(allowed) == 0 or allowed[i]):
                best, found = distance, i
    return found
