"""The tree of a plot's groups, against scanpy.tl.dendrogram on the same file."""

from __future__ import annotations

import shutil
import warnings

import h5py
import holoviews as hv
import numpy as np
import pytest
import scanpy as sc

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl import tree as trees
from cellasso.pl.dendrogram import dendrogram
from cellasso.pl.features import choose_features
from cellasso.pl.groups import read_groups
from cellasso.pl.tree import in_order_of, plot_tree, read_tree
from conftest import STORAGES, write
from pl_files import GENES

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries


def scanpys(adata, groupby, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.tl.dendrogram(adata, groupby, inplace=False, **options)


def assert_alike(found, expected, groups, tolerance=1e-5):
    np.testing.assert_allclose(found.correlation, expected["correlation_matrix"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.linkage, expected["linkage"], rtol=0, atol=tolerance)
    assert [groups.labels[leaf] for leaf in found.order] == list(expected["categories_ordered"])


OPTIONS = {
    "defaults": {},
    "fewer components": {"n_pcs": 5},
    "named": {"use_rep": "X_pca", "n_pcs": 20},
    "X": {"use_rep": "X"},
    "no components": {"n_pcs": 0},
    "spearman": {"cor_method": "spearman"},
    "average": {"linkage_method": "average", "optimal_ordering": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("groupby", ["bulk_labels", "louvain"])
def test_tree_is_that_of_scanpy(pbmc, adata, groupby, options):
    groups = read_groups(pbmc, groupby)
    assert_alike(read_tree(pbmc, groupby, groups, **options), scanpys(adata, groupby, **options), groups)


def test_tree_of_two_columns(pbmc, adata):
    """scanpy sorts their combinations by name there; the tree is the same."""
    groups = read_groups(pbmc, ["phase", "louvain"])
    found, expected = read_tree(pbmc, ["phase", "louvain"], groups), scanpys(adata, ["phase", "louvain"])
    by_name = np.argsort(np.array(groups.labels))
    correlation = found.correlation[np.ix_(by_name, by_name)]
    np.testing.assert_allclose(correlation, expected["correlation_matrix"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.linkage[:, 2:], expected["linkage"][:, 2:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("use_raw", [False, True])
def test_tree_of_some_features(pbmc, adata, use_raw):
    """scanpy 1.11 takes all features of what it is given, whichever are named: it is given those alone."""
    names = [*dict.fromkeys(GENES), "NKG7", "GNLY", "HLA-DRA"]
    part = (adata.raw.to_adata() if use_raw else adata)[:, names].copy()
    groups = read_groups(pbmc, "bulk_labels")
    expected = scanpys(part, "bulk_labels", var_names=names, use_raw=False)
    assert_alike(read_tree(pbmc, "bulk_labels", groups, var_names=names, use_raw=use_raw), expected, groups)


@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
@pytest.mark.parametrize("marked", [False, True])
def test_a_pca_that_is_not_there_is_computed(adata, tmp_path, storage, marked):
    adata.X = STORAGES[storage](np.maximum(adata.X, 0))
    del adata.obsm["X_pca"]
    if marked:
        adata.var["highly_variable"] = np.arange(adata.n_vars) % 3 > 0
    elif "highly_variable" in adata.var:
        del adata.var["highly_variable"]
    path = write(adata, tmp_path / "no_pca.h5ad")
    with cellasso.open(path) as dataset:
        groups = read_groups(dataset, "bulk_labels")
        found = read_tree(dataset, "bulk_labels", groups)
        few = read_tree(dataset, "bulk_labels", groups, n_pcs=10)
    assert_alike(found, scanpys(adata.copy(), "bulk_labels"), groups, 1e-3)
    assert_alike(few, scanpys(adata.copy(), "bulk_labels", n_pcs=10), groups, 1e-3)


def test_fifty_features_are_taken_as_they_are(adata, tmp_path):
    small = adata[:, :50].copy()
    with cellasso.open(write(small, tmp_path / "small.h5ad")) as dataset:
        groups = read_groups(dataset, "bulk_labels")
        assert_alike(read_tree(dataset, "bulk_labels", groups), scanpys(small, "bulk_labels"), groups)


def test_a_pca_beyond_the_budget_says_what_helps(adata, tmp_path, monkeypatch):
    del adata.obsm["X_pca"]
    monkeypatch.setattr(trees, "PCA_BYTES", 1 << 20)
    with cellasso.open(write(adata, tmp_path / "no_pca.h5ad")) as dataset:
        groups = read_groups(dataset, "bulk_labels")
        with pytest.raises(ElementError, match=r"has no X_pca.*use_rep=.*var_names="):
            read_tree(dataset, "bulk_labels", groups)
        read_tree(dataset, "bulk_labels", groups, use_rep="X")


def test_of_an_h5mu_the_modality_of_the_column_counts(pbmc_mu, pbmc, adata):
    groups = read_groups(pbmc_mu, "rna:bulk_labels")
    expected = scanpys(adata, "bulk_labels")
    assert_alike(read_tree(pbmc_mu, "rna:bulk_labels", groups), expected, groups)
    assert_alike(read_tree(pbmc_mu, "rna:bulk_labels", groups, use_rep="rna:X_pca"), expected, groups)
    with pytest.raises(NotFoundError, match="X_pca"):
        read_tree(pbmc_mu, "rna:bulk_labels", groups, use_rep="rna:X_pcaa")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"use_rep": "X_umapp"}, NotFoundError, "X_umap"),
        ({"n_pcs": 99}, ElementError, "50 dimensions"),
        ({"var_names": ["none"]}, NotFoundError, "'none'"),
        ({"orientation": "up"}, ElementError, "orientation='up'"),
    ],
)
def test_what_is_refused(pbmc, options, error, says):
    with pytest.raises(error, match=says):
        dendrogram(pbmc, "bulk_labels", **options)


def test_a_tree_in_uns_is_taken(pbmc, adata, tmp_path):
    sc.tl.dendrogram(adata, "bulk_labels", use_rep="X_umap", key_added="mine")
    sc.tl.dendrogram(adata, "bulk_labels", n_pcs=3)
    with cellasso.open(write(adata, tmp_path / "tree.h5ad")) as dataset:
        groups = read_groups(dataset, "bulk_labels")
        for asked, key in (("mine", "mine"), (True, "dendrogram_bulk_labels")):
            found = plot_tree(dataset, "bulk_labels", groups, asked)
            np.testing.assert_array_equal(found.linkage, adata.uns[key]["linkage"])
        with pytest.raises(NotFoundError, match="yours"):
            plot_tree(dataset, "bulk_labels", groups, "yours")
        with pytest.raises(ElementError, match="no dendrogram"):
            plot_tree(dataset, "bulk_labels", groups, "pca")
        with pytest.raises(ElementError, match="other groups"):
            plot_tree(dataset, "louvain", read_groups(dataset, "louvain"), "mine")
        some = read_groups(dataset, "bulk_labels", categories_order=groups.labels[:4])
        assert len(plot_tree(dataset, "bulk_labels", some, True).order) == 4


def test_no_tree_of_two_groups_or_where_none_is_asked_for(pbmc):
    two = read_groups(pbmc, "phase", categories_order=["S", "G1"])
    assert plot_tree(pbmc, "phase", two, True) is None
    assert plot_tree(pbmc, "phase", read_groups(pbmc, "phase"), False) is None


def test_features_follow_their_groups(pbmc):
    """Where each label is a group's, as of marker genes; else they stay."""
    groups = read_groups(pbmc, "phase")
    tree = read_tree(pbmc, "phase", groups)
    markers = {label: GENES[i : i + 2] for i, label in enumerate(groups.labels)}
    ordered, features = in_order_of(tree, groups, choose_features(pbmc, markers))
    assert ordered.labels == tuple(groups.labels[leaf] for leaf in tree.order)
    assert [each.label for each in features.groups] == list(ordered.labels)
    assert list(features.names) == [name for label in ordered.labels for name in markers[label]]
    other = choose_features(pbmc, {"other": GENES})
    assert in_order_of(tree, groups, other)[1] == other


def test_branches_are_drawn_where_scipy_puts_them(pbmc, adata):
    expected = scanpys(adata, "bulk_labels")["dendrogram_info"]
    drawn = dendrogram(pbmc, "bulk_labels")
    lines = np.array([line[["x", "y"]].to_numpy() for line in drawn.Tree.I.split(datatype="dataframe")])
    np.testing.assert_allclose(lines[..., 0], np.array(expected["icoord"]) / 10)
    np.testing.assert_allclose(lines[..., 1], expected["dcoord"], atol=1e-5)
    assert isinstance(drawn, hv.Overlay)


def test_a_damaged_tree_is_computed_anew(adata, tmp_path):
    sc.tl.dendrogram(adata, "bulk_labels")
    path = write(adata, tmp_path / "tree.h5ad")
    whole = shutil.copy(path, tmp_path / "whole.h5ad")
    with h5py.File(path, "r+") as file:
        file["uns/dendrogram_bulk_labels/linkage"][:] = -1
    with cellasso.open(path) as dataset, cellasso.open(whole) as other:
        groups = read_groups(dataset, "bulk_labels")
        found, expected = (plot_tree(each, "bulk_labels", groups, True) for each in (dataset, other))
    np.testing.assert_allclose(found.linkage, expected.linkage, atol=1e-5)
