"""A matrix as another process finds it: by its file and its place in there, if the file is still the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cellasso.core.errors import FileChangedError
from cellasso.matrix.open import open_matrix
from cellasso.store.registry import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from cellasso.matrix.base import Matrix
    from cellasso.store.base import Fingerprint


@dataclass(frozen=True)
class MatrixReference:
    """What pickle sends of a matrix.

    Attributes
    ----------
    file
        Path of the file, the same in every process.
    path
        HDF5 path of the matrix.
    fingerprint
        Of the file as it was opened.
    """

    file: Path
    path: str
    fingerprint: Fingerprint

    @classmethod
    def to(cls, matrix: Matrix) -> MatrixReference:
        """Return the reference to an open matrix."""
        return cls(matrix.handle.path, matrix.path, matrix.handle.fingerprint)

    def open(self) -> Matrix:
        """Return the matrix, which this process opens once for all tasks of a pass.

        Raises
        ------
        FileChangedError
            The file is not the one that it was.
        """
        return _opened(self)


def close_all() -> None:
    """Close the files that tasks have opened in this process."""
    _opened.cache_clear()


@lru_cache(maxsize=4)  # passes over several files may run at a time
def _opened(reference: MatrixReference) -> Matrix:
    handle = open_store(reference.file)
    found, expected = handle.fingerprint, reference.fingerprint
    # of another machine that shares the file neither the inode nor the device need be the same
    if (found.size, found.mtime_ns) != (expected.size, expected.mtime_ns):
        handle.close()
        raise FileChangedError(
            f"{reference.file} was changed by another program since it was opened; open it again.", path=reference.file
        )
    return open_matrix(handle, reference.path)
