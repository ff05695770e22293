"""Exact point-in-polygon over millions of points."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def points_in_polygon(points: NDArray[np.floating], polygon: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    """Return which points lie inside a polygon, `(n,)` bool.

    Parameters
    ----------
    points
        Coordinates `(n, 2)`, float; a point with a NaN is never inside.
    polygon
        Vertices `(m, 2)` in the same units, closed by itself. Where it crosses itself the even-odd
        rule decides, as in matplotlib. Fewer than three vertices enclose nothing.

    Raises
    ------
    ValueError
        The polygon is not `(m, 2)`, or not finite.
    """
    vertices = np.ascontiguousarray(polygon, dtype=np.float64)
    if vertices.size == 0:
        return np.zeros(len(points), dtype=bool)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or not np.isfinite(vertices).all():
        raise ValueError(f"A polygon is a list of finite (x, y) pairs; found shape {vertices.shape}.")
    inside = np.zeros(len(points), dtype=bool)
    if len(vertices) < 3:
        return inside
    x, y = points[:, 0], points[:, 1]
    (x_low, y_low), (x_high, y_high) = vertices.min(axis=0), vertices.max(axis=0)
    candidates = np.flatnonzero((x >= x_low) & (x <= x_high) & (y >= y_low) & (y <= y_high))
    inside[candidates] = _even_odd()(x[candidates].astype(np.float64), y[candidates].astype(np.float64), vertices)
    return inside


@cache
def _even_odd() -> Callable[..., Any]:
    import numba  # noqa: PLC0415 - more than a second to import

    @numba.njit(nogil=True, cache=True)
    def even_odd(x: NDArray[np.float64], y: NDArray[np.float64], vertices: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.zeros(len(x), dtype=np.bool_)
        for i in range(len(x)):
            crossings = False
            before = len(vertices) - 1
            for after in range(len(vertices)):
                x0, y0 = vertices[before]
                x1, y1 = vertices[after]
                if (y0 > y[i]) != (y1 > y[i]) and x[i] < (x1 - x0) * (y[i] - y0) / (y1 - y0) + x0:
                    crossings = not crossings
                before = after
            inside[i] = crossings
        return inside

    return even_odd
