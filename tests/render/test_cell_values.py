"""What the page calls vectors, and what is read of each cell: of a file of several modalities, too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.model.vector import Vector
from cellasso_app.render.cell_values import (
    CELL_SUMS,
    gene_vector,
    obs_vector,
    page_name,
    read_cell_values,
    sum_vector,
    without_matrix,
)


@pytest.fixture
def multi(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        yield dataset


def test_a_vector_is_found_again_by_what_the_page_calls_it(multi):
    for name in multi.obs:
        assert page_name(obs_vector(multi, name)) == name
    for modality in multi.modalities.values():
        for column in modality.obs:
            vector = Vector("obs", column, modality.name)
            assert obs_vector(multi, page_name(vector)) in {vector, Vector("obs", page_name(vector))}
        for gene in modality.features().names[:3] if modality.matrices else ():
            vector = Vector("gene", str(gene), modality.name)
            assert gene_vector(multi, page_name(vector)) == vector
    assert [page_name(sum_vector(name)) for name in CELL_SUMS] == list(CELL_SUMS)


def test_a_choice_says_nothing_of_matrices():
    gene = Vector("gene", "CD4", "rna", "counts", normalised=True)
    assert without_matrix(gene) == Vector("gene", "CD4", "rna")
    assert without_matrix(Vector("sum", "total", "rna", "counts")) == sum_vector("total counts")
    assert without_matrix(Vector("obs", "kind", "rna")) == Vector("obs", "kind", "rna")


@pytest.mark.parametrize("gene", ["rna:rg3", "protein:pg1"])
def test_a_gene_of_a_modality_is_read_over_all_cells(multi, multimodal, gene):
    name, inner = gene.split(":")
    modality = multimodal.oracle[name]
    matrix = modality[:, inner].X
    column = pd.Series(np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix).ravel())
    column.index = modality.obs_names
    expected = column.reindex(multimodal.oracle.obs_names).to_numpy()
    found = read_cell_values(multi, gene_vector(multi, gene))
    assert found.name == gene
    assert isinstance(found.values, np.ndarray)  # a series would be taken for a column of obs
    np.testing.assert_array_equal(found.values, expected)
    assert np.isnan(found.values).any() == (modality.n_obs < multi.n_obs)


def test_a_sum_says_whose_it_is(multi, multimodal):
    name, modality = next((name, each) for name, each in multi.modalities.items() if each.matrices)
    found = read_cell_values(multi, Vector("sum", "n_nonzero", name, modality.matrices[0]))
    assert found.name == "genes per cell"
    assert found.source == f"of {name}:{modality.matrices[0]}, exact"
    matrix = multimodal.oracle[name].X
    dense = np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix)
    counts = pd.Series((dense != 0).sum(axis=1), index=multimodal.oracle[name].obs_names)
    np.testing.assert_array_equal(found.values, counts.reindex(multimodal.oracle.obs_names))
