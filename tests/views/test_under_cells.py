"""What lies under the cells: offered where the file has it, drawn for what is in view, taken away on other axes."""

from __future__ import annotations

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import ElementError
from cellasso.model.graph import Edges
from cellasso.pl.lines import count_lines, draw_edges, opacity_of
from cellasso.raster.style import Canvas
from cellasso_app.state.axes import Axes
from cellasso_app.state.underlay import Underlay, find_underlays, underlays
from cellasso_app.views.embedding.under_cells import draw_under

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

N = 200
CANVAS = Canvas(60, 40)


def adata_of(n: int, seed: int = 0) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    kind = pd.Categorical.from_codes(np.arange(n) % 3, ["a", "b", "c"])
    adata = ad.AnnData(obs=pd.DataFrame({"kind": kind}, index=[f"c{i}" for i in range(n)]))
    adata.obsm["X_umap"] = rng.random((n, 2)).astype("f4")
    graph = sparse.random(n, n, density=0.05, format="csr", random_state=rng, dtype="f4")
    adata.obsp["connectivities"] = graph.maximum(graph.T).tocsr()
    weights = sparse.csr_matrix(np.array([[0, 0.9, 0.005], [0.9, 0, 0.4], [0.005, 0.4, 0]]))
    adata.uns["paga"] = {"connectivities": weights, "groups": "kind"}
    return adata


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("under") / "cells.h5ad"
    adata_of(N).write_h5ad(path)
    with cellasso.open(path) as opened:
        find_underlays(opened)
        yield opened


def test_what_a_file_has_is_offered_on_its_embeddings(dataset):
    found = underlays(dataset, Axes("X_umap"))
    assert [each.label for each in found] == ["Neighbours: connectivities", "PAGA"]
    assert underlays(dataset, Axes()) == []
    assert [Underlay.parse(str(each)) for each in found] == found
    assert Underlay.parse("graph/../odd/name") == Underlay("graph", "..", "odd/name")
    assert Underlay.parse("script") == Underlay.parse("") == Underlay()


def test_edges_are_drawn_for_what_is_in_view(dataset):
    plane, chosen = dataset.point_index("X_umap"), Underlay("graph", "", "connectivities")
    found = draw_under(dataset, chosen, plane, plane.bounds, CANVAS, progress=lambda _: None)
    stored = sparse.triu(adata_of(N).obsp["connectivities"], k=1).tocoo()
    edges = Edges(np.stack([stored.row, stored.col]).astype("i4"), 0)
    lines = draw_edges(edges, dataset.read_embedding("X_umap"), plane.bounds, (40, 60))
    np.testing.assert_array_equal(found.alpha, opacity_of(lines.counts))
    assert not found.note


def test_groups_are_connected_between_the_medians_of_their_cells(dataset):
    plane = dataset.point_index("X_umap")
    found = draw_under(dataset, Underlay("paga"), plane, plane.bounds, CANVAS, progress=lambda _: None)
    adata = adata_of(N)
    middles = np.array([np.median(adata.obsm["X_umap"][adata.obs["kind"] == kind], axis=0) for kind in "abc"])
    # a with b and b with c; a with c is below the threshold
    seen = count_lines(middles[[0, 1]], middles[[1, 2]], plane.bounds, (40, 60)) > 0
    assert (found.alpha[seen] > 0).mean() > 0.9
    assert (found.alpha > 0).sum() < 12 * seen.sum()


def test_the_graph_of_a_modality_is_drawn_over_its_cells(tmp_path):
    rna, prot = adata_of(N), adata_of(N // 2, seed=1)
    prot.obs_names = [f"c{2 * i}" for i in range(N // 2)][::-1]
    md.MuData({"rna": rna, "prot": prot}).write(tmp_path / "both.h5mu")
    with cellasso.open(tmp_path / "both.h5mu") as dataset:
        find_underlays(dataset)
        labels = [each.label for each in underlays(dataset, Axes("prot:X_umap"))]
        assert labels == ["Neighbours: connectivities of prot", "PAGA of prot"]
        plane = dataset.point_index("prot:X_umap")
        chosen = Underlay("graph", "prot", "connectivities")
        found = draw_under(dataset, chosen, plane, plane.bounds, CANVAS, progress=lambda _: None)
        edges = Edges(np.stack(sparse.triu(prot.obsp["connectivities"], k=1).nonzero()).astype("i4"), 0)
        lines = draw_edges(edges, prot.obsm["X_umap"], plane.bounds, (40, 60))
        np.testing.assert_array_equal(found.alpha, opacity_of(lines.counts))


def test_a_damaged_graph_is_reported(tmp_path):
    adata = adata_of(N)
    del adata.uns["paga"]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    import h5py

    with h5py.File(tmp_path / "cells.h5ad", "a") as file:
        file["obsp/connectivities"].attrs["shape"] = [N, N + 1]
    with cellasso.open(tmp_path / "cells.h5ad") as dataset:
        plane, chosen = dataset.point_index("X_umap"), Underlay("graph", "", "connectivities")
        with pytest.raises(ElementError, match="shape"):
            draw_under(dataset, chosen, plane, plane.bounds, CANVAS, progress=lambda _: None)
