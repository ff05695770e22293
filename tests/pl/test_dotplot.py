"""What dotplots and matrixplots draw of their numbers: places, sizes, colours, brackets, options of both backends."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest
import scanpy as sc
from matplotlib import colormaps
from matplotlib.colors import LogNorm, TwoSlopeNorm, to_hex

from cellasso.core.errors import ElementError
from cellasso.pl.color_scale import color_scale
from cellasso.pl.dotplot import DotSizes, dotplot
from cellasso.pl.features import choose_features
from cellasso.pl.group_values import read_group_values
from cellasso.pl.groups import read_groups
from cellasso.pl.matrixplot import matrixplot
from pl_files import GENES, MARKERS

pytestmark = pytest.mark.more  # run with the newest versions alone


def scanpys_dots(adata, **options):
    """Return the places, areas and colours of the dots that scanpy draws."""
    plot = sc.pl.DotPlot(adata, GENES, "bulk_labels")
    plot.style(**{name: value for name, value in options.items() if name != "swap_axes"})
    if options.get("swap_axes"):
        plot.swap_axes()
    axes = plot.get_axes()["mainplot_ax"]
    dots = axes.collections[0]
    n_rows = len(axes.get_yticks())
    places = dots.get_offsets() * [1, -1] + [0, n_rows]
    return np.asarray(places), dots.get_sizes(), [to_hex(color) for color in dots.get_facecolors()]


@pytest.mark.parametrize(
    "options",
    [{}, {"dot_max": 0.5, "dot_min": 0.1}, {"smallest_dot": 30}, {"swap_axes": True}],
    ids=["defaults", "clipped", "smallest", "swapped"],
)
def test_dots_are_drawn_where_and_as_large_as_by_scanpy(pbmc, adata, options):
    places, areas, colors = scanpys_dots(adata, **options)
    points = dotplot(pbmc, GENES, "bulk_labels", **options).Points.I.dframe()
    order, ours = (np.lexsort(np.round(at, 3).T) for at in (places, points[["x", "y"]].to_numpy()))
    np.testing.assert_allclose(points[["x", "y"]].to_numpy()[ours], places[order], atol=1e-6)
    np.testing.assert_allclose(points["area"].to_numpy()[ours], areas[order], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(points["diameter"] ** 2, points["area"])
    scale = color_scale(points["mean"].to_numpy(), "Reds")
    drawn = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in scale.of(points["mean"].to_numpy())])
    theirs = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
    assert np.abs(drawn[ours] - theirs[order]).max() <= 4  # a step of 256


def test_points_tell_all_numbers(pbmc):
    values = read_group_values(pbmc, choose_features(pbmc, GENES), read_groups(pbmc, "bulk_labels"))
    for name, element in (
        ("Points", dotplot(pbmc, GENES, "bulk_labels").Points.I),
        ("Rectangles", matrixplot(pbmc, GENES, "bulk_labels").Rectangles.I),
    ):
        assert type(element).__name__ == name
        frame = element.dframe()
        for row in frame.itertuples():
            group = values.groups.labels.index(row.group)
            slots = [slot for slot, gene in enumerate(GENES) if gene == row.feature]
            assert row.mean == values.mean[group, slots[0]]
            assert row.fraction == values.fraction[group, slots[0]]
            assert row.cells == values.groups.n_cells[group]
        assert len(frame) == values.mean.size


def test_squares_fill_the_grid(pbmc):
    squares = matrixplot(pbmc, GENES, "phase", swap_axes=True).Rectangles.I.dframe()
    assert set(zip(squares["x0"], squares["y0"], strict=True)) == {(x, y) for x in range(3) for y in range(len(GENES))}
    assert ((squares["x1"] - squares["x0"]) == 1).all()
    first = squares[(squares["x0"] == 0) & (squares["y0"] == len(GENES) - 1)].iloc[0]
    assert (first["feature"], first["group"]) == ("CD3D", "G1")


@pytest.mark.parametrize("swap_axes", [False, True])
def test_brackets_stand_over_their_features(pbmc, swap_axes):
    shown = dotplot(pbmc, MARKERS, "phase", swap_axes=swap_axes)
    labels = next(element for element in shown.values() if type(element) is hv.Labels and element.group == "Brackets")
    along = labels["y"] if swap_axes else labels["x"]
    expected = np.array([1.5, 4.0, 6.5])  # the middle of 0 to 2, 3 to 4, 5 to 7
    np.testing.assert_allclose(along, len(GENES) - expected if swap_axes else expected)
    assert list(labels["Label"]) == list(MARKERS)


def test_ticks_carry_names_in_both_backends(pbmc):
    shown = dotplot(pbmc, GENES, "phase")
    for backend in ("bokeh", "matplotlib"):
        options = hv.Store.lookup_options(backend, shown, "plot").kwargs
        assert options["xticks"] == [(at + 0.5, gene) for at, gene in enumerate(GENES)]
        assert options["yticks"] == [(2.5, "G1"), (1.5, "G2M"), (0.5, "S")]


def test_a_dendrogram_orders_groups_and_their_markers(pbmc):
    markers = {"S": ["LYZ"], "G1": ["CD3D"], "G2M": ["CST3"]}
    shown = matrixplot(pbmc, markers, "phase", dendrogram=True)
    options = hv.Store.lookup_options("bokeh", shown, "plot").kwargs
    groups = [text for _, text in options["yticks"]]
    assert [text for _, text in options["xticks"]] == [markers[group][0] for group in groups]
    assert "Tree" in shown.children


def test_the_key_of_sizes():
    sizes = DotSizes.of(np.array([0.0, 0.72]), None, None, 0.0)
    assert (sizes.dot_min, sizes.dot_max) == (0.0, 0.8)
    np.testing.assert_allclose(sizes.key(), [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(sizes.area(np.array([0.0, 0.8, np.nan])), [0, 200, 0])
    nothing = DotSizes.of(np.zeros(3), None, None, 0.0)
    assert nothing.dot_max == 1
    with pytest.raises(ElementError, match="have to ascend"):
        DotSizes.of(np.zeros(3), 0.9, 0.2, 0.0)


@pytest.mark.parametrize(
    ("options", "norm"),
    [
        ({}, None),
        ({"vmin": -1.0, "vmax": 2.0}, None),
        ({"vcenter": 1.0}, TwoSlopeNorm(1.0, 0.5, 8.0)),
        ({"vcenter": 0.0, "vmin": -4.0}, TwoSlopeNorm(0.0, -4.0, 8.0)),
        ({"norm": LogNorm()}, LogNorm(0.5, 8.0)),
    ],
)
def test_colours_are_those_of_matplotlib(options, norm):
    values = np.array([0.5, 1.0, 3.0, 8.0, np.nan])
    scale = color_scale(values, "RdBu_r", **options)
    assert scale.limits == (options.get("vmin", 0.5), options.get("vmax", 8.0))
    if norm is None:
        from matplotlib.colors import Normalize

        norm = Normalize(*scale.limits)
    at = np.linspace(*scale.limits, 256)
    assert list(scale.colors) == [to_hex(color) for color in colormaps["RdBu_r"](np.asarray(norm(at)))]


def test_colours_of_one_value_and_of_none():
    assert color_scale(np.array([2.0, 2.0]), "Reds").limits == (2.0, 3.0)
    assert color_scale(np.array([np.nan]), ["#000000", "#ffffff"]).limits == (0.0, 1.0)
    assert color_scale(np.array([0.0, 1.0]), "fire").colors[0] == "#000000"
    assert color_scale(np.array([0.0, 1.0]), colormaps["magma"]).colors[0] == to_hex(colormaps["magma"](0.0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cmap": "Redz"}, "no colour map 'Redz'"),
        ({"vmin": 3, "vmax": 1}, "vmin=3 is above vmax=1"),
        ({"vcenter": 99}, "vcenter=99 is not between"),
        ({"norm": LogNorm(), "vmin": 1}, "exclude each other"),
        ({"dot_max": 2}, "have to ascend"),
    ],
)
def test_what_is_refused(pbmc, options, says):
    with pytest.raises(ElementError, match=says):
        dotplot(pbmc, GENES, "phase", **options)


def test_the_backend_in_use_stays_so(pbmc):
    before = hv.Store.current_backend
    dotplot(pbmc, GENES, "phase")
    assert hv.Store.current_backend == before
