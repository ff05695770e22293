"""Pictures of cells: which pixels, colours and opacity against datashader; what lies on top against NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Event
from time import sleep

import datashader as ds
import datashader.transfer_functions as tf
import numpy as np
import pandas as pd
import pytest

from cellasso.color.coloring import MISSING_CODE, Categories, Values, palette
from cellasso.color.palettes import Scale, color_table, rgb
from cellasso.color.ramp import SHADINGS
from cellasso.points.point_index import BLOCK, PointIndex, Viewport
from cellasso.raster import aggregate, drawing
from cellasso.raster import draw as raster
from cellasso.raster.cells import ColoredCells
from cellasso.raster.dots import disc
from cellasso.raster.draw import FADED, Dots, Picture, draw
from cellasso.raster.opacity import LONE
from cellasso.raster.style import HIDDEN, ORDERS, PLAIN, SELECTED, Canvas, Style

pytestmark = pytest.mark.loops

CANVAS = Canvas(40, 30)
UNIT = Viewport(0.0, 1.0, 0.0, 1.0)
VIEWPORTS = [UNIT, Viewport(0.2, 0.3, 0.5, 0.9), Viewport(-3, 2, 0.99, 7), Viewport(-4e38, 4e38, -1e39, 1e39)]
PIXEL = Style(size=1)


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


def some(kind: str, n: int, seed: int = 1) -> Categories | Values | None:
    """A colouring of `n` cells, some of them without a value."""
    rng = np.random.default_rng(seed)
    return {
        "plain": None,
        "categories": categories(rng.integers(-1, 6, n), 6),
        "values": numbers(np.where(rng.random(n) < 0.3, np.nan, rng.gamma(2, 1, n)), 0.5, 4.0),
    }[kind]


def sort_cells(points, coloring=None, scale: Scale = Scale()) -> ColoredCells:  # noqa: B008 - frozen
    return ColoredCells(PointIndex.of(np.array(points, dtype="f4").reshape(-1, 2)), coloring, scale)


def picture(cells: ColoredCells, style: Style = PIXEL, states=None, *, viewport=UNIT, canvas=CANVAS) -> Picture:
    """Draw a picture; `states` are by cell."""
    arranged = None if states is None else cells.plane.gather(np.asarray(states, dtype=np.uint8))
    drawn = draw(cells, viewport, canvas, style, arranged, dots=False)
    assert isinstance(drawn, Picture)
    return drawn


def by_datashader(points: np.ndarray, what, viewport: Viewport = UNIT, canvas: Canvas = CANVAS, **columns):
    """What datashader makes of the points, asked directly."""
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], **columns})
    frame = ds.Canvas(canvas.width, canvas.height, (viewport.x_low, viewport.x_high), (viewport.y_low, viewport.y_high))
    return frame.points(table, "x", "y", what)


def kinds(coloring: Categories) -> pd.Categorical:
    """The categories as datashader takes them; the missing ones are a category of their own, the first."""
    return pd.Categorical.from_codes(coloring.codes + 1, range(-1, len(coloring.labels)))


def every_order() -> list[tuple[str, str]]:
    by_type = {Categories: "categories", Values: "values"}
    return [("plain", "random"), *((by_type[kind], order) for kind, orders in ORDERS.items() for order in orders)]


def assert_same(one: Picture, other: Picture) -> None:
    np.testing.assert_array_equal(one.alpha, other.alpha)
    lit = one.alpha > 0
    np.testing.assert_array_equal(one.codes[lit], other.codes[lit])
    assert one.n_visible == other.n_visible
    assert (one.mixture is None) == (other.mixture is None)
    if one.mixture is not None:
        np.testing.assert_array_equal(one.mixture[lit], other.mixture[lit])


# -- which pixels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", VIEWPORTS, ids=str)
@pytest.mark.parametrize(("kind", "order"), every_order())
def test_pixels_with_cells_are_datashaders(viewport, kind, order):
    points = scatter(3 * BLOCK + 5)
    drawn = picture(sort_cells(points, some(kind, len(points))), Style(size=1, order=order), viewport=viewport)
    count = by_datashader(points, ds.count(), viewport).to_numpy()
    assert drawn.alpha.shape == (30, 40)
    np.testing.assert_array_equal(drawn.alpha > 0, count > 0)
    assert drawn.n_visible == count.sum()


@pytest.mark.parametrize(("kind", "order"), every_order())
def test_the_edges_of_a_view_belong_to_it(kind, order):
    lattice = np.array(list(product(np.arange(17) / 16, repeat=2)), dtype="f4")
    viewport, canvas = Viewport(0.25, 0.75, 0.125, 1.0), Canvas(8, 14)  # every pixel's edges run through points
    drawn = picture(
        sort_cells(lattice, some(kind, len(lattice))), Style(size=1, order=order), viewport=viewport, canvas=canvas
    )
    count = by_datashader(lattice, ds.count(), viewport, canvas).to_numpy()
    assert count.max() == 4  # in the corner of the two upper edges
    assert drawn.n_visible == count.sum() == 9 * 15
    np.testing.assert_array_equal(drawn.alpha > 0, count > 0)


@pytest.mark.parametrize("dots", [False, True], ids=["picture", "dots"])
def test_an_edge_is_not_rounded_to_the_coordinates(dots):
    """It lies between two float32 numbers: rounded to one, a cell would be counted that is not drawn."""
    x = np.float32(0.1)
    edge = Viewport(float(x) + 1e-12, 1.0, 0.0, 1.0)
    points = np.array([[x, 0.5], [np.nextafter(x, np.float32(1)), 0.5]], dtype="f4")
    drawn = draw(sort_cells(points), edge, CANVAS, PIXEL, dots=dots)
    assert drawn.n_visible == by_datashader(points, ds.count(), edge).to_numpy().sum() == 1


@pytest.mark.parametrize("dots", [False, True], ids=["picture", "dots"])
def test_a_view_far_beyond_float32_shows_all_cells(dots):
    assert draw(sort_cells(scatter(5)), VIEWPORTS[-1], CANVAS, dots=dots).n_visible == 5


def test_the_first_row_is_the_lowest():
    drawn = picture(sort_cells([[0.1, 0.05]]))
    assert list(zip(*np.nonzero(drawn.alpha), strict=True)) == [(1, 4)]


def test_cells_without_finite_coordinates_are_never_drawn():
    points = np.concatenate([scatter(200), np.full((6, 2), 0.5, dtype="f4")])
    points[200:] = [[np.nan, 0.5], [0.5, np.nan], [np.inf, 0.5], [0.5, -np.inf], [np.nan, np.nan], [-np.inf, np.inf]]
    rng = np.random.default_rng(2)
    codes, states = rng.integers(0, 3, 206), rng.integers(0, 3, 206)
    whole = picture(sort_cells(points, categories(codes, 3)), states=states)
    finite = picture(sort_cells(points[:200], categories(codes[:200], 3)), states=states[:200])
    assert_same(whole, finite)


@pytest.mark.parametrize(
    "points", [[[3, 4]] * 50, [[1e17, 0]] * 3, [[0, 0], [0, 1]], [[-3e38, 0], [3e38, 3e38]], [[0, 0], [1e-40, 1e-40]]]
)
@pytest.mark.parametrize("dots", [False, True], ids=["picture", "dots"])
def test_any_finite_cells_are_all_seen_within_the_planes_bounds(points, dots):
    cells = sort_cells(points)
    drawn = draw(cells, cells.plane.bounds, CANVAS, dots=dots)
    assert drawn.n_visible == len(points)
    assert len(drawn.points) == len(points) if dots else drawn.alpha.max() == 255


@pytest.mark.parametrize(("kind", "order"), every_order())
@pytest.mark.parametrize("viewport", [Viewport(5, 6, 5, 6), UNIT], ids=["elsewhere", "no_cells"])
def test_a_view_without_cells_is_transparent(kind, order, viewport):
    n = 0 if viewport == UNIT else 50
    cells = sort_cells(scatter(n), some(kind, n))
    for size in (1, 6, None):
        drawn = picture(cells, Style(size=size, order=order), np.ones(n), viewport=viewport)
        assert not drawn.alpha.any()
        assert drawn.n_visible == 0
    dots = draw(cells, viewport, CANVAS)
    assert (len(dots.points), len(dots.codes), dots.n_visible) == (0, 0, 0)
    assert not picture(ColoredCells(PointIndex.empty(n), some(kind, n)), Style(size=1, order=order)).alpha.any()


# -- how opaque -----------------------------------------------------------------------------------------


def crowded(n: int = 20_000) -> np.ndarray:
    """Points of which some pixels have hundreds, and some one."""
    return np.random.default_rng(7).normal(0.5, 0.15, (n, 2)).astype("f4")


def test_mixed_colours_are_datashaders_shading():
    """Colours are rounded, not cut off; opacity is the nearest of 16 steps to datashader's."""
    points = crowded()
    coloring = some("categories", len(points))
    agg = by_datashader(points, ds.by("kind", ds.count()), kind=kinds(coloring))
    count = agg.to_numpy().sum(axis=-1)
    assert count.max() > 50
    assert (np.count_nonzero(agg, axis=-1) == 7).any()
    crowd = int(np.quantile(count[count > 0], 0.9, method="inverted_cdf"))
    table = color_table(coloring, Scale(), dark=False)
    key = {code: table[code] for code in range(-1, 6)}  # the last colour is of missing ones
    shaded = tf.shade(agg, color_key=key, how="log", min_alpha=LONE * 255, span=(1, crowd)).to_numpy()
    expected = shaded[..., None].view(np.uint8).astype(int)
    drawn = picture(sort_cells(points, coloring), Style(size=1, order="mixed")).rgba(table).astype(int)
    lit = count > 0
    difference = drawn[lit][:, :3] - expected[lit][:, :3]
    assert difference.min() >= 0
    assert difference.max() <= 1
    assert set(drawn[..., 3].ravel()) <= set(range(0, 256, 17))
    cut = expected[lit][:, 3]  # from an opacity less than one higher
    assert (np.abs(drawn[lit][:, 3] - (cut + 0.5)) <= 17 / 2 + 0.5).all()
    assert not drawn[~lit][:, 3].any()


