"""A block of a matrix, against anndata's own indexing."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import cellasso
from cellasso.column_index import submatrix
from cellasso.core.errors import ElementError, NotFoundError

N, M = 500, 40


@pytest.fixture(scope="module")
def adata():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(0.4, (N, M)).astype("f4"))
    adata = ad.AnnData(counts, var=pd.DataFrame(index=[f"g{i}" for i in range(M)]))
    adata.layers["csc"] = counts.tocsc()
    adata.layers["dense"] = rng.normal(size=(N, M))
    adata.layers["whole"] = counts.astype("i4")
    adata.raw = ad.AnnData(counts * 2, var=adata.var)
    return adata


@pytest.fixture(scope="module", params=["plain", "indexed"])
def dataset(request, adata, tmp_path_factory):
    folder = tmp_path_factory.mktemp("block")
    adata.write_h5ad(folder / "cells.h5ad", compression="gzip")
    with cellasso.open(
        folder / "cells.h5ad", index=folder / "index" if request.param == "indexed" else False
    ) as opened:
        if request.param == "indexed":
            opened.build_index()
        yield opened


CHOICES = {
    "some": np.array([3, 1, 499, 250]),
    "repeated": [7, 7, -1, 0],
    "slice": slice(10, 300, 7),
    "mask": np.arange(N) % 3 == 0,
    "none": np.zeros(0, dtype=int),
    "all": slice(None),
}


@pytest.mark.parametrize("layer", [None, "raw", "csc", "dense", "whole"])
@pytest.mark.parametrize("choice", CHOICES)
def test_a_block_is_that_of_anndata(dataset, adata, layer, choice):
    names = ["g5", "g0", "g39", "g5"]
    whole = {None: adata.X, "raw": adata.raw.X, **adata.layers}[layer]
    columns = [5, 0, 39, 5]
    chosen = CHOICES[choice]
    found = dataset.read_matrix(chosen, names, layer)
    expected = whole[chosen][:, columns]
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert sparse.issparse(found) == sparse.issparse(expected)
    dense = [each.toarray() if sparse.issparse(each) else each for each in (found, expected)]
    np.testing.assert_array_equal(*dense)


def test_runs_of_rows_are_put_together(dataset, adata, monkeypatch):
    monkeypatch.setattr(submatrix, "APART", 3)
    monkeypatch.setattr(submatrix, "AT_ONCE", 50)
    rows = np.random.default_rng(1).integers(0, N, 200)
    found = dataset.read_matrix(rows, [f"g{i}" for i in range(M)])
    np.testing.assert_array_equal(found.toarray(), adata.X[rows].toarray())


def test_counts_are_normalised_as_scanpy_does(dataset, adata):
    expected = ad.AnnData(adata.X.copy(), var=adata.var)
    sc.pp.normalize_total(expected, target_sum=1e4)
    sc.pp.log1p(expected)
    found = dataset.read_matrix(CHOICES["some"], ["g3", "g1"], normalised=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), expected.X[CHOICES["some"]][:, [3, 1]].toarray(), rtol=1e-6)


def test_what_cannot_be_read_is_said(dataset, monkeypatch):
    with pytest.raises(NotFoundError, match="nothing"):
        dataset.read_matrix([0], ["nothing"])
    with pytest.raises(ElementError, match="row 500"):
        dataset.read_matrix([500], ["g0"])
    with pytest.raises(ElementError, match="positions of cells"):
        dataset.read_matrix(np.ones(3, dtype=bool), ["g0"])
    monkeypatch.setattr(submatrix, "MAX_BYTES", 100)
    with pytest.raises(ElementError, match="fewer at a time"):
        dataset.read_matrix(slice(None), ["g0", "g1"], "dense")
    with pytest.raises(ElementError, match="fewer at a time"):
        dataset.read_matrix(slice(0, 60), [f"g{i}" for i in range(8)])
