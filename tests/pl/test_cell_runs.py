"""Cells along an axis, against scanpy's frame sorted by group; and what heatmaps and tracksplots draw of them."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from scanpy.plotting._anndata import _prepare_dataframe

from cellasso.core.errors import ElementError
from cellasso.pl.cell_runs import read_cell_runs
from cellasso.pl.features import choose_features
from cellasso.pl.groups import read_groups
from cellasso.pl.heatmap import heatmap
from cellasso.pl.plot_area import X, Y
from cellasso.pl.tracksplot import FILLED, tracksplot
from pl_files import GENES

pytestmark = pytest.mark.more  # run with the newest versions alone


def scanpys(adata, groupby, **options):
    """Return the frame that scanpy's heatmap sorts by group; here cells keep their order in each group."""
    _, frame = _prepare_dataframe(adata, GENES, groupby, **options)
    return frame.iloc[np.argsort(frame.index.codes, kind="stable")]


def runs_of(dataset, groupby, layer=None, use_raw=None, **options):
    features = choose_features(dataset, GENES, layer=layer, use_raw=use_raw)
    return read_cell_runs(dataset, features, read_groups(dataset, groupby), **options)


@pytest.mark.parametrize("options", [{}, {"use_raw": False}, {"layer": "counts", "log": True}])
def test_few_cells_stand_alone(pbmc, adata, options):
    expected = scanpys(adata, "bulk_labels", **options)
    found = runs_of(pbmc, "bulk_labels", **options)
    assert found.most == 1
    assert found.note("row") == ""
    np.testing.assert_allclose(found.values, expected.to_numpy(), rtol=1e-6, atol=1e-7)
    counts = expected.index.value_counts(sort=False)
    np.testing.assert_array_equal(found.ends, np.cumsum(counts))
    np.testing.assert_array_equal(found.starts, np.cumsum(counts) - counts)


@pytest.mark.parametrize("most", [40, 100, 350, 699])
def test_more_cells_are_averaged_in_runs_of_one_group(pbmc, adata, most):
    frame = scanpys(adata, "bulk_labels")
    found = runs_of(pbmc, "bulk_labels", max_runs=most)
    assert most / 2 <= len(found.values) <= most
    assert str(found.most) in found.note("row")
    lengths = []
    for group, label in enumerate(found.groups.labels):
        own = frame[frame.index == label].to_numpy(dtype=np.float64)
        parts = found.values[found.starts[group] : found.ends[group]]
        # as many in each run, but for one
        places = np.arange(len(own)) * len(parts) // len(own)
        expected = pd.DataFrame(own).groupby(places).mean().to_numpy()
        np.testing.assert_allclose(parts, expected, rtol=1e-6)
        lengths += np.bincount(places).tolist()
    assert max(lengths) == found.most


def test_more_groups_than_runs_have_one_each(pbmc):
    found = runs_of(pbmc, "bulk_labels", max_runs=3)
    assert len(found.values) == len(found.groups)


@pytest.mark.parametrize("scale", ["var", "obs"])
def test_scaling_is_that_of_scanpy(pbmc, adata, scale):
    frame = scanpys(adata, "bulk_labels", layer="counts")
    axis = 0 if scale == "var" else 1
    if scale == "var":
        expected = (frame - frame.min(axis=axis)) / (frame - frame.min(axis=axis)).max(axis=axis)
    else:
        expected = frame.sub(frame.min(axis=axis), axis=0)
        expected = expected.div(expected.max(axis=axis), axis=0)
    found = runs_of(pbmc, "bulk_labels", layer="counts", standard_scale=scale)
    np.testing.assert_allclose(found.values, expected.fillna(0), rtol=1e-6)


def test_a_scale_that_is_not_known(pbmc):
    with pytest.raises(ElementError, match="standard_scale='group'"):
        heatmap(pbmc, GENES, "phase", standard_scale="group")


def test_cells_without_a_group_are_left_out(pbmc, adata):
    found = runs_of(pbmc, "gaps")
    assert len(found.values) == adata.obs["gaps"].notna().sum()


