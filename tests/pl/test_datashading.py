"""Canvas.points over the cells of a file, against the same call over a pandas frame of the same columns."""

from __future__ import annotations

from itertools import product

import anndata as ad
import datashader as ds
import mudata as md
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import sparse

import cellasso
import cellasso.pl  # registers

N = 9_000
X, Y = "X_umap:0", "X_umap:1"
EXACT = {
    "count": ds.count(),
    "count of known": ds.count("score"),
    "any": ds.any(),
    "by": ds.by("kind"),
    "by max": ds.by("kind", ds.max("score")),
    "count_cat": ds.count_cat("kind"),
    "max": ds.max("score"),
    "min": ds.min("g1"),
    "first": ds.first("score"),
    "last": ds.last("score"),
    "where": ds.where(ds.max("g1"), "score"),
    "row of the highest": ds.where(ds.max("score")),
    "max_n": ds.max_n("score", 3),
    "summary": ds.summary(a=ds.count(), b=ds.max("score")),
}
CLOSE = {
    "sum": ds.sum("score"),
    "mean": ds.mean("g1"),
    "std": ds.std("score"),
    "var": ds.var("score"),
    "mean by": ds.by("kind", ds.mean("score")),
}
FEW = {"count", "by", "max", "first", "mean"}
"""Those that are enough with the oldest versions: datashader compiles its loops for each."""

VIEWS = {
    "all": ((-4.0, 4.0), (-4.0, 4.0)),
    "a part": ((-0.5, 0.25), (0.0, 1.0)),
    "edges on points": ((-1.0, 1.0), (-1.0, 1.0)),
    "nothing": ((50.0, 51.0), (0.0, 1.0)),
    "much more": ((-1e6, 1e6), (-1e5, 1e5)),
}


def write(path, dtype="f4"):
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(N, 2))
    xy[:200] = rng.integers(-1, 2, (200, 2))  # on the edges of a view, many in one place
    xy[200:230] = np.nan
    xy[230:240, 0] = np.inf
    xy[240:250, 1] = -np.inf
    score = rng.normal(size=N)
    score[::7] = np.nan
    obs = pd.DataFrame(
        {"kind": pd.Categorical(rng.choice(list("abc"), N), categories=["b", "unused", "c", "a"]), "score": score},
        index=[f"c{i}" for i in range(N)],
    )
    X = sparse.random(N, 5, density=0.3, format="csr", random_state=rng, dtype="f4")
    adata = ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(5)]))
    adata.obsm["X_umap"] = xy.astype(dtype)
    adata.write_h5ad(path)
    return adata


@pytest.fixture(scope="module", params=["f4", "f8"])
def cells(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("datashading") / "cells.h5ad"
    write(path, request.param)
    with cellasso.open(path) as dataset:
        yield dataset.cells[[X, Y, "kind", "score", "g1"]]


@pytest.fixture(scope="module")
def frame(cells):
    return cells.copy()


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.more) for name in (*EXACT, *CLOSE)]
)
def test_an_aggregate_is_that_of_pandas(cells, frame, name):
    reduction = {**EXACT, **CLOSE}[name]
    for (x_range, y_range), size in product(VIEWS.values(), [(1, 1), (37, 20), (300, 200)]):
        canvas = ds.Canvas(*size, x_range=x_range, y_range=y_range)
        found, expected = (canvas.points(source, X, Y, reduction) for source in (cells, frame))
        if name in EXACT:
            xr.testing.assert_identical(found, expected)
        else:
            xr.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
            assert found.attrs == expected.attrs


def test_ranges_that_are_not_given_are_those_of_all_cells(tmp_path):
    write(tmp_path / "cells.h5ad")
    with cellasso.open(tmp_path / "cells.h5ad") as dataset:
        cells = dataset.cells[[X, Y]]
        frame = cells.copy()
        for ranges in ({}, {"x_range": (0.0, 1.0)}, {"y_range": (0.0, 1.0)}):
            canvas = ds.Canvas(40, 30, **ranges)
            try:
                expected = canvas.points(frame, X, Y)
            except (OverflowError, ValueError) as error:  # infinite coordinates have no range
                with pytest.raises(type(error)):
                    canvas.points(cells, X, Y)
            else:
                xr.testing.assert_identical(canvas.points(cells, X, Y), expected)


