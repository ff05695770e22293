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
        rows = PlainArray().shape(index)[:1] if isinstance(index, Array) else ()
        return (*rows, len(columns))
