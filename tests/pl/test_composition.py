"""Shares of categories in groups, beside pandas' crosstab."""

from __future__ import annotations

import sys
from itertools import product

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.composition import composition
from pl.plotted import options_of, rendered, write_cells, write_mudata

pytestmark = pytest.mark.more  # run with the newest versions alone


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("composition") / "cells.h5ad"
    adata = write_cells(path)
    with cellasso.open(path) as dataset:
        yield dataset, adata


def table(plot, value):
    """Return a plot's bars as a table, by the bars and their pieces."""
    frame = plot.dframe()
    bar, piece = frame.columns[:2]
    return frame.pivot_table(index=bar, columns=piece, values=value, sort=False, observed=True)


def same(found, expected):
    pd.testing.assert_frame_equal(
        found.rename_axis(index=None, columns=None),
        expected.rename(index=str, columns=str).rename_axis(index=None, columns=None),
        check_dtype=False,
        check_index_type=False,
        check_column_type=False,
        check_categorical=False,
    )


def plain(crosstab):
    return pd.DataFrame(crosstab.to_numpy(), index=list(crosstab.index), columns=list(crosstab.columns))


@pytest.mark.parametrize(
    ("column", "by"),
    [
        pair
        for pair in product(["kind", "gaps", "flag", "text", "many"], ["kind", "gaps", "flag"])
        if len(set(pair)) == 2
    ],
)
def test_counts_and_shares_are_those_of_a_crosstab(cells, column, by):
    dataset, adata = cells
    expected = plain(pd.crosstab(adata.obs[by], adata.obs[column]))
    same(table(composition(dataset, column, by=by, normalise=False), "cells"), expected)
    shares = plain(pd.crosstab(adata.obs[by], adata.obs[column], normalize="index"))
    plot = composition(dataset, column, by=by)
    same(table(plot, "share"), shares)
    same(table(plot, "number of cells"), expected)


def test_a_column_within_itself(cells):
    dataset, adata = cells
    frame = composition(dataset, "kind", by="kind").dframe()
    assert frame["share"].sum() == adata.obs["kind"].nunique()
    assert (frame.iloc[:, 0] == frame.iloc[:, 1]).to_numpy()[frame["share"] == 1].all()


def test_groups_of_several_columns(cells):
    dataset, adata = cells
    obs = adata.obs
    expected = plain(pd.crosstab(obs["kind"].astype(str) + "_" + obs["flag"].astype(str), obs["text"]))
    found = table(composition(dataset, "text", by=["kind", "flag"], normalise=False), "cells")
    same(found.sort_index(), expected)


@pytest.mark.parametrize("normalise", [True, False])
def test_bars_are_sorted_by_cells_or_by_a_category(cells, normalise):
    dataset, adata = cells
    expected = plain(pd.crosstab(adata.obs["many"], adata.obs["kind"]))
    found = table(composition(dataset, "kind", by="many", sort=True, normalise=normalise), "number of cells")
    assert (np.diff(found.sum(axis=1)) <= 0).all()
    same(found.loc[expected.index], expected)
    shown = "share" if normalise else "cells"
    found = table(composition(dataset, "kind", by="many", sort="c", normalise=normalise), shown)
    assert (np.diff(found["c"]) <= 0).all()
    with pytest.raises(NotFoundError, match="kind has no category 'd'"):
        composition(dataset, "kind", by="many", sort="d")


def test_chosen_groups_in_their_order(cells):
    found = table(composition(cells[0], "text", by="kind", categories_order=["c", "a"]), "share")
    assert list(found.index) == ["c", "a"]


def test_pieces_have_the_colours_of_the_file(cells):
    plot = composition(cells[0], "kind", by="text", horizontal=True)
    stated = {"b": "#ff0000", "c": "#0000ff", "a": "#ffff00"}  # no cell is in the second category
    assert options_of(plot, "style")["cmap"] == stated
    assert options_of(plot, "style", "matplotlib")["color"].values == list(stated.values())
    assert options_of(plot, "plot")["invert_axes"]


def test_a_legend_of_many_pieces_is_shown(cells):
    shown = composition(cells[0], "many", by="kind")
    labels = [label for label in cells[1].obs["many"].cat.categories if (cells[1].obs["many"] == label).any()]
    (legend,) = hv.render(shown, backend="bokeh").legend  # one item, whose rows are the pieces
    (renderer,) = legend.items[0].renderers
    assert set(renderer.data_source.data[legend.items[0].label.field]) == set(labels)
    found = hv.render(shown, backend="matplotlib").axes[0].get_legend()
    assert [text.get_text() for text in found.get_texts()] == labels


def test_too_many_pieces_are_refused(cells, monkeypatch):
    monkeypatch.setattr(sys.modules["cellasso.pl.composition"], "MOST_PARTS", 8)
    with pytest.raises(ElementError, match="3 by 3 pieces"):
        composition(cells[0], "kind", by="text")


def test_columns_of_modalities(tmp_path):
    mdata = write_mudata(tmp_path / "cells.h5mu")
    with cellasso.open(tmp_path / "cells.h5mu") as dataset:
        found = table(composition(dataset, "protein:kind", by="site", normalise=False), "cells")
        kind = mdata["protein"].obs["kind"].reindex(mdata.obs_names)
        same(found, plain(pd.crosstab(mdata.obs["site"], kind)))
        one = table(composition(dataset["rna"], "kind", by="flag", normalise=False), "cells")
        same(one, plain(pd.crosstab(mdata["rna"].obs["flag"], mdata["rna"].obs["kind"])))


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_it_is_drawn_by_both_libraries(cells, backend):
    plots = composition(cells[0], "kind", by="text") + composition(cells[0], "gaps", by="flag", horizontal=True)
    assert isinstance(plots, hv.Layout)
    assert len(rendered(plots, backend)) > 1_000
