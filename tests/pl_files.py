"""What the plots are tried on: scanpy's PBMC with raw and a layer of counts; nothing is fetched, its wheel has it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

MARKERS = {"T": ["CD3D", "CD3E", "IL32"], "B": ["CD79A", "CD79B"], "myeloid": ["CST3", "LYZ", "CD3D"]}
"""One gene stands in two lists."""

GENES = [gene for genes in MARKERS.values() for gene in genes]


def make_pbmc() -> AnnData:
    """Return it with further columns of obs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = sc.datasets.pbmc68k_reduced()
    rng = np.random.default_rng(5)
    adata.layers["counts"] = sparse.csr_matrix(rng.poisson(0.8, adata.shape).astype(np.float32))
    adata.obs["score"] = rng.normal(size=adata.n_obs)
    adata.obs["rank"] = rng.integers(0, 40, adata.n_obs)
    adata.obs["donor"] = pd.Categorical(rng.choice(["b", "a"], adata.n_obs), categories=["b", "none", "a"])
    adata.uns["donor_colors"] = np.array(["#111111", "#222222", "#333333"], dtype=object)
    adata.obs["gaps"] = pd.Categorical(np.where(rng.random(adata.n_obs) < 0.3, None, adata.obs["phase"].astype(str)))
    return adata
