"""Cells in an embedding, beside what scanpy draws of the same cells, and beside the page's own pictures."""

from __future__ import annotations

import subprocess
import sys

import holoviews as hv
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.color.coloring import CellValues
from cellasso.core.errors import AmbiguousNameError, ElementError, NotFoundError
from cellasso.pl.composition import composition
from cellasso.pl.density import density
from cellasso.pl.embedding import embedding, pca, umap
from cellasso.pl.histogram import histogram
from cellasso.pl.options import load_backends, styled, titled
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import draw
from cellasso.raster.style import Canvas, Style
from pl.plotted import N, drawn_by_scanpy, element, make_cells, options_of, rendered, write_cells, write_mudata

pytestmark = pytest.mark.more  # run with the newest versions alone

GREY = mpl.colors.to_hex("lightgray")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("embedding") / "cells.h5ad"
    adata = write_cells(path)
    with cellasso.open(path) as dataset:
        yield dataset, adata


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory):
    path = tmp_path_factory.mktemp("embedding") / "cells.h5mu"
    mdata = write_mudata(path)
    with cellasso.open(path) as dataset:
        yield dataset, mdata


def by_place(x, y, values):
    """Return values by the place of their point: the order of points in a plot is tested elsewhere."""
    return {(float(a), float(b)): value for a, b, value in zip(x, y, values, strict=True)}


def of_scanpy(axes):
    """Return colour of each place that scanpy draws."""
    points = axes.collections[0]
    x, y = np.ma.filled(points.get_offsets(), np.nan).T
    if points.get_array() is not None:
        return by_place(x, y, np.ma.filled(points.get_array(), np.nan))
    return by_place(x, y, [mpl.colors.to_hex(color) for color in points.get_facecolors()])


def of_points(plot, name):
    frame = element(plot, hv.Points).dframe()
    return by_place(*(frame.iloc[:, i] for i in (0, 1)), frame[name])


def ranges(live):
    """Return the streams of what is in view, of a dynamic map or of those that it is made of."""
    found = {stream for stream in live.streams if isinstance(stream, hv.streams.RangeXY)}
    for source in live.callback.inputs:
        found |= ranges(source) if isinstance(source, hv.DynamicMap) else set()
    return found


def without_places(found):
    return {place: value for place, value in found.items() if not np.isnan(place[0])}


@pytest.mark.parametrize("color", ["score", "number", "g1"])
def test_values_are_those_of_scanpy(cells, color):
    dataset, adata = cells
    expected = without_places(of_scanpy(drawn_by_scanpy(adata, color=color)))
    found = of_points(embedding(dataset, "umap", color=color), color)
    assert found.keys() == expected.keys()
    assert len(found) == N - 1  # one has no place
    np.testing.assert_allclose(list(found.values()), [expected[place] for place in found], rtol=1e-6)


@pytest.mark.parametrize("options", [{"use_raw": True}, {"use_raw": False}, {"layer": "twice"}], ids=str)
def test_the_matrix_is_the_one_that_scanpy_reads(cells, options):
    dataset, adata = cells
    expected = without_places(of_scanpy(drawn_by_scanpy(adata, color="g2", **options)))
    found = of_points(embedding(dataset, "umap", color="g2", **options), "g2")
    np.testing.assert_allclose(list(found.values()), [expected[place] for place in found], rtol=1e-6)


def test_a_gene_of_raw_alone_is_found_there(cells):
    dataset, adata = cells
    found = of_points(embedding(dataset, "umap", color="only_raw"), "only_raw")
    assert sum(found.values()) == pytest.approx(np.delete(adata.raw[:, "only_raw"].X, 7).sum())
    with pytest.raises(NotFoundError, match="only_raw"):
        embedding(dataset, "umap", color="only_raw", use_raw=False)


def test_counts_are_normalised_when_asked(cells):
    dataset, adata = cells
    counts = adata.raw.X
    expected = np.log1p(10_000 * counts[:, 1] / np.maximum(counts.sum(axis=1), 1))
    points = element(embedding(dataset, "umap", color="g1", normalised=True), hv.Points)
    assert np.sort(points["g1"]) == pytest.approx(np.sort(np.delete(expected, 7)), rel=1e-5)


