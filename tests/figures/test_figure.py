"""Figures for papers: pixels as they were drawn, text as it is in the file, nothing cut, the same bytes every time."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from cellasso.color.coloring import CellValues
from cellasso.color.palettes import COLOR_MAPS, Scale
from cellasso.color.ramp import Ramp
from cellasso.points.point_index import Viewport
from cellasso_app.figures.design import ColorBar, Design, Label, Legend, Row
from cellasso_app.figures.figure import render
from cellasso_app.figures.sheet import INKS, ROW, clean, number

SVG = "{http://www.w3.org/2000/svg}"
VIEW = Viewport(-10.0, 10.0, 0.0, 5_000.0)
HOSTILE = (
    "<script>alert(1)</script>",
    "$x^2$ & $",
    "$x$",
    "a\x00b\x1bc\nd",
    "\ud800 \uffff",
    '"]]>--><!--',
    "%s \\alpha {}",
)
SMALL = Design(width=2.0, height=1.5, dpi=150)


def legend(n: int, letters: int = 8, count: int | None = 12_345) -> Legend:
    names = [f"{'n' * (letters - len(str(i)))}{i}" for i in range(n)]
    return Legend(tuple(Row(name, "#1f77b4", count) for name in names), "cell_type")


BAR = ColorBar(COLOR_MAPS[False], Ramp(0.0, 4.273), "CD3E (X, log1p of counts per 10,000)")
DESIGNS = {
    "bare": SMALL,
    "8 categories": replace(SMALL, title="A title", axis_names=("UMAP 1", "UMAP 2"), key=legend(8)),
    "40 long ones": replace(SMALL, key=legend(40, 70), axis_names=("UMAP 1", "UMAP 2"), title="t" * 300),
    "255": replace(SMALL, key=legend(255), axis_names=("x" * 300, "y" * 300)),
    "255 long ones": replace(SMALL, key=legend(255, 59, None)),
    "colour bar": replace(SMALL, key=BAR, title="CD3E"),
    "log": replace(SMALL, key=replace(BAR, ramp=Ramp(0.02, 1e6, "log"), label="w" * 200)),
    "ticks": replace(SMALL, axes="ticks", axis_names=("CD4", "spatial 2"), key=BAR),
    "dark": replace(SMALL, dark=True, key=legend(8), axis_names=("UMAP 1", "UMAP 2")),
    "dpi 97": replace(SMALL, width=1.77, dpi=97, key=legend(3), axis_names=("UMAP 1", "UMAP 2")),
}


def picture(design: Design, *, opaque: bool = False) -> np.ndarray:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (*design.pixels[::-1], 4), dtype=np.uint8)
    pixels[..., 3] = 255 if opaque else rng.choice(np.array([0, 80, 255], dtype=np.uint8), pixels.shape[:2])
    return pixels


def png(design: Design, pixels: np.ndarray, view: Viewport = VIEW) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(pixels, view, design))))


def svg(design: Design, view: Viewport = VIEW) -> ET.Element:
    return ET.fromstring(render(picture(design), view, design, "svg"))


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(SVG + "text")]


def place_of(root: ET.Element, text: str) -> tuple[float, float]:
    """Where a text is anchored, in points from the upper left."""
    element = next(e for e in root.iter(SVG + "text") if e.text == text)
    if element.get("x"):
        return float(element.get("x")), float(element.get("y"))
    x, y = re.search(r"translate\((\S+) (\S+)\)", element.get("transform")).groups()
    return float(x), float(y)


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_the_picture_keeps_its_pixels_whatever_surrounds_it(design):
    pixels = picture(design, opaque=True)
    shown = png(design, pixels)
    inner = pixels[::-1, :, :][5:-5, 5:-5]  # lines of axes lie on its edge
    starts = np.argwhere((shown == inner[0, 0]).all(axis=2))
    windows = [shown[y : y + len(inner), x : x + inner.shape[1]] for y, x in starts]
    assert sum(np.array_equal(window, inner) for window in windows) == 1


def test_y_may_run_down():
    """As a tissue's does: the picture is as it was given, numbers and names are where their places are in it."""
    design = replace(SMALL, axes="ticks", labels=(Label("far", 0.0, 4_500.0), Label("near", 0.0, 500.0)))
    down = VIEW._replace(y_low=VIEW.y_high, y_high=VIEW.y_low)
    pixels = picture(SMALL, opaque=True)
    np.testing.assert_array_equal(png(SMALL, pixels, down), png(SMALL, pixels))
    above, below = ("far", number(4_000)), ("near", number(2_000))
    for view, sign in ((VIEW, 1), (down, -1)):
        root = svg(design, view)
        for high, low in zip(above, below, strict=True):
            assert sign * (place_of(root, low)[1] - place_of(root, high)[1]) > 20  # SVG counts from the top


