"""The open HDF5 file: read-only, shared by every thread, with a guard at each step into it."""

from __future__ import annotations

import io
import os
import stat
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from cellasso.core.errors import ElementError, FileChangedError, FileError, NotFoundError
from cellasso.core.text import nearest
from cellasso.store.base import LIBRARY_ERRORS, Array, Fingerprint, Group, Node, Store
from cellasso.store.hdf5 import replica
from cellasso.store.hdf5.chunks import open_chunks
from cellasso.store.hdf5.layout import layout_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from cellasso.store.base import Layout
    from cellasso.store.hdf5.chunks import Chunks, Contiguous

Group.register(h5py.Group)
Array.register(h5py.Dataset)

MAX_LINKS = 16
"""Soft links followed one after the other, HDF5's own limit; more are a loop."""


class _Bytes(io.RawIOBase):
    """The file's bytes for HDF5, through a descriptor of our own.

    HDF5's own driver would lock the file, and a notebook's `write_h5ad(path)` under that lock truncates
    it before it fails; with the lock off, the same process could not open it a second time with
    anndata. It also turns a short read into rows of zeros, which here is an error.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        self._size = os.fstat(self.descriptor).st_size
        self._at = 0
        self._counting = threading.Lock()
        self.bytes_read = self.n_reads = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            n = os.preadv(self.descriptor, [view[done:]], self._at)
            if n == 0:
                raise OSError(f"the file ends at {self._at:,} bytes, in the middle of a value")
            done += n
            self._at += n
        self._count(done)
        return done

    def pread(self, offset: int, length: int) -> bytes:
        """Read a stretch of the file; any thread may, at any time.

        Parameters
        ----------
        offset, length
            As of `Store.pread`.
        """
        stored = os.pread(self.descriptor, length, offset)
        if len(stored) != length:
            raise OSError(f"the file ends at {offset + len(stored):,} bytes, in the middle of a value")
        self._count(length)
        return stored

    def _count(self, n_bytes: int) -> None:
        with self._counting:
            self.bytes_read += n_bytes
            self.n_reads += 1

    def close(self) -> None:
        if not self.closed:
            os.close(self.descriptor)
        super().close()


class Hdf5Store(Store):
    """One HDF5 file, opened read-only, never locked.

    h5py serialises calls by a lock of its own, so threads may share a handle. A file that changes
    while it is open is noticed by its fingerprint.

    Raises
    ------
    FileError
        The path is missing, no regular file (a FIFO would hang the server), not HDF5, or truncated.

    """

    def __init__(self, path: str | os.PathLike[str], *, own: bool = False) -> None:
        self.path = Path(path).expanduser().absolute()
        _check_regular(self.path)
        self.fingerprint = Fingerprint.of(self.path)
        _register_filters()
        self._bytes = _Bytes(self.path)
        try:
            self._file = h5py.File(self.path, "r", locking=False) if own else h5py.File(self._bytes, "r")
        except OSError as error:
            self._bytes.close()
            raise FileError(_open_failure(self.path, error)) from error
        # left open at exit, HDF5 would call Python to close it after Python has ended, and crash
        self._close = weakref.finalize(self, _close, self._file, self._bytes)

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return not self._bytes.closed

    @property
    def bytes_read(self) -> int:
        """Bytes that were read from the file so far."""
        return self._bytes.bytes_read

    @property
    def descriptor(self) -> int:
        """The operating system's number of the open file."""
        return self._bytes.descriptor

    @property
    def n_reads(self) -> int:
        """In how many pieces they were read: each costs microseconds, however small it is."""
        return self._bytes.n_reads

    def check(self) -> None:
        """Check that the file is still the one that was opened.

        Raises
        ------
        FileChangedError
            The file was replaced, rewritten or removed since, or this handle is closed.
        """
        if self._bytes.closed:
            raise FileChangedError(f"{self.path} was closed; open it again.", path=self.path)
        try:
            now = Fingerprint.of(self.path)
        except OSError:
            now = None
        if now != self.fingerprint:
            what, way = "was changed by another program", "open it again"
            if now is None:
                what, way = "was removed or cannot be reached", "put it back, or open another file"
            raise FileChangedError(f"{self.path} {what} since it was opened; {way}.", path=self.path)

    def root(self) -> h5py.Group:
        """Return the root group, after a `check`."""
        self.check()
        return self._file["/"]

    def node(self, path: str) -> Node:
        """Return the group or dataset at an absolute HDF5 `path`, each step guarded as in `child`."""
        return self._node(path, 0)

    def child(self, parent: Node, name: str) -> Node:
        """Return one member of a group, each step to it guarded.

        Parameters
        ----------
        parent, name
            As of `Store.child`.

        Raises
        ------
        NotFoundError
            There is no such member, or it is a link to nothing.
        ElementError
            It is a link out of the file or in circles, or its bytes are stored outside of the file.
        """
        return self._child(parent, name, 0)

    def read(self, dataset: h5py.Dataset, selection: Any = ..., *, field: str | None = None) -> Any:
        """Read `dataset[selection]`, or one field of a compound dataset.

        Parameters
        ----------
        dataset, selection, field
            As of `Store.read`.

        Raises
        ------
        ElementError
            Its bytes are damaged.
        FileChangedError
            The file changed before or while it was read: the values may be of either state.
        """
        stretches = _stretches(dataset, selection) if field is None else None
        if stretches is not None:  # in half of h5py's time, of which a small column takes most
            return self.read_stored(dataset, *stretches)
        with self.naming(dataset.name):
            values = (dataset if field is None else dataset.fields(field))[selection]
        self.check()
        return values

    def read_stored(self, array: Array, *values: slice) -> NDArray[Any]:
        """Read a stretch along each axis, byte by byte.

        Parameters
        ----------
        array, values
            As of `Store.read_stored`.
        """
        with self.naming(array.name):
            found = replica.read(array, *values)
        self.check()
        return found

    def key(self, node: Node) -> int:
        """Return the address of an object in the file."""
        return int(h5py.h5o.get_info(node.id).addr)  # type: ignore[union-attr] # h5py's, as all of this store's

    def is_own(self, group: Group, name: str) -> bool:
        """Whether a group has a member of that name by a hard link; soft and external links may lead elsewhere.

        Parameters
        ----------
        group, name
            As of `Store.is_own`.
        """
        return bool(_link_type(group, name) == h5py.h5l.TYPE_HARD)

    def soft_link(self, group: Group, name: str) -> str | None:
        """Return the path that a member of a group is a soft link to.

        Parameters
        ----------
        group, name
            As of `Store.soft_link`.
        """
        if _link_type(group, name) != h5py.h5l.TYPE_SOFT:
            return None
        holder: Any = group
        return str(holder.get(name, getlink=True).path)

    def referent(self, node: Node, attribute: str) -> Node | None:
        """Return the object that an attribute refers to, each step to it guarded; `None` when it holds no reference.

        Parameters
        ----------
        node, attribute
            As of `Store.referent`.

        Raises
        ------
        NotFoundError, ElementError
            As `child`.
        """
        reference = node.attrs.get(attribute)
        if not isinstance(reference, h5py.Reference):
            return None
        place = self.place(node.name or "")
        try:
            name = self._file[reference].name
        except LIBRARY_ERRORS:
            raise NotFoundError(f"{place} refers to {attribute} that are not in the file.") from None
        if name is None:
            raise NotFoundError(f"{place} refers to {attribute} that have no place in the file.")
        return self.node(name)

    def read_element(self, node: Node) -> Any:
        """Read a whole element by anndata's own reader; what that raises is not caught."""
        from anndata.io import read_elem  # noqa: PLC0415 - takes more than a second, on a first page's way

        element: Any = read_elem(node)
        return element

    def open_chunks(self, array: Array, *, n_rows: int | None = None) -> Chunks | Contiguous | None:
        """Return where the values of a dataset lie, to be read past HDF5; `None` when HDF5 alone can read them.

        Reads the dataset's list of chunks, 5 microseconds each. Of a damaged list it is HDF5 that says so, in `read`.

        Parameters
        ----------
        array, n_rows
            As of `Store.open_chunks`.
        """
        with suppress(*LIBRARY_ERRORS):
            return open_chunks(self, array, n_rows=n_rows)
        return None

    def layout(self, array: Array) -> Layout:
        """Return how a dataset lies in the file; reads its header."""
        return layout_of(array)

    def disk_bytes(self, array: Array) -> int:
        """Return what a dataset takes in the file; texts of variable length are kept elsewhere, uncounted."""
        dataset: Any = array
        return int(dataset.id.get_storage_size())

    def _node(self, path: str, n_links: int) -> Node:
        found: Node = self.root()
        for part in filter(None, path.split("/")):
            found = self._child(found, part, n_links)
        return found

    def _child(self, parent: Node, name: str, n_links: int) -> Node:
        first, _, rest = name.partition("/")
        if first and rest:
            return self._child(self._child(parent, first, n_links), rest, n_links)
        link = _link_type(parent, name)
        if link is None:
            members = list(parent) if isinstance(parent, h5py.Group) else []
            raise NotFoundError(f"{self.place(parent.name or '/')} has no {name!r}{nearest(name, members)}")
        if link == h5py.h5l.TYPE_SOFT:
            return self._follow(parent, name, n_links)
        with self.naming(f"{(parent.name or '').rstrip('/')}/{name}"):
            found: Any = open_member(parent, name) if link == h5py.h5l.TYPE_HARD else None
        if isinstance(found, h5py.Group) or (isinstance(found, h5py.Dataset) and not _is_elsewhere(found)):
            node: Node = found
            return node
        if found is None:
            what = "is a link to another file, which is not followed"
        elif isinstance(found, h5py.Dataset):
            what = "keeps its values in other files, which are not read"
        else:
            what = "is neither a group nor a dataset"
        raise ElementError(f"{self._place_of(parent, name)} {what}.")

    def _follow(self, parent: h5py.Group, name: str, n_links: int) -> Node:
        """Follow a soft link step by step: one of them may lead out of the file."""
        place = self._place_of(parent, name)
        if n_links == MAX_LINKS:
            raise ElementError(f"{place} is a link that leads back to itself.")
        path = parent.get(name, getlink=True).path
        try:
            return self._node(path if path.startswith("/") else f"{parent.name}/{path}", n_links + 1)
        except NotFoundError:
            raise NotFoundError(f"{place} is a link to {path}, which the file does not have.") from None

    def _place_of(self, parent: h5py.Group, name: str) -> str:
        return self.place(f"{(parent.name or '').rstrip('/')}/{name}")

    def pread(self, offset: int, length: int) -> bytes:
        """Read bytes of the file past HDF5 and its lock; any thread may.

        Parameters
        ----------
        offset, length
            As of `Store.pread`.

        Raises
        ------
        FileChangedError
            The file is no longer the one that was opened.
        ElementError
            The file ends before the last of them.
        """
        self.check()
        try:
            stored = self._bytes.pread(offset, length)
        except (OSError, ValueError) as error:
            self.check()
            raise ElementError(f"{self.path} is damaged at byte {offset:,} ({error}).") from error
        self.check()
        return stored

    def close(self) -> None:
        """Close the file; reading afterwards raises `FileChangedError`."""
        self._close()


