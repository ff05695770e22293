"""HoloViews elements over the cells of a file, against the same calls over a pandas frame of the same columns."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import datashader as ds
import holoviews as hv
import mudata as md
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from holoviews.operation.datashader import datashade, dynspread, rasterize
from scipy import sparse

import cellasso
import cellasso.pl
from cellasso.core.errors import AmbiguousNameError, NotFoundError
from cellasso.model.cells import Cells
from cellasso.model.vector import VectorError
from cellasso.model.vectors import Vectors

N = 3_000
X, Y = "X_umap:0", "X_umap:1"
COLUMNS = [X, Y, "kind", "stage", "score", "n", "text", "flag", "g1", "counts/g2", "lognorm:counts/g3"]


def write(path):
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(N, 2)).astype("f4")
    xy[:7] = np.nan
    xy[7:11, 0] = np.inf
    score = rng.normal(size=N)
    score[::7] = np.nan
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(list("abc"), N), categories=["b", "unused", "c", "a"]),
            "stage": pd.Categorical(np.where(rng.random(N) < 0.1, None, rng.choice(["lo", "hi"], N))),
            "score": score,
            "n": rng.integers(0, 9, N),
            "text": [f"t{i % 5}" for i in range(N)],
            "flag": rng.random(N) < 0.5,
            "other": rng.normal(size=N),
            "g4": rng.normal(size=N),  # a gene is called so, too
        },
        index=[f"c{i}" for i in range(N)],
    )
    counts = sparse.csr_matrix(rng.poisson(0.7, (N, 5)).astype("f4"))
    adata = ad.AnnData(counts.copy(), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(5)]))
    adata.X.data = np.log1p(adata.X.data)
    adata.layers["counts"] = counts.tocsc()
    adata.obsm["X_umap"], adata.obsm["X_pca"] = xy, rng.normal(size=(N, 3)).astype("f4")
    adata.write_h5ad(path, convert_strings_to_categoricals=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("holoviews") / "cells.h5ad"
    write(path)
    return path


@pytest.fixture
def dataset(path):
    with cellasso.open(path, index=False) as dataset:
        yield dataset


@pytest.fixture(scope="module")
def frame(path):
    with cellasso.open(path, index=False) as dataset:
        return dataset.cells[COLUMNS].copy()


@pytest.fixture
def read(monkeypatch):
    """The vectors that are read from here on."""
    log = []
    reading = Vectors.read
    monkeypatch.setattr(
        Vectors, "read", lambda self, vector, **more: log.append(str(vector)) or reading(self, vector, **more)
    )
    return log


def assert_same(found, expected, **tolerance):
    """Compare what HoloViews returns, and the elements inside of it."""
    if isinstance(expected, hv.core.UniformNdMapping | hv.core.Overlay | hv.core.Layout | hv.core.AdjointLayout):
        assert type(found) is type(expected)
        assert list(found.keys()) == list(expected.keys())
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, **tolerance)
    elif isinstance(expected, hv.Dataset):
        assert type(found) is type(expected)
        assert (found.kdims, found.vdims, len(found)) == (expected.kdims, expected.vdims, len(expected))
        assert bool(found) is bool(expected)
        if isinstance(expected.data, xr.Dataset | xr.DataArray):
            (xr.testing.assert_allclose if tolerance else xr.testing.assert_identical)(
                found.data, expected.data, **tolerance
            )
        else:
            pd.testing.assert_frame_equal(found.dframe(), expected.dframe(), check_exact=not tolerance, **tolerance)
    else:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


ELEMENTS = {
    "points": lambda data: hv.Points(data, [X, Y], ["kind", "g1"]),
    "points without values": lambda data: hv.Points(data, [X, Y], []),
    "dataset": lambda data: hv.Dataset(data, ["kind", "stage"], ["score", "g1", "counts/g2", "n"]),
    "kinds": lambda data: hv.Dataset(data, ["text", "flag"], ["kind", "n"]),
    "scatter": lambda data: hv.Scatter(data, "score", ["g1"]),
    "box": lambda data: hv.BoxWhisker(data, "kind", "lognorm:counts/g3"),
    "violin": lambda data: hv.Violin(data, ["kind"], "score"),
    "table": lambda data: hv.Table(data, ["kind"], ["n", "text"]),
    "labels": lambda data: hv.Labels(data, [X, Y], "text"),
    "labelled": lambda data: hv.Points(data, [(X, "UMAP 1"), hv.Dimension(Y, range=(-1, 1))], [("g1", "Gene 1")]),
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_answers_as_over_pandas(dataset, frame, name):
    found, expected = ELEMENTS[name](dataset), ELEMENTS[name](frame)
    assert isinstance(found.data, Cells)
    assert list(found.data.columns) == [each.name for each in expected.dimensions()]
    assert_same(found, expected)
    for dimension in expected.dimensions():
        of_one, of_other = found.dimension_values(dimension), expected.dimension_values(dimension)
        assert of_one.dtype == of_other.dtype
        pd.testing.assert_series_equal(pd.Series(of_one), pd.Series(of_other))
        unique = [pd.Series(each.dimension_values(dimension, expanded=False)) for each in (found, expected)]
        pd.testing.assert_series_equal(*unique)
        assert found.get_dimension_type(dimension) is expected.get_dimension_type(dimension)
        assert found.interface.dtype(found, dimension) == expected.interface.dtype(expected, dimension)
        if frame[dimension.name].dtype != "category":  # of which HoloViews has no range either
            assert_same(found.range(dimension), expected.range(dimension))
            assert_same(found.range(dimension), expected.range(dimension))  # now kept


OPERATIONS = {
    "select": lambda e: e.select(kind="a"),
    "select several": lambda e: e.select(kind=["a", "b"], score=(0, None)),
    "select by expression": lambda e: e.select((hv.dim("score") > 0.5) & (hv.dim("kind") == "c")),
    "select nothing": lambda e: e.select(kind="unused"),
    "by mask": lambda e: e[e.dimension_values("n") > 4],
    "rows": lambda e: e.iloc[[3, 1, 2]],
    "rows and columns": lambda e: e.iloc[5:9, [0, 2]],
    "one value": lambda e: e.iloc[5, 3],
    "groupby": lambda e: e.groupby("kind"),
    "groupby two": lambda e: e.groupby(["kind", "stage"], container_type=hv.NdLayout),
    "groupby dynamic": lambda e: e.groupby("kind", dynamic=True)["c"],
    "reindex": lambda e: e.reindex(["kind"], ["n"]),
    "sort": lambda e: e.sort(["score", "n"]),
    "sample": lambda e: e.reindex(["kind"]).sample(["a", "c"], closest=False),
    "to": lambda e: e.to(hv.Scatter, "score", "g1", groupby="kind"),
    "to overlay": lambda e: e.to(hv.BoxWhisker, "kind", "g1", groupby=[]),
    "clone": lambda e: e.clone(vdims=["n"]),
    "renamed": lambda e: e.redim(score="other score").sort("other score"),
    "transform": lambda e: e.transform(twice=hv.dim("score") * 2),
    "assign over": lambda e: e.transform(score=hv.dim("score").norm()),
    "another dimension": lambda e: e.add_dimension("run", 0, 3),
    "aggregate std": lambda e: e.aggregate("kind", np.std),
    "aggregate size": lambda e: e.aggregate(["kind", "stage"], np.size),
    "aggregate one": lambda e: e.aggregate("stage", np.max),
    "reduce": lambda e: e.reindex(["kind"], ["n"]).reduce(["kind"], np.max),
    "aggregate by expression": lambda e: e.aggregate("kind", highest=hv.dim("score").max()),
    "collapse": lambda e: e.groupby("kind").collapse(),
    "histogram": lambda e: hv.operation.histogram(e, dimension="score"),
    "grouped histogram": lambda e: hv.operation.histogram(e, dimension="n", groupby="kind", bin_range=(0, 9)),
    "dframe": lambda e: hv.Dataset(e.dframe(["n", "kind"])),
    "columns": lambda e: hv.Dataset(pd.DataFrame(e.columns(["n", "kind"]))),
    "compute": lambda e: e.compute(),
    "pickled": lambda e: pickle.loads(pickle.dumps(e)).select(kind="a"),
    "distribution": lambda e: hv.Distribution(e, ["score"]).dataset.reindex(["score"], []),
}


@pytest.mark.parametrize(  # HoloViews 1.20 has a Distribution that today's param refuses
    "name", [pytest.param(name, marks=[pytest.mark.more] * (name == "distribution")) for name in OPERATIONS]
)
def test_a_method_gives_what_it_gives_over_pandas(dataset, frame, name):
    found, expected = (
        OPERATIONS[name](hv.Dataset(data, ["kind", "stage"], ["score", "n", "g1"]))
        for data in (dataset, frame[["kind", "stage", "score", "n", "g1"]])
    )
    assert_same(found, expected)


@pytest.mark.parametrize("name", ["one", "missing", "two", "turned", "with others"])
@pytest.mark.parametrize("function", [np.mean, np.sum, np.nanmean, np.nansum])
def test_means_and_sums_of_genes_are_those_of_pandas(dataset, frame, read, name, function):
    by, values = {
        "one": (["kind"], ["g1", "counts/g2", "lognorm:counts/g3"]),
        "missing": (["stage"], ["g1", "counts/g2"]),
        "two": (["stage", "kind"], ["g1"]),
        "turned": (["kind", "stage"], ["g1"]),
        "with others": (["kind"], ["score", "g1", "text", "n", "counts/g2"]),
    }[name]
    wide = frame.astype({"g1": "f8", "counts/g2": "f8", "lognorm:counts/g3": "f8"})
    found, expected = (hv.Dataset(data, by, values).aggregate(by, function) for data in (dataset, wide))
    assert_same(found, expected, rtol=1e-12)
    assert set(read) == {
        f"obs:{column}" for column in (*by, *values) if column in {"kind", "stage", "score", "text", "n"}
    }


@pytest.mark.parametrize(
    "ask",
    [lambda e: e, lambda e: e.select(index=(3, 9)), lambda e: e.iloc[2:4], lambda e: e.sort("n"), lambda e: e.dframe()],
)
def test_the_number_of_a_cell_is_a_dimension_as_the_index_of_a_frame_is(dataset, frame, ask):
    found, expected = (ask(hv.Curve(data, "index", "n")) for data in (dataset, frame[["n"]]))
    assert_same(found, expected)
    one, other = (hv.Curve(data) for data in (dataset.cells[["n"]], frame[["n"]]))
    assert_same(one, other)


def test_elements_over_files_and_over_pandas_are_put_together(dataset, frame):
    def parts(*sources):
        return {i: hv.Dataset(data, ["kind"], ["score"]) for i, data in enumerate(sources)}

    expected = hv.HoloMap(parts(frame, frame), kdims="file").collapse()
    for sources in ((dataset, dataset), (dataset, frame), (frame, dataset)):
        assert_same(hv.HoloMap(parts(*sources), kdims="file").collapse(), expected)


def test_groups_that_pandas_alone_can_make_are_made_by_pandas(dataset, frame):
    for by in ("text", "flag", "n"):
        found, expected = (hv.Dataset(data, by, ["g1", "score"]).aggregate(by, np.mean) for data in (dataset, frame))
        assert_same(found, expected)
    one, other = (hv.Dataset(data, "kind", "g1").aggregate([], np.max) for data in (dataset, frame))
    assert_same(one, other)
    spread, expected = (
        hv.Dataset(data, "kind", "score").aggregate("kind", np.mean, np.std) for data in (dataset, frame)
    )
    assert_same(spread, expected)


AGGREGATORS = {
    "count": ds.count(),
    "max": ds.max("g1"),
    "by": ds.by("kind"),
    "text": "any",
    "where": ds.where(ds.max("score"), "g1"),
    "mean": ds.mean("score"),
}


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.parametrize("view", [{}, {"x_range": (-0.5, 0.5), "y_range": (0.0, 2.0)}], ids=["all", "a part"])
def test_rasterised_cells_are_those_of_pandas(dataset, frame, name, view):
    found, expected = (
        rasterize(
            hv.Points(data, [X, Y], ["kind", "score", "g1"]),
            aggregator=AGGREGATORS[name],
            dynamic=False,
            width=60,
            height=40,
            **view,
        )
        for data in (dataset, frame)
    )
    assert_same(found, expected, **({"rtol": 1e-12} if name == "mean" else {}))


@pytest.mark.parametrize(
    "draw",
    [
        lambda points: datashade(points, dynamic=False, width=60, height=40),
        lambda points: dynspread(
            datashade(points, dynamic=False, width=60, height=40, aggregator=ds.count_cat("kind"))
        ),
        lambda points: rasterize(points, dynamic=True)[()],
        lambda points: points.hist(dimension=[X, "g1"], num_bins=7),
        lambda points: hv.operation.gridmatrix(points, chart_type=hv.Points),
        lambda points: rasterize(hv.Overlay([points, points.select(kind="a")]), dynamic=False, width=9, height=9),
        lambda points: rasterize(points.groupby("kind", container_type=hv.NdOverlay), dynamic=False, width=9, height=9),
        lambda points: hv.HexTiles(points, [X, Y], "g1").dataset,
        lambda points: rasterize(hv.Points(points, [X, Y], "text"), aggregator=ds.by("text"), dynamic=False, width=9),
    ],
    ids=["shade", "spread", "dynamic", "hist", "gridmatrix", "overlay", "groups", "hexagons", "by text"],
)
def test_what_is_drawn_of_points_is_that_of_pandas(dataset, frame, draw):
    found, expected = (draw(hv.Points(data, [X, Y], ["kind", "g1", "text"])) for data in (dataset, frame))
    assert_same(found, expected)


def test_plots_are_rendered(dataset, frame):
    hv.extension("bokeh", logo=False)
    renderer = hv.renderer("bokeh")
    sources = []
    for data in (dataset, frame):
        plot = renderer.get_plot(hv.Points(data, [X, Y], ["kind", "g1"]).opts(color="g1"))
        sources.append(plot.handles["source"].data)
        box = renderer.get_plot(hv.BoxWhisker(data, "kind", "score"))
        assert {"a", "b", "c"} <= set(box.state.x_range.factors)
    assert sources[0].keys() == sources[1].keys()
    for name, values in sources[1].items():
        np.testing.assert_array_equal(sources[0][name], values)


# -- what is read ---------------------------------------------------------------------------------------


def test_making_an_element_reads_nothing(dataset, read):
    points = hv.Points(dataset, [X, Y], ["kind", "g1"])
    points.clone(), points.redim(g1="gene"), points.relabel("x"), points.reindex(vdims=["kind"]), points.dataset
    assert (len(points), points.shape, bool(points)) == (N, (N, 4), True)
    hv.Dataset(dataset)
    hv.Dataset(dataset).to(hv.Points, [X, Y], ["g1"], groupby=[])
    assert read == []


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda e: e.range(X), {X}),
        (lambda e: e.dimension_values("g1"), {"gene:g1"}),
        (lambda e: rasterize(e, dynamic=False, width=9, height=9), {X, Y}),
        (lambda e: rasterize(e, dynamic=False, aggregator=ds.by("kind"), width=9, height=9), {X, Y, "obs:kind"}),
        (lambda e: rasterize(e, dynamic=False, aggregator="mean", width=9, height=9), {X, Y, "gene:g1"}),
        (lambda e: e.hist(dimension="g1"), {"gene:g1"}),
        (lambda e: e.select(kind="a"), {X, Y, "obs:kind", "gene:g1"}),
        (lambda e: e.groupby("kind"), {X, Y, "obs:kind", "gene:g1"}),
        (lambda e: hv.Dataset(e, ["kind"], ["g1"]).groupby("kind"), {"obs:kind", "gene:g1"}),
        (lambda e: hv.Dataset(e, ["kind"], ["g1"]).aggregate("kind", np.mean), {"obs:kind"}),
        (lambda e: hv.Dataset(e, ["kind"], ["g1"]).aggregate("kind", np.max), {"obs:kind", "gene:g1"}),
        (lambda e: e.dframe([X]), {X}),
    ],
)
def test_columns_are_read_when_they_are_needed_and_no_others(dataset, read, ask, expected):
    ask(hv.Points(dataset, [X, Y], ["g1", "kind"]))
    assert set(read) == expected
    assert len(read) == len(expected)  # each once


def test_the_range_of_a_column_is_looked_for_once(dataset, monkeypatch):
    found = hv.Points(dataset, [X, Y]).range(X)
    monkeypatch.setattr(hv.core.data.PandasInterface, "range", lambda *_: pytest.fail("looked for again"))
    assert hv.Points(dataset, [X, Y]).range(X) == found
    assert hv.Dataset(dataset.cells, X, []).range(X) == found


def test_of_a_whole_file_no_column_beside_the_named_ones_belongs_to_an_element(dataset):
    assert hv.Points(dataset, [X, Y]).vdims == []
    assert hv.Dataset(dataset, "kind").vdims == []
    assert hv.Dataset(dataset, vdims=["g1"]).kdims == []
    everything = hv.Dataset(dataset)
    assert [each.name for each in everything.dimensions()] == list(dataset.cells.columns)
    narrow = dataset.cells[[X, Y, "kind"]]
    assert hv.Points(narrow, [X, Y]).vdims == ["kind"]  # as of a pandas frame
    assert (hv.Points(narrow).kdims, hv.Points(narrow).vdims) == ([X, Y], ["kind"])
    assert hv.Scatter(narrow, vdims=["kind"]).kdims == [X]
    with pytest.raises(ValueError, match=r"Scatter needs value dimensions, such as Scatter\(dataset, 'score', \["):
        hv.Scatter(dataset, "score")


def test_a_name_that_the_file_lacks_is_reported_with_the_nearest(dataset):
    with pytest.raises(NotFoundError, match=r"no column of obs and no feature 'scores'.*score"):
        hv.Points(dataset, [X, Y], ["scores"])
    with pytest.raises(AmbiguousNameError, match="write obs:g4 or gene:g4"):
        hv.Points(dataset, [X, Y], ["g4"])
    assert hv.Points(dataset, [X, Y], ["gene:g4", "obs:g4"]).vdims == ["gene:g4", "obs:g4"]
    points = hv.Points(dataset, [X, Y])
    assert isinstance(points.clone(vdims=["g1"]).data, Cells)  # of the file, though the points have not named it
    with pytest.raises(NotFoundError, match="gen1"):
        points.clone(points.data, vdims=["gen1"])


# -- modalities, references, others' libraries ------------------------------------------------------------


def test_cells_of_modalities(path, tmp_path, read):
    rna = ad.read_h5ad(path)
    prot = ad.AnnData(np.ones((N // 2, 1), "f4"), obs=pd.DataFrame(index=rna.obs_names[::2]))
    prot.var_names = ["CD4"]
    prot.X[:] = np.arange(N // 2)[:, None]
    md.MuData({"rna": rna, "prot": prot}).write(tmp_path / "both.h5mu")
    with cellasso.open(tmp_path / "both.h5mu", index=False) as dataset:
        columns = ["rna:kind", "prot:CD4", "rna:g1", "rna:X_umap:0", "rna:X_umap:1"]
        frame = dataset.cells[columns].copy().astype({"rna:g1": "f8", "prot:CD4": "f8"})
        read.clear()
        found, expected = (
            hv.Dataset(data, "rna:kind", ["prot:CD4", "rna:g1"]).aggregate("rna:kind", np.mean)
            for data in (dataset, frame)
        )
        assert set(read) <= {"rna:obs:kind"}  # which the frame has read
        assert_same(found, expected, rtol=1e-12)
        found, expected = (
            rasterize(hv.Points(data, columns[3:], ["rna:kind"]), dynamic=False, width=30, height=20)
            for data in (dataset, frame)
        )
        assert_same(found, expected)
        inner = dataset["rna"]
        of_rna = inner.cells[["kind", "g1"]].copy().astype({"g1": "f8"})
        found, expected = (hv.Dataset(data, "kind", "g1").aggregate("kind", np.mean) for data in (inner, of_rna))
        assert_same(found, expected, rtol=1e-12)


def test_a_real_file_answers_as_anndata_reads_it():
    found = find_spec("scanpy")
    if found is None:
        pytest.skip("scanpy, which carries the file, is not installed")
    path = Path(found.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's remarks on an old file
        adata = ad.read_h5ad(path)
    genes = list(adata.var_names[[3, 100, 7]])
    expected = adata.to_df()[genes].astype("f8").groupby(adata.obs["louvain"], observed=False).mean()
    with cellasso.open(path, index=False) as dataset:
        means = hv.Dataset(dataset, "louvain", genes).aggregate("louvain", np.mean).dframe().set_index("louvain")
        np.testing.assert_allclose(means.loc[expected.index, genes], expected, rtol=1e-12)
        third = hv.Points(dataset, [X, Y], ["louvain", genes[0]]).select(louvain="3")
        umap = adata.obsm["X_umap"].astype("f4")  # as it is drawn
        np.testing.assert_array_equal(third.dimension_values(0), umap[adata.obs["louvain"] == "3", 0])
        frame = pd.DataFrame(umap, columns=[X, Y])
        one, other = (rasterize(hv.Points(data, [X, Y], []), dynamic=False, width=50) for data in (dataset, frame))
        assert_same(one, other)


class AdDim(hv.Dimension):
    """A dimension that is a reference, of the shape of hv-anndata's: its name is how it is written."""

    def __init__(self, spec, acc=None, idx=None, **params):
        super().__init__(spec, **params)
        self.acc, self.idx = acc, idx

    def clone(self, spec=None, **overrides):
        return type(self)((self.name, overrides.get("label", self.label)), self.acc, self.idx)