@pytest.mark.parametrize(("kind", "order"), every_order())
def test_opacity_goes_by_the_number_of_cells_alone(kind, order):
    points = crowded()
    count = by_datashader(points, ds.count()).to_numpy()
    crowd = np.quantile(count[count > 0], 0.9, method="inverted_cdf")
    alpha = picture(sort_cells(points, some(kind, len(points))), Style(size=1, order=order)).alpha
    expected = LONE + (1 - LONE) * np.minimum(np.log(np.maximum(count, 1)) / np.log(crowd), 1)
    np.testing.assert_array_equal(alpha, np.where(count > 0, np.rint(expected * 15) * 17, 0))
    assert (alpha[count >= crowd] == 255).all()


@pytest.mark.parametrize("crowds", SHADINGS)
@pytest.mark.parametrize("n", [600, 20_000])
def test_opacity_is_datashaders_of_the_counts(crowds, n):
    """Up to 16 steps from the lowest opacity on; datashader, too, cuts off where nine of ten pixels are."""
    points = crowded(n)
    agg = by_datashader(points, ds.count())
    count = agg.to_numpy()
    most = int(np.quantile(count[count > 0], 0.9, method="inverted_cdf"))
    options = {} if crowds == "eq_hist" else {"span": (1, most)}
    shaded = tf.shade(agg, cmap="#000000", how=crowds, min_alpha=round(LONE * 255), **options).to_numpy()
    expected = shaded[..., None].view(np.uint8)[..., 3].astype(int)
    alpha = picture(sort_cells(points), Style(size=1, crowds=crowds)).alpha.astype(int)
    lit = count > 0
    assert len(set(alpha[lit])) > 3
    assert (alpha[~lit] == 0).all()
    assert np.abs(alpha - expected)[lit].max() <= 17 / 2 + 1


