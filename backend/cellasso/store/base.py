"""What the rooms above see of a container format: groups and arrays, by name, and the store that holds them.

A format is a folder beside this module, whose `Store` opens one file of it read-only (`registry` finds which). Groups
and arrays are whatever the format's own library has for them, as far as it behaves as described here (h5py's and
zarr's do); what differs between libraries is asked of the store, which answers with plain values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from cellasso.core.errors import CellassoError, ElementError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray


class Group(ABC):
    """A named set of groups and arrays.

    Attributes
    ----------
    name
        Its path in the file, which begins with a slash.
    attrs
        Its attributes: text, numbers, arrays of them, or a value for which `is_empty` is true.
    """

    name: str
    attrs: Mapping[str, Any]

    @abstractmethod
    def __iter__(self) -> Iterator[str]:
        """Names of the members; bytes where one is no text."""

    @abstractmethod
    def __len__(self) -> int:
        """How many members there are."""

    @abstractmethod
    def __contains__(self, name: object) -> bool:
        """Whether there is such a member."""

    @abstractmethod
    def get(self, name: str, default: Any = None) -> Any:
        """Return a member of the group; `default` where it has none, or one that is not in this file.

        Parameters
        ----------
        name
            Of the member; one with slashes is a path below the group.
        default
            Returned where there is no such member.
        """


class Array(ABC):
    """An array of one type.

    Attributes
    ----------
    name, attrs
        As of a group.
    shape
        `None`: it holds nothing.
    dtype
        Of its values as NumPy has them; see `is_text`.
    ndim, size, nbytes
        As NumPy has them.
    chunks
        Shape of the chunks in which it is stored; `None`: in one piece.
    """

    name: str
    attrs: Mapping[str, Any]
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    ndim: int
    size: int
    nbytes: int
    chunks: tuple[int, ...] | None


Node: TypeAlias = Group | Array

LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What a format's library and NumPy raise about damaged headers, links, attributes and values."""


class Stretches(Protocol):
    """An array that is read in stretches by any thread, side by side with others."""

    def read(self, *values: slice) -> NDArray[Any]:
        """Read a stretch along each axis (all of those not named)."""


