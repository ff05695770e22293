"""The lazy matrix: X, a layer or raw, read by columns (features) without ever being loaded."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import h5py
import numpy as np

from cellasso.column_index.index import key_of, open_index
from cellasso.core.errors import ElementError
from cellasso.core.passes import run_blocks, within
from cellasso.encodings import elements
from cellasso.store.hdf5.chunks import open_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cellasso.column_index.index import Index
    from cellasso.store.hdf5.chunks import Chunks, Contiguous
    from cellasso.store.hdf5.handle import Handle

Storage: TypeAlias = Literal["dense", "csr", "csc"]
Progress: TypeAlias = "Callable[[float], None]"
"""Called between blocks with the fraction done, 0 to 1; what it raises (`Cancelled`) stops the work."""

Preview: TypeAlias = "Callable[[list[NDArray[np.float32]]], None]"
"""Called now and then while columns are read, with what is known of them: `(n_obs,)` each, NaN where unread."""

PREVIEW_SECONDS = 0.7
"""Between two previews of a scan; each costs as much as drawing a million cells anew, a tenth of a second."""

SCAN_BLOCK = 1 << 18
"""Stored values per step of a scan: 1 MB of indices and as much data, several of them in flight. On 100
million values 2**18 took 0.9 s, 2**20 as long, with four times the memory."""


class Matrix(ABC):
    """A matrix on disk of shape `(n_obs, n_vars)`.

    Attributes
    ----------
    storage
        `"dense"`, `"csr"` (cell by cell) or `"csc"` (feature by feature).
    """

    storage: Storage

    def __init__(self, handle: Handle, path: str, shape: tuple[int, int]) -> None:
        self.handle = handle
        self.path = path
        self.shape = shape
        self._index: Index | None = None

    @cached_property
    def key(self) -> str:
        """What names this matrix in its present state among the indexes; see `cellasso.column_index.index.key_of`."""
        return key_of(self)

    @property
    def index(self) -> Index | None:
        """The column index, complete or not, if one was begun in the folder that the file was opened with."""
        if self._index is None and self.handle.index_root is not None:
            self._index = open_index(self, self.handle.index_root)
        return self._index

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the stored values."""

    @property
    @abstractmethod
    def n_stored(self) -> int:
        """How many values are stored (for a sparse matrix its non-zeros)."""

    @abstractmethod
    def read_columns(
        self, columns: Sequence[int], *, progress: Progress | None = None, preview: Preview | None = None
    ) -> NDArray[np.generic]:
        """Read columns into an array `(n_obs, len(columns))` of the stored dtype, exact.

        Where that takes a scan, `preview` is shown what it has found so far.

        Reads the columns' own bytes on CSC, the touched chunks on dense, and scans once through all
        stored values on CSR, in bounded memory.

        Raises
        ------
        ElementError
            The stored structure contradicts itself.
        Cancelled
            `progress` raised it.
        """

    @property
    def place(self) -> str:
        """File and HDF5 path, for messages."""
        return self.handle.place(self.path)

    def _read_indexed(self, targets: Mapping[int, NDArray[np.generic]]) -> list[tuple[int, int]]:
        """Put what is indexed of columns into their targets `(n_obs,)`; return which rows are left."""
        if self.index is None:
            return [(0, self.shape[0])]
        self.handle.check()
        return self.index.read_columns(list(targets), list(targets.values()))

    def _out(self, columns: Sequence[int]) -> NDArray[np.generic]:
        for column in columns:
            if not 0 <= column < self.shape[1]:
                raise ElementError(f"{self.place} has {self.shape[1]:,} columns; column {column:,} was asked for.")
        # one column after the other in memory: they are used one at a time
        return np.zeros((self.shape[0], len(columns)), dtype=self.dtype, order="F")


