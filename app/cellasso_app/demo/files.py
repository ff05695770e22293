"""Files to try the explorer on: real cells that ship with scanpy, and any number of synthetic ones."""

from __future__ import annotations

import shutil
import warnings
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

import cellasso
from cellasso.core.atomic_file import Replacement
from cellasso.core.errors import CellassoError
from cellasso_app.demo import synthetic

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from anndata import AnnData

    from cellasso.core.progress import Progress

PBMC = Path("datasets", "10x_pbmc68k_reduced.h5ad")
"""700 cells of 10x Genomics' 68k PBMC inside scanpy's wheel, with `raw`; the layout differs between its versions."""

SURFACE_MARKERS = (
    "CD3D", "CD3E", "CD3G", "CD4", "CD8A", "CD8B", "IL7R", "CCR7", "CD27", "CD28", "CD2", "CD7",
    "MS4A1", "CD79A", "CD79B", "CD40", "CD37", "HLA-DRA", "HLA-DRB1", "CD74",
    "FCGR3A", "CD33", "FCER1A", "CLEC10A", "CD63", "ITGB2", "KLRB1", "CD160", "CD247", "CD52",
)  # fmt: skip
"""Genes of that file that code for proteins of the cell's surface."""

SEED = 0
N_MARKER_CELLS = 560

SYNTHETIC_BYTES = 400
"""Room on the disk that a synthetic cell needs: 220 bytes were measured at 1M cells, and a full disk kills HDF5."""


class DemoError(CellassoError, RuntimeError):
    """The demo's data is not at hand."""


def write_demo(folder: Path) -> list[Path]:
    """Write the real data set as an h5ad and as an h5mu with two modalities; return their paths.

    The h5mu's `markers` are the RNA values of genes of surface proteins in a part of the cells. No
    protein was measured: it shows what a file with modalities of different cells looks like.

    Raises
    ------
    DemoError
        scanpy is not installed; the message says how to get it.
    """
    import mudata  # noqa: PLC0415 - it imports anndata, which takes seconds

    cells = _read_pbmc()
    single, several = folder / "pbmc68k_reduced.h5ad", folder / "pbmc68k_multimodal.h5mu"
    cells.write_h5ad(single, compression="gzip")
    rna, markers = _rna(cells), _markers(cells)
    with explicit_pulls():
        both = mudata.MuData({"rna": rna, "markers": markers})
        both.pull_obs()
        for name, modality in both.mod.items():
            for key in ("bulk_labels", "louvain"):
                if key in modality.obs:
                    both.uns[f"{name}:{key}_colors"] = modality.uns[f"{key}_colors"]
        both.uns["description"] = "markers holds RNA of genes of surface proteins; no protein was measured"
        both.write_h5mu(several, compression="gzip")
    return [single, several]


def write_synthetic(folder: Path, n_cells: int, *, progress: Progress | None = None) -> Path:
    """Write `n_cells` synthetic cells unless the folder has them already; return the file's path.

    The same number of cells gives the same values every time; the first genes are called as in the real
    data set. A file that appears under its name is complete.

    Parameters
    ----------
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    DemoError
        scanpy is not installed, or the disk has no room.
    """
    path = folder / f"synthetic_{n_cells}_cells.h5ad"
    if path.exists():
        return path
    with cellasso.open(_pbmc_path(), index=False) as cells:
        symbols = [str(name) for name in cells.var.names]
    free, needed = shutil.disk_usage(folder).free, n_cells * SYNTHETIC_BYTES
    if free < needed:
        raise DemoError(
            f"{n_cells:,} cells need {needed / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB free;"
            " ask for fewer cells or make room."
        )
    with Replacement(path) as new:
        synthetic.write(new.partial, n_cells, symbols, progress=progress)
        new.put()
    return path


def explicit_pulls() -> AbstractContextManager[object]:
    """Let mudata put columns of modalities into the global obs and var only when `pull_obs` or `pull_var` says so.

    mudata 0.4 does so by itself; before, it pulled all of them with every update unless an option said otherwise.
    """
    import mudata  # noqa: PLC0415

    set_options = getattr(mudata, "set_options", None)  # mudata 0.4 has none
    return nullcontext() if set_options is None else set_options(pull_on_update=False)


def synthetic_folder() -> Path:
    """Return the folder of this user's cache that keeps synthetic files; make it when it is missing."""
    folder = platformdirs.user_cache_path("cellasso") / f"synthetic-{synthetic.SEED}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pbmc_path() -> Path:
    spec = find_spec("scanpy")  # finds it without importing it
    places = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(places or ()), ""), PBMC)
    if not path.is_file():
        raise DemoError(
            "The demo shows data that ships with scanpy, which is not installed: pip install 'cellasso[demo]'."
        )
    return path


def _read_pbmc() -> AnnData:
    import anndata  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the layout is old, as anndata says once for each element
        return anndata.read_h5ad(_pbmc_path())


def _rna(cells: AnnData) -> AnnData:
    """Return all cells with their log values, sparse, as X; the file's own X holds z-scores."""
    rna, stored = cells.copy(), cells.raw
    values: Any = stored.X  # versions of anndata differ in what they say of it
    rna.X = values.copy()
    return rna


def _markers(cells: AnnData) -> AnnData:
    """Return the panel's log values in a seeded part of the cells, in their order."""
    import anndata  # noqa: PLC0415

    chosen = np.sort(np.random.default_rng(SEED).choice(cells.n_obs, N_MARKER_CELLS, replace=False))
    every: Any = cells  # versions of anndata differ in what they say of its parts
    panel = every.raw[:, list(SURFACE_MARKERS)].X[chosen].toarray()
    obs = every.obs.iloc[chosen][["bulk_labels"]].copy()
    obs["n_markers"] = (panel > 0).sum(axis=1)
    markers = anndata.AnnData(panel, obs=obs, obsm={"X_umap": every.obsm["X_umap"][chosen]})
    # MuData wants names that no other modality has
    markers.var_names = [f"{gene}_marker" for gene in SURFACE_MARKERS]
    markers.var["gene"] = list(SURFACE_MARKERS)
    markers.uns["bulk_labels_colors"] = cells.uns["bulk_labels_colors"]
    return markers
