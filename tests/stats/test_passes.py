"""Cell sums and summaries as passes that any process can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import cellasso
from cellasso.matrix import row_blocks
from cellasso.stats.cell_sums import read_cell_sums
from cellasso.stats.feature_sums import read_feature_sums
from cellasso.stats.summarise import summarise_matrix
from contracts.pass_contract import PassContract, cluster, processes  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from cellasso.column_index.indexed_matrix import IndexedMatrix

pytestmark = pytest.mark.xdist_group("cluster")  # one pool of processes and one cluster for all of them

N_OBS, N_VARS = 400, 30


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(row_blocks, "BLOCK_VALUES", 300)
    rng = np.random.default_rng(0)
    counts = sparse.random(N_OBS, N_VARS, density=0.3, format="csr", random_state=rng, dtype="f4")
    ad.AnnData(counts).write_h5ad(tmp_path / "x.h5ad", compression="gzip")
    import h5py

    with h5py.File(tmp_path / "x.h5ad", "r+") as file:  # in chunks so small that blocks are, too
        for name in ("data", "indices"):
            values, attributes = file[f"X/{name}"][...], dict(file[f"X/{name}"].attrs)
            del file[f"X/{name}"]
            file["X"].create_dataset(name, data=values, chunks=(32,), compression="gzip").attrs.update(attributes)
    with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
        yield dataset


def matrix_of(dataset: Any) -> IndexedMatrix:
    return dataset.matrix()


class TestCellSums(PassContract):
    def run(self, source: Any, *, executor: Executor | None = None, progress: Any = None) -> list[np.ndarray]:
        return list(read_cell_sums(matrix_of(source).matrix, executor=executor, progress=progress))


class TestFeatureSums(PassContract):
    def run(self, source: Any, *, executor: Executor | None = None, progress: Any = None) -> list[np.ndarray]:
        found = read_feature_sums(matrix_of(source).matrix, executor=executor, progress=progress)
        return [found.totals, found.squares, found.n_nonzero]


class TestSummary(PassContract):
    def run(self, source: Any, *, executor: Executor | None = None, progress: Any = None) -> list[np.ndarray]:
        codes = np.arange(N_OBS) % 4 - 1
        found = summarise_matrix(
            matrix_of(source),
            [3, 1, 3],
            codes,
            3,
            factors=np.linspace(1, 2, N_OBS),
            executor=executor,
            progress=progress,
        )
        return [found.n_cells, found.n_known, found.n_above, found.sums, found.squares]
