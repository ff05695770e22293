"""Group summaries and log-normalised counts of any storage, against NumPy, pandas and scanpy."""

from __future__ import annotations

import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import Cancelled, ElementError
from cellasso.matrix import row_blocks
from cellasso.matrix.open import open_matrix
from cellasso.stats.cell_sums import holds_counts, read_cell_sums
from cellasso.stats.feature_sums import FeatureSums

STORAGES = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
N_OBS, N_VARS = 300, 25


def counts(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(rng.lognormal(-1, 1.5, N_VARS), (N_OBS, N_VARS)).astype("f4")
    drawn[5] = 0  # a cell without counts
    return drawn


@pytest.fixture(scope="module", params=[*STORAGES, "indexed csr"])
def written(request, tmp_path_factory):
    storage = request.param.rpartition(" ")[2]
    folder = tmp_path_factory.mktemp("expression")
    rng = np.random.default_rng(1)
    obs = pd.DataFrame({"kind": pd.Categorical(rng.choice(list("abcd"), N_OBS))}, index=[f"c{i}" for i in range(N_OBS)])
    adata = ad.AnnData(STORAGES[storage](counts()), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_VARS)]))
    adata.write_h5ad(folder / "x.h5ad", compression="gzip")
    with cellasso.open(folder / "x.h5ad", index=folder / "index" if "indexed" in request.param else False) as dataset:
        if "indexed" in request.param:
            dataset.build_index()
        yield dataset


@pytest.fixture(autouse=True, params=[0, 1 << 30], ids=["read and let go", "kept"])
def small_blocks(request, monkeypatch):
    monkeypatch.setattr(row_blocks, "BLOCK_VALUES", 500)
    monkeypatch.setattr("cellasso.dataset.CACHED_BYTES", request.param)


def codes() -> np.ndarray:
    return np.random.default_rng(2).integers(-1, 4, N_OBS).astype("i2")


def expected_of(values: np.ndarray, its_codes: np.ndarray, n_groups: int) -> dict[str, np.ndarray]:
    """Group by group, in NumPy, in float64."""
    parts = [values[its_codes == group].astype("f8") for group in range(n_groups)]
    return {
        "sums": np.stack([np.nansum(part, axis=0) for part in parts]),
        "squares": np.stack([np.nansum(part**2, axis=0) for part in parts]),
        "n_above": np.stack([(part > 0).sum(axis=0) for part in parts]),
        "n_known": np.stack([(~np.isnan(part)).sum(axis=0) for part in parts]),
    }


def assert_summary(found, values, its_codes, n_groups=4, *, rtol=1e-12):
    for name, right in expected_of(values, its_codes, n_groups).items():
        np.testing.assert_allclose(getattr(found, name), right, rtol=rtol, err_msg=name)
    np.testing.assert_array_equal(found.n_cells, np.bincount(its_codes[its_codes >= 0], minlength=n_groups))


def log_normalised() -> np.ndarray:
    import scanpy as sc

    adata = ad.AnnData(counts())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cell without counts
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    return adata.X


@pytest.mark.parametrize("names", [None, ["g3", "g0", "g3", "g24"], []], ids=["all", "some, one twice", "none"])
def test_features_are_summarised_as_numpy_does(written, names):
    picked = counts() if names is None else counts()[:, [int(name[1:]) for name in names]]
    assert_summary(written.summarise(names, codes(), 4), picked, codes())


def test_summaries_of_normalised_counts_are_scanpys(written):
    found = written.summarise(["g1", "g7"], codes(), 4, normalised=True)
    assert_summary(found, log_normalised()[:, [1, 7]], codes(), rtol=1e-5)


def test_normalised_columns_are_scanpys_to_a_float32(written):
    found = written.read_features(["g2", "g20"], normalised=True)
    right = log_normalised()[:, [2, 20]]
    for column, expected in zip(found, right.T, strict=True):
        assert column.dtype == np.float32
        np.testing.assert_allclose(column, expected, rtol=3e-7)
        assert column[5] == 0  # the cell without counts


def test_cell_sums_are_those_of_rows(written):
    sums = written.read_cell_sums()
    np.testing.assert_array_equal(sums.totals, counts().sum(axis=1, dtype="f8"), strict=True)
    np.testing.assert_array_equal(sums.n_nonzero, (counts() != 0).sum(axis=1), strict=True)


def test_feature_sums_are_scanpys_qc_metrics_indexed_or_not(written, tmp_path):
    sc = pytest.importorskip("scanpy")
    adata = ad.AnnData(sparse.csr_matrix(counts()))
    sc.pp.calculate_qc_metrics(adata, percent_top=None, log1p=False, inplace=True)
    with cellasso.open(written.file_path, index=tmp_path / "index") as indexed:
        if indexed.matrix().storage == "csr":
            indexed.build_index()
            assert len(indexed.matrix().index.read_sums("squares")) == N_VARS
        for source in (written, indexed):
            found = source.read_feature_sums()
            assert found.n_obs == len(counts())
            np.testing.assert_array_equal(found.totals, adata.var["total_counts"])
            np.testing.assert_array_equal(found.n_nonzero, adata.var["n_cells_by_counts"], strict=True)
            np.testing.assert_allclose(found.mean, adata.var["mean_counts"], rtol=1e-6)
            np.testing.assert_allclose(found.variance, counts().var(axis=0, ddof=1, dtype="f8"), rtol=1e-9)


