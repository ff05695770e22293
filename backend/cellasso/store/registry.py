"""Which store opens a file: found by what the file is, not by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.store.hdf5.handle import Hdf5Store

if TYPE_CHECKING:
    import os

    from cellasso.store.base import Store


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a file read-only.

    HDF5 is the only format so far, and says itself what is wrong with any other file.

    Raises
    ------
    FileError
        The path is missing, no regular file, or of no known format.
    """
    return Hdf5Store(path)
