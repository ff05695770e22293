"""A sparse matrix, compressed along its rows (CSR) or its columns (CSC): the one reader of both."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.progress import report
from cellasso.matrix.base import Matrix, Storage
from cellasso.matrix.scan import add_entries, scan_columns
from cellasso.store.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Preview, Progress
    from cellasso.matrix.base import Rows, Targets
    from cellasso.store.base import Store


class SparseMatrix(Matrix):
    """A group of `data`, `indices` and `indptr`, compressed along rows (CSR) or columns (CSC).

    Written once in terms of the major axis (the one that is contiguous on disk) and the minor one.
    """

    def __init__(self, handle: Store, path: str, shape: tuple[int, int], *, storage: Storage) -> None:
        super().__init__(handle, path, shape)
        self.storage = storage

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of `data`, in the byte order of the file; looked up once."""
        return self._dtype

    @cached_property
    def _dtype(self) -> np.dtype[np.generic]:
        dtype: np.dtype[np.generic] = self.part("data").dtype
        return dtype

    @property
    def n_stored(self) -> int:
        """The length of `indices`: stored zeros and repeated entries of one cell count, too."""
        return int(self.part("indices").size)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """Where each major row begins and ends, `(n_major + 1,)`, checked; reads 4 or 8 bytes a row."""
        indptr: NDArray[np.int64] = self.handle.read(self.part("indptr")).astype(np.int64, copy=False)
        n_major = self.shape[0] if self.storage == "csr" else self.shape[1]
        if len(indptr) != n_major + 1:
            raise ElementError(f"{self.place}/indptr has {len(indptr):,} entries; {n_major + 1:,} were expected.")
        if indptr[0] != 0 or indptr[-1] != self.n_stored or np.any(np.diff(indptr) < 0):
            raise ElementError(f"{self.place}/indptr is damaged: it does not rise from 0 to {self.n_stored:,}.")
        if self.part("data").size != self.n_stored:
            found = self.part("data").size
            raise ElementError(f"{self.place} has {self.n_stored:,} indices but {found:,} values.")
        return indptr

    def fill_columns(
        self,
        targets: Targets,
        rows: Sequence[Rows],
        *,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> None:
        """Put the values of some rows of columns into their targets; several entries of one cell add up.

        On CSC reads the columns' own indices and values, one column after the other; on CSR scans all indices of the
        rows, and the values of blocks in which a column occurs. `indptr` is read whole.

        Parameters
        ----------
        targets, rows, progress
            As of `Matrix.fill_columns`.
        preview
            As of `Matrix.fill_columns`; called on CSR alone.

        Raises
        ------
        ElementError
            The stored structure contradicts itself, or its bytes are damaged.
        FileChangedError
            The file is no longer the one that was opened.
        Cancelled
            `progress` raised it.
        """
        if self.storage == "csc":
            self._read_major(targets, rows, progress)
        else:
            scan_columns(self, targets, rows, progress, preview)

    def _read_major(self, targets: Targets, wanted: Sequence[Rows], progress: Progress | None) -> None:
        indices, data = self.part("indices"), self.part("data")
        for done, (column, target) in enumerate(targets.items()):
            start, stop = int(self.indptr[column]), int(self.indptr[column + 1])
            rows = self.checked(self.handle.read(indices, slice(start, stop)), self.shape[0])
            values = self.handle.read(data, slice(start, stop))
            for first, last in wanted:
                inside = slice(None) if last - first == self.shape[0] else (rows >= first) & (rows < last)
                # duplicate entries of one cell add up, as SciPy and anndata have it
                add_entries(target, rows[inside], values[inside])
            report(progress, done + 1, len(targets))

    @cached_property
    def stored(self) -> tuple[StoredVector, StoredVector]:
        """Where `indices` and `data` are; finding 20,000 chunks takes a tenth of a second, so it is done once."""
        return StoredVector(self, "indices"), StoredVector(self, "data")

    def checked(self, indices: NDArray[np.integer], bound: int) -> NDArray[np.integer]:
        """Return `indices` as they are, once they are known to lie within 0 and `bound`.

        Parameters
        ----------
        indices
            `(n,)`, of either axis.
        bound
            Length of that axis; the indices are below it.

        Raises
        ------
        ElementError
            One of them lies outside.
        """
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= bound):
            raise ElementError(f"{self.place}/indices is damaged: it points outside of 0 to {bound - 1:,}.")
        return indices

    def check(self) -> None:
        """Raise `FileChangedError` when the file is no longer the one that was opened."""
        self.handle.check()

    def part(self, name: str) -> Array:
        """Return `data`, `indices` or `indptr`, checked to be one-dimensional and of numbers; reads its header.

        Raises
        ------
        NotFoundError
            It is missing.
        ElementError
            It is not one-dimensional, or holds no numbers (no integers, of `indices` and `indptr`).
        """
        part = self.handle.node(f"{self.path}/{name}")
        if not isinstance(part, Array) or part.ndim != 1:
            raise ElementError(f"{self.handle.place(part.name)} is not a one-dimensional dataset.")
        if part.dtype.kind not in ("biuf" if name == "data" else "iu"):
            raise ElementError(f"{self.handle.place(part.name)} holds {part.dtype}; numbers were expected.")
        return part


class StoredVector:
    """`data` or `indices` of a sparse matrix, read in stretches, past HDF5 where its chunks can be."""

    def __init__(self, matrix: SparseMatrix, name: str) -> None:
        self._handle = matrix.handle
        self._dataset = matrix.part(name)
        self._chunks = matrix.handle.open_chunks(self._dataset)

    @property
    def chunk(self) -> int:
        """Values that are inflated together; 1 where none are."""
        return int(self._dataset.chunks[0]) if self._dataset.chunks else 1

    @property
    def side_by_side(self) -> bool:
        """Whether several threads can read at the same time."""
        return self._chunks is not None

    def read(self, values: slice) -> NDArray[Any]:
        """Read consecutive values; any thread may."""
        if self._chunks is not None:
            return self._chunks.read(values)
        return np.asarray(self._handle.read(self._dataset, values))
