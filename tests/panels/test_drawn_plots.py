"""Plots of the panel that are drawn anew: their numbers, beside pandas' and scanpy's; what a click on them selects."""

from __future__ import annotations

import csv
import io
import json
import threading

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cellasso
from cellasso.core.errors import Cancelled
from cellasso.model.vector import Vector
from cellasso_app.panels.plots.arrangement import Arrangement, arrange
from cellasso_app.panels.plots.asked import Asked
from cellasso_app.panels.plots.controller import PlotsView
from cellasso_app.panels.plots.drawn.show import as_figures, as_file, picture_of
from cellasso_app.panels.plots.registry import DRAWN
from cellasso_app.panels.plots.spans import Spans
from cellasso_app.panels.plots.summing import read_grouping, summarise
from cellasso_app.runtime.jobs import SerialQueue
from cellasso_app.state.session import Session
from cellasso_app.ui.theme import INKS
from cellasso_app.views.embedding.picking import Picking
from conftest import write
from stepping import until

pytestmark = pytest.mark.more  # `tests/pl` compares what is drawn with scanpy, in all versions

HOSTILE = '<img src=x onerror="alert(1)">'
GENES = ("zeta", "alpha", "mid")
KINDS = [HOSTILE, "T", "empty", "B", "NK"]


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    rng = np.random.default_rng(5)
    kinds = pd.Categorical(rng.choice(["T", "B", HOSTILE, "NK", None], 300), categories=KINDS)
    sites = pd.Categorical(rng.choice(["skin", "blood"], 300))
    obs = pd.DataFrame({"kind": kinds, "site": sites}, index=[f"c{i}" for i in range(300)])
    X = rng.poisson(1 + kinds.codes[:, None] * rng.random(3) * 3 + 1).astype("f4")
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=list(GENES)), layers={"other": X[::-1].copy()})


@pytest.fixture(scope="module")
def dataset(adata, tmp_path_factory):
    with cellasso.open(write(adata, tmp_path_factory.mktemp("drawn") / "drawn.h5ad")) as opened:
        yield opened


def asked_of(dataset, *, genes=GENES, layers=(None, None, None), dark=False, pieces=None, **arranged) -> Asked:
    vectors = tuple(Vector("gene", gene, layer=layer) for gene, layer in zip(genes, layers, strict=False))
    summed = summarise(dataset, vectors, "kind", known={}, progress=lambda _: None)
    colors = ("#111111", "#222222", "#333333", "#444444", "#555555")
    column = read_grouping(dataset, pieces) if pieces else None
    return Asked(dataset, vectors, genes, summed, colors, column, Arrangement(**arranged), dark)


def draw(name: str, asked: Asked):
    return DRAWN[name].draw(asked, lambda _: None)


def table(drawn) -> pd.DataFrame:
    return pd.DataFrame(list(drawn.rows), columns=list(drawn.header))


def values(adata: ad.AnnData) -> pd.DataFrame:
    return pd.DataFrame(adata.X, columns=list(GENES)).assign(kind=adata.obs["kind"].array)


@pytest.mark.parametrize("name", ["violin", "stacked_violin"])
def test_violins_tell_the_median_and_the_range_of_each_group(dataset, adata, name):
    found = table(draw(name, asked_of(dataset))).set_index(["group", "gene"])
    expected = values(adata).groupby("kind", observed=True)
    assert list(found.index.levels[0]) == sorted(each for each in KINDS if each != "empty")
    for gene in GENES:
        for column, of in (("median", "median"), ("lowest", "min"), ("highest", "max"), ("cells", "count")):
            right = getattr(expected[gene], of)()
            np.testing.assert_allclose(found.xs(gene, level="gene")[column].loc[list(right.index)], right)


def test_genes_of_several_matrices_come_from_their_own(dataset, adata):
    found = table(draw("stacked_violin", asked_of(dataset, layers=(None, "other", None)))).set_index(["group", "gene"])
    other = pd.Series(adata.layers["other"][:, 1]).groupby(adata.obs["kind"].astype(object).to_numpy()).median()
    np.testing.assert_allclose(found.xs("alpha", level="gene")["median"].loc[list(other.index)], other)


def test_scaled_violins_reach_from_0_to_1(dataset):
    found = table(draw("stacked_violin", asked_of(dataset, scale="var"))).groupby("gene")
    np.testing.assert_allclose(found["lowest"].min(), 0, atol=1e-12)
    np.testing.assert_allclose(found["highest"].max(), 1)


