"""What looking at a file will cost on this machine: a piece of each matrix is read and timed, and scaled up.

Each piece goes through the code that does the whole, so a forecast knows of filters, chunk sizes and cores
without a table of them.
"""

from __future__ import annotations

import os
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

import h5py
import numpy as np

from cellasso.chunks import open_chunks
from cellasso.costs import EXPORTED, Forecast, Timed, export_cost, gene_costs
from cellasso.errors import CellassoError
from cellasso.matrix import SparseMatrix
from cellasso.subset import create_like
from cellasso.tasks import run_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cellasso.costs import Stored, Volume
    from cellasso.handle import Handle
    from cellasso.matrix import Matrix
    from cellasso.subset import Read

PIECE_VALUES = 1 << 15
"""Stored values that are timed, or a chunk if that is more: a millisecond or two of gzip."""

MAX_PIECE_BYTES = 1 << 24
"""A matrix in larger chunks goes untimed: inflating one would take longer than the rest of the inspection."""

WRITTEN_BYTES = 1 << 16
"""What is compressed to time it; gzip-9 makes 10 MB/s."""

STRETCH_BYTES = 1 << 21
"""What is read to time the disk: a fiftieth of a second of a slow one."""

UNCHUNKED_ROWS = 500
"""Rows of which a value each is read to time a gene where nothing is chunked: 8 microseconds each."""

TIME_LEFT = 0.1
"""Seconds after which further matrices go untimed: a file of many layers is inspected at once, too."""


