"""Cells of a file as an AnnData or MuData in memory: what anndata and mudata read of an export of them."""

from __future__ import annotations

import tempfile
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.store.registry import create_file
from cellasso.write.context import Context
from cellasso.write.copy import Copy
from cellasso.write.dataframes import write_inner
from cellasso.write.export import check_mask, export
from cellasso.write.job import Job

if TYPE_CHECKING:
    import anndata as ad
    import mudata as md
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.model.container import Container
    from cellasso.model.modality import Modality


def read_into_memory(
    dataset: Container[Any], mask: NDArray[np.bool_] | None, *, progress: Progress | None = None
) -> ad.AnnData | md.MuData:
    """Read the cells of a mask into memory, with every element that an export of them has.

    They are exported to a temporary file (see `cellasso.write.export.export`), which is read and removed: beside the
    result it takes as much room on the disk as an export, and hardly any memory.

    Parameters
    ----------
    dataset
        The file.
    mask
        Which cells, `(n_obs,)` bool; `None`: all.
    progress
        Told the fraction of the export done; may raise `Cancelled`.

    Raises
    ------
    ElementError, ExportError, FileChangedError
        As `export`; a full disk is that of temporary files (`TMPDIR`).

    Warns
    -----
    UserWarning
        A sentence for each element that had to be left out.
    """
    chosen = np.ones(dataset.n_obs, dtype=np.bool_) if mask is None else mask
    with tempfile.TemporaryDirectory(prefix="cellasso-") as folder:
        path = Path(folder) / f"cells.{dataset.format}"
        exported = export(dataset, chosen, path, progress=progress)
        _warn(exported.left_out)
        if dataset.format == "h5mu":
            from mudata import read_h5mu  # noqa: PLC0415 - takes a second

            return read_h5mu(path)
        from anndata import read_h5ad  # noqa: PLC0415 - takes a second

        return read_h5ad(path)


def read_modality_into_memory(
    modality: Modality, mask: NDArray[np.bool_] | None, *, progress: Progress | None = None
) -> ad.AnnData:
    """Read cells of one modality into memory, with every element that an export has of them.

    Written as a file into memory, and read from there: beside the result it takes as much as the cells take on the
    disk, twice.

    Parameters
    ----------
    modality
        Which one, or the root of an AnnData.
    mask
        Which of its cells, `(n_obs,)` bool; `None`: all.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The mask is of another shape or dtype, or X, obs or var are damaged.
    FileChangedError
        The file is no longer the one that was opened.

    Warns
    -----
    UserWarning
        A sentence for each element that had to be left out.
    """
    handle = modality.handle
    chosen = np.ones(modality.n_obs, dtype=np.bool_) if mask is None else mask
    check_mask(chosen, modality.n_obs, handle.place(modality.path or "/obs"))
    job = Job(handle.path, handle.path, handle.fingerprint, {modality.path: np.flatnonzero(chosen)}, {})
    source = handle.group(modality.path) if modality.path else handle.root()
    if "mod" in source or modality.path.count("/mod/") > 1:
        raise ElementError(
            f"{handle.place(modality.path or '/')} is or holds a MuData within another; read the whole file."
        )
    with create_file(None, handle) as new:
        context = Context(handle, new, progress or (lambda _: None), {"dataframe": write_inner})
        try:
            target = new.root()
            for part in filter(None, modality.path.split("/")):  # references within it name places by their whole path
                target = new.group(target, part)
            Copy(context, job).modality(source, target, modality.path)
        except ElementError as error:
            raise ElementError(context.sentence(error)) from error
        handle.check()
        image = new.image()
    _warn(context.left_out)
    return _read(image, modality.path)


def _read(image: bytes, path: str) -> ad.AnnData:
    """Read the AnnData at an HDF5 path of a file in memory, as anndata and mudata do."""
    *_, name = path.split("/")
    file: Any = BytesIO(image)  # both say that they take paths
    if path == f"/mod/{name}":
        from mudata import read_h5ad as read_modality  # noqa: PLC0415 - takes a second

        found: ad.AnnData = read_modality(file, name)
        return found
    from anndata import read_h5ad  # noqa: PLC0415 - takes a second

    return read_h5ad(file)


def _warn(left_out: Any) -> None:
    for sentence in left_out:
        warnings.warn(sentence, UserWarning, stacklevel=4)
