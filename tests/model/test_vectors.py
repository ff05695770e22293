"""Vectors of a file: found by name, with kind and modality left out where one reading remains; read over all cells."""

from __future__ import annotations

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import AmbiguousNameError, ElementError, NotFoundError
from cellasso.model.vector import Vector, VectorText

N_OBS = 60


def cells(prefix: str = "") -> ad.AnnData:
    rng = np.random.default_rng(len(prefix))
    counts = rng.poisson(2, (N_OBS, 4)).astype("f4")
    kinds = pd.Categorical(rng.choice(list("ab"), N_OBS))
    obs = pd.DataFrame({"leiden": kinds, "c:d": rng.normal(size=N_OBS), "my col": range(N_OBS)})
    obs.index = [f"cell{i}" for i in range(N_OBS)]
    names = [f"{prefix}{name}" for name in ("A", "B-1", "x:y", "p q")]
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=names))
    adata.layers["counts"] = counts * 2
    adata.obsm["X_umap"] = rng.normal(size=(N_OBS, 2)).astype("f4")
    adata.raw = adata.copy()
    return adata


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "x.h5ad"
    adata = cells()
    adata.write_h5ad(path)
    with cellasso.open(path, index=False) as dataset:
        yield dataset, adata


@pytest.fixture(scope="module")
def h5mu(tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "x.h5mu"
    rna, prot = cells(), cells("p")
    mudata = md.MuData({"rna": rna, "prot": prot[10:].copy()})
    mudata.write_h5mu(path)
    with cellasso.open(path, index=False) as dataset:
        yield dataset, mudata


@pytest.mark.parametrize(
    ("text", "vector"),
    [
        ("leiden", Vector("obs", "leiden")),
        ("obs:leiden", Vector("obs", "leiden")),
        ("obs_names", Vector("obs", "obs_names")),
        ("c:d", Vector("obs", "c:d")),
        ("A", Vector("gene", "A")),
        ("gene:A", Vector("gene", "A")),
        ("x:y", Vector("gene", "x:y")),
        ("counts/A", Vector("gene", "A", layer="counts")),
        ("raw/B-1", Vector("gene", "B-1", layer="raw")),
        ("X/A", Vector("gene", "A", layer="X")),
        ("lognorm:A", Vector("gene", "A", normalised=True)),
        ("lognorm:counts/A", Vector("gene", "A", layer="counts", normalised=True)),
        ("sum:total", Vector("sum", "total")),
        ("sum:counts/n_nonzero", Vector("sum", "n_nonzero", layer="counts")),
        ("X_umap:1", Vector("obsm", "X_umap", dim=1)),
    ],
)
def test_one_reading_is_found(h5ad, text, vector):
    assert h5ad[0].vectors.resolve(text) == vector
    assert h5ad[0].vectors.resolve(VectorText(vector)) == vector


def test_values_are_those_of_anndata(h5ad):
    dataset, adata = h5ad
    read = dataset.vectors.read
    for text, expected in {
        "counts/A": adata.layers["counts"][:, 0],
        "raw/B-1": adata.raw.X[:, 1],
        "sum:total": adata.X.sum(axis=1, dtype="f8"),
        "sum:n_nonzero": (adata.X != 0).sum(axis=1),
        "X_umap:1": adata.obsm["X_umap"][:, 1],
        "lognorm:A": np.log1p(adata.X[:, 0] * 1e4 / adata.X.sum(axis=1, dtype="f8")).astype("f4"),
    }.items():
        np.testing.assert_array_equal(np.asarray(read(dataset.vectors.resolve(text))), expected)


@pytest.mark.parametrize(
    "expression",
    [
        "counts/A > 2 and X_umap:0 < 0",
        "sum:total >= 8 and raw/`p q` == 1",
        "gene:`x:y` > 1",
        "`x:y` > 1",
        "obs:`my col` < 30 and `my col` > 3",
        "lognorm:`p q` > 7",
        "`counts`/`x:y` in [0, 2]",
        "obs:`c:d` > 0 or c:d < -1",
    ],
)
def test_expressions_take_the_text_of_vectors(h5ad, expression):
    dataset, adata = h5ad
    x = pd.DataFrame(adata.X, columns=adata.var_names)
    total = adata.X.sum(axis=1, dtype="f8")
    lognorm = np.log1p(x["p q"].to_numpy() * 1e4 / total).astype("f4")
    umap, column, number = adata.obsm["X_umap"][:, 0], adata.obs["c:d"].to_numpy(), adata.obs["my col"].to_numpy()
    expected = {
        "counts/A > 2 and X_umap:0 < 0": (2 * x["A"].to_numpy() > 2) & (umap < 0),
        "sum:total >= 8 and raw/`p q` == 1": (total >= 8) & (x["p q"].to_numpy() == 1),
        "gene:`x:y` > 1": x["x:y"].to_numpy() > 1,
        "`x:y` > 1": x["x:y"].to_numpy() > 1,
        "obs:`my col` < 30 and `my col` > 3": (number < 30) & (number > 3),
        "lognorm:`p q` > 7": lognorm > 7,
        "`counts`/`x:y` in [0, 2]": np.isin(2 * x["x:y"].to_numpy(), [0, 2]),
        "obs:`c:d` > 0 or c:d < -1": (column > 0) | (column < -1),
    }[expression]
    assert 0 < expected.sum() < N_OBS
    np.testing.assert_array_equal(dataset.where(expression), expected)


def test_a_name_with_two_readings_is_refused(tmp_path):
    adata = cells()
    adata.obs["X_umap:0"] = 1.0
    adata.write_h5ad(tmp_path / "x.h5ad")
    with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
        with pytest.raises(AmbiguousNameError, match="is a column of obs and more; write obs:`X_umap:0` or X_umap:0"):
            dataset.vectors.resolve("X_umap:0")
        assert dataset.vectors.resolve(VectorText("obs:`X_umap:0`")) == Vector("obs", "X_umap:0")


def test_modalities_are_aligned(h5mu):
    dataset, mudata = h5mu
    cells, prot = dataset.vectors, mudata.mod["prot"]
    assert cells.resolve("pA") == Vector("gene", "pA", "prot")
    assert cells.resolve("prot:counts/pA") == Vector("gene", "pA", "prot", "counts")
    assert cells.resolve("prot:X_umap:0") == Vector("obsm", "X_umap", "prot")
    row = mudata.obs_names.get_indexer(prot.obs_names)
    expected = np.full(N_OBS, np.nan)
    expected[row] = prot.layers["counts"][:, 0]
    found = cells.read(cells.resolve("prot:counts/pA"))
    np.testing.assert_array_equal(pd.Series(found).to_numpy("f8", na_value=np.nan), expected)
    np.testing.assert_array_equal(dataset.where("prot:`px:y` > 1"), dataset.where("`px:y` > 1"))
    np.testing.assert_array_equal(
        dataset["prot"].vectors.read_numbers(Vector("obsm", "X_umap", dim=1)), prot.obsm["X_umap"][:, 1]
    )


def test_what_is_not_there_is_said(h5ad):
    cells = h5ad[0].vectors
    for text in ("nothing", "gene:nothing", "counts/nothing", "velocity/A", "X_tsne:0", "prot:A"):
        with pytest.raises(NotFoundError):
            cells.resolve(text)
    with pytest.raises(ElementError, match="numbers were expected along an axis"):
        cells.read_numbers(Vector("obs", "leiden"))
