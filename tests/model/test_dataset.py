"""The whole file: an h5mu's global cells against mudata, laziness in bytes and in memory, and light imports."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.core.errors import AmbiguousNameError, ElementError, FileError, NotFoundError

LUNG = Path(__file__).parents[2].parent / "shared" / "data" / "lung_lavage_4k.h5ad"


def spread(values: pd.Series, mdata) -> pd.Series:
    if values.dtype.kind in "biu" and len(values) < mdata.n_obs:
        values = values.convert_dtypes()  # as mudata pulls columns: integers and booleans stay so
    return values.reindex(mdata.obs_names).reset_index(drop=True)


# -- an h5mu answers for its global cells ---------------------------------------------------------------


def test_an_h5mu_has_the_modalities_of_mudata_in_their_order(h5mu):
    with cellasso.open(h5mu.path) as dataset:
        assert dataset.format == "h5mu"
        assert list(dataset.modalities) == list(h5mu.oracle.mod)
        assert dataset.n_obs == h5mu.oracle.n_obs
        assert dataset[""] is dataset.root
        np.testing.assert_array_equal(dataset.obs_names, h5mu.oracle.obs_names)
        for name, modality in h5mu.oracle.mod.items():
            assert (dataset[name].n_obs, dataset[name].n_vars) == modality.shape
        with pytest.raises(NotFoundError, match="has no modality 'tow'"):
            dataset["tow"]


def test_every_column_of_the_global_obs_and_of_each_modality_equals_mudatas(h5mu):
    mdata = h5mu.oracle
    with h5py.File(h5mu.path) as file:  # mudata narrows the integers of the global obs when it reads them
        obs = ad.io.read_elem(file["obs"])
    with cellasso.open(h5mu.path) as dataset:
        assert set(dataset.obs) == set(mdata.obs)
        for column in obs:
            pd.testing.assert_series_equal(
                dataset.read_obs(column), obs[column].reset_index(drop=True), check_names=False
            )
        for name, modality in mdata.mod.items():
            for column in modality.obs:
                found = dataset[name].read_obs(column)
                pd.testing.assert_series_equal(found, modality.obs[column].reset_index(drop=True), check_names=False)


def test_columns_that_only_a_modality_has_are_spread_over_the_global_cells(multimodal, damaged):
    def forget(file):
        for column in [c for c in file["obs"] if ":" in c]:
            del file["obs"][column]

    mdata, dataset = multimodal.oracle, damaged(forget, multimodal.path)
    assert list(dataset.obs) == ["site"]
    for name, modality in mdata.mod.items():
        for column in modality.obs:
            expected = spread(modality.obs[column], mdata)
            pd.testing.assert_series_equal(dataset.read_obs(f"{name}:{column}"), expected, check_names=False)


def test_features_are_spread_and_missing_where_a_modality_lacks_the_cell(h5mu):
    mdata = h5mu.oracle
    with cellasso.open(h5mu.path) as dataset:
        for name, modality in mdata.mod.items():
            for feature in modality.var_names[[0, -1]]:
                values = pd.Series(np.ravel(modality[:, feature].to_df()), index=modality.obs_names)
                expected = spread(values, mdata).to_numpy()
                np.testing.assert_array_equal(dataset.read_feature(f"{name}:{feature}"), expected, strict=True)
                np.testing.assert_array_equal(dataset[name].read_feature(feature), values, strict=True)


def test_several_features_come_in_the_order_asked_from_any_modality(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        asked = ["protein:pg1", "rna:rg4", "protein:pg0", "pg1"]
        for name, values in zip(asked, dataset.read_features(asked), strict=True):
            np.testing.assert_array_equal(values, dataset.read_feature(name))


def test_integers_become_floats_only_where_cells_are_missing(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        assert dataset["rna"].read_feature("rg1", "counts").dtype == np.int64
        assert dataset.read_feature("rna:rg1", "counts").dtype == np.float64


def test_a_feature_name_needs_its_modality_only_where_several_have_it(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        np.testing.assert_array_equal(dataset.read_feature("pg1"), dataset.read_feature("protein:pg1"))
        with pytest.raises(NotFoundError, match="'rg1' is a feature of several modalities; write rna:rg1 or atac:rg1"):
            dataset.read_feature("rg1")
        with pytest.raises(NotFoundError, match=r"No modality of axis0\.h5mu has a feature 'zz'"):
            dataset.read_feature("zz")


def test_embeddings_of_modalities_are_spread(multimodal):
    mdata = multimodal.oracle
    with cellasso.open(multimodal.path) as dataset:
        assert dataset.embeddings[0] == "rna:X_umap"
        assert "X_joint" in dataset.embeddings
        rna = pd.DataFrame(mdata["rna"].obsm["X_umap"], index=mdata["rna"].obs_names)
        expected = rna.reindex(mdata.obs_names).to_numpy(dtype=np.float32)
        np.testing.assert_array_equal(dataset.read_embedding("rna:X_umap"), expected, strict=True)
        joint = mdata.obsm["X_joint"][:, [2, 0]].astype(np.float32)
        np.testing.assert_array_equal(dataset.read_embedding("X_joint", (2, 0)), joint, strict=True)
        # cells that rna lacks have no coordinates, so that no lasso holds them
        everywhere = dataset.lasso("rna:X_umap", [(-99, -99), (99, -99), (99, 99), (-99, 99)])
        np.testing.assert_array_equal(everywhere, np.isfinite(expected).all(axis=1))


def test_colours_of_a_modality_serve_its_columns(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        assert dataset.read_colors("rna:ordered") == ["#111111", "#222222", "#333333"]
        assert dataset.read_colors("site") is None


def test_a_where_expression_crosses_modalities(multimodal):
    mdata = multimodal.oracle
    with cellasso.open(multimodal.path) as dataset:
        found = dataset.where("site == 's1' and protein:pg1 > 0")
    values = spread(pd.Series(np.ravel(mdata["protein"][:, "pg1"].to_df()), index=mdata["protein"].obs_names), mdata)
    np.testing.assert_array_equal(found, (mdata.obs["site"] == "s1").to_numpy() & (values > 0).to_numpy())


# -- obsmap ---------------------------------------------------------------------------------------------


def test_positions_are_those_of_the_names(h5mu):
    with cellasso.open(h5mu.path) as dataset:
        for name, modality in h5mu.oracle.mod.items():
            expected = h5mu.oracle.obs_names.get_indexer(modality.obs_names)
            np.testing.assert_array_equal(dataset.alignment(name).obs_index, expected)


def test_a_modality_of_the_same_cells_needs_no_positions(tmp_path):
    import mudata as md

    adata = ad.AnnData(np.eye(3, dtype="f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        md.MuData({"a": adata, "b": adata.copy()}).write(tmp_path / "x.h5mu")
    with cellasso.open(tmp_path / "x.h5mu") as dataset:
        assert dataset.alignment("a").obs_index is None
        assert dataset.read_feature("a:0").dtype == np.float32


def test_without_an_obsmap_cells_are_matched_by_name(multimodal, damaged):
    dataset = damaged(lambda file: file.__delitem__("obsmap"), multimodal.path)
    expected = multimodal.oracle.obs_names.get_indexer(multimodal.oracle["protein"].obs_names)
    np.testing.assert_array_equal(dataset.alignment("protein").obs_index, expected)


@pytest.mark.parametrize("place", ["obs", "mod/protein/obs"])
def test_without_an_obsmap_names_must_be_unique(multimodal, damaged, place):
    def change(file):
        del file["obsmap"]
        names = oracle.texts_of(file[f"{place}/_index"])
        names[1] = names[0]

    with pytest.raises(ElementError, match="has no /obsmap/protein, and its obs_names are not unique"):
        damaged(change, multimodal.path).alignment("protein")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[:-1],
        lambda rows: np.where(rows == 1, 41, rows),
        lambda rows: np.where(rows == 1, -1, rows.astype("i8")),
        lambda rows: np.where(rows == 1, 2, rows),
        lambda rows: rows.astype("S"),
        lambda rows: np.where(rows == 1, np.nan, rows),
    ],
    ids=["short", "beyond", "negative", "two_cells_share_a_row", "text", "nan"],
)
def test_an_obsmap_that_does_not_fit_is_refused(multimodal, damaged, spoil):
    def change(file):
        rows = spoil(file["obsmap/protein"][...])
        del file["obsmap/protein"]
        file["obsmap/protein"] = rows

    dataset = damaged(change, multimodal.path)
    with pytest.raises(ElementError, match="/obsmap/protein does not fit 80 cells and a modality of 40"):
        dataset.read_embedding("protein:X") if "protein:X" in dataset.embeddings else dataset.read_feature("pg1")
    assert dataset.read_feature("rna:rg1").shape == (80,)


# -- kinds of file ----------------------------------------------------------------------------------------


def test_an_h5ad_answers_for_itself(dataset):
    assert dataset.format == "h5ad"
    assert dataset.modalities == {}
    assert dataset.alignment("").obs_index is None
    with pytest.raises(NotFoundError, match="has no modality 'rna'"):
        dataset["rna"]


def test_a_colon_in_an_h5ad_is_part_of_the_name(damaged):
    dataset = damaged(lambda file: file["obs"].__setitem__("rna:depth", np.arange(60)))
    assert list(dataset.read_obs("rna:depth")[:2]) == [0, 1]


def test_an_h5mu_is_known_by_its_content_not_by_its_name(multimodal, damaged, tmp_path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(multimodal.path.read_bytes())
    with cellasso.open(path) as dataset:
        assert dataset.format == "h5mu"


def test_an_h5mu_without_obs_is_refused(multimodal, damaged):
    with pytest.raises(FileError, match=r"has no obs; an AnnData \(\.h5ad\) or MuData \(\.h5mu\) file was expected"):
        damaged(lambda file: file.__delitem__("obs"), multimodal.path)


def test_a_modality_order_that_lies_is_completed(multimodal, damaged):
    def change(file):
        file["mod"].attrs["mod-order"] = ["gone", "protein"]

    assert list(damaged(change, multimodal.path).modalities) == ["protein", "atac", "rna"]


# -- laziness ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """20,000 cells of 9,000 features: 720 MB were it dense."""
    n_obs, n_vars, per_cell = 20_000, 9_000, 90
    rng = np.random.default_rng(0)
    indices = (np.arange(per_cell) * 100 + rng.integers(0, 100, (n_obs, per_cell))).ravel().astype("i4")
    data = rng.random(len(indices), dtype="f4")
    X = sparse.csr_matrix((data, indices, np.arange(0, len(indices) + 1, per_cell)), shape=(n_obs, n_vars))
    obs = pd.DataFrame({"kind": pd.Categorical(rng.choice(["a", "b"], n_obs))}, index=[f"c{i}" for i in range(n_obs)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(n_vars)])
    path = tmp_path_factory.mktemp("large") / "large.h5ad"
    ad.AnnData(X, obs=obs, var=var, obsm={"X_umap": rng.random((n_obs, 2), dtype="f4")}).write_h5ad(path)
    return path


def test_opening_a_column_and_an_embedding_leave_the_matrix_alone(large):
    size = large.stat().st_size
    with cellasso.open(large) as dataset:
        assert (dataset.n_obs, dataset.n_vars, dataset.matrices, dataset.embeddings) == (
            20_000,
            9_000,
            ("X",),
            ("X_umap",),
        )
        assert dataset.handle.bytes_read < 100_000
        dataset.read_obs("kind")
        dataset.read_embedding("X_umap")
        assert dataset.handle.bytes_read < size / 20


MEMORY = """
import json, sys
import cellasso

