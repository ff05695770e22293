"""What was read of every sixteenth cell, kept: of what was seen before, or is likely next, a picture comes at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import pandas as pd
from cachetools import LRUCache

from cellasso.errors import CellassoError
from cellasso.plane import SAMPLE_STEP
from cellasso_app.axes import read_column

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress
    from cellasso_app.coloring import Raw
    from cellasso_app.session import Column

MAX_BYTES = 64 << 20
"""Of the sketches of a file; of 10M cells a column of categories takes 0.6 MB, one of numbers or a gene 2.5 MB."""


class Sketches:
    """The sketches of one file, for many threads; the least recently used go first."""

    def __init__(self) -> None:
        self._kept: LRUCache[Column, Raw] = LRUCache(MAX_BYTES, getsizeof=_size)
        self._lock = threading.Lock()

    def get(self, column: Column) -> Raw | None:
        """Return every `SAMPLE_STEP`-th value of a column; `None` when it is not kept."""
        with self._lock:
            found: Raw | None = self._kept.get(column)
            return found

    def keep(self, column: Column, raw: Raw) -> Raw:
        """Return a sketch of what was read of all cells, and keep it, unless it is of texts: those are too large."""
        sketch = raw.sampled(SAMPLE_STEP)
        if sketch.values.dtype != object and _size(sketch) <= MAX_BYTES:
            with self._lock:
                self._kept[column] = sketch
        return sketch

    def read_ahead(self, dataset: Dataset, column: Column, *, progress: Progress) -> None:
        """Sketch a column that may be asked for next, unless that was done."""
        if self.get(column) is not None:
            return
        try:
            self.keep(column, read_column(dataset, column, progress=progress))
        except CellassoError:  # who asks for it is told
            return

    @property
    def has_room(self) -> bool:
        """Whether half of the room is left: what is read ahead must not drive out what was looked at."""
        return bool(self._kept.currsize < MAX_BYTES // 2)


_of: WeakKeyDictionary[Dataset, Sketches] = WeakKeyDictionary()
_making = threading.Lock()


def sketches_of(dataset: Dataset) -> Sketches:
    """Return the sketches of a file, which all its sessions share."""
    with _making:
        return _of.setdefault(dataset, Sketches())


def _size(raw: Raw) -> int:
    values = raw.values
    return int(values.memory_usage(index=False) if isinstance(values, pd.Series) else values.nbytes)
