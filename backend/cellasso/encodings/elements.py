"""Reading one small element (a column, an embedding, a piece of uns), whatever its encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.core.errors import ElementError
from cellasso.encodings import registry, schema
from cellasso.store.base import Array, Group, is_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.store.base import Node, Store


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of an array-like element; reads attributes, at most one small dataset header.

    `()` when the element does not say it, or says nonsense.
    """
    try:
        return registry.shape(node)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ()


def read(handle: Store, node: Node) -> Any:
    """Read a whole element into memory as anndata does: by its reader, which knows every encoding.

    Numbers and categories, of which most columns are, are read without it.

    Parameters
    ----------
    handle
        The file.
    node
        A group or array in it; of a group all that is below is read.

    Raises
    ------
    ElementError
        It is damaged, leads out of the file, or its encoding is not known; the message names the file, the HDF5 path
        and the reason.
    NotFoundError
        Something below is a link to nothing.
    FileChangedError
        The file changed before or while it was read.
    """
    if isinstance(node, Group):
        handle.check_inside(node)
    encoding = registry.find(node)
    values = encoding.read(handle, node) if encoding is not None else None
    if values is not None:
        return values
    try:
        values = handle.read_element(node)
    except Exception as error:  # anndata raises whatever its parts raise
        handle.check()
        is_known = type(error).__name__ != "IORegistryError"  # anndata gives it no public name
        values = encoding.read_refused(handle, node) if encoding is not None and is_known else None
        if values is None:
            raise ElementError(f"{handle.place(node.name)} {_refusal(node, error, is_known=is_known)}.") from error
    handle.check()
    return values


def _refusal(node: Node, error: Exception, *, is_known: bool) -> str:
    """Return the end of the sentence about an element that anndata does not read."""
    if not is_known:
        found = f"{schema.encoding(node)!r}, version {schema.text(node.attrs.get('encoding-version', 'none'))}"
        return (
            f"cannot be read: its encoding ({found}), or that of a part, is not known here; a newer anndata may know it"
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"cannot be read ({reason.rstrip('.')})"


def read_column(handle: Store, node: Node) -> Any:
    """Read an element of one dimension, as the columns of a data frame are, whole and as `read` does.

    Parameters
    ----------
    handle, node
        As of `read`.

    Raises
    ------
    ElementError
        As `read`; and it is of another kind, such as a group of elements, a matrix, or nothing at all.
    NotFoundError, FileChangedError
        As `read`.
    """
    kind = schema.encoding(node)
    if isinstance(node, Group) and kind in {"dict", "dataframe"}:
        raise ElementError(f"{handle.place(node.name)} is a group of elements (encoding {kind!r}), not a column.")
    if kind == "null":
        raise ElementError(f"{handle.place(node.name)} holds nothing; a column of values was expected.")
    values = read(handle, node)
    n_dimensions = getattr(values, "ndim", 1)
    if n_dimensions != 1:
        raise ElementError(f"{handle.place(node.name)} has {n_dimensions} dimensions; a column has one.")
    return values


def read_strings(handle: Store, node: Node) -> NDArray[np.object_]:
    """Read a whole element of one dimension as text, `(n,)`; numbers are written out, missing values are ''.

    Text that is an array is read without anndata, of any shape, flattened; bytes that are not UTF-8 show as U+FFFD.

    Parameters
    ----------
    handle, node
        As of `read`.

    Raises
    ------
    ElementError, NotFoundError, FileChangedError
        As `read_column`.
    """
    if isinstance(node, Array) and is_text(node.dtype):
        return schema.texts(handle.read(node))
    import pandas as pd  # noqa: PLC0415

    return written_out(pd.Series(read_column(handle, node)))


def written_out(values: pd.Series) -> NDArray[np.object_]:
    """Return each value as text, `(n,)`; missing ones are ''."""
    return values.astype(object).where(values.notna(), "").map(str).to_numpy(dtype=object)
