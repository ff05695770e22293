"""The rows of a matrix, block after block in bounded memory: for what needs every value of every cell once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.executors import max_in_flight
from cellasso.core.passes import run_pass
from cellasso.matrix.base import row_starts
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix
from cellasso.matrix.reference import MatrixReference, close_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

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
    job: Callable[..., Result],
    *,
    per_row: Sequence[NDArray[Any]] = (),
    n_values: int | None = None,
    with_columns: bool = True,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Yield `job(block, *per_row)` for all rows of a CSR or dense matrix in their order; blocks run side by side.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    job
        Called with each block and, for each array of `per_row`, with what it has for the rows of the block. Picklable
        where an executor of other processes is given.
    per_row
        Arrays `(n_obs,)`.
    n_values
        Stored values of a block of a CSR matrix, about; `BLOCK_VALUES` by default.
    with_columns
        Whether the columns are read, too; they are three quarters of the work on gzip. Blocks have none otherwise.
    executor
        Where blocks are read and dealt with: any of `concurrent.futures`, whose processes reach the file under the same
        path; by default the threads of this process.
    progress
        Told the fraction of rows done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The matrix is damaged, or stored feature by feature.
    """
    reader = _reader(matrix, with_columns=with_columns)
    rows = reader.steps(BLOCK_VALUES if n_values is None else n_values)
    n_bytes = 2 * matrix.dtype.itemsize * matrix.n_stored // max(1, len(rows))

    def share(block: slice) -> tuple[NDArray[Any], ...]:
        return tuple(values[block] for values in per_row)

    def fraction(n_done: int) -> float:
        return float(rows[n_done - 1].stop / matrix.shape[0])

    if executor is None:
        most = max_in_flight(n_bytes)
        yield from run_pass(
            lambda block: job(reader.read(block), *share(block)), rows, most=most, progress=progress, fraction=fraction
        )
        return
    task, blocks = RowTask(MatrixReference.to(matrix), job, with_columns), ((block, share(block)) for block in rows)
    try:
        yield from run_pass(task, blocks, executor=executor, progress=progress, fraction=fraction)
    finally:
        close_all()


@dataclass(frozen=True)
class RowTask(Generic[Result]):
    """What another process does with some rows: it opens the matrix, reads them and calls the job."""

    matrix: MatrixReference
    job: Callable[..., Result]
    with_columns: bool

    def __call__(self, block: tuple[slice, tuple[NDArray[Any], ...]]) -> Result:
        """Return what the job makes of some rows, and of what stands beside them."""
        rows, per_row = block
        matrix = self.matrix.open()
        result = self.job(_reader(matrix, with_columns=self.with_columns).read(rows), *per_row)
        matrix.handle.check()
        return result


class _SparseReader:
    """Reads rows of a CSR matrix."""

    def __init__(self, matrix: SparseMatrix, *, with_columns: bool) -> None:
        if matrix.storage != "csr":
            place = matrix.place
            raise ElementError(f"{place} is stored feature by feature; it has no rows to read one after the other.")
        self._matrix = matrix
        self._with_columns = with_columns

    def steps(self, n_values: int) -> list[slice]:
        indptr, (indices, data) = self._matrix.indptr, self._matrix.stored
        step = max(n_values, min(8 * max(indices.chunk, data.chunk), MAX_VALUES))
        return [slice(a, b) for a, b in pairwise(row_starts(indptr, step))]

    def read(self, rows: slice) -> RowBlock:
        matrix, indptr = self._matrix, self._matrix.indptr
        indices, data = matrix.stored
        values = slice(int(indptr[rows.start]), int(indptr[rows.stop]))
        columns = indices.read(values) if self._with_columns else NO_COLUMNS
        matrix.checked(columns, matrix.shape[1])
        return RowBlock(rows, columns, data.read(values), indptr[rows.start + 1 : rows.stop + 1] - values.start)


class _DenseReader:
    """Reads rows of a dense matrix, all values of which count as stored."""

    def __init__(self, matrix: DenseMatrix) -> None:
        self._matrix = matrix

    def steps(self, _n_values: int) -> list[slice]:
        return self._matrix.row_steps(0, self._matrix.shape[0])

    def read(self, rows: slice) -> RowBlock:
        values, n_columns = self._matrix.read_rows(rows), self._matrix.shape[1]
        ends = np.arange(1, len(values) + 1, dtype=np.int64) * n_columns
        return RowBlock(rows, np.tile(np.arange(n_columns, dtype=np.int32), len(values)), values.ravel(), ends)


def _reader(matrix: Matrix, *, with_columns: bool) -> _SparseReader | _DenseReader:
    if isinstance(matrix, SparseMatrix):
        return _SparseReader(matrix, with_columns=with_columns)
    if isinstance(matrix, DenseMatrix):
        return _DenseReader(matrix)
    raise TypeError(f"{matrix.place} is neither sparse nor dense.")