@pytest.mark.parametrize("color", ["kind", "gaps", "flag"])
def test_colours_of_categories_are_those_of_scanpy_or_of_the_palette(cells, color):
    dataset, adata = cells
    plot = embedding(dataset, "umap", color=color)
    found = of_points(plot, "color")
    expected = without_places(of_scanpy(drawn_by_scanpy(adata, color=color)))
    if color == "kind":  # the file states them
        assert found == expected
    stable = CellValues(color, pd.Series(adata.obs[color])).coloring.colors
    rows = {key: options_of(each, "style")["color"] for key, each in element(plot, hv.NdOverlay).items()}
    if color != "kind":
        labels = {"gaps": ("no", "yes"), "flag": ("False", "True")}[color]
        assert {label: rows[label] for label in labels} == dict(zip(labels, stable, strict=True))
    missing = [place for place, value in expected.items() if value == GREY]
    assert missing == [place for place in expected if found[place] == GREY]
    assert ("NA" in rows) == bool(missing)


def test_a_legend_has_scanpys_rows_in_its_order(cells):
    dataset, adata = cells
    for color in ("kind", "gaps", "flag"):
        legend = drawn_by_scanpy(adata, color=color).get_legend()
        found = list(element(embedding(dataset, "umap", color=color), hv.NdOverlay).keys())
        assert found == [text.get_text() for text in legend.get_texts()]


def test_groups_are_coloured_and_all_others_grey_as_by_scanpy(cells):
    dataset, adata = cells
    plot = embedding(dataset, "umap", color="kind", groups=["c", "b"])
    assert of_points(plot, "color") == without_places(
        of_scanpy(drawn_by_scanpy(adata, color="kind", groups=["c", "b"]))
    )
    assert list(element(plot, hv.NdOverlay).keys()) == ["b", "c", "NA"]
    with pytest.raises(NotFoundError, match="'d'"):
        embedding(dataset, "umap", color="kind", groups="d")


def test_columns_of_text_are_categories(cells):
    dataset, adata = cells
    plot = embedding(dataset, "umap", color="text")
    assert list(element(plot, hv.NdOverlay).keys()) == ["x", "y", "z"]
    assert sorted(element(plot, hv.Points)["text"]) == sorted(np.delete(adata.obs["text"].to_numpy(str), 7))


@pytest.mark.parametrize(
    "bounds",
    [{}, {"vmin": 0.2, "vmax": 0.9}, {"vmin": "p5", "vmax": "p90"}, {"vmax": "p99.5"}, {"vcenter": 0.5}],
    ids=str,
)
def test_the_ends_of_colours_are_those_of_scanpy(cells, bounds):
    dataset, adata = cells
    norm = drawn_by_scanpy(adata, color="score", **bounds).collections[0].norm
    plot = embedding(dataset, "umap", color="score", **bounds)
    points = element(plot, hv.Points)
    low, high = options_of(points, "plot")["clim"]
    assert (low, high) == pytest.approx((norm.vmin, norm.vmax), rel=1e-6)
    cmap = options_of(points, "style")["cmap"]
    # any value has the colour that matplotlib gives it, but for the width of a step
    for value in np.linspace(low, high, 23):
        shown = np.array(mpl.colors.to_rgb(cmap[min(int((value - low) / (high - low) * len(cmap)), len(cmap) - 1)]))
        expected = np.array(mpl.colormaps["viridis"](norm(value))[:3])
        assert np.abs(shown - expected).max() < 0.03


