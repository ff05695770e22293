"""Lists of genes as people paste them."""

from __future__ import annotations

import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import NotFoundError
from cellasso_app.state.gene_list import NAMED, find_genes, not_found
from conftest import make_adata, write

NAMES = ["CD4", "CD8A", "MS4A1", "CD3, pooled", "T cell score", "HLA-DRA", "chr1:1-200"]


@pytest.fixture
def features(tmp_path):
    adata = make_adata(n_obs=5, full=False)[:, : len(NAMES)].copy()
    adata.var = pd.DataFrame({"gene_ids": [f"ENSG0000000000{i}.2" for i in range(len(NAMES))]}, index=NAMES)
    with cellasso.open(write(adata, tmp_path / "genes.h5ad")) as dataset:
        yield dataset.features()


def names(features, text: str, prefix: str = "") -> tuple[list[str], list[str]]:
    found = find_genes(features, text, prefix)
    return [NAMES[position] for position in found.positions], found.unknown


@pytest.mark.parametrize(
    "text",
    ["CD4,CD8A,MS4A1", "CD4 CD8A MS4A1", "CD4\nCD8A\nMS4A1\n", "CD4\r\nCD8A\r\n\r\nMS4A1", "CD4; CD8A;MS4A1",
     "CD4\tCD8A\tMS4A1", " CD4 ,  CD8A,\nMS4A1, ", '"CD4", "CD8A", "MS4A1"', "'CD4' 'CD8A' 'MS4A1'", "cd4|cd8a|ms4a1"],
)  # fmt: skip
def test_a_list_may_be_written_in_any_way(features, text):
    assert names(features, text) == (["CD4", "CD8A", "MS4A1"], [])


def test_one_name_is_itself(features):
    assert names(features, " CD4 ") == (["CD4"], [])
    assert names(features, "ENSG00000000001") == (["CD8A"], [])


def test_names_with_commas_and_spaces_stay_whole(features):
    assert names(features, "CD3, pooled") == (["CD3, pooled"], [])
    assert names(features, "CD4\nCD3, pooled\nT cell score, CD8A") == (
        ["CD4", "CD3, pooled", "T cell score", "CD8A"],
        [],
    )


def test_a_name_counts_once_in_the_lists_order(features):
    assert names(features, "MS4A1, CD4, MS4A1, nope, nope") == (["MS4A1", "CD4"], ["nope"])


def test_names_of_a_modality_are_found_with_and_without_it(features):
    assert names(features, "rna:CD4, CD8A", "rna:") == (["CD4", "CD8A"], [])


def test_a_single_unknown_name_is_an_error_that_lists_the_nearest(features):
    with pytest.raises(NotFoundError, match="No gene is called 'CD44'; nearest: CD4"):
        find_genes(features, "CD44")


@pytest.mark.parametrize("text", ["", "  ", ",;\n"])
def test_no_name_is_no_gene(features, text):
    assert names(features, text)[0] == []


def test_unknown_names_are_named_in_one_sentence(features):
    assert not_found(find_genes(features, "CD4, CD8A")) == ""
    assert not_found(find_genes(features, "CD4, X1, CD8A")) == "1 of 3 genes was not found: X1."
    assert not_found(find_genes(features, "CD4, X1, X2")) == "2 of 3 genes were not found: X1, X2."
    many = not_found(find_genes(features, "CD4 " + " ".join(f"X{i}" for i in range(30))))
    assert many == f"30 of 31 genes were not found: X0, X1, X2, X3, X4 and {30 - NAMED} more."
