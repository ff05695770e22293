"""Features of a plot by scanpy's arguments."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.features import FeatureGroup, choose_features
from pl_files import GENES, MARKERS


def test_names_and_labels_of_lists_by_label(pbmc):
    chosen = choose_features(pbmc, MARKERS)
    assert list(chosen.names) == GENES
    assert len(chosen) == len(GENES)
    assert chosen.groups == (FeatureGroup("T", 0, 2), FeatureGroup("B", 3, 4), FeatureGroup("myeloid", 5, 7))


def test_one_name_and_arrays_of_names(pbmc):
    assert choose_features(pbmc, "CD3D").names == ("CD3D",)
    assert choose_features(pbmc, {"T": "CD3D"}).groups == (FeatureGroup("T", 0, 0),)
    assert choose_features(pbmc, np.array(["CD3D", "LYZ"])).names == ("CD3D", "LYZ")
    assert choose_features(pbmc, {"none": [], "T": ["CD3D"]}).groups == (FeatureGroup("T", 0, 0),)


def test_labels_and_positions(pbmc):
    chosen = choose_features(pbmc, GENES, var_group_labels=["T", "rest"], var_group_positions=[(0, 2), (3, 7)])
    assert chosen.groups == (FeatureGroup("T", 0, 2), FeatureGroup("rest", 3, 7))


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({}, "raw"),
        ({"use_raw": True}, "raw"),
        ({"use_raw": False}, None),
        ({"layer": "counts"}, "counts"),
        ({"layer": "counts", "use_raw": False}, "counts"),
    ],
)
def test_raw_is_taken_where_scanpy_takes_it(pbmc, options, layer):
    assert choose_features(pbmc, ["CD3D"], **options).layer == layer
    assert choose_features(pbmc.root, ["CD3D"], **options).layer == layer


def test_without_raw_it_is_x(pbmc_mu):
    assert choose_features(pbmc_mu["protein"], "P1").layer is None
    assert choose_features(pbmc_mu, "protein:P1").layer is None
    assert choose_features(pbmc_mu, ["protein:P1", "rna:CD3D"]).layer is None  # there is no raw of both
    assert choose_features(pbmc_mu, ["CD3D", "rna:LYZ"]).layer == "raw"


@pytest.mark.parametrize(
    ("names", "options", "error", "says"),
    [
        (["CD3Dx"], {}, NotFoundError, "CD3D"),
        (["CD3D"], {"layer": "count"}, NotFoundError, "counts"),
        (["CD3D"], {"layer": "counts", "use_raw": True}, ElementError, "exclude each other"),
        ([], {}, ElementError, "var_names is empty"),
        ({}, {}, ElementError, "var_names is empty"),
        (["CD3D"], {"var_group_labels": ["T"]}, ElementError, "go together"),
        (["CD3D"], {"var_group_labels": ["T"], "var_group_positions": [(0, 1)]}, ElementError, "0 to 1 for 'T'"),
        (MARKERS, {"var_group_labels": ["T"], "var_group_positions": [(0, 1)]}, ElementError, "has labels already"),
    ],
)
def test_what_is_refused(pbmc, names, options, error, says):
    with pytest.raises(error, match=says):
        choose_features(pbmc, names, **options)


def test_raw_that_is_not_there(pbmc_mu):
    with pytest.raises(NotFoundError, match="no matrix 'raw'"):
        choose_features(pbmc_mu["protein"], "P1", use_raw=True)
