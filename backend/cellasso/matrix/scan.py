"""One pass over the stored values of a matrix that is compressed along its rows, in search of some columns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cellasso.core.executors import max_in_flight, run_blocks
from cellasso.core.progress import report
from cellasso.matrix.base import SCAN_BLOCK, steps_through

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Preview, Progress
    from cellasso.matrix.base import Rows, Targets

PREVIEW_SECONDS = 0.7
"""Between two previews of a scan; each costs as much as drawing a million cells anew, a tenth of a second."""


class Stretches(Protocol):
    """The indices or the values of a matrix, read in stretches by any thread."""

    @property
    def chunk(self) -> int:
        """Values that are inflated together."""

    @property
    def side_by_side(self) -> bool:
        """Whether several threads can read at the same time."""

    def read(self, values: slice) -> NDArray[Any]:
        """Read consecutive values."""


class Compressed(Protocol):
    """What a scan needs of a matrix `(n_obs, n_vars)` that is compressed along its rows."""

    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the stored values."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where each row begins and ends, `(n_obs + 1,)`."""

    @property
    def stored(self) -> tuple[Stretches, Stretches]:
        """Its indices and its values."""

    def checked(self, indices: NDArray[np.integer], bound: int) -> NDArray[np.integer]:
        """Return indices that all lie within 0 and `bound`; as `SparseMatrix.checked`.

        Parameters
        ----------
        indices
            `(n,)`.
        bound
            They are below it.

        Raises
        ------
        ElementError
            One of them lies outside.
        """

    def check(self) -> None:
        """Raise when the file is no longer the one that was opened."""


def scan_columns(
    matrix: Compressed,
    targets: Targets,
    rows: Sequence[Rows],
    progress: Progress | None,
    preview: Preview | None,
) -> None:
    """Put the values of some rows of columns into their targets, in one pass over the stored values of these rows.

    Reads all indices of the rows in blocks of about `SCAN_BLOCK`, and the values of those in which a column occurs.

    Parameters
    ----------
    matrix
        Compressed along its rows.
    targets
        By position of the column, `(n_obs,)` each, 0 in the rows to read. Several values of one cell add up.
    rows
        Stretches of rows, ascending and apart; other rows of the targets stay as they are.
    progress
        Told the fraction of stored values done, after each block; may raise `Cancelled`.
    preview
        Shown the targets every `PREVIEW_SECONDS`, NaN where they are not read yet; `None`: never.

    Raises
    ------
    ElementError
        The stored structure contradicts itself, or its bytes are damaged.
    FileChangedError
        The file is no longer the one that was opened.
    Cancelled
        `progress` raised it.
    """
    scan = _Scan(matrix, tuple(targets), rows)
    if not scan.blocks:
        report(progress, 0, 0)
    total = sum(block.stop - block.start for block in scan.blocks)
    done, shown = 0, time.monotonic()
    for block, hits in zip(scan.blocks, scan.run(), strict=True):
        for column, at, values in hits:
            add_entries(targets[column], at, values)
        done += block.stop - block.start
        report(progress, done, total)
        if preview is not None and done < total and time.monotonic() - shown > PREVIEW_SECONDS:
            reached = int(np.searchsorted(matrix.indptr, block.stop, side="right")) - 1
            preview(_so_far(list(targets.values()), rows, reached))
            shown = time.monotonic()
    matrix.check()  # blocks are read ahead of what is reported: the file may have changed since


class _Scan:
    """One pass over some rows of a matrix along its minor axis, in search of some columns.

    Where the chunks can be read past HDF5, blocks are read and searched side by side.
    """

    def __init__(self, matrix: Compressed, columns: tuple[int, ...], rows: Sequence[Rows]) -> None:
        self._matrix = matrix
        self._columns = columns
        self.blocks: list[slice] = []
        if not rows:
            return
        self._indptr = matrix.indptr
        self._indices, self._data = matrix.stored
        self._itemsize = self._matrix.dtype.itemsize + 4
        chunk = max(self._indices.chunk, self._data.chunk)  # none is inflated more than twice
        step = max(1, SCAN_BLOCK // chunk) * chunk
        for first, last in rows:  # whole chunks, so that none is inflated twice
            self.blocks += steps_through(int(self._indptr[first]), int(self._indptr[last]), step)

    def run(self) -> Iterator[list[tuple[int, NDArray[np.int64], NDArray[np.generic]]]]:
        """Yield for each block the columns that occur in it, with their rows and values."""
        if self.blocks and self._indices.side_by_side and self._data.side_by_side:
            largest = max(block.stop - block.start for block in self.blocks)
            return run_blocks(self._search, self.blocks, most=max_in_flight(2 * largest * self._itemsize))
        return map(self._search, self.blocks)

    def _search(self, block: slice) -> list[tuple[int, NDArray[np.int64], NDArray[np.generic]]]:
        indices = self._indices.read(block)
        self._matrix.checked(indices, self._matrix.shape[1])
        found = []
        values: NDArray[np.generic] | None = None
        for column in self._columns:
            hits = np.flatnonzero(indices == column)
            if not len(hits):
                continue
            if values is None:  # read only where one of the columns occurs
                values = self._data.read(block)
            rows = np.searchsorted(self._indptr, hits + block.start, side="right") - 1
            found.append((column, rows, values[hits]))
        return found


def _so_far(columns: list[NDArray[np.generic]], missing: Sequence[Rows], reached: int) -> list[NDArray[np.float32]]:
    """Return columns with NaN in the rows that were missing and are not reached yet."""
    known = [column.astype(np.float32) for column in columns]
    for values in known:
        for start, stop in missing:
            values[max(start, reached) : max(stop, reached)] = np.nan
    return known


def add_entries(out: NDArray[np.generic], rows: NDArray[np.integer], values: NDArray[np.generic]) -> None:
    """Add values to a column at their rows; several of one row add up.

    Parameters
    ----------
    out
        `(n_obs,)`, 0 at all of these rows; except at the first one, which the values of an earlier block may share.
    rows
        Row of each value, `(n,)`.
    values
        `(n,)`. Where no row repeats they are assigned, so that -0.0 and NaN stay as they are stored.
    """
    if len(rows) == 0:
        return
    if np.all(rows[1:] > rows[:-1]) and not out[rows[0]]:
        out[rows] = values  # the common case: sorted and unique; assignment keeps -0.0 and NaN as stored
    else:
        np.add.at(out, rows, values)
