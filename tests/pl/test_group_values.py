"""The numbers of dotplots and matrixplots, against scanpy's DotPlot and MatrixPlot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from cellasso.core.errors import ElementError
from cellasso.pl import columns
from cellasso.pl.features import choose_features
from cellasso.pl.group_values import read_group_values, unit_scaled
from cellasso.pl.groups import read_groups
from pl_files import GENES

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

OPTIONS = {
    "defaults": {},
    "X": {"use_raw": False},
    "layer": {"layer": "counts"},
    "scaled by feature": {"standard_scale": "var"},
    "scaled by group": {"standard_scale": "group"},
    "cutoff": {"expression_cutoff": 1.5},
    "cutoff below 0": {"expression_cutoff": -0.2, "use_raw": False},
    "mean of expressing": {"mean_only_expressed": True},
    "all of it": {
        "mean_only_expressed": True,
        "expression_cutoff": 0.7,
        "standard_scale": "var",
        "layer": "counts",
    },
    "log": {"log": True, "layer": "counts"},
    "log and cutoff": {"log": True, "layer": "counts", "expression_cutoff": 1.0},
}
GROUPBY = {"one": "bulk_labels", "two": ["phase", "bulk_labels"], "numbers": "score", "with gaps": "gaps"}


def column(adata, name: str) -> np.ndarray:
    """Values of a feature, `(n_obs,)`."""
    X = adata[:, name].X
    return np.asarray(X.todense() if hasattr(X, "todense") else X).ravel()


def ours(dataset, groupby, use_raw=None, layer=None, **options):
    features = choose_features(dataset, GENES, use_raw=use_raw, layer=layer)
    return read_group_values(dataset, features, read_groups(dataset, groupby), **options)


def assert_alike(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """float32 in scanpy's means, float64 in ours."""
    expected = expected.set_axis([str(label) for label in expected.index])
    pd.testing.assert_frame_equal(
        found, expected, check_dtype=False, check_names=False, check_index_type=False, check_column_type=False,
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("groupby", GROUPBY.values(), ids=GROUPBY)
def test_dots_are_those_of_scanpy(pbmc, adata, groupby, options):
    expected = sc.pl.DotPlot(adata, GENES, groupby, **options)
    found = ours(pbmc, groupby, **options)
    assert_alike(found.mean_frame, expected.dot_color_df)
    assert_alike(found.fraction_frame, expected.dot_size_df)


@pytest.mark.parametrize("scale", [None, "var", "group"])
def test_squares_are_those_of_scanpy(pbmc, adata, scale):
    expected = sc.pl.MatrixPlot(adata, GENES, "louvain", standard_scale=scale)
    assert_alike(ours(pbmc, "louvain", standard_scale=scale).mean_frame, expected.values_df)


def test_fractions_and_sums_are_exact(pbmc, adata):
    """Of whole counts, in float64: to the last digit."""
    counts = adata[:, GENES].layers["counts"].toarray().astype(np.float64)
    labels = adata.obs["bulk_labels"]
    found = ours(pbmc, "bulk_labels", layer="counts", expression_cutoff=1.0)
    for row, label in enumerate(labels.cat.categories):
        inside = counts[labels == label]
        np.testing.assert_array_equal(found.fraction[row], (inside > 1).sum(axis=0) / len(inside))
        np.testing.assert_array_equal(found.mean[row], inside.sum(axis=0) / len(inside))


def test_normalised_counts(pbmc, adata):
    adata.X = adata.layers["counts"]
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    features = choose_features(pbmc, GENES, layer="counts", normalised=True)
    groups = read_groups(pbmc, "bulk_labels")
    for options in ({}, {"expression_cutoff": 3.0}):
        expected = sc.pl.DotPlot(adata, GENES, "bulk_labels", use_raw=False, **options)
        found = read_group_values(pbmc, features, groups, **options)
        assert_alike(found.mean_frame, expected.dot_color_df)
        assert_alike(found.fraction_frame, expected.dot_size_df)


def test_many_columns_are_read_past_the_cache(pbmc, monkeypatch):
    kept = ours(pbmc, "bulk_labels", expression_cutoff=0.5)
    monkeypatch.setattr(columns, "CACHED_BYTES", 0)
    monkeypatch.setattr("cellasso.stats.summarise.COLUMNS_BYTES", 700 * 4 * 2)
    pbmc.root._cache = None  # whoever reads through it fails
    found = ours(pbmc, "bulk_labels", expression_cutoff=0.5)
    np.testing.assert_array_equal(found.mean, kept.mean)
    np.testing.assert_array_equal(found.fraction, kept.fraction)


def test_features_of_two_modalities(pbmc_mu, pbmc_mudata):
    groups = read_groups(pbmc_mu, "rna:bulk_labels")
    features = choose_features(pbmc_mu, ["protein:P1", "rna:CD3D", "P4"], use_raw=False)
    labels = pbmc_mudata.oracle["rna"].obs["bulk_labels"]
    protein, rna = pbmc_mudata.oracle["protein"], pbmc_mudata.oracle["rna"]
    frame = pd.DataFrame({
        "protein:P1": column(protein, "P1").astype("f8"),
        "P4": column(protein, "P4").astype("f8"),
    }, index=protein.obs_names).reindex(rna.obs_names)  # fmt: skip
    frame["rna:CD3D"] = column(rna, "CD3D").astype("f8")
    frame = frame[["protein:P1", "rna:CD3D", "P4"]]
    expected = frame.groupby(labels, observed=True)
    for options in ({}, {"expression_cutoff": 1e-9}):
        found = read_group_values(pbmc_mu, features, groups, **options)
        np.testing.assert_allclose(found.mean, expected.mean(), rtol=1e-12)
        above = (frame > 0).astype(float).where(frame.notna()).groupby(labels, observed=True).mean()
        np.testing.assert_allclose(found.fraction, above, rtol=1e-12)


def test_scaling_of_rows_that_are_all_the_same_or_missing():
    values = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(unit_scaled(values, 1), [[0, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_another_scale_is_refused(pbmc):
    with pytest.raises(ElementError, match="'obs' is not known"):
        ours(pbmc, "phase", standard_scale="obs")
