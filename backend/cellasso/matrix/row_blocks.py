"""The rows of a matrix, block after block in bounded memory: for what needs every value of every cell once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.passes import run_blocks, within
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix

Result = TypeVar("Result")

BLOCK_VALUES = 1 << 20
"""Stored values of a block: 8 MB of float32 with their columns. A chunk that two blocks share is inflated twice, so
they are of eight chunks at least."""


MAX_VALUES = 1 << 24
"""Stored values of a block at most, unless one row, or one chunk, has more."""

NO_COLUMNS = np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of a matrix.

    Attributes
    ----------
    rows
        Which ones.
    indices, data
        Column and value of each stored value, row after row.
    ends
        Where each row ends among them, `(n_rows,)`.
    """

    rows: slice
    indices: NDArray[Any]
    data: NDArray[Any]
    ends: NDArray[np.int64]


def over_rows(
    matrix: Matrix,
    job: Callable[[RowBlock], Result],
    *,
    n_values: int = BLOCK_VALUES,
    with_columns: bool = True,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Yield `job(block)` for all rows of a CSR or dense matrix in their order; blocks are dealt with side by side.

    Parameters
    ----------
    n_values
        Stored values of a block of a CSR matrix, about.
    with_columns
        Whether the columns are read, too; they are three quarters of the work on gzip. Blocks have none otherwise.

    Raises
    ------
    ElementError
        The matrix is damaged, or stored feature by feature.
    """
    if isinstance(matrix, SparseMatrix):
        blocks, read = _sparse_blocks(matrix, n_values, with_columns=with_columns)
    elif isinstance(matrix, DenseMatrix):
        blocks, read = matrix.row_steps(0, matrix.shape[0]), _read_dense(matrix)
    else:
        raise TypeError(f"{matrix.place} is neither sparse nor dense.")
    n_bytes = 2 * matrix.dtype.itemsize * matrix.n_stored // max(1, len(blocks))
    for block, result in zip(
        blocks, run_blocks(lambda rows: job(read(rows)), blocks, most=within(n_bytes)), strict=True
    ):
        if progress is not None:
            progress(block.stop / matrix.shape[0])
        yield result


def _sparse_blocks(
    matrix: SparseMatrix, n_values: int, *, with_columns: bool
) -> tuple[list[slice], Callable[[slice], RowBlock]]:
    if matrix.storage != "csr":
        raise ElementError(f"{matrix.place} is stored feature by feature; it has no rows to read one after the other.")
    indptr, n_rows = matrix.indptr, matrix.shape[0]
    indices, data = matrix.stored
    step = max(n_values, min(8 * max(indices.chunk, data.chunk), MAX_VALUES))

    def read(rows: slice) -> RowBlock:
        values = slice(int(indptr[rows.start]), int(indptr[rows.stop]))
        columns = indices.read(values) if with_columns else NO_COLUMNS
        matrix.checked(columns, matrix.shape[1])
        return RowBlock(rows, columns, data.read(values), indptr[rows.start + 1 : rows.stop + 1] - values.start)

    starts = [0]
    while starts[-1] < n_rows:
        full = int(np.searchsorted(indptr, indptr[starts[-1]] + step, side="right")) - 1
        starts.append(min(max(full, starts[-1] + 1), n_rows))
    return [slice(a, b) for a, b in pairwise(starts)], read


def _read_dense(matrix: DenseMatrix) -> Callable[[slice], RowBlock]:
    n_columns = matrix.shape[1]

    def read(rows: slice) -> RowBlock:
        values = matrix.read_rows(rows)
        ends = np.arange(1, len(values) + 1, dtype=np.int64) * n_columns
        return RowBlock(rows, np.tile(np.arange(n_columns, dtype=np.int32), len(values)), values.ravel(), ends)

    return read
