"""What the values of each cell add up to, and whether they are counts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.core.numeric import as_numbers
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix
from cellasso.matrix.row_blocks import over_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from cellasso.column_index.index import ColumnIndex
    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix
    from cellasso.matrix.row_blocks import RowBlock

COLUMNS_BYTES = 64 << 20
"""Columns of a dense matrix that are added up at a time, as far as its chunks allow it."""

SAMPLES, SAMPLE = 16, 4096
"""Stretches of stored values, and their length, that are looked at to see whether a matrix holds counts."""


class CellSums(NamedTuple):
    """What the values of each cell add up to, `(n_obs,)` each.

    Attributes
    ----------
    totals
        Sum of its values, added in float64 in the order they are stored.
    n_nonzero
        How many are not 0: of counts, the genes that were seen in the cell.
    """

    totals: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]


def read_cell_sums(
    matrix: Matrix,
    index: ColumnIndex | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CellSums:
    """Return the sums of each cell: from a complete column index, or in one pass over the values.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    index
        That of the matrix, if it has one; an incomplete one is not used.
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
    indexed = index.complete_sums("totals", "row_nonzero") if index is not None else None
    if indexed is not None:
        return CellSums(indexed[0], indexed[1].astype(np.int64))
    if isinstance(matrix, SparseMatrix) and matrix.storage == "csc":
        return _sums_by_column(matrix, progress)
    if isinstance(matrix, DenseMatrix) and matrix.is_tall:
        return _sums_of_tall(matrix, progress)
    parts = list(over_rows(matrix, _row_sums, with_columns=False, executor=executor, progress=progress))
    none = CellSums(np.zeros(0), np.zeros(0, dtype=np.int64))
    return CellSums(*(np.concatenate(each) for each in zip(none, *parts, strict=True)))


def holds_counts(matrix: Matrix) -> bool:
    """Return whether a sample of the stored values are all whole numbers of 0 and more; reads 16 stretches of it."""
    if matrix.dtype.kind in "bu" or not matrix.n_stored:
        return matrix.dtype.kind in "bui"
    return all(_are_counts(values) for values in _samples(matrix))


def _are_counts(values: NDArray[Any]) -> bool:
    numbers = as_numbers(values)
    return bool(np.all(numbers >= 0) and np.all(numbers == np.floor(numbers)))


def _samples(matrix: Matrix) -> list[NDArray[Any]]:
    if isinstance(matrix, SparseMatrix):
        data = matrix.part("data")
        starts = np.unique(np.linspace(0, max(0, matrix.n_stored - SAMPLE), SAMPLES, dtype=np.int64)).tolist()
        return [matrix.handle.read(data, slice(at, min(at + SAMPLE, matrix.n_stored))) for at in starts]
    dense: DenseMatrix = matrix  # type: ignore[assignment] # there is no third kind
    return dense.sample(SAMPLES, SAMPLE)


def _row_sums(block: RowBlock) -> CellSums:
    from cellasso.column_index.kernels.sorting import sum_rows  # noqa: PLC0415 - numba takes half a second to import

    sums = _no_sums(len(block.ends))
    sum_rows(as_numbers(block.data), block.ends, *sums)
    return sums


def _no_sums(n_rows: int) -> CellSums:
    return CellSums(np.zeros(n_rows), np.zeros(n_rows, dtype=np.int64))


def _sums_by_column(matrix: SparseMatrix, progress: Progress | None) -> CellSums:
    sums = _no_sums(matrix.shape[0])
    indices, data = matrix.stored
    step = max(1 << 20, indices.chunk, data.chunk)
    for start in range(0, matrix.n_stored, step):
        values = slice(start, min(start + step, matrix.n_stored))
        rows = matrix.checked(indices.read(values), matrix.shape[0])
        _add_to_rows()(as_numbers(data.read(values)), as_numbers(rows), *sums)
        if progress is not None:
            progress(values.stop / matrix.n_stored)
    return sums


def _sums_of_tall(matrix: DenseMatrix, progress: Progress | None) -> CellSums:
    """Add up column after column, so that each row's values are added in their order."""
    sums, n_columns = _no_sums(matrix.shape[0]), matrix.shape[1]
    step = matrix.columns_at_once(COLUMNS_BYTES)
    for start in range(0, n_columns, step):
        block = as_numbers(matrix.read_columns(range(start, min(start + step, n_columns))))
        for column in block.T:
            np.add(sums.totals, column, out=sums.totals)
            np.add(sums.n_nonzero, column != 0, out=sums.n_nonzero)
        if progress is not None:
            progress(min(1.0, (start + step) / n_columns))
    return sums


@cache
def _add_to_rows() -> Callable[..., Any]:
    from cellasso.core.compiled import njit  # noqa: PLC0415 - numba takes more than a second to import

    @njit
    def add_to_rows(
        numbers: NDArray[Any], rows: NDArray[Any], totals: NDArray[np.float64], n_nonzero: NDArray[np.int64]
    ) -> None:
        for i in range(len(numbers)):
            totals[rows[i]] += numbers[i]
            n_nonzero[rows[i]] += numbers[i] != 0

    return add_to_rows
