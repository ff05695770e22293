"""What a view's messages hold, checked: numbers that can be reckoned with, a part of the plane, a polygon."""

from __future__ import annotations

from typing import Any, TypeAlias

from cellasso.points.point_index import Viewport

Message: TypeAlias = dict[str, Any]


def corners(polygon: object) -> list[tuple[float, float]]:
    """Return the corners of a polygon that a browser sent; none where they are not all numbers."""
    if not isinstance(polygon, list) or not all(isinstance(corner, list) and len(corner) == 2 for corner in polygon):
        return []
    return [(float(x), float(y)) for x, y in polygon] if all(map(are_finite, polygon)) else []


def viewport(ends: object) -> Viewport | None:
    """Return what a browser says is in view, y upwards or downwards; `None` where it says no four numbers."""
    if not isinstance(ends, list) or len(ends) != 4 or not are_finite(ends):
        return None
    x_low, x_high, one, other = map(float, ends)
    return Viewport(x_low, x_high, min(one, other), max(one, other))


def are_finite(numbers: list[Any]) -> bool:
    """Whether all that a browser sent are numbers that can be reckoned with."""
    return all(isinstance(number, (int, float)) and abs(number) < 1e300 for number in numbers)
