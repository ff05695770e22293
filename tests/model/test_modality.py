"""An h5ad: its matrices, features and embeddings against anndata in memory."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import AmbiguousNameError, ElementError, ExpressionError, NotFoundError
from cellasso.model.modality import embedding_rank


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def test_every_feature_of_every_matrix_equals_anndatas(h5ad):
    matrices = {
        None: h5ad.oracle.X,
        "X": h5ad.oracle.X,
        "counts": h5ad.oracle.layers["counts"],
        "layers/X": h5ad.oracle.layers["X"],
    }
    with cellasso.open(h5ad.path) as dataset:
        assert set(dataset.matrices) == {"X", "raw", "counts", "layers/X"}
        assert set(dataset.layers) == {"counts", "X"}
        for layer, matrix in matrices.items():
            found = np.stack(dataset.read_features(list(h5ad.oracle.var_names), layer), axis=1)
            assert found.dtype == matrix.dtype
            np.testing.assert_array_equal(found, dense(matrix))
        for name in h5ad.oracle.raw.var_names:
            expected = dense(h5ad.oracle.raw[:, name].X).ravel()
            np.testing.assert_array_equal(dataset.read_feature(name, "raw"), expected, strict=True)


def test_a_feature_is_found_by_its_alias_and_in_the_order_asked(dataset, plain):
    by_name = dataset.read_features(["g9", "g0", "g9"])
    np.testing.assert_array_equal(by_name[0], by_name[2])
    np.testing.assert_array_equal(dataset.read_feature("SYM9"), by_name[0])
    np.testing.assert_array_equal(by_name[1], dense(plain.oracle[:, "g0"].X).ravel())


def test_a_second_read_of_a_feature_costs_no_bytes_and_cannot_be_spoilt(dataset):
    first = dataset.read_feature("g1", "counts")
    before = dataset.handle.bytes_read
    assert dataset.read_feature("g1", "counts") is first
    assert dataset.handle.bytes_read - before < 1000
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 7


def test_unknown_matrices_and_features_are_answered_with_the_nearest(dataset):
    with pytest.raises(NotFoundError, match=r"plain\.h5ad:/ has no matrix 'count'; nearest: counts"):
        dataset.read_feature("g1", "count")
    with pytest.raises(NotFoundError, match="of 17 features has no 'g99'; nearest: g9"):
        dataset.read_feature("g99")
    with pytest.raises(NotFoundError, match=r"has no column of obs and no feature 'ordred'; nearest: ordered"):
        dataset.read_column("ordred")


def test_a_file_without_matrices_opens_and_says_so(damaged):
    def change(file):
        for name in ("X", "raw", "layers"):
            del file[name]

    dataset = damaged(change)
    assert dataset.matrices == ()
    with pytest.raises(NotFoundError, match="has no matrix"):
        dataset.read_feature("g1")
    assert dataset.read_obs("int8").shape == (60,)


def test_without_x_the_first_matrix_answers(damaged, plain):
    dataset = damaged(lambda file: file.__delitem__("X"))
    first = dataset.matrices[0]
    assert first == "raw"
    assert dataset.matrix().path == "/raw/X"


def test_a_matrix_of_another_shape_is_refused(damaged):
    def change(file):
        del file["layers/counts"]
        file["layers/counts"] = np.zeros((60, 16))

    with pytest.raises(ElementError, match=r"/layers/counts has shape \(60, 16\); obs and var have \(60, 17\)"):
        damaged(change).read_feature("g1", "counts")


# -- obsm ---------------------------------------------------------------------------------------------------


def test_shapes_of_obsm_are_anndatas(h5ad):
    with cellasso.open(h5ad.path) as dataset:
        assert dataset.obsm == {name: value.shape for name, value in h5ad.oracle.obsm.items()}


def test_only_what_can_be_drawn_is_an_embedding_and_umap_comes_first(dataset):
    assert dataset.embeddings[0] == "X_umap"
    assert set(dataset.embeddings) >= {"X_umap", "X_pca", "X_sparse", "frame"}
    assert not set(dataset.embeddings) & {"cube", "one"}
    n_dims = {"X_pca": 50, "b": 2, "a": 3, "a_counts": 120, "spatial": 2, "X_UMAP_3d": 3, "X_tsne": 2}
    ranked = sorted(n_dims, key=lambda name: embedding_rank(name, n_dims[name]))
    assert ranked == ["X_UMAP_3d", "X_tsne", "spatial", "X_pca", "a", "b", "a_counts"]


@pytest.mark.parametrize(
    ("key", "dims"), [("X_umap", (0, 1)), ("X_umap", (1, 0)), ("X_pca", (4, 2)), ("frame", (0, 1))]
)
def test_embeddings_equal_anndatas(h5ad, key, dims):
    expected = np.asarray(h5ad.oracle.obsm[key], dtype=np.float64)[:, list(dims)].astype(np.float32)
    with cellasso.open(h5ad.path) as dataset:
        np.testing.assert_array_equal(dataset.read_embedding(key, dims), expected, strict=True)


def test_a_sparse_embedding_is_read(dataset, plain):
    expected = plain.oracle.obsm["X_sparse"].toarray()[:, [3, 1]].astype(np.float32)
    np.testing.assert_array_equal(dataset.read_embedding("X_sparse", (3, 1)), expected, strict=True)


@pytest.mark.parametrize(
    ("key", "dims", "error", "message"),
    [
        ("X_uma", (0, 1), NotFoundError, "has no 'X_uma'; nearest: X_umap"),
        ("X_umap", (0, 2), NotFoundError, r"/obsm/X_umap has 2 dimensions; \(0, 2\) were asked for"),
        ("X_umap", (-1, 0), NotFoundError, "has 2 dimensions"),
        ("cube", (0, 1), ElementError, r"has shape \(60, 2, 3\)"),
        ("labels", (0, 1), ElementError, r"/obsm/labels cannot be drawn along b, which holds no numbers\."),
    ],
)
def test_what_cannot_be_drawn_is_refused(dataset, key, dims, error, message):
    with pytest.raises(error, match=message):
        dataset.read_embedding(key, dims)


def test_an_obsm_of_another_length_is_listed_but_not_drawn(damaged):
    dataset = damaged(lambda file: file["obsm"].__setitem__("X_short", np.zeros((59, 2))))
    assert "X_short" not in dataset.embeddings
    with pytest.raises(ElementError, match=r"/obsm/X_short has shape \(59, 2\); 60 rows were expected"):
        dataset.read_embedding("X_short")
    assert dataset.read_embedding("X_umap").shape == (60, 2)


def test_a_frame_in_obsm_that_lost_a_column_is_refused(damaged):
    dataset = damaged(lambda file: file.__delitem__("obsm/frame/a"))
    with pytest.raises(
        ElementError,
        match=r"frame cannot be drawn along 2, which it names but does not have; what can be .*: b\.",
    ):
        dataset.read_embedding("frame")


def test_a_damaged_obsm_leaves_the_others(damaged):
    def change(file):
        file["obsm/nowhere"] = h5py.SoftLink("/nowhere")
        file["obsm/out"] = h5py.ExternalLink("other.h5", "/")
        file["obsm/X_sparse"].attrs["shape"] = "wide"

    dataset = damaged(change)
    assert "X_umap" in dataset.embeddings
    assert not {"nowhere", "out", "X_sparse"} & set(dataset.embeddings)


def test_a_compound_obsm_is_read(compound):
    with cellasso.open(compound) as dataset:
        assert dataset.obsm == {"X_pca": (4, 3), "X_umap": (4, 2)}
        expected = np.arange(8, dtype="f4").reshape(4, 2)[:, ::-1]
        np.testing.assert_array_equal(dataset.read_embedding("X_umap", (1, 0)), expected, strict=True)


def test_matrices_of_anndata_06_are_read(compound):
    with cellasso.open(compound) as dataset:
        assert dataset.matrices == ("X", "raw")
        assert [dataset.matrix(name).storage for name in dataset.matrices] == ["csr", "csc"]
        np.testing.assert_array_equal(dataset.read_feature("g1"), np.array([1, 4, 7, 10], dtype="f4"), strict=True)
        np.testing.assert_array_equal(dataset.read_feature("r3", "raw"), np.array([3, 7, 11, 15], "f4"), strict=True)


# -- colours, selecting --------------------------------------------------------------------------------------


def test_colours_come_from_uns(dataset):
    assert dataset.read_colors("ordered") == ["#111111", "#222222", "#333333"]
    assert dataset.read_colors("gaps") is None
    assert dataset.read_colors("no such column") is None


@pytest.mark.parametrize("colours", ["group", "matrix", "outside"])
def test_colours_that_are_none_are_no_colours(damaged, colours):
    def change(file):
        if colours == "group":
            file.create_group("uns/gaps_colors")
        elif colours == "matrix":
            file["uns/gaps_colors"] = np.zeros((2, 2))
        else:
            file["uns/gaps_colors"] = h5py.ExternalLink("other.h5", "/")

    assert damaged(change).read_colors("gaps") is None


@pytest.fixture
def doubtful(damaged):
    """A file whose obs has a column that is called as a gene."""
    return damaged(lambda file: file["obs"].__setitem__("g1", np.arange(60)))


def test_a_name_of_obs_and_of_a_gene_is_refused_unless_it_says_which(doubtful, plain):
    with pytest.raises(AmbiguousNameError, match=r"^'g1' is a column of obs and a feature; write obs:g1 or gene:g1\.$"):
        doubtful.read_column("g1")
    with pytest.raises(ExpressionError, match=r"'g1' is a column of obs and a feature") as caught:
        doubtful.where("gaps is null and g1 > 3")
    assert caught.value.column == 18
    np.testing.assert_array_equal(doubtful.where("obs:g1 > 30"), np.arange(60) > 30)
    gene = plain.oracle[:, "g1"].X.toarray().ravel()
    np.testing.assert_array_equal(doubtful.where("gene:g1 > 0 and `obs:g1` < 40"), (gene > 0) & (np.arange(60) < 40))
    assert isinstance(doubtful.read_column("g2"), np.ndarray)
    assert doubtful.expression_name("g1") == "obs:g1"
    assert doubtful.expression_name("gaps") == "gaps"


def test_cells_are_found_by_name(dataset, plain):
    names = plain.oracle.obs_names
    np.testing.assert_array_equal(dataset.where("obs_names in ['c3', 'c59', 'none']"), names.isin(["c3", "c59"]))
    np.testing.assert_array_equal(dataset.where("obs:obs_names == 'c3'"), names == "c3")


def test_an_index_is_also_called_by_its_own_name(damaged):
    def rename(file):
        file.move("obs/_index", "obs/barcode")
        file["obs"].attrs["_index"] = "barcode"

    np.testing.assert_array_equal(damaged(rename).where("barcode == 'c7'"), np.arange(60) == 7)


def test_lasso_and_where_answer_with_masks(dataset, plain):
    x, y = plain.oracle.obsm["X_umap"].T
    box = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    np.testing.assert_array_equal(dataset.lasso("X_umap", box), (abs(x) < 0.5) & (abs(y) < 0.5), strict=True)
    np.testing.assert_array_equal(dataset.where("int8 > 3"), plain.oracle.obs["int8"].to_numpy() > 3, strict=True)