def reference(name, idx, label=None, **acc):
    return AdDim((name, label or name), SimpleNamespace(**acc), idx)


def test_references_are_dimensions_by_their_shape(dataset, frame, read):
    axes = [reference(f"A.obsm['X_umap'][:, {i}]", i, f"X_umap {i}", dim="obs", k="X_umap") for i in (0, 1)]
    kind = reference("A.obs['kind']", "kind", "kind", dim="obs")
    gene = reference("A.layers['counts'][:, 'g2']", (slice(None), "g2"), "counts g2", k="counts")
    points = hv.Points(dataset, axes, [kind, gene])
    assert read == []
    assert list(map(str, map(points.data.vector, points.data.columns))) == [X, Y, "obs:kind", "counts/g2"]
    np.testing.assert_array_equal(points.dimension_values(gene), frame["counts/g2"])
    drawn = rasterize(points, dynamic=False, width=30, height=20, aggregator=ds.by(kind.name, ds.max(gene.name)))
    expected = rasterize(
        hv.Points(frame, [X, Y], ["kind", "counts/g2"]),
        dynamic=False,
        width=30,
        height=20,
        aggregator=ds.by("kind", ds.max("counts/g2")),
    )
    for category in "abc":
        np.testing.assert_array_equal(
            drawn.dimension_values(category, flat=False), expected.dimension_values(category, flat=False)
        )
    means = hv.Dataset(dataset, [kind], [gene]).aggregate([kind], np.mean).dframe()
    wide = frame.groupby("kind", observed=True)["counts/g2"].apply(lambda column: column.astype("f8").mean())
    np.testing.assert_allclose(means.set_index(kind.name)[gene.name].reindex(wide.index), wide, rtol=1e-12)
    assert len(points.select(selection_expr=hv.dim(kind) == "a")) == (frame["kind"] == "a").sum()


