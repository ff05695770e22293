"""Exact point-in-polygon over millions of points, at any number of vertices."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.core.executors import run_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress

BLOCK = 1 << 20
"""Points in one task: some milliseconds, after which a lasso can be cancelled."""

MIN_SIDE, MAX_SIDE = 8, 1024
"""Squares on a side of the grid: their states then stay within a core's cache."""

MAX_ENTRIES = 1 << 23
"""Edges noted in all squares together (40 MB); a polygon that runs through more gets a coarser grid."""

PLAIN_RANGE = 1e100
"""Beyond these sizes, or their inverse, a grid's lines cannot be counted, and one square holds all edges."""

PLAIN_AREA = 1e280
"""Where the sides of a polygon's box multiply to more, or to less than its inverse, so do its edges: products overflow
or vanish. All is then counted in another unit."""


class Grid(NamedTuple):
    """A polygon rasterised: squares wholly outside or inside, and those in which points are tested.

    Attributes
    ----------
    low, high, scale
        Corners of the polygon's box, and squares per unit, for x and y.
    state
        `(side * side,)`: whether a point of the square that has only the edges elsewhere to cross lies
        inside (bit 0), and whether edges run through the square (bit 1).
    starts
        Where the edges of each square begin in `edges`, `(side * side + 1,)`.
    edges
        Number of the vertex at which an edge begins, times 4; and whether, above the point, its first
        (bit 0) and its second (bit 1) end counts as a crossing of its neighbour to the right.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scale: NDArray[np.float64]
    state: NDArray[np.uint8]
    starts: NDArray[np.int64]
    edges: NDArray[np.int32]


def points_in_polygon(
    points: NDArray[np.floating], polygon: Sequence[Sequence[float]], *, progress: Progress | None = None
) -> NDArray[np.bool_]:
    """Return which points lie inside a polygon, `(n,)` bool.

    The polygon is rasterised; only points in squares through which its edges run are tested, against those
    edges alone. The answer is that of the test against all edges, to the last bit.

    Parameters
    ----------
    points
        Coordinates `(n, 2)`, float, compared in float64; a point with a NaN is never inside.
    polygon
        Vertices `(m, 2)` in the same units, closed by itself. Where it crosses itself the even-odd
        rule decides, as in matplotlib. Fewer than three vertices enclose nothing.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ValueError
        The polygon is not `(m, 2)`, or not finite.
    """
    inside = np.zeros(len(points), dtype=np.bool_)
    shape = Polygon(polygon, len(points))
    if shape.is_empty:
        return inside
    if points.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        points = points.astype(np.float64)

    def find_block(start: int) -> int:
        stop = start + BLOCK
        x, y = np.ascontiguousarray(points[start:stop].T)
        shape.find(x, y, inside[start:stop])
        return min(stop, len(points))

    for done in run_blocks(find_block, range(0, len(points), BLOCK)):
        if progress is not None:
            progress(done / len(points))
    return inside


class Polygon:
    """A polygon made ready for testing many points; see `points_in_polygon`.

    Parameters
    ----------
    vertices
        `(m, 2)`, finite.
    n_points
        For how many points it is worth to be made ready.

    Raises
    ------
    ValueError
        They are not `(m, 2)`, or not finite.
    """

    def __init__(self, vertices: Sequence[Sequence[float]], n_points: int) -> None:
        self._vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        if self._vertices.size and (
            self._vertices.ndim != 2 or self._vertices.shape[1] != 2 or not np.isfinite(self._vertices).all()
        ):
            raise ValueError(f"A polygon is a list of finite (x, y) pairs; found shape {self._vertices.shape}.")
        self.is_empty = len(self._vertices) < 3 or n_points == 0
        self._unit = 1.0 if self.is_empty else _unit_of(self._vertices)
        self._scaled = self._vertices * self._unit
        self._grid = None if self.is_empty else rasterise(self._scaled, n_points)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Least and greatest x, then least and greatest y of its vertices."""
        (x_low, y_low), (x_high, y_high) = self._vertices.min(axis=0), self._vertices.max(axis=0)
        return float(x_low), float(x_high), float(y_low), float(y_high)

    def find(self, x: NDArray[np.floating], y: NDArray[np.floating], inside: NDArray[np.bool_]) -> None:
        """Write which points lie inside.

        Parameters
        ----------
        x, y
            `(n,)`, contiguous, float32 or float64; a point with a NaN is outside.
        inside
            `(n,)`, False to begin with.
        """
        if self._grid is None:
            return
        if self._unit != 1:
            with np.errstate(over="ignore", under="ignore"):  # such points lie far outside, or become 0
                x, y = x.astype(np.float64) * self._unit, y.astype(np.float64) * self._unit
        _kernels()[1](x, y, self._scaled, *self._grid, inside)


def _unit_of(vertices: NDArray[np.float64]) -> float:
    """Return what to multiply coordinates by so that no product overflows: a power of two, which rounds none."""
    with np.errstate(over="ignore", under="ignore"):
        width, height = vertices.max(axis=0) - vertices.min(axis=0)
        if 1 / PLAIN_AREA <= width * height <= PLAIN_AREA:
            return 1.0
    exponent = math.frexp(float(np.abs(vertices).max()))[1]
    return math.ldexp(1.0, max(-1000, min(-exponent, 1000)))


def rasterise(vertices: NDArray[np.float64], n_points: int) -> Grid:
    """Lay a grid over a polygon, as fine as so many points pay for.

    Parameters
    ----------
    vertices
        `(m, 2)`, finite, in a unit in which no product of two sizes overflows; m is 3 or more.
    n_points
        About how many points will be tested: the grid has 8 to 1,024 squares on a side. Where sizes are too large or
        too small for a grid, one square holds all edges.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    side = int(np.clip(1 << int(np.sqrt(n_points)).bit_length(), MIN_SIDE, MAX_SIDE))
    far = float(np.abs(vertices).max())
    sizes = high - low
    if far > PLAIN_RANGE or sizes.min() < 1 / PLAIN_RANGE:
        side, scale = 1, np.zeros(2)
    else:
        # squares that an edge passes: one at least, and one for each line of the grid that it crosses
        steps = np.abs(np.roll(vertices, -1, axis=0) - vertices) / sizes
        while side > MIN_SIDE and 4 * len(vertices) + 1.5 * side * steps.sum() > MAX_ENTRIES:
            side //= 2
        scale = side / sizes
    # what rounding may shift an edge's crossing by: a few units in the last place of the largest number in it
    slack = np.full(2, 64 * np.finfo(np.float64).eps * far)
    build = _kernels()[0]
    return Grid(low, high, scale, *build(vertices, low, scale, slack, side))


@cache
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from cellasso.points.kernels import point_in_polygon  # noqa: PLC0415 - numba takes more than a second to import

    return point_in_polygon.build, point_in_polygon.find_inside
