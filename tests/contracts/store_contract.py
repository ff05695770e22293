"""What every store has to keep: subclass it beside a new format, and say how a file of it is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import oracle
from cellasso.core.errors import ElementError, ExportError, FileChangedError, NotFoundError
from cellasso.dataset import Dataset, Modality
from cellasso.model.container import format_of
from cellasso.model.vector import Vector
from cellasso.store.base import Array, Group, is_empty, is_text, members
from cellasso.write import verification, worker
from cellasso.write.job import Job
from cellasso.write.worker import write_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellasso.store.base import Store
    from cellasso.store.new_file import NewFile
    from cellasso.write.verification import Intended

N_OBS, N_VARS = 300, 40
SQUARE = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]


def cells(storage: str) -> ad.AnnData:
    rng = np.random.default_rng(0)
    counts = sparse.random(N_OBS, N_VARS, density=0.3, format="csr", random_state=rng, dtype="f4")
    counts.data = np.ceil(counts.data * 9)
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], N_OBS)),
            "score": rng.normal(size=N_OBS),
            "note": [f"cell number {i}" for i in range(N_OBS)],
        },
        index=[f"c{i}" for i in range(N_OBS)],
    )
    var = pd.DataFrame(index=[f"g{i}" for i in range(N_VARS)])
    made = {"csr": counts, "csc": counts.tocsc(), "dense": counts.toarray()}[storage]
    umap = rng.normal(size=(N_OBS, 2)).astype("f4")
    uns = {
        "kind_colors": np.array(["#111111", "#222222", "#333333"], dtype=object),
        "method": {"steps": 3, "name": "µ"},
    }
    return ad.AnnData(made, obs=obs, var=var, obsm={"X_umap": umap}, uns=uns)


class StoreContract(ABC):
    """Each test opens what `write` has written."""

    @abstractmethod
    def write(self, adata: ad.AnnData, folder: Path) -> Path:
        """Write cells as a file of the format, and return where."""

    @abstractmethod
    def open(self, path: Path) -> Store:
        """Open a file of the format."""

    @pytest.fixture(params=["csr", "csc", "dense"])
    def written(self, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ad.AnnData, Path]:
        adata = cells(request.param)
        return adata, self.write(adata, tmp_path)

    @pytest.fixture
    def store(self, written: tuple[ad.AnnData, Path]) -> Iterator[Store]:
        with self.open(written[1]) as opened:
            yield opened

    @pytest.fixture
    def dataset(self, store: Store) -> Dataset:
        return Dataset(Modality(store, "", ""), format_of(store))

    # -- groups and arrays ----------------------------------------------------------------------------

    def test_groups_list_their_members_and_arrays_their_facts(self, store, written):
        root = store.root()
        assert isinstance(root, Group)
        assert {"X", "obs", "var", "obsm", "uns"} <= set(members(root))
        assert "X" in root
        assert "Y" not in root
        umap = store.node("/obsm/X_umap")
        assert isinstance(umap, Array)
        assert (umap.shape, umap.ndim, umap.size, umap.dtype) == ((N_OBS, 2), 2, 2 * N_OBS, np.dtype("f4"))
        assert umap.name == "/obsm/X_umap"
        assert any(is_text(array.dtype) for array in store.arrays(store.group("/obs")))  # names, texts, categories
        assert not is_text(umap.dtype)

    def test_attributes_are_plain_values(self, store):
        obs = store.group("/obs")
        assert obs.attrs["encoding-type"] == "dataframe"
        assert list(obs.attrs["column-order"]) == ["kind", "score", "note"]
        assert "nothing" not in obs.attrs
        assert not is_empty(obs.attrs["column-order"])

    def test_what_is_not_there_is_said(self, store):
        with pytest.raises(NotFoundError, match=r"has no 'Y'"):
            store.node("/Y")
        with pytest.raises(NotFoundError):
            store.child(store.root(), "obsm/X_tsne")
        with pytest.raises(ElementError, match="a group was expected"):
            store.group("/obsm/X_umap")
        with pytest.raises(ElementError, match="a dataset was expected"):
            store.array("/obsm")
        with pytest.raises(ElementError, match="a dataset was expected"):
            store.child_array(store.root(), "obsm")

    def test_one_object_has_one_key(self, store):
        assert store.key(store.node("/obs")) == store.key(store.child(store.root(), "obs"))
        assert store.key(store.node("/obs")) != store.key(store.node("/var"))

    def test_an_array_is_read_in_parts(self, store, written):
        umap, expected = store.array("/obsm/X_umap"), written[0].obsm["X_umap"]
        np.testing.assert_array_equal(store.read(umap), expected)
        np.testing.assert_array_equal(store.read(umap, (slice(10, 20), 1)), expected[10:20, 1])
        stretches = store.open_chunks(umap)
        if stretches is not None:
            np.testing.assert_array_equal(stretches.read(slice(5, 9), slice(1, 2)), expected[5:9, 1:2])

    def test_all_arrays_are_found_once(self, store):
        names = [array.name for array in store.arrays(store.root())]
        assert len(set(names)) == len(names)
        assert {"/obsm/X_umap", "/obs/score", "/obs/kind/codes", "/obs/kind/categories"} <= set(names)

    def test_a_file_that_changes_or_is_closed_is_noticed(self, written):
        store = self.open(written[1])
        array = store.array("/obsm/X_umap")
        written[1].write_bytes(written[1].read_bytes() + b"\0")
        with pytest.raises(FileChangedError):
            store.read(array)
        store.close()
        assert not store.is_open
        with pytest.raises(FileChangedError, match="closed"):
            store.root()

    # -- what stands on it ----------------------------------------------------------------------------

    def test_a_gene_a_column_and_an_embedding_are_read(self, dataset, written):
        adata = written[0]
        dense = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
        np.testing.assert_array_equal(dataset.read_feature("g7"), dense[:, 7])
        np.testing.assert_array_equal(dataset.vectors.read(Vector("sum", "total")), dense.sum(axis=1, dtype="f8"))
        np.testing.assert_array_equal(dataset.read_embedding("X_umap"), adata.obsm["X_umap"])
        for column in adata.obs:
            expected = adata.obs[column].reset_index(drop=True)
            pd.testing.assert_series_equal(dataset.read_obs(column), expected, check_dtype=column != "note")
        assert list(dataset.obs_names) == list(adata.obs_names)

    def test_cells_are_exported_as_anndata_copies_them(self, dataset, written, tmp_path):
        adata = written[0]
        mask = np.random.default_rng(1).random(N_OBS) < 0.4
        mask[adata.obs["kind"].to_numpy() == "b"] = False
        target = tmp_path / "export.h5ad"
        job = Job(dataset.file_path, target, dataset.handle.fingerprint, {"": np.flatnonzero(mask)}, {"n_obs": 1})
        told: list[float] = []
        assert write_from(dataset.handle, job, told.append) == []
        assert told[-1] == 1.0
        found, expected = oracle.read(target), adata[mask].copy()
        assert found.uns["cellasso"]["n_obs"] == 1
        del found.uns["cellasso"]
        oracle.assert_same(found, expected)
        assert list(found.obs["kind"].cat.categories) == ["a", "c"]
        assert list(found.uns["kind_colors"]) == ["#111111", "#333333"]

    def test_an_export_that_differs_from_its_source_is_refused(self, dataset, tmp_path, monkeypatch):
        target = tmp_path / "export.h5ad"
        job = Job(dataset.file_path, target, dataset.handle.fingerprint, {"": np.arange(N_OBS)}, {})

        def spoil(job: Job, new: NewFile, intended: Intended) -> None:
            with h5py.File(target, "r+") as file:
                file["obsm/X_umap"][7, 1] += 1
            verification.verify(job, new, intended)

        monkeypatch.setattr(worker, "verify", spoil)
        with pytest.raises(ExportError, match="it differs from its source: /obsm/X_umap: "):
            write_from(dataset.handle, job, lambda _: None)

    def test_cells_are_selected_and_summarised(self, dataset, written):
        adata = written[0]
        dense = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
        mask = dataset.where("g7 > 0 and score < 0 and kind != 'b'")
        expected = (dense[:, 7] > 0) & (adata.obs["score"] < 0) & (adata.obs["kind"] != "b")
        np.testing.assert_array_equal(mask, expected)
        points = adata.obsm["X_umap"]
        np.testing.assert_array_equal(dataset.lasso("X_umap", SQUARE), (np.abs(points) < 1).all(axis=1))
        codes = adata.obs["kind"].cat.codes.to_numpy()
        found = dataset.summarise(None, codes, 3)
        np.testing.assert_allclose(found.mean, [dense[codes == group].mean(axis=0) for group in range(3)], rtol=1e-6)
