"""What the rooms above see of a file that is being written: objects made like those of a source.

A format is written by a `NewFile` of its own, which `registry.create_file` makes. A source of the same format is copied
as it lies in its file, types, filters and all; of a source of another format the values, shapes and attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.store.base import Array, Group, Node
    from cellasso.store.comparable import Side


class Packing(Protocol):
    """How the chunks of an array that is being written are packed, by any thread, side by side with others."""

    def pack(self, values: NDArray[Any], at: tuple[int, ...]) -> Any:
        """Return a block of the array as `NewFile.write_packed` takes it.

        Parameters
        ----------
        values
            A block of the array, converted to its dtype.
        at
            Where in the array the values go: a corner of a chunk. They must end with chunks or with the array.
        """


class NewFile(ABC):
    """A file that is being written by one thread; it is complete when its `with` block has ended without an error."""

    @abstractmethod
    def root(self) -> Group:
        """Return the root group, which has no attributes at first."""

    @abstractmethod
    def image(self) -> bytes:
        """Return the whole of a file that was made in memory, byte by byte as it would lie on the disk."""

    # -- objects --------------------------------------------------------------------------------------

    @abstractmethod
    def group_like(self, source: Group, parent: Group, name: str, *, of_many: bool = False) -> Group:
        """Create an empty group with the source's attributes and order of members.

        Attributes that refer to other objects are left out; see `refer_alike`.

        Parameters
        ----------
        source
            The group to be like; of another file.
        parent, name
            Group of this file, and the name in it.
        of_many
            Whether many such are made, such as the columns of a data frame, so that copying one of them pays.
        """

    @abstractmethod
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
        """Create an array of another shape with the source's type, chunks (clipped), filters and attributes.

        Attributes that refer to other objects are left out; see `refer_alike`.

        Parameters
        ----------
        source
            The array to be like; of another file.
        parent, name, of_many
            As of `group_like`.
        shape
            Of the new array, with as many dimensions as the source.
        dtype
            Instead of the source's.
        """

    @abstractmethod
    def copy_array(self, source: Array, parent: Group, name: str) -> None:
        """Copy a whole array with its attributes, but for those that refer to objects; see `refer_alike`.

        Parameters
        ----------
        source, parent, name
            As of `array_like`.
        """

    @abstractmethod
    def group(self, parent: Group, name: str) -> Group:
        """Create an empty group without attributes.

        Parameters
        ----------
        parent, name
            As of `group_like`.
        """

    @abstractmethod
    def put(self, parent: Group, name: str, value: Any) -> Array:
        """Create an array of a text, a number, or an array of either, without filters and attributes.

        Parameters
        ----------
        parent, name
            As of `group_like`.
        value
            Arrays of texts have the dtype object.
        """

    @abstractmethod
    def link(self, parent: Group, name: str, node: Node) -> None:
        """Give a group or array of this file a further name.

        Parameters
        ----------
        parent, name
            As of `group_like`.
        node
            Of this file.
        """

    @abstractmethod
    def link_to(self, parent: Group, name: str, path: str) -> None:
        """Create a soft link, see `Store.soft_link`.

        Parameters
        ----------
        parent, name
            As of `group_like`.
        path
            To which it leads, as it stands in the source.
        """

    @abstractmethod
    def remove(self, parent: Group, name: str) -> None:
        """Remove a member of a group, with all that is in it.

        Parameters
        ----------
        parent, name
            As of `group_like`.
        """

    # -- attributes -----------------------------------------------------------------------------------

    @abstractmethod
    def copy_attributes(self, source: Node, target: Node) -> None:
        """Copy all attributes but those that refer to objects.

        Parameters
        ----------
        source
            Of another file.
        target
            Of this file; it has no attributes of these names.
        """

    @abstractmethod
    def set_attribute(self, node: Node, name: str, value: Any) -> None:
        """Give an attribute a value; numbers take the dtype of one that is there already.

        Parameters
        ----------
        node
            Of this file.
        name
            Of the attribute.
        value
            A text, a number, or a list or array of either.
        """

    @abstractmethod
    def refer_alike(self, source: Group) -> None:
        """Give the attributes that refer to an object (anndata 0.7: a column to its categories) this file's object.

        Called when all objects are written.

        Parameters
        ----------
        source
            The root of the file of which this one is a copy.
        """

    # -- values ---------------------------------------------------------------------------------------

    @abstractmethod
    def write(self, array: Array, values: NDArray[Any], at: tuple[int, ...] | None = None) -> None:
        """Write a whole array, or a block of it; values of no size write nothing.

        Parameters
        ----------
        array
            Of this file, with room for the values.
        values
            Converted to the dtype of the array where theirs is another.
        at
            Position at which the block begins, along each of the first axes (0 along the others); `None`: the values
            are the whole array.
        """

    @abstractmethod
    def packing(self, array: Array) -> Packing | None:
        """Return how to pack the chunks of an array side by side; `None` when `write` has to do it."""

    @abstractmethod
    def write_packed(self, array: Array, packed: Any) -> None:
        """Put what `Packing.pack` returned into its place.

        Parameters
        ----------
        array
            As of `write`.
        packed
            What was returned.
        """

    @abstractmethod
    def flush(self) -> None:
        """Hand all that was written to the operating system; not yet to the disk."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file, on the disk."""

    @abstractmethod
    def discard(self) -> None:
        """Close the file without completing it, after an error; raises nothing of the file itself."""

    @abstractmethod
    def reopen(self) -> AbstractContextManager[tuple[Side, Side]]:
        """Open the complete file again; return the source and it, as they are compared."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
