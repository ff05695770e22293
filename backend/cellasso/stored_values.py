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
from h5py import h5a, h5s, h5t

if TYPE_CHECKING:
    from collections.abc import Hashable

    from h5py import h5d, h5g
    from numpy.typing import NDArray

    Attributes: TypeAlias = dict[bytes, "Attribute"]
    Index: TypeAlias = NDArray[np.int64]

TEXT_BYTES = 100
"""What a text of variable length takes in memory, about."""

TEXT = h5t.py_create(h5py.string_dtype())
"""How text of variable length is read."""


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


class Stored:
    """A dataset of one of the two files, what of it is asked for many times looked up once."""

    def __init__(self, side: Side, stored: h5d.DatasetID) -> None:
        self._side = side
        self.id = stored
        self.kind: h5t.TypeID = stored.get_type()
        self.shape: tuple[int, ...] | None = stored.shape
        self._is_flat = is_flat(self.kind)

    @property
    def n_bytes(self) -> int:
        """What its values take in memory, about."""
        n_values = prod(self.shape or ())
        size = int(self.kind.get_size())
        return n_values * (size if self._is_flat else max(TEXT_BYTES, size))

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read rows `start` to `stop` (`None`: the last), `(n_rows, ...)`; a value without rows as `(1,)`."""
        if not self.shape:
            return self._read(h5s.ALL, ())[np.newaxis]
        stop = self.shape[0] if stop is None else stop
        counts = (max(0, stop - start), *self.shape[1:])
        descriptor = self._side.descriptor if self._is_flat and 0 not in counts else None
        offset = self.id.get_offset() if descriptor is not None else None
        if offset is not None and descriptor is not None:
            row = prod(counts[1:]) * self.kind.get_size()
            found = os.pread(descriptor, counts[0] * row, offset + start * row)
            return np.frombuffer(found, dtype=_in_bytes(self.kind)).reshape(counts)
        if counts == self.shape:
            return self._read(h5s.ALL, counts)
        space = self.id.get_space()
        if 0 not in counts:
            space.select_hyperslab((start, *(0,) * (len(counts) - 1)), counts)
        return self._read(space, counts)

    def read_rows(self, rows: Index, *, whole: bool) -> NDArray[Any]:
        """Read rows in the order asked for: one by one, or picked from the `whole`."""
        if whole:
            return self.read()[rows]
        found = [self.read(row, row + 1) for row in rows.tolist()]
        return np.concatenate(found) if found else self.read(0, 0)

    def _read(self, space: Any, counts: tuple[int, ...]) -> NDArray[Any]:
        out, in_memory = _room(self.kind, counts)
        if out.size:
            self.id.read(h5s.ALL if space is h5s.ALL else h5s.create_simple(counts), space, out, in_memory)
        return out


def _room(kind: h5t.TypeID, shape: tuple[int, ...]) -> tuple[NDArray[Any], h5t.TypeID | None]:
    """Return an array for values of a type, and how they are to be put into it (`None`: as h5py does)."""
    if isinstance(kind, h5t.TypeStringID) and kind.is_variable_str():
        return np.empty(shape, dtype=object), TEXT
    if is_flat(kind):
        return np.empty(shape, dtype=_in_bytes(kind)), kind
    return np.empty(shape, dtype=kind.dtype), None


class Attribute(NamedTuple):
    """An attribute: its type, its shape (`None`: it holds nothing), and its values in bytes or as texts.

    Of one that refers to other objects the values are `None`: these lie elsewhere in another file.
    """

    kind: h5t.TypeID
    shape: tuple[int, ...] | None
    values: Hashable


def attributes(node: h5d.DatasetID | h5g.GroupID) -> Attributes:
    """Return the attributes of an object by name."""
    found = {}
    for at in range(h5a.get_num_attrs(node)):
        stored = h5a.open(node, index=at)
        kind, shape = stored.get_type(), stored.shape
        if shape is None or kind.detect_class(h5t.REFERENCE):
            found[stored.name] = Attribute(kind, shape, None)
            continue
        values, in_memory = _room(kind, shape)
        if values.size:
            stored.read(values, in_memory)
        found[stored.name] = Attribute(kind, shape, _plain(values))
    return found


def is_flat(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type are their bytes: no part lies elsewhere in the file, and none means nothing."""
    if isinstance(kind, h5t.TypeStringID):
        return not kind.is_variable_str()
    return not any(kind.detect_class(other) for other in (h5t.VLEN, h5t.STRING, h5t.REFERENCE, h5t.COMPOUND))


def same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two arrays hold the same values in the same order, byte by byte."""
    return found.shape == expected.shape and _plain(found) == _plain(expected)


def first_difference(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """Return the row in which two arrays begin to differ."""
    pairs = enumerate(zip(found, expected, strict=False))
    return next((at for at, (a, b) in pairs if _plain(np.asarray(a)) != _plain(np.asarray(b))), len(found))


def _plain(values: NDArray[Any]) -> Hashable:
    if values.dtype.names:  # what is between the fields means nothing
        return tuple(_plain(np.ascontiguousarray(values[field])) for field in values.dtype.names)
    if not values.dtype.hasobject:
        return values.tobytes()
    return tuple(_listed(value) for value in values.ravel().tolist())


def _listed(value: Any) -> Hashable:
    """Return a value of variable length so that it can be compared."""
    return (value.dtype.str, _plain(value)) if isinstance(value, np.ndarray) else value


def _in_bytes(kind: h5t.TypeID) -> np.dtype[Any]:
    """Return NumPy's type for values that stay as they are stored, or that of their bytes where NumPy has none."""
    return _decoded(kind.encode(), kind.get_size())


@lru_cache(maxsize=256)
def _decoded(encoded: bytes, size: int) -> np.dtype[Any]:
    # of thousands of columns few types differ, and h5py takes longer to find one than to read a small column
    try:
        dtype = np.dtype(h5t.decode(encoded).dtype)
    except (TypeError, ValueError):
        dtype = np.dtype(np.void)
    return dtype if dtype.itemsize == size else np.dtype(f"V{size}")