def test_a_dataset_answers_a_reference_with_its_values(dataset, frame):
    def of(idx, **acc):
        return SimpleNamespace(acc=SimpleNamespace(**acc), idx=idx)

    pd.testing.assert_series_equal(dataset[of("kind", dim="obs")], frame["kind"], check_names=False)
    np.testing.assert_array_equal(dataset[of(1, dim="obs", k="X_umap")], frame[Y])
    np.testing.assert_array_equal(dataset[of((slice(None), "g1"), k=None)], frame["g1"])
    np.testing.assert_array_equal(dataset.root[of((slice(None), "g2"), k="counts")], frame["counts/g2"])
    assert dataset[""] is dataset.root
    with pytest.raises(NotFoundError, match="no modality 'rna'"):
        dataset["rna"]
    with pytest.raises(NotFoundError):
        dataset[of("nothing", dim="obs")]
    with pytest.raises(VectorError, match="no single value of each cell"):
        dataset[of("symbol", dim="var")]


def test_references_of_anndata(dataset, frame):
    A = pytest.importorskip("anndata.acc", reason="comes with anndata 0.13").A
    pd.testing.assert_series_equal(dataset[A.obs["kind"]], frame["kind"], check_names=False)
    np.testing.assert_array_equal(dataset[A.obsm["X_umap"][:, 1]], frame[Y])
    np.testing.assert_array_equal(dataset[A.X[:, "g1"]], frame["g1"])


