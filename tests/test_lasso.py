"""Points in polygons, against matplotlib (any polygon) and shapely (simple ones)."""

from __future__ import annotations

import matplotlib.path
import numpy as np
import pytest
import shapely

from cellasso.lasso import points_in_polygon

SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]


def random_points(rng, n=3000, dtype="f4"):
    return rng.normal(scale=2, size=(n, 2)).astype(dtype)


def star(rng, n):
    """A simple polygon: its vertices go once around the origin."""
    angle = (np.arange(n) + 0.4 * rng.random(n)) * 2 * np.pi / n
    radius = 0.5 + 3 * rng.random(n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def by_matplotlib(points, polygon):
    closed = np.vstack([polygon, polygon[:1]])
    return matplotlib.path.Path(closed, closed=True).contains_points(points.astype("f8"))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_vertices", [3, 4, 17, 400])
def test_simple_polygons_hold_what_shapely_and_matplotlib_say(n_vertices, dtype):
    rng = np.random.default_rng(n_vertices)
    for _ in range(5):
        points, polygon = random_points(rng, dtype=dtype), star(rng, n_vertices)
        found = points_in_polygon(points, polygon)
        shape = shapely.Polygon(polygon)
        assert shape.is_valid
        np.testing.assert_array_equal(found, shapely.contains_xy(shape, points.astype("f8")), strict=True)
        np.testing.assert_array_equal(found, by_matplotlib(points, polygon))
        assert found.any()


@pytest.mark.parametrize("n_vertices", [4, 5, 30, 200])
def test_polygons_that_cross_themselves_follow_the_even_odd_rule(n_vertices):
    rng = np.random.default_rng(n_vertices)
    for _ in range(5):
        points, polygon = random_points(rng), rng.normal(scale=2, size=(n_vertices, 2))
        found = points_in_polygon(points, polygon)
        np.testing.assert_array_equal(found, by_matplotlib(points, polygon))
        np.testing.assert_array_equal(found, points_in_polygon(points, polygon[::-1]))


def test_a_polygon_closed_by_hand_is_the_same():
    points = random_points(np.random.default_rng(0))
    closed = [*SQUARE, SQUARE[0]]
    np.testing.assert_array_equal(points_in_polygon(points, closed), points_in_polygon(points, SQUARE))


def test_what_is_not_finite_is_never_inside():
    points = np.array([[np.nan, 0.5], [0.5, np.nan], [np.inf, 0.5], [0.5, -np.inf], [0.5, 0.5]], dtype="f4")
    assert list(points_in_polygon(points, SQUARE)) == [False] * 4 + [True]


def test_neighbours_share_each_point_of_their_border_once():
    grid = np.stack(np.meshgrid(np.arange(0, 2.01, 0.25), np.arange(0, 1, 0.25)), axis=-1).reshape(-1, 2)
    left = points_in_polygon(grid, [(0, 0), (1, 0), (1, 1), (0, 1)])
    right = points_in_polygon(grid, [(1, 0), (2, 0), (2, 1), (1, 1)])
    both = points_in_polygon(grid, [(0, 0), (2, 0), (2, 1), (0, 1)])
    assert not (left & right).any()
    np.testing.assert_array_equal(left | right, both)


@pytest.mark.parametrize(
    "polygon",
    [[], [(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 0), (2, 0)], [(1, 1)] * 5],
    ids=["nothing", "point", "segment", "diagonal", "horizontal", "one_point_five_times"],
)
def test_a_polygon_without_area_encloses_nothing(polygon):
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    assert not points_in_polygon(grid, polygon).any()


def test_no_points_are_no_answers():
    assert points_in_polygon(np.empty((0, 2)), SQUARE).shape == (0,)


@pytest.mark.parametrize(
    "polygon",
    [[(0, 0), (1, np.nan), (1, 1)], [(0, 0), (1, np.inf), (1, 1)], [(0, 0, 0)] * 3, [0.0, 1.0, 2.0]],
    ids=["nan", "infinite", "3d", "flat"],
)
def test_what_is_no_polygon_is_refused(polygon):
    with pytest.raises(ValueError, match=r"A polygon is a list of finite \(x, y\) pairs; found shape"):
        points_in_polygon(np.zeros((1, 2)), polygon)


def test_coordinates_are_compared_as_they_are_stored():
    # 0.1 as float32 lies above 0.1 as float64
    edge = np.array([[0.1, 0.5]])
    low = [(-1, 0), (0.1, 0), (0.1, 1), (-1, 1)]
    assert not points_in_polygon(edge.astype("f4"), low)[0]
    assert points_in_polygon(edge.astype("f4"), [(0.1, 0), (1, 0), (1, 1), (0.1, 1)])[0]
