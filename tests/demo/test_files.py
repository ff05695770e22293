"""The demo files: read by anndata and mudata they are what they claim to be."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import CellassoError
from cellasso_app.demo import files, synthetic

N_CELLS = synthetic.BLOCK + 1_000  # a whole block and a part of one


def read_original():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the layout is old, and anndata says so
        spec = importlib.util.find_spec("scanpy")
        return anndata.read_h5ad(Path(spec.submodule_search_locations[0], files.PBMC))


@pytest.fixture(scope="module")
def original():
    return read_original()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return files.write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def multimodal(real):
    return mudata.read_h5mu(real[1])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return files.write_synthetic(tmp_path_factory.mktemp("synthetic"), N_CELLS)


@pytest.fixture(scope="module")
def many_in_memory(many):
    return anndata.read_h5ad(many)


def test_h5ad_holds_all_of_the_data_set_in_todays_layout(real, original):
    written = anndata.read_h5ad(real[0])  # a warning about an old layout would be an error
    np.testing.assert_array_equal(written.X, original.X)
    np.testing.assert_array_equal(written.raw.X.toarray(), original.raw.X.toarray())
    np.testing.assert_array_equal(written.obsm["X_umap"], original.obsm["X_umap"])
    pd.testing.assert_frame_equal(written.obs, original.obs)
    assert set(written.obsp) == {"distances", "connectivities"}
    assert list(written.uns["louvain_colors"]) == list(original.uns["louvain_colors"])


def test_rna_of_the_h5mu_has_all_cells_with_log_values_as_csr(multimodal, original):
    rna = multimodal["rna"]
    assert rna.X.format == "csr"
    np.testing.assert_array_equal(rna.X.toarray(), original.raw.X.toarray())
    np.testing.assert_array_equal(rna.raw.X.toarray(), original.raw.X.toarray())
    assert list(rna.obs_names) == list(original.obs_names)


def test_markers_of_the_h5mu_are_rna_of_surface_proteins_in_part_of_the_cells(multimodal, original):
    markers = multimodal["markers"]
    assert markers.n_obs == files.N_MARKER_CELLS < original.n_obs
    same_cells = original[markers.obs_names]
    np.testing.assert_array_equal(markers.X, same_cells.raw[:, list(markers.var["gene"])].X.toarray())
    np.testing.assert_array_equal(markers.obsm["X_umap"], same_cells.obsm["X_umap"])
    assert "no protein was measured" in multimodal.uns["description"]


def test_h5mu_has_the_modalities_columns_pulled_with_their_colours(multimodal, real, original):
    assert list(multimodal.obs["rna:louvain"].astype(str)) == list(original.obs["louvain"].astype(str))
    assert multimodal.obs["markers:bulk_labels"].isna().sum() == original.n_obs - files.N_MARKER_CELLS
    with cellasso.open(real[1]) as dataset:
        assert dataset.read_colors("rna:louvain") == list(original.uns["louvain_colors"])


def test_names_are_unique_over_the_modalities(multimodal):
    assert multimodal.var_names.is_unique


def test_without_scanpy_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(CellassoError, match=r"pip install 'cellasso\[demo\]'"):
        files.write_demo(tmp_path)
    assert not list(tmp_path.iterdir())


def test_scanpy_is_found_without_being_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "scanpy", raising=False)
    assert files._pbmc_path().is_file()
    assert "scanpy" not in sys.modules


def test_synthetic_cells_are_what_was_asked_for(many_in_memory):
    cells = many_in_memory
    assert cells.shape == (N_CELLS, synthetic.N_GENES)
    assert cells.X.format == "csr"
    assert cells.X.dtype == np.float32
    assert cells.X.has_canonical_format
    assert cells.X.nnz / N_CELLS == pytest.approx(100, rel=0.05)
    assert cells.obsm["X_umap"].dtype == np.float32
    assert np.isfinite(cells.obsm["X_umap"]).all()
    assert cells.obs_names.is_unique
    assert cells.var_names.is_unique
    assert len(cells.obs["cell_type"].cat.categories) == 30
    assert [str(dtype) for dtype in cells.obs.dtypes] == ["category", "category", "category", "float32", "float32"]


def test_synthetic_values_are_log1p_of_counts_that_add_up(many_in_memory):
    counts = np.expm1(many_in_memory.X.data.astype(np.float64))
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
    totals = np.add.reduceat(counts, many_in_memory.X.indptr[:-1])
    np.testing.assert_allclose(totals, many_in_memory.obs["total_counts"], rtol=1e-5)


@pytest.mark.parametrize(
    ("gene", "cell_type"), [("MS4A1", "Naive B"), ("CD3D", "CD4 naive T"), ("LYZ", "CD14 monocyte")]
)
def test_a_marker_gene_stands_out_in_its_cell_type(many_in_memory, gene, cell_type):
    column = many_in_memory[:, gene].X.toarray().ravel()
    is_type = (many_in_memory.obs["cell_type"] == cell_type).to_numpy()
    marked = {name for types in synthetic.CELL_TYPES.values() for name, genes in types.items() if gene in genes}
    is_other = ~many_in_memory.obs["cell_type"].isin(marked).to_numpy()
    assert column[is_type].mean() > 10 * column[is_other].mean()


def test_cell_types_lie_apart_on_the_umap(many_in_memory):
    frame = pd.DataFrame(many_in_memory.obsm["X_umap"]).groupby(many_in_memory.obs["cell_type"].to_numpy())
    within = frame.var().mean().sum()
    assert np.var(many_in_memory.obsm["X_umap"], axis=0).sum() > 10 * within


def test_anndata_opens_synthetic_cells_backed(many, many_in_memory):
    backed = anndata.read_h5ad(many, backed="r")
    np.testing.assert_array_equal(backed.X[100:200].toarray(), many_in_memory.X[100:200].toarray())
    backed.file.close()


def test_the_first_synthetic_genes_are_called_as_in_the_real_data(many_in_memory, original):
    assert list(many_in_memory.var_names[: original.n_vars]) == list(original.var_names)
    assert many_in_memory.var_names[-1].startswith("GENE_")


def test_all_marker_genes_are_in_the_real_data(original):
    markers = {gene for types in synthetic.CELL_TYPES.values() for genes in types.values() for gene in genes}
    assert markers <= set(original.var_names)


def test_synthetic_cells_are_the_same_every_time(tmp_path, many_in_memory, original):
    again = tmp_path / "again.h5ad"
    synthetic.write(again, N_CELLS, list(original.var_names))
    found = anndata.read_h5ad(again)
    np.testing.assert_array_equal(found.X.data, many_in_memory.X.data)
    np.testing.assert_array_equal(found.X.indices, many_in_memory.X.indices)
    pd.testing.assert_frame_equal(found.obs, many_in_memory.obs)


def test_one_synthetic_cell_is_enough(tmp_path):
    assert anndata.read_h5ad(files.write_synthetic(tmp_path, 1)).n_obs == 1


def test_a_synthetic_file_that_is_there_is_used_again(tmp_path):
    first = files.write_synthetic(tmp_path, 10)
    before = first.stat()
    assert files.write_synthetic(tmp_path, 10) == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns


def test_stopping_leaves_no_synthetic_file_behind(tmp_path):
    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_synthetic(tmp_path, 10, progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_rises_to_one(tmp_path):
    seen = []
    files.write_synthetic(tmp_path, N_CELLS, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_a_full_disk_is_noticed_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(CellassoError, match=r"1,000,000 cells need 0\.4 GB in .*fewer cells"):
        files.write_synthetic(tmp_path, 1_000_000)


def test_synthetic_files_are_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    folder = files.synthetic_folder()
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "cellasso")


def test_synthetic_matrix_is_compressed_and_shuffled(many):
    with h5py.File(many) as file:
        for part in ("data", "indices"):
            assert (file["X"][part].compression, file["X"][part].shuffle) == ("gzip", True)
