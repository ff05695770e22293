"""Cells as points of a plane, sorted so that neighbours are near: drawing, pointing and a lasso touch a few blocks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cellasso.core.executors import quick_threads, run_blocks, run_quickly
from cellasso.points.polygon import Polygon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress

BLOCK = 1024
"""Points that share a bounding box: the fewer, the less is drawn in vain along the edges of a view."""

MAX_BITS = 11
"""Of a coordinate's place on the curve: 2,048 by 2,048 squares, which one counting sort fills."""

OUTLYING = 20.0
"""A cell this many times as far out as 99% of the cells are wide would leave them less than a twentieth of the view."""

SAMPLED = 1 << 20
"""Points of the sample by which the spread of more of them is judged."""

SAMPLE_STEP = 16
"""Of so many cells the coarse plane has one."""

TASK = 1 << 20
"""Points in one task: some milliseconds, after which it can be cancelled."""

PASSED_OVER = 1 << 14
"""Up to so many points in between, two parts are one task: to test them costs less than to begin another one."""

Scalar = TypeVar("Scalar", bound=np.generic)


class Viewport(NamedTuple):
    """A part of the plane, its edges included, in data units."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float


class PointIndex:
    """The points of cells in two dimensions, along a Morton curve, in blocks with bounding boxes.

    Cells whose coordinates are not finite have no place in it.

    Parameters
    ----------
    xy
        Coordinates `(2, n)` float32, in the order of the curve; apart, so that loops take several of each at a time.
    order
        The cell (row of obs) of each point, `(n,)` int32.
    boxes
        x low, x high, y low, y high of each `BLOCK` points, `(n_blocks, 4)` float64: comparing
        them with a viewport must not round it.
    bounds
        The smallest viewport with all points but the farthest outliers, never empty.
    n_obs
        How many cells there are, also without a place.
    step
        Of a sample: its cells are every `step`-th row of obs, numbered anew.
    """

    def __init__(
        self,
        xy: NDArray[np.float32],
        order: NDArray[np.int32],
        boxes: NDArray[np.float64],
        *,
        bounds: Viewport,
        n_obs: int,
        step: int = 1,
    ) -> None:
        self.xy = xy
        self.order = order
        self.boxes = boxes
        self.bounds = bounds
        self.n_obs = n_obs
        self.step = step

    @classmethod
    def of(cls, points: NDArray[np.float32]) -> PointIndex:
        """Sort the points of all cells, `(n_obs, 2)` float32."""
        n = int(_loops().find_ends(points, 0, -np.inf, np.inf)[0])
        ends = [_ends(points, axis) if n else (0.0, 1.0) for axis in (0, 1)]
        extent = max(high - low for low, high in ends) or 1.0
        (x_low, x_high), (y_low, y_high) = (_opened(low, high, extent) for low, high in ends)
        side = 1 << min(MAX_BITS, max(1, (n - 1).bit_length() // 2))
        low = np.array([x_low, y_low])
        scale = side / np.array([x_high - x_low, y_high - y_low])
        order = _loops().sort_points(points, low, scale, side, n)
        xy = np.empty((2, n), dtype=np.float32)

        def gather(start: int) -> None:
            part = slice(start, start + TASK)
            _loops().gather_points(points, order[part], xy[0, part], xy[1, part])

        run_quickly(gather, range(0, n, TASK))
        boxes = _loops().bound_blocks(xy, BLOCK)
        return cls(xy, order, boxes, bounds=Viewport(x_low, x_high, y_low, y_high), n_obs=len(points))

    @classmethod
    def empty(cls, n_obs: int) -> PointIndex:
        """Return a plane in which none of so many cells has a place."""
        order, boxes = np.zeros(0, dtype=np.int32), np.zeros((0, 4))
        unit = Viewport(0.0, 1.0, 0.0, 1.0)
        return cls(np.zeros((2, 0), dtype=np.float32), order, boxes, bounds=unit, n_obs=n_obs)

    def __len__(self) -> int:
        """Return how many cells have a place."""
        return len(self.order)

    @property
    def points(self) -> NDArray[np.float32]:
        """Coordinates `(n, 2)`, in the order of the curve: a view of `xy`, which compiled loops take."""
        return self.xy.T

    @cached_property
    def sample(self) -> PointIndex:
        """The plane of every sixteenth cell, for a first picture of millions of them."""
        at = np.flatnonzero(self.order % SAMPLE_STEP == 0)
        xy, order = np.take(self.xy, at, axis=1), self.order[at] // SAMPLE_STEP
        boxes, n_obs = _loops().bound_blocks(xy, BLOCK), -(-self.n_obs // SAMPLE_STEP)
        return PointIndex(xy, order, boxes, bounds=self.bounds, n_obs=n_obs, step=SAMPLE_STEP)

    def gather(self, column: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return the values of all cells, `(n_obs,)`, in the order of the points, `(n,)`."""
        return gather(column, self.order)

    def spans(self, viewport: Viewport) -> NDArray[np.int64]:
        """Return where the points of a viewport are: start, stop, and whether all of them lie in it, `(m, 3)`."""
        found: NDArray[np.int64] = _loops().find_spans(self.boxes, BLOCK, len(self), *map(float, viewport))
        return found

    def boxes_of(self, spans: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the boxes of the blocks of some spans, of one at least, `(n_blocks, 4)`."""
        return np.concatenate([self.boxes[start // BLOCK : -(-stop // BLOCK)] for start, stop in spans[:, :2].tolist()])

    def count(self, viewport: Viewport) -> int:
        """Count the points in a viewport."""
        return int(_loops().count_inside(self.xy, self.spans(viewport), *map(float, viewport)))

    def nearest(
        self, x: float, y: float, reach: tuple[float, float], allowed: NDArray[np.bool_] | None = None
    ) -> int | None:
        """Return the position, along the curve, of the point nearest to a place; `None` where none is within reach.

        Parameters
        ----------
        x, y
            The place, in data units.
        reach
            How far away a point may be in x and in y, above 0; distances are measured in units of them.
        allowed
            Which points count, `(n,)` in the order of the curve; `None`: all.
        """
        near = self.spans(Viewport(x - reach[0], x + reach[0], y - reach[1], y + reach[1]))
        some = allowed if allowed is not None else np.zeros(0, dtype=np.bool_)
        found = int(_loops().find_nearest(self.xy, near, some, float(x), float(y), *map(float, reach)))
        return found if found >= 0 else None

    def inside(self, polygon: Sequence[Sequence[float]], *, progress: Progress | None = None) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside a polygon, exact; see `points_in_polygon`.

        Only points in blocks that touch the polygon's box are tested. A cell without a place is never inside.

        Parameters
        ----------
        polygon
            As of `points_in_polygon`.
        progress
            Told the fraction of the tests done; may raise `Cancelled`.

        Raises
        ------
        ValueError
            The polygon is not `(m, 2)`, or not finite.
        """
        mask = np.zeros(self.n_obs, dtype=np.bool_)
        shape = Polygon(polygon, len(self))
        if shape.is_empty:
            return mask
        tasks = _tasks(self.spans(Viewport(*shape.box)))

        def find(part: slice) -> None:
            inside = np.zeros(part.stop - part.start, dtype=np.bool_)
            x, y = self.xy[:, part]
            shape.find(x, y, inside)
            _loops().mark_cells(self.order[part], inside, mask)

        for number, _ in enumerate(run_blocks(find, tasks, executor=quick_threads()), 1):
            if progress is not None:
                progress(number / len(tasks))
        return mask


def gather(column: NDArray[Scalar], order: NDArray[np.int32]) -> NDArray[Scalar]:
    """Return `column[order]`, gathered on all cores.

    Parameters
    ----------
    column
        `(n_obs, ...)`.
    order
        Rows to take, `(n,)`, all within the column: one beyond its end would silently take the last.
    """
    out = np.empty((len(order), *column.shape[1:]), dtype=column.dtype)

    def take(start: int) -> None:
        part = slice(start, start + TASK)
        np.take(column, order[part], axis=0, out=out[part], mode="clip")  # the mode that needs no buffer

    run_quickly(take, range(0, len(order), TASK))
    return out


def _tasks(spans: NDArray[np.int64]) -> list[slice]:
    """Return the points of some spans, cut and joined into tasks that are worth a thread's while."""
    gaps = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > PASSED_OVER) + 1
    joined = np.split(spans, gaps) if len(spans) else []
    return [
        slice(start, min(start + TASK, int(each[-1, 1])))
        for each in joined
        for start in range(int(each[0, 0]), int(each[-1, 1]), TASK)
    ]


def _ends(points: NDArray[np.float32], axis: int) -> tuple[float, float]:
    """Return the two ends of an axis: of all finite points, or of those that are no outliers."""
    find_ends = _loops().find_ends
    _, low, high = find_ends(points, axis, -np.inf, np.inf)
    sample = points[:: max(1, len(points) // SAMPLED)]
    sample = sample[np.isfinite(sample).all(axis=1), axis]
    if not len(sample):
        return low, high
    first, last = (float(q) for q in np.quantile(sample, (0.005, 0.995), method="nearest"))
    reach = OUTLYING * (last - first)
    if reach == 0 or (first - low <= reach and high - last <= reach):
        return low, high
    _, low, high = find_ends(points, axis, first - reach, last + reach)
    return low, high


def _opened(low: float, high: float, extent: float) -> tuple[float, float]:
    """Return the two ends of an axis, apart from each other also where all points have one coordinate."""
    half = 0.0 if high > low else max(extent / 2, abs(low) * 1e-6)
    return low - half, high + half


def _loops() -> ModuleType | Any:
    from cellasso.points.kernels import morton  # noqa: PLC0415 - numba takes more than a second to import

    return morton