def test_each_plot_of_a_list_has_its_own_ends_and_title(cells):
    dataset, _ = cells
    layout = embedding(dataset, "umap", color=["g0", "g1"], vmax=[1, "p99"], title=["first", "second"], ncols=1)
    assert isinstance(layout, hv.Layout)
    assert layout.shape == (2, 1)
    highs = [options_of(element(each, hv.Points), "plot")["clim"][1] for each in layout]
    assert highs[0] == 1
    assert highs[1] != 1
    assert [options_of(each, "plot")["title"] for each in layout] == ["first", "second"]
    with pytest.raises(ElementError, match="vmax has 3 entries for 2 plots"):
        embedding(dataset, "umap", color=["g0", "g1"], vmax=[1, 2, 3])


def test_the_highest_values_lie_on_top_and_missing_ones_below(cells):
    dataset, adata = cells
    axes = drawn_by_scanpy(adata, color="score")
    places = [
        tuple(map(float, place))
        for place in np.ma.filled(axes.collections[0].get_offsets(), np.nan)
        if place[0] == place[0]
    ]
    points = element(embedding(dataset, "umap", color="score"), hv.Points)
    assert list(zip(map(float, points["UMAP1"]), map(float, points["UMAP2"]), strict=True)) == places
    unsorted = element(embedding(dataset, "umap", color="score", sort_order=False), hv.Points)
    np.testing.assert_array_equal(unsorted["UMAP1"], np.delete(adata.obsm["X_umap"][:, 0], 7))


def test_cells_without_a_category_lie_below(cells):
    dataset, _ = cells
    is_missing = element(embedding(dataset, "umap", color="gaps"), hv.Points)["color"] == GREY
    assert is_missing[: is_missing.sum()].all()


@pytest.mark.parametrize("color", ["kind", "gaps", "score", None])
def test_many_cells_become_the_picture_that_the_page_draws(cells, color):
    dataset, adata = cells
    rgb = element(embedding(dataset, "umap", color=color, rasterize=True), hv.RGB)
    left, bottom, right, top = rgb.bounds.lbrt()
    height, width = rgb.rgb.dimension_values(2, flat=False).shape
    coloring, order = None, "random"
    if color is not None:
        stated = list(adata.uns["kind_colors"]) if color == "kind" else None
        coloring = CellValues(color, pd.Series(adata.obs[color].array), colors=stated).coloring
        order = "high" if color == "score" else "random"
    if color == "score":
        coloring = type(coloring)(
            color, coloring.values, np.nanmin(coloring.values), np.nanmax(coloring.values), False, coloring.n_missing
        )
    plane = dataset.point_index("X_umap")
    view = type(plane.bounds)(left, right, bottom, top)
    picture = draw(ColoredCells(plane, coloring), view, Canvas(width, height, 2), Style(order=order), dots=False)
    alpha = rgb.dimension_values(5, flat=False)
    np.testing.assert_array_equal(alpha, picture.alpha)
    colors = np.stack([rgb.dimension_values(i, flat=False) for i in (2, 3, 4)], axis=-1)[picture.alpha > 0]
    codes = picture.codes[picture.alpha > 0]
    if color in {None, "kind", "gaps"}:
        table = [*([*(coloring.colors if coloring else ()), *([GREY] * 256)][:255]), GREY]
    else:
        table = [mpl.colors.to_hex(c) for c in mpl.colormaps["viridis"](np.linspace(0, 1, 255))] + [GREY]
    expected = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in table])[codes]
    assert np.abs(colors.astype(int) - expected).max() <= (4 if color == "score" else 0)


def test_a_picture_is_drawn_from_fifty_thousand_cells_on(tmp_path, monkeypatch):
    monkeypatch.setattr("cellasso.pl.cell_picture.N_POINTS", 100)
    write_cells(tmp_path / "more.h5ad", n=102)
    with cellasso.open(tmp_path / "more.h5ad") as dataset:  # 101 of them have a place
        plot = embedding(dataset, "umap", color="kind")
        assert element(plot, hv.RGB)
        monkeypatch.setattr("cellasso.pl.cell_picture.MOST_POINTS", 100)
        with pytest.raises(ElementError, match="101 cells are too many to be points, at most 100"):
            embedding(dataset, "umap", color="kind", rasterize=False)