def test_references_of_hv_anndata(dataset, frame):
    A = pytest.importorskip("hv_anndata", reason="is no dependency").A
    points = hv.Points(dataset, [A.obsm["X_umap"][:, 0], A.obsm["X_umap"][:, 1]], [A.obs["kind"]])
    np.testing.assert_array_equal(points.dimension_values(0), frame[X])
    means = hv.Dataset(dataset, A.obs["kind"], A.X[:, "g1"]).aggregate(A.obs["kind"], np.mean)
    expected = frame.astype({"g1": "f8"}).groupby("kind", observed=False, sort=False)["g1"].mean()
    np.testing.assert_allclose(means.dimension_values(1), expected, rtol=1e-12)


def test_hvplot_draws_cells(dataset, frame):
    pytest.importorskip("hvplot.pandas", reason="is no dependency")
    columns = [X, Y, "kind", "g1"]
    found, expected = (
        data.hvplot.points(X, Y, rasterize=True, dynamic=False, width=60, height=40)
        for data in (dataset.cells[columns], frame[columns])
    )
    assert_same(found, expected)
    found, expected = (data.hvplot.hist("g1", bins=5) for data in (dataset.cells[columns], frame[columns]))
    assert_same(found, expected)


# -- how it is registered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        "from cellasso import open\nimport holoviews as hv\ndataset = open(path)",
        "import cellasso\ndataset = cellasso.open(path)\nimport holoviews as hv\nimport cellasso.pl",
    ],
    ids=["holoviews, then open", "open, then holoviews and pl"],
)
def test_elements_take_a_dataset_in_whatever_order_all_was_imported(path, order):
    code = f"""
path = {str(path)!r}
{order}
points = hv.Points(dataset, ["X_umap:0", "X_umap:1"], ["kind"])
assert points.interface.datatype == "cellasso", points.interface
assert hv.Store.renderers == {{}}, "a plotting library was chosen"
assert not {{"bokeh", "panel"}} & set(__import__("sys").modules)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr


def test_opening_a_file_imports_no_plotting_library(path):
    code = f"""
