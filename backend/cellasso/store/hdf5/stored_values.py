"""What an HDF5 file holds, read as it lies there: for comparing a copy with its source byte by byte."""

from __future__ import annotations

import os
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5s, h5t

from cellasso.store.comparable import TEXT_BYTES, Attribute, Stored, plain

if TYPE_CHECKING:
    from h5py import h5g
    from numpy.typing import NDArray

    Attributes: TypeAlias = dict[bytes, Attribute]
    IntArray: TypeAlias = NDArray[np.int64]

TEXT = h5t.py_create(h5py.string_dtype())
"""How text of variable length is read."""


# -- datasets -----------------------------------------------------------------------------------------


class Known(NamedTuple):
    """What has been read of an object already: of a frame of thousands of columns that is a tenth of the work.

    Attributes
    ----------
    kind
        Type of a dataset, h5py's `TypeID`.
    offset
        Where the values of a dataset lie in the file; `None` where they are not in one piece.
    """

    attributes: Attributes
    kind: Any = None
    shape: tuple[int, ...] | None = None
    offset: int | None = None


class Hdf5Stored(Stored):
    """A dataset of one of the two files.

    Parameters
    ----------
    descriptor
        Of the file, by which numbers that lie in one piece are read past HDF5: it takes a tenth of the time, and of
        small columns there may be thousands. `None`: HDF5 reads all.
    stored
        The dataset, or what is known of one whose values lie in one piece.
    known
        Its attributes, where they were read already.
    """

    def __init__(self, descriptor: int | None, stored: h5d.DatasetID | Known, known: Attributes | None = None) -> None:
        self._descriptor = descriptor
        self._known = stored.attributes if isinstance(stored, Known) else known
        self._id: Any = stored
        self.kind: Any = stored.kind if isinstance(stored, Known) else stored.get_type()
        self.shape: tuple[int, ...] | None = stored.shape
        self._bytes = _of_bytes(self.kind.encode())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values as h5py has them."""
        found: np.dtype[Any] = self.kind.dtype
        return found

    @property
    def attributes(self) -> Attributes:
        """Its attributes by name."""
        return self._known if self._known is not None else attributes(self._id)

    def has_type_of(self, other: Stored) -> bool:
        """Whether values of both are stored in the same HDF5 type."""
        return isinstance(other, Hdf5Stored) and bool(self.kind.equal(other.kind))

    @property
    def n_bytes(self) -> int:
        """What its values take in memory, about."""
        return prod(self.shape or ()) * self._value_bytes

    @property
    def band_bytes(self) -> int:
        """What HDF5 handles to read one row: all chunks that hold a part of it, or the row."""
        chunk: tuple[int, ...] = (1,)
        if not isinstance(self._id, Known):  # of which the values lie in one piece
            plist = self._id.get_create_plist()
            chunk = plist.get_chunk() if plist.get_layout() == h5d.CHUNKED else chunk
        return int(chunk[0]) * prod((self.shape or ())[1:]) * self._value_bytes

    def read(self) -> NDArray[Any]:
        """Read all values; a single one, without rows, as `(1,)`."""
        shape = self.shape or ()
        if 0 not in shape:
            offset = self._offset()
            if offset is not None:
                return self._in_one_piece(offset, 0, shape)
        values = self._read(h5s.ALL, shape)
        return values if shape else values[np.newaxis]

    def read_ascending(self, starts: IntArray, lengths: IntArray) -> NDArray[Any]:
        """Read stretches of rows, one after the other.

        Parameters
        ----------
        starts, lengths
            As of `Stored.read_ascending`.
        """
        row = (self.shape or ())[1:]
        spans = list(zip(starts.tolist(), lengths.tolist(), strict=True))
        offset = self._offset()
        if offset is not None and spans and 0 not in row:
            return np.concatenate([self._in_one_piece(offset, start, (n, *row)) for start, n in spans])
        space = self._id.get_space()
        space.select_none()
        for start, n in spans if 0 not in row else ():  # one read of all, or HDF5 inflates a chunk for each
            space.select_hyperslab((start, *(0 for _ in row)), (n, *row), op=h5s.SELECT_OR)
        return self._read(space, (int(lengths.sum()), *row))

    def _read(self, space: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        out, in_memory = _room(self.kind, shape)
        if out.size:
            self._id.read(h5s.ALL if space is h5s.ALL else h5s.create_simple(shape), space, out, in_memory)
        return out

    def _in_one_piece(self, offset: int, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        row = prod(shape[1:]) * self.kind.get_size()
        found = os.pread(self._descriptor or 0, prod(shape) * self.kind.get_size(), offset + start * row)
        return np.frombuffer(found, dtype=self._bytes).reshape(shape or 1)

    def _offset(self) -> int | None:
        """Return where the values lie in the file; `None` if they are in chunks, elsewhere, or not at all."""
        if self._descriptor is None or self._bytes is None:
            return None
        offset = self._id.offset if isinstance(self._id, Known) else self._id.get_offset()
        return None if offset is None else int(offset)

    @property
    def is_in_one_piece(self) -> bool:
        """Whether it is read without HDF5."""
        return self._offset() is not None

    @property
    def _value_bytes(self) -> int:
        size = int(self.kind.get_size())
        return size if self._bytes is not None else max(TEXT_BYTES, size)


# -- attributes ---------------------------------------------------------------------------------------


def attributes(node: h5d.DatasetID | h5g.GroupID) -> Attributes:
    """Return the attributes of an object by name."""
    opened = [h5a.open(node, index=at) for at in range(h5a.get_num_attrs(node))]
    return {each.name: _attribute(each) for each in opened}


def _attribute(stored: h5a.AttrID) -> Attribute:
    kind, space = stored.get_type(), stored.get_space()
    extent = space.get_simple_extent_type()
    # most are scalars, and looking up the shape of one takes as long as opening it
    shape = None if extent == h5s.NULL else () if extent == h5s.SCALAR else space.get_simple_extent_dims()
    if shape is None or refers(kind):
        return Attribute(kind, shape, None)
    values, in_memory = _room(kind, shape)
    if values.size:
        stored.read(values, in_memory)
    return Attribute(kind, shape, plain(values))


# -- types and values ---------------------------------------------------------------------------------


def refers(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type refer to other objects of the file."""
    return bool(kind.detect_class(h5t.REFERENCE))