def test_cells_without_a_category_are_in_none(tmp_path):
    adata = write(tmp_path / "cells.h5ad")
    adata.obs.loc[adata.obs.index[::3], "kind"] = np.nan
    adata.write_h5ad(tmp_path / "missing.h5ad")
    canvas = ds.Canvas(30, 20, x_range=(-4, 4), y_range=(-4, 4))
    with cellasso.open(tmp_path / "missing.h5ad") as dataset:
        frame = dataset.cells[[X, Y, "kind", "score"]].copy()
        known = frame[frame["kind"].notna()]
        for reduction in (ds.by("kind"), ds.by("kind", ds.max("score"))):
            found = canvas.points(dataset.cells, X, Y, reduction)
            xr.testing.assert_identical(found, canvas.points(known, X, Y, reduction))


def test_axes_that_are_no_embedding_are_drawn_by_pandas(cells, frame):
    canvas = ds.Canvas(30, 20, x_range=(-2, 2), y_range=(0, 1))
    xr.testing.assert_identical(canvas.points(cells, "score", "g1"), canvas.points(frame, "score", "g1"))
    finite = frame.where(~np.isinf(frame[[X, Y]]).any(axis=1))  # datashader crashes at a line to an infinite place
    line = canvas.line(cells, X, Y, ds.count())
    xr.testing.assert_identical(line, canvas.line(finite, X, Y, ds.count()))


def test_modalities_are_drawn_over_the_cells_that_they_have(tmp_path):
    rna = write(tmp_path / "rna.h5ad")
    prot = ad.AnnData(np.ones((N // 2, 1), "f4"), obs=pd.DataFrame(index=rna.obs_names[::2]))
    prot.var_names = ["CD4"]
    prot.obsm["X_umap"] = np.random.default_rng(1).normal(size=(N // 2, 2)).astype("f4")
    md.MuData({"rna": rna, "prot": prot}).write(tmp_path / "both.h5mu")
    canvas = ds.Canvas(30, 20, x_range=(-4, 4), y_range=(-4, 4))
    with cellasso.open(tmp_path / "both.h5mu") as dataset:
        for axes in (("rna:X_umap:0", "rna:X_umap:1"), ("prot:X_umap:1", "prot:X_umap:0")):
            cells = dataset.cells[[*axes, "rna:kind", "prot:CD4"]]
            frame = cells.copy()
            for reduction in (ds.count(), ds.by("rna:kind"), ds.max("prot:CD4")):
                found = canvas.points(cells, *axes, reduction)
                xr.testing.assert_identical(found, canvas.points(frame, *axes, reduction))


def test_modalities_by_themselves_are_drawn_each_at_its_own_points(tmp_path):
    parts = {}
    for name, seed in (("a", 1), ("b", 2)):
        parts[name] = ad.AnnData(np.ones((50, 1), "f4"), obs=pd.DataFrame(index=[f"c{i}" for i in range(50)]))
        parts[name].var_names = [f"{name}1"]
        parts[name].obsm["X_umap"] = np.random.default_rng(seed).normal(size=(50, 2)).astype("f4")
    md.MuData(parts).write(tmp_path / "two.h5mu")
    canvas = ds.Canvas(30, 20, x_range=(-3, 3), y_range=(-3, 3))
    with cellasso.open(tmp_path / "two.h5mu") as dataset:
        for name, adata in parts.items():
            frame = pd.DataFrame(adata.obsm["X_umap"], columns=[X, Y])
            found = canvas.points(dataset[name].cells, X, Y)
            xr.testing.assert_identical(found, canvas.points(frame, X, Y))


def test_only_blocks_in_view_are_handed_on(cells, monkeypatch):
    from cellasso.pl import datashading

    lengths = []
    pipeline = datashading.pandas_pipeline
    monkeypatch.setattr(
        datashading,
        "pandas_pipeline",
        lambda frame, *rest, **more: lengths.append(len(frame)) or pipeline(frame, *rest, **more),
    )
    ds.Canvas(30, 20, x_range=(0, 0.2), y_range=(0, 0.2)).points(cells, X, Y, ds.first("score"))
    assert 0 < lengths[0] < N - 250  # which have no place


def test_what_datashader_and_pandas_do_inside_is_as_it_is_leant_on():
    """If this fails: `pl.datashading` registers in `bypixel.pipeline`; look for what tells sources apart now."""
    from datashader.core import bypixel

    assert bypixel.pipeline._lookup[cellasso.pl.datashading.Cells] is cellasso.pl.datashading.aggregate_cells
