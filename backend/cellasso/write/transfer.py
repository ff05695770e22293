"""From which file to which an export goes, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.store.base import Array, Node, Store
    from cellasso.store.new_file import NewFile

Advance: TypeAlias = "Callable[[int], None]"
"""Told how many bytes of the source have been dealt with since the last call."""

HEADER_BYTES = 1024
"""What a file keeps of an array beside its values, about: of 4,090 columns of 50 cells it is most of the file."""


@dataclass(frozen=True)
class Transfer:
    """From which file to which an export goes, and what is told of the bytes of the source that are dealt with."""

    source: Store
    target: NewFile
    advance: Advance


class Share:
    """What a part of the source weighs in the progress of an export, told as it is dealt with."""

    def __init__(self, transfer: Transfer, *parts: Array) -> None:
        self._advance = transfer.advance
        self._n_bytes = sum(transfer.source.disk_bytes(part) + HEADER_BYTES for part in parts)
        self._done = 0

    def reach(self, fraction: float) -> None:
        """Tell that so much of it has been dealt with."""
        done = int(self._n_bytes * fraction)
        self._advance(done - self._done)
        self._done = done


def set_encoding(new: NewFile, node: Node, kind: str, version: str) -> None:
    """Write in an object what it is: `encoding-type` and `encoding-version`.

    Parameters
    ----------
    new
        The export.
    node
        Of the export; what it says already is replaced.
    kind, version
        In anndata's words, such as `"string-array"` and `"0.2.0"`.
    """
    new.set_attribute(node, "encoding-type", kind)
    new.set_attribute(node, "encoding-version", version)
