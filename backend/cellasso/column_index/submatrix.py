"""Some rows and some columns of a matrix, read without the rest where the layout of the file allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.matrix.compressed import SparseMatrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from cellasso.column_index.indexed_matrix import IndexedMatrix
    from cellasso.core.progress import Progress

MAX_BYTES = 1 << 30
"""Of a block in memory; a larger one is refused."""

READ_BYTES = 64 << 20
"""Whole columns that are read at a time, to take some rows of them."""

APART = 1 << 15
"""Stored values between two wanted rows that are rather read, too, than left out."""

AT_ONCE = 1 << 22
"""Stored values that are read at a time."""


def read_submatrix(
    matrix: IndexedMatrix, rows: NDArray[np.int64], columns: Sequence[int], *, progress: Progress | None = None
) -> NDArray[Any] | sparse.csr_matrix:
    """Read some rows and columns of a matrix, in the stored dtype: an array of a dense one, CSR of a sparse one.

    Of a matrix that is stored cell by cell and has no complete index, these rows are read; of any other these columns.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    rows
        Their positions, in any order, each as often as wanted.
    columns
        As `rows`.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The block would take more than 1 GB, or the matrix is damaged.
    """
    from scipy import sparse  # noqa: PLC0415 - takes a third of a second

    is_sparse = isinstance(matrix.matrix, SparseMatrix)
    _check_size(len(rows) * len(columns) * matrix.dtype.itemsize, (len(rows), len(columns)), is_sparse=is_sparse)
    if isinstance(matrix.matrix, SparseMatrix) and not matrix.has_columns:
        return _rows_of(matrix.matrix, rows, np.asarray(columns, dtype=np.int64))
    step = max(1, READ_BYTES // max(1, matrix.shape[0] * matrix.dtype.itemsize))
    parts: list[Any] = []
    for start in range(0, len(columns), step):
        block = matrix.read_columns(list(columns[start : start + step]), progress=progress)[rows]
        parts.append(sparse.csr_matrix(block) if is_sparse else np.ascontiguousarray(block))
    if not parts:
        none = np.zeros((len(rows), 0), dtype=matrix.dtype)
        return sparse.csr_matrix(none) if is_sparse else none
    return sparse.hstack(parts, format="csr") if is_sparse else np.concatenate(parts, axis=1)


def _check_size(n_bytes: int, shape: tuple[int, int], *, is_sparse: bool) -> None:
    # at most one value in eight of sparse matrices is stored, with its column
    if n_bytes > (8 if is_sparse else 1) * MAX_BYTES:
        raise ElementError(
            f"{shape[0]:,} cells by {shape[1]:,} features would take {n_bytes / 1e9:.1f} GB; ask for fewer at a time."
        )


def _rows_of(matrix: SparseMatrix, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> sparse.csr_matrix:
    """Read rows of a CSR matrix, and take the columns out of them."""
    from scipy import sparse  # noqa: PLC0415 - see above

    wanted, places = np.unique(rows, return_inverse=True)
    distinct, slots = np.unique(columns, return_inverse=True)
    slot_of = np.full(matrix.shape[1], -1, dtype=np.int64)
    slot_of[distinct] = np.arange(len(distinct))
    found: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    n_found = 0
    for first, last in _runs(matrix.indptr, wanted):
        own, values, entries = _entries(matrix, wanted[first:last], slot_of)
        found.append((own + first, values, entries))
        n_found += len(values)
        if n_found * (8 + matrix.dtype.itemsize) > MAX_BYTES:
            raise ElementError(
                f"{len(rows):,} cells by {len(columns):,} features take more than 1 GB; ask for fewer at a time."
            )
    at, slot, data = (
        np.concatenate([part[i] for part in found])
        if found
        else np.zeros(0, dtype=matrix.dtype if i == 2 else np.int64)
        for i in range(3)
    )
    block = sparse.csr_matrix((data, (at, slot)), shape=(len(wanted), len(distinct)), dtype=matrix.dtype)
    return block[places.ravel()][:, slots.ravel()]


def _runs(indptr: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield which of some ascending rows are read in one go: near each other, and not too many values."""
    first = 0
    for i in range(1, len(rows) + 1):
        is_end = i == len(rows)
        if (
            is_end
            or indptr[rows[i]] - indptr[rows[i - 1] + 1] > APART
            or indptr[rows[i] + 1] - indptr[rows[first]] > AT_ONCE
        ):
            yield first, i
            first = i


def _entries(
    matrix: SparseMatrix, rows: NDArray[np.int64], slot_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Return row (counted among these), slot and value of what neighbouring rows store in the wanted columns."""
    indptr, (indices, data) = matrix.indptr, matrix.stored
    stretch = slice(int(indptr[rows[0]]), int(indptr[rows[-1] + 1]))
    columns = matrix.checked(indices.read(stretch), matrix.shape[1])
    lengths = indptr[rows + 1] - indptr[rows]
    starts = indptr[rows] - stretch.start
    own = np.repeat(np.arange(len(rows)), lengths)
    inside = np.arange(len(own)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(starts, lengths)
    slots = slot_of[columns[inside]]
    kept = slots >= 0
    return own[kept], slots[kept], data.read(stretch)[inside[kept]]
