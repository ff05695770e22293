"""Both stores keep the contract: HDF5, and one in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.store.registry import open_store
from contracts.memory_store import MemoryStore
from contracts.store_contract import StoreContract

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

    from cellasso.store.base import Store


def written(adata: ad.AnnData, folder: Path, **options: str) -> Path:
    adata.write_h5ad(folder / "cells.h5ad", **options)
    return folder / "cells.h5ad"


class TestHdf5(StoreContract):
    def write(self, adata: ad.AnnData, folder: Path) -> Path:
        return written(adata, folder)

    def open(self, path: Path) -> Store:
        return open_store(path)


class TestCompressedHdf5(TestHdf5):
    def write(self, adata: ad.AnnData, folder: Path) -> Path:
        return written(adata, folder, compression="gzip")


class TestMemory(StoreContract):
    def write(self, adata: ad.AnnData, folder: Path) -> Path:
        return written(adata, folder)

    def open(self, path: Path) -> Store:
        return MemoryStore(path)
