"""What looking at a file will cost on this machine: a piece of each matrix is read and timed, and scaled up.

Each piece goes through the code that does the whole, so a forecast knows of filters, chunk sizes and cores
without a table of them.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import CellassoError
from cellasso.core.executors import run_blocks
from cellasso.inspect.costs import EXPORTED, Forecast, Timed, export_cost, gene_costs
from cellasso.matrix.compressed import SparseMatrix
from cellasso.store.base import LIBRARY_ERRORS
from cellasso.store.registry import create_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cellasso.inspect.costs import Stored, Volume
    from cellasso.matrix.base import Matrix
    from cellasso.store.base import Array, Store

PIECE_VALUES = 1 << 15
"""Stored values that are timed, or a chunk if that is more: a millisecond or two of gzip."""

MAX_PIECE_BYTES = 1 << 24
"""A matrix in larger chunks goes untimed: inflating one would take longer than the rest of the inspection."""

WRITTEN_BYTES = 1 << 16
"""What is compressed to time it; gzip-9 makes 10 MB/s."""

STRETCH_BYTES = 1 << 21
"""What is read to time the disk: a fiftieth of a second of a slow one."""

TIME_LEFT = 0.1
"""Seconds after which further matrices go untimed: a file of many layers is inspected at once, too."""


class Forecaster:
    """Times pieces of one file while there is time.

    Attributes
    ----------
    problems
        Sentences about pieces that could not be read, or not be written as they are stored.
    """

    def __init__(self, handle: Store) -> None:
        self._handle = handle
        self.problems: list[str] = []

    def forecast(self, matrices: Sequence[tuple[Stored, Matrix]], volume: Volume) -> Forecast:
        """Return what a gene of each matrix and a tenth of the cells will cost.

        Reads and times a stretch of the file, and a piece of each matrix for `TIME_LEFT` seconds; a piece that cannot
        be read is noted in `problems`.

        Parameters
        ----------
        matrices
            All matrices of features, those to be timed first in front.
        volume
            Of all elements of the file.

        Raises
        ------
        FileChangedError
            The file is no longer the one that was opened.
        """
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
            return self._time_dense(stored, self._handle.array(matrix.path))
        except CellassoError as error:
            self.problems.append(str(error))
        except LIBRARY_ERRORS as error:  # such as a filter that this machine only decompresses
            self.problems.append(f"{matrix.place} could not be timed ({error}).")
        return None

    # -- sparse -----------------------------------------------------------------------------------

    def _time_sparse(self, stored: Stored, matrix: SparseMatrix) -> Timed | None:
        parts = matrix.part("indices"), matrix.part("data")
        n_stored = min(part.size for part in parts)
        n = min(n_stored, max(PIECE_VALUES, *(part.chunks[0] if part.chunks else 0 for part in parts)))
        if n * max(part.dtype.itemsize for part in parts) > MAX_PIECE_BYTES or not n:
            return None
        gene = self._time_column(stored, parts) if matrix.storage == "csc" else None
        directly = [self._handle.open_chunks(part, n_rows=n) for part in parts]
        reads = [each.read for each in directly if each is not None]
        keep = _scattered(n)

        def scan(_number: int) -> list[NDArray[Any]]:
            values = slice(0, n)
            found: list[NDArray[Any]] = []
            if len(reads) == len(parts):
                found += (read(values) for read in reads)
            else:
                found += (self._handle.read(part, values) for part in parts)
            if matrix.storage == "csr":
                np.flatnonzero(matrix.checked(found[0], matrix.shape[1]) == 0)
            for read_values in found:
                read_values[keep]
            return found

        reading, found = _side_by_side(scan, alone=len(reads) < len(parts))
        return Timed(stored.name, *(gene or (n, reading)), n, reading, *_time_writing(self._handle, parts, found))

    def _time_column(self, stored: Stored, parts: Sequence[Array]) -> tuple[int, float]:
        """Return the seconds that a run of values takes, as long as an average column unless that is long."""
        n = min(stored.column_values, PIECE_VALUES)
        start = (stored.n_stored - n) // 2  # most columns begin inside of a chunk
        return n, _seconds(lambda: [self._handle.read(part, slice(start, start + n)) for part in parts])

    # -- dense ------------------------------------------------------------------------------------

    def _time_dense(self, stored: Stored, node: Array) -> Timed | None:
        chunk = stored.chunks or (max(1, PIECE_VALUES // stored.shape[1]), stored.shape[1])
        rows, columns = (min(pair) for pair in zip(chunk, stored.shape, strict=True))
        if rows * columns * node.dtype.itemsize > MAX_PIECE_BYTES:
            return None
        directly = self._handle.open_chunks(node, n_rows=rows)

        def read_gene() -> object:
            if stored.chunks:
                return self._handle.read(node, (slice(0, rows), 0))
            # where nothing is chunked, whole rows are read
            whole = self._handle.read(node, slice(0, rows)) if directly is None else directly.read(slice(0, rows))
            return whole[:, 0].copy()

        gene = _seconds(read_gene)
        # HDF5 keeps the chunk that it read last: what it alone can read is timed on another one
        start = 0 if directly is not None else (stored.shape[0] // rows - 1) * rows
        piece = slice(start, start + rows), slice(0, columns)
        keep = _scattered(rows)

        def take(_number: int) -> list[NDArray[Any]]:
            found = directly.read(*piece) if directly is not None else self._handle.read(node, piece)
            found[keep]
            return [found]

        reading, found = _side_by_side(take, alone=directly is None)
        return Timed(stored.name, rows, gene, rows * columns, reading, *_time_writing(self._handle, [node], found))


def _side_by_side(job: Callable[[int], list[NDArray[Any]]], *, alone: bool) -> tuple[float, list[NDArray[Any]]]:
    """Return the seconds that one piece takes while all cores work on pieces, or one `alone`; and what it found."""
    found: list[NDArray[Any]] = []
    if alone:  # once: HDF5 would not inflate the same chunk again
        return _seconds(lambda: found.extend(job(0))), found
    found.extend(next(run_blocks(job, [0])))  # starts the pool of threads
    numbers = range(_threads())
    # the quicker of two rounds was disturbed less by other work
    return min(_seconds(lambda: list(run_blocks(job, numbers))) for _ in range(2)) / len(numbers), found


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return max(time.perf_counter() - start, 1e-9)


def _threads() -> int:
    return os.cpu_count() or 1


def _scattered(n: int) -> NDArray[np.bool_]:
    """Return a mask `(n,)` of a tenth, as of scattered cells; which ones does not matter."""
    keep: NDArray[np.bool_] = np.random.default_rng(0).random(n) < EXPORTED
    return keep


def _time_writing(handle: Store, sources: Sequence[Array], found: Sequence[NDArray[Any]]) -> tuple[int, float]:
    """Return how many values of each part are packed as an export packs them, and the seconds that it takes."""
    length = max(1, min(len(values) * WRITTEN_BYTES // values.nbytes for values in found))
    some = [np.ascontiguousarray(values[:length]) for values in found]
    with create_file(None, handle) as scratch:
        pairs = enumerate(zip(sources, some, strict=True))
        targets = [
            scratch.array_like(each, scratch.root(), str(number), values.shape) for number, (each, values) in pairs
        ]
        packings = [scratch.packing(target) for target in targets]

        def pack(_number: int) -> list[NDArray[Any]]:
            for packing, values in zip(packings, some, strict=True):
                if packing is not None:
                    packing.pack(values, (0,) * values.ndim)
            return []

        def write(_number: int) -> list[NDArray[Any]]:
            for target, values in zip(targets, some, strict=True):
                scratch.write(target, values)
                scratch.flush()  # packs what is still in a cache
            return []

        by_hdf5 = None in packings
        return some[0].size, _side_by_side(write if by_hdf5 else pack, alone=by_hdf5)[0]