def _stretches(dataset: h5py.Dataset, selection: Any) -> tuple[slice, ...] | None:
    """Return a selection as a stretch along each axis; `None` where it is something else."""
    if not dataset.shape or dataset.dtype.kind in "SV":  # h5py ends texts where their type says, alone and in records
        return None
    if selection is ...:
        return ()
    selected = selection if isinstance(selection, tuple) else (selection,)
    is_plain = len(selected) <= len(dataset.shape) and all(
        isinstance(each, slice) and not each.step for each in selected
    )
    return selected if is_plain else None


def _link_type(parent: Node, name: str) -> int | None:
    """Return how a member hangs in its group, without a look at where it leads; `None` if there is none."""
    # with a slash it is a path: `/X` is a member of the root, not of the parent
    if not isinstance(parent, h5py.Group) or not name or "/" in name:
        return None
    try:
        return int(parent.id.links.get_info(name.encode(errors="surrogateescape")).type)
    except (KeyError, RuntimeError, ValueError):
        return None


def open_member(parent: h5py.Group, name: str) -> Any:
    """Open a member as h5py does, in a third of the time: a data frame may have thousands.

    A link is followed, of a file that h5py opened by its path also one out of the file: `Hdf5Store.child` is for files
    of others.

    Parameters
    ----------
    parent
        An open group.
    name
        Of the member.

    Returns
    -------
    A group, a dataset, or h5py's low-level handle of anything else, such as a committed type.

    Raises
    ------
    KeyError, OSError, RuntimeError, ValueError
        HDF5's own: there is no such member, or it cannot be opened.
    """
    opened = h5py.h5o.open(parent.id, name.encode(errors="surrogateescape"))
    if isinstance(opened, h5py.h5d.DatasetID):
        return h5py.Dataset(opened, readonly=True)
    return h5py.Group(opened) if isinstance(opened, h5py.h5g.GroupID) else opened


