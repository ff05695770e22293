"""A new HDF5 file: what is made in it is made like an object of a source, which need not be HDF5."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5o

from cellasso.core.atomic_file import flush_to_disk
from cellasso.core.version import __version__
from cellasso.store.base import is_empty, is_flag, is_text
from cellasso.store.hdf5 import replica
from cellasso.store.hdf5.chunks import open_packing, write_packed
from cellasso.store.hdf5.handle import Hdf5Store
from cellasso.store.hdf5.side import Hdf5Side
from cellasso.store.hdf5.stored_values import refers
from cellasso.store.new_file import NewFile
from cellasso.store.plain_side import PlainSide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cellasso.store.base import Array, Group, Node, Store
    from cellasso.store.comparable import Side
    from cellasso.store.hdf5.chunks import Packing
    from cellasso.store.hdf5.stored_values import Known

BLOCK_BYTES = 1 << 24
"""What is copied at a time of an array of another format."""

USER_BLOCK = 512
"""Bytes before HDF5's own part of an .h5mu file, as mudata reserves them."""


class Hdf5NewFile(NewFile):
    """A new HDF5 file, of the format version of its source where that is HDF5.

    Parameters
    ----------
    path
        Where; what is there is overwritten. `None`: in memory alone, gone when it is closed.
    like
        The source. Of an HDF5 file, the text before HDF5's own part is copied, by which mudata recognises its files.
    """

    def __init__(self, path: Path | None, like: Store) -> None:
        self._path = path
        self._like = like
        self._templates = replica.Templates()
        root: Any = like.root()
        self._signature = _signature(like)
        if path is None:
            # HDF5 takes files of one name for one file
            self._file = h5py.File(f"scratch-{secrets.token_hex(8)}", "w", driver="core", backing_store=False)
            return
        is_hdf5 = isinstance(root, h5py.Group)
        # the old superblock cannot hold what a newer file may have, such as attributes above 64 kB
        modern = is_hdf5 and root.file.id.get_create_plist().get_version()[0] >= 2
        self._file = h5py.File(
            path,
            "w",
            libver=("v108" if modern else "earliest", "latest"),
            userblock_size=len(self._signature),
            track_order=is_hdf5 and replica.keeps_order(root),
            locking=False,  # whoever asks for the file has locked it
        )

    @property
    def known(self) -> Mapping[int, Known]:
        """What was read of the source's columns, by address; it is wanted again when the two are compared."""
        return self._templates.known

    def root(self) -> Group:
        """Return the root group, which has no attributes at first."""
        root: Any = self._file["/"]
        found: Group = root
        return found

    def image(self) -> bytes:
        """Return the whole of a file that was made in memory."""
        self._file.flush()
        found: bytes = self._file.id.get_file_image()
        return found

    # -- objects --------------------------------------------------------------------------------------

    def group_like(self, source: Group, parent: Group, name: str, *, of_many: bool = False) -> Group:
        """Create an empty group.

        Parameters
        ----------
        source, parent, name, of_many
            As of `NewFile.group_like`.
        """
        made: Any
        into: Any = parent
        if not isinstance(source, h5py.Group):
            made = into.create_group(name)
            self.copy_attributes(source, made)
        elif of_many:
            made = self._templates.group(source, into, name)
        else:
            made = replica.create_group_like(source, into, name)
        found: Group = made
        return found

    def array_like(
        self,
        source: Array,
        parent: Group,
        name: str,
        shape: tuple[int, ...],
        *,
        dtype: np.dtype[np.generic] | None = None,
        of_many: bool = False,
    ) -> Array:
        """Create an array of another shape.

        Parameters
        ----------
        source, parent, name, shape, dtype, of_many
            As of `NewFile.array_like`.
        """
        made: Any
        into: Any = parent
        if not isinstance(source, h5py.Dataset):
            made = _create(source, into, name, shape, source.dtype if dtype is None else dtype)
            self.copy_attributes(source, made)
        elif of_many:
            made = self._templates.dataset(source, into, name, shape, dtype=dtype)
        else:
            made = replica.create_like(source, into, name, shape, dtype=dtype)
        found: Array = made
        return found

    def copy_array(self, source: Array, parent: Group, name: str) -> None:
        """Copy a whole array.

        Parameters
        ----------
        source, parent, name
            As of `NewFile.copy_array`.
        """
        if isinstance(source, h5py.Dataset):
            replica.copy_dataset(source, parent, name)
            return
        into: Any = parent
        if source.shape is None:
            empty = into.create_dataset(name, data=h5py.Empty(_stored_type(source.dtype)))
            self.copy_attributes(source, empty)
            return
        made = self.array_like(source, parent, name, source.shape)
        if not source.shape:
            self.write(made, np.asarray(self._like.read(source)))
            return
        step = max(1, BLOCK_BYTES * source.shape[0] // max(1, source.nbytes))
        for start in range(0, source.shape[0], step):
            self.write(made, self._like.read(source, slice(start, start + step)), (start,))

    def group(self, parent: Group, name: str) -> Group:
        """Create an empty group.

        Parameters
        ----------
        parent, name
            As of `NewFile.group`.
        """
        into: Any = parent
        made: Group = into.create_group(name)
        return made

    def put(self, parent: Group, name: str, value: Any) -> Array:
        """Create an array of a text, a number, or an array of either.

        Parameters
        ----------
        parent, name, value
            As of `NewFile.put`.
        """
        into: Any = parent
        into[name] = _with_texts(value)
        made: Array = into[name]
        return made

    def link(self, parent: Group, name: str, node: Node) -> None:
        """Give a group or dataset a further name.

        Parameters
        ----------
        parent, name, node
            As of `NewFile.link`.
        """
        into: Any = parent
        into[name] = node

    def link_to(self, parent: Group, name: str, path: str) -> None:
        """Create a soft link.

        Parameters
        ----------
        parent, name, path
            As of `NewFile.link_to`.
        """
        into: Any = parent
        into[name] = h5py.SoftLink(path)

    def remove(self, parent: Group, name: str) -> None:
        """Remove a member of a group.

        Parameters
        ----------
        parent, name
            As of `NewFile.remove`.
        """
        into: Any = parent
        del into[name]

    # -- attributes -----------------------------------------------------------------------------------

    def copy_attributes(self, source: Node, target: Node) -> None:
        """Copy all attributes but those that refer to objects.

        Parameters
        ----------
        source, target
            As of `NewFile.copy_attributes`.
        """
        if isinstance(source, h5py.Group | h5py.Dataset):
            replica.copy_attributes(source, target)
            return
        into: Any = target
        for name, value in source.attrs.items():
            into.attrs[name] = h5py.Empty("S1") if is_empty(value) else _with_texts(value)

    def set_attribute(self, node: Node, name: str, value: Any) -> None:
        """Give an attribute a value.

        Parameters
        ----------
        node, name, value
            As of `NewFile.set_attribute`.
        """
        into: Any = node
        values = np.asarray(value)
        if values.dtype.kind in "biuf" and name in into.attrs:
            into.attrs.create(name, values.astype(into.attrs.get_id(name).dtype))
        else:
            into.attrs[name] = _with_texts(value)

    def refer_alike(self, source: Group) -> None:
        """Give the attributes that refer to an object this file's object."""
        if isinstance(source, h5py.Group):
            _refer_alike(source, self._file["/"])

    # -- values ---------------------------------------------------------------------------------------

    def write(self, array: Array, values: NDArray[Any], at: tuple[int, ...] | None = None) -> None:
        """Write a whole dataset, or a block of it.

        Parameters
        ----------
        array, values, at
            As of `NewFile.write`.
        """
        replica.write(array, values, at)

    def packing(self, array: Array) -> Packing | None:
        """Return how to pack the chunks of a dataset side by side; `None` when HDF5 has to do it."""
        return open_packing(array)

    def write_packed(self, array: Array, packed: Any) -> None:
        """Put packed chunks into their places.

        Parameters
        ----------
        array, packed
            As of `NewFile.write_packed`.
        """
        write_packed(array, packed)

    def flush(self) -> None:
        """Hand all that was written to the operating system; HDF5 packs what is still in its cache."""
        self._file.flush()

    def close(self) -> None:
        """Complete the file, on the disk."""
        self._file.close()
        if self._path is None:
            return
        with self._path.open("r+b") as written:
            written.write(self._signature)
            flush_to_disk(written)

    def discard(self) -> None:
        """Close the file without completing it."""
        with suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    @contextmanager
    def reopen(self) -> Iterator[tuple[Side, Side]]:
        """Open the complete file again; return the source and it, as they are compared."""
        if self._path is None:
            raise ValueError("A file in memory is gone when it is closed.")
        with Hdf5Store(self._path, own=True) as written:
            if isinstance(self._like, Hdf5Store):
                # reading that once more would take a tenth of the time of an export of thousands of columns
                yield Hdf5Side(self._like, self.known), Hdf5Side(written, {})
            else:
                yield PlainSide(self._like), PlainSide(written)


def _signature(like: Store) -> bytes:
    """Return what stands before HDF5's own part: the source's text, or what mudata writes there."""
    root: Any = like.root()
    if isinstance(root, h5py.Group):
        return like.pread(0, root.file.userblock_size)
    if "mod" not in root:
        return b""
    text = f"MuData (format-version=0.1.0;creator=cellasso;creator-version={__version__})"
    return text.encode().ljust(USER_BLOCK, b"\0")


def _create(source: Array, parent: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> h5py.Dataset:
    """Create a dataset like an array of another format, of its chunks, not compressed."""
    chunks = None if not source.chunks or 0 in shape else tuple(map(min, source.chunks, shape))
    made: h5py.Dataset = parent.create_dataset(name, shape, dtype=_stored_type(dtype), chunks=chunks)
    return made


def _stored_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which values are stored: texts, and truths, as anndata writes them."""
    if is_text(dtype) or dtype.kind in "OU":
        text: np.dtype[Any] = h5py.string_dtype()
        return text
    return np.dtype(np.bool_) if is_flag(dtype) else dtype


def _with_texts(value: Any) -> Any:
    """Return a value with texts in arrays as h5py writes texts of variable length."""
    values = np.asarray(value)
    return values.astype(h5py.string_dtype()) if values.ndim and values.dtype.kind in "OU" else value


def _refer_alike(source: h5py.Group, target: h5py.Group) -> None:
    lacking: list[bytes] = []

    def compare(name: bytes, info: h5o.ObjInfo) -> None:
        with suppress(KeyError, RuntimeError):  # the new file alone has it
            if h5o.get_info(source.id, name).num_attrs > info.num_attrs:
                lacking.append(name)

    h5o.visit(target.id, compare, info=True)  # opens no object, of which there may be thousands
    for name in map(bytes.decode, lacking):
        for attribute in source[name].attrs:
            if refers(source[name].attrs.get_id(attribute).get_type()):
                _point(source, target, name, attribute)


def _point(source: h5py.Group, target: h5py.Group, name: str, attribute: str) -> None:
    reference = source[name].attrs[attribute]
    if not isinstance(reference, h5py.Reference) or not reference:  # no known program writes arrays of them
        return
    with suppress(KeyError, ValueError, RuntimeError, OSError):  # it leads nowhere, here and in the source
        referent = source[reference].name
        if referent is not None and referent in target:
            target[name].attrs[attribute] = target[referent].ref
