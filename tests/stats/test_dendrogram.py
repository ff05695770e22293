"""Trees of groups, against scanpy's steps of pandas and SciPy, and principal components against scanpy's."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from cellasso.core.errors import ElementError
from cellasso.stats.dendrogram import CORRELATIONS, LINKAGES, cluster_groups, dendrogram_of
from cellasso.stats.principal_components import components

pytestmark = pytest.mark.more  # run with the newest versions alone


def means(n_groups: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_groups, 12)).round(2)


@pytest.mark.parametrize("cor_method", CORRELATIONS)
@pytest.mark.parametrize("linkage_method", LINKAGES)
@pytest.mark.parametrize("optimal_ordering", [False, True])
def test_linkage_is_that_of_scanpys_steps(cor_method, linkage_method, optimal_ordering):
    values = means(9)
    correlation = pd.DataFrame(values).T.corr(method=cor_method).clip(-1, 1)
    expected = hierarchy.linkage(squareform(1 - correlation), method=linkage_method, optimal_ordering=optimal_ordering)
    found = cluster_groups(
        values, cor_method=cor_method, linkage_method=linkage_method, optimal_ordering=optimal_ordering
    )
    np.testing.assert_allclose(found.correlation, correlation, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.linkage, expected, rtol=1e-12)
    drawn = hierarchy.dendrogram(expected, no_plot=True)
    assert list(found.order) == drawn["leaves"]
    np.testing.assert_allclose(found.branches[..., 0] * 10, drawn["icoord"])
    np.testing.assert_allclose(found.branches[..., 1], drawn["dcoord"], rtol=1e-12)
    assert found.height == pytest.approx(expected[:, 2].max())


def test_two_groups_and_equal_groups():
    assert cluster_groups(means(2)).order == (0, 1)
    same = np.repeat(means(1), 3, axis=0)
    assert cluster_groups(same).linkage[:, 2].max() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        (means(1), {}, "two groups or more"),
        (means(4), {"cor_method": "cosine"}, "cor_method='cosine'"),
        (means(4), {"linkage_method": "wards"}, "linkage_method='wards'"),
        (np.vstack([means(3), np.full((1, 12), 2.0)]), {}, "number 4 correlates with no other"),
        (np.vstack([means(3), np.full((1, 12), np.nan)]), {"cor_method": "spearman"}, "number 4"),
        (np.vstack([np.full((1, 12), np.nan), means(3)]), {"cor_method": "kendall"}, "number 1"),
    ],
)
def test_what_is_refused(values, options, says):
    with pytest.raises(ElementError, match=says):
        cluster_groups(values, **options)


def test_what_is_no_linkage():
    with pytest.raises(ElementError, match="no linkage"):
        dendrogram_of(np.zeros((3, 3)))
    with pytest.raises(ElementError, match="no linkage"):
        dendrogram_of(np.array([[0.0, 9.0, 1.0, 2.0], [1.0, 2.0, 1.0, 3.0]]))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("shape", [(80, 30), (40, 120)])
def test_components_are_those_of_scanpy(make, shape):
    rng = np.random.default_rng(1)
    values = rng.poisson(1.0, shape) * rng.lognormal(size=shape[1])
    adata = ad.AnnData(make(values))
    sc.pp.pca(adata, n_comps=10, dtype="float64")
    loadings, centre = components(make(values), 10)
    np.testing.assert_allclose((values - centre) @ loadings, adata.obsm["X_pca"], rtol=0, atol=1e-6)
