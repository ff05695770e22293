"""The compiled loops of `polygon`: edges into the squares of a grid, points against the edges of their square.

A point is inside when a ray from it to the right crosses an odd number of edges: those that span its y
and whose x there, as float64 computes it, is larger. A square's list holds the edges that run through it.
Edges of the same row to the left of the square are never crossed. Edges to the right are crossed when they
span the point's y. Of two such edges that meet in a vertex of this row both are or neither is, whatever
the vertex's height, as far as that vertex goes: their terms cancel. What remains of the edges to the right is
the ends above the row, one number for the square, and the vertices of the row where one edge lies to the
right and the other in the list: each is noted with the edge in the list.
"""

# compiled loops take plain arrays by position, and a call for each branch would cost them
# ruff: noqa: PLR0912, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit_or_python

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST, SECOND = 1, 2
"""Bits beside an edge in a list: its neighbour at this end lies to the right."""

HAS_EDGES = 2
"""Bit of a square's state: edges run through it."""


@njit_or_python(inline="always")
def _place(value: float, low: float, scale: float, side: int) -> int:
    """Row or column of a coordinate; never falls where the coordinate rises."""
    at = (value - low) * scale
    if not at > 0:
        return 0
    return side - 1 if at >= side else int(at)


@njit_or_python
def _columns(
    vertices: NDArray[np.float64],
    edge: int,
    row: int,
    low: NDArray[np.float64],
    scale: NDArray[np.float64],
    slack: NDArray[np.float64],
    side: int,
) -> tuple[int, int]:
    """First and last column that an edge may touch within a row."""
    x0, y0 = vertices[edge]
    x1, y1 = vertices[(edge + 1) % len(vertices)]
    left, right = min(x0, x1), max(x0, x1)
    if scale[1] > 0 and y0 != y1:
        bottom = low[1] + row / scale[1] - slack[1]
        top = low[1] + (row + 1) / scale[1] + slack[1]
        bottom, top = max(bottom, min(y0, y1)), min(top, max(y0, y1))
        a = (x1 - x0) * (bottom - y0) / (y1 - y0) + x0
        b = (x1 - x0) * (top - y0) / (y1 - y0) + x0
        left, right = max(left, min(a, b)), min(right, max(a, b))
    first = _place(left - slack[0], low[0], scale[0], side)
    last = _place(right + slack[0], low[0], scale[0], side)
    return first, last


@njit_or_python
def build(
    vertices: NDArray[np.float64],
    low: NDArray[np.float64],
    scale: NDArray[np.float64],
    slack: NDArray[np.float64],
    side: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]:
    """Return `state`, `starts` and `edges` of a `Grid`.

    Parameters
    ----------
    vertices
        Of the polygon, `(m, 2)`, finite; m is 3 or more.
    low, scale
        As of `Grid`; a scale of 0 puts all into one square.
    slack
        `(2,)`: how far rounding may shift the crossing of an edge with a line of the grid, in x and y.
    side
        Squares on a side.
    """
    n = len(vertices)
    row_of = np.empty(n, dtype=np.int64)
    for vertex in range(n):
        row_of[vertex] = _place(vertices[vertex, 1], low[1], scale[1], side)
    state = np.zeros(side * side, dtype=np.uint8)
    starts = np.zeros(side * side + 1, dtype=np.int64)
    for edge in range(n):
        from_row, to_row = row_of[edge], row_of[(edge + 1) % n]
        for row in range(min(from_row, to_row), max(from_row, to_row) + 1):
            first, last = _columns(vertices, edge, row, low, scale, slack, side)
            for column in range(first, last + 1):
                starts[row * side + column + 1] += 1
            if (from_row > row) != (to_row > row) and first > 0:
                state[row * side + first - 1] ^= 1  # for all columns to the left, to which it is passed on below
    for row in range(side):
        for column in range(side - 2, -1, -1):
            state[row * side + column] ^= state[row * side + column + 1]
    for square in range(side * side):
        if starts[square + 1]:
            state[square] |= HAS_EDGES
        starts[square + 1] += starts[square]
    edges = np.empty(starts[-1], dtype=np.int32)
    free = starts[:-1].copy()
    for edge in range(n):
        before, after = (edge - 1) % n, (edge + 1) % n
        from_row, to_row = row_of[edge], row_of[after]
        for row in range(min(from_row, to_row), max(from_row, to_row) + 1):
            first, last = _columns(vertices, edge, row, low, scale, slack, side)
            # from which column on a neighbour lies to the right; none when they do not meet in this row
            first_before, first_after = 0, 0
            if from_row == row:
                first_before, _ = _columns(vertices, before, row, low, scale, slack, side)
            if to_row == row:
                first_after, _ = _columns(vertices, after, row, low, scale, slack, side)
            for column in range(first, last + 1):
                bits = (FIRST if column < first_before else 0) | (SECOND if column < first_after else 0)
                square = row * side + column
                edges[free[square]] = 4 * edge + bits
                free[square] += 1
    return state, starts, edges


@njit_or_python
def find_inside(
    xs: NDArray[np.floating],
    ys: NDArray[np.floating],
    vertices: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    scale: NDArray[np.float64],
    state: NDArray[np.uint8],
    starts: NDArray[np.int64],
    edges: NDArray[np.int32],
    inside: NDArray[np.bool_],
) -> None:
    """Write which points lie inside.

    Parameters
    ----------
    xs, ys
        `(n,)`, compared in float64; a point with a NaN is outside.
    vertices
        Of the polygon, `(m, 2)`.
    low, high, scale, state, starts, edges
        Of its `Grid`.
    inside
        `(n,)`, False to begin with: points outside of the polygon's box are not written.
    """
    n = len(vertices)
    side = int(np.sqrt(len(state)))
    x_low, y_low, x_high, y_high = low[0], low[1], high[0], high[1]
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        if not (x_low <= x <= x_high and y_low <= y <= y_high):
            continue
        square = _place(y, y_low, scale[1], side) * side + _place(x, x_low, scale[0], side)
        odd = state[square] & 1
        if state[square] & HAS_EDGES:
            for at in range(starts[square], starts[square + 1]):
                edge, bits = edges[at] >> 2, edges[at] & 3
                x0, y0 = vertices[edge]
                x1, y1 = vertices[edge + 1 if edge + 1 < n else 0]
                first, second = y0 > y, y1 > y
                if first != second and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                    odd ^= 1
                if (bits & FIRST) and first:
                    odd ^= 1
                if (bits & SECOND) and second:
                    odd ^= 1
        inside[i] = odd == 1