class DenseMatrix(Matrix):
    """A two-dimensional dataset."""

    storage: Storage = "dense"

    @property
    def dtype(self) -> np.dtype[np.generic]:  # noqa: D102
        dtype: np.dtype[np.generic] = self._dataset().dtype
        return dtype

    @property
    def n_stored(self) -> int:  # noqa: D102
        return self.shape[0] * self.shape[1]

    def read_columns(  # noqa: D102
        self,
        columns: Sequence[int],
        *,
        progress: Progress | None = None,
        preview: Preview | None = None,  # noqa: ARG002 - one column of chunks after the other: no scan to show
    ) -> NDArray[np.generic]:
        out = self._out(columns)
        slots = _slots(columns)
        targets = {column: out[:, same[0]] for column, same in slots.items()}
        steps = list(self._steps(sorted(slots), self._read_indexed(targets)))
        # to list the chunks pays for itself from two steps on
        stored = self._open() if len(steps) > 1 or self._dataset().chunks is None else None
        read = partial(self._read_together, stored)
        most = within(2 * self._chunk_bytes)
        results = run_blocks(read, steps, most=most) if stored is not None else map(read, steps)
        for done, ((rows, together), values) in enumerate(zip(steps, results, strict=True)):
            for k, column in enumerate(together):
                targets[column][rows] = values[:, k]
            _report(progress, done + 1, len(steps))
        self.handle.check()
        _repeat(out, slots)
        return out

    @property
    def column_bytes(self) -> int:
        """Bytes of the file that reading one column touches without an index."""
        dataset = self._dataset()
        if dataset.chunks is None:  # rows are read whole: they lie one after the other
            return int(dataset.nbytes)
        return int(dataset.id.get_storage_size()) // max(1, math.ceil(self.shape[1] / int(dataset.chunks[1])))

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
        """Return steps of whole chunks through some rows, each of about a million values."""
        rows_together = (self._dataset().chunks or (1,))[0]
        step = max(1, 4 * SCAN_BLOCK // (rows_together * max(1, self.shape[1]))) * rows_together
        return _steps_through(start, stop, step)

    def read_rows(self, rows: slice) -> NDArray[Any]:
        """Read rows, `(n_rows, n_vars)`; any thread may."""
        return self._read(self._open(), rows, slice(0, self.shape[1]))

    def sample(self, n_pieces: int, n_values: int) -> list[NDArray[Any]]:
        """Read pieces spread over a matrix with values, of `n_values` each at most; each inflates one chunk."""
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

    def _steps(self, columns: list[int], missing: list[tuple[int, int]]) -> Iterator[tuple[slice, list[int]]]:
        """Yield rows and the columns to read of them: no chunk is read twice."""
        rows_together, columns_together = self._dataset().chunks or (1, self.shape[1])
        groups: dict[int, list[int]] = {}
        for column in columns:
            groups.setdefault(column // columns_together, []).append(column)
        # whole chunks, or rows, go through memory
        step = max(1, 4 * SCAN_BLOCK // (rows_together * columns_together)) * rows_together
        for start, stop in missing:
            for together in groups.values():
                for rows in _steps_through(start, stop, step):
                    yield rows, together

    def _read_together(self, stored: Chunks | Contiguous | None, step: tuple[slice, list[int]]) -> NDArray[Any]:
        rows, columns = step
        first = columns[0]
        read = self._read(stored, rows, slice(first, columns[-1] + 1))
        return read[:, [column - first for column in columns]]  # a copy: the rest of the chunks goes

    def _read(self, stored: Chunks | Contiguous | None, rows: slice, columns: slice) -> NDArray[Any]:
        if stored is not None:
            return stored.read(rows, columns)
        dataset = self._dataset()
        if dataset.chunks is None:  # whole rows: of a part of each HDF5 would ask row by row, a call of Python each
            return np.asarray(self.handle.read(dataset, rows))[:, columns]
        return np.asarray(self.handle.read(dataset, (rows, columns)))

    def _open(self) -> Chunks | Contiguous | None:
        self.handle.check()
        return self._stored

    @cached_property
    def _stored(self) -> Chunks | Contiguous | None:
        return open_chunks(self.handle, self._dataset())

    def _dataset(self) -> h5py.Dataset:
        return self.handle.node(self.path)


class SparseMatrix(Matrix):
    """A group of `data`, `indices` and `indptr`, compressed along rows (CSR) or columns (CSC).

    Written once in terms of the major axis (the one that is contiguous on disk) and the minor one.
    """

    def __init__(self, handle: Handle, path: str, shape: tuple[int, int], *, storage: Storage) -> None:
        super().__init__(handle, path, shape)
        self.storage = storage

    @property
    def dtype(self) -> np.dtype[np.generic]:  # noqa: D102
        return self._dtype

    @cached_property
    def _dtype(self) -> np.dtype[np.generic]:
        dtype: np.dtype[np.generic] = self.part("data").dtype
        return dtype

    @property
    def n_stored(self) -> int:  # noqa: D102
        return int(self.part("indices").shape[0])

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """Where each major row begins and ends, `(n_major + 1,)`, checked; reads 4 or 8 bytes a row."""
        indptr: NDArray[np.int64] = self.handle.read(self.part("indptr")).astype(np.int64, copy=False)
        n_major = self.shape[0] if self.storage == "csr" else self.shape[1]
        if len(indptr) != n_major + 1:
            raise ElementError(f"{self.place}/indptr has {len(indptr):,} entries; {n_major + 1:,} were expected.")
        if indptr[0] != 0 or indptr[-1] != self.n_stored or np.any(np.diff(indptr) < 0):
            raise ElementError(f"{self.place}/indptr is damaged: it does not rise from 0 to {self.n_stored:,}.")
        if self.part("data").shape[0] != self.n_stored:
            found = self.part("data").shape[0]
            raise ElementError(f"{self.place} has {self.n_stored:,} indices but {found:,} values.")
        return indptr

    def read_columns(  # noqa: D102
        self, columns: Sequence[int], *, progress: Progress | None = None, preview: Preview | None = None
    ) -> NDArray[np.generic]:
        out = self._out(columns)
        if self.storage == "csc":
            self._read_major(columns, out, progress)
        else:
            self._scan_minor(columns, out, progress, preview)
        return out

    def _read_major(self, columns: Sequence[int], out: NDArray[np.generic], progress: Progress | None) -> None:
        indices, data = self.part("indices"), self.part("data")
        for slot, column in enumerate(columns):
            start, stop = int(self.indptr[column]), int(self.indptr[column + 1])
            rows = self.checked(self.handle.read(indices, slice(start, stop)), self.shape[0])
            # duplicate entries of one cell add up, as SciPy and anndata have it
            _add(out[:, slot], rows, self.handle.read(data, slice(start, stop)))
            _report(progress, slot + 1, len(columns))

    def _scan_minor(
        self,
        columns: Sequence[int],
        out: NDArray[np.generic],
        progress: Progress | None,
        preview: Preview | None,
    ) -> None:
        slots = _slots(columns)
        wanted = tuple(slots)
        targets = {column: out[:, same[0]] for column, same in slots.items()}
        missing = self._read_indexed(targets)
        scan = _Scan(self, wanted, missing)
        if not scan.blocks:
            _report(progress, 0, 0)
        total = sum(block.stop - block.start for block in scan.blocks)
        done, shown = 0, time.monotonic()
        for block, hits in zip(scan.blocks, scan.run(), strict=True):
            for column, rows, values in hits:
                _add(targets[column], rows, values)
            done += block.stop - block.start
            _report(progress, done, total)
            if preview is not None and done < total and time.monotonic() - shown > PREVIEW_SECONDS:
                reached = int(np.searchsorted(self.indptr, block.stop, side="right")) - 1
                preview(_so_far([targets[column] for column in columns], missing, reached))
                shown = time.monotonic()
        self.handle.check()  # blocks are read ahead of what is reported: the file may have changed since
        _repeat(out, slots)

    @cached_property
    def stored(self) -> tuple[Part, Part]:
        """Where `indices` and `data` are; finding 20,000 chunks takes a tenth of a second, so it is done once."""
        return Part(self, "indices"), Part(self, "data")

    def checked(self, indices: NDArray[np.integer], bound: int) -> NDArray[np.integer]:
        """Return `indices`, all of which lie within 0 and `bound`; raise `ElementError` otherwise."""
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= bound):
            raise ElementError(f"{self.place}/indices is damaged: it points outside of 0 to {bound - 1:,}.")
        return indices

    def part(self, name: str) -> h5py.Dataset:
        """Return `data`, `indices` or `indptr`, checked to be one-dimensional and of numbers."""
        part = self.handle.node(f"{self.path}/{name}")
        if not isinstance(part, h5py.Dataset) or part.ndim != 1:
            raise ElementError(f"{self.handle.place(part.name)} is not a one-dimensional dataset.")
        if part.dtype.kind not in ("biuf" if name == "data" else "iu"):
            raise ElementError(f"{self.handle.place(part.name)} holds {part.dtype}; numbers were expected.")
        return part


class Part:
    """`data` or `indices` of a sparse matrix, read in stretches, past HDF5 where its chunks can be."""

    def __init__(self, matrix: SparseMatrix, name: str) -> None:
        self._handle = matrix.handle
        self._dataset = matrix.part(name)
        self._chunks = open_chunks(matrix.handle, self._dataset)

    @property
    def chunk(self) -> int:
        """Values that are inflated together; 1 where none are."""
        return int(self._dataset.chunks[0]) if self._dataset.chunks else 1

    @property
    def side_by_side(self) -> bool:
        """Whether several threads can read at the same time."""
        return self._chunks is not None

    def read(self, values: slice) -> NDArray[Any]:
        """Read consecutive values; any thread may."""
        if self._chunks is not None:
            return self._chunks.read(values)
        return np.asarray(self._handle.read(self._dataset, values))


class _Scan:
    """One pass over some rows of a matrix along its minor axis, in search of some columns.

    Where the chunks can be read past HDF5, blocks are read and searched side by side.
    """

    def __init__(self, matrix: SparseMatrix, columns: tuple[int, ...], rows: Sequence[tuple[int, int]]) -> None:
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
            self.blocks += _steps_through(int(self._indptr[first]), int(self._indptr[last]), step)

    def run(self) -> Iterator[list[tuple[int, NDArray[np.int64], NDArray[np.generic]]]]:
        """Yield for each block the columns that occur in it, with their rows and values."""
        if self.blocks and self._indices.side_by_side and self._data.side_by_side:
            largest = max(block.stop - block.start for block in self.blocks)
            return run_blocks(self._search, self.blocks, most=within(2 * largest * self._itemsize))
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


def open_matrix(handle: Handle, path: str) -> Matrix:
    """Return the matrix at an HDF5 path; reads its header only.

    Raises
    ------
    ElementError
        What stands there is no matrix that is known here.
    """
    node = handle.node(path)
    kind = elements.encoding(node)
    shape = elements.shape(node)
    if len(shape) == 1 and isinstance(node, h5py.Dataset):
        raise ElementError(f"{handle.place(path)} has shape {shape}; two dimensions were expected.")
    if kind in {"csr_matrix", "csc_matrix"} and isinstance(node, h5py.Group):
        if len(shape) != 2:
            raise ElementError(f"{handle.place(path)} does not say its shape.")
        return SparseMatrix(handle, path, (shape[0], shape[1]), storage="csr" if kind[2] == "r" else "csc")
    if isinstance(node, h5py.Dataset) and len(shape) == 2 and node.dtype.kind in "biuf":
        return DenseMatrix(handle, path, (shape[0], shape[1]))
    raise ElementError(f"{handle.place(path)} is no matrix (encoding {kind!r}); dense, CSR or CSC was expected.")


def _so_far(
    columns: list[NDArray[np.generic]], missing: list[tuple[int, int]], reached: int
) -> list[NDArray[np.float32]]:
    """Return columns with NaN in the rows that were missing and are not reached yet."""
    known = [column.astype(np.float32) for column in columns]
    for values in known:
        for start, stop in missing:
            values[max(start, reached) : max(stop, reached)] = np.nan
    return known


def _slots(columns: Sequence[int]) -> dict[int, list[int]]:
    """Return where each column is wanted; one that is asked for several times is read once."""
    slots: dict[int, list[int]] = {}
    for slot, column in enumerate(columns):
        slots.setdefault(column, []).append(slot)
    return slots


def _repeat(out: NDArray[np.generic], slots: dict[int, list[int]]) -> None:
    for first, *others in slots.values():
        for slot in others:
            out[:, slot] = out[:, first]


def _steps_through(start: int, stop: int, step: int) -> list[slice]:
    """Return slices from `start` to `stop` that end at multiples of `step`."""
    edges = [start, *range((start // step + 1) * step, stop, step), stop]
    return [slice(a, b) for a, b in pairwise(edges) if a < b]


def _add(out: NDArray[np.generic], rows: NDArray[np.integer], values: NDArray[np.generic]) -> None:
    if len(rows) == 0:
        return
    if np.all(rows[1:] > rows[:-1]) and not out[rows[0]]:
        out[rows] = values  # the common case: sorted and unique; assignment keeps -0.0 and NaN as stored
    else:
        np.add.at(out, rows, values)


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done / total if total else 1.0)