def test_dots_are_opaque_however_crowded_they_are():
    points = crowded()
    one, other = (picture(sort_cells(points), Style(size=4, crowds=crowds)) for crowds in ("linear", "eq_hist"))
    assert_same(one, other)


def test_a_pixel_with_millions_of_cells_counts_no_further():
    """Beyond, its count would run into the sign, and the picture would be empty there."""
    n = 1 << 20
    points, words = np.full((2, n), 0.5, dtype="f4"), np.zeros((1, 1), dtype=np.int64)
    none, ranks, values = np.zeros(0, dtype=np.uint8), np.ones(256, dtype=np.int16), np.ones(n, dtype="f4")
    spans = np.tile(np.array([[0, n, 1]]), (12, 1))
    assert aggregate.raise_top(points, none, ranks, none, spans, tuple(UNIT), 1, 0, words) == 12 * n
    assert words[0, 0] >> aggregate.COUNT >= aggregate.MOST >> aggregate.COUNT
    assert words[0, 0] & 0xFF == 255
    words[:], sums, known = 0, np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64)
    assert aggregate.add_values(points, values, none, spans, tuple(UNIT), 1, 0, sums, known, words) == 12 * n
    assert words[0, 0] >> aggregate.COUNT >= aggregate.MOST >> aggregate.COUNT
    assert (sums, known) == (12 * n, 12 * n)


def test_a_pixel_with_millions_of_cells_mixes_no_further():
    """Beyond, the sum of one colour would run into another's."""
    points = np.full((2, 5), 0.5, dtype="f4")
    none, ranks = np.zeros(0, dtype=np.uint8), np.ones(256, dtype=np.int16)
    colors, spans = np.tile(np.array([255, 254, 253], dtype=np.uint8), (256, 1)), np.array([[0, 5, 1]])
    n = (aggregate.FULL >> aggregate.UPPER) - 2
    sums = np.array([[[n << aggregate.UPPER | 255 * n, 254 * n << aggregate.UPPER | 253 * n]]])
    assert aggregate.add_mixture(points, none, colors, ranks, none, spans, tuple(UNIT), 1, 0, sums) == 5
    words, mixture = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1, 3), dtype=np.uint8)
    aggregate.divide_mixture(sums, 0, words, mixture)
    assert list(mixture[0, 0]) == [255, 254, 253]
    assert words[0, 0] >> aggregate.COUNT == aggregate.MOST >> aggregate.COUNT


# -- what lies on top -----------------------------------------------------------------------------------


def top_of(points: np.ndarray, codes: np.ndarray, rank: np.ndarray, viewport: Viewport = UNIT) -> np.ndarray:
    """The code of highest rank in each pixel, missing ones below all; -1 where there is none."""
    table = pd.Categorical.from_codes(np.where(codes < 0, 0, rank[codes] + 1), range(rank.max() + 2))
    found = by_datashader(points, ds.by("rank", ds.any()), viewport, rank=table).to_numpy()
    highest = found.shape[-1] - 1 - np.argmax(found[..., ::-1], axis=-1)
    back = np.full(rank.max() + 2, MISSING_CODE)
    back[rank + 1] = np.arange(len(rank))
    return np.where(found.any(axis=-1), back[highest], -1)


@pytest.mark.parametrize("order", ["legend", "rare"])
@pytest.mark.parametrize("viewport", VIEWPORTS[:3], ids=str)
def test_the_last_or_the_rarest_category_of_a_pixel_is_seen(order, viewport):
    points, rng = scatter(4000), np.random.default_rng(3)
    codes = rng.choice(np.arange(-1, 6), 4000, p=[0.1, 0.3, 0.05, 0.25, 0.2, 0.05, 0.05])
    coloring = categories(codes, 6)
    rank = np.arange(6) if order == "legend" else np.argsort(np.argsort(-coloring.counts, kind="stable"))
    assert (rank != np.arange(6)).any() or order == "legend"
    expected = top_of(points, codes, rank, viewport)
    drawn = picture(sort_cells(points, coloring), Style(size=1, order=order), viewport=viewport)
    lit = expected >= 0
    np.testing.assert_array_equal(drawn.codes[lit], expected[lit])
    np.testing.assert_array_equal(drawn.alpha > 0, lit)


def equalised_steps(values: np.ndarray, shown: np.ndarray, low: float, high: float, *, centre: bool) -> np.ndarray:
    """Where datashader's `eq_hist` of all values puts those that are shown, from 0 at one end to 1 at the other."""
    size = np.abs if centre else np.asarray
    own = size(values[(values >= low) & (values <= high)]).astype("f8")
    found, _ = tf.eq_hist(own)
    order = np.argsort(own)
    place = np.interp(size(shown), own[order], (found[order] - found.min()) / (found.max() - found.min()))
    return 0.5 + np.sign(shown) * place / 2 if centre else place


