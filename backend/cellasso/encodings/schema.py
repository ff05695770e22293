"""What anndata and mudata write where, and how an element says what it is; of files older than anndata 0.7, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.store.base import Array, Group, is_empty, is_text, members

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from numpy.typing import NDArray

    from cellasso.store.base import Node, Store

AXES = {
    "X": ("obs", "var"),
    "layers": ("obs", "var"),
    "obs": ("obs",),
    "var": ("var",),
    "obsm": ("obs",),
    "varm": ("var",),
    "obsp": ("obs", "obs"),
    "varp": ("var", "var"),
    "raw.X": ("obs",),
    "obsmap": ("obs",),
    "varmap": ("var",),
}
"""Of the members of an AnnData or MuData: the frames along which the first dimensions of an element run, or of each
element in the group of that name. `raw` holds an AnnData with genes of its own."""

MATRICES = frozenset({"X", "layers", "raw.X"})
"""Members that are matrices of features, or groups of them."""

MAPS = frozenset({"obsmap", "varmap"})
"""Members of a MuData: where each row is in a modality, counted from 1; 0 marks one that it lacks."""

CATEGORIES = "__categories"
"""Where anndata 0.7 kept the categories of a data frame's columns, each column referring to its own."""


def encoding(node: Node) -> str:
    """Return the element's `encoding-type`, in today's words also for files older than anndata 0.7."""
    stated = node.attrs.get("encoding-type")
    if stated is not None:
        return text(stated)
    if "h5sparse_format" in node.attrs:
        return text(node.attrs["h5sparse_format"]) + "_matrix"
    if isinstance(node, Group):
        return "dict"
    if node.shape is None:
        return "null"
    if node.dtype.names is not None:
        return "rec-array"
    return "string-array" if is_text(node.dtype) else "array"


def is_nothing(node: Node) -> bool:
    """Whether an element stands for Python's `None`."""
    return isinstance(node, Array) and node.shape is None


def names(node: Node, attribute: str) -> list[str]:
    """Return the names that an attribute such as `column-order` lists, as text; `[]` when it is missing or empty.

    Parameters
    ----------
    node
        The group or array that has the attribute.
    attribute
        Its name; a single text in it counts as a list of one.
    """
    stated = node.attrs.get(attribute, ())
    return [] if is_empty(stated) else [text(name) for name in np.atleast_1d(stated)]


def category_store(handle: Store, frame: Group) -> Group | None:
    """Return the group of categories to which the columns of a frame refer, as anndata 0.7 wrote it.

    `None` where there is none: nothing is called `CATEGORIES`, or a column of the frame is, or a link. Reads
    attributes.

    Parameters
    ----------
    handle
        The file.
    frame
        The group of a data frame in it.

    Raises
    ------
    ElementError
        What is called so cannot be opened, or is neither a group nor an array.
    """
    if not handle.is_own(frame, CATEGORIES) or CATEGORIES in names(frame, "column-order"):
        return None
    store = handle.child(frame, CATEGORIES)
    return store if isinstance(store, Group) and encoding(store) == "dict" else None


def below(handle: Store, group: Group) -> Iterator[tuple[str, Node | ElementError | NotFoundError]]:
    """Yield each element of a group such as obsm by its name; in place of one that is unsafe, the error.

    HDF5 takes the slash in a name for a path: `obsm["harmony/umap"]` lies in a group `harmony`, which is no
    element itself. Opens each element, and reads no values.

    Parameters
    ----------
    handle
        The file.
    group
        A group of elements in it.

    Yields
    ------
    The name below `group`, and the element, or what `Store.child` raised for it.
    """
    yield from _below(handle, group, "", set())


def _below(
    handle: Store, group: Group, prefix: str, seen: set[Hashable]
) -> Iterator[tuple[str, Node | ElementError | NotFoundError]]:
    seen.add(handle.key(group))
    for member in members(group):
        name = f"{prefix}{member}"
        try:
            node = handle.child(group, member)
        except (ElementError, NotFoundError) as error:
            yield name, error
            continue
        # a group that contains itself is yielded as an element: reading it raises ElementError
        if isinstance(node, Group) and is_part_of_names(node) and handle.key(node) not in seen:
            yield from _below(handle, node, f"{name}/", seen)
        else:
            yield name, node


def is_part_of_names(node: Node) -> bool:
    """Whether a group is what stands before a slash in the names of the elements in it, and no element itself."""
    return isinstance(node, Group) and encoding(node) == "dict" and len(node) > 0


def texts(stored: NDArray[Any]) -> NDArray[np.object_]:
    """Return `text` of each value, `(n,)`."""
    return np.array([text(value) for value in np.ravel(stored).tolist()], dtype=object)


def text(value: object) -> str:
    """Return text that a file stores as bytes; what is not UTF-8 in it shows as U+FFFD."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
