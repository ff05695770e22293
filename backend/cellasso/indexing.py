"""Building the index of a matrix: blocks of cells, each a task of its own, in any order, in any process.

A block is read in pieces of whole rows, side by side; each piece is sorted by feature where it is read, then the
features of all pieces are packed, side by side too. What a block needs in memory is bounded by its number of values.
A build that is stopped, at any moment and in any way, leaves whole blocks; the next one makes those that are missing.

Measured on 1M cells by 30,000 genes, 1.36e9 counts in gzip chunks: see tests/benchmarks/columns.md.
"""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cellasso import index_cache, packing
from cellasso.errors import CellassoError, ElementError, FileChangedError
from cellasso.handle import Fingerprint, Handle
from cellasso.index import Index, begin_index, native
from cellasso.index_block import BlockWriter, Extent, checksum
from cellasso.matrix import DenseMatrix, Matrix, Part, SparseMatrix, open_matrix
from cellasso.tasks import run_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cellasso.matrix import Progress

MAX_ROWS = 1 << 16
"""Rows of a block at most: a row's number takes 16 bits."""

MAX_VALUES = 1 << 25
"""Values of a block at most, 200 MB while it is built (float32) and 33 MB on the disk. Two blocks are under way, one
is read while the other is brought to the disk. Twice as large, a gene of 1M cells takes 0.2 ms less."""

PIECE = 1 << 20
"""Values that a thread reads and sorts at a time, 6 MB: they stay in the processor's cache."""

N_BLOCKS_AT_A_TIME = 2
BACKGROUND_NICE = 10
"""How much lower than the screen's is the priority of threads in the background."""


class IndexingError(CellassoError, OSError):
    """An index cannot be built."""


@dataclass(frozen=True)
class BlockTask:
    """One block to build, for any process that reaches the file and the index's folder under the same paths."""

    file: Path
    matrix: str
    fingerprint: Fingerprint
    folder: Path
    extent: Extent
    threads: int
    background: bool


