"""Names in a picture: medians as NumPy finds them, boxes apart from one another as shapely sees them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from shapely import STRtree, box

from cellasso_app.render.labels import medians, place_labels

pytestmark = pytest.mark.loops

WIDTH, HEIGHT = 800.0, 700.0


def nanmedians(points: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    points = points[np.isfinite(points).all(axis=1)], codes[np.isfinite(points).all(axis=1)]
    groups = [points[0][points[1] == code] for code in range(n)]
    return np.array([np.nanmedian(g, axis=0) if len(g) else [np.nan, np.nan] for g in groups], dtype=np.float32)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64"])
@pytest.mark.parametrize("n_obs", [0, 1, 2, 7, 5_000])
def test_medians_are_those_of_numpy(n_obs, dtype):
    rng = np.random.default_rng(n_obs)
    points = rng.normal(size=(n_obs, 2)).astype(np.float32)
    points[rng.random((n_obs, 2)) < 0.05] = np.nan
    points[rng.random((n_obs, 2)) < 0.05] = np.inf
    codes = rng.integers(-1, 12, n_obs).astype(dtype)
    codes[codes == 4] = 5  # an empty category
    found = medians(np.ascontiguousarray(points.T), codes, 12)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, nanmedians(points, codes, 12))


def test_medians_with_many_equal_points():
    rng = np.random.default_rng(5)
    points = rng.integers(0, 4, (4_000, 2)).astype(np.float32)
    codes = rng.integers(0, 3, len(points)).astype(np.int16)
    np.testing.assert_array_equal(medians(np.ascontiguousarray(points.T), codes, 3), nanmedians(points, codes, 3))


def test_medians_of_some_cells_are_those_of_one_in_so_and_so_many_of_each_category():
    rng = np.random.default_rng(6)
    points, codes = rng.normal(size=(3_000, 2)).astype(np.float32), np.repeat([0, 1, 2], [2_500, 499, 1])
    rng.shuffle(codes)
    points[::7] = np.nan
    finite = np.isfinite(points[:, 0])
    expected = []
    for code in range(3):
        those = points[(codes == code) & finite]
        expected.append(np.median(those[:: max(len(those) // 400, 1)], axis=0))
    found = medians(np.ascontiguousarray(points.T), codes.astype(np.uint8), 3, most=400)
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))


def test_medians_do_not_change_their_points_and_pass_over_foreign_codes():
    points = np.array([[3, 1], [1, 2], [2, 9], [5, 5]], dtype=np.float32)
    before = points.copy()
    np.testing.assert_array_equal(
        medians(np.ascontiguousarray(points.T), np.array([0, 0, 0, 7], dtype=np.int16), 2)[0], [2, 2]
    )
    np.testing.assert_array_equal(points, before)


def test_the_median_of_two_huge_coordinates_is_finite():
    points = np.array([[3e38, -3e38], [3e38, -3e38]], dtype=np.float32)
    np.testing.assert_array_equal(medians(np.ascontiguousarray(points.T), np.zeros(2, dtype=np.int16), 1), points[:1])


def boxes(middles: np.ndarray, widths: np.ndarray, heights: np.ndarray) -> np.ndarray:
    half = np.stack([widths, heights], axis=1) / 2
    kept = ~np.isnan(middles[:, 0])
    return box(*(middles - half)[kept].T, *(middles + half)[kept].T)


def labels(seed: int, n: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    anchors = np.clip(rng.normal([WIDTH / 2, HEIGHT / 2], spread, (n, 2)), 0, [WIDTH, HEIGHT])
    return anchors, rng.uniform(20, 120, n), rng.uniform(10, 16, n)


@pytest.mark.parametrize(("n", "spread"), [(2, 1), (30, 40), (30, 250), (120, 100), (255, 250), (255, 0)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_boxes_lie_apart_inside_of_the_canvas_with_all_of_them_there(seed, n, spread):
    anchors, widths, heights = labels(seed, n, spread)
    middles = place_labels(anchors, widths, heights, WIDTH, HEIGHT, gap=2)
    assert not np.isnan(middles).any()
    shapes = boxes(middles, widths, heights)
    assert box(-1e-6, -1e-6, WIDTH + 1e-6, HEIGHT + 1e-6).contains(shapes).all()
    grown = boxes(middles, widths + 2 - 1e-6, heights + 2 - 1e-6)  # the gap is kept free, too
    first, second = STRtree(grown).query(grown, predicate="intersects")
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(middles, place_labels(anchors, widths, heights, WIDTH, HEIGHT, gap=2))


def test_boxes_that_do_not_meet_stay_at_their_anchors():
    anchors = np.array([[100, 100], [300, 100], [300, 130]], dtype=float)
    np.testing.assert_array_equal(place_labels(anchors, [90, 90, 90], [14, 14, 14], WIDTH, HEIGHT), anchors)


@pytest.mark.parametrize("seed", range(8))
def test_each_box_is_as_near_to_its_anchor_as_those_before_it_leave(seed):
    """The oracle: all points of a grid, on which all edges lie, at which the box meets no box before it."""
    anchors, widths, heights = (2 * np.rint(numbers / 2) for numbers in labels(seed, 25, 30))
    middles = place_labels(anchors, widths, heights, WIDTH, HEIGHT, gap=0)
    offsets = np.stack(np.meshgrid(np.arange(-150, 151), np.arange(-150, 151)), axis=-1).reshape(-1, 2)
    offsets = offsets[np.argsort(np.hypot(*offsets.T), kind="stable")]
    for i in range(len(anchors)):
        at = anchors[i] + offsets
        free = np.ones(len(at), dtype=bool)
        for k in range(i):
            apart = np.abs(at - middles[k]) >= np.array([widths[i] + widths[k], heights[i] + heights[k]]) / 2
            free &= apart.any(axis=1)
        distance = np.hypot(*(middles[i] - anchors[i]))
        assert distance == pytest.approx(np.hypot(*offsets[np.argmax(free)]), abs=2e-3)


def test_the_heaviest_keep_their_anchors_and_the_lightest_go():
    anchors = np.full((40, 2), 50.0)
    weights = np.random.default_rng(2).permutation(40)
    middles = place_labels(anchors, np.full(40, 60.0), np.full(40, 14.0), 100, 100, weights=weights, gap=1)
    np.testing.assert_array_equal(middles[weights.argmax()], [50, 50])
    kept = ~np.isnan(middles[:, 0])
    assert 1 < kept.sum() < 40
    assert weights[kept].min() > weights[~kept].max()


def test_no_box_is_farther_than_the_reach():
    anchors, widths, heights = labels(1, 100, 20)
    distances = np.hypot(*(place_labels(anchors, widths, heights, WIDTH, HEIGHT, reach=40) - anchors).T)
    assert np.nanmax(distances) <= 40
    assert np.isnan(distances).any()
    assert (distances > 20).any()


@pytest.mark.parametrize("seed", range(10))
def test_a_small_pan_moves_all_boxes_alike(seed):
    anchors, widths, heights = labels(seed, 60, 70)
    anchors[3] = anchors[2]  # places as near on either side
    anchors[5] = anchors[4] + [7, 0]
    middles = place_labels(anchors, widths, heights, WIDTH, HEIGHT)
    for shift in ((0.1, 0.3), (-1 / 3, 2 / 7), (11.7, -5.1), (-20.01, 3.3)):
        moved = place_labels(anchors + shift, widths, heights, WIDTH, HEIGHT)
        np.testing.assert_allclose(moved - shift, middles, atol=1e-6)


def test_of_two_places_as_near_rounding_never_chooses():
    rng = np.random.default_rng(0)
    anchors = np.full((9, 2), 350.0)
    shifts = rng.uniform(-100, 100, (200, 1, 2))
    moved = [place_labels(anchors + by, np.full(9, 50.1), np.full(9, 13.3), WIDTH, HEIGHT) - by for by in shifts]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], (200, 9, 2)), atol=1e-6)


def test_boxes_at_the_edge_slide_along_as_the_view_moves():
    anchors = np.array([[5, 300], [795, 300], [400, 3], [400, 697]], dtype=float)
    size = [80] * 4, [14] * 4
    middles = place_labels(anchors, *size, WIDTH, HEIGHT)
    np.testing.assert_array_equal(middles, [[40, 300], [760, 300], [400, 7], [400, 693]])
    for axis, sign in itertools.product((0, 1), (-1, 1)):
        shift = np.zeros(2)
        shift[axis] = sign * 2.0
        assert np.abs(place_labels(anchors + shift, *size, WIDTH, HEIGHT) - middles).max() <= 2


@pytest.mark.parametrize(
    ("anchor", "size"),
    [((np.nan, 5), (9, 9)), ((-1, 5), (9, 9)), ((5, 701), (9, 9)), ((5, 5), (801, 9)), ((5, 5), (9, np.nan))],
    ids=["nan", "left of the canvas", "above it", "too wide", "no size"],
)
def test_what_has_no_place_is_left_out_and_takes_none(anchor, size):
    middles = place_labels([anchor, (5, 5)], [size[0], 8], [size[1], 8], WIDTH, HEIGHT)
    assert np.isnan(middles[0]).all()
    np.testing.assert_array_equal(middles[1], [5, 5])


def test_no_labels_at_all():
    assert place_labels(np.empty((0, 2)), [], [], WIDTH, HEIGHT).shape == (0, 2)
