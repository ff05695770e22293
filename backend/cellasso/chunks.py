"""Reading a one-dimensional dataset past HDF5: chunks by `pread`, inflated outside of h5py's lock.

h5py holds one lock for all files of a process, also while it inflates. A scan through HDF5 therefore
runs on one core and keeps every other session's read waiting; chunks that are read and inflated here do
neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import deflate
import h5py
import numpy as np

from cellasso.errors import ElementError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.handle import Handle


@dataclass(frozen=True)
class Chunks:
    """Where the chunks of a one-dimensional dataset lie, and how they are packed.

    Attributes
    ----------
    size
        Values in a chunk (the last one is padded to it).
    offsets, lengths
        Byte position in the file and stored bytes of each chunk, `(n_chunks,)`.
    shuffled, deflated
        Which filters were applied, in this order.
    """

    handle: Handle
    place: str
    dtype: np.dtype[np.generic]
    n_values: int
    size: int
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    shuffled: bool
    deflated: bool

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, values: slice) -> NDArray[np.generic]:
        """Read consecutive values, inflating the chunks that hold them; any thread may.

        Raises
        ------
        ElementError
            Its bytes are damaged.
        FileChangedError
            The file is no longer the one that was opened.
        """
        first, last = values.start // self.size, -(-values.stop // self.size)
        read = [self._read_chunk(number) for number in range(first, last)]
        offset = first * self.size
        joined = read[0] if len(read) == 1 else np.concatenate(read, dtype=self.dtype)
        return joined[values.start - offset : values.stop - offset]

    def _read_chunk(self, number: int) -> NDArray[np.generic]:
        """Read one chunk, `(size,)`, or less at the end of the dataset."""
        stored: bytes | bytearray = self.handle.pread(int(self.offsets[number]), int(self.lengths[number]))
        n_bytes = self.size * self.dtype.itemsize
        if self.deflated:
            try:
                stored = deflate.zlib_decompress(stored, n_bytes)
            except deflate.DeflateError as error:
                raise ElementError(f"{self.place} cannot be read (chunk {number:,} does not inflate).") from error
        if len(stored) != n_bytes:
            found = f"{len(stored):,} of {n_bytes:,} bytes"
            raise ElementError(f"{self.place} cannot be read (chunk {number:,} has {found}).")
        start = number * self.size
        values = _unshuffled(stored, self.dtype) if self.shuffled else np.frombuffer(stored, dtype=self.dtype)
        return values[: min(self.size, self.n_values - start)]


def open_chunks(handle: Handle, dataset: h5py.Dataset, *, n_values: int | None = None) -> Chunks | None:
    """Return where the chunks of a dataset lie; `None` when HDF5 alone can read it (other filters, other layouts).

    With `n_values` only the chunks of that many first values are looked up: a large matrix has 20,000.
    """
    filters = _known_filters(dataset)
    if filters is None or dataset.ndim != 1 or not dataset.size or not dataset.chunks:
        return None
    size = dataset.chunks[0]
    end = dataset.shape[0] if n_values is None else min(n_values, dataset.shape[0])
    found: list[h5py.h5d.StoreInfo] = []

    def take(chunk: h5py.h5d.StoreInfo) -> bool | None:
        found.append(chunk)
        return True if len(found) * size >= end else None  # anything but None ends the iteration

    dataset.id.chunk_iter(take)
    order = sorted(found, key=lambda chunk: chunk.chunk_offset[0])
    starts = [chunk.chunk_offset[0] for chunk in order]
    # every chunk is there and went through all filters
    if starts != list(range(0, end, size)) or any(chunk.filter_mask for chunk in order):
        return None
    chunks = Chunks(
        handle,
        handle.place(dataset.name),
        dataset.dtype,
        min(len(order) * size, dataset.shape[0]),
        size,
        np.array([chunk.byte_offset for chunk in order], dtype=np.int64),
        np.array([chunk.size for chunk in order], dtype=np.int64),
        *filters,
    )
    return chunks if _is_there(chunks, dataset) else None


def _known_filters(dataset: h5py.Dataset) -> tuple[bool, bool] | None:
    """Return whether it is shuffled and deflated; `None` for any other filters."""
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    shuffle, gzip = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE
    return {(): (False, False), (gzip,): (False, True), (shuffle,): (True, False), (shuffle, gzip): (True, True)}.get(
        tuple(codes)
    )


def _is_there(chunks: Chunks, dataset: h5py.Dataset) -> bool:
    """Whether HDF5 means the same bytes: versions differ in where they count from in a file with a user block."""
    _, first = dataset.id.read_direct_chunk((0,))
    return bool(chunks.handle.pread(int(chunks.offsets[0]), int(chunks.lengths[0])) == first)


def _unshuffled(stored: bytes | bytearray, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Undo HDF5's shuffle, which puts the first bytes of all values first, then the second ones, and so on."""
    planes = np.frombuffer(stored, dtype=np.uint8).reshape(dtype.itemsize, -1)
    values = np.empty((planes.shape[1], dtype.itemsize), dtype=np.uint8)
    for i, plane in enumerate(planes):
        values[:, i] = plane
    return values.reshape(-1).view(dtype)