def build_index(
    matrix: Matrix,
    root: Path,
    *,
    threads: int | None = None,
    background: bool = False,
    check: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Index:
    """Build what is missing of a matrix's index; return when all is there.

    Several processes may be asked for the same index: one builds, the others wait for it, and go on when it ends.

    Parameters
    ----------
    root
        Folder that keeps the indexes, see `cellasso.index_cache`.
    threads
        Threads in each process that builds; by default one for each core.
    background
        At a lower priority.
    check
        Read blocks that are there already and compare their checksums.
    executor
        Where blocks are built, such as a Dask cluster's `Client.get_executor()`; by default in this process.
    progress
        Told the fraction of cells that are indexed; may raise `Cancelled`.

    Raises
    ------
    IndexingError
        The matrix is stored feature by feature and needs none, or the disk has no room.
    ElementError, FileChangedError
        The matrix is damaged; the file is no longer the one that was opened.
    """
    if matrix.storage == "csc":
        raise IndexingError(f"{matrix.place} is stored feature by feature and needs no index.")
    index = begin_index(matrix, root, plan(matrix))
    with index_cache.locked(index.folder, progress=progress, fraction=lambda: index.fraction):
        missing = [extent for extent in index.extents if not index.check(extent, thoroughly=check)]
        index_cache.remove_leftovers(index.folder)
        if missing:
            _make_room(matrix, index, missing)
        tasks = [_task(matrix, index, extent, threads, background=background) for extent in missing]
        n_done = matrix.shape[0] - sum(extent.n_rows for extent in missing)
        for done in _run(tasks, executor):
            n_done += done.n_rows
            if progress is not None:
                progress(n_done / matrix.shape[0])
        index_cache.trim(root, keep=index.folder)
    return index


def plan(matrix: Matrix) -> list[int]:
    """Return where each block begins among the rows, and the number of rows: the same for the same matrix, anywhere."""
    n_rows, n_columns = matrix.shape
    most = max(MAX_VALUES, 64 * n_columns)  # with a million peaks the table of a block has 36 MB
    if isinstance(matrix, SparseMatrix):
        indptr = matrix.indptr
    else:
        indptr = np.arange(n_rows + 1, dtype=np.int64) * n_columns
    starts = [0]
    while starts[-1] < n_rows:
        start = starts[-1]
        full = int(np.searchsorted(indptr, indptr[start] + most, side="right")) - 1
        starts.append(min(max(full, start + 1), start + MAX_ROWS, n_rows))
    return starts


def build_block(task: BlockTask) -> Extent:
    """Build one block; any process may, also one on another machine."""
    with Handle(task.file) as handle:
        found = handle.fingerprint
        if (found.size, found.mtime_ns) != (task.fingerprint.size, task.fingerprint.mtime_ns):
            raise FileChangedError(f"{task.file} was changed by another program since it was opened; open it again.")
        matrix = open_matrix(handle, task.matrix)
        block = _Block(task.extent, _source(matrix, task.extent), _pool(task.threads, background=task.background))
        block.read()
        block.write(task.folder)
        handle.check()
    return task.extent


def _task(matrix: Matrix, index: Index, extent: Extent, threads: int | None, *, background: bool) -> BlockTask:
    n_threads = threads if threads is not None else os.cpu_count() or 1
    handle = matrix.handle
    return BlockTask(handle.path, matrix.path, handle.fingerprint, index.folder, extent, n_threads, background)


def _run(tasks: Sequence[BlockTask], executor: Executor | None) -> Iterator[Extent]:
    if executor is not None:
        yield from run_blocks(build_block, tasks, executor=executor, in_flight=max(1, len(tasks)))
        return
    n = N_BLOCKS_AT_A_TIME if tasks and tasks[0].threads > 1 else 1
    with ThreadPoolExecutor(n, thread_name_prefix="cellasso-index") as pool:
        yield from run_blocks(build_block, tasks, executor=pool, in_flight=n)


@cache
def _pool(threads: int, *, background: bool) -> Executor:
    """Return the threads that read and pack; the screen's own reads have others."""
    return ThreadPoolExecutor(
        threads, thread_name_prefix="cellasso-index-piece", initializer=_be_nice if background else None
    )


def _be_nice() -> None:
    if hasattr(os, "setpriority"):  # on Linux of the calling thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)


def _make_room(matrix: Matrix, index: Index, missing: Sequence[Extent]) -> None:
    """Remove old indexes for the new one; raise when the disk has no room even so."""
    fraction = sum(extent.n_rows for extent in missing) / matrix.shape[0]
    needed = int(fraction * matrix.n_stored * (1 + matrix.dtype.itemsize))
    index_cache.trim(index.folder.parent, keep=index.folder, room=needed)
    free = shutil.disk_usage(index.folder).free
    if free < needed:
        raise IndexingError(
            f"The index of {matrix.place} may need {needed / 1e9:.1f} GB in {index.folder.parent}, which has"
            f" {free / 1e9:.1f} GB free; make room, or name another folder with --index-dir."
        )


# -- where the values come from ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """Whole rows of a block, and where their values lie among the block's."""

    number: int
    rows: slice
    values: slice


class _CsrSource:
    """The rows of a block of a CSR matrix."""

    def __init__(self, matrix: SparseMatrix, extent: Extent) -> None:
        self.matrix = matrix
        stored = matrix.handle.read(matrix.part("indptr"), slice(extent.start, extent.stop + 1)).astype(np.int64)
        if np.any(np.diff(stored) < 0) or stored[0] < 0 or stored[-1] > matrix.n_stored:
            raise ElementError(f"{matrix.place}/indptr is damaged: it does not rise.")
        self._indices, self._data = Part(matrix, "indices"), Part(matrix, "data")
        self._first = int(stored[0])
        self.ends = stored - self._first
        self.side_by_side = self._indices.side_by_side and self._data.side_by_side
        self.chunk = self._indices.chunk

    def read(self, piece: _Piece) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return the columns and the values of a piece, and where each of its rows ends."""
        values = slice(piece.values.start + self._first, piece.values.stop + self._first)
        ends = self.ends[piece.rows.start + 1 : piece.rows.stop + 1] - piece.values.start
        return self._indices.read(values), self._data.read(values), ends


class _DenseSource:
    """The rows of a block of a dense matrix: what is not zero to the bit, so that -0.0 stays."""

    side_by_side = False
    chunk = 1

    def __init__(self, matrix: DenseMatrix, extent: Extent) -> None:
        self.matrix = matrix
        dataset = matrix.handle.node(matrix.path)
        step = max(1, PIECE // matrix.shape[1])
        if dataset.chunks:
            step = max(1, step // dataset.chunks[0]) * dataset.chunks[0]
        parts: list[tuple[NDArray[Any], NDArray[Any]]] = []
        lengths = []
        for start in range(extent.start, extent.stop, step):
            read = matrix.handle.read(dataset, slice(start, min(start + step, extent.stop)))
            read = read.astype(native(read.dtype), copy=False)
            filled = packing.bits_of(np.ascontiguousarray(read)) != 0
            lengths.append(filled.sum(axis=1))
            parts.append((np.nonzero(filled)[1].astype(np.int32), read[filled]))
        self._indices, self._data = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        self.ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])

    def read(self, piece: _Piece) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return the columns and the values of a piece, and where each of its rows ends."""
        ends = self.ends[piece.rows.start + 1 : piece.rows.stop + 1] - piece.values.start
        return self._indices[piece.values], self._data[piece.values], ends


def _source(matrix: Matrix, extent: Extent) -> _CsrSource | _DenseSource:
    return _CsrSource(matrix, extent) if isinstance(matrix, SparseMatrix) else _DenseSource(matrix, extent)


# -- one block --------------------------------------------------------------------------------------------


class _Block:
    """The values of a block while it is built: first sorted by feature within pieces, then packed."""

    def __init__(self, extent: Extent, source: _CsrSource | _DenseSource, pool: Executor) -> None:
        self._extent, self._source, self._pool = extent, source, pool
        ends = source.ends
        n_values = int(ends[-1])
        self._pieces = list(_pieces(ends, max(PIECE, 4 * extent.n_columns, 8 * source.chunk)))
        self._starts = np.array([piece.values.start for piece in self._pieces], dtype=np.int64)
        self._offsets = np.zeros((len(self._pieces), extent.n_columns + 1), dtype=np.uint32)
        self._rows = np.empty(n_values, dtype=np.uint16)
        self._values = np.empty(n_values, dtype=extent.dtype)
        self._totals = np.zeros(extent.n_rows, dtype=np.float64)
        self._row_nonzero = np.zeros(extent.n_rows, dtype=np.int64)

    def read(self) -> None:
        """Read and sort all pieces."""
        if self._source.side_by_side:
            run = run_blocks(self._sort, self._pieces, executor=self._pool)
        else:
            run = map(self._sort, self._pieces)
        for _ in run:
            pass

    def write(self, folder: Path) -> None:
        """Pack the columns and write the block's file."""
        bits = packing.bits_of(self._values)
        shift, book = packing.make_book(bits[:: max(1, len(bits) >> 17)])
        packed = partial(self._pack, bits, shift, *packing.hash_book(book))
        by_column: dict[str, list[NDArray[Any]]] = {"sums": [], "squares": [], "n_nonzero": []}
        with BlockWriter(self._extent, folder, shift=shift, book=book) as writer:
            for segments, lengths, sums, repeated in run_blocks(packed, self._ranges(), executor=self._pool):
                checksums, at = [], 0
                for length in lengths.tolist():
                    checksums.append(checksum(len(checksums) + writer.n_columns, segments[at : at + length]))
                    at += length
                writer.append(segments, lengths, checksums)
                for name, values in sums.items():
                    by_column[name].append(values)
                self._row_nonzero -= repeated
            rows = {"totals": self._totals, "row_nonzero": self._row_nonzero}
            writer.finish(rows | {name: np.concatenate(values) for name, values in by_column.items()})

    def _sort(self, piece: _Piece) -> None:
        indices, data, ends = self._source.read(piece)
        data = data.astype(self._extent.dtype, copy=False)
        inside = packing.sort_by_column(
            indices.astype(native(indices.dtype), copy=False),
            packing.bits_of(data),
            ends,
            self._extent.n_columns,
            piece.rows.start,
            self._offsets[piece.number],
            self._rows[piece.values],
            packing.bits_of(self._values)[piece.values],
        )
        if not inside:
            place, last = self._source.matrix.place, self._extent.n_columns - 1
            raise ElementError(f"{place}/indices is damaged: it points outside of 0 to {last:,}.")
        packing.sum_rows(_numbers(data), ends, self._totals[piece.rows], self._row_nonzero[piece.rows])

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of columns with about PIECE values."""
        reached = self._offsets.sum(axis=0, dtype=np.int64)
        first = 0
        while first < self._extent.n_columns:
            last = int(np.searchsorted(reached, reached[first] + PIECE, side="right")) - 1
            last = min(max(last, first + 1), self._extent.n_columns)
            yield first, last
            first = last

    def _pack(
        self,
        bits: NDArray[Any],
        shift: int,
        keys: NDArray[np.uint64],
        codes: NDArray[np.uint8],
        columns: tuple[int, int],
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, NDArray[Any]], NDArray[np.int64]]:
        first, last = columns
        n_values = int((self._offsets[:, last].astype(np.int64) - self._offsets[:, first]).sum())
        out = np.empty(packing.packed_bound(n_values, last - first, bits.itemsize), dtype=np.uint8)
        lengths = np.empty(last - first, dtype=np.int64)
        packing.pack_columns(
            bits, self._rows, self._offsets, self._starts, first, shift, keys, codes, out, lengths
        )
        sums = {"sums": np.empty(last - first), "squares": np.empty(last - first)}
        n_nonzero, repeated = np.empty(last - first, dtype=np.int64), np.zeros(self._extent.n_rows, dtype=np.int64)
        packing.sum_columns(
            _numbers(self._values), self._rows, self._offsets, self._starts, first, *sums.values(), n_nonzero, repeated
        )
        return out[: int(lengths.sum())], lengths, {**sums, "n_nonzero": n_nonzero}, repeated


def _pieces(ends: NDArray[np.int64], size: int) -> Iterator[_Piece]:
    """Yield pieces of whole rows with about `size` values; a row that is longer is a piece of its own."""
    n_rows = len(ends) - 1
    number = start = 0
    while start < n_rows:
        stop = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = min(max(stop, start + 1), n_rows)
        yield _Piece(number, slice(start, stop), slice(int(ends[start]), int(ends[stop])))
        number, start = number + 1, stop


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return values that a kernel can add up."""
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    return values.astype(np.float32) if values.dtype == np.float16 else values