def test_a_unit_is_as_long_on_both_axes(cells):
    dataset, _ = cells
    for rasterize in (False, True):
        plot = embedding(dataset, "umap", color="kind", rasterize=rasterize)
        options = options_of(plot, "plot")
        (left, right), (low, high) = options["xlim"], options["ylim"]
        assert (right - left) / options["frame_width"] == pytest.approx(
            (high - low) / options["frame_height"], rel=0.01
        )
        assert options_of(plot, "plot", "matplotlib")["aspect"] == pytest.approx(
            (right - left) / (high - low), rel=0.01
        )


def test_what_is_in_view_is_drawn_anew(cells):
    dataset, _ = cells
    live = embedding(dataset, "umap", color="kind", interactive=True)
    assert isinstance(live, hv.DynamicMap)
    whole = element(live, hv.RGB)
    (stream,) = ranges(live)
    stream.event(x_range=(-1.0, 1.0), y_range=(-0.5, 1.5))
    part = element(live, hv.RGB)
    assert "legend_position" not in options_of(part, "plot")  # those are the overlay's
    assert part.bounds.lbrt() == (-1.0, -0.5, 1.0, 1.5)
    plane = dataset.point_index("X_umap")
    picture = draw(
        ColoredCells(plane, None),
        type(plane.bounds)(-1.0, 1.0, -0.5, 1.5),
        Canvas(*reversed(part.dimension_values(2, flat=False).shape), 1.5),
        dots=False,
        style=Style(),
    )
    np.testing.assert_array_equal(part.dimension_values(5, flat=False), picture.alpha)
    stream.event(x_range=None, y_range=None)  # as Bokeh says before it has shown anything
    assert element(live, hv.RGB).bounds.lbrt() == pytest.approx(whole.bounds.lbrt())


def test_names_stand_at_the_median_of_their_cells_as_by_scanpy(cells):
    dataset, adata = cells
    axes = drawn_by_scanpy(adata, color="kind", legend_loc="on data")
    expected = {text.get_text(): text.get_position() for text in axes.texts}
    labels = element(embedding(dataset, "umap", color="kind", legend_loc="on data"), hv.Labels)
    found = {name: (x, y) for x, y, name in zip(*(labels.dimension_values(i) for i in range(3)), strict=True)}
    assert found.keys() == expected.keys()
    for name, place in found.items():
        assert place == pytest.approx(expected[name], rel=1e-5)


def test_axes_are_called_as_by_scanpy(cells):
    dataset, adata = cells
    axes = drawn_by_scanpy(adata, "pca", dimensions=(2, 1))
    options = options_of(pca(dataset, dimensions=(2, 1)), "plot")
    assert (options["xlabel"], options["ylabel"]) == (axes.get_xlabel(), axes.get_ylabel()) == ("PC3", "PC2")
    assert options_of(umap(dataset), "plot")["xlabel"] == "UMAP1"
    with pytest.raises(NotFoundError, match="has 3 dimensions"):
        pca(dataset, dimensions=(0, 3))


def test_cells_without_colour_are_all_grey(cells):
    dataset, _ = cells
    plot = embedding(dataset, "X_umap")
    assert isinstance(plot, hv.Points)
    assert options_of(plot, "style")["color"] == GREY


