"""A file of cells in clusters, and views of it: what several benchmarks draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from pathlib import Path

N_CATEGORIES = 30
X, Y = "X_umap:0", "X_umap:1"


def write(path: Path, n: int, n_genes: int = 0) -> None:
    """Write clustered points, a column of categories, one of numbers, and a sparse matrix where there are genes."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(N_CATEGORIES, 2)) * 6
    codes = rng.integers(0, N_CATEGORIES, n)
    obs = pd.DataFrame(
        {
            "cluster": pd.Categorical.from_codes(codes, [f"c{i}" for i in range(N_CATEGORIES)]),
            "score": rng.gamma(2, size=n).astype("f4"),
        },
        index=pd.RangeIndex(n).astype(str),
    )
    adata = ad.AnnData(obs=obs)
    if n_genes:
        matrix = sparse.random(n, n_genes, density=0.1, format="csr", random_state=rng, dtype="f4")
        adata = ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))
    adata.obsm["X_umap"] = (middles[codes] + rng.normal(size=(n, 2)) * 0.8).astype("f4")
    adata.write_h5ad(path)


def view_of(points: Any, part: float) -> Viewport:
    """Return a view with a part of the cells around one of them."""
    x, y = map(float, points.points[len(points) // 3])
    low, high, bounds = 0.0, 1.0, points.bounds
    for _ in range(30):
        half = (low + high) / 2
        width, height = half * (bounds.x_high - bounds.x_low), half * (bounds.y_high - bounds.y_low)
        view = Viewport(x - width, x + width, y - height, y + height)
        low, high = (half, high) if points.count(view) < part * len(points) else (low, half)
    return view