def test_more_genes_than_fit_are_said(dataset):
    drawn = draw("violin", asked_of(dataset, genes=GENES * 5, layers=(None,) * 15))
    assert len(drawn.overlays) == 12
    assert "first 12 of 15" in drawn.note


@pytest.mark.parametrize("name", ["heatmap", "tracksplot"])
def test_every_cell_stands_among_its_group(dataset, adata, name):
    drawn = draw(name, asked_of(dataset))
    found = table(drawn)
    expected = values(adata).dropna().sort_values("kind", kind="stable")
    np.testing.assert_allclose(found[list(GENES)], expected[list(GENES)])
    assert list(found["group"]) == list(expected["kind"])
    assert not drawn.note


def test_the_groups_of_a_heatmap_are_found_where_they_are_drawn(dataset, adata):
    counts = adata.obs["kind"].value_counts()
    n = int(counts.sum())
    upright, lying = draw("heatmap", asked_of(dataset)), draw("heatmap", asked_of(dataset, swapped=True))
    assert upright.groups == (HOSTILE, "T", "B", "NK")
    assert upright.spans.at(1.0, n - 0.5) == 0  # rows run from the top
    assert upright.spans.at(1.0, n - counts[HOSTILE] - 0.5) == 1
    assert upright.spans.at(1.0, 0.5) == 3
    assert upright.spans.at(1.0, n + 1.0) is None
    assert lying.spans.at(0.5, 1.0) == 0
    assert lying.spans.at(n - 0.5, 1.0) == 3


@pytest.mark.parametrize("swapped", [False, True])
def test_bars_are_the_shares_of_another_column(dataset, adata, swapped):
    drawn = draw("composition", asked_of(dataset, pieces="site", swapped=swapped))
    found = table(drawn).pivot_table(index="kind", columns="site", values="share", sort=False, observed=True)
    expected = pd.crosstab(adata.obs["kind"], adata.obs["site"], normalize="index")
    np.testing.assert_allclose(found[["blood", "skin"]], expected.loc[list(found.index), ["blood", "skin"]])
    assert drawn.groups == (HOSTILE, "T", "B", "NK")
    figure = models(as_figures(drawn, "Composition", dark=False, size=1.0), "Figure")[0]
    factors = figure["y_range" if not swapped else "x_range"]["attributes"]["factors"]
    assert len(factors) == 4
    for at, name in enumerate(factors):  # Bokeh counts from the bottom, or from the left
        assert drawn.groups[drawn.spans.at(*((0.1, at + 0.5) if not swapped else (at + 0.5, 0.1)))][:6] == name[:6]


def test_like_groups_stand_together(dataset):
    asked = asked_of(dataset, similar=True)
    orders = {name: draw(name, asked).groups for name in ("stacked_violin", "violin", "heatmap", "tracksplot")}
    assert len(set(orders.values())) == 1
    assert sorted(orders["violin"]) == sorted(each for each in KINDS if each != "empty")


def models(shown: str, kind: str) -> list[dict]:
    """Return the attributes of the models of a kind in what a browser embeds."""
    found = []

    def look(at) -> None:
        if isinstance(at, dict):
            if at.get("name") == kind and "attributes" in at:
                found.append(at["attributes"])
            for value in at.values():
                look(value)
        elif isinstance(at, list):
            for value in at:
                look(value)

    look(json.loads(shown)["doc"])
    return found


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_in_the_inks_of_the_page(dataset, name, dark):
    drawn = draw(name, asked_of(dataset, dark=dark, pieces="site", similar=True))
    shown = as_figures(drawn, DRAWN[name].label, dark=dark, size=1.5)
    figures = models(shown, "Figure")
    assert len(figures) == len(drawn.overlays)
    for figure in figures:
        assert ["aria-label", DRAWN[name].label] in figure["html_attributes"]["entries"]
        assert figure["min_height"] == round(1.5 * drawn.heights[0])
    inks = {axis["major_label_text_color"] for axis in models(shown, "LinearAxis") + models(shown, "CategoricalAxis")}
    assert inks == {INKS[dark].text}
    assert '"#333333"' not in shown


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_saved(dataset, name):
    drawn = draw(name, asked_of(dataset, pieces="site"))
    assert Image.open(io.BytesIO(as_file(drawn.overlays, "png"))).size[0] > 200
    svg = as_file(drawn.overlays, "svg").decode()
    assert "<img src=x" not in svg
    assert ">NK<" in svg


