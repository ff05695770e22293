"""Which store opens a file (found by what the file is, not by its name), and which format a new one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.store.hdf5.handle import Hdf5Store
from cellasso.store.hdf5.new_file import Hdf5NewFile

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from cellasso.store.base import Store
    from cellasso.store.new_file import NewFile


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a file read-only.

    HDF5 is the only format so far, and says itself what is wrong with any other file.

    Raises
    ------
    FileError
        The path is missing, no regular file, or of no known format.
    """
    return Hdf5Store(path)


def create_file(path: Path | None, like: Store) -> NewFile:
    """Create a file for parts of another; HDF5, as that is what anndata and mudata write.

    Parameters
    ----------
    path
        Where; what is there is overwritten. `None`: in memory alone, gone when it is closed.
    like
        The source.
    """
    return Hdf5NewFile(path, like)
