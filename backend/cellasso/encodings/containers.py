"""Groups of elements: mappings, data frames, whole AnnDatas and MuDatas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.encodings import schema
from cellasso.encodings.arrays import PlainArray
from cellasso.encodings.base import Encoding
from cellasso.store.base import Array, Group

if TYPE_CHECKING:
    from cellasso.store.base import Node


class Container(Encoding):
    """A group of elements that have names."""

    names = frozenset({"dict", "raw", "anndata", "MuData"})
    is_container = True

    def shape(self, node: Node) -> tuple[int, ...]:  # noqa: ARG002
        """Return `()`: it has none."""
        return ()


class DataFrame(Container):
    """Columns of one length, with an index; `dataframe.Frame` reads it column by column."""

    names = frozenset({"dataframe"})

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return numbers of rows and columns as they are stated; the first is lacking where no index says it."""
        columns = schema.names(node, "column-order")
        index = node.get(schema.text(node.attrs.get("_index", "_index"))) if isinstance(node, Group) else None
        return (*(_shape(index)[:1] if index is not None else ()), len(columns))


def _shape(index: Node) -> tuple[int, ...]:
    """Return the shape of an index: an array, or categories or nullable texts, whose codes or values are one."""
    values = index
    if isinstance(index, Group):
        values = next((part for part in map(index.get, ("codes", "values")) if isinstance(part, Array)), index)
    return PlainArray().shape(values)