@pytest.mark.more
@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_nothing_is_cut_at_the_edges_and_the_key_keeps_off_the_picture(design):
    image = png(design, picture(design) * np.uint8([1, 1, 1, 0]))[..., :3]
    ground = image[0, 0]
    assert ground.tolist() == [int(INKS[design.dark].ground[i : i + 2], 16) for i in (1, 3, 5)]
    edge = 3 * design.dpi // 72
    inked = (image != ground).any(axis=2)
    inner = inked[edge:-edge, edge:-edge]
    assert inked.sum() == inner.sum()
    if design.key is not None:  # the ground between picture and key
        right = np.flatnonzero(inner.any(axis=0)).max()
        assert right > 1.1 * design.pixels[0]


def test_translucent_pixels_lie_on_the_ground_or_stay_as_they_are():
    pixels = picture(SMALL)
    margin = -(-4 * SMALL.dpi // 72)
    height, width = pixels.shape[:2]
    inside = np.s_[margin : margin + height, margin : margin + width]
    clear = png(replace(SMALL, transparent=True), pixels)
    assert clear[0, 0, 3] == 0
    flipped = pixels[::-1].astype(int)
    np.testing.assert_allclose(clear[inside][..., 3], flipped[..., 3], atol=1)
    seen = flipped[..., 3] > 0
    np.testing.assert_allclose(clear[inside][seen].astype(int)[..., :3], flipped[seen][..., :3], atol=4)
    for dark in (False, True):
        ground = np.array([int(INKS[dark].ground[i : i + 2], 16) for i in (1, 3, 5)])
        alpha = flipped[..., 3:] / 255
        expected = flipped[..., :3] * alpha + ground * (1 - alpha)
        shown = png(replace(SMALL, dark=dark), pixels)[inside][..., :3]
        np.testing.assert_allclose(shown.astype(int), expected, atol=2)


@pytest.mark.more
@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_an_svg_holds_the_picture_once_and_text_as_text(design):
    root = svg(design)
    (image,) = root.iter(SVG + "image")
    link = image.get("{http://www.w3.org/1999/xlink}href").partition(",")[2]
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(link))))
    assert image.get("transform").startswith(f"matrix({72 / design.dpi:.6g} 0 0 {-72 / design.dpi:.6g} ")
    np.testing.assert_array_equal(stored, picture(design))  # first row at the bottom, as the transform has it
    shown = texts(root)
    if isinstance(design.key, Legend):
        labels = [text for text in shown if text.startswith("nn")]
        assert len(labels) == len(set(labels)) == len(design.key.rows)
        assert shown.count("12,345") == sum(row.n_cells is not None for row in design.key.rows)
    if design.title:
        assert any(text.startswith(design.title[:7]) for text in shown)


def test_columns_of_a_legend_stand_apart_with_their_counts_aligned():
    root = svg(DESIGNS["255"])
    ends = sorted({float(e.get("x")) for e in root.iter(SVG + "text") if e.text == "12,345"})
    starts = sorted({place_of(root, row.label)[0] for row in DESIGNS["255"].key.rows})
    assert len(starts) == len(ends) > 1
    for end, start in zip(ends, starts[1:], strict=False):
        assert start - end == pytest.approx(10 + 5 + 4, abs=0.01)  # the gap, the marker and the space after it


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_names_are_text_and_nothing_else(file_format):
    labels = tuple(Label(name, 8 - 3 * i, 700.0 * i) for i, name in enumerate(HOSTILE))
    design = Design(
        dpi=72,
        title=HOSTILE[0],
        axis_names=HOSTILE[1:3],  # with and without an even number of dollars
        key=Legend(tuple(Row(name, "#1f77b4") for name in HOSTILE), HOSTILE[4]),
        labels=labels,
    )
    written = render(picture(design), VIEW, design, file_format)
    bar = render(picture(design), VIEW, replace(design, key=replace(BAR, label=HOSTILE[0] + HOSTILE[3])), file_format)
    if file_format == "svg":
        assert not [e for e in ET.fromstring(bar).iter() if "script" in e.tag]
        root = ET.fromstring(written)
        assert not [element for element in root.iter() if "script" in element.tag]
        assert set(map(clean, HOSTILE)) <= set(texts(root))
        assert {"$x^2$ & $", "$x$"} <= set(texts(root))
        assert "a\ufffdb\ufffdc d" in texts(root)