def test_palettes_and_colour_maps_of_matplotlib(cells):
    dataset, _ = cells
    rows = element(embedding(dataset, "umap", color="kind", palette="tab10"), hv.NdOverlay)
    expected = [mpl.colors.to_hex(c) for c in mpl.colormaps["tab10"](np.linspace(0, 1, 4))]
    assert [options_of(each, "style")["color"] for each in rows] == expected
    rows = element(embedding(dataset, "umap", color="gaps", palette={"no": "red", "yes": "k"}), hv.NdOverlay)
    assert [options_of(each, "style")["color"] for each in rows] == ["#ff0000", "#000000", GREY]
    points = element(embedding(dataset, "umap", color="g0", color_map="Reds"), hv.Points)
    assert options_of(points, "style")["cmap"][-1] == mpl.colors.to_hex(mpl.colormaps["Reds"](1.0))
    assert options_of(points, "plot")["clipping_colors"] == {"NaN": GREY}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"color": "nothing"}, NotFoundError, "nothing"),
        ({"color": "g0", "cmap": "Redz"}, NotFoundError, "no colour map 'Redz'"),
        ({"color": "g0", "cmap": "Reds", "color_map": "Reds"}, ElementError, "leave one of them out"),
        ({"color": "g0", "vmin": "5%"}, ElementError, "vmin='5%' is no end of colours"),
        ({"color": "g0", "vmin": 5, "vmax": 1}, ElementError, "vmin .5. is above vmax .1."),
        ({"color": "g0", "use_raw": True, "layer": "twice"}, ElementError, "exclude each other"),
        ({"color": "g0", "layer": "thrice"}, NotFoundError, "thrice"),
        ({"color": "kind", "palette": ["nocolour"]}, ElementError, "'nocolour' is no colour"),
        ({"color": "kind", "palette": {"a": "red"}}, NotFoundError, "no colour for 'b'"),
        ({"color": "kind", "legend_loc": "on top"}, ElementError, "legend_loc 'on top'"),
        ({"color": "kind", "colorbar_loc": "left"}, ElementError, "colorbar_loc"),
        ({"color": []}, ElementError, "one entry at least"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_a_sentence(cells, options, error, message):
    with pytest.raises(error, match=message):
        embedding(cells[0], "umap", **options)


def test_an_embedding_that_is_not_there_is_named_with_the_nearest(cells):
    with pytest.raises(NotFoundError, match=r"'umaq'.*X_umap"):
        embedding(cells[0], "umaq")


def test_of_more_categories_than_colours_the_largest_have_their_own(cells):
    dataset, adata = cells
    plot = embedding(dataset, "umap", color="many")
    rows = list(element(plot, hv.NdOverlay).keys())
    assert len(rows) == 60
    assert rows[-1] == "… 196 more"  # of 254 and "other" 59 have rows
    counts = adata.obs["many"].value_counts()
    assert set(counts.index[:30]) <= set(rows)
    assert set(element(plot, hv.Points)["many"]) <= {*adata.obs["many"].cat.categories, "other"}


def test_a_modality_is_shown_as_a_file_of_its_own(multimodal):
    dataset, mdata = multimodal
    found = of_points(embedding(dataset["rna"], "umap", color="g1"), "g1")
    expected = without_places(of_scanpy(drawn_by_scanpy(mdata["rna"], color="g1")))
    np.testing.assert_allclose(list(found.values()), [expected[place] for place in found], rtol=1e-6)
    with pytest.raises(NotFoundError, match="has no obsm 'umap'"):
        embedding(dataset["protein"], "umap")


@pytest.mark.parametrize("basis", ["rna:X_umap", "rna:umap", "umap"])
@pytest.mark.parametrize("color", ["rna:g1", "g1", "protein:p2", "site", "rna:kind"])
def test_cells_of_a_modality_in_colours_of_any(multimodal, basis, color):
    dataset, mdata = multimodal
    plot = embedding(dataset, basis, color=color, use_raw=False)
    rna = mdata["rna"]
    is_shown = ~np.isnan(rna.obsm["X_umap"][:, 0])
    places = rna.obsm["X_umap"][is_shown]
    names = rna.obs_names[is_shown]
    if color == "site":
        expected = mdata.obs["site"].loc[names].astype(str)
    elif color == "rna:kind":
        expected = rna.obs["kind"].loc[names].astype(str)
    else:
        owner = mdata["protein" if "p2" in color else "rna"]
        column = pd.Series(np.asarray(owner[:, color[-2:]].X)[:, 0], index=owner.obs_names)
        expected = column.reindex(names).astype("f4")
    name = "rna:g1" if color == "g1" else color
    found = of_points(plot, name)
    shown = [found[tuple(map(float, place))] for place in places]
    pd.testing.assert_series_equal(pd.Series(shown, index=names), expected, check_names=False, check_dtype=False)
    if color == "rna:kind":
        rows = element(plot, hv.NdOverlay)
        assert [options_of(rows[key], "style")["color"] for key in ("b", "a")] == ["#ff0000", "#ffff00"]


def test_a_name_of_a_column_and_a_gene_has_to_be_made_clear(tmp_path):
    adata = write_cells(tmp_path / "twice.h5ad")
    adata.obs["g0"] = adata.obs["kind"]
    adata.write_h5ad(tmp_path / "twice.h5ad")
    with cellasso.open(tmp_path / "twice.h5ad") as dataset:
        with pytest.raises(AmbiguousNameError, match="obs:g0 or gene:g0"):
            embedding(dataset, "umap", color="g0")
        assert element(embedding(dataset, "umap", color="obs:g0"), hv.NdOverlay)


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_plots_are_drawn_by_both_libraries(cells, backend):
    dataset, _ = cells
    one = umap(dataset, color="kind", title="50% {of} $x$")
    plots = one + umap(dataset, color="score", rasterize=True) + umap(dataset, color="gaps", legend_loc="on data")
    written = rendered(plots, backend)
    if backend == "matplotlib":
        assert written.startswith(b"\x89PNG")
    else:
        assert b"50% {of} $x$" in written
        assert b"ColorBar" in written
        assert written.count(b'"type":"object","name":"LegendItem"') >= 4


def test_options_are_set_for_both_libraries_whichever_is_in_use():
    load_backends()
    before = hv.Store.current_backend
    points = styled(hv.Points([]), {"color": "red"}, bokeh={"size": 7}, matplotlib={"s": 3})
    assert hv.Store.current_backend == before
    assert {"color": "red", "size": 7}.items() <= options_of(points, "style").items()
    assert {"color": "red", "s": 3}.items() <= options_of(points, "style", "matplotlib").items()
    assert titled("a {b} $c$") == {"bokeh": {"title": "a {{b}} $c$"}, "matplotlib": {"title": r"a {{b}} \$c\$"}}


def test_a_script_needs_no_extension():
    script = (
        "import holoviews as hv; from cellasso.pl.options import styled; "
        "styled(hv.Points([]), bokeh={'size': 7}, matplotlib={'s': 3}); print(hv.Store.current_backend)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "bokeh"


def test_names_in_the_file_are_text(tmp_path):
    adata = make_cells()
    names = ["$x_{$", "{y}", "<img src=x onerror=alert(1)>", "a\nb", "", "%", "\\frac", "$$z$$"]
    adata.obs["odd $x_{"] = pd.Categorical(np.array(names)[np.arange(N) % len(names)], categories=names)
    adata.write_h5ad(tmp_path / "odd.h5ad")
    with cellasso.open(tmp_path / "odd.h5ad") as dataset:
        plots = [
            umap(dataset, color="odd $x_{"),
            umap(dataset, color="odd $x_{", legend_loc="on data"),
            umap(dataset, color="odd $x_{", rasterize=True),
            composition(dataset, "odd $x_{", by="odd $x_{"),
            histogram(dataset, "score", by="odd $x_{"),
            density(dataset, "umap", groupby="odd $x_{"),
        ]
        for plot in plots:
            assert rendered(plot, "matplotlib").startswith(b"\x89PNG")
            assert b"<img src=x" not in rendered(plot, "bokeh")


@pytest.mark.parametrize("rasterize", [True, False])
def test_a_legend_of_many_categories_is_shown(tmp_path, rasterize):
    """HoloViews leaves out legends of more than 25 rows unless it is told otherwise."""
    adata = write_cells(tmp_path / "many.h5ad")
    adata.obs["many"] = pd.Categorical([f"k{i % 30}" for i in range(adata.n_obs)])
    adata.write_h5ad(tmp_path / "many.h5ad")
    with cellasso.open(tmp_path / "many.h5ad") as dataset:
        figure = hv.render(umap(dataset, color="many", rasterize=rasterize), backend="bokeh")
    assert [len(each.items) for each in figure.legend] == [30]