def peak():
    # not ru_maxrss, which a child process inherits from the one that started it
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

def colour(path, feature):
    with cellasso.open(path) as dataset:
        feature = feature or str(dataset.features().names[dataset.n_vars // 2])
        return dataset, dataset.read_feature(feature), dataset.read_embedding(dataset.embeddings[0])

colour(sys.argv[1], "g1")
before = peak()
dataset, values, points = colour(sys.argv[2], "")
dense = dataset.n_obs * dataset.n_vars * values.dtype.itemsize
print(json.dumps({"raised": peak() - before, "dense": dense, "before": before}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("which", ["generated", "lung_lavage"])
def test_colouring_by_a_gene_takes_less_than_a_tenth_of_the_matrix(which, large, plain):
    if which == "lung_lavage" and not LUNG.exists():
        pytest.skip(f"{LUNG} is absent")
    path = LUNG if which == "lung_lavage" else large
    memory = json.loads(run(MEMORY, plain.path, path))
    assert memory["dense"] >= 500e6
    assert memory["raised"] < memory["dense"] / 10


def run(code: str, *arguments: object) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_cellasso_imports_nothing_heavy():
    code = "import sys, cellasso\nprint(*sys.modules)"
    loaded = set(run(code).split())
    assert not loaded & {"numpy", "h5py", "anndata", "mudata", "pandas", "scipy", "numba", "hdf5plugin"}


def test_reading_and_selecting_never_import_the_web(plain):
    code = """
import sys, cellasso
with cellasso.open(sys.argv[1]) as dataset:
    dataset.read_obs("ordered"); dataset.read_feature("g1"); dataset.where("int8 > 1")
    dataset.lasso("X_umap", [(0, 0), (1, 0), (1, 1)])
print(*sys.modules)
"""
    loaded = set(run(code, plain.path).split())
    assert "cellasso.points.polygon" in loaded
    assert not loaded & {"panel", "bokeh", "holoviews", "datashader", "tornado", "matplotlib"}


def test_the_package_lists_what_it_has():
    for name in cellasso.__all__:
        assert getattr(cellasso, name) is not None
    with pytest.raises(AttributeError, match="module 'cellasso' has no attribute 'opne'"):
        cellasso.opne  # noqa: B018 - looking it up raises


def test_an_empty_dataset_opens(tmp_path):
    ad.AnnData(np.zeros((0, 2), dtype="f4")).write_h5ad(tmp_path / "x.h5ad")
    with cellasso.open(tmp_path / "x.h5ad") as dataset:
        assert (dataset.n_obs, dataset.n_vars) == (0, 2)
        assert dataset.read_feature("0").shape == (0,)


def test_bytes_are_counted_from_zero(tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        for frame in ("obs", "var"):
            file[f"{frame}/_index"] = ["a"]
    with cellasso.open(tmp_path / "x.h5ad") as dataset:
        assert 0 < dataset.handle.bytes_read <= (tmp_path / "x.h5ad").stat().st_size * 3


def test_names_that_obs_and_a_modalitys_genes_share_are_told_apart(multimodal, damaged):
    def add(file):
        file["obs/rna:rg1"] = np.arange(file["obsmap/rna"].shape[0])
        file["mod/rna/obs/rg2"] = np.arange(len(multimodal.oracle["rna"]))

    dataset = damaged(add, multimodal.path)
    with pytest.raises(AmbiguousNameError, match="write obs:rna:rg1 or gene:rna:rg1"):
        dataset.read_column("rna:rg1")
    with pytest.raises(AmbiguousNameError, match="write rna:obs:rg2 or rna:gene:rg2"):
        dataset.read_column("rna:rg2")
    np.testing.assert_array_equal(dataset.where("obs:rna:rg1 >= 70"), np.arange(dataset.n_obs) >= 70)
    rna = multimodal.oracle["rna"]
    cells = multimodal.oracle.obs_names.isin(rna.obs_names[rna[:, "rg1"].X.toarray().ravel() > 0])
    np.testing.assert_array_equal(dataset.where("gene:rna:rg1 > 0"), cells)
    np.testing.assert_array_equal(dataset.where("rna:gene:rg1 > 0"), cells)
    np.testing.assert_array_equal(
        dataset.where("rna:obs:rg2 > 30"), multimodal.oracle.obs_names.isin(rna.obs_names[31:])
    )
    assert dataset.expression_name("rna:rg1") == "obs:rna:rg1"
    assert dataset.expression_name("rna:rg2") == "rna:obs:rg2"
    np.testing.assert_array_equal(dataset.where("protein:obs_names == 'c45'"), multimodal.oracle.obs_names == "c45")