def _is_elsewhere(dataset: h5py.Dataset) -> bool:
    if dataset.id.get_offset() is not None:  # in one piece in this file
        return False
    plist = dataset.id.get_create_plist()
    return bool(plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count())


def _close(file: h5py.File, stored: _Bytes) -> None:
    file.close()
    stored.close()


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        beside = [entry.name for entry in path.parent.glob("*.h5*")] if path.parent.is_dir() else []
        hint = nearest(path.name, beside) if beside else "; check the spelling."
        hint = hint.replace("; it has", "; the folder has")
        raise FileError(f"{path} does not exist{hint}") from None
    except OSError as error:
        raise FileError(f"{path} cannot be reached ({error.strerror}).") from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{path} is a folder; name an .h5ad or .h5mu file in it.")
    if not stat.S_ISREG(mode):
        raise FileError(f"{path} is not a regular file; copy it to disk first.")
    if not os.access(path, os.R_OK):
        raise FileError(f"{path} may not be read by this user; change its permissions.")


def _open_failure(path: Path, error: OSError) -> str:
    if not h5py.is_hdf5(path):
        return f"{path} is not an HDF5 file; an .h5ad or .h5mu file was expected."
    if "truncated" in str(error):
        size = path.stat().st_size
        return f"{path} is truncated: it ends at {size:,} bytes, before its own end; copy or download it again."
    return f"{path} cannot be opened as HDF5 ({error})."


def _register_filters() -> None:
    # importing it makes Blosc, LZ4, Zstandard and bitshuffle known to HDF5 (SnapATAC2 writes them)
    import hdf5plugin  # noqa: F401, PLC0415