@pytest.mark.parametrize(
    "scale",
    [Scale(shading=shading, centre=centre) for shading, centre in product(SHADINGS, (False, True))],
    ids=[f"{shading}-{'centred' if centre else 'plain'}" for shading, centre in product(SHADINGS, (False, True))],
)
@pytest.mark.parametrize(("order", "what"), [("high", ds.max), ("low", ds.min), ("mean", ds.mean)])
def test_the_highest_the_lowest_or_the_mean_value_of_a_pixel_is_seen(order, what, scale):
    points = scatter(4000)
    coloring = some("values", 4000)
    shown = by_datashader(points, what("value"), value=coloring.values).to_numpy()
    count = by_datashader(points, ds.count()).to_numpy()
    known = np.isfinite(shown)
    low, high = (-4.0, 4.0) if scale.centre else (0.5, 4.0)
    within = np.clip(shown[known], low, high)
    step = (within - low) / (high - low)
    if scale.shading == "log":
        step = np.sign(within) * np.log1p(np.abs(within)) / np.log1p(4) / 2 + 0.5
        step = step if scale.centre else np.log(within / low) / np.log(high / low)
    elif scale.shading == "cbrt":
        step = (np.cbrt(within) - np.cbrt(low)) / (np.cbrt(high) - np.cbrt(low))
    elif scale.shading == "eq_hist":
        step = equalised_steps(coloring.values, within, low, high, centre=scale.centre)
    drawn = picture(sort_cells(points, coloring, scale), Style(size=1, order=order))
    # a mean may be rounded otherwise in its last bit
    assert np.abs(drawn.codes[known] - step * 254).max() <= 0.5 + 1e-3
    assert (count > 0)[~known].any()
    assert (drawn.codes[(count > 0) & ~known] == MISSING_CODE).all()


@pytest.mark.parametrize("kind", ["categories", "values"])
@pytest.mark.parametrize("states", [None, "some"], ids=["all", "selected_hidden"])
def test_in_random_order_the_same_cell_wins_at_every_zoom(kind, states):
    """Of two cells that share a pixel; otherwise a picture would flicker while it is moved."""
    n = 255
    points = scatter(n)
    coloring = categories(np.arange(n), n) if kind == "categories" else numbers(np.arange(n), 0, n - 1)
    cells = sort_cells(points, coloring)
    mask = None if states is None else np.random.default_rng(4).choice([PLAIN, SELECTED, HIDDEN], n)
    beats = np.zeros((n, n), dtype=int)
    rng = np.random.default_rng(5)
    for _ in range(200):
        (x, y), size = rng.random(2) - 0.2, rng.uniform(0.05, 1.5)
        viewport = Viewport(x, x + size, y, y + size * 0.75)
        canvas = Canvas(int(rng.integers(3, 12)), int(rng.integers(3, 12)))
        drawn = picture(cells, Style(size=1, order="random"), mask, viewport=viewport, canvas=canvas)
        number = np.arange(canvas.width * canvas.height).reshape(canvas.height, canvas.width)
        column = (points[:, 0].astype("f8") - viewport.x_low) * (canvas.width / (viewport.x_high - viewport.x_low))
        row = (points[:, 1].astype("f8") - viewport.y_low) * (canvas.height / (viewport.y_high - viewport.y_low))
        inside = (column >= 0) & (column <= canvas.width) & (row >= 0) & (row <= canvas.height)
        inside &= True if mask is None else mask != HIDDEN
        pixel = number[
            np.minimum(row, canvas.height - 1).astype(int) * inside,
            np.minimum(column, canvas.width - 1).astype(int) * inside,
        ]
        for at in np.flatnonzero(drawn.alpha.ravel()):
            here, winner = np.flatnonzero(inside & (pixel == at)), drawn.codes.ravel()[at]
            assert winner in here
            beats[winner, here[here != winner]] += 1
    assert np.count_nonzero(beats > 1) > 500
    assert not np.minimum(beats, beats.T).any()


def test_random_order_prefers_no_category_and_no_place():
    n = 60_000
    rng = np.random.default_rng(6)
    points, codes = rng.random((n, 2)).astype("f4"), rng.integers(0, 4, n)
    drawn = picture(sort_cells(points, categories(codes, 4)), Style(size=1, order="random"))
    assert (drawn.alpha > 0).all()  # 50 cells a pixel
    for part in (drawn.codes, drawn.codes[:, :20], drawn.codes[15:]):
        seen = np.bincount(part.ravel(), minlength=4) / part.size
        np.testing.assert_allclose(seen, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / part.size))


def test_an_order_that_the_colouring_does_not_have_is_its_usual_one():
    points = scatter(500)
    for kind, wanted, usual in (
        ("categories", "high", "random"),
        ("values", "rare", "high"),
        ("plain", "low", "random"),
    ):
        cells = sort_cells(points, some(kind, 500))
        assert cells.order(wanted) == usual
        assert_same(picture(cells, Style(size=1, order=wanted)), picture(cells, Style(size=1, order=usual)))


# -- selected and hidden --------------------------------------------------------------------------------


def without_hidden(coloring, keep):
    """The same colouring of some of the cells."""
    if coloring is None:
        return None
    if isinstance(coloring, Values):
        return numbers(coloring.values[keep], coloring.low, coloring.high)
    kept = coloring.codes[keep]
    return Categories("c", kept, coloring.labels, coloring.colors, coloring.counts, int((kept < 0).sum()))


def stable(kind: str, order: str) -> bool:
    """Whether what is seen does not hang on a cell's number, which is another when others are left out."""
    return kind == "plain" or order != "random"


@pytest.mark.parametrize(("kind", "order"), [case for case in every_order() if stable(*case)])
@pytest.mark.parametrize("size", [1, 5])
def test_hidden_cells_are_as_if_they_were_not_there(kind, order, size):
    points, coloring = scatter(3000), some(kind, 3000)
    states = np.random.default_rng(8).choice([PLAIN, SELECTED, HIDDEN], 3000)
    keep = states != HIDDEN
    style = Style(size=size, order=order, fade=True)
    whole = picture(sort_cells(points, coloring), style, states)
    assert_same(whole, picture(sort_cells(points[keep], without_hidden(coloring, keep)), style, states[keep]))
    assert whole.n_visible == np.count_nonzero(keep)


