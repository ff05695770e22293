"""A store without a file: groups and arrays in memory. It shows that the rooms above ask `store.base` alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError, FileChangedError, NotFoundError
from cellasso.store.base import Array, Fingerprint, Group, Layout, Node, Store, is_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(eq=False)
class MemoryArray(Array):
    name: str
    attrs: dict[str, Any]
    values: np.ndarray | None
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        return None if self.values is None else self.values.shape

    @property
    def ndim(self) -> int:
        return 0 if self.values is None else self.values.ndim

    @property
    def size(self) -> int:
        return 0 if self.values is None else self.values.size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(eq=False)
class MemoryGroup(Group):
    name: str
    attrs: dict[str, Any]
    members: dict[str, Node] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def get(self, name: str, default: Any = None) -> Any:
        return self.members.get(name, default)


class MemoryStore(Store):
    """What an .h5ad or .h5mu file holds, copied value by value; it can be closed and changed like a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fingerprint = Fingerprint.of(path)
        self.index_root = None
        self._open = True
        self._bytes_read = 0
        with h5py.File(path, "r") as file:
            self._root = _copied(file["/"])

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def bytes_read(self) -> int:
        return self._bytes_read

    def check(self) -> None:
        if not self._open:
            raise FileChangedError(f"{self.path} was closed; open it again.", path=self.path)
        if Fingerprint.of(self.path) != self.fingerprint:
            raise FileChangedError(f"{self.path} was changed since it was opened; open it again.", path=self.path)

    def root(self) -> Group:
        self.check()
        return self._root

    def node(self, path: str) -> Node:
        found: Node = self.root()
        for part in filter(None, path.split("/")):
            found = self.child(found, part)
        return found

    def child(self, parent: Node, name: str) -> Node:
        for part in name.split("/"):
            if not isinstance(parent, Group) or part not in parent:
                raise NotFoundError(f"{self.place(parent.name)} has no {part!r}.")
            parent = parent.get(part)
        return parent

    def key(self, node: Node) -> Hashable:
        return id(node)

    def is_own(self, group: Group, name: str) -> bool:
        return name in group

    def soft_link(self, group: Group, name: str) -> str | None:
        return None

    def referent(self, node: Node, attribute: str) -> Node | None:
        return None

    def read(self, array: Array, selection: Any = ..., *, field: str | None = None) -> Any:
        self.check()
        assert isinstance(array, MemoryArray)
        if array.values is None:
            raise ElementError(f"{self.place(array.name)} cannot be read (it holds nothing).")
        values = array.values if field is None else array.values[field]
        found = values[selection]
        self._bytes_read += getattr(found, "nbytes", 0)
        return np.array(found) if isinstance(found, np.ndarray) else found

    def read_element(self, node: Node) -> Any:
        if isinstance(node, MemoryArray) and is_text(node.dtype) and node.values is not None:
            return np.array([text.decode() for text in node.values.tolist()], dtype=object)
        if isinstance(node, MemoryGroup) and node.attrs.get("encoding-type") == "nullable-string-array":
            values, mask = (self.read(self.child_array(node, name)) for name in ("values", "mask"))
            return pd.Series([text.decode() for text in values], dtype="string").mask(mask).array
        raise ElementError(f"{self.place(node.name)} has an encoding that this store does not read.")

    def open_chunks(self, array: Array, *, n_rows: int | None = None) -> _Stretches | None:
        self.check()
        assert isinstance(array, MemoryArray)
        return None if is_text(array.dtype) or array.values is None else _Stretches(self, array)

    def pread(self, offset: int, length: int) -> bytes:
        self.check()
        return self.path.read_bytes()[offset : offset + length]

    def layout(self, array: Array) -> Layout:
        return Layout("memory", "", "", array.nbytes)

    def close(self) -> None:
        self._open = False


@dataclass
class _Stretches:
    store: MemoryStore
    array: MemoryArray

    def read(self, *values: slice) -> NDArray[Any]:
        found: NDArray[Any] = self.store.read(self.array, values)
        return found


def _copied(node: Any) -> Any:
    attrs = {name: value for name, value in node.attrs.items() if not isinstance(value, h5py.Reference)}
    if isinstance(node, h5py.Dataset):
        values = None if node.shape is None else np.asarray(node[()])
        return MemoryArray(node.name, attrs, values, node.dtype, node.chunks)
    return MemoryGroup(node.name, attrs, {name: _copied(node[name]) for name in node})
