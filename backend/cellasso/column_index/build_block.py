"""Building one block of an index: its rows are read and sorted by feature in pieces, then packed feature by feature.

Pieces are read and sorted side by side, and so are ranges of features packed. Memory: the block's values with their
row numbers, and what the threads have in hand.

Counts are sorted as numbers of 16 bits, which is found out while they are read: a block that has anything else is
begun anew, its values sorted as they are. What is written is the same.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.column_index.block import BlockWriter, Extent, checksums
from cellasso.column_index.kernels import packing
from cellasso.column_index.kernels.sorting import (
    NARROW,
    bits_of,
    bits_of_narrow,
    count_columns,
    narrow,
    sort_by_column,
    sum_narrow_rows,
    sum_rows,
)
from cellasso.core.errors import ElementError
from cellasso.core.executors import run_blocks
from cellasso.core.numeric import as_numbers, native
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from numpy.typing import NDArray

    from cellasso.matrix.base import Matrix
    from cellasso.matrix.compressed import StoredVector


PIECE = 1 << 20
"""Values that a thread reads and sorts at a time. Sorting likes less, packing more; a whole build took the same CPU
within a tenth from 2**18 to 2**22."""

STRETCH = 1 << 15
"""Values that are taken from the disk at a time, unless a chunk has more: they stay in a core's own cache."""


# -- where the values come from ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """Whole rows of a block, and where their values lie among the block's."""

    number: int
    rows: slice
    values: slice


class CsrSource:
    """The rows of a block of a CSR matrix."""

    def __init__(self, matrix: SparseMatrix, extent: Extent) -> None:
        self.matrix = matrix
        stored = matrix.handle.read(matrix.part("indptr"), slice(extent.start, extent.stop + 1)).astype(np.int64)
        if np.any(np.diff(stored) < 0) or stored[0] < 0 or stored[-1] > matrix.n_stored:
            raise ElementError(f"{matrix.place}/indptr is damaged: it does not rise.")
        self._first = int(stored[0])
        self.ends = stored - self._first
        self._parts = {name: _Stretches(part) for name, part in zip(("indices", "data"), matrix.stored, strict=True)}
        self.chunk = matrix.stored[0].chunk

    def read(self, name: str, values: slice) -> Iterator[NDArray[Any]]:
        """Yield the columns ("indices") or the values ("data") of a piece, one stretch after the other.

        Any thread may. The first of two pieces to read a stretch that both share keeps it in memory for the other.

        Parameters
        ----------
        name
            `"indices"` or `"data"`.
        values
            The piece, counted from the first value of the block.

        Yields
        ------
        Arrays of the stored dtype, `(n_values,)` together; not checked.

        Raises
        ------
        ElementError, FileChangedError
            The bytes of a chunk are damaged; the file is no longer the one that was opened.
        """
        yield from self._parts[name].read(values.start + self._first, values.stop + self._first)


