"""What one encoding is: a way in which anndata writes an element, both directions, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from cellasso.store.base import Array, Group

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from cellasso.store.base import Node, Store

Kind: TypeAlias = Literal["category", "number", "boolean", "text", "datetime", "other"]
"""What sort of values a column has."""


class Encoding:
    """A way of writing an element; an object of it is registered in `encodings.registry`.

    Attributes
    ----------
    names
        What `encoding-type` says of it; see `covers`.
    is_array
        Whether it is an array; else it is a group.
    is_container
        Whether it is a group of elements, each of them looked at by itself.
    parts
        By name of its arrays, those that have to be there: whether the rows of the element run along it. Where this
        does not tell how rows are taken (a sparse matrix, a ragged array), it is empty.
    leading
        The part whose layout and type are those of the values.
    """

    names: ClassVar[frozenset[str]]
    is_array: ClassVar[bool] = False
    is_container: ClassVar[bool] = False
    parts: ClassVar[Mapping[str, bool]] = {}
    leading: ClassVar[str] = ""

    def covers(self, name: str) -> bool:
        """Whether it is the encoding that `encoding-type` says."""
        return name in self.names

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape of an array, or of a group's `leading` part; reads attributes, at most one small header.

        `()` when the element does not say it. What h5py and NumPy raise about nonsense is for the caller to catch.
        """
        part = (node.get(self.leading) if self.leading else None) if isinstance(node, Group) else node
        return tuple(int(n) for n in part.shape or ()) if isinstance(part, Array) else ()

    def kind(self, node: Node) -> Kind:  # noqa: ARG002 - most do not look
        """Return what sort of values a column of this encoding has; reads attributes."""
        return "other"

    def read(self, store: Store, node: Node) -> Any:  # noqa: ARG002 - of most anndata reads all
        """Read a whole element as anndata does, without it; `None`: it has to be read by anndata.

        Parameters
        ----------
        store
            The file.
        node
            The element in it.

        Raises
        ------
        ElementError, NotFoundError, FileChangedError
            As `elements.read`.
        """
        return None

    def read_refused(self, store: Store, node: Node) -> Any:  # noqa: ARG002
        """Read an element that anndata has refused though it has one meaning; `None` if it has none.

        Parameters
        ----------
        store, node
            As of `read`.
        """
        return None

    def conversions(self, store: Store, node: Node) -> Mapping[str, np.dtype[Any]]:  # noqa: ARG002
        """Return by part the dtype of the same values that anndata reads, where it refuses that of the file.

        Parameters
        ----------
        store, node
            As of `read`.

        Raises
        ------
        ElementError, NotFoundError
            A part leads out of the file, or nowhere.
        """
        return {}
