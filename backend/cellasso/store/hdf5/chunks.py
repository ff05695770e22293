"""Chunks read and written past HDF5: `pread` and inflate, deflate and hand over, outside of h5py's lock.

h5py holds one lock for all files of a process, also while it inflates or deflates. Work through HDF5 therefore
runs on one core and keeps every other session's read waiting; chunks that are packed and unpacked here do
neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import deflate
import h5py
import numpy as np

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from cellasso.store.base import Store

    Shape: TypeAlias = tuple[int, ...]

MAX_CHUNKS = 1 << 19
"""Chunks of one dataset whose places are kept; a dataset of more is left to HDF5. Listing them takes 5 microseconds,
and for the moment 250 bytes, each."""


@dataclass(frozen=True)
class Chunks:
    """Where the chunks of a dataset lie, and how they are packed.

    Attributes
    ----------
    shape, size
        Of the dataset, and of one chunk; as many dimensions each.
    offsets, lengths
        Byte position in the file and stored bytes of each chunk, in the shape of the grid of chunks.
    shuffled, deflated
        Which filters were applied, in this order.
    """

    handle: Store
    place: str
    dtype: np.dtype[np.generic]
    shape: Shape
    size: Shape
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    shuffled: bool
    deflated: bool

    def __len__(self) -> int:
        return int(self.offsets.size)

    def read(self, *values: slice) -> NDArray[np.generic]:
        """Read a stretch along each axis (all of those not named), inflating the chunks that hold it.

        Any thread may.

        Raises
        ------
        ElementError
            Its bytes are damaged.
        FileChangedError
            The file is no longer the one that was opened.
        """
        spans = [each.indices(n)[:2] for each, n in zip(values, self.shape, strict=False)]
        spans += [(0, n) for n in self.shape[len(values) :]]
        grid = [range(start // size, -(-stop // size)) for (start, stop), size in zip(spans, self.size, strict=True)]
        if all(len(numbers) == 1 for numbers in grid):
            at = tuple(numbers[0] for numbers in grid)
            return self._read_chunk(at)[_inside(at, self.size, spans)]
        out = np.empty([max(0, stop - start) for start, stop in spans], dtype=self.dtype)
        for at in product(*grid):
            found = self._read_chunk(at)[_inside(at, self.size, spans)]
            first = [max(0, n * size - start) for n, size, (start, _) in zip(at, self.size, spans, strict=True)]
            out[tuple(slice(a, a + n) for a, n in zip(first, found.shape, strict=True))] = found
        return out

    def shifted(self, n_bytes: int) -> Chunks:
        """Return the same chunks farther into the file."""
        return replace(self, offsets=self.offsets + n_bytes)

    def _read_chunk(self, at: Shape) -> NDArray[np.generic]:
        """Read one chunk, of the shape `size`, or less at an edge of the dataset."""
        stored: bytes | bytearray = self.handle.pread(int(self.offsets[at]), int(self.lengths[at]))
        n_bytes = prod(self.size) * self.dtype.itemsize
        if self.deflated:
            try:
                stored = deflate.zlib_decompress(stored, n_bytes)
            except deflate.DeflateError as error:
                raise ElementError(f"{self.place} cannot be read (chunk {_name(at)} does not inflate).") from error
        if len(stored) != n_bytes:
            found = f"{len(stored):,} of {n_bytes:,} bytes"
            raise ElementError(f"{self.place} cannot be read (chunk {_name(at)} has {found}).")
        values = _unshuffled(stored, self.dtype) if self.shuffled else np.frombuffer(stored, dtype=self.dtype)
        inside = tuple(slice(of - i * n) for i, n, of in zip(at, self.size, self.shape, strict=True))
        return values.reshape(self.size)[inside]


@dataclass(frozen=True)
class Contiguous:
    """Where the values of a dataset without chunks lie: row after row from `offset`."""

    handle: Store
    dtype: np.dtype[np.generic]
    shape: Shape
    offset: int

    def read(self, *values: slice) -> NDArray[np.generic]:
        """Read a stretch along each axis, as `Chunks.read`; reads whole rows."""
        start, stop, _ = (values[0] if values else slice(None)).indices(self.shape[0])
        row = prod(self.shape[1:]) * self.dtype.itemsize
        stored = self.handle.pread(self.offset + start * row, max(0, stop - start) * row)
        rows = np.frombuffer(stored, dtype=self.dtype).reshape(-1, *self.shape[1:])
        return rows[(slice(None), *values[1:])]

    def shifted(self, n_bytes: int) -> Contiguous:
        """Return the same values farther into the file."""
        return replace(self, offset=self.offset + n_bytes)


def open_chunks(handle: Store, dataset: h5py.Dataset, *, n_rows: int | None = None) -> Chunks | Contiguous | None:
    """Return where the values of a dataset lie; `None` when HDF5 alone can read them.

    Left to HDF5 are texts of variable length, other filters than shuffle and gzip, chunks that skipped a filter
    or were never written, and datasets of more than `MAX_CHUNKS` chunks.

    Parameters
    ----------
    handle
        The file, by whose `pread` the values are read.
    dataset
        A dataset of it.
    n_rows
        Look up the chunks of that many first rows only, as if there were no others: a large matrix has 20,000.
    """
    filters = _known_filters(dataset)
    if filters is None or not dataset.size or not dataset.shape or not _is_plain(dataset):
        return None
    if dataset.chunks is None:
        found: Chunks | Contiguous | None = _contiguous(handle, dataset)
    else:
        found = _chunked(handle, dataset, n_rows, shuffled=filters[0], deflated=filters[1] is not None)
    user_block = dataset.file.userblock_size
    if found is None or not user_block:
        return found
    # mudata's files have one; whether HDF5 counts from its end or from the file's beginning depends on its version
    ways = (found, found.shifted(user_block))
    return next((way for way in ways if _is_there(way, dataset)), None)


@dataclass(frozen=True)
class Packing:
    """How the chunks of a dataset that is being written are packed.

    Attributes
    ----------
    size
        Shape of a chunk.
    level
        Of gzip, 0 to 9; `None` without it. libdeflate deflates at the same level as well as zlib, in a
        half to a third of the time.
    """

    dtype: np.dtype[np.generic]
    size: Shape
    shuffled: bool
    level: int | None

    def pack(self, values: NDArray[np.generic], at: Shape) -> list[tuple[Shape, bytes | bytearray]]:
        """Return position and stored bytes of each chunk of `values`, which begin at `at`; any thread may.

        Parameters
        ----------
        values
            A block of the dataset, converted to its dtype.
        at
            Where in the dataset the values go: a corner of a chunk. Chunks that they do not fill are padded
            with zeros, so they must end with chunks or with the dataset.
        """
        packed = []
        corners = product(*(range(0, n, size) for n, size in zip(values.shape, self.size, strict=True)))
        for corner in corners:
            part = values[tuple(slice(a, a + size) for a, size in zip(corner, self.size, strict=True))]
            whole = part
            if part.shape != self.size:
                whole = np.zeros(self.size, dtype=self.dtype)
                whole[tuple(map(slice, part.shape))] = part
            position = tuple(a + first for a, first in zip(corner, at, strict=True))
            packed.append((position, self._packed(np.ascontiguousarray(whole, dtype=self.dtype))))
        return packed

    def _packed(self, chunk: NDArray[np.generic]) -> bytes | bytearray:
        stored = _shuffled(chunk) if self.shuffled else chunk.tobytes()
        return stored if self.level is None else deflate.zlib_compress(stored, self.level)


def open_packing(dataset: h5py.Dataset) -> Packing | None:
    """Return how to pack the chunks of a new dataset; `None` when HDF5 has to do it."""
    filters = _known_filters(dataset)
    if filters is None or dataset.chunks is None or not _is_plain(dataset):
        return None
    return Packing(dataset.dtype, dataset.chunks, *filters)


def write_packed(dataset: h5py.Dataset, packed: list[tuple[Shape, bytes | bytearray]]) -> None:
    """Hand packed chunks to HDF5, which only notes where it puts them; they go through no filter again.

    Parameters
    ----------
    dataset
        The new dataset, made with the filters of the `Packing`.
    packed
        Position of the first value, and stored bytes, of each chunk; as `Packing.pack` returns them.
    """
    for at, stored in packed:
        dataset.id.write_direct_chunk(at, stored)


# ------------------------------------------------------------------------------------------------------


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether NumPy's values are HDF5's byte for byte: no texts of variable length, no references, no odd bits."""
    return not dataset.dtype.hasobject and _has_all_bits(dataset.id.get_type())


