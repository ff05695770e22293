"""Finding features by name, by alias, and while typing."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.errors import NotFoundError

NAMES = ["CD4", "CD44", "SCD4", "cd8a", "CD8A", "ACTB", "7SK"]
VAR = pd.DataFrame(
    {
        "gene_ids": [f"ENSG{i}" for i in range(7)],
        "gene_symbols": pd.Categorical([None, "Hermes", "CD4", None, None, "beta-actin", None]),
        "gene_name": [1, 2, 3, 4, 5, 6, 7],
    },
    index=NAMES,
)


def write_var(path, var):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicates
        ad.AnnData(np.eye(len(var), dtype="f4"), var=var).write_h5ad(path, convert_strings_to_categoricals=False)
    return path


@pytest.fixture
def features(tmp_path):
    with cellasso.open(write_var(tmp_path / "x.h5ad", VAR)) as dataset:
        yield dataset.features()


@pytest.mark.parametrize(
    ("name", "position"),
    [("CD4", 0), ("CD8A", 4), ("cd8a", 3), ("Cd8a", 3), ("ENSG5", 5), ("ensg5", 5), ("Hermes", 1), ("BETA-ACTIN", 5)],
)
def test_exact_names_come_before_aliases_and_aliases_before_case(features, name, position):
    assert features.position(name) == position


@pytest.mark.parametrize("name", ["nan", "NaN", "None", "", "<NA>", "1"])
def test_a_missing_alias_is_no_name_and_numbers_are_no_aliases(features, name):
    with pytest.raises(NotFoundError, match=f"/var of 7 features has no {name!r}"):
        features.position(name)


def test_an_unknown_name_is_answered_with_the_nearest(features):
    with pytest.raises(NotFoundError, match=r"no 'CD4X'; nearest: .*CD4"):
        features.position("CD4X")


def test_search_puts_equal_first_then_beginnings_by_length_then_the_rest(features):
    assert features.search("cd4") == ["CD4", "SCD4", "CD44"]  # SCD4's symbol is CD4
    assert features.search("hermes") == ["CD44"]
    assert features.search(" act ") == ["ACTB"]
    assert features.search("tb") == ["ACTB"]
    assert features.search("nothing like it") == []
    assert features.search("") == NAMES
    assert features.search("c", limit=2) == ["CD4", "CD44"]


def test_names_are_made_unique_as_anndata_does(tmp_path):
    names = ["TBCE", "A", "TBCE", "TBCE-1", "A", "A"]
    path = write_var(tmp_path / "x.h5ad", pd.DataFrame(index=names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ad.read_h5ad(path)
        expected.var_names_make_unique()
    with cellasso.open(path) as dataset:
        assert list(dataset.features()) == list(expected.var_names)
        for position, name in enumerate(expected.var_names):
            assert dataset.read_feature(name)[position] == 1


def test_a_damaged_alias_leaves_the_names_findable(damaged):
    def change(file):
        file["var/gene_symbols"].attrs["encoding-type"] = "from-the-future"

    features = damaged(change).features()
    assert features.search("G1") == ["g1", *(f"g{i}" for i in range(10, 17))]
    with pytest.raises(NotFoundError, match="has no 'SYM3'"):
        features.position("SYM3")


def test_raw_has_features_of_its_own(dataset, plain):
    assert len(dataset.features()) == plain.oracle.n_vars
    assert list(dataset.features("raw")) == list(plain.oracle.raw.var_names)
    assert dataset.features("counts") is dataset.features()
