"""Pictures of cells, against datashader's own aggregates: which pixels, which colours, what lies on top."""

from __future__ import annotations

import datashader as ds
import numpy as np
import pandas as pd
import pytest

from cellasso_app import raster
from cellasso_app.coloring import MISSING_COLOR, Categories, Values, palette
from cellasso_app.raster import COLOR_MAPS, FADED, PLAIN_COLOR, Canvas, Cells, Viewport, draw

CANVAS = Canvas(40, 30)
UNIT = Viewport(0.0, 1.0, 0.0, 1.0)


@pytest.fixture
def one_pixel(monkeypatch):
    """Every cell is one pixel, as in a crowd."""
    monkeypatch.setattr(raster, "DENSE", 0)


def scatter(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 2)).astype("f4")


def categories(codes, n: int, colors: tuple[str, ...] | None = None) -> Categories:
    codes = np.asarray(codes, dtype=np.int16)
    counts = np.bincount(codes[codes >= 0], minlength=n)
    labels = tuple(map(str, range(n)))
    return Categories("c", codes, labels, colors or palette(n), counts, int((codes < 0).sum()))


def numbers(values, low: float = 0.0, high: float = 1.0) -> Values:
    values = np.asarray(values, dtype="f4")
    return Values("v", values, low, high, clipped=False, n_missing=int(np.isnan(values).sum()))


def rgba(picture: np.ndarray) -> np.ndarray:
    """The bytes as a browser reads them, `(height, width, 4)`."""
    assert picture.dtype == np.uint32
    return picture[..., None].view(np.uint8)


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def aggregate(points: np.ndarray, viewport: Viewport, what, canvas: Canvas = CANVAS, **columns) -> np.ndarray:
    """What datashader makes of the points, asked directly."""
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], **columns})
    frame = ds.Canvas(canvas.width, canvas.height, (viewport.x_low, viewport.x_high), (viewport.y_low, viewport.y_high))
    return frame.points(table, "x", "y", what).to_numpy()


def at(points, coloring=None, *, viewport: Viewport = UNIT, canvas: Canvas = CANVAS, selected=None) -> np.ndarray:
    return rgba(draw(Cells(np.array(points, dtype="f4").reshape(-1, 2), coloring), viewport, canvas, selected))


# -- which pixels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", [UNIT, Viewport(0.2, 0.3, 0.5, 0.9), Viewport(-3, 2, 0.99, 7)], ids=str)
@pytest.mark.parametrize("kind", ["plain", "categories", "values"])
def test_pixels_with_cells_are_datashaders(one_pixel, viewport, kind):
    points = scatter(3000)
    rng = np.random.default_rng(1)
    coloring = {
        "plain": None,
        "categories": categories(rng.integers(-1, 4, 3000), 4),
        "values": numbers(np.where(rng.random(3000) < 0.5, np.nan, rng.random(3000))),
    }[kind]
    count = aggregate(points, viewport, ds.count())
    drawn = at(points, coloring, viewport=viewport)
    assert drawn.shape == (30, 40, 4)
    np.testing.assert_array_equal(drawn[..., 3] > 0, count > 0)
    assert count.sum() == Cells(points, coloring).visible(viewport)