def _has_all_bits(stored: h5py.h5t.TypeID) -> bool:
    """Whether values of an HDF5 type stand in their bytes as NumPy has them, and HDF5 would convert nothing."""
    if isinstance(stored, h5py.h5t.TypeCompoundID):
        return all(_has_all_bits(stored.get_member_type(i)) for i in range(stored.get_nmembers()))
    if isinstance(stored, h5py.h5t.TypeArrayID | h5py.h5t.TypeEnumID):
        return _has_all_bits(stored.get_super())
    if isinstance(stored, h5py.h5t.TypeStringID):
        return not stored.is_variable_str() and stored.get_strpad() == h5py.h5t.STR_NULLPAD
    if isinstance(stored, h5py.h5t.TypeIntegerID):
        return bool(stored.get_precision() == 8 * stored.get_size() and stored.get_offset() == 0)
    if isinstance(stored, h5py.h5t.TypeFloatID):
        return bool(stored.equal(h5py.h5t.py_create(stored.dtype)))
    return isinstance(stored, h5py.h5t.TypeOpaqueID)


def _known_filters(dataset: h5py.Dataset) -> tuple[bool, int | None] | None:
    """Return whether it is shuffled, and gzip's level if deflated; `None` for any other filters."""
    plist = dataset.id.get_create_plist()
    found = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    codes = [code for code, *_ in found]
    shuffle, gzip = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE
    if codes not in ([], [gzip], [shuffle], [shuffle, gzip]):
        return None
    levels = found[-1][2] if gzip in codes else (None,)
    return (shuffle in codes, levels[0]) if len(levels) == 1 else None