@pytest.mark.parametrize("order", ["legend", "rare", "mixed"])
@pytest.mark.parametrize("hidden", [{5}, {0, 3}, {MISSING_CODE}, set(range(6))], ids=str)
def test_hidden_categories_are_too_and_what_lies_below_them_is_seen(order, hidden):
    points, coloring = scatter(3000), some("categories", 3000)
    codes = np.where(coloring.codes < 0, MISSING_CODE, coloring.codes)
    keep = ~np.isin(codes, list(hidden))
    whole = picture(sort_cells(points, coloring), Style(size=1, order=order, hidden=frozenset(hidden)))
    alone = picture(sort_cells(points[keep], without_hidden(coloring, keep)), Style(size=1, order=order))
    assert_same(whole, alone)
    assert whole.n_visible == np.count_nonzero(keep)


def test_hiding_changes_nothing_of_the_random_order_of_the_others():
    points, n = scatter(2000), 2000
    codes = np.arange(n) % 3
    cells = sort_cells(points, categories(codes, 3))
    before = picture(cells)
    for style, states in ((Style(size=1, hidden=frozenset({1})), None), (PIXEL, np.where(codes == 1, HIDDEN, PLAIN))):
        after = picture(cells, style, states)
        same = (before.alpha > 0) & (before.codes != 1)
        assert same.any()
        np.testing.assert_array_equal(after.codes[same], before.codes[same])
        assert not (after.codes[after.alpha > 0] == 1).any()


@pytest.mark.parametrize("hidden", [frozenset(), frozenset({2}), frozenset({MISSING_CODE})], ids=str)
def test_which_points_are_shown_is_what_is_drawn(hidden):
    cells = sort_cells(scatter(500), some("categories", 500))
    states = cells.plane.gather(np.random.default_rng(9).choice([PLAIN, SELECTED, HIDDEN], 500).astype(np.uint8))
    for given in (None, states):
        shown = cells.shown(Style(hidden=hidden), given)
        n = 500 if shown is None else np.count_nonzero(shown)
        assert n == draw(cells, UNIT, CANVAS, Style(hidden=hidden), given, dots=False).n_visible


@pytest.mark.parametrize(("kind", "order"), every_order())
def test_selected_cells_lie_above_the_others(kind, order):
    points, coloring = scatter(3000), some(kind, 3000)
    chosen = np.random.default_rng(10).random(3000) < 0.2
    cells, style = sort_cells(points, coloring), Style(size=1, order=order, fade=True)
    both = picture(cells, style, chosen)
    above = picture(cells, style, np.where(chosen, SELECTED, HIDDEN))
    below = picture(cells, style, np.where(chosen, HIDDEN, PLAIN))
    lit = above.alpha > 0
    assert lit.any()
    assert ((below.alpha > 0) & ~lit).any()
    for attribute in ("codes", "mixture"):
        seen, over, under = (getattr(drawn, attribute) for drawn in (both, above, below))
        if seen is not None:
            np.testing.assert_array_equal(seen[lit], over[lit])
            rest = ~lit & (below.alpha > 0)
            np.testing.assert_array_equal(seen[rest], under[rest])
    np.testing.assert_array_equal(both.alpha > 0, lit | (below.alpha > 0))
    assert both.n_visible == 3000


@pytest.mark.parametrize(("kind", "order"), every_order())
@pytest.mark.parametrize("size", [1, 6])
def test_cells_outside_the_selection_fade_to_15_percent(kind, order, size):
    points, coloring = scatter(60), some(kind, 60)
    chosen = points[:, 0] < 0.5
    cells = sort_cells(points, coloring)
    whole = picture(cells, Style(size=size, order=order), chosen)
    part = picture(cells, Style(size=size, order=order, fade=True), chosen)
    lit = np.zeros_like(whole.alpha, dtype=bool)
    grown = picture(cells, Style(size=size, order=order), np.where(chosen, SELECTED, HIDDEN))
    lit[:, :16], rest = True, slice(24, None)  # a dot reaches 3 pixels over the border
    np.testing.assert_array_equal(part.alpha[:, :16], whole.alpha[:, :16])
    np.testing.assert_array_equal(part.alpha[:, rest], np.rint(whole.alpha[:, rest] * FADED))
    assert part.alpha[:, rest].any()
    assert grown.alpha.max() > 100


@pytest.mark.parametrize("size", [None, 1, 6])
@pytest.mark.parametrize(("kind", "order"), every_order())
def test_nothing_fades_where_no_selected_cell_is_drawn(kind, order, size):
    points, coloring = scatter(60), some(kind, 60)
    chosen = points[:, 0] < 0.5
    cells = sort_cells(points, coloring)
    plain, fading = Style(size=size, order=order), Style(size=size, order=order, fade=True)
    for states in (np.zeros(60), np.where(chosen, HIDDEN, PLAIN)):  # none selected; all that were are hidden
        np.testing.assert_array_equal(picture(cells, fading, states).alpha, picture(cells, plain, states).alpha)
    assert picture(cells, fading, chosen).alpha[:, 26:].max() <= round(FADED * 255)


