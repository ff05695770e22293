"""Files that plots are tested on, what scanpy draws of them, and what is left of a plot when it is drawn."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import anndata as ad
import holoviews as hv
import mudata as md
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

N = 400
KINDS = ["b", "unused", "c", "a"]


def make_cells(n: int = N, seed: int = 0) -> ad.AnnData:
    """Return cells with each kind of column that colours them, raw with one gene more, and a layer."""
    rng = np.random.default_rng(seed)
    kind = pd.Categorical(rng.choice(["a", "b", "c"], n), categories=KINDS)
    gaps = np.where(rng.random(n) < 0.2, None, rng.choice(["yes", "no"], n))
    score = rng.normal(size=n)
    score[::9] = np.nan
    obs = pd.DataFrame(
        {
            "kind": kind,
            "gaps": pd.Categorical(gaps, categories=["no", "yes"]),
            "flag": rng.random(n) < 0.5,
            "text": rng.choice(["x", "y", "z"], n),
            "score": score,
            "number": rng.integers(0, 9, n),
            "many": pd.Categorical(
                [f"m{i}" for i in rng.integers(0, 300, n)], categories=[f"m{i}" for i in range(300)]
            ),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    counts = rng.poisson(1.0, (n, 5)).astype(np.float32)
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2", "g3", "only_raw"]))
    adata.raw = adata
    adata = adata[:, :4].copy()
    adata.obs = obs  # with the categories that no cell has, which AnnData drops
    adata.X = np.log1p(adata.X)
    adata.layers["twice"] = adata.X * 2
    adata.obsm["X_umap"] = (rng.normal(size=(n, 2)) * [3, 2]).astype(np.float32)
    adata.obsm["X_pca"] = rng.normal(size=(n, 3)).astype(np.float32)
    adata.obsm["X_umap"][7] = np.nan
    adata.uns["kind_colors"] = np.array(["#ff0000", "#00ff00", "#0000ff", "#ffff00"], dtype=object)
    return adata


def write_cells(path: Path, **options: Any) -> ad.AnnData:
    """Write them and return what scanpy takes."""
    adata = make_cells(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.write_h5ad(path)
    return adata


def write_mudata(path: Path) -> md.MuData:
    """Write two modalities that share a part of their cells; the first has the embedding and the colours."""
    rna, protein = make_cells(), make_cells(seed=1)[100:].copy()
    protein.raw = None
    protein.var_names = [f"p{i}" for i in range(4)]
    del protein.obsm["X_umap"]
    protein.uns.clear()
    protein.obs_names = [f"cell{i}" for i in range(200, 200 + len(protein))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = md.MuData({"rna": rna, "protein": protein})
        mdata.obs = pd.DataFrame(
            {"site": pd.Categorical(np.where(np.arange(mdata.n_obs) % 3 == 0, "s1", "s2"))}, index=mdata.obs_names
        )
        mdata.write(path)
    return mdata


def drawn_by_scanpy(adata: ad.AnnData, basis: str = "umap", **options: Any) -> Any:
    """Return the axes that scanpy draws into."""
    import matplotlib as mpl

    mpl.use("agg")
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.pl.embedding(adata.copy(), basis, show=False, **options)


def element(plot: Any, kind: type) -> Any:
    """Return the first element of a kind in a plot."""
    if isinstance(plot, hv.DynamicMap):
        plot = plot[()]
    return next(each for each in plot.traverse(lambda x: x, [kind]) if type(each) is kind)


def options_of(shown: Any, group: str, backend: str = "bokeh") -> dict[str, Any]:
    """Return the options of an element that were set for a library."""
    return hv.Store.lookup_options(backend, shown, group).kwargs


def rendered(plot: Any, backend: str) -> bytes:
    """Return a plot as its library writes it: a picture by matplotlib, a page by Bokeh."""
    out = io.BytesIO()
    if backend == "matplotlib":
        hv.save(plot, out, fmt="png", backend=backend)
        return out.getvalue()
    model = hv.renderer("bokeh").get_plot(plot).state
    from bokeh.embed import file_html

    return file_html(model, resources="cdn").encode()
