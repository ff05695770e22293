"""What a file holds, read as it lies there: for comparing an export with its source, apart from the code that wrote it.

Values are compared by their bytes, so that neither a NaN nor a last letter nor the sign of a zero slips through;
texts of variable length, which lie elsewhere in the file, by the texts.
"""

from __future__ import annotations

import os
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5s, h5t

if TYPE_CHECKING:
    from collections.abc import Hashable

    from h5py import h5g
    from numpy.typing import NDArray

    Attributes: TypeAlias = dict[bytes, "Attribute"]
    IntArray: TypeAlias = NDArray[np.int64]

SMALL_BYTES = 1 << 23
"""What a dataset takes in memory up to which it is read whole: reading that takes 10 ms, inflating it 30."""

TEXT_BYTES = 100
"""What a text of variable length takes in memory, about."""

TEXT = h5t.py_create(h5py.string_dtype())
"""How text of variable length is read."""


# -- datasets -----------------------------------------------------------------------------------------


class Side:
    """One of the two files that are compared.

    Parameters
    ----------
    root
        Of the file, open for reading.
    descriptor
        Of the same file, by which numbers that lie in one piece are read past HDF5: it takes a tenth of the time,
        and of small columns there may be thousands.
    """

    def __init__(self, root: h5py.Group, descriptor: int) -> None:
        self.root = root
        # versions of HDF5 differ in where they count from in a file with a user block
        self.descriptor = descriptor if not root.file.userblock_size else None


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

    @property
    def is_categorical(self) -> bool:
        """Whether it says that it is a categorical column."""
        stated = self.attributes.get(b"encoding-type")
        return stated is not None and stated.values in {("categorical",), (b"categorical",)}


class Stored:
    """A dataset of one of the two files; what is asked for many times is looked up once.

    Parameters
    ----------
    stored
        The dataset, or what is known of one whose values lie in one piece.

    Attributes
    ----------
    shape
        `None` when it holds nothing.
    """

    def __init__(self, side: Side, stored: h5d.DatasetID | Known) -> None:
        self._side = side
        self._id: Any = stored
        self.kind: Any = stored.kind if isinstance(stored, Known) else stored.get_type()
        self.shape: tuple[int, ...] | None = stored.shape
        self._bytes = _of_bytes(self.kind.encode())

    @property
    def n_bytes(self) -> int:
        """What its values take in memory, about."""
        return prod(self.shape or ()) * self._value_bytes

    @property
    def band_bytes(self) -> int:
        """What HDF5 handles to read one row: all chunks that hold a part of it, or the row."""
        plist = self._id.get_create_plist()
        chunk = plist.get_chunk() if plist.get_layout() == h5d.CHUNKED else (1,)
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

    def read_stretch(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows `start` to `stop`, `(stop - start, ...)`; of chunks all that hold one of them.

        Parameters
        ----------
        start, stop
            The first row, and the one behind the last; both within the dataset.
        """
        return self._read_ascending(np.array([start]), np.array([stop - start]))

    def read_rows(self, rows: IntArray) -> NDArray[Any]:
        """Read rows in the order asked for, `(len(rows), ...)`; of a large dataset these should be few."""
        return self.read_stretches(rows, np.ones(len(rows), dtype=np.int64))

    def read_stretches(self, starts: IntArray, lengths: IntArray) -> NDArray[Any]:
        """Read stretches of rows that do not overlap, one after the other in the order given, `(lengths.sum(), ...)`.

        A dataset of at most `SMALL_BYTES` is read whole, once for each call.

        Parameters
        ----------
        starts, lengths
            First row and number of rows of each stretch, `(n_stretches,)` each. A stretch may be given several times,
            and may be empty.
        """
        if self.n_bytes <= SMALL_BYTES:
            return self.read()[_positions(starts, lengths)]
        starts, lengths = starts[lengths > 0], lengths[lengths > 0]
        first, at, inverse = np.unique(starts, return_index=True, return_inverse=True)
        values = self._read_ascending(first, lengths[at])
        return values[_positions((np.cumsum(lengths[at]) - lengths[at])[inverse], lengths)]

    def _read_ascending(self, starts: IntArray, lengths: IntArray) -> NDArray[Any]:
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
        found = os.pread(self._side.descriptor or 0, prod(shape) * self.kind.get_size(), offset + start * row)
        return np.frombuffer(found, dtype=self._bytes).reshape(shape or 1)

    def _offset(self) -> int | None:
        """Return where the values lie in the file; `None` if they are in chunks, elsewhere, or not at all."""
        if self._side.descriptor is None or self._bytes is None:
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


class Attribute(NamedTuple):
    """An attribute: its type, its shape (`None`: it holds nothing), and its values in bytes or as texts.

    Of one that refers to other objects the values are `None`: these lie elsewhere in another file.
    """

    kind: h5t.TypeID
    shape: tuple[int, ...] | None
    values: Hashable


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
    return Attribute(kind, shape, _plain(values))


# -- types and values ---------------------------------------------------------------------------------


def refers(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type refer to other objects of the file."""
    return bool(kind.detect_class(h5t.REFERENCE))


def is_flat(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type are their bytes: no part lies elsewhere in the file, and none means nothing."""
    if isinstance(kind, h5t.TypeStringID):
        return not kind.is_variable_str()
    return not any(kind.detect_class(other) for other in (h5t.VLEN, h5t.STRING, h5t.REFERENCE, h5t.COMPOUND))


def same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two arrays hold the same values in the same order, byte by byte: NaN equals the same NaN, -0.0 not 0.0.

    Parameters
    ----------
    found, expected
        As `Stored.read` returns them. Of records the fields are compared and not what lies between them; texts by what
        they say. Dtypes are compared only within values of variable length.
    """
    return found.shape == expected.shape and _plain(found) == _plain(expected)


def first_difference(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """Return the row in which two arrays of as many rows begin to differ; that number of rows where they do not.

    Parameters
    ----------
    found, expected
        As of `same`, `(n_rows, ...)` each.
    """
    pairs = enumerate(zip(found, expected, strict=False))
    return next((at for at, (a, b) in pairs if _plain(np.asarray(a)) != _plain(np.asarray(b))), len(found))


def _plain(values: NDArray[Any]) -> Hashable:
    if values.dtype.names:  # what is between the fields means nothing
        return tuple(_plain(np.ascontiguousarray(values[field])) for field in values.dtype.names)
    if not values.dtype.hasobject:
        return values.tobytes()
    listed = tuple(values.ravel().tolist())
    if not isinstance(next(iter(listed), None), np.ndarray):
        return listed  # texts
    return tuple((value.dtype.str, _plain(value)) for value in listed)


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


def _positions(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return `starts[0], starts[0] + 1, ...` for each start, `lengths` positions each, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
