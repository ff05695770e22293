"""Sorted points against NumPy's brute force: each cell once, found by viewport, by place and by polygon."""

from __future__ import annotations

import matplotlib.path
import numpy as np
import pytest
import shapely

from cellasso.core.errors import Cancelled
from cellasso.points import point_index
from cellasso.points.point_index import BLOCK, OUTLYING, PointIndex, Viewport
from cellasso.points.polygon import points_in_polygon

pytestmark = pytest.mark.loops

UNIT = Viewport(0.0, 1.0, 0.0, 1.0)


def clusters(rng: np.random.Generator, n: int) -> np.ndarray:
    middles = rng.normal(scale=10, size=(7, 2))
    return middles[rng.integers(0, 7, n)] + rng.normal(scale=0.3, size=(n, 2))


def with_gaps(rng: np.random.Generator, n: int) -> np.ndarray:
    points = rng.normal(size=(n, 2))
    for value in (np.nan, np.inf, -np.inf):
        points[rng.random((n, 2)) < 0.1] = value
    return points


SHAPES = {
    "no_cell": lambda rng: np.empty((0, 2)),
    "one": lambda rng: [[3.5, -7]],
    "two": lambda rng: [[0, 0], [1, 5]],
    "uniform": lambda rng: rng.random((3000, 2)),
    "one_block": lambda rng: rng.random((BLOCK, 2)),
    "one_more": lambda rng: rng.random((BLOCK + 1, 2)),
    "blocks": lambda rng: rng.random((9 * BLOCK + 123, 2)),
    "clusters": lambda rng: clusters(rng, 5 * BLOCK),
    "lattice": lambda rng: rng.integers(0, 20, (2 * BLOCK, 2)),
    "equal": lambda rng: np.full((2 * BLOCK + 1, 2), 3.25),
    "equal_far": lambda rng: np.full((50, 2), [1e17, -1e17]),
    "row": lambda rng: np.stack([rng.normal(size=2 * BLOCK), np.full(2 * BLOCK, 5)], axis=1),
    "column": lambda rng: np.stack([np.full(300, -1e9), rng.random(300)], axis=1),
    "diagonal": lambda rng: np.repeat(rng.normal(size=(3 * BLOCK, 1)), 2, axis=1),
    "huge": lambda rng: rng.uniform(-3e38, 3e38, (2 * BLOCK, 2)),
    "denormal": lambda rng: rng.uniform(0, 1e-40, (2 * BLOCK, 2)),
    "outliers": lambda rng: np.concatenate([rng.normal(size=(2 * BLOCK, 2)), [[1e38, 0], [0, -1e30], [5e3, 5e3]]]),
    "gaps": lambda rng: with_gaps(rng, 3 * BLOCK),
    "all_missing": lambda rng: np.full((40, 2), np.nan),
}


@pytest.fixture(params=SHAPES)
def points(request) -> np.ndarray:
    return np.asarray(SHAPES[request.param](np.random.default_rng(0)), dtype="f4").reshape(-1, 2)


def finite(points: np.ndarray) -> np.ndarray:
    return np.isfinite(points).all(axis=1)


def within(points: np.ndarray, viewport: Viewport) -> np.ndarray:
    """Which points lie in a viewport, in float64."""
    x, y = points.astype("f8").T
    return (
        finite(points) & (x >= viewport.x_low) & (x <= viewport.x_high) & (y >= viewport.y_low) & (y <= viewport.y_high)
    )


def viewports(points: np.ndarray, n: int = 40) -> list[Viewport]:
    """Viewports of every size, half of them with edges that are coordinates of points or the next number to one."""
    found = [Viewport(-np.inf, np.inf, -np.inf, np.inf), Viewport(-1e300, 1e300, -1e300, 1e300)]
    known = points[finite(points)].astype("f8")
    if not len(known):
        return [*found, UNIT]
    rng = np.random.default_rng(1)
    middle, size = np.median(known, axis=0), known.std(axis=0) + np.abs(known).max() * 1e-9
    for number in range(n):
        corners = known[rng.integers(0, len(known), 2)]
        if number % 4 == 1:
            corners = middle + rng.normal(size=(2, 2)) * size
        elif number % 4 == 2:
            corners = np.nextafter(corners, rng.choice([-np.inf, np.inf], (2, 2)))
        elif number % 4 == 3:
            corners[1] = corners[0]  # no more than one place
        (x_low, y_low), (x_high, y_high) = corners.min(axis=0), corners.max(axis=0)
        found.append(Viewport(float(x_low), float(x_high), float(y_low), float(y_high)))
    return found