def test_feature_sums_take_several_values_of_a_cell_as_their_sum(tmp_path):
    adata = ad.AnnData(sparse.csr_matrix(np.ones((3, 2), "f4")))
    adata.X = sparse.csr_matrix((np.array([1, 2, -2, 2, 5], "f4"), [0, 0, 1, 1, 0], [0, 2, 4, 5]), (3, 2))
    path = tmp_path / "twice.h5ad"
    adata.write_h5ad(path)
    with cellasso.open(path, index=tmp_path / "index") as dataset:
        for _ in range(2):
            found = dataset.read_feature_sums()
            assert (found.totals.tolist(), found.squares.tolist()) == ([8, 0], [34, 0])
            assert found.n_nonzero.tolist() == [2, 0]
            dataset.build_index()


def test_feature_sums_without_cells_have_no_mean():
    none = FeatureSums(0, np.zeros(2), np.zeros(2), np.zeros(2, dtype=np.int64))
    assert np.isnan(none.mean).all()
    assert np.isnan(none.variance).all()


def test_a_summary_of_rows_reports_and_can_be_cancelled(written):
    told: list[float] = []
    written.summarise(None, codes(), 4, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1

    def cancel(_fraction: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        written.summarise(None, codes(), 4, progress=cancel)


def test_many_features_of_rows_cost_one_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("cellasso.dataset.CACHED_BYTES", 0)
    adata = ad.AnnData(sparse.csr_matrix(counts()))
    adata.write_h5ad(tmp_path / "x.h5ad")
    read = []
    for names in (["0"], None):
        with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
            dataset.features().position("0")
            before = dataset.handle.bytes_read
            dataset.summarise(names, codes(), 4)
            read.append(dataset.handle.bytes_read - before)
    assert read[0] == read[1]


def test_missing_values_and_repeated_entries_count_as_scipy_has_them(tmp_path):
    data = np.array([1, 2, np.nan, 4, -3, 0], dtype="f4")
    indices = np.array([1, 1, 0, 2, 1, 2])  # the first cell has column 1 twice
    matrix = sparse.csr_matrix((data, indices, [0, 2, 4, 6]), shape=(3, 3))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": matrix.shape})
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
    from cellasso.stats.group_summary import summarise_rows
    from cellasso.store.hdf5.handle import Hdf5Store

    with Hdf5Store(tmp_path / "x.h5") as handle:
        found = summarise_rows(open_matrix(handle, "/X"), [0, 1, 2], np.array([0, 1, 0]), 2)
        totals = read_cell_sums(open_matrix(handle, "/X")).totals
    assert_summary(found, matrix.toarray(), np.array([0, 1, 0]), 2)
    np.testing.assert_array_equal(totals, [3, np.nan, -3])


def test_modalities_are_summarised_over_the_global_cells(multimodal):
    with cellasso.open(multimodal.path, index=False) as dataset:
        its_codes = np.random.default_rng(4).integers(-1, 3, dataset.n_obs)
        names = ["rna:rg1", "protein:pg3", "rna:rg0", "atac:rg1"]
        found = dataset.summarise(names, its_codes, 3)
        columns = np.stack([column.astype("f8") for column in dataset.read_features(names)], axis=1)
        assert_summary(found, columns, its_codes, 3)
        with pytest.raises(ElementError, match="no features of its own"):
            dataset.summarise(None, its_codes, 3)


def test_a_scan_of_a_modality_is_shown_normalised_and_over_the_global_cells(multimodal, monkeypatch):
    monkeypatch.setattr("cellasso.matrix.scan.SCAN_BLOCK", 20)
    monkeypatch.setattr("cellasso.matrix.compressed.StoredVector.chunk", 1)  # the file is one chunk
    monkeypatch.setattr("cellasso.matrix.scan.PREVIEW_SECONDS", -1.0)
    shown: list[list[np.ndarray]] = []
    with cellasso.open(multimodal.path, index=False) as dataset:
        (whole,) = dataset.read_features(["rna:rg0"], "counts", normalised=True, preview=shown.append)
        dataset.read_features(["rna:rg0"], "counts", normalised=True, preview=shown.clear)  # kept: nothing to show
    assert shown
    for (column,) in shown:
        assert column.shape == whole.shape
        np.testing.assert_array_equal(column, np.where(np.isnan(column), np.nan, whole))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("values", "are_counts"),
    [
        (counts(), True),
        (counts().astype("i4"), True),
        (counts().astype("f2"), True),
        (np.log1p(counts()), False),
        (-counts(), False),
        (np.where(counts() > 0, np.nan, 0).astype("f4"), False),
    ],
    ids=["float32", "int32", "float16", "log1p", "negative", "nan"],
)
def test_counts_are_told_from_other_values(tmp_path, storage, values, are_counts):
    matrix = values if storage == "dense" or values.dtype == np.float16 else STORAGES[storage](values)
    ad.AnnData(matrix).write_h5ad(tmp_path / "x.h5ad")
    with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
        assert dataset.holds_counts() == are_counts
        assert holds_counts(dataset.matrix().matrix) == are_counts
