"""What the values of each feature add up to over all cells: means, variances, and the cells in which it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import sparse

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

    Sums: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

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
    indexed = index.complete_sums("sums", "squares", "n_nonzero") if index is not None else None
    if indexed is not None:
        return FeatureSums(matrix.shape[0], indexed[0], indexed[1], indexed[2].astype(np.int64))
    found = _no_sums(matrix.shape[1])
    for columns, part in _parts(matrix, executor, progress):
        for total, added in zip(found, part, strict=True):
            np.add(total[columns], added, out=total[columns])
    return FeatureSums(matrix.shape[0], *found)


def _no_sums(n: int) -> Sums:
    return np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)


def _parts(matrix: Matrix, executor: Executor | None, progress: Progress | None) -> Iterator[tuple[slice, Sums]]:
    """Yield columns, and what some of their values add up to."""
    if isinstance(matrix, SparseMatrix) and matrix.storage == "csc":
        yield from _of_csc(matrix, progress)
    elif isinstance(matrix, DenseMatrix) and matrix.is_tall:
        yield from _of_tall(matrix, progress)
    else:
        job = partial(_of_block, n_columns=matrix.shape[1])
        for part in over_rows(matrix, job, executor=executor, progress=progress):
            yield slice(None), part


def _of_block(block: RowBlock, *, n_columns: int) -> Sums:
    shape = len(block.ends), n_columns
    rows = _with_one_value_each(block.data, block.indices, np.concatenate([[0], block.ends]), shape)
    return _added(rows.indices, rows.data, n_columns)


def _of_csc(matrix: SparseMatrix, progress: Progress | None) -> Iterator[tuple[slice, Sums]]:
    """Yield the sums of some columns at a time, of about `BLOCK_VALUES` stored values."""
    indptr, (indices, data) = matrix.indptr, matrix.stored
    first = 0
    while first < matrix.shape[1]:
        last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + BLOCK_VALUES, side="right")) - 1)
        values, n_columns = slice(int(indptr[first]), int(indptr[last])), last - first
        rows = matrix.checked(indices.read(values), matrix.shape[0])
        # of a CSC matrix the columns are what the rows of a CSR one are
        shape = n_columns, matrix.shape[0]
        columns = _with_one_value_each(data.read(values), rows, indptr[first : last + 1] - indptr[first], shape)
        line = np.repeat(np.arange(n_columns), np.diff(columns.indptr))
        yield slice(first, last), _added(line, columns.data, n_columns)
        first = last
        if progress is not None:
            progress(first / matrix.shape[1])


def _of_tall(matrix: DenseMatrix, progress: Progress | None) -> Iterator[tuple[slice, Sums]]:
    """Yield the sums of the columns that share chunks, column after column."""
    n_columns, step = matrix.shape[1], matrix.columns_at_once(COLUMNS_BYTES)
    for start in range(0, n_columns, step):
        stop = min(start + step, n_columns)
        read, found = as_numbers(matrix.read_columns(range(start, stop))), _no_sums(stop - start)
        for slot in range(stop - start):
            values = read[:, slot].astype(np.float64)
            for total, added in zip(
                found, (values.sum(), (values * values).sum(), np.count_nonzero(values)), strict=True
            ):
                total[slot] = added
        yield slice(start, stop), found
        if progress is not None:
            progress(stop / n_columns)


def _with_one_value_each(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int]
) -> Any:
    """Return stored values as a SciPy matrix in float64; several of one cell count as their sum, as everywhere."""
    numbers = as_numbers(data).astype(np.float64)
    lines = sparse.csr_matrix((numbers, indices.astype(np.int64, copy=False), indptr), shape)
    if not lines.has_canonical_format:
        lines = lines.copy()  # what was read may not be written to
        lines.sum_duplicates()
    return lines


def _added(features: NDArray[Any], numbers: NDArray[np.float64], n: int) -> Sums:
    """Add up values by the feature of each, in their order."""
    return (
        np.bincount(features, numbers, n),
        np.bincount(features, numbers * numbers, n),
        np.bincount(features[numbers != 0], minlength=n),
    )
