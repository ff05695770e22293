"""Building one block of an index: its rows are read and sorted by feature in pieces, then packed feature by feature.

Pieces are read and sorted side by side, and so are ranges of features packed. Memory: the block's values with their
row numbers, and what the threads have in hand.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso import packing
from cellasso.errors import ElementError
from cellasso.index import native
from cellasso.index_block import BlockWriter, Extent, checksum
from cellasso.matrix import DenseMatrix, Matrix, SparseMatrix
from cellasso.summarise import as_numbers
from cellasso.tasks import run_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from numpy.typing import NDArray

PIECE = 1 << 20
"""Values that a thread reads and sorts at a time. Sorting likes less (2**19 values: 4 ns each, 2**20: 6, 2**22: 8),
packing more; a whole build took the same CPU within a tenth from 2**19 to 2**21."""


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
        self._indices, self._data = matrix.stored
        self._first = int(stored[0])
        self.ends = stored - self._first
        self.chunk = self._indices.chunk

    def read(self, piece: _Piece) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return the columns and the values of a piece, and where each of its rows ends."""
        values = slice(piece.values.start + self._first, piece.values.stop + self._first)
        ends = self.ends[piece.rows.start + 1 : piece.rows.stop + 1] - piece.values.start
        return self._indices.read(values), self._data.read(values), ends


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
        self._indices, self._data = np.concatenate(indices), np.concatenate(data)

    def read(self, piece: _Piece) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return the columns and the values of a piece, and where each of its rows ends."""
        ends = self.ends[piece.rows.start + 1 : piece.rows.stop + 1] - piece.values.start
        return self._indices[piece.values], self._data[piece.values], ends

    def _read_filled(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        read = self.matrix.read_rows(rows)
        read = np.ascontiguousarray(read, dtype=native(read.dtype))
        filled = packing.bits_of(read) != 0
        return filled.sum(axis=1), np.nonzero(filled)[1].astype(np.int32), read[filled]


def open_source(matrix: Matrix, extent: Extent, pool: Executor) -> CsrSource | DenseSource:
    """Return where the values of a block come from; reads the rows of a dense matrix."""
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
        run = run_blocks(self._sort, self._pieces, executor=self._pool)
        deque(run, maxlen=0)

    def write(self, folder: Path) -> None:
        """Pack the columns and write the block's file."""
        bits = packing.bits_of(self._values)
        shift, book = packing.make_book(bits[:: max(1, len(bits) >> 17)])
        packed = partial(self._pack, bits, as_numbers(self._values), (shift, *packing.hash_book(book)))
        by_column: dict[str, list[NDArray[Any]]] = {"sums": [], "squares": [], "n_nonzero": []}
        with BlockWriter(self._extent, folder, shift=shift, book=book) as writer:
            for segments, lengths, sums, repeated in run_blocks(packed, self._ranges(), executor=self._pool):
                checksums: list[int] = []
                at = 0
                for length in lengths.tolist():
                    checksums.append(checksum(len(checksums) + writer.n_columns, segments[at : at + length]))
                    at += length
                writer.append(segments, lengths, checksums)
                for name, values in sums.items():
                    by_column[name].append(values)
                self._row_nonzero -= repeated
            rows = {"totals": self._totals, "row_nonzero": self._row_nonzero}
            writer.finish(rows | {name: np.concatenate([[], *values]) for name, values in by_column.items()})

    def _sort(self, piece: _Piece) -> None:
        indices, data, ends = self._source.read(piece)
        data = data.astype(self._extent.dtype, copy=False)
        inside = packing.sort_by_column(
            _signed(indices),
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
        packing.sum_rows(as_numbers(data), ends, self._totals[piece.rows], self._row_nonzero[piece.rows])

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
        numbers: NDArray[Any],
        book: tuple[int, NDArray[np.uint64], NDArray[np.uint8]],
        columns: tuple[int, int],
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, NDArray[Any]], NDArray[np.int64]]:
        first, last = columns
        n_values = int((self._offsets[:, last].astype(np.int64) - self._offsets[:, first]).sum())
        out = np.empty(packing.packed_bound(n_values, last - first, bits.itemsize), dtype=np.uint8)
        lengths = np.empty(last - first, dtype=np.int64)
        packing.pack_columns(bits, self._rows, self._offsets, self._starts, first, *book, out, lengths)
        sums = {"sums": np.empty(last - first), "squares": np.empty(last - first)}
        n_nonzero, repeated = np.empty(last - first, dtype=np.int64), np.zeros(self._extent.n_rows, dtype=np.int64)
        packing.sum_columns(
            numbers, self._rows, self._offsets, self._starts, first, *sums.values(), n_nonzero, repeated
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


def _signed(indices: NDArray[Any]) -> NDArray[Any]:
    """Return indices as one of two types, so that two kernels are compiled; what is too large becomes negative."""
    fits = indices.dtype.itemsize < 4 or indices.dtype.newbyteorder("=") == np.int32
    return indices.astype(np.int32 if fits else np.int64, copy=False)
