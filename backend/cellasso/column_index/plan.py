"""How the cells of a matrix are cut into the blocks of its index, and what these take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.matrix.base import row_starts
from cellasso.matrix.compressed import SparseMatrix

if TYPE_CHECKING:
    from cellasso.matrix.base import Matrix

MAX_ROWS = 1 << 16
"""Rows of a block at most: a row's number takes 16 bits."""

MAX_VALUES = 1 << 25
"""Values of a block at most: 134 MB of counts while it is built (200 MB of other float32), 31 MB on the disk. Two
blocks are under way, so that one is read while the other is brought to the disk. 1M cells by 30,000 genes are 41
blocks; their median gene reads in 1.1 ms."""

VALUE_BYTES = 1
"""What a value takes in an index, about: 0.94 bytes of counts; as many as its dtype has where hardly two are equal."""


def plan(matrix: Matrix) -> list[int]:
    """Return where each block begins among the rows, and the number of rows: the same for the same matrix, anywhere."""
    n_rows, n_columns = matrix.shape
    most = max(MAX_VALUES, 64 * n_columns)  # with a million peaks the table of a block has 36 MB
    if isinstance(matrix, SparseMatrix):
        indptr = matrix.indptr
    else:
        most //= 2  # the rows of a dense block are in memory twice
        indptr = np.arange(n_rows + 1, dtype=np.int64) * n_columns
    return row_starts(indptr, most, MAX_ROWS)


def n_blocks(n_rows: int, n_values: int) -> int:
    """Return how many blocks an index has, about; `plan` says exactly.

    Parameters
    ----------
    n_rows
        Cells of the matrix.
    n_values
        Its stored values; of a dense matrix all of them.
    """
    return max(1, -(-n_rows // MAX_ROWS), -(-n_values // MAX_VALUES))
