"""Features summarised over groups of cells, from columns or from rows, whichever takes less reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.matrix.dense import DenseMatrix
from cellasso.stats.group_summary import summarise_groups, summarise_rows
from cellasso.stats.normalise import log_normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.column_index.indexed_matrix import IndexedMatrix
    from cellasso.core.progress import Progress
    from cellasso.stats.group_summary import GroupSummary

COLUMNS_BYTES = 64 << 20
"""Bytes of columns that are read at a time; of a dense matrix whole columns of chunks."""


def summarise_matrix(
    matrix: IndexedMatrix,
    positions: Sequence[int] | None,
    codes: NDArray[np.integer],
    n_groups: int,
    *,
    factors: NDArray[np.float64] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> GroupSummary:
    """Summarise columns of a matrix over groups of its rows, exactly.

    A few at a time where columns are cheap to read (CSC, dense, indexed), else in one pass over the rows, which costs
    the same for any number of them.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    positions
        Of the columns; `None` for all.
    codes
        Group of each row, `(n_obs,)`; -1 is in no group.
    n_groups
        How many groups there are.
    factors
        What each row is multiplied by before `log1p`, `(n_obs,)`; `None`: values as they are stored.
    executor
        Where blocks of rows are dealt with, as of `over_rows`.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The matrix is damaged.
    """
    wanted = list(range(matrix.shape[1])) if positions is None else list(positions)
    if wanted and _rows_are_cheaper(matrix, all_columns=positions is None):
        unique = list(dict.fromkeys(wanted))
        found = summarise_rows(
            matrix.matrix, unique, codes, n_groups, factors=factors, executor=executor, progress=progress
        )
        return found.of_features([unique.index(position) for position in wanted])
    return summarise_groups(read_each_column(matrix, wanted, factors, progress), codes, n_groups)


def _rows_are_cheaper(matrix: IndexedMatrix, *, all_columns: bool) -> bool:
    if matrix.has_columns:
        return False
    if isinstance(matrix.matrix, DenseMatrix):
        return all_columns and not matrix.matrix.is_tall
    return True


def read_each_column(
    matrix: IndexedMatrix,
    positions: Sequence[int],
    factors: NDArray[np.float64] | None = None,
    progress: Progress | None = None,
) -> Iterator[NDArray[np.generic]]:
    """Yield columns one after the other, `(n_obs,)` each; at most `COLUMNS_BYTES` of them are in memory at a time.

    Parameters
    ----------
    matrix, factors, progress
        As of `summarise_matrix`.
    positions
        Of the columns.

    Raises
    ------
    ElementError
        The matrix is damaged.
    """
    if isinstance(matrix.matrix, DenseMatrix):  # as many as share chunks
        step = matrix.matrix.columns_at_once(COLUMNS_BYTES)
    else:
        step = max(1, COLUMNS_BYTES // max(1, matrix.shape[0] * matrix.dtype.itemsize))
    for start in range(0, len(positions), step):
        block = matrix.read_columns(positions[start : start + step])
        for slot in range(block.shape[1]):
            yield block[:, slot] if factors is None else log_normalised(block[:, slot], factors)
        if progress is not None:
            progress(min(1.0, (start + step) / len(positions)))
