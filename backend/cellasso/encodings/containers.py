"""Groups of elements: mappings, data frames, whole AnnDatas and MuDatas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.encodings import schema
from cellasso.encodings.base import Encoding
from cellasso.store.base import Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.store.base import Node


class Container(Encoding):
    """A group of elements that have names."""

    names = frozenset({"dict", "raw", "anndata", "MuData"})
    is_container = True


class DataFrame(Container):
    """Columns of one length, with an index; `dataframe.Frame` reads it column by column.

    Parameters
    ----------
    shape_of
        Returns the shape of the index, which may be of any encoding.
    """

    names = frozenset({"dataframe"})

    def __init__(self, shape_of: Callable[[Node], tuple[int, ...]]) -> None:
        self._shape_of = shape_of

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return numbers of rows and columns as they are stated; the first is lacking where no index says it."""
        columns = schema.names(node, "column-order")
        index = node.get(schema.text(node.attrs.get("_index", "_index"))) if isinstance(node, Group) else None
        return (*(self._shape_of(index)[:1] if index is not None else ()), len(columns))
