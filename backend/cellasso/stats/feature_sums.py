"""What the values of each feature add up to over all cells: means, variances, and the cells in which it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from cellasso.column_index.index import IncompleteIndexError
from cellasso.core.numeric import as_numbers
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix
from cellasso.matrix.row_blocks import over_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from cellasso.column_index.index import ColumnIndex
    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix
    from cellasso.matrix.row_blocks import RowBlock

COLUMNS_BYTES = 64 << 20
"""Bytes of columns of a dense matrix that are read at a time, as far as its chunks allow it."""

BLOCK_VALUES = 1 << 21
"""Stored values of a CSC matrix that are added up at a time, unless one column has more."""


@dataclass(frozen=True)
class FeatureSums:
    """What the values of each feature add up to, zeros included, `(n_vars,)` each; NaN makes a sum NaN.

    Attributes
    ----------
    n_obs
        Cells that were added up.
    totals, squares
        Sum of the values and of their squares, in float64.
    n_nonzero
        Cells whose value is not 0: of counts, the cells in which the gene was seen. NaN is not 0.
    """

    n_obs: int
    totals: NDArray[np.float64]
    squares: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over all cells; NaN without cells."""
        return self.totals / self.n_obs if self.n_obs else np.full(len(self.totals), np.nan)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance over all cells, with one degree of freedom less; NaN for fewer than two cells."""
        if self.n_obs < 2:
            return np.full(len(self.totals), np.nan)
        centred: NDArray[np.float64] = np.maximum(self.squares - self.totals**2 / self.n_obs, 0.0)
        return centred / (self.n_obs - 1)


def read_feature_sums(
    matrix: Matrix,
    index: ColumnIndex | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> FeatureSums:
    """Return the sums of each feature: from a complete column index, or in one pass over the values.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    index
        That of the matrix, if it has one; of a complete one 20 bytes a feature and block are read.
    executor
        Where blocks of rows are dealt with, as of `over_rows`; a CSC matrix, and a dense one in tall chunks, is added
        up in this process.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The matrix is damaged.
    FileChangedError
        The file is no longer the one that was opened.
    """
    if index is not None:
        try:
            totals, squares, n_nonzero = (index.read_sums(name) for name in ("sums", "squares", "n_nonzero"))
        except IncompleteIndexError:
            pass
        else:
            return FeatureSums(matrix.shape[0], totals, squares, n_nonzero.astype(np.int64))
    if isinstance(matrix, SparseMatrix) and matrix.storage == "csc":
        parts = list(_of_csc(matrix, progress))
        return FeatureSums(matrix.shape[0], *(np.concatenate([part[at] for part in parts]) for at in range(3)))
    if isinstance(matrix, DenseMatrix) and matrix.is_tall:
        parts = list(_of_tall(matrix, progress))
        return FeatureSums(matrix.shape[0], *(np.concatenate([part[at] for part in parts]) for at in range(3)))
    found = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1], dtype=np.int64)
    job = partial(_of_block, n_columns=matrix.shape[1])
    for part in over_rows(matrix, job, executor=executor, progress=progress):
        for total, added in zip(found, part, strict=True):
            np.add(total, added, out=total)
    return FeatureSums(matrix.shape[0], *found)


def _of_block(block: RowBlock, *, n_columns: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    numbers, indices = as_numbers(block.data).astype(np.float64), block.indices.astype(np.int64, copy=False)
    rows = sparse.csr_matrix((numbers, indices, np.concatenate([[0], block.ends])), (len(block.ends), n_columns))
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()  # several values of one cell count as their sum, as everywhere
        numbers, indices = rows.data, rows.indices
    return (
        np.bincount(indices, numbers, n_columns),
        np.bincount(indices, numbers * numbers, n_columns),
        np.bincount(indices[numbers != 0], minlength=n_columns),
    )


def _of_csc(
    matrix: SparseMatrix, progress: Progress | None
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield the sums of some columns at a time, of about `BLOCK_VALUES` stored values."""
    indptr, (indices, data) = matrix.indptr, matrix.stored
    yield np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    first = 0
    while first < matrix.shape[1]:
        last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + BLOCK_VALUES, side="right")) - 1)
        values = slice(int(indptr[first]), int(indptr[last]))
        rows = matrix.checked(indices.read(values), matrix.shape[0])
        # of a CSC matrix the columns are what the rows of a CSR one are
        ends, shape = indptr[first + 1 : last + 1] - indptr[first], (last - first, matrix.shape[0])
        stored = as_numbers(data.read(values)).astype(np.float64), rows.astype(np.int64), np.concatenate([[0], ends])
        columns = sparse.csr_matrix(stored, shape)
        columns.sum_duplicates()
        line = np.repeat(np.arange(last - first), np.diff(columns.indptr))
        numbers = columns.data
        yield (
            np.bincount(line, numbers, last - first),
            np.bincount(line, numbers * numbers, last - first),
            np.bincount(line[numbers != 0], minlength=last - first),
        )
        first = last
        if progress is not None:
            progress(first / matrix.shape[1])


def _of_tall(
    matrix: DenseMatrix, progress: Progress | None
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield the sums of the columns that share chunks, column after column."""
    n_columns, step = matrix.shape[1], matrix.columns_at_once(COLUMNS_BYTES)
    yield np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    for start in range(0, n_columns, step):
        read = as_numbers(matrix.read_columns(range(start, min(start + step, n_columns))))
        found = np.empty((3, read.shape[1]))
        for slot in range(read.shape[1]):
            values = read[:, slot].astype(np.float64)
            found[:, slot] = values.sum(), (values * values).sum(), np.count_nonzero(values)
        yield found[0], found[1], found[2].astype(np.int64)
        if progress is not None:
            progress(min(1.0, (start + step) / n_columns))
