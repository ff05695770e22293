"""A matrix with its column index: what is indexed is read from there, the rest from the matrix."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from cellasso.column_index.index import key_of, open_index
from cellasso.matrix.base import gather_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.column_index.index import ColumnIndex
    from cellasso.core.progress import Preview, Progress
    from cellasso.matrix.base import Matrix, Rows, Storage, Targets


class IndexedMatrix:
    """A matrix of shape `(n_obs, n_vars)`, and its column index as far as it is built.

    Parameters
    ----------
    matrix
        The matrix as it is stored.
    root
        Folder below which its index is looked for; `None`: it has none.
    """

    def __init__(self, matrix: Matrix, root: Path | None) -> None:
        self.matrix = matrix
        self._root = root
        self._index: ColumnIndex | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return self.matrix.shape

    @property
    def storage(self) -> Storage:
        """How the matrix is stored: `"dense"`, `"csr"` or `"csc"`."""
        return self.matrix.storage

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the stored values."""
        return self.matrix.dtype

    @property
    def n_stored(self) -> int:
        """How many values are stored (for a sparse matrix its non-zeros)."""
        return self.matrix.n_stored

    @property
    def path(self) -> str:
        """HDF5 path of the matrix."""
        return self.matrix.path

    @property
    def place(self) -> str:
        """File and HDF5 path, for messages."""
        return self.matrix.place

    @property
    def index(self) -> ColumnIndex | None:
        """The column index, complete or not, if one was begun."""
        if self._index is None and self._root is not None and self._root.is_dir():
            self._index = open_index(self.matrix, self._root, self._key)
        return self._index

    @cached_property
    def _key(self) -> str:
        return key_of(self.matrix)

    @property
    def has_columns(self) -> bool:
        """Whether a column is read in its own bytes: it is stored so (CSC), or the index is complete."""
        return self.storage == "csc" or (self.index is not None and self.index.fraction == 1)

    def read_columns(
        self, columns: Sequence[int], *, progress: Progress | None = None, preview: Preview | None = None
    ) -> NDArray[np.generic]:
        """Read columns into an array `(n_obs, len(columns))` of the stored dtype, exact; see `Matrix.read_columns`.

        Parameters
        ----------
        columns
            Their positions, in any order; one may be asked for several times.
        progress
            Told the fraction done; may raise `Cancelled`.
        preview
            Where that takes a scan, shown what is known so far, in the order of `columns`.

        Raises
        ------
        ElementError
            The stored structure contradicts itself, or there is no such column.
        """
        index = self.index

        def known(targets: Targets) -> Sequence[Rows]:
            if index is None:
                return [(0, self.shape[0])]
            self.matrix.handle.check()
            return index.read_columns(list(targets), list(targets.values()))

        return gather_columns(self.matrix, columns, known=known, progress=progress, preview=preview)
