"""A file of any format as it is compared with one of another: by shapes, dtypes, values and attributes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.store.base import Array, is_empty, is_flag, is_text
from cellasso.store.comparable import TEXT_BYTES, Attribute, Side, Stored, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellasso.store.base import Group, Node, Store


class PlainSide(Side):
    """One of the two files, read through its store alone."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root()

    def attributes(self, group: Group) -> Mapping[bytes, Attribute]:
        """Return the attributes of a group by name."""
        return _attributes(group)

    def of(self, node: Node) -> Stored | Group:
        """Return an array of the file as it is compared; a group as it is."""
        return PlainStored(self.store, node) if isinstance(node, Array) else node


class PlainStored(Stored):
    """An array of a store, with texts as such."""

    def __init__(self, store: Store, array: Array) -> None:
        self._store = store
        self._array = array
        self.shape = array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values as NumPy has them: objects for texts, booleans for truths."""
        stored = self._array.dtype
        if is_text(stored) or stored.kind == "U":
            return np.dtype(object)
        return np.dtype(np.bool_) if is_flag(stored) else np.dtype(stored.str) if not stored.names else stored

    @property
    def attributes(self) -> Mapping[bytes, Attribute]:
        """Its attributes by name."""
        return _attributes(self._array)

    @property
    def n_bytes(self) -> int:
        """What its values take in memory, about."""
        return prod(self.shape or ()) * self._value_bytes

    @property
    def band_bytes(self) -> int:
        """What has to be inflated to read one row."""
        return (self._array.chunks or (1,))[0] * prod((self.shape or ())[1:]) * self._value_bytes

    def has_type_of(self, other: Stored) -> bool:
        """Whether values of both have one dtype, or are texts."""
        return self.dtype == other.dtype

    def read(self) -> NDArray[Any]:
        """Read all values; a single one, without rows, as `(1,)`."""
        return np.atleast_1d(self._with_texts(np.asarray(self._store.read(self._array))))

    def read_ascending(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Read stretches of rows, one after the other.

        Parameters
        ----------
        starts, lengths
            As of `Stored.read_ascending`.
        """
        spans = zip(starts.tolist(), lengths.tolist(), strict=True)
        found = [self._store.read(self._array, slice(start, start + n)) for start, n in spans]
        return self._with_texts(np.concatenate(found) if found else self._store.read(self._array, slice(0, 0)))

    @property
    def _value_bytes(self) -> int:
        return TEXT_BYTES if self.dtype.hasobject else self.dtype.itemsize

    def _with_texts(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.dtype != object:
            return values
        texts = np.empty(values.shape, dtype=object)
        texts.ravel()[:] = [_text(value) for value in values.ravel().tolist()]
        return texts


def _attributes(node: Node) -> dict[bytes, Attribute]:
    return {name.encode(errors="surrogateescape"): _attribute(value) for name, value in node.attrs.items()}


def _attribute(value: Any) -> Attribute:
    if is_empty(value):
        return Attribute("", None, None)
    values = np.asarray(value)
    if values.dtype.kind in "OSU":
        return Attribute("text", values.shape, tuple(map(_text, values.ravel().tolist())))
    return Attribute(values.dtype.str, values.shape, plain(values))


def _text(value: object) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)
