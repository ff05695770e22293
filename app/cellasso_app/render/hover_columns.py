"""Columns of obs that are told of the cell under the pointer: read once, bounded, shared by the sessions of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from cellasso.core.column_cache import size_within
from cellasso.core.single_flight import SingleFlight

if TYPE_CHECKING:
    import pandas as pd

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset

MAX_BYTES = 64 << 20
"""Of a file; the least recently told go first, and one that alone takes more is kept until the next. Of a million cells
a category takes 1 or 2 MB, a number 8, a text of its own for each cell some 65."""


class HoverColumns:
    """The columns that are kept of one file, for many threads."""

    def __init__(self) -> None:
        self._kept: LRUCache[str, pd.Series] = LRUCache(MAX_BYTES, getsizeof=size_within(MAX_BYTES))
        self._reads: SingleFlight[str, pd.Series] = SingleFlight(self._kept)

    def read(self, dataset: Dataset, column: str, *, progress: Progress) -> pd.Series:
        """Return a column that the page calls so, `(n_obs,)`; it is everybody's, and not to be changed.

        Raises
        ------
        NotFoundError, ElementError
            The file does not have it; it is damaged.
        """
        return self._reads.get(column, lambda: dataset.read_obs(column), progress=progress)

    @property
    def n_bytes(self) -> int:
        """What the columns take that are kept."""
        return int(self._kept.currsize)


_of: SingleFlight[Dataset, HoverColumns] = SingleFlight(WeakKeyDictionary())


def hover_columns(dataset: Dataset) -> HoverColumns:
    """Return what is kept of a file, which all its sessions share."""
    return _of.get(dataset, HoverColumns)
