"""The cells of a mask, streamed out of a CSR or CSC matrix into a new file, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.executors import Ahead, max_in_flight, run_blocks
from cellasso.encodings.sparse import PARTS, SHAPES, is_csr, known_to_scipy
from cellasso.write.arrays import BLOCK_BYTES, GATHERED_BYTES, is_ascending, ranges, reader, runs
from cellasso.write.transfer import Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.store.base import Array, Group, Store
    from cellasso.store.new_file import NewFile
    from cellasso.write.arrays import IntArray, Read
    from cellasso.write.transfer import Transfer

    Triplet: TypeAlias = "tuple[NDArray[Any], NDArray[Any], int]"

Result = TypeVar("Result")

PACK_VALUES = 1 << 16
"""Values that a thread deflates at a time, or a chunk if that is larger: below, handing over is what costs."""


def subset_sparse(
    transfer: Transfer,
    source: Group,
    parent: Group,
    name: str,
    *,
    rows: IntArray | None,
    columns: IntArray | None,
) -> None:
    """Write rows and columns of a CSR or CSC matrix in its own format.

    Indices stay in their stored order, so a column's are unsorted where `rows` reorders a CSC matrix,
    as SciPy leaves them.

    Parameters
    ----------
    transfer
        From which file to which.
    source
        Group of the matrix.
    parent, name
        Group of the export, and the name of the copy in it.
    rows, columns
        Positions, in the order of the export, each once; `None`: all.

    Raises
    ------
    ElementError
        The matrix is damaged, or does not have these rows or columns.
    FileChangedError
        The source changed before or while it was read.
    """
    matrix, new = _Compressed(transfer.source, source), transfer.target
    majors, minors = (rows, columns) if is_csr(source) else (columns, rows)
    majors = np.arange(matrix.n_major) if majors is None else majors
    lengths = matrix.count(majors, minors)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    group = new.group_like(source, parent, name)
    shape = [len(taken) if taken is not None else n for taken, n in zip((rows, columns), matrix.shape, strict=True)]
    new.set_attribute(group, matrix.shape_name, shape)
    new.write(new.array_like(matrix.indptr_node, group, "indptr", indptr.shape), indptr)
    stored = ("indices", matrix.indices, None), ("data", matrix.data, known_to_scipy(matrix.data.dtype))
    n_kept = (int(indptr[-1]),)
    parts = [_Appender(new, new.array_like(node, group, part, n_kept, dtype=dtype)) for part, node, dtype in stored]
    share = Share(transfer, matrix.indices, matrix.data, matrix.indptr_node)
    for indices, data, reached in matrix.blocks(majors, minors, lengths):
        parts[0].append(indices)
        parts[1].append(data)
        share.reach(reached / matrix.n_stored)
    for part in parts:
        part.close()
    share.reach(1.0)


class _Compressed:
    """A sparse matrix on disk, in terms of its major axis (contiguous) and its minor one."""

    def __init__(self, handle: Store, group: Group) -> None:
        self.place = group.name
        self.shape_name = next((name for name in SHAPES if name in group.attrs), "")
        if not self.shape_name or not set(PARTS) <= set(group):
            raise ElementError(f"{self.place} is damaged: its shape, indices, data or indptr is missing.")
        self.shape = tuple(int(n) for n in group.attrs[self.shape_name])
        self.data, self.indices, self.indptr_node = (handle.child_array(group, part) for part in PARTS)
        self.indptr: IntArray = handle.read(self.indptr_node).astype(np.int64, copy=False)
        self.n_major, self.n_minor = self.shape if is_csr(group) else self.shape[::-1]
        self.n_stored = self.indices.size
        if len(self.indptr) != self.n_major + 1 or self.indptr[0] != 0 or np.any(np.diff(self.indptr) < 0):
            raise ElementError(f"{self.place}/indptr is damaged: it does not rise from 0 along {self.n_major:,} rows.")
        if not self.indptr[-1] == self.n_stored == self.data.size:
            raise ElementError(f"{self.place} is damaged: indptr, indices and data differ in length.")
        self._read_indices, self._read_data = reader(handle, self.indices), reader(handle, self.data)
        self._chunk = max(part.chunks[0] if part.chunks else 1 for part in (self.indices, self.data))

    def count(self, majors: IntArray, minors: IntArray | None) -> IntArray:
        """Return how many values each of `majors` keeps, `(len(majors),)`; reads indices only where it must."""
        if minors is None:
            self._check(majors, self.n_major)
            lengths: IntArray = np.diff(self.indptr)[majors]
            return lengths
        counts = np.zeros(self.n_major, dtype=np.int64)
        among = self._among(minors)

        def count(window: _Window) -> tuple[int, NDArray[np.int64]]:
            kept = np.concatenate([[0], np.cumsum(among[self._indices(window.start, window.stop)] >= 0)])
            return window.first, np.diff(kept[window.borders - window.start])

        for first, counted in self._run(count, self._windows(self._chosen(majors))):
            counts[first : first + len(counted)] += counted
        return counts[majors]

    def blocks(self, majors: IntArray, minors: IntArray | None, lengths: IntArray) -> Iterator[Triplet]:
        """Yield indices, values, and how far the source has been read, in the order of `majors`."""
        if is_ascending(majors):
            yield from self._scan(majors, minors)
            return
        # the modality stands in another order than the file's cells: gather a block's worth, then reorder
        limit = GATHERED_BYTES // self._itemsize
        for first, last in runs((np.cumsum(lengths) - 1) // limit):
            order = np.argsort(majors[first:last], kind="stable")
            found = list(self._scan(majors[first:last][order], minors))
            if not found:
                continue
            kept = lengths[first:last][order]
            starts = np.empty_like(kept)
            starts[order] = np.cumsum(kept) - kept
            pick = ranges(starts, lengths[first:last])
            indices, data = (np.concatenate([block[part] for block in found])[pick] for part in (0, 1))
            yield indices, data, int(self.n_stored * (last / len(majors)))

    def _scan(self, majors: IntArray, minors: IntArray | None) -> Iterator[Triplet]:
        """Yield what the major rows hold, in the order of the file."""
        chosen = self._chosen(majors)
        among = self._among(minors) if minors is not None else None

        def select(window: _Window) -> Triplet:
            starts, stops = window.runs(chosen)
            indices, data = (self._gather(read, starts, stops) for read in (self._read_indices, self._read_data))
            self._check_indices(indices)
            if among is not None:
                positions = among[indices]
                kept = positions >= 0
                indices, data = positions[kept].astype(indices.dtype), data[kept]
            return indices, data, window.stop

        return self._run(select, self._windows(chosen))

    def _gather(self, read: Read, starts: IntArray, stops: IntArray) -> NDArray[Any]:
        """Return stretches of stored values, one after the other; of chunks between them none is read."""
        apart = starts[1:] // self._chunk > (stops[:-1] - 1) // self._chunk + 1
        found: list[NDArray[Any]] = []
        for first, last in runs(np.concatenate([[0], np.cumsum(apart)])):
            low = int(starts[first])
            values = read(slice(low, int(stops[last - 1])))
            ends = zip((starts[first:last] - low).tolist(), (stops[first:last] - low).tolist(), strict=True)
            found += [values[start:stop] for start, stop in ends]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _run(self, job: Callable[[_Window], Result], windows: Iterator[_Window]) -> Iterator[Result]:
        return run_blocks(job, windows, most=max_in_flight(self._step() * self._itemsize))

    def _windows(self, chosen: NDArray[np.bool_]) -> Iterator[_Window]:
        """Yield each window of whole chunks of stored values that holds chosen ones."""
        step = self._step()
        for start in range(0, self.n_stored, step):
            stop = min(start + step, self.n_stored)
            first = int(np.searchsorted(self.indptr, start, side="right")) - 1
            last = int(np.searchsorted(self.indptr, stop, side="left"))
            window = _Window(start, stop, first, np.clip(self.indptr[first : last + 1], start, stop))
            if len(window.runs(chosen)[0]):
                yield window

    def _step(self) -> int:
        """How many stored values are read at a time."""
        return max(1, BLOCK_BYTES // self._itemsize // self._chunk) * self._chunk

    @property
    def _itemsize(self) -> int:
        return int(self.indices.dtype.itemsize + self.data.dtype.itemsize)

    def _indices(self, start: int, stop: int) -> NDArray[Any]:
        return self._check_indices(self._read_indices(slice(start, stop)))

    def _check_indices(self, indices: NDArray[Any]) -> NDArray[Any]:
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= self.n_minor):
            raise ElementError(f"{self.place}/indices is damaged: it points outside of 0 to {self.n_minor - 1:,}.")
        return indices

    def _chosen(self, majors: IntArray) -> NDArray[np.bool_]:
        self._check(majors, self.n_major)
        chosen = np.zeros(self.n_major, dtype=np.bool_)
        chosen[majors] = True
        return chosen

    def _among(self, minors: IntArray) -> IntArray:
        self._check(minors, self.n_minor)
        among = np.full(self.n_minor, -1, dtype=np.int64)
        among[minors] = np.arange(len(minors))
        return among

    def _check(self, positions: IntArray, n: int) -> None:
        if len(positions) and int(positions.max()) >= n:
            raise ElementError(f"{self.place} has shape {self.shape}, which does not fit its cells.")


@dataclass(frozen=True)
class _Window:
    """A stretch of stored values, and the major rows that reach into it.

    Attributes
    ----------
    first, borders
        The first such row, and where it and each further one begin and the last one ends, within the window.
    """

    start: int
    stop: int
    first: int
    borders: IntArray

    def runs(self, chosen: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
        """Return where runs of chosen rows begin and end, those that hold a value."""
        here = chosen[self.first : self.first + len(self.borders) - 1]
        edges = np.flatnonzero(np.diff(here, prepend=False, append=False))
        starts, stops = self.borders[edges[::2]], self.borders[edges[1::2]]
        filled = stops > starts
        return starts[filled], stops[filled]


class _Appender:
    """Writes a one-dimensional dataset from front to back in whole chunks, which threads deflate meanwhile."""

    def __init__(self, new: NewFile, target: Array) -> None:
        self._new = new
        self._target = target
        self._packing = new.packing(target)
        self._chunk = target.chunks[0] if target.chunks else 1
        self._at = 0
        self._rest: NDArray[Any] = np.empty(0, dtype=target.dtype)
        self._packed = Ahead(
            partial(new.write_packed, target), most=max_in_flight(2 * self._chunk * target.dtype.itemsize)
        )

    def append(self, values: NDArray[Any]) -> None:
        """Write values after those before, but for the last that do not fill a chunk yet."""
        values = np.concatenate([self._rest, values])
        whole = len(values) // self._chunk * self._chunk
        self._write(values[:whole])
        self._rest = values[whole:].copy()

    def close(self) -> None:
        """Write what is left, and wait for it."""
        self._write(self._rest)
        self._packed.finish()

    def _write(self, values: NDArray[Any]) -> None:
        if self._packing is None:
            if len(values):
                self._new.write(self._target, values, (self._at,))
        else:
            step = max(1, PACK_VALUES // self._chunk) * self._chunk
            for start in range(0, len(values), step):
                self._packed.submit(self._packing.pack, values[start : start + step], (self._at + start,))
        self._at += len(values)
