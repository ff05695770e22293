"""All encodings that are known here: reading, `inspect` and exports ask this list."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cellasso.encodings import schema
from cellasso.encodings.arrays import PlainArray
from cellasso.encodings.awkward import Awkward
from cellasso.encodings.base import Encoding
from cellasso.encodings.categorical import Categorical
from cellasso.encodings.containers import Container, DataFrame
from cellasso.encodings.nullable import Nullable
from cellasso.encodings.sparse import Sparse
from cellasso.store.base import Array, Group

if TYPE_CHECKING:
    from cellasso.store.base import Node


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of an element as its encoding states it; `()` where it is not known here."""
    found = find(node) if isinstance(node, Group) else None  # of an array whatever it says of itself
    return (found or Encoding()).shape(node)


ENCODINGS: tuple[Encoding, ...] = (
    PlainArray(),
    Categorical(),
    Nullable(),
    Sparse(),
    Awkward(),
    DataFrame(shape),
    Container(),
)


def find(node: Node) -> Encoding | None:
    """Return the encoding of an element, by what it says of itself; `None`: it is not known here."""
    return _find(schema.encoding(node), isinstance(node, Array))


@lru_cache(maxsize=256)
def _find(name: str, is_array: bool) -> Encoding | None:
    return next((each for each in ENCODINGS if each.is_array == is_array and each.covers(name)), None)