def test_nothing_fades_where_the_selected_cells_are_of_hidden_categories():
    codes = np.arange(60) % 3
    cells = sort_cells(scatter(60), categories(codes, 3))
    states = np.where(codes == 1, SELECTED, PLAIN)
    for dots in (True, False):
        for hidden, fades in (({1}, False), ({0}, True), (set(), True), ({0, 1}, False)):
            style = Style(size=1, hidden=frozenset(hidden), fade=True)
            drawn = draw(cells, UNIT, CANVAS, style, cells.plane.gather(states.astype(np.uint8)), dots=dots)
            if isinstance(drawn, Dots):
                assert drawn.faded.any() == fades
                assert len(drawn.faded) == (len(drawn.points) if fades else 0)
            else:
                assert (drawn.alpha[drawn.alpha > 0].min() < 0.3 * drawn.alpha.max()) == fades


# -- dots in a picture ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 5, 12])
@pytest.mark.parametrize("with_states", [False, True], ids=["all", "selected_hidden"])
def test_a_pixel_shows_the_topmost_of_the_dots_that_cover_it_most(size, with_states):
    n = 60
    points = scatter(n)
    codes = np.random.default_rng(11).permutation(n)
    states = np.random.default_rng(12).choice([PLAIN, SELECTED, HIDDEN], n) if with_states else np.zeros(n)
    drawn = picture(sort_cells(points, categories(codes, n)), Style(size=size, order="legend", fade=True), states)
    coverage = np.rint(disc(size / 2) * 15)
    reach = len(coverage) // 2
    best = np.zeros((30, 40, 3), dtype=int)  # step, selected, code
    column, row = (points * [40, 30]).astype(int).T
    tops = {}  # the topmost cell of each pixel is the one that grows
    for i in np.flatnonzero(states != HIDDEN):
        tops[row[i], column[i]] = max(tops.get((row[i], column[i]), (-1, -1)), (int(states[i]), int(codes[i])))
    for (y, x), mark in tops.items():
        for v, u in product(range(-reach, reach + 1), repeat=2):
            step = int(coverage[v + reach, u + reach])
            if step and 0 <= y + v < 30 and 0 <= x + u < 40:
                best[y + v, x + u] = max(tuple(best[y + v, x + u]), (step, *mark))
    lit = best[..., 0] > 0
    assert 0.02 < lit.mean() < 1
    faded = np.where(best[..., 1] == 1, 1, FADED) if with_states else 1  # where none is selected nothing fades
    np.testing.assert_array_equal(drawn.alpha, np.rint(best[..., 0] * 17 * faded))
    np.testing.assert_array_equal(drawn.codes[lit], best[..., 2][lit])


def area(drawn: Picture) -> float:
    return float(drawn.alpha.sum() / 255)


def test_mixed_dots_keep_the_colour_of_the_pixel_that_they_grew_from():
    points = np.concatenate([np.full((2, 2), 0.2), [[0.8, 0.8]]])
    drawn = picture(sort_cells(points, categories([0, 1, 1], 2, ("#ff0000", "#0000ff"))), Style(size=6, order="mixed"))
    assert {tuple(color) for color in drawn.mixture[:15][drawn.alpha[:15] > 0]} == {(128, 0, 128)}
    assert {tuple(color) for color in drawn.mixture[15:][drawn.alpha[15:] > 0]} == {(0, 0, 255)}
    assert area(drawn) == pytest.approx(2 * np.pi * 3**2, rel=0.15)


def test_few_cells_are_large_dots_more_cells_smaller_ones_and_a_crowd_pixels(monkeypatch):
    canvas = Canvas(200, 200)
    lone = picture(sort_cells([[0.5, 0.5]]), Style(), canvas=canvas)
    assert area(lone) == pytest.approx(np.pi * raster.MAX_RADIUS**2, rel=0.1)
    points = np.concatenate([[[0.9, 0.9]], 0.1 * scatter(5000)])
    corner = Viewport(0.5, 1, 0.5, 1)
    cells = sort_cells(points)
    in_company = picture(cells, Style(), canvas=canvas).alpha[100:, 100:].sum() / 255
    assert in_company == pytest.approx(np.pi * raster.MIN_RADIUS**2, rel=0.15)
    alone = picture(cells, Style(), viewport=corner, canvas=canvas)  # only cells in view decide the size
    assert area(alone) == pytest.approx(np.pi * raster.MAX_RADIUS**2, rel=0.1)
    monkeypatch.setattr(raster, "DENSE", 5001)
    assert np.count_nonzero(picture(cells, Style(), canvas=canvas).alpha[100:, 100:]) == 1
    monkeypatch.setattr(raster, "DENSE", 5002)
    assert np.count_nonzero(picture(cells, Style(), canvas=canvas).alpha[100:, 100:]) > 1


@pytest.mark.parametrize("size", [2.0, 3.0, 8.0, 12.0])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_a_chosen_size_is_a_diameter_in_pixels_of_the_screen(size, ratio):
    side = int(100 * ratio)
    drawn = picture(sort_cells([[0.5, 0.5]]), Style(size=size), canvas=Canvas(side, side, ratio))
    assert area(drawn) == pytest.approx(np.pi * (size / 2 * ratio) ** 2, rel=0.15)
    dots = draw(sort_cells([[0.5, 0.5]]), UNIT, Canvas(side, side, ratio), Style(size=size))
    assert dots.radius == size / 2


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_a_spot_is_as_wide_as_in_the_data_until_it_hides_what_is_around_it(ratio):
    side, cells, style = int(100 * ratio), sort_cells([[0.5, 0.5]]), Style(spot=0.1)
    drawn = picture(cells, style, canvas=Canvas(side, side, ratio))
    assert area(drawn) == pytest.approx(np.pi * (0.05 * side) ** 2, rel=0.15)
    canvas = Canvas(side, side, ratio)
    assert draw(cells, UNIT, canvas, style).radius == pytest.approx(5.0)
    assert draw(cells, Viewport(0.45, 0.55, 0.45, 0.55), canvas, style).radius == raster.MAX_SPOT
    assert draw(cells, Viewport(-500, 500, -500, 500), canvas, style).radius == 0.5  # a pixel
    assert draw(cells, UNIT, canvas, Style(size=3.0, spot=0.1)).radius == 1.5  # what is chosen goes first


