"""Violins, against SciPy and pandas over scanpy's own values, and against the shapes that seaborn draws."""

from __future__ import annotations

import sys

import holoviews as hv
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import seaborn as sns
from scipy.stats import gaussian_kde

from cellasso.core.errors import ElementError
from cellasso.pl.features import choose_features
from cellasso.pl.groups import read_groups
from cellasso.pl.stacked_violin import stacked_violin
from cellasso.pl.violin import violin
from cellasso.pl.violins import HALF_WIDTH, joined, read_densities
from pl_files import GENES

pytestmark = pytest.mark.more  # run with the newest versions alone


def scanpys(adata, **options):
    """Return the values that scanpy's stacked violin draws, and its groups."""
    plot = sc.pl.StackedViolin(adata, GENES, "bulk_labels", **options)
    return plot.obs_tidy, plot.obs_tidy.index


OPTIONS = {
    "defaults": {},
    "X": {"use_raw": False},
    "log": {"log": True, "layer": "counts"},
    "scaled by feature": {"standard_scale": "var", "layer": "counts"},
    "scaled by cell": {"standard_scale": "group", "layer": "counts"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_distributions_are_those_of_scanpys_values(pbmc, adata, options):
    frame, index = scanpys(adata, **options)
    options = dict(options)
    chosen = choose_features(pbmc, GENES, use_raw=options.pop("use_raw", None), layer=options.pop("layer", None))
    groups = read_groups(pbmc, "bulk_labels")
    found = read_densities(pbmc, chosen, groups, **options)
    assert len(found) == len(GENES)
    for slot, densities in enumerate(found):
        for group, label in enumerate(groups.labels):
            values = frame.iloc[:, slot][index == label].to_numpy(dtype=np.float64)
            np.testing.assert_allclose(densities.median[group], np.median(values), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(densities.low[group], values.min(), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(densities.high[group], values.max(), rtol=1e-6, atol=1e-7)
            if np.ptp(values) == 0:
                assert np.isnan(densities.density[group]).all()
                continue
            expected = gaussian_kde(values)(densities.support[group])
            np.testing.assert_allclose(densities.density[group], expected, rtol=0, atol=2e-4 * expected.max())


def bodies(shown):
    """Return the corners of each violin of a panel."""
    return [part[["x", "y"]].to_numpy() for part in shown.Polygons.I.split(datatype="dataframe")]


def test_shapes_are_those_of_seaborn(pbmc, adata):
    frame = pd.DataFrame({"value": adata.raw.obs_vector("CST3"), "group": adata.obs["bulk_labels"].to_numpy()})
    order = list(adata.obs["bulk_labels"].cat.categories)
    axes = sns.violinplot(
        frame, x="group", y="value", order=order, cut=0, inner=None, density_norm="width", ax=plt.figure().gca()
    )
    expected = [collection.get_paths()[0].vertices for collection in axes.collections]
    plt.close("all")
    found = bodies(violin(pbmc, "CST3", "bulk_labels"))
    assert len(found) == len(expected) == len(order)
    for at, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        one, other = mine - [at + 0.5, 0], theirs - [at, 0]
        grid = np.linspace(other[:, 1].min(), other[:, 1].max(), 50)[1:-1]
        np.testing.assert_allclose(widths_at(one, grid), widths_at(other, grid), atol=1e-3)
        assert np.abs(one[:, 0]).max() == pytest.approx(HALF_WIDTH)


def widths_at(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return how far the right side of a violin lies from its middle at some values."""
    right = corners[corners[:, 0] >= 0]
    right = right[np.argsort(right[:, 1], kind="stable")]
    return np.interp(values, right[:, 1], right[:, 0])


def test_columns_and_features_stand_beside_each_other(pbmc, adata):
    shown = violin(pbmc, ["n_genes", "CST3", "n_genes"], "louvain")
    assert isinstance(shown, hv.Layout)
    assert len(shown) == 2
    first = bodies(shown.values()[0])
    values = adata.obs["n_genes"]
    for label, corners in zip(adata.obs["louvain"].cat.categories, first, strict=True):
        own = values[adata.obs["louvain"] == label]
        assert (corners[:, 1].min(), corners[:, 1].max()) == (own.min(), own.max())


def test_without_groups_keys_are_violins_of_one_panel(pbmc, adata):
    shown = violin(pbmc, ["S_score", "G2M_score"])
    corners = bodies(shown)
    for key, each in zip(["S_score", "G2M_score"], corners, strict=True):
        assert each[:, 1].max() == pytest.approx(adata.obs[key].max())
    panels = violin(pbmc, ["S_score", "G2M_score"], multi_panel=True)
    assert isinstance(panels, hv.Layout)


def test_dots_are_the_cells(pbmc, adata, monkeypatch):
    points = violin(pbmc, "CST3", "bulk_labels").Points.I.data
    values = adata.raw.obs_vector("CST3")
    np.testing.assert_array_equal(np.sort(points["y"]), np.sort(values))
    codes = adata.obs["bulk_labels"].cat.codes.to_numpy()
    assert (np.abs(points["x"] - codes - 0.5) <= 0.1).all()
    assert "Points" not in violin(pbmc, "CST3", "bulk_labels", stripplot=False).children
    monkeypatch.setattr(sys.modules["cellasso.pl.violin"], "MAX_DOTS", 50)
    few = violin(pbmc, "CST3", "bulk_labels")
    assert len(few.Points.I) == 50
    assert set(few.Points.I["y"]) <= set(values)
    title = hv.Store.lookup_options("bokeh", few, "plot").kwargs["title"]
    assert title == "dots: 50 of 700 cells"


def test_order_and_widths_by_count(pbmc, adata):
    shown = violin(pbmc, "CST3", "phase", order=["S", "G1"], density_norm="count")
    counts = adata.obs["phase"].value_counts()
    widths = [np.ptp(each[:, 0]) / (2 * HALF_WIDTH) for each in bodies(shown)]
    np.testing.assert_allclose(
        widths, [counts["S"] / counts[["S", "G1"]].max(), counts["G1"] / counts[["S", "G1"]].max()]
    )


def test_a_logarithmic_axis_ends_above_zero(pbmc):
    shown = violin(pbmc, "n_genes", "louvain", log=True)
    low, high = hv.Store.lookup_options("bokeh", shown, "plot").kwargs["ylim"]
    assert 0 < low < high
    for key in ("bokeh", "matplotlib"):
        assert hv.Store.lookup_options(key, violin(pbmc, "CST3", "louvain", log=True), "plot").kwargs["logy"] is True
    assert min(corners[:, 1].min() for corners in bodies(violin(pbmc, "CST3", "louvain", log=True))) > 0


@pytest.mark.parametrize("swap_axes", [False, True])
def test_stacked_violins_lie_in_their_row_and_column(pbmc, adata, swap_axes):
    genes = ["CD3D", "CST3"]
    shown = stacked_violin(pbmc, genes, "phase", swap_axes=swap_axes)
    cells = shown.Rectangles.I.dframe()
    values = pd.DataFrame({gene: adata.raw.obs_vector(gene) for gene in genes}, index=adata.obs_names)
    medians = values.groupby(adata.obs["phase"], observed=True).median()
    labels = list(medians.index)
    for row in cells.itertuples():
        assert row.median == pytest.approx(medians.loc[row.group, row.feature])
        places = (genes.index(row.feature), len(labels) - 1 - labels.index(row.group))
        if swap_axes:
            places = (labels.index(row.group), len(genes) - 1 - genes.index(row.feature))
        assert (row.x0, row.y0) == places
    drawn = [body for body in shown.values() if body.group == "Violins"]
    corners = np.concatenate([part.array() for part in drawn])
    n_columns, n_rows = (3, 2) if swap_axes else (2, 3)
    inside = corners[~np.isnan(corners).any(axis=1)]
    assert (inside >= 0).all()
    assert (inside <= [n_columns, n_rows]).all()
    squares = {(int(x), int(y)) for x, y in inside}
    assert len(squares) == 6


def test_outlines_are_joined_with_gaps():
    x, y = joined([(np.array([0.0, 1.0]), np.array([2.0, 3.0])), (np.array([4.0]), np.array([5.0]))])
    np.testing.assert_array_equal(x, [0, 1, np.nan, 4])
    np.testing.assert_array_equal(y, [2, 3, np.nan, 5])


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("CST3", "phase"), {"density_norm": "height"}, "density_norm='height'"),
        (([], "phase"), {}, "keys is empty"),
        ((["phase"], "louvain"), {}, "numbers were expected"),
        ((["n_genes", "CST3"], "phase"), {"ylabel": ["one"]}, "1 names; there are 2 panels"),
    ],
)
def test_what_is_refused(pbmc, arguments, options, says):
    with pytest.raises(ElementError, match=says):
        violin(pbmc, *arguments, **options)


def test_a_scale_that_is_not_known(pbmc):
    with pytest.raises(ElementError, match="standard_scale='obs'"):
        stacked_violin(pbmc, GENES, "phase", standard_scale="obs")
