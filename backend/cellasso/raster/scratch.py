"""Memory that pictures are drawn in, kept from one to the next: fresh pages cost as much as the drawing itself."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ROOM = 1 << 26
"""Bytes that are kept: a picture of 1920 by 1080 pixels takes 17 MB, with mixed colours 50."""


class Scratch:
    """Arrays of int64 that are lent, and lent again once they are back; of any thread."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._free: list[NDArray[np.int64]] = []
        self._lock = Lock()

    @contextmanager
    def lend(self, *shape: int) -> Iterator[NDArray[np.int64]]:
        """Lend an array of a shape; its values are left from an earlier use."""
        with self._lock:
            fitting = [number for number, each in enumerate(self._free) if each.shape == shape]
            lent = self._free.pop(fitting[-1]) if fitting else None
        if lent is None:
            lent = np.empty(shape, dtype=np.int64)
        try:
            yield lent
        finally:
            if lent.nbytes <= self._room:
                with self._lock:
                    self._free.append(lent)
                    while sum(each.nbytes for each in self._free) > self._room:
                        del self._free[0]  # the one that was unused for longest


scratch = Scratch()
"""What all pictures of this process are drawn in."""