def test_the_size_one_is_a_pixel_on_every_screen():
    for ratio in (1.0, 2.0):
        drawn = picture(sort_cells([[0.5, 0.5]]), PIXEL, canvas=Canvas(100, 100, ratio))
        assert np.count_nonzero(drawn.alpha) == 1


@pytest.mark.parametrize("n", [1, 5000])
def test_a_dot_is_as_large_on_a_screen_of_more_pixels(n):
    cells = sort_cells(np.concatenate([[[0.9, 0.9]], 0.1 * scatter(n - 1)]))
    one = picture(cells, Style(), canvas=Canvas(100, 100)).alpha[60:, 60:].sum()
    two = picture(cells, Style(), canvas=Canvas(200, 200, pixel_ratio=2.0)).alpha[120:, 120:].sum()
    assert two == pytest.approx(4 * one, rel=0.15)


# -- several cores --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "order"), every_order())
@pytest.mark.parametrize("n_cores", [2, 3, 7])
@pytest.mark.parametrize("size", [1, 6])
def test_several_cores_draw_what_one_does(monkeypatch, kind, order, n_cores, size):
    n = 20 * BLOCK + 17
    points = crowded(n)
    states = np.random.default_rng(13).choice([PLAIN, SELECTED, HIDDEN], n)
    cells, style = sort_cells(points, some(kind, n)), Style(size=size, order=order, fade=True)
    views = [UNIT, Viewport(0.45, 0.55, 0.4, 0.5), Viewport(0.7, 2, 0.7, 2), cells.plane.bounds]
    alone = [picture(cells, style, states, viewport=view) for view in views]
    monkeypatch.setattr(drawing, "SPLIT", 1000)
    monkeypatch.setattr(drawing, "_n_cores", lambda: n_cores)
    for view, expected in zip(views, alone, strict=True):
        assert_same(picture(cells, style, states, viewport=view), expected)


@pytest.mark.parametrize("viewport", [*VIEWPORTS, Viewport(5, 6, 5, 6)], ids=str)
@pytest.mark.parametrize("n_cores", [1, 2, 3, 100])
def test_strips_are_all_rows_and_have_all_their_points(monkeypatch, n_cores, viewport):
    monkeypatch.setattr(drawing, "SPLIT", 1)
    monkeypatch.setattr(drawing, "_n_cores", lambda: n_cores)
    plane = PointIndex.of(crowded(5 * BLOCK))
    strips = drawing.cut_strips(plane, viewport, CANVAS)
    assert [row for rows in strips for row in range(rows.start, rows.stop)] == list(range(CANVAS.height))
    assert all(rows.start < rows.stop for rows in strips)
    x, y = plane.points.T.astype("f8")
    inside = (x >= viewport.x_low) & (x <= viewport.x_high) & (y >= viewport.y_low) & (y <= viewport.y_high)
    row = (y[inside] - viewport.y_low) * (CANVAS.height / (viewport.y_high - viewport.y_low))
    row = np.minimum(row.astype(int), CANVAS.height - 1)
    for rows in strips:
        spans = plane.spans(drawing._around(viewport, CANVAS, rows))
        read = np.concatenate([np.arange(0), *(np.arange(start, stop) for start, stop, _ in spans)])
        assert np.isin(np.flatnonzero(inside)[(row >= rows.start) & (row < rows.stop)], read).all()


def test_strips_share_the_points_evenly(monkeypatch):
    monkeypatch.setattr(drawing, "SPLIT", 1)
    monkeypatch.setattr(drawing, "_n_cores", lambda: 3)
    points = scatter(300_000) ** 2
    rows = (points[:, 1] * 600).astype(int)
    strips = drawing.cut_strips(PointIndex.of(points), UNIT, Canvas(800, 600))
    shares = [np.mean((rows >= strip.start) & (rows < strip.stop)) for strip in strips]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


def test_strips_that_no_other_core_has_begun_are_drawn_by_this_one(monkeypatch):
    """A picture does not wait for what else the other cores are at, such as reading ahead."""
    go_on = Event()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(go_on.wait, 30)
        monkeypatch.setattr(drawing, "quick_threads", lambda: pool)
        strips = [slice(0, 1), slice(1, 2), slice(2, 3)]
        assert drawing.run_strips(lambda rows: rows.start, strips) == [0, 1, 2]
        assert not busy.done()
        go_on.set()


def test_a_strip_that_fails_waits_for_the_others(monkeypatch):
    """Else they would still draw in memory that the next picture has."""
    begun, drawn = Event(), []

    def job(rows: slice) -> None:
        if rows.start:
            begun.set()
            sleep(0.05)
            drawn.append(rows.start)
        else:
            assert begun.wait(30)
            raise MemoryError

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(drawing, "quick_threads", lambda: pool)
        with pytest.raises(MemoryError):
            drawing.run_strips(job, [slice(0, 1), slice(1, 2)])
        assert drawn == [1]


