"""Colours that were read, kept: of what was seen before, or is likely next, a picture comes at once.

Of very many cells those of every sixteenth are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from cellasso.color.coloring import Categories
from cellasso.core.errors import Cancelled, CellassoError
from cellasso.core.single_flight import SingleFlight
from cellasso.points.point_index import SAMPLE_STEP
from cellasso_app.render.cell_values import read_cell_values

if TYPE_CHECKING:
    from cellasso.color.coloring import CellValues, Coloring
    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso_app.render.cell_values import ColoringKey

MAX_BYTES = 32 << 20
"""Of a file. A column of categories takes 2 bytes a cell, one of numbers or a gene 4."""

SAMPLED_FROM = 1_500_000
"""From so many cells on only every sixteenth is kept; a picture of these comes before that of all."""

READ_AHEAD = 200_000
"""From so many cells on columns are read before they are asked for: that saves what is felt."""


class ColoringCache:
    """The colours that are kept of one file, for many threads; the least recently used go first.

    Attributes
    ----------
    step
        They are of every `step`-th cell; 1: of all.
    """

    def __init__(self, n_obs: int) -> None:
        self.step = SAMPLE_STEP if n_obs >= SAMPLED_FROM else 1
        self._kept: LRUCache[ColoringKey, Coloring] = LRUCache(MAX_BYTES, getsizeof=_size)
        self._guess: tuple[ColoringKey, Coloring] | None = None
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[ColoringKey]:
        """Whose colours are kept."""
        with self._lock:
            return list(self._kept)

    @property
    def n_bytes(self) -> int:
        """What they take."""
        return int(self._kept.currsize)

    def get(self, key: ColoringKey) -> Coloring | None:
        """Return the colours that are kept of a column, if they are."""
        with self._lock:
            if self._guess is not None and self._guess[0] == key:  # it was right
                self._keep(*self._guess)
                self._guess = None
            found: Coloring | None = self._kept.get(key)
            return found

    def keep(self, key: ColoringKey, values: CellValues) -> Coloring:
        """Colour every `step`-th of all cells, and keep that."""
        found = values.sampled(self.step)
        with self._lock:
            self._keep(key, found)
        return found

    def read_ahead(self, dataset: Dataset, key: ColoringKey, *, progress: Progress) -> None:
        """Read a column that may be asked for, unless that was done, or half of the room is taken.

        It must not drive out what was looked at.
        """
        if self.n_bytes < MAX_BYTES // 2 and self.get(key) is None:
            found = self._read(dataset, key, progress)
            if found is not None:
                with self._lock:
                    self._keep(key, found)

    def guess(self, dataset: Dataset, key: ColoringKey, *, progress: Progress) -> None:
        """Read the column that is likely the next one, and keep it apart until the next guess."""
        if self.get(key) is None:
            found = self._read(dataset, key, progress)
            with self._lock:
                self._guess = (key, found) if found is not None else None

    def _read(self, dataset: Dataset, key: ColoringKey, progress: Progress) -> Coloring | None:
        try:
            vector, as_categories = key
            return read_cell_values(dataset, vector, as_categories=as_categories, progress=progress).sampled(self.step)
        except Cancelled:
            raise
        except CellassoError:  # who asks for it is told
            return None

    def _keep(self, key: ColoringKey, found: Coloring) -> None:
        if _size(found) <= MAX_BYTES:
            self._kept[key] = found


_of: SingleFlight[Dataset, ColoringCache] = SingleFlight(WeakKeyDictionary())


def coloring_cache(dataset: Dataset) -> ColoringCache:
    """Return what is kept of a file, which all its sessions share."""
    return _of.get(dataset, lambda: ColoringCache(dataset.n_obs))


def _size(coloring: Coloring) -> int:
    return int(coloring.codes.nbytes if isinstance(coloring, Categories) else coloring.values.nbytes)
