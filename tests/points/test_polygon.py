"""Points in polygons, against matplotlib (any polygon) and shapely (simple ones)."""

from __future__ import annotations

from fractions import Fraction

import matplotlib.path
import numpy as np
import pytest
import shapely

from cellasso.core.errors import Cancelled
from cellasso.points import polygon as lasso
from cellasso.points.polygon import points_in_polygon, rasterise

pytestmark = pytest.mark.loops

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


# -- the grid: whatever it is laid over, the answer is that of a test against every edge ---------------------


def by_every_edge(points, polygon):
    """The rule itself, in NumPy: half-open edges, crossings to the right in float64, inside the polygon's box."""
    vertices = np.asarray(polygon, dtype="f8")
    x, y = points.astype("f8").T
    odd = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(np.roll(vertices, 1, axis=0), vertices, strict=True):
        spans = (y0 > y) != (y1 > y)
        with np.errstate(all="ignore"):
            odd ^= spans & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return odd & (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])


def polygons(rng, points):
    """Polygons of every temper over some points, among them those whose edges run exactly through them."""
    center, size = points.mean(axis=0, dtype="f8"), float(points.std(dtype="f8")) or 1.0
    m = int(rng.choice([3, 4, 9, 60, 400]))
    chosen = points[rng.integers(0, len(points), m)].astype("f8")
    yield center + size * rng.normal(size=(m, 2))
    yield center + size * star(rng, m)
    yield center + size * np.cumsum(rng.normal(size=(m, 2)), axis=0) / np.sqrt(m)  # a scribble
    yield chosen
    yield np.nextafter(chosen, rng.choice([-np.inf, np.inf], size=(m, 2)))
    yield np.repeat(chosen, 2, axis=0)  # vertices that stand twice
    yield np.stack([chosen[:, 0], center[1] + size * rng.normal(size=m)], axis=1)
    yield np.stack([np.repeat(chosen[:, 0], 2), np.roll(np.repeat(chosen[:, 1], 2), 1)], axis=1)  # right angles


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("offset", [0, 1e6, -1e15], ids=["near", "far", "very_far"])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_grid_changes_no_answer(size, offset, dtype):
    rng = np.random.default_rng(5)
    lattice = rng.integers(0, 12, size=(2000, 2)).astype(dtype)
    cloud = (size * rng.normal(size=(20_000, 2)) + offset).astype(dtype)
    for points in (cloud, lattice, cloud[:300]):
        for polygon in polygons(rng, points):
            found = points_in_polygon(points, polygon)
            np.testing.assert_array_equal(found, by_every_edge(points, polygon))


@pytest.mark.parametrize("dtype", ["f2", "i4", "u1", ">f4", ">f8"])
def test_points_of_any_number_type_are_compared_in_float64(dtype):
    points = np.random.default_rng(2).integers(0, 9, size=(4000, 2)).astype(dtype)
    polygon = [(1, 1), (7.5, 2), (4, 8), (4, 3)]
    np.testing.assert_array_equal(points_in_polygon(points, polygon), by_every_edge(points, polygon))
    strided = np.repeat(np.repeat(points, 2, axis=0), 2, axis=1)[::2, ::2]
    np.testing.assert_array_equal(points_in_polygon(strided, polygon), by_every_edge(points, polygon))


@pytest.mark.parametrize(
    "polygon",
    [
        [(-1e300, -1e300), (1e300, 0), (0, 1e300)],
        [(-1.7e308, -1.7e308), (1.7e308, -1.7e308), (1.7e308, 1.7e308), (-1.7e308, 1.7e308)],
        [(0, 0), (1e-320, 0), (0, 1e-320)],
        [(0, 0), (1e-120, 1e-120), (0, 1)],
        [(0, 0), (1e200, 1), (0, 2)],
        [(-1e150, -1e150), (1e150, -1e150), (0, 1e150)],
    ],
    ids=["huge", "all there is", "denormal", "narrow", "long", "wide"],
)
def test_polygons_of_extreme_sizes_are_exact_too(polygon):
    normal, extent = np.random.default_rng(0).normal(size=(300, 2)), np.abs(polygon).max(axis=0)
    points = np.concatenate([scale * normal for scale in (1e299, 1, 1e150)] + [extent * normal.clip(-1, 1)])
    np.testing.assert_array_equal(points_in_polygon(points, polygon), by_fractions(points, polygon))


@pytest.mark.parametrize("far", [1e10, 1e160, 1e300])
def test_a_square_around_all_cells_holds_all_cells(far):
    points = random_points(np.random.default_rng(1))
    assert points_in_polygon(points, (2 * np.array(SQUARE) - 1) * far).all()


def by_fractions(points, polygon):
    """Even-odd with numbers that have no limits."""
    corners = [(Fraction(float(x)), Fraction(float(y))) for x, y in polygon]
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))

    def is_inside(x, y):
        spanning = [(a, b) for a, b in edges if (a[1] > y) != (b[1] > y)]
        return sum(x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0] for a, b in spanning) % 2 == 1

    return np.array([is_inside(Fraction(x), Fraction(y)) for x, y in points.tolist()])


def test_points_are_tested_against_the_edges_near_them_alone():
    """The cost of a lasso: edges looked at, over all points. Against every edge it would be 20,000 a point."""
    rng = np.random.default_rng(3)
    angle = np.arange(20_000) * 2 * np.pi / 20_000
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = rng.uniform(-1, 1, size=(100_000, 2))
    grid = rasterise(ring, len(points))
    side = round(len(grid.state) ** 0.5)
    column, row = np.minimum(((points - grid.low) * grid.scale).astype(int), side - 1).T
    looked_at = np.diff(grid.starts)[row * side + column]
    assert looked_at.mean() < 1
    assert looked_at.max() < 200
    assert len(grid.edges) < 100_000


def test_progress_is_told_and_cancels_a_lasso(monkeypatch):
    monkeypatch.setattr(lasso, "BLOCK", 1000)
    points = random_points(np.random.default_rng(0), 4500)
    told: list[float] = []
    found = points_in_polygon(points, SQUARE, progress=told.append)
    assert told == pytest.approx([1 / 4.5, 2 / 4.5, 3 / 4.5, 4 / 4.5, 1])
    np.testing.assert_array_equal(found, by_every_edge(points, SQUARE))

    def stop(_fraction: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        points_in_polygon(points, SQUARE, progress=stop)