def test_a_name_with_letters_that_no_font_has_is_drawn_all_the_same():
    design = replace(SMALL, key=Legend((Row("細胞 \U000f0000", "#1f77b4"),)), title="細胞")
    assert png(design, picture(design)).size
    assert "細胞 \U000f0000" in texts(svg(design))


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_the_same_figure_is_the_same_file_whatever_matplotlib_is_set_to(file_format):
    design = replace(DESIGNS["8 categories"], labels=(Label("T", 0, 2_500, 5), Label("B", 0.1, 2_500, 9)))
    first = render(picture(design), VIEW, design, file_format)
    with mpl.rc_context({"font.size": 20, "text.usetex": True, "svg.hashsalt": "other", "axes.linewidth": 4}):
        before = dict(mpl.rcParams)
        assert render(picture(design), VIEW, design, file_format) == first
        assert dict(mpl.rcParams) == before
    assert b"date" not in first.lower()


def test_a_png_says_how_many_dots_an_inch_it_has():
    image = Image.open(io.BytesIO(render(picture(SMALL), VIEW, SMALL)))
    assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_matplotlib_is_not_loaded_before_a_figure_is_asked_for():
    check = "import sys, cellasso_app.figures.sheet; sys.exit('matplotlib.figure' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", check], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_pyplot_is_left_alone():
    check = (
        "import sys, numpy as np; from cellasso_app.figures.figure import render;"
        "from cellasso_app.figures.design import Design; d = Design(1, 1, 72);"
        "render(np.zeros((72, 72, 4), dtype=np.uint8), (0, 1, 0, 1), d); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", check], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_ticks_stand_where_their_values_are():
    design = Design(width=4, height=3, dpi=72, axes="ticks", axis_names=("CD4", "CD8"))
    root = svg(design, Viewport(-11.0, 9.0, 100.0, 5_100.0))
    left, right = place_of(root, "\N{MINUS SIGN}10"), place_of(root, "5")
    assert right[0] - left[0] == pytest.approx(15 / 20 * 4 * 72, abs=0.01)
    below, above = place_of(root, "1,000"), place_of(root, "5,000")
    assert below[1] - above[1] == pytest.approx(4_000 / 5_000 * 3 * 72, abs=0.01)
    assert {"CD4", "CD8", "0"} <= set(texts(root))


def test_a_glyph_has_names_and_no_numbers():
    assert texts(svg(replace(SMALL, axis_names=("UMAP 1", "UMAP 2")))) == ["UMAP 1", "UMAP 2"]


@pytest.mark.parametrize(("shading", "values"), [("linear", (5, 10, 15)), ("log", (1, 10)), ("cbrt", (0.5, 2, 5, 10))])
def test_the_numbers_of_a_colour_bar_stand_where_their_colours_are(shading, values):
    bar = ColorBar(COLOR_MAPS[False], Ramp(0.0, 21.0, shading), "CD4", clipped=True)
    root = svg(replace(SMALL, key=bar))
    low, high = place_of(root, "0")[1], place_of(root, "≥ 21")[1]
    assert low - high == pytest.approx(80, abs=0.01)
    scale = {"linear": np.asarray, "log": np.log1p, "cbrt": np.cbrt}[shading]
    shown = [value for value in values if number(value) in texts(root)]
    assert len(shown) >= 1
    for value in shown:
        part = scale(value) / scale(21.0)
        assert low - place_of(root, number(value))[1] == pytest.approx(80 * part, abs=0.01)


