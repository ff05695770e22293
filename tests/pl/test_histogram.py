"""Numbers of cells by value, beside NumPy's histogram."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.histogram import histogram
from pl.plotted import options_of, rendered, write_cells, write_mudata

pytestmark = pytest.mark.more  # run with the newest versions alone


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("histogram") / "cells.h5ad"
    adata = write_cells(path)
    with cellasso.open(path) as dataset:
        yield dataset, adata


def values_of(adata, name):
    values = adata.raw[:, name].X[:, 0] if name in adata.raw.var_names else adata.obs[name].to_numpy()
    return values[np.isfinite(values)].astype(float)


def same(plot, expected):
    heights, edges = expected
    np.testing.assert_array_equal(plot.dimension_values(1), heights)
    np.testing.assert_array_equal(plot.edges, edges)


@pytest.mark.parametrize("name", ["score", "number", "g0", "only_raw"])
@pytest.mark.parametrize(
    "options", [{}, {"bins": 7}, {"bins": [-1, 0, 0.5, 3]}, {"value_range": (0, 2)}, {"density": True}], ids=str
)
def test_counts_are_those_of_numpy(cells, name, options):
    dataset, adata = cells
    theirs = {"bins": 50, **options}
    if "value_range" in theirs:
        theirs["range"] = theirs.pop("value_range")
    same(histogram(dataset, name, **options), np.histogram(values_of(adata, name), **theirs))


@pytest.mark.parametrize("by", ["kind", "gaps", "flag", "text"])
@pytest.mark.parametrize("density", [False, True])
def test_each_group_is_counted_over_the_same_bins(cells, by, density):
    dataset, adata = cells
    plot = histogram(dataset, "score", by=by, bins=13, density=density)
    known = adata.obs[adata.obs["score"].notna()]
    edges = np.histogram_bin_edges(known["score"], 13)
    expected = {str(label): part["score"] for label, part in known.groupby(by, observed=True)}
    assert set(plot.keys()) == set(expected)
    for label, part in plot.items():
        same(part, np.histogram(expected[label], edges, density=density))


def test_groups_have_the_colours_of_the_file_in_its_order(cells):
    plot = histogram(cells[0], "score", by="kind")
    assert list(plot.keys()) == ["b", "c", "a"]
    assert [options_of(each, "style")["fill_color"] for each in plot] == ["#ff0000", "#0000ff", "#ffff00"]
    assert list(histogram(cells[0], "score", by="kind", categories_order=["a", "b"]).keys()) == ["a", "b"]


def test_a_legend_of_many_groups_is_shown(cells):
    shown = histogram(cells[0], "score", by="number", categories_order=None)
    many = histogram(cells[0], "score", by=["kind", "number"])
    for plot in (shown, many):
        assert [len(each.items) for each in hv.render(plot, backend="bokeh").legend] == [len(plot)]
    assert len(many) > 25


def test_features_of_a_layer_or_normalised(cells):
    dataset, adata = cells
    same(histogram(dataset, "g1", layer="twice"), np.histogram(adata[:, "g1"].layers["twice"][:, 0].astype(float), 50))
    counts = adata.raw.X
    expected = np.log1p(10_000 * counts[:, 1] / np.maximum(counts.sum(axis=1), 1)).astype("f4").astype(float)
    found = histogram(dataset, "g1", normalised=True)
    assert found.dimension_values(1).sum() == len(expected)
    assert found.edges[-1] == pytest.approx(expected.max())


def test_a_feature_of_a_modality(tmp_path):
    mdata = write_mudata(tmp_path / "cells.h5mu")
    with cellasso.open(tmp_path / "cells.h5mu") as dataset:
        expected = np.histogram(np.asarray(mdata["protein"][:, "p1"].X)[:, 0].astype(float), 50)
        same(histogram(dataset, "protein:p1"), expected)  # cells of rna alone have no value
        assert list(histogram(dataset, "protein:p1", by="site").keys()) == ["s1", "s2"]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("kind", {}, ElementError, "kind holds category; numbers were expected"),
        ("flag", {}, ElementError, "flag holds bool"),
        ("score", {"bins": 0}, ElementError, "bins are 0; 1 to 10,000"),
        ("score", {"bins": [1, 1, 2]}, ElementError, "finite and ascending"),
        ("score", {"value_range": (2, 1)}, ElementError, "value_range"),
        ("score", {"by": "nothing"}, NotFoundError, "nothing"),
        ("nothing", {}, NotFoundError, "nothing"),
        ("score", {"by": "many"}, ElementError, "at most 100 fit"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(cells, name, options, error, message):
    with pytest.raises(error, match=message):
        histogram(cells[0], name, **options)


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_it_is_drawn_by_both_libraries(cells, backend):
    plots = histogram(cells[0], "score", by="kind") + histogram(cells[0], "g0", log=True)
    assert isinstance(plots, hv.Layout)
    assert len(rendered(plots, backend)) > 1_000