class Forecaster:
    """Times pieces of one file while there is time.

    Attributes
    ----------
    problems
        Sentences about pieces that could not be read, or not be written as they are stored.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.problems: list[str] = []

    def forecast(self, matrices: Sequence[tuple[Stored, Matrix]], volume: Volume) -> Forecast:
        """Return what a gene of each matrix and a tenth of the cells will cost; reads a piece of each matrix."""
        start = time.perf_counter()
        bytes_per_second, seconds_per_read = self._time_disk()
        timed: dict[str, Timed] = {}
        for stored, matrix in matrices:
            if time.perf_counter() - start > TIME_LEFT:
                break
            piece = self._time(stored, matrix)
            if piece is not None:
                timed[stored.name] = piece
        costs = [
            cost
            for stored, _ in matrices
            for cost in gene_costs(
                stored,
                timed.get(stored.name),
                bytes_per_second=bytes_per_second,
                seconds_per_read=seconds_per_read,
            )
        ]
        costs.append(export_cost([stored for stored, _ in matrices], timed, volume, bytes_per_second=bytes_per_second))
        took = time.perf_counter() - start
        return Forecast(_threads(), bytes_per_second, seconds_per_read, took, tuple(timed.values()), tuple(costs))

    def _time_disk(self) -> tuple[float, float]:
        """Read at places left to chance, which an earlier inspection has not brought into the page cache."""
        size = self._handle.fingerprint.size
        stretch, small = min(STRETCH_BYTES, size), min(4096, size)
        seconds = _seconds(lambda: self._handle.pread(secrets.randbelow(size - stretch + 1), stretch))
        each = _seconds(lambda: self._handle.pread(secrets.randbelow(size - small + 1), small))
        return stretch / seconds, each

    def _time(self, stored: Stored, matrix: Matrix) -> Timed | None:
        if not stored.n_stored or 0 in stored.shape:
            return None
        try:
            if isinstance(matrix, SparseMatrix):
                return self._time_sparse(stored, matrix)
            return self._time_dense(stored, self._handle.node(matrix.path))
        except CellassoError as error:
            self.problems.append(str(error))
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
            self.problems.append(f"{matrix.place} could not be timed ({error}).")
        return None

    # HDF5 keeps the chunk that was read last, so no measurement reads one that another has read before it.

    # -- sparse -----------------------------------------------------------------------------------

    def _time_sparse(self, stored: Stored, matrix: SparseMatrix) -> Timed | None:
        parts = matrix.part("indices"), matrix.part("data")
        n_stored = min(len(part) for part in parts)
        n = min(n_stored, max(PIECE_VALUES, *(part.chunks[0] if part.chunks else 0 for part in parts)))
        if n * max(part.dtype.itemsize for part in parts) > MAX_PIECE_BYTES or not n:
            return None
        by_column = matrix.storage == "csc"
        gene = self._time_column(stored, parts) if by_column else (n, self._time_scan(matrix, parts, n))
        pieces = [slice(at * n, (at + 1) * n) for at in _last_two(n_stored // n)]
        export = self._time_export(parts, pieces, n)
        return Timed(stored.name, *gene, *export)

    def _time_scan(self, matrix: SparseMatrix, parts: Sequence[h5py.Dataset], n: int) -> float:
        """Return the seconds that `n` values take in a scan by all cores."""
        indices, data = (open_chunks(self._handle, part, n_rows=n) for part in parts)
        if indices is None or data is None:  # what HDF5 alone can read is read by one thread
            return _seconds(lambda: _search(matrix, *(self._handle.read(part, slice(0, n)) for part in parts)))
        search = partial(_search_chunks, matrix, indices.read, data.read)
        pieces = [slice(0, n)] * _threads()
        list(run_blocks(search, pieces[:1]))  # starts the pool of threads
        # of two rounds the quicker one had less of other work beside it
        return min(_seconds(lambda: list(run_blocks(search, pieces))) for _ in range(2)) / len(pieces)

    def _time_column(self, stored: Stored, parts: Sequence[h5py.Dataset]) -> tuple[int, float]:
        """Return the seconds that a run of values takes, as long as an average column unless that is long."""
        n = min(stored.column_values, PIECE_VALUES)
        start = (stored.n_stored - n) // 2  # most columns begin inside of a chunk
        return n, _seconds(lambda: [self._handle.read(part, slice(start, start + n)) for part in parts])

    # -- dense ------------------------------------------------------------------------------------

    def _time_dense(self, stored: Stored, node: h5py.Dataset) -> Timed | None:
        chunk = stored.chunks or (max(1, PIECE_VALUES // stored.shape[1]), stored.shape[1])
        rows, columns = (min(pair) for pair in zip(chunk, stored.shape, strict=True))
        if rows * columns * node.dtype.itemsize > MAX_PIECE_BYTES:
            return None
        # where nothing is chunked, each row is a read of its own
        n_gene = rows if stored.chunks else min(stored.shape[0], UNCHUNKED_ROWS)
        gene = _seconds(lambda: self._handle.read(node, (slice(0, n_gene), 0)))
        pieces = [(slice(at * rows, (at + 1) * rows), slice(0, columns)) for at in _last_two(stored.shape[0] // rows)]
        export = self._time_export([node], pieces, rows * columns)
        return Timed(stored.name, n_gene, gene, *export)

    # -- writing ----------------------------------------------------------------------------------

    def _time_export(
        self, parts: Sequence[h5py.Dataset], pieces: Sequence[Any], n: int
    ) -> tuple[int, float, int, float]:
        """Return the last four fields of `Timed`, of the last of some pieces of `n` values; the others warm up."""
        read: list[NDArray[np.generic]] = []

        def pick(piece: Any) -> None:
            read[:] = [self._handle.read(part, piece) for part in parts]
            for values in read:
                values[_scattered(len(values))]

        reading = [_seconds(partial(pick, piece)) for piece in pieces][-1]
        length = max(1, min(len(values) * WRITTEN_BYTES // values.nbytes for values in read))
        some = [values[:length] for values in read]
        return n, reading, some[0].size, min(_time_writing(parts, some) for _ in range(2))


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return max(time.perf_counter() - start, 1e-9)


def _last_two(n: int) -> list[int]:
    return [n - 2, n - 1] if n > 2 else [n - 1]  # the first one is a gene's


def _threads() -> int:
    return os.cpu_count() or 1


def _search(matrix: SparseMatrix, indices: NDArray[Any], _data: NDArray[Any]) -> None:
    np.flatnonzero(matrix.checked(indices, matrix.shape[1]) == 0)


def _search_chunks(matrix: SparseMatrix, indices: Read, data: Read, values: slice) -> None:
    _search(matrix, indices(values), data(values))


def _scattered(n: int) -> NDArray[np.bool_]:
    """Return a mask `(n,)` of a tenth, as of scattered cells; which ones does not matter."""
    keep: NDArray[np.bool_] = np.random.default_rng(0).random(n) < EXPORTED
    return keep


def _time_writing(sources: Sequence[h5py.Dataset], written: Sequence[NDArray[np.generic]]) -> float:
    """Write values as an export does, in the chunks and filters of their sources, to memory; return the seconds."""
    with h5py.File("timed", "w", driver="core", backing_store=False) as file:
        pairs = [
            (create_like(source, file, str(number), values.shape), np.ascontiguousarray(values))
            for number, (source, values) in enumerate(zip(sources, written, strict=True))
        ]

        def write() -> None:
            for target, values in pairs:
                target.write_direct(values)
            file.flush()  # compresses what is still in a cache

        return _seconds(write)
