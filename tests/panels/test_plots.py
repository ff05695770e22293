"""The dotplot: the numbers of scanpy's, and a figure that shows them in the order asked for."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import panel as pn
import pytest
from bokeh.models import Scatter

import cellasso
from cellasso.color.palettes import COLOR_MAPS
from cellasso.model.vector import Vector
from cellasso.stats.group_summary import summarise_groups
from cellasso_app.panels.plots.arrangement import Arrangement, arrange, color_limits, tree_of
from cellasso_app.panels.plots.controller import PlotsView
from cellasso_app.panels.plots.dotplot import Dotplot, dot_size, largest_dot
from cellasso_app.panels.plots.grid_figure import MIN_ROW
from cellasso_app.panels.plots.matrixplot import Matrixplot
from cellasso_app.panels.plots.summing import axis_names as names_along
from cellasso_app.panels.plots.summing import summarise
from cellasso_app.runtime.jobs import SerialQueue
from cellasso_app.state.session import Session
from cellasso_app.views.embedding.picking import Picking
from conftest import make_mdata, write
from stepping import run_steps, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.plotting import figure

    from cellasso.stats.group_summary import GroupSummary

GENES = ("zeta", "alpha", "mid", "never", "HLA:DRA")
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    rng = np.random.default_rng(5)
    X = rng.poisson(rng.random(5) * 2, (300, 5)).astype("f4")
    X[:, 3] = 0
    kinds = pd.Categorical(rng.choice(["T", "B", HOSTILE, None], 300), categories=[HOSTILE, "T", "B"])
    obs = pd.DataFrame({"kind": kinds}, index=[f"c{i}" for i in range(300)])
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=list(GENES)), layers={"other": X[::-1].copy()})


@pytest.fixture(scope="module")
def path(adata, tmp_path_factory):
    return write(adata, tmp_path_factory.mktemp("dots") / "dots.h5ad")


def scanpys(adata: ad.AnnData, genes, **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Colours and sizes of the dots as scanpy computes them, groups by genes."""
    import matplotlib as mpl

    mpl.use("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import matplotlib.pyplot as plt
        import scanpy as sc

        plot = sc.pl.dotplot(adata, list(genes), "kind", return_fig=True, **options)
        plt.close("all")
    return plot.dot_color_df, plot.dot_size_df


def rows(figure) -> list[str]:
    """The groups from the top; Bokeh counts from the bottom."""
    return list(figure.y_range.factors)[::-1]


def dotplot(summary: GroupSummary, genes: Sequence[str], groups: Sequence[str], *, dark: bool = False) -> figure:
    """The figure of a dotplot."""
    plot = Dotplot(dark=not dark)
    plot.set_theme(dark=dark)
    plot.show(arrange(summary, genes, groups))
    return plot.figure


def drawn(figure: figure) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means and fractions, groups by genes, as the browser gets them."""
    renderer, _ = figure.renderers
    data = renderer.data_source.data
    at = {name: np.asarray(data[name]).tolist() for name in ("gene", "group")}
    genes, groups = list(figure.x_range.factors), rows(figure)
    shown = []
    for value in ("mean", "fraction"):
        table = pd.DataFrame(np.nan, index=groups, columns=genes)
        for gene, group, number in zip(at["gene"], at["group"], data[value], strict=True):
            table.loc[group, gene] = number
        shown.append(table)
    return shown[0], shown[1]


@pytest.mark.parametrize("layer", [None, "other"])
@pytest.mark.parametrize("genes", [GENES, GENES[::-1][:3], GENES[1:2]], ids=["all", "some", "one"])
def test_dots_are_scanpys(adata, path, layer, genes):
    with cellasso.open(path) as dataset:
        summed = summarise(
            dataset, [Vector("gene", gene, layer=layer) for gene in genes], "kind", known={}, progress=lambda _: None
        )
    color, size = scanpys(adata, genes, layer=layer)
    mean, fraction = drawn(dotplot(summed.summary, genes, summed.groups, dark=False))
    assert list(mean.columns) == list(color.columns) == list(genes)
    assert list(mean.index) == list(color.index) == [HOSTILE, "T", "B"]
    np.testing.assert_allclose(mean, color, rtol=1e-6)
    np.testing.assert_allclose(fraction, size, rtol=1e-6)


def test_dots_of_log_normalised_counts_are_scanpys(adata, path):
    import scanpy as sc

    with cellasso.open(path) as dataset:
        summed = summarise(
            dataset,
            [Vector("gene", gene, normalised=True) for gene in GENES],
            "kind",
            known={},
            progress=lambda _: None,
        )
    normalised = adata.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cells have no counts
        sc.pp.normalize_total(normalised, target_sum=1e4)
        sc.pp.log1p(normalised)
    color, size = scanpys(normalised, GENES)
    np.testing.assert_allclose(summed.summary.mean, color, rtol=1e-5)
    np.testing.assert_allclose(summed.summary.fraction, size, rtol=1e-6)


def test_genes_of_different_matrices_come_from_their_own(adata, path):
    with cellasso.open(path) as dataset:
        summed = summarise(
            dataset,
            [Vector("gene", gene, layer=layer) for gene, layer in zip(GENES, [None, "other", None], strict=False)],
            "kind",
            known={},
            progress=lambda _: None,
        )
    plain, other = scanpys(adata, GENES[:3])[0], scanpys(adata, GENES[:3], layer="other")[0]
    expected = np.stack([plain.iloc[:, 0], other.iloc[:, 1], plain.iloc[:, 2]], axis=1)
    np.testing.assert_allclose(summed.summary.mean, expected, rtol=1e-6)


def test_groups_beyond_what_fits_are_counted_and_their_cells_in_no_row(path, adata, monkeypatch):
    monkeypatch.setattr("cellasso_app.panels.plots.summing.MAX_GROUPS", 2)
    with cellasso.open(path) as dataset:
        summed = summarise(
            dataset, [Vector("gene", gene) for gene in GENES[:2]], "kind", known={}, progress=lambda _: None
        )
    assert summed.groups == (HOSTILE, "T")
    assert summed.n_cut == 1
    np.testing.assert_allclose(summed.summary.mean, scanpys(adata, GENES[:2])[0].iloc[:2], rtol=1e-6)


def test_the_figure_stays_and_shows_what_was_summed_last():
    plot = Dotplot(dark=False)
    plot.show(arrange(summary(3, 4), ["a", "b", "c", "d"], ["x", "y", "z"]))
    found, before = summary(2, 1, seed=1), plot.figure.renderers[0]
    plot.show(arrange(found, ["e"], ["v", "w"]))
    assert plot.figure.renderers[0] is before
    mean, fraction = drawn(plot.figure)
    assert (list(mean.columns), list(mean.index)) == (["e"], ["v", "w"])
    np.testing.assert_array_equal(mean, found.mean)
    np.testing.assert_array_equal(fraction, found.fraction)


def summary(rows: int = 3, columns: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    return summarise_groups(list(rng.random((columns, 60)).astype("f4")), rng.integers(0, rows, 60), rows)


@pytest.mark.parametrize("dark", [False, True])
def test_it_renders_with_area_in_proportion_to_the_fraction(dark):
    values = np.zeros((2, 60), dtype="f4")
    values[0, :30] = 1  # half of the cells
    values[1] = 2  # all
    figure = dotplot(summarise_groups(list(values), np.zeros(60, dtype=int), 1), ["a", "b"], ["x"], dark=dark)
    renderer, _ = figure.renderers
    assert isinstance(renderer.glyph, Scatter)
    half, whole = np.asarray(renderer.data_source.data["size"])
    assert (half / whole) ** 2 == pytest.approx(0.5)
    mapper = renderer.glyph.fill_color["transform"]
    assert (mapper.low, mapper.high) == (0, 2)
    assert list(mapper.palette) == list(COLOR_MAPS[dark])
    assert figure.y_range.factors == ["x"]


def test_a_group_without_cells_has_no_dot_and_no_number():
    found = summarise_groups([np.ones(4, dtype="f4")], np.zeros(4, dtype=int), 2)
    plot = dotplot(found, ["a"], ["full", "empty"], dark=False)
    data = plot.renderers[0].data_source.data
    assert list(data["size"] > 0) == [True, False]
    assert np.isnan(data["mean"][1])
    assert list(data["cells"]) == [4, 0]


def test_groups_read_from_top_to_bottom():
    figure = dotplot(summary(), ["a", "b"], ["first", "second", "third"], dark=False)
    assert rows(figure) == ["first", "second", "third"]


def test_numbers_as_names_stay_names_in_their_order():
    groups = ["10", "9", "0"]
    figure = dotplot(summary(), ["2", "1"], groups, dark=False)
    assert list(figure.x_range.factors) == ["2", "1"]
    assert rows(figure) == groups


def test_hovering_shows_names_as_text():
    figure = dotplot(summary(), [HOSTILE, "b"], [HOSTILE, "x", "y"], dark=False)
    (hover,) = [tool for tool in figure.tools if type(tool).__name__ == "HoverTool"]
    # Bokeh escapes what stands for @name, unless it is marked as safe
    assert all("safe" not in template and "<" not in template for _, template in hover.tooltips)


@pytest.mark.parametrize(
    ("means", "limits"),
    [
        ([[0.5, 2.0]], (0, 2)),
        ([[-1.0, 2.0]], (-1, 2)),
        ([[np.nan, 3.0]], (0, 3)),
        ([[0.0, 0.0]], (0, 1)),
        ([[-2.0, -1.0]], (-2, -1)),
        ([[np.nan, np.nan]], (0, 1)),
        ([[np.inf, 1.0]], (0, 1)),
    ],
)
def test_colours_run_from_zero_to_the_highest_mean(means, limits):
    assert color_limits(np.array(means)) == limits


def test_dots_of_neighbours_do_not_touch_until_they_are_as_small_as_can_be_seen():
    sizes = [largest_dot(n) for n in range(1, 61)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < MIN_ROW
    assert sizes[-1] == 5
    assert all(size * n < 230 for n, size in enumerate(sizes, 1) if size > 5)
    assert dot_size(0.25, 10.0) == 5
    assert dot_size(0.0, 10.0) == 0


# -- names on the axis --------------------------------------------------------------------------------


def axis_names(path, genes: list[tuple[str, str]]) -> list[str]:
    with cellasso.open(path) as dataset:
        session = Session(dataset)
        for gene, label in genes:
            session.add_gene(gene, label)
        return names_along(session, tuple(session.genes))


@pytest.fixture(scope="module")
def mdata_path(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write(make_mdata(0), tmp_path_factory.mktemp("dots") / "dots.h5mu")


def test_the_modality_is_left_out_when_it_is_one_for_all(mdata_path):
    assert axis_names(mdata_path, [("rna:rg1", ""), ("rna:rg2", "")]) == ["rg1", "rg2"]
    assert axis_names(mdata_path, [("rna:rg1", ""), ("protein:pg2", "")]) == ["rna:rg1", "protein:pg2"]


def test_peaks_keep_their_chromosome(mdata_path, path):
    peaks = ["atac:chr1:100-200", "atac:chr2:100-200"]
    assert axis_names(mdata_path, [(peak, "") for peak in peaks]) == ["chr1:100-200", "chr2:100-200"]
    assert axis_names(path, [("chr1:100-200", ""), ("chr1:300-400", "")]) == ["chr1:100-200", "chr1:300-400"]
    assert axis_names(path, [("HLA:DRA", "")]) == ["HLA:DRA"]


def test_genes_of_one_symbol_are_told_apart_by_name(path):
    genes = [("zeta", "SYM"), ("alpha", "SYM"), ("mid", "OTHER")]
    assert axis_names(path, genes) == ["zeta", "alpha", "OTHER"]


def shown(view: PlotsView) -> figure:
    """Return the figure of the plot that is chosen; no other one is seen."""
    figures = [pane.object for pane in view.panel.select(pn.pane.Bokeh)]
    assert view.plot.figure in figures
    assert not any(each.visible for each in figures if each is not view.plot.figure)
    return view.plot.figure


@pytest.mark.usefixtures("one_thread")
def test_choosing_genes_shows_their_dots_and_removing_them_the_hint(path, adata):
    with cellasso.open(path) as dataset:
        session = Session(dataset)
        session.normalise = False
        view = PlotsView(session)
        session.add_gene("alpha")
        session.add_gene("mid")
        until(lambda: not view.bar.busy and shown(view).visible)
        mean, _ = drawn(shown(view))
        np.testing.assert_allclose(mean, scanpys(adata, ["alpha", "mid"])[0], rtol=1e-6)
        assert view.plot.key.visible
        session.remove_gene("alpha")
        session.remove_gene("mid")
        assert not shown(view).visible
        assert not view.plot.key.visible
        assert view.bar.message


@pytest.mark.usefixtures("one_thread")
def test_dots_wait_for_the_picture_of_the_cells(path):
    with cellasso.open(path) as dataset:
        session = Session(dataset)
        view = PlotsView(session)
        picture = session.urgency.begin()  # is being drawn
        session.add_gene("alpha")
        session.group_by = "kind"
        time.sleep(0.3)
        run_steps()
        assert view.bar.busy
        assert not shown(view).visible
        session.urgency.end(picture)
        until(lambda: shown(view).visible)
        assert not view.bar.busy


# -- how it is laid out -----------------------------------------------------------------------------------


def summed(adata, genes=GENES):
    codes = adata.obs["kind"].cat.codes.to_numpy()
    return summarise_groups([adata[:, gene].X.ravel() for gene in genes], codes, 3)


@pytest.mark.parametrize("scale", ["var", "group"])
def test_means_are_scaled_as_scanpy_does(adata, scale):
    shown = arrange(summed(adata), GENES, [HOSTILE, "T", "B"], Arrangement(scale=scale))
    color, _ = scanpys(adata, GENES, standard_scale=scale)
    np.testing.assert_allclose(shown.mean, color, rtol=1e-5, atol=1e-6)
    assert shown.limits == (0, 1)


def test_like_groups_stand_side_by_side_as_in_scanpys_dendrogram(adata):
    import scanpy as sc

    rng = np.random.default_rng(2)
    more = ad.AnnData(rng.random((400, 30)).astype("f4"))
    more.obs["kind"] = pd.Categorical([f"k{i % 9}" for i in range(400)])
    more.X += (rng.random((9, 30)) * 3)[np.arange(400) % 9].astype("f4")
    sc.tl.dendrogram(more, "kind", use_rep="X")
    codes = more.obs["kind"].cat.codes.to_numpy()
    summary = summarise_groups(list(more.X.T), codes, 9)
    genes, groups = [f"g{i}" for i in range(30)], list(more.obs["kind"].cat.categories)
    shown = arrange(summary, genes, groups, Arrangement(similar=True))
    assert list(shown.groups) == list(more.uns["dendrogram_kind"]["categories_ordered"])
    np.testing.assert_array_equal(shown.mean, summary.mean[[groups.index(group) for group in shown.groups]])
    np.testing.assert_array_equal(shown.n_cells, summary.n_cells[[groups.index(group) for group in shown.groups]])
    np.testing.assert_allclose(shown.tree.linkage, more.uns["dendrogram_kind"]["linkage"], rtol=1e-5, atol=1e-7)
    assert tree_of(np.ones((2, 5))) is None
    assert tree_of(np.ones((5, 1))) is None
    assert sorted(tree_of(np.array([[1.0, 1], [np.nan, 2], [3, 1]])).order) == [0, 1, 2]


@pytest.mark.parametrize("swapped", [False, True])
def test_the_tree_stands_beside_its_groups(swapped):
    plot = Dotplot(dark=False)
    shown = arrange(summary(4, 5), list("abcde"), list("wxyz"), Arrangement(similar=True, swapped=swapped))
    plot.show(shown)
    x, y = plot.figure.x_range.factors, plot.figure.y_range.factors
    along, away, free = (x, "ys", y[5:]) if swapped else (y, "xs", x[5:])
    assert len(free) >= 1
    assert not any(name.strip("\u2063") for name in free)
    lines = plot.figure.renderers[1].data_source.data
    assert len(lines["xs"]) == 3
    assert all(5 < place < 5 + len(free) for line in lines[away] for place in line)
    leaves = {
        place for line, other in zip(lines["xs"], lines["ys"], strict=True) for place in (line if swapped else other)
    }
    assert {0.5, 1.5, 2.5, 3.5} <= leaves
    assert list(along) == list(shown.short if swapped else shown.short[::-1])
    plot.show(arrange(summary(4, 5), list("abcde"), list("wxyz")))
    assert lines is not plot.figure.renderers[1].data_source.data
    assert not plot.figure.renderers[1].data_source.data["xs"]


def test_a_cutoff_is_scanpys(adata, path):
    known: dict = {}
    with cellasso.open(path) as dataset:
        genes = [Vector("gene", gene, layer=layer) for gene, layer in zip(GENES, [None, "other"] * 3, strict=False)]
        found = [
            summarise(dataset, genes, "kind", known=known, progress=lambda _: None, cutoff=cutoff).summary
            for cutoff in (1.0, 0.0, 1.0)
        ]
    sizes = [scanpys(adata, GENES, layer=layer, expression_cutoff=1.0)[1] for layer in (None, "other")]
    expected = np.stack([sizes[at % 2].iloc[:, at] for at in range(5)], axis=1)
    np.testing.assert_allclose(found[0].fraction, expected, rtol=1e-6)
    np.testing.assert_array_equal(found[2].fraction, found[0].fraction)
    assert (found[1].fraction >= found[0].fraction).all()
    np.testing.assert_array_equal(found[1].mean, found[0].mean)


def test_genes_can_be_the_rows(adata):
    shown = arrange(summed(adata), GENES, [HOSTILE, "T", "B"], Arrangement(swapped=True))
    plot = Matrixplot(dark=False)
    plot.show(shown)
    assert rows(plot.figure) == list(GENES)
    assert list(plot.figure.x_range.factors) == list(shown.short)
    marks = shown.marks()
    assert marks["x"] == marks["group"]
    assert marks["y"] == marks["gene"]


def test_numbers_are_saved_as_a_table_without_formulas(adata):
    import io

    shown = arrange(summed(adata), ["=1+1", *GENES[1:]], [HOSTILE, "T", "B"])
    table = pd.read_csv(io.StringIO(shown.to_csv()), dtype=str)
    assert table["gene"][0] == "'=1+1"
    np.testing.assert_array_equal(table["mean"].astype(float), shown.mean.ravel())
    np.testing.assert_array_equal(table["fraction_above_0"].astype(float), shown.fraction.ravel())
    assert [int(n) for n in table["cells_in_group"][::5]] == list(shown.n_cells)


@pytest.mark.usefixtures("one_thread")
def test_a_click_on_a_group_selects_its_cells(path, adata, monkeypatch):
    with cellasso.open(path) as dataset:
        session = Session(dataset)
        sent = []
        view = PlotsView(session, Picking(session, SerialQueue(pytest.fail)))
        monkeypatch.setattr(view.bar, "send", sent.append)
        view.receive({"type": "save", "format": "csv"})
        view.receive({"type": "pick", "x": 0.5, "y": 1.5, "add": False})
        assert session.selection is None
        session.add_gene("alpha")
        session.add_gene("mid")
        until(lambda: shown(view).visible)
        kind = adata.obs["kind"]
        view.receive({"type": "pick", "x": 0.5, "y": 1.5, "add": False})  # T, the second row of three
        until(lambda: session.selection is not None)
        np.testing.assert_array_equal(session.selection.mask, kind == "T")
        view.receive({"type": "pick", "x": -3.0, "y": 0.2, "add": True})  # left of the row of B: its name
        until(lambda: session.selection.n == kind.isin(["T", "B"]).sum())
        view.receive({"type": "pick", "x": 0.5, "y": 7.0, "add": False})
        view.receive({"type": "plot", "value": "matrixplot"})
        assert view.bar.label == "Matrixplot"
        assert shown(view).visible
        assert view.plot.key.visible
        view.receive({"type": "plot", "value": "pie"})
        view.receive({"type": "arrange", "choice": {"swapped": True}})
        view.receive({"type": "arrange", "choice": {"scale": "nonsense"}})
        assert view.bar.arrangement["swapped"]
        assert view.bar.arrangement["scale"] == ""
        assert rows(shown(view)) == ["alpha", "mid"]
        view.receive({"type": "pick", "x": 1.5, "y": 0.5, "add": False})  # T, the second column
        until(lambda: session.selection.n == (kind == "T").sum())
        view.receive({"type": "save", "format": "csv"})
        (message,) = sent
        assert message["name"] == "matrixplot_kind.csv"
        assert message["bytes"].decode().count("\n") == 1 + 2 * 3