@pytest.mark.parametrize("kind", ["dotplot", "matrixplot"])
def test_a_saved_dotplot_shows_what_the_page_shows(dataset, kind):
    asked = asked_of(dataset)
    shown = arrange(asked.summed.summary, GENES, asked.summed.groups, Arrangement(similar=True, scale="var"))
    (overlay,) = picture_of(asked, shown, kind)
    found = overlay.get(0).dframe().set_index(["group", "feature"])
    assert list(dict.fromkeys(found.index.get_level_values(0))) == [each for each in shown.groups if each != "empty"]
    for row, group in enumerate(shown.groups):
        for at, gene in enumerate(GENES):
            if group != "empty":
                assert found.loc[(group, gene), "mean"] == shown.mean[row, at]
                assert found.loc[(group, gene), "fraction"] == shown.fraction[row, at]


def test_spans_are_rows_from_the_top_or_columns_from_the_left():
    assert [Spans.rows(3).at(9.0, y) for y in (2.5, 1.5, 0.5, -0.5, 3.5)] == [0, 1, 2, None, None]
    assert [Spans.columns(2).at(x, 9.0) for x in (0.5, 1.5, 2.5)] == [0, 1, None]
    assert Spans.rows(2).at(float("nan"), float("nan")) is None


@pytest.fixture
def view(dataset, one_thread, monkeypatch):
    session = Session(dataset)
    session.normalise = False
    session.group_by = "kind"
    found = PlotsView(session, Picking(session, SerialQueue(pytest.fail)))
    found.sent = []
    monkeypatch.setattr(found.bar, "send", found.sent.append)
    monkeypatch.setattr(found._frame, "send", found.sent.append)
    return found


def test_a_drawn_plot_is_sent_selects_and_is_saved(view, adata):
    session, kind = view._session, adata.obs["kind"]
    view.receive({"type": "plot", "value": "violin"})
    assert view.bar.message.startswith("Choose genes")
    session.add_gene("alpha")
    until(lambda: view.sent)
    assert view.sent[-1]["type"] == "plot"
    assert len(models(view.sent[-1]["json"], "Figure")) == 1
    view.receive({"type": "pick", "x": 1.2, "y": 0.0, "add": False})
    until(lambda: session.selection is not None)
    np.testing.assert_array_equal(session.selection.mask, kind == "T")
    view.receive({"type": "pick", "x": 9.0, "y": 0.0, "add": False})
    for file_format in ("csv", "png", "svg"):
        n = len(view.sent)
        view.receive({"type": "save", "format": file_format})
        until(lambda n=n: len(view.sent) > n)
        assert view.sent[-1]["name"] == f"violin_kind.{file_format}"
    text = next(each for each in view.sent if each.get("name") == "violin_kind.csv")["bytes"].decode()
    assert next(csv.reader(io.StringIO(text)))[:3] == ["group", "gene", "median"]
    view.receive({"type": "plot", "value": "dotplot"})
    until(lambda: view.plot.figure.visible)
    assert view.sent[-1] == {"type": "no_plot"}
    view.receive({"type": "save", "format": "png"})
    until(lambda: view.sent[-1].get("name") == "dotplot_kind.png")


def test_a_composition_needs_no_genes_and_shows_the_column_that_is_chosen(view):
    view.receive({"type": "plot", "value": "composition"})
    until(lambda: view.sent)
    assert view.bar.pieces == "site"
    view.receive({"type": "pieces", "value": "kind"})
    until(lambda: len(view.sent) > 1)
    view.receive({"type": "pieces", "value": "no such column"})
    assert view.bar.pieces == "kind"


def test_chosen_colours_colour_the_violins(view):
    view._session.add_gene("mid")
    view.receive({"type": "plot", "value": "violin"})
    until(lambda: view.sent)
    view._session.recolored = {"kind": {"T": "#abcdef"}}
    until(lambda: len(view.sent) > 1)
    assert "#abcdef" not in view.sent[0]["json"]
    assert "#abcdef" in view.sent[-1]["json"]


def test_drawing_can_be_cancelled(view, monkeypatch):
    begun, told = threading.Event(), []

    def slow(asked, progress):
        begun.set()
        try:
            while True:
                progress(0.5)
        except Cancelled:
            told.append("stopped")
            raise

    monkeypatch.setattr("cellasso_app.panels.plots.drawn.violins.violin", slow)
    view._session.add_gene("mid")
    view.receive({"type": "plot", "value": "violin"})
    until(begun.is_set)
    assert view.bar.busy
    view.receive({"type": "cancel"})
    until(lambda: told == ["stopped"])
    assert not view.bar.busy
    assert "Stopped" in view.bar.message
    assert not view.sent