def test_an_h5mu_has_gaps_where_a_modality_lacks_cells(pbmc_mu):
    features = choose_features(pbmc_mu, ["protein:P1", "rna:CD3D"], use_raw=False)
    found = read_cell_runs(pbmc_mu, features, read_groups(pbmc_mu, "rna:bulk_labels"))
    assert np.isnan(found.values[:, 0]).sum() == 301
    assert not np.isnan(found.values[:, 1]).any()


@pytest.mark.parametrize("swap_axes", [False, True])
def test_the_image_has_the_first_cell_and_feature_at_the_top(pbmc, swap_axes):
    runs = runs_of(pbmc, "bulk_labels")
    image = heatmap(pbmc, GENES, "bulk_labels", swap_axes=swap_axes).Image.I
    shown = image.dimension_values("value", flat=False)[::-1]  # HoloViews gives the lowest row first
    np.testing.assert_array_equal(shown, runs.values.T if swap_axes else runs.values)
    assert image.bounds.lbrt() == (0, 0, *(shown.shape[::-1]))


def test_names_of_features_are_left_out_where_there_are_many(pbmc, adata):
    names = list(adata.raw.var_names[:51])
    for count, options, shown in ((50, {}, True), (51, {}, False), (51, {"show_gene_labels": True}, True)):
        plot = heatmap(pbmc, names[:count], "phase", **options)
        ticks = hv.Store.lookup_options("bokeh", plot, "plot").kwargs.get("xticks")
        assert ([text for _, text in ticks] == names[:count]) if shown else ticks is None


def test_tracks_are_the_values_of_their_cells(pbmc):
    runs = runs_of(pbmc, "bulk_labels")
    shown = tracksplot(pbmc, GENES, "bulk_labels")
    tracks = [element for element in shown.values() if element.group == "Tracks"]
    assert len(tracks) == len(runs.groups)
    for group, element in enumerate(tracks):
        parts = np.split(element.array(), np.flatnonzero(np.isnan(element.array()[:, 0])))
        for track, part in enumerate(parts):
            corners = part[~np.isnan(part[:, 0])]
            own = runs.values[runs.starts[group] : runs.ends[group], track]
            middles = np.isin(corners[:, 0] % 1, 0.5)
            np.testing.assert_allclose(corners[middles, 0], np.arange(runs.starts[group], runs.ends[group]) + 0.5)
            low, high = min(0, runs.values[:, track].min()), runs.values[:, track].max()
            heights = (corners[middles, 1] - (len(GENES) - 1 - track)) / FILLED
            np.testing.assert_allclose(heights, (own - low) / (high - low), atol=1e-12)


def test_aggregated_plots_say_so(pbmc, monkeypatch):
    monkeypatch.setattr("cellasso.pl.cell_runs.read_cell_runs.__kwdefaults__", {
        "log": False, "standard_scale": None, "max_runs": 100,
    })  # fmt: skip
    for plot, what in ((heatmap, "row"), (tracksplot, "step")):
        shown = plot(pbmc, GENES, "phase", title="Cells")
        for backend in ("bokeh", "matplotlib"):
            title = hv.Store.lookup_options(backend, shown, "plot").kwargs["title"]
            assert title == f"Cells - each {what} is the mean of up to 8 cells"


def test_the_strip_has_the_colours_and_places_of_the_groups(pbmc):
    runs = runs_of(pbmc, "bulk_labels")
    strip = heatmap(pbmc, GENES, "bulk_labels", swap_axes=True).Strip.I
    np.testing.assert_array_equal(strip["x0"], runs.starts)
    np.testing.assert_array_equal(strip["x1"], runs.ends)
    assert list(strip["group"]) == list(runs.groups.labels)
    style = hv.Store.lookup_options("bokeh", strip, "style").kwargs
    assert list(style["cmap"]) == list(runs.groups.colors)
    assert (X, Y) == ("x", "y")
