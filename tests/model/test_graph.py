"""The edges of obsp, against those of the matrix in memory."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.model.graph import graphs, read_edges

N = 400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    directed = sparse.random(N, N, density=0.02, format="csr", random_state=rng, dtype="f4")
    directed.setdiag(1.0)
    both = directed.maximum(directed.T).tocsr()
    both.data[:5] = 0  # stored, but no edge
    both = both.multiply(both.T > 0).tocsr()
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(N)]))
    adata.obsp["distances"], adata.obsp["connectivities"] = directed, both
    adata.obsp["dense"] = both.toarray()
    path = tmp_path_factory.mktemp("graph") / "cells.h5ad"
    adata.write_h5ad(path)
    with cellasso.open(path) as opened:
        yield opened


def pairs(cells):
    return sorted(map(tuple, np.sort(cells, axis=0).T.tolist()))


@pytest.mark.parametrize("key", ["connectivities", "dense", "distances"])
def test_edges_are_those_of_the_matrix(dataset, key):
    import h5py

    with h5py.File(dataset.handle.path) as file:
        stored = ad.io.read_elem(file[f"obsp/{key}"])
    rows, columns = np.nonzero(stored.toarray() if sparse.issparse(stored) else stored)
    apart = rows < columns if key != "distances" else rows != columns
    edges = read_edges(dataset.root, key)
    assert pairs(edges.cells) == pairs(np.stack([rows[apart], columns[apart]]))
    assert edges.n_stored == len(edges)


def test_of_too_many_edges_a_part_is_kept_and_it_is_always_the_same(dataset):
    whole = read_edges(dataset.root, "connectivities")
    part, again = (read_edges(dataset.root, "connectivities", max_edges=500) for _ in range(2))
    assert 350 < len(part) < 650 < len(whole)
    assert part.n_stored == len(whole)
    np.testing.assert_array_equal(part.cells, again.cells)
    assert set(pairs(part.cells)) < set(pairs(whole.cells))
    assert len(read_edges(dataset.root, "distances", max_edges=500)) <= 550


def test_what_is_no_graph_of_the_cells(dataset, tmp_path):
    assert graphs(dataset.root) == ("connectivities", "dense", "distances")
    with pytest.raises(NotFoundError, match="connectivities"):
        read_edges(dataset.root, "connectivity")
    import h5py

    path = tmp_path / "odd.h5ad"
    ad.AnnData(obs=pd.DataFrame(index=["a", "b"])).write_h5ad(path)
    with h5py.File(path, "a") as file:
        ad.io.write_elem(file["obsp"], "short", np.zeros((2, 3)))
    with cellasso.open(path) as odd, pytest.raises(ElementError, match="shape"):
        read_edges(odd.root, "short")
