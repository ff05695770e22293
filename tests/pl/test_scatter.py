"""Cells along two of their values, beside the columns themselves."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.scatter import scatter
from cellasso.points.point_index import PointIndex
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import draw
from cellasso.raster.style import Canvas, Style
from pl.plotted import element, options_of, rendered, write_cells, write_mudata

pytestmark = pytest.mark.more  # run with the newest versions alone


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("scatter") / "cells.h5ad"
    adata = write_cells(path)
    with cellasso.open(path) as dataset:
        yield dataset, adata


def of_points(plot):
    points = element(plot, hv.Points)
    return [points.dimension_values(i) for i in range(len(points.dimensions()))]


def test_columns_and_genes_are_the_axes(cells):
    dataset, adata = cells
    plot = scatter(dataset, "score", "g1")
    known = adata.obs["score"].notna().to_numpy()
    x, y = of_points(plot)
    np.testing.assert_array_equal(x, adata.obs["score"].to_numpy(np.float32)[known])
    np.testing.assert_array_equal(y, adata.raw[:, "g1"].X[known, 0])
    options = options_of(plot, "plot")
    assert (options["xlabel"], options["ylabel"]) == ("score", "g1")


def test_the_matrix_is_that_of_both_axes_and_the_colour(cells):
    dataset, adata = cells
    x, y, color = of_points(scatter(dataset, "g0", "g1", color="g2", layer="twice", sort_order=False))
    layer = pd.DataFrame(np.asarray(adata.layers["twice"]), columns=adata.var_names)
    np.testing.assert_array_equal(np.stack([x, y, color]), layer[["g0", "g1", "g2"]].to_numpy().T)


def test_an_axis_may_also_be_the_colour_and_the_other_axis(cells):
    dataset, _ = cells
    x, y, color = of_points(scatter(dataset, "g0", "g0", color="g0"))
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(x, color)


def test_dimensions_of_an_embedding_are_axes(cells):
    dataset, adata = cells
    x, y = of_points(scatter(dataset, "X_pca:2", "X_pca:0"))
    np.testing.assert_array_equal(np.stack([x, y], axis=1), adata.obsm["X_pca"][:, [2, 0]])


def test_a_list_of_colours_is_a_layout(cells):
    layout = scatter(cells[0], "g0", "g1", color=["kind", "score"])
    assert [options_of(each, "plot")["title"] for each in layout] == ["kind", "score"]


def test_many_cells_become_the_picture_that_the_page_draws(cells):
    dataset, adata = cells
    rgb = element(scatter(dataset, "number", "g1", rasterize=True), hv.RGB)
    points = np.stack([adata.obs["number"], adata.raw[:, "g1"].X[:, 0]], axis=1).astype(np.float32)
    left, bottom, right, top = rgb.bounds.lbrt()
    plane = PointIndex.of(points)
    view = type(plane.bounds)(left, right, bottom, top)
    alpha = rgb.dimension_values(5, flat=False)
    picture = draw(ColoredCells(plane, None), view, Canvas(*alpha.shape[::-1], 2), Style(), dots=False)
    np.testing.assert_array_equal(alpha, picture.alpha)


def test_genes_of_two_modalities(tmp_path):
    mdata = write_mudata(tmp_path / "cells.h5mu")
    with cellasso.open(tmp_path / "cells.h5mu") as dataset:
        x, y = of_points(scatter(dataset, "rna:g1", "protein:p1", use_raw=False))
        columns = [
            pd.Series(np.asarray(mdata[name][:, gene].X)[:, 0], index=mdata[name].obs_names)
            for name, gene in (("rna", "g1"), ("protein", "p1"))
        ]
        both = pd.concat(columns, axis=1).reindex(mdata.obs_names).dropna()
        np.testing.assert_array_equal(np.stack([x, y], axis=1), both.to_numpy("f4"))


def test_what_holds_no_numbers_is_no_axis(cells):
    with pytest.raises(ElementError, match="kind holds category"):
        scatter(cells[0], "kind", "g0")
    with pytest.raises(NotFoundError, match="nothing"):
        scatter(cells[0], "g0", "nothing")


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_it_is_drawn_by_both_libraries(cells, backend):
    plots = scatter(cells[0], "g0", "score", color="kind") + scatter(cells[0], "g0", "score", rasterize=True)
    assert len(rendered(plots, backend)) > 1_000