@dataclass(frozen=True)
class Fingerprint:
    """Which file this is, and which state of it: what the file system knows without reading a byte."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Fingerprint of the file at `path`."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


@dataclass(frozen=True)
class Layout:
    """How an array lies in the file.

    Attributes
    ----------
    kind
        `"chunked"`, `"contiguous"`, or the format's own word.
    compression
        The filters that values go through, by name, such as `"shuffle gzip-4"`.
    missing_filter
        Name of a filter that is lacking here, without which nothing can be read; `""` if all are there.
    disk_bytes
        What the values take in the file; text of variable length may be kept elsewhere, uncounted.
    """

    kind: str
    compression: str
    missing_filter: str
    disk_bytes: int


class Store(ABC):
    """One open file, read-only, shared by every thread.

    Attributes
    ----------
    path
        Where it is.
    fingerprint
        Of the state in which it was opened.
    index_root
        Folder below which what was worked out of it is kept (indexes, sorted embeddings); `None`: nowhere.
    """

    path: Path
    fingerprint: Fingerprint
    index_root: Path | None = None

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    def place(self, path: str) -> str:
        """Return how messages name an element: file and path in it."""
        return f"{self.name}:{path}"

    @contextmanager
    def naming(self, path: str) -> Iterator[None]:
        """Let what a library raises inside name the file and the element.

        Parameters
        ----------
        path
            Of the element that is being read.

        Raises
        ------
        ElementError
            In place of `LIBRARY_ERRORS`, with their first line.
        FileChangedError
            In their place, when the file changed meanwhile.
        """
        try:
            yield
        except CellassoError:  # some are an OSError too
            raise
        except LIBRARY_ERRORS as error:
            self.check()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ElementError(f"{self.place(path)} cannot be read ({reason}).") from error

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""

    @property
    @abstractmethod
    def bytes_read(self) -> int:
        """Bytes that were read from the file so far."""

    @abstractmethod
    def check(self) -> None:
        """Check that the file is still the one that was opened.

        Raises
        ------
        FileChangedError
            The file was replaced, rewritten or removed since, or this store is closed.
        """

    @abstractmethod
    def root(self) -> Group:
        """Return the root group, after a `check`."""

    @abstractmethod
    def child(self, parent: Node, name: str) -> Node:
        """Return one member of a group.

        Parameters
        ----------
        parent
            A group of this file; an array has no members.
        name
            Of the member; one with slashes is a path below the group.

        Raises
        ------
        NotFoundError
            There is no such member, or it is a link to nothing.
        ElementError
            It leads out of the file or in circles, or its bytes are stored outside of the file.
        """

    @abstractmethod
    def node(self, path: str) -> Node:
        """Return the group or array at an absolute path; raise as `child`."""

    def group(self, path: str) -> Group:
        """Return the group at `path`.

        Raises
        ------
        ElementError
            An array stands there; or as `child`.
        NotFoundError
            As `child`.
        """
        return self._expect_group(self.node(path))

    def array(self, path: str) -> Array:
        """Return the array at an absolute `path`; raise `ElementError` when a group stands there."""
        return self._expect_array(self.node(path))

    def parent(self, node: Node) -> Group:
        """Return the group that holds a node which is not the root; raise as `group`."""
        return self.group(node.name.rpartition("/")[0] or "/")

    def child_array(self, parent: Node, name: str) -> Array:
        """Return a member of a group that has to be an array.

        Parameters
        ----------
        parent, name
            As of `child`.

        Raises
        ------
        ElementError
            A group stands there; or as `child`.
        NotFoundError
            As `child`.
        """
        return self._expect_array(self.child(parent, name))

    def child_group(self, parent: Node, name: str) -> Group:
        """Return a member of a group that has to be a group itself.

        Parameters
        ----------
        parent, name
            As of `child`.

        Raises
        ------
        ElementError
            An array stands there; or as `child`.
        NotFoundError
            As `child`.
        """
        return self._expect_group(self.child(parent, name))

    def _expect_group(self, found: Node) -> Group:
        if isinstance(found, Array):
            raise ElementError(f"{self.place(found.name)} is a dataset; a group was expected.")
        return found

    def _expect_array(self, found: Node) -> Array:
        if isinstance(found, Group):
            raise ElementError(f"{self.place(found.name)} is a group; a dataset was expected.")
        return found

    @abstractmethod
    def key(self, node: Node) -> Hashable:
        """Return a key that no other object of the file has; several paths may lead to one object."""

    @abstractmethod
    def is_own(self, group: Group, name: str) -> bool:
        """Whether a group has a member of that name in this file itself, not by a link that may lead elsewhere.

        Parameters
        ----------
        group
            A group of this file.
        name
            Of the member, without slashes.
        """

    @abstractmethod
    def soft_link(self, group: Group, name: str) -> str | None:
        """Return the path that a member of a group is a link to; `None` for a member itself, or where there is none.

        Parameters
        ----------
        group
            A group of this file.
        name
            Of the member, without slashes.
        """

    @abstractmethod
    def referent(self, node: Node, attribute: str) -> Node | None:
        """Return the group or array that an attribute refers to; `None` when it holds no reference, or is missing.

        Parameters
        ----------
        node
            The group or array that has the attribute.
        attribute
            Its name.

        Raises
        ------
        NotFoundError, ElementError
            As `child`, for each step to what it refers to.
        """

    @abstractmethod
    def read(self, array: Array, selection: Any = ..., *, field: str | None = None) -> Any:
        """Read `array[selection]`, or one field of records.

        Parameters
        ----------
        array
            An array of this file.
        selection
            As NumPy's: a slice or a position, or a tuple of them; `...` reads all.
        field
            Name of the field to read of an array of records; `None`: whole values.

        Raises
        ------
        ElementError
            Its bytes are damaged.
        FileChangedError
            The file changed before or while it was read: the values may be of either state.
        """

    def read_stored(self, array: Array, *values: slice) -> NDArray[Any]:
        """Read a stretch along each axis (all of those not named) as it lies in the file, for a copy of it.

        Texts of fixed length keep every byte, what pads them too; else as `read`.

        Parameters
        ----------
        array
            An array of this file.
        values
            Slices without a step.

        Raises
        ------
        ElementError, FileChangedError
            As `read`.
        """
        found: NDArray[Any] = self.read(array, values or ...)
        return found

    @abstractmethod
    def read_element(self, node: Node) -> Any:
        """Read a whole element by anndata's own reader; what that raises is not caught."""

    @abstractmethod
    def open_chunks(self, array: Array, *, n_rows: int | None = None) -> Stretches | None:
        """Return how to read an array side by side with others; `None` when the library has to read it alone.

        Parameters
        ----------
        array
            The array.
        n_rows
            Look up the chunks of that many first rows only, as if there were no others.
        """

    @abstractmethod
    def pread(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes of the file; any thread may, side by side with others.

        Parameters
        ----------
        offset
            Byte of the file at which they begin, from 0.
        length
            How many bytes.

        Raises
        ------
        FileChangedError
            The file is no longer the one that was opened.
        ElementError
            The file ends before the last of them.
        """

    @abstractmethod
    def layout(self, array: Array) -> Layout:
        """Return how an array lies in the file; reads its header."""

    def disk_bytes(self, array: Array) -> int:
        """Return what an array takes in the file, as `Layout.disk_bytes`; of thousands of columns it is asked alone."""
        return self.layout(array).disk_bytes

    @abstractmethod
    def close(self) -> None:
        """Close the file; reading afterwards raises `FileChangedError`."""

    def check_inside(self, group: Group) -> None:
        """Look at all that is below a group before another library reads it, which would follow every link.

        Raises
        ------
        ElementError
            Something below leads out of the file, or back to what contains it.
        NotFoundError
            Something below is a link to nothing.
        """
        self._check_inside(group, {})

    def _check_inside(self, group: Group, found: dict[Hashable, bool]) -> None:
        key = self.key(group)
        found[key] = True  # still inside of it
        for name in members(group):
            member = self.child(group, name)
            if isinstance(member, Group):
                inside = found.get(self.key(member))
                if inside:
                    raise ElementError(f"{self.place(f'{group.name}/{name}')} contains itself.")
                if inside is None:
                    self._check_inside(member, found)
        found[key] = False  # done

    def arrays(self, group: Group) -> Iterator[Array]:
        """Yield each array below a group once; a member that `child` refuses is passed over."""
        seen: set[Hashable] = set()
        waiting: list[Node] = [group]
        while waiting:
            node = waiting.pop()
            key = self.key(node)
            if key in seen:
                continue
            seen.add(key)
            if isinstance(node, Array):
                yield node
                continue
            for name in members(node):
                try:
                    waiting.append(self.child(node, name))
                except (ElementError, NotFoundError):
                    continue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def members(group: Group) -> list[str]:
    """Return the names in a group that are text; h5py has a name that is not UTF-8 as bytes, and it is left out."""
    return [name for name in group if isinstance(name, str)]


def is_text(dtype: np.dtype[Any]) -> bool:
    """Whether values of a dtype are text: bytes of fixed length, or objects that say so, as those of h5py do."""
    return dtype.kind == "S" or _metadata(dtype).get("vlen") in {str, bytes}


def is_flag(dtype: np.dtype[Any]) -> bool:
    """Whether values of a dtype are true or false: NumPy's booleans, or an enumeration of FALSE and TRUE."""
    return dtype.kind == "b" or set(_metadata(dtype).get("enum", ())) == {"FALSE", "TRUE"}


def _metadata(dtype: np.dtype[Any]) -> Mapping[str, Any]:
    stated: Mapping[str, Any] = dtype.metadata or {}
    return stated


def is_empty(value: object) -> bool:
    """Whether an attribute's value stands for nothing at all, which has a type but no shape."""
    return getattr(value, "shape", ()) is None
