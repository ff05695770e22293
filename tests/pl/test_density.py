"""Cells in each pixel, beside datashader over a pandas frame and beside its shading."""

from __future__ import annotations

import datashader as ds
import datashader.transfer_functions as tf
import holoviews as hv
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.cell_colors import map_colors
from cellasso.pl.density import density
from pl.plotted import element, options_of, rendered, write_cells, write_mudata

pytestmark = pytest.mark.more  # run with the newest versions alone


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("density") / "cells.h5ad"
    adata = write_cells(path, n=3_000)
    with cellasso.open(path) as dataset:
        yield dataset, adata


def counted(adata, image, mask=None, key="X_umap"):
    """Count the cells of a frame in the pixels of an image, the first row at the bottom."""
    frame = pd.DataFrame(np.asarray(adata.obsm[key])[:, :2], columns=["x", "y"])
    height, width = image.dimension_values(2, flat=False).shape
    left, bottom, right, top = image.bounds.lbrt()
    canvas = ds.Canvas(width, height, x_range=(left, right), y_range=(bottom, top))
    return canvas.points(frame if mask is None else frame[np.asarray(mask)], "x", "y", ds.count())


def cells_of(image):
    return np.nan_to_num(image.dimension_values("cells", flat=False))


def test_all_cells_are_counted_as_by_datashader(cells):
    dataset, adata = cells
    image = density(dataset, "umap")
    assert isinstance(image, hv.Image)
    np.testing.assert_array_equal(cells_of(image), counted(adata, image))
    assert cells_of(image).sum() == 2_999  # one has no place
    assert np.isnan(image.dimension_values("cells")).any()


@pytest.mark.parametrize("by", ["kind", "gaps", "flag", "text"])
def test_each_group_is_counted_by_itself(cells, by):
    dataset, adata = cells
    layout = density(dataset, "umap", groupby=by, bins=30)
    labels = ["b", "c", "a"] if by == "kind" else sorted(map(str, adata.obs[by].dropna().unique()))
    assert [options_of(each, "plot")["title"] for each in layout] == labels
    for plot, label in zip(layout, labels, strict=True):
        image = element(plot, hv.Image)
        assert max(cells_of(image).shape) == 30
        np.testing.assert_array_equal(cells_of(image), counted(adata, image, adata.obs[by].astype(str) == label))
        behind = element(plot, hv.RGB)
        np.testing.assert_array_equal(behind.dimension_values(5, flat=False) > 0, counted(adata, image) > 0)


def test_chosen_groups_in_their_order(cells):
    layout = density(cells[0], "umap", groupby="many", groups=["m7", "m3"], ncols=1)
    assert [options_of(each, "plot")["title"] for each in layout] == ["m7", "m3"]
    assert layout.shape == (2, 1)
    with pytest.raises(ElementError, match="many has 300 groups; name up to 60"):
        density(cells[0], "umap", groupby="many")


@pytest.mark.parametrize("how", ["linear", "log", "cbrt", "eq_hist"])
def test_colours_are_those_of_datashader(cells, how):
    dataset, adata = cells
    image = density(dataset, "umap", how=how, bins=25, color_map="viridis")
    counts = counted(adata, image)
    shaded = tf.shade(counts, cmap=list(map_colors("viridis")), how=how, rescale_discrete_levels=False)
    expected = shaded.to_numpy().view(np.uint8).reshape(*shaded.shape, 4)[..., :3].astype(int)
    low, high = options_of(image, "plot")["clim"]
    cmap = options_of(image, "style")["cmap"]
    values = cells_of(image)
    there = values > 0
    place = (values[there] - low) / (high - low)
    if options_of(image, "plot").get("cnorm") == "log":
        place = np.log(values[there] / low) / np.log(high / low)
    chosen = [cmap[min(int(share * len(cmap)), len(cmap) - 1)] for share in place]
    found = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in chosen])
    assert np.abs(found - expected[there]).max() <= 4


def test_pixels_are_square(cells):
    for key, bins in (("umap", None), ("pca", 77)):
        image = density(cells[0], key, bins=bins)
        left, bottom, right, top = image.bounds.lbrt()
        height, width = cells_of(image).shape
        assert (right - left) / width == pytest.approx((top - bottom) / height, rel=0.02)


def test_an_embedding_of_a_modality(tmp_path):
    mdata = write_mudata(tmp_path / "cells.h5mu")
    with cellasso.open(tmp_path / "cells.h5mu") as dataset:
        for shown in (density(dataset, "rna:umap", dimensions=(0, 1)), density(dataset["rna"], "umap")):
            np.testing.assert_array_equal(cells_of(shown), counted(mdata["rna"], shown))
        sites = density(dataset, "rna:umap", groupby="site")
        site = mdata.obs["site"].loc[mdata["rna"].obs_names]
        image = element(sites, hv.Image)
        np.testing.assert_array_equal(cells_of(image), counted(mdata["rna"], image, site == "s1"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"how": "sqrt"}, ElementError, "no how 'sqrt'"),
        ({"bins": 0}, ElementError, "bins is 0"),
        ({"groupby": "nothing"}, NotFoundError, "nothing"),
        ({"color_map": "nothing"}, NotFoundError, "no colour map"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(cells, options, error, message):
    with pytest.raises(error, match=message):
        density(cells[0], "umap", **options)


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_it_is_drawn_by_both_libraries(cells, backend):
    for how in ("eq_hist", "log"):
        assert len(rendered(density(cells[0], "umap", groupby="kind", how=how), backend)) > 1_000