def is_flat(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type are their bytes: no part lies elsewhere in the file, and none means nothing."""
    if isinstance(kind, h5t.TypeStringID):
        return not kind.is_variable_str()
    return not any(kind.detect_class(other) for other in (h5t.VLEN, h5t.STRING, h5t.REFERENCE, h5t.COMPOUND))


def _room(kind: h5t.TypeID, shape: tuple[int, ...]) -> tuple[NDArray[Any], h5t.TypeID | None]:
    """Return an array for values of a type, and how they are to be put into it (`None`: as h5py does)."""
    if isinstance(kind, h5t.TypeStringID) and kind.is_variable_str():
        return np.empty(shape, dtype=object), TEXT
    dtype = _of_bytes(kind.encode())
    return (np.empty(shape, dtype=kind.dtype), None) if dtype is None else (np.empty(shape, dtype=dtype), kind)


@lru_cache(maxsize=256)
def _of_bytes(encoded: bytes) -> np.dtype[Any] | None:
    """Return NumPy's type for values that stay as they are stored, or that of their bytes where NumPy has none.

    `None` when a part of a value lies elsewhere in the file. Kept, because of thousands of columns few are of different
    types, and h5py takes longer to find one than to read a small column.
    """
    kind = h5t.decode(encoded)
    if not is_flat(kind):
        return None
    try:
        dtype = np.dtype(kind.dtype)
    except (TypeError, ValueError):
        dtype = np.dtype(np.void)
    return dtype if dtype.itemsize == kind.get_size() else np.dtype(f"V{kind.get_size()}")
