"""A made-up multiome of the size of the 10x PBMC one: 11,909 cells by 36,601 genes and 108,377 peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from pathlib import Path

N_OBS, N_GENES, N_PEAKS = 11_909, 36_601, 108_377
KINDS = ("B", "CD4 T", "CD8 T", "Mono", "NK")


def counts(rng: np.random.Generator, n_vars: int, per_cell: int) -> sparse.csr_matrix:
    """Return counts of which each cell has about as many other than 0."""
    lengths = rng.poisson(per_cell, N_OBS)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.minimum(rng.gamma(0.6, n_vars / 6, indptr[-1]).astype("i4"), n_vars - 1)
    made = sparse.csr_matrix((np.ones(len(columns), "f4"), columns, indptr), shape=(N_OBS, n_vars))
    made.sum_duplicates()
    return made


def write(path: Path, seed: int = 0) -> None:
    """Write it as .h5mu: both modalities have all cells, the peaks in another order."""
    rng = np.random.default_rng(seed)
    names = np.array([f"cell-{i}" for i in range(N_OBS)])
    kind = rng.integers(0, len(KINDS), N_OBS)
    rna = ad.AnnData(counts(rng, N_GENES, 300), obs=pd.DataFrame(index=names))
    rna.var_names = [f"gene-{i}" for i in range(N_GENES)]
    rna.obs["celltype"] = pd.Categorical.from_codes(kind, KINDS)
    middles = rng.normal(size=(len(KINDS), 2)) * 6
    rna.obsm["X_umap"] = (middles[kind] + rng.normal(size=(N_OBS, 2))).astype("f4")
    order = rng.permutation(N_OBS)
    atac = ad.AnnData(counts(rng, N_PEAKS, 300), obs=pd.DataFrame(index=names[order]))
    starts = np.arange(N_PEAKS) * 25_000 % 240_000_000
    atac.var_names = [f"chr{1 + i * 22 // N_PEAKS}:{start}-{start + 500}" for i, start in enumerate(starts)]
    md.MuData({"rna": rna, "atac": atac}).write(path)