import sys, cellasso
cellasso.open({str(path)!r}).close()
assert not {{"holoviews", "datashader", "cellasso.pl"}} & set(sys.modules)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr


def test_registering_again_changes_nothing():
    before = list(hv.Dataset.datatype)
    cellasso.pl.holoviews_interface.register()
    assert hv.Dataset.datatype == before
    assert before.count("cellasso") == 1
    assert "cellasso" in hv.Points.datatype


def test_what_holoviews_does_inside_is_as_it_is_leant_on(frame):
    from holoviews.core.data import Dataset, PandasInterface
    from holoviews.core.data.interface import Interface

    assert Interface.interfaces["cellasso"] is cellasso.pl.holoviews_interface.CellsInterface, (
        "Interface.register no longer keeps interfaces by their datatype: look how hv-anndata registers now"
    )
    element = Dataset(frame, ["kind"], ["n"])
    for name in ("datatype", "interface", "data", "clone", "kdims", "vdims"):
        assert hasattr(element, name), f"elements have no {name}: holoviews_interface asks for it"
    for name in (
        *("init", "validate", "range", "dframe", "redim", "aggregate", "select", "groupby", "iloc", "sample", "sort"),
        *("compute", "cast", "isindex", "indexes", "select_mask", "indexed"),
    ):
        assert callable(getattr(PandasInterface, name, None)), (
            f"PandasInterface.{name} is gone: find what HoloViews calls instead, and use that in CellsInterface"
        )
    assert PandasInterface.as_dframe(element) is frame or list(PandasInterface.as_dframe(element).columns), (
        "rasterize hands `Canvas.points` what PandasInterface.as_dframe returns: it has to be the element's Cells"
    )
