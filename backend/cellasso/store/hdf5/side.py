"""An HDF5 file as it is compared with a copy of it; it may hold thousands of objects, so each is opened cheaply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
from h5py import h5d, h5l, h5o

from cellasso.store.comparable import Side
from cellasso.store.hdf5.stored_values import Hdf5Stored, attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellasso.store.base import Group, Node
    from cellasso.store.comparable import Attribute, Stored
    from cellasso.store.hdf5.handle import Hdf5Store
    from cellasso.store.hdf5.stored_values import Known


class Hdf5Side(Side):
    """One of the two files.

    Parameters
    ----------
    store
        The file, open for reading.
    known
        What has been read of its objects already, by address.
    """

    def __init__(self, store: Hdf5Store, known: Mapping[int, Known]) -> None:
        root: Any = store.root()
        self.store = store
        self.root = root
        self._known = known
        # versions of HDF5 differ in where they count from in a file with a user block
        self._descriptor = store.descriptor if not root.file.userblock_size else None

    def attributes(self, group: Group) -> Mapping[bytes, Attribute]:
        """Return the attributes of a group by name."""
        opened: Any = group
        known = self._known_of(opened.id)
        return attributes(opened.id) if known is None else known.attributes

    def of(self, node: Node) -> Stored | Group:
        """Return a dataset as it is compared; a group as it is."""
        found: Any = node
        made: Stored | Group = self._stored(found.id) if isinstance(node, h5py.Dataset) else found
        return made

    def open(self, group: Group, name: str) -> Any:
        """Return a member of a group; one that is known, and whose values lie in one piece, is not opened for it.

        Parameters
        ----------
        group, name
            As of `Side.open`.

        Raises
        ------
        KeyError, OSError, RuntimeError
            HDF5's own: there is no such member, or it cannot be opened.
        """
        holder: Any = group
        key = name.encode(errors="surrogateescape")
        link = holder.id.links.get_info(key) if self._known else None
        known = self._known.get(link.u) if link is not None and link.type == h5l.TYPE_HARD else None  # its address
        if known is not None and known.offset is not None:
            stored = Hdf5Stored(self._descriptor, known)
            if stored.is_in_one_piece:
                return stored
        opened = h5o.open(holder.id, key)
        return self._stored(opened) if isinstance(opened, h5d.DatasetID) else h5py.Group(opened)

    def _stored(self, opened: Any) -> Hdf5Stored:
        known = self._known_of(opened)
        return Hdf5Stored(self._descriptor, opened, None if known is None else known.attributes)

    def _known_of(self, opened: Any) -> Known | None:
        return self._known.get(h5o.get_info(opened).addr) if self._known else None
