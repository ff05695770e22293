"""The cells of a mask, streamed out of a CSR or CSC matrix into a new file, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso import elements
from cellasso.errors import ElementError
from cellasso.subset import (
    BLOCK_BYTES,
    create_group_like,
    create_like,
    is_ascending,
    ranges,
    runs,
    set_attribute,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py
    from numpy.typing import NDArray

    from cellasso.subset import Advance, Index


def subset_sparse(
    source: h5py.Group, parent: h5py.Group, name: str, rows: Index | None, columns: Index | None, *, advance: Advance
) -> None:
    """Write rows and columns (`None`: all) of a CSR or CSC matrix in its own format.

    Indices stay in their stored order, so a column's are unsorted where `rows` reorders a CSC matrix,
    as SciPy leaves them.
    """
    matrix = _Compressed(source)
    majors, minors = (rows, columns) if elements.encoding(source).startswith("csr") else (columns, rows)
    majors = np.arange(matrix.n_major) if majors is None else majors
    lengths = matrix.count(majors, minors)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    group = create_group_like(source, parent, name)
    shape = [len(taken) if taken is not None else n for taken, n in zip((rows, columns), matrix.shape, strict=True)]
    set_attribute(group, matrix.shape_name, shape)
    write(create_like(matrix.indptr_node, group, "indptr", indptr.shape), indptr)
    parts = [
        _Appender(create_like(node, group, part, (int(indptr[-1]),)))
        for part, node in (("indices", matrix.indices), ("data", matrix.data))
    ]
    done = 0
    for indices, data, reached in matrix.blocks(majors, minors, lengths):
        parts[0].append(indices)
        parts[1].append(data)
        advance(2 * (reached - done))
        done = reached
    for part in parts:
        part.close()
    advance(2 * (matrix.n_stored - done) + len(matrix.indptr))


class _Compressed:
    """A sparse matrix on disk, in terms of its major axis (contiguous) and its minor one."""

    def __init__(self, group: h5py.Group) -> None:
        self.place = group.name
        self.shape_name = "shape" if "shape" in group.attrs else "h5sparse_shape"
        if self.shape_name not in group.attrs or not {"indices", "data", "indptr"} <= set(group):
            raise ElementError(f"{self.place} is damaged: its shape, indices, data or indptr is missing.")
        self.shape = tuple(int(n) for n in group.attrs[self.shape_name])
        self.indices, self.data, self.indptr_node = (group[part] for part in ("indices", "data", "indptr"))
        self.indptr = self.indptr_node[...].astype(np.int64, copy=False)
        csr = elements.encoding(group).startswith("csr")
        self.n_major, self.n_minor = self.shape if csr else self.shape[::-1]
        self.n_stored = int(self.indices.shape[0])
        if len(self.indptr) != self.n_major + 1 or self.indptr[0] != 0 or np.any(np.diff(self.indptr) < 0):
            raise ElementError(f"{self.place}/indptr is damaged: it does not rise from 0 along {self.n_major:,} rows.")
        if not self.indptr[-1] == self.n_stored == self.data.shape[0]:
            raise ElementError(f"{self.place} is damaged: indptr, indices and data differ in length.")

    def count(self, majors: Index, minors: Index | None) -> Index:
        """Return how many values each of `majors` keeps, `(len(majors),)`; reads indices only where it must."""
        if minors is None:
            self._check(majors, self.n_major)
            lengths: Index = np.diff(self.indptr)[majors]
            return lengths
        counts = np.zeros(self.n_major, dtype=np.int64)
        among = self._among(minors)
        for start, stop, first, last in self._windows(self._chosen(majors)):
            kept = np.concatenate([[0], np.cumsum(among[self._indices(start, stop)] >= 0)])
            counts[first:last] += np.diff(kept[np.clip(self.indptr[first : last + 1], start, stop) - start])
        return counts[majors]

    def blocks(
        self, majors: Index, minors: Index | None, lengths: Index
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any], int]]:
        """Yield indices, values, and how far the source has been read, in the order of `majors`."""
        if is_ascending(majors):
            yield from self._scan(majors, minors)
            return
        # the modality stands in another order than the file's cells: gather a block's worth, then reorder
        limit = BLOCK_BYTES // self.data.dtype.itemsize
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

    def _scan(self, majors: Index, minors: Index | None) -> Iterator[tuple[NDArray[Any], NDArray[Any], int]]:
        chosen = self._chosen(majors)
        among = self._among(minors) if minors is not None else None
        for start, stop, first, last in self._windows(chosen):
            borders = np.clip(self.indptr[first : last + 1], start, stop)
            keep = np.repeat(chosen[first:last], np.diff(borders))
            # nothing is read before the first value wanted, nor after the last
            hits = np.flatnonzero(keep)
            low, high = start + int(hits[0]), start + int(hits[-1]) + 1
            keep = keep[low - start : high - start]
            indices, data = self._indices(low, high), self.data[low:high]
            if among is not None:
                keep &= among[indices] >= 0
                indices = among[indices[keep]].astype(indices.dtype)
            else:
                indices = indices[keep]
            yield indices, data[keep], stop

    def _windows(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
        """Yield each window of stored values that holds chosen ones, with the major rows that reach into it."""
        chunk = self.indices.chunks[0] if self.indices.chunks else 1
        # positions of 8 bytes are computed for each value
        itemsize = max(8, self.data.dtype.itemsize)
        step = max(1, BLOCK_BYTES // itemsize // chunk) * chunk
        for start in range(0, self.n_stored, step):
            stop = min(start + step, self.n_stored)
            first = int(np.searchsorted(self.indptr, start, side="right")) - 1
            last = int(np.searchsorted(self.indptr, stop, side="left"))
            filled = self.indptr[first + 1 : last + 1] > np.maximum(self.indptr[first:last], start)
            if np.any(chosen[first:last] & filled):
                yield start, stop, first, last

    def _indices(self, start: int, stop: int) -> NDArray[Any]:
        indices: NDArray[Any] = self.indices[start:stop]
        if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= self.n_minor):
            raise ElementError(f"{self.place}/indices is damaged: it points outside of 0 to {self.n_minor - 1:,}.")
        return indices

    def _chosen(self, majors: Index) -> NDArray[np.bool_]:
        self._check(majors, self.n_major)
        chosen = np.zeros(self.n_major, dtype=np.bool_)
        chosen[majors] = True
        return chosen

    def _among(self, minors: Index) -> Index:
        self._check(minors, self.n_minor)
        among = np.full(self.n_minor, -1, dtype=np.int64)
        among[minors] = np.arange(len(minors))
        return among

    def _check(self, positions: Index, n: int) -> None:
        if len(positions) and int(positions.max()) >= n:
            raise ElementError(f"{self.place} has shape {self.shape}, which does not fit its cells.")


class _Appender:
    """Writes a one-dimensional dataset from front to back in whole chunks, so that none is compressed twice."""

    def __init__(self, target: h5py.Dataset) -> None:
        self._target = target
        self._chunk = target.chunks[0] if target.chunks else 1
        self._at = 0
        self._rest: NDArray[Any] = np.empty(0, dtype=target.dtype)

    def append(self, values: NDArray[Any]) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // self._chunk * self._chunk
        self._write(values[:whole])
        self._rest = values[whole:].copy()

    def close(self) -> None:
        self._write(self._rest)

    def _write(self, values: NDArray[Any]) -> None:
        if len(values):
            self._target.write_direct(values, dest_sel=np.s_[self._at : self._at + len(values)])
            self._at += len(values)