def test_crowded_pixels_are_more_opaque_than_lone_ones(one_pixel):
    points = np.concatenate([scatter(40), np.full((500, 2), 0.5, dtype="f4")])
    count = aggregate(points, UNIT, ds.count())
    alpha = at(points)[..., 3].astype(int)
    assert alpha[count == 1].min() == alpha[count == 1].max() == round(0.45 * 255)
    assert alpha[count.argmax() // 40, count.argmax() % 40] == 255
    order = np.argsort(count[count > 0], kind="stable")
    assert (np.diff(alpha[count > 0][order]) >= 0).all()


def test_the_first_row_is_the_lowest():
    low = at([[0.1, 0.05]])[..., 3].astype(int)
    assert low[:5].any()
    assert not low[10:].any()
    assert low[:, :10].any()
    assert not low[:, 15:].any()


def test_coordinates_that_are_not_finite_are_never_drawn_and_leave_the_bounds_alone():
    points = np.concatenate([scatter(200), np.full((6, 2), 0.5, dtype="f4")])
    points[200:] = [[np.nan, 0.5], [0.5, np.nan], [np.inf, 0.5], [0.5, -np.inf], [np.nan, np.nan], [-np.inf, np.inf]]
    rng = np.random.default_rng(2)
    codes, selected = rng.integers(0, 3, 206), rng.random(206) < 0.5
    whole, finite = Cells(points, categories(codes, 3)), Cells(points[:200], categories(codes[:200], 3))
    assert whole.bounds() == finite.bounds()
    assert whole.visible(whole.bounds()) == 200
    assert list(np.flatnonzero(~whole.drawable)) == list(range(200, 206))
    view = whole.bounds()
    np.testing.assert_array_equal(draw(whole, view, CANVAS), draw(finite, view, CANVAS))
    np.testing.assert_array_equal(
        draw(whole, view, CANVAS, selected), draw(finite, view, CANVAS, selected[:200]), strict=True
    )


def test_only_coordinates_that_are_not_finite_draw_nothing():
    cells = Cells(np.full((3, 2), np.nan, dtype="f4"), None)
    assert cells.bounds() == UNIT
    assert not draw(cells, cells.bounds(), CANVAS).any()


@pytest.mark.parametrize(
    "points",
    [
        [[3, 4]],
        [[3, 4]] * 50,
        [[1e9, -1e9]] * 3,
        [[1e17, 0]] * 3,
        [[0, 0], [0, 1], [0, 2]],
        [[0, 5], [1, 5]],
        [[1e9, 0], [1e9 + 64, 0]],
        [[-3e38, 0], [3e38, 0], [0, 3e38]],
        [[0, 0], [1e-40, 1e-40]],
    ],
    ids=["one", "equal", "equal_far", "equal_very_far", "column", "row", "row_far", "float32_end", "denormal"],
)
@pytest.mark.parametrize("selected", [False, True], ids=["all", "selected"])
def test_any_finite_points_have_bounds_that_show_all_of_them(points, selected):
    points = np.array(points, dtype="f4")
    cells = Cells(points, None)
    view = cells.bounds()
    assert view.x_low < view.x_high
    assert view.y_low < view.y_high
    assert cells.visible(view) == len(points)
    drawn = rgba(draw(cells, view, CANVAS, np.ones(len(points), dtype=bool) if selected else None))
    assert drawn[..., 3].max() == 255


def test_bounds_are_the_extent_of_the_points():
    points = scatter(50)
    (x_low, y_low), (x_high, y_high) = points.min(axis=0), points.max(axis=0)
    assert Cells(points, None).bounds() == Viewport(x_low, x_high, y_low, y_high)


@pytest.mark.parametrize("far", [1e38, -1e38, 3e3, -250])
@pytest.mark.parametrize("n_far", [1, 5])
def test_outliers_do_not_shrink_all_other_cells(far, n_far):
    points = scatter(2000)
    near = points.copy()
    points[:n_far, 0] = far
    view = Cells(points, None).bounds()
    assert view == Cells(near[n_far:], None).bounds()
    assert Cells(points, None).visible(view) == 2000 - n_far


@pytest.mark.parametrize("spread", [0.5, 3, 19])
def test_an_island_that_leaves_the_others_room_is_in_view(spread):
    points = scatter(2000)
    points[:3] = 1 + spread * 0.9
    assert Cells(points, None).visible(Cells(points, None).bounds()) == 2000


@pytest.mark.parametrize("coloring", [None, categories([0, 1], 2), numbers([0, 1])], ids=["plain", "names", "numbers"])
@pytest.mark.parametrize("selected", [None, [True, False], [False, False]], ids=["all", "one", "no_cell"])
def test_a_view_without_cells_is_transparent(coloring, selected):
    mask = np.array(selected) if selected is not None else None
    away = Viewport(5, 6, 5, 6)
    assert Cells(np.eye(2, dtype="f4"), coloring).visible(away) == 0
    assert not at([[0, 0], [1, 1]], coloring, viewport=away, selected=mask).any()


def test_a_file_without_cells_is_transparent(one_pixel):
    assert not at([], categories([], 0)).any()
    assert not at([], numbers([]), selected=np.empty(0, dtype=bool)).any()


def test_a_viewport_beyond_float32_still_shows_the_cells():
    huge = Viewport(-4e38, 4e38, -1e39, 1e39)
    assert Cells(scatter(5), None).visible(huge) == 5
    assert at(scatter(5), viewport=huge)[..., 3].max() == 255


def test_cells_at_the_edge_are_counted_as_they_are_drawn(one_pixel):
    """The edge lies between two float32 numbers: rounded to one, a cell would be counted that is not drawn."""
    x = np.float32(0.1)
    edge = Viewport((float(x) + float(np.nextafter(x, np.float32(1)))) / 2, 1.0, 0.0, 1.0)
    points = np.array([[x, 0.5], [np.nextafter(x, np.float32(1)), 0.5]])
    assert Cells(points.astype("f4"), None).visible(edge) == 1
    assert aggregate(points, edge, ds.count()).sum() == 1


# -- size of the dots ---------------------------------------------------------------------------------


def area(picture: np.ndarray) -> float:
    return picture[..., 3].sum() / 255


def test_few_cells_are_large_dots_more_cells_smaller_ones_and_a_crowd_pixels(monkeypatch):
    canvas = Canvas(200, 200)
    lone = area(at([[0.5, 0.5]], canvas=canvas))
    assert lone == pytest.approx(np.pi * raster.MAX_RADIUS**2, rel=0.1)
    corner = np.concatenate([[[0.9, 0.9]], 0.1 * scatter(5000)])
    in_company = area(at(corner, canvas=canvas)[100:, 100:])
    assert in_company == pytest.approx(np.pi * raster.MIN_RADIUS**2, rel=0.15)
    monkeypatch.setattr(raster, "DENSE", 5001)
    crowd = at(corner, canvas=canvas)[100:, 100:, 3]
    assert np.count_nonzero(crowd) == 1


def test_only_visible_cells_decide_the_size():
    canvas = Canvas(200, 200)
    points = np.concatenate([[[0.9, 0.9]], 0.1 * scatter(5000)])
    zoomed = at(points, viewport=Viewport(0.8, 1, 0.8, 1), canvas=canvas)
    assert area(zoomed) == pytest.approx(np.pi * raster.MAX_RADIUS**2, rel=0.1)


@pytest.mark.parametrize("n", [1, 5000])
def test_a_dot_is_as_large_on_a_screen_of_more_pixels(n):
    points = np.concatenate([[[0.9, 0.9]], 0.1 * scatter(n - 1)])
    one = area(at(points, canvas=Canvas(100, 100))[60:, 60:])
    two = area(at(points, canvas=Canvas(200, 200, pixel_ratio=2.0))[120:, 120:])
    assert two == pytest.approx(4 * one, rel=0.15)


# -- categories ---------------------------------------------------------------------------------------


def test_a_pixels_colour_is_the_mean_of_its_cells_colours(one_pixel):
    rng = np.random.default_rng(4)
    n, k = 4000, 6
    points, codes = scatter(n), rng.integers(-1, k, n)
    coloring = categories(codes, k)
    every = np.array([rgb(c) for c in (*coloring.colors, MISSING_COLOR)])
    kinds = pd.Categorical.from_codes(np.where(codes < 0, k, codes), range(k + 1))
    count = aggregate(points, UNIT, ds.by("kind", ds.count()), kind=kinds)
    total = count.sum(axis=-1)
    covered = total > 0
    assert (np.count_nonzero(count, axis=-1) > 2).any()
    expected = (count @ every)[covered] / total[covered][:, None]
    drawn = at(points, coloring)
    np.testing.assert_allclose(drawn[covered][:, :3], expected, atol=1)


@pytest.mark.parametrize("n", [1, 255])
def test_every_category_has_its_own_colour(n):
    side = np.arange(n)
    points = np.stack([(side % 16 + 0.5) / 16, (side // 16 + 0.5) / 16], axis=1)
    colors = tuple(f"#{i:02x}{255 - i:02x}7f" for i in range(n))
    canvas = Canvas(320, 320)
    drawn = at(points, categories(side, n, colors), canvas=canvas)
    for (x, y), color in zip(points, colors, strict=True):
        assert list(drawn[int(y * 320), int(x * 320)]) == [*rgb(color), 255]


def test_missing_categories_are_grey_and_no_colouring_is_plain():
    assert list(at([[0.5, 0.5]], categories([-1], 2))[15, 20]) == [*rgb(MISSING_COLOR), 255]
    assert list(at([[0.5, 0.5]])[15, 20]) == [*rgb(PLAIN_COLOR), 255]


def test_the_soft_edge_of_a_dot_has_its_full_colour():
    """Straight alpha, as a canvas takes it: premultiplied, the edges would be dark."""
    drawn = at([[0.5, 0.5]], categories([0], 1, ("#ff8000",)))
    edge = (drawn[..., 3] > 0) & (drawn[..., 3] < 255)
    assert edge.any()
    np.testing.assert_allclose(drawn[edge][:, :3], np.broadcast_to([255, 128, 0], (edge.sum(), 3)), atol=1)


# -- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_pixel_shows_its_highest_value(one_pixel, dark):
    rng = np.random.default_rng(5)
    points, values = scatter(4000), rng.gamma(2, 1, 4000).astype("f4")
    values[rng.random(4000) < 0.3] = np.nan
    coloring = numbers(values, 0.5, 4.0)  # some lie beyond both ends
    highest = aggregate(points, UNIT, ds.max("value"), value=values)
    known = np.isfinite(highest)
    colors = np.array([rgb(c) for c in COLOR_MAPS[dark]])
    step = np.clip((highest[known] - 0.5) / 3.5, 0, 1) * (len(colors) - 1)
    drawn = at(points, coloring, canvas=Canvas(40, 30, dark=dark))
    np.testing.assert_array_equal(drawn[known][:, :3], colors[np.rint(step).astype(int)])
    missing = (aggregate(points, UNIT, ds.count()) > 0) & ~known
    assert missing.any()
    np.testing.assert_array_equal(
        drawn[missing][:, :3], np.broadcast_to(rgb(MISSING_COLOR), (np.count_nonzero(missing), 3))
    )


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]], ids=str)
def test_where_dots_overlap_the_highest_value_is_on_top_and_missing_ones_beneath(order):
    x = 0.5 + np.array([-1.5, -0.5, 0.5, 1.5]) / 40
    values = np.array([np.nan, 0.0, 0.5, 1.0])
    points = np.stack([x, np.full(4, 0.5)], axis=1)
    drawn = at(points[order], numbers(values[order]))
    top, middle = rgb(COLOR_MAPS[False][-1]), rgb(COLOR_MAPS[False][round((len(COLOR_MAPS[False]) - 1) / 2)])
    columns = np.floor(x * 40).astype(int)
    assert list(drawn[15, columns[3], :3]) == list(top)
    assert list(drawn[15, columns[0], :3]) == list(top)  # 3 pixels away: within every dot
    alone = at(points[:2], numbers(values[:2]))
    assert list(alone[15, columns[0], :3]) == list(rgb(COLOR_MAPS[False][0]))
    assert list(at(points[:3], numbers(values[:3]))[15, columns[0], :3]) == list(middle)


def test_a_constant_value_has_one_colour():
    drawn = at([[0.2, 0.5], [0.8, 0.5]], numbers([7, 7], 7.0, 7.0))
    assert list(drawn[15, 8]) == list(drawn[15, 32]) == [*rgb(COLOR_MAPS[False][0]), 255]


def test_low_values_stand_out_from_the_page_and_from_missing_ones():
    assert COLOR_MAPS[False][0] != MISSING_COLOR != COLOR_MAPS[True][0]
    for colors in COLOR_MAPS.values():
        assert len(colors) > 100
        assert len(set(colors)) > 0.9 * len(colors)


# -- selections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "categories", "values"])
def test_cells_outside_the_selection_fade_to_15_percent(kind):
    coloring = {"plain": None, "categories": categories([0, 1], 2), "values": numbers([0, 1])}[kind]
    points = [[0.2, 0.5], [0.8, 0.5]]
    whole = at(points, coloring)
    part = at(points, coloring, selected=np.array([True, False]))
    np.testing.assert_array_equal(part[:, :20], whole[:, :20])
    np.testing.assert_allclose(part[:, 20:, 3], whole[:, 20:, 3] * 0.15, atol=1)
    core = whole[..., 3] == 255
    assert (part[:, 20:, 3][core[:, 20:]] == round(0.15 * 255)).all()
    np.testing.assert_array_equal(part[core][:, :3], whole[core][:, :3])


def test_one_pixel_cells_fade_too(one_pixel):
    points = scatter(500)
    selected = points[:, 0] < 0.5
    whole, part = at(points), at(points, selected=selected)
    np.testing.assert_allclose(part[:, 20:, 3], whole[:, 20:, 3] * FADED, atol=10)  # a crowd is of its layer
    assert part[:, 20:, 3].max() <= round(0.15 * 255)
    assert part[:, :20, 3][part[:, :20, 3] > 0].min() >= round(0.45 * 255)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["categories", "values"])