# -- order ----------------------------------------------------------------------------------------------


def test_each_finite_cell_has_one_place(points):
    sorted_points = PointIndex.of(points)
    np.testing.assert_array_equal(np.sort(sorted_points.order), np.flatnonzero(finite(points)))
    np.testing.assert_array_equal(sorted_points.points, points[sorted_points.order], strict=True)
    assert len(sorted_points) == np.count_nonzero(finite(points))
    assert sorted_points.n_obs == len(points)


def test_boxes_hold_the_points_of_their_blocks(points):
    for each in (PointIndex.of(points), PointIndex.of(points).sample):
        assert len(each.boxes) == -(-len(each) // BLOCK)
        for number, box in enumerate(each.boxes):
            x, y = each.points[number * BLOCK : (number + 1) * BLOCK].astype("f8").T
            assert list(box) == [x.min(), x.max(), y.min(), y.max()]


def test_loops_find_coordinates_one_after_the_other(points):
    """Else they are compiled once more for another layout, when the first picture is waited for."""
    for each in (PointIndex.of(points), PointIndex.of(points).sample):
        assert each.xy.flags.c_contiguous
        assert each.xy.shape == (2, len(each))


def test_neighbours_share_blocks():
    """Without the curve a block would be as wide as the plane, and sorted along one axis as high."""
    boxes = PointIndex.of(np.random.default_rng(0).random((64 * BLOCK, 2)).astype("f4")).boxes
    sides = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    assert sides.mean() < 2 / 8


def test_columns_follow_the_points(points):
    sorted_points = PointIndex.of(points)
    column, table = np.arange(len(points), dtype="i2"), np.arange(3 * len(points)).reshape(-1, 3)
    np.testing.assert_array_equal(sorted_points.gather(column), column[sorted_points.order], strict=True)
    np.testing.assert_array_equal(sorted_points.gather(table), table[sorted_points.order], strict=True)


def test_columns_follow_the_points_in_several_tasks(monkeypatch):
    monkeypatch.setattr(point_index, "TASK", 1000)
    sorted_points = PointIndex.of(np.random.default_rng(0).random((4500, 2)).astype("f4"))
    values = np.random.default_rng(1).random(4500)
    np.testing.assert_array_equal(sorted_points.gather(values), values[sorted_points.order])
    points = np.random.default_rng(0).random((4500, 2)).astype("f4")
    np.testing.assert_array_equal(sorted_points.points, points[sorted_points.order])


def test_the_coarse_plane_has_every_sixteenth_cell(points):
    whole = PointIndex.of(points)
    some = whole.sample
    assert (some.step, some.n_obs, whole.step) == (16, -(-len(points) // 16), 1)
    assert some.bounds == whole.bounds
    np.testing.assert_array_equal(np.sort(some.order), np.flatnonzero(finite(points[::16])))
    np.testing.assert_array_equal(some.points, points[::16][some.order], strict=True)
    at = {cell: place for place, cell in enumerate(whole.order.tolist())}
    places = [at[16 * cell] for cell in some.order.tolist()]
    assert places == sorted(places)  # along the same curve
    column = np.arange(len(points))
    np.testing.assert_array_equal(some.gather(column[::16]), 16 * some.order)
    for viewport in viewports(points, 12):
        assert some.count(viewport) == np.count_nonzero(within(some.points, viewport))


def test_a_plane_may_be_empty():
    empty = PointIndex.empty(7)
    assert (len(empty), empty.n_obs, empty.bounds) == (0, 7, UNIT)
    assert empty.count(UNIT) == 0
    assert empty.nearest(0, 0, (1, 1)) is None
    assert list(empty.inside([(0, 0), (1, 0), (0, 1)])) == [False] * 7
    assert len(empty.sample) == 0


# -- viewports ------------------------------------------------------------------------------------------


def test_a_viewport_counts_its_points_with_those_on_its_edges(points):
    sorted_points = PointIndex.of(points)
    counts = [sorted_points.count(viewport) for viewport in viewports(points)]
    assert counts == [np.count_nonzero(within(points, viewport)) for viewport in viewports(points)]
    assert counts[0] == len(sorted_points)


def test_spans_are_the_blocks_that_a_viewport_touches(points):
    sorted_points = PointIndex.of(points)
    for viewport in viewports(points):
        spans = sorted_points.spans(viewport)
        inside = within(sorted_points.points, viewport)
        touched = np.zeros(len(sorted_points), dtype=bool)
        for start, stop, whole in spans:
            assert start < stop
            assert not touched[start:stop].any()
            touched[start:stop] = True
            assert inside[start:stop].all() or not whole
        assert touched[inside].all()
        assert (np.diff(spans[:, 0]) > 0).all()
        x_low, x_high, y_low, y_high = sorted_points.boxes.T
        apart = (x_low > viewport.x_high) | (x_high < viewport.x_low) | (y_low > viewport.y_high)
        apart |= y_high < viewport.y_low
        np.testing.assert_array_equal(touched, ~np.repeat(apart, BLOCK)[: len(sorted_points)])
        joined = (spans[1:, 0] == spans[:-1, 1]) & (spans[1:, 2] == spans[:-1, 2])
        assert not joined.any()  # what can be one loop is one


def test_a_viewport_that_is_none_touches_nothing():
    sorted_points = PointIndex.of(np.random.default_rng(0).random((3 * BLOCK, 2)).astype("f4"))
    for number in range(4):
        assert len(sorted_points.spans(UNIT._replace(**{UNIT._fields[number]: np.nan}))) == 0


def test_a_small_viewport_touches_few_blocks():
    sorted_points = PointIndex.of(np.random.default_rng(0).random((64 * BLOCK, 2)).astype("f4"))
    spans = sorted_points.spans(Viewport(0.4, 0.45, 0.3, 0.35))
    assert 0 < (spans[:, 1] - spans[:, 0]).sum() <= 4 * BLOCK
    assert sorted_points.spans(UNIT)[:, 2].all()


def test_edges_between_two_float32_numbers_are_not_rounded():
    x = np.float32(0.1)
    above = np.nextafter(x, np.float32(1))
    sorted_points = PointIndex.of(np.array([[x, 0.5], [above, 0.5]], dtype="f4"))
    assert sorted_points.count(Viewport(float(x) + 1e-12, 1, 0, 1)) == 1
    assert sorted_points.count(Viewport(0, float(above) - 1e-12, 0, 1)) == 1
    assert sorted_points.count(Viewport(float(x), float(above), 0.5, 0.5)) == 2


# -- bounds ---------------------------------------------------------------------------------------------


def test_bounds_are_a_viewport_that_shows_all_cells_but_outliers(points):
    bounds = PointIndex.of(points).bounds
    assert np.isfinite(bounds).all()
    assert bounds.x_low < bounds.x_high
    assert bounds.y_low < bounds.y_high
    known = points[finite(points)]
    if (np.abs(known) > 4e3).any() and (np.abs(known) < 10).all(axis=1).any():
        np.testing.assert_array_equal(within(known, bounds), (np.abs(known) < 4e3).all(axis=1))
    else:
        assert within(known, bounds).all()


def test_bounds_are_the_extent_of_the_points():
    points = np.random.default_rng(0).random((50, 2)).astype("f4")
    (x_low, y_low), (x_high, y_high) = points.min(axis=0), points.max(axis=0)
    assert PointIndex.of(points).bounds == Viewport(x_low, x_high, y_low, y_high)


def test_an_axis_on_which_all_cells_are_equal_is_as_long_as_the_other():
    bounds = PointIndex.of(np.array([[0, 5], [4, 5]], dtype="f4")).bounds
    assert bounds == Viewport(0, 4, 3, 7)


@pytest.mark.parametrize("far", [1e38, -1e38, 3e3, -250])
@pytest.mark.parametrize("n_far", [1, 5])
@pytest.mark.parametrize("axis", [0, 1])
def test_outliers_do_not_shrink_all_other_cells(far, n_far, axis):
    points = np.random.default_rng(0).random((2000, 2)).astype("f4")
    near = points[n_far:].copy()
    points[:n_far, axis] = far
    bounds, expected = PointIndex.of(points).bounds, PointIndex.of(near).bounds
    assert bounds[2 * axis : 2 * axis + 2] == expected[2 * axis : 2 * axis + 2]
    assert PointIndex.of(points).count(bounds) == 2000 - n_far


def test_what_is_far_is_judged_from_a_sample_of_many_cells(monkeypatch):
    monkeypatch.setattr(point_index, "SAMPLED", 1000)
    points = np.random.default_rng(0).random((5000, 2)).astype("f4")
    points[:2] = [[1e30, 0.5], [-1e20, 0.5]]
    bounds = PointIndex.of(points).bounds
    assert (bounds.x_low, bounds.x_high) == (points[2:, 0].min(), points[2:, 0].max())
    points[::5] = np.nan  # all that would be looked at
    assert within(points[finite(points)], PointIndex.of(points).bounds).all()


@pytest.mark.parametrize("spread", [0.5, 3, OUTLYING - 1])
def test_an_island_that_leaves_the_others_room_is_in_view(spread):
    points = np.random.default_rng(0).random((2000, 2)).astype("f4")
    points[:3] = 1 + spread * 0.9
    assert PointIndex.of(points).count(PointIndex.of(points).bounds) == 2000


# -- the nearest cell -----------------------------------------------------------------------------------


@pytest.mark.parametrize("some", [False, True], ids=["all", "allowed"])
def test_the_nearest_point_is_the_one_that_every_distance_says(points, some):
    sorted_points = PointIndex.of(points)
    where, n = sorted_points.points.astype("f8"), len(sorted_points)
    rng = np.random.default_rng(2)
    allowed = rng.random(n) < 0.3 if some else None
    (x0, x1, y0, y1), n_found = sorted_points.bounds, 0
    for _ in range(60):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        reach = (x1 - x0) * 10 ** rng.uniform(-3, 0), (y1 - y0) * 10 ** rng.uniform(-3, 0)
        found = sorted_points.nearest(x, y, reach, allowed)
        distance = ((where[:, 0] - x) / reach[0]) ** 2 + ((where[:, 1] - y) / reach[1]) ** 2
        if some:
            distance[~allowed] = np.inf
        if not n or distance.min() >= 1:
            assert found is None
        else:
            assert found == np.argmin(distance)  # the first of several as near
            n_found += 1
    assert n_found > (2 if n > 1000 else -1)


def test_a_cell_beyond_the_reach_is_not_found():
    sorted_points = PointIndex.of(np.array([[0, 0], [3, 0]], dtype="f4"))
    assert sorted_points.nearest(1.0, 0.0, (0.9, 9)) is None
    assert sorted_points.order[sorted_points.nearest(1.0, 0.0, (1.1, 9))] == 0
    assert sorted_points.order[sorted_points.nearest(1.0, 0.0, (5, 5), sorted_points.order == 1)] == 1
    assert sorted_points.nearest(np.nan, 0.0, (5, 5)) is None


# -- lasso ----------------------------------------------------------------------------------------------


def star(rng: np.random.Generator, n: int) -> np.ndarray:
    """A simple polygon: its vertices go once around the origin."""
    angle = (np.arange(n) + 0.4 * rng.random(n)) * 2 * np.pi / n
    radius = 0.5 + 3 * rng.random(n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def test_a_lasso_finds_what_a_test_of_each_cell_finds(points):
    sorted_points = PointIndex.of(points)
    known = points[finite(points)].astype("f8")
    rng = np.random.default_rng(3)
    (x0, x1, y0, y1) = sorted_points.bounds
    middle, size = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) / 4
    for n_vertices in (3, 4, 30, 200):
        polygons = [middle + size * star(rng, n_vertices), middle + size * rng.normal(size=(n_vertices, 2))]
        if len(known):
            polygons.append(known[rng.integers(0, len(known), n_vertices)])  # edges through points
        for polygon in polygons:
            found = sorted_points.inside(polygon)
            np.testing.assert_array_equal(found, points_in_polygon(points, polygon), strict=True)


@pytest.mark.parametrize("shape", ["clusters", "blocks", "gaps"])
def test_a_lasso_finds_what_shapely_and_matplotlib_find(shape):
    rng = np.random.default_rng(4)
    points = SHAPES[shape](rng).astype("f4")
    sorted_points = PointIndex.of(points)
    known = finite(points)
    for n_vertices in (3, 17, 300):
        polygon = np.nanmedian(points[known], axis=0) + points[known].std(axis=0) * star(rng, n_vertices)
        found = sorted_points.inside(polygon)
        assert found.any()
        assert not found[~known].any()
        np.testing.assert_array_equal(
            found[known], shapely.contains_xy(shapely.Polygon(polygon), points[known].astype("f8"))
        )
        closed = matplotlib.path.Path(np.vstack([polygon, polygon[:1]]), closed=True)
        np.testing.assert_array_equal(found[known], closed.contains_points(points[known].astype("f8")))


@pytest.mark.parametrize("polygon", [[], [(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 0), (2, 0)]])
def test_a_polygon_without_area_holds_no_cell(polygon):
    mask = PointIndex.of(np.random.default_rng(0).random((100, 2)).astype("f4")).inside(polygon)
    assert mask.shape == (100,)
    assert not mask.any()


def test_what_is_no_polygon_is_refused():
    with pytest.raises(ValueError, match=r"A polygon is a list of finite \(x, y\) pairs; found shape \(3, 2\)"):
        PointIndex.of(np.zeros((5, 2), dtype="f4")).inside([(0, 0), (1, np.nan), (1, 1)])


def test_a_lasso_tells_its_progress_and_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(point_index, "TASK", 1000)
    points = np.random.default_rng(0).random((8 * BLOCK, 2)).astype("f4")
    sorted_points = PointIndex.of(points)
    polygon = [(0.1, 0.1), (0.9, 0.2), (0.5, 0.9)]
    told: list[float] = []
    found = sorted_points.inside(polygon, progress=told.append)
    np.testing.assert_array_equal(found, points_in_polygon(points, polygon))
    assert len(told) > 4
    assert told == pytest.approx(np.arange(1, len(told) + 1) / len(told))

    def stop(_fraction: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        sorted_points.inside(polygon, progress=stop)


def test_a_lasso_looks_at_the_blocks_near_it_alone(monkeypatch):
    monkeypatch.setattr(point_index, "TASK", BLOCK)
    monkeypatch.setattr(point_index, "PASSED_OVER", 0)
    sorted_points = PointIndex.of(np.random.default_rng(0).random((64 * BLOCK, 2)).astype("f4"))
    told: list[float] = []
    polygon = [(0.4, 0.3), (0.45, 0.3), (0.42, 0.35)]
    found = sorted_points.inside(polygon, progress=told.append)
    assert 1 <= len(told) <= 4
    assert found.any()
    np.testing.assert_array_equal(
        found, points_in_polygon(sorted_points.points, polygon)[np.argsort(sorted_points.order)]
    )


@pytest.mark.parametrize("passed_over", [0, BLOCK, 64 * BLOCK])
def test_a_lasso_around_distant_cells_finds_all_of_them(monkeypatch, passed_over):
    monkeypatch.setattr(point_index, "PASSED_OVER", passed_over)
    points = np.random.default_rng(0).random((64 * BLOCK, 2)).astype("f4")
    polygon = [(0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.9, 0.95), (0.9, 0.1), (0.05, 0.1)]
    np.testing.assert_array_equal(PointIndex.of(points).inside(polygon), points_in_polygon(points, polygon))


def test_tasks_of_a_lasso_are_cut_and_joined(monkeypatch):
    monkeypatch.setattr(point_index, "TASK", 100)
    monkeypatch.setattr(point_index, "PASSED_OVER", 10)
    spans = np.array([[5, 20, 1], [20, 30, 0], [40, 50, 0], [61, 70, 1], [200, 430, 0]])
    expected = [slice(5, 50), slice(61, 70), slice(200, 300), slice(300, 400), slice(400, 430)]
    assert point_index._tasks(spans) == expected
    assert point_index._tasks(spans[:0]) == []