class _Stretches:
    """A part of a CSR matrix, read in stretches of whole chunks, none of them twice.

    Where two pieces share one, the first to read it leaves it for the other.
    """

    def __init__(self, part: StoredVector) -> None:
        self._part = part
        self._size = max(1, STRETCH // part.chunk) * part.chunk
        self._shared: dict[int, NDArray[Any]] = {}

    def read(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        for number in range(start // self._size, -(-stop // self._size)):
            first = number * self._size
            last = first + self._size
            found = self._shared.pop(number, None)
            if found is None:
                found = self._part.read(slice(first, last))
                if first < start or stop < last:
                    self._shared[number] = found
            yield found[max(0, start - first) : stop - first]


class DenseSource:
    """The rows of a block of a dense matrix: what is not zero to the bit, so that -0.0 stays."""

    chunk = 1

    def __init__(self, matrix: DenseMatrix, extent: Extent, pool: Executor) -> None:
        self.matrix = matrix
        steps = matrix.row_steps(extent.start, extent.stop)
        run = (
            run_blocks(self._read_filled, steps, executor=pool)
            if matrix.side_by_side
            else map(self._read_filled, steps)
        )
        lengths, indices, data = zip(*run, strict=True)
        self.ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        self._parts = {"indices": np.concatenate(indices), "data": np.concatenate(data)}

    def read(self, name: str, values: slice) -> Iterator[NDArray[Any]]:
        """Yield the columns ("indices") or the values ("data") of a piece; both are in memory.

        Parameters
        ----------
        name, values
            As of `CsrSource.read`.

        Yields
        ------
        One array, int32 or of the stored dtype.
        """
        yield self._parts[name][values]

    def _read_filled(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        read = self.matrix.read_rows(rows)
        read = np.ascontiguousarray(read, dtype=native(read.dtype))
        filled = bits_of(read) != 0
        return filled.sum(axis=1), np.nonzero(filled)[1].astype(np.int32), read[filled]


def open_source(matrix: Matrix, extent: Extent, pool: Executor) -> CsrSource | DenseSource:
    """Return where the values of a block come from.

    Reads the block's part of `indptr` of a CSR matrix, and all rows of the block of a dense one.

    Parameters
    ----------
    matrix
        Dense or CSR.
    extent
        The block.
    pool
        Threads that read the rows of a dense matrix side by side.

    Raises
    ------
    ElementError
        `indptr` is damaged, or the bytes of a chunk are.
    FileChangedError
        The file is no longer the one that was opened.
    TypeError
        The matrix is neither dense nor sparse.
    """
    if isinstance(matrix, DenseMatrix):
        return DenseSource(matrix, extent, pool)
    if not isinstance(matrix, SparseMatrix):
        raise TypeError(f"{matrix.place} is neither dense nor sparse.")
    return CsrSource(matrix, extent)


# -- one block --------------------------------------------------------------------------------------------


class BlockBuilder:
    """The values of a block while it is built: first sorted by feature within pieces, then packed."""

    def __init__(self, extent: Extent, source: CsrSource | DenseSource, pool: Executor) -> None:
        self._extent, self._source, self._pool = extent, source, pool
        self._pieces = list(_pieces(source.ends, max(PIECE, 4 * extent.n_columns, 2 * source.chunk)))

    def build(self, folder: Path) -> None:
        """Read and sort the values, pack the columns and write the block's file."""
        try:
            block = self._sort(NARROW)
        except _NotNarrowError:  # as a rule by the first chunk: normalised values are hardly ever whole
            block = self._sort(self._extent.dtype)
        self._write(block, folder)

    def _sort(self, dtype: np.dtype[Any]) -> _SortedBlock:
        block = _SortedBlock(self._extent, self._source, self._pieces, dtype)
        deque(run_blocks(block.sort, self._pieces, executor=self._pool), maxlen=0)
        return block

    def _write(self, block: _SortedBlock, folder: Path) -> None:
        shift, book = packing.build_codebook(block.sample_bits())
        pack = partial(block.pack, packing.open_codebook(shift, book, block.narrow_bits), as_numbers(block.values))
        by_column: dict[str, list[NDArray[Any]]] = {"sums": [], "squares": [], "n_nonzero": []}
        with BlockWriter(self._extent, folder, shift=shift, book=book) as writer:
            for packed in run_blocks(pack, block.ranges(), executor=self._pool):
                writer.append(packed.segments, packed.lengths, packed.checksums)
                for name, values in by_column.items():
                    values.append(getattr(packed, name))
                block.row_nonzero -= packed.repeated
            rows = {"totals": block.totals, "row_nonzero": block.row_nonzero}
            writer.finish(rows | {name: np.concatenate([[], *values]) for name, values in by_column.items()})


class _NotNarrowError(Exception):
    """A value is no whole number up to 65,535."""


@dataclass(frozen=True)
class _Packed:
    """The segments of some columns, one after the other, and their sums."""

    segments: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    checksums: list[int]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]
    repeated: NDArray[np.int64]


class _SortedBlock:
    """The values of a block, sorted by column within each piece.

    Parameters
    ----------
    dtype
        What the values are sorted as: the matrix's own, or `NARROW`.
    """

    def __init__(
        self, extent: Extent, source: CsrSource | DenseSource, pieces: list[_Piece], dtype: np.dtype[Any]
    ) -> None:
        self._extent, self._source = extent, source
        n_values = int(source.ends[-1])
        self._starts = np.array([piece.values.start for piece in pieces], dtype=np.uint64)
        self._offsets = np.zeros((len(pieces), extent.n_columns + 1), dtype=np.uint32)
        self._rows = np.empty(n_values, dtype=np.uint16)
        self.values = np.empty(n_values, dtype=dtype)
        self.totals = np.zeros(extent.n_rows, dtype=np.float64)
        self.row_nonzero = np.zeros(extent.n_rows, dtype=np.int64)
        self._is_narrow = dtype == NARROW
        self.narrow_bits = bits_of_narrow(extent.dtype)[: None if self._is_narrow else 0]
        self._most = max((piece.values.stop - piece.values.start for piece in pieces), default=0)
        self._spare: SimpleQueue[tuple[NDArray[Any], NDArray[Any]]] = SimpleQueue()

    def sort(self, piece: _Piece) -> None:
        """Read a piece and sort it."""
        ends = self._source.ends[piece.rows.start + 1 : piece.rows.stop + 1] - piece.values.start
        totals, row_nonzero = self.totals[piece.rows], self.row_nonzero[piece.rows]
        offsets = self._offsets[piece.number]
        with self._scratch() as (all_columns, all_values):
            values = self._read_values(piece, all_values)
            columns = self._read_columns(piece, all_columns, offsets)
            rows, sorted_values = self._rows[piece.values], bits_of(self.values)[piece.values]
            sort_by_column(columns, bits_of(values), ends, piece.rows.start, offsets, rows, sorted_values)
            if self._is_narrow:
                sum_narrow_rows(values, ends, totals, row_nonzero)
            else:
                sum_rows(as_numbers(values), ends, totals, row_nonzero)

    def _read_columns(self, piece: _Piece, columns: NDArray[Any], offsets: NDArray[np.uint32]) -> NDArray[Any]:
        n = 0
        for indices in self._source.read("indices", piece.values):
            into = columns[n : n + len(indices)]
            if not count_columns(_signed(indices), self._extent.n_columns, into, offsets):
                place, last = self._source.matrix.place, self._extent.n_columns - 1
                raise ElementError(f"{place}/indices is damaged: it points outside of 0 to {last:,}.")
            n += len(indices)
        return columns[:n]

    def _read_values(self, piece: _Piece, values: NDArray[Any]) -> NDArray[Any]:
        n = 0
        for stored in self._source.read("data", piece.values):
            data = stored.astype(self._extent.dtype, copy=False)
            into = values[n : n + len(data)]
            if not self._is_narrow:
                into[:] = data
            elif not narrow(as_numbers(data), bits_of(data), into):
                raise _NotNarrowError
            n += len(data)
        return values[:n]

    @contextmanager
    def _scratch(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Lend a piece's columns and values: new memory costs as much as half of the sorting."""
        try:
            scratch = self._spare.get_nowait()
        except Empty:
            columns = np.uint16 if self._extent.n_columns <= 1 << 16 else np.uint32
            scratch = np.empty(self._most, columns), np.empty(self._most, self.values.dtype)
        yield scratch
        self._spare.put(scratch)

    def sample_bits(self) -> NDArray[Any]:
        """Return the bits of some of the values, in the dtype of the matrix."""
        sample = bits_of(self.values)[:: max(1, len(self.values) >> 17)]
        return self.narrow_bits[sample] if self._is_narrow else sample

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of columns with about PIECE values."""
        reached = self._offsets.sum(axis=0, dtype=np.int64)
        first = 0
        while first < self._extent.n_columns:
            last = int(np.searchsorted(reached, reached[first] + PIECE, side="right")) - 1
            last = min(max(last, first + 1), self._extent.n_columns)
            yield first, last
            first = last

    def pack(self, book: packing.Codebook, numbers: NDArray[Any], columns: tuple[int, int]) -> _Packed:
        """Pack a range of columns; `numbers` are `values` as what can be added up."""
        first, last = columns
        n_columns = last - first
        n_values = int((self._offsets[:, last].astype(np.int64) - self._offsets[:, first]).sum())
        out = np.empty(packing.packed_bound(n_values, n_columns, self._extent.dtype.itemsize), dtype=np.uint8)
        lengths, n_nonzero = (np.empty(n_columns, dtype=np.int64) for _ in range(2))
        sums, squares = np.empty(n_columns), np.empty(n_columns)
        repeated = np.zeros(self._extent.n_rows, dtype=np.int64)
        packing.pack_columns(
            self._rows,
            bits_of(self.values),
            numbers,
            self._offsets,
            self._starts,
            first,
            book,
            out,
            lengths,
            sums,
            squares,
            n_nonzero,
            repeated,
        )
        segments = out[: int(lengths.sum())]
        return _Packed(segments, lengths, checksums(first, segments, lengths), sums, squares, n_nonzero, repeated)


def _pieces(ends: NDArray[np.int64], size: int) -> Iterator[_Piece]:
    """Yield pieces of whole rows with about `size` values; a row that is longer is a piece of its own."""
    n_rows = len(ends) - 1
    number = start = 0
    while start < n_rows:
        stop = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = min(max(stop, start + 1), n_rows)
        yield _Piece(number, slice(start, stop), slice(int(ends[start]), int(ends[stop])))
        number, start = number + 1, stop


def _signed(indices: NDArray[Any]) -> NDArray[Any]:
    """Return indices as one of two types, so that two kernels are compiled; what is too large becomes negative."""
    fits = indices.dtype.itemsize < 4 or indices.dtype.newbyteorder("=") == np.int32
    return indices.astype(np.int32 if fits else np.int64, copy=False)