def test_a_colour_bar_runs_from_its_first_to_its_last_colour():
    pixels = png(
        replace(SMALL, key=ColorBar(("#ff0000", "#00ff00", "#0000ff"), Ramp(0, 1))), picture(SMALL, opaque=False) * 0
    )
    pure = pixels[..., :3].astype(int)
    rows = [np.flatnonzero((pure == np.eye(3, dtype=int)[k] * 255).all(axis=2).any(axis=1)) for k in range(3)]
    assert rows[0].min() > rows[1].max()
    assert rows[1].min() > rows[2].max()
    heights = np.array([len(r) for r in rows])
    np.testing.assert_allclose(heights, 80 / 3 * SMALL.dpi / 72, atol=1.5)


def test_labels_stand_over_their_cells_apart_and_the_larger_first():
    design = Design(
        width=3,
        height=2,
        dpi=72,
        labels=(Label("small", 0, 2_500, 5), Label("large", 0, 2_500, 9), Label("B", 5, 0, 1)),
    )
    root = svg(design)
    large, small, corner = (place_of(root, name) for name in ("large", "small", "B"))
    assert large == pytest.approx((4 + 1.5 * 72, 4 + 72 + 0.36 * 7), abs=0.01)
    assert large[0] == pytest.approx(small[0], abs=0.01)
    assert abs(large[1] - small[1]) == pytest.approx(7 * 1.2 + 0.5, abs=0.01)
    assert corner[0] == pytest.approx(4 + 0.75 * 3 * 72, abs=0.01)
    for name in ("large", "small", "B"):  # each with its halo below, as text
        halo, front = (e for e in root.iter(SVG + "text") if e.text == name)
        assert "stroke: #ffffff" in halo.get("style")
        assert "stroke" not in front.get("style")


def test_labels_off_the_picture_are_left_out():
    root = svg(replace(SMALL, labels=(Label("off", 11, 5), Label("none", float("nan"), 5), Label("on", 0, 2_500))))
    assert set(texts(root)) == {"on"}


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(224, 300, 4\)"):
        render(np.zeros((224, 300, 4), dtype=np.uint8), VIEW, SMALL)


def test_the_numbers_of_equalised_colours_stand_where_their_cells_are_and_can_be_read():
    counts = np.repeat([0.0, 1, 2, 3, 20], [50, 30, 10, 9, 1]).astype("f4")
    ramp = Scale(100.0, "eq_hist").ramp(CellValues("CD4", counts).coloring)
    root = svg(replace(SMALL, key=replace(BAR, ramp=ramp)))
    heights = {text: place_of(root, text)[1] for text in ("0", "1", "2", "20")}
    bottom = heights["0"]
    assert bottom - heights["20"] == pytest.approx(80, abs=0.01)
    assert bottom - heights["1"] == pytest.approx(80 * 0.6, abs=0.01)
    assert bottom - heights["2"] == pytest.approx(80 * 0.8, abs=0.01)
    assert "3" not in texts(root)  # it would run into the 2


@pytest.mark.parametrize("ramp", [Ramp(0.0, 4.2), Ramp(1.0, 1000.0, "log"), Ramp(-30.0, 30.0, "cbrt")], ids=str)
def test_each_number_of_a_colour_bar_has_a_row_of_its_own(ramp):
    root = svg(replace(SMALL, key=replace(BAR, ramp=ramp, label="")))
    heights = sorted(place_of(root, text)[1] for text in texts(root))
    assert len(heights) > 4
    assert np.diff(heights).min() >= ROW - 0.01


@pytest.mark.parametrize("low", [0.0, 3.5, -2.0])
def test_a_colour_bar_of_one_value_is_drawn(low):
    ramp = Scale().ramp(CellValues("v", np.full(5, low, dtype="f4")).coloring)
    assert number(low, 3) in texts(svg(replace(SMALL, key=replace(BAR, ramp=ramp))))


def test_a_figure_without_categories_is_drawn():
    assert texts(svg(replace(SMALL, key=Legend((), "empty")))) == ["empty"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234567, 3, "1,234,567"),
        (0.30000000000000004, 10, "0.3"),
        (-0.0, 10, "0"),
        (-2.5, 10, "\N{MINUS SIGN}2.5"),
        (3.27134, 3, "3.27"),
        (999.6, 3, "1e+03"),
    ],
)
def test_numbers_read_as_people_write_them(value, digits, text):
    assert number(value, digits) == text
