"""Pictures as reductions, against the same ones made of datashader's own over a pandas frame."""

from __future__ import annotations

import anndata as ad
import datashader as ds
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import cellasso
import cellasso.pl
from cellasso.color.coloring import CellValues, palette
from cellasso.color.palettes import rgb
from cellasso.core.errors import NotFoundError
from cellasso.model.vector import Vector
from cellasso.pl.pictures import reducer_of
from cellasso.points.point_index import Viewport
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import draw
from cellasso.raster.style import SELECTED, Canvas, Style

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

N = 9_000
X, Y = "X_umap:0", "X_umap:1"
CANVASES = {
    "all": ds.Canvas(60, 40, (-4.0, 4.0), (-4.0, 4.0)),
    "a part": ds.Canvas(37, 20, (-0.5, 0.25), (0.0, 1.0)),
    "nothing": ds.Canvas(5, 4, (50.0, 51.0), (0.0, 1.0)),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(N, 2))
    xy[:100] = rng.integers(-1, 2, (100, 2))
    xy[100:120] = np.nan
    codes = rng.choice(4, N, p=[0.6, 0.3, 0.09, 0.01])
    kind = pd.Categorical.from_codes(np.where(np.arange(N) % 11, codes, -1), ["many", "some", "few", "rare"])
    obs = pd.DataFrame({"kind": kind, "score": rng.normal(size=N)}, index=[f"c{i}" for i in range(N)])
    adata = ad.AnnData(np.ones((N, 1), "f4"), obs=obs)
    adata.obsm["X_umap"] = xy.astype("f4")
    path = tmp_path_factory.mktemp("pictures") / "cells.h5ad"
    adata.write_h5ad(path)
    with cellasso.open(path) as opened:
        yield opened


@pytest.mark.parametrize("canvas", CANVASES.values(), ids=CANVASES)
def test_the_last_category_on_top_is_the_highest_code(dataset, canvas):
    frame = dataset.cells[[X, Y, "kind"]].copy()
    frame["code"] = frame["kind"].cat.codes.astype("f4").where(frame["kind"].notna())
    expected = canvas.points(frame, X, Y, ds.max("code")).fillna(-1).astype("i2")
    xr.testing.assert_identical(canvas.points(dataset.cells, X, Y, cellasso.pl.top("kind", "legend")), expected)


@pytest.mark.parametrize("canvas", CANVASES.values(), ids=CANVASES)
def test_the_rarest_category_on_top(dataset, canvas):
    frame = dataset.cells[[X, Y, "kind"]].copy()
    counts = frame["kind"].value_counts()
    frame["rarity"] = -frame["kind"].map(counts).astype("f4")
    frame["code"] = frame["kind"].cat.codes.astype("f4")
    expected = canvas.points(frame, X, Y, ds.where(ds.max("rarity"), "code")).fillna(-1).astype("i2")
    xr.testing.assert_identical(canvas.points(dataset.cells, X, Y, cellasso.pl.top("kind", "rare")), expected)


@pytest.mark.parametrize("canvas", CANVASES.values(), ids=CANVASES)
def test_any_cell_on_top_is_one_of_the_pixel(dataset, canvas):
    known = dataset.cells[[X, Y, "kind"]].copy().dropna(subset=["kind"])
    found = canvas.points(dataset.cells, X, Y, cellasso.pl.top("kind"))
    counts = canvas.points(known, X, Y, ds.by("kind")).to_numpy()
    xr.testing.assert_identical(found, canvas.points(dataset.cells, X, Y, cellasso.pl.top("kind")))
    np.testing.assert_array_equal(found >= 0, counts.sum(axis=2) > 0)
    rows, columns = np.nonzero(found.to_numpy() >= 0)
    assert counts[rows, columns, found.to_numpy()[rows, columns]].all()


@pytest.mark.parametrize("canvas", CANVASES.values(), ids=CANVASES)
def test_mixed_colours_are_the_mean_of_those_of_the_cells(dataset, canvas):
    frame = dataset.cells[[X, Y, "kind"]].copy()
    frame["kind"] = frame["kind"].cat.add_categories("none").fillna("none")
    counts = canvas.points(frame, X, Y, ds.by("kind")).to_numpy().astype("f8")
    colors = rgb([*palette(4), "#b8bcc4"]).astype("f8")
    n = counts.sum(axis=2)
    expected = np.rint((counts @ colors) / np.maximum(n, 1)[..., None]).astype("u1")
    found = canvas.points(dataset.cells, X, Y, cellasso.pl.mix("kind"))
    assert found.dims == (Y, X, "channel")
    np.testing.assert_array_equal(found[..., :3], np.where(n[..., None] > 0, expected, 0))
    np.testing.assert_array_equal(found[..., 3], np.where(n > 0, 255, 0))


def test_pictures_are_of_files_and_of_categories(dataset):
    canvas = CANVASES["all"]
    with pytest.raises(TypeError, match="is for the cells of a file"):
        canvas.points(dataset.cells[[X, Y, "kind"]].copy(), X, Y, cellasso.pl.top("kind"))
    with pytest.raises(ValueError, match="categorical"):
        canvas.points(dataset.cells, X, Y, cellasso.pl.mix("score"))
    with pytest.raises(NotFoundError, match="nothing"):
        canvas.points(dataset.cells, X, Y, cellasso.pl.top("nothing"))
    with pytest.raises(ValueError, match="legend or rare"):
        cellasso.pl.top("kind", "high")


@pytest.mark.parametrize("order", ["random", "legend", "rare", "mixed"])
def test_the_explorers_picture_is_the_same_by_way_of_datashader(dataset, order):
    points = dataset.point_index("X_umap")
    cells = ColoredCells(points, CellValues("kind", dataset.read_obs("kind")).coloring)
    states = (np.arange(len(points)) % 3 == 0).astype("u1") * SELECTED
    canvas, view, style = Canvas(60, 40), Viewport(-2.0, 2.0, -1.0, 1.5), Style(order=order, fade=True)
    reducer = reducer_of(dataset.cells, Vector.parse(X), Vector.parse(Y))
    ours = draw(cells, view, canvas, style, states, dots=False)
    theirs = draw(cells, view, canvas, style, states, dots=False, reducer=reducer)
    assert ours.n_visible == theirs.n_visible > 0
    np.testing.assert_array_equal(ours.codes, theirs.codes)
    np.testing.assert_array_equal(ours.alpha, theirs.alpha)
    if order == "mixed":
        np.testing.assert_array_equal(ours.mixture, theirs.mixture)