def test_a_selected_cell_lies_over_the_others(first, kind):
    coloring = categories([0, 1], 2) if kind == "categories" else numbers([0, 1])
    chosen = np.arange(2) == first
    drawn = at([[0.5, 0.5], [0.5, 0.5]], coloring, selected=chosen)
    alone = at([[0.5, 0.5]], categories([first], 2) if kind == "categories" else numbers([first]))
    assert list(drawn[15, 20]) == list(alone[15, 20])


def test_a_half_covered_pixel_shows_the_faded_cells_through():
    """Source over destination: alpha is a + b (1 - a)."""
    points = [[0.5, 0.5], [0.6, 0.5]]
    above = at(points[:1])[..., 3] / 255
    below = at(points[1:])[..., 3] / 255 * FADED
    drawn = at(points, selected=np.array([True, False]))[..., 3] / 255
    both = (above > 0) & (above < 1) & (below > 0)
    assert both.any()
    np.testing.assert_allclose(drawn, above + below * (1 - above), atol=0.01)


def test_all_cells_selected_is_as_none_and_no_cell_selected_fades_all():
    points = scatter(60)
    whole = at(points)
    np.testing.assert_array_equal(at(points, selected=np.ones(60, dtype=bool)), whole)
    nothing = at(points, selected=np.zeros(60, dtype=bool))
    np.testing.assert_allclose(nothing[..., 3], whole[..., 3] * 0.15, atol=1)
