"""A matrix that is one dataset of two dimensions, in chunks or in one piece."""

from __future__ import annotations

import math
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.executors import max_in_flight, run_blocks
from cellasso.core.progress import report
from cellasso.matrix.base import SCAN_BLOCK, Matrix, Storage, steps_through

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Preview, Progress
    from cellasso.matrix.base import Rows, Targets
    from cellasso.store.base import Array, Stretches


class DenseMatrix(Matrix):
    """A two-dimensional dataset."""

    storage: Storage = "dense"

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the dataset, in the byte order of the file."""
        dtype: np.dtype[np.generic] = self._dataset().dtype
        return dtype

    @property
    def n_stored(self) -> int:
        """All values count as stored: `n_obs * n_vars`."""
        return self.shape[0] * self.shape[1]

    def fill_columns(
        self,
        targets: Targets,
        rows: Sequence[Rows],
        *,
        progress: Progress | None = None,
        preview: Preview | None = None,  # noqa: ARG002 - one column of chunks after the other: no scan to show
    ) -> None:
        """Put the values of some rows of columns into their targets; reads the chunks that hold them.

        A matrix in one piece is read row by row, whole rows; chunks are inflated side by side where they can be read
        past HDF5.

        Parameters
        ----------
        targets, rows, progress
            As of `Matrix.fill_columns`.
        preview
            Never called: one column of chunks is read after the other, and no scan has anything to show.

        Raises
        ------
        ElementError
            The bytes of a chunk are damaged.
        FileChangedError
            The file is no longer the one that was opened.
        Cancelled
            `progress` raised it.
        """
        steps = list(self._steps(sorted(targets), rows))
        # to list the chunks pays for itself from two steps on
        stored = self._open() if len(steps) > 1 or self._dataset().chunks is None else None
        read = partial(self._read_together, stored)
        most = max_in_flight(2 * self._chunk_bytes)
        results = run_blocks(read, steps, most=most) if stored is not None else map(read, steps)
        for done, ((stretch, together), values) in enumerate(zip(steps, results, strict=True)):
            for k, column in enumerate(together):
                targets[column][stretch] = values[:, k]
            report(progress, done + 1, len(steps))
        self.handle.check()

    @property
    def column_bytes(self) -> int:
        """Bytes of the file that reading one column touches without an index."""
        dataset = self._dataset()
        if dataset.chunks is None:  # rows are read whole: they lie one after the other
            return int(dataset.nbytes)
        return self.handle.layout(dataset).disk_bytes // max(1, math.ceil(self.shape[1] / int(dataset.chunks[1])))

    @property
    def _chunk_bytes(self) -> int:
        return math.prod(self._dataset().chunks or (1, self.shape[1])) * self.dtype.itemsize

    @property
    def side_by_side(self) -> bool:
        """Whether several threads can read at the same time, past HDF5."""
        return self._open() is not None

    @property
    def is_tall(self) -> bool:
        """Whether a column of chunks has fewer values than a row of them: a pass over all values then takes columns."""
        rows_together, columns_together = self._dataset().chunks or (1, self.shape[1])
        return bool(columns_together * self.shape[0] < rows_together * self.shape[1])

    def columns_at_once(self, n_bytes: int) -> int:
        """Return how many columns to read at a time: as many as have `n_bytes`, but whole columns of chunks."""
        columns_together = int((self._dataset().chunks or (1, 1))[1])
        most = n_bytes // max(1, self.shape[0] * self.dtype.itemsize)
        return max(1, most // columns_together) * columns_together

    def row_steps(self, start: int, stop: int) -> list[slice]:
        """Return steps of whole chunks through some rows, each of about a million values, or one row of chunks.

        Parameters
        ----------
        start, stop
            The first row, and the one behind the last.
        """
        rows_together = (self._dataset().chunks or (1,))[0]
        step = max(1, 4 * SCAN_BLOCK // (rows_together * max(1, self.shape[1]))) * rows_together
        return steps_through(start, stop, step)

    def read_rows(self, rows: slice) -> NDArray[Any]:
        """Read rows, `(n_rows, n_vars)`; any thread may."""
        return self._read(self._open(), rows, slice(0, self.shape[1]))

    def sample(self, n_pieces: int, n_values: int) -> list[NDArray[Any]]:
        """Read corners of chunks spread evenly over the matrix; each inflates one chunk.

        Parameters
        ----------
        n_pieces
            How many at most; fewer where the matrix has fewer chunks. One without chunks is taken in stretches of rows.
        n_values
            Values of a piece at most, 1 and more; those at the edge of the matrix have fewer.

        Returns
        -------
        Arrays of two dimensions, of the stored dtype.
        """
        n_rows, n_columns = self.shape
        rows_apart, columns_apart = self._dataset().chunks or (max(1, n_values // n_columns), n_columns)
        wide = min(columns_apart, n_values)
        tall = min(rows_apart, n_values // wide)
        n_across = -(-n_columns // columns_apart)
        last = -(-n_rows // rows_apart) * n_across - 1
        pieces = []
        for number in np.unique(np.linspace(0, last, n_pieces, dtype=np.int64)).tolist():
            row, column = number // n_across * rows_apart, number % n_across * columns_apart
            pieces.append(self._read(self._open(), slice(row, row + tall), slice(column, column + wide)))
        return pieces

    def _steps(self, columns: list[int], missing: Sequence[Rows]) -> Iterator[tuple[slice, list[int]]]:
        """Yield rows and the columns to read of them: no chunk is read twice."""
        rows_together, columns_together = self._dataset().chunks or (1, self.shape[1])
        groups: dict[int, list[int]] = {}
        for column in columns:
            groups.setdefault(column // columns_together, []).append(column)
        # whole chunks, or rows, go through memory
        step = max(1, 4 * SCAN_BLOCK // (rows_together * columns_together)) * rows_together
        for start, stop in missing:
            for together in groups.values():
                for rows in steps_through(start, stop, step):
                    yield rows, together

    def _read_together(self, stored: Stretches | None, step: tuple[slice, list[int]]) -> NDArray[Any]:
        rows, columns = step
        first = columns[0]
        read = self._read(stored, rows, slice(first, columns[-1] + 1))
        return read[:, [column - first for column in columns]]  # a copy, so that the rest of the chunks is freed

    def _read(self, stored: Stretches | None, rows: slice, columns: slice) -> NDArray[Any]:
        if stored is not None:
            return stored.read(rows, columns)
        dataset = self._dataset()
        if dataset.chunks is None:  # whole rows: for a part of each HDF5 would call Python once a row
            return np.asarray(self.handle.read(dataset, rows))[:, columns]
        return np.asarray(self.handle.read(dataset, (rows, columns)))

    def _open(self) -> Stretches | None:
        self.handle.check()
        return self._stored

    @cached_property
    def _stored(self) -> Stretches | None:
        return self.handle.open_chunks(self._dataset())

    def _dataset(self) -> Array:
        return self.handle.array(self.path)
