"""Colours that were read, kept: of what was seen before, or is likely next, a picture comes at once.

Those of very many cells are sketched: of every sixteenth.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from cellasso.errors import CellassoError
from cellasso.plane import SAMPLE_STEP
from cellasso_app.axes import read_column
from cellasso_app.coloring import Categories

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress
    from cellasso_app.coloring import Coloring, Raw
    from cellasso_app.session import Column

MAX_BYTES = 32 << 20
"""Of the sketches of a file. A column of categories takes 2 bytes a cell, one of numbers or a gene 4."""

SKETCHED = 1_500_000
"""From so many cells on only every sixteenth is kept; a picture of these comes before that of all."""

READ_AHEAD = 200_000
"""From so many cells on columns are read before they are asked for: that saves what is felt."""


class Sketches:
    """The sketches of one file, for many threads; the least recently used go first.

    Attributes
    ----------
    step
        They are of every `step`-th cell; 1: of all.
    """

    def __init__(self, n_obs: int) -> None:
        self.step = SAMPLE_STEP if n_obs >= SKETCHED else 1
        self._kept: LRUCache[Column, Coloring] = LRUCache(MAX_BYTES, getsizeof=_size)
        self._lock = threading.Lock()

    def get(self, column: Column) -> Coloring | None:
        """Return the colours that are kept of a column, if they are."""
        with self._lock:
            found: Coloring | None = self._kept.get(column)
            return found

    def keep(self, column: Column, raw: Raw) -> Coloring:
        """Colour every `step`-th of all cells, and keep that."""
        sketch = (raw.sampled(self.step) if self.step > 1 else raw).colored()
        if _size(sketch) <= MAX_BYTES:
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
        return _of.setdefault(dataset, Sketches(dataset.n_obs))


def _size(coloring: Coloring) -> int:
    return int(coloring.codes.nbytes if isinstance(coloring, Categories) else coloring.values.nbytes)
