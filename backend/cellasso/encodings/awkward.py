"""Ragged arrays, of which scirpy keeps the receptors of cells; anndata reads them, `write.awkward` takes their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.encodings.base import Encoding

if TYPE_CHECKING:
    from cellasso.store.base import Node


class Awkward(Encoding):
    """An array of the package awkward, by its buffers."""

    names = frozenset({"awkward-array"})

    def covers(self, name: str) -> bool:
        """Whether it is one, of whatever later make."""
        return name.startswith("awkward-")

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the number of rows alone."""
        return (int(node.attrs["length"]),)