# -- dots for the browser -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "order"), every_order())
def test_dots_are_exactly_the_cells_of_their_area_in_the_order_of_drawing(kind, order):
    n = 3000
    points, coloring = scatter(n), some(kind, n)
    states = np.random.default_rng(14).choice([PLAIN, SELECTED, HIDDEN], n)
    cells = sort_cells(points, coloring)
    view = Viewport(0.3, 0.6, 0.2, 0.5)
    style = Style(order=order, hidden=frozenset({1, 200}), fade=True)
    drawn = draw(cells, view, CANVAS, style, cells.plane.gather(states.astype(np.uint8)))
    assert isinstance(drawn, Dots)
    np.testing.assert_allclose(drawn.area, [0.15, 0.75, 0.05, 0.65])
    codes = np.full(n, 255)
    codes[cells.plane.order] = cells.codes if len(cells.codes) else 255
    x, y = points.astype("f8").T
    area = drawn.area
    inside = (x >= area.x_low) & (x <= area.x_high) & (y >= area.y_low) & (y <= area.y_high)
    expected = inside & (states != HIDDEN) & ~np.isin(codes, [1, 200])
    assert {tuple(point) for point in drawn.points} == {tuple(point) for point in points[expected]}
    assert len(drawn.points) == np.count_nonzero(expected)
    of = {tuple(point): i for i, point in enumerate(points)}
    at = np.array([of[tuple(point)] for point in drawn.points])
    np.testing.assert_array_equal(drawn.codes, codes[at])
    np.testing.assert_array_equal(drawn.faded, states[at] != SELECTED)
    assert (np.diff(drawn.faded.astype(int)) <= 0).all()  # all faded ones before all selected ones
    in_view = (x >= view.x_low) & (x <= view.x_high) & (y >= view.y_low) & (y <= view.y_high)
    assert drawn.n_visible == np.count_nonzero(expected & in_view)
    rank = {
        "legend": codes,
        "high": codes,
        "low": -codes,
        "rare": -coloring.counts[np.minimum(codes, 5)] if kind == "categories" else codes,
    }.get(order)
    for part in (drawn.faded, ~drawn.faded):
        missing = drawn.codes[part] == MISSING_CODE
        if kind != "plain":
            assert (np.diff(missing.astype(int)) <= 0).all()  # missing ones before all others
        if rank is not None:
            assert (np.diff(rank[at[part]][~missing]) >= 0).all()


def test_dots_say_nothing_of_fading_when_nothing_is_selected():
    assert len(draw(sort_cells(scatter(9)), UNIT, CANVAS).faded) == 0


@pytest.mark.parametrize("order", ["random", "legend", "rare"])
def test_the_last_dot_of_a_place_is_the_one_that_a_picture_shows(order):
    rng = np.random.default_rng(15)
    places = (rng.integers(0, 12, (800, 2)) + 0.5) / 12
    cells = sort_cells(places, categories(rng.integers(-1, 6, 800), 6))
    states = cells.plane.gather(rng.choice([PLAIN, SELECTED], 800).astype(np.uint8))
    canvas, style = Canvas(12, 12), Style(size=1, order=order)
    dots = draw(cells, UNIT, canvas, style, states)
    last = {tuple(point): code for point, code in zip(dots.points, dots.codes, strict=True)}
    seen = draw(cells, UNIT, canvas, style, states, dots=False)
    for (x, y), code in last.items():
        assert seen.codes[int(y * 12), int(x * 12)] == code


def test_up_to_a_limit_of_cells_in_view_there_are_dots(monkeypatch):
    points = np.concatenate([scatter(100), [1.2, 0] + 0.25 * scatter(50)])
    cells = sort_cells(points)
    monkeypatch.setattr(raster, "N_DOTS", 150)
    whole = draw(cells, UNIT, CANVAS)
    assert len(whole.points) == 150  # those beyond the edge of the view too, as it may be moved
    assert whole.n_visible == 100
    monkeypatch.setattr(raster, "N_DOTS", 149)
    narrow = draw(cells, UNIT, CANVAS)
    assert narrow.area == UNIT
    assert len(narrow.points) == narrow.n_visible == 100
    monkeypatch.setattr(raster, "N_DOTS", 100)
    assert isinstance(draw(cells, UNIT, CANVAS), Dots)
    monkeypatch.setattr(raster, "N_DOTS", 99)
    assert isinstance(draw(cells, UNIT, CANVAS), Picture)


# -- colours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 255])
def test_every_category_has_its_own_colour(n):
    side = np.arange(n)
    points = np.stack([(side % 16 + 0.5) / 16, (side // 16 + 0.5) / 16], axis=1)
    colors = tuple(f"#{i:02x}{255 - i:02x}7f" for i in range(n))
    coloring = categories(side, n, colors)
    drawn = picture(sort_cells(points, coloring), Style(size=3), canvas=Canvas(320, 320))
    seen = drawn.rgba(color_table(coloring, Scale(), dark=False))
    for (x, y), color in zip(points, colors, strict=True):
        assert list(seen[int(y * 320), int(x * 320)]) == [*rgb([color])[0], 255]


def test_the_soft_edge_of_a_dot_has_its_full_colour():
    """Straight alpha, as a canvas takes it: premultiplied, the edges would be dark."""
    coloring = categories([0], 1, ("#ff8000",))
    seen = picture(sort_cells([[0.5, 0.5]], coloring), Style(size=6)).rgba(color_table(coloring, Scale(), dark=False))
    edge = (seen[..., 3] > 0) & (seen[..., 3] < 255)
    assert edge.any()
    assert {tuple(color) for color in seen[edge][:, :3]} == {(255, 128, 0)}


def test_mixed_colours_are_of_the_colours_that_the_user_chose():
    coloring = categories([0, 1], 2, ("#ff0000", "#0000ff"))
    style = Style(size=1, order="mixed", chosen={"0": "#00ff00"})
    drawn = picture(sort_cells([[0.5, 0.5]] * 2, coloring), style)
    assert list(drawn.mixture[15, 20]) == [0, 128, 128]


def test_only_values_have_a_mean():
    with pytest.raises(TypeError, match="only values have a mean"):
        sort_cells([[0, 0]], categories([0], 1)).values  # noqa: B018 - read on demand