def _chunked(
    handle: Store, dataset: h5py.Dataset, n_rows: int | None, *, shuffled: bool, deflated: bool
) -> Chunks | None:
    """Return where all chunks are, if every one is there and went through all filters."""
    size = dataset.chunks
    n_bands = -(-(dataset.shape[0] if n_rows is None else min(n_rows, dataset.shape[0])) // size[0])
    shape = (min(n_bands * size[0], dataset.shape[0]), *dataset.shape[1:])
    grid = tuple(-(-n // each) for n, each in zip(shape, size, strict=True))
    if prod(grid) > MAX_CHUNKS:
        return None
    found: list[h5py.h5d.StoreInfo] = []

    def note(chunk: h5py.h5d.StoreInfo) -> bool | None:
        found.append(chunk)
        return True if chunk.chunk_offset[0] >= shape[0] else None  # anything but None ends the list

    # h5py calls a built-in, for all chunks, in a third of the time
    dataset.id.chunk_iter(found.append if n_rows is None else note)
    corners = np.array([chunk.chunk_offset for chunk in found], dtype=np.int64).reshape(-1, dataset.ndim)
    inside = corners[:, 0] < shape[0]
    at = tuple((corners[inside] // size).T)
    offsets, lengths = (np.full(grid, -1, dtype=np.int64) for _ in range(2))
    offsets[at] = np.array([chunk.byte_offset for chunk in found], dtype=np.int64)[inside]
    lengths[at] = np.array([chunk.size for chunk in found], dtype=np.int64)[inside]
    if any(chunk.filter_mask for chunk in found) or (lengths < 0).any():
        return None
    return Chunks(handle, handle.place(dataset.name), dataset.dtype, shape, size, offsets, lengths, shuffled, deflated)


def _contiguous(handle: Store, dataset: h5py.Dataset) -> Contiguous | None:
    """Return where the values begin; `None` for those kept in the header or never written."""
    offset = dataset.id.get_offset()
    return Contiguous(handle, dataset.dtype, dataset.shape, int(offset)) if offset is not None else None


def _is_there(found: Chunks | Contiguous, dataset: h5py.Dataset) -> bool:
    """Whether HDF5 means the same bytes, by a row or the smallest chunk."""
    try:
        if isinstance(found, Contiguous):
            first = np.ascontiguousarray(dataset[:1])
            return found.read(slice(1)).tobytes() == first.tobytes()
        at = np.unravel_index(int(found.lengths.argmin()), found.lengths.shape)
        _, stored = dataset.id.read_direct_chunk(tuple(int(n) * size for n, size in zip(at, found.size, strict=True)))
        return bool(found.handle.pread(int(found.offsets[at]), int(found.lengths[at])) == stored)
    except ElementError:  # beyond the end of the file
        return False


def _inside(at: Shape, size: Shape, spans: list[tuple[int, int]]) -> tuple[slice, ...]:
    """Return which part of chunk `at` lies within the spans asked for."""
    return tuple(
        slice(max(0, start - i * n), max(0, stop - i * n)) for i, n, (start, stop) in zip(at, size, spans, strict=True)
    )


def _name(at: Shape) -> str:
    return " x ".join(f"{number:,}" for number in at)


def _shuffled(chunk: NDArray[np.generic]) -> bytes:
    """Apply HDF5's shuffle, which puts the first bytes of all values first, then the second ones, and so on."""
    return chunk.reshape(-1).view(np.uint8).reshape(-1, chunk.dtype.itemsize).T.tobytes()


def _unshuffled(stored: bytes | bytearray, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Undo HDF5's shuffle."""
    planes = np.frombuffer(stored, dtype=np.uint8).reshape(dtype.itemsize, -1)
    values = np.empty((planes.shape[1], dtype.itemsize), dtype=np.uint8)
    for i, plane in enumerate(planes):
        values[:, i] = plane
    return values.reshape(-1).view(dtype)
